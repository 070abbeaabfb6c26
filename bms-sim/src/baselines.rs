//! What the estimator has to beat: a plain coulomb counter and a textbook extended Kalman filter.

#![allow(clippy::needless_range_loop)] // indices read as in the equations

use bms_core::cell::{Age, CellModel};

/// Counts charge from the start SOC and never looks at the voltage.
#[derive(Debug, Clone)]
pub struct CoulombCounter {
    soc: f64,
    capacity_ah: f64,
}

impl CoulombCounter {
    /// A counter that believes its start SOC.
    #[must_use]
    pub fn new(initial_soc: f64, capacity_ah: f64) -> Self {
        Self { soc: initial_soc, capacity_ah }
    }

    /// Takes in the mean current in A (positive on discharge) over `dt_s`; returns the SOC.
    pub fn step(&mut self, mean_current_a: f64, dt_s: f64) -> f64 {
        self.soc = (self.soc - mean_current_a * dt_s / (3600.0 * self.capacity_ah)).clamp(0.0, 1.0);
        self.soc
    }
}

/// The textbook filter: states SOC, v1, v2; mean open-circuit voltage without hysteresis; no current offset; white
/// voltage noise of 10 mV (Plett 2004, "Extended Kalman filtering for battery management systems of LiPB-based HEV
/// battery packs, Part 3", J. Power Sources 134, without its enhancements).
#[derive(Debug, Clone)]
pub struct TextbookEkf<'a> {
    model: CellModel<'a>,
    capacity_ah: f64,
    x: [f64; 3],
    p: [[f64; 3]; 3],
}

impl<'a> TextbookEkf<'a> {
    /// Standard deviation of the voltage in V.
    const VOLTAGE_STD_V: f64 = 0.010;
    /// Standard deviation of the current in multiples of the capacity per hour.
    const CURRENT_STD_C: f64 = 0.01;

    /// A filter with 10 points of start uncertainty.
    #[must_use]
    pub fn new(model: CellModel<'a>, initial_soc: f64, capacity_ah: f64) -> Self {
        let mut p = [[0.0; 3]; 3];
        p[0][0] = 0.1 * 0.1;
        p[1][1] = 1e-4;
        p[2][2] = 1e-4;
        Self { model, capacity_ah, x: [initial_soc, 0.0, 0.0], p }
    }

    /// Takes in one sample; returns the SOC.
    pub fn step(
        &mut self,
        voltage_v: f64,
        current_a: f64,
        mean_a: f64,
        temperature_c: f64,
        dt_s: f64,
    ) -> f64 {
        let c = self.model.circuit(temperature_c as f32, self.x[0] as f32);
        let (a1, a2) = ((-dt_s / f64::from(c.tau1_s)).exp(), (-dt_s / f64::from(c.tau2_s)).exp());
        let b = [
            -dt_s / (3600.0 * self.capacity_ah),
            f64::from(c.r1_ohm) * (1.0 - a1),
            f64::from(c.r2_ohm) * (1.0 - a2),
        ];
        let a = [1.0, a1, a2];
        let current_variance = (Self::CURRENT_STD_C * self.capacity_ah).powi(2);
        for k in 0..3 {
            self.x[k] = a[k] * self.x[k] + b[k] * mean_a;
            for j in 0..3 {
                self.p[k][j] = a[k] * a[j] * self.p[k][j] + b[k] * b[j] * current_variance;
            }
        }
        let soc = self.x[0] as f32;
        let h = [f64::from(self.model.ocv_slope(temperature_c as f32, soc, 0.005, &Age::NEW)), -1.0, -1.0];
        let (drop, _) = c.instant_drop(current_a as f32);
        let predicted = f64::from(self.model.ocv(temperature_c as f32, soc, &Age::NEW).ocv_v)
            - f64::from(drop)
            - self.x[1]
            - self.x[2];
        let ph: [f64; 3] = std::array::from_fn(|k| (0..3).map(|j| self.p[k][j] * h[j]).sum());
        let s = (0..3).map(|k| h[k] * ph[k]).sum::<f64>() + Self::VOLTAGE_STD_V.powi(2);
        for k in 0..3 {
            self.x[k] += ph[k] / s * (voltage_v - predicted);
        }
        let p = self.p;
        for (k, row) in self.p.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                *value = 0.5 * (p[k][j] + p[j][k]) - ph[k] * ph[j] / s;
            }
        }
        // Clamping the state itself would break its correlation with v1 and v2.
        self.x[0].clamp(0.0, 1.0)
    }
}
