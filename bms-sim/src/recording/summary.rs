//! The figures of a run.

use serde::Serialize;

use super::{Bill, Diagnosed};
use crate::scenario::{End, Expect};

/// Figures of a whole run, taken from every step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Title of the scenario.
    pub title: String,
    /// Name of the pack.
    pub pack: String,
    /// Seed of spread and sensor errors.
    pub seed: u64,
    /// Cells in the pack.
    pub cells: usize,
    /// Simulated time in s.
    pub duration_s: f64,
    /// Largest difference between the hottest and the coldest core at one time, in K.
    pub delta_t_max_k: f64,
    /// When that was, in s.
    pub delta_t_max_at_s: f64,
    /// Lowest core temperature in degC.
    pub core_min_c: f64,
    /// Highest core temperature in degC.
    pub core_max_c: f64,
    /// Heating rate of the mean core in the slowest preheat, in degC/min.
    pub heating_rate_c_per_min: Option<f64>,
    /// Time of the slowest charge from 10 to 80 % of true mean state of charge, in s; of charges that began at 10 % or below.
    pub charge_10_80_s: Option<f64>,
    /// Mean state of charge at the start, fraction.
    pub soc_start: f64,
    /// Mean state of charge at the end, fraction.
    pub soc_end: f64,
    /// Difference between the fullest and the emptiest group at the start, in points.
    pub soc_spread_start_points: f64,
    /// The same at the end.
    pub soc_spread_end_points: f64,
    /// The largest of all times.
    pub soc_spread_max_points: f64,
    /// Time in s after which the difference was at most 1 point for good; `None` when it is larger at the end.
    pub soc_even_after_s: Option<f64>,
    /// Largest heat of all balancing at one time in W.
    pub balancing_peak_w: f64,
    /// Errors of the core's states of charge of the groups; `None` when it never was awake while scored.
    pub soc_error: Option<ErrorFigures>,
    /// Lowest anode potential against lithium in V, where the plant has one.
    pub min_anode_v: Option<f64>,
    /// Lowest cell voltage in V.
    pub min_cell_v: f64,
    /// Highest cell voltage in V.
    pub max_cell_v: f64,
    /// Energy of the whole run.
    pub bill: Bill,
    /// Heat that the chiller moved over the electrical energy that chiller and pump took, where it ran.
    pub cooling_cop: Option<f64>,
    /// Phase by phase.
    pub phases: Vec<PhaseSummary>,
    /// What was expected, and what was reached.
    pub verdicts: Vec<Verdict>,
    /// What the protection found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<Diagnosed>,
}

/// Errors in points of state of charge over all groups, every second the same weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ErrorFigures {
    /// Time in s from which is scored: 10 min, 15 min when the start was wrong.
    pub scored_from_s: f64,
    /// Largest |error|.
    pub max_points: f64,
    /// 99th percentile of |error|, up to 0.01 points too large.
    pub p99_points: f64,
    /// Root mean square.
    pub rmse_points: f64,
}

/// Figures of a phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseSummary {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// When it began, in s.
    pub start_s: f64,
    /// How long it took in s.
    pub duration_s: f64,
    /// Why it was over.
    pub end: Option<End>,
    /// Largest difference between the hottest and the coldest core at one time, in K.
    pub delta_t_max_k: f64,
    /// Mean core temperature at the start in degC.
    pub core_start_c: f64,
    /// Mean core temperature at the end in degC.
    pub core_end_c: f64,
    /// Lowest core temperature in degC.
    pub core_min_c: f64,
    /// Highest core temperature in degC.
    pub core_max_c: f64,
    /// Mean state of charge at the start, fraction.
    pub soc_start: f64,
    /// Mean state of charge at the end, fraction.
    pub soc_end: f64,
    /// Difference between the fullest and the emptiest group at the end, in points.
    pub soc_spread_end_points: f64,
    /// Lowest anode potential against lithium in V, where the plant has one.
    pub min_anode_v: Option<f64>,
    /// Time from 10 to 80 % of true mean state of charge in s, for a charge that began at 10 % or below and got there.
    pub charge_10_80_s: Option<f64>,
    /// Figures of a preheat.
    pub preheat: Option<PreheatFigures>,
    /// Energy of the phase.
    pub bill: Bill,
}

/// How well a preheat heats: the heating triangle of J. Power Sources 581 (2023) 233484 without its third corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PreheatFigures {
    /// Rise of the mean core over time, in degC/min.
    pub heating_rate_c_per_min: f64,
    /// Heat that warmed the cells over the energy of heater, films, pulses and pump.
    pub cop: f64,
    /// Rise of the mean core, times the mass of the cells, over that energy: degC g/J.
    pub specific_heating_rate_c_g_per_j: f64,
    /// State of charge that it took, in points.
    pub soc_spent_points: f64,
}

/// A bound of the scenario and what was reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Its name in the scenario.
    pub name: &'static str,
    /// What it bounds, in words.
    pub what: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The bound.
    pub bound: f64,
    /// Whether it bounds from above.
    pub at_most: bool,
    /// What was reached; `None` when the run never came to what is bounded, which misses the bound.
    pub reached: Option<f64>,
    /// Whether the bound was kept.
    pub met: bool,
}

impl Summary {
    /// Whether every expectation was met.
    #[must_use]
    pub fn met(&self) -> bool {
        self.verdicts.iter().all(|v| v.met)
    }

    /// Each bound of the scenario against what was reached.
    pub(super) fn judge(&self, expect: &Expect) -> Vec<Verdict> {
        let error = self.soc_error.map(|e| e.max_points);
        let most =
            |name, what, unit, bound: Option<f64>, reached| verdict(name, what, unit, bound, reached, true);
        let least =
            |name, what, unit, bound: Option<f64>, reached| verdict(name, what, unit, bound, reached, false);
        let delta_t = Some(self.delta_t_max_k);
        let spread = Some(self.soc_spread_end_points);
        [
            most("max_delta_t_k", "hottest less coldest core", "K", expect.max_delta_t_k, delta_t),
            most("max_core_c", "hottest core", "°C", expect.max_core_c, Some(self.core_max_c)),
            least(
                "min_heating_rate_c_per_min",
                "slowest preheat",
                "°C/min",
                expect.min_heating_rate_c_per_min,
                self.heating_rate_c_per_min,
            ),
            most(
                "max_soc_spread_points",
                "SOC spread at the end",
                "points",
                expect.max_soc_spread_points,
                spread,
            ),
            most(
                "max_charge_10_80_s",
                "charge from 10 to 80 %",
                "s",
                expect.max_charge_10_80_s,
                self.charge_10_80_s,
            ),
            least("min_anode_v", "lowest anode potential", "V", expect.min_anode_v, self.min_anode_v),
            least("min_cell_v", "lowest cell voltage", "V", expect.min_cell_v, Some(self.min_cell_v)),
            most("max_cell_v", "highest cell voltage", "V", expect.max_cell_v, Some(self.max_cell_v)),
            most("max_soc_error_points", "SOC error of a cell", "points", expect.max_soc_error_points, error),
            least("min_end_soc", "SOC at the end", "", expect.min_end_soc, Some(self.soc_end)),
            most("max_duration_s", "duration", "s", expect.max_duration_s, Some(self.duration_s)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn verdict(
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    bound: Option<f64>,
    reached: Option<f64>,
    at_most: bool,
) -> Option<Verdict> {
    let bound = bound?;
    let reached = reached.filter(|r| r.is_finite());
    let met = reached.is_some_and(|r| if at_most { r <= bound } else { r >= bound });
    Some(Verdict { name, what, unit, bound, at_most, reached, met })
}
