//! The pack in closed loop with the core, over many packs: targets 6, 7 and 8 of the acceptance protocol.
//!
//! ```text
//! scenarios/targets/*.toml ─┐   ┌─ whole control, passive, each part off ─┐
//!                           ├─► │  × packs: cells, films and sensors drawn │ ─► Summary ─► Reached per quantity
//! packs/*.toml ─► PackType ─┘   └─ anew from one seed each ────────────────┘
//! ```
//!
//! Scenarios and packs are built into the program. Temperatures and states of charge are the plant's own, never the core's.
//! Variants of a scenario run the same packs, so that what differs is the control.

mod cases;
mod quantity;
mod targets;

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

/// How many packs are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packs {
    /// With the whole control, in the scenarios that are short.
    pub short: usize,
    /// With the whole control in the others, and with none.
    pub whole: usize,
    /// With a part of it off.
    pub parts: usize,
    /// Seed of the first; the others follow.
    pub first_seed: u64,
}

/// Packs of the acceptance protocol, and of the run that a change of the program is judged by.
const ALL_PACKS: usize = 200;
const SOME_WHOLE: usize = 16;
const SOME_PARTS: usize = 4;
/// Seeds of the packs; the scenarios themselves, which everybody looks at, have seed 1.
const FIRST_SEED: u64 = 1000;
/// Seeds that belong to one seed of the verification.
const SEEDS: u64 = 10_000;

impl Packs {
    /// As a verification asks for.
    #[must_use]
    pub const fn of_run(options: &Options) -> Self {
        let [whole, parts] = if options.full { [ALL_PACKS; 2] } else { [SOME_WHOLE, SOME_PARTS] };
        Self { short: ALL_PACKS, whole, parts, first_seed: FIRST_SEED + SEEDS * options.seed }
    }

    /// How many packs one variant of a scenario is run with.
    fn of(&self, case: &Case, variant: &Variant) -> usize {
        let first = case.variants.first().is_some_and(|whole| whole.name == variant.name);
        match (variant.part, first && case.short) {
            (true, _) => self.parts,
            (false, true) => self.short,
            (false, false) => self.whole,
        }
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
/// When a scenario, a pack or the core's settings cannot be used.
pub fn run(options: &Options, progress: &dyn Progress) -> Result<Vec<ControlScore>, VerifyError> {
    score(CASES, &Packs::of_run(options), progress)
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
        let jobs: Vec<(&Variant, u64)> = case
            .variants
            .iter()
            .flat_map(|v| (0..packs.of(case, v) as u64).map(move |k| (v, packs.first_seed + k)))
            .collect();
        progress.stage(&format!("control: {}", scenario.title), jobs.len());
        let runs = jobs
            .par_iter()
            .map(|(variant, seed)| {
                let reached = one(scenario, variant, *seed, pack);
                progress.advance(1);
                reached
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut runs = runs.into_iter();
        for variant in case.variants {
            let of_variant: Vec<_> = runs.by_ref().take(packs.of(case, variant)).collect();
            scores.push(collected(case, variant, scenario, pack, &of_variant));
        }
    }
    Ok(scores)
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
