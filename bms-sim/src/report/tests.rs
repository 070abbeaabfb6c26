//! The report is written from SYNTHETIC results: every number here is invented to exercise the page, none was measured
//! or simulated. With `BMS_SYNTHETIC_REPORT` set to a folder, the page stays there to be looked at.

use std::path::Path;

use super::control as control_report;
use super::{Condition, condition, health as health_report, identification, power, table, write_report};
use crate::cell_file::{
    CellFile, CellInfo, Chemistry, FORMAT_VERSION, FitSummary, Provenance, PulseResidual, Tables, Validity,
};
use crate::results::{
    Ablation, BoundCheck, Case, Cause, IdentifiedCell, OffsetTrial, Results, Score, SensorTerms, TermScore,
    Trace,
};
use crate::verify::control::tests::scores;
use crate::verify::health::tests::health;

const DATASETS: [(&str, Chemistry, bool); 3] = [
    ("physics/synthetic_nmc/soh100", Chemistry::Nmc, false),
    ("physics/synthetic_lfp/soh80", Chemistry::Lfp, false),
    ("data/synthetic <b>&\"cell'</b>", Chemistry::Nca, true),
];

/// Repeatable numbers in 0..1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

fn trace(noise: &mut Noise, start: f64, drift: f64, tau: f64, wobble: f64, offset: f64) -> Trace {
    let mut t = Trace::default();
    for i in 0..1800 {
        let time = 8.0 * f64::from(i);
        let truth = 0.95 - 0.9 * time / 14_400.0 + 0.01 * (time / 300.0).sin();
        let fade = (-time / tau).exp();
        t.time_s.push(time);
        t.soc_true.push(truth);
        t.soc.push(truth + start * fade + wobble * (time / 2500.0).sin() + 0.001 * (noise.next() - 0.5));
        t.soc_std.push(0.012 + start.abs() * fade / 2.0);
        t.soc_coulomb_counter.push(truth + start + drift * time / 14_400.0);
        t.soc_textbook_ekf
            .push(truth + start * (-time / (3.0 * tau)).exp() + 2.0 * wobble * (time / 1500.0).cos());
        t.voltage_v.push(3.3 + 0.8 * truth);
        t.current_a.push(2.0 + 3.0 * (time / 40.0).sin());
        t.temperature_c.push(25.0);
        t.current_bias_a.push(offset * (1.0 - (-time / 3000.0).exp()));
    }
    t
}

fn score(max: f64, coverage: Option<f64>, converged: Option<f64>) -> Score {
    Score {
        max_points: max,
        p99_points: 0.9 * max,
        rmse_points: 0.4 * max,
        convergence_s: converged,
        coverage,
        coverage_before: None,
        end_points: -0.3 * max,
        scored_h: 3.83,
    }
}

fn synthetic_results() -> Results {
    let mut noise = Noise(7);
    let mut cases = Vec::new();
    let variants = [
        (0.0, "ideal", 0.0, true),
        (-10.0, "ideal", 0.0, true),
        (30.0, "ideal", 0.0, true),
        (0.0, "ideal", 0.1, true),
        (0.0, "good", 0.0, true),
        (0.0, "limit", 0.0, true),
        (0.0, "good", 0.0, false),
    ];
    for (dataset, chemistry, measured) in DATASETS {
        for temperature_c in [-10.0, 10.0, 25.0] {
            for (start_error_points, sensors, current_offset_a, capacity_known) in variants {
                if !capacity_known && !dataset.contains("soh80") {
                    continue;
                }
                let i = cases.len();
                let cold = if temperature_c < 0.0 { 2.2 } else { 1.0 };
                let max = cold * (0.6 + 2.0 * noise.next());
                let start = start_error_points / 100.0;
                let tau = 300.0 + 1500.0 * noise.next();
                let mut bms = score(max, Some(0.985 + 0.015 * noise.next()), Some(tau));
                if i == 4 {
                    bms.max_points = f64::NAN;
                    bms.rmse_points = f64::NAN;
                }
                let missing = i % 10 == 9;
                cases.push(Case {
                    dataset: dataset.into(),
                    tuned_on: false,
                    chemistry,
                    measured,
                    plant: false,
                    age: if dataset.contains("soh80") { "soh80" } else { "soh100" }.into(),
                    temperature_c,
                    profile: ["US06", "UDDS <drive>", "WLTC"][i % 3].into(),
                    file: format!("run_{i}.csv"),
                    start_error_points,
                    sensors: sensors.into(),
                    current_offset_a,
                    capacity_ah: 4.8,
                    capacity_known,
                    draw: 0,
                    remembered: true,
                    bms,
                    coulomb_counter: score(start_error_points.abs() + 1.0 + 5.0 * noise.next(), None, None),
                    textbook_ekf: score(cold * (1.0 + 6.0 * noise.next()), Some(0.8), Some(3.0 * tau)),
                    trace: (!missing)
                        .then(|| trace(&mut noise, start, 0.04, tau, max / 120.0, current_offset_a)),
                    trace_file: (!missing).then(|| format!("traces/run {i:02}.csv")),
                });
            }
        }
    }
    let mut ablations = Vec::new();
    for group in ["NMC, right start", "LFP, wrong start"] {
        for (k, variant) in
            ["full", "without hysteresis", "without offset state", "fixed <noise>"].into_iter().enumerate()
        {
            let f = 1.0 + k as f64;
            ablations.push(Ablation {
                variant: variant.into(),
                group: group.into(),
                cases: 12,
                rmse_points: 0.5 * f,
                mean_max_points: 1.4 * f,
                worst_max_points: if k == 3 { f64::NAN } else { 2.2 * f },
                coverage: 0.99,
            });
        }
    }
    let bound = |name: &str, value: f64, ok| BoundCheck {
        name: name.into(),
        value,
        bound: 3.2,
        unit: "points".into(),
        ok,
    };
    Results {
        version: "0.0.0 SYNTHETIC TEST DATA".into(),
        cases,
        ablations,
        targets: Vec::new(),
        sensor_terms: None,
        causes: Vec::new(),
        bounds: vec![bound("NMC worst max", 2.9, true), bound("LFP worst max & more", 4.1, false)],
        notes: vec!["synthetic: skipped <file> because it was invented".into()],
    }
}

fn synthetic_cell() -> CellFile {
    let temperatures = vec![-20.0, -10.0, 0.0, 10.0, 25.0, 40.0];
    let table = |columns: usize, f: &dyn Fn(f64, f64) -> f64| -> Vec<Vec<f64>> {
        temperatures
            .iter()
            .map(|t| (0..columns).map(|i| f(*t, i as f64 / (columns - 1) as f64)).collect())
            .collect()
    };
    let cold = |t: f64| (-(t - 25.0) / 25.0).exp();
    let bowl = |s: f64| 1.0 + 0.8 * (1.0 - s).powi(6);
    CellFile {
        format_version: FORMAT_VERSION,
        cell: CellInfo {
            name: "synthetic <cell>".into(),
            chemistry: Chemistry::Nmc,
            nominal_capacity_ah: 5.0,
            capacity_ah: 4.87,
            coulombic_efficiency: 0.999,
            v_min: 2.5,
            v_max: 4.2,
        },
        validity: Validity { temperature_c: [-20.0, 40.0], soc: [0.05, 0.95], c_rate: [3.0, 1.0] },
        provenance: Provenance {
            tool: "synthetic test".into(),
            source: "invented".into(),
            files: vec!["hppc_25.csv: pulses".into(), "c20_25.csv: OCV".into()],
            warnings: vec!["no charge branch at <0 degC; took the one at 10 degC".into()],
        },
        tables: Tables {
            ocv_v: table(101, &|t, s| 3.0 + 1.15 * s + 0.25 * (8.0 * s).sin() / (1.0 + 8.0 * s) + 0.0004 * t),
            hysteresis_v: table(101, &|t, s| 0.02 * (1.2 - s) * (1.0 - t / 100.0)),
            r0_ohm: table(21, &|t, s| 0.018 * cold(t).sqrt() * bowl(s)),
            rct_ohm: table(21, &|t, s| 0.012 * cold(t) * cold(t) * bowl(s)),
            r1_ohm: table(21, &|t, s| 0.008 * cold(t) * bowl(s)),
            tau1_s: table(21, &|_, s| 8.0 + 4.0 * s),
            r2_ohm: table(21, &|t, s| 0.01 * cold(t) * bowl(s)),
            tau2_s: table(21, &|t, s| 400.0 + 300.0 * s - 2.0 * t),
            i_ct_a: vec![2.0; 6],
            model_error_v: table(21, &|t, s| 0.004 * cold(t) * bowl(s)),
            hysteresis_gamma: 60.0,
            ageing: None,
            negative_v: Vec::new(),
            temperature_c: temperatures.clone(),
        },
        fit: temperatures
            .iter()
            .map(|t| FitSummary {
                temperature_c: *t,
                voltage_rmse_v: 0.003 * cold(*t),
                voltage_max_v: 0.02 * cold(*t),
                pulses: (1..20)
                    .map(|i| PulseResidual {
                        soc: f64::from(i) / 20.0,
                        current_a: 5.0,
                        duration_s: 10.0,
                        rmse_v: 0.002 * cold(*t) * bowl(f64::from(i) / 20.0),
                        max_v: -0.006 * cold(*t) * bowl(f64::from(i) / 20.0),
                    })
                    .collect(),
            })
            .collect(),
    }
}

/// Every relative link of a page.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"./")
        .skip(1)
        .filter_map(|s| s.split('"').next())
        .map(|s| s.replace("%20", " "))
        .collect()
}

#[test]
fn the_page_tells_everything_and_its_links_lead_somewhere() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("BMS_SYNTHETIC_REPORT").map(std::path::PathBuf::from);
    let dir = kept.as_deref().unwrap_or(temporary.path());
    let results = synthetic_results();
    assert!(results.cases.len() >= 55, "{}", results.cases.len());
    let plots = identification::write_plots(&dir.join("cells"), "synthetic", &synthetic_cell()).unwrap();
    std::fs::write(dir.join("cells/synthetic.toml"), "synthetic = true\n").unwrap();
    let cell = IdentifiedCell {
        dataset: DATASETS[0].0.into(),
        cell: synthetic_cell(),
        cell_file: "cells/synthetic.toml".into(),
    };
    write_report(dir, &results, None, &[cell], &[]).unwrap();

    let html = std::fs::read_to_string(dir.join("index.html")).unwrap();
    assert!(html.len() < 6_000_000, "{} bytes", html.len());
    for (dataset, _, _) in DATASETS {
        assert!(html.contains(&super::html::esc(dataset)), "{dataset}");
    }
    assert!(!html.contains("<b>&\"cell"), "unescaped name");
    assert!(!html.contains("<drive>") && html.contains("UDDS &lt;drive&gt;"));
    assert!(!html.contains("<noise>") && !html.contains("<file>") && !html.contains("<cell>"));
    for bad in ["NaN", "inf<", "inf\""] {
        assert!(
            !html.contains(bad),
            "{bad} at {:?}",
            html.find(bad).map(|i| &html[i.saturating_sub(80)..i + 10])
        );
    }
    let table = html.split("<table class=\"sort\">").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(table.matches("<tr>").count(), results.cases.len() + 1);
    assert_eq!(
        html.matches("BMS (bms-core) ").count(),
        results.cases.len() - 1,
        "one dot for each finite score"
    );
    let kept = results.cases.iter().filter(|c| c.bms.max_points <= 3.0).count();
    assert!(html.contains(&format!("met in {kept} of {} runs", results.cases.len())));
    assert!(html.contains("1 of 2 recorded bounds are broken"));
    assert!(!html.contains("http://") && !html.contains("https://"), "external resource");

    let links = links(&html);
    assert!(links.iter().any(|l| l == "cells/synthetic.toml") && links.iter().any(|l| l == "runs.csv"));
    for link in &links {
        assert!(dir.join(link).is_file(), "{link}");
    }
    let traced = results.cases.iter().filter(|c| c.trace.is_some()).count();
    assert!(links.iter().filter(|l| l.starts_with("traces/")).count() >= traced);

    let csv = std::fs::read_to_string(dir.join(results.cases[0].trace_file.as_ref().unwrap())).unwrap();
    assert!(csv.starts_with("time_s,soc_true_fraction,soc_bms_fraction,"));
    assert_eq!(csv.lines().count(), 1801);
    let runs = std::fs::read_to_string(dir.join("runs.csv")).unwrap();
    assert_eq!(runs.lines().count(), results.cases.len() + 1);

    assert_eq!(plots.len(), 9);
    for plot in &plots {
        let svg = std::fs::read_to_string(plot).unwrap();
        assert!(
            svg.starts_with("<svg xmlns") && svg.trim_end().ends_with("</svg>") && !svg.contains("<cell>")
        );
        assert!(svg.contains("SOC, %"), "{plot:?}");
    }
}

#[test]
fn sensor_terms_and_causes_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = synthetic_results();
    let term = |sensors: &str, max_points| TermScore {
        corner: "limit".into(),
        family: "LFP".into(),
        sensors: sensors.into(),
        runs: 7,
        missed: usize::from(max_points > 3.0),
        max_points,
        rmse_points: 0.5,
    };
    results.sensor_terms = Some(SensorTerms {
        scores: vec![term("none", 1.0), term("all", 7.0), term("only <voltage> offset", f64::NAN)],
        offsets: vec![OffsetTrial {
            drive: "plant/x/US06".into(),
            chemistry: Chemistry::Lfp,
            offset_c: 0.1,
            hours: 2.0,
            bound_points: 20.0,
            zero_known_points: 2.5,
            zero_unknown_points: 12.5,
        }],
        verdicts: vec!["limit corner, LFP: the <b> breaks it".into()],
    });
    results.causes = vec![Cause {
        group: "LFP, soh080, -10 degC".into(),
        cases: 3,
        of: 9,
        worst_points: 5.5,
        worst: "set/file".into(),
        experiments: vec![("ideal sensors".into(), 2.75), ("true start".into(), f64::NAN)],
        verdict: "ideal sensors".into(),
    }];
    write_report(dir.path(), &results, None, &[], &[]).unwrap();
    let html = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert!(html.contains("bound: limit-grade offset of 0.10 C over 2.0 hours = 20.0 points"));
    assert!(html.contains("the &lt;b&gt; breaks it") && html.contains("limit corner, LFP (7 drives)"));
    assert!(html.contains("3 of 9") && html.contains("<td class=\"n ok\">2.75</td>"));
    assert!(!html.contains("NaN"));
}

#[test]
fn a_map_over_life_has_a_row_for_each_age_and_start() {
    let mut cases: Vec<Case> =
        synthetic_results().cases.into_iter().filter(|c| c.sensors == "good").collect();
    cases.retain(|c| c.capacity_known);
    let html = super::heat_map::over_life(&cases);
    for text in ["new, right start", "80 %, right start", "NMC (3 runs)", "LFP (3 runs)", "NCA (3 runs)"] {
        assert!(html.contains(text), "{text}");
    }
    cases[0].start_error_points = -30.0;
    assert!(super::heat_map::over_life(&cases).contains("new, start ±30"));
    assert!(super::heat_map::over_life(&[]).contains("No run had good sensors"));
}

#[test]
fn empty_results_make_a_page_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = synthetic_results();
    results.cases.clear();
    results.ablations.clear();
    results.bounds.clear();
    results.notes.clear();
    write_report(dir.path(), &results, None, &[], &[]).unwrap();
    let html = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert!(html.contains("Nothing was scored.") && html.contains("No bounds are recorded"));
    assert!(!html.contains("NaN"));
    assert!(table::summary_table(&results).contains("0/0"));
}

#[test]
fn broken_series_and_scores_do_not_break_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = synthetic_results();
    for case in &mut results.cases {
        case.bms =
            Score { max_points: f64::NAN, rmse_points: f64::INFINITY, coverage: Some(f64::NAN), ..case.bms };
        if let Some(t) = &mut case.trace {
            t.soc.truncate(700);
            t.soc_std.clear();
            t.soc_textbook_ekf[3..40].fill(f64::NAN);
            t.time_s[5] = f64::NAN;
        }
    }
    let mut cell = synthetic_cell();
    cell.tables.r0_ohm[0][3] = f64::NAN;
    cell.tables.r1_ohm.clear();
    cell.fit.clear();
    let cell = IdentifiedCell { dataset: "x".into(), cell, cell_file: "missing.toml".into() };
    write_report(dir.path(), &results, None, &[cell], &[]).unwrap();
    let html = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
    assert!(!html.contains("NaN") && !html.contains("inf<"));
    assert!(!html.contains("href=\"./missing.toml"));
    assert!(html.contains(&format!("met in 0 of {} runs", results.cases.len())));
}

#[test]
fn five_hundred_runs_and_many_cells_stay_a_small_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut results = synthetic_results();
    let once = std::mem::take(&mut results.cases);
    for k in 0..9 {
        for case in &once {
            let dataset = format!("{} {k}", case.dataset);
            results.cases.push(Case { dataset, trace_file: None, ..case.clone() });
        }
    }
    assert!(results.cases.len() > 500);
    let cell = |i: usize| IdentifiedCell {
        dataset: format!("data/synthetic_{i}"),
        cell: synthetic_cell(),
        cell_file: String::new(),
    };
    write_report(dir.path(), &results, None, &(0..15).map(cell).collect::<Vec<_>>(), &[]).unwrap();
    let bytes = std::fs::metadata(dir.path().join("index.html")).unwrap().len();
    assert!(bytes < 6_000_000, "{bytes} bytes");
    println!("{bytes} bytes");
    if let Some(kept) = std::env::var_os("BMS_SYNTHETIC_REPORT") {
        std::fs::copy(dir.path().join("index.html"), Path::new(&kept).join("large.html")).unwrap();
    }
}

#[test]
fn a_trace_file_outside_the_report_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["../x.csv", "/x.csv", ""] {
        let mut results = synthetic_results();
        results.cases[0].trace_file = Some(file.into());
        assert!(write_report(dir.path(), &results, None, &[], &[]).is_err(), "{file:?}");
    }
    assert!(!Path::new("/x.csv").exists());
}

#[test]
fn the_hardest_thing_names_the_condition() {
    let mut case = synthetic_results().cases.swap_remove(0);
    assert_eq!(condition(&case), Condition::RightStart);
    case.age = "soh80".into();
    assert_eq!(condition(&case), Condition::AgedCapacityKnown);
    case.sensors = "good".into();
    assert_eq!(condition(&case), Condition::GoodSensors);
    case.start_error_points = -10.0;
    assert_eq!(condition(&case), Condition::Start10);
    case.start_error_points = 30.0;
    assert_eq!(condition(&case), Condition::Start30);
    case.current_offset_a = -0.05;
    assert_eq!(condition(&case), Condition::CurrentOffset);
    case.sensors = "limit".into();
    assert_eq!(condition(&case), Condition::LimitSensors);
    case.capacity_known = false;
    assert_eq!(condition(&case), Condition::AgedNewCapacity);
    for condition in Condition::ALL {
        assert!(condition.short_label().chars().count() <= 14);
    }
}

#[test]
fn the_terminal_table_fits_and_names_every_group() {
    let results = synthetic_results();
    let text = table::summary_table(&results);
    println!("{text}");
    assert!(!text.contains("NaN"));
    for line in text.lines() {
        assert!(line.chars().count() <= 112, "{} columns: {line}", line.chars().count());
    }
    assert!(text.contains("start ±30") && text.contains("aged, new C") && text.contains("1 of 2 hold"));
    assert!(text.contains("-10"));
}

#[test]
fn power_lives_and_packs_have_sections() {
    let dir = tempfile::tempdir().unwrap();
    let mut states = health();
    states.control = scores();
    states.lives[0].check_ups[1].soh_q_estimated = f64::NAN;
    states.power[0].worst[0].set = "<set>".into();
    write_report(dir.path(), &synthetic_results(), Some(&states), &[], &[]).unwrap();
    let html = std::fs::read_to_string(dir.path().join("index.html")).unwrap();
    for id in ["power", "lives", "packs", "control"] {
        assert!(html.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert!(html.contains("kim2011, −10 °C, discharge: 5.00 %"), "a dot of the chart");
    assert!(html.contains("Capacity and resistance over the life of okane2022, 80 to 20 %, seed 7"));
    assert!(html.contains("whole control, pack 1: 1.20 K"), "a dot of a pack");
    assert!(html.contains("after 72 h") && !html.contains("NaN") && !html.contains("<set>"));
    for line in [
        power::table(&states.power),
        health_report::lives_table(&states.lives),
        health_report::packs_table(&states.packs),
        control_report::control_table(&states.control),
    ]
    .concat()
    .lines()
    {
        assert!(line.chars().count() <= 112, "{} columns: {line}", line.chars().count());
    }
    states.lives.clear();
    write_report(dir.path(), &synthetic_results(), Some(&states), &[], &[]).unwrap();
    assert!(!std::fs::read_to_string(dir.path().join("index.html")).unwrap().contains("id=\"lives\""));
}
