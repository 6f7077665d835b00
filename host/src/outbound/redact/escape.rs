//! One escape sequence of JSON, URLs, HTML, C and related languages, or MIME.

/// The byte that an escape sequence stands for, and the sequence's length in bytes. `None` stands for no byte (a joined line, a NUL of UTF-16).
pub(super) type Escape = (Option<u8>, usize);

/// HTML's names for ASCII characters. Letters and digits have none.
const NAMED: [(&[u8], u8); 38] = [
    (b"amp", b'&'),
    (b"apos", b'\''),
    (b"ast", b'*'),
    (b"bsol", b'\\'),
    (b"colon", b':'),
    (b"comma", b','),
    (b"commat", b'@'),
    (b"dollar", b'$'),
    (b"equals", b'='),
    (b"excl", b'!'),
    (b"grave", b'`'),
    (b"gt", b'>'),
    (b"Hat", b'^'),
    (b"lbrace", b'{'),
    (b"lbrack", b'['),
    (b"lcub", b'{'),
    (b"lowbar", b'_'),
    (b"lpar", b'('),
    (b"lsqb", b'['),
    (b"lt", b'<'),
    (b"midast", b'*'),
    (b"NewLine", b'\n'),
    (b"num", b'#'),
    (b"percnt", b'%'),
    (b"period", b'.'),
    (b"plus", b'+'),
    (b"quest", b'?'),
    (b"quot", b'"'),
    (b"rbrace", b'}'),
    (b"rbrack", b']'),
    (b"rcub", b'}'),
    (b"rpar", b')'),
    (b"rsqb", b']'),
    (b"semi", b';'),
    (b"sol", b'/'),
    (b"Tab", b'\t'),
    (b"UnderBar", b'_'),
    (b"verbar", b'|'),
];

/// The escape sequence at the beginning of the text: of JSON and C (`\/`, `\u002f`, `\u{2f}`, `\x2f`, `\057`), a URL (`%2f`, `%u002f`)
/// or HTML (`&#47;`, `&#x2f;`, `&sol;`).
pub(super) fn escape(text: &[u8]) -> Option<Escape> {
    // A NUL is half of a character of UTF-16.
    let (byte, length) = any(text)?;
    Some((byte.filter(|byte| *byte != 0), length))
}

fn any(text: &[u8]) -> Option<Escape> {
    match text {
        [b'\\', rest @ ..] => backslash(rest).map(|(byte, length)| (byte, length + 1)),
        [b'%', b'u' | b'U', hex @ ..] => Some((Some(code(hex, 4, 16)?), 6)),
        [b'%', hex @ ..] => Some((Some(code(hex, 2, 16)?), 3)),
        [b'&', b'#', b'x' | b'X', rest @ ..] => numbered(rest, 16).map(|(byte, length)| (Some(byte), length + 3)),
        [b'&', b'#', rest @ ..] => numbered(rest, 10).map(|(byte, length)| (Some(byte), length + 2)),
        [b'&', rest @ ..] => named(rest).map(|(byte, length)| (Some(byte), length + 1)),
        [0, ..] => Some((None, 1)),
        _ => None,
    }
}

/// The escape sequence of MIME's quoted-printable at the beginning of the text: `=2F`, or a soft line break.
pub(super) fn quoted(text: &[u8]) -> Option<Escape> {
    match text {
        [b'=', b'\r', b'\n', ..] => Some((None, 3)),
        [b'=', b'\n' | b'\r', ..] => Some((None, 2)),
        [b'=', hex @ ..] => Some((Some(code(hex, 2, 16)?), 3)),
        _ => None,
    }
}

fn backslash(rest: &[u8]) -> Option<Escape> {
    Some(match rest {
        [b'u' | b'x', b'{', braced @ ..] => {
            let digits = braced.iter().take(8).take_while(|digit| digit.is_ascii_hexdigit()).count();
            let closed = braced.get(digits) == Some(&b'}');
            (Some(code(braced, digits, 16).filter(|_| closed)?), digits + 3)
        }
        [b'u', hex @ ..] => (Some(code(hex, 4, 16)?), 5),
        [b'U', hex @ ..] if code(hex, 8, 16).is_some() => (code(hex, 8, 16), 9),
        [b'x', hex @ ..] => (Some(code(hex, 2, 16)?), 3),
        [b'0'..=b'3', ..] => (Some(code(rest, 3, 8)?), 3),
        [b'\r', b'\n', ..] => (None, 2),
        [b'\n', ..] => (None, 1),
        [b'b' | b'f' | b'n' | b'r' | b't' | b'v', ..] => (Some(b'\n'), 1),
        // A backslash of UTF-16.
        [0, ..] | [] => return None,
        [byte, ..] => (Some(*byte), 1),
    })
}

/// The digits of `&#…;`; the semicolon may be missing.
fn numbered(text: &[u8], radix: u32) -> Option<(u8, usize)> {
    let digits = text.iter().take(8).take_while(|digit| char::from(**digit).is_digit(radix)).count();
    let byte = code(text, digits, radix)?;
    Some((byte, digits + usize::from(text.get(digits) == Some(&b';'))))
}

/// The name of `&…;`.
fn named(text: &[u8]) -> Option<(u8, usize)> {
    let length = text.iter().take(9).position(|byte| *byte == b';')?;
    let name = text.get(..length)?;
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, byte)| (*byte, length + 1))
}

/// The character whose code has this many digits, if it is one of the first 256.
fn code(text: &[u8], digits: usize, radix: u32) -> Option<u8> {
    let digits = text.get(..digits).filter(|digits| !digits.is_empty())?;
    let value = digits
        .iter()
        .try_fold(0_u32, |value, digit| value.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?));
    u8::try_from(value?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_its_escapes() {
        for text in [
            "\\/",
            "\\u002f",
            "\\u002F",
            "\\u{2f}",
            "\\x{2F}",
            "\\U0000002f",
            "\\x2f",
            "\\057",
            "%2f",
            "%2F",
            "%u002F",
            "&#47;",
            "&#x2f;",
            "&#X2F;",
            "&#0047;",
            "&#47",
            "&sol;",
        ] {
            let more = format!("{text}-rest");
            assert_eq!(escape(more.as_bytes()), Some((Some(b'/'), text.len())), "{text}");
        }
        for text in
            ["", "\\", "%", "%2", "%zz", "&", "&sol", "&#;", "&unknown;", "\\u12", "\\u2013", "\\x2", "x", "=2F"]
        {
            assert_eq!(escape(text.as_bytes()), None, "{text}");
        }
        for text in ["\\n", "\\t"] {
            assert_eq!(escape(text.as_bytes()), Some((Some(b'\n'), 2)));
        }
        for (text, length) in [("\0", 1), ("\\u0000", 6), ("\\\n", 2)] {
            assert_eq!(escape(text.as_bytes()), Some((None, length)), "{text:?}");
        }
        assert_eq!(quoted(b"=3D."), Some((Some(b'='), 3)));
        assert_eq!(quoted(b"=\r\n."), Some((None, 3)));
        assert_eq!(quoted(b"=="), None);
    }
}
