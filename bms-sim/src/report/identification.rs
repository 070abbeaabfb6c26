//! Plots of an identified cell: what `bms identify` writes next to the cell file and the report shows again.

use std::path::{Path, PathBuf};

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{count, details, esc, figure, file_link, number};
use super::plot::{
    Axis, BOLD, Canvas, Chart, Drawing, Drawn, Mark, SMALL, chart, dashed, label, legend, line, stroke, u,
};
use super::{ReportError, write_file};
use crate::cell_file::{CellFile, Chemistry};
use crate::results::IdentifiedCell;

/// Writes one SVG file per parameter as `<stem>_<parameter>.svg` into `dir` and returns their paths: open-circuit
/// voltage, hysteresis, R0, Rct, R1, R2, tau1, tau2 over SOC with a line per temperature, and the residual of every pulse.
///
/// # Errors
///
/// When the folder or a file cannot be written.
pub fn write_plots(dir: &Path, stem: &str, cell: &CellFile) -> Result<Vec<PathBuf>, ReportError> {
    plots(cell)
        .into_iter()
        .map(|plot| {
            let path = dir.join(format!("{stem}_{}.svg", plot.name));
            write_file(&path, plot.drawing.file(&format!("{}: {}", cell.cell.name, plot.title)).as_bytes())?;
            Ok(path)
        })
        .collect()
}

/// The identification section: one foldable part per cell.
pub(super) fn identification(dir: &Path, cells: &[IdentifiedCell]) -> String {
    if cells.is_empty() {
        return "<p class=\"dim\">No cell was identified in this run.</p>".into();
    }
    let mut html = overview(dir, cells);
    for (i, identified) in cells.iter().enumerate() {
        let cell = &identified.cell;
        let mut content = facts(dir, identified);
        content.push_str("<div class=\"grid2\">");
        for plot in plots(cell) {
            content
                .push_str(&figure(&plot.drawing.inline(&format!("{}: {}", cell.cell.name, plot.title)), ""));
        }
        content.push_str("</div>\n");
        content.push_str(&residual_table(cell));
        html.push_str(&details(&format!("{} – {}", identified.dataset, cell.cell.name), i == 0, &content));
    }
    html
}

fn chemistry(chemistry: Chemistry) -> &'static str {
    match chemistry {
        Chemistry::Nmc => "NMC",
        Chemistry::Nca => "NCA",
        Chemistry::Lfp => "LFP",
    }
}

/// All cells in one table.
fn overview(dir: &Path, cells: &[IdentifiedCell]) -> String {
    let mut rows = String::new();
    for identified in cells {
        let c = &identified.cell;
        let worst = c.fit.iter().map(|f| f.voltage_rmse_v).filter(|v| v.is_finite()).fold(f64::NAN, f64::max);
        let warnings = c.provenance.warnings.len();
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{} … {}</td>\
             <td class=\"n\">{}</td><td class=\"n{}\">{warnings}</td><td>{}</td></tr>\n",
            esc(&identified.dataset),
            esc(&c.cell.name),
            chemistry(c.cell.chemistry),
            number(c.cell.capacity_ah, 3),
            number(c.validity.temperature_c[0], 0),
            number(c.validity.temperature_c[1], 0),
            number(1e3 * worst, 1),
            if warnings > 0 { " no" } else { "" },
            file_link(dir, &identified.cell_file, &identified.cell_file),
        ));
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th>data set</th><th>cell</th><th>chemistry</th>\
         <th class=\"n\">capacity, Ah</th><th class=\"n\">tested at, °C</th><th class=\"n\">worst fit RMSE, mV</th>\
         <th class=\"n\">warnings</th><th>cell file</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// Limits, source and warnings.
fn facts(dir: &Path, identified: &IdentifiedCell) -> String {
    let c = &identified.cell;
    let mut html = format!(
        "<p>{}, nominal {} Ah, measured {} Ah, {} to {} V. Valid for {} to {} °C, SOC {} to {} %, {} C discharge and {} C \
         charge. Source: {}; written by {}. Numbers: {}.</p>\n",
        chemistry(c.cell.chemistry),
        number(c.cell.nominal_capacity_ah, 2),
        number(c.cell.capacity_ah, 3),
        number(c.cell.v_min, 2),
        number(c.cell.v_max, 2),
        number(c.validity.temperature_c[0], 0),
        number(c.validity.temperature_c[1], 0),
        number(100.0 * c.validity.soc[0], 0),
        number(100.0 * c.validity.soc[1], 0),
        number(c.validity.c_rate[0].abs(), 2),
        number(c.validity.c_rate[1].abs(), 2),
        esc(&c.provenance.source),
        esc(&c.provenance.tool),
        file_link(dir, &identified.cell_file, &identified.cell_file),
    );
    let list = |items: &[String]| items.iter().map(|s| format!("<li>{}</li>", esc(s))).collect::<String>();
    if c.provenance.warnings.is_empty() {
        html.push_str("<p>No warnings: every parameter was identified.</p>\n");
    } else {
        html.push_str("<p class=\"no\">Not identified, assumed instead:</p>\n<ul>");
        html.push_str(&list(&c.provenance.warnings));
        html.push_str("</ul>\n");
    }
    if !c.provenance.files.is_empty() {
        let files = format!("<ul>{}</ul>\n", list(&c.provenance.files));
        html.push_str(&details(&count(c.provenance.files.len(), "source file"), false, &files));
    }
    html
}

fn residual_table(cell: &CellFile) -> String {
    if cell.fit.is_empty() {
        return "<p class=\"dim\">No residuals were recorded.</p>\n".into();
    }
    let rows: String = cell
        .fit
        .iter()
        .map(|f| {
            format!(
                "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                number(f.temperature_c, 0),
                number(1e3 * f.voltage_rmse_v, 1),
                number(1e3 * f.voltage_max_v, 1),
                f.pulses.len()
            )
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr><th class=\"n\">test at, °C</th><th class=\"n\">voltage RMSE, mV</th>\
         <th class=\"n\">largest, mV</th><th class=\"n\">pulses</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// One drawing of an identified cell.
#[derive(Debug)]
struct Plot {
    /// Part of the file name.
    name: &'static str,
    title: &'static str,
    drawing: Drawing,
}

/// The lines of one table: temperature, SOC step and values in the unit of the plot.
type Table<'a> = &'a [Vec<f64>];

fn plots(cell: &CellFile) -> Vec<Plot> {
    let t = &cell.tables;
    let parameter = |name, title, unit, table: Table<'_>, factor| Plot {
        name,
        title,
        drawing: over_soc(title, unit, &lines(cell, table, factor)),
    };
    vec![
        Plot { name: "ocv", title: "Open-circuit voltage", drawing: ocv(cell) },
        parameter("hysteresis", "Hysteresis, half the gap between the branches", "mV", &t.hysteresis_v, 1e3),
        parameter("r0", "Ohmic resistance R0", "mΩ", &t.r0_ohm, 1e3),
        parameter("rct", "Charge-transfer resistance Rct at zero current", "mΩ", &t.rct_ohm, 1e3),
        parameter("r1", "Resistance R1 of the fast pair", "mΩ", &t.r1_ohm, 1e3),
        parameter("r2", "Resistance R2 of the slow pair", "mΩ", &t.r2_ohm, 1e3),
        parameter("tau1", "Time constant τ1 of the fast pair", "s", &t.tau1_s, 1.0),
        parameter("tau2", "Time constant τ2 of the slow pair", "s", &t.tau2_s, 1.0),
        Plot { name: "residuals", title: "Residual of every pulse", drawing: residuals(cell) },
    ]
}

/// One line over SOC.
#[derive(Debug)]
struct Line {
    temperature_c: f64,
    dashed: bool,
    /// SOC in percent and value.
    points: Vec<(f64, f64)>,
}

/// SOC in percent of column `i` of `n`.
fn soc_of(i: usize, n: usize) -> f64 {
    if n > 1 { 100.0 * i as f64 / (n - 1) as f64 } else { 50.0 }
}

/// Whether a row of the tables was measured rather than interpolated between two that were.
fn tested(cell: &CellFile, temperature_c: f64) -> bool {
    cell.fit.is_empty() || cell.fit.iter().any(|f| (f.temperature_c - temperature_c).abs() < 0.01)
}

fn lines(cell: &CellFile, table: Table<'_>, factor: f64) -> Vec<Line> {
    let rows = cell.tables.temperature_c.iter().zip(table);
    rows.filter(|(t, _)| tested(cell, **t))
        .map(|(temperature_c, row)| Line {
            temperature_c: *temperature_c,
            dashed: false,
            points: row.iter().enumerate().map(|(i, v)| (soc_of(i, row.len()), factor * v)).collect(),
        })
        .collect()
}

fn ocv(cell: &CellFile) -> Drawing {
    let t = &cell.tables;
    let mut branches = Vec::new();
    let rows = t.temperature_c.iter().zip(&t.ocv_v).zip(&t.hysteresis_v);
    for ((temperature_c, mean), gap) in rows.filter(|((t, _), _)| tested(cell, **t)) {
        for (sign, dashed) in [(1.0, false), (-1.0, true)] {
            let points = mean.iter().zip(gap).enumerate();
            branches.push(Line {
                temperature_c: *temperature_c,
                dashed,
                points: points.map(|(i, (v, g))| (soc_of(i, mean.len()), v + sign * g)).collect(),
            });
        }
    }
    over_soc("Open-circuit voltage (solid: charge branch, dashed: discharge)", "V", &branches)
}

/// Colour of a temperature, the same for every cell: blue is cold, red is hot.
fn temperature_colour(temperature_c: f64) -> RGBColor {
    const STOPS: [(f64, [f64; 3]); 6] = [
        (-20.0, [70.0, 70.0, 215.0]),
        (0.0, [25.0, 140.0, 215.0]),
        (10.0, [20.0, 160.0, 150.0]),
        (25.0, [95.0, 160.0, 40.0]),
        (40.0, [225.0, 135.0, 20.0]),
        (55.0, [205.0, 45.0, 45.0]),
    ];
    let t = if temperature_c.is_finite() { temperature_c.clamp(-20.0, 55.0) } else { 25.0 };
    let pair = STOPS.windows(2).find(|w| t <= w[1].0).unwrap_or(&STOPS[4..6]);
    let share = (t - pair[0].0) / (pair[1].0 - pair[0].0);
    let mix = |k: usize| (pair[0].1[k] + share * (pair[1].1[k] - pair[0].1[k])) as u8;
    RGBColor(mix(0), mix(1), mix(2))
}

/// A drawing over SOC with title and a legend of temperatures; without values it says so.
fn over_soc_axis(
    title: &str,
    unit: &str,
    temperatures: impl Iterator<Item = f64>,
    y: Option<Axis>,
    draw: impl FnOnce(&mut Chart<'_>) -> Drawn,
) -> Drawing {
    const PER_ROW: usize = 6;
    let (left, width, height) = (62.0, 480.0, 210.0);
    let mut shown: Vec<f64> = temperatures.filter(|t| t.is_finite()).collect();
    shown.sort_by(f64::total_cmp);
    shown.dedup();
    let names: Vec<String> = shown.iter().map(|t| format!("{} °C", number(*t, 0))).collect();
    let marks: Vec<(Mark, &str)> = shown
        .iter()
        .zip(&names)
        .map(|(t, name)| (Mark::Line(temperature_colour(*t)), name.as_str()))
        .collect();
    let top = 30.0 + 17.0 * marks.len().div_ceil(PER_ROW) as f64;
    Drawing::new(556.0, top + height + 44.0, |canvas: &Canvas<'_>| {
        label(canvas, (4.0, 12.0), HPos::Left, BOLD, title)?;
        for (i, row) in marks.chunks(PER_ROW).enumerate() {
            legend(canvas, left, 30.0 + 17.0 * i as f64, row)?;
        }
        let Some(y) = y else {
            return label(canvas, (left + width / 2.0, top + height / 2.0), HPos::Center, SMALL, "no values");
        };
        let x = (Axis::linear(0.0, 100.0), "SOC, %");
        draw(&mut chart(canvas, [left, top, width, height], x, (y, unit))?)
    })
}

fn over_soc(title: &str, unit: &str, lines: &[Line]) -> Drawing {
    let values = lines.iter().flat_map(|l| l.points.iter().map(|p| p.1)).filter(|v| v.is_finite());
    let y = values.clone().next().map(|_| {
        if unit == "V" { Axis::around(values.clone()) } else { Axis::log_if_wide(values.clone(), 15.0) }
    });
    over_soc_axis(title, unit, lines.iter().map(|l| l.temperature_c), y, |chart| {
        for l in lines {
            let style = stroke(temperature_colour(l.temperature_c), 1.5);
            let points = l.points.iter().copied();
            if l.dashed { dashed(chart, points, style)? } else { line(chart, points, 0.0, style)? }
        }
        Ok(())
    })
}

fn residuals(cell: &CellFile) -> Drawing {
    let title = "Residual of every pulse (dot: RMS, line up to the largest)";
    let pulses = || cell.fit.iter().flat_map(|f| f.pulses.iter().map(move |p| (f.temperature_c, p)));
    let values = pulses().flat_map(|(_, p)| [1e3 * p.rmse_v, 1e3 * p.max_v.abs()]).filter(|v| v.is_finite());
    let y = values.clone().next().map(|_| Axis::log_if_wide(values, 30.0));
    let mut tips = Vec::new();
    let drawing = over_soc_axis(title, "mV", cell.fit.iter().map(|f| f.temperature_c), y, |chart| {
        for (temperature, pulse) in pulses() {
            let (soc, rms, max) = (100.0 * pulse.soc, 1e3 * pulse.rmse_v, 1e3 * pulse.max_v.abs());
            if !(soc.is_finite() && rms.is_finite()) {
                continue;
            }
            let colour = temperature_colour(temperature);
            if max.is_finite() {
                line(chart, [(soc, rms), (soc, max)], 0.0, stroke(colour.mix(0.55), 1.0))?;
            }
            chart.draw_series([Circle::new((soc, rms), u(2.8), colour.filled())])?;
            tips.push(format!(
                "{} °C, {} A for {} s: RMS {} mV, largest {} mV",
                number(temperature, 0),
                number(pulse.current_a, 2),
                number(pulse.duration_s, 0),
                number(1e3 * pulse.rmse_v, 2),
                number(1e3 * pulse.max_v, 2)
            ));
        }
        Ok(())
    });
    drawing.with_tips("circle", &tips)
}
