//! `bms verify` from a folder of data to a report and an exit code.

mod common;

use std::fs;
use std::path::Path;

use common::{bms, data, ok, shared};
use serde_json::Value;
use tempfile::tempdir;

/// All targets of `href` and `src` in a page that are files.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in ["href=\"", "src=\""] {
        for part in page.split(attribute).skip(1) {
            let target = part.split('"').next().unwrap_or_default();
            if !target.starts_with(['#', '?']) && !target.contains(':') {
                let file = target.split('#').next().unwrap_or_default();
                found.push(file.strip_prefix("./").unwrap_or(file).to_owned());
            }
        }
    }
    found
}

fn results(report: &Path) -> Value {
    serde_json::from_slice(&fs::read(report.join("results.json")).expect("results.json")).expect("JSON")
}

#[test]
fn a_quick_run_writes_a_report_whose_links_exist() {
    let dir = tempdir().unwrap();
    let report = dir.path().join("deep/report");
    let outcome = bms(&["verify", "--quick", "--report", report.to_str().unwrap()]);
    assert!(outcome.code <= 1, "{}", outcome.err);
    for words in ["data set", "Weighted RMSE", "Target (maximum <= 3 points)", "--data DIR verifies more"] {
        assert!(outcome.out.contains(words), "`{words}` is missing in\n{}", outcome.out);
    }
    let page = fs::read_to_string(report.join("index.html")).unwrap();
    let links = links(&page);
    assert!(
        links.iter().any(|l| l == "results.json") && links.iter().any(|l| l.ends_with(".toml")),
        "{links:?}"
    );
    assert!(links.iter().any(|l| l.starts_with("traces/")), "{links:?}");
    for link in links {
        assert!(report.join(&link).is_file(), "{link}");
    }
    for loads in ["<link", "src=\"http", "@import", "url(http"] {
        assert!(!page.contains(loads), "the page is not self-contained: {loads}");
    }
    let found = results(&report);
    let cases = found["cases"].as_array().unwrap();
    // Every drive of the default data and of the plants once, with the right start.
    let of_plants = cases.iter().filter(|c| c["plant"] == true);
    // Of each of four plants three profiles at three ages and six temperatures, and three cells that differ.
    let expected = 4 * (3 * 6 * 3 + 3);
    assert_eq!((cases.len(), of_plants.clone().count()), (15 + expected, expected));
    assert!(of_plants.clone().all(|c| c["measured"] == false));
    // Constants were searched on one profile of the plants at two temperatures.
    assert!(of_plants.clone().all(|c| c["tuned_on"] == false || c["profile"] == "US06"));
    assert!(page.contains("plant/okane2022") && page.contains("plants: simulated during the run"));
    assert!(cases.iter().all(|c| c["start_error_points"] == 0.0 && c["sensors"] == "ideal"));
    assert!(cases.iter().any(|c| c["age"] == "soh080" && c["capacity_known"] == true));
    assert_eq!(found["history"].as_array().unwrap().len(), 0);
    assert_eq!(found["summary"]["data"], "default");
}

#[test]
fn a_bound_that_is_exceeded_fails_the_run() {
    let dir = tempdir().unwrap();
    let report = dir.path().join("report").display().to_string();
    let bounds = dir.path().join("bounds.toml");
    let text = |worst: f64| {
        format!(
            "[default.sets.\"physics/nmc_m50/soh100\".\"right start\"]\nworst_max_points = {worst}\nmean_rmse_points = 50.0\n"
        )
    };
    let verify = || {
        let file = bounds.to_str().unwrap();
        bms(&["verify", "--quick", "--filter", "nmc_m50/soh100/p25C", "--bounds", file, "--report", &report])
    };
    fs::write(&bounds, text(50.0)).unwrap();
    let kept = verify();
    assert_eq!(kept.code, 0, "{}\n{}", kept.out, kept.err);
    fs::write(&bounds, text(0.01)).unwrap();
    let broken = verify();
    assert_eq!(broken.code, 1, "{}\n{}", broken.out, broken.err);
    assert!(
        broken.out.contains("BROKEN physics/nmc_m50/soh100, right start: worst maximum"),
        "{}",
        broken.out
    );
    // The second run into the same folder remembers the first.
    assert_eq!(results(Path::new(&report))["history"].as_array().unwrap().len(), 1);
    fs::write(&bounds, "[default.sets.x.\"left start\"]\nworst_max_points = 1.0\nmean_rmse_points = 1.0\n")
        .unwrap();
    let refused = verify();
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("`left start` is not a condition group"), "{}", refused.err);
}

#[test]
fn a_part_of_the_matrix_gives_json_that_tells_every_condition() {
    let dir = tempdir().unwrap();
    let report = dir.path().join("report");
    // An aged cell: its parameters come from the new one beside it.
    let args = [
        "verify",
        "--data",
        &data("nmc_m50"),
        "--filter",
        "soh080_mixed/p25C",
        "--json",
        "--report",
        report.to_str().unwrap(),
    ];
    let outcome = bms(&args);
    assert!(outcome.code <= 1, "{}", outcome.err);
    let said: Value = serde_json::from_str(&outcome.out).expect("JSON on the standard output");
    let cases = said["cases"].as_array().unwrap();
    let count = |test: &dyn Fn(&Value) -> bool| cases.iter().filter(|c| test(c)).count();
    assert_eq!(cases.len(), 11, "12 conditions, of which +30 does not fit above 95 %");
    assert_eq!(count(&|c| c["start_error_points"] != 0.0), 3);
    assert_eq!(count(&|c| c["current_offset_a"] != 0.0), 2);
    assert_eq!(count(&|c| c["capacity_known"] == false), 2);
    assert_eq!(count(&|c| c["sensors"] == "limit"), 1);
    let variants: Vec<&str> = said["ablations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|a| a["group"] == "all drives")
        .map(|a| a["variant"].as_str().unwrap())
        .collect();
    assert_eq!(variants.len(), 6, "{variants:?}");
    assert_eq!(said, results(&report));
    let strict = bms(&[&args[..], &["--strict"]].concat());
    assert_eq!(strict.code, 1, "a new cell's capacity misses the target on a cell with 80 %");
}

#[test]
fn the_same_seed_gives_the_same_results() {
    let dir = tempdir().unwrap();
    let cases = |seed: &str, name: &str| {
        let report = dir.path().join(name);
        let args = ["verify", "--filter", "nmc_m50/soh100/p25C_WLTC", "--seed", seed, "--quiet", "--report"];
        let outcome = bms(&[&args[..], &[report.to_str().unwrap()]].concat());
        assert!(outcome.code <= 1 && outcome.out.is_empty(), "{}{}", outcome.out, outcome.err);
        results(&report)["cases"].clone()
    };
    let first = cases("1", "a");
    assert_eq!(first, cases("1", "b"));
    assert_ne!(first, cases("2", "c"));
}

#[test]
fn the_whole_matrix_goes_on_where_it_was_stopped_and_tells_its_targets() {
    let dir = tempdir().unwrap();
    let report = dir.path().join("report");
    let finished = report.join("finished.jsonl");
    let run = |more: &[&str]| {
        let args = ["verify", "--full", "--plants", "kim2011", "--filter", "plant/kim2011/soh090/p25C_FAST"];
        let outcome = bms(&[&args[..], &["--report", report.to_str().unwrap()], more].concat());
        assert!(outcome.code <= 1, "{}", outcome.err);
        (outcome.out, results(&report)["cases"].clone(), fs::read_to_string(&finished).unwrap())
    };
    let (said, first, kept) = run(&[]);
    for target in ["  1  largest SOC error", "  2  NMC, NCA: starts 30 points off", " 10  time inside"] {
        assert!(said.contains(target), "`{target}` is missing in\n{said}");
    }
    assert_eq!(kept.lines().count(), 1);
    // A second run believes what the first one kept, whatever that is …
    fs::write(&finished, kept.replace("\"profile\":\"FAST\"", "\"profile\":\"KEPT\"")).unwrap();
    let (_, second, _) = run(&[]);
    assert!(second.as_array().unwrap().iter().all(|c| c["profile"] == "KEPT"), "{second}");
    // … unless it is told to discard it.
    let (_, third, _) = run(&["--fresh"]);
    assert_eq!(third, first);
}

#[test]
fn the_shared_folder_is_walked_and_what_cannot_be_scored_is_explained() {
    let Some(shared) = shared("the_shared_folder_is_walked_and_what_cannot_be_scored_is_explained") else {
        return;
    };
    let dir = tempdir().unwrap();
    let report = dir.path().join("report").display().to_string();
    let said = ok(&[
        "verify",
        "--quick",
        "--bounds",
        "/dev/null",
        "--data",
        shared.to_str().unwrap(),
        "--report",
        &report,
    ])
    .out;
    for set in ["lg_18650hg2", "panasonic_ncr18650pf", "plett_esc"] {
        assert!(said.contains(set), "{set} is missing in\n{said}");
    }
    for note in ["calce_a123: 1 drive(s) not scored: no pulse test", "nasa_pcoe: not scored, it has no drive"]
    {
        assert!(said.contains(note), "`{note}` is missing in\n{said}");
    }
    let found = results(Path::new(&report));
    let left_out = |c: &&Value| c["dataset"] == "plett_esc";
    assert_eq!(found["cases"].as_array().unwrap().iter().filter(left_out).count(), 4);
    assert!(Path::new(&report).join("cells/plett_esc_without_25_degC.toml").is_file());
}
