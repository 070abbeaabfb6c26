//! The parameters of a cell as a table, and its open-circuit voltages as curves.

use cell_models::physics::{Arrhenius, Electrode, Function, PhysicsParameters};
use cell_models::{EcmParameters, Plant, SupercapCell, SupercapParameters, Table1, Table2, Thermal};

use super::ModelError;
use super::catalog::{Model, Parameters};
use super::cell::{Build, Cell};

/// A value in a table of parameters.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(f64),
    /// Words: a formula, a range of a table.
    Text(String),
}

/// A line of a table of parameters.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Row {
    /// Group, such as `negative electrode`.
    pub part: &'static str,
    /// What it is.
    pub quantity: &'static str,
    /// How much.
    pub value: Value,
    /// Of what; empty for a share.
    pub unit: &'static str,
}

/// Rows of one part.
struct Rows {
    part: &'static str,
    rows: Vec<Row>,
}

impl Rows {
    fn add(&mut self, quantity: &'static str, value: Value, unit: &'static str) {
        self.rows.push(Row { part: self.part, quantity, value, unit });
    }

    fn number(&mut self, quantity: &'static str, value: f64, unit: &'static str) {
        self.add(quantity, Value::Number(value), unit);
    }

    fn text(&mut self, quantity: &'static str, value: String, unit: &'static str) {
        self.add(quantity, Value::Text(value), unit);
    }

    /// A function over `[low, high]`.
    fn function(
        &mut self,
        quantity: &'static str,
        f: &Function,
        ends: [f64; 2],
        t_k: f64,
        unit: &'static str,
    ) {
        match f {
            Function::Constant(value) => self.number(quantity, *value, unit),
            Function::Expression(e) => {
                let text = format!(
                    "{} (formula{})",
                    span(|x| f.at(x, t_k), ends),
                    if e.uses_temperature() { " in x and T" } else { "" }
                );
                self.text(quantity, text, unit);
            }
            Function::Table(t) => {
                let text = format!("{} (table of {} points)", span(|x| f.at(x, t_k), ends), t.values().len());
                self.text(quantity, text, unit);
            }
        }
    }

    fn arrhenius(
        &mut self,
        names: [&'static str; 2],
        law: &Arrhenius,
        ends: [f64; 2],
        t_k: f64,
        unit: &'static str,
    ) {
        self.function(names[0], &law.at_reference, ends, t_k, unit);
        if law.activation_j_per_mol != 0.0 {
            self.number(names[1], 1e-3 * law.activation_j_per_mol, "kJ/mol");
        }
    }

    fn thermal(&mut self, t: &Thermal) {
        self.part = "thermal";
        self.number("heat capacity of the core", t.core_j_per_k, "J/K");
        self.number("heat capacity of the surface", t.surface_j_per_k, "J/K");
        self.number("conductance core to surface", t.core_surface_w_per_k, "W/K");
        self.number("conductance surface to ambient", t.surface_ambient_w_per_k, "W/K");
    }
}

/// Smallest and largest value between two ends.
fn span(f: impl Fn(f64) -> f64, [low, high]: [f64; 2]) -> String {
    let values = (0..=200).map(|k| f(low + (high - low) * f64::from(k) / 200.0)).filter(|v| v.is_finite());
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if least > most { "no value".into() } else { format!("{} to {}", significant(least), significant(most)) }
}

/// A number with five significant digits.
pub(super) fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let magnitude = value.abs().log10().floor();
    if !(-4.0..6.0).contains(&magnitude) {
        let text = format!("{value:.4e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'));
    }
    let decimals = (4.0 - magnitude).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => f.pad(&significant(*value)),
            Self::Text(text) => f.pad(text),
        }
    }
}

/// All parameters of a cell; of a physics one with its capacity as measured on the model (C/20 at 25 degC).
///
/// # Errors
/// When the cell cannot be built from them.
pub fn describe(model: &Model) -> Result<Vec<Row>, ModelError> {
    let capacity_ah = Cell::new(model, &Build::default())?.capacity_ah();
    let mut rows = Rows { part: "cell", rows: Vec::new() };
    rows.number("nominal capacity", model.nominal_capacity_ah(), "Ah");
    if matches!(model.parameters, Parameters::Physics(..)) {
        rows.number("capacity measured at C/20, 25 degC", capacity_ah, "Ah");
    }
    let [low_v, high_v] = model.voltage_limits_v();
    rows.number("lower voltage limit", low_v, "V");
    rows.number("upper voltage limit", high_v, "V");
    match &model.parameters {
        Parameters::Physics(p, _) => physics(&mut rows, p),
        Parameters::Circuit(p) => circuit(&mut rows, p),
        Parameters::Supercap(p) => supercap(&mut rows, p),
    }
    Ok(rows.rows)
}

fn physics(rows: &mut Rows, p: &PhysicsParameters) {
    let t_k = p.reference_temperature_k;
    rows.number("electrode area", p.electrode_area_m2, "m2");
    rows.number("electrode pairs in parallel", p.electrode_pairs, "");
    rows.number("contact resistance", 1e3 * p.contact_resistance_ohm, "mOhm");
    rows.number("reference temperature", t_k, "K");
    rows.number("lithium in the particles", p.lithium_ah(), "Ah");
    rows.part = "negative electrode";
    electrode(rows, &p.negative, p.negative_capacity_ah(), t_k);
    rows.part = "positive electrode";
    electrode(rows, &p.positive, p.positive_capacity_ah(), t_k);
    rows.part = "separator";
    rows.number("thickness", 1e6 * p.separator.thickness_m, "um");
    rows.number("porosity", p.separator.porosity, "");
    rows.number("transport efficiency", p.separator.transport_efficiency, "");
    rows.part = "electrolyte";
    let y = &p.electrolyte;
    let ends = [0.5, 1.5].map(|share| share * y.initial_concentration_mol_per_m3);
    rows.number("initial concentration", y.initial_concentration_mol_per_m3, "mol/m3");
    rows.function("transference number", &y.transference, ends, t_k, "");
    rows.function("thermodynamic factor", &y.thermodynamic_factor, ends, t_k, "");
    rows.arrhenius(["diffusivity", "its activation energy"], &y.diffusivity_m2_per_s, ends, t_k, "m2/s");
    rows.arrhenius(["conductivity", "its activation energy"], &y.conductivity_s_per_m, ends, t_k, "S/m");
    rows.thermal(&p.thermal);
    let Some(ageing) = &p.ageing else { return };
    rows.part = "ageing";
    if let Some(sei) = &ageing.sei {
        rows.number("film: initial thickness", 1e9 * sei.initial_thickness_m, "nm");
        rows.number("film: interstitials D c", sei.interstitial_mol_per_m_s, "mol/(m s)");
        rows.number("film: activation energy", 1e-3 * sei.activation_j_per_mol, "kJ/mol");
        rows.number("film: molar volume", sei.molar_volume_m3_per_mol, "m3/mol");
        rows.number("film: lithium per formula unit", sei.lithium_per_formula, "");
        rows.number("film: resistivity", sei.resistivity_ohm_m, "Ohm m");
    }
    if let Some(plating) = &ageing.plating {
        rows.number("plating: rate constant", plating.rate_m_per_s, "m/s");
        rows.number("plating: transfer coefficient", plating.transfer, "");
        rows.number("plating: rate of dying", plating.dead_per_s, "1/s");
    }
    for (name, loss) in [
        ("loss of negative material per stoichiometry", &ageing.negative_loss),
        ("loss of positive material per stoichiometry", &ageing.positive_loss),
    ] {
        if let Some(loss) = loss {
            rows.number(name, loss.per_stoichiometry, "");
        }
    }
}

fn electrode(rows: &mut Rows, e: &Electrode, capacity_ah: f64, t_k: f64) {
    let window = e.stoichiometry_window;
    rows.text(
        "stoichiometry window",
        format!("{} to {}", significant(window[0]), significant(window[1])),
        "",
    );
    rows.number("charge for stoichiometry 0 to 1", capacity_ah, "Ah");
    rows.number("thickness", 1e6 * e.thickness_m, "um");
    rows.number("porosity", e.porosity, "");
    rows.number("active fraction", e.active_fraction, "");
    rows.number("particle radius", 1e6 * e.particle_radius_m, "um");
    rows.number("maximum concentration", e.max_concentration_mol_per_m3, "mol/m3");
    rows.number("transport efficiency", e.transport_efficiency, "");
    rows.number("conductivity", e.conductivity_s_per_m, "S/m");
    rows.arrhenius(["diffusivity", "its activation energy"], &e.diffusivity_m2_per_s, window, t_k, "m2/s");
    rows.arrhenius(
        ["reaction rate constant", "its activation energy"],
        &e.reaction_rate_mol_per_m2_s,
        window,
        t_k,
        "mol/(m2 s)",
    );
    rows.number("reaction exponent", e.reaction_exponent, "");
    rows.function("open-circuit potential", &e.ocp_v, window, t_k, "V");
    rows.function("entropic coefficient", &e.entropic_v_per_k, window, t_k, "V/K");
    if let Some(h) = &e.hysteresis {
        rows.function("branch of lithiation", &h.lithiation_v, window, t_k, "V");
        rows.function("branch of delithiation", &h.delithiation_v, window, t_k, "V");
        rows.number("decay of the hysteresis", h.decay, "");
    }
}

fn circuit(rows: &mut Rows, p: &EcmParameters) {
    rows.number("coulombic efficiency", p.coulombic_efficiency, "");
    rows.part = "open circuit";
    let over_soc = |t: &Table1, scale: f64| span(|soc| scale * t.at(soc), [0.0, 1.0]);
    rows.text("open-circuit voltage, SOC 0 to 1", over_soc(&p.ocv_v, 1.0), "V");
    rows.text("entropic coefficient", over_soc(&p.entropic_v_per_k, 1e3), "mV/K");
    rows.text("hysteresis", over_soc(&p.hysteresis_v, 1e3), "mV");
    rows.number("hysteresis rate per capacity", p.hysteresis_gamma, "");
    rows.part = "resistances at 25 degC";
    let at_25 = |t: &Table2, scale: f64| span(|soc| scale * t.at(25.0, soc), [0.0, 1.0]);
    rows.text("R0 on discharge", at_25(&p.r0_discharge_ohm, 1e3), "mOhm");
    rows.text("R0 on charge", at_25(&p.r0_charge_ohm, 1e3), "mOhm");
    let names = [["R1", "tau1"], ["R2", "tau2"], ["R3", "tau3"]];
    for (pair, [r, tau]) in p.rc.iter().zip(names) {
        rows.text(r, at_25(&pair.r_ohm, 1e3), "mOhm");
        rows.text(tau, at_25(&pair.tau_s, 1.0), "s");
    }
    rows.thermal(&p.thermal);
}

fn supercap(rows: &mut Rows, p: &SupercapParameters) {
    rows.part = "main branch";
    rows.number("capacitance at 0 V", p.main_f, "F");
    rows.number("capacitance for each volt more", p.main_f_per_v, "F/V");
    rows.number("resistance at 25 degC", 1e3 * p.main_ohm.at(25.0), "mOhm");
    rows.number("resistance at -20 degC", 1e3 * p.main_ohm.at(-20.0), "mOhm");
    rows.part = "slow branch";
    rows.number("capacitance", p.slow_f, "F");
    rows.number("resistance", p.slow_ohm, "Ohm");
    rows.part = "leakage";
    rows.number("resistance", p.leakage_ohm, "Ohm");
    rows.thermal(&p.thermal);
}

/// A curve over the SOC of the cell: name and points (SOC 0..1, V).
pub type Curve = (&'static str, Vec<(f64, f64)>);

/// Open-circuit voltage, and of a physics cell the potentials of both electrodes, over the SOC between the voltage
/// limits at the reference temperature; branches as curves of their own.
#[must_use]
pub fn curves(model: &Model) -> Vec<Curve> {
    const POINTS: u32 = 500;
    let over = |f: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        (0..=POINTS).map(|k| f64::from(k) / f64::from(POINTS)).map(|soc| (soc, f(soc))).collect()
    };
    match &model.parameters {
        Parameters::Physics(p, _) => {
            let t_k = p.reference_temperature_k;
            let ([x0, x1], [y0, y1]) = (p.negative.stoichiometry_window, p.positive.stoichiometry_window);
            let (x, y) = (|soc: f64| x0 + (x1 - x0) * soc, |soc: f64| y1 + (y0 - y1) * soc);
            let mut curves = vec![
                ("cell", over(&|soc| p.open_circuit_voltage_v(x(soc), y(soc)))),
                ("positive electrode", over(&|soc| p.positive.ocp_v.at(y(soc), t_k))),
                ("negative electrode", over(&|soc| p.negative.ocp_v.at(x(soc), t_k))),
            ];
            let (n, q) = (&p.negative, &p.positive);
            if n.hysteresis.is_some() || q.hysteresis.is_some() {
                let branch = |e: &Electrode, lithiates: bool, at: f64| match &e.hysteresis {
                    Some(h) if lithiates => h.lithiation_v.at(at, t_k),
                    Some(h) => h.delithiation_v.at(at, t_k),
                    None => e.ocp_v.at(at, t_k),
                };
                curves.push((
                    "cell, after discharge",
                    over(&|soc| branch(q, true, y(soc)) - branch(n, false, x(soc))),
                ));
                curves.push((
                    "cell, after charge",
                    over(&|soc| branch(q, false, y(soc)) - branch(n, true, x(soc))),
                ));
            }
            curves
        }
        Parameters::Circuit(p) => vec![
            ("cell", over(&|soc| p.ocv_v.at(soc))),
            ("cell, after discharge", over(&|soc| p.ocv_v.at(soc) - p.hysteresis_v.at(soc))),
            ("cell, after charge", over(&|soc| p.ocv_v.at(soc) + p.hysteresis_v.at(soc))),
        ],
        Parameters::Supercap(p) => {
            let rested = |soc: f64| SupercapCell::new((**p).clone(), soc, 25.0);
            vec![("cell", over(&|soc| rested(soc).map_or(f64::NAN, |cell| cell.voltage_v())))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::known;
    use super::*;

    #[test]
    fn numbers_have_five_digits() {
        let cases =
            [(0.0, "0"), (4.2, "4.2"), (85.2e-6, "8.52e-5"), (33133.0, "33133"), (1.23456789, "1.2346")];
        for (value, text) in cases {
            assert_eq!(significant(value), text);
        }
        assert_eq!(significant(1e10), "1e10");
        assert_eq!(significant(100_000.0), "100000");
    }

    #[test]
    fn every_cell_is_described_and_its_curves_rise() {
        for entry in known() {
            let model = entry.model().unwrap();
            let rows = describe(&model).unwrap();
            let capacity = &rows[0];
            assert!(
                capacity.quantity.contains("capacity")
                    && matches!(capacity.value, Value::Number(q) if q > 0.1)
            );
            assert!(rows.iter().all(|r| !r.value.to_string().contains("NaN")), "{rows:?}");
            let curves = curves(&model);
            let ocv = &curves[0].1;
            let [low_v, high_v] = model.voltage_limits_v();
            assert!(ocv[0].1 >= low_v - 1e-6 && ocv[ocv.len() - 1].1 <= high_v + 1e-6);
        }
    }
}
