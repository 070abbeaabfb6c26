//! Everything about one cell: SOC, capacity and resistance in one step.

use crate::capacity::CapacityTracker;
use crate::cell::{CellModel, ParameterError};
use crate::math::{abs, bound};
use crate::measurement::Measurement;
use crate::resistance::ResistanceTracker;
use crate::soc::{Estimate, Estimated, SocEstimator};
use crate::tuning::Tuning;

/// Spread of the capacity of new cells of one type against the tables (ratio).
const NEW_CAPACITY_STD: f32 = 0.02;
/// The filter takes a new capacity over in steps of this share of it at most, one a minute.
const CAPACITY_STEP: f32 = 5e-4;

/// What one step tells about a cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CellEstimate {
    /// SOC and everything else that the filter has to say.
    pub filter: Estimate,
    /// State of charge (fraction).
    pub soc: Estimated,
    /// Capacity over the new cell's, both at the tables' reference condition.
    pub soh_q: Estimated,
    /// 10 s resistance over the new cell's, both at 25 degC and 50 % SOC.
    pub soh_r: Estimated,
    /// Capacity in Ah.
    pub capacity_ah: Estimated,
}

/// Estimator of one cell.
///
/// ```
/// use bms_core::{cell::CellModel, estimator::CellEstimator, example, measurement::Measurement, tuning::Tuning};
///
/// let model = CellModel::new(example::NMC_5AH)?;
/// let mut cell = CellEstimator::new(&model, &Tuning::NMC, 0.80)?;
/// let estimate = cell.step(&Measurement::new(3.90, 2.5, 25.0), 1.0);
/// assert!(estimate.soh_q.value == 1.0 && estimate.soc.value < 1.0);
/// # Ok::<(), bms_core::cell::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellEstimator<'a> {
    model: &'a CellModel<'a>,
    tuning: &'a Tuning,
    soc: SocEstimator<'a>,
    capacity: CapacityTracker,
    resistance: ResistanceTracker,
    since_capacity_s: f32,
}

impl<'a> CellEstimator<'a> {
    /// An estimator of a new cell at a start SOC (fraction).
    ///
    /// # Errors
    /// [`ParameterError`] if the start SOC cannot be used.
    pub fn new(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        initial_soc: f32,
    ) -> Result<Self, ParameterError> {
        let soh_q = Estimated { value: 1.0, std: NEW_CAPACITY_STD };
        Self::with(model, tuning, initial_soc, soh_q, ResistanceTracker::of_new_cell())
    }

    /// An estimator of a cell whose SOH_Q and SOH_R are known as well as their standard deviations say.
    ///
    /// # Errors
    /// [`ParameterError`] if the start SOC or a state of health cannot be used.
    pub fn aged(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        initial_soc: f32,
        soh_q: Estimated,
        soh_r: Estimated,
    ) -> Result<Self, ParameterError> {
        Self::with(model, tuning, initial_soc, soh_q, ResistanceTracker::of_aged_cell(soh_r))
    }

    fn with(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        initial_soc: f32,
        soh_q: Estimated,
        resistance: ResistanceTracker,
    ) -> Result<Self, ParameterError> {
        let reference = model.tables().capacity_ah;
        let capacity_ah = soh_q.value * reference;
        Ok(Self {
            model,
            tuning,
            soc: SocEstimator::new(model, tuning, capacity_ah, initial_soc)?,
            capacity: CapacityTracker::new(soh_q)?,
            resistance,
            since_capacity_s: 0.0,
        })
    }

    /// The SOC filter.
    #[must_use]
    pub const fn soc_estimator(&self) -> &SocEstimator<'a> {
        &self.soc
    }

    /// The capacity tracker.
    #[must_use]
    pub const fn capacity_tracker(&self) -> &CapacityTracker {
        &self.capacity
    }

    /// The resistance tracker.
    #[must_use]
    pub const fn resistance_tracker(&self) -> &ResistanceTracker {
        &self.resistance
    }

    /// Takes in one sample; `dt_s` and bad readings as for [`SocEstimator::step`].
    pub fn step(&mut self, sample: &Measurement, dt_s: f32) -> CellEstimate {
        let filter = self.soc.step(sample, dt_s);
        let dt_s = bound(dt_s, 0.0, 1e6);
        self.capacity.step(self.model, self.tuning, sample, &filter, dt_s);
        self.resistance.step(self.model, sample, &filter, dt_s);
        let reference = self.model.tables().capacity_ah;
        self.resistance.age(abs(filter.mean_current_a) * dt_s / (7200.0 * reference));
        self.since_capacity_s += dt_s;
        if self.since_capacity_s >= 60.0 {
            self.since_capacity_s = 0.0;
            self.follow_capacity();
        }
        let soh_q = self.capacity.soh_q();
        CellEstimate {
            filter,
            soc: filter.soc,
            soh_q,
            soh_r: self.resistance.soh_r(),
            capacity_ah: Estimated { value: soh_q.value * reference, std: soh_q.std * reference },
        }
    }

    fn follow_capacity(&mut self) {
        let present = self.soc.capacity_ah();
        let largest = CAPACITY_STEP * present;
        let step =
            bound(self.capacity.soh_q().value * self.model.tables().capacity_ah - present, -largest, largest);
        if step != 0.0 {
            // A capacity between two that were accepted is acceptable.
            let _ = self.soc.set_capacity(present + step);
        }
    }
}
