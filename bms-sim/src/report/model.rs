//! Pictures of simulated cells: a run over time, open-circuit voltages over SOC, how fast cells are simulated.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{Section, esc, figure, number, page};
use super::plot::{
    Axis, BAD, BMS, BOLD, COUNTER, Chart, DIM, Drawing, Drawn, EKF, FRAME, LFP, Mark, NMC, PLAIN, SMALL,
    TEXT, chart, dashed, label, legend, line, range, stroke, u,
};
use super::{ReportError, write_file};
use crate::model::rate::{ManyCells, OneCell, Rates};
use crate::model::{Curve, Trace};

/// Lines are thinned to the extremes of so many pixels.
const BUCKET: f64 = 1.5;
/// The anode potential matters near zero; a panel for it goes no higher than this, in V.
const ANODE_TOP_V: f64 = 0.4;
/// Width of most lines in pixels.
const THIN: f64 = 1.6;
const SURFACE: RGBColor = RGBColor(245, 190, 60);

/// A panel over time: title of its axis, its axis, its lines, and whether zero is marked.
struct Panel<'a> {
    title: &'static str,
    axis: Axis,
    /// Colour, width in pixels, values.
    lines: Vec<(RGBColor, f64, &'a [f64])>,
    zero: bool,
    limits: Vec<f64>,
    marks: Vec<(Mark, &'static str)>,
    factor: f64,
}

/// Draws voltage, current, temperatures, SOC and, where the model has it, anode potential of a run over time.
///
/// # Errors
/// When the file or its folder cannot be written.
pub fn write_run_plot(
    path: &Path,
    title: &str,
    limits_v: [f64; 2],
    trace: &Trace,
) -> Result<(), ReportError> {
    let run = &trace.run;
    let end_s = range(run.time_s.iter().copied()).1;
    let (unit_s, time_title) = match end_s {
        s if s > 3.0 * 3600.0 => (3600.0, "time, h"),
        s if s > 300.0 => (60.0, "time, min"),
        _ => (1.0, "time, s"),
    };
    let surface = run.temperature_c.as_deref().unwrap_or_default();
    let ambient = run.ambient_c.as_deref().unwrap_or_default();
    let soc = run.soc_true.as_deref().unwrap_or_default();
    let anode = trace.anode_potential_v.as_deref();
    let around =
        |lines: &[&[f64]], least: f64| widened(range(lines.iter().flat_map(|l| l.iter().copied())), least);
    let currents = range(run.current_a.iter().copied().chain([0.0]));
    let mut panels = vec![
        Panel {
            title: "voltage, V",
            axis: around(&[&run.voltage_v, &limits_v], 0.05),
            lines: vec![(BMS, THIN, &run.voltage_v)],
            zero: false,
            limits: limits_v.to_vec(),
            marks: vec![(Mark::Line(BMS), "terminal voltage"), (Mark::Limit, "limits")],
            factor: 1.0,
        },
        Panel {
            title: "current, A",
            axis: widened(currents, 0.1),
            lines: vec![(TEXT, THIN, &run.current_a)],
            zero: true,
            limits: Vec::new(),
            marks: vec![(Mark::Line(TEXT), "current, positive on discharge")],
            factor: 1.0,
        },
        Panel {
            title: "temperature, °C",
            axis: around(&[surface, &trace.core_temperature_c, ambient], 2.0),
            // Where core and surface are as warm, both are to be seen.
            lines: vec![
                (DIM, THIN, ambient),
                (LFP, 3.4, &trace.core_temperature_c),
                (SURFACE, THIN, surface),
            ],
            zero: false,
            limits: Vec::new(),
            marks: vec![
                (Mark::Line(LFP), "core"),
                (Mark::Line(SURFACE), "surface"),
                (Mark::Line(DIM), "ambient"),
            ],
            factor: 1.0,
        },
        Panel {
            title: "SOC, %",
            axis: Axis::linear(-4.0, 104.0),
            lines: vec![(NMC, THIN, soc)],
            zero: false,
            limits: Vec::new(),
            marks: vec![(Mark::Line(NMC), "true state of charge")],
            factor: 100.0,
        },
    ];
    if let Some(anode) = anode {
        let (low, high) = range(anode.iter().copied().chain([0.0]));
        let what = if high > ANODE_TOP_V {
            "anode against electrolyte (below 0 lithium plates; axis cut above)"
        } else {
            "anode against electrolyte (below 0 lithium plates)"
        };
        panels.push(Panel {
            title: "potential, V",
            axis: widened((low, high.min(ANODE_TOP_V).max(low + 0.05)), 0.05),
            lines: vec![(EKF, THIN, anode)],
            zero: true,
            limits: Vec::new(),
            marks: vec![(Mark::Line(EKF), what)],
            factor: 1.0,
        });
    }
    let (left, width, height, gap, top) = (70.0, 760.0, 112.0, 34.0, 58.0);
    let total = top + panels.len() as f64 * (height + gap) + 26.0;
    let drawing = Drawing::new(left + width + 26.0, total, |canvas| {
        label(canvas, (left, 18.0), HPos::Left, BOLD, title)?;
        let count = panels.len();
        for (k, panel) in panels.iter().enumerate() {
            let y = top + k as f64 * (height + gap);
            legend(canvas, left, y - 11.0, &panel.marks)?;
            let x_title = if k + 1 == count { time_title } else { "" };
            let mut chart = chart(
                canvas,
                [left, y, width, height],
                (Axis::linear(0.0, end_s / unit_s), x_title),
                (panel.axis.clone(), panel.title),
            )?;
            if panel.zero {
                line(&mut chart, [(0.0, 0.0), (end_s / unit_s, 0.0)], BUCKET, stroke(FRAME, 1.0))?;
            }
            for limit in &panel.limits {
                let ends = [(0.0, *limit), (end_s / unit_s, *limit)];
                dashed(&mut chart, ends, stroke(BAD, 1.2))?;
            }
            for (colour, thickness, values) in &panel.lines {
                let points = run.time_s.iter().zip(*values).map(|(t, v)| (t / unit_s, panel.factor * v));
                line(&mut chart, points, BUCKET, stroke(*colour, *thickness))?;
            }
        }
        Ok(())
    });
    write_file(path, drawing.file(title).as_bytes())
}

/// An axis with a little room, at least `least` wide.
fn widened((low, high): (f64, f64), least: f64) -> Axis {
    let room = 0.06 * (high - low).max(least) + 0.5 * (least - (high - low)).max(0.0);
    Axis::linear(low - room, high + room)
}

/// Draws open-circuit voltage and electrode potentials over SOC.
///
/// # Errors
/// When the file or its folder cannot be written.
pub fn write_curves_plot(path: &Path, title: &str, curves: &[Curve]) -> Result<(), ReportError> {
    const COLOURS: [RGBColor; 5] = [TEXT, LFP, BMS, COUNTER, NMC];
    let of_cell: Vec<_> = curves.iter().enumerate().filter(|(_, c)| c.0.starts_with("cell")).collect();
    let of_electrodes: Vec<_> = curves.iter().enumerate().filter(|(_, c)| !c.0.starts_with("cell")).collect();
    let panels: Vec<_> = [("open-circuit voltage, V", of_cell), ("potential, V", of_electrodes)]
        .into_iter()
        .filter(|(_, curves)| !curves.is_empty())
        .collect();
    let (left, width, height, step) = (70.0, 560.0, 240.0, 330.0);
    let total = 66.0 + step * panels.len() as f64 - 30.0;
    let drawing = Drawing::new(left + width + 26.0, total, |canvas| {
        label(canvas, (left, 18.0), HPos::Left, BOLD, title)?;
        for (k, (y_title, curves)) in panels.iter().enumerate() {
            let y = 66.0 + step * k as f64;
            let colour = |i: usize| COLOURS.get(i).copied().unwrap_or(DIM);
            let marks: Vec<_> = curves.iter().map(|(i, c)| (Mark::Line(colour(*i)), c.0)).collect();
            legend(canvas, left, y - 14.0, &marks)?;
            let values = curves.iter().flat_map(|(_, c)| c.1.iter().map(|p| p.1));
            let mut chart = chart(
                canvas,
                [left, y, width, height],
                (Axis::linear(0.0, 100.0), "SOC, %"),
                (widened(range(values), 0.05), y_title),
            )?;
            for (i, (_, points)) in curves.iter().rev() {
                line(
                    &mut chart,
                    points.iter().map(|(soc, v)| (100.0 * soc, *v)),
                    0.5,
                    stroke(colour(*i), 1.8),
                )?;
            }
        }
        Ok(())
    });
    write_file(path, drawing.file(title).as_bytes())
}

/// Writes `index.html` with both pictures and tables, `rate_over_error.svg`, `rate_over_cells.svg` and `rates.json` into
/// the folder.
///
/// # Errors
/// When a file or the folder cannot be written.
pub fn write_rate_page(dir: &Path, rates: &Rates) -> Result<(), ReportError> {
    let (error, cells) = (over_error(&rates.one_cell), over_cells(&rates.many_cells));
    let error_title = "Rate of one cell over the error of its voltage";
    let cells_title = "Rate over the number of cells";
    write_file(&dir.join("rate_over_error.svg"), error.file(error_title).as_bytes())?;
    write_file(&dir.join("rate_over_cells.svg"), cells.file(cells_title).as_bytes())?;
    let json = serde_json::to_vec_pretty(rates).unwrap_or_default();
    write_file(&dir.join("rates.json"), &json)?;
    let intro = format!(
        "<p>Cell: <code>{}</code>. A cell-step is one cell through one second of a drive of {} s with changing current. Rates \
         are medians of {} rounds on the machine that wrote this page; the ratios to the first row carry over to others \
         better than the rates do. Numbers: <a href=\"./rates.json\">rates.json</a>.</p>\n",
        esc(&rates.cell),
        rates.drive_s,
        rates.rounds
    );
    let sections = [
        Section {
            id: "error",
            title: "One cell: rate over error",
            body: figure(
                &error.inline(error_title),
                "Error: root mean square of the voltage against the solution with everything 8 times as fine as the \
                 default. Left and up is better. Filled: the default.",
            ) + &error_table(&rates.one_cell),
        },
        Section {
            id: "cells",
            title: "Many cells: rate over number",
            body: figure(
                &cells.inline(cells_title),
                "All cells stepped on one core; a line is level where a cell costs the same however many there are.",
            ) + &cells_table(&rates.many_cells),
        },
    ];
    write_file(&dir.join("index.html"), page("How fast cells are simulated", &intro, &sections).as_bytes())
}

/// Logarithmic with room, also for values that are all alike.
fn log_around(values: impl Iterator<Item = f64>) -> Axis {
    let (low, high) = range(values.filter(|v| *v > 0.0));
    Axis::log(low / 1.6, high * 1.6)
}

fn dots(
    chart: &mut Chart<'_>,
    points: &[(f64, f64)],
    colour: RGBColor,
    filled: impl Fn(usize) -> bool,
) -> Drawn {
    for (k, point) in points.iter().enumerate() {
        let inside = if filled(k) { colour.filled() } else { WHITE.filled() };
        chart.draw_series([Circle::new(*point, u(4.5), inside)])?;
        chart.draw_series([Circle::new(*point, u(4.5), stroke(colour, 1.6))])?;
    }
    Ok(())
}

fn over_error(rows: &[OneCell]) -> Drawing {
    let points: Vec<_> = rows.iter().map(|r| (r.rms_error_mv, 1e-3 * r.steps_per_s)).collect();
    let x = log_around(points.iter().map(|p| p.0));
    let y = log_around(points.iter().map(|p| p.1));
    let (left, top, width, height) = (76.0, 24.0, 620.0, 340.0);
    Drawing::new(left + width + 30.0, top + height + 56.0, |canvas| {
        let mut chart = chart(
            canvas,
            [left, top, width, height],
            (x, "error of the voltage, RMS, mV"),
            (y, "thousand cell-steps per second"),
        )?;
        // Those of one kind belong together: particle elements alone, and everything finer.
        let n = rows.iter().take_while(|r| r.first_step_s == rows[0].first_step_s).count();
        line(&mut chart, points[..n].iter().copied(), 0.0, stroke(BMS, 1.6))?;
        dots(&mut chart, &points[..n], BMS, |k| rows[k].is_default)?;
        dots(&mut chart, &points[n..], LFP, |_| false)?;
        for (row, point) in rows.iter().zip(&points) {
            let (x, y) = chart.backend_coord(point);
            let place = (f64::from(x) / 4.0, f64::from(y) / 4.0);
            let text = match row.label.split_once(' ') {
                Some((n, "particle elements")) => n.to_owned(),
                _ => row.label.clone(),
            };
            let right = row.is_default || place.0 > left + 0.8 * width;
            let (side, dx) = if right { (HPos::Right, -10.0) } else { (HPos::Left, 10.0) };
            let text = if row.is_default { text + " (default)" } else { text };
            label(
                canvas,
                (place.0 + dx, place.1 - if row.is_default { 0.0 } else { 8.0 }),
                side,
                SMALL,
                &text,
            )?;
        }
        let note = "numbers: elements along the radius of a particle";
        label(canvas, (left + width - 10.0, top + height - 16.0), HPos::Right, PLAIN, note)
    })
}

fn over_cells(rows: &[ManyCells]) -> Drawing {
    const COLOURS: [RGBColor; 5] = [BMS, LFP, NMC, EKF, COUNTER];
    let mut names: Vec<&str> = rows.iter().map(|r| r.series).collect();
    names.dedup();
    let x = log_around(rows.iter().map(|r| r.cells as f64));
    let y = log_around(rows.iter().map(|r| 1e-6 * r.steps_per_s));
    let colour = |k: usize| COLOURS.get(k).copied().unwrap_or(DIM);
    let (left, top, width, height) = (76.0, 40.0, 620.0, 340.0);
    Drawing::new(left + width + 30.0, top + height + 56.0, |canvas| {
        let marks: Vec<_> = names.iter().enumerate().map(|(k, n)| (Mark::Line(colour(k)), *n)).collect();
        legend(canvas, left, 16.0, &marks)?;
        let mut chart =
            chart(canvas, [left, top, width, height], (x, "cells"), (y, "million cell-steps per second"))?;
        for (k, name) in names.iter().enumerate() {
            let of_series = rows.iter().filter(|r| r.series == *name);
            let points: Vec<_> = of_series.map(|r| (r.cells as f64, 1e-6 * r.steps_per_s)).collect();
            line(&mut chart, points.iter().copied(), 0.0, stroke(colour(k), 1.6))?;
            dots(&mut chart, &points, colour(k), |_| true)?;
        }
        Ok(())
    })
}

/// A table; all columns but the first one are numbers.
pub(super) fn table(heads: &[&str], rows: &str) -> String {
    let heads: String = heads
        .iter()
        .enumerate()
        .map(|(k, head)| format!("<th{}>{head}</th>", if k == 0 { "" } else { " class=\"n\"" }))
        .collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn cells_row(first: &str, numbers: &[String]) -> String {
    let numbers: String = numbers.iter().map(|n| format!("<td class=\"n\">{n}</td>")).collect();
    format!("<tr><td>{first}</td>{numbers}</tr>\n")
}

fn error_table(rows: &[OneCell]) -> String {
    let body: String = rows
        .iter()
        .map(|r| {
            let name = esc(&r.label) + if r.is_default { " (default)" } else { "" };
            cells_row(
                &name,
                &[
                    r.electrolyte_elements.to_string(),
                    number(r.first_step_s, 2),
                    number(r.steps_per_s, 0),
                    number(r.relative, 2),
                    number(r.rms_error_mv, 3),
                    number(r.max_error_mv, 2),
                ],
            )
        })
        .collect();
    table(
        &[
            "resolution",
            "elements across the electrolyte",
            "first step, s",
            "cell-steps per second",
            "relative to the first row",
            "RMS error, mV",
            "largest error, mV",
        ],
        &body,
    )
}

fn cells_table(rows: &[ManyCells]) -> String {
    let body: String = rows
        .iter()
        .map(|r| {
            let numbers = [r.cells.to_string(), number(r.steps_per_s, 0), number(r.relative, 2)];
            cells_row(&esc(r.series), &numbers)
        })
        .collect();
    table(&["how", "cells", "cell-steps per second", "relative to one physics cell"], &body)
}
