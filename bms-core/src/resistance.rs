//! Resistance of one cell against the new cell's, from the current's own edges.
//!
//! The new cell's circuit runs on the measured current beside the measured voltage. Both voltage drops pass the same
//! high-pass filter, so that what is left is the answer to the edges of the last ten seconds or so, and over a minute the
//! one is regressed on the other. The ratio depends on temperature: a film on an electrode adds the same ohms to a cold and
//! to a warm cell, while lost active material raises everything in proportion. With `R` the 10 s resistance and three
//! quarters of its growth counted as film,
//!
//! ```text
//! R(T, z) = f R_new(T, z) (1 + r (1/4 + 3/4 g)),   g = R_new(25 degC, 50 %) / R_new(T, z),   SOH_R = 1 + r
//! ```
//!
//! and a Kalman filter over `r` takes in one ratio a minute. What is wrong with the tables and the temperature sensor is
//! wrong for hundreds of minutes, so it counts hundredfold in each, and more so away from 25 degC. (Estimating the film's
//! share beside `r` was tried: the seasons then tilt it by the tables' error over temperature, and SOH_R with it.)
//!
//! What the first cycles of a new cell show is taken for a ratio of 1 (`f`, within bounds): the tables' error there and the
//! offset of the temperature sensor drop out of SOH_R, at the price of what the cell ages meanwhile.
//!
//! Source: Plett (2004), "Extended Kalman filtering for battery management systems of LiPB-based HEV battery packs,
//! Part 3", J. Power Sources 134, for resistance as a slow state; the regression is our own.

use crate::cell::{Age, CellModel, CircuitPoint};
use crate::math::{abs, bound, decay, sqrt};
use crate::measurement::Measurement;
use crate::soc::{Estimate, Estimated, Status};

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
/// Share of the resistance's growth that is film.
const FILM: f32 = 0.75;
/// Random walk of the growth per square root of one equivalent cycle.
const WALK: f32 = 0.008;
/// Equivalent cycles over which a new cell shows what a ratio of 1 looks like, and how far that may be from the tables.
const FIRST_CYCLES: f32 = 3.0;
const FARTHEST_NEW: f32 = 0.15;

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
    /// Cycles that are left in which the cell counts as new.
    new_for: f32,
    /// What its ratio was then, and the weight of that mean.
    as_new: f32,
    as_new_weight: f32,
    blocks: u32,
}

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
    /// A tracker of a new cell: what its first cycles show counts as SOH_R = 1.
    #[must_use]
    pub fn of_new_cell() -> Self {
        Self { new_for: FIRST_CYCLES, ..Self::of_aged_cell(Estimated { value: 1.0, std: SHARED_STD }) }
    }

    /// A tracker of a cell whose SOH_R is known as well as its standard deviation says.
    #[must_use]
    pub fn of_aged_cell(soh_r: Estimated) -> Self {
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
            new_for: 0.0,
            as_new: 1.0,
            as_new_weight: 0.0,
            blocks: 0,
        }
    }

    /// SOH_R: 10 s resistance over the new cell's, at 25 degC and 50 % SOC.
    #[must_use]
    pub fn soh_r(&self) -> Estimated {
        self.factor(1.0)
    }

    /// Factor on the new cell's 10 s resistance at a temperature in degC and an SOC (fraction).
    #[must_use]
    pub fn scale_at(&self, model: &CellModel<'_>, temperature_c: f32, soc: f32) -> Estimated {
        let here = new_cell_ohm(model, temperature_c, soc);
        let scale = self.factor(if here > 0.0 { new_cell_ohm(model, 25.0, 0.5) / here } else { 1.0 });
        Estimated { value: self.as_new * scale.value, std: self.as_new * scale.std }
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

    /// Takes in one sample and what the SOC filter made of it; true when SOH_R changed.
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
        let cycles = bound(cycles, 0.0, 10.0);
        if self.new_for > 0.0 {
            self.new_for -= cycles;
            return;
        }
        self.variance = bound(self.variance + WALK * WALK * cycles, 1e-8, 1.0);
    }

    fn learn(&mut self, model: &CellModel<'_>, temperature_c: f32, soc: f32) -> bool {
        let [xx, xy, xi] = self.sums;
        let excited = xx > LEAST_V * LEAST_V * BLOCK_S;
        if !excited || !(0.1..=0.95).contains(&soc) || model.outside_by_k(temperature_c) > 0.0 {
            return false;
        }
        let ratio = xy / xx;
        let g = new_cell_ohm(model, 25.0, 0.5) * xi / xx;
        let shared = SHARED_STD + SHARED_PER_K * abs(temperature_c - 25.0);
        let relative = BLOCK_STD * BLOCK_STD + REMEMBERED * shared * shared;
        if self.new_for > 0.0 {
            self.as_new_weight += 1.0 / relative;
            let step = (ratio - self.as_new) / (relative * self.as_new_weight);
            self.as_new = bound(self.as_new + step, 1.0 - FARTHEST_NEW, 1.0 + FARTHEST_NEW);
            return false;
        }
        let share = 1.0 - FILM + FILM * g;
        let expected = 1.0 + self.growth * share;
        let noise = relative * expected * expected + NOISE_V * NOISE_V / xx;
        let variance = share * share * self.variance + noise;
        let farthest = 3.0 * sqrt(variance);
        let innovation = bound(ratio / self.as_new - expected, -farthest, farthest);
        let gain = self.variance * share / variance;
        self.growth = bound(self.growth + gain * innovation, -0.7, 10.0);
        self.variance = bound((1.0 - gain * share) * self.variance, 1e-8, 1.0);
        self.blocks = self.blocks.saturating_add(1);
        true
    }
}
