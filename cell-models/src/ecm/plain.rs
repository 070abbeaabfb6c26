//! A whole profile through the plainest circuit, where next to nothing has to be asked at each step.

use super::circuit::{Cache, Circuit, MAX_PIECE_S, MAX_PIECE_SOC, State};
use super::{EcmTrace, Profile, Waveform};

/// Such a cell has parameters that are the same everywhere, a coulombic efficiency of 1, no hysteresis and no entropic
/// heat.
pub(super) fn is_plain(circuit: &Circuit) -> bool {
    let p = &circuit.parameters;
    let zero = |values: &[f64]| values.iter().all(|&v| v == 0.0);
    circuit.fixed.is_some()
        && circuit.direction_is_one
        && zero(p.entropic_v_per_k.values())
        && zero(p.hysteresis_v.values())
}

/// Whether every step of the profile is short enough to be taken in one piece.
pub(super) fn in_one_piece(circuit: &Circuit, profile: &Profile<'_>) -> bool {
    let largest = profile.current_a.iter().fold(profile.start_a.abs(), |m, i| m.max(i.abs()));
    let dt_s = profile.dt_s;
    dt_s > 0.0 && dt_s <= MAX_PIECE_S && largest * dt_s * circuit.soc_per_as <= MAX_PIECE_SOC
}

/// The same as [`Circuit::step`] for each current, for a cell and a profile that pass the tests above. The
/// outcome is not finite if the model diverges.
pub(super) fn run<const PAIRS: usize>(
    circuit: &Circuit,
    cache: &mut Cache,
    state: &mut State,
    ambient_c: f64,
    profile: &Profile<'_>,
    trace: EcmTrace<'_>,
) {
    let &Profile { dt_s, start_a: mut before_a, current_a, waveform } = profile;
    let length = circuit.length(cache, dt_s);
    // Gain of the current at the start and at the end of the step, not of its change.
    let rc: [[f64; 3]; PAIRS] = std::array::from_fn(|k| {
        let [decay, gain, change_gain] = length.rc[k];
        [decay, gain - change_gain, change_gain]
    });
    let ([[cc, cs], [sc, ss]], [core_per_w, surface_per_w]) = (length.thermal.free, length.thermal.forced);
    let (core_per_6w, surface_per_6w) = (core_per_w / 6.0, surface_per_w / 6.0);
    let (ocv_v, [r0_discharge, r0_charge]) = (&circuit.parameters.ocv_v, state.r0_ohm);
    let half_soc_per_a = 0.5 * dt_s * circuit.soc_per_as;
    let held = waveform == Waveform::Held;
    let ohmic = |i: f64| if i < 0.0 { i * r0_charge } else { i * r0_discharge };

    let mut line = cache.ocv;
    let (mut soc, mut carry) = (state.soc, state.soc_carry);
    let mut v: [f64; PAIRS] = std::array::from_fn(|k| state.rc_v[k]);
    let [mut core, mut surface] = state.temperature_c.map(|t| t - ambient_c);
    let slices = trace
        .voltage_v
        .iter_mut()
        .zip(trace.soc)
        .zip(trace.core_temperature_c.iter_mut().zip(trace.surface_temperature_c));
    for (&now, ((voltage_out, soc_out), (core_out, surface_out))) in current_a.iter().zip(slices) {
        let from = if held { now } else { before_a };
        let drop_before = ohmic(from) + v.iter().sum::<f64>();
        let change = -(from + now) * half_soc_per_a - carry;
        let next = soc + change;
        carry = (next - soc) - change;
        soc = next;
        for (v, [decay, start, end]) in v.iter_mut().zip(rc) {
            *v = decay * *v + (start * from + end * now);
        }
        let drop = ohmic(now) + v.iter().sum::<f64>();
        let heat = from * (drop_before + drop_before + drop) + now * (drop + drop + drop_before);
        (core, surface) =
            (cc * core + cs * surface + core_per_6w * heat, sc * core + ss * surface + surface_per_6w * heat);
        state.ocv_v = line.follow(ocv_v, soc);
        *voltage_out = state.ocv_v - drop;
        *soc_out = soc;
        *core_out = ambient_c + core;
        *surface_out = ambient_c + surface;
        before_a = now;
    }
    cache.ocv = line;
    (state.soc, state.soc_carry) = (soc, carry);
    state.rc_v[..PAIRS].copy_from_slice(&v);
    state.temperature_c = [ambient_c + core, ambient_c + surface];
}
