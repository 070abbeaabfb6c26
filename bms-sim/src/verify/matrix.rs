//! Under which conditions each drive is scored, and from when on.

use serde::{Deserialize, Serialize};

use crate::cell_file::Chemistry;
use crate::data::Run;
use crate::plants::Extent;
use crate::sensors::SensorCorner;

/// One condition under which a drive is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Error of the SOC that the estimators start with, as a fraction, after clamping to 0..1.
    pub start_error: f64,
    /// Sensor corner.
    pub sensors: SensorCorner,
    /// Added current offset in A, positive on discharge.
    pub current_offset_a: f64,
    /// Whether the estimators know the present capacity; otherwise they are given the new cell's.
    pub capacity_known: bool,
    /// Which draw of the sensor errors, from 0.
    pub draw: u64,
    /// The core is told that its start SOC is remembered ([`REMEMBERED_STD`]); else it is a guess.
    pub remembered: bool,
}

impl Condition {
    /// Right and remembered start, ideal sensors, known capacity.
    pub const RIGHT: Self = Self {
        start_error: 0.0,
        sensors: SensorCorner::Ideal,
        current_offset_a: 0.0,
        capacity_known: true,
        draw: 0,
        remembered: true,
    };
    /// Right start that the core takes for a guess, good sensors.
    pub const GUESSED: Self = Self { sensors: SensorCorner::Good, remembered: false, ..Self::RIGHT };
}

/// Standard deviation of a SOC that the controller remembers from before it slept, fraction.
pub const REMEMBERED_STD: f64 = 0.02;
/// Start errors of the matrix, fractions.
const START_ERRORS: [f64; 4] = [0.1, -0.1, 0.3, -0.3];
/// Current offset in A for small cells.
const OFFSET_A: f64 = 0.3;
/// Cells up to this capacity in Ah get [`OFFSET_A`], larger ones [`OFFSET_HOURS`].
const OFFSET_CELL_AH: f64 = 4.0;
/// The offset of a larger cell empties it in so many hours.
const OFFSET_HOURS: f64 = 15.0;

/// Seconds excluded from every score of a run that starts right.
pub const EXCLUDED_START_S: f64 = 600.0;
/// Declared convergence time of a layered oxide in s.
pub const CONVERGENCE_S: f64 = 900.0;

/// The conditions of one drive.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// To be replayed.
    pub take: Vec<Condition>,
    /// Start errors (fractions) that do not fit between empty and full.
    pub skipped: Vec<f64>,
}

/// The matrix of one drive that starts at `start_soc`.
///
/// Right start, remembered and guessed; ±10 and ±30 points of start error, guessed; a current offset both ways (0.3 A up to 4 Ah, else C/15); the sensor
/// corners `good` and `limit`; for an aged cell also the new cell's capacity, with ideal and with good sensors. A start is
/// clamped to 0..1; where less than half of the start error is left, the case is skipped.
#[must_use]
pub fn conditions(start_soc: f64, nominal_ah: f64, aged: bool, quick: bool) -> Conditions {
    let mut out = Conditions { take: vec![Condition::RIGHT], skipped: Vec::new() };
    if quick {
        return out;
    }
    let starts = start_errors(start_soc);
    out.skipped = starts.skipped;
    let guessed = Condition { remembered: false, ..Condition::RIGHT };
    out.take.extend(starts.take.into_iter().map(|start_error| Condition { start_error, ..guessed }));
    out.take.push(Condition::GUESSED);
    let offset = if nominal_ah <= OFFSET_CELL_AH { OFFSET_A } else { nominal_ah / OFFSET_HOURS };
    for current_offset_a in [offset, -offset] {
        out.take.push(Condition { current_offset_a, ..Condition::RIGHT });
    }
    for sensors in [SensorCorner::Good, SensorCorner::Limit] {
        out.take.push(Condition { sensors, ..Condition::RIGHT });
    }
    if aged {
        for sensors in [SensorCorner::Ideal, SensorCorner::Good] {
            out.take.push(Condition { sensors, capacity_known: false, ..Condition::RIGHT });
        }
    }
    out
}

/// Start errors that fit, and those that do not.
struct Starts {
    take: Vec<f64>,
    skipped: Vec<f64>,
}

fn start_errors(start_soc: f64) -> Starts {
    let mut out = Starts { take: Vec::new(), skipped: Vec::new() };
    for wanted in START_ERRORS {
        let start_error = (start_soc + wanted).clamp(0.0, 1.0) - start_soc;
        if start_error.abs() < 0.5 * wanted.abs() {
            out.skipped.push(wanted);
        } else {
            out.take.push(start_error);
        }
    }
    out
}

/// Draws of the sensor errors in the whole matrix: of the good corner and of the limit corner.
const DRAWS: [(SensorCorner, u64); 2] = [(SensorCorner::Good, 3), (SensorCorner::Limit, 1)];

/// The matrix of one drive of a plant: [`conditions`], and every start error with good sensors too.
///
/// In the whole matrix every start is taken with good sensors in three draws of their errors and with limit sensors.
#[must_use]
pub fn plant_conditions(
    start_soc: f64,
    nominal_ah: f64,
    aged: bool,
    quick: bool,
    extent: Extent,
) -> Conditions {
    let mut out = conditions(start_soc, nominal_ah, aged, quick);
    if quick {
        return out;
    }
    let mut starts = start_errors(start_soc).take;
    starts.push(0.0);
    let draws: &[(SensorCorner, u64)] =
        if extent == Extent::Whole { &DRAWS } else { &[(SensorCorner::Good, 1)] };
    for &(sensors, count) in draws {
        for draw in 0..count {
            for &start_error in &starts {
                let remembered = start_error == 0.0;
                let condition = Condition { start_error, sensors, draw, remembered, ..Condition::RIGHT };
                if !out.take.contains(&condition) {
                    out.take.push(condition);
                }
            }
        }
    }
    out
}

/// What a cell of the spread is replayed under: good sensors, with its own capacity and with that of the usual cell.
#[must_use]
pub fn spread_conditions(quick: bool) -> Conditions {
    if quick {
        return Conditions { take: vec![Condition::RIGHT], skipped: Vec::new() };
    }
    let good = Condition { sensors: SensorCorner::Good, ..Condition::RIGHT };
    Conditions { take: vec![good, Condition { capacity_known: false, ..good }], skipped: Vec::new() }
}

/// Off the plateau of an LFP cell: below this SOC …
const PLATEAU_LOW: f64 = 0.30;
/// … or above this one …
const PLATEAU_HIGH: f64 = 0.95;
/// … for so long (s).
const OFF_PLATEAU_S: f64 = 300.0;
/// A rest that tells the open-circuit voltage (s).
const REST_S: f64 = 1800.0;
/// Currents below this share of the capacity per hour are a rest.
const REST_C: f64 = 0.01;

/// Seconds from the first sample to the declared convergence after a wrong start; `None` if it is never reached.
///
/// - Layered oxides (NMC, NCA): 900 s.
/// - LFP: the voltage tells the SOC only off the plateau or at rest, so convergence is declared when the *reference* has
///   been below 30 % or above 95 % for 5 min without a break, or the cell has rested 30 min (|I| < C/100), whichever comes
///   first, but not before the 600 s that every score excludes.
#[must_use]
pub fn declared_convergence_s(
    chemistry: Chemistry,
    run: &Run,
    reference: &[f64],
    capacity_ah: f64,
) -> Option<f64> {
    if chemistry != Chemistry::Lfp {
        return Some(CONVERGENCE_S);
    }
    let (mut off_s, mut rest_s, mut elapsed_s) = (0.0, 0.0, 0.0);
    for ((k, soc), current) in reference.iter().enumerate().zip(&run.current_a) {
        let dt = run.dt_s(k);
        elapsed_s += dt;
        let off = !(PLATEAU_LOW..=PLATEAU_HIGH).contains(soc);
        off_s = if off { off_s + dt } else { 0.0 };
        rest_s = if current.abs() < REST_C * capacity_ah { rest_s + dt } else { 0.0 };
        if off_s >= OFF_PLATEAU_S || rest_s >= REST_S {
            return Some(elapsed_s.max(EXCLUDED_START_S));
        }
    }
    None
}

/// Seed of a case: the same for the same run, corner and draw on every machine and in every version.
#[must_use]
pub fn seed(base: u64, dataset: &str, file: &str, sensors: SensorCorner, draw: u64) -> u64 {
    let again = if draw == 0 { String::new() } else { format!("/{draw}") };
    hash(format!("{dataset}/{file}/{}/{base}{again}", sensors.name()).as_bytes())
}

/// FNV-1a.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_do_not_fit_are_skipped() {
        let full = conditions(1.0, 3.0, false, false);
        assert_eq!(full.skipped, [0.1, 0.3]);
        assert_eq!(full.take.len(), 8);
        let high = conditions(0.95, 5.0, true, false);
        assert_eq!(high.skipped, [0.3]);
        assert!(high.take.iter().any(|c| (c.start_error - 0.05).abs() < 1e-9));
        assert!(high.take.iter().any(|c| (c.current_offset_a - 1.0 / 3.0).abs() < 1e-9));
        assert_eq!(high.take.iter().filter(|c| !c.capacity_known).count(), 2);
        assert_eq!(conditions(0.5, 3.0, true, true).take, [Condition::RIGHT]);
    }

    #[test]
    fn a_plant_takes_every_start_with_every_sensor_once() {
        let subset = plant_conditions(0.65, 5.0, true, false, Extent::Subset);
        let good = |c: &&Condition| c.sensors == SensorCorner::Good && c.capacity_known;
        assert_eq!(subset.take.iter().filter(good).count(), 6);
        let whole = plant_conditions(0.65, 5.0, true, false, Extent::Whole);
        assert_eq!(whole.take.iter().filter(good).count(), 16);
        assert_eq!(whole.take.iter().filter(|c| c.sensors == SensorCorner::Limit).count(), 5);
        for (k, condition) in whole.take.iter().enumerate() {
            assert!(!whole.take[..k].contains(condition), "{condition:?} is there twice");
        }
        assert_eq!(plant_conditions(0.65, 5.0, true, true, Extent::Whole).take, [Condition::RIGHT]);
    }

    #[test]
    fn lfp_converges_off_the_plateau_or_at_rest() {
        let n = 4000;
        let mut run = Run {
            time_s: (0..n).map(f64::from).collect(),
            current_a: vec![1.0; n as usize],
            voltage_v: vec![3.3; n as usize],
            ..Run::default()
        };
        let on = vec![0.6; n as usize];
        assert_eq!(declared_convergence_s(Chemistry::Nmc, &run, &on, 2.0), Some(900.0));
        assert_eq!(declared_convergence_s(Chemistry::Lfp, &run, &on, 2.0), None);
        let mut off = on.clone();
        off[2000..].fill(0.2);
        assert_eq!(declared_convergence_s(Chemistry::Lfp, &run, &off, 2.0), Some(2299.0));
        run.current_a[1000..].fill(0.01);
        assert_eq!(declared_convergence_s(Chemistry::Lfp, &run, &off, 2.0), Some(2299.0));
        run.current_a[200..].fill(0.01);
        assert_eq!(declared_convergence_s(Chemistry::Lfp, &run, &on, 2.0), Some(1999.0));
    }

    #[test]
    fn seeds_are_fixed() {
        let s = |file| seed(1, "a", file, SensorCorner::Good, 0);
        assert_eq!(s("x"), s("x"));
        assert_ne!(s("x"), s("y"));
        assert_ne!(s("x"), seed(2, "a", "x", SensorCorner::Good, 0));
        assert_ne!(s("x"), seed(1, "a", "x", SensorCorner::Good, 1));
        assert_eq!(seed(1, "", "", SensorCorner::Good, 0), 0xca9a_fae1_5542_e6c2);
    }
}
