//! Recorded samples of one cell, as `bms-sim/examples/record_inputs.rs` writes them: little-endian words.
//!
//! | Offset | What |
//! |---|---|
//! | 0 | mark `BMSR` |
//! | 4 | number of samples |
//! | 8 | start SOC as a fraction (`f32`) |
//! | 12 | the samples, [`LEN`] bytes each |
//!
//! A sample is time step in s, voltage in V, current in A and its mean over the time step (positive on discharge),
//! temperature in degC, ambient temperature in degC (all `f32`; NaN where there is none) and what is asked ([`Asked`]).

/// Bytes of the header.
pub const HEADER_LEN: usize = 12;
/// Bytes of a sample.
pub const LEN: usize = 28;
const MARK: u32 = u32::from_le_bytes(*b"BMSR");

/// What is asked of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// Nothing.
    #[default]
    Rest,
    /// Power.
    Drive,
    /// A charge.
    Charge,
    /// A fast charge.
    FastCharge,
    /// Warmth.
    Preheat,
}

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Record {
    /// Time since the previous sample in s.
    pub dt_s: f32,
    /// Voltage of the cell in V.
    pub voltage_v: f32,
    /// Current in A, positive on discharge.
    pub current_a: f32,
    /// Mean current since the previous sample in A; NaN where it is not known.
    pub mean_current_a: f32,
    /// Temperature of the cell in degC.
    pub temperature_c: f32,
    /// Ambient temperature in degC.
    pub ambient_c: f32,
    /// What is asked.
    pub asked: Asked,
}

/// A recording's header: number of samples and start SOC (fraction). `None` for anything else.
#[must_use]
pub fn header(bytes: &[u8; HEADER_LEN]) -> Option<(u32, f32)> {
    let [mark, count, soc] = words(bytes);
    (mark == MARK).then_some((count, f32::from_bits(soc)))
}

/// One sample from its bytes.
#[must_use]
pub fn sample(bytes: &[u8; LEN]) -> Record {
    let [dt, v, i, mean, t, ambient, asked] = words(bytes);
    Record {
        dt_s: f32::from_bits(dt),
        voltage_v: f32::from_bits(v),
        current_a: f32::from_bits(i),
        mean_current_a: f32::from_bits(mean),
        temperature_c: f32::from_bits(t),
        ambient_c: f32::from_bits(ambient),
        asked: match asked {
            1 => Asked::Drive,
            2 => Asked::Charge,
            3 => Asked::FastCharge,
            4 => Asked::Preheat,
            _ => Asked::Rest,
        },
    }
}

fn words<const W: usize>(bytes: &[u8]) -> [u32; W] {
    let mut words = [0; W];
    for (word, four) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = four.first_chunk().map_or(0, |four| u32::from_le_bytes(*four));
    }
    words
}
