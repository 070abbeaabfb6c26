//! Decoders: what is stored, what comes over the bus.

use bms_core::controller::ControllerState;
use bms_core::safety::ledger::DiagnosisSet;
use bms_core::safety::link;
use bms_core::safety::table::{Diagnosis, TABLE};
use bms_core::store::{Slot, Store, crc32};

use crate::random::Random;
use crate::world::{N, S};

const PRINT: u32 = 0x1234_5678;
type Latched = Store<DiagnosisSet>;

fn bytes(r: &mut Random, buffer: &mut [u8]) {
    buffer.iter_mut().for_each(|b| *b = r.next() as u8);
}

/// Any bytes, of any length, are refused or give a value that can be encoded again.
#[test]
fn arbitrary_bytes_are_no_record() {
    type Whole = Store<ControllerState<N, S>>;
    let mut r = Random::new(2);
    let mut a = [0; Whole::SLOT_LEN];
    let mut b = [0; Whole::SLOT_LEN];
    for _ in 0..20_000 {
        bytes(&mut r, &mut a);
        bytes(&mut r, &mut b);
        let (len_a, len_b) = (r.below(a.len() as u32 + 1) as usize, r.below(b.len() as u32 + 1) as usize);
        assert!(Whole::load(PRINT, &a[..len_a], &b[..len_b]).1.value.is_none());
        assert!(Latched::load(PRINT, &a[..len_a], &b).1.value.is_none());
    }
}

/// Random bits in a value whose check sum is right: the only way by which wrong numbers could come in.
#[test]
fn a_sound_check_sum_around_wrong_numbers_gives_possible_values_only() {
    type Whole = Store<ControllerState<N, S>>;
    let settings = crate::world::settings();
    let start = bms_core::soc::Estimated { value: 0.5, std: 0.05 };
    let tuning = &bms_core::tuning::Tuning::NMC;
    let models = crate::world::models;
    let controller = bms_core::controller::Controller::<N, S, { crate::world::M }>::new(
        models(),
        tuning,
        &settings,
        5.0,
        start,
    )
    .expect("sound settings");
    let (store, _) = Whole::load(PRINT, &[], &[]);
    let mut good = [0; Whole::SLOT_LEN];
    store.save(&controller.state(), &mut good).expect("a sound state");
    let body = Whole::SLOT_LEN - 8;
    let mut r = Random::new(3);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let mut slot = good;
        for _ in 0..=r.below(4) {
            let k = 24 + r.below(body as u32 - 24) as usize;
            slot[k] = if r.one_in(2) { r.next() as u8 } else { slot[k] ^ (1 << r.below(8)) };
        }
        let sum = crc32(&slot[..body]).to_le_bytes();
        slot[body..body + 4].copy_from_slice(&sum);
        match Whole::load(PRINT, &slot, &[]).1.value {
            None => refused += 1,
            Some(state) => {
                accepted += 1;
                let latched = state.latched;
                let mut again = [0; Whole::SLOT_LEN];
                store.save(&state, &mut again).expect("what was accepted can be stored");
                if let Ok(mut new) = bms_core::controller::Controller::<N, S, { crate::world::M }>::restore(
                    models(),
                    tuning,
                    &settings,
                    state,
                ) {
                    // Nothing latched is lost on the way in, whatever the other numbers are.
                    let service =
                        |id: &Diagnosis| TABLE[*id as usize].latch == bms_core::safety::table::Latch::Service;
                    let kept = new.safety().ledger().latched();
                    assert!(latched.iter().filter(service).all(|id| kept.contains(id)));
                    for _ in 0..3 {
                        new.step(&bms_core::controller::Input::NOTHING, 1000);
                        let soc = new.bms().estimate().soc;
                        assert!((0.0..=1.0).contains(&soc.value) && soc.std.is_finite(), "{soc:?}");
                    }
                }
            }
        }
    }
    assert!(accepted > 200 && refused > 200, "{accepted} {refused}");
}

/// One wrong bit anywhere, a cut at any place: the other slot is taken.
#[test]
fn a_damaged_record_falls_back_to_the_other() {
    let mut older = DiagnosisSet::default();
    older.set(Diagnosis::CellVoltageHighFatal, true);
    let mut newer = older;
    newer.set(Diagnosis::DeepDischarge, true);
    let mut memory = [[0xff; Latched::SLOT_LEN]; 2];
    let (mut store, _) = Latched::load(PRINT, &memory[0], &memory[1]);
    for value in [&older, &newer] {
        let mut slot = [0; Latched::SLOT_LEN];
        let to = store.save(value, &mut slot).expect("it fits");
        memory[to as usize] = slot;
        store.confirm(&slot).expect("written");
    }
    let whole = Latched::load(PRINT, &memory[0], &memory[1]).1;
    assert_eq!((whole.value, whole.from), (Some(newer), Some(Slot::B)));
    for bit in 0..8 * Latched::SLOT_LEN {
        let mut torn = memory[1];
        torn[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Latched::load(PRINT, &memory[0], &torn).1.value, Some(older), "bit {bit}");
        let mut cut = [0xff; Latched::SLOT_LEN];
        cut[..bit / 8].copy_from_slice(&memory[1][..bit / 8]);
        // The last bytes of a record may be those of erased memory: then nothing is missing.
        let expected = if cut == memory[1] { newer } else { older };
        assert_eq!(Latched::load(PRINT, &memory[0], &cut).1.value, Some(expected), "cut at {}", bit / 8);
    }
}

/// Messages of any bytes and length: sound only with the right check sum, which one in 256 has by chance.
#[test]
fn arbitrary_messages_are_heard_as_unsound() {
    let mut r = Random::new(4);
    let mut buffer = [0; 64];
    let mut sound = 0;
    for _ in 0..100_000 {
        bytes(&mut r, &mut buffer);
        let message = &buffer[..r.below(65) as usize];
        let heard = link::check(message, r.next() as u16);
        assert!(heard.counter < 16 && (message.len() >= link::OVERHEAD || !heard.sound));
        sound += u32::from(heard.sound);
    }
    assert!((250..550).contains(&sound), "{sound} of 100000");
}
