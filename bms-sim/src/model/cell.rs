//! A simulated cell of any kind.

use cell_models::physics::{Resolution, SpmeCell, Wear, WearKind};
use cell_models::{EcmCell, Load, Plant, PlantError, SupercapCell};

use super::catalog::{Model, Parameters};
use super::{ModelError, check};

/// A simulated cell of any kind.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Single-particle model with electrolyte.
    Physics(Box<SpmeCell>),
    /// Equivalent circuit.
    Circuit(Box<EcmCell>),
    /// Supercapacitor.
    Supercap(Box<SupercapCell>),
}

/// How a cell is built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Build {
    /// SOC at the start, 0..1.
    pub soc: f64,
    /// Temperature at the start in degC.
    pub temperature_c: f64,
    /// Share of the new cell's capacity that is left and what was lost, for a worn cell.
    pub worn: Option<(f64, WearKind)>,
    /// Whether the cell goes on ageing.
    pub ageing: bool,
    /// How finely its equations are solved; `None` for the default.
    pub resolution: Option<Resolution>,
}

impl Default for Build {
    /// Full, new, 25 degC, not ageing.
    fn default() -> Self {
        Self { soc: 1.0, temperature_c: 25.0, worn: None, ageing: false, resolution: None }
    }
}

impl Cell {
    /// A rested cell.
    ///
    /// # Errors
    /// When a setting is out of range, or is one that this kind of cell does not have.
    pub fn new(model: &Model, build: &Build) -> Result<Self, ModelError> {
        let Build { soc, temperature_c, .. } = *build;
        check("start SOC", soc, "a fraction from 0 to 1", (0.0..=1.0).contains(&soc))?;
        check(
            "start temperature",
            temperature_c,
            "between -60 and 100 degC",
            (-60.0..=100.0).contains(&temperature_c),
        )?;
        match &model.parameters {
            Parameters::Physics(parameters, _) => {
                if build.ageing && !model.ages() {
                    return Err(refused(model, "ageing", "parameters of ageing"));
                }
                let wear = match build.worn {
                    Some((soh, kind)) => Wear::to_soh(parameters, kind, soh)?,
                    None => Wear::default(),
                };
                let resolution = build.resolution.unwrap_or_default();
                let cell = SpmeCell::with((**parameters).clone(), wear, resolution, soc, temperature_c)?;
                Ok(Self::Physics(Box::new(if build.ageing { cell } else { cell.without_ageing() })))
            }
            Parameters::Circuit(parameters) => {
                without_electrodes(model, build)?;
                Ok(Self::Circuit(Box::new(EcmCell::new((**parameters).clone(), soc, temperature_c)?)))
            }
            Parameters::Supercap(parameters) => {
                without_electrodes(model, build)?;
                Ok(Self::Supercap(Box::new(SupercapCell::new((**parameters).clone(), soc, temperature_c)?)))
            }
        }
    }

    /// What has been lost since the cell was new, where the model has it.
    #[must_use]
    pub fn wear(&self) -> Option<Wear> {
        match self {
            Self::Physics(cell) => Some(cell.wear()),
            Self::Circuit(_) | Self::Supercap(_) => None,
        }
    }
}

/// Refuses what only a physics model has.
fn without_electrodes(model: &Model, build: &Build) -> Result<(), ModelError> {
    let asked = [
        (build.ageing, "ageing"),
        (build.worn.is_some(), "a state of health"),
        (build.resolution.is_some(), "a resolution"),
    ];
    match asked.iter().find(|(given, _)| *given) {
        Some((_, setting)) => Err(refused(model, setting, "a physics model")),
        None => Ok(()),
    }
}

fn refused(model: &Model, setting: &'static str, needs: &'static str) -> ModelError {
    ModelError::NotForThisCell { setting, needs, cell: model.name.clone() }
}

/// Calls the same method of whichever cell it is.
macro_rules! of_each {
    ($self:expr, $cell:ident => $call:expr) => {
        match $self {
            Cell::Physics($cell) => $call,
            Cell::Circuit($cell) => $call,
            Cell::Supercap($cell) => $call,
        }
    };
}

impl Plant for Cell {
    fn set_current(&mut self, current_a: f64) -> Result<(), PlantError> {
        of_each!(self, c => c.set_current(current_a))
    }
    fn set_ambient_c(&mut self, ambient_c: f64) -> Result<(), PlantError> {
        of_each!(self, c => c.set_ambient_c(ambient_c))
    }
    fn advance(&mut self, dt_s: f64) -> Result<(), PlantError> {
        of_each!(self, c => c.advance(dt_s))
    }
    fn ramp_current(&mut self, to_a: f64, dt_s: f64) -> Result<(), PlantError> {
        of_each!(self, c => c.ramp_current(to_a, dt_s))
    }
    fn hold(&mut self, load: Load, dt_s: f64) -> Result<(), PlantError> {
        of_each!(self, c => c.hold(load, dt_s))
    }
    fn current_a(&self) -> f64 {
        of_each!(self, c => c.current_a())
    }
    fn voltage_v(&self) -> f64 {
        of_each!(self, c => c.voltage_v())
    }
    fn core_temperature_c(&self) -> f64 {
        of_each!(self, c => c.core_temperature_c())
    }
    fn surface_temperature_c(&self) -> f64 {
        of_each!(self, c => c.surface_temperature_c())
    }
    fn soc(&self) -> f64 {
        of_each!(self, c => c.soc())
    }
    fn capacity_ah(&self) -> f64 {
        of_each!(self, c => c.capacity_ah())
    }
    fn heat_w(&self) -> f64 {
        of_each!(self, c => c.heat_w())
    }
    fn anode_potential_v(&self) -> Option<f64> {
        of_each!(self, c => c.anode_potential_v())
    }
    fn voltage_limits_v(&self) -> [f64; 2] {
        of_each!(self, c => c.voltage_limits_v())
    }
}
