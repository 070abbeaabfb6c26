//! CAN messages of the battery management system: `no_std`, no heap, no unsafe code.
//!
//! | Module | What it does |
//! |---|---|
//! | [`report`] | everything that the pack tells, as messages of `bms.dbc` |
//! | [`command`] | what the vehicle asks for, both ways |
//! | [`Frame`] | bytes with an identifier, protected by [`bms_core::safety::link`] |
//! | [`inverter`] | what inverters of stationary packs expect (Victron, Pylontech), `inverter.dbc` |
//! | [`scale`] | numbers with units to raw values and back |
//! | [`bms`], [`mod@inverter::codec`] | the codec that is made from the DBC files when this crate is built |
//!
//! The two DBC files are the single source: [`BMS_DBC`] and [`INVERTER_DBC`] hold their text. `dbc-codegen` makes a type for
//! each message with a getter and a setter for each raw value; everything here goes through these. Numbers with units go
//! through [`scale::Scale`], whose constants are made from the same files: **out of range is sent as the nearest end of the
//! range, unknown (a NaN) as the raw value `NotAvailable`**.
//!
//! Current is positive on discharge, as everywhere in this project; inverters get it positive on charge.
//!
//! ```
//! use bms_can::report::{Report, Sender};
//! use bms_core::measurement::Reading;
//!
//! let cells = [Reading::within(3.7, 0.0, 5.0); 96];
//! let report = Report { pack_voltage_v: 355.2, current_a: 12.5, cell_voltage_v: &cells, ..Report::default() };
//! let mut sender = Sender::default();
//! let mut count = 0;
//! sender.fast(&report, &mut |frame| {
//!     // Hand `frame.id()` and `frame.data()` to the CAN driver.
//!     assert!(frame.data().len() <= 8);
//!     count += 1;
//! });
//! assert_eq!(count, 7);
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod bits;
pub mod command;
mod frame;
pub mod inverter;
pub mod report;
pub mod scale;

pub use frame::Frame;

/// Text of `bms.dbc`: the pack's own messages.
pub const BMS_DBC: &str = include_str!("../bms.dbc");
/// Text of `inverter.dbc`: the messages of [`inverter`].
pub const INVERTER_DBC: &str = include_str!("../inverter.dbc");

/// Version of `bms.dbc`, which is sent as `ProtocolVersion`.
pub const PROTOCOL_VERSION: u8 = 1;

/// The codec of `bms.dbc` as `dbc-codegen` makes it: one type for each message, and `Messages` for all of them. Only its access
/// to single bits is exchanged, for one without an index: `proofs/run.sh` shows that no panic can be reached.
///
/// Use the raw values (`..._raw_val`) together with [`scale::bms`]: the generated conversions to numbers with units cut off
/// instead of rounding. `Frame::new_remote` of these types must not be called: remote frames are not supported.
#[allow(missing_docs, missing_debug_implementations, warnings, clippy::all, clippy::doc_markdown)]
pub mod bms {
    include!(concat!(env!("OUT_DIR"), "/bms.rs"));
    include!(concat!(env!("OUT_DIR"), "/bms_more.rs"));
}
