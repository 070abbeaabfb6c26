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
mod failures;
pub mod plant;
pub mod protection;
pub mod sensors;

use std::ops::ControlFlow;

use bms_core::charging::{ChargeMode, ChargeState, ChargerReport};
use bms_core::controller::ControllerError;
use bms_core::measurement::Reading;
use bms_core::parameters::ParametersError;
use bms_core::safety::contactors::Position;
use bms_core::safety::ledger::{DiagnosisSet, Status};
use bms_core::safety::mode::{Mode, Wish};
use bms_core::safety::settings::SafetySettings;
use bms_core::safety::table::Level;
use bms_core::soc::Estimated;
use cell_models::pack::{Contactor, ContactorFault, PackLoad};
use cell_models::{ParameterError, PlantError};
use thiserror::Error;

use self::core::{AnyCore, CoreSetup, SERIES, Told, with_core};
use self::plant::{CellKind, Command, PlantPack, StartState, WeakCell};
use self::sensors::{PackSensors, Ranges, Truth};
use crate::cell_file::CellFileError;
use crate::known::{KnownCell, KnownError};
use crate::pack_file::{CellPlant, PackFile, circuit, supercap};
use crate::recording::{Diagnosed, Recorder, Recording, Step, Values};
use crate::scenario::{
    self, ChargeRequest, ContactorName, Demand, FaultKind, Observed, PackFacts, Partner, Scenario,
    ScenarioError, SignalError, Timeline,
};

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
    Core(#[from] ControllerError),
    /// The parameters cannot be written for firmware.
    #[error(transparent)]
    Block(ParametersError),
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
        let known = known_cell(&file)?;
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

/// What the simulator's laboratory finds out about a pack's cell.
///
/// # Errors
/// When the cell cannot be simulated or identified.
pub fn known_cell(file: &PackFile) -> Result<KnownCell, ClosedLoopError> {
    Ok(match file.cell.plant() {
        Some(CellPlant::Physics(plant)) => KnownCell::of_plant(plant)?,
        Some(CellPlant::Circuit(name)) => KnownCell::of_circuit(circuit(name), name)?,
        Some(CellPlant::Supercap(name)) => KnownCell::of_supercap(&supercap(name), name)?,
        None => return Err(ClosedLoopError::Cell { cell: file.cell.name.clone() }),
    })
}

/// How to simulate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options {
    /// Time between two rows of the recording in s; chosen by length if not given.
    pub interval_s: Option<f64>,
    /// The protection never sleeps: where the plant takes long steps, it runs through all of their seconds and not through
    /// their last one alone. So it does in a scenario that breaks something which the protection has to find.
    pub protection: bool,
}

/// What a step of the core leaves to be seen.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a core has none")]
pub struct Seen<'a> {
    /// Time since the start of the scenario in s.
    pub time_s: f64,
    /// Time since the step of the core before, in s.
    pub dt_s: f64,
    /// The truth.
    pub plant: &'a PlantPack,
    /// The core.
    pub core: &'a dyn AnyCore,
    /// What is asked for.
    pub wish: Wish,
}

/// Whoever looks at each step of the core, and may end the run.
pub type Watch<'a> = dyn FnMut(&Seen<'_>) -> ControlFlow<()> + 'a;

/// Period of the protection in s and ms.
const PROTECTION_S: f64 = 0.1;
const PROTECTION_MS: u16 = 100;
/// Time in s at which the pack was built: faults that were there from then on, before any look at it.
pub const BUILT_S: f64 = -1.0;
/// Around a fault the plant steps with the protection: from so many s before to so many after it.
const BEFORE_FAULT_S: f64 = 5.0;
const AFTER_FAULT_S: f64 = 600.0;
/// Contactors and modes get where they are to go within so many s, or never.
const SETTLING_S: f64 = 10.0;
/// Waking up takes so many steps of the protection.
const WAKE_STEPS: usize = 10;
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
    run_watched(scenario, pack, options, progress, &mut |_| ControlFlow::Continue(()))
}

/// Runs a scenario as [`run`] does, and shows every step of the core.
///
/// # Errors
/// [`ClosedLoopError`].
pub fn run_watched(
    scenario: &Scenario,
    pack: &PackType,
    options: &Options,
    progress: &mut dyn FnMut(f64),
    watch: &mut Watch<'_>,
) -> Result<Recording, ClosedLoopError> {
    let fast = options.protection || scenario.faults.iter().any(|f| f.what.concerns_protection());
    let setup = CoreSetup::new(&pack.file, &pack.known, &scenario.control, PROTECTION_MS)?;
    let told = scenario.start.soc + scenario.start.core_soc_error_points / 100.0;
    let start = Estimated {
        value: told.clamp(0.0, 1.0) as f32,
        std: if scenario.start.core_soc_error_points == 0.0 { REMEMBERED_STD } else { GUESSED_STD },
    };
    with_core(&setup, start, |core| {
        let mut bench = Bench::new(scenario, pack, &setup, core, fast, watch)?;
        bench.run(options, progress)
    })
}

/// Limits of the protection of a pack of this type, where it runs ten times a second.
#[must_use]
pub fn protection_settings(pack: &PackType) -> SafetySettings {
    let group = pack.known.in_parallel(pack.file.cell.size * pack.file.layout.parallel as f64);
    let capacity_ah = group.circuit.cell.capacity_ah;
    protection::settings(&pack.file, capacity_ah, core::group_ohm(&group.circuit), PROTECTION_MS)
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
    wish: Wish,
    load: PackLoad,
    aux_from_pack: bool,
    external_w: f64,
    step_s: f64,
    asleep: bool,
    charger: Option<ChargeRequest>,
    wanted_w: f64,
}

struct Bench<'a, 'w> {
    scenario: &'a Scenario,
    pack: &'a PackType,
    plant: PlantPack,
    sensors: PackSensors,
    core: &'a mut dyn AnyCore,
    watch: &'w mut Watch<'w>,
    /// The protection never sleeps.
    fast: bool,
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
    /// Time for which contactors or mode have not been where they are to go.
    moving_s: f64,
    /// What load and charger do against what they are told, in A.
    load_ignores_a: Option<f64>,
    charger_ignores_a: Option<f64>,
    /// Period of the protection in s, and the interlock loop.
    period_s: f64,
    interlock_closed: bool,
    stopped: bool,
    found: DiagnosisSet,
    diagnosed: Vec<Diagnosed>,
}

impl<'a, 'w> Bench<'a, 'w> {
    fn new(
        scenario: &'a Scenario,
        pack: &'a PackType,
        setup: &CoreSetup,
        core: &'a mut dyn AnyCore,
        fast: bool,
        watch: &'w mut Watch<'w>,
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
        let ranges = Ranges::of(file, pack.facts().capacity_ah);
        let groups = file.layout.series;
        // Not the numbers that the cells were drawn with.
        let seed = scenario.seed ^ 0x5e50_0000_0000;
        let mut bench = Self {
            scenario,
            pack,
            plant,
            sensors: PackSensors::new(corner, ranges, groups, setup.sensors(), seed),
            core,
            watch,
            fast,
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
            moving_s: 0.0,
            load_ignores_a: None,
            charger_ignores_a: None,
            period_s: PROTECTION_S,
            interlock_closed: true,
            stopped: false,
            found: DiagnosisSet::default(),
            diagnosed: Vec::new(),
        };
        // What has a time before the start was broken when the pack was built.
        bench.time_s = BUILT_S;
        bench.break_what_is_due()?;
        bench.time_s = 0.0;
        let rest = |bench: &mut Self, dt_s: f64| {
            bench.ask(&Wish::Standby, ChargerReport::default(), 0.0, start.temperature_c, dt_s);
        };
        if scenario.start.rested {
            let [total_s, step_s] = RESTED_S;
            for _ in 0..(total_s / step_s) as usize {
                bench.core.sleep(step_s - AWAKE_S);
                for _ in 0..WAKE_STEPS {
                    rest(&mut bench, PROTECTION_S);
                }
            }
        }
        bench.settling = false;
        for _ in 0..WAKE_STEPS {
            rest(&mut bench, PROTECTION_S);
        }
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
            let dt_s = self.step_s(&doing).min(moment.left_s.max(1e-3));
            self.step(&doing, moment.ambient_c, dt_s)
                .map_err(|source| ClosedLoopError::Step { time_s: self.time_s, source })?;
            timeline.advance(dt_s);
            self.record(&mut recorder, &moment, Some(&doing), dt_s);
            if self.stopped {
                break;
            }
            if self.time_s - shown_s >= PROGRESS_S {
                shown_s = self.time_s;
                progress(timeline.share_done());
            }
        }
        let mut recording = recorder.finish(timeline.ends());
        recording.summary.diagnoses = std::mem::take(&mut self.diagnosed);
        Ok(recording)
    }

    /// How long the next step of the plant is.
    fn step_s(&self, doing: &Doing) -> f64 {
        if doing.asleep {
            return doing.step_s;
        }
        if self.period_s != PROTECTION_S {
            return self.period_s;
        }
        let o = self.core.outcome();
        let there = match doing.wish {
            Wish::Drive | Wish::Idle | Wish::Charge { .. } | Wish::Preheat { .. } => {
                o.position == Position::Closed
            }
            Wish::Standby => o.mode == Mode::Standby,
            Wish::Balance => o.mode == Mode::Balance,
            Wish::Sleep => o.mode == Mode::Sleep,
        };
        let moves = !there && self.moving_s < SETTLING_S;
        let around = |f: &scenario::Fault| {
            let since_s = self.time_s - f.at.0;
            f.what.concerns_protection() && (-BEFORE_FAULT_S..AFTER_FAULT_S).contains(&since_s)
        };
        if moves || (self.fast && self.scenario.faults.iter().any(around)) {
            PROTECTION_S
        } else if self.fast {
            doing.step_s.min(AWAKE_S)
        } else {
            doing.step_s
        }
    }

    /// What the script of the scenario sees: the truth, and what the core says of itself.
    fn observed(&self) -> Observed {
        let v = self.plant.pack().group_voltage_v();
        let soc = self.plant.group_soc();
        let charge = &self.core.outcome().charge;
        Observed {
            soc: soc.iter().sum::<f64>() / soc.len() as f64,
            min_cell_v: v.iter().copied().fold(f64::INFINITY, f64::min),
            max_cell_v: v.iter().copied().fold(0.0, f64::max),
            coldest_c: self.plant.network().core_c().iter().copied().fold(f64::INFINITY, f64::min),
            // Also when there was nothing to charge.
            charged: matches!(charge.state, ChargeState::Full | ChargeState::TargetReached),
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
                FaultKind::TemperatureLost { sensor } => {
                    self.sensors.spoil_temperature(sensor, SignalError::Lost);
                }
                FaultKind::VoltageOffset { cell, offset_v } => self.sensors.shift_voltage(cell, offset_v),
                FaultKind::VoltageLost { cell } => self.sensors.spoil_voltage(cell, SignalError::Lost),
                FaultKind::CurrentOffset { offset_a } => self.sensors.shift_current(offset_a),
                FaultKind::Leak { cell, current_a } => self.plant.leak(cell / parallel, current_a),
                // It is made so: see `Bench::new`.
                FaultKind::WeakCell { .. } => {}
                FaultKind::HeaterOff {} => self.plant.broken_mut().heater = true,
                FaultKind::FilmOff { module } => self.plant.break_film(module),
                FaultKind::ChillerOff {} => self.plant.broken_mut().chiller = true,
                FaultKind::PumpOff {} => self.plant.broken_mut().pump = true,
                FaultKind::ChargerLost { duration } => self.charger_lost_s = self.time_s + duration.0,
                FaultKind::InternalShort { cell, ohm } => self.plant.short_inside(cell, ohm),
                FaultKind::ExternalShort { ohm } => self.plant.switchgear_mut().set_short_ohm(Some(ohm))?,
                FaultKind::Runaway { cell, trigger } => self.plant.run_away(cell, trigger)?,
                FaultKind::Insulation { ohm } => {
                    let [plus_ohm, _] = self.plant.pack().switchgear().isolation_ohm();
                    self.plant.switchgear_mut().set_isolation_ohm([plus_ohm, ohm])?;
                }
                FaultKind::FuseBlown {} => self.plant.switchgear_mut().break_fuse(),
                FaultKind::ContactorStuck { contactor, closed } => {
                    let contactor = match contactor {
                        ContactorName::Plus => Contactor::Plus,
                        ContactorName::Minus => Contactor::Minus,
                        ContactorName::Precharge => Contactor::Precharge,
                    };
                    let how = if closed { ContactorFault::Welded } else { ContactorFault::FailsToClose };
                    self.plant.switchgear_mut().set_fault(contactor, Some(how));
                }
                FaultKind::PrechargeOhm { ohm } => self.plant.switchgear_mut().set_precharge_ohm(ohm)?,
                FaultKind::HeaterStuck { power_w } => self.plant.stick_heater(power_w),
                FaultKind::BleedStuck { cell } => self.plant.stick_channel(cell),
                FaultKind::InterlockOpen {} => self.interlock_closed = false,
                FaultKind::ChargerIgnores { current_a } => self.charger_ignores_a = Some(current_a),
                FaultKind::LoadIgnores { current_a } => self.load_ignores_a = Some(current_a),
                FaultKind::CellVoltage { cell, error } => self.sensors.spoil_voltage(cell, error),
                FaultKind::Temperature { sensor, error } => self.sensors.spoil_temperature(sensor, error),
                FaultKind::Current { sensor, error } => self.sensors.spoil_current(sensor, error),
                FaultKind::PackVoltage { error } => self.sensors.spoil_pack_voltage(error),
                FaultKind::Message { from, error } => self.sensors.spoil_messages(from, error),
                FaultKind::Memory { part } => self.core.corrupt(part),
                FaultKind::LateSteps { every_ms } => self.period_s = f64::from(every_ms) / 1000.0,
            }
        }
        Ok(())
    }

    /// What a demand means for the pack, with what the core has said last.
    fn doing(&self, demand: &Demand, left_s: f64) -> Doing {
        let o = self.core.outcome();
        let idle = Doing {
            wish: Wish::Standby,
            load: PackLoad::CurrentA(0.0),
            aux_from_pack: true,
            external_w: 0.0,
            step_s: AWAKE_S,
            asleep: false,
            charger: None,
            wanted_w: 0.0,
        };
        let within = |power_w: f64| {
            let limits = &o.limits;
            power_w.clamp(-f64::from(limits.charge.power_w), f64::from(limits.discharge.power_w))
        };
        let faulty = o.level == Some(Level::Fatal);
        match *demand {
            Demand::Drive { power_w } | Demand::Power { power_w } => Doing {
                wish: Wish::Drive,
                load: PackLoad::PowerW(within(power_w)),
                wanted_w: power_w,
                ..idle
            },
            Demand::Current { current_a } => Doing {
                wish: Wish::Drive,
                load: PackLoad::CurrentA(if faulty { 0.0 } else { current_a }),
                wanted_w: current_a * self.plant.pack().pack_voltage_v(),
                ..idle
            },
            Demand::Park { awake, plugged } => Doing {
                wish: if awake { Wish::Idle } else { Wish::Sleep },
                aux_from_pack: !plugged,
                step_s: if awake { WAITING_S } else { ASLEEP_S },
                // What cannot go to sleep stays awake.
                asleep: !awake && (o.mode == Mode::Sleep || self.moving_s >= SETTLING_S),
                ..idle
            },
            Demand::Balance => Doing { wish: Wish::Balance, step_s: BALANCING_S, ..idle },
            Demand::Charge(request) => {
                let mode = match request.mode {
                    scenario::ChargeMode::Normal => ChargeMode::Normal,
                    scenario::ChargeMode::Fast => ChargeMode::Fast,
                };
                Doing {
                    // The script ends the charge by the true SOC; the core is asked for all that the user gets.
                    wish: Wish::Charge { mode, target_soc: self.pack.file.limits.soc[1] as f32 },
                    aux_from_pack: !request.plugged,
                    external_w: if request.plugged { MAINS_W } else { 0.0 },
                    charger: Some(request),
                    ..idle
                }
            }
            Demand::Preheat { target_c, hurry, plugged } => {
                let preheat = &o.preheat;
                let heating = preheat.frequency_hz > 0.0 && o.position == Position::Closed;
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
                    wish: Wish::Preheat {
                        target_c: (target_c + core::PREHEAT_MARGIN_K) as f32,
                        time_left_s: if hurry { 0.0 } else { left_s as f32 },
                        hold: false,
                    },
                    load,
                    aux_from_pack: !plugged,
                    external_w: if plugged { MAINS_W } else { 0.0 },
                    ..idle
                }
            }
        }
    }

    fn step(&mut self, doing: &Doing, ambient_c: f64, dt_s: f64) -> Result<(), PlantError> {
        let closed = self.core.outcome().position == Position::Closed;
        if !closed && doing.aux_from_pack {
            // Behind open contactors the pack feeds no machine; the pump has a supply of its own.
            let c = &mut self.command;
            (c.chiller_w, c.heater_w) = (0.0, 0.0);
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
            self.core.sleep(std::mem::take(&mut self.slept_s));
            self.moving_s = 0.0;
        }
        let charger = self.charger(doing.charger, dt_s);
        let load = match (self.load_ignores_a, doing.charger) {
            (Some(a), _) => PackLoad::CurrentA(a),
            (None, Some(_)) => PackLoad::CurrentA(-self.charger_a),
            (None, None) => doing.load,
        };
        let given_j = self.plant.pack().ledger().terminals_j;
        self.plant.step(load, doing.aux_from_pack && closed, &self.command, ambient_c, dt_s)?;
        let pack = self.plant.pack();
        self.wave_w = matches!(load, PackLoad::Pulse { .. }).then(|| {
            // What came in through the terminals beside the mean current.
            pack.link_voltage_v() * pack.current_a() - (pack.ledger().terminals_j - given_j) / dt_s
        });
        self.protect(doing, charger, ambient_c, dt_s);
        let given_w = self.plant.pack().pack_voltage_v() * self.plant.pack().current_a();
        let short = doing.wanted_w > 0.0 && given_w < TIRED_SHARE * doing.wanted_w;
        let low = self.observed().min_cell_v < self.pack.file.limits.voltage_v[0];
        self.tired_s = if short || (low && doing.wanted_w > 0.0) { self.tired_s + dt_s } else { 0.0 };
        Ok(())
    }

    /// The core's steps within one of the plant.
    fn protect(&mut self, doing: &Doing, charger: ChargerReport, ambient_c: f64, dt_s: f64) {
        let period_s = self.period_s;
        let asleep_s = if self.fast { 0.0 } else { (dt_s - AWAKE_S).max(0.0) };
        if asleep_s > 0.0 {
            self.core.sleep(asleep_s);
            self.time_s += asleep_s;
        }
        let mut left_s = dt_s - asleep_s;
        while left_s > 1e-9 && !self.stopped {
            let own_s = if left_s < 1.5 * period_s { left_s } else { period_s };
            left_s -= own_s;
            self.time_s += own_s;
            self.ask(&doing.wish, charger, doing.external_w, ambient_c, own_s);
        }
        let o = self.core.outcome();
        let wants = doing.wish.connects();
        let there = match doing.wish {
            Wish::Sleep => o.mode == Mode::Sleep,
            Wish::Balance => o.mode == Mode::Balance,
            _ => wants == (o.position == Position::Closed),
        };
        self.moving_s = if there { 0.0 } else { self.moving_s + dt_s };
    }

    /// The charger follows what was asked for with a lag, in steps, within its limits.
    fn charger(&mut self, request: Option<ChargeRequest>, dt_s: f64) -> ChargerReport {
        let Some(request) = request else {
            self.charger_a = 0.0;
            return ChargerReport::default();
        };
        let heard = self.time_s >= self.charger_lost_s;
        self.sensors.silence(Partner::Charger, !heard);
        let pack_v = self.plant.pack().pack_voltage_v().max(1.0);
        let most_a = request.charger_a.min(request.charger_w / pack_v).min(1e4);
        let connected = self.core.outcome().position == Position::Closed;
        if let Some(current_a) = self.charger_ignores_a {
            self.charger_a = current_a;
            let current_a = Reading::within(current_a as f32, 0.0, 1e4);
            return ChargerReport { connected: true, heard, current_a, max_a: most_a as f32, max_v: 0.0 };
        }
        let asked_a = if heard && connected {
            f64::from(self.core.outcome().charge.current_a).min(most_a)
        } else {
            0.0
        };
        let follows = 1.0 - (-dt_s / CHARGER_LAG_S).exp();
        let current_a = self.charger_a + (asked_a - self.charger_a) * follows;
        self.charger_a = (current_a / CHARGER_STEP_A).round() * CHARGER_STEP_A;
        let current_a = Reading::within(self.charger_a as f32, 0.0, 1e4);
        ChargerReport { connected: true, heard, current_a, max_a: most_a as f32, max_v: 0.0 }
    }

    /// Reads the sensors and lets the core decide.
    fn ask(&mut self, wish: &Wish, charger: ChargerReport, external_w: f64, ambient_c: f64, dt_s: f64) {
        let (pack, network) = (self.plant.pack(), self.plant.network());
        let (switchgear, devices) = (pack.switchgear(), self.plant.devices());
        let actuation = devices.actuation();
        let there = &self.pack.file.sensors;
        let sensed = |there: bool, c: f64| if there { c } else { f64::NAN };
        let all = [Contactor::Plus, Contactor::Minus, Contactor::Precharge];
        let contactor_closed = all.map(|c| switchgear.is_closed(c));
        let fused_v = match (switchgear.fuse_blown(), contactor_closed) {
            (false, _) => pack.pack_voltage_v(),
            (true, [true, ..]) => pack.link_voltage_v(),
            (true, _) => 0.0,
        };
        let electric = devices.electric_w();
        let [plus_ohm, minus_ohm] = switchgear.isolation_ohm();
        let frame = self.sensors.read(
            &Truth {
                group_voltage_v: pack.group_voltage_v(),
                sensed_c: self.plant.sensed_c(),
                current_a: [pack.current_a(); 2],
                // A board that nobody sees keeps the balancer off.
                around_c: [
                    sensed(there.coolant, network.inlet_c()),
                    sensed(there.coolant, network.outlet_c()),
                    ambient_c,
                    sensed(there.board && !self.settling, self.plant.board_c()),
                ],
                pack_v: [pack.pack_voltage_v(), fused_v, pack.link_voltage_v()],
                insulation_ohm: plus_ohm.min(minus_ohm),
                interlock_closed: self.interlock_closed,
                contactor_closed,
                flow_l_per_min: actuation.flow_l_per_min,
                heater_w: electric.heater + electric.films,
            },
            dt_s,
        );
        let told = Told {
            reverse: actuation.reverse,
            film_w: &self.command.film_w,
            charger,
            external_w,
            wish: *wish,
            acknowledge: false,
        };
        let o = self.core.step(frame, &told, dt_s);
        let c = &mut self.command;
        (c.flow_l_per_min, c.reverse) = (o.flow_l_per_min, o.reverse);
        (c.chiller_w, c.heater_w) = (o.chiller_w, o.heater_w);
        c.film_w.copy_from_slice(&o.film_w);
        c.balance_a.copy_from_slice(&o.balance_a);
        self.plant.switch(o.contactors);
        self.note_diagnoses();
        let seen = Seen { time_s: self.time_s, dt_s, plant: &self.plant, core: &*self.core, wish: *wish };
        self.stopped |= (self.watch)(&seen).is_break();
    }

    /// Keeps when each diagnosis was detected, reacted and ended.
    fn note_diagnoses(&mut self) {
        let ledger = self.core.ledger();
        let found = ledger.detected();
        if found.is_empty() && self.found.is_empty() {
            return;
        }
        for d in ledger.detections() {
            if !self.found.contains(d.id) {
                self.diagnosed.push(Diagnosed::new(&d, self.time_s));
            }
        }
        for d in self.diagnosed.iter_mut().filter(|d| d.ended_s.is_none()) {
            if d.reacted_s.is_none() && ledger.status(d.id) == Status::Reacting {
                d.reacted_s = Some(self.time_s);
            }
            if !found.contains(d.id) {
                d.ended_s = Some(self.time_s);
            }
        }
        self.found = found;
    }

    fn record(&self, recorder: &mut Recorder, moment: &scenario::Moment, doing: Option<&Doing>, dt_s: f64) {
        let (plant, o) = (&self.plant, self.core.outcome());
        let (pack, network) = (plant.pack(), plant.network());
        let electric = plant.devices().electric_w();
        let actuation = plant.devices().actuation();
        let asleep = doing.is_some_and(|d| d.asleep);
        let known = |x: f64| if asleep { f64::NAN } else { x };
        let v = pack.group_voltage_v();
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
                discharge_limit_w: known(f64::from(o.limits.discharge.power_w)),
                charge_limit_w: known(f64::from(o.limits.charge.power_w)),
                contactors: o
                    .contactors
                    .iter()
                    .zip([1.0, 2.0, 4.0])
                    .map(|(closed, bit)| if *closed { bit } else { 0.0 })
                    .sum(),
                mode: known(f64::from(o.mode.code())),
                diagnosed: known(o.level.map_or(0.0, |l| l as u8 as f64 + 1.0)),
                alarm: f64::from(u8::from(o.alarm)),
                cells_lost: plant.cells_lost() as f64,
            },
        });
    }
}

#[cfg(test)]
mod tests;
