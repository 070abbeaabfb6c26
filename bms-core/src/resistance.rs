//! Resistance of one cell against the new cell's, from the current's own edges.
//!
//! The new cell's circuit runs on the measured current beside the measured voltage. Both voltage drops pass the same
//! high-pass filter, so that what is left is the answer to the edges of the last ten seconds or so, and over a minute the
//! one is regressed on the other. The ratio depends on temperature: a film on an electrode adds the same ohms to a cold and
//! to a warm cell, while lost active material raises everything in proportion. With `R` the 10 s resistance and three
//! quarters of its growth counted as film,
//!
//! ```text
//! R(T, z) = R_new(T, z) (1 + r (1/4 + 3/4 g)),   g = R_new(25 degC, 50 %) / R_new(T, z),   SOH_R = 1 + r
//! ```
//!
//! and a Kalman filter over `r` takes in one ratio a minute. What is wrong with the tables and the temperature sensor is
//! wrong for hundreds of minutes, so it counts hundredfold in each, and more so away from 25 degC. (Estimating the film's
//! share beside `r` was tried: the seasons then tilt it by the tables' error over temperature, and `SOH_R` with it.)
//!
//! Source: Plett (2004), "Extended Kalman filtering for battery management systems of LiPB-based HEV battery packs,
//! Part 3", J. Power Sources 134, for resistance as a slow state; the regression is our own.

use crate::cell::{Age, CellModel, CircuitPoint};
use crate::math::{abs, bound, decay, sqrt};
use crate::measurement::Measurement;
use crate::soc::{Estimate, Estimated, Status};
use crate::store::stored;

/// Time constant of the high-pass filter in s.
const HIGH_PASS_S: f32 = 15.0;
/// Length of a block that gives one ratio, in s.
const BLOCK_S: f32 = 60.0;
/// Samples further apart than this do not show edges, in s.
const LONGEST_STEP_S: f32 = 2.5;
/// Least root mean square of the high-passed drop in a block, in V.
const LEAST_V: f32 = 0.004;
/// Noise of one voltage sample in V.
const NOISE_V: f32 = 0.001;
/// Error of one block's ratio, relative.
const BLOCK_STD: f32 = 0.05;
/// Error of the ratio at 25 degC that the blocks share, relative; what each K away from there adds; and how many share it.
const SHARED_STD: f32 = 0.008;
const SHARED_PER_K: f32 = 0.002;
const REMEMBERED: f32 = 300.0;
/// Blocks outside these SOC say little about half charge: resistance is steep there and moves with age.
const LOWEST_SOC: f32 = 0.3;
const HIGHEST_SOC: f32 = 0.95;
/// Share of the resistance's growth that is film.
const FILM: f32 = 0.75;
/// Random walk of the growth per square root of one equivalent cycle.
const WALK: f32 = 0.008;
/// Resistance of one cell over its life. A plain value: a copy of it is what to keep over a sleep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResistanceTracker {
    v1: f32,
    v2: f32,
    last: Option<[f32; 3]>,
    /// High-passed measured drop, modelled drop, current.
    passed: [f32; 3],
    /// Sums over the block: modelled², modelled * measured, modelled * current.
    sums: [f32; 3],
    block_s: f32,
    warm_s: f32,
    /// The growth `r` and its variance.
    growth: f32,
    variance: f32,
    blocks: u32,
}

stored!(ResistanceTracker {
    v1: f32 => |t| abs(t.v1) <= 5.0,
    v2: f32 => |t| abs(t.v2) <= 5.0,
    last: Option<[f32; 3]>,
    passed: [f32; 3] => |t| t.passed.iter().all(|v| abs(*v) <= 1e4),
    sums: [f32; 3] => |t| t.sums.iter().all(|s| abs(*s) <= 1e11),
    block_s: f32 => |t| t.block_s >= 0.0,
    warm_s: f32 => |t| t.warm_s >= 0.0,
    growth: f32 => |t| (-0.7..=10.0).contains(&t.growth),
    variance: f32 => |t| t.variance > 0.0 && t.variance <= 1.0,
    blocks: u32,
});

/// Resistance in ohm that a current (A, not zero) shows after `seconds` from rest.
fn pulse_ohm(c: &CircuitPoint, current_a: f32, seconds: f32) -> f32 {
    let (instant, _) = c.instant_drop(current_a);
    instant / current_a
        + c.r1_ohm * (1.0 - decay(seconds / c.tau1_s))
        + c.r2_ohm * (1.0 - decay(seconds / c.tau2_s))
}

/// Resistance of the new cell in ohm after 10 s of a discharge at 1C, at a temperature in degC and an SOC (fraction).
#[must_use]
pub fn new_cell_ohm(model: &CellModel<'_>, temperature_c: f32, soc: f32) -> f32 {
    pulse_ohm(&model.circuit(temperature_c, soc), model.tables().capacity_ah, 10.0)
}

impl ResistanceTracker {
    /// A tracker that begins with a `SOH_R` (1 for a new cell) and its standard deviation.
    #[must_use]
    pub fn new(soh_r: Estimated) -> Self {
        Self {
            v1: 0.0,
            v2: 0.0,
            last: None,
            passed: [0.0; 3],
            sums: [0.0; 3],
            block_s: 0.0,
            warm_s: 0.0,
            growth: bound(soh_r.value, 0.3, 10.0) - 1.0,
            variance: bound(soh_r.std * soh_r.std, 1e-8, 1.0),
            blocks: 0,
        }
    }

    /// `SOH_R`: 10 s resistance over the new cell's, at 25 degC and 50 % SOC.
    #[must_use]
    pub fn soh_r(&self) -> Estimated {
        self.factor(1.0)
    }

    /// Factor on the new cell's 10 s resistance at a temperature in degC and an SOC (fraction).
    #[must_use]
    pub fn scale_at(&self, model: &CellModel<'_>, temperature_c: f32, soc: f32) -> Estimated {
        let here = new_cell_ohm(model, temperature_c, soc);
        self.factor(if here > 0.0 { new_cell_ohm(model, 25.0, 0.5) / here } else { 1.0 })
    }

    /// Ratio to the new cell, whose 10 s resistance is one part in `g` of that at 25 degC and 50 %.
    fn factor(&self, g: f32) -> Estimated {
        let share = 1.0 - FILM + FILM * g;
        Estimated { value: 1.0 + self.growth * share, std: sqrt(self.variance) * share }
    }

    /// Blocks that were taken in so far.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Takes in one sample and what the SOC filter made of it; true when `SOH_R` changed.
    pub fn step(
        &mut self,
        model: &CellModel<'_>,
        sample: &Measurement,
        estimate: &Estimate,
        dt_s: f32,
    ) -> bool {
        let dt_s = bound(dt_s, 0.0, 1e6);
        let soc = estimate.soc.value;
        let temperature_c = sample.temperature_c.valid().unwrap_or(25.0);
        let circuit = model.circuit(temperature_c, soc);
        let (a1, a2) = (decay(dt_s / circuit.tau1_s), decay(dt_s / circuit.tau2_s));
        let mean_a = estimate.mean_current_a;
        self.v1 = bound(a1 * self.v1 + (1.0 - a1) * circuit.r1_ohm * mean_a, -5.0, 5.0);
        self.v2 = bound(a2 * self.v2 + (1.0 - a2) * circuit.r2_ohm * mean_a, -5.0, 5.0);
        let lost = Status::CURRENT_LOST;
        let (Some(voltage_v), Some(current_a), Some(_), false) = (
            sample.voltage_v.valid(),
            sample.current_a.valid(),
            sample.temperature_c.valid(),
            estimate.status.contains(lost) || estimate.status.contains(Status::VOLTAGE_STUCK),
        ) else {
            self.last = None;
            return false;
        };
        let (instant, _) = circuit.instant_drop(current_a);
        let now = [-voltage_v, instant + self.v1 + self.v2, current_a];
        let before = self.last.replace(now);
        let Some(before) = before.filter(|_| dt_s > 0.0 && dt_s <= LONGEST_STEP_S) else {
            self.restart();
            return false;
        };
        // The open-circuit voltage moves with the charge; that is no drop.
        let slope = model.ocv_slope(temperature_c, soc, 0.02, &Age::NEW);
        let moved_v = slope * mean_a * dt_s / (3600.0 * model.tables().capacity_ah);
        let keep = decay(dt_s / HIGH_PASS_S);
        let counted = [moved_v, 0.0, 0.0];
        for (((passed, now), before), counted) in self.passed.iter_mut().zip(now).zip(before).zip(counted) {
            *passed = bound(keep * (*passed + now - before - counted), -1e4, 1e4);
        }
        self.warm_s += dt_s;
        if self.warm_s < 2.0 * HIGH_PASS_S {
            return false;
        }
        let [measured, modelled, current] = self.passed;
        for (sum, new) in self.sums.iter_mut().zip([modelled, measured, current]) {
            *sum += modelled * new * dt_s;
        }
        self.block_s += dt_s;
        if self.block_s < BLOCK_S {
            return false;
        }
        let learnt = self.learn(model, temperature_c, soc);
        self.sums = [0.0; 3];
        self.block_s = 0.0;
        learnt
    }

    fn restart(&mut self) {
        self.passed = [0.0; 3];
        self.sums = [0.0; 3];
        self.block_s = 0.0;
        self.warm_s = 0.0;
    }

    /// Lets the resistance walk with the charge that passes: `cycles` equivalent full cycles.
    pub fn age(&mut self, cycles: f32) {
        self.variance = bound(self.variance + WALK * WALK * bound(cycles, 0.0, 10.0), 1e-8, 1.0);
    }

    fn learn(&mut self, model: &CellModel<'_>, temperature_c: f32, soc: f32) -> bool {
        let [xx, xy, xi] = self.sums;
        let excited = xx > LEAST_V * LEAST_V * BLOCK_S;
        if !excited || !(LOWEST_SOC..=HIGHEST_SOC).contains(&soc) || model.outside_by_k(temperature_c) > 0.0 {
            return false;
        }
        let ratio = xy / xx;
        let g = new_cell_ohm(model, 25.0, 0.5) * xi / xx;
        let shared = SHARED_STD + SHARED_PER_K * abs(temperature_c - 25.0);
        let relative = BLOCK_STD * BLOCK_STD + REMEMBERED * shared * shared;
        let share = 1.0 - FILM + FILM * g;
        let expected = 1.0 + self.growth * share;
        let noise = relative * expected * expected + NOISE_V * NOISE_V / xx;
        let variance = share * share * self.variance + noise;
        let farthest = 3.0 * sqrt(variance);
        let innovation = bound(ratio - expected, -farthest, farthest);
        let gain = self.variance * share / variance;
        self.growth = bound(self.growth + gain * innovation, -0.7, 10.0);
        self.variance = bound((1.0 - gain * share) * self.variance, 1e-8, 1.0);
        self.blocks = self.blocks.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use proptest::prelude::*;

    /// Drives with a cell of which every resistance is `scale` times the tables', and `film_ohm` is added.
    fn drive(tracker: &mut ResistanceTracker, temperature_c: f32, scale: f32, film_ohm: f32, minutes: usize) {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let c = model.circuit(temperature_c, 0.5);
        let (mut v1, mut v2) = (0.0, 0.0);
        for second in 0..60 * minutes {
            // Steps of 4 to 20 s, both ways, never the same twice in a row.
            let i = [5.0, 0.5, -3.0, 8.0, 0.0, -1.0, 3.0][(second / 4 + second / 23) % 7];
            let (a1, a2) = (decay(1.0 / c.tau1_s), decay(1.0 / c.tau2_s));
            v1 = a1 * v1 + (1.0 - a1) * c.r1_ohm * i;
            v2 = a2 * v2 + (1.0 - a2) * c.r2_ohm * i;
            let drop = scale * (c.instant_drop(i).0 + v1 + v2) + film_ohm * i;
            let sample = Measurement::new(3.6 - drop, i, temperature_c);
            let estimate = Estimate {
                soc: Estimated { value: 0.5, std: 0.01 },
                mean_current_a: i,
                ..Estimate::default()
            };
            tracker.step(&model, &sample, &estimate, 1.0);
            tracker.age(0.001);
        }
    }

    #[test]
    fn a_film_is_found_from_warm_and_from_cold_drives() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let new_ohm = new_cell_ohm(&model, 25.0, 0.5);
        for temperature_c in [25.0, 10.0] {
            let mut tracker = ResistanceTracker::new(Estimated { value: 1.0, std: 0.3 });
            drive(&mut tracker, temperature_c, 1.075, 0.225 * new_ohm, 600);
            let soh = tracker.soh_r();
            assert!((soh.value - 1.3).abs() < 0.035, "{temperature_c}: {soh:?}");
            assert!((soh.value - 1.3).abs() < 3.0 * soh.std && soh.std < 0.1);
        }
    }

    #[test]
    fn without_edges_nothing_is_learnt() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let mut tracker = ResistanceTracker::new(Estimated { value: 1.0, std: 0.1 });
        let estimate = Estimate { mean_current_a: 5.0, ..Estimate::default() };
        for _ in 0..3600 {
            assert!(!tracker.step(&model, &Measurement::new(3.4, 5.0, 25.0), &estimate, 1.0));
        }
        assert_eq!((tracker.blocks(), tracker.soh_r().value), (0, 1.0));
    }

    proptest! {
        #[test]
        fn stays_finite_and_within_bounds(inputs in prop::collection::vec(any::<[f32; 6]>(), 1..200)) {
            let model = CellModel::new(example::NMC_5AH).unwrap();
            let mut tracker = ResistanceTracker::new(Estimated { value: 1.0, std: 0.1 });
            for [v, i, t, soc, mean, dt] in inputs {
                let estimate = Estimate {
                    soc: Estimated { value: soc, std: 0.1 },
                    mean_current_a: mean,
                    ..Estimate::default()
                };
                for _ in 0..70 {
                    tracker.step(&model, &Measurement::new(v, i, t), &estimate, dt);
                }
                tracker.age(mean);
                let r = tracker.soh_r();
                prop_assert!((0.3..=11.0).contains(&r.value) && r.std > 0.0 && r.std <= 1.0, "{r:?}");
                prop_assert!(tracker.scale_at(&model, t, soc).value.is_finite());
            }
        }
    }
}
