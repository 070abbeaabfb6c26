//! What can be wrong with an input, said in the user's terms.

use thiserror::Error;

use crate::load::Load;

/// Why a plant refused a call. The plant's state is as it was before the call.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum PlantError {
    /// The current is NaN, infinite or beyond [`MAX_CURRENT_A`](crate::MAX_CURRENT_A).
    #[error("current of {0} A refused: it must be a finite number of at most 1e6 A either way")]
    Current(f64),
    /// The time step is NaN, infinite or negative.
    #[error("time step of {0} s refused: it must be finite and not negative")]
    TimeStep(f64),
    /// The temperature is NaN, infinite, below absolute zero or above 1000 degC.
    #[error("temperature of {0} degC refused: it must lie between -273.15 and 1000 degC")]
    Temperature(f64),
    /// No current gives the power or the voltage asked for.
    #[error("no current gives {load:?} in the present state of the cell")]
    LoadOutOfReach {
        /// What was asked for.
        load: Load,
    },
    /// An input or output slice has the wrong number of values.
    #[error("{expected} values expected, one for each sample or cell, but the slice holds {got}")]
    Length {
        /// Values needed.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// A value outside what an input of a pack's plant may be, or not a finite number.
    #[error("{name} = {value} refused: it must be {allowed}")]
    Input {
        /// Which input.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The allowed range in words.
        allowed: &'static str,
    },
    /// The model ran out of the range of floating-point numbers.
    #[error(
        "a step of {dt_s} s at {current_a} A drives the cell model beyond all bounds; use a smaller current or step"
    )]
    Diverged {
        /// Current during the step in A, positive on discharge.
        current_a: f64,
        /// Length of the step in s.
        dt_s: f64,
    },
}

/// What is wrong with a table, a set of cell parameters or the settings of a profile.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// An axis without points.
    #[error("{0} has no points: give at least one")]
    Empty(&'static str),
    /// A grid that does not rise from point to point, or an open-circuit voltage that falls.
    #[error("{name} must ascend, but entry {index} (counted from 0) does not")]
    NotAscending {
        /// Which sequence.
        name: &'static str,
        /// First entry that breaks the order.
        index: usize,
    },
    /// A value outside what the parameter may be, or not a finite number.
    #[error("{name} = {value} refused: it must be {allowed}")]
    OutOfRange {
        /// Which parameter.
        name: &'static str,
        /// The value given.
        value: f64,
        /// The allowed range in words.
        allowed: &'static str,
    },
    /// The number of table values does not fit the axes.
    #[error("a table of {rows} rows and {cols} columns needs {} values, but got {len}", .rows * .cols)]
    Shape {
        /// Points of the row axis.
        rows: usize,
        /// Points of the column axis.
        cols: usize,
        /// Values given.
        len: usize,
    },
    /// More RC pairs than the model holds.
    #[error("{0} RC pairs given, but the model holds at most 3")]
    TooManyRcPairs(usize),
    /// A text that is no formula.
    #[error("formula refused at character {position} ({near:?}): {problem}")]
    Formula {
        /// Where, counted from 1 (in bytes).
        position: usize,
        /// The text from there, at most 20 characters.
        near: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// No state of charge has the open-circuit voltage asked for.
    #[error(
        "no state of charge has an open-circuit voltage of {voltage_v} V: this cell's lies between {lowest_v} and {highest_v} V"
    )]
    Unreachable {
        /// The voltage in V.
        voltage_v: f64,
        /// Open-circuit voltage in V of the emptiest cell.
        lowest_v: f64,
        /// Open-circuit voltage in V of the fullest cell.
        highest_v: f64,
    },
}

/// Passes `value` on if `ok` holds for it and it is finite.
pub(crate) fn check(
    name: &'static str,
    value: f64,
    allowed: &'static str,
    ok: impl Fn(f64) -> bool,
) -> Result<(), ParameterError> {
    if value.is_finite() && ok(value) {
        Ok(())
    } else {
        Err(ParameterError::OutOfRange { name, value, allowed })
    }
}

/// Refuses anything but a finite number above zero.
pub(crate) fn check_positive(name: &'static str, value: f64) -> Result<(), ParameterError> {
    check(name, value, "finite and above 0", |v| v > 0.0)
}

/// Refuses anything but a finite number of at least zero.
pub(crate) fn check_not_negative(name: &'static str, value: f64) -> Result<(), ParameterError> {
    check(name, value, "finite and not negative", |v| v >= 0.0)
}
