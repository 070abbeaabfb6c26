//! All cases and all days, and what they add up to.

use bms_core::safety::table::Diagnosis;
use rayon::prelude::*;
use serde::Serialize;

use super::case::{self, Case, Outcome};
use super::catalog::{CATALOG, Kind};
use super::driving::{self, Day, FalseTrip};
use super::packs::{CAR, LFP, SMALL, packs};
use crate::closed_loop::ClosedLoopError;
use crate::verify::Progress;

/// Temperatures of the matrix in degC.
pub const TEMPERATURES_C: [f64; 3] = [-20.0, 25.0, 45.0];
/// Packs of the days of driving, one day after another, and of the cases that are drawn.
const DRIVEN: [usize; 8] = [SMALL, SMALL, LFP, CAR, SMALL, LFP, SMALL, CAR];
const DRAWN: [usize; 4] = [SMALL, CAR, LFP, CAR];
/// Every so many cases of a kind, at least one of each kind, one is done with the LFP pack too.
const LFP_EVERY: usize = 5;
/// A day of driving has about so many hours in which the protection is awake.
const DAY_H: f64 = 4.9;
/// Seeds of cases and of days.
const FIRST_SEED: u64 = 500_000;
/// … and of the cases with the LFP pack, beyond all others.
const LFP_SEED: usize = 500_000;

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    /// Every so many cases of the matrix of faults, modes and temperatures one is run: 1 for all.
    pub every: usize,
    /// Cases that are drawn beside it.
    pub drawn: usize,
    /// Hours of normal driving.
    pub driving_h: f64,
    /// Seed of all.
    pub seed: u64,
}

impl Effort {
    /// The whole matrix once and 100 hours.
    pub const DEFAULT: Self = Self { every: 1, drawn: 200, driving_h: 100.0, seed: 0 };
    /// Many more draws and 1000 hours, as the acceptance protocol asks for.
    pub const FULL: Self = Self { every: 1, drawn: 3000, driving_h: 1000.0, seed: 0 };
    /// A part, for a verification that is to end soon.
    pub const BRIEF: Self = Self { every: 6, drawn: 0, driving_h: 20.0, seed: 0 };
}

/// Everything that was found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Campaign {
    /// Every case.
    pub cases: Vec<Outcome>,
    /// Every day.
    pub days: Vec<Day>,
}

/// Times of one kind of fault over its cases.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// Which.
    pub kind: &'a Kind,
    /// Its cases in which a hazard came up.
    pub cases: usize,
    /// Cases in which none did.
    pub harmless: usize,
    /// Diagnoses that were made, with how often, the most frequent first.
    pub by: Vec<(Diagnosis, usize)>,
    /// Median and longest time to detection in ms.
    pub detection_ms: [f64; 2],
    /// Longest time to the end of the reaction in ms.
    pub worst_ms: f64,
    /// Time that was allowed in ms.
    pub allowed_ms: f64,
    /// What was left of its time in the worst case, in ms.
    pub margin_ms: f64,
    /// Cases that were not answered in time.
    pub missed: usize,
}

impl Campaign {
    /// A row for each kind of fault that was tried.
    #[must_use]
    pub fn rows(&self) -> Vec<Row<'static>> {
        let row = |(number, kind): (usize, &'static Kind)| {
            let all: Vec<&Outcome> = self.cases.iter().filter(|c| c.kind == number).collect();
            let dangerous: Vec<&&Outcome> = all.iter().filter(|c| c.hazard).collect();
            if all.is_empty() {
                return None;
            }
            let mut by: Vec<(Diagnosis, usize)> = Vec::new();
            for id in dangerous.iter().filter_map(|c| c.detected_by) {
                match by.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, n)) => *n += 1,
                    None => by.push((id, 1)),
                }
            }
            by.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
            let mut detection_ms: Vec<f64> = dangerous.iter().filter_map(|c| c.detection_ms).collect();
            detection_ms.sort_by(f64::total_cmp);
            let median = detection_ms.get(detection_ms.len() / 2).copied().unwrap_or(f64::NAN);
            let worst = detection_ms.last().copied().unwrap_or(f64::NAN);
            Some(Row {
                kind,
                cases: dangerous.len(),
                harmless: all.len() - dangerous.len(),
                by,
                detection_ms: [median, worst],
                worst_ms: dangerous.iter().filter_map(|c| c.reaction_ms).fold(f64::NAN, f64::max),
                allowed_ms: f64::from(kind.allowed_ms()),
                margin_ms: dangerous
                    .iter()
                    .filter_map(|c| Some(c.allowed_ms - c.reaction_ms?))
                    .fold(f64::NAN, f64::min),
                missed: dangerous.iter().filter(|c| c.missed()).count(),
            })
        };
        CATALOG.iter().enumerate().filter_map(row).collect()
    }

    /// Cases in which a hazard came up.
    #[must_use]
    pub fn dangerous(&self) -> usize {
        self.cases.iter().filter(|c| c.hazard).count()
    }

    /// Cases that were not answered in time.
    pub fn missed(&self) -> impl Iterator<Item = &Outcome> {
        self.cases.iter().filter(|c| c.missed())
    }

    /// Diagnoses before anything was broken, and reactions without a reason in normal driving.
    #[must_use]
    pub fn false_trips(&self) -> usize {
        let before: usize = self.cases.iter().map(|c| c.false_before.len()).sum();
        before + self.days.iter().map(|d| d.false_trips.len()).sum::<usize>()
    }

    /// False trips of normal driving.
    pub fn driven_trips(&self) -> impl Iterator<Item = &FalseTrip> {
        self.days.iter().flat_map(|d| &d.false_trips)
    }

    /// Hours of normal driving.
    #[must_use]
    pub fn driven_h(&self) -> f64 {
        self.days.iter().map(|d| d.watched_h).sum()
    }

    /// Least share of the allowed time that was left in a case with a fault-tolerant time, in percent.
    #[must_use]
    pub fn least_margin_percent(&self) -> f64 {
        let share = |c: &Outcome| Some(100.0 * (1.0 - c.reaction_ms? / c.allowed_ms));
        let judged = self.cases.iter().filter(|c| c.hazard && CATALOG[c.kind].row().ftti_ms > 0);
        judged.filter_map(share).fold(100.0, f64::min)
    }

    /// Nothing was missed and nothing tripped falsely.
    #[must_use]
    pub fn met(&self) -> bool {
        self.missed().next().is_none() && self.false_trips() == 0
    }
}

/// The cases of an effort: the matrix on the small NMC pack, a part of it on the LFP pack, then drawn ones on all.
#[must_use]
pub fn cases(effort: &Effort) -> Vec<Case> {
    let matrix = CATALOG.iter().enumerate().flat_map(|(kind, k)| {
        k.modes.iter().flat_map(move |&mode| {
            let at = TEMPERATURES_C.into_iter().filter(move |t| mode.happens_at(*t));
            at.map(move |temperature_c| (kind, mode, temperature_c))
        })
    });
    let matrix: Vec<_> = matrix.collect();
    let first = FIRST_SEED + 1_000_000 * effort.seed;
    let seed = |k: usize| first + k as u64;
    let mut all: Vec<Case> = Vec::new();
    for (k, &(kind, mode, temperature_c)) in matrix.iter().enumerate().step_by(effort.every.max(1)) {
        all.push(Case { kind, mode, temperature_c, pack: 0, seed: seed(k) });
    }
    for k in 0..effort.drawn {
        // In turns, with places, sizes and times drawn by the seed.
        let (kind, mode, temperature_c) = matrix[(k * 7919) % matrix.len()];
        all.push(Case {
            kind,
            mode,
            temperature_c,
            pack: DRAWN[k % DRAWN.len()],
            seed: seed(matrix.len() + k),
        });
    }
    // Other modes and temperatures for every kind and campaign; their seeds do not depend on how much else is drawn.
    let mut number = 0;
    for kind in 0..CATALOG.len() {
        let of: Vec<_> = matrix.iter().filter(|(k, ..)| *k == kind).collect();
        let every = LFP_EVERY.min(of.len());
        let turn = |k: &usize| (k + kind + effort.seed as usize).is_multiple_of(every);
        for &(kind, mode, temperature_c) in (0..of.len()).filter(turn).map(|k| of[k]) {
            if number % effort.every.max(1) == 0 {
                all.push(Case { kind, mode, temperature_c, pack: LFP, seed: seed(LFP_SEED + number) });
            }
            number += 1;
        }
    }
    all
}

/// Runs a campaign; of the cases only those of faults whose name contains `filter`.
///
/// # Errors
/// When a pack cannot be made or the core refuses its settings.
pub fn run(effort: &Effort, filter: &str, progress: &dyn Progress) -> Result<Campaign, ClosedLoopError> {
    progress.stage("faults: cell in the laboratory", 1);
    let packs = packs()?;
    let mut all = cases(effort);
    all.retain(|c| CATALOG[c.kind].name.contains(filter));
    progress.stage("faults: injected", all.len());
    let cases = all
        .par_iter()
        .map(|c| {
            let outcome = case::run(c, &packs[c.pack]);
            progress.advance(1);
            outcome
        })
        .collect::<Result<Vec<_>, _>>()?;
    let days = (effort.driving_h / DAY_H).ceil() as u64;
    progress.stage("faults: normal driving", days as usize);
    let first = FIRST_SEED + 1_000_000 * effort.seed;
    let days = (0..days)
        .into_par_iter()
        .map(|k| {
            let day = driving::day(first + k, &packs[DRIVEN[k as usize % DRIVEN.len()]]);
            progress.advance(1);
            day
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Campaign { cases, days })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::OperatingMode;
    use bms_core::safety::table::Level;

    /// The whole matrix is run once by default, no case twice, and every kind of fault is in it.
    #[test]
    fn the_matrix_is_complete() {
        let all = cases(&Effort { drawn: 0, ..Effort::DEFAULT });
        for (kind, k) in CATALOG.iter().enumerate() {
            let of = all.iter().filter(|c| c.kind == kind && c.pack == SMALL).count();
            assert!(all.iter().any(|c| c.kind == kind && c.pack == LFP), "{}", k.name);
            let warm = k.modes.iter().filter(|m| **m == OperatingMode::Preheat).count();
            assert_eq!(of, 3 * k.modes.len() - 2 * warm, "{}", k.name);
        }
        let mut seeds: Vec<u64> = cases(&Effort::FULL).iter().map(|c| c.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), cases(&Effort::FULL).len());
    }

    /// Nothing is accepted that only tells, except where the table itself foresees no more.
    #[test]
    fn what_is_accepted_is_worth_it() {
        for k in CATALOG {
            assert!(k.allowed_ms() > 0, "{}", k.name);
            assert!(k.accepted.iter().all(|d| d.entry().level > Level::Information), "{}", k.name);
        }
    }
}
