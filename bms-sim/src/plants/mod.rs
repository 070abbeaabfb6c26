//! Simulated cells as data sets: the physics plants of `cell-models`, tested in memory as a laboratory tests a cell.
//!
//! ```text
//! parameters, wear ─► SpmeCell ─┬─► laboratory: C/20, pulses, discharges ─► Run ─► identify (knows nothing else)
//!                               └─► road: drives ─► Run with its true SOC ─► replay, scores
//! ```
//!
//! A set is a [`Dataset`] whose runs are made when they are asked for, so that everything that works on recorded sets
//! works on these. The same set gives the same runs every time.

mod cycle;
mod laboratory;
mod log;
mod road;

use std::path::Path;
use std::sync::Arc;

use cell_models::physics::{AgeingParameters, PhysicsParameters, Resolution, SpmeCell, Wear, WearKind, sets};
use cell_models::{ParameterError, Plant as _, PlantError};
use rayon::prelude::*;
use serde_json::json;
use thiserror::Error;

use crate::data::{DataError, Dataset, DatasetFile, Run, RunSource};
use cycle::Cycle;

/// Why a plant gives no data set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlantSetError {
    /// The folder with the drive cycles cannot be read.
    #[error("drive cycles of the plants")]
    Cycles(#[from] DataError),
    /// A drive cycle is missing.
    #[error(
        "{folder} has no drive {profile} at {ambient_c} degC of which the plants could take the currents"
    )]
    NoCycle {
        /// Name of the set.
        folder: String,
        /// The profile.
        profile: &'static str,
        /// Ambient temperature in degC.
        ambient_c: f64,
    },
    /// The plant refuses its parameters.
    #[error("plant {plant} cannot be made")]
    Parameters {
        /// Its name.
        plant: &'static str,
        /// Why.
        source: ParameterError,
    },
}

/// Why a test on a plant fails.
#[derive(Debug, Error)]
#[non_exhaustive]
enum TestError {
    #[error(transparent)]
    Plant(#[from] PlantError),
    #[error(transparent)]
    Profile(#[from] ParameterError),
}

/// A plant that can be scored.
#[derive(Debug, Clone, Copy)]
pub struct Plant {
    /// Name of its parameter set in `cell_models::physics::sets`.
    pub name: &'static str,
    /// Its electrodes.
    pub chemistry: &'static str,
    /// So many cells in parallel are tested as one.
    parallel: f64,
    typical_ageing: fn(&PhysicsParameters) -> AgeingParameters,
}

/// All plants, in alphabetical order.
pub const PLANTS: [Plant; 4] = [
    // 0.43 Ah is too small for the current errors of the matrix, which are those of cells of a few Ah.
    Plant {
        name: "kim2011",
        chemistry: "NCA / graphite",
        parallel: 12.0,
        typical_ageing: AgeingParameters::nca_graphite,
    },
    Plant {
        name: "mohtat2020",
        chemistry: "NMC532 / graphite",
        parallel: 1.0,
        typical_ageing: AgeingParameters::nmc_graphite,
    },
    Plant {
        name: "okane2022",
        chemistry: "NMC811 / graphite-SiOx",
        parallel: 1.0,
        typical_ageing: AgeingParameters::nmc_graphite,
    },
    Plant {
        name: "prada2013",
        chemistry: "LFP / graphite",
        parallel: 1.0,
        typical_ageing: AgeingParameters::lfp_graphite,
    },
];

/// Capacity of the worn cells as a share of the new ones'.
const WORN_SOH: f64 = 0.8;
/// Capacity in Ah that the currents of the recorded drives refer to is the nominal one of this set of the default data.
const CYCLES: &str = "nmc_m50/soh100";
/// Drive cycles.
const PROFILES: [&str; 2] = ["US06", "WLTC"];
/// Ambient temperatures of the drives in degC, each with that of the recorded drive whose currents it takes.
const DRIVES_C: [(f64, f64); 4] = [(-10.0, -10.0), (10.0, 0.0), (25.0, 25.0), (45.0, 25.0)];
/// Temperatures of the pulse and discharge tests in degC, each with the rates of its pulses.
const PULSES_C: [(f64, &[f64]); 6] = [
    (-20.0, &[0.3, 0.7, 1.5, 3.0]),
    (-10.0, &[0.5, 1.0, 2.0, 3.0]),
    (0.0, &[0.7, 1.5, 3.0]),
    (10.0, &[1.0, 2.0, 3.0]),
    (25.0, &[1.0, 3.0]),
    (45.0, &[1.0, 3.0]),
];
/// Rates of the discharge tests.
const DISCHARGES_C: [(f64, &str); 2] = [(1.0 / 3.0, "C3"), (1.0, "1C")];

/// The data sets of one plant.
#[derive(Debug, Clone)]
pub struct PlantSets {
    /// The new cell, with characterisation tests and drives.
    pub new: Arc<Dataset>,
    /// The worn one, with drives.
    pub worn: Arc<Dataset>,
    /// What it is and how it becomes known to the core, in one line.
    pub note: String,
}

/// The data sets of plants, with drives after those of the repository's `data` folder.
///
/// Plants of which `filter` takes no drive are left out.
///
/// # Errors
/// If the drive cycles cannot be read or a plant cannot be made.
pub fn data_sets(
    plants: &[Plant],
    data: &Path,
    filter: Option<&str>,
    made: impl Fn() + Sync,
) -> Result<Vec<PlantSets>, PlantSetError> {
    let wanted: Vec<&Plant> = plants.iter().filter(|p| filter.is_none_or(|text| p.has_drive(text))).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let cycles = Arc::new(cycles(&data.join(CYCLES))?);
    wanted
        .par_iter()
        .map(|plant| {
            let sets =
                plant.sets(&cycles).map_err(|source| PlantSetError::Parameters { plant: plant.name, source });
            made();
            sets
        })
        .collect()
}

impl Plant {
    /// The plant of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        PLANTS.into_iter().find(|p| p.name == name)
    }

    /// Whether a drive's set and file contain a text.
    fn has_drive(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        [1.0, WORN_SOH].iter().any(|soh| {
            drives()
                .iter()
                .any(|t| format!("{}/{}", self.set_name(*soh), t.name()).to_lowercase().contains(&text))
        })
    }

    fn set_name(&self, soh: f64) -> String {
        format!("plant/{}/soh{:03.0}", self.name, 100.0 * soh)
    }

    /// The published set; how it ages, which says how resistance grows with wear, is typical where it has nothing to say.
    fn parameters(&self) -> Option<PhysicsParameters> {
        let mut p = sets::by_name(self.name)?;
        if p.ageing.is_none() {
            p = p.clone().with_ageing((self.typical_ageing)(&p));
        }
        Some(in_parallel(p, self.parallel))
    }

    fn sets(&self, cycles: &Arc<Vec<Cycle>>) -> Result<PlantSets, ParameterError> {
        let parameters =
            self.parameters().ok_or(ParameterError::Empty("the list of parameter sets of this name"))?;
        let wear = Wear::to_soh(&parameters, WearKind::Both, WORN_SOH)?;
        let new = self.set(&parameters, 1.0, Wear::default(), cycles)?;
        let worn = self.set(&parameters, WORN_SOH, wear, cycles)?;
        let note = self.note(&parameters, &wear);
        Ok(PlantSets { new: Arc::new(new), worn: Arc::new(worn), note })
    }

    fn set(
        &self,
        parameters: &PhysicsParameters,
        soh: f64,
        wear: Wear,
        cycles: &Arc<Vec<Cycle>>,
    ) -> Result<Dataset, ParameterError> {
        let cell = full_cell(parameters, wear)?;
        let name = self.set_name(soh);
        let tests = if soh == 1.0 { [characterisation(), drives()].concat() } else { drives() };
        let capacity_ah = cell.capacity_ah();
        Ok(Dataset {
            dir: name.clone().into(),
            name: name.clone(),
            cell: self.title(parameters),
            chemistry: Some(self.chemistry.into()),
            nominal_capacity_ah: Some(parameters.nominal_capacity_ah),
            voltage_limits_v: Some(parameters.voltage_limits_v),
            current_limits_a: None,
            truth_capacity_ah: Some(capacity_ah),
            truth_soh: Some(soh),
            truth_r10s_ohm: Vec::new(),
            measured_capacity: serde_json::Value::Null,
            files: tests.iter().map(Test::entry).collect(),
            raw: json!({ "description": parameters.source }),
            simulated: Some(Arc::new(Bench {
                set: name,
                nominal_ah: parameters.nominal_capacity_ah,
                cell,
                tests,
                cycles: Arc::clone(cycles),
            })),
        })
    }

    /// The cell itself, full and rested at 25 degC, worn to a share `soh` of its capacity, with its nominal capacity in Ah.
    ///
    /// For scores that need more than a recording: copies of it are driven and loaded.
    ///
    /// # Errors
    /// When its parameters are refused or it cannot be worn so far.
    pub fn cell(&self, soh: f64) -> Result<(SpmeCell, f64), PlantSetError> {
        let refused = |source| PlantSetError::Parameters { plant: self.name, source };
        let none = || refused(ParameterError::Empty("the list of parameter sets of this name"));
        let parameters = self.parameters().ok_or_else(none)?;
        let wear = Wear::to_soh(&parameters, WearKind::Both, soh).map_err(refused)?;
        let cell = full_cell(&parameters, wear).map_err(refused)?;
        Ok((cell, parameters.nominal_capacity_ah))
    }

    fn note(&self, parameters: &PhysicsParameters, wear: &Wear) -> String {
        let at: Vec<String> = PULSES_C.iter().map(|(t, _)| t.to_string()).collect();
        format!(
            "plant/{}: no recorded cell, simulated during this run by cell-models (single particle with electrolyte and heat): {}. \
             The core knows it through simulated tests of the new cell alone: C/20 at 25 degC, HPPC and discharges at {} degC. \
             Worn to {:.0} %: {:.1} % of its lithium and {:.1} % of its active material lost",
            self.name,
            self.title(parameters),
            at.join(", "),
            100.0 * WORN_SOH,
            100.0 * wear.lithium,
            100.0 * wear.positive_material,
        )
    }

    fn title(&self, parameters: &PhysicsParameters) -> String {
        match self.parallel {
            1.0 => parameters.title.clone(),
            n => format!("{}, {n} in parallel", parameters.title),
        }
    }
}

/// A cell as a full charge leaves it, which ages no further.
fn full_cell(parameters: &PhysicsParameters, wear: Wear) -> Result<SpmeCell, ParameterError> {
    // Lithium went into the negative electrode and out of the positive one.
    SpmeCell::with(parameters.clone(), wear, Resolution::default(), 1.0, 25.0)?
        .without_ageing()
        .with_hysteresis(-1.0, 1.0)
}

/// One drive of a cell from [`Plant::cell`]; see the drives of the data sets.
///
/// `cycles` is the folder of the repository's data, `seen` looks at the cell and the run so far after every second.
///
/// # Errors
/// If the drive cycle cannot be read or the cell refuses a step.
pub fn drive(
    data: &Path,
    cell: SpmeCell,
    nominal_ah: f64,
    (profile, ambient_c): (&'static str, f64),
    seen: impl FnMut(&SpmeCell, &Run),
) -> Result<Run, PlantSetError> {
    let folder = data.join(CYCLES);
    // Colder than all recorded drives: the coldest of them.
    let (_, cycle_c) = DRIVES_C.into_iter().rev().find(|(t, _)| *t <= ambient_c).unwrap_or(DRIVES_C[0]);
    let cycles = cycles(&folder)?;
    let fits = |c: &&Cycle| c.profile == profile && c.ambient_c == cycle_c;
    let missing = || PlantSetError::NoCycle { folder: CYCLES.into(), profile, ambient_c: cycle_c };
    let cycle = cycles.iter().find(fits).ok_or_else(missing)?;
    let failed = |e: TestError| DataError::Simulation {
        run: format!("{profile} at {ambient_c} degC"),
        reason: e.to_string(),
    };
    Ok(road::drive_seen(cell, nominal_ah, ambient_c, &cycle.rates_c, seen).map_err(failed)?)
}

/// A cell of so many equal ones side by side.
fn in_parallel(mut p: PhysicsParameters, count: f64) -> PhysicsParameters {
    p.nominal_capacity_ah *= count;
    p.electrode_pairs *= count;
    p.contact_resistance_ohm /= count;
    for value in [
        &mut p.thermal.core_j_per_k,
        &mut p.thermal.surface_j_per_k,
        &mut p.thermal.core_surface_w_per_k,
        &mut p.thermal.surface_ambient_w_per_k,
    ] {
        *value *= count;
    }
    p
}

/// One test on a plant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Test {
    /// C/20 both ways at 25 degC.
    Slow,
    /// Pulses of one rate over the whole SOC.
    Pulses { ambient_c: f64, rate_c: f64 },
    /// A discharge from full to the lower limit.
    Discharge { ambient_c: f64, rate_c: f64, label: &'static str },
    /// A drive with the currents of the cycle recorded at `cycle_c`.
    Drive { ambient_c: f64, cycle_c: f64, profile: &'static str },
}

/// What the laboratory does with a new cell.
fn characterisation() -> Vec<Test> {
    let mut tests = vec![Test::Slow];
    for (ambient_c, rates) in PULSES_C {
        tests.extend(rates.iter().map(|&rate_c| Test::Pulses { ambient_c, rate_c }));
        tests.extend(DISCHARGES_C.map(|(rate_c, label)| Test::Discharge { ambient_c, rate_c, label }));
    }
    tests
}

fn drives() -> Vec<Test> {
    let at = |(ambient_c, cycle_c)| PROFILES.map(|profile| Test::Drive { ambient_c, cycle_c, profile });
    DRIVES_C.into_iter().flat_map(at).collect()
}

impl Test {
    /// As the files of the default data are called: `m10C_US06`.
    fn name(&self) -> String {
        let at = |t: f64| format!("{}{:02.0}C", if t < 0.0 { "m" } else { "p" }, t.abs());
        match *self {
            Self::Slow => format!("{}_OCV20", at(25.0)),
            Self::Pulses { ambient_c, rate_c } => format!("{}_HPPC_{rate_c}C", at(ambient_c)),
            Self::Discharge { ambient_c, label, .. } => format!("{}_CAP_{label}", at(ambient_c)),
            Self::Drive { ambient_c, profile, .. } => format!("{}_{profile}", at(ambient_c)),
        }
    }

    fn entry(&self) -> DatasetFile {
        let (kind, profile, ambient_c) = match *self {
            Self::Slow => ("ocv_c20", "OCV_C20", 25.0),
            Self::Pulses { ambient_c, .. } => ("hppc", "HPPC", ambient_c),
            Self::Discharge { ambient_c, .. } => ("capacity_rate", "CAP", ambient_c),
            Self::Drive { ambient_c, profile, .. } => ("drive", profile, ambient_c),
        };
        DatasetFile {
            file: self.name(),
            kind: Some(kind.into()),
            profile: Some(profile.into()),
            ambient_c: Some(ambient_c),
            ..DatasetFile::default()
        }
    }
}

/// A cell and what is done with copies of it.
#[derive(Debug)]
struct Bench {
    set: String,
    nominal_ah: f64,
    /// Full and rested at 25 degC.
    cell: SpmeCell,
    tests: Vec<Test>,
    cycles: Arc<Vec<Cycle>>,
}

impl RunSource for Bench {
    fn run(&self, file: &DatasetFile) -> Result<Run, DataError> {
        let failed =
            |reason: String| DataError::Simulation { run: format!("{}/{}", self.set, file.file), reason };
        let test = self.tests.iter().find(|t| t.name() == file.file);
        let test = test.ok_or_else(|| failed("the plant has no such test".into()))?;
        let mut run = self.carry_out(test).map_err(|e| failed(e.to_string()))?;
        run.source.clone_from(&file.file);
        Ok(run)
    }
}

impl Bench {
    fn carry_out(&self, test: &Test) -> Result<Run, TestError> {
        let (cell, nominal_ah) = (self.cell.clone(), self.nominal_ah);
        // The C/20 test comes first in a laboratory; its capacity sets the SOC levels of the pulses.
        let capacity_ah = cell.capacity_ah();
        match *test {
            Test::Slow => laboratory::slow(cell, nominal_ah),
            Test::Pulses { ambient_c, rate_c } => laboratory::pulses(cell, capacity_ah, ambient_c, rate_c),
            Test::Discharge { ambient_c, rate_c, .. } => {
                laboratory::discharge(cell, nominal_ah, ambient_c, rate_c)
            }
            Test::Drive { ambient_c, cycle_c, profile } => {
                let fits = |c: &&Cycle| c.profile == profile && c.ambient_c == cycle_c;
                let rates = self.cycles.iter().find(fits).map(|c| c.rates_c.as_slice());
                road::drive(cell, nominal_ah, ambient_c, rates.unwrap_or_default())
            }
        }
    }
}

/// The drive cycles of a set: every profile at every temperature that the plants' drives refer to.
fn cycles(folder: &Path) -> Result<Vec<Cycle>, PlantSetError> {
    let set = Dataset::open(folder)?;
    let mut all: Vec<Cycle> = Vec::new();
    for (_, ambient_c) in DRIVES_C {
        for profile in PROFILES {
            if all.iter().any(|c| c.profile == profile && c.ambient_c == ambient_c) {
                continue;
            }
            let missing = || PlantSetError::NoCycle { folder: set.name.clone(), profile, ambient_c };
            let wanted =
                |f: &&DatasetFile| f.profile.as_deref() == Some(profile) && f.ambient_c == Some(ambient_c);
            let file = set.of_kind("drive").find(wanted).ok_or_else(missing)?;
            let run = set.runs(file)?.into_iter().next().unwrap_or_default();
            let nominal_ah = set.nominal_capacity_ah.ok_or_else(missing)?;
            let rates_c = cycle::middle(&run, nominal_ah).ok_or_else(missing)?;
            all.push(Cycle { profile, ambient_c, rates_c });
        }
    }
    Ok(all)
}
