//! The pack's cell as a plant of `cell-models`, scaled to its size.

use cell_models::physics::PhysicsParameters;
use cell_models::{EcmParameters, SupercapParameters, Thermal};

use super::{Cell, PackFile};
use crate::plants::Plant;

/// Names of the equivalent circuits that a pack file may ask for.
pub(super) const CIRCUITS: [&str; 2] = ["generic_nmc_5ah", "generic_lfp_2ah3"];
/// Names of the supercapacitors that a pack file may ask for.
pub(super) const SUPERCAPS: [&str; 1] = ["typical_3000f"];

/// Which plant a pack file asks for.
#[derive(Debug, Clone, Copy)]
pub enum CellPlant {
    /// A physics plant.
    Physics(Plant),
    /// An equivalent circuit, by its place in the list of names.
    Circuit(&'static str),
    /// A supercapacitor.
    Supercap(&'static str),
}

/// The equivalent circuit of a name in the list, one cell.
#[must_use]
pub fn circuit(name: &str) -> EcmParameters {
    if name == CIRCUITS[0] { EcmParameters::generic_nmc_5ah() } else { EcmParameters::generic_lfp_2ah3() }
}

/// The supercapacitor of a name in the list, one cell; there is one.
#[must_use]
pub fn supercap(_: &str) -> SupercapParameters {
    SupercapParameters::typical_3000f()
}

/// Parameters of the cell of a pack, scaled, with the pack's heat capacities.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one per pack")]
pub enum CellParameters {
    /// Single-particle model, with typical ageing.
    Physics(PhysicsParameters),
    /// Equivalent circuit.
    Circuit(EcmParameters),
    /// Supercapacitor.
    Supercap(SupercapParameters),
}

impl Cell {
    /// The plant that is asked for; `None` if it is not one of those there are.
    #[must_use]
    pub fn plant(&self) -> Option<CellPlant> {
        let of = |names: &'static [&'static str], name: &str| names.iter().find(|n| **n == name).copied();
        match (&self.model, &self.circuit, &self.supercap) {
            (Some(name), None, None) => Plant::by_name(name).map(CellPlant::Physics),
            (None, Some(name), None) => of(&CIRCUITS, name).map(CellPlant::Circuit),
            (None, None, Some(name)) => of(&SUPERCAPS, name).map(CellPlant::Supercap),
            _ => None,
        }
    }
}

impl PackFile {
    /// Parameters of the cell: those of its plant with `size` times the electrode area, and the file's heat capacities.
    ///
    /// A physics plant ages as is typical for its electrodes. The surface is cooled to ambient as `[thermal]` says, without
    /// plates and neighbours, which are the network's.
    ///
    /// `None` only for a file that [`PackFile::load`] would refuse.
    #[must_use]
    pub fn cell_parameters(&self) -> Option<CellParameters> {
        let cell = &self.cell;
        let thermal = Thermal {
            core_j_per_k: cell.core_j_per_k,
            surface_j_per_k: cell.surface_j_per_k,
            core_surface_w_per_k: cell.core_surface_w_per_k,
            surface_ambient_w_per_k: self.thermal.surface_to_ambient_w_per_k,
        };
        Some(match cell.plant()? {
            CellPlant::Physics(plant) => {
                let p = plant.living_of_size(cell.size)?;
                let nominal_capacity_ah = cell.nominal_ah.unwrap_or(p.nominal_capacity_ah);
                CellParameters::Physics(PhysicsParameters { thermal, nominal_capacity_ah, ..p })
            }
            CellPlant::Circuit(name) => {
                CellParameters::Circuit(EcmParameters { thermal, ..circuit(name).of_size(cell.size) })
            }
            CellPlant::Supercap(name) => {
                CellParameters::Supercap(SupercapParameters { thermal, ..supercap(name).of_size(cell.size) })
            }
        })
    }
}
