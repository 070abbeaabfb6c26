//! The distribution of the largest error: every run a dot.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::aggregate::{Estimator, group_by, largest};
use super::condition::condition;
use super::html::{count, figure, maximum};
use super::plot::{
    Axis, BAD, Drawing, FRAME, Mark, PLAIN, SMALL, TEXT, chart, dashed, label, legend, range, stroke, u,
};
use crate::results::{Case, TARGET_POINTS};

/// Dots of a group and estimator at most.
const DOTS: usize = 800;

/// The strip plot with its legend and caption; `data` is the link to the numbers.
pub(super) fn strip(cases: &[Case], data: &str) -> String {
    let groups = group_by(cases, condition);
    let all = || cases.iter().flat_map(|c| Estimator::ALL.map(|e| e.score(c).max_points));
    let missing = all().filter(|v| !v.is_finite()).count();
    let (low, high) = range(all().filter(|v| *v > 0.0).chain([1.0, 5.0]));
    let low = low.max(0.02);
    let lane = 14.0;
    let row = 3.0 * lane + 14.0;
    let (left, top, width) = (190.0, 40.0, 880.0);
    let height = row * groups.len() as f64;
    let x = Axis::log(low / 1.15, high * 1.15);
    let x_title = "maximum |error| of the run, points of SOC (logarithmic)";
    let y = Axis::Linear(height..0.0);
    let mut tips = Vec::new();
    let drawing = Drawing::new(left + width + 20.0, top + height + 44.0, |canvas| {
        let mut chart = chart(canvas, [left, top, width, height], (x, x_title), (y, ""))?;
        let ends = chart.x_range();
        for (i, (group, members)) in groups.iter().enumerate() {
            let y = row * i as f64;
            chart.draw_series(LineSeries::new([(ends.start, y), (ends.end, y)], stroke(FRAME, 1.0)))?;
            let beside = top + y + row / 2.0;
            label(canvas, (left - 10.0, beside - 4.0), HPos::Right, PLAIN, group.label())?;
            label(canvas, (left - 10.0, beside + 11.0), HPos::Right, SMALL, &count(members.len(), "run"))?;
            for (j, estimator) in Estimator::ALL.into_iter().enumerate() {
                let centre = y + 7.0 + lane * (j as f64 + 0.5);
                let mut values: Vec<f64> = Vec::new();
                let every = members.len().div_ceil(DOTS);
                for (k, case) in members.iter().enumerate() {
                    let value = estimator.score(case).max_points;
                    if !value.is_finite() {
                        continue;
                    }
                    values.push(value);
                    if k % every != 0 {
                        continue;
                    }
                    // Spread within the lane by the golden ratio, so that equal values stay apart.
                    let jitter = ((k as f64 * 0.618_034).fract() - 0.5) * (lane - 5.0);
                    let place = (value.max(low), centre + jitter);
                    chart.draw_series([Circle::new(place, u(2.6), estimator.colour().mix(0.6).filled())])?;
                    tips.push(format!(
                        "{} {} {}, {} °C: {} points",
                        estimator.label(),
                        case.dataset,
                        case.profile,
                        case.temperature_c,
                        maximum(value)
                    ));
                }
                values.sort_by(f64::total_cmp);
                if let Some(median) = values.get(values.len() / 2) {
                    let ends = [-1.0, 1.0].map(|side| (median.max(low), centre + side * (lane / 2.0 - 1.0)));
                    chart.draw_series(LineSeries::new(ends, stroke(TEXT, 3.0)))?;
                }
            }
        }
        dashed(&mut chart, [(TARGET_POINTS, 0.0), (TARGET_POINTS, height)], stroke(BAD, 1.2))?;
        let mut marks = Estimator::ALL.map(|e| (Mark::Dot(e.colour()), e.label())).to_vec();
        marks.extend([(Mark::Limit, "target, 3 points"), (Mark::Line(TEXT), "median")]);
        legend(canvas, left, 16.0, &marks)
    });
    let note = if missing > 0 {
        format!(
            " <span class=\"no\">Not drawn, as not finite, and counted as missed: {}.</span>",
            count(missing, "score")
        )
    } else {
        String::new()
    };
    let worst = largest(cases.iter().map(|c| c.bms.max_points));
    figure(
        &drawing.with_tips("circle", &tips).inline("Maximum error of every run, BMS and baselines"),
        &format!(
            "Every scored run is one dot (of more than {DOTS} in a group some); left of the dashed line is within the target. Largest error of the BMS: {} \
             points.{note} Numbers: {data}.",
            worst.map_or_else(|| "n/a".into(), maximum)
        ),
    )
}
