//! The pack file (PACK.toml): cells, layout, spread, electrical path, heat, balancing, sensors, limits and masses of a pack.
//!
//! ```
//! use std::path::Path;
//! use bms_sim::pack_file::PackFile;
//!
//! # let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packs");
//! let pack = PackFile::load(&packs.join("car_nmc_96s1p.toml"))?;
//! assert_eq!(pack.layout.cells(), 96);
//! # Ok::<(), bms_sim::pack_file::PackFileError>(())
//! ```
//!
//! Counting is the same everywhere: **groups** are the `parallel` cells that share both poles, `series` groups make the
//! string, the group at the negative end is group 0, and cell `p` of group `g` has the index `g * parallel + p`
//! ([`Layout::cell`]). Modules are equal runs of groups. Everything is of one cell unless its name says otherwise;
//! currents are magnitudes.

mod check;
mod network;
mod plant;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use plant::{CellParameters, CellPlant, circuit, supercap};

use crate::sensors::SensorCorner;

/// The version of the format that this build reads.
pub const FORMAT_VERSION: u32 = 1;

/// A pack as described by its file; [`PackFile::load`] has checked every number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackFile {
    /// Version of this format ([`FORMAT_VERSION`]).
    pub format_version: u32,
    /// Name of the pack.
    pub name: String,
    /// What it is and where its numbers come from.
    #[serde(default)]
    pub description: String,
    /// The cell.
    pub cell: Cell,
    /// How many cells, and how they are connected.
    pub layout: Layout,
    /// How the cells differ; without it they are all the same.
    #[serde(default)]
    pub spread: Spread,
    /// Resistances, contactors, precharge, fuse, isolation.
    pub electrical: Electrical,
    /// Heat paths and the machines that heat and cool.
    pub thermal: ThermalPaths,
    /// How cells are balanced; without it they are not.
    #[serde(default)]
    pub balancing: Option<Balancing>,
    /// What is measured.
    pub sensors: Sensors,
    /// Limits of one cell, as the controller keeps them.
    pub limits: Limits,
    /// Masses of what is not a cell.
    pub mass: Mass,
    /// Folder of the file: relative paths in it start here.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The cell: which plant, how large, how heavy, how it stores heat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// Free name.
    pub name: String,
    /// Format, in words.
    #[serde(default)]
    pub format: String,
    /// Physics plant by name ([`crate::plants::PLANTS`]). Just one of `model`, `circuit` and `supercap` is given.
    #[serde(default)]
    pub model: Option<String>,
    /// Equivalent circuit by name: `generic_nmc_5ah` or `generic_lfp_2ah3`.
    #[serde(default)]
    pub circuit: Option<String>,
    /// Supercapacitor by name: `typical_3000f`.
    #[serde(default)]
    pub supercap: Option<String>,
    /// Electrode area in multiples of the plant's own cell, above 0.
    pub size: f64,
    /// Nominal capacity in Ah, above 0: what a C-rate refers to. Without it the plant's own times `size`.
    #[serde(default)]
    pub nominal_ah: Option<f64>,
    /// Mass of one cell in kg, above 0.
    pub mass_kg: f64,
    /// Length, width and thickness in mm (a cylinder: height and diameter twice).
    #[serde(default)]
    pub dimensions_mm: Option<[f64; 3]>,
    /// Heat capacity of the core node in J/K, above 0.
    pub core_j_per_k: f64,
    /// Heat capacity of the surface node (can) in J/K, above 0.
    pub surface_j_per_k: f64,
    /// Conductance between core and surface in W/K, above 0.
    pub core_surface_w_per_k: f64,
    /// Identified cell file for the core, relative to this file; without it the simulator tests the plant in its own
    /// laboratory.
    #[serde(default)]
    pub parameters: Option<PathBuf>,
}

/// How cells are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Groups in series, 1..=1000.
    pub series: usize,
    /// Cells in parallel in each group, 1..=1000.
    pub parallel: usize,
    /// Modules: equal runs of groups; it divides `series`.
    pub modules: usize,
}

impl Layout {
    /// Number of cells.
    #[must_use]
    pub const fn cells(&self) -> usize {
        self.series * self.parallel
    }

    /// Index of cell `p` of group `group`.
    #[must_use]
    pub const fn cell(&self, group: usize, p: usize) -> usize {
        group * self.parallel + p
    }

    /// Groups in each module.
    #[must_use]
    pub const fn groups_per_module(&self) -> usize {
        self.series / self.modules
    }

    /// Cells in each module.
    #[must_use]
    pub const fn cells_per_module(&self) -> usize {
        self.groups_per_module() * self.parallel
    }
}

/// How the cells of one production differ; standard deviations, each drawn once per cell.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spread {
    /// Capacity, as a share of the usual cell's.
    pub capacity_std: f64,
    /// Resistance, as a share of the usual cell's.
    pub resistance_std: f64,
    /// State of charge at the start, as a fraction.
    pub soc_std: f64,
    /// Temperature at the start in K.
    pub temperature_std_k: f64,
    /// Mean self-discharge in A per Ah of capacity (1e-5: 0.7 % in a month).
    pub self_discharge_a_per_ah: f64,
    /// Its standard deviation in A per Ah; what is drawn below 0 counts as 0.
    pub self_discharge_std_a_per_ah: f64,
    /// Power of the heating films, as a share.
    pub film_std: f64,
    /// Contact of each cell to its plate, as a share.
    pub contact_std: f64,
    /// How far the pack as built is from what its maker states, as a share: drawn once per pack for each of the cells' heat
    /// capacity and inner conductance, the contacts and the passage of heat into the coolant. The core knows the stated ones.
    pub build_std: f64,
}

/// The current's path and what guards it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Electrical {
    /// Tab and weld of one cell, both poles together, in ohm.
    pub tab_ohm: f64,
    /// Busbar from one group to the next in ohm.
    pub busbar_ohm: f64,
    /// Cables, service disconnect and shunt of the whole pack in ohm.
    pub cable_ohm: f64,
    /// One closed contactor in ohm; there are two.
    pub contactor_ohm: f64,
    /// Precharge resistor in ohm, above 0.
    pub precharge_ohm: f64,
    /// Capacitance of the link behind the contactors in F, above 0.
    pub link_f: f64,
    /// Main fuse: current that it carries for ever, in A of the pack, above 0.
    pub fuse_rated_a: f64,
    /// Main fuse: melting integral in A2 s, above 0.
    pub fuse_i2t_a2s: f64,
    /// Main fuse: closed, in ohm.
    pub fuse_ohm: f64,
    /// Isolation from the positive pole to the housing in ohm, above 0.
    pub isolation_positive_ohm: f64,
    /// Isolation from the negative pole to the housing in ohm, above 0.
    pub isolation_negative_ohm: f64,
}

/// Heat paths between cells, plates, coolant and ambient. Without plates the pack is cooled by air alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThermalPaths {
    /// Between neighbouring cells of one module in W/K.
    pub neighbour_w_per_k: f64,
    /// Between the last cell of a module and the first of the next in W/K.
    #[serde(default)]
    pub module_gap_w_per_k: f64,
    /// From the surface of each cell to ambient in W/K.
    pub surface_to_ambient_w_per_k: f64,
    /// What the first and the last cell of a module have on top of that, in W/K.
    #[serde(default)]
    pub end_to_ambient_w_per_k: f64,
    /// Cooling plates with their coolant.
    #[serde(default)]
    pub plates: Option<Plates>,
    /// What moves, cools and heats the coolant; needs plates.
    #[serde(default)]
    pub coolant: Option<Coolant>,
    /// Heating films on the cells.
    #[serde(default)]
    pub films: Option<Films>,
}

/// Cooling plates: segments along the string, and the channels through them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plates {
    /// Neighbouring cells on one segment; it divides the number of cells.
    pub cells_per_segment: usize,
    /// Heat capacity of one segment in J/K, above 0.
    pub j_per_k: f64,
    /// From one segment to ambient in W/K.
    pub to_ambient_w_per_k: f64,
    /// From one cell's surface to its segment in W/K, above 0.
    pub contact_w_per_k: f64,
    /// From one segment to the coolant in one pass of a channel, at nominal flow, in W/K, above 0.
    pub coolant_w_per_k: f64,
    /// How the channels run.
    pub arrangement: Arrangement,
    /// Channels side by side between the two manifolds; each has an equal run of segments. 1 for `series`.
    pub channels: usize,
    /// Share of the flow of each channel; equal shares if not given. They sum to 1.
    #[serde(default)]
    pub shares: Vec<f64>,
}

/// How coolant channels run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrangement {
    /// One channel past all segments, one after the other.
    Series,
    /// Several channels, each once past its run of segments.
    Parallel,
    /// Several channels, each past its run of segments and back: the two passes even out what the coolant gathers.
    Hairpin,
}

/// The coolant circuit with its machines.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coolant {
    /// Heat capacity of the coolant in J/(L K), above 0.
    pub j_per_l_k: f64,
    /// Volume in all channels of the pack in L, above 0.
    pub channels_l: f64,
    /// Volume of the rest of the circuit in L, above 0.
    pub tank_l: f64,
    /// Flow at which the conductances hold, and the most that the pump gives, in L/min, above 0.
    pub nominal_flow_l_per_min: f64,
    /// The conductance to the coolant grows with flow to this power (0.8 turbulent, 0.33 laminar), 0..=1.
    pub flow_exponent: f64,
    /// Share of the nominal conductance that is left in still coolant, 0..=1.
    #[serde(default = "still")]
    pub still_share: f64,
    /// From the rest of the circuit to ambient in W/K.
    pub tank_to_ambient_w_per_k: f64,
    /// Whether the flow can be reversed.
    pub reversible: bool,
    /// Electrical power of the pump at nominal flow in W (it goes with the cube of the flow).
    pub pump_w: f64,
    /// Most that the chiller takes out of the coolant in W; 0 for none.
    pub chiller_max_w: f64,
    /// Heat that the chiller moves over the electrical energy that it takes, at most; above 0. It falls as it gets hot
    /// outside.
    pub chiller_cop: f64,
    /// Lowest temperature of the chilled coolant in degC.
    pub chiller_min_c: f64,
    /// Most that the heater in the coolant gives in W; 0 for none.
    pub heater_max_w: f64,
    /// Heat over electrical energy of that heater, above 0 and at most 1.
    pub heater_efficiency: f64,
    /// Highest temperature of the heated coolant in degC.
    pub heater_max_c: f64,
}

/// Conduction alone, about a tenth of what flow gives.
const fn still() -> f64 {
    0.1
}

/// Heating films, driven module by module.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Films {
    /// Most that the films of one module give together in W, above 0.
    pub module_max_w: f64,
}

/// How cells are balanced.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancing {
    /// A resistor across each group.
    Passive(PassiveBalancing),
    /// A converter moves charge between a group and the whole string.
    Active(ActiveBalancing),
    /// Capacitors switched between neighbouring groups.
    SwitchedCapacitors(SwitchedCapacitors),
}

/// Bleed resistors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveBalancing {
    /// Resistance across one group in ohm, above 0.
    pub resistor_ohm: f64,
    /// Groups of one module that may bleed at once, at least 1.
    pub max_channels: usize,
    /// Heat that one module's board may take in W, above 0.
    pub board_max_w: f64,
    /// Heat capacity of one module's board in J/K, above 0.
    pub board_j_per_k: f64,
    /// From one module's board to ambient in W/K, above 0.
    pub board_to_ambient_w_per_k: f64,
    /// Highest temperature of a board in degC.
    pub board_max_c: f64,
}

/// Active balancer from cell to pack and back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveBalancing {
    /// Current on the group's side in A, above 0.
    pub current_a: f64,
    /// Energy that arrives over energy taken, above 0 and at most 1.
    pub efficiency: f64,
    /// Groups of one module that may work at once, at least 1.
    pub max_channels: usize,
}

/// Capacitors that are switched between neighbouring groups: each moves `f C (V_a - V_b)` on average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchedCapacitors {
    /// One capacitor in F, above 0.
    pub farad: f64,
    /// Switching frequency in Hz, above 0.
    pub hz: f64,
    /// Resistance of one path (switches and capacitor) in ohm, above 0.
    pub path_ohm: f64,
}

/// What is measured. Every group's voltage and the pack's current always are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensors {
    /// How good the sensors are.
    pub corner: SensorCorner,
    /// Cells with a temperature sensor, by index, ascending. Just one of this and `temperature_every` is given.
    #[serde(default)]
    pub temperature_cells: Vec<usize>,
    /// A temperature sensor on every so many cells, from cell 0 on.
    #[serde(default)]
    pub temperature_every: Option<usize>,
    /// Whether the coolant's temperature is measured where it enters and leaves.
    #[serde(default)]
    pub coolant: bool,
    /// Whether each module's board has a temperature sensor.
    #[serde(default)]
    pub board: bool,
}

/// Limits of one cell; the pack's currents are `parallel` times as large.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Lowest and highest voltage in V.
    pub voltage_v: [f64; 2],
    /// Discharge for as long as one likes, in A.
    pub discharge_a: f64,
    /// Charge for as long as one likes, in A.
    pub charge_a: f64,
    /// Discharge for 10 s in A, at least `discharge_a`.
    pub pulse_discharge_a: f64,
    /// Charge for 10 s in A, at least `charge_a`.
    pub pulse_charge_a: f64,
    /// Lowest and highest temperature in degC while discharging.
    pub discharge_temperature_c: [f64; 2],
    /// Lowest and highest temperature in degC while charging.
    pub charge_temperature_c: [f64; 2],
    /// Lowest and highest SOC (fractions) that the user gets; all of it if not given.
    #[serde(default = "whole")]
    pub soc: [f64; 2],
}

const fn whole() -> [f64; 2] {
    [0.0, 1.0]
}

/// Masses in kg, and the volume, of what is not a cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mass {
    /// Housing: tray, lid, module frames, seals.
    pub housing_kg: f64,
    /// Plates, hoses, films, and what fills the gaps between cell and plate.
    pub cooling_kg: f64,
    /// Coolant inside the pack.
    pub coolant_kg: f64,
    /// Boards of the battery management system.
    pub bms_kg: f64,
    /// Busbars and cables.
    pub busbars_kg: f64,
    /// Contactors, fuse, precharge, current sensor, connectors.
    pub contactors_kg: f64,
    /// Anything else.
    #[serde(default)]
    pub other_kg: f64,
    /// Volume of the whole pack in L, if known.
    #[serde(default)]
    pub volume_l: Option<f64>,
}

/// Why a pack file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackFileError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is not a pack file.
    #[error("{}: not a pack file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// The file has another version.
    #[error("{}: pack file format {found}, this program reads {FORMAT_VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: i64,
    },
    /// A value cannot be.
    #[error("{}: {key}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Table and key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl PackFile {
    /// Reads and checks a pack file.
    ///
    /// # Errors
    /// [`PackFileError`] names the file, the key and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, PackFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PackFileError::Io { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Reads and checks the text of a pack file; `path` is named in messages, and relative paths start at its folder.
    ///
    /// # Errors
    /// As [`PackFile::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, PackFileError> {
        let format = |reason: String| PackFileError::Format { path: path.into(), reason };
        let bare: toml::Table = toml::from_str(text).map_err(|e| format(e.to_string()))?;
        match bare.get("format_version").and_then(toml::Value::as_integer) {
            Some(v) if v == i64::from(FORMAT_VERSION) => {}
            Some(found) => return Err(PackFileError::Version { path: path.into(), found }),
            None => return Err(format("`format_version` is missing".into())),
        }
        let mut file: Self = toml::from_str(text).map_err(|e| format(e.to_string()))?;
        file.folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        file.check().map_err(|(key, problem)| PackFileError::Value { path: path.into(), key, problem })?;
        Ok(file)
    }

    /// Path of the identified cell file, if one is named.
    #[must_use]
    pub fn parameters_path(&self) -> Option<PathBuf> {
        self.cell.parameters.as_ref().map(|p| self.folder.join(p))
    }

    /// Cells with a temperature sensor, ascending.
    #[must_use]
    pub fn sensed_cells(&self) -> Vec<usize> {
        match self.sensors.temperature_every {
            Some(n) => (0..self.layout.cells()).step_by(n.max(1)).collect(),
            None => self.sensors.temperature_cells.clone(),
        }
    }

    /// Everything of the pack's own in the current's path, without the cells, in ohm: tabs, busbars, cables, two contactors
    /// and the fuse.
    #[must_use]
    pub fn path_ohm(&self) -> f64 {
        let e = &self.electrical;
        let (series, parallel) = (self.layout.series as f64, self.layout.parallel as f64);
        series * e.tab_ohm / parallel
            + (series - 1.0) * e.busbar_ohm
            + e.cable_ohm
            + 2.0 * e.contactor_ohm
            + e.fuse_ohm
    }
}

impl Mass {
    /// Each item's name and mass in kg.
    #[must_use]
    pub const fn items(&self) -> [(&'static str, f64); 7] {
        [
            ("housing", self.housing_kg),
            ("cooling", self.cooling_kg),
            ("coolant", self.coolant_kg),
            ("BMS", self.bms_kg),
            ("busbars", self.busbars_kg),
            ("contactors", self.contactors_kg),
            ("other", self.other_kg),
        ]
    }
}

#[cfg(test)]
mod tests;
