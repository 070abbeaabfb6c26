//! State of power against the truth: plants are driven, the core follows, and at points on the way copies of the plant are
//! loaded until the first limit.
//!
//! ```text
//! plant ─► drive ─► points (in the drive, and rested) ─► truth: bisection on copies of the plant
//!            └► good sensors ─► SocEstimator ─► bms_core::sop::power ─► score
//! ```

pub mod lab;
pub mod score;
pub mod tables;
pub mod truth;

use bms_core::cell::CellModel;
use bms_core::measurement::Measurement;
use bms_core::predict::{Heat, PulseModel, Surface};
use bms_core::pulse::PulseObserver;
use bms_core::soc::{Estimated, OperatingPoint, SocEstimator};
use bms_core::sop::{Binding, HORIZONS_S, Limits, NegativeElectrode, PowerState};
use cell_models::physics::SpmeCell;
use cell_models::{Plant as _, PlantError};
use rayon::prelude::*;
use thiserror::Error;

use crate::cell_file::{CellFile, CellFileError, OwnedTables};
use crate::data::{DataError, Run};
use crate::identify::IdentifyError;
use crate::known::{KnownCell, KnownError};
use crate::plants::{self, Plant, PlantSetError};
use crate::profiles::Profile;
use crate::profiles::speed::Cycle;
use crate::sensors::{self, SensorCorner};
use lab::PulseFile;
pub use score::{SopCase, SopFigures, figures};
use truth::TrueLimits;

/// Why the state of power cannot be scored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SopError {
    /// A plant cannot be made or driven.
    #[error(transparent)]
    Plants(#[from] PlantSetError),
    /// A run cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A cell cannot be identified.
    #[error(transparent)]
    Identify(#[from] IdentifyError),
    /// A plant's cell cannot be characterised.
    #[error(transparent)]
    Known(#[from] KnownError),
    /// The core refuses a cell file.
    #[error(transparent)]
    CellFile(#[from] CellFileError),
    /// A plant refuses a load.
    #[error(transparent)]
    Plant(#[from] PlantError),
}

/// What to score.
#[derive(Debug, Clone)]
pub struct SopOptions {
    /// The plants.
    pub plants: Vec<Plant>,
    /// States of health.
    pub soh: Vec<f64>,
    /// Ambient temperatures in degC.
    pub ambient_c: Vec<f64>,
    /// SOC levels (fractions, falling) at which the drive is looked at.
    pub soc: Vec<f64>,
    /// Sensors.
    pub sensors: SensorCorner,
    /// Seed of their errors.
    pub seed: u64,
    /// What the core is told beyond its due, to find out what limits it.
    pub told: Told,
}

/// What the core is told that it could not know: for experiments about the cause of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// The true SOC.
    pub soc: bool,
}

impl Default for SopOptions {
    fn default() -> Self {
        Self {
            plants: plants::PLANTS.to_vec(),
            soh: vec![1.0, 0.9, 0.8],
            ambient_c: vec![-20.0, -10.0, 0.0, 10.0, 25.0, 45.0],
            soc: vec![0.9, 0.7, 0.5, 0.3, 0.15],
            sensors: SensorCorner::Good,
            seed: 1,
            told: Told::default(),
        }
    }
}

/// Largest currents of the cells in multiples of the nominal capacity per hour, discharge and charge: those of the
/// recorded M50 cell.
const CURRENT_C: [f64; 2] = [3.0, 1.5];
/// The drive begins with a SOC that the controller remembers so well (fraction).
const REMEMBERED_STD: f32 = 0.02;
/// Drive cycle.
const PROFILE: Profile = Profile::Speed(Cycle::Us06);
/// Rest before a point that is to be rested, in s, and the step of its samples.
const REST_S: [f64; 2] = [3600.0, 10.0];

/// Everything that the core knows of a cell.
struct Known {
    tables: OwnedTables,
    pulse: (OwnedTables, PulseFile),
    negative: (OwnedTables, PulseFile),
    file: CellFile,
    heat: Option<[f64; 2]>,
}

/// A plant that was characterised.
struct Subject {
    plant: Plant,
    known: Known,
    rated: [[f64; 2]; 2],
}

/// One moment of a drive.
struct Point {
    cell: SpmeCell,
    /// Last row of the run that is before it.
    row: usize,
    /// What was recorded while it rested after that; empty for a point in the drive.
    rest: Run,
}

/// Scores the state of power of plants; `progress` is called with the number
/// of drives that are done and how many there are.
///
/// # Errors
/// If a plant cannot be made, tested or driven.
pub fn run(options: &SopOptions, progress: impl Fn(usize, usize) + Sync) -> Result<Vec<SopCase>, SopError> {
    let subjects: Vec<Subject> = options.plants.par_iter().map(|p| subject(*p)).collect::<Result<_, _>>()?;
    let mut jobs = Vec::new();
    for subject in &subjects {
        for &soh in &options.soh {
            jobs.extend(options.ambient_c.iter().map(|t| (subject, soh, *t)));
        }
    }
    let done = std::sync::atomic::AtomicUsize::new(0);
    let all: Vec<Vec<SopCase>> = jobs
        .par_iter()
        .map(|(subject, soh, ambient_c)| {
            let cases = score_drive(subject, *soh, *ambient_c, options);
            progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, jobs.len());
            cases
        })
        .collect::<Result<_, _>>()?;
    Ok(all.into_iter().flatten().collect())
}

fn subject(plant: Plant) -> Result<Subject, SopError> {
    let KnownCell { circuit, electrodes, heat } = KnownCell::of_plant(plant)?;
    let [pulse, negative] = electrodes.ok_or(KnownError::NoTests { plant: plant.name })?;
    let known = Known {
        tables: circuit.core_tables()?,
        pulse: (pulse.file.core_tables()?, pulse),
        negative: (negative.file.core_tables()?, negative),
        file: circuit,
        heat,
    };
    let (cell, nominal_ah) = plant.cell(1.0)?;
    let mut middle = cell.clone();
    middle.set_current(nominal_ah / 3.0)?;
    middle.advance(0.5 * cell.capacity_ah() / nominal_ah * 3.0 * 3600.0)?;
    middle.set_current(0.0)?;
    middle.advance(REST_S[0])?;
    let limits = true_limits(&middle, nominal_ah);
    // Rated are the values over 10 s.
    let rated = [true, false].map(|d| truth::largest(&middle, &limits, d)[1].map(|(value, _)| value));
    Ok(Subject { plant, known, rated })
}

fn true_limits(cell: &SpmeCell, nominal_ah: f64) -> TrueLimits {
    TrueLimits {
        voltage_v: cell.voltage_limits_v(),
        current_a: CURRENT_C.map(|c| c * nominal_ah),
        soc: [0.0, 1.0],
        temperature_c: 60.0,
        rise_k: 10.0,
        plating: true,
    }
}

fn score_drive(
    subject: &Subject,
    soh: f64,
    ambient_c: f64,
    options: &SopOptions,
) -> Result<Vec<SopCase>, SopError> {
    let (cell, nominal_ah) = subject.plant.cell(soh)?;
    let capacity_ah = cell.capacity_ah();
    let limits = true_limits(&cell, nominal_ah);
    let mut levels = options.soc.iter().copied().peekable();
    let mut seen: Vec<(SpmeCell, usize)> = Vec::new();
    let run = subject.plant.drive(cell, PROFILE, ambient_c, |cell, run| {
        if levels.next_if(|level| cell.soc() <= *level).is_some() {
            seen.push((cell.clone(), run.len() - 1));
        }
    })?;
    let mut points = Vec::new();
    for (cell, row) in seen {
        let (rested, rest) = rested(&cell, ambient_c, run.time_s[row])?;
        points.push(Point { cell, row, rest: Run::default() });
        points.push(Point { cell: rested, row, rest });
    }
    let states = follow(subject, &run, &points, capacity_ah, nominal_ah, options)?;
    let mut cases = Vec::new();
    for (point, (at, sop)) in points.iter().zip(states) {
        for discharge in [true, false] {
            let truths = truth::largest(&point.cell, &limits, discharge);
            let of = |s: &bms_core::sop::PowerLimits| if discharge { s.discharge } else { s.charge };
            let estimates = of(&sop.best).into_iter().zip(of(&sop.safe));
            for ((horizon_s, truth), (best, safe)) in HORIZONS_S.into_iter().zip(truths).zip(estimates) {
                for (power, (truth, by)) in [true, false].into_iter().zip(truth) {
                    let value =
                        |l: &bms_core::sop::Limit| f64::from(if power { l.power_w } else { l.current_a });
                    cases.push(SopCase {
                        set: subject.plant.name.into(),
                        soh,
                        ambient_c,
                        soc: point.cell.soc(),
                        rested: !point.rest.is_empty(),
                        discharge,
                        horizon_s: f64::from(horizon_s),
                        power,
                        truth,
                        truth_by: name(by).into(),
                        best: value(&best),
                        best_by: name(if power { best.power_by } else { best.current_by }).into(),
                        safe: value(&safe),
                        rated: subject.rated[usize::from(!discharge)][usize::from(!power)],
                        soc_error: f64::from(at.soc.value) - point.cell.soc(),
                        resistance_scale: f64::from(at.resistance_scale.value),
                    });
                }
            }
        }
    }
    Ok(cases)
}

/// A copy after a rest, and what was recorded of it.
fn rested(cell: &SpmeCell, ambient_c: f64, from_s: f64) -> Result<(SpmeCell, Run), PlantError> {
    let [total_s, step_s] = REST_S;
    let mut cell = cell.clone();
    cell.set_current(0.0)?;
    let mut run = Run { mean_current_a: Some(Vec::new()), temperature_c: Some(Vec::new()), ..Run::default() };
    let mut time_s = 0.0;
    while time_s < total_s {
        cell.advance(step_s)?;
        time_s += step_s;
        run.time_s.push(from_s + time_s);
        run.current_a.push(0.0);
        run.voltage_v.push(cell.voltage_v());
        run.mean_current_a.get_or_insert_default().push(0.0);
        run.temperature_c.get_or_insert_default().push(cell.surface_temperature_c());
        run.ambient_c.get_or_insert_default().push(ambient_c);
    }
    Ok((cell, run))
}

/// The estimator over the drive, and what it says at each point.
fn follow(
    subject: &Subject,
    run: &Run,
    points: &[Point],
    capacity_ah: f64,
    nominal_ah: f64,
    options: &SopOptions,
) -> Result<Vec<(OperatingPoint, PowerState)>, SopError> {
    let known = &subject.known;
    let refused = |source| CellFileError::Parameters { cell: known.file.cell.name.clone(), source };
    let model = CellModel::new(known.tables.borrow()).map_err(refused)?;
    let pulse = CellModel::new(known.pulse.0.borrow()).map_err(refused)?;
    let negative = CellModel::new(known.negative.0.borrow()).map_err(refused)?;
    let pulse = pulse_model(&pulse, &known.pulse.1);
    let negative = pulse_model(&negative, &known.negative.1);
    let tuning = known.file.cell.chemistry.tuning();
    let start = run.soc_true.as_ref().and_then(|s| s.first()).copied().unwrap_or(0.95);
    let seed = options.seed
        ^ ((capacity_ah * 1e6) as u64)
        ^ (((run.temperature_c.as_ref().map_or(25.0, |t| t[0]) + 100.0) * 1e3) as u64);
    let measure = |run: &Run| sensors::measure(run, options.sensors, capacity_ah, 0.0, seed);
    let mut limits =
        Limits::of_cell(&model, (CURRENT_C[0] * nominal_ah) as f32, (CURRENT_C[1] * nominal_ah) as f32);
    let start = Estimated { value: start as f32, std: REMEMBERED_STD };
    let estimator = SocEstimator::starting_at(&model, &tuning, capacity_ah as f32, start).map_err(refused)?;
    let mut follower = (estimator, PulseObserver::new(pulse), Some(NegativeElectrode::new(negative)));
    let measured = measure(run);
    let mut done = 0;
    let mut out = Vec::new();
    for point in points {
        step_over(&mut follower, &measured, done..point.row + 1);
        done = done.max(point.row + 1);
        let mut here = follower;
        let rest = measure(&point.rest);
        step_over(&mut here, &rest, 0..rest.len());
        let mut at = here.0.operating_point();
        if options.told.soc {
            at.soc.value = point.cell.soc() as f32;
        }
        limits.heat = known.heat.map(|[capacity, conductance]| Heat {
            capacity_j_per_k: capacity as f32,
            to_ambient_w_per_k: conductance as f32,
            ambient_c: at.temperature_c,
        });
        out.push((at, bms_core::sop::power(&pulse, &limits, &here.1.start(&at), here.2.as_ref())));
    }
    Ok(out)
}

fn pulse_model<'a>(cell: &'a CellModel<'a>, file: &'a PulseFile) -> PulseModel<'a> {
    PulseModel { cell, surface: Surface { temperature_c: &file.temperature_c, gain: &file.gain } }
}

fn step_over(
    (estimator, pulses, negative): &mut (SocEstimator<'_>, PulseObserver<'_>, Option<NegativeElectrode<'_>>),
    run: &Run,
    rows: std::ops::Range<usize>,
) {
    for k in rows {
        let temperature_c = run.temperature_c.as_ref().map_or(25.0, |t| t[k]);
        let mean_a = run.mean_current_a.as_ref().map_or(run.current_a[k], |m| m[k]);
        let sample = Measurement::new(run.voltage_v[k] as f32, run.current_a[k] as f32, temperature_c as f32)
            .with_mean_current(mean_a as f32)
            .with_contactors_open(run.contactors_open.as_ref().is_some_and(|open| open[k]));
        // The first row of a rest follows the last one of the drive by a step of its own; a drive starts at 0.
        let dt_s = if k == 0 && run.time_s[0] > 0.0 && run.len() > 1 { run.dt_s(1) } else { run.dt_s(k) };
        let estimate = estimator.step(&sample, dt_s as f32);
        let at = estimator.operating_point();
        pulses.step(&at, sample.voltage_v.valid(), estimate.mean_current_a, dt_s as f32);
        if let Some(negative) = negative {
            negative.step(&at, estimate.mean_current_a, dt_s as f32);
        }
    }
}

/// A limit in one word.
#[must_use]
pub const fn name(by: Binding) -> &'static str {
    match by {
        Binding::Voltage => "voltage",
        Binding::Current => "current",
        Binding::Soc => "soc",
        Binding::Temperature => "temperature",
        Binding::Plating => "plating",
        _ => "unknown",
    }
}
