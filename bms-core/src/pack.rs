//! N cells in series that share one current sensor.

use crate::cell::{CellModel, ParameterError};
use crate::measurement::{Measurement, Reading};
use crate::soc::{Estimate, SocEstimator};
use crate::tuning::Tuning;

/// One sample of a pack of `N` cells in series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackMeasurement<const N: usize> {
    /// Terminal voltage of every cell in V.
    pub cell_voltage_v: [Reading; N],
    /// Temperature of every cell in degC (repeat the nearest sensor's reading where cells share one).
    pub cell_temperature_c: [Reading; N],
    /// Pack current in A, positive on discharge.
    pub current_a: Reading,
    /// Mean pack current since the previous sample in A, where the front end integrates.
    pub mean_current_a: Reading,
    /// The contactors are known to be open ([`Measurement::contactors_open`]).
    pub contactors_open: bool,
}

/// Estimators of `N` cells in series; no heap, tables shared.
///
/// ```
/// use bms_core::{cell::CellModel, example, measurement::Reading, pack::{PackEstimator, PackMeasurement}, tuning::Tuning};
/// let model = CellModel::new(example::NMC_5AH)?;
/// let mut pack = PackEstimator::<16>::new(&model, &Tuning::NMC, 5.0, 0.5)?;
/// let sample = PackMeasurement {
///     cell_voltage_v: [Reading::within(3.7, 0.0, 5.0); 16],
///     cell_temperature_c: [Reading::within(25.0, -60.0, 120.0); 16],
///     current_a: Reading::within(1.0, -500.0, 500.0),
///     mean_current_a: Reading::MISSING,
///     contactors_open: false,
/// };
/// pack.step(&sample, 0.0);
/// let (lowest, highest) = pack.extremes();
/// assert!(lowest <= highest);
/// # Ok::<(), bms_core::cell::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PackEstimator<'a, const N: usize> {
    cells: [SocEstimator<'a>; N],
    estimates: [Estimate; N],
}

impl<'a, const N: usize> PackEstimator<'a, N> {
    /// `N` equal cells; capacity and start SOC as for [`SocEstimator::new`].
    ///
    /// # Errors
    /// [`ParameterError`] as for one cell.
    pub fn new(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        capacity_ah: f32,
        initial_soc: f32,
    ) -> Result<Self, ParameterError> {
        let cell = SocEstimator::new(model, tuning, capacity_ah, initial_soc)?;
        Ok(Self { cells: [cell; N], estimates: [Estimate::default(); N] })
    }

    /// Takes in one sample of all cells; `dt_s` as for [`SocEstimator::step`].
    pub fn step(&mut self, sample: &PackMeasurement<N>, dt_s: f32) -> &[Estimate; N] {
        let readings = sample.cell_voltage_v.iter().zip(&sample.cell_temperature_c);
        for ((cell, estimate), (voltage, temperature)) in
            self.cells.iter_mut().zip(&mut self.estimates).zip(readings)
        {
            let one = Measurement {
                voltage_v: *voltage,
                current_a: sample.current_a,
                mean_current_a: sample.mean_current_a,
                temperature_c: *temperature,
                contactors_open: sample.contactors_open,
            };
            *estimate = cell.step(&one, dt_s);
        }
        &self.estimates
    }

    /// The last estimates, one per cell.
    #[must_use]
    pub const fn estimates(&self) -> &[Estimate; N] {
        &self.estimates
    }

    /// SOC of the emptiest and of the fullest cell (fractions).
    #[must_use]
    pub fn extremes(&self) -> (f32, f32) {
        let mut range = (1.0, 0.0);
        for e in &self.estimates {
            range = (e.soc.value.min(range.0), e.soc.value.max(range.1));
        }
        range
    }
}
