//! The house is built as `host/ARCHITECTURE.md` says: held against the sources.
#![expect(clippy::panic, reason = "that is how a test reports")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use understudy_tests::sources::crates;

/// A module with this many modules below it has a table of them.
const MANY: usize = 5;

#[test]
fn no_top_module_knows_one_that_knows_it() {
    let mut report = String::new();
    for krate in crates() {
        let graph = krate.graph();
        let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for from in graph.keys() {
            let mut todo = vec![*from];
            while let Some(module) = todo.pop() {
                for to in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
                    if reached.entry(from).or_default().insert(to) {
                        todo.push(to);
                    }
                }
            }
        }
        let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
        for (from, tos) in &graph {
            for (to, places) in tos.iter().filter(|(to, _)| reaches(to, from)) {
                let _ = writeln!(report, "{}: `{from}` knows `{to}`, which knows `{from}`:", krate.folder);
                places.iter().for_each(|place| _ = writeln!(report, "    {place}"));
            }
        }
    }
    assert!(report.is_empty(), "modules in a cycle:\n{report}");
}

#[test]
fn every_table_of_modules_has_the_modules_that_there_are() {
    let mut report = String::new();
    for source in crates().iter().flat_map(|krate| &krate.sources) {
        let declared = source.declares();
        let table = source.text.lines().skip_while(|line| !line.starts_with("//! | module |"));
        let rows = table.map_while(|line| line.strip_prefix("//! | ")?.split('|').next());
        let named: BTreeSet<String> = rows.flat_map(backticked).collect();
        if named.is_empty() && declared.len() < MANY {
            continue;
        }
        for missing in declared.difference(&named) {
            let _ = writeln!(report, "{}: the table of modules lacks `{missing}`", source.path);
        }
        for gone in named.difference(&declared) {
            let _ = writeln!(report, "{}: the table of modules has `{gone}`, which is no module here", source.path);
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn one_place_renames_over_files() {
    const PLACE: &str = "/atomic_file.rs";
    let sources: Vec<_> = crates().into_iter().flat_map(|krate| krate.sources).collect();
    assert!(sources.iter().any(|source| source.path.ends_with(PLACE)), "it is gone");
    let renames =
        |code: &str| ["rename(", "rename_noreplace(", "renameat", "persist("].iter().any(|call| code.contains(call));
    let others = sources.iter().filter(|source| renames(&source.code) && !source.path.ends_with(PLACE));
    let others: Vec<&str> = others.map(|source| source.path.as_str()).collect();
    assert!(others.is_empty(), "these rename files by themselves, and not by `atomic_file::replace`: {others:?}");
}

/// What stands in backticks.
fn backticked(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
