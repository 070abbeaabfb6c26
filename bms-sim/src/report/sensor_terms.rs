//! What each term of the sensors' errors costs.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{details, esc, figure, number, points};
use super::plot::{Axis, BAD, BMS, BOLD, Drawing, FRAME, Mark, PLAIN, chart, dashed, label, legend, stroke};
use crate::results::{SensorTerms, TARGET_POINTS, TermScore};

const MEAN: RGBColor = FRAME;

/// Verdicts, a bar plot and table per corner and family, and what an uncorrected offset does.
pub(super) fn sensor_terms(terms: Option<&SensorTerms>) -> String {
    let Some(terms) = terms else {
        return "<p class=\"dim\">Not run: it goes with the whole of the drives, not with --quick or --filter.</p>"
            .into();
    };
    let verdicts: String = terms.verdicts.iter().map(|v| format!("<li>{}</li>", esc(v))).collect();
    let mut plots = String::new();
    let mut rows = String::new();
    for all in terms.scores.iter().filter(|s| s.sensors == "all") {
        let mut members: Vec<&TermScore> =
            terms.scores.iter().filter(|s| s.corner == all.corner && s.family == all.family).collect();
        // None and all first, then single terms, then all but one; each from best to worst.
        let kind = |s: &TermScore| match s.sensors.as_str() {
            "none" => 0,
            "all" => 1,
            name if name.starts_with("only") => 2,
            _ => 3,
        };
        members.sort_by(|a, b| kind(a).cmp(&kind(b)).then(a.rmse_points.total_cmp(&b.rmse_points)));
        let title = format!("{} corner, {} ({} drives)", all.corner, all.family, all.runs);
        plots.push_str(&plot(&title, &members));
        rows.push_str(&format!("<tr class=\"group\"><th colspan=\"5\">{}</th></tr>\n", esc(&title)));
        for s in members {
            rows.push_str(&format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n{}\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td></tr>\n",
                esc(&s.sensors),
                points(s.rmse_points),
                if s.max_points > TARGET_POINTS { " no" } else { "" },
                points(s.max_points),
                s.missed,
                s.runs
            ));
        }
    }
    let table = format!(
        "<div class=\"scroll\"><table><thead><tr><th>terms that are on</th><th class=\"n\">mean RMSE, points</th>\
         <th class=\"n\">worst maximum, points</th><th class=\"n\">drives that miss</th><th class=\"n\">drives</th></tr>\
         </thead><tbody>\n{rows}</tbody></table></div>\n"
    );
    format!(
        "<p>One drive of every data set and temperature, with the present capacity known and a right start \
         that was remembered (±2 points); the same draws of the errors throughout. <i>Only</i> switches one term on, <i>all but</i> one off. Delay, lag and loss are not stated \
         by the protocol and not part of <i>all</i>.</p>\n<ul>{verdicts}</ul>\n<div class=\"grid2\">{plots}</div>\n{}{}",
        details("The numbers", false, &table),
        offsets(terms)
    )
}

fn plot(title: &str, members: &[&TermScore]) -> String {
    let highest = members.iter().map(|s| s.max_points).fold(1.2 * TARGET_POINTS, f64::max);
    let (left, top, width, row) = (180.0, 54.0, 366.0, 20.0);
    let height = row * members.len() as f64;
    let mut tips = Vec::new();
    let drawing = Drawing::new(556.0, top + height + 44.0, |canvas| {
        label(canvas, (4.0, 10.0), HPos::Left, BOLD, title)?;
        let x = Axis::linear(0.0, 1.05 * highest);
        let y = Axis::Linear(height..0.0);
        let mut chart = chart(canvas, [left, top, width, height], (x, "points of SOC"), (y, ""))?;
        for (i, s) in members.iter().enumerate() {
            let y = row * i as f64;
            let style = if s.sensors == "all" || s.sensors == "none" { BOLD } else { PLAIN };
            label(canvas, (left - 8.0, top + y + row / 2.0), HPos::Right, style, &s.sensors)?;
            for (value, from, to, colour, what) in [
                (s.max_points, 0.12, 0.56, BMS, "worst maximum"),
                (s.rmse_points, 0.56, 0.88, MEAN, "mean RMSE"),
            ] {
                if value.is_finite() {
                    let bar = [(0.0, y + from * row), (value, y + to * row)];
                    chart.draw_series([Rectangle::new(bar, colour.filled())])?;
                    tips.push(format!("{}: {what} {} points", s.sensors, points(value)));
                }
            }
        }
        dashed(&mut chart, [(TARGET_POINTS, 0.0), (TARGET_POINTS, height)], stroke(BAD, 1.2))?;
        let marks =
            [(Mark::Dot(BMS), "worst maximum"), (Mark::Dot(MEAN), "mean RMSE"), (Mark::Limit, "3 points")];
        legend(canvas, left - 60.0, 36.0, &marks)
    });
    figure(&drawing.with_tips("rect", &tips).inline(&format!("Sensor terms: {title}")), "")
}

/// The physical bound beside what is reached.
fn offsets(terms: &SensorTerms) -> String {
    if terms.offsets.is_empty() {
        return String::new();
    }
    let rows: String = terms
        .offsets
        .iter()
        .map(|o| {
            let class = |value: f64| if value > TARGET_POINTS { " no" } else { "" };
            format!(
                "<tr><td>{}</td><td>bound: limit-grade offset of {} C over {} hours = {} points</td>\
                 <td class=\"n{}\">{}</td><td class=\"n{}\">{}</td></tr>\n",
                esc(&o.drive),
                number(o.offset_c, 2),
                number(o.hours, 1),
                number(o.bound_points, 1),
                class(o.zero_known_points),
                points(o.zero_known_points),
                class(o.zero_unknown_points),
                points(o.zero_unknown_points)
            )
        })
        .collect();
    format!(
        "<h3>A current offset that nobody corrects</h3>\n<p>An offset <i>o</i> moves a coulomb counter by <i>o t / Q</i> in a \
         time <i>t</i>; without a voltage that tells the SOC or a moment in which the current is known to be zero, no \
         estimator does better. Below, the full offset of the limit corner in both directions on ideal sensors: with the \
         zero taken while the contactors are open, and with that moment withheld.</p>\n\
         <div class=\"scroll\"><table><thead><tr><th>drive of a new cell at 25 °C</th><th>left uncorrected</th>\
         <th class=\"n\">maximum with zero calibration, points</th><th class=\"n\">without, points</th></tr></thead>\
         <tbody>\n{rows}</tbody></table></div>\n"
    )
}
