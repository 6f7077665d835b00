//! Private keys in PEM and in formats like it.
//!
//! Sources: RFC 7468 (sections 10 and 11, PKCS #8), RFC 1421; OpenSSH's PROTOCOL.key; RFC 9580, section 6.2 (`OpenPGP`'s armor); `PuTTY`'s manual,
//! appendix C (PPK).

use crate::find::{Finding, Of};

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";
/// The least characters of base64 that a key has: an Ed25519 key in PKCS #8 has 64.
const SHORTEST: usize = 56;
/// The most bytes that are taken for one key.
const LONGEST: usize = 64 << 10;

pub(crate) fn find(text: &str, found: &mut Vec<Finding>) {
    for (at, _) in text.match_indices(BEGIN) {
        found.extend(key(text, at));
    }
    for (at, mark) in text.match_indices("PuTTY-User-Key-File-") {
        let rest = text.get(at + mark.len()..).unwrap_or_default();
        // Up to the next key, if there is one.
        let rest = rest.get(..rest.find(mark).unwrap_or(rest.len())).unwrap_or_default();
        let Some(private) = rest.find("Private-Lines:") else { continue };
        let end = rest.find("Private-MAC:").filter(|end| *end > private).unwrap_or(rest.len());
        if rest.get(private..end).is_some_and(|lines| letters(lines) >= SHORTEST) {
            found.push(Finding { kind: "PuTTY private key", range: at..at + mark.len() + end });
        }
    }
}

fn key(text: &str, at: usize) -> Option<Finding> {
    let label_at = at + BEGIN.len();
    let rest = text.get(label_at..)?;
    let head = rest.char_indices().nth(46).map_or(rest, |(end, _)| rest.get(..end).unwrap_or_default());
    let label = head.get(..head.find(DASHES)?)?;
    let kind = match label {
        "OPENSSH PRIVATE KEY" | "SSH2 ENCRYPTED PRIVATE KEY" => "SSH private key",
        "PGP PRIVATE KEY BLOCK" => "PGP private key",
        _ if label.ends_with("PRIVATE KEY") => "PEM private key",
        _ => return None,
    };
    let body_at = label.len() + DASHES.len();
    let body = rest.get(body_at..)?;
    // Without its end, a key reaches as far as its lines do.
    let (end, close) = match body.find(DASHES).filter(|end| *end <= LONGEST) {
        Some(end) if body.get(end..).is_some_and(|rest| rest.starts_with("-----END ")) => {
            (end, closing(body.get(end..).unwrap_or_default()))
        }
        _ => (extent(body), 0),
    };
    let lines = body.get(..end)?;
    (letters(lines) >= SHORTEST).then(|| Finding { kind, range: at..label_at + body_at + end + close })
}

/// The length of an end line.
fn closing(text: &str) -> usize {
    let rest = text.get(DASHES.len()..).unwrap_or_default();
    let head = rest.char_indices().nth(60).map_or(rest, |(end, _)| rest.get(..end).unwrap_or_default());
    let label = head.find(DASHES);
    label.map_or(0, |length| length + 2 * DASHES.len())
}

/// How far lines of base64 reach, escaped line breaks included.
fn extent(body: &str) -> usize {
    let belongs = |byte: &u8| Of::Base64.has(*byte) || matches!(byte, b'\\' | b'\r' | b'\n' | b' ' | b'\t');
    body.bytes().take(LONGEST).take_while(belongs).count()
}

/// The characters of base64, of which enough must be distinct: a dummy in an example has dots or one letter.
fn letters(lines: &str) -> usize {
    let mut seen = [false; 256];
    let mut count = 0;
    for byte in lines.bytes().filter(|byte| Of::Base64.has(*byte)) {
        count += 1;
        if let Some(seen) = seen.get_mut(usize::from(byte)) {
            *seen = true;
        }
    }
    if seen.iter().filter(|seen| **seen).count() >= 16 { count } else { 0 }
}
