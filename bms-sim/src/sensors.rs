//! Sensor models: what stands between the cell and the core.
//!
//! Offsets and gains are drawn once per run, noise per sample, and the result is quantised as a real converter does.
//! The corners are those of the acceptance protocol. Beside its stated terms a corner has three that the protocol does not
//! state (a current older than the voltage, a slow thermistor, lost readings): [`SensorModel::of`] leaves them out,
//! [`SensorModel::complete`] has them, and [`SensorModel::only`] switches on one [`SensorTerm`] at a time.

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

/// Full scale of the current sensor in multiples of the capacity per hour.
pub(crate) const FULL_SCALE_C: f64 = 5.0;

/// A capacity that the corner's absolute currents (20 mA) are meant for; larger cells have larger sensors.
const SMALL_CELL_AH: f64 = 5.0;

/// One kind of sensor error, to be switched on alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SensorTerm {
    /// Offset of the voltage, constant over a run.
    VoltageOffset,
    /// Noise of every voltage reading.
    VoltageNoise,
    /// Steps of the converters of voltage, current and temperature.
    Quantisation,
    /// Gain error of the current, constant over a run.
    CurrentGain,
    /// Offset of the current, constant over a run.
    CurrentOffset,
    /// Noise of every current reading.
    CurrentNoise,
    /// Offset of the temperature, constant over a run.
    TemperatureOffset,
    /// The current is older than the voltage of the same sample.
    CurrentDelay,
    /// The thermistor follows the cell with a delay of first order.
    TemperatureLag,
    /// Readings that never arrive.
    SampleLoss,
}

impl SensorTerm {
    /// Every term.
    pub const ALL: [Self; 10] = [
        Self::VoltageOffset,
        Self::VoltageNoise,
        Self::Quantisation,
        Self::CurrentGain,
        Self::CurrentOffset,
        Self::CurrentNoise,
        Self::TemperatureOffset,
        Self::CurrentDelay,
        Self::TemperatureLag,
        Self::SampleLoss,
    ];

    /// Its name for tables and plots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VoltageOffset => "voltage offset",
            Self::VoltageNoise => "voltage noise",
            Self::Quantisation => "quantisation",
            Self::CurrentGain => "current gain",
            Self::CurrentOffset => "current offset",
            Self::CurrentNoise => "current noise",
            Self::TemperatureOffset => "temperature offset",
            Self::CurrentDelay => "current delay",
            Self::TemperatureLag => "temperature lag",
            Self::SampleLoss => "sample loss",
        }
    }
}

/// The sensors of one cell: how large every error may be. Zero switches a term off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SensorModel {
    /// Largest voltage offset in V; drawn uniformly in ± of it, once per run.
    pub voltage_offset_v: f64,
    /// Standard deviation of the voltage noise in V, white.
    pub voltage_noise_v: f64,
    /// Step of the voltage converter in V.
    pub voltage_step_v: f64,
    /// Largest gain error of the current (share of the reading), drawn once per run.
    pub current_gain: f64,
    /// Largest current offset in A, drawn once per run.
    pub current_offset_a: f64,
    /// Standard deviation of the current noise in A, white; a tenth of it on a mean current.
    pub current_noise_a: f64,
    /// Step of the current converter in A; a mean current has none.
    pub current_step_a: f64,
    /// How much older the current is than the voltage of the same sample, in s.
    pub current_delay_s: f64,
    /// Largest temperature offset in K, drawn once per run.
    pub temperature_offset_k: f64,
    /// Step of the temperature converter in K.
    pub temperature_step_k: f64,
    /// Time constant of the thermistor in s.
    pub temperature_lag_s: f64,
    /// Probability (0..=1) that a whole sample is lost, and again that one channel of a sample is.
    pub loss: f64,
}

impl SensorModel {
    /// Sensors without any error.
    pub const IDEAL: Self = Self {
        voltage_offset_v: 0.0,
        voltage_noise_v: 0.0,
        voltage_step_v: 0.0,
        current_gain: 0.0,
        current_offset_a: 0.0,
        current_noise_a: 0.0,
        current_step_a: 0.0,
        current_delay_s: 0.0,
        temperature_offset_k: 0.0,
        temperature_step_k: 0.0,
        temperature_lag_s: 0.0,
        loss: 0.0,
    };

    /// A corner as the acceptance protocol states it, for a cell of this capacity (Ah).
    ///
    /// The capacity scales what depends on the size of the sensor: full scale is 5C, and the 20 mA of the good corner
    /// hold for cells up to 5 Ah and grow in proportion beyond.
    #[must_use]
    pub fn of(corner: SensorCorner, capacity_ah: f64) -> Self {
        Self {
            current_delay_s: 0.0,
            temperature_lag_s: 0.0,
            loss: 0.0,
            ..Self::complete(corner, capacity_ah)
        }
    }

    /// A corner with the terms that the protocol does not state: current older than the voltage (20 ms, 100 ms: one cycle
    /// of a fast and of a slow front end), thermistor (10 s when glued on, 60 s on a bus bar), lost readings (0.1 %, 1 %).
    /// These figures are assumptions; no standard gives them.
    #[must_use]
    pub fn complete(corner: SensorCorner, capacity_ah: f64) -> Self {
        let size = (capacity_ah / SMALL_CELL_AH).max(1.0);
        match corner {
            SensorCorner::Ideal => Self::IDEAL,
            SensorCorner::Good => Self {
                voltage_offset_v: 0.0012,
                voltage_noise_v: 0.0004,
                voltage_step_v: 0.0001,
                current_gain: 0.001,
                current_offset_a: 0.02 * size,
                current_noise_a: 0.005 * size,
                current_step_a: 0.001 * size,
                current_delay_s: 0.02,
                temperature_offset_k: 0.5,
                temperature_step_k: 0.1,
                temperature_lag_s: 10.0,
                loss: 0.001,
            },
            // The 2 % of full scale are all offset here; there is no gain error beside it.
            SensorCorner::Limit => Self {
                voltage_offset_v: 0.010,
                voltage_noise_v: 0.002,
                voltage_step_v: 0.001,
                current_gain: 0.0,
                current_offset_a: 0.02 * FULL_SCALE_C * capacity_ah,
                current_noise_a: 0.001 * FULL_SCALE_C * capacity_ah,
                current_step_a: 0.01 * size,
                current_delay_s: 0.1,
                temperature_offset_k: 2.0,
                temperature_step_k: 0.5,
                temperature_lag_s: 60.0,
                loss: 0.01,
            },
        }
    }

    /// Ideal sensors but for one term, which is as in these.
    #[must_use]
    pub fn only(&self, term: SensorTerm) -> Self {
        Self::IDEAL.with(term, self)
    }

    /// These sensors with one term switched off.
    #[must_use]
    pub fn without(&self, term: SensorTerm) -> Self {
        self.with(term, &Self::IDEAL)
    }

    fn with(mut self, term: SensorTerm, of: &Self) -> Self {
        match term {
            SensorTerm::VoltageOffset => self.voltage_offset_v = of.voltage_offset_v,
            SensorTerm::VoltageNoise => self.voltage_noise_v = of.voltage_noise_v,
            SensorTerm::Quantisation => {
                self.voltage_step_v = of.voltage_step_v;
                self.current_step_a = of.current_step_a;
                self.temperature_step_k = of.temperature_step_k;
            }
            SensorTerm::CurrentGain => self.current_gain = of.current_gain,
            SensorTerm::CurrentOffset => self.current_offset_a = of.current_offset_a,
            SensorTerm::CurrentNoise => self.current_noise_a = of.current_noise_a,
            SensorTerm::TemperatureOffset => self.temperature_offset_k = of.temperature_offset_k,
            SensorTerm::CurrentDelay => self.current_delay_s = of.current_delay_s,
            SensorTerm::TemperatureLag => self.temperature_lag_s = of.temperature_lag_s,
            SensorTerm::SampleLoss => self.loss = of.loss,
        }
        self
    }
}

/// Passes a run through the stated sensors of a corner ([`SensorModel::of`]) and adds a fixed current offset (A, positive
/// on discharge). The same seed gives the same errors.
#[must_use]
pub fn measure(run: &Run, corner: SensorCorner, capacity_ah: f64, current_offset_a: f64, seed: u64) -> Run {
    measure_with(run, &SensorModel::of(corner, capacity_ah), current_offset_a, seed)
}

/// Passes a run through sensors and adds a fixed current offset (A, positive on discharge).
///
/// A lost reading is NaN; the first sample is never lost. The same seed gives the same errors, and a term that is
/// switched off leaves the others as they are.
#[must_use]
pub fn measure_with(run: &Run, sensors: &SensorModel, current_offset_a: f64, seed: u64) -> Run {
    let mut out = run.clone();
    out.contactors_open.get_or_insert_with(|| parked(run));
    delay_current(run, &mut out, sensors.current_delay_s);
    if let Some(temperature_c) = &mut out.temperature_c {
        lag(&run.time_s, temperature_c, sensors.temperature_lag_s);
    }
    if *sensors != SensorModel::IDEAL {
        distort(&mut out, sensors, seed);
    }
    if current_offset_a != 0.0 {
        for i in out.current_a.iter_mut().chain(out.mean_current_a.iter_mut().flatten()) {
            *i += current_offset_a;
        }
    }
    lose(&mut out, sensors.loss, seed);
    out
}

/// A recorded current below this is none, in A.
const PARKED_A: f64 = 1e-4;

/// Open contactors from the first sample to the first current.
///
/// A controller wakes up with open contactors and knows that no current flows, whatever the sensor reads; it closes them
/// for the first load.
fn parked(run: &Run) -> Vec<bool> {
    let first = run.current_a.iter().position(|i| i.abs() >= PARKED_A).unwrap_or(run.len());
    (0..run.len()).map(|k| k < first).collect()
}

/// What a converter with such steps makes of a value.
pub(crate) fn quantise(x: f64, step: f64) -> f64 {
    if step > 0.0 { (x / step).round() * step } else { x }
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

/// The sensors of one cell with errors drawn once, for cells that are simulated sample by sample: offsets, gain, noise and
/// steps (no delay, lag or loss).
#[derive(Debug, Clone)]
pub struct Sensors {
    model: SensorModel,
    rng: Pcg64,
    voltage_offset_v: f64,
    current_gain: f64,
    current_offset_a: f64,
    temperature_offset_k: f64,
}

impl Sensors {
    /// Sensors of a corner for a cell of this capacity ([`SensorModel::of`]).
    #[must_use]
    pub fn new(corner: SensorCorner, capacity_ah: f64, seed: u64) -> Self {
        Self::drawn(&SensorModel::of(corner, capacity_ah), seed)
    }

    /// Every draw is made whatever its size, so that the terms do not change each other.
    fn drawn(model: &SensorModel, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut within = |x: f64| x * (2.0 * rng.random::<f64>() - 1.0);
        Self {
            voltage_offset_v: within(model.voltage_offset_v),
            current_gain: 1.0 + within(model.current_gain),
            current_offset_a: within(model.current_offset_a),
            temperature_offset_k: within(model.temperature_offset_k),
            model: *model,
            rng,
        }
    }

    fn noise(&mut self, sigma: f64) -> f64 {
        sigma * Distribution::<f64>::sample(&StandardNormal, &mut self.rng)
    }

    fn voltage_v(&mut self, truth: f64) -> f64 {
        let noise = self.noise(self.model.voltage_noise_v);
        quantise(truth + self.voltage_offset_v + noise, self.model.voltage_step_v)
    }

    fn current_a(&mut self, truth: f64) -> f64 {
        let noise = self.noise(self.model.current_noise_a);
        quantise(truth * self.current_gain + self.current_offset_a + noise, self.model.current_step_a)
    }

    /// The charge reading averages the noise and is not quantised to the grain of one sample.
    fn mean_current_a(&mut self, truth: f64) -> f64 {
        let noise = self.noise(self.model.current_noise_a * 0.1);
        truth * self.current_gain + self.current_offset_a + noise
    }

    fn temperature_c(&self, truth: f64) -> f64 {
        quantise(truth + self.temperature_offset_k, self.model.temperature_step_k)
    }

    /// One sample through the sensors.
    pub fn read(&mut self, truth: Signals) -> Signals {
        Signals {
            voltage_v: self.voltage_v(truth.voltage_v),
            current_a: self.current_a(truth.current_a),
            mean_current_a: self.mean_current_a(truth.mean_current_a),
            temperature_c: self.temperature_c(truth.temperature_c),
        }
    }
}

/// Offsets, gain, noise and steps on a whole run, channel after channel.
fn distort(out: &mut Run, model: &SensorModel, seed: u64) {
    let mut sensors = Sensors::drawn(model, seed);
    for v in &mut out.voltage_v {
        *v = sensors.voltage_v(*v);
    }
    for i in &mut out.current_a {
        *i = sensors.current_a(*i);
    }
    for i in out.mean_current_a.iter_mut().flatten() {
        *i = sensors.mean_current_a(*i);
    }
    for t in out.temperature_c.iter_mut().flatten() {
        *t = sensors.temperature_c(*t);
    }
}

/// Shows the current (and the mean over the interval) of `delay_s` before each sample, in straight lines between samples.
fn delay_current(run: &Run, out: &mut Run, delay_s: f64) {
    if delay_s <= 0.0 {
        return;
    }
    let then: Vec<f64> = run.time_s.iter().map(|t| t - delay_s).collect();
    out.current_a = interpolate(&run.time_s, &run.current_a, &then);
    let (Some(mean), Some(delayed)) = (&run.mean_current_a, &mut out.mean_current_a) else { return };
    // The charge before the run, of the first current, then what each interval adds.
    let mut charge = 0.0;
    let charges: Vec<f64> = mean
        .iter()
        .enumerate()
        .map(|(k, i)| {
            charge += i * run.dt_s(k);
            charge
        })
        .collect();
    let first = run.current_a.first().copied().unwrap_or_default();
    let start = run.time_s.first().copied().unwrap_or_default();
    let at: Vec<f64> = interpolate(&run.time_s, &charges, &then)
        .into_iter()
        .zip(&then)
        .map(|(q, t)| q + first * (t - start).min(0.0))
        .collect();
    for (k, i) in delayed.iter_mut().enumerate().skip(1) {
        let dt = run.dt_s(k);
        if dt > 0.0 {
            *i = (at[k] - at[k - 1]) / dt;
        }
    }
}

/// Values at times `at` (ascending) between the points of `y` over `x` (not descending); the first one before them.
fn interpolate(x: &[f64], y: &[f64], at: &[f64]) -> Vec<f64> {
    let mut next = 0;
    at.iter()
        .map(|t| {
            while next < x.len() && x[next] <= *t {
                next += 1;
            }
            match (next.checked_sub(1), x.get(next)) {
                (Some(k), Some(after)) => y[k] + (y[next] - y[k]) * (t - x[k]) / (after - x[k]),
                (Some(k), None) => y[k],
                (None, _) => y[0],
            }
        })
        .collect()
}

/// `tau y' = x - y` with `x` in straight lines between samples, solved exactly; it starts in equilibrium.
fn lag(time_s: &[f64], values: &mut [f64], tau_s: f64) {
    if tau_s <= 0.0 {
        return;
    }
    let Some(&first) = values.first() else { return };
    let (mut x, mut y, mut time) = (first, first, time_s.first().copied().unwrap_or_default());
    for (value, &now) in values.iter_mut().zip(time_s) {
        let dt = now - time;
        if dt > 0.0 {
            let behind = (*value - x) / dt * tau_s;
            y = *value - behind + (y - x + behind) * (-dt / tau_s).exp();
        }
        (x, time) = (*value, now);
        *value = y;
    }
}

/// Takes out whole samples and single channels, each with probability `loss`.
fn lose(out: &mut Run, loss: f64, seed: u64) {
    if loss <= 0.0 {
        return;
    }
    // A stream of its own: losses do not change the noise of what arrives.
    let mut rng = Pcg64::seed_from_u64(seed ^ 0x6c6f_7373);
    for k in 1..out.len() {
        let [all, voltage, current, temperature] = std::array::from_fn(|_| rng.random::<f64>() < loss);
        if all || voltage {
            out.voltage_v[k] = f64::NAN;
        }
        if all || current {
            out.current_a[k] = f64::NAN;
            out.mean_current_a.iter_mut().for_each(|mean| mean[k] = f64::NAN);
        }
        if all || temperature {
            out.temperature_c.iter_mut().for_each(|t| t[k] = f64::NAN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 5000;

    fn run() -> Run {
        let of = |f: &dyn Fn(f64) -> f64| (0..N).map(|k| f(k as f64)).collect::<Vec<f64>>();
        Run {
            time_s: of(&|k| k),
            voltage_v: of(&|k| 3.7 - 1e-5 * k),
            current_a: of(&|k| 4.0 * (k / 50.0).sin()),
            mean_current_a: Some(of(&|k| 4.0 * ((k - 0.5) / 50.0).sin())),
            temperature_c: Some(of(&|k| 20.0 + 1e-3 * k)),
            ..Run::default()
        }
    }

    /// Voltage, current, mean current and temperature.
    fn columns(run: &Run) -> [&[f64]; 4] {
        [
            &run.voltage_v,
            &run.current_a,
            run.mean_current_a.as_deref().unwrap(),
            run.temperature_c.as_deref().unwrap(),
        ]
    }

    /// Measured minus true of the four columns, with one term of a corner switched on.
    fn errors(corner: SensorCorner, term: SensorTerm) -> [Vec<f64>; 4] {
        let run = run();
        let seen = measure_with(&run, &SensorModel::complete(corner, 5.0).only(term), 0.0, 1);
        std::array::from_fn(|c| columns(&seen)[c].iter().zip(columns(&run)[c]).map(|(a, b)| a - b).collect())
    }

    fn std(x: &[f64]) -> f64 {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
    }

    fn largest(x: &[f64]) -> f64 {
        x.iter().fold(0.0, |m, x| m.max(x.abs()))
    }

    const CORNERS: [SensorCorner; 2] = [SensorCorner::Good, SensorCorner::Limit];

    /// What the corners gave before the terms could be switched one by one.
    #[test]
    fn corners_give_what_they_always_gave() {
        let run = run();
        let heads = |corner| columns(&measure(&run, corner, 5.0, 0.0, 1)).map(|c| [c[0], c[1], c[2]]);
        assert_eq!(columns(&measure(&run, SensorCorner::Ideal, 5.0, 0.0, 1)), columns(&run));
        let expected = [
            (
                SensorCorner::Good,
                [
                    [3.701, 3.7007, 3.7004],
                    [-0.017, 0.06, 0.141],
                    [-0.055_528_131_259_480_654, 0.024_760_859_466_349_663, 0.104_463_436_262_113_7],
                    [20.5, 20.5, 20.5],
                ],
            ),
            (
                SensorCorner::Limit,
                [
                    [3.708, 3.706, 3.705],
                    [-0.4, -0.33, -0.24],
                    [-0.426_715_032_099_396_4, -0.344_878_590_539_592, -0.265_910_299_058_403_5],
                    [22.0, 22.0, 22.0],
                ],
            ),
        ];
        for (corner, expected) in expected {
            for (a, b) in heads(corner).as_flattened().iter().zip(expected.as_flattened()) {
                assert!((a - b).abs() < 1e-12, "{corner:?} {a} {b}");
            }
        }
    }

    #[test]
    fn only_and_without_are_complements() {
        for corner in CORNERS {
            let all = SensorModel::complete(corner, 60.0);
            let mut built = SensorModel::IDEAL;
            let mut emptied = all;
            for term in SensorTerm::ALL {
                built = built.with(term, &all);
                emptied = emptied.without(term);
                assert_eq!(all.without(term).with(term, &all), all);
                assert_eq!(all.only(term).without(term), SensorModel::IDEAL);
            }
            assert_eq!((built, emptied), (all, SensorModel::IDEAL));
        }
    }

    /// Each term touches its own columns, and by its own size.
    #[test]
    fn each_term_alone_does_what_it_says() {
        for corner in CORNERS {
            let all = SensorModel::complete(corner, 5.0);
            let constant = |x: &[f64], limit: f64| std(x) < 1e-12 && largest(x) <= limit && x[0] != 0.0;
            let noisy = |x: &[f64], sigma: f64| (std(x) / sigma - 1.0).abs() < 0.05;
            let untouched = |x: &[f64]| largest(x) == 0.0;
            for term in SensorTerm::ALL {
                let [v, i, mean, t] = &errors(corner, term);
                let what = format!("{corner:?}, {}", term.name());
                let touched = [v, i, mean, t].map(|x| !untouched(x));
                let expected = match term {
                    SensorTerm::VoltageOffset => {
                        assert!(constant(v, all.voltage_offset_v), "{what}");
                        [true, false, false, false]
                    }
                    SensorTerm::VoltageNoise => {
                        assert!(noisy(v, all.voltage_noise_v), "{what}");
                        [true, false, false, false]
                    }
                    SensorTerm::Quantisation => {
                        assert!(largest(v) <= all.voltage_step_v / 2.0 + 1e-12, "{what}");
                        assert!(largest(i) <= all.current_step_a / 2.0 + 1e-12, "{what}");
                        assert!(largest(t) <= all.temperature_step_k / 2.0 + 1e-12, "{what}");
                        [true, true, false, true]
                    }
                    SensorTerm::CurrentGain => {
                        assert!(largest(i) <= 4.0 * all.current_gain, "{what}");
                        [false, all.current_gain > 0.0, all.current_gain > 0.0, false]
                    }
                    SensorTerm::CurrentOffset => {
                        assert!(constant(i, all.current_offset_a), "{what}");
                        assert!((i[0] - mean[0]).abs() < 1e-12, "{what}");
                        [false, true, true, false]
                    }
                    SensorTerm::CurrentNoise => {
                        assert!(
                            noisy(i, all.current_noise_a) && noisy(mean, 0.1 * all.current_noise_a),
                            "{what}"
                        );
                        [false, true, true, false]
                    }
                    SensorTerm::TemperatureOffset => {
                        assert!(constant(t, all.temperature_offset_k), "{what}");
                        [false, false, false, true]
                    }
                    SensorTerm::CurrentDelay => [false, true, true, false],
                    SensorTerm::TemperatureLag => [false, false, false, true],
                    SensorTerm::SampleLoss => {
                        assert!(
                            [v, i, mean, t].iter().all(|x| x.iter().all(|x| x.is_nan() || *x == 0.0)),
                            "{what}"
                        );
                        continue;
                    }
                };
                assert_eq!(touched, expected, "{what}");
            }
        }
    }

    /// The same seed draws the same errors whether a term is alone or not: without steps, gain and delays they add up.
    #[test]
    fn the_terms_add_up() {
        let run = run();
        let linear = SensorModel::of(SensorCorner::Good, 5.0).without(SensorTerm::Quantisation);
        let seen = measure_with(&run, &linear, 0.0, 1);
        let mut sums: [Vec<f64>; 4] = columns(&run).map(<[f64]>::to_vec);
        for term in SensorTerm::ALL {
            if linear.only(term) == SensorModel::IDEAL {
                continue;
            }
            for (sum, e) in sums.iter_mut().zip(errors(SensorCorner::Good, term)) {
                sum.iter_mut().zip(e).for_each(|(s, e)| *s += e);
            }
        }
        for (a, b) in columns(&seen).iter().zip(&sums) {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12));
        }
    }

    /// On a ramp the delay is slope times delay, and the charge of the means is that of the delayed current.
    #[test]
    fn the_current_comes_late() {
        let time_s: Vec<f64> = vec![0.0, 1.0, 2.0, 2.0, 4.0, 5.0];
        let run = Run {
            current_a: vec![0.0, 1.0, 2.0, 12.0, 12.0, 12.0],
            mean_current_a: Some(vec![0.0, 0.5, 1.5, 1.5, 12.0, 12.0]),
            voltage_v: vec![3.7; 6],
            time_s,
            ..Run::default()
        };
        let late = SensorModel { current_delay_s: 0.25, ..SensorModel::IDEAL };
        let seen = measure_with(&run, &late, 0.0, 1);
        let close =
            |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12) && a.len() == b.len();
        assert!(close(&seen.current_a, &[0.0, 0.75, 1.75, 1.75, 12.0, 12.0]), "{:?}", seen.current_a);
        // Charge up to 0.75, 1.75, 3.75, 4.75 s: 0.375, 1.625, 23, 35 As (straight lines over each interval).
        let mean = seen.mean_current_a.unwrap();
        assert!(close(&mean, &[0.0, 0.375, 1.25, 1.5, (23.0 - 1.625) / 2.0, 12.0]), "{mean:?}");
        assert_eq!(seen.voltage_v, run.voltage_v);
    }

    /// Against the closed forms: a step answers with `1 - exp(-t/tau)`, a ramp follows `tau` behind.
    #[test]
    fn the_thermistor_is_of_first_order() {
        // Steps of 0.5 and 4.5 s in turns.
        let time_s: Vec<f64> = (0..200).map(|k| f64::from(5 * k - 4 * (k % 2)) / 2.0).collect();
        let tau = 10.0;
        let mut ramp: Vec<f64> = time_s.iter().map(|t| 25.0 + 0.1 * t).collect();
        lag(&time_s, &mut ramp, tau);
        for (y, t) in ramp.iter().zip(&time_s) {
            let expected = 25.0 + 0.1 * (t - tau * (1.0 - (-t / tau).exp()));
            assert!((y - expected).abs() < 1e-9, "{t} s: {y} {expected}");
        }
        // Nearly a step: a ramp of 1 us.
        let mut times = vec![0.0, 1e-6];
        times.extend((1..50).map(f64::from));
        let mut step = vec![1.0; times.len()];
        step[0] = 0.0;
        lag(&times, &mut step, tau);
        for (y, t) in step.iter().zip(&times).skip(2) {
            assert!((y - (1.0 - (-t / tau).exp())).abs() < 1e-6);
        }
    }

    #[test]
    fn readings_are_lost_at_the_stated_rate_and_the_rest_is_as_before() {
        let run = run();
        let p = 0.01;
        let whole = SensorModel::of(SensorCorner::Limit, 5.0);
        let seen = measure_with(&run, &SensorModel { loss: p, ..whole }, 0.3, 9);
        let kept = measure_with(&run, &whole, 0.3, 9);
        for (a, b) in columns(&seen).iter().zip(columns(&kept)) {
            assert!(!a[0].is_nan(), "the first sample arrives");
            let lost = a.iter().filter(|x| x.is_nan()).count() as f64;
            let expected = N as f64 * (1.0 - (1.0 - p) * (1.0 - p));
            assert!((lost - expected).abs() < 5.0 * expected.sqrt(), "{lost} {expected}");
            assert!(a.iter().zip(b).all(|(a, b)| a.is_nan() || a == b));
        }
        let [v, i, _, t] = columns(&seen);
        let together = (0..N).filter(|&k| v[k].is_nan() && i[k].is_nan() && t[k].is_nan()).count();
        let alone = (0..N).filter(|&k| v[k].is_nan() && !i[k].is_nan()).count();
        assert!(together > 20 && alone > 20, "{together} {alone}");
    }
}
