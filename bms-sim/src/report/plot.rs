//! What the charts of the report share on top of `plotters`: axes, colours, legends, thinned lines and the frame around
//! the SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::{IntoLogRange, LogCoord};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::html::esc;
use super::raster::Raster;

/// Result of drawing.
pub(super) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<std::io::Error>>;
/// A drawing area in drawing units; see [`u`].
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A pair of axes to draw series on.
pub(super) type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<Axis, Axis>>;

pub(super) const TEXT: RGBColor = RGBColor(29, 39, 51);
pub(super) const DIM: RGBColor = RGBColor(90, 102, 117);
const GRID: RGBColor = RGBColor(230, 234, 239);
pub(super) const FRAME: RGBColor = RGBColor(154, 165, 177);
pub(super) const BAD: RGBColor = RGBColor(192, 38, 45);
pub(super) const BMS: RGBColor = RGBColor(11, 102, 176);
pub(super) const COUNTER: RGBColor = RGBColor(208, 124, 0);
pub(super) const EKF: RGBColor = RGBColor(132, 70, 184);
pub(super) const NMC: RGBColor = RGBColor(15, 139, 141);
pub(super) const NCA: RGBColor = RGBColor(138, 154, 0);
pub(super) const LFP: RGBColor = RGBColor(208, 69, 42);

/// Pixels in drawing units. plotters puts everything on whole units, so four of them to a pixel keep lines smooth.
pub(super) fn u(pixels: f64) -> i32 {
    (4.0 * pixels).round() as i32
}

/// A place in pixels.
pub(super) fn at(x: f64, y: f64) -> (i32, i32) {
    (u(x), u(y))
}

/// A line of some pixels' width.
pub(super) fn stroke(colour: impl Color, pixels: f64) -> ShapeStyle {
    colour.stroke_width(u(pixels) as u32)
}

/// Size in pixels, weight and colour of text.
pub(super) type Font = (f64, FontStyle, RGBColor);
pub(super) const PLAIN: Font = (12.0, FontStyle::Normal, TEXT);
pub(super) const SMALL: Font = (11.0, FontStyle::Normal, DIM);
pub(super) const BOLD: Font = (13.0, FontStyle::Bold, TEXT);

/// plotters counts the size of text in another measure than SVG.
fn text_style((size, weight, colour): Font) -> TextStyle<'static> {
    FontDesc::new(FontFamily::SansSerif, 1.24 * f64::from(u(size)), weight).color(&colour)
}

/// Text beside or around a place in pixels, centred on its height.
pub(super) fn label(canvas: &Canvas<'_>, (x, y): (f64, f64), side: HPos, font: Font, text: &str) -> Drawn {
    canvas.draw_text(text, &text_style(font).pos(Pos::new(side, VPos::Center)), at(x, y))
}

/// A linear or logarithmic axis. Values beyond its ends are drawn at the ends.
#[derive(Debug, Clone)]
pub(super) enum Axis {
    Linear(Range<f64>),
    Log(Range<f64>),
}

impl Axis {
    /// Linear from `min` to `max`; limits that make no axis are widened or replaced.
    pub(super) fn linear(min: f64, max: f64) -> Self {
        if !(min.is_finite() && max.is_finite()) {
            return Self::Linear(0.0..1.0);
        }
        let half = if max - min > 1e-12 { 0.0 } else { (min.abs() * 0.1).max(1e-6) };
        Self::Linear(min - half..max.max(min) + half)
    }

    /// Linear over the values with a little room.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (min, max) = range(values);
        let room = 0.05 * (max - min).max(max.abs() * 1e-3);
        Self::linear(min - room, max + room)
    }

    /// Logarithmic; both limits must be positive, else 1 to 10.
    pub(super) fn log(min: f64, max: f64) -> Self {
        let valid = min > 0.0 && max.is_finite() && max > min * 1.0001;
        Self::Log(if valid { min..max } else { 1.0..10.0 })
    }

    /// Logarithmic around the positive values when they span more than a factor of `ratio`, else linear from zero.
    pub(super) fn log_if_wide(values: impl Iterator<Item = f64> + Clone, ratio: f64) -> Self {
        let (min, max) = range(values.clone().filter(|v| *v > 0.0));
        if min > 0.0 && max > ratio * min {
            return Self::log(min / 1.3, max * 1.3);
        }
        let (_, max) = range(values);
        Self::linear(0.0, if max > 0.0 { 1.08 * max } else { 1.0 })
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let Range { start, end } = self.range();
        let value = value.clamp(start.min(end), start.max(end));
        match self.clone() {
            Self::Linear(range) => RangedCoordf64::from(range).map(&value, limit),
            Self::Log(range) => LogCoord::from(range.log_scale()).map(&value, limit),
        }
    }

    /// plotters' own on a linear axis; on a logarithmic one so many steps a decade as there is room for.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let Range { start, end } = match self {
            Self::Linear(range) => return RangedCoordf64::from(range.clone()).key_points(hint),
            Self::Log(range) => range,
        };
        let steps: &[f64] = match (end / start).log10() {
            decades if decades < 1.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
            decades if decades < 3.2 => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        (start.log10().floor() as i32..=end.log10().ceil() as i32)
            .flat_map(|e| steps.iter().map(move |s| s * 10f64.powi(e)))
            .filter(|v| (*start..=*end).contains(v))
            .collect()
    }

    fn range(&self) -> Range<f64> {
        match self {
            Self::Linear(range) | Self::Log(range) => range.clone(),
        }
    }
}

impl ValueFormatter<f64> for Axis {
    /// No more digits than needed.
    fn format(value: &f64) -> String {
        let rounded = (value * 1e6).round() / 1e6;
        if rounded == 0.0 { "0".into() } else { format!("{rounded}").replace('-', "−") }
    }
}

/// Smallest and largest finite value, (0, 1) without any.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (min, max) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if min <= max { (min, max) } else { (0.0, 1.0) }
}

/// A finished drawing.
#[derive(Debug)]
pub(super) struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

impl Drawing {
    /// Draws on a canvas of this size in pixels.
    pub(super) fn new(width: f64, height: f64, draw: impl FnOnce(&Canvas<'_>) -> Drawn) -> Self {
        let mut svg = String::new();
        let canvas =
            SVGBackend::with_string(&mut svg, (u(width) as u32, u(height) as u32)).into_drawing_area();
        draw(&canvas).and_then(|()| canvas.present()).expect("drawing into memory does not fail");
        drop(canvas);
        let body = svg.split_once('\n').map_or("", |(_, body)| body);
        Self { width, height, body: body.trim_end().trim_end_matches("</svg>").into() }
    }

    /// Gives each of the first drawn elements with this tag a text that appears under the pointer; plotters has no way to.
    pub(super) fn with_tips(mut self, tag: &str, tips: &[String]) -> Self {
        let mut tips = tips.iter();
        let mut tipped = |line: &str| {
            let start = line.strip_prefix('<')?.strip_prefix(tag)?.strip_suffix("/>")?;
            Some(format!("<{tag}{start}><title>{}</title></{tag}>\n", esc(tips.next()?)))
        };
        self.body =
            self.body.lines().map(|line| tipped(line).unwrap_or_else(|| format!("{line}\n"))).collect();
        self
    }

    /// Lays a picture over the area `[left, top, width, height]` in pixels, its points as sharp rectangles.
    pub(super) fn with_raster(mut self, [left, top, width, height]: [f64; 4], raster: &Raster) -> Self {
        self.body += &format!(
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"{}\"/>\n",
            u(left),
            u(top),
            u(width),
            u(height),
            raster.data_uri()
        );
        self
    }

    /// For the page; it shrinks with the window. `label` is read by screen readers.
    pub(super) fn inline(&self, label: &str) -> String {
        self.element(&format!("role=\"img\" aria-label=\"{}\"", esc(label)), "")
    }

    /// As a file of its own.
    pub(super) fn file(&self, label: &str) -> String {
        let head =
            format!("<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", esc(label));
        self.element("xmlns=\"http://www.w3.org/2000/svg\"", &head)
    }

    fn element(&self, attributes: &str, head: &str) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg {attributes} viewBox=\"0 0 {} {}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             stroke-linejoin=\"round\">\n{head}{body}</svg>\n",
            u(*width),
            u(*height)
        )
    }
}

/// The mark in front of a legend entry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mark {
    Line(RGBColor),
    /// Shaded band of the BMS.
    Band,
    /// The dashed line of the target.
    Limit,
    Dot(RGBColor),
}

/// Marks with labels in one row around the height `y`.
pub(super) fn legend(canvas: &Canvas<'_>, x: f64, y: f64, items: &[(Mark, &str)]) -> Drawn {
    let mut x = x;
    for (mark, name) in items {
        let ends = [at(x, y), at(x + 22.0, y)];
        match mark {
            Mark::Line(colour) => canvas.draw(&PathElement::new(ends, stroke(colour, 3.0)))?,
            Mark::Band => {
                canvas.draw(&Rectangle::new([at(x, y - 5.0), at(x + 22.0, y + 5.0)], band_style()))?;
            }
            Mark::Limit => canvas.draw(&DashedPathElement::new(ends, u(6.0), u(3.0), stroke(BAD, 1.2)))?,
            Mark::Dot(colour) => canvas.draw(&Circle::new(at(x + 11.0, y), u(4.5), colour.filled()))?,
        }
        label(canvas, (x + 27.0, y), HPos::Left, PLAIN, name)?;
        x += 45.0 + 6.6 * name.chars().count() as f64;
    }
    Ok(())
}

/// Draws grid, axes and border of the area `[left, top, width, height]` in pixels. An axis without a title has no numbers,
/// and a vertical one then no grid.
pub(super) fn chart<'a>(
    canvas: &Canvas<'a>,
    [left, top, width, height]: [f64; 4],
    (x, x_title): (Axis, &str),
    (y, y_title): (Axis, &str),
) -> Drawn<Chart<'a>> {
    let (right, bottom) = canvas.dim_in_pixel();
    let below = if x_title.is_empty() { 0 } else { u(36.0) };
    let beside = if y_title.is_empty() { 0 } else { u(56.0) };
    let mut chart = ChartBuilder::on(canvas)
        .margin_left(u(left) - beside)
        .margin_top(u(top))
        .margin_right(right as i32 - u(left + width))
        .margin_bottom(bottom as i32 - u(top + height) - below)
        .x_label_area_size(below)
        .y_label_area_size(beside)
        .build_cartesian_2d(x.clone(), y.clone())?;
    let mut mesh = chart.configure_mesh();
    if y_title.is_empty() {
        mesh.disable_y_mesh();
    }
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(stroke(GRID, 1.0))
        .axis_style(stroke(FRAME, 1.0))
        .set_all_tick_mark_size(u(3.0))
        .label_style(text_style(SMALL))
        .axis_desc_style(text_style(PLAIN))
        .x_labels((width / 43.0) as usize)
        .y_labels((height / 22.0) as usize)
        .x_desc(x_title)
        .y_desc(y_title)
        .draw()?;
    let (Range { start: l, end: r }, Range { start: b, end: t }) = (x.range(), y.range());
    chart.draw_series(LineSeries::new([(l, b), (r, b), (r, t), (l, t), (l, b)], stroke(FRAME, 1.0)))?;
    Ok(chart)
}

/// A line through the points, interrupted where they are not finite or above or below the chart and thinned to the
/// extremes of each `bucket` pixels.
pub(super) fn line(
    chart: &mut Chart<'_>,
    points: impl IntoIterator<Item = (f64, f64)>,
    bucket: f64,
    style: ShapeStyle,
) -> Drawn {
    let Range { start, end } = chart.y_range();
    let inside = |y: f64| if y >= start && y <= end { y } else { f64::NAN };
    for piece in thinned(chart, points.into_iter().map(|(x, y)| (x, inside(y))), bucket) {
        chart.draw_series(LineSeries::new(piece, style))?;
    }
    Ok(())
}

/// A dashed [`line`].
pub(super) fn dashed(
    chart: &mut Chart<'_>,
    points: impl IntoIterator<Item = (f64, f64)>,
    style: ShapeStyle,
) -> Drawn {
    for piece in thinned(chart, points, 0.0) {
        chart.draw_series(DashedLineSeries::new(piece, u(6.0), u(3.0), style))?;
    }
    Ok(())
}

/// Dashed lines at both sides of zero.
pub(super) fn limits(chart: &mut Chart<'_>, limit: f64) -> Drawn {
    let ends = chart.x_range();
    for y in [limit, -limit] {
        dashed(chart, [(ends.start, y), (ends.end, y)], stroke(BAD, 1.2))?;
    }
    Ok(())
}

/// The shaded area of the BMS between `low` and `high` over x, from points (x, low, high).
pub(super) fn band(
    chart: &mut Chart<'_>,
    points: impl Iterator<Item = (f64, f64, f64)>,
    bucket: f64,
) -> Drawn {
    let finite: Vec<_> = points.filter(|(x, lo, hi)| (x + lo + hi).is_finite()).collect();
    let mut outline = thinned(chart, finite.iter().map(|(x, lo, _)| (*x, *lo)), bucket).concat();
    let upper = thinned(chart, finite.iter().map(|(x, _, hi)| (*x, *hi)), bucket).concat();
    outline.extend(upper.into_iter().rev());
    chart.draw_series((outline.len() > 2).then(|| Polygon::new(outline, band_style())))?;
    Ok(())
}

fn band_style() -> ShapeStyle {
    BMS.mix(0.18).filled()
}

/// The pieces between points that are not finite. Within each `bucket` pixels of the horizontal axis only the lowest and
/// the highest point are kept, so peaks survive.
fn thinned(
    chart: &Chart<'_>,
    points: impl IntoIterator<Item = (f64, f64)>,
    bucket: f64,
) -> Vec<Vec<(f64, f64)>> {
    let points: Vec<_> = points.into_iter().collect();
    let place = |point: &(f64, f64)| chart.backend_coord(point).0 / u(bucket).max(1);
    let mut pieces = Vec::new();
    for piece in points.split(|(x, y)| !(x + y).is_finite()) {
        let mut kept: Vec<(f64, f64)> = piece.first().copied().into_iter().collect();
        for near in piece.chunk_by(|a, b| place(a) == place(b)) {
            let by_value = |a: &usize, b: &usize| near[*a].1.total_cmp(&near[*b].1);
            let low = (0..near.len()).min_by(by_value).unwrap_or(0);
            let high = (0..near.len()).max_by(by_value).unwrap_or(0);
            kept.extend([near[low.min(high)], near[low.max(high)]]);
        }
        kept.extend(piece.last());
        kept.dedup();
        pieces.push(kept);
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}
