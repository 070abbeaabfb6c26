//! Scenario files: a pack, what is done with it, and what is expected.
//!
//! ```toml
//! format_version = 1
//! title = "Fast charge from 10 to 80 %"
//! pack = "../packs/car_nmc_96s1p.toml"    # relative to this file
//! seed = 1
//! ambient_c = 25.0
//!
//! [start]
//! soc = 0.10
//! soc_spread = { linear = 0.05 }          # or { std = 0.01 }; the pack file's own if not given
//!
//! [[phase]]
//! kind = "charge"
//! mode = "fast"
//! until_soc = 0.80
//!
//! [[fault]]
//! at = "5min"
//! kind = "blocked_channel"
//! channel = 0
//! share = 0.9
//!
//! [expect]
//! max_delta_t_k = 2.0
//! ```
//!
//! [`Scenario::load`] reads and checks the file itself, [`Scenario::check_against`] what only the pack can tell (whether a
//! cell is there), and [`Timeline`] walks through the phases and says second by second what is asked of the pack.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::sensors::SensorCorner;

mod check;
mod control;
mod facts;
mod fault;
mod phase;
mod quantity;
#[cfg(test)]
mod tests;
mod timeline;

pub use control::{Control, Expect, Parts, PreheatMeans, Targets};
pub use facts::PackFacts;
pub use fault::{
    ContactorName, CurrentSensor, Fault, FaultKind, MemoryPart, MessageError, Partner, SignalError, Trigger,
};
pub use phase::{ChargeMode, CycleName, Phase, Task};
pub use quantity::{Ambient, Seconds};
pub use timeline::{ChargeRequest, Demand, End, Moment, Observed, Timeline};

/// The version of the format that this build reads.
pub const FORMAT_VERSION: u32 = 1;

/// A scenario as written in its file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of this format ([`FORMAT_VERSION`]).
    pub format_version: u32,
    /// What the report is called.
    pub title: String,
    /// Pack file; relative to the scenario's own folder. [`Scenario::load`] puts that folder before it.
    pub pack: PathBuf,
    /// Seed of the cells' spread and the sensors' errors.
    #[serde(default)]
    pub seed: u64,
    /// Temperature of the surroundings in degC, where a phase has none of its own.
    pub ambient_c: f64,
    /// How it starts.
    pub start: Start,
    /// Controller settings.
    #[serde(default)]
    pub control: Control,
    /// Sensors between the pack and the core.
    #[serde(default)]
    pub sensors: Sensors,
    /// What happens, one after another.
    #[serde(rename = "phase", default)]
    pub phases: Vec<Phase>,
    /// What breaks.
    #[serde(rename = "fault", default)]
    pub faults: Vec<Fault>,
    /// Bounds to keep.
    #[serde(default)]
    pub expect: Expect,
}

/// How a scenario starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Mean state of charge of the cells, fraction.
    pub soc: f64,
    /// How the cells' states of charge differ; as the pack file says if not given.
    #[serde(default)]
    pub soc_spread: Option<SocSpread>,
    /// Temperature of everything in the pack in degC; that of the surroundings if not given.
    #[serde(default)]
    pub temperature_c: Option<f64>,
    /// By how many points the state of charge that the core is told differs from the true mean.
    #[serde(default)]
    pub core_soc_error_points: f64,
    /// Whether the pack has rested long before, and the core knows it.
    #[serde(default = "rested")]
    pub rested: bool,
}

const fn rested() -> bool {
    true
}

/// How the cells' states of charge differ at the start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocSpread {
    /// Drawn with this standard deviation (fraction).
    Std(f64),
    /// In equal steps from the first cell to the last, this far (fraction) from the lowest to the highest.
    Linear(f64),
}

/// Sensors between the pack and the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensors {
    /// How good they are; as the pack file says if not given.
    pub corner: Option<SensorCorner>,
}

/// Why a scenario cannot be run.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is not a scenario.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        reason: String,
    },
    /// The pack file is not there.
    #[error("{}: the pack {} is not there (its path is relative to the scenario)", path.display(), pack.display())]
    NoPack {
        /// The scenario.
        path: PathBuf,
        /// The pack file that was looked for.
        pack: PathBuf,
    },
    /// The pack's cell cannot be had.
    #[error("the pack {pack}: {reason}")]
    Cell {
        /// Name of the pack.
        pack: String,
        /// Why.
        reason: String,
    },
    /// A value makes no sense.
    #[error("{at}: {reason}")]
    Invalid {
        /// Where: the table, the phase or fault by number and kind.
        at: String,
        /// What is wrong.
        reason: String,
    },
}

impl Scenario {
    /// Reads and checks a scenario; the pack file must be there, but is not read.
    ///
    /// # Errors
    /// [`ScenarioError`], which names the file and the place in it.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { path: path.into(), source })?;
        let mut scenario = Self::parse(&text).map_err(|e| match e {
            ScenarioError::Syntax { reason, .. } => ScenarioError::Syntax { path: path.into(), reason },
            ScenarioError::Invalid { at, reason } => {
                ScenarioError::Invalid { at: format!("{}, {at}", path.display()), reason }
            }
            other => other,
        })?;
        scenario.pack = path.parent().unwrap_or(Path::new("")).join(&scenario.pack);
        if scenario.pack.is_file() {
            Ok(scenario)
        } else {
            Err(ScenarioError::NoPack { path: path.into(), pack: scenario.pack })
        }
    }

    /// Reads and checks a scenario from text, without looking for its pack.
    ///
    /// ```
    /// use bms_sim::scenario::Scenario;
    ///
    /// let scenario = Scenario::parse(
    ///     r#"
    ///     format_version = 1
    ///     title = "An hour at 1C"
    ///     pack = "pack.toml"
    ///     ambient_c = 25.0
    ///     start = { soc = 1.0 }
    ///     [[phase]]
    ///     kind = "constant"
    ///     c_rate = 1.0
    ///     duration = "1h"
    ///     "#,
    /// )?;
    /// assert_eq!(scenario.phases[0].label(), "constant");
    /// # Ok::<(), bms_sim::scenario::ScenarioError>(())
    /// ```
    ///
    /// # Errors
    /// [`ScenarioError::Syntax`] or [`ScenarioError::Invalid`].
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|e| ScenarioError::Syntax {
            path: PathBuf::new(),
            reason: e.to_string().trim_end().into(),
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Temperature of everything in the pack at the start, in degC.
    #[must_use]
    pub fn start_temperature_c(&self) -> f64 {
        let first = self.phases.first().and_then(|p| p.ambient_c).map_or(self.ambient_c, |a| a.at(0.0));
        self.start.temperature_c.unwrap_or(first)
    }
}
