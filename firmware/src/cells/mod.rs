//! Cells identified from the default data, as constants for firmware. Written by
//! `bms identify --dataset data/SET/soh100 -o cell.toml` and `bms export --cell cell.toml --rust FILE`.

#![allow(clippy::approx_constant)] // a voltage may look like a constant of mathematics

pub mod lfp_bpx;
pub mod nmc_m50;
