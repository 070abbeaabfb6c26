//! The controller itself: its time, its memory, and what other modules found out about the pack.

use super::Scene;
use crate::math::abs;
use crate::measurement::Reading;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::table::Diagnosis;

/// A step that comes so many times later than it should is answered.
const OVERRUN: u32 = 3;
/// Standard deviation of the state of charge (fraction) that full power does not go with.
const SOC_STD: f32 = 0.10;
/// The cells' states of charge surely differ by what is left of the difference after so many standard deviations.
const SURE: f32 = 3.0;

/// Cells that differ by more than so many times the allowed error of their voltages do not differ by the sensors alone …
const SHOWS: f32 = 3.0;
/// … nor by their resistances, below this current in times of the capacity per hour.
const QUIET_PER_H: f32 = 0.2;

/// Highest voltage minus lowest, of those that are seen; below 0 if none is.
fn differs(cell_voltage_v: &[Reading]) -> f32 {
    let seen = cell_voltage_v.iter().filter_map(|v| v.valid());
    let (lo, hi) = seen.fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (v.min(lo), v.max(hi)));
    hi - lo
}

pub(super) fn check<const N: usize, const S: usize>(
    scene: &Scene<'_, N, S>,
    board_c: Reading,
    (cell_voltage_v, current_a): (&[Reading], Option<f32>),
    ledger: &mut Ledger,
) {
    let (settings, context) = (scene.settings, scene.context);
    let (dt_ms, period_ms) = (u32::from(scene.dt_ms), u32::from(settings.period_ms));
    let alone = |value, limit| Finding { place: None, value, limit };
    let late = alone(1e3 * scene.dt_s, f32::from(settings.period_ms));
    ledger.report(Diagnosis::TaskLate, (dt_ms > period_ms).then_some(late));
    ledger.report(Diagnosis::TaskOverrun, (dt_ms > OVERRUN * period_ms).then_some(late));
    let flags = [
        (Diagnosis::MemoryCorrupt, !context.memory_sound),
        (Diagnosis::StoreDamaged, context.store_damaged),
        (Diagnosis::SelfTestFailed, !context.self_test_passed),
    ];
    for (id, wrong) in flags {
        ledger.report(id, wrong.then_some(alone(1.0, 0.0)));
    }
    let leaky = context.leaky.map(|l| Finding { place: Some(l.cell), value: l.per_month, limit: l.limit });
    ledger.report(Diagnosis::LeakyCell, leaky);
    let [spread, std] = context.soc_spread;
    // What is not sure does not count. The two ends are chosen among many cells: each is likely to be an error's end, too.
    let surely = spread - SURE * std;
    if surely.is_finite() {
        let shows = differs(cell_voltage_v) > SHOWS * settings.grade.cell_voltage_v
            && current_a.is_some_and(|a| abs(a) < QUIET_PER_H * settings.capacity_ah);
        let ids = [Diagnosis::ImbalanceInformation, Diagnosis::ImbalanceWarning];
        for (id, limit) in ids.into_iter().zip(settings.imbalance) {
            // Where no voltage shows it, an estimate is no finding; what was found before stays.
            if surely <= limit {
                ledger.report(id, None);
            } else if shows {
                ledger.report(id, Some(alone(surely, limit)));
            }
        }
    }
    let uncertain = !context.soc_std.is_finite() || context.soc_std > SOC_STD;
    ledger.report(Diagnosis::SocUncertain, uncertain.then_some(alone(context.soc_std, SOC_STD)));
    if let Some(value) = board_c.valid() {
        let limit = settings.board_hot_c;
        ledger.report(Diagnosis::BoardHot, (value > limit).then_some(alone(value, limit)));
    }
}
