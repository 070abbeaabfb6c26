//! State of charge of one cell: an extended Kalman filter around an exact charge count.
//!
//! States: SOC, the two RC voltages `v1`, `v2`, the hysteresis `h`, the slow model error `e`, the resistance against the
//! tables `k` (it scales the whole voltage drop) and the current-sensor offset `b`. The charge itself is counted outside
//! the filter in integers ([`crate::charge`]); the filter moves the count by corrections, so that no current is too small
//! to count.
//!
//! The voltage model is never exact, and its error does not average out from one sample to the next: it belongs to the
//! SOC, the temperature and the load, and stays for minutes to hours. The filter therefore carries it as a state of its
//! own, a first-order Gauss-Markov process
//!
//! ```text
//! e' = a e,  a = exp(-dt/τ_e - |ΔSOC|/ℓ_e),  var(e) -> σ² = σ_T² + (κ η)² + (s dOCV/dSOC)²
//! ```
//!
//! (`σ_T` from identification, κ of the overpotential η that the terminal shows, s the error of the table along its SOC
//! axis, which grows as the cell ages). On a flat open-circuit voltage σ is worth tens of points of SOC and the filter
//! counts; on a slope it is worth one or two and the filter corrects. There is no switch for the plateau. White noise
//! beside it is the same for any sampling rate: readings closer together than a few tens of seconds share their error.
//!
//! Sources: Plett (2004), "Extended Kalman filtering for battery management systems of LiPB-based HEV battery packs,
//! Part 3", J. Power Sources 134; Schmidt (1966) and Jazwinski (1970), "Stochastic Processes and Filtering Theory",
//! ch. 8 (coloured measurement noise by state augmentation); Bierman (1977) for the factored form ([`crate::ud`]).

mod stored;

use crate::cell::{Age, CellModel, CircuitPoint, ParameterError, SOC_RANGE};
use crate::charge::ChargeCounter;
use crate::math::{abs, bound, decay, finite_or, sqrt};
use crate::measurement::{Measurement, Reading};
use crate::tuning::Tuning;
use crate::ud::{N, UdCovariance};

const SOC: usize = 0;
const V1: usize = 1;
const V2: usize = 2;
const HYS: usize = 3;
const ERR: usize = 4;
const RES: usize = 5;
const BIAS: usize = 6;

/// After this time (s) below 0.15 C the voltage is looked at again even where it had collapsed before.
const LIGHT_LOAD_S: f32 = 600.0;

/// An uncertainty of the SOC above this (fraction) is too wide for the slope at one point.
const WIDE_STD: f32 = 0.03;
/// Over this time (s) readings share the error of the regression line.
const LINE_MEMORY_S: f32 = 300.0;

/// A line through the open-circuit voltage over a range of SOC.
#[derive(Debug, Clone, Copy)]
struct Regression {
    /// Its value at the estimated SOC in V.
    ocv_v: f32,
    /// V per unit of SOC.
    slope: f32,
    /// Variance of the curve about it in V².
    left_variance: f32,
}

/// Gaps longer than this (s) hide an unknown charge, unless the front end counted it.
const LONG_GAP_S: f32 = 120.0;

/// A value with its standard deviation, in the same unit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimated {
    /// Best estimate.
    pub value: f32,
    /// One standard deviation.
    pub std: f32,
}

/// What the estimator has to say about its own state; a set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status(u16);

impl Status {
    /// No usable voltage in this sample: counting only.
    pub const VOLTAGE_LOST: Self = Self(1);
    /// No usable current: the last one is held for a while and the band widens.
    pub const CURRENT_LOST: Self = Self(1 << 1);
    /// No usable temperature: the last one is held.
    pub const TEMPERATURE_LOST: Self = Self(1 << 2);
    /// `dt` was negative or not a number and counted as zero.
    pub const BAD_TIME_STEP: Self = Self(1 << 3);
    /// The voltage was too far from the prediction and was not used.
    pub const INNOVATION_REJECTED: Self = Self(1 << 4);
    /// The filter widened itself after a series of rejections.
    pub const RECOVERED: Self = Self(1 << 5);
    /// Temperature more than 5 K outside the tables' range of validity.
    pub const OUTSIDE_VALIDITY: Self = Self(1 << 6);
    /// The voltage counts as an open-circuit voltage after a long rest.
    pub const AT_REST: Self = Self(1 << 7);
    /// The end of a full charge set SOC to 1.
    pub const FULL: Self = Self(1 << 8);
    /// The count reached the end of the possible range and was held there.
    pub const SOC_LIMITED: Self = Self(1 << 9);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags as a number, for a bus or a log.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The cell is at the end of what it can deliver at this load and temperature; its voltage does not tell the SOC.
    pub const TRANSPORT_LIMITED: Self = Self(1 << 10);

    /// The voltage stays the same to the last bit while current and charge say that it cannot: not used.
    pub const VOLTAGE_STUCK: Self = Self(1 << 12);
    /// A gap in the samples under load, without a charge reading over it: the band widens.
    pub const SAMPLES_LOST: Self = Self(1 << 11);

    /// All flags.
    const ALL: Self = Self((1 << 13) - 1);
    /// What an update found and what therefore holds until the next one.
    const HELD: Self = Self(
        Self::INNOVATION_REJECTED.0
            | Self::AT_REST.0
            | Self::FULL.0
            | Self::TRANSPORT_LIMITED.0
            | Self::VOLTAGE_STUCK.0,
    );

    pub(crate) const fn only(self, mask: Self) -> Self {
        Self(self.0 & mask.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any flag of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Everything one step tells.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// State of charge, fraction, limited to 0..=1.
    pub soc: Estimated,
    /// Offset of the current sensor in A (what it reads too much on discharge).
    pub current_bias_a: Estimated,
    /// Voltage that the model predicted at the last update in V.
    pub predicted_v: f32,
    /// Measured minus predicted voltage at the last update in V (zero where no voltage was used).
    pub innovation_v: f32,
    /// Slow model error in V.
    pub model_error_v: f32,
    /// Mean current since the previous sample in A, positive on discharge, without the learnt offset: what was counted.
    pub mean_current_a: f32,
    /// Resistance over the tables' resistance.
    pub resistance_scale: f32,
    /// Further factor on the part of the drop that follows the current without delay, learnt from its steps.
    pub instant_scale: f32,
    /// Hysteresis state, -1..=1.
    pub hysteresis: f32,
    /// Flags.
    pub status: Status,
}

/// State of charge of one cell.
///
/// [`Self::state`] and [`Self::restore`] carry it over a sleep; a new one ([`Self::new`]) is the reset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SocEstimator<'a> {
    model: &'a CellModel<'a>,
    tuning: &'a Tuning,
    state: SocState,
}

/// Everything that an estimator has learnt and counted, without the tables and the tuning: what to keep over a sleep.
///
/// An estimator restored from it goes on bit for bit as the original would ([`SocEstimator::state`],
/// [`SocEstimator::restore`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SocState {
    capacity_ah: f32,
    age: Age,
    remaining: ChargeCounter,
    v1: f32,
    v2: f32,
    hysteresis: f32,
    error_v: f32,
    resistance_excess: f32,
    bias_c: f32,
    overpotential_v: f32,
    fixed_variance: f32,
    covariance: UdCovariance,
    circuit: CircuitPoint,
    looked_up: Option<(f32, f32)>,
    edges: EdgeRegression,
    temperature_c: f32,
    current_a: f32,
    current_lost_s: f32,
    pending: Pending,
    started: bool,
    rest_s: f32,
    rested_at: Option<f32>,
    full_s: f32,
    rejected_s: f32,
    blind_s: f32,
    light_s: f32,
    stuck: StuckVoltage,
    held: Status,
    last_predicted_v: f32,
    last_innovation_v: f32,
}

/// What has happened since the covariance was last brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Pending {
    dt_s: f32,
    soc_throughput: f32,
    lost_soc_variance: f32,
}

/// Watches for a voltage that stays the same to the last bit while the current steps.
///
/// Only steps count: while a charger holds a constant voltage the current changes too, but over minutes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct StuckVoltage {
    voltage: f32,
    slow_drop_v: f32,
    contradictions: u8,
}

impl StuckVoltage {
    /// A step of the ohmic drop (V) that a real voltage must show.
    const STEP_V: f32 = 0.03;
    /// Contradictions that make a voltage stuck.
    const ENOUGH: u8 = 3;
    /// Time over which the drop is averaged (s).
    const AVERAGE_S: f32 = 20.0;

    /// `drop_v` is the ohmic drop of the measured current. True from the third contradiction until the voltage changes.
    fn watch(&mut self, voltage: f32, drop_v: f32, dt_s: f32) -> bool {
        if voltage != self.voltage {
            *self = Self { voltage, slow_drop_v: drop_v, contradictions: 0 };
        }
        self.slow_drop_v += (1.0 - decay(dt_s / Self::AVERAGE_S)) * (drop_v - self.slow_drop_v);
        if abs(drop_v - self.slow_drop_v) > Self::STEP_V {
            self.contradictions = self.contradictions.saturating_add(1);
        }
        self.contradictions >= Self::ENOUGH
    }
}

fn check_capacity(capacity_ah: f32) -> Result<(), ParameterError> {
    if capacity_ah > 1e-3 && capacity_ah < 1e5 { Ok(()) } else { Err(ParameterError::Capacity) }
}

/// The cell that ends a charge.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fullest {
    pub(crate) voltage_v: Reading,
    /// Its SOC minus that of the cell that the filter follows.
    pub(crate) soc_difference: Estimated,
}

/// A step whose voltage is still to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ahead {
    status: Status,
    /// Current at the sample in A, without the learnt offset.
    pub(crate) instant_a: f32,
    /// Mean current since the last sample in A, without the learnt offset.
    pub(crate) mean_a: f32,
    first: bool,
    /// Whether this step looks at the voltage.
    pub(crate) due: bool,
}

/// The state of one cell as the filter has it: where predictions of voltage, power and energy start.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct OperatingPoint {
    /// State of charge (fraction), which may leave 0..=1 by up to 5 points.
    pub soc: Estimated,
    /// Voltage of the fast RC pair in V, without [`Self::resistance_scale`].
    pub v1: f32,
    /// Voltage of the slow RC pair in V, without [`Self::resistance_scale`].
    pub v2: f32,
    /// Hysteresis state, -1..=1.
    pub hysteresis: f32,
    /// Slow model error in V, added to the open-circuit voltage.
    pub error_v: Estimated,
    /// Factor on the whole voltage drop of the tables.
    pub resistance_scale: Estimated,
    /// Further factor on the part of the drop that follows the current without delay (`r0`, charge transfer).
    pub instant_scale: f32,
    /// Cell temperature in degC.
    pub temperature_c: f32,
    /// Present current in A, positive on discharge, without the learnt offset.
    pub current_a: f32,
    /// Present capacity in Ah.
    pub capacity_ah: f32,
    /// Age, for the open-circuit voltage.
    pub age: Age,
}

/// Learns the instantaneous resistance against the tables' from changes of the current, by recursive least squares.
///
/// What the tables' instantaneous drop and the measured one differ by from their own averages over some ten seconds is
/// free of SOC, model error and slow polarisation. Films that grow with age add to this part of the resistance and
/// hardly to diffusion.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct EdgeRegression {
    /// Averages of the tables' drop and of the measured one in V; none after a gap.
    average: Option<(f32, f32)>,
    /// Sum of products of the deviations in V², of the measured drop above the tables'.
    excess: f32,
    /// Sum of squares of the deviations of the tables' drop in V².
    weight: f32,
}

impl EdgeRegression {
    /// Samples further apart than this share too little (s).
    const LONGEST_S: f32 = 10.0;
    /// Time over which the averages are taken (s).
    const AVERAGE_S: f32 = 15.0;
    /// Smaller deviations are noise (V).
    const LEAST_V: f32 = 0.003;
    /// Weight of the belief that the resistance is the tables' (V²).
    const PRIOR: f32 = 0.01;
    /// Memory (s of changing current).
    const MEMORY_S: f32 = 1500.0;

    fn watch(&mut self, table_v: f32, measured_v: f32, dt_s: f32) {
        let Some((table_mean, measured_mean)) = self.average.filter(|_| dt_s <= Self::LONGEST_S) else {
            self.average = Some((table_v, measured_v));
            return;
        };
        let share = 1.0 - decay(dt_s / Self::AVERAGE_S);
        self.average = Some((
            table_mean + share * (table_v - table_mean),
            measured_mean + share * (measured_v - measured_mean),
        ));
        let (x, y) = (table_v - table_mean, measured_v - measured_mean);
        if abs(x) < Self::LEAST_V || abs(x) > 2.0 {
            return;
        }
        let keep = decay(dt_s / Self::MEMORY_S);
        let excess = bound(y - x, -2.0 * abs(x), 5.0 * abs(x));
        self.excess = keep * self.excess + x * excess;
        self.weight = keep * self.weight + x * x;
    }

    /// Factor on the tables' instantaneous drop.
    fn scale(&self) -> f32 {
        1.0 + bound(self.excess / (self.weight + Self::PRIOR), -0.5, 4.0)
    }
}

impl<'a> SocEstimator<'a> {
    /// An estimator for one cell.
    ///
    /// `capacity_ah` is the cell's present capacity (the tables' reference capacity for a new cell), `initial_soc` the
    /// best guess of its SOC (fraction, 0..=1); `tuning.initial_soc_std` says how good a guess it is.
    ///
    /// # Errors
    /// [`ParameterError`] if the capacity or the start SOC cannot be used.
    pub fn new(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        capacity_ah: f32,
        initial_soc: f32,
    ) -> Result<Self, ParameterError> {
        let start = Estimated { value: initial_soc, std: tuning.initial_soc_std };
        Self::starting_at(model, tuning, capacity_ah, start)
    }

    /// The same with a start SOC that is known so well: remembered over a sleep, or read at a full charge.
    ///
    /// # Errors
    /// [`ParameterError`] if the capacity, the start SOC or its standard deviation (above 0, at most 1) cannot be used.
    pub fn starting_at(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        capacity_ah: f32,
        start: Estimated,
    ) -> Result<Self, ParameterError> {
        let initial_soc = start.value;
        check_capacity(capacity_ah)?;
        let known = (0.0..=1.0).contains(&initial_soc) && start.std > 0.0 && start.std <= 1.0;
        if !known {
            return Err(ParameterError::InitialSoc);
        }
        let mut remaining = ChargeCounter::default();
        remaining.set_ampere_hours(initial_soc * capacity_ah);
        let square = |x: f32| x * x;
        let bias_std = if tuning.parts.bias { tuning.current_bias_std_c } else { 1e-6 };
        let hysteresis_std = if tuning.parts.hysteresis { 0.6 } else { 1e-4 };
        let circuit = model.circuit(25.0, initial_soc);
        let covariance = UdCovariance::diagonal([
            square(start.std),
            square(0.002),
            square(0.005),
            square(hysteresis_std),
            1e-6,
            square(if tuning.parts.resistance { tuning.resistance_std } else { 1e-4 }),
            square(bias_std),
        ]);
        let state = SocState {
            capacity_ah,
            age: model.age(1.0 - capacity_ah / model.tables().capacity_ah),
            remaining,
            v1: 0.0,
            v2: 0.0,
            hysteresis: 0.0,
            error_v: 0.0,
            resistance_excess: 0.0,
            bias_c: 0.0,
            overpotential_v: 0.0,
            fixed_variance: square(start.std),
            covariance,
            circuit,
            looked_up: None,
            edges: EdgeRegression::default(),
            temperature_c: 25.0,
            current_a: 0.0,
            current_lost_s: 0.0,
            pending: Pending::default(),
            started: false,
            rest_s: 0.0,
            rested_at: None,
            full_s: 0.0,
            rejected_s: 0.0,
            blind_s: 0.0,
            light_s: 0.0,
            stuck: StuckVoltage::default(),
            held: Status::default(),
            last_predicted_v: 0.0,
            last_innovation_v: 0.0,
        };
        Ok(Self { model, tuning, state })
    }

    /// What to keep over a sleep or a reset of the controller.
    #[must_use]
    pub const fn state(&self) -> SocState {
        self.state
    }

    /// An estimator that goes on where another one was. The tables and the tuning must be the ones that it had.
    #[must_use]
    pub const fn restore(model: &'a CellModel<'a>, tuning: &'a Tuning, state: SocState) -> Self {
        Self { model, tuning, state }
    }

    /// Present capacity in Ah.
    #[must_use]
    pub const fn capacity_ah(&self) -> f32 {
        self.state.capacity_ah
    }

    /// Takes over a capacity (Ah) that was learnt; SOC and its uncertainty stay as they are, so that nothing jumps.
    ///
    /// # Errors
    /// [`ParameterError::Capacity`] if it is not between 1 mAh and 100 kAh; nothing changes then.
    pub fn set_capacity(&mut self, capacity_ah: f32) -> Result<(), ParameterError> {
        check_capacity(capacity_ah)?;
        let soc = self.raw_soc();
        // The offset is kept as a rate: its amperes must not change with the capacity, either.
        self.state.bias_c *= self.state.capacity_ah / capacity_ah;
        self.state.capacity_ah = capacity_ah;
        self.state.age = self.model.age(1.0 - capacity_ah / self.model.tables().capacity_ah);
        self.state.remaining.set_ampere_hours(soc * capacity_ah);
        Ok(())
    }

    /// The present state, from which voltages ahead are predicted.
    #[must_use]
    pub fn operating_point(&self) -> OperatingPoint {
        let s = &self.state;
        let std = |k| sqrt(s.covariance.variance(k));
        OperatingPoint {
            soc: Estimated { value: self.raw_soc(), std: std(SOC) },
            v1: s.v1,
            v2: s.v2,
            hysteresis: s.hysteresis,
            error_v: Estimated { value: s.error_v, std: std(ERR) },
            resistance_scale: self.resistance_scale(),
            instant_scale: s.edges.scale(),
            temperature_c: s.temperature_c,
            current_a: s.current_a - s.bias_c * s.capacity_ah,
            capacity_ah: s.capacity_ah,
            age: s.age,
        }
    }

    /// [`OperatingPoint::resistance_scale`] alone.
    pub(crate) fn resistance_scale(&self) -> Estimated {
        Estimated {
            value: 1.0 + self.state.resistance_excess,
            std: sqrt(self.state.covariance.variance(RES)),
        }
    }

    /// State of charge as the filter has it, which may leave 0..=1 by up to 5 points.
    #[must_use]
    pub fn raw_soc(&self) -> f32 {
        self.state.remaining.ampere_hours() / self.state.capacity_ah
    }

    /// The factors of the covariance; all positive means positive definite.
    #[must_use]
    pub const fn covariance(&self) -> &UdCovariance {
        &self.state.covariance
    }

    /// Takes in one sample; `dt_s` is the time since the previous one (0 for the first).
    ///
    /// Bounded time, no allocation. Invalid readings are ordinary: without a voltage it counts, without a current it
    /// holds the last one for ten seconds and then assumes none while the band widens, without a temperature it holds
    /// the last one. `dt_s = 0` repeats the estimate.
    pub fn step(&mut self, sample: &Measurement, dt_s: f32) -> Estimate {
        let ahead = self.advance(sample, dt_s);
        self.finish(
            sample,
            ahead,
            &Fullest { voltage_v: sample.voltage_v, soc_difference: Estimated::default() },
        )
    }

    /// First half of a step: everything up to the voltage, which a pack makes from many cells.
    pub(crate) fn advance(&mut self, sample: &Measurement, dt_s: f32) -> Ahead {
        let mut status = Status::default();
        let dt_s = if dt_s >= 0.0 && dt_s.is_finite() {
            dt_s.min(1e6)
        } else {
            status.set(Status::BAD_TIME_STEP);
            0.0
        };
        match sample.temperature_c.valid() {
            Some(t) => self.state.temperature_c = t,
            None => status.set(Status::TEMPERATURE_LOST),
        }
        if sample.voltage_v.valid().is_none() {
            status.set(Status::VOLTAGE_LOST);
        }
        if self.model.outside_by_k(self.state.temperature_c) > 5.0 {
            status.set(Status::OUTSIDE_VALIDITY);
        }
        let (instant_a, mean_a) = self.currents(sample, dt_s, &mut status);
        self.count(mean_a, dt_s, &mut status);
        self.predict(mean_a, dt_s);
        self.watch_rest(instant_a, mean_a, dt_s);

        let first = !self.state.started;
        let due = first || self.state.pending.dt_s >= self.tuning.update_period_s * 0.999;
        Ahead { status, instant_a, mean_a, first, due }
    }

    /// Second half of a step: the voltage, if it is time to look at it.
    pub(crate) fn finish(&mut self, sample: &Measurement, ahead: Ahead, fullest: &Fullest) -> Estimate {
        let Ahead { status, instant_a, mean_a, first, due } = ahead;
        let mut estimate = Estimate { status, ..Estimate::default() };
        if first {
            self.state.started = true;
            // Only now the temperature is known, and with it how far the model can be wrong.
            self.state.covariance.add_noise(ERR, self.error_variance(self.slope()));
        }
        if due {
            self.propagate_covariance();
            self.correct(sample, instant_a, &mut estimate);
            self.anchor_full(fullest, instant_a, &mut estimate);
            self.state.covariance.sanitise();
            self.state.pending = Pending::default();
            self.state.held = estimate.status.only(Status::HELD);
        } else {
            estimate.status.set(self.state.held);
        }
        estimate.mean_current_a = mean_a;
        self.report(&mut estimate);
        estimate
    }

    /// Whether the current is being guessed.
    pub(crate) fn current_lost(&self) -> bool {
        self.state.current_lost_s > 0.0
    }

    /// Voltage drop in V for a current (A, without the offset), before the resistance scale: what
    /// follows it without delay, and the RC pairs.
    pub(crate) fn drops_v(&self, instant_a: f32) -> [f32; 2] {
        [self.instant_drop(instant_a).0, self.state.v1 + self.state.v2]
    }

    /// Instantaneous current and the mean since the last sample, both without the learnt offset.
    fn currents(&mut self, sample: &Measurement, dt_s: f32, status: &mut Status) -> (f32, f32) {
        let previous = self.state.current_a;
        let instant = match (sample.current_a.valid(), sample.mean_current_a.valid()) {
            (Some(i), _) | (None, Some(i)) => {
                self.state.current_lost_s = 0.0;
                i
            }
            (None, None) => {
                status.set(Status::CURRENT_LOST);
                self.state.current_lost_s += dt_s;
                // What flows unseen is unknown up to about half a capacity per hour, and the same all the while.
                let share = |lost_s: f32| (0.5 * lost_s / 3600.0) * (0.5 * lost_s / 3600.0);
                self.state.pending.lost_soc_variance +=
                    share(self.state.current_lost_s) - share(self.state.current_lost_s - dt_s);
                if self.state.current_lost_s > 10.0 { 0.0 } else { previous }
            }
        };
        self.state.current_a = instant;
        let mean = match sample.mean_current_a.valid() {
            Some(mean) => mean,
            None if self.state.started => {
                if dt_s > LONG_GAP_S {
                    status.set(Status::SAMPLES_LOST);
                    let typical_c = 0.5 * (abs(previous) + abs(instant)) / self.state.capacity_ah;
                    let unseen = 0.5 * typical_c * dt_s / 3600.0;
                    self.state.pending.lost_soc_variance += unseen * unseen;
                }
                0.5 * (previous + instant)
            }
            None => instant,
        };
        if sample.contactors_open {
            if let Some(reading) = sample.mean_current_a.valid().or(sample.current_a.valid()) {
                self.zero_current(reading);
            }
            return (0.0, 0.0);
        }
        let bias_a = self.state.bias_c * self.state.capacity_ah;
        (instant - bias_a, mean - bias_a)
    }

    /// With open contactors the sensor reads its own offset.
    fn zero_current(&mut self, reading_a: f32) {
        if !self.tuning.parts.bias {
            return;
        }
        let mut h = [0.0; N];
        h[BIAS] = 1.0;
        let std = self.tuning.zero_current_std_c;
        let innovation = reading_a / self.state.capacity_ah - self.state.bias_c;
        let gain = self.state.covariance.update(&h, std * std);
        self.apply(&gain, innovation);
    }

    fn count(&mut self, mean_a: f32, dt_s: f32, status: &mut Status) {
        let efficiency = if mean_a < 0.0 { self.model.tables().coulombic_efficiency } else { 1.0 };
        self.state.remaining.add_coulomb(-mean_a * efficiency * dt_s);
        self.limit_count(status);
    }

    fn limit_count(&mut self, status: &mut Status) {
        let soc = self.raw_soc();
        let limited = bound(soc, SOC_RANGE.0, SOC_RANGE.1);
        if limited != soc {
            self.state.remaining.set_ampere_hours(limited * self.state.capacity_ah);
            status.set(Status::SOC_LIMITED);
        }
    }

    /// Looks the circuit up again only when SOC or temperature have moved enough to matter.
    fn refresh_circuit(&mut self) {
        let soc = self.raw_soc();
        let moved = match self.state.looked_up {
            Some((t, z)) => abs(t - self.state.temperature_c) > 0.1 || abs(z - soc) > 0.001,
            None => true,
        };
        if moved {
            self.state.circuit = self.model.circuit(self.state.temperature_c, soc);
            self.state.looked_up = Some((self.state.temperature_c, soc));
        }
    }

    fn predict(&mut self, mean_a: f32, dt_s: f32) {
        self.refresh_circuit();
        let c = &self.state.circuit;
        let (a1, a2) = (decay(dt_s / c.tau1_s), decay(dt_s / c.tau2_s));
        self.state.v1 = bound(a1 * self.state.v1 + (1.0 - a1) * c.r1_ohm * mean_a, -5.0, 5.0);
        self.state.v2 = bound(a2 * self.state.v2 + (1.0 - a2) * c.r2_ohm * mean_a, -5.0, 5.0);
        let throughput = abs(mean_a) * dt_s / (3600.0 * self.state.capacity_ah);
        if self.tuning.parts.hysteresis {
            let ah = decay(throughput * self.model.tables().hysteresis_gamma);
            let target = if mean_a > 0.0 { -1.0 } else { 1.0 };
            self.state.hysteresis = ah * self.state.hysteresis + (1.0 - ah) * target;
        }
        self.state.pending.dt_s += dt_s;
        self.state.pending.soc_throughput += throughput;
    }

    /// A rest is what was quiet all the while, not only at its last sample, and was measured.
    fn watch_rest(&mut self, instant_a: f32, mean_a: f32, dt_s: f32) {
        // The sensor's zero or the learnt one: while the offset is uncertain, either may be the true zero.
        let offset_a = self.state.bias_c * self.state.capacity_ah;
        let quieter = |corrected_a: f32| abs(corrected_a).min(abs(corrected_a + offset_a));
        let current_a = quieter(instant_a).max(quieter(mean_a));
        let below =
            |limit_c: f32| self.state.current_lost_s <= 0.0 && current_a < limit_c * self.state.capacity_ah;
        let (light, rest) = (below(0.15), below(self.tuning.rest_current_c));
        self.state.light_s = if light { self.state.light_s + dt_s } else { 0.0 };
        self.state.rest_s = if rest { self.state.rest_s + dt_s } else { 0.0 };
    }

    /// Variance of the slow model error in the present state.
    fn error_variance(&self, slope: f32) -> f32 {
        let t = &self.tuning;
        let c = &self.state.circuit;
        let base = c.model_error_v * t.model_error_scale;
        // Outside the tested temperatures nothing is known; resistances go up by half or so for every 5 K.
        let unknown = 1.0 + bound(self.model.outside_by_k(self.state.temperature_c), 0.0, 40.0) / 5.0;
        // The nearer the load drives the cell to its cut-off, the less a circuit describes it.
        let open = self.model.ocv(self.state.temperature_c, self.raw_soc(), &self.state.age).ocv_v;
        let room = (open - self.model.tables().v_min).max(0.05);
        let spent = bound(self.state.overpotential_v / room, 0.0, 0.9);
        let loaded = t.polarisation_error * self.state.overpotential_v / (1.0 - spent);
        let axis = self.axis_error() * slope;
        unknown * unknown * (base * base + loaded * loaded) + axis * axis
    }

    /// Standard deviation of the tables along their SOC axis (fraction).
    fn axis_error(&self) -> f32 {
        let t = &self.tuning;
        let fade = bound(1.0 - self.state.capacity_ah / self.model.tables().capacity_ah, 0.0, 0.5);
        // Full and empty define SOC at every age; in between the curve slides.
        let soc = bound(self.raw_soc(), 0.0, 1.0);
        t.axis_error_soc + t.ageing_axis_error * fade * 4.0 * soc * (1.0 - soc)
    }

    /// Follows what no number of readings can take away: the open-circuit table is wrong at a place by the same amount at
    /// every visit. The best place since the last one that was better counts, and what the charge count lost since then.
    ///
    /// The filter itself knows nothing of it, only the reported band (a consider covariance: Schmidt 1966).
    fn watch_fixed_error(&mut self, slope: f32, lost: f32) {
        let table = self.tuning.rest_voltage_std_v / slope.max(1e-3);
        let axis = self.axis_error();
        self.state.fixed_variance =
            (self.state.fixed_variance + lost).min(axis * axis + table * table).min(0.1);
    }

    fn propagate_covariance(&mut self) {
        let t = self.tuning;
        let c = self.state.circuit;
        let dt = self.state.pending.dt_s;
        let dz = self.state.pending.soc_throughput;
        let (a1, a2) = (decay(dt / c.tau1_s), decay(dt / c.tau2_s));
        let ah = if t.parts.hysteresis { decay(dz * self.model.tables().hysteresis_gamma) } else { 1.0 };
        let ae = decay(dt / t.model_error_time_s + dz / t.model_error_length_soc);
        self.state.error_v *= ae;

        // An offset of one C-rate that is too small removes too much charge and too much polarisation.
        let q = self.state.capacity_ah;
        let coupling =
            [dt / 3600.0, -(1.0 - a1) * c.r1_ohm * q, -(1.0 - a2) * c.r2_ohm * q, 0.0, 0.0, 0.0, 0.0];
        let ar = if t.parts.resistance { decay(dt / t.resistance_time_s) } else { 1.0 };
        self.state.resistance_excess *= ar;
        self.state.covariance.propagate(&[1.0, a1, a2, ah, ae, ar, 1.0], &coupling);

        let lost = self.state.pending.lost_soc_variance;
        let gain = t.charge_gain_std * t.charge_gain_std * dz * 0.3;
        let lost = gain + lost + 3e-10 * dt;
        self.state.covariance.add_noise(SOC, lost);
        let slope = self.slope();
        self.watch_fixed_error(slope, lost);
        let share = |part: f32, a: f32| {
            let v = part * self.state.overpotential_v;
            v * v * (1.0 - a * a)
        };
        let (q1, q2) = (share(t.fast_error, a1), share(t.slow_error, a2));
        self.state.covariance.add_noise(V1, q1);
        self.state.covariance.add_noise(V2, q2);
        if t.parts.resistance {
            self.state.covariance.add_noise(RES, t.resistance_std * t.resistance_std * (1.0 - ar * ar));
        }
        if t.parts.hysteresis {
            self.state.covariance.add_noise(HYS, t.hysteresis_noise * dz);
        }
        if t.parts.correlated_error {
            self.state.covariance.add_noise(ERR, self.error_variance(slope) * (1.0 - ae * ae));
        }
        if t.parts.bias {
            let walk = t.current_bias_walk_c;
            self.state.covariance.add_noise(BIAS, walk * walk * dt / 3600.0);
            self.state.covariance.cap_last(t.current_bias_std_c * t.current_bias_std_c);
        }
    }

    /// Slope of the open-circuit voltage over the width of the present uncertainty.
    fn slope(&self) -> f32 {
        let half_width = bound(sqrt(self.state.covariance.variance(SOC)), 0.005, 0.1);
        self.model.ocv_slope(self.state.temperature_c, self.raw_soc(), half_width, &self.state.age)
    }

    /// The same over that part of it to which a measured voltage above (`rise` > 0) or below the predicted one points.
    ///
    /// Beside a knee the two differ by orders of magnitude, and only the side that the correction goes to matters.
    fn slope_towards(&self, rise: f32) -> f32 {
        let half = 0.5 * bound(sqrt(self.state.covariance.variance(SOC)), 0.005, 0.1);
        let middle = if rise > 0.0 { self.raw_soc() + half } else { self.raw_soc() - half };
        self.model.ocv_slope(self.state.temperature_c, middle, half, &self.state.age)
    }

    /// Regression of the open-circuit voltage on the SOC over the whole of a wide uncertainty; `None` while it is narrow.
    ///
    /// Over tens of points the curve bends: its slope is that of the regression line, and what is left about the line is
    /// not known (statistical linearisation; Gelb (1974), "Applied Optimal Estimation", ch. 6.2). SOC ends at 0 and 1.
    fn regression(&self) -> Option<Regression> {
        let std = sqrt(self.state.covariance.variance(SOC));
        if std < WIDE_STD {
            return None;
        }
        let soc = self.raw_soc();
        // (number of standard deviations, density of the normal distribution there)
        const NODES: [(f32, f32); 9] = [
            (-2.0, 0.054),
            (-1.5, 0.1295),
            (-1.0, 0.242),
            (-0.5, 0.3521),
            (0.0, 0.3989),
            (0.5, 0.3521),
            (1.0, 0.242),
            (1.5, 0.1295),
            (2.0, 0.054),
        ];
        let points = NODES.map(|(x, weight)| {
            let z = soc + x * std;
            let inside = x == 0.0 || (0.0..=1.0).contains(&z);
            let v = self.model.ocv(self.state.temperature_c, z, &self.state.age).ocv_v;
            (z - soc, v, if inside { weight } else { 0.0 })
        });
        let mean = |f: fn(&(f32, f32, f32)) -> f32| -> f32 {
            let (sum, weights) =
                points.iter().fold((0.0, 0.0), |(sum, weights), p| (sum + p.2 * f(p), weights + p.2));
            sum / weights
        };
        let (mean_z, mean_v) = (mean(|p| p.0), mean(|p| p.1));
        let (zz, zv, vv) = points.iter().fold((1e-9, 0.0, 0.0), |(zz, zv, vv), p| {
            let (dz, dv) = (p.0 - mean_z, p.1 - mean_v);
            (zz + p.2 * dz * dz, zv + p.2 * dz * dv, vv + p.2 * dv * dv)
        });
        let slope = zv / zz;
        let total: f32 = points.iter().map(|p| p.2).sum();
        Some(Regression {
            ocv_v: mean_v - slope * mean_z,
            slope,
            left_variance: ((vv - slope * zv) / total).max(0.0),
        })
    }

    /// Voltage drop in V that follows the current without delay, with what the edges taught, and its slope in ohm.
    fn instant_drop(&self, current_a: f32) -> (f32, f32) {
        let (drop, slope) = self.state.circuit.instant_drop(current_a);
        let scale = self.state.edges.scale();
        (scale * drop, scale * slope)
    }

    /// Predicted voltage and its sensitivity to the states.
    fn output(&self, instant_a: f32) -> (f32, [f32; N]) {
        let soc = self.raw_soc();
        let point = self.model.ocv(self.state.temperature_c, soc, &self.state.age);
        let m = if self.tuning.parts.hysteresis { point.hysteresis_v } else { 0.0 };
        let (drop, resistance) = self.instant_drop(instant_a);
        let polarisation = drop + self.state.v1 + self.state.v2;
        let scale = 1.0 + self.state.resistance_excess;
        let v = point.ocv_v + m * self.state.hysteresis + self.state.error_v - scale * polarisation;
        let sensed = if self.tuning.parts.resistance { -polarisation } else { 0.0 };
        (
            v,
            [
                self.slope(),
                -scale,
                -scale,
                m,
                1.0,
                sensed,
                self.tuning.bias_voltage_share * scale * resistance * self.state.capacity_ah,
            ],
        )
    }

    /// Follows how far the terminal voltage is from the open-circuit voltage, whatever the circuit says about it.
    fn watch_overpotential(&mut self, voltage: f32) {
        let point = self.model.ocv(self.state.temperature_c, self.raw_soc(), &self.state.age);
        let (drop, _) = self.instant_drop(self.state.current_a);
        let explained = (1.0 + self.state.resistance_excess) * abs(drop + self.state.v1 + self.state.v2);
        let distance = bound(
            abs(voltage - point.ocv_v - point.hysteresis_v * self.state.hysteresis),
            0.0,
            self.tuning.overpotential_cap * explained + 0.02,
        );
        let smoothing = 1.0 - decay(self.state.pending.dt_s / 60.0);
        self.state.overpotential_v =
            bound(self.state.overpotential_v + smoothing * (distance - self.state.overpotential_v), 0.0, 2.0);
    }

    /// True while, and for some minutes after, the voltage under discharge is close to the cut-off.
    ///
    /// There the particles' surface or the electrolyte runs empty, which no equivalent circuit describes: the voltage
    /// collapses by up to a volt at a SOC that a cold cell shares with a full one.
    fn transport_limited(&mut self, voltage: f32, instant_a: f32) -> bool {
        let v_min = self.model.tables().v_min;
        let open = self.model.ocv(self.state.temperature_c, self.raw_soc(), &self.state.age).ocv_v;
        let loaded = instant_a > 0.05 * self.state.capacity_ah;
        self.state.blind_s = if loaded && voltage < v_min + self.tuning.collapse_share * (open - v_min) {
            self.tuning.collapse_hold_s
        } else {
            (self.state.blind_s - self.state.pending.dt_s).max(0.0)
        };
        self.state.blind_s > 0.0 && self.state.light_s < LIGHT_LOAD_S
    }

    fn correct(&mut self, sample: &Measurement, instant_a: f32, estimate: &mut Estimate) {
        let (mut predicted, mut h) = self.output(instant_a);
        self.state.last_predicted_v = predicted;
        self.state.last_innovation_v = 0.0;
        let Some(voltage) = sample.voltage_v.valid() else { return };
        if self.state.current_lost_s > 0.0 {
            // A drop that nobody measured would be taken for charge.
            return;
        }
        let drop_v = self.state.circuit.r0_ohm * self.state.current_a;
        if self.state.stuck.watch(voltage, drop_v, self.state.pending.dt_s) {
            estimate.status.set(Status::VOLTAGE_STUCK);
            return;
        }
        self.watch_overpotential(voltage);
        if self.transport_limited(voltage, instant_a) {
            estimate.status.set(Status::TRANSPORT_LIMITED);
            return;
        }
        if self.tuning.parts.resistance {
            let (drop, _) = self.state.circuit.instant_drop(instant_a);
            let (learnt, _) = self.instant_drop(instant_a);
            let scale = 1.0 + self.state.resistance_excess;
            let measured = predicted - self.state.error_v + scale * learnt - voltage;
            self.state.edges.watch(drop, measured, self.state.pending.dt_s);
        }
        let anchored = self.at_rest(estimate) && self.not_yet_anchored();
        if anchored {
            self.anchor_rest();
            (predicted, h) = self.output(instant_a);
        }
        let wide = self.regression();
        if let Some(line) = &wide {
            let point = self.model.ocv(self.state.temperature_c, self.raw_soc(), &self.state.age);
            predicted += line.ocv_v - point.ocv_v;
        }
        let innovation = voltage - predicted;
        h[SOC] = wide.map_or_else(|| self.slope_towards(innovation), |line| line.slope);
        self.state.last_predicted_v = predicted;
        self.state.last_innovation_v = innovation;
        let mut r = self.voltage_noise(instant_a, h[SOC]);
        if let Some(line) = &wide {
            // It is the same from one reading to the next and must not average out.
            let share = self.state.pending.dt_s / LINE_MEMORY_S;
            r += line.left_variance / bound(share, 1e-3, 1.0);
        }
        let variance = self.state.covariance.projected_variance(&h) + r;
        let gate = self.tuning.gate_sigma;
        if innovation * innovation > gate * gate * variance {
            self.state.rejected_s += self.state.pending.dt_s;
            if self.state.rejected_s < self.tuning.gate_recovery_s {
                estimate.status.set(Status::INNOVATION_REJECTED);
                return;
            }
            // The model or the state is wrong for good: admit it and start over from the voltage.
            estimate.status.set(Status::RECOVERED);
            self.state.covariance.add_noise(SOC, self.tuning.initial_soc_std * self.tuning.initial_soc_std);
            self.state.covariance.add_noise(ERR, innovation * innovation / (gate * gate));
        }
        self.state.rejected_s = 0.0;

        let before = *self;
        let gain = self.state.covariance.update(&h, r);
        self.apply(&gain, innovation);
        if wide.is_none() && abs(self.raw_soc() - before.raw_soc()) > 0.02 {
            self.iterate(&before, voltage, instant_a, r);
        }
        if anchored {
            self.state.rested_at = Some(self.raw_soc());
        }
    }

    /// Second pass of the iterated filter, linearised where the first one ended (Jazwinski 1970, ch. 8.3).
    fn iterate(&mut self, before: &Self, voltage: f32, instant_a: f32, r: f32) {
        let at = *self;
        let (mut predicted, mut h) = at.output(instant_a);
        h[SOC] = at.model.ocv_slope(at.state.temperature_c, at.raw_soc(), 0.01, &at.state.age);
        let difference = [
            before.raw_soc() - at.raw_soc(),
            before.state.v1 - at.state.v1,
            before.state.v2 - at.state.v2,
            before.state.hysteresis - at.state.hysteresis,
            before.state.error_v - at.state.error_v,
            before.state.resistance_excess - at.state.resistance_excess,
            before.state.bias_c - at.state.bias_c,
        ];
        for (sensitivity, d) in h.iter().zip(difference) {
            predicted += sensitivity * d;
        }
        *self = *before;
        let gain = self.state.covariance.update(&h, r);
        self.apply(&gain, voltage - predicted);
    }

    /// Noise variance of one voltage update: sensor, and errors too fast for the slow state.
    fn voltage_noise(&self, instant_a: f32, slope: f32) -> f32 {
        let t = &self.tuning;
        let (drop, _) = self.instant_drop(instant_a);
        let fast = t.drop_error * drop * (1.0 + self.state.resistance_excess);
        let white = t.voltage_noise_v * t.voltage_noise_v + fast * fast;
        if !t.parts.correlated_error {
            return white + self.error_variance(slope);
        }
        let dt = self.state.pending.dt_s;
        if dt > 0.0 && dt < t.white_interval_s { white * t.white_interval_s / dt } else { white }
    }

    fn apply(&mut self, gain: &[f32; N], innovation: f32) {
        let step = |k: usize| finite_or(gain[k] * innovation, 0.0);
        self.state.remaining.add_coulomb(bound(step(SOC), -1.0, 1.0) * self.state.capacity_ah * 3600.0);
        self.limit_count(&mut Status::default());
        self.state.v1 = bound(self.state.v1 + step(V1), -5.0, 5.0);
        self.state.v2 = bound(self.state.v2 + step(V2), -5.0, 5.0);
        self.state.error_v = bound(self.state.error_v + step(ERR), -1.0, 1.0);
        if self.tuning.parts.hysteresis {
            self.state.hysteresis = bound(self.state.hysteresis + step(HYS), -1.0, 1.0);
        }
        if self.tuning.parts.resistance {
            self.state.resistance_excess = bound(self.state.resistance_excess + step(RES), -0.6, 4.0);
        }
        if self.tuning.parts.bias {
            let limit = 5.0 * self.tuning.current_bias_std_c;
            self.state.bias_c = bound(self.state.bias_c + step(BIAS), -limit, limit);
        }
    }

    /// True when the cell has rested long enough for its voltage to be an open-circuit voltage.
    fn at_rest(&self, estimate: &mut Estimate) -> bool {
        let colder = bound((25.0 - self.state.temperature_c) / 15.0, 0.0, 4.0);
        let needed = self.tuning.rest_time_s * libm::exp2f(colder);
        let rested = self.tuning.parts.anchors && self.state.rest_s >= needed;
        if rested {
            estimate.status.set(Status::AT_REST);
        }
        rested
    }

    /// A rest at a SOC that has been anchored before tells nothing new: the table is wrong there by the same amount.
    fn not_yet_anchored(&self) -> bool {
        self.state.rested_at.is_none_or(|soc| abs(soc - self.raw_soc()) > 0.03)
    }

    /// After a long rest the polarisation is gone and with it its share of the model error: a fresh, smaller error.
    fn anchor_rest(&mut self) {
        let std = self.tuning.rest_voltage_std_v;
        self.state.covariance.propagate(&[1.0, 1.0, 1.0, 1.0, 1e-3, 1.0, 1.0], &[0.0; N]);
        self.state.covariance.add_noise(ERR, std * std);
        self.state.error_v = 0.0;
        self.state.rested_at = Some(self.raw_soc());
    }

    /// A charge that tapers off at the upper voltage limit ends with the fullest cell at SOC = 1.
    fn anchor_full(&mut self, fullest: &Fullest, instant_a: f32, estimate: &mut Estimate) {
        let t = self.tuning;
        let at_limit = fullest.voltage_v.valid().is_some_and(|v| v > self.model.tables().v_max - 0.015);
        let tapered = instant_a < -1e-3 * self.state.capacity_ah
            && instant_a > -t.full_current_c * self.state.capacity_ah;
        let trusted = self.state.current_lost_s <= 0.0 && !estimate.status.contains(Status::VOLTAGE_STUCK);
        if !(t.parts.anchors && at_limit && tapered && trusted) {
            self.state.full_s = 0.0;
            return;
        }
        let before = self.state.full_s;
        // Two samples at least, however long the gap between them.
        self.state.full_s += self.state.pending.dt_s.min(15.0);
        let enough = 30.0;
        if self.state.full_s >= enough {
            estimate.status.set(Status::FULL);
        }
        if before < enough && self.state.full_s >= enough {
            let mut h = [0.0; N];
            h[SOC] = 1.0;
            let difference = fullest.soc_difference;
            let variance = self.full_variance() + difference.std * difference.std;
            self.state.fixed_variance = self.state.fixed_variance.min(variance);
            let innovation = 1.0 - difference.value - self.raw_soc();
            let gain = self.state.covariance.update(&h, variance);
            self.apply(&gain, innovation);
        }
    }

    /// How far SOC = 1 may be off at the end of a full charge (variance).
    pub(crate) fn full_variance(&self) -> f32 {
        let cold = 1.0 + bound((25.0 - self.state.temperature_c) / 15.0, 0.0, 4.0);
        let std = self.tuning.full_soc_std * cold;
        std * std
    }

    fn report(&self, estimate: &mut Estimate) {
        estimate.soc = Estimated {
            value: bound(self.raw_soc(), 0.0, 1.0),
            std: sqrt(self.state.covariance.variance(SOC) + self.state.fixed_variance),
        };
        estimate.current_bias_a = Estimated {
            value: self.state.bias_c * self.state.capacity_ah,
            std: sqrt(self.state.covariance.variance(BIAS)) * self.state.capacity_ah,
        };
        estimate.predicted_v = self.state.last_predicted_v;
        estimate.innovation_v = self.state.last_innovation_v;
        estimate.model_error_v = self.state.error_v;
        estimate.resistance_scale = 1.0 + self.state.resistance_excess;
        estimate.instant_scale = self.state.edges.scale();
        estimate.hysteresis = self.state.hysteresis;
    }
}
