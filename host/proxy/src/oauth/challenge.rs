//! The challenge in a server's refusal (`WWW-Authenticate`): where its metadata is, and which scopes it requires.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// The `Bearer` challenge (RFC 6750 section 3, RFC 9728 section 5.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The URL of the resource's metadata, as the server wrote it.
    pub resource_metadata: Option<String>,
    /// The scopes that are required.
    pub scopes: Vec<String>,
    /// The error code.
    pub error: Option<String>,
}

impl Challenge {
    /// The first challenge of the scheme `Bearer` in the headers; `None` without any.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .find_map(|value| Self::parse(&String::from_utf8_lossy(value.as_bytes())))
    }

    /// The first challenge of the scheme `Bearer` in a header's value. If a parameter is repeated, the first one counts.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut rest = value;
        let mut is_bearer = false;
        let mut found: Option<Self> = None;
        while let Some(item) = next(&mut rest) {
            match item {
                Item::Scheme(scheme) => {
                    if found.is_some() {
                        break;
                    }
                    is_bearer = scheme.eq_ignore_ascii_case("bearer");
                    if is_bearer {
                        found = Some(Self::default());
                    }
                }
                Item::Parameter(name, value) if is_bearer => {
                    if let Some(challenge) = &mut found {
                        challenge.take(name, value);
                    }
                }
                Item::Parameter(..) => {}
            }
        }
        found
    }

    fn take(&mut self, name: &str, value: String) {
        match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => _ = self.resource_metadata.get_or_insert(value),
            "error" => _ = self.error.get_or_insert(value),
            "scope" if self.scopes.is_empty() => self.scopes = scopes(&value),
            _ => {}
        }
    }

    /// Whether the token is valid but lacks a scope.
    #[must_use]
    pub fn is_insufficient_scope(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

/// The scopes of a list that is separated by blanks.
pub(super) fn scopes(list: &str) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for scope in list.split_ascii_whitespace() {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

enum Item<'a> {
    Scheme(&'a str),
    Parameter(&'a str, String),
}

/// The next scheme or parameter (RFC 9110 section 11.6.1). Anything else is skipped.
fn next<'a>(rest: &mut &'a str) -> Option<Item<'a>> {
    loop {
        *rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        if word.is_empty() {
            // A text outside of a parameter names no scheme.
            match rest.strip_prefix('"') {
                Some(quoted) => *rest = quoted_string(quoted).1,
                None => skip(rest),
            }
            continue;
        }
        let value = after.trim_start_matches([' ', '\t']);
        let Some(value) = value.strip_prefix('=') else {
            *rest = after;
            return Some(Item::Scheme(word));
        };
        let value = value.trim_start_matches([' ', '\t']);
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            quoted_string(quoted)
        } else {
            let end = value.find([',', ' ', '\t']).unwrap_or(value.len());
            let (plain, after) = value.split_at_checked(end)?;
            (plain.to_owned(), after)
        };
        *rest = after;
        return Some(Item::Parameter(word, value));
    }
}

fn skip(rest: &mut &str) {
    let mut characters = rest.chars();
    characters.next();
    *rest = characters.as_str();
}

/// Reads a quoted string from behind its first quotation mark; the string, and the rest.
fn quoted_string(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => break,
            '\\' => value.extend(characters.next()),
            c => value.push(c),
        }
    }
    (value, characters.as_str())
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_challenge_is_found_among_others_whatever_its_spelling() {
        let expected = Challenge {
            resource_metadata: Some("https://a/x".to_owned()),
            scopes: vec!["a".to_owned(), "b:c".to_owned()],
            error: Some("insufficient_scope".to_owned()),
        };
        for value in [
            r#"Bearer resource_metadata="https://a/x", scope="a b:c a", error="insufficient_scope""#,
            r#"bearer  RESOURCE_METADATA = "https://a/x" ,scope="a  b:c",error=insufficient_scope"#,
            r#"Basic realm="Bearer resource_metadata=\"https://evil/x\"", Bearer error="insufficient_scope", scope="a b:c", resource_metadata="https://a/x""#,
            r#"DPoP algs="ES256", resource_metadata="https://evil/x", BEARER resource_metadata="https://a/x", error="insufficient_scope", scope="a b:c", DPoP scope="z""#,
            r#"Bearer realm="scope=\"z\"", error_description="error=\"x\"", resource_metadata=https://a/x, scope="a b:c", error="insufficient_scope", scope="z""#,
        ] {
            assert_eq!(Challenge::parse(value), Some(expected.clone()), "{value}");
        }
        assert_eq!(Challenge::parse("Bearer"), Some(Challenge::default()));
        for value in ["", "Basic realm=\"x\"", "Negotiate YWJj==", "=,=", "\"Bearer\""] {
            assert_eq!(Challenge::parse(value), None, "{value}");
        }
    }
}
