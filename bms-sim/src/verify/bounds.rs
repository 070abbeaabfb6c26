//! Recorded bounds: what was reached once must not get worse.
//!
//! The file `bounds.toml` has one section per kind of data (`default`, `shared`) and two for the plants, which can be scored
//! beside any data: `plants` for the subset of the matrix, `plants_full` for the whole. A section holds the weighted RMSE of the whole, and for each data set and condition group
//! the largest maximum error and the mean RMSE:
//!
//! ```toml
//! [default]
//! weighted_rmse_points = 1.5
//!
//! [default.sets."physics/nmc_m50/soh100"."right start"]
//! worst_max_points = 2.9
//! mean_rmse_points = 1.1
//!
//! [plants.figures]
//! "SOP okane2022: 99th percentile" = 8.1
//! ```
//!
//! `figures` are those of the state of power, of whole lives, of packs and of their control, each in the unit that the report gives it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::health::Figure;
use super::weights::Weighted;
use super::{Options, Part};
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<String, f64>,
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
    "# Recorded bounds of `bms verify`, in points of SOC where nothing else is said. An error that grows beyond its bound fails the run.
# Written by `bms verify --update-bounds`: what was reached plus 10 %, at least plus 0.3 points. Figures of the state of
# power, of lives and of packs are in points or percent likewise; numbers of things that must not happen get 10 % alone.

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

    /// Replaces the bounds of the data and of the plants, if they were scored, by what was reached, with a margin. Where one
    /// part alone ran, only its bounds.
    pub fn record(&mut self, cases: &[Case], weighted: &[Weighted], figures: &[Figure], options: &Options) {
        if options.only.is_some_and(|part| part != Part::Soc) {
            for figure in figures {
                let section = self.sections.entry(section(figure.plants, options).into()).or_default();
                section.figures.insert(figure.name.clone(), figure_bound(figure));
            }
            return;
        }
        for plants in [false, true] {
            if cases.iter().any(|c| c.plant == plants) {
                self.record_section(plants, cases, weighted, figures, options);
            }
        }
    }

    fn record_section(
        &mut self,
        plants: bool,
        cases: &[Case],
        weighted: &[Weighted],
        figures: &[Figure],
        options: &Options,
    ) {
        let of_section = figures.iter().filter(|f| f.plants == plants);
        let mut new = Section {
            weighted_rmse_points: whole(weighted, plants).map(|w| with_margin(w.bms_rmse_points)),
            sets: BTreeMap::new(),
            figures: of_section.map(|f| (f.name.clone(), figure_bound(f))).collect(),
        };
        for ((_, set, group), reached) in groups(cases).into_iter().filter(|((p, ..), _)| *p == plants) {
            let bound = GroupBound {
                worst_max_points: with_margin(reached.worst_max_points),
                mean_rmse_points: with_margin(reached.mean_rmse_points),
            };
            new.sets.entry(set).or_default().insert(group.label().into(), bound);
        }
        let name = section(plants, options);
        if options.only.is_some() {
            new.figures = self.sections.remove(name).unwrap_or_default().figures;
        }
        self.sections.insert(name.into(), new);
    }

    /// Compares what was reached with what was recorded; returns the checks and the names of what has no bound.
    ///
    /// A weighted whole is compared when its whole matrix ran, mean RMSEs unless a filter left runs out.
    #[must_use]
    pub fn check(
        &self,
        cases: &[Case],
        weighted: &[Weighted],
        figures: &[Figure],
        options: &Options,
    ) -> (Vec<BoundCheck>, Vec<String>) {
        let none = Section::default();
        let recorded = |plants| self.sections.get(section(plants, options)).unwrap_or(&none);
        let (mut checks, mut unbounded) = (Vec::new(), Vec::new());
        for (plants, name) in
            [(false, "weighted RMSE over all data sets"), (true, "weighted RMSE over all plants")]
        {
            let Some(whole) = whole(weighted, plants).filter(|w| is_whole(w, options)) else { continue };
            match recorded(plants).weighted_rmse_points {
                Some(bound) => checks.push(check(name, whole.bms_rmse_points, bound)),
                None => unbounded.push(name.into()),
            }
        }
        for ((plants, set, group), reached) in groups(cases) {
            let name = format!("{set}, {}", group.label());
            let Some(bound) = recorded(plants).sets.get(&set).and_then(|s| s.get(group.label())) else {
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
        for figure in figures {
            match recorded(figure.plants).figures.get(&figure.name) {
                Some(bound) => checks.push(BoundCheck {
                    unit: figure.unit.into(),
                    ..check(&figure.name, figure.value, *bound)
                }),
                None => unbounded.push(figure.name.clone()),
            }
        }
        (checks, unbounded)
    }
}

/// The estimator has to beat both baselines on the weighted whole and at every temperature, where the whole matrix ran.
#[must_use]
pub fn against_baselines(weighted: &[Weighted], options: &Options) -> Vec<BoundCheck> {
    let pair = |w: &Weighted| {
        [("coulomb counter", w.coulomb_counter_rmse_points), ("textbook EKF", w.textbook_ekf_rmse_points)]
            .map(|(baseline, bound)| {
                let name = format!("beats the {baseline}: weighted RMSE, {}", w.label());
                check(&name, w.bms_rmse_points, bound)
            })
    };
    weighted.iter().filter(|w| is_whole(w, options)).flat_map(pair).collect()
}

/// Sections of the plants in the file: of the subset of the matrix and of the whole.
const PLANTS: &str = "plants";
const PLANTS_FULL: &str = "plants_full";

fn section(plants: bool, options: &Options) -> &'static str {
    match (plants, options.full) {
        (true, true) => PLANTS_FULL,
        (true, false) => PLANTS,
        (false, _) => options.kind.section(),
    }
}

/// Whether nothing was left out of what a figure is over.
fn is_whole(weighted: &Weighted, options: &Options) -> bool {
    if weighted.plants { options.whole_plants() } else { options.whole() }
}

fn whole(weighted: &[Weighted], plants: bool) -> Option<&Weighted> {
    weighted.iter().find(|w| w.plants == plants && w.temperature_c.is_none() && !w.held_out)
}

fn check(name: &str, value: f64, bound: f64) -> BoundCheck {
    BoundCheck { name: name.into(), value, bound, unit: "points".into(), ok: value <= bound }
}

/// Whether it is a plant, data set, condition group.
type Key = (bool, String, Condition);

/// What was reached in each condition group of each data set.
fn groups(cases: &[Case]) -> BTreeMap<Key, GroupBound> {
    let mut sums = BTreeMap::<Key, (f64, f64, f64)>::new();
    for case in cases {
        let s = sums.entry((case.plant, case.dataset.clone(), condition(case))).or_default();
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

/// A number of things that must not happen gets no margin beyond the factor: none stays none.
fn figure_bound(figure: &Figure) -> f64 {
    if figure.unit.is_empty() { (figure.value * MARGIN_FACTOR).ceil() } else { with_margin(figure.value) }
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
            plants: Vec::new(),
            quick: false,
            full: false,
            finished: None,
            fresh: false,
            filter: filter.map(Into::into),
            only: None,
            seed: 1,
        }
    }

    #[test]
    fn what_was_recorded_holds_until_an_error_grows() {
        let mut cases = [case(25.0, 0.0, 1.0), case(0.0, 30.0, 2.0)];
        let mut bounds = Bounds::default();
        assert_eq!(bounds.check(&cases, &all(&cases), &[], &options(None)).1.len(), 3);
        bounds.record(&cases, &all(&cases), &[], &options(None));
        let (checks, unbounded) = bounds.check(&cases, &all(&cases), &[], &options(None));
        assert!(unbounded.is_empty() && checks.len() == 5 && checks.iter().all(|c| c.ok), "{checks:?}");
        cases[1].bms.max_points = 4.41;
        let (checks, _) = bounds.check(&cases, &all(&cases), &[], &options(Some("x")));
        let broken: Vec<_> = checks.iter().filter(|c| !c.ok).map(|c| c.name.as_str()).collect();
        assert_eq!((checks.len(), broken), (2, vec!["set, start ±30 points: worst maximum"]));
        assert!((checks[1].bound - 4.4).abs() < 1e-9);
    }

    #[test]
    fn plants_have_bounds_of_their_own() {
        let mut cases = [case(25.0, 0.0, 1.0), case(25.0, 0.0, 4.0)];
        cases[1].plant = true;
        let mut bounds = Bounds::default();
        bounds.record(&cases, &all(&cases), &[], &options(None));
        assert_eq!(bounds.sections.keys().collect::<Vec<_>>(), ["default", "plants"]);
        // Without plants, theirs stay.
        bounds.record(&cases[..1], &all(&cases[..1]), &[], &options(None));
        assert_eq!(bounds.sections.len(), 2);
        let every = Options { plants: crate::plants::PLANTS.to_vec(), ..options(None) };
        let (checks, unbounded) = bounds.check(&cases, &all(&cases), &[], &every);
        assert!(unbounded.is_empty() && checks.len() == 6 && checks.iter().all(|c| c.ok), "{checks:?}");
        assert_eq!(bounds.check(&cases, &all(&cases), &[], &options(None)).0.len(), 5, "not all plants ran");
    }

    #[test]
    fn figures_are_held_where_they_belong() {
        let mut cases = [case(25.0, 0.0, 1.0), case(25.0, 0.0, 1.0)];
        cases[1].plant = true;
        let figure = |name: &str, value, unit, plants| Figure { name: name.into(), value, unit, plants };
        let mut figures = [
            figure("p99", 10.0, "%", true),
            figure("too high", 0.0, "", true),
            figure("tables", 1.0, "%", false),
        ];
        let mut bounds = Bounds::default();
        let weighted = all(&cases);
        bounds.record(&cases, &weighted, &figures, &options(None));
        let text = toml::to_string(&bounds).unwrap();
        assert_eq!(toml::from_str::<Bounds>(&text).unwrap(), bounds, "{text}");
        figures[0].value = 10.9;
        let names = |bounds: &Bounds, figures: &[Figure]| -> Vec<String> {
            let (checks, unbounded) = bounds.check(&cases, &weighted, figures, &options(None));
            checks.into_iter().filter(|c| !c.ok).map(|c| c.name).chain(unbounded).collect()
        };
        assert!(names(&bounds, &figures).is_empty());
        for (f, value) in figures.iter_mut().zip([11.1, 1.0, 1.4]) {
            f.value = value;
        }
        assert_eq!(names(&bounds, &figures), ["p99", "too high", "tables"]);
        let full = Options { full: true, ..options(None) };
        assert!(bounds.check(&cases, &weighted, &figures, &full).1.contains(&"p99".to_owned()));
        // A part alone leaves the bounds of the others.
        let part = |part| Options { only: Some(part), ..options(None) };
        let before = bounds.clone();
        bounds.record(&[], &[], &[figure("new", 2.0, "%", true)], &part(Part::Control));
        let names = |b: &Bounds| b.sections[PLANTS].figures.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&bounds), ["new", "p99", "too high"]);
        bounds.record(&cases, &weighted, &[], &part(Part::Soc));
        assert_eq!(names(&bounds).len(), 3);
        assert_eq!(bounds.sections[PLANTS].sets, before.sections[PLANTS].sets);
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bounds.toml");
        let cases = [case(25.0, 0.0, 1.0)];
        let mut bounds = Bounds::default();
        bounds.record(&cases, &all(&cases), &[], &options(None));
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
        assert!(against_baselines(&all(&cases), &options(None)).iter().all(|c| c.ok));
        cases[0].coulomb_counter.rmse_points = 0.5;
        let checks = against_baselines(&all(&cases), &options(None));
        assert_eq!(checks.len(), 6);
        let broken: Vec<_> = checks.iter().filter(|c| !c.ok).map(|c| c.name.as_str()).collect();
        assert_eq!(broken, ["beats the coulomb counter: weighted RMSE, 25 degC"]);
    }
}
