//! End-to-end protection of the messages that safety depends on: byte 0 is a CRC, the low half of byte 1 a counter.
//!
//! The CRC is CRC-8 SAE J1850 over the identifier (low byte first) and all bytes but its own, so that it also finds
//! messages under a wrong identifier. It finds every damage of up to 8 neighbouring bits, and of any 3 bits. The counter runs
//! from 0 to 14; the receiver finds repeated and lost messages with it. Time-outs are the receiver's own: a vehicle's
//! request that is older than 500 ms is none.
//!
//! Source: SAE J1850 (2015), "Class B data communications network interface"; the counter is that of AUTOSAR's E2E profile 1,
//! whose CRC starts otherwise.

use crc::{CRC_8_SAE_J1850, Crc};
use embedded_can::StandardId;

use crate::Frame;

const J1850: Crc<u8> = Crc::<u8>::new(&CRC_8_SAE_J1850);
/// Counters run from 0 to one less.
const COUNTS: u8 = 15;

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum E2eError {
    /// It is too short to be a protected message.
    Length,
    /// It is damaged.
    Crc,
    /// Its counter has a value that is never sent.
    Counter,
    /// It was received before: the sender hangs, or somebody repeats it.
    Repeated,
}

impl core::fmt::Display for E2eError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Length => "too short for a protected message",
            Self::Crc => "wrong check sum",
            Self::Counter => "a counter that is never sent",
            Self::Repeated => "the message was received before",
        })
    }
}

impl core::error::Error for E2eError {}

/// Check sum of a message without its first byte.
fn crc(id: StandardId, rest: &[u8]) -> u8 {
    let mut digest = J1850.digest();
    digest.update(&id.as_raw().to_le_bytes());
    digest.update(rest);
    digest.finalize()
}

/// Sets counter and CRC of a message that has room for them.
pub(crate) fn protect(frame: &mut Frame, counter: u8) {
    let id = frame.id();
    if let [sum, rest @ ..] = frame.data_mut() {
        if let [first, ..] = rest {
            *first = (*first & 0xF0) | (counter % COUNTS);
        }
        *sum = crc(id, rest);
    }
}

/// The counter after one.
pub(crate) const fn next(counter: u8) -> u8 {
    if counter >= COUNTS - 1 { 0 } else { counter + 1 }
}

/// Looks at each message of one identifier as it arrives.
///
/// ```
/// use bms_can::command::Command;
/// use bms_can::e2e::{Checker, E2eError};
///
/// let mut checker = Checker::default();
/// let frame = Command::default().frame(7);
/// assert_eq!(checker.check(&frame), Ok(0));
/// assert_eq!(checker.check(&frame), Err(E2eError::Repeated));
/// assert_eq!(checker.check(&Command::default().frame(10)), Ok(2)); // 8 and 9 are lost
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checker {
    last: Option<u8>,
}

impl Checker {
    /// The number of messages that were lost before this one; none can be known to be lost before the first.
    ///
    /// # Errors
    /// [`E2eError`]: the message must not be used.
    pub fn check(&mut self, frame: &Frame) -> Result<u8, E2eError> {
        let [sum, rest @ ..] = frame.data() else { return Err(E2eError::Length) };
        let [first, ..] = rest else { return Err(E2eError::Length) };
        if *sum != crc(frame.id(), rest) {
            return Err(E2eError::Crc);
        }
        let counter = first & 0x0F;
        if counter >= COUNTS {
            return Err(E2eError::Counter);
        }
        let lost = match self.last {
            None => 0,
            Some(last) if last == counter => return Err(E2eError::Repeated),
            Some(last) if counter > last => counter - last - 1,
            Some(last) => counter + (COUNTS - 1 - last),
        };
        self.last = Some(counter);
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_the_one_of_the_standard() {
        // The check value of the catalogue of parametrised CRC algorithms for CRC-8/SAE-J1850.
        assert_eq!(J1850.checksum(b"123456789"), 0x4B);
        // AUTOSAR, "Specification of CRC routines", 7.2.1.1: examples of CRC-8 SAE J1850.
        for (bytes, sum) in [
            (&[0, 0, 0, 0][..], 0x59),
            (&[0xF2, 0x01, 0x83], 0x37),
            (&[0x0F, 0xAA, 0x00, 0x55], 0x79),
            (&[0x00, 0xFF, 0x55, 0x11], 0xB8),
            (&[0x33, 0x22, 0x55, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF], 0xCB),
            (&[0x92, 0x6B, 0x55], 0x8C),
            (&[0xFF, 0xFF, 0xFF, 0xFF], 0x74),
        ] {
            assert_eq!(J1850.checksum(bytes), sum, "{bytes:02X?}");
        }
    }

    #[test]
    fn counters_run_from_0_to_14() {
        let mut counter = 0;
        for k in 0..45_u8 {
            assert_eq!(counter, k % 15);
            counter = next(counter);
        }
        assert_eq!(next(200), 0);
    }
}
