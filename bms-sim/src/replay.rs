//! Runs the core and the baselines over one measured run, causally, sample by sample.

use bms_core::cell::{Age, CellModel};
use bms_core::measurement::Measurement;
use bms_core::soc::{Estimated, SocEstimator};
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
    /// Standard deviation of that SOC as the core is told it; `None` is that of a guess, from the tuning.
    pub initial_soc_std: Option<f64>,
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
            initial_soc_std: None,
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
    /// Further factor on the instantaneous part of the drop.
    pub instant_scale: Vec<f64>,
    /// Status flags of the core.
    pub status: Vec<u16>,
    /// The run as the sensors showed it.
    pub measured: Run,
}

/// The last reading of each sensor that arrived.
#[derive(Debug, Clone, Copy, Default)]
struct LastArrived {
    voltage: f64,
    current: f64,
    mean: Option<f64>,
    temperature: f64,
}

impl LastArrived {
    fn take(&mut self, voltage: f64, current: f64, mean: Option<f64>, temperature: f64) {
        let newer = |last: &mut f64, new: f64| {
            if new.is_finite() {
                *last = new;
            }
        };
        newer(&mut self.voltage, voltage);
        newer(&mut self.current, current);
        newer(&mut self.temperature, temperature);
        self.mean = mean.map(|new| if new.is_finite() { new } else { self.mean.unwrap_or_default() });
    }
}

/// Replays a run as the sensors of a corner show it.
///
/// # Errors
/// If the cell file or the options cannot be used.
pub fn replay(cell: &CellFile, run: &Run, options: &ReplayOptions) -> Result<Replay, CellFileError> {
    let capacity_ah = options.capacity_ah.unwrap_or(cell.cell.capacity_ah);
    let measured =
        sensors::measure(run, options.sensors, capacity_ah, options.current_offset_a, options.seed);
    replay_measured(cell, measured, options)
}

/// Replays what sensors showed ([`sensors::measure_with`]); the options' own sensors are not used.
///
/// A reading that is not a number is one that never arrived. The baselines, which know no missing readings, are given the
/// last one that did.
///
/// # Errors
/// If the cell file or the options cannot be used.
pub fn replay_measured(
    cell: &CellFile,
    measured: Run,
    options: &ReplayOptions,
) -> Result<Replay, CellFileError> {
    let owned = cell.core_tables()?;
    let parameters = |source| CellFileError::Parameters { cell: cell.cell.name.clone(), source };
    let model = CellModel::new(owned.borrow()).map_err(parameters)?;
    let capacity_ah = options.capacity_ah.unwrap_or(cell.cell.capacity_ah);
    let temperature = |k: usize| measured.temperature_c.as_ref().map_or(25.0, |t| t[k]);
    let initial_soc = options.initial_soc.unwrap_or_else(|| {
        f64::from(model.soc_from_ocv(temperature(0) as f32, measured.voltage_v[0] as f32, &Age::NEW))
    });
    let tuning = options.tuning.unwrap_or(cell.cell.chemistry.tuning());
    let std = options.initial_soc_std.map_or(tuning.initial_soc_std, |std| std as f32);
    let start = Estimated { value: initial_soc as f32, std };
    let mut core =
        SocEstimator::starting_at(&model, &tuning, capacity_ah as f32, start).map_err(parameters)?;
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
    let mut arrived = LastArrived::default();
    for k in 0..n {
        let dt = measured.dt_s(k);
        let mean = measured.mean_current_a.as_ref().map(|mean| mean[k]);
        let (voltage, current) = (measured.voltage_v[k], measured.current_a[k]);
        let mut sample = Measurement::new(voltage as f32, current as f32, temperature(k) as f32);
        if let Some(mean) = mean {
            sample = sample.with_mean_current(mean as f32);
        }
        let open = measured.contactors_open.as_ref().and_then(|open| open.get(k)).copied();
        sample = sample.with_contactors_open(open.unwrap_or(false));
        let estimate = core.step(&sample, dt as f32);
        out.soc.push(f64::from(estimate.soc.value));
        out.soc_std.push(f64::from(estimate.soc.std));
        out.current_bias_a.push(f64::from(estimate.current_bias_a.value));
        out.predicted_v.push(f64::from(estimate.predicted_v));
        out.model_error_v.push(f64::from(estimate.model_error_v));
        out.resistance_scale.push(f64::from(estimate.resistance_scale));
        out.instant_scale.push(f64::from(estimate.instant_scale));
        out.hysteresis.push(f64::from(estimate.hysteresis));
        out.status.push(estimate.status.bits());
        if !options.baselines {
            continue;
        }
        let before = arrived;
        arrived.take(voltage, current, mean, temperature(k));
        let LastArrived { voltage, current, mean, temperature } = arrived;
        let mean = mean.unwrap_or(0.5 * (current + if k == 0 { current } else { before.current }));
        out.soc_coulomb_counter.push(counter.step(mean, dt));
        out.soc_textbook_ekf.push(textbook.step(voltage, current, mean, temperature, dt));
    }
    out.measured = measured;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use bms_core::soc::Status;

    use super::*;
    use crate::firmware::tests::cell;
    use crate::sensors::{SensorModel, measure_with};

    /// A mean current is there in every second run.
    fn run(with_mean: bool) -> Run {
        let of = |f: &dyn Fn(f64) -> f64| (0..600).map(|k| f(f64::from(k))).collect::<Vec<f64>>();
        Run {
            time_s: of(&|k| k),
            voltage_v: of(&|k| 3.28 - 0.03 * (k / 20.0).sin()),
            current_a: of(&|k| 1.0 + (k / 20.0).sin()),
            mean_current_a: with_mean.then(|| of(&|k| 1.0 + ((k - 0.5) / 20.0).sin())),
            temperature_c: Some(vec![20.0; 600]),
            ..Run::default()
        }
    }

    #[test]
    fn lost_readings_are_told_and_do_no_lasting_harm() {
        let options = ReplayOptions { initial_soc: Some(0.6), ..ReplayOptions::default() };
        for with_mean in [true, false] {
            let run = run(with_mean);
            let whole = replay(&cell(), &run, &options).unwrap();
            let seen = measure_with(&run, &SensorModel { loss: 0.1, ..SensorModel::IDEAL }, 0.0, 3);
            let lossy = replay_measured(&cell(), seen, &options).unwrap();
            let flag = |set: Status, k: usize| lossy.status[k] & set.bits() != 0;
            for k in 0..run.len() {
                assert_eq!(flag(Status::VOLTAGE_LOST, k), lossy.measured.voltage_v[k].is_nan(), "{k}");
                assert_eq!(flag(Status::CURRENT_LOST, k), lossy.measured.current_a[k].is_nan(), "{k}");
                let temperature = lossy.measured.temperature_c.as_ref().unwrap()[k];
                assert_eq!(flag(Status::TEMPERATURE_LOST, k), temperature.is_nan(), "{k}");
                for (a, b) in [
                    (&lossy.soc, &whole.soc),
                    (&lossy.soc_coulomb_counter, &whole.soc_coulomb_counter),
                    (&lossy.soc_textbook_ekf, &whole.soc_textbook_ekf),
                ] {
                    assert!((a[k] - b[k]).abs() < 0.01, "{k}: {} {}", a[k], b[k]);
                }
            }
            assert!((0..run.len()).any(|k| flag(Status::VOLTAGE_LOST, k)));
        }
    }

    #[test]
    fn what_a_corner_shows_is_what_is_replayed() {
        let options = ReplayOptions { sensors: SensorCorner::Limit, seed: 5, ..ReplayOptions::default() };
        let seen = sensors::measure(&run(true), SensorCorner::Limit, cell().cell.capacity_ah, 0.0, 5);
        let (a, b) = (
            replay(&cell(), &run(true), &options).unwrap(),
            replay_measured(&cell(), seen, &options).unwrap(),
        );
        assert_eq!((a.soc, a.soc_std, a.status), (b.soc, b.soc_std, b.status));
    }
}
