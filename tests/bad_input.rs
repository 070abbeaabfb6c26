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
