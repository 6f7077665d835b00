//! What a model takes and refuses: a table, and the one function that reads any spelling of a model's name.
//!
//! | spelling | whose | plain form |
//! | --- | --- | --- |
//! | `anthropic/claude-opus-4.8`, `openai/gpt-6-luna:nitro` | OpenRouter's, LiteLLM's | `claude-opus-4-8`, `gpt-6-luna` |
//! | `us.anthropic.claude-opus-5-5-v1:0`, also at the end of an ARN | Bedrock's | `claude-opus-5-5` |
//! | `claude-haiku-4-5@20251001` | Vertex AI's | `claude-haiku-4-5` |
//! | `models/gemini-3.5-flash` | Gemini's | `gemini-3-5-flash` |
//! | `gpt-5.4-mini-2026-03-17`, `claude-haiku-4-5-20251001` | a dated snapshot | `gpt-5-4-mini`, `claude-haiku-4-5` |

/// A row of a table: what is known of some models.
#[derive(Debug)]
pub struct Row<F: 'static> {
    /// Patterns of plain names, part by part (`gpt-6.1-terra`, `gpt-5-*`): `*` stands for any parts or none, `5+` for 5 or a
    /// higher number, `o1+` for `o1`, `o3` and so on.
    pub models: &'static [&'static str],
    /// What is known.
    pub facts: F,
    /// The day on which it was looked up.
    pub as_of: &'static str,
    /// Where it stands.
    pub source: &'static str,
}

/// The row whose pattern says the most of this name; of several, the first.
#[must_use]
pub fn find<'t, F>(table: &'t [Row<F>], name: &str) -> Option<&'t Row<F>> {
    let name = plain_name(name);
    let name: Vec<&str> = name.split('-').collect();
    let mut best: Option<(usize, &Row<F>)> = None;
    for row in table {
        let weight = row.models.iter().filter_map(|pattern| weight(pattern, &name)).max();
        if let Some(weight) = weight
            && best.is_none_or(|(of_best, _)| weight > of_best)
        {
            best = Some((weight, row));
        }
    }
    best.map(|(_, row)| row)
}

/// Whether a name is one of a pattern's.
#[must_use]
pub fn is_like(name: &str, pattern: &str) -> bool {
    weight(pattern, &plain_name(name).split('-').collect::<Vec<_>>()).is_some()
}

/// The name less all that isn't the model's own: who serves it and how, and the day of a snapshot. Lower case, its parts apart
/// by `-`.
#[must_use]
pub fn plain_name(name: &str) -> String {
    let name = name.trim().trim_end_matches('/').to_ascii_lowercase();
    let name = name.strip_prefix("ft:").unwrap_or(&name);
    // The name of the server stands before a slash, how it is served after a colon, a version after an at sign.
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.split([':', '@']).next().unwrap_or(name);
    let mut name = name.strip_prefix("databricks-").unwrap_or(name);
    let mut is_bedrock = false;
    while let Some((vendor, rest)) = name.split_once('.')
        && !vendor.is_empty()
        && !rest.is_empty()
        && vendor.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    {
        name = rest;
        is_bedrock = true;
    }
    let mut parts: Vec<&str> = parts(name);
    if is_bedrock && parts.len() > 1 && parts.last().is_some_and(|part| part.strip_prefix('v').is_some_and(is_number)) {
        parts.pop();
    }
    without_date(&parts).join("-")
}

fn parts(name: &str) -> Vec<&str> {
    name.split(['-', '.', '_']).filter(|part| !part.is_empty()).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without `20251001`, and without `2025`, `10` and `01` in a row.
fn without_date<'a>(parts: &[&'a str]) -> Vec<&'a str> {
    let is = |part: Option<&&str>, digits: usize| part.is_some_and(|part| part.len() == digits && is_number(part));
    let mut kept = Vec::with_capacity(parts.len());
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        let begins = part.starts_with("20");
        if begins && is(Some(part), 8) {
            at += 1;
        } else if begins && is(Some(part), 4) && is(parts.get(at + 1), 2) && is(parts.get(at + 2), 2) {
            at += 3;
        } else {
            kept.push(*part);
            at += 1;
        }
    }
    kept
}

/// How much the pattern says of the name, if it fits.
fn weight(pattern: &str, name: &[&str]) -> Option<usize> {
    of_parts(&parts(pattern), name)
}

fn of_parts(pattern: &[&str], name: &[&str]) -> Option<usize> {
    let Some((first, rest)) = pattern.split_first() else { return name.is_empty().then_some(0) };
    if *first == "*" {
        return (0..=name.len()).filter_map(|skipped| of_parts(rest, name.get(skipped..)?)).max();
    }
    let (part, after) = name.split_first()?;
    let here = if first == part { 2 } else { usize::from(is_at_least(first, part)?) };
    Some(here + of_parts(rest, after)?)
}

/// Whether a part is what `5+` or `o1+` stands for.
fn is_at_least(pattern: &str, part: &str) -> Option<bool> {
    let least = pattern.strip_suffix('+')?;
    let (letters, least) = least.split_at(least.find(|c: char| c.is_ascii_digit())?);
    let number = part.strip_prefix(letters).filter(|rest| is_number(rest))?;
    (number.parse::<u32>().ok()? >= least.parse::<u32>().ok()?).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_spelling_of_a_name_has_one_plain_form() {
        for (spelt, plain) in [
            ("claude-opus-4-8", "claude-opus-4-8"),
            ("anthropic/claude-opus-4.8", "claude-opus-4-8"),
            ("openrouter/anthropic/claude-opus-4.8:beta", "claude-opus-4-8"),
            ("us.anthropic.claude-opus-5-5-v1:0", "claude-opus-5-5"),
            ("global.anthropic.claude-opus-5-5-v1", "claude-opus-5-5"),
            ("us-gov.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
            ("anthropic.claude-opus-5-5", "claude-opus-5-5"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6-v1:0",
                "claude-sonnet-4-6",
            ),
            ("bedrock/converse/eu.anthropic.claude-sonnet-4-6-v1:0:200k", "claude-sonnet-4-6"),
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("claude-haiku-4-5@20251001", "claude-haiku-4-5"),
            ("vertex_ai/claude-haiku-4-5@default", "claude-haiku-4-5"),
            ("Claude-Haiku-4.5 ", "claude-haiku-4-5"),
            ("databricks-claude-opus-4-6", "claude-opus-4-6"),
            ("claude-3-7-sonnet-20250219-thinking", "claude-3-7-sonnet-thinking"),
            ("models/gemini-3.5-flash", "gemini-3-5-flash"),
            ("publishers/google/models/gemini-3.5-flash", "gemini-3-5-flash"),
            ("openai/gpt-6-luna:nitro", "gpt-6-luna"),
            ("azure/GPT-6.1-Terra", "gpt-6-1-terra"),
            ("gpt-5.4-mini-2026-03-17", "gpt-5-4-mini"),
            ("ft:gpt-4o-mini-2024-07-18:acme::abc", "gpt-4o-mini"),
            ("openai.gpt-oss-120b-1:0", "gpt-oss-120b-1"),
            ("accounts/fireworks/models/deepseek-v3p1", "deepseek-v3p1"),
            ("deepseek-v4", "deepseek-v4"),
            ("qwen3:8b", "qwen3"),
            ("mistral-large-2411", "mistral-large-2411"),
            ("", ""),
        ] {
            assert_eq!(plain_name(spelt), plain, "{spelt}");
        }
    }

    #[test]
    fn the_row_that_says_most_of_a_name_is_the_one() {
        let row = |models, facts| Row { models, facts, as_of: "", source: "" };
        let table = [
            row(&["*"], "any"),
            row(&["gpt-5+-*"], "five and later"),
            row(&["gpt-5.4-mini", "gpt-6.1-terra"], "these"),
            row(&["gpt-35-*"], "old"),
            row(&["o1+-*"], "o"),
        ];
        for (name, facts) in [
            ("gpt-5", "five and later"),
            ("openai/gpt-12-nova-2031-01-02", "five and later"),
            ("gpt-5.4-mini-2026-03-17", "these"),
            ("gpt-5.4", "five and later"),
            ("gpt-35-turbo", "old"),
            ("gpt-4o", "any"),
            ("o4-mini", "o"),
            ("olmo-2", "any"),
        ] {
            assert_eq!(find(&table, name).map(|row| row.facts), Some(facts), "{name}");
        }
        assert!(find::<()>(&[], "gpt-5").is_none());
        assert!(is_like("mistralai/Magistral-Small-2509", "magistral-*"));
        assert!(!is_like("magistrate", "magistral-*"));
    }
}
