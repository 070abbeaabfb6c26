//! Capacity of one cell, from the charge that passes between two moments at which the voltage tells the SOC.
//!
//! A window runs between two such moments: long rests, whose open-circuit voltage gives the SOC, and ends of full charges.
//! With `Q` the capacity, `z` the SOC and `C(Q) = Q (z_1(Q) - z_2(Q))`, a window says `C(Q) = charge`: the SOC of a rest
//! depends on how the open-circuit voltage has moved with age ([`CellModel::age`]), hence on the capacity itself.
//! Linearised at the present estimate this is
//!
//! ```text
//! y = x Q,     x = dC/dQ,   y = charge - C + Q dC/dQ
//! ```
//!
//! where `x` is as uncertain as the window's change of SOC and `y` as its charge (the current sensor's offset): a line
//! through the origin with errors on both axes, solved by approximate weighted total least squares over all windows. Plain
//! least squares of `y` on `x` would come out low by `var(x) / x²`. Where voltage and charge say nothing of the fade, `x` is
//! small and so is what the window teaches. Most of the error of `x` comes from the open-circuit table and is the same in
//! the next window: that part counts in each window's variance as often as windows are remembered, so that a hundred equal
//! windows do not claim to know what the table does not. Windows at which this error alone is worth more than a fifth of
//! the capacity are left out, as are shallow ones; where nothing else comes, the estimate stays and its band grows.
//!
//! Windows are forgotten as the cell ages, by charge and by time, as fast as a random walk of the capacity means for what is
//! known: a sure estimate forgets fast, a vague one slowly; and by 2 % at every
//! window besides.
//!
//! Source: Plett (2011), "Recursive approximate weighted total least squares estimation of battery cell total capacity",
//! J. Power Sources 196, 2319.

use crate::awtls::{Awtls, Point};
use crate::cell::{Age, CellModel, ParameterError};
use crate::charge::ChargeCounter;
use crate::math::{abs, bound, sqrt};
use crate::measurement::Measurement;
use crate::soc::{Estimate, Estimated, Status};
use crate::store::{Problem, Reader, Stored, Writer, kind, stored};
use crate::tuning::Tuning;

/// Moments that are kept for windows to begin at.
const ANCHORS: usize = 6;
/// Shallowest window, in SOC.
const SHALLOWEST: f32 = 0.25;
/// Least `dC/dQ` of a window that counts.
const LEAST_SENSITIVITY: f32 = 0.1;
/// Standard deviation of an open-circuit voltage from one very long rest to the next, in V …
const REST_STD_V: f32 = 0.0015;
/// … and of what all rests share: table and sensor.
const SHARED_STD_V: f32 = 0.004;
/// So many windows are remembered, and share that error.
const REMEMBERED: f32 = 10.0;
/// Largest relative standard deviation of the capacity from the shared error alone.
const VAGUEST: f32 = 0.2;
/// What relaxation adds when the rest begins to count as one, in V, and how fast that goes at 25 degC, in s.
const RELAXING_V: f32 = 0.010;
const RELAXING_S: f32 = 600.0;
/// Share of the hysteresis half-gap that the filter's hysteresis state may be wrong by.
const HYSTERESIS_SHARE: f32 = 0.3;
/// Share of the standard deviation of a full charge that changes from one to the next.
const FULL_SCATTER: f32 = 0.4;
/// What every window leaves of the weight of those before: memory of 50 at most.
const FORGETTING: f32 = 0.98;
/// Random walk of the capacity, as a share of it, per square root of one equivalent cycle or of ten days.
const WALK: f32 = 0.004;
const DAYS_LIKE_A_CYCLE: f32 = 10.0;
/// Windows further from the estimate than so many standard deviations contradict it …
const GATE_SIGMA: f32 = 4.0;
/// … and are believed when so many do in a row …
const CONTRADICTIONS: u8 = 4;
/// … after which the capacity is as uncertain as this (share of the new one).
const DOUBT: f32 = 0.05;

/// A filter takes a new capacity over in steps of this share of it at most, one a minute.
const FOLLOW_SHARE: f32 = 5e-4;
const FOLLOW_S: f32 = 60.0;

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
    /// Open-circuit voltage without hysteresis, its variance alone and in common with other rests, temperature.
    Rest { ocv_v: f32, own_v2: f32, shared_v2: f32, temperature_c: f32 },
}

stored!(Anchor { drawn_uc: i64, doubt_ah: f32 => |a| a.doubt_ah >= 0.0, known: Known });

/// Whether it is a full charge, and the numbers of either in their order.
impl Stored for Known {
    const KIND: u32 = kind("Known", &[<(bool, [f32; 4])>::KIND]);
    const ENCODED_LEN: usize = <(bool, [f32; 4])>::ENCODED_LEN;

    fn encode(&self, to: &mut Writer<'_>) {
        match *self {
            Self::Full { std } => (true, [std, 0.0, 0.0, 0.0]),
            Self::Rest { ocv_v, own_v2, shared_v2, temperature_c } => {
                (false, [ocv_v, own_v2, shared_v2, temperature_c])
            }
        }
        .encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        let (full, [first, own_v2, shared_v2, temperature_c]) = Stored::decode(from)?;
        if full && first > 0.0 {
            Ok(Self::Full { std: first })
        } else if !full && own_v2 > 0.0 && shared_v2 > 0.0 {
            Ok(Self::Rest { ocv_v: first, own_v2, shared_v2, temperature_c })
        } else {
            Err(Problem::Impossible("known"))
        }
    }
}

/// SOC at an anchor, with its variance alone and in common with others.
#[derive(Debug, Clone, Copy, PartialEq)]
struct KnownSoc {
    soc: f32,
    own: f32,
    shared: f32,
}

impl Known {
    const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// SOC of a cell of the capacity given (share of the new one).
    fn soc(&self, model: &CellModel<'_>, capacity: f32) -> f32 {
        match *self {
            Self::Full { .. } => 1.0,
            Self::Rest { ocv_v, temperature_c, .. } => {
                model.soc_from_ocv(temperature_c, ocv_v, &model.age(1.0 - capacity))
            }
        }
    }

    /// The same with its variances; nothing where the voltage is outside the table.
    fn at(&self, model: &CellModel<'_>, tuning: &Tuning, capacity: f32) -> Option<KnownSoc> {
        let soc = self.soc(model, capacity);
        match *self {
            Self::Full { std } => {
                let own = FULL_SCATTER * std;
                Some(KnownSoc { soc, own: own * own, shared: std * std - own * own })
            }
            Self::Rest { own_v2, shared_v2, temperature_c, .. } => {
                let slope = model.ocv_slope(temperature_c, soc, 0.015, &model.age(1.0 - capacity));
                let per_v2 = 1.0 / bound(slope * slope, 1e-6, 1e6);
                // Without a table of how the curve moves with age, it moves unseen.
                let unseen =
                    if model.tables().ageing.fade.is_empty() { tuning.ageing_axis_error } else { 0.0 };
                let slid = unseen * bound(1.0 - capacity, 0.0, 0.5) * 4.0 * soc * (1.0 - soc);
                let inside = soc > 0.005 && soc < 0.995;
                inside.then_some(KnownSoc {
                    soc,
                    own: own_v2 * per_v2,
                    shared: shared_v2 * per_v2 + slid * slid,
                })
            }
        }
    }
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
    /// All windows so far, in capacities of the new cell.
    fit: Awtls,
    /// Ageing since `fit` last forgot, in equivalent cycles.
    aged: f32,
    contradictions: u8,
    windows: u32,
    since_followed_s: f32,
}

stored!(CapacityTracker {
    drawn: ChargeCounter,
    anchors: [Option<Anchor>; ANCHORS],
    next: u8 => |t| usize::from(t.next) < ANCHORS,
    candidate: Option<Anchor>,
    resting_s: f32 => |t| t.resting_s >= 0.0,
    fit: Awtls,
    aged: f32 => |t| t.aged >= 0.0,
    contradictions: u8,
    windows: u32,
    since_followed_s: f32 => |t| t.since_followed_s >= 0.0,
});

impl CapacityTracker {
    /// A tracker that begins with a capacity over the new cell's (0.3..=1.3) and its standard deviation (above 0).
    ///
    /// # Errors
    /// [`ParameterError::Capacity`] if either is out of range.
    pub fn new(soh_q: Estimated) -> Result<Self, ParameterError> {
        if !((0.3..=1.3).contains(&soh_q.value) && soh_q.std > 0.0 && soh_q.std <= 1.0) {
            return Err(ParameterError::Capacity);
        }
        Ok(Self {
            drawn: ChargeCounter::default(),
            anchors: [None; ANCHORS],
            next: 0,
            candidate: None,
            resting_s: 0.0,
            fit: Awtls::new(soh_q.value, soh_q.std),
            aged: 0.0,
            contradictions: 0,
            windows: 0,
            since_followed_s: 0.0,
        })
    }

    /// Capacity over the new cell's, with its standard deviation.
    #[must_use]
    pub fn soh_q(&self) -> Estimated {
        Estimated { value: self.fit.slope(), std: sqrt(bound(self.variance(), 0.0, 1.0)) }
    }

    fn variance(&self) -> f32 {
        self.fit.variance() + WALK * WALK * self.aged
    }

    /// Windows that were taken in so far.
    #[must_use]
    pub const fn windows(&self) -> u32 {
        self.windows
    }

    /// What a filter that works with `present_ah` is to work with next, `dt_s` after the last call: what was learnt, in steps
    /// so small that its SOC goes along. `None` between two steps and where nothing is left to do.
    pub fn follow(&mut self, model: &CellModel<'_>, present_ah: f32, dt_s: f32) -> Option<f32> {
        self.since_followed_s += bound(dt_s, 0.0, 1e6);
        if self.since_followed_s < FOLLOW_S {
            return None;
        }
        self.since_followed_s = 0.0;
        let largest = FOLLOW_SHARE * present_ah;
        let step = bound(self.soh_q().value * model.tables().capacity_ah - present_ah, -largest, largest);
        if step == 0.0 { None } else { Some(present_ah + step) }
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
        let goes_on =
            matches!((&known, &self.candidate), (Some(k), Some(c)) if k.is_full() == c.known.is_full());
        let ended = if goes_on { None } else { self.candidate };
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
        let cycles = abs(mean_a) * dt_s / (7200.0 * model.tables().capacity_ah);
        self.aged += bound(cycles, 0.0, 10.0) + dt_s / (86_400.0 * DAYS_LIKE_A_CYCLE);
        // One second alone is too little for an f32 to forget.
        if self.aged > 0.1 {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.fit.widen(WALK * WALK * self.aged);
        self.aged = 0.0;
    }

    fn rest(&self, model: &CellModel<'_>, sample: &Measurement, estimate: &Estimate) -> Option<Known> {
        let (voltage_v, temperature_c) = (sample.voltage_v.valid()?, sample.temperature_c.valid()?);
        // The gap between the branches hardly depends on age.
        let gap_v = model.ocv(temperature_c, estimate.soc.value, &Age::NEW).hysteresis_v;
        let half_s = RELAXING_S * libm::exp2f(bound((25.0 - temperature_c) / 15.0, 0.0, 4.0));
        let relaxing = RELAXING_V * half_s / (half_s + self.resting_s);
        let hysteresis = HYSTERESIS_SHARE * gap_v;
        Some(Known::Rest {
            ocv_v: voltage_v - gap_v * estimate.hysteresis,
            own_v2: REST_STD_V * REST_STD_V + relaxing * relaxing,
            shared_v2: SHARED_STD_V * SHARED_STD_V + hysteresis * hysteresis,
            temperature_c,
        })
    }

    /// Ends a rest or a full charge: the best window back from it is taken in, and it may begin others.
    fn close(&mut self, model: &CellModel<'_>, tuning: &Tuning, anchor: Anchor) -> bool {
        let q = self.fit.slope();
        let weight = |p: &Point| p.x * p.x / p.variance(q);
        let mut best: Option<Point> = None;
        for from in self.anchors.iter().flatten() {
            if let Some(w) = self.window(model, tuning, from, &anchor)
                && best.is_none_or(|b| weight(&w) > weight(&b))
            {
                best = Some(w);
            }
        }
        if let Some(slot) = self.anchors.get_mut(usize::from(self.next)) {
            *slot = Some(anchor);
        }
        self.next = if usize::from(self.next) + 1 < ANCHORS { self.next + 1 } else { 0 };
        best.is_some_and(|w| self.learn(&w))
    }

    fn window(&self, model: &CellModel<'_>, tuning: &Tuning, from: &Anchor, to: &Anchor) -> Option<Point> {
        let q = self.fit.slope();
        let (a, b) = (from.known.at(model, tuning, q)?, to.known.at(model, tuning, q)?);
        if abs(a.soc - b.soc) < SHALLOWEST {
            return None;
        }
        // A charge counts as the discharge that it undoes.
        let sign = if a.soc > b.soc { 1.0 } else { -1.0 };
        let content = |q: f32| sign * q * (from.known.soc(model, q) - to.known.soc(model, q));
        let step = 0.02;
        let x = (content(q + step) - content(q - step)) / (2.0 * step);
        if x < LEAST_SENSITIVITY {
            return None;
        }
        let shared = a.shared + b.shared;
        if shared > VAGUEST * VAGUEST * x * x {
            return None;
        }
        let reference = model.tables().capacity_ah;
        let charge = sign * to.drawn_uc.saturating_sub(from.drawn_uc) as f32 / (3.6e9 * reference);
        let doubt = from.doubt_ah / reference;
        Some(Point {
            x,
            y: charge - sign * q * (a.soc - b.soc) + q * x,
            x_variance: a.own + b.own + REMEMBERED * shared,
            y_variance: doubt * doubt,
        })
    }

    fn learn(&mut self, window: &Point) -> bool {
        self.forget();
        let q = self.fit.slope();
        let innovation = window.y - window.x * q;
        let expected = window.x * window.x * self.variance() + window.variance(q);
        if innovation * innovation > GATE_SIGMA * GATE_SIGMA * expected {
            self.contradictions = self.contradictions.saturating_add(1);
            if self.contradictions < CONTRADICTIONS {
                return false;
            }
            self.fit.widen(DOUBT * DOUBT);
        }
        self.contradictions = 0;
        self.fit.forget(FORGETTING);
        self.fit.take(window);
        self.windows = self.windows.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{CellTables, OcvAgeing};
    use crate::example;
    use proptest::prelude::*;

    /// Days of a cell with the capacity given: rest, discharge at 1C, rest, charge back; `seen` adds to the voltage.
    fn days(
        model: &CellModel<'_>,
        true_soh: f32,
        [high, low]: [f32; 2],
        seen_v: f32,
        count: usize,
    ) -> CapacityTracker {
        let mut tracker = start();
        live(&mut tracker, model, true_soh, [high, low], seen_v, count);
        tracker
    }

    fn start() -> CapacityTracker {
        CapacityTracker::new(Estimated { value: 1.0, std: 0.05 }).unwrap()
    }

    fn live(
        tracker: &mut CapacityTracker,
        model: &CellModel<'_>,
        true_soh: f32,
        [high, low]: [f32; 2],
        seen_v: f32,
        count: usize,
    ) {
        let capacity_ah = true_soh * model.tables().capacity_ah;
        let age = model.age(1.0 - true_soh);
        let mut go = |soc: f32, current_a: f32, status: Status, dt_s: f32| {
            let sample = Measurement::new(model.ocv(25.0, soc, &age).ocv_v + seen_v, current_a, 25.0);
            let estimate = Estimate {
                soc: Estimated { value: soc, std: 0.01 },
                mean_current_a: current_a,
                status,
                ..Estimate::default()
            };
            tracker.step(model, &Tuning::NMC, &sample, &estimate, dt_s);
        };
        let seconds = (high - low) * 3600.0 / 100.0;
        for _ in 0..count {
            for (soc, next_a) in [(high, capacity_ah), (low, -capacity_ah)] {
                for _ in 0..12 {
                    go(soc, 0.0, Status::AT_REST, 600.0);
                }
                for _ in 0..100 {
                    go(soc, next_a, Status::default(), seconds);
                }
            }
        }
    }

    #[test]
    fn windows_between_rests_tell_the_capacity() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        for soh in [1.03, 0.95, 0.85] {
            let tracker = days(&model, soh, [0.8, 0.4], 0.0, 60);
            // Every discharge counts and every partial charge.
            assert!(tracker.windows() >= 110);
            let q = tracker.soh_q();
            assert!((q.value - soh).abs() < 0.01, "{soh}: {q:?}");
            assert!(q.std < 0.03);
        }
    }

    #[test]
    fn shallow_windows_and_a_flat_curve_teach_nothing_and_the_band_grows() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let shallow = days(&model, 0.85, [0.6, 0.4], 0.0, 60);
        assert_eq!((shallow.windows(), shallow.soh_q().value), (0, 1.0));
        assert!(shallow.soh_q().std > 0.05);
        // 60 mV over the whole SOC: a table error of 4 mV is 7 points at either end, 23 % of a window of 40 points.
        let flat: std::vec::Vec<f32> = (0..39).map(|k| 3.30 + 0.005 * (k % 13) as f32).collect();
        let model = CellModel::new(CellTables { ocv_v: &flat, ..example::NMC_5AH }).unwrap();
        assert_eq!(days(&model, 0.85, [0.8, 0.4], 0.0, 60).windows(), 0);
    }

    #[test]
    fn a_fade_is_followed_with_less_than_a_point_of_lag() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let mut tracker = start();
        // 100 % to 80 % in 1200 windows, two a day.
        for day in 0..600 {
            let soh = 1.0 - 0.2 * day as f32 / 600.0;
            live(&mut tracker, &model, soh, [0.8, 0.4], 0.0, 1);
            let q = tracker.soh_q();
            assert!((q.value - soh).abs() < 0.01, "{day}: {soh} {q:?}");
        }
    }

    #[test]
    fn a_curve_that_moves_with_age_is_solved_for_together_with_the_capacity() {
        // At 20 % fade the curve is up to 30 mV higher in the middle.
        let shift: std::vec::Vec<f32> =
            (0..13).map(|k| 0.12 * (k as f32 / 12.0) * (1.0 - k as f32 / 12.0)).collect();
        let ageing = OcvAgeing { fade: &[0.2], shift_v: &shift };
        let moving = CellModel::new(CellTables { ageing, ..example::NMC_5AH }).unwrap();
        for soh in [0.95, 0.85] {
            let q = days(&moving, soh, [0.85, 0.2], 0.0, 80).soh_q();
            assert!((q.value - soh).abs() < 0.012, "{soh}: {q:?}");
        }
    }

    #[test]
    fn lost_charge_ends_all_windows() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let mut tracker = days(&model, 1.0, [0.8, 0.4], 0.0, 3);
        let lost = Estimate { status: Status::SAMPLES_LOST, ..Estimate::default() };
        tracker.step(&model, &Tuning::NMC, &Measurement::new(3.7, 1.0, 25.0), &lost, 1.0);
        assert!(tracker.anchors.iter().all(Option::is_none) && tracker.candidate.is_none());
    }

    #[test]
    fn impossible_starts_are_refused() {
        for (value, std) in [(f32::NAN, 0.02), (0.0, 0.02), (2.0, 0.02), (1.0, 0.0), (1.0, f32::NAN)] {
            assert_eq!(CapacityTracker::new(Estimated { value, std }).unwrap_err(), ParameterError::Capacity);
        }
    }

    proptest! {
        #[test]
        fn stays_finite_and_within_bounds(
            inputs in prop::collection::vec((any::<[f32; 6]>(), any::<bool>(), any::<bool>()), 1..60),
        ) {
            let model = CellModel::new(example::NMC_5AH).unwrap();
            let mut tracker = CapacityTracker::new(Estimated { value: 1.0, std: 0.02 }).unwrap();
            for ([v, i, t, soc, mean, dt], rest, full) in inputs {
                let mut status = if rest { Status::AT_REST } else { Status::default() };
                if full { status = Status::FULL; }
                let estimate = Estimate {
                    soc: Estimated { value: soc, std: 0.1 },
                    mean_current_a: mean,
                    status,
                    ..Estimate::default()
                };
                tracker.step(&model, &Tuning::LFP, &Measurement::new(v, i, t), &estimate, dt);
                let q = tracker.soh_q();
                prop_assert!((0.3..=1.3).contains(&q.value) && q.std > 0.0 && q.std <= 1.0, "{q:?}");
            }
        }
    }
}
