//! `bms export`: an identified cell as source for firmware.

use anyhow::{Context, Result};
use bms_sim::cell_file::CellFile;
use bms_sim::firmware;

use super::args::ExportArgs;
use super::{Verdict, make_parent};

/// Writes the tables.
pub(super) fn run(args: &ExportArgs, quiet: bool) -> Result<Verdict> {
    let cell = CellFile::load(&args.cell)?;
    let source = firmware::rust_tables(&cell)?;
    make_parent(&args.rust)?;
    std::fs::write(&args.rust, source).with_context(|| format!("cannot write {}", args.rust.display()))?;
    if !quiet {
        println!("wrote {}", args.rust.display());
    }
    Ok(Verdict::Met)
}
