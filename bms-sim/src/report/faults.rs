//! Fault injection: tables for the terminal and the page, and the times of every case against what was allowed.

use std::fmt::Write as _;

use crate::faults::campaign::{Campaign, Row};
use crate::faults::catalog::Group;

/// Misses and false trips that are listed one by one.
const LISTED: usize = 25;

fn ms(value: f64) -> String {
    if value.is_nan() {
        "-".into()
    } else if value < 10_000.0 {
        format!("{value:.0} ms")
    } else {
        format!("{:.1} s", value / 1000.0)
    }
}

fn by(row: &Row<'_>) -> String {
    let names: Vec<&str> = row.by.iter().map(|(id, _)| id.entry().name).take(2).collect();
    match names.as_slice() {
        [] => "-".into(),
        all if row.by.len() > all.len() => format!("{}, ...", all.join(", ")),
        all => all.join(", "),
    }
}

/// For the terminal: a line for each kind of fault, then what went wrong.
#[must_use]
pub fn campaign_table(campaign: &Campaign) -> String {
    let mut out = format!(
        "{:52} {:>5} {:>9} {:>9} {:>9} {:>8} {:>9} {:>6}  detected by\n",
        "fault", "cases", "median", "worst", "reaction", "FTTI", "margin", "missed"
    );
    let mut group: Option<Group> = None;
    for row in campaign.rows() {
        if group != Some(row.kind.group) {
            group = Some(row.kind.group);
            let _ = writeln!(out, "{}", row.kind.group.name());
        }
        let [median, worst] = row.detection_ms;
        // Where no harm follows directly, the table's own reaction time counts.
        let mark = if row.kind.row().ftti_ms > 0 { "" } else { "*" };
        let _ = writeln!(
            out,
            "  {:50} {:>5} {:>9} {:>9} {:>9} {:>8} {:>9} {:>6}  {}",
            row.kind.name,
            row.cases,
            ms(median),
            ms(worst),
            ms(row.worst_ms),
            format!("{}{mark}", ms(row.allowed_ms)),
            ms(row.margin_ms()),
            row.missed,
            by(&row)
        );
    }
    out += "  * no fault-tolerant time: no harm follows directly; held against the reaction time of the table\n";
    let harmless = campaign.cases.len() - campaign.dangerous();
    let _ = writeln!(
        out,
        "\n{} cases ({harmless} in which no danger came up), {} missed; {:.0} h of normal driving; {} false trips; least margin {:.0} %",
        campaign.cases.len(),
        campaign.missed().count(),
        campaign.driven_h(),
        campaign.false_trips(),
        campaign.least_margin_percent()
    );
    for c in campaign.missed().take(LISTED) {
        let _ = writeln!(
            out,
            "  missed: {}, {}, {:.0} degC, {} cells, seed {}: {:?}; detected by {}, reaction {}, first {}",
            c.fault,
            c.mode.name(),
            c.temperature_c,
            c.series,
            c.seed,
            c.what,
            c.detected_by.map_or("nothing", |id| id.entry().name),
            ms(c.reaction_ms.unwrap_or(f64::NAN)),
            c.first.map_or("nothing", |id| id.entry().name),
        );
    }
    for c in campaign.cases.iter().filter(|c| !c.false_before.is_empty()).take(LISTED) {
        let names: Vec<&str> = c.false_before.iter().map(|id| id.entry().name).collect();
        let _ = writeln!(
            out,
            "  false trip before {}, {}, {:.0} degC, {} cells, seed {}: {}",
            c.fault,
            c.mode.name(),
            c.temperature_c,
            c.series,
            c.seed,
            names.join(", ")
        );
    }
    for t in campaign.driven_trips().take(LISTED) {
        let _ = writeln!(
            out,
            "  false trip in normal driving at {:.0} degC, seed {}, {:.1} s: {} ({} against {})",
            t.ambient_c,
            t.seed,
            t.time_s,
            t.id.map_or("", |id| id.entry().name),
            t.value,
            t.limit
        );
    }
    out
}
