//! State of health over whole lives, and packs: tables for the terminal and the page, and the course of each life.

use std::fmt::Write as _;

use plotters::style::text_anchor::HPos;

use super::html::{count, details, esc, figure, number, opt_percent, points};
use super::plot::{Axis, BMS, BOLD, Drawing, Mark, TEXT, band, chart, label, legend, line, range, stroke};
use crate::lives::{CheckUp, LifeOutcome};
use crate::packs::PackOutcome;
use crate::results::TARGET_POINTS;

/// For the terminal: a line for each life.
#[must_use]
pub fn lives_table(lives: &[LifeOutcome]) -> String {
    if lives.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\nWhole lives: largest error after 30 equivalent cycles\n{:38} {:>6} {:>6} {:>7} | {:>9} {:>7} {:>8}\n",
        "", "days", "cycles", "end SOH", "SOH_Q pts", "SOH_R %", "SOC pts"
    );
    for o in lives {
        let (days, cycles, soh) =
            o.check_ups.last().map_or((0, 0.0, 1.0), |c| (c.day, c.cycles, 100.0 * c.soh_q));
        let [q, r, soc] =
            [o.soh_q_max_points(), o.soh_r_max_percent(), o.soc_max_points()].map(|v| v.unwrap_or(f64::NAN));
        let _ = writeln!(
            out,
            "{:38} {days:>6} {cycles:>6.0} {soh:>7.1} | {q:>9.2} {r:>7.2} {soc:>8.2}",
            o.life.label()
        );
    }
    out
}

/// For the terminal: a line for each pack.
#[must_use]
pub fn packs_table(packs: &[PackOutcome]) -> String {
    if packs.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\nPacks: SOC errors in points over all cells\n{:24} {:>5} {:>6} | {:>5} {:>5} {:>5} {:>5} | {:>7} {:>7} {:>5} | {:>11} {:>5}\n",
        "",
        "cells",
        "hours",
        "max",
        "p99",
        "RMSE",
        "cov%",
        "weakest",
        "fullest",
        "pack",
        "leak found",
        "false"
    );
    for p in packs {
        let leak = match p.leak.map(|l| l.detected_h) {
            Some(Some(h)) => format!("{h:.0} h"),
            Some(None) => "NOT FOUND".into(),
            None => "-".into(),
        };
        let _ = writeln!(
            out,
            "{:24} {:>5} {:>6.0} | {:>5.2} {:>5.2} {:>5.2} {:>5.1} | {:>7.2} {:>7.2} {:>5.2} | {leak:>11} {:>5}",
            p.label(),
            p.cells,
            p.hours,
            p.bms.max_points,
            p.bms.p99_points,
            p.bms.rmse_points,
            100.0 * p.bms.coverage,
            p.weakest_max_points,
            p.fullest_max_points,
            p.pack_soc_max_points,
            p.false_leaks
        );
    }
    out
}

/// A class by whether a value is within three points or percent.
const fn class(value: f64) -> &'static str {
    if value <= TARGET_POINTS { "n ok" } else { "n no" }
}

/// The section of the lives.
pub(super) fn lives(lives: &[LifeOutcome]) -> String {
    let mut rows = String::new();
    for o in lives {
        let cell = |value: Option<f64>| match value {
            Some(v) => format!("<td class=\"{}\">{}</td>", class(v), points(v)),
            None => "<td class=\"n no\">–</td>".into(),
        };
        let (days, cycles, soh) =
            o.check_ups.last().map_or((0, 0.0, 1.0), |c| (c.day, c.cycles, 100.0 * c.soh_q));
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td class=\"n\">{days}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>{}{}{}</tr>",
            esc(&o.life.label()),
            number(cycles, 0),
            number(soh, 1),
            cell(o.soh_q_max_points()),
            cell(o.soh_r_max_percent()),
            cell(o.soc_max_points()),
        );
    }
    let plots: String = lives.iter().map(course).collect();
    let plots =
        if lives.len() > 4 { details(&count(lives.len(), "life course"), false, &plots) } else { plots };
    format!(
        "<p>Cells of the plants live from new to 80 % of their capacity, driven and charged day by day through seasons, while \
         they age. Check-ups on a copy of the cell tell the truth: the capacity at C/20 and the 10 s resistance, both at \
         25 °C, as shares of the new cell's. The core sees sensors only. The target is an error of at most 3 points of \
         capacity and 3 % of the resistance at every check-up after 30 equivalent cycles.</p>\n\
         <div class=\"scroll\"><table><thead><tr><th>life (used between these SOC)</th><th class=\"n\">days</th>\
         <th class=\"n\">cycles</th><th class=\"n\">SOH at the end, %</th><th class=\"n\">SOH_Q, points</th>\
         <th class=\"n\">SOH_R, %</th><th class=\"n\">SOC, points</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n{plots}"
    )
}

/// What is drawn of a check-up: truth, estimate and standard deviation in percent.
type Pick = fn(&CheckUp) -> [f64; 3];

/// Capacity and resistance of one life over its days.
fn course(outcome: &LifeOutcome) -> String {
    let panels: [(&str, f64, Pick); 2] = [
        ("capacity, % of new", 60.0, |c| [c.soh_q, c.soh_q_estimated, c.soh_q_std]),
        ("resistance, % of new", 610.0, |c| [c.soh_r, c.soh_r_estimated, c.soh_r_std]),
    ];
    let (width, height, top) = (460.0, 220.0, 58.0);
    let title = outcome.life.label();
    let marks = [(Mark::Line(TEXT), "truth"), (Mark::Line(BMS), "BMS"), (Mark::Band, "its ±3σ")];
    let days = range(outcome.check_ups.iter().map(|c| c.day as f64)).1;
    let drawing = Drawing::new(1100.0, top + height + 44.0, |canvas| {
        label(canvas, (60.0, 12.0), HPos::Left, BOLD, &title)?;
        legend(canvas, 610.0, 12.0, &marks)?;
        for (name, left, pick) in panels {
            let values: Vec<(f64, [f64; 3])> = outcome
                .check_ups
                .iter()
                .map(|c| (c.day as f64, pick(c).map(|share| 100.0 * share)))
                .collect();
            let y = Axis::around(values.iter().flat_map(|(_, [t, e, s])| [*t, e - 3.0 * s, e + 3.0 * s]));
            let x = (Axis::linear(0.0, days), "day");
            let mut chart = chart(canvas, [left, top, width, height], x, (y, name))?;
            band(&mut chart, values.iter().map(|(d, [_, e, s])| (*d, e - 3.0 * s, e + 3.0 * s)), 0.5)?;
            line(&mut chart, values.iter().map(|(d, [t, ..])| (*d, *t)), 0.5, stroke(TEXT, 1.6))?;
            line(&mut chart, values.iter().map(|(d, [_, e, _])| (*d, *e)), 0.5, stroke(BMS, 1.6))?;
        }
        Ok(())
    });
    figure(&drawing.inline(&format!("Capacity and resistance over the life of {title}")), "")
}

/// The section of the packs.
pub(super) fn packs(packs: &[PackOutcome]) -> String {
    let mut rows = String::new();
    for p in packs {
        let leak = match p.leak.map(|l| l.detected_h) {
            Some(Some(h)) => format!("<td class=\"n ok\">after {} h</td>", number(h, 0)),
            Some(None) => "<td class=\"n no\">not found</td>".into(),
            None => "<td class=\"n\">none there</td>".into(),
        };
        let full = p.full_filters.map_or_else(|| "–".into(), |f| points(f.max_points));
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"{}\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{full}</td><td class=\"{}\">{}</td>\
             <td class=\"{}\">{}</td><td class=\"n\">{} of {}</td>{leak}<td class=\"n {}\">{}</td></tr>",
            esc(&p.label()),
            p.cells,
            number(p.hours, 0),
            class(p.bms.max_points),
            points(p.bms.max_points),
            points(p.bms.p99_points),
            points(p.bms.rmse_points),
            opt_percent(Some(p.bms.coverage)),
            class(p.weakest_max_points),
            points(p.weakest_max_points),
            class(p.fullest_max_points),
            points(p.fullest_max_points),
            number(p.capacity_rmse_percent, 2),
            number(p.capacity_spread_percent, 2),
            if p.false_leaks == 0 { "ok" } else { "no" },
            p.false_leaks,
        );
    }
    format!(
        "<p>Cells in series that differ in capacity, resistance, SOC and temperature, one of them leaking in the first pack of \
         a kind; every input has a sensor error of its own. Errors in points of SOC over all cells.</p>\n\
         <div class=\"scroll\"><table><thead><tr><th>pack</th><th class=\"n\">cells</th><th class=\"n\">hours</th>\
         <th class=\"n\">max</th><th class=\"n\">p99</th><th class=\"n\">RMSE</th><th class=\"n\">in ±3σ, %</th>\
         <th class=\"n\">max of one filter a cell</th><th class=\"n\">weakest cell</th><th class=\"n\">fullest cell</th>\
         <th class=\"n\">capacity error of spread, %</th><th class=\"n\">leak found</th><th class=\"n\">false leaks</th></tr>\
         </thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}
