//! What short loads cost: resistances and polarisation as the driving shows them.
//!
//! The SOC filter shares what it does not understand of a voltage among its states so that the SOC stays right. Predicting
//! a pulse needs something else: how much the voltage moves when the current does. This observer runs the RC pairs on the
//! measured current alone and regresses the measured voltage on the parts of the drop, and on an ohmic one that ageing adds, both without their slow part,
//! so that errors of the open-circuit voltage do not count:
//!
//! ```text
//! y = OCV + M h - v,   x = (R0 i + Rct i_ct asinh(i / i_ct), v1, v2, (R0 + Rct) i)
//! y - <y> = k (x - <x>)      <.> mean over the last minutes; k by recursive least squares with a random walk
//! e = k x - y                averaged over some seconds: what is added to the predicted voltage
//! ```
//!
//! Source: Plett (2006), "Sigma-point Kalman filtering for battery management systems of LiPB-based HEV battery packs,
//! Part 2", J. Power Sources 161 (parameters apart from the state); least squares with forgetting: Ljung (1999), "System
//! Identification", ch. 11.

use crate::math::{abs, bound, decay, sqrt};
use crate::predict::{PulseModel, Start, follow_surface};
use crate::soc::{Estimated, OperatingPoint};
use crate::store::stored;

/// Parts of the drop.
const PARTS: usize = 4;
/// Time over which the slow part of a signal is averaged (s).
const SLOW_S: f32 = 100.0;
/// Time over which the error of the voltage is averaged (s).
const ERROR_S: f32 = 20.0;
/// The factors at first …
const FIRST: [f32; PARTS] = [1.0, 1.0, 1.0, 0.0];
/// … and their standard deviations: ageing and temperature can do that much, films mostly add ohmic resistance.
const FIRST_STD: [f32; PARTS] = [0.15, 0.3, 0.3, 0.4];
/// Random walk of the factors per square root of an hour, over SOC and temperature.
const WALK: [f32; PARTS] = [0.08, 0.08, 0.08, 0.08];
/// Error of the regressed voltage in V, and as a share of the drop.
const NOISE: (f32, f32) = (0.004, 0.1);
/// Samples closer together than this share their error (s).
const SHARED_S: f32 = 5.0;

/// Observer of the resistances of one cell, beside its SOC estimator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PulseObserver<'a> {
    model: PulseModel<'a>,
    state: PulseState,
}

/// What a [`PulseObserver`] has learnt: what to keep over a sleep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PulseState {
    v1: f32,
    v2: f32,
    surface: [f32; 3],
    scale: [f32; PARTS],
    covariance: [[f32; PARTS]; PARTS],
    slow: [f32; PARTS],
    slow_y: f32,
    error_v: f32,
    error_variance: f32,
    started: bool,
}

stored!(PulseState {
    v1: f32 => |s| abs(s.v1) <= 5.0,
    v2: f32 => |s| abs(s.v2) <= 5.0,
    surface: [f32; 3] => |s| s.surface.iter().all(|q| abs(*q) <= 1e4),
    scale: [f32; PARTS] => |s| s.scale.iter().all(|k| (-0.3..=5.0).contains(k)),
    covariance: [[f32; PARTS]; PARTS] => |s| {
        s.covariance.iter().enumerate().all(|(k, row)| row.get(k).is_some_and(|p| *p >= 0.0))
    },
    slow: [f32; PARTS],
    slow_y: f32,
    error_v: f32 => |s| abs(s.error_v) <= 1.0,
    error_variance: f32 => |s| (0.0..=1.0).contains(&s.error_variance),
    started: bool,
});

impl<'a> PulseObserver<'a> {
    /// An observer of a rested cell.
    #[must_use]
    pub fn new(model: PulseModel<'a>) -> Self {
        let mut covariance = [[0.0; PARTS]; PARTS];
        for (k, (row, std)) in covariance.iter_mut().zip(FIRST_STD).enumerate() {
            if let Some(p) = row.get_mut(k) {
                *p = std * std;
            }
        }
        let state = PulseState {
            v1: 0.0,
            v2: 0.0,
            surface: [0.0; 3],
            scale: FIRST,
            covariance,
            slow: [0.0; PARTS],
            slow_y: 0.0,
            error_v: 0.0,
            error_variance: 0.0,
            started: false,
        };
        Self { model, state }
    }

    /// What to keep over a sleep.
    #[must_use]
    pub const fn state(&self) -> PulseState {
        self.state
    }

    /// An observer that goes on where another one was, with the same tables.
    #[must_use]
    pub const fn restore(model: PulseModel<'a>, state: PulseState) -> Self {
        Self { model, state }
    }

    /// Takes in a sample: `at` is the cell's state after it, `voltage_v` and `at.current_a` belong to the same instant,
    /// `mean_a` flowed over the `dt_s` seconds before it. Without a voltage it only follows the polarisation.
    pub fn step(&mut self, at: &OperatingPoint, voltage_v: Option<f32>, mean_a: f32, dt_s: f32) {
        if !((0.0..1e6).contains(&dt_s)
            && mean_a.is_finite()
            && at.current_a.is_finite()
            && at.capacity_ah > 1e-3)
        {
            return;
        }
        let c = self.model.cell.circuit(at.temperature_c, at.soc.value);
        let s = &mut self.state;
        let (a1, a2) = (decay(dt_s / c.tau1_s), decay(dt_s / c.tau2_s));
        s.v1 = bound(a1 * s.v1 + (1.0 - a1) * c.r1_ohm * mean_a, -5.0, 5.0);
        s.v2 = bound(a2 * s.v2 + (1.0 - a2) * c.r2_ohm * mean_a, -5.0, 5.0);
        follow_surface(&mut s.surface, mean_a / at.capacity_ah, dt_s);
        let Some(voltage_v) = voltage_v.filter(|v| v.is_finite()) else { return };
        let shift = self.model.surface.shift(at.temperature_c, &s.surface);
        let open = self.model.cell.surface_ocv(at.temperature_c, at.soc.value, &at.age, shift);
        let y = open.ocv_v + open.hysteresis_v * at.hysteresis - voltage_v;
        let x = [c.instant_drop(at.current_a).0, s.v1, s.v2, (c.r0_ohm + c.rct_ohm) * at.current_a];
        if !s.started {
            s.started = true;
            (s.slow, s.slow_y) = (x, y);
            s.error_v = x.iter().zip(FIRST).map(|(x, k)| k * x).sum::<f32>() - y;
        }
        let forget = 1.0 - decay(dt_s / SLOW_S);
        for (slow, x) in s.slow.iter_mut().zip(x) {
            *slow += forget * (x - *slow);
        }
        s.slow_y += forget * (y - s.slow_y);
        let mut fast = [0.0; PARTS];
        for ((f, x), slow) in fast.iter_mut().zip(x).zip(s.slow) {
            *f = x - slow;
        }
        s.regress(&fast, y - s.slow_y, dt_s);
        let explained: f32 = s.scale.iter().zip(x).map(|(k, x)| k * x).sum();
        let left = explained - y - s.error_v;
        let quick = 1.0 - decay(dt_s / ERROR_S);
        s.error_v = bound(s.error_v + quick * left, -1.0, 1.0);
        s.error_variance = bound(s.error_variance + 0.2 * quick * (left * left - s.error_variance), 0.0, 1.0);
    }

    /// The same after a long rest: what was learnt stays, the polarisation is gone.
    #[must_use]
    pub fn rested(mut self) -> Self {
        let s = &mut self.state;
        (s.v1, s.v2, s.surface) = (0.0, 0.0, [0.0; 3]);
        (s.slow, s.slow_y, s.started) = ([0.0; PARTS], 0.0, false);
        self
    }

    /// Where a prediction starts: the cell's state with the polarisation, the resistances and the error seen here.
    #[must_use]
    pub fn start(&self, at: &OperatingPoint) -> Start {
        let s = &self.state;
        let error_std = sqrt(s.error_variance);
        let mut scales = [Estimated::default(); PARTS];
        for (k, ((out, value), row)) in scales.iter_mut().zip(s.scale).zip(&s.covariance).enumerate() {
            *out = Estimated { value, std: sqrt(row.get(k).copied().unwrap_or(0.0)) };
        }
        let at = OperatingPoint {
            v1: s.v1,
            v2: s.v2,
            error_v: Estimated { value: s.error_v, std: error_std },
            ..*at
        };
        Start { at, scales, surface: s.surface }
    }
}

impl PulseState {
    /// One step of recursive least squares.
    fn regress(&mut self, x: &[f32; PARTS], y: f32, dt_s: f32) {
        let hours = dt_s / 3600.0;
        for (k, ((row, walk), most)) in self.covariance.iter_mut().zip(WALK).zip(FIRST_STD).enumerate() {
            if let Some(p) = row.get_mut(k) {
                *p = bound(*p + walk * walk * hours, 1e-6, most * most);
            }
        }
        let drop: f32 = x.iter().take(3).map(|x| abs(*x)).sum();
        let share = bound(SHARED_S / dt_s.max(1e-3), 1.0, 100.0);
        let noise = (NOISE.0 * NOISE.0 + NOISE.1 * NOISE.1 * drop * drop) * share;
        let mut px = [0.0; PARTS];
        for (p, row) in px.iter_mut().zip(&self.covariance) {
            *p = row.iter().zip(x).map(|(a, b)| a * b).sum();
        }
        let variance = noise + px.iter().zip(x).map(|(a, b)| a * b).sum::<f32>();
        let predicted: f32 = self.scale.iter().zip(x).map(|(k, x)| k * x).sum();
        let innovation = y - predicted;
        // What no resistance explains is not learnt from.
        if !variance.is_finite() || variance < 1e-9 || innovation * innovation > 25.0 * variance {
            return;
        }
        for (scale, p) in self.scale.iter_mut().zip(px) {
            *scale = bound(*scale + p / variance * innovation, -0.3, 5.0);
        }
        for (row, p) in self.covariance.iter_mut().zip(px) {
            for (entry, q) in row.iter_mut().zip(px) {
                *entry -= p * q / variance;
            }
        }
    }
}
