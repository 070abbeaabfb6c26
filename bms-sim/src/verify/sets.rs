//! Which drives are scored, each with a cell that was identified without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::VerifyError;
use crate::data::{Dataset, DatasetFile};
use crate::identify::IdentifyError;
use crate::identify::plan::{Plan, Selection};
use crate::plants::PlantSets;

/// Everything to identify and to score.
#[derive(Debug, Default)]
pub struct SetPlan {
    /// Cells to identify.
    pub cells: Vec<CellSource>,
    /// Drives to score.
    pub drives: Vec<Drive>,
    /// What is left out and why.
    pub notes: Vec<String>,
}

/// What one cell is identified from.
#[derive(Debug, Clone)]
pub struct CellSource {
    /// Label, e.g. `physics/nmc_m50/soh100` or `plett_esc without dyn/25C…`.
    pub label: String,
    /// The data set.
    pub set: Arc<Dataset>,
    /// Files of it.
    pub selection: Selection,
    /// Aged cells of the same type, whose slow tests tell how the open-circuit voltage moves with age.
    pub life_tests: Vec<Arc<Dataset>>,
}

impl CellSource {
    /// What the cell is identified from.
    ///
    /// # Errors
    /// If a test cannot be read or made.
    pub fn plan(&self) -> Result<Plan, IdentifyError> {
        let mut plan = Plan::of_set(&self.set, &self.selection)?;
        for aged in &self.life_tests {
            plan.add_life_test(aged)?;
        }
        Ok(plan)
    }
}

/// One run to score.
#[derive(Debug, Clone)]
pub struct Drive {
    /// Its data set.
    pub set: Arc<Dataset>,
    /// Its entry there.
    pub file: DatasetFile,
    /// Index of its cell in [`SetPlan::cells`].
    pub cell: usize,
    /// Age label such as `soh080`; empty where the set tells none.
    pub age: String,
    /// Present capacity in Ah of an aged cell, as a check-up would have told it; `None` for a new one, whose capacity is
    /// the identified one.
    pub present_capacity_ah: Option<f64>,
}

/// Kinds of runs that are scored.
const DRIVES: [&str; 2] = ["drive", "mixed_day"];
/// Kinds of runs that resistances are identified from.
const PULSES: [&str; 3] = ["hppc", "gitt", "pulse"];
/// Identified from where there are no pulses, scored where there are no drives.
const DYNAMIC: &str = "dynamic";

/// Finds the data sets of a folder, adds those of plants, and pairs each drive with its cell.
///
/// - A folder `soh…` beside a `soh100` is the same cell at another age: its drives are scored with the cell identified
///   from `soh100`. Slow tests of the other ages serve as a life test of the cell type, that of the scored age does not.
/// - Other sets are identified from their own characterisation tests.
/// - Where a set has neither pulses nor drives but dynamic runs, each dynamic run is scored with a cell identified
///   without any dynamic run at its temperature.
///
/// # Errors
/// If a folder or a description cannot be read, or no data set has a drive that the filter takes.
pub fn plan(root: &Path, plants: &[PlantSets], filter: Option<&str>) -> Result<SetPlan, VerifyError> {
    let mut plan = SetPlan::default();
    for set in discover(root)? {
        let set = Arc::new(set);
        add(&mut plan, &set, &source_of(&set)?, &life_tests_of(&set)?, filter);
    }
    for plant in plants {
        let before = plan.drives.len();
        add(&mut plan, &plant.new, &plant.new, &plant.life_tests, filter);
        add(&mut plan, &plant.worn, &plant.new, &plant.life_tests, filter);
        if plan.drives.len() > before {
            plan.notes.push(plant.note.clone());
        }
    }
    if plan.drives.is_empty() {
        return Err(VerifyError::NoData { dir: root.to_path_buf() });
    }
    Ok(plan)
}

/// Whether a folder is laid out as the shared one: measured sets in `data`, simulated ones in `physics`.
#[must_use]
pub fn is_shared(root: &Path) -> bool {
    root.join("data").is_dir() && root.join("physics").is_dir()
}

/// The data sets of a folder at any depth, by path; of a shared folder those in `data` and `physics` only.
fn discover(root: &Path) -> Result<Vec<Dataset>, VerifyError> {
    let mut dirs = Vec::new();
    if is_shared(root) {
        walk(&root.join("data"), &mut dirs)?;
        walk(&root.join("physics"), &mut dirs)?;
    } else {
        walk(root, &mut dirs)?;
    }
    dirs.into_iter().map(|dir| Ok(Dataset::open(dir)?)).collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), VerifyError> {
    let io = |source| VerifyError::Io { path: dir.to_path_buf(), source };
    if dir.join("dataset.json").is_file() {
        found.push(dir.to_path_buf());
    }
    let mut below = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if path.is_dir() && !path.is_symlink() && !hidden {
            below.push(path);
        }
    }
    below.sort();
    below.iter().try_for_each(|dir| walk(dir, found))
}

/// Whether a set is named after an age, as `soh080_mixed`.
fn is_dated(set: &Dataset) -> bool {
    set.dir.file_name().is_some_and(|n| n.to_string_lossy().to_lowercase().starts_with("soh"))
}

/// The set that a set's cell is identified from: the new cell beside it, else itself.
fn source_of(set: &Arc<Dataset>) -> Result<Arc<Dataset>, VerifyError> {
    let new = set.dir.with_file_name("soh100");
    if !is_dated(set) || new == set.dir || !new.join("dataset.json").is_file() {
        return Ok(Arc::clone(set));
    }
    Ok(Arc::new(Dataset::open(new)?))
}

/// The other ages beside a dated set: aged cells of the same type, but not the one that is scored.
fn life_tests_of(set: &Arc<Dataset>) -> Result<Vec<Arc<Dataset>>, VerifyError> {
    let Some(parent) = set.dir.parent().filter(|_| is_dated(set)) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    walk(parent, &mut found)?;
    let mut others = Vec::new();
    for dir in found.into_iter().filter(|dir| *dir != set.dir && dir.parent() == Some(parent)) {
        let other = Dataset::open(dir)?;
        if is_dated(&other) && !other.name.ends_with("soh100") {
            others.push(Arc::new(other));
        }
    }
    Ok(others)
}

/// Adds the drives of a set, with cells identified from `source` and the life tests.
fn add(
    plan: &mut SetPlan,
    set: &Arc<Dataset>,
    source: &Arc<Dataset>,
    life_tests: &[Arc<Dataset>],
    filter: Option<&str>,
) {
    let has = |kinds: &[&str]| set.files.iter().any(|f| kinds.contains(&f.kind.as_deref().unwrap_or("")));
    let leave_one_out = !has(&DRIVES) && !has(&PULSES) && has(&[DYNAMIC]);
    let scored: &[&str] = if leave_one_out { &[DYNAMIC] } else { &DRIVES };
    let drives: Vec<&DatasetFile> = set
        .files
        .iter()
        .filter(|f| f.is_run() && scored.contains(&f.kind.as_deref().unwrap_or("")))
        .collect();
    if drives.is_empty() {
        if filter.is_none() {
            plan.notes.push(format!("{}: not scored, it has no drive", set.name));
        }
        return;
    }
    let takes = |file: &DatasetFile| {
        filter.is_none_or(|text| {
            format!("{}/{}", set.name, file.file).to_lowercase().contains(&text.to_lowercase())
        })
    };
    let folder = set.dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let age =
        if is_dated(set) { folder.split('_').next().unwrap_or_default().to_owned() } else { String::new() };
    let is_new = source.dir == set.dir;
    for file in drives.into_iter().filter(|f| takes(f)) {
        let mut source = CellSource {
            label: name_of(&source.dir, set),
            set: Arc::clone(source),
            selection: selection(set, file),
            life_tests: life_tests.to_vec(),
        };
        if !life_tests.is_empty() && set.simulated.is_none() {
            let ages = life_tests.iter().filter_map(|s| s.dir.file_name()).map(|n| n.to_string_lossy());
            source.label += &format!(" with ages {}", ages.collect::<Vec<_>>().join(", "));
        }
        if leave_one_out {
            let same = |f: &&DatasetFile| {
                f.kind == file.kind
                    && f.test_temperature_c.or(f.ambient_c) == file.test_temperature_c.or(file.ambient_c)
            };
            source.selection.exclude = set.files.iter().filter(same).map(|f| f.file.clone()).collect();
            let temperature = file.test_temperature_c.or(file.ambient_c).unwrap_or(25.0);
            source.label = format!("{} without {temperature} degC", set.name);
        }
        let cell = plan.cells.iter().position(|c| c.label == source.label).unwrap_or_else(|| {
            plan.cells.push(source);
            plan.cells.len() - 1
        });
        plan.drives.push(Drive {
            set: Arc::clone(set),
            file: file.clone(),
            cell,
            age: age.clone(),
            present_capacity_ah: set.truth_capacity_ah.filter(|_| !is_new),
        });
    }
}

/// Label of the set in a folder: the set's own name, with the last part of the folder where it is a sibling.
fn name_of(dir: &Path, set: &Dataset) -> String {
    if dir == set.dir {
        return set.name.clone();
    }
    let last = dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    match set.name.rsplit_once('/') {
        Some((head, _)) => format!("{head}/{last}"),
        None => last,
    }
}

/// The files of the drive's own cell where a set holds several cells in files of their own; else all.
fn selection(set: &Dataset, drive: &DatasetFile) -> Selection {
    let own = |f: &&DatasetFile| f.cell == drive.cell;
    let characterised = set.files.iter().any(|f| own(&f) && is_ocv(f))
        && set
            .files
            .iter()
            .filter(own)
            .any(|f| f.kind.as_deref().is_some_and(|k| PULSES.contains(&k) || k == DYNAMIC));
    if drive.cell.is_none() || !characterised || set.files.iter().all(|f| f.cell == drive.cell) {
        return Selection::default();
    }
    let mut common = drive.file.as_str();
    for file in set.files.iter().filter(own) {
        let same = common.bytes().zip(file.file.bytes()).take_while(|(a, b)| a == b).count();
        common = common.get(..same).unwrap_or_default();
    }
    Selection { only: (!common.is_empty()).then(|| common.to_owned()), exclude: Vec::new() }
}

fn is_ocv(file: &DatasetFile) -> bool {
    file.kind.as_deref().is_some_and(|k| k.starts_with("ocv"))
}
