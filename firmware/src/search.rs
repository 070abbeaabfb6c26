//! The dearest and the cheapest step, by search over inputs.
//!
//! From states along a recording the search goes on greedily: of some inputs drawn at random it takes the dearest (or, in
//! every other walk, keeps to none) and goes on from where that one led. The numbers are drawn with a fixed seed, and so
//! the result repeats.

use crate::unit::Unit;

/// Random numbers (Marsaglia (2003), "Xorshift RNGs", J. Statistical Software 8).
#[derive(Debug, Clone, Copy)]
pub struct Random(u32);

impl Random {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9) | 1)
    }

    /// All bits.
    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A whole number below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(n)) >> 32) as u32
    }

    /// A number in `lo..hi`.
    pub fn within(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

/// Least and most instructions of a step.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// Fewest.
    pub least: u32,
    /// Most.
    pub most: u32,
    /// Steps that were looked at.
    pub steps: u32,
}

impl Default for Range {
    fn default() -> Self {
        Self { least: u32::MAX, most: 0, steps: 0 }
    }
}

impl Range {
    /// Takes in one count.
    pub fn see(&mut self, count: u32) {
        self.least = self.least.min(count);
        self.most = self.most.max(count);
        self.steps += 1;
    }
}

/// Walks of so many steps, of so many inputs tried at each.
const STEPS: u32 = 10;
const TRIES: u32 = 10;

/// One walk from a state; `count` runs a step and tells its instructions. `walk`, `best` and `trial` are working memory.
pub fn walk<U: Unit>(
    from: &U,
    seed: u32,
    [walk, best, trial]: [&mut U; 3],
    count: &mut impl FnMut(&mut U) -> u32,
    range: &mut Range,
) {
    let mut random = Random::new(seed);
    walk.clone_from(from);
    for _ in 0..STEPS {
        let mut most = 0;
        for _ in 0..TRIES {
            trial.clone_from(walk);
            trial.disturb(&mut random);
            let counted = count(trial);
            range.see(counted);
            if counted > most {
                most = counted;
                best.clone_from(trial);
            }
        }
        walk.clone_from(best);
    }
}
