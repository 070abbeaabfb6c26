//! Whether the numbers can be what the column names say.

use super::bdf::Quantity;
use super::error::DataError;
use super::read::ReadOptions;
use super::table::{Column, Table, not_finite};

/// Above this a median voltage must be in millivolts.
const MILLIVOLTS: f64 = 1000.0;
/// Temperatures of a cell in degC that a test may show.
const TEMPERATURES_C: std::ops::RangeInclusive<f64> = -60.0..=120.0;

/// Checks the columns that every run needs.
pub(super) fn required(table: &Table, options: &ReadOptions) -> Result<(), DataError> {
    if table.rows() < 2 {
        return Err(DataError::TooShort { file: table.file.clone(), rows: table.rows() });
    }
    for column in table.columns.iter().filter(|c| c.quantity.is_required()) {
        if let Some(k) = column.values.iter().position(|v| !v.is_finite()) {
            return Err(table.bad_value(k, column, not_finite(column.values.get(k).copied())));
        }
        if column.quantity == Quantity::Voltage {
            voltage(table, column, options)?;
        }
    }
    Ok(())
}

/// Refuses a run whose clock runs backwards.
pub(super) fn clock(table: &Table) -> Result<(), DataError> {
    let Some(column) = table.column(Quantity::Time) else {
        return Ok(());
    };
    for (k, pair) in column.values.windows(2).enumerate() {
        if let [from, to] = *pair
            && to < from
        {
            return Err(DataError::TimeBackwards {
                file: table.file.clone(),
                place: table.place(k + 1),
                column: column.label.clone(),
                from,
                to,
            });
        }
    }
    Ok(())
}

/// Refuses temperatures that no cell under test has; `first` is the row of the first value.
pub(super) fn temperature(
    table: &Table,
    quantity: Quantity,
    values: &[f64],
    first: usize,
) -> Result<(), DataError> {
    let Some(column) = table.column(quantity) else {
        return Ok(());
    };
    let Some((k, value)) = values.iter().enumerate().find(|(_, v)| !TEMPERATURES_C.contains(*v)) else {
        return Ok(());
    };
    let hint = if (213.0..=393.0).contains(value) { "; it looks like kelvin" } else { "" };
    Err(table.bad_value(first + k, column, format!("{value} degC cannot be the temperature of a cell{hint}")))
}

fn voltage(table: &Table, column: &Column, options: &ReadOptions) -> Result<(), DataError> {
    let unit =
        |reason: String| DataError::Unit { file: table.file.clone(), column: column.label.clone(), reason };
    let most = options.max_voltage_v;
    if column.values.iter().all(|v| *v == 0.0) {
        return Err(unit("every voltage is zero".to_owned()));
    }
    let median = median_magnitude(&column.values);
    if median > MILLIVOLTS {
        return Err(unit(format!("the median is {median}: it looks like millivolts")));
    }
    if median > most {
        return Err(unit(format!("the median is {median} V: more than one cell? up to {most} V are taken")));
    }
    match column.values.iter().position(|v| v.abs() > most) {
        Some(k) => {
            let value = column.values.get(k).copied().unwrap_or_default();
            Err(table.bad_value(
                k,
                column,
                format!("{value} V cannot be the voltage of a cell (limit {most} V)"),
            ))
        }
        None => Ok(()),
    }
}

/// Median of the magnitudes (the upper one of two).
fn median_magnitude(values: &[f64]) -> f64 {
    let mut magnitudes: Vec<f64> = values.iter().map(|v| v.abs()).collect();
    let middle = magnitudes.len() / 2;
    if magnitudes.is_empty() {
        return 0.0;
    }
    *magnitudes.select_nth_unstable_by(middle, f64::total_cmp).1
}
