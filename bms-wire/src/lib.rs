//! Log records and calibration over a serial line: `no_std`, no heap, no unsafe code.
//!
//! A record goes over the line as `COBS(version, postcard(record), CRC-32) 0`:
//!
//! * [postcard](https://postcard.jamesmunns.com/wire-format) writes the fields one after another, whole numbers as varints;
//! * the CRC is CRC-32/ISO-HDLC over version and record, low byte first; it finds every damage of up to 32 neighbouring bits;
//! * COBS takes all zeros out, so that a 0 ends a frame and a receiver is in step again at the next one.
//!
//! Source: Cheshire and Baker (1999), "Consistent overhead byte stuffing", IEEE/ACM Trans. Netw. 7.
//!
//! ```
//! use bms_wire::{Decoder, Estimates, MAX_FRAME, Record, encode};
//!
//! let record = Record::Estimates(Estimates { time_ms: 1500, soc: 0.62, ..Estimates::default() });
//! let mut buffer = [0; MAX_FRAME];
//! let sent = encode(&record, &mut buffer)?;
//!
//! let mut decoder = Decoder::new();
//! let mut received = 0;
//! for byte in [0x17, 0x00].iter().chain(sent) { // the end of a frame that began before somebody listened
//!     if let Some(Ok(Record::Estimates(e))) = decoder.push(*byte) {
//!         assert_eq!((e.time_ms, e.soc), (1500, 0.62));
//!         received += 1;
//!     }
//! }
//! assert_eq!((received, decoder.bad()), (1, 1));
//! # Ok::<(), bms_wire::WireError>(())
//! ```
//!
//! # Versions
//! New kinds of records are added at the end of [`Record`]: an older receiver counts them as bad and goes on. Whatever else
//! changes makes a new [`VERSION`], which an older receiver refuses by name ([`WireError::Version`]).
#![no_std]
#![forbid(unsafe_code)]

use bms_core::store::crc32;
use serde::{Deserialize, Serialize};

/// Version of the records.
pub const VERSION: u8 = 1;
/// Most bytes of a frame with its end; names of parameters have room for 64 bytes.
pub const MAX_FRAME: usize = 128;
/// Stands for the number of a cell where none is meant.
pub const NO_CELL: u16 = u16::MAX;

/// Bytes of the check sum.
const CRC_BYTES: usize = 4;

/// What goes over the line. A number that is unknown is a NaN.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Record<'a> {
    /// Who begins to send.
    #[serde(borrow)]
    Start(Start<'a>),
    /// What is estimated, now and then.
    Estimates(Estimates),
    /// What was learnt, now and then.
    Learnt(Learnt),
    /// A diagnosis entry is set or cleared.
    Diagnosis(Diagnosis),
    /// A question to the firmware.
    #[serde(borrow)]
    Ask(Ask<'a>),
    /// Its answer.
    Answer(Answer),
}

/// Who begins to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start<'a> {
    /// Name and version of the firmware, at most 64 bytes.
    pub firmware: &'a str,
    /// Cells or groups in series.
    pub cells: u16,
    /// Temperature sensors.
    pub sensors: u16,
}

/// What is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    /// Time since the start in ms.
    pub time_ms: u64,
    /// Voltage of the pack in V.
    pub voltage_v: f32,
    /// Current in A, positive on discharge.
    pub current_a: f32,
    /// State of charge (fraction).
    pub soc: f32,
    /// Its standard deviation.
    pub soc_std: f32,
    /// Lowest cell voltage in V.
    pub min_cell_v: f32,
    /// Highest cell voltage in V.
    pub max_cell_v: f32,
    /// Coldest core in degC.
    pub min_core_c: f32,
    /// Hottest core in degC.
    pub max_core_c: f32,
    /// Power in W that may be taken for 10 s.
    pub discharge_limit_w: f32,
    /// Power in W that may be put in for 10 s; a magnitude.
    pub charge_limit_w: f32,
    /// Charge current in A that is asked for.
    pub charge_request_a: f32,
}

impl Default for Estimates {
    fn default() -> Self {
        let none = f32::NAN;
        Self {
            time_ms: 0,
            voltage_v: none,
            current_a: none,
            soc: none,
            soc_std: none,
            min_cell_v: none,
            max_cell_v: none,
            min_core_c: none,
            max_core_c: none,
            discharge_limit_w: none,
            charge_limit_w: none,
            charge_request_a: none,
        }
    }
}

/// What was learnt, each with its standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    /// Time since the start in ms.
    pub time_ms: u64,
    /// Capacity in Ah.
    pub capacity_ah: f32,
    /// See [`Self::capacity_ah`].
    pub capacity_std_ah: f32,
    /// Resistance over that of the new pack.
    pub resistance_factor: f32,
    /// See [`Self::resistance_factor`].
    pub resistance_factor_std: f32,
    /// What the current sensor reads too much on discharge, in A.
    pub current_offset_a: f32,
    /// See [`Self::current_offset_a`].
    pub current_offset_std_a: f32,
}

impl Default for Learnt {
    fn default() -> Self {
        let none = f32::NAN;
        Self {
            time_ms: 0,
            capacity_ah: none,
            capacity_std_ah: none,
            resistance_factor: none,
            resistance_factor_std: none,
            current_offset_a: none,
            current_offset_std_a: none,
        }
    }
}

/// A diagnosis entry is set or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Time since the start in ms.
    pub time_ms: u64,
    /// Number of the entry.
    pub number: u8,
    /// Set, or cleared.
    pub set: bool,
    /// Cell or sensor that it is about; [`NO_CELL`] for none.
    pub cell: u16,
    /// What was found …
    pub value: f32,
    /// … and the limit that it was held against.
    pub limit: f32,
}

/// A question about a parameter by its name; which ones there are is the firmware's own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ask<'a> {
    /// Number of the question, which comes back with the answer.
    pub question: u16,
    /// Name of the parameter, at most 64 bytes.
    pub parameter: &'a str,
    /// The value to set; `None` to read it.
    pub set: Option<Value>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Number of the question.
    pub question: u16,
    /// The parameter's value (after it was set), or why there is none.
    pub result: Result<Value, Refusal>,
}

/// Value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// A number with a unit.
    Number(f32),
    /// A whole number.
    Whole(i32),
    /// Yes or no.
    Flag(bool),
}

/// Why a parameter is neither told nor set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no parameter of this name.
    NoSuchParameter,
    /// It has another kind of value.
    WrongKind,
    /// The value is out of its range.
    OutOfRange,
    /// It cannot be set.
    ReadOnly,
    /// Not while the pack does what it does.
    NotNow,
}

/// Why a frame cannot be made or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The record is longer than the buffer.
    BufferFull,
    /// The frame is longer than [`MAX_FRAME`].
    TooLong,
    /// The bytes are no frame.
    Framing,
    /// The check sum is wrong.
    CheckSum,
    /// The sender speaks this version.
    Version(u8),
    /// The record is of a kind that is not known here.
    Content,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::BufferFull => "the record does not fit into the buffer",
            Self::TooLong => "the frame is too long",
            Self::Framing => "the bytes are no frame",
            Self::CheckSum => "the check sum is wrong",
            Self::Version(_) => "the sender speaks another version",
            Self::Content => "a record of a kind that is not known here",
        })
    }
}

impl core::error::Error for WireError {}

/// Writes the frame of a record with its ending 0.
///
/// # Errors
/// [`WireError::BufferFull`]; [`MAX_FRAME`] bytes are enough for names of up to 64 bytes.
pub fn encode<'b>(record: &Record<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], WireError> {
    let full = WireError::BufferFull;
    // Room for the first distance, and for check sum and end.
    let room = buffer.len().min(MAX_FRAME).checked_sub(1 + CRC_BYTES + 1).ok_or(full)?;
    let body = buffer.get_mut(1..=room).ok_or(full)?;
    let length = postcard::to_slice(&(VERSION, record), body).map_err(|_| full)?.len();
    let sum = crc32(body.get(..length).ok_or(full)?).to_le_bytes();
    let frame = buffer.get_mut(..1 + length + CRC_BYTES + 1).ok_or(full)?;
    let (end, stuffed) = frame.split_last_mut().ok_or(full)?;
    *end = 0;
    *stuffed.last_chunk_mut().ok_or(full)? = sum;
    stuff(stuffed);
    Ok(frame)
}

/// Puts the distance to the next zero (or to the end) in the place of each zero, the first of which is the first byte.
fn stuff(frame: &mut [u8]) {
    if let Some(first) = frame.first_mut() {
        *first = 0;
    }
    let mut distance = 1_u8;
    for byte in frame.iter_mut().rev() {
        if *byte == 0 {
            (*byte, distance) = (distance, 1);
        } else {
            // A frame is shorter than the 254 bytes from which on COBS needs more than this.
            distance = distance.wrapping_add(1);
        }
    }
}

/// Undoes [`stuff`]; none when the distances do not end where the frame does.
fn unstuff(frame: &mut [u8]) -> Option<&[u8]> {
    let (first, rest) = frame.split_first_mut()?;
    let mut distance = *first;
    for byte in rest.iter_mut() {
        distance = distance.wrapping_sub(1);
        if distance == 0 {
            distance = core::mem::take(byte);
        }
    }
    (distance == 1).then_some(rest)
}

/// Finds frames in a stream of bytes that may begin anywhere and may be damaged.
#[derive(Debug, Clone)]
pub struct Decoder {
    buffer: [u8; MAX_FRAME],
    length: usize,
    good: u32,
    bad: u32,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Waits for a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: [0; MAX_FRAME], length: 0, good: 0, bad: 0 }
    }

    /// Takes in a byte; says what it ends: a record, or a frame that is of no use.
    ///
    /// # Errors
    /// (in the option) why the frame is of no use; the decoder goes on with the next one.
    pub fn push(&mut self, byte: u8) -> Option<Result<Record<'_>, WireError>> {
        if byte != 0 {
            if let Some(place) = self.buffer.get_mut(self.length) {
                *place = byte;
            }
            self.length = self.length.saturating_add(1);
            return None;
        }
        let length = core::mem::take(&mut self.length);
        if length == 0 {
            // Zeros between frames do no harm.
            return None;
        }
        let result = match self.buffer.get_mut(..length) {
            Some(frame) => decode(frame),
            None => Err(WireError::TooLong),
        };
        let count = if result.is_ok() { &mut self.good } else { &mut self.bad };
        *count = count.saturating_add(1);
        Some(result)
    }

    /// Records so far.
    #[must_use]
    pub const fn good(&self) -> u32 {
        self.good
    }

    /// Frames so far that were of no use.
    #[must_use]
    pub const fn bad(&self) -> u32 {
        self.bad
    }

    /// The stream has ended within a frame.
    #[must_use]
    pub const fn is_within_frame(&self) -> bool {
        self.length > 0
    }
}

/// The record of a frame without its ending 0.
fn decode(frame: &mut [u8]) -> Result<Record<'_>, WireError> {
    let (body, sum) =
        unstuff(frame).and_then(|f| f.split_last_chunk::<CRC_BYTES>()).ok_or(WireError::Framing)?;
    if crc32(body) != u32::from_le_bytes(*sum) {
        return Err(WireError::CheckSum);
    }
    let (version, body) = body.split_first().ok_or(WireError::Framing)?;
    if *version != VERSION {
        return Err(WireError::Version(*version));
    }
    match postcard::take_from_bytes(body) {
        Ok((record, [])) => Ok(record),
        _ => Err(WireError::Content),
    }
}
