//! From a file to its run or runs.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::bdf::{Purpose, Quantity, discharge_positive_from_bdf};
use super::error::DataError;
use super::run::Run;
use super::table::Table;
use super::{check, csv_source, parquet_source};

/// The counter has restarted where it falls back towards zero by more than this in one sample, in Ah.
const COUNTER_RESTART_AH: f64 = 0.05;
/// The same where the counter falls to exactly zero, as it does after a full cycle.
const COUNTER_RESET_AH: f64 = 0.002;
/// How much more charge than the current at both ends of an interval says may have flowed within it.
const COUNTER_SLACK: f64 = 1.5;

/// A state of charge above this anywhere in the file means that the column is in percent.
const PERCENT_ABOVE: f64 = 1.5;

/// What a file may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadOptions {
    /// Largest magnitude of a voltage in V; the default of 6 V suits one cell, a pack needs more.
    pub max_voltage_v: f64,
    /// Whether an optional column with gaps counts as absent instead of being refused (the default).
    pub drop_incomplete: bool,
    /// Whether gaps in the surface temperature are bridged by the value before them (at the start: the one after them).
    pub bridge_temperature: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { max_voltage_v: 6.0, drop_incomplete: false, bridge_temperature: false }
    }
}

/// Reads a file that holds one test.
///
/// Rows must be complete in time, voltage and current. An optional column without any value counts as absent, one with
/// gaps is an error, except an ambient temperature with gaps beside a complete surface temperature, which is left out.
///
/// # Errors
/// Names the file, and where it applies the row and the column; a clock that runs backwards is an error.
pub fn read_run(path: &Path) -> Result<Run, DataError> {
    read_run_with(path, &ReadOptions::default())
}

/// [`read_run`] with options.
///
/// # Errors
/// As [`read_run`].
pub fn read_run_with(path: &Path, options: &ReadOptions) -> Result<Run, DataError> {
    let table = table(path, Purpose::Run)?;
    check::required(&table, options)?;
    check::clock(&table)?;
    run(&table, options, 0..table.rows(), table.file.clone())
}

/// Reads a file that holds several tests one after another.
///
/// A new test begins where the clock runs backwards, or where the charge counter falls back towards zero by more than
/// the current can explain. The time of each part starts at 0; its counter stays as it is. A single sample between two
/// such places is no test and is left out. Optional columns are judged in each part as [`read_run`] does in the file.
///
/// # Errors
/// As [`read_run`], but for a clock that runs backwards.
pub fn read_segments(path: &Path) -> Result<Vec<Run>, DataError> {
    read_segments_with(path, &ReadOptions::default())
}

/// [`read_segments`] with options.
///
/// # Errors
/// As [`read_segments`].
pub fn read_segments_with(path: &Path, options: &ReadOptions) -> Result<Vec<Run>, DataError> {
    let table = table(path, Purpose::Run)?;
    check::required(&table, options)?;
    let parts = parts(&table);
    let several = parts.len() > 1;
    let mut runs = Vec::with_capacity(parts.len());
    for (k, rows) in parts.into_iter().enumerate() {
        let source = if several { format!("{} (part {})", table.file, k + 1) } else { table.file.clone() };
        let mut run = run(&table, options, rows, source)?;
        let start = run.time_s.first().copied().unwrap_or_default();
        for time in &mut run.time_s {
            *time -= start;
        }
        runs.push(run);
    }
    Ok(runs)
}

/// How a data file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    PackedText,
    Parquet,
}

/// The format that a file's name tells.
pub(super) fn format_of(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let packed = name.strip_suffix(".gz");
    let text = packed.unwrap_or(&name);
    if name.ends_with(".parquet") {
        return Some(Format::Parquet);
    }
    if !(text.ends_with(".csv") || text.ends_with(".bdf")) {
        return None;
    }
    Some(if packed.is_some() { Format::PackedText } else { Format::Text })
}

/// Reads the columns of a file by the format that its name tells.
pub(super) fn table(path: &Path, purpose: Purpose) -> Result<Table, DataError> {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |n| n.to_string_lossy());
    let format = format_of(path).ok_or_else(|| DataError::UnknownFormat { path: path.to_path_buf() })?;
    let unreadable = |source| DataError::Unreadable { path: path.to_path_buf(), source };
    let data = File::open(path).map_err(unreadable)?;
    if data.metadata().map_err(unreadable)?.is_dir() {
        return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
    }
    match format {
        Format::Parquet => parquet_source::read(data, path, &name, purpose),
        Format::Text => csv_source::read(BufReader::new(data), path, &name, purpose),
        Format::PackedText => {
            csv_source::read(MultiGzDecoder::new(BufReader::new(data)), path, &name, purpose)
        }
    }
}

/// The rows of each test in a file.
fn parts(table: &Table) -> Vec<Range<usize>> {
    let time = table.values(Quantity::Time);
    let current = table.values(Quantity::Current);
    let counter = table.values(Quantity::NetCharge);
    let mut parts = Vec::new();
    let mut start = 0;
    for (k, pair) in time.windows(2).enumerate() {
        let [before, now] = *pair else { continue };
        let restart = match (counter.get(k..k + 2), current.get(k..k + 2)) {
            (Some(&[from, to]), Some(&[i, j])) => {
                let explained = i.abs().max(j.abs()) * (now - before).max(0.0) / 3600.0;
                let least = if to == 0.0 { COUNTER_RESET_AH } else { COUNTER_RESTART_AH };
                to.abs() < from.abs() && (to - from).abs() > least + COUNTER_SLACK * explained
            }
            _ => false,
        };
        if now < before || restart {
            parts.push(start..k + 1);
            start = k + 1;
        }
    }
    parts.push(start..time.len());
    parts.retain(|rows| rows.len() > 1);
    parts
}

/// The run in some rows of a table.
fn run(table: &Table, options: &ReadOptions, rows: Range<usize>, source: String) -> Result<Run, DataError> {
    let part = |quantity| table.values(quantity).get(rows.clone()).unwrap_or_default();
    let flipped =
        |values: &[f64]| values.iter().map(|i| discharge_positive_from_bdf(*i)).collect::<Vec<f64>>();

    let complete = |quantity| match table.complete(quantity, rows.clone()) {
        Err(_) if options.drop_incomplete => Ok(None),
        other => other,
    };

    let surface = if options.bridge_temperature {
        bridged(part(Quantity::SurfaceTemperature))
    } else {
        complete(Quantity::SurfaceTemperature)?
    };
    let ambient = match complete(Quantity::AmbientTemperature) {
        Err(_) if surface.is_some() => None,
        other => other?,
    };
    for (quantity, values) in
        [(Quantity::SurfaceTemperature, &surface), (Quantity::AmbientTemperature, &ambient)]
    {
        if let Some(values) = values {
            check::temperature(table, quantity, values, rows.start)?;
        }
    }
    let mut soc_true = complete(Quantity::Soc)?;
    if let Some(soc) = &mut soc_true
        && table.values(Quantity::Soc).iter().any(|s| *s > PERCENT_ABOVE)
    {
        soc.iter_mut().for_each(|s| *s /= 100.0);
    }
    let step_index = match complete(Quantity::StepIndex)? {
        Some(values) => Some(whole_numbers(table, &values, rows.start)?),
        None => None,
    };
    Ok(Run {
        source,
        time_s: part(Quantity::Time).to_vec(),
        voltage_v: part(Quantity::Voltage).to_vec(),
        current_a: flipped(part(Quantity::Current)),
        mean_current_a: complete(Quantity::MeanCurrent)?.map(|i| flipped(&i)),
        temperature_c: surface.or_else(|| ambient.clone()),
        ambient_c: ambient,
        net_charge_ah: complete(Quantity::NetCharge)?,
        soc_true,
        step_index,
        contactors_open: None,
    })
}

/// The values with every gap bridged; `None` where there is no value at all.
fn bridged(values: &[f64]) -> Option<Vec<f64>> {
    let mut last = *values.iter().find(|v| v.is_finite())?;
    let bridge = |v: &f64| {
        if v.is_finite() {
            last = *v;
        }
        last
    };
    Some(values.iter().map(bridge).collect())
}

/// Step numbers; `first` is the row of the first one.
fn whole_numbers(table: &Table, values: &[f64], first: usize) -> Result<Vec<i64>, DataError> {
    let is_whole = |v: f64| v.fract() == 0.0 && v.abs() < 9.0e15;
    if let (Some(k), Some(column)) =
        (values.iter().position(|v| !is_whole(*v)), table.column(Quantity::StepIndex))
    {
        let value = values.get(k).copied().unwrap_or_default();
        return Err(table.bad_value(first + k, column, format!("{value} is not a whole number")));
    }
    Ok(values.iter().map(|v| *v as i64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_bridged_from_before_and_at_the_start_from_after() {
        let gap = f64::NAN;
        assert_eq!(bridged(&[gap, gap, 20.0, gap, 21.0]), Some(vec![20.0, 20.0, 20.0, 20.0, 21.0]));
        assert_eq!(bridged(&[gap, gap]), None);
        assert_eq!(bridged(&[]), None);
    }
}
