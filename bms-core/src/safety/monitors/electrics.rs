//! Insulation, interlock, fuse, charger, cooling, heating.

use super::Scene;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::table::Diagnosis;

/// A pack below this voltage (V) is no danger to touch, and no fuse can be told from its noise.
const SAFE_TO_TOUCH_V: f32 = 20.0;
/// Share by which the voltage behind a sound fuse may differ from that of the cells.
const FUSE_SHARE: f32 = 0.1;
/// Coolant is asked for above this (L/min), and flows if there is this share of it.
const ASKED_L_PER_MIN: f32 = 0.5;
const FLOWING_SHARE: f32 = 0.3;
/// Power in W, and share of what is asked for, above which a heater is not told to heat so.
const HEATER_W: f32 = 20.0;
const HEATER_SHARE: f32 = 1.5;
/// Share by which a charger may exceed what it is asked for, beside the error of the sensor.
const CHARGER_SHARE: f32 = 0.05;

/// `sum_v` is the voltage of all cells, `current_a` the current if it is known.
pub(super) fn check<const N: usize, const S: usize>(
    scene: &Scene<'_, N, S>,
    (sum_v, current_a): (Option<f32>, Option<f32>),
    ledger: &mut Ledger,
) {
    let (settings, frame, context) = (scene.settings, scene.frame, scene.context);
    let fitted = &settings.fitted;
    let alone = |value, limit| Finding { place: None, value, limit };
    ledger.report(Diagnosis::InterlockOpen, (!frame.interlock_closed).then_some(alone(0.0, 1.0)));
    if let Some(sum_v) = sum_v {
        let dangerous = sum_v > SAFE_TO_TOUCH_V;
        if scene.usable.insulation && frame.insulation_ohm >= 0.0 {
            let ids = [Diagnosis::InsulationWarning, Diagnosis::InsulationFatal];
            for (id, limit) in ids.into_iter().zip(settings.insulation_ohm_per_v) {
                let value = frame.insulation_ohm / sum_v;
                ledger.report(id, (dangerous && value < limit).then_some(alone(value, limit)));
            }
        }
        if fitted.link_voltage && frame.fused_voltage_v.is_finite() {
            let (value, limit) = (frame.fused_voltage_v - sum_v, FUSE_SHARE * sum_v);
            let blown = dangerous && (value > limit || -value > limit);
            ledger.report(Diagnosis::FuseBlown, blown.then_some(alone(frame.fused_voltage_v, sum_v)));
        }
    }
    if !context.charging {
        ledger.report(Diagnosis::ChargerIgnoresLimit, None);
    } else if let Some(current_a) = current_a {
        let asked_a = context.asked_charge_a.min(context.allowed_charge_a).max(0.0);
        let limit = (1.0 + CHARGER_SHARE) * asked_a + 2.0 * scene.current_error_a();
        let ignores = -current_a > limit;
        ledger.report(Diagnosis::ChargerIgnoresLimit, ignores.then_some(alone(-current_a, limit)));
    }
    if fitted.flow {
        let (value, limit) = (frame.flow_l_per_min, FLOWING_SHARE * context.asked_flow_l_per_min);
        // A flow meter that says nothing cannot show that coolant flows.
        let flows = value.is_finite() && value >= limit;
        let lost = context.asked_flow_l_per_min > ASKED_L_PER_MIN && !flows;
        ledger.report(Diagnosis::CoolantLost, lost.then_some(alone(value, limit)));
    }
    if fitted.heater_power && frame.heater_w.is_finite() {
        let (value, limit) = (frame.heater_w, HEATER_SHARE * context.asked_heater_w.max(0.0) + HEATER_W);
        ledger.report(Diagnosis::HeaterStuck, (value > limit).then_some(alone(value, limit)));
    }
}
