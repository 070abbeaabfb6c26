//! The recorded state-of-power tables: largest loads of a finely resolved model of a cell, with the seconds before each
//! point, to bring the core to the same state.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use bms_core::cell::CellModel;
use bms_core::predict::PulseModel;
use bms_core::pulse::PulseObserver;
use bms_core::soc::SocEstimator;
use bms_core::sop::Limits;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::{SopCase, SopError, name, step_over};
use crate::cell_file::CellFileError;
use crate::data::{DataError, Dataset, Run};
use crate::identify::identify;
use crate::identify::plan::{Plan, Selection};
use crate::sensors::{self, SensorCorner};

/// One row: numbers and words by the name of their column.
type Row = (BTreeMap<String, f64>, BTreeMap<String, String>);

/// Rows of a table of any columns.
fn read(path: &Path) -> Result<Vec<Row>, DataError> {
    let damaged = |e: parquet::errors::ParquetError| DataError::Damaged {
        file: path.display().to_string(),
        reason: e.to_string(),
    };
    let file = File::open(path).map_err(|source| DataError::Unreadable { path: path.into(), source })?;
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).map_err(damaged)? {
        let (mut numbers, mut words) = Row::default();
        for (name, field) in row.map_err(damaged)?.get_column_iter() {
            let number = match field {
                Field::Double(x) => *x,
                Field::Float(x) => f64::from(*x),
                Field::Long(x) => *x as f64,
                Field::Int(x) => f64::from(*x),
                Field::Str(text) => {
                    words.insert(name.clone(), text.clone());
                    continue;
                }
                _ => continue,
            };
            numbers.insert(name.clone(), number);
        }
        rows.push((numbers, words));
    }
    Ok(rows)
}

/// Scores the recorded tables below `physics`, a folder with one folder per cell and in it one per age.
///
/// The new cell's tests (`soh100`) make it known to the core: with the tables of its SOC, since there are neither pulses near
/// the current limits, which the surfaces need, nor a reference electrode; plating is no limit of the recorded tables. Resistances at an age are learnt from the drive that was
/// recorded at the same age and temperature, where there is one. The power is the one within the cell's current limits.
///
/// # Errors
/// If a folder or a file cannot be used.
pub fn run(physics: &Path, sensors: SensorCorner, seed: u64) -> Result<Vec<SopCase>, SopError> {
    let cells = folders(physics)?.into_iter().map(|cell| of_cell(&cell, sensors, seed));
    Ok(cells.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The same for the folder of one cell; nothing where the new cell was not tested.
///
/// # Errors
/// If a folder or a file cannot be used, or the cell cannot be identified.
pub fn of_cell(cell: &Path, sensors: SensorCorner, seed: u64) -> Result<Vec<SopCase>, SopError> {
    let mut cases = Vec::new();
    let new = cell.join("soh100");
    if !new.join("dataset.json").is_file() {
        return Ok(cases);
    }
    let plan = Plan::from_dataset(&new, &Selection::default())?;
    let file = identify(&plan)?;
    let rated = rated(&Dataset::open(&new)?)?;
    for age in folders(cell)? {
        let set = Dataset::open(&age)?;
        for entry in set.files.iter().filter(|f| f.file.ends_with("_SOP.parquet")) {
            let known = Known { file: &file, rated };
            cases.extend(score(&set, &entry.file, &known, sensors, seed)?);
        }
    }
    Ok(cases)
}

struct Known<'a> {
    file: &'a crate::cell_file::CellFile,
    /// Discharge and charge power over 10 s at 25 degC and 50 % SOC, rested, in W.
    rated: [f64; 2],
}

/// Folders in `dir` that are a set or hold the sets of a cell, by name.
///
/// # Errors
/// If it cannot be read.
pub fn folders(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Unreadable { path: dir.into(), source };
    let mut all: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join("dataset.json").is_file() || path.join("soh100").is_dir() {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn rated(new: &Dataset) -> Result<[f64; 2], SopError> {
    let at_25 = new.files.iter().find(|f| f.file.ends_with("_SOP.parquet") && f.ambient_c == Some(25.0));
    let Some(entry) = at_25 else { return Ok([0.0; 2]) };
    let rows = read(&new.dir.join(&entry.file))?;
    let rested = rows.iter().filter(|(_, words)| words.get("state").is_some_and(|s| s == "rested"));
    let distance = |row: &Row| row.0.get("soc").map_or(f64::INFINITY, |z| (z - 0.5).abs());
    let middle = rested.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let value = |name: &str| middle.and_then(|r| r.0.get(name)).copied().unwrap_or_default();
    Ok([value("Pc_dis_10s"), value("Pc_ch_10s")])
}

fn score(
    set: &Dataset,
    table: &str,
    known: &Known<'_>,
    corner: SensorCorner,
    seed: u64,
) -> Result<Vec<SopCase>, SopError> {
    let lead = table.replace("_SOP.parquet", "_SOPlead.bdf.parquet");
    let Some(entry) = set.files.iter().find(|f| f.file == lead) else { return Ok(Vec::new()) };
    let refused = |source| CellFileError::Parameters { cell: known.file.cell.name.clone(), source };
    let tables = known.file.core_tables()?;
    let model = CellModel::new(tables.borrow()).map_err(refused)?;
    let pulse = PulseModel::from(&model);
    let tuning = known.file.cell.chemistry.tuning();
    let capacity_ah = set.truth_capacity_ah.unwrap_or(known.file.cell.capacity_ah);
    let nominal_ah = known.file.cell.nominal_capacity_ah;
    let measure = |run: &Run| sensors::measure(run, corner, capacity_ah, 0.0, seed);
    let start =
        |soc: f64| SocEstimator::new(&model, &tuning, capacity_ah as f32, soc as f32).map_err(refused);

    // What the car has learnt before: a drive at the same age and temperature.
    let mut learnt = PulseObserver::new(pulse);
    let same =
        |f: &&crate::data::DatasetFile| f.ambient_c == entry.ambient_c && f.kind.as_deref() == Some("drive");
    if let Some(drive) = set.files.iter().find(same)
        && let Some(run) = set.runs(drive)?.into_iter().next()
    {
        let soc = run.soc_true.as_ref().and_then(|s| s.first()).copied().unwrap_or(1.0);
        let mut follower = (start(soc)?, learnt, None);
        step_over(&mut follower, &measure(&run), 0..run.len());
        learnt = follower.1.rested();
    }

    let (discharge_a, charge_a) = set.current_limits_a.unwrap_or((3.0 * nominal_ah, 1.5 * nominal_ah));
    let limits =
        Limits { soc: [-0.05, 1.05], ..Limits::of_cell(&model, discharge_a as f32, charge_a as f32) };
    let rows = read(&set.dir.join(table))?;
    let mut cases = Vec::new();
    for run in set.runs(entry)? {
        let Some(point) = run.step_index.as_ref().and_then(|s| s.first()).copied() else { continue };
        let Some((numbers, words)) =
            rows.iter().find(|r| r.0.get("point").is_some_and(|p| *p as i64 == point))
        else {
            continue;
        };
        let soc = run.soc_true.as_ref().and_then(|s| s.first()).copied().unwrap_or(0.5);
        let mut follower = (start(soc.clamp(0.0, 1.0))?, learnt, None);
        step_over(&mut follower, &measure(&run), 0..run.len());
        let at = follower.0.operating_point();
        let sop = bms_core::sop::power(&pulse, &limits, &follower.1.start(&at), None);
        for (discharge, way) in [(true, "dis"), (false, "ch")] {
            let of = |s: &bms_core::sop::PowerLimits| if discharge { s.discharge } else { s.charge };
            for ((seconds, best), safe) in [2, 10, 30].into_iter().zip(of(&sop.best)).zip(of(&sop.safe)) {
                let column = format!("Pc_{way}_{seconds}s");
                let Some(truth) = numbers.get(&column).copied().filter(|p| p.is_finite()) else { continue };
                cases.push(SopCase {
                    set: set.name.clone(),
                    soh: set.truth_soh.unwrap_or(1.0),
                    ambient_c: entry.ambient_c.unwrap_or(25.0),
                    soc: numbers.get("soc").copied().unwrap_or(soc),
                    rested: words.get("state").is_some_and(|s| s == "rested"),
                    discharge,
                    horizon_s: f64::from(seconds),
                    power: true,
                    truth,
                    truth_by: words.get(&format!("{column}_by")).cloned().unwrap_or_default(),
                    best: f64::from(best.power_w),
                    best_by: name(best.power_by).into(),
                    safe: f64::from(safe.power_w),
                    rated: known.rated[usize::from(!discharge)],
                    soc_error: f64::from(at.soc.value) - numbers.get("soc").copied().unwrap_or(soc),
                    resistance_scale: f64::from(at.resistance_scale.value),
                });
            }
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recorded tables, where they are at hand.
    #[test]
    fn the_core_is_near_the_recorded_tables() {
        let cell = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/physics/nmc_m50");
        if !cell.is_dir() {
            return;
        }
        let cases = of_cell(&cell, SensorCorner::Good, 1).unwrap();
        assert!(cases.len() == 288, "{}", cases.len());
        let new_25 = |c: &SopCase| c.set.contains("nmc") && c.soh == 1.0 && c.ambient_c == 25.0;
        let figures = super::super::figures(&cases, new_25).unwrap();
        assert!(figures.rmse < 8.0 && figures.cases > 50, "{figures:?}");
    }
}
