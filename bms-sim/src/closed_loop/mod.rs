//! A simulated pack and the core that manages it, in closed loop.
//!
//! ```text
//! scenario ─► demand ─┐                              ┌──────────── commands ◄───────────┐
//!                     ▼                              ▼                                   │
//!            charger, contactors ─► pack of cells ─► thermal network, devices            │
//!                                        │ truth          │                              │
//!                                        ▼                ▼                              │
//!                                    recording ◄────── sensors ─► readings ─► the core (bms_core::bms)
//! ```
//!
//! The core is the one that firmware embeds. It knows the pack's build from the pack file, its cells from the tests of a
//! laboratory on the average cell ([`crate::known`]), and everything else from its sensors.

pub mod core;
pub mod plant;
pub mod sensors;

use bms_core::bms::{BmsError, Request};
use bms_core::charging::{ChargeMode, ChargerReport};
use bms_core::measurement::Reading;
use bms_core::soc::Estimated;
use cell_models::pack::PackLoad;
use cell_models::{ParameterError, PlantError};
use thiserror::Error;

use self::core::{AnyCore, CoreSetup, Outcome, SERIES, Told, with_core};
use self::plant::{CellKind, Command, PlantPack, StartState, WeakCell};
use self::sensors::{PackSensors, Readings, Truth};
use crate::cell_file::CellFileError;
use crate::known::{KnownCell, KnownError};
use crate::pack_file::{CellPlant, PackFile, circuit, supercap};
use crate::recording::{Recorder, Recording, Step, Values};
use crate::scenario::{
    self, ChargeRequest, Demand, FaultKind, Observed, PackFacts, Scenario, ScenarioError, Task, Timeline,
};
use crate::sensors::SensorModel;

/// Why a scenario cannot be simulated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClosedLoopError {
    /// The pack has no core of its size.
    #[error(
        "a pack of {series} groups in series: this program has cores for {SERIES:?} (firmware takes any number)"
    )]
    Series {
        /// Groups in series.
        series: usize,
    },
    /// More than the core has room for.
    #[error("the pack has {has} {what}: this program has room for {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        has: usize,
        /// How many there may be.
        most: usize,
    },
    /// The pack file names no plant that there is.
    #[error("cell `{cell}` has no plant that can be simulated")]
    Cell {
        /// Its name in the pack file.
        cell: String,
    },
    /// The plant's cell cannot be characterised.
    #[error(transparent)]
    Known(#[from] KnownError),
    /// A cell file cannot be used.
    #[error(transparent)]
    CellFile(#[from] CellFileError),
    /// The core refuses its settings.
    #[error("the core refuses its settings: {0}")]
    Core(#[from] BmsError),
    /// The plant refuses its parameters.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// The plant refuses a step.
    #[error("at {time_s:.0} s: {source}")]
    Step {
        /// Time since the start in s.
        time_s: f64,
        /// Why.
        source: PlantError,
    },
    /// The scenario cannot be run with its pack.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The plant cannot be read.
    #[error(transparent)]
    Plant(#[from] PlantError),
}

/// What all packs of a file share: the cell, and what the laboratory found out about it.
#[derive(Debug, Clone)]
pub struct PackType {
    /// The file.
    pub file: PackFile,
    facts: PackFacts,
    kind: CellKind,
    known: KnownCell,
}

impl PackType {
    /// Tests the cell in the simulator's laboratory.
    ///
    /// # Errors
    /// When the pack is too large for the cores, or the cell cannot be simulated or identified.
    pub fn new(file: PackFile) -> Result<Self, ClosedLoopError> {
        core::check_size(&file)?;
        let known = match file.cell.plant() {
            Some(CellPlant::Physics(plant)) => KnownCell::of_plant(plant)?,
            Some(CellPlant::Circuit(name)) => KnownCell::of_circuit(circuit(name), name)?,
            Some(CellPlant::Supercap(name)) => KnownCell::of_supercap(&supercap(name), name)?,
            None => return Err(ClosedLoopError::Cell { cell: file.cell.name.clone() }),
        };
        Self::with_known(file, known)
    }

    /// The same with what was found out about the cell (one cell of the plant, not scaled to the pack's) before.
    ///
    /// # Errors
    /// When the cell cannot be simulated.
    pub fn with_known(file: PackFile, known: KnownCell) -> Result<Self, ClosedLoopError> {
        Ok(Self { facts: PackFacts::of(&file)?, kind: CellKind::of(&file)?, file, known })
    }

    /// What a scenario needs to know of the pack.
    #[must_use]
    pub const fn facts(&self) -> &PackFacts {
        &self.facts
    }
}

/// How to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Time between two rows of the recording in s; chosen by length if not given.
    pub interval_s: Option<f64>,
}

/// Step in s while there is a load, while the core balances or waits, and while it sleeps.
const AWAKE_S: f64 = 1.0;
const WAITING_S: f64 = 10.0;
const BALANCING_S: f64 = 60.0;
const ASLEEP_S: f64 = 60.0;
/// A start that the core is told is known so well (fraction).
const REMEMBERED_STD: f32 = 0.02;
/// … and a wrong one is a guess.
const GUESSED_STD: f32 = 0.2;
/// A rested pack has rested for so long before a scenario begins, in steps of so many seconds.
const RESTED_S: [f64; 2] = [8.0 * 3600.0, 300.0];
/// Time constant of a charger in s and the step of its current in A.
const CHARGER_LAG_S: f64 = 1.0;
const CHARGER_STEP_A: f64 = 0.1;
/// A charger that is plugged in gives its heaters so much in W.
const MAINS_W: f64 = 11_000.0;
/// Time between two reports of progress in s.
const PROGRESS_S: f64 = 600.0;
/// A drive is over when no more than this share of the power is given for so long (s).
const TIRED_SHARE: f64 = 0.3;
const TIRED_S: f64 = 60.0;

/// What the core saw and decided in one of its steps.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Time since the start in s.
    pub time_s: f64,
    /// What was asked of the core.
    pub request: &'a Request,
    /// The contactors are open.
    pub contactors_open: bool,
    /// What it read.
    pub readings: &'a Readings,
    /// What came out.
    pub outcome: &'a Outcome,
}

/// Runs a scenario; `progress` is told now and then which share of it is done.
///
/// # Errors
/// [`ClosedLoopError`].
pub fn run(
    scenario: &Scenario,
    pack: &PackType,
    options: &Options,
    progress: &mut dyn FnMut(f64),
) -> Result<Recording, ClosedLoopError> {
    run_watched(scenario, pack, options, progress, &mut |_| {})
}

/// The same with somebody who watches every step of the core; nothing is seen while it sleeps.
///
/// # Errors
/// [`ClosedLoopError`].
pub fn run_watched(
    scenario: &Scenario,
    pack: &PackType,
    options: &Options,
    progress: &mut dyn FnMut(f64),
    watch: &mut dyn FnMut(&Seen<'_>),
) -> Result<Recording, ClosedLoopError> {
    let preheat_to_c = scenario.phases.iter().find_map(|p| match p.task {
        Task::Preheat { target_c, .. } => Some(target_c),
        _ => None,
    });
    let setup = CoreSetup::new(&pack.file, &pack.known, &scenario.control, preheat_to_c.unwrap_or(10.0))?;
    let told = scenario.start.soc + scenario.start.core_soc_error_points / 100.0;
    let start = Estimated {
        value: told.clamp(0.0, 1.0) as f32,
        std: if scenario.start.core_soc_error_points == 0.0 { REMEMBERED_STD } else { GUESSED_STD },
    };
    with_core(&setup, start, |core| {
        let mut bench = Bench::new(scenario, pack, &setup, core, watch)?;
        bench.run(options, progress)
    })
}

fn weak(fault: &FaultKind) -> Option<WeakCell> {
    match *fault {
        FaultKind::WeakCell { cell, capacity_factor, resistance_factor } => {
            Some(WeakCell { cell, capacity_factor, resistance_factor })
        }
        _ => None,
    }
}

/// Loss in W of what makes waves of this amplitude in A.
fn drive_loss_w(amplitude_a: f64, pack_v: f64) -> f64 {
    core::PULSE_LOSS_SHARE * amplitude_a * pack_v
}

/// What the bench does in a step.
struct Doing {
    request: Request,
    load: PackLoad,
    closed: bool,
    aux_from_pack: bool,
    external_w: f64,
    step_s: f64,
    asleep: bool,
    charger: Option<ChargeRequest>,
    wanted_w: f64,
}

struct Bench<'a> {
    scenario: &'a Scenario,
    pack: &'a PackType,
    plant: PlantPack,
    sensors: PackSensors,
    core: &'a mut dyn AnyCore,
    watch: &'a mut dyn FnMut(&Seen<'_>),
    command: Command,
    time_s: f64,
    charger_a: f64,
    /// Heat of the waves in the last step in W, in cells and wires; `None` without waves.
    wave_w: Option<f64>,
    /// Before the scenario begins nothing is moved.
    settling: bool,
    tired_s: f64,
    /// Time until which the charger is lost.
    charger_lost_s: f64,
    faults: Vec<bool>,
    slept_s: f64,
}

impl<'a> Bench<'a> {
    fn new(
        scenario: &'a Scenario,
        pack: &'a PackType,
        setup: &CoreSetup,
        core: &'a mut dyn AnyCore,
        watch: &'a mut dyn FnMut(&Seen<'_>),
    ) -> Result<Self, ClosedLoopError> {
        let file = &pack.file;
        let start = StartState {
            soc: scenario.start.soc,
            soc_spread: scenario.start.soc_spread,
            temperature_c: scenario.start_temperature_c(),
        };
        let weak: Vec<WeakCell> = scenario.faults.iter().filter_map(|f| weak(&f.what)).collect();
        let plant = PlantPack::new(file, &pack.kind, &start, &weak, scenario.seed)?;
        let corner = scenario.sensors.corner.unwrap_or(file.sensors.corner);
        let capacity_ah = pack.facts().capacity_ah;
        let model = SensorModel::of(corner, capacity_ah);
        let groups = file.layout.series;
        // Not the numbers that the cells were drawn with.
        let seed = scenario.seed ^ 0x5e50_0000_0000;
        let mut bench = Self {
            scenario,
            pack,
            plant,
            sensors: PackSensors::new(model, groups, setup.sensors(), seed),
            core,
            watch,
            command: Command {
                film_w: vec![0.0; core::MODULES],
                balance_a: vec![0.0; groups],
                ..Command::default()
            },
            time_s: 0.0,
            charger_a: 0.0,
            wave_w: None,
            settling: true,
            tired_s: 0.0,
            charger_lost_s: f64::NEG_INFINITY,
            faults: vec![false; scenario.faults.len()],
            slept_s: 0.0,
        };
        if scenario.start.rested {
            let [total_s, step_s] = RESTED_S;
            for _ in 0..(total_s / step_s) as usize {
                bench.ask(&Request::Rest, true, ChargerReport::default(), 0.0, start.temperature_c, step_s);
            }
        }
        bench.settling = false;
        bench.ask(&Request::Rest, true, ChargerReport::default(), 0.0, start.temperature_c, 0.0);
        Ok(bench)
    }

    fn run(
        &mut self,
        options: &Options,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Recording, ClosedLoopError> {
        let facts = self.pack.facts();
        let mut timeline = Timeline::new(self.scenario, facts);
        let mut recorder = Recorder::new(self.scenario, facts, &self.pack.file.name, options.interval_s);
        let mut shown_s = 0.0;
        let mut first = true;
        while let Some(moment) = timeline.moment(&self.observed()) {
            if first {
                self.record(&mut recorder, &moment, None, 0.0);
                first = false;
            }
            self.break_what_is_due()?;
            let doing = self.doing(&moment.demand, moment.left_s);
            let dt_s = doing.step_s.min(moment.left_s.max(1e-3));
            self.step(&doing, moment.ambient_c, dt_s)
                .map_err(|source| ClosedLoopError::Step { time_s: self.time_s, source })?;
            timeline.advance(dt_s);
            self.record(&mut recorder, &moment, Some(&doing), dt_s);
            if self.time_s - shown_s >= PROGRESS_S {
                shown_s = self.time_s;
                progress(timeline.share_done());
            }
        }
        Ok(recorder.finish(timeline.ends()))
    }

    /// What the script of the scenario sees: the truth, and what the core says of itself.
    fn observed(&self) -> Observed {
        let v = self.plant.pack().group_voltage_v();
        let soc = self.plant.group_soc();
        Observed {
            soc: soc.iter().sum::<f64>() / soc.len() as f64,
            min_cell_v: v.iter().copied().fold(f64::INFINITY, f64::min),
            max_cell_v: v.iter().copied().fold(0.0, f64::max),
            coldest_c: self.plant.network().core_c().iter().copied().fold(f64::INFINITY, f64::min),
            charged: self.core.outcome().charge.full,
            balanced: self.core.outcome().balance_done,
            empty: self.tired_s >= TIRED_S,
        }
    }

    fn break_what_is_due(&mut self) -> Result<(), ClosedLoopError> {
        let parallel = self.pack.file.layout.parallel;
        for (done, fault) in self.faults.iter_mut().zip(&self.scenario.faults) {
            if *done || self.time_s < fault.at.0 {
                continue;
            }
            *done = true;
            match fault.what {
                FaultKind::BlockedChannel { channel, share } => self.plant.block_channel(channel, share)?,
                FaultKind::TemperatureOffset { sensor, offset_k } => {
                    self.sensors.shift_temperature(sensor, offset_k);
                }
                FaultKind::TemperatureLost { sensor } => self.sensors.lose_temperature(sensor),
                FaultKind::VoltageOffset { cell, offset_v } => self.sensors.shift_voltage(cell, offset_v),
                FaultKind::VoltageLost { cell } => self.sensors.lose_voltage(cell),
                FaultKind::CurrentOffset { offset_a } => self.sensors.shift_current(offset_a),
                FaultKind::Leak { cell, current_a } => self.plant.leak(cell / parallel, current_a),
                // It is made so: see `Bench::new`.
                FaultKind::WeakCell { .. } => {}
                FaultKind::HeaterOff {} => self.plant.broken_mut().heater = true,
                FaultKind::FilmOff { module } => self.plant.break_film(module),
                FaultKind::ChillerOff {} => self.plant.broken_mut().chiller = true,
                FaultKind::PumpOff {} => self.plant.broken_mut().pump = true,
                FaultKind::ChargerLost { duration } => self.charger_lost_s = self.time_s + duration.0,
            }
        }
        Ok(())
    }

    /// What a demand means for the pack, with what the core has said last.
    fn doing(&self, demand: &Demand, left_s: f64) -> Doing {
        let groups = self.pack.file.layout.series as f64;
        let idle = Doing {
            request: Request::Rest,
            load: PackLoad::CurrentA(0.0),
            closed: false,
            aux_from_pack: true,
            external_w: 0.0,
            step_s: AWAKE_S,
            asleep: false,
            charger: None,
            wanted_w: 0.0,
        };
        let within = |power_w: f64| {
            let [_, out, _] = self.core.outcome().power.safe.discharge;
            let [_, into, _] = self.core.outcome().power.safe.charge;
            power_w.clamp(-groups * f64::from(into.power_w), groups * f64::from(out.power_w))
        };
        match *demand {
            Demand::Drive { power_w } | Demand::Power { power_w } => Doing {
                request: Request::Drive,
                load: PackLoad::PowerW(within(power_w)),
                closed: true,
                wanted_w: power_w,
                ..idle
            },
            Demand::Current { current_a } => Doing {
                request: Request::Drive,
                load: PackLoad::CurrentA(current_a),
                closed: true,
                wanted_w: current_a * self.plant.pack().pack_voltage_v(),
                ..idle
            },
            Demand::Park { awake, plugged } => Doing {
                aux_from_pack: !plugged,
                closed: awake,
                step_s: if awake { WAITING_S } else { ASLEEP_S },
                asleep: !awake,
                ..idle
            },
            Demand::Balance => Doing { step_s: BALANCING_S, ..idle },
            Demand::Charge(request) => {
                let mode = match request.mode {
                    scenario::ChargeMode::Normal => ChargeMode::Normal,
                    scenario::ChargeMode::Fast => ChargeMode::Fast,
                };
                Doing {
                    // The script ends the charge by the true SOC; the core is asked for a full one.
                    request: Request::Charge { mode, target_soc: 1.0 },
                    closed: true,
                    aux_from_pack: !request.plugged,
                    external_w: if request.plugged { MAINS_W } else { 0.0 },
                    charger: Some(request),
                    ..idle
                }
            }
            Demand::Preheat { hurry, plugged, .. } => {
                let preheat = &self.core.outcome().preheat;
                let heating = preheat.frequency_hz > 0.0;
                let load = if heating {
                    let amplitude_a = 0.5 * f64::from(preheat.discharge_a + preheat.charge_a);
                    let pack_v = self.plant.pack().pack_voltage_v().max(1.0);
                    // What the waves lose outside the cells comes from the pack, or from the mains.
                    let drive_w = drive_loss_w(amplitude_a, pack_v);
                    // What the waves took in the last step; in the first one what the core expects.
                    let heat_w = self.wave_w.unwrap_or(f64::from(preheat.pulse_w) - drive_w);
                    let fed_w = if plugged { 0.0 } else { drive_w + heat_w.max(0.0) };
                    PackLoad::Pulse {
                        amplitude_a,
                        mean_a: fed_w / pack_v,
                        frequency_hz: f64::from(preheat.frequency_hz),
                    }
                } else {
                    PackLoad::CurrentA(0.0)
                };
                Doing {
                    request: Request::Preheat {
                        time_left_s: if hurry { 0.0 } else { left_s as f32 },
                        hold: false,
                    },
                    load,
                    closed: true,
                    aux_from_pack: !plugged,
                    external_w: if plugged { MAINS_W } else { 0.0 },
                    ..idle
                }
            }
        }
    }

    fn step(&mut self, doing: &Doing, ambient_c: f64, dt_s: f64) -> Result<(), PlantError> {
        self.plant.connect(doing.closed);
        if !doing.closed && doing.aux_from_pack {
            // Behind open contactors the pack feeds no machine.
            let c = &mut self.command;
            (c.flow_l_per_min, c.chiller_w, c.heater_w) = (0.0, 0.0, 0.0);
            c.film_w.fill(0.0);
        }
        if doing.asleep {
            // Nothing is driven, and nobody looks.
            self.command.balance_a.fill(0.0);
            self.wave_w = None;
            self.plant.step(doing.load, false, &self.command, ambient_c, dt_s)?;
            self.time_s += dt_s;
            self.slept_s += dt_s;
            return Ok(());
        }
        if self.slept_s > 0.0 {
            let slept_s = std::mem::take(&mut self.slept_s);
            self.ask(&Request::Rest, true, ChargerReport::default(), 0.0, ambient_c, slept_s);
        }
        let charger = self.charger(doing.charger, dt_s);
        let load = match doing.charger {
            Some(_) => PackLoad::CurrentA(-self.charger_a),
            None => doing.load,
        };
        let given_j = self.plant.pack().ledger().terminals_j;
        self.plant.step(load, doing.aux_from_pack, &self.command, ambient_c, dt_s)?;
        self.time_s += dt_s;
        let pack = self.plant.pack();
        self.wave_w = matches!(load, PackLoad::Pulse { .. }).then(|| {
            // What came in through the terminals beside the mean current.
            pack.link_voltage_v() * pack.current_a() - (pack.ledger().terminals_j - given_j) / dt_s
        });
        let open = !doing.closed;
        self.ask(&doing.request, open, charger, doing.external_w, ambient_c, dt_s);
        let given_w = self.plant.pack().pack_voltage_v() * self.plant.pack().current_a();
        let short = doing.wanted_w > 0.0 && given_w < TIRED_SHARE * doing.wanted_w;
        let low = self.observed().min_cell_v < self.pack.file.limits.voltage_v[0];
        self.tired_s = if short || (low && doing.wanted_w > 0.0) { self.tired_s + dt_s } else { 0.0 };
        Ok(())
    }

    /// The charger follows what was asked for with a lag, in steps, within its limits.
    fn charger(&mut self, request: Option<ChargeRequest>, dt_s: f64) -> ChargerReport {
        let Some(request) = request else {
            self.charger_a = 0.0;
            return ChargerReport::default();
        };
        let heard = self.time_s >= self.charger_lost_s;
        let pack_v = self.plant.pack().pack_voltage_v().max(1.0);
        let most_a = request.charger_a.min(request.charger_w / pack_v).min(1e4);
        let asked_a = if heard { f64::from(self.core.outcome().charge.current_a).min(most_a) } else { 0.0 };
        let follows = 1.0 - (-dt_s / CHARGER_LAG_S).exp();
        let current_a = self.charger_a + (asked_a - self.charger_a) * follows;
        self.charger_a = (current_a / CHARGER_STEP_A).round() * CHARGER_STEP_A;
        let current_a = Reading::within(self.charger_a as f32, 0.0, 1e4);
        ChargerReport { connected: true, heard, current_a, max_a: most_a as f32, max_v: 0.0 }
    }

    /// Reads the sensors and lets the core decide.
    fn ask(
        &mut self,
        request: &Request,
        contactors_open: bool,
        charger: ChargerReport,
        external_w: f64,
        ambient_c: f64,
        dt_s: f64,
    ) {
        let (pack, network) = (self.plant.pack(), self.plant.network());
        let actuation = self.plant.devices().actuation();
        let through = [network.inlet_c(), network.outlet_c()];
        let readings = self.sensors.read(&Truth {
            group_voltage_v: pack.group_voltage_v(),
            sensed_c: self.plant.sensed_c(),
            current_a: [pack.current_a(); 2],
            // A board that nobody sees keeps the balancer off.
            around_c: [
                through[0],
                through[1],
                ambient_c,
                if self.settling { f64::NAN } else { self.plant.board_c() },
            ],
        });
        let told = Told {
            contactors_open,
            flow_l_per_min: actuation.flow_l_per_min,
            reverse: actuation.reverse,
            film_w: &self.command.film_w,
            charger,
            external_w,
        };
        let o = self.core.step(readings, &told, request, dt_s);
        if !self.settling {
            (self.watch)(&Seen { time_s: self.time_s, request, contactors_open, readings, outcome: o });
        }
        let c = &mut self.command;
        (c.flow_l_per_min, c.reverse) = (o.flow_l_per_min, o.reverse);
        (c.chiller_w, c.heater_w) = (o.chiller_w, o.heater_w);
        c.film_w.copy_from_slice(&o.film_w);
        c.balance_a.copy_from_slice(&o.balance_a);
    }

    fn record(&self, recorder: &mut Recorder, moment: &scenario::Moment, doing: Option<&Doing>, dt_s: f64) {
        let (plant, o) = (&self.plant, self.core.outcome());
        let (pack, network) = (plant.pack(), plant.network());
        let electric = plant.devices().electric_w();
        let actuation = plant.devices().actuation();
        let asleep = doing.is_some_and(|d| d.asleep);
        let known = |x: f64| if asleep { f64::NAN } else { x };
        let v = pack.group_voltage_v();
        let groups = self.pack.file.layout.series as f64;
        let pulse_a = match doing.map(|d| d.load) {
            Some(PackLoad::Pulse { amplitude_a, .. }) => amplitude_a,
            _ => 0.0,
        };
        let [lowest_v, highest_v] = pack.group_extremes_v();
        let pulse_w = self.wave_w.map_or(0.0, |w| w + drive_loss_w(pulse_a, pack.pack_voltage_v()));
        let signed = if actuation.reverse { -1.0 } else { 1.0 };
        let on = |x: f64| if doing.is_some() { x } else { 0.0 };
        let power_w = pack.pack_voltage_v() * pack.current_a();
        recorder.push(&Step {
            time_s: self.time_s,
            dt_s,
            phase: moment.phase,
            ambient_c: moment.ambient_c,
            group_soc: plant.group_soc(),
            cell_core_c: network.core_c(),
            estimated_group_soc: if asleep { &[] } else { &o.group_soc },
            values: Values {
                current_a: on(pack.current_a()),
                voltage_v: pack.pack_voltage_v(),
                power_w: on(power_w),
                requested_power_w: doing.map_or(0.0, |d| d.wanted_w),
                min_cell_v: lowest_v.iter().chain(v).copied().fold(f64::INFINITY, f64::min),
                max_cell_v: highest_v.iter().chain(v).copied().fold(0.0, f64::max),
                min_anode_v: pack
                    .anode_potential_v()
                    .map_or(f64::NAN, |a| a.iter().copied().fold(f64::INFINITY, f64::min)),
                cell_heat_w: on(pack.heat_w().iter().sum()),
                estimated_soc: known(f64::from(o.estimate.soc.value)),
                estimated_core_min_c: known(o.core_c[1]),
                estimated_core_mean_c: known(o.core_c[0]),
                estimated_core_max_c: known(o.core_c[2]),
                coolant_in_c: network.inlet_c(),
                coolant_out_c: network.outlet_c(),
                flow_l_per_min: signed * on(actuation.flow_l_per_min),
                pump_w: on(electric.pump),
                chiller_w: on(electric.chiller),
                chiller_heat_w: on(actuation.chiller_w),
                heater_w: on(electric.heater),
                film_w: on(electric.films),
                pulse_a,
                pulse_w,
                from_mains: doing.is_some_and(|d| !d.aux_from_pack),
                balancing_channels: self.command.balance_a.iter().filter(|a| **a != 0.0).count() as f64,
                balancing_w: on(plant.balancing_loss_w()),
                charge_request_a: known(f64::from(o.charge.current_a)),
                charge_state: known(f64::from(o.charge.state.code())),
                discharge_limit_w: known(groups * f64::from(o.power.safe.discharge[1].power_w)),
                charge_limit_w: known(groups * f64::from(o.power.safe.charge[1].power_w)),
            },
        });
    }
}

#[cfg(test)]
mod tests;
