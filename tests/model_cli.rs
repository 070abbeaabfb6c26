//! `bms model` as a user calls it.

mod common;

use std::fs;
use std::path::Path;

use bms_sim::data::read_run;
use common::{bms_in, ok, refused};
use serde_json::Value;
use tempfile::tempdir;

fn json(args: &[&str]) -> Value {
    let outcome = ok(args);
    serde_json::from_str(&outcome.out).unwrap_or_else(|e| panic!("{e}: {}", outcome.out))
}

fn path(dir: &Path, file: &str) -> String {
    dir.join(file).display().to_string()
}

#[test]
fn the_list_names_all_cells_with_their_sources() {
    let said = ok(&["model", "list"]).out;
    for words in ["okane2022", "prada2013", "generic_nmc_5ah", "graphite/LFP", "2.50 to 4.20", "circuit"] {
        assert!(said.contains(words), "`{words}` is missing in\n{said}");
    }
    let list = json(&["model", "list", "--json"]);
    let list = list.as_array().unwrap();
    assert!(list.len() >= 9);
    for cell in list {
        assert!(cell["nominal_capacity_ah"].as_f64().unwrap() > 0.0);
        assert!(cell["voltage_limits_v"][1].as_f64() > cell["voltage_limits_v"][0].as_f64());
        assert!(
            !cell["source"].as_str().unwrap().is_empty() && !cell["chemistry"].as_str().unwrap().is_empty()
        );
    }
    assert!(ok(&["model", "run", "--help"]).out.contains("positive on DISCHARGE"));
    assert!(ok(&["completions", "bash"]).out.contains("bms__subcmd__model"));
}

#[test]
fn parameters_are_shown_and_survive_export_and_import() {
    let dir = tempdir().unwrap();
    for cell in ["okane2022", "prada2013", "oregan2022", "kim2011"] {
        let (bpx, plot) = (path(dir.path(), "out/cell.json"), path(dir.path(), "ocv.svg"));
        let said = ok(&["model", "show", cell, "--bpx", &bpx, "--plot", &plot]).out;
        for words in ["source: ", "stoichiometry window", "capacity measured at C/20", " Ah\n", "wrote "] {
            assert!(said.contains(words), "`{words}` is missing in\n{said}");
        }
        assert!(fs::read_to_string(&plot).unwrap().starts_with("<svg"));
        let (built_in, imported) =
            (json(&["model", "show", cell, "--json"]), json(&["model", "show", &bpx, "--json"]));
        let capacity = |shown: &Value| shown["parameters"][1]["value"].as_f64().unwrap();
        assert!((capacity(&built_in) / capacity(&imported) - 1.0).abs() < 1e-3, "{cell}");
        assert_eq!(imported["name"], "cell");
        assert_eq!(imported["source"], built_in["source"]);
    }
    assert!(ok(&["model", "show", "generic_lfp_2ah3"]).out.contains("hysteresis"));
}

#[test]
fn one_load_is_all_it_takes() {
    let dir = tempdir().unwrap();
    let outcome = bms_in(dir.path(), &["model", "run", "okane2022", "--c-rate", "1"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    for words in ["lower voltage limit reached", "5.0", "wrote okane2022_1C.csv and okane2022_1C.svg"] {
        assert!(outcome.out.contains(words), "`{words}` is missing in\n{}", outcome.out);
    }
    let run = read_run(&dir.path().join("okane2022_1C.csv")).unwrap();
    assert_eq!(run.current_a.last(), Some(&5.0));
    let text = fs::read_to_string(dir.path().join("okane2022_1C.csv")).unwrap();
    // Positive on charge in the file.
    assert!(text.lines().nth(5).unwrap().contains(",-5,"), "{text:.400}");
    for column in ["soc_true", "core_temperature_c", "anode_potential_v", "heat_w", "Net Capacity / Ah"] {
        assert!(text.lines().next().unwrap().contains(column), "{column}");
    }
    let svg = fs::read_to_string(dir.path().join("okane2022_1C.svg")).unwrap();
    for words in ["voltage, V", "current, A", "temperature, °C", "SOC, %", "time, min"] {
        assert!(svg.contains(words), "{words}");
    }
}

#[test]
fn every_kind_of_load_runs() {
    let dir = tempdir().unwrap();
    let profile = path(dir.path(), "drive.csv");
    fs::write(&profile, "Test Time / s,C-Rate / 1\n0,0\n10,-2\n20,-2\n20,1\n60,1\n").unwrap();
    let run = |cell: &str, load: &[&str]| -> Value {
        let out = path(dir.path(), "run.parquet");
        let mut args = vec!["model", "run", cell, "--out", &out, "--json"];
        args.extend(load);
        let said = json(&args);
        assert_eq!(read_run(Path::new(&out)).unwrap().len(), said["rows"].as_u64().unwrap() as usize);
        said
    };
    let number = |said: &Value, key: &str| said[key].as_f64().unwrap_or_else(|| panic!("{key} in {said}"));
    for cell in ["prada2013", "generic_nmc_5ah", "supercap_3000f"] {
        let said =
            run(cell, &["--current", "2", "--duration", "10min", "--temperature", "-5", "--ambient", "0"]);
        assert_eq!(said["end"], "done");
        assert!((number(&said, "discharged_ah") - 1.0 / 3.0).abs() < 1e-6);
        let said = run(cell, &["--power", "-5", "--soc", "0.5", "--duration", "60"]);
        assert!((number(&said, "charged_wh") - 5.0 / 60.0).abs() < 1e-3);
        let said = run(cell, &["--profile", &profile, "--soc", "0.5"]);
        let nominal = number(&json(&["model", "show", cell, "--json"]), "nominal_capacity_ah");
        assert!((number(&said, "discharged_ah") - nominal * 30.0 / 3600.0).abs() < 1e-6);
        assert!((number(&said, "charged_ah") - nominal * 40.0 / 3600.0).abs() < 1e-6);
        assert_eq!(said["load"], "drive.csv");
        let said = run(cell, &["--drive=3", "--seed", "4", "--step", "2"]);
        assert_eq!(said["end"], "lower_voltage_limit");
        let said = run(cell, &["--cccv=1"]);
        assert!(said["soc"][0].as_f64().unwrap().abs() < 1e-9, "{said}");
        assert!(said["soc"][1].as_f64().unwrap() > 0.9, "{said}");
    }
    let new = run("okane2022", &["--c-rate", "0.5", "--resolution", "coarse", "--ageing"]);
    let worn =
        run("okane2022", &["--c-rate", "0.5", "--soh", "0.8", "--wear", "lithium", "--resolution", "fine"]);
    let ratio = number(&worn, "capacity_ah") / number(&new, "capacity_ah");
    assert!((ratio - 0.8).abs() < 2e-3, "{ratio}");
    assert!(number(&worn, "lithium_lost") > 0.05 && number(&new, "lithium_lost") > 0.0);
    assert!(number(&worn, "discharged_ah") < 0.85 * number(&new, "discharged_ah"));
}

#[test]
fn what_it_writes_can_be_identified_and_replayed() {
    let dir = tempdir().unwrap();
    let file = |name: &str| path(dir.path(), name);
    let (slow, pulses, drive) = (file("c20.parquet"), file("hppc.parquet"), file("drive.csv"));
    let (cell, out) = (file("cell.toml"), file("out.csv"));
    ok(&["model", "run", "okane2022", "--cycle", "-o", &slow]);
    ok(&["model", "run", "okane2022", "--hppc", "-o", &pulses]);
    ok(&["model", "run", "okane2022", "--drive", "--soc", "0.9", "--seed", "3", "-o", &drive]);
    let (slow, pulses) = (format!("{slow}@25"), format!("{pulses}@25"));
    let identified = json(&["identify", "--ocv", &slow, "--hppc", &pulses, "-o", &cell, "--json"]);
    assert_eq!(identified["cell"]["chemistry"], "NMC");
    let capacity = identified["cell"]["capacity_ah"].as_f64().unwrap();
    assert!((4.9..5.3).contains(&capacity), "{capacity}");
    let replayed =
        json(&["replay", "--cell", &cell, "--input", &drive, "--initial-soc", "0.9", "-o", &out, "--json"]);
    let worst = replayed["scores"]["bms"]["max_points"].as_f64().unwrap();
    assert!(worst < 3.0, "{replayed}");
}

#[test]
fn the_rate_page_shows_every_series() {
    let dir = tempdir().unwrap();
    let out = path(dir.path(), "rate");
    let rates = json(&["model", "rate", "--quick", "--json", "--out", &out]);
    let rows = rates["one_cell"].as_array().unwrap();
    assert_eq!(rows.iter().filter(|r| r["is_default"] == true).count(), 1);
    let page = fs::read_to_string(Path::new(&out).join("index.html")).unwrap();
    for series in rates["many_cells"].as_array().unwrap() {
        assert!(page.contains(series["series"].as_str().unwrap()));
    }
    for file in ["rate_over_error.svg", "rate_over_cells.svg", "rates.json"] {
        assert!(Path::new(&out).join(file).is_file(), "{file}");
    }
}

#[test]
fn broken_inputs_are_told() {
    let dir = tempdir().unwrap();
    let out = path(dir.path(), "run.csv");
    let run = |more: &[&str], words: &[&str]| {
        let mut args = vec!["model", "run"];
        args.extend(more);
        args.extend(["-o", &out]);
        refused(&args, words);
        assert!(!Path::new(&out).exists());
    };
    run(&["okane", "--c-rate", "1"], &["no cell is called `okane`", "okane2022", "generic_nmc_5ah"]);
    run(&["okane2022"], &["--c-rate", "--profile"]);
    run(&["okane2022", "--c-rate", "1", "--hppc"], &["cannot be used with"]);
    run(&["okane2022", "--c-rate", "nan"], &["not a finite number"]);
    run(&["okane2022", "--c-rate", "1", "--soc", "80"], &["give 0.8 for 80 %"]);
    run(&["okane2022", "--c-rate", "1", "--soh", "0.3"], &["state of health = 0.3 refused"]);
    run(&["okane2022", "--c-rate", "1", "--wear", "both"], &["--soh"]);
    run(&["okane2022", "--c-rate", "1", "--duration", "soon"], &["20min"]);
    run(&["okane2022", "--c-rate", "-1", "--soc", "1"], &["above its upper voltage limit at once"]);
    run(&["okane2022", "--current", "0"], &["duration"]);
    run(&["okane2022", "--power", "100000"], &["no current gives this power"]);
    run(&["generic_nmc_5ah", "--power", "1e300"], &["over at once"]);
    run(&["okane2022", "--c-rate", "1", "--plot", &out], &["cannot both be"]);
    run(&["okane2022", "--c-rate", "1", "--plot", "x.png"], &["x.png", "SVG"]);
    run(&["generic_nmc_5ah", "--c-rate", "1", "--ageing"], &["physics model"]);
    run(&["chen2020", "--c-rate", "1", "--ageing"], &["parameters of ageing", "chen2020"]);
    let write = |name: &str, text: &str| {
        let file = path(dir.path(), name);
        fs::write(&file, text).unwrap();
        file
    };
    let no_column = write("no_column.csv", "Test Time / s,Amps\n0,1\n1,1\n");
    run(&["okane2022", "--profile", &no_column], &["`Current / A` missing in no_column.csv", "`Amps`"]);
    let gap = write("gap.csv", "Test Time / s,Current / A\n0,1\n1,\n");
    run(&["okane2022", "--profile", &gap], &["gap.csv, row 2", "Current / A"]);
    let not_json = write("not.json", "{ broken");
    run(&[&not_json, "--c-rate", "1"], &["not.json", "not JSON"]);
    run(&["nowhere.json", "--c-rate", "1"], &["cannot read nowhere.json"]);
    // A file for the single-particle model has no electrolyte.
    let bpx = path(dir.path(), "chen.json");
    ok(&["model", "show", "chen2020", "--bpx", &bpx, "--quiet"]);
    let mut file: Value = serde_json::from_str(&fs::read_to_string(&bpx).unwrap()).unwrap();
    let parts = file["Parameterisation"].as_object_mut().unwrap();
    parts.remove("Electrolyte");
    parts.remove("Separator");
    let spm = write("spm.json", &file.to_string());
    run(&[&spm, "--c-rate", "1"], &["spm.json", "single-particle model (SPM)"]);
    refused(&["model", "show", "generic_nmc_5ah", "--bpx", &bpx], &["physics model"]);
    refused(&["model", "rate", "generic_nmc_5ah", "--out", &path(dir.path(), "r")], &["physics model"]);
    refused(
        &["model", "run", "okane2022", "--c-rate", "1", "-o", &path(dir.path(), "run.xlsx")],
        &["data files end in .csv"],
    );
}

#[test]
fn compare_tells_how_far_a_model_is_from_a_run() {
    let dir = tempdir().unwrap();
    let run = path(dir.path(), "run.csv");
    let rows = "Test Time / s,Voltage / V,Current / A,Surface Temperature / degC\n\
                0,3.9,0,20\n1,3.75,-5,20\n2,3.745,-5,\n10,3.73,-5,20\n20,3.72,-5,20\n";
    fs::write(&run, rows).unwrap();
    let text = ok(&["model", "compare", "chen2020", &run]).out;
    assert!(text.contains("run.csv") && text.contains("pulse"), "{text}");
    let json = json(&["model", "compare", "generic_nmc_5ah", &run, "--json", "--own-heat"]);
    let part = &json["parts"][0];
    assert_eq!((part["kind"].as_str(), part["rest_voltage_v"].as_f64()), (Some("pulse"), Some(3.9)));
    assert!((part["resistance"]["measured_mohm"].as_f64().unwrap() - 34.0).abs() < 1e-6, "{part}");
    refused(&["model", "compare", "chen2020"], &["RUN"]);
    refused(&["model", "compare", "chen2020", "none.csv"], &["cannot read none.csv"]);
}
