//! `bms simulate` as a user calls it.

mod common;

use std::fs;
use std::path::Path;

use common::{bms, refused, root};
use serde_json::Value;
use tempfile::tempdir;

const STORE: &str = "storage_lfp_16s.toml";

fn pack(name: &str) -> String {
    root().join("packs").join(name).canonicalize().unwrap().display().to_string()
}

/// Writes a scenario of some minutes.
fn scenario(dir: &Path, pack: &str, rest: &str) -> String {
    let path = dir.join("short.toml");
    let text = format!(
        "format_version = 1\ntitle = \"A few minutes\"\npack = \"{pack}\"\nseed = 5\nambient_c = 20.0\n\
         start = {{ soc = 0.6 }}\n\
         [[phase]]\nkind = \"constant\"\nc_rate = 0.5\nduration = \"3min\"\n\
         [[phase]]\nkind = \"charge\"\nmode = \"normal\"\nduration = \"2min\"\n{rest}"
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_run_leaves_its_files_repeats_with_its_seed_and_misses_bounds_with_code_1() {
    let dir = tempdir().unwrap();
    let run = |name: &str, bounds: &str, more: &[&str]| -> (i32, Value) {
        let file = scenario(dir.path(), &pack(STORE), bounds);
        let out = dir.path().join(name);
        let mut args = vec!["simulate", &file, "-o", out.to_str().unwrap(), "--json"];
        args.extend(more);
        let outcome = bms(&args);
        let said: Value =
            serde_json::from_str(&outcome.out).unwrap_or_else(|e| panic!("{e}: {}", outcome.err));
        let written: Value =
            serde_json::from_str(&fs::read_to_string(out.join("summary.json")).unwrap()).unwrap();
        assert_eq!(said, written);
        assert!(out.join("recording.parquet").metadata().unwrap().len() > 1000);
        (outcome.code, written)
    };
    let (code, first) = run("a", "[expect]\nmax_delta_t_k = 5.0\n", &[]);
    assert_eq!(code, 0, "{first}");
    let page = fs::read_to_string(dir.path().join("a/index.html")).unwrap();
    assert!(page.contains("A few minutes") && !page.contains("NaN"));
    assert_eq!(first["phases"].as_array().unwrap().len(), 2);
    assert!((first["duration_s"].as_f64().unwrap() - 300.0).abs() < 1e-6);
    let spent = first["soc_start"].as_f64().unwrap() - first["phases"][0]["soc_end"].as_f64().unwrap();
    assert!((spent - 0.5 * 180.0 / 3600.0).abs() < 0.002, "half a C for three minutes: {spent}");
    assert!(first["bill"]["charge_wh"].as_f64().unwrap() > 50.0, "{}", first["bill"]);

    let (_, again) = run("b", "[expect]\nmax_delta_t_k = 5.0\n", &["--no-report"]);
    assert_eq!(first, again);
    assert!(!dir.path().join("b/index.html").exists());

    let (code, other) = run("c", "[expect]\nmin_end_soc = 0.9\n", &["--no-report", "--seed", "6"]);
    assert_eq!(code, 1, "{other}");
    assert_eq!(other["verdicts"][0]["met"], false);
    assert_ne!(first["min_cell_v"], other["min_cell_v"], "another seed, another pack");
}

#[test]
fn broken_inputs_are_refused_with_their_place() {
    let dir = tempdir().unwrap();
    let with = |pack: &str, rest: &str| scenario(dir.path(), pack, rest);
    let store = pack(STORE);
    refused(&["simulate", "nowhere.toml"], &["nowhere.toml"]);
    refused(&["simulate", &with("no_such_pack.toml", "")], &["short.toml", "no_such_pack.toml"]);
    refused(&["simulate", &with(&store, "colour = 1\n")], &["short.toml", "colour"]);
    refused(
        &["simulate", &with(&store, "[expect]\nmax_delta_t_k = nan\n")],
        &["short.toml", "max_delta_t_k"],
    );
    let file = with(&store, "");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("soc = 0.6", "soc = 1.6")).unwrap();
    refused(&["simulate", &file], &["short.toml", "[start]", "soc"]);
    let fault = "[[fault]]\nat = \"10s\"\nkind = \"temperature_lost\"\nsensor = 6\n";
    refused(&["simulate", &with(&store, fault)], &["short.toml", "fault 1", "sensor"]);

    let broken = |from: &str, to: &str| {
        let text = fs::read_to_string(&store).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        fs::write(dir.path().join("broken.toml"), text.replace(from, to)).unwrap();
        with("broken.toml", "")
    };
    refused(&["simulate", &broken("mass_kg = 5.4", "mass_kg = nan")], &["broken.toml", "cell.mass_kg"]);
    refused(
        &["simulate", &broken("temperature_cells = [0, 4,", "temperature_cells = [0, 40,")],
        &["broken.toml", "sensors.temperature_cells"],
    );
    let out = dir.path().join("out").display().to_string();
    let odd = broken("series = 16", "series = 22");
    refused(&["simulate", &odd, "-o", &out], &["broken.toml", "22", "in series"]);
}
