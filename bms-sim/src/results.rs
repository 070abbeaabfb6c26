//! What `bms verify` found, in the shape of `report/results.json`.

use serde::{Deserialize, Serialize};

use crate::cell_file::{CellFile, Chemistry};

/// The whole outcome of one `bms verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Results {
    /// Version of the program.
    pub version: String,
    /// One per scored run and condition.
    pub cases: Vec<Case>,
    /// Estimator variants with one part removed, on the same runs and seeds.
    pub ablations: Vec<Ablation>,
    /// Recorded bounds and what was reached.
    pub bounds: Vec<BoundCheck>,
    /// The targets of the acceptance protocol and what was reached.
    #[serde(default)]
    pub targets: Vec<TargetOutcome>,
    /// What each term of the sensors' errors costs, where the whole matrix ran.
    #[serde(default)]
    pub sensor_terms: Option<SensorTerms>,
    /// Where the target is missed with good sensors and what helps, the most misses first.
    #[serde(default)]
    pub causes: Vec<Cause>,
    /// What was skipped and why.
    pub notes: Vec<String>,
}

impl Default for Results {
    /// Of this version, nothing yet.
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            cases: Vec::new(),
            ablations: Vec::new(),
            bounds: Vec::new(),
            targets: Vec::new(),
            sensor_terms: None,
            causes: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// One run under one start error, sensor corner and current offset.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    /// Data set, e.g. `physics/nmc_m50/soh100` or `data/lg_18650hg2`.
    pub dataset: String,
    /// Chemistry family.
    pub chemistry: Chemistry,
    /// True for measured cells, false for physics models.
    pub measured: bool,
    /// True for the project's own plants, simulated during the run; false for recorded runs.
    #[serde(default)]
    pub plant: bool,
    /// True when the estimator's constants were tuned on this drive (`verify::split`).
    #[serde(default)]
    pub tuned_on: bool,
    /// Age label, e.g. `soh100`.
    pub age: String,
    /// Ambient temperature in degC.
    pub temperature_c: f64,
    /// Profile name, e.g. `US06`.
    pub profile: String,
    /// Run file, relative to the data set.
    pub file: String,
    /// Error of the SOC that the estimators were started with, in points (percent of SOC).
    pub start_error_points: f64,
    /// `ideal`, `good` or `limit`.
    pub sensors: String,
    /// Which draw of the sensor errors, from 0.
    #[serde(default)]
    pub draw: u64,
    /// True when the core was told that its start SOC is remembered, false when it is a guess.
    #[serde(default)]
    pub remembered: bool,
    /// Added current offset in A, positive on discharge.
    pub current_offset_a: f64,
    /// Capacity given to the estimators in Ah.
    pub capacity_ah: f64,
    /// True when that capacity is the present one, false when it is the new cell's.
    pub capacity_known: bool,
    /// Scores of `bms-core`.
    pub bms: Score,
    /// Scores of the plain coulomb counter.
    pub coulomb_counter: Score,
    /// Scores of the textbook 2-RC EKF.
    pub textbook_ekf: Score,
    /// Downsampled time series for the plots, when kept.
    #[serde(skip)]
    pub trace: Option<Trace>,
    /// CSV behind the trace, relative to the report folder.
    pub trace_file: Option<String>,
}

/// Errors of one estimator over one run, all in points of SOC.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Score {
    /// Largest |error| after the excluded start.
    pub max_points: f64,
    /// 99th percentile of |error| after the excluded start.
    pub p99_points: f64,
    /// Root mean square error after the excluded start.
    pub rmse_points: f64,
    /// Seconds after which |error| entered 3 points and never left; `None` when it never did.
    pub convergence_s: Option<f64>,
    /// Share of scored time inside the own 3-sigma band, 0..1; `None` for estimators without a band.
    pub coverage: Option<f64>,
    /// The same over the excluded start: the convergence time declared for a wrong one.
    #[serde(default)]
    pub coverage_before: Option<f64>,
    /// Signed error at the end.
    pub end_points: f64,
    /// Hours scored.
    pub scored_h: f64,
}

/// Time series kept for plots (at most about 2000 points).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Trace {
    /// Seconds from the start of the run.
    pub time_s: Vec<f64>,
    /// Reference SOC, fraction.
    pub soc_true: Vec<f64>,
    /// `bms-core`'s SOC, fraction.
    pub soc: Vec<f64>,
    /// `bms-core`'s standard deviation, fraction.
    pub soc_std: Vec<f64>,
    /// Coulomb counter's SOC, fraction.
    pub soc_coulomb_counter: Vec<f64>,
    /// Textbook EKF's SOC, fraction.
    pub soc_textbook_ekf: Vec<f64>,
    /// Measured voltage in V.
    pub voltage_v: Vec<f64>,
    /// Measured current in A, positive on discharge.
    pub current_a: Vec<f64>,
    /// Measured temperature in degC.
    pub temperature_c: Vec<f64>,
    /// Estimated current offset in A.
    pub current_bias_a: Vec<f64>,
}

/// One estimator variant scored over a fixed group of cases.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ablation {
    /// What was removed, e.g. `without hysteresis`; the full estimator is `full`.
    pub variant: String,
    /// Group of cases, e.g. `LFP, wrong start`.
    pub group: String,
    /// Number of cases.
    pub cases: usize,
    /// Mean over the cases of the RMSE, in points.
    pub rmse_points: f64,
    /// Mean over the cases of the maximum, in points.
    pub mean_max_points: f64,
    /// Largest maximum, in points.
    pub worst_max_points: f64,
    /// Mean coverage of the 3-sigma band, 0..1.
    pub coverage: f64,
}

/// A recorded bound and the value reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BoundCheck {
    /// What is bounded.
    pub name: String,
    /// Value reached.
    pub value: f64,
    /// Bound (inclusive).
    pub bound: f64,
    /// Unit, e.g. `points`.
    pub unit: String,
    /// Whether the bound holds.
    pub ok: bool,
}

/// A target of the acceptance protocol and what was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetOutcome {
    /// Its number there.
    pub number: u32,
    /// What is asked for.
    pub name: String,
    /// Value reached.
    pub measured: f64,
    /// Value asked for.
    pub limit: f64,
    /// Unit of both.
    pub unit: String,
    /// Whether it is met.
    pub met: bool,
    /// Over what, and where it is missed.
    pub detail: String,
}

/// What each term of the sensors' errors costs (`verify::sensor_terms`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensorTerms {
    /// Figures for each corner, family of chemistries and set of terms.
    pub scores: Vec<TermScore>,
    /// The largest offset of the limit corner, drive by drive.
    pub offsets: Vec<OffsetTrial>,
    /// Which term breaks each corner, in words.
    pub verdicts: Vec<String>,
}

/// Sensors with some of a corner's terms over a sample of drives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TermScore {
    /// `good` or `limit`.
    pub corner: String,
    /// Family of chemistries: `NMC, NCA` or `LFP`.
    pub family: String,
    /// Terms that are on: `none`, `all`, `only …` or `all but …`.
    pub sensors: String,
    /// Number of drives.
    pub runs: usize,
    /// Number of them whose maximum is above the target.
    pub missed: usize,
    /// Largest maximum in points.
    pub max_points: f64,
    /// Mean over the drives of the RMSE in points.
    pub rmse_points: f64,
}

/// The largest current offset of the limit corner over one drive, the worse of both signs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OffsetTrial {
    /// Data set and file.
    pub drive: String,
    /// Chemistry of the cell.
    pub chemistry: Chemistry,
    /// The offset as a share of the capacity per hour.
    pub offset_c: f64,
    /// Hours of the drive.
    pub hours: f64,
    /// What a counter drifts by in that time, in points.
    pub bound_points: f64,
    /// Maximum error reached in points.
    pub zero_known_points: f64,
    /// The same where the contactors are never known to be open, so that no zero can be taken.
    pub zero_unknown_points: f64,
}

/// A group of cases that miss the target with good sensors, and what helps the worst of them (`verify::causes`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Chemistry, age, temperature, start, kind of profile.
    pub group: String,
    /// Cases that miss it …
    pub cases: usize,
    /// … of so many.
    pub of: usize,
    /// Largest maximum in points.
    pub worst_points: f64,
    /// The case that has it.
    pub worst: String,
    /// What was changed in that case, and the maximum in points then; empty where nothing was tried.
    pub experiments: Vec<(String, f64)>,
    /// The experiment that brings it within the target, or that none does.
    pub verdict: String,
}

/// One identified cell for the report's identification section.
#[derive(Debug, Clone)]
pub struct IdentifiedCell {
    /// Data set it was identified from.
    pub dataset: String,
    /// The cell.
    pub cell: CellFile,
    /// Cell file, relative to the report folder.
    pub cell_file: String,
}

/// The targets of the acceptance protocol that this step scores.
pub const TARGET_POINTS: f64 = 3.0;
/// Share of samples that must lie inside the own 3-sigma band.
pub const TARGET_COVERAGE: f64 = 0.99;
