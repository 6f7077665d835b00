//! Headers and query keys that only the host and the config may set, in requests of provider plugins and of handlers.
//!
//! A header can steer the connection, the reading of the answer, or whom a proxy takes the sender for. A header or a query key can
//! also name an account: a plugin that brought its author's own would file the user's prompts there, at a provider that it may talk to.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use reqwest::header::HeaderName;

/// Headers of the connection and its proxies, and those that have a server take a request for another, or answer with a part.
const CONNECTION: [&str; 35] = [
    "accept-encoding",
    "alt-used",
    "cf-connecting-ip",
    "client-ip",
    "connection",
    "content-length",
    "expect",
    "fastly-client-ip",
    "forwarded",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "max-forwards",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-original-path",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// Of those, the ones that a guest's HTTP library says by itself: dropped where the guest makes its requests, and not refused.
const BY_ITSELF: [&str; 4] = ["accept-encoding", "content-length", "expect", "user-agent"];

/// What headers of a proxy begin with.
const OF_PROXIES: [&str; 3] = ["proxy-", "x-forwarded-", "x-proxy-"];

/// Words that name an account, wherever they stand in a name.
const ACCOUNT: [&str; 6] = ["accesstoken", "apikey", "authorization", "cookie", "cookie2", "jwt"];

/// Words that do at a name's end.
const ACCOUNT_AT_END: [&str; 14] = [
    "accesskey",
    "auth",
    "authtoken",
    "bearer",
    "credential",
    "credentials",
    "key",
    "passwd",
    "password",
    "secret",
    "sessiontoken",
    "sig",
    "signature",
    "token",
];

/// Two words that do, wherever they stand.
const ACCOUNT_TOGETHER: [[&str; 2]; 6] = [
    ["access", "key"],
    ["access", "token"],
    ["api", "key"],
    ["auth", "token"],
    ["security", "token"],
    ["subscription", "key"],
];

/// Words before `key` or `token` that don't name an account, such as `page`.
const HARMLESS: [&str; 12] = [
    "cache",
    "continuation",
    "continue",
    "cursor",
    "idempotency",
    "next",
    "object",
    "page",
    "partition",
    "sort",
    "start",
    "sync",
];

/// Why a plugin may not set a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is about the connection.
    Connection,
    /// It says whose account is used.
    Account,
}

impl Why {
    /// As a sentence about a header or a query key of this plugin's.
    pub(super) fn in_words(self, what: &str, plugin: &str) -> String {
        match self {
            Self::Connection => format!("{what} is the host's to set"),
            Self::Account => format!(
                "{what} is the host's to set: it may name an account, and `plugins.{plugin}` says in `credential` or `headers` whose that is"
            ),
        }
    }
}

/// Whether a header is the host's to set; `own` are those that the credentials go into.
pub(super) fn header<'a>(name: &HeaderName, mut own: impl Iterator<Item = &'a HeaderName>) -> Option<Why> {
    let plain = hyphens(name.as_str());
    if CONNECTION.binary_search(&plain.as_ref()).is_ok() {
        return Some(Why::Connection);
    }
    if own.any(|own| hyphens(own.as_str()) == plain) {
        return Some(Why::Account);
    }
    if OF_PROXIES.iter().any(|begin| plain.starts_with(begin)) {
        return Some(if plain.ends_with("-authorization") { Why::Account } else { Why::Connection });
    }
    is_of_account(&plain).then_some(Why::Account)
}

/// A header's name with hyphens for underscores: some servers take one for the other.
fn hyphens(name: &str) -> Cow<'_, str> {
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

/// Whether a guest's HTTP library says this header by itself.
pub(super) fn is_said_by_itself(name: &HeaderName) -> bool {
    BY_ITSELF.contains(&name.as_str())
}

/// The key of a path's query, or of its parameters behind a semicolon, that is the host's to set; `own` are those that the
/// credentials go into.
pub(super) fn query_key<'a>(path: &'a str, own: &[&str]) -> Option<Cow<'a, str>> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let parameters = path.split('/').flat_map(|segment| segment.split(';').skip(1));
    let keys = query.split(['&', ';']).chain(parameters).map(key_of);
    keys.filter(|key| !key.is_empty()).find(|key| is_of_account(key) || own.iter().any(|own| is_same(own, key)))
}

/// Whether two keys of a query, as they are written, are one and the same to some server.
pub(super) fn is_same_key(one: &str, other: &str) -> bool {
    is_same(&key_of(one), &key_of(other))
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

/// The key of a pair, as a lenient server reads it: decoded as often as it can be, and without the brackets of a list.
fn key_of(pair: &str) -> Cow<'_, str> {
    let mut key = Cow::Borrowed(pair.split('=').next().unwrap_or_default());
    for _ in 0..4 {
        if !key.contains(['%', '+']) {
            break;
        }
        let spaced = key.replace('+', " ");
        key = Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    // What was hidden by the encoding.
    let end = key.find(['[', '=', '\0']).filter(|end| *end > 0).unwrap_or(key.len());
    match key {
        Cow::Borrowed(key) => Cow::Borrowed(key.get(..end).unwrap_or_default().trim()),
        Cow::Owned(key) => Cow::Owned(key.get(..end).unwrap_or_default().trim().to_owned()),
    }
}

/// Whether a name is one of those that accounts are named by. Capitals begin a word (`apiKey`) or mean nothing (`kEy`).
fn is_of_account(name: &str) -> bool {
    names_account(&words(name)) || names_account(&words(&name.to_lowercase()))
}

fn names_account(words: &[String]) -> bool {
    let together = words.windows(2).any(|pair| ACCOUNT_TOGETHER.iter().any(|known| pair == known));
    let anywhere = words.iter().any(|word| ACCOUNT.contains(&word.as_str()));
    let at_end = match words {
        [.., before, last] => ACCOUNT_AT_END.contains(&last.as_str()) && !HARMLESS.contains(&before.as_str()),
        [only] => ACCOUNT_AT_END.contains(&only.as_str()),
        [] => false,
    };
    anywhere || together || at_end
}

/// The words of a name such as `X-Api_Key`, `apiKey` or `APIKey`.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let is_hump = c.is_uppercase()
            && (before.is_lowercase() || before.is_uppercase() && rest.peek().is_some_and(|next| next.is_lowercase()));
        if (is_hump || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Option<Why> {
        let own = HeaderName::from_static("x-my-own");
        header(&HeaderName::try_from(name).unwrap(), std::iter::once(&own))
    }

    #[test]
    fn no_spelling_of_an_accounts_key_passes() {
        let mut random = fastrand::Rng::with_seed(19);
        for _ in 0..20_000 {
            let name = *random.choice(&["key", "api_key", "access_token", "token", "X-Amz-Signature", "own"]).unwrap();
            let before = *random.choice(&["?", "?a=b&", "?a;", "?=&", ";", "?a=%26&"]).unwrap();
            let spelt = name.chars().map(|c| match random.u8(0..4) {
                0 => c.to_ascii_uppercase().to_string(),
                1 => format!("%{:02X}", u32::from(c)),
                2 => format!("%25{:02x}", u32::from(c)),
                _ => c.to_string(),
            });
            let path = format!("/q{before}{}=a", spelt.collect::<String>());
            assert!(query_key(&path, &["own"]).is_some(), "{path}");
        }
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(CONNECTION.is_sorted());
    }

    #[test]
    fn headers_of_the_connection_and_of_accounts_are_the_hosts() {
        for name in [
            "Host",
            "Range",
            "If-Range",
            "X-HTTP-Method-Override",
            "X_Http_Method",
            "X-Forwarded-For",
            "x-forwarded-host",
            "Forwarded",
            "Via",
            "Proxy-Connection",
            "Accept-Encoding",
            "TE",
            "Keep-Alive",
            "X-Real-IP",
            "X-Original-URL",
        ] {
            assert_eq!(of(name), Some(Why::Connection), "{name}");
        }
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "x-api-key",
            "X_Api_Key",
            "api-key",
            "apikey",
            "x-goog-api-key",
            "X-Auth-Token",
            "Ocp-Apim-Subscription-Key",
            "x-amz-security-token",
            "Helicone-Auth",
            "cf-aig-authorization",
            "private-token",
            "x-functions-key",
            "x-my-own",
            "x_my_own",
            "X-Amz-Signature",
            "X-Goog-Iam-Authorization-Token",
        ] {
            assert_eq!(of(name), Some(Why::Account), "{name}");
        }
        for name in [
            "content-type",
            "accept",
            "anthropic-version",
            "anthropic-beta",
            "openai-organization",
            "openai-beta",
            "x-goog-api-client",
            "http-referer",
            "x-title",
            "idempotency-key",
            "x-stainless-lang",
            "x-request-id",
            "x-ratelimit-remaining-tokens",
            "etag",
            "www-authenticate",
            "openai-processing-ms",
            "cache-control",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn query_keys_of_accounts_are_the_hosts_however_they_are_written() {
        for path in [
            "/q?key=a",
            "/q?a=b&KEY=a",
            "/q?k%65y=a",
            "/q?%6B%65%79=a",
            "/q?%256bey=a",
            "/q?api_key=a",
            "/q?apiKey=a",
            "/q?api-key=a",
            "/q?APIKey=a",
            "/q?access_token=a",
            "/q?token=a",
            "/q?sig=a",
            "/q?X-Amz-Signature=a",
            "/q?X-Amz-Credential=a",
            "/q?X-Amz-Security-Token=a",
            "/q?a;key=a",
            "/q?key[]=a",
            "/q?key%5B0%5D=a",
            "/q?key",
            "/q?+key+=a",
            "/q?%20key=a",
            "/q;key=a",
            "/q;key=a/b?c",
            "/q?own=a",
            "/q?OWN=a",
            "/q?o%77n=a",
            "/q?key%3Da",
            "/q?own%00=a",
            "/q?=&key=a",
        ] {
            assert!(query_key(path, &["own"]).is_some(), "{path}");
        }
        for path in [
            "/q",
            "/q?",
            "/v1/key=a",
            "/models/key?alt=sse",
            "/q?api-version=1",
            "/q?pageToken=a",
            "/q?next_token=a",
            "/q?max_tokens=1",
            "/q?keys=a",
            "/q?keyword=a",
            "/q?monkey=a",
            "/q?owner=a",
            "/q?a=key",
            "/q?a=b%26key%3Dc",
        ] {
            assert_eq!(query_key(path, &["own"]), None, "{path}");
        }
        assert!(is_same_key("api%2Dversion=1", "API-Version=2") && !is_same_key("a=1", "b=1"));
    }
}
