//! The columns of one file as read, before they become runs.

use std::ops::Range;

use super::bdf::Quantity;
use super::error::{DataError, Place};

/// One column as read; a gap (null, empty) is NaN.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) quantity: Quantity,
    /// Name as in the file.
    pub(super) label: String,
    pub(super) values: Vec<f64>,
}

/// The columns of one file, all of the same length.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// File name.
    pub(super) file: String,
    /// All names in the file, for messages.
    pub(super) headers: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// Line of each row where the file is text.
    pub(super) lines: Option<Vec<u64>>,
}

impl Table {
    /// The column of a quantity.
    pub(super) fn column(&self, quantity: Quantity) -> Option<&Column> {
        self.columns.iter().find(|c| c.quantity == quantity)
    }

    /// The values of a quantity; empty if there is no such column.
    pub(super) fn values(&self, quantity: Quantity) -> &[f64] {
        self.column(quantity).map_or(&[], |c| c.values.as_slice())
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.values(Quantity::Time).len()
    }

    /// Where the row with this index is in the file.
    pub(super) fn place(&self, index: usize) -> Place {
        Place { row: index + 1, line: self.lines.as_ref().and_then(|l| l.get(index).copied()) }
    }

    /// An error about one value.
    pub(super) fn bad_value(&self, index: usize, column: &Column, reason: impl Into<String>) -> DataError {
        DataError::BadValue {
            file: self.file.clone(),
            place: self.place(index),
            column: column.label.clone(),
            reason: reason.into(),
        }
    }

    /// The values of an optional column within a part of the file: `None` if the column is absent or has no value at
    /// all there, an error if it has gaps.
    pub(super) fn complete(
        &self,
        quantity: Quantity,
        rows: Range<usize>,
    ) -> Result<Option<Vec<f64>>, DataError> {
        let Some(column) = self.column(quantity) else {
            return Ok(None);
        };
        let Some(values) = column.values.get(rows.clone()) else {
            return Ok(None);
        };
        if values.iter().all(|v| v.is_nan()) {
            return Ok(None);
        }
        match values.iter().position(|v| !v.is_finite()) {
            Some(k) => Err(self.bad_value(rows.start + k, column, not_finite(values.get(k).copied()))),
            None => Ok(Some(values.to_vec())),
        }
    }
}

/// What is wrong with a value that is not finite.
pub(super) fn not_finite(value: Option<f64>) -> &'static str {
    match value {
        Some(v) if v.is_infinite() => "the value is infinite",
        _ => "no value (empty, null or NaN)",
    }
}
