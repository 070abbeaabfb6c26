//! Errors of one estimate against one reference, as the acceptance protocol defines them.

use crate::results::{Score, TARGET_POINTS};

/// Scores an estimate.
///
/// `time_s`, `estimate`, `reference` (fractions of SOC) and, if the estimator has one, `std` have equal lengths;
/// `from_s` is the excluded start, measured from the first sample. Shares and squares are weighted by time, so that a
/// dense part of a record does not count for more. Returns `None` if nothing is left to score.
#[must_use]
pub fn score(
    time_s: &[f64],
    estimate: &[f64],
    reference: &[f64],
    std: Option<&[f64]>,
    from_s: f64,
) -> Option<Score> {
    let start = *time_s.first()?;
    let mut weighted: Vec<(f64, f64)> = Vec::with_capacity(time_s.len());
    let (mut squares, mut total, mut inside, mut largest) = (0.0, 0.0, 0.0, 0.0f64);
    let (mut total_before, mut inside_before) = (0.0, 0.0);
    let mut last_outside = None;
    for k in 0..time_s.len() {
        let error = 100.0 * (estimate[k] - reference[k]);
        if error.is_nan() {
            return None;
        }
        let t = time_s[k] - start;
        if error.abs() > TARGET_POINTS {
            last_outside = Some(k);
        }
        let w = if k == 0 { 0.0 } else { time_s[k] - time_s[k - 1] };
        let is_inside = std.is_some_and(|s| error.abs() <= 300.0 * s[k]);
        if t < from_s {
            total_before += w;
            if is_inside {
                inside_before += w;
            }
            continue;
        }
        squares += w * error * error;
        total += w;
        largest = largest.max(error.abs());
        weighted.push((error.abs(), w));
        if is_inside {
            inside += w;
        }
    }
    if total <= 0.0 {
        return None;
    }
    weighted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut below = 0.0;
    let p99 = weighted
        .iter()
        .find(|(_, w)| {
            below += w;
            below >= 0.99 * total
        })
        .map_or(largest, |(e, _)| *e);
    let convergence_s = match last_outside {
        None => Some(0.0),
        Some(k) => time_s.get(k + 1).map(|t| t - start),
    };
    Some(Score {
        max_points: largest,
        p99_points: p99,
        rmse_points: (squares / total).sqrt(),
        convergence_s,
        coverage: std.map(|_| inside / total),
        coverage_before: std.filter(|_| total_before > 0.0).map(|_| inside_before / total_before),
        end_points: 100.0 * (estimate.last()? - reference.last()?),
        scored_h: total / 3600.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed_case() {
        // errors in points: 10, 2, -4, 1; steps of 1 s, 1 s, 2 s
        let t = [0.0, 1.0, 2.0, 4.0];
        let reference = [0.5; 4];
        let estimate = [0.60, 0.52, 0.46, 0.51];
        let s = score(&t, &estimate, &reference, Some(&[0.01; 4]), 0.5).unwrap();
        assert!((s.max_points - 4.0).abs() < 1e-9);
        assert!((s.rmse_points - ((4.0 + 16.0 + 2.0) / 4.0f64).sqrt()).abs() < 1e-9);
        assert_eq!(s.convergence_s, Some(4.0));
        assert!((s.coverage.unwrap() - 0.75).abs() < 1e-9);
        assert_eq!(s.coverage_before, None, "the only sample before 0.5 s has no length");
        let later = score(&t, &estimate, &reference, Some(&[0.01; 4]), 3.0).unwrap();
        assert!((later.coverage_before.unwrap() - 0.5).abs() < 1e-9);
        assert!((s.p99_points - 4.0).abs() < 1e-9);
    }

    #[test]
    fn never_converged_and_nothing_left() {
        let s = score(&[0.0, 1.0], &[0.6, 0.6], &[0.5, 0.5], None, 0.0).unwrap();
        assert_eq!(s.convergence_s, None);
        assert_eq!(s.coverage, None);
        assert!(score(&[0.0, 1.0], &[0.6, 0.6], &[0.5, 0.5], None, 5.0).is_none());
    }
}
