//! The built-in parameter sets against what PyBaMM makes of its own files: numbers, windows and sampled functions, in
//! `tests/golden/pybamm/*.parameters.json` (written by the scripts in `reference/`).

use std::path::Path;

use cell_models::physics::{Arrhenius, Electrode, sets};
use serde_json::Value;

const FARADAY: f64 = 96_485.332_12;
const GAS: f64 = 8.314_462_618;

fn number(v: &Value, path: &str) -> f64 {
    let pointer = format!("/{path}");
    v.pointer(&pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {path}"))
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number")).collect()
}

/// Fails unless `a` is `b` within `relative` (or 1e-15 in absolute terms).
fn same(what: &str, a: f64, b: f64, relative: f64) {
    assert!((a - b).abs() <= relative * b.abs() + 1e-15, "{what}: {a}, but PyBaMM has {b}");
}

fn law(f: &Arrhenius, x: f64, t: f64, t_ref: f64) -> f64 {
    f.at_reference.at(x, t) * (f.activation_j_per_mol / GAS * (1.0 / t_ref - 1.0 / t)).exp()
}

/// Compares `f(x, t)` with samples of one row per temperature.
fn same_over_temperature(
    what: &str,
    table: &Value,
    xs: &[f64],
    temperatures: &[f64],
    f: impl Fn(f64, f64) -> f64,
) {
    let rows = table.as_array().expect("rows");
    assert_eq!(rows.len(), temperatures.len());
    for (row, &t) in rows.iter().zip(temperatures) {
        for (&x, value) in xs.iter().zip(numbers(row)) {
            same(&format!("{what} at x = {x}, {t} K"), f(x, t), value, 1e-9);
        }
    }
}

fn check_electrode(
    set: &str,
    side: &str,
    e: &Electrode,
    t_ref: f64,
    c_max_window: [&str; 2],
    golden: &Value,
) {
    let v = &golden[side];
    for (key, ours) in [
        ("thickness_m", e.thickness_m),
        ("porosity", e.porosity),
        ("active_fraction", e.active_fraction),
        ("particle_radius_m", e.particle_radius_m),
        ("maximum_concentration_mol_per_m3", e.max_concentration_mol_per_m3),
        ("electrolyte_transport_efficiency", e.transport_efficiency),
        ("effective_solid_conductivity_s_per_m", e.conductivity_s_per_m),
    ] {
        same(&format!("{set}, {side}: {key}"), ours, number(v, key), 1e-12);
    }
    for (key, ours) in c_max_window.iter().zip(e.stoichiometry_window) {
        let theirs = number(v, key) / e.max_concentration_mol_per_m3;
        assert!((ours - theirs).abs() < 1e-5, "{set}, {side}: window {ours}, but PyBaMM has {theirs}");
    }
    let samples = &golden["function_samples"];
    let (xs, temperatures) = (numbers(&samples["stoichiometry"]), numbers(&samples["temperature_k"]));
    let s = &samples[side];
    for (&x, u) in xs.iter().zip(numbers(&s["ocp_at_reference_v"])) {
        // PyBaMM adds a barrier at the very ends (1 mV at 0.001), and interpolates a measured potential by a spline.
        let tolerance = if (0.005..=0.995).contains(&x) { 2e-4 } else { 2e-3 };
        let ours = e.ocp_v.at(x, t_ref);
        assert!((ours - u).abs() < tolerance, "{set}, {side}: potential {ours} at {x}, but PyBaMM has {u}");
    }
    for (&x, u) in xs.iter().zip(numbers(&s["entropic_v_per_k"])) {
        same(
            &format!("{set}, {side}: entropic coefficient at {x}"),
            e.entropic_v_per_k.at(x, t_ref),
            u,
            1e-9,
        );
    }
    let name = format!("{set}, {side}: diffusivity");
    same_over_temperature(&name, &s["diffusivity_m2_per_s"], &xs, &temperatures, |x, t| {
        law(&e.diffusivity_m2_per_s, x, t, t_ref)
    });
    let name = format!("{set}, {side}: exchange current");
    same_over_temperature(&name, &s["exchange_current_a_per_m2"], &xs, &temperatures, |x, t| {
        let a = e.reaction_exponent;
        // PyBaMM bends powers near zero, so that their slope stays finite there.
        let power = |z: f64, a: f64| z * (z * z + 1e-6).powf(0.5 * (a - 1.0));
        let rate = law(&e.reaction_rate_mol_per_m2_s, x, t, t_ref);
        FARADAY * rate * power(1.0, 1.0 - a) * power(x, a) * power(1.0 - x, 1.0 - a)
    });
}

#[test]
fn built_in_sets_are_those_of_pybamm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pybamm");
    for (name, file) in [
        ("chen2020", "Chen2020"),
        ("okane2022", "OKane2022"),
        ("mohtat2020", "Mohtat2020"),
        ("kim2011", "NCA_Kim2011"),
        ("oregan2022", "ORegan2022"),
        ("prada2013", "lfp_prada_t"),
    ] {
        let text = std::fs::read_to_string(folder.join(format!("{file}.parameters.json"))).expect(file);
        let golden: Value = serde_json::from_str(&text).expect(file);
        let p = sets::by_name(name).expect(name);
        let t_ref = p.reference_temperature_k;
        for (key, ours) in [
            ("nominal_capacity_ah", p.nominal_capacity_ah),
            ("voltage_limits_v/0", p.voltage_limits_v[0]),
            ("voltage_limits_v/1", p.voltage_limits_v[1]),
            ("electrode_area_m2", p.electrode_area_m2),
            ("electrode_pairs", p.electrode_pairs),
            ("contact_resistance_ohm", p.contact_resistance_ohm),
            ("reference_temperature_k", t_ref),
            ("separator/thickness_m", p.separator.thickness_m),
            ("separator/porosity", p.separator.porosity),
            ("separator/electrolyte_transport_efficiency", p.separator.transport_efficiency),
            ("electrolyte/initial_concentration_mol_per_m3", p.electrolyte.initial_concentration_mol_per_m3),
        ] {
            same(&format!("{name}: {key}"), ours, number(&golden, key), 1e-12);
        }
        same(name, p.negative_capacity_ah(), number(&golden, "negative/electrode_capacity_ah"), 1e-9);
        same(name, p.positive_capacity_ah(), number(&golden, "positive/electrode_capacity_ah"), 1e-9);
        // The heat of the LFP cell is an assumption on either side, and not the same one.
        if name != "prada2013" {
            let heat = p.thermal.core_j_per_k + p.thermal.surface_j_per_k;
            same(name, heat, number(&golden, "thermal/heat_capacity_j_per_k"), 1e-9);
            let cooling = p.thermal.surface_ambient_w_per_k;
            same(name, cooling, number(&golden, "thermal/heat_transfer_w_per_k"), 1e-9);
        }
        let (full, empty) =
            ("initial_concentration_full_mol_per_m3", "initial_concentration_empty_mol_per_m3");
        check_electrode(name, "negative", &p.negative, t_ref, [empty, full], &golden);
        check_electrode(name, "positive", &p.positive, t_ref, [full, empty], &golden);
        let s = &golden["function_samples"]["electrolyte"];
        let cs = numbers(&s["concentration_mol_per_m3"]);
        let ts = numbers(&golden["function_samples"]["temperature_k"]);
        let y = &p.electrolyte;
        same_over_temperature(name, &s["diffusivity_m2_per_s"], &cs, &ts, |c, t| {
            law(&y.diffusivity_m2_per_s, c, t, t_ref)
        });
        same_over_temperature(name, &s["conductivity_s_per_m"], &cs, &ts, |c, t| {
            law(&y.conductivity_s_per_m, c, t, t_ref)
        });
        same_over_temperature(name, &s["transference_number"], &cs, &ts, |c, t| y.transference.at(c, t));
        same_over_temperature(name, &s["thermodynamic_factor"], &cs, &ts, |c, t| {
            y.thermodynamic_factor.at(c, t)
        });
    }
}
