//! Material functions as tables on uniform grids: what the models read while they run.

use super::function::{Arrhenius, Function};
use crate::error::ParameterError;

/// Gas constant in J/(mol K).
pub(super) const GAS: f64 = 8.314_462_618_153_24;
/// Faraday's constant in C/mol.
pub(super) const FARADAY: f64 = 96_485.332_123_31;
/// Absolute zero in degC, negated.
pub(super) const KELVIN: f64 = 273.15;

/// Temperatures in K at which properties are tabulated that follow no Arrhenius law; constant beyond.
const T_LOW: f64 = 223.15;
const T_HIGH: f64 = 373.15;
const T_STEP: f64 = 2.5;

/// Piecewise linear function on a uniform grid, extended beyond it with the slope of its last intervals.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    low: f64,
    per_unit: f64,
    last: f64,
    /// Value at the left end of each interval and rise over it.
    intervals: Vec<[f64; 2]>,
}

impl Curve {
    /// `f` on `n` intervals between `low` and `high`.
    pub(super) fn new(low: f64, high: f64, n: usize, f: impl Fn(f64) -> f64) -> Self {
        let step = (high - low) / n as f64;
        let at = |i: usize| f(low + step * i as f64);
        let intervals = (0..n).map(|i| [at(i), at(i + 1) - at(i)]).collect();
        Self { low, per_unit: 1.0 / step, last: (n - 1) as f64, intervals }
    }

    #[inline(always)]
    pub(super) fn at(&self, x: f64) -> f64 {
        let u = (x - self.low) * self.per_unit;
        // A NaN becomes 0 here; it stays in `u` and so in the result.
        let i = u.clamp(0.0, self.last) as usize;
        let [value, rise] = self.intervals[i.min(self.intervals.len() - 1)];
        value + (u - i as f64) * rise
    }

    /// The integral of the curve from its lower end, at the same points.
    fn integral(&self) -> Self {
        let mut sum = 0.0;
        let mut integral = self.clone();
        for interval in &mut integral.intervals {
            let [value, rise] = *interval;
            let area = (value + 0.5 * rise) / self.per_unit;
            *interval = [sum, area];
            sum += area;
        }
        integral
    }

    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.intervals.iter().flat_map(|[v, r]| [*v, v + r])
    }
}

/// A property over `x` and temperature: Arrhenius' law times curves between which temperature interpolates.
#[derive(Debug, Clone)]
pub(super) struct Property {
    /// One curve, or one for every step of temperature.
    curves: Vec<Curve>,
    /// Activation energy over the gas constant, in K.
    activation_k: f64,
    reference_k: f64,
    /// The value if it is the same for every `x` and follows Arrhenius' law.
    constant: Option<f64>,
}

/// Where a temperature lies between the curves of a [`Property`], and its Arrhenius factor.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtTemperature {
    curve: usize,
    weight: f64,
    factor: f64,
}

impl Property {
    /// Tabulates over `x` from `low` to `high`.
    pub(super) fn new(
        name: &'static str,
        law: &Arrhenius,
        reference_k: f64,
        [low, high]: [f64; 2],
        allowed: &'static str,
        ok: impl Fn(f64) -> bool,
    ) -> Result<Self, ParameterError> {
        let f = &law.at_reference;
        let n = if matches!(f, Function::Constant(_)) { 1 } else { 512 };
        let curve = |t: f64| Curve::new(low, high, n, |x| f.at(x, t));
        let curves = if f.depends_on_temperature() {
            let steps = ((T_HIGH - T_LOW) / T_STEP) as usize;
            (0..=steps).map(|i| curve(T_LOW + T_STEP * i as f64)).collect()
        } else {
            vec![curve(reference_k)]
        };
        for value in curves.iter().flat_map(Curve::values) {
            crate::error::check(name, value, allowed, &ok)?;
        }
        let constant = if let Function::Constant(v) = f { Some(*v) } else { None };
        Ok(Self { curves, activation_k: law.activation_j_per_mol / GAS, reference_k, constant })
    }

    /// Raises every value to at least `share` of the one at `x` at the same temperature.
    pub(super) fn with_floor(mut self, share: f64, x: f64) -> Self {
        for curve in &mut self.curves {
            let floor = share * curve.at(x);
            let ends: Vec<f64> = curve.intervals.iter().map(|[v, r]| (v + r).max(floor)).collect();
            for (interval, end) in curve.intervals.iter_mut().zip(ends) {
                let start = interval[0].max(floor);
                *interval = [start, end - start];
            }
        }
        self
    }

    /// The integral over `x`, for [`Property::mean`].
    pub(super) fn integral(&self) -> Self {
        let curves = self.curves.iter().map(Curve::integral).collect();
        Self { curves, constant: None, ..self.clone() }
    }

    /// Of an [`integral`](Property::integral) that is `at_a` at `a` and `at_b` at `b`: the mean of the property between
    /// them. That is what diffuses through an element along which the concentration changes linearly from one to the
    /// other, however much the diffusivity changes in between (Kirchhoff's transformation).
    #[inline(always)]
    pub(super) fn mean(&self, [a, b]: [f64; 2], [at_a, at_b]: [f64; 2], t: AtTemperature) -> f64 {
        let apart = b - a;
        // Closer together than this, rounding would show; the property hardly changes in between.
        let close = 1e-7 * self.range();
        if apart.abs() > close {
            return (at_b - at_a) / apart;
        }
        let (middle, half) = (0.5 * (a + b), 0.5e-3 * self.range());
        (self.at(middle + half, t) - self.at(middle - half, t)) / (2.0 * half)
    }

    /// Width of the tabulated range.
    #[inline(always)]
    fn range(&self) -> f64 {
        let curve = &self.curves[0];
        (curve.last + 1.0) / curve.per_unit
    }

    /// The value at every `x` at the reference temperature if there is only one.
    pub(super) fn constant(&self) -> Option<f64> {
        self.constant
    }

    #[inline(always)]
    pub(super) fn at_temperature(&self, kelvin: f64) -> AtTemperature {
        let exponent = self.activation_k * (1.0 / self.reference_k - 1.0 / kelvin);
        let factor = if self.activation_k == 0.0 { 1.0 } else { exponent.exp() };
        if self.curves.len() == 1 {
            return AtTemperature { curve: 0, weight: 0.0, factor };
        }
        let u = ((kelvin - T_LOW) / T_STEP).clamp(0.0, (self.curves.len() - 1) as f64);
        let curve = (u as usize).min(self.curves.len() - 2);
        AtTemperature { curve, weight: u - curve as f64, factor }
    }

    #[inline(always)]
    pub(super) fn at(&self, x: f64, t: AtTemperature) -> f64 {
        if let Some(value) = self.constant {
            return t.factor * value;
        }
        let lower = self.curves[t.curve].at(x);
        if self.curves.len() == 1 {
            return t.factor * lower;
        }
        t.factor * (lower + t.weight * (self.curves[t.curve + 1].at(x) - lower))
    }
}
