//! The published parameters of the LG M50 against measured cells of this type.
//!
//! Needs `../shared/data`; without it the test says so and passes. `BMS_WRITE=1 cargo test -p bms-sim --test lg_m50`
//! writes the tables in `cell-models/MEASURED.md`.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bms_sim::data::{ReadOptions, read_segments_with};
use bms_sim::model::compare::{Compared, Comparison, Kind, Settings, compare, compare_folder};
use bms_sim::model::open;
use common::{root, shared};

const SETS: [&str; 3] = ["chen2020", "okane2022", "oregan2022"];
const FOLDERS: [&str; 2] = ["lg_m50_pybop", "lg_m50t_pyprobe"];

/// The worst part has 270 mV: a pulse on the steep foot of the open-circuit voltage. With the
/// wrong sign of the current, pulses of 7.5 A would be off by more than 0.35 V and discharges would end after some minutes.
const MOST_RMS_MV: f64 = 300.0;
/// The same off the steep foot (rest voltage above 3.3 V), over the middle of the charge: the worst has 174 mV.
const MOST_MIDDLE_MV: f64 = 220.0;
/// Of a part, so much can be compared: the worst has 92 %.
const LEAST_COMPARED: f64 = 0.85;
/// Charge of the model over that measured: the worst are 0.90 at 2C and 1.13 at 0 degC. Milliampere hours, or a capacity per
/// electrode pair, would be far off.
const CHARGE: std::ops::RangeInclusive<f64> = 0.85..=1.18;
/// Resistance of the model over that measured: from 0.30 (pulse on the steep foot) to 1.56 (0.1C discharge from full).
const RESISTANCE: std::ops::RangeInclusive<f64> = 0.25..=2.0;

fn all(data: &Path) -> Vec<Compared> {
    let of_set = |name: &&str| {
        let model = open(name).unwrap();
        let mut whole = Compared::default();
        for folder in FOLDERS {
            let compared = compare_folder(&model, &data.join(folder), &Settings::default()).unwrap();
            whole.parts.extend(compared.parts);
            whole.left_out.extend(compared.left_out);
        }
        whole
    };
    SETS.iter().map(of_set).collect()
}

#[test]
fn published_sets_are_as_far_from_the_measured_cells_as_written_down() {
    let Some(shared) = shared("published_sets_are_as_far_from_the_measured_cells_as_written_down") else {
        return;
    };
    let sets = all(&shared.join("data"));
    let text = tables(&sets);
    println!("{text}");
    for (name, set) in SETS.iter().zip(&sets) {
        assert!(set.parts.len() >= 60, "{name}: {} parts", set.parts.len());
        assert_eq!(set.left_out.len(), 1, "{name}: {:?}", set.left_out);
        assert_eq!(set.parts.iter().filter(|c| c.repeats == 6).count(), 36, "{name}");
        for c in &set.parts {
            check(name, c);
        }
    }
    // Where all parts are, so is every set's row of the tables.
    let sources = |set: &Compared| set.parts.iter().map(|c| c.source.clone()).collect::<Vec<_>>();
    assert!(sets.iter().all(|set| sources(set) == sources(&sets[0])));
    if std::env::var_os("BMS_WRITE").is_some() {
        let path = root().join("cell-models/MEASURED.md");
        let old = fs::read_to_string(&path).unwrap();
        let (head, _) = old.split_once(MARK).expect("the mark before the tables");
        fs::write(&path, format!("{head}{MARK}\n\n{text}")).unwrap();
    }
}

fn check(name: &str, c: &Comparison) {
    let what = format!("{name}: {c:?}");
    let figures = [c.rms_mv, c.max_mv, c.bias_mv, c.start_soc, c.c_rate, c.load_s];
    assert!(figures.iter().all(|x| x.is_finite()), "{what}");
    assert!(c.rms_mv < MOST_RMS_MV && c.bias_mv.abs() <= c.rms_mv && c.rms_mv <= c.max_mv, "{what}");
    assert!(c.compared > LEAST_COMPARED, "{what}");
    if c.rest_voltage_v > 3.3 {
        assert!(c.middle_rms_mv.is_some_and(|rms| rms < MOST_MIDDLE_MV), "{what}");
    }
    if let Some([measured, model]) = c.emptied_ah {
        assert!(CHARGE.contains(&(model / measured)), "{what}");
    }
    if let Some(r) = c.resistance {
        assert!(RESISTANCE.contains(&(r.model_mohm / r.measured_mohm)), "{what}");
    }
}

/// The bounds catch what they are for: a current of the wrong sign, and one in the wrong unit.
#[test]
fn a_wrong_sign_or_unit_would_be_seen() {
    let Some(shared) = shared("a_wrong_sign_or_unit_would_be_seen") else { return };
    let path = shared.join("data/lg_m50_pybop/rate_T25_cRate_0p5C.bdf.parquet");
    let options = ReadOptions { bridge_temperature: true, ..ReadOptions::default() };
    let run = read_segments_with(&path, &options).unwrap().remove(0);
    let model = open("chen2020").unwrap();
    let discharge = |factor: f64| {
        let mut run = run.clone();
        run.current_a.iter_mut().for_each(|i| *i *= factor);
        compare(&model, &run, &Settings::default()).unwrap().parts.into_iter().next()
    };
    let is_fine = |c: &Comparison| c.compared > LEAST_COMPARED && c.rms_mv < MOST_RMS_MV;
    assert!(discharge(1.0).is_some_and(|c| is_fine(&c)));
    for factor in [-1.0, 1000.0, 0.2] {
        assert!(discharge(factor).is_none_or(|c| !is_fine(&c)), "{factor}");
    }
}

const MARK: &str = "<!-- Everything below is written by the test. -->";

fn cell_name(c: &Comparison) -> &'static str {
    if c.source.starts_with("rate") || c.source.starts_with("pulses") { "PyBOP" } else { "PyProBE" }
}

/// Temperature of the test in degC.
fn ambient(c: &Comparison) -> i32 {
    [0, 10, 25, 45].into_iter().min_by_key(|t| (f64::from(*t) - c.temperature_c).abs() as i32).unwrap_or(25)
}

fn tables(sets: &[Compared]) -> String {
    let mut text = String::from("## Summary\n\n");
    text += "RMS in mV over the middle 80 % of the charge, all parts of a kind pooled; charge to 2.5 V and 10 s resistance \
             relative to the measured one in %, means. Pulses from above 3.4 V.\n\n";
    text += "| Load | degC | Parts |";
    for name in SETS {
        write!(text, " {name} mV | {name} charge % | {name} 10 s % |").unwrap();
    }
    text += "\n|---|---|---|---|---|---|---|---|---|---|---|---|\n";
    for (title, kind, rate) in [
        ("discharge 0.1C", Kind::Discharge, 0.1),
        ("discharge 0.5C", Kind::Discharge, 0.5),
        ("discharge 1C", Kind::Discharge, 1.0),
        ("discharge 2C", Kind::Discharge, 2.0),
        ("charge", Kind::Charge, 0.0),
        ("pulse", Kind::Pulse, 0.0),
    ] {
        for t in [0, 10, 25, 45] {
            let is_one = |c: &&Comparison| {
                c.kind == kind
                    && ambient(c) == t
                    && (rate == 0.0 || (c.c_rate / rate - 1.0).abs() < 0.2)
                    && (kind != Kind::Pulse || c.rest_voltage_v > 3.4)
            };
            let count = sets[0].parts.iter().filter(is_one).count();
            if count == 0 {
                continue;
            }
            write!(text, "| {title} | {t} | {count} |").unwrap();
            for set in sets {
                let parts: Vec<_> = set.parts.iter().filter(is_one).collect();
                let squares = parts.iter().filter_map(|c| c.middle_rms_mv).map(|rms| rms * rms);
                let charge = parts.iter().filter_map(|c| c.emptied_ah).map(|[a, b]| percent(b, a));
                let ohms = parts.iter().filter_map(|c| c.resistance);
                let ohms = ohms.map(|r| percent(r.model_mohm, r.measured_mohm));
                let charge = mean(charge).map_or_else(|| "-".into(), |x| format!("{x:+.1}"));
                let ohms = mean(ohms).map_or_else(|| "-".into(), |x| format!("{x:+.0}"));
                write!(text, " {:.0} | {charge} | {ohms} |", mean(squares).unwrap_or(f64::NAN).sqrt())
                    .unwrap();
            }
            text += "\n";
        }
    }
    text += "\n## Discharges and charges\n\nrms / middle / max / bias in mV.\n\n| Cell | Load | degC | C-rate | Rest V |";
    text += &SETS.map(|name| format!(" {name} |")).concat();
    text += "\n|---|---|---|---|---|---|---|---|\n";
    let longer = |c: &&Comparison| c.kind != Kind::Pulse;
    for (k, c) in sets[0].parts.iter().enumerate().filter(|(_, c)| longer(c)) {
        let [what, at] = [c.kind.name(), cell_name(c)];
        write!(text, "| {at} | {what} | {} | {:.2} | {:.3} |", ambient(c), c.c_rate, c.rest_voltage_v)
            .unwrap();
        for set in sets {
            write!(text, " {} |", differences(&set.parts[k])).unwrap();
        }
        text += "\n";
    }
    text += "\n## Charge to 2.5 V\n\nFrom the same rest voltage with the same current, in Ah.\n\n| Cell | degC | C-rate | Measured |";
    text += &SETS.map(|name| format!(" {name} |")).concat();
    text += "\n|---|---|---|---|---|---|---|\n";
    for (k, c) in sets[0].parts.iter().enumerate() {
        let Some([measured, _]) = c.emptied_ah else { continue };
        write!(text, "| {} | {} | {:.2} | {measured:.3} |", cell_name(c), ambient(c), c.c_rate).unwrap();
        for set in sets {
            match set.parts[k].emptied_ah {
                Some([measured, model]) => {
                    write!(text, " {model:.3} ({:+.1} %) |", percent(model, measured)).unwrap();
                }
                None => text += " - |",
            }
        }
        text += "\n";
    }
    text += "\n## Pulses\n\nSix cells each; resistance after 10 s in mohm (measured: mean and range), and \
             rms / middle / max / bias in mV.\n\n| degC | A | Rest V | Measured |";
    text += &SETS.map(|name| format!(" {name} mohm | {name} mV |")).concat();
    text += "\n|---|---|---|---|---|---|---|---|---|---|\n";
    for (k, c) in sets[0].parts.iter().enumerate().filter(|(_, c)| !longer(c)) {
        let measured = c.resistance.map_or_else(
            || "-".into(),
            |r| {
                let [low, high] = r.measured_range_mohm;
                format!("{:.1} ({low:.1} to {high:.1})", r.measured_mohm)
            },
        );
        write!(text, "| {} | {:.1} | {:.3} | {measured} |", ambient(c), 5.0 * c.c_rate, c.rest_voltage_v)
            .unwrap();
        for set in sets {
            let model =
                set.parts[k].resistance.map_or_else(|| "-".into(), |r| format!("{:.1}", r.model_mohm));
            write!(text, " {model} | {} |", differences(&set.parts[k])).unwrap();
        }
        text += "\n";
    }
    text
}

fn differences(c: &Comparison) -> String {
    let middle = c.middle_rms_mv.map_or_else(|| "-".into(), |rms| format!("{rms:.0}"));
    let share = if c.compared < 0.995 { format!(", {:.0} %", 100.0 * c.compared) } else { String::new() };
    format!("{:.0} / {middle} / {:.0} / {:+.0}{share}", c.rms_mv, c.max_mv, c.bias_mv)
}

fn percent(of: f64, over: f64) -> f64 {
    100.0 * (of / over - 1.0)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
