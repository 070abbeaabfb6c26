//! The sections that are words and tables: verdict, headline, bounds, misses, every run, notes.

use std::path::Path;

use super::aggregate::{Aggregate, Estimator, dataset_label, group_by, met, severity, temperature_key};
use super::condition::{Condition, condition};
use super::html::{count, esc, file_link, maximum, minutes, number, opt_percent, percent, points};
use super::traces::chemistry_name;
use crate::cell_file::Chemistry;
use crate::results::{Case, Results, TARGET_COVERAGE, TARGET_POINTS, TargetOutcome};

/// Rows of the tables of runs.
const LISTED: usize = 1500;

/// What this is and how to read it.
pub(super) fn intro(results: &Results, results_link: &str, runs_link: &str) -> String {
    format!(
        "<p>An embedded battery management core (<code>bms-core</code>) estimates the state of charge (SOC) of lithium-ion \
         cells from current, voltage and temperature. <code>bms verify</code> {} replays drives through it – measured on \
         real cells, recorded from simulated ones, and of plants (<code>plant/…</code>: physics models of cells, simulated \
         during the run and identified from simulated laboratory tests) – and compares every sample with the reference SOC. Two \
         baselines run on the same samples: a plain coulomb counter and a textbook extended Kalman filter (EKF) with two RC \
         pairs.</p>\n\
         <p><b>How to read it.</b> The error is the estimated minus the reference SOC, in points (percent of full \
         capacity): positive means the estimate is too high. The target is a maximum |error| of {TARGET_POINTS} points. The \
         first 10 minutes of a run are not scored, nor is the convergence time declared for a wrong start; what happens in \
         them is still drawn. Start errors have the sign of the error; currents are positive on discharge. The core also \
         states its own standard deviation σ: the truth should lie within ±3σ at least {} % of the time.</p>\n\
         <p class=\"dim\">Numbers behind everything: {runs_link} (one line per run), {results_link}, and one CSV per plotted \
         run. Percent on this page, fractions in the time series files.</p>\n",
        esc(&results.version),
        number(100.0 * TARGET_COVERAGE, 0),
    )
}

/// The verdict in one box.
pub(super) fn verdict(results: &Results) -> String {
    let cases = &results.cases;
    if cases.is_empty() && !results.targets.is_empty() {
        let met = results.targets.iter().filter(|t| t.met).count();
        let broken = results.bounds.iter().filter(|b| !b.ok).count();
        return format!(
            "<div class=\"verdict {}\"><strong>{met} of {} met, {broken} of {} broken.</strong> One part alone ran.</div>\n",
            if broken == 0 { "good" } else { "bad" },
            count(results.targets.len(), "target"),
            count(results.bounds.len(), "bound"),
        );
    }
    if cases.is_empty() {
        return "<div class=\"verdict bad\"><strong>Nothing was scored.</strong> There is no run to judge.</div>\n"
            .into();
    }
    let kept = cases.iter().filter(|c| met(&c.bms)).count();
    let broken = results.bounds.iter().filter(|b| !b.ok).count();
    let covered = cases.iter().filter_map(|c| c.bms.coverage).filter(|c| *c >= TARGET_COVERAGE).count();
    let narrow = cases.iter().filter_map(|c| c.bms.coverage).filter(|c| *c < 0.5).count();
    let banded = cases.iter().filter(|c| c.bms.coverage.is_some()).count();
    let unscored = cases.iter().filter(|c| !c.bms.max_points.is_finite()).count();
    let best = |e: Estimator| {
        let lowest = |c: &&Case| {
            let own = severity(e.score(c));
            own.is_finite() && Estimator::ALL.iter().all(|o| own <= severity(o.score(c)))
        };
        cases.iter().filter(lowest).count()
    };
    let all = kept == cases.len();
    let mut items = format!(
        "<li>Own ±3σ band holds the truth at least {} % of the time in {covered} of {banded} runs, \
         and for less than half of the time in {narrow}.</li>\
         <li>Lowest maximum error of the three (ties count for each): BMS in {}, coulomb counter in {}, textbook EKF in {} \
         of {} runs.</li>",
        number(100.0 * TARGET_COVERAGE, 0),
        best(Estimator::Bms),
        best(Estimator::CoulombCounter),
        best(Estimator::TextbookEkf),
        cases.len()
    );
    items += &if results.bounds.is_empty() {
        "<li>No bounds are recorded.</li>".to_string()
    } else if broken == 0 {
        format!("<li>All {} recorded bounds hold.</li>", results.bounds.len())
    } else {
        format!("<li class=\"no\">{broken} of {} recorded bounds are broken.</li>", results.bounds.len())
    };
    if unscored > 0 {
        items += &format!(
            "<li class=\"no\">{} without a finite score, counted as missed.</li>",
            count(unscored, "run")
        );
    }
    if !results.notes.is_empty() {
        items += &format!(
            "<li>{} on plants and skipped data, see <a href=\"#notes\">Notes</a>.</li>",
            count(results.notes.len(), "note")
        );
    }
    format!(
        "<div class=\"verdict {}\"><strong>Target of ±{TARGET_POINTS} points met in {kept} of {} runs ({} %){}.</strong>\
         <ul>{items}</ul></div>\n",
        if all && broken == 0 { "good" } else { "bad" },
        cases.len(),
        percent(kept as f64 / cases.len() as f64),
        if all { String::new() } else { format!("; missed in {}", cases.len() - kept) },
    )
}

/// The targets of the acceptance protocol.
pub(super) fn targets(results: &Results) -> String {
    if results.targets.is_empty() {
        return "<p class=\"dim\">None was scored: they ask for good sensors.</p>".into();
    }
    let row = |t: &TargetOutcome| {
        format!(
            "<tr><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{} {}</td><td class=\"n\">{} {}</td>\
             <td class=\"{}\">{}</td><td>{}</td></tr>\n",
            t.number,
            esc(&t.name),
            number(t.measured, 2),
            esc(&t.unit),
            number(t.limit, 1),
            esc(&t.unit),
            if t.met { "ok" } else { "no" },
            if t.met { "✓ met" } else { "✗ missed" },
            esc(&t.detail)
        )
    };
    let rows: String = results.targets.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr><th class=\"n\">#</th><th>target</th><th class=\"n\">reached</th>\
         <th class=\"n\">limit</th><th></th><th>over what</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// Weighted figures of the three estimators.
pub(super) fn headline(cases: &[Case]) -> String {
    let mut rows = String::new();
    let all: Vec<&Case> = cases.iter().collect();
    headline_row(&mut rows, "all runs", &all);
    let mut group = |title: &str, members: Vec<(String, Vec<&Case>)>| {
        rows.push_str(&format!("<tr class=\"group\"><th colspan=\"15\">{}</th></tr>\n", esc(title)));
        for (label, cases) in members {
            headline_row(&mut rows, &label, &cases);
        }
    };
    let by_use = group_by(cases, |c| c.tuned_on);
    let usage = |tuned: bool| {
        if tuned { "drives that the constants were tuned on" } else { "drives held out from tuning" }
    };
    group("by use", by_use.into_iter().map(|(k, v)| (usage(k).to_string(), v)).collect());
    let by_source = group_by(cases, |c| (!c.measured, c.plant));
    let source = |key: (bool, bool)| match key {
        (_, true) => "plants: simulated during the run (cell-models, SPMe)",
        (true, false) => "recorded from physics models (PyBaMM, DFN)",
        (false, false) => "measured cells",
    };
    group("by source", by_source.into_iter().map(|(k, v)| (source(k).to_string(), v)).collect());
    let by_temperature = group_by(cases, temperature_key);
    group(
        "by ambient temperature",
        by_temperature.into_iter().map(|(k, v)| (format!("{} °C", number(k as f64, 0)), v)).collect(),
    );
    let by_chemistry = group_by(cases, chemistry_name);
    group("by chemistry", by_chemistry.into_iter().map(|(k, v)| (k.to_string(), v)).collect());
    let by_condition = group_by(cases, condition);
    group("by condition", by_condition.into_iter().map(|(k, v)| (k.label().to_string(), v)).collect());
    let family = |lfp: bool| if lfp { "LFP" } else { "NMC and NCA" };
    let by_both = group_by(cases, |c| (c.chemistry == Chemistry::Lfp, condition(c)));
    group(
        "by chemistry and condition",
        by_both.into_iter().map(|((lfp, k), v)| (format!("{}, {}", family(lfp), k.label()), v)).collect(),
    );

    let heads: String = Estimator::ALL
        .iter()
        .map(|e| {
            format!(
                "<th colspan=\"{}\" class=\"{}\">{}</th>",
                if *e == Estimator::Bms { 5 } else { 4 },
                e.class(),
                e.label()
            )
        })
        .collect();
    let columns = "<th class=\"n\">RMSE</th><th class=\"n\">mean max</th><th class=\"n\">worst max</th><th class=\"n\">met</th>";
    format!(
        "<p>In points of SOC. RMSE is over all scored hours, so long runs weigh more; the mean of the maxima counts every \
         run the same. The <span class=\"best\">best of the three</span> is marked.</p>\n\
         <div class=\"scroll\"><table><thead><tr><th rowspan=\"2\">group</th><th rowspan=\"2\" class=\"n\">runs</th>{heads}</tr>\
         <tr>{columns}<th class=\"n\">in ±3σ, %</th>{columns}{columns}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
    )
}

/// Says so where a table does not list everything.
fn left_out(all: usize) -> String {
    if all <= LISTED {
        return String::new();
    }
    format!("<p class=\"dim\">The {LISTED} with the largest errors of {all}; all are in runs.csv.</p>\n")
}

fn headline_row(rows: &mut String, label: &str, cases: &[&Case]) {
    let figures = Estimator::ALL.map(|e| Aggregate::of(cases, e));
    let lowest = |pick: fn(&Aggregate) -> Option<f64>| figures.iter().filter_map(pick).min_by(f64::total_cmp);
    let most = figures.iter().map(|a| a.met).max().unwrap_or(0);
    let cell = |a: &Aggregate, pick: fn(&Aggregate) -> Option<f64>, show: fn(f64) -> String| {
        let best = pick(a).is_some() && pick(a) == lowest(pick);
        let shown = pick(a).map_or_else(|| "–".into(), show);
        format!("<td class=\"n{}\">{shown}</td>", if best { " best" } else { "" })
    };
    rows.push_str(&format!("<tr><td>{}</td><td class=\"n\">{}</td>", esc(label), cases.len()));
    for (i, a) in figures.iter().enumerate() {
        rows.push_str(&cell(a, |a| a.rmse, points));
        rows.push_str(&cell(a, |a| a.mean_max, points));
        rows.push_str(&cell(a, |a| a.worst_max, maximum));
        let best = a.met == most && most > 0;
        rows.push_str(&format!(
            "<td class=\"n{}\">{}/{}</td>",
            if best { " best" } else { "" },
            a.met,
            a.runs
        ));
        if i == 0 {
            rows.push_str(&format!("<td class=\"n\">{}</td>", opt_percent(a.coverage)));
        }
    }
    rows.push_str("</tr>\n");
}

/// Recorded bounds with pass or fail, broken ones first.
pub(super) fn bounds(results: &Results) -> String {
    if results.bounds.is_empty() {
        return "<p class=\"dim\">No bounds are recorded.</p>".into();
    }
    let mut sorted: Vec<_> = results.bounds.iter().collect();
    sorted.sort_by_key(|b| b.ok);
    let rows: String = sorted
        .iter()
        .map(|b| {
            format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"{}\">{}</td></tr>\n",
                esc(&b.name),
                number(b.value, 3),
                number(b.bound, 3),
                esc(&b.unit),
                if b.ok { "ok" } else { "no" },
                if b.ok { "✓ holds" } else { "✗ broken" }
            )
        })
        .collect();
    let held = results.bounds.iter().filter(|b| b.ok).count();
    let open = if held < results.bounds.len() { " open" } else { "" };
    let count = results.bounds.len();
    format!(
        "<p>Bounds guard what was reached before: the run fails when one breaks, even where the target of {TARGET_POINTS} \
         points is still far.</p>\n<details{open}><summary>{held} of {count} hold</summary>\n\
         <div class=\"scroll\"><table><thead><tr><th>what</th><th class=\"n\">reached</th>\
         <th class=\"n\">bound</th><th>unit</th><th>verdict</th></tr></thead><tbody>\n{rows}</tbody></table></div></details>\n"
    )
}

/// Runs that miss the target, worst first.
pub(super) fn misses(cases: &[Case]) -> String {
    let mut missed: Vec<&Case> = cases.iter().filter(|c| !met(&c.bms)).collect();
    if missed.is_empty() {
        return if cases.is_empty() {
            "<p class=\"dim\">Nothing was scored.</p>"
        } else {
            "<p class=\"ok\">Nowhere: every run meets it.</p>"
        }
        .into();
    }
    missed.sort_by(|a, b| severity(&b.bms).total_cmp(&severity(&a.bms)));
    let mut by_condition: Vec<(Condition, usize)> =
        group_by(missed.iter().copied(), condition).into_iter().map(|(k, v)| (k, v.len())).collect();
    by_condition.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let counts: Vec<String> = by_condition.iter().map(|(c, n)| format!("{} {n}", c.label())).collect();
    let rows: String = missed
        .iter()
        .take(LISTED)
        .map(|c| {
            format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n no\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                esc(&dataset_label(c)),
                number(c.temperature_c, 0),
                esc(&c.profile),
                condition(c).label(),
                number(c.start_error_points, 0),
                maximum(c.bms.max_points),
                if c.bms.max_points.is_finite() { format!("+{}", maximum(c.bms.max_points - TARGET_POINTS)) } else { "n/a".into() },
                points(c.bms.p99_points),
                maximum(c.coulomb_counter.max_points),
                maximum(c.textbook_ekf.max_points)
            )
        })
        .collect();
    format!(
        "<p>{} of {} runs: {}.</p>\n{}<div class=\"tall\"><table><thead><tr><th>data set</th><th class=\"n\">°C</th>\
         <th>profile</th><th>condition</th><th class=\"n\">start error</th><th class=\"n bms\">BMS max</th>\
         <th class=\"n\">over by</th><th class=\"n\">BMS p99</th><th class=\"n cc\">counter max</th>\
         <th class=\"n ekf\">EKF max</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        missed.len(),
        cases.len(),
        esc(&counts.join(", ")),
        left_out(missed.len())
    )
}

/// Every run with all its scores.
pub(super) fn runs(dir: &Path, cases: &[Case]) -> String {
    if cases.is_empty() {
        return "<p class=\"dim\">Nothing was scored.</p>".into();
    }
    // The whole matrix would make a page of many megabytes: its worst runs, in their order.
    let mut listed: Vec<usize> = (0..cases.len()).collect();
    listed.sort_by(|a, b| severity(&cases[*b].bms).total_cmp(&severity(&cases[*a].bms)));
    listed.truncate(LISTED);
    listed.sort_unstable();
    let heads = [
        ("#", "n"),
        ("data set", ""),
        ("°C", "n"),
        ("profile", ""),
        ("condition", ""),
        ("target", ""),
        ("BMS max", "n bms"),
        ("p99", "n bms"),
        ("RMSE", "n bms"),
        ("end", "n bms"),
        ("conv., min", "n bms"),
        ("in ±3σ, %", "n bms"),
        ("CC max", "n cc"),
        ("RMSE", "n cc"),
        ("EKF max", "n ekf"),
        ("RMSE", "n ekf"),
        ("scored, h", "n"),
        ("series", ""),
        ("start error", "n"),
        ("sensors", ""),
        ("offset, A", "n"),
        ("capacity, Ah", "n"),
        ("chem.", ""),
        ("run", ""),
    ];
    let head: String =
        heads.iter().map(|(h, class)| format!("<th data-s class=\"{class}\">{h}</th>")).collect();
    let mut rows = String::new();
    for (i, c) in listed.iter().map(|&i| (i, &cases[i])) {
        let kept = met(&c.bms);
        let text = |s: &str| format!("<td>{}</td>", esc(s));
        let value = |v: f64, shown: String| {
            let key = if v.is_finite() { v } else { 1e9 };
            format!("<td class=\"n\" data-v=\"{key}\">{shown}</td>")
        };
        rows.push_str("<tr>");
        rows.push_str(&value(i as f64 + 1.0, (i + 1).to_string()));
        rows.push_str(&text(&dataset_label(c)));
        rows.push_str(&value(c.temperature_c, number(c.temperature_c, 0)));
        rows.push_str(&text(&c.profile));
        rows.push_str(&text(condition(c).label()));
        rows.push_str(if kept {
            "<td class=\"ok\">✓ met</td>"
        } else {
            "<td class=\"no\">✗ missed</td>"
        });
        rows.push_str(&value(c.bms.max_points, maximum(c.bms.max_points)));
        rows.push_str(&value(c.bms.p99_points, points(c.bms.p99_points)));
        rows.push_str(&value(c.bms.rmse_points, points(c.bms.rmse_points)));
        rows.push_str(&value(c.bms.end_points, points(c.bms.end_points)));
        rows.push_str(&value(c.bms.convergence_s.unwrap_or(f64::NAN), minutes(c.bms.convergence_s)));
        rows.push_str(&value(c.bms.coverage.unwrap_or(f64::NAN), opt_percent(c.bms.coverage)));
        for s in [&c.coulomb_counter, &c.textbook_ekf] {
            rows.push_str(&value(s.max_points, maximum(s.max_points)));
            rows.push_str(&value(s.rmse_points, points(s.rmse_points)));
        }
        rows.push_str(&value(c.bms.scored_h, number(c.bms.scored_h, 1)));
        let link = c.trace_file.as_deref().map(|f| file_link(dir, f, "CSV")).filter(|l| l.starts_with("<a"));
        rows.push_str(&format!("<td>{}</td>", link.unwrap_or_else(|| "–".into())));
        rows.push_str(&value(c.start_error_points, number(c.start_error_points, 0)));
        rows.push_str(&text(&c.sensors));
        rows.push_str(&value(c.current_offset_a, number(c.current_offset_a, 3)));
        let known = if c.capacity_known { "" } else { " (new cell's)" };
        rows.push_str(&value(c.capacity_ah, format!("{}{known}", number(c.capacity_ah, 3))));
        rows.push_str(&text(chemistry_name(c)));
        rows.push_str(&text(&c.file));
        rows.push_str("</tr>\n");
    }
    format!(
        "{}<div class=\"tall\"><table class=\"sort\"><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        left_out(cases.len())
    )
}

/// Skipped data and the like.
pub(super) fn notes(results: &Results) -> String {
    if results.notes.is_empty() {
        return "<p class=\"dim\">Nothing was skipped.</p>".into();
    }
    format!("<ul>{}</ul>\n", results.notes.iter().map(|n| format!("<li>{}</li>", esc(n))).collect::<String>())
}
