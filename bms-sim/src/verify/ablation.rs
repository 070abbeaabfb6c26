//! What each part of the estimator is worth: the same cases and seeds with one part switched off.

use bms_core::tuning::{Parts, Tuning};

use super::matrix::Condition;
use crate::cell_file::Chemistry;
use crate::results::{Ablation, Score};
use crate::sensors::SensorCorner;

/// Name of the estimator as it is.
pub const FULL: &str = "full";

/// The estimator with one part removed, by name.
pub const VARIANTS: [(&str, Parts); 5] = [
    ("without hysteresis", Parts { hysteresis: false, ..Parts::ALL }),
    ("without bias state", Parts { bias: false, ..Parts::ALL }),
    ("without correlated error", Parts { correlated_error: false, ..Parts::ALL }),
    ("without anchors", Parts { anchors: false, ..Parts::ALL }),
    ("without resistance tracking", Parts { resistance: false, ..Parts::ALL }),
];

/// The tuning of a variant.
#[must_use]
pub const fn tuning(chemistry: Chemistry, parts: Parts) -> Tuning {
    Tuning { parts, ..chemistry.tuning() }
}

/// Whether a condition of the matrix takes part: right start, the largest start errors, one current offset, good sensors.
#[must_use]
pub fn takes(condition: &Condition) -> bool {
    condition.capacity_known
        && condition.sensors != SensorCorner::Limit
        && condition.current_offset_a >= 0.0
        && (condition.start_error == 0.0 || condition.start_error.abs() > 0.2)
}

/// One variant over one case.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Name of the variant.
    pub variant: &'static str,
    /// Chemistry of the cell.
    pub chemistry: Chemistry,
    /// A mixed day: driving, charging and long rests.
    pub mixed_day: bool,
    /// A full charge rather than a drive; scored after it (see [`super::full_charge`]).
    pub full_charge: bool,
    /// What was made difficult.
    pub condition: Condition,
    /// How it went.
    pub score: Score,
}

/// A group of trials: name and membership.
type Group = (&'static str, fn(&Trial) -> bool);

const GROUPS: [Group; 7] = [
    ("all drives", |t| !t.full_charge),
    ("NMC and NCA", |t| !t.full_charge && t.chemistry != Chemistry::Lfp),
    ("LFP", |t| !t.full_charge && t.chemistry == Chemistry::Lfp),
    ("current offset", |t| t.condition.current_offset_a != 0.0),
    ("mixed day (with rests)", |t| t.mixed_day),
    ("wrong start", |t| !t.full_charge && t.condition.start_error != 0.0),
    ("after a full charge", |t| t.full_charge),
];

/// Figures of every variant over every group that has trials.
#[must_use]
pub fn summarise(trials: &[Trial]) -> Vec<Ablation> {
    let mut out = Vec::new();
    for (group, member) in GROUPS {
        let names = std::iter::once(FULL).chain(VARIANTS.iter().map(|(name, _)| *name));
        for variant in names {
            let scores: Vec<&Score> =
                trials.iter().filter(|t| t.variant == variant && member(t)).map(|t| &t.score).collect();
            if scores.is_empty() {
                continue;
            }
            let n = scores.len() as f64;
            let mean = |f: fn(&Score) -> f64| scores.iter().map(|s| f(s)).sum::<f64>() / n;
            out.push(Ablation {
                variant: variant.into(),
                group: group.into(),
                cases: scores.len(),
                rmse_points: mean(|s| s.rmse_points),
                mean_max_points: mean(|s| s.max_points),
                worst_max_points: scores.iter().map(|s| s.max_points).fold(0.0, f64::max),
                coverage: mean(|s| s.coverage.unwrap_or(0.0)),
            });
        }
    }
    out
}
