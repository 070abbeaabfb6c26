//! `bms export`: an identified cell, or a whole pack, for firmware.

use std::path::Path;

use anyhow::{Context, Result};
use bms_sim::cell_file::CellFile;
use bms_sim::closed_loop::core::CoreSetup;
use bms_sim::closed_loop::known_cell;
use bms_sim::firmware;
use bms_sim::known::KnownCell;
use bms_sim::pack_file::PackFile;
use bms_sim::scenario::Control;

use bms_core::safety::table::PERIOD_MS;

use super::args::ExportArgs;
use super::{Verdict, make_parent};

/// Writes what was asked for.
pub(super) fn run(args: &ExportArgs, quiet: bool) -> Result<Verdict> {
    let cell = args.cell.as_ref().map(|path| CellFile::load(path)).transpose()?;
    let pack = args.pack.as_ref().map(|path| PackFile::load(path)).transpose()?;
    let (pack, known) = match (pack, cell) {
        (Some(pack), None) => {
            let known = known_cell(&pack)?;
            (pack, known)
        }
        (pack, Some(cell)) => {
            let pack = match pack {
                // The cell is the real one: nothing is scaled.
                Some(mut pack) => {
                    pack.cell.size = 1.0;
                    pack
                }
                None => firmware::pack_of_one(&cell)?,
            };
            (pack, KnownCell { circuit: cell, electrodes: None, heat: None })
        }
        (None, None) => anyhow::bail!("give --cell, --pack or both"),
    };
    let write = |path: &Path, bytes: &[u8]| -> Result<()> {
        make_parent(path)?;
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        if !quiet {
            println!("wrote {}", path.display());
        }
        Ok(())
    };
    if let Some(path) = &args.to.rust {
        write(path, firmware::rust_tables(&known.circuit)?.as_bytes())?;
    }
    if args.to.c.is_some() || args.to.blob.is_some() {
        let setup = CoreSetup::new(&pack, &known, &Control::default(), PERIOD_MS as u16)?;
        let block = setup.block()?;
        if let Some(path) = &args.to.c {
            write(path, firmware::c_header(&block, &pack, setup.capacity_ah()).as_bytes())?;
        }
        if let Some(path) = &args.to.blob {
            write(path, &firmware::blob(&block))?;
        }
    }
    Ok(Verdict::Met)
}
