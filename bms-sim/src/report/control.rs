//! The pack in closed loop over many packs: tables for the terminal and the page, and every pack as a dot.

use std::fmt::Write as _;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{count, esc, figure, number, percent};
use super::plot::BAD;
use super::plot::{
    Axis, BMS, COUNTER, Drawing, FRAME, Mark, PLAIN, SMALL, TEXT, chart, dashed, label, legend, range,
    stroke, u,
};
use crate::verify::control::{ControlScore, Quantity, Reached};

/// What is said of a part that changes nothing when it is switched off.
const IDLE: &str = "does not act: the same to the last bit";

/// Scores of one scenario after another.
fn scenarios(scores: &[ControlScore]) -> impl Iterator<Item = &[ControlScore]> {
    scores.chunk_by(|a, b| a.scenario == b.scenario)
}

/// A value with its unit.
fn with_unit(quantity: Quantity, value: f64) -> String {
    format!("{} {}", number(value, quantity.digits()), quantity.unit()).trim_end().to_string()
}

/// For the terminal: a line for each variant of a scenario.
#[must_use]
pub fn control_table(scores: &[ControlScore]) -> String {
    if scores.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\nPacks in closed loop: cells, films and sensors of each pack drawn anew, figures from the plant\n{:40} {:>5} | {:>8} {:>8} {:>8} | {:>10}\n",
        "", "packs", "median", "95 %", "worst", "within"
    );
    for of_scenario in scenarios(scores) {
        let Some(first) = of_scenario.first() else { continue };
        let main = first.main;
        let limit = with_unit(main, first.limit);
        let _ = writeln!(out, "{} ({}, {}; limit {limit})", first.title, first.pack, main.name());
        for s in of_scenario {
            if !s.acts {
                let _ = writeln!(out, "  {:38} {:>5} | {}", s.variant, s.packs, IDLE);
                continue;
            }
            let [median, p95, worst] = s
                .of(main)
                .map_or([f64::NAN; 3], |r| [r.median, r.p95, r.worst])
                .map(|v| number(v, main.digits()));
            let within = format!("{} of {}", s.within(), s.packs);
            let _ = writeln!(
                out,
                "  {:38} {:>5} | {median:>8} {p95:>8} {worst:>8} | {within:>10}",
                s.variant, s.packs
            );
        }
        for line in others(first).chunks(2) {
            let _ = writeln!(out, "      {}", line.join("; "));
        }
    }
    out
}

/// Everything else of the whole control, median and worst pack.
fn others(score: &ControlScore) -> Vec<String> {
    let rest = score.reached.iter().filter(|r| r.quantity != score.main);
    rest.map(|r| {
        let q = r.quantity;
        format!("{} {} ({})", q.name(), number(r.median, q.digits()), with_unit(q, r.worst))
    })
    .collect()
}

/// The section: a table and a plot for each scenario.
pub(super) fn section(scores: &[ControlScore]) -> String {
    let packs: Vec<usize> = scores.iter().filter(|s| s.acts).map(|s| s.packs).collect();
    let mut html = format!(
        "<p>The core in closed loop with packs of physics cells ({} a line): cells that differ in capacity, \
         resistance, SOC, temperature and self-discharge, films that differ, and sensors with the offsets and noise of the good \
         corner (±0.5 °C), all drawn anew for each pack; the variants of a scenario run the same packs. ΔT is the hottest less \
         the coldest core of the plant, the largest of the whole run. <b>95 %</b> and <b>worst</b> are on the bad side. Other \
         columns: median, and the worst pack in brackets; energies: mean of a pack. The scenarios are files in \
         <code>scenarios/targets</code> that <code>bms simulate</code> runs. A part that changes no figure of the first packs \
         when it is switched off, to the last bit, does not act in a scenario.</p>\n",
        count(packs.iter().copied().max().unwrap_or(0), "pack"),
    );
    for of_scenario in scenarios(scores) {
        let Some(first) = of_scenario.first() else { continue };
        let _ = writeln!(
            html,
            "<h3 id=\"{}\">{}</h3>\n<p class=\"dim\">{}. Limit: {} {}.</p>",
            esc(&first.scenario),
            esc(&first.title),
            esc(&first.pack),
            first.main.name(),
            with_unit(first.main, first.limit),
        );
        html += &table(of_scenario, first);
        html += &dots(of_scenario, first);
    }
    html
}

/// Whether a quantity is told as the mean of the packs.
const fn as_mean(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::CoolingEnergy | Quantity::HeatingEnergy)
}

fn table(scores: &[ControlScore], first: &ControlScore) -> String {
    let main = first.main;
    // What is nothing in all variants, such as the chiller in the cold, has no column.
    let told = |q: Quantity| scores.iter().filter_map(|s| s.of(q)).any(|r| r.worst != 0.0 || r.median != 0.0);
    let columns: Vec<Quantity> = Quantity::ALL.into_iter().filter(|q| *q != main && told(*q)).collect();
    let heads: String = columns
        .iter()
        .map(|q| {
            let unit = if q.unit().is_empty() { String::new() } else { format!(", {}", q.unit()) };
            format!("<th class=\"n\">{}{unit}</th>", esc(q.name()))
        })
        .collect();
    let mut rows = String::new();
    for s in scores {
        let cell = |value: Option<f64>| match value {
            Some(v) => {
                let class = if v <= s.limit { "ok" } else { "no" };
                format!("<td class=\"n {class}\">{}</td>", number(v, main.digits()))
            }
            None => "<td class=\"n no\">–</td>".into(),
        };
        let reached = s.of(main);
        let stopped = match s.stopped {
            0 => String::new(),
            n => format!(" <span class=\"no\">({n} stopped by the plant)</span>"),
        };
        let name = if s.whole { format!("<b>{}</b>", esc(&s.variant)) } else { esc(&s.variant) };
        if !s.acts {
            let (packs, rest) = (s.packs, 4 + columns.len());
            let _ = writeln!(
                rows,
                "<tr><td>{name}</td><td class=\"n\">{packs}</td><td class=\"dim\" colspan=\"{rest}\">{IDLE}</td></tr>"
            );
            continue;
        }
        let _ = write!(
            rows,
            "<tr><td>{name}{stopped}</td><td class=\"n\">{}</td>{}{}{}<td class=\"n\">{} %</td>",
            s.packs,
            cell(reached.map(|r| r.median)),
            cell(reached.map(|r| r.p95)),
            cell(reached.map(|r| r.worst)),
            percent(s.within() as f64 / s.packs.max(1) as f64),
        );
        for q in &columns {
            let _ =
                write!(rows, "<td class=\"n\">{}</td>", s.of(*q).map_or("–".into(), |r| other(r, s.packs)));
        }
        rows += "</tr>\n";
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th>control</th><th class=\"n\">packs</th><th class=\"n\">median {unit}</th>\
         <th class=\"n\">95 % {unit}</th><th class=\"n\">worst {unit}</th><th class=\"n\">within</th>{heads}</tr></thead>\
         <tbody>\n{rows}</tbody></table></div>\n",
        unit = esc(main.unit()),
    )
}

fn other(reached: &Reached, packs: usize) -> String {
    let q = reached.quantity;
    if as_mean(q) {
        return number(reached.mean, q.digits());
    }
    let all = if reached.packs < packs { format!(", {} of {packs}", reached.packs) } else { String::new() };
    format!("{} ({}{all})", number(reached.median, q.digits()), number(reached.worst, q.digits()))
}

/// Every pack of every variant that acts as a dot.
fn dots(scores: &[ControlScore], first: &ControlScore) -> String {
    let scores: Vec<&ControlScore> = scores.iter().filter(|s| s.acts).collect();
    let main = first.main;
    let row = 22.0;
    let (left, top, width) = (270.0, 30.0, 800.0);
    let height = row * scores.len() as f64;
    let (_, high) = range(scores.iter().flat_map(|s| s.values.iter().copied()).chain([first.limit]));
    let x = (Axis::linear(0.0, 1.05 * high), &*format!("{}, {}", main.name(), main.unit()));
    let mut tips = Vec::new();
    let drawing = Drawing::new(left + width + 20.0, top + height + 44.0, |canvas| {
        let mut chart = chart(canvas, [left, top, width, height], x, (Axis::Linear(height..0.0), ""))?;
        let ends = chart.x_range();
        for (i, s) in scores.iter().enumerate() {
            let y = row * i as f64;
            chart.draw_series(LineSeries::new([(ends.start, y), (ends.end, y)], stroke(FRAME, 0.6)))?;
            label(
                canvas,
                (left - 10.0, top + y + row / 2.0),
                HPos::Right,
                if s.whole { PLAIN } else { SMALL },
                &s.variant,
            )?;
            if let Some(r) = s.of(main) {
                let ends = [4.0, row - 4.0].map(|beside| (r.median, y + beside));
                chart.draw_series(LineSeries::new(ends, stroke(TEXT, 2.4)))?;
            }
            let colour = if s.whole { BMS } else { COUNTER };
            for (k, value) in s.values.iter().enumerate() {
                // Spread within the lane by the golden ratio, so that equal values stay apart.
                let jitter = ((k as f64 * 0.618_034).fract() - 0.5) * (row - 8.0);
                let place = (*value, y + row / 2.0 + jitter);
                chart.draw_series([Circle::new(place, u(2.4), colour.mix(0.5).filled())])?;
                tips.push(format!("{}, pack {}: {}", s.variant, k + 1, with_unit(main, *value)));
            }
        }
        dashed(&mut chart, [(first.limit, 0.0), (first.limit, height)], stroke(BAD, 1.2))?;
        let limit = format!("limit, {}", with_unit(main, first.limit));
        let marks = [
            (Mark::Dot(BMS), "a pack, whole control"),
            (Mark::Dot(COUNTER), "less of it"),
            (Mark::Line(TEXT), "median"),
            (Mark::Limit, &*limit),
        ];
        legend(canvas, left, 12.0, &marks)
    });
    let what = format!("{} of every pack, {}", main.name(), first.title);
    figure(
        &drawing.with_tips("circle", &tips).inline(&what),
        &format!(
            "{} of each variant at most; the dashed line is the limit.",
            count(scores.iter().map(|s| s.packs).max().unwrap_or(0), "pack")
        ),
    )
}
