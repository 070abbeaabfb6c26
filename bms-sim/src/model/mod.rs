//! Simulated cells from the crate `cell-models`: which there are, what is in them, and putting them under load.
//!
//! ```
//! use bms_sim::model::{Demand, Settings, open, run};
//! use bms_sim::verify::Silent;
//!
//! let model = open("okane2022")?;
//! let settings = Settings { duration_s: Some(600.0), ..Settings::default() };
//! let trace = run(&model, &Demand::CRate(1.0), &settings, &Silent)?;
//! assert!(trace.run.voltage_v.last() < trace.run.voltage_v.first());
//! # Ok::<(), bms_sim::model::ModelError>(())
//! ```

mod catalog;
mod cell;
pub mod compare;
mod describe;
pub mod rate;
mod run;

pub use catalog::{Family, Known, Model, Parameters, known, open};
pub use cell::{Build, Cell};
pub use describe::{Curve, Row, Value, curves, describe};
pub use run::{Demand, End, Settings, Summary, Trace, run};

use std::path::PathBuf;

use cell_models::physics::bpx::BpxError;
use cell_models::{ParameterError, PlantError};

use crate::data::DataError;

/// Why a simulated cell cannot be had, or cannot be put under a load.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No built-in cell has this name, and no file either.
    #[error("no cell is called `{name}`; built in are {known}; a BPX file ends in .json")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A BPX file is refused.
    #[error("{}: {source}", path.display())]
    Bpx {
        /// The file asked for.
        path: PathBuf,
        /// What is wrong with it.
        source: BpxError,
    },
    /// A setting is out of range.
    #[error("{name} = {value} refused: it must be {allowed}")]
    Setting {
        /// Which one.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The allowed range in words.
        allowed: &'static str,
    },
    /// A setting that this kind of cell does not have.
    #[error("{setting} needs {needs}, which {cell} does not have")]
    NotForThisCell {
        /// Which setting.
        setting: &'static str,
        /// What it needs.
        needs: &'static str,
        /// Name of the cell.
        cell: String,
    },
    /// A load ends before it begins.
    #[error("nothing happened: {0}")]
    NothingHappened(String),
    /// The cell refuses its parameters or its start.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The cell refuses a step.
    #[error("after {time_s} s: {source}")]
    Step {
        /// When, in s from the start.
        time_s: f64,
        /// Why.
        source: PlantError,
    },
    /// A profile cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Refuses what is not finite or not in range.
fn check(name: &'static str, value: f64, allowed: &'static str, ok: bool) -> Result<(), ModelError> {
    if ok && value.is_finite() { Ok(()) } else { Err(ModelError::Setting { name, value, allowed }) }
}
