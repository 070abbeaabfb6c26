//! Keeps the figures of a run up to date, step by step.

use super::summary::{ErrorFigures, PhaseSummary, PreheatFigures, Summary};
use super::{Bill, Range, Row, Step};
use crate::scenario::{End, Expect, PackFacts, Scenario, Task};

const POINTS: f64 = 100.0;
/// Time in s from which errors are scored: with a right start, and with a wrong one.
const SCORED_FROM_S: f64 = 600.0;
const SCORED_FROM_WRONG_S: f64 = 900.0;
/// Width of a class of errors and the largest that has one, in points.
const CLASS_POINTS: f64 = 0.01;
const CLASSES: usize = 10_000;
/// States of charge between which a fast charge is timed.
const CHARGE_FROM: f64 = 0.10;
const CHARGE_TO: f64 = 0.80;
/// Spread of the states of charge (fraction) up to which cells count as balanced.
const EVEN: f64 = 0.01;
const GRAMS_PER_KG: f64 = 1000.0;
const JOULE_PER_WH: f64 = 3600.0;
const SECONDS_PER_MINUTE: f64 = 60.0;

/// Errors by size, each weighed with how long it lasted.
#[derive(Debug, Clone)]
struct Errors {
    scored_from_s: f64,
    max_points: f64,
    squares: f64,
    weight: f64,
    classes: Vec<f64>,
}

impl Errors {
    fn new(scored_from_s: f64) -> Self {
        Self { scored_from_s, max_points: 0.0, squares: 0.0, weight: 0.0, classes: vec![0.0; CLASSES] }
    }

    fn add(&mut self, truth: &[f64], estimate: &[f64], dt_s: f64) {
        for error in truth.iter().zip(estimate).map(|(t, e)| POINTS * (e - t).abs()) {
            if !error.is_finite() {
                continue;
            }
            self.max_points = self.max_points.max(error);
            self.squares += dt_s * error * error;
            self.weight += dt_s;
            let class = ((error / CLASS_POINTS) as usize).min(CLASSES - 1);
            if let Some(c) = self.classes.get_mut(class) {
                *c += dt_s;
            }
        }
    }

    fn figures(&self) -> Option<ErrorFigures> {
        if self.weight <= 0.0 {
            return None;
        }
        let mut below = 0.0;
        let class = self.classes.iter().position(|c| {
            below += c;
            below >= 0.99 * self.weight
        });
        let edge = CLASS_POINTS * (class.unwrap_or(CLASSES - 1) + 1) as f64;
        Some(ErrorFigures {
            scored_from_s: self.scored_from_s,
            max_points: self.max_points,
            p99_points: edge.min(self.max_points),
            rmse_points: (self.squares / self.weight).sqrt(),
        })
    }
}

/// Extremes and times of a stretch of the run.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    phase: usize,
    /// The row before its first step (the first step, at the start of the run) and the last one.
    first: Row,
    last: Row,
    delta_t_max_k: f64,
    delta_t_max_at_s: f64,
    core_min_c: f64,
    core_max_c: f64,
    soc_spread_max: f64,
    /// When the spread of the SOC was last above [`EVEN`], in s.
    uneven_s: Option<f64>,
    balancing_peak_w: f64,
    min_anode_v: f64,
    min_cell_v: f64,
    max_cell_v: f64,
    /// When the state of charge rose past 10 and 80 %, in s.
    passed_low_s: Option<f64>,
    passed_high_s: Option<f64>,
}

impl Stretch {
    fn new(phase: usize, first: Row) -> Self {
        Self {
            phase,
            first,
            last: first,
            delta_t_max_k: f64::NEG_INFINITY,
            delta_t_max_at_s: first.time_s,
            core_min_c: f64::INFINITY,
            core_max_c: f64::NEG_INFINITY,
            soc_spread_max: f64::NEG_INFINITY,
            uneven_s: None,
            balancing_peak_w: 0.0,
            min_anode_v: f64::INFINITY,
            min_cell_v: f64::INFINITY,
            max_cell_v: f64::NEG_INFINITY,
            passed_low_s: None,
            passed_high_s: None,
        }
    }

    fn add(&mut self, row: &Row) {
        let spread = row.core_c.spread();
        if spread > self.delta_t_max_k {
            (self.delta_t_max_k, self.delta_t_max_at_s) = (spread, row.time_s);
        }
        self.core_min_c = self.core_min_c.min(row.core_c.min);
        self.core_max_c = self.core_max_c.max(row.core_c.max);
        self.soc_spread_max = self.soc_spread_max.max(row.soc.spread());
        if row.soc.spread() > EVEN {
            self.uneven_s = Some(row.time_s);
        }
        // min and max of f64 pass over a NaN.
        self.balancing_peak_w = self.balancing_peak_w.max(row.values.balancing_w);
        self.min_anode_v = self.min_anode_v.min(row.values.min_anode_v);
        self.min_cell_v = self.min_cell_v.min(row.values.min_cell_v);
        self.max_cell_v = self.max_cell_v.max(row.values.max_cell_v);
        let before = self.last;
        for (level, passed) in [(CHARGE_FROM, &mut self.passed_low_s), (CHARGE_TO, &mut self.passed_high_s)] {
            if passed.is_none() && before.soc.mean <= level && row.soc.mean > level {
                let share = (level - before.soc.mean) / (row.soc.mean - before.soc.mean);
                *passed = Some(before.time_s + share * (row.time_s - before.time_s));
            }
        }
        self.last = *row;
    }

    fn anode(&self) -> Option<f64> {
        self.min_anode_v.is_finite().then_some(self.min_anode_v)
    }

    /// Time in s after which the SOC was even for good; `None` if it is not at the end.
    fn even_after_s(&self) -> Option<f64> {
        let uneven_s = self.uneven_s.map_or(0.0, |t| t - self.first.time_s);
        (self.last.soc.spread() <= EVEN).then_some(uneven_s)
    }

    fn charge_10_80_s(&self) -> Option<f64> {
        Some(self.passed_high_s? - self.passed_low_s?)
    }
}

/// Name, kind and nature of a phase.
#[derive(Debug, Clone)]
struct Kind {
    name: String,
    kind: &'static str,
    charges: bool,
    preheats: bool,
}

/// All figures of a run so far.
#[derive(Debug, Clone)]
pub(super) struct Track {
    title: String,
    pack: String,
    seed: u64,
    facts: PackFacts,
    expect: Expect,
    kinds: Vec<Kind>,
    bill: Bill,
    errors: Errors,
    whole: Option<Stretch>,
    phases: Vec<Stretch>,
}

impl Track {
    pub(super) fn new(scenario: &Scenario, facts: &PackFacts, pack: &str) -> Self {
        let kinds = scenario.phases.iter().map(|phase| Kind {
            name: phase.label().to_owned(),
            kind: phase.task.kind(),
            charges: phase.task.charges(),
            preheats: matches!(phase.task, Task::Preheat { .. }),
        });
        let wrong = scenario.start.core_soc_error_points != 0.0;
        Self {
            title: scenario.title.clone(),
            pack: pack.to_owned(),
            seed: scenario.seed,
            facts: *facts,
            expect: scenario.expect,
            kinds: kinds.collect(),
            bill: Bill::default(),
            errors: Errors::new(if wrong { SCORED_FROM_WRONG_S } else { SCORED_FROM_S }),
            whole: None,
            phases: Vec::new(),
        }
    }

    /// Takes a step and makes the row of it.
    pub(super) fn step(&mut self, step: &Step<'_>) -> Row {
        let charges = self.kinds.get(step.phase).is_some_and(|k| k.charges);
        self.bill.add(&step.values, charges, step.dt_s);
        let row = Row {
            time_s: step.time_s,
            phase: step.phase,
            ambient_c: step.ambient_c,
            soc: Range::of(step.group_soc),
            estimated_soc: Range::of(step.estimated_group_soc),
            core_c: Range::of(step.cell_core_c),
            values: step.values,
            bill: self.bill,
        };
        if step.time_s >= self.errors.scored_from_s {
            self.errors.add(step.group_soc, step.estimated_group_soc, step.dt_s);
        }
        let before = self.whole.map_or(row, |w| w.last);
        if self.phases.last().is_none_or(|p| p.phase != step.phase) {
            self.phases.push(Stretch::new(step.phase, before));
        }
        self.phases.iter_mut().last().into_iter().for_each(|p| p.add(&row));
        self.whole.get_or_insert(Stretch::new(step.phase, row)).add(&row);
        row
    }

    /// The figures; `ends` tells how each phase ended.
    pub(super) fn finish(&self, ends: &[End]) -> Summary {
        let phases: Vec<_> = self.phases.iter().map(|s| self.phase(s, ends)).collect();
        let whole = self.whole.unwrap_or_else(|| Stretch::new(0, Row::nothing()));
        let slowest = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::min);
        let cooling_wh = self.bill.chiller_wh + self.bill.pump_wh;
        let mut summary = Summary {
            title: self.title.clone(),
            pack: self.pack.clone(),
            seed: self.seed,
            cells: self.facts.series * self.facts.parallel,
            duration_s: whole.last.time_s - whole.first.time_s,
            delta_t_max_k: whole.delta_t_max_k,
            delta_t_max_at_s: whole.delta_t_max_at_s,
            core_min_c: whole.core_min_c,
            core_max_c: whole.core_max_c,
            heating_rate_c_per_min: slowest(
                &mut phases.iter().filter_map(|p| Some(p.preheat?.heating_rate_c_per_min)),
            ),
            charge_10_80_s: phases.iter().filter_map(|p| p.charge_10_80_s).reduce(f64::max),
            soc_start: whole.first.soc.mean,
            soc_end: whole.last.soc.mean,
            soc_spread_start_points: POINTS * whole.first.soc.spread(),
            soc_spread_end_points: POINTS * whole.last.soc.spread(),
            soc_spread_max_points: POINTS * whole.soc_spread_max,
            soc_even_after_s: whole.even_after_s(),
            balancing_peak_w: whole.balancing_peak_w,
            soc_error: self.errors.figures(),
            min_anode_v: whole.anode(),
            min_cell_v: whole.min_cell_v,
            max_cell_v: whole.max_cell_v,
            bill: self.bill,
            cooling_cop: (self.bill.chiller_wh > 0.0).then(|| self.bill.chiller_heat_wh / cooling_wh),
            phases,
            verdicts: Vec::new(),
            diagnoses: Vec::new(),
        };
        summary.verdicts = summary.judge(&self.expect);
        summary
    }

    fn phase(&self, s: &Stretch, ends: &[End]) -> PhaseSummary {
        let kind = self.kinds.get(s.phase);
        let (duration_s, bill) = (s.last.time_s - s.first.time_s, s.last.bill - s.first.bill);
        let rise = s.last.core_c.mean - s.first.core_c.mean;
        let spent_j = bill.heating_wh() * JOULE_PER_WH;
        let preheat = kind.is_some_and(|k| k.preheats && duration_s > 0.0).then(|| PreheatFigures {
            heating_rate_c_per_min: rise / (duration_s / SECONDS_PER_MINUTE),
            cop: rise * self.facts.heat_capacity_j_per_k / spent_j,
            specific_heating_rate_c_g_per_j: rise * GRAMS_PER_KG * self.facts.cells_kg / spent_j,
            soc_spent_points: POINTS * (s.first.soc.mean - s.last.soc.mean),
        });
        PhaseSummary {
            name: kind.map(|k| k.name.clone()).unwrap_or_default(),
            kind: kind.map_or("", |k| k.kind),
            start_s: s.first.time_s,
            duration_s,
            end: ends.get(s.phase).copied(),
            delta_t_max_k: s.delta_t_max_k,
            core_start_c: s.first.core_c.mean,
            core_end_c: s.last.core_c.mean,
            core_min_c: s.core_min_c,
            core_max_c: s.core_max_c,
            soc_start: s.first.soc.mean,
            soc_end: s.last.soc.mean,
            soc_spread_end_points: POINTS * s.last.soc.spread(),
            min_anode_v: s.anode(),
            charge_10_80_s: kind.is_some_and(|k| k.charges).then(|| s.charge_10_80_s()).flatten(),
            preheat,
            bill,
        }
    }
}
