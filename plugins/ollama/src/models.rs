//! What the models that people run take and refuse. There is no catalogue: the models are those that the user has pulled.

use understudy_plugin::models::{Row, find};

use crate::settings::Think;

/// The least thinking that a model takes. Thinking counts towards `num_predict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Least {
    /// `think` `false`, which models that can't think take, too.
    Off,
    /// `think` at this level: the model can't do without.
    Level(&'static str),
}

/// The profiles.
static PROFILES: [Row<Least>; 2] = [
    row(
        &["gpt-oss-*"],
        Least::Level("low"),
        "docs.ollama.com/capabilities/thinking: takes levels only, and can't be switched off",
    ),
    row(&["*"], Least::Off, "docs.ollama.com/capabilities/thinking"),
];

const fn row(models: &'static [&'static str], facts: Least, source: &'static str) -> Row<Least> {
    Row { models, facts, as_of: "2026-11-29", source }
}

/// What to send as `think` where the user doesn't say.
pub(crate) fn least_thinking(model: &str) -> Think {
    match find(&PROFILES, model).map_or(Least::Off, |row| row.facts) {
        Least::Off => Think::Whether(false),
        Least::Level(level) => Think::Level(level.to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The profiles as `docs/providers.md` has them.
    pub(crate) fn table() -> String {
        let row = |Row { models, facts, as_of, source }: &Row<Least>| {
            let least = match facts {
                Least::Off => "`think` `false`".to_owned(),
                Least::Level(level) => format!("`think` `{level}`"),
            };
            let models: Vec<String> = models.iter().map(|model| format!("`{model}`")).collect();
            format!("| {} | {least} | {source}, {as_of} |\n", models.join(", "))
        };
        let head = "| model | least thinking | source |\n| --- | --- | --- |\n";
        PROFILES.iter().map(row).fold(head.to_owned(), |table, row| table + &row)
    }

    #[test]
    fn a_model_is_known_by_every_spelling_of_its_name() {
        for name in ["gpt-oss", "gpt-oss:20b", "library/gpt-oss:120b-cloud", "hf.co/unsloth/gpt-oss-20b-GGUF:Q4_K_M"] {
            assert!(matches!(least_thinking(name), Think::Level(level) if level == "low"), "{name}");
        }
        for name in ["qwen3:8b", "gpt-4", "llama3.3"] {
            assert!(matches!(least_thinking(name), Think::Whether(false)), "{name}");
        }
    }
}
