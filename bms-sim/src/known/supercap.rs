//! Tests of a supercapacitor, and the tables that they give.
//!
//! A supercapacitor's rates are a hundred times a cell's, and its open-circuit voltage is its state of charge: the tests of
//! a battery laboratory, in multiples of its capacity, would show nothing of its resistance. Two tests are enough:
//!
//! * a slow discharge between its voltage limits (1 h: in a longer one leakage takes a share), which gives capacity and
//!   open-circuit voltage;
//! * at each temperature and level a discharge of 10 s that takes a tenth of the charge: the voltage's step gives the ohmic
//!   resistance, the recovery in the minutes after it the slow branch.
//!
//! There is no tuning of the estimators for supercapacitors: NMC's is used, whose open-circuit voltage shows the SOC
//! throughout as a supercapacitor's does.

use cell_models::{Plant, PlantError, SupercapCell, SupercapParameters};

use super::KnownError;
use crate::cell_file::{CellFile, CellInfo, Chemistry, FORMAT_VERSION, Provenance, Tables, Validity};
use crate::identify::circuit::CIRCUIT_COLUMNS;
use crate::identify::ocv::OCV_COLUMNS;

/// Temperatures of the pulses in degC.
const PULSES_C: [f64; 5] = [-40.0, -20.0, 0.0, 25.0, 60.0];
/// Length of the slow discharge in h.
const SLOW_H: f64 = 1.0;
/// Length of a pulse in s, and the share of the charge that it takes.
const PULSE_S: f64 = 10.0;
const PULSE_SOC: f64 = 0.1;
/// The recovery is read after these times in s: equal distances, so that an exponential shows its time constant.
const READ_S: [f64; 3] = [5.0, 65.0, 125.0];
/// What the tables leave unexplained in V: the capacitance between the columns, and leakage.
const MODEL_ERROR_V: f64 = 2e-3;

/// Tests a supercapacitor and writes down what was found.
pub(super) fn test(parameters: &SupercapParameters, name: &str) -> Result<CellFile, KnownError> {
    let full = SupercapCell::new(parameters.clone(), 1.0, 25.0)?;
    let (capacity_ah, open_v) = slow_discharge(full)?;
    let mut circuit = Vec::with_capacity(PULSES_C.len());
    for celsius in PULSES_C {
        let at = |k: usize| {
            // A pulse needs room above empty.
            let soc = (k as f64 / (CIRCUIT_COLUMNS - 1) as f64).max(PULSE_SOC);
            pulse(SupercapCell::new(parameters.clone(), soc, celsius)?, capacity_ah)
        };
        circuit.push((0..CIRCUIT_COLUMNS).map(at).collect::<Result<Vec<_>, KnownError>>()?);
    }
    let table = |f: fn(&Pulse) -> f64| circuit.iter().map(|row| row.iter().map(f).collect()).collect();
    let same = |value: f64, columns: usize| vec![vec![value; columns]; PULSES_C.len()];
    let [v_min, v_max] = parameters.voltage_limits_v;
    let pulse_c = PULSE_SOC * 3600.0 / PULSE_S;
    Ok(CellFile {
        format_version: FORMAT_VERSION,
        cell: CellInfo {
            name: name.into(),
            chemistry: Chemistry::Nmc,
            nominal_capacity_ah: capacity_ah,
            capacity_ah,
            coulombic_efficiency: 1.0,
            v_min,
            v_max,
        },
        validity: Validity { temperature_c: [PULSES_C[0], 60.0], soc: [0.0, 1.0], c_rate: [pulse_c, 0.0] },
        provenance: Provenance {
            tool: format!("bms {}", env!("CARGO_PKG_VERSION")),
            source: format!("{name} (simulated)"),
            files: Vec::new(),
            warnings: vec!["a supercapacitor: the tuning is that of NMC cells".into()],
        },
        tables: Tables {
            temperature_c: PULSES_C.to_vec(),
            ocv_v: vec![open_v; PULSES_C.len()],
            hysteresis_v: same(0.0, OCV_COLUMNS),
            r0_ohm: table(|p| p.ohm),
            rct_ohm: same(0.0, CIRCUIT_COLUMNS),
            r1_ohm: same(0.0, CIRCUIT_COLUMNS),
            tau1_s: same(1.0, CIRCUIT_COLUMNS),
            r2_ohm: table(|p| p.slow_ohm),
            tau2_s: table(|p| p.slow_s),
            i_ct_a: vec![capacity_ah; PULSES_C.len()],
            model_error_v: same(MODEL_ERROR_V, CIRCUIT_COLUMNS),
            hysteresis_gamma: 0.0,
            ageing: None,
            negative_v: Vec::new(),
        },
        fit: Vec::new(),
    })
}

/// Capacity in Ah between the voltage limits and the voltage over SOC 0..1, from full.
fn slow_discharge(mut cell: SupercapCell) -> Result<(f64, Vec<f64>), PlantError> {
    let current_a = cell.capacity_ah() / SLOW_H;
    let [v_min, _] = cell.voltage_limits_v();
    cell.set_current(current_a)?;
    let (mut taken, mut volt) = (vec![0.0], vec![cell.voltage_v()]);
    let step_s = 1.0;
    while cell.voltage_v() > v_min {
        cell.advance(step_s)?;
        taken.push(taken.len() as f64 * step_s * current_a / 3600.0);
        volt.push(cell.voltage_v());
    }
    let capacity_ah = taken.last().copied().unwrap_or_default();
    let at = |k: usize| {
        let wanted = (1.0 - k as f64 / (OCV_COLUMNS - 1) as f64) * capacity_ah;
        let above = taken.partition_point(|q| *q < wanted).clamp(1, taken.len() - 1);
        let share = (wanted - taken[above - 1]) / (taken[above] - taken[above - 1]);
        volt[above - 1] + (volt[above] - volt[above - 1]) * share
    };
    Ok((capacity_ah, (0..OCV_COLUMNS).map(at).collect()))
}

/// What a pulse shows.
struct Pulse {
    ohm: f64,
    slow_ohm: f64,
    slow_s: f64,
}

fn pulse(mut cell: SupercapCell, capacity_ah: f64) -> Result<Pulse, KnownError> {
    let current_a = PULSE_SOC * capacity_ah * 3600.0 / PULSE_S;
    cell.set_current(current_a)?;
    cell.advance(PULSE_S)?;
    let loaded_v = cell.voltage_v();
    cell.set_current(0.0)?;
    let ohm = (cell.voltage_v() - loaded_v) / current_a;
    let mut read_v = [0.0; 3];
    let mut time_s = 0.0;
    for (v, at_s) in read_v.iter_mut().zip(READ_S) {
        cell.advance(at_s - time_s)?;
        time_s = at_s;
        *v = cell.voltage_v();
    }
    // v(t) = v_end - u exp(-t / tau): the ratio of the two rises tells tau.
    let [first, second] = [read_v[1] - read_v[0], read_v[2] - read_v[1]];
    let apart_s = READ_S[1] - READ_S[0];
    let slow_s = apart_s / (first / second).ln();
    let after_pulse_v = first / (1.0 - (-apart_s / slow_s).exp()) * (READ_S[0] / slow_s).exp();
    let slow_ohm = after_pulse_v / (current_a * (1.0 - (-PULSE_S / slow_s).exp()));
    Ok(Pulse { ohm, slow_ohm, slow_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_cell() {
        let parameters = SupercapParameters::typical_3000f();
        let found = test(&parameters, "typical_3000f").unwrap();
        let cell = SupercapCell::new(parameters, 0.5, 25.0).unwrap();
        assert!((found.cell.capacity_ah / cell.capacity_ah() - 1.0).abs() < 0.02);
        // Half charge and 25 degC.
        let t = &found.tables;
        assert!((t.ocv_v[3][(OCV_COLUMNS - 1) / 2] - cell.voltage_v()).abs() < 5e-3);
        let k = (CIRCUIT_COLUMNS - 1) / 2;
        assert!((1e3 * t.r0_ohm[3][k] - 0.29).abs() < 0.003, "{}", t.r0_ohm[3][k]);
        assert!((t.r0_ohm[0][k] / t.r0_ohm[3][k] - 1.7).abs() < 0.02);
        // Two capacitors behind 0.6 ohm: C = C1 C2 / (C1 + C2), seen from outside with (C2 / (C1 + C2)) squared.
        let [c1, c2]: [f64; 2] = [2200.0 + 395.0 * cell.voltage_v(), 200.0];
        let (tau_s, ohm) = (0.6 * c1 * c2 / (c1 + c2), 0.6 * (c2 / (c1 + c2)).powi(2));
        assert!((t.tau2_s[3][k] / tau_s - 1.0).abs() < 0.05, "{} s and {tau_s} s", t.tau2_s[3][k]);
        assert!((t.r2_ohm[3][k] / ohm - 1.0).abs() < 0.1, "{} ohm and {ohm} ohm", t.r2_ohm[3][k]);
        found.core_tables().unwrap();
    }
}
