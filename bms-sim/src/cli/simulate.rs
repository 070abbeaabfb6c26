//! `bms simulate`: a pack in closed loop with the core.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bms_can::inverter::{Dialect, Inverter};
use bms_sim::can::CanLog;
use bms_sim::closed_loop::{self, Options, PackType, Seen};
use bms_sim::pack_file::PackFile;
use bms_sim::recording::Recording;
use bms_sim::report::pack_run::{summary_text, write_pack_run};
use bms_sim::scenario::{PackFacts, Scenario};
use bms_sim::verify::Progress as _;
use bms_sim::wire_log::WireLog;

use super::args::{InverterArg, SimulateArgs};
use super::progress::Bar;
use super::{Verdict, make_parent, print_json};

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
    let mut logs = Logs::new(args, &pack)?;
    let recording = closed_loop(&scenario, &pack, args.interval, &bar, &mut logs);
    bar.finish();
    let recording = recording?;
    logs.finish(args)?;

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
    logs: &mut Logs,
) -> Result<Recording> {
    bar.stage("laboratory", 1);
    let pack = PackType::new(file.clone()).with_context(|| scenario.pack.display().to_string())?;
    bar.stage("closed loop", PARTS);
    let mut shown = 0;
    let mut progress = |share| {
        let parts = (share * PARTS as f64) as usize;
        bar.advance(parts.saturating_sub(shown));
        shown = shown.max(parts);
    };
    let mut watch = |seen: &Seen<'_>| {
        logs.step(seen);
        ControlFlow::Continue(())
    };
    let options = Options { interval_s, ..Options::default() };
    Ok(closed_loop::run_watched(scenario, &pack, &options, &mut progress, &mut watch)?)
}

/// What the controller sends, where it is asked for.
struct Logs {
    can: Option<CanLog<BufWriter<File>>>,
    wire: Option<WireLog<BufWriter<File>>>,
}

impl Logs {
    fn new(args: &SimulateArgs, pack: &PackFile) -> Result<Self> {
        let open = |path: &Option<PathBuf>| match path {
            Some(path) => {
                make_parent(path)?;
                let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
                anyhow::Ok(Some(BufWriter::new(file)))
            }
            None => Ok(None),
        };
        let sensors = pack.sensed_cells().len();
        let inverter = args.inverter.map(|dialect| match dialect {
            InverterArg::Victron => Inverter::default(),
            // Inverters look for this name.
            InverterArg::Pylontech => {
                Inverter { dialect: Dialect::Pylontech, maker: *b"PYLON   ", ..Inverter::default() }
            }
        });
        Ok(Self {
            can: open(&args.can)?.map(|out| CanLog::new(out, sensors, inverter)),
            wire: open(&args.wire)?.map(|out| WireLog::new(out, sensors)),
        })
    }

    fn step(&mut self, seen: &Seen<'_>) {
        if let Some(can) = &mut self.can {
            can.step(seen);
        }
        if let Some(wire) = &mut self.wire {
            wire.step(seen);
        }
    }

    fn finish(self, args: &SimulateArgs) -> Result<()> {
        let failed = |path: &Option<PathBuf>| {
            format!("cannot write {}", path.as_deref().unwrap_or(Path::new("")).display())
        };
        self.can.map_or(Ok(()), CanLog::finish).with_context(|| failed(&args.can))?;
        self.wire.map_or(Ok(()), WireLog::finish).with_context(|| failed(&args.wire))
    }
}
