//! Normal driving with the worst sensors: whatever the protection reacts to that is not true is a false trip.

use std::ops::ControlFlow;

use bms_core::safety::ledger::Status;
use bms_core::safety::settings::SafetySettings;
use bms_core::safety::table::{Diagnosis, Level};
use serde::Serialize;

use super::names;
use crate::closed_loop::{self, ClosedLoopError, Options, PackType, Seen, protection_settings};
use crate::scenario::{
    ChargeMode, Control, CycleName, Expect, Phase, Scenario, Seconds, Sensors, Start, Task,
};
use crate::sensors::SensorCorner;

/// Temperatures of the surroundings in degC, one day after another.
const AMBIENT_C: [f64; 8] = [25.0, -20.0, 45.0, 10.0, -10.0, 35.0, 0.0, 20.0];
/// What a reading may be off beside its offset: steps of its converter and noise; volts, kelvin, share of the full current.
const NOISE: [f64; 3] = [0.010, 0.8, 0.006];
/// The truth counts as out of bounds for so long (s) after it was: debounce and delay.
const REMEMBERED_S: f64 = 15.0;

/// A reaction without a reason in the truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FalseTrip {
    /// What was diagnosed.
    #[serde(serialize_with = "names::one")]
    pub id: Option<Diagnosis>,
    /// Seed of the day.
    pub seed: u64,
    /// Temperature of the surroundings in degC.
    pub ambient_c: f64,
    /// When, in s since the start of the day.
    pub time_s: f64,
    /// What was read, and what it should have kept.
    pub value: f32,
    /// See [`Self::value`].
    pub limit: f32,
}

/// A day of driving.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Day {
    /// Seed.
    pub seed: u64,
    /// Hours for which the protection watched.
    pub watched_h: f64,
    /// Reactions without a reason.
    pub false_trips: Vec<FalseTrip>,
    /// Reactions with one.
    pub explained: usize,
    /// Information that was told, which changes nothing.
    pub told: usize,
}

/// How far the truth went lately, each with the time of it.
#[derive(Debug, Clone, Copy)]
struct Extremes {
    highest_v: f64,
    lowest_v: f64,
    hottest_c: f64,
    coldest_c: f64,
    spread_k: f64,
    current_a: f64,
    soc_spread: f64,
}

impl Extremes {
    fn of(seen: &Seen<'_>) -> Self {
        let range = |values: &[f64]| {
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (v.min(lo), v.max(hi)))
        };
        let (lowest_v, highest_v) = range(seen.plant.pack().group_voltage_v());
        let (coldest_c, hottest_c) = range(seen.plant.sensed_c());
        let (least, most) = range(seen.plant.group_soc());
        Self {
            highest_v,
            lowest_v,
            hottest_c,
            coldest_c,
            spread_k: hottest_c - coldest_c,
            current_a: seen.plant.pack().current_a(),
            soc_spread: most - least,
        }
    }

    /// Whether the truth, at its worse end of what sensors may read, is beyond the limit of a diagnosis.
    fn explains(&self, id: Diagnosis, s: &SafetySettings) -> bool {
        use Diagnosis as D;
        let [v, k, share] = NOISE;
        let v = v + f64::from(s.grade.cell_voltage_v);
        let k = k + f64::from(s.grade.temperature_k);
        let a = (share + f64::from(s.grade.current_share)) * f64::from(s.grade.current_full_a);
        let above = |x: f64, by: f64, limit: f32| x + by > f64::from(limit);
        let below = |x: f64, by: f64, limit: f32| x - by < f64::from(limit);
        match id {
            D::CellVoltageHighWarning => above(self.highest_v, v, s.cell_high_v.warning),
            D::CellVoltageHighFatal => above(self.highest_v, v, s.cell_high_v.fatal),
            D::CellVoltageLowWarning => below(self.lowest_v, v, s.cell_low_v.warning),
            D::CellVoltageLowFatal => below(self.lowest_v, v, s.cell_low_v.fatal),
            D::DischargeCurrentWarning => above(self.current_a, a, s.discharge_a.warning),
            D::DischargeCurrentFatal => above(self.current_a, a, s.discharge_a.fatal),
            D::DischargePulseFatal => above(self.current_a, a, s.pulse_discharge_a),
            D::ChargeCurrentWarning => above(-self.current_a, a, s.charge_a.warning),
            D::ChargeCurrentFatal => above(-self.current_a, a, s.charge_a.fatal),
            D::ChargePulseFatal => above(-self.current_a, a, s.pulse_charge_a),
            D::DischargeHotWarning => above(self.hottest_c, k, s.discharge_hot_c.warning),
            D::DischargeHotFatal => above(self.hottest_c, k, s.discharge_hot_c.fatal),
            D::ChargeHotWarning => above(self.hottest_c, k, s.charge_hot_c.warning),
            D::ChargeHotFatal => above(self.hottest_c, k, s.charge_hot_c.fatal),
            D::DischargeColdWarning => below(self.coldest_c, k, s.discharge_cold_c.warning),
            D::DischargeColdFatal => below(self.coldest_c, k, s.discharge_cold_c.fatal),
            D::ChargeColdWarning => below(self.coldest_c, k, s.charge_cold_c.warning),
            D::ChargeColdFatal => below(self.coldest_c, k, s.charge_cold_c.fatal),
            D::TemperatureSpreadWarning => above(self.spread_k, 2.0 * k, s.spread_k.warning),
            D::TemperatureSpreadFatal => above(self.spread_k, 2.0 * k, s.spread_k.fatal),
            D::ImbalanceWarning => above(self.soc_spread, 0.0, s.imbalance[1]),
            _ => false,
        }
    }
}

/// Watches a day.
struct Watcher {
    settings: SafetySettings,
    seed: u64,
    ambient_c: f64,
    /// What the truth explains, and when it last did.
    explained_s: Vec<(Diagnosis, f64)>,
    reacting: Vec<Diagnosis>,
    day: Day,
}

impl Watcher {
    fn see(&mut self, seen: &Seen<'_>) {
        self.day.watched_h += seen.dt_s / 3600.0;
        let ledger = seen.core.ledger();
        if ledger.level().is_none() {
            self.reacting.clear();
            return;
        }
        let truth = Extremes::of(seen);
        for d in ledger.detections() {
            let reacts = ledger.status(d.id) == Status::Reacting;
            if truth.explains(d.id, &self.settings) {
                self.explained_s.retain(|(id, _)| *id != d.id);
                self.explained_s.push((d.id, seen.time_s));
            }
            if !reacts || self.reacting.contains(&d.id) {
                continue;
            }
            self.reacting.push(d.id);
            if d.id.entry().level == Level::Information {
                self.day.told += 1;
                continue;
            }
            let lately = |(id, t): &(Diagnosis, f64)| *id == d.id && seen.time_s - t < REMEMBERED_S;
            if self.explained_s.iter().any(lately) {
                self.day.explained += 1;
            } else {
                self.day.false_trips.push(FalseTrip {
                    id: Some(d.id),
                    seed: self.seed,
                    ambient_c: self.ambient_c,
                    time_s: seen.time_s,
                    value: d.finding.value,
                    limit: d.finding.limit,
                });
            }
        }
        self.reacting.retain(|id| ledger.status(*id) == Status::Reacting);
    }
}

/// Drives a day: about five and a half hours in which the protection is awake.
///
/// # Errors
/// When the plant or the core refuses it.
pub fn day(seed: u64, pack: &PackType) -> Result<Day, ClosedLoopError> {
    let ambient_c = AMBIENT_C[seed as usize % AMBIENT_C.len()];
    let mut watcher = Watcher {
        settings: protection_settings(pack),
        seed,
        ambient_c,
        explained_s: Vec::new(),
        reacting: Vec::new(),
        day: Day { seed, watched_h: 0.0, false_trips: Vec::new(), explained: 0, told: 0 },
    };
    let options = Options { interval_s: Some(f64::INFINITY), protection: true };
    closed_loop::run_watched(&scenario(seed, ambient_c), pack, &options, &mut |_| (), &mut |seen| {
        watcher.see(seen);
        ControlFlow::Continue(())
    })?;
    Ok(watcher.day)
}

fn scenario(seed: u64, ambient_c: f64) -> Scenario {
    let drive = |cycle, repeat: u32| Task::Drive {
        cycle,
        repeat: Some(repeat),
        duration: None,
        until_soc: Some(0.08),
    };
    let charge = |mode, until_soc, hours: f64| Task::Charge {
        mode,
        charger_c_rate: None,
        charger_kw: None,
        until_soc,
        duration: Some(Seconds(3600.0 * hours)),
        plugged: true,
    };
    let park = |hours: f64, awake: bool, plugged: bool| Task::Park {
        duration: Seconds(3600.0 * hours),
        awake,
        plugged,
    };
    let mut tasks = Vec::new();
    if ambient_c < 5.0 {
        tasks.push(Task::Preheat {
            target_c: 10.0,
            time_available: Seconds(1800.0),
            hurry: true,
            plugged: true,
        });
    }
    tasks.extend([
        drive(CycleName::CltcP, 2),
        park(1.0, false, false),
        drive(CycleName::Us06, 3),
        charge(ChargeMode::Fast, Some(0.8), 1.0),
        drive(CycleName::Wltc3, 1),
        park(0.5, true, false),
        park(4.0, false, false),
        drive(CycleName::Us06, 3),
        charge(ChargeMode::Normal, None, 2.0),
    ]);
    Scenario {
        format_version: crate::scenario::FORMAT_VERSION,
        title: "a day of driving".into(),
        pack: std::path::PathBuf::new(),
        seed,
        ambient_c,
        start: Start {
            // Some days begin with a full pack, some with little.
            soc: [0.95, 0.75, 0.6, 0.45][seed as usize / AMBIENT_C.len() % 4],
            soc_spread: None,
            temperature_c: None,
            core_soc_error_points: 0.0,
            rested: true,
        },
        control: Control::default(),
        sensors: Sensors { corner: Some(SensorCorner::Limit) },
        phases: tasks.into_iter().map(|task| Phase { name: None, ambient_c: None, task }).collect(),
        faults: Vec::new(),
        expect: Expect::default(),
    }
}
