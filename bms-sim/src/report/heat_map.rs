//! Heat maps of the largest error over temperature: data sets, one map per condition; ages, one map per chemistry.

use std::collections::{BTreeMap, BTreeSet};

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::aggregate::{dataset_label, group_by, severity, temperature_key};
use super::condition::{condition, is_aged, soh_percent};
use super::html::{count, esc, figure, maximum, number};
use super::plot::{Canvas, Drawing, Drawn, PLAIN, SMALL, TEXT, at, label, stroke};
use super::traces::chemistry_name;
use crate::results::{Case, TARGET_POINTS};

const CELL_W: f64 = 56.0;
const CELL_H: f64 = 27.0;

/// Every map as HTML.
pub(super) fn heat_maps(cases: &[Case]) -> String {
    let mut html = figure(&scale().inline("colour scale"), "");
    html.push_str("<div class=\"maps\">");
    for (group, members) in group_by(cases, condition) {
        html.push_str(&titled(group.label(), &members, |case| (0, dataset_label(case))));
    }
    html.push_str("</div>");
    html
}

/// One map per chemistry for good sensors and a known capacity: ages and starts over temperature.
pub(super) fn over_life(cases: &[Case]) -> String {
    let good = cases.iter().filter(|c| c.sensors == "good" && c.capacity_known && c.current_offset_a == 0.0);
    let groups = group_by(good, chemistry_name);
    if groups.is_empty() {
        return "<p class=\"dim\">No run had good sensors.</p>".into();
    }
    let mut html = String::from("<div class=\"maps\">");
    for (chemistry, members) in groups {
        html.push_str(&titled(chemistry, &members, |case| {
            let (rank, start) = match case.start_error_points.abs() {
                error if error > 20.0 => (3, "start ±30"),
                error if error > 0.5 => (2, "start ±10"),
                _ if !case.remembered => (1, "right, guessed"),
                _ => (0, "right start"),
            };
            // Young before old, and within an age from right to wrong.
            let soh = soh_percent(&case.age).unwrap_or(100.0);
            let age = if is_aged(&case.age) { format!("{} %", number(soh, 0)) } else { "new".into() };
            (4 * (1000.0 - soh).round() as i64 + rank, format!("{age}, {start}"))
        }));
    }
    html.push_str("</div>");
    html
}

/// A map with its heading.
fn titled(title: &str, cases: &[&Case], row: impl Fn(&Case) -> (i64, String)) -> String {
    let heading = format!("{title} ({})", count(cases.len(), "run"));
    format!("<div><h3>{}</h3>{}</div>", esc(&heading), figure(&map(title, cases, row), ""))
}

/// Rows in the order of their keys over temperature.
fn map(title: &str, cases: &[&Case], row: impl Fn(&Case) -> (i64, String)) -> String {
    let columns: Vec<i64> =
        cases.iter().map(|c| temperature_key(c)).collect::<BTreeSet<_>>().into_iter().collect();
    let mut rows: BTreeMap<(i64, String), BTreeMap<i64, Vec<&Case>>> = BTreeMap::new();
    for case in cases {
        rows.entry(row(case)).or_default().entry(temperature_key(case)).or_default().push(case);
    }
    let longest = rows.keys().map(|(_, k)| k.chars().count()).max().unwrap_or(0);
    let left = 16.0 + 6.9 * longest.min(48) as f64;
    let top = 24.0;
    let mut tips = Vec::new();
    let width = left + CELL_W * columns.len() as f64 + 4.0;
    let drawing = Drawing::new(width, top + CELL_H * rows.len() as f64 + 4.0, |canvas| {
        label(canvas, (left - 8.0, top - 12.0), HPos::Right, SMALL, "ambient, °C")?;
        for (i, column) in columns.iter().enumerate() {
            let x = left + CELL_W * (i as f64 + 0.5);
            label(canvas, (x, top - 12.0), HPos::Center, SMALL, &number(*column as f64, 0))?;
        }
        for (j, ((_, name), cells)) in rows.iter().enumerate() {
            let y = top + CELL_H * (j as f64 + 0.5);
            let short: String = if name.chars().count() > 48 {
                name.chars().take(47).chain(['…']).collect()
            } else {
                name.clone()
            };
            label(canvas, (left - 8.0, y), HPos::Right, PLAIN, &short)?;
            for (i, column) in columns.iter().enumerate() {
                let x = left + CELL_W * (i as f64 + 0.5);
                match cells
                    .get(column)
                    .and_then(|c| c.iter().max_by(|a, b| severity(&a.bms).total_cmp(&severity(&b.bms))))
                {
                    Some(worst) => {
                        cell(canvas, x, y, worst.bms.max_points)?;
                        tips.push(format!(
                            "worst of {}: {} {}, {} points",
                            count(cells[column].len(), "run"),
                            worst.profile,
                            worst.file,
                            maximum(worst.bms.max_points)
                        ));
                    }
                    None => label(canvas, (x, y), HPos::Center, SMALL, "·")?,
                }
            }
        }
        Ok(())
    });
    drawing.with_tips("rect", &tips).inline(&format!("Maximum error of the BMS, {title}"))
}

/// A coloured cell around a place with its number.
fn cell(canvas: &Canvas<'_>, x: f64, y: f64, value: f64) -> Drawn {
    let (fill, dark) = colour(value);
    let (w, h) = (CELL_W / 2.0 - 1.0, CELL_H / 2.0 - 1.0);
    canvas.draw(&Rectangle::new([at(x - w, y - h), at(x + w, y + h)], fill.filled()))?;
    let style = if value <= TARGET_POINTS { FontStyle::Normal } else { FontStyle::Bold };
    let font = (12.0, style, if dark { WHITE } else { TEXT });
    label(canvas, (x, y), HPos::Center, font, &cell_text(value))
}

fn cell_text(value: f64) -> String {
    if value >= 100.0 { number(value, 0) } else { maximum(value) }
}

/// Blue below the target, red above, the deeper the further away (by ratio); grey without a score. Also tells whether
/// the colour is dark.
fn colour(value: f64) -> (RGBColor, bool) {
    if !value.is_finite() {
        return (RGBColor(85, 91, 99), true);
    }
    let distance = (value.max(0.0) / TARGET_POINTS).log2() / 3.0;
    // Never white: which side of the target a cell lies on must be seen at once.
    let nearest = if value <= TARGET_POINTS { 0.12 } else { 0.22 };
    let depth = (nearest + (1.0 - nearest) * distance.abs()).clamp(0.0, 1.0);
    let end = if value <= TARGET_POINTS { [33.0, 102.0, 172.0] } else { [178.0, 24.0, 43.0] };
    let [r, g, b] = end.map(|c| (250.0 + (c - 250.0) * depth) as u8);
    (RGBColor(r, g, b), depth > 0.66)
}

/// The colour scale with its numbers.
fn scale() -> Drawing {
    let values = [0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5, 6.0, 9.0, 12.0, 18.0, 24.0];
    Drawing::new(560.0, 46.0, |canvas| {
        for (i, value) in values.iter().enumerate() {
            let x = 4.0 + 36.0 * i as f64;
            canvas.draw(&Rectangle::new([at(x, 4.0), at(x + 36.0, 22.0)], colour(*value).0.filled()))?;
            if i % 2 == 1 {
                label(canvas, (x + 18.0, 34.0), HPos::Center, SMALL, &format!("{value}"))?;
            }
        }
        let x = 4.0 + 36.0 * 8.0;
        canvas.draw(&PathElement::new([at(x, 0.0), at(x, 27.0)], stroke(TEXT, 1.5)))
    })
}
