//! Finding a value in text, in any encoding.
//!
//! A server that repeats a value escapes or encodes it in its own format, and a proxy or a log may do so again. So the search removes up to [`DEPTH`]
//! layers of encoding in any order, one at a time ([`View`]), and looks for the value behind each. It does so only near hints of a layer: an escape
//! sequence of a relevant character, or a long row of digits. Its time grows linearly with the text.

use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem;

use super::escape::{escape, quoted};
use super::view::View;

/// The most layers that are removed.
const DEPTH: usize = 4;

/// The most bytes that encode one byte of the value. It determines how far around a hint the search goes.
const LONGEST: usize = 16;

/// The bytes that are searched at a time, which bounds the memory of decoded text.
const PART: usize = 64 << 10;

/// The fewest Base64 characters in a row that are decoded: shorter rows are words.
const WORD: usize = 16;

/// A value to search for.
pub(super) struct Search<'a> {
    value: &'a [u8],
    /// The number of its bytes in a row that count as a match: three quarters.
    enough: usize,
    /// What every such piece holds.
    middle: memmem::Finder<'a>,
    /// An escape sequence is a hint if it stands for one of these characters.
    matters: [bool; 256],
}

impl<'a> Search<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        let enough = (value.len() * 3).div_ceil(4);
        let middle = value.get(value.len() - enough..enough).unwrap_or(value);
        let mut matters = [false; 256];
        // The value's own, those of Base64 and of digits, and those that begin an escape sequence.
        for (byte, matters) in (0..=u8::MAX).zip(&mut matters) {
            *matters = byte.is_ascii_alphanumeric() || b"+/=%&\\".contains(&byte);
        }
        for byte in value {
            if let Some(matters) = matters.get_mut(usize::from(*byte)) {
                *matters = true;
            }
        }
        Self { value, enough, middle: memmem::Finder::new(middle), matters }
    }

    /// The ranges that contain the value, or three quarters of it: in order, without overlaps.
    pub(super) fn spans(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.plain(text, |span| found.push(span));
        let reach = self.value.len() * LONGEST;
        let step = PART.max(reach * 4);
        for window in windows(self.hints(text, false), reach, text.len()) {
            for from in window.clone().step_by(step) {
                let part = text.get(from..window.end.min(from + step + 2 * reach)).unwrap_or_default();
                self.behind(View::of(part), &mut |span| found.push(from + span.start..from + span.end));
            }
        }
        merged(found)
    }

    /// Searches the text itself, and the text behind each layer that it may have, layer after layer. A text that results from several orders of
    /// layers is searched once.
    fn behind(&self, view: View, found: &mut dyn FnMut(Range<usize>)) {
        let (mut level, mut seen) = (vec![view], HashSet::new());
        for depth in (0..=DEPTH).rev() {
            // Behind the last layer no further layer is looked for.
            let may = |bytes: &[u8]| {
                self.middle.find(bytes).is_some()
                    || (depth > 1 && is_text(bytes) && self.hints(bytes, true).next().is_some())
            };
            let mut next = Vec::new();
            for view in std::mem::take(&mut level) {
                if !seen.insert(view.mark()) {
                    continue;
                }
                self.plain(&view.bytes, |span| found(view.place(&span)));
                if depth > 0 {
                    let plain = [view.unescaped(), view.unquoted(), view.decimals(self.enough)].into_iter().flatten();
                    next.extend(plain.filter(|read| may(&read.bytes)));
                    next.append(&mut view.base64(self.enough * 4 / 3, may));
                    next.append(&mut view.hex(self.enough * 2, may));
                }
            }
            level = next;
        }
    }

    /// The value, and large enough pieces of it, without any encoding.
    fn plain(&self, text: &[u8], mut found: impl FnMut(Range<usize>)) {
        let (edge, length) = (self.value.len() - self.enough, self.value.len());
        let middle = 2 * self.enough - length;
        let (mut from, mut is_whole) = (0, false);
        while let Some(at) = text.get(from..).and_then(|rest| self.middle.find(rest)).map(|at| from + at) {
            let same = |(a, b): &(&u8, &u8)| a == b;
            let before = text.get(..at).unwrap_or_default().iter().rev();
            let left = before.zip(self.value.get(..edge).unwrap_or_default().iter().rev()).take_while(same).count();
            let after = text.get(at + middle..).unwrap_or_default().iter();
            let right = after.zip(self.value.get(self.enough..).unwrap_or_default()).take_while(same).count();
            from = at + 1;
            if left + middle + right >= self.enough {
                from = at + middle + right;
                is_whole |= left + middle + right < length;
                found(at - left..from);
            }
        }
        // In a value with repetitions, a piece may match beside the value itself.
        if is_whole {
            for at in memmem::find_iter(text, self.value) {
                found(at..at + length);
            }
        }
    }

    /// Places at which the value may be encoded, in any order. Behind a layer, more places count.
    fn hints<'t>(&'t self, text: &'t [u8], is_inner: bool) -> impl Iterator<Item = Range<usize>> + 't {
        let matters = move |byte: u8| self.matters.get(usize::from(byte)).is_some_and(|matters| *matters);
        let rest = move |at: usize| text.get(at..).unwrap_or_default();
        let of_backslash = move |at: usize| {
            let more = rest(at).iter().take(2 << DEPTH).take_while(|byte| **byte == b'\\').count();
            escape(rest(at + more - 1)).is_some_and(|(byte, _)| byte.is_none_or(matters))
        };
        let escapes = memchr::memchr3_iter(b'\\', b'%', b'&', text).filter(move |at| match text.get(*at) {
            Some(b'\\') => of_backslash(*at),
            _ => escape(rest(*at)).is_some_and(|(byte, _)| byte.is_none_or(matters)),
        });
        // The end of a continued line may be escaped.
        let quoteds = memchr::memchr_iter(b'=', text).filter(move |at| match rest(*at) {
            [_, b'\\', b'n' | b'r' | b'u' | b'\\', ..] | [_, b'%', b'0', ..] | [_, b'&', b'#', ..] => true,
            rest => quoted(rest).is_some_and(|(byte, _)| byte.is_none_or(matters)),
        });
        let is_wide = move |at: &usize| matches!(rest(*at), [0, one, 0, other, 0, ..] if *one != 0 && *other != 0);
        let wide = memchr::memchr_iter(0, text).filter(is_wide);
        // A row that is too short for the value may continue in the next line, whose beginning may be encoded as well. An id in an answer
        // doesn't.
        let least = self.enough * 4 / 3;
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
        let is_end = |byte: &u8| matches!(byte, b'\\' | b'%' | b'&' | b';' | b'=' | b'\r' | b'\n');
        let goes_on = move |row: &Range<usize>| {
            let before = text.get(..row.start).unwrap_or_default().iter().rev().find(|byte| !is_blank(byte));
            before.is_some_and(is_end) || rest(row.end).iter().find(|byte| !is_blank(byte)).is_some_and(is_end)
        };
        let words = Rows { text, least: WORD, at: WORD - 1, is: |byte| is_base64(byte) };
        let words = words.filter(move |row| is_inner || row.len() >= least || goes_on(row));
        let numbers =
            Rows { text, least: self.enough * 3 - 1, at: self.enough * 3 - 2, is: |byte| is_of_numbers(byte) };
        let enough = self.enough;
        let numbers = numbers.filter(move |row| {
            let row = text.get(row.clone()).unwrap_or_default();
            row.iter().filter(|byte| byte.is_ascii_hexdigit()).count() >= enough
        });
        escapes.chain(quoteds).chain(wide).map(|at| at..at + 1).chain(words).chain(numbers)
    }
}

/// Rows of at least this many characters of a kind. Only one character in this many is examined.
struct Rows<'t, F> {
    text: &'t [u8],
    least: usize,
    at: usize,
    is: F,
}

impl<F: Fn(u8) -> bool> Iterator for Rows<'_, F> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            let at = self.at;
            if !(self.is)(*self.text.get(at)?) {
                self.at += self.least;
                continue;
            }
            let before = self.text.get(..at)?.iter().rev().take_while(|byte| (self.is)(**byte)).count();
            let end = at + self.text.get(at..)?.iter().take_while(|byte| (self.is)(**byte)).count();
            self.at = end + self.least;
            if end - (at - before) >= self.least {
                return Some(at - before..end);
            }
        }
    }
}

/// Whether decoded bytes may have another layer. An image in Base64, or digits decoded from the wrong one on, gives random bytes, half of which are
/// beyond ASCII.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().filter(|byte| !byte.is_ascii()).count() * 4 <= bytes.len()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// The characters of lists of bytes, in hexadecimal or decimal digits, and of their separators, escaped or not.
fn is_of_numbers(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte.is_ascii_whitespace() || b"xXnrtu{}:;,-\\\"'%&#".contains(&byte)
}

/// The ranges around hints, within the text.
fn windows(hints: impl Iterator<Item = Range<usize>>, reach: usize, length: usize) -> Vec<Range<usize>> {
    let mut around: Vec<Range<usize>> = Vec::new();
    for hint in hints {
        let (start, end) = (hint.start.saturating_sub(reach), (hint.end + reach).min(length));
        match around.last_mut() {
            // A text with hints has many, and most come in order.
            Some(last) if last.start <= start && start <= last.end => last.end = last.end.max(end),
            _ => around.push(start..end),
        }
    }
    merged(around)
}

/// Sorts ranges, and joins those that overlap.
fn merged(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.sort_unstable_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
    use fastrand::Rng;

    use super::*;

    fn each(text: &[u8], spelt: impl Fn(u8) -> String) -> Vec<u8> {
        text.iter().map(|byte| spelt(*byte)).collect::<String>().into_bytes()
    }

    /// Those that aren't letters or digits in this way, and the others as they are.
    fn special(text: &[u8], spelt: impl Fn(u8) -> String) -> Vec<u8> {
        each(text, |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { spelt(byte) })
    }

    fn lines(text: &str, columns: usize, end: &str) -> Vec<u8> {
        let lines = text.as_bytes().chunks(columns).map(|line| String::from_utf8_lossy(line).into_owned());
        lines.collect::<Vec<_>>().join(end).into_bytes()
    }

    type Spelling = (&'static str, fn(&[u8]) -> Vec<u8>);

    /// How servers, proxies and logs spell what they repeat.
    const SPELLINGS: [Spelling; 30] = [
        ("JSON", |text| serde_json::to_vec(&String::from_utf8_lossy(text)).unwrap()),
        ("PHP's JSON", |text| special(text, |byte| format!("\\{}", char::from(byte)))),
        ("JSON's numbers", |text| each(text, |byte| format!("\\u{byte:04x}"))),
        ("some of JSON's numbers", |text| special(text, |byte| format!("\\u{byte:04X}"))),
        ("ECMAScript", |text| special(text, |byte| format!("\\u{{{byte:x}}}"))),
        ("C", |text| each(text, |byte| format!("\\x{byte:02x}"))),
        ("C's octal", |text| special(text, |byte| format!("\\{byte:03o}"))),
        ("a URL", |text| special(text, |byte| format!("%{byte:02X}"))),
        ("all of a URL", |text| each(text, |byte| format!("%{byte:02x}"))),
        ("escape()", |text| special(text, |byte| format!("%u{byte:04X}"))),
        ("HTML's numbers", |text| special(text, |byte| format!("&#{byte};"))),
        ("HTML's hexadecimal", |text| each(text, |byte| format!("&#x{byte:X};"))),
        ("HTML's padded numbers", |text| special(text, |byte| format!("&#{byte:05};"))),
        ("HTML's names", |text| {
            special(text, |byte| match byte {
                b'/' => "&sol;".to_owned(),
                b'=' => "&equals;".to_owned(),
                b'+' => "&plus;".to_owned(),
                b'_' => "&lowbar;".to_owned(),
                b'.' => "&period;".to_owned(),
                b'&' => "&amp;".to_owned(),
                b'"' => "&quot;".to_owned(),
                byte => format!("&#{byte};"),
            })
        }),
        ("quoted-printable", |text| {
            let text = String::from_utf8_lossy(text).replace('=', "=3D");
            lines(&text, 7, "=\r\n")
        }),
        ("Base64", |text| BASE64_STANDARD.encode(text).into_bytes()),
        ("Base64 without padding", |text| BASE64_STANDARD_NO_PAD.encode(text).into_bytes()),
        ("Base64 of URLs", |text| BASE64_URL_SAFE.encode(text).into_bytes()),
        ("Base64 of URLs without padding", |text| BASE64_URL_SAFE_NO_PAD.encode(text).into_bytes()),
        ("Base64 in lines", |text| lines(&BASE64_STANDARD.encode(text), 76, "\r\n")),
        ("Base64 in shorter lines", |text| lines(&BASE64_STANDARD.encode(text), 20, "\n  ")),
        ("hexadecimal", |text| hex::encode(text).into_bytes()),
        ("upper hexadecimal", |text| hex::encode_upper(text).into_bytes()),
        ("hexadecimal with 0x", |text| format!("0x{}", hex::encode(text)).into_bytes()),
        ("hexadecimal bytes", |text| each(text, |byte| format!("{byte:02x} "))),
        ("hexadecimal with colons", |text| each(text, |byte| format!("{byte:02X}:"))),
        ("a list of hexadecimal", |text| each(text, |byte| format!("0x{byte:02x}, "))),
        ("a list of numbers", |text| each(text, |byte| format!("{byte},"))),
        ("a list of numbers in lines", |text| each(text, |byte| format!("{byte},\n        "))),
        ("UTF-16", |text| text.iter().flat_map(|byte| [*byte, 0]).collect()),
    ];

    fn key(random: &mut Rng) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/=";
        (0..random.usize(16..90)).map(|_| char::from(alphabet[random.usize(..alphabet.len())])).collect()
    }

    fn kept(text: &[u8], spans: &[Range<usize>]) -> Vec<u8> {
        let (mut kept, mut at) = (Vec::new(), 0);
        for span in spans {
            kept.extend_from_slice(&text[at..span.start]);
            kept.push(b'!');
            at = span.end;
        }
        kept.extend_from_slice(&text[at..]);
        kept
    }

    #[test]
    fn each_spelling_is_found_and_nothing_beside_it_is_cut() {
        for key in ["sk-proj-AbCdEf0123456789xyz", "aB3/cD4+eF5=gH6_iJ7.kL8=", "0123456789abcdef"] {
            let search = Search::new(key.as_bytes());
            for (name, spelt) in SPELLINGS {
                let spelt = spelt(key.as_bytes());
                let text = [b"{\"a\":\"x. ".as_slice(), &spelt, b" .y\",\"b\":\"\\n\"}"].concat();
                let spans = search.spans(&text);
                let kept = String::from_utf8_lossy(&kept(&text, &spans)).into_owned();
                assert_eq!(spans.len(), 1, "{name}: {kept}");
                let cut = kept.replace(['\0', '"', ' ', ',', ':', '\n'], "");
                assert!(cut.starts_with("{ax.") && cut.ends_with(".yb\\n}"), "{name}: {kept}");
                assert!(kept.len() < 40, "{name}: {kept}");
                assert!(search.spans(kept.as_bytes()).is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn chains_of_spellings_are_found_wherever_they_are() {
        let mut random = Rng::with_seed(19);
        for _ in 0..400 {
            let key = key(&mut random);
            let search = Search::new(key.as_bytes());
            let mut around = |text: Vec<u8>| {
                let pad: fn(&mut Rng, usize) -> Vec<u8> =
                    |random, most| (0..random.usize(..most)).map(|_| random.alphanumeric() as u8).collect();
                [pad(&mut random, 9), b" ".to_vec(), text, b" ".to_vec(), pad(&mut random, 9)].concat()
            };
            let mut text = around(key.clone().into_bytes());
            let mut names = Vec::new();
            for _ in 0..random.usize(1..4) {
                let (name, spelt) = SPELLINGS[random.usize(..SPELLINGS.len())];
                names.push(name);
                text = spelt(&text);
            }
            let filler =
                b"{\"id\":\"chatcmpl-9f8e7d6c5b4a39281706\",\"text\":\"So \\\"it\\\" is.\\n 100% & more = less\"}\n";
            let before: Vec<u8> = filler.repeat(random.usize(..4));
            let text = [before, b" ".to_vec(), text, b" ".to_vec(), filler.to_vec()].concat();
            let spans = search.spans(&text);
            assert!(!spans.is_empty(), "{key} in {names:?}: {}", String::from_utf8_lossy(&text));
            let kept = kept(&text, &spans);
            assert!(search.spans(&kept).is_empty(), "{key} in {names:?}");
            assert!(kept.starts_with(filler) || text.starts_with(b" ") || kept.len() > filler.len(), "{names:?}");
        }
    }

    #[test]
    fn a_text_without_the_value_is_left_alone() {
        let mut random = Rng::with_seed(7);
        let key = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";
        let search = Search::new(key.as_bytes());
        let half = &key[..key.len() / 2];
        let encoded = BASE64_STANDARD.encode([b'x'; 1000]);
        let pieces = [
            "{\"a\":",
            "\"\\u0073k\"",
            "sk-ant-api03-",
            half,
            "%73%6b",
            "&#115;k-ant",
            "=73",
            "\\\\\\\\",
            "73 6b 2d ",
            "115, 107, ",
            &encoded,
            "c2stYW50LWFwaTAz",
            "\0s\0k\0",
            "[credential]",
            " the key is sk-ant-…6789 ",
            "\\",
            "%",
            "&",
            "=",
            "\u{e4}",
        ];
        for _ in 0..500 {
            let text: String = (0..random.usize(..30)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let is_without = !text.contains(&key[..key.len() * 3 / 4]);
            assert!(is_without && search.spans(text.as_bytes()).is_empty(), "{text}");
        }
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one span is found")]
    fn three_quarters_are_as_good_as_all_and_a_half_is_not() {
        let key = "sk-proj-AbCdEf0123456789xyzw";
        let search = Search::new(key.as_bytes());
        for from in 0..=7 {
            assert_eq!(search.spans(&key.as_bytes()[from..from + 21]), [0..21], "{from}");
        }
        assert!(search.spans(&key.as_bytes()[..20]).is_empty());
        assert!(search.spans(&key.as_bytes()[14..]).is_empty());
        assert_eq!(search.spans(format!("{key}{key}").as_bytes()), [0..28, 28..56]);
        let same = "aaaaaaaaaaaaaaaaaaaa";
        assert_eq!(Search::new(same.as_bytes()).spans(same.as_bytes()).last().unwrap().end, 20);
    }

    #[test]
    fn large_texts_take_time_in_proportion() {
        let key = "sk-proj-AbCdEf0123456789xyz";
        let search = Search::new(key.as_bytes());
        for unit in ["x", "\\", "%73", "&#x73;", "=3D", "73 ", "115,", "sk-proj-", "\\u0073k", "%2573", "AAAA\n", "\0s"]
        {
            let mut text = unit.repeat((1 << 20) / unit.len()).into_bytes();
            text.extend_from_slice(format!(" {} ", BASE64_STANDARD.encode(BASE64_STANDARD.encode(key))).as_bytes());
            assert!(!search.spans(&text).is_empty(), "{unit}");
        }
    }
}
