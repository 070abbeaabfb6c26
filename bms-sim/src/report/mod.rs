//! The report of `bms verify`: one self-contained page, the CSV files behind it, and a table for the terminal. Also the
//! pictures that other commands draw.

use std::path::{Path, PathBuf};

use crate::results::{IdentifiedCell, Results};
use crate::verify::Summary;
use crate::verify::health::Health;

mod ablation;
mod aggregate;
mod causes;
mod condition;
pub mod control;
mod convergence;
pub mod design;
pub mod faults;
mod files;
pub mod health;
mod heat_map;
mod history;
mod html;
pub mod identification;
pub mod model;
pub mod pack_run;
mod pack_run_plots;
mod plot;
pub mod power;
mod raster;
mod sections;
mod sensor_terms;
mod strip;
pub mod table;
#[cfg(test)]
mod tests;
mod traces;

pub use condition::{Condition, condition};
pub use history::difference;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A case names a trace file outside of the report folder.
    #[error("trace file {0:?} must be a relative path inside the report folder")]
    OutsideReport(String),
}

impl ReportError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// Writes `index.html`, `runs.csv`, `ablation.csv` and, for each case that has both a trace and a trace file, that CSV
/// into `dir`. Folders are made as needed.
///
/// `results.json` and the cell files are linked when they already exist, so write them first. `summaries` are those of
/// earlier runs and, last, of this one.
///
/// # Errors
///
/// When a file cannot be written or a case's trace file would lie outside of `dir`.
pub fn write_report(
    dir: &Path,
    results: &Results,
    states: Option<&Health>,
    cells: &[IdentifiedCell],
    summaries: &[Summary],
) -> Result<(), ReportError> {
    for case in &results.cases {
        if let (Some(trace), Some(file)) = (&case.trace, &case.trace_file) {
            files::write_trace(&files::trace_path(dir, file)?, trace)?;
        }
    }
    files::write_runs(&dir.join("runs.csv"), &results.cases)?;
    files::write_ablations(&dir.join("ablation.csv"), &results.ablations)?;
    write_file(&dir.join("index.html"), page(dir, results, states, cells, summaries).as_bytes())
}

/// Folder of a report where [`model::write_rate_page`] puts how fast the plants are.
pub const RATE_FOLDER: &str = "rate";

/// The page as one string.
fn page(
    dir: &Path,
    results: &Results,
    states: Option<&Health>,
    cells: &[IdentifiedCell],
    summaries: &[Summary],
) -> String {
    let link = |file: &str| html::file_link(dir, file, file);
    let cases = &results.cases;
    let some = |body: fn(&Path, &Results) -> String| {
        if cases.is_empty() {
            "<p class=\"dim\">Nothing was scored.</p>".to_string()
        } else {
            body(dir, results)
        }
    };
    let section = |id, title, body| html::Section { id, title, body };
    let sections = [
        section("verdict", "Verdict", sections::verdict(results)),
        section("targets", "Targets of the acceptance protocol", sections::targets(results)),
        section("headline", "Headline figures", some(|_, r| sections::headline(&r.cases))),
        section("bounds", "Recorded bounds", sections::bounds(results)),
        section("history", "Earlier runs", history::history(summaries)),
        section(
            "life",
            "Maximum error over temperature and age",
            format!(
                "<p>Good sensors, present capacity known: the largest maximum |error| in points of all runs of a chemistry, \
                 by age and start. Blue meets the target of 3 points, red misses it (numbers in bold). Numbers: {}.</p>\n{}",
                link("runs.csv"),
                heat_map::over_life(cases)
            ),
        ),
        section(
            "heat",
            "Maximum error by data set and temperature",
            format!(
                "<p>Maximum |error| of the BMS in points: the worst run of each cell, one map per condition. Blue meets the \
                 target of 3 points, red misses it (numbers in bold). Numbers: {}.</p>\n{}",
                link("runs.csv"),
                some(|_, r| heat_map::heat_maps(&r.cases))
            ),
        ),
        section(
            "distribution",
            "Distribution of the maximum error",
            some(|d, r| strip::strip(&r.cases, &html::file_link(d, "runs.csv", "runs.csv"))),
        ),
        section("traces", "Runs over time", traces::traces(dir, cases)),
        section(
            "convergence",
            "Convergence from a wrong start",
            convergence::convergence(cases, &link("runs.csv")),
        ),
        section(
            "ablation",
            "What each part is worth",
            ablation::ablation(&results.ablations, &link("ablation.csv")),
        ),
        section(
            "sensor-terms",
            "What each sensor error costs",
            sensor_terms::sensor_terms(results.sensor_terms.as_ref()),
        ),
        section(
            "runs",
            "Run by run",
            html::details(&html::count(cases.len(), "run"), true, &sections::runs(dir, cases)),
        ),
        section(
            "misses",
            "Where the target is not met",
            causes::causes(&results.causes) + &sections::misses(cases),
        ),
        section("identification", "Identified cells", identification::identification(dir, cells)),
        section("notes", "Notes", sections::notes(results)),
    ];
    // Where another part ran alone, nothing is said of drives.
    let about_drives = states.is_none() || !cases.is_empty();
    let always = ["verdict", "targets", "bounds", "notes"];
    let sections = sections.into_iter().filter(|s| about_drives || always.contains(&s.id));
    let states = states.into_iter().flat_map(states_sections);
    let sections: Vec<_> = sections.chain(states).chain(rate_section(dir)).collect();
    let intro = sections::intro(results, &link("results.json"), &link("runs.csv"));
    html::page("State of charge: verification report", &intro, &sections)
}

/// State of power, lives, packs and their control, each if it was scored.
fn states_sections(states: &Health) -> Vec<html::Section> {
    let Health { power, lives, packs, control, faults, .. } = states;
    let mut all = Vec::new();
    let mut add = |wanted: bool, id, title, body: &dyn Fn() -> String| {
        all.extend(wanted.then(|| html::Section { id, title, body: body() }));
    };
    add(!power.is_empty(), "power", "State of power", &|| power::section(power));
    add(!lives.is_empty(), "lives", "State of health over whole lives", &|| health::lives(lives));
    add(!packs.is_empty(), "packs", "Packs", &|| health::packs(packs));
    add(!control.is_empty(), "control", "Control of packs in closed loop", &|| control::section(control));
    if let Some(score) = faults {
        add(true, "faults", "Injected faults", &|| faults::section(score));
    }
    all
}

/// How fast the plants were simulated, if that was measured into this folder.
fn rate_section(dir: &Path) -> Option<html::Section> {
    let folder = dir.join(RATE_FOLDER);
    folder.join("index.html").is_file().then(|| html::Section {
        id: "rate",
        title: "How fast the plants are simulated",
        body: format!(
            "<p>Cell-steps per second on the machine that wrote this page, over the error of the voltage and over the \
             number of cells; compare ratios rather than rates. More: {}.</p>\n\
             <img src=\"./{RATE_FOLDER}/rate_over_error.svg\" alt=\"Rate of one cell over the error of its voltage\">\n\
             <img src=\"./{RATE_FOLDER}/rate_over_cells.svg\" alt=\"Rate over the number of cells\">\n",
            html::file_link(dir, &format!("{RATE_FOLDER}/index.html"), "figures and numbers")
        ),
    })
}

/// Writes a file and the folders above it.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| ReportError::io(parent, e))?;
    }
    std::fs::write(path, bytes).map_err(|e| ReportError::io(path, e))
}
