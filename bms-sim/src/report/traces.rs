//! Single runs over time: SOC, error and current offset.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::aggregate::{Estimator, severity};
use super::condition::{Condition, condition};
use super::html::{esc, figure, file_link, maximum, minutes, number, opt_percent};
use super::plot::{
    Axis, BMS, COUNTER, Drawing, EKF, FRAME, LFP, Mark, NCA, NMC, SMALL, TEXT, band, chart, dashed, label,
    legend, limits, line, range, stroke,
};
use crate::results::{Case, TARGET_POINTS, Trace};

const WORST: usize = 6;
const BUCKET: f64 = 2.5;

/// The worst and some typical runs as HTML.
pub(super) fn traces(dir: &Path, cases: &[Case]) -> String {
    let mut drawn: Vec<(usize, &Case)> =
        cases.iter().enumerate().filter(|(_, case)| drawable(case)).collect();
    if drawn.is_empty() {
        return "<p class=\"dim\">No time series were kept.</p>".into();
    }
    drawn.sort_by(|a, b| severity(&b.1.bms).total_cmp(&severity(&a.1.bms)));
    let mut html = String::from(
        "<p>Above: SOC; the core's own ±3σ band is shaded around its estimate. Below: the error; here the band is shaded \
         around zero, so the core judges itself rightly while the blue line is inside. With a current offset a third panel \
         shows the core's estimate of it.</p>\n<h3>The worst runs</h3>\n<div class=\"grid2\">",
    );
    let worst = drawn.len().min(WORST);
    for (_, case) in &drawn[..worst] {
        html.push_str(&run(dir, case));
    }
    html.push_str("</div>\n");
    let rest = &drawn[worst..];
    let mut typical: Vec<(&str, usize, &Case)> = Vec::new();
    let mut chemistries: Vec<_> = rest.iter().map(|(_, case)| case.chemistry).collect();
    chemistries.sort();
    chemistries.dedup();
    for chemistry in chemistries {
        let members: Vec<_> = rest.iter().filter(|(_, case)| case.chemistry == chemistry).collect();
        let (i, case) = members[members.len() / 2];
        typical.push(("median", *i, case));
    }
    if let Some((i, case)) = rest.last().filter(|(i, _)| typical.iter().all(|(_, j, _)| i != j)) {
        typical.push(("best", *i, case));
    }
    let offset = rest.iter().filter(|(_, case)| case.current_offset_a != 0.0).collect::<Vec<_>>();
    if let Some((i, case)) =
        offset.get(offset.len() / 2).filter(|(i, _)| typical.iter().all(|(_, j, _)| i != j))
    {
        typical.push(("median with a current offset", *i, case));
    }
    if !typical.is_empty() {
        html.push_str(
            "<h3>Typical runs</h3>\n<p class=\"dim\">By the maximum error among the remaining runs: the median \
                       of each chemistry and the best.</p>\n<div class=\"grid2\">",
        );
        for (what, _, case) in typical {
            html.push_str(&format!(
                "<div><h4>{}</h4>{}</div>",
                esc(&format!("{what}, {}", chemistry_name(case))),
                run(dir, case)
            ));
        }
        html.push_str("</div>\n");
    }
    html
}

/// Name of the chemistry of a case.
pub(super) fn chemistry_name(case: &Case) -> &'static str {
    use crate::cell_file::Chemistry;
    match case.chemistry {
        Chemistry::Nmc => "NMC",
        Chemistry::Nca => "NCA",
        Chemistry::Lfp => "LFP",
    }
}

/// Colour of the chemistry's lines.
pub(super) fn chemistry_colour(case: &Case) -> RGBColor {
    use crate::cell_file::Chemistry;
    match case.chemistry {
        Chemistry::Nmc => NMC,
        Chemistry::Nca => NCA,
        Chemistry::Lfp => LFP,
    }
}

fn drawable(case: &Case) -> bool {
    case.trace.as_ref().is_some_and(|t| t.time_s.len() > 1 && !t.soc_true.is_empty() && !t.soc.is_empty())
}

/// Points (time, value) in `unit` seconds and percent.
fn series<'a>(
    trace: &'a Trace,
    values: &'a [f64],
    unit: f64,
    factor: f64,
) -> impl Iterator<Item = (f64, f64)> + 'a {
    trace.time_s.iter().zip(values).map(move |(t, v)| (t / unit, factor * v))
}

/// Error (time, points) against the reference.
pub(super) fn error<'a>(
    trace: &'a Trace,
    values: &'a [f64],
    unit: f64,
) -> impl Iterator<Item = (f64, f64)> + 'a {
    trace
        .time_s
        .iter()
        .zip(values.iter().zip(&trace.soc_true))
        .map(move |(t, (v, r))| (t / unit, 100.0 * (v - r)))
}

/// One run: title, drawing, link to its numbers.
fn run(dir: &Path, case: &Case) -> String {
    let Some(trace) = &case.trace else {
        return String::new();
    };
    let end = range(trace.time_s.iter().copied()).1;
    let (unit, time_label) = if end > 7200.0 { (3600.0, "time, h") } else { (60.0, "time, min") };
    let offset = case.current_offset_a != 0.0 && !trace.current_bias_a.is_empty();
    let (left, width) = (58.0, 486.0);
    let x = Axis::linear(0.0, end / unit);
    let panel = |top, height| [left, top, width, height];
    let shown = [&trace.soc_true, &trace.soc, &trace.soc_coulomb_counter, &trace.soc_textbook_ekf];
    let (low, high) = range(shown.into_iter().flatten().map(|v| 100.0 * v));
    let values = [&trace.soc, &trace.soc_coulomb_counter, &trace.soc_textbook_ekf];
    let largest = values
        .into_iter()
        .flat_map(|v| error(trace, v, unit))
        .map(|(_, e)| e.abs())
        .filter(|e| e.is_finite())
        .fold(0.0, f64::max);
    let own = if case.bms.max_points.is_finite() { 1.25 * case.bms.max_points } else { 0.0 };
    let reach = (1.08 * largest).min(own.max(12.0)).max(4.0);

    let drawing = Drawing::new(556.0, if offset { 500.0 } else { 386.0 }, |canvas| {
        let marks = [
            (Mark::Line(TEXT), "reference"),
            (Mark::Line(BMS), "BMS"),
            (Mark::Band, "±3σ"),
            (Mark::Line(COUNTER), "counter"),
            (Mark::Line(EKF), "EKF"),
            (Mark::Limit, "±3 points"),
        ];
        legend(canvas, left - 4.0, 10.0, &marks)?;

        let y = Axis::linear((low - 4.0).max(-15.0), (high + 4.0).min(115.0));
        let mut soc = chart(canvas, panel(26.0, 140.0), (x.clone(), ""), (y, "SOC, %"))?;
        let around = trace.soc.iter().zip(&trace.soc_std);
        let edges = trace
            .time_s
            .iter()
            .zip(around)
            .map(|(t, (s, d))| (t / unit, 100.0 * (s - 3.0 * d), 100.0 * (s + 3.0 * d)));
        band(&mut soc, edges, BUCKET)?;
        for (values, colour, thickness) in [
            (&trace.soc_coulomb_counter, COUNTER, 1.5),
            (&trace.soc_textbook_ekf, EKF, 1.5),
            (&trace.soc_true, TEXT, 3.0),
            (&trace.soc, BMS, 1.5),
        ] {
            line(&mut soc, series(trace, values, unit, 100.0), BUCKET, stroke(colour, thickness))?;
        }

        let x_title = if offset { "" } else { time_label };
        let y = (Axis::linear(-reach, reach), "error, points");
        let mut err = chart(canvas, panel(180.0, 160.0), (x.clone(), x_title), y)?;
        let edges = trace.time_s.iter().zip(&trace.soc_std).map(|(t, d)| (t / unit, -300.0 * d, 300.0 * d));
        band(&mut err, edges, BUCKET)?;
        line(&mut err, [(0.0, 0.0), (end / unit, 0.0)], BUCKET, stroke(FRAME, 1.0))?;
        for (values, colour) in values.into_iter().zip([BMS, COUNTER, EKF]).rev() {
            line(&mut err, error(trace, values, unit), BUCKET, stroke(colour, 1.5))?;
        }
        limits(&mut err, TARGET_POINTS)?;
        if largest > reach {
            let remark = format!("axis cut; largest error {} points", number(largest, 1));
            label(canvas, (left + width - 6.0, 190.0), HPos::Right, SMALL, &remark)?;
        }

        if offset {
            let added = case.current_offset_a;
            let y = Axis::around(trace.current_bias_a.iter().copied().chain([0.0, added]));
            let mut bias = chart(canvas, panel(354.0, 100.0), (x, time_label), (y, "offset, A"))?;
            dashed(&mut bias, [(0.0, added), (end / unit, added)], stroke(TEXT, 1.5))?;
            line(&mut bias, series(trace, &trace.current_bias_a, unit, 1.0), BUCKET, stroke(BMS, 1.5))?;
            label(canvas, (left + width, 483.0), HPos::Right, SMALL, "blue: estimated, dashed: added")?;
        }
        Ok(())
    });

    let title = format!("{} · {} · {} °C", case.dataset, case.profile, number(case.temperature_c, 0));
    let file = case.trace_file.as_deref().map_or_else(
        || "Not kept as a file.".into(),
        |file| format!("Numbers: {}.", file_link(dir, file, file)),
    );
    let score = |e: Estimator| maximum(e.score(case).max_points);
    let caption = format!(
        "<b>{}</b> – {}{}<br>Maximum error in points: BMS <b class=\"{}\">{}</b>, counter {}, EKF {}. In the ±3σ band {} % \
         of the time; {}. {file}",
        esc(&title),
        condition(case).label(),
        esc(&circumstances(case)),
        if super::aggregate::met(&case.bms) { "ok" } else { "no" },
        score(Estimator::Bms),
        score(Estimator::CoulombCounter),
        score(Estimator::TextbookEkf),
        opt_percent(case.bms.coverage),
        case.bms.convergence_s.map_or_else(
            || "never inside ±3 points for good".into(),
            |s| format!("inside ±3 points for good after {} min", minutes(Some(s))),
        ),
    );
    figure(&drawing.inline(&title), &caption)
}

/// What was set for the run, in words.
fn circumstances(case: &Case) -> String {
    let named = matches!(condition(case), Condition::GoodSensors | Condition::LimitSensors);
    let mut words = if named { String::new() } else { format!(", {} sensors", case.sensors) };
    if case.start_error_points != 0.0 {
        words += &format!(
            ", start {}{} points",
            if case.start_error_points > 0.0 { "+" } else { "" },
            number(case.start_error_points, 0)
        );
    }
    if case.current_offset_a != 0.0 {
        words += &format!(", offset {} A", number(case.current_offset_a, 3));
    }
    words
}
