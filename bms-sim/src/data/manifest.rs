//! A data set: which cell, which limits, which file holds what. Described by the `dataset.json` of a folder of data
//! files, or made up in memory with the runs of a simulated cell.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::DataError;
use super::read::read_segments;
use super::run::Run;

/// Runs of a cell that are made when they are asked for, instead of read from a folder.
pub trait RunSource: Debug + Send + Sync {
    /// The run that an entry of the data set names; the same one every time.
    ///
    /// # Errors
    /// If it cannot be made.
    fn run(&self, file: &DatasetFile) -> Result<Run, DataError>;
}

/// Data files with their description.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The folder; only a name where the runs are simulated.
    pub dir: PathBuf,
    /// Name of the set.
    pub name: String,
    /// The cell or cells in it.
    pub cell: String,
    /// Chemistry in the words of the set.
    pub chemistry: Option<String>,
    /// Nominal capacity in Ah.
    pub nominal_capacity_ah: Option<f64>,
    /// Lower and upper voltage limit in V.
    pub voltage_limits_v: Option<[f64; 2]>,
    /// Largest discharge and largest charge current in A, both as positive numbers.
    pub current_limits_a: Option<(f64, f64)>,
    /// True capacity in Ah, where it is known because the data are simulated.
    pub truth_capacity_ah: Option<f64>,
    /// True state of health as a fraction of the new cell's capacity, where known.
    pub truth_soh: Option<f64>,
    /// Temperature in degC and true 10 s resistance in ohm at 50 % SOC, where known, by rising temperature.
    pub truth_r10s_ohm: Vec<(f64, f64)>,
    /// Measured capacities in whatever shape the set gives them; null if it gives none.
    pub measured_capacity: Value,
    /// The data files, in the order of the description.
    pub files: Vec<DatasetFile>,
    /// Where the runs come from, if not from files in the folder.
    pub simulated: Option<Arc<dyn RunSource>>,
    /// The whole description.
    pub raw: Value,
}

/// One data file of a set.
#[derive(Debug, Clone, Default)]
pub struct DatasetFile {
    /// Path within the folder of the set.
    pub file: String,
    /// What kind of test it is: `hppc`, `ocv_c20`, `capacity_1C`, `drive`, …
    pub kind: Option<String>,
    /// Which one of that kind, such as the name of the drive cycle.
    pub profile: Option<String>,
    /// The cell, where the set has several.
    pub cell: Option<String>,
    /// Ambient temperature in degC: the file's own, else the set's; `None` if not given as a number.
    pub ambient_c: Option<f64>,
    /// Temperature in degC of the test series to which the file belongs, where it differs from the ambient.
    pub test_temperature_c: Option<f64>,
    /// Date and time of the first row as text.
    pub start: Option<String>,
    /// State of charge in percent at which the run starts or to which the cell had been brought.
    pub start_soc_pct: Option<f64>,
    /// Whether the SOC of each pulse was set at 25 degC before the cell was soaked at the test temperature.
    pub soc_set_at_25c: Option<bool>,
    /// Number of rows.
    pub rows: Option<u64>,
    /// Length of the test in s.
    pub duration_s: Option<f64>,
    /// True capacity in Ah of the file's cell, where the set has several that are known because they are simulated.
    pub truth_capacity_ah: Option<f64>,
    /// What is to be known about the file.
    pub note: Option<String>,
    /// The whole entry.
    pub raw: Value,
}

impl DatasetFile {
    /// Whether the file holds samples over time; tables of true power limits do not.
    #[must_use]
    pub fn is_run(&self) -> bool {
        self.kind.as_deref() != Some("sop_truth")
    }
}

impl Dataset {
    /// Opens a folder with a `dataset.json`.
    ///
    /// # Errors
    /// If there is none, or it cannot be understood; the message names the file and the entry.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, DataError> {
        let dir = dir.as_ref();
        let path = dir.join("dataset.json");
        let text = std::fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound if dir.is_dir() => DataError::NoManifest { dir: dir.to_path_buf() },
            std::io::ErrorKind::NotFound => DataError::Unreadable { path: dir.to_path_buf(), source },
            _ => DataError::Unreadable { path: path.clone(), source },
        })?;
        Self::parsed(dir, &text).map_err(|reason| DataError::BadManifest { path, reason })
    }

    /// Where a file of the set is.
    #[must_use]
    pub fn path(&self, file: &DatasetFile) -> PathBuf {
        self.dir.join(&file.file)
    }

    /// The runs of a file of the set, one for each test in it.
    ///
    /// # Errors
    /// If the file cannot be read, or the run not be simulated.
    pub fn runs(&self, file: &DatasetFile) -> Result<Vec<Run>, DataError> {
        match &self.simulated {
            Some(source) => Ok(vec![source.run(file)?]),
            None => read_segments(&self.path(file)),
        }
    }

    /// The files of one kind, in the order of the description.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a DatasetFile> + 'a {
        self.files.iter().filter(move |f| f.kind.as_deref() == Some(kind))
    }

    fn parsed(dir: &Path, text: &[u8]) -> Result<Self, String> {
        let raw: Value = serde_json::from_slice(text).map_err(|e| format!("not valid JSON: {e}"))?;
        let set: RawSet = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let mut files = Vec::with_capacity(set.files.len());
        for (k, raw) in set.files.into_iter().enumerate() {
            let entry: RawFile =
                Deserialize::deserialize(&raw).map_err(|e| format!("entry {} of files: {e}", k + 1))?;
            files.push(DatasetFile {
                file: entry.file,
                kind: entry.kind,
                profile: entry.profile_name.or(entry.profile),
                cell: entry.cell.or(entry.battery),
                ambient_c: if raw.get("ambient_C").is_some() { entry.ambient_c } else { set.ambient_c },
                test_temperature_c: entry.test_temperature_c,
                start: entry.start,
                start_soc_pct: entry.start_soc_pct,
                soc_set_at_25c: entry.soc_set_at_25c,
                rows: entry.rows,
                duration_s: entry.duration_s,
                truth_capacity_ah: None,
                note: entry.note,
                raw,
            });
        }
        let truth = set.truth.unwrap_or_default();
        let mut truth_r10s_ohm = Vec::new();
        for (temperature, mohm) in truth.r10s_mohm {
            let degrees: f64 = temperature
                .parse()
                .map_err(|_| format!("r10s_mohm: `{temperature}` is not a temperature"))?;
            truth_r10s_ohm.push((degrees, mohm / 1000.0));
        }
        truth_r10s_ohm.sort_by(|a, b| a.0.total_cmp(&b.0));
        let folder = || dir.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok(Self {
            dir: dir.to_path_buf(),
            name: set.dataset.unwrap_or_else(folder),
            cell: set.cell,
            chemistry: set.chemistry,
            nominal_capacity_ah: set.nominal_capacity_ah,
            voltage_limits_v: set.voltage_limits_v,
            current_limits_a: set.current_limits_a.map(|l| (l.discharge, l.charge)),
            truth_capacity_ah: truth.capacity_ah,
            truth_soh: truth.soh_q,
            truth_r10s_ohm,
            measured_capacity: set.measured_capacity,
            files,
            simulated: None,
            raw,
        })
    }
}

/// The description as it is written.
#[derive(Deserialize)]
struct RawSet {
    dataset: Option<String>,
    cell: String,
    chemistry: Option<String>,
    #[serde(rename = "nominal_capacity_Ah")]
    nominal_capacity_ah: Option<f64>,
    #[serde(rename = "voltage_limits_V")]
    voltage_limits_v: Option<[f64; 2]>,
    #[serde(rename = "current_limits_A")]
    current_limits_a: Option<RawLimits>,
    truth: Option<RawTruth>,
    #[serde(default)]
    measured_capacity: Value,
    #[serde(rename = "ambient_C", default, deserialize_with = "number_if_any")]
    ambient_c: Option<f64>,
    files: Vec<Value>,
}

#[derive(Deserialize)]
struct RawLimits {
    discharge: f64,
    charge: f64,
}

#[derive(Deserialize, Default)]
struct RawTruth {
    #[serde(rename = "capacity_Ah")]
    capacity_ah: Option<f64>,
    soh_q: Option<f64>,
    #[serde(default)]
    r10s_mohm: std::collections::BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct RawFile {
    file: String,
    kind: Option<String>,
    profile_name: Option<String>,
    profile: Option<String>,
    cell: Option<String>,
    battery: Option<String>,
    #[serde(rename = "ambient_C", default, deserialize_with = "number_if_any")]
    ambient_c: Option<f64>,
    #[serde(rename = "test_temperature_C", default, deserialize_with = "number_if_any")]
    test_temperature_c: Option<f64>,
    start: Option<String>,
    start_soc_pct: Option<f64>,
    #[serde(rename = "soc_set_at_25C")]
    soc_set_at_25c: Option<bool>,
    rows: Option<u64>,
    duration_s: Option<f64>,
    note: Option<String>,
}

/// A number; anything else, such as the text `room`, is none.
fn number_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_f64())
}
