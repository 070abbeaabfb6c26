//! What the core is allowed to do, and what is expected of it.

use serde::{Deserialize, Serialize};

/// Controller settings.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// No control of temperatures at all: pump, chiller and heaters stay off.
    pub passive: bool,
    /// Parts that can be switched off, to see what each is worth.
    pub parts: Parts,
    /// Ways to preheat that may be used.
    pub preheat: PreheatMeans,
    /// Target temperatures; the core's own where not given.
    pub targets: Targets,
}

/// Parts of the control; all are on unless switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parts {
    /// Balancing of the cells.
    pub balancing: bool,
    /// Loop on the mean temperature.
    pub mean_loop: bool,
    /// Flow by the spread of the temperatures.
    pub spread_flow: bool,
    /// Reversal of the flow.
    pub reversal: bool,
    /// Feed-forward of the heat to be expected.
    pub feed_forward: bool,
    /// Heating films by module rather than all alike.
    pub film_zoning: bool,
    /// Trim of the temperature sensors against one another.
    pub trim: bool,
    /// Circulation without chiller to mix.
    pub mixing: bool,
    /// Chilling is held back from cells that it does not reach.
    pub hold_back: bool,
    /// Limit of the charge current by the anode potential.
    pub plating_limit: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            balancing: true,
            mean_loop: true,
            spread_flow: true,
            reversal: true,
            feed_forward: true,
            film_zoning: true,
            trim: true,
            mixing: true,
            hold_back: true,
            plating_limit: true,
        }
    }
}

impl Parts {
    /// Every part by its name in the file and whether it is on.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, bool); 10] {
        [
            ("balancing", self.balancing),
            ("mean_loop", self.mean_loop),
            ("spread_flow", self.spread_flow),
            ("reversal", self.reversal),
            ("feed_forward", self.feed_forward),
            ("film_zoning", self.film_zoning),
            ("trim", self.trim),
            ("mixing", self.mixing),
            ("hold_back", self.hold_back),
            ("plating_limit", self.plating_limit),
        ]
    }
}

/// Ways to preheat; all that the pack has may be used unless switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreheatMeans {
    /// Heating films on the modules.
    pub film: bool,
    /// Heater in the coolant.
    pub coolant: bool,
    /// Current through the cells themselves.
    pub pulse: bool,
}

impl Default for PreheatMeans {
    fn default() -> Self {
        Self { film: true, coolant: true, pulse: true }
    }
}

/// Target temperatures of the cells in degC by what the car does.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Targets {
    /// While driving.
    pub drive_c: Option<f64>,
    /// While charging fast.
    pub fast_charge_c: Option<f64>,
    /// While charging otherwise.
    pub charge_c: Option<f64>,
    /// While parked and awake.
    pub park_c: Option<f64>,
}

/// Bounds that a run has to keep; the program ends with 1 when one is missed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Largest difference between the hottest and the coldest core at any time, in K.
    pub max_delta_t_k: Option<f64>,
    /// Largest temperature of a core, in degC.
    pub max_core_c: Option<f64>,
    /// Least rate of the mean core in the slowest preheat, in degC/min.
    pub min_heating_rate_c_per_min: Option<f64>,
    /// Largest difference between the states of charge of the cells at the end, in points.
    pub max_soc_spread_points: Option<f64>,
    /// Largest time of the slowest charge from 10 to 80 %, in s.
    pub max_charge_10_80_s: Option<f64>,
    /// Lowest anode potential against lithium, in V.
    pub min_anode_v: Option<f64>,
    /// Lowest cell voltage, in V.
    pub min_cell_v: Option<f64>,
    /// Highest cell voltage, in V.
    pub max_cell_v: Option<f64>,
    /// Largest error of a cell's estimated state of charge, in points.
    pub max_soc_error_points: Option<f64>,
    /// Least state of charge of the pack at the end, fraction.
    pub min_end_soc: Option<f64>,
    /// Longest duration of the whole run, in s.
    pub max_duration_s: Option<f64>,
}
