//! Whether the sensors tell the truth: what they cannot have seen is rejected, only at the guilty one.

pub(super) mod current;
pub(super) mod temperature;
pub(super) mod voltage;

use crate::safety::ledger::{Ledger, Status};
use crate::safety::table::Diagnosis;

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
