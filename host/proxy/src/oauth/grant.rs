//! Requests to the token endpoint: tokens for a code, or for a refresh token (RFC 6749 sections 4.1.3 and 6).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::authority::{Authentication, Authority};
use super::error::Error;
use super::web::{Document, Form, Web};
use understudy::text::one_line;

/// The most characters of an authorization server's error that are shown.
const SHOWN: usize = 200;

/// The token endpoint's answer.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token_type: Option<String>,
    /// How long the token is valid from the answer on, in seconds; until the server refuses it, if this is missing.
    #[serde(default, deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub(super) expires_in: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    #[serde(default, deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
}

/// Reads a number of seconds, as a number or as text: some servers write `"3600"` or `3600.0`. Any other value counts as missing. So do `0` and
/// `-1`, with which servers say that a token doesn't expire.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    let number = match &value {
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_f64(),
        None => None,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between the bounds it fits")]
    Ok(number.filter(|number| number.is_finite() && *number > 0.0).map(|number| number.min(f64::from(u32::MAX)) as u64))
}

/// Reads scopes: separated by spaces, or an array, which some servers write. Any other value counts as missing.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(text)) => Some(text),
        Some(Value::Array(list)) => Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
        _ => None,
    })
}

/// The client that asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) id: &'a str,
    pub(super) secret: Option<&'a str>,
}

/// Tokens for a code.
pub(super) async fn exchange(
    web: &Web,
    authority: &Authority,
    client: Client<'_>,
    code: &str,
    verifier: &str,
    callback: &str,
) -> Result<Tokens, Error> {
    let fields =
        [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", callback), ("code_verifier", verifier)];
    ask(web, authority, client, fields.to_vec()).await
}

/// Tokens for a refresh token.
pub(super) async fn renew(
    web: &Web,
    authority: &Authority,
    client: Client<'_>,
    refresh_token: &str,
    scopes: &[String],
) -> Result<Tokens, Error> {
    let scopes = scopes.join(" ");
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    if !scopes.is_empty() {
        fields.push(("scope", &scopes));
    }
    ask(web, authority, client, fields).await
}

async fn ask(
    web: &Web,
    authority: &Authority,
    client: Client<'_>,
    mut fields: Vec<(&str, &str)>,
) -> Result<Tokens, Error> {
    fields.extend(authority.resource.as_deref().map(|resource| ("resource", resource)));
    let form = form(authority.authentication, client, &fields);
    let document = web.post_form("token endpoint", &authority.token_endpoint, form).await?;
    tokens(&authority.issuer, &document)
}

/// The form, with the client's authentication.
fn form(authentication: Authentication, client: Client<'_>, fields: &[(&str, &str)]) -> Form {
    let mut body = Serializer::new(String::new());
    body.extend_pairs(fields);
    // Servers on MCP's Python SDK read the id from the form even if there is a header.
    body.append_pair("client_id", client.id);
    let mut authorization = None;
    match (authentication, client.secret) {
        (Authentication::ClientSecretBasic, Some(secret)) => authorization = basic(client.id, secret),
        (Authentication::ClientSecretPost, Some(secret)) => _ = body.append_pair("client_secret", secret),
        _ => {}
    }
    Form { body: body.finish(), authorization }
}

/// Id and secret are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let together = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    let mut header = HeaderValue::from_str(&format!("Basic {together}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn tokens(issuer: &str, document: &Document) -> Result<Tokens, Error> {
    let denied = |reason: String| Error::Denied { issuer: issuer.to_owned(), reason };
    if !document.status.is_success() {
        return Err(denied(refusal(document)));
    }
    // The parser's error could show a token.
    let tokens = serde_json::from_slice::<Tokens>(&document.body).ok();
    let tokens = tokens.filter(|tokens| !tokens.access_token.is_empty());
    let none = || {
        // Some servers refuse with a status of success.
        let is_refusal = document.object().is_some_and(|object| object.get("error").is_some_and(Value::is_string));
        if is_refusal {
            refusal(document)
        } else {
            format!("its answer (HTTP {}) holds no access token", document.status)
        }
    };
    let tokens = tokens.ok_or_else(|| denied(none()))?;
    if let Some(kind) = tokens.token_type.as_deref().filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        let kind = one_line(kind, SHOWN);
        return Err(denied(format!("its tokens are of the type `{kind}`, and only `Bearer` is known here")));
    }
    Ok(tokens)
}

/// The error in a refusal (RFC 6749 section 5.2).
pub(super) fn refusal(document: &Document) -> String {
    let status = document.status;
    if status.is_redirection() {
        return format!("HTTP {status}, and what holds secrets follows no redirect");
    }
    let object = document.object().unwrap_or_default();
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(|text| one_line(text, SHOWN));
    match (text("error"), text("error_description")) {
        (Some(error), Some(description)) => format!("{error} ({description})"),
        (Some(error), None) => error,
        (None, _) => format!("HTTP {status}"),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn a_secret_is_told_as_the_server_wants_it_and_never_without_need() {
        let client = Client { id: "a b:c", secret: Some("s+/é") };
        let sent = |kind| form(kind, client, &[("grant_type", "refresh_token")]);
        let basic = sent(Authentication::ClientSecretBasic);
        assert_eq!(basic.body, "grant_type=refresh_token&client_id=a+b%3Ac");
        let header = basic.authorization.unwrap();
        assert!(header.is_sensitive());
        let header = STANDARD.decode(header.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap();
        assert_eq!(String::from_utf8(header).unwrap(), "a+b%3Ac:s%2B%2F%C3%A9");
        let post = sent(Authentication::ClientSecretPost);
        assert_eq!(post.body, "grant_type=refresh_token&client_id=a+b%3Ac&client_secret=s%2B%2F%C3%A9");
        assert!(post.authorization.is_none());
        let none = sent(Authentication::None);
        assert!(none.authorization.is_none() && none.body.ends_with("client_id=a+b%3Ac"));
    }

    #[test]
    fn a_lifetime_is_a_number_in_whatever_spelling() {
        let of = |spelt: &str| {
            let body = format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":{spelt}}}"#).into_bytes();
            tokens("i", &Document { status: StatusCode::OK, body }).map_err(|e| e.to_string()).unwrap().expires_in
        };
        for spelt in ["3600", "3600.0", "\"3600\"", "\" 3600.5\""] {
            assert_eq!(of(spelt), Some(3600), "{spelt}");
        }
        assert_eq!(["null", "\"soon\"", "[]"].map(of), [None; 3]);
        assert_eq!(["0", "\"0\"", "-1"].map(of), [None; 3]);
        assert_eq!(of("1e300"), Some(u64::from(u32::MAX)));
    }

    #[test]
    fn scopes_are_words_or_a_list_of_them() {
        let of = |spelt: &str| {
            let body = format!(r#"{{"access_token":"a","scope":{spelt}}}"#).into_bytes();
            tokens("i", &Document { status: StatusCode::OK, body }).map_err(|e| e.to_string()).unwrap().scope
        };
        assert_eq!(["\"a b\"", "[\"a\",\"b\"]"].map(of), [Some("a b".to_owned()), Some("a b".to_owned())]);
        assert_eq!(["null", "3"].map(of), [None, None]);
    }

    #[test]
    fn what_is_no_token_is_an_error_that_shows_no_secret() {
        let of = |status: u16, body: &str| {
            let document = Document { status: StatusCode::from_u16(status).unwrap(), body: body.as_bytes().to_vec() };
            tokens("https://as", &document).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(
            of(400, r#"{"error":"invalid_grant","error_description":"a\u001bb"}"#),
            "`https://as` says no: invalid_grant (a b)"
        );
        assert!(of(200, "<html>").contains("holds no access token"));
        assert!(of(200, r#"{"access_token":""}"#).contains("holds no access token"));
        let refused = r#"{"error":"bad_verification_code","error_description":"it is wrong"}"#;
        assert_eq!(of(200, refused), "`https://as` says no: bad_verification_code (it is wrong)");
        assert!(
            of(200, r#"{"access_token":"SECRET","token_type":"mac"}"#)
                .ends_with("of the type `mac`, and only `Bearer` is known here")
        );
        assert!(of(307, "").contains("follows no redirect"));
    }
}
