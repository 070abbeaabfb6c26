//! Protection: what is wrong with the pack or with what tells about it, and what is done about that.
//!
//! ```text
//! Frame (raw) ─► monitors ─┬─► Readings: what may be used ─► estimators, limits (crate::bms)
//!                          └─► Ledger: debounce, delay, latch ─► Reaction ─► contactors, limits, mode
//!                 table ───────────┘        settings: limits ─┘
//! ```
//!
//! | Module | What it does |
//! |---|---|
//! | [`table`] | every diagnosis with its level, times, reaction, latch and fault-tolerant time interval |
//! | [`ledger`] | which of them are pending, detected, reacting, latched, and what they saw |
//! | [`frame`] | what the electronics read, unchecked |
//! | [`settings`] | limits of the pack, checked once |
//! | [`monitors`] | looks at a frame and reports to the ledger; decides which readings may be used |
//! | [`contactors`] | in which order contactors close and open, under which current, and whether they are welded |
//! | [`mode`] | operating states and their transitions |
//! | [`limits`] | current and power to publish: the smallest of all limits, and which one it is |
//! | [`link`] | counters and check sums of messages |
//! | [`memory`] | values kept twice, tables summed again and again, known answers |
//!
//! The monitors run at every step of the protection, ten times a second or more often ([`table::PERIOD_MS`]); nothing in
//! them waits for an estimator, and no estimate can switch a protection off.

pub mod contactors;
pub mod frame;
pub mod ledger;
pub mod limits;
pub mod link;
pub mod memory;
pub mod mode;
pub mod monitors;
pub mod settings;
pub mod table;

use self::frame::Frame;
use self::ledger::{DiagnosisSet, Ledger};
use self::monitors::Monitors;
use self::settings::{SafetySettings, SafetySettingsError};
use crate::leak::Leaky;
use crate::measurement::Reading;

/// What of a frame may be used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Readings<const N: usize, const S: usize> {
    /// Every cell voltage in V.
    pub cell_voltage_v: [Reading; N],
    /// Every temperature sensor on a cell in degC.
    pub sensors_c: [Reading; S],
    /// Pack current in A, positive on discharge.
    pub current_a: Reading,
    /// Mean pack current since the previous frame in A.
    pub mean_current_a: Reading,
    /// Coolant before and after the pack, ambient air, balancing board, in degC.
    pub inlet_c: Reading,
    /// See [`Self::inlet_c`].
    pub outlet_c: Reading,
    /// See [`Self::inlet_c`].
    pub ambient_c: Reading,
    /// See [`Self::inlet_c`].
    pub board_c: Reading,
}

/// What the rest of the management knows and asks for, from the step before. It adds diagnoses; it takes none away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Context {
    /// Contactors are told to be closed: plus, minus, precharge.
    pub told_closed: [bool; frame::CONTACTORS],
    /// The pack is asked for: contactors are closed or will be.
    pub wanted: bool,
    /// Charge and discharge current in A that are allowed at most, positive.
    pub allowed_charge_a: f32,
    /// See [`Self::allowed_charge_a`].
    pub allowed_discharge_a: f32,
    /// A charger is plugged in and is to be heard.
    pub charging: bool,
    /// Current in A that the charger is asked for; 0 to stop.
    pub asked_charge_a: f32,
    /// Difference of the cells' states of charge and its standard deviation (fractions); NaN if not known.
    pub soc_spread: [f32; 2],
    /// Standard deviation of the pack's state of charge (fraction).
    pub soc_std: f32,
    /// The cell that leaks most, if one does ([`crate::bms::Bms::leaky`]).
    pub leaky: Option<Leaky>,
    /// Coolant flow that is asked for in L/min.
    pub asked_flow_l_per_min: f32,
    /// Power that heaters are asked for in W.
    pub asked_heater_w: f32,
    /// The stored state was damaged at the start.
    pub store_damaged: bool,
    /// Checks of settings and state in memory, and the self-test at the start, have passed.
    pub memory_sound: bool,
    /// See [`Self::memory_sound`].
    pub self_test_passed: bool,
    /// A bleed resistor or a converter works at this cell: its voltage is not at rest.
    pub balancing: bool,
}

impl Context {
    /// Everything open, nothing asked for, all tests passed.
    pub const QUIET: Self = Self {
        told_closed: [false; frame::CONTACTORS],
        wanted: false,
        allowed_charge_a: f32::INFINITY,
        allowed_discharge_a: f32::INFINITY,
        charging: false,
        asked_charge_a: 0.0,
        soc_spread: [f32::NAN; 2],
        soc_std: 0.0,
        leaky: None,
        asked_flow_l_per_min: 0.0,
        asked_heater_w: 0.0,
        store_damaged: false,
        memory_sound: true,
        self_test_passed: true,
        balancing: false,
    };
}

/// Where temperature sensors sit, for the rules on cells without one of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorPlaces<'a> {
    /// Number of the cell under every sensor, as [`crate::temperatures::Layout::sensor_cells`].
    pub sensor_cells: &'a [u16],
    /// Sensors that there are; further ones are never read.
    pub sensors: usize,
}

/// The protection of a pack of `N` cells or groups in series with `S` temperature sensors.
///
/// ```
/// use bms_core::safety::frame::{Frame, Heard};
/// use bms_core::safety::ledger::DiagnosisSet;
/// use bms_core::safety::settings::SafetySettings;
/// use bms_core::safety::table::{Diagnosis, Reaction};
/// use bms_core::safety::{Context, Safety, SensorPlaces};
///
/// let places = SensorPlaces { sensor_cells: &[0, 2], sensors: 2 };
/// let mut safety = Safety::<4, 2>::new(&SafetySettings::EXAMPLE_NMC_5AH, places, &DiagnosisSet::default())?;
/// for counter in 0..10 {
///     let heard = Heard { fresh: true, counter, sound: true };
///     let frame = Frame {
///         cell_voltage_v: [3.70, 3.71, 4.26, 3.70], // the third one is too high
///         sensors_c: [25.0, 25.5],
///         current_a: 1.0,
///         second_current_a: 1.0,
///         front_end: heard,
///         current_sensor: heard,
///         ..Frame::NOTHING
///     };
///     let readings = safety.step(&frame, &Context::QUIET, 100);
///     assert_eq!(readings.current_a.valid(), Some(1.0));
/// }
/// let high = safety.ledger().detection(Diagnosis::CellVoltageHighFatal).unwrap();
/// assert_eq!((high.finding.place, high.finding.value, high.finding.limit), (Some(2), 4.26, 4.25));
/// assert!(safety.ledger().reacts(Reaction::Open));
/// # Ok::<(), bms_core::safety::settings::SafetySettingsError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Safety<'a, const N: usize, const S: usize> {
    settings: &'a SafetySettings,
    monitors: Monitors<'a, N, S>,
    ledger: Ledger,
}

impl<'a, const N: usize, const S: usize> Safety<'a, N, S> {
    /// A protection with these limits; `latched` is what a workshop still has to unlock ([`Ledger::latched`]).
    ///
    /// # Errors
    /// [`SafetySettingsError`] names the setting that cannot be used.
    pub fn new(
        settings: &'a SafetySettings,
        places: SensorPlaces<'a>,
        latched: &DiagnosisSet,
    ) -> Result<Self, SafetySettingsError> {
        settings.check()?;
        Ok(Self { settings, monitors: Monitors::new(places), ledger: Ledger::restore(latched) })
    }

    /// Looks at a frame that came `dt_ms` after the one before, and says which readings may be used.
    pub fn step(&mut self, frame: &Frame<N, S>, context: &Context, dt_ms: u16) -> Readings<N, S> {
        self.ledger.advance(dt_ms);
        self.monitors.step(self.settings, frame, context, dt_ms, &mut self.ledger)
    }

    /// Time went by without a step, such as a sleep: how fast anything changed since then cannot be told.
    pub fn slept(&mut self) {
        self.monitors.slept();
    }

    /// What was found so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// For what is diagnosed elsewhere (contactors), acknowledgement and service unlock.
    pub const fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// The limits.
    #[must_use]
    pub const fn settings(&self) -> &'a SafetySettings {
        self.settings
    }
}
