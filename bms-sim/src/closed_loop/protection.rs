//! Limits of the protection of a simulated pack, from its file.

use bms_core::safety::settings::{ContactorSettings, Fitted, Levels, SafetySettings, SensorGrade};

use super::sensors::Ranges;
use crate::pack_file::PackFile;

/// Cell voltage in V beyond the working range: information, warning, fatal. The core works up to the end of the range with
/// its own readings, which noise takes beyond it; the last is what cells bear (as 4.25 V is asked for at 4.2 V).
const HIGH_V: [f32; 3] = [0.02, 0.03, 0.05];
const LOW_V: [f32; 3] = [0.0, 0.1, 0.3];
/// Deep discharge as a share of the lowest working voltage: 1.5 V of 2.5 V.
const DEEP_SHARE: f32 = 0.6;
/// Mean current beyond what cells carry for long: shares, on top of the sensor's error.
const LONG_SHARE: [f32; 3] = [1.05, 1.1, 1.2];
/// Pulses beyond the largest allowed: share, on top of the sensor's error.
const PULSE_SHARE: f32 = 1.1;
/// Temperatures from the end of the working range: information and warning before it, fatal beyond it, in K.
const HOT_K: [f32; 3] = [-3.0, 2.5, 5.0];
const COLD_K: [f32; 3] = [3.0, -2.5, -5.0];
/// Difference of temperatures in K, rise in K/s.
const SPREAD_K: [f32; 3] = [12.0, 18.0, 30.0];
const RISE_K_PER_S: [f32; 2] = [0.25, 1.0];
/// Difference of states of charge (fraction).
const IMBALANCE: [f32; 2] = [0.08, 0.15];
/// Insulation in ohm per V: GB 18384 asks for 100 (500 with alternating current).
const INSULATION_OHM_PER_V: [f32; 2] = [500.0, 100.0];
/// Current in A that contactors break often, as a share of the largest pulse.
const BREAKING_SHARE: f32 = 0.5;
/// Balancing board: its own cut-out comes first, in K below.
const BOARD_K: f32 = 10.0;
/// A cold cell resists so much more than the one that the laboratory knows at 25 degC.
const COLD_RESISTANCE: f32 = 10.0;

fn around(limit: f32, by: [f32; 3]) -> Levels {
    let [information, warning, fatal] = by.map(|k| limit + k);
    Levels::new(information, warning, fatal)
}

/// Limits for a pack of groups of `capacity_ah` whose resistance at 25 degC is `group_ohm`, with sensors at the limits of the
/// standard; `period_ms`: longest time between two steps.
#[must_use]
pub fn settings(file: &PackFile, capacity_ah: f64, group_ohm: f32, period_ms: u16) -> SafetySettings {
    let (l, parallel) = (&file.limits, file.layout.parallel as f32);
    let ranges = Ranges::of(file, capacity_ah);
    let full_a = ranges.full_scale_a as f32;
    let grade = SensorGrade::limit(full_a);
    let of_pack = |a: f64| a as f32 * parallel;
    let error_a = grade.current_share * full_a;
    let long = |a: f64| {
        let [information, warning, fatal] = LONG_SHARE.map(|s| s * of_pack(a) + error_a);
        Levels::new(information, warning, fatal)
    };
    let pulse = |pulse: f64, long: Levels| {
        (PULSE_SHARE * of_pack(pulse) + 2.0 * error_a).clamp(long.fatal, full_a.max(long.fatal))
    };
    let [low_v, high_v] = l.voltage_v.map(|v| v as f32);
    let cell_low_v = {
        let [information, warning, fatal] = LOW_V.map(|v| low_v - v.min(0.2 * low_v));
        Levels::new(information, warning, fatal)
    };
    let [discharge_cold_c, discharge_hot_c] = l.discharge_temperature_c.map(|t| t as f32);
    let [charge_cold_c, charge_hot_c] = l.charge_temperature_c.map(|t| t as f32);
    let (discharge_a, charge_a) = (long(l.discharge_a), long(l.charge_a));
    let e = &file.electrical;
    SafetySettings {
        fitted: Fitted {
            second_current: true,
            pack_voltage: true,
            link_voltage: true,
            insulation: true,
            auxiliary_contacts: true,
            vehicle: true,
            flow: file.thermal.coolant.is_some(),
            heater_power: true,
        },
        grade,
        period_ms,
        cell_high_v: around(high_v, HIGH_V),
        cell_low_v,
        deep_discharge_v: (DEEP_SHARE * low_v).min(cell_low_v.fatal),
        discharge_a,
        pulse_discharge_a: pulse(l.pulse_discharge_a, discharge_a),
        charge_a,
        pulse_charge_a: pulse(l.pulse_charge_a, charge_a),
        discharge_hot_c: around(discharge_hot_c, HOT_K),
        discharge_cold_c: around(discharge_cold_c, COLD_K),
        charge_hot_c: around(charge_hot_c, HOT_K),
        charge_cold_c: around(charge_cold_c, COLD_K),
        spread_k: Levels::new(SPREAD_K[0], SPREAD_K[1], SPREAD_K[2]),
        rise_k_per_s: RISE_K_PER_S,
        highest_working_c: discharge_hot_c,
        imbalance: IMBALANCE,
        insulation_ohm_per_v: INSULATION_OHM_PER_V,
        cell_ohm: COLD_RESISTANCE * group_ohm,
        capacity_ah: capacity_ah as f32,
        board_hot_c: file.balancing.map_or(95.0, |b| match b {
            crate::pack_file::Balancing::Passive(p) => p.board_max_c as f32 + BOARD_K,
            _ => 95.0,
        }),
        contactors: ContactorSettings {
            breaking_a: BREAKING_SHARE * of_pack(l.pulse_discharge_a),
            precharged_share: 0.95,
            // What the sensor cannot tell from nothing counts as none.
            precharged_a: (1.5 * error_a).max(1.0),
            // Five time constants of the link reach 99 %.
            precharge_ms: (5000.0 * e.precharge_ohm * e.link_f).clamp(500.0, 5000.0) as u16,
            travel_ms: 50,
            precharges: 5,
            cool_down_s: 30,
        },
    }
}
