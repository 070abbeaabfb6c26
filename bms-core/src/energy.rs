//! State of energy: what is left under the expected load, and how long discharge and charge will take.
//!
//! The cell model is run forward ([`crate::predict`]) in a bounded number of stretches: remaining energy is the integral of
//! the predicted terminal power until the first limit, the lower voltage or the end of the SOC window,
//!
//! ```text
//! E = ∫ v(t) i(t) dt / 3600   [Wh]
//! ```
//!
//! so that a cold cell or a heavy load, which lose more in the cell and end sooner, show less energy at the same SOC.
//! Charge is constant current and then constant voltage until the current has tapered off.

use crate::math::{abs, bound};
use crate::predict::{Ahead, Heat, Hold, PulseModel, Start};

/// Most stretches of a discharge or a charge.
const STRETCHES: usize = 256;
/// SOC that one stretch moves at most.
const STEP_SOC: f32 = 0.005;
/// Longest stretch in s.
const LONGEST_S: f32 = 3600.0;
/// Halvings for the end of the last stretch and for the current at constant voltage.
const HALVINGS: usize = 12;

/// What ends a discharge or a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum End {
    /// Nothing is known: the state or the load is no number, or there is no load in the direction that was asked about.
    #[default]
    Unknown,
    /// The voltage limit.
    Voltage,
    /// The end of the SOC window.
    Soc,
    /// The charge current has tapered off to what counts as full.
    Tapered,
    /// Neither within the stretches that there are: the load is too small to end; the values are what was reached.
    NotReached,
}

/// Energy and time until a limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Energy {
    /// Energy at the terminals in Wh, positive, out on discharge and in on charge.
    pub energy_wh: f32,
    /// Charge in Ah, positive.
    pub charge_ah: f32,
    /// Time in s.
    pub time_s: f32,
    /// What ends it.
    pub end: End,
}

/// Energy that can be taken under a load before `v_min` or the SOC `soc_min`, and the time that takes.
///
/// `load` is what is expected, discharge positive (constant current, or constant power such as a vehicle's mean).
/// An [`End::Unknown`] with zeros answers a load that is no discharge.
///
/// ```
/// use bms_core::{cell::CellModel, energy, example, predict::Hold, soc::SocEstimator, tuning::Tuning};
///
/// let model = CellModel::new(example::NMC_5AH)?;
/// let cell = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.5)?.operating_point().into();
/// let gentle = energy::remaining(&(&model).into(), &cell, Hold::Power(5.0), model.tables().v_min, 0.0, None);
/// let heavy = energy::remaining(&(&model).into(), &cell, Hold::Power(20.0), model.tables().v_min, 0.0, None);
/// assert!(heavy.energy_wh < gentle.energy_wh && gentle.energy_wh < 2.5 * 4.2);
/// # Ok::<(), bms_core::cell::ParameterError>(())
/// ```
#[must_use]
pub fn remaining(
    model: &PulseModel<'_>,
    start: &Start,
    load: Hold,
    v_min: f32,
    soc_min: f32,
    heat: Option<Heat>,
) -> Energy {
    let size = match load {
        Hold::Current(x) | Hold::Power(x) => x,
    };
    let (Some(mut cell), true) =
        (Ahead::new(model, start, heat), size > 0.0 && v_min.is_finite() && soc_min.is_finite())
    else {
        return Energy::default();
    };
    let capacity_as = 3600.0 * start.at.capacity_ah;
    let mut out = Energy { end: End::NotReached, ..Energy::default() };
    let ended = |cell: &Ahead<'_>, current: Option<f32>| match current {
        Some(i) if cell.voltage_v(i) > v_min && cell.soc > soc_min => None,
        Some(i) if cell.voltage_v(i) > v_min => Some(End::Soc),
        _ => Some(End::Voltage),
    };
    let mut current = cell.current_a(load);
    if let Some(end) = ended(&cell, current) {
        out.end = end;
        return out;
    }
    for _ in 0..STRETCHES {
        let Some(i) = current else { return out };
        let mut dt_s = (STEP_SOC * capacity_as / i.max(1e-6)).min(LONGEST_S);
        let mut next = cell;
        let mut after = next.advance(load, i, dt_s);
        if let Some(end) = ended(&next, after) {
            // Where within this stretch it ends.
            let (mut low_s, mut high_s) = (0.0, dt_s);
            out.end = end;
            for _ in 0..HALVINGS {
                let middle_s = 0.5 * (low_s + high_s);
                let mut trial = cell;
                let there = trial.advance(load, i, middle_s);
                match ended(&trial, there) {
                    None => low_s = middle_s,
                    Some(end) => {
                        high_s = middle_s;
                        out.end = end;
                    }
                }
            }
            dt_s = low_s;
            next = cell;
            after = next.advance(load, i, dt_s);
        }
        out.add(&cell, &next, (i, after.unwrap_or(i)), dt_s);
        if out.end != End::NotReached {
            return out;
        }
        (cell, current) = (next, after);
    }
    out
}

/// Time and energy until a cell is full by constant current `charge_a` (A, a magnitude), then constant voltage `v_max`
/// until the current has fallen to `full_a`, or until the SOC `soc_max`.
#[must_use]
pub fn to_full(
    model: &PulseModel<'_>,
    start: &Start,
    charge_a: f32,
    full_a: f32,
    v_max: f32,
    soc_max: f32,
    heat: Option<Heat>,
) -> Energy {
    let possible =
        full_a > 0.0 && charge_a > full_a && charge_a < 1e6 && v_max.is_finite() && soc_max.is_finite();
    let (Some(mut cell), true) = (Ahead::new(model, start, heat), possible) else { return Energy::default() };
    let capacity_as = 3600.0 * start.at.capacity_ah;
    let mut out = Energy { end: End::NotReached, ..Energy::default() };
    // The largest charge current that keeps the voltage.
    let allowed_a = |cell: &Ahead<'_>| {
        if cell.voltage_v(-charge_a) <= v_max {
            return charge_a;
        }
        let (mut low, mut high) = (0.0, charge_a);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if cell.voltage_v(-middle) <= v_max { low = middle } else { high = middle }
        }
        low
    };
    let mut current_a = allowed_a(&cell);
    for _ in 0..STRETCHES {
        if current_a <= full_a {
            out.end = End::Tapered;
            return out;
        }
        let left = soc_max - cell.soc;
        if left <= 1e-5 {
            out.end = End::Soc;
            return out;
        }
        // While the current tapers a stretch is short against the pairs' relaxation, too.
        let tapering = current_a < charge_a;
        let longest_s = if tapering { 30.0 } else { LONGEST_S };
        let dt_s = (STEP_SOC.min(left) * capacity_as / current_a).min(longest_s);
        // The current at the end of the stretch under the one at its start, then under the mean of both.
        let mut mean_a = current_a;
        let mut next = cell;
        for _ in 0..2 {
            next = cell;
            let _ = next.advance(Hold::Current(-mean_a), -mean_a, dt_s);
            mean_a = 0.5 * (current_a + allowed_a(&next));
        }
        let after_a = allowed_a(&next);
        out.add(&cell, &next, (-current_a, -after_a), dt_s);
        (cell, current_a) = (next, after_a);
    }
    out
}

impl Energy {
    /// Adds a stretch by the trapezoid.
    fn add(&mut self, from: &Ahead<'_>, to: &Ahead<'_>, (from_a, to_a): (f32, f32), dt_s: f32) {
        let power_w = 0.5 * (from_a * from.voltage_v(from_a) + to_a * to.voltage_v(to_a));
        self.energy_wh += bound(abs(power_w), 0.0, 1e9) * dt_s / 3600.0;
        self.charge_ah += 0.5 * abs(from_a + to_a) * dt_s / 3600.0;
        self.time_s += dt_s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::CellModel;
    use crate::example;
    use crate::soc::SocEstimator;
    use crate::tuning::Tuning;
    use proptest::prelude::*;

    fn at(soc: f32, temperature_c: f32) -> Start {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let cell = SocEstimator::new(&model, &Tuning::NMC, 5.0, soc).unwrap();
        let mut start = Start::from(cell.operating_point());
        start.at.temperature_c = temperature_c;
        start
    }

    /// The same model in f64 and steps of a tenth of a second: another integration of the same equations.
    fn fine(start: &Start, load: Hold, until: impl Fn(f64, f64) -> bool) -> (f64, f64) {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let at = &start.at;
        let (mut soc, mut v1, mut v2, mut h) = (f64::from(at.soc.value), 0.0, 0.0, f64::from(at.hysteresis));
        let (mut energy_j, mut time_s, dt) = (0.0, 0.0, 0.1);
        let mut i = 0.0;
        while time_s < 1e6 {
            let c = model.circuit(at.temperature_c, soc as f32);
            let o = model.ocv(at.temperature_c, soc as f32, &at.age);
            let source = f64::from(o.ocv_v) + f64::from(o.hysteresis_v) * h - v1 - v2;
            let drop = |i: f64| f64::from(c.instant_drop(i as f32).0);
            match load {
                Hold::Current(x) => i = f64::from(x),
                Hold::Power(p) => (0..50).for_each(|_| i = f64::from(p) / (source - drop(i))),
            }
            let v = source - drop(i);
            if until(v, soc) {
                break;
            }
            energy_j += i * v * dt;
            time_s += dt;
            soc -= i * dt / (3600.0 * f64::from(at.capacity_ah));
            v1 += dt / f64::from(c.tau1_s) * (f64::from(c.r1_ohm) * i - v1);
            v2 += dt / f64::from(c.tau2_s) * (f64::from(c.r2_ohm) * i - v2);
            let moved = i.abs() * dt / (3600.0 * f64::from(at.capacity_ah));
            h -= moved * f64::from(model.tables().hysteresis_gamma) * (h + i.signum());
        }
        (energy_j / 3600.0, time_s)
    }

    #[test]
    fn agrees_with_a_fine_integration() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let v_min = model.tables().v_min;
        for temperature_c in [0.0, 25.0] {
            for load in [Hold::Power(6.0), Hold::Power(25.0), Hold::Current(5.0)] {
                let from = at(0.8, temperature_c);
                let found = remaining(&(&model).into(), &from, load, v_min, 0.05, None);
                let (energy_wh, time_s) = fine(&from, load, |v, soc| v <= f64::from(v_min) || soc <= 0.05);
                assert!(
                    (f64::from(found.energy_wh) / energy_wh - 1.0).abs() < 0.003,
                    "{found:?} {energy_wh}"
                );
                assert!((f64::from(found.time_s) / time_s - 1.0).abs() < 0.003, "{found:?} {time_s}");
            }
        }
    }

    #[test]
    fn charge_at_constant_current_then_voltage() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let t = *model.tables();
        let found = to_full(&(&model).into(), &at(0.2, 25.0), 2.5, 0.25, t.v_max, 1.05, None);
        assert_eq!(found.end, End::Tapered);
        // No shorter than constant current all the way; the taper is within the charge that is left.
        let cc_s = 3600.0 * found.charge_ah / 2.5;
        assert!(found.time_s > cc_s && found.time_s < 2.5 * cc_s, "{found:?}");
        assert!((found.charge_ah - 0.8 * 5.0).abs() < 0.3, "{found:?}");
        // The constant-current part alone, against the fine integration.
        let to_60 = to_full(&(&model).into(), &at(0.2, 25.0), 2.5, 0.25, t.v_max, 0.6, None);
        let (energy_wh, time_s) = fine(&at(0.2, 25.0), Hold::Current(-2.5), |_, soc| soc >= 0.6);
        assert_eq!(to_60.end, End::Soc);
        assert!((f64::from(to_60.energy_wh) / energy_wh.abs() - 1.0).abs() < 0.003);
        assert!((f64::from(to_60.time_s) / time_s - 1.0).abs() < 0.003);
    }

    #[test]
    fn nonsense_is_refused() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        for load in [Hold::Power(f32::NAN), Hold::Power(-5.0), Hold::Current(0.0)] {
            assert_eq!(remaining(&(&model).into(), &at(0.5, 25.0), load, 2.5, 0.0, None).end, End::Unknown);
        }
        let mut lost = at(0.5, 25.0);
        lost.at.v1 = f32::NAN;
        assert_eq!(remaining(&(&model).into(), &lost, Hold::Power(5.0), 2.5, 0.0, None), Energy::default());
        assert_eq!(to_full(&(&model).into(), &at(0.5, 25.0), -1.0, 0.1, 4.2, 1.0, None).end, End::Unknown);
        // At the limit already: nothing left.
        assert_eq!(
            remaining(&(&model).into(), &at(0.5, 25.0), Hold::Power(5.0), 2.5, 0.6, None).end,
            End::Soc
        );
    }

    proptest! {
        #[test]
        fn more_load_never_gives_more_energy(soc in 0.1f32..1.0, p in 1.0f32..30.0, more in 1.05f32..2.0, t in -10.0f32..45.0) {
            let model = CellModel::new(example::NMC_5AH).unwrap();
            let energy = |p| remaining(&(&model).into(), &at(soc, t), Hold::Power(p), 2.5, 0.0, None).energy_wh;
            prop_assert!(energy(more * p) <= energy(p) * 1.002 + 1e-3);
        }

        #[test]
        fn any_input_gives_a_number(bits in any::<[u32; 9]>()) {
            let model = CellModel::new(example::NMC_5AH).unwrap();
            let [soc, v1, k, t, load, v, z, q, i] = bits.map(f32::from_bits);
            let mut from = at(0.5, 25.0);
            (from.at.soc.value, from.at.v1, from.scales[0].value, from.at.temperature_c) = (soc, v1, k, t);
            (from.at.capacity_ah, from.at.v2) = (q, i);
            let e = remaining(&(&model).into(), &from, Hold::Power(load), v, z, None);
            prop_assert!(e.energy_wh.is_finite() && e.energy_wh >= 0.0 && e.time_s >= 0.0);
            let e = to_full(&(&model).into(), &from, load, i, v, z, None);
            prop_assert!(e.energy_wh.is_finite() && e.energy_wh >= 0.0 && e.time_s >= 0.0);
        }
    }
}
