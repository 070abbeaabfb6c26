//! The log format of `candump -l` (can-utils): `(1436509052.249713) can0 123#DEADBEEF`, one frame a line.

use std::io::{self, Write};

use bms_can::Frame;

/// The interface that is written.
const INTERFACE: &str = "can0";

/// A line of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Time in s.
    pub time_s: f64,
    /// Identifier.
    pub id: u32,
    /// It has 29 bits.
    pub extended: bool,
    /// The bytes, up to 8, or 64 of CAN FD.
    pub data: Vec<u8>,
}

/// Writes a frame.
///
/// # Errors
/// When it cannot be written.
pub fn write(out: &mut impl Write, time_s: f64, frame: &Frame) -> io::Result<()> {
    write!(out, "({time_s:017.6}) {INTERFACE} {:03X}#", frame.id().as_raw())?;
    for byte in frame.data() {
        write!(out, "{byte:02X}")?;
    }
    writeln!(out)
}

/// Reads a line; none when it is no frame with data (remote and error frames are none).
///
/// ```
/// use bms_sim::can::candump::parse;
/// let line = parse("(1436509052.249713) vcan0 044#2A366C2BBA").unwrap();
/// assert_eq!((line.id, line.extended, line.data.len()), (0x44, false, 5));
/// assert!(parse("(1.0) can0 123#R8").is_none());
/// ```
#[must_use]
pub fn parse(line: &str) -> Option<Line> {
    let (time, rest) = line.trim().strip_prefix('(')?.split_once(')')?;
    let time_s: f64 = time.trim().parse().ok().filter(|t: &f64| t.is_finite())?;
    let mut words = rest.split_whitespace();
    let frame = words.nth(1)?;
    let (id, data) = frame.split_once('#')?;
    // CAN FD has two marks and a digit of flags.
    let data = data.strip_prefix('#').map_or(Some(data), |fd| fd.get(1..))?;
    let extended = id.len() == 8;
    let id = u32::from_str_radix(id, 16).ok()?;
    // Identifiers of error frames have a further bit.
    let most = if extended { 0x1FFF_FFFF } else { 0x7FF };
    let bytes = data.as_bytes();
    if id > most || !bytes.len().is_multiple_of(2) || bytes.len() > 128 {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16);
    let data = bytes.chunks(2).map(|pair| match pair {
        [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
        _ => None,
    });
    Some(Line { time_s, id, extended, data: data.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use bms_can::INVERTER_DBC;
    use proptest::prelude::*;

    use super::*;
    use crate::can::dbc::Database;

    #[test]
    fn lines_of_all_kinds() {
        let line = parse("  (0000000012.000260) can0 18FEF100#FFFF0A  ").unwrap();
        assert!(line.extended && line.id == 0x18FE_F100 && (line.time_s - 12.00026).abs() < 1e-9);
        assert_eq!(line.data, [0xFF, 0xFF, 0x0A]);
        assert_eq!(parse("(1.0) can0 123##1DEADBEEF").unwrap().data, [0xDE, 0xAD, 0xBE, 0xEF]);
        assert!(parse("(1.0) can0 123#").unwrap().data.is_empty());
        for bad in
            ["", "(1.0)", "(x) can0 123#00", "(1.0) can0 123#0", "(1.0) can0 20000080#0000", "(1) can0 GG#00"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,60}", data in "[(][0-9.]{0,6}[)] can0 [0-9A-F]{1,8}#{1,2}[0-9A-FR]{0,20}") {
            let database = Database::parse(&[INVERTER_DBC]).unwrap();
            for line in [parse(&text), parse(&data)].into_iter().flatten() {
                let _ = database.decode(line.id, line.extended, &line.data);
            }
        }
    }
}
