//! Equivalent-circuit plant: open-circuit voltage, hysteresis, ohmic and RC drops, two thermal nodes.

mod circuit;
mod parameters;
mod plain;

use std::sync::Arc;

pub(crate) use circuit::decay;
pub use parameters::{EcmParameters, RcPair};

use crate::error::{ParameterError, PlantError, check};
use crate::plant::{Plant, check_current, check_temperature, check_time_step};
use circuit::{Cache, Circuit, State, for_shape};

/// Largest number of RC pairs.
pub const MAX_RC_PAIRS: usize = 3;
/// Temperature in degC at which the open-circuit voltage table holds.
pub const REFERENCE_TEMPERATURE_C: f64 = 25.0;

pub(crate) const KELVIN: f64 = 273.15;

/// How the current runs between the samples of a profile; see [`EcmCell::run`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waveform {
    /// Each sample flows for the whole step that it ends.
    Held,
    /// The current changes linearly from sample to sample, the first time from the present current.
    Linear,
}

/// Where [`EcmCell::run`] writes its readings: one number for each current of the profile.
#[derive(Debug)]
pub struct EcmTrace<'a> {
    /// Terminal voltage in V.
    pub voltage_v: &'a mut [f64],
    /// State of charge as a fraction.
    pub soc: &'a mut [f64],
    /// Core temperature in degC.
    pub core_temperature_c: &'a mut [f64],
    /// Surface temperature in degC.
    pub surface_temperature_c: &'a mut [f64],
}

/// A checked profile for [`EcmCell::run`].
struct Profile<'a> {
    dt_s: f64,
    /// Flows at the start.
    start_a: f64,
    current_a: &'a [f64],
    waveform: Waveform,
}

/// The equivalent-circuit plant. The [crate documentation](crate#equivalent-circuit) gives its equations.
///
/// What a step costs: tables that say the same everywhere are recognised when the cell is made, and the exponentials of
/// the last two step lengths are kept, so that such a cell needs no exponential in steps of equal length. Other tables
/// are searched only when SOC or temperature leave the piece between grid points that held last. No step allocates.
#[derive(Debug, Clone)]
pub struct EcmCell {
    circuit: Arc<Circuit>,
    cache: Cache,
    ambient_c: f64,
    current_a: f64,
    state: State,
}

impl EcmCell {
    /// A rested cell at the SOC `soc` (0..1), all of it at `temperature_c`, which is also the ambient temperature
    /// (-273.15..1000 degC). The hysteresis state starts at 0, between the branches.
    ///
    /// # Errors
    /// When a parameter, the SOC or the temperature is out of range; the message names it.
    pub fn new(parameters: EcmParameters, soc: f64, temperature_c: f64) -> Result<Self, ParameterError> {
        parameters.validate()?;
        check("start SOC", soc, "between 0 and 1", |v| (0.0..=1.0).contains(&v))?;
        let allowed = "between -273.15 and 1000 degC";
        check("start temperature", temperature_c, allowed, |v| check_temperature(v).is_ok())?;
        let circuit = Circuit::new(parameters);
        let mut cache = Cache::default();
        let state = circuit.rested(&mut cache, soc, temperature_c);
        Ok(Self { circuit: Arc::new(circuit), cache, ambient_c: temperature_c, current_a: 0.0, state })
    }

    /// The same cell with its hysteresis state set: -1 after a long discharge, 1 after a long charge.
    ///
    /// # Errors
    /// When the state is not between -1 and 1.
    pub fn with_hysteresis(mut self, state: f64) -> Result<Self, ParameterError> {
        check("hysteresis state", state, "between -1 and 1", |v| v.abs() <= 1.0)?;
        self.state.hysteresis = state;
        Ok(self)
    }

    /// The parameters of the cell.
    pub fn parameters(&self) -> &EcmParameters {
        &self.circuit.parameters
    }

    /// Open-circuit voltage `U` in V at the present SOC and core temperature, without hysteresis.
    pub fn open_circuit_voltage_v(&self) -> f64 {
        self.state.open_circuit_v()
    }

    /// Hysteresis state `h`, -1..1.
    pub fn hysteresis_state(&self) -> f64 {
        self.state.hysteresis
    }

    /// Voltages over the RC pairs in V, positive after discharge, in the order of the parameters.
    pub fn rc_voltages_v(&self) -> &[f64] {
        &self.state.rc_v[..self.parameters().rc.len()]
    }

    /// Puts the cell through a whole profile, one sample every `dt_s` seconds: the same as one [`Plant::advance`]
    /// (held) or [`Plant::ramp_current`] (linear) per sample (but for rounding), only faster. The readings at the end of each step go to
    /// `trace`. Afterwards the last sample flows.
    ///
    /// ```
    /// use cell_models::{EcmCell, EcmParameters, EcmTrace, Waveform};
    /// let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.9, 25.0)?;
    /// let current_a: Vec<f64> = (0..600).map(|k| 5.0 + 5.0 * f64::from(k / 20 % 2)).collect();
    /// let [mut voltage_v, mut soc, mut core, mut surface] = [(); 4].map(|()| vec![0.0; current_a.len()]);
    /// let trace = EcmTrace {
    ///     voltage_v: &mut voltage_v,
    ///     soc: &mut soc,
    ///     core_temperature_c: &mut core,
    ///     surface_temperature_c: &mut surface,
    /// };
    /// cell.run(1.0, &current_a, Waveform::Held, trace)?;
    /// assert!(voltage_v[599] < 4.0 && core[599] > surface[599]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PlantError::Length`] when a slice of `trace` is not as long as the profile, [`PlantError::Current`] for the
    /// first bad current, [`PlantError::TimeStep`] and [`PlantError::Diverged`] as [`Plant::advance`]. The cell is then
    /// as it was before the call; after `Diverged` the trace holds the readings up to there.
    pub fn run(
        &mut self,
        dt_s: f64,
        current_a: &[f64],
        waveform: Waveform,
        trace: EcmTrace<'_>,
    ) -> Result<(), PlantError> {
        check_time_step(dt_s)?;
        current_a.iter().try_for_each(|&i| check_current(i))?;
        let expected = current_a.len();
        for got in [&trace.voltage_v, &trace.soc, &trace.core_temperature_c, &trace.surface_temperature_c]
            .map(|slice| slice.len())
        {
            if got != expected {
                return Err(PlantError::Length { expected, got });
            }
        }
        let profile = Profile { dt_s, start_a: self.current_a, current_a, waveform };
        for_shape!(self.circuit, self.run_checked(&profile, trace))
    }

    fn run_checked<const PAIRS: usize, const FIXED: bool>(
        &mut self,
        profile: &Profile<'_>,
        trace: EcmTrace<'_>,
    ) -> Result<(), PlantError> {
        let &Profile { dt_s, start_a: mut before, current_a, waveform } = profile;
        let (circuit, mut cache, ambient_c) = (&*self.circuit, self.cache.clone(), self.ambient_c);
        let mut state = self.state;
        if circuit.is_plain && plain::in_one_piece(circuit, profile) {
            plain::run::<PAIRS>(circuit, &mut cache, &mut state, ambient_c, profile, trace);
            let last = current_a.last().copied().unwrap_or(before);
            if !(state.soc + state.temperature_c[0] + state.voltage_v(last)).is_finite() {
                return Err(PlantError::Diverged { current_a: last, dt_s });
            }
            (self.state, self.current_a, self.cache) = (state, last, cache);
            return Ok(());
        }
        let readings = trace
            .voltage_v
            .iter_mut()
            .zip(trace.soc)
            .zip(trace.core_temperature_c.iter_mut().zip(trace.surface_temperature_c));
        for (&current, ((voltage, soc), (core, surface))) in current_a.iter().zip(readings) {
            let from = if waveform == Waveform::Held { current } else { before };
            circuit.step::<PAIRS, FIXED>(&mut cache, &mut state, ambient_c, [from, current], dt_s)?;
            *voltage = state.voltage_v(current);
            *soc = state.soc;
            [*core, *surface] = state.temperature_c;
            before = current;
        }
        (self.state, self.current_a, self.cache) = (state, before, cache);
        Ok(())
    }

    fn ramp_checked<const PAIRS: usize, const FIXED: bool>(
        &mut self,
        to_a: f64,
        dt_s: f64,
    ) -> Result<(), PlantError> {
        let (before, current) = (self.state, [self.current_a, to_a]);
        let done = self.circuit.step::<PAIRS, FIXED>(
            &mut self.cache,
            &mut self.state,
            self.ambient_c,
            current,
            dt_s,
        );
        match done {
            Ok(()) => self.current_a = to_a,
            Err(_) => self.state = before,
        }
        done
    }
}

impl Plant for EcmCell {
    fn set_current(&mut self, current_a: f64) -> Result<(), PlantError> {
        check_current(current_a)?;
        self.current_a = current_a;
        Ok(())
    }

    fn set_ambient_c(&mut self, ambient_c: f64) -> Result<(), PlantError> {
        check_temperature(ambient_c)?;
        self.ambient_c = ambient_c;
        Ok(())
    }

    fn advance(&mut self, dt_s: f64) -> Result<(), PlantError> {
        self.ramp_current(self.current_a, dt_s)
    }

    /// Exact for the circuit, as [`Plant::advance`] is: charge, RC pairs and hysteresis under a current that changes
    /// linearly, also through zero.
    fn ramp_current(&mut self, to_a: f64, dt_s: f64) -> Result<(), PlantError> {
        check_current(to_a)?;
        check_time_step(dt_s)?;
        for_shape!(self.circuit, self.ramp_checked(to_a, dt_s))
    }

    fn current_a(&self) -> f64 {
        self.current_a
    }

    fn voltage_v(&self) -> f64 {
        self.state.voltage_v(self.current_a)
    }

    fn core_temperature_c(&self) -> f64 {
        self.state.temperature_c[0]
    }

    fn surface_temperature_c(&self) -> f64 {
        self.state.temperature_c[1]
    }

    fn soc(&self) -> f64 {
        self.state.soc
    }

    fn capacity_ah(&self) -> f64 {
        self.parameters().capacity_ah
    }

    fn heat_w(&self) -> f64 {
        self.current_a * self.state.heat_voltage_v(self.current_a)
    }

    fn voltage_limits_v(&self) -> [f64; 2] {
        self.parameters().voltage_limits_v
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table1;

    #[test]
    fn refused_calls_leave_the_state_untouched() {
        let mut cell = EcmCell::new(EcmParameters::generic_lfp_2ah3(), 0.5, 25.0).unwrap();
        cell.set_current(1.0).unwrap();
        cell.advance(10.0).unwrap();
        let before = format!("{cell:?}");
        for i in [f64::NAN, f64::INFINITY, -2e6] {
            assert!(cell.set_current(i).unwrap_err().to_string().contains("refused"));
        }
        for dt in [f64::NAN, f64::INFINITY, -1e-9] {
            assert!(matches!(cell.advance(dt), Err(PlantError::TimeStep(_))));
        }
        for t in [f64::NAN, -300.0, 1e4] {
            assert!(matches!(cell.set_ambient_c(t), Err(PlantError::Temperature(_))));
        }
        cell.advance(0.0).unwrap();
        assert_eq!(before, format!("{cell:?}"));
        // An entropic coefficient this large makes the heat feed on itself without bound.
        let mut p = EcmParameters::generic_nmc_5ah();
        p.entropic_v_per_k = Table1::constant(-1.0).unwrap();
        let mut cell = EcmCell::new(p, 0.5, 25.0).unwrap();
        cell.set_current(1e3).unwrap();
        let before = format!("{cell:?}");
        assert!(matches!(cell.advance(1e5), Err(PlantError::Diverged { .. })));
        assert_eq!(before, format!("{cell:?}"));
    }

    #[test]
    fn a_ramp_moves_the_mean_charge_and_a_refused_one_nothing() {
        let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.5, 25.0).unwrap();
        cell.set_current(2.0).unwrap();
        cell.ramp_current(4.0, 60.0).unwrap();
        assert_eq!(cell.current_a(), 4.0);
        assert!((cell.soc() - (0.5 - 3.0 * 60.0 / 18e3)).abs() < 1e-15);
        let before = format!("{cell:?}");
        assert!(cell.ramp_current(f64::NAN, 1.0).is_err() && cell.ramp_current(1.0, -1.0).is_err());
        assert_eq!(before, format!("{cell:?}"));
        cell.ramp_current(-1.0, 0.0).unwrap();
        assert_eq!(cell.current_a(), -1.0);
    }

    #[test]
    fn charge_and_discharge_use_their_own_resistance() {
        let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.5, 25.0).unwrap();
        let rest = cell.voltage_v();
        cell.set_current(5.0).unwrap();
        assert!((rest - cell.voltage_v() - 5.0 * 0.020).abs() < 1e-12);
        cell.set_current(-5.0).unwrap();
        assert!((cell.voltage_v() - rest - 5.0 * 0.021).abs() < 1e-12);
    }
}
