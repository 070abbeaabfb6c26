//! The few parts of a chart that all plots share: scales, axes, lines, dots and legends as SVG text.
//!
//! Colours are CSS classes, so one drawing works in the page (light and dark) and as a file of its own.

use std::fmt::Write as _;

use super::html::esc;

/// Style of every drawing, used by the page and, together with [`LIGHT_COLOURS`], by files of their own.
pub(super) const STYLE: &str = "\
.plot text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif;fill:var(--fg)}\
.plot .tick{font-size:11px;fill:var(--dim)}.plot .title{font-weight:600;font-size:13px}\
.plot .grid{stroke:var(--grid);stroke-width:1;fill:none}.plot .frame{stroke:var(--axis);stroke-width:1;fill:none}\
.plot .l{fill:none;stroke-width:1.5;stroke-linejoin:round}.plot .thin{stroke-width:.9;opacity:.55}\
.plot .dash{stroke-dasharray:5 3}.plot .thick{stroke-width:3}\
.plot .limit{stroke:var(--bad);stroke-width:1.2;stroke-dasharray:6 3;fill:none}\
.plot .truth{stroke:var(--fg)}.plot .bms{stroke:var(--bms)}.plot .cc{stroke:var(--cc)}.plot .ekf{stroke:var(--ekf)}\
.plot .nmc{stroke:var(--nmc)}.plot .nca{stroke:var(--nca)}.plot .lfp{stroke:var(--lfp)}\
.plot .d{stroke:none;opacity:.6}.plot .d.bms{fill:var(--bms)}.plot .d.cc{fill:var(--cc)}.plot .d.ekf{fill:var(--ekf)}.plot .d.mean{fill:var(--dim)}.plot .d.worst{fill:var(--lfp)}\
.plot .band{fill:var(--bms);opacity:.18;stroke:none}.plot .solid{opacity:1}";

/// Colours of a drawing that stands in a file of its own.
pub(super) const LIGHT_COLOURS: &str = "--fg:#1d2733;--dim:#5a6675;--grid:#e6eaef;--axis:#9aa5b1;--bad:#c0262d;\
--bms:#0b66b0;--cc:#d07c00;--ekf:#8446b8;--nmc:#0f8b8d;--nca:#8a9a00;--lfp:#d0452a;";

/// A linear or logarithmic axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    min: f64,
    max: f64,
    log: bool,
}

impl Scale {
    /// Linear from `min` to `max`; limits that make no axis are widened or replaced.
    pub(super) fn linear(min: f64, max: f64) -> Self {
        if !(min.is_finite() && max.is_finite()) {
            return Self { min: 0.0, max: 1.0, log: false };
        }
        if max - min > 1e-12 {
            Self { min, max, log: false }
        } else {
            let half = (min.abs() * 0.1).max(1e-6);
            Self { min: min - half, max: min + half, log: false }
        }
    }

    /// Linear over the values with a little room.
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (min, max) = range(values);
        let room = 0.05 * (max - min).max(max.abs() * 1e-3);
        Self::linear(min - room, max + room)
    }

    /// Linear from zero over the values with a little room.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (_, max) = range(values);
        Self::linear(0.0, if max > 0.0 { 1.08 * max } else { 1.0 })
    }

    /// Logarithmic; both limits must be positive, else 1 to 10.
    pub(super) fn log(min: f64, max: f64) -> Self {
        if min > 0.0 && max.is_finite() && max > min * 1.0001 {
            Self { min, max, log: true }
        } else {
            Self { min: 1.0, max: 10.0, log: true }
        }
    }

    /// Logarithmic around the positive values when they span more than a factor of `ratio`, else linear from zero.
    pub(super) fn log_if_wide(values: impl Iterator<Item = f64> + Clone, ratio: f64) -> Self {
        let (min, max) = range(values.clone().filter(|v| *v > 0.0));
        if min > 0.0 && max > ratio * min { Self::log(min / 1.3, max * 1.3) } else { Self::from_zero(values) }
    }

    /// Position on the axis, 0 at its start and 1 at its end; not finite where the value has none.
    fn unit(&self, value: f64) -> f64 {
        if self.log {
            (value.max(self.min * 1e-6) / self.min).ln() / (self.max / self.min).ln()
        } else {
            (value - self.min) / (self.max - self.min)
        }
    }

    fn ticks(&self, count: usize) -> Vec<f64> {
        if self.log {
            let decades = (self.max / self.min).log10();
            let steps: &[f64] = if decades > 3.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let steps = if decades < 1.0 { &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0][..] } else { steps };
            let first = self.min.log10().floor() as i32;
            let last = self.max.log10().ceil() as i32;
            return (first..=last)
                .flat_map(|e| steps.iter().map(move |s| s * 10f64.powi(e)))
                .filter(|v| *v >= self.min * 0.999 && *v <= self.max * 1.001)
                .collect();
        }
        let raw = (self.max - self.min) / count.max(1) as f64;
        let power = 10f64.powf(raw.log10().floor());
        let step =
            [1.0, 2.0, 2.5, 5.0, 10.0].map(|s| s * power).into_iter().find(|s| *s >= raw).unwrap_or(raw);
        let first = (self.min / step - 1e-9).ceil() as i64;
        let last = (self.max / step + 1e-9).floor() as i64;
        (first..=last).map(|k| k as f64 * step).collect()
    }
}

/// Smallest and largest finite value, (0, 1) without any.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (min, max) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if min <= max { (min, max) } else { (0.0, 1.0) }
}

/// A number on an axis, with no more digits than it needs.
fn tick_label(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded == 0.0 { "0".into() } else { format!("{rounded}").replace('-', "−") }
}

/// A drawing under construction.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// For the page: responsive, coloured by the page's style sheet. `label` is read by screen readers.
    pub(super) fn inline(&self, label: &str) -> String {
        format!(
            "<svg class=\"plot\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {:.0} {:.0}\" width=\"{:.0}\" \
             height=\"{:.0}\">{}</svg>",
            esc(label),
            self.width,
            self.height,
            self.width,
            self.height,
            self.body
        )
    }

    /// As a file of its own.
    pub(super) fn file(&self, label: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" \
             height=\"{h:.0}\"><title>{}</title><style>.plot{{{LIGHT_COLOURS}}}{STYLE}</style>\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>{}</svg>\n",
            esc(label),
            self.body,
            w = self.width,
            h = self.height,
        )
    }

    /// Adds finished SVG.
    pub(super) fn raw(&mut self, svg: &str) {
        self.body.push_str(svg);
    }

    /// Text at a point; `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let _ = write!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{}</text>",
            esc(text)
        );
    }

    /// A straight line.
    pub(super) fn segment(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let _ = write!(
            self.body,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// Swatches with labels in one row.
    pub(super) fn legend(&mut self, x: f64, y: f64, items: &[(Swatch<'_>, &str)]) {
        let mut x = x;
        for (swatch, label) in items {
            match swatch {
                Swatch::Line(class) => {
                    self.segment((x, y - 4.0), (x + 22.0, y - 4.0), &format!("l thick {class}"))
                }
                Swatch::Colour(colour, class) => {
                    let _ = write!(
                        self.body,
                        "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"l thick {class}\" \
                         style=\"stroke:{colour}\"/>",
                        y - 4.0,
                        x + 22.0,
                        y - 4.0
                    );
                }
                Swatch::Band => {
                    let _ = write!(
                        self.body,
                        "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"22\" height=\"10\" class=\"band\"/>",
                        y - 9.0
                    );
                }
                Swatch::Limit => self.segment((x, y - 4.0), (x + 22.0, y - 4.0), "limit"),
                Swatch::Dot(class) => {
                    let _ = write!(
                        self.body,
                        "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\" class=\"d solid {class}\"/>",
                        x + 11.0,
                        y - 4.0
                    );
                }
            }
            self.text(x + 27.0, y, "start", "", label);
            x += 45.0 + 6.6 * label.chars().count() as f64;
        }
    }
}

/// The mark in front of a legend entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Swatch<'a> {
    /// Line of a class.
    Line(&'a str),
    /// Line of a colour and a class.
    Colour(&'a str, &'a str),
    /// Shaded band.
    Band,
    /// The dashed line of the target.
    Limit,
    /// Dot of a class.
    Dot(&'a str),
}

/// The plotting area of one pair of axes within a drawing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Panel {
    pub(super) fn px(&self, x: f64) -> f64 {
        self.left + self.width * self.x.unit(x)
    }

    pub(super) fn py(&self, y: f64) -> f64 {
        self.top + self.height * (1.0 - self.y.unit(y))
    }

    /// Vertical grid lines; tick labels and the axis title only when `label` is given.
    pub(super) fn x_axis(&self, svg: &mut Svg, count: usize, label: Option<&str>) {
        let bottom = self.top + self.height;
        for tick in self.x.ticks(count) {
            let x = self.px(tick);
            svg.segment((x, self.top), (x, bottom), "grid");
            if label.is_some() {
                svg.text(x, bottom + 15.0, "middle", "tick", &tick_label(tick));
            }
        }
        if let Some(label) = label {
            svg.text(self.left + self.width / 2.0, bottom + 33.0, "middle", "", label);
        }
    }

    /// Horizontal grid lines with tick labels and the axis title.
    pub(super) fn y_axis(&self, svg: &mut Svg, count: usize, label: &str) {
        for tick in self.y.ticks(count) {
            let y = self.py(tick);
            svg.segment((self.left, y), (self.left + self.width, y), "grid");
            svg.text(self.left - 6.0, y + 4.0, "end", "tick", &tick_label(tick));
        }
        let (x, y) = (self.left - 46.0, self.top + self.height / 2.0);
        svg.raw(&format!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            esc(label)
        ));
    }

    /// The border around the area.
    pub(super) fn frame(&self, svg: &mut Svg) {
        svg.raw(&format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" class=\"frame\"/>",
            self.left, self.top, self.width, self.height
        ));
    }

    /// What `draw` adds is cut at the border of the area.
    pub(super) fn clipped(&self, svg: &mut Svg, draw: impl FnOnce(&mut Svg)) {
        let (x, y, w, h) = (self.left, self.top, self.width, self.height);
        svg.raw(&format!(
            "<svg x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" \
             viewBox=\"{x:.1} {y:.1} {w:.1} {h:.1}\" preserveAspectRatio=\"none\">"
        ));
        draw(svg);
        svg.raw("</svg>");
    }

    /// A horizontal line at `y`.
    pub(super) fn level(&self, svg: &mut Svg, y: f64, class: &str) {
        let py = self.py(y);
        svg.segment((self.left, py), (self.left + self.width, py), class);
    }

    /// A line through the points, interrupted where they are not finite. Within each `bucket` pixels of the horizontal
    /// axis only the lowest and highest point are drawn, so peaks survive.
    pub(super) fn line(
        &self,
        svg: &mut Svg,
        points: impl Iterator<Item = (f64, f64)>,
        bucket: f64,
        class: &str,
        colour: Option<&str>,
    ) {
        let mut path = String::new();
        for piece in self.thinned(points, bucket) {
            path_piece(&mut path, &piece);
        }
        if path.is_empty() {
            return;
        }
        let style = colour.map(|c| format!(" style=\"stroke:{c}\"")).unwrap_or_default();
        svg.raw(&format!("<path d=\"{path}\" class=\"l {class}\"{style}/>"));
    }

    /// A shaded area between `low` and `high` over x.
    pub(super) fn band(&self, svg: &mut Svg, points: &[(f64, f64, f64)], bucket: f64) {
        let finite = || points.iter().filter(|(x, lo, hi)| x.is_finite() && lo.is_finite() && hi.is_finite());
        let mut path = String::new();
        for piece in self.thinned(finite().map(|(x, lo, _)| (*x, *lo)), bucket) {
            path_piece(&mut path, &piece);
        }
        let upper: Vec<(f64, f64)> =
            self.thinned(finite().map(|(x, _, hi)| (*x, *hi)), bucket).into_iter().flatten().collect();
        for (x, y) in upper.iter().rev() {
            let _ = write!(path, "L{x:.1} {y:.1}");
        }
        if !path.is_empty() {
            svg.raw(&format!("<path d=\"{path}Z\" class=\"band\"/>"));
        }
    }

    /// Points in pixels, cut into pieces at gaps and thinned to the extremes of each bucket.
    fn thinned(&self, points: impl Iterator<Item = (f64, f64)>, bucket: f64) -> Vec<Vec<(f64, f64)>> {
        let mut pieces = vec![Vec::new()];
        let mut pending: Option<Bucket> = None;
        for (x, y) in points {
            // Far outside the area the exact place no longer matters; the limit keeps the numbers short.
            let (px, py) = (self.px(x), self.py(y).clamp(self.top - 2e3, self.top + 2e3 + self.height));
            if !(px.is_finite() && py.is_finite()) {
                if let Some(b) = pending.take() {
                    b.flush(&mut pieces);
                    pieces.push(Vec::new());
                }
                continue;
            }
            match &mut pending {
                Some(b) if (px - b.start).abs() < bucket => b.add((px, py)),
                _ => {
                    if let Some(b) = pending.take() {
                        b.flush(&mut pieces);
                    }
                    pending = Some(Bucket {
                        start: px,
                        first: (px, py),
                        last: (px, py),
                        low: (px, py),
                        high: (px, py),
                    });
                }
            }
        }
        if let Some(b) = pending {
            b.flush(&mut pieces);
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

/// Points that fall within a few pixels of each other.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    start: f64,
    first: (f64, f64),
    last: (f64, f64),
    low: (f64, f64),
    high: (f64, f64),
}

impl Bucket {
    fn add(&mut self, p: (f64, f64)) {
        self.last = p;
        if p.1 < self.low.1 {
            self.low = p;
        }
        if p.1 > self.high.1 {
            self.high = p;
        }
    }

    /// Adds the extremes in their order, or the only point.
    fn flush(self, pieces: &mut [Vec<(f64, f64)>]) {
        let Some(piece) = pieces.last_mut() else {
            return;
        };
        if piece.is_empty() {
            piece.push(self.first);
        }
        let (a, b) = if self.low.0 <= self.high.0 { (self.low, self.high) } else { (self.high, self.low) };
        piece.push(a);
        if b.1 - a.1 != 0.0 {
            piece.push(b);
        }
        if self.last.0 > b.0 && (self.last.1 - b.1).abs() > 0.5 {
            piece.push(self.last);
        }
    }
}

fn path_piece(path: &mut String, piece: &[(f64, f64)]) {
    for (i, (x, y)) in piece.iter().enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
}
