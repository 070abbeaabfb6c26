//! Figures over groups of cases.

use std::collections::BTreeMap;

use plotters::style::RGBColor;

use super::condition::is_aged;
use super::plot;
use crate::results::{Case, Score, TARGET_POINTS};

/// The three estimators that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Estimator {
    Bms,
    CoulombCounter,
    TextbookEkf,
}

impl Estimator {
    pub(super) const ALL: [Self; 3] = [Self::Bms, Self::CoulombCounter, Self::TextbookEkf];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Bms => "BMS (bms-core)",
            Self::CoulombCounter => "Coulomb counter",
            Self::TextbookEkf => "Textbook 2-RC EKF",
        }
    }

    /// CSS class of its columns.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Bms => "bms",
            Self::CoulombCounter => "cc",
            Self::TextbookEkf => "ekf",
        }
    }

    /// Colour of its lines and dots.
    pub(super) fn colour(self) -> RGBColor {
        match self {
            Self::Bms => plot::BMS,
            Self::CoulombCounter => plot::COUNTER,
            Self::TextbookEkf => plot::EKF,
        }
    }

    pub(super) fn score(self, case: &Case) -> &Score {
        match self {
            Self::Bms => &case.bms,
            Self::CoulombCounter => &case.coulomb_counter,
            Self::TextbookEkf => &case.textbook_ekf,
        }
    }
}

/// True when the maximum error keeps the target; a score that is not a number never does.
pub(super) fn met(score: &Score) -> bool {
    score.max_points <= TARGET_POINTS
}

/// Scores of one estimator over a group of cases. Scores that are not finite are left out of every figure but `met`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Aggregate {
    /// Cases in the group.
    pub(super) runs: usize,
    /// Cases that keep the target.
    pub(super) met: usize,
    /// Largest maximum.
    pub(super) worst_max: Option<f64>,
    /// Mean of the maxima, every run counting the same.
    pub(super) mean_max: Option<f64>,
    /// Largest 99th percentile.
    pub(super) worst_p99: Option<f64>,
    /// RMSE over all scored hours.
    pub(super) rmse: Option<f64>,
    /// Coverage over all scored hours.
    pub(super) coverage: Option<f64>,
}

impl Aggregate {
    pub(super) fn of(cases: &[&Case], estimator: Estimator) -> Self {
        let scores = || cases.iter().map(|case| estimator.score(case));
        let maxima: Vec<f64> = scores().map(|s| s.max_points).filter(|v| v.is_finite()).collect();
        let mean_square = weighted_mean(scores().map(|s| (s.scored_h, s.rmse_points * s.rmse_points)));
        Self {
            runs: cases.len(),
            met: scores().filter(|s| met(s)).count(),
            worst_max: largest(maxima.iter().copied()),
            mean_max: (!maxima.is_empty()).then(|| maxima.iter().sum::<f64>() / maxima.len() as f64),
            worst_p99: largest(scores().map(|s| s.p99_points)),
            rmse: mean_square.map(f64::sqrt),
            coverage: weighted_mean(scores().filter_map(|s| Some((s.scored_h, s.coverage?)))),
        }
    }
}

/// Largest finite value.
pub(super) fn largest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.filter(|v| v.is_finite()).max_by(f64::total_cmp)
}

/// Mean of (weight, value) pairs over the finite values. Without any positive weight all count the same.
fn weighted_mean(pairs: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let pairs: Vec<(f64, f64)> = pairs.filter(|(_, value)| value.is_finite()).collect();
    if pairs.is_empty() {
        return None;
    }
    let weight = |w: f64| if w.is_finite() && w > 0.0 { w } else { 0.0 };
    let total: f64 = pairs.iter().map(|(w, _)| weight(*w)).sum();
    if total > 0.0 {
        Some(pairs.iter().map(|(w, v)| weight(*w) * v).sum::<f64>() / total)
    } else {
        Some(pairs.iter().map(|(_, v)| v).sum::<f64>() / pairs.len() as f64)
    }
}

/// Cases in groups, ordered by the key.
pub(super) fn group_by<'a, K: Ord>(
    cases: impl IntoIterator<Item = &'a Case>,
    key: impl Fn(&Case) -> K,
) -> BTreeMap<K, Vec<&'a Case>> {
    let mut groups: BTreeMap<K, Vec<&'a Case>> = BTreeMap::new();
    for case in cases {
        groups.entry(key(case)).or_default().push(case);
    }
    groups
}

/// Ambient temperature as a key, in whole degC.
pub(super) fn temperature_key(case: &Case) -> i64 {
    case.temperature_c.round() as i64
}

/// Data set and, for an aged cell whose age the name does not tell already, the age.
pub(super) fn dataset_label(case: &Case) -> String {
    if !is_aged(&case.age) || case.dataset.contains(&case.age) {
        case.dataset.clone()
    } else {
        format!("{} {}", case.dataset, case.age)
    }
}

/// For sorting: largest error first, scores that are not finite before all others.
pub(super) fn severity(score: &Score) -> f64 {
    if score.max_points.is_finite() { score.max_points } else { f64::INFINITY }
}
