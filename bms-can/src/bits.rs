//! Bits of a message, in the place of the crate that the generated codec would use: no index, no panic.

/// A raw value of a signal.
pub(crate) trait Raw {
    /// From the low `width` bits.
    fn of(bits: u64, width: u32) -> Self;
    /// In the low bits.
    fn bits(self) -> u64;
}

macro_rules! raw {
    ($($signed:ty, $unsigned:ty);+) => {$(
        impl Raw for $unsigned {
            fn of(bits: u64, _: u32) -> Self {
                bits as Self
            }

            fn bits(self) -> u64 {
                u64::from(self)
            }
        }
        impl Raw for $signed {
            fn of(bits: u64, width: u32) -> Self {
                let unused = 64_u32.wrapping_sub(width);
                ((bits.wrapping_shl(unused) as i64).wrapping_shr(unused)) as Self
            }

            fn bits(self) -> u64 {
                self as u64
            }
        }
    )+};
}
raw!(i8, u8; i16, u16; i32, u32; i64, u64);

/// Bits that a signal takes, in the low bits.
const fn mask(width: u32) -> u64 {
    u64::MAX.wrapping_shr(64_u32.wrapping_sub(width))
}

/// Up to 8 bytes as one little-endian word.
fn word<const N: usize>(raw: &[u8; N]) -> u64 {
    const { assert!(N <= 8) };
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(raw).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(bytes)
}

/// Reads the bits `from..to` (counted from the low bit of byte 0; 1 to 64 of them) of a message.
pub(crate) fn load<T: Raw, const N: usize>(raw: &[u8; N], from: u32, to: u32) -> T {
    let width = to.wrapping_sub(from);
    T::of(word(raw).wrapping_shr(from) & mask(width), width)
}

/// Writes them.
pub(crate) fn store<T: Raw, const N: usize>(raw: &mut [u8; N], from: u32, to: u32, value: T) {
    let mask = mask(to.wrapping_sub(from));
    let word = word(raw) & !mask.wrapping_shl(from) | (value.bits() & mask).wrapping_shl(from);
    raw.iter_mut().zip(word.to_le_bytes()).for_each(|(to, from)| *to = from);
}

/// The bits of both.
pub(crate) fn or<const N: usize>(mut a: [u8; N], b: [u8; N]) -> [u8; N] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a |= b);
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_stored_is_loaded_and_nothing_else_is_touched(
            before in any::<[u8; 8]>(), value in any::<u64>(), from in 0..64_u32, width in 1..=64_u32,
        ) {
            let to = (from + width).min(64);
            let mut raw = before;
            store(&mut raw, from, to, value);
            for bit in 0..64 {
                let of = |bytes: &[u8; 8]| bytes[bit as usize / 8] >> (bit % 8) & 1;
                let wanted = if (from..to).contains(&bit) { (value >> (bit - from) & 1) as u8 } else { of(&before) };
                prop_assert_eq!(of(&raw), wanted, "bit {}", bit);
            }
            prop_assert_eq!(load::<u64, 8>(&raw, from, to), value & (u64::MAX >> (64 - (to - from))));
            let signed: i64 = load(&raw, from, to);
            prop_assert_eq!(signed.bits() & mask(to - from), load::<u64, 8>(&raw, from, to));
            prop_assert_eq!(signed < 0, raw[(to as usize - 1) / 8] >> ((to - 1) % 8) & 1 == 1);
        }
    }
}
