//! Simulated cells against measured ones: the measured current through the model, and how far its voltage is off.
//!
//! A run is cut into parts, each from a rest through one load to the next rest:
//!
//! * A part begins at the sample with which the run begins, or at the end of a rest of half an hour or more. It is left out
//!   where the cell carried a current, or had not come to rest: where its voltage moved by more than 5 mV in a shorter rest
//!   at the start of the run, or where a single sample without current already has the voltage under load.
//! * The model starts at rest, with the stoichiometry (or SOC) at which its own open-circuit voltage is the measured rest
//!   voltage. A wrong capacity shows in the course of the part, not at its start.
//! * The current is linear between the samples, as recorded.
//! * The surface of the model is held at the measured surface temperature, as cooling is a matter of the test bench and not
//!   of the cell; [`Heat::Own`] lets the cell cool with its own heat transfer instead, to the temperature at the start.
//! * Samples count while a current flows, weighted by the time since the one before. Those next to a step of the current
//!   do not: cyclers record voltage and current of slightly different instants there.
//! * The comparison of a part ends where the model is more than 0.1 V beyond a voltage limit, or gives up: it is empty (or
//!   full) earlier than the cell. The share of the time that was compared tells.

use std::path::Path;

use cell_models::Plant;
use cell_models::physics::SpmeCell;
use rayon::prelude::*;
use serde::Serialize;

use super::catalog::{Model, Parameters};
use super::cell::{Build, Cell};
use super::{ModelError, check};
use crate::data::{Dataset, ReadOptions, Run, read_segments_with};

/// Below this share of 1C no current flows.
const REST_C: f64 = 0.002;
/// From this share of 1C on, a change of the current from one sample to the next is a step.
const STEP_C: f64 = 0.05;
/// A rest of so many seconds is one.
const REST_S: f64 = 1800.0;
/// In a shorter rest at the start of a run, the voltage may move by so much in V.
const REST_MOVES_V: f64 = 5e-3;
/// So far beyond a voltage limit in V the model has left its range.
const BEYOND_V: f64 = 0.1;
/// A load of less than so many seconds is a pulse.
const PULSE_S: f64 = 60.0;
/// After so many seconds under load the resistance is taken; a little less will do.
const RESISTANCE_S: f64 = 10.0;
const ENOUGH_S: f64 = 9.0;
/// Pulses in a row are repeats of one test when they start within so many V and K.
const REPEAT: [f64; 2] = [0.025, 2.0];
/// Where the first step of the current changes the voltage by less than this share of what the first two samples under load
/// say (per ampere), the voltage before it was not one of rest.
const FIRST_STEP: f64 = 0.4;
/// The middle of a part: from this share of the charge that moves to that.
const MIDDLE: [f64; 2] = [0.1, 0.9];
/// A discharge that ends within so many V of the lower limit has emptied the cell.
const EMPTY_V: f64 = 0.02;
/// Conductance in W/K by which a held surface hangs on its measured temperature.
const HELD_W_PER_K: f64 = 1e3;

/// What sets the temperature of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Heat {
    /// Its surface is held at the measured surface temperature.
    #[default]
    Measured,
    /// It cools with its own heat transfer to surroundings at the temperature at the start.
    Own,
}

/// How is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// What sets the temperature of the model.
    pub heat: Heat,
    /// Temperature in degC for runs without a temperature column.
    pub temperature_c: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { heat: Heat::default(), temperature_c: 25.0 }
    }
}

/// What kind of load a part has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Discharge alone.
    Discharge,
    /// Charge alone.
    Charge,
    /// Both ways.
    Mixed,
    /// A load of less than a minute.
    Pulse,
}

impl Kind {
    /// One word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Discharge => "discharge",
            Self::Charge => "charge",
            Self::Mixed => "mixed",
            Self::Pulse => "pulse",
        }
    }
}

/// Resistance after 10 s of load from rest, in mohm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Resistance {
    /// Of the measured cell; the mean where there are repeats.
    pub measured_mohm: f64,
    /// Smallest and largest of the repeats.
    pub measured_range_mohm: [f64; 2],
    /// Of the model.
    pub model_mohm: f64,
}

/// One part of a run, or repeats of one pulse, measured and simulated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// File and part.
    pub source: String,
    /// What kind of load.
    pub kind: Kind,
    /// How many repeats; above 1 for pulses in a row that start alike: of other cells, or again.
    pub repeats: usize,
    /// Temperature at the start in degC.
    pub temperature_c: f64,
    /// Measured voltage at rest in V, at the start.
    pub rest_voltage_v: f64,
    /// The model's SOC at this voltage.
    pub start_soc: f64,
    /// Mean size of the current in multiples of the model's nominal capacity per hour, while one flows.
    pub c_rate: f64,
    /// Time under load in s.
    pub load_s: f64,
    /// Share of the time under load over which the two were compared.
    pub compared: f64,
    /// Root mean square of model - measured in mV.
    pub rms_mv: f64,
    /// The same over the middle 80 % of the charge that moves, without the steep ends; `None` where nothing of it was compared.
    pub middle_rms_mv: Option<f64>,
    /// Largest size of model - measured in mV.
    pub max_mv: f64,
    /// Mean of model - measured in mV.
    pub bias_mv: f64,
    /// Charge in Ah from the start to the lower voltage limit, measured and of the model, where the cell was emptied.
    pub emptied_ah: Option<[f64; 2]>,
    /// Resistance after 10 s of load, where the samples show it.
    pub resistance: Option<Resistance>,
    /// Highest surface temperature in degC, measured and of the model.
    pub highest_c: [f64; 2],
}

/// What comparing gave.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Compared {
    /// The parts, in the order of files and time.
    pub parts: Vec<Comparison>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
}

/// Compares a model with one measured run.
///
/// # Errors
/// When the model is refused; a part that the model cannot follow is left out and told.
pub fn compare(model: &Model, run: &Run, settings: &Settings) -> Result<Compared, ModelError> {
    Ok(Bench::new(model, settings)?.compare(run))
}

/// Compares a model with all tests in some files. Pulses in a row that start alike are told as one.
///
/// # Errors
/// When a file cannot be read or the model is refused.
pub fn compare_files(
    model: &Model,
    files: &[impl AsRef<Path> + Sync],
    settings: &Settings,
) -> Result<Compared, ModelError> {
    let bench = Bench::new(model, settings)?;
    let options = ReadOptions { drop_incomplete: true, bridge_temperature: true, ..ReadOptions::default() };
    let of_files: Vec<Result<Compared, ModelError>> = files
        .par_iter()
        .map(|file| {
            let runs = read_segments_with(file.as_ref(), &options)?;
            let of_runs: Vec<Compared> = runs.par_iter().map(|run| bench.compare(run)).collect();
            let mut whole = Compared::default();
            for compared in of_runs {
                whole.parts.extend(compared.parts);
                whole.left_out.extend(compared.left_out);
            }
            whole.parts = without_repeats(whole.parts);
            Ok(whole)
        })
        .collect();
    let mut whole = Compared::default();
    for compared in of_files {
        let compared = compared?;
        whole.parts.extend(compared.parts);
        whole.left_out.extend(compared.left_out);
    }
    Ok(whole)
}

/// Compares a model with all tests of a data set.
///
/// # Errors
/// When the folder or a file cannot be read, or the model is refused.
pub fn compare_folder(model: &Model, folder: &Path, settings: &Settings) -> Result<Compared, ModelError> {
    let set = Dataset::open(folder)?;
    let files: Vec<_> = set.files.iter().filter(|f| f.is_run()).map(|f| set.path(f)).collect();
    compare_files(model, &files, settings)
}

/// A model ready to be compared, so that its cell is built once for all runs.
#[derive(Debug)]
struct Bench {
    model: Model,
    settings: Settings,
    /// A physics cell at rest at 25 degC, and between which stoichiometries of its negative electrode it may start.
    physics: Option<(SpmeCell, [f64; 2])>,
}

impl Bench {
    fn new(model: &Model, settings: &Settings) -> Result<Self, ModelError> {
        /// So far beyond full and empty, as a share of the way between them, a rest voltage may lie.
        const BEYOND: f64 = 0.05;
        let t = settings.temperature_c;
        check("temperature", t, "between -60 and 100 degC", (-60.0..=100.0).contains(&t))?;
        let model = match settings.heat {
            Heat::Measured => with_held_surface(model),
            Heat::Own => model.clone(),
        };
        let physics = match &model.parameters {
            Parameters::Physics(p, _) => {
                let cell = SpmeCell::new((**p).clone(), 1.0, 25.0)?.without_ageing();
                let [x_full, y_full] = cell.mean_stoichiometry();
                let [x_empty, y_empty] = SpmeCell::new((**p).clone(), 0.0, 25.0)?.mean_stoichiometry();
                // As far beyond as both electrodes allow.
                let room = |x: f64, way: f64| if way > 0.0 { (1.0 - x) / way } else { x / -way };
                let [dx, dy] = [x_full - x_empty, y_full - y_empty];
                let above = 0.999 * BEYOND.min(room(x_full, dx)).min(room(y_full, dy)).max(0.0);
                let below = 0.999 * BEYOND.min(room(x_empty, -dx)).min(room(y_empty, -dy)).max(0.0);
                Some((cell, [x_empty - below * dx, x_full + above * dx]))
            }
            Parameters::Circuit(_) | Parameters::Supercap(_) => {
                Cell::new(&model, &Build { temperature_c: t, ..Build::default() })?;
                None
            }
        };
        Ok(Self { model, settings: *settings, physics })
    }

    fn compare(&self, run: &Run) -> Compared {
        let mut compared = Compared::default();
        for part in parts(run, REST_C * self.model.nominal_capacity_ah()) {
            match part.and_then(|part| self.follow(&part)) {
                Ok(Some(comparison)) => compared.parts.push(comparison),
                Ok(None) => {}
                Err(why) => compared.left_out.push(format!("{}: {why}", run.source)),
            }
        }
        compared
    }

    /// Puts the model through a part that begins at rest; `None` if no current flows in it.
    fn follow(&self, part: &Run) -> Result<Option<Comparison>, String> {
        let (model, settings) = (&self.model, &self.settings);
        let one_c_a = model.nominal_capacity_ah();
        let rest_a = REST_C * one_c_a;
        let samples = samples(part, settings, STEP_C * one_c_a);
        let flows = |s: &Sample| s.current_a.abs() >= rest_a;
        let (Some(&first), Some(last_load)) = (samples.first(), samples.iter().rposition(flows)) else {
            return Ok(None);
        };
        let mut cell = self.rested_at(first.voltage_v, first.temperature_c)?;
        let start_soc = cell.soc();
        let limits = model.voltage_limits_v();
        let mut sums = Sums::default();
        let mut tally = Tally::new(first.temperature_c);
        let mut differences = Vec::new();
        let mut emptied = Crossing::default();
        let mut within = true;
        let mut simulated = vec![cell.voltage_v()];
        for pair in samples.get(..=last_load).unwrap_or_default().windows(2) {
            let &[before, now] = pair else { continue };
            let dt_s = now.time_s - before.time_s;
            tally.add(&before, &now, dt_s, flows(&now));
            if !within {
                continue;
            }
            let step =
                if settings.heat == Heat::Measured { cell.set_ambient_c(now.temperature_c) } else { Ok(()) };
            let voltage_v = match step.and_then(|()| cell.ramp_current(now.current_a, dt_s)) {
                Ok(()) => cell.voltage_v(),
                Err(_) => f64::NAN,
            };
            emptied.see(tally.discharged_ah, voltage_v, limits[0]);
            let [low, high] = [limits[0] - BEYOND_V, limits[1] + BEYOND_V];
            within = voltage_v > low && voltage_v < high;
            if !within {
                continue;
            }
            simulated.push(voltage_v);
            sums.compared_s += if flows(&now) { dt_s } else { 0.0 };
            tally.highest_c[1] = tally.highest_c[1].max(cell.surface_temperature_c());
            if flows(&now) && !now.at_step {
                sums.add(1e3 * (voltage_v - now.voltage_v), dt_s);
                differences.push((tally.moved_as, 1e3 * (voltage_v - now.voltage_v), dt_s));
            }
        }
        if sums.weight_s == 0.0 {
            return Err(format!("load from {:.0} s on left out: no sample to compare", first.time_s));
        }
        let kind = match (tally.charged_s > 0.0, tally.discharged_s > 0.0) {
            _ if tally.load_s() < PULSE_S => Kind::Pulse,
            (true, true) => Kind::Mixed,
            (true, false) => Kind::Charge,
            _ => Kind::Discharge,
        };
        let last = samples.get(last_load).copied().unwrap_or(first);
        let is_empty = kind == Kind::Discharge && last.voltage_v <= limits[0] + EMPTY_V;
        let emptied_ah = if is_empty {
            if within && emptied.at_ah.is_none() {
                go_on(&mut cell, &mut emptied, tally.discharged_ah, limits[0]);
            }
            emptied.at_ah.map(|ah| [tally.discharged_ah, ah])
        } else {
            None
        };
        Ok(Some(Comparison {
            source: part.source.clone(),
            kind,
            repeats: 1,
            temperature_c: first.temperature_c,
            rest_voltage_v: first.voltage_v,
            start_soc,
            c_rate: tally.moved_as / (tally.load_s() * one_c_a),
            load_s: tally.load_s(),
            compared: sums.compared_s / tally.load_s(),
            rms_mv: (sums.squares / sums.weight_s).sqrt(),
            middle_rms_mv: middle_rms(&differences, tally.moved_as),
            max_mv: sums.largest,
            bias_mv: sums.sum / sums.weight_s,
            emptied_ah,
            resistance: resistance(&samples, &simulated, rest_a),
            highest_c: tally.highest_c,
        }))
    }

    /// A rested cell whose open-circuit voltage is that given.
    fn rested_at(&self, voltage_v: f64, temperature_c: f64) -> Result<Cell, String> {
        /// Until every cell has the temperature of its surroundings.
        const LONG_S: f64 = 1e7;
        let told = |e: &dyn std::fmt::Display| format!("left out: {e}");
        let Some((cell, [x_low, x_high])) = &self.physics else {
            let at = |soc: f64| {
                let build = Build { soc, temperature_c, ..Build::default() };
                Cell::new(&self.model, &build).map_err(|e| told(&e))
            };
            return at(between(0.0, 1.0, voltage_v, |soc| at(soc).map(|c| c.voltage_v()))?);
        };
        let mut cell = cell.clone();
        cell.set_ambient_c(temperature_c).and_then(|()| cell.advance(LONG_S)).map_err(|e| told(&e))?;
        let at = |x: f64| cell.clone().at_stoichiometry(x).map_err(|e| told(&e));
        let x = between(*x_low, *x_high, voltage_v, |x| at(x).map(|c| c.voltage_v()))?;
        Ok(Cell::Physics(Box::new(at(x)?)))
    }
}

/// The same model, whose surface follows the surroundings.
fn with_held_surface(model: &Model) -> Model {
    let mut model = model.clone();
    match &mut model.parameters {
        Parameters::Physics(p, _) => p.thermal.surface_ambient_w_per_k = HELD_W_PER_K,
        Parameters::Circuit(p) => p.thermal.surface_ambient_w_per_k = HELD_W_PER_K,
        Parameters::Supercap(p) => p.thermal.surface_ambient_w_per_k = HELD_W_PER_K,
    }
    model
}

/// The parts of a run, each of which begins with a rested sample; or why one is left out.
fn parts(run: &Run, rest_a: f64) -> Vec<Result<Run, String>> {
    let rests = rests(run, rest_a);
    let time = |k: usize| run.time_s.get(k).copied().unwrap_or_default();
    let mut starts = Vec::new();
    for &(from, to) in &rests {
        let rested_s = time(to) - time(from);
        if from > 0 && rested_s < REST_S {
            continue;
        }
        // The voltage of the last sample may already be that under load.
        let start = to.saturating_sub(1).max(from);
        let voltages = run.voltage_v.get(from..=start).unwrap_or_default();
        let moved = match (voltages.first(), voltages.last()) {
            (Some(first), Some(last)) => last - first,
            _ => 0.0,
        };
        let unrested = (rested_s < REST_S && moved.abs() > REST_MOVES_V).then(|| {
            format!(
                "load from {:.0} s on left out: before it, the voltage moved by {:.0} mV in {rested_s:.0} s without \
                 current, so the cell was not at rest",
                time(to),
                1e3 * moved
            )
        });
        let unrested = unrested.or_else(|| starts_under_load(run, from, to));
        starts.push((from, start, unrested));
    }
    let mut parts = Vec::new();
    match starts.first() {
        Some((0, ..)) => {}
        Some(_) => parts.push(Err("load before the first long rest left out: no rest before it".into())),
        None => parts.push(Err("left out: nowhere at rest".into())),
    }
    for (k, (_, start, unrested)) in starts.iter().enumerate() {
        let end = starts.get(k + 1).map_or(run.len(), |next| next.0 + 1);
        parts.push(match unrested {
            Some(why) => Err(why.clone()),
            None => Ok(run.slice(*start..end)),
        });
    }
    parts
}

/// Why a rest of one sample is none: where the first step of the current barely changes the voltage, the voltage was
/// recorded after the load had begun.
fn starts_under_load(run: &Run, from: usize, to: usize) -> Option<String> {
    let resistance = |k: usize| {
        let [v0, v, i] = [run.voltage_v.get(to)?, run.voltage_v.get(k)?, run.current_a.get(k)?];
        (*i != 0.0).then(|| (v0 - v) / i)
    };
    let [first, second] = [resistance(to + 1)?, resistance(to + 2)?];
    (from == to && first < FIRST_STEP * second).then(|| {
        "load at the start left out: the only sample without current already has the voltage under load"
            .into()
    })
}

/// First and last sample of each stretch without current.
fn rests(run: &Run, rest_a: f64) -> Vec<(usize, usize)> {
    let mut rests: Vec<(usize, usize)> = Vec::new();
    for (k, current) in run.current_a.iter().enumerate() {
        if current.abs() < rest_a {
            match rests.last_mut() {
                Some(rest) if rest.1 + 1 == k => rest.1 = k,
                _ => rests.push((k, k)),
            }
        }
    }
    rests
}

/// A sample of a part.
#[derive(Debug, Clone, Copy)]
struct Sample {
    time_s: f64,
    current_a: f64,
    voltage_v: f64,
    temperature_c: f64,
    /// Whether the current steps before or after it.
    at_step: bool,
}

fn samples(part: &Run, settings: &Settings, step_a: f64) -> Vec<Sample> {
    let i = &part.current_a;
    let steps = |a: Option<usize>, b: usize| match (a.and_then(|a| i.get(a)), i.get(b)) {
        (Some(a), Some(b)) => (a - b).abs() > step_a,
        _ => false,
    };
    let rows = part.time_s.iter().zip(i).zip(&part.voltage_v).enumerate();
    rows.map(|(k, ((&time_s, &current_a), &voltage_v))| {
        let measured = part.temperature_c.as_ref().and_then(|t| t.get(k)).copied();
        Sample {
            time_s,
            current_a,
            voltage_v,
            temperature_c: measured.unwrap_or(settings.temperature_c),
            at_step: steps(k.checked_sub(1), k) || steps(Some(k), k + 1),
        }
    })
    .collect()
}

/// Sums over differences in mV.
#[derive(Debug, Default)]
struct Sums {
    weight_s: f64,
    compared_s: f64,
    sum: f64,
    squares: f64,
    largest: f64,
}

impl Sums {
    fn add(&mut self, difference_mv: f64, dt_s: f64) {
        self.weight_s += dt_s;
        self.sum += dt_s * difference_mv;
        self.squares += dt_s * difference_mv * difference_mv;
        self.largest = self.largest.max(difference_mv.abs());
    }
}

/// Root mean square over the middle of the charge that moved; differences with the charge moved before and their time.
fn middle_rms(differences: &[(f64, f64, f64)], moved_as: f64) -> Option<f64> {
    let [from, to] = MIDDLE.map(|share| share * moved_as);
    let middle = differences.iter().filter(|(moved, ..)| (from..=to).contains(moved));
    let mut sums = Sums::default();
    middle.for_each(|(_, difference, dt_s)| sums.add(*difference, *dt_s));
    (sums.weight_s > 0.0).then(|| (sums.squares / sums.weight_s).sqrt())
}

/// What flowed, and how warm it was.
#[derive(Debug)]
struct Tally {
    discharged_ah: f64,
    moved_as: f64,
    charged_s: f64,
    discharged_s: f64,
    highest_c: [f64; 2],
}

impl Tally {
    fn new(temperature_c: f64) -> Self {
        Self {
            discharged_ah: 0.0,
            moved_as: 0.0,
            charged_s: 0.0,
            discharged_s: 0.0,
            highest_c: [temperature_c; 2],
        }
    }

    fn add(&mut self, before: &Sample, now: &Sample, dt_s: f64, flows: bool) {
        let mean_a = 0.5 * (before.current_a + now.current_a);
        self.discharged_ah += mean_a * dt_s / 3600.0;
        if flows {
            self.moved_as += mean_a.abs() * dt_s;
            *(if now.current_a > 0.0 { &mut self.discharged_s } else { &mut self.charged_s }) += dt_s;
        }
        self.highest_c[0] = self.highest_c[0].max(now.temperature_c);
    }

    fn load_s(&self) -> f64 {
        self.charged_s + self.discharged_s
    }
}

/// Where a falling voltage crosses the limit.
#[derive(Debug, Default)]
struct Crossing {
    before: Option<(f64, f64)>,
    at_ah: Option<f64>,
}

impl Crossing {
    fn see(&mut self, ah: f64, voltage_v: f64, limit_v: f64) {
        if self.at_ah.is_none()
            && voltage_v <= limit_v
            && let Some((ah_before, voltage_before)) = self.before
        {
            let share = (voltage_before - limit_v) / (voltage_before - voltage_v);
            self.at_ah = Some(ah_before + share * (ah - ah_before));
        }
        self.before = Some((ah, voltage_v));
    }
}

/// Discharges on with the present current until the model is empty, too.
fn go_on(cell: &mut Cell, emptied: &mut Crossing, from_ah: f64, limit_v: f64) {
    /// More than the charge that flowed cannot be left over.
    const MOST_S: usize = 200_000;
    let current_a = cell.current_a();
    let mut ah = from_ah;
    for _ in 0..MOST_S {
        if emptied.at_ah.is_some() || ah > 2.0 * from_ah || cell.advance(1.0).is_err() {
            return;
        }
        ah += current_a / 3600.0;
        emptied.see(ah, cell.voltage_v(), limit_v);
    }
}

/// Resistance over the first 10 s of load, or what there is of them, if the samples lie close enough and the current is
/// steady. `simulated` may end early.
fn resistance(samples: &[Sample], simulated: &[f64], rest_a: f64) -> Option<Resistance> {
    let on = samples.iter().position(|s| s.current_a.abs() >= rest_a)?;
    let (&rested, &before) = (samples.first()?, samples.get(on.checked_sub(1)?)?);
    let end_s = before.time_s + RESISTANCE_S;
    let rows = samples.iter().zip(simulated).skip(on).take_while(|(s, _)| s.current_a.abs() >= rest_a);
    let rows: Vec<(&Sample, &f64)> = rows.collect();
    let close = |s: &Sample| (ENOUGH_S..=RESISTANCE_S + 1.5).contains(&(s.time_s - before.time_s));
    let (at, voltage_v) = rows
        .iter()
        .filter(|(s, _)| close(s))
        .min_by(|a, b| (a.0.time_s - end_s).abs().total_cmp(&(b.0.time_s - end_s).abs()))?;
    let is_steady =
        |s: &Sample| s.time_s < before.time_s + 1.0 || (s.current_a / at.current_a - 1.0).abs() < 0.05;
    let until = rows.iter().take_while(|(s, _)| s.time_s <= at.time_s);
    if !until.into_iter().all(|(s, _)| is_steady(s)) {
        return None;
    }
    let of = |from_v: f64, to_v: f64| 1e3 * (from_v - to_v) / at.current_a;
    let measured_mohm = of(rested.voltage_v, at.voltage_v);
    Some(Resistance {
        measured_mohm,
        measured_range_mohm: [measured_mohm; 2],
        model_mohm: of(*simulated.first()?, **voltage_v),
    })
}

/// Where a rising function has a value.
fn between(
    mut low: f64,
    mut high: f64,
    value_v: f64,
    f: impl Fn(f64) -> Result<f64, String>,
) -> Result<f64, String> {
    let [least, most] = [f(low)?, f(high)?];
    if !(least..=most).contains(&value_v) {
        return Err(format!(
            "left out: it starts at {value_v:.3} V, but at rest the model is between {least:.3} and {most:.3} V"
        ));
    }
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if f(middle)? < value_v { low = middle } else { high = middle }
    }
    Ok(0.5 * (low + high))
}

/// Pulses in a row that start alike as one: differences and resistances averaged, the largest difference kept.
fn without_repeats(parts: Vec<Comparison>) -> Vec<Comparison> {
    let mut groups: Vec<Vec<Comparison>> = Vec::new();
    for part in parts {
        let is_repeat = |group: &[Comparison]| {
            group.first().is_some_and(|first| {
                (first.kind, part.kind) == (Kind::Pulse, Kind::Pulse)
                    && (first.rest_voltage_v - part.rest_voltage_v).abs() < REPEAT[0]
                    && (first.temperature_c - part.temperature_c).abs() < REPEAT[1]
            })
        };
        match groups.last_mut() {
            Some(group) if is_repeat(group) => group.push(part),
            _ => groups.push(vec![part]),
        }
    }
    groups.iter().filter_map(|group| mean(group)).collect()
}

fn mean(group: &[Comparison]) -> Option<Comparison> {
    let mut whole = group.first()?.clone();
    let n = group.len() as f64;
    let average = |of: fn(&Comparison) -> f64| group.iter().map(of).sum::<f64>() / n;
    whole.repeats = group.len();
    whole.temperature_c = average(|c| c.temperature_c);
    whole.rest_voltage_v = average(|c| c.rest_voltage_v);
    whole.start_soc = average(|c| c.start_soc);
    whole.c_rate = average(|c| c.c_rate);
    whole.load_s = average(|c| c.load_s);
    whole.compared = average(|c| c.compared);
    whole.middle_rms_mv = {
        let squares: Vec<f64> = group.iter().filter_map(|c| c.middle_rms_mv).map(|rms| rms * rms).collect();
        (!squares.is_empty()).then(|| (squares.iter().sum::<f64>() / squares.len() as f64).sqrt())
    };
    whole.rms_mv = average(|c| c.rms_mv * c.rms_mv).sqrt();
    whole.bias_mv = average(|c| c.bias_mv);
    whole.max_mv = group.iter().map(|c| c.max_mv).fold(0.0, f64::max);
    let resistances: Vec<Resistance> = group.iter().filter_map(|c| c.resistance).collect();
    whole.resistance = (!resistances.is_empty()).then(|| {
        let m = resistances.len() as f64;
        let measured = resistances.iter().map(|r| r.measured_mohm);
        Resistance {
            measured_mohm: measured.clone().sum::<f64>() / m,
            measured_range_mohm: [
                measured.clone().fold(f64::INFINITY, f64::min),
                measured.fold(f64::NEG_INFINITY, f64::max),
            ],
            model_mohm: resistances.iter().map(|r| r.model_mohm).sum::<f64>() / m,
        }
    });
    for k in 0..2 {
        whole.highest_c[k] = group.iter().map(|c| c.highest_c[k]).fold(f64::NEG_INFINITY, f64::max);
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::super::{Demand, Settings as RunSettings, open, run};
    use super::*;
    use crate::verify::Silent;

    /// A run of a simulated cell. Its load begins with a step after the first row; a second row at that time says so, as the
    /// current would else rise over the first second.
    fn simulated(name: &str, demand: &Demand, soc: f64, duration_s: f64) -> Run {
        let settings = RunSettings {
            soc: Some(soc),
            duration_s: Some(duration_s),
            step_s: Some(1.0),
            ..RunSettings::default()
        };
        let run = run(&open(name).unwrap(), demand, &settings, &Silent).unwrap().run;
        let again = |values: &[f64], k: usize| [&values[..1], &[values[k]], &values[1..]].concat();
        Run {
            source: "simulated".into(),
            time_s: again(&run.time_s, 0),
            current_a: again(&run.current_a, 1),
            voltage_v: again(&run.voltage_v, 1),
            ..Run::default()
        }
    }

    #[test]
    fn a_model_is_nowhere_off_from_itself() {
        for name in ["chen2020", "generic_nmc_5ah"] {
            let run = simulated(name, &Demand::CRate(0.5), 0.9, 1e5);
            let settings = Settings { heat: Heat::Own, ..Settings::default() };
            let compared = compare(&open(name).unwrap(), &run, &settings).unwrap();
            let [c] = compared.parts.as_slice() else { panic!("{compared:?}") };
            assert_eq!((c.kind, c.repeats, compared.left_out.len()), (Kind::Discharge, 1, 0));
            assert!(c.rms_mv < 0.5 && (c.start_soc - 0.9).abs() < 1e-3 && c.compared > 0.999, "{c:?}");
            assert!((c.c_rate - 0.5).abs() < 1e-2, "{c:?}");
            let [measured, model] = c.emptied_ah.unwrap();
            assert!((model / measured - 1.0).abs() < 1e-3, "{c:?}");
            let r = c.resistance.unwrap();
            assert!((r.measured_mohm - r.model_mohm).abs() < 0.1 && r.model_mohm > 10.0, "{r:?}");
        }
    }

    #[test]
    fn added_resistance_shows_as_such() {
        let mut run = simulated("okane2022", &Demand::CRate(1.0), 0.8, 30.0);
        let drops = run.current_a.iter().map(|i| 0.01 * i);
        run.voltage_v = run.voltage_v.iter().zip(drops).map(|(v, drop)| v - drop).collect();
        let compared = compare(&open("okane2022").unwrap(), &run, &Settings::default()).unwrap();
        let c = &compared.parts[0];
        let r = c.resistance.unwrap();
        assert!((r.measured_mohm - r.model_mohm - 10.0).abs() < 0.5, "{c:?}");
        assert!((c.bias_mv - 50.0).abs() < 2.0 && c.kind == Kind::Pulse && c.emptied_ah.is_none(), "{c:?}");
    }

    #[test]
    fn what_does_not_start_at_rest_is_left_out_and_told() {
        let model = open("generic_nmc_5ah").unwrap();
        let make = |rows: &[[f64; 3]]| Run {
            source: "x".into(),
            time_s: rows.iter().map(|r| r[0]).collect(),
            current_a: rows.iter().map(|r| r[1]).collect(),
            voltage_v: rows.iter().map(|r| r[2]).collect(),
            ..Run::default()
        };
        let load = [[121.0, 5.0, 3.6], [122.0, 5.0, 3.59], [160.0, 5.0, 3.55]];
        let why = |first: &[[f64; 3]]| {
            let run = make(&[first, &load].concat());
            let compared = compare(&model, &run, &Settings::default()).unwrap();
            assert!(compared.parts.is_empty(), "{compared:?}");
            compared.left_out.join("\n")
        };
        assert!(why(&[[0.0, 0.0, 3.70], [100.0, 0.0, 3.75], [120.0, 0.0, 3.6]]).contains("moved by 50 mV"));
        assert!(why(&[[120.0, 0.0, 3.601]]).contains("already has the voltage under load"));
        assert!(why(&[[120.0, 3.0, 3.65]]).contains("nowhere at rest"));
        assert!(why(&[[120.0, 0.0, 9.0]]).contains("at rest the model is between"));
        assert!(why(&[]).contains("nowhere at rest"));
        let empty = compare(&model, &Run::default(), &Settings::default()).unwrap();
        assert!(empty.parts.is_empty());
        let hot = Settings { temperature_c: f64::NAN, ..Settings::default() };
        assert!(compare(&model, &Run::default(), &hot).is_err());
    }
}
