//! What the front end of a simulated pack reads: offsets drawn once, noise per sample, steps of the converters.

use bms_core::measurement::Reading;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use crate::sensors::{SensorModel, quantise};

/// What there is to read of a pack at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Truth<'a> {
    /// Voltage of every series group in V.
    pub group_voltage_v: &'a [f64],
    /// Temperature under every temperature sensor in degC.
    pub sensed_c: &'a [f64],
    /// Current of the string at this moment and on average since the last reading in A, positive on discharge.
    pub current_a: [f64; 2],
    /// Coolant before and after the pack, air around it, balancing board, in degC.
    pub around_c: [f64; AROUND],
}

/// Temperatures that are read beside those of the cells.
pub const AROUND: usize = 4;

/// The readings, each with its validity.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// Voltage of every series group in V.
    pub group_voltage_v: Vec<Reading>,
    /// Every temperature sensor on a cell in degC.
    pub sensed_c: Vec<Reading>,
    /// Current of the string in A, positive on discharge.
    pub current_a: Reading,
    /// Mean current since the last reading in A.
    pub mean_current_a: Reading,
    /// Coolant before and after the pack, air around it, balancing board, in degC.
    pub around_c: [Reading; AROUND],
}

/// The sensors of a pack.
#[derive(Debug)]
pub struct PackSensors {
    model: SensorModel,
    rng: Pcg64,
    voltage_v: Vec<f64>,
    sensed_k: Vec<f64>,
    around_k: [f64; AROUND],
    gain: f64,
    offset_a: f64,
    lost_voltage: Vec<bool>,
    lost_sensed: Vec<bool>,
    readings: Readings,
}

impl PackSensors {
    /// Sensors of so many series groups and temperature sensors with errors of this model.
    #[must_use]
    pub fn new(model: SensorModel, groups: usize, sensed: usize, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut within = |x: f64| x * (2.0 * rng.random::<f64>() - 1.0);
        let voltage_v = (0..groups).map(|_| within(model.voltage_offset_v)).collect();
        let sensed_k = (0..sensed).map(|_| within(model.temperature_offset_k)).collect();
        let around_k = std::array::from_fn(|_| within(model.temperature_offset_k));
        let (gain, offset_a) = (1.0 + within(model.current_gain), within(model.current_offset_a));
        Self {
            model,
            rng,
            voltage_v,
            sensed_k,
            around_k,
            gain,
            offset_a,
            lost_voltage: vec![false; groups],
            lost_sensed: vec![false; sensed],
            readings: Readings {
                group_voltage_v: vec![Reading::MISSING; groups],
                sensed_c: vec![Reading::MISSING; sensed],
                ..Readings::default()
            },
        }
    }

    /// From now on a temperature sensor reads so much more; a number that there is not changes nothing.
    pub fn shift_temperature(&mut self, sensor: usize, by_k: f64) {
        if let Some(offset) = self.sensed_k.get_mut(sensor) {
            *offset += by_k;
        }
    }

    /// From now on a cell voltage reads so much more in V.
    pub fn shift_voltage(&mut self, group: usize, by_v: f64) {
        if let Some(offset) = self.voltage_v.get_mut(group) {
            *offset += by_v;
        }
    }

    /// From now on the current reads so much more in A.
    pub fn shift_current(&mut self, by_a: f64) {
        self.offset_a += by_a;
    }

    /// From now on a temperature sensor reads nothing.
    pub fn lose_temperature(&mut self, sensor: usize) {
        if let Some(lost) = self.lost_sensed.get_mut(sensor) {
            *lost = true;
        }
    }

    /// From now on a cell voltage reads nothing.
    pub fn lose_voltage(&mut self, group: usize) {
        if let Some(lost) = self.lost_voltage.get_mut(group) {
            *lost = true;
        }
    }

    /// One sample of all inputs.
    pub fn read(&mut self, truth: &Truth<'_>) -> &Readings {
        let (l, rng, out) = (&self.model, &mut self.rng, &mut self.readings);
        let mut noise = |sigma: f64| -> f64 { sigma * Distribution::<f64>::sample(&StandardNormal, rng) };
        let inputs = truth.group_voltage_v.iter().zip(&self.voltage_v).zip(&self.lost_voltage);
        for (reading, ((v, offset), lost)) in out.group_voltage_v.iter_mut().zip(inputs) {
            let v = quantise(v + offset + noise(l.voltage_noise_v), l.voltage_step_v);
            *reading = if *lost { Reading::MISSING } else { Reading::within(v as f32, -1.0, 10.0) };
        }
        let celsius = |t: f64| Reading::within(quantise(t, l.temperature_step_k) as f32, -60.0, 120.0);
        let inputs = truth.sensed_c.iter().zip(&self.sensed_k).zip(&self.lost_sensed);
        for (reading, ((t, offset), lost)) in out.sensed_c.iter_mut().zip(inputs) {
            *reading = if *lost { Reading::MISSING } else { celsius(t + offset) };
        }
        for (reading, (t, offset)) in out.around_c.iter_mut().zip(truth.around_c.iter().zip(&self.around_k)) {
            *reading = celsius(t + offset);
        }
        let amperes = |a: f64| Reading::within(a as f32, -1e4, 1e4);
        let [instant_a, mean_a] = truth.current_a.map(|a| a * self.gain + self.offset_a);
        out.current_a = amperes(quantise(instant_a + noise(l.current_noise_a), l.current_step_a));
        out.mean_current_a = amperes(mean_a + noise(0.1 * l.current_noise_a));
        &self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::SensorCorner;

    fn truth<'a>(v: &'a [f64], t: &'a [f64]) -> Truth<'a> {
        Truth { group_voltage_v: v, sensed_c: t, current_a: [10.0, 9.0], around_c: [20.0, 22.0, 15.0, 30.0] }
    }

    #[test]
    fn ideal_sensors_read_the_truth() {
        let mut s = PackSensors::new(SensorModel::of(SensorCorner::Ideal, 50.0), 2, 1, 1);
        let r = s.read(&truth(&[3.5, 3.6], &[21.5]));
        assert_eq!(r.group_voltage_v[1].valid(), Some(3.6));
        assert_eq!(r.sensed_c[0].valid(), Some(21.5));
        assert_eq!((r.current_a.valid(), r.mean_current_a.valid()), (Some(10.0), Some(9.0)));
        assert_eq!(r.around_c[3].valid(), Some(30.0));
    }

    #[test]
    fn errors_stay_in_the_corner_and_repeat_with_the_seed() {
        let model = SensorModel::of(SensorCorner::Good, 150.0);
        let (v, t) = (vec![3.7; 50], vec![25.0; 50]);
        let run = |seed| {
            let mut s = PackSensors::new(model, 50, 50, seed);
            s.read(&truth(&v, &t)).clone()
        };
        let (a, b, c) = (run(1), run(1), run(2));
        assert_eq!(a.group_voltage_v, b.group_voltage_v);
        assert_ne!(a.group_voltage_v, c.group_voltage_v);
        for r in &a.sensed_c {
            assert!((r.valid().unwrap() - 25.0).abs() < 0.56);
        }
        let spread: Vec<f32> = a.sensed_c.iter().filter_map(|r| r.valid()).collect();
        assert!(spread.iter().any(|t| *t > 25.2) && spread.iter().any(|t| *t < 24.8));
    }

    #[test]
    fn lost_sensors_say_so() {
        let mut s = PackSensors::new(SensorModel::IDEAL, 2, 2, 1);
        s.lose_voltage(0);
        s.lose_temperature(1);
        s.shift_temperature(0, 3.0);
        s.lose_voltage(7);
        let r = s.read(&truth(&[3.5, 3.6], &[21.5, 21.5]));
        assert_eq!(r.group_voltage_v[0].valid(), None);
        assert_eq!((r.sensed_c[0].valid(), r.sensed_c[1].valid()), (Some(24.5), None));
    }
}
