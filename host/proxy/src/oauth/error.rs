//! Errors of a login.

use url::Url;

/// A login that can't be made, renewed or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server or its authorization server names a URL to which no request may go.
    #[error("the {what} `{shown}` is not used: it {reason}")]
    Refused {
        /// What the URL is for.
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
    /// An answer that can't be used.
    #[error("`{url}` {reason}")]
    Odd {
        /// What was asked for.
        url: Url,
        /// The answer.
        reason: String,
    },
    /// The resource's metadata (RFC 9728) is for another resource, or names no authorization server.
    #[error("the metadata of the server at `{url}` {reason}")]
    Resource {
        /// Where the metadata is.
        url: Url,
        /// What is wrong with it.
        reason: String,
    },
    /// The authorization server's metadata (RFC 8414) names another issuer.
    #[error("the metadata at `{url}` is of the issuer `{found}`, and was asked for `{expected}`")]
    Issuer {
        /// Where the metadata is.
        url: Url,
        /// The issuer that it names; empty if it names none.
        found: String,
        /// The issuer that it must name.
        expected: String,
    },
    /// None of the authorization servers that the resource names can be used.
    #[error("none of the authorization servers that the server names can be used: {0}")]
    NoAuthorizationServer(String),
    /// The server names another issuer than that of the stored login.
    #[error(
        "the login that is kept belongs to the issuer `{kept}`, and the server {now}, which would get {what}; \
         if that is meant, forget the login first (`--forget`), then log in with `understudy auth`"
    )]
    OtherIssuer {
        /// The issuer of the stored login.
        kept: String,
        /// The issuer that the server names now.
        now: String,
        /// What would be sent to that issuer.
        what: &'static str,
    },
    /// The authorization server lacks a feature that is needed.
    #[error("the authorization server `{issuer}` {reason}")]
    Unsupported {
        /// The authorization server.
        issuer: String,
        /// What is missing.
        reason: String,
    },
    /// The authorization server refuses, or the user does on its page.
    #[error("`{issuer}` says no: {reason}")]
    Denied {
        /// The authorization server.
        issuer: String,
        /// Its error.
        reason: String,
    },
    /// The browser was redirected with an answer that doesn't belong to this login.
    #[error("the browser came back with what is no answer of `{issuer}`: {reason}")]
    Callback {
        /// The authorization server.
        issuer: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The login can't be renewed.
    #[error("{0}")]
    NoRenewal(String),
    /// The file of the login can't be read or written.
    #[error("{0}")]
    Store(String),
}
