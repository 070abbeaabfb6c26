//! Whole lives of simulated cells: driven, parked and charged day by day from new to 80 % of their capacity, while the
//! core's estimators run on what the sensors show.
//!
//! ```text
//! plant ─► laboratory tests of the new cell ─► identify ─► tables ─┐
//!   └─► ages ─► day after day: drive, park, drive, park, charge ─► sensors ─► CellEstimator ─┐
//!         └─► check-ups on a copy: C/20 capacity, 10 s pulse at 25 degC and 50 % ────────────┴─► errors
//! ```
//!
//! The check-ups are for the score alone; nothing of them reaches the cell or the estimator. Ageing runs faster than life
//! ([`Life::faster`]): film, plated lithium and active material are lost so many times as fast, which makes tracking
//! harder, since an estimator has fewer cycles to notice.

mod day;

use std::sync::Arc;

use bms_core::cell::CellModel;
use cell_models::physics::{AgeingParameters, PhysicsParameters, SpmeCell, Wear};
use cell_models::{Load, ParameterError, Plant as _, PlantError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cell_file::{CellFile, CellFileError};
use crate::identify::plan::{Plan, Selection};
use crate::identify::{IdentifyError, identify};
use crate::plants::Plant;
use crate::sensors::SensorCorner;
use day::Living;

/// Equivalent full cycles after which errors count.
pub const SETTLED_CYCLES: f64 = 30.0;
/// Capacity, as a share of the new cell's, at which a life ends.
const END_SOH: f64 = 0.8;

/// Why a life cannot be lived.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LifeError {
    /// No plant of this name.
    #[error("no plant `{0}`")]
    NoPlant(String),
    /// The plant refuses its parameters.
    #[error("parameters of the plant")]
    Parameters(#[from] ParameterError),
    /// The plant refuses a step.
    #[error("a step of the plant")]
    Plant(#[from] PlantError),
    /// The new cell's tests give no tables.
    #[error("identification of the plant")]
    Identify(#[from] IdentifyError),
    /// The tables cannot be used.
    #[error("tables of the plant")]
    CellFile(#[from] CellFileError),
}

/// How a cell is used from day to day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Habit {
    /// SOC (as the BMS has it, fraction) to which the cell is charged every evening; 1 is a full charge with taper.
    pub charge_to: f64,
    /// SOC down to which it is driven every day.
    pub drive_to: f64,
}

impl Habit {
    /// Never full, never below 40 %.
    pub const SHALLOW: Self = Self { charge_to: 0.8, drive_to: 0.4 };
    /// Full every evening.
    pub const FULL: Self = Self { charge_to: 1.0, drive_to: 0.4 };
    /// Never full, down to 20 %.
    pub const DEEP: Self = Self { charge_to: 0.8, drive_to: 0.2 };
}

/// Ambient temperatures that a cell lives through, in degC.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weather {
    /// Mean over the year.
    pub mean_c: f64,
    /// Swing of the seasons.
    pub season_c: f64,
    /// Spread from day to day.
    pub spread_c: f64,
    /// Swing from night to day.
    pub night_c: f64,
}

impl Weather {
    /// From some 3 degC in winter nights to 37 degC on summer afternoons.
    pub const TEMPERATE: Self = Self { mean_c: 18.0, season_c: 11.0, spread_c: 4.0, night_c: 4.0 };
    /// A climate chamber at 25 degC.
    pub const CHAMBER: Self = Self { mean_c: 25.0, season_c: 0.0, spread_c: 0.0, night_c: 0.0 };
}

/// One life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Name of the plant (`plants::PLANTS`).
    pub plant: String,
    /// How the cell is used.
    pub habit: Habit,
    /// Ambient temperatures.
    pub weather: Weather,
    /// Sensors; their errors are drawn once for the whole life.
    pub sensors: SensorCorner,
    /// Seed of the sensors' errors, the weather and the drives.
    pub seed: u64,
    /// How many times as fast the cell ages.
    pub faster: f64,
    /// Days after which the life ends, whatever is left of the cell.
    pub longest_days: usize,
}

impl Life {
    /// A life with good sensors and seasons, ageing four times as fast as typical.
    #[must_use]
    pub fn of(plant: &str, habit: Habit, seed: u64) -> Self {
        Self {
            plant: plant.into(),
            habit,
            weather: Weather::TEMPERATE,
            sensors: SensorCorner::Good,
            seed,
            faster: 4.0,
            longest_days: 1000,
        }
    }

    /// Plant, the SOC between which it is used, and seed, e.g. `okane2022, 80 to 40 %, seed 1`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}, seed {}", self.kind(), self.seed)
    }

    /// The same without the seed.
    #[must_use]
    pub fn kind(&self) -> String {
        let Habit { charge_to, drive_to } = self.habit;
        format!("{}, {:.0} to {:.0} %", self.plant, 100.0 * charge_to, 100.0 * drive_to)
    }
}

/// One life, lived in some ten seconds.
#[must_use]
pub fn quick() -> Vec<Life> {
    vec![Life { faster: 6.0, ..Life::of("okane2022", Habit::SHALLOW, 1) }]
}

/// Every chemistry with every habit, two seeds each.
#[must_use]
pub fn full() -> Vec<Life> {
    let plants = ["kim2011", "mohtat2020", "okane2022", "prada2013"];
    let habits = [Habit::SHALLOW, Habit::DEEP, Habit::FULL];
    let both = |plant| habits.into_iter().flat_map(move |h| [1, 2].map(|seed| Life::of(plant, h, seed)));
    plants.into_iter().flat_map(both).collect()
}

/// What the core and the check-up said on one day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CheckUp {
    /// Day of the life, from 0.
    pub day: usize,
    /// Equivalent full cycles of the new cell's capacity so far.
    pub cycles: f64,
    /// True capacity over the new cell's.
    pub soh_q: f64,
    /// The core's.
    pub soh_q_estimated: f64,
    /// The core's standard deviation of it.
    pub soh_q_std: f64,
    /// True 10 s resistance at 25 degC and 50 % SOC over the new cell's.
    pub soh_r: f64,
    /// The core's.
    pub soh_r_estimated: f64,
    /// The core's standard deviation of it.
    pub soh_r_std: f64,
    /// Largest error of the SOC since the last check-up, in points.
    pub soc_max_points: f64,
    /// Windows that the capacity tracker has taken in.
    pub windows: u32,
}

impl CheckUp {
    /// Error of `SOH_Q` in points.
    #[must_use]
    pub fn soh_q_points(&self) -> f64 {
        100.0 * (self.soh_q_estimated - self.soh_q)
    }

    /// Error of `SOH_R` in percent of it.
    #[must_use]
    pub fn soh_r_percent(&self) -> f64 {
        100.0 * (self.soh_r_estimated / self.soh_r - 1.0)
    }
}

/// A life and its check-ups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LifeOutcome {
    /// The life.
    pub life: Life,
    /// Chemistry of the cell.
    pub chemistry: crate::cell_file::Chemistry,
    /// All check-ups, oldest first.
    pub check_ups: Vec<CheckUp>,
}

impl LifeOutcome {
    fn largest(&self, error: impl Fn(&CheckUp) -> f64) -> Option<f64> {
        let settled = self.check_ups.iter().filter(|c| c.cycles >= SETTLED_CYCLES);
        settled.map(|c| error(c).abs()).max_by(f64::total_cmp)
    }

    /// Largest error of `SOH_Q` in points after [`SETTLED_CYCLES`]; `None` if the life did not get there.
    #[must_use]
    pub fn soh_q_max_points(&self) -> Option<f64> {
        self.largest(CheckUp::soh_q_points)
    }

    /// Largest error of `SOH_R` in percent after [`SETTLED_CYCLES`].
    #[must_use]
    pub fn soh_r_max_percent(&self) -> Option<f64> {
        self.largest(CheckUp::soh_r_percent)
    }

    /// Largest error of the SOC in points after [`SETTLED_CYCLES`].
    #[must_use]
    pub fn soc_max_points(&self) -> Option<f64> {
        self.largest(|c| c.soc_max_points)
    }
}

/// A plant that the core knows from its laboratory tests: what all lives of one cell type share.
#[derive(Debug, Clone)]
pub struct KnownCell {
    /// Parameters of the plant as they age in life.
    parameters: PhysicsParameters,
    /// What identification made of the new cell's tests.
    pub tables: Arc<CellFile>,
}

impl KnownCell {
    /// Tests the new plant and identifies it; takes some seconds.
    ///
    /// # Errors
    /// [`LifeError`] if there is no such plant or identification fails.
    pub fn identified(plant: &str) -> Result<Self, LifeError> {
        let none = || LifeError::NoPlant(plant.into());
        let known = Plant::by_name(plant).ok_or_else(none)?;
        let parameters = known.living().ok_or_else(none)?;
        let (new, aged) = known.laboratory(&parameters, &life_test(&parameters)?)?;
        let mut plan = Plan::of_set(&new, &Selection::default())?;
        for set in &aged {
            plan.add_life_test(set)?;
        }
        let tables = Arc::new(identify(&plan)?);
        Ok(Self { parameters, tables })
    }
}

/// Lives all lives, side by side; the same lives give the same outcomes.
///
/// # Errors
/// The first [`LifeError`].
pub fn run(lives: &[Life]) -> Result<Vec<LifeOutcome>, LifeError> {
    let mut names: Vec<&str> = lives.iter().map(|l| l.plant.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let cells: Vec<KnownCell> =
        names.par_iter().map(|n| KnownCell::identified(n)).collect::<Result<_, _>>()?;
    let cell_of = |life: &Life| names.iter().position(|n| *n == life.plant).and_then(|k| cells.get(k));
    lives
        .par_iter()
        .map(|life| {
            let cell = cell_of(life).ok_or_else(|| LifeError::NoPlant(life.plant.clone()))?;
            live(life, cell)
        })
        .collect()
}

/// Lives one life.
///
/// # Errors
/// [`LifeError`] if the plant or the core refuses something.
pub fn live(life: &Life, cell: &KnownCell) -> Result<LifeOutcome, LifeError> {
    let owned = cell.tables.core_tables()?;
    let refused = |source| CellFileError::Parameters { cell: cell.tables.cell.name.clone(), source };
    let model = CellModel::new(owned.borrow()).map_err(refused)?;
    let tuning = cell.tables.cell.chemistry.tuning();
    let parameters = match &cell.parameters.ageing {
        Some(ageing) => cell.parameters.clone().with_ageing(faster(ageing, life.faster)),
        None => cell.parameters.clone(),
    };
    let mut living = Living::new(life, parameters, &model, &tuning)?;
    let mut check_ups = vec![];
    while living.days() < life.longest_days && living.soh_q() > END_SOH {
        for _ in 0..DAYS_BETWEEN {
            living.day()?;
        }
        check_ups.push(living.check_up()?);
    }
    Ok(LifeOutcome { life: life.clone(), chemistry: cell.tables.cell.chemistry, check_ups })
}

/// The wear that a laboratory's life test brings about: full cycles at 25 degC at the pace of a vehicle's life test, cells
/// taken out at 95, 90, 85 and 80 % of their capacity.
fn life_test(parameters: &PhysicsParameters) -> Result<Vec<Wear>, LifeError> {
    let ageing = parameters.ageing.as_ref().map(|a| faster(a, LIFE_TEST_FASTER));
    let mut cell = SpmeCell::new(PhysicsParameters { ageing, ..parameters.clone() }, 0.0, 25.0)?;
    let new_ah = cell.capacity_ah();
    let mut taken = vec![];
    for share in LIFE_TEST_SOH {
        while cell.capacity_ah() > share * new_ah {
            full_cycle(&mut cell)?;
        }
        taken.push(cell.wear());
    }
    Ok(taken)
}

/// Charge at C/3 to the upper limit and on to C/20 there, discharge at C/2 to the lower limit, an hour's rest after each.
fn full_cycle(cell: &mut SpmeCell) -> Result<(), PlantError> {
    let rate_a = cell.parameters().nominal_capacity_ah;
    let [low_v, high_v] = cell.voltage_limits_v();
    cell.set_current(-rate_a / 3.0)?;
    while cell.voltage_v() < high_v {
        cell.advance(10.0)?;
    }
    while cell.current_a() < -rate_a / 20.0 {
        cell.hold(Load::VoltageV(high_v), 60.0)?;
    }
    cell.set_current(0.0)?;
    cell.advance(3600.0)?;
    cell.set_current(rate_a / 2.0)?;
    while cell.voltage_v() > low_v {
        cell.advance(10.0)?;
    }
    cell.set_current(0.0)?;
    cell.advance(3600.0)
}

/// Capacities, as shares of the new cell's, at which cells leave the laboratory's life test.
const LIFE_TEST_SOH: [f64; 4] = [0.95, 0.9, 0.85, 0.8];
/// How many times as fast cells age in it.
const LIFE_TEST_FASTER: f64 = 20.0;

/// Days between two check-ups.
const DAYS_BETWEEN: usize = 5;

/// Ageing that is `factor` times as fast; plating keeps its rate, and what is plated dies faster.
pub(crate) fn faster(ageing: &AgeingParameters, factor: f64) -> AgeingParameters {
    let mut a = ageing.clone();
    if let Some(sei) = &mut a.sei {
        sei.interstitial_mol_per_m_s *= factor;
    }
    if let Some(plating) = &mut a.plating {
        plating.dead_per_s *= factor;
    }
    for loss in [&mut a.negative_loss, &mut a.positive_loss].into_iter().flatten() {
        loss.per_stoichiometry *= factor;
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarter of a life, ageing fast.
    fn short(plant: &str, habit: Habit) -> Life {
        Life { faster: 8.0, longest_days: 100, ..Life::of(plant, habit, 1) }
    }

    #[test]
    fn a_life_is_followed_and_lived_the_same_twice() {
        let lives = [short("kim2011", Habit::SHALLOW), short("kim2011", Habit::FULL)];
        let outcomes = run(&lives).unwrap();
        for o in &outcomes {
            let last = o.check_ups.last().unwrap();
            assert!(last.soh_q < 0.96 && last.soh_r > 1.1 && last.windows > 50, "{last:?}");
            assert!(o.soh_q_max_points().unwrap() < 3.0 && o.soh_r_max_percent().unwrap() < 5.0, "{last:?}");
        }
        assert_eq!(run(&lives[..1]).unwrap()[..], outcomes[..1]);
    }

    #[test]
    fn an_unknown_plant_is_an_error() {
        let refused = run(&[short("nobody1900", Habit::FULL)]).unwrap_err();
        assert_eq!(refused.to_string(), "no plant `nobody1900`");
    }
}
