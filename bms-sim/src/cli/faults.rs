//! `bms faults`: breaks what can break, and tells how soon the core found it.

use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use bms_sim::faults::catalog::CATALOG;
use bms_sim::faults::{Effort, run as run_campaign, standards};
use bms_sim::report::faults::{campaign_table, standards_table, write_campaign};

use super::args::FaultsArgs;
use super::progress::Bar;
use super::{Verdict, print_json};

/// Runs the campaign; a miss or a false trip fails.
pub(super) fn run(args: &FaultsArgs, quiet: bool) -> Result<Verdict> {
    let mut effort = if args.full { Effort::FULL } else { Effort::DEFAULT };
    effort.seed = args.seed;
    if let Some(hours) = args.hours {
        effort.driving_h = hours;
    }
    if let Some(drawn) = args.drawn {
        effort.drawn = drawn;
    }
    if let Some(every) = args.every {
        effort.every = every;
    }
    let filter = args.filter.as_deref().unwrap_or_default();
    if !CATALOG.iter().any(|k| k.name.contains(filter)) {
        bail!("no fault of the campaign has `{filter}` in its name");
    }
    let bar = Bar::new(quiet);
    let campaign = run_campaign(&effort, filter, &bar);
    let verdicts = standards::run();
    bar.finish();
    let (campaign, verdicts) = (campaign?, verdicts?);
    if let Some(dir) = &args.report {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
        write_campaign(dir, &campaign, &verdicts)?;
    }
    if args.json {
        print_json(&campaign)?;
    } else if !quiet {
        let mut out = io::stdout().lock();
        out.write_all(campaign_table(&campaign).as_bytes())?;
        out.write_all(standards_table(&verdicts).as_bytes())?;
        out.flush()?;
    }
    Ok(if campaign.met() && verdicts.iter().all(|v| v.passed) { Verdict::Met } else { Verdict::Missed })
}
