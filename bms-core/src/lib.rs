//! Battery state estimation for controllers: `no_std`, no heap, no panic, no unsafe code.
//!
//! The parts, in the order in which data flows through them:
//!
//! | Module | What it does |
//! |---|---|
//! | [`measurement`] | what the front end read, each value with its validity |
//! | [`clock`] | time steps from a wrapping millisecond counter |
//! | [`cell`] | parameter tables of one cell type over temperature and SOC, and the voltage they predict |
//! | [`charge`] | exact integer charge counting |
//! | [`ud`] | the covariance in factored form, which cannot lose positive definiteness |
//! | [`tuning`] | the one frozen set of filter constants per chemistry |
//! | [`soc`] | the state-of-charge estimator of one cell (extended Kalman filter) |
//! | [`capacity`] | capacity from windows between rests and full charges |
//! | [`resistance`] | resistance against the new cell's, from the current's edges |
//! | [`thermal`] | core temperature of a cell from its surface, the coolant and its heat |
//! | [`estimator`] | one cell in one step: core temperature, SOC, capacity, resistance |
//! | [`predict`] | voltages ahead under a held current or power |
//! | [`pulse`] | resistances as the driving shows them, apart from the SOC filter |
//! | [`sop`] | state of power: what the cell can give or take for 2, 10 and 30 s |
//! | [`energy`] | state of energy, time to empty, time to full |
//! | [`pack`] | N cells in series that share one current sensor: one full filter and a light one per cell |
//! | [`charging`] | charge current and voltage to ask a charger for: plans, cold, plating, taper, full |
//! | [`preheat`] | warming a cold pack: with what, how much, until when, and what it cost |
//! | [`leak`] | self-discharge of every cell against the others, and which one leaks |
//! | [`temperatures`] | temperatures of every cell of a pack from a few sensors, whose offsets it trims |
//! | [`climate`] | cooling and heating of a pack: one loop for the mean, one for the spread |
//! | [`balance`] | which cells give how much charge, until when: resistors or converters, within heat and limits |
//! | [`bms`] | all of these wired together: one step of a whole pack |
//! | [`safety`] | protection and diagnosis: what is wrong with the pack or its sensors, and what is done about it |
//! | [`parameters`] | all of this as one block of words in flash, written by `bms export` |
//! | [`controller`] | everything in one step: protection, contactors, modes, limits around the [`bms`] |
//! | [`store`] | what was learnt, kept over a power-off in two slots |
//!
//! # Sign and units
//! Current is **positive on discharge**. Volts, amperes, seconds, degrees Celsius, ohms; capacity in ampere-hours;
//! SOC as a fraction 0..1. Arithmetic is `f32`; charge is an integer.
//!
//! # Example
//! ```
//! use bms_core::{cell::CellModel, example, measurement::Measurement, soc::SocEstimator, tuning::Tuning};
//!
//! let model = CellModel::new(example::NMC_5AH)?;    // `const` tables; yours come from `bms identify`
//! let mut estimator = SocEstimator::new(&model, &Tuning::NMC, 5.0, 0.80)?;
//! for _ in 0..60 {
//!     let reading = Measurement::new(3.90, 2.5, 25.0); // volts, amperes (discharge), degC
//!     let estimate = estimator.step(&reading, 1.0);
//!     assert!(estimate.soc.value > 0.0 && estimate.soc.value < 1.0);
//! }
//! # Ok::<(), bms_core::cell::ParameterError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::float_cmp))]

#[cfg(test)]
extern crate std;

mod awtls;
pub mod balance;
pub mod bms;
pub mod capacity;
pub mod cell;
pub mod charge;
pub mod charging;
pub mod climate;
pub mod clock;
pub mod controller;
pub mod energy;
pub mod estimator;
pub mod example;
pub mod leak;
pub mod measurement;
pub mod pack;
pub mod parameters;
pub mod predict;
pub mod preheat;
pub mod pulse;
pub mod resistance;
pub mod safety;
pub mod soc;
pub mod sop;
pub mod store;
pub mod temperatures;
pub mod thermal;
pub mod tuning;
pub mod ud;

mod math;

/// The examples of the README, compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
