//! Sensor models: what stands between the cell and the core.
//!
//! Offsets and gains are drawn once per run, noise per sample, and the result is quantised as a real converter does.
//! The corners are those of the acceptance protocol.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::data::Run;

/// A sensor corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SensorCorner {
    /// What the run recorded, as it is.
    Ideal,
    /// A good automotive front end: 1.2 mV, 0.1 % of reading + 20 mA, 0.5 degC.
    Good,
    /// The limits of GB/T 38661: 10 mV, 2 % of full scale, 2 degC.
    Limit,
}

impl SensorCorner {
    /// Its name as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ideal => "ideal",
            Self::Good => "good",
            Self::Limit => "limit",
        }
    }
}

/// Limits of one corner; errors are drawn uniformly inside them.
#[derive(Debug, Clone, Copy)]
struct Limits {
    voltage_v: f64,
    voltage_noise_v: f64,
    current_gain: f64,
    current_offset_a: f64,
    current_noise_a: f64,
    temperature_c: f64,
    voltage_step_v: f64,
    current_step_a: f64,
    temperature_step_c: f64,
}

/// Full scale of the current sensor in multiples of the capacity per hour.
const FULL_SCALE_C: f64 = 5.0;

/// A capacity that the corner's absolute currents (20 mA) are meant for; larger cells have larger sensors.
const SMALL_CELL_AH: f64 = 5.0;

impl SensorCorner {
    /// What the corner allows; `None` for sensors without errors.
    fn limits(self, capacity_ah: f64) -> Option<Limits> {
        let size = (capacity_ah / SMALL_CELL_AH).max(1.0);
        match self {
            Self::Ideal => None,
            Self::Good => Some(Limits {
                voltage_v: 0.0012,
                voltage_noise_v: 0.0004,
                current_gain: 0.001,
                current_offset_a: 0.02 * size,
                current_noise_a: 0.005 * size,
                temperature_c: 0.5,
                voltage_step_v: 0.0001,
                current_step_a: 0.001 * size,
                temperature_step_c: 0.1,
            }),
            Self::Limit => Some(Limits {
                voltage_v: 0.010,
                voltage_noise_v: 0.002,
                current_gain: 0.0,
                current_offset_a: 0.02 * FULL_SCALE_C * capacity_ah,
                current_noise_a: 0.001 * FULL_SCALE_C * capacity_ah,
                temperature_c: 2.0,
                voltage_step_v: 0.001,
                current_step_a: 0.01 * size,
                temperature_step_c: 0.5,
            }),
        }
    }
}

/// What a cell's sensors see, or what they make of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signals {
    /// Terminal voltage in V.
    pub voltage_v: f64,
    /// Current in A at the same instant, positive on discharge.
    pub current_a: f64,
    /// Mean current in A since the sample before.
    pub mean_current_a: f64,
    /// Temperature in degC.
    pub temperature_c: f64,
}

fn quantise(x: f64, step: f64) -> f64 {
    (x / step).round() * step
}

/// The sensors of one cell, with errors drawn once: for cells that are simulated sample by sample.
#[derive(Debug, Clone)]
pub struct Sensors {
    rng: Pcg64,
    drawn: Option<Drawn>,
}

/// Limits and the fixed errors that were drawn within them.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    limits: Limits,
    voltage_offset_v: f64,
    current_gain: f64,
    current_offset_a: f64,
    temperature_offset_c: f64,
}

impl Sensors {
    /// Sensors of a corner for a cell of the capacity given ([`measure`] says what that scales).
    #[must_use]
    pub fn new(corner: SensorCorner, capacity_ah: f64, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut within = |x: f64| x * (2.0 * rng.random::<f64>() - 1.0);
        let drawn = corner.limits(capacity_ah).map(|limits| Drawn {
            voltage_offset_v: within(limits.voltage_v),
            current_gain: 1.0 + within(limits.current_gain),
            current_offset_a: within(limits.current_offset_a),
            temperature_offset_c: within(limits.temperature_c),
            limits,
        });
        Self { rng, drawn }
    }

    fn noise(&mut self, sigma: f64) -> f64 {
        sigma * Distribution::<f64>::sample(&StandardNormal, &mut self.rng)
    }

    /// One sample through the sensors.
    pub fn read(&mut self, truth: Signals) -> Signals {
        let Some(d) = self.drawn else { return truth };
        let l = d.limits;
        let voltage_v = truth.voltage_v + d.voltage_offset_v + self.noise(l.voltage_noise_v);
        let current_a = truth.current_a * d.current_gain + d.current_offset_a + self.noise(l.current_noise_a);
        Signals {
            voltage_v: quantise(voltage_v, l.voltage_step_v),
            current_a: quantise(current_a, l.current_step_a),
            // The charge reading averages the noise and is not quantised to the grain of one sample.
            mean_current_a: truth.mean_current_a * d.current_gain
                + d.current_offset_a
                + self.noise(l.current_noise_a * 0.1),
            temperature_c: quantise(truth.temperature_c + d.temperature_offset_c, l.temperature_step_c),
        }
    }
}

/// Passes a run through the sensors of a corner and adds a fixed current offset (A, positive on discharge).
///
/// The cell's capacity scales what depends on the size of the sensor: full scale is 5C, and the 20 mA of the good
/// corner hold for cells up to 5 Ah and grow in proportion beyond. The same seed gives the same errors.
#[must_use]
pub fn measure(run: &Run, corner: SensorCorner, capacity_ah: f64, current_offset_a: f64, seed: u64) -> Run {
    let mut out = run.clone();
    let mut sensors = Sensors::new(corner, capacity_ah, seed);
    if let Some(d) = sensors.drawn {
        let l = d.limits;
        for v in &mut out.voltage_v {
            *v = quantise(*v + d.voltage_offset_v + sensors.noise(l.voltage_noise_v), l.voltage_step_v);
        }
        for i in &mut out.current_a {
            *i = quantise(
                *i * d.current_gain + d.current_offset_a + sensors.noise(l.current_noise_a),
                l.current_step_a,
            );
        }
        for i in out.mean_current_a.iter_mut().flatten() {
            // The charge reading averages the noise and is not quantised to the grain of one sample.
            *i = *i * d.current_gain + d.current_offset_a + sensors.noise(l.current_noise_a * 0.1);
        }
        for t in out.temperature_c.iter_mut().flatten() {
            *t = quantise(*t + d.temperature_offset_c, l.temperature_step_c);
        }
    }
    if current_offset_a != 0.0 {
        for i in out.current_a.iter_mut().chain(out.mean_current_a.iter_mut().flatten()) {
            *i += current_offset_a;
        }
    }
    out
}
