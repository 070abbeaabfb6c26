//! What `bms verify` scores beside the SOC of single cells, on the plants: state of power, state of health over whole
//! lives, packs and their control. Where the verified folder has recorded state-of-power tables, those too.
//!
//! By default so much of it runs that a program that got worse is noticed; `--full` runs all of it, and the state of
//! power also with sensors or an SOC better than due, which tells what its errors come from.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::control::{self, ControlScore};
use super::faults::{self, FaultScore};
use super::{Options, Part, Progress, VerifyError};
use crate::lives::{self, Life, LifeOutcome};
use crate::packs::{self, PackOptions, PackOutcome};
use crate::plants::PLANTS;
use crate::sensors::SensorCorner;
use crate::sop::{self, SopCase, SopError, SopFigures, SopOptions, Told, figures, tables};

/// The states beside the SOC of single cells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// State of power, one score for each thing it was measured against.
    pub power: Vec<PowerScore>,
    /// Whole lives.
    pub lives: Vec<LifeOutcome>,
    /// Packs.
    pub packs: Vec<PackOutcome>,
    /// Packs in closed loop.
    #[serde(default)]
    pub control: Vec<ControlScore>,
    /// Injected faults.
    #[serde(default)]
    pub faults: Option<FaultScore>,
    /// What was left out and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// What a state of power was scored against, and what the core knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerSource {
    /// The plants, with good sensors.
    Plants,
    /// The recorded tables, with good sensors.
    Tables,
    /// Experiment: the plants with sensors that have no error.
    IdealSensors,
    /// Experiment: the plants, the core being told the true SOC.
    TrueSoc,
    /// Experiment: both.
    IdealSensorsTrueSoc,
}

impl PowerSource {
    const EXPERIMENTS: [Self; 3] = [Self::IdealSensors, Self::TrueSoc, Self::IdealSensorsTrueSoc];

    /// In words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Plants => "plants",
            Self::Tables => "recorded tables",
            Self::IdealSensors => "plants, ideal sensors",
            Self::TrueSoc => "plants, true SOC told",
            Self::IdealSensorsTrueSoc => "plants, ideal sensors and true SOC told",
        }
    }

    /// Whether it is what the core is judged by.
    #[must_use]
    pub const fn judged(self) -> bool {
        matches!(self, Self::Plants | Self::Tables)
    }
}

/// State of power against one source; the cases themselves are not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerScore {
    /// Against what.
    pub source: PowerSource,
    /// Figures of groups of cases: the whole first, then by plant, by what limits the load, and so on.
    pub groups: Vec<PowerGroup>,
    /// Cases with the largest errors.
    pub worst: Vec<SopCase>,
    /// Cases in which the safe value exceeds the truth most.
    pub worst_safe: Vec<SopCase>,
}

/// Cases that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerGroup {
    /// What they have in common.
    #[serde(flatten)]
    pub key: PowerKey,
    /// Their figures.
    pub figures: SopFigures,
    /// Cases whose best estimate is further off than the target.
    pub beyond: usize,
}

/// What cases of a group have in common; `None` is anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PowerKey {
    /// Plant or recorded set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub set: Option<String>,
    /// State of health.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub soh: Option<f64>,
    /// Ambient temperature in degC.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ambient_c: Option<f64>,
    /// Discharge, or charge.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub discharge: Option<bool>,
    /// Horizon in s.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub horizon_s: Option<f64>,
    /// The limit that the plant meets first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limited_by: Option<String>,
    /// After a rest, or in a drive.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rested: Option<bool>,
}

impl PowerKey {
    /// In words; `all` for everything.
    #[must_use]
    pub fn label(&self) -> String {
        let parts = [
            self.set.clone(),
            self.soh.map(|s| format!("SOH {:.0} %", 100.0 * s)),
            self.ambient_c.map(|t| format!("{t:.0} degC")),
            self.rested.map(|r| if r { "rested" } else { "in a drive" }.into()),
            self.discharge.map(|d| if d { "discharge" } else { "charge" }.into()),
            self.horizon_s.map(|h| format!("{h:.0} s")),
            self.limited_by.as_ref().map(|by| format!("limited by {by}")),
        ];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        if text.is_empty() { "all".into() } else { text }
    }
}

/// Ways of grouping cases, the whole first.
const GROUPINGS: [fn(&SopCase) -> PowerKey; 9] = [
    |_| PowerKey::default(),
    by_set,
    |c| PowerKey { soh: Some(c.soh), ..PowerKey::default() },
    |c| PowerKey { ambient_c: Some(c.ambient_c), ..PowerKey::default() },
    |c| PowerKey { rested: Some(c.rested), ..by_direction(c) },
    |c| PowerKey { horizon_s: Some(c.horizon_s), ..by_direction(c) },
    |c| PowerKey { limited_by: Some(c.truth_by.clone()), ..by_direction(c) },
    |c| PowerKey { ambient_c: Some(c.ambient_c), discharge: Some(c.discharge), ..by_set(c) },
    |c| PowerKey {
        soh: Some(c.soh),
        ambient_c: Some(c.ambient_c),
        discharge: Some(c.discharge),
        horizon_s: Some(c.horizon_s),
        ..by_set(c)
    },
];

fn by_set(case: &SopCase) -> PowerKey {
    PowerKey { set: Some(case.set.clone()), ..PowerKey::default() }
}

fn by_direction(case: &SopCase) -> PowerKey {
    PowerKey { discharge: Some(case.discharge), ..PowerKey::default() }
}

/// Target of the best estimate in percent.
pub const POWER_PERCENT: f64 = 3.0;
/// Cases that are kept of the worst.
const WORST: usize = 10;

impl PowerScore {
    /// Figures of some cases; `None` if there are none.
    #[must_use]
    pub fn of(source: PowerSource, cases: &[SopCase]) -> Option<Self> {
        if cases.is_empty() {
            return None;
        }
        let mut groups = Vec::new();
        for grouping in GROUPINGS {
            let mut members: Vec<(PowerKey, Vec<SopCase>)> = Vec::new();
            for case in cases {
                let key = grouping(case);
                match members.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, list)) => list.push(case.clone()),
                    None => members.push((key, vec![case.clone()])),
                }
            }
            groups.extend(members.into_iter().filter_map(|(key, list)| {
                let beyond = list.iter().filter(|c| c.error().abs() > POWER_PERCENT).count();
                Some(PowerGroup { key, figures: figures(&list, |_| true)?, beyond })
            }));
        }
        let largest = |size: fn(&SopCase) -> f64| {
            let mut all: Vec<&SopCase> = cases.iter().collect();
            all.sort_by(|a, b| size(b).total_cmp(&size(a)));
            all.into_iter().take(WORST).cloned().collect()
        };
        let mut worst_safe: Vec<SopCase> = largest(SopCase::safe_error);
        worst_safe.retain(|c| c.safe_error() > 0.0);
        Some(Self { source, groups, worst: largest(|c| c.error().abs()), worst_safe })
    }

    /// Figures of all cases.
    #[must_use]
    pub fn all(&self) -> Option<&PowerGroup> {
        self.groups.first()
    }

    /// Groups that are told apart by just what `key` has.
    pub fn groups_like<'a>(&'a self, key: &PowerKey) -> impl Iterator<Item = &'a PowerGroup> + use<'a> {
        let shape = shape(key);
        self.groups.iter().filter(move |g| self::shape(&g.key) == shape)
    }

    /// One group for each plant or recorded set.
    pub fn sets(&self) -> impl Iterator<Item = &PowerGroup> {
        self.groups_like(&PowerKey { set: Some(String::new()), ..PowerKey::default() })
    }

    /// One group for each direction and limit.
    pub fn limits(&self) -> impl Iterator<Item = &PowerGroup> {
        let key = PowerKey { discharge: Some(true), limited_by: Some(String::new()), ..PowerKey::default() };
        self.groups_like(&key)
    }
}

const fn shape(key: &PowerKey) -> [bool; 7] {
    [
        key.set.is_some(),
        key.soh.is_some(),
        key.ambient_c.is_some(),
        key.discharge.is_some(),
        key.horizon_s.is_some(),
        key.limited_by.is_some(),
        key.rested.is_some(),
    ]
}

/// Added to the seeds of lives and packs, so that the ones they were developed with are not scored.
const SEEDS_ON: u64 = 100;
/// Packs of the quick run: one chemistry whose voltage shows its SOC, and the one whose does not.
const QUICK_PACKS: [&str; 2] = ["okane2022", "prada2013"];

/// Scores what belongs to the verification; `None` if nothing does.
///
/// # Errors
/// If a plant or a recorded table cannot be used.
pub fn run(options: &Options, progress: &dyn Progress) -> Result<Option<Health>, VerifyError> {
    let mut health = Health::default();
    let physics = options.data.join("physics");
    if options.whole() && options.wants(Part::Power) && physics.is_dir() {
        health.power.extend(power_of_tables(&physics, options, &mut health.notes, progress)?);
    }
    if options.wants_control() {
        health.control = control::run(options, progress)?;
    }
    if !options.whole_plants() {
        return Ok((health != Health::default()).then_some(health));
    }
    if options.wants(Part::Power) {
        health.power.splice(0..0, power_of_plants(options, progress)?);
    }
    if options.wants(Part::Lives) {
        health.lives = lives_of(options, progress)?;
    }
    if options.wants(Part::Packs) {
        health.packs = packs_of(options, progress)?;
    }
    if options.wants(Part::Faults) {
        health.faults = Some(faults::run(options, progress)?);
    }
    Ok((health != Health::default()).then_some(health))
}

/// Recorded tables; a cell that cannot be identified is left out and said so.
fn power_of_tables(
    physics: &Path,
    options: &Options,
    notes: &mut Vec<String>,
    progress: &dyn Progress,
) -> Result<Option<PowerScore>, VerifyError> {
    let cells = tables::folders(physics).map_err(SopError::from)?;
    progress.stage("state of power: recorded tables", cells.len());
    let mut cases = Vec::new();
    for cell in cells {
        match tables::of_cell(&cell, SensorCorner::Good, options.seed) {
            Err(SopError::Identify(e)) => {
                let name = cell.file_name().unwrap_or_default().display();
                notes.push(format!("state of power of physics/{name} is not scored: {e}"));
            }
            scored => cases.extend(scored?),
        }
        progress.advance(1);
    }
    Ok(PowerScore::of(PowerSource::Tables, &cases))
}

fn power_of_plants(options: &Options, progress: &dyn Progress) -> Result<Vec<PowerScore>, VerifyError> {
    let whole = SopOptions { seed: options.seed, ..SopOptions::default() };
    let wanted = if options.full {
        whole
    } else {
        SopOptions {
            soh: vec![1.0, 0.8],
            ambient_c: vec![-10.0, 10.0, 25.0],
            soc: vec![0.9, 0.5, 0.15],
            ..whole
        }
    };
    let drives = wanted.plants.len() * wanted.soh.len() * wanted.ambient_c.len();
    let experiments: &[PowerSource] = if options.full { &PowerSource::EXPERIMENTS } else { &[] };
    let mut scores = Vec::new();
    for source in std::iter::once(&PowerSource::Plants).chain(experiments) {
        use PowerSource::{IdealSensors, IdealSensorsTrueSoc, TrueSoc};
        let ideal = matches!(source, IdealSensors | IdealSensorsTrueSoc);
        let run = SopOptions {
            sensors: if ideal { SensorCorner::Ideal } else { SensorCorner::Good },
            told: Told { soc: matches!(source, TrueSoc | IdealSensorsTrueSoc) },
            ..wanted.clone()
        };
        progress.stage(&format!("state of power: {}", source.label()), drives);
        let cases = sop::run(&run, |_, _| progress.advance(1))?;
        scores.extend(PowerScore::of(*source, &cases));
    }
    Ok(scores)
}

fn lives_of(options: &Options, progress: &dyn Progress) -> Result<Vec<LifeOutcome>, VerifyError> {
    let of_plants = |life: Life| PLANTS.map(|p| Life { plant: p.name.into(), ..life.clone() });
    let mut lives =
        if options.full { lives::full() } else { lives::quick().into_iter().flat_map(of_plants).collect() };
    for life in &mut lives {
        life.seed += SEEDS_ON * options.seed;
    }
    progress.stage("whole lives", 1);
    let outcomes = lives::run(&lives)?;
    progress.advance(1);
    Ok(outcomes)
}

fn packs_of(options: &Options, progress: &dyn Progress) -> Result<Vec<PackOutcome>, VerifyError> {
    let whole = PackOptions { seed: SEEDS_ON * options.seed, ..PackOptions::default() };
    let (plants, wanted) = if options.full {
        (PLANTS.to_vec(), whole)
    } else {
        let plants = PLANTS.into_iter().filter(|p| QUICK_PACKS.contains(&p.name)).collect();
        (plants, PackOptions { packs: 1, days: 5, ambients_c: vec![25.0], compare: false, ..whole })
    };
    progress.stage("packs", 1);
    let outcomes = packs::run(&plants, &wanted)?;
    progress.advance(1);
    Ok(outcomes)
}

/// A figure that must not grow.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is, and of what.
    pub name: String,
    /// What was reached.
    pub value: f64,
    /// Its unit; empty for a number of things.
    pub unit: &'static str,
    /// Whether the plants are what it is over, rather than recorded data.
    pub plants: bool,
}

impl Health {
    /// What the state of power is judged by.
    pub fn judged(&self) -> impl Iterator<Item = &PowerScore> {
        self.power.iter().filter(|p| p.source.judged())
    }

    /// The figures that must not grow.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let mut all = Vec::new();
        for score in self.judged() {
            let plants = score.source == PowerSource::Plants;
            for g in score.sets() {
                let mut add = |what: &str, value: f64, unit: &'static str| {
                    all.push(Figure { name: format!("SOP {}: {what}", g.key.label()), value, unit, plants });
                };
                add("99th percentile", g.figures.p99, "%");
                add("safe value too high by", g.figures.safe_over, "%");
                add("safe values too high", g.figures.safe_over_cases as f64, "");
            }
        }
        for o in &self.lives {
            let mut add = |what: &str, value: Option<f64>, unit: &'static str| {
                let name = format!("life {}: {what}", o.life.label());
                all.extend(value.map(|value| Figure { name, value, unit, plants: true }));
            };
            add("SOH_Q", o.soh_q_max_points(), "points");
            add("SOH_R", o.soh_r_max_percent(), "%");
            add("SOC", o.soc_max_points(), "points");
        }
        for p in &self.packs {
            let mut add = |what: &str, value: f64, unit: &'static str| {
                let name = format!("pack {}: {what}", p.label());
                all.push(Figure { name, value, unit, plants: true });
            };
            add("largest SOC error of a cell", p.bms.max_points, "points");
            add("false leaks", p.false_leaks as f64, "");
            if let Some(leak) = &p.leak {
                add("leaks not found", f64::from(u8::from(leak.detected_h.is_none())), "");
            }
        }
        all.extend(self.control.iter().flat_map(ControlScore::figures));
        all.extend(self.faults.iter().flat_map(FaultScore::figures));
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cell_file::Chemistry;
    use crate::lives::{CheckUp, Habit};
    use crate::packs::{LeakOutcome, PackScore};

    /// A limit of 100 W with an estimate and a safe value.
    pub(crate) fn limit(set: &str, discharge: bool, best: f64, safe: f64) -> SopCase {
        SopCase {
            set: set.into(),
            soh: 0.8,
            ambient_c: -10.0,
            soc: 0.5,
            rested: true,
            discharge,
            horizon_s: 10.0,
            power: true,
            truth: 100.0,
            truth_by: if discharge { "voltage" } else { "plating" }.into(),
            best,
            best_by: "voltage".into(),
            safe,
            rated: 100.0,
            soc_error: 0.01,
            resistance_scale: 1.0,
        }
    }

    /// A life with one check-up before and two after it settled, with these errors in points and percent.
    pub(crate) fn life(soh_q_points: f64, soh_r_percent: f64) -> LifeOutcome {
        let at = |day: usize, cycles, q: f64, r: f64| CheckUp {
            day,
            cycles,
            soh_q: 0.9,
            soh_q_estimated: 0.9 + q / 100.0,
            soh_q_std: 0.01,
            soh_r: 1.2,
            soh_r_estimated: 1.2 * (1.0 + r / 100.0),
            soh_r_std: 0.012,
            soc_max_points: 1.5,
            windows: 7,
        };
        LifeOutcome {
            life: Life::of("okane2022", Habit::DEEP, 7),
            chemistry: Chemistry::Nmc,
            check_ups: vec![
                at(5, 10.0, 20.0, 20.0),
                at(50, 40.0, soh_q_points, soh_r_percent),
                at(55, 45.0, 0.1, 0.1),
            ],
        }
    }

    /// A pack of cells with this largest error and a leak that was found or not.
    pub(crate) fn pack(max_points: f64, detected_h: Option<f64>) -> PackOutcome {
        PackOutcome {
            plant: "prada2013".into(),
            chemistry: Chemistry::Lfp,
            ambient_c: 25.0,
            pack: 0,
            cells: 100,
            hours: 80.0,
            scored_from_s: 900.0,
            bms: PackScore { max_points, p99_points: 0.5, rmse_points: 0.2, coverage: 1.0 },
            full_filters: None,
            weakest_max_points: 0.9,
            fullest_max_points: 0.8,
            pack_soc_max_points: 0.7,
            capacity_rmse_percent: 0.3,
            capacity_spread_percent: 1.5,
            current_offset_max_a: 0.001,
            leak: Some(LeakOutcome { cell: 3, true_a: 0.002, estimated_a: 0.002, std_a: 1e-4, detected_h }),
            false_leaks: 0,
        }
    }

    /// One discharge limit 5 % too high, one charge limit right with a safe value 2 % too high.
    pub(crate) fn health() -> Health {
        let cases = [limit("kim2011", true, 105.0, 90.0), limit("okane2022", false, 100.0, 102.0)];
        Health {
            power: vec![PowerScore::of(PowerSource::Plants, &cases).unwrap()],
            lives: vec![life(-2.5, 3.5)],
            packs: vec![pack(1.2, Some(72.0))],
            control: Vec::new(),
            faults: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn cases_are_grouped_by_what_they_share() {
        let health = health();
        let score = &health.power[0];
        let all = score.all().unwrap();
        assert_eq!((all.key.label(), all.figures.cases, all.beyond), ("all".into(), 2, 1));
        let sets: Vec<_> = score.sets().map(|g| (g.key.label(), g.figures.cases)).collect();
        assert_eq!(sets, [("kim2011".into(), 1), ("okane2022".into(), 1)]);
        let limits: Vec<_> = score.limits().map(|g| (g.key.label(), g.beyond)).collect();
        assert_eq!(
            limits,
            [("discharge, limited by voltage".into(), 1), ("charge, limited by plating".into(), 0)]
        );
        assert_eq!(score.worst[0].set, "kim2011");
        assert_eq!(score.worst_safe.len(), 1, "the other one is below the truth");
        assert!(PowerScore::of(PowerSource::Tables, &[]).is_none());
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let health = health();
        let text = serde_json::to_string(&health).unwrap();
        assert_eq!(serde_json::from_str::<Health>(&text).unwrap(), health);
    }

    #[test]
    fn experiments_have_no_bounds() {
        let mut health = health();
        let figures = health.figures();
        let value = |name: &str| figures.iter().find(|f| f.name == name).map(|f| f.value);
        assert!((value("SOP kim2011: 99th percentile").unwrap() - 5.0).abs() < 1e-9);
        assert!((value("SOP okane2022: safe values too high").unwrap() - 1.0).abs() < 1e-9);
        assert!((value("life okane2022, 80 to 20 %, seed 7: SOH_R").unwrap() - 3.5).abs() < 1e-9);
        assert!((value("pack prada2013, 25 degC, 0: leaks not found").unwrap()).abs() < 1e-9);
        health.power[0].source = PowerSource::TrueSoc;
        assert!(health.figures().iter().all(|f| !f.name.starts_with("SOP")));
    }
}
