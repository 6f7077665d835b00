//! The models worth choosing among, and what a model's name tells about the parameters that it takes.

use understudy_plugin::types::Model;

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

/// OpenAI's models that can be told not to reason, less the date that may follow. With `reasoning_effort` `none` they
/// take temperature, and tools in Chat Completions (BerriAI/litellm#34569: "set `reasoning_effort` to 'none'").
const CAN_DO_WITHOUT_REASONING: [&str; 13] = [
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
];

/// The part of the name that says what a model is: `gpt-6-luna` of `openai/gpt-6-luna` (OpenRouter, LiteLLM).
fn own_name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// Whether this is a reasoning model of OpenAI's: `o1` and the like, `gpt-5` and later. These refuse `max_tokens` and
/// `stop`, and temperature unless reasoning is off.
pub(crate) fn reasons(model: &str) -> bool {
    let name = own_name(model);
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<u32>().ok());
    if let Some(rest) = name.strip_prefix("gpt-") {
        // `gpt-oss-120b`, which others run, begins with no number.
        return digits(rest).is_some_and(|generation| generation >= 5);
    }
    name.strip_prefix('o').and_then(digits).is_some()
}

/// Whether the model is known to take `reasoning_effort` `none`.
pub(crate) fn can_do_without_reasoning(model: &str) -> bool {
    let name = own_name(model);
    CAN_DO_WITHOUT_REASONING.iter().any(|known| {
        name.strip_prefix(known).is_some_and(|rest| {
            rest.is_empty()
                || rest.strip_prefix("-20").is_some_and(|date| date.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
        })
    })
}
