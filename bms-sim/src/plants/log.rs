//! From what a plant did to what a cycler writes.

use cell_models::{Label, Recording, Step};

use crate::data::Run;

/// Rows of the first second after a change of the current.
const FIRST_SECOND: usize = 10;
/// After a change there is a row every second for so long (s) …
const DENSE_S: f64 = 60.0;
/// … then one in so many seconds under load …
const LOADED_S: f64 = 10.0;
/// … and at rest.
const REST_S: f64 = 60.0;

/// The same currents in the steps of a logger: a row at each change, which shows the ohmic drop, tenths of a second after
/// it, then seconds, then more.
pub(super) fn logged(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let steps: Vec<Step> = steps.into_iter().collect();
    let stages = steps.chunk_by(|a, b| a.current_a == b.current_a && a.label == b.label);
    let mut out = Vec::new();
    for stage in stages {
        let Some(first) = stage.first() else { continue };
        let mut left_s: f64 = stage.iter().map(|s| s.dt_s).sum();
        let mut push = |dt_s: f64| out.push(Step { dt_s, ..*first });
        push(0.0);
        let second_s = left_s.min(1.0);
        (0..FIRST_SECOND).for_each(|_| push(second_s / FIRST_SECOND as f64));
        left_s -= second_s;
        let mut since_s = second_s;
        let sparse_s = if first.label == Label::Rest { REST_S } else { LOADED_S };
        // A remainder of a billionth is rounding, not a step.
        while left_s > 1e-9 {
            let dt_s = left_s.min(if since_s < DENSE_S { 1.0 } else { sparse_s });
            push(dt_s);
            left_s -= dt_s;
            since_s += dt_s;
        }
    }
    out
}

/// Stages of one test, one after another.
#[derive(Debug, Default)]
pub(super) struct Log {
    run: Run,
}

impl Log {
    /// Appends a recording made at an ambient temperature in degC, which begins where the last one ended.
    pub(super) fn append(&mut self, part: &Recording, ambient_c: f64) {
        let run = &mut self.run;
        let offset_s = run.time_s.last().copied().unwrap_or_default();
        // Row 0 only repeats the end of the stage before.
        let new = usize::from(!run.is_empty()).min(part.len())..part.len();
        run.time_s.extend(part.time_s[new.clone()].iter().map(|t| offset_s + t));
        run.current_a.extend(&part.current_a[new.clone()]);
        run.voltage_v.extend(&part.voltage_v[new.clone()]);
        run.mean_current_a.get_or_insert_default().extend(&part.current_a[new.clone()]);
        run.temperature_c.get_or_insert_default().extend(&part.temperature_c[new.clone()]);
        run.ambient_c.get_or_insert_default().extend(new.clone().map(|_| ambient_c));
        run.soc_true.get_or_insert_default().extend(&part.soc_true[new]);
    }

    /// The whole test.
    pub(super) fn into_run(self) -> Run {
        self.run
    }
}

#[cfg(test)]
mod tests {
    use cell_models::{EcmCell, EcmParameters, hold, simulate};

    use super::*;

    #[test]
    fn the_log_keeps_the_charge_and_shows_every_change() {
        let mut cell = EcmCell::new(EcmParameters::generic_nmc_5ah(), 0.9, 25.0).unwrap();
        let first = hold(Label::Rest, 0.0, 300.0, 1.0).chain(hold(Label::Discharge, 5.0, 600.0, 1.0));
        let second = hold(Label::Rest, 0.0, 600.0, 1.0).chain(hold(Label::Charge, -2.5, 30.5, 1.0));
        let mut log = Log::default();
        log.append(&simulate(&mut cell, logged(first)).unwrap(), 25.0);
        log.append(&simulate(&mut cell, logged(second)).unwrap(), 25.0);
        let run = log.into_run();
        assert!((run.duration_s() - 1530.5).abs() < 1e-6 && run.len() < 350, "{} rows", run.len());
        let moved = run.discharged_ah().last().copied().unwrap();
        assert!((moved - (5.0 * 600.0 - 2.5 * 30.5) / 3600.0).abs() < 1e-9, "{moved}");
        // The row of the change has the time of the row before and the new current.
        let change = run.current_a.iter().position(|i| *i > 0.0).unwrap();
        assert_eq!(run.time_s[change], run.time_s[change - 1]);
        assert!(run.voltage_v[change] < run.voltage_v[change - 1] - 0.01);
        assert!(run.time_s.windows(2).all(|t| t[1] >= t[0]));
        let columns = [&run.mean_current_a, &run.temperature_c, &run.ambient_c, &run.soc_true];
        assert!(columns.iter().all(|c| c.as_ref().unwrap().len() == run.len()));
    }
}
