//! What each part of the estimator is worth: variants with one part removed.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{esc, figure, number, percent, points};
use super::plot::{
    Axis, BAD, BOLD, DIM, Drawing, FRAME, LFP, Mark, PLAIN, SMALL, chart, dashed, label, legend, range,
    stroke, u,
};
use crate::results::{Ablation, TARGET_POINTS};

/// Name of the complete estimator.
const FULL: &str = "full";

/// Plot and table per group; `data` is the link to the numbers.
pub(super) fn ablation(ablations: &[Ablation], data: &str) -> String {
    if ablations.is_empty() {
        return "<p class=\"dim\">No variants were run.</p>".into();
    }
    let mut groups: Vec<&str> = Vec::new();
    for a in ablations {
        if !groups.contains(&a.group.as_str()) {
            groups.push(&a.group);
        }
    }
    let mut plots = String::new();
    let mut rows = String::new();
    for group in groups {
        let mut members: Vec<&Ablation> = ablations.iter().filter(|a| a.group == group).collect();
        let rank = |a: &Ablation| {
            if a.worst_max_points.is_finite() { a.worst_max_points } else { f64::INFINITY }
        };
        members
            .sort_by(|a, b| (a.variant != FULL).cmp(&(b.variant != FULL)).then(rank(a).total_cmp(&rank(b))));
        plots.push_str(&plot(group, &members));
        rows.push_str(&format!("<tr class=\"group\"><th colspan=\"6\">{}</th></tr>\n", esc(group)));
        let full = members.iter().find(|a| a.variant == FULL).map(|a| a.rmse_points);
        for a in members {
            let change = match full {
                Some(full) if a.variant != FULL && full > 0.0 && a.rmse_points.is_finite() => {
                    let sign = if a.rmse_points >= full { "+" } else { "" };
                    format!(" ({sign}{} %)", number(100.0 * (a.rmse_points / full - 1.0), 0))
                }
                _ => String::new(),
            };
            rows.push_str(&format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}{change}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                if a.variant == FULL { format!("<b>{}</b>", esc(&a.variant)) } else { esc(&a.variant) },
                a.cases,
                points(a.rmse_points),
                points(a.mean_max_points),
                points(a.worst_max_points),
                percent(a.coverage)
            ));
        }
    }
    format!(
        "<div class=\"grid2\">{plots}</div>\n<p class=\"dim\">Numbers: the table below and {data}.</p>\n\
         <div class=\"scroll\"><table><thead><tr><th>variant</th><th class=\"n\">runs</th>\
         <th class=\"n\">mean RMSE, points (against full)</th><th class=\"n\">mean maximum, points</th>\
         <th class=\"n\">worst maximum, points</th><th class=\"n\">in ±3σ, %</th></tr></thead>\
         <tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn plot(group: &str, members: &[&Ablation]) -> String {
    let values = || members.iter().flat_map(|a| [a.rmse_points, a.worst_max_points]).filter(|v| *v > 0.0);
    let (low, high) = range(values().chain([1.0, 4.0]));
    let longest = members.iter().map(|a| a.variant.chars().count()).max().unwrap_or(0).min(34);
    let left = 24.0 + 6.7 * longest as f64;
    let (top, width, row) = (54.0, 540.0 - left, 24.0);
    let height = row * members.len() as f64;
    let x = Axis::log(low / 1.2, high * 1.2);
    let y = Axis::Linear(height..0.0);
    let mut tips = Vec::new();
    let drawing = Drawing::new(556.0, top + height + 44.0, |canvas| {
        label(canvas, (4.0, 10.0), HPos::Left, BOLD, group)?;
        let mut chart =
            chart(canvas, [left, top, width, height], (x, "points of SOC (logarithmic)"), (y, ""))?;
        for (i, a) in members.iter().enumerate() {
            let y = row * (i as f64 + 0.5);
            let name: String = a.variant.chars().take(34).collect();
            let style = if a.variant == FULL { BOLD } else { PLAIN };
            label(canvas, (left - 8.0, top + y), HPos::Right, style, &name)?;
            let drawable = |value: f64| value > 0.0 && value.is_finite();
            let (rmse, worst) = (a.rmse_points, a.worst_max_points);
            if drawable(rmse) && drawable(worst) {
                chart.draw_series(LineSeries::new([(rmse, y), (worst, y)], stroke(FRAME, 1.0)))?;
            }
            for (value, colour, what) in [(rmse, DIM, "mean RMSE"), (worst, LFP, "worst maximum")] {
                if drawable(value) {
                    chart.draw_series([Circle::new((value, y), u(5.0), colour.filled())])?;
                    tips.push(format!("{}: {what} {} points", a.variant, points(value)));
                } else {
                    let remark = format!("{what} n/a");
                    label(canvas, (left + width - 6.0, top + y), HPos::Right, SMALL, &remark)?;
                }
            }
        }
        dashed(&mut chart, [(TARGET_POINTS, 0.0), (TARGET_POINTS, height)], stroke(BAD, 1.2))?;
        let marks =
            [(Mark::Dot(DIM), "mean RMSE"), (Mark::Dot(LFP), "worst maximum"), (Mark::Limit, "3 points")];
        legend(canvas, left, 36.0, &marks)
    });
    figure(&drawing.with_tips("circle", &tips).inline(&format!("Ablation: {group}")), "")
}
