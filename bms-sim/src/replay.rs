//! Runs the core and the baselines over one measured run, causally, sample by sample.

use bms_core::cell::{Age, CellModel};
use bms_core::measurement::Measurement;
use bms_core::soc::SocEstimator;
use bms_core::tuning::Tuning;

use crate::baselines::{CoulombCounter, TextbookEkf};
use crate::cell_file::{CellFile, CellFileError};
use crate::data::Run;
use crate::sensors::{self, SensorCorner};

/// How to replay a run.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// SOC that the estimators are started with; `None` takes it from the first voltage.
    pub initial_soc: Option<f64>,
    /// Sensor corner.
    pub sensors: SensorCorner,
    /// Seed of the sensor errors.
    pub seed: u64,
    /// Added current offset in A, positive on discharge.
    pub current_offset_a: f64,
    /// Present capacity in Ah; `None` takes the cell file's.
    pub capacity_ah: Option<f64>,
    /// Tuning of the core; `None` takes the frozen one of the cell's chemistry.
    pub tuning: Option<Tuning>,
    /// Whether the baselines run too; without them their columns stay empty.
    pub baselines: bool,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            initial_soc: None,
            sensors: SensorCorner::Ideal,
            seed: 1,
            current_offset_a: 0.0,
            capacity_ah: None,
            tuning: None,
            baselines: true,
        }
    }
}

/// Everything a replay gives, one entry per sample of the run.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// Time in s as in the run.
    pub time_s: Vec<f64>,
    /// SOC of `bms-core`, fraction.
    pub soc: Vec<f64>,
    /// Its standard deviation.
    pub soc_std: Vec<f64>,
    /// SOC of the coulomb counter.
    pub soc_coulomb_counter: Vec<f64>,
    /// SOC of the textbook filter.
    pub soc_textbook_ekf: Vec<f64>,
    /// Estimated current offset in A.
    pub current_bias_a: Vec<f64>,
    /// Predicted voltage in V.
    pub predicted_v: Vec<f64>,
    /// Slow model error in V.
    pub model_error_v: Vec<f64>,
    /// Hysteresis state.
    pub hysteresis: Vec<f64>,
    /// Resistance over the tables' resistance.
    pub resistance_scale: Vec<f64>,
    /// Status flags of the core.
    pub status: Vec<u16>,
    /// The run as the sensors showed it.
    pub measured: Run,
}

/// Replays a run.
///
/// # Errors
/// If the cell file or the options cannot be used.
pub fn replay(cell: &CellFile, run: &Run, options: &ReplayOptions) -> Result<Replay, CellFileError> {
    let owned = cell.core_tables()?;
    let parameters = |source| CellFileError::Parameters { cell: cell.cell.name.clone(), source };
    let model = CellModel::new(owned.borrow()).map_err(parameters)?;
    let capacity_ah = options.capacity_ah.unwrap_or(cell.cell.capacity_ah);
    let measured =
        sensors::measure(run, options.sensors, capacity_ah, options.current_offset_a, options.seed);
    let temperature = |k: usize| measured.temperature_c.as_ref().map_or(25.0, |t| t[k]);
    let initial_soc = options.initial_soc.unwrap_or_else(|| {
        f64::from(model.soc_from_ocv(temperature(0) as f32, measured.voltage_v[0] as f32, &Age::NEW))
    });
    let tuning = options.tuning.unwrap_or(cell.cell.chemistry.tuning());
    let mut core =
        SocEstimator::new(&model, &tuning, capacity_ah as f32, initial_soc as f32).map_err(parameters)?;
    let mut counter = CoulombCounter::new(initial_soc, capacity_ah);
    let mut textbook = TextbookEkf::new(model, initial_soc, capacity_ah);

    let n = measured.len();
    let mut out = Replay { time_s: measured.time_s.clone(), ..Replay::default() };
    for column in [
        &mut out.soc,
        &mut out.soc_std,
        &mut out.soc_coulomb_counter,
        &mut out.soc_textbook_ekf,
        &mut out.current_bias_a,
        &mut out.predicted_v,
        &mut out.model_error_v,
        &mut out.hysteresis,
    ] {
        column.reserve(n);
    }
    for k in 0..n {
        let dt = measured.dt_s(k);
        let current = measured.current_a[k];
        let mean = match &measured.mean_current_a {
            Some(mean) => mean[k],
            None => 0.5 * (current + measured.current_a[k.saturating_sub(1)]),
        };
        let mut sample =
            Measurement::new(measured.voltage_v[k] as f32, current as f32, temperature(k) as f32);
        if measured.mean_current_a.is_some() {
            sample = sample.with_mean_current(mean as f32);
        }
        let estimate = core.step(&sample, dt as f32);
        out.soc.push(f64::from(estimate.soc.value));
        out.soc_std.push(f64::from(estimate.soc.std));
        out.current_bias_a.push(f64::from(estimate.current_bias_a.value));
        out.predicted_v.push(f64::from(estimate.predicted_v));
        out.model_error_v.push(f64::from(estimate.model_error_v));
        out.resistance_scale.push(f64::from(estimate.resistance_scale));
        out.hysteresis.push(f64::from(estimate.hysteresis));
        out.status.push(estimate.status.bits());
        if !options.baselines {
            continue;
        }
        out.soc_coulomb_counter.push(counter.step(mean, dt));
        out.soc_textbook_ekf.push(textbook.step(measured.voltage_v[k], current, mean, temperature(k), dt));
    }
    out.measured = measured;
    Ok(out)
}
