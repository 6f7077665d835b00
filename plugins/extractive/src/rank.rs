//! Sentences, and which of them say most.

use std::collections::{BTreeMap, BTreeSet};

/// Some sentences of a text, in their own order.
pub(crate) struct Summary {
    pub(crate) text: String,
    /// Whether the word limit left something out that was wanted.
    pub(crate) cut: bool,
}

/// The `wanted` most salient sentences, of at most `most_words` words together.
pub(crate) fn summarize(text: &str, wanted: usize, most_words: usize) -> Summary {
    let all = sentences(text);
    let words: Vec<Vec<String>> = all.iter().map(|sentence| content_words(sentence)).collect();
    let mut weight: BTreeMap<&str, f64> = BTreeMap::new();
    for word in words.iter().flatten() {
        *weight.entry(word).or_default() += 1.0;
    }
    let mut chosen = BTreeSet::new();
    let (mut left, mut cut) = (most_words, false);
    while chosen.len() < wanted {
        let score = |i: usize, words: &[String]| {
            let sum: f64 = words.iter().filter_map(|word| weight.get(word.as_str())).sum();
            #[expect(clippy::cast_precision_loss, reason = "counts of words and sentences are small")]
            // A short sentence is often a heading; an early one often says what the rest is about.
            let (length, place) = (words.len().max(6) as f64, 1.0 / (1.0 + i as f64 / 4.0));
            sum / length * (1.0 + 0.3 * place)
        };
        let rest = words.iter().enumerate().filter(|(i, words)| !chosen.contains(i) && !words.is_empty());
        let Some((best, _)) =
            rest.map(|(i, words)| (i, score(i, words))).max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)))
        else {
            break;
        };
        let length = all.get(best).map_or(0, |sentence| sentence.split_whitespace().count());
        if length > left {
            cut = true;
            break;
        }
        left -= length;
        for word in words.get(best).into_iter().flatten() {
            if let Some(weight) = weight.get_mut(word.as_str()) {
                *weight *= 0.5;
            }
        }
        chosen.insert(best);
    }
    if chosen.is_empty() {
        // Not even the best fits, or nothing is a sentence: the beginning, as far as it goes.
        let start: Vec<&str> = text.split_whitespace().take(most_words).collect();
        return Summary { cut: start.len() < text.split_whitespace().count(), text: start.join(" ") };
    }
    let text: Vec<&str> = chosen.iter().filter_map(|i| all.get(*i)).map(String::as_str).collect();
    Summary { text: text.join(" "), cut }
}

/// The text's sentences, each on one line. An instruction that ends in a colon (`Please summarize the following text:`) is
/// not one of them.
fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut start = 0;
        for (i, c) in paragraph.char_indices() {
            let end = i + c.len_utf8();
            let next = paragraph.get(end..).and_then(|rest| rest.chars().next());
            let ends = matches!(c, '。' | '！' | '？')
                || (matches!(c, '.' | '!' | '?') && next.is_none_or(char::is_whitespace));
            if ends && !is_abbreviation(paragraph.get(start..i).unwrap_or_default()) {
                sentences.push(paragraph.get(start..end).unwrap_or_default());
                start = end;
            }
        }
        sentences.push(paragraph.get(start..).unwrap_or_default());
    }
    sentences
        .into_iter()
        .map(without_instruction)
        .map(|sentence| sentence.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|sentence| !sentence.is_empty())
        .collect()
}

/// The part behind an instruction's colon at a line's end.
fn without_instruction(sentence: &str) -> &str {
    sentence
        .rsplit_once(":\n")
        .map_or_else(|| if sentence.trim_end().ends_with(':') { "" } else { sentence }, |(_, rest)| rest)
}

/// Whether a full stop behind this belongs to an abbreviation or an initial.
fn is_abbreviation(before: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let mut letters = word.chars();
    let initial = letters.next().is_some_and(char::is_uppercase) && letters.next().is_none();
    let initials = word.contains('.') && word.split('.').all(|part| part.chars().count() == 1);
    initial || initials || matches!(word, "Mr" | "Mrs" | "Ms" | "Dr" | "St" | "vs" | "etc" | "cf" | "No" | "Prof")
}

/// A sentence's words that carry meaning, in lower case.
fn content_words(sentence: &str) -> Vec<String> {
    sentence
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() > 2 && !STOP_WORDS.contains(&word.as_str()))
        .collect()
}

const STOP_WORDS: [&str; 72] = [
    "the", "and", "for", "are", "but", "not", "you", "all", "any", "can", "had", "her", "was", "one", "our", "out",
    "has", "him", "his", "how", "its", "may", "new", "now", "old", "see", "two", "who", "did", "get", "she", "too",
    "use", "that", "this", "with", "from", "they", "will", "would", "there", "their", "what", "which", "when", "were",
    "been", "have", "into", "than", "then", "them", "these", "those", "some", "such", "only", "over", "also", "more",
    "most", "other", "about", "after", "before", "because", "between", "could", "should", "where", "while", "through",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_people_end_them() {
        assert_eq!(
            sentences(
                "Please summarize\nthe following text:\n\nDr. Smith of H.M.S. Beagle went home, i.e. north. He slept!\n\nA heading\n\nVersion 2.5 is out"
            ),
            ["Dr. Smith of H.M.S. Beagle went home, i.e. north.", "He slept!", "A heading", "Version 2.5 is out"]
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_said_so() {
        let summary = summarize("One two three four five six seven.", 3, 4);
        assert!(summary.cut);
        assert_eq!(summary.text, "One two three four");
    }

    #[test]
    fn nothing_gives_nothing() {
        let summary = summarize("", 3, 4);
        assert_eq!((summary.text.as_str(), summary.cut), ("", false));
    }
}
