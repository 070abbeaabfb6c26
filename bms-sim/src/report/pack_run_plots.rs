//! Pictures of a pack's run: every cell over time, and everything else in panels over one axis of time.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::html::{figure, number};
use super::plot::{
    Axis, BAD, BMS, COUNTER, Canvas, Chart, DIM, Drawing, Drawn, EKF, FRAME, LFP, Mark, NCA, NMC, SMALL,
    TEXT, at, band, chart, dashed, label, legend, line, range, stroke, u,
};
use super::raster::Raster;
use crate::recording::{Recording, Row};

/// Left edge, width and gaps of all panels in pixels; one axis of time fits over the other.
const LEFT: f64 = 66.0;
const WIDTH: f64 = 960.0;
const RIGHT: f64 = 74.0;
const PANEL: f64 = 118.0;
const GAP: f64 = 34.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 44.0;
/// Lines are thinned to the extremes of so many pixels.
const BUCKET: f64 = 1.2;
/// Widths in pixels. What is true is black and wide, so that an estimate that hits it leaves it visible.
const THIN: f64 = 1.5;
const WIDE: f64 = 2.8;
/// Narrowest phase in pixels that gets its number.
const NUMBERED: f64 = 16.0;
/// Cooler and warmer than this against the mean, in K, have the deepest colours: the target of the charter as a spread.
const DEVIATION_K: f64 = 1.0;
const TARGET_K: f64 = 2.0;
/// The anode potential matters near zero; its panel goes no higher than this, in V.
const ANODE_TOP_V: f64 = 0.3;
const KILO: f64 = 1000.0;
const PERCENT: f64 = 100.0;
const HOUR_S: f64 = 3600.0;

/// The axis of time that all pictures share.
pub(super) struct Time {
    unit_s: f64,
    end_s: f64,
    title: &'static str,
}

impl Time {
    pub(super) fn of(recording: &Recording) -> Self {
        let end_s = recording.rows.last().map_or(1.0, |r| r.time_s);
        let (unit_s, title) = match end_s {
            s if s > 72.0 * HOUR_S => (24.0 * HOUR_S, "time, days"),
            s if s > 3.0 * HOUR_S => (HOUR_S, "time, h"),
            s if s > 300.0 => (60.0, "time, min"),
            _ => (1.0, "time, s"),
        };
        Self { unit_s, end_s, title }
    }

    fn axis(&self) -> Axis {
        Axis::linear(0.0, self.end_s / self.unit_s)
    }
}

/// A line of a panel: what it is called, its colour and its value in a row; a NaN interrupts it.
type Line = (&'static str, RGBColor, fn(&Row) -> f64);

/// A shaded area: what it is called, and its lower and upper edge in a row.
type Shade = (&'static str, fn(&Row) -> (f64, f64));

/// A panel over time.
struct Panel {
    title: &'static str,
    lines: Vec<Line>,
    /// Lines that the axis does not make room for; they show where they come into view.
    passing: Vec<Line>,
    shaded: Option<Shade>,
    /// Dashed lines, and what they are called.
    limits: Vec<f64>,
    limit_name: &'static str,
    /// Values that the axis has to hold.
    holds: Vec<f64>,
    /// The axis ends here however high the lines go.
    no_higher: f64,
}

impl Panel {
    fn new(title: &'static str, lines: &[Line]) -> Self {
        Self {
            title,
            lines: lines.to_vec(),
            passing: Vec::new(),
            shaded: None,
            limits: Vec::new(),
            limit_name: "",
            holds: Vec::new(),
            no_higher: f64::INFINITY,
        }
    }

    fn shaded(self, name: &'static str, edges: fn(&Row) -> (f64, f64)) -> Self {
        Self { shaded: Some((name, edges)), ..self }
    }

    fn passing(self, lines: &[Line]) -> Self {
        Self { passing: lines.to_vec(), ..self }
    }

    fn no_higher(self, value: f64) -> Self {
        Self { no_higher: value, ..self }
    }

    fn limit(mut self, name: &'static str, value: f64) -> Self {
        self.limits.push(value);
        self.holds.push(value);
        Self { limit_name: name, ..self }
    }

    fn holding(mut self, values: &[f64]) -> Self {
        self.holds.extend(values);
        self
    }

    fn axis(&self, rows: &[Row]) -> Axis {
        let of_lines = self.lines.iter().flat_map(|(_, _, value)| rows.iter().map(value));
        let of_shade = self.shaded.iter().flat_map(|(_, edges)| {
            rows.iter().flat_map(|row| {
                let (low, high) = edges(row);
                [low, high]
            })
        });
        let (low, high) = range(of_lines.chain(of_shade).chain(self.holds.iter().copied()));
        let high = high.min(self.no_higher).max(low);
        let room = 0.06 * (high - low).max(1e-3 * high.abs()).max(1e-6);
        Axis::linear(low - room, high + room)
    }

    fn draw(&self, canvas: &Canvas<'_>, top: f64, rows: &[Row], time: &Time, last: bool) -> Drawn {
        let lines = || self.passing.iter().chain(&self.lines);
        let mut marks: Vec<(Mark, &str)> = lines()
            .filter(|(name, ..)| !name.is_empty())
            .map(|(name, colour, _)| (Mark::Line(*colour), *name))
            .collect();
        marks.extend(self.shaded.map(|(name, _)| (Mark::Band, name)));
        marks.extend((!self.limits.is_empty()).then_some((Mark::Limit, self.limit_name)));
        legend(canvas, LEFT, top - 10.0, &marks)?;
        let area = [LEFT, top, WIDTH, PANEL];
        let y_axis = self.axis(rows);
        let mut chart =
            chart(canvas, area, (time.axis(), if last { time.title } else { "" }), (y_axis, self.title))?;
        let x = |row: &Row| row.time_s / time.unit_s;
        if let Some((_, edges)) = self.shaded {
            band(
                &mut chart,
                rows.iter().map(|row| {
                    let (low, high) = edges(row);
                    (x(row), low, high)
                }),
                BUCKET,
            )?;
        }
        let ends = chart.x_range();
        line(&mut chart, [(ends.start, 0.0), (ends.end, 0.0)], BUCKET, stroke(FRAME, 1.0))?;
        for limit in &self.limits {
            dashed(&mut chart, [(ends.start, *limit), (ends.end, *limit)], stroke(BAD, 1.2))?;
        }
        for (_, colour, value) in lines() {
            let style = stroke(*colour, if *colour == TEXT { WIDE } else { THIN });
            line(&mut chart, rows.iter().map(|row| (x(row), value(row))), BUCKET, style)?;
        }
        Ok(())
    }
}

/// Draws panels under one another, with the phases marked.
fn panels(recording: &Recording, name: &str, caption: &str, panels: &[Panel]) -> String {
    let time = Time::of(recording);
    let height = TOP + panels.len() as f64 * (PANEL + GAP) - GAP + BOTTOM;
    let drawing = Drawing::new(LEFT + WIDTH + RIGHT, height, |canvas| {
        phase_numbers(canvas, recording, &time)?;
        for (k, panel) in panels.iter().enumerate() {
            let top = TOP + k as f64 * (PANEL + GAP);
            panel.draw(canvas, top, &recording.rows, &time, k + 1 == panels.len())?;
            phase_borders(canvas, recording, &time, top, PANEL)?;
        }
        Ok(())
    });
    figure(&drawing.inline(name), caption)
}

/// Pixel of a time in s.
fn x_of(time: &Time, time_s: f64) -> f64 {
    LEFT + WIDTH * (time_s / time.end_s.max(1e-9)).clamp(0.0, 1.0)
}

fn phase_numbers(canvas: &Canvas<'_>, recording: &Recording, time: &Time) -> Drawn {
    if recording.summary.phases.len() < 2 {
        return Ok(());
    }
    label(canvas, (LEFT - 8.0, 14.0), HPos::Right, SMALL, "phase")?;
    for (k, phase) in recording.summary.phases.iter().enumerate() {
        let (from, to) = (x_of(time, phase.start_s), x_of(time, phase.start_s + phase.duration_s));
        if to - from >= NUMBERED {
            label(canvas, (0.5 * (from + to), 14.0), HPos::Center, SMALL, &(k + 1).to_string())?;
        }
    }
    Ok(())
}

fn phase_borders(canvas: &Canvas<'_>, recording: &Recording, time: &Time, top: f64, height: f64) -> Drawn {
    for phase in recording.summary.phases.iter().skip(1) {
        let x = x_of(time, phase.start_s);
        canvas.draw(&PathElement::new([at(x, top), at(x, top + height)], stroke(FRAME, 0.75)))?;
    }
    Ok(())
}

/// Temperatures of all cells as maps over time: as they are, and against the mean of the moment.
pub(super) fn cell_maps(recording: &Recording) -> String {
    let (low, high) = range(recording.core_c.iter().map(|t| f64::from(*t)));
    // Whole degrees at all five numbers of the scale.
    let low = low.floor();
    let high = low + 4.0 * ((high - low) / 4.0).ceil().max(1.0);
    let mean = |cores: &[f32]| cores.iter().map(|t| f64::from(*t)).sum::<f64>() / cores.len().max(1) as f64;
    let absolute = map(
        recording,
        "Core temperature of every cell",
        |cores, cell| {
            let t = cores.get(cell).map_or(f64::NAN, |t| f64::from(*t));
            heat((t - low) / (high - low))
        },
        (&heat, [low, high], "°C"),
    );
    let deviation = map(
        recording,
        "Core temperature of every cell against the mean of all",
        |cores, cell| {
            let t = cores.get(cell).map_or(f64::NAN, |t| f64::from(*t));
            diverging(0.5 + 0.5 * (t - mean(cores)) / DEVIATION_K)
        },
        (&diverging, [-DEVIATION_K, DEVIATION_K], "K"),
    );
    figure(&absolute, "Core temperature of every cell, from the plant.")
        + &figure(
            &deviation,
            "The same against the mean of all cells at the moment. The deepest colours are 1 K from it and more: where none \
             is deepest, the spread is within 2 K.",
        )
}

/// Colours of a scale from 0 to 1, its values at both ends, and their unit.
type Scale<'a> = (&'a dyn Fn(f64) -> RGBColor, [f64; 2], &'a str);

/// Cells from bottom to top over time, with the scale of the colours at the right.
fn map(
    recording: &Recording,
    name: &str,
    colour: impl Fn(&[f32], usize) -> RGBColor,
    (scale, [low, high], unit): Scale<'_>,
) -> String {
    let time = Time::of(recording);
    let cells = recording.cells;
    let columns = (WIDTH as usize).min(recording.rows.len().max(1));
    let height = (2.2 * cells as f64).clamp(110.0, 420.0);
    let area = [LEFT, TOP - 22.0, WIDTH, height];
    let rows: Vec<usize> = (0..columns)
        .map(|k| {
            let middle_s = time.end_s * (k as f64 + 0.5) / columns as f64;
            recording
                .rows
                .partition_point(|r| r.time_s < middle_s)
                .min(recording.rows.len().saturating_sub(1))
        })
        .collect();
    let mut rgb = Vec::with_capacity(3 * columns * cells);
    for cell in (0..cells).rev() {
        for row in &rows {
            let RGBColor(r, g, b) = colour(recording.cores_at(*row), cell);
            rgb.extend([r, g, b]);
        }
    }
    let drawing = Drawing::new(LEFT + WIDTH + RIGHT, area[1] + height + BOTTOM, |canvas| {
        phase_numbers(canvas, recording, &time)?;
        let y = Axis::linear(0.0, cells as f64);
        let _: Chart<'_> = chart(canvas, area, (time.axis(), time.title), (y, "cell"))?;
        scale_bar(canvas, area, scale, [low, high], unit)
    });
    drawing.with_raster(area, &Raster { width: columns, rgb }).inline(name)
}

fn scale_bar(
    canvas: &Canvas<'_>,
    [left, top, width, height]: [f64; 4],
    scale: &dyn Fn(f64) -> RGBColor,
    [low, high]: [f64; 2],
    unit: &str,
) -> Drawn {
    const STEPS: usize = 60;
    let x = left + width + 12.0;
    for k in 0..STEPS {
        let share = (k as f64 + 0.5) / STEPS as f64;
        let y = top + height * (1.0 - k as f64 / STEPS as f64);
        let corners = [at(x, y - height / STEPS as f64 - 0.3), at(x + 12.0, y)];
        canvas.draw(&Rectangle::new(corners, scale(share).filled()))?;
    }
    let digits = usize::from(high - low < 5.0);
    for k in 0..=4 {
        let share = f64::from(k) / 4.0;
        let y = top + height * (1.0 - share);
        let value = number(low + (high - low) * share, digits);
        // The ends stay inside the height of the map.
        let y = y.clamp(top + 6.0, top + height - 6.0);
        let text = if k == 4 { format!("{value} {unit}") } else { value };
        label(canvas, (x + 17.0, y), HPos::Left, SMALL, &text)?;
    }
    Ok(())
}

fn between(stops: &[[f64; 3]], share: f64) -> RGBColor {
    if !share.is_finite() {
        return RGBColor(85, 91, 99);
    }
    let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let k = (place as usize).min(stops.len() - 2);
    let part = place - k as f64;
    let mixed = [0, 1, 2].map(|c| (stops[k][c] + (stops[k + 1][c] - stops[k][c]) * part) as u8);
    RGBColor(mixed[0], mixed[1], mixed[2])
}

/// From dark to bright, evenly to the eye: stops of `inferno` (S. van der Walt and N. Smith, matplotlib, CC0).
fn heat(share: f64) -> RGBColor {
    let stops = [
        [20.0, 11.0, 52.0],
        [87.0, 16.0, 110.0],
        [136.0, 34.0, 106.0],
        [188.0, 55.0, 84.0],
        [227.0, 89.0, 51.0],
        [249.0, 142.0, 9.0],
        [249.0, 203.0, 53.0],
        [252.0, 255.0, 164.0],
    ];
    between(&stops, share)
}

/// Blue below the middle, red above, white in it.
fn diverging(share: f64) -> RGBColor {
    let stops = [
        [33.0, 102.0, 172.0],
        [146.0, 197.0, 222.0],
        [247.0, 247.0, 247.0],
        [244.0, 165.0, 130.0],
        [178.0, 24.0, 43.0],
    ];
    between(&stops, share)
}

/// Spread of the cores, and temperatures of cells, coolant and surroundings.
pub(super) fn temperatures(recording: &Recording) -> String {
    panels(
        recording,
        "Temperatures over time",
        "Spread: hottest less coldest core, from the plant and as the core estimates it. Coolant where it enters and leaves \
         the pack.",
        &[
            Panel::new(
                "spread, K",
                &[
                    ("true spread of the cores", TEXT, |r| r.core_c.spread()),
                    ("estimated", BMS, |r| r.values.estimated_core_max_c - r.values.estimated_core_min_c),
                ],
            )
            .limit("2 K", TARGET_K)
            .holding(&[0.0, 1.1 * TARGET_K]),
            Panel::new(
                "cores, °C",
                &[
                    ("mean core", TEXT, |r| r.core_c.mean),
                    ("estimated mean", BMS, |r| r.values.estimated_core_mean_c),
                    ("surroundings", DIM, |r| r.ambient_c),
                ],
            )
            .shaded("coldest to hottest core", |r| (r.core_c.min, r.core_c.max)),
            Panel::new(
                "coolant, °C",
                &[
                    ("coolant in", NMC, |r| r.values.coolant_in_c),
                    ("coolant out", COUNTER, |r| r.values.coolant_out_c),
                ],
            ),
        ],
    )
}

/// Power, state of charge and its spread.
pub(super) fn electrical(recording: &Recording) -> String {
    panels(
        recording,
        "Power and state of charge over time",
        "Power of the pack, positive on discharge; the core's limits show where they come near it. SOC of the cells from the \
         plant.",
        &[
            Panel::new(
                "power, kW",
                &[
                    ("at the terminals", TEXT, |r| r.values.power_w / KILO),
                    ("asked for", COUNTER, |r| r.values.requested_power_w / KILO),
                ],
            )
            .holding(&[0.0])
            .passing(&[
                ("allowed", EKF, |r| r.values.discharge_limit_w / KILO),
                ("", EKF, |r| -r.values.charge_limit_w / KILO),
            ]),
            Panel::new(
                "SOC, %",
                &[
                    ("true mean", TEXT, |r| PERCENT * r.soc.mean),
                    ("of the core", BMS, |r| PERCENT * r.values.estimated_soc),
                ],
            )
            .shaded("emptiest to fullest cell", |r| (PERCENT * r.soc.min, PERCENT * r.soc.max)),
            Panel::new(
                "SOC spread, points",
                &[
                    ("fullest less emptiest cell", TEXT, |r| PERCENT * r.soc.spread()),
                    ("of the core", BMS, |r| PERCENT * r.estimated_soc.spread()),
                ],
            )
            .holding(&[0.0]),
            Panel::new(
                "cell voltage, V",
                &[
                    ("highest cell", LFP, |r| r.values.max_cell_v),
                    ("lowest cell", BMS, |r| r.values.min_cell_v),
                ],
            ),
        ],
    )
}

/// Whether a value is ever above 0.
fn ever(recording: &Recording, value: fn(&Row) -> f64) -> bool {
    recording.rows.iter().any(|r| value(r) > 0.0)
}

/// What the core switched on.
pub(super) fn actuators(recording: &Recording) -> String {
    let mut all = vec![
        Panel::new(
            "flow, L/min",
            &[("flow of the coolant, below 0 reversed", NMC, |r| r.values.flow_l_per_min)],
        )
        .holding(&[0.0, 1.0]),
        Panel::new(
            "electrical, kW",
            &[
                ("chiller", BMS, |r| r.values.chiller_w / KILO),
                ("heater", LFP, |r| r.values.heater_w / KILO),
                ("films", COUNTER, |r| r.values.film_w / KILO),
                ("pump", NCA, |r| r.values.pump_w / KILO),
            ],
        )
        .holding(&[0.0, 0.1]),
    ];
    if ever(recording, |r| r.values.pulse_a) {
        all.push(
            Panel::new(
                "pulse, A",
                &[("heating by the cells' own current, effective", EKF, |r| r.values.pulse_a)],
            )
            .holding(&[0.0]),
        );
    }
    if ever(recording, |r| r.values.balancing_channels) {
        all.push(
            Panel::new("balancing, 1", &[("cells being balanced", NMC, |r| r.values.balancing_channels)])
                .holding(&[0.0]),
        );
        all.push(
            Panel::new("balancing, W", &[("power that it costs", LFP, |r| r.values.balancing_w)])
                .holding(&[0.0]),
        );
    }
    panels(recording, "Actuators over time", "What the core switched on; power is electrical.", &all)
}

/// A value where the core asks for a charge, nothing elsewhere.
fn while_charging(row: &Row, value: f64) -> f64 {
    if row.values.charge_request_a > 0.0 { value } else { f64::NAN }
}

/// What is asked of the charger, and what the anodes make of it; nothing without a charge.
pub(super) fn charging(recording: &Recording) -> String {
    if !ever(recording, |r| r.values.charge_request_a) {
        return "<p class=\"dim\">The pack was not charged by request.</p>".into();
    }
    let mut all = vec![
        Panel::new(
            "charge, A",
            &[
                ("into the pack", TEXT, |r| while_charging(r, -r.values.current_a)),
                ("asked for by the core", BMS, |r| while_charging(r, r.values.charge_request_a)),
            ],
        )
        .holding(&[0.0]),
        Panel::new("charge, kW", &[("into the pack", TEXT, |r| while_charging(r, -r.values.power_w / KILO))])
            .holding(&[0.0])
            .passing(&[("allowed by the core", EKF, |r| while_charging(r, r.values.charge_limit_w / KILO))]),
    ];
    if recording.rows.iter().any(|r| r.values.min_anode_v.is_finite()) {
        all.push(
            Panel::new("anode, V", &[("lowest anode potential of all cells", EKF, |r| r.values.min_anode_v)])
                .limit("lithium plates below 0", 0.0)
                .no_higher(ANODE_TOP_V),
        );
    }
    panels(
        recording,
        "Charging over time",
        "Current and power into the pack. The anode potential is the plant's own, against lithium.",
        &all,
    )
}

/// What pump, chiller, heaters, pulses and balancing took, and what the cells lost.
pub(super) fn bill_bars(recording: &Recording) -> String {
    let bill = &recording.summary.bill;
    let machines = bill.items().into_iter().skip(2).map(|(name, wh)| (name, wh, BMS));
    let bars: Vec<_> = machines.chain([("heat of the cells", bill.cell_heat_wh, FRAME)]).collect();
    let (left, width, step) = (130.0, 640.0, 27.0);
    let largest = bars.iter().map(|(_, wh, _)| *wh).fold(1e-9, f64::max);
    let drawing = Drawing::new(left + width + 110.0, step * bars.len() as f64 + 10.0, |canvas| {
        for (k, (name, wh, colour)) in bars.iter().enumerate() {
            let y = 5.0 + step * (k as f64 + 0.5);
            label(canvas, (left - 8.0, y), HPos::Right, super::plot::PLAIN, name)?;
            let end = left + width * (wh / largest).clamp(0.0, 1.0);
            canvas.draw(&Rectangle::new(
                [at(left, y - 8.0), (at(end, y).0.max(u(left + 1.0)), u(y + 8.0))],
                colour.filled(),
            ))?;
            label(canvas, (end + 8.0, y), HPos::Left, SMALL, &energy(*wh))?;
        }
        Ok(())
    });
    figure(
        &drawing.inline("Energy bill"),
        "Electrical energy of the machines, whoever fed them; what pulses and balancing lost; and, for comparison, the heat of \
         the cells.",
    )
}

/// Energy with a unit that suits it.
pub(super) fn energy(wh: f64) -> String {
    match wh.abs() {
        e if e >= 10_000.0 => format!("{} kWh", number(wh / KILO, 1)),
        e if e >= 999.5 => format!("{} kWh", number(wh / KILO, 2)),
        e if e >= 10.0 => format!("{} Wh", number(wh, 0)),
        _ => format!("{} Wh", number(wh, 2)),
    }
}
