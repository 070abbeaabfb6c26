//! Recorded bounds: what was reached once must not get worse.
//!
//! The file `bounds.toml` has one section per kind of data (`default`, `shared`). A section holds the weighted RMSE of
//! the whole, and for each data set and condition group the largest maximum error and the mean RMSE:
//!
//! ```toml
//! [default]
//! weighted_rmse_points = 1.5
//!
//! [default.sets."physics/nmc_m50/soh100"."right start"]
//! worst_max_points = 2.9
//! mean_rmse_points = 1.1
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Options;
use super::weights::Weighted;
use crate::report::{Condition, condition};
use crate::results::{BoundCheck, Case};

/// All recorded bounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bounds {
    sections: BTreeMap<String, Section>,
}

/// Bounds of one kind of data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    weighted_rmse_points: Option<f64>,
    #[serde(default)]
    sets: BTreeMap<String, BTreeMap<String, GroupBound>>,
}

/// Bounds of one condition group of one data set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupBound {
    worst_max_points: f64,
    mean_rmse_points: f64,
}

/// Why a bounds file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BoundsError {
    /// It cannot be read or written.
    #[error("bounds file {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is not a bounds file.
    #[error("{}: not a bounds file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A bound is recorded this much above what was reached, whichever is more: as a factor …
const MARGIN_FACTOR: f64 = 1.1;
/// … or in points.
const MARGIN_POINTS: f64 = 0.3;

/// Head of a file that the program writes.
const HEAD: &str =
    "# Recorded bounds of `bms verify`, in points of SOC. An error that grows beyond its bound fails the run.
# Written by `bms verify --update-bounds`: what was reached plus 10 %, at least plus 0.3 points.

";

impl Bounds {
    /// Reads a bounds file.
    ///
    /// # Errors
    /// If it cannot be read or understood.
    pub fn load(path: &Path) -> Result<Self, BoundsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| BoundsError::Io { path: path.into(), source })?;
        let bounds: Self = toml::from_str(&text)
            .map_err(|e| BoundsError::Format { path: path.into(), reason: e.to_string() })?;
        let groups = bounds.sections.values().flat_map(|s| s.sets.values()).flat_map(BTreeMap::iter);
        for (label, _) in groups {
            if Condition::ALL.iter().all(|c| c.label() != label) {
                return Err(BoundsError::Format {
                    path: path.into(),
                    reason: format!("`{label}` is not a condition group"),
                });
            }
        }
        Ok(bounds)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), BoundsError> {
        let text = toml::to_string(self)
            .map_err(|e| BoundsError::Format { path: path.into(), reason: e.to_string() })?;
        std::fs::write(path, format!("{HEAD}{text}"))
            .map_err(|source| BoundsError::Io { path: path.into(), source })
    }

    /// Replaces the bounds of one kind of data by what was reached, with a margin.
    pub fn record(&mut self, section: &str, cases: &[Case], weighted: &[Weighted]) {
        let mut new = Section {
            weighted_rmse_points: whole(weighted).map(|w| with_margin(w.bms_rmse_points)),
            sets: BTreeMap::new(),
        };
        for ((set, group), reached) in groups(cases) {
            let bound = GroupBound {
                worst_max_points: with_margin(reached.worst_max_points),
                mean_rmse_points: with_margin(reached.mean_rmse_points),
            };
            new.sets.entry(set).or_default().insert(group.label().into(), bound);
        }
        self.sections.insert(section.into(), new);
    }

    /// Compares what was reached with what was recorded; returns the checks and the names of what has no bound.
    ///
    /// The weighted whole is compared when the whole matrix ran, mean RMSEs unless a filter left runs out.
    #[must_use]
    pub fn check(
        &self,
        cases: &[Case],
        weighted: &[Weighted],
        options: &Options,
    ) -> (Vec<BoundCheck>, Vec<String>) {
        let none = Section::default();
        let section = self.sections.get(options.kind.section()).unwrap_or(&none);
        let (mut checks, mut unbounded) = (Vec::new(), Vec::new());
        if let Some(whole) = whole(weighted).filter(|_| options.whole()) {
            match section.weighted_rmse_points {
                Some(bound) => {
                    checks.push(check("weighted RMSE over everything", whole.bms_rmse_points, bound));
                }
                None => unbounded.push("weighted RMSE over everything".into()),
            }
        }
        for ((set, group), reached) in groups(cases) {
            let name = format!("{set}, {}", group.label());
            let Some(bound) = section.sets.get(&set).and_then(|s| s.get(group.label())) else {
                unbounded.push(name);
                continue;
            };
            let worst = format!("{name}: worst maximum");
            checks.push(check(&worst, reached.worst_max_points, bound.worst_max_points));
            if options.filter.is_none() {
                let mean = format!("{name}: mean RMSE");
                checks.push(check(&mean, reached.mean_rmse_points, bound.mean_rmse_points));
            }
        }
        (checks, unbounded)
    }
}

/// The estimator has to beat both baselines on the weighted whole and at every temperature.
#[must_use]
pub fn against_baselines(weighted: &[Weighted]) -> Vec<BoundCheck> {
    let pair = |w: &Weighted| {
        [("coulomb counter", w.coulomb_counter_rmse_points), ("textbook EKF", w.textbook_ekf_rmse_points)]
            .map(|(baseline, bound)| {
                let name = format!("beats the {baseline}: weighted RMSE, {}", w.label());
                check(&name, w.bms_rmse_points, bound)
            })
    };
    weighted.iter().flat_map(pair).collect()
}

fn whole(weighted: &[Weighted]) -> Option<&Weighted> {
    weighted.iter().find(|w| w.temperature_c.is_none() && !w.held_out)
}

fn check(name: &str, value: f64, bound: f64) -> BoundCheck {
    BoundCheck { name: name.into(), value, bound, unit: "points".into(), ok: value <= bound }
}

/// What was reached in each condition group of each data set.
fn groups(cases: &[Case]) -> BTreeMap<(String, Condition), GroupBound> {
    let mut sums = BTreeMap::<(String, Condition), (f64, f64, f64)>::new();
    for case in cases {
        let s = sums.entry((case.dataset.clone(), condition(case))).or_default();
        s.0 = s.0.max(case.bms.max_points);
        s.1 += case.bms.rmse_points;
        s.2 += 1.0;
    }
    let bound =
        |(worst, sum, n): (f64, f64, f64)| GroupBound { worst_max_points: worst, mean_rmse_points: sum / n };
    sums.into_iter().map(|(key, s)| (key, bound(s))).collect()
}

fn with_margin(reached: f64) -> f64 {
    let bound = (reached * MARGIN_FACTOR).max(reached + MARGIN_POINTS);
    (bound * 100.0 - 1e-6).ceil() / 100.0
}

#[cfg(test)]
mod tests {
    use super::super::DataKind;
    use super::super::weights::{all, tests::case};
    use super::*;

    fn options(filter: Option<&str>) -> Options {
        Options {
            data: PathBuf::new(),
            kind: DataKind::Default,
            quick: false,
            filter: filter.map(Into::into),
            seed: 1,
        }
    }

    #[test]
    fn what_was_recorded_holds_until_an_error_grows() {
        let mut cases = [case(25.0, 0.0, 1.0), case(0.0, 30.0, 2.0)];
        let mut bounds = Bounds::default();
        assert_eq!(bounds.check(&cases, &all(&cases), &options(None)).1.len(), 3);
        bounds.record("default", &cases, &all(&cases));
        let (checks, unbounded) = bounds.check(&cases, &all(&cases), &options(None));
        assert!(unbounded.is_empty() && checks.len() == 5 && checks.iter().all(|c| c.ok), "{checks:?}");
        cases[1].bms.max_points = 4.41;
        let (checks, _) = bounds.check(&cases, &all(&cases), &options(Some("x")));
        let broken: Vec<_> = checks.iter().filter(|c| !c.ok).map(|c| c.name.as_str()).collect();
        assert_eq!((checks.len(), broken), (2, vec!["set, start ±30 points: worst maximum"]));
        assert!((checks[1].bound - 4.4).abs() < 1e-9);
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bounds.toml");
        let cases = [case(25.0, 0.0, 1.0)];
        let mut bounds = Bounds::default();
        bounds.record("default", &cases, &all(&cases));
        bounds.save(&path).unwrap();
        assert_eq!(Bounds::load(&path).unwrap(), bounds);
        let text = std::fs::read_to_string(&path).unwrap().replace("right start", "left start");
        std::fs::write(&path, text).unwrap();
        assert!(
            Bounds::load(&path).unwrap_err().to_string().contains("`left start` is not a condition group")
        );
        assert!(Bounds::load(dir.path()).is_err());
    }

    #[test]
    fn both_baselines_have_to_be_beaten_everywhere() {
        let mut cases = [case(25.0, 0.0, 1.0), case(0.0, 0.0, 2.0)];
        assert!(against_baselines(&all(&cases)).iter().all(|c| c.ok));
        cases[0].coulomb_counter.rmse_points = 0.5;
        let checks = against_baselines(&all(&cases));
        assert_eq!(checks.len(), 6);
        let broken: Vec<_> = checks.iter().filter(|c| !c.ok).map(|c| c.name.as_str()).collect();
        assert_eq!(broken, ["beats the coulomb counter: weighted RMSE, 25 degC"]);
    }
}
