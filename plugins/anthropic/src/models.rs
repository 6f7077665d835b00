//! The models worth choosing among, and what is known of them.
//!
//! Source of names, prices and sizes: Anthropic's "Models overview" and "Model deprecations", and the model list of its
//! Python package (2.11.0, November 2026).

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

/// A row: name, families, US dollars for a million tokens written, speed, intelligence, context, most tokens written.
type Row = (&'static str, &'static [&'static str], f64, f64, f64, u64, u32);

const MODELS: [Row; 7] = [
    ("claude-sonnet-4-6", SONNET, 15.0, 0.7, 0.75, 1_000_000, 128_000),
    ("claude-sonnet-5-5", SONNET, 10.0, 0.7, 0.85, 1_000_000, 128_000),
    ("claude-opus-5-5", OPUS, 20.0, 0.5, 0.95, 1_000_000, 128_000),
    ("claude-opus-4-6", OPUS, 25.0, 0.5, 0.85, 1_000_000, 128_000),
    ("claude-haiku-5-5", HAIKU, 0.5, 0.95, 0.65, 1_000_000, 128_000),
    ("claude-haiku-4-5", HAIKU, 5.0, 0.9, 0.55, 200_000, 64_000),
    ("claude-fable-5-2", FABLE, 40.0, 0.4, 1.0, 1_000_000, 128_000),
];

/// A million tokens at this price cost 1 in the contract's relative figure.
const DEAREST: f64 = 50.0;

/// Beginnings of the names of models that refuse `temperature`, `top_p` and `top_k` whatever their values: every model from
/// Opus 4.7 on ("Migration guide").
const WITHOUT_TEMPERATURE: [&str; 7] = [
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-sonnet-5",
    "claude-haiku-5",
    "claude-fable-",
    "claude-mythos-",
];

/// The models as the contract wants them.
pub(crate) fn all() -> Vec<Model> {
    let model = |&(name, families, price, speed, intelligence, context, output): &Row| Model {
        name: name.to_owned(),
        families: families.iter().map(|&family| family.to_owned()).collect(),
        cost: price / DEAREST,
        speed,
        intelligence,
        context_tokens: Some(context),
        max_output_tokens: Some(output.into()),
        extensions: String::new(),
    };
    MODELS.iter().map(model).collect()
}

/// Whether the model takes a temperature. A model that isn't known is taken to.
pub(crate) fn takes_temperature(model: &str) -> bool {
    !WITHOUT_TEMPERATURE.iter().any(|beginning| model.starts_with(beginning))
}

/// The most tokens that the model writes, for more in `max_tokens` is refused. No limit for a model that isn't known.
pub(crate) fn most_tokens(model: &str) -> u32 {
    let is = |name: &str| model.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("-20"));
    MODELS.iter().find(|row| is(row.0)).map_or(u32::MAX, |row| row.6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_known_model_that_takes_a_temperature() {
        assert!(all().iter().any(|model| model.name == DEFAULT));
        assert!(takes_temperature(DEFAULT));
    }

    #[test]
    fn a_dated_name_is_the_same_model() {
        assert_eq!(most_tokens("claude-haiku-4-5-20251001"), 64_000);
        assert_eq!(most_tokens("claude-haiku-4-51"), u32::MAX);
    }

    #[test]
    fn newer_models_take_no_temperature_and_strangers_do() {
        assert!(!takes_temperature("claude-opus-4-7"));
        assert!(!takes_temperature("claude-sonnet-5-5"));
        assert!(takes_temperature("claude-sonnet-4-5-20250929"));
        assert!(takes_temperature("some-proxy-model"));
    }
}
