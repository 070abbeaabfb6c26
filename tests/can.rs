//! What a simulated pack sends, and `bms decode`, as a user calls them.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{bms, ok, refused, root};
use serde_json::Value;
use tempfile::tempdir;

/// Runs a short scenario of the small store with both logs.
fn simulate(dir: &Path, more: &[&str]) -> [String; 2] {
    simulate_with(dir, "", more)
}

/// The same with a fault.
fn simulate_with(dir: &Path, fault: &str, more: &[&str]) -> [String; 2] {
    let pack = root().join("packs/storage_lfp_16s.toml").canonicalize().unwrap();
    let scenario = dir.join("short.toml");
    let text = format!(
        "format_version = 1\ntitle = \"Short\"\npack = \"{}\"\nseed = 5\nambient_c = 20.0\n\
         start = {{ soc = 0.6, rested = false }}\n\
         [[phase]]\nkind = \"constant\"\nc_rate = 0.5\nduration = \"20s\"\n\
         [[phase]]\nkind = \"charge\"\nmode = \"normal\"\nduration = \"20s\"\n{fault}",
        pack.display()
    );
    fs::write(&scenario, text).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let [can, wire] = [path("logs/run.log"), path("logs/run.wire")];
    let (scenario, out) = (scenario.display().to_string(), path("out"));
    let mut args =
        vec!["simulate", &scenario, "-o", &out, "--no-report", "--quiet", "--can", &can, "--wire", &wire];
    args.extend(more);
    ok(&args);
    [can, wire]
}

/// The lines of `bms decode --json`.
fn decode(log: &str, more: &[&str]) -> Vec<Value> {
    let mut args = vec!["decode", log, "--json"];
    args.extend(more);
    ok(&args).out.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn a_run_is_read_back_from_both_logs_with_the_same_values() {
    let dir = tempdir().unwrap();
    let [can, wire] = simulate(dir.path(), &["--inverter", "pylontech"]);
    let frames = decode(&can, &[]);
    let mut counts = BTreeMap::<&str, usize>::new();
    for frame in &frames {
        *counts.entry(frame["message"].as_str().unwrap()).or_default() += 1;
    }
    let records = decode(&wire, &["--only", "Estimates"]);
    assert!(records.len() > 40, "steps of a second at most: {}", records.len());
    for message in ["BmsState", "PackValues", "CurrentLimits", "StateEstimate"] {
        assert_eq!(counts[message], records.len(), "{message}: in every step");
    }
    // Once a second, in steps that need not hit it; 16 cells in four frames.
    let seconds = counts["Energy"];
    assert!((35..=42).contains(&seconds), "{seconds}");
    assert_eq!((counts["CellVoltages"], counts["DiagnosisHigh"]), (4 * seconds, seconds));
    for message in ["InverterLimits", "PylontechAlarms", "InverterRequest", "InverterMaker"] {
        assert_eq!(counts[message], seconds, "{message}");
    }
    assert!(!counts.contains_key("VictronAlarms"));

    let soc = |frame: &&Value| frame["message"] == "StateEstimate";
    for (frame, record) in frames.iter().filter(soc).zip(&records) {
        let [on_bus, on_line] =
            [&frame["signals"]["Soc"], &record["signals"]["soc"]].map(|v| v.as_f64().unwrap());
        assert!((on_bus - 100.0 * on_line).abs() <= 0.0501, "{on_bus} % {on_line}");
        let lag_s = frame["time_s"].as_f64().unwrap() - record["time_s"].as_f64().unwrap();
        assert!((0.0..0.1).contains(&lag_s), "{lag_s}");
    }
    let at = |message: &str, time_s: f64| -> &Value {
        let here =
            |f: &&Value| f["message"] == message && (f["time_s"].as_f64().unwrap() - time_s).abs() < 0.6;
        &frames.iter().find(here).unwrap_or_else(|| panic!("no {message} at {time_s} s"))["signals"]
    };
    // Half a C of 280 Ah out, positive here and negative for the inverter.
    let current_a = at("PackValues", 15.0)["Current"].as_f64().unwrap();
    assert!((current_a - 140.0).abs() < 3.0, "{current_a}");
    let for_inverter_a = at("InverterValues", 15.0)["Current"].as_f64().unwrap();
    assert!((for_inverter_a + current_a).abs() < 3.0, "{for_inverter_a} {current_a}");
    assert_eq!(at("BmsState", 15.0)["Mode"], "Drive");
    assert_eq!(at("BmsState", 15.0)["Contactors"], "Closed");
    assert_eq!(at("BmsState", 35.0)["Mode"], "Charge");
    assert!(at("PackValues", 39.0)["Current"].as_f64().unwrap() < -1.0);
    // A new pack, and what is left in it: what nobody knows is told as such.
    let number = |message: &str, time_s: f64, signal: &str| -> f64 {
        at(message, time_s)[signal].as_f64().unwrap_or_else(|| panic!("no {signal} at {time_s} s"))
    };
    for signal in ["SohCapacity", "SohResistance"] {
        assert!((70.0..=130.0).contains(&number("StateEstimate", 15.0, signal)), "{signal}");
    }
    assert!((number("StateEstimate", 15.0, "Soe") - number("StateEstimate", 15.0, "Soc")).abs() < 10.0);
    assert!((number("LearntValues", 15.0, "Capacity") / 280.0 - 1.0).abs() < 0.15);
    assert!(number("CellHealth", 15.0, "WeakestCell") < 16.0);
    // 280 Ah of 16 cells of 3.2 V at 60 %, and half a C of it out.
    assert!((number("Energy", 15.0, "RemainingEnergy") / 8600.0 - 1.0).abs() < 0.2);
    assert!((number("Energy", 15.0, "TimeToEmpty") / 72.0 - 1.0).abs() < 0.2);
    assert_eq!(at("Energy", 15.0)["TimeToFull"], "NotAvailable");
    assert_eq!(at("Energy", 39.0)["TimeToEmpty"], "NotAvailable");
    let learnt = &decode(&wire, &["--only", "Learnt"])[0]["signals"];
    assert!(
        learnt["capacity_ah"].as_f64().unwrap() > 240.0 && learnt["resistance_factor"].is_f64(),
        "{learnt}"
    );
    // The pack's voltage is that of its cells.
    let pack_v = at("PackValues", 15.0)["Voltage"].as_f64().unwrap();
    let mean_v = at("CellVoltageExtremes", 15.0)["MeanVoltage"].as_f64().unwrap();
    assert!((pack_v - 16.0 * mean_v).abs() < 0.02, "{pack_v} {mean_v}");
    assert!(at("InverterLimits", 15.0)["ChargeVoltage"].as_f64().unwrap() > 50.0);
}

#[test]
fn a_fault_is_in_both_logs_and_the_inverter_is_told() {
    let dir = tempdir().unwrap();
    let fault = "[[fault]]\nat = \"5s\"\nkind = \"voltage_lost\"\ncell = 5\n";
    let [can, wire] = simulate_with(dir.path(), fault, &["--inverter", "victron"]);
    let records = decode(&wire, &["--only", "Diagnosis"]);
    let lost: Vec<&Value> = records.iter().filter(|r| r["signals"]["number"] == "CellVoltageLost").collect();
    assert_eq!(lost.len(), 1, "told once: {lost:?}");
    assert_eq!((&lost[0]["signals"]["set"], &lost[0]["signals"]["cell"]), (&true.into(), &5.into()));
    let told_s = lost[0]["time_s"].as_f64().unwrap();
    // On the bus it is detected at the same time, and within a second of it the inverter has its alarm and no current.
    let frames = decode(&can, &[]);
    let first = |message: &str, signal: &str, value: Value| {
        let is = |f: &&Value| f["message"] == message && f["signals"][signal] == value;
        frames.iter().find(is).unwrap_or_else(|| panic!("no {signal}"))["time_s"].as_f64().unwrap()
    };
    assert!((first("DiagnosisLow", "CellVoltageLost", 1.0.into()) - told_s).abs() < 1.1);
    let alarm_s = first("VictronAlarms", "InternalAlarm", "Set".into());
    assert!((0.0..1.1).contains(&(alarm_s - told_s)), "{alarm_s} {told_s}");
    let after = |f: &&Value| f["message"] == "InverterLimits" && f["time_s"].as_f64().unwrap() >= alarm_s;
    let limits: Vec<&Value> =
        frames.iter().filter(after).map(|f| &f["signals"]["DischargeCurrent"]).collect();
    assert!(!limits.is_empty() && limits.iter().all(|a| a.as_f64() == Some(0.0)), "{limits:?}");
}

#[test]
fn logs_are_printed_as_text_and_csv_and_filtered() {
    let dir = tempdir().unwrap();
    let [can, wire] = simulate(dir.path(), &[]);
    let text = ok(&["decode", &can, "--only", "Soc"]);
    let line = text.out.lines().next().unwrap();
    assert!(line.contains("StateEstimate") && line.contains(" Soc=") && !line.contains("Soe="), "{line}");
    assert!(text.err.contains("0 of them damaged"), "{}", text.err);
    let csv = ok(&["decode", &can, "--csv", "--quiet"]);
    assert!(csv.err.is_empty(), "{}", csv.err);
    let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
    assert_eq!(reader.headers().unwrap(), &["time_s", "message", "signal", "value", "unit", "name"][..]);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let voltage = rows.iter().find(|r| &r[2] == "CellVoltage015").unwrap();
    assert!(voltage[3].parse::<f64>().unwrap() > 3.0 && &voltage[4] == "V");
    let rows = ok(&["decode", &wire, "--csv"]).out;
    assert!(rows.lines().any(|l| l.contains("Start,firmware,bms ")), "{rows}");
    assert!(rows.lines().any(|l| l.contains("Estimates,soc,0.")), "{rows}");
    // Another file in place of the project's own.
    let dbc = root().join("bms-can/inverter.dbc").display().to_string();
    let other = bms(&["decode", &can, "--dbc", &dbc]);
    assert_eq!(other.code, 2, "a log without an inverter has nothing of it");
}

#[test]
fn damage_is_counted_and_what_follows_is_read() {
    let dir = tempdir().unwrap();
    let [can, wire] = simulate(dir.path(), &[]);
    let count = |log: &str| decode(log, &[]).len();
    let (frames, records) = (count(&can), count(&wire));

    let mut bytes = fs::read(&wire).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    bytes.truncate(bytes.len() - 3);
    let damaged = dir.path().join("damaged.wire").display().to_string();
    fs::write(&damaged, &bytes).unwrap();
    let told = ok(&["decode", &damaged]);
    assert!(told.err.contains(&format!("{} records, ", records - 2)), "{}", told.err);
    assert!(told.err.contains(" damaged frames, and the beginning of one"), "{}", told.err);

    let text = fs::read_to_string(&can).unwrap();
    let hit = text.find(" 221#").unwrap() + 8;
    let mut lines = text.clone();
    let digit = if &text[hit..=hit] == "0" { "1" } else { "0" };
    lines.replace_range(hit..=hit, digit);
    lines.insert_str(0, "(0.1) can0 7FF#00\n");
    lines.push_str("(99.0) can0 broken\n");
    let damaged = dir.path().join("damaged.log").display().to_string();
    fs::write(&damaged, &lines).unwrap();
    let told = ok(&["decode", &damaged]);
    let words =
        format!("{frames} frames, 1 of them damaged, 1 with identifiers that no DBC file has, 1 lines");
    assert!(told.err.contains(&words), "{}", told.err);
    assert_eq!(told.out.lines().count(), frames - 1);
}

#[test]
fn what_is_no_log_is_refused() {
    let dir = tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    refused(&["decode", "nowhere.log"], &["nowhere.log"]);
    refused(&["decode", &file("noise", &[7; 500])], &["noise", "nothing"]);
    refused(&["decode", &file("empty", b"")], &["empty", "nothing"]);
    let log = file("a.log", b"(0.1) can0 355#1A006400\n");
    refused(&["decode", &log, "--dbc", &file("bad.dbc", b"no dbc")], &["bad.dbc", "not a DBC file"]);
    refused(&["decode", &file("line", &[1, 0]), "--dbc", &log], &["line", "candump"]);
    refused(&["simulate", "x.toml", "--inverter", "victron"], &["--can"]);
    assert_eq!(decode(&log, &[])[0]["signals"]["Soc"], 26.0);
}
