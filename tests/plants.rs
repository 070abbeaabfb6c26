//! Plants as data sets: what identification finds in them, and `bms verify` on them.

mod common;

use std::fs;

use bms_sim::data::Run;
use bms_sim::identify::identify;
use bms_sim::identify::plan::{Plan, Selection};
use bms_sim::plants::{Extent, PLANTS, Plant, PlantSets, data_sets};
use common::{bms, refused};
use serde_json::Value;
use tempfile::tempdir;

fn sets(name: &str) -> PlantSets {
    let plant = Plant::by_name(name).expect("a plant of this name");
    let made = data_sets(&[plant], Extent::Whole, None, || {}).expect("its sets");
    made.into_iter().next().expect("one plant")
}

/// What a discharge pulse showed in its first 10 s.
struct Pulse {
    soc: f64,
    current_a: f64,
    resistance_ohm: f64,
}

/// The first discharge pulse at or below half charge.
fn pulse(run: &Run) -> Pulse {
    let soc = run.soc_true.as_ref().unwrap();
    let largest = run.current_a.iter().copied().fold(0.0, f64::max);
    let begins =
        |k: &usize| run.current_a[*k] > 0.9 * largest && run.current_a[*k - 1] == 0.0 && soc[*k] < 0.53;
    let start = (1..run.len()).find(begins).expect("a pulse");
    let end = (start..run.len()).find(|&k| run.time_s[k] - run.time_s[start] > 9.999).expect("10 s of it");
    let current_a = run.current_a[end];
    let drop_v = run.voltage_v[start - 1] - run.voltage_v[end];
    Pulse { soc: soc[start], current_a, resistance_ohm: drop_v / current_a }
}

#[test]
fn the_identified_cell_has_the_resistance_that_its_pulses_showed() {
    let new = sets("okane2022").new;
    let cell = identify(&Plan::of_set(&new, &Selection::default()).unwrap()).unwrap();
    let truth_ah = new.truth_capacity_ah.unwrap();
    assert!((cell.cell.capacity_ah / truth_ah - 1.0).abs() < 1e-3, "{} Ah", cell.cell.capacity_ah);
    for fit in &cell.fit {
        // Two tests of up to ten steps, each with a discharge and a charge pulse.
        assert!(fit.pulses.len() >= 16, "{} pulses told at {} degC", fit.pulses.len(), fit.temperature_c);
    }
    let owned = cell.core_tables().unwrap();
    let model = bms_core::cell::CellModel::new(owned.borrow()).unwrap();
    for (file, at_c) in [("p25C_HPPC_1C", 25.0), ("p25C_HPPC_3C", 25.0), ("m10C_HPPC_0.5C", -10.0)] {
        let entry = new.files.iter().find(|f| f.file == file).expect(file);
        let run = new.runs(entry).unwrap().remove(0);
        let pulse = pulse(&run);
        let circuit = model.circuit(at_c, pulse.soc as f32);
        let charged = |r: f32, tau_s: f32| f64::from(r) * (1.0 - (-10.0 / f64::from(tau_s)).exp());
        let (transfer, scale_a) = (f64::from(circuit.rct_ohm), f64::from(circuit.i_ct_a));
        let modelled = f64::from(circuit.r0_ohm)
            + transfer * scale_a / pulse.current_a * (pulse.current_a / scale_a).asinh()
            + charged(circuit.r1_ohm, circuit.tau1_s)
            + charged(circuit.r2_ohm, circuit.tau2_s);
        let off = modelled / pulse.resistance_ohm - 1.0;
        println!("{file}: {modelled:.5} ohm, {off:+.3} off");
        assert!(off.abs() < 0.05, "{file}: {modelled} and {} ohm", pulse.resistance_ohm);
    }
}

#[test]
fn every_plant_is_tested_and_driven_within_its_limits() {
    for plant in PLANTS {
        let sets = sets(plant.name);
        let new_ah = sets.new.truth_capacity_ah.unwrap();
        let named = |name: &str| sets.others.iter().find(|s| s.name.ends_with(name)).expect("a set");
        for (name, share) in [("soh090", 0.9), ("soh080", 0.8)] {
            assert!((named(name).truth_capacity_ah.unwrap() / new_ah - share).abs() < 2e-3);
        }
        assert!(named("spread").files.iter().all(|f| f.truth_capacity_ah.is_some()));
        let [low, high] = sets.new.voltage_limits_v.unwrap();
        let one = |name: &str| sets.new.files.iter().find(move |f| f.file == name).expect("a test");
        for file in ["p25C_OCV20", "m20C_HPPC_0.7C", "p45C_CAP_1C", "m20C_WLTC", "m10C_FAST"].map(one) {
            let run = sets.new.runs(file).unwrap().remove(0);
            // A rested cell may lie anywhere; under load the limits hold but for the row of the switch.
            let loaded = (1..run.len()).filter(|&k| run.current_a[k].abs() > 0.01 && run.dt_s(k) > 0.0);
            let inside = loaded.clone().all(|k| {
                let v = run.voltage_v[k];
                if run.current_a[k] > 0.0 { v > low - 0.002 } else { v < high + 0.002 }
            });
            assert!(inside && loaded.count() > 100, "{}/{}", plant.name, file.file);
            assert!(run.duration_s() > 3600.0 && run.voltage_v.iter().all(|v| v.is_finite()));
            if let Some(open) = &run.contactors_open {
                assert!(open.first() == Some(&true) && open.last() == Some(&true) && open.contains(&false));
                assert!(open.iter().zip(&run.current_a).all(|(open, i)| !open || *i == 0.0));
            }
        }
        let cold = sets.new.runs(one("m10C_HPPC_1C")).unwrap().remove(0);
        let at = cold.temperature_c.as_ref().unwrap();
        let (soc, current) = (cold.soc_true.as_ref().unwrap(), &cold.current_a);
        let pulses: Vec<usize> =
            (1..cold.len()).filter(|&k| current[k] > 0.0 && current[k - 1] == 0.0).collect();
        assert!(
            pulses.iter().any(|&k| at[k] < -9.0) && pulses.iter().any(|&k| at[k] > 24.0),
            "{}",
            plant.name
        );
        assert!(soc.iter().copied().fold(1.0, f64::min) < 0.1, "{}", plant.name);
    }
}

#[test]
fn a_plant_is_scored_like_a_recorded_cell_and_the_same_every_time() {
    let dir = tempdir().unwrap();
    let run = |name: &str| {
        let report = dir.path().join(name);
        let args = [
            "verify",
            "--plants",
            "kim2011",
            "--full",
            "--filter",
            "plant/kim2011/soh080/p25C_WLTC",
            "--json",
        ];
        let outcome = bms(&[&args[..], &["--report", report.to_str().unwrap()]].concat());
        assert_eq!(outcome.code, 0, "{}\n{}", outcome.out, outcome.err);
        let cells =
            fs::read_to_string(report.join("cells/plant_kim2011_soh100.toml")).expect("its cell file");
        (serde_json::from_str::<Value>(&outcome.out).expect("JSON")["cases"].clone(), cells)
    };
    let (cases, cell) = run("a");
    let list = cases.as_array().unwrap();
    assert_eq!(list.len(), 5 + 1 + 2 + 2 + 4 * (3 + 1) - 1, "{list:?}");
    assert!(list.iter().all(|c| c["plant"] == true && c["chemistry"] == "NCA" && c["age"] == "soh080"));
    let known = list.iter().find(|c| c["capacity_known"] == true && c["sensors"] == "ideal").unwrap();
    assert!(known["bms"]["max_points"].as_f64().unwrap() < 5.0, "{known}");
    assert!(cell.contains("plant/kim2011/soh100 (simulated)"));
    assert_eq!((cases, cell), run("b"));
}

#[test]
fn plants_are_left_out_or_refused_by_name() {
    let dir = tempdir().unwrap();
    let report = dir.path().join("report").display().to_string();
    let args = ["verify", "--quick", "--report", &report, "--filter", "p25C_WLTC", "--json", "--plants"];
    let outcome = bms(&[&args[..], &["none"]].concat());
    assert!(outcome.code == 0 && !outcome.out.contains("plant/"), "{}", outcome.err);
    refused(&[&args[..], &["nobody1900"]].concat(), &["--plants nobody1900", "okane2022", "`none`"]);
    refused(&["verify", "--update-bounds", "--plants", "kim2011"], &["all plants or none"]);
}
