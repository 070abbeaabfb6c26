//! Core temperature of a cell from its surface sensor, the coolant and its heat.
//!
//! Two nodes, core `c` and surface `s`, and the cooling as a factor `κ` on its nominal value, which drifts slowly:
//!
//! ```text
//! C_c dT_c/dt = q - (T_c - T_s) / R_cs
//! C_s dT_s/dt = (T_c - T_s) / R_cs - κ (T_s - T_a) / R_sa
//! dκ/dt = noise
//! ```
//!
//! An extended Kalman filter follows `T_c`, `T_s` and `κ` from the surface reading. Time goes on by the implicit Euler
//! rule, which no step is too long for. Without the coolant's temperature the surface is taken as the sensor has it and
//! drives the core; without the sensor the model goes on with the coolant; without both it goes on with the last coolant
//! temperature. All are flagged and widen the band.
//!
//! Sources: Kim, Mohan, Siegel, Stefanopoulou, Ding (2013), "Maximum power estimation of lithium-ion batteries accounting
//! for thermal and electrical constraints", and Kim, Siegel, Stefanopoulou (2013), "A computationally efficient thermal
//! model of cylindrical battery cells for the estimation of radially distributed temperatures", ACC (cooling coefficient as
//! a state); Richardson, Howey (2015), "Sensorless battery internal temperature estimation using a Kalman filter with
//! impedance measurement", IEEE Trans. Sustainable Energy 6.

#![allow(clippy::needless_range_loop)] // indices read as in the equations

use crate::cell::CellModel;
use crate::math::{abs, bound, finite_or, sqrt};
use crate::measurement::Reading;
use crate::soc::{Estimated, OperatingPoint};
use crate::store::stored;

const CORE: usize = 0;
const SURFACE: usize = 1;
const COOLING: usize = 2;
const M: usize = 3;

/// Longest step of the integration (s), and how many there are at most in one step of the filter.
const STEP_S: f32 = 5.0;
const STEPS: u32 = 16;
/// Standard deviations at the start: core against surface (K), surface (K), cooling (factor).
const START_STD: [f32; M] = [2.0, 0.5, 0.5];
/// Range of the cooling factor.
const COOLING_RANGE: (f32, f32) = (0.02, 50.0);
/// Variance per second of the cooling factor over its square: 30 % in ten minutes.
const COOLING_WALK_PER_S: f32 = 1.5e-4;
/// Error of the heat as a share of it, and how long it lasts (s).
const HEAT_ERROR: f32 = 0.15;
const HEAT_ERROR_TIME_S: f32 = 120.0;
/// Variance per second of both nodes for what two nodes leave out (K²/s).
const NODE_NOISE_PER_S: f32 = 1e-5;
/// Variance per second of the surface while neither it nor what cools it is known (K²/s): 5 K in ten minutes.
const UNKNOWN_COOLING_PER_S: f32 = 0.04;
/// Temperatures are held in this range (degC).
const RANGE_C: (f32, f32) = (-100.0, 300.0);

/// Thermal description of a cell as the filter knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThermalParameters {
    /// Heat capacity of the core in J/K.
    pub core_j_per_k: f32,
    /// Heat capacity of the surface in J/K.
    pub surface_j_per_k: f32,
    /// Thermal resistance between core and surface in K/W.
    pub core_surface_k_per_w: f32,
    /// Thermal resistance between surface and surroundings in K/W where the learning starts.
    pub surface_ambient_k_per_w: f32,
    /// Standard deviation of `core_surface_k_per_w` (ratio): no sensor tells it, so it stays in the band.
    pub core_surface_std: f32,
    /// Standard deviation of the surface sensor in K.
    pub sensor_std_k: f32,
}

impl ThermalParameters {
    fn check(&self) -> Result<(), ThermalParameterError> {
        for (name, value) in [
            ("core_j_per_k", self.core_j_per_k),
            ("surface_j_per_k", self.surface_j_per_k),
            ("core_surface_k_per_w", self.core_surface_k_per_w),
            ("surface_ambient_k_per_w", self.surface_ambient_k_per_w),
            ("core_surface_std", self.core_surface_std),
            ("sensor_std_k", self.sensor_std_k),
        ] {
            if !(value > 1e-6 && value < 1e6) {
                return Err(ThermalParameterError(name));
            }
        }
        Ok(())
    }
}

/// A thermal parameter that is not a positive finite number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThermalParameterError(
    /// Name of the field.
    pub &'static str,
);

impl core::fmt::Display for ThermalParameterError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "thermal parameter `{}` is not a number above 0", self.0)
    }
}

impl core::error::Error for ThermalParameterError {}

/// What one step tells.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CoreEstimate {
    /// Temperature of the core in degC.
    pub core_c: Estimated,
    /// Temperature of the surface in degC.
    pub surface_c: Estimated,
    /// Cooling over its nominal value.
    pub cooling: Estimated,
    /// No usable surface reading: the model alone.
    pub surface_lost: bool,
    /// No usable temperature of the surroundings: the surface alone drives the core.
    pub ambient_lost: bool,
    /// The heat was no number; the last one is held.
    pub heat_lost: bool,
}

/// Heat in W that a cell releases in its state ([`crate::soc::SocEstimator::operating_point`] or
/// [`crate::pack::PackEstimator::operating_point`]): current times the model's voltage drop, `I s (R(I) + v1 + v2)`.
///
/// Taken from the drop and not from the open-circuit voltage, it does not hang on the SOC being right. The reversible
/// part, `-I T dOCV/dT`, is left out (a few per cent in a drive, whose currents change sign or rate all the time).
#[must_use]
pub fn loss_w(model: &CellModel<'_>, point: &OperatingPoint) -> f32 {
    let circuit = model.circuit(point.temperature_c, point.soc.value);
    let drop_v = circuit.instant_drop(point.current_a).0 + point.v1 + point.v2;
    point.current_a * point.resistance_scale.value * drop_v
}

/// Estimator of one cell's core temperature. A plain value: a copy of it is what to keep over a sleep.
///
/// ```
/// use bms_core::{measurement::Reading, thermal::{CoreEstimator, ThermalParameters}};
/// let cell = ThermalParameters {
///     core_j_per_k: 45.0,
///     surface_j_per_k: 4.0,
///     core_surface_k_per_w: 0.6,
///     surface_ambient_k_per_w: 5.0,
///     core_surface_std: 0.15,
///     sensor_std_k: 0.5,
/// };
/// let mut estimator = CoreEstimator::new(cell)?;
/// let read = |t| Reading::within(t, -60.0, 120.0);
/// for _ in 0..600 {
///     estimator.step(read(30.0), read(25.0), 2.0, 1.0); // 2 W, surface at 30 degC, coolant at 25 degC
/// }
/// let core = estimator.estimate().core_c;
/// assert!(core.value > 30.5 && core.value < 32.0);
/// # Ok::<(), bms_core::thermal::ThermalParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoreEstimator {
    parameters: ThermalParameters,
    x: [f32; M],
    p: [[f32; M]; M],
    heat_w: f32,
    /// Last known temperature of the surroundings in degC.
    ambient_c: f32,
    started: bool,
    estimate: CoreEstimate,
}

stored!(ThermalParameters {
    core_j_per_k: f32,
    surface_j_per_k: f32,
    core_surface_k_per_w: f32,
    surface_ambient_k_per_w: f32,
    core_surface_std: f32,
    sensor_std_k: f32,
});

stored!(CoreEstimate {
    core_c: Estimated,
    surface_c: Estimated,
    cooling: Estimated,
    surface_lost: bool,
    ambient_lost: bool,
    heat_lost: bool,
});

stored!(CoreEstimator {
    parameters: ThermalParameters => |e| e.parameters.check().is_ok(),
    x: [f32; M] => |e| {
        let possible = |t: f32| (RANGE_C.0..=RANGE_C.1).contains(&t);
        possible(e.x[CORE])
            && possible(e.x[SURFACE])
            && (COOLING_RANGE.0..=COOLING_RANGE.1).contains(&e.x[COOLING])
    },
    p: [[f32; M]; M] => |e| (0..M).all(|k| e.p[k][k] > 0.0),
    heat_w: f32 => |e| abs(e.heat_w) <= 1e6,
    ambient_c: f32 => |e| (RANGE_C.0..=RANGE_C.1).contains(&e.ambient_c),
    started: bool,
    estimate: CoreEstimate,
});

impl CoreEstimator {
    /// A cell that has the temperature that its sensor first shows.
    ///
    /// # Errors
    /// [`ThermalParameterError`] names the first parameter that is not a number above 0.
    pub fn new(parameters: ThermalParameters) -> Result<Self, ThermalParameterError> {
        parameters.check()?;
        let mut covariance = [[0.0; M]; M];
        for k in 0..M {
            covariance[k][k] = START_STD[k] * START_STD[k];
        }
        Ok(Self {
            parameters,
            x: [25.0, 25.0, 1.0],
            p: covariance,
            heat_w: 0.0,
            ambient_c: 25.0,
            started: false,
            estimate: CoreEstimate::default(),
        })
    }

    /// The same temperatures and cooling with other parameters: for a state that older firmware has stored.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_parameters(self, parameters: ThermalParameters) -> Result<Self, ThermalParameterError> {
        parameters.check()?;
        Ok(Self { parameters, ..self })
    }

    /// Takes in one sample: surface and coolant or ambient temperature in degC, the mean heat in W since the previous
    /// sample ([`loss_w`]) and the time since then in s.
    pub fn step(&mut self, surface_c: Reading, ambient_c: Reading, heat_w: f32, dt_s: f32) -> CoreEstimate {
        let usable = |r: Reading| r.valid().filter(|t| (RANGE_C.0..=RANGE_C.1).contains(t));
        let (surface, ambient) = (usable(surface_c), usable(ambient_c));
        let heat_lost = abs(heat_w).is_nan() || abs(heat_w) > 1e6;
        if !heat_lost {
            self.heat_w = heat_w;
        }
        if !self.started
            && let Some(t) = surface.or(ambient)
        {
            (self.x[CORE], self.x[SURFACE], self.started) = (t, t, true);
            self.ambient_c = t;
        }
        self.ambient_c = ambient.unwrap_or(self.ambient_c);
        let dt_s = bound(dt_s, 0.0, 1e6);
        let pieces = bound(libm::ceilf(dt_s / STEP_S), 1.0, STEPS as f32);
        for k in 0..STEPS {
            if dt_s > 0.0 && (k as f32) < pieces {
                self.predict(ambient.is_some(), dt_s / pieces);
            }
        }
        if let Some(t) = surface {
            if ambient.is_none() {
                self.take_surface(t);
            }
            self.correct(t);
        }
        self.keep_sound();
        let std = |k: usize| sqrt(self.p[k][k]);
        let p = &self.parameters;
        let between = p.core_surface_std * (self.x[CORE] - self.x[SURFACE]);
        self.estimate = CoreEstimate {
            core_c: Estimated {
                value: self.x[CORE],
                // The sensor's offset does not average out.
                std: sqrt(self.p[CORE][CORE] + p.sensor_std_k * p.sensor_std_k + between * between),
            },
            surface_c: Estimated {
                value: self.x[SURFACE],
                std: sqrt(self.p[SURFACE][SURFACE] + p.sensor_std_k * p.sensor_std_k),
            },
            cooling: Estimated { value: self.x[COOLING], std: std(COOLING) },
            surface_lost: surface.is_none(),
            ambient_lost: ambient.is_none(),
            heat_lost,
        };
        self.estimate
    }

    /// The last estimate.
    #[must_use]
    pub const fn estimate(&self) -> &CoreEstimate {
        &self.estimate
    }

    /// Believes the sensor alone about the surface, and nothing about what it means for the core.
    fn take_surface(&mut self, surface_c: f32) {
        self.x[SURFACE] = surface_c;
        for k in 0..M {
            (self.p[SURFACE][k], self.p[k][SURFACE]) = (0.0, 0.0);
        }
        self.p[SURFACE][SURFACE] = self.parameters.sensor_std_k * self.parameters.sensor_std_k;
    }

    fn predict(&mut self, ambient_known: bool, dt_s: f32) {
        let p = &self.parameters;
        let (core, surface) = (p.core_j_per_k / dt_s, p.surface_j_per_k / dt_s);
        let between = 1.0 / p.core_surface_k_per_w;
        let nominal = 1.0 / p.surface_ambient_k_per_w;
        let away = self.x[COOLING] * nominal;
        let ambient = self.ambient_c;
        // (core + between) Tc - between Ts = b0,  -between Tc + (surface + between + away) Ts = b1
        let b = [core * self.x[CORE] + self.heat_w, surface * self.x[SURFACE] + away * ambient];
        let (a0, a1) = (core + between, surface + between + away);
        let inverse = 1.0 / (a0 * (surface + away) + core * between);
        let solve =
            |r: [f32; 2]| [(a1 * r[0] + between * r[1]) * inverse, (between * r[0] + a0 * r[1]) * inverse];
        let next = solve(b);
        let from_core = solve([core, 0.0]);
        let from_surface = solve([0.0, surface]);
        let from_cooling = solve([0.0, nominal * (ambient - next[1])]);
        (self.x[CORE], self.x[SURFACE]) = (next[0], next[1]);

        let f = [
            [from_core[0], from_surface[0], from_cooling[0]],
            [from_core[1], from_surface[1], from_cooling[1]],
            [0.0, 0.0, 1.0],
        ];
        let mut fp = [[0.0; M]; M];
        for i in 0..M {
            for j in 0..M {
                for k in 0..M {
                    fp[i][j] += f[i][k] * self.p[k][j];
                }
            }
        }
        let mut next = [[0.0; M]; M];
        for i in 0..M {
            for j in 0..M {
                for k in 0..M {
                    next[i][j] += fp[i][k] * f[j][k];
                }
            }
        }
        self.p = next;
        let heat = HEAT_ERROR * self.heat_w / p.core_j_per_k;
        // What holds for minutes cannot add up for days.
        let lasting_s = HEAT_ERROR_TIME_S.min(p.core_j_per_k * p.surface_ambient_k_per_w);
        self.p[CORE][CORE] += (heat * heat * lasting_s + NODE_NOISE_PER_S) * dt_s.min(lasting_s);
        let unknown = if ambient_known { NODE_NOISE_PER_S } else { UNKNOWN_COOLING_PER_S };
        self.p[SURFACE][SURFACE] += unknown * dt_s;
        let factor = self.x[COOLING];
        self.p[COOLING][COOLING] += COOLING_WALK_PER_S * factor * factor * dt_s.min(600.0);
    }

    fn correct(&mut self, surface_c: f32) {
        let variance = self.p[SURFACE][SURFACE] + self.parameters.sensor_std_k * self.parameters.sensor_std_k;
        let innovation = surface_c - self.x[SURFACE];
        let column = [self.p[CORE][SURFACE], self.p[SURFACE][SURFACE], self.p[COOLING][SURFACE]];
        for i in 0..M {
            let gain = column[i] / variance;
            self.x[i] += gain * innovation;
            for j in 0..M {
                self.p[i][j] -= gain * column[j];
            }
        }
    }

    fn keep_sound(&mut self) {
        const LARGEST: [f32; M] = [1e4, 1e4, 1e3];
        for k in [CORE, SURFACE] {
            self.x[k] = bound(finite_or(self.x[k], 25.0), RANGE_C.0, RANGE_C.1);
        }
        self.x[COOLING] = bound(self.x[COOLING], COOLING_RANGE.0, COOLING_RANGE.1);
        for k in 0..M {
            self.p[k][k] = bound(finite_or(self.p[k][k], LARGEST[k]), 1e-6, LARGEST[k]);
        }
        // The factor is above 0, whatever its variance would allow.
        self.p[COOLING][COOLING] = self.p[COOLING][COOLING].min(self.x[COOLING] * self.x[COOLING]);
        for i in 0..M {
            for j in 0..i {
                let limit = 0.999 * sqrt(self.p[i][i] * self.p[j][j]);
                let c = bound(finite_or(0.5 * (self.p[i][j] + self.p[j][i]), 0.0), -limit, limit);
                (self.p[i][j], self.p[j][i]) = (c, c);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CELL: ThermalParameters = ThermalParameters {
        core_j_per_k: 60.0,
        surface_j_per_k: 5.0,
        core_surface_k_per_w: 0.8,
        surface_ambient_k_per_w: 4.0,
        core_surface_std: 0.15,
        sensor_std_k: 0.3,
    };

    fn read(t: f32) -> Reading {
        Reading::within(t, -60.0, 120.0)
    }

    /// Two nodes in double precision, small explicit steps.
    struct Truth {
        core_c: f64,
        surface_c: f64,
        cooling: f64,
    }

    impl Truth {
        fn step(&mut self, heat_w: f64, ambient_c: f64, dt_s: f64) {
            let n = (dt_s / 0.02) as usize;
            for _ in 0..n {
                let through = (self.core_c - self.surface_c) / f64::from(CELL.core_surface_k_per_w);
                let away =
                    self.cooling * (self.surface_c - ambient_c) / f64::from(CELL.surface_ambient_k_per_w);
                self.core_c += 0.02 * (heat_w - through) / f64::from(CELL.core_j_per_k);
                self.surface_c += 0.02 * (through - away) / f64::from(CELL.surface_j_per_k);
            }
        }
    }

    #[test]
    fn finds_the_core_and_learns_the_cooling() {
        let mut truth = Truth { core_c: 10.0, surface_c: 10.0, cooling: 3.0 };
        let mut e = CoreEstimator::new(CELL).unwrap();
        let mut worst = 0.0f64;
        for k in 0..3600 {
            let heat = if k / 120 % 2 == 0 { 8.0 } else { 1.0 };
            truth.step(heat, 5.0, 1.0);
            let out = e.step(read(truth.surface_c as f32), read(5.0), heat as f32, 1.0);
            if k > 600 {
                worst = worst.max((f64::from(out.core_c.value) - truth.core_c).abs());
            }
        }
        let cooling = e.estimate().cooling;
        assert!(worst < 0.3, "{worst}");
        assert!((cooling.value - 3.0).abs() < 0.3, "{cooling:?}");
    }

    #[test]
    fn without_a_sensor_it_goes_on_and_says_so() {
        for (surface_lost, ambient_lost, bound_k) in
            [(true, false, 1.0), (false, true, 0.5), (true, true, 8.0)]
        {
            let mut truth = Truth { core_c: 20.0, surface_c: 20.0, cooling: 1.0 };
            let mut e = CoreEstimator::new(CELL).unwrap();
            for k in 0..2400 {
                let lost = k >= 1200;
                truth.step(3.0, 20.0, 1.0);
                let surface =
                    if lost && surface_lost { Reading::MISSING } else { read(truth.surface_c as f32) };
                let ambient = if lost && ambient_lost { Reading::MISSING } else { read(20.0) };
                let out = e.step(surface, ambient, 3.0, 1.0);
                assert_eq!(
                    (out.surface_lost, out.ambient_lost),
                    (lost && surface_lost, lost && ambient_lost)
                );
                let off = (f64::from(out.core_c.value) - truth.core_c).abs();
                assert!(k < 600 || off < 3.0 * f64::from(out.core_c.std), "second {k}: {off} {out:?}");
                assert!(!(600..=1320).contains(&k) || off < bound_k, "second {k}: {off} {out:?}");
            }
        }
    }

    #[test]
    fn refuses_nonsense() {
        let refused = |p| CoreEstimator::new(p).unwrap_err();
        assert_eq!(
            refused(ThermalParameters { core_j_per_k: f32::NAN, ..CELL }),
            ThermalParameterError("core_j_per_k")
        );
        assert_eq!(
            refused(ThermalParameters { surface_ambient_k_per_w: 0.0, ..CELL }),
            ThermalParameterError("surface_ambient_k_per_w")
        );
    }

    #[test]
    fn long_steps_end_where_short_ones_do() {
        let run = |dt_s: f32| {
            let mut e = CoreEstimator::new(CELL).unwrap();
            e.step(read(20.0), read(20.0), 0.0, 0.0);
            for _ in 0..(7200.0 / dt_s) as usize {
                e.step(Reading::MISSING, read(20.0), 2.0, dt_s);
            }
            e.estimate().core_c.value
        };
        // 2 W over 4.8 K/W.
        for dt_s in [1.0, 10.0, 3600.0] {
            assert!((run(dt_s) - 29.6).abs() < 0.1, "{dt_s}: {}", run(dt_s));
        }
    }

    proptest! {
        #[test]
        fn any_input_gives_a_sound_estimate(samples in prop::collection::vec(any::<[u32; 4]>(), 1..100)) {
            let mut e = CoreEstimator::new(CELL).unwrap();
            for bits in samples {
                let [surface, ambient, heat, dt] = bits.map(f32::from_bits);
                let any = |x: f32| Reading::within(x, f32::NEG_INFINITY, f32::INFINITY);
                let heat = if bits[0] & 1 == 0 { heat % 100.0 } else { heat };
                let out = e.step(any(surface), any(ambient), heat, dt);
                for x in [out.core_c, out.surface_c, out.cooling] {
                    prop_assert!(x.value.is_finite() && x.std > 0.0 && x.std.is_finite(), "{out:?}");
                }
                prop_assert!((-100.0..=300.0).contains(&out.core_c.value) && out.cooling.value > 0.0);
            }
        }
    }
}
