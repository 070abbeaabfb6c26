//! Voltages of the cells against their limits.

use crate::measurement::Reading;
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::settings::{Levels, SafetySettings};
use crate::safety::table::Diagnosis;

const HIGH: [Diagnosis; 3] = [
    Diagnosis::CellVoltageHighInformation,
    Diagnosis::CellVoltageHighWarning,
    Diagnosis::CellVoltageHighFatal,
];
const LOW: [Diagnosis; 3] =
    [Diagnosis::CellVoltageLowInformation, Diagnosis::CellVoltageLowWarning, Diagnosis::CellVoltageLowFatal];

/// Three levels of one quantity; `over` is by how much a value is beyond a limit, in the direction that is bad.
pub(super) fn report_levels(
    ledger: &mut Ledger,
    ids: [Diagnosis; 3],
    levels: Levels,
    (place, value): (Option<u16>, f32),
    beyond: fn(f32, f32) -> bool,
) {
    for (id, limit) in ids.into_iter().zip([levels.information, levels.warning, levels.fatal]) {
        ledger.report(id, beyond(value, limit).then_some(Finding { place, value, limit }));
    }
}

/// The highest and the lowest cell; nothing is reported if no cell can be seen.
pub(super) fn check(settings: &SafetySettings, cell_voltage_v: &[Reading], ledger: &mut Ledger) {
    let (mut highest, mut lowest) = (None, None);
    for (place, v) in (0_u16..).zip(cell_voltage_v) {
        let Some(v) = v.valid() else { continue };
        if highest.is_none_or(|(_, most)| v > most) {
            highest = Some((Some(place), v));
        }
        if lowest.is_none_or(|(_, least)| v < least) {
            lowest = Some((Some(place), v));
        }
    }
    if let Some(highest) = highest {
        report_levels(ledger, HIGH, settings.cell_high_v, highest, |v, limit| v > limit);
    }
    if let Some((place, value)) = lowest {
        report_levels(ledger, LOW, settings.cell_low_v, (place, value), |v, limit| v < limit);
        let limit = settings.deep_discharge_v;
        ledger.report(Diagnosis::DeepDischarge, (value < limit).then_some(Finding { place, value, limit }));
    }
}
