//! Keeping what was learnt over a power-off: two slots in EEPROM or flash, written in turns.
//!
//! A [`Store`] turns a value into the bytes of one slot and back: a [`CellState`](crate::estimator::CellState), a
//! [`PackState`](crate::pack::PackState), a [`SocState`](crate::soc::SocState), any tracker's state, a tuple or an array of them. The memory is the caller's; nothing here touches hardware.
//!
//! ```
//! use bms_core::store::{fingerprint, Problem, Slot, Store};
//! use bms_core::{cell::CellModel, example, soc::{SocEstimator, SocState}, tuning::Tuning};
//!
//! let model = CellModel::new(example::NMC_5AH)?;
//! let print = fingerprint(&model, &Tuning::NMC);
//! let mut memory = [[0xff; Store::<SocState>::SLOT_LEN]; 2]; // two erased pages
//!
//! // Power-on: nothing there yet, so the estimator starts from the voltage.
//! let (mut store, loaded) = Store::<SocState>::load(print, &memory[0], &memory[1]);
//! assert_eq!(loaded.problems, [Some(Problem::Empty); 2]);
//! let estimator = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.8)?;
//!
//! // Before power-off, and every few minutes: encode, write, read back.
//! let mut bytes = [0; Store::<SocState>::SLOT_LEN];
//! let slot = store.save(&estimator.state(), &mut bytes).expect("a sound state");
//! memory[slot as usize].copy_from_slice(&bytes); // the flash driver's part
//! store.confirm(&memory[slot as usize]).expect("written and read back");
//!
//! // Power-on again.
//! let (_, loaded) = Store::load(print, &memory[0], &memory[1]);
//! assert_eq!(loaded.from, Some(Slot::A));
//! let restored = SocEstimator::restore(&model, &Tuning::NMC, loaded.value.expect("just saved"));
//! assert!(restored == estimator);
//! # Ok::<(), bms_core::cell::ParameterError>(())
//! ```
//!
//! # Power failure
//! A save goes to the slot that the newest good record is *not* in, with a sequence number one higher. Write its bytes
//! in ascending order; the last four tell the sequence number again. Whenever power fails (during an erase, or after any
//! byte), the other slot is still whole, [`Store::load`] takes it, and [`Loaded::problems`] says what the broken slot
//! is. Only [`Store::confirm`], given what was read back, makes the next save go to the other slot: a write that failed is
//! repeated where it failed and never spends the last good record. Each slot needs erase units of its own.
//!
//! # Bytes of a slot
//! Everything is little-endian and tightly packed; floating-point numbers are kept as their bits.
//!
//! | Offset | Bytes | What |
//! |---|---|---|
//! | 0 | 4 | mark `BMS1` |
//! | 4 | 4 | length `n` of the value in bytes |
//! | 8 | 4 | sequence number; the newer of two is the one ahead by less than half the range of `u32` |
//! | 12 | 4 | [`VERSION`] |
//! | 16 | 4 | [`Stored::KIND`]: checksum of the names and kinds of all fields |
//! | 20 | 4 | fingerprint of the cell model and the tuning ([`fingerprint`]) |
//! | 24 | n | the value |
//! | 24 + n | 4 | CRC-32 of all bytes before it ([`crc32`]) |
//! | 28 + n | 4 | the sequence number again, inverted: it matches only if the write came to its end |
//!
//! # What is refused
//! A record is restored only if it is whole, of this version, of the same fields, of the same tables and tuning, and if
//! every number in it is one that the quantity can have ([`Problem`]). Anything else falls back to the other slot.

use core::marker::PhantomData;

use crate::cell::{CellModel, CellTables, CircuitPoint, OcvAgeing};
use crate::soc::Estimated;
use crate::tuning::{Parts, Tuning};

/// Version of the encoding. It goes up when stored numbers change their meaning without changing their name.
pub const VERSION: u32 = 1;

const MARK: u32 = u32::from_le_bytes(*b"BMS1");
const HEADER_LEN: usize = <[u32; 6]>::ENCODED_LEN;
const TRAILER_LEN: usize = <[u32; 2]>::ENCODED_LEN;

/// Why a slot or a value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Erased memory: nothing was written yet, or power failed between erasing and writing.
    Empty,
    /// The memory handed over is shorter than a slot.
    TooSmall,
    /// The end does not belong to the beginning: power failed while it was written.
    Torn,
    /// Bytes have changed since they were written, or were never a record.
    WrongCrc,
    /// Written by a firmware with another [`VERSION`].
    ForeignVersion,
    /// Another kind of value, or one with other fields than this firmware's.
    ForeignKind,
    /// Learnt with other cell tables or another tuning.
    WrongModel,
    /// A number that the quantity cannot have; its field follows.
    Impossible(&'static str),
}

impl core::fmt::Display for Problem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing was stored",
            Self::TooSmall => "the memory is shorter than a record",
            Self::Torn => "the record was not written to its end",
            Self::WrongCrc => "the record is damaged",
            Self::ForeignVersion => "the record is of another version",
            Self::ForeignKind => "the record holds something else",
            Self::WrongModel => "the record belongs to other cell tables or another tuning",
            Self::Impossible(field) => return write!(f, "`{field}` holds an impossible value"),
        })
    }
}

impl core::error::Error for Problem {}

/// CRC-32 as in Ethernet and ZIP (IEEE 802.3: reflected polynomial 0xEDB88320, start and final inversion all ones).
///
/// It finds every error of up to 32 bits in a row and every single and double bit error of a slot.
///
/// ```
/// assert_eq!(bms_core::store::crc32(b"123456789"), 0xCBF4_3926);
/// ```
#[must_use]
pub const fn crc32(bytes: &[u8]) -> u32 {
    extend_crc(0, bytes)
}

/// What one byte does to the checksum: a kilobyte of flash for an eighth of the time.
const CRC_OF_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = if state & 1 == 1 { (state >> 1) ^ 0xEDB8_8320 } else { state >> 1 };
            bit += 1;
        }
        table[byte] = state;
        byte += 1;
    }
    table
};

/// The checksum of `crc`'s bytes followed by more.
const fn extend_crc(crc: u32, mut bytes: &[u8]) -> u32 {
    let mut state = !crc;
    while let [first, rest @ ..] = bytes {
        state = CRC_OF_BYTE[(state as u8 ^ *first) as usize] ^ (state >> 8);
        bytes = rest;
    }
    !state
}

/// [`Stored::KIND`] of a value with these names (of itself and its fields) and these parts.
#[must_use]
pub const fn kind(names: &str, mut parts: &[u32]) -> u32 {
    let mut crc = crc32(names.as_bytes());
    while let [first, rest @ ..] = parts {
        crc = extend_crc(crc, &first.to_le_bytes());
        parts = rest;
    }
    crc
}

/// Writes values one after another into bytes that the caller provides; what does not fit is noted and left out.
#[derive(Debug)]
pub struct Writer<'b> {
    rest: &'b mut [u8],
    fits: bool,
}

impl<'b> Writer<'b> {
    /// Writes from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'b mut [u8]) -> Self {
        Self { rest: bytes, fits: true }
    }

    /// Whether everything up to now found its place.
    #[must_use]
    pub const fn fits(&self) -> bool {
        self.fits
    }

    /// Writes these bytes as they are.
    pub fn bytes<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some((place, rest)) = core::mem::take(&mut self.rest).split_first_chunk_mut() {
            *place = bytes;
            self.rest = rest;
        } else {
            self.fits = false;
        }
    }
}

/// Reads values in the order in which a [`Writer`] wrote them.
#[derive(Debug, Clone)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next bytes as they are.
    ///
    /// # Errors
    /// [`Problem::TooSmall`] if there are fewer.
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Problem::TooSmall)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

/// What can be stored: it has an encoding of constant length.
///
/// Numbers, flags, options, arrays, pairs and triples have one. A struct gets one from its fields:
///
/// ```
/// use bms_core::store::{kind, Problem, Reader, Stored, Writer};
///
/// struct Odometer { km: f32, trips: u32 }
///
/// impl Stored for Odometer {
///     const KIND: u32 = kind("Odometer km trips", &[f32::KIND, u32::KIND]);
///     const ENCODED_LEN: usize = f32::ENCODED_LEN + u32::ENCODED_LEN;
///
///     fn encode(&self, to: &mut Writer<'_>) {
///         self.km.encode(to);
///         self.trips.encode(to);
///     }
///
///     fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
///         let new = Self { km: f32::decode(from)?, trips: u32::decode(from)? };
///         if new.km >= 0.0 { Ok(new) } else { Err(Problem::Impossible("km")) }
///     }
/// }
/// ```
pub trait Stored: Sized {
    /// Tells this encoding from every other, and changes when a field is added, removed, renamed or moved ([`kind`]).
    const KIND: u32;
    /// Length of the encoding in bytes.
    const ENCODED_LEN: usize;

    /// Writes exactly [`Self::ENCODED_LEN`] bytes.
    fn encode(&self, to: &mut Writer<'_>);

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Problem::Impossible`] if a number is none that the quantity can have, [`Problem::TooSmall`] if bytes are missing.
    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem>;
}

macro_rules! stored_integer {
    ($($type:ident)*) => {$(
        impl Stored for $type {
            const KIND: u32 = kind(stringify!($type), &[]);
            const ENCODED_LEN: usize = size_of::<Self>();

            fn encode(&self, to: &mut Writer<'_>) {
                to.bytes(self.to_le_bytes());
            }

            fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
                Ok(Self::from_le_bytes(from.bytes()?))
            }
        }
    )*};
}
stored_integer!(i8 u8 u16 u32 u64 i64);

/// As a `u32`.
impl Stored for usize {
    const KIND: u32 = kind("usize", &[]);
    const ENCODED_LEN: Self = u32::ENCODED_LEN;

    fn encode(&self, to: &mut Writer<'_>) {
        u32::try_from(*self).unwrap_or(u32::MAX).encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        Self::try_from(u32::decode(from)?).map_err(|_| Problem::Impossible("count"))
    }
}

/// As its bits; NaN and infinities are written but not read.
impl Stored for f32 {
    const KIND: u32 = kind("f32", &[]);
    const ENCODED_LEN: usize = 4;

    fn encode(&self, to: &mut Writer<'_>) {
        to.bytes(self.to_le_bytes());
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        let x = Self::from_le_bytes(from.bytes()?);
        if x.is_finite() { Ok(x) } else { Err(Problem::Impossible("number")) }
    }
}

/// One byte, 0 or 1.
impl Stored for bool {
    const KIND: u32 = kind("bool", &[]);
    const ENCODED_LEN: usize = 1;

    fn encode(&self, to: &mut Writer<'_>) {
        to.bytes([u8::from(*self)]);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        match from.bytes()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Problem::Impossible("flag")),
        }
    }
}

/// A flag and the value; zeros where there is none.
impl<T: Stored> Stored for Option<T> {
    const KIND: u32 = kind("Option", &[T::KIND]);
    const ENCODED_LEN: usize = 1 + T::ENCODED_LEN;

    fn encode(&self, to: &mut Writer<'_>) {
        self.is_some().encode(to);
        match self {
            Some(value) => value.encode(to),
            None => (0..T::ENCODED_LEN).for_each(|_| to.bytes([0])),
        }
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        if bool::decode(from)? {
            return T::decode(from).map(Some);
        }
        for _ in 0..T::ENCODED_LEN {
            from.bytes::<1>()?;
        }
        Ok(None)
    }
}

impl<T: Stored + Copy, const N: usize> Stored for [T; N] {
    const KIND: u32 = kind("array", &[T::KIND, N as u32]);
    const ENCODED_LEN: usize = N * T::ENCODED_LEN;

    fn encode(&self, to: &mut Writer<'_>) {
        self.iter().for_each(|value| value.encode(to));
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        // The first one fills the places that the loop then reads.
        let mut values = [T::decode(&mut from.clone())?; N];
        for value in &mut values {
            *value = T::decode(from)?;
        }
        Ok(values)
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    const KIND: u32 = kind("pair", &[A::KIND, B::KIND]);
    const ENCODED_LEN: usize = A::ENCODED_LEN + B::ENCODED_LEN;

    fn encode(&self, to: &mut Writer<'_>) {
        self.0.encode(to);
        self.1.encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok((A::decode(from)?, B::decode(from)?))
    }
}

impl<A: Stored, B: Stored, C: Stored> Stored for (A, B, C) {
    const KIND: u32 = kind("triple", &[A::KIND, B::KIND, C::KIND]);
    const ENCODED_LEN: usize = A::ENCODED_LEN + B::ENCODED_LEN + C::ENCODED_LEN;

    fn encode(&self, to: &mut Writer<'_>) {
        self.0.encode(to);
        self.1.encode(to);
        self.2.encode(to);
    }

    fn decode(from: &mut Reader<'_>) -> Result<Self, Problem> {
        Ok((A::decode(from)?, B::decode(from)?, C::decode(from)?))
    }
}

/// Implements [`Stored`] for a struct: all of its fields in the order given, each with the condition under which a value
/// is possible. A field that is left out does not compile. `Type[N]` stands for `Type<N>` with a constant `N: usize`, and so
/// on for more.
macro_rules! stored {
    ($type:ident $([$($n:ident),+])? { $($field:ident: $kind:ty $(=> $possible:expr)?),+ $(,)? }) => {
        impl $(<$(const $n: usize),+>)? $crate::store::Stored for $type $(<$($n),+>)? {
            const KIND: u32 = $crate::store::kind(
                concat!(stringify!($type) $(, " ", stringify!($field))+),
                &[$(<$kind as $crate::store::Stored>::KIND),+],
            );
            const ENCODED_LEN: usize = 0 $(+ <$kind as $crate::store::Stored>::ENCODED_LEN)+;

            fn encode(&self, to: &mut $crate::store::Writer<'_>) {
                $(self.$field.encode(to);)+
            }

            fn decode(from: &mut $crate::store::Reader<'_>) -> Result<Self, $crate::store::Problem> {
                let new = Self { $($field: <$kind as $crate::store::Stored>::decode(from)?),+ };
                $($(
                    let possible: fn(&Self) -> bool = $possible;
                    if !possible(&new) {
                        return Err($crate::store::Problem::Impossible(stringify!($field)));
                    }
                )?)+
                Ok(new)
            }
        }
    };
}
pub(crate) use stored;

stored!(Estimated { value: f32, std: f32 => |e| e.std >= 0.0 });

// No cell comes near these ends; between them no product of the filter's overflows.
stored!(CircuitPoint {
    r0_ohm: f32 => |c| (0.0..=1e6).contains(&c.r0_ohm),
    rct_ohm: f32 => |c| (0.0..=1e6).contains(&c.rct_ohm),
    i_ct_a: f32 => |c| (1e-9..=1e9).contains(&c.i_ct_a),
    r1_ohm: f32 => |c| (0.0..=1e6).contains(&c.r1_ohm),
    tau1_s: f32 => |c| (1e-9..=1e9).contains(&c.tau1_s),
    r2_ohm: f32 => |c| (0.0..=1e6).contains(&c.r2_ohm),
    tau2_s: f32 => |c| (1e-9..=1e9).contains(&c.tau2_s),
    model_error_v: f32 => |c| (0.0..=1e3).contains(&c.model_error_v),
});

/// Tells a cell's tables and tuning from any others: a checksum over all their numbers.
///
/// A record goes with one fingerprint only. To bind it to one physical pack as well, xor in the pack's serial number.
#[must_use]
pub fn fingerprint(model: &CellModel<'_>, tuning: &Tuning) -> u32 {
    let mut crc = 0;
    each_word(model, tuning, |word| crc = extend_crc(crc, &word.to_le_bytes()));
    crc
}

/// Gives all numbers of a cell's tables and tuning, one after another.
#[inline]
pub(crate) fn each_word(model: &CellModel<'_>, tuning: &Tuning, mut word: impl FnMut(u32)) {
    // Without `..`, so that a new field cannot be forgotten.
    let CellTables {
        capacity_ah,
        coulombic_efficiency,
        v_min,
        v_max,
        temperature_c,
        ocv_v,
        hysteresis_v,
        r0_ohm,
        rct_ohm,
        r1_ohm,
        tau1_s,
        r2_ohm,
        tau2_s,
        i_ct_a,
        model_error_v,
        hysteresis_gamma,
        ageing: OcvAgeing { fade, shift_v },
        negative_v,
    } = *model.tables();
    let Tuning {
        initial_soc_std,
        current_bias_std_c,
        current_bias_walk_c,
        zero_current_std_c,
        charge_gain_std,
        voltage_noise_v,
        drop_error,
        white_interval_s,
        model_error_scale,
        bias_voltage_share,
        overpotential_cap,
        fast_error,
        slow_error,
        resistance_std,
        resistance_time_s,
        polarisation_error,
        axis_error_soc,
        ageing_axis_error,
        model_error_time_s,
        model_error_length_soc,
        hysteresis_noise,
        collapse_share,
        collapse_hold_s,
        gate_sigma,
        gate_recovery_s,
        rest_current_c,
        rest_time_s,
        rest_voltage_std_v,
        full_soc_std,
        full_current_c,
        update_period_s,
        parts: Parts { hysteresis, bias, correlated_error, anchors, resistance },
    } = *tuning;
    let mut of = |numbers: &[f32]| {
        // The length keeps the end of one table apart from the start of the next.
        word(numbers.len() as u32);
        numbers.iter().for_each(|x| word(x.to_bits()));
    };
    of(&[capacity_ah, coulombic_efficiency, v_min, v_max, hysteresis_gamma]);
    for table in [
        temperature_c,
        ocv_v,
        hysteresis_v,
        r0_ohm,
        rct_ohm,
        r1_ohm,
        tau1_s,
        r2_ohm,
        tau2_s,
        i_ct_a,
        model_error_v,
        shift_v,
        fade,
        negative_v,
    ] {
        of(table);
    }
    of(&[
        initial_soc_std,
        current_bias_std_c,
        current_bias_walk_c,
        zero_current_std_c,
        charge_gain_std,
        voltage_noise_v,
        drop_error,
        white_interval_s,
        model_error_scale,
        bias_voltage_share,
        overpotential_cap,
        fast_error,
        slow_error,
        resistance_std,
        resistance_time_s,
        polarisation_error,
        axis_error_soc,
        ageing_axis_error,
        model_error_time_s,
        model_error_length_soc,
        hysteresis_noise,
        collapse_share,
        collapse_hold_s,
        gate_sigma,
        gate_recovery_s,
        rest_current_c,
        rest_time_s,
        rest_voltage_std_v,
        full_soc_std,
        full_current_c,
        update_period_s,
    ]);
    [hysteresis, bias, correlated_error, anchors, resistance].map(u32::from).into_iter().for_each(word);
}

/// One of the two places that records are written to in turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The first one.
    A = 0,
    /// The second one.
    B = 1,
}

impl Slot {
    const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What was found in the two slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loaded<T> {
    /// The newest value that may be used, if there is one.
    pub value: Option<T>,
    /// Where it was.
    pub from: Option<Slot>,
    /// What is wrong with slots A and B.
    pub problems: [Option<Problem>; 2],
}

impl<T> Loaded<T> {
    /// Whether a slot holds something that could not be used, so that `value` may be older than the last save, or is
    /// missing although something had been saved. Erased memory does not count.
    #[must_use]
    pub fn fell_back(&self) -> bool {
        self.problems.iter().flatten().any(|problem| *problem != Problem::Empty)
    }
}

/// Writes and reads records of one kind in two slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Store<T> {
    fingerprint: u32,
    /// Where the newest good record is, and its sequence number.
    newest: Slot,
    sequence: u32,
    stores: PhantomData<T>,
}

impl<T: Stored> Store<T> {
    /// Bytes that one slot needs.
    pub const SLOT_LEN: usize = HEADER_LEN + T::ENCODED_LEN + TRAILER_LEN;

    /// Looks at both slots and takes the newest record that may be used; after this, saves go to the other slot.
    ///
    /// `fingerprint` says what the values must belong to ([`fingerprint()`]). Slots may be longer than [`Self::SLOT_LEN`].
    #[must_use]
    pub fn load(fingerprint: u32, slot_a: &[u8], slot_b: &[u8]) -> (Self, Loaded<T>) {
        let (a, b) = (read::<T>(fingerprint, slot_a), read::<T>(fingerprint, slot_b));
        let problems = [a.as_ref().err().copied(), b.as_ref().err().copied()];
        let found = match (a, b) {
            (Ok(a), Ok(b)) if (b.0.wrapping_sub(a.0) as i32) > 0 => Some((Slot::B, b)),
            (Ok(a), _) => Some((Slot::A, a)),
            (_, Ok(b)) => Some((Slot::B, b)),
            _ => None,
        };
        // Without a record the first save goes to slot A.
        let (from, sequence, value) = match found {
            Some((slot, (sequence, value))) => (Some(slot), sequence, Some(value)),
            None => (None, 0, None),
        };
        let store = Self { fingerprint, newest: from.unwrap_or(Slot::B), sequence, stores: PhantomData };
        (store, Loaded { value, from, problems })
    }

    /// Encodes a value into the first [`Self::SLOT_LEN`] bytes of `bytes` and says which slot to write them to.
    ///
    /// Until [`Self::confirm`] has seen them written, saves go to the same slot.
    ///
    /// # Errors
    /// [`Problem::Impossible`] if the value is one that [`Self::load`] would refuse, so that it does not replace a good
    /// one, and [`Problem::TooSmall`] if `bytes` is too short. Nothing may be written then.
    pub fn save(&self, value: &T, bytes: &mut [u8]) -> Result<Slot, Problem> {
        let sequence = self.sequence.wrapping_add(1);
        let body = bytes.get_mut(..HEADER_LEN + T::ENCODED_LEN).ok_or(Problem::TooSmall)?;
        let mut to = Writer::new(body);
        [MARK, T::ENCODED_LEN as u32, sequence, VERSION, T::KIND, self.fingerprint].encode(&mut to);
        value.encode(&mut to);
        let crc = crc32(body);
        let end = bytes.get_mut(HEADER_LEN + T::ENCODED_LEN..).ok_or(Problem::TooSmall)?;
        let mut to = Writer::new(end);
        [crc, !sequence].encode(&mut to);
        if !to.fits() {
            return Err(Problem::TooSmall);
        }
        read::<T>(self.fingerprint, bytes).map(|_| self.newest.other())
    }

    /// Takes note that the last save is in its slot, given what was read back from there.
    ///
    /// # Errors
    /// What is wrong with the record ([`Problem::Torn`] if it is an older one). The next save goes to the same slot then.
    pub fn confirm(&mut self, read_back: &[u8]) -> Result<(), Problem> {
        let (sequence, _) = read::<T>(self.fingerprint, read_back)?;
        if sequence != self.sequence.wrapping_add(1) {
            return Err(Problem::Torn);
        }
        self.sequence = sequence;
        self.newest = self.newest.other();
        Ok(())
    }
}

/// The record in a slot with its sequence number.
fn read<T: Stored>(fingerprint: u32, slot: &[u8]) -> Result<(u32, T), Problem> {
    if slot.len() < Store::<T>::SLOT_LEN {
        return Err(Problem::TooSmall);
    }
    let erased = |blank: u8| slot.iter().take(HEADER_LEN).all(|byte| *byte == blank);
    if erased(0xff) || erased(0) {
        return Err(Problem::Empty);
    }
    let mut from = Reader::new(slot);
    let [mark, length, sequence, version, kind, model] = <[u32; 6]>::decode(&mut from)?;
    if mark != MARK {
        return Err(Problem::WrongCrc);
    }
    // The frame is found by its own length, so that a record of another version or kind can be told from a broken one.
    let end = usize::try_from(length).ok().and_then(|n| n.checked_add(HEADER_LEN));
    let (body, trailer) = end.and_then(|n| slot.split_at_checked(n)).ok_or(Problem::Torn)?;
    match <[u32; 2]>::decode(&mut Reader::new(trailer)) {
        Ok([crc, closing]) if closing == !sequence => {
            if crc != crc32(body) {
                return Err(Problem::WrongCrc);
            }
        }
        _ => return Err(Problem::Torn),
    }
    if version != VERSION {
        return Err(Problem::ForeignVersion);
    }
    if kind != T::KIND || body.len() != HEADER_LEN + T::ENCODED_LEN {
        return Err(Problem::ForeignKind);
    }
    if model != fingerprint {
        return Err(Problem::WrongModel);
    }
    Ok((sequence, T::decode(&mut from)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check value of the catalogue of parametrised CRC algorithms (CRC-32/ISO-HDLC), and that of `zlib` for a longer one.
    #[test]
    fn crc_is_the_one_of_ieee_802_3() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b"The quick brown fox jumps over the lazy dog"), 0x414F_A339);
        assert_eq!(crc32(b""), 0);
        assert_eq!(extend_crc(crc32(b"12345"), b"6789"), 0xCBF4_3926);
    }

    fn round_trip<T: Stored + PartialEq + core::fmt::Debug>(value: T) {
        let mut bytes = [0xaa; 64];
        let mut to = Writer::new(&mut bytes);
        value.encode(&mut to);
        assert!(to.fits());
        let left = to.rest.len();
        assert_eq!(64 - left, T::ENCODED_LEN);
        let mut from = Reader::new(&bytes);
        assert_eq!(T::decode(&mut from), Ok(value));
        assert_eq!(from.rest.len(), left);
    }

    #[test]
    fn every_building_block_comes_back_in_its_length() {
        round_trip(-1.5f32);
        round_trip(i64::MIN + 5);
        round_trip((7u8, 0xbeefu16, u32::MAX));
        round_trip([Some(1.25f32), None, Some(-0.5)]);
        round_trip((true, Some((0.5f32, [1u64 << 40, 3]))));
    }

    #[test]
    fn what_does_not_fit_is_noted() {
        let mut bytes = [0; 6];
        let mut to = Writer::new(&mut bytes);
        1u32.encode(&mut to);
        assert!(to.fits());
        1u32.encode(&mut to);
        assert!(!to.fits());
        assert_eq!(<[u32; 2]>::decode(&mut Reader::new(&bytes)), Err(Problem::TooSmall));
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        for x in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(f32::decode(&mut Reader::new(&x.to_le_bytes())), Err(Problem::Impossible("number")));
        }
        assert_eq!(bool::decode(&mut Reader::new(&[2])), Err(Problem::Impossible("flag")));
        assert!(Option::<u8>::decode(&mut Reader::new(&[3, 0])).is_err());
    }

    #[test]
    fn kinds_differ() {
        let kinds = [
            f32::KIND,
            u32::KIND,
            <(f32, u32)>::KIND,
            <(u32, f32)>::KIND,
            <[f32; 2]>::KIND,
            <[f32; 3]>::KIND,
            Option::<f32>::KIND,
            kind("f32 b", &[]),
        ];
        for (k, a) in kinds.iter().enumerate() {
            assert!(!kinds.iter().skip(k + 1).any(|b| a == b));
        }
    }
}
