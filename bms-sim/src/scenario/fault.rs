//! What breaks during a run.

use serde::{Deserialize, Serialize};

use super::quantity::Seconds;

/// A fault and when it appears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Time since the start of the scenario.
    pub at: Seconds,
    /// What breaks, by its `kind`.
    #[serde(flatten)]
    pub what: FaultKind,
}

/// What breaks. Cells, sensors, channels and modules are counted from 0.
///
/// A `cell` of [`FaultKind::Leak`], [`FaultKind::WeakCell`], [`FaultKind::InternalShort`] and [`FaultKind::Runaway`] is one of
/// all cells of the pack, those of a parallel group side by side; one of a voltage is the number of the group in series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// A cooling channel lets less through.
    BlockedChannel {
        /// Number of the channel.
        channel: usize,
        /// Share 0..1 of the flow that is lost.
        share: f64,
    },
    /// A temperature sensor reads too much.
    TemperatureOffset {
        /// Number of the sensor.
        sensor: usize,
        /// By how much, in K.
        offset_k: f64,
    },
    /// A temperature sensor reads nothing any more.
    TemperatureLost {
        /// Number of the sensor.
        sensor: usize,
    },
    /// A cell voltage reads too much.
    VoltageOffset {
        /// Number of the group in series.
        cell: usize,
        /// By how much, in V.
        offset_v: f64,
    },
    /// A cell voltage reads nothing any more.
    VoltageLost {
        /// Number of the group in series.
        cell: usize,
    },
    /// The current sensor reads too much discharge.
    CurrentOffset {
        /// By how much, in A.
        offset_a: f64,
    },
    /// A cell discharges itself.
    Leak {
        /// Number of the cell.
        cell: usize,
        /// Current in A.
        current_a: f64,
    },
    /// A cell is weaker than the others.
    WeakCell {
        /// Number of the cell.
        cell: usize,
        /// Its capacity as a share of what it was.
        #[serde(default = "one")]
        capacity_factor: f64,
        /// Its resistance as a multiple of what it was.
        #[serde(default = "one")]
        resistance_factor: f64,
    },
    /// The heater of the coolant gives nothing any more.
    HeaterOff {},
    /// The heating film of a module gives nothing any more.
    FilmOff {
        /// Number of the module.
        module: usize,
    },
    /// The chiller gives nothing any more.
    ChillerOff {},
    /// The pump stands still.
    PumpOff {},
    /// The charger gives nothing for a while.
    ChargerLost {
        /// How long.
        duration: Seconds,
    },
    /// A resistance inside a cell joins its poles; its heat stays in the cell.
    InternalShort {
        /// Number of the cell.
        cell: usize,
        /// Resistance in ohm.
        ohm: f64,
    },
    /// The terminals behind the contactors are joined.
    ExternalShort {
        /// Resistance in ohm.
        ohm: f64,
    },
    /// A cell is driven into thermal runaway.
    Runaway {
        /// Number of the cell.
        cell: usize,
        /// How.
        trigger: Trigger,
    },
    /// The isolation between minus and the chassis falls.
    Insulation {
        /// Resistance in ohm.
        ohm: f64,
    },
    /// The main fuse breaks.
    FuseBlown {},
    /// A contactor is stuck.
    ContactorStuck {
        /// Which.
        contactor: ContactorName,
        /// Closed (welded) or open.
        closed: bool,
    },
    /// The precharge resistor changes, infinite for a broken one.
    PrechargeOhm {
        /// Resistance in ohm.
        ohm: f64,
    },
    /// The heater of the coolant heats whatever it is told.
    HeaterStuck {
        /// Power in W.
        power_w: f64,
    },
    /// A bleed resistor or converter stays on.
    BleedStuck {
        /// Number of the group in series.
        cell: usize,
    },
    /// The interlock loop opens.
    InterlockOpen {},
    /// The charger gives this current whatever it is asked for.
    ChargerIgnores {
        /// Current in A.
        current_a: f64,
    },
    /// The load draws this current (negative: charges) whatever it is allowed.
    LoadIgnores {
        /// Current in A.
        current_a: f64,
    },
    /// A cell voltage is read wrongly.
    CellVoltage {
        /// Number of the group in series.
        cell: usize,
        /// How; numbers in V.
        error: SignalError,
    },
    /// A temperature sensor on a cell reads wrongly.
    Temperature {
        /// Number of the sensor.
        sensor: usize,
        /// How; numbers in K.
        error: SignalError,
    },
    /// A current sensor reads wrongly.
    Current {
        /// Which.
        sensor: CurrentSensor,
        /// How; numbers in A.
        error: SignalError,
    },
    /// The pack voltage is read wrongly.
    PackVoltage {
        /// How; numbers in V.
        error: SignalError,
    },
    /// A partner in communication fails.
    Message {
        /// Which.
        from: Partner,
        /// How.
        error: MessageError,
    },
    /// Memory changes by itself.
    Memory {
        /// What.
        part: MemoryPart,
    },
    /// Steps of the protection come late from now on.
    LateSteps {
        /// Time between two steps.
        every_ms: u16,
    },
}

/// How a cell is driven into runaway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A nail through it: at once.
    Nail,
    /// A heater on it until it runs away.
    Heater,
}

/// A contactor by its name in scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactorName {
    /// Main contactor at plus.
    Plus,
    /// Main contactor at minus.
    Minus,
    /// Precharge contactor.
    Precharge,
}

/// One of the two current sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurrentSensor {
    /// The one that counts the charge.
    Main,
    /// The independent one.
    Second,
}

/// What is wrong with a reading, in the unit of what is read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalError {
    /// It stays what it was.
    Stuck,
    /// It is off by so much at once.
    Jump(f64),
    /// It goes off by so much in every second.
    Drift(f64),
    /// Its wire is open: a cell voltage reads next to nothing and its neighbour's what both have, as the front end's own
    /// test finds; another sensor is out of its range.
    OpenWire,
    /// Nothing arrives.
    Lost,
    /// It and the other stand in each other's place.
    SwappedWith(usize),
    /// Of a cell voltage: its own two wires are swapped, so that it reads below 0 and its neighbours read it on top.
    Reversed,
    /// White noise of this standard deviation comes on top.
    Noise(f64),
}

/// A partner in communication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partner {
    /// Front end of the cells.
    FrontEnd,
    /// Current sensor.
    CurrentSensor,
    /// Insulation monitor.
    InsulationMonitor,
    /// Vehicle.
    Vehicle,
    /// Charger.
    Charger,
}

/// What is wrong with a partner's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageError {
    /// None arrive.
    Lost,
    /// The same one arrives again and again.
    Frozen,
    /// Their check sums are wrong.
    WrongCrc,
    /// Only one in so many arrives.
    OneIn(u8),
}

/// What of the memory changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryPart {
    /// A bit of the limits.
    Settings,
    /// A bit of the state of the contactors.
    State,
    /// A bit of the cell's tables.
    Tables,
    /// The record that was stored before the start.
    Store,
}

impl FaultKind {
    /// The protection has to find it, or the core's own contactors and limits answer it; the others concern climate, balancing
    /// and estimates alone.
    #[must_use]
    pub const fn concerns_protection(&self) -> bool {
        !matches!(
            self,
            Self::BlockedChannel { .. }
                | Self::TemperatureOffset { .. }
                | Self::VoltageOffset { .. }
                | Self::CurrentOffset { .. }
                | Self::Leak { .. }
                | Self::WeakCell { .. }
                | Self::HeaterOff {}
                | Self::FilmOff { .. }
                | Self::ChillerOff {}
                | Self::PumpOff {}
        )
    }

    /// Its `kind` as in the file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BlockedChannel { .. } => "blocked_channel",
            Self::TemperatureOffset { .. } => "temperature_offset",
            Self::TemperatureLost { .. } => "temperature_lost",
            Self::VoltageOffset { .. } => "voltage_offset",
            Self::VoltageLost { .. } => "voltage_lost",
            Self::CurrentOffset { .. } => "current_offset",
            Self::Leak { .. } => "leak",
            Self::WeakCell { .. } => "weak_cell",
            Self::HeaterOff {} => "heater_off",
            Self::FilmOff { .. } => "film_off",
            Self::ChillerOff {} => "chiller_off",
            Self::PumpOff {} => "pump_off",
            Self::ChargerLost { .. } => "charger_lost",
            Self::InternalShort { .. } => "internal_short",
            Self::ExternalShort { .. } => "external_short",
            Self::Runaway { .. } => "runaway",
            Self::Insulation { .. } => "insulation",
            Self::FuseBlown {} => "fuse_blown",
            Self::ContactorStuck { .. } => "contactor_stuck",
            Self::PrechargeOhm { .. } => "precharge_ohm",
            Self::HeaterStuck { .. } => "heater_stuck",
            Self::BleedStuck { .. } => "bleed_stuck",
            Self::InterlockOpen {} => "interlock_open",
            Self::ChargerIgnores { .. } => "charger_ignores",
            Self::LoadIgnores { .. } => "load_ignores",
            Self::CellVoltage { .. } => "cell_voltage",
            Self::Temperature { .. } => "temperature",
            Self::Current { .. } => "current",
            Self::PackVoltage { .. } => "pack_voltage",
            Self::Message { .. } => "message",
            Self::Memory { .. } => "memory",
            Self::LateSteps { .. } => "late_steps",
        }
    }
}

const fn one() -> f64 {
    1.0
}
