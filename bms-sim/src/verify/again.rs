//! Drives that are replayed once more after the matrix, for experiments on its cases.

use super::matrix;
use super::runner::{self, Loaded};
use super::sets::{Drive, SetPlan};
use super::{Options, Progress, VerifyError, causes, sensor_terms};
use crate::cell_file::CellFile;
use crate::metrics;
use crate::replay::Replay;
use crate::results::{IdentifiedCell, Results, Score};

/// The drives of a plan, each with the label of its cell.
#[derive(Debug)]
pub struct Drives(Vec<(Drive, String)>);

impl Drives {
    /// Remembers the drives of a plan.
    #[must_use]
    pub fn of(plan: &SetPlan) -> Self {
        let label = |drive: &Drive| Some((drive.clone(), plan.cells.get(drive.cell)?.label.clone()));
        Self(plan.drives.iter().filter_map(label).collect())
    }

    /// Runs the experiments that go with the whole matrix: what each sensor term costs, and why the target is missed.
    ///
    /// # Errors
    /// If a drive cannot be read or made again.
    pub fn experiments(
        &self,
        cells: &[IdentifiedCell],
        results: &mut Results,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<(), VerifyError> {
        if options.quick || options.filter.is_some() {
            return Ok(());
        }
        let identified = |(drive, label): &'_ (Drive, String)| {
            let cell = cells.iter().find(|c| c.dataset == *label)?;
            Some((drive.clone(), &cell.cell))
        };
        let drives: Vec<(Drive, &CellFile)> = self.0.iter().filter_map(identified).collect();
        results.sensor_terms = Some(sensor_terms::run(&drives, options.seed, progress)?);
        results.causes = causes::run(&results.cases, &drives, options.seed, progress)?;
        Ok(())
    }
}

/// Reads or makes a drive.
pub(super) fn load<'a>((drive, cell): &'a (Drive, &'a CellFile)) -> Result<Loaded<'a>, VerifyError> {
    runner::load(drive, cell)
}

/// Seconds that are not scored; `None` where a wrong start never has to have converged.
pub(super) fn excluded_s(loaded: &Loaded<'_>, wrong_start: bool) -> Option<f64> {
    if !wrong_start {
        return Some(matrix::EXCLUDED_START_S);
    }
    let chemistry = loaded.cell.cell.chemistry;
    matrix::declared_convergence_s(chemistry, &loaded.run, &loaded.reference, loaded.capacity_ah)
}

/// Scores a replay of a drive.
pub(super) fn score(loaded: &Loaded<'_>, replayed: &Replay, from_s: f64) -> Option<Score> {
    let std = Some(replayed.soc_std.as_slice());
    metrics::score(&loaded.run.time_s, &replayed.soc, &loaded.reference, std, from_s)
}
