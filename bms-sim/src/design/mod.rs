//! The ledger of a pack: energy, mass, power and predicted cycle life, against the charter's figures (`bms design`).
//!
//! ```text
//! PACK.toml ─► cell of its size ─┬─► C/3 discharge at 25 degC, 10 s pulses ─► energy, power ─┐
//!     │                          └─► ages, cycle after cycle, all simulated ─► cycle life ──┼─► verdicts, sensitivities
//!     └─► masses ───────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Energy and life are measured on the plant, not computed from ratings. How the plant ages is typical of its chemistry and
//! no fit of a product ([`AgeingParameters`](cell_models::physics::AgeingParameters)): the cycle life is a prediction of
//! what a cell of this kind does in this pack, within the bands named there.

mod ledger;
mod life;
mod sensitivity;

use cell_models::{ParameterError, PlantError};
use serde::Serialize;
use thiserror::Error;

pub use ledger::{Ledger, MassItem, PulsePower};
pub use life::{Life, LifePoint, Usage};
pub use sensitivity::Sensitivity;

use crate::pack_file::{CellParameters, PackFile};
use crate::verify::Progress;

/// The charter's specific energy of the whole system in Wh/kg.
pub const TARGET_WH_PER_KG: f64 = 200.0;
/// The charter's cycle life.
pub const TARGET_CYCLES: f64 = 1200.0;
/// Capacity, as a share of the new cell's, at which a life ends.
pub const END_SOH: f64 = 0.8;

/// Why a pack cannot be worked out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DesignError {
    /// The plant refuses its parameters.
    #[error("the pack's cell cannot be made")]
    Parameters(#[from] ParameterError),
    /// The plant refuses a step.
    #[error("a step of the pack's cell")]
    Plant(#[from] PlantError),
    /// The plant is none of those there are.
    #[error("the pack's cell is not known")]
    Unknown,
    /// The profile asks for more than this pack is made for.
    #[error(
        "the drive asks for up to {asked_w:.0} W from each cell, and the pack's limits give {given_w:.0} W: it is no pack for this car"
    )]
    TooSmall {
        /// Largest power of one cell in W.
        asked_w: f64,
        /// What its limits give in W.
        given_w: f64,
    },
}

/// What is worked out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Settings {
    /// Temperature of the coolant (of the air, without plates) during the life in degC.
    pub temperature_c: f64,
    /// How the cell is used.
    pub usage: Usage,
    /// Cycles after which a life ends, whatever is left of the cell.
    pub most_cycles: f64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Design {
    /// Name of the pack.
    pub pack: String,
    /// Its cell.
    pub cell: String,
    /// The plant it is simulated by.
    pub plant: String,
    /// What was asked for.
    pub settings: Settings,
    /// Energy, mass, voltage, power.
    pub ledger: Ledger,
    /// The life of the usual cell; none for a plant that does not age.
    pub life: Option<Life>,
    /// Against the charter.
    pub verdicts: Vec<Verdict>,
    /// What changes when something else does.
    pub sensitivities: Vec<Sensitivity>,
}

/// A figure against its target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// What.
    pub what: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The target.
    pub target: f64,
    /// The figure; none if there is none.
    pub value: Option<f64>,
    /// Whether the figure is only a lower bound, since the simulation was stopped.
    pub at_least: bool,
    /// Whether the target is met; none if that is not known.
    pub met: Option<bool>,
}

impl Verdict {
    fn of(what: &'static str, unit: &'static str, target: f64, value: Option<f64>, at_least: bool) -> Self {
        let met = value.and_then(|v| (v >= target || !at_least).then_some(v >= target));
        Self { what, unit, target, value, at_least, met }
    }

    /// In words: met or missed, and by how much.
    #[must_use]
    pub fn words(&self) -> String {
        match (self.met, self.value) {
            (Some(met), Some(v)) => {
                let off = v - self.target;
                let percent = 100.0 * off.abs() / self.target;
                let (how, more) = if met { ("met", "above") } else { ("missed", "below") };
                format!("{how}: {:.1} % {more} the target", percent)
            }
            (None, Some(_)) => "not decided: the simulation was stopped before".into(),
            _ => "not predicted: this plant does not age".into(),
        }
    }
}

/// Works out a pack.
///
/// # Errors
/// When the plant refuses the pack's parameters or a step, or the pack is too small for the profile.
pub fn design(pack: &PackFile, settings: &Settings, progress: &impl Progress) -> Result<Design, DesignError> {
    let parameters = pack.cell_parameters().ok_or(DesignError::Unknown)?;
    let ledger = ledger::ledger(pack, &parameters)?;
    let physics = match &parameters {
        CellParameters::Physics(p) => Some(p),
        CellParameters::Circuit(_) | CellParameters::Supercap(_) => None,
    };
    let life = match physics {
        Some(p) => {
            progress.stage("life", settings.most_cycles as usize);
            let bench = life::Bench::new(pack, p, settings)?;
            Some(bench.live(settings.usage.faster(), |cycles| progress.advance(cycles))?)
        }
        None => None,
    };
    progress.stage("sensitivity", 1);
    let sensitivities = sensitivity::all(pack, &parameters, settings, &ledger, life.as_ref())?;
    let plant = [&pack.cell.model, &pack.cell.circuit, &pack.cell.supercap].into_iter().flatten().next();
    let verdicts = vec![
        Verdict::of(
            "specific energy of the system",
            "Wh/kg",
            TARGET_WH_PER_KG,
            Some(ledger.system_wh_per_kg),
            false,
        ),
        Verdict::of(
            "cycle life to 80 % of the capacity",
            "cycles",
            TARGET_CYCLES,
            life.as_ref().map(|l| l.cycles),
            life.as_ref().is_some_and(|l| !l.ended),
        ),
    ];
    Ok(Design {
        pack: pack.name.clone(),
        cell: pack.cell.name.clone(),
        plant: plant.cloned().unwrap_or_default(),
        settings: *settings,
        ledger,
        life,
        verdicts,
        sensitivities,
    })
}

impl Design {
    /// Whether no target is missed (one that is not decided is not missed).
    #[must_use]
    pub fn meets_all(&self) -> bool {
        self.verdicts.iter().all(|v| v.met != Some(false))
    }
}

#[cfg(test)]
mod tests;
