//! What a scenario needs to know of its pack.

use cell_models::physics::SpmeCell;
use cell_models::{EcmCell, ParameterError, Plant, SupercapCell};
use serde::{Deserialize, Serialize};

use super::ScenarioError;
use crate::pack_file::{CellParameters, PackFile};

/// State of charge and temperature (degC) at which the cell's rest voltage is taken for the nominal one.
const NOMINAL_AT: (f64, f64) = (0.5, 25.0);

/// What a scenario needs to know of its pack.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PackFacts {
    /// Cells or groups in series.
    pub series: usize,
    /// Cells in parallel in each group.
    pub parallel: usize,
    /// Nominal capacity of the pack in Ah.
    pub capacity_ah: f64,
    /// Nominal energy of the pack in Wh.
    pub energy_wh: f64,
    /// Voltage limits of a cell in V.
    pub cell_limits_v: [f64; 2],
    /// Mass of all cells in kg.
    pub cells_kg: f64,
    /// Heat capacity of all cells in J/K.
    pub heat_capacity_j_per_k: f64,
    /// Temperature sensors.
    pub temperature_sensors: usize,
    /// Cooling channels.
    pub channels: usize,
    /// Modules.
    pub modules: usize,
}

impl PackFacts {
    /// Of a pack file. The nominal voltage is that of the cell at rest, half charged, at 25 degC.
    ///
    /// # Errors
    /// [`ScenarioError::Cell`] when its plant refuses the cell.
    pub fn of(pack: &PackFile) -> Result<Self, ScenarioError> {
        let refused = |reason: String| ScenarioError::Cell { pack: pack.name.clone(), reason };
        let parameters = pack.cell_parameters().ok_or_else(|| refused("it has no plant".into()))?;
        let (cell_ah, cell_v) = capacity_and_voltage(&parameters).map_err(|e| refused(e.to_string()))?;
        let cells = pack.layout.cells() as f64;
        Ok(Self {
            series: pack.layout.series,
            parallel: pack.layout.parallel,
            capacity_ah: pack.layout.parallel as f64 * cell_ah,
            energy_wh: cells * cell_ah * cell_v,
            cell_limits_v: pack.limits.voltage_v,
            cells_kg: cells * pack.cell.mass_kg,
            heat_capacity_j_per_k: cells * (pack.cell.core_j_per_k + pack.cell.surface_j_per_k),
            temperature_sensors: pack.sensed_cells().len(),
            channels: pack.thermal.plates.as_ref().map_or(0, |p| p.channels),
            modules: pack.layout.modules,
        })
    }
}

/// Nominal capacity in Ah and voltage in V of a cell.
fn capacity_and_voltage(parameters: &CellParameters) -> Result<(f64, f64), ParameterError> {
    let (soc, temperature_c) = NOMINAL_AT;
    Ok(match parameters {
        CellParameters::Physics(p) => {
            (p.nominal_capacity_ah, SpmeCell::new(p.clone(), soc, temperature_c)?.voltage_v())
        }
        CellParameters::Circuit(p) => {
            (p.capacity_ah, EcmCell::new(p.clone(), soc, temperature_c)?.voltage_v())
        }
        CellParameters::Supercap(p) => {
            let cell = SupercapCell::new(p.clone(), soc, temperature_c)?;
            (cell.capacity_ah(), cell.voltage_v())
        }
    })
}
