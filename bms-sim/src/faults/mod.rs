//! Fault injection: everything that can break, broken on simulated packs in every operating mode, and whether the core finds
//! and answers it in time; and normal driving, in which it must find nothing.
//!
//! ```text
//! catalog ─► fault × mode × temperature, places and sizes drawn ─► closed_loop (limit sensors, 10 Hz) ─► Outcome ─┐
//! hours of normal driving ─────────────────────────────────────────► closed_loop ─► false trips ────────────────┴─► Campaign
//! ```
//!
//! The packs are circuits, NMC and LFP: protection is judged here, not accuracy. Sensors have the errors that GB/T 38661 allows at most,
//! each with an offset of its own, drawn anew for every run, and noise.
//!
//! Time counts from the moment at which a fault becomes dangerous ([`catalog::Hazard`]) until an accepted diagnosis reacts:
//! contactors told to open, with [`ACTUATION_MS`](bms_core::safety::table::ACTUATION_MS) on top, or limits withdrawn. It is
//! held against the fault-tolerant time of the first accepted diagnosis in the core's table.

pub mod campaign;
pub mod case;
pub mod catalog;
pub mod driving;
mod names;
pub mod packs;
pub mod standards;

use serde::{Deserialize, Serialize};

pub use campaign::{Campaign, Effort, run};

/// What the pack does when something breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatingMode {
    /// A hard drive.
    Drive,
    /// A slow charge.
    Charge,
    /// A fast charge.
    FastCharge,
    /// Parked, awake, contactors closed.
    Parked,
    /// Warmed from inside and outside.
    Preheat,
    /// Parked, contactors open, balancing.
    Balancing,
    /// Contactors close some time after the fault.
    Closing,
    /// Contactors open some time after the fault.
    Opening,
    /// Day after day: a drive, a night, a charge until full, a day parked.
    Daily,
}

impl OperatingMode {
    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drive => "drive",
            Self::Charge => "charge",
            Self::FastCharge => "fast charge",
            Self::Parked => "parked",
            Self::Preheat => "preheat",
            Self::Balancing => "balancing",
            Self::Closing => "closing",
            Self::Opening => "opening",
            Self::Daily => "day after day",
        }
    }

    /// Whether it is done at this temperature (degC): nobody preheats a warm pack.
    #[must_use]
    pub fn happens_at(self, temperature_c: f64) -> bool {
        self != Self::Preheat || temperature_c < 10.0
    }
}
