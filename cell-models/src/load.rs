//! What a plant may be asked to hold: a current, a power or a voltage.

use crate::error::PlantError;
use crate::plant::Plant;

/// What flows through a cell, or what determines it; positive while the cell discharges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// Current in A.
    CurrentA(f64),
    /// Power at the terminals in W.
    PowerW(f64),
    /// Terminal voltage in V.
    VoltageV(f64),
}

/// Tries for the current before a load is given up.
const TRIES: u32 = 40;
/// What counts as met, as a share of the target.
const TOLERANCE: f64 = 1e-6;
/// How many tolerances a model may step over.
const STEPPED_OVER: f64 = 1e3;

/// The current (A) at which `error` vanishes within `tolerance`, found from `start` by secants kept within a bracket once
/// there is one. `None` if there is none within reach.
fn solve(start: f64, scale: f64, tolerance: f64, mut error: impl FnMut(f64) -> Option<f64>) -> Option<f64> {
    let (mut a, mut at_a) = (start, error(start)?);
    let mut b = start + 0.01 * scale;
    let mut at_b = error(b)?;
    // The points last found with too small and with too large an error: the root lies between them.
    let mut sides = [None; 2];
    for (x, at_x) in [(a, at_a), (b, at_b)] {
        sides[usize::from(at_x > 0.0)] = Some(x);
    }
    for _ in 0..TRIES {
        if at_b.abs() <= tolerance {
            return Some(b);
        }
        let slope = (at_b - at_a) / (b - a);
        let mut next = b - at_b / slope;
        // Too far out the model is no guide: a step of at most ten times the scale.
        next = next.clamp(b - 10.0 * scale, b + 10.0 * scale);
        if !next.is_finite() {
            break;
        }
        if let [Some(one), Some(other)] = sides
            && (next - one) * (next - other) >= 0.0
        {
            next = 0.5 * (one + other);
        }
        let mut at_next = error(next);
        // Where the model has no answer, come back halfway.
        for _ in 0..TRIES {
            if at_next.is_some_and(f64::is_finite) {
                break;
            }
            next = 0.5 * (next + b);
            at_next = error(next);
        }
        let found = at_next.filter(|v| v.is_finite())?;
        sides[usize::from(found > 0.0)] = Some(next);
        // Keep the two points around the root if there are such, else the newer ones.
        if (found > 0.0) != (at_b > 0.0) || at_b.abs() < at_a.abs() {
            (a, at_a) = (b, at_b);
        }
        (b, at_b) = (next, found);
    }
    // A model that takes its time in pieces may step over the target: halve the bracket, then take what is next to it.
    let [Some(mut one), Some(mut other)] = sides else {
        // Where the model takes a small step right at the target, the secants may end beside it, all on one side.
        let (nearest, off) = if at_a.abs() < at_b.abs() { (a, at_a) } else { (b, at_b) };
        return (off.abs() <= STEPPED_OVER * tolerance).then_some(nearest);
    };
    for _ in 0..TRIES {
        let middle = 0.5 * (one + other);
        let at_middle = error(middle).filter(|v| v.is_finite())?;
        (b, at_b) = (middle, at_middle);
        if at_b.abs() <= tolerance {
            break;
        }
        *(if at_middle > 0.0 { &mut other } else { &mut one }) = middle;
    }
    (at_b.abs() <= STEPPED_OVER * tolerance).then_some(b)
}

/// [`Plant::hold`] for every plant.
pub(crate) fn hold<P: Plant>(plant: &mut P, load: Load, dt_s: f64) -> Result<(), PlantError> {
    // A tenth of the current that empties the cell in an hour.
    let scale_a = 0.1 * plant.capacity_ah().abs().max(1e-6);
    hold_scaled(plant, load, dt_s, scale_a)
}

/// The same with the current in A that counts as a large change of it; above 0.
pub(crate) fn hold_scaled<P: Plant>(
    plant: &mut P,
    load: Load,
    dt_s: f64,
    scale: f64,
) -> Result<(), PlantError> {
    let refused = PlantError::LoadOutOfReach { load };
    let before = plant.current_a();
    let current = match load {
        Load::CurrentA(current_a) => current_a,
        // Power is met at the start of the step by the present state.
        Load::PowerW(power_w) => {
            if !power_w.is_finite() {
                return Err(refused);
            }
            let mut trial = plant.clone();
            let tolerance = TOLERANCE * power_w.abs() + 1e-9;
            let error = |i: f64| {
                trial.set_current(i).ok()?;
                Some(i * trial.voltage_v() - power_w)
            };
            let start = power_w / plant.voltage_v().max(0.1);
            solve(start, scale, tolerance, error).ok_or(refused)?
        }
        // Voltage is met at the end of the step, so that the current relaxes as it does under a charger.
        Load::VoltageV(voltage_v) => {
            if !voltage_v.is_finite() {
                return Err(refused);
            }
            let error = |i: f64| {
                let mut trial = plant.clone();
                trial.set_current(i).ok()?;
                trial.advance(dt_s).ok()?;
                Some(voltage_v - trial.voltage_v())
            };
            solve(before, scale, TOLERANCE * voltage_v.abs(), error).ok_or(refused)?
        }
    };
    plant.set_current(current)?;
    plant.advance(dt_s).or_else(|error| {
        plant.set_current(before)?;
        Err(error)
    })
}
