//! The reference state of charge of a run: what every estimate is scored against.
//!
//! A simulated run carries its truth. A measured run has none; its reference is the charge that the cycler counted,
//! over one capacity, from a start that the test programme fixes:
//!
//! ```text
//! soc(t) = start − (charge taken out since the first sample) / Q
//! ```
//!
//! How far such a reference may be off, beside the few tenths of a percent of a good cycler:
//!
//! | Set | Start | Q | Uncertainty |
//! |---|---|---|---|
//! | simulated runs | column `soc_true` | – | none |
//! | `plett_esc` | full | all that came out until empty at 25 degC in the same test | below 0.5 points |
//! | `lg_18650hg2` | full before each drive | C/20 at 25 degC, first in the campaign | ±1 to 1.5 points: the recharge exceeds the discharge by 0.7–0.9 %, and the cell fades during the campaign |
//! | `panasonic_ncr18650pf` | full before each drive | C/20 at 25 degC, dated ([`dated_ah`]) | ±1.5 points: the cell fades from 2.99 Ah to about 2.7 Ah within the campaign |

use std::fmt;

use crate::data::{DataError, Dataset, DatasetFile, Run};

/// The reference of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// State of charge at every sample, fraction.
    pub soc: Vec<f64>,
    /// Where it comes from.
    pub basis: Basis,
}

/// Where a reference comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    /// A column of the run: the truth of a simulation, or the source's own reference.
    Column,
    /// The cycler's charge counter.
    Counter {
        /// SOC at the first sample.
        start_soc: f64,
        /// Capacity in Ah.
        capacity_ah: f64,
    },
    /// The currents of the run, summed: the mean currents where the run has them, else the trapezoid over the samples.
    Current {
        /// SOC at the first sample.
        start_soc: f64,
        /// Capacity in Ah.
        capacity_ah: f64,
    },
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column => write!(f, "the SOC column of the run"),
            Self::Counter { start_soc, capacity_ah } => {
                write!(f, "the cycler's charge counter over {capacity_ah:.4} Ah from SOC {start_soc:.3}")
            }
            Self::Current { start_soc, capacity_ah } => {
                write!(f, "the summed current over {capacity_ah:.4} Ah from SOC {start_soc:.3}")
            }
        }
    }
}

/// The reference of a run: its own SOC column, else counted from `start_soc` over `capacity_ah`.
#[must_use]
pub fn of_run(run: &Run, start_soc: f64, capacity_ah: f64) -> Reference {
    if let Some(soc) = &run.soc_true {
        return Reference { soc: soc.clone(), basis: Basis::Column };
    }
    let soc = run.discharged_ah().iter().map(|ah| start_soc - ah / capacity_ah).collect();
    let basis = if run.net_charge_ah.is_some() {
        Basis::Counter { start_soc, capacity_ah }
    } else {
        Basis::Current { start_soc, capacity_ah }
    };
    Reference { soc, basis }
}

/// The SOC at which a run of a data set starts: as the description says, else full.
#[must_use]
pub fn start_soc(file: &DatasetFile) -> f64 {
    file.start_soc_pct.map_or(1.0, |percent| percent / 100.0)
}

/// The charge that one test took out of a full cell until it was empty at 25 degC, where the test goes on in a second
/// file of kind `calibration` (`…_s1`, then `…_s2`): an exact capacity for the reference of the first.
///
/// # Errors
/// If one of the two files cannot be read.
pub fn full_to_empty_ah(set: &Dataset, first: &DatasetFile) -> Result<Option<f64>, DataError> {
    let Some(rest) = first.file.rfind("_s1").map(|at| {
        let (head, tail) = first.file.split_at(at);
        format!("{head}_s2{}", &tail[3..])
    }) else {
        return Ok(None);
    };
    let Some(second) = set.files.iter().find(|f| f.file == rest && f.kind.as_deref() == Some("calibration"))
    else {
        return Ok(None);
    };
    let mut total = 0.0;
    for file in [first, second] {
        for run in set.runs(file)? {
            total += run.discharged_ah().last().copied().unwrap_or_default();
        }
    }
    Ok((total > 0.0).then_some(total))
}

/// Measured cells that fade within their campaign: name of the set, then date and capacity (Ah) of its C/20 figures,
/// as the description of the data gives them.
const FADING: [(&str, [(&str, f64); 2]); 1] =
    [("panasonic_ncr18650pf", [("2017-05-08", 2.9949), ("2017-06-24", 2.7)])];

/// Capacity in Ah on the day of a test, for sets that are known to fade within the campaign: straight between the dated
/// figures, constant outside. `None` for other sets and for files without a date.
#[must_use]
pub fn dated_ah(set: &Dataset, file: &DatasetFile) -> Option<f64> {
    let (_, [(first, q0), (last, q1)]) = FADING.iter().find(|(name, _)| set.name.ends_with(name))?;
    let (day, first, last) = (day_number(file.start.as_deref()?)?, day_number(first)?, day_number(last)?);
    Some(q0 + (q1 - q0) * ((day - first) / (last - first)).clamp(0.0, 1.0))
}

/// Days since 1970-01-01 of a text that begins with YYYY-MM-DD (proleptic Gregorian calendar).
fn day_number(text: &str) -> Option<f64> {
    let mut parts = text.get(..10)?.split('-').map(str::parse::<i64>);
    let (Some(Ok(year)), Some(Ok(month @ 1..=12)), Some(Ok(day))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    // Years that begin in March put the leap day at their end.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year;
    Some((days - 719_468) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted() {
        assert_eq!(day_number("1970-01-01T00:00:00"), Some(0.0));
        assert_eq!(day_number("2000-03-01"), Some(11_017.0));
        assert_eq!(day_number("2017-06-24T04:29:00"), Some(17_341.0));
        assert_eq!(day_number("24.06.2017 "), None);
    }

    #[test]
    fn the_best_source_wins() {
        let mut run = Run {
            time_s: vec![0.0, 3600.0],
            voltage_v: vec![4.0, 3.9],
            current_a: vec![1.0, 1.0],
            ..Run::default()
        };
        let counted = of_run(&run, 1.0, 2.0);
        assert_eq!(counted.soc, [1.0, 0.5]);
        assert_eq!(counted.basis, Basis::Current { start_soc: 1.0, capacity_ah: 2.0 });
        run.net_charge_ah = Some(vec![0.2, -0.6]);
        assert_eq!(of_run(&run, 0.8, 2.0).soc, [0.8, 0.4]);
        run.soc_true = Some(vec![0.7, 0.1]);
        assert_eq!(of_run(&run, 0.8, 2.0), Reference { soc: vec![0.7, 0.1], basis: Basis::Column });
    }
}
