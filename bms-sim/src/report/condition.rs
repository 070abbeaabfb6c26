//! The condition group of a case: what was made difficult in this run.

use crate::results::Case;

/// What was made difficult in a run; every figure and table groups by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// Started at the true SOC, ideal sensors, new cell.
    RightStart,
    /// Started at the true SOC, which the core took for a guess; good sensors.
    GuessedStart,
    /// Started about 10 points too high or too low.
    Start10,
    /// Started about 30 points too high or too low.
    Start30,
    /// A constant offset was added to the measured current.
    CurrentOffset,
    /// Sensors of a good production pack.
    GoodSensors,
    /// Sensors at the limit of their specification.
    LimitSensors,
    /// Aged cell, the estimators know its present capacity.
    AgedCapacityKnown,
    /// Aged cell, the estimators still believe in the new cell's capacity.
    AgedNewCapacity,
}

impl Condition {
    /// Every condition in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::RightStart,
        Self::GuessedStart,
        Self::Start10,
        Self::Start30,
        Self::CurrentOffset,
        Self::GoodSensors,
        Self::LimitSensors,
        Self::AgedCapacityKnown,
        Self::AgedNewCapacity,
    ];

    /// Label for the page.
    pub fn label(self) -> &'static str {
        match self {
            Self::RightStart => "right start",
            Self::GuessedStart => "right start, guessed",
            Self::Start10 => "start ±10 points",
            Self::Start30 => "start ±30 points",
            Self::CurrentOffset => "current offset",
            Self::GoodSensors => "good sensors",
            Self::LimitSensors => "limit sensors",
            Self::AgedCapacityKnown => "aged, capacity known",
            Self::AgedNewCapacity => "aged, new cell's capacity",
        }
    }

    /// Label of at most 14 characters for the terminal.
    pub fn short_label(self) -> &'static str {
        match self {
            Self::RightStart => "right start",
            Self::GuessedStart => "right, guessed",
            Self::Start10 => "start ±10",
            Self::Start30 => "start ±30",
            Self::CurrentOffset => "current offset",
            Self::GoodSensors => "good sensors",
            Self::LimitSensors => "limit sensors",
            Self::AgedCapacityKnown => "aged, known C",
            Self::AgedNewCapacity => "aged, new C",
        }
    }
}

/// The group of a case, decided by the hardest thing about it.
///
/// A case can be difficult in several ways at once. The first that applies names it: wrong capacity, limit sensors,
/// current offset, wrong start (up to 20 points counts as ±10, more as ±30), good sensors, aged cell.
pub fn condition(case: &Case) -> Condition {
    let start = case.start_error_points.abs();
    if !case.capacity_known {
        Condition::AgedNewCapacity
    } else if case.sensors.eq_ignore_ascii_case("limit") {
        Condition::LimitSensors
    } else if case.current_offset_a != 0.0 {
        Condition::CurrentOffset
    } else if start > 20.0 {
        Condition::Start30
    } else if start > 0.5 {
        Condition::Start10
    } else if !case.remembered {
        Condition::GuessedStart
    } else if case.sensors.eq_ignore_ascii_case("good") {
        Condition::GoodSensors
    } else if is_aged(&case.age) {
        Condition::AgedCapacityKnown
    } else {
        Condition::RightStart
    }
}

/// True for `soh90` and the like; `soh100`, an empty label or one without a number count as new.
pub(super) fn is_aged(age: &str) -> bool {
    soh_percent(age).is_some_and(|soh| soh < 99.5)
}

/// The number in `soh90` and the like.
pub(super) fn soh_percent(age: &str) -> Option<f64> {
    age.to_ascii_lowercase().strip_prefix("soh")?.parse().ok()
}
