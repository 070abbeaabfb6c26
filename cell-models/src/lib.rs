//! Plant models of battery cells.

mod ecm;
mod error;
mod plant;
mod table;
mod thermal;

pub use ecm::{EcmCell, EcmParameters, MAX_RC_PAIRS, REFERENCE_TEMPERATURE_C, RcPair};
pub use error::{ParameterError, PlantError};
pub use plant::{MAX_CURRENT_A, Plant};
pub use table::{Table1, Table2};
pub use thermal::Thermal;
