//! The models worth choosing among, and what each model takes and refuses.

use serde::Deserialize;
use understudy_plugin::models::{Row, find};
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
        // $3 and $15.
        model("gemini-4-neon", &["neon"], (0.55, 0.5, 0.88)),
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

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Profile {
    /// A conversation that ends with the model.
    pub(crate) prefill: bool,
    /// It wants a signature on function calls (Google's docs, "Thought signatures").
    pub(crate) signs_calls: bool,
    /// It takes images in a function's response as parts of it; beside it they are refused (google-gemini/gemini-cli#29611).
    pub(crate) nests_media: bool,
    /// The least thinking that it is known to take. Thoughts count towards `maxOutputTokens`.
    pub(crate) least: Option<LeastThinking>,
    /// The most tokens that it can write, where asking for more is refused. Gemini 4 goes on beyond one answer.
    pub(crate) most_tokens: Option<u32>,
}

/// How little a model can think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeastThinking {
    /// `thinkingLevel`
    Level(&'static str),
    /// `thinkingBudget`, in tokens
    Budget(i32),
}

/// Gemini 2 and before, and models by the same API that aren't Gemini.
const OLD: Profile =
    Profile { prefill: true, signs_calls: false, nests_media: false, least: None, most_tokens: Some(8192) };

const V2_5: Profile = Profile { most_tokens: Some(65_536), ..OLD };

/// Up to 3.5 Flash.
const V3: Profile = Profile { signs_calls: true, nests_media: true, ..V2_5 };

/// From 3.5 Flash-Lite on.
const V3_6: Profile = Profile { prefill: false, ..V3 };

const V4: Profile = Profile { least: Some(LeastThinking::Level("LOW")), most_tokens: None, ..V3_6 };

const fn thinking(least: LeastThinking, profile: Profile) -> Profile {
    Profile { least: Some(least), ..profile }
}

const fn row(models: &'static [&'static str], facts: Profile, source: &'static str) -> Row<Profile> {
    Row { models, facts, as_of: "2026-11-29", source }
}

const LEVELS: &str = "docs.cloud.google.com/gemini-enterprise-agent-platform/models/thinking";
const BUDGETS: &str = "ai.google.dev/gemini-api/docs/thinking";
const OTHERS: &str = "ai.google.dev/gemini-api/docs/models";

/// The profiles. Which models refuse a prefill: LibreChat-AI/agents#323 and #412, tried on the API itself.
static PROFILES: [Row<Profile>; 14] = [
    row(
        &["gemini-*-image-*", "gemini-*-tts-*", "gemini-*-live-*", "gemini-*-audio-*", "gemini-robotics-*"],
        V3_6,
        OTHERS,
    ),
    row(&["gemini-2-*-image-*", "gemini-2-*-tts-*", "gemini-2-*-live-*", "gemini-2-*-audio-*"], V2_5, OTHERS),
    row(&["gemini-1-*", "gemini-2.0-*"], OLD, OTHERS),
    row(
        &[
            "gemini-2.5-flash",
            "gemini-2.5-flash-0+",
            "gemini-2.5-flash-preview-0+-*",
            "gemini-2.5-flash-lite",
            "gemini-2.5-flash-lite-0+",
            "gemini-2.5-flash-lite-preview-0+-*",
        ],
        thinking(LeastThinking::Budget(0), V2_5),
        BUDGETS,
    ),
    row(
        &["gemini-2.5-pro", "gemini-2.5-pro-0+", "gemini-2.5-pro-preview-0+-*"],
        thinking(LeastThinking::Budget(128), V2_5),
        BUDGETS,
    ),
    row(&["gemini-2.5-*"], V2_5, OTHERS),
    row(
        &[
            "gemini-3-flash-preview",
            "gemini-3.1-flash-lite",
            "gemini-3.1-flash-lite-preview",
            "gemini-3.5-flash",
            "gemini-3.5-flash-preview",
        ],
        thinking(LeastThinking::Level("MINIMAL"), V3),
        LEVELS,
    ),
    row(
        &["gemini-3-pro-preview", "gemini-3.1-pro", "gemini-3.1-pro-preview-*"],
        thinking(LeastThinking::Level("LOW"), V3),
        LEVELS,
    ),
    row(
        &["gemini-3.5-flash-lite", "gemini-3.5-flash-lite-preview", "gemini-3.6-flash", "gemini-3.6-flash-preview"],
        thinking(LeastThinking::Level("MINIMAL"), V3_6),
        LEVELS,
    ),
    // Those to come, too, as long as nothing else is known of them: the strictest, and a level that all of them take.
    row(&["gemini-3-*"], thinking(LeastThinking::Level("LOW"), V3_6), LEVELS),
    row(&["gemini-4+-*"], V4, LEVELS),
    row(
        &["gemini-flash-latest", "gemini-flash-lite-latest", "gemini-pro-latest"],
        thinking(LeastThinking::Level("LOW"), V3_6),
        "ai.google.dev/gemini-api/docs/models#latest: the newest of their line",
    ),
    row(&["gemini-*"], Profile { most_tokens: None, ..V3_6 }, OTHERS),
    row(&["*"], Profile { most_tokens: None, ..OLD }, OTHERS),
];

/// What the user knows better than the table, or of a model that it doesn't have.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Facts {
    prefill: Option<bool>,
    signed_calls: Option<bool>,
    media_in_responses: Option<bool>,
    max_tokens: Option<u32>,
}

/// The setting `profile`.
pub(crate) type Setting = understudy_plugin::settings::Profile<Facts>;

impl Profile {
    /// The profile of a model, by whatever spelling of its name.
    pub(crate) fn of(model: &str, setting: &Setting) -> Self {
        let known = find(&PROFILES, setting.name(model)).map_or(OLD, |row| row.facts);
        let Setting::With(overrides) = setting else { return known };
        Self {
            prefill: overrides.prefill.unwrap_or(known.prefill),
            signs_calls: overrides.signed_calls.unwrap_or(known.signs_calls),
            nests_media: overrides.media_in_responses.unwrap_or(known.nests_media),
            least: known.least,
            most_tokens: overrides.max_tokens.or(known.most_tokens),
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
            let least = match p.least {
                Some(LeastThinking::Level(level)) => format!("`thinkingLevel` `{level}`"),
                Some(LeastThinking::Budget(tokens)) => format!("`thinkingBudget` {tokens}"),
                None => "–".to_owned(),
            };
            let most = p.most_tokens.map_or_else(|| "–".to_owned(), |tokens| tokens.to_string());
            let models: Vec<String> = models.iter().map(|model| format!("`{model}`")).collect();
            format!(
                "| {} | {} | {} | {} | {least} | {most} | {source}, {as_of} |\n",
                models.join(", "),
                yes(p.prefill),
                yes(p.signs_calls),
                yes(p.nests_media),
            )
        };
        let head = "| model | prefill | signed calls | images and PDF in a function's response | least thinking | most tokens written | source |\n\
            | --- | --- | --- | --- | --- | --- | --- |\n";
        PROFILES.iter().map(row).fold(head.to_owned(), |table, row| table + &row)
    }

    #[test]
    fn every_model_of_the_catalogue_is_known_through_and_through() {
        assert!(catalogue().iter().any(|model| model.name == DEFAULT));
        for model in catalogue() {
            let profile = of(&model.name);
            assert!(profile.least.is_some() && profile.signs_calls && profile.nests_media, "{}", model.name);
            for figure in [model.cost, model.speed, model.intelligence] {
                assert!((0.0..=1.0).contains(&figure), "{}: {figure}", model.name);
            }
        }
    }

    #[test]
    fn a_models_name_tells_what_it_takes_however_it_is_spelt() {
        let level = |level| Some(LeastThinking::Level(level));
        for (name, prefill, is_new, least, most) in [
            ("gemini-3.5-flash-lite", false, true, level("MINIMAL"), Some(65_536)),
            ("models/gemini-3.5-flash-lite", false, true, level("MINIMAL"), Some(65_536)),
            ("google/gemini-3.6-flash:nitro", false, true, level("MINIMAL"), Some(65_536)),
            ("gemini-3.6-flash-preview", false, true, level("MINIMAL"), Some(65_536)),
            ("gemini-3.5-flash", true, true, level("MINIMAL"), Some(65_536)),
            ("gemini-3-flash-preview", true, true, level("MINIMAL"), Some(65_536)),
            ("gemini-3.1-flash-lite", true, true, level("MINIMAL"), Some(65_536)),
            ("gemini-3-pro-preview", true, true, level("LOW"), Some(65_536)),
            ("gemini-3.1-pro-preview-customtools", true, true, level("LOW"), Some(65_536)),
            ("gemini-3.7-flash", false, true, level("LOW"), Some(65_536)),
            ("gemini-3.9-flash", false, true, level("LOW"), Some(65_536)),
            ("gemini-4-neon", false, true, level("LOW"), None),
            ("gemini-4-argon", false, true, level("LOW"), None),
            ("gemini-12-x", false, true, level("LOW"), None),
            ("gemini-flash-latest", false, true, level("LOW"), Some(65_536)),
            ("gemini-pro-latest", false, true, level("LOW"), Some(65_536)),
            ("gemini-3-pro-image", false, true, None, Some(65_536)),
            ("gemini-3.1-flash-image-preview", false, true, None, Some(65_536)),
            ("gemini-exp-1206", false, true, None, None),
            ("gemini-2.5-flash", true, false, Some(LeastThinking::Budget(0)), Some(65_536)),
            ("gemini-2.5-flash-lite-preview-09-2025", true, false, Some(LeastThinking::Budget(0)), Some(65_536)),
            ("gemini-2.5-pro", true, false, Some(LeastThinking::Budget(128)), Some(65_536)),
            ("gemini-2.5-flash-image", true, false, None, Some(65_536)),
            ("gemini-2.5-flash-preview-tts", true, false, None, Some(65_536)),
            ("gemini-2.0-flash", true, false, None, Some(8192)),
            ("gemini-1.5-flash", true, false, None, Some(8192)),
            ("gemma-3-27b-it", true, false, None, None),
            ("", true, false, None, None),
        ] {
            let (signs_calls, nests_media) = (is_new, is_new);
            let expected = Profile { prefill, signs_calls, nests_media, least, most_tokens: most };
            assert_eq!(of(name), expected, "{name}");
        }
    }

    #[test]
    fn settings_win_over_the_table() -> Result<(), serde_json::Error> {
        let setting: Setting = serde_json::from_str(
            r#"{"prefill": false, "signedCalls": true, "mediaInResponses": true, "maxTokens": 5}"#,
        )?;
        let expected =
            Profile { prefill: false, signs_calls: true, nests_media: true, least: None, most_tokens: Some(5) };
        assert_eq!(Profile::of("gemma-9", &setting), expected);
        let setting: Setting = serde_json::from_str(r#""gemini-2.5-flash""#)?;
        assert_eq!(Profile::of("my-own", &setting), of("gemini-2.5-flash"));
        assert!(
            serde_json::from_str::<Setting>(r#"{"prefil": true}"#).is_err_and(|e| e.to_string().contains("`prefil`"))
        );
        Ok(())
    }
}
