//! Ids of tool calls that a provider doesn't allow, as [`names`](crate::names) are names of tools.
//!
//! A conversation can hold the ids of any provider: chains and hints change the provider, and servers keep conversations.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{ContentBlock, CreateMessageRequest};

/// What a provider allows.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Whether an id may hold it.
    pub holds: fn(char) -> bool,
    /// The most characters. At least 8.
    pub longest: usize,
    /// Whether each id has just as many characters.
    pub is_exact: bool,
}

impl Rule {
    /// Letters, digits, `_` and `-`, as most providers allow.
    pub const WORD: Self = Self { holds: is_word, longest: 64, is_exact: false };
    /// Mistral's: nine letters and digits.
    pub const NINE: Self = Self { holds: is_alphanumeric, longest: 9, is_exact: true };

    fn allows(&self, id: &str) -> bool {
        let length = id.chars().count();
        let fits = if self.is_exact { length == self.longest } else { length <= self.longest };
        fits && length > 0 && id.chars().all(self.holds)
    }

    /// An id that is allowed and not taken, made of this one: always the same one, so that what a provider keeps of a conversation
    /// stays valid.
    fn fit(&self, id: &str, taken: &BTreeSet<String>) -> String {
        let plain: String = id.chars().map(|c| if (self.holds)(c) { c } else { '_' }).collect();
        if self.allows(&plain) && !taken.contains(&plain) {
            return plain;
        }
        // There are more numbers than ids, so one of them is free.
        let candidates = (0..=taken.len()).map(|n| self.made(&plain, id, n));
        candidates.into_iter().find(|made| !taken.contains(made)).unwrap_or(plain)
    }

    /// As much of the plain id as there is room for, and a digest of the whole one.
    fn made(&self, plain: &str, id: &str, n: usize) -> String {
        let digest = digest(id, n);
        let digest = digest.get(..self.longest.min(digest.len())).unwrap_or(&digest);
        let room = self.longest.saturating_sub(digest.len() + 1);
        if self.is_exact || room == 0 {
            return digest.to_owned();
        }
        plain.chars().take(room).chain(['_']).chain(digest.chars()).collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn is_alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

/// Nine letters and digits by FNV-1a.
fn digest(id: &str, n: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    // As many bytes in wasm as natively.
    for byte in id.bytes().chain((n as u64).to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut digits = String::with_capacity(9);
    for _ in 0..9 {
        let digit = usize::try_from(hash % 36).ok().and_then(|at| DIGITS.get(at));
        digits.push(digit.map_or('0', |digit| char::from(*digit)));
        hash /= 36;
    }
    digits
}

/// The ids that had to be changed: what they are on the wire, and from which message on. An id that a conversation uses again in a
/// later turn, as MCP allows, is another one on the wire, as most providers want.
#[derive(Debug, Default)]
pub struct Ids {
    changed: BTreeMap<String, Vec<(usize, String)>>,
}

impl Ids {
    /// Looks through the conversation.
    #[must_use]
    pub fn of(request: &CreateMessageRequest, rule: &Rule) -> Self {
        let uses = || {
            let blocks = request.messages.iter().enumerate().flat_map(|(i, m)| m.content.iter().map(move |b| (i, b)));
            blocks.filter_map(|(i, block)| match block {
                ContentBlock::ToolUse(tool_use) => Some((i, tool_use.id.as_str())),
                _ => None,
            })
        };
        let mut taken: BTreeSet<String> =
            uses().filter(|(_, id)| rule.allows(id)).map(|(_, id)| id.to_owned()).collect();
        let mut seen = BTreeSet::new();
        let mut changed: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
        for (message, id) in uses() {
            if seen.insert(id) && rule.allows(id) {
                continue;
            }
            let wire = rule.fit(id, &taken);
            taken.insert(wire.clone());
            changed.entry(id.to_owned()).or_default().push((message, wire));
        }
        Self { changed }
    }

    /// What the id of a tool use, or of the tool result that answers it, is on the wire. `message`: the index of the message that it
    /// stands in.
    #[must_use]
    pub fn on_the_wire<'a>(&'a self, id: &'a str, message: usize) -> &'a str {
        let uses = self.changed.get(id).into_iter().flatten().rev();
        uses.into_iter().find(|(from, _)| *from <= message).map_or(id, |(_, wire)| wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::NO_EXTRAS;
    use crate::types::{Role, SamplingMessage, ToolUseContent};

    fn conversation(turns: &[&[&str]]) -> CreateMessageRequest {
        let use_of = |id: &&str| {
            let (id, name, input) = ((*id).to_owned(), "t".to_owned(), "{}".to_owned());
            ContentBlock::ToolUse(ToolUseContent { id, name, input, extras: NO_EXTRAS })
        };
        let message = |ids: &&[&str]| SamplingMessage {
            role: Role::Assistant,
            content: ids.iter().map(use_of).collect(),
            meta: None,
            extensions: None,
        };
        CreateMessageRequest {
            messages: turns.iter().map(message).collect(),
            max_tokens: 1,
            model_preferences: None,
            system_prompt: None,
            include_context: None,
            temperature: None,
            stop_sequences: Vec::new(),
            metadata: None,
            tools: None,
            tool_choice: None,
            meta: None,
            extensions: "{}".to_owned(),
        }
    }

    #[test]
    fn ids_are_changed_no_more_than_needed() {
        let long = "x".repeat(65);
        let request = conversation(&[&["functions.t:0", "functions_t_0", "call-1", ""], &[&long, "call-1"]]);
        let ids = Ids::of(&request, &Rule::WORD);
        assert_eq!(ids.on_the_wire("call-1", 0), "call-1");
        assert_eq!(ids.on_the_wire("functions_t_0", 0), "functions_t_0");
        let other = ids.on_the_wire("functions.t:0", 0);
        assert!(other.starts_with("functions_t_0_") && Rule::WORD.allows(other), "{other}");
        assert!(Rule::WORD.allows(ids.on_the_wire("", 0)));
        assert_eq!(ids.on_the_wire(&long, 1).len(), 64);
        // The second use of an id, and its result.
        let again = ids.on_the_wire("call-1", 1);
        assert_ne!(again, "call-1");
        assert_eq!(ids.on_the_wire("call-1", 2), again);
        assert_eq!(ids.on_the_wire("of another conversation", 1), "of another conversation");
    }

    #[test]
    fn nine_letters_and_digits_are_made_of_any_id_and_are_always_the_same() {
        let odd = ["call_0", "toolu_01A", "functions.t:0", "", "a1B2c3D4", "ä"];
        let ids = Ids::of(&conversation(&[&["a1B2c3D4e"], &odd]), &Rule::NINE);
        assert_eq!(ids.on_the_wire("a1B2c3D4e", 1), "a1B2c3D4e");
        let wires: BTreeSet<&str> = odd.iter().map(|id| ids.on_the_wire(id, 1)).collect();
        assert_eq!(wires.len(), odd.len());
        assert!(wires.iter().all(|wire| Rule::NINE.allows(wire)), "{wires:?}");
        let alone = Ids::of(&conversation(&[&["functions.t:0"]]), &Rule::NINE);
        assert_eq!(alone.on_the_wire("functions.t:0", 0), ids.on_the_wire("functions.t:0", 1));
    }
}
