//! Whether the sensors tell the truth: what they cannot have seen is rejected, only at the guilty one.

pub(super) mod current;
pub(super) mod temperature;
pub(super) mod voltage;

use crate::math::abs;
use crate::safety::ledger::{Finding, Ledger, Status};
use crate::safety::table::Diagnosis;

/// A reading that is missing is no fault before so many samples of the same sensor are: one in a hundred may be.
pub(super) const MISSED: u8 = 3;

/// What is held against one sensor, a bit for every way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspicions(u8);

impl Suspicions {
    pub(super) const NONE: Self = Self(0);

    /// Takes up what is wrong now; what is no longer wrong is held until its diagnosis has ended.
    pub(super) fn update<const K: usize>(&mut self, wrong: [bool; K], ended: [bool; K]) {
        let mut bits = 0;
        for ((wrong, ended), bit) in wrong.into_iter().zip(ended).zip(BITS) {
            let held = self.0 & bit != 0 && !ended;
            bits |= if wrong || held { bit } else { 0 };
        }
        self.0 = bits;
    }

    /// Any is held.
    pub(super) const fn any(self) -> bool {
        self.0 != 0
    }
}

const BITS: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Which of these diagnoses are not, or no longer, detected.
pub(super) fn ended<const K: usize>(ledger: &Ledger, ids: [Diagnosis; K]) -> [bool; K] {
    ids.map(|id| ledger.status(id) < Status::Detected)
}

/// Where a sensor was against the others before it jumped; NaN while it has not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Jump {
    own: f32,
    before: f32,
    /// For how long in s it has agreed with the others since it jumped.
    agreed_s: f32,
}

/// A jump has ended when less than this share of the limit is left.
const LEFT: f32 = 0.5;
/// What a sensor comes from, in times of the limit, when it was wrong before the jump and not after it.
const ABSURD: f32 = 3.0;
/// A sensor that agrees with the others for so long (s) is right, whatever it read before its jump.
const AGREED_S: f32 = 60.0;

impl Jump {
    pub(super) const NONE: Self = Self { own: f32::NAN, before: f32::NAN, agreed_s: 0.0 };

    /// What it has of its `own` against the others now, `dt_s` after the last look; `error` is what it may have. Whether it has
    /// jumped, and not back, nor to where it has agreed with the others for [`AGREED_S`] since.
    pub(super) fn step(&mut self, own: f32, limit: f32, error: f32, dt_s: f32) -> bool {
        // Comparisons with what is not known are false.
        if self.before.is_nan() && abs(own - self.own) > limit {
            (self.before, self.agreed_s) = (self.own, 0.0);
        }
        let agrees = abs(own) < 2.0 * error;
        self.agreed_s = if agrees { self.agreed_s + dt_s } else { 0.0 };
        let back = abs(own - self.before) < LEFT * limit;
        let repaired = agrees && (abs(self.before) > ABSURD * limit || self.agreed_s >= AGREED_S);
        if back || repaired {
            self.before = f32::NAN;
        }
        self.own = own;
        !self.before.is_nan()
    }

    /// It was not seen: a step that was missed cannot be told from a jump.
    pub(super) const fn miss(&mut self) {
        (self.own, self.agreed_s) = (f32::NAN, 0.0);
    }
}

/// Keeps the first finding of every kind; `place` and what it read.
pub(super) fn note<const K: usize>(
    found: &mut [Option<Finding>; K],
    wrong: [bool; K],
    limits: [f32; K],
    (place, value): (u16, f32),
) {
    for ((slot, wrong), limit) in found.iter_mut().zip(wrong).zip(limits) {
        if wrong && slot.is_none() {
            *slot = Some(Finding { place: Some(place), value, limit });
        }
    }
}
