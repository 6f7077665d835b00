//! Tool names that the API doesn't allow.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use understudy_plugin::types::{ContentBlock, CreateMessageRequest};

/// OpenAI: "Must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64"
/// (`types/shared_params/function_definition.py`). MCP also allows dots, and 128 characters.
const MOST_CHARACTERS: usize = 64;

/// The names that had to be changed: MCP's, and what they are on the wire.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Names {
    changed: BTreeMap<String, String>,
}

impl Names {
    /// Looks through the tools and the conversation. The names on the wire are as different from each other as MCP's.
    pub(super) fn of(request: &CreateMessageRequest) -> Self {
        let used = request.messages.iter().flat_map(|message| &message.content).filter_map(|block| match block {
            ContentBlock::ToolUse(tool_use) => Some(tool_use.name.as_str()),
            _ => None,
        });
        let names = request.tools.iter().flatten().map(|tool| tool.name.as_str()).chain(used);
        let (fine, odd): (BTreeSet<&str>, BTreeSet<&str>) = names.partition(|name| is_allowed(name));
        let mut taken: BTreeSet<String> = fine.into_iter().map(str::to_owned).collect();
        let mut changed = BTreeMap::new();
        for name in odd {
            let wire = free_name(name, &taken);
            taken.insert(wire.clone());
            changed.insert(name.to_owned(), wire);
        }
        Self { changed }
    }

    /// What the name is on the wire.
    pub(super) fn on_the_wire<'a>(&'a self, name: &'a str) -> &'a str {
        self.changed.get(name).map_or(name, String::as_str)
    }

    /// MCP's name for one that came back.
    pub(super) fn in_mcp(&self, wire: String) -> String {
        self.changed.iter().find(|(_, changed)| **changed == wire).map_or(wire, |(name, _)| name.clone())
    }
}

fn is_allowed_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_allowed(name: &str) -> bool {
    !name.is_empty() && name.len() <= MOST_CHARACTERS && name.chars().all(is_allowed_character)
}

fn free_name(name: &str, taken: &BTreeSet<String>) -> String {
    let plain: String =
        name.chars().map(|c| if is_allowed_character(c) { c } else { '_' }).take(MOST_CHARACTERS).collect();
    if !plain.is_empty() && !taken.contains(&plain) {
        return plain;
    }
    // There are more numbers than names, so one of them is free.
    (2..=taken.len() + 2)
        .map(|n| {
            let suffix = format!("_{n}");
            let room = MOST_CHARACTERS - suffix.len();
            plain.chars().take(room).chain(suffix.chars()).collect::<String>()
        })
        .find(|candidate| !taken.contains(candidate))
        .unwrap_or(plain)
}
