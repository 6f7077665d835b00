//! The house is built as `host/ARCHITECTURE.md` says: held against the sources.
#![expect(clippy::panic, reason = "that is how a test reports")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use understudy_tests::peers::workspace;
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
                for place in places {
                    let _ = writeln!(report, "    {place}");
                }
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
        let is_inline = |name: &str| {
            [format!("mod {name} {{"), format!(" as {name};")].iter().any(|code| source.code.contains(code))
        };
        for gone in named.difference(&declared).filter(|name| !is_inline(name)) {
            let _ = writeln!(report, "{}: the table of modules has `{gone}`, which is no module here", source.path);
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// A row of the table in `host/ARCHITECTURE.md`.
struct Row {
    modules: Vec<String>,
    forbidden: Vec<String>,
}

/// The table with the columns `Module | Purpose | Must not know`.
fn table() -> Vec<Row> {
    let path = workspace().join("host/ARCHITECTURE.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().skip_while(|line| !line.starts_with("| Module | Purpose | Must not know |")).skip(2);
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let cell = |i: usize| cells.get(i).copied().map(backticked).unwrap_or_default();
        Row { modules: cell(0), forbidden: cell(cells.len() - 1) }
    };
    lines.take_while(|line| line.starts_with("| ")).map(row).collect()
}

#[test]
fn no_module_knows_what_the_architecture_says_it_must_not() {
    let (crates, table, mut report) = (crates(), table(), String::new());
    let is_module = |name: &str| crates.iter().any(|krate| krate.tops().contains(name));
    let is_crate = |name: &str| {
        let name = name.replace('-', "_");
        crates
            .iter()
            .any(|krate| krate.name == name || krate.folder == name || krate.manifest.replace('-', "_").contains(&name))
    };
    for name in table.iter().flat_map(|row| row.modules.iter().chain(&row.forbidden)) {
        if !is_module(name) && !is_crate(name) {
            let _ = writeln!(report, "`{name}` is no module of a crate below host/, and no dependency");
        }
    }
    for krate in &crates {
        for module in krate.tops() {
            let rows_of = |names: &[String]| -> Vec<&Row> {
                table.iter().filter(|row| row.modules.iter().any(|own| names.contains(own))).collect()
            };
            // A crate with a row of its own needs none for its modules.
            let of_crate = rows_of(&[krate.name.clone(), krate.name.replace('_', "-"), krate.folder.clone()]);
            let rows = if of_crate.is_empty() { rows_of(&[module.to_owned()]) } else { of_crate };
            if rows.is_empty() {
                let _ = writeln!(report, "{}: the table has no row for `{module}`", krate.folder);
            }
            for forbidden in rows.iter().flat_map(|row| &row.forbidden).filter(|name| *name != module) {
                for source in krate.sources.iter().filter(|source| source.top() == Some(module)) {
                    for named in krate.known_by(source).into_iter().filter(|named| named.is(forbidden)) {
                        let place = named.place;
                        let _ = writeln!(report, "{place}: `{module}` must not know `{forbidden}`");
                    }
                }
            }
        }
    }
    assert!(table.len() > 10, "the table in host/ARCHITECTURE.md is gone");
    assert!(report.is_empty(), "\n{report}");
}

/// Type names that a crate defines more than once, and why that is no second meaning.
const DEFINED_TWICE: [(&str, &str); 4] = [
    ("Reference", "`no_registry` stands in for `reference` in builds without the feature `registry`"),
    ("Ledger", "`ledger/absent` stands in for `ledger/store` in builds without the feature `ledger`"),
    ("LedgerError", "the same"),
    ("OpenRow", "`ledger/absent` stands in for `ledger/reserve` in builds without the feature `ledger`"),
];

#[test]
fn a_type_name_has_one_meaning_in_a_crate() {
    let mut report = String::new();
    for krate in crates() {
        let mut defined: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for source in &krate.sources {
            for name in source.code.lines().filter_map(type_name) {
                defined.entry(name.to_owned()).or_default().push(&source.path);
            }
        }
        let is_known = |name: &str| DEFINED_TWICE.iter().any(|(known, _)| *known == name);
        for (name, places) in defined.iter().filter(|(name, places)| places.len() > 1 && !is_known(name)) {
            let _ = writeln!(report, "{}: `{name}` is defined in {}", krate.folder, places.join(", "));
        }
    }
    assert!(report.is_empty(), "types of different meaning have one name:\n{report}");
}

/// The name of the type that a line at a module's top level begins to define.
fn type_name(line: &str) -> Option<&str> {
    let public = line.strip_prefix("pub").map(|rest| rest.split_once(") ").map_or(rest, |(_, rest)| rest).trim_start());
    let item = public.unwrap_or(line);
    let rest =
        ["struct ", "enum ", "union ", "trait ", "type "].iter().find_map(|keyword| item.strip_prefix(keyword))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().filter(|name| !name.is_empty())
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

/// The texts of the constants in one of the vocabulary's files.
fn constants(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join("host/mcp/src").join(file)).unwrap_or_else(|e| panic!("{e}"));
    let values = text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""));
    values.filter_map(|(_, value)| Some(value.strip_suffix("\";")?.to_owned())).collect()
}

/// The string literals of a line, and what is between them.
fn literals(line: &str) -> (Vec<String>, String) {
    let (mut inside, mut outside, mut text) = (Vec::new(), String::new(), None::<String>);
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match (&mut text, c) {
            (Some(literal), '\\') => {
                literal.push('\\');
                literal.extend(rest.next());
            }
            (Some(_), '"') => inside.extend(text.take()),
            (Some(literal), c) => literal.push(c),
            (None, '"') => text = Some(String::new()),
            (None, c) => outside.push(c),
        }
    }
    // A literal that goes on on the next line.
    inside.extend(text);
    (inside, outside)
}

/// Whether a text holds a number like -32600.
fn has_code(text: &str) -> bool {
    text.split("-32").skip(1).any(|rest| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits == 3
    })
}

/// The lines of a file that the product is made of: without comments, and up to its tests.
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = product.lines().enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn no_code_and_no_name_of_the_protocol_is_written_outside_its_vocabulary() {
    let names: Vec<String> =
        ["method.rs", "notification.rs", "revision.rs", "meta.rs"].into_iter().flat_map(constants).collect();
    let headers: Vec<String> = constants("header.rs");
    assert!(names.len() > 40 && headers.len() > 5, "{} {}", names.len(), headers.len());
    // Others are plain words (`ping`), or keys of other objects as well (`progressToken`).
    let is_unmistakable = |name: &str| name.contains(['/', '-']) || name == "initialize";
    let is_name = |literal: &str| names.iter().any(|name| name == literal && is_unmistakable(name));
    let is_header = |literal: &str| headers.iter().any(|name| name.eq_ignore_ascii_case(literal));
    let is_of_protocol = |literal: &String| {
        let is_key = literal.starts_with("io.modelcontextprotocol");
        let is_json = literal.contains("jsonrpc") || literal.contains("\\\"method\\\"");
        is_name(literal) || is_header(literal) || is_key || is_json
    };
    let mut found = Vec::new();
    for source in crates().iter().filter(|krate| krate.name != "mcp").flat_map(|krate| &krate.sources) {
        for (n, line) in product_lines(&source.text) {
            let (inside, outside) = literals(line);
            if has_code(&outside) || inside.iter().any(is_of_protocol) {
                found.push(format!("{}:{n}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "write these as names of `host/mcp`:\n{}", found.join("\n"));
}

/// What stands in backticks.
fn backticked(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
