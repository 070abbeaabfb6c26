//! `bms decode`: logs of firmware.

use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use bms_can::{BMS_DBC, Frame, INVERTER_DBC};
use bms_core::safety::table::Diagnosis;
use bms_sim::can::candump;
use bms_sim::can::dbc::Database;
use bms_wire::Decoder;
use embedded_can::StandardId;
use serde_json::{Map, Value, json};

use super::Verdict;
use super::args::DecodeArgs;

/// One thing that a log tells.
struct Item<'a> {
    name: &'a str,
    value: Value,
    unit: &'a str,
    label: Option<&'a str>,
}

/// Prints what a log says.
pub(super) fn run(args: &DecodeArgs, quiet: bool) -> Result<Verdict> {
    let bytes = read(&args.log)?;
    let mut printer = Printer::new(args);
    let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
    let told = if first == Some(&b'(') {
        candump_log(args, &bytes, &mut printer)?
    } else if args.dbc.is_empty() {
        wire_log(&bytes, &mut printer)?
    } else {
        bail!("{}: not a candump log, for which DBC files are", args.log.display());
    };
    printer.out.flush()?;
    let Some(told) = told else { bail!("{}: nothing in it can be read", args.log.display()) };
    if !quiet {
        writeln!(io::stderr(), "{told}")?;
    }
    Ok(Verdict::Met)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).context("cannot read the standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Frames of a bus; what to tell of them, or none when there is none.
fn candump_log(args: &DecodeArgs, bytes: &[u8], printer: &mut Printer<'_>) -> Result<Option<String>> {
    let texts: Vec<String> = if args.dbc.is_empty() {
        vec![BMS_DBC.into(), INVERTER_DBC.into()]
    } else {
        let read = |path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", Path::display(path)))
        };
        args.dbc.iter().map(|path| read(path)).collect::<Result<_>>()?
    };
    let database = Database::parse(&texts.iter().map(String::as_str).collect::<Vec<_>>())
        .with_context(|| args.dbc.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))?;
    let [mut frames, mut unknown, mut damaged, mut lines] = [0_u64; 4];
    for line in bytes.split(|b| *b == b'\n') {
        let text = String::from_utf8_lossy(line);
        if text.trim().is_empty() {
            continue;
        }
        let Some(line) = candump::parse(&text) else {
            lines += 1;
            continue;
        };
        let Some(decoded) = database.decode(line.id, line.extended, &line.data) else {
            unknown += 1;
            continue;
        };
        frames += 1;
        // Messages of other files may have a signal of this name with another meaning.
        let protected = args.dbc.is_empty() && decoded.signals.iter().any(|s| s.name == "Crc");
        let id = u16::try_from(line.id).ok().and_then(StandardId::new);
        if protected && !id.and_then(|id| Frame::new(id, &line.data)).is_some_and(|f| f.heard().sound) {
            damaged += 1;
            continue;
        }
        let items = decoded
            .signals
            .iter()
            .map(|s| Item { name: s.name, value: json!(round(s.value)), unit: s.unit, label: s.label })
            .collect();
        printer.print(line.time_s, decoded.message, items)?;
    }
    let told = format!(
        "{frames} frames, {damaged} of them damaged, {unknown} with identifiers that no DBC file has, {lines} lines that \
         are no frames"
    );
    Ok((frames > 0).then_some(told))
}

/// Records of a serial line; what to tell of them, or none when there is none.
fn wire_log(bytes: &[u8], printer: &mut Printer<'_>) -> Result<Option<String>> {
    let mut decoder = Decoder::new();
    let mut last_s = 0.0;
    for byte in bytes {
        let Some(Ok(record)) = decoder.push(*byte) else { continue };
        // An enum with a structure in it: {"Estimates": {...}}.
        let Value::Object(outer) = serde_json::to_value(record)? else { continue };
        for (kind, fields) in &outer {
            let Value::Object(fields) = fields else { continue };
            // Questions and answers have no time of their own.
            last_s = fields.get("time_ms").and_then(Value::as_f64).map_or(last_s, |ms| ms / 1000.0);
            let without_time = fields.iter().filter(|(name, _)| *name != "time_ms");
            let items = without_time
                .map(|(name, value)| Item {
                    name,
                    value: short(value),
                    unit: "",
                    label: label(kind, name, value),
                })
                .collect();
            printer.print(last_s, kind, items)?;
        }
    }
    let (good, bad) = (decoder.good(), decoder.bad());
    let rest = if decoder.is_within_frame() { ", and the beginning of one" } else { "" };
    Ok((good > 0).then(|| format!("{good} records, {bad} damaged frames{rest}")))
}

/// Name of a diagnosis by its number.
fn label(kind: &str, name: &str, value: &Value) -> Option<&'static str> {
    let number = value.as_u64().filter(|_| kind == "Diagnosis" && name == "number")?;
    Some(Diagnosis::from_number(u8::try_from(number).ok()?)?.entry().name)
}

/// The number as single precision has it, without the digits that come from making it a double.
fn short(value: &Value) -> Value {
    match value {
        Value::Number(n) if n.is_f64() => n.as_f64().map_or(Value::Null, |x| {
            format!("{}", x as f32).parse::<f64>().map_or(Value::Null, |x| json!(x))
        }),
        other => other.clone(),
    }
}

/// Without the digits that come from binary fractions.
fn round(x: f64) -> f64 {
    (x * 1e9).round() / 1e9
}

struct Printer<'a> {
    args: &'a DecodeArgs,
    out: io::BufWriter<io::StdoutLock<'static>>,
    begun: bool,
}

impl<'a> Printer<'a> {
    fn new(args: &'a DecodeArgs) -> Self {
        Self { args, out: io::BufWriter::new(io::stdout().lock()), begun: false }
    }

    fn print(&mut self, time_s: f64, name: &str, mut items: Vec<Item<'_>>) -> Result<()> {
        let only = &self.args.only;
        let wanted = |name: &str| only.is_empty() || only.iter().any(|text| name.contains(text.as_str()));
        if !wanted(name) {
            items.retain(|i| wanted(i.name));
            if items.is_empty() {
                return Ok(());
            }
        }
        let text = |i: &Item<'_>| match &i.value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            // Whole numbers without a point.
            Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |x| x.to_string()),
            other => other.to_string(),
        };
        if self.args.csv {
            let mut csv = csv::Writer::from_writer(&mut self.out);
            if !self.begun {
                csv.write_record(["time_s", "message", "signal", "value", "unit", "name"])?;
            }
            for i in &items {
                let (time, value) = (format!("{time_s:.6}"), text(i));
                csv.write_record([time.as_str(), name, i.name, &value, i.unit, i.label.unwrap_or_default()])?;
            }
            csv.flush()?;
        } else if self.args.json {
            let values: Map<String, Value> = items
                .into_iter()
                .map(|i| (i.name.to_owned(), i.label.map_or(i.value, |label| label.into())))
                .collect();
            serde_json::to_writer(
                &mut self.out,
                &json!({ "time_s": round(time_s), "message": name, "signals": values }),
            )
            .map_err(io::Error::from)?;
            writeln!(self.out)?;
        } else {
            write!(self.out, "{time_s:12.3} {name:<24}")?;
            for i in &items {
                match i.label {
                    Some(label) => write!(self.out, " {}={label}", i.name)?,
                    None => {
                        let space = if i.unit.is_empty() { "" } else { " " };
                        write!(self.out, " {}={}{space}{}", i.name, text(i), i.unit)?;
                    }
                }
            }
            writeln!(self.out)?;
        }
        self.begun = true;
        Ok(())
    }
}
