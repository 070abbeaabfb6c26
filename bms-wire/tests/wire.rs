//! Frames there and back, damaged, cut and made up.

use bms_wire::{
    Answer, Ask, Decoder, Diagnosis, Estimates, Learnt, MAX_FRAME, Record, Refusal, Start, Value, WireError,
    encode,
};
use proptest::prelude::*;

fn frame(record: &Record<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_FRAME];
    encode(record, &mut buffer).unwrap().to_vec()
}

/// What comes out of a stream, as text: NaNs are equal to one another there.
fn read(bytes: &[u8]) -> (Vec<String>, u32) {
    let (mut decoder, mut records) = (Decoder::new(), Vec::new());
    for byte in bytes {
        if let Some(Ok(record)) = decoder.push(*byte) {
            records.push(format!("{record:?}"));
        }
    }
    assert_eq!(decoder.good() as usize, records.len());
    (records, decoder.bad())
}

/// A record with room for a name beside it.
#[derive(Debug, Clone)]
struct Owned {
    name: String,
    kind: u8,
    numbers: [f32; 11],
    time_ms: u64,
    small: (u8, u16, u16, bool),
    value: Option<Value>,
    refusal: Option<Refusal>,
}

impl Owned {
    fn record(&self) -> Record<'_> {
        let ([a, b, c, d, e, f, g, h, i, j, k], time_ms) = (self.numbers, self.time_ms);
        let (number, cell, question, set) = self.small;
        match self.kind {
            0 => Record::Start(Start { firmware: &self.name, cells: cell, sensors: question }),
            1 => Record::Estimates(Estimates {
                time_ms,
                voltage_v: a,
                current_a: b,
                soc: c,
                soc_std: d,
                min_cell_v: e,
                max_cell_v: f,
                min_core_c: g,
                max_core_c: h,
                discharge_limit_w: i,
                charge_limit_w: j,
                charge_request_a: k,
            }),
            2 => Record::Learnt(Learnt {
                time_ms,
                capacity_ah: a,
                capacity_std_ah: b,
                resistance_factor: c,
                resistance_factor_std: d,
                current_offset_a: e,
                current_offset_std_a: f,
            }),
            3 => Record::Diagnosis(Diagnosis { time_ms, number, set, cell, value: a, limit: b }),
            4 => Record::Ask(Ask { question, parameter: &self.name, set: self.value }),
            _ => Record::Answer(Answer {
                question,
                result: match self.refusal {
                    Some(refusal) => Err(refusal),
                    None => Ok(self.value.unwrap_or(Value::Whole(0))),
                },
            }),
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f32>().prop_map(Value::Number),
        any::<i32>().prop_map(Value::Whole),
        any::<bool>().prop_map(Value::Flag)
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::NoSuchParameter),
        Just(Refusal::WrongKind),
        Just(Refusal::OutOfRange),
        Just(Refusal::ReadOnly),
        Just(Refusal::NotNow)
    ]
}

prop_compose! {
    fn owned()(
        name in "[a-zA-Z0-9_.é]{0,32}", kind in 0..6_u8, numbers in prop::array::uniform11(any::<f32>()),
        time_ms in any::<u64>(), small in any::<(u8, u16, u16, bool)>(),
        value in prop::option::of(value()), refusal in prop::option::of(refusal()),
    ) -> Owned {
        Owned { name, kind, numbers, time_ms, small, value, refusal }
    }
}

#[test]
fn the_layout_is_the_stated_one() {
    // Version 1, kind 3 (diagnosis), 300 ms as a varint, entry 7, set, no cell, two numbers; then the CRC-32 of these.
    let record = Record::Diagnosis(Diagnosis {
        time_ms: 300,
        number: 7,
        set: true,
        cell: 65535,
        value: 4.25,
        limit: 4.2,
    });
    let body = [1, 3, 0xAC, 0x02, 7, 1, 0xFF, 0xFF, 0x03, 0, 0, 0x88, 0x40, 0x66, 0x66, 0x86, 0x40];
    // zlib's crc32, bit by bit.
    let mut crc = u32::MAX;
    for byte in body {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut plain = body.to_vec();
    plain.extend((!crc).to_le_bytes());
    assert!(!plain[..9].contains(&0) && plain[9..11] == [0, 0] && !plain[11..].contains(&0));
    // COBS: the distance to the next zero in the place of each zero.
    let mut expected = vec![10];
    expected.extend(&plain[..9]);
    expected.extend([1, (plain.len() - 11 + 1) as u8]);
    expected.extend(&plain[11..]);
    expected.push(0);
    assert_eq!(frame(&record), expected);
}

#[test]
fn the_largest_record_fits_and_a_larger_one_is_refused() {
    let name = "x".repeat(64);
    let longest =
        Record::Ask(Ask { question: u16::MAX, parameter: &name, set: Some(Value::Whole(i32::MIN)) });
    assert!(frame(&longest).len() <= MAX_FRAME);
    let name = "x".repeat(MAX_FRAME);
    let record = Record::Start(Start { firmware: &name, cells: 0, sensors: 0 });
    assert_eq!(encode(&record, &mut [0; MAX_FRAME]), Err(WireError::BufferFull));
    assert_eq!(encode(&record, &mut [0; 4 * MAX_FRAME]), Err(WireError::BufferFull));
    for room in 0..20 {
        assert_eq!(encode(&longest, &mut vec![0; room]), Err(WireError::BufferFull));
    }
}

#[test]
fn another_version_and_an_unknown_kind_are_told_apart() {
    let reframe = |change: fn(&mut Vec<u8>)| {
        let mut plain = frame(&Record::Start(Start { firmware: "f", cells: 1, sensors: 1 }));
        plain.pop();
        let length = cobs::decode_in_place(&mut plain).unwrap();
        plain.truncate(length - 4);
        change(&mut plain);
        let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&plain);
        plain.extend(sum.to_le_bytes());
        let mut out = vec![0; 2 * plain.len() + 2];
        let length = cobs::encode(&plain, &mut out);
        out.truncate(length);
        let mut decoder = Decoder::new();
        assert!(out.iter().all(|b| decoder.push(*b).is_none()) && decoder.is_within_frame());
        decoder.push(0).unwrap().map(|r| format!("{r:?}"))
    };
    assert!(reframe(|_| {}).is_ok());
    assert_eq!(reframe(|p| p[0] = 2), Err(WireError::Version(2)));
    assert_eq!(reframe(|p| p[1] = 77), Err(WireError::Content));
    assert_eq!(reframe(|p| p.push(0)), Err(WireError::Content), "something is left over");
    assert_eq!(reframe(Vec::clear), Err(WireError::Framing));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn records_arrive_bit_for_bit(all in prop::collection::vec(owned(), 0..10)) {
        let bytes: Vec<u8> = all.iter().flat_map(|o| frame(&o.record())).collect();
        let wanted: Vec<String> = all.iter().map(|o| format!("{:?}", o.record())).collect();
        prop_assert_eq!(read(&bytes), (wanted, 0));
    }

    #[test]
    fn damage_of_any_one_bit_is_found_and_costs_one_record_or_two(
        before in owned(), hit in owned(), after in owned(),
    ) {
        let parts = [frame(&before.record()), frame(&hit.record()), frame(&after.record())];
        let text = |o: &Owned| format!("{:?}", o.record());
        for bit in 0..8 * parts[1].len() {
            let mut bytes = parts.concat();
            bytes[parts[0].len() + bit / 8] ^= 1 << (bit % 8);
            let (records, bad) = read(&bytes);
            // The end of the damaged frame may be gone: then it takes the next one with it.
            let ended = bit / 8 == parts[1].len() - 1;
            let wanted = if ended { vec![text(&before)] } else { vec![text(&before), text(&after)] };
            prop_assert_eq!(&records, &wanted, "bit {}", bit);
            prop_assert!((1..=2).contains(&bad), "bit {}: {} bad", bit, bad);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_and_the_next_record_is_found(
        junk in prop::collection::vec(prop_oneof![1 => Just(0_u8), 6 => any::<u8>()], 0..600), next in owned(),
    ) {
        let mut bytes = junk;
        // A receiver is in step again after the next 0.
        bytes.push(0);
        bytes.extend(frame(&next.record()));
        let (records, _) = read(&bytes);
        prop_assert_eq!(records, vec![format!("{:?}", next.record())]);
    }

    #[test]
    fn what_is_cut_out_is_lost_and_nothing_else(
        all in prop::collection::vec(owned(), 3..8), from in 0.0..1.0_f64, length in 1..200_usize,
    ) {
        let bytes: Vec<u8> = all.iter().flat_map(|o| frame(&o.record())).collect();
        let from = (from * bytes.len() as f64) as usize;
        let to = (from + length).min(bytes.len());
        let mut left = bytes.clone();
        left.drain(from..to);
        let (records, bad) = read(&left);
        let wanted: Vec<String> = all.iter().map(|o| format!("{:?}", o.record())).collect();
        // A subset in the same order, with at most one bad frame where the cut is.
        let mut rest = wanted.iter();
        prop_assert!(records.iter().all(|r| rest.any(|w| w == r)));
        prop_assert!(bad <= 1);
    }
}
