//! Tool names that a provider doesn't allow.
//!
//! MCP's names hold letters, digits, `_`, `-`, `.` and more, 128 characters of them; many providers take less.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::blocks::tool_uses_of;
use crate::types::CreateMessageRequest;

/// What a provider allows.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Whether a name may begin with it.
    pub begins: fn(char) -> bool,
    /// Whether a name may hold it.
    pub holds: fn(char) -> bool,
    /// The most characters. At least 8.
    pub longest: usize,
}

impl Rule {
    fn allows(&self, name: &str) -> bool {
        name.starts_with(self.begins) && name.chars().count() <= self.longest && name.chars().all(self.holds)
    }

    /// The names that must be changed, and what they become: as different from each other as they were.
    pub(crate) fn renamed<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
        let (fine, odd): (BTreeSet<&str>, BTreeSet<&str>) = names.into_iter().partition(|name| self.allows(name));
        let mut taken: BTreeSet<String> = fine.into_iter().map(str::to_owned).collect();
        let mut changed = BTreeMap::new();
        for name in odd {
            let wire = self.fit(name, &taken);
            taken.insert(wire.clone());
            changed.insert(name.to_owned(), wire);
        }
        changed
    }

    /// A name that is allowed and not taken, as near to `name` as may be.
    fn fit(&self, name: &str, taken: &BTreeSet<String>) -> String {
        let prefix = if name.starts_with(self.begins) { "" } else { "_" };
        let fitting = name.chars().map(|c| if (self.holds)(c) { c } else { '_' });
        let plain: String = prefix.chars().chain(fitting).take(self.longest).collect();
        if !taken.contains(&plain) {
            return plain;
        }
        // There are more numbers than names, so one of them is free.
        (2..=taken.len() + 2)
            .map(|n| {
                let suffix = format!("_{n}");
                let room = self.longest.saturating_sub(suffix.len());
                plain.chars().take(room).chain(suffix.chars()).collect::<String>()
            })
            .find(|candidate| !taken.contains(candidate))
            .unwrap_or(plain)
    }
}

/// The names that had to be changed: MCP's, and what they are on the wire. Part of a plugin's state.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names {
    changed: BTreeMap<String, String>,
}

impl Names {
    /// Looks through the tools and the conversation. The names on the wire are as different from each other as MCP's.
    #[must_use]
    pub fn of(request: &CreateMessageRequest, rule: &Rule) -> Self {
        let used = tool_uses_of(request).map(|tool_use| tool_use.name.as_str());
        let names = request.tools.iter().flatten().map(|tool| tool.name.as_str()).chain(used);
        Self { changed: rule.renamed(names) }
    }

    /// What the name is on the wire.
    #[must_use]
    pub fn on_the_wire<'a>(&'a self, name: &'a str) -> &'a str {
        self.changed.get(name).map_or(name, String::as_str)
    }

    /// MCP's name for one that came back.
    #[must_use]
    pub fn in_mcp(&self, wire: String) -> String {
        self.changed.iter().find(|(_, changed)| **changed == wire).map_or(wire, |(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_changed_no_more_than_needed() {
        let rule = Rule {
            begins: |c| c.is_ascii_alphabetic() || c == '_',
            holds: |c| c.is_ascii_alphanumeric() || c == '_',
            longest: 8,
        };
        let taken = BTreeSet::from(["a_b".to_owned(), "a_b_2".to_owned(), "abcdefgh".to_owned()]);
        assert!(rule.allows("a_b"));
        for name in ["", "1a", "a.b", "abcdefghi", "ä"] {
            assert!(!rule.allows(name), "{name}");
        }
        assert_eq!(rule.fit("a.b", &taken), "a_b_3");
        assert_eq!(rule.fit("abcdefghi", &taken), "abcdef_2");
        assert_eq!(rule.fit("1a", &taken), "_1a");
        assert_eq!(rule.fit("", &taken), "_");
    }
}
