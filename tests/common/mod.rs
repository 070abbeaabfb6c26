//! Runs the program in a scratch folder and looks at what it says.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a call of the program gave.
pub(crate) struct Outcome {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

/// Root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file or folder of the default data.
pub(crate) fn data(path: &str) -> String {
    root().join("data").join(path).display().to_string()
}

/// The folder with all measured and simulated sets; prints a line and is none where there is no such folder.
pub(crate) fn shared(test: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("BMS_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    if dir.join("physics").is_dir() && dir.join("data").is_dir() {
        return Some(dir);
    }
    eprintln!(
        "skipped {test}: no shared data (looked in {}; BMS_SHARED names another folder)",
        dir.display()
    );
    None
}

/// Calls `bms` with arguments in the repository's root.
pub(crate) fn bms(args: &[&str]) -> Outcome {
    bms_in(&root(), args)
}

/// Calls `bms` with arguments in a folder.
pub(crate) fn bms_in(dir: &Path, args: &[&str]) -> Outcome {
    let output: Output =
        Command::new(env!("CARGO_BIN_EXE_bms")).args(args).current_dir(dir).output().expect("bms starts");
    Outcome {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Calls `bms` and expects success.
#[track_caller]
pub(crate) fn ok(args: &[&str]) -> Outcome {
    let outcome = bms(args);
    assert_eq!(outcome.code, 0, "bms {args:?}\n{}\n{}", outcome.out, outcome.err);
    outcome
}

/// Calls `bms` and expects exit code 2 and a message with all of some words in it.
#[track_caller]
pub(crate) fn refused(args: &[&str], words: &[&str]) {
    let outcome = bms(args);
    assert_eq!(outcome.code, 2, "bms {args:?}\n{}\n{}", outcome.out, outcome.err);
    for word in words {
        assert!(outcome.err.contains(word), "bms {args:?}: `{word}` is missing in\n{}", outcome.err);
    }
    assert!(!outcome.err.contains("panicked"), "{}", outcome.err);
}

/// Identifies a cell of the default data.
pub(crate) fn identified(dataset: &str, dir: &Path) -> String {
    let cell = dir.join("cell.toml").display().to_string();
    ok(&["identify", "--dataset", &data(dataset), "-o", &cell]);
    cell
}
