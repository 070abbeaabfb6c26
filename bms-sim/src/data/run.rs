//! One run: what was measured on one cell in one test.

use std::ops::Range;

/// What was measured on one cell in one test, as columns of equal length.
///
/// Currents are positive on discharge.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// File name, with the part where the file holds several tests; for messages.
    pub source: String,
    /// Time in s, never decreasing; equal times occur where a current was switched.
    pub time_s: Vec<f64>,
    /// Terminal voltage in V.
    pub voltage_v: Vec<f64>,
    /// Current at the sample in A, positive on discharge.
    pub current_a: Vec<f64>,
    /// Mean current in A over the interval that ends at the sample, positive on discharge.
    pub mean_current_a: Option<Vec<f64>>,
    /// Cell temperature in degC: at the surface if that was measured, else of the ambient.
    pub temperature_c: Option<Vec<f64>>,
    /// Ambient temperature in degC.
    pub ambient_c: Option<Vec<f64>>,
    /// The cycler's own count of charge in Ah with the sign of the file: positive = charged since the count began.
    pub net_charge_ah: Option<Vec<f64>>,
    /// Reference state of charge as a fraction: true in simulated runs, the source's own in measured ones.
    pub soc_true: Option<Vec<f64>>,
    /// Step of the test programme.
    pub step_index: Option<Vec<i64>>,
    /// Whether the contactors were open during the interval that ends at the sample, so that no current can have flowed;
    /// known of simulated vehicles only.
    pub contactors_open: Option<Vec<bool>>,
}

impl Run {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time_s.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time_s.is_empty()
    }

    /// Time from the first to the last sample in s.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        match (self.time_s.first(), self.time_s.last()) {
            (Some(first), Some(last)) => last - first,
            _ => 0.0,
        }
    }

    /// Seconds between a sample and the one before it; 0 for the first.
    #[must_use]
    pub fn dt_s(&self, index: usize) -> f64 {
        match (index.checked_sub(1).and_then(|k| self.time_s.get(k)), self.time_s.get(index)) {
            (Some(before), Some(now)) => now - before,
            _ => 0.0,
        }
    }

    /// Charge taken out since the first sample in Ah at every sample, positive on discharge.
    ///
    /// From the cycler's counter if the run has one, else from the mean currents, else by the trapezoid over the
    /// sampled currents.
    #[must_use]
    pub fn discharged_ah(&self) -> Vec<f64> {
        if let Some(net) = &self.net_charge_ah {
            let start = net.first().copied().unwrap_or_default();
            return net.iter().map(|q| start - q).collect();
        }
        let mut total = 0.0;
        let mut before = None;
        let mean = self.mean_current_a.as_deref();
        let sampled = self.time_s.iter().zip(&self.current_a).enumerate();
        sampled
            .map(|(k, (&time, &current))| {
                if let Some((time_before, current_before)) = before {
                    let over_interval = mean.and_then(|m| m.get(k)).copied();
                    total += over_interval.unwrap_or((current + current_before) / 2.0) * (time - time_before)
                        / 3600.0;
                }
                before = Some((time, current));
                total
            })
            .collect()
    }

    /// The samples of a range of indices, with their times as they are; indices beyond the end are left out.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        let part = |v: &Vec<f64>| v.get(range.clone()).unwrap_or_default().to_vec();
        Self {
            source: self.source.clone(),
            time_s: part(&self.time_s),
            voltage_v: part(&self.voltage_v),
            current_a: part(&self.current_a),
            mean_current_a: self.mean_current_a.as_ref().map(part),
            temperature_c: self.temperature_c.as_ref().map(part),
            ambient_c: self.ambient_c.as_ref().map(part),
            net_charge_ah: self.net_charge_ah.as_ref().map(part),
            soc_true: self.soc_true.as_ref().map(part),
            step_index: self.step_index.as_ref().map(|v| v.get(range.clone()).unwrap_or_default().to_vec()),
            contactors_open: self
                .contactors_open
                .as_ref()
                .map(|v| v.get(range.clone()).unwrap_or_default().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            time_s: vec![10.0, 10.0, 3610.0],
            voltage_v: vec![3.7, 3.6, 3.5],
            current_a: vec![0.0, 2.0, 4.0],
            ..Run::default()
        }
    }

    #[test]
    fn charge_comes_from_the_best_column_there_is() {
        let mut run = run();
        assert_eq!(run.discharged_ah(), [0.0, 0.0, 3.0]);
        run.mean_current_a = Some(vec![0.0, 0.0, 3.5]);
        assert_eq!(run.discharged_ah(), [0.0, 0.0, 3.5]);
        run.net_charge_ah = Some(vec![-1.0, -1.0, -4.25]);
        assert_eq!(run.discharged_ah(), [0.0, 0.0, 3.25]);
    }

    #[test]
    fn a_slice_beyond_the_end_is_cut() {
        let run = run();
        assert_eq!(run.slice(1..9).time_s, [10.0, 3610.0]);
        assert!(run.slice(7..9).is_empty());
        assert_eq!(run.duration_s(), 3600.0);
        assert_eq!((run.dt_s(0), run.dt_s(2)), (0.0, 3600.0));
    }
}
