//! What a run of a pack in closed loop leaves behind: rows over time, every cell's temperature and state of charge, and the
//! figures of the whole run.
//!
//! The simulation pushes every step into a [`Recorder`]. Figures are taken from every step; rows are kept at an interval,
//! so that maxima are exact however coarse the rows are.
//!
//! ```text
//! step ─► Recorder ─┬─► every step ─► Summary (per phase, energy bill, verdicts) ─► summary.json
//!                   └─► at an interval ─► Row + cells ─► recording.parquet, report
//! ```

use serde::Serialize;

use crate::scenario::{End, PackFacts, Scenario};

mod bill;
mod columns;
mod diagnosed;
mod summary;
#[cfg(test)]
pub(crate) mod tests;
mod track;

pub use bill::Bill;
pub use diagnosed::Diagnosed;
pub use summary::{ErrorFigures, PhaseSummary, PreheatFigures, Summary, Verdict};

use track::Track;

/// Rows that are kept at most when no interval is asked for; beyond them every other one is dropped.
const MOST_ROWS: usize = 20_000;
const SHORTEST_INTERVAL_S: f64 = 1.0;

/// One step of the simulation: what was so at its end, and the means over it where powers are meant.
///
/// The first step of a run has `dt_s = 0`: it tells how everything starts.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Time since the start of the run in s, at the end of the step.
    pub time_s: f64,
    /// Length of the step in s, at least 0.
    pub dt_s: f64,
    /// Number of the phase, from 0.
    pub phase: usize,
    /// Temperature of the surroundings in degC.
    pub ambient_c: f64,
    /// True state of charge of every group in series, fraction.
    pub group_soc: &'a [f64],
    /// True core temperature of every cell in degC; those of a group side by side.
    pub cell_core_c: &'a [f64],
    /// The core's state of charge of every group, fraction; empty while it sleeps.
    pub estimated_group_soc: &'a [f64],
    /// The rest.
    pub values: Values,
}

/// What a step has one value of. A NaN is what is not known, such as estimates while the core sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Values {
    /// Current of the pack in A, positive on discharge.
    pub current_a: f64,
    /// Voltage of the pack in V.
    pub voltage_v: f64,
    /// Power at the pack's terminals in W, positive on discharge; it has in it what the pack's own machines take, unless
    /// the mains feed them.
    pub power_w: f64,
    /// Power that was asked for in W, positive on discharge.
    pub requested_power_w: f64,
    /// Lowest true cell voltage in V.
    pub min_cell_v: f64,
    /// Highest true cell voltage in V.
    pub max_cell_v: f64,
    /// Lowest true anode potential against lithium in V; NaN where the plant has none.
    pub min_anode_v: f64,
    /// Heat of all cells in W.
    pub cell_heat_w: f64,
    /// The core's state of charge of the pack, fraction.
    pub estimated_soc: f64,
    /// The core's lowest core temperature in degC.
    pub estimated_core_min_c: f64,
    /// The core's mean core temperature in degC.
    pub estimated_core_mean_c: f64,
    /// The core's highest core temperature in degC.
    pub estimated_core_max_c: f64,
    /// Coolant where it enters the pack in degC.
    pub coolant_in_c: f64,
    /// Coolant where it leaves the pack in degC.
    pub coolant_out_c: f64,
    /// Flow of the coolant in L/min, negative when reversed.
    pub flow_l_per_min: f64,
    /// Electrical power of the pump in W.
    pub pump_w: f64,
    /// Electrical power of the chiller in W.
    pub chiller_w: f64,
    /// Heat that the chiller takes out of the coolant in W.
    pub chiller_heat_w: f64,
    /// Electrical power of the heater in the coolant in W.
    pub heater_w: f64,
    /// Electrical power of all heating films in W.
    pub film_w: f64,
    /// Effective value of the current that heats the cells from inside, in A of the pack.
    pub pulse_a: f64,
    /// Power that these pulses cost in W.
    pub pulse_w: f64,
    /// Whether the mains feed pump, chiller, heater, films and pulses.
    pub from_mains: bool,
    /// Groups that are being balanced.
    pub balancing_channels: f64,
    /// Power that balancing costs in W.
    pub balancing_w: f64,
    /// Charge current that the core asks for in A, at least 0.
    pub charge_request_a: f64,
    /// Number of the core's charging state, 0 when it does not charge.
    pub charge_state: f64,
    /// Power that the core allows to take in W, at least 0.
    pub discharge_limit_w: f64,
    /// Power that the core allows to put in in W, at least 0.
    pub charge_limit_w: f64,
    /// Contactors that are told to be closed: 1 for plus, 2 for minus, 4 for precharge, added up.
    pub contactors: f64,
    /// Number of the core's mode.
    pub mode: f64,
    /// Worst level of all diagnoses: 0 for none, 1 for information, 2 for a warning, 3 for a fatal one.
    pub diagnosed: f64,
    /// Whether the core warns of a thermal event: 1 or 0.
    pub alarm: f64,
    /// Cells in thermal runaway, or after it.
    pub cells_lost: f64,
}

/// Lowest, mean and highest of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Range {
    /// Lowest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Highest.
    pub max: f64,
}

impl Range {
    /// Of some values; all NaN without any.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let (min, max, sum) =
            values.iter().fold((f64::INFINITY, f64::NEG_INFINITY, 0.0), |(lo, hi, sum), v| {
                (v.min(lo), v.max(hi), sum + v)
            });
        if values.is_empty() {
            return Self { min: f64::NAN, mean: f64::NAN, max: f64::NAN };
        }
        Self { min, mean: sum / values.len() as f64, max }
    }

    /// Highest less lowest.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.max - self.min
    }
}

/// A row of the recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Time since the start in s.
    pub time_s: f64,
    /// Number of the phase, from 0.
    pub phase: usize,
    /// Temperature of the surroundings in degC.
    pub ambient_c: f64,
    /// True states of charge of the groups, fractions.
    pub soc: Range,
    /// The core's states of charge of the groups, fractions; NaN while it sleeps.
    pub estimated_soc: Range,
    /// True core temperatures in degC.
    pub core_c: Range,
    /// The rest.
    pub values: Values,
    /// Energy used since the start.
    pub bill: Bill,
}

impl Row {
    /// What is known of a run without a step.
    fn nothing() -> Self {
        let none = Range::of(&[]);
        Self {
            time_s: 0.0,
            phase: 0,
            ambient_c: f64::NAN,
            soc: none,
            estimated_soc: none,
            core_c: none,
            values: Values::default(),
            bill: Bill::default(),
        }
    }
}

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Figures of the whole run.
    pub summary: Summary,
    /// Time between rows in s.
    pub interval_s: f64,
    /// Rows at that interval, and the last step.
    pub rows: Vec<Row>,
    /// Number of cells.
    pub cells: usize,
    /// Core temperature of every cell in degC, row after row.
    pub core_c: Vec<f32>,
    /// Number of groups in series.
    pub groups: usize,
    /// State of charge of every group (fraction), row after row.
    pub soc: Vec<f32>,
}

/// Takes the steps of a run.
///
/// ```
/// use bms_sim::recording::{Recorder, Step, Values};
/// # use bms_sim::scenario::{PackFacts, Scenario};
/// # let text = "format_version = 1\ntitle = 'x'\npack = 'p'\nambient_c = 25.0\nstart = { soc = 1.0 }\n\
/// #   [[phase]]\nkind = 'park'\nduration = '1s'";
/// # let scenario = Scenario::parse(text)?;
/// # let facts = PackFacts { series: 2, parallel: 1, capacity_ah: 5.0, energy_wh: 36.0, cell_limits_v: [2.5, 4.2],
/// #   cells_kg: 0.14, heat_capacity_j_per_k: 140.0, temperature_sensors: 1, channels: 0, modules: 1 };
/// let mut recorder = Recorder::new(&scenario, &facts, "pack of two", None);
/// for (time_s, dt_s) in [(0.0, 0.0), (1.0, 1.0)] {
///     recorder.push(&Step {
///         time_s,
///         dt_s,
///         phase: 0,
///         ambient_c: 25.0,
///         group_soc: &[0.9, 0.8],
///         cell_core_c: &[25.0, 26.5],
///         estimated_group_soc: &[],
///         values: Values::default(),
///     });
/// }
/// let recording = recorder.finish(&[]);
/// assert_eq!(recording.summary.delta_t_max_k, 1.5);
/// # Ok::<(), bms_sim::scenario::ScenarioError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Recorder {
    track: Track,
    fixed: bool,
    interval_s: f64,
    next_s: f64,
    /// The last step, if it is not kept yet, with its cells and groups.
    last: Option<Row>,
    last_core_c: Vec<f32>,
    last_soc: Vec<f32>,
    rows: Vec<Row>,
    core_c: Vec<f32>,
    soc: Vec<f32>,
    cells: usize,
    groups: usize,
}

impl Recorder {
    /// For a scenario with its pack; `interval_s` between rows, or as fine as some ten thousand rows allow.
    #[must_use]
    pub fn new(scenario: &Scenario, facts: &PackFacts, pack: &str, interval_s: Option<f64>) -> Self {
        Self {
            track: Track::new(scenario, facts, pack),
            fixed: interval_s.is_some(),
            interval_s: interval_s.unwrap_or(SHORTEST_INTERVAL_S),
            next_s: 0.0,
            last: None,
            last_core_c: Vec::new(),
            last_soc: Vec::new(),
            rows: Vec::new(),
            core_c: Vec::new(),
            soc: Vec::new(),
            cells: facts.series * facts.parallel,
            groups: facts.series,
        }
    }

    /// Takes a step. The slices must be as long as the pack has cells and groups.
    pub fn push(&mut self, step: &Step<'_>) {
        debug_assert_eq!((step.cell_core_c.len(), step.group_soc.len()), (self.cells, self.groups));
        let row = self.track.step(step);
        // A sum of steps does not hit the time exactly.
        let due = step.time_s + 1e-6 >= self.next_s;
        singles(&mut self.last_core_c, step.cell_core_c);
        singles(&mut self.last_soc, step.group_soc);
        self.last = Some(row);
        if due {
            // Steps may be longer than the interval.
            self.next_s = (self.next_s + self.interval_s).max(step.time_s);
            self.keep_last();
        }
    }

    /// Ends the run; `ends` tells how each phase ended.
    #[must_use]
    pub fn finish(mut self, ends: &[End]) -> Recording {
        self.keep_last();
        Recording {
            summary: self.track.finish(ends),
            interval_s: self.interval_s,
            rows: self.rows,
            cells: self.cells,
            core_c: self.core_c,
            groups: self.groups,
            soc: self.soc,
        }
    }

    fn keep_last(&mut self) {
        let Some(row) = self.last.take() else { return };
        self.rows.push(row);
        self.core_c.extend_from_slice(&self.last_core_c);
        self.soc.extend_from_slice(&self.last_soc);
        if !self.fixed && self.rows.len() > MOST_ROWS {
            halve(&mut self.rows, 1);
            halve(&mut self.core_c, self.cells);
            halve(&mut self.soc, self.groups);
            self.interval_s *= 2.0;
            self.next_s = self.rows.last().map_or(0.0, |r| r.time_s) + self.interval_s;
        }
    }
}

fn singles(into: &mut Vec<f32>, values: &[f64]) {
    into.clear();
    into.extend(values.iter().map(|v| *v as f32));
}

/// Keeps every other group of `width` values, from the first on.
fn halve<T: Clone>(values: &mut Vec<T>, width: usize) {
    let kept = values.chunks(width.max(1)).step_by(2).flatten().cloned().collect();
    *values = kept;
}

impl Recording {
    /// Core temperatures of all cells in degC at a row.
    #[must_use]
    pub fn cores_at(&self, row: usize) -> &[f32] {
        self.core_c.get(row * self.cells..(row + 1) * self.cells).unwrap_or_default()
    }

    /// States of charge of all groups (fractions) at a row.
    #[must_use]
    pub fn socs_at(&self, row: usize) -> &[f32] {
        self.soc.get(row * self.groups..(row + 1) * self.groups).unwrap_or_default()
    }
}
