//! The models worth choosing among, and what each model takes and refuses.
//!
//! Sources, read in November 2026: Anthropic's "Models overview", "Model deprecations" and the model list of its Python
//! package (2.11.0) for names, prices and sizes; for the profiles the migration guides and "What's new" pages of each model
//! (platform.claude.com/docs/en/models/…), "Thinking", "Effort" and "Prefix checks on thinking blocks".

use serde::Deserialize;
use understudy_plugin::models::{Row, find};
use understudy_plugin::types::Model;

/// The model when nothing else decides.
///
/// The newest Sonnet that takes a `temperature` and doesn't think unless told to: what MCP servers, which send
/// temperatures and small `maxTokens`, expect. (`claude-sonnet-4-5` is retired on 30 November 2026.)
pub(crate) const DEFAULT: &str = "claude-sonnet-4-6";

/// A line's names, retired ones among them, so that a hint from an old server still finds the successor.
const OPUS: &[&str] = &["claude", "opus", "claude-3-opus-20240229", "claude-opus-4-20250514", "claude-opus-4-5"];
const SONNET: &[&str] = &[
    "claude",
    "sonnet",
    "claude-3-sonnet-20240229",
    "claude-3-5-sonnet-20241022",
    "claude-3-7-sonnet-20250219",
    "claude-sonnet-4-20250514",
    "claude-sonnet-4-5-20250929",
];
const HAIKU: &[&str] = &["claude", "haiku", "claude-3-haiku-20240307", "claude-3-5-haiku-20241022"];
const FABLE: &[&str] = &["claude", "fable"];

/// A model of the catalogue: name, families, US dollars for a million tokens written, speed, intelligence, context.
type Listed = (&'static str, &'static [&'static str], f64, f64, f64, u64);

const MODELS: [Listed; 7] = [
    ("claude-sonnet-4-6", SONNET, 15.0, 0.7, 0.75, 1_000_000),
    ("claude-sonnet-5-5", SONNET, 10.0, 0.7, 0.85, 1_000_000),
    ("claude-opus-5-5", OPUS, 20.0, 0.5, 0.95, 1_000_000),
    ("claude-opus-4-6", OPUS, 25.0, 0.5, 0.85, 1_000_000),
    ("claude-haiku-5-5", HAIKU, 0.5, 0.95, 0.65, 1_000_000),
    ("claude-haiku-4-5", HAIKU, 5.0, 0.9, 0.55, 200_000),
    ("claude-fable-5-2", FABLE, 40.0, 0.4, 1.0, 1_000_000),
];

/// A million tokens at this price cost 1 in the contract's relative figure.
const DEAREST: f64 = 50.0;

/// The models as the contract wants them.
pub(crate) fn all() -> Vec<Model> {
    let model = |&(name, families, price, speed, intelligence, context): &Listed| Model {
        name: name.to_owned(),
        families: families.iter().map(|&family| family.to_owned()).collect(),
        cost: price / DEAREST,
        speed,
        intelligence,
        context_tokens: Some(context),
        max_output_tokens: Some(Profile::of(name, &Setting::default()).most_tokens.into()),
        extensions: String::new(),
    };
    MODELS.iter().map(model).collect()
}

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that a model takes")]
pub(crate) struct Profile {
    /// `tool_choice` `any`.
    pub(crate) forced_tools: bool,
    /// A conversation that ends with the assistant.
    pub(crate) prefill: bool,
    /// `temperature`, `top_p` and `top_k`.
    pub(crate) sampling: bool,
    /// `thinking` of the type `adaptive`.
    pub(crate) adaptive: bool,
    /// `thinking` of the type `enabled`, with a budget.
    pub(crate) budget: bool,
    /// `output_config.effort`.
    pub(crate) effort: bool,
    /// What keeps its thinking small.
    pub(crate) least: Least,
    /// Whether thinking that comes back is refused if `system`, `tools` or a message before it changed.
    pub(crate) binds: bool,
    /// The most tokens that it writes. More in `max_tokens` is refused.
    pub(crate) most_tokens: u32,
}

/// The way to the least thinking. Thinking counts towards `max_tokens`, which servers choose for the length of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Least {
    /// The model doesn't think unless it is told to.
    Off,
    /// `thinking` `disabled`, with an effort up to `high`.
    Disabled,
    /// `thinking` `between_tools`, with an effort up to `high`.
    BetweenTools,
    /// The model always thinks: `output_config.effort` `low`.
    Low,
}

/// Up to 4.5.
const OLD: Profile = Profile {
    forced_tools: true,
    prefill: true,
    sampling: true,
    adaptive: false,
    budget: true,
    effort: false,
    least: Least::Off,
    binds: false,
    most_tokens: 64_000,
};

/// 4.6: no prefill any more.
const V4_6: Profile = Profile { prefill: false, adaptive: true, effort: true, most_tokens: 128_000, ..OLD };

/// 4.7 and 4.8: neither sampling parameters nor budgets any more.
const V4_7: Profile = Profile { sampling: false, budget: false, ..V4_6 };

/// 5: thinks by default.
const V5: Profile = Profile { least: Least::Disabled, ..V4_7 };

/// 5.5: binds its thinking. Haiku can be forced to call a tool, and doesn't have to think.
const V5_5: Profile = Profile { binds: true, ..V5 };

/// The greater models of 5.5 take no forced tools.
const UNFORCED: Profile = Profile { forced_tools: false, ..V5_5 };

/// A model that isn't Claude, by an endpoint of Anthropic's format.
const STRANGER: Profile = Profile { adaptive: true, effort: true, most_tokens: u32::MAX, ..OLD };

/// The page of platform.claude.com/docs/en on which a row stands.
macro_rules! page {
    ($page:literal) => {
        concat!("platform.claude.com/docs/en/", $page)
    };
}

const fn row(models: &'static [&'static str], facts: Profile, source: &'static str) -> Row<Profile> {
    Row { models, facts, as_of: "2026-11-29", source }
}

/// The profiles.
static PROFILES: [Row<Profile>; 15] = [
    row(
        &["claude-fable-5.1-*", "claude-fable-5.2-*", "claude-mythos-5.1-*", "claude-mythos-5.2-*"],
        Profile { least: Least::Low, ..UNFORCED },
        page!("models/fable-5-2/whats-new-fable-5-2"),
    ),
    row(&["claude-opus-5.5-*"], Profile { least: Least::Low, ..UNFORCED }, page!("models/opus-5-5/whats-new-opus-5-5")),
    row(
        &["claude-sonnet-5.5-*"],
        Profile { least: Least::BetweenTools, ..UNFORCED },
        page!("models/sonnet-5-5/migration-guide"),
    ),
    row(&["claude-haiku-5.5-*"], V5_5, page!("models/haiku-5-5/migration-guide")),
    row(
        &["claude-fable-5-*", "claude-mythos-5-*"],
        Profile { forced_tools: false, least: Least::Low, ..V5 },
        page!("build-with-claude/thinking-troubleshooting"),
    ),
    row(&["claude-opus-5-*", "claude-sonnet-5-*"], V5, page!("about-claude/models/migration-guide")),
    row(&["claude-opus-4.7-*", "claude-opus-4.8-*"], V4_7, page!("about-claude/models/migration-guide")),
    row(&["claude-opus-4.6-*", "claude-sonnet-4.6-*"], V4_6, page!("about-claude/models/migration-guide")),
    row(
        &["claude-sonnet-4.5-*", "claude-haiku-4.5-*", "claude-sonnet-4-*"],
        OLD,
        page!("about-claude/models/overview"),
    ),
    row(&["claude-opus-4.5-*"], Profile { effort: true, ..OLD }, page!("build-with-claude/effort")),
    row(&["claude-opus-4-*"], Profile { most_tokens: 32_000, ..OLD }, page!("about-claude/model-deprecations")),
    row(
        &["claude-3-*", "claude-2-*", "claude-instant-*"],
        Profile { budget: false, most_tokens: u32::MAX, ..OLD },
        page!("about-claude/model-deprecations"),
    ),
    // Versions to come: nothing that a 5.5 model refuses, and nothing that only some of them take.
    row(
        &[
            "claude-*-5+-*",
            "claude-opus-5-1+-*",
            "claude-sonnet-5-1+-*",
            "claude-haiku-5-1+-*",
            "claude-fable-5-1+-*",
            "claude-mythos-5-1+-*",
            "claude-mythos-preview-*",
        ],
        Profile { least: Least::Off, ..UNFORCED },
        page!("build-with-claude/preserved-thinking/prefix-checks"),
    ),
    row(&["claude-*-4-*", "claude-4-*"], OLD, page!("about-claude/models/overview")),
    row(&["*"], STRANGER, "the oldest profile, for models by other makers"),
];

/// What the user knows better than the table, or of a model that it doesn't have.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Facts {
    forced_tools: Option<bool>,
    prefill: Option<bool>,
    sampling: Option<bool>,
    adaptive_thinking: Option<bool>,
    thinking_budget: Option<bool>,
    effort: Option<bool>,
    least_thinking: Option<Least>,
    bound_thinking: Option<bool>,
    max_tokens: Option<u32>,
}

/// The setting `profile`.
pub(crate) type Setting = understudy_plugin::settings::Profile<Facts>;

impl Profile {
    /// The profile of a model, by whatever spelling of its name.
    pub(crate) fn of(model: &str, setting: &Setting) -> Self {
        let known = find(&PROFILES, setting.name(model)).map_or(STRANGER, |row| row.facts);
        let Setting::With(overrides) = setting else { return known };
        Self {
            forced_tools: overrides.forced_tools.unwrap_or(known.forced_tools),
            prefill: overrides.prefill.unwrap_or(known.prefill),
            sampling: overrides.sampling.unwrap_or(known.sampling),
            adaptive: overrides.adaptive_thinking.unwrap_or(known.adaptive),
            budget: overrides.thinking_budget.unwrap_or(known.budget),
            effort: overrides.effort.unwrap_or(known.effort),
            least: overrides.least_thinking.unwrap_or(known.least),
            binds: overrides.bound_thinking.unwrap_or(known.binds),
            most_tokens: overrides.max_tokens.unwrap_or(known.most_tokens),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn of(model: &str) -> Profile {
        Profile::of(model, &Setting::default())
    }

    /// The profiles as `docs/providers.md` has them.
    pub(crate) fn table() -> String {
        let yes = |taken: bool| if taken { "yes" } else { "no" };
        let row = |Row { models, facts: p, as_of, source }: &Row<Profile>| {
            let thinking = match (p.budget, p.adaptive) {
                (true, true) => "`enabled`, `adaptive`",
                (true, false) => "`enabled`",
                (false, true) => "`adaptive`",
                (false, false) => "–",
            };
            let least = match p.least {
                Least::Off => "off by default",
                Least::Disabled => "`thinking` `disabled`",
                Least::BetweenTools => "`thinking` `between_tools`",
                Least::Low => "`effort` `low`",
            };
            let most = if p.most_tokens == u32::MAX { "–".to_owned() } else { p.most_tokens.to_string() };
            let models: Vec<String> = models.iter().map(|model| format!("`{model}`")).collect();
            format!(
                "| {} | {} | {} | {} | {thinking} | {} | {least} | {} | {most} | {source}, {as_of} |\n",
                models.join(", "),
                yes(p.forced_tools),
                yes(p.prefill),
                yes(p.sampling),
                yes(p.effort),
                yes(p.binds),
            )
        };
        let head = "| model | forced tools | prefill | `temperature`, `top_p`, `top_k` | thinking takes | `effort` | least thinking | thinking bound to its prefix | most tokens written | source |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
        PROFILES.iter().map(row).fold(head.to_owned(), |table, row| table + &row)
    }

    #[test]
    fn the_default_is_a_known_model_that_takes_a_temperature() {
        assert!(all().iter().any(|model| model.name == DEFAULT));
        assert!(of(DEFAULT).sampling);
    }

    #[test]
    fn every_model_of_the_catalogue_has_a_profile_by_its_name() {
        for model in all() {
            let row = find(&PROFILES, &model.name).map(|row| row.models).unwrap_or_default();
            assert!(row.iter().any(|pattern| pattern.matches('*').count() == 1 && *pattern != "*"), "{}", model.name);
            assert_ne!(of(&model.name).most_tokens, u32::MAX, "{}", model.name);
        }
    }

    #[test]
    fn a_model_is_known_by_every_spelling_of_its_name() {
        for name in
            ["opus-5-5", "sonnet-5-5", "haiku-5-5", "fable-5-2", "opus-5", "opus-4-8", "sonnet-4-6", "haiku-4-5"]
        {
            let name = format!("claude-{name}");
            let profile = of(&name);
            assert_ne!(profile, STRANGER, "{name}");
            let dotted = name.replacen("-5-", "-5.", 1).replacen("-4-", "-4.", 1);
            for spelling in [
                format!("anthropic/{dotted}"),
                format!("openrouter/anthropic/{name}:nitro"),
                format!("us.anthropic.{name}-20260101-v1:0"),
                format!("global.anthropic.{name}-v1"),
                format!("vertex_ai/{name}@20260101"),
                format!("{name}-20260101"),
                format!("{name}-latest"),
                format!("{name}-fast"),
            ] {
                assert_eq!(of(&spelling), profile, "{spelling}");
            }
        }
        let none = Profile { least: Least::Off, ..UNFORCED };
        for name in [
            "claude-opus-6",
            "claude-sonnet-5-7",
            "claude-haiku-6-1-20270101",
            "claude-fable-5-3",
            "claude-mythos-preview",
        ] {
            assert_eq!(of(name), none, "{name}");
        }
        for name in ["claude-3-5-haiku-20241022", "claude-sonnet-4-20250514", "claude-opus-4-1-20250805", "kimi-k2"] {
            assert!(of(name).prefill && of(name).sampling && of(name).forced_tools, "{name}");
        }
    }

    #[test]
    fn settings_win_over_the_table() -> Result<(), serde_json::Error> {
        let setting: Setting = serde_json::from_str(
            r#"{"forcedTools": false, "prefill": false, "sampling": false, "leastThinking": "between_tools", "maxTokens": 5}"#,
        )?;
        let profile = Profile::of("kimi-k2", &setting);
        assert!(!profile.forced_tools && !profile.prefill && !profile.sampling);
        assert_eq!((profile.least, profile.most_tokens), (Least::BetweenTools, 5));
        let setting: Setting = serde_json::from_str(r#""claude-opus-5-5""#)?;
        assert_eq!(Profile::of("my-own", &setting), of("claude-opus-5-5"));
        assert!(
            serde_json::from_str::<Setting>(r#"{"prefil": true}"#).is_err_and(|e| e.to_string().contains("`prefil`"))
        );
        Ok(())
    }
}
