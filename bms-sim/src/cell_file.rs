//! The cell file: what `bms identify` writes and every other call reads.
//!
//! One TOML format holds the parameter tables over temperature and SOC, their limits of validity, where they came from
//! and how well they fitted. It lends itself to `bms_core::CellModel` without a copy of the tables by hand.

use std::path::{Path, PathBuf};

use bms_core::cell::{CellModel, CellTables, OcvAgeing, ParameterError};
use bms_core::tuning::Tuning;
use serde::{Deserialize, Serialize};
use thiserror::Error;

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
    /// One standard deviation of the voltage model's slowly varying error in V, columns as `r0_ohm`: what the model left
    /// unexplained in all characterisation runs, and more where no pulse reached.
    pub model_error_v: Vec<Vec<f64>>,
    /// Rate of the hysteresis state per full charge throughput (dimensionless).
    pub hysteresis_gamma: f64,
    /// How the open-circuit voltage moves as the cell loses capacity; without it the new cell's holds at every age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ageing: Option<AgeingTables>,
    /// Potential of the negative electrode in V over SOC -0.1..1.1 in equal steps, from a cell with a reference electrode;
    /// empty without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub negative_v: Vec<f64>,
}

/// How the open-circuit voltage moves with age (`bms_core::cell::OcvAgeing`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgeingTables {
    /// Share of the capacity lost, one entry per row of `shift_v`, ascending.
    pub fade: Vec<f64>,
    /// Open-circuit voltage of the aged cell minus that of the new one in V, columns as `ocv_v`.
    pub shift_v: Vec<Vec<f64>>,
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

/// Why a cell file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CellFileError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is not a cell file.
    #[error("{}: not a cell file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// The file has another version.
    #[error("{}: cell file format {found}, this program reads {FORMAT_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
    /// The tables are not usable.
    #[error("cell `{cell}`: {source}")]
    Parameters {
        /// Name of the cell.
        cell: String,
        /// What is wrong.
        source: ParameterError,
    },
}

impl CellFile {
    /// Reads and checks a cell file.
    ///
    /// # Errors
    /// [`CellFileError`] names the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, CellFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| CellFileError::Io { path: path.into(), source })?;
        let format = |reason: String| CellFileError::Format { path: path.into(), reason };
        let bare: toml::Table = toml::from_str(&text).map_err(|e| format(e.to_string()))?;
        match bare.get("format_version").and_then(toml::Value::as_integer) {
            Some(v) if v == i64::from(FORMAT_VERSION) => {}
            Some(v) => {
                return Err(CellFileError::Version {
                    path: path.into(),
                    found: u32::try_from(v).unwrap_or(0),
                });
            }
            None => return Err(format("`format_version` is missing".into())),
        }
        let file: Self = toml::from_str(&text).map_err(|e| format(e.to_string()))?;
        file.core_tables()?;
        Ok(file)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), CellFileError> {
        let text = toml::to_string(self)
            .map_err(|e| CellFileError::Format { path: path.into(), reason: e.to_string() })?;
        std::fs::write(path, text).map_err(|source| CellFileError::Io { path: path.into(), source })
    }

    /// So many of these cells in parallel as one cell: more capacity and less resistance, the same voltages.
    ///
    /// `count` need not be whole: a cell whose electrodes have so many times the area.
    #[must_use]
    pub fn in_parallel(&self, count: f64) -> Self {
        let mut out = self.clone();
        out.cell.nominal_capacity_ah *= count;
        out.cell.capacity_ah *= count;
        let t = &mut out.tables;
        for table in [&mut t.r0_ohm, &mut t.rct_ohm, &mut t.r1_ohm, &mut t.r2_ohm] {
            table.iter_mut().flatten().for_each(|r| *r /= count);
        }
        t.i_ct_a.iter_mut().for_each(|i| *i *= count);
        for pulse in out.fit.iter_mut().flat_map(|f| &mut f.pulses) {
            pulse.current_a *= count;
        }
        out
    }

    /// The tables in the core's single precision, checked.
    ///
    /// # Errors
    /// If the core refuses them.
    pub fn core_tables(&self) -> Result<OwnedTables, CellFileError> {
        let flat = |rows: &[Vec<f64>]| rows.iter().flatten().map(|&x| x as f32).collect();
        let list = |row: &[f64]| row.iter().map(|&x| x as f32).collect();
        let t = &self.tables;
        let owned = OwnedTables {
            capacity_ah: self.cell.capacity_ah as f32,
            coulombic_efficiency: self.cell.coulombic_efficiency as f32,
            v_min: self.cell.v_min as f32,
            v_max: self.cell.v_max as f32,
            temperature_c: list(&t.temperature_c),
            ocv_v: flat(&t.ocv_v),
            hysteresis_v: flat(&t.hysteresis_v),
            r0_ohm: flat(&t.r0_ohm),
            rct_ohm: flat(&t.rct_ohm),
            r1_ohm: flat(&t.r1_ohm),
            tau1_s: flat(&t.tau1_s),
            r2_ohm: flat(&t.r2_ohm),
            tau2_s: flat(&t.tau2_s),
            i_ct_a: list(&t.i_ct_a),
            model_error_v: flat(&t.model_error_v),
            hysteresis_gamma: t.hysteresis_gamma as f32,
            fade: t.ageing.as_ref().map(|a| list(&a.fade)).unwrap_or_default(),
            shift_v: t.ageing.as_ref().map(|a| flat(&a.shift_v)).unwrap_or_default(),
            negative_v: list(&t.negative_v),
        };
        match CellModel::new(owned.borrow()) {
            Ok(_) => Ok(owned),
            Err(source) => Err(CellFileError::Parameters { cell: self.cell.name.clone(), source }),
        }
    }
}

impl Chemistry {
    /// The estimator's frozen tuning for this chemistry.
    #[must_use]
    pub const fn tuning(self) -> Tuning {
        match self {
            Self::Nmc => Tuning::NMC,
            Self::Nca => Tuning::NCA,
            Self::Lfp => Tuning::LFP,
        }
    }

    /// Its usual short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nmc => "NMC",
            Self::Nca => "NCA",
            Self::Lfp => "LFP",
        }
    }
}

/// Core tables that own their numbers.
#[derive(Debug, Clone)]
pub struct OwnedTables {
    capacity_ah: f32,
    coulombic_efficiency: f32,
    v_min: f32,
    v_max: f32,
    temperature_c: Vec<f32>,
    ocv_v: Vec<f32>,
    hysteresis_v: Vec<f32>,
    r0_ohm: Vec<f32>,
    rct_ohm: Vec<f32>,
    r1_ohm: Vec<f32>,
    tau1_s: Vec<f32>,
    r2_ohm: Vec<f32>,
    tau2_s: Vec<f32>,
    i_ct_a: Vec<f32>,
    model_error_v: Vec<f32>,
    hysteresis_gamma: f32,
    fade: Vec<f32>,
    shift_v: Vec<f32>,
    negative_v: Vec<f32>,
}

impl OwnedTables {
    /// The tables as the core takes them.
    #[must_use]
    pub fn borrow(&self) -> CellTables<'_> {
        CellTables {
            capacity_ah: self.capacity_ah,
            coulombic_efficiency: self.coulombic_efficiency,
            v_min: self.v_min,
            v_max: self.v_max,
            temperature_c: &self.temperature_c,
            ocv_v: &self.ocv_v,
            hysteresis_v: &self.hysteresis_v,
            r0_ohm: &self.r0_ohm,
            rct_ohm: &self.rct_ohm,
            r1_ohm: &self.r1_ohm,
            tau1_s: &self.tau1_s,
            r2_ohm: &self.r2_ohm,
            tau2_s: &self.tau2_s,
            i_ct_a: &self.i_ct_a,
            model_error_v: &self.model_error_v,
            hysteresis_gamma: self.hysteresis_gamma,
            ageing: OcvAgeing { fade: &self.fade, shift_v: &self.shift_v },
            negative_v: &self.negative_v,
        }
    }
}
