//! Full charges, for the ablation of the anchors: drives hardly ever reach the upper voltage limit.
//!
//! The capacity tests of simulated cells end with a charge at C/3, constant voltage down to C/40 and a rest, with a true
//! SOC. The charge is replayed from a wrong start, and the rest after it is scored.

use rayon::prelude::*;

use super::VerifyError;
use super::ablation::{self, FULL, Trial, VARIANTS};
use super::matrix::Condition;
use super::sets::CellSource;
use crate::cell_file::CellFile;
use crate::data::Run;
use crate::metrics;
use crate::replay::{ReplayOptions, replay};
use bms_core::tuning::Parts;

/// Start errors, as fractions of SOC.
const START_ERRORS: [f64; 2] = [0.1, 0.3];

/// All variants over all full charges of the cells' own data sets.
///
/// # Errors
/// If a file cannot be read or a cell cannot be used.
pub fn trials(cells: &[(&CellSource, &CellFile)]) -> Result<Vec<Trial>, VerifyError> {
    let mut charges: Vec<(&CellFile, Run)> = Vec::new();
    for (source, cell) in cells {
        for file in source.set.of_kind("capacity_rate").filter(|f| source.selection.takes(&f.file)) {
            let parts = source.set.runs(file)?;
            charges.extend(parts.iter().filter_map(full_charge).map(|run| (*cell, run)));
        }
    }
    let per_charge: Vec<Vec<Trial>> =
        charges.par_iter().map(|(cell, run)| over_variants(cell, run)).collect::<Result<_, _>>()?;
    Ok(per_charge.into_iter().flatten().collect())
}

/// The part of a run from the start of its charge on, if it goes from below half to a taper and a rest, with a true SOC.
fn full_charge(run: &Run) -> Option<Run> {
    let soc = run.soc_true.as_ref()?;
    let start = run.current_a.iter().position(|i| *i < -0.01)?;
    let last = run.current_a.iter().rposition(|i| *i < -0.01)?;
    let largest = run.current_a.get(start..=last)?.iter().fold(0.0f64, |m, i| m.max(-i));
    let tapered = -run.current_a.get(last)? < 0.2 * largest;
    let rested = run.time_s.last()? - run.time_s.get(last)? > 600.0;
    (soc[start] < 0.5 && tapered && rested).then(|| run.slice(start.saturating_sub(1)..run.len()))
}

fn over_variants(cell: &CellFile, run: &Run) -> Result<Vec<Trial>, VerifyError> {
    let reference = run.soc_true.clone().unwrap_or_default();
    let (Some(begin), Some(end)) = (run.time_s.first(), run.time_s.last()) else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for start_error in START_ERRORS {
        for (variant, parts) in std::iter::once((FULL, Parts::ALL)).chain(VARIANTS) {
            let options = ReplayOptions {
                initial_soc: Some(reference[0] + start_error),
                tuning: Some(ablation::tuning(cell.cell.chemistry, parts)),
                baselines: false,
                ..ReplayOptions::default()
            };
            let r = replay(cell, run, &options)?;
            let from_s = end - begin - 600.0;
            let Some(score) = metrics::score(&r.time_s, &r.soc, &reference, Some(&r.soc_std), from_s) else {
                continue;
            };
            out.push(Trial {
                variant,
                chemistry: cell.cell.chemistry,
                mixed_day: false,
                full_charge: true,
                condition: Condition { start_error, ..Condition::RIGHT },
                score,
            });
        }
    }
    Ok(out)
}
