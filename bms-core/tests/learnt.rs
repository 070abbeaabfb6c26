//! Everything that is learnt comes back from the store bit for bit, or is refused with the reason.

use std::fmt::Debug;
use std::sync::LazyLock;

use bms_core::capacity::CapacityTracker;
use bms_core::cell::CellModel;
use bms_core::estimator::{CellEstimator, CellState};
use bms_core::example;
use bms_core::leak::{LeakLimits, LeakMonitor, LeakSample};
use bms_core::measurement::{Measurement, Reading};
use bms_core::pack::{PackEstimator, PackMeasurement, PackState};
use bms_core::pulse::{PulseObserver, PulseState};
use bms_core::resistance::ResistanceTracker;
use bms_core::soc::{Estimate, Estimated, SocState, Status};
use bms_core::sop::{NegativeElectrode, NegativeState};
use bms_core::store::{Problem, Slot, Store, Stored, crc32, fingerprint};
use bms_core::thermal::{CoreEstimator, ThermalParameters};
use bms_core::tuning::Tuning;
use proptest::prelude::*;

static MODEL: LazyLock<CellModel<'static>> = LazyLock::new(|| CellModel::new(example::NMC_5AH).unwrap());
static PRINT: LazyLock<u32> = LazyLock::new(|| fingerprint(&MODEL, &Tuning::NMC));

const THERMAL: ThermalParameters = ThermalParameters {
    core_j_per_k: 60.0,
    surface_j_per_k: 5.0,
    core_surface_k_per_w: 0.8,
    surface_ambient_k_per_w: 4.0,
    core_surface_std: 0.15,
    sensor_std_k: 0.3,
};
const CELLS: usize = 16;

fn cell() -> CellEstimator<'static> {
    CellEstimator::new(&MODEL, &Tuning::NMC, 0.7).unwrap().with_core(THERMAL).unwrap()
}

/// A record in slot A and what comes back from it.
fn through_the_store<T: Stored>(value: &T) -> Result<(Vec<u8>, T), Problem> {
    let mut bytes = vec![0; Store::<T>::SLOT_LEN];
    let slot = Store::<T>::load(*PRINT, &[], &[]).0.save(value, &mut bytes)?;
    assert_eq!(slot, Slot::A);
    let (_, loaded) = Store::<T>::load(*PRINT, &bytes, &[]);
    Ok((bytes, loaded.value.expect("just saved")))
}

/// Comes back, and encodes to the same bytes again.
fn same_again<T: Stored + PartialEq + Debug>(value: &T) -> T {
    let (bytes, back) = through_the_store(value).unwrap();
    assert_eq!(&back, value);
    assert_eq!(bytes, through_the_store(&back).unwrap().0);
    back
}

/// What the store makes of the encoding of `value` with bytes replaced under a right checksum.
fn forge<T: Stored>(value: &T, changes: &[(usize, &[u8])]) -> Result<T, Problem> {
    const HEADER: usize = 24;
    let (mut slot, _) = through_the_store(value).unwrap();
    for (at, new) in changes {
        slot[HEADER + at..HEADER + at + new.len()].copy_from_slice(new);
    }
    let crc = HEADER + T::ENCODED_LEN;
    let sum = crc32(&slot[..crc]).to_le_bytes();
    slot[crc..crc + 4].copy_from_slice(&sum);
    let loaded = Store::<T>::load(*PRINT, &slot, &[]).1;
    loaded.value.ok_or_else(|| loaded.problems[0].unwrap())
}

/// Why it is refused.
fn forged<T: Stored>(value: &T, at: usize, new: &[u8]) -> Option<Problem> {
    forge(value, &[(at, new)]).err()
}

/// Days of a cell with rests and full charges, so that the trackers hold something of every kind.
fn tracked(days: usize) -> CapacityTracker {
    let mut tracker = CapacityTracker::new(Estimated { value: 1.0, std: 0.05 }).unwrap();
    let mut go = |soc: f32, current_a: f32, status: Status, dt_s: f32| {
        let open_v = MODEL.ocv(25.0, soc, &MODEL.age(0.1)).ocv_v;
        let estimate = Estimate {
            soc: Estimated { value: soc, std: 0.01 },
            mean_current_a: current_a,
            status,
            ..Estimate::default()
        };
        let sample = Measurement::new(open_v, current_a, 25.0);
        tracker.step(&MODEL, &Tuning::NMC, &sample, &estimate, dt_s);
    };
    for _ in 0..days {
        go(1.0, -0.1, Status::FULL, 60.0);
        go(0.9, 0.0, Status::AT_REST, 7200.0);
        go(0.2, 4.5, Status::default(), 3600.0 * 0.7);
        go(0.2, 0.0, Status::AT_REST, 7200.0);
        go(0.9, -4.5, Status::default(), 3600.0 * 0.7);
    }
    go(1.0, -0.1, Status::FULL, 60.0);
    tracker
}

#[test]
fn every_tracker_comes_back() {
    for days in 0..6 {
        same_again(&tracked(days));
    }
    let mut e = cell();
    let mut pulses = PulseObserver::new((&*MODEL).into());
    let mut negative = NegativeElectrode::new((&*MODEL).into());
    for k in 0..400 {
        let current = [3.0, 12.0, -4.0, 0.0][k / 7 % 4];
        let sample = Measurement::new(3.85 - 0.02 * current, current, 25.0);
        let mean_a = e.step_cooled(&sample, Reading::within(15.0, -60.0, 120.0), 1.0).filter.mean_current_a;
        pulses.step(&e.operating_point(), sample.voltage_v.valid(), mean_a, 1.0);
        negative.step(&e.operating_point(), mean_a, 1.0);
    }
    assert!(e.resistance_tracker().blocks() > 0);
    same_again(e.resistance_tracker());
    same_again(&(pulses.state(), negative.state()));
    assert!(PulseObserver::restore((&*MODEL).into(), same_again(&pulses.state())) == pulses);
    let mut monitor = LeakMonitor::<CELLS>::new(5.0, LeakLimits::TYPICAL).unwrap();
    for day in 0..20u8 {
        let mut soc_difference = [Estimated { value: 0.0, std: 0.002 }; CELLS];
        soc_difference[2].value = -0.004 * f32::from(day);
        monitor.add(&LeakSample { hours: 24.0, soc: 0.7, soc_difference, bled_charge_ah: [1e-4; CELLS] });
    }
    let back = same_again(&monitor);
    assert!(back.leaky().eq(monitor.leaky()) && back.leaky().eq([2]));
}

#[test]
fn impossible_values_are_named() {
    let number = |x: f32| x.to_le_bytes();
    let is = |field| Some(Problem::Impossible(field));
    let tracker = tracked(3);
    // Six anchors of an option's flag, charge, doubt, kind and four numbers after the count.
    let anchors = 8 + 4;
    let next = anchors + 6 * (1 + 8 + 4 + 1 + 16);
    assert_eq!(forged(&tracker, anchors + 1 + 8, &number(-1.0)), is("doubt_ah"));
    assert_eq!(forged(&tracker, anchors + 1 + 8 + 4 + 1, &number(-0.1)), is("known"));
    assert_eq!(forged(&tracker, next, &[6]), is("next"));
    let slope = CapacityTracker::ENCODED_LEN - 21;
    assert_eq!(forged(&tracker, slope, &number(0.2)), is("slope"));
    assert_eq!(forged(&tracker, slope + 4, &number(0.0)), is("variance"));
    let resistance = ResistanceTracker::new(Estimated { value: 1.1, std: 0.1 });
    let growth = ResistanceTracker::ENCODED_LEN - 12;
    assert_eq!(forged(&resistance, growth, &number(11.0)), is("growth"));
    assert_eq!(forged(&resistance, growth, &number(f32::NAN)), is("number"));
    let core = CoreEstimator::new(THERMAL).unwrap();
    assert_eq!(forged(&core, 0, &number(0.0)), is("parameters"));
    assert_eq!(forged(&core, 24, &number(400.0)), is("x"));
    assert_eq!(forged(&core, 24 + 12, &number(-1.0)), is("p"));
    let pulses = PulseObserver::new((&*MODEL).into()).state();
    assert_eq!(forged(&pulses, 20, &number(6.0)), is("scale"));
    let negative = NegativeElectrode::new((&*MODEL).into()).state();
    assert_eq!(forged(&negative, 8, &number(2.0)), is("hysteresis"));
    let monitor = LeakMonitor::<CELLS>::new(5.0, LeakLimits::TYPICAL).unwrap();
    assert_eq!(forged(&monitor, 0, &number(-0.1)), is("per_month"));
    assert_eq!(forged(&monitor, 12, &number(0.0)), is("capacity_ah"));
    let pack = PackEstimator::<CELLS>::new(&MODEL, &Tuning::NMC, 5.0, 0.5).unwrap().state();
    assert_eq!(forged(&pack, 0, &number(0.0)), is("soc_std"));
    assert_eq!(forged(&pack, 32, &number(-5.0)), is("capacity_ah"));
    // The voltage of the reference cell is a flag and a number.
    let cells = 32 + SocState::ENCODED_LEN + CapacityTracker::ENCODED_LEN + 5;
    assert_eq!(forged(&pack, cells, &number(3.0)), is("x"));
    // A state of one kind is none of another.
    let (slot, _) = through_the_store(&negative).unwrap();
    assert_eq!(Store::<(f32, f32, f32)>::load(*PRINT, &slot, &[]).1.problems[0], Some(Problem::ForeignKind));
    assert_ne!(NegativeState::KIND, PulseState::KIND);
    assert_ne!(PackState::<16>::KIND, PackState::<15>::KIND);
}

/// Power fails after any number of bytes.
#[test]
fn a_torn_write_gives_the_state_before() {
    type Cells = Store<CellState>;
    let mut e = cell();
    let (mut store, _) = Cells::load(*PRINT, &[], &[]);
    let mut memory = [[0xff; Cells::SLOT_LEN]; 2];
    let mut new = [0; Cells::SLOT_LEN];
    for slot in [Slot::A, Slot::B] {
        e.step(&Measurement::new(3.9, 2.0, 25.0), 1.0);
        assert_eq!(store.save(&e.state(), &mut new), Ok(slot));
        memory[slot as usize] = new;
        store.confirm(&new).unwrap();
    }
    let good = e.state();
    e.step(&Measurement::new(3.8, 8.0, 25.0), 1.0);
    assert_eq!(store.save(&e.state(), &mut new), Ok(Slot::A));
    for written in 0..Cells::SLOT_LEN {
        let mut torn = memory[0];
        torn[..written].copy_from_slice(&new[..written]);
        if torn != new {
            let (_, loaded) = Cells::load(*PRINT, &torn, &memory[1]);
            assert_eq!((loaded.value, loaded.from), (Some(good), Some(Slot::B)), "{written} bytes");
        }
    }
    assert_eq!(Cells::load(*PRINT, &new, &memory[1]).1.value, Some(e.state()));
}

#[test]
fn thermal_parameters_can_be_replaced_in_a_restored_state() {
    let mut e = cell();
    for _ in 0..100 {
        e.step(&Measurement::new(3.7, 10.0, 25.0), 1.0);
    }
    let core = |e: &mut CellEstimator<'_>| {
        let estimate = e.step(&Measurement::new(3.7, 10.0, 25.0), 0.0);
        estimate.core.unwrap().core_c.value
    };
    let restored = CellEstimator::restore(&MODEL, &Tuning::NMC, e.state());
    let mut other = restored.with_core(ThermalParameters { core_j_per_k: 90.0, ..THERMAL }).unwrap();
    let was = core(&mut e);
    assert!(was > 25.3 && (core(&mut other) - was).abs() < 1e-3, "{was}");
    assert!(restored.with_core(ThermalParameters { core_j_per_k: -1.0, ..THERMAL }).is_err());
}

/// Any bits, or what a sensor could send.
fn wild(plausible: std::ops::Range<f32>) -> impl Strategy<Value = f32> {
    prop_oneof![1 => any::<u32>().prop_map(f32::from_bits), 5 => plausible]
}

/// A sample with lost and absurd readings, the coolant's temperature and the time before it.
fn sample() -> impl Strategy<Value = (Measurement, Reading, f32)> {
    let numbers = (
        (wild(2.0..4.5), wild(-50.0..50.0), wild(-50.0..50.0)),
        (wild(-30.0..60.0), wild(-30.0..60.0), wild(0.0..3.0)),
    );
    (numbers, any::<[bool; 5]>()).prop_map(|(((v, i, mean), (t, ambient, dt)), [a, b, c, d, open])| {
        let reading = |x: f32, lost: bool| {
            if lost { Reading::MISSING } else { Reading::within(x, f32::NEG_INFINITY, f32::INFINITY) }
        };
        let m = Measurement {
            voltage_v: reading(v, a && b),
            current_a: reading(i, b && c),
            mean_current_a: reading(mean, c),
            temperature_c: reading(t, d && a),
            contactors_open: open && a && d,
        };
        (m, reading(ambient, b), dt)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every state that a cell's estimator can reach can be saved and goes on as the original does.
    #[test]
    fn a_cell_goes_on_bit_for_bit(
        before in prop::collection::vec(sample(), 0..200),
        after in prop::collection::vec(sample(), 0..60),
        with_core in any::<bool>(),
    ) {
        let mut original = CellEstimator::new(&MODEL, &Tuning::NMC, 0.7).unwrap();
        if with_core {
            original = original.with_core(THERMAL).unwrap();
        }
        for (m, ambient, dt) in &before {
            original.step_cooled(m, *ambient, *dt);
        }
        let mut restored = CellEstimator::restore(&MODEL, &Tuning::NMC, same_again(&original.state()));
        for (m, ambient, dt) in &after {
            prop_assert_eq!(original.step_cooled(m, *ambient, *dt), restored.step_cooled(m, *ambient, *dt));
        }
        prop_assert!(original == restored);
    }

    /// Bytes changed at will under a right checksum: refused, or a state that goes on soundly.
    #[test]
    fn a_forged_record_does_no_harm(
        at in prop::collection::vec((any::<prop::sample::Index>(), wild(-2.0..2.0)), 1..4),
        after in prop::collection::vec(sample(), 1..40),
    ) {
        let numbers: Vec<(prop::sample::Index, [u8; 4])> = at.iter().map(|(k, x)| (*k, x.to_le_bytes())).collect();
        let changes = |len: usize| numbers.iter().map(|(k, x)| (k.index(len - 3), &x[..])).collect::<Vec<_>>();
        let mut cell = cell();
        let mut pack = PackEstimator::<4>::new(&MODEL, &Tuning::NMC, 5.0, 0.6).unwrap();
        let of_pack = |m: &Measurement| PackMeasurement {
            cell_voltage_v: [m.voltage_v; 4],
            cell_temperature_c: [m.temperature_c; 4],
            current_a: m.current_a,
            mean_current_a: m.mean_current_a,
            contactors_open: m.contactors_open,
        };
        for k in 0..90 {
            let current = [3.0, 12.0, -4.0, 0.0][k / 7 % 4];
            let m = Measurement::new(3.85 - 0.02 * current, current, 25.0);
            cell.step(&m, 1.0);
            pack.step(&of_pack(&m), 1.0);
        }
        match forge(&cell.state(), &changes(CellState::ENCODED_LEN)) {
            Ok(state) => cell = CellEstimator::restore(&MODEL, &Tuning::NMC, state),
            Err(problem) => prop_assert!(matches!(problem, Problem::Impossible(_))),
        }
        match forge(&pack.state(), &changes(PackState::<4>::ENCODED_LEN)) {
            Ok(state) => pack = PackEstimator::restore(&MODEL, &Tuning::NMC, state),
            Err(problem) => prop_assert!(matches!(problem, Problem::Impossible(_))),
        }
        for (m, ambient, dt) in &after {
            let e = cell.step_cooled(m, *ambient, *dt);
            for x in [e.soc, e.soh_q, e.soh_r, e.capacity_ah, e.current_offset_a, e.core.unwrap_or_default().core_c] {
                prop_assert!(x.value.is_finite() && x.std.is_finite() && x.std >= 0.0, "{:?}", e);
            }
            let e = *pack.step(&of_pack(m), *dt);
            prop_assert!((0.0..=1.0).contains(&e.soc.value) && e.soc.std.is_finite(), "{:?}", e);
            for k in 0..4 {
                let c = pack.cell(k).unwrap();
                prop_assert!((0.0..=1.0).contains(&c.soc.value) && c.soc.std.is_finite(), "{:?}", c);
                prop_assert!(c.capacity_ah.value > 0.0 && c.capacity_ah.std.is_finite(), "{:?}", c);
            }
        }
    }

    /// The same for a pack whose cells' readings are lost and absurd one by one.
    #[test]
    fn a_pack_goes_on_bit_for_bit(
        before in prop::collection::vec((sample(), 0..CELLS, wild(-0.5..0.5)), 0..120),
        after in prop::collection::vec((sample(), 0..CELLS, wild(-0.5..0.5)), 0..40),
        bled in (0..CELLS, wild(-0.2..0.2)),
    ) {
        let step = |pack: &mut PackEstimator<'_, CELLS>, ((m, _, dt), one, apart): &((Measurement, Reading, f32), usize, f32)| {
            let mut all = PackMeasurement {
                cell_voltage_v: [m.voltage_v; CELLS],
                cell_temperature_c: [m.temperature_c; CELLS],
                current_a: m.current_a,
                mean_current_a: m.mean_current_a,
                contactors_open: m.contactors_open,
            };
            all.cell_voltage_v[*one] = Reading::within(m.voltage_v.valid().unwrap_or(3.7) + apart, -1.0, 10.0);
            all.cell_temperature_c[*one] = Reading::within(20.0 * apart, -60.0, 120.0);
            pack.step(&all, *dt);
        };
        let start = Estimated { value: 0.6, std: 0.05 };
        let mut original = PackEstimator::<CELLS>::starting_at(&MODEL, &Tuning::NMC, 5.0, start).unwrap();
        same_again(&original.state());
        for s in &before {
            step(&mut original, s);
        }
        let _ = original.bleed(bled.0, bled.1);
        let mut restored = PackEstimator::restore(&MODEL, &Tuning::NMC, same_again(&original.state()));
        for s in &after {
            step(&mut original, s);
            step(&mut restored, s);
            prop_assert_eq!(original.estimate(), restored.estimate());
            prop_assert_eq!(original.cell(s.1), restored.cell(s.1));
        }
        prop_assert!(original == restored);
    }
}
