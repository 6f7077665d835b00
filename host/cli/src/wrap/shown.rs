//! What is shown of a config: never the values that may be keys.

use similar::TextDiff;

use super::document::{ConfigDocument, ConfigNode, NodeValue, TextEdit};
use super::entry::{SECRET_BLOCKS, ServerEntry};
use understudy::text::quoted;

/// What stands for a value that isn't shown.
const HIDDEN: &str = "…";

/// What an entry starts, in words.
pub(super) fn target(entry: &ServerEntry) -> String {
    if let Some(url) = entry.url() {
        // A query may hold a key.
        return quoted(url.split(['?', '#']).next().unwrap_or(url), 200);
    }
    let words = entry.words();
    let hidden = are_secret(words.iter().map(|word| Some(word.as_str())));
    let shown: Vec<&str> =
        words.iter().zip(hidden).map(|(word, is_hidden)| if is_hidden { HIDDEN } else { word.as_str() }).collect();
    quoted(&shown.join(" "), 200)
}

/// The difference between two texts of a config, as `diff -u` writes it.
pub(super) fn difference(path: &str, old: &ConfigDocument, new: &ConfigDocument) -> String {
    let (old, new) = (masked(old), masked(new));
    TextDiff::from_lines(&old, &new).unified_diff().context_radius(2).header(path, path).to_string()
}

/// The text with a mark in the place of each value that may be a key.
fn masked(document: &ConfigDocument) -> String {
    let mut edits = Vec::new();
    mask(document, &document.root, false, &mut edits);
    document.with(edits)
}

fn mask(document: &ConfigDocument, node: &ConfigNode, is_secret: bool, edits: &mut Vec<TextEdit>) {
    match &node.value {
        NodeValue::Table(members) => {
            for member in members {
                let is_block = SECRET_BLOCKS.contains(&member.key.as_str());
                // A server may be called so, too.
                let is_one = is_secret_name(&member.key) && member.node.members().is_none();
                mask(document, &member.node, is_secret || is_block || is_one, edits);
            }
        }
        NodeValue::List(items) => {
            let secret = are_secret(items.iter().map(ConfigNode::text));
            for (item, is_one) in items.iter().zip(secret) {
                mask(document, item, is_secret || is_one, edits);
            }
        }
        NodeValue::Text(_) | NodeValue::Other(_) if is_secret => {
            edits.push(TextEdit { at: node.span.clone(), text: document.quoted(HIDDEN) });
        }
        _ => {}
    }
}

/// Which words of a command may be keys: those behind an option of such a name, and `NAME=VALUE` of such a name.
fn are_secret<'a>(words: impl Iterator<Item = Option<&'a str>>) -> Vec<bool> {
    let mut is_next = false;
    let judged = words.map(|word| {
        let word = word.unwrap_or_default();
        let assigned = word.split_once(['=', ':']).is_some_and(|(name, _)| is_secret_name(name)) || has_password(word);
        let is_one = is_next || assigned;
        is_next = word.starts_with('-')
            && !word.contains('=')
            && (is_secret_name(word) || word.to_ascii_lowercase().contains("header"));
        is_one
    });
    judged.collect()
}

/// Whether a URL among the words has a password, as those of databases do.
fn has_password(word: &str) -> bool {
    let authority = word.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    authority.and_then(|authority| authority.split_once('@')).is_some_and(|(user, _)| user.contains(':'))
}

/// Whether what has this name may be a key.
fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 8] = ["key", "token", "secret", "password", "passwd", "credential", "authorization", "cookie"];
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::super::document::ConfigFormat;
    use super::*;

    #[test]
    fn a_difference_shows_no_value_that_may_be_a_key() {
        let text = r#"{
  "apiKey": "sk-1",
  "mcpServers": {
    "a": { "command": "npx", "args": ["--api-key", "sk-2", "-e", "TOKEN=sk-3", "--header", "X: sk-4", "shown", "db://u:sk-6@h/d"], "env": { "A": "sk-5" } }
  }
}
"#;
        let old = ConfigDocument::parse(ConfigFormat::Json, text.to_owned()).unwrap();
        let new = ConfigDocument::parse(ConfigFormat::Json, text.replace("npx", "uvx")).unwrap();
        let shown = difference("file", &old, &new);
        assert!(shown.contains("shown") && shown.contains("uvx") && shown.contains("\"apiKey\": \"…\""), "{shown}");
        for secret in ["sk-1", "sk-2", "sk-3", "sk-4", "sk-5", "sk-6"] {
            assert!(!shown.contains(secret), "{secret}: {shown}");
        }
        assert!(shown.starts_with("--- file\n+++ file\n@@ -2,5 +2,5 @@\n"), "{shown}");
    }
}
