//! From hazard to test: goals, requirements, what implements them and what tests them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use bms_core::safety::table::TABLE;

use crate::documents::Documents;

/// A safety goal (`goals.md`).
#[derive(Debug, Default)]
pub(crate) struct Goal {
    title: String,
    hazards: Vec<String>,
    asil: String,
    safe_state: String,
    ftti_ms: Option<u32>,
}

/// A requirement (`requirements.md`).
#[derive(Debug, Default)]
pub(crate) struct Requirement {
    goals: Vec<String>,
    diagnoses: Vec<String>,
    code: Vec<String>,
    tests: Vec<String>,
    campaign: Vec<String>,
}

/// All of them by their ids.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// With their ASIL.
    hazards: BTreeMap<String, String>,
    goals: BTreeMap<String, Goal>,
    requirements: BTreeMap<String, Requirement>,
}

/// The ASIL of a hazard: its three classes added up (the table of ISO 26262-3 in one line).
fn asil_of(s: &str, e: &str, c: &str) -> Option<&'static str> {
    let class = |text: &str, letter: char, most: usize| {
        let n = text.strip_prefix(letter)?.parse().ok()?;
        (1..=most).contains(&n).then_some(n)
    };
    let sum = class(s, 'S', 3)? + class(e, 'E', 4)? + class(c, 'C', 3)?;
    Some(match sum {
        10 => "D",
        9 => "C",
        8 => "B",
        7 => "A",
        _ => "QM",
    })
}

/// What is between back quotes, or other marks.
fn quoted(text: &str) -> Vec<String> {
    between(text, '`')
}

fn between(text: &str, mark: char) -> Vec<String> {
    text.split(mark).skip(1).step_by(2).map(str::to_owned).collect()
}

/// Where the kinds of faults of `bms faults` are.
const CATALOG: &str = "bms-sim/src/faults/catalog.rs";

/// Kinds of faults in the catalogue, each with the diagnoses that are accepted: a row begins with its name at the margin of
/// the `faults!` table, and names them as `D::Name`.
fn kinds(catalog: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    let mut name = None;
    for line in catalog.lines() {
        if let Some((row, _)) = line.strip_prefix("    \"").and_then(|l| l.split_once('"')) {
            name = Some(row.to_owned());
            found.insert(row.to_owned(), BTreeSet::new());
        } else if line.starts_with('}') {
            name = None;
        }
        let Some(diagnoses) = name.as_ref().and_then(|n| found.get_mut(n)) else { continue };
        let after = line.split("D::").skip(1);
        diagnoses.extend(after.map(|d| d.chars().take_while(|c| c.is_alphanumeric()).collect()));
    }
    found
}

fn listed(text: &str) -> Vec<String> {
    text.split(',').map(|s| s.trim().trim_end_matches('.').to_owned()).filter(|s| !s.is_empty()).collect()
}

/// Id, title, and its fields.
type Section<'a> = (&'a str, &'a str, Vec<(&'a str, String)>);

/// Sections that begin with `marks` and an id: the id, its title, and its `- Key: value` lines (a line that is indented
/// belongs to the one before).
fn sections<'a>(text: &'a str, marks: &str) -> Vec<Section<'a>> {
    let mut found: Vec<Section<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix(marks) {
            let (id, title) = heading.split_once(' ').unwrap_or((heading, ""));
            found.push((id.trim_end_matches(':'), title.trim(), Vec::new()));
            continue;
        }
        if line.starts_with('#') {
            // Another heading ends the section.
            found.push(("", "", Vec::new()));
        }
        let Some((_, _, fields)) = found.last_mut() else { continue };
        if let Some((key, value)) = line.strip_prefix("- ").and_then(|l| l.split_once(": ")) {
            fields.push((key, value.to_owned()));
        } else if let (Some(more), Some((_, value))) = (line.strip_prefix("  "), fields.last_mut()) {
            value.push(' ');
            value.push_str(more.trim());
        }
    }
    found.retain(|(id, _, _)| !id.is_empty());
    found
}

impl Trace {
    /// Reads hazards, goals and requirements.
    pub(crate) fn parse(documents: &Documents) -> (Self, Vec<String>) {
        let (mut trace, mut problems) = (Self::default(), Vec::new());
        for line in documents.get("hazards.md").lines().filter(|l| l.starts_with("| H-")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [id, _, _, _, s, e, c, asil, ..] = cells[..] else {
                problems.push(format!("hazards.md: too few columns in `{line}`"));
                continue;
            };
            if asil_of(s, e, c) != Some(asil) {
                problems.push(format!("hazards.md: {id} with {s} {e} {c} is not {asil}"));
            }
            if trace.hazards.insert(id.to_owned(), asil.to_owned()).is_some() {
                problems.push(format!("hazards.md: {id} is there twice"));
            }
        }
        for (id, title, fields) in sections(documents.get("goals.md"), "## SG-") {
            let mut goal = Goal { title: title.to_owned(), ..Goal::default() };
            for (key, value) in fields {
                match key {
                    "Hazards" => goal.hazards = listed(&value),
                    "ASIL" => goal.asil = value,
                    "Safe state" => goal.safe_state = value,
                    "FTTI" => goal.ftti_ms = value.split(' ').next().and_then(|n| n.parse().ok()),
                    _ => problems.push(format!("goals.md: SG-{id} has a field `{key}`")),
                }
            }
            if trace.goals.insert(format!("SG-{id}"), goal).is_some() {
                problems.push(format!("goals.md: SG-{id} is there twice"));
            }
        }
        for (id, _, fields) in sections(documents.get("requirements.md"), "### REQ-") {
            let mut requirement = Requirement::default();
            for (key, value) in fields {
                match key {
                    "Goal" => requirement.goals = listed(&value),
                    "Diagnoses" => requirement.diagnoses = quoted(&value),
                    "Code" => requirement.code = quoted(&value),
                    "Tests" => requirement.tests = quoted(&value),
                    "Campaign" => requirement.campaign = between(&value, '"'),
                    _ => problems.push(format!("requirements.md: REQ-{id} has a field `{key}`")),
                }
            }
            if trace.requirements.insert(format!("REQ-{id}"), requirement).is_some() {
                problems.push(format!("requirements.md: REQ-{id} is there twice"));
            }
        }
        (trace, problems)
    }

    /// Requirements that name a diagnosis.
    pub(crate) fn of_diagnosis(&self, name: &str) -> Vec<&str> {
        let naming = self.requirements.iter().filter(|(_, r)| r.diagnoses.iter().any(|d| d == name));
        naming.map(|(id, _)| id.as_str()).collect()
    }

    /// Shortest FTTI of the diagnoses that a goal's requirements name, in ms.
    fn shortest_ftti_ms(&self, goal: &str) -> Option<u32> {
        let its = self.requirements.values().filter(|r| r.goals.iter().any(|g| g == goal));
        let names: BTreeSet<&str> = its.flat_map(|r| r.diagnoses.iter().map(String::as_str)).collect();
        let rows = TABLE.iter().filter(|e| names.contains(e.name) && e.ftti_ms > 0);
        rows.map(|e| e.ftti_ms).min()
    }

    /// The goals at a glance.
    pub(crate) fn goal_table(&self) -> String {
        let mut out =
            "| Goal | What | Hazards | ASIL (assumed) | FTTI, ms | Slowest reaction, ms | Requirements |\n|---|---|---|---|---|---|---|\n"
                .to_owned();
        let number = |id: &str| id.trim_start_matches("SG-").parse().unwrap_or(u32::MAX);
        let mut goals: Vec<_> = self.goals.iter().collect();
        goals.sort_by_key(|(id, _)| number(id));
        for (id, goal) in goals {
            let its: Vec<_> = self.requirements.iter().filter(|(_, r)| r.goals.contains(id)).collect();
            let names: BTreeSet<&str> =
                its.iter().flat_map(|(_, r)| r.diagnoses.iter().map(String::as_str)).collect();
            let tight = TABLE.iter().filter(|e| names.contains(e.name) && Some(e.ftti_ms) == goal.ftti_ms);
            let slowest = tight.map(|e| e.reaction_time_ms()).max();
            let ms = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
            writeln!(
                out,
                "| {id} | {} | {} | {} | {} | {} | {} |",
                goal.title,
                goal.hazards.join(", "),
                goal.asil.split_whitespace().next().unwrap_or(""),
                ms(goal.ftti_ms),
                ms(slowest),
                its.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>().join(", ")
            )
            .expect("a string takes all");
        }
        out
    }

    /// Everything that does not hold together.
    pub(crate) fn problems(&self, sources: &Sources) -> Vec<String> {
        let mut problems = Vec::new();
        let mut answered = BTreeSet::new();
        for (id, goal) in &self.goals {
            for hazard in &goal.hazards {
                if !self.hazards.contains_key(hazard) {
                    problems.push(format!("{id} answers {hazard}, which is not in hazards.md"));
                }
                answered.insert(hazard.as_str());
            }
            // "QM" sorts after the letters, so it counts as the least by its length.
            let worst =
                goal.hazards.iter().filter_map(|h| self.hazards.get(h)).filter(|a| a.len() == 1).max();
            let worst = worst.map_or("QM", String::as_str);
            if goal.asil.split_whitespace().next() != Some(worst) {
                problems.push(format!("{id}: ASIL {}, but its worst hazard is {worst}", goal.asil));
            }
            if goal.hazards.is_empty() || goal.asil.is_empty() || goal.safe_state.is_empty() {
                problems.push(format!("{id} needs hazards, an ASIL and a safe state"));
            }
            if !self.requirements.values().any(|r| r.goals.contains(id)) {
                problems.push(format!("{id} has no requirement"));
            }
            let shortest = self.shortest_ftti_ms(id);
            if goal.ftti_ms != shortest {
                problems
                    .push(format!("{id}: FTTI {:?} ms, but the table says {shortest:?} ms", goal.ftti_ms));
            }
        }
        let left = self.hazards.keys().filter(|h| !answered.contains(h.as_str()));
        problems.extend(left.map(|h| format!("{h} has no safety goal")));
        for (id, r) in &self.requirements {
            if r.goals.is_empty() {
                problems.push(format!("{id} belongs to no goal"));
            }
            let strange = r.goals.iter().filter(|g| !self.goals.contains_key(*g));
            problems.extend(strange.map(|g| format!("{id} belongs to {g}, which is not in goals.md")));
            let unknown = r.diagnoses.iter().filter(|d| TABLE.iter().all(|e| e.name != **d));
            problems.extend(unknown.map(|d| format!("{id}: `{d}` is not in the diagnosis table")));
            if r.code.is_empty() {
                problems.push(format!("{id} names no code"));
            }
            if r.tests.is_empty() {
                problems.push(format!("{id} has no test"));
            }
            problems
                .extend(r.code.iter().filter_map(|c| sources.code(c).err()).map(|e| format!("{id}: {e}")));
            problems
                .extend(r.tests.iter().filter_map(|t| sources.test(t).err()).map(|e| format!("{id}: {e}")));
        }
        problems.extend(self.campaign_problems(sources));
        let homeless = TABLE.iter().filter(|e| self.of_diagnosis(e.name).is_empty());
        problems.extend(homeless.map(|e| format!("`{}` belongs to no requirement", e.name)));
        problems
    }
}

impl Trace {
    /// Kinds of faults that requirements name and that are not in the campaign, or that it answers with other diagnoses; and
    /// those of the campaign that no requirement names.
    fn campaign_problems(&self, sources: &Sources) -> Vec<String> {
        let kinds = match sources.text(&format!("{CATALOG}::CATALOG")) {
            Ok((text, _)) => kinds(&text),
            Err(e) => return vec![e],
        };
        let mut problems = Vec::new();
        let mut named = BTreeSet::new();
        for (id, r) in &self.requirements {
            for name in &r.campaign {
                named.insert(name.as_str());
                match kinds.get(name) {
                    None => problems.push(format!("{id}: the campaign has no \"{name}\"")),
                    Some(accepted) if !r.diagnoses.iter().any(|d| accepted.contains(d)) => {
                        problems.push(format!("{id}: none of its diagnoses answers \"{name}\""));
                    }
                    Some(_) => {}
                }
            }
        }
        let left = kinds.keys().filter(|k| !named.contains(k.as_str()));
        problems.extend(left.map(|k| format!("{CATALOG}: \"{k}\" is in no requirement")));
        problems
    }
}

/// Source files of the repository.
pub(crate) struct Sources {
    root: PathBuf,
    read: RefCell<BTreeMap<String, String>>,
}

impl Sources {
    /// Of the repository at this path.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, read: RefCell::default() }
    }

    /// Files that are given, for tests.
    #[cfg(test)]
    fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        let read = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        Self { root: PathBuf::from("nowhere"), read: RefCell::new(read) }
    }

    fn text<'a>(&self, name: &'a str) -> Result<(String, &'a str), String> {
        let (path, item) = name.split_once("::").ok_or_else(|| format!("`{name}` is not `path::item`"))?;
        if let Some(text) = self.read.borrow().get(path) {
            return Ok((text.clone(), item));
        }
        let text = std::fs::read_to_string(self.root.join(path)).map_err(|_| format!("no file `{path}`"))?;
        self.read.borrow_mut().insert(path.to_owned(), text.clone());
        Ok((text, item))
    }

    /// An item `path::name` of the code: a function, type, constant or macro that is defined there.
    fn code(&self, name: &str) -> Result<(), String> {
        let (text, item) = self.text(name)?;
        let kinds = ["fn", "struct", "enum", "const", "static", "trait", "type", "macro_rules!", "mod"];
        let ends = |rest: &str| rest.chars().next().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let defined = text.lines().map(str::trim_start).filter(|l| !l.starts_with("//")).any(|line| {
            let mut words = line.split(' ');
            words.any(|w| kinds.contains(&w))
                && kinds.iter().any(|kind| {
                    let begin = format!("{kind} {item}");
                    line.find(&begin).is_some_and(|at| ends(&line[at + begin.len()..]))
                })
        });
        if defined { Ok(()) } else { Err(format!("`{name}` is not defined there")) }
    }

    /// A test `path::name` that runs by default.
    fn test(&self, name: &str) -> Result<(), String> {
        let (text, item) = self.text(name)?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let begin = format!("fn {item}(");
        let at = lines.iter().position(|l| l.starts_with(&begin));
        let at = at.ok_or_else(|| format!("no test `{name}`"))?;
        let above = lines[..at].iter().rev().take_while(|l| l.starts_with('#') || l.starts_with("//"));
        let attributes: Vec<_> = above.collect();
        if !attributes.iter().any(|l| l.starts_with("#[test]")) {
            return Err(format!("`{name}` is not a test"));
        }
        if attributes.iter().any(|l| l.starts_with("#[ignore")) {
            return Err(format!("the test `{name}` does not run by default"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HAZARDS: &str =
        "| H-1 | high | x | y | S3 | E4 | C2 | C | z |\n| H-2 | low | x | y | S3 | E3 | C2 | B | z |\n";
    const GOALS: &str =
        "## SG-1: Not too high\n- Hazards: H-1, H-2\n- ASIL: C\n- Safe state: open\n- FTTI: 4000 ms\n";
    const CODE: &str = "pub const fn check<T>(x: T) {}\n// fn only_said()\n#[test]\nfn works() {}\n#[test]\n#[ignore]\nfn long() {}\nfn helper() {}\n";

    const KINDS: &str =
        "faults! {\n    \"too high\", Cells, AWAKE,\n        [D::CellVoltageHighFatal], Anywhere;\n}\n";

    fn problems(hazards: &str, goals: &str, requirements: &str) -> Vec<String> {
        let documents =
            Documents::of([("hazards.md", hazards), ("goals.md", goals), ("requirements.md", requirements)]);
        let (trace, mut problems) = Trace::parse(&documents);
        problems.extend(trace.problems(&Sources::of([("a.rs", CODE), (CATALOG, KINDS)])));
        problems.retain(|p| !p.ends_with("belongs to no requirement"));
        problems
    }

    fn requirement(fields: &str) -> String {
        format!("### REQ-1 It is so\nText.\n- Goal: SG-1\n- Diagnoses: `CellVoltageHighFatal`\n{fields}")
    }

    const SOUND: &str = "- Code: `a.rs::check`\n- Tests: `a.rs::works`\n- Campaign: \"too high\"\n";

    #[test]
    fn a_sound_trace_has_no_problems_but_the_rest_of_the_table() {
        assert_eq!(problems(HAZARDS, GOALS, &requirement(SOUND)), Vec::<String>::new());
        let documents = Documents::of([("requirements.md", &*requirement(SOUND))]);
        let (trace, _) = Trace::parse(&documents);
        let homeless = trace.problems(&Sources::of([("a.rs", CODE)]));
        let homeless = homeless.iter().filter(|p| p.ends_with("belongs to no requirement"));
        assert_eq!(homeless.count(), TABLE.len() - 1);
    }

    #[test]
    fn everything_that_can_be_missing_is_noticed() {
        let req = requirement;
        let sound = req(SOUND);
        let cases: [(&str, &str, String, &str); 19] = [
            (
                "| H-1 | x | x | y | S3 | E4 | C3 | C | z |",
                GOALS,
                sound.clone(),
                "hazards.md: H-1 with S3 E4 C3 is not C",
            ),
            (
                HAZARDS,
                &GOALS.replace("ASIL: C", "ASIL: B"),
                sound.clone(),
                "SG-1: ASIL B, but its worst hazard is C",
            ),
            (
                HAZARDS,
                GOALS,
                req("- Code: `a.rs::gone`\n- Tests: `a.rs::works`"),
                "REQ-1: `a.rs::gone` is not defined there",
            ),
            (
                HAZARDS,
                GOALS,
                req("- Code: `a.rs::only_said`\n- Tests: `a.rs::works`"),
                "REQ-1: `a.rs::only_said` is not defined there",
            ),
            (HAZARDS, GOALS, req("- Code: `b.rs::check`\n- Tests: `a.rs::works`"), "REQ-1: no file `b.rs`"),
            (
                HAZARDS,
                GOALS,
                req("- Code: `a.rs::check`\n- Tests: `a.rs::gone`"),
                "REQ-1: no test `a.rs::gone`",
            ),
            (
                HAZARDS,
                GOALS,
                req("- Code: `a.rs::check`\n- Tests: `a.rs::helper`"),
                "REQ-1: `a.rs::helper` is not a test",
            ),
            (
                HAZARDS,
                GOALS,
                req("- Code: `a.rs::check`\n- Tests: `a.rs::long`"),
                "REQ-1: the test `a.rs::long` does not run by default",
            ),
            (HAZARDS, GOALS, req("- Code: `a.rs::check`"), "REQ-1 has no test"),
            (HAZARDS, GOALS, req("- Tests: `a.rs::works`"), "REQ-1 names no code"),
            (
                HAZARDS,
                GOALS,
                sound.replace("VoltageHighFatal", "Gone"),
                "REQ-1: `CellGone` is not in the diagnosis table",
            ),
            (HAZARDS, GOALS, sound.replace("SG-1", "SG-2"), "SG-1 has no requirement"),
            (
                HAZARDS,
                &GOALS.replace("4000", "5000"),
                sound.clone(),
                "SG-1: FTTI Some(5000) ms, but the table says Some(4000) ms",
            ),
            (HAZARDS, &GOALS.replace(", H-2", ""), sound.clone(), "H-2 has no safety goal"),
            ("", GOALS, sound.clone(), "SG-1 answers H-1, which is not in hazards.md"),
            (HAZARDS, GOALS, sound.replace("too high", "too low"), "REQ-1: the campaign has no \"too low\""),
            (
                HAZARDS,
                GOALS,
                sound.replace("too high", "too low"),
                "bms-sim/src/faults/catalog.rs: \"too high\" is in no requirement",
            ),
            (
                HAZARDS,
                GOALS,
                sound.replace("VoltageHighFatal", "VoltageLowFatal"),
                "REQ-1: none of its diagnoses answers \"too high\"",
            ),
            (HAZARDS, GOALS, format!("{sound}{sound}"), "requirements.md: REQ-1 is there twice"),
        ];
        for (hazards, goals, requirements, expected) in cases {
            let found = problems(hazards, goals, &requirements);
            assert!(found.iter().any(|p| p == expected), "{expected}: {found:?}");
        }
    }
}
