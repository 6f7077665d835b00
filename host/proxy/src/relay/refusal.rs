//! What a client's error says of a sampling request: that it can't, or that somebody won't. Pure.
//!
//! Only what plainly says *can't* calls the plugin. A refusal stands in whatever words and code it comes, and so does what nobody can tell: the
//! plugin would spend the user's money, and show a provider the user's words, against the user's will. `clients.json` has the answers of published
//! clients, which the tests read.

use mcp::{ErrorObject, code};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The client can't sample, or can't what this request wants.
    Cannot,
    /// The user, or who decides for the user, doesn't want it.
    Refused,
    /// Nobody can tell.
    Unclear,
}

/// Parts of words with which people refuse, in the languages that clients are translated into most.
const REFUSALS: &[&str] = &[
    "reject",
    "denied",
    "deny",
    "denial",
    "declin",
    "refus",
    "allow",
    "permi",
    "forbid",
    "forbad",
    "prohibit",
    "restrict",
    "cancel",
    "abort",
    "interrupt",
    "dismiss",
    "consent",
    "approv",
    "confirm",
    "authori",
    "polic",
    "blocked",
    "blocking",
    "veto",
    "disable",
    "turned off",
    "switched off",
    "opted",
    "opt-out",
    "opt out",
    "not enabled",
    "n't enabled",
    "quota",
    "budget",
    "limit",
    "too many",
    "exceed",
    "throttl",
    "trust",
    "privacy",
    "guardrail",
    "safety",
    "moderat",
    "violat",
    "by user",
    "by the user",
    "the user",
    "user has",
    "user is",
    "user did",
    "user does",
    "user said",
    "user chose",
    "won't",
    "will not",
    "wouldn't",
    "would not",
    "unwilling",
    "not willing",
    "never",
    "no thanks",
    "skipped",
    "ignored",
    "timed out",
    "timeout",
    // German, French, Spanish, Portuguese, Italian, Dutch, Polish.
    "abgelehnt",
    "ablehn",
    "verweiger",
    "abgebrochen",
    "verboten",
    "untersagt",
    "erlaub",
    "zugelassen",
    "gesperrt",
    "deaktiviert",
    "interdit",
    "annul",
    "rechaz",
    "deneg",
    "negad",
    "recus",
    "rejeit",
    "rifiut",
    "negat",
    "geweiger",
    "odrzuc",
    "odmow",
    // Russian, Chinese, Japanese, Korean.
    "отклон",
    "отказ",
    "запрещ",
    "отмен",
    "拒",
    "取消",
    "不允许",
    "禁止",
    "許可",
];

/// Parts of what is said by a client that can't.
const INABILITIES: &[&str] = &[
    "not support",
    "n't support",
    "unsupported",
    "no support",
    "not yet support",
    "cannot support",
    "not available",
    "n't available",
    "unavailable",
    "no handler",
    "no sampling",
    "handler not found",
    "handler is not",
    "not implement",
    "n't implement",
    "unimplement",
    "notimplement",
    "unknown method",
    "unknown request",
    "unrecognized method",
    "unhandled method",
    "method not found",
    "no such method",
    "invalid method",
    "not registered",
    "no provider",
    "no model",
    "no llm",
    "no language model",
    "no callback",
    "missing capability",
    "lacks",
    "has not declared",
    "did not declare",
    "has no place for",
    "not configured",
];

/// What Node.js writes into each trace of its stack, and nobody's refusal.
const OF_NODE: [&str; 2] = ["processticksandrejections", "unhandledrejection"];

/// What a client's error means.
pub(super) fn meaning(error: &ErrorObject) -> Meaning {
    let data = if error.data.is_null() { String::new() } else { error.data.to_string() };
    let mut said = format!("{} {data}", error.message).to_lowercase().replace('’', "'").replace(['_', '\n', '\t'], " ");
    for of_node in OF_NODE {
        said = said.replace(of_node, "");
    }
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if error.code == code::USER_REJECTED || says(REFUSALS) {
        Meaning::Refused
    } else if error.code == code::METHOD_NOT_FOUND || says(INABILITIES) {
        Meaning::Cannot
    } else {
        Meaning::Unclear
    }
}

#[cfg(test)]
mod tests;
