//! What happens to the pack, one phase after another.

use serde::{Deserialize, Serialize};

use super::quantity::{Ambient, Seconds};
use crate::profiles::speed::Cycle;

/// A part of the scenario: a drive, a park, a charge ...
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// What the report calls it; its kind if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Temperature of the surroundings; that of the scenario if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambient_c: Option<Ambient>,
    /// What happens, by its `kind`.
    #[serde(flatten)]
    pub task: Task,
}

/// What happens in a phase.
///
/// A `duration` ends a phase in any case; whatever else a phase can end by may come before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// A speed cycle driven by [`Vehicle::MIDSIZE`](crate::vehicle::Vehicle::MIDSIZE), its power scaled by the energy of
    /// the pack.
    Drive {
        /// The cycle.
        cycle: CycleName,
        /// How many times it is driven; once if nothing else ends the drive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repeat: Option<u32>,
        /// Time after which the drive ends, in the middle of a cycle if need be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<Seconds>,
        /// State of charge (fraction) at which the drive ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_soc: Option<f64>,
    },
    /// The same car at a constant speed.
    Motorway {
        /// Speed in km/h.
        speed_kmh: f64,
        /// Time after which the drive ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<Seconds>,
        /// State of charge (fraction) at which the drive ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_soc: Option<f64>,
    },
    /// A constant load, positive on discharge; exactly one of power, current and rate.
    Constant {
        /// Power of the pack in W.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        power_w: Option<f64>,
        /// Current of the pack in A.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        current_a: Option<f64>,
        /// Current in multiples of the pack's nominal capacity per hour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        c_rate: Option<f64>,
        /// Time after which the load ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<Seconds>,
        /// State of charge (fraction) at which the load ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_soc: Option<f64>,
        /// Voltage of a cell in V: the load ends when the lowest is there on discharge, the highest on charge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_cell_v: Option<f64>,
    },
    /// Contactors open.
    Park {
        /// How long.
        duration: Seconds,
        /// Whether the core stays awake and controls; otherwise it sleeps and is woken at the end.
        #[serde(default)]
        awake: bool,
        /// Whether the mains feed heater, chiller and pump while it is awake.
        #[serde(default)]
        plugged: bool,
    },
    /// Charged as the core asks for, as far as the charger can.
    Charge {
        /// How.
        mode: ChargeMode,
        /// Largest current of the charger in multiples of the pack's nominal capacity per hour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charger_c_rate: Option<f64>,
        /// Largest power of the charger in kW.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charger_kw: Option<f64>,
        /// State of charge (fraction) at which it ends; without one, when the core calls the pack full.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_soc: Option<f64>,
        /// Time after which it is unplugged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<Seconds>,
        /// Whether the mains feed heater, chiller and pump; otherwise the pack does.
        #[serde(default = "yes")]
        plugged: bool,
    },
    /// Warmed up at standstill.
    Preheat {
        /// Temperature in degC that the coldest cell shall reach.
        target_c: f64,
        /// Time there is; the phase ends earlier when the target is reached.
        time_available: Seconds,
        /// As fast as may be, whatever time there is; otherwise as cheaply as the time allows.
        #[serde(default)]
        hurry: bool,
        /// Whether the mains feed heater and pump; otherwise the pack does.
        plugged: bool,
    },
    /// Parked and awake until the core has balanced the cells.
    Balance {
        /// Time after which it ends in any case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duration: Option<Seconds>,
    },
}

/// How a pack is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeMode {
    /// Constant current, then constant voltage.
    Normal,
    /// As fast as the anode allows.
    Fast,
}

/// A speed cycle by its name in scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CycleName {
    /// Passenger car cycle of China.
    #[serde(rename = "CLTC-P")]
    CltcP,
    /// WLTC class 3b.
    #[serde(rename = "WLTC3")]
    Wltc3,
    /// High speed and hard acceleration.
    #[serde(rename = "US06")]
    Us06,
    /// City.
    #[serde(rename = "UDDS")]
    Udds,
}

impl CycleName {
    /// Its speed trace.
    #[must_use]
    pub const fn cycle(self) -> Cycle {
        match self {
            Self::CltcP => Cycle::CltcP,
            Self::Wltc3 => Cycle::Wltc3,
            Self::Us06 => Cycle::Us06,
            Self::Udds => Cycle::Udds,
        }
    }
}

impl Task {
    /// Its `kind` as in the file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Drive { .. } => "drive",
            Self::Motorway { .. } => "motorway",
            Self::Constant { .. } => "constant",
            Self::Park { .. } => "park",
            Self::Charge { .. } => "charge",
            Self::Preheat { .. } => "preheat",
            Self::Balance { .. } => "balance",
        }
    }

    /// Whether charge is put into the pack on purpose: a charge, or a constant load below 0.
    #[must_use]
    pub fn charges(&self) -> bool {
        match self {
            Self::Charge { .. } => true,
            Self::Constant { power_w, current_a, c_rate, .. } => {
                power_w.or(*current_a).or(*c_rate).is_some_and(|x| x < 0.0)
            }
            _ => false,
        }
    }

    /// Time in s after which the phase ends in any case, as far as the file says so.
    #[must_use]
    pub fn duration_s(&self) -> Option<f64> {
        match self {
            Self::Park { duration, .. } => Some(duration.0),
            Self::Preheat { time_available, .. } => Some(time_available.0),
            Self::Drive { cycle, repeat, duration, until_soc } => {
                // Once, if nothing else ends it.
                let times = repeat.or((duration.is_none() && until_soc.is_none()).then_some(1));
                let driven = times.map(|n| f64::from(n) * cycle.seconds());
                match (driven, duration.map(|d| d.0)) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                }
            }
            Self::Motorway { duration, .. }
            | Self::Constant { duration, .. }
            | Self::Charge { duration, .. }
            | Self::Balance { duration } => duration.map(|d| d.0),
        }
    }
}

impl CycleName {
    /// How long it lasts in s.
    #[must_use]
    pub fn seconds(self) -> f64 {
        // A power lies between two speeds.
        self.cycle().speeds_m_per_s().len().saturating_sub(1) as f64
    }
}

impl Phase {
    /// What the report calls it.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.task.kind())
    }
}

const fn yes() -> bool {
    true
}
