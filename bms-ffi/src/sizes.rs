//! Sizes of the pack that this library is built for, from the environment of the build.

/// A whole number in decimal digits, or what is usual.
const fn parse(text: Option<&str>, usual: usize) -> usize {
    let Some(text) = text else { return usual };
    let mut digits = text.as_bytes();
    let mut number = 0;
    while let [digit, rest @ ..] = digits {
        assert!(digit.is_ascii_digit(), "BMS_CELLS, BMS_SENSORS and BMS_MODULES are whole numbers");
        number = 10 * number + (*digit - b'0') as usize;
        digits = rest;
    }
    number
}

/// Cells or groups in series (environment `BMS_CELLS`, 16 without it).
pub const CELLS: usize = parse(option_env!("BMS_CELLS"), 16);
/// Temperature sensors on cells (environment `BMS_SENSORS`, 6 without it).
pub const SENSORS: usize = parse(option_env!("BMS_SENSORS"), 6);
/// Modules (environment `BMS_MODULES`, 2 without it).
pub const MODULES: usize = parse(option_env!("BMS_MODULES"), 2);

const _: () = assert!(CELLS >= 1 && CELLS <= 1024 && SENSORS >= 1 && SENSORS <= 1024 && MODULES >= 1);
