//! Registering a client where the user has none (RFC 7591).

use serde_json::{Value, json};

use super::authority::{Authentication, Metadata};
use super::error::Error;
use super::grant::refusal;
use super::web::Web;

/// What a user can do where no client is registered.
const OWN_CLIENT: &str = "register one there, and name it with `--client-id` (and `--client-secret`, if it has one; and `--port`, if its callback has a fixed one)";

/// A client that is registered with the authorization server.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) id: String,
    pub(super) secret: Option<String>,
    pub(super) authentication: Authentication,
}

/// Registers a client with this redirect URI.
pub(super) async fn register(
    web: &Web,
    metadata: &Metadata,
    callback: &str,
    scopes: &[String],
) -> Result<Registered, Error> {
    let unsupported = |reason: String| Error::Unsupported { issuer: metadata.issuer.clone(), reason };
    let Some(endpoint) = &metadata.registration_endpoint else {
        return Err(unsupported(format!("registers no clients: {OWN_CLIENT}")));
    };
    let mut request = json!({
        "client_name": "Understudy",
        "redirect_uris": [callback],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        // A program on the user's machine can't keep a secret. Servers whose metadata doesn't list public clients register them nevertheless, or
        // give a secret.
        "token_endpoint_auth_method": Authentication::None.name(),
        "application_type": "native",
    });
    if !scopes.is_empty()
        && let Some(request) = request.as_object_mut()
    {
        request.insert("scope".to_owned(), Value::String(scopes.join(" ")));
    }
    let document = web.post("registration endpoint", endpoint, request.to_string().into_bytes()).await?;
    if !document.status.is_success() {
        return Err(unsupported(format!("registers no client ({}): {OWN_CLIENT}", refusal(&document))));
    }
    let answer = document.object().unwrap_or_default();
    let text = |key: &str| answer.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id = text("client_id").ok_or_else(|| unsupported("registers a client without a `client_id`".to_owned()))?;
    let secret = text("client_secret").map(str::to_owned);
    let said = text("token_endpoint_auth_method").and_then(Authentication::by_name);
    let authentication = match said {
        // A server that gives a secret expects it.
        Some(Authentication::None) | None if secret.is_some() => metadata.authentication(),
        _ if secret.is_none() => Authentication::None,
        said => said.unwrap_or(Authentication::None),
    };
    Ok(Registered { id: id.to_owned(), secret, authentication })
}
