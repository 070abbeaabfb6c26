//! The cell file: what `bms identify` writes and every other call reads.
//!
//! One TOML format holds the parameter tables over temperature and SOC, their limits of validity, where they came from
//! and how well they fitted. It lends itself to `bms_core::CellModel` without a copy of the tables by hand.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The version of the format that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// A cell as identified from laboratory tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellFile {
    /// Version of this format ([`FORMAT_VERSION`]).
    pub format_version: u32,
    /// Name, chemistry, capacity and voltage limits.
    pub cell: CellInfo,
    /// Where the tables may be trusted.
    pub validity: Validity,
    /// Where the numbers came from.
    pub provenance: Provenance,
    /// The parameter tables.
    pub tables: Tables,
    /// What the fit left unexplained, one entry per temperature.
    #[serde(default)]
    pub fit: Vec<FitSummary>,
}

/// Chemistry family; it selects the estimator's one frozen tuning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, PartialOrd, Ord)]
pub enum Chemistry {
    /// Layered nickel manganese cobalt oxide (also LCO and blends).
    #[serde(rename = "NMC")]
    Nmc,
    /// Nickel cobalt aluminium oxide.
    #[serde(rename = "NCA")]
    Nca,
    /// Lithium iron phosphate.
    #[serde(rename = "LFP")]
    Lfp,
}

/// Name plate of the cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellInfo {
    /// Free name.
    pub name: String,
    /// Chemistry family.
    pub chemistry: Chemistry,
    /// Nominal capacity in Ah.
    pub nominal_capacity_ah: f64,
    /// Measured reference capacity in Ah (C/20 at 25 degC unless the provenance says otherwise).
    pub capacity_ah: f64,
    /// Charge out over charge in, 0..1.
    pub coulombic_efficiency: f64,
    /// Lower cut-off voltage.
    pub v_min: f64,
    /// Upper cut-off voltage.
    pub v_max: f64,
}

/// The range that the tests covered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validity {
    /// Lowest and highest test temperature in degC.
    pub temperature_c: [f64; 2],
    /// Lowest and highest SOC with a pulse, as fractions.
    pub soc: [f64; 2],
    /// Largest pulse in multiples of the nominal capacity, discharge and charge.
    pub c_rate: [f64; 2],
}

/// Where the numbers came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Program and version that wrote the file.
    pub tool: String,
    /// Data set or laboratory.
    pub source: String,
    /// Files used, with what for.
    pub files: Vec<String>,
    /// What could not be identified and what was assumed instead.
    pub warnings: Vec<String>,
}

/// Tables over temperature (rows) and SOC (columns).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Temperatures of the rows in degC, ascending.
    pub temperature_c: Vec<f64>,
    /// Mean of the charge and discharge branch of the open-circuit voltage in V; columns are SOC 0..1 in equal steps.
    pub ocv_v: Vec<Vec<f64>>,
    /// Half the gap between the branches in V, same columns as `ocv_v`.
    pub hysteresis_v: Vec<Vec<f64>>,
    /// Ohmic resistance in ohm; columns are SOC 0..1 in equal steps (coarser than `ocv_v`).
    pub r0_ohm: Vec<Vec<f64>>,
    /// Charge-transfer resistance at zero current in ohm, columns as `r0_ohm`; falls with current by asinh.
    pub rct_ohm: Vec<Vec<f64>>,
    /// Resistance of the fast RC pair in ohm, columns as `r0_ohm`.
    pub r1_ohm: Vec<Vec<f64>>,
    /// Time constant of the fast RC pair in s, columns as `r0_ohm`.
    pub tau1_s: Vec<Vec<f64>>,
    /// Resistance of the slow RC pair in ohm, columns as `r0_ohm`.
    pub r2_ohm: Vec<Vec<f64>>,
    /// Time constant of the slow RC pair in s, columns as `r0_ohm`.
    pub tau2_s: Vec<Vec<f64>>,
    /// Current scale of the asinh law in A, one per temperature.
    pub i_ct_a: Vec<f64>,
    /// One standard deviation of the voltage model's slowly varying error in V, one per temperature.
    pub model_error_v: Vec<f64>,
    /// Rate of the hysteresis state per full charge throughput (dimensionless).
    pub hysteresis_gamma: f64,
}

/// What the fit left unexplained at one temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitSummary {
    /// Test temperature in degC.
    pub temperature_c: f64,
    /// Voltage residual over the whole pulse test, RMS in V.
    pub voltage_rmse_v: f64,
    /// Largest residual in V.
    pub voltage_max_v: f64,
    /// One entry per pulse.
    #[serde(default)]
    pub pulses: Vec<PulseResidual>,
}

/// Residual of one pulse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulseResidual {
    /// SOC at the pulse, fraction.
    pub soc: f64,
    /// Pulse current in A, positive on discharge.
    pub current_a: f64,
    /// Length of the pulse in s.
    pub duration_s: f64,
    /// RMS residual within the pulse in V.
    pub rmse_v: f64,
    /// Largest residual within the pulse in V.
    pub max_v: f64,
}
