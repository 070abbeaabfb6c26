//! The safety documents (`docs/safety`) against the code: what they say about times is computed, what they name exists,
//! and nothing of the diagnosis table is left out.
//!
//! Parts between `<!-- generated: NAME -->` and `<!-- end -->` are written by this test:
//! `BMS_BLESS=1 cargo test -p bms-core --test safety` writes them anew, without it they are compared.

mod diagnoses;
mod documents;
mod ftti;
mod trace;

use std::path::{Path, PathBuf};

use documents::Documents;
use trace::{Sources, Trace};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder() -> PathBuf {
    root().join("docs/safety")
}

/// All generated parts by name.
fn generated(trace: &Trace) -> Vec<(&'static str, String)> {
    vec![
        ("diagnoses", diagnoses::table(trace)),
        ("assumptions", ftti::assumptions()),
        ("derivations", ftti::derivations()),
        ("ftti", ftti::table()),
        ("goals", trace.goal_table()),
    ]
}

#[test]
fn every_goal_requirement_and_diagnosis_is_traced_to_code_and_test() {
    let documents = Documents::read(&folder());
    let (trace, mut problems) = Trace::parse(&documents);
    problems.extend(trace.problems(&Sources::new(root())));
    problems.extend(documents.broken_links(&folder()));
    assert!(problems.is_empty(), "docs/safety:\n{}", problems.join("\n"));
}

#[test]
fn generated_parts_are_in_step_with_the_code() {
    let documents = Documents::read(&folder());
    let (trace, _) = Trace::parse(&documents);
    let generated = generated(&trace);
    if std::env::var_os("BMS_BLESS").is_some() {
        documents.bless(&folder(), &generated);
    } else {
        let problems = documents.out_of_step(&generated);
        assert!(problems.is_empty(), "BMS_BLESS=1 writes them anew:\n{}", problems.join("\n"));
    }
}

#[test]
fn every_ftti_follows_from_an_assumption() {
    let problems = ftti::problems(&bms_core::safety::table::TABLE);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
