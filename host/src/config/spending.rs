//! What may be spent, and what is kept of it: `ledger` and `budgets`, and the `prices` of a plugin's models.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::ConfigError;
use super::section::{Section, kind, wrong};
use crate::money::NanoDollars;
use crate::price::{Price, Rates};

/// What the ledger keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LedgerConfig {
    /// Its file. Default: `understudy/ledger/ledger.db` in the user's state folder.
    pub path: Option<PathBuf>,
    /// What is kept of requests and answers. Default [`Recorded::Digest`].
    pub record: Recorded,
    /// How long contents are kept, if they are. Default 30 days.
    pub keep: Option<Duration>,
    /// What happens to a request that can't be recorded. Default [`OnLedgerFailure::Refuse`].
    pub on_failure: OnLedgerFailure,
}

/// What is kept of requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recorded {
    /// Their SHA-256 digests.
    #[default]
    Digest,
    /// All of them.
    Content,
}

/// What happens where the ledger fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnLedgerFailure {
    /// What can't be recorded isn't asked.
    #[default]
    Refuse,
    /// It is asked, and no budget counts it.
    Allow,
}

/// So much, and no more, may be spent in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Its key in the config, such as `budgets[0]`.
    pub key: String,
    /// The server that it is for; `None`: all of them together.
    pub server: Option<String>,
    /// The plugin that it is for; `None`: all of them together.
    pub plugin: Option<String>,
    /// How long it lasts.
    pub per: Period,
    /// US dollars.
    pub money: Option<NanoDollars>,
    /// Tokens, input and output.
    pub tokens: Option<u64>,
    /// Requests.
    pub requests: Option<u64>,
}

/// How long a budget lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// One tool call.
    Call,
    /// An hour by the clock.
    Hour,
    /// A day of the machine's time zone.
    Day,
    /// A month of the machine's time zone.
    Month,
}

impl Period {
    /// For how long a limit is, in words.
    #[must_use]
    pub const fn each(self) -> &'static str {
        match self {
            Self::Call => "a call",
            Self::Hour => "an hour",
            Self::Day => "a day",
            Self::Month => "a month",
        }
    }
}

/// `ledger`: `true`, or an object.
pub(super) fn ledger(root: &mut Section) -> Result<Option<LedgerConfig>, ConfigError> {
    let key = root.key("ledger");
    let mut section = match root.take("ledger") {
        None | Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => return Ok(Some(LedgerConfig::default())),
        Some(value) => Section::of(&key, value)?,
    };
    let ledger = LedgerConfig {
        path: section.string("path")?.map(PathBuf::from),
        record: match section.string("record")?.as_deref() {
            None | Some("digest") => Recorded::Digest,
            Some("content") => Recorded::Content,
            Some(_) => return Err(section.wrong("record", "must be `digest` or `content`")),
        },
        keep: section.duration("keep")?,
        on_failure: match section.string("onFailure")?.as_deref() {
            None | Some("refuse") => OnLedgerFailure::Refuse,
            Some("allow") => OnLedgerFailure::Allow,
            Some(_) => return Err(section.wrong("onFailure", "must be `refuse` or `allow`")),
        },
    };
    if ledger.keep.is_some() && ledger.record == Recorded::Digest {
        return Err(section.wrong("keep", "is for `\"record\": \"content\"`, and only digests are kept"));
    }
    section.finish()?;
    Ok(Some(ledger))
}

/// `budgets`: an array.
pub(super) fn budgets(root: &mut Section) -> Result<Vec<Budget>, ConfigError> {
    let key = root.key("budgets");
    let budgets = match root.take("budgets") {
        None => return Ok(Vec::new()),
        Some(Value::Array(budgets)) => budgets,
        Some(other) => return Err(wrong(&key, &format!("must be an array of budgets, and is {}", kind(&other)))),
    };
    budgets.into_iter().enumerate().map(|(n, value)| budget(&format!("{key}[{n}]"), value)).collect()
}

fn budget(key: &str, value: Value) -> Result<Budget, ConfigError> {
    let mut section = Section::of(key, value)?;
    let budget = Budget {
        key: key.to_owned(),
        server: section.string("server")?,
        plugin: section.string("plugin")?,
        per: match section.string("per")?.as_deref() {
            Some("call") => Period::Call,
            Some("hour") => Period::Hour,
            Some("day") => Period::Day,
            Some("month") => Period::Month,
            Some(_) => return Err(section.wrong("per", "must be `call`, `hour`, `day` or `month`")),
            None => return Err(section.wrong("per", "is missing: `call`, `hour`, `day` or `month`")),
        },
        money: section.money("money")?,
        tokens: section.large_number("tokens")?,
        requests: section.large_number("requests")?,
    };
    section.finish()?;
    if budget.money.is_none() && budget.tokens.is_none() && budget.requests.is_none() {
        return Err(wrong(key, "limits nothing: give it `money`, `tokens` or `requests`"));
    }
    Ok(budget)
}

/// `prices` of a plugin: by model, in US dollars for a million tokens.
pub(super) fn prices(section: &mut Section) -> Result<Vec<(String, Price)>, ConfigError> {
    let Some(prices) = section.section("prices")? else { return Ok(Vec::new()) };
    let path = section.key("prices");
    prices
        .into_map()
        .into_iter()
        .map(|(model, value)| Ok((model.clone(), price(&format!("{path}.{model}"), value)?)))
        .collect()
}

/// One price: `{ "input": "$3", "output": "$15", "cacheRead": "$0.30", "cacheWrite": "$3.75", "above": { "tokens": 200000, … } }`
pub(crate) fn price(key: &str, value: Value) -> Result<Price, ConfigError> {
    let mut section = Section::of(key, value)?;
    let base = rates(&mut section)?;
    let above = match section.section("above")? {
        None => None,
        Some(mut above) => {
            let missing = above.wrong("tokens", "is missing: above how many tokens of input these prices are");
            let threshold = above.large_number("tokens")?.ok_or(missing)?;
            let rates = rates(&mut above)?;
            above.finish()?;
            Some((threshold, rates))
        }
    };
    section.finish()?;
    Ok(Price { base, above })
}

fn rates(section: &mut Section) -> Result<Rates, ConfigError> {
    let needed = |section: &mut Section, name| {
        let missing = section.wrong(name, "is missing: the price of a million tokens, such as `\"$3\"`, or `\"$0\"`");
        section.money(name)?.ok_or(missing)
    };
    let (input, output) = (needed(section, "input")?, needed(section, "output")?);
    let cache_read = section.money("cacheRead")?.unwrap_or(input);
    Ok(Rates { input, cache_read, cache_write: section.money("cacheWrite")?.unwrap_or(input), output })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn root(value: Value) -> Section {
        Section::of("", value).unwrap()
    }

    #[test]
    fn a_budget_says_what_it_limits_and_for_how_long() {
        let budget = json!({"money": "$5", "requests": 0, "per": "day", "server": "code"});
        let read = budgets(&mut root(json!({ "budgets": [budget] }))).unwrap();
        let [read] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((read.money, read.requests, read.per), (Some(NanoDollars(5_000_000_000)), Some(0), Period::Day));
        for (wrong, reason) in [
            (json!({}), "`budgets[0].per` is missing"),
            (json!({"per": "day"}), "limits nothing"),
            (json!({"per": "week", "requests": 1}), "must be `call`, `hour`, `day` or `month`"),
            (json!({"per": "day", "money": 5}), "US dollars"),
            (json!({"per": "day", "tokens": -1}), "a whole number"),
            (json!({"per": "day", "tokens": 1, "mony": "$1"}), "did you mean `money`"),
        ] {
            let error = budgets(&mut root(json!({ "budgets": [wrong] }))).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_ledger_is_asked_for_by_true_or_by_what_it_keeps() {
        assert_eq!(ledger(&mut root(json!({}))).unwrap(), None);
        assert_eq!(ledger(&mut root(json!({"ledger": true}))).unwrap(), Some(LedgerConfig::default()));
        let kept = ledger(&mut root(json!({"ledger": {"record": "content", "keep": "7 days"}}))).unwrap().unwrap();
        assert_eq!(kept.keep, Some(Duration::from_hours(7 * 24)));
        let error = ledger(&mut root(json!({"ledger": {"keep": "7 days"}}))).unwrap_err().to_string();
        assert!(error.contains("only digests are kept"), "{error}");
    }

    #[test]
    fn a_price_needs_input_and_output() {
        let read = price("p", json!({"input": "$3", "output": "$15"})).unwrap();
        assert_eq!((read.base.cache_read, read.base.cache_write), (read.base.input, read.base.input));
        let error = price("p", json!({"input": "$3"})).unwrap_err().to_string();
        assert!(error.contains("`p.output` is missing"), "{error}");
    }
}
