//! Fault injection: tables for the terminal and the page, and the times of every case against what was allowed.

use std::fmt::Write as _;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::ReportError;
use super::html::{Section, esc, figure, page};
use super::plot::{Axis, BAD, BMS, COUNTER, Drawing, FRAME, Mark, PLAIN, chart, label, legend, stroke, u};
use super::write_file;
use crate::faults::campaign::{Campaign, Row};
use crate::faults::catalog::Group;
use crate::faults::standards::Verdict;
use crate::verify::faults::FaultScore;

/// Misses and false trips that are listed one by one.
const LISTED: usize = 25;

fn ms(value: f64) -> String {
    if value.is_nan() {
        "-".into()
    } else if value < 10_000.0 {
        format!("{value:.0} ms")
    } else {
        format!("{:.1} s", value / 1000.0)
    }
}

fn by(row: &Row<'_>) -> String {
    let names: Vec<&str> = row.by.iter().map(|(id, _)| id.entry().name).take(2).collect();
    match names.as_slice() {
        [] => "-".into(),
        all if row.by.len() > all.len() => format!("{}, ...", all.join(", ")),
        all => all.join(", "),
    }
}

/// For the terminal: a line for each kind of fault, then what went wrong.
#[must_use]
pub fn campaign_table(campaign: &Campaign) -> String {
    let mut out = format!(
        "{:72} {:>5} {:>9} {:>9} {:>9} {:>8} {:>9} {:>6}  detected by\n",
        "fault", "cases", "median", "worst", "reaction", "FTTI", "margin", "missed"
    );
    let mut group: Option<Group> = None;
    for row in campaign.rows() {
        if group != Some(row.kind.group) {
            group = Some(row.kind.group);
            let _ = writeln!(out, "{}", row.kind.group.name());
        }
        let [median, worst] = row.detection_ms;
        // Where no harm follows directly, the table's own reaction time counts.
        let mark = if row.kind.row().ftti_ms > 0 { "" } else { "*" };
        let _ = writeln!(
            out,
            "  {:70} {:>5} {:>9} {:>9} {:>9} {:>8} {:>9} {:>6}  {}",
            row.kind.name,
            row.cases,
            ms(median),
            ms(worst),
            ms(row.worst_ms),
            format!("{}{mark}", ms(row.allowed_ms)),
            ms(row.margin_ms),
            row.missed,
            by(&row)
        );
    }
    out +=
        "  * no fault-tolerant time: no harm follows directly; held against the reaction time of the table\n";
    let harmless = campaign.cases.len() - campaign.dangerous();
    let _ = writeln!(
        out,
        "\n{} cases ({harmless} in which no danger came up), {} missed; {:.0} h of normal driving; {} false trips; least margin {:.0} %",
        campaign.cases.len(),
        campaign.missed().count(),
        campaign.driven_h(),
        campaign.false_trips(),
        campaign.least_margin_percent()
    );
    for c in campaign.missed().take(LISTED) {
        let _ = writeln!(
            out,
            "  missed: {}, {}, {:.0} degC, {}, seed {}: {:?}; detected by {}, reaction {}, first {}",
            c.fault,
            c.mode.name(),
            c.temperature_c,
            c.pack,
            c.seed,
            c.what,
            c.detected_by.map_or("nothing", |id| id.entry().name),
            ms(c.reaction_ms.unwrap_or(f64::NAN)),
            c.first.map_or("nothing", |id| id.entry().name),
        );
    }
    for c in campaign.cases.iter().filter(|c| !c.false_before.is_empty()).take(LISTED) {
        let names: Vec<&str> = c.false_before.iter().map(|id| id.entry().name).collect();
        let _ = writeln!(
            out,
            "  false trip before {}, {}, {:.0} degC, {}, seed {}: {}",
            c.fault,
            c.mode.name(),
            c.temperature_c,
            c.pack,
            c.seed,
            names.join(", ")
        );
    }
    for t in campaign.driven_trips().take(LISTED) {
        let _ = writeln!(
            out,
            "  false trip in normal driving at {:.0} degC, seed {}, {:.1} s: {} ({} against {})",
            t.ambient_c,
            t.seed,
            t.time_s,
            t.id.map_or("", |id| id.entry().name),
            t.value,
            t.limit
        );
    }
    out
}

/// For the terminal: what came of the tests of the standards.
#[must_use]
pub fn standards_table(verdicts: &[Verdict]) -> String {
    let mut out = String::from(
        "\nProtection tests of GB 38031-2025 and accuracy tests of GB/T 38661-2020 on the car's pack\n\
         ([M]: from memory, to be checked against the bought standard)\n",
    );
    for v in verdicts {
        let by = v.ended_by.map_or(String::new(), |id| format!(" by {}", id.entry().name));
        let verdict = if v.passed { "passed" } else { "FAILED" };
        let _ = writeln!(out, "  {verdict}  {:52} {}{by}", v.clause, v.detail);
    }
    out
}

/// The section of the verification.
pub(super) fn section(score: &FaultScore) -> String {
    format!(
        "<p>{} kinds of faults in {} cases, {} missed; {:.0} h of normal driving, {} false trips; least share of the allowed \
         time that was left {:.0} %. All cases: <code>bms faults --report DIR</code>.</p>\n<pre>{}</pre>\n",
        score.kinds,
        score.cases,
        score.missed,
        score.driven_h,
        score.false_trips,
        score.least_margin_percent,
        esc(&score.table)
    )
}

/// Writes the page of a campaign and its cases as JSON.
///
/// # Errors
/// When a file cannot be written.
pub fn write_campaign(dir: &Path, campaign: &Campaign, verdicts: &[Verdict]) -> Result<(), ReportError> {
    let section = |id, title, body| Section { id, title, body };
    let sections = [
        section("times", "Reaction of every case", times(campaign)),
        section("table", "Kinds of faults", format!("<pre>{}</pre>\n", esc(&campaign_table(campaign)))),
        section(
            "standards",
            "Tests of standards",
            format!("<pre>{}</pre>\n", esc(&standards_table(verdicts))),
        ),
    ];
    let intro = format!(
        "<p>{} faults were injected into simulated packs with sensors at the limits of the standard, in every operating mode, at \
         -20, 25 and 45 degC; then {:.0} h of normal driving. {} cases were not answered in time, {} diagnoses had no \
         reason.</p>\n",
        campaign.cases.len(),
        campaign.driven_h(),
        campaign.missed().count(),
        campaign.false_trips()
    );
    let html = page("Injected faults", &intro, &sections);
    write_file(&dir.join("index.html"), html.as_bytes())?;
    let json = serde_json::to_vec(campaign).unwrap_or_default();
    write_file(&dir.join("cases.json"), &json)
}

/// Every case a dot: time to the end of the reaction, over what was allowed for its kind.
fn times(campaign: &Campaign) -> String {
    let rows = campaign.rows();
    let row_height = 20.0;
    let (left, top, width) = (480.0, 40.0, 720.0);
    let height = row_height * rows.len() as f64;
    let x = Axis::log(20.0, 200_000.0);
    let y = Axis::Linear(height..0.0);
    let drawing = Drawing::new(left + width + 20.0, top + height + 44.0, |canvas| {
        let title =
            "time from the danger until contactors are open or the limit is withdrawn, ms (logarithmic)";
        let mut chart = chart(canvas, [left, top, width, height], (x, title), (y, ""))?;
        let ends = chart.x_range();
        for (i, row) in rows.iter().enumerate() {
            let y = row_height * i as f64;
            chart.draw_series(LineSeries::new([(ends.start, y), (ends.end, y)], stroke(FRAME, 0.5)))?;
            label(canvas, (left - 8.0, top + y + 0.5 * row_height), HPos::Right, PLAIN, row.kind.name)?;
            let allowed = [(row.allowed_ms, y + 2.0), (row.allowed_ms, y + row_height - 2.0)];
            chart.draw_series(LineSeries::new(allowed, stroke(COUNTER, 3.0)))?;
            let cases = campaign.cases.iter().filter(|c| c.hazard && c.fault == row.kind.name);
            for (k, case) in cases.enumerate() {
                let Some(ms) = case.reaction_ms else { continue };
                let jitter = ((k as f64 * 0.618_034).fract() - 0.5) * (row_height - 8.0);
                let colour = if case.missed() { BAD } else { BMS };
                let place = (ms.max(22.0), y + 0.5 * row_height + jitter);
                chart.draw_series([Circle::new(place, u(2.4), colour.mix(0.6).filled())])?;
            }
        }
        legend(
            canvas,
            left,
            14.0,
            &[(Mark::Dot(BMS), "a case"), (Mark::Dot(BAD), "missed"), (Mark::Line(COUNTER), "allowed")],
        )
    });
    figure(
        &drawing.inline("Reaction of every case"),
        "Each dot is a case, the bar what its fault-tolerant time allows.",
    )
}
