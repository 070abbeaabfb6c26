//! Resistance of one cell against the new cell's, from the current's own edges.
//!
//! The new cell's circuit runs on the measured current beside the measured voltage. Both voltage drops pass the same
//! high-pass filter, so that what is left is the answer to the edges of the last ten seconds or so, and over a minute the
//! one is regressed on the other. The ratio depends on temperature: a film on an electrode adds the same ohms to a cold and
//! to a warm cell, while lost active material raises everything in proportion. With `R` the 10 s resistance,
//!
//! ```text
//! R(T, z) = a R_new(T, z) + b R_new(25 degC, 50 %),     SOH_R = a + b
//! ```
//!
//! and a Kalman filter over `a` and `b` takes in one ratio a minute. Noise grows away from 25 degC and half charge, where
//! the tables and the temperature sensor matter more.
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
/// Error of one block's ratio at 25 degC and half charge, relative.
const BLOCK_STD: f32 = 0.05;
/// What it grows by per K away from 25 degC.
const PER_K: f32 = 0.006;
/// Error of the ratio that all blocks share (mainly the temperature sensor's offset), relative.
const SHARED_STD: f32 = 0.015;
/// Random walk of `a` and of `b` per square root of one equivalent cycle.
const WALK: f32 = 0.006;

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
    /// `a`, `b` and their covariance: variances of both, and between them.
    a: f32,
    b: f32,
    p: [f32; 3],
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
    /// A tracker that begins with a SOH_R (1 for a new cell) and its standard deviation.
    #[must_use]
    pub fn new(soh_r: f32, std: f32) -> Self {
        let share = 0.5 * std * std;
        Self {
            v1: 0.0,
            v2: 0.0,
            last: None,
            passed: [0.0; 3],
            sums: [0.0; 3],
            block_s: 0.0,
            warm_s: 0.0,
            a: 1.0,
            b: soh_r - 1.0,
            p: [share, share, 0.0],
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
        self.factor(if here > 0.0 { new_cell_ohm(model, 25.0, 0.5) / here } else { 1.0 })
    }

    fn factor(&self, g: f32) -> Estimated {
        let [paa, pbb, pab] = self.p;
        let value = self.a + g * self.b;
        let shared = SHARED_STD * value;
        Estimated { value, std: sqrt(paa + 2.0 * g * pab + g * g * pbb + shared * shared) }
    }

    /// The two parts of SOH_R: the factor on everything, and what is added in multiples of the new resistance.
    #[must_use]
    pub const fn parts(&self) -> [f32; 2] {
        [self.a, self.b]
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
        let walk = WALK * WALK * bound(cycles, 0.0, 10.0);
        let [paa, pbb, _] = &mut self.p;
        *paa = bound(*paa + walk, 1e-8, 1.0);
        *pbb = bound(*pbb + walk, 1e-8, 1.0);
    }

    fn learn(&mut self, model: &CellModel<'_>, temperature_c: f32, soc: f32) -> bool {
        let [xx, xy, xi] = self.sums;
        let excited = xx > LEAST_V * LEAST_V * BLOCK_S;
        if !excited || !(0.1..=0.95).contains(&soc) || model.outside_by_k(temperature_c) > 0.0 {
            return false;
        }
        let ratio = xy / xx;
        let g = new_cell_ohm(model, 25.0, 0.5) * xi / xx;
        #[cfg(feature = "dbg")]
        std::println!(
            "DBGB {temperature_c} {soc} {ratio} {g} {} {}",
            libm::sqrtf(xx / BLOCK_S),
            new_cell_ohm(model, 25.0, 0.5) / new_cell_ohm(model, temperature_c, soc)
        );
        let away = PER_K * abs(temperature_c - 25.0) + 0.3 * (soc - 0.5) * (soc - 0.5);
        let relative = BLOCK_STD + away;
        let expected = self.a + g * self.b;
        let noise = relative * relative * expected * expected + NOISE_V * NOISE_V / xx;
        let [paa, pbb, pab] = self.p;
        let (ha, hb) = (paa + g * pab, pab + g * pbb);
        let variance = ha + g * hb + noise;
        let innovation = bound(ratio - expected, -3.0 * sqrt(variance), 3.0 * sqrt(variance));
        let (ka, kb) = (ha / variance, hb / variance);
        self.a = bound(self.a + ka * innovation, 0.3, 10.0);
        self.b = bound(self.b + kb * innovation, -1.0, 10.0);
        self.p = [bound(paa - ka * ha, 1e-8, 1.0), bound(pbb - kb * hb, 1e-8, 1.0), pab - ka * hb];
        self.blocks = self.blocks.saturating_add(1);
        true
    }
}
