//! Ends of the controller that no random run comes to.

use bms_core::controller::{Controller, ControllerError, ControllerSettings, Input, MemoryPart};
use bms_core::safety::frame::{Frame, Heard};
use bms_core::safety::ledger::Ledger;
use bms_core::safety::limits::LimitedBy;
use bms_core::safety::mode::{Mode, Wish};
use bms_core::safety::settings::{Fitted, SafetySettings, SafetySettingsError, SensorGrade};
use bms_core::soc::Estimated;
use bms_core::tuning::Tuning;

use crate::world::{M, N, S, SAFETY, models, settings};

/// A pack with nothing but cells, temperatures and a current sensor.
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
    ..SAFETY
};

const START: Estimated = Estimated { value: 0.6, std: 0.02 };

fn frame(k: u8) -> Frame<N, S> {
    let heard = Heard { fresh: true, counter: k % 16, sound: true };
    // A reading that never moves at all would be one that is stuck.
    let noise = if k.is_multiple_of(2) { 1e-3 } else { -1e-3 };
    Frame {
        cell_voltage_v: [3.66 + noise; N],
        sensors_c: [25.0; S],
        current_a: noise,
        interlock_closed: true,
        inlet_c: 25.0,
        outlet_c: 25.0,
        ambient_c: 25.0,
        board_c: 25.0,
        front_end: heard,
        current_sensor: heard,
        ..Frame::NOTHING
    }
}

fn steps(controller: &mut Controller<'_, N, S, M>, count: u8) {
    for k in 0..count {
        controller.step(&Input { frame: frame(k), wish: Wish::Drive, ..Input::NOTHING }, 100);
    }
}

#[test]
fn a_pack_with_nothing_fitted_drives() {
    let all = ControllerSettings { safety: &BARE, ..settings() };
    let mut controller = Controller::<N, S, M>::new(models(), &Tuning::NMC, &all, 5.0, START).expect("sound");
    steps(&mut controller, 80);
    assert_eq!(controller.decision().mode, Mode::Drive, "{:?}", controller.decision().reason);
    assert_eq!(controller.decision().contactors, [true, true, false]);
}

/// Each damage alone makes the self-test fail, and none closes a contactor.
#[test]
fn the_self_test_finds_damage_of_every_kind() {
    for part in [MemoryPart::Tables, MemoryPart::Settings, MemoryPart::Arithmetic] {
        let all = ControllerSettings { safety: &BARE, ..settings() };
        let mut controller =
            Controller::<N, S, M>::new(models(), &Tuning::NMC, &all, 5.0, START).expect("sound");
        controller.corrupt(part);
        for k in 0..80 {
            controller.step(&Input { frame: frame(k), wish: Wish::Drive, ..Input::NOTHING }, 100);
            assert_eq!(controller.decision().contactors, [false; 3], "{part:?} {k}");
            if part == MemoryPart::Arithmetic && controller.decision().mode == Mode::Error {
                break;
            }
        }
        assert_eq!(controller.decision().mode, Mode::Error, "{part:?}");
    }
}

#[test]
fn a_restored_pack_needs_settings_that_can_be() {
    let sound = settings();
    let controller = Controller::<N, S, M>::new(models(), &Tuning::NMC, &sound, 5.0, START).expect("sound");
    let mut broken = sound;
    broken.bms.climate.pack_j_per_k = f32::NAN;
    let error = Controller::<N, S, M>::restore(models(), &Tuning::NMC, &broken, controller.state()).err();
    assert!(matches!(error, Some(ControllerError::Bms(_))), "{error:?}");
}

#[test]
fn small_things_are_what_they_say() {
    let error = ControllerError::from(SafetySettingsError::Order("cell_high_v"));
    assert!(error.to_string().contains("cell_high_v"));
    assert_eq!(Ledger::default(), Ledger::new());
    assert_eq!([LimitedBy::Mode, LimitedBy::Fault, LimitedBy::Rise].map(LimitedBy::code), [0, 2, 13]);
    let grade = SensorGrade::limit(std::hint::black_box(500.0));
    assert_eq!((grade.current_full_a, grade.cell_voltage_v, grade.temperature_k), (500.0, 0.010, 2.0));
    assert_eq!((grade.current_share, grade.pack_voltage_share), (0.02, 0.01));
}
