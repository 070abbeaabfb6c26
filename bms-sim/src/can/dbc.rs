//! Frames of any bus to signals, as DBC files say.

use std::collections::BTreeMap;

use can_dbc::{ByteOrder, Dbc, MessageId, MultiplexIndicator, ValueType};
use thiserror::Error;

/// A text that is no DBC file.
#[derive(Debug, Error)]
#[error("not a DBC file: {0}")]
pub struct DbcError(String);

/// Messages of some DBC files.
#[derive(Debug, Clone, Default)]
pub struct Database {
    messages: BTreeMap<(bool, u32), Message>,
}

#[derive(Debug, Clone)]
struct Message {
    name: String,
    signals: Vec<Signal>,
}

#[derive(Debug, Clone)]
struct Signal {
    name: String,
    unit: String,
    multiplexor: bool,
    /// Value of the multiplexor with which it is there.
    group: Option<u64>,
    start: u64,
    size: u64,
    big_endian: bool,
    signed: bool,
    factor: f64,
    offset: f64,
    labels: BTreeMap<i64, String>,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<'a> {
    /// Name of the message.
    pub message: &'a str,
    /// Its signals, without those that the frame is too short for.
    pub signals: Vec<SignalValue<'a>>,
}

/// One signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignalValue<'a> {
    /// Name.
    pub name: &'a str,
    /// Unit, which may be empty.
    pub unit: &'a str,
    /// Value in that unit.
    pub value: f64,
    /// What the file calls this value.
    pub label: Option<&'a str>,
}

impl Database {
    /// Reads the texts of DBC files. Where two have the same identifier, the later counts.
    ///
    /// ```
    /// use bms_sim::can::dbc::Database;
    /// let database = Database::parse(&[bms_can::BMS_DBC, bms_can::INVERTER_DBC])?;
    /// let frame = database.decode(0x355, false, &[0x1A, 0, 0x64, 0]).unwrap();
    /// assert_eq!((frame.message, frame.signals[0].name, frame.signals[0].value), ("InverterState", "Soc", 26.0));
    /// # Ok::<(), bms_sim::can::dbc::DbcError>(())
    /// ```
    ///
    /// # Errors
    /// [`DbcError`] tells where a text is no DBC file.
    pub fn parse(texts: &[&str]) -> Result<Self, DbcError> {
        let mut all = Self::default();
        for text in texts {
            let dbc = Dbc::try_from(*text).map_err(|e| DbcError(e.to_string()))?;
            for message in &dbc.messages {
                let id = match message.id {
                    MessageId::Standard(id) => (false, id.into()),
                    MessageId::Extended(id) => (true, id),
                };
                let signals = message.signals.iter().map(|s| Signal::new(&dbc, message.id, s)).collect();
                all.messages.insert(id, Message { name: message.name.clone(), signals });
            }
        }
        Ok(all)
    }

    /// What a frame says; none when no file knows its identifier.
    #[must_use]
    pub fn decode(&self, id: u32, extended: bool, data: &[u8]) -> Option<Decoded<'_>> {
        let message = self.messages.get(&(extended, id))?;
        let group = message.signals.iter().find(|s| s.multiplexor).and_then(|s| s.bits(data));
        let here = |s: &&Signal| s.group.is_none_or(|g| Some(g) == group);
        let signals = message.signals.iter().filter(here).filter_map(|s| s.value(data)).collect();
        Some(Decoded { message: &message.name, signals })
    }
}

impl Signal {
    fn new(dbc: &Dbc, id: MessageId, signal: &can_dbc::Signal) -> Self {
        let labels = dbc.value_descriptions_for_signal(id, &signal.name).unwrap_or_default();
        Self {
            name: signal.name.clone(),
            unit: signal.unit.clone(),
            multiplexor: matches!(
                signal.multiplexer_indicator,
                MultiplexIndicator::Multiplexor | MultiplexIndicator::MultiplexorAndMultiplexedSignal(_)
            ),
            group: match signal.multiplexer_indicator {
                MultiplexIndicator::MultiplexedSignal(group)
                | MultiplexIndicator::MultiplexorAndMultiplexedSignal(group) => Some(group),
                MultiplexIndicator::Plain | MultiplexIndicator::Multiplexor => None,
            },
            start: signal.start_bit,
            size: signal.size,
            big_endian: signal.byte_order == ByteOrder::BigEndian,
            signed: signal.value_type == ValueType::Signed,
            factor: signal.factor,
            offset: signal.offset,
            labels: labels.iter().map(|l| (l.id, l.description.clone())).collect(),
        }
    }

    /// Its bits as a number; none when the frame does not hold them.
    fn bits(&self, data: &[u8]) -> Option<u64> {
        if !(1..=64).contains(&self.size) {
            return None;
        }
        let bit = |at: u64| {
            let byte = data.get(usize::try_from(at / 8).ok()?)?;
            Some(u64::from(byte >> (at % 8) & 1))
        };
        let mut bits = 0;
        if self.big_endian {
            // From the highest bit on: down within a byte, then at the top of the next.
            let mut at = self.start;
            for _ in 0..self.size {
                bits = bits << 1 | bit(at)?;
                at = if at.is_multiple_of(8) { at.checked_add(15)? } else { at - 1 };
            }
        } else {
            for k in (0..self.size).rev() {
                bits = bits << 1 | bit(self.start.checked_add(k)?)?;
            }
        }
        Some(bits)
    }

    fn value(&self, data: &[u8]) -> Option<SignalValue<'_>> {
        let bits = self.bits(data)?;
        let unused = 64 - self.size;
        let (raw, label) = if self.signed {
            let raw = (bits << unused) as i64 >> unused;
            (raw as f64, Some(raw))
        } else {
            (bits as f64, i64::try_from(bits).ok())
        };
        let label = label.and_then(|raw| self.labels.get(&raw)).map(String::as_str);
        let value = raw * self.factor + self.offset;
        Some(SignalValue { name: &self.name, unit: &self.unit, value, label })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `motohawk.dbc` and its frame of cantools' README: big-endian signals, one of them over two bytes and signed.
    #[test]
    fn big_endian_signals_as_cantools_has_them() {
        let text = "VERSION \"1.0\"\n\nNS_ :\n\nBS_:\n\nBU_: PCM1 FOO\n\nBO_ 496 ExampleMessage: 8 PCM1\n \
             SG_ Temperature : 0|12@0- (0.01,250) [229.53|270.47] \"degK\" PCM1,FOO\n \
             SG_ AverageRadius : 6|6@0+ (0.1,0) [0|5] \"m\" Vector__XXX\n \
             SG_ Enable : 7|1@0+ (1,0) [0|0] \"-\" Vector__XXX\n\n\
             VAL_ 496 Enable 1 \"Enabled\" 0 \"Disabled\" ;\n";
        let database = Database::parse(&[text]).unwrap();
        let data = [0xC0, 0x06, 0xE0, 0, 0, 0, 0, 0];
        let decoded = database.decode(496, false, &data).unwrap();
        let of = |name: &str| *decoded.signals.iter().find(|s| s.name == name).unwrap();
        assert!((of("Temperature").value - 250.55).abs() < 1e-9, "{:?}", of("Temperature"));
        assert!((of("AverageRadius").value - 3.2).abs() < 1e-9);
        assert_eq!((of("Enable").value, of("Enable").label), (1.0, Some("Enabled")));
        // What the frame is too short for is left out.
        assert_eq!(database.decode(496, false, &data[..1]).unwrap().signals.len(), 2);
        assert_eq!(database.decode(496, true, &data), None);
        assert!(Database::parse(&["no dbc"]).is_err());
    }
}
