//! Drive cycles, taken from recorded drives that repeat them.

use crate::data::Run;

/// One repetition of a drive cycle.
#[derive(Debug, Clone)]
pub(super) struct Cycle {
    /// Its name.
    pub(super) profile: &'static str,
    /// Ambient temperature of the recorded drive in degC: the colder, the gentler.
    pub(super) ambient_c: f64,
    /// Current in multiples of the nominal capacity per hour, one value a second.
    pub(super) rates_c: Vec<f64>,
}

/// The repetition in the middle of a drive: at half charge no voltage limit has changed its currents. The run counts its
/// repetitions from 1 as steps; its rests are step 0 and 999. `None` if it has no repetition of 1 s samples.
pub(super) fn middle(run: &Run, nominal_ah: f64) -> Option<Vec<f64>> {
    let steps = run.step_index.as_ref()?;
    let last = steps.iter().copied().filter(|s| *s != 999).max()?;
    let chosen = (last + 1) / 2;
    let rows: Vec<usize> = (0..run.len()).filter(|&k| steps.get(k) == Some(&chosen)).collect();
    let (first, end) = (*rows.first()?, *rows.last()?);
    let even = chosen > 0 && (first + 1..=end).all(|k| (run.dt_s(k) - 1.0).abs() < 1e-3);
    (even && end > first).then(|| rows.iter().map(|&k| run.current_a[k] / nominal_ah).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_repetition_is_taken() {
        let run = Run {
            time_s: (0..8).map(f64::from).collect(),
            current_a: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0],
            step_index: Some(vec![0, 1, 1, 2, 2, 3, 3, 999]),
            ..Run::default()
        };
        assert_eq!(middle(&run, 2.0), Some(vec![1.5, 2.0]));
        assert_eq!(middle(&Run { step_index: None, ..run.clone() }, 2.0), None);
        assert_eq!(middle(&Run { step_index: Some(vec![0; 8]), ..run.clone() }, 2.0), None);
        let mut uneven = run;
        uneven.time_s[4] = 3.5;
        assert_eq!(middle(&uneven, 2.0), None);
    }
}
