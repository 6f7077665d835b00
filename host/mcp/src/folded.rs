//! Text as the most lenient reader compares it: case, white space, invisible characters and full-width letters make no difference.

/// Up to the first NUL, where readers in C end; without white space, control and invisible characters; full-width letters as ASCII; case folded.
#[must_use]
pub fn folded(text: &str) -> String {
    let text = text.trim_start_matches(is_nothing);
    everything(text.split('\0').next().unwrap_or_default())
}

/// [`folded`] for all of a text, NULs included.
#[must_use]
pub fn everything(text: &str) -> String {
    // To upper case first: `ſ` and `K` are another case of `s` and `k`.
    text.chars()
        .filter(|c| !is_nothing(*c))
        .map(plain)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether two texts are the same to such a reader. Returns early where the first letters differ.
#[must_use]
pub fn same(text: &str, other: &str) -> bool {
    let differs_early = |(one, two): (char, char)| one.is_ascii_lowercase() && two.is_ascii_lowercase() && one != two;
    !text.chars().zip(other.chars()).next().is_some_and(differs_early) && folded(text) == folded(other)
}

fn is_nothing(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fffd}' | '\u{e0000}'..='\u{e0fff}')
}

/// A full-width character as the ASCII one that it stands for.
fn plain(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_spelling_alone_is_the_same() {
        for text in [
            "maxTokens",
            "MAXTOKENS",
            " maxTokens ",
            "maxTokens\0",
            "\0maxTokens\0x",
            "max\u{200b}Tokens",
            "ｍaxTokens",
            "maxTo\u{212a}en\u{17f}",
            "\u{feff}maxTokens",
            "max Tokens",
        ] {
            assert!(same(text, "maxTokens"), "{text:?}");
        }
        for text in ["maxToken", "xmaxTokens", "max_tokens", "", "\0"] {
            assert!(!same(text, "maxTokens"), "{text:?}");
        }
    }
}
