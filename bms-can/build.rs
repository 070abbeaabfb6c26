//! Makes the codec from the DBC files: `dbc-codegen` writes it, its bit access is exchanged, what it leaves out is added.
//!
//! Added are the scales (its own conversions cut off instead of rounding, and refuse what is out of range), a way to reach
//! the signals of a multiplexed message by number, and the way from a message to a frame.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, error, fs};

use can_dbc::{Dbc, Message, MultiplexIndicator, Signal, ValDescription};

/// Name of the raw value of what is unknown.
const UNKNOWN: &str = "NotAvailable";

fn main() -> Result<(), Box<dyn error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for name in ["bms", "inverter"] {
        let file = format!("{name}.dbc");
        println!("cargo:rerun-if-changed={file}");
        let text = fs::read_to_string(&file)?;
        dbc_codegen::Config::builder()
            .dbc_name(&file)
            .dbc_content(&text)
            .build()
            .generate()
            .map_err(|e| format!("{file}: {e:#}"))
            .and_then(|code| without_bitvec(&code).map_err(|line| format!("{file}: not understood: {line}")))
            .and_then(|code| fs::write(out.join(format!("{name}.rs")), code).map_err(|e| e.to_string()))?;
        let dbc = Dbc::try_from(text.as_str()).map_err(|e| format!("{file}: {e:?}"))?;
        fs::write(out.join(format!("{name}_scales.rs")), scales(&dbc))?;
        let more = dbc.messages.iter().map(|m| empty(m) + &groups(m)).collect::<String>();
        fs::write(out.join(format!("{name}_more.rs")), more)?;
    }
    Ok(())
}

/// Generated code reads and writes bits through the crate `bitvec`. What it may panic with is never reached, but no linker
/// can know that; [`crate::bits`] does the same without. The error is a line that could not be changed.
fn without_bitvec(code: &str) -> Result<String, String> {
    let mut text = String::new();
    for line in code.lines() {
        let changed = if line.trim() == "use bitvec::prelude::*;" {
            "use crate::bits;".into()
        } else if let Some((before, from, to, after)) = range(line, "self.raw.view_bits::<Lsb0>()[") {
            let (kind, after) = after
                .strip_prefix(".load_le::<")
                .and_then(|a| a.split_once(">()"))
                .ok_or_else(|| line.to_owned())?;
            format!("{before}bits::load::<{kind}, _>(&self.raw, {from}, {to}){after}")
        } else if let Some((before, from, to, after)) = range(line, "self.raw.view_bits_mut::<Lsb0>()[") {
            let value = after.strip_prefix(".store_le(").ok_or_else(|| line.to_owned())?;
            format!("{before}bits::store(&mut self.raw, {from}, {to}, {value}")
        } else if let Some((before, array)) = line.split_once("BitArray::<_, LocalBits>::new(") {
            format!("{before}({array}")
        } else {
            line.replace("b0.bitor(b1).into_inner()", "bits::or(b0, b1)")
        };
        if ["bitvec", "view_bits", "Lsb0", "BitArray", "bitor("].iter().any(|word| changed.contains(word)) {
            return Err(line.to_owned());
        }
        text += &changed;
        text.push('\n');
    }
    Ok(text)
}

/// Splits `BEFORE call FROM..TO] AFTER`.
fn range<'a>(line: &'a str, call: &str) -> Option<(&'a str, &'a str, &'a str, &'a str)> {
    let (before, rest) = line.split_once(call)?;
    let (from, rest) = rest.split_once("..")?;
    let (to, after) = rest.split_once(']')?;
    Some((before, from, to, after))
}

/// A message of zeros to begin with, and the way to a frame.
fn empty(message: &Message) -> String {
    let (name, size, id) = (&message.name, message.size, message.id.raw());
    format!(
        "impl {name} {{\n/// All bits 0.\npub const EMPTY: Self = Self {{ raw: [0; {size}] }};\n}}\n\
         impl From<[u8; {size}]> for {name} {{\nfn from(raw: [u8; {size}]) -> Self {{\nSelf {{ raw }}\n}}\n}}\n\
         impl From<{name}> for crate::Frame {{\nfn from(message: {name}) -> Self {{\n\
         const ID: StandardId = StandardId::new({id}).unwrap();\nSelf::sized(ID, &message.raw)\n}}\n}}\n"
    )
}

/// A constant for each signal.
fn scales(dbc: &Dbc) -> String {
    let mut text = String::new();
    for message in &dbc.messages {
        for signal in &message.signals {
            let (factor, offset) = (signal.factor, signal.offset);
            let raw = |physical: f64| ((physical - offset) / factor).round();
            let unknown =
                unknown(dbc, message, signal).map_or_else(|| "None".into(), |v| format!("Some({v})"));
            let name = format!("{}_{}", upper(&message.name), upper(&signal.name));
            let (message, signal_name) = (&message.name, &signal.name);
            let (min, max) = (raw(numeric(&signal.min)), raw(numeric(&signal.max)));
            let _ = writeln!(
                text,
                "/// `{signal_name}` of `{message}`.\npub const {name}: Scale = \
                 Scale {{ factor: {factor:?}, offset: {offset:?}, min: {min}, max: {max}, unknown: {unknown} }};"
            );
        }
    }
    text
}

/// The raw value of what is unknown.
fn unknown(dbc: &Dbc, message: &Message, signal: &Signal) -> Option<i64> {
    dbc.value_descriptions.iter().find_map(|v| match v {
        can_dbc::ValueDescription::Signal { message_id, name, value_descriptions }
            if *message_id == message.id && *name == signal.name =>
        {
            let of_unknown = |d: &&ValDescription| d.description == UNKNOWN;
            value_descriptions.iter().find(of_unknown).map(|d| d.id)
        }
        _ => None,
    })
}

/// Two functions for a multiplexed message: its frame from a group's raw values, and these from a frame.
fn groups(message: &Message) -> String {
    let mut by_group = std::collections::BTreeMap::<u64, Vec<&Signal>>::new();
    for signal in &message.signals {
        if let MultiplexIndicator::MultiplexedSignal(group) = signal.multiplexer_indicator {
            by_group.entry(group).or_default().push(signal);
        }
    }
    let Some(width) = by_group.values().map(Vec::len).max() else { return String::new() };
    let (name, snake) = (&message.name, snake(&message.name));
    let (mut write, mut read) = (String::new(), String::new());
    for (group, signals) in &by_group {
        let (mut set, mut get) = (String::new(), String::new());
        for (k, signal) in signals.iter().enumerate() {
            let signal = self::snake(&signal.name);
            let _ = write!(set, "m.set_{signal}_raw_val(raw[{k}]);");
            let _ = write!(get, "m.{signal}_raw_val(),");
        }
        let _ = writeln!(write, "{group} => {{ let mut m = {name}GroupM{group}::new(); {set} m.raw }}");
        let _ = writeln!(read, "{name}GroupIndex::M{group}(m) => [{get}],");
    }
    format!(
        "/// A `{name}` message with the raw values of a group; none for a group that there is not.\n\
         pub fn {snake}_of(group: u8, raw: [u16; {width}]) -> Option<{name}> {{\n\
         let raw = match group {{\n{write} _ => return None,\n}};\n\
         let mut frame = {name} {{ raw }};\nframe.set_group_raw_val(group);\nSome(frame)\n}}\n\
         /// The raw values of a `{name}` message.\n\
         pub fn {snake}_raw(mut frame: {name}) -> Option<(u8, [u16; {width}])> {{\n\
         let group = frame.group_raw_val();\n\
         Some((group, match frame.group_multiplexed().ok()? {{\n{read}\n}}))\n}}\n"
    )
}

fn numeric(value: &can_dbc::NumericValue) -> f64 {
    match value {
        can_dbc::NumericValue::Uint(x) => *x as f64,
        can_dbc::NumericValue::Int(x) => *x as f64,
        can_dbc::NumericValue::Double(x) => *x,
    }
}

/// `CellVoltage000` as `cell_voltage000`, as the generator has it.
fn snake(name: &str) -> String {
    let mut text = String::new();
    for (k, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && k > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn upper(name: &str) -> String {
    snake(name).to_uppercase()
}
