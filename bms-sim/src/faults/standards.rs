//! Protection tests of GB 38031-2025 on a simulated pack, and the accuracy tests of GB/T 38661-2020.
//!
//! What is marked **\[M\]** is from memory and must be checked against the bought standard before anybody quotes it as
//! compliance; the rest comes from secondary sources that cite the clauses. Nothing here replaces a test of hardware.
//!
//! | Clause | Done here | Ends when |
//! |---|---|---|
//! | 8.2.11 over-temperature | drive and fast charge without cooling, surroundings at the threshold | cut off, or ΔT < 4 K in 2 h |
//! | 8.2.12 over-current | from the largest charge current to over-current at once (within 5 s) | cut off |
//! | 8.2.13 external short circuit | 5 mohm | cut off |
//! | 8.2.14 overcharge | charger ignores its limits | cut off, T > max + 10 K, or 12 h |
//! | 8.2.15 over-discharge | load ignores its limits \[M: 1C\] | cut off, or a quarter of the nominal voltage \[M\] |
//! | 5.2.7 b, annex C propagation | nail through one cell, SOC 95 % | alarm within 5 min; 2 h observed |
//! | GB/T 38661 accuracy \[M\] | cell ±10 mV, pack ±1 %, current ±2 % of full scale, temperature ±2 K | - |
//! | GB/T 38661 SOC error \[M\] | full charge, typical cycles, error at most 5 points | - |

use std::ops::ControlFlow;

use bms_core::safety::table::Diagnosis;
use serde::Serialize;

use super::names;
use super::packs::{CAR, packs};
use crate::closed_loop::sensors::{PackSensors, Ranges, Truth};
use crate::closed_loop::{self, ClosedLoopError, Options, PackType};
use crate::scenario::Scenario;
use crate::sensors::SensorCorner;

/// Alarm after so many seconds at most.
const ALARM_S: f64 = 300.0;
/// Temperature above the largest working one in K that ends an overcharge badly.
const BEYOND_K: f64 = 10.0;
/// Readings for each point of the accuracy test.
const READINGS: usize = 200;
/// Limits of the accuracy test: V, share, share of full scale, K. [M]
const ACCURACY: [f64; 4] = [0.010, 0.01, 0.02, 2.0];
/// SOC error in points. [M]
const SOC_POINTS: f64 = 5.0;

/// Scenarios of the protection tests: clause, text of the file.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("8.2.11 over-temperature", include_str!("../../../scenarios/gb38031/over_temperature.toml")),
    ("8.2.12 over-current", include_str!("../../../scenarios/gb38031/over_current.toml")),
    ("8.2.13 external short circuit", include_str!("../../../scenarios/gb38031/external_short.toml")),
    ("8.2.14 overcharge", include_str!("../../../scenarios/gb38031/overcharge.toml")),
    ("8.2.15 over-discharge", include_str!("../../../scenarios/gb38031/over_discharge.toml")),
    ("5.2.7 b thermal propagation", include_str!("../../../scenarios/gb38031/propagation.toml")),
];

/// What came of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Clause and name.
    pub clause: &'static str,
    /// Whether it is passed.
    pub passed: bool,
    /// What ended it.
    #[serde(serialize_with = "names::one")]
    pub ended_by: Option<Diagnosis>,
    /// Figures.
    pub detail: String,
}

/// Runs all of them.
///
/// # Errors
/// When a pack cannot be made or the core refuses its settings.
pub fn run() -> Result<Vec<Verdict>, ClosedLoopError> {
    let packs = packs()?;
    let Some(car) = packs.get(CAR) else { return Ok(Vec::new()) };
    let mut all = SCENARIOS
        .iter()
        .map(|(clause, text)| protection(clause, &Scenario::parse(text)?, car))
        .collect::<Result<Vec<_>, ClosedLoopError>>()?;
    all.push(accuracy(car));
    all.push(soc_error(car)?);
    Ok(all)
}

fn protection(
    clause: &'static str,
    scenario: &Scenario,
    pack: &PackType,
) -> Result<Verdict, ClosedLoopError> {
    let options = Options { interval_s: Some(f64::INFINITY), protection: true };
    let fault_s = scenario.faults.first().map_or(0.0, |f| f.at.0);
    let (mut opened_s, mut ended_by, mut alarm_s) = (None, None, None);
    let (mut hottest_c, mut highest_v, mut lowest_v, mut lost) = (f64::MIN, f64::MIN, f64::MAX, 0);
    let mut stopped_s = None;
    let ran = closed_loop::run_watched(scenario, pack, &options, &mut |_| (), &mut |seen| {
        let o = seen.core.outcome();
        let range = |v: &[f64]| v.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (x.min(a), x.max(b)));
        let (low_v, high_v) = range(seen.plant.pack().group_voltage_v());
        lost = seen.plant.cells_lost();
        if lost == 0 {
            (lowest_v, highest_v) = (lowest_v.min(low_v), highest_v.max(high_v));
        }
        hottest_c = hottest_c.max(range(seen.plant.network().core_c()).1);
        if seen.time_s >= fault_s {
            if opened_s.is_none() && o.contactors == [false; 3] && o.reason.is_some() {
                opened_s = Some(seen.time_s - fault_s);
                ended_by = o.reason;
            }
            if alarm_s.is_none() && o.alarm {
                alarm_s = Some(seen.time_s - fault_s);
            }
        }
        ControlFlow::Continue(())
    });
    match ran {
        Ok(_) => {}
        Err(ClosedLoopError::Step { time_s, .. }) => stopped_s = Some(time_s),
        Err(other) => return Err(other),
    }
    let max_c = pack.file.limits.discharge_temperature_c[1].max(pack.file.limits.charge_temperature_c[1]);
    let text = |s: Option<f64>| s.map_or("never".to_owned(), |s| format!("after {s:.1} s"));
    let propagation = clause.starts_with("5.2.7");
    let cool = hottest_c <= max_c + BEYOND_K;
    let passed = stopped_s.is_none()
        && if propagation {
            alarm_s.is_some_and(|s| s <= ALARM_S)
        } else if clause.starts_with("8.2.11") {
            // Withdrawn limits end the heating as well as a cut-off does.
            cool
        } else {
            opened_s.is_some() && cool
        };
    let figures = if propagation {
        format!("alarm {} (limit {ALARM_S:.0} s); cells lost in all: {lost}", text(alarm_s))
    } else {
        format!("cut off {}; cells {lowest_v:.3} to {highest_v:.3} V", text(opened_s))
    };
    Ok(Verdict { clause, passed, ended_by, detail: format!("{figures}; hottest core {hottest_c:.1} degC") })
}

/// The simulated sensors of the limit corner against the limits: the test's own procedure on the test's own bench. [M]
fn accuracy(pack: &PackType) -> Verdict {
    let facts = pack.facts();
    let ranges = Ranges::of(&pack.file, facts.capacity_ah);
    let sensed = facts.temperature_sensors;
    let mut worst = [0.0_f64; 4];
    for seed in 0..10 {
        let mut sensors = PackSensors::new(SensorCorner::Good, ranges, facts.series, sensed, seed);
        for (cell_v, current_share, temperature_c) in
            [(2.5, -0.8, -20.0), (3.2, -0.3, 0.0), (3.7, 0.0, 25.0), (4.0, 0.3, 40.0), (4.2, 0.8, 60.0)]
        {
            let (v, t) = (vec![cell_v; facts.series], vec![temperature_c; sensed]);
            let pack_v = cell_v * facts.series as f64;
            let current_a = current_share * ranges.full_scale_a;
            let truth = Truth {
                group_voltage_v: &v,
                sensed_c: &t,
                current_a: [current_a; 2],
                around_c: [temperature_c; 4],
                pack_v: [pack_v; 3],
                insulation_ohm: 1e6,
                interlock_closed: true,
                contactor_closed: [true, true, false],
                flow_l_per_min: 0.0,
                heater_w: 0.0,
            };
            // The mean of many readings: what is asked for is accuracy, not noise.
            let mut sum = [0.0; 4];
            for _ in 0..READINGS {
                let f = sensors.read(&truth, 0.1);
                sum[0] += f64::from(f.cell_voltage_v[0]) - cell_v;
                sum[1] += f64::from(f.rest.pack_voltage_v) - pack_v;
                sum[2] += f64::from(f.rest.current_a) - current_a;
                sum[3] += f64::from(f.sensors_c[0]) - temperature_c;
            }
            let of = [1.0, ranges.pack_v, ranges.full_scale_a, 1.0];
            for ((worst, sum), of) in worst.iter_mut().zip(sum).zip(of) {
                *worst = worst.max((sum / READINGS as f64 / of).abs());
            }
        }
    }
    Verdict {
        clause: "GB/T 38661 accuracy of measurement [M], good sensors",
        passed: worst.iter().zip(ACCURACY).all(|(w, limit)| *w <= limit),
        ended_by: None,
        detail: format!(
            "cell {:.1} mV of 10, pack {:.2} % of 1, current {:.2} % of 2 (full scale), temperature {:.2} K of 2",
            1000.0 * worst[0],
            100.0 * worst[1],
            100.0 * worst[2],
            worst[3]
        ),
    }
}

/// A full charge, typical cycles, and how far the SOC is off then. [M]
fn soc_error(pack: &PackType) -> Result<Verdict, ClosedLoopError> {
    let text = include_str!("../../../scenarios/gb38031/soc_error.toml");
    let options = Options { interval_s: Some(f64::INFINITY), protection: false };
    let recording = closed_loop::run(&Scenario::parse(text)?, pack, &options, &mut |_| ())?;
    let error = recording.summary.soc_error;
    Ok(Verdict {
        clause: "GB/T 38661 SOC error [M], circuit plant, good sensors",
        passed: error.is_some_and(|e| e.max_points <= SOC_POINTS),
        ended_by: None,
        detail: error.map_or_else(
            || "not scored".into(),
            |e| format!("largest error {:.2} points of {SOC_POINTS}", e.max_points),
        ),
    })
}
