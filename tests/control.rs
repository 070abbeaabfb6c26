//! Packs in closed loop for the targets of the acceptance protocol: the scenarios that `bms verify` runs.

use std::collections::BTreeSet;
use std::path::Path;

use bms_sim::scenario::Scenario;
use bms_sim::verify::Silent;
use bms_sim::verify::control::{CASES, Case, Packs, Quantity, score};

/// Two minutes at 1C.
const TWO_MINUTES: &str = "format_version = 1\ntitle = 'Two minutes'\npack = 'x'\nambient_c = 25.0\n\
                           start = { soc = 0.5, rested = false }\n\
                           [[phase]]\nkind = 'constant'\nc_rate = 1.0\nduration = '2min'";

#[test]
fn a_seed_gives_the_same_pack_and_each_pack_its_own() {
    let case = Case { name: "two_minutes", text: TWO_MINUTES, variants: &CASES[0].variants[..2], ..CASES[0] };
    let packs = Packs { count: 2, compared: 2, first: 2, first_seed: 7 };
    let scores = score(&[case, case], &packs, &Silent).unwrap();
    let counts: Vec<_> = scores.iter().map(|s| (s.packs, s.stopped, s.values.len())).collect();
    assert_eq!(counts, [(2, 0, 2); 4], "both with the whole control and with none");
    assert_eq!(scores[..2], scores[2..]);
    let whole = &scores[0];
    assert!((whole.values[0] - whole.values[1]).abs() > 1e-6, "{:?}", whole.values);
    assert!(whole.of(Quantity::HottestCore).is_some_and(|r| r.worst > 25.0));
    assert!(whole.of(Quantity::SpreadAtEnd).is_none(), "it is not about balancing");
}

#[test]
fn a_part_that_changes_nothing_is_told_from_the_first_packs() {
    // No film is on in a warm pack, and nothing plates in a discharge.
    let named = |name: &str| *CASES[0].variants.iter().find(|v| v.name.contains(name)).unwrap();
    let variants = [named("whole"), named("passive"), named("films by module"), named("plating")];
    let text: String = TWO_MINUTES.replace("25.0", "40.0");
    let (text, variants) = (&*text.leak(), &*Vec::from(variants).leak());
    let case = Case { name: "two_minutes", text, variants, ..CASES[0] };
    let scores = score(&[case], &Packs { count: 4, compared: 3, first: 2, first_seed: 7 }, &Silent).unwrap();
    let seen: Vec<_> = scores.iter().map(|s| (s.acts, s.packs)).collect();
    assert_eq!(seen, [(true, 4), (true, 3), (true, 3), (false, 2), (false, 2)]);
    // The packs that are compared stand beside the others a second time.
    assert_eq!(scores[1].values, scores[0].values[..3]);
    assert_eq!(scores[3].values, scores[0].values[..2]);
}

#[test]
fn the_scenario_files_are_those_that_are_scored() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/targets");
    let mut files = BTreeSet::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        // It names a pack that is there.
        Scenario::load(&path).unwrap();
        files.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    assert_eq!(files, CASES.iter().map(|c| c.name.to_owned()).collect());
}
