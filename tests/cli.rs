//! `bms identify`, `bms replay` and `bms completions` as a user calls them.

mod common;

use std::fs;

use common::{bms, data, identified, ok, shared};
use serde_json::Value;
use tempfile::tempdir;

/// Rows of a CSV file as text, the header first.
fn rows(path: &std::path::Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).expect("a CSV file");
    reader.records().map(|r| r.expect("a row").iter().map(String::from).collect()).collect()
}

#[test]
fn a_new_cell_is_identified_and_replayed() {
    let dir = tempdir().unwrap();
    let cell = dir.path().join("sub/nmc.toml");
    let cell = cell.to_str().unwrap();
    let said = ok(&["identify", "--dataset", &data("nmc_m50/soh100"), "-o", cell]).out;
    for words in ["NMC", "fit residual", "tau1/s", "at 50 % SOC", " 25.0 ", "-10.0 "] {
        assert!(said.contains(words), "`{words}` is missing in\n{said}");
    }
    let plots = fs::read_dir(dir.path().join("sub"))
        .unwrap()
        .filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "svg"));
    assert!(plots.count() >= 6);

    let run = data("nmc_m50/soh100/p25C_US06.bdf.parquet");
    let csv = dir.path().join("out/new.csv");
    let out = csv.to_str().unwrap();
    let said = ok(&["replay", "--cell", cell, "--input", &run, "--initial-soc", "0.95", "-o", out]).out;
    for words in ["max", "p99", "RMSE", "converged", "in own band", "coulomb counter", "textbook EKF"] {
        assert!(said.contains(words), "`{words}` is missing in\n{said}");
    }
    let rows = rows(&csv);
    let head = [
        "Test Time / s",
        "soc",
        "soc_std",
        "soc_coulomb_counter",
        "soc_textbook_ekf",
        "soc_reference",
        "Voltage / V",
        "Current / A",
        "Surface Temperature / degC",
        "predicted_voltage_v",
        "model_error_v",
        "hysteresis",
        "resistance_scale",
        "current_bias_a",
        "status",
    ];
    assert_eq!(rows[0], head);
    assert_eq!(rows.len(), 1 + 11_511, "one row for every row of the run");
    let number = |row: usize, column: usize| rows[row][column].parse::<f64>().expect("a number");
    for (k, row) in rows.iter().enumerate().skip(1) {
        assert!((0.0..=1.0).contains(&number(k, 1)) && number(k, 2) > 0.0, "row {k}: {row:?}");
        // Simulated data, ideal sensors: the counter is the truth.
        assert!((number(k, 3) - number(k, 5)).abs() < 0.005);
    }
    // Positive on charge, as in the input: the cell loses charge while the current is negative.
    let mean = (1..rows.len()).map(|k| number(k, 7)).sum::<f64>() / (rows.len() - 1) as f64;
    assert!(mean < -0.5, "{mean}");
}

#[test]
fn explicit_files_give_the_cell_of_the_data_set() {
    let dir = tempdir().unwrap();
    let by_set = identified("lfp_bpx/soh100", dir.path());
    let file = |f: &str| data(&format!("lfp_bpx/soh100/{f}"));
    let cell = dir.path().join("explicit.toml").display().to_string();
    let said = ok(&[
        "identify",
        "--ocv",
        &file("p25C_OCV20.bdf.parquet@25"),
        "--hppc",
        &file("p25C_HPPC.bdf.parquet@25"),
        "--hppc",
        &file("p25C_GITT.bdf.parquet@25"),
        "--hppc",
        &file("p00C_HPPC.bdf.parquet@0"),
        "--hppc",
        &file("m10C_HPPC.bdf.parquet@-10"),
        "--chemistry",
        "lfp",
        "--nominal-capacity-ah",
        "2",
        "--voltage-limits",
        "2.0,3.65",
        "--name",
        "my cell",
        "-o",
        &cell,
        "--json",
    ])
    .out;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["cell"]["name"], "my cell");
    assert_eq!(said["cell"]["chemistry"], "LFP");
    let temperatures: Vec<f64> = said["temperatures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["temperature_c"].as_f64().unwrap())
        .collect();
    assert_eq!(temperatures, [-10.0, 0.0, 25.0]);
    let read = |path: &str| -> toml::Table { fs::read_to_string(path).unwrap().parse().unwrap() };
    let (a, b) = (read(&by_set), read(&cell));
    assert_eq!(a["cell"]["capacity_ah"], b["cell"]["capacity_ah"]);
    assert_eq!(a["tables"]["temperature_c"], b["tables"]["temperature_c"]);
}

#[test]
fn replay_as_json_tells_scores_and_obeys_its_options() {
    let dir = tempdir().unwrap();
    let cell = identified("nmc_m50/soh100", dir.path());
    let run = data("nmc_m50/soh080_mixed/p25C_WLTC.bdf.parquet");
    let out = dir.path().join("out.csv").display().to_string();
    let replay = |more: &[&str]| -> (i32, Value) {
        let mut args = vec!["replay", "--cell", &cell, "--input", &run, "-o", &out, "--json"];
        args.extend(more);
        let outcome = bms(&args);
        (outcome.code, serde_json::from_str(&outcome.out).unwrap_or_else(|e| panic!("{e}: {}", outcome.err)))
    };
    let (code, plain) = replay(&["--initial-soc", "0.65", "--capacity-ah", "3.93"]);
    assert_eq!((code, plain["rows"].as_u64()), (0, Some(7918)));
    let scores = &plain["scores"];
    assert!((scores["start_error_points"].as_f64().unwrap() + 30.0).abs() < 0.01);
    assert_eq!(scores["scored_from_s"], 900.0);
    for estimator in ["bms", "coulomb_counter", "textbook_ekf"] {
        let max = scores[estimator]["max_points"].as_f64().unwrap();
        let rmse = scores[estimator]["rmse_points"].as_f64().unwrap();
        assert!(max >= rmse && rmse > 0.0);
    }
    assert!((scores["coulomb_counter"]["max_points"].as_f64().unwrap() - 30.0).abs() < 0.3);
    // An offset of 0.3 A on discharge for 2.2 h takes 0.66 Ah more out of the counter than came out of the cell.
    let (_, offset) =
        replay(&["--initial-soc", "0.65", "--capacity-ah", "3.93", "--current-offset-a", "0.3"]);
    let end = |v: &Value| v["scores"]["coulomb_counter"]["end_points"].as_f64().unwrap();
    assert!(end(&offset) <= end(&plain) + 1e-9);
    let (code, _) = replay(&["--initial-soc", "0.65", "--fail-above", "0.001"]);
    assert_eq!(code, 1);
    // The same seed gives the same file, another one another.
    let bytes = |seed: &str| {
        replay(&["--sensors", "good", "--seed", seed]);
        fs::read(&out).unwrap()
    };
    let first = bytes("7");
    assert!(first == bytes("7") && first != bytes("8"));
}

#[test]
fn a_csv_without_reference_is_replayed_and_says_so() {
    let dir = tempdir().unwrap();
    let cell = identified("nmc_m50/soh100", dir.path());
    let run = dir.path().join("run.csv");
    let body: String = (0..2000).map(|k| format!("{k},{},-1.0\n", 4.0 - f64::from(k) * 1e-4)).collect();
    fs::write(&run, format!("Test Time / s,Voltage / V,Current / A\n{body}")).unwrap();
    let out = dir.path().join("out.csv");
    let args = ["replay", "--cell", &cell, "--input", run.to_str().unwrap(), "-o", out.to_str().unwrap()];
    let said = ok(&args).out;
    assert!(said.contains("nothing to score against") && said.contains("25 degC assumed"), "{said}");
    assert!(!rows(&out)[0].contains(&"soc_reference".to_owned()));
    assert_eq!(rows(&out).len(), 2001);
    let said = ok(&[&args[..], &["--reference-start", "0.9"]].concat()).out;
    assert!(said.contains("summed current") && said.contains("RMSE"), "{said}");
    assert!(ok(&[&args[..], &["--quiet"]].concat()).out.is_empty());
}

#[test]
fn help_has_examples_and_completions_work_for_every_shell() {
    for command in ["identify", "replay", "verify"] {
        let help = ok(&[command, "--help"]).out;
        assert!(help.contains("Examples:") && help.contains(&format!("bms {command}")), "{help}");
    }
    let help = ok(&["--help"]).out;
    assert!(help.contains("Exit codes: 0") && help.contains("bms verify"), "{help}");
    assert!(ok(&["verify", "--help"]).out.contains("--strict"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ok(&["completions", shell]).out;
        assert!(script.contains("identify") && script.contains("current-offset-a"), "{shell}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_bms"))
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bms starts");
    drop(child.stdout.take());
    let outcome = child.wait_with_output().unwrap();
    assert_eq!((outcome.status.code(), outcome.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn measured_sets_are_identified_and_replayed() {
    let Some(shared) = shared("measured_sets_are_identified_and_replayed") else { return };
    let dir = tempdir().unwrap();
    let cell = dir.path().join("cell.toml").display().to_string();
    let out = dir.path().join("out.csv").display().to_string();
    for (set, run, options) in [
        ("lg_18650hg2", "drive/n10C_US06_601.bdf.parquet", &[][..]),
        ("panasonic_ncr18650pf", "drive/25C_Cycle_1_03-18-17_0217.bdf.parquet", &[]),
        ("plett_esc", "a123/dyn/25C_dyn50_s1.bdf.parquet", &["--only", "a123", "--exclude", "dyn/25C"]),
    ] {
        let set = shared.join("data").join(set);
        let mut args = vec!["identify", "--dataset", set.to_str().unwrap(), "-o", &cell];
        args.extend(options);
        ok(&args);
        let run = set.join(run).display().to_string();
        let said = ok(&["replay", "--cell", &cell, "--input", &run, "--initial-soc", "1", "-o", &out]).out;
        assert!(said.contains("the cycler's charge counter") && said.contains("start error +0.0"), "{said}");
    }
}
