//! The models worth choosing among, and what a model's name tells about the parameters that it takes.

use understudy_plugin::error::unsupported;
use understudy_plugin::models::{Row, find};
use understudy_plugin::types::{Error, Model};

use crate::media::Media;

/// The cheapest and fastest; OpenAI's own successor to `gpt-4o-mini` and the rest of GPT-4.x, with reasoning off
/// (help.openai.com, "Migrating from GPT-4.x to GPT-6 Luna").
pub(crate) const DEFAULT: &str = "gpt-6-luna";

/// OpenAI's models as of November 2026 that Chat Completions lets use tools. `gpt-6-astra`, `gpt-6.1-sol` and `gpt-6.2-…`
/// refuse tools there, because they can't do without reasoning; for requests without tools the config may name them.
///
/// The families hold the names of the models that each has replaced, because servers in use ask for those: all of
/// GPT-4.x is shut down by 2027-01-14, GPT-5 and o3 by 2026-12-11 (`openai` 3.52.0, `types/shared/chat_model.py`).
/// Cost is by list price relative to `gpt-6-astra` ($10 and $50 a million tokens in and out), on a scale that keeps small
/// prices apart.
pub(crate) fn catalogue() -> Vec<Model> {
    vec![
        // $0.10 and $0.50.
        model(
            DEFAULT,
            &[
                "luna",
                "gpt-4o-mini",
                "gpt-4.1-mini",
                "gpt-4.1-nano",
                "gpt-4-turbo",
                "gpt-3.5-turbo",
                "gpt-5-mini",
                "gpt-5-nano",
            ],
            (0.05, 0.95, 0.6),
            (1_050_000, 128_000),
        ),
        // $1 and $5.
        model("gpt-6.1-terra", &["terra", "gpt-4o", "gpt-4.1", "gpt-5"], (0.3, 0.8, 0.75), (1_050_000, 128_000)),
        // $2 and $10.
        model("gpt-6-sol", &["sol", "gpt-5", "o3"], (0.45, 0.5, 0.85), (1_050_000, 128_000)),
        // $2.50 and $10; audio $32 and $64. The only one that hears; it doesn't see.
        model("gpt-audio-1.5", &["gpt-audio", "gpt-4o-audio-preview"], (0.5, 0.5, 0.3), (128_000, 16_384)),
    ]
}

fn model(name: &str, families: &[&str], (cost, speed, intelligence): (f64, f64, f64), tokens: (u64, u64)) -> Model {
    Model {
        name: name.to_owned(),
        families: families.iter().map(|&family| family.to_owned()).collect(),
        cost,
        speed,
        intelligence,
        context_tokens: Some(tokens.0),
        max_output_tokens: Some(tokens.1),
        extensions: String::new(),
    }
}

/// What a model takes and refuses, at every server.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that a model takes or wants")]
pub(crate) struct Facts {
    /// It reasons, as OpenAI's models do: it refuses `max_tokens`, and temperature unless reasoning is off.
    pub(crate) reasons: bool,
    /// It takes `stop`.
    pub(crate) takes_stop: bool,
    /// The highest temperature.
    pub(crate) hottest: f64,
    /// It takes `reasoning_effort` `none`. Then it takes temperature, and tools in Chat Completions (BerriAI/litellm#34569: "set
    /// `reasoning_effort` to 'none'").
    pub(crate) can_do_without_reasoning: bool,
    /// The most tokens that it writes.
    pub(crate) most_output: Option<u32>,
    /// A conversation may end with an assistant's message, to be gone on from.
    pub(crate) takes_prefill: bool,
    /// It can be made to use a tool (`tool_choice` `required`).
    pub(crate) can_be_forced: bool,
    /// A tool call without its signature is refused, unless it says that it has none.
    pub(crate) signs_calls: bool,
    /// It sees images, and hears audio.
    pub(crate) sees: bool,
    pub(crate) hears: bool,
    /// Names of properties in a tool's schema are letters, digits, `_`, `.` and `-`, at most 64.
    pub(crate) has_plain_properties: bool,
}

/// Nothing special: a model that isn't in the table.
const PLAIN: Facts = Facts {
    reasons: false,
    takes_stop: true,
    hottest: 2.0,
    can_do_without_reasoning: false,
    most_output: None,
    takes_prefill: true,
    can_be_forced: true,
    signs_calls: false,
    sees: true,
    hears: true,
    has_plain_properties: false,
};

const fn writes(most_output: u32) -> Facts {
    Facts { most_output: Some(most_output), ..PLAIN }
}

const fn reasons(most_output: u32, can_do_without_reasoning: bool) -> Facts {
    Facts { reasons: true, takes_stop: false, can_do_without_reasoning, ..writes(most_output) }
}

const CLAUDE: Facts = Facts { has_plain_properties: true, hottest: 1.0, ..PLAIN };

const fn row(models: &'static [&'static str], facts: Facts, source: &'static str) -> Row<Facts> {
    Row { models, facts, as_of: "2026-11-29", source }
}

const OPENAI: &str = "https://developers.openai.com/api/docs/models";
const ANTHROPIC: &str = "https://platform.claude.com/docs/en/about-claude/models/migration-guide";

/// OpenAI's models, and of others those that differ behind a gateway.
pub(crate) const TABLE: &[Row<Facts>] = &[
    row(
        &[
            "gpt-5.1",
            "gpt-5.2",
            "gpt-5.4",
            "gpt-5.4-mini",
            "gpt-5.4-nano",
            "gpt-5.5",
            "gpt-5.6",
            "gpt-5.6-sol",
            "gpt-5.6-terra",
            "gpt-5.6-luna",
            "gpt-6-sol",
            "gpt-6-luna",
            "gpt-6.1-terra",
        ],
        reasons(128_000, true),
        OPENAI,
    ),
    row(&["gpt-5+-*"], reasons(128_000, false), OPENAI),
    row(&["o1+-*"], reasons(100_000, false), OPENAI),
    row(&["gpt-4o-*"], writes(16_384), OPENAI),
    row(&["gpt-audio-*", "gpt-4o-audio-*", "gpt-4o-mini-audio-*"], Facts { sees: false, ..writes(16_384) }, OPENAI),
    row(
        &["deepseek-*"],
        Facts { sees: false, hears: false, ..PLAIN },
        "https://api-docs.deepseek.com/api/create-chat-completion",
    ),
    row(&["deepseek-vl-*", "deepseek-ocr-*"], PLAIN, "https://api-docs.deepseek.com/api/create-chat-completion"),
    row(&["gpt-4.1-*"], writes(32_768), OPENAI),
    row(&["gpt-4-turbo-*", "gpt-3.5-turbo-*", "gpt-35-*"], writes(4_096), OPENAI),
    row(
        &["grok-4+-*", "grok-3-mini-*"],
        Facts { takes_stop: false, ..PLAIN },
        "https://docs.x.ai/docs/guides/reasoning",
    ),
    row(&["claude-*"], CLAUDE, ANTHROPIC),
    // From 4.6 on a prefill is an error; of the older order of names (`claude-3-5-sonnet`) none is as late.
    row(&["claude-3-*"], CLAUDE, ANTHROPIC),
    row(&["claude-*-4-6+-*", "claude-*-5+-*"], Facts { takes_prefill: false, ..CLAUDE }, ANTHROPIC),
    row(
        &["claude-opus-5-5-*", "claude-sonnet-5-5-*", "claude-fable-5-1-*", "claude-fable-5-2-*"],
        Facts { takes_prefill: false, can_be_forced: false, ..CLAUDE },
        "https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5",
    ),
    row(
        &["gemini-3+-*"],
        Facts { signs_calls: true, ..PLAIN },
        "https://ai.google.dev/gemini-api/docs/thought-signatures",
    ),
    row(
        &["gemini-3-5-flash-lite-*", "gemini-3-6+-*", "gemini-4+-*"],
        Facts { signs_calls: true, takes_prefill: false, ..PLAIN },
        "https://github.com/LibreChat-AI/agents/pull/323",
    ),
];

impl Facts {
    /// What isn't text, if the model perceives it.
    pub(crate) fn perceived<'a>(&self, media: Media<'a>, place: &str) -> Result<Media<'a>, Error> {
        self.can_perceive(&media, place).map(|()| media)
    }

    /// Refuses what the model doesn't perceive: a server refuses the whole request for it.
    pub(crate) fn can_perceive(&self, media: &Media, place: &str) -> Result<(), Error> {
        match media {
            Media::Image(_) if !self.sees => Err(unsupported(format!("`{place}`: an image; this model doesn't see"))),
            Media::Audio { .. } if !self.hears => {
                Err(unsupported(format!("`{place}`: audio; this model doesn't hear")))
            }
            _ => Ok(()),
        }
    }
}

/// What is known of a model.
pub(crate) fn facts(model: &str) -> Facts {
    find(TABLE, model).map_or(PLAIN, |row| row.facts)
}
