//! From what a plant did to what a cycler's logger writes.

use cell_models::{Label, Recording, Step};

use crate::data::Run;

/// After a change of the current every row is kept for so long (s) …
const DENSE_S: f64 = 60.0;
/// … then one in so many seconds under load …
const LOADED_S: f64 = 10.0;
/// … and at rest.
const REST_S: f64 = 60.0;
/// Rows of the first second after a change.
const FIRST_SECOND: usize = 10;

/// The steps with a row at each change of the current, which shows its ohmic drop, and tenths of a second after it.
pub(super) fn with_changes(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let mut out: Vec<Step> = Vec::new();
    let mut before_a = 0.0;
    for step in steps {
        if step.current_a == before_a {
            out.push(step);
            continue;
        }
        before_a = step.current_a;
        out.push(Step { dt_s: 0.0, ..step });
        let fine_s = step.dt_s.min(1.0) / FIRST_SECOND as f64;
        out.extend([Step { dt_s: fine_s, ..step }; FIRST_SECOND]);
        if step.dt_s > 1.0 {
            out.push(Step { dt_s: step.dt_s - 1.0, ..step });
        }
    }
    out
}

/// Stages of one test, one after another.
#[derive(Debug, Default)]
pub(super) struct Log {
    run: Run,
    soc_true: Vec<f64>,
    mean_current_a: Vec<f64>,
    temperature_c: Vec<f64>,
    ambient_c: Vec<f64>,
    /// Time since the current changed and since a row was kept, both up to the row before.
    changed_s: f64,
}

impl Log {
    /// Appends a recording made at an ambient temperature, which begins where the last one ended.
    pub(super) fn append(&mut self, part: &Recording, ambient_c: f64) {
        let offset_s = self.run.time_s.last().copied().unwrap_or_default();
        // Row 0 only repeats the end of the stage before.
        for k in usize::from(!self.run.is_empty())..part.len() {
            let time_s = offset_s + part.time_s[k];
            let current_a = part.current_a[k];
            let ends = part.current_a.get(k + 1) != Some(&current_a);
            if self.run.current_a.last() != Some(&current_a) {
                self.changed_s = time_s;
            }
            let apart_s = match part.label[k] {
                Label::Rest => REST_S,
                _ => LOADED_S,
            };
            let since_s = time_s - self.run.time_s.last().copied().unwrap_or(f64::NEG_INFINITY);
            if ends || time_s - self.changed_s <= DENSE_S || since_s >= apart_s {
                self.run.time_s.push(time_s);
                self.run.current_a.push(current_a);
                self.run.voltage_v.push(part.voltage_v[k]);
                self.mean_current_a.push(current_a);
                self.temperature_c.push(part.temperature_c[k]);
                self.ambient_c.push(ambient_c);
                self.soc_true.push(part.soc_true[k]);
            }
        }
    }

    /// The whole test.
    pub(super) fn into_run(self) -> Run {
        Run {
            mean_current_a: Some(self.mean_current_a),
            temperature_c: Some(self.temperature_c),
            ambient_c: Some(self.ambient_c),
            soc_true: Some(self.soc_true),
            ..self.run
        }
    }
}

#[cfg(test)]
mod tests {
    use cell_models::{EcmCell, EcmParameters, hold, simulate};

    use super::*;

    #[test]
    fn nothing_of_the_charge_is_lost_in_thinning() {
        let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.9, 25.0).unwrap();
        let steps = hold(Label::Rest, 0.0, 300.0, 1.0)
            .chain(hold(Label::Discharge, 5.0, 600.0, 1.0))
            .chain(hold(Label::Rest, 0.0, 600.0, 1.0))
            .chain(hold(Label::Charge, -2.5, 30.0, 1.0));
        let (first, second): (Vec<Step>, Vec<Step>) =
            (steps.clone().take(1100).collect(), steps.skip(1100).collect());
        let mut log = Log::default();
        for part in [first, second] {
            log.append(&simulate(&mut cell, with_changes(part)).unwrap(), 25.0);
        }
        let run = log.into_run();
        assert!((run.duration_s() - 1530.0).abs() < 1e-6 && run.len() < 350, "{} rows", run.len());
        let moved = run.discharged_ah().last().copied().unwrap();
        assert!((moved - (5.0 * 600.0 - 2.5 * 30.0) / 3600.0).abs() < 1e-9, "{moved}");
        // The row of the change has the time of the row before and the new current.
        let change = run.current_a.iter().position(|i| *i > 0.0).unwrap();
        assert_eq!(run.time_s[change], run.time_s[change - 1]);
        assert!(run.voltage_v[change] < run.voltage_v[change - 1] - 0.01);
        assert!(run.time_s.windows(2).all(|t| t[1] >= t[0]));
    }
}
