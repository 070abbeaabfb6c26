//! Which runs to identify a cell from.

use std::path::{Path, PathBuf};

use super::IdentifyError;
use super::ocv::OcvTest;
use crate::cell_file::Chemistry;
use crate::data::{Dataset, DatasetFile, Run, read_segments};

/// A pulse test or another run that excites the cell at one temperature.
#[derive(Debug, Clone)]
pub struct PulseTest {
    /// Test temperature in degC.
    pub temperature_c: f64,
    /// The run; the first part where the file holds several.
    pub run: Run,
}

/// Everything that `identify` works from.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Name of the cell.
    pub name: String,
    /// Data set or laboratory.
    pub source: String,
    /// Chemistry, if it is known rather than to be told from the open-circuit voltage.
    pub chemistry: Option<Chemistry>,
    /// Nominal capacity in Ah, if known.
    pub nominal_capacity_ah: Option<f64>,
    /// Cut-off voltages, if known.
    pub voltage_limits_v: Option<[f64; 2]>,
    /// Slow open-circuit tests.
    pub ocv: Vec<OcvTest>,
    /// Pulse tests.
    pub pulses: Vec<PulseTest>,
    /// Full discharges at higher rates: not fitted; they tell how far the model can be trusted under lasting load.
    pub discharges: Vec<PulseTest>,
    /// Slow tests of aged cells of the same type, from a life test: they tell how the open-circuit voltage moves with age.
    pub aged: Vec<OcvTest>,
    /// Whether resistances are fitted to dynamic runs because there is no pulse test.
    pub from_dynamic: bool,
    /// File names with their use.
    pub files: Vec<String>,
    /// What was noticed on the way.
    pub warnings: Vec<String>,
}

/// Which files of a data set to use.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only files whose path contains this text.
    pub only: Option<String>,
    /// No file whose path contains one of these texts.
    pub exclude: Vec<String>,
}

impl Selection {
    /// Whether a path inside a data set is selected.
    #[must_use]
    pub fn takes(&self, file: &str) -> bool {
        let lower = file.to_lowercase();
        self.only.as_ref().is_none_or(|o| lower.contains(&o.to_lowercase()))
            && !self.exclude.iter().any(|e| lower.contains(&e.to_lowercase()))
    }
}

impl Plan {
    /// A plan from a folder with a `dataset.json`.
    ///
    /// Open-circuit tests are files of kind `ocv` and `ocv_c20` (or slow `rate` files where there are none); pulse
    /// tests are `hppc`, `gitt` and `pulse` (or `dynamic` runs where there are none). Drives are never used.
    ///
    /// # Errors
    /// If the folder or one of its characterisation runs cannot be read.
    pub fn from_dataset(dir: &Path, selection: &Selection) -> Result<Self, IdentifyError> {
        Self::of_set(&Dataset::open(dir)?, selection)
    }

    /// The same from a data set that is at hand.
    ///
    /// # Errors
    /// If one of its characterisation runs cannot be read or made.
    pub fn of_set(set: &Dataset, selection: &Selection) -> Result<Self, IdentifyError> {
        let mut plan = Self {
            name: set.cell.clone(),
            source: match set.simulated {
                Some(_) => format!("{} (simulated)", set.name),
                None => set.name.clone(),
            },
            nominal_capacity_ah: set.nominal_capacity_ah,
            voltage_limits_v: set.voltage_limits_v,
            ..Self::default()
        };
        let text = format!("{} {}", set.cell, set.chemistry.as_deref().unwrap_or("")).to_uppercase();
        plan.chemistry = text.contains("NCA").then_some(Chemistry::Nca);
        let mut files: Vec<&DatasetFile> =
            set.files.iter().filter(|f| f.is_run() && selection.takes(&f.file)).collect();
        if let Some(cell) = only_characterised(&files) {
            plan.warnings
                .push(format!("several cells here: took {cell}, the only one with slow and pulse tests"));
            plan.name = cell.clone();
            files.retain(|f| f.cell.as_ref().is_none_or(|c| *c == cell));
        }
        let kind = |f: &&&DatasetFile, kinds: &[&str]| f.kind.as_deref().is_some_and(|k| kinds.contains(&k));
        let mut ocv: Vec<_> = files.iter().filter(|f| kind(f, &["ocv", "ocv_c20"])).collect();
        if ocv.is_empty() {
            ocv =
                files.iter().filter(|f| kind(f, &["rate", "capacity_rate"]) && is_slow_by_name(f)).collect();
        }
        one_cell(&set.name, &ocv)?;
        let ocv_cell = ocv.iter().find_map(|f| f.cell.clone());
        for f in ocv {
            let t = temperature(f, &mut plan.warnings);
            let runs = set.runs(f)?;
            plan.files.push(format!("{}: open-circuit test at {t} degC", f.file));
            match plan.ocv.iter_mut().find(|o| (o.temperature_c - t).abs() < 0.5) {
                Some(test) => test.runs.extend(runs),
                None => plan.ocv.push(OcvTest { temperature_c: t, runs }),
            }
        }
        let mut pulses: Vec<_> = files.iter().filter(|f| kind(f, &["hppc", "gitt", "pulse"])).collect();
        if pulses.is_empty() {
            pulses = files.iter().filter(|f| kind(f, &["dynamic"])).collect();
            if !pulses.is_empty() {
                plan.from_dynamic = true;
                plan.warnings.push("no pulse test: resistances are fitted to dynamic runs".into());
            }
        }
        one_cell(&set.name, &pulses)?;
        if let (Some(slow), Some(pulsed)) = (ocv_cell, pulses.iter().find_map(|f| f.cell.clone()))
            && slow != pulsed
        {
            plan.warnings.push(format!("open-circuit test of cell {slow}, pulse test of cell {pulsed}"));
        }
        for f in pulses {
            let t = temperature(f, &mut plan.warnings);
            plan.add_pulses(&f.file, set.runs(f)?, t);
        }
        for f in files.iter().filter(|f| kind(f, &["capacity_rate", "capacity_1C"])) {
            let t = temperature(f, &mut plan.warnings);
            let before = plan.discharges.len();
            for run in set.runs(f)?.into_iter().filter(starts_with_a_discharge) {
                plan.discharges.push(PulseTest { temperature_c: t, run });
            }
            if plan.discharges.len() > before {
                plan.files.push(format!("{}: full discharge at {t} degC", f.file));
            }
        }
        Ok(plan)
    }

    /// Adds the slow tests of a set that holds an aged cell of the same type.
    ///
    /// # Errors
    /// If one of them cannot be read or made.
    pub fn add_life_test(&mut self, set: &Dataset) -> Result<(), IdentifyError> {
        let slow = |f: &&DatasetFile| f.is_run() && f.kind.as_deref().is_some_and(|k| k.starts_with("ocv"));
        for f in set.files.iter().filter(slow) {
            let t = temperature(f, &mut self.warnings);
            self.files
                .push(format!("{}/{}: open-circuit test of an aged cell at {t} degC", set.name, f.file));
            self.aged.push(OcvTest { temperature_c: t, runs: set.runs(f)? });
        }
        Ok(())
    }

    /// A plan from explicit files, each with its test temperature in degC.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn from_files(ocv: &[(PathBuf, f64)], hppc: &[(PathBuf, f64)]) -> Result<Self, IdentifyError> {
        let mut plan = Self { source: "explicit files".into(), ..Self::default() };
        for (path, t) in ocv {
            plan.files.push(format!("{}: open-circuit test at {t} degC", path.display()));
            let runs = read_segments(path)?;
            match plan.ocv.iter_mut().find(|o| (o.temperature_c - t).abs() < 0.5) {
                Some(test) => test.runs.extend(runs),
                None => plan.ocv.push(OcvTest { temperature_c: *t, runs }),
            }
        }
        for (path, t) in hppc {
            plan.add_pulses(&path.display().to_string(), read_segments(path)?, *t);
        }
        let first = ocv.first().or(hppc.first()).map(|(p, _)| p.clone()).unwrap_or_default();
        plan.name = first.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(plan)
    }

    /// Takes the first part of a pulse file.
    fn add_pulses(&mut self, name: &str, parts: Vec<Run>, temperature_c: f64) {
        let count = parts.len();
        if count > 1 {
            self.warnings.push(format!("{name}: only the first of its {count} tests is used"));
        }
        if let Some(run) = parts.into_iter().next() {
            self.files.push(format!("{name}: pulse test at {temperature_c} degC"));
            self.pulses.push(PulseTest { temperature_c, run });
        }
    }
}

/// The one cell among several that has both slow tests and pulse (or dynamic) tests; `None` if there is no choice to make
/// or no single answer.
fn only_characterised(files: &[&DatasetFile]) -> Option<String> {
    let cells_with = |kinds: &[&str]| -> Vec<&String> {
        let of_kind = files.iter().filter(|f| f.kind.as_deref().is_some_and(|k| kinds.contains(&k)));
        let mut cells: Vec<&String> = of_kind.filter_map(|f| f.cell.as_ref()).collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    };
    let slow = cells_with(&["ocv", "ocv_c20"]);
    let pulsed = cells_with(&["hppc", "gitt", "pulse", "dynamic"]);
    let mut both = slow.iter().filter(|c| pulsed.contains(c));
    match (both.next(), both.next()) {
        (Some(cell), None) if slow.len() > 1 || pulsed.len() > 1 => Some((*cell).clone()),
        _ => None,
    }
}

/// Refuses tests of one use that belong to different cells.
fn one_cell(set: &str, files: &[&&DatasetFile]) -> Result<(), IdentifyError> {
    let mut cells: Vec<&str> = files.iter().filter_map(|f| f.cell.as_deref()).collect();
    cells.sort_unstable();
    cells.dedup();
    match cells.len() {
        0 | 1 => Ok(()),
        _ => Err(IdentifyError::SeveralCells { set: set.to_owned(), cells: cells.join(", ") }),
    }
}

/// Whether the first current of a run is a discharge.
fn starts_with_a_discharge(run: &Run) -> bool {
    let largest = run.current_a.iter().fold(0.0f64, |m, i| m.max(i.abs()));
    run.current_a.iter().find(|i| i.abs() > 0.2 * largest).is_some_and(|i| *i > 0.0)
}

fn is_slow_by_name(f: &DatasetFile) -> bool {
    let name = f.profile.clone().unwrap_or_default().to_lowercase();
    ["co20", "c/20", "c20", "co10", "c/10", "c10", "co30", "c30"].iter().any(|s| name.contains(s))
}

fn temperature(f: &DatasetFile, warnings: &mut Vec<String>) -> f64 {
    f.test_temperature_c.or(f.ambient_c).unwrap_or_else(|| {
        warnings.push(format!("{}: no test temperature given, 25 degC assumed", f.file));
        25.0
    })
}
