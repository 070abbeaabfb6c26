//! Numbers of every kind from one seed.

/// `SplitMix64` (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators").
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to n − 1.
    pub(crate) const fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * n as u64) >> 32) as u32
    }

    pub(crate) const fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// Evenly between two numbers.
    pub(crate) fn between(&mut self, lo: f32, hi: f32) -> f32 {
        let share = (self.next() >> 40) as f32 / (1_u64 << 24) as f32;
        lo + share * (hi - lo)
    }

    /// Any bits, or one of the awkward numbers, or something of a plausible size.
    pub(crate) fn wild(&mut self) -> f32 {
        const AWKWARD: [f32; 14] = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
            1e-45,
            -1e-45,
            0.0,
            -0.0,
            1e6,
            -1e6,
            6.0,
            150.0,
        ];
        match self.below(4) {
            0 => f32::from_bits(self.next() as u32),
            1 => AWKWARD[self.below(AWKWARD.len() as u32) as usize],
            2 => self.between(-10.0, 10.0),
            _ => self.between(-1000.0, 1000.0),
        }
    }
}
