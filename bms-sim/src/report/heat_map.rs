//! Heat maps of the largest error: data sets over temperature, one map per condition.

use std::collections::{BTreeMap, BTreeSet};

use super::aggregate::{dataset_label, group_by, severity, temperature_key};
use super::condition::{Condition, condition};
use super::html::{count, esc, figure, maximum, number};
use super::svg::Svg;
use crate::results::{Case, TARGET_POINTS};

const CELL_W: f64 = 56.0;
const CELL_H: f64 = 27.0;

/// Every map as HTML.
pub(super) fn heat_maps(cases: &[Case]) -> String {
    let mut html = figure(&scale().inline("colour scale"), "");
    html.push_str("<div class=\"maps\">");
    for (group, members) in group_by(cases, condition) {
        let title = format!("{} ({})", group.label(), count(members.len(), "run"));
        html.push_str(&format!("<div><h3>{}</h3>{}</div>", esc(&title), figure(&map(group, &members), "")));
    }
    html.push_str("</div>");
    html
}

fn map(group: Condition, cases: &[&Case]) -> String {
    let columns: Vec<i64> =
        cases.iter().map(|c| temperature_key(c)).collect::<BTreeSet<_>>().into_iter().collect();
    let mut rows: BTreeMap<String, BTreeMap<i64, Vec<&Case>>> = BTreeMap::new();
    for case in cases {
        rows.entry(dataset_label(case)).or_default().entry(temperature_key(case)).or_default().push(case);
    }
    let longest = rows.keys().map(|k| k.chars().count()).max().unwrap_or(0);
    let left = 16.0 + 6.9 * longest.min(48) as f64;
    let top = 24.0;
    let mut svg =
        Svg::new(left + CELL_W * columns.len() as f64 + 4.0, top + CELL_H * rows.len() as f64 + 4.0);
    svg.text(left - 8.0, top - 8.0, "end", "tick", "ambient, °C");
    for (i, column) in columns.iter().enumerate() {
        let x = left + CELL_W * (i as f64 + 0.5);
        svg.text(x, top - 8.0, "middle", "tick", &number(*column as f64, 0));
    }
    for (j, (label, cells)) in rows.iter().enumerate() {
        let y = top + CELL_H * j as f64;
        let short: String = if longest > 48 && label.chars().count() > 48 {
            label.chars().take(47).chain(['…']).collect()
        } else {
            label.clone()
        };
        svg.text(left - 8.0, y + CELL_H / 2.0 + 4.0, "end", "", &short);
        for (i, column) in columns.iter().enumerate() {
            let x = left + CELL_W * i as f64;
            match cells
                .get(column)
                .and_then(|c| c.iter().max_by(|a, b| severity(&a.bms).total_cmp(&severity(&b.bms))))
            {
                Some(worst) => cell(&mut svg, x, y, worst, cells[column].len()),
                None => svg.text(x + CELL_W / 2.0, y + CELL_H / 2.0 + 4.0, "middle", "tick", "·"),
            }
        }
    }
    svg.inline(&format!("Maximum error of the BMS, {}", group.label()))
}

fn cell(svg: &mut Svg, x: f64, y: f64, worst: &Case, runs: usize) {
    let value = worst.bms.max_points;
    let (fill, dark) = colour(value);
    let tip = format!(
        "worst of {}: {} {}, {} points",
        count(runs, "run"),
        worst.profile,
        worst.file,
        maximum(value)
    );
    svg.raw(&format!(
        "<g><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" style=\"fill:{}{}\">{}</text></g>",
        esc(&tip),
        x + 1.0,
        y + 1.0,
        CELL_W - 2.0,
        CELL_H - 2.0,
        x + CELL_W / 2.0,
        y + CELL_H / 2.0 + 4.0,
        if dark { "#fff" } else { "#1d2733" },
        if value <= TARGET_POINTS { "" } else { ";font-weight:700" },
        cell_text(value),
    ));
}

fn cell_text(value: f64) -> String {
    if value >= 100.0 { number(value, 0) } else { maximum(value) }
}

/// Blue below the target, red above, the deeper the further away (by ratio); grey without a score. Also tells whether
/// the colour is dark.
fn colour(value: f64) -> (String, bool) {
    if !value.is_finite() {
        return ("#555b63".into(), true);
    }
    let distance = (value.max(0.0) / TARGET_POINTS).log2() / 3.0;
    // Never white: which side of the target a cell lies on must be seen at once.
    let nearest = if value <= TARGET_POINTS { 0.12 } else { 0.22 };
    let depth = (nearest + (1.0 - nearest) * distance.abs()).clamp(0.0, 1.0);
    let end = if value <= TARGET_POINTS { [33.0, 102.0, 172.0] } else { [178.0, 24.0, 43.0] };
    let mix = end.map(|c| 250.0 + (c - 250.0) * depth);
    (format!("#{:02x}{:02x}{:02x}", mix[0] as u8, mix[1] as u8, mix[2] as u8), depth > 0.66)
}

/// The colour scale with its numbers.
fn scale() -> Svg {
    let mut svg = Svg::new(560.0, 46.0);
    let values = [0.375, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.5, 6.0, 9.0, 12.0, 18.0, 24.0];
    for (i, value) in values.iter().enumerate() {
        let x = 4.0 + 36.0 * i as f64;
        svg.raw(&format!(
            "<rect x=\"{x:.1}\" y=\"4\" width=\"36\" height=\"18\" fill=\"{}\"/>",
            colour(*value).0
        ));
        if i % 2 == 1 {
            svg.text(x + 18.0, 38.0, "middle", "tick", &format!("{value}"));
        }
    }
    let x = 4.0 + 36.0 * 8.0;
    svg.segment((x, 0.0), (x, 27.0), "l truth");
    svg
}
