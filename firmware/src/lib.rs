//! The battery management core on a bare Cortex-M4F: recorded inputs in, results compared bit for bit with the host's,
//! instructions of every step counted.
//!
//! The programs (`src/bin`) are the same source for both machines. Built for the host, a program writes what it computes
//! from a recording; built for `thumbv7em-none-eabihf`, it reads the recording and the host's results over semihosting and
//! compares. `run.sh` does it all.
//!
//! | Module | What it is |
//! |---|---|
//! | [`record`] | recorded samples |
//! | [`digest`] | results as one number |
//! | [`unit`] | what is replayed: [`unit::cell`] one cell, [`unit::pack`] the whole battery management of a pack |
//! | [`search`] | the dearest and the cheapest inputs, by search |
//! | [`app`] | the program around a unit, one for each machine |
//! | [`board`] | semihosting, timer, stack of the board |
//! | [`cells`] | identified cells as constants |
#![no_std]
#![deny(missing_docs)]

pub mod app;
#[cfg(target_os = "none")]
pub mod board;
pub mod cells;
pub mod digest;
pub mod record;
pub mod search;
pub mod unit;
