//! One fault in one operating mode: how soon it is diagnosed and answered.

use std::ops::ControlFlow;

use bms_core::safety::ledger::Status;
use bms_core::safety::table::{ACTUATION_MS, Diagnosis, Level, Reaction};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::Serialize;

use super::OperatingMode;
use super::catalog::{CATALOG, Hazard, Kind, Where, growth, place};
use super::names;
use super::packs::NAMES;
use crate::closed_loop::sensors::Ranges;
use crate::closed_loop::{self, BUILT_S, ClosedLoopError, Options, PackType, Seen, protection_settings};
use crate::scenario::{
    ChargeMode, Control, CycleName, Expect, Fault, FaultKind, Phase, Scenario, Seconds, Sensors, Start, Task,
};
use crate::sensors::SensorCorner;

/// The earliest time in s at which something breaks; what was made to work has settled by then.
const EARLIEST_S: f64 = 30.0;
/// When the drive ends in the mode that opens the contactors, and when it begins in the one that closes them.
const TURN_S: f64 = 60.0;
/// Watched for so long (s) after the last moment at which a reaction would have been in time.
const BEYOND_S: f64 = 5.0;
/// GB 38031-2025, 5.2.7 b: an alarm within five minutes, in ms.
const ALARM_MS: f64 = 300_000.0;
/// What is done in a mode is done for so long (s) at least, and for so much longer than a hazard is waited for.
const LEAST_S: f64 = 1500.0;
const LONGER_S: f64 = 300.0;
/// A drive that nobody stops goes on so many times.
const STUBBORN: usize = 20;
const DAY_S: f64 = 86_400.0;
const NIGHT_S: f64 = 11.0 * 3600.0;
/// The daily charge ends after so long (s), if it is not full before.
const DAILY_CHARGE_S: f64 = 5400.0;

/// What is done to which pack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    /// Number in the [`CATALOG`].
    pub kind: usize,
    /// Operating mode.
    pub mode: OperatingMode,
    /// Temperature of pack and surroundings in degC.
    pub temperature_c: f64,
    /// Number of the pack among those of the campaign.
    pub pack: usize,
    /// Seed of pack, sensors, place and size of the fault, and time.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Number in the [`CATALOG`].
    #[serde(skip)]
    pub kind: usize,
    /// Name of the fault.
    pub fault: &'static str,
    /// Operating mode.
    pub mode: OperatingMode,
    /// Temperature in degC.
    pub temperature_c: f64,
    /// Pack of the campaign.
    pub pack: &'static str,
    /// Groups in series.
    pub series: usize,
    /// Seed.
    pub seed: u64,
    /// What exactly was broken.
    #[serde(skip)]
    pub what: FaultKind,
    /// Accepted diagnosis that was made first.
    #[serde(serialize_with = "names::one")]
    pub detected_by: Option<Diagnosis>,
    /// Time from the hazard to its detection in ms; 0 if it was detected before.
    pub detection_ms: Option<f64>,
    /// Time from the hazard until contactors are open (actuation included), or the limit is withdrawn, or it is told.
    pub reaction_ms: Option<f64>,
    /// Time that was allowed in ms.
    pub allowed_ms: f64,
    /// Whether a hazard came up at all.
    pub hazard: bool,
    /// Whether the alarm of a thermal event came, where it must, in ms after the fault.
    pub alarm_ms: Option<f64>,
    /// Warnings and fatal diagnoses that were made before anything was broken.
    #[serde(serialize_with = "names::many")]
    pub false_before: Vec<Diagnosis>,
    /// The first warning or fatal diagnosis of all after the fault.
    #[serde(serialize_with = "names::one")]
    pub first: Option<Diagnosis>,
}

impl Outcome {
    /// The hazard came and was not answered, or not in time.
    #[must_use]
    pub fn missed(&self) -> bool {
        let late = self.reaction_ms.is_none_or(|ms| ms > self.allowed_ms + 0.5);
        let no_alarm = CATALOG[self.kind].alarm && self.alarm_ms.is_none_or(|ms| ms > ALARM_MS);
        self.hazard && (late || no_alarm)
    }
}

/// What is seen of a case while it runs.
struct Trace<'a> {
    kind: &'a Kind,
    what: FaultKind,
    /// Cell or sensor that is broken.
    place: Option<usize>,
    at_s: f64,
    full_a: f64,
    settings: bms_core::safety::settings::SafetySettings,
    current_a: Option<f64>,
    cell_v: Option<f64>,
    hazard_s: Option<f64>,
    detected: Option<(Diagnosis, f64)>,
    reacted_s: Option<f64>,
    alarm_s: Option<f64>,
    false_before: Vec<Diagnosis>,
    first: Option<Diagnosis>,
}

impl Trace<'_> {
    /// A place is that of the fault, or next to it.
    fn is_there(&self, found: Option<u16>) -> bool {
        found.zip(self.place).is_some_and(|(found, cell)| usize::from(found).abs_diff(cell) <= 1)
    }

    fn see(&mut self, seen: &Seen<'_>) -> ControlFlow<()> {
        let ledger = seen.core.ledger();
        let t = seen.time_s;
        // The first step that ends after it broke.
        if t < self.at_s + 0.05 {
            for d in ledger.detections().filter(|d| d.id.entry().level > Level::Information) {
                // What is broken from the start may be noticed.
                let latent = self.kind.latent.is_some() && self.is_there(d.finding.place);
                if !latent && !self.false_before.contains(&d.id) {
                    self.false_before.push(d.id);
                }
            }
            return ControlFlow::Continue(());
        }
        let current_a = seen.plant.pack().current_a();
        let before_a = *self.current_a.get_or_insert(current_a);
        let dangerous = match self.kind.hazard {
            Hazard::AtOnce => true,
            Hazard::When(is) => is(seen, &self.settings),
            Hazard::Moved { by } => (current_a - before_a).abs() > by * self.full_a,
            Hazard::CellMoved { by_v } => {
                let v = self.place.and_then(|k| seen.plant.pack().group_voltage_v().get(k).copied());
                v.is_some_and(|v| (v - *self.cell_v.get_or_insert(v)).abs() > by_v)
            }
            Hazard::Strayed { by } => {
                growth(&self.what).is_some_and(|rate| rate * (t - self.at_s) >= by * self.full_a)
            }
            Hazard::Grown { to } => growth(&self.what).is_some_and(|rate| rate * (t - self.at_s) >= to),
        };
        if dangerous && self.hazard_s.is_none() {
            // What is there at once was there from the start of the step, one that grows since its end.
            self.hazard_s = Some(if matches!(self.kind.hazard, Hazard::AtOnce) { t - seen.dt_s } else { t });
        }
        self.first = self.first.or_else(|| {
            let new = |id: &Diagnosis| !self.false_before.contains(id);
            ledger.detections().map(|d| d.id).find(|id| id.entry().level > Level::Information && new(id))
        });
        for d in ledger.detections().filter(|d| self.kind.accepted.contains(&d.id)) {
            // What is said of the whole pack names no cell.
            let there = self.kind.place == Where::Anywhere
                || d.finding.place.is_none()
                || self.is_there(d.finding.place);
            if there && self.detected.is_none() {
                self.detected = Some((d.id, t));
            }
            if there && self.reacted_s.is_none() && ledger.status(d.id) == Status::Reacting {
                let open = d.id.entry().reaction == Reaction::Open;
                if !open || seen.core.outcome().contactors == [false; 3] {
                    self.reacted_s = Some(t);
                }
            }
        }
        if self.alarm_s.is_none() && seen.core.outcome().alarm {
            self.alarm_s = Some(t);
        }
        let answered = self.reacted_s.is_some() && (!self.kind.alarm || self.alarm_s.is_some());
        let allowed_s = f64::from(self.kind.allowed_ms()) / 1000.0;
        let alarm_s = if self.kind.alarm { ALARM_MS / 1000.0 } else { 0.0 };
        let over = match self.hazard_s {
            Some(from_s) => t > from_s + allowed_s.max(alarm_s) + BEYOND_S,
            None => t > self.at_s + self.kind.patience_s,
        };
        if answered || over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Runs a case on its pack.
///
/// # Errors
/// When the plant or the core refuses it.
pub fn run(case: &Case, pack: &PackType) -> Result<Outcome, ClosedLoopError> {
    let kind = &CATALOG[case.kind];
    let mut rng = Pcg64::seed_from_u64(case.seed);
    let facts = pack.facts();
    let what = (kind.make)(facts, &mut rng);
    // Just before a step begins, at which it breaks.
    let at_s = EARLIEST_S + (10.0 * rng.random_range(0.0..15.0_f64)).round() / 10.0 - 0.001;
    let latent = kind.latent.map(|draw| draw(facts, &what, &mut rng));
    let mut scenario = scenario(case, &what, at_s, kind);
    scenario.faults.extend(latent.map(|what| Fault { at: Seconds(BUILT_S), what }));
    let ranges = Ranges::of(&pack.file, facts.capacity_ah);
    let mut trace = Trace {
        kind,
        what,
        place: place(&what).or_else(|| latent.as_ref().and_then(place)),
        at_s,
        full_a: ranges.full_scale_a,
        settings: protection_settings(pack),
        current_a: None,
        cell_v: None,
        hazard_s: None,
        detected: None,
        reacted_s: None,
        alarm_s: None,
        false_before: Vec::new(),
        first: None,
    };
    let options = Options { interval_s: Some(f64::INFINITY), protection: true };
    let ran = closed_loop::run_watched(&scenario, pack, &options, &mut |_| (), &mut |seen| trace.see(seen));
    match ran {
        // What the plant cannot bear is the end of the watching.
        Ok(_) | Err(ClosedLoopError::Step { .. }) => {}
        Err(other) => return Err(other),
    }
    let from_s = trace.hazard_s;
    let since = |t: f64| from_s.map_or(0.0, |from| (1000.0 * (t - from)).max(0.0));
    let opens = |id: Diagnosis| id.entry().reaction == Reaction::Open;
    // A fuse that has blown has ended the current: what is left is answered in the time for that.
    let blown = trace.detected.is_some_and(|(id, _)| id == Diagnosis::FuseBlown);
    let fuse_ms = if blown { Diagnosis::FuseBlown.entry().ftti_ms } else { 0 };
    Ok(Outcome {
        kind: case.kind,
        fault: kind.name,
        mode: case.mode,
        temperature_c: case.temperature_c,
        pack: NAMES.get(case.pack).copied().unwrap_or_default(),
        series: facts.series,
        seed: case.seed,
        what,
        detected_by: trace.detected.map(|(id, _)| id),
        detection_ms: trace.detected.map(|(_, t)| since(t)),
        reaction_ms: trace.reacted_s.map(|t| {
            let actuation_ms = trace.detected.map_or(0, |(id, _)| if opens(id) { ACTUATION_MS } else { 0 });
            since(t) + f64::from(actuation_ms)
        }),
        allowed_ms: f64::from(kind.allowed_ms().max(fuse_ms)),
        // What was answered before it became dangerous is answered.
        hazard: from_s.is_some() || trace.reacted_s.is_some(),
        alarm_ms: trace.alarm_s.map(|t| 1000.0 * (t - at_s)),
        false_before: trace.false_before,
        first: trace.first,
    })
}

fn scenario(case: &Case, what: &FaultKind, at_s: f64, kind: &Kind) -> Scenario {
    let name = kind.name;
    let long_s = LEAST_S.max(kind.patience_s + LONGER_S);
    let long = Some(Seconds(long_s));
    let drive = |cycle, seconds: f64| Task::Drive {
        cycle,
        repeat: None,
        duration: Some(Seconds(seconds)),
        until_soc: None,
    };
    let charge = |mode, plugged| Task::Charge {
        mode,
        charger_c_rate: None,
        charger_kw: None,
        until_soc: None,
        duration: if case.mode == OperatingMode::Daily { Some(Seconds(DAILY_CHARGE_S)) } else { long },
        plugged,
    };
    let tasks = match case.mode {
        // A driver stops when there is no power left; a load that ignores the limits does not.
        OperatingMode::Drive if matches!(what, FaultKind::LoadIgnores { .. }) => {
            (0..STUBBORN).map(|_| drive(CycleName::Us06, long_s)).collect()
        }
        OperatingMode::Drive => vec![drive(CycleName::Us06, long_s)],
        OperatingMode::Charge => vec![charge(ChargeMode::Normal, true)],
        OperatingMode::FastCharge => vec![charge(ChargeMode::Fast, true)],
        OperatingMode::Parked => vec![Task::Park { duration: Seconds(1500.0), awake: true, plugged: false }],
        OperatingMode::Preheat => vec![Task::Preheat {
            target_c: case.temperature_c + 40.0,
            time_available: Seconds(1500.0),
            hurry: true,
            plugged: true,
        }],
        OperatingMode::Balancing => vec![Task::Balance { duration: long }],
        OperatingMode::Closing => {
            vec![Task::Balance { duration: Some(Seconds(TURN_S)) }, drive(CycleName::Us06, 60.0)]
        }
        OperatingMode::Daily => {
            let night = || Task::Park { duration: Seconds(NIGHT_S), awake: false, plugged: false };
            let day =
                |_| [drive(CycleName::CltcP, 1800.0), night(), charge(ChargeMode::Normal, true), night()];
            (0..(long_s / DAY_S).ceil() as usize).flat_map(day).collect()
        }
        OperatingMode::Opening => {
            vec![drive(CycleName::CltcP, TURN_S), Task::Balance { duration: Some(Seconds(60.0)) }]
        }
    };
    let overcharged = matches!(what, FaultKind::LoadIgnores { current_a } if *current_a < 0.0)
        && !name.starts_with("over-current");
    let soc = match (case.mode, what) {
        (_, FaultKind::ChargerIgnores { .. }) => 0.93,
        (_, FaultKind::LoadIgnores { .. }) if overcharged => 0.95,
        (_, FaultKind::LoadIgnores { .. }) if name.starts_with("over-discharge") => 0.12,
        (_, FaultKind::LoadIgnores { current_a }) if *current_a > 0.0 => 0.8,
        (OperatingMode::FastCharge, _) => 0.25,
        (OperatingMode::Charge, _) => 0.4,
        _ => 0.6,
    };
    Scenario {
        format_version: crate::scenario::FORMAT_VERSION,
        title: format!("{name}, {}", case.mode.name()),
        pack: std::path::PathBuf::new(),
        seed: case.seed,
        ambient_c: case.temperature_c,
        start: Start {
            soc,
            soc_spread: None,
            temperature_c: None,
            core_soc_error_points: 0.0,
            rested: false,
        },
        control: Control::default(),
        sensors: Sensors { corner: Some(SensorCorner::Limit) },
        phases: tasks.into_iter().map(|task| Phase { name: None, ambient_c: None, task }).collect(),
        faults: vec![Fault { at: Seconds(at_s), what: *what }],
        expect: Expect::default(),
    }
}
