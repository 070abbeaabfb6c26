//! Inverter messages against frames that were recorded from products, as published.
//!
//! * Pylontech: "Pylontech CAN reading / CAN replication" and "Pylontech battery CAN comms v1.2 vs v1.3", setfirelabs.com;
//! * BYD Battery-Box Premium LVS with Victron Venus OS: github.com/dfch/BydCanProtocol, README.

use std::collections::BTreeMap;

use bms_can::inverter::{Alarms, Dialect, Inverter};
use bms_can::report::{Extremes, Learnt, Report};
use bms_core::measurement::Reading;
use bms_core::safety::contactors::Position;
use bms_core::safety::ledger::DiagnosisSet;
use bms_core::safety::limits::{DirectionLimit, PublishedLimits};
use bms_core::safety::table::{Diagnosis, Level, TABLE};

fn frames(inverter: &Inverter, report: &Report<'_>) -> BTreeMap<u16, Vec<u8>> {
    let mut all = BTreeMap::new();
    inverter.send(report, &mut |f| assert_eq!(all.insert(f.id().as_raw(), f.data().to_vec()), None));
    all
}

fn at(c: f32) -> Extremes {
    Extremes { min: c, min_at: Some(0), max: c, max_at: Some(1), mean: c }
}

fn both(current_a: f32) -> Option<PublishedLimits> {
    let limit = DirectionLimit { current_a, ..DirectionLimit::default() };
    Some(PublishedLimits { discharge: limit, charge: limit })
}

#[test]
fn a_pylontech_stack() {
    let inverter =
        Inverter { dialect: Dialect::Pylontech, maker: *b"PYLON   ", modules: 10, ..Inverter::default() };
    let report = Report {
        position: Some(Position::Closed),
        pack_limits_v: [46.0, 53.2],
        limits: both(370.0),
        soc: Learnt { value: 0.26, std: 0.01 },
        capacity_share: 1.0,
        pack_voltage_v: 48.66,
        current_a: 0.0,
        core_c: at(33.0),
        ..Report::default()
    };
    let sent = frames(&inverter, &report);
    let recorded: [(u16, &[u8]); 6] = [
        (0x351, &[0x14, 0x02, 0x74, 0x0E, 0x74, 0x0E, 0xCC, 0x01]),
        (0x355, &[0x1A, 0x00, 0x64, 0x00]),
        (0x356, &[0x02, 0x13, 0x00, 0x00, 0x4A, 0x01]),
        (0x359, &[0x00, 0x00, 0x00, 0x00, 0x0A, 0x50, 0x4E]),
        (0x35C, &[0xC0, 0x00]),
        (0x35E, b"PYLON   "),
    ];
    assert_eq!(sent, recorded.map(|(id, bytes)| (id, bytes.to_vec())).into());
}

#[test]
fn a_discharging_pylontech_stack() {
    // US5000, protocol 1.2: 53.2 V, 480 A, 480 A, 45 V; 88 %, 94 %; 49.86 V, -27 A (discharge), 36.3 degC; 6 modules.
    let inverter = Inverter { dialect: Dialect::Pylontech, modules: 6, ..Inverter::default() };
    let report = Report {
        position: Some(Position::Closed),
        pack_limits_v: [45.0, 53.2],
        limits: both(480.0),
        soc: Learnt { value: 0.883, std: 0.01 },
        capacity_share: 0.94,
        pack_voltage_v: 49.86,
        current_a: 27.0,
        core_c: at(36.3),
        ..Report::default()
    };
    let sent = frames(&inverter, &report);
    assert_eq!(sent[&0x351], [0x14, 0x02, 0xC0, 0x12, 0xC0, 0x12, 0xC2, 0x01]);
    assert_eq!(sent[&0x355], [0x58, 0x00, 0x5E, 0x00]);
    assert_eq!(sent[&0x356], [0x7A, 0x13, 0xF2, 0xFE, 0x6B, 0x01]);
    assert_eq!(sent[&0x359], [0x00, 0x00, 0x00, 0x00, 0x06, 0x50, 0x4E]);
    assert_eq!(sent[&0x35C], [0xC0, 0x00]);
}

#[test]
fn a_byd_box_with_venus_os() {
    let inverter =
        Inverter { maker: *b"BYD\0\0\0\0\0", product: *b"PREMIUM\0\0\0\0\0\0\0\0\0", ..Inverter::default() };
    let report = Report {
        position: Some(Position::Closed),
        pack_limits_v: [43.0, 58.4],
        limits: both(128.0),
        soc: Learnt { value: 0.675, std: 0.01 },
        capacity_share: 1.0,
        pack_voltage_v: 53.10,
        current_a: 0.7,
        cell_voltage_v: &[3.306, 3.329].map(|v| Reading::within(v, 0.0, 5.0)),
        core_c: Extremes { min: 14.0, min_at: Some(0), max: 17.0, max_at: Some(1), mean: 14.0 },
        ..Report::default()
    };
    let sent = frames(&inverter, &report);
    assert_eq!(sent[&0x351], [0x48, 0x02, 0x00, 0x05, 0x00, 0x05, 0xAE, 0x01]);
    // The box fills up to 8 bytes with zeros; the values are the first 4 and 6.
    assert_eq!(sent[&0x355], [0x43, 0x00, 0x64, 0x00]);
    assert_eq!(sent[&0x356], [0xBE, 0x14, 0xF9, 0xFF, 0x8C, 0x00]);
    assert_eq!(sent[&0x35E], b"BYD\0\0\0\0\0");
    assert_eq!(sent[&0x370], b"PREMIUM\0");
    assert_eq!(sent[&0x371], [0; 8]);
    // 287 K and 290 K, millivolts.
    assert_eq!(sent[&0x373], [0xEA, 0x0C, 0x01, 0x0D, 0x1F, 0x01, 0x22, 0x01]);
    // All that Venus OS shows is clear: 10 in every pair of bits that has a meaning.
    assert_eq!(sent[&0x35A], [0xAA, 0xAA, 0xAA, 0x02, 0xAA, 0xAA, 0xAA, 0x02]);
    assert!(!sent.contains_key(&0x359) && !sent.contains_key(&0x35C));
}

#[test]
fn alarms_set_their_bits_and_stop_the_inverter() {
    let mut diagnoses = DiagnosisSet::default();
    for id in [
        Diagnosis::CellVoltageLowFatal,
        Diagnosis::ChargeColdFatal,
        Diagnosis::ChargeCurrentWarning,
        Diagnosis::CellVoltageHighInformation,
    ] {
        diagnoses.set(id, true);
    }
    let report = Report {
        position: Some(Position::Closed),
        pack_limits_v: [43.0, 58.4],
        limits: both(128.0),
        diagnoses,
        ..Report::default()
    };
    let mut inverter = Inverter::default();
    let sent = frames(&inverter, &report);
    // As published for a Pytes V5: low voltage is 1 in the high half of byte 0, low charge temperature in that of byte 1.
    assert_eq!(sent[&0x35A], [0x99, 0x9A, 0xAA, 0x02, 0xA9, 0xAA, 0xA9, 0x02]);
    assert_eq!(sent[&0x351][2..6], [0, 0, 0, 0]);
    inverter.dialect = Dialect::Pylontech;
    let sent = frames(&inverter, &report);
    assert_eq!(sent[&0x359], [0b0001_0100, 0, 0, 1, 1, 0x50, 0x4E]);
    assert_eq!(sent[&0x351][2..6], [1, 0, 1, 0], "0.1 A, not 0");
    assert_eq!(sent[&0x35C], [0, 0]);
}

#[test]
fn every_diagnosis_that_does_something_has_a_bit() {
    let of = |id: Diagnosis, level| {
        let mut set = DiagnosisSet::default();
        set.set(id, true);
        Alarms::of(&set, level)
    };
    for e in &TABLE {
        for level in [Level::Warning, Level::Fatal] {
            assert_eq!(of(e.id, level) != Alarms::default(), e.level == level, "{}", e.name);
        }
    }
    let none = Alarms::default();
    for (id, wanted) in [
        (Diagnosis::CellVoltageHighFatal, Alarms { high_voltage: true, ..none }),
        (Diagnosis::DeepDischarge, Alarms { low_voltage: true, ..none }),
        (Diagnosis::DischargePulseFatal, Alarms { discharge_current: true, ..none }),
        (Diagnosis::ChargePulseFatal, Alarms { charge_current: true, ..none }),
        (Diagnosis::ThermalRunaway, Alarms { high_temperature: true, ..none }),
        (Diagnosis::DischargeColdFatal, Alarms { low_temperature: true, ..none }),
        (Diagnosis::ChargeHotFatal, Alarms { high_charge_temperature: true, ..none }),
        (Diagnosis::ChargeColdFatal, Alarms { low_charge_temperature: true, ..none }),
        (Diagnosis::PlusWelded, Alarms { contactor: true, ..none }),
        (Diagnosis::InternalShort, Alarms { short_circuit: true, ..none }),
        (Diagnosis::CellVoltageLost, Alarms { internal: true, ..none }),
    ] {
        assert_eq!(of(id, Level::Fatal), wanted, "{id:?}");
    }
    assert_eq!(of(Diagnosis::ImbalanceWarning, Level::Warning), Alarms { cell_imbalance: true, ..none });
}

#[test]
fn limits_are_rounded_towards_less() {
    let report = Report {
        position: Some(Position::Closed),
        pack_limits_v: [43.01, 58.49],
        limits: both(127.98),
        ..Report::default()
    };
    // 58.4 V, 127.9 A both ways, 43.1 V.
    let sent = frames(&Inverter::default(), &report);
    assert_eq!(sent[&0x351], [0x48, 0x02, 0xFF, 0x04, 0xFF, 0x04, 0xAF, 0x01]);
}

#[test]
fn what_is_unknown_is_not_sent() {
    let sent = frames(&Inverter::default(), &Report::default());
    assert_eq!(sent.into_keys().collect::<Vec<_>>(), [0x35A, 0x35E, 0x370, 0x371]);
}
