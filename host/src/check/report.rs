//! What the kit found: one finding for each rule, for people and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sandbox::PeakUsage;
use crate::text::one_line;

/// The rules for plugins, in the order in which they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// It is a component of a world of this contract's version.
    World,
    /// It imports nothing that a plugin of its world doesn't get.
    Imports,
    /// What it says of itself makes sense.
    Describe,
    /// It says the same of itself every time.
    Constant,
    /// Every request that a server may send has an outcome: no trap, no limit.
    Start,
    /// What it says that it accepts, it takes.
    Accepts,
    /// What a request holds is sent, or refused by name: nothing is dropped.
    Carries,
    /// The HTTP requests that it wants are ones that the host makes.
    Fetch,
    /// The same input gives the same output, in fresh instances.
    Pure,
    /// Every answer of a provider's has an outcome: no trap, no limit.
    Resume,
    /// A provider's refusal is an error of the kind that its status means.
    Refusals,
    /// What isn't the provider's format is an error, never an answer.
    Malformed,
    /// A stream that brings nothing, or nonsense, has an end.
    Stream,
    /// Its errors say what is wrong, on one short line.
    Messages,
    /// Its answers are ones that a server can get.
    Results,
    /// The author's own fixtures come out as they say.
    Fixtures,
    /// Its calls stay well within their limits.
    Limits,
}

impl Rule {
    /// Its name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::Imports => "imports",
            Self::Describe => "describe",
            Self::Constant => "constant",
            Self::Start => "start",
            Self::Accepts => "accepts",
            Self::Carries => "carries",
            Self::Fetch => "fetch",
            Self::Pure => "pure",
            Self::Resume => "resume",
            Self::Refusals => "refusals",
            Self::Malformed => "malformed",
            Self::Stream => "stream",
            Self::Messages => "messages",
            Self::Results => "results",
            Self::Fixtures => "fixtures",
            Self::Limits => "limits",
        }
    }

    /// What to do where it is broken.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::World => {
                "export `provider` or `handler` of the package `understudy:plugin@0.1.0`; `understudy plugin new` makes a folder that does"
            }
            Self::Imports => {
                "whatever calls this traps: build without it (for JavaScript, disable fetch; else look at which library wants it)"
            }
            Self::Describe => {
                "mend what `describe` returns; `types.wit` says what each field of `description` must hold"
            }
            Self::Constant => "return constants from `describe`: no clock, no random numbers, no counting",
            Self::Start => {
                "return an `error` instead: `unsupported` for what the provider can't carry, `invalid-request` for the rest"
            }
            Self::Accepts => "carry it, or take the word out of `accepts` in `describe`",
            Self::Carries => {
                "send it, or answer `unsupported` and name it: the server must know what the model didn't see"
            }
            Self::Fetch => "mend the request: `http-request` in `types.wit` says what the host refuses",
            Self::Pure => {
                "keep out clocks, random numbers and maps without an order; whatever must be remembered goes into `state`"
            }
            Self::Resume => "return an `error` instead: a provider, or whatever stands before it, can answer anything",
            Self::Refusals => {
                "look at the status first and return `provider` with the kind that it means (`provider-error` in `types.wit`)"
            }
            Self::Malformed => {
                "return `malformed-response` where a field that the format requires is missing or of another type"
            }
            Self::Stream => {
                "on `closed`, return `done` or an `error`; `malformed-response` for a message that can't be read"
            }
            Self::Messages => "name the cause and the remedy on one line; the server is told the message as it stands",
            Self::Results => {
                "fill the result as `create-message-result` in `types.wit` says; a guard changes only what `guard.wit` allows"
            }
            Self::Fixtures => {
                "mend the plugin; or, where the new outcome is right, write it into the fixture with `--update`"
            }
            Self::Limits => "do less in a call, or tell your users which limit to raise",
        }
    }
}

/// How a rule came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleOutcome {
    /// Kept; and what was seen.
    Kept(String),
    /// Kept, but the author should know this.
    Noted(String),
    /// Broken: in these ways.
    Broken(Vec<String>),
    /// Not looked at, and why.
    Skipped(String),
}

/// The kit's report on one plugin.
#[derive(Debug, Clone, Default)]
pub struct ConformanceReport {
    /// The plugin's name.
    pub plugin: String,
    /// The component's SHA-256 digest; empty if it couldn't be loaded.
    pub sha256: String,
    /// The most that each exported function has used.
    pub used: BTreeMap<&'static str, PeakUsage>,
    findings: BTreeMap<Rule, RuleOutcome>,
}

/// The most breaches of one rule that are reported.
const MOST_TOLD: usize = 5;

impl ConformanceReport {
    /// An empty report.
    #[must_use]
    pub fn new(plugin: &str) -> Self {
        Self { plugin: plugin.to_owned(), ..Self::default() }
    }

    /// The rule was broken.
    pub fn broken(&mut self, rule: Rule, how: impl AsRef<str>) {
        let how = one_line(how.as_ref(), 600);
        match self.findings.get_mut(&rule) {
            Some(RuleOutcome::Broken(all)) if all.contains(&how) => {}
            Some(RuleOutcome::Broken(all)) => all.push(how),
            _ => {
                self.findings.insert(rule, RuleOutcome::Broken(vec![how]));
            }
        }
    }

    /// The rule was kept, as far as nothing else is said of it.
    pub fn kept(&mut self, rule: Rule, what: impl AsRef<str>) {
        self.findings.entry(rule).or_insert_with(|| RuleOutcome::Kept(one_line(what.as_ref(), 600)));
    }

    /// The rule was kept, but.
    pub fn noted(&mut self, rule: Rule, what: impl AsRef<str>) {
        self.findings.entry(rule).or_insert_with(|| RuleOutcome::Noted(one_line(what.as_ref(), 600)));
    }

    /// The rule wasn't looked at.
    pub fn skipped(&mut self, rule: Rule, why: &str) {
        self.findings.entry(rule).or_insert_with(|| RuleOutcome::Skipped(why.to_owned()));
    }

    /// How a rule came out.
    #[must_use]
    pub fn of(&self, rule: Rule) -> Option<&RuleOutcome> {
        self.findings.get(&rule)
    }

    /// The rules that were broken.
    pub fn breaches(&self) -> impl Iterator<Item = (Rule, &[String])> {
        self.findings.iter().filter_map(|(rule, outcome)| match outcome {
            RuleOutcome::Broken(how) => Some((*rule, how.as_slice())),
            _ => None,
        })
    }

    /// Whether no rule was broken.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.breaches().next().is_none()
    }

    /// For people: one line a rule, the remedy where it is broken.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut lines = Vec::new();
        for (rule, outcome) in &self.findings {
            let name = rule.name();
            match outcome {
                RuleOutcome::Kept(what) => lines.push(format!("ok    {name:10} {what}")),
                RuleOutcome::Noted(what) => lines.push(format!("note  {name:10} {what}")),
                RuleOutcome::Skipped(why) => lines.push(format!("-     {name:10} {why}")),
                RuleOutcome::Broken(how) => {
                    lines.extend(how.iter().take(MOST_TOLD).map(|how| format!("FAIL  {name:10} {how}")));
                    if how.len() > MOST_TOLD {
                        lines.push(format!("      {:10} (and {} more like it)", "", how.len() - MOST_TOLD));
                    }
                    lines.push(format!("      {:10} remedy: {}", "", rule.remedy()));
                }
            }
        }
        let broken = self.breaches().count();
        lines.push(match broken {
            0 => format!("`{}` keeps every rule that applies to it", self.plugin),
            1 => format!("`{}` breaks 1 rule", self.plugin),
            n => format!("`{}` breaks {n} rules", self.plugin),
        });
        lines.join("\n")
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rules: Vec<Value> = self.findings.iter().map(|(rule, outcome)| finding(*rule, outcome)).collect();
        let used = self.used.iter().map(|(call, used)| {
            let cpu = used.cpu.as_secs_f64() * 1000.0;
            ((*call).to_owned(), json!({ "cpuMs": cpu, "memoryBytes": used.memory }))
        });
        json!({
            "plugin": self.plugin,
            "sha256": self.sha256,
            "passed": self.passed(),
            "rules": rules,
            "used": Value::Object(used.collect()),
        })
    }
}

fn finding(rule: Rule, outcome: &RuleOutcome) -> Value {
    let (word, said) = match outcome {
        RuleOutcome::Kept(what) => ("kept", vec![what.as_str()]),
        RuleOutcome::Noted(what) => ("noted", vec![what.as_str()]),
        RuleOutcome::Skipped(why) => ("skipped", vec![why.as_str()]),
        RuleOutcome::Broken(how) => ("broken", how.iter().map(String::as_str).collect()),
    };
    let mut value = json!({ "rule": rule.name(), "outcome": word, "said": said });
    if let (RuleOutcome::Broken(_), Some(fields)) = (outcome, value.as_object_mut()) {
        fields.insert("remedy".to_owned(), rule.remedy().into());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_outweighs_what_else_is_said_of_a_rule() {
        let mut report = ConformanceReport::new("p");
        report.kept(Rule::Start, "fine");
        report.broken(Rule::Start, "trap\nin it");
        report.broken(Rule::Start, "trap\nin it");
        report.kept(Rule::Start, "fine");
        report.noted(Rule::Imports, "odd");
        assert!(!report.passed());
        assert_eq!(report.of(Rule::Start), Some(&RuleOutcome::Broken(vec!["trap in it".to_owned()])));
        let text = report.in_words();
        assert!(text.starts_with("note  imports    odd\nFAIL  start      trap in it\n"), "{text}");
        assert!(text.contains("remedy: return an `error`") && text.ends_with("breaks 1 rule"), "{text}");
        assert_eq!(report.to_json()["rules"][1]["outcome"], "broken");
    }
}
