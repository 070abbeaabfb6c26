//! The pack in closed loop with the core, over many packs: targets 6, 7 and 8 of the acceptance protocol.
//!
//! ```text
//! scenarios/targets/*.toml ─┐   ┌─ whole control, passive, each part off ─┐
//!                           ├─► │  × packs: cells, films and sensors drawn │ ─► Summary ─► Reached per quantity
//! packs/*.toml ─► PackType ─┘   └─ anew from one seed each ────────────────┘
//! ```
//!
//! Scenarios and packs are built into the program. Temperatures and states of charge are the plant's own, never the core's.
//! Variants of a scenario run the same packs, so that what differs is the control. A part that is switched off without any
//! change to the first packs, to the last bit of all figures of their runs, does not act in a scenario: the others are not
//! run with it.

mod cases;
mod quantity;
mod targets;

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::health::Figure;
use super::{Options, Progress, VerifyError};
use crate::closed_loop::{self, ClosedLoopError, PackType};
use crate::pack_file::PackFile;
use crate::recording::Summary;
use crate::scenario::Scenario;

pub use cases::{CASES, Case, Variant};
pub use quantity::Quantity;
pub use targets::outcomes;

/// Which packs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packs {
    /// How many with the whole control …
    pub count: usize,
    /// … and how many where something is switched off for comparison.
    pub compared: usize,
    /// A variant that changes nothing in so many of them, to the last bit, does not act: no more of it are run.
    pub first: usize,
    /// Seed of the first; the others follow.
    pub first_seed: u64,
}

/// Packs of the acceptance protocol.
const PACKS: usize = 200;
/// For comparison, unless all are asked for.
const COMPARED: usize = 8;
const FIRST: usize = 3;
/// Seeds of the packs; the scenarios themselves, which everybody looks at, have seed 1.
const FIRST_SEED: u64 = 1000;
/// Seeds that belong to one seed of the verification.
const SEEDS: u64 = 10_000;

impl Packs {
    /// As a verification asks for.
    #[must_use]
    pub const fn of_run(options: &Options) -> Self {
        let compared = if options.full { PACKS } else { COMPARED };
        Self { count: PACKS, compared, first: FIRST, first_seed: FIRST_SEED + SEEDS * options.seed }
    }

    /// How many of a variant.
    fn of(&self, variant: &Variant) -> usize {
        if variant.whole() { self.count } else { self.compared }
    }
}

/// What the packs of one variant of a scenario reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlScore {
    /// Target of the acceptance protocol.
    pub target: u32,
    /// Name of the scenario's file.
    pub scenario: String,
    /// Title of the scenario.
    pub title: String,
    /// Name of the pack.
    pub pack: String,
    /// What of the control is on.
    pub variant: String,
    /// Whether that is all of it.
    pub whole: bool,
    /// Whether it makes a difference to the whole control; where it does not, few packs have shown that.
    pub acts: bool,
    /// What the target is about.
    pub main: Quantity,
    /// Its limit, inclusive.
    pub limit: f64,
    /// Voltage that no cell may fall below, in V.
    pub lowest_allowed_v: f64,
    /// Number of packs.
    pub packs: usize,
    /// Packs of them that the plant stopped, such as by a blown fuse.
    pub stopped: usize,
    /// The main quantity of each of the other packs.
    pub values: Vec<f64>,
    /// Every quantity that at least one pack came to.
    pub reached: Vec<Reached>,
}

/// One quantity over many packs. `p95` and `worst` are on its bad side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// Which.
    pub quantity: Quantity,
    /// Packs that came to it.
    pub packs: usize,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// 95 % of the packs are this good or better.
    pub p95: f64,
    /// The worst pack.
    pub worst: f64,
}

impl Reached {
    /// Of a value of each pack; `None` without any.
    #[must_use]
    pub fn of(quantity: Quantity, values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        if quantity.least_counts() {
            sorted.reverse();
        }
        // Nearest rank: a value that one of the packs has.
        let best = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.max(1) - 1).copied()
        };
        Some(Self {
            quantity,
            packs: sorted.len(),
            median: best(0.5)?,
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            p95: best(0.95)?,
            worst: best(1.0)?,
        })
    }
}

impl ControlScore {
    /// What was reached of a quantity.
    #[must_use]
    pub fn of(&self, quantity: Quantity) -> Option<&Reached> {
        self.reached.iter().find(|r| r.quantity == quantity)
    }

    /// Packs that keep the limit of the main quantity.
    #[must_use]
    pub fn within(&self) -> usize {
        self.values.iter().filter(|v| **v <= self.limit).count()
    }

    /// Whether all packs keep it.
    #[must_use]
    pub fn met(&self) -> bool {
        self.within() == self.packs
    }

    /// The figures that must not grow; none where a part of the control is off.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        if !self.whole {
            return Vec::new();
        }
        let figure = |what: &str, value: f64, unit: &'static str| Figure {
            name: format!("control {}: {what}", self.scenario),
            value,
            unit,
            plants: true,
        };
        let mut all = vec![figure("packs stopped", self.stopped as f64, "")];
        for r in &self.reached {
            if let Some((what, unit, of)) = r.quantity.bounded(self.target) {
                all.push(figure(what, of(r.worst), unit));
                if r.quantity == self.main {
                    all.push(figure(&format!("{what}, 95 % of the packs"), of(r.p95), unit));
                }
            }
        }
        all
    }
}

/// Runs what belongs to the verification.
///
/// # Errors
/// When a scenario, a pack or the core's settings cannot be used, or no scenario has the filter in its name.
pub fn run(options: &Options, progress: &dyn Progress) -> Result<Vec<ControlScore>, VerifyError> {
    let filter = options.filter.as_deref().unwrap_or_default();
    let cases: Vec<Case> = CASES.iter().filter(|case| case.name.contains(filter)).copied().collect();
    if cases.is_empty() {
        return Err(VerifyError::NoScenario { filter: filter.into() });
    }
    score(&cases, &Packs::of_run(options), progress)
}

/// Runs some scenarios with all their variants.
///
/// # Errors
/// As [`run`].
pub fn score(
    cases: &[Case],
    packs: &Packs,
    progress: &dyn Progress,
) -> Result<Vec<ControlScore>, VerifyError> {
    let scenarios = cases.iter().map(Case::scenario).collect::<Result<Vec<_>, _>>()?;
    let mut files: Vec<&cases::BuiltIn> = Vec::new();
    let of_case: Vec<usize> = cases
        .iter()
        .map(|case| {
            files.iter().position(|f| f.name == case.pack.name).unwrap_or_else(|| {
                files.push(case.pack);
                files.len() - 1
            })
        })
        .collect();
    progress.stage("control: cells in the laboratory", files.len());
    let types = files
        .par_iter()
        .map(|file| {
            let made = PackType::new(PackFile::parse(file.text, file.name.as_ref())?)?;
            progress.advance(1);
            Ok(made)
        })
        .collect::<Result<Vec<_>, VerifyError>>()?;
    let mut scores = Vec::new();
    for ((case, scenario), pack) in cases.iter().zip(&scenarios).zip(of_case) {
        let pack = &types[pack];
        scenario.check_against(pack.facts())?;
        let counts: Vec<usize> = case.variants.iter().map(|v| packs.of(v)).collect();
        progress.stage(&format!("control: {}", scenario.title), counts.iter().sum());
        let run = |variants: &[&Variant], which: Range<usize>| {
            many(scenario, variants, packs.first_seed, which, pack, progress)
        };
        let first = counts.iter().copied().min().unwrap_or(0).min(packs.first);
        let mut runs = run(&case.variants.iter().collect::<Vec<_>>(), 0..first)?;
        // Numbers are written with all their digits, and what is no number equals itself.
        let shown: Vec<String> = runs.iter().map(|packs| format!("{packs:?}")).collect();
        let acts = |k: usize| k == 0 || shown[k] != shown[0];
        for (k, variant) in case.variants.iter().enumerate() {
            if acts(k) {
                runs[k].extend(run(&[variant], first..counts[k])?.into_iter().flatten());
            } else {
                progress.advance(counts[k] - first);
            }
        }
        for (k, (variant, runs)) in case.variants.iter().zip(&runs).enumerate() {
            scores.push(collected(case, variant, acts(k), scenario, pack, runs));
            // Beside the other variants, what the whole control reaches with the same packs.
            if variant.whole() && packs.compared < runs.len() && case.variants.len() > 1 {
                let same = &runs[..packs.compared];
                scores.push(collected(case, &Variant::SAME_PACKS, true, scenario, pack, same));
            }
        }
    }
    Ok(scores)
}

/// Some packs with each of some variants.
fn many(
    scenario: &Scenario,
    variants: &[&Variant],
    first_seed: u64,
    which: Range<usize>,
    pack: &PackType,
    progress: &dyn Progress,
) -> Result<Vec<Vec<Option<Summary>>>, ClosedLoopError> {
    let count = which.len();
    let mut jobs = Vec::with_capacity(variants.len() * count);
    for variant in variants {
        jobs.extend(which.clone().map(|k| (*variant, first_seed + k as u64)));
    }
    let runs = jobs
        .par_iter()
        .map(|(variant, seed)| {
            let reached = one(scenario, variant, *seed, pack);
            progress.advance(1);
            reached
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut runs = runs.into_iter();
    Ok(variants.iter().map(|_| runs.by_ref().take(count).collect()).collect())
}

/// One pack; `None` when the plant stops it.
fn one(
    scenario: &Scenario,
    variant: &Variant,
    seed: u64,
    pack: &PackType,
) -> Result<Option<Summary>, ClosedLoopError> {
    let mut own = scenario.clone();
    own.seed = seed;
    (variant.change)(&mut own.control);
    // Figures come from every step, and no rows are wanted.
    let options = closed_loop::Options { interval_s: Some(f64::INFINITY), ..Default::default() };
    match closed_loop::run(&own, pack, &options, &mut |_| ()) {
        Ok(recording) => Ok(Some(recording.summary)),
        Err(ClosedLoopError::Step { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

fn collected(
    case: &Case,
    variant: &Variant,
    acts: bool,
    scenario: &Scenario,
    pack: &PackType,
    runs: &[Option<Summary>],
) -> ControlScore {
    let values = |q: Quantity| -> Vec<f64> {
        runs.iter().flatten().filter_map(|s| q.of(s)).filter(|v| v.is_finite()).collect()
    };
    let shown = Quantity::ALL.into_iter().filter(|q| q.belongs_to(case.target));
    ControlScore {
        target: case.target,
        scenario: case.name.into(),
        title: scenario.title.clone(),
        pack: pack.file.name.clone(),
        variant: variant.name.into(),
        whole: variant.whole(),
        acts,
        main: case.main,
        limit: case.limit,
        lowest_allowed_v: pack.facts().cell_limits_v[0],
        packs: runs.len(),
        stopped: runs.iter().filter(|r| r.is_none()).count(),
        values: values(case.main),
        reached: shown.filter_map(|q| Reached::of(q, &values(q))).collect(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
