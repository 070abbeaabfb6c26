//! A small pack whose readings are mostly what a pack would read, until they are not.

use std::sync::LazyLock;

use bms_core::balance::BalanceRules;
use bms_core::balance::passive::BalanceLimits;
use bms_core::bms::{self, BalanceMeans, Models};
use bms_core::cell::CellModel;
use bms_core::charging::{ChargeMode, ChargePlan, ChargeSettings, ChargerReport};
use bms_core::climate::ClimateSettings;
use bms_core::controller::{ControllerSettings, Input};
use bms_core::example;
use bms_core::measurement::Reading;
use bms_core::safety::frame::{CONTACTORS, Frame, Heard, MINUS, PLUS, PRECHARGE};
use bms_core::safety::mode::Wish;
use bms_core::safety::settings::{Fitted, SafetySettings};
use bms_core::sop::Limits;

use crate::random::Random;

/// Six cells: with less than 20 V insulation does not matter.
pub(crate) const N: usize = 6;
pub(crate) const S: usize = 3;
pub(crate) const M: usize = 1;
pub(crate) const KEY: u32 = 0x00C0_FFEE;
/// Largest currents that are ever allowed.
pub(crate) const DISCHARGE_A: f32 = 15.0;
pub(crate) const CHARGE_A: f32 = 7.5;

/// Everything that there can be.
pub(crate) const SAFETY: SafetySettings = SafetySettings {
    fitted: Fitted { flow: true, heater_power: true, ..example::SAFETY.fitted },
    ..example::SAFETY
};

pub(crate) static MODEL: LazyLock<CellModel<'static>> =
    LazyLock::new(|| CellModel::new(example::NMC_5AH).expect("the example's tables"));

/// Well below the limit of the protection.
const GENTLE: ChargePlan<'_> = ChargePlan { voltage_v: 4.18, ..example::ONE_C };

pub(crate) fn models() -> Models<'static> {
    Models { cell: &MODEL, pulse: (&*MODEL).into(), negative: None }
}

pub(crate) fn settings() -> ControllerSettings<'static> {
    let bms = bms::Settings {
        climate: ClimateSettings { pack_j_per_k: 300.0, max_film_w: 50.0, films: 1, ..ClimateSettings::CAR },
        charge: ChargeSettings::typical(N as u16, GENTLE, example::CHARGE_LIMIT),
        balance: BalanceMeans::Passive(BalanceLimits {
            rest_s: 1.0,
            rules: BalanceRules { period_s: 60.0, window_s: 3.0, ..BalanceRules::TYPICAL },
            ..BalanceLimits::NMC
        }),
        limits: Limits::of_cell(&MODEL, DISCHARGE_A, CHARGE_A),
        ..example::pack(&MODEL, &[example::PLACE; N], &[0, 2, 4])
    };
    ControllerSettings::new(&SAFETY, bms, KEY)
}

/// What goes wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// A cell reads something that lasts.
    Cell(usize, f32),
    /// Two cells are swapped.
    Swapped,
    /// A cell's reading stands still.
    CellStuck(usize),
    WireOpen(usize),
    /// A temperature sensor reads something that lasts.
    Sensor(usize, f32),
    /// All of them do.
    AllSensors(f32),
    /// A sensor rises in K/s, from where it was.
    Rise(usize, f32),
    /// The cell collapses and its sensor rises.
    Runaway(usize),
    Current(f32),
    CurrentStuck,
    SecondCurrent(f32),
    PackVoltage(f32),
    Fuse,
    Link(f32),
    Insulation(f32),
    Interlock,
    /// Auxiliary contact of one contactor says this.
    Contact(usize, Option<bool>),
    /// A contactor is closed whatever it is told.
    Welded(usize),
    /// One partner says nothing, repeats itself, or is damaged.
    Partner(u8, u8),
    Board(f32),
    Flow(f32),
    Heater(f32),
    /// Every so-many-th number is any number at all.
    Wild(u32),
    /// All bits of the frame.
    Bits,
    /// Time steps of any length.
    Time,
}

pub(crate) struct World {
    cell_v: [f32; N],
    temperature_c: [f32; S],
    current_a: f32,
    load_a: f32,
    link_v: f32,
    counter: u8,
    wish: Wish,
    plugged_in: bool,
    trouble: Trouble,
    /// Steps that are left.
    left: u32,
    held: Frame<N, S>,
}

impl World {
    pub(crate) const fn new() -> Self {
        Self {
            cell_v: [3.7; N],
            temperature_c: [25.0; S],
            current_a: 0.0,
            load_a: 0.0,
            link_v: 0.0,
            counter: 0,
            wish: Wish::Standby,
            plugged_in: false,
            trouble: Trouble::None,
            left: 0,
            held: Frame::NOTHING,
        }
    }

    /// A new episode: what is asked for, what goes wrong, for how long.
    fn turn(&mut self, r: &mut Random) {
        let healthy = self.trouble != Trouble::None || r.one_in(3);
        // A fault of minutes now and then: some diagnoses are slow.
        let longest = if r.one_in(10) { 3000 } else { 300 };
        self.left = 1 + r.below(longest);
        // Most faults come while the pack does what it did.
        if healthy || r.one_in(4) {
            self.ask(r);
        }
        self.trouble = if healthy { Trouble::None } else { Self::any_trouble(r) };
    }

    fn ask(&mut self, r: &mut Random) {
        self.plugged_in = r.one_in(3);
        self.wish = match r.below(11) {
            0 => Wish::Sleep,
            1 => Wish::Standby,
            2 => Wish::Balance,
            3 => Wish::Preheat { time_left_s: r.wild(), hold: r.one_in(2), target_c: r.wild() },
            4..=6 => {
                self.plugged_in = true;
                let mode = if r.one_in(2) { ChargeMode::Normal } else { ChargeMode::Fast };
                Wish::Charge { mode, target_soc: if r.one_in(4) { r.wild() } else { 1.0 } }
            }
            _ => {
                self.plugged_in &= r.one_in(4);
                Wish::Drive
            }
        };
        self.load_a = if self.plugged_in { r.between(-7.0, 0.0) } else { r.between(-5.0, 14.0) };
        if r.one_in(10) {
            self.load_a *= 3.0;
        }
    }

    fn any_trouble(r: &mut Random) -> Trouble {
        let (cell, sensor) = (r.below(N as u32) as usize, r.below(S as u32) as usize);
        match r.below(36) {
            0 => Trouble::Cell(cell, r.between(4.15, 4.6)),
            1 => Trouble::Cell(cell, r.between(0.5, 3.1)),
            2 => Trouble::Cell(cell, r.wild()),
            3 => Trouble::Swapped,
            4 => Trouble::CellStuck(cell),
            5 => Trouble::WireOpen(cell),
            6 => Trouble::Sensor(sensor, r.between(45.0, 80.0)),
            7 => Trouble::Sensor(sensor, r.wild()),
            8 => Trouble::AllSensors(r.between(-40.0, 5.0)),
            9 => Trouble::AllSensors(if r.one_in(3) { r.wild() } else { r.between(50.0, 70.0) }),
            10 => Trouble::Rise(sensor, r.between(0.1, 5.0)),
            11 => Trouble::Runaway(sensor),
            12 => Trouble::Current(r.between(-60.0, 60.0)),
            13 => Trouble::Current(r.wild()),
            14 => Trouble::CurrentStuck,
            15 => Trouble::SecondCurrent(r.between(-50.0, 50.0)),
            16 => Trouble::PackVoltage(if r.one_in(2) { r.between(5.0, 25.0) } else { r.wild() }),
            17 => Trouble::Fuse,
            18 => Trouble::Link(r.between(0.0, 20.0)),
            19 => Trouble::Insulation(r.between(0.0, 20_000.0)),
            20 => Trouble::Interlock,
            21 => Trouble::Contact(r.below(3) as usize, [None, Some(false), Some(true)][r.below(3) as usize]),
            22 => Trouble::Welded(r.below(3) as usize),
            23 => Trouble::Partner(r.below(5) as u8, r.below(4) as u8),
            24 => Trouble::Board(r.between(60.0, 140.0)),
            25 => Trouble::Wild(1 + r.below(40)),
            26 => Trouble::Bits,
            27 => Trouble::Time,
            28 => Trouble::Cell(cell, f32::NAN),
            31..=33 => Trouble::Partner(r.below(5) as u8, r.below(3) as u8),
            34 => Trouble::Contact(r.below(3) as usize, Some(false)),
            29 => Trouble::Flow(if r.one_in(2) { 0.0 } else { r.wild() }),
            30 => Trouble::Heater(if r.one_in(2) { 500.0 } else { r.wild() }),
            _ => Trouble::Sensor(sensor, f32::NAN),
        }
    }

    /// The next frame, given what the contactors were told, and the time since the one before.
    pub(crate) fn next(&mut self, r: &mut Random, told: [bool; CONTACTORS]) -> (Input<N, S, M>, u16) {
        if self.left == 0 {
            self.turn(r);
        }
        self.left -= 1;
        let closed: [bool; CONTACTORS] =
            core::array::from_fn(|k| told[k] || self.trouble == Trouble::Welded(k));
        let main = closed[PLUS] && closed[MINUS];
        self.current_a = if main { self.load_a + r.between(-0.05, 0.05) } else { r.between(-0.05, 0.05) };
        for v in &mut self.cell_v {
            *v = (*v - 2e-5 * self.current_a + 2e-5 * (3.7 - *v)).clamp(2.8, 4.17);
        }
        for c in &mut self.temperature_c {
            *c = (*c + 1e-3 * (25.0 - *c)).clamp(-10.0, 45.0);
        }
        if let Trouble::Rise(sensor, k_per_s) = self.trouble {
            self.temperature_c[sensor] += 0.1 * k_per_s + 0.02;
        }
        let terminal_v = self.cell_v.map(|v| v - 0.02 * self.current_a + r.between(-1e-3, 1e-3));
        let pack_v: f32 = terminal_v.iter().sum();
        if closed[MINUS] && (closed[PLUS] || closed[PRECHARGE]) {
            self.link_v += 0.7 * (pack_v - self.link_v);
        } else {
            self.link_v *= 0.9;
        }
        self.counter = (self.counter + 1) % 16;
        let heard = Heard { fresh: true, counter: self.counter, sound: true };
        let mut frame = Frame {
            cell_voltage_v: terminal_v,
            wire_open: [false; N],
            sensors_c: self.temperature_c,
            current_a: self.current_a,
            mean_current_a: self.current_a,
            second_current_a: self.current_a + r.between(-0.05, 0.05),
            pack_voltage_v: pack_v + r.between(-0.02, 0.02),
            fused_voltage_v: pack_v,
            link_voltage_v: self.link_v,
            insulation_ohm: 1e6,
            interlock_closed: true,
            contactor_closed: closed.map(Some),
            inlet_c: 25.0,
            outlet_c: 25.5,
            ambient_c: 20.0,
            board_c: 40.0,
            flow_l_per_min: 5.0,
            heater_w: 0.0,
            front_end: heard,
            current_sensor: heard,
            insulation_monitor: heard,
            vehicle: heard,
            charger: heard,
        };
        self.disturb(r, &mut frame);
        self.held = frame;

        let mut dt_ms = if r.one_in(20) { 1 + r.below(100) as u16 } else { 100 };
        if self.trouble == Trouble::Time {
            dt_ms = match r.below(6) {
                0 => 0,
                1 => 1,
                2 => u16::MAX,
                3 => r.next() as u16,
                _ => 100 + r.below(400) as u16,
            };
        }
        let noisy = self.trouble == Trouble::Bits || matches!(self.trouble, Trouble::Wild(_));
        let give = |r: &mut Random, usual: f32| if noisy && r.one_in(3) { r.wild() } else { usual };
        let input = Input {
            frame,
            film_w: [give(r, 0.0)],
            reverse: r.one_in(100),
            charger: ChargerReport {
                connected: self.plugged_in,
                heard: !r.one_in(20),
                current_a: Reading::within(give(r, -self.current_a), -1e3, 1e3),
                max_a: give(r, 10.0),
                max_v: give(r, 0.0),
            },
            external_w: give(r, 0.0),
            wish: self.wish,
            acknowledge: r.one_in(30),
            // After a repair a workshop comes, else now and then somebody with a wrong key.
            service_key: match r.below(400) {
                0..20 if self.trouble == Trouble::None => Some(KEY),
                0..2 => Some(KEY),
                20..26 => Some(r.next() as u32),
                26 => Some(KEY ^ 1),
                _ => None,
            },
        };
        (input, dt_ms)
    }

    fn disturb(&mut self, r: &mut Random, f: &mut Frame<N, S>) {
        match self.trouble {
            Trouble::None | Trouble::Rise(..) | Trouble::Welded(_) | Trouble::Time => {}
            Trouble::Cell(k, v) => {
                f.cell_voltage_v[k] = v + r.between(-0.001, 0.001);
                f.pack_voltage_v = f.cell_voltage_v.iter().sum();
                f.fused_voltage_v = f.pack_voltage_v;
            }
            Trouble::Swapped => f.cell_voltage_v[1] = -f.cell_voltage_v[1],
            Trouble::CellStuck(k) => {
                f.cell_voltage_v[k] = self.held.cell_voltage_v[k];
                self.load_a = if r.one_in(5) { r.between(-5.0, 14.0) } else { self.load_a };
            }
            Trouble::WireOpen(k) => f.wire_open[k] = true,
            Trouble::Sensor(k, c) => f.sensors_c[k] = c,
            Trouble::AllSensors(c) => f.sensors_c = f.sensors_c.map(|_| c),
            Trouble::Runaway(k) => {
                self.temperature_c[k] += 0.3;
                // Sensor k sits on cell 2k.
                f.cell_voltage_v[2 * k] *= 0.6;
                f.pack_voltage_v = f.cell_voltage_v.iter().sum();
                f.sensors_c[k] = self.temperature_c[k].max(self.held.sensors_c[k] + 0.3);
            }
            Trouble::Current(a) => {
                (f.current_a, f.mean_current_a) = (a, a);
                f.second_current_a = a;
            }
            Trouble::CurrentStuck => {
                f.current_a = self.held.current_a;
                self.load_a = if r.one_in(5) { r.between(-5.0, 14.0) } else { self.load_a };
            }
            Trouble::SecondCurrent(a) => f.second_current_a = a,
            Trouble::PackVoltage(v) => f.pack_voltage_v = v,
            Trouble::Fuse => f.fused_voltage_v = 0.0,
            Trouble::Link(v) => f.link_voltage_v = v,
            Trouble::Insulation(ohm) => f.insulation_ohm = ohm,
            Trouble::Interlock => f.interlock_closed = false,
            Trouble::Contact(k, contact) => f.contactor_closed[k] = contact,
            Trouble::Partner(who, how) => {
                let usual = f.front_end;
                let heard = match how {
                    0 => Heard::default(),
                    1 => Heard { counter: 3, ..usual },
                    2 => Heard { sound: false, ..usual },
                    _ => Heard { fresh: r.one_in(2), counter: r.next() as u8, sound: r.one_in(2) },
                };
                match who {
                    0 => f.front_end = heard,
                    1 => {
                        f.current_sensor = heard;
                        f.second_current_a = if how < 2 { f32::NAN } else { f.second_current_a };
                    }
                    2 => f.insulation_monitor = heard,
                    3 => f.vehicle = heard,
                    _ => f.charger = heard,
                }
            }
            Trouble::Board(c) => f.board_c = c,
            Trouble::Flow(l_per_min) => f.flow_l_per_min = l_per_min,
            Trouble::Heater(w) => f.heater_w = w,
            Trouble::Wild(one_in) => {
                let Frame { cell_voltage_v, sensors_c, .. } = f;
                let arrays = cell_voltage_v.iter_mut().chain(sensors_c);
                for x in arrays {
                    *x = if r.one_in(one_in) { r.wild() } else { *x };
                }
                for x in [
                    &mut f.current_a,
                    &mut f.mean_current_a,
                    &mut f.second_current_a,
                    &mut f.pack_voltage_v,
                    &mut f.fused_voltage_v,
                    &mut f.link_voltage_v,
                    &mut f.insulation_ohm,
                    &mut f.inlet_c,
                    &mut f.outlet_c,
                    &mut f.ambient_c,
                    &mut f.board_c,
                    &mut f.flow_l_per_min,
                    &mut f.heater_w,
                ] {
                    *x = if r.one_in(one_in) { r.wild() } else { *x };
                }
            }
            Trouble::Bits => {
                let heard = |r: &mut Random| Heard {
                    fresh: r.one_in(2),
                    counter: r.next() as u8,
                    sound: r.one_in(2),
                };
                let contact = |r: &mut Random| [None, Some(false), Some(true)][r.below(3) as usize];
                *f = Frame {
                    cell_voltage_v: core::array::from_fn(|_| f32::from_bits(r.next() as u32)),
                    wire_open: core::array::from_fn(|_| r.one_in(2)),
                    sensors_c: core::array::from_fn(|_| f32::from_bits(r.next() as u32)),
                    current_a: r.wild(),
                    mean_current_a: r.wild(),
                    second_current_a: r.wild(),
                    pack_voltage_v: r.wild(),
                    fused_voltage_v: r.wild(),
                    link_voltage_v: r.wild(),
                    insulation_ohm: r.wild(),
                    interlock_closed: r.one_in(2),
                    contactor_closed: core::array::from_fn(|_| contact(r)),
                    inlet_c: r.wild(),
                    outlet_c: r.wild(),
                    ambient_c: r.wild(),
                    board_c: r.wild(),
                    flow_l_per_min: r.wild(),
                    heater_w: r.wild(),
                    front_end: heard(r),
                    current_sensor: heard(r),
                    insulation_monitor: heard(r),
                    vehicle: heard(r),
                    charger: heard(r),
                };
            }
        }
    }
}
