//! Pack current against its limits: pulses as they are, what lasts by a slow mean.

use super::{Scene, cells::report_levels, low_pass, share};
use crate::safety::ledger::{Finding, Ledger};
use crate::safety::table::Diagnosis;

const DISCHARGE: [Diagnosis; 3] = [
    Diagnosis::DischargeCurrentInformation,
    Diagnosis::DischargeCurrentWarning,
    Diagnosis::DischargeCurrentFatal,
];
const CHARGE: [Diagnosis; 3] =
    [Diagnosis::ChargeCurrentInformation, Diagnosis::ChargeCurrentWarning, Diagnosis::ChargeCurrentFatal];
/// Time constant in s of the mean that conductors and cells feel: pulses of half a minute are no continuous current.
const MEAN_S: f32 = 30.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CurrentLimits {
    mean_a: f32,
}

impl CurrentLimits {
    pub(super) const NEW: Self = Self { mean_a: 0.0 };

    /// `pulse_a` are the least and the most that any sensor says, rejected or not; `current_a` is what is believed.
    pub(super) fn step<const N: usize, const S: usize>(
        &mut self,
        scene: &Scene<'_, N, S>,
        (current_a, pulse_a): (Option<f32>, Option<[f32; 2]>),
        ledger: &mut Ledger,
    ) {
        let settings = scene.settings;
        if let Some([least_a, most_a]) = pulse_a {
            let pulses = [
                (Diagnosis::DischargePulseFatal, most_a, settings.pulse_discharge_a),
                (Diagnosis::ChargePulseFatal, -least_a, settings.pulse_charge_a),
            ];
            for (id, value, limit) in pulses {
                ledger.report(id, (value > limit).then_some(Finding { place: None, value, limit }));
            }
        }
        let Some(current_a) = current_a else { return };
        self.mean_a = low_pass(self.mean_a, current_a, share(scene.dt_s, MEAN_S));
        report_levels(ledger, DISCHARGE, settings.discharge_a, (None, self.mean_a), |v, limit| v > limit);
        report_levels(ledger, CHARGE, settings.charge_a, (None, -self.mean_a), |v, limit| v > limit);
    }
}
