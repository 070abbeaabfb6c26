//! What each part of the estimator is worth: variants with one part removed.

use super::html::{esc, figure, number, percent, points};
use super::svg::{Panel, Scale, Svg, Swatch, range};
use crate::results::{Ablation, TARGET_POINTS};

/// Name of the complete estimator.
const FULL: &str = "full";

/// Plot and table per group; `data` is the link to the numbers.
pub(super) fn ablation(ablations: &[Ablation], data: &str) -> String {
    if ablations.is_empty() {
        return "<p class=\"dim\">No variants were run.</p>".into();
    }
    let mut groups: Vec<&str> = Vec::new();
    for a in ablations {
        if !groups.contains(&a.group.as_str()) {
            groups.push(&a.group);
        }
    }
    let mut plots = String::new();
    let mut rows = String::new();
    for group in groups {
        let mut members: Vec<&Ablation> = ablations.iter().filter(|a| a.group == group).collect();
        let rank = |a: &Ablation| {
            if a.worst_max_points.is_finite() { a.worst_max_points } else { f64::INFINITY }
        };
        members
            .sort_by(|a, b| (a.variant != FULL).cmp(&(b.variant != FULL)).then(rank(a).total_cmp(&rank(b))));
        plots.push_str(&plot(group, &members));
        rows.push_str(&format!("<tr class=\"group\"><th colspan=\"6\">{}</th></tr>\n", esc(group)));
        let full = members.iter().find(|a| a.variant == FULL).map(|a| a.rmse_points);
        for a in members {
            let change = match full {
                Some(full) if a.variant != FULL && full > 0.0 && a.rmse_points.is_finite() => {
                    let sign = if a.rmse_points >= full { "+" } else { "" };
                    format!(" ({sign}{} %)", number(100.0 * (a.rmse_points / full - 1.0), 0))
                }
                _ => String::new(),
            };
            rows.push_str(&format!(
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}{change}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                if a.variant == FULL { format!("<b>{}</b>", esc(&a.variant)) } else { esc(&a.variant) },
                a.cases,
                points(a.rmse_points),
                points(a.mean_max_points),
                points(a.worst_max_points),
                percent(a.coverage)
            ));
        }
    }
    format!(
        "<div class=\"grid2\">{plots}</div>\n<p class=\"dim\">Numbers: the table below and {data}.</p>\n\
         <div class=\"scroll\"><table><thead><tr><th>variant</th><th class=\"n\">runs</th>\
         <th class=\"n\">mean RMSE, points (against full)</th><th class=\"n\">mean maximum, points</th>\
         <th class=\"n\">worst maximum, points</th><th class=\"n\">in ±3σ, %</th></tr></thead>\
         <tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn plot(group: &str, members: &[&Ablation]) -> String {
    let values = || members.iter().flat_map(|a| [a.rmse_points, a.worst_max_points]).filter(|v| *v > 0.0);
    let (low, high) = range(values().chain([1.0, 4.0]));
    let longest = members.iter().map(|a| a.variant.chars().count()).max().unwrap_or(0).min(34);
    let left = 24.0 + 6.7 * longest as f64;
    let row = 24.0;
    let (top, width, height) = (54.0, 540.0 - left, row * members.len() as f64);
    let panel =
        Panel { left, top, width, height, x: Scale::log(low / 1.2, high * 1.2), y: Scale::linear(0.0, 1.0) };
    let mut svg = Svg::new(556.0, top + height + 44.0);
    svg.text(4.0, 14.0, "start", "title", group);
    svg.legend(
        left,
        40.0,
        &[
            (Swatch::Dot("mean"), "mean RMSE"),
            (Swatch::Dot("worst"), "worst maximum"),
            (Swatch::Limit, "3 points"),
        ],
    );
    panel.x_axis(&mut svg, 6, Some("points of SOC (logarithmic)"));
    panel.frame(&mut svg);
    for (i, a) in members.iter().enumerate() {
        let y = top + row * (i as f64 + 0.5);
        let name: String = a.variant.chars().take(34).collect();
        svg.text(left - 8.0, y + 4.0, "end", if a.variant == FULL { "title" } else { "" }, &name);
        let (rmse, worst) = (a.rmse_points, a.worst_max_points);
        if rmse > 0.0 && worst > 0.0 && rmse.is_finite() && worst.is_finite() {
            svg.segment((panel.px(rmse), y), (panel.px(worst), y), "frame");
        }
        for (value, class, what) in [(rmse, "mean", "mean RMSE"), (worst, "worst", "worst maximum")] {
            if value > 0.0 && value.is_finite() {
                svg.raw(&format!(
                    "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\" class=\"d solid {class}\"><title>{}: {what} {} points\
                     </title></circle>",
                    panel.px(value),
                    esc(&a.variant),
                    points(value)
                ));
            } else {
                svg.text(left + width - 6.0, y + 4.0, "end", "tick", &format!("{what} n/a"));
            }
        }
    }
    let x = panel.px(TARGET_POINTS);
    svg.segment((x, top), (x, top + height), "limit");
    figure(&svg.inline(&format!("Ablation: {group}")), "")
}
