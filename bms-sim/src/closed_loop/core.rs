//! The core for a simulated pack: its settings from the pack file, and the core of the right size behind one face.
//!
//! The core's sizes are constants, as firmware has them. A simulator reads them from a file; [`with_core`] chooses among
//! the sizes that were compiled in.

mod block;

use bms_can::report::Report;
use bms_core::balance::active::ActiveLimits;
use bms_core::balance::passive::BalanceLimits;
use bms_core::balance::{BalanceRules, BalanceStatus};
use bms_core::bms::{BalanceMeans, BmsError, Models, Settings};
use bms_core::cell::{CellModel, ParameterError};
use bms_core::charging::ChargerReport;
use bms_core::charging::{ChargeCommand, ChargePlan, ChargeSettings, CurrentTable, Stage};
use bms_core::climate::{Band, ClimateSettings, Parts};
use bms_core::controller::{Controller, ControllerError, ControllerSettings, Decision, Input};
use bms_core::leak::LeakLimits;
use bms_core::pack::PackEstimate;
use bms_core::predict::{Heat, PulseModel, Surface};
use bms_core::preheat::{self, CoolantHeater, Films, Means, PackFacts, PreheatCommand, PulseBounds, Pulses};
use bms_core::safety::contactors::{OpeningRules, Position};
use bms_core::safety::ledger::Ledger;
use bms_core::safety::limits::{LimitSettings, PublishedLimits};
use bms_core::safety::mode::{Mode, Wish};
use bms_core::safety::settings::SafetySettings;
use bms_core::safety::table::{Diagnosis, Level};
use bms_core::soc::Estimated;
use bms_core::sop::{CurrentLimit, Limits, Margin, PowerState};
use bms_core::temperatures::{CellPlace, Layout, TemperatureSummary};
use bms_core::tuning::Tuning;

use super::ClosedLoopError;
use super::protection;
use super::sensors::RawFrame;
use crate::cell_file::{CellFile, Chemistry, OwnedTables};
use crate::known::KnownCell;
use crate::pack_file::{Arrangement, Balancing, PackFile};
use crate::scenario::{Control, MemoryPart};
use crate::sop::lab::PulseFile;

/// Room for temperature sensors and modules; a pack has no more.
pub const SENSORS: usize = 64;
/// See [`SENSORS`].
pub const MODULES: usize = 16;

/// Standard deviation of a temperature sensor's offset before it is trimmed, in K: that of ±0.5 K, all alike likely.
const SENSOR_OFFSET_STD_K: f32 = 0.3;
/// How often the power is looked at in s.
const POWER_EVERY_S: f32 = 10.0;
/// Rate of a slow charge, and the current that ends a charge, in 1/h.
const NORMAL_C: f64 = 1.0 / 3.0;
const TAPER_C: f64 = 0.04;
/// Share of the largest charge current over temperature (degC): what is allowed at most, whatever the anode says.
const CHARGE_SHARE: [(f32, f32); 7] =
    [(-20.0, 0.03), (-10.0, 0.08), (0.0, 0.2), (10.0, 0.5), (20.0, 1.0), (54.0, 1.0), (55.0, 0.6)];
/// A balancer that has found nothing to do for so long (s) is done.
const BALANCED_S: f64 = 3600.0;
/// A preheat is asked for with so much on top (K): the core's estimate of the mean may be that much too high.
pub(super) const PREHEAT_MARGIN_K: f64 = 1.5;
/// No cell is heated above this temperature, and a pack that is too cold to be charged is heated to that (degC).
const HOTTEST_HEATED_C: f32 = 50.0;
const CHARGED_FROM_C: f32 = 20.0;
/// Pulses of current: frequency in Hz, losses of the drive as a share of the power that goes to and fro.
const PULSE_HZ: f32 = 50.0;
const PULSE_LOSS: f32 = 0.06;
/// The same for the plant.
pub(super) const PULSE_LOSS_SHARE: f64 = PULSE_LOSS as f64;
/// Temperatures in degC that a car's pack is kept at in a fast charge, at most.
const FAST_CHARGE_C: f64 = 53.0;
const DRIVE_C: f64 = 32.0;

/// Everything that a core borrows: tables, places, plans.
#[derive(Debug)]
pub struct CoreSetup {
    tables: OwnedTables,
    /// Without it the pulses are those of `tables`, and no plating is looked at.
    electrodes: Option<[(OwnedTables, PulseFile); 2]>,
    chemistry: Chemistry,
    tuning: Tuning,
    capacity_ah: f32,
    series: usize,
    places: Vec<CellPlace>,
    sensor_cells: Vec<u16>,
    sensors: usize,
    stages: [Stage; 2],
    table: [Vec<f32>; 2],
    climate: ClimateSettings,
    parts: crate::scenario::Parts,
    means: Means,
    facts: PackFacts,
    balance: BalanceMeans,
    safety: SafetySettings,
    file: PackFile,
}

/// Key of the simulated workshop.
pub const SERVICE_KEY: u32 = 0x600D_CA5E;
/// The estimators run once in so many ms, or with every step that is longer.
const ESTIMATE_EVERY_MS: u16 = 1000;
/// A published limit rises in so many s to the largest current.
const LIMIT_RISE_S: f32 = 2.0;

/// Whether the cores that were compiled in have room for a pack.
///
/// # Errors
/// [`ClosedLoopError::Series`] and [`ClosedLoopError::TooMany`].
pub fn check_size(file: &PackFile) -> Result<(), ClosedLoopError> {
    let layout = &file.layout;
    if !SERIES.contains(&layout.series) {
        return Err(ClosedLoopError::Series { series: layout.series });
    }
    let sensors = file.sensed_cells().len();
    for (what, has, most) in [("temperature sensors", sensors, SENSORS), ("modules", layout.modules, MODULES)]
    {
        if has > most {
            return Err(ClosedLoopError::TooMany { what, has, most });
        }
    }
    Ok(())
}

impl CoreSetup {
    /// For a pack whose cells the laboratory knows, one of them (`known` is that of the plant, unscaled), and the settings of
    /// a scenario; `period_ms` is the longest step that the protection does not take for an overrun.
    ///
    /// # Errors
    /// When a pack is larger than the cores that were compiled in, or its cell cannot be used.
    pub fn new(
        file: &PackFile,
        known: &KnownCell,
        control: &Control,
        period_ms: u16,
    ) -> Result<Self, ClosedLoopError> {
        let layout = &file.layout;
        let sensed = file.sensed_cells();
        let parallel = layout.parallel as f64;
        let group = known.in_parallel(file.cell.size * parallel);
        let with_tables = |e: PulseFile| Ok::<_, ClosedLoopError>((e.file.core_tables()?, e));
        let electrodes = match group.electrodes {
            Some([pulse, negative]) => Some([with_tables(pulse)?, with_tables(negative)?]),
            None => None,
        };
        // Sensors that are not there are never read.
        let mut sensor_cells: Vec<u16> = sensed.iter().map(|c| (c / layout.parallel) as u16).collect();
        sensor_cells.resize(SENSORS.max(sensed.len()), 0);
        let (temperatures, shares): (Vec<f32>, Vec<f32>) = CHARGE_SHARE.iter().copied().unzip();
        let charge_a = (file.limits.charge_a * parallel) as f32;
        let capacity_ah = group.circuit.cell.capacity_ah;
        let v_max = file.limits.voltage_v[1] as f32;
        let stage = |current_a: f64| Stage { current_a: current_a as f32, until_soc: 2.0, until_v: v_max };
        Ok(Self {
            tables: group.circuit.core_tables()?,
            electrodes,
            chemistry: group.circuit.cell.chemistry,
            tuning: group.circuit.cell.chemistry.tuning(),
            capacity_ah: capacity_ah as f32,
            series: layout.series,
            places: places(file),
            sensor_cells,
            sensors: sensed.len(),
            stages: [stage(NORMAL_C * capacity_ah), stage(f64::from(charge_a))],
            table: [temperatures, shares.into_iter().map(|s| s * charge_a).collect()],
            climate: climate(file, control),
            parts: control.parts,
            means: means(file, control),
            facts: facts(file),
            balance: balance(file, control, group.circuit.cell.chemistry, capacity_ah),
            safety: protection::settings(file, capacity_ah, group_ohm(&group.circuit), period_ms),
            file: file.clone(),
        })
    }

    fn settings<'a>(&'a self, model: &CellModel<'_>) -> Settings<'a> {
        let (file, cell) = (&self.file, &self.file.cell);
        let parallel = file.layout.parallel as f32;
        let (core, surface) = (cell.core_j_per_k as f32, cell.surface_j_per_k as f32);
        let mut limits = Limits::of_cell(model, 1.0, 1.0);
        let current = |pulse: f64, continuous: f64| CurrentLimit {
            pulse_a: pulse as f32 * parallel,
            pulse_s: 10.0,
            continuous_a: continuous as f32 * parallel,
        };
        limits.voltage_v = file.limits.voltage_v.map(|v| v as f32);
        limits.soc = file.limits.soc.map(|z| z as f32);
        limits.discharge = current(file.limits.pulse_discharge_a, file.limits.discharge_a);
        limits.charge = current(file.limits.pulse_charge_a, file.limits.charge_a);
        limits.temperature_max_c = file.limits.discharge_temperature_c[1] as f32;
        limits.heat = Some(Heat {
            capacity_j_per_k: (core + surface) * parallel,
            to_ambient_w_per_k: 0.0,
            ambient_c: 25.0,
        });
        let plan = |k: usize| ChargePlan {
            stages: &self.stages[k..=k],
            voltage_v: file.limits.voltage_v[1] as f32,
            taper_a: TAPER_C as f32 * self.capacity_ah,
        };
        let coldest_c = file.limits.charge_temperature_c[0] as f32;
        let hottest_c = file.limits.charge_temperature_c[1] as f32;
        let has_means = self.means != Means::default();
        Settings {
            layout: Layout {
                cells: &self.places,
                sensor_cells: &self.sensor_cells,
                core_j_per_k: core * parallel,
                surface_j_per_k: surface * parallel,
                core_surface_w_per_k: cell.core_surface_w_per_k as f32 * parallel,
                neighbour_w_per_k: file.thermal.neighbour_w_per_k as f32,
                coolant_j_per_l_k: file.thermal.coolant.map_or(3500.0, |c| c.j_per_l_k as f32),
                sensor_offset_std_k: SENSOR_OFFSET_STD_K,
            },
            climate: self.climate,
            preheat: has_means.then_some(preheat::Settings {
                bounds: PulseBounds {
                    voltage_v: file.limits.voltage_v.map(|v| v as f32),
                    soc: [0.05, 0.95],
                    margin: Margin::DEFAULT,
                },
                hottest_c: HOTTEST_HEATED_C,
                ..preheat::Settings::new(model, self.facts, self.means)
            }),
            charge: ChargeSettings {
                fast: plan(1),
                temperature_c: [coldest_c, hottest_c],
                rise_a_per_s: 0.1 * self.capacity_ah,
                ..ChargeSettings::typical(
                    self.series as u16,
                    plan(0),
                    CurrentTable { temperature_c: &self.table[0], soc: &[0.5], current_a: &self.table[1] },
                )
            },
            balance: self.balance,
            limits,
            leak: Some(LeakLimits::TYPICAL),
            power_every_s: POWER_EVERY_S,
        }
    }

    fn controller<'a>(&'a self, bms: Settings<'a>) -> ControllerSettings<'a> {
        let safety = &self.safety;
        let error_a = safety.grade.current_share * safety.grade.current_full_a;
        let breaking_a = safety.contactors.breaking_a;
        let largest_a = safety.pulse_discharge_a.max(safety.pulse_charge_a);
        ControllerSettings {
            // What the sensor cannot tell from nothing is quiet.
            opening: OpeningRules {
                quiet_a: (1.5 * error_a).min(breaking_a),
                ..OpeningRules::typical(breaking_a)
            },
            limits: LimitSettings {
                rise_a_per_s: largest_a / LIMIT_RISE_S,
                ..LimitSettings::typical(largest_a)
            },
            estimate_every_ms: ESTIMATE_EVERY_MS,
            sensors: self.sensors,
            ..ControllerSettings::new(safety, bms, SERVICE_KEY)
        }
    }

    /// Hands over the tables that this core works with; `cell` is the model of its circuit.
    fn with_models<T>(
        &self,
        cell: &CellModel<'_>,
        work: impl FnOnce(&Models<'_>) -> Result<T, ClosedLoopError>,
    ) -> Result<T, ClosedLoopError> {
        let Some([pulse, negative]) = &self.electrodes else {
            return work(&Models {
                cell,
                pulse: PulseModel { cell, surface: Surface::NONE },
                negative: None,
            });
        };
        let pulse_cell = CellModel::new(pulse.0.borrow()).map_err(refused)?;
        let negative_cell = CellModel::new(negative.0.borrow()).map_err(refused)?;
        let negative = pulse_model(&negative_cell, &negative.1);
        work(&Models {
            cell,
            pulse: pulse_model(&pulse_cell, &pulse.1),
            negative: self.parts.plating_limit.then_some(negative),
        })
    }

    /// Capacity in Ah of a new group.
    #[must_use]
    pub const fn capacity_ah(&self) -> f32 {
        self.capacity_ah
    }

    /// Limits of the protection.
    #[must_use]
    pub const fn safety(&self) -> &SafetySettings {
        &self.safety
    }

    /// Temperature sensors that there are.
    #[must_use]
    pub const fn sensors(&self) -> usize {
        self.sensors
    }
}

fn refused(error: ParameterError) -> ClosedLoopError {
    ClosedLoopError::Core(ControllerError::Bms(BmsError::Estimator(error)))
}

/// Where every group sits.
fn places(file: &PackFile) -> Vec<CellPlace> {
    let (t, layout) = (&file.thermal, &file.layout);
    let parallel = layout.parallel;
    let in_module = layout.groups_per_module();
    (0..layout.series)
        .map(|g| {
            let end = g % in_module == 0 || g % in_module == in_module - 1;
            let to_ambient = t.surface_to_ambient_w_per_k + if end { t.end_to_ambient_w_per_k } else { 0.0 };
            let (mut channel, mut along, mut to_coolant) = (0, 0.5, 0.0);
            if let (Some(p), Some(_)) = (&t.plates, &t.coolant) {
                let segments = layout.cells() / p.cells_per_segment;
                let each = (segments / p.channels).max(1);
                let segment = g * parallel / p.cells_per_segment;
                channel = (segment / each).min(bms_core::temperatures::CHANNELS - 1);
                let passes = match p.arrangement {
                    Arrangement::Hairpin => 2.0,
                    Arrangement::Series | Arrangement::Parallel => {
                        along = ((segment % each) as f64 + 0.5) / each as f64;
                        1.0
                    }
                };
                let coolant = passes * p.coolant_w_per_k / p.cells_per_segment as f64;
                to_coolant = parallel as f64 / (1.0 / p.contact_w_per_k + 1.0 / coolant);
            }
            CellPlace {
                channel: channel as u8,
                along: along as f32,
                module: (g / in_module) as u8,
                to_coolant_w_per_k: to_coolant as f32,
                to_ambient_w_per_k: (to_ambient * parallel as f64) as f32,
            }
        })
        .collect()
}

/// Heat capacity in J/K of the whole pack without the coolant.
fn heat_capacity_j_per_k(file: &PackFile) -> f64 {
    let cells = file.layout.cells() as f64;
    let plates = file.thermal.plates.as_ref().map_or(0.0, |p| p.j_per_k / p.cells_per_segment as f64);
    cells * (file.cell.core_j_per_k + file.cell.surface_j_per_k + plates)
}

fn climate(file: &PackFile, control: &Control) -> ClimateSettings {
    let usual = ClimateSettings::CAR;
    let p = &control.parts;
    let targets = &control.targets;
    let band = |top_c: f64, width_k: f64| Band {
        heat_below_c: (top_c - width_k) as f32,
        cool_above_c: top_c as f32,
    };
    let fast = band(targets.fast_charge_c.unwrap_or(FAST_CHARGE_C), 8.0);
    let drive = targets.drive_c.unwrap_or(DRIVE_C);
    let films = file.thermal.films.as_ref();
    let coolant = file.thermal.coolant.as_ref();
    let moved = coolant.is_some() && !control.passive;
    let heated = films.is_some() || coolant.is_some_and(|c| c.heater_max_w > 0.0);
    let of = |f: fn(&crate::pack_file::Coolant) -> f64| coolant.map_or(0.0, f) as f32;
    ClimateSettings {
        driving: band(drive, 30.0),
        fast_charge: fast,
        charging: band(targets.charge_c.unwrap_or(DRIVE_C), 27.0),
        parked: targets.park_c.map(|c| band(c, 20.0)),
        mix_parked: true,
        preheat_to_c: CHARGED_FROM_C,
        largest_heated_c: HOTTEST_HEATED_C,
        hottest_inlet_c: of(|c| c.heater_max_c).max(50.0),
        coldest_inlet_c: of(|c| c.chiller_min_c),
        pack_j_per_k: heat_capacity_j_per_k(file) as f32,
        coolant_j_per_l_k: coolant.map_or(usual.coolant_j_per_l_k, |c| c.j_per_l_k as f32),
        coolant_l: of(|c| c.channels_l),
        min_flow_l_per_min: 0.3 * of(|c| c.nominal_flow_l_per_min),
        max_flow_l_per_min: of(|c| c.nominal_flow_l_per_min).max(0.01),
        min_chiller_w: 0.08 * of(|c| c.chiller_max_w),
        max_chiller_w: of(|c| c.chiller_max_w),
        max_heater_w: of(|c| c.heater_max_w),
        max_film_w: films.map_or(0.0, |f| f.module_max_w) as f32,
        films: if films.is_some() { file.layout.modules as u8 } else { 0 },
        chiller_cop: of(|c| c.chiller_cop).max(0.1),
        heater_efficiency: of(|c| c.heater_efficiency).max(0.1),
        pump_w: of(|c| c.pump_w),
        parts: Parts {
            mean_loop: p.mean_loop && (moved || heated) && !control.passive,
            spread_flow: p.spread_flow && moved,
            reversal: p.reversal && moved && coolant.is_some_and(|c| c.reversible),
            feed_forward: p.feed_forward,
            film_zoning: p.film_zoning,
            trim: p.trim,
            mixing: p.mixing && moved,
            hold_back: p.hold_back && moved,
        },
        ..usual
    }
}

fn means(file: &PackFile, control: &Control) -> Means {
    let allowed = &control.preheat;
    if control.passive {
        return Means::default();
    }
    let coolant = file.thermal.coolant.as_ref().filter(|c| allowed.coolant && c.heater_max_w > 0.0);
    Means {
        coolant: coolant.map(|c| CoolantHeater {
            power_w: (c.heater_max_w / c.heater_efficiency) as f32,
            efficiency: c.heater_efficiency as f32,
            loop_j_per_k: ((c.channels_l + c.tank_l) * c.j_per_l_k) as f32,
        }),
        films: file.thermal.films.as_ref().filter(|_| allowed.film).map(|f| Films {
            power_w: (f.module_max_w * file.layout.modules as f64) as f32,
            efficiency: 0.97,
        }),
        pulses: allowed.pulse.then_some(Pulses {
            current_a: (file.limits.pulse_charge_a * file.layout.parallel as f64) as f32,
            frequency_hz: PULSE_HZ,
            // The plant sends even waves.
            largest_ratio: 1.0,
            drive_loss: PULSE_LOSS,
        }),
    }
}

fn facts(file: &PackFile) -> PackFacts {
    let (cell, t) = (&file.cell, &file.thermal);
    let parallel = file.layout.parallel as f64;
    let plates = t.plates.as_ref().map_or(0.0, |p| p.j_per_k / p.cells_per_segment as f64);
    let ends = 2.0 / file.layout.cells_per_module() as f64;
    let loss = t.surface_to_ambient_w_per_k + ends * t.end_to_ambient_w_per_k;
    let evening_w_per_k = t.plates.as_ref().map_or(0.0, |p| p.contact_w_per_k) + 2.0 * t.neighbour_w_per_k;
    PackFacts {
        series: file.layout.series as u16,
        parallel: 1,
        cell_mass_g: (1000.0 * cell.mass_kg * parallel) as f32,
        cell_j_per_k: ((cell.core_j_per_k + cell.surface_j_per_k) * parallel) as f32,
        extra_j_per_k: (plates * parallel) as f32,
        loss_w_per_k: (loss * file.layout.cells() as f64) as f32,
        evening_s: ((cell.core_j_per_k + cell.surface_j_per_k) / evening_w_per_k.max(1e-3)).max(1.0) as f32,
    }
}

fn balance(file: &PackFile, control: &Control, chemistry: Chemistry, capacity_ah: f64) -> BalanceMeans {
    if !control.parts.balancing {
        return BalanceMeans::None;
    }
    let modules = file.layout.modules;
    let rules = BalanceRules {
        least_voltage_v: if chemistry == Chemistry::Lfp { 3.1 } else { 3.3 },
        ..BalanceRules::TYPICAL
    };
    match &file.balancing {
        None | Some(Balancing::SwitchedCapacitors(_)) => BalanceMeans::None,
        Some(Balancing::Passive(p)) => BalanceMeans::Passive(BalanceLimits {
            rules: BalanceRules {
                channels: p.max_channels * modules,
                power_w: (p.board_max_w * modules as f64) as f32,
                derate_c: (p.board_max_c - 25.0) as f32,
                stop_c: (p.board_max_c - 5.0) as f32,
                ..rules
            },
            bleed_ohm: p.resistor_ohm as f32,
            rest_current_a: (0.02 * capacity_ah).max(0.2) as f32,
            ..if chemistry == Chemistry::Lfp { BalanceLimits::LFP } else { BalanceLimits::NMC }
        }),
        Some(Balancing::Active(a)) => BalanceMeans::Active(ActiveLimits {
            rules: BalanceRules {
                channels: a.max_channels * modules,
                power_w: 1e4,
                allowed: [true; 3],
                ..rules
            },
            converter_a: a.current_a as f32,
            efficiency: a.efficiency.min(0.99) as f32,
            highest_voltage_v: file.limits.voltage_v[1] as f32 - 0.05,
            ..ActiveLimits::TYPICAL
        }),
    }
}

/// What the core is told beside the readings.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// Direction of the flow, and power of the films in W, as the devices had them.
    pub reverse: bool,
    /// See [`Self::reverse`].
    pub film_w: &'a [f64],
    /// What the charger says.
    pub charger: ChargerReport,
    /// Power from outside for heaters in W.
    pub external_w: f64,
    /// What is asked for.
    pub wish: Wish,
    /// Somebody acknowledges what has happened.
    pub acknowledge: bool,
}

/// What the core asks for and knows, without its size.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Flow in L/min, direction, chiller and heater in W.
    pub flow_l_per_min: f64,
    /// See [`Self::flow_l_per_min`].
    pub reverse: bool,
    /// See [`Self::flow_l_per_min`].
    pub chiller_w: f64,
    /// See [`Self::flow_l_per_min`].
    pub heater_w: f64,
    /// Power of every module's film in W.
    pub film_w: Vec<f64>,
    /// Current of every group's balancing channel in A.
    pub balance_a: Vec<f64>,
    /// What the balancer is about.
    pub balance_status: BalanceStatus,
    /// It has looked and finds nothing more to do.
    pub balance_done: bool,
    /// Preheating.
    pub preheat: PreheatCommand,
    /// Charge.
    pub charge: ChargeCommand,
    /// Power of one group.
    pub power: PowerState,
    /// Estimates of the pack.
    pub estimate: PackEstimate,
    /// SOC of every group, fraction.
    pub group_soc: Vec<f64>,
    /// Estimated mean, coldest and hottest core in degC.
    pub core_c: [f64; 3],
    /// Which contactors are to be closed: plus, minus, precharge.
    pub contactors: [bool; 3],
    /// How far closing or opening is.
    pub position: Position,
    /// What the pack is doing.
    pub mode: Mode,
    /// What load and charger may do.
    pub limits: PublishedLimits,
    /// A thermal event.
    pub alarm: bool,
    /// Worst level of what was detected, and what keeps the contactors open.
    pub level: Option<Level>,
    /// See [`Self::level`].
    pub reason: Option<Diagnosis>,
}

/// A core of any size.
pub trait AnyCore {
    /// One step; any readings are allowed.
    fn step(&mut self, frame: &RawFrame, told: &Told<'_>, dt_s: f64) -> &Outcome;

    /// What came out of the last step.
    fn outcome(&self) -> &Outcome;

    /// Every diagnosis.
    fn ledger(&self) -> &Ledger;

    /// What the pack tells over its bus, with all sensors that there is room for.
    fn report(&self, wish: &Wish) -> Report<'_>;

    /// So many seconds go by without a step.
    fn sleep(&mut self, seconds: f64);

    /// A fault in memory.
    fn corrupt(&mut self, part: MemoryPart);
}

struct OfSize<'a, const N: usize> {
    controller: Controller<'a, N, SENSORS, MODULES>,
    outcome: Outcome,
    /// Time since the balancer last had something to do, in s.
    idle_s: f64,
    /// Part of a millisecond that is left of the steps so far, in s.
    left_s: f64,
}

impl<const N: usize> AnyCore for OfSize<'_, N> {
    fn step(&mut self, frame: &RawFrame, told: &Told<'_>, dt_s: f64) -> &Outcome {
        let mut input = Input {
            frame: frame.of_size(),
            film_w: [0.0; MODULES],
            reverse: told.reverse,
            charger: told.charger,
            external_w: told.external_w as f32,
            wish: told.wish,
            acknowledge: told.acknowledge,
            service_key: None,
        };
        input.film_w.iter_mut().zip(told.film_w).for_each(|(to, w)| *to = *w as f32);
        let whole_s = dt_s + self.left_s;
        let dt_ms = (1000.0 * whole_s).round().min(f64::from(u16::MAX));
        self.left_s = whole_s - dt_ms / 1000.0;
        let decision = *self.controller.step(&input, dt_ms as u16);
        self.take(&decision, dt_s);
        &self.outcome
    }

    fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    fn ledger(&self) -> &Ledger {
        self.controller.safety().ledger()
    }

    fn report(&self, wish: &Wish) -> Report<'_> {
        Report::of(&self.controller, wish)
    }

    fn sleep(&mut self, seconds: f64) {
        self.controller.slept(seconds as f32);
    }

    fn corrupt(&mut self, part: MemoryPart) {
        use bms_core::controller::MemoryPart as Of;
        match part {
            MemoryPart::Settings => self.controller.corrupt(Of::Settings),
            MemoryPart::State => self.controller.corrupt(Of::Contactors),
            MemoryPart::Tables => self.controller.corrupt(Of::Tables),
            // The record is read at the start alone.
            MemoryPart::Store => self.controller = self.controller.with_damaged_store(),
        }
    }
}

impl<const N: usize> OfSize<'_, N> {
    fn take(&mut self, decision: &Decision<N, MODULES>, dt_s: f64) {
        let (o, output) = (&mut self.outcome, &decision.bms);
        let c = &output.climate;
        o.flow_l_per_min = f64::from(c.flow_l_per_min);
        o.reverse = c.reverse;
        o.chiller_w = f64::from(c.chiller_w);
        o.heater_w = f64::from(c.heater_w);
        o.film_w.iter_mut().zip(&c.film_w).for_each(|(to, w)| *to = f64::from(*w));
        o.balance_a.iter_mut().zip(&output.balance.current_a).for_each(|(to, a)| *to = f64::from(*a));
        o.balance_status = output.balance.status;
        self.idle_s = if o.balance_status == BalanceStatus::Balanced { self.idle_s + dt_s } else { 0.0 };
        o.balance_done = self.idle_s >= BALANCED_S;
        o.preheat = output.preheat;
        o.charge = output.charge;
        o.power = output.power;
        o.contactors = decision.contactors;
        o.position = decision.position;
        o.mode = decision.mode;
        o.limits = decision.limits;
        o.alarm = decision.alarm;
        o.level = decision.level;
        o.reason = decision.reason;
        let bms = self.controller.bms();
        o.estimate = *bms.estimate();
        for (soc, cell) in o.group_soc.iter_mut().zip(bms.pack().cells()) {
            *soc = f64::from(cell.soc.value);
        }
        let TemperatureSummary { mean_c, coldest_c, hottest_c, .. } = bms.temperatures().summary;
        o.core_c = [mean_c, coldest_c, hottest_c].map(f64::from);
    }
}

/// Packs of so many groups in series have a core here. Firmware has any number; another one is one more entry.
macro_rules! sizes {
    ($($n:literal)+) => {
        /// Numbers of groups in series that the simulator has a core for.
        pub const SERIES: &[usize] = &[$($n),+];

        fn of_size<'a>(
            setup: &'a CoreSetup,
            models: Models<'a>,
            settings: &ControllerSettings<'a>,
            start: Estimated,
        ) -> Result<Box<dyn AnyCore + 'a>, ClosedLoopError> {
            match setup.series {
                $($n => Ok(Box::new(OfSize::<$n> {
                    controller: Controller::new(models, &setup.tuning, settings, setup.capacity_ah, start)?,
                    outcome: Outcome::none(setup.series),
                    idle_s: 0.0,
                    left_s: 0.0,
                })),)+
                series => Err(ClosedLoopError::Series { series }),
            }
        }
    };
}
sizes!(4 8 12 14 16 18 24 48 96 108);

impl Outcome {
    /// Nothing asked and nothing known, for so many groups.
    #[must_use]
    pub fn none(groups: usize) -> Self {
        Self {
            flow_l_per_min: 0.0,
            reverse: false,
            chiller_w: 0.0,
            heater_w: 0.0,
            film_w: vec![0.0; MODULES],
            balance_a: vec![0.0; groups],
            balance_status: BalanceStatus::Balanced,
            balance_done: false,
            preheat: PreheatCommand::default(),
            charge: ChargeCommand::default(),
            power: PowerState::default(),
            estimate: PackEstimate::default(),
            group_soc: vec![0.0; groups],
            core_c: [f64::NAN; 3],
            contactors: [false; 3],
            position: Position::Open,
            mode: Mode::Initialise,
            limits: PublishedLimits::default(),
            alarm: false,
            level: None,
            reason: None,
        }
    }
}

/// Resistance of a group at 25 degC in ohm, as the laboratory knows it.
pub(super) fn group_ohm(file: &CellFile) -> f32 {
    const LAB_C: f32 = 25.0;
    let Ok(tables) = file.core_tables() else { return 1e-3 };
    let t = tables.borrow();
    let off = |c: &f32| (c - LAB_C).abs();
    let nearest = (0..t.temperature_c.len())
        .min_by(|a, b| off(&t.temperature_c[*a]).total_cmp(&off(&t.temperature_c[*b])));
    let points = t.r0_ohm.len() / t.temperature_c.len().max(1);
    // Half full.
    let at = nearest.unwrap_or(0) * points + points / 2;
    [t.r0_ohm, t.rct_ohm, t.r1_ohm].iter().filter_map(|table| table.get(at)).sum()
}

/// Makes a core for a pack and hands it to `work`; `start` is the mean SOC that it is told, with how well it is known.
///
/// # Errors
/// When the core refuses its settings or has not the pack's size, and what `work` fails with.
pub fn with_core<T>(
    setup: &CoreSetup,
    start: Estimated,
    work: impl FnOnce(&mut dyn AnyCore) -> Result<T, ClosedLoopError>,
) -> Result<T, ClosedLoopError> {
    let cell = CellModel::new(setup.tables.borrow()).map_err(refused)?;
    let settings = setup.controller(setup.settings(&cell));
    setup.with_models(&cell, |models| work(of_size(setup, *models, &settings, start)?.as_mut()))
}

fn pulse_model<'a>(cell: &'a CellModel<'a>, file: &'a PulseFile) -> PulseModel<'a> {
    PulseModel { cell, surface: Surface { temperature_c: &file.temperature_c, gain: &file.gain } }
}
