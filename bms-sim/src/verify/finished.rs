//! Drives that are finished, kept on disk so that a run of the whole matrix that was stopped goes on where it was.
//!
//! One JSON line per drive of a plant. What a line hangs on is in its key: the program itself, the cell's tables, the seed,
//! the extent of the matrix and the drive. A line of another program is dropped.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::VerifyError;
use super::matrix::hash;
use super::runner::DriveOutcome;

/// Finished drives of this program.
#[derive(Debug)]
pub(super) struct Finished {
    path: PathBuf,
    program: u64,
    known: BTreeMap<u64, DriveOutcome>,
    file: Mutex<fs::File>,
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    program: u64,
    key: u64,
    outcome: T,
}

impl Finished {
    /// Reads what is in a file, or begins anew.
    pub(super) fn open(path: &Path, fresh: bool) -> Result<Self, VerifyError> {
        let io = |source| VerifyError::Io { path: path.into(), source };
        // Two builds may have one version: the program's own bytes tell them apart.
        let own = std::env::current_exe().and_then(fs::read);
        let own = own.map_err(|source| VerifyError::Io { path: "the program itself".into(), source })?;
        let program = hash(&own);
        let old =
            if fresh || !path.is_file() { String::new() } else { fs::read_to_string(path).map_err(io)? };
        // A line that was cut off when the run was stopped is not understood, and done again.
        let lines = old.lines().filter_map(|l| serde_json::from_str::<Line<DriveOutcome>>(l).ok());
        let known: BTreeMap<u64, DriveOutcome> =
            lines.filter(|l| l.program == program).map(|l| (l.key, l.outcome)).collect();
        let new = OpenOptions::new().create(true).write(true).truncate(true).open(path).map_err(io)?;
        let this = Self { path: path.into(), program, known, file: Mutex::new(new) };
        for (key, outcome) in &this.known {
            this.write(*key, outcome)?;
        }
        Ok(this)
    }

    /// What came out of a drive, if it is finished.
    pub(super) fn get(&self, key: u64) -> Option<DriveOutcome> {
        self.known.get(&key).cloned()
    }

    /// Keeps a drive.
    pub(super) fn write(&self, key: u64, outcome: &DriveOutcome) -> Result<(), VerifyError> {
        let io = |source| VerifyError::Io { path: self.path.clone(), source };
        let mut text =
            serde_json::to_string(&Line { program: self.program, key, outcome }).map_err(|e| io(e.into()))?;
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(text.as_bytes()).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_is_kept_until_the_program_changes_or_it_is_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("finished.jsonl");
        let mut outcome = DriveOutcome::default();
        outcome.notes.push("done".into());
        Finished::open(&path, false).unwrap().write(7, &outcome).unwrap();
        let cut = fs::read_to_string(&path).unwrap() + "{\"program\":1,";
        fs::write(&path, cut).unwrap();
        let again = Finished::open(&path, false).unwrap();
        assert_eq!(again.get(7).unwrap().notes, ["done"]);
        assert!(again.get(8).is_none());
        let program = format!("\"program\":{}", again.program);
        let other = fs::read_to_string(&path).unwrap().replace(&program, "\"program\":1");
        fs::write(&path, other).unwrap();
        assert!(Finished::open(&path, false).unwrap().get(7).is_none());
        Finished::open(&path, false).unwrap().write(7, &outcome).unwrap();
        assert!(Finished::open(&path, true).unwrap().get(7).is_none());
    }
}
