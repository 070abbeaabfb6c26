//! Loads over time from files: a current, a C-rate or a power to put on a simulated cell.

use std::path::Path;

use super::bdf::{Purpose, Quantity, discharge_positive_from_bdf, missing};
use super::check;
use super::error::DataError;
use super::read::table;
use super::table::not_finite;

/// What a profile prescribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileKind {
    /// Currents in A.
    CurrentA,
    /// Multiples of the capacity per hour.
    CRate,
    /// Powers in W.
    PowerW,
}

/// A load over time, positive on discharge. Between its points it is a straight line; where two have the same time, it
/// jumps.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What `value` is.
    pub kind: ProfileKind,
    /// Time in s, never decreasing.
    pub time_s: Vec<f64>,
    /// The load at each time, positive on discharge.
    pub value: Vec<f64>,
}

/// Reads a profile from a CSV or Parquet file with the columns `Test Time / s` and one of `Current / A`, `C-Rate / 1` and
/// `Power / W` (the first of these that is there), all positive on charge as ever in the Battery Data Format. Other
/// columns are passed over, so any recorded run will do.
///
/// # Errors
/// When the file cannot be read, a column is missing, there are fewer than two rows, a value is no finite number or the
/// time runs backwards; names file, row and column.
pub fn read_profile(path: &Path) -> Result<Profile, DataError> {
    let table = table(path, Purpose::Profile)?;
    if table.rows() < 2 {
        return Err(DataError::TooShort { file: table.file.clone(), rows: table.rows() });
    }
    let loads = [
        (Quantity::Current, ProfileKind::CurrentA),
        (Quantity::CRate, ProfileKind::CRate),
        (Quantity::Power, ProfileKind::PowerW),
    ];
    let (column, kind) = loads
        .into_iter()
        .find_map(|(quantity, kind)| Some((table.column(quantity)?, kind)))
        .ok_or_else(|| missing(Quantity::Current, &table.headers, &table.file))?;
    for column in table.column(Quantity::Time).into_iter().chain([column]) {
        if let Some(row) = column.values.iter().position(|v| !v.is_finite()) {
            return Err(table.bad_value(row, column, not_finite(column.values.get(row).copied())));
        }
    }
    check::clock(&table)?;
    Ok(Profile {
        kind,
        time_s: table.values(Quantity::Time).to_vec(),
        value: column.values.iter().map(|v| discharge_positive_from_bdf(*v)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Profile, DataError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("load.csv");
        std::fs::write(&path, text).unwrap();
        read_profile(&path)
    }

    #[test]
    fn any_of_three_loads_is_read_and_turned() {
        let profile = read("Test Time / s,Power / W\n0,-10\n5,20\n").unwrap();
        assert_eq!((profile.kind, profile.value), (ProfileKind::PowerW, vec![10.0, -20.0]));
        let profile = read("Test Time / s,C-Rate / 1\n0,-1\n5,0\n").unwrap();
        assert_eq!((profile.kind, profile.time_s), (ProfileKind::CRate, vec![0.0, 5.0]));
        let profile =
            read("Test Time / s,Power / W,Current / A,Voltage / V\n0,-10,-3,\n5,20,6,3.7\n").unwrap();
        assert_eq!((profile.kind, profile.value), (ProfileKind::CurrentA, vec![3.0, -6.0]));
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        let refused = |text: &str| read(text).unwrap_err().to_string();
        assert!(refused("Test Time / s,current\n0,1\n1,1\n").contains("`Current / A` missing in load.csv"));
        assert!(refused("Test Time / s,current\n0,1\n1,1\n").contains("`current` comes near"));
        assert!(refused("time,Current / A\n0,1\n1,1\n").contains("`Test Time / s` missing"));
        assert!(refused("Test Time / s,Current / A\n0,1\n").contains("at least 2"));
        assert!(refused("Test Time / s,Current / A\n0,1\n1,nan\n").contains("row 2"));
        assert!(refused("Test Time / s,Current / A\n0,1\n1,\n").contains("no value"));
        assert!(refused("Test Time / s,C-Rate / 1\n0,1\n1,\n").contains("column `C-Rate / 1`"));
        assert!(refused("Test Time / s,Current / A\n0,1\n-1,1\n").contains("backwards"));
    }
}
