//! Errors of the state of power as the acceptance protocol counts them.

use serde::{Deserialize, Serialize};

/// Below this share of the rated value an error is absolute, against this share of it.
const SMALL: f64 = 0.1;

/// One limit of one cell at one moment: what it was, and what the core said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SopCase {
    /// The plant or the recorded set.
    pub set: String,
    /// State of health, 1 for a new cell.
    pub soh: f64,
    /// Ambient temperature in degC.
    pub ambient_c: f64,
    /// True SOC (fraction).
    pub soc: f64,
    /// Whether the cell had rested; otherwise it comes straight from a drive.
    pub rested: bool,
    /// Whether it discharges; otherwise it charges.
    pub discharge: bool,
    /// Horizon in s.
    pub horizon_s: f64,
    /// Whether the values are powers in W; otherwise they are currents in A.
    pub power: bool,
    /// Largest load of the plant.
    pub truth: f64,
    /// What ends it.
    pub truth_by: String,
    /// The core's best estimate.
    pub best: f64,
    /// What ends it.
    pub best_by: String,
    /// The core's safe value.
    pub safe: f64,
    /// What a share of 10 % refers to: the truth at 25 degC and 50 % SOC of the new, rested cell.
    pub rated: f64,
    /// SOC as estimated less the true one.
    pub soc_error: f64,
    /// Estimated factor on the resistances.
    pub resistance_scale: f64,
}

impl SopCase {
    fn error_of(&self, estimate: f64) -> f64 {
        100.0 * (estimate - self.truth) / self.truth.max(SMALL * self.rated)
    }

    /// Error of the best estimate in percent, positive where it promises too much.
    #[must_use]
    pub fn error(&self) -> f64 {
        self.error_of(self.best)
    }

    /// The same of the safe value.
    #[must_use]
    pub fn safe_error(&self) -> f64 {
        self.error_of(self.safe)
    }
}

/// Figures of a group of cases; errors in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SopFigures {
    /// Number of cases.
    pub cases: usize,
    /// 99th percentile of the size of the best estimate's error.
    pub p99: f64,
    /// Its maximum.
    pub max: f64,
    /// Root mean square.
    pub rmse: f64,
    /// Largest over-prediction of the best estimate (0 if none).
    pub over: f64,
    /// Share of cases in which the best estimate promises too much.
    pub over_share: f64,
    /// Largest over-prediction of the safe value (0 if none).
    pub safe_over: f64,
    /// Cases in which the safe value promises more than the truth.
    pub safe_over_cases: usize,
    /// How far the safe value stays below the truth on average.
    pub safe_below: f64,
}

/// The safe value may exceed the truth by half of what the truth is exact to, in percent.
const TRUTH_EXACT: f64 = 0.05;

/// Figures of those cases that a condition takes; `None` if there are none.
pub fn figures(cases: &[SopCase], takes: impl Fn(&SopCase) -> bool) -> Option<SopFigures> {
    let taken: Vec<&SopCase> = cases.iter().filter(|c| takes(c)).collect();
    if taken.is_empty() {
        return None;
    }
    let n = taken.len() as f64;
    let mut sizes: Vec<f64> = taken.iter().map(|c| c.error().abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let rank = ((0.99 * n).ceil() as usize).clamp(1, sizes.len()) - 1;
    let above = |f: fn(&SopCase) -> f64| taken.iter().map(|c| f(c)).fold(0.0, f64::max);
    let share = |f: &dyn Fn(&SopCase) -> bool| taken.iter().filter(|c| f(c)).count();
    Some(SopFigures {
        cases: taken.len(),
        p99: sizes[rank],
        max: sizes[sizes.len() - 1],
        rmse: (sizes.iter().map(|e| e * e).sum::<f64>() / n).sqrt(),
        over: above(SopCase::error),
        over_share: share(&|c| c.error() > TRUTH_EXACT) as f64 / n,
        safe_over: above(SopCase::safe_error),
        safe_over_cases: share(&|c| c.safe_error() > TRUTH_EXACT),
        safe_below: -taken.iter().map(|c| c.safe_error()).sum::<f64>() / n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(truth: f64, best: f64, safe: f64) -> SopCase {
        SopCase {
            set: "x".into(),
            soh: 1.0,
            ambient_c: 25.0,
            soc: 0.5,
            rested: true,
            discharge: true,
            horizon_s: 10.0,
            power: true,
            truth,
            truth_by: "voltage".into(),
            best,
            best_by: "voltage".into(),
            safe,
            rated: 100.0,
            soc_error: 0.0,
            resistance_scale: 1.0,
        }
    }

    #[test]
    fn hand_computed() {
        // 5 % of the truth; then 1 W against 10 W, since the truth is below a tenth of what is rated.
        let cases = [case(80.0, 84.0, 79.0), case(2.0, 1.0, 2.5)];
        assert!((cases[0].error() - 5.0).abs() < 1e-9 && (cases[1].error() + 10.0).abs() < 1e-9);
        let f = figures(&cases, |_| true).unwrap();
        assert_eq!((f.cases, f.safe_over_cases), (2, 1));
        assert!(
            (f.max - 10.0).abs() < 1e-9 && (f.over - 5.0).abs() < 1e-9 && (f.safe_over - 5.0).abs() < 1e-9
        );
        assert!((f.rmse - (62.5f64).sqrt()).abs() < 1e-9 && (f.over_share - 0.5).abs() < 1e-9);
        assert!(figures(&cases, |c| c.soh < 0.5).is_none());
    }
}
