//! The plain-text table for the terminal.

use std::fmt::Write as _;

use super::aggregate::{Aggregate, Estimator, dataset_label, group_by, temperature_key};
use super::condition::condition;
use crate::results::{Case, Results, TARGET_POINTS};

/// Longest data set name before it is shortened.
const NAME: usize = 22;

/// One line per data set, ambient temperature and condition group, a total, and what the recorded bounds say. Plants,
/// which have many temperatures, get one line for all of them.
///
/// Maximum and 99th percentile are the largest of the group; RMSE and coverage are over all its scored hours. Fits into
/// 110 columns.
pub fn summary_table(results: &Results) -> String {
    let mut groups: Vec<_> = group_by(&results.cases, |c| {
        (dataset_label(c), (!c.plant).then(|| temperature_key(c)), condition(c))
    })
    .into_iter()
    .collect();
    groups.sort_by_key(|((dataset, temperature, condition), _)| (dataset.clone(), *condition, *temperature));
    let width = groups.iter().map(|((d, _, _), _)| d.chars().count()).max().unwrap_or(0).clamp(8, NAME);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:width$} {:>4} {:14} {:>4} | {:^23} | {:^11} | {:^11} | target",
        "", "", "", "", "BMS", "Coulomb cnt", "Textb. EKF"
    );
    let _ = writeln!(
        out,
        "{:width$} {:>4} {:14} {:>4} | {:>5} {:>5} {:>5} {:>5} | {:>5} {:>5} | {:>5} {:>5} | met",
        "data set", "degC", "condition", "runs", "max", "p99", "RMSE", "cov%", "max", "RMSE", "max", "RMSE"
    );
    let rule = "-".repeat(width + 4 + 14 + 4 + 3 + 3 + 23 + 3 + 11 + 3 + 11 + 3 + 7);
    let _ = writeln!(out, "{rule}");
    for ((dataset, temperature, condition), cases) in &groups {
        line(
            &mut out,
            width,
            &shorten(dataset, width),
            &temperature.map_or_else(|| "all".into(), |t| t.to_string()),
            condition.short_label(),
            cases,
        );
    }
    let _ = writeln!(out, "{rule}");
    line(&mut out, width, "all", "", "", &results.cases.iter().collect::<Vec<_>>());
    let _ = writeln!(
        out,
        "Errors in points of SOC (max and p99: worst run; RMSE and coverage: all scored hours). Target: max <= {TARGET_POINTS}."
    );
    out + &bounds_table(results)
}

/// How many bounds hold, and those that do not.
#[must_use]
pub fn bounds_table(results: &Results) -> String {
    let mut out = String::new();
    let broken: Vec<_> = results.bounds.iter().filter(|b| !b.ok).collect();
    if results.bounds.is_empty() {
        let _ = writeln!(out, "No recorded bounds.");
    } else {
        let _ = writeln!(
            out,
            "Recorded bounds: {} of {} hold.",
            results.bounds.len() - broken.len(),
            results.bounds.len()
        );
    }
    for b in broken {
        let _ = writeln!(
            out,
            "  BROKEN {}: reached {}, bound {} {}",
            b.name,
            value(Some(b.value)),
            value(Some(b.bound)),
            b.unit
        );
    }
    out
}

fn line(out: &mut String, width: usize, dataset: &str, temperature: &str, condition: &str, cases: &[&Case]) {
    let [bms, counter, ekf] = Estimator::ALL.map(|e| Aggregate::of(cases, e));
    let coverage =
        bms.coverage.map_or_else(|| "-".into(), |c| format!("{:.1}", (c * 1000.0 + 1e-6).floor() / 10.0));
    let _ = writeln!(
        out,
        "{dataset:width$} {temperature:>4} {condition:14} {:>4} | {:>5} {:>5} {:>5} {coverage:>5} | {:>5} {:>5} | {:>5} {:>5} | {}/{}",
        bms.runs,
        value(bms.worst_max),
        value(bms.worst_p99),
        value(bms.rmse),
        value(counter.worst_max),
        value(counter.rmse),
        value(ekf.worst_max),
        value(ekf.rmse),
        bms.met,
        bms.runs,
    );
}

/// At most five characters for anything below 10000.
fn value(v: Option<f64>) -> String {
    match v {
        Some(v) if v.is_finite() && v.abs() < 100.0 => format!("{v:.2}"),
        Some(v) if v.is_finite() => format!("{v:.0}"),
        _ => "n/a".into(),
    }
}

/// Keeps both ends of a long name.
fn shorten(name: &str, width: usize) -> String {
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= width {
        return name.into();
    }
    let tail = (width - 1) * 2 / 3;
    let head = width - 1 - tail;
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}
