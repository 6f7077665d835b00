//! Text with one layer of encoding removed, and the place of each of its bytes in the original text.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use super::escape::{Escape, escape, quoted};

/// Text, and where each of its bytes stands in the original.
#[derive(Default)]
pub(super) struct View {
    pub(super) bytes: Vec<u8>,
    at: Vec<(u32, u32)>,
}

/// The role of a character in a row of digits.
enum Digit {
    Value(u8),
    /// A separator of this many characters.
    Between(usize),
    /// Padding at the end of a row.
    Padding,
    Other,
}

/// Digits in a row, and the places of their characters.
#[derive(Default)]
struct Row {
    values: Vec<u8>,
    at: Vec<usize>,
    /// The last character of the padding, if there is any.
    filled: Option<usize>,
}

impl View {
    /// The original, which must have fewer than 2^32 bytes.
    pub(super) fn of(text: &[u8]) -> Self {
        let at = (0..u32::try_from(text.len()).unwrap_or(u32::MAX)).map(|at| (at, at.saturating_add(1)));
        Self { bytes: text.to_vec(), at: at.collect() }
    }

    /// The range of these bytes in the original.
    pub(super) fn place(&self, bytes: &Range<usize>) -> Range<usize> {
        let first = self.at.get(bytes.start).map_or(0, |(start, _)| *start);
        let last = bytes.end.checked_sub(1).and_then(|last| self.at.get(last)).map_or(first, |(_, end)| *end);
        first as usize..last as usize
    }

    /// The identity of a view: its text, and the place of that in the original.
    pub(super) fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.bytes, self.at.first(), self.at.last()).hash(&mut hasher);
        hasher.finish()
    }

    fn push(&mut self, byte: u8, (start, end): (u32, u32)) {
        self.bytes.push(byte);
        self.at.push((start, end));
    }

    /// The place of several bytes as one.
    fn joined(&self, first: usize, last: usize) -> (u32, u32) {
        let start = self.at.get(first).map_or(0, |(start, _)| *start);
        (start, self.at.get(last).map_or(start, |(_, end)| *end))
    }

    /// Without the escapes of JSON, URLs and HTML; `None` if there are none.
    pub(super) fn unescaped(&self) -> Option<Self> {
        let has_some = memchr::memchr3(b'\\', b'%', b'&', &self.bytes).or_else(|| memchr::memchr(0, &self.bytes));
        has_some.and_then(|_| self.without(escape))
    }

    /// Without the escapes of quoted-printable; `None` if there are none.
    pub(super) fn unquoted(&self) -> Option<Self> {
        memchr::memchr(b'=', &self.bytes).and_then(|_| self.without(quoted))
    }

    fn without(&self, escape: impl Fn(&[u8]) -> Option<Escape>) -> Option<Self> {
        let mut read = Self::default();
        let (mut at, mut is_other) = (0, false);
        while let Some(byte) = self.bytes.get(at) {
            let (byte, length) = match escape(self.bytes.get(at..).unwrap_or_default()) {
                Some(escape) => {
                    is_other = true;
                    escape
                }
                None => (Some(*byte), 1),
            };
            if let Some(byte) = byte {
                read.push(byte, self.joined(at, at + length - 1));
            }
            at += length;
        }
        is_other.then_some(read)
    }

    /// Decodes rows of at least this many Base64 digits, from each digit on that gives another alignment, and keeps the results that `may` matter.
    pub(super) fn base64(&self, least: usize, may: impl Fn(&[u8]) -> bool) -> Vec<Self> {
        self.rows(least, base64_digit).iter().flat_map(|row| self.decoded(row, 6, &may)).collect()
    }

    /// Decodes rows of hexadecimal digits likewise.
    pub(super) fn hex(&self, least: usize, may: impl Fn(&[u8]) -> bool) -> Vec<Self> {
        self.rows(least, hex_digit).iter().flat_map(|row| self.decoded(row, 4, &may)).collect()
    }

    fn rows(&self, least: usize, kind: impl Fn(&[u8]) -> Digit) -> Vec<Row> {
        let (mut rows, mut row, mut at, mut is_full) = (Vec::new(), Row::default(), 0, false);
        loop {
            let digit = kind(self.bytes.get(at..).unwrap_or_default());
            let mut length = 1;
            match digit {
                Digit::Value(value) if !is_full => {
                    row.values.push(value);
                    row.at.push(at);
                }
                Digit::Between(characters) if !is_full => length = characters,
                Digit::Padding if !row.values.is_empty() => {
                    is_full = true;
                    row.filled = Some(at);
                }
                _ => {
                    // The character that ends a row may begin another.
                    length = usize::from(!is_full);
                    is_full = false;
                    let row = std::mem::take(&mut row);
                    if row.values.len() >= least {
                        rows.push(row);
                    }
                    if at >= self.bytes.len() {
                        return rows;
                    }
                }
            }
            at += length;
        }
    }

    /// Decodes a row of digits from each digit on that gives another alignment.
    fn decoded(&self, row: &Row, bits: usize, may: impl Fn(&[u8]) -> bool) -> Vec<Self> {
        let ways = if bits == 6 { 4 } else { 2 };
        let mut views = Vec::new();
        for skipped in 0..ways {
            let values = row.values.get(skipped..).unwrap_or_default();
            let bytes = packed(values, bits);
            if !may(&bytes) {
                continue;
            }
            let digit = |index: usize| row.at.get(skipped + index).copied().unwrap_or_default();
            let last = bytes.len().saturating_sub(1);
            let place = |byte: usize| {
                let (first, end) = (byte * 8 / bits, (byte * 8 + 7) / bits);
                let is_last = byte == last && skipped + end + 2 >= row.values.len();
                self.joined(digit(first), row.filled.filter(|_| is_last).unwrap_or_else(|| digit(end)))
            };
            views.push(Self { at: (0..bytes.len()).map(place).collect(), bytes });
        }
        views
    }

    /// Decodes lists of at least this many decimal numbers.
    pub(super) fn decimals(&self, least: usize) -> Option<Self> {
        let (mut read, mut list, mut at) = (Self::default(), Self::default(), 0);
        let is_between = |byte: &u8| matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'\t');
        let mut is_apart = true;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
            let number = rest.get(..digits).filter(|digits| matches!(digits.len(), 1..=3) && is_apart);
            let number = number.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok());
            if let Some(number) = number {
                list.push(number, self.joined(at, at + digits - 1));
                (at, is_apart) = (at + digits, false);
                continue;
            }
            if rest.first().is_some_and(is_between) {
                (at, is_apart) = (at + 1, true);
                continue;
            }
            if list.bytes.len() >= least {
                read.bytes.append(&mut list.bytes);
                read.at.append(&mut list.at);
                // Two lists aren't one.
                let end = self.joined(at, at);
                read.push(u8::MAX, end);
            }
            list = Self::default();
            if rest.is_empty() {
                return (!read.bytes.is_empty()).then_some(read);
            }
            (at, is_apart) = (at + digits.max(1), digits == 0);
        }
    }
}

fn packed(values: &[u8], bits: usize) -> Vec<u8> {
    let (mut bytes, mut held, mut sum) = (Vec::with_capacity(values.len() * bits / 8), 0, 0_u32);
    for value in values {
        sum = (sum << bits) | u32::from(*value);
        held += bits;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((sum >> held) & 0xff).unwrap_or_default());
        }
    }
    bytes
}

fn base64_digit(text: &[u8]) -> Digit {
    match text {
        [byte @ b'A'..=b'Z', ..] => Digit::Value(byte - b'A'),
        [byte @ b'a'..=b'z', ..] => Digit::Value(byte - b'a' + 26),
        [byte @ b'0'..=b'9', ..] => Digit::Value(byte - b'0' + 52),
        [b'+' | b'-', ..] => Digit::Value(62),
        [b'/' | b'_', ..] => Digit::Value(63),
        [b' ' | b'\t' | b'\r' | b'\n' | 0, ..] => Digit::Between(1),
        [b'=', ..] => Digit::Padding,
        _ => Digit::Other,
    }
}

fn hex_digit(text: &[u8]) -> Digit {
    match text {
        [b'0' | b'\\', b'x' | b'X', ..] => Digit::Between(2),
        [byte, ..] if byte.is_ascii_hexdigit() => {
            Digit::Value(char::from(*byte).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or_default())
        }
        [b' ' | b'\t' | b'\r' | b'\n' | b':' | b'-' | b',' | b';' | b'"' | b'\'' | 0, ..] => Digit::Between(1),
        _ => Digit::Other,
    }
}
