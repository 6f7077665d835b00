//! What the user wants of a login.

use secrecy::SecretString;

/// What a login is to be.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The client that the user has registered with the authorization server; else one is registered.
    pub client_id: Option<String>,
    /// That client's secret, if it has one.
    pub client_secret: Option<SecretString>,
    /// The scopes to ask for, beside those of the login that there is; else those that the server names.
    pub scopes: Vec<String>,
}
