//! Open-circuit voltage from slow constant-current tests.
//!
//! A cell is discharged and charged at C/20 or slower. At the same SOC the two voltages lie `M + I R` either side of
//! the mean open-circuit voltage (`M` half the hysteresis gap, `R` the total resistance), so that their mean is free of
//! both (Plett 2015, "Battery Management Systems, Volume I", ch. 2.8).

use super::{IdentifyError, round};
use crate::data::Run;

/// Columns of the open-circuit tables: SOC 0..=1 in steps of 1 %.
pub const OCV_COLUMNS: usize = 101;

/// Runs slower than this (C-rate) count as open-circuit tests.
const SLOWEST_C: f64 = 1.0 / 7.0;

/// The runs of one open-circuit test, in the order in which they were made.
#[derive(Debug, Clone)]
pub struct OcvTest {
    /// Test temperature in degC.
    pub temperature_c: f64,
    /// The runs.
    pub runs: Vec<Run>,
}

/// What one open-circuit test says.
#[derive(Debug, Clone)]
pub struct OcvCurves {
    /// Test temperature in degC.
    pub temperature_c: f64,
    /// Charge from full to empty in Ah.
    pub capacity_ah: f64,
    /// Discharge current in A.
    pub current_a: f64,
    /// Mean of the branches in V at [`OCV_COLUMNS`] SOCs.
    pub mean_v: Vec<f64>,
    /// Half the distance between the branches in V, including the voltage drop at the test current.
    pub half_gap_v: Vec<f64>,
    /// Whether both directions were measured.
    pub both_directions: bool,
}

/// One direction of a slow test: SOC and voltage.
struct Branch {
    charge_ah: f64,
    current_a: f64,
    points: Vec<(f64, f64)>,
}

impl Branch {
    /// Voltage of the last tenth of the points minus that of the first tenth.
    fn rise_v(&self) -> Option<f64> {
        let tenth = (self.points.len() / 10).max(1);
        let mean = |points: &[(f64, f64)]| points.iter().map(|p| p.1).sum::<f64>() / tenth as f64;
        Some(
            mean(self.points.get(self.points.len().checked_sub(tenth)?..)?) - mean(self.points.get(..tenth)?),
        )
    }
}

/// Reads the curves from a test; `reference_ah` is the capacity that defines SOC (the test's own if `None`).
///
/// # Errors
/// If no slow discharge of at least half the nominal capacity is in it, or the voltage moves against the current.
pub fn curves(
    test: &OcvTest,
    nominal_ah: f64,
    reference_ah: Option<f64>,
) -> Result<OcvCurves, IdentifyError> {
    let names = || test.runs.iter().map(|r| r.source.as_str()).collect::<Vec<_>>().join(", ");
    // Charge removed since the first sample, counted on through all runs.
    let mut offset = 0.0;
    let mut deepest: f64 = 0.0;
    let mut total_charged = 0.0;
    let mut discharge: Option<Branch> = None;
    let mut charge: Option<Branch> = None;
    for run in &test.runs {
        let removed: Vec<f64> = run.discharged_ah().iter().map(|q| q + offset).collect();
        for pair in removed.windows(2) {
            total_charged += (pair[0] - pair[1]).max(0.0);
        }
        deepest = removed.iter().copied().fold(deepest, f64::max);
        for (sign, block) in blocks(run, nominal_ah) {
            let (Some(&first), Some(&last)) = (removed.get(block.start), removed.get(block.end - 1)) else {
                continue;
            };
            let amount = (last - first).abs();
            let mut currents: Vec<f64> = run.current_a[block.clone()].iter().map(|i| i.abs()).collect();
            currents.sort_by(f64::total_cmp);
            let median = currents[currents.len() / 2];
            if median > SLOWEST_C * nominal_ah {
                continue;
            }
            let slot = if sign > 0.0 { &mut discharge } else { &mut charge };
            if slot.as_ref().is_none_or(|b| amount > b.charge_ah) {
                let points = block
                    .filter(|&k| run.current_a[k].abs() > 0.8 * median)
                    .map(|k| (removed[k], run.voltage_v[k]))
                    .collect();
                *slot = Some(Branch { charge_ah: amount, current_a: median, points });
            }
        }
        offset = removed.last().copied().unwrap_or(offset);
    }
    for (branch, sign) in [(&discharge, -1.0), (&charge, 1.0)] {
        let Some(rise) = branch.as_ref().filter(|b| b.charge_ah > 0.3 * nominal_ah).and_then(Branch::rise_v)
        else {
            continue;
        };
        if sign * rise < -0.05 {
            let (way, wrong) = if sign < 0.0 { ("discharge", "rise") } else { ("charge", "fall") };
            return Err(IdentifyError::Nonsense {
                what: format!("{wrong} of the voltage during the slow {way} in V"),
                value: round(rise.abs(), 1e-3),
                files: names(),
            });
        }
    }
    let (mut discharge, charge) = match (discharge, charge) {
        (Some(d), c) if d.charge_ah > 0.5 * nominal_ah => (d, c.filter(|c| c.charge_ah > 0.5 * nominal_ah)),
        _ => return Err(IdentifyError::NoSlowDischarge { files: names() }),
    };
    let capacity_ah = deepest;
    let q = reference_ah.unwrap_or(capacity_ah);
    for p in &mut discharge.points {
        p.0 = 1.0 - p.0 / q;
    }
    discharge.points.reverse();
    let dis = smooth(&discharge.points);
    let both_directions = charge.is_some();
    let chg = charge.map(|mut c| {
        let scale = charge_scale(test, &dis, deepest, total_charged);
        for p in &mut c.points {
            p.0 = 1.0 - (deepest - (deepest - p.0) * scale) / q;
        }
        smooth(&c.points)
    });
    let lowest = discharge.points.first().map_or(0.0, |p| p.0);
    let mut mean_v = vec![0.0; OCV_COLUMNS];
    let mut half_gap_v = vec![0.0; OCV_COLUMNS];
    let highest_charged = chg.as_ref().and_then(|c| c.iter().rposition(Option::is_some)).unwrap_or(0);
    let gap_at = |k: usize| -> Option<f64> {
        let (d, c) = (dis[k]?, chg.as_ref()?[k]?);
        Some((0.5 * (c - d)).max(0.0))
    };
    // The first percents after each turn hold the relaxation of the turn, not the branch.
    let inner: Vec<usize> = (0..OCV_COLUMNS)
        .filter(|&k| {
            let z = soc(k);
            z > lowest.max(0.0) + 0.08 && z < 0.97 && k < highest_charged && gap_at(k).is_some()
        })
        .collect();
    for k in 0..OCV_COLUMNS {
        let nearest = inner.iter().min_by_key(|&&j| j.abs_diff(k));
        let gap = nearest.and_then(|&j| gap_at(j)).unwrap_or(0.0);
        half_gap_v[k] = gap;
        mean_v[k] = match (dis[k], chg.as_ref().and_then(|c| c[k])) {
            (Some(d), Some(c)) if inner.binary_search(&k).is_ok() => 0.5 * (d + c),
            (Some(d), _) => d + gap,
            (None, Some(c)) => c - gap,
            (None, None) => f64::NAN,
        };
    }
    fill_ends(&mut mean_v);
    make_rising(&mut mean_v);
    Ok(OcvCurves {
        temperature_c: test.temperature_c,
        capacity_ah,
        current_a: discharge.current_a,
        mean_v,
        half_gap_v,
        both_directions,
    })
}

/// What the charge counts of the charge branch have to be multiplied with to end where the cell ended.
///
/// At C/20 the offset of a large cycler channel is worth several percent of charge, with opposite signs in the two
/// directions; side reactions add to it. The voltage at the end of the test says how full the cell really was.
fn charge_scale(test: &OcvTest, dis: &[Option<f64>], deepest_ah: f64, charged_ah: f64) -> f64 {
    let first = test.runs.first().and_then(|r| r.voltage_v.first());
    let last = test.runs.last().and_then(|r| r.voltage_v.last());
    let (Some(&before), Some(&after)) = (first, last) else { return 1.0 };
    let end = if after >= before - 0.003 {
        1.0
    } else {
        (0..OCV_COLUMNS).rev().find(|&k| dis[k].is_some_and(|v| v <= after)).map_or(1.0, soc)
    };
    (deepest_ah * end / charged_ah.max(1e-9)).clamp(0.8, 1.2)
}

/// SOC of a column.
#[must_use]
pub fn soc(column: usize) -> f64 {
    column as f64 / (OCV_COLUMNS - 1) as f64
}

/// Value of a table over SOC 0..=1, straight between columns and beyond the ends.
#[must_use]
pub fn at(table: &[f64], soc: f64) -> f64 {
    let last = table.len() - 2;
    let x = soc * (table.len() - 1) as f64;
    let k = (x.max(0.0) as usize).min(last);
    table[k] + (table[k + 1] - table[k]) * (x - k as f64)
}

/// Contiguous stretches of one sign of current.
fn blocks(run: &Run, nominal_ah: f64) -> Vec<(f64, std::ops::Range<usize>)> {
    let class = |i: f64| if i.abs() < 1e-3 * nominal_ah { 0.0 } else { i.signum() };
    let mut found = Vec::new();
    let mut start = 0;
    for k in 1..=run.len() {
        if k == run.len() || class(run.current_a[k]) != class(run.current_a[start]) {
            let sign = class(run.current_a[start]);
            if sign != 0.0 && k - start > 20 {
                found.push((sign, start..k));
            }
            start = k;
        }
    }
    found
}

/// Voltage at every column by a local straight line through the points within 0.7 % of SOC; `None` outside the points.
fn smooth(points: &[(f64, f64)]) -> Vec<Option<f64>> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return vec![None; OCV_COLUMNS] };
    (0..OCV_COLUMNS)
        .map(|k| {
            let z = soc(k);
            if z < first.0 - 0.002 || z > last.0 + 0.002 {
                return None;
            }
            let lo = points.partition_point(|p| p.0 < z - 0.007);
            let hi = points.partition_point(|p| p.0 <= z + 0.007);
            let window = &points[lo..hi];
            let n = window.len() as f64;
            let mx = window.iter().map(|p| p.0).sum::<f64>() / n;
            let my = window.iter().map(|p| p.1).sum::<f64>() / n;
            let sxx: f64 = window.iter().map(|p| (p.0 - mx).powi(2)).sum();
            let sxy: f64 = window.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
            if window.len() >= 3 && sxx > 1e-9 {
                return Some(my + sxy / sxx * (z - mx));
            }
            let j = points.partition_point(|p| p.0 < z).clamp(1, points.len() - 1);
            let (a, b) = (points[j - 1], points[j]);
            let f = if b.0 > a.0 { ((z - a.0) / (b.0 - a.0)).clamp(0.0, 1.0) } else { 0.0 };
            Some(a.1 + (b.1 - a.1) * f)
        })
        .collect()
}

/// Continues a curve in a straight line where nothing was measured.
fn fill_ends(curve: &mut [f64]) {
    let Some(first) = curve.iter().position(|v| v.is_finite()) else { return };
    let last = curve.iter().rposition(|v| v.is_finite()).unwrap_or(first);
    let slope_low = if last > first + 2 { (curve[first + 2] - curve[first]) / 2.0 } else { 0.0 };
    for k in (0..first).rev() {
        curve[k] = curve[k + 1] - slope_low.max(0.0);
    }
    let slope_high = if last > first + 2 { (curve[last] - curve[last - 2]) / 2.0 } else { 0.0 };
    for k in last + 1..curve.len() {
        curve[k] = curve[k - 1] + slope_high.max(0.0);
    }
}

/// Makes a curve rise strictly (by pooling neighbours that do not, then a hair of slope).
pub fn make_rising(curve: &mut [f64]) {
    // Pool adjacent violators: the least-squares rising curve (Barlow et al. 1972).
    let mut pools: Vec<(f64, usize)> = Vec::with_capacity(curve.len());
    for &v in curve.iter() {
        pools.push((v, 1));
        while let [.., a, b] = pools[..] {
            if a.0 <= b.0 {
                break;
            }
            pools.truncate(pools.len() - 2);
            let n = a.1 + b.1;
            pools.push(((a.0 * a.1 as f64 + b.0 * b.1 as f64) / n as f64, n));
        }
    }
    let mut k = 0;
    for (v, n) in pools {
        for _ in 0..n {
            curve[k] = v + 1e-5 * k as f64;
            k += 1;
        }
    }
}
