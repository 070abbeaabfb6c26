//! Everything about one cell: SOC, capacity and resistance in one step.

use crate::capacity::CapacityTracker;
use crate::cell::{CellModel, ParameterError};
use crate::math::{abs, bound};
use crate::measurement::Measurement;
use crate::resistance::ResistanceTracker;
use crate::soc::{Estimate, Estimated, SocEstimator};
use crate::tuning::Tuning;

/// Spread of new cells of one type against the tables: capacity and resistance (ratios).
const NEW_CAPACITY_STD: f32 = 0.02;
const NEW_RESISTANCE_STD: f32 = 0.05;
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
        let new = |std| Estimated { value: 1.0, std };
        Self::aged(model, tuning, initial_soc, new(NEW_CAPACITY_STD), new(NEW_RESISTANCE_STD))
    }

    /// An estimator of a cell whose `SOH_Q` and `SOH_R` are known as well as their standard deviations say.
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
        let reference = model.tables().capacity_ah;
        let capacity_ah = soh_q.value * reference;
        Ok(Self {
            model,
            tuning,
            soc: SocEstimator::new(model, tuning, capacity_ah, initial_soc)?,
            capacity: CapacityTracker::new(soh_q)?,
            resistance: ResistanceTracker::new(soh_r),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use proptest::prelude::*;

    #[test]
    fn soc_does_not_jump_while_the_capacity_is_put_right() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let tuning = Tuning::NMC;
        let aged = Estimated { value: 0.9, std: 0.02 };
        let as_new = Estimated { value: 1.0, std: 0.1 };
        let mut cell = CellEstimator::aged(&model, &tuning, 0.6, aged, as_new).unwrap();
        // The tracker has learnt that a tenth is missing; the filter still counts with the whole.
        cell.soc.set_capacity(5.0).unwrap();
        let open = Measurement::new(3.66, 0.0, 25.0).with_contactors_open(true);
        let mut before = cell.step(&open, 0.0).soc;
        for minute in 0..400 {
            let now = cell.step(&open, 60.0).soc;
            // The first minutes move a guessed start to where the voltage says it is.
            let jumped = minute > 20 && (now.value - before.value).abs() > 2e-3;
            assert!(!jumped, "minute {minute}: {before:?} {now:?}");
            before = now;
        }
        assert!((cell.soc_estimator().capacity_ah() / 4.5 - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_capacity_taken_over_keeps_soc_and_offset() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let mut soc = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.6).unwrap();
        let open = Measurement::new(3.66, 0.02, 25.0).with_contactors_open(true);
        for _ in 0..100 {
            soc.step(&open, 1.0);
        }
        let before = soc.step(&open, 0.0);
        soc.set_capacity(4.0).unwrap();
        let after = soc.step(&open, 0.0);
        assert!((after.soc.value - before.soc.value).abs() < 1e-6);
        assert!((after.current_bias_a.value - before.current_bias_a.value).abs() < 1e-5);
        assert!(soc.set_capacity(f32::NAN).is_err() && soc.capacity_ah() == 4.0);
    }

    proptest! {
        #[test]
        fn any_input_gives_numbers_within_bounds(inputs in prop::collection::vec(any::<[f32; 5]>(), 1..100)) {
            let model = CellModel::new(example::NMC_5AH).unwrap();
            let mut cell = CellEstimator::new(&model, &Tuning::LFP, 0.5).unwrap();
            for [v, i, t, mean, dt] in inputs {
                let e = cell.step(&Measurement::new(v, i, t).with_mean_current(mean), dt);
                prop_assert!((0.0..=1.0).contains(&e.soc.value) && e.soc.std.is_finite());
                prop_assert!((0.3..=1.3).contains(&e.soh_q.value) && e.soh_q.std.is_finite());
                prop_assert!((0.3..=11.0).contains(&e.soh_r.value) && e.soh_r.std.is_finite());
                prop_assert!(e.capacity_ah.value > 0.0);
            }
        }
    }
}
