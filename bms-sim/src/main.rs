//! The command line `bms`.
fn main() {}
