//! The sources of the host, read as text: its crates, their modules, and the paths that each module names.
//!
//! A reader of tokens rather than a parser: comments and literals are blanked, items under `#[cfg(test)]` are left out, and what remains is
//! searched for paths (`crate::…`, `super::…`, `use` trees, and paths of other crates). Paths that only a macro makes up are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::peers::workspace;

/// A crate below `host/`.
#[derive(Debug)]
pub struct Crate {
    /// Its name as code writes it: `understudy`.
    pub name: String,
    /// Its folder, relative to the workspace.
    pub folder: String,
    /// The text of its `Cargo.toml`.
    pub manifest: String,
    /// Its source files, without those that only tests compile.
    pub sources: Vec<Source>,
}

/// A source file.
#[derive(Debug)]
pub struct Source {
    /// Its path, relative to the workspace.
    pub path: String,
    /// The module that it is: `["plugin", "engine"]`; empty for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    /// The file as it stands.
    pub text: String,
    /// The file with its comments, the contents of its literals, and its tests blanked; offsets are those of `text`.
    pub code: String,
}

/// A path that a source names.
#[derive(Debug, Clone)]
pub struct Named {
    /// Where: `host/src/sandbox.rs:12`.
    pub place: String,
    /// The path from the crate's root, or from another crate's name. A local name that begins a path is here as it stands.
    pub path: Vec<String>,
    /// Whether the path begins at the crate's own root.
    pub is_own: bool,
    /// The name that a `use` declaration gives it.
    pub alias: Option<String>,
}

/// The crates below `host/`, found by their `Cargo.toml`.
#[must_use]
pub fn crates() -> Vec<Crate> {
    let mut manifests = Vec::new();
    find_manifests(&workspace().join("host"), &mut manifests);
    manifests.sort();
    let found: Vec<Crate> = manifests.iter().map(|manifest| read_crate(manifest)).collect();
    assert!(!found.is_empty(), "there is no Cargo.toml below host/");
    found
}

fn find_manifests(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "src") && !name.starts_with('.') {
            find_manifests(&path, found);
        } else if name == "Cargo.toml" {
            found.push(path);
        }
    }
}

fn read_crate(manifest: &Path) -> Crate {
    let text = read(manifest);
    let folder = manifest.parent().unwrap_or(manifest);
    let mut files = Vec::new();
    find_sources(&folder.join("src"), &mut Vec::new(), &mut files);
    let tests: BTreeSet<Vec<String>> = files.iter().flat_map(|(_, module, text)| test_modules(module, text)).collect();
    let is_test = |module: &[String]| (1..=module.len()).any(|n| tests.contains(&module[..n]));
    let sources = files.into_iter().filter(|(_, module, _)| !is_test(module)).map(|(path, module, text)| {
        let code = without_tests(&blanked(&text));
        Source { path: relative(&path), module, text, code }
    });
    let sources = sources.collect();
    Crate { name: name_of(&text), folder: relative(folder), manifest: text, sources }
}

/// The name of a manifest's library, else of its package.
fn name_of(manifest: &str) -> String {
    let of = |section: &str| {
        let (_, rest) = manifest.split_once(&format!("[{section}]\n"))?;
        let lines = rest.lines().take_while(|line| !line.starts_with('['));
        let mut names = lines.filter_map(|line| line.strip_prefix("name = "));
        Some(names.next()?.trim_matches('"').replace('-', "_"))
    };
    of("lib").or_else(|| of("package")).unwrap_or_else(|| panic!("a crate without a name:\n{manifest}"))
}

fn find_sources(folder: &Path, module: &mut Vec<String>, found: &mut Vec<(PathBuf, Vec<String>, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        module.push(stem.clone());
        if path.is_dir() {
            find_sources(&path, module, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let is_root = module.len() == 1 && matches!(stem.as_str(), "lib" | "main");
            let (text, module) = (read(&path), if is_root { Vec::new() } else { module.clone() });
            found.push((path, module, text));
        }
        module.pop();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).to_string_lossy().into_owned()
}

/// The modules in files of their own that only tests compile.
fn test_modules(module: &[String], text: &str) -> Vec<Vec<String>> {
    let code = blanked(text);
    let after = code.split("#[cfg(test)]").skip(1);
    let declared = after.filter_map(|rest| declaration(rest.split_once(';')?.0));
    declared.map(|name| [module, &[name]].concat()).collect()
}

/// The name in `pub(super) mod name`, if that is all there is.
fn declaration(item: &str) -> Option<String> {
    let (visibility, name) = item.trim().rsplit_once("mod ")?;
    let is_visibility = visibility.is_empty() || visibility.starts_with("pub") && !visibility.contains(['{', '}']);
    (is_visibility && name.chars().all(is_word)).then(|| name.to_owned())
}

impl Source {
    /// The modules that this one declares in files of their own, but for tests.
    #[must_use]
    pub fn declares(&self) -> BTreeSet<String> {
        let statements = self.code.split([';', '}', ']']);
        statements.filter_map(declaration).collect()
    }

    /// The first module below the crate's root that this file belongs to; `None` for the root itself.
    #[must_use]
    pub fn top(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// All paths of more than one part that the code names.
    #[must_use]
    pub fn paths(&self) -> Vec<Named> {
        let tokens = tokens(&self.code);
        let ends: Vec<usize> = self.code.match_indices('\n').map(|(at, _)| at).collect();
        let (mut found, mut inline, mut depth) = (Vec::new(), Vec::<(String, usize)>::new(), 0);
        let mut i = 0;
        while i < tokens.len() {
            let text = tokens[i].text;
            match text {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inline.retain(|(_, at)| *at < depth);
                }
                "mod" if tokens.get(i + 2).is_some_and(|token| token.text == "{") => {
                    inline.push((tokens[i + 1].text.to_owned(), depth));
                }
                _ => {}
            }
            let begins = tokens.get(i + 1).is_some_and(|token| token.text == "::");
            let continues = i > 0 && tokens[i - 1].text == "::";
            if begins && !continues && text.starts_with(is_word) {
                let module: Vec<String> =
                    self.module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                let mut end = i;
                tree(&tokens, &mut end, &mut Vec::new(), &mut |path, alias, at| {
                    let line = ends.partition_point(|end| *end < at) + 1;
                    let (path, is_own) = absolute(&module, path);
                    found.push(Named { place: format!("{}:{line}", self.path), path, is_own, alias });
                });
                i = end.max(i + 1);
            } else {
                i += 1;
            }
        }
        found
    }
}

struct Token<'a> {
    text: &'a str,
    at: usize,
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            found.push(Token { text: &rest[..length], at });
        }
        at += length;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads a path, or a tree of paths as `use` has it, and moves `i` behind it.
fn tree<'a>(
    tokens: &[Token<'a>],
    i: &mut usize,
    before: &mut Vec<&'a str>,
    found: &mut impl FnMut(&[&str], Option<String>, usize),
) {
    let length = before.len();
    let at = tokens.get(*i).map_or(0, |token| token.at);
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    loop {
        match text(*i) {
            "{" => {
                *i += 1;
                while !matches!(text(*i), "}" | "") {
                    tree(tokens, i, before, found);
                    if text(*i) == "," {
                        *i += 1;
                    } else if text(*i) != "}" {
                        // It is no `use` declaration: a path before a block.
                        before.truncate(length);
                        return;
                    }
                }
                *i += 1;
                before.truncate(length);
                return;
            }
            word if word.starts_with(is_word) || word == "*" => {
                before.push(word);
                *i += 1;
            }
            _ => break,
        }
        if text(*i) != "::" {
            break;
        }
        *i += 1;
    }
    let alias = (text(*i) == "as").then(|| text(*i + 1).to_owned());
    if alias.is_some() {
        *i += 2;
    }
    if before.len() > length {
        found(before, alias, at);
    }
    before.truncate(length);
}

/// The path from the crate's root, if it is one of this crate's.
fn absolute(module: &[String], path: &[&str]) -> (Vec<String>, bool) {
    let mut base = match path.first() {
        Some(&"crate") => Vec::new(),
        Some(&("super" | "self")) => module.to_vec(),
        // What a crate's root names is its own module, or another crate.
        _ => return (path.iter().map(|part| (*part).to_owned()).collect(), false),
    };
    for part in path {
        match *part {
            "crate" | "self" => {}
            "super" => _ = base.pop(),
            part => base.push(part.to_owned()),
        }
    }
    (base, true)
}

/// The text with comments and the contents of literals as blanks, lines kept.
#[must_use]
pub fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let blank = |out: &mut String, piece: &str| {
        out.extend(piece.chars().flat_map(|c| std::iter::repeat_n(if c == '\n' { '\n' } else { ' ' }, c.len_utf8())));
    };
    while let Some(first) = rest.chars().next() {
        let is_in_word = out.ends_with(is_word);
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest, 0),
            'r' | 'b' | 'c' if !is_in_word && prefix(rest).is_some() => prefix(rest).unwrap_or(1),
            '\'' => character(rest),
            _ => 0,
        };
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            blank(&mut out, &rest[..length]);
            rest = &rest[length..];
        }
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string literal whose quotation mark is at `from`.
fn string(text: &str, from: usize) -> usize {
    let mut escaped = false;
    for (i, c) in text[from + 1..].char_indices() {
        match c {
            '"' if !escaped => return from + 1 + i + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of a literal with a prefix: `r"…"`, `br#"…"#`, `b"…"`, `b'…'`.
fn prefix(text: &str) -> Option<usize> {
    let letters = text.find(|c| !matches!(c, 'r' | 'b' | 'c'))?;
    if letters > 2 {
        return None;
    }
    let (is_raw, rest) = (text[..letters].contains('r'), &text[letters..]);
    if is_raw {
        let hashes = rest.find(|c| c != '#')?;
        let end = format!("\"{}", &rest[..hashes]);
        let body = rest[hashes..].strip_prefix('"')?;
        return Some(letters + hashes + 1 + body.find(&end).map_or(body.len(), |i| i + end.len()));
    }
    match rest.chars().next()? {
        '"' => Some(string(text, letters)),
        '\'' => Some(letters + character(rest)).filter(|length| *length > letters),
        _ => None,
    }
}

/// The length of a character literal, or none of a lifetime.
fn character(text: &str) -> usize {
    let mut rest = text[1..].chars();
    match (rest.next(), rest.next()) {
        (Some('\\'), Some(escaped)) => {
            let from = 2 + escaped.len_utf8();
            text[from..].find('\'').map_or(0, |i| from + i + 1)
        }
        (Some(c), Some('\'')) => 1 + c.len_utf8() + 1,
        _ => 0,
    }
}

/// Blanked code with the items blanked that only tests compile.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(begin) = rest.find(MARK) {
        let end = begin + MARK.len() + item(&rest[begin + MARK.len()..]);
        out.push_str(&rest[..begin]);
        out.extend(rest[begin..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The length of the item that the code begins with.
fn item(code: &str) -> usize {
    let is_use = code.trim_start().trim_start_matches("pub ").starts_with("use ");
    let mut depth = 0usize;
    for (i, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && !is_use {
                    return i + 1;
                }
            }
            ';' | ',' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    code.len()
}

impl Named {
    /// Whether this is, or is below, a module of any crate of ours or a crate of this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        let first = self.path.first().is_some_and(|first| *first == name.replace('-', "_"));
        // A module of another crate of ours is named behind that crate.
        first || !self.is_own && self.path.get(1).is_some_and(|second| second == name) && self.is_of_house()
    }

    fn is_of_house(&self) -> bool {
        self.path.first().is_some_and(|first| first.starts_with("understudy") || first == "mcp")
    }
}

impl Crate {
    /// The modules below the crate's root.
    #[must_use]
    pub fn tops(&self) -> BTreeSet<&str> {
        self.sources.iter().filter_map(Source::top).collect()
    }

    /// What a source names, with the crate's own re-exports as the modules that they are from.
    #[must_use]
    pub fn known_by(&self, source: &Source) -> Vec<Named> {
        let (tops, exported, mut all) = (self.tops(), self.exported(), source.paths());
        // Without `crate::` in front it is a child of the module that names it, which is called alike.
        all.retain(|named| named.is_own || !named.path.first().is_some_and(|first| tops.contains(first.as_str())));
        for named in all.iter_mut().filter(|named| named.is_own) {
            if let Some(module) = named.path.first().and_then(|first| exported.get(first)) {
                named.path.insert(0, module.clone());
            }
        }
        all
    }

    /// Where each top module names each other one.
    #[must_use]
    pub fn graph(&self) -> BTreeMap<&str, BTreeMap<&str, Vec<String>>> {
        let tops = self.tops();
        let exported = self.exported();
        let mut graph: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
        for source in &self.sources {
            let Some(from) = source.top() else { continue };
            for named in source.paths().into_iter().filter(|named| named.is_own) {
                let Some(first) = named.path.first() else { continue };
                let first = exported.get(first).unwrap_or(first);
                let Some(to) = tops.get(first.as_str()).filter(|to| **to != from) else { continue };
                graph.entry(from).or_default().entry(to).or_default().push(named.place);
            }
        }
        graph
    }

    /// The names that the crate's root has from its modules: which module each is from.
    fn exported(&self) -> BTreeMap<String, String> {
        let tops = self.tops();
        let roots = self.sources.iter().filter(|source| source.module.is_empty());
        let paths = roots.flat_map(Source::paths).filter_map(|named| {
            let (module, leaf) = (named.path.first()?.clone(), named.path.last()?.clone());
            let is_of_module = named.path.len() > 1 && tops.contains(module.as_str());
            let name = named.alias.unwrap_or(leaf);
            (is_of_module && !tops.contains(name.as_str())).then_some((name, module))
        });
        paths.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(module: &[&str], text: &str) -> Source {
        let module = module.iter().map(|part| (*part).to_owned()).collect();
        Source { path: "x.rs".to_owned(), module, text: text.to_owned(), code: without_tests(&blanked(text)) }
    }

    fn paths(module: &[&str], text: &str) -> Vec<String> {
        let shown = |named: Named| format!("{}{}", if named.is_own { "::" } else { "" }, named.path.join("::"));
        source(module, text).paths().into_iter().map(shown).collect()
    }

    #[test]
    fn comments_literals_and_tests_name_nothing() {
        let text = concat!(
            "// crate::a::b\n/* crate::a /* x */ crate::b */ fn f<'a>(c: char) -> &'a str {\n",
            "  let _ = ('\"', '\\'', b'x', r#\"crate::a \" \"#, b\"\\\" crate::a\");\n  crate::c::d()\n}\n",
            "#[cfg(test)]\nuse crate::e::{F, G};\n#[cfg(test)]\nmod tests { use crate::h::I; }\nfn g() -> crate::j::K {}\n",
        );
        assert_eq!(blanked(text).len(), text.len());
        assert_eq!(paths(&["m"], text), ["::c::d", "::j::K"]);
        let places: Vec<String> = source(&["m"], text).paths().into_iter().map(|named| named.place).collect();
        assert_eq!(places, ["x.rs:4", "x.rs:10"]);
    }

    #[test]
    fn trees_of_use_and_parents_are_resolved() {
        assert_eq!(
            paths(&["m", "n"], "use crate::{a::{self, B}, c as d}; use super::{e, super::f::G}; use serde::de::Error;"),
            ["::a", "::a::B", "::c", "::m::e", "::f::G", "serde::de::Error"]
        );
        assert_eq!(
            paths(&["m"], "mod inner { use super::super::a::B; } fn f() { match x { super::b::C {} => {} } }"),
            ["::a::B", "::b::C"]
        );
    }

    #[test]
    fn modules_in_files_of_their_own_are_known_and_those_of_tests_are_told_apart() {
        let text = "mod a;\npub(crate) mod b;\n#[cfg(test)]\nmod tests;\nmod inline { fn f() {} }\npub mod c;";
        let declared: Vec<String> = source(&["m"], text).declares().into_iter().collect();
        assert_eq!(declared, ["a", "b", "c"]);
        assert_eq!(test_modules(&["m".to_owned()], text), [["m", "tests"]]);
    }
}
