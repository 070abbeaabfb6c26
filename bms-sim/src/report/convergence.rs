//! How a wrong start is corrected.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::aggregate::{Estimator, group_by};
use super::condition::condition;
use super::html::{count, esc, figure, minutes};
use super::plot::{Axis, BOLD, Drawing, Mark, chart, label, legend, limits, line, range, stroke};
use super::traces::{chemistry_colour, chemistry_name, error};
use crate::results::{Case, TARGET_POINTS, Trace};

/// Error over time for the runs with a wrong start, and a table of the times.
pub(super) fn convergence(cases: &[Case], data: &str) -> String {
    let wrong: Vec<&Case> = cases.iter().filter(|c| c.start_error_points.abs() > 0.5).collect();
    if wrong.is_empty() {
        return "<p class=\"dim\">No run was started at a wrong SOC.</p>".into();
    }
    let traced: Vec<(&Case, &Trace)> = wrong
        .iter()
        .filter_map(|c| c.trace.as_ref().map(|t| (*c, t)))
        .filter(|(_, t)| t.time_s.len() > 1 && !t.soc_true.is_empty())
        .collect();
    let mut html = table(&wrong);
    if traced.is_empty() {
        html.push_str("<p class=\"dim\">No time series of these runs were kept.</p>");
        return html;
    }
    let end = range(traced.iter().flat_map(|(_, t)| t.time_s.iter().copied())).1 / 60.0;
    let start =
        wrong.iter().map(|c| c.start_error_points.abs()).filter(|v| v.is_finite()).fold(10.0, f64::max);
    let (width, height, top) = (460.0, 300.0, 58.0);
    let mut marks: Vec<(Mark, &str)> = Vec::new();
    for (case, _) in &traced {
        if marks.iter().all(|(_, name)| *name != chemistry_name(case)) {
            marks.push((Mark::Line(chemistry_colour(case)), chemistry_name(case)));
        }
    }
    marks.sort_by_key(|(_, name)| *name);
    marks.push((Mark::Limit, "±3 points"));
    type Pick = fn(&Trace) -> &Vec<f64>;
    let panels: [(Estimator, f64, Pick); 2] =
        [(Estimator::Bms, 60.0, |t| &t.soc), (Estimator::TextbookEkf, 610.0, |t| &t.soc_textbook_ekf)];
    let drawing = Drawing::new(1100.0, top + height + 44.0, |canvas| {
        legend(canvas, 60.0, 12.0, &marks)?;
        for (estimator, left, pick) in panels {
            label(canvas, (left, top - 14.0), HPos::Left, BOLD, estimator.label())?;
            let x = (Axis::log(0.2, end.max(1.0)), "time since the start, min (logarithmic)");
            let y = (Axis::linear(-1.25 * start, 1.25 * start), "error, points");
            let mut chart = chart(canvas, [left, top, width, height], x, y)?;
            for (case, trace) in &traced {
                let style = stroke(chemistry_colour(case).mix(0.55), 1.0);
                line(&mut chart, error(trace, pick(trace), 60.0), 5.0, style)?;
            }
            limits(&mut chart, TARGET_POINTS)?;
        }
        Ok(())
    });
    html.push_str(&figure(
        &drawing.inline("Error after a wrong start over time"),
        &format!(
            "{} with a wrong start, one line each, drawn from 12 s on. The coulomb counter has no means of \
             correction and is left out. Scores: {data}; the CSV of each run is linked in <a href=\"#runs\">Run by run</a>.",
            count(traced.len(), "run")
        ),
    ));
    html
}

/// How many runs converged and after what time.
fn table(wrong: &[&Case]) -> String {
    let mut rows = String::new();
    let groups = group_by(wrong.iter().copied(), |c| (condition(c), chemistry_name(c)));
    for ((group, chemistry), members) in &groups {
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{chemistry}</td><td class=\"n\">{}</td>",
            esc(group.label()),
            members.len()
        ));
        for estimator in [Estimator::Bms, Estimator::TextbookEkf] {
            let mut times: Vec<f64> = members
                .iter()
                .filter_map(|c| estimator.score(c).convergence_s)
                .filter(|t| t.is_finite())
                .collect();
            times.sort_by(f64::total_cmp);
            let class = if times.len() == members.len() { "ok" } else { "no" };
            // The median counts runs that never converged as longer than any other.
            let median = times.get((members.len() - 1) / 2).copied();
            let slowest = if times.len() == members.len() { times.last().copied() } else { None };
            rows.push_str(&format!(
                "<td class=\"n {class}\">{} of {}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>",
                times.len(),
                members.len(),
                minutes(median),
                minutes(slowest)
            ));
        }
        rows.push_str("</tr>\n");
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th rowspan=\"2\">condition</th><th rowspan=\"2\">chemistry</th>\
         <th rowspan=\"2\" class=\"n\">runs</th><th colspan=\"3\" class=\"bms\">BMS</th>\
         <th colspan=\"3\" class=\"ekf\">Textbook EKF</th></tr><tr>{}</tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        "<th class=\"n\">converged</th><th class=\"n\">median, min</th><th class=\"n\">slowest, min</th>"
            .repeat(2)
    )
}
