//! Identifies the cells, replays every drive under every condition, and keeps the time series worth looking at.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::ablation::{self, Trial};
use super::finished::Finished;
use super::matrix::{self, Condition};
use super::sets::{CellSource, Drive, SetPlan};
use super::{Options, Progress, VerifyError, full_charge, split};
use crate::cell_file::CellFile;
use crate::data::Run;
use crate::identify::{IdentifyError, identify};
use crate::metrics;
use crate::plants;
use crate::reference;
use crate::replay::{Replay, ReplayOptions, replay};
use crate::results::{Case, IdentifiedCell, Results, Trace};

/// Runs with the largest errors that keep their time series.
const WORST_TRACES: usize = 12;
/// Runs around the median that keep theirs.
const TYPICAL_TRACES: usize = 12;
/// Largest number of points of a time series that is kept.
const TRACE_POINTS: usize = 1500;

/// What a run of the matrix gives.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Identified cells.
    pub cells: Vec<IdentifiedCell>,
    /// Cases, ablations and notes; no bounds yet.
    pub results: Results,
}

/// A drive read once and ready to be replayed.
pub(super) struct Loaded<'a> {
    drive: &'a Drive,
    pub(super) cell: &'a CellFile,
    pub(super) run: Run,
    pub(super) reference: Vec<f64>,
    /// Number of tests in the file; the first is scored.
    parts: usize,
    /// Present capacity as the estimators are told it, in Ah.
    pub(super) capacity_ah: f64,
}

/// A case with what is needed to run it again.
struct Scored {
    case: Case,
    drive: usize,
    condition: Condition,
}

/// What came out of one drive.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct DriveOutcome {
    cases: Vec<(Case, Condition)>,
    /// Of recorded sets only, which are not kept on disk.
    #[serde(skip)]
    trials: Vec<Trial>,
    pub(super) notes: Vec<String>,
    skipped_starts: usize,
}

/// A drive of which less of the capacity than this was moved, as a fraction, is hardly one.
const HARDLY_A_DRIVE: f64 = 0.1;

/// Carries out a plan.
///
/// # Errors
/// If a file cannot be used, or nothing is left to score.
pub fn run(plan: SetPlan, options: &Options, progress: &dyn Progress) -> Result<Outcome, VerifyError> {
    let SetPlan { cells: sources, drives, mut notes } = plan;
    progress.stage("identifying cells", sources.len());
    let identified: Vec<Result<CellFile, IdentifyError>> = sources
        .par_iter()
        .map(|source| {
            let cell = source.plan().and_then(|plan| identify(&plan));
            progress.advance(1);
            cell
        })
        .collect();
    let mut cells = Vec::with_capacity(sources.len());
    for (k, (source, result)) in sources.iter().zip(identified).enumerate() {
        match result {
            Ok(cell) => cells.push(Some(cell)),
            Err(error @ IdentifyError::Data(_)) => {
                return Err(VerifyError::Identify { set: source.label.clone(), source: Box::new(error) });
            }
            Err(error) => {
                let lost = drives.iter().filter(|d| d.cell == k).count();
                notes.push(format!("{}: {lost} drive(s) not scored: {error}", source.label));
                cells.push(None);
            }
        }
    }
    let drives: Vec<(&Drive, &CellFile)> =
        drives.iter().filter_map(|d| Some((d, cells.get(d.cell)?.as_ref()?))).collect();
    notes.extend(reference_notes(&drives));
    let finished = options.finished.as_ref().map(|path| Finished::open(path, options.fresh)).transpose()?;
    progress.stage("replaying drives", drives.iter().map(|(d, _)| weight(d)).sum());
    let outcomes: Vec<DriveOutcome> = drives
        .par_iter()
        .map(|(drive, cell)| {
            // Recorded sets take part in the ablations, which are not kept, and are soon done.
            let keep = finished.as_ref().filter(|_| drive.set.simulated.is_some());
            let key = key(drive, cell, options)?;
            let outcome = match keep.and_then(|f| f.get(key)) {
                Some(outcome) => outcome,
                None => {
                    let outcome = score_drive(&load(drive, cell)?, options)?;
                    keep.map_or(Ok(()), |f| f.write(key, &outcome))?;
                    outcome
                }
            };
            progress.advance(weight(drive));
            Ok(outcome)
        })
        .collect::<Result<_, VerifyError>>()?;
    let mut scored = Vec::new();
    let mut trials = Vec::new();
    let mut skipped_starts = 0;
    for (drive, outcome) in outcomes.into_iter().enumerate() {
        scored.extend(outcome.cases.into_iter().map(|(case, condition)| Scored { case, drive, condition }));
        trials.extend(outcome.trials);
        notes.extend(outcome.notes);
        skipped_starts += outcome.skipped_starts;
    }
    if !options.quick {
        let recorded = sources.iter().zip(&cells).filter(|(s, _)| s.set.simulated.is_none());
        let pairs: Vec<_> = recorded.filter_map(|(s, c)| Some((s, c.as_ref()?))).collect();
        trials.extend(full_charge::trials(&pairs)?);
    }
    if skipped_starts > 0 {
        notes.push(format!(
            "{skipped_starts} start errors were left out because less than half of them fits between empty and full"
        ));
    }
    let kept = worth_a_trace(&scored);
    progress.stage("keeping time series", kept.len());
    let traces: Vec<(usize, Trace)> = kept
        .par_iter()
        .map(|&k| {
            let s = &scored[k];
            let (drive, cell) = drives[s.drive];
            let loaded = load(drive, cell)?;
            let replayed = replay_case(&loaded, &s.condition, options, None, true)?;
            progress.advance(1);
            Ok((k, trace(&loaded, &replayed)))
        })
        .collect::<Result<_, VerifyError>>()?;
    for (k, kept) in traces {
        let case = &mut scored[k].case;
        case.trace_file = Some(format!("traces/{}.csv", slug(case)));
        case.trace = Some(kept);
    }
    let identified = sources.iter().zip(cells).filter_map(|(source, cell)| {
        cell.map(|cell| IdentifiedCell { dataset: source.label.clone(), cell, cell_file: cell_path(source) })
    });
    let identified: Vec<IdentifiedCell> = identified.collect();
    let results = Results {
        cases: scored.into_iter().map(|s| s.case).collect(),
        ablations: ablation::summarise(&trials),
        notes,
        ..Results::default()
    };
    Ok(Outcome { cells: identified, results })
}

/// What the outcome of a drive hangs on, beside the program.
fn key(drive: &Drive, cell: &CellFile, options: &Options) -> Result<u64, VerifyError> {
    let cell = serde_json::to_string(cell)
        .map_err(|e| VerifyError::Io { path: drive.set.dir.clone(), source: e.into() })?;
    let Options { seed, quick, full, .. } = options;
    Ok(matrix::hash(
        format!("{}/{} {seed} {quick} {full} {cell}", drive.set.name, drive.file.file).as_bytes(),
    ))
}

/// What the descriptions of the scored sets say about their references.
fn reference_notes(drives: &[(&Drive, &CellFile)]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for (drive, _) in drives {
        if let Some(text) = drive.set.raw.get("reference_soc").and_then(|t| t.as_str()) {
            notes.push(format!("{}: reference: {text}", drive.set.name));
        }
    }
    notes.dedup();
    notes
}

/// How much work a drive is: its rows.
fn weight(drive: &Drive) -> usize {
    drive.file.rows.unwrap_or(10_000) as usize
}

fn cell_path(source: &CellSource) -> String {
    format!("cells/{}.toml", plain(&source.label))
}

/// A text with nothing in it that a file name should not have.
fn plain(text: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' };
    text.chars().map(clean).collect()
}

/// Reads a drive, its first part where the file goes on with another test, and its reference.
pub(super) fn load<'a>(drive: &'a Drive, cell: &'a CellFile) -> Result<Loaded<'a>, VerifyError> {
    let parts = drive.set.runs(&drive.file)?;
    let count = parts.len();
    let mut run = parts.into_iter().next().unwrap_or_default();
    if run.temperature_c.is_none() {
        // Some sets log no temperature; the chamber's is all there is.
        let ambient = drive.file.ambient_c.unwrap_or(25.0);
        run.temperature_c = Some(vec![ambient; run.len()]);
    }
    let present_ah = drive.present_capacity_ah.or_else(|| reference::dated_ah(&drive.set, &drive.file));
    let capacity_ah = present_ah.unwrap_or(cell.cell.capacity_ah);
    let reference_ah = reference::full_to_empty_ah(&drive.set, &drive.file)?.unwrap_or(capacity_ah);
    let reference = reference::of_run(&run, reference::start_soc(&drive.file), reference_ah).soc;
    Ok(Loaded { drive, cell, run, reference, parts: count, capacity_ah })
}

fn replay_case(
    loaded: &Loaded<'_>,
    condition: &Condition,
    options: &Options,
    tuning: Option<bms_core::tuning::Tuning>,
    baselines: bool,
) -> Result<Replay, VerifyError> {
    let start = loaded.reference.first().copied().unwrap_or(1.0);
    let set = &loaded.drive.set.name;
    let capacity_ah =
        if condition.capacity_known { loaded.capacity_ah } else { loaded.cell.cell.capacity_ah };
    let replayed = replay(
        loaded.cell,
        &loaded.run,
        &ReplayOptions {
            initial_soc: Some((start + condition.start_error).clamp(0.0, 1.0)),
            initial_soc_std: condition.remembered.then_some(matrix::REMEMBERED_STD),
            sensors: condition.sensors,
            seed: matrix::seed(options.seed, set, &loaded.drive.file.file, condition.sensors, condition.draw),
            current_offset_a: condition.current_offset_a,
            capacity_ah: Some(capacity_ah),
            tuning,
            baselines,
        },
    )?;
    Ok(replayed)
}

fn score_drive(loaded: &Loaded<'_>, options: &Options) -> Result<DriveOutcome, VerifyError> {
    let mut out = DriveOutcome::default();
    let drive = loaded.drive;
    let cell = &loaded.cell.cell;
    let chemistry = cell.chemistry;
    let start = loaded.reference.first().copied().unwrap_or(1.0);
    let aged = drive.present_capacity_ah.is_some();
    let plant = drive.set.simulated.is_some();
    let nominal_ah = cell.nominal_capacity_ah;
    let conditions = match (drive.file.kind.as_deref(), plant) {
        (Some(plants::SPREAD), _) => matrix::spread_conditions(options.quick),
        (_, true) => matrix::plant_conditions(start, nominal_ah, aged, options.quick, options.extent()),
        (_, false) => matrix::conditions(start, nominal_ah, aged, options.quick),
    };
    out.skipped_starts = conditions.skipped.len();
    let converged =
        matrix::declared_convergence_s(chemistry, &loaded.run, &loaded.reference, loaded.capacity_ah);
    let name = format!("{}/{}", drive.set.name, drive.file.file);
    let time = &loaded.run.time_s;
    if loaded.parts > 1 {
        out.notes.push(format!("{name}: only the first of its {} tests is scored", loaded.parts));
    }
    if plant && moved(&loaded.reference) < HARDLY_A_DRIVE {
        out.notes.push(format!(
            "{name}: the cell takes hardly anything of it: {:.1} points moved in {:.1} h",
            100.0 * moved(&loaded.reference),
            loaded.run.duration_s() / 3600.0
        ));
    }
    let mixed_day = drive.file.kind.as_deref() == Some("mixed_day");
    for condition in conditions.take {
        let points = 100.0 * condition.start_error;
        let from_s = if condition.remembered { Some(matrix::EXCLUDED_START_S) } else { converged };
        let replayed = replay_case(loaded, &condition, options, None, true)?;
        let score = |estimate: &[f64], std: Option<&[f64]>, from_s: f64| {
            metrics::score(time, estimate, &loaded.reference, std, from_s)
        };
        let Some(from_s) = from_s else {
            let covered = score(&replayed.soc, Some(&replayed.soc_std), matrix::CONVERGENCE_S);
            let share =
                covered.and_then(|s| s.coverage).map_or("nothing".into(), |c| format!("{:.1} %", 100.0 * c));
            out.notes.push(format!(
                "{name}: start {points:+.0} points not scored, the run neither leaves the plateau nor rests; inside the own band after {:.0} s: {share}",
                matrix::CONVERGENCE_S
            ));
            continue;
        };
        let scores = (
            score(&replayed.soc, Some(&replayed.soc_std), from_s),
            score(&replayed.soc_coulomb_counter, None, from_s),
            score(&replayed.soc_textbook_ekf, None, from_s),
        );
        let (Some(bms), Some(coulomb_counter), Some(textbook_ekf)) = scores else {
            out.notes.push(format!(
                "{name}: start {points:+.0} points not scored, nothing is left after {from_s:.0} s"
            ));
            continue;
        };
        // Ablations are about recorded cells: four simulated ones with many drives would outweigh them.
        if !options.quick && !plant && ablation::takes(&condition) {
            out.trials.push(Trial {
                variant: ablation::FULL,
                chemistry,
                mixed_day,
                full_charge: false,
                condition,
                score: bms,
            });
            for (variant, parts) in ablation::VARIANTS {
                let tuning = Some(ablation::tuning(chemistry, parts));
                let replayed = replay_case(loaded, &condition, options, tuning, false)?;
                if let Some(score) = score(&replayed.soc, Some(&replayed.soc_std), from_s) {
                    out.trials.push(Trial {
                        variant,
                        chemistry,
                        mixed_day,
                        full_charge: false,
                        condition,
                        score,
                    });
                }
            }
        }
        let case = Case {
            dataset: drive.set.name.clone(),
            chemistry,
            measured: drive.set.truth_capacity_ah.is_none(),
            plant,
            tuned_on: split::tuned_on(&drive.set.name, &drive.file.file),
            age: drive.age.clone(),
            temperature_c: drive.file.ambient_c.unwrap_or(25.0),
            profile: drive.file.profile.clone().unwrap_or_else(|| drive.file.file.clone()),
            file: drive.file.file.clone(),
            start_error_points: (points * 100.0).round() / 100.0,
            sensors: condition.sensors.name().into(),
            current_offset_a: condition.current_offset_a,
            capacity_ah: if condition.capacity_known { loaded.capacity_ah } else { cell.capacity_ah },
            capacity_known: condition.capacity_known,
            draw: condition.draw,
            remembered: condition.remembered,
            bms,
            coulomb_counter,
            textbook_ekf,
            trace: None,
            trace_file: None,
        };
        out.cases.push((case, condition));
    }
    Ok(out)
}

/// Range of the SOC, fraction.
fn moved(reference: &[f64]) -> f64 {
    let most = reference.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - reference.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The worst cases, some around the median, and one wrong start of every data set.
fn worth_a_trace(scored: &[Scored]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scored.len()).collect();
    let severity = |k: &usize| scored[*k].case.bms.max_points;
    order.sort_by(|a, b| severity(b).total_cmp(&severity(a)));
    let mut kept: Vec<usize> = order.iter().copied().take(WORST_TRACES).collect();
    let middle = (order.len() / 2).saturating_sub(TYPICAL_TRACES / 2);
    kept.extend(order.iter().skip(middle.max(kept.len())).take(TYPICAL_TRACES));
    let mut wrong_starts = BTreeMap::new();
    for k in &order {
        let case = &scored[*k].case;
        if case.start_error_points.abs() > 20.0 {
            // From worst to best: the first of each set is its worst.
            wrong_starts.entry(&case.dataset).or_insert(*k);
        }
    }
    kept.extend(wrong_starts.into_values());
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// Downsampled time series, the worst moment included.
fn trace(loaded: &Loaded<'_>, replayed: &Replay) -> Trace {
    let n = replayed.soc.len();
    let stride = n.div_ceil(TRACE_POINTS).max(1);
    let error = |k: &usize| (replayed.soc[*k] - loaded.reference[*k]).abs();
    let mut at: Vec<usize> = (0..n).step_by(stride).collect();
    at.extend((0..n).max_by(|a, b| error(a).total_cmp(&error(b))));
    at.extend(n.checked_sub(1));
    at.sort_unstable();
    at.dedup();
    let pick = |column: &[f64]| at.iter().filter_map(|&k| column.get(k).copied()).collect::<Vec<f64>>();
    let start = replayed.time_s.first().copied().unwrap_or_default();
    Trace {
        time_s: pick(&replayed.time_s).into_iter().map(|t| t - start).collect(),
        soc_true: pick(&loaded.reference),
        soc: pick(&replayed.soc),
        soc_std: pick(&replayed.soc_std),
        soc_coulomb_counter: pick(&replayed.soc_coulomb_counter),
        soc_textbook_ekf: pick(&replayed.soc_textbook_ekf),
        voltage_v: pick(&replayed.measured.voltage_v),
        current_a: pick(&replayed.measured.current_a),
        temperature_c: replayed.measured.temperature_c.as_deref().map(pick).unwrap_or_default(),
        current_bias_a: pick(&replayed.current_bias_a),
    }
}

/// File name of a case.
fn slug(case: &Case) -> String {
    let file = case.file.split(".bdf").next().unwrap_or(&case.file);
    let sign = |x: f64| if x < 0.0 { "minus" } else { "plus" };
    let mut name = format!("{}-{}-{}", case.dataset, file, case.sensors);
    if case.start_error_points != 0.0 {
        name += &format!("-start_{}{:.0}", sign(case.start_error_points), case.start_error_points.abs());
    }
    if case.current_offset_a != 0.0 {
        name += &format!("-offset_{}{:.2}A", sign(case.current_offset_a), case.current_offset_a.abs());
    }
    if !case.capacity_known {
        name += "-new_capacity";
    }
    if !case.remembered && case.start_error_points == 0.0 {
        name += "-guessed";
    }
    if case.draw > 0 {
        name += &format!("-draw_{}", case.draw);
    }
    plain(&name)
}
