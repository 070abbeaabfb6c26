//! Capacity of one cell, from the charge that passes between two moments at which the voltage tells the SOC.
//!
//! A window runs between two such moments: long rests, whose open-circuit voltage gives the SOC, and ends of full charges.
//! Its charge (Ah, out of the cell) and its change of SOC are both uncertain, so that the capacity is a regression with
//! errors on both axes: total least squares
//!
//! ```text
//! min over Q of  Σ w (y - Q x)² / (1 + k² Q²),   x = z_1 - z_2 (SOC),  y = charge / Q_ref,  k = σ_x / σ_y
//! ```
//!
//! which three sums with forgetting solve in closed form. Plain least squares takes the error of x for capacity and reads
//! too low. Source: Plett (2011), "Recursive approximate weighted total least squares estimation of battery cell total
//! capacity", J. Power Sources 196 (its proportional case; the weights follow each window's own variance).
//!
//! The SOC of a rest depends on how far the electrodes have slid ([`CellModel::age`]), hence on the capacity itself.
//! A window says `C(Q) = Q (z_1(Q) - z_2(Q)) = charge`; linearised at the present estimate this is again a line,
//! with `x = dC/dQ` and `y = charge - C + Q dC/dQ`. Where voltage and charge say nothing of the fade, `x` is small and so
//! is the window's weight.

use crate::cell::{Age, CellModel, ParameterError};
use crate::charge::ChargeCounter;
use crate::math::{abs, bound, sqrt};
use crate::measurement::Measurement;
use crate::soc::{Estimate, Estimated, Status};
use crate::tuning::Tuning;

/// Moments that are kept for windows to begin at.
const ANCHORS: usize = 6;
/// Shallowest window, in SOC.
const SHALLOWEST: f32 = 0.25;
/// Least `dC/dQ` of a window that counts.
const LEAST_SENSITIVITY: f32 = 0.1;
/// Largest relative standard deviation of the capacity that one window alone would give.
const VAGUEST: f32 = 0.15;
/// Share of the earlier windows' weight that is left after each new one: about twenty are remembered.
const MEMORY: f32 = 0.95;
/// Ratio of the standard deviations of x and y.
const K: f32 = 3.0;
/// Standard deviation of an open-circuit voltage read after a very long rest, in V.
const REST_STD_V: f32 = 0.004;
/// What relaxation adds to it when the rest begins to count as one, in V, and how fast that goes at 25 degC, in s.
const RELAXING_V: f32 = 0.010;
const RELAXING_S: f32 = 600.0;
/// Share of the hysteresis half-gap that the filter's hysteresis state may be wrong by.
const HYSTERESIS_SHARE: f32 = 0.3;
/// Error of a window's change of SOC that all windows share (fraction).
const SHARED_STD: f32 = 0.005;
/// Windows in a row that contradict the estimate before they are believed.
const CONTRADICTIONS: u8 = 4;
/// Windows further from the estimate than so many standard deviations contradict it.
const GATE_SIGMA: f32 = 4.0;

/// A moment at which the SOC is known from the voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Anchor {
    /// Charge drawn since the tracker began, in microcoulombs.
    drawn_uc: i64,
    /// Standard deviation of what was counted since this moment, from the sensor's offset, in Ah.
    doubt_ah: f32,
    known: Known,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Known {
    /// End of a full charge; standard deviation of SOC = 1.
    Full { std: f32 },
    /// Open-circuit voltage without hysteresis, its standard deviation, temperature.
    Rest { ocv_v: f32, std_v: f32, temperature_c: f32 },
}

impl Known {
    /// SOC of a cell of the capacity given.
    fn soc(&self, model: &CellModel<'_>, capacity_ah: f32) -> f32 {
        match *self {
            Self::Full { .. } => 1.0,
            Self::Rest { ocv_v, temperature_c, .. } => {
                model.soc_from_ocv(temperature_c, ocv_v, &model.age(fade(model, capacity_ah)))
            }
        }
    }

    /// Variance of that SOC.
    fn variance(&self, model: &CellModel<'_>, capacity_ah: f32, soc: f32) -> f32 {
        let std = match *self {
            Self::Full { std } => std,
            Self::Rest { std_v, temperature_c, .. } => {
                let age = model.age(fade(model, capacity_ah));
                let slope = model.ocv_slope(temperature_c, soc, 0.015, &age);
                std_v / bound(slope, 1e-3, 1e3)
            }
        };
        std * std
    }
}

fn fade(model: &CellModel<'_>, capacity_ah: f32) -> f32 {
    1.0 - capacity_ah / model.tables().capacity_ah
}

/// One window as the regression sees it, in capacities of the tables.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    x: f32,
    y: f32,
    variance: f32,
}

/// Capacity of one cell over its life.
///
/// A plain value: a copy of it is what to keep over a sleep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityTracker {
    drawn: ChargeCounter,
    anchors: [Option<Anchor>; ANCHORS],
    /// Where the next anchor goes.
    next: u8,
    /// The rest or the full charge that is going on.
    candidate: Option<Anchor>,
    resting_s: f32,
    /// Sums of w, w x², w x y, w y².
    sums: [f32; 4],
    contradictions: u8,
    windows: u32,
    capacity: Estimated,
}

impl CapacityTracker {
    /// A tracker that begins with a capacity in Ah and its standard deviation in Ah.
    ///
    /// # Errors
    /// [`ParameterError::Capacity`] if either is not positive and finite.
    pub fn new(model: &CellModel<'_>, capacity_ah: f32, std_ah: f32) -> Result<Self, ParameterError> {
        let possible = |x: f32| x > 0.0 && x.is_finite();
        if !(possible(capacity_ah) && possible(std_ah)) {
            return Err(ParameterError::Capacity);
        }
        let q = capacity_ah / model.tables().capacity_ah;
        let std = std_ah / model.tables().capacity_ah;
        let w = 1.0 / bound(std * std, 1e-6, 1.0);
        Ok(Self {
            drawn: ChargeCounter::default(),
            anchors: [None; ANCHORS],
            next: 0,
            candidate: None,
            resting_s: 0.0,
            sums: [w, w, w * q, w * q * q],
            contradictions: 0,
            windows: 0,
            capacity: Estimated { value: capacity_ah, std: std_ah },
        })
    }

    /// Capacity in Ah with its standard deviation, which counts the errors that all windows share.
    #[must_use]
    pub const fn capacity_ah(&self) -> Estimated {
        self.capacity
    }

    /// Windows that were taken in so far.
    #[must_use]
    pub const fn windows(&self) -> u32 {
        self.windows
    }

    /// Takes in one sample and what the SOC filter made of it; true when the capacity changed.
    pub fn step(
        &mut self,
        model: &CellModel<'_>,
        tuning: &Tuning,
        sample: &Measurement,
        estimate: &Estimate,
        dt_s: f32,
    ) -> bool {
        let dt_s = bound(dt_s, 0.0, 1e6);
        self.count(model, sample, estimate, dt_s);
        let has = |flag| estimate.status.contains(flag);
        if has(Status::CURRENT_LOST) || has(Status::SAMPLES_LOST) {
            // Charge went by uncounted: nothing before this moment can begin a window.
            self.anchors = [None; ANCHORS];
            self.candidate = None;
        }
        let resting = has(Status::AT_REST) && !has(Status::VOLTAGE_STUCK);
        self.resting_s = if resting { self.resting_s + dt_s } else { 0.0 };
        let known = if has(Status::FULL) {
            Some(Known::Full { std: tuning.full_soc_std })
        } else if resting {
            self.rest(model, sample, estimate)
        } else {
            None
        };
        let same_kind = matches!(
            (&known, self.candidate.map(|c| c.known)),
            (Some(Known::Full { .. }), Some(Known::Full { .. }))
                | (Some(Known::Rest { .. }), Some(Known::Rest { .. }))
        );
        let ended = if same_kind { None } else { self.candidate };
        self.candidate =
            known.map(|known| Anchor { drawn_uc: self.drawn.microcoulombs(), doubt_ah: 0.0, known });
        ended.is_some_and(|anchor| self.close(model, tuning, anchor))
    }

    fn count(&mut self, model: &CellModel<'_>, sample: &Measurement, estimate: &Estimate, dt_s: f32) {
        let mean_a = estimate.mean_current_a;
        let efficiency = if mean_a < 0.0 { model.tables().coulombic_efficiency } else { 1.0 };
        self.drawn.add_coulomb(mean_a * efficiency * dt_s);
        if !sample.contactors_open {
            let doubt_ah = estimate.current_bias_a.std * dt_s / 3600.0;
            for anchor in self.anchors.iter_mut().flatten().chain(&mut self.candidate) {
                anchor.doubt_ah += doubt_ah;
            }
        }
    }

    fn rest(&self, model: &CellModel<'_>, sample: &Measurement, estimate: &Estimate) -> Option<Known> {
        let (voltage_v, temperature_c) = (sample.voltage_v.valid()?, sample.temperature_c.valid()?);
        // The gap between the branches hardly depends on age.
        let gap_v = model.ocv(temperature_c, estimate.soc.value, &Age::NEW).hysteresis_v;
        let colder = libm::exp2f(bound((25.0 - temperature_c) / 15.0, 0.0, 4.0));
        let relaxing = RELAXING_V * RELAXING_S * colder / (RELAXING_S * colder + self.resting_s);
        let hysteresis = HYSTERESIS_SHARE * gap_v;
        let variance = REST_STD_V * REST_STD_V + relaxing * relaxing + hysteresis * hysteresis;
        Some(Known::Rest {
            ocv_v: voltage_v - gap_v * estimate.hysteresis,
            std_v: sqrt(variance),
            temperature_c,
        })
    }

    /// Ends a rest or a full charge: the best window back from it is taken in, and it may begin others.
    fn close(&mut self, model: &CellModel<'_>, tuning: &Tuning, anchor: Anchor) -> bool {
        let mut best: Option<Window> = None;
        for from in self.anchors.iter().flatten() {
            if let Some(w) = self.window(model, from, &anchor)
                && best.is_none_or(|b| w.x * w.x / w.variance > b.x * b.x / b.variance)
            {
                best = Some(w);
            }
        }
        let slots = self.anchors.len() as u8;
        if let Some(slot) = self.anchors.get_mut(usize::from(self.next)) {
            *slot = Some(anchor);
        }
        self.next = if self.next + 1 < slots { self.next + 1 } else { 0 };
        best.is_some_and(|w| self.learn(model, tuning, w))
    }

    fn window(&self, model: &CellModel<'_>, from: &Anchor, to: &Anchor) -> Option<Window> {
        let reference = model.tables().capacity_ah;
        let q = self.capacity.value;
        let drop = |q: f32| from.known.soc(model, q) - to.known.soc(model, q);
        let (z_from, z_to) = (from.known.soc(model, q), to.known.soc(model, q));
        let inside = |k: &Known, z: f32| matches!(k, Known::Full { .. }) || (z > 0.005 && z < 0.995);
        let x = z_from - z_to;
        if abs(x) < SHALLOWEST || !inside(&from.known, z_from) || !inside(&to.known, z_to) {
            return None;
        }
        let step = 0.02 * q;
        let sensitivity = ((q + step) * drop(q + step) - (q - step) * drop(q - step)) / (2.0 * step);
        // Both ways the charge has the sign of x.
        let (sign, sensitivity) = if x < 0.0 { (-1.0, -sensitivity) } else { (1.0, sensitivity) };
        if sensitivity < LEAST_SENSITIVITY {
            return None;
        }
        let microcoulombs = to.drawn_uc.saturating_sub(from.drawn_uc);
        let charge = sign * (microcoulombs as f32 / 3.6e9) / reference;
        let soc_variance = from.known.variance(model, q, z_from) + to.known.variance(model, q, z_to);
        let ratio = q / reference;
        let doubt = from.doubt_ah / reference;
        let variance = ratio * ratio * soc_variance + doubt * doubt;
        let vaguest = VAGUEST * ratio * sensitivity;
        (variance < vaguest * vaguest).then_some(Window {
            x: sensitivity,
            y: charge - sign * ratio * x + ratio * sensitivity,
            variance,
        })
    }

    fn learn(&mut self, model: &CellModel<'_>, tuning: &Tuning, w: Window) -> bool {
        let reference = model.tables().capacity_ah;
        let [_, xx, ..] = self.sums;
        let q = self.capacity.value / reference;
        let innovation = w.y - q * w.x;
        let expected = w.variance + w.x * w.x / xx;
        if innovation * innovation > GATE_SIGMA * GATE_SIGMA * expected {
            self.contradictions = self.contradictions.saturating_add(1);
            if self.contradictions < CONTRADICTIONS {
                return false;
            }
            // What was believed so far is wrong.
            self.sums = self.sums.map(|s| 0.1 * s);
        }
        self.contradictions = 0;
        self.windows = self.windows.saturating_add(1);
        let weight = 1.0 / w.variance;
        let new = [1.0, w.x * w.x, w.x * w.y, w.y * w.y];
        for (sum, new) in self.sums.iter_mut().zip(new) {
            *sum = MEMORY * *sum + weight * new;
        }
        let [total, xx, xy, yy] = self.sums;
        let b = xx - K * K * yy;
        let root = sqrt(b * b + 4.0 * K * K * xy * xy);
        // Both forms are the same root; the one without a difference of near numbers.
        let solution = if b < 0.0 { (root - b) / (2.0 * K * K * xy) } else { 2.0 * xy / (b + root) };
        if !(solution > 0.2 && solution < 1.5) {
            return false;
        }
        let fade = bound(1.0 - solution, 0.0, 0.5);
        let slides =
            if model.tables().ageing.fade.is_empty() { tuning.ageing_axis_error * fade } else { 0.0 };
        let shared = SHARED_STD * SHARED_STD + slides * slides;
        let variance = 1.0 / xx + solution * solution * shared * total / xx;
        self.capacity = Estimated { value: solution * reference, std: sqrt(variance) * reference };
        true
    }
}
