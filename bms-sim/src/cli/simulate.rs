//! `bms simulate`: a pack in closed loop with the core.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bms_sim::closed_loop::{self, Options, PackType};
use bms_sim::pack_file::PackFile;
use bms_sim::recording::Recording;
use bms_sim::report::pack_run::{summary_text, write_pack_run};
use bms_sim::scenario::{PackFacts, Scenario};
use bms_sim::verify::Progress as _;

use super::args::SimulateArgs;
use super::progress::Bar;
use super::{Verdict, print_json};

/// Folder of all runs that are given no other.
const FOLDER: &str = "simulated";
const RECORDING: &str = "recording.parquet";
const SUMMARY: &str = "summary.json";
const PAGE: &str = "index.html";
/// Steps of the progress bar.
const PARTS: usize = 200;

/// Simulates, writes the files, tells the figures.
pub(super) fn run(args: &SimulateArgs, quiet: bool) -> Result<Verdict> {
    let mut scenario = Scenario::load(&args.scenario)?;
    if let Some(seed) = args.seed {
        scenario.seed = seed;
    }
    let pack = PackFile::load(&scenario.pack)?;
    let facts = PackFacts::of(&pack)?;
    scenario
        .check_against(&facts)
        .with_context(|| format!("{} with {}", args.scenario.display(), scenario.pack.display()))?;
    let folder = args.out.clone().unwrap_or_else(|| default_folder(&args.scenario));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;

    let bar = Bar::new(quiet);
    let recording = closed_loop(&scenario, &pack, args.interval, &bar);
    bar.finish();
    let recording = recording?;

    let summary = &recording.summary;
    recording.write_parquet(&folder.join(RECORDING))?;
    let path = folder.join(SUMMARY);
    std::fs::write(&path, serde_json::to_vec_pretty(summary)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    if !args.no_report {
        write_pack_run(&folder, &scenario, &recording)?;
    }

    if args.json {
        print_json(summary)?;
    } else if !quiet {
        let mut out = io::stdout().lock();
        out.write_all(summary_text(summary).as_bytes())?;
        let shown = if args.no_report { RECORDING } else { PAGE };
        writeln!(out, "\nwrote {}", folder.join(shown).display())?;
        out.flush()?;
    }
    Ok(if summary.met() { Verdict::Met } else { Verdict::Missed })
}

fn default_folder(scenario: &Path) -> PathBuf {
    Path::new(FOLDER).join(scenario.file_stem().unwrap_or_default())
}

/// Plant, sensors and core in closed loop.
fn closed_loop(
    scenario: &Scenario,
    file: &PackFile,
    interval_s: Option<f64>,
    bar: &Bar,
) -> Result<Recording> {
    bar.stage("laboratory", 1);
    let pack = PackType::new(file.clone()).with_context(|| scenario.pack.display().to_string())?;
    bar.stage("closed loop", PARTS);
    let mut shown = 0;
    let recording =
        closed_loop::run(scenario, &pack, &Options { interval_s, ..Options::default() }, &mut |share| {
            let parts = (share * PARTS as f64) as usize;
            bar.advance(parts.saturating_sub(shown));
            shown = shown.max(parts);
        })?;
    Ok(recording)
}
