//! Ends of the protection that no story leads to: every setting, every name, every bound.

use bms_core::example::SAFETY;
use bms_core::safety::settings::{Levels, SafetySettings, SafetySettingsError};

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
    ("rise_k_per_s", |s, x| s.rise_k_per_s[0] = x, 1e-3, 100.0),
    ("rise_k_per_s", |s, x| s.rise_k_per_s[1] = x, 1e-3, 100.0),
    ("imbalance", |s, x| s.imbalance[0] = x, 1e-3, 1.0),
    ("imbalance", |s, x| s.imbalance[1] = x, 1e-3, 1.0),
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
fn errors_name_the_setting() {
    for error in [SafetySettingsError::Impossible("cell_ohm"), SafetySettingsError::Order("cell_ohm")] {
        assert!(error.to_string().contains("`cell_ohm`"));
    }
}
