//! The acceptance matrix over all data there are: from a folder and the plants to a verdict.
//!
//! ```text
//! sets ──► which drive is scored with the cell of which tests ─┐
//! matrix ► start errors, offsets, sensor corners, capacities ───┼─► runner ─► weights, ablation, bounds ─► Verification
//! health ► state of power, lives, packs, control ───────────────────────────► targets, bounds ──────────┘
//! ```

pub mod ablation;
pub mod again;
pub mod bounds;
pub mod causes;
pub mod control;
pub mod faults;
mod finished;
pub mod full_charge;
pub mod health;
pub mod matrix;
pub mod runner;
pub mod sensor_terms;
pub mod sets;
pub mod split;
pub mod targets;
pub mod weights;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cell_file::CellFileError;
use crate::closed_loop::ClosedLoopError;
use crate::data::DataError;
use crate::identify::IdentifyError;
use crate::lives::LifeError;
use crate::pack_file::PackFileError;
use crate::packs::PackError;
use crate::plants::{self, Extent, PLANTS, Plant, PlantSetError};
use crate::report::{self, ReportError};
use crate::results::{IdentifiedCell, Results, TARGET_POINTS};
use crate::scenario::ScenarioError;
use crate::sop::SopError;
use bounds::{Bounds, BoundsError};
use health::{Figure, Health};
use runner::Outcome;
use weights::Weighted;

/// Why a verification cannot be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No data set below the folder.
    #[error(
        "no data set in {}: no folder in it holds a dataset.json with drives (after --filter, if one was given)",
        dir.display()
    )]
    NoData {
        /// The folder.
        dir: PathBuf,
    },
    /// No scenario of the packs in closed loop.
    #[error("no scenario has `{filter}` in its name (--filter)")]
    NoScenario {
        /// What the name should hold.
        filter: String,
    },
    /// A folder cannot be read or a file not written.
    #[error("{}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A run or a description cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Identification failed because of its input.
    #[error("{set} cannot be identified")]
    Identify {
        /// The data set.
        set: String,
        /// Why.
        source: Box<IdentifyError>,
    },
    /// A plant cannot be used.
    #[error(transparent)]
    Plant(#[from] PlantSetError),
    /// The state of power cannot be scored.
    #[error(transparent)]
    Power(#[from] SopError),
    /// A life cannot be lived.
    #[error(transparent)]
    Life(#[from] LifeError),
    /// A pack cannot be scored.
    #[error(transparent)]
    Packs(#[from] PackError),
    /// A pack file cannot be used.
    #[error(transparent)]
    PackFile(#[from] PackFileError),
    /// A scenario cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A pack cannot be simulated in closed loop.
    #[error(transparent)]
    ClosedLoop(#[from] ClosedLoopError),
    /// A cell cannot be used.
    #[error(transparent)]
    Cell(#[from] CellFileError),
    /// The bounds file cannot be used.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// The report cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// A part of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// State of charge on drives of single cells.
    Soc,
    /// State of power.
    Power,
    /// State of health over lives.
    Lives,
    /// Cells of packs.
    Packs,
    /// Packs in closed loop.
    Control,
    /// Injected faults.
    Faults,
}

impl Part {
    /// All of them, by the name that a user gives.
    pub const ALL: [(&'static str, Self); 6] = [
        ("soc", Self::Soc),
        ("sop", Self::Power),
        ("soh", Self::Lives),
        ("packs", Self::Packs),
        ("control", Self::Control),
        ("faults", Self::Faults),
    ];

    /// The one with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, part)| part)
    }
}

/// What to verify.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of data sets.
    pub data: PathBuf,
    /// Which bounds apply to it.
    pub kind: DataKind,
    /// Plants to score beside it.
    pub plants: Vec<Plant>,
    /// Only the right start with ideal sensors, no ablation.
    pub quick: bool,
    /// The whole matrix on the plants instead of a subset of it.
    pub full: bool,
    /// File of the drives of plants that are finished: they are taken from it, and new ones are added.
    pub finished: Option<PathBuf>,
    /// Discard what is in that file.
    pub fresh: bool,
    /// Only drives whose data set or file, or scenarios whose name, contains this text.
    pub filter: Option<String>,
    /// Nothing but this.
    pub only: Option<Part>,
    /// Base of the seeds of all sensor errors.
    pub seed: u64,
}

impl Options {
    /// Whether the whole matrix of the folder runs, so that figures over all of it can be compared with earlier ones.
    #[must_use]
    pub fn whole(&self) -> bool {
        !self.quick && self.filter.is_none() && self.kind.whole()
    }

    /// Whether a part is asked for.
    #[must_use]
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }

    /// Whether packs are run in closed loop: with all plants, or alone, when a filter may choose among their scenarios.
    #[must_use]
    pub fn wants_control(&self) -> bool {
        self.only == Some(Part::Control) || (self.only.is_none() && self.whole_plants())
    }

    /// How much of the matrix the plants drive.
    #[must_use]
    pub const fn extent(&self) -> Extent {
        if self.full { Extent::Whole } else { Extent::Subset }
    }

    /// The same for the plants.
    #[must_use]
    pub fn whole_plants(&self) -> bool {
        !self.quick
            && self.filter.is_none()
            && PLANTS.iter().all(|p| self.plants.iter().any(|q| p.name == q.name))
    }
}

/// Which data a verification runs on; each kind has its own recorded bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// The small set that is kept in the repository.
    Default,
    /// The folder with all measured and simulated sets.
    Shared,
    /// Any other folder, perhaps a part of the shared ones.
    Other,
}

impl DataKind {
    /// The section of the bounds file.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Shared | Self::Other => "shared",
        }
    }

    const fn whole(self) -> bool {
        matches!(self, Self::Default | Self::Shared)
    }
}

/// Told how far the work is.
pub trait Progress: Sync {
    /// A new stage with so many steps begins.
    fn stage(&self, name: &str, steps: usize);
    /// Some steps of the stage are done.
    fn advance(&self, steps: usize);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _steps: usize) {}
    fn advance(&self, _steps: usize) {}
}

/// The outcome of a verification.
#[derive(Debug)]
pub struct Verification {
    /// What `report/results.json` holds.
    pub file: ResultsFile,
    /// The cells that were identified for it.
    pub cells: Vec<IdentifiedCell>,
}

/// The shape of `report/results.json`: the results and figures over all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResultsFile {
    /// What was verified and what came out as a whole.
    pub summary: Summary,
    /// Summaries of earlier runs into the same folder, the oldest first.
    pub history: Vec<Summary>,
    /// State of power, lives, packs and their control, where they were scored.
    #[serde(default)]
    pub health: Option<Health>,
    /// Case by case.
    #[serde(flatten)]
    pub results: Results,
}

/// Figures over all cases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Version of the program.
    pub version: String,
    /// Kind of data.
    pub data: DataKind,
    /// Only right starts.
    pub quick: bool,
    /// The whole matrix on the plants.
    #[serde(default)]
    pub full: bool,
    /// Text that drives were chosen by.
    pub filter: Option<String>,
    /// Base of the seeds.
    pub seed: u64,
    /// Number of cases.
    pub cases: usize,
    /// Number of cases with a maximum error inside the target.
    pub within_target: usize,
    /// Largest maximum error in points.
    pub worst_points: f64,
    /// Weighted figures of the data sets, then of the plants: the whole first, then by temperature.
    pub weighted: Vec<Weighted>,
}

/// Replays all drives, and those again that the experiments need.
fn drives(options: &Options, progress: &dyn Progress) -> Result<Outcome, VerifyError> {
    let filter = options.filter.as_deref();
    progress.stage("making plants", options.plants.len());
    let plants = plants::data_sets(&options.plants, options.extent(), filter, || progress.advance(1))?;
    let plan = sets::plan(&options.data, &plants, filter)?;
    let again = again::Drives::of(&plan);
    let mut outcome = runner::run(plan, options, progress)?;
    again.experiments(&outcome.cells, &mut outcome.results, options, progress)?;
    Ok(outcome)
}

/// How many earlier summaries a results file keeps.
const HISTORY: usize = 50;

/// Runs the matrix. Nothing is written but [`Options::finished`].
///
/// # Errors
/// If a file cannot be used, or there is nothing to score.
pub fn verify(
    options: &Options,
    bounds: Option<&Bounds>,
    progress: &dyn Progress,
) -> Result<Verification, VerifyError> {
    let Outcome { cells, mut results } =
        if options.wants(Part::Soc) { drives(options, progress)? } else { Outcome::default() };
    let weighted = weights::all(&results.cases);
    let health = health::run(options, progress)?;
    results.notes.extend(health.iter().flat_map(|h| h.notes.clone()));
    if let Some(bounds) = bounds {
        let (checks, unbounded) = bounds.check(&results.cases, &weighted, &figures(health.as_ref()), options);
        results.bounds = checks;
        if !unbounded.is_empty() {
            results.notes.push(format!("no bound recorded for: {}", unbounded.join("; ")));
        }
    } else {
        results.notes.push("no bounds file: no error was compared with an earlier one".into());
    }
    results.bounds.extend(bounds::against_baselines(&weighted, options));
    results.targets = targets::outcomes(&results.cases);
    results.targets.extend(health.iter().flat_map(targets::of_health));
    results.targets.sort_by_key(|t| t.number);
    let maxima = || results.cases.iter().map(|c| c.bms.max_points);
    let summary = Summary {
        version: results.version.clone(),
        data: options.kind,
        quick: options.quick,
        full: options.full,
        filter: options.filter.clone(),
        seed: options.seed,
        cases: results.cases.len(),
        within_target: maxima().filter(|m| *m <= TARGET_POINTS).count(),
        worst_points: maxima().fold(0.0, f64::max),
        weighted,
    };
    Ok(Verification { file: ResultsFile { summary, history: Vec::new(), health, results }, cells })
}

/// The figures beside the errors of the SOC that have bounds.
#[must_use]
pub fn figures(health: Option<&Health>) -> Vec<Figure> {
    health.map(Health::figures).unwrap_or_default()
}

impl ResultsFile {
    /// Summaries of all runs, this one last.
    #[must_use]
    pub fn summaries(&self) -> Vec<Summary> {
        self.history.iter().chain([&self.summary]).cloned().collect()
    }
}

impl Verification {
    /// Writes `results.json`, the cell files, the CSV files and `index.html` into a folder.
    ///
    /// A `results.json` that is there already passes its summary on to the history of the new one.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&mut self, dir: &Path) -> Result<(), VerifyError> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| VerifyError::Io { path, source }
        };
        let cells = dir.join("cells");
        std::fs::create_dir_all(&cells).map_err(io(&cells))?;
        for identified in &self.cells {
            identified.cell.save(&dir.join(&identified.cell_file))?;
        }
        let path = dir.join("results.json");
        self.file.history = earlier(&path);
        let text = serde_json::to_string_pretty(&self.file).map_err(|e| io(&path)(e.into()))?;
        std::fs::write(&path, text).map_err(io(&path))?;
        let (results, health) = (&self.file.results, self.file.health.as_ref());
        Ok(report::write_report(dir, results, health, &self.cells, &self.file.summaries())?)
    }
}

/// Summaries of the runs before; a file that cannot be understood has none.
fn earlier(path: &Path) -> Vec<Summary> {
    #[derive(Deserialize)]
    struct Old {
        summary: Summary,
        #[serde(default)]
        history: Vec<Summary>,
    }
    let old = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<Old>(&text).ok());
    let Some(old) = old else { return Vec::new() };
    let mut all = old.history;
    all.push(old.summary);
    all.drain(..all.len().saturating_sub(HISTORY));
    all
}
