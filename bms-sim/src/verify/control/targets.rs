//! Targets 6, 7 and 8 from the scores of their scenarios, all of the control being on.

use super::cases::{APART, DELTA_T_K, EVEN, SPREAD_POINTS};
use super::{ControlScore, Quantity};
use crate::results::TargetOutcome;

/// Limits of the time from 10 to 80 % in min, and of the heating rate in degC/min.
const CHARGE_MIN: f64 = 30.0;
const HEATING_C_PER_MIN: f64 = 1.5;
/// What may be bled of even cells: mean heat so small that no balancing switch can have been on for long (Wh per pack).
const NEEDLESS_WH: f64 = 1.0;

/// The targets that were scored.
#[must_use]
pub fn outcomes(scores: &[ControlScore]) -> Vec<TargetOutcome> {
    let whole: Vec<&ControlScore> = scores.iter().filter(|s| s.whole).collect();
    let some = |is: fn(&ControlScore) -> bool| -> Vec<&ControlScore> {
        whole.iter().copied().filter(|s| is(s)).collect()
    };
    [
        delta_t("hottest less coldest core, whole control", &some(|s| s.target < 8 && s.scenario != APART)),
        delta_t("the same with one cooling channel blocked (reported apart)", &some(|s| s.scenario == APART)),
        charge(&some(|s| s.target == 6 && s.scenario != APART)),
        preheat(&some(|s| s.target == 7)),
        balancing(&some(|s| s.target == 8 && s.scenario != EVEN)),
        needless(&some(|s| s.scenario == EVEN)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The worst pack of all scores by a quantity.
fn worst(scores: &[&ControlScore], quantity: Quantity) -> Option<f64> {
    let reached = scores.iter().filter_map(|s| s.of(quantity)).map(|r| r.worst);
    reached.reduce(if quantity.least_counts() { f64::min } else { f64::max })
}

/// Title without what all of them begin with.
fn short(score: &ControlScore) -> &str {
    score.title.split_once(": ").map_or(score.title.as_str(), |(_, rest)| rest)
}

fn stopped(scores: &[&ControlScore]) -> String {
    match scores.iter().map(|s| s.stopped).sum::<usize>() {
        0 => String::new(),
        n => format!("; {n} packs stopped by the plant"),
    }
}

/// Target 6.
fn delta_t(name: &str, scores: &[&ControlScore]) -> Option<TargetOutcome> {
    let parts: Vec<String> = scores
        .iter()
        .filter_map(|s| {
            let r = s.of(Quantity::DeltaT)?;
            Some(format!(
                "{} {:.2} / {:.2} / {:.2}, {} of {} packs within it",
                short(s),
                r.median,
                r.p95,
                r.worst,
                s.within(),
                s.packs
            ))
        })
        .collect();
    Some(TargetOutcome {
        number: 6,
        name: format!("ΔT: {name}, sensors ±0.5 °C"),
        measured: worst(scores, Quantity::DeltaT)?,
        limit: DELTA_T_K,
        unit: "K".into(),
        met: scores.iter().all(|s| s.met()),
        detail: format!("median / 95 % / worst pack: {}{}", parts.join("; "), stopped(scores)),
    })
}

/// Target 6, the time of the fast charge.
fn charge(scores: &[&ControlScore]) -> Option<TargetOutcome> {
    let of: Vec<_> = scores.iter().filter_map(|s| Some((s, s.of(Quantity::ChargeTime)?))).collect();
    let measured = worst(scores, Quantity::ChargeTime)?;
    let parts: Vec<String> = of
        .iter()
        .map(|(s, r)| {
            let anode = s
                .of(Quantity::Anode)
                .map_or(String::new(), |a| format!(", anode at least {:.1} mV above lithium", a.worst));
            format!("{} {:.1} / {:.1} / {:.1} min{anode}", short(s), r.median, r.p95, r.worst)
        })
        .collect();
    Some(TargetOutcome {
        number: 6,
        name: "fast charge from 10 to 80 %, the slowest pack".into(),
        measured,
        limit: CHARGE_MIN,
        unit: "min".into(),
        met: measured <= CHARGE_MIN && of.iter().all(|(s, r)| r.packs == s.packs),
        detail: format!("median / 95 % / slowest pack: {}", parts.join("; ")),
    })
}

/// Target 7.
fn preheat(scores: &[&ControlScore]) -> Option<TargetOutcome> {
    let score = scores.first()?;
    let rate = score.of(Quantity::HeatingRate)?;
    let median = |q: Quantity| score.of(q).map_or(f64::NAN, |r| r.median);
    Some(TargetOutcome {
        number: 7,
        name: "preheat from −20 °C: heating rate of the slowest pack, ΔT ≤ 2 °C".into(),
        measured: rate.worst,
        limit: HEATING_C_PER_MIN,
        unit: "°C/min".into(),
        met: rate.worst >= HEATING_C_PER_MIN && rate.packs == score.packs && score.met(),
        detail: format!(
            "median {:.2} °C/min, mean core then at {:.1} °C at least; {} of {} packs within {DELTA_T_K} K, worst {:.2} K; specific heating rate {:.2} °C g/J, \
             COP {:.2}, SOC spent {:.2} points (medians){}",
            rate.median,
            worst(scores, Quantity::PreheatedTo).unwrap_or(f64::NAN),
            score.within(),
            score.packs,
            worst(scores, Quantity::DeltaT).unwrap_or(f64::NAN),
            median(Quantity::SpecificHeatingRate),
            median(Quantity::HeatingCop),
            median(Quantity::SocSpent),
            stopped(scores),
        ),
    })
}

/// Target 8.
fn balancing(scores: &[&ControlScore]) -> Option<TargetOutcome> {
    let measured = worst(scores, Quantity::SpreadAtEnd)?;
    let deep = |s: &ControlScore| s.of(Quantity::LowestVoltage).is_none_or(|r| r.worst < s.lowest_allowed_v);
    let parts: Vec<String> = scores
        .iter()
        .map(|s| {
            let median = |q: Quantity| s.of(q).map_or(f64::NAN, |r| r.median);
            let in_time = s.of(Quantity::EvenAfter);
            format!(
                "{}: from {:.1} to {:.2} points, {} of {} packs within it, after {:.0} h, slowest {:.0} h; {:.0} Wh, \
                 at most {:.0} W; lowest cell {:.3} V",
                short(s),
                median(Quantity::SpreadAtStart),
                median(Quantity::SpreadAtEnd),
                s.within(),
                s.packs,
                median(Quantity::EvenAfter),
                in_time.map_or(f64::NAN, |r| r.worst),
                median(Quantity::BalancingEnergy),
                worst(&[s], Quantity::BalancingPeak).unwrap_or(f64::NAN),
                worst(&[s], Quantity::LowestVoltage).unwrap_or(f64::NAN),
            )
        })
        .collect();
    Some(TargetOutcome {
        number: 8,
        name: "balancing from a spread of 5 points, no cell over-discharged: spread at the end".into(),
        measured,
        limit: SPREAD_POINTS,
        unit: "points".into(),
        met: scores.iter().all(|s| s.met() && !deep(s)),
        detail: format!("medians: {}{}", parts.join("; "), stopped(scores)),
    })
}

/// Target 8, what is bled without need.
fn needless(scores: &[&ControlScore]) -> Option<TargetOutcome> {
    let score = scores.first()?;
    let bled = score.of(Quantity::BalancingEnergy)?;
    Some(TargetOutcome {
        number: 8,
        name: "even cells on the LFP plateau: bled without need".into(),
        measured: bled.worst,
        limit: NEEDLESS_WH,
        unit: "Wh".into(),
        met: bled.worst <= NEEDLESS_WH,
        detail: format!(
            "median {:.2}, worst of {} packs {:.2} Wh; spread at the end at most {:.2} points",
            bled.median,
            score.packs,
            bled.worst,
            worst(scores, Quantity::SpreadAtEnd).unwrap_or(f64::NAN),
        ),
    })
}
