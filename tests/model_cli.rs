//! `bms model` as a user calls it.
