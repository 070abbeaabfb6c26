//! Every diagnosis reacts to a small excess within its time; driving with the worst sensors reacts to nothing.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::super::ledger::{DiagnosisSet, Status};
use super::super::table::{ACTUATION_MS, COUNT, Diagnosis, Level};
use super::super::{Context, Readings, Safety, SensorPlaces};
use crate::leak::Leaky;
use crate::measurement::{Reading, Validity};
use crate::safety::frame::{Frame, Heard};
use crate::safety::settings::{Fitted, SafetySettings};
use proptest::prelude::*;

const N: usize = 12;
const S: usize = 5;
const CELLS: [u16; S] = [0, 3, 6, 9, 11];
const PLACES: SensorPlaces<'_> = SensorPlaces { sensor_cells: &CELLS, sensors: S };
const SETTINGS: SafetySettings = SafetySettings::EXAMPLE_NMC_5AH;
type F = Frame<N, S>;

/// What flows.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Parked,
    /// … and equally warm everywhere.
    Rest,
    Constant(f32),
    /// Steps between -2C and 3C that last seconds.
    Drive,
    /// As [`Self::Drive`], and never the same for a second.
    City,
}

/// A pack that drives, with sensors at the limits of their grade.
struct Pack {
    random: u64,
    usage: Use,
    soc: [f32; N],
    polarised_v: [f32; N],
    ohm: [f32; N],
    offset_v: [f32; N],
    current_a: f32,
    left_s: f32,
    time_s: f32,
    typical_c: f32,
    counter: u8,
    loss: f32,
    frame: F,
    context: Context,
}

impl Pack {
    fn new(usage: Use, seed: u64) -> Self {
        let mut new = Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            usage,
            soc: [0.6; N],
            polarised_v: [0.0; N],
            ohm: [0.014; N],
            offset_v: [0.0; N],
            current_a: 0.0,
            left_s: 0.0,
            time_s: 0.0,
            typical_c: 25.0,
            counter: 0,
            loss: 0.0,
            frame: Frame::NOTHING,
            context: Context { told_closed: [true, true, false], ..Context::QUIET },
        };
        for k in 0..N {
            new.soc[k] += 0.015 * new.uniform();
            new.ohm[k] *= 1.0 + 0.2 * new.uniform();
            new.offset_v[k] = 0.009 * new.uniform().signum();
        }
        new
    }

    /// Even numbers from -1 to 1, by a linear congruential generator (Knuth, MMIX).
    fn uniform(&mut self) -> f32 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn step(&mut self, dt_s: f32) -> (F, Context) {
        self.time_s += dt_s;
        self.left_s -= dt_s;
        if self.left_s <= 0.0 && matches!(self.usage, Use::Drive | Use::City) {
            self.left_s = if self.usage == Use::Drive { 4.0 + 3.0 * self.uniform() } else { 0.3 };
            // Charge comes back by steps that are larger when the pack is emptier.
            let mean_a = 20.0 * (self.soc[0] - 0.55);
            self.current_a = match (8.0 * self.uniform()) as i32 {
                6.. => 15.0,
                ..=-6 => -10.0,
                -1..=1 => 0.0,
                _ => (mean_a + 6.0 * self.uniform()).clamp(-7.0, 8.0),
            };
        } else if let Use::Constant(a) = self.usage {
            self.current_a = a;
        } else if matches!(self.usage, Use::Rest | Use::Parked) {
            self.current_a = 0.0;
        }
        let a = self.current_a;
        let cold = 1.0 + 0.02 * (25.0 - self.typical_c).max(0.0);
        for k in 0..N {
            self.soc[k] = (self.soc[k] - a * dt_s / (3600.0 * 5.0)).clamp(0.02, 1.0);
            let to_v = 0.5 * cold * self.ohm[k] * a;
            self.polarised_v[k] += (to_v - self.polarised_v[k]) * (dt_s / (10.0 + dt_s));
            let s = self.soc[k];
            let ocv_v = 3.1 + s - 3.0 * (0.1 - s).max(0.0);
            let noise_v = 0.002 * (self.uniform() + self.uniform() + self.uniform());
            let lost = 0.5 * (self.uniform() + 1.0) < self.loss;
            let v = ocv_v - cold * self.ohm[k] * a - self.polarised_v[k] + self.offset_v[k] + noise_v;
            self.frame.cell_voltage_v[k] = if lost { f32::NAN } else { (v * 1e3).round() / 1e3 };
        }
        self.typical_c = 22.0 + 13.0 * (self.time_s / 5000.0).sin();
        // The coolant turns round every 20 minutes.
        let gradient_k = 2.5 * (self.time_s / 400.0).sin();
        for (k, place) in [-1.0, -0.5, 0.1, 0.6, 1.0].into_iter().enumerate() {
            let offset_k = if k % 2 == 0 { 1.8 } else { -1.8 };
            let c = self.typical_c + gradient_k * place + offset_k + 0.2 * self.uniform();
            let lost = 0.5 * (self.uniform() + 1.0) < self.loss;
            self.frame.sensors_c[k] = if lost { f32::NAN } else { (c * 2.0).round() / 2.0 };
        }
        if self.usage == Use::Rest {
            self.frame.sensors_c = [25.0; S];
        }
        self.counter = (self.counter + 1) % 16;
        let heard = Heard { fresh: true, counter: self.counter, sound: true };
        let sum_v: f32 = self
            .frame
            .cell_voltage_v
            .iter()
            .zip(&self.offset_v)
            .map(|(v, o)| if v.is_nan() { self.soc[0] + 3.1 } else { v - o })
            .sum();
        let first_a = 1.01 * a + 0.8 + 0.05 * self.uniform();
        self.frame = Frame {
            current_a: first_a,
            mean_current_a: first_a,
            second_current_a: 0.99 * a - 0.8 + 0.05 * self.uniform(),
            pack_voltage_v: sum_v * 1.01,
            fused_voltage_v: sum_v * 0.99,
            link_voltage_v: sum_v * 0.99,
            insulation_ohm: 1e6,
            interlock_closed: true,
            inlet_c: 25.0,
            outlet_c: 27.0,
            ambient_c: 20.0,
            board_c: 40.0,
            flow_l_per_min: 4.0,
            heater_w: 0.0,
            front_end: heard,
            current_sensor: heard,
            insulation_monitor: heard,
            vehicle: heard,
            charger: heard,
            ..self.frame
        };
        (self.frame, self.context)
    }
}

/// What a fault does to a frame, `s` seconds after it began; true from when it is beyond its limit.
type Fault = fn(&mut F, &mut Context, s: f32) -> bool;

struct Case {
    id: Diagnosis,
    usage: Use,
    before_s: f32,
    dt_ms: u16,
    fault: Fault,
}

const fn case(id: Diagnosis, usage: Use, fault: Fault) -> Case {
    Case { id, usage, before_s: 10.0, dt_ms: 100, fault }
}

fn all_sensors(f: &mut F, c: f32) -> bool {
    f.sensors_c = [c; S];
    true
}

fn both(f: &mut F, a: f32) -> bool {
    (f.current_a, f.second_current_a, f.mean_current_a) = (a, a, a);
    true
}

fn cell(f: &mut F, k: usize, v: f32) -> bool {
    f.cell_voltage_v[k] = v;
    true
}

/// One sensor that warms by itself, once it is heard.
fn rising(f: &mut F, k: usize, from_c: f32, k_per_s: f32, s: f32) -> bool {
    all_sensors(f, from_c);
    f.sensors_c[k] = from_c + k_per_s * s;
    true
}

fn open(c: &mut Context) {
    c.told_closed = [false; 3];
}

/// A small excess for every diagnosis that the monitors make.
fn cases() -> Vec<Case> {
    use Diagnosis::*;
    use Use::*;
    std::vec![
        case(CellVoltageHighInformation, Rest, |f, _, _| cell(f, 4, 4.191)),
        case(CellVoltageHighWarning, Rest, |f, _, _| cell(f, 4, 4.221)),
        case(CellVoltageHighFatal, Drive, |f, _, _| cell(f, 4, 4.251)),
        case(CellVoltageLowInformation, Rest, |f, _, _| cell(f, 11, 2.999)),
        case(CellVoltageLowWarning, Rest, |f, _, _| cell(f, 11, 2.799)),
        case(CellVoltageLowFatal, Drive, |f, _, _| cell(f, 11, 2.499)),
        case(DeepDischarge, Rest, |f, _, _| cell(f, 0, 1.499)),
        case(DischargeCurrentInformation, Rest, |f, _, _| both(f, 11.6)),
        case(DischargeCurrentWarning, Rest, |f, _, _| both(f, 13.7)),
        case(DischargeCurrentFatal, Rest, |f, _, _| both(f, 15.8)),
        case(DischargePulseFatal, Drive, |f, _, _| both(f, 25.1)),
        case(DischargePulseFatal, Drive, |f, _, _| both(f, 300.0)),
        case(ChargeCurrentInformation, Rest, |f, _, _| both(f, -8.4)),
        case(ChargeCurrentWarning, Rest, |f, _, _| both(f, -9.5)),
        case(ChargeCurrentFatal, Rest, |f, _, _| both(f, -10.5)),
        case(ChargePulseFatal, Drive, |f, _, _| both(f, -15.1)),
        case(DischargeHotInformation, Rest, |f, _, _| all_sensors(f, 50.1)),
        case(DischargeHotWarning, Rest, |f, _, _| all_sensors(f, 55.1)),
        case(DischargeHotFatal, Rest, |f, _, _| all_sensors(f, 60.1)),
        case(DischargeHotFatal, Constant(3.0), |f, c, _| {
            c.told_closed = [false; 3];
            all_sensors(f, 60.1)
        }),
        case(DischargeColdInformation, Rest, |f, _, _| all_sensors(f, -15.1)),
        case(DischargeColdWarning, Rest, |f, _, _| all_sensors(f, -20.1)),
        case(DischargeColdFatal, Constant(2.0), |f, _, _| all_sensors(f, -30.1)),
        case(ChargeHotInformation, Rest, |f, _, _| all_sensors(f, 45.1)),
        case(ChargeHotWarning, Rest, |f, _, _| all_sensors(f, 50.1)),
        case(ChargeHotFatal, Constant(-3.0), |f, _, _| all_sensors(f, 55.1)),
        case(ChargeColdInformation, Rest, |f, _, _| all_sensors(f, 4.9)),
        case(ChargeColdWarning, Rest, |f, _, _| all_sensors(f, -0.1)),
        case(ChargeColdFatal, Constant(-3.0), |f, _, _| all_sensors(f, -20.1)),
        case(ChargeColdFatal, Rest, |f, c, _| {
            (c.charging, c.asked_charge_a) = (true, 1.0);
            all_sensors(f, -20.1)
        }),
        // Without a current every direction counts.
        case(ChargeColdFatal, Rest, |f, _, _| both(f, f32::NAN) && all_sensors(f, -20.1)),
        case(TemperatureSpreadInformation, Rest, |f, _, s| rising(f, 2, 25.0, 0.5, s) && s > 20.0),
        case(TemperatureSpreadWarning, Rest, |f, _, s| rising(f, 2, 25.0, 0.5, s) && s > 30.0),
        case(TemperatureSpreadFatal, Rest, |f, _, s| rising(f, 2, 25.0, 0.5, s) && s > 50.0),
        case(TemperatureRiseWarning, Rest, |f, _, s| rising(f, 3, 25.0, 0.12, s)),
        case(TemperatureRiseFatal, Rest, |f, _, s| rising(f, 0, 25.0, 1.2, s)),
        case(ThermalRunaway, Rest, |f, _, s| rising(f, 4, 60.1, 1.2, s)),
        // Cell 3 collapses; its sensor is number 1.
        case(ThermalRunaway, Rest, |f, _, s| cell(f, 3, 2.6) && rising(f, 1, 25.0, 1.2, s)),
        // … and is burnt before the three seconds are over.
        case(ThermalRunaway, Rest, |f, _, s| {
            rising(f, 4, 60.1, 20.0, s);
            if s > 1.5 {
                f.sensors_c[4] = f32::NAN;
            }
            true
        }),
        // Cell 7 has no sensor; that of cell 6 is number 2.
        case(ThermalRunawayNearby, Rest, |f, _, s| cell(f, 7, 2.6) && rising(f, 2, 25.0, 0.08, s)),
        case(ThermalRunawayNearby, Rest, |f, _, s| {
            cell(f, 7, if s < 0.5 { 2.0 } else { f32::NAN }) && rising(f, 2, 25.0, 0.08, s)
        }),
        // Far from any warmth, but the pack voltage lacks what the cell has lost.
        case(ThermalRunawayNearby, Rest, |f, _, _| {
            f.pack_voltage_v -= f.cell_voltage_v[7] - 0.2;
            cell(f, 7, 0.2)
        }),
        case(ImbalanceInformation, Rest, |f, c, _| {
            f.cell_voltage_v[3] -= 0.03;
            f.cell_voltage_v[8] += 0.03;
            c.soc_spread = [0.111, 0.02];
            true
        }),
        case(ImbalanceWarning, Rest, |f, c, _| {
            f.cell_voltage_v[3] -= 0.03;
            f.cell_voltage_v[8] += 0.03;
            c.soc_spread = [0.161, 0.02];
            true
        }),
        case(InsulationWarning, Drive, |f, _, _| {
            f.insulation_ohm = 480.0 * f.cell_voltage_v.iter().sum::<f32>();
            true
        }),
        case(InsulationFatal, Drive, |f, _, _| {
            f.insulation_ohm = 96.0 * f.cell_voltage_v.iter().sum::<f32>();
            true
        }),
        case(InterlockOpen, Drive, |f, _, _| {
            f.interlock_closed = false;
            true
        }),
        case(FuseBlown, Drive, |f, _, _| {
            f.fused_voltage_v = 0.0;
            true
        }),
        // A charger holds the voltage up behind it.
        case(FuseBlown, Drive, |f, _, _| {
            f.fused_voltage_v *= 1.3;
            true
        }),
        case(CurrentWhileOpen, Rest, |f, c, _| {
            open(c);
            both(f, 1.4)
        }),
        case(CurrentWhileOpen, Rest, |f, c, _| {
            open(c);
            f.second_current_a = f32::NAN;
            f.current_a = -3.1;
            true
        }),
        case(CellWireOpen, Drive, |f, _, _| {
            f.wire_open[5] = true;
            true
        }),
        case(CellWireOpen, Drive, |f, _, _| cell(f, 5, 0.01) && cell(f, 6, 7.4)),
        // The others have to move before it can be seen.
        case(CellVoltageStuck, City, |f, _, s| cell(f, 5, 3.702) && s > 0.6),
        case(CellVoltageJump, Rest, |f, _, _| {
            f.cell_voltage_v[5] += 0.047;
            true
        }),
        Case {
            before_s: 60.0,
            ..case(CellVoltageDrift, Rest, |f, _, s| {
                f.cell_voltage_v[5] += 0.01 * s;
                s > 14.5
            })
        },
        case(CellVoltageSwapped, Drive, |f, _, _| cell(f, 5, -3.7) && cell(f, 4, 7.4) && cell(f, 6, 7.4)),
        case(CellVoltageSwapped, Drive, |f, _, _| cell(f, 5, -0.06)),
        case(CellVoltageLost, Drive, |f, _, _| cell(f, 5, f32::NAN)),
        case(CellVoltageLost, Drive, |f, _, _| cell(f, 5, 6.1)),
        case(PackVoltageDisagrees, Drive, |f, _, _| {
            f.pack_voltage_v = f.cell_voltage_v.iter().sum::<f32>() + 1.0;
            true
        }),
        case(PackVoltageLost, Drive, |f, _, _| {
            f.pack_voltage_v = f32::INFINITY;
            true
        }),
        case(PackVoltageLost, Drive, |f, _, _| {
            f.pack_voltage_v = 110.0;
            true
        }),
        case(TemperatureLost, Drive, |f, _, _| {
            f.sensors_c[1] = f32::NAN;
            true
        }),
        case(TemperatureLost, Drive, |f, _, _| {
            f.sensors_c[1] = 150.0;
            true
        }),
        case(TemperatureLost, Drive, |f, _, _| {
            f.sensors_c[1] = -55.0;
            true
        }),
        case(TemperaturesLost, Drive, |f, _, _| {
            f.sensors_c[1] = f32::NAN;
            f.sensors_c[2] = 200.0;
            f.sensors_c[3] = -100.0;
            true
        }),
        case(TemperatureStuck, Rest, |f, _, s| {
            all_sensors(f, 25.0 + 0.1 * s);
            f.sensors_c[3] = 25.0;
            // The others leave behind 6 K, the typical one a little less.
            s > 62.0
        }),
        case(TemperatureJump, Drive, |f, _, _| {
            f.sensors_c[3] += 10.0;
            true
        }),
        case(TemperatureDrift, Rest, |f, _, s| rising(f, 2, 25.0, 0.05, s) && s > 230.0),
        case(CurrentLost, Drive, |f, _, _| both(f, f32::NAN)),
        case(CurrentRedundancyLost, Drive, |f, _, _| {
            f.second_current_a = f32::NAN;
            true
        }),
        case(CurrentRedundancyLost, Drive, |f, _, _| {
            f.current_a = f32::NAN;
            true
        }),
        case(CurrentDisagrees, Rest, |f, _, _| {
            (f.current_a, f.second_current_a) = (2.0, -1.1);
            true
        }),
        // The voltages move by a step after two seconds.
        case(CurrentStuck, Rest, |f, _, s| {
            f.current_a = 0.9;
            if s > 2.05 {
                f.cell_voltage_v.iter_mut().for_each(|v| *v -= 0.03);
            }
            s > 2.05
        }),
        case(CurrentOffset, Rest, |f, c, _| {
            open(c);
            (f.current_a, f.second_current_a) = (1.4, 0.0);
            true
        }),
        case(CurrentOffset, Rest, |f, c, _| {
            open(c);
            (f.current_a, f.second_current_a) = (f32::NAN, -1.4);
            true
        }),
        case(FrontEndLost, Drive, |f, _, _| {
            f.front_end.fresh = false;
            true
        }),
        case(FrontEndLost, Drive, |f, _, _| {
            f.front_end.sound = false;
            true
        }),
        case(FrontEndLost, Drive, |f, _, _| {
            f.front_end.counter = 7;
            true
        }),
        case(FrontEndLost, Drive, |f, _, _| {
            f.front_end.counter += 16;
            true
        }),
        case(CurrentSensorLost, Drive, |f, _, _| {
            f.current_sensor.fresh = false;
            f.second_current_a = f32::NAN;
            true
        }),
        case(VehicleLost, Drive, |f, _, _| {
            f.vehicle.counter = 3;
            true
        }),
        case(ChargerLost, Drive, |f, c, _| {
            c.charging = true;
            c.asked_charge_a = 20.0;
            f.charger.sound = false;
            true
        }),
        case(InsulationMonitorLost, Drive, |f, _, _| {
            f.insulation_monitor = Heard::default();
            true
        }),
        Case { dt_ms: 101, ..case(TaskLate, Rest, |_, _, _| true) },
        Case { dt_ms: 301, ..case(TaskOverrun, Rest, |_, _, _| true) },
        case(MemoryCorrupt, Drive, |_, c, _| {
            c.memory_sound = false;
            true
        }),
        case(StoreDamaged, Drive, |_, c, _| {
            c.store_damaged = true;
            true
        }),
        case(SelfTestFailed, Drive, |_, c, _| {
            c.self_test_passed = false;
            true
        }),
        case(LeakyCell, Drive, |_, c, _| {
            c.leaky = Some(Leaky { cell: 9, per_month: 0.2, limit: 0.05 });
            true
        }),
        Case {
            before_s: 60.0,
            ..case(InternalShort, Rest, |f, _, s| {
                f.cell_voltage_v[7] -= 0.09;
                rising(f, 2, 25.0, 0.08, s)
            })
        },
        Case {
            before_s: 60.0,
            ..case(InternalShort, Drive, |f, _, _| {
                f.cell_voltage_v[7] -= 1.2;
                true
            })
        },
        case(BoardHot, Drive, |f, _, _| {
            f.board_c = 95.1;
            true
        }),
        case(CoolantLost, Drive, |f, c, _| {
            c.asked_flow_l_per_min = 4.0;
            f.flow_l_per_min = 1.1;
            true
        }),
        case(CoolantLost, Drive, |f, c, _| {
            c.asked_flow_l_per_min = 4.0;
            f.flow_l_per_min = f32::NAN;
            true
        }),
        case(HeaterStuck, Drive, |f, _, _| {
            f.heater_w = 21.0;
            true
        }),
        case(SocUncertain, Drive, |_, c, _| {
            c.soc_std = 0.11;
            true
        }),
        case(ChargerIgnoresLimit, Rest, |f, c, _| {
            c.charging = true;
            both(f, -2.1)
        }),
    ]
}

/// Diagnoses that the contactors' own state machine makes.
const CONTACTORS: core::ops::RangeInclusive<u8> =
    Diagnosis::PlusWelded as u8..=Diagnosis::PrechargeTooOften as u8;

#[test]
fn every_diagnosis_reacts_to_a_small_excess_within_its_time() {
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for Case { id, usage, before_s, dt_ms, fault } in cases() {
        seen.insert(id as u8);
        let mut pack = Pack::new(usage, 7 + id as u64);
        let mut safety = Safety::<N, S>::new(&SETTINGS, PLACES, &DiagnosisSet::default()).unwrap();
        for _ in 0..(10.0 * before_s) as u32 {
            let (frame, context) = pack.step(0.1);
            safety.step(&frame, &context, 100);
        }
        let before = safety.ledger().status(id);
        if before >= Status::Detected {
            wrong.push(std::format!("{id:?} before its fault"));
        }
        let (mut s, mut beyond_s) = (0.0, 0.0);
        let allowed_s = 1e-3 * (id.entry().reaction_time_ms() - ACTUATION_MS) as f32;
        let dt_s = 1e-3 * f32::from(dt_ms);
        let mut finding = None;
        while finding.is_none() && beyond_s < allowed_s + 0.5 {
            let (mut frame, mut context) = pack.step(dt_s);
            s += dt_s;
            let beyond = fault(&mut frame, &mut context, s);
            beyond_s += if beyond { dt_s } else { 0.0 };
            safety.step(&frame, &context, dt_ms);
            if safety.ledger().status(id) == Status::Reacting {
                finding = safety.ledger().detection(id);
            }
        }
        match finding {
            Some(d) if beyond_s <= allowed_s + 1e-3 && !d.finding.limit.is_nan() => {}
            _ => wrong.push(std::format!("{id:?}: {finding:?} after {beyond_s} s, not {allowed_s} s")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for number in (0..COUNT as u8).filter(|n| !CONTACTORS.contains(n)) {
        assert!(seen.contains(&number), "{:?} has no test", Diagnosis::from_number(number));
    }
}

/// A protection that has seen a pack for a while.
fn used(pack: &mut Pack, settings: &'static SafetySettings, seconds: u32) -> Safety<'static, N, S> {
    let mut safety = Safety::new(settings, PLACES, &DiagnosisSet::default()).unwrap();
    run(&mut safety, pack, seconds, |_, _| ());
    safety
}

/// Some seconds with a fault; the last readings.
fn run(
    safety: &mut Safety<'_, N, S>,
    pack: &mut Pack,
    seconds: u32,
    fault: impl Fn(&mut F, &mut Context),
) -> Readings<N, S> {
    let mut readings = None;
    for _ in 0..10 * seconds {
        let (mut frame, mut context) = pack.step(0.1);
        fault(&mut frame, &mut context);
        readings = Some(safety.step(&frame, &context, 100));
    }
    readings.unwrap()
}

fn found(safety: &Safety<'_, N, S>) -> Vec<Diagnosis> {
    safety.ledger().detected().iter().collect()
}

fn rejected<const K: usize>(readings: &[Reading; K]) -> Vec<usize> {
    (0..K).filter(|k| readings[*k].validity() == Validity::Rejected).collect()
}

const NONE: [usize; 0] = [];

#[test]
fn only_the_guilty_sensor_is_rejected_and_it_comes_back_when_its_diagnosis_has_ended() {
    let mut pack = Pack::new(Use::Rest, 5);
    let mut safety = used(&mut pack, &SETTINGS, 20);
    let readings = run(&mut safety, &mut pack, 1, |f, _| f.cell_voltage_v[5] += 0.06);
    assert_eq!(rejected(&readings.cell_voltage_v), [5]);
    assert_eq!(found(&safety), [Diagnosis::CellVoltageJump]);
    // Its condition has ended, not the diagnosis.
    let readings = run(&mut safety, &mut pack, 5, |_, _| ());
    assert_eq!(rejected(&readings.cell_voltage_v), [5]);
    safety.ledger_mut().acknowledge();
    let readings = run(&mut safety, &mut pack, 1, |_, _| ());
    assert_eq!(rejected(&readings.cell_voltage_v), NONE);

    let readings = run(&mut safety, &mut pack, 2, |f, _| f.sensors_c[2] += 12.0);
    assert_eq!(rejected(&readings.sensors_c), [2]);
    assert_eq!(rejected(&readings.cell_voltage_v), NONE);
    let readings = run(&mut safety, &mut pack, 3, |_, _| ());
    assert_eq!(rejected(&readings.sensors_c), NONE);
}

/// Cells of which an estimate says that they differ, and whose voltages all agree: no finding.
#[test]
fn an_imbalance_that_no_voltage_shows_is_none() {
    let mut pack = Pack::new(Use::Rest, 5);
    (pack.offset_v, pack.soc) = ([0.0; N], [0.6; N]);
    let mut safety = used(&mut pack, &SETTINGS, 5);
    pack.context.soc_spread = [0.3, 0.01];
    run(&mut safety, &mut pack, 30, |_, _| ());
    assert_eq!(found(&safety), []);
    pack.soc[4] = 0.56;
    run(&mut safety, &mut pack, 30, |_, _| ());
    assert_eq!(found(&safety), [Diagnosis::ImbalanceInformation, Diagnosis::ImbalanceWarning]);
}

/// After a charge the others relax while a cell on a flat part of its curve stands still.
#[test]
fn a_cell_that_stands_still_at_rest_is_not_stuck() {
    let mut pack = Pack::new(Use::Rest, 5);
    (pack.offset_v, pack.soc) = ([0.0; N], [0.95; N]);
    let mut safety = used(&mut pack, &SETTINGS, 5);
    let still_v = 4.0;
    let steps = std::cell::Cell::new(0_u16);
    run(&mut safety, &mut pack, 600, |f, _| {
        steps.set(steps.get() + 1);
        for v in &mut f.cell_voltage_v {
            *v -= 1e-5 * f32::from(steps.get());
        }
        f.cell_voltage_v[5] = still_v;
    });
    assert!(!found(&safety).contains(&Diagnosis::CellVoltageStuck));
}

/// A cell that read wrongly from the start and is repaired: the step to the truth is a jump, which ends when it has agreed
/// with the others for a minute and somebody has taken note. One that jumped to anywhere else stays.
#[test]
fn a_jump_to_the_truth_ends_by_agreement_and_one_away_from_it_does_not() {
    let mut pack = Pack::new(Use::Rest, 5);
    pack.offset_v = [0.0; N];
    pack.soc = [0.6; N];
    for (before_v, after_v, ends) in
        [(0.07, 0.0, true), (0.07, 0.01, true), (0.0, 0.07, false), (0.2, 0.1, false)]
    {
        let mut safety = Safety::<N, S>::new(&SETTINGS, PLACES, &DiagnosisSet::default()).unwrap();
        pack.offset_v[5] = before_v;
        run(&mut safety, &mut pack, 5, |_, _| ());
        pack.offset_v[5] = after_v;
        run(&mut safety, &mut pack, 58, |_, _| ());
        safety.ledger_mut().acknowledge();
        let readings = run(&mut safety, &mut pack, 1, |_, _| ());
        assert_eq!(rejected(&readings.cell_voltage_v), [5], "not within a minute, {before_v} to {after_v}");
        run(&mut safety, &mut pack, 8, |_, _| ());
        assert!(found(&safety).contains(&Diagnosis::CellVoltageJump), "not before somebody has taken note");
        safety.ledger_mut().acknowledge();
        let readings = run(&mut safety, &mut pack, 1, |_, _| ());
        assert_eq!(rejected(&readings.cell_voltage_v).is_empty(), ends, "{before_v} to {after_v}");
    }
}

#[test]
fn a_sample_that_is_wrong_once_is_not_used_and_is_no_fault() {
    let mut pack = Pack::new(Use::Drive, 6);
    let mut safety = used(&mut pack, &SETTINGS, 20);
    let (mut frame, context) = pack.step(0.1);
    (frame.cell_voltage_v[3], frame.sensors_c[1]) = (5.0, 90.0);
    let readings = safety.step(&frame, &context, 100);
    assert_eq!(rejected(&readings.cell_voltage_v), [3]);
    assert_eq!(rejected(&readings.sensors_c), [1]);
    let readings = run(&mut safety, &mut pack, 3, |_, _| ());
    assert_eq!(rejected(&readings.cell_voltage_v), NONE);
    assert_eq!(rejected(&readings.sensors_c), NONE);
    assert_eq!(found(&safety), []);
}

#[test]
fn the_second_current_sensor_takes_over() {
    let mut pack = Pack::new(Use::Constant(4.0), 8);
    let mut safety = used(&mut pack, &SETTINGS, 5);
    let readings = run(&mut safety, &mut pack, 1, |f, _| f.current_sensor.sound = false);
    assert!((readings.current_a.valid().unwrap() - 3.16).abs() < 0.06, "{readings:?}");
    assert_eq!(readings.mean_current_a, Reading::MISSING);
    assert_eq!(found(&safety), [Diagnosis::CurrentRedundancyLost]);
    // A sensor that stands still while all voltages step is the guilty one.
    let mut safety = used(&mut pack, &SETTINGS, 5);
    pack.usage = Use::City;
    let readings = run(&mut safety, &mut pack, 8, |f, _| f.current_a = 4.84);
    assert!(found(&safety).contains(&Diagnosis::CurrentStuck));
    assert_eq!(readings.current_a.valid(), Some(pack.frame.second_current_a));
    // … and it may be the second one.
    let mut safety = used(&mut pack, &SETTINGS, 5);
    let readings = run(&mut safety, &mut pack, 8, |f, _| f.second_current_a = 3.16);
    assert!(found(&safety).contains(&Diagnosis::CurrentStuck));
    assert_eq!(readings.current_a.valid(), Some(pack.frame.current_a));
    // Nobody can tell which of two sensors is wrong that both move.
    let mut safety = used(&mut pack, &SETTINGS, 5);
    let readings = run(&mut safety, &mut pack, 2, |f, _| f.second_current_a += 6.0);
    assert_eq!(readings.current_a.validity(), Validity::Rejected);
    // Without any there is none, and what was stuck stays rejected while it is the only one.
    let readings = run(&mut safety, &mut pack, 1, |f, _| {
        both(f, f32::NAN);
    });
    assert_eq!(readings.current_a.valid(), None);
    let mut safety = used(&mut pack, &SETTINGS, 5);
    let readings =
        run(&mut safety, &mut pack, 8, |f, _| (f.current_a, f.second_current_a) = (4.84, f32::NAN));
    assert_eq!(readings.current_a.validity(), Validity::Rejected);
}

#[test]
fn a_lost_or_rejected_sensor_silences_no_limit_on_what_remains() {
    let mut pack = Pack::new(Use::Rest, 9);
    let mut safety = used(&mut pack, &SETTINGS, 20);
    run(&mut safety, &mut pack, 2, |f, _| {
        f.cell_voltage_v[0] = f32::NAN;
        f.wire_open[2] = true;
        f.sensors_c[0] = f32::NAN;
        f.cell_voltage_v[7] = 4.26;
    });
    assert!(safety.ledger().status(Diagnosis::CellVoltageHighFatal) == Status::Reacting);
    // The cells beside an open wire say nothing of over- or under-voltage.
    let mut safety = used(&mut pack, &SETTINGS, 5);
    run(&mut safety, &mut pack, 3, |f, _| {
        (f.cell_voltage_v[4], f.cell_voltage_v[5]) = (7.3, 0.0);
    });
    assert_eq!(found(&safety), [Diagnosis::CellWireOpen]);
}

#[test]
fn nothing_of_a_frame_that_is_not_sound_is_used() {
    let mut pack = Pack::new(Use::Drive, 10);
    let mut safety = used(&mut pack, &SETTINGS, 20);
    let readings = run(&mut safety, &mut pack, 3, |f, _| {
        f.front_end.sound = false;
        f.cell_voltage_v = [4.3; N];
        f.sensors_c = [90.0; S];
    });
    assert_eq!(found(&safety), [Diagnosis::FrontEndLost]);
    let mut all = readings.cell_voltage_v.iter().chain(&readings.sensors_c);
    assert!(all.all(|r| r.validity() == Validity::Missing));
}

#[test]
fn what_is_lost_now_and_then_is_no_fault() {
    let mut pack = Pack::new(Use::Drive, 11);
    let mut safety = used(&mut pack, &SETTINGS, 20);
    for k in 0..3000 {
        let (mut frame, context) = pack.step(0.1);
        frame.front_end.fresh = k % 3 != 0;
        frame.current_sensor.sound = k % 3 != 1;
        frame.cell_voltage_v[k % N] = f32::NAN;
        frame.sensors_c[k % S] = f32::NAN;
        // An insulation monitor measures slowly.
        frame.insulation_monitor.fresh = k % 15 == 0;
        safety.step(&frame, &context, 100);
        assert_eq!(found(&safety), []);
    }
}

#[test]
fn a_cold_pack_that_is_parked_does_not_trip() {
    let mut pack = Pack::new(Use::Rest, 12);
    let mut safety = used(&mut pack, &SETTINGS, 5);
    run(&mut safety, &mut pack, 20, |f, _| f.sensors_c = [-35.0; S]);
    assert_eq!(safety.ledger().level(), Some(Level::Warning));
    // Connected and too hot it does.
    run(&mut safety, &mut pack, 5, |f, _| f.sensors_c = [61.0; S]);
    assert_eq!(safety.ledger().level(), Some(Level::Fatal));
    let mut safety = used(&mut pack, &SETTINGS, 5);
    run(&mut safety, &mut pack, 5, |f, c| {
        f.sensors_c = [61.0; S];
        open(c);
    });
    assert_eq!(safety.ledger().level(), Some(Level::Warning));
}

static BARE: SafetySettings = SafetySettings {
    fitted: Fitted {
        second_current: false,
        pack_voltage: false,
        link_voltage: false,
        insulation: false,
        auxiliary_contacts: false,
        vehicle: false,
        flow: false,
        heater_power: false,
    },
    ..SETTINGS
};
static SLOW: SafetySettings = SafetySettings { period_ms: 60_000, ..SETTINGS };

#[test]
fn what_is_not_fitted_is_not_missed() {
    let mut pack = Pack::new(Use::Drive, 13);
    let mut safety = used(&mut pack, &BARE, 1);
    let readings = run(&mut safety, &mut pack, 60, |f, c| {
        c.asked_flow_l_per_min = 4.0;
        f.second_current_a = f32::NAN;
        (f.pack_voltage_v, f.fused_voltage_v, f.link_voltage_v) = (f32::NAN, f32::NAN, f32::NAN);
        (f.insulation_ohm, f.flow_l_per_min, f.heater_w) = (f32::NAN, f32::NAN, f32::NAN);
        (f.insulation_monitor, f.vehicle, f.charger) = (Heard::default(), Heard::default(), Heard::default());
    });
    assert_eq!(found(&safety), []);
    assert!(readings.current_a.valid().is_some());
}

#[test]
fn parts_that_are_fitted_but_say_nothing_are_not_judged() {
    let mut pack = Pack::new(Use::Drive, 14);
    let mut safety = used(&mut pack, &SETTINGS, 1);
    run(&mut safety, &mut pack, 20, |f, _| {
        (f.fused_voltage_v, f.insulation_ohm, f.heater_w, f.board_c) =
            (f32::NAN, f32::NAN, f32::NAN, f32::NAN);
    });
    assert_eq!(found(&safety), []);
}

#[test]
fn no_rise_is_seen_over_a_step_that_is_too_long_nor_in_a_jump() {
    let mut pack = Pack::new(Use::Rest, 15);
    let mut safety = used(&mut pack, &SLOW, 5);
    for k in 0..40 {
        let (mut frame, context) = pack.step(60.0);
        frame.sensors_c = [if k % 2 == 0 { 25.0 } else { 45.0 }; S];
        frame.cell_voltage_v[k % N] += 0.1;
        safety.step(&frame, &context, 60_000);
    }
    assert_eq!(found(&safety), []);
    let mut safety = used(&mut pack, &SETTINGS, 5);
    for k in 0..40 {
        run(&mut safety, &mut pack, 10, |f, _| f.sensors_c = [if k % 2 == 0 { 25.0 } else { 40.0 }; S]);
    }
    assert_eq!(found(&safety), []);
}

/// Coolant, air and boards between -60 and 150 degC; nothing else is used.
#[test]
fn parts_are_used_within_what_they_can_be() {
    let mut pack = Pack::new(Use::Rest, 15);
    let mut safety = used(&mut pack, &SETTINGS, 5);
    for (c, used) in [(-60.0, true), (-60.1, false), (150.0, true), (150.1, false), (f32::NAN, false)] {
        let r = run(&mut safety, &mut pack, 1, |f, _| {
            (f.inlet_c, f.outlet_c, f.ambient_c, f.board_c) = (c, c, c, c);
        });
        for reading in [r.inlet_c, r.outlet_c, r.ambient_c, r.board_c] {
            assert_eq!(reading.valid(), used.then_some(c), "{c}");
        }
    }
}

/// 7 K in every second that is seen, with or without hours between them.
#[test]
fn what_changed_in_a_sleep_is_no_rise() {
    for sleeps in [true, false] {
        let mut pack = Pack::new(Use::Rest, 15);
        let mut safety = used(&mut pack, &SETTINGS, 5);
        run(&mut safety, &mut pack, 60, |f, _| f.sensors_c = [11.0; S]);
        for c in [18.0, 25.0, 32.0, 39.0] {
            if sleeps {
                safety.slept();
            }
            run(&mut safety, &mut pack, 1, |f, _| f.sensors_c = [c; S]);
        }
        assert_eq!(found(&safety).contains(&Diagnosis::TemperatureRiseFatal), !sleeps);
        assert_eq!(found(&safety).is_empty(), sleeps);
    }
}

#[test]
fn a_collapse_without_heat_or_heat_without_a_collapse_is_no_runaway() {
    let mut pack = Pack::new(Use::Rest, 16);
    let mut safety = used(&mut pack, &SETTINGS, 20);
    run(&mut safety, &mut pack, 20, |f, _| f.cell_voltage_v[7] = 2.6);
    let mut other = used(&mut pack, &SETTINGS, 20);
    for k in 0..60 {
        let (mut frame, context) = pack.step(0.1);
        frame.sensors_c[2] += 0.06 * k as f32;
        other.step(&frame, &context, 100);
    }
    for safety in [&safety, &other] {
        assert!(safety.ledger().status(Diagnosis::ThermalRunaway) < Status::Detected);
        assert!(safety.ledger().status(Diagnosis::ThermalRunawayNearby) < Status::Detected);
    }
    // It ends when the cell is back.
    assert_ne!(safety.monitors.runaway.collapsed, [false; N]);
    run(&mut safety, &mut pack, 1, |_, _| ());
    assert_eq!(safety.monitors.runaway.collapsed, [false; N]);
}

/// Far from any sensor a collapsed cell is believed when the pack voltage says the same; without one it is not.
#[test]
fn a_collapse_is_confirmed_by_a_pack_voltage_that_is_fitted() {
    for (settings, confirmed) in [(&SETTINGS, true), (&BARE, false)] {
        let mut pack = Pack::new(Use::Rest, 18);
        let mut safety = used(&mut pack, settings, 20);
        run(&mut safety, &mut pack, 10, |f, _| {
            let lost_v = f.cell_voltage_v[7] - 1.0;
            f.cell_voltage_v[7] = 1.0;
            f.pack_voltage_v -= lost_v;
            f.fused_voltage_v -= lost_v;
        });
        let found = safety.ledger().status(Diagnosis::ThermalRunawayNearby) >= Status::Detected;
        assert_eq!(found, confirmed);
    }
}

/// Two sensors that show a runaway in the same step are one runaway, at the first of them.
#[test]
fn two_cells_that_burn_at_once_are_one_runaway() {
    let mut pack = Pack::new(Use::Rest, 19);
    let mut safety = used(&mut pack, &SETTINGS, 20);
    for k in 0..300 {
        let (mut frame, context) = pack.step(0.1);
        for at in [1, 3] {
            frame.sensors_c[at] = 25.0 + 0.2 * k as f32;
            frame.cell_voltage_v[usize::from(PLACES.sensor_cells[at])] = 2.0;
        }
        safety.step(&frame, &context, 100);
    }
    let found = safety.ledger().detection(Diagnosis::ThermalRunaway).expect("a runaway").finding;
    assert_eq!(found.place, Some(1));
}

#[test]
fn a_small_pack_is_protected_too() {
    const ONE: SensorPlaces<'_> = SensorPlaces { sensor_cells: &[0], sensors: 1 };
    let mut safety = Safety::<2, 2>::new(&SETTINGS, ONE, &DiagnosisSet::default()).unwrap();
    let mut frame = Frame::<2, 2> {
        cell_voltage_v: [3.7, 3.6],
        sensors_c: [25.0, f32::NAN],
        current_a: 0.0,
        second_current_a: 0.0,
        pack_voltage_v: 7.3,
        fused_voltage_v: 7.3,
        interlock_closed: true,
        insulation_ohm: 1e6,
        flow_l_per_min: 0.0,
        heater_w: 0.0,
        ..Frame::NOTHING
    };
    let step = |safety: &mut Safety<'_, 2, 2>, frame: &mut Frame<2, 2>, times: u8| {
        for _ in 0..times {
            let counter = (frame.front_end.counter + 1) % 16;
            let heard = Heard { fresh: true, counter, sound: true };
            (frame.front_end, frame.current_sensor) = (heard, heard);
            (frame.vehicle, frame.insulation_monitor) = (heard, heard);
            safety.step(frame, &Context::QUIET, 100);
        }
    };
    step(&mut safety, &mut frame, 50);
    assert!(safety.ledger().detected().is_empty(), "{:?}", safety.ledger().detected());
    frame.cell_voltage_v[1] = 4.26;
    (frame.pack_voltage_v, frame.fused_voltage_v) = (7.96, 7.96);
    step(&mut safety, &mut frame, 9);
    let fatal = |id: &Diagnosis| id.entry().level == Level::Fatal;
    let found: Vec<_> = safety.ledger().detected().iter().filter(fatal).collect();
    assert_eq!(found, [Diagnosis::CellVoltageHighFatal]);
    // One that is lost leaves the sum unknown, and no sensor is none.
    (frame.cell_voltage_v[0], frame.sensors_c[0]) = (f32::NAN, f32::NAN);
    step(&mut safety, &mut frame, 30);
    assert!(safety.ledger().status(Diagnosis::CellVoltageLost) == Status::Reacting);
    assert!(safety.ledger().status(Diagnosis::TemperaturesLost) == Status::Reacting);
}

fn drive(
    usage: Use,
    seed: u64,
    hours: f32,
    settings: &SafetySettings,
    edit: impl Fn(&mut Pack),
) -> DiagnosisSet {
    let mut pack = Pack::new(usage, seed);
    let mut safety = Safety::<N, S>::new(settings, PLACES, &DiagnosisSet::default()).unwrap();
    let mut all = DiagnosisSet::default();
    for _ in 0..(hours * 36_000.0) as u32 {
        edit(&mut pack);
        let (frame, context) = pack.step(0.1);
        let readings = safety.step(&frame, &context, 100);
        for id in safety.ledger().detected().iter() {
            all.set(id, true);
        }
        assert!(
            readings.cell_voltage_v.iter().all(|r| r.validity() != Validity::Rejected),
            "at {} s",
            pack.time_s
        );
        assert!(
            readings.sensors_c.iter().all(|r| r.validity() != Validity::Rejected),
            "at {} s",
            pack.time_s
        );
    }
    all
}

#[test]
fn driving_with_the_worst_sensors_reacts_to_nothing() {
    for (usage, seed) in [(Use::Drive, 1), (Use::Drive, 2), (Use::City, 3), (Use::Parked, 4)] {
        let found: Vec<_> = drive(usage, seed, 6.0, &SETTINGS, |_| {}).iter().collect();
        assert_eq!(found, [], "{seed}");
    }
}

#[test]
fn other_packs_and_slower_steps_react_to_nothing_either() {
    let found: Vec<_> = drive(Use::Drive, 21, 6.0, &BARE, |_| {}).iter().collect();
    assert_eq!(found, []);
    // 5 % between the cells, and one reading in a hundred does not arrive.
    let badly = |pack: &mut Pack| {
        if pack.time_s == 0.0 {
            pack.soc[3] += 0.05;
            pack.loss = 0.01;
        }
    };
    let found: Vec<_> = drive(Use::City, 22, 6.0, &SETTINGS, badly).iter().collect();
    assert_eq!(found, []);
    let mut pack = Pack::new(Use::Drive, 23);
    let mut safety = Safety::<N, S>::new(&SLOW, PLACES, &DiagnosisSet::default()).unwrap();
    for _ in 0..40_000 {
        let (frame, context) = pack.step(1.0);
        safety.step(&frame, &context, 1000);
    }
    assert_eq!(self::found(&safety), []);
}

/// Numbers as they come from broken electronics.
fn any_number() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>().prop_map(f32::from_bits),
        -5.0_f32..6.0,
        -60.0_f32..200.0,
        Just(f32::NAN),
        Just(f32::INFINITY),
        Just(3.7_f32),
        Just(0.0_f32),
    ]
}

fn any_heard() -> impl Strategy<Value = Heard> {
    let all = (any::<bool>(), 0_u8..18, any::<bool>());
    all.prop_map(|(fresh, counter, sound)| Heard { fresh, counter, sound })
}

fn any_frame() -> impl Strategy<Value = F> {
    let numbers = prop::array::uniform16(any_number());
    let cells = prop::array::uniform12(any_number());
    let heard = prop::array::uniform5(any_heard());
    (numbers, cells, any::<u16>(), heard).prop_map(|(x, cell_voltage_v, bits, heard)| Frame {
        cell_voltage_v,
        wire_open: core::array::from_fn(|k| bits & (1 << k) != 0),
        sensors_c: core::array::from_fn(|k| x[k]),
        current_a: x[5],
        mean_current_a: x[6],
        second_current_a: x[7],
        pack_voltage_v: 10.0 * x[8],
        fused_voltage_v: 10.0 * x[9],
        link_voltage_v: x[10],
        insulation_ohm: 1e3 * x[11],
        interlock_closed: bits & (1 << 12) != 0,
        contactor_closed: [None; 3],
        inlet_c: x[12],
        outlet_c: x[13],
        ambient_c: x[14],
        board_c: x[15],
        flow_l_per_min: x[12],
        heater_w: x[13],
        front_end: heard[0],
        current_sensor: heard[1],
        insulation_monitor: heard[2],
        vehicle: heard[3],
        charger: heard[4],
    })
}

fn any_context() -> impl Strategy<Value = Context> {
    (prop::array::uniform8(any_number()), any::<u16>()).prop_map(|(x, bits)| Context {
        told_closed: core::array::from_fn(|k| bits & (1 << k) != 0),
        allowed_charge_a: x[0],
        allowed_discharge_a: x[1],
        charging: bits & 8 != 0,
        asked_charge_a: x[2],
        soc_spread: [x[3], x[4]],
        soc_std: x[5],
        leaky: (bits & 16 != 0).then_some(Leaky { cell: bits, per_month: x[0], limit: x[1] }),
        asked_flow_l_per_min: x[6],
        asked_heater_w: x[7],
        wanted: bits & 512 != 0,
        store_damaged: bits & 32 != 0,
        memory_sound: bits & 64 == 0,
        self_test_passed: bits & 128 != 0,
        balancing: bits & 256 != 0,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bits_are_survived_and_no_latched_fault_is_lost(
        steps in prop::collection::vec((any_frame(), any_context(), any::<u16>(), 1_u8..30), 1..60),
        acknowledge in any::<bool>(),
    ) {
        let mut safety = Safety::<N, S>::new(&SETTINGS, PLACES, &DiagnosisSet::default()).unwrap();
        let mut latched = DiagnosisSet::default();
        for (mut frame, context, dt_ms, times) in steps {
            for _ in 0..times {
                frame.front_end.counter = (frame.front_end.counter + 1) % 16;
                let readings = safety.step(&frame, &context, if dt_ms < 60_000 { dt_ms % 400 } else { dt_ms });
                for r in readings.cell_voltage_v.iter().chain(&readings.sensors_c) {
                    prop_assert!(r.valid().is_none_or(|v| (-60.0..=150.0).contains(&v)));
                }
                for r in [readings.current_a, readings.mean_current_a] {
                    prop_assert!(r.valid().is_none_or(|a| a.abs() <= 1.05 * 50.0));
                }
                for id in latched.iter() {
                    prop_assert!(safety.ledger().latched().contains(id), "{id:?} was lost");
                }
                latched = safety.ledger().latched();
            }
            if acknowledge {
                safety.ledger_mut().acknowledge();
            }
        }
        // Sound frames again, and a workshop: nothing has left a trace that is no number.
        let mut pack = Pack::new(Use::City, 1);
        run(&mut safety, &mut pack, 300, |_, _| ());
        // What could not be seen while a sensor was rejected ends at the second time.
        safety.ledger_mut().unlock();
        run(&mut safety, &mut pack, 60, |_, _| ());
        safety.ledger_mut().unlock();
        let readings = run(&mut safety, &mut pack, 1, |_, _| ());
        prop_assert!(readings.current_a.valid().is_some());
        let may = |id: &Diagnosis| id.entry().level < Level::Fatal;
        prop_assert!(safety.ledger().detected().iter().all(|id| may(&id)), "{:?}", found(&safety));
    }
}
