//! The options of a login.

use secrecy::SecretString;

/// The options of a login.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The client that the user has registered with the authorization server; if `None`, one is registered.
    pub client_id: Option<String>,
    /// That client's secret, if it has one.
    pub client_secret: Option<SecretString>,
    /// The scopes to ask for, besides those of the stored login; without any, those that the server names.
    pub scopes: Vec<String>,
}
