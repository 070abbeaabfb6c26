//! How the open-circuit voltage moves with age, from slow tests of aged cells of the same type.

use super::ocv::{self, OcvCurves};
use super::plan::Plan;
use super::round;
use crate::cell_file::AgeingTables;

/// Less lost capacity than this tells nothing about ageing.
const LEAST_FADE: f64 = 0.02;
/// Tests closer together than this are averaged.
const SAME_FADE: f64 = 0.02;
/// A test further than this from the reference temperature is not comparable with it, in K.
const SAME_TEMPERATURE_K: f64 = 5.0;

/// The shift of the curve against the new cell's, one row per age; `None` if no aged cell was tested.
pub(super) fn tables(
    plan: &Plan,
    nominal_ah: f64,
    new: &OcvCurves,
    warnings: &mut Vec<String>,
) -> Option<AgeingTables> {
    let mut rows: Vec<(f64, Vec<f64>, f64)> = Vec::new();
    for test in &plan.aged {
        let name = test.runs.first().map_or("", |r| r.source.as_str());
        if (test.temperature_c - new.temperature_c).abs() > SAME_TEMPERATURE_K {
            warnings.push(format!(
                "{name}: not at the temperature of the new cell's open-circuit test, not used"
            ));
            continue;
        }
        let aged = match ocv::curves(test, nominal_ah, None) {
            Ok(curves) => curves,
            Err(error) => {
                warnings.push(format!("{name}: tells nothing about ageing: {error}"));
                continue;
            }
        };
        let fade = 1.0 - aged.capacity_ah / new.capacity_ah;
        if !(LEAST_FADE..0.9).contains(&fade) {
            warnings.push(format!(
                "{name}: {:.1} % of the capacity lost tells nothing about ageing",
                100.0 * fade
            ));
            continue;
        }
        let shift = aged.mean_v.iter().zip(&new.mean_v).map(|(a, n)| a - n);
        match rows.iter_mut().find(|(f, ..)| (*f - fade).abs() < SAME_FADE) {
            Some((f, mean, count)) => {
                *count += 1.0;
                *f += (fade - *f) / *count;
                mean.iter_mut().zip(shift).for_each(|(m, s)| *m += (s - *m) / *count);
            }
            None => rows.push((fade, shift.collect(), 1.0)),
        }
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    (!rows.is_empty()).then(|| AgeingTables {
        fade: rows.iter().map(|r| round(r.0, 1e-4)).collect(),
        shift_v: rows.iter().map(|r| r.1.iter().map(|v| round(*v, 1e-5)).collect()).collect(),
    })
}
