//! What the protection found, and when.

use bms_core::safety::ledger::Detection;
use bms_core::safety::table::{Diagnosis, Level};
use serde::{Serialize, Serializer};

/// A diagnosis of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Diagnosed {
    /// Which.
    #[serde(serialize_with = "name")]
    pub id: Diagnosis,
    /// Cell, sensor or part that it is about, counted from 0.
    pub place: Option<u16>,
    /// What was read.
    pub value: f32,
    /// What it should have kept.
    pub limit: f32,
    /// When it was detected, in s since the start of the run.
    pub detected_s: f64,
    /// When its reaction began.
    pub reacted_s: Option<f64>,
    /// When it ended.
    pub ended_s: Option<f64>,
}

fn name<S: Serializer>(id: &Diagnosis, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(id.entry().name)
}

impl Diagnosed {
    /// Detected at this time.
    #[must_use]
    pub const fn new(detection: &Detection, detected_s: f64) -> Self {
        let finding = detection.finding;
        Self {
            id: detection.id,
            place: finding.place,
            value: finding.value,
            limit: finding.limit,
            detected_s,
            reacted_s: None,
            ended_s: None,
        }
    }

    /// How bad it is, in words.
    #[must_use]
    pub const fn level(&self) -> &'static str {
        match self.id.entry().level {
            Level::Information => "information",
            Level::Warning => "warning",
            Level::Fatal => "fatal",
        }
    }
}
