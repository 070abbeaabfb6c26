//! Charging: the current and voltage to ask a charger for.
//!
//! The request is the smallest of what the plan's present stage, the table over temperature and SOC, the charger, the
//! negative electrode and the cell voltage allow, each for the worst cell of the pack. It falls at once to a lower limit and
//! rises slowly, after the limits have allowed more for a while ([`crate::sop::Publisher`]), so that nothing it follows
//! can make it hunt.
//!
//! **Constant voltage.** The highest cell voltage without its instantaneous drop, `E = v - R i` (i: charge current), does not
//! follow the current at once and is smooth; a fading-memory filter follows it and its slope. The limit is met by
//!
//! ```text
//! i = (v_limit - E - E' t_a) / R        t_a: the charger's delay and lag
//! ```
//!
//! whatever current flows: it cannot wind up. `R` is taken no smaller than it is (the tables' at small current, in the coldest
//! cell), which makes the loop converge from one side: with the true one `R*`, what is left of an error per pass is
//! `1 - R*/R`. The current rises again only when the voltage has gone a band below the limit.
//!
//! **Plating.** With the negative electrode known from the laboratory ([`NegativeElectrode`]), the current is bounded by what
//! keeps its potential above a margin for the next seconds, at the SOC of the fullest cell and the temperature of
//! the coldest, each at its worse end. Searched once a second.
//!
//! **Full** is the highest cell at its voltage with a current so small that its overpotential is small, too: a cold cell
//! that reaches the voltage under load is not full.
//!
//! Sources: Morrison (1969), "Introduction to Sequential Smoothing and Prediction" (fading-memory filter); Chu, Feng, Lu, Li,
//! Han, Ouyang (2017), "Non-destructive fast charging algorithm of lithium-ion batteries based on the control-oriented
//! electrochemical model", Appl. Energy 204 (current from the negative electrode's potential).

mod settings;
#[cfg(test)]
mod tests;

pub use settings::{
    ChargePlan, ChargeSettings, ChargeSettingsError, CurrentTable, FullCriterion, Stage, Taper,
};

use crate::cell::CellModel;
use crate::energy::{self, End};
use crate::math::{bound, finite_or};
use crate::measurement::Reading;
use crate::predict::{PulseModel, Start, follow_surface};
use crate::soc::{Estimated, OperatingPoint};
use crate::sop::{NegativeElectrode, NegativeState, Publisher};
use crate::store::stored;

/// Longest time (s) that one step stands for.
const LONGEST_STEP_S: f32 = 60.0;
/// After a gap of this length (s) the voltage filter starts anew.
const GAP_S: f32 = 10.0;
/// Time (s) between two searches for the plating limit.
const PLATING_EVERY_S: f32 = 1.0;
/// Time (s) between two predictions of the end.
const END_EVERY_S: f32 = 60.0;
/// Most stages that a prediction of the end looks at.
const STAGES_AHEAD: usize = 8;
/// The request rises only to what is more than it by this share.
const DEAD_BAND: f32 = 0.01;
/// A charger gives current when it gives this share of the request.
const SOME_CURRENT: f32 = 0.1;
/// How often a charger that gave no current is asked again.
const RETRIES: u8 = 5;
/// A current below this share of the one that ends the taper is not worth charging with …
const WORTH_SHARE: f32 = 0.2;
/// … and a charge that stopped for it goes on when this many times the smallest current is allowed.
const RESUME: f32 = 2.0;
/// A charge ends at no less than this times the smallest current that the charger can give.
const ABOVE_MINIMUM: f32 = 1.1;
/// A target from here on is a full charge.
const FULL_TARGET: f32 = 0.999;

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChargeMode {
    /// No charge.
    #[default]
    Off,
    /// [`ChargeSettings::normal`].
    Normal,
    /// [`ChargeSettings::fast`].
    Fast,
}

/// What the charger says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChargerReport {
    /// It is plugged in.
    pub connected: bool,
    /// A message of it arrived since the last step.
    pub heard: bool,
    /// What it says it gives, in A. Where it does not say, the pack's current tells, and a load that takes all of it looks
    /// like a charger that gives none.
    pub current_a: Reading,
    /// The most it can give, in A; what is no number counts as 0.
    pub max_a: f32,
    /// Its highest voltage in V; not used unless above 0.
    pub max_v: f32,
}

/// One step's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChargeInput {
    /// Highest cell voltage in V.
    pub highest_voltage_v: Reading,
    /// Pack current in A of the same instant, positive on discharge.
    pub current_a: Reading,
    /// Coldest cell core in degC.
    pub coldest_c: Estimated,
    /// Hottest cell core in degC.
    pub hottest_c: Estimated,
    /// State of the fullest cell ([`crate::pack::PackEstimator::operating_point`]).
    pub fullest: OperatingPoint,
    /// What the charger says.
    pub charger: ChargerReport,
    /// What the user asks for.
    pub mode: ChargeMode,
    /// SOC (fraction) of the fullest cell to stop at; 1 (or what is no number) for a full charge.
    pub target_soc: f32,
    /// Time since the last step in s.
    pub dt_s: f32,
}

/// Where a charge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ChargeState {
    /// No charger, or no charge asked for.
    #[default]
    Idle,
    /// The charger has said nothing yet, or can give nothing.
    WaitingForCharger,
    /// The cells are too cold to be charged: heat them.
    TooCold,
    /// The cells are too hot to be charged: cool them.
    TooHot,
    /// Constant current, in the stage of this number.
    ConstantCurrent(u8),
    /// The negative electrode sets the current.
    PlatingLimited,
    /// The cell voltage sets the current.
    ConstantVoltage,
    /// The charge has ended at the voltage: the current is small, or as small as the charger can give.
    Full,
    /// The charge has ended at the target SOC.
    TargetReached,
    /// The charger went silent or gives no current.
    ChargerLost,
    /// A reading or estimate that a charge needs is missing.
    Fault,
}

impl ChargeState {
    /// The code as a number for a bus or a log, in the order of the variants from 0; the stage is left out.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::WaitingForCharger => 1,
            Self::TooCold => 2,
            Self::TooHot => 3,
            Self::ConstantCurrent(_) => 4,
            Self::PlatingLimited => 5,
            Self::ConstantVoltage => 6,
            Self::Full => 7,
            Self::TargetReached => 8,
            Self::ChargerLost => 9,
            Self::Fault => 10,
        }
    }
}

/// What sets the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LimitedBy {
    /// There is no request; the state tells why.
    #[default]
    Stopped,
    /// The stage of the plan.
    Plan,
    /// The table over temperature and SOC.
    Temperature,
    /// What the charger can give.
    Charger,
    /// The potential of the negative electrode.
    Plating,
    /// The highest cell voltage.
    Voltage,
    /// The request's own slow rise.
    Rise,
}

impl LimitedBy {
    /// The code as a number for a bus or a log, in the order of the variants from 0.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Plan => 1,
            Self::Temperature => 2,
            Self::Charger => 3,
            Self::Plating => 4,
            Self::Voltage => 5,
            Self::Rise => 6,
        }
    }
}

/// What to ask the charger for.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChargeCommand {
    /// Charge current into the pack in A, from 0. What loads draw comes on top of it.
    pub current_a: f32,
    /// Highest pack voltage in V. Never 0: a charge is stopped by its current.
    pub pack_voltage_limit_v: f32,
    /// Where the charge stands.
    pub state: ChargeState,
    /// What sets the current.
    pub limited_by: LimitedBy,
    /// Set in the one step in which the fullest cell is found full: its SOC is 1.
    pub full: bool,
    /// Time to the end in s while a charge runs, under the present limits and the stages to come.
    pub time_to_end_s: Option<f32>,
}

/// How the last charge ended, and the highest SOC since.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Ended {
    done: bool,
    at_voltage: bool,
    /// What was aimed at.
    voltage_v: f32,
    target_soc: f32,
    highest_soc: f32,
}

/// What a [`ChargeController`] keeps over a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChargeMemory {
    ended: Ended,
    negative: NegativeState,
    surface: [f32; 3],
}

stored!(Ended {
    done: bool,
    at_voltage: bool,
    voltage_v: f32 => |e| (0.0..=10.0).contains(&e.voltage_v),
    target_soc: f32 => |e| (0.0..=1.0).contains(&e.target_soc),
    highest_soc: f32 => |e| (-1.0..=2.0).contains(&e.highest_soc),
});

stored!(ChargeMemory {
    ended: Ended,
    negative: NegativeState,
    surface: [f32; 3] => |s| s.surface.iter().all(|q| (-1e4..=1e4).contains(q)),
});

/// A fading-memory filter of second degree in value and slope (critically damped).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Trend {
    value: f32,
    slope_per_s: f32,
    started: bool,
}

impl Trend {
    fn step(&mut self, y: f32, dt_s: f32, filter_s: f32) {
        if !self.started || dt_s > GAP_S {
            *self = Self { value: y, slope_per_s: 0.0, started: true };
        } else if dt_s > 1e-4 {
            let kept = if filter_s > 0.0 { libm::expf(-dt_s / filter_s) } else { 0.0 };
            let ahead = self.value + self.slope_per_s * dt_s;
            let error = y - ahead;
            self.value = finite_or(ahead + (1.0 - kept * kept) * error, y);
            let slope = self.slope_per_s + (1.0 - kept) * (1.0 - kept) * error / dt_s;
            self.slope_per_s = bound(slope, -0.1, 0.1);
        }
    }
}

/// What lasts from plugging in to unplugging.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Session {
    mode: ChargeMode,
    stage: u8,
    heard: bool,
    silent_s: f32,
    /// What flowed into the pack in A when nothing was asked for: less than 0 where loads draw.
    unasked_a: f32,
    without_current_s: f32,
    with_current_s: f32,
    refused: bool,
    refused_s: f32,
    retries: u8,
    /// Stopped for cold or heat: the limits are looked up with the hysteresis.
    paused: bool,
    full_s: f32,
    /// For how long the voltage has allowed less than the charger can give.
    short_s: f32,
    /// The end as last predicted, and the time until it is predicted anew.
    end_s: Option<f32>,
    end_due_s: f32,
}

/// The worst cell as the limits see it.
struct Worst {
    start: Start,
    cold_c: f32,
    hot_c: f32,
    soc: f32,
    /// Resistance in ohm that follows the current at once, and all of it.
    instant_ohm: f32,
    total_ohm: f32,
}

/// Controls a charge. Call it in every step, also while the vehicle drives: it follows the negative electrode.
///
/// ```
/// use bms_core::charging::*;
/// use bms_core::{cell::CellModel, example, measurement::Reading, soc::{Estimated, SocEstimator}, tuning::Tuning};
/// use bms_core::sop::Margin;
///
/// let model = CellModel::new(example::NMC_5AH)?;
/// const PLAN: ChargePlan<'_> = ChargePlan {
///     stages: &[
///         Stage { current_a: 5.0, until_soc: 0.6, until_v: 4.2 },
///         Stage { current_a: 2.5, until_soc: 1.0, until_v: 4.2 },
///     ],
///     voltage_v: 4.2,
///     taper_a: 0.25,
/// };
/// let settings = ChargeSettings {
///     cells_in_series: 96,
///     normal: PLAN,
///     fast: PLAN,
///     limit: CurrentTable {
///         temperature_c: &[0.0, 10.0, 20.0, 45.0, 50.0],
///         soc: &[0.0],
///         current_a: &[0.0, 1.5, 5.0, 5.0, 1.0],
///     },
///     temperature_c: [0.0, 50.0],
///     hysteresis_k: 2.0,
///     plating_horizon_s: 30.0,
///     margin: Margin::DEFAULT,
///     taper: Taper::TYPICAL,
///     full: FullCriterion::TYPICAL,
///     restart_soc: 0.03,
///     rise_a_per_s: 1.0,
///     rise_after_s: 5.0,
///     charger_min_a: 0.1,
///     charger_timeout_s: 5.0,
///     retry_s: 60.0,
/// };
/// let mut control = ChargeController::new(&model, settings, None)?;
/// let input = ChargeInput {
///     highest_voltage_v: Reading::within(3.7, 0.0, 5.0),
///     current_a: Reading::within(0.0, -1e3, 1e3),
///     coldest_c: Estimated { value: 24.0, std: 0.3 },
///     hottest_c: Estimated { value: 25.0, std: 0.3 },
///     fullest: SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.5)?.operating_point(),
///     charger: ChargerReport { connected: true, heard: true, current_a: Reading::MISSING, max_a: 16.0, max_v: 450.0 },
///     mode: ChargeMode::Normal,
///     target_soc: 0.8,
///     dt_s: 1.0,
/// };
/// let mut command = control.step(&input);
/// for _ in 0..8 {
///     command = control.step(&input);
/// }
/// assert_eq!(command.state, ChargeState::ConstantCurrent(0));
/// assert_eq!(command.limited_by, LimitedBy::Rise); // 1 A/s after 5 s
/// assert!(command.current_a > 0.0 && command.current_a <= 5.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChargeController<'a> {
    model: &'a CellModel<'a>,
    settings: ChargeSettings<'a>,
    negative: Option<NegativeElectrode<'a>>,
    surface: [f32; 3],
    ended: Ended,
    session: Session,
    source_v: Trend,
    request: Publisher,
    without_sensor_s: f32,
    plating_a: Option<f32>,
    since_plating_s: f32,
}

impl<'a> ChargeController<'a> {
    /// A controller of a rested pack of cells of this kind. `negative` brings the plating limit; without it the table alone
    /// has to keep lithium from plating.
    ///
    /// # Errors
    /// [`ChargeSettingsError`] names the first setting that cannot be used.
    pub fn new(
        model: &'a CellModel<'a>,
        settings: ChargeSettings<'a>,
        negative: Option<PulseModel<'a>>,
    ) -> Result<Self, ChargeSettingsError> {
        Self::restore(model, settings, negative, ChargeMemory::default())
    }

    /// A controller that goes on where another one was.
    ///
    /// # Errors
    /// [`ChargeSettingsError`] names the first setting that cannot be used.
    pub fn restore(
        model: &'a CellModel<'a>,
        settings: ChargeSettings<'a>,
        negative: Option<PulseModel<'a>>,
        memory: ChargeMemory,
    ) -> Result<Self, ChargeSettingsError> {
        settings.check()?;
        Ok(Self {
            model,
            settings,
            negative: negative.map(|m| NegativeElectrode::restore(m, memory.negative)),
            surface: memory.surface,
            ended: memory.ended,
            session: Session::default(),
            source_v: Trend::default(),
            request: Self::request(&settings),
            without_sensor_s: 0.0,
            plating_a: None,
            since_plating_s: f32::MAX,
        })
    }

    /// What to keep over a sleep.
    #[must_use]
    pub fn memory(&self) -> ChargeMemory {
        ChargeMemory {
            ended: self.ended,
            negative: self.negative.map(|n| n.state()).unwrap_or_default(),
            surface: self.surface,
        }
    }

    /// A request that rises from 0.
    fn request(settings: &ChargeSettings<'_>) -> Publisher {
        let mut request = Publisher::new(settings.rise_a_per_s, settings.rise_after_s, DEAD_BAND);
        request.step(0.0, 0.0);
        request
    }

    /// One step. Any input gives a request from 0 to the smallest limit in force.
    pub fn step(&mut self, input: &ChargeInput) -> ChargeCommand {
        let dt_s = bound(input.dt_s, 0.0, LONGEST_STEP_S);
        let (state, limited_by, full) = self.decide(input, dt_s);
        let current_a = self.request.published();
        ChargeCommand {
            current_a,
            pack_voltage_limit_v: self.pack_voltage_limit_v(input),
            state,
            limited_by,
            full,
            time_to_end_s: self.session.end_s.map(|s| (s - END_EVERY_S + self.session.end_due_s).max(0.0)),
        }
    }

    fn plan(&self, mode: ChargeMode) -> &ChargePlan<'a> {
        if mode == ChargeMode::Fast { &self.settings.fast } else { &self.settings.normal }
    }

    fn pack_voltage_limit_v(&self, input: &ChargeInput) -> f32 {
        let own = f32::from(self.settings.cells_in_series) * self.plan(input.mode).voltage_v;
        if input.charger.max_v > 0.0 { own.min(input.charger.max_v) } else { own }
    }

    /// No request in this step.
    fn stop(&mut self, state: ChargeState) -> (ChargeState, LimitedBy, bool) {
        self.request = Self::request(&self.settings);
        (self.session.end_s, self.session.end_due_s) = (None, 0.0);
        self.session.without_current_s = 0.0;
        self.session.with_current_s = 0.0;
        (self.session.full_s, self.session.short_s) = (0.0, 0.0);
        (state, LimitedBy::Stopped, false)
    }

    fn decide(&mut self, input: &ChargeInput, dt_s: f32) -> (ChargeState, LimitedBy, bool) {
        let measured_a = input.current_a.valid();
        self.without_sensor_s =
            if measured_a.is_some() { 0.0 } else { (self.without_sensor_s + dt_s).min(1e6) };
        // Without a reading, what was asked for is taken to flow.
        let charge_a = measured_a.map_or(self.request.published(), |a| -a);
        let worst = self.worst(input);
        if let Some(worst) = &worst {
            self.follow(worst, charge_a, dt_s);
        }
        match (input.highest_voltage_v.valid(), &worst) {
            (Some(v), Some(worst)) => {
                let source_v = v - worst.instant_ohm * charge_a;
                self.source_v.step(source_v, dt_s, self.settings.taper.filter_s);
            }
            _ => self.source_v = Trend::default(),
        }

        if !input.charger.connected || input.mode == ChargeMode::Off {
            self.session = Session::default();
            return self.stop(ChargeState::Idle);
        }
        if self.session.mode != input.mode {
            (self.session.mode, self.session.stage) = (input.mode, 0);
        }
        let lost = self.without_sensor_s > self.settings.charger_timeout_s;
        let (Some(mut worst), Some(v), false) = (worst, input.highest_voltage_v.valid(), lost) else {
            return self.stop(ChargeState::Fault);
        };
        let target_soc = bound(finite_or(input.target_soc, 1.0), 0.0, 1.0);
        if let Some(state) = self.ended(input, target_soc) {
            return self.stop(state);
        }
        if let Some(state) = self.charger(input, charge_a, dt_s) {
            return self.stop(state);
        }

        // Stopped for cold, a charge goes on only where it would also run that much colder; the same for heat.
        if self.session.paused {
            worst.cold_c -= self.settings.hysteresis_k;
            worst.hot_c += self.settings.hysteresis_k;
            worst.start.at.temperature_c -= self.settings.hysteresis_k;
        }
        let [coldest_c, hottest_c] = self.settings.temperature_c;
        if worst.cold_c < coldest_c || worst.hot_c > hottest_c {
            self.session.paused = true;
            let cold = worst.cold_c < coldest_c;
            return self.stop(if cold { ChargeState::TooCold } else { ChargeState::TooHot });
        }
        self.charge(input, &worst, (v, charge_a), target_soc, dt_s)
    }

    /// The worst cell; `None` when it is none.
    fn worst(&self, input: &ChargeInput) -> Option<Worst> {
        let mut at = input.fullest;
        let sigmas = self.settings.margin.sigmas;
        let spread = |x: Estimated, most: f32| sigmas * bound(x.std, 0.0, most);
        // In whichever order they come.
        let (a, b) = (input.coldest_c, input.hottest_c);
        let cold_c = (a.value - spread(a, 100.0)).min(b.value - spread(b, 100.0));
        let hot_c = (a.value + spread(a, 100.0)).max(b.value + spread(b, 100.0));
        let possible = |c: f32| (-100.0..=200.0).contains(&c);
        let soc_possible = (-1.0..=2.0).contains(&at.soc.value);
        if !(possible(a.value)
            && possible(b.value)
            && possible(cold_c)
            && possible(hot_c)
            && soc_possible
            && at.capacity_ah > 1e-3
            && at.capacity_ah < 1e5)
        {
            return None;
        }
        at.soc.std = bound(at.soc.std, 0.0, 1.0);
        at.temperature_c = cold_c;
        let c = self.model.circuit(cold_c, at.soc.value);
        let scale = bound(at.resistance_scale.value, 0.5, 10.0);
        let instant = scale * bound(at.instant_scale, 1.0, 10.0) * (c.r0_ohm + c.rct_ohm);
        Some(Worst {
            start: at.into(),
            cold_c,
            hot_c,
            soc: at.soc.value + sigmas * at.soc.std,
            instant_ohm: bound(instant, 1e-5, 100.0),
            total_ohm: bound(instant + scale * (c.r1_ohm + c.r2_ohm), 1e-5, 1e3),
        })
    }

    /// The negative electrode follows what flowed.
    fn follow(&mut self, worst: &Worst, charge_a: f32, dt_s: f32) {
        let at = &worst.start.at;
        if let Some(negative) = &mut self.negative {
            negative.step(at, -charge_a, dt_s);
            follow_surface(&mut self.surface, -charge_a / at.capacity_ah, dt_s);
        }
    }

    /// Whether an earlier charge has ended and not much has been taken since.
    fn ended(&mut self, input: &ChargeInput, target_soc: f32) -> Option<ChargeState> {
        let soc = input.fullest.soc.value;
        let voltage_v = self.plan(input.mode).voltage_v;
        let ended = &mut self.ended;
        ended.highest_soc = ended.highest_soc.max(soc);
        let again = soc < ended.highest_soc - self.settings.restart_soc;
        let more = if ended.at_voltage {
            voltage_v > ended.voltage_v + self.settings.taper.band_v
        } else {
            target_soc > ended.target_soc + 0.001
        };
        ended.done &= !(again || more);
        if !ended.done && target_soc < FULL_TARGET && soc >= target_soc {
            *ended = Ended { done: true, at_voltage: false, voltage_v, target_soc, highest_soc: soc };
        }
        match (ended.done, ended.at_voltage) {
            (false, _) => None,
            (true, true) => Some(ChargeState::Full),
            (true, false) => Some(ChargeState::TargetReached),
        }
    }

    /// What keeps the charger from being asked.
    fn charger(&mut self, input: &ChargeInput, charge_a: f32, dt_s: f32) -> Option<ChargeState> {
        let timeout_s = self.settings.charger_timeout_s;
        let s = &mut self.session;
        s.silent_s = if input.charger.heard { 0.0 } else { (s.silent_s + dt_s).min(1e6) };
        s.heard |= input.charger.heard;
        if !s.heard {
            return Some(ChargeState::WaitingForCharger);
        }
        if s.silent_s > timeout_s {
            return Some(ChargeState::ChargerLost);
        }
        if s.refused {
            s.refused_s = (s.refused_s + dt_s).min(1e6);
            if s.refused_s < self.settings.retry_s || s.retries >= RETRIES {
                return Some(ChargeState::ChargerLost);
            }
            (s.refused, s.retries) = (false, s.retries.saturating_add(1));
        }
        let request_a = self.request.published();
        let asked = request_a > 0.0 && request_a >= self.settings.charger_min_a;
        if request_a <= 0.0 {
            s.unasked_a = charge_a;
        }
        let given_a = input.charger.current_a.valid().unwrap_or(charge_a - s.unasked_a.min(0.0));
        if asked && given_a < SOME_CURRENT * request_a {
            s.with_current_s = 0.0;
            s.without_current_s += dt_s;
            if s.without_current_s > timeout_s {
                (s.refused, s.refused_s) = (true, 0.0);
                return Some(ChargeState::ChargerLost);
            }
        } else if asked {
            s.without_current_s = 0.0;
            s.with_current_s = (s.with_current_s + dt_s).min(1e6);
            if s.with_current_s > timeout_s {
                s.retries = 0;
            }
        }
        let most_a = bound(input.charger.max_a, 0.0, 1e6);
        (most_a <= 0.0 || most_a < self.settings.charger_min_a).then_some(ChargeState::WaitingForCharger)
    }

    /// Current of the present stage in A.
    ///
    /// A stage is over when the voltage at its current is. While the current still comes down from the stage before, that is
    /// less than the present voltage, so that stages which end at one voltage are not skipped.
    fn stage_a(&mut self, input: &ChargeInput, worst: &Worst, charge_a: f32) -> f32 {
        let plan = *self.plan(input.mode);
        let soc = input.fullest.soc.value;
        let source_v = self.source_v.value + self.settings.taper.band_v;
        let last = plan.stages.len().saturating_sub(1);
        let mut current_a = 0.0;
        for (k, stage) in plan.stages.iter().enumerate().skip(usize::from(self.session.stage)) {
            self.session.stage = u8::try_from(k).unwrap_or(u8::MAX);
            current_a = stage.current_a;
            let voltage_v = source_v + worst.instant_ohm * current_a.min(charge_a);
            if k == last || !(soc >= stage.until_soc || voltage_v >= stage.until_v) {
                break;
            }
        }
        current_a
    }

    /// The plating limit in A, searched anew once a second.
    fn plating_a(&mut self, worst: &Worst, most_a: f32, dt_s: f32) -> Option<f32> {
        let negative = self.negative.as_ref()?;
        self.since_plating_s += dt_s;
        if self.since_plating_s >= PLATING_EVERY_S || self.plating_a.is_none() {
            self.since_plating_s = 0.0;
            let start = Start { surface: self.surface, ..worst.start };
            let s = &self.settings;
            let found = negative.largest_charge_a(&start, &s.margin, s.plating_horizon_s, most_a);
            self.plating_a = Some(found.unwrap_or(0.0));
        }
        self.plating_a
    }

    /// The request while nothing forbids one.
    fn charge(
        &mut self,
        input: &ChargeInput,
        worst: &Worst,
        (v, charge_a): (f32, f32),
        target_soc: f32,
        dt_s: f32,
    ) -> (ChargeState, LimitedBy, bool) {
        let s = self.settings;
        let plan = *self.plan(input.mode);
        let filtered_v = self.source_v.value + worst.instant_ohm * charge_a;
        let stage_a = self.stage_a(input, worst, charge_a);
        let (cold_a, hot_a) = (s.limit.at(worst.cold_c, worst.soc), s.limit.at(worst.hot_c, worst.soc));
        let table_a = cold_a.min(hot_a);
        let plating_a = self.plating_a(worst, stage_a.min(table_a), dt_s).unwrap_or(f32::MAX);
        let cell_a = table_a.min(plating_a);
        // Rested, the electrode allows more than after a charge: without the factor it would stop and go.
        let least_a = s.charger_min_a.max(WORTH_SHARE * plan.taper_a);
        if cell_a < if self.session.paused { RESUME * least_a } else { least_a } {
            self.session.paused = true;
            let hot = hot_a < cold_a && hot_a <= plating_a;
            return self.stop(if hot { ChargeState::TooHot } else { ChargeState::TooCold });
        }
        self.session.paused = false;

        let mut voltage_a = self.voltage_a(&plan, worst, v, charge_a);
        let running = self.request.published() > 0.0 && self.request.published() >= s.charger_min_a;
        if running && voltage_a < s.charger_min_a && filtered_v < plan.voltage_v + s.taper.guard_v {
            // The charger's least current is held to the end rather than switched on and off.
            voltage_a = s.charger_min_a;
        }
        let enough_a = if self.session.short_s > 0.0 { RESUME * s.charger_min_a } else { s.charger_min_a };
        let short = voltage_a < enough_a;
        self.session.short_s = if short { self.session.short_s + dt_s } else { 0.0 };

        let charger_a = bound(input.charger.max_a, 0.0, 1e6);
        let (mut most_a, mut by) = (stage_a, LimitedBy::Plan);
        for (limit_a, what) in [
            (charger_a, LimitedBy::Charger),
            (table_a, LimitedBy::Temperature),
            (plating_a, LimitedBy::Plating),
            (voltage_a, LimitedBy::Voltage),
        ] {
            if limit_a < most_a {
                (most_a, by) = (limit_a, what);
            }
        }

        // The charge has ended when the current is small at the voltage, or when the charger cannot give so little.
        let end_a =
            plan.taper_a.min(s.full.overpotential_v / worst.total_ohm).max(ABOVE_MINIMUM * s.charger_min_a);
        let at_end = filtered_v >= plan.voltage_v - s.full.below_v && charge_a <= end_a;
        self.session.full_s = if at_end { self.session.full_s + dt_s } else { 0.0 };
        if (at_end && self.session.full_s >= s.full.hold_s) || self.session.short_s > s.full.hold_s {
            self.ended = Ended {
                done: true,
                at_voltage: true,
                voltage_v: plan.voltage_v,
                target_soc,
                highest_soc: input.fullest.soc.value,
            };
            self.stop(ChargeState::Full);
            let small = charge_a * worst.total_ohm <= ABOVE_MINIMUM * s.full.overpotential_v;
            let high = plan.voltage_v >= self.model.tables().v_max - s.full.below_v;
            return (ChargeState::Full, LimitedBy::Stopped, at_end && small && high);
        }

        let request_a = self.request.step(if short || most_a < s.charger_min_a { 0.0 } else { most_a }, dt_s);
        self.predict_end(input, cell_a.min(charger_a), target_soc, dt_s);
        let rising = request_a < (1.0 - 2.0 * DEAD_BAND) * most_a && by != LimitedBy::Voltage;
        let state = match by {
            LimitedBy::Voltage => ChargeState::ConstantVoltage,
            LimitedBy::Plating if !rising => ChargeState::PlatingLimited,
            _ => ChargeState::ConstantCurrent(self.session.stage),
        };
        (state, if rising { LimitedBy::Rise } else { by }, false)
    }

    /// The current in A that the highest cell voltage allows: within the band below the limit the request stays what it is.
    fn voltage_a(&self, plan: &ChargePlan<'_>, worst: &Worst, v: f32, charge_a: f32) -> f32 {
        let t = &self.settings.taper;
        let source_v = self.source_v.value + t.ahead_s * self.source_v.slope_per_s.max(0.0);
        let high_a = (plan.voltage_v - source_v) / worst.instant_ohm;
        let low_a = high_a - t.band_v / worst.instant_ohm;
        let guard_a = charge_a + (plan.voltage_v + t.guard_v - v) / worst.instant_ohm;
        bound(bound(self.request.published(), low_a, high_a).min(guard_a), 0.0, 1e6)
    }

    /// Time to the end at what is allowed now, through the stages to come and the taper, predicted once a minute.
    fn predict_end(&mut self, input: &ChargeInput, most_a: f32, target_soc: f32, dt_s: f32) {
        self.session.end_due_s -= dt_s;
        if self.session.end_due_s > 0.0 {
            return;
        }
        self.session.end_due_s = END_EVERY_S;
        let plan = self.plan(input.mode);
        let model = PulseModel::from(self.model);
        let mut start = Start::from(input.fullest);
        let target_soc = if target_soc >= FULL_TARGET { 1.05 } else { target_soc };
        let mut time_s = 0.0;
        let mut reached = false;
        let ahead = || plan.stages.iter().skip(usize::from(self.session.stage)).take(STAGES_AHEAD);
        let next_a = ahead().skip(1).map(|stage| Some(stage.current_a)).chain([None]);
        for (stage, next_a) in ahead().zip(next_a) {
            let current_a = stage.current_a.min(most_a);
            let last = next_a.is_none();
            // A stage that ends by its voltage is one whose taper goes on to the next one's current.
            let end_a = next_a.unwrap_or(plan.taper_a).max(plan.taper_a).min(0.9 * current_a);
            let (v, soc) = if last { (plan.voltage_v, target_soc) } else { (stage.until_v, stage.until_soc) };
            let v = v.min(plan.voltage_v);
            let found = energy::to_full(&model, &start, current_a, end_a, v, soc.min(target_soc), None);
            time_s += found.time_s;
            start.at.soc.value += found.charge_ah / start.at.capacity_ah;
            let at_target = start.at.soc.value >= target_soc - 1e-3;
            reached = (at_target || last) && matches!(found.end, End::Soc | End::Tapered);
            if at_target || !matches!(found.end, End::Soc | End::Tapered) {
                break;
            }
        }
        self.session.end_s = (reached && time_s.is_finite()).then_some(time_s);
    }
}
