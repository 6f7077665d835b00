//! Text from peers, made fit for a terminal or a message; and names that are nearly right.

/// The text on one line, without control characters (escape sequences of terminals among them), cut at `most` characters.
#[must_use]
pub fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for c in text.trim().chars() {
        let c = if is_unsafe(c) { ' ' } else { c };
        if c == ' ' && line.ends_with(' ') {
            continue;
        }
        if count == most {
            line.push('…');
            break;
        }
        line.push(c);
        count += 1;
    }
    line
}

/// The text for a terminal: lines and tabs stay, other control characters are shown as `\u{1b}` and the like.
#[must_use]
pub fn for_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) && c != '\n' && c != '\t' {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A stranger's text between backticks, in `most` characters: without backticks, and with all that can't be seen escaped, as line breaks,
/// escape sequences and characters without width are.
#[must_use]
pub fn quoted(text: &str, most: usize) -> String {
    let (mut shown, mut count) = (String::new(), 0);
    for c in text.chars() {
        let piece = match c {
            '`' => "'".to_owned(),
            '"' | '\'' => c.to_string(),
            c => c.escape_debug().to_string(),
        };
        count += piece.chars().count();
        if count > most {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

/// Control characters, and those that change the direction of text.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The name that `wanted` was probably meant to be.
#[must_use]
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len().min(wanted.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// ` (did you mean `x`?)`, or nothing.
#[must_use]
pub fn did_you_mean<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wanted, names).map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// Names in backticks with commas between.
#[must_use]
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_never_reach_a_terminal() {
        assert_eq!(one_line("a\x1b[31m\r\nb\u{202e}c", 80), "a [31m b c");
        assert_eq!(for_terminal("a\x1b[31m\tb\n\u{9b}c"), "a\\u{1b}[31m\tb\n\\u{9b}c");
        assert_eq!(one_line("abcdef", 3), "abc…");
    }

    #[test]
    fn what_is_quoted_shows_all_that_is_in_it() {
        assert_eq!(quoted("it's \"a\"\n\u{1b}[1m`\u{200b}\u{202e}", 80), "it's \"a\"\\n\\u{1b}[1m'\\u{200b}\\u{202e}");
        assert_eq!(quoted("abcdef", 3), "abc…");
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("ehco", ["echo", "extractive"]), Some("echo"));
        assert_eq!(nearest("Anthropic", ["anthropic"]), Some("anthropic"));
        assert_eq!(nearest("zebra", ["echo", "extractive"]), None);
    }
}
