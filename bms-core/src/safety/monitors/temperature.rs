//! Temperatures against their limits, by the direction of the current; how far they are apart and how fast they rise.

use super::Scene;
use super::cells::report_levels;
use super::senses::temperature::Warmth;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::settings::Levels;
use crate::safety::table::Diagnosis;

/// A current flows in a direction above this many times its allowed error.
const FLOWS: f32 = 1.25;

const DISCHARGE_HOT: [Diagnosis; 3] =
    [Diagnosis::DischargeHotInformation, Diagnosis::DischargeHotWarning, Diagnosis::DischargeHotFatal];
const DISCHARGE_COLD: [Diagnosis; 3] =
    [Diagnosis::DischargeColdInformation, Diagnosis::DischargeColdWarning, Diagnosis::DischargeColdFatal];
const CHARGE_HOT: [Diagnosis; 3] =
    [Diagnosis::ChargeHotInformation, Diagnosis::ChargeHotWarning, Diagnosis::ChargeHotFatal];
const CHARGE_COLD: [Diagnosis; 3] =
    [Diagnosis::ChargeColdInformation, Diagnosis::ChargeColdWarning, Diagnosis::ChargeColdFatal];
const SPREAD: [Diagnosis; 3] = [
    Diagnosis::TemperatureSpreadInformation,
    Diagnosis::TemperatureSpreadWarning,
    Diagnosis::TemperatureSpreadFatal,
];

/// Information and warning count always, fatal only where the direction is used: a pack that is parked in the cold is
/// derated and does not trip. Heat counts as soon as the pack is asked for. Without a current reading every direction counts as used once contactors are closed.
pub(super) fn check<const N: usize, const S: usize>(
    scene: &Scene<'_, N, S>,
    all: &[Warmth; S],
    current_a: Option<f32>,
    ledger: &mut Ledger,
) {
    let (settings, context) = (scene.settings, scene.context);
    let (mut hottest, mut coldest) = (None, None);
    let (mut fastest, mut steepest) = ((None, 0.0), (None, 0.0));
    for (place, warmth) in (0_u16..).zip(all) {
        if warmth.fast_k_per_s > fastest.1 {
            fastest = (Some(place), warmth.fast_k_per_s);
        }
        if warmth.slow_k_per_s > steepest.1 {
            steepest = (Some(place), warmth.slow_k_per_s);
        }
        let Some(c) = warmth.at_limits.valid() else { continue };
        if hottest.is_none_or(|(_, most)| c > most) {
            hottest = Some((Some(place), c));
        }
        if coldest.is_none_or(|(_, least)| c < least) {
            coldest = Some((Some(place), c));
        }
    }
    let (Some(hottest), Some(coldest)) = (hottest, coldest) else { return };

    let closed = context.told_closed.contains(&true);
    let band_a = FLOWS * scene.current_error_a();
    let charging = context.charging && context.asked_charge_a > 0.0;
    let (discharges, charges) = match current_a {
        Some(a) => (a > band_a, a < -band_a || charging),
        None => (closed, closed),
    };
    let above = |v: f32, limit: f32| v > limit;
    let below = |v: f32, limit: f32| v < limit;
    let used = |levels: Levels, used: bool, never: f32| Levels {
        fatal: if used { levels.fatal } else { never },
        ..levels
    };
    let (hot, cold) = (f32::INFINITY, f32::NEG_INFINITY);
    // Hot and connected is one step away from hot and loaded; hot and asked for must not become that.
    let levels = used(settings.discharge_hot_c, discharges || closed || context.wanted, hot);
    report_levels(ledger, DISCHARGE_HOT, levels, hottest, above);
    report_levels(ledger, CHARGE_HOT, used(settings.charge_hot_c, charges, hot), hottest, above);
    report_levels(ledger, DISCHARGE_COLD, used(settings.discharge_cold_c, discharges, cold), coldest, below);
    report_levels(ledger, CHARGE_COLD, used(settings.charge_cold_c, charges, cold), coldest, below);
    report_levels(ledger, SPREAD, settings.spread_k, (hottest.0, hottest.1 - coldest.1), above);

    let [warning, fatal] = settings.rise_k_per_s;
    let rises = [
        (Diagnosis::TemperatureRiseWarning, steepest, warning),
        (Diagnosis::TemperatureRiseFatal, fastest, fatal),
    ];
    for (id, (place, value), limit) in rises {
        ledger.report(id, (value > limit).then_some(Finding { place, value, limit }));
    }
}
