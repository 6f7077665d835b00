//! The authorization server of a login, as it is stored: the login's secrets are sent to its endpoints only.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::endpoint::Server;
use super::error::Error;

/// The authorization server of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Authority {
    /// Its issuer identifier (RFC 8414 section 2). For a server without metadata, which is its own authorization server: its origin.
    pub(super) issuer: String,
    /// Where codes and refresh tokens are exchanged; the client's secret goes there alone.
    pub(super) token_endpoint: Url,
    /// How the client authenticates.
    pub(super) authentication: Authentication,
    /// The resource that the tokens are for (RFC 8707); missing in logins that older versions stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<String>,
    /// Where clients are registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) registration_endpoint: Option<Url>,
    /// Where tokens are revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revocation_endpoint: Option<Url>,
}

/// How a client authenticates at the token endpoint (RFC 7591 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Authentication {
    /// Not at all: a public client sends its id alone.
    None,
    /// By its secret, in a header.
    ClientSecretBasic,
    /// By its secret, in the form.
    ClientSecretPost,
}

impl Authentication {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }

    pub(super) fn by_name(name: &str) -> Option<Self> {
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost].into_iter().find(|kind| kind.name() == name)
    }
}

/// The part of an authorization server's metadata that is used here. Each of its URLs has been checked.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) registration_endpoint: Option<Url>,
    pub(super) revocation_endpoint: Option<Url>,
    pub(super) scopes: Vec<String>,
    /// The methods of client authentication; `None` if the metadata doesn't list them.
    pub(super) authentications: Option<Vec<Authentication>>,
    /// Whether each answer names its issuer (RFC 9207).
    pub(super) names_issuer: bool,
}

impl Metadata {
    /// Reads the document, whose `issuer` has been compared already.
    pub(super) fn of(server: &Server, issuer: String, document: &Map<String, Value>) -> Result<Self, Error> {
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        let list =
            |key: &str| document.get(key).and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str));
        let needed = |key: &'static str| {
            let missing =
                || Error::Unsupported { issuer: issuer.clone(), reason: format!("has no `{key}` in its metadata") };
            text(key).ok_or_else(missing)
        };
        let authorization_endpoint = server.page("authorization endpoint", needed("authorization_endpoint")?)?;
        let token_endpoint = server.allows("token endpoint", needed("token_endpoint")?)?;
        let registration_endpoint = text("registration_endpoint").filter(|text| !text.is_empty());
        let registration_endpoint = registration_endpoint.map(|text| server.allows("registration endpoint", text));
        // Nothing is sent there yet, so a login doesn't fail because of a URL that can't be used.
        let revocation_endpoint =
            text("revocation_endpoint").and_then(|text| server.allows("revocation endpoint", text).ok());
        if list("response_types_supported").is_some_and(|mut types| !types.any(|kind| kind == "code")) {
            return Err(Error::Unsupported { issuer, reason: "has no response type `code`".to_owned() });
        }
        if list("code_challenge_methods_supported").is_some_and(|mut methods| !methods.any(|method| method == "S256")) {
            return Err(Error::Unsupported { issuer, reason: "has no PKCE with `S256`".to_owned() });
        }
        let key = "authorization_response_iss_parameter_supported";
        Ok(Self {
            authorization_endpoint,
            token_endpoint,
            registration_endpoint: registration_endpoint.transpose()?,
            revocation_endpoint,
            scopes: list("scopes_supported").map(|list| list.map(str::to_owned).collect()).unwrap_or_default(),
            authentications: list("token_endpoint_auth_methods_supported")
                .map(|list| list.filter_map(Authentication::by_name).collect()),
            names_issuer: document.get(key).and_then(Value::as_bool).unwrap_or_default(),
            issuer,
        })
    }

    /// How a client with a secret authenticates, unless its registration says otherwise. Each server must accept the header (RFC 6749
    /// section 2.3.1).
    pub(super) fn authentication(&self) -> Authentication {
        let has = |kind| self.authentications.as_ref().is_some_and(|kinds| kinds.contains(&kind));
        if has(Authentication::ClientSecretPost) && !has(Authentication::ClientSecretBasic) {
            Authentication::ClientSecretPost
        } else {
            Authentication::ClientSecretBasic
        }
    }

    /// The part that is stored with a login.
    pub(super) fn authority(&self, authentication: Authentication, resource: Option<String>) -> Authority {
        Authority {
            issuer: self.issuer.clone(),
            token_endpoint: self.token_endpoint.clone(),
            authentication,
            resource,
            registration_endpoint: self.registration_endpoint.clone(),
            revocation_endpoint: self.revocation_endpoint.clone(),
        }
    }
}
