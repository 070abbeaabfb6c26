//! State of power: what a cell can give or take for the next 2, 10 and 30 seconds.
//!
//! The largest constant power, and the largest constant current, that can be held for the whole time before the first
//! limit is met: cell voltage, current, SOC window, temperature and, on charge, lithium plating. The present state of the
//! filter is run forward with the full model ([`crate::predict`]) and the load is found in bounded time, by a search that
//! needs no more steps than bisection and mostly far fewer.
//!
//! Two values come out. The **best** estimate is the one to compare with what the cell can do. The **safe** one is what to
//! publish: it is found from a state that is worse by as much as the prediction may be wrong ([`Margin`]), so that it stays
//! below the truth.
//!
//! Sources: Plett (2004), "High-performance battery-pack power estimation using a dynamic cell model", IEEE Trans. Veh.
//! Technol. 53 (bisection on a cell model); Waag, Fleischer, Sauer (2013), "Adaptive estimation of the electromotive force
//! of the lithium-ion battery after current interruption", Appl. Energy 111 (asinh law in power prediction); Oliveira,
//! Takahashi (2020), "An enhancement of the bisection method average performance preserving minmax optimality", ACM Trans.
//! Math. Softw. 47 (the search).

use crate::cell::CellModel;
use crate::math::{abs, bound, decay};
use crate::predict::{Ahead, Heat, Hold, Load, PulseModel, Start, Stretch};
use crate::soc::{Estimated, OperatingPoint};
use crate::store::stored;

/// The horizons in s.
pub const HORIZONS_S: [f32; 3] = [2.0, 10.0, 30.0];
/// Halvings of the load that give its resolution.
const HALVINGS: usize = 16;
/// Most limits of a longer time or of a worse state are no less than this share of that of the shorter or better one.
const NEAR: f32 = 0.9;
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
        Self { pulse_a: current_a, pulse_s: f32::MAX, continuous_a: current_a }
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
///
/// Everything is taken at its worse end at once, since a cell near its knee does not add errors up in squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin {
    /// How many standard deviations of SOC, voltage error and resistances.
    pub sigmas: f32,
    /// Error of a predicted voltage drop as a share of it.
    pub drop_share: f32,
    /// Error of the surfaces' gains as a share of them.
    pub surface_share: f32,
    /// Error of any predicted voltage in V.
    pub voltage_v: f32,
    /// Growth of the present voltage error under the load, as a share of it: where the model is wrong already, it will be
    /// more so.
    pub error_share: f32,
    /// Error of the negative electrode's potential in V.
    pub plating_v: f32,
    /// Error of current and power where the current limit binds, as a share.
    pub current_share: f32,
    /// Error of the cell temperature in K.
    pub temperature_k: f32,
}

impl Margin {
    /// For cells known from pulse tests and sensors of 1 mV, 0.1 % and 0.5 K.
    pub const DEFAULT: Self = Self {
        sigmas: 2.0,
        drop_share: 0.1,
        surface_share: 0.5,
        voltage_v: 0.005,
        error_share: 1.0,
        plating_v: 0.015,
        current_share: 0.03,
        temperature_k: 1.0,
    };
    /// Nothing: the best estimate.
    const NONE: Self = Self {
        sigmas: 0.0,
        drop_share: 0.0,
        surface_share: 0.0,
        voltage_v: 0.0,
        error_share: 0.0,
        plating_v: 0.0,
        current_share: 0.0,
        temperature_k: 0.0,
    };

    /// The state at its worse end for a load of this sign.
    pub(crate) fn worst(&self, start: &Start, sign: f32) -> Start {
        let worse = |x: Estimated| Estimated { value: x.value + self.sigmas * x.std, ..x };
        let [instant, fast, slow, added] = start.scales.map(worse);
        let more = |k: Estimated| Estimated { value: k.value * (1.0 + self.drop_share), ..k };
        let mut at = start.at;
        at.soc.value -= sign * self.sigmas * at.soc.std;
        let error_v =
            self.sigmas * at.error_v.std + self.voltage_v + self.error_share * abs(at.error_v.value);
        at.error_v.value -= sign * error_v;
        at.temperature_c -= self.temperature_k;
        Start { at, scales: [more(instant), more(fast), more(slow), added], surface: start.surface }
    }
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
    /// None: what the current's own limit is searched from.
    const UNLIMITED: Self = Self {
        power_w: f32::INFINITY,
        power_by: Binding::Current,
        current_a: f32::INFINITY,
        current_by: Binding::Current,
    };

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
    model: PulseModel<'a>,
    state: NegativeState,
}

/// What a [`NegativeElectrode`] keeps over a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct NegativeState {
    v1: f32,
    v2: f32,
    hysteresis: f32,
}

stored!(NegativeState {
    v1: f32 => |s| abs(s.v1) <= 5.0,
    v2: f32 => |s| abs(s.v2) <= 5.0,
    hysteresis: f32 => |s| abs(s.hysteresis) <= 1.0,
});

impl<'a> NegativeElectrode<'a> {
    /// A rested electrode.
    #[must_use]
    pub fn new(model: PulseModel<'a>) -> Self {
        Self::restore(model, NegativeState::default())
    }

    /// What to keep over a sleep.
    #[must_use]
    pub const fn state(&self) -> NegativeState {
        self.state
    }

    /// An electrode that goes on where another one was, with the same tables.
    #[must_use]
    pub const fn restore(model: PulseModel<'a>, state: NegativeState) -> Self {
        Self { model, state }
    }

    /// Follows the polarisation: `mean_a` flowed for the last `dt_s` seconds; `at` is the cell's state.
    pub fn step(&mut self, at: &OperatingPoint, mean_a: f32, dt_s: f32) {
        if !(dt_s > 0.0 && dt_s < 1e6 && mean_a.is_finite()) {
            return;
        }
        let c = self.model.cell.circuit(at.temperature_c, at.soc.value);
        let (a1, a2) = (decay(dt_s / c.tau1_s), decay(dt_s / c.tau2_s));
        let s = &mut self.state;
        s.v1 = bound(a1 * s.v1 + (1.0 - a1) * c.r1_ohm * mean_a, -5.0, 5.0);
        s.v2 = bound(a2 * s.v2 + (1.0 - a2) * c.r2_ohm * mean_a, -5.0, 5.0);
        let moved = abs(mean_a) * dt_s / (3600.0 * at.capacity_ah);
        let b = decay(moved * self.model.cell.tables().hysteresis_gamma);
        s.hysteresis = bound(b * s.hysteresis + (1.0 - b) * if mean_a > 0.0 { -1.0 } else { 1.0 }, -1.0, 1.0);
    }

    /// The electrode in the cell's present state.
    fn ahead(&self, start: &Start, heat: Option<Heat>, margin: &Margin) -> Option<Ahead<'a>> {
        let at = &start.at;
        let mut own = *at;
        own.error_v.value = 0.0;
        own.v1 = self.state.v1;
        own.v2 = self.state.v2;
        own.hysteresis = self.state.hysteresis;
        // What the cell's resistance has grown by is mostly film, which lithium does not see.
        let as_new = |value| Estimated { value: value * (1.0 + margin.drop_share), std: 0.0 };
        let scales = [1.0, 1.0, 1.0, 0.0].map(as_new);
        let ahead = Ahead::new(&self.model, &Start { at: own, scales, ..*start }, heat)?;
        Some(ahead.with_surface(1.0 + margin.surface_share))
    }

    /// The largest charge current in A (a magnitude), `most_a` at the most, that can be held for `horizon_s` without plating,
    /// found from the state at its worse end; 0 where even none would plate. `None` when the state is none of a cell.
    pub(crate) fn largest_charge_a(
        &self,
        start: &Start,
        margin: &Margin,
        horizon_s: f32,
        most_a: f32,
    ) -> Option<f32> {
        const STRETCHES: u8 = 4;
        let from = self.ahead(&margin.worst(start, -1.0), None, margin)?;
        let highest_v = self.model.cell.tables().v_max - margin.plating_v;
        let stretch = Stretch::new(horizon_s / f32::from(STRETCHES));
        let slack = |charge_a: f32| {
            let mut electrode = from;
            let mut load = electrode.under_current(-charge_a);
            let mut left = highest_v - load.voltage_v;
            for _ in 0..STRETCHES {
                // A NaN plates.
                if left.is_nan() || left < 0.0 {
                    break;
                }
                electrode.pass_under(load, &stretch);
                load = electrode.under_current(-charge_a);
                left = lesser(left, highest_v - load.voltage_v);
            }
            Slack { left, by: Binding::Plating }
        };
        Some(largest(most_a, Binding::Current, resolution(most_a), slack).0)
    }
}

/// State of power of one cell in its present state.
///
/// `negative` brings the plating limit; without it charge is limited by everything else. Bounded time: at most 20 loads are
/// tried for each of the 24 values.
///
/// ```
/// use bms_core::{cell::CellModel, example, measurement::Measurement, soc::SocEstimator, tuning::Tuning};
/// use bms_core::sop::{Limits, power};
///
/// let model = CellModel::new(example::NMC_5AH)?;
/// let mut estimator = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.60)?;
/// estimator.step(&Measurement::new(3.75, 2.5, 25.0), 1.0);
/// let limits = Limits::of_cell(&model, 15.0, 7.5);
/// let sop = power(&(&model).into(), &limits, &estimator.operating_point().into(), None);
/// let [two_s, _, thirty_s] = sop.best.discharge;
/// assert!(two_s.power_w >= thirty_s.power_w && sop.safe.discharge[0].power_w < two_s.power_w);
/// # Ok::<(), bms_core::cell::ParameterError>(())
/// ```
#[must_use]
pub fn power(
    model: &PulseModel<'_>,
    limits: &Limits,
    start: &Start,
    negative: Option<&NegativeElectrode<'_>>,
) -> PowerState {
    power_of_string(model, limits, [start; 2], negative)
}

/// State of power of a string: the tighter of the [`power`] of two of its cells, limit by limit ([`PowerState::tighter`]).
///
/// The first is the cell that ends a discharge, the second the one that ends a charge; `negative` is the second's. It costs
/// little more than one cell: what the cell that binds can bear is only tried with the other one.
#[must_use]
pub fn power_of_string(
    model: &PulseModel<'_>,
    limits: &Limits,
    [weakest, fullest]: [&Start; 2],
    negative: Option<&NegativeElectrode<'_>>,
) -> PowerState {
    let stretches = STRETCHES_S.map(Stretch::new);
    let one = core::ptr::eq(weakest, fullest);
    let of = |start, negative, sign, [best, safe]: [[Limit; 3]; 2]| {
        let search = |margin| Search::new(model, limits, start, negative, margin, sign, stretches);
        Some(both(&search(Margin::NONE)?, &search(limits.margin)?, best, safe))
    };
    let free = [[Limit::UNLIMITED; 3]; 2];
    let discharge = || {
        let found = of(weakest, None, 1.0, free)?;
        if one { Some(found) } else { of(fullest, None, 1.0, found) }
    };
    let charge = || {
        let found = of(fullest, negative, -1.0, free)?;
        if one { Some(found) } else { of(weakest, None, -1.0, found) }
    };
    let (Some([best_d, safe_d]), Some([best_c, safe_c])) = (discharge(), charge()) else {
        return PowerState::default();
    };
    PowerState {
        best: PowerLimits { discharge: best_d, charge: best_c },
        safe: PowerLimits { discharge: safe_d, charge: safe_c },
    }
}

/// Best and safe limits of one direction over all horizons, none above those that are given.
fn both(
    best: &Search<'_>,
    worst: &Search<'_>,
    mut limits: [Limit; 3],
    mut safe: [Limit; 3],
) -> [[Limit; 3]; 2] {
    // What cannot be held for a short time cannot for a longer one, and not from a worse state.
    let mut shorter = [Limit::UNLIMITED; 2];
    for ((limit, safe), horizon) in
        limits.iter_mut().zip(&mut safe).zip(HORIZONS_S.into_iter().zip(STRETCHES))
    {
        *limit = best.limit(horizon, limit.tighter(shorter[0]));
        let found = worst.limit(horizon, safe.tighter(shorter[1]).tighter(*limit));
        *safe = safe.tighter(found.tighter(worst.less(limit, best)));
        shorter = [*limit, found];
    }
    [limits, safe]
}

/// How far a load stays from the limits; negative or no number beyond one of them, which `by` tells then.
#[derive(Clone, Copy)]
pub(crate) struct Slack {
    pub(crate) left: f32,
    pub(crate) by: Binding,
}

impl Slack {
    const fn sound(&self) -> bool {
        // False for NaN.
        self.left >= 0.0
    }
}

/// The lesser of two; NaN where one of them is none.
pub(crate) fn lesser(a: f32, b: f32) -> f32 {
    if a <= b || a.is_nan() { a } else { b }
}

/// What loads up to this one are told apart by.
pub(crate) fn resolution(most: f32) -> f32 {
    most / (1u32 << HALVINGS) as f32
}

/// The largest load in `0..=most` that meets no limit, to a resolution, and the limit that ends the next larger one; `by`
/// where none ends `most`. By interpolation, truncation and projection (Oliveira and Takahashi 2020).
pub(crate) fn largest(
    most: f32,
    by: Binding,
    resolution: f32,
    slack: impl Fn(f32) -> Slack,
) -> (f32, Binding) {
    let mut above = slack(most);
    if above.sound() {
        return (most, by);
    }
    let (mut low, mut high) = (NEAR * most, most);
    let mut below = slack(low);
    if !below.sound() {
        (high, above) = (low, below);
        low = 0.0;
        below = slack(low);
        if !below.sound() {
            return (low, below.by);
        }
    }
    // What halvings alone, and one more, would leave.
    let mut reach = resolution;
    for _ in 0..HALVINGS {
        if reach < high - low {
            reach *= 2.0;
        }
    }
    for _ in 0..=HALVINGS {
        let width = high - low;
        if width <= resolution {
            break;
        }
        let middle = 0.5 * (low + high);
        let between = low + width * below.left / (below.left - above.left);
        // Nearer to the middle, so that both ends close in …
        let off = middle - between;
        let shift = (0.2 * width * width / most).max(0.5 * resolution);
        let nearer = if shift < abs(off) { between + if off > 0.0 { shift } else { -shift } } else { middle };
        // … and no further from it than halving would still make up for.
        let most_off = bound(reach - 0.5 * width, 0.0, width);
        reach *= 0.5;
        // A slack that is no number tells nothing.
        let tried =
            if off.is_finite() { middle + bound(nearer - middle, -most_off, most_off) } else { middle };
        let found = slack(tried);
        if found.sound() {
            (low, below) = (tried, found);
        } else {
            (high, above) = (tried, found);
        }
    }
    (low, above.by)
}

/// The search for one limit.
#[derive(Clone, Copy)]
struct Search<'a> {
    cell: Ahead<'a>,
    electrode: Option<(Ahead<'a>, f32)>,
    limits: &'a Limits,
    margin: Margin,
    sign: f32,
    stretches: [Stretch; 5],
}

impl<'a> Search<'a> {
    fn new(
        model: &PulseModel<'a>,
        limits: &'a Limits,
        start: &Start,
        negative: Option<&NegativeElectrode<'a>>,
        margin: Margin,
        sign: f32,
        stretches: [Stretch; 5],
    ) -> Option<Self> {
        let from = margin.worst(start, sign);
        let electrode = match negative {
            Some(negative) => {
                let ahead = negative.ahead(&from, limits.heat, &margin)?;
                // Nothing plates in a discharge.
                (sign < 0.0).then_some((ahead, negative.model.cell.tables().v_max - margin.plating_v))
            }
            None => None,
        };
        let cell = Ahead::new(model, &from, limits.heat)?.with_surface(1.0 + margin.surface_share);
        Some(Self { cell, electrode, limits, margin, sign, stretches })
    }

    /// The limit over a horizon, not above `within`.
    fn limit(&self, (horizon_s, stretches): (f32, usize), within: Limit) -> Limit {
        let allowed = if self.sign > 0.0 { &self.limits.discharge } else { &self.limits.charge };
        let most_a = allowed.over(horizon_s);
        if !(0.0..1e6).contains(&most_a) {
            return Limit::default();
        }
        let slack = |hold| self.slack(hold, most_a, stretches);
        // No more than the largest current at the highest voltage that there can be.
        let open_v = self.cell.voltage_v(0.0);
        let most_v = if self.sign > 0.0 { open_v } else { open_v.max(self.limits.voltage_v[1]) };
        let most_w = most_a * bound(most_v, 0.0, 10.0);
        let Limit { power_w, power_by, current_a, current_by } =
            within.tighter(Limit { power_w: most_w, current_a: most_a, ..Limit::UNLIMITED });
        let (current_a, current_by) =
            largest(current_a, current_by, resolution(most_a), |i| slack(Hold::Current(self.sign * i)));
        let (power_w, power_by) =
            largest(power_w, power_by, resolution(most_w), |p| slack(Hold::Power(self.sign * p)));
        Limit { power_w, power_by, current_a, current_by }
    }

    /// A limit of the best estimate less what current and voltage may be wrong: where the current binds, a voltage that is
    /// predicted too high promises power on discharge and on charge.
    fn less(&self, limit: &Limit, best: &Self) -> Limit {
        let load_a = self.sign * limit.current_a;
        let (v, worst_v) = (best.cell.voltage_v(load_a), self.cell.voltage_v(load_a));
        let wrong = bound(abs(v - worst_v) / bound(v, 0.5, 10.0), 0.0, 1.0);
        let share = bound(self.margin.current_share, 0.0, 1.0);
        Limit {
            power_w: limit.power_w * (1.0 - share) * (1.0 - wrong),
            current_a: limit.current_a * (1.0 - share),
            ..*limit
        }
    }

    /// The least that is left to the limits within the horizon, or what is missing, with the limit that is met first.
    fn slack(&self, hold: Hold, most_a: f32, stretches: usize) -> Slack {
        const NO_POWER: Slack = Slack { left: f32::NEG_INFINITY, by: Binding::Voltage };
        let mut cell = self.cell;
        let mut electrode = self.electrode;
        let start_c = cell.temperature_c;
        let Some(mut load) = cell.under(hold, None) else { return NO_POWER };
        let mut least = self.slack_now(&cell, electrode.as_ref(), load, most_a, start_c);
        for stretch in self.stretches.iter().take(stretches) {
            let Some(next) = cell.advance_by(hold, load, stretch) else { return NO_POWER };
            if let Some((negative, _)) = &mut electrode {
                // Only its current counts for the electrode.
                negative.pass_mean(0.5 * (load.current_a + next.current_a), stretch);
            }
            load = next;
            let now = self.slack_now(&cell, electrode.as_ref(), load, most_a, start_c);
            let by = if least.sound() { now.by } else { least.by };
            least = Slack { left: lesser(least.left, now.left), by };
        }
        least
    }

    /// What is left to the nearest limit: in V, as a share of the current, in SOC, in tens of K.
    fn slack_now(
        &self,
        cell: &Ahead<'_>,
        electrode: Option<&(Ahead<'_>, f32)>,
        Load { current_a, voltage_v: v }: Load,
        most_a: f32,
        start_c: f32,
    ) -> Slack {
        let l = self.limits;
        let [v_min, v_max] = l.voltage_v;
        let [z_min, z_max] = l.soc;
        let discharging = self.sign > 0.0;
        let hottest_c =
            (l.temperature_max_c - 2.0 * self.margin.temperature_k).min(start_c + l.temperature_rise_k);
        let plating = match electrode {
            Some((electrode, v_max)) if !discharging => v_max - electrode.voltage_v(current_a),
            _ => f32::INFINITY,
        };
        let mut least = Slack { left: f32::INFINITY, by: Binding::Current };
        for (left, by) in [
            (if discharging { v - v_min } else { v_max - v }, Binding::Voltage),
            (plating, Binding::Plating),
            ((most_a * 1.00001 - abs(current_a)) / bound(most_a, 1e-3, 1e6), Binding::Current),
            (if discharging { cell.soc - z_min } else { z_max - cell.soc }, Binding::Soc),
            (0.1 * (hottest_c - cell.temperature_c), Binding::Temperature),
        ] {
            let found = Slack { left, by };
            // A NaN meets its limit.
            if !found.sound() {
                return found;
            }
            if left < least.left {
                least = found;
            }
        }
        least
    }
}

/// Makes a power limit fit to publish: it falls at once, rises slowly, and does not follow an estimate to and fro.
///
/// The published value is never above the latest estimate. It begins to rise only when the estimate has stayed above it by
/// more than the dead band for the whole hold time, and then by no more than the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Publisher {
    rise_per_s: f32,
    hold_s: f32,
    dead_band: f32,
    published: f32,
    above_s: f32,
    started: bool,
}

impl Publisher {
    /// A limit that rises by at most `rise_per_s` (W/s or A/s) after the estimate was above it by a share `dead_band` for
    /// `hold_s` seconds. Settings that are no positive numbers count as 0.
    #[must_use]
    pub fn new(rise_per_s: f32, hold_s: f32, dead_band: f32) -> Self {
        let usable = |x: f32| bound(x, 0.0, 1e9);
        Self {
            rise_per_s: usable(rise_per_s),
            hold_s: usable(hold_s),
            dead_band: usable(dead_band),
            published: 0.0,
            above_s: 0.0,
            started: false,
        }
    }

    /// Takes in an estimate (a magnitude; what is no number counts as 0) and the time since the last one in s.
    pub fn step(&mut self, estimate: f32, dt_s: f32) -> f32 {
        let estimate = bound(estimate, 0.0, 1e9);
        let dt_s = bound(dt_s, 0.0, 60.0);
        if !self.started || estimate <= self.published {
            self.started = true;
            self.published = estimate;
            self.above_s = 0.0;
        } else if self.above_s >= self.hold_s {
            self.published = (self.published + self.rise_per_s * dt_s).min(estimate);
        } else if estimate > self.published * (1.0 + self.dead_band) {
            self.above_s += dt_s;
        } else {
            self.above_s = 0.0;
        }
        self.published
    }

    /// What was published last.
    #[must_use]
    pub const fn published(&self) -> f32 {
        self.published
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::CellTables;
    use crate::example;
    use crate::measurement::Measurement;
    use crate::soc::SocEstimator;
    use crate::tuning::Tuning;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn model() -> CellModel<'static> {
        CellModel::new(example::NMC_5AH).unwrap()
    }

    fn at(model: &CellModel<'_>, soc: f32) -> Start {
        let mut cell = SocEstimator::new(model, &Tuning::NMC, 5.0, soc).unwrap().operating_point();
        cell.soc.std = 0.01;
        cell.resistance_scale.std = 0.02;
        cell.into()
    }

    /// A cell whose answer is known: a flat 3.7 V behind one resistor.
    fn resistor(ohm: f32) -> CellTables<'static> {
        static OCV: [f32; 2] = [3.7, 3.7];
        static R: [f32; 2] = [0.02, 0.02];
        static NONE: [f32; 2] = [0.0, 0.0];
        static TAU: [f32; 2] = [10.0, 10.0];
        assert_eq!(ohm, R[0]);
        CellTables {
            temperature_c: &[25.0],
            ocv_v: &OCV,
            hysteresis_v: &NONE,
            r0_ohm: &R,
            rct_ohm: &NONE,
            r1_ohm: &NONE,
            tau1_s: &TAU,
            r2_ohm: &NONE,
            tau2_s: &TAU,
            i_ct_a: &[1.0],
            model_error_v: &[0.01, 0.01],
            ..example::NMC_5AH
        }
    }

    #[test]
    fn a_resistor_gives_the_power_of_ohms_law() {
        let model = CellModel::new(resistor(0.02)).unwrap();
        let t = model.tables();
        let limits = Limits::of_cell(&model, 1e3, 1e3);
        let sop = power(&(&model).into(), &limits, &at(&model, 0.5), None).best;
        for (limit, v) in [(sop.discharge[0], t.v_min), (sop.charge[0], t.v_max)] {
            let current = (3.7 - v).abs() / 0.02;
            assert!((limit.current_a / current - 1.0).abs() < 1e-3, "{limit:?}");
            assert!((limit.power_w / (current * v) - 1.0).abs() < 1e-3, "{limit:?}");
            assert_eq!((limit.power_by, limit.current_by), (Binding::Voltage, Binding::Voltage));
        }
    }

    #[test]
    fn every_limit_binds_and_says_so() {
        let model = model();
        let free = Limits::of_cell(&model, 15.0, 7.5);
        let by = |limits: &Limits, soc: f32| power(&(&model).into(), limits, &at(&model, soc), None).best;
        assert_eq!(by(&free, 0.6).discharge[2].power_by, Binding::Current);
        let window = Limits { soc: [0.595, 0.605], ..free };
        assert_eq!(by(&window, 0.6).discharge[2].current_by, Binding::Soc);
        // 0.5 % of 5 Ah in 30 s.
        let current = 0.005 * 5.0 * 3600.0 / 30.0;
        assert!((by(&window, 0.6).discharge[2].current_a - current).abs() < 0.02);
        let heat = Heat { capacity_j_per_k: 5.0, to_ambient_w_per_k: 0.0, ambient_c: 25.0 };
        let warm = Limits { temperature_rise_k: 1.0, heat: Some(heat), ..free };
        assert_eq!(by(&warm, 0.6).discharge[2].power_by, Binding::Temperature);
        assert!(by(&warm, 0.6).discharge[0].current_a > by(&warm, 0.6).discharge[2].current_a);
        let volts = Limits { voltage_v: [3.6, 3.8], ..free };
        assert_eq!(by(&volts, 0.6).discharge[1].power_by, Binding::Voltage);
        let pulse = CurrentLimit { pulse_a: 15.0, pulse_s: 10.0, continuous_a: 5.0 };
        let [two, ten, thirty] = by(&Limits { discharge: pulse, ..free }, 0.6).discharge;
        assert!(two.current_a == 15.0 && ten.current_a == 15.0 && thirty.current_a == 5.0);
    }

    /// The negative electrode as a resistor of 20 mohm at 0.1 V: lithium plates at 5 A.
    #[test]
    fn plating_limits_charge_alone() {
        static OCV: [f32; 2] = [1.9, 1.9];
        let negative =
            CellModel::new(CellTables { ocv_v: &OCV, v_min: 0.0, v_max: 2.0, ..resistor(0.02) }).unwrap();
        let model = model();
        let limits = Limits::of_cell(&model, 15.0, 15.0);
        let from = at(&model, 0.4);
        let free = power(&(&model).into(), &limits, &from, None).best;
        let sop =
            power(&(&model).into(), &limits, &from, Some(&NegativeElectrode::new((&negative).into()))).best;
        assert_eq!(free.discharge, sop.discharge);
        assert!(free.charge[0].current_a > 6.0);
        for limit in sop.charge {
            assert_eq!((limit.power_by, limit.current_by), (Binding::Plating, Binding::Plating));
            assert!((limit.current_a - 5.0).abs() < 0.01, "{limit:?}");
        }
    }

    #[test]
    fn what_is_no_number_gives_no_power() {
        let model = model();
        let limits = Limits::of_cell(&model, 15.0, 7.5);
        let mut lost = at(&model, 0.5);
        lost.at.v2 = f32::NAN;
        assert_eq!(power(&(&model).into(), &limits, &lost, None), PowerState::default());
        let nan = Limits { discharge: CurrentLimit::constant(f32::NAN), ..limits };
        assert_eq!(power(&(&model).into(), &nan, &at(&model, 0.5), None).best.discharge[0], Limit::default());
        assert_eq!(Binding::Plating.code(), 5);
    }

    #[test]
    fn after_a_discharge_there_is_less_power() {
        let model = model();
        let limits = Limits { voltage_v: [3.55, 4.2], ..Limits::of_cell(&model, 50.0, 50.0) };
        let mut cell = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.6).unwrap();
        let rested = power(&(&model).into(), &limits, &cell.operating_point().into(), None).best;
        for _ in 0..60 {
            cell.step(
                &Measurement {
                    voltage_v: crate::measurement::Reading::MISSING,
                    ..Measurement::new(0.0, 10.0, 25.0)
                },
                1.0,
            );
        }
        let polarised = power(&(&model).into(), &limits, &cell.operating_point().into(), None).best;
        assert!(polarised.discharge[2].power_w < 0.95 * rested.discharge[2].power_w);
        assert!(polarised.charge[2].power_w >= rested.charge[2].power_w);
    }

    proptest! {
        #[test]
        fn ordered_as_it_must_be(soc in 0.02f32..0.98, t in -20.0f32..50.0, v1 in -0.05f32..0.05, v2 in -0.1f32..0.1, k in 0.7f32..2.0) {
            let model = model();
            let limits = Limits::of_cell(&model, 40.0, 20.0);
            let mut from = at(&model, soc);
            (from.at.temperature_c, from.at.v1, from.at.v2, from.scales[0].value) = (t, v1, v2, k);
            let sop = power(&(&model).into(), &limits, &from, None);
            for (best, safe) in [(sop.best.discharge, sop.safe.discharge), (sop.best.charge, sop.safe.charge)] {
                for (best, safe) in best.iter().zip(&safe) {
                    prop_assert!(safe.power_w <= best.power_w && safe.current_a <= best.current_a);
                    prop_assert!(best.power_w >= 0.0 && best.current_a <= 40.0);
                }
            }
            let fullest = from;
            // The weaker of two cells is weaker than both.
            from.at.soc = Estimated { value: 0.5 * soc, std: 0.01 };
            let other = power(&(&model).into(), &limits, &from, None);
            let both = sop.tighter(&other);
            for (b, (x, y)) in both.best.discharge.iter().zip(sop.best.discharge.iter().zip(&other.best.discharge)) {
                prop_assert_eq!(b.power_w, x.power_w.min(y.power_w));
            }
            let string = power_of_string(&(&model).into(), &limits, [&from, &fullest], None);
            for (a, b) in [(both.best, string.best), (both.safe, string.safe)] {
                for (a, b) in a.discharge.iter().chain(&a.charge).zip(b.discharge.iter().chain(&b.charge)) {
                    // The margin of the stronger one is taken at the load of the weaker.
                    prop_assert!((0.99 * a.power_w - 0.05..=a.power_w + 0.05).contains(&b.power_w), "{a:?} {b:?}");
                    prop_assert!((a.current_a - b.current_a).abs() <= 0.01, "{a:?} {b:?}");
                }
            }
        }

        #[test]
        fn a_search_ends_within_its_resolution_after_no_more_steps_than_halving(
            root in 0.0f32..1.0, slope in 0.1f32..10.0, kink in 0.0f32..1.0, kind in 0..4,
        ) {
            let tried = core::cell::Cell::new(0);
            let slack = |x: f32| {
                tried.set(tried.get() + 1);
                let left = match kind {
                    0 => slope * (root - x),
                    1 => slope * (root - x) + if x < kink { 3.0 } else { 0.0 },
                    2 => (root - x) * (root - x).abs() * slope,
                    _ => if x < root { 1.0 } else { f32::NEG_INFINITY },
                };
                Slack { left: if kind == 1 && x >= root { left.min(-1e-9) } else { left }, by: Binding::Soc }
            };
            let (found, _) = largest(1.0, Binding::Current, resolution(1.0), slack);
            prop_assert!(found <= root + 1e-6 && root - found <= 1.1 * resolution(1.0), "{found} for {root}");
            prop_assert!(tried.get() <= 20, "{}", tried.get());
            prop_assert!(kind != 0 || tried.get() <= 10, "{}", tried.get());
        }

        #[test]
        fn any_state_gives_numbers(bits in any::<[u32; 10]>()) {
            let model = model();
            let [soc, v1, v2, h, e, k, t, q, i, v] = bits.map(f32::from_bits);
            let mut from = at(&model, 0.5);
            let (p, scale) = (&mut from.at, &mut from.scales[1].value);
            (p.soc.value, p.v1, p.v2, p.hysteresis, p.error_v.value) = (soc, v1, v2, h, e);
            (*scale, p.temperature_c, p.capacity_ah) = (k, t, q);
            let limits = Limits { voltage_v: [v, 4.2], ..Limits::of_cell(&model, i, 7.5) };
            let sop = power(&(&model).into(), &limits, &from, None);
            for l in sop.best.discharge.iter().chain(&sop.best.charge).chain(&sop.safe.discharge) {
                prop_assert!(l.power_w.is_finite() && l.power_w >= 0.0 && l.current_a.is_finite() && l.current_a >= 0.0);
            }
        }

        #[test]
        fn the_published_value_keeps_below_and_to_its_rate(estimates in prop::collection::vec(0.0f32..100.0, 1..200)) {
            let mut publisher = Publisher::new(2.0, 3.0, 0.02);
            let mut before = None;
            for estimate in estimates {
                let now = publisher.step(estimate, 1.0);
                prop_assert!(now <= estimate);
                prop_assert!(before.is_none_or(|b| now <= b + 2.0001));
                before = Some(now);
            }
        }

        /// An estimate that dips at least once in every hold time moves nothing: no hunting.
        #[test]
        fn an_estimate_that_comes_and_goes_is_published_as_its_lowest(ups in prop::collection::vec(0.0f32..20.0, 100)) {
            let mut publisher = Publisher::new(2.0, 5.0, 0.02);
            let published: Vec<f32> = ups.iter().enumerate().map(|(k, up)| publisher.step(if k % 4 == 0 { 50.0 } else { 50.0 + up }, 1.0)).collect();
            prop_assert!(published.iter().all(|p| *p == 50.0));
        }

        #[test]
        fn a_lasting_estimate_is_reached(from in 1.0f32..50.0, to in 60.0f32..100.0) {
            let mut publisher = Publisher::new(2.0, 5.0, 0.02);
            publisher.step(from, 1.0);
            let published: Vec<f32> = (0..80).map(|_| publisher.step(to, 1.0)).collect();
            prop_assert!(published.windows(2).all(|w| w[1] >= w[0]) && published[79] == to);
        }
    }
}
