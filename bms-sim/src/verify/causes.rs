//! Where the target is missed with good sensors, and why: the worst case of each group once more with one difficulty removed.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Progress, VerifyError, again, matrix};
use crate::cell_file::{CellFile, Chemistry};
use crate::replay::{ReplayOptions, replay};
use crate::results::{Case, Cause, TARGET_POINTS};
use crate::sensors::SensorCorner;
use crate::verify::sets::Drive;

/// Groups that are experimented on, of each chemistry with known and with unknown capacity: those with the most misses.
const TRIED: usize = 5;
/// Standard deviation of a start that was remembered, a fraction.
pub(super) const REMEMBERED_STD: f64 = 0.02;
/// Ideal sensors, true start and known capacity together.
const ALL_OF_THESE: &str = "all of these";
/// The new cell in place of the aged one.
const NEW_CELL: &str = "the new cell";
/// The verdict where nothing helps.
const MODEL_ERROR: &str = "model error (none of the experiments helps)";

/// What is told of a group: chemistry, age, temperature, start, kind of profile, whether the capacity is known.
type Group = (&'static str, String, i64, &'static str, String, bool);

/// Groups the missed cases and tries what helps the worst of each group.
///
/// # Errors
/// If a drive cannot be read or made again.
pub fn run(
    cases: &[Case],
    drives: &[(Drive, &CellFile)],
    seed: u64,
    progress: &dyn Progress,
) -> Result<Vec<Cause>, VerifyError> {
    let find =
        |case: &Case| drives.iter().find(|(d, _)| d.set.name == case.dataset && d.file.file == case.file);
    let mut groups: BTreeMap<Group, Vec<&Case>> = BTreeMap::new();
    for case in cases.iter().filter(|c| c.sensors == "good" && c.current_offset_a == 0.0) {
        let kind = find(case).and_then(|(d, _)| d.file.kind.as_deref()).unwrap_or("drive");
        groups.entry(group(case, kind)).or_default().push(case);
    }
    let mut missed: Vec<(Group, usize, Vec<&Case>)> = groups
        .into_iter()
        .map(|(group, of)| {
            let total = of.len();
            (group, total, of.into_iter().filter(|c| missed(c.bms.max_points)).collect::<Vec<_>>())
        })
        .filter(|(_, _, of)| !of.is_empty())
        .collect();
    missed.sort_by_key(|(group, _, of)| std::cmp::Reverse((group.5, of.len())));
    progress.stage("causes of misses", missed.len());
    missed
        .par_iter()
        .enumerate()
        .filter_map(|(k, (group, total, of))| {
            let alike = |(other, ..): &&(Group, usize, Vec<&Case>)| (other.0, other.5) == (group.0, group.5);
            let tried = missed.iter().take(k).filter(alike).count() < TRIED;
            let worst = of.iter().max_by(|a, b| a.bms.max_points.total_cmp(&b.bms.max_points))?;
            let experiments = match find(worst) {
                Some(drive) if tried => experiments(worst, drive, drives, seed),
                _ => Ok(Vec::new()),
            };
            progress.advance(1);
            Some(experiments.map(|experiments| Cause {
                group: label(group),
                cases: of.len(),
                of: *total,
                worst_points: worst.bms.max_points,
                worst: format!(
                    "{}/{}, start {:+.0}, draw {}",
                    worst.dataset, worst.file, worst.start_error_points, worst.draw
                ),
                verdict: verdict(&experiments),
                experiments,
            }))
        })
        .collect()
}

fn missed(max_points: f64) -> bool {
    max_points.is_nan() || max_points > TARGET_POINTS
}

fn group(case: &Case, kind: &str) -> Group {
    let chemistry = match case.chemistry {
        Chemistry::Nmc => "NMC",
        Chemistry::Nca => "NCA",
        Chemistry::Lfp => "LFP",
    };
    let start = match case.start_error_points.abs() {
        error if error > 20.0 => "start ±30",
        error if error > 0.5 => "start ±10",
        _ => "right start",
    };
    let age = if case.age.is_empty() { "soh100".to_owned() } else { case.age.clone() };
    let kind = match case.profile.as_str() {
        "WEEK" => "shallow cycling".to_owned(),
        "FAST" => "fast charge".to_owned(),
        _ => kind.replace('_', " "),
    };
    (chemistry, age, case.temperature_c.round() as i64, start, kind, case.capacity_known)
}

fn label((chemistry, age, temperature_c, start, kind, capacity_known): &Group) -> String {
    let capacity = if *capacity_known { "" } else { ", new cell's capacity" };
    format!("{chemistry}, {age}, {temperature_c} degC, {start}, {kind}{capacity}")
}

/// How one case is run again.
#[derive(Clone, Copy)]
struct Setup {
    sensors: SensorCorner,
    start_error: f64,
    start_std: Option<f64>,
    capacity_known: bool,
}

fn experiments(
    case: &Case,
    drive: &(Drive, &CellFile),
    drives: &[(Drive, &CellFile)],
    seed: u64,
) -> Result<Vec<(String, f64)>, VerifyError> {
    let as_scored = Setup {
        sensors: SensorCorner::Good,
        start_error: case.start_error_points / 100.0,
        start_std: None,
        capacity_known: case.capacity_known,
    };
    let ideal = Setup { sensors: SensorCorner::Ideal, ..as_scored };
    let remembered = Setup { start_error: 0.0, start_std: Some(REMEMBERED_STD), ..as_scored };
    let known = Setup { capacity_known: true, ..as_scored };
    let mut tried = vec![("ideal sensors", drive, ideal), ("true start, std 0.02", drive, remembered)];
    if !case.capacity_known {
        tried.push(("capacity known", drive, known));
    }
    tried.push((
        ALL_OF_THESE,
        drive,
        Setup { sensors: SensorCorner::Ideal, capacity_known: true, ..remembered },
    ));
    // The open-circuit voltage of this age cannot be told to the core: the new cell shows what age costs.
    tried.extend(new_cells_run(drive, drives).map(|new| (NEW_CELL, new, known)));
    let mut out = Vec::new();
    for (name, drive, setup) in tried {
        if let Some(max) = largest_error(drive, setup, case, seed)? {
            out.push((name.to_owned(), max));
        }
    }
    Ok(out)
}

/// The new cell of the same type at the same temperature, for an aged one: on the same profile if it drives it, else on
/// another of the same kind.
fn new_cells_run<'a, 'c>(
    (aged, _): &(Drive, &CellFile),
    drives: &'a [(Drive, &'c CellFile)],
) -> Option<&'a (Drive, &'c CellFile)> {
    aged.present_capacity_ah?;
    let same_cell = |d: &Drive| d.cell == aged.cell || d.set.dir.parent() == aged.set.dir.parent();
    let alike = |d: &Drive| {
        d.present_capacity_ah.is_none()
            && same_cell(d)
            && d.file.kind == aged.file.kind
            && d.file.ambient_c == aged.file.ambient_c
    };
    let same = |(d, _): &&(Drive, &CellFile)| alike(d) && d.file.profile == aged.file.profile;
    drives.iter().find(same).or_else(|| drives.iter().find(|(d, _)| alike(d)))
}

fn largest_error(
    drive: &(Drive, &CellFile),
    setup: Setup,
    case: &Case,
    seed: u64,
) -> Result<Option<f64>, VerifyError> {
    let loaded = again::load(drive)?;
    let start = loaded.reference.first().copied().unwrap_or(1.0);
    let capacity_ah = if setup.capacity_known { loaded.capacity_ah } else { loaded.cell.cell.capacity_ah };
    let (set, file) = (&drive.0.set.name, &drive.0.file.file);
    let options = ReplayOptions {
        initial_soc: Some((start + setup.start_error).clamp(0.0, 1.0)),
        initial_soc_std: setup.start_std,
        sensors: setup.sensors,
        seed: matrix::seed(seed, set, file, setup.sensors, case.draw),
        capacity_ah: Some(capacity_ah),
        baselines: false,
        ..ReplayOptions::default()
    };
    let replayed = replay(loaded.cell, &loaded.run, &options)?;
    // The same seconds are scored as in the case, whatever the start is here.
    let from_s = again::excluded_s(&loaded, case.start_error_points != 0.0);
    Ok(from_s.and_then(|from_s| again::score(&loaded, &replayed, from_s)).map(|s| s.max_points))
}

/// The experiment that helps most, if any brings the case within the target.
fn verdict(experiments: &[(String, f64)]) -> String {
    if experiments.is_empty() {
        return "not tried".into();
    }
    // What helps together says less than what helps alone, and another cell less than this one.
    let rank = |name: &str| match name {
        NEW_CELL => 2,
        ALL_OF_THESE => 1,
        _ => 0,
    };
    experiments
        .iter()
        .filter(|(_, max)| !missed(*max))
        .min_by(|a, b| rank(&a.0).cmp(&rank(&b.0)).then(a.1.total_cmp(&b.1)))
        .map_or_else(|| MODEL_ERROR.into(), |(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::weights::tests::case;
    use super::*;

    #[test]
    fn the_verdict_names_what_helps() {
        let of = |ideal: f64, start: f64, all: f64| {
            verdict(&[
                ("ideal sensors".into(), ideal),
                ("true start, std 0.02".into(), start),
                ("all of these".into(), all),
            ])
        };
        assert_eq!(of(2.9, 2.5, 1.0), "true start, std 0.02");
        assert_eq!(of(3.1, 4.0, 1.0), "all of these");
        assert_eq!(of(3.1, f64::NAN, 3.1), MODEL_ERROR);
        assert_eq!(verdict(&[]), "not tried");
    }

    #[test]
    fn only_misses_with_good_sensors_are_grouped() {
        let mut cases =
            vec![case(25.0, 0.0, 1.0), case(25.0, 30.0, 1.0), case(25.0, -30.0, 1.0), case(0.0, 0.0, 1.0)];
        for (case, max) in cases.iter_mut().zip([4.0, 5.0, 2.0, 9.0]) {
            case.sensors = "good".into();
            case.bms.max_points = max;
        }
        cases[3].sensors = "ideal".into();
        let causes = run(&cases, &[], 1, &super::super::Silent).unwrap();
        let told: Vec<(usize, usize, f64)> = causes.iter().map(|c| (c.cases, c.of, c.worst_points)).collect();
        assert_eq!(told.len(), 2, "{causes:?}");
        assert!(told.contains(&(1, 1, 4.0)) && told.contains(&(1, 2, 5.0)), "{causes:?}");
        assert!(causes.iter().all(|c| c.verdict == "not tried"));
    }
}
