//! `bms design` as a user calls it.

mod common;

use std::fs;

use common::{bms, ok, refused, root};
use serde_json::Value;
use tempfile::tempdir;

fn pack(name: &str) -> String {
    root().join("packs").join(name).display().to_string()
}

#[test]
fn every_ready_pack_is_worked_out_with_its_page() {
    let dir = tempdir().unwrap();
    for name in ["car_nmc_96s1p", "car_lfp_108s1p", "storage_lfp_16s", "supercap_string"] {
        let out = dir.path().join(name);
        let said = ok(&[
            "design",
            &pack(&format!("{name}.toml")),
            "--cycles",
            "3",
            "-o",
            &out.display().to_string(),
        ])
        .out;
        for words in ["housing", "system", "Wh/kg", "against the charter", "target", "wrote "] {
            assert!(said.contains(words), "`{words}` is missing in\n{said}");
        }
        let page = fs::read_to_string(out.join("index.html")).unwrap();
        for words in ["Against the charter", "Sensitivity", "not a fit of", "specific energy of the system"] {
            assert!(page.contains(words), "`{words}` is missing in the page of {name}");
        }
        assert!(!page.contains("NaN"), "{name}");
        for picture in ["mass.svg", "sensitivity.svg"] {
            assert!(fs::read_to_string(out.join(picture)).unwrap().starts_with("<svg"), "{picture}");
        }
        assert_eq!(out.join("life.svg").is_file(), name != "supercap_string");
    }
}

#[test]
fn the_json_is_the_ledger_and_a_missed_target_is_code_1_only_when_checked() {
    let dir = tempdir().unwrap();
    let out = dir.path().display().to_string();
    let store = pack("storage_lfp_16s.toml");
    let said = ok(&["design", &store, "--cycles", "3", "-o", &out, "--json"]).out;
    let json: Value = serde_json::from_str(&said).unwrap();
    let sum: f64 =
        json["ledger"]["masses"].as_array().unwrap().iter().map(|m| m["kg"].as_f64().unwrap()).sum();
    assert!((sum - json["ledger"]["system_kg"].as_f64().unwrap()).abs() < 1e-9);
    assert_eq!(json["verdicts"][0]["met"], false, "no LFP store has 200 Wh/kg");
    assert_eq!(json["verdicts"][1]["met"], Value::Null, "three cycles decide nothing");
    assert_eq!(json["life"]["points"].as_array().unwrap().len(), 4);
    let written: Value =
        serde_json::from_str(&fs::read_to_string(dir.path().join("design.json")).unwrap()).unwrap();
    assert_eq!(written, json);
    assert_eq!(bms(&["design", &store, "--cycles", "3", "-o", &out, "--check"]).code, 1);
}

#[test]
fn bad_packs_and_arguments_are_refused() {
    let dir = tempdir().unwrap();
    let broken = dir.path().join("broken.toml");
    let text = fs::read_to_string(pack("car_nmc_96s1p.toml")).unwrap();
    fs::write(&broken, text.replace("series = 96", "series = 0")).unwrap();
    let broken = broken.display().to_string();
    refused(&["design", &broken], &["broken.toml", "layout.series", "0 is not in 1..=1000"]);
    refused(&["design", "no_such.toml"], &["no_such.toml"]);
    refused(&["design", &pack("car_nmc_96s1p.toml"), "--cycles", "0"], &["--cycles"]);
    refused(&["design", &pack("car_nmc_96s1p.toml"), "--temperature", "99"], &["-20 to 60 degC"]);
    let out = dir.path().display().to_string();
    refused(
        &["design", &pack("storage_lfp_16s.toml"), "--profile", "drive", "-o", &out],
        &["storage_lfp_16s.toml", "no pack for this car"],
    );
}
