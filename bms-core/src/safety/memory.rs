//! Memory that changes by itself: values kept twice, tables and known answers checked again and again.
//!
//! A fault in RAM, in flash or of a wild pointer shows as a value that nobody wrote. What decides over the contactors is
//! kept in a [`Guarded`], whose second copy holds all bits: any difference is found at the next look. Tables in flash are
//! summed anew again and again ([`TableWatch`]), and what computes the sums is tested against known answers
//! ([`known_answers`]). Stack canaries and the RAM test of the processor belong to the firmware.

use core::hint::black_box;

use super::link::crc8;
use crate::cell::CellModel;
use crate::store::{crc32, each_word};
use crate::tuning::Tuning;

/// A value kept twice.
///
/// It finds every change of one of the two copies, of any number of bits, except between the two zeros of a
/// floating-point number. The value must equal itself: no NaN may be in it.
///
/// ```
/// use bms_core::safety::memory::Guarded;
/// let mut limit_v = Guarded::new(4.25_f32);
/// limit_v.update(|v| *v = 4.2);
/// assert!(limit_v.sound() && *limit_v.get() == 4.2);
/// limit_v.corrupt(|v| *v = 42.0); // what a fault would do
/// assert!(!limit_v.sound());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guarded<T> {
    value: T,
    copy: T,
}

impl<T: Copy + PartialEq> Guarded<T> {
    /// Keeps a value.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self { value, copy: value }
    }

    /// The value, whether sound or not.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// Nothing has changed but by [`Self::update`].
    #[must_use]
    pub fn sound(&self) -> bool {
        // Kept from the optimiser, which might know that both were written together.
        *black_box(&self.value) == *black_box(&self.copy)
    }

    /// Changes the value. What was not sound stays so.
    pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let sound = self.sound();
        let result = change(&mut self.value);
        if sound {
            self.copy = self.value;
        }
        result
    }

    /// Replaces the value; it is sound again.
    pub const fn set(&mut self, value: T) {
        *self = Self::new(value);
    }

    /// Changes one of the copies only, as a fault in memory would: for the injection of faults.
    pub fn corrupt(&mut self, change: impl FnOnce(&mut T)) {
        change(&mut self.value);
    }
}

/// Sums the tables of a cell and its tuning again and again, and compares with the sum at the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableWatch<'a> {
    model: &'a CellModel<'a>,
    tuning: &'a Tuning,
    expected: u32,
    every_ms: u32,
    since_ms: u32,
    sound: bool,
}

impl<'a> TableWatch<'a> {
    /// Takes the present sum as right; looks again every `every_ms`.
    #[must_use]
    pub fn new(model: &'a CellModel<'a>, tuning: &'a Tuning, every_ms: u32) -> Self {
        Self { model, tuning, expected: sum(model, tuning), every_ms, since_ms: 0, sound: true }
    }

    /// Time passes; whether the tables were as at the start when last looked at. Once wrong, it stays wrong.
    pub fn step(&mut self, dt_ms: u16) -> bool {
        self.since_ms = self.since_ms.saturating_add(u32::from(dt_ms));
        if self.since_ms >= self.every_ms {
            self.since_ms = 0;
            self.look();
        }
        self.sound
    }

    /// Looks now.
    pub fn look(&mut self) -> bool {
        self.sound &= sum(self.model, self.tuning) == black_box(self.expected);
        self.sound
    }

    /// As if a bit of the tables had changed: for the injection of faults.
    pub const fn corrupt(&mut self) {
        self.expected ^= 1;
    }
}

/// All numbers of the tables in one, for a few instructions each: a CRC takes six times as many.
///
/// For the same numbers before and after it, no two values of a number give the same sum: every step can be undone.
fn sum(model: &CellModel<'_>, tuning: &Tuning) -> u32 {
    let mut sum = 0_u32;
    each_word(model, tuning, |word| sum = (sum.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B1));
    sum
}

/// Check sums, comparison of guarded values and arithmetic give what they must.
#[must_use]
pub fn known_answers() -> bool {
    let text = *black_box(b"123456789");
    let mut guarded = Guarded::new(black_box(0x5A5A_A5A5_u32));
    let sound = guarded.sound();
    guarded.corrupt(|word| *word ^= black_box(1 << 31));
    // Exact in binary; the last bit of each operand counts.
    let [a, b] = black_box([1.000_000_1_f32, 16_777_215.0]);
    let arithmetic = a - 1.0 == f32::EPSILON && b + 1.0 == 16_777_216.0 && (b * 2.0 - b) == b;
    crc32(&text) == 0xCBF4_3926 && crc8(&text) == 0x4B && sound && !guarded.sound() && arithmetic
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::CellTables;
    use crate::example;
    use proptest::prelude::*;

    #[test]
    fn known_answers_are_given() {
        assert!(known_answers());
    }

    #[test]
    fn a_change_through_the_front_door_hides_no_damage() {
        let mut g = Guarded::new([1_u32, 2]);
        g.corrupt(|v| v[0] ^= 4);
        g.update(|v| v[1] = 7);
        assert!(!g.sound());
        g.set([0, 0]);
        assert!(g.sound());
        assert_eq!(g.update(|v| core::mem::replace(&mut v[0], 5)), 0);
        assert!(g.sound() && *g.get() == [5, 0]);
    }

    proptest! {
        #[test]
        fn every_flipped_bit_of_a_number_is_found(bits: u32, bit in 0..32_u32) {
            let value = f32::from_bits(bits);
            prop_assume!(!value.is_nan());
            let mut g = Guarded::new(value);
            prop_assert!(g.sound());
            g.corrupt(|v| *v = f32::from_bits(v.to_bits() ^ (1 << bit)));
            prop_assert!(!g.sound() || value == 0.0);
        }
    }

    #[test]
    fn tables_are_looked_at_in_their_time() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let mut watch = TableWatch::new(&model, &Tuning::NMC, 1000);
        for _ in 0..30 {
            assert!(watch.step(100));
        }
        watch.corrupt();
        let steps = (1..).take_while(|_| watch.step(100)).count();
        assert_eq!(steps, 9);
        assert!(!watch.look() && !watch.step(1));
    }

    /// Any number of any table that is another one gives another sum; the same ones give the same.
    #[test]
    fn the_sum_depends_on_tables_and_tuning() {
        let model = CellModel::new(example::NMC_5AH).unwrap();
        let tuning = Tuning::NMC;
        assert_eq!(sum(&model, &tuning), sum(&model, &tuning));
        let mut other = example::NMC_5AH;
        let mut seen = std::vec![sum(&model, &tuning)];
        other.capacity_ah = 5.000_001;
        seen.push(sum(&CellModel::new(other).unwrap(), &tuning));
        other.v_max = 4.200_001;
        seen.push(sum(&CellModel::new(other).unwrap(), &tuning));
        seen.push(sum(&model, &Tuning::LFP));
        // Two numbers that change places are another table.
        let swapped = CellTables { v_min: other.v_max - 1.0, v_max: other.v_max, ..example::NMC_5AH };
        seen.push(sum(&CellModel::new(swapped).unwrap(), &tuning));
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
