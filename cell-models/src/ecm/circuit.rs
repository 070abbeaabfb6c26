//! One step of the circuit: what changes (`State`), what is known beforehand (`Circuit`) and what is kept between steps
//! only to save time (`Cache`).

use std::fmt;

use super::{EcmParameters, KELVIN, MAX_RC_PAIRS, REFERENCE_TEMPERATURE_C};
use crate::error::PlantError;
use crate::piece::{Line, Patch};
use crate::table::Table2;
use crate::thermal::Propagator;

/// A step is cut up so that parameters and heat hardly change within a piece.
pub(super) const MAX_PIECE_S: f64 = 5.0;
pub(super) const MAX_PIECE_SOC: f64 = 1e-3;
const MAX_PIECES: f64 = 1e5;

/// What a cell is made of, with everything that can be worked out once.
#[derive(Debug)]
pub(super) struct Circuit {
    pub(super) parameters: EcmParameters,
    pub(super) soc_per_as: f64,
    /// Resistance in ohm and time constant in s of the pairs if neither these nor R0 depend on temperature or SOC.
    pub(super) fixed: Option<[[f64; 2]; MAX_RC_PAIRS]>,
    /// Neither charge nor hysteresis ask for the sign of the current.
    pub(super) direction_is_one: bool,
    /// A cell for [`plain::run`](super::plain::run).
    pub(super) is_plain: bool,
}

/// Calls a method of [`Circuit`] or [`EcmCell`](super::EcmCell) compiled for the cell's number of RC pairs and for fixed
/// or looked-up parameters, so that its loops unroll and the state stays in registers.
macro_rules! for_shape {
    ($circuit:expr, $target:ident . $method:ident ( $($argument:expr),* )) => {
        match ($circuit.parameters.rc.len(), $circuit.fixed.is_some()) {
            (0, false) => $target.$method::<0, false>($($argument),*),
            (1, false) => $target.$method::<1, false>($($argument),*),
            (2, false) => $target.$method::<2, false>($($argument),*),
            (_, false) => $target.$method::<3, false>($($argument),*),
            (0, true) => $target.$method::<0, true>($($argument),*),
            (1, true) => $target.$method::<1, true>($($argument),*),
            (2, true) => $target.$method::<2, true>($($argument),*),
            (_, true) => $target.$method::<3, true>($($argument),*),
        }
    };
}
pub(super) use for_shape;

/// The state of a cell and what its tables say there.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) soc: f64,
    /// Rounding error carried along by Kahan's summation, so that years of small steps lose no charge.
    pub(super) soc_carry: f64,
    pub(super) rc_v: [f64; MAX_RC_PAIRS],
    pub(super) hysteresis: f64,
    /// Core and surface.
    pub(super) temperature_c: [f64; 2],
    pub(super) ocv_v: f64,
    entropic_v_per_k: f64,
    hysteresis_v: f64,
    /// Discharge and charge.
    pub(super) r0_ohm: [f64; 2],
}

impl State {
    pub(super) fn open_circuit_v(&self) -> f64 {
        self.ocv_v + (self.temperature_c[0] - REFERENCE_TEMPERATURE_C) * self.entropic_v_per_k
    }

    /// `U - V`: what the terminal voltage lacks against the open-circuit voltage, in V.
    fn drop_v(&self, current_a: f64) -> f64 {
        let [v1, v2, v3] = self.rc_v;
        let [discharge, charge] = self.r0_ohm;
        let r0 = if current_a < 0.0 { charge } else { discharge };
        current_a * r0 + (v1 + v2 + v3) - self.hysteresis_v * self.hysteresis
    }

    pub(super) fn voltage_v(&self, current_a: f64) -> f64 {
        self.open_circuit_v() - self.drop_v(current_a)
    }

    /// Heat in W per A of current.
    pub(super) fn heat_voltage_v(&self, current_a: f64) -> f64 {
        self.drop_v(current_a) - (self.temperature_c[0] + KELVIN) * self.entropic_v_per_k
    }
}

/// Pieces of tables and exponentials that held last. They change how long a step takes, never its outcome.
#[derive(Clone)]
pub(super) struct Cache {
    pub(super) ocv: Line,
    entropic: Line,
    hysteresis: Line,
    /// R0 on discharge and charge, then resistance and time constant of each pair.
    patch: Patch<{ 2 + 2 * MAX_RC_PAIRS }>,
    /// The last two lengths of a step: a step cut in two now and then does not drive out the usual length.
    lengths: [Length; 2],
    last: usize,
}

/// What depends on the length of a step alone.
#[derive(Clone, Copy)]
pub(super) struct Length {
    dt_s: f64,
    pub(super) thermal: Propagator,
    /// For the pairs of a fixed circuit: decay, gain (ohm) of the current at the start and of its change.
    pub(super) rc: [[f64; 3]; MAX_RC_PAIRS],
}

impl Default for Cache {
    fn default() -> Self {
        let none = Length { dt_s: f64::NAN, thermal: Propagator::default(), rc: [[0.0; 3]; MAX_RC_PAIRS] };
        Self {
            ocv: Line::NONE,
            entropic: Line::NONE,
            hysteresis: Line::NONE,
            patch: Patch::NONE,
            lengths: [none; 2],
            last: 0,
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its content is no property of the cell.
        f.write_str("Cache")
    }
}

/// Charge moved by a linear change of the current, over the capacity.
struct Charge {
    /// Change of SOC, with the coulombic efficiency.
    soc: f64,
    /// Discharge before and after the current passed through 0; all of it in the first if it did not.
    moved: [f64; 2],
}

impl Charge {
    fn throughput(&self) -> f64 {
        self.moved[0].abs() + self.moved[1].abs()
    }
}

impl Circuit {
    pub(super) fn new(parameters: EcmParameters) -> Self {
        let p = &parameters;
        let fixed = || {
            let mut rc = [[0.0; 2]; MAX_RC_PAIRS];
            for (known, pair) in rc.iter_mut().zip(&p.rc) {
                *known = [pair.r_ohm.everywhere()?, pair.tau_s.everywhere()?];
            }
            p.r0_discharge_ohm.everywhere().and(p.r0_charge_ohm.everywhere()).and(Some(rc))
        };
        let mut circuit = Self {
            soc_per_as: 1.0 / (3600.0 * p.capacity_ah),
            fixed: fixed(),
            direction_is_one: p.coulombic_efficiency == 1.0 && p.hysteresis_gamma == 0.0,
            is_plain: false,
            parameters,
        };
        circuit.is_plain = super::plain::is_plain(&circuit);
        circuit
    }

    pub(super) fn rested(&self, cache: &mut Cache, soc: f64, temperature_c: f64) -> State {
        let p = &self.parameters;
        let mut state = State {
            soc,
            soc_carry: 0.0,
            rc_v: [0.0; MAX_RC_PAIRS],
            hysteresis: 0.0,
            temperature_c: [temperature_c; 2],
            ocv_v: 0.0,
            entropic_v_per_k: 0.0,
            hysteresis_v: 0.0,
            r0_ohm: [p.r0_discharge_ohm.at(temperature_c, soc), p.r0_charge_ohm.at(temperature_c, soc)],
        };
        self.follow_soc(cache, &mut state);
        state
    }

    /// Lets `dt_s` pass while the current changes linearly.
    ///
    /// # Errors
    /// [`PlantError::Diverged`]; the state is then spoiled.
    #[inline(always)]
    pub(super) fn step<const PAIRS: usize, const FIXED: bool>(
        &self,
        cache: &mut Cache,
        state: &mut State,
        ambient_c: f64,
        [from_a, to_a]: [f64; 2],
        dt_s: f64,
    ) -> Result<(), PlantError> {
        if dt_s == 0.0 {
            return Ok(());
        }
        let charge = self.charge([from_a, to_a], dt_s);
        let moved = charge.throughput();
        if dt_s <= MAX_PIECE_S && moved <= MAX_PIECE_SOC {
            self.piece::<PAIRS, FIXED>(cache, state, ambient_c, [from_a, to_a], dt_s, &charge);
        } else {
            let pieces = (dt_s / MAX_PIECE_S).max(moved / MAX_PIECE_SOC).ceil().min(MAX_PIECES);
            self.pieces::<PAIRS, FIXED>(cache, state, ambient_c, [from_a, to_a], dt_s, pieces);
        }
        let [core, surface] = state.temperature_c;
        let heat = to_a * state.heat_voltage_v(to_a);
        if (state.soc + state.voltage_v(to_a) + heat + core + surface).is_finite() {
            Ok(())
        } else {
            Err(PlantError::Diverged { current_a: to_a, dt_s })
        }
    }

    #[inline(never)]
    fn pieces<const PAIRS: usize, const FIXED: bool>(
        &self,
        cache: &mut Cache,
        state: &mut State,
        ambient_c: f64,
        [from_a, to_a]: [f64; 2],
        dt_s: f64,
        pieces: f64,
    ) {
        let (dt_s, change_a) = (dt_s / pieces, (to_a - from_a) / pieces);
        for k in 0..pieces as u32 {
            let start = from_a + f64::from(k) * change_a;
            let current = [start, start + change_a];
            self.piece::<PAIRS, FIXED>(cache, state, ambient_c, current, dt_s, &self.charge(current, dt_s));
            if !state.temperature_c[0].is_finite() {
                break; // It only gets worse.
            }
        }
    }

    /// The exact integrals of the current, with the coulombic efficiency on charge.
    #[inline(always)]
    fn charge(&self, [from_a, to_a]: [f64; 2], dt_s: f64) -> Charge {
        let per_a = dt_s * self.soc_per_as;
        let stored =
            |moved: f64| if moved < 0.0 { self.parameters.coulombic_efficiency * moved } else { moved };
        if self.direction_is_one || from_a * to_a >= 0.0 {
            let moved = 0.5 * (from_a + to_a) * per_a;
            Charge { soc: -stored(moved), moved: [moved, 0.0] }
        } else {
            let before = from_a / (from_a - to_a);
            let moved = [0.5 * from_a * before * per_a, 0.5 * to_a * (1.0 - before) * per_a];
            Charge { soc: -(stored(moved[0]) + stored(moved[1])), moved }
        }
    }

    /// One piece of a step, second order in its length: the circuit exactly under the parameters of the middle (where
    /// the temperature is predicted), then the thermal nodes exactly under the mean heat.
    #[inline(always)]
    fn piece<const PAIRS: usize, const FIXED: bool>(
        &self,
        cache: &mut Cache,
        state: &mut State,
        ambient_c: f64,
        [from_a, to_a]: [f64; 2],
        dt_s: f64,
        charge: &Charge,
    ) {
        let p = &self.parameters;
        let length = self.length(cache, dt_s);
        let per_a_start = state.heat_voltage_v(from_a);
        let cooled = length.thermal.cool(state.temperature_c, ambient_c);
        let predicted_c = length.thermal.heat(cooled, from_a * per_a_start);
        let (start_soc, start_c) = (state.soc, state.temperature_c[0]);
        let change = charge.soc - state.soc_carry;
        state.soc = start_soc + change;
        state.soc_carry = (state.soc - start_soc) - change;

        let change_a = to_a - from_a;
        if FIXED {
            for k in 0..PAIRS {
                let ([decay, gain, change_gain], v) = (length.rc[k], &mut state.rc_v[k]);
                *v = decay * *v + (gain * from_a + change_gain * change_a);
            }
        } else {
            let (core, soc) = (0.5 * (start_c + predicted_c[0]), 0.5 * (start_soc + state.soc));
            cache.patch.follow(|| self.tables(), core, soc);
            for k in 0..PAIRS {
                let [r, tau] = [2, 3].map(|n| cache.patch.at(n + 2 * k, core, soc));
                let ([decay, gain, change_gain], v) = (ramp_response(r, tau, dt_s), &mut state.rc_v[k]);
                *v = decay * *v + (gain * from_a + change_gain * change_a);
            }
        }
        if p.hysteresis_gamma != 0.0 {
            let [first, second] = charge.moved;
            state.hysteresis = self.approach(state.hysteresis, first);
            if second != 0.0 {
                state.hysteresis = self.approach(state.hysteresis, second);
            }
        }

        self.follow_soc(cache, state);
        state.temperature_c = predicted_c;
        if !FIXED {
            self.follow_r0(cache, state);
        }
        // The mean of current times a voltage that also changes linearly.
        let per_a_end = state.heat_voltage_v(to_a);
        let heat =
            (from_a * (2.0 * per_a_start + per_a_end) + to_a * (2.0 * per_a_end + per_a_start)) * (1.0 / 6.0);
        state.temperature_c = length.thermal.heat(cooled, heat);
        if !FIXED {
            self.follow_r0(cache, state);
        }
    }

    /// Hysteresis state after `moved` of the capacity, positive on discharge.
    #[inline(always)]
    fn approach(&self, hysteresis: f64, moved: f64) -> f64 {
        let settled = if moved < 0.0 { 1.0 } else { -1.0 };
        settled + (hysteresis - settled) * decay(moved.abs() * self.parameters.hysteresis_gamma)
    }

    #[inline(always)]
    fn follow_soc(&self, cache: &mut Cache, state: &mut State) {
        let p = &self.parameters;
        state.ocv_v = cache.ocv.follow(&p.ocv_v, state.soc);
        state.entropic_v_per_k = cache.entropic.follow(&p.entropic_v_per_k, state.soc);
        state.hysteresis_v = cache.hysteresis.follow(&p.hysteresis_v, state.soc);
    }

    #[inline(always)]
    fn follow_r0(&self, cache: &mut Cache, state: &mut State) {
        let core = state.temperature_c[0];
        cache.patch.follow(|| self.tables(), core, state.soc);
        state.r0_ohm = [0, 1].map(|n| cache.patch.at(n, core, state.soc));
    }

    /// In the order of the patch.
    fn tables(&self) -> impl Iterator<Item = &Table2> {
        let p = &self.parameters;
        [&p.r0_discharge_ohm, &p.r0_charge_ohm]
            .into_iter()
            .chain(p.rc.iter().flat_map(|pair| [&pair.r_ohm, &pair.tau_s]))
    }

    #[inline(always)]
    pub(super) fn length(&self, cache: &mut Cache, dt_s: f64) -> Length {
        if cache.lengths[cache.last].dt_s != dt_s {
            self.change_length(cache, dt_s);
        }
        cache.lengths[cache.last]
    }

    #[inline(never)]
    fn change_length(&self, cache: &mut Cache, dt_s: f64) {
        cache.last ^= 1;
        if cache.lengths[cache.last].dt_s != dt_s {
            let rc = self.fixed.map_or([[0.0; 3]; MAX_RC_PAIRS], |fixed| {
                fixed.map(|[r, tau]| if tau > 0.0 { ramp_response(r, tau, dt_s) } else { [0.0; 3] })
            });
            cache.lengths[cache.last] =
                Length { dt_s, thermal: self.parameters.thermal.propagator(dt_s), rc };
        }
    }
}

/// Exact response of an RC pair to a linear current: decay of its voltage, gain in ohm of the current at the start and
/// of its change.
#[inline(always)]
fn ramp_response(r_ohm: f64, tau_s: f64, dt_s: f64) -> [f64; 3] {
    let x = dt_s / tau_s;
    let decay = decay(x);
    let rise = 1.0 - decay;
    // x = 0 when tau is beyond all measure: the pair does not move.
    let lag = if x > 0.0 { rise / x } else { 1.0 };
    [decay, r_ohm * rise, r_ohm * (1.0 - lag)]
}

/// `exp(-x)` for `x >= 0`, by its series where that is exact to the last bits.
#[inline(always)]
pub(crate) fn decay(x: f64) -> f64 {
    if x > 0.02 {
        return (-x).exp();
    }
    let series = 1.0 - x * (1.0 / 4.0) * (1.0 - x * (1.0 / 5.0) * (1.0 - x * (1.0 / 6.0)));
    1.0 - x * (1.0 - x * (1.0 / 2.0) * (1.0 - x * (1.0 / 3.0) * series))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_is_the_exponential() {
        for k in 0..4000 {
            let x = f64::from(k) * 1e-5;
            assert!((decay(x) - (-x).exp()).abs() < 4e-16, "at {x}");
        }
        assert_eq!([decay(0.0), decay(1e4)], [1.0, 0.0]);
    }
}
