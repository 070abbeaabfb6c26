//! Characterisation tests, done with a plant as a laboratory does them with a cell: by current, voltage limits and
//! chamber temperature alone. Each takes the cell full and rested at 25 degC.

use cell_models::{Hppc, Label, Plant, Step, hold, simulate, slow_cycle};

use super::TestError;
use super::log::{Log, logged};
use crate::data::Run;

/// Time in the chamber after a change of its temperature, in s.
pub(super) const SOAK_S: f64 = 10_800.0;
/// Rest before and after a discharge, in s.
const REST_S: f64 = 3600.0;
/// Rate of a discharge that sets the SOC.
pub(super) const SET_C: f64 = 1.0 / 3.0;
/// Temperature at which the SOC is set for cold tests, in degC.
pub(super) const SET_AT_C: f64 = 25.0;
/// Up to this temperature (degC) the SOC is set at [`SET_AT_C`], where every cell can be discharged.
const COLD_C: f64 = 0.0;
/// Distance of the SOC levels of the pulse tests, at 25 degC and elsewhere.
const SOC_STEPS: [f64; 2] = [0.05, 0.1];
/// Length of a discharge pulse above 1C in s.
const SHORT_PULSE_S: f64 = 30.0;
/// Time step of slow tests in s.
const SLOW_STEP_S: f64 = 10.0;

/// Discharge and charge at C/20 and 25 degC with a rest between them and after them.
pub(super) fn slow(mut cell: impl Plant, nominal_ah: f64) -> Result<Run, TestError> {
    let mut log = Log::default();
    let steps =
        slow_cycle(nominal_ah, 20.0, REST_S, SLOW_STEP_S)?.chain(hold(Label::Rest, 0.0, REST_S, SLOW_STEP_S));
    log.append(&simulate(&mut cell, logged(steps))?, SET_AT_C);
    Ok(log.into_run())
}

/// Hybrid pulse power characterisation with discharge pulses of one rate (charge pulses have three quarters of it), at
/// levels of the capacity that was measured.
///
/// At or below 0 degC the cell is brought back to 25 degC for each step of the SOC and soaked again before its pulses.
pub(super) fn pulses(
    mut cell: impl Plant,
    capacity_ah: f64,
    ambient_c: f64,
    rate_c: f64,
) -> Result<Run, TestError> {
    let usual = Hppc::new(capacity_ah);
    let cold = ambient_c <= COLD_C;
    let test = Hppc {
        discharge_pulse_c: rate_c,
        discharge_pulse_s: if rate_c > 1.0 { SHORT_PULSE_S } else { usual.discharge_pulse_s },
        charge_pulse_c: 0.75 * rate_c,
        charge_pulse_s: SHORT_PULSE_S,
        soc_step: if ambient_c == SET_AT_C { SOC_STEPS[0] } else { SOC_STEPS[1] },
        rest_s: if cold { SOAK_S } else { usual.rest_s },
        ..usual
    };
    let steps: Vec<Step> = test.steps()?.collect();
    let mut log = Log::default();
    if !cold {
        soak(&mut cell, ambient_c, &mut log)?;
        log.append(&simulate(&mut cell, logged(steps))?, ambient_c);
        return Ok(log.into_run());
    }
    let sets_soc = |s: &Step| s.label == Label::SocStep;
    for stage in steps.chunk_by(|a, b| sets_soc(a) == sets_soc(b)) {
        if stage.first().is_some_and(sets_soc) {
            soak(&mut cell, SET_AT_C, &mut log)?;
            log.append(&simulate(&mut cell, logged(stage.iter().copied()))?, SET_AT_C);
            // The cell rests in the chamber while that turns cold: the soak is the rest of the next stage.
            cell.set_current(0.0)?;
            cell.set_ambient_c(ambient_c)?;
        } else {
            cell.set_ambient_c(ambient_c)?;
            log.append(&simulate(&mut cell, logged(stage.iter().copied()))?, ambient_c);
        }
    }
    Ok(log.into_run())
}

/// A discharge from full to the lower voltage limit at a constant rate, and a rest.
pub(super) fn discharge(
    mut cell: impl Plant,
    nominal_ah: f64,
    ambient_c: f64,
    rate_c: f64,
) -> Result<Run, TestError> {
    let mut log = Log::default();
    soak(&mut cell, ambient_c, &mut log)?;
    let steps = hold(Label::Discharge, rate_c * nominal_ah, 1.5 * 3600.0 / rate_c, 1.0).chain(hold(
        Label::Rest,
        0.0,
        REST_S,
        1.0,
    ));
    log.append(&simulate(&mut cell, logged(steps))?, ambient_c);
    Ok(log.into_run())
}

/// Rest in the chamber at a temperature.
pub(super) fn soak(cell: &mut impl Plant, ambient_c: f64, log: &mut Log) -> Result<(), TestError> {
    cell.set_ambient_c(ambient_c)?;
    log.append(&simulate(cell, logged(hold(Label::Rest, 0.0, SOAK_S, SOAK_S)))?, ambient_c);
    Ok(())
}
