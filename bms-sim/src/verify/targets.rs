//! Targets of the acceptance protocol: 1, 2 and 10 from the cases of a run, 3 to 9 from what is scored beside them.
//!
//! All are for good sensors, and for estimators that know the present capacity: what becomes of a capacity that is not
//! known belongs to the state of health.

use std::collections::BTreeSet;

use super::control;
use super::health::{Health, POWER_PERCENT, PowerScore, PowerSource};
use super::matrix::CONVERGENCE_S;
use crate::cell_file::Chemistry;
use crate::lives::{CheckUp, LifeOutcome, SETTLED_CYCLES};
use crate::packs::PackOutcome;
use crate::results::{Case, TARGET_COVERAGE, TARGET_POINTS, TargetOutcome};
use crate::sop::SopCase;

/// From this start error on (points) a case belongs to target 2.
const WRONG_START_POINTS: f64 = 20.0;
/// Limit of the errors of `SOH_Q` (points) and `SOH_R` (percent).
const HEALTH_LIMIT: f64 = 3.0;
/// What a share is to reach, in percent.
const ALL: f64 = 100.0;

/// The targets on which something was scored.
#[must_use]
pub fn outcomes(cases: &[Case]) -> Vec<TargetOutcome> {
    let good: Vec<&Case> = cases
        .iter()
        .filter(|c| c.sensors == "good" && c.capacity_known && c.current_offset_a == 0.0)
        .collect();
    let wrong = |lfp: bool| -> Vec<&Case> {
        let is = |c: &&Case| {
            c.start_error_points.abs() > WRONG_START_POINTS && (c.chemistry == Chemistry::Lfp) == lfp
        };
        good.iter().copied().filter(is).collect()
    };
    [largest_error(&good), layered_start(&wrong(false)), lfp_start(&wrong(true)), band(&good)]
        .into_iter()
        .flatten()
        .collect()
}

/// Target 1.
fn largest_error(cases: &[&Case]) -> Option<TargetOutcome> {
    let worst = cases.iter().max_by(|a, b| a.bms.max_points.total_cmp(&b.bms.max_points))?;
    let within = cases.iter().filter(|c| c.bms.max_points <= TARGET_POINTS).count();
    let of = |name: &str, is: fn(&Case) -> bool| {
        let (mut all, mut met) = (0, 0);
        for case in cases.iter().filter(|c| is(c)) {
            all += 1;
            met += usize::from(case.bms.max_points <= TARGET_POINTS);
        }
        if all == 0 { String::new() } else { format!(", {name} {met} of {all}") }
    };
    let parts: String = [
        of("recorded sets", |c| !c.plant),
        of("plants NMC and NCA", |c| c.plant && c.chemistry != Chemistry::Lfp),
        of("plant LFP", |c| c.plant && c.chemistry == Chemistry::Lfp),
    ]
    .concat();
    Some(TargetOutcome {
        number: 1,
        name: "largest SOC error after convergence, good sensors".into(),
        measured: worst.bms.max_points,
        limit: TARGET_POINTS,
        unit: "points".into(),
        met: within == cases.len(),
        detail: format!("{within} of {} cases within it{parts}; worst {}", cases.len(), place(worst)),
    })
}

/// Target 2 for layered oxides.
fn layered_start(cases: &[&Case]) -> Option<TargetOutcome> {
    let in_time = |c: &&Case| c.bms.convergence_s.is_some_and(|s| s <= CONVERGENCE_S);
    let late = |c: &Case| c.bms.convergence_s.unwrap_or(f64::INFINITY);
    let slowest = cases.iter().max_by(|a, b| late(a).total_cmp(&late(b)))?;
    let slowest_text = match slowest.bms.convergence_s {
        Some(s) => format!("slowest {:.0} min: {}", s / 60.0, place(slowest)),
        None => {
            let never = cases.iter().filter(|c| c.bms.convergence_s.is_none()).count();
            format!("{never} outside at their end, such as {}", place(slowest))
        }
    };
    Some(share(
        "NMC, NCA: starts 30 points off that are inside 3 points for good after 15 min",
        cases,
        in_time,
        &slowest_text,
    ))
}

/// Target 2 for LFP.
fn lfp_start(cases: &[&Case]) -> Option<TargetOutcome> {
    let converged = |c: &&Case| c.bms.max_points <= TARGET_POINTS;
    let covered = |c: &&Case| c.bms.coverage_before.is_none_or(|share| share >= TARGET_COVERAGE);
    let worst = cases.iter().max_by(|a, b| a.bms.max_points.total_cmp(&b.bms.max_points))?;
    let detail = format!(
        "{} converge, {} are inside their band until then; worst {}",
        cases.iter().filter(|c| converged(c)).count(),
        cases.iter().filter(|c| covered(c)).count(),
        place(worst)
    );
    Some(share(
        "LFP: starts 30 points off that are inside 3 points after one excursion off the plateau or one rest",
        cases,
        |c| converged(c) && covered(c),
        &detail,
    ))
}

/// Target 10.
fn band(cases: &[&Case]) -> Option<TargetOutcome> {
    let (mut inside_h, mut all_h) = (0.0, 0.0);
    for case in cases {
        if let Some(share) = case.bms.coverage {
            inside_h += share * case.bms.scored_h;
            all_h += case.bms.scored_h;
        }
    }
    let covered = |c: &Case| c.bms.coverage.unwrap_or(0.0);
    let worst = cases.iter().min_by(|a, b| covered(a).total_cmp(&covered(b))).filter(|_| all_h > 0.0)?;
    let narrow = cases.iter().filter(|c| covered(c) < TARGET_COVERAGE).count();
    let measured = 100.0 * inside_h / all_h;
    Some(TargetOutcome {
        number: 10,
        name: "time inside the own ±3σ band, good sensors".into(),
        measured,
        limit: 100.0 * TARGET_COVERAGE,
        unit: "%".into(),
        met: measured >= 100.0 * TARGET_COVERAGE,
        detail: format!(
            "{narrow} of {} cases below it on their own; least {:.1} %: {}",
            cases.len(),
            100.0 * covered(worst),
            place(worst)
        ),
    })
}

fn share(name: &str, cases: &[&Case], is_met: impl Fn(&&Case) -> bool, detail: &str) -> TargetOutcome {
    let met = cases.iter().filter(|c| is_met(c)).count();
    TargetOutcome {
        number: 2,
        name: name.into(),
        measured: ALL * met as f64 / cases.len().max(1) as f64,
        limit: ALL,
        unit: "%".into(),
        met: met == cases.len(),
        detail: format!("{met} of {}; {detail}", cases.len()),
    }
}

fn place(case: &Case) -> String {
    format!("{}/{}, start {:+.0}, draw {}", case.dataset, case.file, case.start_error_points, case.draw)
}

/// Targets 3 to 9, and 1 for the cells of packs.
#[must_use]
pub fn of_health(health: &Health) -> Vec<TargetOutcome> {
    let mut all: Vec<TargetOutcome> = pack_error(&health.packs).into_iter().collect();
    all.extend(capacity(&health.lives));
    all.extend(resistance(&health.lives));
    for score in health.judged() {
        all.extend(power_best(score, health));
        all.extend(power_safe(score));
    }
    all.extend(control::outcomes(&health.control));
    all.extend(health.faults.iter().flat_map(super::faults::FaultScore::outcomes));
    all
}

/// Target 1 for packs.
fn pack_error(packs: &[PackOutcome]) -> Option<TargetOutcome> {
    let worst = packs.iter().max_by(|a, b| a.bms.max_points.total_cmp(&b.bms.max_points))?;
    let cells: usize = packs.iter().map(|p| p.cells).sum();
    let within = packs.iter().filter(|p| p.bms.max_points <= TARGET_POINTS).count();
    let largest = |f: fn(&PackOutcome) -> f64| packs.iter().map(f).fold(0.0, f64::max);
    let leaks = packs.iter().filter_map(|p| p.leak);
    let found = leaks.clone().filter(|l| l.detected_h.is_some()).count();
    let over: Vec<String> = packs
        .iter()
        .filter(|p| p.bms.max_points > TARGET_POINTS)
        .map(|p| format!("{} {:.2}", p.label(), p.bms.max_points))
        .collect();
    let over = if over.is_empty() { String::new() } else { format!("; beyond it: {}", over.join("; ")) };
    Some(TargetOutcome {
        number: 1,
        name: "packs: largest SOC error of any cell after convergence, good sensors".into(),
        measured: worst.bms.max_points,
        limit: TARGET_POINTS,
        unit: "points".into(),
        met: within == packs.len(),
        detail: format!(
            "{within} of {} packs ({cells} cells) within it; weakest cell within {:.2}, fullest within {:.2} points; \
             leaks found {found} of {}, false {}{over}",
            packs.len(),
            largest(|p| p.weakest_max_points),
            largest(|p| p.fullest_max_points),
            leaks.count(),
            packs.iter().map(|p| p.false_leaks).sum::<usize>(),
        ),
    })
}

/// Target 3.
fn capacity(lives: &[LifeOutcome]) -> Option<TargetOutcome> {
    let soc = lives.iter().filter_map(LifeOutcome::soc_max_points).fold(0.0, f64::max);
    let name = "SOH_Q: largest error at any check-up after 30 equivalent cycles, good sensors";
    let target = over_lives(
        3,
        name,
        "points",
        lives,
        LifeOutcome::soh_q_max_points,
        [CheckUp::soh_q_points, |c| 100.0 * c.soh_q_std],
    )?;
    Some(TargetOutcome {
        detail: format!("{}; SOC within {soc:.2} points meanwhile", target.detail),
        ..target
    })
}

/// Target 4.
fn resistance(lives: &[LifeOutcome]) -> Option<TargetOutcome> {
    let name = "SOH_R: largest error at any check-up after 30 equivalent cycles, good sensors";
    over_lives(
        4,
        name,
        "%",
        lives,
        LifeOutcome::soh_r_max_percent,
        [CheckUp::soh_r_percent, |c| 100.0 * c.soh_r_std / c.soh_r],
    )
}

/// The largest error over all lives, where it is, and what it is for each plant and habit.
fn over_lives(
    number: u32,
    name: &str,
    unit: &str,
    lives: &[LifeOutcome],
    largest: fn(&LifeOutcome) -> Option<f64>,
    [error, std]: [fn(&CheckUp) -> f64; 2],
) -> Option<TargetOutcome> {
    let scored = || lives.iter().filter_map(|o| largest(o).map(|value| (o, value)));
    let (worst, measured) = scored().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let within = scored().filter(|(_, value)| *value <= HEALTH_LIMIT).count();
    let settled = worst.check_ups.iter().filter(|c| c.cycles >= SETTLED_CYCLES);
    let at = settled.max_by(|a, b| error(a).abs().total_cmp(&error(b).abs()))?;
    let kinds: BTreeSet<String> = lives.iter().map(|o| o.life.kind()).collect();
    let by_kind: Vec<String> = kinds
        .iter()
        .map(|kind| {
            let of_kind = scored().filter(|(o, _)| o.life.kind() == *kind);
            format!("{kind} {:.2}", of_kind.map(|(_, value)| value).fold(0.0, f64::max))
        })
        .collect();
    Some(TargetOutcome {
        number,
        name: name.into(),
        measured,
        limit: HEALTH_LIMIT,
        unit: unit.into(),
        met: within == lives.len(),
        detail: format!(
            "{within} of {} lives within it; worst {}, day {} at {:.0} % capacity: {:+.2} \
             (own σ {:.2}, {} capacity windows till then); by plant and habit: {}",
            lives.len(),
            worst.life.label(),
            at.day,
            100.0 * at.soh_q,
            error(at),
            std(at),
            at.windows,
            by_kind.join("; ")
        ),
    })
}

/// Target 5, the best estimate.
fn power_best(score: &PowerScore, health: &Health) -> Option<TargetOutcome> {
    let all = score.all()?;
    let measured = all.figures.p99;
    let sets: Vec<String> = score.sets().map(|g| format!("{} {:.1}", g.key.label(), g.figures.p99)).collect();
    let mut detail = format!(
        "{} limits, {:.1} % of them within it; {}",
        all.figures.cases,
        100.0 * (1.0 - all.beyond as f64 / all.figures.cases as f64),
        sets.join(", ")
    );
    if all.beyond > 0 {
        let mut limits: Vec<_> = score.limits().filter(|g| g.beyond > 0).collect();
        limits.sort_by_key(|g| std::cmp::Reverse(g.beyond));
        let shares: Vec<String> =
            limits.iter().map(|g| format!("{} {} of {}", g.key.label(), g.beyond, g.figures.cases)).collect();
        detail += &format!("; beyond it: {}", shares.join("; "));
    }
    if score.source == PowerSource::Plants {
        for experiment in health.power.iter().filter(|p| !p.source.judged()) {
            if let Some(g) = experiment.all() {
                detail += &format!("; experiment {}: {:.1} %", experiment.source.label(), g.figures.p99);
            }
        }
    }
    if let Some(worst) = score.worst.first() {
        detail += &format!("; worst {:+.1} %: {}", worst.error(), power_place(worst));
    }
    Some(TargetOutcome {
        number: 5,
        name: format!(
            "SOP, {}: 99th percentile of the best estimate's error, 2/10/30 s, good sensors",
            score.source.label()
        ),
        measured,
        limit: POWER_PERCENT,
        unit: "%".into(),
        met: measured <= POWER_PERCENT,
        detail,
    })
}

/// Target 5, the safe value.
fn power_safe(score: &PowerScore) -> Option<TargetOutcome> {
    let all = score.all()?;
    let mut detail = format!(
        "{} of {} promise more than the truth; on average {:.1} % below it",
        all.figures.safe_over_cases, all.figures.cases, all.figures.safe_below
    );
    let mut limits: Vec<_> = score.limits().filter(|g| g.figures.safe_over_cases > 0).collect();
    limits.sort_by_key(|g| std::cmp::Reverse(g.figures.safe_over_cases));
    if !limits.is_empty() {
        let counts: Vec<String> =
            limits.iter().map(|g| format!("{} {}", g.key.label(), g.figures.safe_over_cases)).collect();
        detail += &format!("; too high: {}", counts.join("; "));
    }
    if let Some(worst) = score.worst_safe.first() {
        detail += &format!("; worst {:+.1} %: {}", worst.safe_error(), power_place(worst));
    }
    Some(TargetOutcome {
        number: 5,
        name: format!(
            "SOP, {}: largest over-prediction of the safe value, good sensors",
            score.source.label()
        ),
        measured: all.figures.safe_over,
        limit: 0.0,
        unit: "%".into(),
        met: all.figures.safe_over_cases == 0,
        detail,
    })
}

/// Where a case of the state of power was, and what the core knew there.
#[must_use]
pub fn power_place(case: &SopCase) -> String {
    format!(
        "{}, SOH {:.0} %, {:.0} degC, {} at SOC {:.0} %, {} over {:.0} s, limited by {} (core: {}), SOC error {:+.1} points",
        case.set,
        100.0 * case.soh,
        case.ambient_c,
        if case.rested { "rested" } else { "in a drive" },
        100.0 * case.soc,
        if case.discharge { "discharge" } else { "charge" },
        case.horizon_s,
        case.truth_by,
        case.best_by,
        100.0 * case.soc_error,
    )
}

#[cfg(test)]
mod tests {
    use super::super::health::tests::{health, life, pack};
    use super::super::weights::tests::case;
    use super::*;

    fn good(start_error_points: f64, max_points: f64) -> Case {
        let mut case = case(25.0, start_error_points, 1.0);
        case.sensors = "good".into();
        case.bms.max_points = max_points;
        case.bms.coverage = Some(1.0);
        case.bms.convergence_s = Some(600.0);
        case
    }

    #[test]
    fn only_good_sensors_and_a_known_capacity_count() {
        let mut cases = vec![good(0.0, 1.0), good(0.0, 9.0), good(0.0, 9.0), good(0.0, 9.0)];
        cases[1].sensors = "limit".into();
        cases[2].capacity_known = false;
        cases[3].current_offset_a = 0.3;
        let found = outcomes(&cases);
        assert_eq!(found.iter().map(|t| t.number).collect::<Vec<_>>(), [1, 10]);
        assert!(found.iter().all(|t| t.met), "{found:?}");
        cases.push(good(-10.0, 3.1));
        let found = outcomes(&cases);
        assert!(!found[0].met && (found[0].measured - 3.1).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_wrong_start_has_a_quarter_of_an_hour() {
        let mut cases = [good(30.0, 1.0), good(-30.0, 1.0)];
        let second = |cases: &[Case]| outcomes(cases).into_iter().find(|t| t.number == 2).unwrap();
        assert!(second(&cases).met);
        cases[1].bms.convergence_s = Some(901.0);
        let late = second(&cases);
        assert!(
            !late.met && (late.measured - 50.0).abs() < 1e-12 && late.detail.contains("15 min"),
            "{late:?}"
        );
        cases[1].bms.convergence_s = None;
        assert!(second(&cases).detail.contains("1 outside at their end"));
    }

    #[test]
    fn lfp_has_to_cover_the_truth_until_it_converges() {
        let mut one = good(30.0, 2.0);
        one.chemistry = Chemistry::Lfp;
        one.bms.coverage_before = Some(1.0);
        let second =
            |case: &Case| outcomes(std::slice::from_ref(case)).into_iter().find(|t| t.number == 2).unwrap();
        assert!(second(&one).met);
        one.bms.coverage_before = Some(0.9);
        assert!(!second(&one).met);
    }

    #[test]
    fn the_band_is_weighted_by_time() {
        let mut cases = [good(0.0, 1.0), good(0.0, 1.0)];
        cases[0].bms.scored_h = 99.0;
        cases[1].bms.coverage = Some(0.0);
        let band = outcomes(&cases).pop().unwrap();
        assert!(band.met && (band.measured - 99.0).abs() < 1e-9, "{band:?}");
        cases[1].bms.scored_h = 1.1;
        assert!(!outcomes(&cases).pop().unwrap().met);
    }

    #[test]
    fn what_is_missed_says_where() {
        let found = of_health(&health());
        let numbers: Vec<_> = found.iter().map(|t| (t.number, t.met)).collect();
        assert_eq!(numbers, [(1, true), (3, true), (4, false), (5, false), (5, false)], "{found:?}");
        let [_, capacity, resistance, best, safe] = &found[..] else { panic!("{found:?}") };
        assert!((capacity.measured - 2.5).abs() < 1e-9 && (resistance.measured - 3.5).abs() < 1e-9);
        assert!(resistance.detail.contains("day 50 at 90 % capacity: +3.50"), "{}", resistance.detail);
        assert!((best.measured - 5.0).abs() < 1e-9 && (safe.measured - 2.0).abs() < 1e-9);
        assert!(best.detail.contains("beyond it: discharge, limited by voltage 1 of 1"), "{}", best.detail);
        assert!(safe.detail.contains("1 of 2 promise more"), "{}", safe.detail);
    }

    #[test]
    fn what_was_not_reached_is_not_met() {
        let mut young = life(0.1, 0.1);
        young.check_ups.truncate(1);
        let lives = vec![life(1.0, 1.0), young];
        let found = of_health(&Health { lives, packs: vec![pack(3.1, None)], ..Health::default() });
        assert!(found.iter().all(|t| !t.met) && found.len() == 3, "{found:?}");
        assert!(found[0].detail.contains("leaks found 0 of 1"), "{}", found[0].detail);
        assert!(of_health(&Health::default()).is_empty());
    }
}
