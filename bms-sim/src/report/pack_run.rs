//! The report of `bms simulate`: a pack's run as one page, and its figures for the terminal.

use std::fmt::Write as _;
use std::path::Path;

use super::html::{NO_VALUE, Section, count, esc, file_link, number, page};
use super::pack_run_plots as plots;
use super::{ReportError, write_file};
use crate::recording::{Diagnosed, PhaseSummary, Recording, Summary, Verdict};
use crate::scenario::{End, Scenario};

const MINUTE_S: f64 = 60.0;
const HOUR_S: f64 = 3600.0;
const PERCENT: f64 = 100.0;

/// Writes `index.html` into a folder, with links to `recording.parquet` and `summary.json` when they are already there.
///
/// # Errors
/// When the page or its folder cannot be written.
pub fn write_pack_run(dir: &Path, scenario: &Scenario, recording: &Recording) -> Result<(), ReportError> {
    write_file(&dir.join("index.html"), html(dir, scenario, recording).as_bytes())
}

fn html(dir: &Path, scenario: &Scenario, recording: &Recording) -> String {
    let summary = &recording.summary;
    let section = |id, title, body| Section { id, title, body };
    let sections = [
        section("verdict", "Verdict", verdict_box(summary) + &verdicts(&summary.verdicts)),
        section("diagnoses", "Diagnoses", diagnoses(&summary.diagnoses)),
        section("figures", "Figures", figures(summary)),
        section("phases", "Phase by phase", phases(&summary.phases)),
        section("cells", "Cells over time", plots::cell_maps(recording)),
        section("temperatures", "Temperatures", plots::temperatures(recording)),
        section("power", "Power and state of charge", plots::electrical(recording)),
        section("actuators", "Actuators", plots::actuators(recording)),
        section("charging", "Charging", plots::charging(recording)),
        section("energy", "Energy bill", energy(recording)),
        section("scenario", "Scenario", scenario_section(scenario)),
    ];
    page(&summary.title, &intro(dir, recording), &sections)
}

fn intro(dir: &Path, recording: &Recording) -> String {
    let s = &recording.summary;
    let link = |file: &str| file_link(dir, file, file);
    format!(
        "<p>{}, {}, seed {}. {} simulated in {}. Figures are taken from every step, pictures and files from rows every \
         {} s. Truth is the plant's; the core saw sensors only. Numbers: {}, {}.</p>\n",
        esc(&s.pack),
        count(s.cells, "cell"),
        s.seed,
        duration(s.duration_s),
        count(s.phases.len(), "phase"),
        number(recording.interval_s, 0),
        link("recording.parquet"),
        link("summary.json"),
    )
}

/// A time with the unit that suits it.
fn duration(s: f64) -> String {
    match s {
        s if s < 2.0 * MINUTE_S => format!("{} s", number(s, 0)),
        s if s < 2.0 * HOUR_S => format!("{} min", number(s / MINUTE_S, 1)),
        s if s < 72.0 * HOUR_S => format!("{} h", number(s / HOUR_S, 1)),
        s => format!("{} d", number(s / (24.0 * HOUR_S), 1)),
    }
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |v| number(v, digits))
}

fn verdict_box(s: &Summary) -> String {
    let missed: Vec<&Verdict> = s.verdicts.iter().filter(|v| !v.met).collect();
    let words = match (s.verdicts.len(), missed.len()) {
        (0, _) => return "<p class=\"dim\">The scenario expects nothing; figures only.</p>\n".into(),
        (n, 0) => format!("All {} met.", count(n, "expectation")),
        (n, k) => format!("{k} of {} missed.", count(n, "expectation")),
    };
    let items: String =
        missed.iter().map(|v| format!("<li class=\"no\">{}</li>", esc(&verdict_text(v)))).collect();
    format!(
        "<div class=\"verdict {}\"><strong>{words}</strong>{}</div>\n",
        if missed.is_empty() { "good" } else { "bad" },
        if items.is_empty() { String::new() } else { format!("<ul>{items}</ul>") }
    )
}

fn verdict_text(v: &Verdict) -> String {
    let with_unit = |value: f64| format!("{} {}", figure_of(value), v.unit).trim_end().to_owned();
    format!(
        "{}: {}, {} {} expected",
        v.what,
        v.reached.map_or_else(|| "not reached".into(), with_unit),
        if v.at_most { "at most" } else { "at least" },
        with_unit(v.bound)
    )
}

/// Four significant digits or so, without a tail of zeros.
fn figure_of(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 1.0 => 2,
        _ => 4,
    };
    let text = number(value, digits);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

fn table(head: &[&str], rows: &[Vec<String>], left: usize) -> String {
    let class = |k: usize| if k < left { "" } else { " class=\"n\"" };
    let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
    for (k, name) in head.iter().enumerate() {
        let _ = write!(out, "<th{}>{}</th>", class(k), esc(name));
    }
    out += "</tr></thead><tbody>\n";
    for row in rows {
        out += "<tr>";
        for (k, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{cell}</td>", class(k));
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div>\n"
}

/// What the protection found.
fn diagnoses(all: &[Diagnosed]) -> String {
    if all.is_empty() {
        return "<p>None.</p>\n".into();
    }
    let time = |s: Option<f64>| s.map_or_else(|| NO_VALUE.to_owned(), |s| format!("{s:.1}"));
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|d| {
            vec![
                d.id.entry().name.into(),
                d.level().into(),
                d.place.map_or_else(|| NO_VALUE.to_owned(), |p| p.to_string()),
                number(f64::from(d.value), 3),
                number(f64::from(d.limit), 3),
                format!("{:.1}", d.detected_s),
                time(d.reacted_s),
                time(d.ended_s),
                esc(d.id.condition()),
            ]
        })
        .collect();
    let head = [
        "diagnosis",
        "level",
        "place",
        "read",
        "limit",
        "detected, s",
        "reacted, s",
        "ended, s",
        "condition",
    ];
    table(&head, &rows, 2)
}

fn verdicts(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|v| {
            vec![
                esc(v.what),
                format!("{} {}", if v.at_most { "≤" } else { "≥" }, figure_of(v.bound)),
                v.reached.map_or_else(|| "not reached".into(), figure_of),
                v.unit.into(),
                format!(
                    "<span class=\"{}\">{}</span>",
                    if v.met { "ok" } else { "no" },
                    if v.met { "met" } else { "missed" }
                ),
            ]
        })
        .collect();
    table(&["expectation", "bound", "reached", "unit", "verdict"], &rows, 1)
}

/// Key figures: what, value, unit.
fn key_figures(s: &Summary) -> Vec<(&'static str, String, &'static str)> {
    let mut all = vec![
        ("Largest spread of the cores", number(s.delta_t_max_k, 2), "K"),
        ("… reached after", duration(s.delta_t_max_at_s), ""),
        (
            "Coldest and hottest core",
            format!("{} … {}", number(s.core_min_c, 1), number(s.core_max_c, 1)),
            "°C",
        ),
        (
            "SOC at the start and the end",
            format!("{} → {}", number(PERCENT * s.soc_start, 1), number(PERCENT * s.soc_end, 1)),
            "%",
        ),
        (
            "SOC spread at the start and the end",
            format!("{} → {}", number(s.soc_spread_start_points, 2), number(s.soc_spread_end_points, 2)),
            "points",
        ),
        ("Cell voltages", format!("{} … {}", number(s.min_cell_v, 3), number(s.max_cell_v, 3)), "V"),
    ];
    if let Some(v) = s.min_anode_v {
        all.push(("Lowest anode potential", number(1000.0 * v, 1), "mV"));
    }
    if let Some(e) = s.soc_error {
        let text = [e.max_points, e.p99_points, e.rmse_points].map(|v| number(v, 2)).join(" / ");
        all.push(("SOC error of the cells: maximum / 99th percentile / RMSE", text, "points"));
    }
    if let Some(v) = s.charge_10_80_s {
        all.push(("Charge from 10 to 80 %", number(v / MINUTE_S, 1), "min"));
    }
    if let Some(v) = s.heating_rate_c_per_min {
        all.push(("Heating rate of the slowest preheat", number(v, 2), "°C/min"));
    }
    if let Some(v) = s.cooling_cop {
        all.push(("Heat moved by the chiller over energy of chiller and pump", number(v, 2), ""));
    }
    all
}

fn figures(s: &Summary) -> String {
    let rows: Vec<Vec<String>> = key_figures(s)
        .into_iter()
        .map(|(what, value, unit)| vec![esc(what), value, unit.to_owned()])
        .collect();
    let note = s.soc_error.map_or_else(String::new, |e| {
        format!("<p class=\"dim\">SOC errors are scored from {} on.</p>\n", duration(e.scored_from_s))
    });
    table(&["figure", "value", "unit"], &rows, 1) + &note
}

fn phases(phases: &[PhaseSummary]) -> String {
    let head = [
        "no.",
        "phase",
        "kind",
        "began",
        "took",
        "ended by",
        "largest spread, K",
        "cores, °C",
        "mean core, °C",
        "SOC, %",
        "SOC spread at its end, points",
        "lowest anode, mV",
        "machines, Wh",
    ];
    let rows: Vec<Vec<String>> = phases
        .iter()
        .enumerate()
        .map(|(k, p)| {
            let machines =
                p.bill.pump_wh + p.bill.chiller_wh + p.bill.heater_wh + p.bill.film_wh + p.bill.pulse_wh;
            vec![
                (k + 1).to_string(),
                esc(&p.name),
                p.kind.into(),
                duration(p.start_s),
                duration(p.duration_s),
                p.end.map_or(NO_VALUE, End::text).into(),
                number(p.delta_t_max_k, 2),
                format!("{} … {}", number(p.core_min_c, 1), number(p.core_max_c, 1)),
                format!("{} → {}", number(p.core_start_c, 1), number(p.core_end_c, 1)),
                format!("{} → {}", number(PERCENT * p.soc_start, 1), number(PERCENT * p.soc_end, 1)),
                number(p.soc_spread_end_points, 2),
                optional(p.min_anode_v.map(|v| 1000.0 * v), 1),
                number(machines, 0),
            ]
        })
        .collect();
    table(&head, &rows, 3) + &preheats(phases)
}

fn preheats(phases: &[PhaseSummary]) -> String {
    let rows: Vec<Vec<String>> = phases
        .iter()
        .filter_map(|p| {
            let f = p.preheat?;
            Some(vec![
                esc(&p.name),
                number(f.heating_rate_c_per_min, 2),
                number(f.cop, 2),
                number(f.specific_heating_rate_c_g_per_j, 3),
                number(f.soc_spent_points, 2),
                plots::energy(p.bill.heating_wh()),
                plots::energy(p.bill.mains_wh),
                number(p.delta_t_max_k, 2),
            ])
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "preheat",
        "rate, °C/min",
        "COP",
        "specific rate, °C·g/J",
        "SOC spent, points",
        "energy",
        "from the mains",
        "largest spread, K",
    ];
    format!(
        "<h3>Preheats</h3>\n{}<p class=\"dim\">COP: heat that warmed the cells over the energy of heater, films, pulses and \
         pump. Specific rate: rise of the mean core times the mass of the cells over that energy.</p>\n",
        table(&head, &rows, 1)
    )
}

fn energy(recording: &Recording) -> String {
    let bill = &recording.summary.bill;
    let rows = [
        ("To vehicle or load, less what came back", bill.drive_wh),
        ("Charged", bill.charge_wh),
        ("Machines fed by the mains", bill.mains_wh),
        ("Heat that the chiller moved", bill.chiller_heat_wh),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, wh)| vec![esc(name), plots::energy(wh)]).collect();
    table(&["at the terminals and beyond", "energy"], &rows, 1) + &plots::bill_bars(recording)
}

fn scenario_section(scenario: &Scenario) -> String {
    let off: Vec<&str> =
        scenario.control.parts.all().into_iter().filter(|(_, on)| !on).map(|(name, _)| name).collect();
    let control = match (scenario.control.passive, off.as_slice()) {
        (true, _) => "No control of temperatures.".to_owned(),
        (false, []) => "All parts of the control were on.".to_owned(),
        (false, off) => format!("Switched off: {}.", off.join(", ")),
    };
    let faults: String = scenario
        .faults
        .iter()
        .map(|f| {
            // As in the file, in one line.
            let what = toml::to_string(&f.what).unwrap_or_default().trim_end().replace('\n', ", ");
            format!("<li>after {}: <code>{}</code></li>", duration(f.at.0), esc(&what))
        })
        .collect();
    let text = toml::to_string(scenario).unwrap_or_default();
    format!(
        "<p>{}</p>\n{}<details><summary>As a file</summary>\n<pre><code>{}</code></pre></details>\n",
        esc(&control),
        if faults.is_empty() { "<p>No faults.</p>\n".into() } else { format!("<ul>{faults}</ul>\n") },
        esc(&text)
    )
}

/// The figures for the terminal.
#[must_use]
pub fn summary_text(s: &Summary) -> String {
    let mut out = format!("{}\n{}, {} cells, seed {}\n\n", s.title, s.pack, s.cells, s.seed);
    let _ = writeln!(
        out,
        "{:>3} {:26} {:>9} {:>9} {:>7} {:>15} {:>15}  ended by",
        "no.", "phase", "began", "took", "dT, K", "SOC, %", "mean core, degC"
    );
    for (k, p) in s.phases.iter().enumerate() {
        let name: String = p.name.chars().take(26).collect();
        let _ = writeln!(
            out,
            "{:>3} {name:26} {:>9} {:>9} {:>7.2} {:>15} {:>15}  {}",
            k + 1,
            duration(p.start_s),
            duration(p.duration_s),
            p.delta_t_max_k,
            format!("{:.1} > {:.1}", PERCENT * p.soc_start, PERCENT * p.soc_end),
            format!("{:.1} > {:.1}", p.core_start_c, p.core_end_c),
            p.end.map_or(NO_VALUE, End::text)
        );
    }
    out.push('\n');
    for (what, value, unit) in key_figures(s) {
        let _ = writeln!(out, "{what:58} {value} {unit}");
    }
    let bill = &s.bill;
    for (name, wh) in bill.items().into_iter().filter(|(_, wh)| wh.abs() > 0.005) {
        let _ = writeln!(out, "{:58} {}", format!("Energy: {name}"), plots::energy(wh));
    }
    for d in &s.diagnoses {
        let at = d.place.map_or(String::new(), |p| format!(" at {p}"));
        let reacted = d.reacted_s.map_or(String::new(), |t| format!(", reacted at {t:.1} s"));
        let _ = writeln!(
            out,
            "{:11} {}{at}: detected at {:.1} s{reacted}",
            d.level(),
            d.id.entry().name,
            d.detected_s
        );
    }
    out.push('\n');
    for v in &s.verdicts {
        let _ = writeln!(out, "{} {}", if v.met { "met    " } else { "MISSED " }, verdict_text(v));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::recording::tests::facts;
    use crate::recording::{Recorder, Step, Values};

    const CELLS: usize = 96;
    const SCENARIO: &str = r#"
        format_version = 1
        title = "Winter <morning> & more"
        pack = "p"
        seed = 3
        ambient_c = -20.0
        start = { soc = 0.5 }
        [control.parts]
        reversal = false
        [[phase]]
        kind = "preheat"
        target_c = 10.0
        time_available = "20min"
        plugged = true
        [[phase]]
        name = "to work"
        kind = "drive"
        cycle = "WLTC3"
        [[phase]]
        kind = "park"
        duration = "2h"
        [[phase]]
        name = "fast charge"
        kind = "charge"
        mode = "fast"
        until_soc = 0.8
        [[fault]]
        at = "30min"
        kind = "blocked_channel"
        channel = 3
        share = 0.5
        [expect]
        max_delta_t_k = 2.0
        min_heating_rate_c_per_min = 1.0
        max_charge_10_80_s = 1800.0
    "#;

    /// A run that no plant made, with something of everything in it.
    fn made_up() -> (Scenario, Recording) {
        let scenario = Scenario::parse(SCENARIO).unwrap();
        let mut recorder = Recorder::new(&scenario, &facts(CELLS), "Car, NMC 96s1p", None);
        let ends = [1200.0, 3000.0, 10_200.0, 12_600.0];
        let (mut mean, mut soc) = (-20.0, 0.5);
        for k in 0..=12_600_u32 {
            let t = f64::from(k);
            let phase = ends.iter().filter(|e| t > **e).count();
            let dt_s = if k == 0 { 0.0 } else { 1.0 };
            let mut v = Values { min_anode_v: 0.1, flow_l_per_min: 0.0, ..Values::default() };
            let wave = (TAU * t / 90.0).sin();
            match phase {
                0 => {
                    mean += dt_s * 30.0 / 1200.0;
                    v.film_w = 4000.0;
                    v.heater_w = 3000.0;
                    v.pump_w = 60.0;
                    v.flow_l_per_min = if (k / 120) % 2 == 0 { 10.0 } else { -10.0 };
                    v.pulse_a = 80.0;
                    v.pulse_w = 900.0;
                    v.from_mains = true;
                }
                1 => {
                    v.requested_power_w = 15_000.0 + 30_000.0 * wave;
                    v.power_w = v.requested_power_w.min(40_000.0);
                    soc -= dt_s * 1e-4;
                    mean += dt_s * 1e-3;
                }
                2 => mean -= dt_s * 1e-3,
                _ => {
                    v.charge_request_a = 220.0 * (1.0 - 0.5 * (t - 10_200.0) / 2400.0);
                    v.power_w = -350.0 * v.charge_request_a;
                    v.requested_power_w = v.power_w;
                    v.min_anode_v = 0.012 + 0.01 * (t / 300.0).cos();
                    v.chiller_w = 1500.0;
                    v.chiller_heat_w = 4000.0;
                    v.pump_w = 80.0;
                    v.flow_l_per_min = 15.0;
                    v.balancing_channels = 12.0;
                    v.balancing_w = 20.0;
                    soc += dt_s * 2e-4;
                    mean += dt_s * 6e-3;
                }
            }
            v.voltage_v = 350.0;
            v.current_a = v.power_w / v.voltage_v;
            v.discharge_limit_w = 120_000.0;
            v.charge_limit_w = 80_000.0;
            v.min_cell_v = 3.6 - 0.2 * v.power_w / 1e5;
            v.max_cell_v = v.min_cell_v + 0.02;
            v.cell_heat_w = 800.0;
            v.coolant_in_c = mean + 3.0;
            v.coolant_out_c = mean + 1.0;
            let reach = if phase == 2 { 0.3 } else { 1.1 };
            let core: Vec<f64> = (0..CELLS)
                .map(|c| mean + reach * (TAU * (c as f64 / 24.0 + t / 4000.0)).sin() * (1.0 + 0.1 * wave))
                .collect();
            let socs: Vec<f64> = (0..CELLS).map(|c| soc + 0.01 * (c as f64 / 95.0 - 0.5)).collect();
            let asleep = phase == 2;
            let estimates: Vec<f64> =
                if asleep { Vec::new() } else { socs.iter().map(|s| s + 0.004).collect() };
            let known = |x: f64| if asleep { f64::NAN } else { x };
            v.estimated_soc = known(soc + 0.004);
            v.estimated_core_min_c = known(mean - 1.0);
            v.estimated_core_mean_c = known(mean + 0.2);
            v.estimated_core_max_c = known(mean + 1.2);
            recorder.push(&Step {
                time_s: t,
                dt_s,
                phase,
                ambient_c: -20.0 + t / 2000.0,
                group_soc: &socs,
                cell_core_c: &core,
                estimated_group_soc: &estimates,
                values: v,
            });
        }
        let recording = recorder.finish(&[End::Time, End::Time, End::Time, End::Soc]);
        (scenario, recording)
    }

    #[test]
    fn the_page_has_every_section_and_its_files_are_linked() {
        let (scenario, recording) = made_up();
        let dir = tempfile::tempdir().unwrap();
        recording.write_parquet(&dir.path().join("recording.parquet")).unwrap();
        write_pack_run(dir.path(), &scenario, &recording).unwrap();
        let page = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
        for id in [
            "verdict",
            "figures",
            "phases",
            "cells",
            "temperatures",
            "power",
            "actuators",
            "charging",
            "energy",
        ] {
            assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
        }
        assert!(page.contains("Winter &lt;morning&gt; &amp; more") && !page.contains("<morning>"));
        assert!(page.contains("href=\"./recording.parquet\"") && !page.contains("href=\"./summary.json\""));
        assert!(page.contains("2 of 3 expectations missed."), "spread, and a charge that began above 10 %");
        assert!(page.contains("Switched off: reversal."));
        assert_eq!(page.matches("data:image/png").count(), 2);
        assert!(!page.contains("NaN"));
        // Self-contained: nothing is fetched.
        assert!(!page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn the_terminal_tells_phases_figures_and_verdicts() {
        let (_, recording) = made_up();
        let text = summary_text(&recording.summary);
        for words in [
            "to work",
            "SOC reached",
            "MISSED  hottest less coldest core",
            "met     slowest preheat",
            "°C/min",
        ] {
            assert!(text.contains(words), "`{words}` is not in\n{text}");
        }
        assert!(text.lines().all(|l| l.chars().count() <= 110), "{text}");
    }

    #[test]
    fn a_run_without_a_step_still_makes_a_page() {
        let scenario = Scenario::parse(SCENARIO).unwrap();
        let recording = Recorder::new(&scenario, &facts(CELLS), "none", None).finish(&[]);
        let dir = tempfile::tempdir().unwrap();
        write_pack_run(dir.path(), &scenario, &recording).unwrap();
        assert!(dir.path().join("index.html").is_file());
    }
}
