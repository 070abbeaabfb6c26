//! What cannot be used is refused with exit code 2 and a message that says where to look.

mod common;

use std::fs;
use std::path::Path;

use common::{data, identified, refused};
use tempfile::tempdir;

const HEADER: &str = "Test Time / s,Voltage / V,Current / A\n";

#[test]
fn broken_runs_are_named_by_file_row_and_column() {
    let dir = tempdir().unwrap();
    let cell = identified("nmc_m50/soh100", dir.path());
    let out = dir.path().join("out.csv");
    let check = |text: &str, words: &[&str]| {
        let run = dir.path().join("drive.csv");
        fs::write(&run, text).unwrap();
        let args = ["replay", "--cell", &cell, "--input", run.to_str().unwrap(), "-o", out.to_str().unwrap()];
        refused(&args, words);
        refused(&["identify", "--ocv", &format!("{}@25", run.display()), "-o", out.to_str().unwrap()], words);
        assert!(!out.exists());
    };
    check("Test Time / s,Current / A\n0,1\n1,1\n", &["drive.csv", "`Voltage / V` missing"]);
    check(&format!("{HEADER}0,3.7,-1\n1,NaN,-1\n"), &["drive.csv", "row 2 (line 3)", "`Voltage / V`"]);
    check(&format!("{HEADER}0,3.7,-1\n1,,-1\n"), &["drive.csv", "row 2 (line 3)", "`Voltage / V`"]);
    check(&format!("{HEADER}0,3700,-1\n1,3700,-1\n"), &["drive.csv", "`Voltage / V`", "millivolts"]);
    check(HEADER, &["drive.csv", "0 data row(s)"]);
    let run = dir.path().join("drive.csv");
    fs::write(&run, format!("{HEADER}0,3.7,-1\n5,3.7,-1\n4,3.7,-1\n")).unwrap();
    refused(
        &["replay", "--cell", &cell, "--input", run.to_str().unwrap(), "-o", out.to_str().unwrap()],
        &["drive.csv", "row 3 (line 4)", "`Test Time / s`", "backwards"],
    );
}

#[test]
fn missing_files_and_folders_are_named() {
    let dir = tempdir().unwrap();
    let cell = identified("nmc_m50/soh100", dir.path());
    let absent = dir.path().join("absent.csv").display().to_string();
    let out = dir.path().join("out").display().to_string();
    refused(&["replay", "--cell", &cell, "--input", &absent, "-o", &out], &["absent.csv"]);
    refused(&["replay", "--cell", &absent, "--input", &absent, "-o", &out], &["absent.csv"]);
    refused(&["identify", "--dataset", &absent, "-o", &out], &["absent.csv"]);
    refused(&["identify", "--dataset", dir.path().to_str().unwrap(), "-o", &out], &["has no dataset.json"]);
    refused(&["verify", "--data", &absent, "--report", &out], &["absent.csv", "no such folder"]);
    refused(&["verify", "--data", dir.path().to_str().unwrap(), "--report", &out], &["no data set"]);
    refused(&["verify", "--filter", "no such run", "--report", &out], &["no data set"]);
    refused(&["verify", "--only", "control", "--filter", "no such run", "--report", &out], &["no scenario"]);
    refused(&["verify", "--quick", "--bounds", &absent, "--report", &out], &["bounds file", "absent.csv"]);
    refused(&["verify", "--data", &data("nmc_m50"), "--update-bounds", "--report", &out], &["the whole"]);
}

#[test]
fn cell_files_of_another_version_or_shape_are_refused() {
    let dir = tempdir().unwrap();
    let cell = identified("nmc_m50/soh100", dir.path());
    let good = fs::read_to_string(&cell).unwrap();
    let run = data("nmc_m50/soh100/p25C_US06.bdf.parquet");
    let check = |text: &str, words: &[&str]| {
        let bad = dir.path().join("bad.toml");
        fs::write(&bad, text).unwrap();
        let args = ["replay", "--cell", bad.to_str().unwrap(), "--input", &run, "-o", "never.csv"];
        refused(&args, words);
    };
    check(&good.replace("format_version = 1", "format_version = 99"), &["bad.toml", "format 99", "reads 1"]);
    check(&good.replace("format_version = 1", ""), &["bad.toml", "`format_version` is missing"]);
    check(&good.replace("r0_ohm", "r0_mohm"), &["bad.toml", "r0_mohm"]);
    check("not a cell", &["bad.toml", "not a cell file"]);
    assert!(!Path::new("never.csv").exists());
}

#[test]
fn impossible_options_are_refused_with_advice() {
    let replay = |option: &str, value: &str, words: &[&str]| {
        refused(&["replay", "--cell", "c.toml", "--input", "r.csv", option, value, "-o", "o.csv"], words);
    };
    replay("--initial-soc", "80", &["--initial-soc", "give 0.8 for 80 %"]);
    replay("--initial-soc", "-0.2", &["--initial-soc", "fraction"]);
    replay("--capacity-ah", "0", &["--capacity-ah", "above zero"]);
    replay("--current-offset-a", "inf", &["--current-offset-a", "finite"]);
    replay("--sensors", "perfect", &["ideal", "good", "limit"]);
    let identify =
        |args: &[&str], words: &[&str]| refused(&[&["identify", "-o", "c.toml"], args].concat(), words);
    identify(&["--ocv", "a.csv"], &["FILE@T"]);
    identify(&["--ocv", "a.csv@warm"], &["not a number"]);
    identify(&["--dataset", "d", "--ocv", "a.csv@25"], &["cannot be used with"]);
    identify(&["--dataset", "d", "--chemistry", "NiMH"], &["NMC", "LFP"]);
    identify(&["--dataset", "d", "--voltage-limits", "4.2,2.5"], &["LO < HI"]);
    identify(&[], &["--dataset"]);
    refused(&["verify", "--quick", "--update-bounds"], &["cannot be used with"]);
    refused(&["verify", "--only", "nothing"], &["control", "faults"]);
    refused(&["verify", "--only", "sop", "--filter", "x"], &["--only soc", "--only control"]);
    refused(&["faults", "--hours", "nan"], &["--hours", "finite"]);
    refused(&["frobnicate"], &["frobnicate"]);
}

#[test]
fn a_cell_without_its_tests_is_not_identified() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("cell.toml").display().to_string();
    let set = data("nmc_m50/soh100");
    refused(&["identify", "--dataset", &set, "--only", "HPPC", "-o", &out], &["no open-circuit test"]);
    refused(&["identify", "--dataset", &set, "--only", "OCV20", "-o", &out], &["no pulse test"]);
    // A drive is no slow discharge.
    let drive = data("nmc_m50/soh100/p25C_US06.bdf.parquet@25");
    refused(&["identify", "--ocv", &drive, "--hppc", &drive, "-o", &out], &["no slow discharge", "US06"]);
    assert!(!Path::new(&out).exists());
}

/// Times in s, voltages in V and currents in A (positive on charge) of a run of the default data.
fn columns(file: &str) -> bms_sim::data::Run {
    bms_sim::data::read_run(Path::new(&data(file))).unwrap()
}

/// Writes a run as CSV with its currents (positive on charge) multiplied by a factor.
fn write_scaled(run: &bms_sim::data::Run, factor: f64, path: &Path) {
    let rows = (0..run.len())
        .map(|k| format!("{},{},{}\n", run.time_s[k], run.voltage_v[k], -factor * run.current_a[k]));
    fs::write(path, HEADER.to_owned() + &rows.collect::<String>()).unwrap();
}

#[test]
fn tests_with_wrong_units_or_signs_give_no_cell() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("cell.toml").display().to_string();
    let (ocv, hppc) = (dir.path().join("slow.csv"), dir.path().join("pulses.csv"));
    let slow = columns("nmc_m50/soh100/p25C_OCV20.bdf.parquet");
    let pulses = columns("nmc_m50/soh100/p25C_HPPC.bdf.parquet");
    let check = |slow_factor: f64, pulse_factor: f64, words: &[&str]| {
        write_scaled(&slow, slow_factor, &ocv);
        write_scaled(&pulses, pulse_factor, &hppc);
        let at_25 = [format!("{}@25", ocv.display()), format!("{}@25", hppc.display())];
        refused(&["identify", "--ocv", &at_25[0], "--hppc", &at_25[1], "-o", &out], words);
    };
    check(1.0, 1000.0, &["pulses.csv", "largest current in C", "mA"]);
    check(-1.0, 1.0, &["slow.csv", "rise of the voltage during the slow discharge"]);
    check(1.0, 0.0, &["pulses.csv", "fewer than two current steps"]);
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_folder_with_several_cells_asks_for_one() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("cell.toml").display().to_string();
    let entry =
        |cell: &str, kind: &str| format!(r#"{{"file":"{cell}_{kind}.csv","kind":"{kind}","cell":"{cell}"}}"#);
    let files = [entry("R1", "ocv"), entry("R2", "ocv"), entry("R1", "hppc"), entry("R2", "hppc")].join(",");
    let text = format!(r#"{{"dataset":"two","name":"two","cell":"two cells","files":[{files}]}}"#);
    fs::write(dir.path().join("dataset.json"), text).unwrap();
    let set = dir.path().to_str().unwrap();
    refused(&["identify", "--dataset", set, "-o", &out], &["holds cells R1, R2", "--only TEXT"]);
}

#[test]
fn a_current_that_its_own_counter_contradicts_is_refused() {
    let dir = tempdir().unwrap();
    let cell = identified("nmc_m50/soh100", dir.path());
    let run = dir.path().join("drive.csv");
    let out = dir.path().join("out.csv").display().to_string();
    // An hour at 1 A out of the cell, by the counter; the current as a factor of that.
    let write = |factor: f64| {
        let row = |k: i32| {
            let t = f64::from(k);
            format!("{k},{},{},{}\n", 4.1 - t * 1e-4, -factor, -t / 3600.0)
        };
        let head = "Test Time / s,Voltage / V,Current / A,Net Capacity / Ah\n".to_owned();
        fs::write(&run, head + &(0..3600).map(row).collect::<String>()).unwrap();
    };
    let args = ["replay", "--cell", &cell, "--input", run.to_str().unwrap(), "-o", &out];
    write(-1.0);
    refused(&args, &["drive.csv", "sign of `Current / A` looks inverted: it is positive on charge"]);
    write(1000.0);
    refused(&args, &["drive.csv", "`Current / A`", "milliamperes"]);
    write(0.001);
    refused(&args, &["drive.csv", "`Net Capacity / Ah`"]);
    write(1.0);
    let said = common::ok(&[&args[..], &["--capacity-ah", "1"]].concat()).out;
    for words in ["starts under load", "of the", "Ah in the cell file"] {
        assert!(said.contains(words), "`{words}` is missing in\n{said}");
    }
}
