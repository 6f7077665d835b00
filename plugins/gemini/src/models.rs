//! The models worth choosing among, and what a model's name tells about what it takes.

use understudy_plugin::types::Model;

/// Google's cheapest and fastest of its newer ones, which also thinks least by itself.
pub(crate) const DEFAULT: &str = "gemini-3.5-flash-lite";

/// Google's models for text as of November 2026 (`google-genai` 3.4.0, `_gaos/types/interactions/model.py`), less those that
/// a newer one has replaced.
///
/// The families hold the names that servers in use ask for. The first that a hint finds is taken, so the plain `flash`
/// stands before `flash-lite`. Cost is by list price, on the same scale as the plugin `openai`'s.
pub(crate) fn catalogue() -> Vec<Model> {
    vec![
        // $0.75 and $3.75 a million tokens in and out.
        model(
            "gemini-3.8-flash",
            &["flash", "gemini-3-flash", "gemini-2.5-flash", "gemini-2.0-flash", "gemini-1.5-flash"],
            (0.25, 0.85, 0.7),
        ),
        // $0.30 and $2.50.
        model(
            DEFAULT,
            &["flash-lite", "gemini-3.1-flash-lite", "gemini-2.5-flash-lite", "gemini-2.0-flash-lite"],
            (0.15, 0.95, 0.55),
        ),
        // $1.50 and $7.50.
        model("gemini-4-hydrogen", &["hydrogen"], (0.38, 0.7, 0.82)),
        // $4 and $20 (half of it until the end of November 2026).
        model(
            "gemini-4-argon",
            &["argon", "pro", "gemini-3.1-pro", "gemini-3-pro", "gemini-2.5-pro", "gemini-1.5-pro"],
            (0.65, 0.4, 0.85),
        ),
        model("gemini-4-carbon", &["carbon"], (0.65, 0.35, 0.9)),
    ]
}

fn model(name: &str, families: &[&str], (cost, speed, intelligence): (f64, f64, f64)) -> Model {
    Model {
        name: name.to_owned(),
        families: families.iter().map(|&family| family.to_owned()).collect(),
        cost,
        speed,
        intelligence,
        context_tokens: Some(1_048_576),
        max_output_tokens: Some(65_536),
        extensions: String::new(),
    }
}

/// The name without `models/`, with which Google's own list of models has it.
pub(crate) fn own_name(model: &str) -> &str {
    model.strip_prefix("models/").unwrap_or(model)
}

/// 2 of `gemini-2.5-flash`; nothing of `gemini-flash-latest` and `gemma-3-27b-it`.
fn generation(model: &str) -> Option<u32> {
    let rest = model.strip_prefix("gemini-")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Whether this is Gemini 3 or newer, or a name such as `gemini-flash-latest` that stands for one.
///
/// These want a signature on function calls (Google's docs, "Thought signatures"), and images in a function's response as
/// parts of it; beside it they are refused (google-gemini/gemini-cli#29611).
pub(crate) fn is_three_or_newer(model: &str) -> bool {
    match generation(model) {
        Some(generation) => generation >= 3,
        None => model.starts_with("gemini-"),
    }
}

/// The most tokens that the model can write, where asking for more is refused. Gemini 4 goes on beyond one answer.
pub(crate) fn most_tokens(model: &str) -> Option<u32> {
    match generation(model)? {
        1 => Some(8192),
        2 if model.starts_with("gemini-2.0") => Some(8192),
        2 | 3 => Some(65_536),
        _ => None,
    }
}

/// How little a model can think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeastThinking {
    /// `thinkingLevel`
    Level(&'static str),
    /// `thinkingBudget`, in tokens
    Budget(i32),
}

/// The least thinking that a model is known to take: levels from docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides,
/// budgets from Google's docs, "Thinking".
pub(crate) fn least_thinking(model: &str) -> Option<LeastThinking> {
    Some(match model {
        "gemini-2.5-flash" | "gemini-2.5-flash-lite" => LeastThinking::Budget(0),
        "gemini-2.5-pro" => LeastThinking::Budget(128),
        "gemini-3-flash-preview"
        | "gemini-3.1-flash-lite"
        | "gemini-3.5-flash"
        | "gemini-3.5-flash-lite"
        | "gemini-3.6-flash" => LeastThinking::Level("MINIMAL"),
        "gemini-3.1-pro-preview"
        | "gemini-3.1-pro-preview-customtools"
        | "gemini-3.7-flash"
        | "gemini-3.8-flash"
        | "gemini-4-hydrogen"
        | "gemini-4-argon"
        | "gemini-4-carbon" => LeastThinking::Level("LOW"),
        _ => return None,
    })
}
