//! `bms faults` and scripted faults as a user calls them.

mod common;

use std::fs;

use common::{bms, root};
use serde_json::Value;
use tempfile::tempdir;

/// A part of the matrix: nothing is missed, nothing trips before its fault, and every case names a fault of the catalogue.
#[test]
fn a_part_of_the_campaign_misses_nothing() {
    let outcome = bms(&["faults", "--hours", "0", "--drawn", "0", "--every", "12", "--json", "--quiet"]);
    let said: Value = serde_json::from_str(&outcome.out).unwrap();
    let cases = said["cases"].as_array().unwrap();
    assert!(cases.len() > 40, "{}", cases.len());
    for case in cases {
        let (fault, seed) = (&case["fault"], &case["seed"]);
        assert!(case["false_before"].as_array().unwrap().is_empty(), "{fault}, seed {seed}");
        if case["hazard"] == true {
            let reaction_ms = case["reaction_ms"].as_f64().unwrap_or(f64::INFINITY);
            assert!(reaction_ms <= case["allowed_ms"].as_f64().unwrap() + 0.5, "{fault}, seed {seed}");
        }
    }
}

/// An interlock that opens in a drive: the run tells it, and the contactors are open half a second later.
#[test]
fn a_scripted_fault_is_recorded_with_its_times() {
    let dir = tempdir().unwrap();
    let pack = root().join("packs/car_circuit_96s1p.toml").canonicalize().unwrap();
    let file = dir.path().join("interlock.toml");
    let text = format!(
        "format_version = 1\ntitle = \"interlock\"\npack = \"{}\"\nambient_c = 25.0\nstart = {{ soc = 0.6 }}\n\
         sensors = {{ corner = \"limit\" }}\n[[fault]]\nat = \"60s\"\nkind = \"interlock_open\"\n\
         [[phase]]\nkind = \"drive\"\ncycle = \"US06\"\nduration = \"2min\"\n",
        pack.display()
    );
    fs::write(&file, text).unwrap();
    let out = dir.path().join("out");
    let args = ["simulate", file.to_str().unwrap(), "-o", out.to_str().unwrap(), "--json"];
    let said: Value = serde_json::from_str(&bms(&args).out).unwrap();
    let found = said["diagnoses"].as_array().unwrap();
    let interlock = found.iter().find(|d| d["id"] == "InterlockOpen").unwrap();
    let reacted_s = interlock["reacted_s"].as_f64().unwrap();
    assert!((60.0..60.6).contains(&reacted_s), "{interlock}");
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("InterlockOpen"));
}
