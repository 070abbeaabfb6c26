//! Single runs over time: SOC, error and current offset.

use std::path::Path;

use super::aggregate::{Estimator, severity};
use super::condition::{Condition, condition};
use super::html::{esc, figure, file_link, maximum, minutes, number, opt_percent};
use super::svg::{Panel, Scale, Svg, Swatch, range};
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

/// CSS class of the chemistry's lines.
pub(super) fn chemistry_class(case: &Case) -> &'static str {
    use crate::cell_file::Chemistry;
    match case.chemistry {
        Chemistry::Nmc => "nmc",
        Chemistry::Nca => "nca",
        Chemistry::Lfp => "lfp",
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
    let x = Scale::linear(0.0, end / unit);
    let panel = |top, height, y| Panel { left, top, width, height, x, y };
    let mut svg = Svg::new(556.0, if offset { 500.0 } else { 386.0 });
    svg.legend(
        left - 4.0,
        14.0,
        &[
            (Swatch::Line("truth"), "reference"),
            (Swatch::Line("bms"), "BMS"),
            (Swatch::Band, "±3σ"),
            (Swatch::Line("cc"), "counter"),
            (Swatch::Line("ekf"), "EKF"),
            (Swatch::Limit, "±3 points"),
        ],
    );

    let shown = [&trace.soc_true, &trace.soc, &trace.soc_coulomb_counter, &trace.soc_textbook_ekf];
    let (low, high) = range(shown.into_iter().flatten().map(|v| 100.0 * v));
    let soc = panel(26.0, 140.0, Scale::linear((low - 4.0).max(-15.0), (high + 4.0).min(115.0)));
    soc.x_axis(&mut svg, 7, None);
    soc.y_axis(&mut svg, 5, "SOC, %");
    soc.clipped(&mut svg, |svg| {
        let band: Vec<_> = trace
            .time_s
            .iter()
            .zip(trace.soc.iter().zip(&trace.soc_std))
            .map(|(t, (s, d))| (t / unit, 100.0 * (s - 3.0 * d), 100.0 * (s + 3.0 * d)))
            .collect();
        soc.band(svg, &band, BUCKET);
        soc.line(svg, series(trace, &trace.soc_coulomb_counter, unit, 100.0), BUCKET, "cc", None);
        soc.line(svg, series(trace, &trace.soc_textbook_ekf, unit, 100.0), BUCKET, "ekf", None);
        soc.line(svg, series(trace, &trace.soc_true, unit, 100.0), BUCKET, "truth thick", None);
        soc.line(svg, series(trace, &trace.soc, unit, 100.0), BUCKET, "bms", None);
    });
    soc.frame(&mut svg);

    let values = [&trace.soc, &trace.soc_coulomb_counter, &trace.soc_textbook_ekf];
    let largest = values
        .into_iter()
        .flat_map(|v| error(trace, v, unit))
        .map(|(_, e)| e.abs())
        .filter(|e| e.is_finite())
        .fold(0.0, f64::max);
    let own = if case.bms.max_points.is_finite() { 1.25 * case.bms.max_points } else { 0.0 };
    let reach = (1.08 * largest).min(own.max(12.0)).max(4.0);
    let err = panel(180.0, 160.0, Scale::linear(-reach, reach));
    let last = !offset;
    err.x_axis(&mut svg, 7, last.then_some(time_label));
    err.y_axis(&mut svg, 5, "error, points");
    err.clipped(&mut svg, |svg| {
        let band: Vec<_> =
            trace.time_s.iter().zip(&trace.soc_std).map(|(t, d)| (t / unit, -300.0 * d, 300.0 * d)).collect();
        err.band(svg, &band, BUCKET);
        err.level(svg, 0.0, "frame");
        err.line(svg, error(trace, &trace.soc_coulomb_counter, unit), BUCKET, "cc", None);
        err.line(svg, error(trace, &trace.soc_textbook_ekf, unit), BUCKET, "ekf", None);
        err.line(svg, error(trace, &trace.soc, unit), BUCKET, "bms", None);
        err.level(svg, TARGET_POINTS, "limit");
        err.level(svg, -TARGET_POINTS, "limit");
    });
    err.frame(&mut svg);
    if largest > reach {
        svg.text(
            left + width - 6.0,
            194.0,
            "end",
            "tick",
            &format!("axis cut; largest error {} points", number(largest, 1)),
        );
    }

    if offset {
        let bias = panel(
            354.0,
            100.0,
            Scale::around(trace.current_bias_a.iter().copied().chain([0.0, case.current_offset_a])),
        );
        bias.x_axis(&mut svg, 7, Some(time_label));
        bias.y_axis(&mut svg, 4, "offset, A");
        bias.clipped(&mut svg, |svg| {
            bias.level(svg, case.current_offset_a, "l truth dash");
            bias.line(svg, series(trace, &trace.current_bias_a, unit, 1.0), BUCKET, "bms", None);
        });
        bias.frame(&mut svg);
        svg.text(left + width, 487.0, "end", "tick", "blue: estimated, dashed: added");
    }

    let title = format!("{} · {} · {} °C", case.dataset, case.profile, number(case.temperature_c, 0));
    let file = case.trace_file.as_deref().map_or_else(
        || "Not kept as a file.".into(),
        |file| format!("Numbers: {}.", file_link(dir, file, file)),
    );
    let score = |e: Estimator| maximum(e.score(case).max_points);
    let caption = format!(
        "<b>{}</b> – {}{}<br>Maximum error in points: BMS <b class=\"{}\">{}</b>, counter {}, EKF {}. In the ±3σ band {} % \
         of the time; converged after {} min. {file}",
        esc(&title),
        condition(case).label(),
        esc(&circumstances(case)),
        if super::aggregate::met(&case.bms) { "ok" } else { "no" },
        score(Estimator::Bms),
        score(Estimator::CoulombCounter),
        score(Estimator::TextbookEkf),
        opt_percent(case.bms.coverage),
        minutes(case.bms.convergence_s),
    );
    figure(&svg.inline(&title), &caption)
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
