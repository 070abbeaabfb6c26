//! Puts a simulated cell under a load and records what a laboratory would see, and the truth inside.

use cell_models::physics::{Resolution, WearKind};
use cell_models::{Drive, Hppc, Label, Load, Plant, PlantError, Step, hold, slow_cycle};

use super::catalog::Model;
use super::cell::{Build, Cell};
use super::{ModelError, check};
use crate::data::bdf::bdf_from_discharge_positive;
use crate::data::profile::{Profile, ProfileKind};
use crate::data::{ExtraColumn, Run};
use crate::verify::Progress;

/// More rows than this are refused: they would take gigabytes.
const MOST_ROWS: f64 = 5e6;
/// Charging at a constant voltage ends at this share of the nominal capacity per hour.
const CUT_OFF_C: f64 = 0.05;
/// It ends at the latest after so long, in s.
const LONGEST_HOLD_S: f64 = 6.0 * 3600.0;
/// Halvings of the step in which a limit is met.
const HALVINGS: u32 = 12;
/// Rows between two reports of progress.
const REPORT_ROWS: usize = 256;

/// What a cell is put under; positive on discharge.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// Constant current in A.
    CurrentA(f64),
    /// Constant current in multiples of the nominal capacity per hour.
    CRate(f64),
    /// Constant power in W.
    PowerW(f64),
    /// A load over time.
    Profile(Profile),
    /// A made-up drive with this peak, in multiples of the nominal capacity per hour.
    Drive {
        /// Largest current either way.
        peak_c: f64,
        /// Which drive.
        seed: u64,
    },
    /// Pulse test over all states of charge.
    Hppc,
    /// Slow discharge and charge of so many hours each.
    Cycle {
        /// Hours for the present capacity.
        hours: f64,
    },
    /// Charge with a constant current, in multiples of the nominal capacity per hour (given positive), to the upper
    /// voltage limit, then at that voltage until the current has fallen to C/20.
    CcCv {
        /// The current.
        c_rate: f64,
    },
}

impl Demand {
    /// A few words, fit for a file name.
    #[must_use]
    pub fn short_name(&self) -> String {
        match self {
            Self::CurrentA(a) => format!("{a}A"),
            Self::CRate(c) => format!("{c}C"),
            Self::PowerW(w) => format!("{w}W"),
            Self::Profile(_) => "profile".into(),
            Self::Drive { .. } => "drive".into(),
            Self::Hppc => "hppc".into(),
            Self::Cycle { .. } => "cycle".into(),
            Self::CcCv { .. } => "cccv".into(),
        }
    }

    /// Whether the cell charges from the start, so that it should begin empty.
    fn charges(&self) -> bool {
        match self {
            Self::CurrentA(x) | Self::CRate(x) | Self::PowerW(x) => *x < 0.0,
            Self::CcCv { .. } => true,
            _ => false,
        }
    }
}

/// How a load is run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// SOC at the start; `None` for a full cell, or an empty one if it is to be charged.
    pub soc: Option<f64>,
    /// Temperature of the cell at the start in degC.
    pub temperature_c: f64,
    /// Temperature of the surroundings in degC; `None` for that of the cell.
    pub ambient_c: Option<f64>,
    /// As in [`Build`].
    pub worn: Option<(f64, WearKind)>,
    /// As in [`Build`].
    pub ageing: bool,
    /// As in [`Build`].
    pub resolution: Option<Resolution>,
    /// Time between rows in s; `None` for 1 s, or 10 s in a slow cycle.
    pub step_s: Option<f64>,
    /// Longest duration in s; `None` for until the load or the cell is at its end.
    pub duration_s: Option<f64>,
}

impl Default for Settings {
    /// A new cell at 25 degC, until the end.
    fn default() -> Self {
        let Build { temperature_c, worn, ageing, resolution, .. } = Build::default();
        Self {
            soc: None,
            temperature_c,
            ambient_c: None,
            worn,
            ageing,
            resolution,
            step_s: None,
            duration_s: None,
        }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The load was done, or the duration over.
    Done,
    /// The voltage reached the lower limit.
    LowerVoltageLimit,
    /// The voltage reached the upper limit.
    UpperVoltageLimit,
    /// The cell can no longer give or take the power.
    OutOfReach,
}

impl End {
    /// A sentence's end.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "the load is done",
            Self::LowerVoltageLimit => "lower voltage limit reached",
            Self::UpperVoltageLimit => "upper voltage limit reached",
            Self::OutOfReach => "the cell can no longer give or take the power",
        }
    }
}

/// A run in a few numbers.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Why it ended.
    pub end: End,
    /// How long it took in s.
    pub duration_s: f64,
    /// Charge taken out in Ah.
    pub discharged_ah: f64,
    /// Charge put in in Ah.
    pub charged_ah: f64,
    /// Energy taken out in Wh.
    pub discharged_wh: f64,
    /// Energy put in in Wh.
    pub charged_wh: f64,
    /// SOC at start and end.
    pub soc: [f64; 2],
    /// Lowest and highest voltage in V.
    pub voltage_v: [f64; 2],
    /// Highest temperature of the surface in degC.
    pub max_surface_temperature_c: f64,
    /// Highest temperature of the core in degC.
    pub max_core_temperature_c: f64,
    /// Lowest anode potential in V, where the model has one.
    pub min_anode_potential_v: Option<f64>,
    /// Capacity in Ah at the end (of a physics cell: C/20 at 25 degC).
    pub capacity_ah: f64,
    /// Share of the new cell's lithium that is lost at the end, where the model has it.
    pub lithium_lost: Option<f64>,
    /// Time in s for which a drive's charging was refused since the voltage was at its limit.
    pub charge_refused_s: f64,
}

/// What happened: one row for every step, beginning with the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// What a laboratory records, with the true SOC.
    pub run: Run,
    /// Temperature of the core in degC.
    pub core_temperature_c: Vec<f64>,
    /// Heat in W.
    pub heat_w: Vec<f64>,
    /// Potential of the negative electrode against the electrolyte next to it in V, where the model has it.
    pub anode_potential_v: Option<Vec<f64>>,
    /// Capacity in Ah, where the cell ages.
    pub capacity_ah: Option<Vec<f64>>,
    /// In a few numbers.
    pub summary: Summary,
}

impl Trace {
    /// The truth as columns for [`write_run`](crate::data::write_run).
    #[must_use]
    pub fn truth(&self) -> Vec<ExtraColumn> {
        let column = |name, values: &Vec<f64>| ExtraColumn { name, values: values.clone() };
        let mut columns =
            vec![column("core_temperature_c", &self.core_temperature_c), column("heat_w", &self.heat_w)];
        columns.extend(self.anode_potential_v.as_ref().map(|v| column("anode_potential_v", v)));
        columns.extend(self.capacity_ah.as_ref().map(|v| column("capacity_ah", v)));
        columns
    }
}

/// What flows in a step.
#[derive(Debug, Clone, Copy)]
enum Flow {
    Hold(Load),
    /// Linearly to this current in A.
    Ramp(f64),
}

/// What a voltage limit does to a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
enum AtLimit {
    /// Its rest is left out.
    LeaveOut,
    /// Nothing while it charges, else its rest is left out.
    RefuseCharge,
    /// Nothing: the load is the limit itself. It ends when the current is down to this, in A.
    HoldUntil(f64),
}

/// One step.
#[derive(Debug, Clone, Copy)]
struct Order {
    flow: Flow,
    dt_s: f64,
    stage: i64,
    at_limit: AtLimit,
}

type Orders = Box<dyn Iterator<Item = Order>>;

/// Puts the cell under the load, from rest, until the load is done, the duration is over or the voltage at its limit.
///
/// A constant load ends at the limit; in a test of several stages the stage does, in a drive or profile discharging does
/// and charging is replaced by rest. The cell itself is not limited in temperature.
///
/// # Errors
/// When a setting is out of range or does not fit the cell, when nothing flows at all (a full cell is to be charged), or
/// the cell refuses a step.
pub fn run(
    model: &Model,
    demand: &Demand,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Trace, ModelError> {
    let soc = settings.soc.unwrap_or(if demand.charges() { 0.0 } else { 1.0 });
    let Settings { temperature_c, worn, ageing, resolution, .. } = *settings;
    let ambient_c = settings.ambient_c.unwrap_or(temperature_c);
    check(
        "ambient temperature",
        ambient_c,
        "between -60 and 100 degC",
        (-60.0..=100.0).contains(&ambient_c),
    )?;
    if let Some(duration_s) = settings.duration_s {
        check("duration", duration_s, "above 0 s", duration_s > 0.0)?;
    }
    let usual_s = if matches!(demand, Demand::Cycle { .. }) { 10.0 } else { 1.0 };
    let step_s = settings.step_s.unwrap_or(usual_s);
    check("time step", step_s, "between 0.001 and 3600 s", (0.001..=3600.0).contains(&step_s))?;
    let mut cell = Cell::new(model, &Build { soc, temperature_c, worn, ageing, resolution })?;
    let planned_s = planned_s(demand, model, &cell)?;
    let longest_s = settings.duration_s.unwrap_or(planned_s).min(planned_s);
    if longest_s == f64::INFINITY {
        return Err(ModelError::NothingHappened(
            "without current only a duration ends the run: give one".into(),
        ));
    }
    check(
        "time step in s",
        step_s,
        "longer for so long a run (at most 5 million rows), or the duration shorter",
        longest_s / step_s <= MOST_ROWS,
    )?;
    let start = |source| ModelError::Step { time_s: 0.0, source };
    cell.set_ambient_c(ambient_c).map_err(start)?;
    if let Demand::Profile(profile) = demand
        && profile.kind != ProfileKind::PowerW
    {
        let first = profile.value.first().copied().unwrap_or_default();
        cell.set_current(first * per_value(profile.kind, model)).map_err(start)?;
    }
    let orders = orders(demand, model, &cell, step_s, longest_s)?;
    progress.stage("simulating", longest_s as usize);
    let mut recorder = Recorder::new(&cell, ambient_c, ageing);
    let end = follow(&mut cell, orders, longest_s, &mut recorder, progress)?;
    Ok(recorder.finish(&cell, end))
}

/// Amperes per unit of a profile's value.
fn per_value(kind: ProfileKind, model: &Model) -> f64 {
    if kind == ProfileKind::CRate { model.nominal_capacity_ah() } else { 1.0 }
}

/// The longest that a load can take, in s.
fn planned_s(demand: &Demand, model: &Model, cell: &Cell) -> Result<f64, ModelError> {
    let (nominal_ah, present_ah) = (model.nominal_capacity_ah(), cell.capacity_ah());
    // A cell gives and takes its capacity once, and half as much again to be sure.
    let once_s = |current_a: f64| 1.5 * 3600.0 * present_ah.max(nominal_ah) / current_a.abs();
    let [low_v, _] = cell.voltage_limits_v();
    let positive = |name, value: f64| check(name, value, "above 0", value > 0.0);
    let constant = |name, value: f64, current_a: f64| {
        check(name, value, "finite", true)?;
        // Without current nothing but the duration ends the run.
        Ok(if current_a == 0.0 { f64::INFINITY } else { once_s(current_a) })
    };
    match demand {
        Demand::CurrentA(a) => constant("current in A", *a, *a),
        Demand::CRate(c) => constant("C-rate", *c, c * nominal_ah),
        Demand::PowerW(w) => constant("power in W", *w, w / (2.0 * low_v.max(1.0))),
        Demand::Profile(p) => Ok(p.time_s.last().unwrap_or(&0.0) - p.time_s.first().unwrap_or(&0.0)),
        Demand::Drive { peak_c, .. } => {
            positive("peak of the drive in C", *peak_c)?;
            // On average a drive discharges at a sixth of its peak.
            Ok(6.0 * once_s(peak_c * nominal_ah))
        }
        Demand::Hppc => Ok(20.0 * 3600.0),
        Demand::Cycle { hours } => {
            positive("hours of the slow cycle", *hours)?;
            Ok((3.0 * hours + 1.0) * 3600.0)
        }
        Demand::CcCv { c_rate } => {
            positive("C-rate of the charge", *c_rate)?;
            Ok(once_s(c_rate * nominal_ah) + LONGEST_HOLD_S)
        }
    }
}

/// The load as steps.
fn orders(
    demand: &Demand,
    model: &Model,
    cell: &Cell,
    step_s: f64,
    longest_s: f64,
) -> Result<Orders, ModelError> {
    let nominal_ah = model.nominal_capacity_ah();
    let constant = |load: Load| -> Orders {
        let steps = hold(Label::Discharge, 0.0, longest_s, step_s);
        Box::new(steps.map(move |step| Order {
            flow: Flow::Hold(load),
            dt_s: step.dt_s,
            stage: 1,
            at_limit: AtLimit::LeaveOut,
        }))
    };
    Ok(match demand {
        Demand::CurrentA(a) => constant(Load::CurrentA(*a)),
        Demand::CRate(c) => constant(Load::CurrentA(c * nominal_ah)),
        Demand::PowerW(w) => constant(Load::PowerW(*w)),
        Demand::Profile(profile) => of_profile(profile, per_value(profile.kind, model), step_s),
        Demand::Drive { peak_c, seed } => {
            let drive = Drive::new(*seed, peak_c * nominal_ah, longest_s, step_s)?;
            Box::new(staged(drive, AtLimit::RefuseCharge))
        }
        Demand::Hppc => {
            let test = Hppc { dt_s: step_s, ..Hppc::new(cell.capacity_ah()) };
            Box::new(staged(test.steps()?, AtLimit::LeaveOut))
        }
        Demand::Cycle { hours } => {
            let cycle = slow_cycle(cell.capacity_ah(), *hours, 3600.0, step_s)?;
            Box::new(staged(cycle, AtLimit::LeaveOut))
        }
        Demand::CcCv { c_rate } => {
            let [_, high_v] = cell.voltage_limits_v();
            let current_a = c_rate * nominal_ah;
            let first = hold(Label::Charge, -current_a, longest_s, step_s);
            let then = hold(Label::Charge, 0.0, LONGEST_HOLD_S, step_s).map(move |step| Order {
                flow: Flow::Hold(Load::VoltageV(high_v)),
                dt_s: step.dt_s,
                stage: 2,
                at_limit: AtLimit::HoldUntil(CUT_OFF_C * nominal_ah),
            });
            Box::new(staged(first, AtLimit::LeaveOut).chain(then))
        }
    })
}

/// Steps with a stage number that changes with their label.
fn staged(steps: impl Iterator<Item = Step>, at_limit: AtLimit) -> impl Iterator<Item = Order> {
    let mut last = None;
    let mut stage = 0;
    steps.map(move |step| {
        if last.replace(step.label) != Some(step.label) {
            stage += 1;
        }
        Order { flow: Flow::Hold(Load::CurrentA(step.current_a)), dt_s: step.dt_s, stage, at_limit }
    })
}

/// The intervals of a profile, those longer than `step_s` in equal pieces.
fn of_profile(profile: &Profile, factor: f64, step_s: f64) -> Orders {
    let points: Vec<(f64, f64)> =
        profile.time_s.iter().copied().zip(profile.value.iter().map(|v| factor * v)).collect();
    let is_power = profile.kind == ProfileKind::PowerW;
    let intervals = (1..points.len()).flat_map(move |k| {
        let ((from_s, from), (to_s, to)) = (points[k - 1], points[k]);
        let pieces = ((to_s - from_s) / step_s - 1e-9).ceil().max(1.0);
        let dt_s = (to_s - from_s) / pieces;
        (1..=pieces as u64).map(move |piece| {
            let at = |share: f64| from + (to - from) * share;
            let flow = if is_power {
                Flow::Hold(Load::PowerW(at((piece as f64 - 0.5) / pieces)))
            } else {
                Flow::Ramp(at(piece as f64 / pieces))
            };
            Order { flow, dt_s, stage: 1, at_limit: AtLimit::RefuseCharge }
        })
    });
    Box::new(intervals)
}

/// Carries a step out.
fn take(cell: &mut Cell, flow: Flow, dt_s: f64) -> Result<(), PlantError> {
    match flow {
        Flow::Hold(load) => cell.hold(load, dt_s),
        Flow::Ramp(to_a) => cell.ramp_current(to_a, dt_s),
    }
}

/// The limit that a cell with a current flowing is beyond.
fn beyond(cell: &Cell) -> Option<End> {
    let ([low_v, high_v], voltage_v, current_a) =
        (cell.voltage_limits_v(), cell.voltage_v(), cell.current_a());
    if current_a > 0.0 && voltage_v < low_v {
        Some(End::LowerVoltageLimit)
    } else if current_a < 0.0 && voltage_v > high_v {
        Some(End::UpperVoltageLimit)
    } else {
        None
    }
}

/// Takes the orders one by one.
fn follow(
    cell: &mut Cell,
    orders: Orders,
    longest_s: f64,
    recorder: &mut Recorder,
    progress: &dyn Progress,
) -> Result<End, ModelError> {
    let mut end = End::Done;
    let mut over = None;
    let mut reported_s = 0;
    for mut order in orders {
        if over == Some(order.stage) {
            continue;
        }
        let left_s = longest_s - recorder.now_s;
        if left_s <= 1e-9 && order.dt_s > 0.0 {
            end = End::Done;
            break;
        }
        order.dt_s = order.dt_s.min(left_s.max(0.0));
        let failed = |source| ModelError::Step { time_s: recorder.now_s, source };
        let before_a = cell.current_a();
        let mut next = cell.clone();
        let met = match take(&mut next, order.flow, order.dt_s) {
            Ok(()) if matches!(order.at_limit, AtLimit::HoldUntil(_)) => None,
            Ok(()) => beyond(&next),
            Err(PlantError::LoadOutOfReach { load: Load::PowerW(_) }) => Some(End::OutOfReach),
            Err(source) => return Err(failed(source)),
        };
        let mut dt_s = order.dt_s;
        if let Some(limit) = met {
            let charging = limit == End::UpperVoltageLimit;
            if charging && order.at_limit == AtLimit::RefuseCharge {
                next = cell.clone();
                next.set_current(0.0).map_err(failed)?;
                next.advance(order.dt_s).map_err(failed)?;
                recorder.charge_refused_s += order.dt_s;
                recorder.push(&next, order.dt_s, 0.0, order.stage);
                *cell = next;
                continue;
            }
            end = limit;
            over = Some(order.stage);
            let part = if order.at_limit == AtLimit::LeaveOut { part(cell, &order) } else { None };
            let Some((reached, part_s)) = part else { continue };
            (next, dt_s) = (reached, part_s);
        } else {
            end = End::Done;
        }
        let mean_a = match order.flow {
            Flow::Hold(_) => next.current_a(),
            Flow::Ramp(to_a) if dt_s > 0.0 => 0.5 * (before_a + to_a),
            Flow::Ramp(to_a) => to_a,
        };
        recorder.push(&next, dt_s, mean_a, order.stage);
        *cell = next;
        if matches!(order.at_limit, AtLimit::HoldUntil(least_a) if cell.current_a().abs() <= least_a) {
            over = Some(order.stage);
        }
        if recorder.rows().is_multiple_of(REPORT_ROWS) {
            let now_s = recorder.now_s as usize;
            progress.advance(now_s.saturating_sub(reported_s));
            reported_s = now_s;
        }
    }
    if recorder.rows() < 2 {
        return Err(ModelError::NothingHappened(match end {
            End::LowerVoltageLimit => {
                "under this load the cell is below its lower voltage limit at once".into()
            }
            End::UpperVoltageLimit => {
                "under this load the cell is above its upper voltage limit at once".into()
            }
            End::OutOfReach => "no current gives this power".into(),
            End::Done => "the load is over at once".into(),
        }));
    }
    Ok(end)
}

/// The longest part of a step that stays within the limits, and the cell after it.
fn part(cell: &Cell, order: &Order) -> Option<(Cell, f64)> {
    let (mut within_s, mut beyond_s, mut found) = (0.0, order.dt_s, None);
    for _ in 0..HALVINGS {
        let middle_s = 0.5 * (within_s + beyond_s);
        let mut trial = cell.clone();
        if take(&mut trial, order.flow, middle_s).is_ok() && beyond(&trial).is_none() {
            within_s = middle_s;
            found = Some((trial, middle_s));
        } else {
            beyond_s = middle_s;
        }
    }
    found
}

/// Rows so far.
struct Recorder {
    now_s: f64,
    ambient_c: f64,
    trace: Trace,
    charge_refused_s: f64,
    ageing: bool,
}

impl Recorder {
    /// With the cell at its start as the first row.
    fn new(cell: &Cell, ambient_c: f64, ageing: bool) -> Self {
        let run = Run {
            temperature_c: Some(Vec::new()),
            mean_current_a: Some(Vec::new()),
            ambient_c: Some(Vec::new()),
            net_charge_ah: Some(Vec::new()),
            soc_true: Some(Vec::new()),
            step_index: Some(Vec::new()),
            ..Run::default()
        };
        let summary = Summary {
            end: End::Done,
            duration_s: 0.0,
            discharged_ah: 0.0,
            charged_ah: 0.0,
            discharged_wh: 0.0,
            charged_wh: 0.0,
            soc: [cell.soc(); 2],
            voltage_v: [f64::INFINITY, f64::NEG_INFINITY],
            max_surface_temperature_c: f64::NEG_INFINITY,
            max_core_temperature_c: f64::NEG_INFINITY,
            min_anode_potential_v: None,
            capacity_ah: cell.capacity_ah(),
            lithium_lost: None,
            charge_refused_s: 0.0,
        };
        let trace = Trace {
            run,
            core_temperature_c: Vec::new(),
            heat_w: Vec::new(),
            anode_potential_v: cell.anode_potential_v().map(|_| Vec::new()),
            capacity_ah: ageing.then(Vec::new),
            summary,
        };
        let mut recorder = Self { now_s: 0.0, ambient_c, trace, charge_refused_s: 0.0, ageing };
        recorder.push(cell, 0.0, cell.current_a(), 0);
        recorder
    }

    fn rows(&self) -> usize {
        self.trace.run.len()
    }

    /// Adds the cell as it is after `dt_s` with this mean current.
    fn push(&mut self, cell: &Cell, dt_s: f64, mean_a: f64, stage: i64) {
        self.now_s += dt_s;
        let (voltage_v, surface_c, core_c) =
            (cell.voltage_v(), cell.surface_temperature_c(), cell.core_temperature_c());
        let charge_ah = mean_a * dt_s / 3600.0;
        let (run, s) = (&mut self.trace.run, &mut self.trace.summary);
        // The voltage at both ends of the step; close enough, as it jumps only where the current does.
        let energy_wh = charge_ah * 0.5 * (run.voltage_v.last().unwrap_or(&voltage_v) + voltage_v);
        if charge_ah > 0.0 {
            s.discharged_ah += charge_ah;
            s.discharged_wh += energy_wh;
        } else {
            s.charged_ah -= charge_ah;
            s.charged_wh -= energy_wh;
        }
        s.voltage_v = [s.voltage_v[0].min(voltage_v), s.voltage_v[1].max(voltage_v)];
        s.max_surface_temperature_c = s.max_surface_temperature_c.max(surface_c);
        s.max_core_temperature_c = s.max_core_temperature_c.max(core_c);
        if let (Some(column), Some(v)) = (&mut self.trace.anode_potential_v, cell.anode_potential_v()) {
            s.min_anode_potential_v = Some(s.min_anode_potential_v.map_or(v, |least: f64| least.min(v)));
            column.push(v);
        }
        run.time_s.push(self.now_s);
        run.voltage_v.push(voltage_v);
        run.current_a.push(cell.current_a());
        let put = |column: &mut Option<Vec<f64>>, value: f64| column.get_or_insert_default().push(value);
        let counted = run.net_charge_ah.as_ref().and_then(|n| n.last()).copied().unwrap_or_default();
        put(&mut run.mean_current_a, mean_a);
        put(&mut run.temperature_c, surface_c);
        put(&mut run.ambient_c, self.ambient_c);
        put(&mut run.net_charge_ah, counted + bdf_from_discharge_positive(charge_ah));
        put(&mut run.soc_true, cell.soc());
        run.step_index.get_or_insert_default().push(stage);
        self.trace.core_temperature_c.push(core_c);
        self.trace.heat_w.push(cell.heat_w());
        if let Some(column) = &mut self.trace.capacity_ah {
            column.push(cell.capacity_ah());
        }
    }

    fn finish(self, cell: &Cell, end: End) -> Trace {
        let Self { mut trace, now_s, charge_refused_s, ageing, .. } = self;
        let s = &mut trace.summary;
        s.end = end;
        s.duration_s = now_s;
        s.soc[1] = cell.soc();
        s.charge_refused_s = charge_refused_s;
        s.capacity_ah = cell.capacity_ah();
        s.lithium_lost = cell.wear().map(|w| w.lithium).filter(|lost| ageing || *lost > 0.0);
        trace
    }
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;
    use crate::verify::Silent;

    fn of(name: &str, demand: &Demand, settings: &Settings) -> Result<Trace, ModelError> {
        run(&open(name)?, demand, settings, &Silent)
    }

    #[test]
    fn a_discharge_ends_at_the_limit_and_keeps_the_books() {
        for (name, least) in [("okane2022", 0.85), ("generic_nmc_5ah", 0.85)] {
            let t = of(name, &Demand::CRate(1.0), &Settings::default()).unwrap();
            let s = &t.summary;
            assert_eq!(s.end, End::LowerVoltageLimit);
            let last_v = *t.run.voltage_v.last().unwrap();
            assert!((2.5..2.505).contains(&last_v), "{name}: {last_v}");
            assert!(s.discharged_ah > least * 5.0 && s.charged_ah == 0.0, "{name}: {s:?}");
            assert!((s.soc[0] - s.soc[1] - s.discharged_ah / s.capacity_ah).abs() < 2e-3, "{name}: {s:?}");
            assert!((s.discharged_wh / s.discharged_ah - 3.5).abs() < 0.4);
            let counted = t.run.discharged_ah();
            assert!((counted.last().unwrap() - s.discharged_ah).abs() < 1e-9);
            assert_eq!(t.anode_potential_v.is_some(), name == "okane2022");
        }
    }

    #[test]
    fn charging_starts_empty_and_holds_the_voltage() {
        let t = of("generic_nmc_5ah", &Demand::CcCv { c_rate: 0.5 }, &Settings::default()).unwrap();
        let s = &t.summary;
        assert_eq!((s.end, s.soc[0]), (End::Done, 0.0));
        assert!(s.soc[1] > 0.97 && s.voltage_v[1] < 4.2001, "{s:?}");
        let last_a = *t.run.current_a.last().unwrap();
        assert!((-0.2501..0.0).contains(&last_a), "{last_a}");
        assert_eq!(t.run.step_index.unwrap().last(), Some(&2));
        let t = of("generic_nmc_5ah", &Demand::CRate(-1.0), &Settings::default()).unwrap();
        assert_eq!(t.summary.end, End::UpperVoltageLimit);
    }

    #[test]
    fn a_profile_keeps_its_charge_and_may_jump() {
        let profile = Profile {
            kind: ProfileKind::CRate,
            time_s: vec![100.0, 110.0, 110.0, 170.0],
            value: vec![0.0, 1.0, -0.5, -0.5],
        };
        let settings = Settings { soc: Some(0.5), ..Settings::default() };
        let t = of("prada2013", &Demand::Profile(profile), &settings).unwrap();
        assert_eq!(t.summary.duration_s, 70.0);
        let expected = 2.3 * 5.0 / 3600.0;
        assert!((t.summary.discharged_ah - expected).abs() < 1e-9, "{:?}", t.summary);
        assert!((t.summary.charged_ah - 2.3 * 30.0 / 3600.0).abs() < 1e-9);
        assert_eq!(t.run.len(), 1 + 10 + 1 + 60);
    }

    #[test]
    fn a_drive_of_a_full_cell_refuses_to_charge_it() {
        let drive = Demand::Drive { peak_c: 3.0, seed: 1 };
        let settings = Settings { duration_s: Some(300.0), temperature_c: -10.0, ..Settings::default() };
        let t = of("generic_nmc_5ah", &drive, &settings).unwrap();
        assert!(t.summary.charge_refused_s > 0.0 && t.summary.end == End::Done, "{:?}", t.summary);
        assert_eq!(t.summary.duration_s, 300.0);
    }

    #[test]
    fn power_is_met() {
        let settings = Settings { duration_s: Some(60.0), soc: Some(0.6), ..Settings::default() };
        let t = of("okane2022", &Demand::PowerW(20.0), &settings).unwrap();
        assert!((t.summary.discharged_wh - 20.0 / 60.0).abs() < 2e-3, "{:?}", t.summary);
    }

    #[test]
    fn what_cannot_be_run_is_said() {
        let refused = |name, demand: Demand, settings: Settings| {
            of(name, &demand, &settings).map(|t| t.summary).unwrap_err().to_string()
        };
        let usual = Settings::default();
        assert!(refused("okane2022", Demand::CRate(0.0), usual).contains("duration"));
        assert!(refused("okane2022", Demand::CRate(f64::NAN), usual).starts_with("C-rate = NaN refused"));
        assert!(refused("okane2022", Demand::CurrentA(1e-9), usual).contains("5 million rows"));
        assert!(refused("okane2022", Demand::PowerW(1e6), usual).contains("no current gives this power"));
        // So much would empty the cell in less time than any step takes.
        for much in [Demand::PowerW(1e300), Demand::PowerW(-1e300), Demand::CRate(1e300)] {
            assert!(refused("generic_nmc_5ah", much, usual).contains("over at once"));
        }
        assert!(refused("okane2022", Demand::CurrentA(1e7), usual).contains("current of 10000000 A refused"));
        let full = Settings { soc: Some(1.0), ..usual };
        assert!(refused("okane2022", Demand::CRate(-1.0), full).contains("above its upper voltage limit"));
        let set = |change: fn(&mut Settings)| {
            let mut settings = usual;
            change(&mut settings);
            refused("generic_nmc_5ah", Demand::CRate(1.0), settings)
        };
        assert!(set(|s| s.soc = Some(1.2)).starts_with("start SOC = 1.2 refused"));
        assert!(set(|s| s.temperature_c = f64::NAN).starts_with("ambient temperature = NaN refused"));
        assert!(set(|s| s.step_s = Some(0.0)).starts_with("time step = 0 refused"));
        assert!(set(|s| s.duration_s = Some(-1.0)).starts_with("duration = -1 refused"));
        assert!(set(|s| s.ageing = true).contains("ageing needs a physics model, which generic_nmc_5ah"));
        assert!(set(|s| s.worn = Some((0.8, WearKind::Both))).contains("state of health"));
        let ages = Settings { ageing: true, ..usual };
        assert!(refused("prada2013", Demand::CRate(1.0), ages).contains("parameters of ageing"));
        let worn = Settings { worn: Some((0.2, WearKind::Both)), ..usual };
        assert!(refused("prada2013", Demand::CRate(1.0), worn).contains("state of health = 0.2 refused"));
    }
}
