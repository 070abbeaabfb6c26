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
/// A `cell` of [`FaultKind::Leak`] and [`FaultKind::WeakCell`] is one of all cells of the pack, those of a parallel group side
/// by side; one of a voltage is the number of the group in series.
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
}

impl FaultKind {
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
        }
    }
}

const fn one() -> f64 {
    1.0
}
