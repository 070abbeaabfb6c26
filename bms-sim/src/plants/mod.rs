//! Simulated cells as data sets: the physics plants of `cell-models`, tested in memory as a laboratory tests a cell.
//!
//! ```text
//! parameters, wear ─► SpmeCell ─┬─► laboratory: C/20, pulses, discharges ─► Run ─► identify (knows nothing else)
//!          profiles, vehicle ───┴─► road: drive, park, charge ─► Run with its true SOC ─► replay, scores
//! ```
//!
//! A set is a [`Dataset`] whose runs are made when they are asked for, so that everything that works on recorded sets
//! works on these. The same set gives the same runs every time.
//!
//! One plant has four sets: new (`soh100`), worn to 90 % and 80 % of its capacity, and cells that differ as cells of one
//! production do (`spread`). Only the new cell is characterised.

mod laboratory;
mod log;
pub(crate) mod road;

use std::sync::Arc;

use cell_models::physics::{
    AgeingParameters, Function, PhysicsParameters, Resolution, SpmeCell, Wear, WearKind, sets,
};
use cell_models::{ParameterError, Plant as _, PlantError};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde_json::json;
use thiserror::Error;

use crate::data::{DataError, Dataset, DatasetFile, Run, RunSource};
use crate::profiles::speed::Cycle;
use crate::profiles::{Profile, Rating};
use crate::vehicle::{PackLayout, Vehicle};

/// Why a plant gives no data set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlantSetError {
    /// The plant refuses its parameters.
    #[error("plant {plant} cannot be made")]
    Parameters {
        /// Its name.
        plant: &'static str,
        /// Why.
        source: ParameterError,
    },
    /// The plant refuses a step of a drive.
    #[error("drive {run}: {reason}")]
    Drive {
        /// Profile and temperature.
        run: String,
        /// Why.
        reason: String,
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
    /// Nominal voltage in V, which with the capacity tells the energy.
    nominal_v: f64,
    typical_ageing: fn(&PhysicsParameters) -> AgeingParameters,
}

/// All plants, in alphabetical order.
pub const PLANTS: [Plant; 4] = [
    // 0.43 Ah is too small for the current errors of the matrix, which are those of cells of a few Ah.
    Plant {
        name: "kim2011",
        chemistry: "NCA / graphite",
        parallel: 12.0,
        nominal_v: 3.65,
        typical_ageing: AgeingParameters::nca_graphite,
    },
    Plant {
        name: "mohtat2020",
        chemistry: "NMC532 / graphite",
        parallel: 1.0,
        nominal_v: 3.7,
        typical_ageing: AgeingParameters::nmc_graphite,
    },
    Plant {
        name: "okane2022",
        chemistry: "NMC811 / graphite-SiOx",
        parallel: 1.0,
        nominal_v: 3.63,
        typical_ageing: AgeingParameters::nmc_graphite,
    },
    Plant {
        name: "prada2013",
        chemistry: "LFP / graphite",
        parallel: 1.0,
        nominal_v: 3.25,
        typical_ageing: AgeingParameters::lfp_graphite,
    },
];

/// How much of the matrix is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Three of the nine profiles at every age and temperature, so that at each temperature every profile is driven at one
    /// age, and a few cells of the spread.
    Subset,
    /// Every profile at every age and temperature, and all cells of the spread.
    Whole,
}

/// Ages: capacity as a share of the new cell's.
const AGES: [f64; 3] = [1.0, 0.9, 0.8];
/// Ambient temperatures of the drives in degC.
const DRIVES_C: [f64; 6] = [-20.0, -10.0, 0.0, 10.0, 25.0, 45.0];
/// A subset has one profile in so many.
const THIRDS: usize = 3;
/// Voltage (V) and energy (Wh) of the pack around the cell: an assumption, a mid-size battery car.
const PACK: (f64, f64) = (350.0, 60_000.0);
/// Cells of the spread of each plant, in the whole matrix and in its subset.
const SPREAD_CELLS: [usize; 2] = [50, 3];
/// Their standard deviations: of the capacity and of the resistance, both as a share, …
const SPREAD_CAPACITY: f64 = 0.015;
const SPREAD_RESISTANCE: f64 = 0.05;
/// … and of the ambient temperature in K around …
const SPREAD_K: f64 = 2.0;
/// … these temperatures in degC, in turns.
const SPREAD_AT_C: [f64; 2] = [25.0, 10.0];
/// What they drive.
const SPREAD_PROFILE: Profile = Profile::Speed(Cycle::Us06);
/// Capacity of the cells of the life test as a share of the new ones'.
const LIFE_TESTS_SOH: [f64; 2] = [0.9, 0.8];
/// Their lost active material per lost lithium. The scored cells have twice as much: no cell in a vehicle ages just as
/// those in the laboratory.
const LIFE_TESTS_MATERIAL: f64 = 0.2;
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
    /// The worn cells and the spread, with drives.
    pub others: Vec<Arc<Dataset>>,
    /// Cells from a life test, each with a slow test.
    pub life_tests: Vec<Arc<Dataset>>,
    /// What it is and how it becomes known to the core, in one line.
    pub note: String,
}

/// The data sets of plants.
///
/// Plants of which `filter` takes no drive are left out.
///
/// # Errors
/// If a plant cannot be made.
pub fn data_sets(
    plants: &[Plant],
    extent: Extent,
    filter: Option<&str>,
    made: impl Fn() + Sync,
) -> Result<Vec<PlantSets>, PlantSetError> {
    plants
        .par_iter()
        .filter(|plant| filter.is_none_or(|text| plant.has_drive(extent, text)))
        .map(|plant| {
            let sets = plant
                .sets(extent)
                .map_err(|source| PlantSetError::Parameters { plant: plant.name, source })?;
            made();
            Ok(sets)
        })
        .collect()
}

/// Kinds of drives.
const DRIVE: &str = "drive";
const DAY: &str = "mixed_day";
/// A drive of one cell of the spread; also the folder of their set.
pub(crate) const SPREAD: &str = "spread";

impl Plant {
    /// The plant of a name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        PLANTS.into_iter().find(|p| p.name == name)
    }

    /// Place in the list of all plants.
    fn index(&self) -> usize {
        PLANTS.iter().position(|p| p.name == self.name).unwrap_or_default()
    }

    fn set_name(&self, soh: f64) -> String {
        format!("plant/{}/soh{:03.0}", self.name, 100.0 * soh)
    }

    fn spread_name(&self) -> String {
        format!("plant/{}/{SPREAD}", self.name)
    }

    /// The drives at the age of this index.
    fn drives(&self, age: usize, extent: Extent) -> Vec<Test> {
        drives(self.index() + age, extent)
    }

    /// Whether a drive's set and file contain a text.
    fn has_drive(&self, extent: Extent, text: &str) -> bool {
        let text = text.to_lowercase();
        let aged = AGES.iter().enumerate().map(|(k, soh)| (self.set_name(*soh), self.drives(k, extent)));
        aged.chain([(self.spread_name(), self.spread(extent))]).any(|(set, tests)| {
            tests.iter().any(|t| format!("{set}/{}", t.name()).to_lowercase().contains(&text))
        })
    }

    /// The published set; how it ages, which says how resistance grows with wear, is typical where it has nothing to say.
    fn parameters(&self) -> Option<PhysicsParameters> {
        let mut p = sets::by_name(self.name)?;
        if p.ageing.is_none() {
            p = p.clone().with_ageing((self.typical_ageing)(&p));
        }
        Some(in_parallel(p, self.parallel))
    }

    /// The new cell's parameters with typical ageing, whatever the published set has to say of it: what ages in a life.
    pub(crate) fn living(&self) -> Option<PhysicsParameters> {
        self.living_of_size(self.parallel)
    }

    /// As `living`, with `size` times the electrode area of the published cell.
    pub(crate) fn living_of_size(&self, size: f64) -> Option<PhysicsParameters> {
        let p = sets::by_name(self.name)?;
        let ageing = (self.typical_ageing)(&p);
        Some(in_parallel(p.with_ageing(ageing), size))
    }

    /// Laboratory tests of the new cell, and a slow test of each cell of a life test, which wore the cells as given.
    pub(crate) fn laboratory(
        &self,
        parameters: &PhysicsParameters,
        life_tests: &[Wear],
    ) -> Result<(Dataset, Vec<Dataset>), ParameterError> {
        let set = |name, wear, tests: Vec<Test>| {
            let entries = tests.iter().map(Test::entry).collect();
            self.set(parameters, name, Some(1.0), wear, (tests, entries))
        };
        let new = set(self.set_name(1.0), Wear::default(), characterisation())?;
        let aged = life_tests
            .iter()
            .map(|w| set(format!("plant/{} of the life test", self.name), *w, vec![Test::Slow]));
        Ok((new, aged.collect::<Result<_, _>>()?))
    }

    fn sets(&self, extent: Extent) -> Result<PlantSets, ParameterError> {
        let parameters = self.known_parameters()?;
        let mut of_age = Vec::with_capacity(AGES.len());
        let mut lost = Vec::new();
        for (k, soh) in AGES.into_iter().enumerate() {
            let wear = Wear::to_soh(&parameters, WearKind::Both, soh)?;
            if soh < 1.0 {
                lost.push(format!(
                    "worn to {:.0} %: {:.1} % of its lithium and {:.1} % of its active material lost",
                    100.0 * soh,
                    100.0 * wear.lithium,
                    100.0 * wear.positive_material
                ));
            }
            let tests = if soh == 1.0 { characterisation() } else { Vec::new() };
            let tests = [tests, self.drives(k, extent)].concat();
            let entries = tests.iter().map(Test::entry).collect();
            let set = self.set(&parameters, self.set_name(soh), Some(soh), wear, (tests, entries))?;
            of_age.push(Arc::new(set));
        }
        let note = self.note(&parameters, &lost.join("; "));
        let mut others = of_age.split_off(1);
        let new = of_age.remove(0);
        let cells = self.spread(extent);
        let entries = cells
            .par_iter()
            .map(|test| {
                let truth_capacity_ah = match test {
                    Test::Cell(cell) => Some(cell.full(&parameters)?.capacity_ah()),
                    _ => None,
                };
                Ok(DatasetFile { truth_capacity_ah, ..test.entry() })
            })
            .collect::<Result<_, ParameterError>>()?;
        let spread = self.set(&parameters, self.spread_name(), None, Wear::default(), (cells, entries))?;
        others.push(Arc::new(spread));
        let life_tests = LIFE_TESTS_SOH.into_iter().map(|soh| {
            let wear = Wear::mixed_to_soh(&parameters, LIFE_TESTS_MATERIAL, soh)?;
            let name = format!("{} of the life test", self.set_name(soh));
            let tests = (vec![Test::Slow], vec![Test::Slow.entry()]);
            self.set(&parameters, name, Some(soh), wear, tests).map(Arc::new)
        });
        let life_tests = life_tests.collect::<Result<_, _>>()?;
        Ok(PlantSets { new, others, life_tests, note })
    }

    fn set(
        &self,
        parameters: &PhysicsParameters,
        name: String,
        soh: Option<f64>,
        wear: Wear,
        (tests, files): (Vec<Test>, Vec<DatasetFile>),
    ) -> Result<Dataset, ParameterError> {
        let cell = full_cell(parameters, wear)?;
        let nominal_ah = parameters.nominal_capacity_ah;
        Ok(Dataset {
            dir: name.clone().into(),
            name: name.clone(),
            cell: self.title(parameters),
            chemistry: Some(self.chemistry.into()),
            nominal_capacity_ah: Some(nominal_ah),
            voltage_limits_v: Some(parameters.voltage_limits_v),
            current_limits_a: None,
            truth_capacity_ah: Some(cell.capacity_ah()),
            truth_soh: soh,
            truth_r10s_ohm: Vec::new(),
            measured_capacity: serde_json::Value::Null,
            files,
            raw: json!({ "description": parameters.source }),
            simulated: Some(Arc::new(Bench {
                set: name,
                nominal_ah,
                rating: self.rating(parameters),
                parameters: parameters.clone(),
                cell,
                tests,
            })),
        })
    }

    /// The car around the cell.
    fn rating(&self, parameters: &PhysicsParameters) -> Rating {
        let (pack_v, pack_wh) = PACK;
        let nominal_ah = parameters.nominal_capacity_ah;
        Rating {
            vehicle: Vehicle::MIDSIZE,
            layout: PackLayout::nearest(pack_v, pack_wh, self.nominal_v, nominal_ah),
            cell_wh: self.nominal_v * nominal_ah,
        }
    }

    /// The cells of the spread; the first ones are the same for every extent.
    fn spread(&self, extent: Extent) -> Vec<Test> {
        let [whole, few] = SPREAD_CELLS;
        let count = if extent == Extent::Whole { whole } else { few };
        let mut rng = Pcg64::seed_from_u64(self.index() as u64);
        let mut draw = |std: f64| -> f64 { std * Distribution::<f64>::sample(&StandardNormal, &mut rng) };
        let cell = |(index, at_c): (usize, f64)| {
            Test::Cell(SpreadCell {
                index,
                capacity: 1.0 + draw(SPREAD_CAPACITY),
                resistance: 1.0 + draw(SPREAD_RESISTANCE),
                chamber_c: at_c,
                ambient_c: at_c + draw(SPREAD_K),
            })
        };
        (1..=count).zip(SPREAD_AT_C.into_iter().cycle()).map(cell).collect()
    }

    fn known_parameters(&self) -> Result<PhysicsParameters, ParameterError> {
        self.parameters().ok_or(ParameterError::Empty("the list of parameter sets of this name"))
    }

    /// A new cell, full and rested at 25 degC.
    pub(crate) fn new_cell(&self) -> Result<SpmeCell, ParameterError> {
        full_cell(&self.known_parameters()?, Wear::default())
    }

    /// The cell itself, full and rested at 25 degC, worn to a share `soh` of its capacity, with its nominal capacity in Ah.
    ///
    /// For scores that need more than a recording: copies of it are driven and loaded.
    ///
    /// # Errors
    /// When its parameters are refused or it cannot be worn so far.
    pub fn cell(&self, soh: f64) -> Result<(SpmeCell, f64), PlantSetError> {
        let made = || {
            let parameters = self.known_parameters()?;
            let wear = Wear::to_soh(&parameters, WearKind::Both, soh)?;
            Ok((full_cell(&parameters, wear)?, parameters.nominal_capacity_ah))
        };
        made().map_err(|source| PlantSetError::Parameters { plant: self.name, source })
    }

    /// One drive of a cell from [`Self::cell`] as in the data sets; `seen` looks at the cell and the run so far after every
    /// second that is driven or charged.
    ///
    /// # Errors
    /// If the cell refuses a step.
    pub fn drive(
        &self,
        cell: SpmeCell,
        profile: Profile,
        ambient_c: f64,
        seen: impl FnMut(&SpmeCell, &Run),
    ) -> Result<Run, PlantSetError> {
        let refused = |source| PlantSetError::Parameters { plant: self.name, source };
        let parameters = self.known_parameters().map_err(refused)?;
        let legs = profile.legs(&self.rating(&parameters), ambient_c);
        let nominal_ah = parameters.nominal_capacity_ah;
        road::drive_seen(cell, nominal_ah, ambient_c, profile.start_soc(), &legs, seen).map_err(|e| {
            PlantSetError::Drive {
                run: format!("{} at {ambient_c} degC", profile.name()),
                reason: e.to_string(),
            }
        })
    }

    fn note(&self, parameters: &PhysicsParameters, worn: &str) -> String {
        let at: Vec<String> = PULSES_C.iter().map(|(t, _)| t.to_string()).collect();
        format!(
            "plant/{}: no recorded cell, simulated during this run by cell-models (single particle with electrolyte and heat): {}. \
             The core knows it through simulated tests of the new cell alone: C/20 at 25 degC, HPPC and discharges at {} degC. \
             It is {worn}. Spread: capacity ±{:.1} %, resistance ±{:.0} %, ambient ±{SPREAD_K} K (one standard deviation)",
            self.name,
            self.title(parameters),
            at.join(", "),
            100.0 * SPREAD_CAPACITY,
            100.0 * SPREAD_RESISTANCE,
        )
    }

    fn title(&self, parameters: &PhysicsParameters) -> String {
        match self.parallel {
            1.0 => parameters.title.clone(),
            n => format!("{}, {n} in parallel", parameters.title),
        }
    }
}

/// A full and rested cell at 25 degC that keeps its wear.
fn full_cell(parameters: &PhysicsParameters, wear: Wear) -> Result<SpmeCell, ParameterError> {
    SpmeCell::with(parameters.clone(), wear, Resolution::default(), 1.0, 25.0)?
        .without_ageing()
        // As a charge leaves it: lithium went into the negative electrode and out of the positive one.
        .with_hysteresis(-1.0, 1.0)
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

/// One cell of the spread.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SpreadCell {
    index: usize,
    /// Capacity over the usual cell's.
    capacity: f64,
    /// Resistance over that of a usual cell of this size.
    resistance: f64,
    /// What the chamber is set to, in degC …
    chamber_c: f64,
    /// … and what it is around this cell.
    ambient_c: f64,
}

impl SpreadCell {
    /// This cell, full, made of the parameters of the usual one.
    fn full(&self, usual: &PhysicsParameters) -> Result<SpmeCell, ParameterError> {
        full_cell(&self.parameters(usual), Wear::default())
    }

    /// The parameters of the usual cell changed to those of this one.
    ///
    /// A larger cell has more area. Reaction, electrolyte, electrodes and contacts resist so many times as much; so does
    /// diffusion in the particles at first, where it goes with the root of the time. What comes out over 10 s is 0.7 to 1
    /// times as far from the usual as this says.
    fn parameters(&self, usual: &PhysicsParameters) -> PhysicsParameters {
        let mut p = usual.clone();
        p.electrode_pairs *= self.capacity;
        p.contact_resistance_ohm *= self.resistance / self.capacity;
        p.separator.transport_efficiency = (p.separator.transport_efficiency / self.resistance).min(1.0);
        for electrode in [&mut p.negative, &mut p.positive] {
            electrode.conductivity_s_per_m /= self.resistance;
            electrode.transport_efficiency = (electrode.transport_efficiency / self.resistance).min(1.0);
            let reaction = &mut electrode.reaction_rate_mol_per_m2_s.at_reference;
            let diffusion = &mut electrode.diffusivity_m2_per_s.at_reference;
            for (property, by) in [(reaction, self.resistance), (diffusion, self.resistance.powi(2))] {
                // All plants' are numbers.
                if let Function::Constant(value) = property {
                    *value /= by;
                }
            }
        }
        p
    }
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
    /// What a car does to it.
    Drive { ambient_c: f64, profile: Profile },
    /// A drive with a cell of the spread.
    Cell(SpreadCell),
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

/// The drives at one age. Of a subset, `turn` tells which third at each temperature.
fn drives(turn: usize, extent: Extent) -> Vec<Test> {
    let at = |(k, ambient_c): (usize, f64)| {
        let (first, step) = match extent {
            Extent::Subset => ((turn + k) % THIRDS, THIRDS),
            Extent::Whole => (0, 1),
        };
        let profiles = Profile::ALL.into_iter().skip(first).step_by(step);
        profiles.map(move |profile| Test::Drive { ambient_c, profile })
    };
    DRIVES_C.into_iter().enumerate().flat_map(at).collect()
}

impl Test {
    /// As the files of the default data are called: `m10C_US06`.
    fn name(&self) -> String {
        let at = |t: f64| format!("{}{:02.0}C", if t < 0.0 { "m" } else { "p" }, t.abs());
        match *self {
            Self::Slow => format!("{}_OCV20", at(25.0)),
            Self::Pulses { ambient_c, rate_c } => format!("{}_HPPC_{rate_c}C", at(ambient_c)),
            Self::Discharge { ambient_c, label, .. } => format!("{}_CAP_{label}", at(ambient_c)),
            Self::Drive { ambient_c, profile } => format!("{}_{}", at(ambient_c), profile.name()),
            Self::Cell(SpreadCell { index, .. }) => format!("cell{index:03}_{}", SPREAD_PROFILE.name()),
        }
    }

    /// What a laboratory does with a cell that is full and rested at 25 degC; nothing for a drive.
    fn in_laboratory(&self, cell: impl cell_models::Plant, nominal_ah: f64) -> Result<Run, TestError> {
        // The C/20 test comes first in a laboratory; its capacity sets the SOC levels of the pulses.
        let capacity_ah = cell.capacity_ah();
        match *self {
            Self::Slow => laboratory::slow(cell, nominal_ah),
            Self::Pulses { ambient_c, rate_c } => laboratory::pulses(cell, capacity_ah, ambient_c, rate_c),
            Self::Discharge { ambient_c, rate_c, .. } => {
                laboratory::discharge(cell, nominal_ah, ambient_c, rate_c)
            }
            Self::Drive { .. } | Self::Cell(_) => Ok(Run::default()),
        }
    }

    fn entry(&self) -> DatasetFile {
        let (kind, profile, ambient_c) = match *self {
            Self::Slow => ("ocv_c20", "OCV_C20", 25.0),
            Self::Pulses { ambient_c, .. } => ("hppc", "HPPC", ambient_c),
            Self::Discharge { ambient_c, .. } => ("capacity_rate", "CAP", ambient_c),
            Self::Drive { ambient_c, profile } => {
                (if profile == Profile::Day { DAY } else { DRIVE }, profile.name(), ambient_c)
            }
            Self::Cell(cell) => (SPREAD, SPREAD_PROFILE.name(), cell.chamber_c),
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
    rating: Rating,
    /// What the cell is made of.
    parameters: PhysicsParameters,
    /// Full and rested at 25 degC.
    cell: SpmeCell,
    tests: Vec<Test>,
}

impl RunSource for Bench {
    fn run(&self, file: &DatasetFile) -> Result<Run, DataError> {
        let failed =
            |reason: String| DataError::Simulation { run: format!("{}/{}", self.set, file.file), reason };
        let test = named(&self.tests, file).ok_or_else(|| failed(NO_TEST.into()))?;
        let mut run = self.carry_out(test).map_err(|e| failed(e.to_string()))?;
        run.source.clone_from(&file.file);
        Ok(run)
    }
}

const NO_TEST: &str = "the plant has no such test";

fn named<'a>(tests: &'a [Test], file: &DatasetFile) -> Option<&'a Test> {
    tests.iter().find(|t| t.name() == file.file)
}

impl Bench {
    fn carry_out(&self, test: &Test) -> Result<Run, TestError> {
        let cell = self.cell.clone();
        match *test {
            Test::Slow | Test::Pulses { .. } | Test::Discharge { .. } => {
                test.in_laboratory(cell, self.nominal_ah)
            }
            Test::Drive { ambient_c, profile } => self.drive(cell, ambient_c, profile),
            Test::Cell(one) => self.drive(one.full(&self.parameters)?, one.ambient_c, SPREAD_PROFILE),
        }
    }

    fn drive(&self, cell: SpmeCell, ambient_c: f64, profile: Profile) -> Result<Run, TestError> {
        let legs = profile.legs(&self.rating, ambient_c);
        road::drive(cell, self.nominal_ah, ambient_c, profile.start_soc(), &legs)
    }
}

/// A cell of any model in the laboratory.
#[derive(Debug)]
struct Tested<P> {
    set: String,
    nominal_ah: f64,
    /// Full and rested at 25 degC.
    cell: P,
    tests: Vec<Test>,
}

impl<P: cell_models::Plant + std::fmt::Debug + Send + Sync> RunSource for Tested<P> {
    fn run(&self, file: &DatasetFile) -> Result<Run, DataError> {
        let failed =
            |reason: String| DataError::Simulation { run: format!("{}/{}", self.set, file.file), reason };
        let test = named(&self.tests, file).ok_or_else(|| failed(NO_TEST.into()))?;
        let done = test.in_laboratory(self.cell.clone(), self.nominal_ah);
        let run = done.map_err(|e| failed(e.to_string()))?;
        Ok(Run { source: file.file.clone(), ..run })
    }
}

/// Laboratory tests of a cell of any model, full and rested at 25 degC: those of the physics plants.
pub(crate) fn laboratory_set<P>(cell: P, name: &str) -> Dataset
where
    P: cell_models::Plant + std::fmt::Debug + Send + Sync + 'static,
{
    let nominal_ah = cell.capacity_ah();
    let tests = characterisation();
    Dataset {
        dir: name.into(),
        name: name.into(),
        cell: name.into(),
        chemistry: None,
        nominal_capacity_ah: Some(nominal_ah),
        voltage_limits_v: Some(cell.voltage_limits_v()),
        current_limits_a: None,
        truth_capacity_ah: Some(nominal_ah),
        truth_soh: Some(1.0),
        truth_r10s_ohm: Vec::new(),
        measured_capacity: serde_json::Value::Null,
        files: tests.iter().map(Test::entry).collect(),
        raw: json!({}),
        simulated: Some(Arc::new(Tested { set: name.into(), nominal_ah, cell, tests })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voltage drop over 10 s at 1C from rest at half charge, over the current.
    fn resistance_ohm(parameters: PhysicsParameters) -> f64 {
        let current_a = parameters.nominal_capacity_ah;
        let mut cell = SpmeCell::new(parameters, 0.5, 25.0).unwrap();
        let rested_v = cell.voltage_v();
        cell.set_current(current_a).unwrap();
        (0..10).for_each(|_| cell.advance(1.0).unwrap());
        (rested_v - cell.voltage_v()) / current_a
    }

    #[test]
    fn cells_of_the_spread_have_the_capacity_and_nearly_the_resistance_that_was_drawn() {
        for plant in PLANTS {
            let usual = plant.parameters().unwrap();
            let one =
                SpreadCell { index: 1, capacity: 1.03, resistance: 1.1, chamber_c: 25.0, ambient_c: 25.0 };
            let usual_ah = full_cell(&usual, Wear::default()).unwrap().capacity_ah();
            let ratio = one.full(&usual).unwrap().capacity_ah() / usual_ah;
            // A C/20 test ends a trace earlier where diffusion is slower.
            assert!((ratio - 1.03).abs() < 2e-3, "{}: {ratio}", plant.name);
            let same_size = SpreadCell { capacity: 1.0, ..one };
            let ratio = resistance_ohm(same_size.parameters(&usual)) / resistance_ohm(usual);
            assert!((1.06..1.13).contains(&ratio), "{}: {ratio}", plant.name);
        }
    }

    #[test]
    fn the_spread_is_as_wide_as_it_says_and_a_subset_of_it_the_same_cells() {
        let cells: Vec<SpreadCell> = PLANTS
            .iter()
            .flat_map(|p| p.spread(Extent::Whole))
            .filter_map(|t| if let Test::Cell(cell) = t { Some(cell) } else { None })
            .collect();
        assert_eq!(cells.len(), 200);
        let std =
            |f: fn(&SpreadCell) -> f64| (cells.iter().map(|c| f(c).powi(2)).sum::<f64>() / 200.0).sqrt();
        assert!((std(|c| c.capacity - 1.0) / SPREAD_CAPACITY - 1.0).abs() < 0.2);
        assert!((std(|c| c.resistance - 1.0) / SPREAD_RESISTANCE - 1.0).abs() < 0.2);
        let [plant, ..] = PLANTS;
        assert!(plant.spread(Extent::Whole).starts_with(&plant.spread(Extent::Subset)));
    }

    #[test]
    fn a_subset_drives_every_profile_once_at_each_temperature_and_the_whole_at_each_age() {
        let [plant, ..] = PLANTS;
        let subset: Vec<Test> = (0..AGES.len()).flat_map(|age| plant.drives(age, Extent::Subset)).collect();
        let whole = plant.drives(1, Extent::Whole);
        for ambient_c in DRIVES_C {
            for profile in Profile::ALL {
                let drive = Test::Drive { ambient_c, profile };
                let count = |tests: &[Test]| tests.iter().filter(|t| **t == drive).count();
                assert_eq!((count(&subset), count(&whole)), (1, 1), "{drive:?}");
            }
        }
    }
}
