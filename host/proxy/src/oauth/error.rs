//! Why there is no login, or none that helps.

use url::Url;

/// A login that can't be made, renewed or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A URL that the server or its authorization server names, and that isn't gone to.
    #[error("the {what} `{shown}` is not used: it {reason}")]
    Refused {
        /// What it is named as.
        what: &'static str,
        /// The URL, fit to be shown.
        shown: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer.
    #[error("no answer from `{url}`: {reason}")]
    Unreachable {
        /// What was asked for.
        url: Url,
        /// Why there is none.
        reason: String,
    },
    /// An answer that is none.
    #[error("`{url}` {reason}")]
    Odd {
        /// What was asked for.
        url: Url,
        /// What it answers.
        reason: String,
    },
    /// The resource's metadata (RFC 9728) is another's, or says nothing.
    #[error("the metadata of the server at `{url}` {reason}")]
    Resource {
        /// Where the metadata is.
        url: Url,
        /// What is wrong with it.
        reason: String,
    },
    /// The authorization server's metadata (RFC 8414) is another's.
    #[error("the metadata at `{url}` is of the issuer `{found}`, and was asked for `{expected}`")]
    Issuer {
        /// Where the metadata is.
        url: Url,
        /// Whose metadata it says it is; empty if it doesn't say.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// None of the authorization servers that the resource names can be used.
    #[error("none of the authorization servers that the server names can be used: {0}")]
    NoAuthorizationServer(String),
    /// The server names another issuer than the one that the login that is kept belongs to.
    #[error(
        "the login that is kept belongs to the issuer `{kept}`, and the server {now}, which would get {what}; \
         if that is meant, forget the login first (`--forget`), then log in with `understudy auth`"
    )]
    OtherIssuer {
        /// The issuer of the login that is kept.
        kept: String,
        /// What the server names in its place.
        now: String,
        /// What would go to it.
        what: &'static str,
    },
    /// The authorization server can't do what is needed.
    #[error("the authorization server `{issuer}` {reason}")]
    Unsupported {
        /// The authorization server.
        issuer: String,
        /// What is missing.
        reason: String,
    },
    /// The authorization server, or the user there, says no.
    #[error("`{issuer}` says no: {reason}")]
    Denied {
        /// The authorization server.
        issuer: String,
        /// What it says.
        reason: String,
    },
    /// The browser has come back with what is not the answer to this login.
    #[error("the browser came back with what is no answer of `{issuer}`: {reason}")]
    Callback {
        /// The authorization server.
        issuer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The login can't be renewed at all.
    #[error("{0}")]
    NoRenewal(String),
    /// What is kept can't be read, or nothing can be kept.
    #[error("{0}")]
    Store(String),
}
