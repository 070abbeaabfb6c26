//! State of power: tables for the terminal and the page, and a chart over temperature.

use std::fmt::Write as _;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{count, details, esc, figure, number};
use super::plot::{
    Axis, BAD, BMS, BOLD, COUNTER, Drawing, EKF, Mark, NMC, chart, dashed, label, legend, range, stroke, u,
};
use crate::sop::{SopCase, SopFigures};
use crate::verify::health::{POWER_PERCENT, PowerGroup, PowerKey, PowerScore};
use crate::verify::targets::power_place;

/// For the terminal: one line for each plant and each limit.
#[must_use]
pub fn table(scores: &[PowerScore]) -> String {
    let mut out = String::new();
    for score in scores {
        let _ = writeln!(
            out,
            "\nState of power, {}: errors in %\n{:42} {:>6} {:>6} {:>6} {:>6} {:>6} | {:>8} {:>6} {:>6}",
            score.source.label(),
            "",
            "limits",
            "p99",
            "max",
            "RMSE",
            "over",
            "safe: n>",
            "over",
            "below"
        );
        let rows = score.all().into_iter().chain(score.sets());
        let rows: Vec<&PowerGroup> =
            if score.source.judged() { rows.chain(score.limits()).collect() } else { rows.collect() };
        for PowerGroup { key, figures: f, .. } in rows {
            let _ = writeln!(
                out,
                "{:42} {:>6} {:>6.2} {:>6.2} {:>6.2} {:>6.2} | {:>8} {:>6.2} {:>6.2}",
                key.label(),
                f.cases,
                f.p99,
                f.max,
                f.rmse,
                f.over,
                f.safe_over_cases,
                f.safe_over,
                f.safe_below
            );
        }
    }
    out
}

/// The section of the page.
pub(super) fn section(scores: &[PowerScore]) -> String {
    let mut html = format!(
        "<p>The largest constant power and current that a cell can hold for 2, 10 and 30 s. The truth is found by loading \
         copies of the plant; an error is the estimate less the truth over the truth, or over a tenth of the rated value \
         where the truth is below that. The target is a 99th percentile of {POWER_PERCENT} % for the best estimate; the safe \
         value is never to exceed the truth. Numbers: <code>results.json</code>, <code>health.power</code>.</p>\n"
    );
    for score in scores {
        let _ = writeln!(html, "<h3>{}</h3>", esc(score.source.label()));
        if score.source.judged() {
            html.push_str(&over_temperature(score));
        }
        let deep =
            |g: &&PowerGroup| g.key.set.is_some() && (g.key.horizon_s.is_some() || g.key.ambient_c.is_some());
        let coarse: Vec<&PowerGroup> = score.groups.iter().filter(|g| !deep(g)).collect();
        html.push_str(&rows(&coarse));
        if score.source.judged() {
            let all: Vec<&PowerGroup> = score.groups.iter().filter(deep).collect();
            html.push_str(&details(&count(all.len(), "finer group"), false, &rows(&all)));
            html.push_str(&cases("Largest errors of the best estimate", &score.worst, SopCase::error));
            html.push_str(&cases("Largest safe values", &score.worst_safe, SopCase::safe_error));
        }
    }
    html
}

fn rows(groups: &[&PowerGroup]) -> String {
    let mut rows = String::new();
    for PowerGroup { key, figures: f, beyond } in groups {
        let SopFigures { cases, p99, max, rmse, over, safe_over, safe_over_cases, safe_below, .. } = *f;
        let class = |ok: bool| if ok { "n ok" } else { "n no" };
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td class=\"n\">{cases}</td><td class=\"{}\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{beyond}</td><td class=\"{}\">{safe_over_cases}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            esc(&key.label()),
            class(p99 <= POWER_PERCENT),
            number(p99, 2),
            number(max, 2),
            number(rmse, 2),
            number(over, 2),
            class(safe_over_cases == 0),
            number(safe_over, 2),
            number(safe_below, 2),
        );
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th rowspan=\"2\">over</th><th rowspan=\"2\" class=\"n\">limits</th>\
         <th colspan=\"5\">best estimate: |error|, %</th><th colspan=\"3\">safe value, %</th></tr><tr>\
         <th class=\"n\">p99</th><th class=\"n\">max</th><th class=\"n\">RMSE</th><th class=\"n\">most too high</th>\
         <th class=\"n\">beyond {POWER_PERCENT} %</th><th class=\"n\">too high</th><th class=\"n\">by at most</th>\
         <th class=\"n\">mean below</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn cases(title: &str, cases: &[SopCase], error: fn(&SopCase) -> f64) -> String {
    if cases.is_empty() {
        return String::new();
    }
    let items: String = cases
        .iter()
        .map(|c| {
            let [truth, best, safe] = [c.truth, c.best, c.safe].map(|v| number(v, 1));
            let unit = if c.power { "W" } else { "A" };
            format!(
                "<li><b>{} %</b>: {}; truth {truth}, best {best}, safe {safe} {unit}</li>\n",
                number(error(c), 1),
                esc(&power_place(c))
            )
        })
        .collect();
    details(title, false, &format!("<ul>{items}</ul>\n"))
}

/// The 99th percentile of each plant over the ambient temperature, discharge and charge.
fn over_temperature(score: &PowerScore) -> String {
    let key = PowerKey {
        set: Some(String::new()),
        ambient_c: Some(0.0),
        discharge: Some(true),
        ..PowerKey::default()
    };
    let groups: Vec<&PowerGroup> = score.groups_like(&key).collect();
    let temperatures = || groups.iter().filter_map(|g| g.key.ambient_c);
    let p99 = || groups.iter().map(|g| g.figures.p99).filter(|v| *v > 0.0);
    let (low_c, high_c) = range(temperatures());
    let (low, high) = range(p99().chain([1.0, 10.0]));
    let colours = [BMS, COUNTER, EKF, NMC];
    let sets: Vec<&str> = score.sets().filter_map(|g| g.key.set.as_deref()).collect();
    let colour = |k: usize| colours[k % colours.len()];
    let mut marks: Vec<(Mark, &str)> =
        sets.iter().enumerate().map(|(k, set)| (Mark::Line(colour(k)), *set)).collect();
    marks.push((Mark::Limit, "target"));
    let (width, height, top) = (460.0, 220.0, 58.0);
    let mut tips = Vec::new();
    let drawing = Drawing::new(1100.0, top + height + 44.0, |canvas| {
        legend(canvas, 60.0, 12.0, &marks)?;
        for (discharge, left) in [(true, 60.0), (false, 610.0)] {
            let title = if discharge { "discharge" } else { "charge" };
            label(canvas, (left, top - 14.0), HPos::Left, BOLD, title)?;
            let x = (Axis::linear(low_c - 3.0, high_c + 3.0), "ambient temperature, °C");
            let y = (Axis::log(low / 1.3, high * 1.3), "p99 of |error|, % (logarithmic)");
            let mut chart = chart(canvas, [left, top, width, height], x, y)?;
            for (k, set) in sets.iter().enumerate() {
                let of_set = |g: &&&PowerGroup| {
                    g.key.set.as_deref() == Some(*set) && g.key.discharge == Some(discharge)
                };
                let mut points: Vec<(f64, f64)> = groups
                    .iter()
                    .filter(of_set)
                    .filter_map(|g| g.key.ambient_c.map(|t| (t, g.figures.p99)))
                    .filter(|(_, p99)| *p99 > 0.0)
                    .collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                for (t, p99) in &points {
                    tips.push(format!("{set}, {} °C, {title}: {} %", number(*t, 0), number(*p99, 2)));
                }
                let style = stroke(colour(k), 2.0);
                chart.draw_series(LineSeries::new(points.clone(), style))?;
                chart.draw_series(points.iter().map(|p| Circle::new(*p, u(4.0), colour(k).filled())))?;
            }
            let ends = chart.x_range();
            dashed(&mut chart, [(ends.start, POWER_PERCENT), (ends.end, POWER_PERCENT)], stroke(BAD, 1.2))?;
        }
        Ok(())
    });
    figure(
        &drawing
            .with_tips("circle", &tips)
            .inline("State of power: 99th percentile of the error over temperature"),
        "99th percentile over ages, SOC levels, horizons, rested and in the drive.",
    )
}
