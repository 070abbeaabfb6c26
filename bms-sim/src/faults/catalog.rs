//! What is broken in the campaign, when that becomes dangerous, and what must be diagnosed.

use bms_core::safety::contactors::Position;
use bms_core::safety::mode::Mode;
use bms_core::safety::settings::SafetySettings;
use bms_core::safety::table::{Diagnosis, Entry};
use rand::{Rng, RngExt};

use super::OperatingMode::{
    self, Balancing, Charge, Closing, Daily, Drive, FastCharge, Opening, Parked, Preheat,
};
use crate::closed_loop::Seen;
use crate::scenario::{
    ContactorName, CurrentSensor, FaultKind, MemoryPart, MessageError, PackFacts, Partner, SignalError,
    Trigger,
};

/// Part of the system that a fault is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Group {
    /// Cells.
    Cells,
    /// Conductors, contactors, fuse, insulation, coolant.
    Pack,
    /// Sensors.
    Sensors,
    /// Messages.
    Messages,
    /// Computer of the management.
    Computer,
}

impl Group {
    /// Heading.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cells => "Cells and load",
            Self::Pack => "Conductors, contactors, coolant",
            Self::Sensors => "Sensors",
            Self::Messages => "Messages",
            Self::Computer => "Computer",
        }
    }
}

/// From when on the fault-tolerant time counts.
#[derive(Debug, Clone, Copy)]
pub enum Hazard {
    /// From the moment at which it breaks.
    AtOnce,
    /// When the truth is beyond what must be noticed.
    When(fn(&Seen<'_>, &SafetySettings) -> bool),
    /// When the true current has moved by so much of the sensors' full scale since it broke.
    Moved {
        /// Share of full scale.
        by: f64,
    },
    /// When the true voltage of the cell has moved by so much (V) since it broke.
    CellMoved {
        /// Voltage in V.
        by_v: f64,
    },
    /// When an error that grows so fast (in the unit of the reading per s) has grown so large.
    Grown {
        /// Size.
        to: f64,
    },
    /// When an error of the current that grows has grown to so much of the sensors' full scale.
    Strayed {
        /// Share of full scale.
        by: f64,
    },
}

/// A hazard that has not come after so long (s) does not come, where a fault does not need more.
const NO_HAZARD_S: f64 = 400.0;

/// What a place in the finding must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Nothing is asked.
    Anywhere,
    /// The cell or sensor that was broken; a neighbour counts where a wire between two is.
    There,
}

/// Draws a fault that is there from the start, from what breaks later.
pub type Latent = fn(&PackFacts, &FaultKind, &mut dyn Rng) -> FaultKind;

/// A kind of fault.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// Draws one of its kind: a place, a size.
    pub make: fn(&PackFacts, &mut dyn Rng) -> FaultKind,
    /// What is broken beside it from the start, unnoticed because nothing shows it until then.
    pub latent: Option<Latent>,
    /// A hazard that has not come after so long (s) does not come.
    pub patience_s: f64,
    /// In which modes it matters.
    pub modes: &'static [OperatingMode],
    /// Diagnoses of which one must be made; the first sets the time.
    pub accepted: &'static [Diagnosis],
    /// Whether the place must be right.
    pub place: Where,
    /// From when on time counts.
    pub hazard: Hazard,
    /// Whether a thermal event has to be alarmed.
    pub alarm: bool,
}

impl Kind {
    /// Row of the first accepted diagnosis.
    #[must_use]
    pub const fn row(&self) -> Entry {
        self.accepted[0].entry()
    }

    /// Time in ms within which the reaction must be complete: the fault-tolerant time, or, where no harm follows directly, what
    /// the table promises.
    #[must_use]
    pub fn allowed_ms(&self) -> u32 {
        let row = self.row();
        if row.ftti_ms > 0 {
            return row.ftti_ms;
        }
        self.accepted.iter().map(|d| d.entry().reaction_time_ms()).max().unwrap_or(0)
    }
}

const AWAKE: &[OperatingMode] = &[Drive, Charge, FastCharge, Parked, Preheat, Balancing];
const CONNECTED: &[OperatingMode] = &[Drive, Charge, FastCharge, Preheat];
const MOVING: &[OperatingMode] = &[Drive, FastCharge, Preheat];
const RESTING: &[OperatingMode] = &[Parked, Balancing];
const CHARGING: &[OperatingMode] = &[Charge, FastCharge];
const COOLED: &[OperatingMode] = &[Drive, FastCharge, Preheat];
const LOADED: &[OperatingMode] = &[Drive, FastCharge];
const DRIVING: &[OperatingMode] = &[Drive];
const CLOSING: &[OperatingMode] = &[Closing];
const OPENING: &[OperatingMode] = &[Opening];
const DAILY: &[OperatingMode] = &[Daily];

fn cell(facts: &PackFacts, rng: &mut dyn Rng) -> usize {
    rng.random_range(0..facts.series)
}

/// A cell with neighbours on both sides.
fn inner_cell(facts: &PackFacts, rng: &mut dyn Rng) -> usize {
    rng.random_range(1..facts.series - 1)
}

fn sensor(facts: &PackFacts, rng: &mut dyn Rng) -> usize {
    rng.random_range(0..facts.temperature_sensors)
}

fn sign(rng: &mut dyn Rng) -> f64 {
    if rng.random::<bool>() { 1.0 } else { -1.0 }
}

/// What sensors may hide of a cell voltage: their error and three standard deviations of noise, in V.
fn hidden_v(s: &SafetySettings) -> f64 {
    f64::from(s.grade.cell_voltage_v) + 0.006
}

/// What a sensor may hide of a temperature in K: its error and the steps of its converter; two of them, of a difference.
const HIDDEN_K: f64 = 2.5;
const HIDDEN_SPREAD_K: f64 = 4.5;
/// What the error of a cell voltage may hide of a state of charge where the curve is flat.
const HIDDEN_SOC: f64 = 0.3;

fn highest_v(seen: &Seen<'_>) -> f64 {
    seen.plant.pack().group_voltage_v().iter().copied().fold(0.0, f64::max)
}

fn lowest_v(seen: &Seen<'_>) -> f64 {
    seen.plant.pack().group_voltage_v().iter().copied().fold(f64::INFINITY, f64::min)
}

fn hottest_c(seen: &Seen<'_>) -> f64 {
    seen.plant.sensed_c().iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Hotter than any use allows; in a pack that is open and not used, so much hotter than the others that a cell is broken.
fn too_hot(seen: &Seen<'_>, s: &SafetySettings) -> bool {
    if seen.core.outcome().position == Position::Open {
        return apart_k(seen) > f64::from(s.spread_k.fatal) + HIDDEN_SPREAD_K;
    }
    hottest_c(seen) > f64::from(s.discharge_hot_c.fatal.max(s.charge_hot_c.fatal)) + HIDDEN_K
}

fn apart_k(seen: &Seen<'_>) -> f64 {
    hottest_c(seen) - seen.plant.sensed_c().iter().copied().fold(f64::INFINITY, f64::min)
}

/// One part of the pack is so much hotter than another that its cooling must be broken.
fn unevenly_hot(seen: &Seen<'_>, s: &SafetySettings) -> bool {
    apart_k(seen) > f64::from(s.spread_k.warning) + HIDDEN_SPREAD_K
}

/// Too hot for full power.
fn hot(seen: &Seen<'_>, s: &SafetySettings) -> bool {
    let limit = if seen.core.outcome().mode == Mode::Charge { s.charge_hot_c } else { s.discharge_hot_c };
    hottest_c(seen) > f64::from(limit.warning) + HIDDEN_K
}

fn voltage_fault(facts: &PackFacts, rng: &mut dyn Rng, error: SignalError) -> FaultKind {
    FaultKind::CellVoltage { cell: inner_cell(facts, rng), error }
}

fn temperature_fault(facts: &PackFacts, rng: &mut dyn Rng, error: SignalError) -> FaultKind {
    FaultKind::Temperature { sensor: sensor(facts, rng), error }
}

/// The heater of the coolant takes power that it is not asked to take; its thermostat may stop it for good.
fn heats_for_nothing(seen: &Seen<'_>, _: &SafetySettings) -> bool {
    seen.plant.devices().electric_w().heater > 700.0 && seen.core.outcome().heater_w < 1.0
}

/// Coolant is asked for and does not flow.
fn coolant_stands(seen: &Seen<'_>, _: &SafetySettings) -> bool {
    seen.core.outcome().flow_l_per_min > 0.5 && seen.plant.devices().actuation().flow_l_per_min <= 0.0
}

/// Cells differ by more than the imbalance warns of and sensors may hide.
fn spread_out(seen: &Seen<'_>, s: &SafetySettings) -> bool {
    let range = |(least, most): (f64, f64), z: &f64| (z.min(least), z.max(most));
    let (least, most) = seen.plant.group_soc().iter().fold((f64::INFINITY, f64::NEG_INFINITY), range);
    let flat = f64::from(s.cell_high_v.fatal) < LFP_V;
    let hidden = if flat { HIDDEN_SOC } else { 0.0 };
    most - least > f64::from(s.imbalance[1]) + hidden
}

fn closes(seen: &Seen<'_>, _: &SafetySettings) -> bool {
    seen.core.outcome().position != Position::Open
}

fn opens(seen: &Seen<'_>, _: &SafetySettings) -> bool {
    seen.core.outcome().position == Position::Open
}

/// Cells with a lower limit than this (V) are of iron phosphate; those of the campaign resist a quarter of what its NMC cells do.
const LFP_V: f64 = 3.9;
/// Share of full scale by which two current sensors surely disagree: three times the error of one, and both errors hide it.
const DISAGREEING: f64 = 0.107;
/// Hours in a month.
const MONTH_H: f64 = 730.0;
/// Full scale of the current sensor in A, as `Ranges` has it: five times the capacity.
const FULL_C: f64 = 5.0;

/// Row of the catalogue: name, group, draw, modes, accepted, place, hazard.
macro_rules! faults {
    ($($name:literal, $group:ident, $modes:ident, $accepted:expr, $place:ident, $hazard:expr, $alarm:literal, $make:expr
        $(, latent $latent:expr)? $(, within $patience_s:literal s)?;)+) => {
        /// All kinds of faults.
        pub const CATALOG: &[Kind] = &[$(Kind {
            name: $name,
            group: Group::$group,
            make: $make,
            latent: {
                let none: Option<Latent> = None;
                $(let none: Option<Latent> = { let _: Option<Latent> = none; Some($latent) };)?
                none
            },
            patience_s: { let s = NO_HAZARD_S; $(let s = { let _: f64 = s; $patience_s };)? s },
            modes: $modes,
            accepted: &$accepted,
            place: Where::$place,
            hazard: $hazard,
            alarm: $alarm,
        },)+];
    };
}

use Diagnosis as D;
use Hazard::{AtOnce, CellMoved, Grown, Moved, Strayed, When};

faults! {
    "hard short circuit inside a cell", Cells, AWAKE,
        // A sag as sudden as this one is a jump at first sight, which opens the contactors as well.
        [D::InternalShort, D::CellVoltageJump, D::TemperatureRiseFatal, D::ThermalRunaway, D::ThermalRunawayNearby,
            D::CellVoltageLowFatal],
        Anywhere, AtOnce, false,
        |f, r| FaultKind::InternalShort {
            cell: cell(f, r),
            // Ten to twenty times the cell's own resistance.
            ohm: r.random_range(0.006..0.012) * if f.cell_limits_v[1] < LFP_V { 0.25 } else { 1.0 },
        };
    "thermal runaway of a cell with a sensor (nail)", Cells, AWAKE,
        [D::ThermalRunaway, D::TemperatureRiseFatal, D::ThermalRunawayNearby], Anywhere, AtOnce, true,
        |f, r| FaultKind::Runaway {
            cell: sensor(f, r) * (f.series / f.temperature_sensors).max(1) * f.parallel,
            trigger: Trigger::Nail,
        };
    "thermal runaway of a cell without a sensor (nail)", Cells, AWAKE,
        // Its voltage opens the contactors; the alarm waits for its neighbourhood.
        [D::ThermalRunawayNearby, D::ThermalRunaway, D::TemperatureRiseFatal, D::CellVoltageJump, D::CellVoltageLowFatal],
        Anywhere, AtOnce, true,
        |f, r| FaultKind::Runaway {
            cell: (sensor(f, r) * (f.series / f.temperature_sensors).max(1) + 2).min(f.series - 1) * f.parallel,
            trigger: Trigger::Nail,
        };
    "thermal runaway of a cell whose sensor is swapped with another's", Cells, AWAKE,
        // As of a cell without a sensor: what gets warm is another cell's, as far as the core can know.
        [D::ThermalRunawayNearby, D::ThermalRunaway, D::TemperatureRiseFatal], Anywhere, AtOnce, true,
        |f, r| FaultKind::Runaway {
            cell: sensor(f, r) * (f.series / f.temperature_sensors).max(1) * f.parallel,
            trigger: Trigger::Nail,
        },
        latent |f, what, r| {
            let own = place(what).unwrap_or(0) / (f.series / f.temperature_sensors).max(1) / f.parallel;
            let other = (own + r.random_range(1..f.temperature_sensors)) % f.temperature_sensors;
            FaultKind::Temperature { sensor: own, error: SignalError::SwappedWith(other) }
        };
    "a hot cell (heater on it)", Cells, AWAKE,
        [D::TemperatureSpreadFatal, D::TemperatureRiseFatal, D::DischargeHotFatal, D::ChargeHotFatal, D::ThermalRunaway], Anywhere,
        When(too_hot), false,
        |f, r| FaultKind::Runaway {
            cell: sensor(f, r) * (f.series / f.temperature_sensors).max(1) * f.parallel,
            trigger: Trigger::Heater,
        };
    "overcharge: the charger ignores its limit", Cells, CHARGING,
        [D::ChargerIgnoresLimit, D::CellVoltageHighFatal, D::ChargePulseFatal], Anywhere,
        When(|seen, s| highest_v(seen) > f64::from(s.cell_high_v.fatal) + hidden_v(s)), false,
        |f, r| FaultKind::ChargerIgnores { current_a: f.capacity_ah * r.random_range(0.8..1.2) };
    "overcharge: the drive feeds back too much", Cells, DRIVING,
        [D::CellVoltageHighFatal], Anywhere,
        When(|seen, s| highest_v(seen) > f64::from(s.cell_high_v.fatal) + hidden_v(s)), false,
        |f, r| FaultKind::LoadIgnores { current_a: -f.capacity_ah * r.random_range(0.9..1.3) };
    "over-discharge: the load ignores its limit", Cells, DRIVING,
        [D::CellVoltageLowFatal, D::DeepDischarge], Anywhere,
        When(|seen, s| lowest_v(seen) < f64::from(s.cell_low_v.fatal) - hidden_v(s)), false,
        |f, r| FaultKind::LoadIgnores { current_a: f.capacity_ah * r.random_range(0.8..1.2) };
    "over-discharge of a weak cell: the load ignores its limit", Cells, DRIVING,
        [D::CellVoltageLowFatal, D::DeepDischarge], There,
        When(|seen, s| lowest_v(seen) < f64::from(s.cell_low_v.fatal) - hidden_v(s)), false,
        |f, r| FaultKind::LoadIgnores { current_a: f.capacity_ah * r.random_range(0.8..1.2) },
        latent |f, _, r| FaultKind::WeakCell {
            cell: cell(f, r) * f.parallel,
            capacity_factor: r.random_range(0.6..0.8),
            resistance_factor: 1.0,
        };
    "over-discharge of a cell with too much resistance: the load ignores its limit", Cells, DRIVING,
        [D::CellVoltageLowFatal, D::DeepDischarge, D::CellVoltageJump], Anywhere,
        When(|seen, s| lowest_v(seen) < f64::from(s.cell_low_v.fatal) - hidden_v(s)), false,
        |f, r| FaultKind::LoadIgnores { current_a: f.capacity_ah * r.random_range(0.8..1.2) },
        latent |f, _, r| FaultKind::WeakCell {
            cell: cell(f, r) * f.parallel,
            capacity_factor: 1.0,
            resistance_factor: r.random_range(1.5..4.0),
        }, within 900.0 s;
    "a cell discharges itself", Cells, DAILY, [D::LeakyCell, D::ImbalanceWarning], There, When(spread_out), false,
        |f, r| FaultKind::Leak {
            cell: cell(f, r) * f.parallel,
            current_a: f.capacity_ah * r.random_range(0.2..0.5) / MONTH_H,
        }, within 3_456_000.0 s;
    "a balancing switch stays on", Cells, DAILY, [D::LeakyCell, D::ImbalanceWarning], There, When(spread_out), false,
        |f, r| FaultKind::BleedStuck { cell: cell(f, r) }, within 3_456_000.0 s;
    "over-current, discharge", Cells, DRIVING, [D::DischargePulseFatal], Anywhere, AtOnce, false,
        |f, r| FaultKind::LoadIgnores { current_a: f.capacity_ah * r.random_range(4.0..4.6) };
    "over-current, charge", Cells, DRIVING, [D::ChargePulseFatal, D::CellVoltageHighFatal], Anywhere, AtOnce, false,
        |f, r| FaultKind::LoadIgnores { current_a: -f.capacity_ah * r.random_range(3.6..4.2) };
    "over-current for long, discharge", Cells, DRIVING,
        [D::DischargeCurrentFatal, D::CellVoltageLowFatal, D::DischargeHotFatal], Anywhere, AtOnce, false,
        |f, r| FaultKind::LoadIgnores { current_a: f.capacity_ah * r.random_range(2.7..2.9) };
    "external short circuit of 5 mohm or less", Pack, CONNECTED,
        [D::DischargePulseFatal, D::FuseBlown], Anywhere, AtOnce, false,
        |_, r| FaultKind::ExternalShort { ohm: r.random_range(0.001..0.005) };
    "overheating: the load ignores its limit, the chiller gives nothing", Pack, DRIVING, [D::DischargeHotFatal],
        Anywhere, When(too_hot), false,
        |f, r| FaultKind::LoadIgnores { current_a: f.capacity_ah * r.random_range(1.75..1.95) },
        latent |_, _, _| FaultKind::ChillerOff {}, within 1800.0 s;
    "overheating: the load ignores its limit, a cooling channel is blocked", Pack, DRIVING,
        [D::DischargeHotFatal, D::TemperatureSpreadFatal], Anywhere, When(too_hot), false,
        |f, r| FaultKind::LoadIgnores { current_a: f.capacity_ah * r.random_range(1.75..1.95) },
        latent |f, _, r| FaultKind::BlockedChannel { channel: r.random_range(0..f.channels), share: 1.0 },
        within 1800.0 s;
    "insulation below 100 ohm/V", Pack, AWAKE, [D::InsulationFatal], Anywhere, AtOnce, false,
        |f, r| FaultKind::Insulation { ohm: 3.4 * f.series as f64 * r.random_range(5.0..70.0) };
    "main fuse blows", Pack, CONNECTED, [D::FuseBlown], Anywhere, AtOnce, false,
        |_, _| FaultKind::FuseBlown {};
    "plus contactor welded", Pack, OPENING, [D::PlusWelded], Anywhere, When(opens), false,
        |_, _| FaultKind::ContactorStuck { contactor: ContactorName::Plus, closed: true };
    "minus contactor welded", Pack, OPENING, [D::MinusWelded], Anywhere, When(opens), false,
        |_, _| FaultKind::ContactorStuck { contactor: ContactorName::Minus, closed: true };
    "precharge contactor welded", Pack, OPENING, [D::PrechargeWelded], Anywhere, AtOnce, false,
        |_, _| FaultKind::ContactorStuck { contactor: ContactorName::Precharge, closed: true };
    "plus contactor fails to close", Pack, CLOSING, [D::PlusFailsToClose], Anywhere,
        When(|seen, _| seen.core.outcome().contactors[0]), false,
        |_, _| FaultKind::ContactorStuck { contactor: ContactorName::Plus, closed: false };
    "minus contactor fails to close", Pack, CLOSING, [D::MinusFailsToClose], Anywhere, When(closes), false,
        |_, _| FaultKind::ContactorStuck { contactor: ContactorName::Minus, closed: false };
    "precharge contactor fails to close", Pack, CLOSING, [D::PrechargeFailsToClose, D::PrechargeFailed], Anywhere,
        When(|seen, _| seen.core.outcome().contactors[2]), false,
        |_, _| FaultKind::ContactorStuck { contactor: ContactorName::Precharge, closed: false };
    "plus contactor drops out", Pack, CONNECTED, [D::PlusFailsToClose], Anywhere, AtOnce, false,
        |_, _| FaultKind::ContactorStuck { contactor: ContactorName::Plus, closed: false };
    "precharge resistor broken", Pack, CLOSING, [D::PrechargeFailed], Anywhere,
        When(|seen, _| seen.core.outcome().contactors[2]), false,
        |_, _| FaultKind::PrechargeOhm { ohm: f64::INFINITY };
    "precharge too slow", Pack, CLOSING, [D::PrechargeFailed], Anywhere,
        When(|seen, _| seen.core.outcome().contactors[2]), false,
        |_, r| FaultKind::PrechargeOhm { ohm: r.random_range(1000.0..5000.0) };
    "interlock opens", Pack, CONNECTED, [D::InterlockOpen], Anywhere, AtOnce, false,
        |_, _| FaultKind::InterlockOpen {};
    "pump stands still", Pack, COOLED, [D::CoolantLost], Anywhere, When(coolant_stands), false,
        |_, _| FaultKind::PumpOff {};
    "chiller gives nothing", Pack, LOADED, [D::ChargeHotWarning, D::DischargeHotWarning], Anywhere, When(hot), false,
        |_, _| FaultKind::ChillerOff {}, within 2400.0 s;
    "cooling channel blocked", Pack, LOADED,
        [D::TemperatureSpreadWarning, D::ChargeHotWarning, D::DischargeHotWarning], Anywhere, When(unevenly_hot), false,
        |f, r| FaultKind::BlockedChannel { channel: r.random_range(0..f.channels), share: r.random_range(0.9..1.0) },
        within 2400.0 s;
    "heater cannot be switched off", Pack, DRIVING, [D::HeaterStuck], Anywhere,
        When(heats_for_nothing), false,
        |f, r| FaultKind::HeaterStuck { power_w: 4000.0 * f.series as f64 / 96.0 * r.random_range(0.8..1.4) };
    "cell voltage stuck", Sensors, MOVING,
        [D::CellVoltageStuck, D::CellVoltageDrift, D::CellVoltageJump, D::PackVoltageDisagrees], There,
        CellMoved { by_v: 0.1 }, false,
        |f, r| voltage_fault(f, r, SignalError::Stuck);
    "cell voltage jumps", Sensors, AWAKE,
        [D::CellVoltageJump, D::CellVoltageDrift, D::CellVoltageHighFatal, D::CellVoltageLowFatal], There, AtOnce, false,
        |f, r| {
            let by = r.random_range(0.25..0.8) * sign(r);
            voltage_fault(f, r, SignalError::Jump(by))
        };
    "cell voltage drifts (seen at rest)", Sensors, RESTING,
        [D::CellVoltageDrift, D::CellVoltageJump, D::CellVoltageHighFatal, D::CellVoltageLowFatal, D::PackVoltageDisagrees],
        There, Grown { to: 0.3 }, false,
        |f, r| {
            let by = r.random_range(0.005..0.03) * sign(r);
            voltage_fault(f, r, SignalError::Drift(by))
        };
    "cell sense wire open", Sensors, AWAKE,
        [D::CellWireOpen, D::CellVoltageJump, D::CellVoltageLost, D::CellVoltageLowFatal, D::DeepDischarge], There, AtOnce, false,
        |f, r| voltage_fault(f, r, SignalError::OpenWire);
    "cell voltage missing", Sensors, AWAKE, [D::CellVoltageLost], There, AtOnce, false,
        |f, r| voltage_fault(f, r, SignalError::Lost);
    "cell sense wires swapped", Sensors, AWAKE, [D::CellVoltageSwapped, D::CellVoltageLost], There, AtOnce, false,
        |f, r| voltage_fault(f, r, SignalError::Reversed);
    "cell voltage noisy", Sensors, AWAKE,
        [D::CellVoltageJump, D::CellVoltageDrift, D::CellVoltageHighFatal, D::CellVoltageLowFatal, D::PackVoltageDisagrees],
        There, AtOnce, false,
        |f, r| {
            let std = r.random_range(0.4..1.0);
            voltage_fault(f, r, SignalError::Noise(std))
        };
    "temperature sensor missing", Sensors, AWAKE, [D::TemperatureLost], There, AtOnce, false,
        |f, r| temperature_fault(f, r, SignalError::Lost);
    "temperature sensor's wire open", Sensors, AWAKE, [D::TemperatureLost, D::TemperatureJump], There, AtOnce, false,
        |f, r| temperature_fault(f, r, SignalError::OpenWire);
    "temperature jumps", Sensors, AWAKE,
        [D::TemperatureJump, D::TemperatureLost, D::TemperatureDrift], There, AtOnce, false,
        |f, r| {
            let by = r.random_range(12.0..30.0) * sign(r);
            temperature_fault(f, r, SignalError::Jump(by))
        };
    "temperature drifts", Sensors, AWAKE,
        [D::TemperatureDrift, D::TemperatureJump, D::TemperatureRiseWarning, D::TemperatureSpreadWarning], Anywhere,
        Grown { to: 15.0 }, false,
        |f, r| {
            let by = r.random_range(0.1..0.4) * sign(r);
            temperature_fault(f, r, SignalError::Drift(by))
        };
    "current sensor missing", Sensors, CONNECTED,
        [D::CurrentRedundancyLost, D::CurrentLost, D::CurrentSensorLost], Anywhere, AtOnce, false,
        |_, _| FaultKind::Current { sensor: CurrentSensor::Main, error: SignalError::Lost };
    "second current sensor missing", Sensors, CONNECTED, [D::CurrentRedundancyLost], Anywhere, AtOnce, false,
        |_, _| FaultKind::Current { sensor: CurrentSensor::Second, error: SignalError::Lost };
    "current jumps", Sensors, CONNECTED, [D::CurrentDisagrees], Anywhere, AtOnce, false,
        |f, r| {
            let by = FULL_C * f.capacity_ah * r.random_range(0.12..0.3) * sign(r);
            FaultKind::Current { sensor: CurrentSensor::Main, error: SignalError::Jump(by) }
        };
    "current drifts", Sensors, CONNECTED, [D::CurrentDisagrees], Anywhere, Strayed { by: DISAGREEING }, false,
        |_, r| {
            let by = r.random_range(1.0..5.0) * sign(r);
            FaultKind::Current { sensor: CurrentSensor::Main, error: SignalError::Drift(by) }
        };
    "current stuck", Sensors, DRIVING, [D::CurrentDisagrees, D::CurrentStuck], Anywhere,
        Moved { by: 0.1 }, false,
        |_, _| FaultKind::Current { sensor: CurrentSensor::Main, error: SignalError::Stuck };
    "pack voltage jumps", Sensors, AWAKE, [D::PackVoltageDisagrees], Anywhere, AtOnce, false,
        |f, r| FaultKind::PackVoltage {
            error: SignalError::Jump(f.series as f64 * 4.2 * r.random_range(0.05..0.1) * sign(r)),
        };
    "pack voltage missing", Sensors, AWAKE, [D::PackVoltageLost], Anywhere, AtOnce, false,
        |_, _| FaultKind::PackVoltage { error: SignalError::Lost };
    "front end silent", Messages, AWAKE, [D::FrontEndLost, D::CellVoltageLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::FrontEnd, MessageError::Lost);
    "front end repeats itself", Messages, AWAKE, [D::FrontEndLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::FrontEnd, MessageError::Frozen);
    "front end with wrong check sums", Messages, AWAKE, [D::FrontEndLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::FrontEnd, MessageError::WrongCrc);
    "front end late: one message in eight", Messages, AWAKE, [D::FrontEndLost, D::CellVoltageLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::FrontEnd, MessageError::OneIn(8));
    "current sensor silent", Messages, CONNECTED,
        [D::CurrentRedundancyLost, D::CurrentSensorLost, D::CurrentLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::CurrentSensor, MessageError::Lost);
    "current sensor repeats itself", Messages, CONNECTED,
        [D::CurrentRedundancyLost, D::CurrentSensorLost, D::CurrentLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::CurrentSensor, MessageError::Frozen);
    "current sensor with wrong check sums", Messages, CONNECTED,
        [D::CurrentRedundancyLost, D::CurrentSensorLost, D::CurrentLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::CurrentSensor, MessageError::WrongCrc);
    "vehicle silent", Messages, CONNECTED, [D::VehicleLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::Vehicle, MessageError::Lost);
    "vehicle repeats itself", Messages, CONNECTED, [D::VehicleLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::Vehicle, MessageError::Frozen);
    "charger silent", Messages, CHARGING, [D::ChargerLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::Charger, MessageError::Lost);
    "charger with wrong check sums", Messages, CHARGING, [D::ChargerLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::Charger, MessageError::WrongCrc);
    "insulation monitor silent", Messages, AWAKE, [D::InsulationMonitorLost], Anywhere, AtOnce, false,
        |_, _| message(Partner::InsulationMonitor, MessageError::Lost);
    "a limit changes in memory", Computer, AWAKE, [D::MemoryCorrupt], Anywhere, AtOnce, false,
        |_, _| FaultKind::Memory { part: MemoryPart::Settings };
    "the state of the contactors changes in memory", Computer, AWAKE, [D::MemoryCorrupt], Anywhere, AtOnce, false,
        |_, _| FaultKind::Memory { part: MemoryPart::State };
    "a table changes in memory", Computer, AWAKE, [D::MemoryCorrupt], Anywhere, AtOnce, false,
        |_, _| FaultKind::Memory { part: MemoryPart::Tables };
    "the stored record is damaged", Computer, AWAKE, [D::StoreDamaged], Anywhere, AtOnce, false,
        |_, _| FaultKind::Memory { part: MemoryPart::Store };
    "steps come late", Computer, AWAKE, [D::TaskOverrun], Anywhere, AtOnce, false,
        |_, r| FaultKind::LateSteps { every_ms: r.random_range(310..500) };
}

const fn message(from: Partner, error: MessageError) -> FaultKind {
    FaultKind::Message { from, error }
}

/// How fast the error of a fault grows, in its unit per s, if it does.
#[must_use]
pub const fn growth(fault: &FaultKind) -> Option<f64> {
    match fault {
        FaultKind::CellVoltage { error: SignalError::Drift(rate), .. }
        | FaultKind::Temperature { error: SignalError::Drift(rate), .. }
        | FaultKind::Current { error: SignalError::Drift(rate), .. } => Some(rate.abs()),
        _ => None,
    }
}

/// Cell or sensor that a fault is at.
#[must_use]
pub const fn place(fault: &FaultKind) -> Option<usize> {
    match *fault {
        FaultKind::CellVoltage { cell, .. } => Some(cell),
        FaultKind::Temperature { sensor, .. } => Some(sensor),
        FaultKind::InternalShort { cell, .. }
        | FaultKind::Runaway { cell, .. }
        | FaultKind::Leak { cell, .. }
        | FaultKind::BleedStuck { cell }
        | FaultKind::WeakCell { cell, .. } => Some(cell),
        _ => None,
    }
}
