//! What tests need to know of Markdown: the repository's files, their headings, links and lines. No full parser: fences, code
//! spans, tables and inline links, as our own documents use them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::peers::workspace;

/// All Markdown files of the repository, sorted.
#[must_use]
pub fn files() -> Vec<PathBuf> {
    files_of(&workspace(), "md")
}

/// The files in a folder and below it with this ending, sorted, without build output and other people's packages.
#[must_use]
pub fn files_of(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(folder, ending, &mut found);
    found.sort();
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

/// The lines outside of code blocks, with their numbers from 1.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(n, line)| {
        let start = line.trim_start();
        let marks = &start[..start.len() - start.trim_start_matches('`').len()];
        match fence {
            Some(open) if marks.len() >= open.len() && start.trim() == marks => fence = None,
            Some(_) => {}
            None if marks.len() >= 3 => fence = Some(marks),
            None => return Some((n + 1, line)),
        }
        None
    })
}

/// The code blocks of a language.
#[must_use]
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    text.split(&begin).skip(1).filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned())).collect()
}

/// A text's parts, in order: whether each is a code span, and what it holds.
#[must_use]
pub fn spans(text: &str) -> Vec<(bool, &str)> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('`') {
        let (before, from) = rest.split_at(start);
        let marks = from.len() - from.trim_start_matches('`').len();
        let inside = &from[marks..];
        let Some(length) = closing(inside, marks) else { break };
        parts.push((false, before));
        parts.push((true, &inside[..length]));
        rest = &inside[length + marks..];
    }
    parts.push((false, rest));
    parts
}

/// Where a code span that begins with so many marks ends.
fn closing(text: &str, marks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        if run == marks {
            return Some(start);
        }
        at = start + run;
    }
    None
}

/// The targets of inline links and images.
#[must_use]
pub fn links(text: &str) -> Vec<String> {
    let prose: Vec<&str> = lines(text).map(|(_, line)| line).collect();
    let prose = prose.join("\n");
    let plain: String = spans(&prose).iter().map(|(is_code, part)| if *is_code { "`" } else { *part }).collect();
    plain.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The anchors of a document's headings, as GitHub and mdBook make them.
#[must_use]
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in lines(text).filter_map(|(_, line)| heading(line)) {
        let plain = heading.to_lowercase();
        let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut anchor = slug.clone();
        for n in 1.. {
            if anchors.insert(anchor.clone()) {
                break;
            }
            anchor = format!("{slug}-{n}");
        }
    }
    anchors
}

/// The text of a heading.
fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    (1..=6).contains(&level).then(|| text.strip_prefix(' ')).flatten().map(str::trim)
}

/// Lines of prose that are longer than this, with their numbers. A line that is one word or one link can't be broken.
#[must_use]
pub fn too_long(text: &str, most: usize) -> Vec<usize> {
    let long = lines(text).filter(|(_, line)| {
        let words = line.trim_start().trim_start_matches(['-', '*', '>']).trim();
        let is_link = words.starts_with('[') && words.ends_with(')') && words.matches("](").count() == 1;
        let is_table = words.starts_with('|');
        line.chars().count() > most && words.contains(' ') && !is_link && !is_table
    });
    long.map(|(n, _)| n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_anchors_are_found_outside_of_code() {
        let text = "# `a.*`: b, c\n\n[x](y.md#z), `[no](no)`, ``a `[no](no)` b``\n```text\n# no\n[no](no)\n```\n## A b\n## A b\n";
        assert_eq!(links(text), ["y.md#z"]);
        assert_eq!(anchors(text).into_iter().collect::<Vec<_>>(), ["a-b", "a-b-1", "a-b-c"]);
    }

    #[test]
    fn only_prose_that_can_be_broken_is_too_long() {
        let word = "x".repeat(20);
        assert_eq!(too_long(&format!("a {word}\n- {word}\n| a {word} |\n```\na {word}\n```\n{word} b"), 10), [1, 7]);
    }
}
