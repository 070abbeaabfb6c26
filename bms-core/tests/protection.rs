//! Ends of the protection that no story leads to: every setting, every name, every bound.

use bms_core::example::SAFETY;
use bms_core::measurement::Reading;
use bms_core::safety::contactors::{ContactorInput, Contactors, Lock, OpeningRules};
use bms_core::safety::frame::{Frame, Heard};
use bms_core::safety::ledger::{DiagnosisSet, Finding, Ledger, Status};
use bms_core::safety::settings::{Levels, SafetySettings, SafetySettingsError};
use bms_core::safety::table::Diagnosis;
use bms_core::safety::{Context, Safety, SensorPlaces};

type Change = fn(&mut SafetySettings, f32);

/// A setting, what may be put in, the least and the most that is accepted beside sound ones.
const NUMBERS: [(&str, Change, f32, f32); 24] = [
    ("deep_discharge_v", |s, x| s.deep_discharge_v = x, -0.1, SAFETY.cell_low_v.fatal),
    (
        "pulse_discharge_a",
        |s, x| s.pulse_discharge_a = x,
        SAFETY.discharge_a.fatal,
        SAFETY.grade.current_full_a,
    ),
    ("pulse_charge_a", |s, x| s.pulse_charge_a = x, SAFETY.charge_a.fatal, SAFETY.grade.current_full_a),
    ("rise_k_per_s", |s, x| s.rise_k_per_s[0] = x, 1e-3, SAFETY.rise_k_per_s[1]),
    ("rise_k_per_s", |s, x| s.rise_k_per_s[1] = x, SAFETY.rise_k_per_s[0], 100.0),
    ("imbalance", |s, x| s.imbalance[0] = x, 1e-3, SAFETY.imbalance[1]),
    ("imbalance", |s, x| s.imbalance[1] = x, SAFETY.imbalance[0], 1.0),
    ("insulation_ohm_per_v", |s, x| s.insulation_ohm_per_v[0] = x, SAFETY.insulation_ohm_per_v[1], 1e6),
    ("insulation_ohm_per_v", |s, x| s.insulation_ohm_per_v[1] = x, 1.0, SAFETY.insulation_ohm_per_v[0]),
    ("highest_working_c", |s, x| s.highest_working_c = x, 0.0, 150.0),
    ("cell_ohm", |s, x| s.cell_ohm = x, 1e-9, 10.0),
    ("capacity_ah", |s, x| s.capacity_ah = x, 1e-3, 1e5),
    ("board_hot_c", |s, x| s.board_hot_c = x, 0.0, 200.0),
    ("grade.cell_voltage_v", |s, x| s.grade.cell_voltage_v = x, 0.0, 0.1),
    ("grade.pack_voltage_share", |s, x| s.grade.pack_voltage_share = x, 0.0, 0.1),
    ("grade.current_share", |s, x| s.grade.current_share = x, 0.0, 0.1),
    ("grade.temperature_k", |s, x| s.grade.temperature_k = x, 0.0, 10.0),
    ("contactors.breaking_a", |s, x| s.contactors.breaking_a = x, 1e-6, 1e4),
    ("contactors.precharged_share", |s, x| s.contactors.precharged_share = x, 0.5, 1.0),
    ("contactors.precharged_a", |s, x| s.contactors.precharged_a = x, 1e-6, 1e3),
    ("cell_high_v", |s, x| s.cell_high_v.fatal = x, SAFETY.cell_high_v.warning, 10.0),
    ("discharge_hot_c", |s, x| s.discharge_hot_c.fatal = x, SAFETY.discharge_hot_c.warning, 120.0),
    ("charge_hot_c", |s, x| s.charge_hot_c.fatal = x, SAFETY.charge_hot_c.warning, 120.0),
    ("spread_k", |s, x| s.spread_k.fatal = x, SAFETY.spread_k.warning, 100.0),
];

fn with(change: impl FnOnce(&mut SafetySettings)) -> Result<(), SafetySettingsError> {
    let mut settings = SAFETY;
    change(&mut settings);
    settings.check()
}

fn name(error: SafetySettingsError) -> &'static str {
    match error {
        SafetySettingsError::Impossible(name) | SafetySettingsError::Order(name) => name,
        _ => "another error",
    }
}

#[test]
fn every_number_is_accepted_up_to_its_bounds_and_no_further() {
    assert_eq!(SAFETY.check(), Ok(()));
    for (setting, change, least, most) in NUMBERS {
        for x in [least, most] {
            assert_eq!(with(|s| change(s, x)), Ok(()), "{setting} = {x}");
        }
        let step = |x: f32, up: bool| {
            if x == 0.0 {
                if up { 1e-6 } else { -1e-6 }
            } else if (x > 0.0) == up {
                x * 1.001
            } else {
                x * 0.999
            }
        };
        // Below the smallest of those that must be above 0 there is 0.
        let below = if least > 0.0 && least < 1e-2 && setting != "rise_k_per_s" && setting != "imbalance" {
            0.0
        } else {
            step(least, false)
        };
        for x in [below, step(most, true), f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(with(|s| change(s, x)).map_err(name), Err(setting), "{setting} = {x}");
        }
    }
}

#[test]
fn levels_have_to_be_in_order_and_inside_what_can_be() {
    type Of = fn(&mut SafetySettings) -> &mut Levels;
    let rising: [(&str, Of, f32, f32); 6] = [
        ("cell_high_v", |s| &mut s.cell_high_v, 0.1, 10.0),
        ("discharge_a", |s| &mut s.discharge_a, 1e-3, 1e4),
        ("charge_a", |s| &mut s.charge_a, 1e-3, 1e4),
        ("discharge_hot_c", |s| &mut s.discharge_hot_c, -40.0, 120.0),
        ("charge_hot_c", |s| &mut s.charge_hot_c, -40.0, 120.0),
        ("spread_k", |s| &mut s.spread_k, 0.1, 100.0),
    ];
    let falling: [(&str, Of, f32, f32); 3] = [
        ("cell_low_v", |s| &mut s.cell_low_v, 0.0, 10.0),
        ("discharge_cold_c", |s| &mut s.discharge_cold_c, -60.0, 60.0),
        ("charge_cold_c", |s| &mut s.charge_cold_c, -60.0, 60.0),
    ];
    let all = rising.map(|r| (r, true)).into_iter().chain(falling.map(|f| (f, false)));
    for ((setting, of, lo, hi), rises) in all {
        let sound = *of(&mut SAFETY.clone());
        let same = Levels::new(sound.warning, sound.warning, sound.fatal);
        assert_eq!(with(|s| *of(s) = same), Ok(()), "{setting}: two equal levels");
        let same = Levels::new(sound.information, sound.fatal, sound.fatal);
        assert_eq!(with(|s| *of(s) = same), Ok(()), "{setting}: two equal levels");
        let outside = if rises { [lo - 1.0, hi * 1.01] } else { [hi * 1.01, lo - 1.0] };
        let wrong = [
            Levels::new(sound.warning, sound.information, sound.fatal),
            Levels::new(sound.information, sound.fatal, sound.warning),
            Levels { information: outside[0], ..sound },
            Levels { fatal: outside[1], ..sound },
            Levels { information: f32::NAN, ..sound },
            Levels { warning: f32::NAN, ..sound },
            Levels { fatal: f32::NAN, ..sound },
        ];
        for levels in wrong {
            assert_eq!(with(|s| *of(s) = levels).map_err(name), Err(setting), "{levels:?}");
        }
    }
    // The lowest level of the highest cell may not be that of the lowest cell.
    let meet = |s: &mut SafetySettings| s.cell_low_v.information = s.cell_high_v.information;
    assert_eq!(with(meet), Err(SafetySettingsError::Order("cell_low_v")));
    assert_eq!(with(|s| s.period_ms = 0), Err(SafetySettingsError::Impossible("period_ms")));
    assert_eq!(with(|s| s.period_ms = 60_001), Err(SafetySettingsError::Impossible("period_ms")));
    assert_eq!(with(|s| s.period_ms = 60_000), Ok(()));
    for full_a in [0.0, f32::NAN, 1.1e4] {
        // Too small a scale shows first in the pulses that it cannot measure.
        assert!(with(|s| s.grade.current_full_a = full_a).is_err());
    }
    assert_eq!(with(|s| s.grade.current_full_a = 1.1e4).map_err(name), Err("grade.current_full_a"));
}

#[test]
fn times_of_the_contactors_have_to_be_some() {
    type Set = fn(&mut SafetySettings, u16);
    let numbers: [(&str, Set, u16, u16); 4] = [
        (
            "contactors.travel_ms",
            |s, x| (s.contactors.travel_ms, s.contactors.precharge_ms) = (x, 2000),
            1,
            1000,
        ),
        (
            "contactors.precharge_ms",
            |s, x| (s.contactors.travel_ms, s.contactors.precharge_ms) = (1, x),
            2,
            30_000,
        ),
        ("contactors.precharges", |s, x| s.contactors.precharges = x as u8, 1, 100),
        ("contactors.cool_down_s", |s, x| s.contactors.cool_down_s = x, 1, 3600),
    ];
    for (setting, set, least, most) in numbers {
        for x in [least, most] {
            assert_eq!(with(|s| set(s, x)), Ok(()), "{setting} = {x}");
        }
        for x in [0, most + 1] {
            assert_eq!(with(|s| set(s, x)), Err(SafetySettingsError::Impossible(setting)), "{x}");
        }
    }
    // A precharge that is over before its contactor has closed.
    let over = |s: &mut SafetySettings| s.contactors.precharge_ms = s.contactors.travel_ms;
    assert_eq!(with(over), Err(SafetySettingsError::Order("contactors.precharge_ms")));
    for (setting, swap) in [
        ("rise_k_per_s", (|s| s.rise_k_per_s.swap(0, 1)) as fn(&mut SafetySettings)),
        ("imbalance", |s| s.imbalance.swap(0, 1)),
    ] {
        assert_eq!(with(swap), Err(SafetySettingsError::Order(setting)));
    }
}

#[test]
fn errors_name_the_setting() {
    for error in [SafetySettingsError::Impossible("cell_ohm"), SafetySettingsError::Order("cell_ohm")] {
        assert!(error.to_string().contains("`cell_ohm`"));
    }
}

#[test]
fn what_was_seen_and_is_gone_is_pending_until_it_is_forgotten() {
    let mut ledger = Ledger::new();
    let finding = Finding { place: None, value: 4.3, limit: 4.25 };
    let id = Diagnosis::CellVoltageHighFatal;
    let mut seen = Vec::new();
    for found in [Some(finding), Some(finding), None, None] {
        ledger.advance(100);
        ledger.report(id, found);
        seen.push(ledger.status(id));
    }
    assert_eq!(seen, [Status::Pending, Status::Pending, Status::Pending, Status::Clear]);
}

/// A collapsed cell beside sensors that rise as all others do (a pack that is heated) is no runaway; beside one that
/// rises alone it is.
#[test]
fn a_pack_that_warms_up_everywhere_hides_and_feigns_no_runaway() {
    const PLACES: SensorPlaces<'_> = SensorPlaces { sensor_cells: &[0, 2, 4, 6, 8], sensors: 5 };
    for (alone, expected) in [(false, Status::Clear), (true, Status::Reacting)] {
        let mut safety =
            Safety::<10, 5>::new(&SAFETY, PLACES, &DiagnosisSet::default()).expect("sound settings");
        for k in 0..1200_u16 {
            let heard = Heard { fresh: true, counter: (k % 16) as u8, sound: true };
            let noise = if k % 2 == 0 { 1e-3 } else { -1e-3 };
            let warmed_k = 0.015 * f32::from(k.saturating_sub(300));
            let mut frame = Frame::<10, 5> {
                cell_voltage_v: [3.7 + noise; 10],
                sensors_c: [25.0 + if alone { 0.0 } else { warmed_k }; 5],
                current_a: noise,
                second_current_a: -noise,
                pack_voltage_v: 37.0,
                interlock_closed: true,
                insulation_ohm: 1e6,
                front_end: heard,
                current_sensor: heard,
                insulation_monitor: heard,
                vehicle: heard,
                ..Frame::NOTHING
            };
            frame.sensors_c[1] = 25.0 + warmed_k;
            if k > 300 {
                frame.cell_voltage_v[3] = 2.5 + noise;
                frame.pack_voltage_v -= 1.2;
            }
            safety.step(&frame, &Context::QUIET, 100);
        }
        let found = safety.ledger().status(Diagnosis::ThermalRunawayNearby);
        assert_eq!(found, expected, "alone {alone}");
    }
}

/// A link that is charged from before does not stand for a precharge contactor that has not closed.
#[test]
fn plus_waits_for_the_precharge_contactor_itself() {
    let volts = |v: f32| Reading::within(v, 0.0, 100.0);
    let (mut contactors, mut ledger) = (Contactors::new(Lock::Free), Ledger::new());
    let rules = OpeningRules::typical(SAFETY.contactors.breaking_a);
    let mut precharging = 0;
    for _ in 0..20 {
        let [plus, minus, precharge] = contactors.told_closed();
        precharging += u32::from(precharge);
        let input = ContactorInput {
            close: true,
            wanted: true,
            acknowledged: false,
            closed: [Some(plus), Some(minus), Some(false)],
            current_a: volts(0.0),
            pack_v: volts(22.0),
            link_v: volts(22.0),
        };
        ledger.advance(100);
        contactors.step(&SAFETY, &rules, &input, 100, &mut ledger);
        assert!(!contactors.told_closed()[0], "{:?}", contactors.position());
    }
    assert!(precharging > 2);
}
