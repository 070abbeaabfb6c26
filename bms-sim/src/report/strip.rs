//! The distribution of the largest error: every run a dot.

use super::aggregate::{Estimator, group_by, largest};
use super::condition::condition;
use super::html::{count, esc, figure, maximum};
use super::svg::{Panel, Scale, Svg, Swatch, range};
use crate::results::{Case, TARGET_POINTS};

/// The strip plot with its legend and caption; `data` is the link to the numbers.
pub(super) fn strip(cases: &[Case], data: &str) -> String {
    let groups = group_by(cases, condition);
    let all = || cases.iter().flat_map(|c| Estimator::ALL.map(|e| e.score(c).max_points));
    let missing = all().filter(|v| !v.is_finite()).count();
    let (low, high) = range(all().filter(|v| *v > 0.0).chain([1.0, 5.0]));
    let lane = 14.0;
    let row = 3.0 * lane + 14.0;
    let (left, top, width) = (190.0, 40.0, 880.0);
    let height = row * groups.len() as f64;
    let panel = Panel {
        left,
        top,
        width,
        height,
        x: Scale::log(low.max(0.02) / 1.15, high * 1.15),
        y: Scale::linear(0.0, 1.0),
    };
    let mut svg = Svg::new(left + width + 20.0, top + height + 44.0);
    svg.legend(
        left,
        20.0,
        &[
            (Swatch::Dot("bms"), Estimator::Bms.label()),
            (Swatch::Dot("cc"), Estimator::CoulombCounter.label()),
            (Swatch::Dot("ekf"), Estimator::TextbookEkf.label()),
            (Swatch::Limit, "target, 3 points"),
            (Swatch::Line("truth"), "median"),
        ],
    );
    panel.x_axis(&mut svg, 8, Some("maximum |error| of the run, points of SOC (logarithmic)"));
    panel.frame(&mut svg);
    for (i, (group, members)) in groups.iter().enumerate() {
        let y = top + row * i as f64;
        if i > 0 {
            svg.segment((left, y), (left + width, y), "frame");
        }
        svg.text(left - 10.0, y + row / 2.0, "end", "", group.label());
        svg.text(left - 10.0, y + row / 2.0 + 15.0, "end", "tick", &count(members.len(), "run"));
        for (j, estimator) in Estimator::ALL.into_iter().enumerate() {
            let centre = y + 7.0 + lane * (j as f64 + 0.5);
            let mut values: Vec<f64> = Vec::new();
            for (k, case) in members.iter().enumerate() {
                let value = estimator.score(case).max_points;
                if !value.is_finite() {
                    continue;
                }
                values.push(value);
                // Spread within the lane by the golden ratio, so that equal values stay apart.
                let jitter = ((k as f64 * 0.618_034).fract() - 0.5) * (lane - 5.0);
                let tip = format!(
                    "{} {} {}, {} °C: {} points",
                    estimator.label(),
                    case.dataset,
                    case.profile,
                    case.temperature_c,
                    maximum(value)
                );
                svg.raw(&format!(
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\" class=\"d {}\"><title>{}</title></circle>",
                    panel.px(value.max(low.max(0.02))),
                    centre + jitter,
                    estimator.class(),
                    esc(&tip)
                ));
            }
            values.sort_by(f64::total_cmp);
            if let Some(median) = values.get(values.len() / 2) {
                let x = panel.px(median.max(low.max(0.02)));
                svg.segment((x, centre - lane / 2.0 + 1.0), (x, centre + lane / 2.0 - 1.0), "l thick truth");
            }
        }
    }
    let x = panel.px(TARGET_POINTS);
    svg.segment((x, top), (x, top + height), "limit");
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
        &svg.inline("Maximum error of every run, BMS and baselines"),
        &format!(
            "Every scored run is one dot; left of the dashed line is within the target. Largest error of the BMS: {} \
             points.{note} Numbers: {data}.",
            worst.map_or_else(|| "n/a".into(), maximum)
        ),
    )
}
