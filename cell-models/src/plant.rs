//! What every plant model offers.

use crate::error::PlantError;
use crate::load::Load;

/// Largest current that a plant accepts either way, in A. More is a spoiled reading or a mistaken unit.
pub const MAX_CURRENT_A: f64 = 1e6;

/// A simulated cell whose inner truth can be read.
///
/// Currents are positive on discharge. The current set last flows until the next one is set; [`Plant::advance`] lets
/// time pass under it. All readings are those of this instant with that current flowing. The same calls on an equal
/// plant give the same readings, bit for bit, and a clone is cheap (no tables are copied), so a caller may try a step
/// on a clone first.
pub trait Plant: Clone {
    /// Sets the current in A, positive on discharge; its ohmic drop shows in the voltage at once.
    ///
    /// # Errors
    /// [`PlantError::Current`] for NaN, infinity or more than [`MAX_CURRENT_A`]; the old current stays.
    fn set_current(&mut self, current_a: f64) -> Result<(), PlantError>;

    /// Sets the temperature of the surroundings in degC.
    ///
    /// # Errors
    /// [`PlantError::Temperature`] below -273.15 or above 1000 degC; the old temperature stays.
    fn set_ambient_c(&mut self, ambient_c: f64) -> Result<(), PlantError>;

    /// Lets `dt_s` seconds pass under the present current; 0 is allowed and changes nothing.
    ///
    /// # Errors
    /// [`PlantError::TimeStep`] for NaN, infinity or a negative step, [`PlantError::Diverged`] when the outcome is not a
    /// finite number; the state stays as it was.
    fn advance(&mut self, dt_s: f64) -> Result<(), PlantError>;

    /// Lets `dt_s` seconds pass while the current changes linearly from the present one to `to_a` (A, positive on
    /// discharge), which flows from then on: a drive cycle that is linear between its samples. With `dt_s` = 0 the
    /// current jumps.
    ///
    /// The default lets the mean of both currents flow for `dt_s`: it keeps the charge, but not the shape. A model that
    /// can do better overrides it.
    ///
    /// # Errors
    /// Those of [`Plant::set_current`] for `to_a` and those of [`Plant::advance`]; state and current stay as they were.
    fn ramp_current(&mut self, to_a: f64, dt_s: f64) -> Result<(), PlantError> {
        check_current(to_a)?;
        let from_a = self.current_a();
        self.set_current(0.5 * (from_a + to_a))?;
        match self.advance(dt_s) {
            Ok(()) => self.set_current(to_a),
            Err(refused) => {
                self.set_current(from_a)?;
                Err(refused)
            }
        }
    }

    /// Holds a current, a power or a voltage for `dt_s` seconds.
    ///
    /// One constant current flows during the call: the one given, the one that has the power at its start, or the one
    /// that leads to the voltage at its end: to 1e-6 of it, or to 1e-3 at the worst where a model takes a small step in its
    /// voltage right there. Call it with the step that the charger or inverter would take, 1 s or so.
    ///
    /// # Errors
    /// Those of [`Plant::set_current`] and [`Plant::advance`], and [`PlantError::LoadOutOfReach`] when no current gives
    /// the power or the voltage; state and current stay as they were.
    fn hold(&mut self, load: Load, dt_s: f64) -> Result<(), PlantError> {
        crate::load::hold(self, load, dt_s)
    }

    /// Current in A, positive on discharge.
    fn current_a(&self) -> f64;
    /// Terminal voltage in V under the present current.
    fn voltage_v(&self) -> f64;
    /// Temperature of the core in degC.
    fn core_temperature_c(&self) -> f64;
    /// Temperature of the surface in degC: what a sensor on the cell would see.
    fn surface_temperature_c(&self) -> f64;
    /// True state of charge as a fraction of [`Plant::capacity_ah`]. Not clamped: abuse leads below 0 or above 1.
    fn soc(&self) -> f64;
    /// True capacity in Ah.
    fn capacity_ah(&self) -> f64;
    /// Heat released in the cell in W; negative while the cell cools itself.
    fn heat_w(&self) -> f64;
    /// Potential of the negative electrode against the electrolyte next to it in V, where the model has electrodes;
    /// below 0, lithium plates.
    fn anode_potential_v(&self) -> Option<f64> {
        None
    }
    /// Lower and upper voltage limit of the cell in V. The plant itself does not stop there; see
    /// [`simulate`](crate::simulate).
    fn voltage_limits_v(&self) -> [f64; 2];
}

/// The check that every plant's `set_current` makes.
pub(crate) fn check_current(current_a: f64) -> Result<(), PlantError> {
    // Written so that a NaN is refused, too.
    if current_a.abs() <= MAX_CURRENT_A { Ok(()) } else { Err(PlantError::Current(current_a)) }
}

/// The check that every plant's `set_ambient_c` makes.
pub(crate) fn check_temperature(celsius: f64) -> Result<(), PlantError> {
    if (-273.15..=1000.0).contains(&celsius) { Ok(()) } else { Err(PlantError::Temperature(celsius)) }
}

/// The check that every plant's `advance` makes.
pub(crate) fn check_time_step(dt_s: f64) -> Result<(), PlantError> {
    if dt_s.is_finite() && dt_s >= 0.0 { Ok(()) } else { Err(PlantError::TimeStep(dt_s)) }
}
