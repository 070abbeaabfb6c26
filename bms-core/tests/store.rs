//! What was stored comes back bit for bit, or is refused with the reason.

use std::sync::LazyLock;

use bms_core::cell::{CellModel, CellTables};
use bms_core::example;
use bms_core::measurement::{Measurement, Reading};
use bms_core::soc::{SocEstimator, SocState};
use bms_core::store::{Loaded, Problem, Slot, Store, Stored, VERSION, crc32, fingerprint};
use bms_core::tuning::Tuning;
use proptest::prelude::*;

type SocStore = Store<SocState>;
const LEN: usize = SocStore::SLOT_LEN;
/// Where the fields of the frame are, and the value.
const SEQUENCE: usize = 8;
const VERSION_AT: usize = 12;
const KIND: usize = 16;
const VALUE: usize = 24;
const CRC: usize = VALUE + SocState::ENCODED_LEN;
const ERASED: [u8; LEN] = [0xff; LEN];

static MODEL: LazyLock<CellModel<'static>> = LazyLock::new(|| CellModel::new(example::NMC_5AH).unwrap());
static PRINT: LazyLock<u32> = LazyLock::new(|| fingerprint(&MODEL, &Tuning::NMC));

fn estimator(soc: f32) -> SocEstimator<'static> {
    SocEstimator::new(&MODEL, &Tuning::NMC, 5.0, soc).unwrap()
}

/// An estimator that has seen this many seconds of a drive.
fn driven(seconds: usize) -> SocEstimator<'static> {
    let mut e = estimator(0.7);
    for k in 0..seconds {
        let current = [3.0, 12.0, -4.0, 0.0][k / 7 % 4];
        e.step(&Measurement::new(3.85 - 0.02 * current, current, 25.0), 1.0);
    }
    e
}

fn load(a: &[u8], b: &[u8]) -> (SocStore, Loaded<SocState>) {
    SocStore::load(*PRINT, a, b)
}

fn saved(store: &SocStore, e: &SocEstimator<'_>) -> (Slot, [u8; LEN]) {
    let mut bytes = [0; LEN];
    let slot = store.save(&e.state(), &mut bytes).unwrap();
    (slot, bytes)
}

/// Two slots, the newer one in B.
fn two_saves() -> ([SocEstimator<'static>; 2], [[u8; LEN]; 2]) {
    let states = [driven(50), driven(90)];
    let mut memory = [ERASED; 2];
    let (mut store, _) = load(&ERASED, &ERASED);
    for (e, expected) in states.iter().zip([Slot::A, Slot::B]) {
        let (slot, bytes) = saved(&store, e);
        assert_eq!(slot, expected);
        memory[slot as usize] = bytes;
        store.confirm(&memory[slot as usize]).unwrap();
    }
    (states, memory)
}

/// Makes the checksum right again after a change.
fn sign(slot: &mut [u8; LEN]) {
    let crc = crc32(&slot[..CRC]);
    slot[CRC..CRC + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The record that a save with this sequence number gives.
fn with_sequence(mut slot: [u8; LEN], sequence: u32) -> [u8; LEN] {
    slot[SEQUENCE..SEQUENCE + 4].copy_from_slice(&sequence.to_le_bytes());
    slot[LEN - 4..].copy_from_slice(&(!sequence).to_le_bytes());
    sign(&mut slot);
    slot
}

/// A change of the stored fields changes this: check then whether the meaning of the others is still the same, and raise
/// `store::VERSION` if not.
#[test]
fn length_of_the_stored_state() {
    assert_eq!((VERSION, SocState::ENCODED_LEN), (1, 411));
}

#[test]
fn the_newest_is_taken_and_the_older_overwritten() {
    let (states, [a, b]) = two_saves();
    let (store, loaded) = load(&a, &b);
    assert_eq!((loaded.value, loaded.from), (Some(states[1].state()), Some(Slot::B)));
    assert_eq!(loaded.problems, [None, None]);
    assert!(!loaded.fell_back());
    assert_eq!(saved(&store, &states[0]).0, Slot::A);
    let (store, loaded) = load(&ERASED, &[0; LEN]);
    assert_eq!((loaded.value, loaded.problems), (None, [Some(Problem::Empty); 2]));
    assert!(!loaded.fell_back());
    assert_eq!(saved(&store, &states[0]).0, Slot::A);
}

/// Power fails after any number of bytes, over erased memory and over the record before last.
#[test]
fn a_torn_write_gives_the_state_before_and_says_so() {
    let (states, [a, b]) = two_saves();
    let (store, _) = load(&a, &b);
    let (slot, new) = saved(&store, &driven(200));
    assert_eq!(slot, Slot::A);
    for (old, over) in [(&ERASED, "erased"), (&a, "old")] {
        for written in 0..LEN {
            let mut torn = *old;
            torn[..written].copy_from_slice(&new[..written]);
            if torn == new {
                continue; // the bytes that were missing are what was there before
            }
            let (store, loaded) = load(&torn, &b);
            assert_eq!(loaded.value, Some(states[1].state()), "{over}, {written} bytes");
            assert_eq!(loaded.from, Some(Slot::B));
            let expected = match written {
                _ if torn == *old => (over == "erased").then_some(Problem::Empty),
                1..4 => Some(Problem::WrongCrc),
                _ => Some(Problem::Torn),
            };
            assert_eq!(loaded.problems, [expected, None], "{over}, {written} bytes");
            // The next save repairs the torn slot and does not touch the good one.
            assert_eq!(saved(&store, &states[0]).0, Slot::A);
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (states, [a, b]) = two_saves();
    for bit in 0..8 * LEN {
        let mut flipped = b;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (_, loaded) = load(&a, &flipped);
        assert_eq!((loaded.value, loaded.from), (Some(states[0].state()), Some(Slot::A)), "bit {bit}");
        assert!(matches!(loaded.problems, [None, Some(Problem::WrongCrc | Problem::Torn)]), "bit {bit}");
        assert!(loaded.fell_back());
    }
}

#[test]
fn a_slot_that_is_cut_short_is_refused() {
    let (states, [a, b]) = two_saves();
    for len in 0..LEN {
        let (_, loaded) = load(&a, &b[..len]);
        assert_eq!(loaded.value, Some(states[0].state()));
        assert_eq!(loaded.problems, [None, Some(Problem::TooSmall)]);
        let mut bytes = vec![0; len];
        let (store, _) = load(&a, &b);
        assert_eq!(store.save(&states[0].state(), &mut bytes), Err(Problem::TooSmall));
    }
    // A longer page is fine.
    let page = [&b[..], &[0xff; 100]].concat();
    assert_eq!(load(&a, &page).1.value, Some(states[1].state()));
}

#[test]
fn what_belongs_to_something_else_falls_back() {
    let (states, [a, b]) = two_saves();
    for (at, problem) in [(VERSION_AT, Problem::ForeignVersion), (KIND, Problem::ForeignKind)] {
        let mut foreign = b;
        foreign[at] ^= 6;
        sign(&mut foreign);
        let (_, loaded) = load(&a, &foreign);
        assert_eq!((loaded.value, loaded.problems), (Some(states[0].state()), [None, Some(problem)]));
        assert!(loaded.fell_back());
    }
    // Another type, shorter and longer than this one.
    for record in [store_of(&(1.5f32, true)), store_of(&[0.25f32; 200])] {
        let mut slot = record;
        slot.resize(slot.len().max(LEN), 0xff);
        assert_eq!(load(&a, &slot).1.problems, [None, Some(Problem::ForeignKind)]);
    }
}

fn store_of<T: Stored>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; Store::<T>::SLOT_LEN];
    Store::<T>::load(*PRINT, &[], &[]).0.save(value, &mut bytes).unwrap();
    bytes
}

/// A state that was learnt with any other number in the tables or the tuning is not taken.
#[test]
fn another_model_is_refused() {
    let (_, [a, b]) = two_saves();
    let cells = [
        CellTables { capacity_ah: 5.000_001, ..example::NMC_5AH },
        CellTables { hysteresis_v: &[0.0061; 39], ..example::NMC_5AH },
        CellTables { i_ct_a: &[2.0, 5.0, 8.5], ..example::NMC_5AH },
    ];
    let mut prints: Vec<u32> =
        cells.iter().map(|t| fingerprint(&CellModel::new(*t).unwrap(), &Tuning::NMC)).collect();
    let mut parts = Tuning::NMC.parts;
    parts.resistance = false;
    for tuning in
        [Tuning::LFP, Tuning { parts, ..Tuning::NMC }, Tuning { update_period_s: 2.0, ..Tuning::NMC }]
    {
        prints.push(fingerprint(&MODEL, &tuning));
    }
    for print in prints {
        let (_, loaded) = SocStore::load(print, &a, &b);
        assert_eq!((loaded.value, loaded.problems), (None, [Some(Problem::WrongModel); 2]));
        assert!(loaded.fell_back());
    }
}

#[test]
fn the_sequence_wraps_around() {
    let (_, [a, b]) = two_saves();
    for (older, newer) in [(u32::MAX, 0), (u32::MAX - 1, u32::MAX), (0x7fff_ffff, 0x8000_0000), (0, 1)] {
        let (old, new) = (with_sequence(a, older), with_sequence(b, newer));
        assert_eq!(load(&old, &new).1.from, Some(Slot::B));
        assert_eq!(load(&new, &old).1.from, Some(Slot::A));
    }
    // Through the wrap by saving.
    let mut memory = [with_sequence(a, u32::MAX - 2), ERASED];
    let (mut store, _) = load(&memory[0], &memory[1]);
    for k in 0..6 {
        let e = driven(k);
        let (slot, bytes) = saved(&store, &e);
        memory[slot as usize] = bytes;
        store.confirm(&bytes).unwrap();
        let (reopened, loaded) = load(&memory[0], &memory[1]);
        assert_eq!((loaded.from, loaded.value), (Some(slot), Some(e.state())));
        assert_eq!(reopened, store);
    }
}

/// A write that failed is repeated in the same slot, so that the good record is never overwritten.
#[test]
fn only_a_confirmed_save_moves_on() {
    let (states, [a, b]) = two_saves();
    let (mut store, _) = load(&a, &b);
    for _ in 0..3 {
        let (slot, mut bytes) = saved(&store, &states[0]);
        assert_eq!(slot, Slot::A);
        assert_eq!(store.confirm(&a), Err(Problem::Torn), "an older record");
        assert_eq!(store.confirm(&ERASED), Err(Problem::Empty));
        bytes[100] ^= 1;
        assert_eq!(store.confirm(&bytes), Err(Problem::WrongCrc));
    }
    let (_, bytes) = saved(&store, &states[0]);
    store.confirm(&bytes).unwrap();
    assert_eq!(saved(&store, &states[0]).0, Slot::B);
}

/// A tracker's state beside the filter's: any tuple is a record.
#[test]
fn several_states_make_one_record() {
    type Both = (SocState, [Option<f32>; 4], i64);
    let both: Both = (driven(30).state(), [Some(1.0), None, Some(-0.0), None], -7);
    let slot = store_of(&both);
    assert_eq!(slot.len(), Store::<Both>::SLOT_LEN);
    assert_eq!(Store::<Both>::load(*PRINT, &slot, &[]).1.value, Some(both));
}

#[test]
fn impossible_values_are_named() {
    let (_, [a, b]) = two_saves();
    // The order of the fields in `soc/stored.rs`: capacity, age (3 numbers), count (8 + 4 bytes), v1, v2, hysteresis.
    let v1 = VALUE + 4 * 4 + 12;
    for (at, number, field) in [
        (VALUE, f32::NAN, "number"),
        (VALUE, -5.0, "capacity_ah"),
        (VALUE, 2.0, "remaining"),
        (v1, 6.0, "v1"),
        (v1 + 8, -1.5, "hysteresis"),
        (v1 + 4 * 8 + 4 * 49, -1e-6, "d"),
    ] {
        let mut forged = b;
        forged[at..at + 4].copy_from_slice(&number.to_le_bytes());
        sign(&mut forged);
        let (_, loaded) = load(&a, &forged);
        assert_eq!(loaded.problems, [None, Some(Problem::Impossible(field))]);
        assert_eq!(loaded.from, Some(Slot::A));
    }
}

/// Any bits, or what a sensor could send.
fn wild(plausible: std::ops::Range<f32>) -> impl Strategy<Value = f32> {
    prop_oneof![1 => any::<u32>().prop_map(f32::from_bits), 3 => plausible]
}

/// Samples with lost and absurd readings, and the time before each.
fn samples(most: usize) -> impl Strategy<Value = Vec<(Measurement, f32)>> {
    let reading = |x: f32, lost: bool| {
        if lost { Reading::MISSING } else { Reading::within(x, f32::NEG_INFINITY, f32::INFINITY) }
    };
    let sample = (
        (wild(2.0..4.5), wild(-50.0..50.0), wild(-50.0..50.0), wild(-30.0..60.0), wild(0.0..100.0)),
        any::<[bool; 5]>(),
    );
    let sample = sample.prop_map(move |((v, i, mean, t, dt), [a, b, c, d, open])| {
        let m = Measurement {
            voltage_v: reading(v, a && b),
            current_a: reading(i, b && c),
            mean_current_a: reading(mean, c),
            temperature_c: reading(t, d && a),
            contactors_open: open && a && d,
        };
        (m, dt)
    });
    prop::collection::vec(sample, 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every state that the filter can reach can be saved, comes back bit for bit, and goes on as the original does.
    #[test]
    fn what_is_restored_goes_on_bit_for_bit(before in samples(100), after in samples(60), start in 0.0f32..=1.0) {
        let mut original = estimator(start);
        for (m, dt) in &before {
            original.step(m, *dt);
        }
        let (store, _) = load(&ERASED, &ERASED);
        let mut bytes = [0; LEN];
        prop_assert_eq!(store.save(&original.state(), &mut bytes), Ok(Slot::A));
        let state = load(&bytes, &ERASED).1.value.unwrap();
        let mut again = [0; LEN];
        store.save(&state, &mut again).unwrap();
        prop_assert_eq!(bytes, again);
        let mut restored = SocEstimator::restore(&MODEL, &Tuning::NMC, state);
        for (m, dt) in &after {
            let (a, b) = (original.step(m, *dt), restored.step(m, *dt));
            prop_assert_eq!(a, b);
        }
        prop_assert!(original == restored);
    }

    /// Arbitrary bytes of any length.
    #[test]
    fn noise_is_refused(a in prop::collection::vec(any::<u8>(), 0..600), b in prop::collection::vec(any::<u8>(), 0..600)) {
        let (store, loaded) = load(&a, &b);
        prop_assert_eq!(loaded.value, None);
        prop_assert!(loaded.problems.iter().all(Option::is_some));
        prop_assert_eq!(saved(&store, &estimator(0.5)).0, Slot::A);
    }

    /// Bytes changed at will under a right checksum: refused, or a state that the filter goes on from soundly.
    #[test]
    fn a_forged_record_does_no_harm(
        at in prop::collection::vec((0..SocState::ENCODED_LEN - 4, wild(-2.0..2.0)), 1..4),
        after in samples(20),
    ) {
        let (states, [a, mut b]) = two_saves();
        for (at, number) in at {
            b[VALUE + at..VALUE + at + 4].copy_from_slice(&number.to_le_bytes());
        }
        sign(&mut b);
        let (_, loaded) = load(&a, &b);
        if loaded.from == Some(Slot::A) {
            prop_assert!(matches!(loaded.problems, [None, Some(Problem::Impossible(_))]));
            prop_assert_eq!(loaded.value, Some(states[0].state()));
        }
        let mut e = SocEstimator::restore(&MODEL, &Tuning::NMC, loaded.value.unwrap());
        for (m, dt) in &after {
            let out = e.step(m, *dt);
            prop_assert!((0.0..=1.0).contains(&out.soc.value), "{:?}", out);
            prop_assert!(out.soc.std > 0.0 && out.soc.std.is_finite(), "{:?}", out);
            prop_assert!(out.predicted_v.is_finite() && out.innovation_v.is_finite(), "{:?}", out);
            prop_assert!(out.current_bias_a.value.is_finite() && out.model_error_v.is_finite(), "{:?}", out);
        }
    }
}
