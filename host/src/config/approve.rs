//! Who is asked before a server's request is answered: `sampling.approve`.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::ConfigError;
use super::section::{Section, kind, wrong};
use crate::money::NanoDollars;

/// `within` at most: a client of 2026-07-28 has as long to come back with the user's answer.
const LONGEST: Duration = Duration::from_mins(10);

/// `within` where the config says nothing.
const WITHIN: Duration = Duration::from_mins(2);

/// When the user is asked. The default asks about nothing but what a guard wants to be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveRule {
    /// About requests in the course of a tool call. Default [`ApprovePolicy::Never`]; [`ApprovePolicy::Ask`] in an object.
    pub requests: ApprovePolicy,
    /// About requests outside of any tool call. Default as `requests`.
    pub background: ApprovePolicy,
    /// Whether each answer is shown before the server gets it. Default false.
    pub answers: bool,
    /// Requests that cost no more than this at most are answered without asking. Default none. A request whose price isn't known is asked about.
    pub above: Option<NanoDollars>,
    /// How long an answer of the user's is waited for. Default 2 minutes.
    pub within: Duration,
}

impl Default for ApproveRule {
    fn default() -> Self {
        let never = ApprovePolicy::Never;
        Self { requests: never, background: never, answers: false, above: None, within: WITHIN }
    }
}

/// How often the user is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ApprovePolicy {
    /// Nobody is asked.
    #[default]
    Never,
    /// Each time.
    Ask,
    /// Once for each tool of a server, as long as the client's connection lasts.
    Once,
    /// Each time, until the user says that it needn't be asked again about this tool of the server. Kept in the ledger.
    Remember,
    /// Nobody is asked: the request is refused.
    Refuse,
}

impl FromStr for ApprovePolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "ask" => Ok(Self::Ask),
            "once" => Ok(Self::Once),
            "remember" => Ok(Self::Remember),
            "refuse" => Ok(Self::Refuse),
            _ => Err("must be `never`, `ask`, `once`, `remember` or `refuse`".to_owned()),
        }
    }
}

impl ApproveRule {
    /// `approve`: how often, or an object.
    pub(super) fn parse(path: &str, value: Value) -> Result<Self, ConfigError> {
        let mut section = match value {
            Value::String(how) => {
                let policy: ApprovePolicy = how.parse().map_err(|reason: String| wrong(path, &reason))?;
                return Ok(Self { requests: policy, background: policy, ..Self::default() });
            }
            Value::Object(map) => Section::new(path, map),
            other => return Err(wrong(path, &format!("must be a string or an object, and is {}", kind(&other)))),
        };
        let policy = |section: &mut Section, key| match section.string(key)? {
            Some(text) => text.parse().map(Some).map_err(|reason: String| section.wrong(key, &reason)),
            None => Ok(None),
        };
        let requests = policy(&mut section, "requests")?.unwrap_or(ApprovePolicy::Ask);
        let rule = Self {
            requests,
            background: policy(&mut section, "background")?.unwrap_or(requests),
            answers: section.boolean("answers")?.unwrap_or(false),
            above: section.money("above")?,
            within: section.duration("within")?.unwrap_or(WITHIN),
        };
        if rule.within > LONGEST {
            return Err(section.wrong("within", "must be at most 10 minutes"));
        }
        section.finish()?;
        Ok(rule)
    }

    /// The same, where decisions can't be remembered: the user is asked each time.
    #[must_use]
    pub fn forgetful(self) -> Self {
        let each_time = |policy| if policy == ApprovePolicy::Remember { ApprovePolicy::Ask } else { policy };
        Self { requests: each_time(self.requests), background: each_time(self.background), ..self }
    }

    /// Whether the user's decisions are to be kept.
    #[must_use]
    pub fn remembers(&self) -> bool {
        [self.requests, self.background].contains(&ApprovePolicy::Remember)
    }

    /// Whether anybody may be asked, or anything is refused.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.answers || [self.requests, self.background].iter().any(|policy| *policy != ApprovePolicy::Never)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_word_is_for_all_requests_and_an_object_tells_them_apart() {
        let ask = ApproveRule::parse("approve", json!("ask")).unwrap();
        assert_eq!((ask.requests, ask.background, ask.answers), (ApprovePolicy::Ask, ApprovePolicy::Ask, false));
        let object = json!({"background": "refuse", "above": "$0.10", "within": "30 s", "answers": true});
        let apart = ApproveRule::parse("approve", object).unwrap();
        assert_eq!((apart.requests, apart.background), (ApprovePolicy::Ask, ApprovePolicy::Refuse));
        assert_eq!(
            (apart.above, apart.within, apart.answers),
            (Some(NanoDollars(100_000_000)), Duration::from_secs(30), true)
        );
        assert!(!ApproveRule::parse("approve", json!("never")).unwrap().is_any());
        for (value, reason) in [
            (json!(true), "must be a string or an object"),
            (json!("always"), "must be `never`, `ask`"),
            (json!({"above": 3}), "US dollars"),
            (json!({"within": "0 s"}), "a duration"),
            (json!({"within": "1 h"}), "at most 10 minutes"),
            (json!({"ask": true}), "is not a key"),
        ] {
            let error = ApproveRule::parse("approve", value).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
