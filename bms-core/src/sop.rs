//! State of power: what a cell can give or take for the next 2, 10 and 30 seconds.
//!
//! The largest constant power, and the largest constant current, that can be held for the whole time before the first
//! limit is met: cell voltage, current, SOC window, temperature and, on charge, lithium plating. The present state of the
//! filter is run forward with the full model ([`crate::predict`]) and the load is found by bisection in bounded time.
//!
//! Two values come out. The **best** estimate is the one to compare with what the cell can do. The **safe** one is what to
//! publish: its limits are moved inwards by as much as the prediction may be wrong (the filter's own standard deviations
//! of SOC, voltage error and resistance, and a share of the predicted drop), so that it stays below the truth.
//!
//! Sources: Plett (2004), "High-performance battery-pack power estimation using a dynamic cell model", IEEE Trans. Veh.
//! Technol. 53 (bisection on a cell model); Waag, Fleischer, Sauer (2013), "Adaptive estimation of the electromotive force
//! of the lithium-ion battery after current interruption", Appl. Energy 111 (asinh law in power prediction).

use crate::cell::CellModel;
use crate::math::{abs, bound, decay, sqrt};
use crate::predict::{Ahead, Heat, Hold};
use crate::soc::OperatingPoint;

/// The horizons in s.
pub const HORIZONS_S: [f32; 3] = [2.0, 10.0, 30.0];
/// Halvings of the load.
const HALVINGS: usize = 16;
/// Stretches of the horizons in s: the first ends the shortest, the first three the middle one, all five the longest.
const STRETCHES_S: [f32; 5] = [2.0, 3.0, 5.0, 8.0, 12.0];
/// Stretches of each horizon.
const STRETCHES: [usize; 3] = [1, 3, 5];

/// Which limit ends a load first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Binding {
    /// Nothing is known: the operating point or a limit is no number. The power is 0.
    #[default]
    Unknown,
    /// Terminal voltage of the cell.
    Voltage,
    /// Current of the cell, its connections or fuses.
    Current,
    /// The SOC window.
    Soc,
    /// Temperature of the cell.
    Temperature,
    /// Potential of the negative electrode: lithium would plate.
    Plating,
}

impl Binding {
    /// The code as a number for a bus or a log: 0 unknown, 1 voltage, 2 current, 3 SOC, 4 temperature, 5 plating.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Voltage => 1,
            Self::Current => 2,
            Self::Soc => 3,
            Self::Temperature => 4,
            Self::Plating => 5,
        }
    }
}

/// How much current may flow in one direction; magnitudes in A.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurrentLimit {
    /// For pulses of up to [`Self::pulse_s`].
    pub pulse_a: f32,
    /// Longest pulse in s.
    pub pulse_s: f32,
    /// For ever.
    pub continuous_a: f32,
}

impl CurrentLimit {
    /// One limit in A for all times.
    #[must_use]
    pub const fn constant(current_a: f32) -> Self {
        Self { pulse_a: current_a, pulse_s: f32::INFINITY, continuous_a: current_a }
    }

    fn over(&self, horizon_s: f32) -> f32 {
        if horizon_s <= self.pulse_s { self.pulse_a } else { self.continuous_a }
    }
}

/// What must not be exceeded, and how sure to be of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Lowest and highest cell voltage in V.
    pub voltage_v: [f32; 2],
    /// Discharge current.
    pub discharge: CurrentLimit,
    /// Charge current.
    pub charge: CurrentLimit,
    /// Lowest and highest SOC (fractions).
    pub soc: [f32; 2],
    /// Highest cell temperature in degC.
    pub temperature_max_c: f32,
    /// Most that one pulse may warm the cell in K.
    pub temperature_rise_k: f32,
    /// How the cell warms itself; without it the temperature is taken as constant.
    pub heat: Option<Heat>,
    /// What the safe value allows for.
    pub margin: Margin,
}

impl Limits {
    /// The cell's own voltage limits, the whole SOC range, up to 60 degC and 10 K, currents in A (magnitudes).
    #[must_use]
    pub const fn of_cell(model: &CellModel<'_>, discharge_a: f32, charge_a: f32) -> Self {
        Self {
            voltage_v: [model.tables().v_min, model.tables().v_max],
            discharge: CurrentLimit::constant(discharge_a),
            charge: CurrentLimit::constant(charge_a),
            soc: [0.0, 1.0],
            temperature_max_c: 60.0,
            temperature_rise_k: 10.0,
            heat: None,
            margin: Margin::DEFAULT,
        }
    }
}

/// What the safe value allows for beside the filter's own standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin {
    /// How many standard deviations.
    pub sigmas: f32,
    /// Error of a predicted voltage drop as a share of it (one standard deviation).
    pub drop_share: f32,
    /// Error of any predicted voltage in V (one standard deviation).
    pub voltage_v: f32,
    /// Error of the current sensor as a share of the current limit.
    pub current_share: f32,
    /// Error of the cell temperature in K (one standard deviation).
    pub temperature_k: f32,
}

impl Margin {
    /// For cells known from pulse tests and sensors of 1 mV, 0.1 % and 0.5 K.
    pub const DEFAULT: Self =
        Self { sigmas: 3.0, drop_share: 0.02, voltage_v: 0.002, current_share: 0.005, temperature_k: 0.5 };
}

/// One limit on power and on current, as magnitudes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limit {
    /// Largest constant power at the terminals in W.
    pub power_w: f32,
    /// What ends it.
    pub power_by: Binding,
    /// Largest constant current in A.
    pub current_a: f32,
    /// What ends it.
    pub current_by: Binding,
}

impl Limit {
    /// The tighter of two, power and current apart.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let (power_w, power_by) = if other.power_w < self.power_w {
            (other.power_w, other.power_by)
        } else {
            (self.power_w, self.power_by)
        };
        let (current_a, current_by) = if other.current_a < self.current_a {
            (other.current_a, other.current_by)
        } else {
            (self.current_a, self.current_by)
        };
        Self { power_w, power_by, current_a, current_by }
    }
}

/// Limits over the [`HORIZONS_S`] in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PowerLimits {
    /// While discharging.
    pub discharge: [Limit; 3],
    /// While charging.
    pub charge: [Limit; 3],
}

impl PowerLimits {
    /// The tighter of two cells, limit by limit.
    ///
    /// Folded over the cells of a series string it gives the weakest (on discharge) and the fullest (on charge). The
    /// string may then be loaded with the current, or with `N` times the power: every cell carries the same current, and
    /// the weakest has the least voltage on discharge (the fullest the most on charge) for its share of the power.
    #[must_use]
    pub fn tighter(mut self, other: &Self) -> Self {
        for (a, b) in self.discharge.iter_mut().zip(&other.discharge) {
            *a = a.tighter(*b);
        }
        for (a, b) in self.charge.iter_mut().zip(&other.charge) {
            *a = a.tighter(*b);
        }
        self
    }
}

/// State of power of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PowerState {
    /// Best estimate.
    pub best: PowerLimits,
    /// Value to publish: below the truth.
    pub safe: PowerLimits,
}

impl PowerState {
    /// The tighter of two cells, limit by limit ([`PowerLimits::tighter`]).
    #[must_use]
    pub fn tighter(self, other: &Self) -> Self {
        Self { best: self.best.tighter(&other.best), safe: self.safe.tighter(&other.safe) }
    }
}

/// The negative electrode as a cell of its own, from a laboratory's three-electrode test: what keeps lithium from plating.
///
/// Its model is a [`CellModel`] of `2 V - φ`, φ being the negative electrode's potential against lithium in V, which
/// rises with SOC and with charge current as a cell's voltage does. Plating begins where it meets the tables' `v_max`
/// (2 V for φ = 0, less for a margin).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NegativeElectrode<'a> {
    model: &'a CellModel<'a>,
    state: NegativeState,
}

/// What a [`NegativeElectrode`] keeps over a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NegativeState {
    v1: f32,
    v2: f32,
    hysteresis: f32,
}

impl<'a> NegativeElectrode<'a> {
    /// A rested electrode.
    #[must_use]
    pub fn new(model: &'a CellModel<'a>) -> Self {
        Self::restore(model, NegativeState::default())
    }

    /// What to keep over a sleep.
    #[must_use]
    pub const fn state(&self) -> NegativeState {
        self.state
    }

    /// An electrode that goes on where another one was, with the same tables.
    #[must_use]
    pub const fn restore(model: &'a CellModel<'a>, state: NegativeState) -> Self {
        Self { model, state }
    }

    /// Follows the polarisation: `mean_a` flowed for the last `dt_s` seconds; `at` is the cell's state.
    pub fn step(&mut self, at: &OperatingPoint, mean_a: f32, dt_s: f32) {
        if !(dt_s > 0.0 && dt_s < 1e6 && mean_a.is_finite()) {
            return;
        }
        let c = self.model.circuit(at.temperature_c, at.slide.negative_soc(at.soc.value));
        let (a1, a2) = (decay(dt_s / c.tau1_s), decay(dt_s / c.tau2_s));
        let s = &mut self.state;
        s.v1 = bound(a1 * s.v1 + (1.0 - a1) * c.r1_ohm * mean_a, -5.0, 5.0);
        s.v2 = bound(a2 * s.v2 + (1.0 - a2) * c.r2_ohm * mean_a, -5.0, 5.0);
        let moved = abs(mean_a) * dt_s / (3600.0 * at.capacity_ah);
        let b = decay(moved * self.model.tables().hysteresis_gamma);
        s.hysteresis = bound(b * s.hysteresis + (1.0 - b) * if mean_a > 0.0 { -1.0 } else { 1.0 }, -1.0, 1.0);
    }

    /// The electrode in the cell's present state.
    fn ahead(&self, at: &OperatingPoint, heat: Option<Heat>) -> Option<Ahead<'a>> {
        let rate = at.slide.negative_soc(1.0) - at.slide.negative_soc(0.0);
        let mut own = *at;
        own.soc.value = at.slide.negative_soc(at.soc.value);
        own.capacity_ah = at.capacity_ah / bound(rate, 0.1, 10.0);
        own.slide = crate::cell::Slide::NEW;
        own.error_v.value = 0.0;
        own.v1 = self.state.v1;
        own.v2 = self.state.v2;
        own.hysteresis = self.state.hysteresis;
        Ahead::new(self.model, &own, heat)
    }
}

/// State of power of one cell in its present state.
///
/// `negative` brings the plating limit; without it charge is limited by everything else. Bounded time: at most 16
/// halvings for each of the 24 values.
///
/// ```
/// use bms_core::{cell::CellModel, example, measurement::Measurement, soc::SocEstimator, tuning::Tuning};
/// use bms_core::sop::{Limits, power};
///
/// let model = CellModel::new(example::NMC_5AH)?;
/// let mut estimator = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.60)?;
/// estimator.step(&Measurement::new(3.75, 2.5, 25.0), 1.0);
/// let limits = Limits::of_cell(&model, 15.0, 7.5);
/// let sop = power(&model, &limits, &estimator.operating_point(), None);
/// let [two_s, _, thirty_s] = sop.best.discharge;
/// assert!(two_s.power_w >= thirty_s.power_w && sop.safe.discharge[0].power_w < two_s.power_w);
/// # Ok::<(), bms_core::cell::ParameterError>(())
/// ```
#[must_use]
pub fn power(
    model: &CellModel<'_>,
    limits: &Limits,
    at: &OperatingPoint,
    negative: Option<&NegativeElectrode<'_>>,
) -> PowerState {
    let mut out = PowerState::default();
    let Some(cell) = Ahead::new(model, at, limits.heat) else { return out };
    let electrode = match negative {
        Some(negative) => match negative.ahead(at, limits.heat) {
            Some(ahead) => Some((ahead, negative.model.tables().v_max)),
            None => return out,
        },
        None => None,
    };
    let horizons = HORIZONS_S.into_iter().zip(STRETCHES);
    let places = out
        .best
        .discharge
        .iter_mut()
        .zip(&mut out.safe.discharge)
        .zip(out.best.charge.iter_mut().zip(&mut out.safe.charge));
    for ((horizon_s, stretches), ((best_d, safe_d), (best_c, safe_c))) in horizons.zip(places) {
        for (sign, best, safe) in [(1.0, best_d, safe_d), (-1.0, best_c, safe_c)] {
            let search =
                Search { cell, electrode, limits, sign, horizon_s, stretches, inwards: Inwards::NONE };
            *best = search.limit();
            *safe = Search { inwards: search.doubt(at, best.current_a), ..search }.limit();
        }
    }
    out
}

/// By how much limits are moved inwards.
#[derive(Debug, Clone, Copy)]
struct Inwards {
    voltage_v: f32,
    plating_v: f32,
    current_share: f32,
    soc: f32,
    temperature_k: f32,
}

impl Inwards {
    const NONE: Self =
        Self { voltage_v: 0.0, plating_v: 0.0, current_share: 0.0, soc: 0.0, temperature_k: 0.0 };
}

/// The search for one limit.
#[derive(Clone, Copy)]
struct Search<'a> {
    cell: Ahead<'a>,
    electrode: Option<(Ahead<'a>, f32)>,
    limits: &'a Limits,
    sign: f32,
    horizon_s: f32,
    stretches: usize,
    inwards: Inwards,
}

impl Search<'_> {
    fn limit(&self) -> Limit {
        let allowed = if self.sign > 0.0 { &self.limits.discharge } else { &self.limits.charge };
        let most_a = allowed.over(self.horizon_s) * (1.0 - self.inwards.current_share);
        if !(most_a >= 0.0 && most_a < 1e6) {
            return Limit::default();
        }
        let (current_a, current_by) = self.largest(most_a, |i| Hold::Current(self.sign * i), most_a);
        // No more than the largest current at the voltage that it meets first.
        let at_once_v = self.cell.voltage_v(self.sign * most_a);
        let open_v = self.cell.voltage_v(0.0);
        let most_w = most_a * if self.sign > 0.0 { open_v } else { at_once_v.max(open_v) }.max(0.0);
        let (power_w, power_by) = self.largest(most_w, |p| Hold::Power(self.sign * p), most_a);
        Limit { power_w, power_by, current_a, current_by }
    }

    /// The largest load in `0..=most` that meets no limit, and the limit that the next larger one meets.
    fn largest(&self, most: f32, hold: impl Fn(f32) -> Hold, most_a: f32) -> (f32, Binding) {
        let (mut low, mut high) = (0.0, most);
        let mut by = match self.first_limit(hold(most), most_a) {
            None => return (most, Binding::Current),
            Some(by) => by,
        };
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            match self.first_limit(hold(middle), most_a) {
                None => low = middle,
                Some(found) => {
                    high = middle;
                    by = found;
                }
            }
        }
        (low, by)
    }

    /// The limit that a load meets first within the horizon.
    fn first_limit(&self, hold: Hold, most_a: f32) -> Option<Binding> {
        let mut cell = self.cell;
        let mut electrode = self.electrode;
        let start_c = cell.temperature_c;
        let Some(mut current_a) = cell.current_a(hold) else { return Some(Binding::Voltage) };
        if let Some(by) = self.meets(&cell, electrode.as_ref(), current_a, most_a, start_c) {
            return Some(by);
        }
        for dt_s in STRETCHES_S.into_iter().take(self.stretches) {
            let Some(next_a) = cell.advance(hold, current_a, dt_s) else { return Some(Binding::Voltage) };
            if let Some((negative, _)) = &mut electrode {
                // Only its current counts for the electrode.
                let _ = negative.advance(
                    Hold::Current(0.5 * (current_a + next_a)),
                    0.5 * (current_a + next_a),
                    dt_s,
                );
            }
            current_a = next_a;
            if let Some(by) = self.meets(&cell, electrode.as_ref(), current_a, most_a, start_c) {
                return Some(by);
            }
        }
        None
    }

    fn meets(
        &self,
        cell: &Ahead<'_>,
        electrode: Option<&(Ahead<'_>, f32)>,
        current_a: f32,
        most_a: f32,
        start_c: f32,
    ) -> Option<Binding> {
        let l = self.limits;
        let [v_min, v_max] = l.voltage_v;
        let [z_min, z_max] = l.soc;
        let by = self.inwards;
        let v = cell.voltage_v(current_a);
        let discharging = self.sign > 0.0;
        let voltage = if discharging { v >= v_min + by.voltage_v } else { v <= v_max - by.voltage_v };
        let plating =
            discharging || electrode.is_none_or(|(e, v_max)| e.voltage_v(current_a) <= v_max - by.plating_v);
        let soc = if discharging { cell.soc >= z_min + by.soc } else { cell.soc <= z_max - by.soc };
        let hottest_c = (l.temperature_max_c - by.temperature_k).min(start_c + l.temperature_rise_k);
        // Written so that a NaN meets its limit.
        if !voltage {
            Some(Binding::Voltage)
        } else if !plating {
            Some(Binding::Plating)
        } else if !(abs(current_a) <= most_a * 1.00001) {
            Some(Binding::Current)
        } else if !soc {
            Some(Binding::Soc)
        } else if !(cell.temperature_c <= hottest_c) {
            Some(Binding::Temperature)
        } else {
            None
        }
    }

    /// How far the prediction may be wrong at the end of the best estimate's load.
    fn doubt(&self, at: &OperatingPoint, current_a: f32) -> Inwards {
        let m = &self.limits.margin;
        let mut cell = self.cell;
        let mut electrode = self.electrode;
        let load_a = self.sign * current_a;
        for dt_s in STRETCHES_S.into_iter().take(self.stretches) {
            let _ = cell.advance(Hold::Current(load_a), load_a, dt_s);
            if let Some((negative, _)) = &mut electrode {
                let _ = negative.advance(Hold::Current(load_a), load_a, dt_s);
            }
        }
        let square = |x: f32| x * x;
        let of = |ahead: &Ahead<'_>, error_std: f32| {
            let drop_v = abs(ahead.drop_v(load_a));
            m.sigmas
                * sqrt(
                    square(ahead.slope_v() * at.soc.std)
                        + square(error_std)
                        + square(drop_v) * (square(at.resistance_scale.std) + square(m.drop_share))
                        + square(ahead.drop_at_v(load_a, -m.temperature_k) - ahead.drop_v(load_a))
                        + square(m.voltage_v),
                )
        };
        Inwards {
            voltage_v: of(&cell, at.error_v.std),
            plating_v: electrode.as_ref().map_or(0.0, |(e, _)| of(e, 0.0)),
            current_share: bound(m.current_share, 0.0, 1.0),
            soc: m.sigmas * at.soc.std,
            temperature_k: m.sigmas * m.temperature_k,
        }
    }
}
