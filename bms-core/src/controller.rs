//! The whole battery management in one step: protection, contactors, modes and limits around the [`Bms`].
//!
//! ```text
//! Frame ─► Safety ─┬─► Readings ─► Bms (estimates, charge, climate, balancing) ─► Arbiter ─► limits
//!                  └─► Ledger ─► Contactors ◄─► Mode ◄─ wish                        ▲
//!                        └──────────────────────────────────────────────────────────┘
//! ```
//!
//! [`Controller::step`] is to be called ten times a second or more often; every call runs the protection. The estimators and
//! controls run every [`ControllerSettings::estimate_every_ms`], and at once when a fatal diagnosis is detected, the mode
//! changes or contactors have opened or closed; the current is integrated in between. They see nothing but readings that
//! the monitors let through.
//!
//! From the step in which a fatal diagnosis is *detected*, limits and the charge request are zero and heating and balancing
//! are off; when it *reacts*, contactors open ([`crate::safety::contactors`]). Cooling goes on.
//!
//! ```
//! use bms_core::bms::Models;
//! use bms_core::cell::CellModel;
//! use bms_core::controller::{Controller, ControllerSettings, Input};
//! use bms_core::example;
//! use bms_core::safety::frame::{Frame, Heard};
//! use bms_core::safety::mode::{Mode, Wish};
//! use bms_core::soc::Estimated;
//! use bms_core::tuning::Tuning;
//!
//! let cell = CellModel::new(example::NMC_5AH)?;
//! // Sensors on cells 0 and 2; what such settings hold is shown at [`crate::bms`].
//! let settings = example::pack(&cell, &[example::PLACE; 4], &[0, 2]);
//! let models = Models { cell: &cell, pulse: (&cell).into(), negative: None };
//! let settings = ControllerSettings::new(&example::SAFETY, settings, 0x1234_5678);
//! let start = Estimated { value: 0.5, std: 0.05 };
//! // Four cells, two temperature sensors, one module.
//! let mut controller = Controller::<4, 2, 1>::new(models, &Tuning::NMC, &settings, 5.0, start)?;
//!
//! let mut input = Input { wish: Wish::Drive, ..Input::NOTHING };
//! let mut link_v = 0.0;
//! for k in 0..60_u8 {
//!     let told = controller.decision().contactors;
//!     // What a healthy pack of 14.6 V would read: contactors follow, the link charges through the resistor.
//!     link_v += if told[1] && (told[0] || told[2]) { 0.7 * (14.64 - link_v) } else { 0.0 };
//!     let heard = Heard { fresh: true, counter: k % 16, sound: true };
//!     input.frame = Frame {
//!         cell_voltage_v: [3.66; 4],
//!         sensors_c: [25.0; 2],
//!         current_a: 0.0,
//!         second_current_a: 0.0,
//!         pack_voltage_v: 14.64,
//!         fused_voltage_v: 14.64,
//!         link_voltage_v: link_v,
//!         insulation_ohm: 1e6,
//!         interlock_closed: true,
//!         contactor_closed: told.map(Some),
//!         inlet_c: 25.0,
//!         outlet_c: 25.0,
//!         ambient_c: 25.0,
//!         board_c: 25.0,
//!         front_end: heard,
//!         current_sensor: heard,
//!         insulation_monitor: heard,
//!         vehicle: heard,
//!         charger: heard,
//!         ..Frame::NOTHING
//!     };
//!     controller.step(&input, 100);
//! }
//! let decision = controller.decision();
//! assert_eq!(decision.mode, Mode::Drive);
//! assert_eq!(decision.contactors, [true, true, false]);
//! assert!(decision.limits.discharge.current_a > 5.0 && !decision.alarm);
//!
//! // A cell goes too high: within a second everything is off.
//! input.frame.cell_voltage_v[2] = 4.30;
//! for _ in 0..10 {
//!     controller.step(&input, 100);
//! }
//! assert_eq!(controller.decision().contactors, [false; 3]);
//! assert_eq!(controller.decision().limits.discharge.current_a, 0.0);
//! assert!(controller.decision().reason.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::balance::BalanceCommand;
use crate::bms::{self, Bms, BmsError, BmsState, Models, Request, Sample};
use crate::charging::{ChargeCommand, ChargerReport};
use crate::climate::{self, Action, ClimateCommand};
use crate::math::{abs, bound, sqrt};
use crate::measurement::Reading;
use crate::preheat::PreheatCommand;
use crate::safety::contactors::{ContactorInput, Contactors, Lock, OpeningRules, Position};
use crate::safety::frame::{CONTACTORS, Frame};
use crate::safety::ledger::{DiagnosisSet, Ledger, Status};
use crate::safety::limits::{Arbiter, Asked, LimitInput, LimitSettings, PublishedLimits};
use crate::safety::memory::{Guarded, TableWatch, known_answers};
use crate::safety::mode::{self, Facts, Mode, Wish};
use crate::safety::settings::{SafetySettings, SafetySettingsError};
use crate::safety::table::{Diagnosis, Level, Reaction};
use crate::safety::{Context, Readings, Safety, SensorPlaces};
use crate::soc::Estimated;
use crate::sop::PowerState;
use crate::store::stored;
use crate::tuning::Tuning;

/// Time in ms that the self-test takes: auxiliary contacts and welds show within it.
const SELF_TEST_MS: u32 = 500;
/// A curve is taken to rise by this much (V per unit of SOC) at least.
const LEAST_SLOPE_V: f32 = 0.01;
/// Time in ms between two looks at the tables in flash.
const TABLES_EVERY_MS: u32 = 500;
/// Readings that are missing for longer than this (ms) lower the limits.
const BLIND_MS: u32 = 300;
/// Standard deviations by which temperatures are taken worse than estimated.
const SIGMAS: f32 = 2.0;
/// Largest voltage of a cell in V that a pack or link voltage is held plausible with.
const LARGEST_CELL_V: f32 = 6.0;

/// What comes in with one step. Nothing of it needs to be sound: any bits are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input<const N: usize, const S: usize, const M: usize> {
    /// What the electronics read.
    pub frame: Frame<N, S>,
    /// Power of every module's heating film since the previous step in W.
    pub film_w: [f32; M],
    /// The coolant flowed backwards.
    pub reverse: bool,
    /// What the charger says; [`Frame::charger`] tells whether it may be believed.
    pub charger: ChargerReport,
    /// Power from outside for heaters in W; 0 if nothing is plugged in.
    pub external_w: f32,
    /// What is asked for. Where the vehicle's messages are protected ([`Fitted::vehicle`]), this and [`Self::acknowledge`]
    /// count only in steps with a sound one ([`Frame::vehicle`]); else the wish stays as it was.
    ///
    /// [`Fitted::vehicle`]: crate::safety::settings::Fitted::vehicle
    pub wish: Wish,
    /// Somebody takes note of what has happened; counts where it becomes true.
    pub acknowledge: bool,
    /// A workshop's key; unlocks as long as it is there and right, contactors open.
    pub service_key: Option<u32>,
}

impl<const N: usize, const S: usize, const M: usize> Input<N, S, M> {
    /// Nothing was read and nothing is asked for.
    pub const NOTHING: Self = Self {
        frame: Frame::NOTHING,
        film_w: [0.0; M],
        reverse: false,
        charger: ChargerReport {
            connected: false,
            heard: false,
            current_a: Reading::MISSING,
            max_a: 0.0,
            max_v: 0.0,
        },
        external_w: 0.0,
        wish: Wish::Standby,
        acknowledge: false,
        service_key: None,
    };
}

/// What to do until the next step, and what to tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision<const N: usize, const M: usize> {
    /// Which contactors are to be closed: plus, minus, precharge.
    pub contactors: [bool; CONTACTORS],
    /// How far closing or opening is.
    pub position: Position,
    /// What the pack is doing.
    pub mode: Mode,
    /// What load and charger may do.
    pub limits: PublishedLimits,
    /// A thermal event: everybody has to be warned and to leave the vehicle.
    pub alarm: bool,
    /// Climate, preheating, charge and balancing, and the power of a cell.
    pub bms: bms::Output<N, M>,
    /// Worst level of all diagnoses that were detected.
    pub level: Option<Level>,
    /// The first diagnosis that keeps or makes the contactors open.
    pub reason: Option<Diagnosis>,
    /// What keeps the contactors from closing.
    pub lock: Lock,
}

/// Everything that is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ControllerSettings<'a> {
    /// Limits of the protection.
    pub safety: &'a SafetySettings,
    /// Estimators and controls.
    pub bms: bms::Settings<'a>,
    /// When contactors may open.
    pub opening: OpeningRules,
    /// How limits are published.
    pub limits: LimitSettings,
    /// Time in ms between two steps of estimators and controls.
    pub estimate_every_ms: u16,
    /// Key with which a workshop unlocks what is latched.
    pub service_key: u32,
    /// Temperature sensors that there are; the places beyond are never read.
    pub sensors: usize,
}

impl<'a> ControllerSettings<'a> {
    /// Usual rules for contactors and limits, estimators once a second.
    #[must_use]
    pub const fn new(safety: &'a SafetySettings, bms: bms::Settings<'a>, service_key: u32) -> Self {
        Self {
            safety,
            bms,
            opening: OpeningRules::typical(safety.contactors.breaking_a),
            limits: LimitSettings::typical(safety.discharge_a.information),
            estimate_every_ms: 1000,
            service_key,
            sensors: bms.layout.sensor_cells.len(),
        }
    }
}

/// Why a [`Controller`] cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControllerError {
    /// Estimators and controls.
    Bms(BmsError),
    /// Limits of the protection.
    Safety(SafetySettingsError),
    /// Rules for opening contactors: currents in the order quiet, breaking, unbreakable.
    Opening,
    /// Settings of the limit arbiter.
    Limits,
}

impl core::fmt::Display for ControllerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Bms(e) => e.fmt(f),
            Self::Safety(e) => e.fmt(f),
            Self::Opening => {
                f.write_str("the currents at which contactors open are impossible or not in order")
            }
            Self::Limits => f.write_str("a setting of the limit arbiter is impossible"),
        }
    }
}

impl core::error::Error for ControllerError {}

impl From<BmsError> for ControllerError {
    fn from(error: BmsError) -> Self {
        Self::Bms(error)
    }
}

impl From<SafetySettingsError> for ControllerError {
    fn from(error: SafetySettingsError) -> Self {
        Self::Safety(error)
    }
}

/// What to keep over a sleep and a power loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ControllerState<const N: usize, const S: usize> {
    /// Estimates, trims, plans.
    pub bms: BmsState<N, S>,
    /// What a workshop has to unlock.
    pub latched: DiagnosisSet,
    /// Contactors must not close before somebody has acknowledged a fatal diagnosis.
    pub locked: bool,
}

stored!(ControllerState[N, S] {
    bms: BmsState<N, S>,
    latched: DiagnosisSet,
    locked: bool,
});

/// What a fault in memory hits when it is injected ([`Controller::corrupt`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryPart {
    /// A limit of the protection.
    Settings,
    /// The tables of the cell.
    Tables,
    /// The state of the contactors.
    Contactors,
    /// The mode.
    Mode,
    /// The set of detected diagnoses.
    Detected,
    /// What computes the known answers, in the next self-test alone.
    Arithmetic,
}

/// Rules that do not change after the start.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rules {
    safety: SafetySettings,
    opening: OpeningRules,
    estimate_every_ms: u16,
    service_key: u32,
}

/// Charge between two steps of the estimators.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Integral {
    ampere_ms: f32,
    covered_ms: u32,
    whole_ms: u32,
    last_a: Option<f32>,
}

impl Integral {
    fn add<const N: usize, const S: usize>(&mut self, readings: &Readings<N, S>, dt_ms: u16) {
        let now_a = readings.current_a.valid();
        let mean_a = match (readings.mean_current_a.valid(), now_a, self.last_a) {
            (Some(mean_a), ..) => Some(mean_a),
            (None, Some(now_a), Some(last_a)) => Some(0.5 * (now_a + last_a)),
            (None, now_a, _) => now_a,
        };
        self.last_a = now_a;
        let ms = u32::from(dt_ms);
        self.whole_ms = self.whole_ms.saturating_add(ms);
        if let Some(mean_a) = mean_a {
            self.ampere_ms += mean_a * f32::from(dt_ms);
            self.covered_ms = self.covered_ms.saturating_add(ms);
        }
    }

    /// The mean since it was last taken, if at least half of the time was seen.
    fn take(&mut self) -> Reading {
        let seen = self.covered_ms > 0 && self.covered_ms >= self.whole_ms / 2;
        let mean_a = self.ampere_ms / self.covered_ms as f32;
        *self = Self { last_a: self.last_a, ..Self::default() };
        if seen { Reading::within(mean_a, -1e6, 1e6) } else { Reading::MISSING }
    }
}

/// The self-test.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct SelfTest {
    running_ms: u32,
    passed: Option<bool>,
    /// Injected: the next one fails.
    fails: bool,
}

/// The battery management of a pack of `N` cells or groups in series with `S` temperature sensors and `M` modules: what
/// protects it, and what estimates and controls it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Controller<'a, const N: usize, const S: usize, const M: usize> {
    rules: Guarded<Rules>,
    safety: Safety<'a, N, S>,
    contactors: Guarded<Contactors>,
    mode: Guarded<Mode>,
    /// What was detected at the end of the previous step.
    detected: Guarded<DiagnosisSet>,
    tables: TableWatch<'a>,
    self_test: SelfTest,
    bms: Bms<'a, N, S, M>,
    arbiter: Arbiter,
    readings: Readings<N, S>,
    integral: Integral,
    since_estimate_ms: u32,
    /// Time in s that was slept through.
    slept_s: f32,
    blind_ms: u32,
    charger_heard: bool,
    /// Heaters and chiller are fed from outside.
    powered_outside: bool,
    wish: Wish,
    acknowledge: bool,
    store_damaged: bool,
    estimated_open: bool,
    estimated_fault: bool,
    started: bool,
    decision: Decision<N, M>,
}

impl<'a, const N: usize, const S: usize, const M: usize> Controller<'a, N, S, M> {
    /// A pack whose mean SOC (fraction) is known so well, with cells of this capacity in Ah.
    ///
    /// # Errors
    /// [`ControllerError`] tells which setting cannot be used.
    pub fn new(
        models: Models<'a>,
        tuning: &'a Tuning,
        settings: &ControllerSettings<'a>,
        capacity_ah: f32,
        start: Estimated,
    ) -> Result<Self, ControllerError> {
        let bms = || Bms::new(models, tuning, &settings.bms, capacity_ah, start);
        Self::with(bms, models, tuning, settings, &DiagnosisSet::default(), Lock::Free)
    }

    /// A pack that goes on where another one was, with the same tables, tuning and settings; what was latched still is. The
    /// time in between is for [`Self::slept`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn restore(
        models: Models<'a>,
        tuning: &'a Tuning,
        settings: &ControllerSettings<'a>,
        state: ControllerState<N, S>,
    ) -> Result<Self, ControllerError> {
        let bms = || Bms::restore(models, tuning, &settings.bms, state.bms);
        let lock = if state.locked { Lock::NeedsAcknowledge } else { Lock::Free };
        Self::with(bms, models, tuning, settings, &state.latched, lock)
    }

    /// `bms` is a function, so that what it makes goes where it belongs and is not copied on the stack.
    fn with(
        bms: impl FnOnce() -> Result<Bms<'a, N, S, M>, BmsError>,
        models: Models<'a>,
        tuning: &'a Tuning,
        settings: &ControllerSettings<'a>,
        latched: &DiagnosisSet,
        lock: Lock,
    ) -> Result<Self, ControllerError> {
        let places =
            SensorPlaces { sensor_cells: settings.bms.layout.sensor_cells, sensors: settings.sensors.min(S) };
        let safety = Safety::new(settings.safety, places, latched)?;
        let opening = settings.opening;
        let currents = opening.quiet_a > 0.0
            && opening.quiet_a <= settings.safety.contactors.breaking_a
            && settings.safety.contactors.breaking_a <= opening.unbreakable_a
            && opening.unbreakable_a <= 1e6;
        if !currents {
            return Err(ControllerError::Opening);
        }
        if !settings.limits.possible() {
            return Err(ControllerError::Limits);
        }
        let rules = Rules {
            safety: *settings.safety,
            opening,
            estimate_every_ms: settings.estimate_every_ms,
            service_key: settings.service_key,
        };
        let cell_v = settings.bms.limits.voltage_v.into_iter().fold(0.0, f32::max);
        let detected = safety.ledger().detected();
        Ok(Self {
            rules: Guarded::new(rules),
            safety,
            contactors: Guarded::new(Contactors::new(lock)),
            mode: Guarded::new(Mode::Initialise),
            detected: Guarded::new(detected),
            tables: TableWatch::new(models.cell, tuning, TABLES_EVERY_MS),
            self_test: SelfTest::default(),
            bms: bms()?,
            arbiter: Arbiter::new(settings.limits, N as f32, cell_v),
            readings: Readings {
                cell_voltage_v: [Reading::MISSING; N],
                sensors_c: [Reading::MISSING; S],
                current_a: Reading::MISSING,
                mean_current_a: Reading::MISSING,
                inlet_c: Reading::MISSING,
                outlet_c: Reading::MISSING,
                ambient_c: Reading::MISSING,
                board_c: Reading::MISSING,
            },
            integral: Integral::default(),
            since_estimate_ms: 0,
            slept_s: 0.0,
            blind_ms: 0,
            charger_heard: false,
            powered_outside: false,
            wish: Wish::Standby,
            acknowledge: false,
            store_damaged: false,
            estimated_open: false,
            estimated_fault: false,
            started: false,
            decision: Decision {
                contactors: [false; CONTACTORS],
                position: Position::Open,
                mode: Mode::Initialise,
                limits: PublishedLimits::default(),
                alarm: false,
                bms: bms::Output {
                    climate: climate_off(),
                    preheat: PreheatCommand::default(),
                    charge: ChargeCommand::default(),
                    balance: BalanceCommand::default(),
                    power: PowerState::default(),
                },
                level: None,
                reason: None,
                lock,
            },
        })
    }

    /// The record that this pack starts from was damaged or missing: that is told, and the start is a guess.
    #[must_use]
    pub const fn with_damaged_store(mut self) -> Self {
        self.store_damaged = true;
        self
    }

    /// What to keep over a sleep and a power loss.
    #[must_use]
    pub fn state(&self) -> ControllerState<N, S> {
        ControllerState {
            bms: self.bms.state(),
            latched: self.safety.ledger().latched(),
            locked: self.contactors.get().lock() != Lock::Free,
        }
    }

    /// So many seconds went by without a step: the next one's estimates count them in.
    pub fn slept(&mut self, seconds: f32) {
        self.slept_s = bound(self.slept_s + bound(seconds, 0.0, 1e6), 0.0, 1e6);
        self.safety.slept();
    }

    /// What was decided last.
    #[must_use]
    pub const fn decision(&self) -> &Decision<N, M> {
        &self.decision
    }

    /// The protection: its ledger tells every diagnosis.
    #[must_use]
    pub const fn safety(&self) -> &Safety<'a, N, S> {
        &self.safety
    }

    /// Estimators and controls.
    #[must_use]
    pub const fn bms(&self) -> &Bms<'a, N, S, M> {
        &self.bms
    }

    /// What of the last frame may be used.
    #[must_use]
    pub const fn readings(&self) -> &Readings<N, S> {
        &self.readings
    }

    /// The contactors.
    #[must_use]
    pub const fn contactors(&self) -> &Contactors {
        self.contactors.get()
    }

    /// Changes memory as a fault would, to see that it is found: for the injection of faults, on the bench or on the target.
    pub fn corrupt(&mut self, part: MemoryPart) {
        match part {
            MemoryPart::Settings => self.rules.corrupt(|r| r.safety.cell_high_v.fatal *= 2.0),
            MemoryPart::Tables => self.tables.corrupt(),
            MemoryPart::Contactors => self.contactors.corrupt(|c| *c = Contactors::new(Lock::NeedsRelease)),
            MemoryPart::Mode => self.mode.corrupt(|m| *m = Mode::WakeUp),
            MemoryPart::Detected => {
                self.detected.corrupt(|d| d.set(Diagnosis::TaskLate, !d.contains(Diagnosis::TaskLate)));
            }
            MemoryPart::Arithmetic => self.self_test.fails = true,
        }
    }

    /// One step, `dt_ms` after the one before. Any bits are allowed.
    pub fn step(&mut self, input: &Input<N, S, M>, dt_ms: u16) -> &Decision<N, M> {
        let heard = !self.safety.settings().fitted.vehicle
            || (input.frame.vehicle.fresh && input.frame.vehicle.sound);
        if heard {
            self.wish = input.wish;
        }
        let context = self.context(input, dt_ms);
        self.readings = self.safety.step(&input.frame, &context, dt_ms);
        self.store_damaged = false;
        let acknowledged = self.acknowledge(input, heard);
        self.step_contactors(input, acknowledged, dt_ms);
        let changed = self.step_mode(input, dt_ms);
        self.step_estimates(input, changed, dt_ms);
        self.decide(dt_ms);
        self.detected.set(self.safety.ledger().detected());
        self.started = true;
        &self.decision
    }

    /// A fatal diagnosis was detected, whether it reacts already or not.
    fn fault(&self) -> bool {
        self.safety.ledger().level() == Some(Level::Fatal)
    }

    fn memory_sound(&mut self, dt_ms: u16) -> bool {
        // All of them, every time: a change is answered within one step.
        let ledger = self.safety.ledger().detected() == *self.detected.get();
        let settings = *self.safety.settings() == self.rules.get().safety;
        let tables = self.tables.step(dt_ms);
        let guards =
            self.rules.sound() && self.contactors.sound() && self.mode.sound() && self.detected.sound();
        ledger && settings && tables && guards
    }

    /// What the monitors have to know of the step before.
    fn context(&mut self, input: &Input<N, S, M>, dt_ms: u16) -> Context {
        let out = &self.decision.bms;
        let estimate = self.bms.estimate();
        let (least, most) = estimate.extremes;
        let std = |cell: usize| self.bms.pack().cell(cell).map_or(f32::NAN, |c| c.soc_difference.std);
        let (a, b) = (std(estimate.weakest), std(estimate.fullest));
        // What the sensors are allowed to read wrongly, in SOC where the cells' curves are as steep as here: a bound, of
        // which three standard deviations are one.
        let error_v = self.rules.get().safety.grade.cell_voltage_v;
        let hidden =
            |cell: usize| error_v / abs(self.bms.pack().slope_v(cell).unwrap_or(0.0)).max(LEAST_SLOPE_V);
        let hidden = (hidden(estimate.weakest) + hidden(estimate.fullest)) / 3.0;
        let films_w: f32 = out.climate.film_w.iter().sum();
        let charging = self.decision.mode == Mode::Charge;
        Context {
            told_closed: self.contactors.get().told_closed(),
            wanted: self.wish.connects(),
            allowed_charge_a: self.decision.limits.charge.current_a,
            allowed_discharge_a: self.decision.limits.discharge.current_a,
            charging: charging && input.charger.connected,
            asked_charge_a: if charging { out.charge.current_a } else { 0.0 },
            soc_spread: [most - least, sqrt(a * a + b * b) + hidden],
            soc_std: estimate.soc.std,
            asked_flow_l_per_min: out.climate.flow_l_per_min,
            asked_heater_w: out.climate.heater_w + films_w,
            store_damaged: self.store_damaged,
            leaky: self.bms.leaky(),
            self_test_passed: self.self_test.passed != Some(false),
            balancing: out.balance.on().contains(&true),
            memory_sound: self.memory_sound(dt_ms),
        }
    }

    /// Acknowledgement where it begins, and the workshop's key; whether one of them came.
    fn acknowledge(&mut self, input: &Input<N, S, M>, heard: bool) -> bool {
        let open = self.contactors.get().position() == Position::Open;
        let unlocks = open && input.service_key == Some(self.rules.get().service_key);
        let acknowledges = heard && input.acknowledge && !self.acknowledge;
        if heard {
            self.acknowledge = input.acknowledge;
        }
        if acknowledges {
            self.safety.ledger_mut().acknowledge();
        }
        if unlocks {
            // What was repaired counts as sound from here on.
            let rules = Rules { safety: *self.safety.settings(), ..*self.rules.get() };
            self.rules.set(rules);
            self.contactors.set(*self.contactors.get());
            self.mode.set(*self.mode.get());
            self.safety.ledger_mut().unlock();
        }
        acknowledges || unlocks
    }

    /// A voltage that a fitted sensor reads and the pack can have.
    fn volts(fitted: bool, v: f32) -> Reading {
        let most_v = LARGEST_CELL_V * N as f32;
        if fitted { Reading::within(v, -most_v, most_v) } else { Reading::MISSING }
    }

    /// What the link is charged to: the voltage behind the fuse or of the pack, where it is measured and there is one at all;
    /// else what the cells say, if all are seen.
    fn battery_v(&self, frame: &Frame<N, S>) -> Reading {
        let fitted = &self.safety.settings().fitted;
        let measured =
            [(fitted.link_voltage, frame.fused_voltage_v), (fitted.pack_voltage, frame.pack_voltage_v)];
        let measured = measured.into_iter().map(|(fitted, v)| Self::volts(fitted, v));
        measured.into_iter().find(|r| r.valid().is_some_and(|v| v > 0.0)).unwrap_or_else(|| {
            let cells = self.readings.cell_voltage_v.iter();
            cells.map(|r| r.valid()).sum::<Option<f32>>().map_or(Reading::MISSING, |v| Self::volts(true, v))
        })
    }

    fn step_contactors(&mut self, input: &Input<N, S, M>, acknowledged: bool, dt_ms: u16) {
        let settings = self.safety.settings();
        let contactor_input = ContactorInput {
            close: self.mode.get().connects(),
            wanted: self.wish.connects(),
            acknowledged,
            closed: input.frame.contactor_closed,
            current_a: self.readings.current_a,
            pack_v: self.battery_v(&input.frame),
            link_v: Self::volts(settings.fitted.link_voltage, input.frame.link_voltage_v),
        };
        let opening = self.rules.get().opening;
        let ledger = self.safety.ledger_mut();
        self.contactors.update(|c| c.step(settings, &opening, &contactor_input, dt_ms, ledger));
    }

    /// Runs the self-test and changes the mode; whether it changed.
    fn step_mode(&mut self, input: &Input<N, S, M>, dt_ms: u16) -> bool {
        let before = *self.mode.get();
        // One that a fault has cut short, or that has failed, is repeated.
        let testing =
            before == Mode::SelfTest || (before == Mode::Error && self.self_test.passed != Some(true));
        if testing {
            self.self_test.running_ms = self.self_test.running_ms.saturating_add(u32::from(dt_ms));
            if self.self_test.running_ms >= SELF_TEST_MS {
                let sound = self.rules.sound() && self.contactors.sound() && self.mode.sound();
                let passed = known_answers() && self.tables.look() && sound && !self.self_test.fails;
                self.self_test = SelfTest { passed: Some(passed), ..SelfTest::default() };
            }
        }
        let ledger = self.safety.ledger();
        let stays_open = ledger
            .detections()
            .any(|d| d.id.entry().level == Level::Fatal && ledger.status(d.id) == Status::Reacting);
        let contactors = self.contactors.get();
        let facts = Facts {
            wish: self.wish,
            frame: self.started,
            self_test: self.self_test.passed,
            position: contactors.position(),
            lock: contactors.lock(),
            fault: stays_open,
            coming: ledger.coming(Level::Fatal),
            alarm: alarm(ledger),
            plugged_in: input.charger.connected,
        };
        let Some(next) = mode::next(before, &facts) else { return false };
        self.mode.update(|m| *m = next);
        if next == Mode::SelfTest {
            self.self_test = SelfTest { fails: self.self_test.fails, ..SelfTest::default() };
        }
        true
    }

    /// Estimators and controls, if they are due.
    fn step_estimates(&mut self, input: &Input<N, S, M>, changed: bool, dt_ms: u16) {
        self.integral.add(&self.readings, dt_ms);
        self.powered_outside = input.external_w > 0.0;
        self.since_estimate_ms = self.since_estimate_ms.saturating_add(u32::from(dt_ms));
        self.charger_heard |= input.charger.heard && input.frame.charger.fresh && input.frame.charger.sound;
        let unseen = self.readings.cell_voltage_v.iter().any(|v| v.valid().is_none())
            || self.readings.current_a.valid().is_none()
            || self.readings.sensors_c.iter().all(|c| c.valid().is_none());
        self.blind_ms = if unseen { self.blind_ms.saturating_add(u32::from(dt_ms)) } else { 0 };

        let open =
            self.contactors.get().surely_open(&self.safety.settings().contactors, self.safety.ledger());
        let fault = self.fault();
        let urgent = changed || open != self.estimated_open || fault != self.estimated_fault || !self.started;
        if !urgent && self.since_estimate_ms < u32::from(self.rules.get().estimate_every_ms) {
            return;
        }
        (self.estimated_open, self.estimated_fault) = (open, fault);
        let dt_s = self.since_estimate_ms as f32 / 1000.0 + self.slept_s;
        (self.since_estimate_ms, self.slept_s) = (0, 0.0);
        let mode = *self.mode.get();
        let balances = matches!(mode, Mode::Balance | Mode::Drive | Mode::Charge | Mode::Preheat)
            && !fault
            && !self.safety.ledger().reacts(Reaction::StopBalancing);
        let out = &self.decision.bms;
        let flow = Reading::within(input.frame.flow_l_per_min, 0.0, 1e3);
        let flow = if self.safety.settings().fitted.flow { flow.valid() } else { None };
        let r = &self.readings;
        let sample = Sample {
            cell_voltage_v: r.cell_voltage_v,
            sensors_c: r.sensors_c,
            current_a: r.current_a,
            mean_current_a: self.integral.take(),
            contactors_open: open,
            inlet_c: r.inlet_c,
            outlet_c: r.outlet_c,
            ambient_c: r.ambient_c,
            // No balancer works on a board that nobody feels.
            board_c: if balances { r.board_c } else { Reading::MISSING },
            flow_l_per_min: flow.unwrap_or(out.climate.flow_l_per_min),
            reverse: input.reverse,
            film_w: input.film_w.map(|w| bound(w, 0.0, 1e5)),
            charger: ChargerReport { heard: self.charger_heard, ..input.charger },
            external_w: bound(input.external_w, 0.0, 1e6),
        };
        self.charger_heard = false;
        let request = match (mode, self.wish) {
            _ if fault => Request::Rest,
            (Mode::Drive, Wish::Idle) => Request::Rest,
            (Mode::Drive, _) => Request::Drive,
            (Mode::Charge, Wish::Charge { mode, target_soc }) => Request::Charge { mode, target_soc },
            (Mode::Preheat, Wish::Preheat { target_c, time_left_s, hold }) => {
                Request::Preheat { target_c, time_left_s, hold }
            }
            _ => Request::Rest,
        };
        self.decision.bms = self.bms.step(&sample, &request, dt_s);
    }

    /// Limits and what is taken back from the controls.
    fn decide(&mut self, dt_ms: u16) {
        let fault = self.fault();
        let mode = *self.mode.get();
        let contactors = *self.contactors.get();
        let ledger = self.safety.ledger();
        let input = LimitInput {
            safe: self.decision.bms.power.safe,
            cells: N as f32,
            pack_v: seen_pack_v(&self.readings.cell_voltage_v),
            cell_v: extremes(&self.readings.cell_voltage_v),
            temperature_c: self.temperatures_c(),
            soc_std: self.bms.estimate().soc.std,
            blind: self.blind_ms > BLIND_MS,
            asked: asked(ledger),
            charge_control_a: (mode == Mode::Charge).then_some(self.decision.bms.charge.current_a),
            mode: mode.works(),
            connected: contactors.position() == Position::Closed,
            fault,
        };
        let limits = self.arbiter.step(self.safety.settings(), &input, f32::from(dt_ms) / 1000.0);
        let reason = ledger.reason(Reaction::Open).or(ledger.reason(Reaction::StayOpen));
        let (alarm, level) = (alarm(ledger), ledger.level());
        let d = &mut self.decision;
        d.bms.charge.current_a = d.bms.charge.current_a.min(limits.charge.current_a);
        // What feeds on the pack's voltage has none behind open contactors; the pump has a supply of its own.
        let powered = contactors.position() == Position::Closed || self.powered_outside;
        if fault {
            d.bms.preheat = PreheatCommand::default();
        } else if !powered {
            d.bms.climate.flow_l_per_min = 0.0;
        }
        if !powered {
            d.bms.climate.chiller_w = 0.0;
        }
        if fault || !powered {
            d.bms.climate.heater_w = 0.0;
            d.bms.climate.film_w = [0.0; M];
        }
        d.contactors = contactors.told_closed();
        d.position = contactors.position();
        d.lock = contactors.lock();
        d.mode = mode;
        d.limits = limits;
        d.alarm = alarm;
        d.level = level;
        d.reason = reason;
    }

    /// Hottest and coldest place in degC: of what the sensors read now and what is estimated, at its worse end.
    fn temperatures_c(&self) -> Option<[f32; 2]> {
        let t = self.bms.temperatures();
        let std = |k: usize| t.std_k.get(k).copied().unwrap_or(f32::NAN);
        let mut hottest_c = t.summary.hottest_c + SIGMAS * std(t.hottest);
        let mut coldest_c = t.summary.coldest_c - SIGMAS * std(t.coldest);
        if !(hottest_c.is_finite() && coldest_c.is_finite()) {
            return None;
        }
        for c in self.readings.sensors_c.iter().filter_map(|c| c.valid()) {
            hottest_c = hottest_c.max(c);
            coldest_c = coldest_c.min(c);
        }
        Some([hottest_c, coldest_c])
    }
}

const fn climate_off<const M: usize>() -> ClimateCommand<M> {
    ClimateCommand {
        flow_l_per_min: 0.0,
        reverse: false,
        chiller_w: 0.0,
        heater_w: 0.0,
        film_w: [0.0; M],
        action: Action::Off,
        limit: climate::Limit::None,
    }
}

/// A cell fails or will: whoever is near has to be warned.
fn alarm(ledger: &Ledger) -> bool {
    [Diagnosis::ThermalRunaway, Diagnosis::ThermalRunawayNearby, Diagnosis::TemperatureRiseFatal]
        .iter()
        .any(|id| ledger.status(*id) >= Status::Detected)
}

/// Voltage of the pack, cells that are not seen taken as the mean of the others; NaN if none is.
fn seen_pack_v(cell_voltage_v: &[Reading]) -> f32 {
    let (mut sum_v, mut seen) = (0.0, 0.0);
    for v in cell_voltage_v.iter().filter_map(|v| v.valid()) {
        sum_v += v;
        seen += 1.0;
    }
    sum_v / seen * cell_voltage_v.len() as f32
}

/// Highest and lowest of the cells that are seen.
fn extremes(cell_voltage_v: &[Reading]) -> Option<[f32; 2]> {
    cell_voltage_v.iter().filter_map(|v| v.valid()).fold(None, |found, v| {
        let [hi, lo] = found.unwrap_or([v; 2]);
        Some([f32::max(hi, v), f32::min(lo, v)])
    })
}

/// What diagnoses ask for while discharging and charging. Those whose quantity has a line of its own between warning and
/// fatal level are left to it.
fn asked(ledger: &Ledger) -> [Asked; 2] {
    let [mut discharge, mut charge] = [Asked::default(); 2];
    for d in ledger.detections() {
        let (on_discharge, on_charge) = match d.id.entry().reaction {
            Reaction::DerateDischarge => (true, false),
            Reaction::DerateCharge => (false, true),
            Reaction::Derate => (true, true),
            Reaction::StopCharge => {
                charge.stop = true;
                continue;
            }
            Reaction::StopDischarge => {
                discharge.stop = true;
                continue;
            }
            _ => continue,
        };
        match d.id {
            Diagnosis::CellVoltageHighWarning
            | Diagnosis::CellVoltageLowWarning
            | Diagnosis::DischargeHotWarning
            | Diagnosis::DischargeColdWarning
            | Diagnosis::ChargeHotWarning
            | Diagnosis::ChargeColdWarning => {}
            Diagnosis::DischargeCurrentWarning => discharge.overload = true,
            Diagnosis::ChargeCurrentWarning => charge.overload = true,
            _ => {
                discharge.derate |= on_discharge;
                charge.derate |= on_charge;
            }
        }
    }
    [discharge, charge]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charging::{ChargeMode, ChargeState};
    use crate::math::abs;
    use crate::preheat::{self, Films, Means, PackFacts, PreheatState};
    use crate::safety::ledger::Finding;
    use crate::safety::table::TABLE;

    /// What every row of the table asks of the limits, by its reaction and whether its quantity has a line of its own.
    #[test]
    fn every_diagnosis_lowers_what_its_reaction_says() {
        for e in &TABLE {
            let mut ledger = Ledger::new();
            for _ in 0..200 {
                ledger.advance(1000);
                ledger.report(e.id, Some(Finding { place: None, value: 1.0, limit: 0.0 }));
            }
            let [discharge, charge] = asked(&ledger);
            let any = |a: Asked| a.derate || a.stop || a.overload;
            let own_line = e.name.ends_with("HotWarning")
                || e.name.ends_with("ColdWarning")
                || e.name.starts_with("CellVoltageHigh")
                || e.name.starts_with("CellVoltageLow");
            let expected = match e.reaction {
                Reaction::DerateDischarge => [!own_line, false],
                Reaction::DerateCharge => [false, !own_line],
                Reaction::Derate => [true; 2],
                Reaction::StopCharge => [false, true],
                Reaction::StopDischarge => [true, false],
                _ => [false; 2],
            };
            assert_eq!([any(discharge), any(charge)], expected, "{}", e.name);
            assert_eq!(discharge.stop, e.reaction == Reaction::StopDischarge, "{}", e.name);
            assert_eq!(charge.stop, e.reaction == Reaction::StopCharge, "{}", e.name);
            assert_eq!(discharge.overload, e.id == Diagnosis::DischargeCurrentWarning);
            assert_eq!(charge.overload, e.id == Diagnosis::ChargeCurrentWarning);
        }
    }

    #[test]
    fn means_between_estimates_are_of_what_was_seen() {
        let a = |x| Reading::within(x, -1e3, 1e3);
        let readings = |current_a, mean_current_a| Readings::<0, 0> {
            cell_voltage_v: [],
            sensors_c: [],
            current_a,
            mean_current_a,
            inlet_c: Reading::MISSING,
            outlet_c: Reading::MISSING,
            ambient_c: Reading::MISSING,
            board_c: Reading::MISSING,
        };
        let mut integral = Integral::default();
        assert_eq!(integral.take().valid(), None);
        // The front end's own mean counts; without one, the trapezoid.
        integral.add(&readings(a(0.0), a(10.0)), 100);
        integral.add(&readings(a(4.0), Reading::MISSING), 300);
        assert_eq!(integral.take().valid(), Some(0.25 * 10.0 + 0.75 * 2.0));
        integral.add(&readings(a(8.0), Reading::MISSING), 100);
        assert_eq!(integral.take().valid(), Some(6.0));
        // Half of the time has to be seen.
        integral.add(&readings(a(8.0), Reading::MISSING), 100);
        integral.add(&readings(Reading::MISSING, Reading::MISSING), 100);
        assert_eq!(integral.take().valid(), Some(8.0));
        integral.add(&readings(a(8.0), Reading::MISSING), 100);
        integral.add(&readings(Reading::MISSING, Reading::MISSING), 200);
        assert_eq!(integral.take().valid(), None);
    }

    #[test]
    fn cells_that_are_not_seen_count_as_the_mean_of_the_others() {
        let v = |x| Reading::within(x, 0.0, 5.0);
        assert!(abs(seen_pack_v(&[v(3.5), Reading::MISSING, v(3.7), v(3.6)]) - 14.4) < 1e-5);
        assert_eq!(extremes(&[v(3.5), Reading::MISSING, v(3.7)]), Some([3.7, 3.5]));
        assert!(seen_pack_v(&[Reading::MISSING]).is_nan() && extremes(&[Reading::MISSING]).is_none());
    }

    const BARE: SafetySettings = {
        let mut s = crate::example::SAFETY;
        (s.fitted.second_current, s.fitted.pack_voltage, s.fitted.link_voltage) = (false, false, false);
        (s.fitted.insulation, s.fitted.auxiliary_contacts, s.fitted.vehicle) = (false, false, false);
        s
    };
    type Small<'a> = Controller<'a, 6, 3, 1>;

    /// A sound frame of a pack at rest.
    fn quiet(step: u32) -> Input<6, 3, 1> {
        let heard = crate::safety::frame::Heard { fresh: true, counter: (step % 16) as u8, sound: true };
        let frame = Frame {
            cell_voltage_v: [3.70, 3.71, 3.69, 3.72, 3.70, 3.68],
            sensors_c: [22.0, 25.0, 28.0],
            current_a: 0.0,
            interlock_closed: true,
            inlet_c: 25.0,
            outlet_c: 25.0,
            ambient_c: 25.0,
            board_c: 25.0,
            front_end: heard,
            current_sensor: heard,
            charger: heard,
            ..Frame::NOTHING
        };
        Input { frame, ..Input::NOTHING }
    }

    fn with_small<R>(work: impl FnOnce(&mut Small<'_>) -> R) -> R {
        let model = crate::cell::CellModel::new(crate::example::NMC_5AH).unwrap();
        let places = [crate::example::PLACE; 6];
        let facts = PackFacts { series: 6, ..crate::bms::tests::FACTS };
        let films = Some(Films { power_w: 60.0, efficiency: 0.97 });
        let preheat = preheat::Settings::new(&model, facts, Means { films, ..Means::default() });
        let bms =
            bms::Settings { preheat: Some(preheat), ..crate::example::pack(&model, &places, &[0, 2, 4]) };
        let settings = ControllerSettings::new(&BARE, bms, 7);
        let models = Models { cell: &model, pulse: (&model).into(), negative: None };
        let start = Estimated { value: 0.6, std: 0.02 };
        work(&mut Small::new(models, &Tuning::NMC, &settings, 5.0, start).unwrap())
    }

    /// Six seconds at rest.
    fn settle(c: &mut Small<'_>) {
        for k in 0..60 {
            c.step(&quiet(k), 100);
        }
    }

    /// A fatal diagnosis reacts.
    fn trip(c: &mut Small<'_>) {
        let ledger = c.safety.ledger_mut();
        ledger.advance(10_000);
        ledger.report(Diagnosis::CellVoltageHighFatal, Some(Finding { place: None, value: 1.0, limit: 0.0 }));
        assert!(ledger.reacts(Reaction::Open));
    }

    /// The spread of the cells with what the sensors may hide of it, heaters together, and a charge only in that mode.
    #[test]
    fn monitors_are_told_what_is_known_and_asked_for() {
        with_small(|c| {
            settle(c);
            (c.decision.bms.climate.heater_w, c.decision.bms.climate.film_w) = (100.0, [50.0]);
            c.decision.bms.charge.current_a = 3.0;
            let mut input = quiet(60);
            for (mode, connected, charging, asked_a) in [
                (Mode::Drive, true, false, 0.0),
                (Mode::Charge, true, true, 3.0),
                (Mode::Charge, false, false, 3.0),
            ] {
                c.decision.mode = mode;
                input.charger.connected = connected;
                let context = c.context(&input, 100);
                assert_eq!((context.charging, context.asked_charge_a), (charging, asked_a));
                assert_eq!(context.asked_heater_w, 150.0);
            }
            let context = c.context(&input, 100);
            let e = *c.bms().estimate();
            let (std, hidden): (std::vec::Vec<f32>, std::vec::Vec<f32>) = [e.weakest, e.fullest]
                .map(|k| {
                    let slope_v = abs(c.bms().pack().slope_v(k).unwrap()).max(LEAST_SLOPE_V);
                    (c.bms().pack().cell(k).unwrap().soc_difference.std, 0.010 / slope_v / 3.0)
                })
                .into_iter()
                .unzip();
            let expected = std[0].hypot(std[1]) + hidden[0] + hidden[1];
            assert!(e.weakest != e.fullest && e.extremes.1 > e.extremes.0);
            assert!(abs(context.soc_spread[0] - (e.extremes.1 - e.extremes.0)) < 1e-6);
            assert!(abs(context.soc_spread[1] - expected) < 1e-5 * expected, "{context:?} {expected}");
        });
    }

    /// Of sensors and estimates the worse end.
    #[test]
    fn limits_see_the_worse_end_of_the_temperatures() {
        with_small(|c| {
            // Before anything is seen, hardly anything is known.
            assert!(c.temperatures_c().is_some_and(|[hot_c, cold_c]| hot_c - cold_c >= 30.0));
            settle(c);
            let t = *c.bms().temperatures();
            c.readings.sensors_c = [Reading::MISSING; 3];
            let [hot_c, cold_c] = c.temperatures_c().unwrap();
            assert!(abs(hot_c - (t.summary.hottest_c + SIGMAS * t.std_k[t.hottest])) < 1e-4);
            assert!(abs(cold_c - (t.summary.coldest_c - SIGMAS * t.std_k[t.coldest])) < 1e-4);
            assert!(hot_c > t.summary.hottest_c && cold_c < t.summary.coldest_c);
            c.readings.sensors_c = [70.0, 20.0, -30.0].map(|x| Reading::within(x, -50.0, 140.0));
            assert_eq!(c.temperatures_c(), Some([70.0, -30.0]));
        });
    }

    /// What feeds on the pack gets nothing behind open contactors, unless it is fed from outside; of a fault nothing heats.
    #[test]
    fn nothing_feeds_on_a_pack_that_is_open() {
        with_small(|c| {
            settle(c);
            let asked = ClimateCommand {
                flow_l_per_min: 4.0,
                chiller_w: 300.0,
                heater_w: 200.0,
                film_w: [50.0],
                ..climate_off()
            };
            for (outside, left) in [(false, [0.0; 4]), (true, [4.0, 300.0, 200.0, 50.0])] {
                (c.decision.bms.climate, c.powered_outside) = (asked, outside);
                c.decide(100);
                let d = &c.decision.bms.climate;
                assert_eq!([d.flow_l_per_min, d.chiller_w, d.heater_w, d.film_w[0]], left);
            }
            trip(c);
            (c.decision.bms.climate, c.powered_outside) = (asked, true);
            c.decide(100);
            let d = &c.decision.bms.climate;
            assert_eq!([d.flow_l_per_min, d.chiller_w, d.heater_w, d.film_w[0]], [4.0, 300.0, 0.0, 0.0]);
        });
    }

    /// What the modes ask of the controls; while the pack only idles, rests, or has a fault, they rest.
    #[test]
    fn modes_ask_for_what_is_wished() {
        type Change = fn(&mut Small<'_>);
        let asked = |mode: Mode, wish: Wish, celsius: f32, change: Change| {
            with_small(|c| {
                let mut input = quiet(0);
                input.frame.sensors_c = [celsius; 3];
                (input.frame.inlet_c, input.frame.outlet_c) = (celsius, celsius);
                (input.charger.connected, input.charger.max_a, input.charger.max_v) = (true, 10.0, 30.0);
                input.charger.current_a = Reading::within(0.0, -1.0, 1.0);
                for counter in 0..60 {
                    let heard = quiet(counter).frame.front_end;
                    (input.frame.front_end, input.frame.current_sensor) = (heard, heard);
                    c.step(&input, 100);
                }
                c.mode.set(mode);
                c.wish = wish;
                change(c);
                // What was heard between two estimates counts.
                let heard = c.charger_heard;
                for _ in 0..5 {
                    c.charger_heard = heard;
                    c.step_estimates(&input, true, 100);
                }
                let d = &c.decision.bms;
                (d.climate.action, d.preheat.state, d.charge.state)
            })
        };
        let nothing: Change = |_| ();
        let rest = (Action::Off, PreheatState::Idle, ChargeState::Idle);
        assert_eq!(asked(Mode::Drive, Wish::Drive, 40.0, nothing), (Action::Cooling, rest.1, rest.2));
        assert_eq!(asked(Mode::Drive, Wish::Idle, 40.0, nothing), rest);
        assert_eq!(asked(Mode::Standby, Wish::Drive, 40.0, nothing), rest);
        let warm = Wish::Preheat { target_c: 15.0, time_left_s: 600.0, hold: false };
        let (_, preheat, charge) = asked(Mode::Preheat, warm, -10.0, nothing);
        assert_eq!((preheat, charge), (PreheatState::Heating, rest.2));
        assert_eq!(asked(Mode::Standby, warm, -10.0, nothing), rest);
        let charge = Wish::Charge { mode: ChargeMode::Fast, target_soc: 0.9 };
        let state = |change| asked(Mode::Charge, charge, 25.0, change).2;
        assert_eq!(state(nothing), ChargeState::WaitingForCharger);
        assert_eq!(state(|c| c.charger_heard = true), ChargeState::ConstantCurrent(0));
        for (mode, wish, celsius) in
            [(Mode::Drive, Wish::Drive, 40.0), (Mode::Preheat, warm, -10.0), (Mode::Charge, charge, 25.0)]
        {
            let fault = |c: &mut Small<'_>| {
                c.charger_heard = true;
                trip(c);
            };
            assert_eq!(asked(mode, wish, celsius, fault), rest);
        }
    }

    /// Behind the fuse, else of the pack, where it is fitted and there is one; else of the cells, if all are seen.
    #[test]
    fn the_link_is_charged_to_what_is_known_best() {
        let battery_v = |[link, pack]: [bool; 2], [fused_v, pack_v, cell_v]: [f32; 3]| {
            with_small(|c| {
                let mut safety = BARE;
                (safety.fitted.link_voltage, safety.fitted.pack_voltage) = (link, pack);
                let places = SensorPlaces { sensor_cells: &[0, 2, 4], sensors: 3 };
                let mut c = *c;
                c.safety = Safety::new(&safety, places, &DiagnosisSet::default()).unwrap();
                c.readings.cell_voltage_v =
                    [3.5, 3.5, 3.5, 3.5, 3.5, cell_v].map(|v| Reading::within(v, 0.0, 5.0));
                let frame = Frame { fused_voltage_v: fused_v, pack_voltage_v: pack_v, ..Frame::NOTHING };
                c.battery_v(&frame).valid()
            })
        };
        let both = [true, true];
        assert_eq!(battery_v(both, [20.0, 20.5, 3.0]), Some(20.0));
        assert_eq!(battery_v([false, true], [20.0, 20.5, 3.0]), Some(20.5));
        assert_eq!(battery_v([true, false], [20.0, 20.5, 3.0]), Some(20.0));
        assert_eq!(battery_v([false, false], [20.0, 20.5, 3.0]), Some(20.5));
        for none_v in [0.0, -1.0, 36.1, f32::NAN] {
            assert_eq!(battery_v(both, [none_v, 20.25, 3.0]), Some(20.25));
            assert_eq!(battery_v(both, [none_v, none_v, 3.0]), Some(20.5));
        }
        assert_eq!(battery_v(both, [36.0, 20.25, 3.0]), Some(36.0));
        assert_eq!(battery_v([false, false], [20.0, 20.0, f32::NAN]), None);
    }

    /// What is injected fails the next self-test, whenever that is; one that has passed is not made again in a fault, one
    /// that has not is.
    #[test]
    fn a_self_test_is_made_once() {
        let tested = |mode: Mode, passed: Option<bool>, fails: bool| {
            with_small(|c| {
                c.mode.set(mode);
                c.self_test = SelfTest { running_ms: 0, passed, fails };
                for _ in 0..5 {
                    c.step_mode(&quiet(0), 100);
                    c.mode.set(mode);
                }
                c.self_test.passed
            })
        };
        assert_eq!(tested(Mode::SelfTest, None, false), Some(true));
        assert_eq!(tested(Mode::SelfTest, None, true), Some(false));
        assert_eq!(tested(Mode::Error, None, true), Some(false));
        assert_eq!(tested(Mode::Error, Some(false), false), Some(true));
        assert_eq!(tested(Mode::Error, Some(true), true), Some(true));
        assert_eq!(tested(Mode::Drive, None, false), None);
        // What is wrong with the memory fails it, too; a failure that waits for it is not forgotten when it begins.
        with_small(|c| {
            c.corrupt(MemoryPart::Arithmetic);
            for k in 0..8 {
                c.step(&quiet(k), 100);
            }
            assert_eq!((*c.mode.get(), c.self_test.passed), (Mode::Error, Some(false)));
        });
        for part in [MemoryPart::Tables, MemoryPart::Settings, MemoryPart::Contactors] {
            with_small(|c| {
                c.corrupt(part);
                c.mode.set(Mode::SelfTest);
                c.step_mode(&quiet(0), 500);
                assert_eq!(c.self_test.passed, Some(false), "{part:?}");
            });
        }
    }

    /// A change of the mode, of the contactors or of a fault does not wait for the next estimates, nor does the first frame.
    #[test]
    fn estimates_are_made_at_once_when_something_has_changed() {
        let made = |changed: bool, change: fn(&mut Small<'_>)| {
            with_small(|c| {
                settle(c);
                c.since_estimate_ms = 0;
                change(c);
                c.step_estimates(&quiet(60), changed, 100);
                c.since_estimate_ms == 0
            })
        };
        assert!(!made(false, |_| ()) && made(true, |_| ()));
        assert!(made(false, |c| c.estimated_open = !c.estimated_open));
        assert!(made(false, |c| c.estimated_fault = !c.estimated_fault));
        assert!(made(false, |c| c.started = false));
        with_small(|c| {
            for external_w in [0.0, 1.0, -1.0] {
                c.step_estimates(&Input { external_w, ..quiet(0) }, true, 100);
                assert_eq!(c.powered_outside, external_w > 0.0);
            }
        });
    }

    /// Estimates come when they are due; a pack of which something is not seen is blind until it is seen again; a charger is
    /// heard if its message is new and sound, too.
    #[test]
    fn estimates_are_made_when_due_from_what_is_seen() {
        with_small(|c| {
            let mut step = 0;
            let mut run = |c: &mut Small<'_>, change: &dyn Fn(&mut Input<6, 3, 1>)| {
                let mut input = quiet(step);
                change(&mut input);
                c.step(&input, 100);
                step += 1;
            };
            for _ in 0..100 {
                run(c, &|_| ());
            }
            while c.since_estimate_ms != 0 {
                run(c, &|_| ());
            }
            let every = c.rules.get().estimate_every_ms;
            for _ in 1..every / 100 {
                run(c, &|_| ());
                assert_ne!(c.since_estimate_ms, 0);
            }
            run(c, &|_| ());
            assert_eq!((c.since_estimate_ms, c.blind_ms), (0, 0));
            type Change = fn(&mut Input<6, 3, 1>);
            let changes: [(Change, bool); 4] = [
                (|i| i.frame.cell_voltage_v[2] = f32::NAN, true),
                (|i| i.frame.current_a = f32::NAN, true),
                (|i| i.frame.sensors_c = [f32::NAN; 3], true),
                (|i| i.frame.sensors_c[0] = f32::NAN, false),
            ];
            for (change, blind) in changes {
                run(c, &|_| ());
                assert_eq!(c.blind_ms, 0);
                run(c, &change);
                assert_eq!(c.blind_ms, if blind { 100 } else { 0 });
            }
            let changes: [(Change, bool); 4] = [
                (|i| i.charger.heard = true, true),
                (|i| i.charger.heard = false, false),
                (|i| (i.charger.heard, i.frame.charger.fresh) = (true, false), false),
                (|i| (i.charger.heard, i.frame.charger.sound) = (true, false), false),
            ];
            for (change, heard) in changes {
                while c.since_estimate_ms != 0 || c.charger_heard {
                    run(c, &|i| i.charger.heard = false);
                }
                run(c, &change);
                assert_eq!(c.charger_heard, heard);
            }
        });
    }
}
