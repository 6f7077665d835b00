//! `secrets`: a guard that finds API keys, tokens, private keys and passwords in requests and answers, by the shapes that their issuers
//! publish, and by checksums where there are some.
//!
//! It denies, cuts them out, or has the user asked, as `action` says. It looks at texts: not at images, and not at what is encoded (base64,
//! compressed, encrypted).
//!
//! | module | what it holds |
//! | --- | --- |
//! | `kinds` | the kinds of secrets, each with its source |
//! | `find` | finding them in a text |
//! | `token` | a token by its prefix |
//! | `infix` | a token by a mark within it |
//! | `pem` | private keys in PEM and the like |
//! | `url` | passwords in URLs |
//! | `keyed` | values that only their name tells |
//! | `checks` | checksums, and what is visibly no secret |

mod checks;
mod find;
mod infix;
mod keyed;
mod kinds;
mod pem;
mod token;
mod url;

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use understudy_plugin::guard_texts::{self, Found};
use understudy_plugin::types::{CreateMessageRequest, CreateMessageResult, Error};
use understudy_plugin::verdict::{AnswerVerdict, Circumstances, GuardDescription, RequestVerdict};
use understudy_plugin::{Guard, error, export_guard, settings};

pub use find::{Finding, find};
pub use kinds::kinds;

/// The guard.
#[derive(Debug)]
pub struct Secrets;

export_guard!(Secrets);

/// The most places that a reason names.
const MOST_NAMED: usize = 3;

/// What is done where a secret is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Deny,
    Redact,
    Ask,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    action: Action,
    /// Kinds by their names, and `sha256:` with the digest of a text.
    #[serde(default)]
    allow: Vec<String>,
}

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "action": { "enum": ["deny", "redact", "ask"], "default": "deny", "description": "what is done where a secret is found" },
        "allow": {
            "type": "array", "items": { "type": "string" }, "default": [],
            "description": "exceptions: a kind by its name, such as `JWT`, or `sha256:` and the hexadecimal digest of a text"
        }
    },
    "additionalProperties": false
}"#;

impl Guard for Secrets {
    fn describe() -> GuardDescription {
        GuardDescription {
            name: "secrets".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "finds API keys, tokens, private keys and passwords, and denies, redacts or asks".to_owned(),
            checks: vec!["request".to_owned(), "answer".to_owned()],
            settings_schema: SCHEMA.to_owned(),
            extensions: String::new(),
        }
    }

    fn request(mut request: CreateMessageRequest, _: Circumstances, settings: String) -> Result<RequestVerdict, Error> {
        let mut search = Search::new(&settings)?;
        let is_changed = guard_texts::in_request(&mut request, |found| search.look(found));
        Ok(match (search.reason(), search.action) {
            (None, _) => RequestVerdict::Allow,
            (Some(_), Action::Redact) if is_changed => RequestVerdict::AllowChanged(request),
            (Some(reason), Action::Ask) => RequestVerdict::asked(reason, None),
            (Some(reason), Action::Deny | Action::Redact) => RequestVerdict::denied(reason),
        })
    }

    fn answer(mut answer: CreateMessageResult, _: Circumstances, settings: String) -> Result<AnswerVerdict, Error> {
        let mut search = Search::new(&settings)?;
        let is_changed = guard_texts::in_answer(&mut answer, |found| search.look(found));
        Ok(match (search.reason(), search.action) {
            (None, _) => AnswerVerdict::Allow,
            (Some(_), Action::Redact) if is_changed => AnswerVerdict::AllowChanged(answer),
            (Some(reason), Action::Ask) => AnswerVerdict::asked(reason, None),
            (Some(reason), Action::Deny | Action::Redact) => AnswerVerdict::denied(reason),
        })
    }
}

/// What is looked for, and what has been found.
struct Search {
    action: Action,
    kinds: Vec<String>,
    digests: Vec<String>,
    /// The first places of each kind that was found.
    found: BTreeMap<&'static str, String>,
    count: usize,
}

impl Search {
    fn new(settings: &str) -> Result<Self, Error> {
        let Settings { action, allow } = settings::parse(settings)?;
        let (digests, kinds): (Vec<String>, Vec<String>) =
            allow.into_iter().map(|exception| exception.to_lowercase()).partition(|text| text.starts_with("sha256:"));
        for kind in &kinds {
            if !kinds::kinds().any(|known| known.to_lowercase() == *kind) {
                let known = kinds::kinds().collect::<Vec<_>>().join("`, `");
                return Err(error::invalid_request(format!(
                    "`settings.allow`: `{kind}` is no kind of secret, nor `sha256:` and a digest; the kinds are `{known}`"
                )));
            }
        }
        let digests = digests.iter().map(|digest| digest.trim_start_matches("sha256:").to_owned()).collect();
        Ok(Self { action, kinds, digests, found: BTreeMap::new(), count: 0 })
    }

    /// Looks at a text; the text without its secrets, if it has any.
    fn look(&mut self, found: Found<'_>) -> Option<String> {
        let secrets = find(found.text, found.before);
        let (mut redacted, mut kept) = (String::new(), 0);
        for Finding { kind, range } in secrets {
            let Some(secret) = found.text.get(range.clone()) else { continue };
            if self.is_allowed(kind, secret) {
                continue;
            }
            self.count += 1;
            self.found.entry(kind).or_insert_with(|| found.place.to_string());
            redacted.push_str(found.text.get(kept..range.start).unwrap_or_default());
            redacted.push_str("[redacted: ");
            redacted.push_str(kind);
            redacted.push(']');
            kept = range.end;
        }
        if kept == 0 {
            return None;
        }
        redacted.push_str(found.text.get(kept..).unwrap_or_default());
        Some(redacted)
    }

    fn is_allowed(&self, kind: &str, secret: &str) -> bool {
        let is_kind = |allowed: &String| *allowed == kind.to_lowercase();
        self.kinds.iter().any(is_kind)
            || !self.digests.is_empty() && self.digests.contains(&hex::encode(Sha256::digest(secret)))
    }

    /// What was found, without quoting it.
    fn reason(&self) -> Option<String> {
        if self.found.is_empty() {
            return None;
        }
        let named = self.found.iter().take(MOST_NAMED).map(|(kind, place)| format!("{kind} in `{place}`"));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match self.count - self.found.len().min(MOST_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(format!("it holds what looks like a secret ({named}{more})"))
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
