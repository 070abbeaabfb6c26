//! What can be wrong with data, said in the terms of whoever recorded it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// A row of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Data row, counted from 1 (the header does not count).
    pub row: usize,
    /// Line of the text file, counted from 1, where the file is text.
    pub line: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}", self.row)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Why a data file or a data-set folder cannot be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file cannot be opened or read at all.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Columns to be written differ in length.
    #[error("column `{column}` has {rows} value(s) where there are {expected} times")]
    ColumnLength {
        /// Name in the file.
        column: String,
        /// Its values.
        rows: usize,
        /// How many there must be.
        expected: usize,
    },
    /// The file name does not tell the format.
    #[error(
        "cannot tell the format of {} from its name: data files end in .csv, .csv.gz, .bdf, .bdf.gz or .parquet",
        path.display()
    )]
    UnknownFormat {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file is not what its name says, damaged or cut short.
    #[error("{file} is damaged or not what its name says: {reason}")]
    Damaged {
        /// File name.
        file: String,
        /// What was found.
        reason: String,
    },
    /// A column that every run needs is absent.
    #[error("column `{column}` missing in {file} (found: {found}){hint}")]
    MissingColumn {
        /// Name in the Battery Data Format.
        column: String,
        /// File name.
        file: String,
        /// The columns that are there.
        found: String,
        /// What was perhaps meant; empty or starting with `; `.
        hint: String,
    },
    /// A column appears twice.
    #[error("column `{column}` appears more than once in {file}")]
    DuplicateColumn {
        /// Name as in the file.
        column: String,
        /// File name.
        file: String,
    },
    /// A value is not a number that can be used.
    #[error("{file}, {place}, column `{column}`: {reason}")]
    BadValue {
        /// File name.
        file: String,
        /// Where.
        place: Place,
        /// Name as in the file.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The clock runs backwards where a single run was asked for.
    #[error(
        "{file}, {place}, column `{column}`: the time runs backwards, from {from} s to {to} s (several tests in one file? read it in segments)"
    )]
    TimeBackwards {
        /// File name.
        file: String,
        /// The first row that is earlier than the row before it.
        place: Place,
        /// Name as in the file.
        column: String,
        /// Time of the row before.
        from: f64,
        /// Time of this row.
        to: f64,
    },
    /// The numbers as a whole cannot have the unit of the column.
    #[error("{file}, column `{column}`: {reason}")]
    Unit {
        /// File name.
        file: String,
        /// Name as in the file.
        column: String,
        /// What the numbers look like.
        reason: String,
    },
    /// There is nothing to work with.
    #[error("{file} has {rows} data row(s); a run needs at least 2")]
    TooShort {
        /// File name.
        file: String,
        /// Rows found.
        rows: usize,
    },
    /// A run of a simulated cell cannot be made.
    #[error("{run} cannot be simulated: {reason}")]
    Simulation {
        /// The set and the run in it.
        run: String,
        /// Why not.
        reason: String,
    },
    /// A folder is not a data set.
    #[error("{} is not a data set: it has no dataset.json", dir.display())]
    NoManifest {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// A `dataset.json` cannot be understood.
    #[error("{}: {reason}", path.display())]
    BadManifest {
        /// The `dataset.json`.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
