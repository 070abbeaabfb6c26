//! Everything about one cell: SOC, capacity, resistance and core temperature in one step.
//!
//! With thermal parameters ([`CellEstimator::with_core`]) filter and trackers work at the estimated core temperature, which
//! under load is some kelvin above what the sensor shows and is what resistance and voltage follow. Power and energy are
//! calls of their own ([`crate::sop`], [`crate::energy`]), made as often as they are published:
//!
//! ```
//! use bms_core::{cell::CellModel, energy, estimator::CellEstimator, example, measurement::Measurement, tuning::Tuning};
//! use bms_core::{predict::Hold, pulse::PulseObserver, sop};
//!
//! let model = CellModel::new(example::NMC_5AH)?;
//! let mut cell = CellEstimator::new(&model, &Tuning::NMC, 0.80)?;
//! let mut pulses = PulseObserver::new((&model).into());
//! let limits = sop::Limits::of_cell(&model, 15.0, 7.5);
//! for _ in 0..60 {
//!     // Every sample.
//!     let sample = Measurement::new(3.90, 2.5, 25.0);
//!     let estimate = cell.step(&sample, 1.0);
//!     pulses.step(&cell.operating_point(), sample.voltage_v.valid(), estimate.filter.mean_current_a, 1.0);
//! }
//! // When power is published: from the resistances that the driving shows.
//! let power = sop::power(&(&model).into(), &limits, &pulses.start(&cell.operating_point()), None);
//! // When energy is: what is left at a mean of 10 W, and for how long.
//! let start = cell.operating_point().into();
//! let left = energy::remaining(&(&model).into(), &start, Hold::Power(10.0), model.tables().v_min, 0.0, None);
//! assert!(power.safe.discharge[1].power_w > 10.0 && left.energy_wh > 5.0 && left.time_s > 1800.0);
//! # Ok::<(), bms_core::cell::ParameterError>(())
//! ```

use crate::capacity::CapacityTracker;
use crate::cell::{CellModel, ParameterError};
use crate::math::{abs, bound};
use crate::measurement::{Measurement, Reading};
use crate::resistance::ResistanceTracker;
use crate::soc::{Estimate, Estimated, OperatingPoint, SocEstimator, SocState, Status};
use crate::store::stored;
use crate::thermal::{CoreEstimate, CoreEstimator, ThermalParameterError, ThermalParameters, loss_w};
use crate::tuning::Tuning;

/// Spread of new cells of one type against the tables: capacity and resistance (ratios).
pub(crate) const NEW_CAPACITY_STD: f32 = 0.02;
const NEW_RESISTANCE_STD: f32 = 0.05;

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
    /// What the current sensor reads too much, in A, positive on discharge.
    pub current_offset_a: Estimated,
    /// Core temperature, where the estimator has thermal parameters.
    pub core: Option<CoreEstimate>,
}

/// Everything that an estimator has learnt and counted: what to keep over a sleep ([`crate::store`]).
///
/// An estimator restored from it goes on bit for bit ([`CellEstimator::state`], [`CellEstimator::restore`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellState {
    soc: SocState,
    capacity: CapacityTracker,
    resistance: ResistanceTracker,
    core: Option<CoreEstimator>,
}

stored!(CellState {
    soc: SocState,
    capacity: CapacityTracker,
    resistance: ResistanceTracker,
    core: Option<CoreEstimator>,
});

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
    core: Option<CoreEstimator>,
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
        let start = Estimated { value: initial_soc, std: tuning.initial_soc_std };
        Self::starting_at(model, tuning, start, soh_q, soh_r)
    }

    /// The same with a start SOC that is known so well: remembered over a sleep, or read at a full charge.
    ///
    /// # Errors
    /// [`ParameterError`] if the start SOC or a state of health cannot be used.
    pub fn starting_at(
        model: &'a CellModel<'a>,
        tuning: &'a Tuning,
        start: Estimated,
        soh_q: Estimated,
        soh_r: Estimated,
    ) -> Result<Self, ParameterError> {
        let reference = model.tables().capacity_ah;
        let capacity_ah = soh_q.value * reference;
        Ok(Self {
            model,
            tuning,
            soc: SocEstimator::starting_at(model, tuning, capacity_ah, start)?,
            capacity: CapacityTracker::new(soh_q)?,
            resistance: ResistanceTracker::new(soh_r),
            core: None,
        })
    }

    /// The same with the core temperature estimated; one that was restored keeps its temperatures.
    ///
    /// # Errors
    /// [`ThermalParameterError`] names the first parameter that is not a number above 0.
    pub fn with_core(mut self, parameters: ThermalParameters) -> Result<Self, ThermalParameterError> {
        self.core = Some(match self.core {
            Some(core) => core.with_parameters(parameters)?,
            None => CoreEstimator::new(parameters)?,
        });
        Ok(self)
    }

    /// What to keep over a sleep or a reset of the controller.
    #[must_use]
    pub const fn state(&self) -> CellState {
        CellState {
            soc: self.soc.state(),
            capacity: self.capacity,
            resistance: self.resistance,
            core: self.core,
        }
    }

    /// An estimator that goes on where another one was. The tables and the tuning must be the ones that it had.
    #[must_use]
    pub const fn restore(model: &'a CellModel<'a>, tuning: &'a Tuning, state: CellState) -> Self {
        Self {
            model,
            tuning,
            soc: SocEstimator::restore(model, tuning, state.soc),
            capacity: state.capacity,
            resistance: state.resistance,
            core: state.core,
        }
    }

    /// Where predictions of voltage, power and energy start, at the core temperature where it is estimated.
    #[must_use]
    pub fn operating_point(&self) -> OperatingPoint {
        self.soc.operating_point()
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
        self.step_cooled(sample, Reading::MISSING, dt_s)
    }

    /// The same where the temperature of the coolant or the ambient air (degC) is read, too, for the core temperature.
    ///
    /// Without the cell's own temperature the filter goes on with the core's from the coolant alone, without both with the
    /// last one; [`Status::TEMPERATURE_LOST`] is set and the trackers learn nothing that needs it.
    pub fn step_cooled(&mut self, sample: &Measurement, ambient_c: Reading, dt_s: f32) -> CellEstimate {
        let core = self.step_core(sample, ambient_c, dt_s);
        let mut inside = *sample;
        if let Some(core) = core.filter(|core| !(core.surface_lost && core.ambient_lost)) {
            inside.temperature_c = Reading::within(core.core_c.value, f32::NEG_INFINITY, f32::INFINITY);
        }
        let mut filter = self.soc.step(&inside, dt_s);
        if core.is_some_and(|core| core.surface_lost) {
            filter.status.set(Status::TEMPERATURE_LOST);
            inside.temperature_c = Reading::MISSING;
        }
        let dt_s = bound(dt_s, 0.0, 1e6);
        self.capacity.step(self.model, self.tuning, &inside, &filter, dt_s);
        self.resistance.step(self.model, &inside, &filter, dt_s);
        let reference = self.model.tables().capacity_ah;
        self.resistance.age(abs(filter.mean_current_a) * dt_s / (7200.0 * reference));
        if let Some(capacity_ah) = self.capacity.follow(self.model, self.soc.capacity_ah(), dt_s) {
            // A capacity between two that were accepted is acceptable.
            let _ = self.soc.set_capacity(capacity_ah);
        }
        let soh_q = self.capacity.soh_q();
        CellEstimate {
            filter,
            soc: filter.soc,
            soh_q,
            soh_r: self.resistance.soh_r(),
            capacity_ah: Estimated { value: soh_q.value * reference, std: soh_q.std * reference },
            current_offset_a: filter.current_bias_a,
            core,
        }
    }

    /// The core temperature now, from the heat since the previous sample.
    fn step_core(&mut self, sample: &Measurement, ambient_c: Reading, dt_s: f32) -> Option<CoreEstimate> {
        let core = self.core.as_mut()?;
        let mut point = self.soc.operating_point();
        if sample.contactors_open {
            point.current_a = 0.0;
        } else if let Some(mean_a) = sample.mean_current_a.valid() {
            point.current_a = mean_a;
        }
        Some(core.step(sample.temperature_c, ambient_c, loss_w(self.model, &point), dt_s))
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
    fn filter_and_trackers_work_at_the_core_temperature() {
        let thermal = ThermalParameters {
            core_j_per_k: 60.0,
            surface_j_per_k: 5.0,
            core_surface_k_per_w: 0.8,
            surface_ambient_k_per_w: 4.0,
            core_surface_std: 0.15,
            sensor_std_k: 0.3,
        };
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let mut cell = CellEstimator::new(&model, &Tuning::NMC, 0.8).unwrap().with_core(thermal).unwrap();
        let ambient = Reading::within(25.0, -60.0, 120.0);
        let current = |k: usize| [10.0, 0.0][k / 10 % 2];
        let mut step = |k: usize, surface: f32, ambient| {
            let sample = Measurement::new(3.8 - 0.02 * current(k), current(k), surface);
            let e = cell.step_cooled(&sample, ambient, 1.0);
            (
                e.core.unwrap(),
                e.filter.status,
                cell.operating_point().temperature_c,
                *cell.resistance_tracker(),
            )
        };
        let (mut core, mut at_c, mut tracker) = (CoreEstimate::default(), 0.0, None);
        for k in 0..600 {
            let (c, status, t, r) = step(k, 28.0, ambient);
            assert!(t == c.core_c.value && !status.contains(Status::TEMPERATURE_LOST));
            (core, at_c, tracker) = (c, t, Some(r));
        }
        assert!(at_c > 28.2 && tracker.unwrap().blocks() > 5, "{core:?}");
        // Without the cell's sensor the coolant carries the core, without both the last temperature stays.
        for k in 600..1200 {
            let (c, status, t, r) = step(k, f32::NAN, ambient);
            assert!(c.surface_lost && status.contains(Status::TEMPERATURE_LOST) && t == c.core_c.value);
            assert_eq!(r.blocks(), tracker.unwrap().blocks());
            at_c = t;
        }
        for k in 1200..1300 {
            let (_, status, t, _) = step(k, f32::NAN, Reading::MISSING);
            assert!(status.contains(Status::TEMPERATURE_LOST) && t == at_c);
        }
    }

    #[test]
    fn a_remembered_start_is_believed() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let new = Estimated { value: 1.0, std: 0.02 };
        let start =
            |std| CellEstimator::starting_at(&model, &Tuning::NMC, Estimated { value: 0.6, std }, new, new);
        // The voltage says some 70 %.
        let after = |std| {
            let mut cell = start(std).unwrap();
            (0..300).map(|_| cell.step(&Measurement::new(3.85, 0.0, 25.0), 1.0).soc.value).last().unwrap()
        };
        let (sure, guessed) = (after(0.005), after(0.2));
        assert!((sure - 0.6).abs() < 0.03 && guessed > 0.68, "{sure} {guessed}");
        assert!(start(0.0).is_err() && start(f32::NAN).is_err());
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
