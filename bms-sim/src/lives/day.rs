//! One cell's days, and its check-ups.

use bms_core::cell::{CellModel, ParameterError as CoreError};
use bms_core::estimator::{CellEstimate, CellEstimator};
use bms_core::measurement::Measurement;
use bms_core::tuning::Tuning;
use cell_models::physics::{PhysicsParameters, SpmeCell};
use cell_models::{Drive, Load, Plant, PlantError};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{CheckUp, Life, LifeError, Weather};
use crate::cell_file::CellFileError;
use crate::plants::road::derated;
use crate::sensors::{Sensors, Signals};

/// Largest current of a drive (C-rate).
const PEAK_C: f64 = 2.0;
/// Charging current (C-rate).
const CHARGE_C: f64 = 0.2;
/// A full charge ends at this current (C-rate).
const TAPER_C: f64 = 0.02;
/// Time between two samples while driving, charging and parked, in s.
const DRIVE_STEP_S: f64 = 1.0;
const CHARGE_STEP_S: f64 = 5.0;
const PARK_STEP_S: f64 = 300.0;
/// Hours parked at work, at home before the charge, and over night.
const PARK_H: [f64; 3] = [8.0, 2.0, 9.0];
/// Length of a year in days: short, so that every life sees its seasons.
const YEAR_DAYS: f64 = 100.0;
/// The longest that a drive or a charge takes, in s.
const LONGEST_S: f64 = 12.0 * 3600.0;
/// Resistance pulse: C-rate and length in s.
const PULSE: (f64, usize) = (1.0, 10);

/// A living cell with its sensors and its estimator.
pub(super) struct Living<'a> {
    cell: SpmeCell,
    nominal_ah: f64,
    new_ah: f64,
    new_ohm: f64,
    estimator: CellEstimator<'a>,
    estimate: CellEstimate,
    sensors: Sensors,
    random: Pcg64,
    life: &'a Life,
    days: usize,
    throughput_ah: f64,
    soc_max: f64,
}

impl<'a> Living<'a> {
    pub(super) fn new(
        life: &'a Life,
        parameters: PhysicsParameters,
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
    ) -> Result<Self, LifeError> {
        let nominal_ah = parameters.nominal_capacity_ah;
        let start = life.habit.charge_to.min(0.95);
        let cell = SpmeCell::new(parameters, start, life.weather.mean_c)?.with_hysteresis(-1.0, 1.0)?;
        let refused = |source: CoreError| CellFileError::Parameters { cell: life.plant.clone(), source };
        let estimator = CellEstimator::new(model, tuning, start as f32).map_err(refused)?;
        let new_ah = cell.capacity_ah();
        Ok(Self {
            nominal_ah,
            new_ah,
            new_ohm: resistance_ohm(&cell)?,
            cell,
            estimator,
            estimate: CellEstimate::default(),
            sensors: Sensors::new(life.sensors, nominal_ah, life.seed),
            random: Pcg64::seed_from_u64(life.seed ^ 0x5eed),
            life,
            days: 0,
            throughput_ah: 0.0,
            soc_max: 0.0,
        })
    }

    pub(super) const fn days(&self) -> usize {
        self.days
    }

    /// True capacity over the new cell's.
    pub(super) fn soh_q(&self) -> f64 {
        self.cell.capacity_ah() / self.new_ah
    }

    /// Lets the estimator see the cell as it is now.
    fn see(&mut self, dt_s: f64, mean_a: f64, parked: bool) {
        let truth = Signals {
            voltage_v: self.cell.voltage_v(),
            current_a: self.cell.current_a(),
            mean_current_a: mean_a,
            temperature_c: self.cell.surface_temperature_c(),
        };
        let seen = self.sensors.read(truth);
        let sample =
            Measurement::new(seen.voltage_v as f32, seen.current_a as f32, seen.temperature_c as f32)
                .with_mean_current(seen.mean_current_a as f32)
                .with_contactors_open(parked);
        self.estimate = self.estimator.step(&sample, dt_s as f32);
        self.throughput_ah += mean_a.abs() * dt_s / 3600.0;
        let error = f64::from(self.estimate.soc.value) - self.cell.soc().clamp(0.0, 1.0);
        self.soc_max = self.soc_max.max(100.0 * error.abs());
    }

    fn soc(&self) -> f64 {
        f64::from(self.estimate.soc.value)
    }

    pub(super) fn day(&mut self) -> Result<(), LifeError> {
        let Weather { mean_c, season_c, spread_c, night_c } = self.life.weather;
        let season = (std::f64::consts::TAU * self.days as f64 / YEAR_DAYS).sin();
        let today_c = mean_c + season_c * season + spread_c * (2.0 * self.random.random::<f64>() - 1.0);
        let [work_h, home_h, night_h] = PARK_H;
        let habit = self.life.habit;
        self.cell.set_ambient_c(today_c)?;
        let halfway = 0.5 * (habit.charge_to + habit.drive_to) + 0.1 * (self.random.random::<f64>() - 0.5);
        self.drive(halfway)?;
        self.cell.set_ambient_c(today_c + night_c)?;
        self.park(work_h)?;
        self.drive(habit.drive_to)?;
        self.park(home_h)?;
        self.charge(habit.charge_to)?;
        self.cell.set_ambient_c(today_c - night_c)?;
        self.park(night_h)?;
        self.days += 1;
        Ok(())
    }

    /// Drives until the BMS shows the SOC given, or the cell gives no more.
    fn drive(&mut self, until: f64) -> Result<(), LifeError> {
        let seed = self.random.random::<u64>();
        let low_v = self.cell.voltage_limits_v()[0] + 0.02;
        for step in Drive::new(seed, PEAK_C * self.nominal_ah, LONGEST_S, DRIVE_STEP_S)? {
            let from_a = self.cell.current_a();
            self.cell = derated(&self.cell, step.current_a)?;
            self.see(DRIVE_STEP_S, 0.5 * (from_a + self.cell.current_a()), false);
            if self.soc() <= until || self.cell.voltage_v() < low_v {
                break;
            }
        }
        Ok(())
    }

    /// Parked with open contactors: the controller wakes every few minutes.
    fn park(&mut self, hours: f64) -> Result<(), PlantError> {
        self.cell.set_current(0.0)?;
        for _ in 0..(hours * 3600.0 / PARK_STEP_S) as usize {
            self.cell.advance(PARK_STEP_S)?;
            self.see(PARK_STEP_S, 0.0, true);
        }
        Ok(())
    }

    /// Charges to the SOC that the BMS shows; to 1 means until the current has tapered off at the upper limit.
    fn charge(&mut self, until: f64) -> Result<(), PlantError> {
        let full_v = self.cell.voltage_limits_v()[1];
        let full = until >= 1.0;
        self.cell.set_current(-CHARGE_C * self.nominal_ah)?;
        for _ in 0..(LONGEST_S / CHARGE_STEP_S) as usize {
            if self.cell.voltage_v() >= full_v - 1e-4 {
                self.cell.hold(Load::VoltageV(full_v), CHARGE_STEP_S)?;
            } else {
                self.cell.advance(CHARGE_STEP_S)?;
            }
            let current_a = self.cell.current_a();
            self.see(CHARGE_STEP_S, current_a, false);
            let tapered = current_a > -TAPER_C * self.nominal_ah;
            if tapered || (!full && self.soc() >= until) {
                break;
            }
        }
        Ok(())
    }

    /// The truth, measured on a copy, beside what the core says.
    pub(super) fn check_up(&mut self) -> Result<CheckUp, LifeError> {
        let e = &self.estimate;
        Ok(CheckUp {
            day: self.days,
            cycles: self.throughput_ah / (2.0 * self.new_ah),
            soh_q: self.soh_q(),
            soh_q_estimated: f64::from(e.soh_q.value),
            soh_q_std: f64::from(e.soh_q.std),
            soh_r: resistance_ohm(&self.cell)? / self.new_ohm,
            soh_r_estimated: f64::from(e.soh_r.value),
            soh_r_std: f64::from(e.soh_r.std),
            soc_max_points: std::mem::take(&mut self.soc_max),
            windows: self.estimator.capacity_tracker().windows(),
        })
    }
}

/// 10 s resistance of a copy of the cell at 25 degC and 50 % SOC, in ohm.
fn resistance_ohm(cell: &SpmeCell) -> Result<f64, PlantError> {
    let mut copy = cell.clone().without_ageing();
    copy.set_ambient_c(25.0)?;
    let rate_a = copy.parameters().nominal_capacity_ah / 3.0;
    let current_a = if copy.soc() > 0.5 { rate_a } else { -rate_a };
    let seconds = (copy.soc() - 0.5) * copy.capacity_ah() / current_a * 3600.0;
    copy.set_current(current_a)?;
    copy.advance(seconds)?;
    copy.set_current(0.0)?;
    copy.advance(4.0 * 3600.0)?;
    let rested_v = copy.voltage_v();
    let (pulse_c, pulse_s) = PULSE;
    let pulse_a = pulse_c * copy.parameters().nominal_capacity_ah;
    copy.set_current(pulse_a)?;
    for _ in 0..pulse_s {
        copy.advance(1.0)?;
    }
    Ok((rested_v - copy.voltage_v()) / pulse_a)
}
