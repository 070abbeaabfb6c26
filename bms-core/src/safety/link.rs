//! End-to-end protection of messages: a check sum over identity and content, and a rolling counter.
//!
//! | Byte | What |
//! |---|---|
//! | 0 | CRC-8 SAE J1850 over the identity (2 bytes, little-endian) and all bytes from 1 on |
//! | 1, low four bits | rolling counter 0..15 |
//! | rest | the sender's |
//!
//! The check sum finds what changed on the way, and by the identity, which is not sent, a message that was meant for
//! somebody else. The counter shows what was lost, repeated or stands still: the monitors look at that
//! ([`Heard::counter`]). The shape is that of profile 1 of AUTOSAR's E2E library (from memory: to be checked against
//! "Specification of SW-C End-to-End Communication Protection Library" before one is called the other).

use super::frame::Heard;

/// Bytes at the start of a message that belong to the protection; of the second one the high half is the sender's.
pub const OVERHEAD: usize = 2;
/// The counter goes from 0 to this and begins anew.
pub const LARGEST_COUNTER: u8 = 15;

/// CRC-8 SAE J1850: polynomial 0x1D, start and final inversion all ones.
///
/// It finds every error of up to 8 bits in a row, and any two wrong bits among up to 247.
///
/// ```
/// assert_eq!(bms_core::safety::link::crc8(b"123456789"), 0x4B);
/// ```
#[must_use]
pub const fn crc8(bytes: &[u8]) -> u8 {
    extend(0, bytes)
}

/// The check sum of `crc`'s bytes followed by more.
const fn extend(crc: u8, mut bytes: &[u8]) -> u8 {
    let mut state = !crc;
    while let [first, rest @ ..] = bytes {
        state ^= *first;
        let mut bit = 0;
        while bit < 8 {
            state = if state & 0x80 != 0 { (state << 1) ^ 0x1D } else { state << 1 };
            bit += 1;
        }
        bytes = rest;
    }
    !state
}

fn sum(identity: u16, content: &[u8]) -> u8 {
    extend(crc8(&identity.to_le_bytes()), content)
}

/// Writes counter (its low four bits) and check sum into a message whose content is in place; `false` (and nothing
/// written) if it is shorter than [`OVERHEAD`].
///
/// ```
/// use bms_core::safety::link::{check, protect};
/// let mut message = [0, 0, 0x12, 0x34];
/// assert!(protect(&mut message, 0x2A0, 7));
/// let heard = check(&message, 0x2A0);
/// assert!(heard.fresh && heard.sound && heard.counter == 7);
/// message[3] ^= 0x10;
/// assert!(!check(&message, 0x2A0).sound);
/// ```
pub fn protect(message: &mut [u8], identity: u16, counter: u8) -> bool {
    let [crc, content @ ..] = message else { return false };
    let [second, ..] = content else { return false };
    *second = (*second & 0xF0) | (counter & LARGEST_COUNTER);
    *crc = sum(identity, content);
    true
}

/// What a message that has arrived is worth.
#[must_use]
pub fn check(message: &[u8], identity: u16) -> Heard {
    match message {
        [crc, content @ ..] if !content.is_empty() => {
            let counter = content.first().map_or(0, |second| second & LARGEST_COUNTER);
            Heard { fresh: true, counter, sound: *crc == sum(identity, content) }
        }
        _ => Heard { fresh: true, counter: 0, sound: false },
    }
}

/// The counter of the next message.
#[must_use]
pub const fn next_counter(counter: u8) -> u8 {
    counter.wrapping_add(1) & LARGEST_COUNTER
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Check values of AUTOSAR's "Specification of CRC Routines" and of the catalogue of parametrised CRC algorithms.
    #[test]
    fn crc_is_that_of_sae_j1850() {
        assert_eq!(crc8(b"123456789"), 0x4B);
        assert_eq!(crc8(&[0, 0, 0, 0]), 0x59);
        assert_eq!(crc8(&[0xF2, 0x01, 0x83]), 0x37);
        assert_eq!(crc8(&[0x0F, 0xAA, 0x00, 0x55]), 0x79);
        assert_eq!(crc8(&[]), 0);
        assert_eq!(extend(crc8(b"1234"), b"56789"), 0x4B);
    }

    #[test]
    fn errors_of_two_bits_or_of_eight_in_a_row_are_found() {
        let mut message = [0x5A_u8; 29];
        assert!(protect(&mut message, 0x18F1, 3));
        let flip = |m: &mut [u8; 29], bit: usize| m[bit / 8] ^= 1 << (7 - bit % 8);
        for a in 0..8 * 29 {
            for b in a..8 * 29 {
                let mut wrong = message;
                flip(&mut wrong, a);
                // Equal places stand for one bit.
                if b != a {
                    flip(&mut wrong, b);
                }
                assert!(!check(&wrong, 0x18F1).sound, "{a} {b}");
            }
            // The check sum itself stands before what follows it in the sum.
            for burst in (0..128_u32).filter(|_| a >= 8) {
                let mut wrong = message;
                flip(&mut wrong, a);
                let bits = (0..7).filter(|k| burst >> k & 1 == 1).map(|k| a + 1 + k);
                bits.filter(|bit| *bit < 8 * 29).for_each(|bit| flip(&mut wrong, bit));
                assert!(!check(&wrong, 0x18F1).sound, "{a} {burst:b}");
            }
        }
    }

    #[test]
    fn too_short_messages_are_refused() {
        assert!(!protect(&mut [], 1, 1));
        let mut one = [9];
        assert!(!protect(&mut one, 1, 1));
        assert_eq!(one, [9]);
        for message in [&[][..], &[0x4B]] {
            assert_eq!(check(message, 1), Heard { fresh: true, counter: 0, sound: false });
        }
    }

    #[test]
    fn the_counter_goes_round() {
        let mut counter = 0;
        let seen: Vec<u8> = (0..17)
            .map(|_| {
                let now = counter;
                counter = next_counter(counter);
                now
            })
            .collect();
        assert_eq!(seen[15..], [15, 0]);
        assert!(seen[..16].iter().copied().eq(0..16));
        assert_eq!(next_counter(255), 0);
    }

    proptest! {
        #[test]
        fn what_was_protected_is_sound_for_its_own_identity_alone(
            mut message in prop::collection::vec(any::<u8>(), 2..64),
            identity: u16,
            other: u16,
            counter: u8,
        ) {
            let before = message.clone();
            prop_assert!(protect(&mut message, identity, counter));
            let heard = check(&message, identity);
            prop_assert!(heard.sound && heard.fresh && heard.counter == counter & 15);
            prop_assert_eq!(message[1] & 0xF0, before[1] & 0xF0);
            prop_assert_eq!(&message[2..], &before[2..]);
            // One byte of difference is always found, two in 255 of 256 cases.
            if (identity ^ other).to_le_bytes().iter().filter(|b| **b != 0).count() == 1 {
                prop_assert!(!check(&message, other).sound);
            }
        }
    }

    #[test]
    fn a_check_sum_without_content_is_no_message() {
        assert!((0..=u8::MAX).all(|crc| !check(&[crc], 0x2A0).sound));
        assert!(!check(&[], 0x2A0).sound);
    }
}
