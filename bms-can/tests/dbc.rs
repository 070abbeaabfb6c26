//! The DBC files themselves, and the codec against a reading of the files that shares nothing with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use bms_can::command::Command;
use bms_can::inverter::{Alarms, Dialect, Inverter};
use bms_can::report::{Extremes, Learnt, Outlook, Report, Sender};
use bms_can::{BMS_DBC, Frame, INVERTER_DBC, PROTOCOL_VERSION, bms, inverter};
use bms_core::balance::BalanceStatus;
use bms_core::charging::{self, ChargeMode, ChargeState};
use bms_core::measurement::Reading;
use bms_core::preheat::{PreheatState, Refusal};
use bms_core::safety::contactors::Position;
use bms_core::safety::ledger::DiagnosisSet;
use bms_core::safety::limits::{DirectionLimit, LimitedBy, PublishedLimits};
use bms_core::safety::mode::{Mode, Wish};
use bms_core::safety::table::{Diagnosis, Level, TABLE};
use can_dbc::{ByteOrder, Dbc, Message, MessageId, MultiplexIndicator, NumericValue, Signal, ValueType};
use embedded_can::StandardId;
use proptest::prelude::*;

/// One of the two files.
fn dbc(text: &str) -> &'static Dbc {
    static BMS: LazyLock<Dbc> = LazyLock::new(|| Dbc::try_from(BMS_DBC).unwrap());
    static INVERTER: LazyLock<Dbc> = LazyLock::new(|| Dbc::try_from(INVERTER_DBC).unwrap());
    if text == BMS_DBC { &BMS } else { &INVERTER }
}

fn id(message: &Message) -> u16 {
    match message.id {
        MessageId::Standard(id) => id,
        MessageId::Extended(id) => panic!("{}: {id} is extended", message.name),
    }
}

fn number(value: NumericValue) -> f64 {
    match value {
        NumericValue::Uint(x) => x as f64,
        NumericValue::Int(x) => x as f64,
        NumericValue::Double(x) => x,
    }
}

fn group(signal: &Signal) -> Option<u64> {
    match signal.multiplexer_indicator {
        MultiplexIndicator::MultiplexedSignal(group) => Some(group),
        _ => None,
    }
}

/// Raw value of a signal, bit by bit.
fn raw(signal: &Signal, data: &[u8]) -> i64 {
    let bit = |k: u64| i64::from(data[(k / 8) as usize] >> (k % 8) & 1);
    let raw = (0..signal.size).fold(0, |raw, k| raw | bit(signal.start_bit + k) << k);
    let negative = signal.value_type == ValueType::Signed && raw >> (signal.size - 1) == 1;
    raw - if negative { 1 << signal.size } else { 0 }
}

fn unknown(dbc: &Dbc, message: &Message, signal: &Signal) -> Option<i64> {
    let values = dbc.value_descriptions_for_signal(message.id, &signal.name)?;
    values.iter().find(|v| v.description == "NotAvailable").map(|v| v.id)
}

/// `Message.Signal` to number for all that is in some frames; `None` for what is not available.
fn decode(dbc: &Dbc, frames: &[Frame]) -> BTreeMap<String, Option<f64>> {
    let mut all = BTreeMap::new();
    for frame in frames {
        let message = dbc.messages.iter().find(|m| id(m) == frame.id().as_raw()).expect("a known message");
        assert_eq!(frame.data().len() as u64, message.size, "{}", message.name);
        let selected = message
            .signals
            .iter()
            .find(|s| s.multiplexer_indicator == MultiplexIndicator::Multiplexor)
            .map(|s| raw(s, frame.data()) as u64);
        for signal in message.signals.iter().filter(|s| group(s).is_none_or(|g| Some(g) == selected)) {
            let raw = raw(signal, frame.data());
            let known = unknown(dbc, message, signal) != Some(raw);
            let value = known.then_some(raw as f64 * signal.factor + signal.offset);
            all.insert(format!("{}.{}", message.name, signal.name), value);
        }
    }
    all
}

fn frames_of(report: &Report<'_>) -> Vec<Frame> {
    let (mut sender, mut frames) = (Sender::default(), Vec::new());
    sender.fast(report, &mut |f| frames.push(*f));
    sender.slow(report, &mut |f| frames.push(*f));
    sender.cells(report, &mut |f| frames.push(*f));
    frames
}

#[test]
fn signals_do_not_overlap_and_lie_in_their_messages() {
    for text in [BMS_DBC, INVERTER_DBC] {
        for message in &dbc(text).messages {
            let mut taken = BTreeMap::<(u64, u64), &str>::new();
            let groups: BTreeSet<u64> = message.signals.iter().filter_map(group).collect();
            for signal in &message.signals {
                assert_eq!(signal.byte_order, ByteOrder::LittleEndian, "{}", signal.name);
                assert!(
                    signal.size > 0 && signal.start_bit + signal.size <= 8 * message.size,
                    "{}",
                    signal.name
                );
                // A signal that is not multiplexed is there in every group.
                let of = group(signal).map_or_else(|| groups.clone(), |g| BTreeSet::from([g]));
                for g in if of.is_empty() { BTreeSet::from([0]) } else { of } {
                    for bit in signal.start_bit..signal.start_bit + signal.size {
                        let other = taken.insert((g, bit), &signal.name);
                        assert_eq!(other, None, "{}: {} at bit {bit}", message.name, signal.name);
                    }
                }
            }
        }
    }
}

#[test]
fn identifiers_and_names_are_unique_over_both_files() {
    let mut ids = BTreeMap::new();
    for text in [BMS_DBC, INVERTER_DBC] {
        for message in &dbc(text).messages {
            assert_eq!(ids.insert(id(message), message.name.clone()), None, "{:#x}", id(message));
            assert!(id(message) <= 0x7FF && (1..=8).contains(&message.size), "{}", message.name);
            let mut names = BTreeSet::new();
            assert!(message.signals.iter().all(|s| names.insert(&s.name)), "{}", message.name);
        }
    }
    let names: BTreeSet<_> = ids.values().collect();
    assert_eq!(names.len(), ids.len());
}

#[test]
fn ranges_fit_the_bits_and_leave_not_available_out() {
    for text in [BMS_DBC, INVERTER_DBC] {
        let dbc = dbc(text);
        for message in &dbc.messages {
            for signal in &message.signals {
                let raw = |x: f64| (x - signal.offset) / signal.factor;
                let (min, max) = (raw(number(signal.min)), raw(number(signal.max)));
                let (least, most) = match signal.value_type {
                    ValueType::Unsigned => (0, (1_i64 << signal.size) - 1),
                    ValueType::Signed => (-(1_i64 << (signal.size - 1)), (1_i64 << (signal.size - 1)) - 1),
                };
                let name = format!("{}.{}", message.name, signal.name);
                assert!((min - min.round()).abs() < 1e-3 && (max - max.round()).abs() < 1e-3, "{name}");
                assert!(min.round() as i64 >= least && max.round() as i64 <= most && min < max, "{name}");
                // `NotAvailable` is the largest raw value wherever there is one; measured values have one.
                let none = unknown(dbc, message, signal);
                assert!(none.is_none_or(|v| v == most && v > max.round() as i64), "{name}");
                let measured = text == BMS_DBC && !signal.unit.is_empty();
                assert!(!measured || none.is_some(), "{name} has a unit and no NotAvailable");
                // 20 bits of a number are exact in single precision, with a few to spare.
                assert!(signal.size <= 20 || signal.factor == 1.0, "{name}");
            }
        }
    }
}

#[test]
fn groups_of_a_multiplexed_message_are_alike() {
    let dbc = dbc(BMS_DBC);
    let mut found = 0;
    for message in &dbc.messages {
        let first: Vec<&Signal> = message.signals.iter().filter(|s| group(s) == Some(0)).collect();
        if first.is_empty() {
            continue;
        }
        found += 1;
        let multiplexed = message.signals.iter().filter(|s| group(s).is_some());
        for (k, signal) in multiplexed.enumerate() {
            let like = first[k % first.len()];
            assert_eq!(group(signal), Some((k / first.len()) as u64), "{}", signal.name);
            assert!(signal.name.ends_with(&format!("{k:03}")), "{}", signal.name);
            let layout = |s: &Signal| (s.start_bit, s.size, s.factor.to_bits(), s.offset.to_bits());
            assert_eq!(layout(signal), layout(like), "{}", signal.name);
            assert_eq!(unknown(dbc, message, signal), unknown(dbc, message, like), "{}", signal.name);
        }
    }
    assert_eq!(found, 2);
}

#[test]
fn protected_messages_have_crc_and_counter_in_their_place() {
    let protected = [0x210, 0x220, 0x221, 0x222, 0x223, 0x224, 0x225, 0x226];
    for message in &dbc(BMS_DBC).messages {
        let place =
            |name: &str| message.signals.iter().find(|s| s.name == name).map(|s| (s.start_bit, s.size));
        let is = protected.contains(&id(message));
        assert_eq!(place("Crc"), is.then_some((0, 8)), "{}", message.name);
        assert_eq!(place("Counter"), is.then_some((8, 4)), "{}", message.name);
    }
}

#[test]
fn every_message_is_sent_by_somebody() {
    let cells = [Reading::within(3.7, 0.0, 5.0); 256];
    let sensors = [Reading::within(25.0, -60.0, 120.0); 256];
    let report = Report {
        cell_voltage_v: &cells,
        temperature_c: &sensors,
        soc: Learnt { value: 0.5, std: 0.01 },
        pack_voltage_v: 50.0,
        current_a: 1.0,
        pack_limits_v: [40.0, 60.0],
        ..Report::default()
    };
    let mut sent: BTreeSet<String> = decode(dbc(BMS_DBC), &frames_of(&report)).into_keys().collect();
    sent.extend(decode(dbc(BMS_DBC), &[Command::default().frame(0)]).into_keys());
    let mut frames = Vec::new();
    for dialect in [Dialect::Victron, Dialect::Pylontech] {
        Inverter { dialect, ..Inverter::default() }.send(&report, &mut |f| frames.push(*f));
    }
    sent.extend(decode(dbc(INVERTER_DBC), &frames).into_keys());
    let mut all = BTreeSet::new();
    for text in [BMS_DBC, INVERTER_DBC] {
        for m in &dbc(text).messages {
            all.extend(m.signals.iter().map(|s| format!("{}.{}", m.name, s.name)));
        }
    }
    assert_eq!(sent, all);
}

const CHARGE_STATES: [ChargeState; 11] = [
    ChargeState::Idle,
    ChargeState::WaitingForCharger,
    ChargeState::TooCold,
    ChargeState::TooHot,
    ChargeState::ConstantCurrent(3),
    ChargeState::PlatingLimited,
    ChargeState::ConstantVoltage,
    ChargeState::Full,
    ChargeState::TargetReached,
    ChargeState::ChargerLost,
    ChargeState::Fault,
];
const CHARGE_LIMITS: [charging::LimitedBy; 7] = [
    charging::LimitedBy::Stopped,
    charging::LimitedBy::Plan,
    charging::LimitedBy::Temperature,
    charging::LimitedBy::Charger,
    charging::LimitedBy::Plating,
    charging::LimitedBy::Voltage,
    charging::LimitedBy::Rise,
];
const BALANCE: [BalanceStatus; 7] = [
    BalanceStatus::Balanced,
    BalanceStatus::Measuring,
    BalanceStatus::Moving,
    BalanceStatus::NotAllowed,
    BalanceStatus::BoardHot,
    BalanceStatus::BoardUnknown,
    BalanceStatus::Blocked,
];
const POSITIONS: [Position; 8] = [
    Position::Open,
    Position::Testing,
    Position::ClosingMinus,
    Position::Precharging,
    Position::ClosingPlus,
    Position::Closed,
    Position::Unloading,
    Position::OpeningMinus,
];
const LIMITED_BY: [LimitedBy; 14] = [
    LimitedBy::Mode,
    LimitedBy::Contactors,
    LimitedBy::Fault,
    LimitedBy::Power,
    LimitedBy::Voltage,
    LimitedBy::Hot,
    LimitedBy::Cold,
    LimitedBy::SocUnknown,
    LimitedBy::SensorLost,
    LimitedBy::Derated,
    LimitedBy::Overload,
    LimitedBy::Stopped,
    LimitedBy::ChargeControl,
    LimitedBy::Rise,
];
const LEVELS: [Level; 3] = [Level::Information, Level::Warning, Level::Fatal];

fn preheat_states() -> [PreheatState; 5] {
    let refused = PreheatState::Refused(Refusal::Soc);
    [PreheatState::Idle, PreheatState::Heating, PreheatState::Holding, PreheatState::Done, refused]
}

fn wishes() -> [Wish; 7] {
    let charge = |mode| Wish::Charge { mode, target_soc: 0.8 };
    let preheat = Wish::Preheat { target_c: 15.0, time_left_s: 600.0, hold: true };
    let fast = charge(ChargeMode::Fast);
    [Wish::Sleep, Wish::Standby, Wish::Drive, charge(ChargeMode::Normal), fast, preheat, Wish::Balance]
}

/// Name of a variant without what it carries.
fn name(variant: &impl std::fmt::Debug) -> String {
    format!("{variant:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

#[test]
fn names_of_codes_are_those_of_the_core() {
    let dbc = dbc(BMS_DBC);
    let check = |message: &str, signal: &str, names: Vec<String>| {
        let m = dbc.messages.iter().find(|m| m.name == message).unwrap();
        let told = dbc.value_descriptions_for_signal(m.id, signal).unwrap();
        let mut told: BTreeMap<i64, &str> = told.iter().map(|v| (v.id, v.description.as_str())).collect();
        told.retain(|_, name| *name != "NotAvailable");
        let wanted: BTreeMap<i64, &str> = (0..).zip(names.iter().map(String::as_str)).collect();
        assert_eq!(told, wanted, "{message}.{signal}");
    };
    check("BmsState", "Mode", Mode::ALL.iter().map(name).collect());
    check("BmsState", "Contactors", POSITIONS.iter().map(name).collect());
    check("BmsState", "ChargeState", CHARGE_STATES.iter().map(name).collect());
    check("BmsState", "ChargeLimitedBy", CHARGE_LIMITS.iter().map(name).collect());
    check("BmsState", "BalanceStatus", BALANCE.iter().map(name).collect());
    check("BmsState", "PreheatState", preheat_states().iter().map(name).collect());
    let none = || std::iter::once("None".to_owned());
    check("BmsState", "Level", none().chain(LEVELS.iter().map(name)).collect());
    check("BmsState", "FatalCode", none().chain(TABLE.iter().map(|e| e.name.to_owned())).collect());
    for message in ["CurrentLimits", "PowerLimits"] {
        for signal in ["DischargeBy", "ChargeBy"] {
            check(message, signal, LIMITED_BY.iter().map(name).collect());
        }
    }
    let requests =
        ["Sleep", "Standby", "Drive", "Charge", "FastCharge", "Preheat", "Balance"].map(str::to_owned);
    for message in ["VehicleCommand", "BmsState"] {
        check(message, "Request", requests.to_vec());
    }
}

#[test]
fn diagnoses_have_their_names_their_bits_and_their_conditions() {
    let dbc = dbc(BMS_DBC);
    for number in 0..128_u64 {
        let half = if number < 64 { "DiagnosisLow" } else { "DiagnosisHigh" };
        let message = dbc.messages.iter().find(|m| m.name == half).unwrap();
        let signal = message.signals.iter().find(|s| s.start_bit == number % 64).unwrap();
        assert_eq!(signal.size, 1);
        let comment = dbc.signal_comment(message.id, &signal.name);
        match TABLE.get(number as usize) {
            Some(e) => {
                assert_eq!(signal.name, e.name);
                assert_eq!(comment, Some(format!("{}.", e.id.condition()).as_str()));
            }
            None => assert_eq!(signal.name, format!("Reserved{number:03}")),
        }
    }
}

/// Any number, often one that is out of range or none at all.
fn around(lo: f32, hi: f32) -> BoxedStrategy<f32> {
    let width = hi - lo;
    prop_oneof![
        8 => lo..=hi,
        1 => (lo - width)..=(hi + width),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), any::<f32>()],
    ]
    .boxed()
}

fn reading(lo: f32, hi: f32) -> impl Strategy<Value = Reading> {
    (around(lo, hi), any::<bool>()).prop_map(move |(x, narrow)| {
        if narrow { Reading::within(x, lo, hi) } else { Reading::within(x, f32::MIN, f32::MAX) }
    })
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(
    all: impl IntoIterator<Item = T>,
) -> impl Strategy<Value = Option<T>> {
    prop::option::of(prop::sample::select(all.into_iter().collect::<Vec<_>>()))
}

fn extremes() -> impl Strategy<Value = Extremes> {
    let cell = || prop::option::of(0..400_u16);
    (around(-60.0, 120.0), cell(), around(-60.0, 120.0), cell(), around(-60.0, 120.0))
        .prop_map(|(min, min_at, max, max_at, mean)| Extremes { min, min_at, max, max_at, mean })
}

fn limits() -> impl Strategy<Value = PublishedLimits> {
    let direction = || {
        (around(0.0, 6553.4), around(0.0, 655e3), prop::sample::select(LIMITED_BY.to_vec()))
            .prop_map(|(current_a, power_w, by)| DirectionLimit { current_a, power_w, by })
    };
    (direction(), direction()).prop_map(|(discharge, charge)| PublishedLimits { discharge, charge })
}

fn diagnoses() -> impl Strategy<Value = DiagnosisSet> {
    any::<u128>().prop_map(|bits| {
        let mut set = DiagnosisSet::default();
        TABLE.iter().for_each(|e| set.set(e.id, bits >> e.id as u32 & 1 == 1));
        set
    })
}

prop_compose! {
    fn codes()(
        mode in one_of(Mode::ALL), wish in one_of(wishes()), position in one_of(POSITIONS),
        charge_state in one_of(CHARGE_STATES), charge_limited_by in one_of(CHARGE_LIMITS),
        balance in one_of(BALANCE), preheat in one_of(preheat_states()), level in one_of(LEVELS),
        reason in one_of(TABLE.map(|e| e.id)), diagnoses in diagnoses(), alarm in any::<bool>(),
    ) -> Report<'static> {
        Report {
            mode, wish, position, charge_state, charge_limited_by, balance, preheat, level, reason, diagnoses, alarm,
            ..Report::default()
        }
    }
}

prop_compose! {
    fn report()(
        codes in codes(),
        pack_voltage_v in around(0.0, 2621.4), current_a in around(-5000.0, 5000.0), core_c in extremes(),
        limits in prop::option::of(limits()),
        power_2s_w in [around(0.0, 655e3), around(0.0, 655e3)],
        power_30s_w in [around(0.0, 655e3), around(0.0, 655e3)],
        pack_limits_v in [around(0.0, 1638.0), around(0.0, 1638.0)],
        cell_limits_v in [around(0.0, 8.0), around(0.0, 8.0)],
        charge in [around(0.0, 6553.0), around(0.0, 6553.0), around(0.0, 2e5)],
        soc in [around(0.0, 1.0), around(0.0, 0.25), around(0.0, 1.0), around(0.0, 2.0)],
        energy in [around(0.0, 1e6), around(0.0, 6553.0), around(0.0, 2e5), around(0.0, 2e5)],
        learnt in [around(0.0, 1e4), around(0.0, 160.0), around(0.0, 4.0), around(0.0, 4.0)],
        aged in [around(0.0, 2.0), around(0.0, 4.0)],
        aged_at in [prop::option::of(0..400_u16), prop::option::of(0..400_u16)],
    ) -> Report<'static> {
        let [charge_request_a, charge_request_v, time_to_end_s] = charge;
        let [soc, soc_std, soe, capacity_share] = soc;
        let [remaining_wh, usable_ah, time_to_empty_s, time_to_full_s] = energy;
        let [capacity_ah, capacity_std, resistance, resistance_std] = learnt;
        Report {
            pack_voltage_v, current_a, core_c, limits, power_2s_w, power_30s_w,
            pack_limits_v, cell_limits_v, charge_request_a, charge_request_v, time_to_end_s,
            soc: Learnt { value: soc, std: soc_std }, usable_ah,
            outlook: Outlook { soe, remaining_wh, time_to_empty_s, time_to_full_s },
            capacity_share, weakest_at: aged_at[0], mean_capacity_share: aged[0],
            max_resistance_factor: aged[1], max_resistance_at: aged_at[1],
            capacity_ah: Learnt { value: capacity_ah, std: capacity_std },
            resistance_factor: Learnt { value: resistance, std: resistance_std },
            ..codes
        }
    }
}

/// What every signal but cells and sensors should say.
fn expected(r: &Report<'_>) -> BTreeMap<String, f64> {
    fn at<T: std::fmt::Debug>(all: &[T], one: Option<T>) -> f32 {
        let place = |one: T| all.iter().position(|a| name(a) == name(&one)).unwrap() as f32;
        one.map_or(f32::NAN, place)
    }
    let mut all = BTreeMap::new();
    let mut put = |message: &str, values: &[(&str, f32)]| {
        for (signal, value) in values {
            all.insert(format!("{message}.{signal}"), f64::from(*value));
        }
    };
    let minutes = |s: f32| s / 60.0;
    let wish = r.wish.map_or(f32::NAN, |w| wishes().iter().position(|a| *a == w).unwrap() as f32);
    put(
        "BmsState",
        &[
            ("Mode", at(&Mode::ALL, r.mode)),
            ("Request", wish),
            ("Contactors", at(&POSITIONS, r.position)),
            ("Level", r.level.map_or(0.0, |l| at(&LEVELS, Some(l)) + 1.0)),
            ("FatalCode", r.reason.map_or(0.0, |id| id as u8 as f32 + 1.0)),
            ("ChargeState", at(&CHARGE_STATES, r.charge_state)),
            ("ChargeLimitedBy", at(&CHARGE_LIMITS, r.charge_limited_by)),
            ("BalanceStatus", at(&BALANCE, r.balance)),
            ("PreheatState", at(&preheat_states(), r.preheat)),
            ("ThermalAlarm", f32::from(u8::from(r.alarm))),
            ("DiagnosisCount", r.diagnoses.iter().count() as f32),
            ("ProtocolVersion", f32::from(PROTOCOL_VERSION)),
        ],
    );
    put("PackValues", &[("Voltage", r.pack_voltage_v), ("Current", r.current_a)]);
    let of = |get: fn(&DirectionLimit) -> f32| {
        r.limits.map_or([f32::NAN; 2], |l| [get(&l.discharge), get(&l.charge)])
    };
    let (by, current_a, power_w) = (of(|d| f32::from(d.by.code())), of(|d| d.current_a), of(|d| d.power_w));
    put(
        "CurrentLimits",
        &[
            ("DischargeCurrent", current_a[0]),
            ("ChargeCurrent", current_a[1]),
            ("DischargeBy", by[0]),
            ("ChargeBy", by[1]),
        ],
    );
    put(
        "PowerLimits",
        &[
            ("DischargePower", power_w[0]),
            ("ChargePower", power_w[1]),
            ("DischargeBy", by[0]),
            ("ChargeBy", by[1]),
        ],
    );
    put(
        "VoltageLimits",
        &[
            ("PackMin", r.pack_limits_v[0]),
            ("PackMax", r.pack_limits_v[1]),
            ("CellMin", r.cell_limits_v[0]),
            ("CellMax", r.cell_limits_v[1]),
        ],
    );
    put(
        "ChargeRequest",
        &[
            ("Current", r.charge_request_a),
            ("Voltage", r.charge_request_v),
            ("TimeToEnd", minutes(r.time_to_end_s)),
        ],
    );
    put(
        "StateEstimate",
        &[
            ("Soc", 100.0 * r.soc.value),
            ("SocStd", 100.0 * r.soc.std),
            ("Soe", 100.0 * r.outlook.soe),
            ("SohCapacity", 100.0 * r.capacity_share),
            ("SohResistance", 100.0 / r.resistance_factor.value),
        ],
    );
    put(
        "PowerHorizons",
        &[
            ("DischargePower2s", r.power_2s_w[0]),
            ("ChargePower2s", r.power_2s_w[1]),
            ("DischargePower30s", r.power_30s_w[0]),
            ("ChargePower30s", r.power_30s_w[1]),
        ],
    );
    put(
        "Energy",
        &[
            ("RemainingEnergy", r.outlook.remaining_wh),
            ("UsableCapacity", r.usable_ah),
            ("TimeToEmpty", minutes(r.outlook.time_to_empty_s)),
            ("TimeToFull", minutes(r.outlook.time_to_full_s)),
        ],
    );
    let v = Extremes::of(r.cell_voltage_v);
    for (message, quantity, e) in
        [("CellTemperatureExtremes", "Temperature", r.core_c), ("CellVoltageExtremes", "Voltage", v)]
    {
        let cell = |c: Option<u16>| c.map_or(f32::NAN, f32::from);
        put(
            message,
            &[
                (&format!("Min{quantity}"), e.min),
                ("MinCell", cell(e.min_at)),
                (&format!("Max{quantity}"), e.max),
                ("MaxCell", cell(e.max_at)),
                (&format!("Mean{quantity}"), e.mean),
            ],
        );
    }
    put(
        "LearntValues",
        &[
            ("Capacity", r.capacity_ah.value),
            ("CapacityStd", r.capacity_ah.std),
            ("ResistanceFactor", r.resistance_factor.value),
            ("ResistanceFactorStd", r.resistance_factor.std),
        ],
    );
    let cell = |c: Option<u16>| c.map_or(f32::NAN, f32::from);
    put(
        "CellHealth",
        &[
            ("MeanSohCapacity", 100.0 * r.mean_capacity_share),
            ("WeakestCell", cell(r.weakest_at)),
            ("MaxResistanceFactor", r.max_resistance_factor),
            ("MaxResistanceCell", cell(r.max_resistance_at)),
        ],
    );
    for k in 0..128_usize {
        let half = if k < 64 { "DiagnosisLow" } else { "DiagnosisHigh" };
        match TABLE.get(k) {
            Some(e) => put(half, &[(e.name, f32::from(u8::from(r.diagnoses.contains(e.id))))]),
            None => put(half, &[(&format!("Reserved{k:03}"), 0.0)]),
        }
    }
    for (message, signal, readings) in
        [("CellVoltages", "CellVoltage", r.cell_voltage_v), ("Temperatures", "Temperature", r.temperature_c)]
    {
        for (k, reading) in readings.iter().take(256).enumerate() {
            put(message, &[(&format!("{signal}{k:03}"), reading.valid().unwrap_or(f32::NAN))]);
        }
    }
    all
}

/// How a signal is rounded: 1 up, -1 down, 0 to the nearest.
fn rounding(message: &str, signal: &str) -> i32 {
    match (message, signal) {
        ("VoltageLimits", "PackMin" | "CellMin") => 1,
        ("VoltageLimits", "PackMax" | "CellMax")
        | ("ChargeRequest", "Current" | "Voltage")
        | ("CurrentLimits", "DischargeCurrent" | "ChargeCurrent")
        | ("PowerLimits", "DischargePower" | "ChargePower")
        | ("PowerHorizons", _)
        | ("Energy", "RemainingEnergy") => -1,
        _ => 0,
    }
}

/// Compares what arrived with what should have: within half a step (limits: a step, and never on the wrong side), at the ends of the range, or not available.
fn compare(dbc: &Dbc, arrived: &BTreeMap<String, Option<f64>>, expected: &BTreeMap<String, f64>) {
    for message in &dbc.messages {
        for signal in &message.signals {
            let name = format!("{}.{}", message.name, signal.name);
            let Some(value) = expected.get(&name) else { continue };
            let arrived = *arrived.get(&name).unwrap_or_else(|| panic!("{name} is not sent"));
            let (min, max) = (number(signal.min), number(signal.max));
            // A code that there is not is unknown; a measured value keeps to the end of its range.
            let is_code = signal.unit.is_empty() && signal.factor == 1.0;
            let out = *value < min || *value > max;
            if value.is_nan() || (is_code && out) {
                assert_eq!(arrived, None, "{name}: {value}");
                continue;
            }
            let wanted = value.clamp(min, max);
            let arrived = arrived.unwrap_or_else(|| panic!("{name}: {value} is sent as not available"));
            // Half a step, and what single precision loses.
            let lost = 5e-7 * (wanted.abs() + signal.offset.abs());
            let step = signal.factor + lost;
            let allowed = match rounding(&message.name, &signal.name) {
                1 => -lost..=step,
                -1 => -step..=lost,
                _ => -(0.501 * step)..=0.501 * step,
            };
            assert!(allowed.contains(&(arrived - wanted)), "{name}: {value} arrives as {arrived}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_signal_of_a_report_arrives_over_its_range(
        report in report(),
        cells in prop::collection::vec(reading(0.0, 8.0), 0..=300),
        sensors in prop::collection::vec(reading(-60.0, 120.0), 0..=300),
    ) {
        let dbc = dbc(BMS_DBC);
        let report = Report { cell_voltage_v: &cells, temperature_c: &sensors, ..report };
        let frames = frames_of(&report);
        let arrived = decode(dbc, &frames);
        let wanted = expected(&report);
        for (name, count) in [("CellVoltages.CellVoltage", cells.len()), ("Temperatures.Temperature", sensors.len())] {
            // No more groups than there are cells.
            let last = format!("{name}{:03}", count.next_multiple_of(4));
            prop_assert!(!arrived.contains_key(&last));
        }
        compare(dbc, &arrived, &wanted);
        // Nothing arrives that is not looked at here.
        for name in arrived.keys() {
            let padding = name.starts_with("CellVoltages.") || name.starts_with("Temperatures.");
            let looked_at = wanted.contains_key(name) || name.ends_with(".Crc") || name.ends_with(".Counter");
            prop_assert!(looked_at || padding, "{}", name);
        }
        // The generated codec reads back what it wrote.
        for frame in &frames {
            prop_assert!(bms::Messages::from_can_message(frame.id().into(), frame.data()).is_ok());
        }
    }

    #[test]
    fn extremes_are_those_of_the_known_cells(cells in prop::collection::vec(reading(0.0, 8.0), 0..300)) {
        let e = Extremes::of(&cells);
        let known: Vec<f32> = cells.iter().filter_map(|v| v.valid()).collect();
        if known.is_empty() {
            prop_assert!(e.min.is_nan() && e.max.is_nan() && e.min_at.is_none() && e.max_at.is_none());
        } else {
            prop_assert!(known.iter().all(|v| *v >= e.min && *v <= e.max));
            prop_assert_eq!(cells[usize::from(e.min_at.unwrap())].valid(), Some(e.min));
            prop_assert_eq!(cells[usize::from(e.max_at.unwrap())].valid(), Some(e.max));
        }
    }

    #[test]
    fn a_command_arrives(
        kind in 0..7_usize, soc in 0.0..=1.0_f32, time in 0.0..=65534.0_f32, warm in -40.0..=60.0_f32, holds in any::<bool>(),
        acknowledge in any::<bool>(), counter in 0..16_u8,
    ) {
        let wish = match wishes()[kind] {
            Wish::Charge { mode, .. } => Wish::Charge { mode, target_soc: soc },
            Wish::Preheat { .. } => Wish::Preheat { target_c: warm, time_left_s: time, hold: holds },
            other => other,
        };
        let frame = Command { wish, acknowledge }.frame(counter);
        let (heard, got) = Command::receive(&frame).unwrap();
        prop_assert!(heard.fresh && heard.sound && heard.counter == counter);
        let got = got.unwrap();
        prop_assert_eq!(got.acknowledge, acknowledge);
        match (wish, got.wish) {
            (Wish::Charge { mode: a, target_soc: b }, Wish::Charge { mode: c, target_soc: d }) => {
                prop_assert!(a == c && (b - d).abs() <= 0.00051);
            }
            (
                Wish::Preheat { target_c: to, time_left_s: a, hold: b },
                Wish::Preheat { target_c: other, time_left_s: c, hold: d },
            ) => {
                prop_assert!(b == d && (a - c).abs() <= 0.501 && (to - other).abs() <= 0.0501);
            }
            (a, b) => prop_assert_eq!(a, b),
        }
        let read = decode(dbc(BMS_DBC), &[frame]);
        prop_assert_eq!(read["VehicleCommand.Counter"], Some(f64::from(counter)));
        prop_assert_eq!(read["VehicleCommand.Request"], Some(kind as f64));
    }

    #[test]
    fn damage_of_a_protected_message_is_found(report in report(), counter in 0..16_u8, bit in 0..64_usize) {
        let (mut sender, mut frames) = (Sender::default(), Vec::new());
        for _ in 0..=counter {
            frames.clear();
            sender.fast(&report, &mut |f| frames.push(*f));
        }
        frames.push(Command::default().frame(counter));
        for frame in frames {
            prop_assert!(frame.heard().sound && frame.heard().counter == counter);
            let mut bytes: [u8; 8] = frame.data().try_into().unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let damaged = Frame::new(frame.id(), &bytes).unwrap();
            prop_assert!(!damaged.heard().sound);
            prop_assert!(Command::receive(&damaged).is_none_or(|(_, command)| command.is_none()));
            // The same bytes under another identifier are found, too.
            let other = StandardId::new(frame.id().as_raw() ^ (1 << (bit % 11))).unwrap();
            prop_assert!(!Frame::new(other, frame.data()).unwrap().heard().sound);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        raw_id in prop_oneof![0x200..0x250_u16, 0x350..0x378_u16, 0..0x800_u16],
        bytes in prop::collection::vec(any::<u8>(), 0..=12),
    ) {
        let id = StandardId::new(raw_id).unwrap();
        let _ = bms::Messages::from_can_message(id.into(), &bytes);
        let _ = inverter::codec::Messages::from_can_message(id.into(), &bytes);
        let frame = Frame::new(id, &bytes);
        prop_assert_eq!(frame.is_some(), bytes.len() <= 8);
        if let Some(frame) = frame {
            let _ = Command::receive(&frame);
            let _ = frame.heard();
        }
        if let Ok(bms::Messages::CellVoltages(m)) = bms::Messages::from_can_message(id.into(), &bytes) {
            let read = bms::cell_voltages_raw(m);
            prop_assert_eq!(read.is_some(), bytes[0] < 64);
            if let Some((group, raw)) = read {
                prop_assert_eq!(bms::cell_voltages_of(group, raw).map(|m| *m.raw()), Some(*m.raw()));
            }
        }
        if let Ok(bms::Messages::Temperatures(m)) = bms::Messages::from_can_message(id.into(), &bytes) {
            prop_assert_eq!(bms::temperatures_raw(m).is_some(), bytes[0] < 64);
        }
    }

    #[test]
    fn an_inverter_never_gets_a_charge_voltage_of_0(
        report in report(), pylontech in any::<bool>(), alarm in any::<bool>(), closed in any::<bool>(),
    ) {
        let dialect = if pylontech { Dialect::Pylontech } else { Dialect::Victron };
        let mut report = report;
        report.diagnoses.set(Diagnosis::CellVoltageHighFatal, alarm);
        let alarm = Alarms::of(&report.diagnoses, Level::Fatal) != Alarms::default();
        let position = Some(if closed { Position::Closed } else { Position::Open });
        let report = Report { position, ..report };
        let mut frames = Vec::new();
        Inverter { dialect, ..Inverter::default() }.send(&report, &mut |f| frames.push(*f));
        let read = decode(dbc(INVERTER_DBC), &frames);
        if let Some(Some(limit_v)) = read.get("InverterLimits.ChargeVoltage") {
            prop_assert!(*limit_v >= 0.1);
            let least = if pylontech { 0.1 } else { 0.0 };
            for name in ["InverterLimits.ChargeCurrent", "InverterLimits.DischargeCurrent"] {
                let limit_a = read[name].unwrap();
                prop_assert!(limit_a >= least - 1e-9, "{} {}", name, limit_a);
                prop_assert!((!alarm && closed) || (limit_a - least).abs() < 1e-9, "{} {}", name, limit_a);
                let limits = report.limits.unwrap_or_default();
                let of = if name.contains("Discharge") { limits.discharge } else { limits.charge };
                let most = f64::from(of.current_a.max(0.0)) * (1.0 + 5e-7);
                prop_assert!(limit_a <= most.max(least) + 1e-9, "{} {} {}", name, limit_a, of.current_a);
            }
        } else {
            prop_assert!(!(report.pack_limits_v[1] > 0.0 && report.pack_limits_v[0] >= 0.0));
        }
        if pylontech {
            let enabled = read["InverterRequest.ChargeEnable"] == Some(1.0);
            prop_assert_eq!(enabled, !alarm && closed && report.limits.is_some_and(|l| l.charge.current_a > 0.099_999_97));
        }
        if let Some(Some(soc)) = read.get("InverterState.Soc") {
            prop_assert!(*soc <= 100.0 * f64::from(report.soc.value.clamp(0.0, 1.0)) + 0.011);
        }
    }
}
