//! Where the target is missed with good sensors, by group, and what helps.

use super::html::{esc, maximum, points};
use crate::results::{Cause, TARGET_POINTS};

/// One row per group, the most misses first.
pub(super) fn causes(causes: &[Cause]) -> String {
    if causes.is_empty() {
        return String::new();
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in causes.iter().flat_map(|c| &c.experiments) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let heads: String = names.iter().map(|n| format!("<th class=\"n\">{}</th>", esc(n))).collect();
    let rows: String = causes
        .iter()
        .map(|c| {
            let tried: String = names
                .iter()
                .map(|name| match c.experiments.iter().find(|(n, _)| n == name) {
                    Some((_, max)) if *max <= TARGET_POINTS => {
                        format!("<td class=\"n ok\">{}</td>", points(*max))
                    }
                    Some((_, max)) => format!("<td class=\"n\">{}</td>", maximum(*max)),
                    None => "<td class=\"n dim\">–</td>".into(),
                })
                .collect();
            format!(
                "<tr><td title=\"{}\">{}</td><td class=\"n\">{} of {}</td><td class=\"n no\">{}</td>{tried}<td>{}</td></tr>\n",
                esc(&c.worst),
                esc(&c.group),
                c.cases,
                c.of,
                maximum(c.worst_points),
                esc(&c.verdict)
            )
        })
        .collect();
    format!(
        "<h3>With good sensors, and why</h3>\n<p>Cases with good sensors by chemistry, age, temperature, start and kind of \
         profile. The worst of a group (named under the pointer) runs again with one difficulty removed; its maximum error in \
         points then. Green meets the target and tells the cause. The open-circuit voltage of an aged cell cannot be told to \
         the core, so the new cell drives instead, the same profile or, where it has none, another at that temperature. A dash: does not apply, or not among the groups of its chemistry with the most misses.</p>\n<div class=\"tall\"><table><thead><tr><th>group</th><th class=\"n\">missed</th>\
         <th class=\"n\">worst</th>{heads}<th>verdict</th></tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}
