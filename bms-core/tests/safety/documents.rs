//! The Markdown files and their generated parts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// Every file of the folder by name.
pub(crate) struct Documents(BTreeMap<String, String>);

/// A text split at its generated parts: what is before each, its name, what is inside; and what is left at the end.
struct Parts<'a> {
    parts: Vec<(&'a str, &'a str, &'a str)>,
    rest: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(begin) = rest.find(BEGIN) {
        let name_at = begin + BEGIN.len();
        let broken =
            || format!("a generated part has no end: {}", &rest[begin..].lines().next().unwrap_or(""));
        let name_len = rest[name_at..].find(" -->").ok_or_else(broken)?;
        let inside = name_at + name_len + " -->".len();
        let len = rest[inside..].find(END).ok_or_else(broken)?;
        parts.push((&rest[..begin], &rest[name_at..name_at + name_len], &rest[inside..inside + len]));
        rest = &rest[inside + len + END.len()..];
    }
    Ok(Parts { parts, rest })
}

impl Documents {
    /// Reads a folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).expect("the documents are in the repository");
        let paths = entries.map(|e| e.expect("a readable folder").path());
        let markdown = paths.filter(|p| p.extension().is_some_and(|e| e == "md"));
        Self(
            markdown
                .map(|p| {
                    let name = p.file_name().expect("a file").to_string_lossy().into_owned();
                    (name, fs::read_to_string(&p).expect("readable text"))
                })
                .collect(),
        )
    }

    /// Documents that are given, for tests.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.map(|(name, text)| (name.to_owned(), text.to_owned())).into())
    }

    /// One file, empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Generated parts that are not what the generators say, and generators without a part.
    pub(crate) fn out_of_step(&self, generated: &[(&str, String)]) -> Vec<String> {
        let (mut problems, mut seen) = (Vec::new(), Vec::new());
        for (file, text) in &self.0 {
            match split(text) {
                Err(e) => problems.push(format!("{file}: {e}")),
                Ok(split) => {
                    for (_, name, inside) in split.parts {
                        seen.push(name);
                        match generated.iter().find(|(n, _)| *n == name) {
                            None => problems.push(format!("{file}: nothing generates `{name}`")),
                            Some((_, new)) if inside.trim() != new.trim() => {
                                problems.push(format!("{file}: `{name}` is not what the code says"));
                            }
                            Some(_) => {}
                        }
                    }
                }
            }
        }
        let unused = generated.iter().filter(|(name, _)| !seen.contains(name));
        problems.extend(unused.map(|(name, _)| format!("no document has a part `{name}`")));
        problems
    }

    /// Writes the generated parts anew.
    pub(crate) fn bless(&self, folder: &Path, generated: &[(&str, String)]) {
        for (file, text) in &self.0 {
            let split = split(text).unwrap_or_else(|e| panic!("{file}: {e}"));
            let mut new = String::new();
            for (before, name, inside) in &split.parts {
                let content =
                    generated.iter().find(|(n, _)| n == name).map_or(inside.trim(), |(_, g)| g.trim());
                new.push_str(&format!("{before}{BEGIN}{name} -->\n{content}\n{END}"));
            }
            new.push_str(split.rest);
            if new != *text {
                fs::write(folder.join(file), new).expect("a writable folder");
            }
        }
    }

    /// Links to files that are not there.
    pub(crate) fn broken_links(&self, folder: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        for (file, text) in &self.0 {
            for rest in text.split("](").skip(1) {
                let link = rest.split(')').next().unwrap_or("");
                let path = link.split('#').next().unwrap_or("");
                let outside = link.starts_with("http");
                if !outside && !path.is_empty() && !folder.join(path).exists() {
                    problems.push(format!("{file}: link to `{link}`, which is not there"));
                }
            }
        }
        problems
    }
}

#[test]
fn a_stale_a_nameless_and_a_missing_part_are_noticed() {
    let text = "a <!-- generated: x -->\n1\n<!-- end --> b <!-- generated: z -->\n1\n<!-- end -->";
    let documents = Documents::of([("a.md", text)]);
    let new = [("x", "1".to_owned()), ("z", "2".to_owned()), ("y", "3".to_owned())];
    let problems = documents.out_of_step(&new);
    assert_eq!(problems, ["a.md: `z` is not what the code says", "no document has a part `y`"]);
    assert_eq!(documents.out_of_step(&new[..1]), ["a.md: nothing generates `z`"]);
    let open = Documents::of([("a.md", "<!-- generated: x -->\n1")]);
    assert_eq!(open.out_of_step(&[]).len(), 1);
}

#[test]
fn a_dead_link_is_noticed() {
    let documents = Documents::of([("a.md", "[x](nowhere.md#there) [y](#here) [z](https://example.org)")]);
    assert_eq!(documents.broken_links(Path::new(".")).len(), 1);
}
