//! A credential: where its value comes from, how it is applied, how it is cut out of what comes back.

use std::fs;

use base64::engine::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use memchr::memmem;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::{self, CredentialSource};
use crate::plugin::bindings::understudy::plugin::types as wit;

/// What stands where a credential was.
const CUT: &str = "[credential]";

/// Shorter values are not cut out of answers: a word like `ollama` may well be part of one.
pub const SHORTEST_CUT: usize = 16;

/// A credential, without its value.
#[derive(Debug, Clone)]
pub struct Credential {
    plugin: String,
    scheme: Scheme,
    /// Where the value comes from.
    pub source: CredentialSource,
    /// Whether the provider works without.
    optional: bool,
    /// The endpoint that wants it, where that is a built-in's suggestion.
    made_for: Option<Url>,
}

#[derive(Debug, Clone)]
enum Scheme {
    Bearer,
    Header(HeaderName),
    Query(String),
}

impl Credential {
    /// The config's credential; for a built-in plugin, the one it suggests where the config is silent.
    pub(super) fn new(config: &config::Plugin, description: &wit::Description) -> Result<Option<Self>, String> {
        let suggested = config.built_in().and(description.credential.as_ref());
        let (source, optional) = match (&config.credential, suggested) {
            (Some(credential), _) => (credential.source.clone(), false),
            (None, Some(suggested)) => match &suggested.env {
                Some(env) => (CredentialSource::Env(env.clone()), suggested.optional),
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let (word, name) = match &config.credential {
            Some(config::Credential { scheme: Some(scheme), name, .. }) => (scheme.clone(), name.clone()),
            _ => match suggested {
                Some(suggested) => (suggested.scheme.clone(), suggested.name.clone()),
                None => return Err(
                    "doesn't say how it is applied: add `\"bearer\": true`, `\"header\": NAME` or `\"query\": NAME`"
                        .to_owned(),
                ),
            },
        };
        let scheme = match (word.as_str(), name) {
            ("bearer", _) => Scheme::Bearer,
            ("header", Some(name)) => Scheme::Header(
                HeaderName::try_from(&name).map_err(|_| format!("names the header `{name}`, which can't be one"))?,
            ),
            ("query", Some(name)) => Scheme::Query(name),
            _ => return Err(format!("has the scheme `{word}`, which this version doesn't know")),
        };
        let made_for = match (&config.credential, &description.endpoint) {
            (None, Some(endpoint)) => Url::parse(&endpoint.url).ok(),
            _ => None,
        };
        Ok(Some(Self { plugin: config.name.clone(), scheme, source, optional, made_for }))
    }

    pub(super) fn made_for(&self) -> Option<&Url> {
        self.made_for.as_ref()
    }

    /// The environment variable that holds the value, if one does: a server's process must not inherit it.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match &self.source {
            CredentialSource::Env(variable) => Some(variable),
            CredentialSource::File(_) => None,
        }
    }

    /// The value. `None` if there is none and the provider works without, or it isn't `needed`.
    ///
    /// # Errors
    /// What is missing, and how to give it.
    pub fn value(&self, needed: bool) -> Result<Option<Secret>, String> {
        let found = match &self.source {
            CredentialSource::Env(variable) => std::env::var(variable).ok(),
            CredentialSource::File(path) => {
                let text = fs::read_to_string(path);
                Some(text.map_err(|e| format!("can't read the credential's file `{}`: {e}", path.display()))?)
            }
        };
        match found.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
            Some(text) => Ok(Some(Secret::new(text))),
            None if self.optional || !needed => Ok(None),
            None => Err(match &self.source {
                CredentialSource::Env(variable) => format!(
                    "no credential: set the environment variable `{variable}`, or write `plugins.{}.credential` into the config",
                    self.plugin
                ),
                CredentialSource::File(path) => format!("the credential's file `{}` is empty", path.display()),
            }),
        }
    }

    pub(super) fn is_header(&self, name: &HeaderName) -> bool {
        match &self.scheme {
            Scheme::Header(own) => own == name,
            Scheme::Bearer => *name == AUTHORIZATION,
            Scheme::Query(_) => false,
        }
    }

    pub(super) fn apply(&self, secret: &Secret, url: &mut Url, headers: &mut HeaderMap) -> Result<(), String> {
        let value = secret.value.expose_secret();
        let header = |text: &str| {
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| "the credential holds characters that no header can (a line break?)".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        match &self.scheme {
            Scheme::Bearer => headers.insert(AUTHORIZATION, header(&format!("Bearer {value}"))?),
            Scheme::Header(name) => headers.insert(name.clone(), header(value)?),
            Scheme::Query(name) => {
                url.query_pairs_mut().append_pair(name, value);
                None
            }
        };
        Ok(())
    }

    /// How it is applied and where it comes from, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let how = match &self.scheme {
            Scheme::Bearer => "`authorization: Bearer …`".to_owned(),
            Scheme::Header(name) => format!("the header `{name}`"),
            Scheme::Query(name) => format!("the query key `{name}`"),
        };
        let source = match &self.source {
            CredentialSource::Env(variable) => format!("the environment variable `{variable}`"),
            CredentialSource::File(path) => format!("the file `{}`", path.display()),
        };
        format!("{how}, from {source}")
    }
}

/// A credential's value. It is never shown, and its memory is wiped.
#[derive(Debug)]
pub struct Secret {
    value: SecretString,
    /// What is cut out: the value, and as base64 and percent-encoding write it.
    spellings: Vec<SecretString>,
}

impl Secret {
    fn new(value: String) -> Self {
        let mut spellings = Vec::new();
        if value.len() >= SHORTEST_CUT {
            let percent: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let base64 = [STANDARD.encode(&value), URL_SAFE.encode(&value), STANDARD_NO_PAD.encode(&value)];
            for spelling in [value.clone(), percent.replace('+', "%20"), percent].into_iter().chain(base64) {
                if !spellings.contains(&spelling) {
                    spellings.push(spelling);
                }
            }
        }
        Self { value: value.into(), spellings: spellings.into_iter().map(Into::into).collect() }
    }

    /// Whether the value is long enough to be cut out of answers.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        !self.spellings.is_empty()
    }

    /// The bytes without the value.
    #[must_use]
    pub fn redact(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.spellings.iter().fold(bytes, |bytes, spelling| cut(bytes, spelling.expose_secret().as_bytes()))
    }

    /// The text without the value, however short that is: for messages and logs.
    #[must_use]
    pub fn redact_text(&self, text: &str) -> String {
        let text = text.replace(self.value.expose_secret(), CUT);
        String::from_utf8_lossy(&self.redact(text.into_bytes())).into_owned()
    }
}

/// Takes a credential out of what comes back; changes nothing where there is none.
#[derive(Debug, Default)]
pub(super) struct Redact(Option<Secret>);

impl Redact {
    pub(super) fn new(secret: Option<Secret>) -> Self {
        Self(secret)
    }

    /// A body.
    pub(super) fn body(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.0 {
            Some(secret) => secret.redact(bytes),
            None => bytes,
        }
    }

    /// A part of a body that is text.
    pub(super) fn part(&self, text: String) -> String {
        match &self.0 {
            Some(secret) => String::from_utf8_lossy(&secret.redact(text.into_bytes())).into_owned(),
            None => text,
        }
    }

    /// What goes into a header or a message.
    pub(super) fn words(&self, text: String) -> String {
        match &self.0 {
            Some(secret) => secret.redact_text(&text),
            None => text,
        }
    }
}

fn cut(bytes: Vec<u8>, value: &[u8]) -> Vec<u8> {
    let bytes = cut_escaped(bytes, value);
    let finder = memmem::Finder::new(value);
    if finder.find(&bytes).is_none() {
        return bytes;
    }
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((before, after)) =
        finder.find(rest).and_then(|at| Some((rest.get(..at)?, rest.get(at + value.len()..)?)))
    {
        kept.extend_from_slice(before);
        kept.extend_from_slice(CUT.as_bytes());
        rest = after;
    }
    kept.extend_from_slice(rest);
    kept
}

/// Cuts the value out where JSON spells some of it with escapes (`\/`, `\u0061`).
fn cut_escaped(bytes: Vec<u8>, value: &[u8]) -> Vec<u8> {
    if memchr::memchr(b'\\', &bytes).is_none() {
        return bytes;
    }
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let Some((first, behind)) = rest.split_first() {
        if let Some(length) = escaped_length(rest, value) {
            kept.extend_from_slice(CUT.as_bytes());
            rest = rest.get(length..).unwrap_or_default();
        } else {
            kept.push(*first);
            rest = behind;
        }
    }
    kept
}

/// How many bytes spell the value, if the text begins with it.
fn escaped_length(text: &[u8], value: &[u8]) -> Option<usize> {
    let mut length = 0;
    for wanted in value {
        length += match text.get(length..)? {
            [b'\\', b'u', hex @ ..] if code(hex) == Some(*wanted) => 6,
            [b'\\', byte, ..] if byte == wanted => 2,
            [byte, ..] if byte == wanted => 1,
            _ => return None,
        };
    }
    Some(length)
}

/// The ASCII character of `\u00XX`, less its `\u`.
fn code(hex: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(hex.get(..4)?).ok()?;
    u8::try_from(u16::from_str_radix(digits, 16).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_cut_out_in_every_spelling() {
        let secret = Secret::new("sk-ant/0123456789+abc=".to_owned());
        let said = format!(
            "a sk-ant/0123456789+abc= b {} c {} d",
            STANDARD.encode("sk-ant/0123456789+abc="),
            "sk-ant%2F0123456789%2Babc%3D"
        );
        let kept = String::from_utf8(secret.redact(said.into_bytes())).unwrap();
        assert_eq!(kept, "a [credential] b [credential] c [credential] d");
    }

    #[test]
    fn the_value_is_cut_out_where_json_escapes_it() {
        let secret = Secret::new("abcd/efgh+ijkl/mnop==".to_owned());
        let kept = |text: &str| String::from_utf8(secret.redact(text.as_bytes().to_vec())).unwrap();
        assert_eq!(kept(r#"{"a":"abcd\/efgh+ijkl\/mnop==","b":"\n"}"#), r#"{"a":"[credential]","b":"\n"}"#);
        assert_eq!(kept(r#""\u0061bcd/efgh\u002Bijkl/mnop=\u003d""#), r#""[credential]""#);
        assert_eq!(kept(r#""\u0061bcd/efgh""#), r#""\u0061bcd/efgh""#);
    }

    #[test]
    fn a_short_value_is_kept_out_of_messages_only() {
        let secret = Secret::new("ollama".to_owned());
        assert_eq!(secret.redact(b"I am ollama".to_vec()), b"I am ollama");
        assert_eq!(secret.redact_text("bad key ollama"), "bad key [credential]");
        assert!(!secret.is_cut());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let shown = format!("{:?}", Secret::new("sk-0123456789abcdef".to_owned()));
        assert!(!shown.contains("0123456789"), "{shown}");
    }
}
