//! Reading measured runs and data-set folders.
//!
//! [`read_run`] reads one test from a CSV (plain or gzip) or Parquet file in the Battery Data Format, [`read_segments`]
//! a file that holds several tests one after another, and [`Dataset`] the `dataset.json` that describes a folder of
//! them; [`write_run`] writes a run. All currents inside this program are positive on discharge; the files have them positive on charge, and
//! [`bdf::discharge_positive_from_bdf`] and its inverse are the one place where the sign changes.

pub mod bdf;
mod check;
mod csv_source;
pub mod error;
pub mod manifest;
mod parquet_source;
pub mod profile;
mod read;
pub mod run;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use error::DataError;
pub use manifest::{Dataset, DatasetFile, RunSource};
pub use profile::{Profile, read_profile};
pub use read::{ReadOptions, read_run, read_run_with, read_segments, read_segments_with};
pub use run::Run;
pub use write::{ExtraColumn, write_run};
pub(crate) use write::{Values, write_parquet};
