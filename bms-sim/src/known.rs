//! What a laboratory finds out about the cell of a plant: all that a controller may know of it.
//!
//! ```text
//! plant ─► C/20, pulses, discharges ─┬─► identify ─► circuit tables
//!           (cell_models, truth)     └─► three-electrode test ─► pulse tables, negative electrode, heat capacity
//! ```
//!
//! Equivalent circuits pass through the same tests but for the three-electrode one. A controller knows a circuit plant about
//! as it is: such plants are for tests of speed, control and protection, never for claims of accuracy. Supercapacitors, which
//! a C-rate says nothing about, have short tests of their own ([`KnownCell::of_supercap`]).

mod supercap;

use cell_models::{EcmCell, EcmParameters, ParameterError, PlantError, SupercapParameters};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cell_file::{CellFile, CellFileError};
use crate::identify::plan::{Plan, Selection};
use crate::identify::{IdentifyError, identify};
use crate::plants::{self, Extent, Plant, PlantSetError};
use crate::sop::lab::{self, PulseFile};

/// Why a plant's cell cannot be characterised.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KnownError {
    /// The plant cannot be made.
    #[error(transparent)]
    Plant(#[from] PlantSetError),
    /// Its cell cannot be identified.
    #[error("plant {plant} cannot be identified")]
    Identify {
        /// Name of the plant.
        plant: &'static str,
        /// Why.
        source: Box<IdentifyError>,
    },
    /// Nobody can test it.
    #[error("plant {plant} has no laboratory tests")]
    NoTests {
        /// Name of the plant.
        plant: &'static str,
    },
    /// The cell refuses its parameters.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// It refuses a test.
    #[error(transparent)]
    Test(#[from] PlantError),
    /// The core refuses what was found.
    #[error(transparent)]
    CellFile(#[from] CellFileError),
}

/// A cell as a laboratory knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownCell {
    /// Tables of the estimators.
    pub circuit: CellFile,
    /// Tables for predictions under load, and the negative electrode's, from cells with a reference electrode; `None` for
    /// cells that have no such electrode, whose predictions are those of [`Self::circuit`].
    pub electrodes: Option<[PulseFile; 2]>,
    /// Heat capacity in J/K and conductance to the surroundings of the laboratory in W/K, where the discharges warmed the
    /// cell.
    pub heat: Option<[f64; 2]>,
}

impl KnownCell {
    /// Tests the new cell of a plant and identifies it.
    ///
    /// # Errors
    /// If the plant cannot be made or its cell not be identified.
    pub fn of_plant(plant: Plant) -> Result<Self, KnownError> {
        let wrong = |source| KnownError::Identify { plant: plant.name, source: Box::new(source) };
        let mut sets = plants::data_sets(&[plant], Extent::Subset, None, || ())?;
        let set = sets.pop().ok_or(KnownError::NoTests { plant: plant.name })?;
        let plan = Plan::of_set(&set.new, &Selection::default()).map_err(wrong)?;
        let (cell, _) = plant.cell(1.0)?;
        let negative = lab::negative_plan(&plan, &cell)?;
        let circuit = identify(&plan).map_err(wrong)?;
        let electrodes = lab::pulse_files(&plan, &negative).map_err(wrong)?;
        let heat = lab::heat(&plan, &circuit);
        Ok(Self { circuit, electrodes: Some(electrodes), heat })
    }

    /// Tests an equivalent circuit and identifies it.
    ///
    /// # Errors
    /// If its parameters are refused or it cannot be identified.
    pub fn of_circuit(parameters: EcmParameters, name: &'static str) -> Result<Self, KnownError> {
        let wrong = |source| KnownError::Identify { plant: name, source: Box::new(source) };
        let set = plants::laboratory_set(EcmCell::new(parameters, 1.0, 25.0)?, name);
        let plan = Plan::of_set(&set, &Selection::default()).map_err(wrong)?;
        let circuit = identify(&plan).map_err(wrong)?;
        let heat = lab::heat(&plan, &circuit);
        Ok(Self { circuit, electrodes: None, heat })
    }

    /// Tests a supercapacitor: its slow discharge and pulses of its own size at several temperatures.
    ///
    /// # Errors
    /// If its parameters are refused or it refuses a test.
    pub fn of_supercap(parameters: &SupercapParameters, name: &'static str) -> Result<Self, KnownError> {
        let circuit = supercap::test(parameters, name)?;
        circuit.core_tables()?;
        Ok(Self { circuit, electrodes: None, heat: None })
    }

    /// So many of these cells in parallel, as one.
    #[must_use]
    pub fn in_parallel(&self, count: f64) -> Self {
        let scaled = |e: PulseFile| PulseFile { file: e.file.in_parallel(count), ..e };
        Self {
            circuit: self.circuit.in_parallel(count),
            electrodes: self.electrodes.clone().map(|both| both.map(scaled)),
            heat: self.heat.map(|both| both.map(|x| x * count)),
        }
    }
}
