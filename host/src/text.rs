//! Text from peers, escaped for a terminal or a message; and suggestions for misspelt names.

/// The text on one line, without control characters (escape sequences of terminals among them), hidden characters shown as `\u{200b}` and
/// the like, cut at `most` characters.
#[must_use]
pub fn one_line(text: &str, most: usize) -> String {
    let mut line = String::new();
    let mut count = 0;
    for c in text.trim().chars() {
        let c = if c.is_control() || changes_layout(c) { ' ' } else { c };
        if c == ' ' && line.ends_with(' ') {
            continue;
        }
        if count == most {
            line.push('…');
            break;
        }
        if is_hidden(c) {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
        count += 1;
    }
    line
}

/// The text for a terminal: lines and tabs stay, control characters and hidden ones are shown as `\u{1b}` and the like. Of the hidden
/// ones, those stay that scripts and emoji are written with, where they stand between characters beyond ASCII: the two joiners
/// (U+200C, U+200D) and the variation selectors U+FE00 to U+FE0F.
#[must_use]
pub fn for_terminal(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let (mut before, mut chars) = ('\n', text.chars().peekable());
    while let Some(c) = chars.next() {
        let after = chars.peek().copied().unwrap_or('\n');
        if joins(before, c, after) {
            shown.push(c);
        } else {
            show(c, &mut shown);
        }
        // What is shown as a code joins nothing.
        before = if shown.ends_with(c) { c } else { '\n' };
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

/// Adds text for a log: as `for_terminal`, but every hidden character is shown.
pub fn for_log(text: &str, shown: &mut String) {
    for c in text.chars() {
        show(c, shown);
    }
}

/// Bytes that come in pieces, made fit for a terminal as a log is. What is no UTF-8 becomes U+FFFD,
/// and a carriage return ends the line, as it would otherwise be written over.
#[derive(Debug, Default)]
pub struct Terminal {
    /// The beginning of a character.
    rest: Vec<u8>,
    /// Whether the last character was a carriage return.
    has_returned: bool,
}

impl Terminal {
    /// Adds a piece to what is shown, less a character that isn't complete.
    pub fn add(&mut self, piece: &[u8], shown: &mut String) {
        let bytes = [std::mem::take(&mut self.rest).as_slice(), piece].concat();
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for c in chunk.valid().chars() {
                match c {
                    '\n' if self.has_returned => {}
                    '\r' => shown.push('\n'),
                    c => show(c, shown),
                }
                self.has_returned = c == '\r';
            }
            let is_last = chunks.peek().is_none();
            if is_last && may_go_on(chunk.invalid()) {
                self.rest = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                shown.push(char::REPLACEMENT_CHARACTER);
                self.has_returned = false;
            }
        }
    }

    /// Adds what is left at the end.
    pub fn end(&mut self, shown: &mut String) {
        if !std::mem::take(&mut self.rest).is_empty() {
            shown.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Whether these bytes, which are no character, may be the beginning of one.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Shows a character as it is if it can do no harm.
fn show(c: char, shown: &mut String) {
    let is_harmless = matches!(c, '\n' | '\t') || !(c.is_control() || changes_layout(c) || is_hidden(c));
    if is_harmless { shown.push(c) } else { shown.extend(c.escape_unicode()) }
}

/// Line and paragraph separators, and characters that change the direction of text.
fn changes_layout(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters that nobody sees, by which text can be hidden from its reader: Unicode's `Default_Ignorable_Code_Point`, and the anchors of
/// interlinear annotations.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a hidden character belongs to its neighbours: a joiner between two, a variation selector behind one.
fn joins(before: char, c: char, after: char) -> bool {
    let is_visible = |c: char| !c.is_ascii() && !c.is_control() && !is_hidden(c) && !changes_layout(c);
    let is_key = |c: char| c.is_ascii_digit() || matches!(c, '#' | '*');
    match c {
        '\u{200c}' => is_visible(before) && is_visible(after),
        // Emoji may have a variation selector before it.
        '\u{200d}' => (is_visible(before) || before == '\u{fe0f}') && is_visible(after),
        // Keycaps are ASCII.
        '\u{fe00}'..='\u{fe0f}' => is_visible(before) || (c == '\u{fe0f}' && is_key(before) && after == '\u{20e3}'),
        _ => false,
    }
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
    fn hidden_text_is_shown() {
        let hidden = "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180e}\u{200b}\u{200e}\u{200f}\u{2060}\u{2064}\u{206a}\u{3164}\u{feff}\u{ffa0}\u{fff9}\u{fffb}\u{e0041}\u{e007f}\u{e0100}\u{e01ef}";
        for c in hidden.chars().chain("\u{2028}\u{202a}\u{202e}\u{2066}\u{2069}\u{85}\u{9b}\r\0".chars()) {
            let escaped = c.escape_unicode().to_string();
            assert_eq!(for_terminal(&format!("a{c}é")), format!("a{escaped}é"));
            let line = one_line(&format!("a{c}b"), 80);
            assert!(line == format!("a{escaped}b") || line == "a b", "{line}");
        }
    }

    #[test]
    fn what_scripts_and_emoji_are_written_with_stays_and_hides_nothing() {
        for text in
            ["می\u{200c}خواهم", "👩\u{200d}💻", "👩\u{200d}❤\u{fe0f}\u{200d}👨", "1\u{fe0f}\u{20e3}", "☃\u{fe0e}"]
        {
            assert_eq!(for_terminal(text), text);
        }
        assert_eq!(for_terminal("a\u{200d}b"), "a\\u{200d}b");
        assert_eq!(for_terminal("☃\u{fe01}\u{fe02}"), "☃\u{fe01}\\u{fe02}");
        assert_eq!(for_terminal("م\u{200c}\u{200d}م"), "م\\u{200c}\\u{200d}م");
    }

    #[test]
    fn bytes_are_shown_alike_however_they_are_cut() {
        let bytes = b"\x1b]0;t\x07\x9b2J\xc2\x9b2J a\rb\r\nc\xf0\x9f\x91\xa9\xe2\x80\x8d\xff\xe2\x80";
        let whole = "\\u{1b}]0;t\\u{7}\u{fffd}2J\\u{9b}2J a\nb\nc👩\\u{200d}\u{fffd}\u{fffd}";
        for size in 1..=bytes.len() {
            let (mut terminal, mut shown) = (Terminal::default(), String::new());
            for piece in bytes.chunks(size) {
                terminal.add(piece, &mut shown);
            }
            terminal.end(&mut shown);
            assert_eq!(shown, whole, "in pieces of {size}");
        }
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("ehco", ["echo", "extractive"]), Some("echo"));
        assert_eq!(nearest("Anthropic", ["anthropic"]), Some("anthropic"));
        assert_eq!(nearest("zebra", ["echo", "extractive"]), None);
    }
}
