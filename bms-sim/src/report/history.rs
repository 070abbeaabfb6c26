//! How this run compares with earlier ones into the same folder.

use plotters::prelude::*;

use super::html::{esc, figure, number, points};
use super::plot::{Axis, BAD, BMS, COUNTER, Drawing, EKF, Mark, chart, dashed, legend, stroke, u};
use crate::results::TARGET_POINTS;
use crate::verify::{DataKind, Summary};

/// Rows of the table.
const LISTED: usize = 20;

const CAPTION: &str = "Runs of this kind (same data, extent and seed), the oldest on the left.";

/// Weighted RMSE over the whole of the data sets or of the plants.
fn weighted(summary: &Summary, plants: bool) -> Option<f64> {
    let whole = |w: &&crate::verify::weights::Weighted| {
        w.plants == plants && w.temperature_c.is_none() && !w.held_out
    };
    summary.weighted.iter().find(whole).map(|w| w.bms_rmse_points)
}

/// Whether two runs can be compared: the same data, extent, choice and seed.
fn same_kind(a: &Summary, b: &Summary) -> bool {
    let plants = |s: &Summary| weighted(s, true).is_some();
    (a.data, a.quick, a.full, &a.filter, a.seed, plants(a))
        == (b.data, b.quick, b.full, &b.filter, b.seed, plants(b))
}

fn share(summary: &Summary) -> f64 {
    100.0 * summary.within_target as f64 / summary.cases.max(1) as f64
}

/// One line for the terminal: this run, the last of the summaries, against the one before of the same kind.
#[must_use]
pub fn difference(summaries: &[Summary]) -> String {
    let Some((now, earlier)) = summaries.split_last() else { return String::new() };
    let Some(before) = earlier.iter().rev().find(|s| same_kind(s, now)) else {
        return "No earlier run of this kind in this folder to compare with.".into();
    };
    let mut out = format!(
        "Against the previous run of this kind: within the target {:.1} -> {:.1} % ({} of {} -> {} of {}), worst {:.2} -> {:.2}",
        share(before),
        share(now),
        before.within_target,
        before.cases,
        now.within_target,
        now.cases,
        before.worst_points,
        now.worst_points
    );
    for (plants, name) in [(false, "data sets"), (true, "plants")] {
        if let (Some(a), Some(b)) = (weighted(before, plants), weighted(now, plants)) {
            out += &format!(", weighted RMSE {name} {a:.3} -> {b:.3}");
        }
    }
    out
}

/// A plot of the runs of this run's kind and a table of the last runs of any kind.
pub(super) fn history(summaries: &[Summary]) -> String {
    let Some(now) = summaries.last() else {
        return "<p class=\"dim\">No summary was kept.</p>".into();
    };
    let same: Vec<&Summary> = summaries.iter().filter(|s| same_kind(s, now)).collect();
    let drawn = if same.len() > 1 { plot(&same) } else { String::new() };
    let rms = |s: &Summary, plants| weighted(s, plants).map_or_else(|| "–".into(), points);
    let rows: String = summaries
        .iter()
        .enumerate()
        .rev()
        .take(LISTED)
        .map(|(k, s)| {
            format!(
                "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{} of {} ({} %)</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                k + 1,
                esc(&s.version),
                esc(&kind(s)),
                s.within_target,
                s.cases,
                number(share(s), 1),
                points(s.worst_points),
                rms(s, false),
                rms(s, true)
            )
        })
        .collect();
    format!(
        "<p>{}</p>\n{drawn}<div class=\"scroll\"><table><thead><tr><th class=\"n\">run</th><th>version</th><th>kind</th>\
         <th class=\"n\">within the target</th><th class=\"n\">worst, points</th><th class=\"n\">weighted RMSE, data sets</th>\
         <th class=\"n\">weighted RMSE, plants</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n",
        esc(&difference(summaries))
    )
}

fn kind(summary: &Summary) -> String {
    let data = match summary.data {
        DataKind::Default => "default data",
        DataKind::Shared => "shared data",
        DataKind::Other => "other data",
    };
    let mut out = data.to_owned();
    for (on, name) in
        [(weighted(summary, true).is_some(), "plants"), (summary.quick, "quick"), (summary.full, "full")]
    {
        if on {
            out += &format!(", {name}");
        }
    }
    if let Some(filter) = &summary.filter {
        out += &format!(", only {filter}");
    }
    out
}

/// Points, colour and name.
type Line<'a> = (Vec<(f64, f64)>, RGBColor, &'a str);

/// Misses in percent, the worst maximum and the weighted errors, from the oldest run to this one.
fn plot(runs: &[&Summary]) -> String {
    let (left, top, width, height) = (66.0, 30.0, 470.0, 130.0);
    let ends = (0.5, runs.len() as f64 + 0.5);
    let place = |k: usize| k as f64 + 1.0;
    let series = |f: &dyn Fn(&Summary) -> Option<f64>| -> Vec<(f64, f64)> {
        runs.iter().enumerate().filter_map(|(k, s)| Some((place(k), f(s)?))).collect()
    };
    let draw = |lines: &[Line<'_>], title: &str, limit: Option<f64>| {
        let values = lines.iter().flat_map(|l| l.0.iter().map(|p| p.1));
        let highest = values.chain(limit).fold(0.1, f64::max);
        Drawing::new(left + width + 20.0, top + height + 12.0, |canvas| {
            let y = Axis::linear(0.0, 1.1 * highest);
            let x = Axis::linear(ends.0, ends.1);
            let mut chart = chart(canvas, [left, top, width, height], (x, ""), (y, title))?;
            let mut marks = Vec::new();
            for (points, colour, name) in lines.iter().filter(|l| !l.0.is_empty()) {
                chart.draw_series(LineSeries::new(points.clone(), stroke(*colour, 1.8)))?;
                let dot = |p: &(f64, f64)| Circle::new(*p, u(3.5), colour.filled());
                chart.draw_series(points.iter().map(dot))?;
                marks.push((Mark::Line(*colour), *name));
            }
            if let Some(limit) = limit {
                dashed(&mut chart, [(ends.0, limit), (ends.1, limit)], stroke(BAD, 1.2))?;
                marks.push((Mark::Limit, "3 points"));
            }
            legend(canvas, left, 12.0, &marks)
        })
    };
    let missed = draw(&[(series(&|s| Some(100.0 - share(s))), BMS, "cases outside the target")], "%", None);
    let errors = draw(
        &[
            (series(&|s| Some(s.worst_points)), BAD, "worst maximum"),
            (series(&|s| weighted(s, false)), COUNTER, "RMSE, data sets"),
            (series(&|s| weighted(s, true)), EKF, "RMSE, plants"),
        ],
        "points",
        Some(TARGET_POINTS),
    );
    let figures = [
        figure(&missed.inline("Cases outside the target over earlier runs"), CAPTION),
        figure(&errors.inline("Errors over earlier runs"), CAPTION),
    ];
    format!("<div class=\"grid2\">{}</div>\n", figures.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(within_target: usize, worst_points: f64) -> Summary {
        Summary {
            version: "0".into(),
            data: DataKind::Default,
            quick: false,
            full: false,
            filter: None,
            seed: 1,
            cases: 10,
            within_target,
            worst_points,
            weighted: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_compared_with_the_last_of_its_kind() {
        let quick = Summary { quick: true, ..summary(1, 30.0) };
        let mut runs = vec![summary(5, 9.0), quick, summary(7, 8.0)];
        let told = difference(&runs);
        assert!(told.contains("50.0 -> 70.0 % (5 of 10 -> 7 of 10), worst 9.00 -> 8.00"), "{told}");
        let html = history(&runs);
        assert!(html.contains("<svg") && html.matches("<tr><td").count() == 3 && html.contains("quick"));
        runs.remove(0);
        assert!(difference(&runs).starts_with("No earlier run"));
        assert!(!history(&runs).contains("<svg"));
        assert!(history(&[]).contains("No summary"));
    }
}
