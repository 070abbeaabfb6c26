//! The whole battery management of a pack.
//!
//! Everything that knows how `bms-core` manages a pack is in this file; [`Unit::step`] is one line. The recording is of one
//! cell; the pack's cells differ from it by an offset and by resistance, as spread makes them. What the core commands comes
//! back at the next step: contactors and the link behind them, flow, direction and films follow it, and current flows while
//! the contactors are closed.

use core::marker::PhantomData;

use bms_core::balance::BalanceRules;
use bms_core::balance::passive::BalanceLimits;
use bms_core::bms::{BalanceMeans, Models, Settings};
use bms_core::cell::{CellModel, CellTables};
use bms_core::charging::{ChargeMode, ChargePlan, ChargeSettings, ChargerReport, CurrentTable, Stage};
use bms_core::climate::ClimateSettings;
use bms_core::controller::{Controller, ControllerSettings, ControllerState, Input};
use bms_core::example;
use bms_core::leak::LeakLimits;
use bms_core::measurement::Reading;
use bms_core::predict::{Heat, PulseModel};
use bms_core::preheat::{self, CoolantHeater, Films, Means, PackFacts, Pulses};
use bms_core::safety::frame::{Frame, Heard, MINUS, PLUS, PRECHARGE};
use bms_core::safety::mode::Wish;
use bms_core::safety::settings::{Levels, SafetySettings, SensorGrade};
use bms_core::soc::Estimated;
use bms_core::sop::Limits;
use bms_core::store::Stored;
use bms_core::temperatures::{CellPlace, Layout};

use super::Unit;
use super::cell::{Chemistry, Lfp, Nmc};
use crate::digest::Digest;
use crate::record::{Asked, Record};
use crate::search::Random;

/// What manages a pack.
type Core<const N: usize, const S: usize, const M: usize> = Controller<'static, N, S, M>;

/// 16 LFP cells with 6 sensors in 2 modules: storage.
pub type Storage = Pack<Storage16, 16, 6, 2>;
/// 96 NMC cells with 24 sensors in 8 modules: a car.
pub type Car = Pack<Car96, 96, 24, 8>;

/// A pack, at compile time.
pub trait Kind: Clone {
    /// Name of the program.
    const NAME: &'static str;
    /// Its cell.
    type Cell: Chemistry;
    /// Where the cells sit.
    const PLACES: &'static [CellPlace];
    /// Cells under sensors.
    const SENSED: &'static [u16];
    /// Cells in series.
    const SERIES: u16;
    /// Heating films, one per module.
    const FILMS: u8;
    /// Power of all films in W.
    const FILM_W: f32;
    /// Limits of a cell in A: discharge, charge.
    const LIMITS_A: [f32; 2];
    /// Balancing.
    const BALANCE: BalanceLimits;
    /// Normal and fast charge.
    const STAGES: [&'static [Stage]; 2];
    /// Largest charge current over temperature: degC, A.
    const CHARGE: [&'static [f32]; 2];
    /// Limits of the protection.
    const SAFETY: &'static SafetySettings;
}

/// See [`Storage`].
#[derive(Debug, Clone)]
pub struct Storage16;
/// See [`Car`].
#[derive(Debug, Clone)]
pub struct Car96;

impl Kind for Storage16 {
    const NAME: &'static str = "bms16";
    type Cell = Lfp;
    const PLACES: &'static [CellPlace] = &places::<16>(8);
    const SENSED: &'static [u16] = &sensed::<6>(16);
    const SERIES: u16 = 16;
    const FILMS: u8 = 2;
    const FILM_W: f32 = 60.0;
    const LIMITS_A: [f32; 2] = [4.0, 2.0];
    const BALANCE: BalanceLimits = BalanceLimits {
        rules: BalanceRules { channels: 8, power_w: 5.0, least_voltage_v: 3.1, ..BalanceRules::TYPICAL },
        ..BalanceLimits::LFP
    };
    const STAGES: [&'static [Stage]; 2] = [
        &[Stage { current_a: 0.67, until_soc: 2.0, until_v: 3.65 }],
        &[Stage { current_a: 2.0, until_soc: 2.0, until_v: 3.65 }],
    ];
    const CHARGE: [&'static [f32]; 2] = [&[0.0, 20.0], &[0.0, 2.0]];
    const SAFETY: &'static SafetySettings = &SafetySettings {
        cell_high_v: Levels::new(3.60, 3.70, 3.75),
        cell_low_v: Levels::new(2.4, 2.1, 1.8),
        deep_discharge_v: 1.0,
        cell_ohm: 0.2,
        capacity_ah: 2.0,
        ..Car96::SAFETY_OF_CAR
    };
}

impl Kind for Car96 {
    const NAME: &'static str = "bms96";
    type Cell = Nmc;
    const PLACES: &'static [CellPlace] = &places::<96>(12);
    const SENSED: &'static [u16] = &sensed::<24>(96);
    const SERIES: u16 = 96;
    const FILMS: u8 = 8;
    const FILM_W: f32 = 300.0;
    const LIMITS_A: [f32; 2] = [15.0, 7.5];
    const BALANCE: BalanceLimits = BalanceLimits {
        rules: BalanceRules { channels: 48, power_w: 30.0, ..BalanceRules::TYPICAL },
        ..BalanceLimits::NMC
    };
    const STAGES: [&'static [Stage]; 2] = [
        &[Stage { current_a: 1.67, until_soc: 2.0, until_v: 4.2 }],
        &[
            Stage { current_a: 7.5, until_soc: 0.5, until_v: 4.1 },
            Stage { current_a: 5.0, until_soc: 2.0, until_v: 4.2 },
        ],
    ];
    const CHARGE: [&'static [f32]; 2] = [&[0.0, 20.0], &[0.0, 7.5]];
    const SAFETY: &'static SafetySettings = &Self::SAFETY_OF_CAR;
}

impl Car96 {
    const SAFETY_OF_CAR: SafetySettings = SafetySettings {
        grade: SensorGrade::limit(100.0),
        discharge_a: Levels::new(30.0, 35.0, 40.0),
        pulse_discharge_a: 60.0,
        charge_a: Levels::new(20.0, 25.0, 30.0),
        pulse_charge_a: 40.0,
        ..example::SAFETY
    };
}

const fn places<const N: usize>(in_module: usize) -> [CellPlace; N] {
    let first =
        CellPlace { channel: 0, along: 0.5, module: 0, to_coolant_w_per_k: 2.0, to_ambient_w_per_k: 0.02 };
    let mut places = [first; N];
    let mut k = 0;
    while k < N {
        let module = (k / in_module) as u8;
        let along = ((k % in_module) as f32 + 0.5) / in_module as f32;
        places[k] = CellPlace { channel: module % 8, along, module, ..first };
        k += 1;
    }
    places
}

const fn sensed<const S: usize>(cells: usize) -> [u16; S] {
    let mut sensed = [0; S];
    let mut s = 0;
    while s < S {
        sensed[s] = (s * cells / S + 1) as u16;
        s += 1;
    }
    sensed
}

/// Made-up tables of 2 V less the negative electrode's potential, for the plating limits.
const NEGATIVE: CellTables<'static> = CellTables {
    v_min: 0.5,
    v_max: 2.0,
    ocv_v: &[
        1.20, 1.60, 1.78, 1.80, 1.82, 1.84, 1.85, 1.86, 1.87, 1.88, 1.89, 1.90, 1.91, //
        1.20, 1.60, 1.78, 1.80, 1.82, 1.84, 1.85, 1.86, 1.87, 1.88, 1.89, 1.90, 1.91, //
        1.20, 1.60, 1.78, 1.80, 1.82, 1.84, 1.85, 1.86, 1.87, 1.88, 1.89, 1.90, 1.91,
    ],
    hysteresis_v: &[0.002; 39],
    ..example::NMC_5AH
};

/// A pack with its prepared inputs.
#[derive(Debug, Clone)]
pub struct Pack<K: Kind, const N: usize, const S: usize, const M: usize> {
    core: Core<N, S, M>,
    input: Input<N, S, M>,
    dt_ms: u16,
    counter: u8,
    kind: PhantomData<K>,
}

impl<K: Kind, const N: usize, const S: usize, const M: usize> Unit for Pack<K, N, S, M> {
    const NAME: &'static str = K::NAME;
    const CELLS: u32 = N as u32;
    const RAM: u32 = size_of::<Core<N, S, M>>() as u32;
    type Models = [CellModel<'static>; 2];

    fn models() -> Option<Self::Models> {
        Some([CellModel::new(K::Cell::TABLES).ok()?, CellModel::new(NEGATIVE).ok()?])
    }

    fn new([cell, negative]: &'static Self::Models, soc: f32) -> Option<Self> {
        let plan = |stages: &'static [Stage]| ChargePlan {
            stages,
            voltage_v: K::Cell::TABLES.v_max,
            taper_a: 0.05 * K::Cell::TABLES.capacity_ah,
        };
        let facts = PackFacts {
            series: K::SERIES,
            parallel: 1,
            cell_mass_g: 70.0,
            cell_j_per_k: 70.0,
            extra_j_per_k: 10.0,
            loss_w_per_k: 0.03 * N as f32,
            evening_s: 1000.0,
        };
        let means = Means {
            coolant: Some(CoolantHeater { power_w: 60.0 * N as f32, efficiency: 0.95, loop_j_per_k: 3e4 }),
            films: Some(Films { power_w: K::FILM_W, efficiency: 0.9 }),
            pulses: Some(Pulses {
                current_a: 2.0 * K::LIMITS_A[1],
                frequency_hz: 50.0,
                largest_ratio: 1.0,
                drive_loss: 0.06,
            }),
        };
        let [normal, fast] = K::STAGES.map(plan);
        let [temperature_c, current_a] = K::CHARGE;
        let settings = Settings {
            layout: Layout {
                cells: K::PLACES,
                sensor_cells: K::SENSED,
                core_j_per_k: 60.0,
                surface_j_per_k: 10.0,
                core_surface_w_per_k: 1.0,
                neighbour_w_per_k: 0.5,
                coolant_j_per_l_k: 3500.0,
                sensor_offset_std_k: 0.3,
            },
            climate: ClimateSettings {
                films: K::FILMS,
                pack_j_per_k: 80.0 * N as f32,
                ..ClimateSettings::CAR
            },
            preheat: Some(preheat::Settings::new(cell, facts, means)),
            charge: ChargeSettings {
                fast,
                temperature_c: [0.0, 50.0],
                ..ChargeSettings::typical(
                    K::SERIES,
                    normal,
                    CurrentTable { temperature_c, soc: &[0.5], current_a },
                )
            },
            balance: BalanceMeans::Passive(K::BALANCE),
            limits: Limits {
                heat: Some(Heat { capacity_j_per_k: 70.0, to_ambient_w_per_k: 0.0, ambient_c: 25.0 }),
                ..Limits::of_cell(cell, K::LIMITS_A[0], K::LIMITS_A[1])
            },
            leak: Some(LeakLimits::TYPICAL),
            power_every_s: 10.0,
        };
        let models =
            Models { cell, pulse: PulseModel::from(cell), negative: Some(PulseModel::from(negative)) };
        let start = Estimated { value: soc, std: 0.05 };
        let settings = ControllerSettings::new(K::SAFETY, settings, 0);
        let core =
            Controller::new(models, K::Cell::TUNING, &settings, K::Cell::TABLES.capacity_ah, start).ok()?;
        Some(Self { core, input: Input::NOTHING, dt_ms: 0, counter: 0, kind: PhantomData })
    }

    fn prepare(&mut self, r: &Record) {
        self.dt_ms = (1000.0 * r.dt_s + 0.5) as u16;
        self.counter = (self.counter + 1) % 16;
        let heard = Heard { fresh: true, counter: self.counter, sound: true };
        let told = self.core.decision().contactors;
        let climate = &self.core.decision().bms.climate;
        let closed = told[PLUS] && told[MINUS];
        let charging = matches!(r.asked, Asked::Charge | Asked::FastCharge);
        // A charger gives no more than it is asked for.
        let most_a = if charging { self.core.decision().bms.charge.current_a } else { f32::MAX };
        let current_a = if closed { r.current_a.max(-most_a) } else { 0.0 };
        let f = &mut self.input.frame;
        let mut pack_v = 0.0;
        // The same cells are always the same: ±10 mV, and ±3 milliohms.
        let mut spread = Random::new(7);
        for v in &mut f.cell_voltage_v {
            let (offset_v, ohm) = (spread.within(-0.01, 0.01), spread.within(-0.003, 0.003));
            *v = r.voltage_v + offset_v - ohm * r.current_a;
            pack_v += *v;
        }
        for t in &mut f.sensors_c {
            *t = r.temperature_c + spread.within(-0.5, 0.5);
        }
        let link_v = if f.link_voltage_v.is_nan() { 0.0 } else { f.link_voltage_v };
        let charged = told[MINUS] && (told[PLUS] || told[PRECHARGE]);
        *f = Frame {
            current_a,
            mean_current_a: if closed && current_a == r.current_a { r.mean_current_a } else { current_a },
            second_current_a: current_a,
            pack_voltage_v: pack_v,
            fused_voltage_v: pack_v,
            // A link that charges within some steps, and stays charged.
            link_voltage_v: if charged { link_v + 0.7 * (pack_v - link_v) } else { link_v },
            insulation_ohm: 2e6,
            interlock_closed: true,
            contactor_closed: told.map(Some),
            inlet_c: r.ambient_c,
            outlet_c: 0.5 * (r.ambient_c + r.temperature_c),
            ambient_c: r.ambient_c,
            board_c: r.ambient_c + 8.0,
            flow_l_per_min: climate.flow_l_per_min,
            front_end: heard,
            current_sensor: heard,
            insulation_monitor: heard,
            vehicle: heard,
            charger: heard,
            ..*f
        };
        self.input.film_w = climate.film_w;
        self.input.reverse = climate.reverse;
        self.input.charger = ChargerReport {
            connected: charging,
            heard: charging,
            current_a: Reading::within(-current_a, -1e4, 1e4),
            max_a: 32.0,
            max_v: 1000.0,
        };
        self.input.external_w = if r.asked == Asked::Preheat { 11_000.0 } else { 0.0 };
        self.input.wish = match r.asked {
            Asked::Rest => Wish::Standby,
            Asked::Drive => Wish::Drive,
            Asked::Charge => Wish::Charge { mode: ChargeMode::Normal, target_soc: 1.0 },
            Asked::FastCharge => Wish::Charge { mode: ChargeMode::Fast, target_soc: 1.0 },
            Asked::Preheat => Wish::Preheat { time_left_s: 600.0, hold: true, target_c: 15.0 },
        };
    }

    fn disturb(&mut self, random: &mut Random) {
        let Input { frame: f, film_w, reverse, charger, external_w, wish, .. } = &mut self.input;
        let charge = |mode| Wish::Charge { mode, target_soc: 1.0 };
        for _ in 0..=random.below(5) {
            let one = random.below(N as u32) as usize;
            match random.below(24) {
                0 => {
                    let v = random.within(2.0, 4.4);
                    f.cell_voltage_v = f.cell_voltage_v.map(|_| v + random.within(-0.02, 0.02));
                }
                1 => f.cell_voltage_v = f.cell_voltage_v.map(|_| random.within(2.0, 4.4)),
                2 => {
                    let by = random.within(-0.2, 0.2);
                    f.cell_voltage_v = f.cell_voltage_v.map(|v| v + by);
                }
                3 => {
                    f.cell_voltage_v = f.cell_voltage_v.map(|v| if random.once_in(4) { f32::NAN } else { v })
                }
                4 => f.cell_voltage_v.iter_mut().skip(one).take(1).for_each(|v| *v = random.within(0.0, 5.0)),
                5 => f
                    .cell_voltage_v
                    .iter_mut()
                    .skip(one)
                    .take(1)
                    .for_each(|v| *v = f32::from_bits(random.bits())),
                6 => f.current_a = random.within(-20.0, 30.0),
                7 => f.current_a = f32::from_bits(random.bits()),
                8 => f.mean_current_a = if random.once_in(2) { f32::NAN } else { f.current_a },
                9 => {
                    let t = random.within(-40.0, 80.0);
                    f.sensors_c = f.sensors_c.map(|_| t + random.within(-1.0, 1.0));
                }
                10 => f.sensors_c = f.sensors_c.map(|_| random.within(-40.0, 80.0)),
                11 => f.sensors_c = f.sensors_c.map(|t| if random.once_in(2) { f32::NAN } else { t }),
                12 => f.interlock_closed = !f.interlock_closed,
                13 => (f.inlet_c, f.outlet_c) = (random.within(-40.0, 80.0), random.within(-40.0, 80.0)),
                14 => f.wire_open = f.wire_open.map(|_| random.once_in(8)),
                15 => *reverse = !*reverse,
                16 => *film_w = film_w.map(|_| random.within(0.0, 100.0)),
                17 => {
                    charger.connected = random.once_in(2);
                    charger.heard = random.once_in(2);
                    charger.max_a = random.within(0.0, 200.0);
                }
                18 | 19 => {
                    *wish = match random.below(7) {
                        0 => Wish::Standby,
                        1 => Wish::Drive,
                        2 => charge(ChargeMode::Normal),
                        3 => charge(ChargeMode::Fast),
                        4 => Wish::Preheat { time_left_s: 0.0, hold: false, target_c: 20.0 },
                        5 => Wish::Balance,
                        _ => Wish::Preheat {
                            time_left_s: random.within(0.0, 3600.0),
                            hold: true,
                            target_c: 20.0,
                        },
                    }
                }
                20 => {
                    self.dt_ms =
                        *[10, 100, 1000, 10_000, 60_000].get(random.below(5) as usize).unwrap_or(&100)
                }
                21 => {
                    f.insulation_ohm = random.within(0.0, 1e6);
                    f.link_voltage_v = random.within(0.0, 500.0);
                    f.contactor_closed = f.contactor_closed.map(|_| Some(random.once_in(2)));
                }
                22 => {
                    let heard = Heard {
                        fresh: random.once_in(2),
                        counter: random.below(16) as u8,
                        sound: random.once_in(2),
                    };
                    (f.front_end, f.current_sensor, f.vehicle, f.charger) = (heard, heard, heard, heard);
                }
                _ => {
                    *external_w = random.within(0.0, 11_000.0);
                    f.ambient_c = random.within(-40.0, 60.0);
                    f.board_c = random.within(-40.0, 100.0);
                }
            }
        }
    }

    fn step(&mut self) {
        self.core.step(&self.input, self.dt_ms);
    }

    fn digest(&self, learnt: bool) -> u32 {
        let mut d = Digest::default();
        d.decision(self.core.decision());
        self.core.safety().ledger().detected().iter().for_each(|id| d.word(id as u32));
        let bms = self.core.bms();
        let e = bms.estimate();
        d.estimate(&e.reference);
        d.estimated(&e.soc);
        d.numbers(&[e.usable_ah, e.extremes.0, e.extremes.1]);
        d.word((e.weakest as u32) << 16 | e.fullest as u32);
        for cell in bms.pack().cells() {
            d.estimated(&cell.soc);
            d.estimated(&cell.soc_difference);
            d.estimated(&cell.resistance_scale);
            d.estimated(&cell.capacity_ah);
            d.word(u32::from(cell.status.bits()));
        }
        let t = bms.temperatures();
        d.numbers(&t.core_c);
        d.numbers(&t.surface_c);
        d.numbers(&t.std_k);
        if learnt {
            // Room for the largest pack here.
            let mut scratch = [0; 32_768];
            if ControllerState::<N, S>::ENCODED_LEN <= scratch.len() {
                d.stored(&self.core.state(), &mut scratch);
            }
        }
        d.0
    }

    fn soc(&self) -> f32 {
        self.core.bms().estimate().soc.value
    }

    fn mode(&self) -> u32 {
        self.core.decision().mode as u32
    }
}
