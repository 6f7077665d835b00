//! The protocol's names and codes are written in one place, `host/mcp`: nowhere else in the host does a literal stand for one.
#![expect(clippy::panic, reason = "that is how a test reports")]

use std::path::{Path, PathBuf};

use understudy_tests::peers::workspace;

/// The files of a folder, and of those in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap_or_else(|e| panic!("{e}")).path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The texts of the constants in one of the vocabulary's files.
fn constants(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join("host/mcp/src").join(file)).unwrap_or_else(|e| panic!("{e}"));
    let values = text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str = \""));
    values.filter_map(|(_, value)| Some(value.strip_suffix("\";")?.to_owned())).collect()
}

/// The code of a file that runs in the product: without comments, and up to its tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = product.lines().enumerate().map(|(n, line)| (n + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
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
    let is_whole = |literal: &str| {
        is_name(literal)
            || is_header(literal)
            || literal.starts_with("io.modelcontextprotocol")
            || literal.contains("jsonrpc")
    };
    let mut found = Vec::new();
    for file in files(&workspace().join("host")) {
        let shown = file.strip_prefix(workspace()).unwrap_or(&file).display().to_string();
        let is_product = shown.ends_with(".rs") && !shown.starts_with("host/mcp/") && !shown.ends_with("tests.rs");
        if !is_product {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{shown}: {e}"));
        for (n, line) in code(&text) {
            let (inside, outside) = literals(line);
            if has_code(&outside)
                || inside.iter().any(|literal| is_whole(literal) || literal.contains("\\\"method\\\""))
            {
                found.push(format!("{shown}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "write these as names of `host/mcp`:\n{}", found.join("\n"));
}
