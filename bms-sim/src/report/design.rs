//! The page of `bms design`: verdicts, ledger, masses, life, sensitivities.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{Section, esc, figure, number, page};
use super::model::table;
use super::plot::{
    Axis, BAD, BMS, BOLD, Canvas, DIM, Drawing, Drawn, FRAME, LFP, Mark, NMC, PLAIN, SMALL, TEXT, at, chart,
    dashed, label, legend, line, range, stroke,
};
use super::{ReportError, write_file};
use crate::design::{Design, END_SOH, Ledger, Life, Sensitivity, TARGET_CYCLES, TARGET_WH_PER_KG};

/// Lines are thinned to the extremes of so many pixels.
const BUCKET: f64 = 1.5;
const LESS: RGBColor = RGBColor(120, 170, 215);

/// Writes `index.html`, its pictures (`mass.svg`, `life.svg`, `sensitivity.svg`) and `design.json` into the folder.
///
/// # Errors
/// When a file or the folder cannot be written.
pub fn write_design_page(dir: &Path, design: &Design) -> Result<(), ReportError> {
    let json = serde_json::to_vec_pretty(design).unwrap_or_default();
    write_file(&dir.join("design.json"), &json)?;
    let mut sections = vec![
        Section { id: "verdict", title: "Against the charter", body: verdicts(design) },
        Section { id: "ledger", title: "Energy, voltage, power", body: ledger(&design.ledger) },
    ];
    let picture =
        |file: &str, drawing: &Drawing, title: &str, caption: &str| -> Result<String, ReportError> {
            write_file(&dir.join(file), drawing.file(title).as_bytes())?;
            Ok(figure(&drawing.inline(title), caption))
        };
    let title = "Mass of the pack by item";
    let caption = "Masses as the pack file has them.";
    let body = picture("mass.svg", &masses(&design.ledger), title, caption)?;
    sections.push(Section { id: "mass", title: "Mass", body });
    if let Some(life) = &design.life {
        let title = "Capacity and energy over cycles";
        let caption = "Capacity (slow, 25 °C) and energy of each discharge, both as a share of the new cell's; the first discharge \
                       begins at the temperature of the surroundings, so that a cell that warms up rises above it. Dashed: the \
                       end of life and the charter's cycles.";
        let body = picture("life.svg", &life_plot(life), title, caption)? + &life_words(design, life);
        sections.push(Section { id: "life", title: "Cycle life", body });
    }
    let title = "Sensitivity of specific energy and cycle life";
    let caption = "What each figure becomes when one thing changes and all else stays; the light bar is the first of the \
                   two changes named beside it. Line: as designed; dashed: the charter's target. A cycle of less than full depth \
                   counts by its depth, so that these are equivalent full cycles.";
    let body = picture("sensitivity.svg", &tornado(design), title, caption)? + &sensitivities(design);
    sections.push(Section { id: "sensitivity", title: "Sensitivity", body });
    sections.push(Section { id: "notes", title: "What these figures are", body: NOTES.into() });
    let used = match &design.life {
        Some(_) => format!(
            " Life: {}, coolant (air, without plates) at {} °C.",
            esc(&design.settings.usage.words()),
            number(design.settings.temperature_c, 0)
        ),
        None => String::new(),
    };
    let intro = format!(
        "<p>{} cells: {}, simulated by <code>{}</code>.{used} Numbers: <a href=\"./design.json\">design.json</a>.</p>\n",
        design.ledger.cells,
        esc(&design.cell),
        esc(&design.plant),
    );
    write_file(&dir.join("index.html"), page(&design.pack, &intro, &sections).as_bytes())
}

const NOTES: &str = "\
<ul>\n\
<li>The pack is what its file says: masses, conductances and resistances are the file's assumptions, no product's.</li>\n\
<li>Energy is measured on the simulated cell: discharged from full to its lower limit at C/3 and 25 °C. <em>Nominal</em> is \
what then arrives at the pack's terminals with all cells alike; <em>usable</em> is ended by the weakest group that the \
spread lets expect and by the SOC window of the file.</li>\n\
<li>The cycle life is a prediction of the ageing model for <strong>typical</strong> cells of this chemistry, not a fit of \
any product: film growth, plating below 0 V, loss of active material. Its parameters were chosen to meet published bands \
that are wide: NMC 800 to 1500, NCA 500 to 1200, LFP 2000 to 5000 full cycles at 25 °C. What it leaves out (knees, \
swelling, years of calendar life between the cycles) can only shorten a life. It is the life of the usual cell; the weakest \
cell of a string ends earlier.</li>\n\
<li>A drive from full to 10 % counts as 0.9 cycles. What braking returns is cycled on top of that, and each drive takes many \
hours, so that such cycles wear more than those of a laboratory.</li>\n\
<li>In the ageing model cycling wears the material alike at all temperatures, so that warmth shortens the life less than in \
real cells.</li>\n\
<li>Sensitivities of the life are simulated with ageing 20 times as fast, with and without the change; the ratio is applied \
to the life above.</li>\n\
</ul>\n";

fn row(cells: &[String]) -> String {
    let cells: String = cells
        .iter()
        .enumerate()
        .map(|(k, c)| format!("<td{}>{c}</td>", if k == 0 { "" } else { " class=\"n\"" }))
        .collect();
    format!("<tr>{cells}</tr>\n")
}

fn verdicts(design: &Design) -> String {
    let missed = design.verdicts.iter().filter(|v| v.met == Some(false)).count();
    let (class, head) = match missed {
        0 if design.verdicts.iter().all(|v| v.met == Some(true)) => ("good", "Both targets are met.".into()),
        0 => ("good", "No target is missed; not all are decided.".into()),
        n => ("bad", format!("Missed: {n} of {} targets.", design.verdicts.len())),
    };
    let rows: String = design
        .verdicts
        .iter()
        .map(|v| {
            let least = if v.at_least { "at least " } else { "" };
            let digits = |x: f64| if x < 1000.0 { 1 } else { 0 };
            let value = |x: f64| format!("{least}{} {}", number(x, digits(x)), v.unit);
            let class = match v.met {
                Some(true) => "ok",
                Some(false) => "no",
                None => "dim",
            };
            row(&[
                esc(v.what),
                v.value.map_or_else(|| "–".into(), value),
                format!("{} {}", number(v.target, 0), v.unit),
                format!("<span class=\"{class}\">{}</span>", esc(&v.words())),
            ])
        })
        .collect();
    format!("<div class=\"verdict {class}\"><strong>{}</strong></div>\n", esc(&head))
        + &table(&["figure", "this pack", "charter", "verdict"], &rows)
}

fn ledger(l: &Ledger) -> String {
    let one = |what: &str, value: String| row(&[what.into(), value]);
    let unit = |v: f64, digits: usize, unit: &str| format!("{} {unit}", number(v, digits));
    let wh = |v: f64| if v < 1000.0 { unit(v, 1, "Wh") } else { unit(v / 1000.0, 2, "kWh") };
    let [low, mean, high] = l.voltage_v;
    let mut rows = String::new();
    rows += &one("capacity of a cell (C/3, 25 °C)", unit(l.cell_ah, 2, "Ah"));
    rows += &one("energy of a cell", wh(l.cell_wh));
    rows += &one("specific energy of the cells", unit(l.cell_wh_per_kg, 1, "Wh/kg"));
    rows += &one("energy of all cells", wh(l.cells_wh));
    rows += &one("lost in busbars, contactors, cables (C/3)", wh(l.path_wh));
    rows += &one("nominal energy of the pack", wh(l.pack_wh));
    rows += &one("weakest group, expected from the spread", unit(100.0 * l.weakest, 1, "%"));
    rows += &one("SOC window", unit(100.0 * l.window, 0, "%"));
    rows += &one("usable energy of the pack", wh(l.usable_wh));
    rows += &one("mass of the system", unit(l.system_kg, 1, "kg"));
    rows += &one("share of the cells in it", unit(100.0 * l.cells_share, 1, "%"));
    rows += &one("specific energy of the system, nominal", unit(l.system_wh_per_kg, 1, "Wh/kg"));
    rows += &one("specific energy of the system, usable", unit(l.usable_wh_per_kg, 1, "Wh/kg"));
    if let Some(per_l) = l.system_wh_per_l {
        rows += &one("energy density of the system, nominal", format!("{} Wh/L", readable(per_l)));
    }
    rows += &one(
        "voltage: lowest, mean at C/3, highest",
        format!("{}, {}, {} V", number(low, 0), number(mean, 0), number(high, 0)),
    );
    let kw = |w: f64, by_voltage: bool| {
        format!("{} kW ({})", number(w / 1000.0, 1), if by_voltage { "voltage" } else { "current" })
    };
    let powers: String = l
        .powers
        .iter()
        .map(|p| {
            row(&[
                format!("{} °C", number(p.temperature_c, 0)),
                kw(p.discharge_w, p.discharge_by_voltage),
                kw(p.charge_w, p.charge_by_voltage),
            ])
        })
        .collect();
    table(&["item", "value"], &rows)
        + "<p>Power for 10 s at 50 % SOC, at the pack's terminals, with the limit that ends it: the cell's pulse current or \
           its voltage. Plating and the temperature table of the charger may allow less.</p>\n"
        + &table(&["temperature", "discharge", "charge"], &powers)
}

fn masses(l: &Ledger) -> Drawing {
    let mut items: Vec<_> = l.masses.iter().collect();
    items.sort_by(|a, b| b.kg.total_cmp(&a.kg));
    let (left, top, width, lane) = (110.0, 34.0, 560.0, 26.0);
    let most = items.first().map_or(1.0, |m| m.kg);
    let height = lane * items.len() as f64;
    Drawing::new(left + width + 130.0, top + height + 12.0, |canvas| {
        let total = format!("{} kg in all", number(l.system_kg, 1));
        label(canvas, (left, 16.0), HPos::Left, BOLD, &total)?;
        for (k, item) in items.iter().enumerate() {
            let y = top + lane * (k as f64 + 0.5);
            let end = left + width * item.kg / most;
            let colour = if item.name == "cells" { BMS } else { NMC };
            canvas.draw(&Rectangle::new([at(left, y - 9.0), at(end, y + 9.0)], colour.filled()))?;
            label(canvas, (left - 8.0, y), HPos::Right, PLAIN, item.name)?;
            let share = 100.0 * item.kg / l.system_kg;
            let text = format!("{} kg, {} %", number(item.kg, 1), number(share, 1));
            label(canvas, (end + 8.0, y), HPos::Left, SMALL, &text)?;
        }
        Ok(())
    })
}

fn life_plot(life: &Life) -> Drawing {
    let (left, top, width, height) = (70.0, 36.0, 760.0, 300.0);
    let last = life.points.last().map_or(1.0, |p| p.cycles);
    let x = Axis::linear(0.0, 1.05 * last.max(TARGET_CYCLES));
    let (low, _) = range(life.points.iter().flat_map(|p| [p.soh, p.energy]).chain([END_SOH]));
    let y = Axis::linear(100.0 * low - 2.0, 102.0);
    Drawing::new(left + width + 30.0, top + height + 50.0, |canvas| {
        let marks = [
            (Mark::Line(BMS), "capacity"),
            (Mark::Line(LFP), "energy of a discharge"),
            (Mark::Limit, "80 %; charter's cycles"),
        ];
        legend(canvas, left, 16.0, &marks)?;
        let area = [left, top, width, height];
        let mut chart = chart(canvas, area, (x, "cycles"), (y, "of the new cell's, %"))?;
        let (xs, ys) = (chart.x_range(), chart.y_range());
        dashed(&mut chart, [(xs.start, 100.0 * END_SOH), (xs.end, 100.0 * END_SOH)], stroke(BAD, 1.2))?;
        dashed(&mut chart, [(TARGET_CYCLES, ys.start), (TARGET_CYCLES, ys.end)], stroke(BAD, 1.2))?;
        let energy = life.points.iter().map(|p| (p.cycles, 100.0 * p.energy));
        line(&mut chart, energy, BUCKET, stroke(LFP, 1.8))?;
        let capacity = life.points.iter().map(|p| (p.cycles, 100.0 * p.soh));
        line(&mut chart, capacity, BUCKET, stroke(BMS, 2.2))
    })
}

fn life_words(design: &Design, life: &Life) -> String {
    let end = if life.ended {
        format!("<strong>{} cycles</strong> to 80 % of the capacity", number(life.cycles, 0))
    } else {
        let soh = life.points.last().map_or(1.0, |p| p.soh);
        format!("Stopped after {} cycles at {} %", number(life.cycles, 0), number(100.0 * soh, 1))
    };
    let how = if life.faster > 1.0 {
        format!("Ageing ran {} times as fast, and the count is put right.", number(life.faster, 0))
    } else {
        "Every cycle was simulated; nothing is extrapolated.".into()
    };
    let [negative, positive] = life.material_lost.map(|m| number(100.0 * m, 1));
    format!(
        "<p>{end}; use: {}. {how} At the end {} % of the lithium and {negative} % (negative), {positive} % (positive) of the \
         active material were lost; the core was at most at {} °C, and the negative electrode at least at {} V (below 0 \
         lithium plates).</p>\n",
        esc(&design.settings.usage.words()),
        number(100.0 * life.lithium_lost, 1),
        number(life.hottest_c, 1),
        number(life.lowest_anode_v, 3),
    )
}

/// One half of the tornado.
struct Half {
    title: &'static str,
    base: f64,
    target: f64,
    values: fn(&Sensitivity) -> Option<[f64; 2]>,
}

fn tornado(design: &Design) -> Drawing {
    let mut halves = vec![Half {
        title: "specific energy of the system, Wh/kg",
        base: design.ledger.system_wh_per_kg,
        target: TARGET_WH_PER_KG,
        values: |s| s.wh_per_kg,
    }];
    if let Some(life) = &design.life
        && design.sensitivities.iter().any(|s| s.cycles.is_some())
    {
        halves.push(Half {
            title: "cycle life to 80 %, cycles",
            base: life.cycles,
            target: TARGET_CYCLES,
            values: |s| s.cycles,
        });
    }
    let rows = |half: &Half| {
        let mut rows: Vec<_> =
            design.sensitivities.iter().filter_map(|s| (half.values)(s).map(|v| (s, v))).collect();
        let furthest = |v: [f64; 2]| v.iter().map(|v| (v - half.base).abs()).fold(0.0, f64::max);
        rows.sort_by(|a, b| furthest(b.1).total_cmp(&furthest(a.1)));
        rows
    };
    let lane = 32.0;
    let (left, width) = (250.0, 560.0);
    let heights: Vec<f64> = halves.iter().map(|h| lane * rows(h).len() as f64).collect();
    let total: f64 = heights.iter().map(|h| h + 84.0).sum();
    Drawing::new(left + width + 40.0, total, |canvas| {
        let mut top = 34.0;
        for (half, height) in halves.iter().zip(&heights) {
            bars(canvas, [left, top, width, *height], lane, half, &rows(half))?;
            top += height + 84.0;
        }
        Ok(())
    })
}

fn bars(
    canvas: &Canvas<'_>,
    area: [f64; 4],
    lane: f64,
    half: &Half,
    rows: &[(&Sensitivity, [f64; 2])],
) -> Drawn {
    let [left, top, width, height] = area;
    label(canvas, (left, top - 14.0), HPos::Left, BOLD, half.title)?;
    let all = || rows.iter().flat_map(|r| r.1).chain([half.base]);
    let (low, high) = range(all());
    // The target is drawn where it does not squeeze the bars.
    let span = (high - low).max(1e-3 * half.base.abs());
    let near = half.target > low - 1.5 * span && half.target < high + 1.5 * span;
    let (low, high) = if near { range(all().chain([half.target])) } else { (low, high) };
    let room = 0.09 * (high - low).max(1e-3 * half.base.abs());
    let x = Axis::linear(low - room, high + room);
    let mut chart = chart(canvas, area, (x, " "), (Axis::Linear(height..0.0), ""))?;
    for (k, (row, values)) in rows.iter().enumerate() {
        let y = lane * (k as f64 + 0.5);
        for (value, colour) in values.iter().zip([LESS, BMS]) {
            let corners = [(half.base, y - 8.0), (*value, y + 8.0)];
            chart.draw_series([Rectangle::new(corners, colour.filled())])?;
        }
        let place = |v: f64| f64::from(chart.backend_coord(&(v, y)).0) / 4.0;
        let off = values.map(|v| v - half.base);
        if off[0] * off[1] > 0.0 {
            // Two bars on one side: both numbers on the other one, where there is room.
            let (side, dx) = beside(off[0] > 0.0);
            let text = values.map(readable).join(" / ");
            label(canvas, (place(half.base) + dx, top + y), side, SMALL, &text)?;
        } else {
            for value in values {
                let (side, dx) = beside(*value < half.base);
                label(canvas, (place(*value) + dx, top + y), side, SMALL, &readable(*value))?;
            }
        }
        label(canvas, (left - 10.0, top + y - 7.0), HPos::Right, PLAIN, &row.what)?;
        label(canvas, (left - 10.0, top + y + 7.0), HPos::Right, SMALL, &row.to.join(" / "))?;
    }
    // `line` would take this axis, which runs downwards, for an empty one.
    let ends = [(half.base, 0.0), (half.base, height)];
    chart.draw_series(LineSeries::new(ends, stroke(TEXT, 1.6)))?;
    if near {
        dashed(&mut chart, [(half.target, 0.0), (half.target, height)], stroke(BAD, 1.2))?;
    }
    let (note, colour) = if near {
        (format!("designed {}, target {}", readable(half.base), number(half.target, 0)), DIM)
    } else {
        (format!("designed {}; the target, {}, is out of sight", readable(half.base), half.target), FRAME)
    };
    let font = (SMALL.0, SMALL.1, colour);
    label(canvas, (left + width, top - 14.0), HPos::Right, font, &note)
}

/// Where a number stands at the end of a bar to the left or right.
const fn beside(left: bool) -> (HPos, f64) {
    if left { (HPos::Right, -5.0) } else { (HPos::Left, 5.0) }
}

/// Three digits or more.
fn readable(value: f64) -> String {
    let digits = match value.abs() {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    number(value, digits)
}

fn sensitivities(design: &Design) -> String {
    let pair = |values: Option<[f64; 2]>, digits: usize| match values {
        Some([a, b]) => format!("{} / {}", number(a, digits), number(b, digits)),
        None => "–".into(),
    };
    let rows: String = design
        .sensitivities
        .iter()
        .map(|s| row(&[esc(&s.what), esc(&s.to.join(" / ")), pair(s.wh_per_kg, 1), pair(s.cycles, 0)]))
        .collect();
    table(&["what changes", "to", "Wh/kg", "cycles"], &rows)
}
