//! Packs of simulated cells in series, each different, and the pack estimator of `bms-core` against the truth of every
//! cell.
//!
//! ```text
//! plant ─► laboratory ─► identify ─► tables ─┐
//!   └─► spread: capacity, resistance, SOC, temperature, one leak ─► days: drive, park, charge ─► sensors ─► pack estimator
//! ```
//!
//! Every day the pack is driven until its weakest cell is nearly empty, parked, charged until its strongest is full, and
//! parked again; cell voltages, temperatures and the current pass through the good sensor corner, with an own offset for
//! every input. The core knows the cells through the tests of the average cell alone.

use bms_core::cell::{CellModel, ParameterError as CoreError};
use bms_core::leak::{LeakError, LeakLimits, LeakMonitor, LeakSample};
use bms_core::measurement::{Measurement, Reading};
use bms_core::pack::{PackEstimator, PackMeasurement};
use bms_core::soc::{Estimated, SocEstimator};
use cell_models::physics::{SpmeBatch, SpmeBatchCell, SpmeCell};
use cell_models::{ParameterError, Plant as _, PlantError};
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cell_file::{CellFile, CellFileError, Chemistry};
use crate::data::{DataError, Dataset};
use crate::identify::plan::{Plan, Selection};
use crate::identify::{IdentifyError, identify};
use crate::plants::{self, Extent, Plant, PlantSetError};
use crate::sensors::{SensorCorner, SensorModel, quantise};

/// Cells of a pack.
pub const CELLS: usize = 100;

/// Spread of the cells: standard deviations of capacity and resistance (ratios) and of the SOC at the start (fraction).
const CAPACITY_STD: f64 = 0.015;
const RESISTANCE_STD: f64 = 0.05;
const SOC_STD: f64 = 0.015;
/// The coolant warms up by so many K along the pack, and cells differ by so much more (standard deviation, K).
const GRADIENT_K: f64 = 3.0;
const TEMPERATURE_STD_K: f64 = 0.5;
/// Mean SOC at the start.
const START_SOC: f64 = 0.9;
/// SOC of the weakest cell that ends a drive, and share of the wanted current that does.
const EMPTY_SOC: f64 = 0.05;
const TIRED: f64 = 0.3;
/// Voltage before a limit over which the vehicle takes back its current (V).
const DERATE_V: f64 = 0.1;
/// Charge rate, the rate at which a charge ends, and the temperature at which the pack is charged (degC).
const CHARGE_C: f64 = 1.0 / 3.0;
const CHARGED_C: f64 = 0.05;
const GARAGE_C: f64 = 20.0;
/// Steps in s of a drive, a charge and a park, and how long the pack is parked after each.
const DRIVE_STEP_S: f64 = 1.0;
const CHARGE_STEP_S: f64 = 5.0;
const PARK_STEP_S: f64 = 300.0;
const PARK_S: f64 = 4.0 * 3600.0;
/// Part of the first drive (s) that is not scored where the voltage shows the SOC; on a plateau it is the whole drive.
const CONVERGED_S: f64 = 900.0;
/// Errors are collected for the distribution once in so many seconds.
const COLLECT_S: f64 = 10.0;
const POINTS: f64 = 100.0;

/// Why packs cannot be scored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PackError {
    /// The plant's data sets cannot be made.
    #[error(transparent)]
    Sets(#[from] PlantSetError),
    /// A run of the plant cannot be made.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The plant's cell cannot be identified.
    #[error("plant {plant} cannot be identified")]
    Identify {
        /// Its name.
        plant: &'static str,
        /// Why.
        source: Box<IdentifyError>,
    },
    /// The cell file is no good.
    #[error(transparent)]
    CellFile(#[from] CellFileError),
    /// The core refuses the cell.
    #[error("the core refuses the cell")]
    Core(#[from] CoreError),
    /// The core refuses the leak monitor.
    #[error("the core refuses the leak monitor")]
    Leak(#[from] LeakError),
    /// The plant refuses its parameters.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// The plant refuses a step.
    #[error(transparent)]
    Step(#[from] PlantError),
    /// A drive is missing.
    #[error("plant {plant} has no drive {file}")]
    NoDrive {
        /// Name of the plant.
        plant: &'static str,
        /// The drive.
        file: &'static str,
    },
    /// Nothing to do.
    #[error("{0} must be above 0")]
    Nothing(&'static str),
}

/// What to simulate.
#[derive(Debug, Clone, PartialEq)]
pub struct PackOptions {
    /// Packs of [`CELLS`] cells for every plant and temperature.
    pub packs: usize,
    /// Days of a drive and a charge.
    pub days: usize,
    /// Ambient temperatures of the drives in degC.
    pub ambients_c: Vec<f64>,
    /// Self-discharge current in A of one cell of the first pack of each kind, per Ah of its capacity; 0 for none.
    pub leak_c: f64,
    /// Seed of spread and sensor errors.
    pub seed: u64,
    /// Whether one full filter per cell runs beside the pack's.
    pub compare: bool,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { packs: 2, days: 8, ambients_c: vec![25.0, -10.0], leak_c: 5e-4, seed: 1, compare: true }
    }
}

/// Errors in points of SOC, over all cells and the time that is scored.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PackScore {
    /// Largest error of any cell.
    pub max_points: f64,
    /// 99th percentile.
    pub p99_points: f64,
    /// Root mean square.
    pub rmse_points: f64,
    /// Share inside the own 3-sigma band, 0..1.
    pub coverage: f64,
}

/// What was found out about the leaky cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeakOutcome {
    /// Number of the cell.
    pub cell: usize,
    /// Its true leakage in A.
    pub true_a: f64,
    /// Leakage that was estimated at the end in A.
    pub estimated_a: f64,
    /// Its standard deviation in A.
    pub std_a: f64,
    /// Hours after which it was called leaky; `None` when it never was.
    pub detected_h: Option<f64>,
}

/// One pack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackOutcome {
    /// Name of the plant.
    pub plant: String,
    /// Chemistry whose tuning the core used.
    pub chemistry: Chemistry,
    /// Ambient temperature of the drives in degC.
    pub ambient_c: f64,
    /// Number of the pack among those of its kind.
    pub pack: usize,
    /// Number of cells.
    pub cells: usize,
    /// Simulated time in h.
    pub hours: f64,
    /// Time from which is scored in s.
    pub scored_from_s: f64,
    /// The pack estimator.
    pub bms: PackScore,
    /// One full filter per cell on the same readings, where that was asked for.
    pub full_filters: Option<PackScore>,
    /// Largest distance of the estimator's lowest cell SOC from the true lowest, in points.
    pub weakest_max_points: f64,
    /// The same of the highest.
    pub fullest_max_points: f64,
    /// Largest error of the pack's SOC against that from the true SOC and capacities, in points.
    pub pack_soc_max_points: f64,
    /// Root mean square error of the cells' capacities against their mean, at the end, in percent of the capacity.
    pub capacity_rmse_percent: f64,
    /// What spread there was to be found, likewise.
    pub capacity_spread_percent: f64,
    /// Largest error of the learnt current offset after the first contactor opening, in A.
    pub current_offset_max_a: f64,
    /// The leaky cell, where there is one.
    pub leak: Option<LeakOutcome>,
    /// Sound cells that were ever called leaky.
    pub false_leaks: usize,
}

impl PackOutcome {
    /// Plant, temperature and number, e.g. `okane2022, 25 degC, 0`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}, {:.0} degC, {}", self.plant, self.ambient_c, self.pack)
    }
}

/// A plant that the core has got to know.
#[derive(Debug, Clone)]
struct Known {
    plant: Plant,
    cell: SpmeCell,
    file: CellFile,
    /// Currents of the drives, one a second, in A.
    drives: Vec<Vec<f64>>,
}

/// Simulates and scores packs of each of `plants`, in the order plant, temperature, pack. The same options give the same
/// outcomes.
///
/// # Errors
/// When an option leaves nothing to do, a plant cannot be simulated or
/// identified.
pub fn run(plants: &[Plant], options: &PackOptions) -> Result<Vec<PackOutcome>, PackError> {
    for (name, count) in
        [("packs", options.packs), ("days", options.days), ("ambient temperatures", options.ambients_c.len())]
    {
        if count == 0 {
            return Err(PackError::Nothing(name));
        }
    }
    let sets = plants::data_sets(plants, Extent::Whole, None, || {})?;
    let known: Vec<Known> = plants
        .par_iter()
        .zip(sets)
        .map(|(plant, sets)| Known::new(*plant, &sets.new))
        .collect::<Result<_, _>>()?;
    let mut jobs = Vec::new();
    for known in &known {
        for ambient_c in &options.ambients_c {
            jobs.extend((0..options.packs).map(|pack| (known, *ambient_c, pack)));
        }
    }
    jobs.into_par_iter().map(|(known, ambient_c, pack)| known.score(ambient_c, pack, options)).collect()
}

/// Drives whose currents the packs take, in turns.
const DRIVES: [&str; 2] = ["p25C_US06", "p25C_WLTC"];

impl Known {
    fn new(plant: Plant, set: &std::sync::Arc<Dataset>) -> Result<Self, PackError> {
        let file = Plan::of_set(set, &Selection::default())
            .and_then(|plan| identify(&plan))
            .map_err(|source| PackError::Identify { plant: plant.name, source: Box::new(source) })?;
        let drives = DRIVES.map(|name| {
            let missing = || PackError::NoDrive { plant: plant.name, file: name };
            let entry = set.files.iter().find(|f| f.file == name).ok_or_else(missing)?;
            let run = set.runs(entry)?.into_iter().next().ok_or_else(missing)?;
            Ok::<_, PackError>(run.current_a)
        });
        let drives = drives.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { plant, cell: plant.new_cell()?, file, drives })
    }

    fn score(&self, ambient_c: f64, pack: usize, options: &PackOptions) -> Result<PackOutcome, PackError> {
        let owned = self.file.core_tables()?;
        let model = CellModel::new(owned.borrow())?;
        let tuning = self.file.cell.chemistry.tuning();
        let capacity_ah = self.file.cell.capacity_ah;
        let estimator = PackEstimator::<CELLS>::new(&model, &tuning, capacity_ah as f32, START_SOC as f32)?;
        let full = SocEstimator::new(&model, &tuning, capacity_ah as f32, START_SOC as f32)?;
        let monitor = LeakMonitor::<CELLS>::new(capacity_ah as f32, LeakLimits::TYPICAL)?;
        let seed = options.seed.wrapping_mul(1_000_003).wrapping_add((pack * 1000) as u64)
            ^ (ambient_c.to_bits() >> 40);
        let mut rng = Pcg64::seed_from_u64(seed);
        let string = Strings::new(&self.cell, ambient_c, &mut rng)?;
        let leak_a = if pack == 0 { options.leak_c * capacity_ah } else { 0.0 };
        let leaky = rng.random_range(0..CELLS);
        let mut bench = Bench {
            sensors: Sensors::new(capacity_ah, &mut rng),
            string,
            rng,
            estimator,
            full: if options.compare { vec![full; CELLS] } else { Vec::new() },
            monitor,
            leak_a,
            leaky,
            time_s: 0.0,
            contactors_open: false,
            scored_from_s: f64::INFINITY,
            collected_s: 0.0,
            bms: Errors::default(),
            full_errors: Errors::default(),
            worst: [0.0; 4],
            looked_s: 0.0,
            called: [None; CELLS],
        };
        if self.file.cell.chemistry != Chemistry::Lfp {
            bench.scored_from_s = CONVERGED_S;
        }
        for day in 0..options.days {
            bench.day(&self.drives[day % self.drives.len()], self.cell.voltage_limits_v(), capacity_ah)?;
        }
        Ok(bench.outcome(self, ambient_c, pack, options.compare))
    }
}

/// A string of cells that differ.
struct Strings {
    batch: SpmeBatch,
    /// Coolant temperature of every cell against the ambient temperature, in K.
    warmer_k: Vec<f64>,
    ambient_c: f64,
    current_a: Vec<f64>,
}

impl Strings {
    fn new(like: &SpmeCell, ambient_c: f64, rng: &mut Pcg64) -> Result<Self, PackError> {
        let resistance = resistance_ohm(like)?;
        // A truncated normal distribution: nobody builds cells into a pack that are further off.
        let mut normal = |std: f64| {
            let x: f64 = StandardNormal.sample(rng);
            std * x.clamp(-3.0, 3.0)
        };
        let mut cells = Vec::with_capacity(CELLS);
        let mut warmer_k = Vec::with_capacity(CELLS);
        for k in 0..CELLS {
            let along = k as f64 / (CELLS - 1) as f64;
            let warmer = GRADIENT_K * (along - 0.5) + normal(TEMPERATURE_STD_K);
            warmer_k.push(warmer);
            // Contacts can only add: their mean, three standard deviations, is in the resistance of all cells.
            cells.push(SpmeBatchCell {
                size: 1.0 + normal(CAPACITY_STD),
                extra_ohm: resistance * (3.0 * RESISTANCE_STD + normal(RESISTANCE_STD)),
                soc: START_SOC + normal(SOC_STD),
                temperature_c: ambient_c + warmer,
            });
        }
        Ok(Self { batch: SpmeBatch::new(like, cells)?, warmer_k, ambient_c, current_a: vec![0.0; CELLS] })
    }

    fn set_ambient_c(&mut self, ambient_c: f64) -> Result<(), PlantError> {
        let all: Vec<f64> = self.warmer_k.iter().map(|k| ambient_c + k).collect();
        self.batch.set_ambient_c(&all)
    }
}

/// Resistance of a cell in ohm: what a current of 1C for 10 s drops at half charge and 25 degC.
pub(crate) fn resistance_ohm(full: &SpmeCell) -> Result<f64, PlantError> {
    let mut cell = full.clone();
    let current_a = cell.capacity_ah();
    cell.set_current(current_a)?;
    cell.advance(1800.0)?;
    cell.set_current(0.0)?;
    cell.advance(3600.0)?;
    let rested_v = cell.voltage_v();
    cell.set_current(current_a)?;
    cell.advance(10.0)?;
    Ok((rested_v - cell.voltage_v()) / current_a)
}

/// The good corner, with an own offset for every input.
struct Sensors {
    model: SensorModel,
    voltage_v: Vec<f64>,
    temperature_c: Vec<f64>,
    gain: f64,
    offset_a: f64,
}

impl Sensors {
    fn new(capacity_ah: f64, rng: &mut Pcg64) -> Self {
        let model = SensorModel::of(SensorCorner::Good, capacity_ah);
        let mut within = |x: f64| x * (2.0 * rng.random::<f64>() - 1.0);
        let (v, t) = (model.voltage_offset_v, model.temperature_offset_k);
        Self {
            voltage_v: (0..CELLS).map(|_| within(v)).collect(),
            temperature_c: (0..CELLS).map(|_| within(t)).collect(),
            gain: 1.0 + within(model.current_gain),
            offset_a: within(model.current_offset_a),
            model,
        }
    }
}

/// Errors over all cells.
#[derive(Default)]
struct Errors {
    max: f64,
    squares: f64,
    inside: f64,
    total: f64,
    /// Error and its weight.
    collected: Vec<(f32, f32)>,
}

impl Errors {
    fn add(&mut self, error: f64, std: f64, weight: f64, collect_s: Option<f64>) {
        self.max = self.max.max(error.abs());
        self.squares += weight * error * error;
        self.total += weight;
        if error.abs() <= 3.0 * std {
            self.inside += weight;
        }
        if let Some(seconds) = collect_s {
            self.collected.push((error.abs() as f32, seconds as f32));
        }
    }

    fn score(mut self) -> PackScore {
        if self.total <= 0.0 {
            return PackScore::default();
        }
        self.collected.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: f64 = self.collected.iter().map(|(_, w)| f64::from(*w)).sum();
        let mut below = 0.0;
        let p99 = self.collected.iter().find(|(_, w)| {
            below += f64::from(*w);
            below >= 0.99 * total
        });
        PackScore {
            max_points: POINTS * self.max,
            p99_points: POINTS * p99.map_or(self.max, |(e, _)| f64::from(*e)),
            rmse_points: POINTS * (self.squares / self.total).sqrt(),
            coverage: self.inside / self.total,
        }
    }
}

/// A pack, its sensors, its estimators, and their errors.
struct Bench<'a> {
    string: Strings,
    sensors: Sensors,
    rng: Pcg64,
    estimator: PackEstimator<'a, CELLS>,
    full: Vec<SocEstimator<'a>>,
    monitor: LeakMonitor<CELLS>,
    leak_a: f64,
    leaky: usize,
    time_s: f64,
    contactors_open: bool,
    scored_from_s: f64,
    collected_s: f64,
    bms: Errors,
    full_errors: Errors,
    /// Largest errors of lowest and highest cell, of the pack's SOC (fractions), of the current offset (A).
    worst: [f64; 4],
    looked_s: f64,
    /// Time in s at which each cell was first called leaky.
    called: [Option<f64>; CELLS],
}

impl Bench<'_> {
    /// A drive, a park, a charge and a park.
    fn day(&mut self, drive_a: &[f64], [v_min, v_max]: [f64; 2], capacity_ah: f64) -> Result<(), PackError> {
        let ambient_c = self.string.ambient_c;
        self.contactors_open = false;
        self.string.set_ambient_c(ambient_c)?;
        for second in drive_a.chunks(600) {
            let (mut asked, mut given) = (0.0, 0.0);
            for wanted_a in second {
                let low = self.string.batch.voltage_v().fold(f64::INFINITY, f64::min);
                let high = self.string.batch.voltage_v().fold(0.0, f64::max);
                let room_v = if *wanted_a > 0.0 { low - v_min } else { v_max - high };
                let current_a = wanted_a * (room_v / DERATE_V).clamp(0.0, 1.0);
                asked += wanted_a.max(0.0);
                given += current_a.max(0.0);
                self.step(current_a, DRIVE_STEP_S)?;
            }
            if given < TIRED * asked || self.string.batch.soc().fold(1.0, f64::min) < EMPTY_SOC {
                break;
            }
        }
        self.park(ambient_c)?;
        // On a plateau the cells are known once they have been at its end.
        self.scored_from_s = self.scored_from_s.min(self.time_s);

        self.park(GARAGE_C)?;
        self.contactors_open = false;
        let mut rate_c = CHARGE_C;
        while rate_c > CHARGED_C {
            self.step(-rate_c * capacity_ah, CHARGE_STEP_S)?;
            if self.string.batch.voltage_v().fold(0.0, f64::max) > v_max {
                rate_c *= 0.8;
            }
        }
        self.park(ambient_c)
    }

    /// Open contactors for some hours, and a look at the leaks.
    fn park(&mut self, ambient_c: f64) -> Result<(), PackError> {
        self.contactors_open = true;
        self.string.set_ambient_c(ambient_c)?;
        for _ in 0..(PARK_S / PARK_STEP_S) as usize {
            self.step(0.0, PARK_STEP_S)?;
        }
        let mut soc_difference = [Estimated::default(); CELLS];
        for (k, d) in soc_difference.iter_mut().enumerate() {
            *d = self.estimator.cell(k).unwrap_or_default().soc_difference;
        }
        self.monitor.add(&LeakSample {
            hours: ((self.time_s - self.looked_s) / 3600.0) as f32,
            soc: self.estimator.reference().raw_soc(),
            soc_difference,
            bled_charge_ah: [0.0; CELLS],
        });
        self.looked_s = self.time_s;
        for k in self.monitor.leaky() {
            self.called[k] = self.called[k].or(Some(self.time_s));
        }
        Ok(())
    }

    /// The same current (A) through all cells for so many seconds, what the sensors say then, and what the estimators make
    /// of it.
    fn step(&mut self, current_a: f64, dt_s: f64) -> Result<(), PackError> {
        let string = &mut self.string;
        string.current_a.fill(current_a);
        string.current_a[self.leaky] += self.leak_a;
        string.batch.step_each(&string.current_a, dt_s)?;
        let first = self.time_s == 0.0;
        self.time_s += dt_s;
        let sample = self.read(current_a);
        let dt = if first { 0.0 } else { dt_s as f32 };
        self.estimator.step(&sample, dt);
        for (k, full) in self.full.iter_mut().enumerate() {
            let one = Measurement {
                voltage_v: sample.cell_voltage_v[k],
                current_a: sample.current_a,
                mean_current_a: sample.mean_current_a,
                temperature_c: sample.cell_temperature_c[k],
                contactors_open: sample.contactors_open,
            };
            full.step(&one, dt);
        }
        self.compare(dt_s);
        Ok(())
    }

    fn read(&mut self, current_a: f64) -> PackMeasurement<CELLS> {
        let s = &self.sensors;
        let rng = &mut self.rng;
        let mut noise = |sigma: f64| -> f64 { sigma * Distribution::<f64>::sample(&StandardNormal, rng) };
        let reading = |x: f64, lo: f32, hi: f32| Reading::within(x as f32, lo, hi);
        let mut sample = PackMeasurement {
            cell_voltage_v: [Reading::MISSING; CELLS],
            cell_temperature_c: [Reading::MISSING; CELLS],
            current_a: Reading::MISSING,
            mean_current_a: Reading::MISSING,
            contactors_open: self.contactors_open,
        };
        let l = &s.model;
        let readings = self.string.batch.voltage_v().zip(self.string.batch.surface_temperature_c());
        for (k, (v, t)) in readings.enumerate() {
            let v = quantise(v + s.voltage_v[k] + noise(l.voltage_noise_v), l.voltage_step_v);
            let t = quantise(t + s.temperature_c[k], l.temperature_step_k);
            sample.cell_voltage_v[k] = reading(v, -1.0, 10.0);
            sample.cell_temperature_c[k] = reading(t, -60.0, 120.0);
        }
        let shown_a = current_a * s.gain + s.offset_a;
        let instant_a = quantise(shown_a + noise(l.current_noise_a), l.current_step_a);
        sample.current_a = reading(instant_a, -1e4, 1e4);
        sample.mean_current_a = reading(shown_a + noise(0.1 * l.current_noise_a), -1e4, 1e4);
        sample
    }

    fn compare(&mut self, dt_s: f64) {
        if self.time_s < self.scored_from_s {
            return;
        }
        let collect = self.time_s - self.collected_s >= COLLECT_S - 1e-9;
        let collect_s = collect.then_some(self.time_s - self.collected_s);
        if collect {
            self.collected_s = self.time_s;
        }
        let (mut low, mut high, mut give_ah, mut take_ah) =
            (f64::INFINITY, 0.0f64, f64::INFINITY, f64::INFINITY);
        for (k, (soc, ah)) in self.string.batch.soc().zip(self.string.batch.capacity_ah()).enumerate() {
            (low, high) = (low.min(soc), high.max(soc));
            (give_ah, take_ah) = (give_ah.min(soc * ah), take_ah.min((1.0 - soc) * ah));
            let own = self.estimator.cell(k).unwrap_or_default().soc;
            self.bms.add(f64::from(own.value) - soc, f64::from(own.std), dt_s, collect_s);
            if let Some(full) = self.full.get(k) {
                let point = full.operating_point().soc;
                let error = f64::from(point.value).clamp(0.0, 1.0) - soc;
                self.full_errors.add(error, f64::from(point.std), dt_s, collect_s);
            }
        }
        let e = self.estimator.estimate();
        let pack_soc = give_ah.max(0.0) / (give_ah.max(0.0) + take_ah.max(0.0));
        let offset_a = f64::from(e.reference.current_bias_a.value) - self.sensors.offset_a;
        let errors = [
            f64::from(e.extremes.0) - low.max(0.0),
            f64::from(e.extremes.1) - high.min(1.0),
            f64::from(e.soc.value) - pack_soc,
            // The sensor's gain makes part of the offset that flows.
            if self.looked_s > 0.0 { offset_a } else { 0.0 },
        ];
        for (worst, error) in self.worst.iter_mut().zip(errors) {
            *worst = worst.max(error.abs());
        }
    }

    fn outcome(self, known: &Known, ambient_c: f64, pack: usize, compare: bool) -> PackOutcome {
        let estimated: Vec<f64> = (0..CELLS)
            .map(|k| f64::from(self.estimator.cell(k).unwrap_or_default().capacity_ah.value))
            .collect();
        let actual: Vec<f64> = self.string.batch.capacity_ah().collect();
        let relative = |v: &[f64]| -> Vec<f64> {
            let mean = v.iter().sum::<f64>() / CELLS as f64;
            v.iter().map(|x| x / mean - 1.0).collect()
        };
        let rms = |v: &mut dyn Iterator<Item = f64>| (v.map(|x| x * x).sum::<f64>() / CELLS as f64).sqrt();
        let (estimated, actual) = (relative(&estimated), relative(&actual));
        let leak = (self.leak_a > 0.0).then(|| {
            let found = self.monitor.cell(self.leaky).unwrap_or_default().current_a;
            LeakOutcome {
                cell: self.leaky,
                true_a: self.leak_a,
                estimated_a: f64::from(found.value),
                std_a: f64::from(found.std),
                detected_h: self.called[self.leaky].map(|s| s / 3600.0),
            }
        });
        let called = self.called.iter().enumerate();
        let false_leaks =
            called.filter(|(k, c)| c.is_some() && (self.leak_a == 0.0 || *k != self.leaky)).count();
        let [weakest, fullest, pack_soc, offset_a] = self.worst;
        PackOutcome {
            plant: known.plant.name.into(),
            chemistry: known.file.cell.chemistry,
            ambient_c,
            pack,
            cells: CELLS,
            hours: self.time_s / 3600.0,
            scored_from_s: self.scored_from_s,
            bms: self.bms.score(),
            full_filters: compare.then(|| self.full_errors.score()),
            weakest_max_points: POINTS * weakest,
            fullest_max_points: POINTS * fullest,
            pack_soc_max_points: POINTS * pack_soc,
            capacity_rmse_percent: 100.0 * rms(&mut estimated.iter().zip(&actual).map(|(a, b)| a - b)),
            capacity_spread_percent: 100.0 * rms(&mut actual.iter().copied()),
            current_offset_max_a: offset_a,
            leak,
            false_leaks,
        }
    }
}
