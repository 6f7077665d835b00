//! Finding the authorization server of a server. The resource's metadata (RFC 9728) names it, and its own metadata (RFC 8414, or that of `OpenID`
//! Connect) names its endpoints. A server of MCP's revision 2025-03-26 has only the latter, or neither, and is its own authorization server.

use serde_json::{Map, Value};
use url::Url;

use super::authority::Metadata;
use super::challenge::Challenge;
use super::endpoint::{Server, is_same_issuer};
use super::error::Error;
use super::web::{Document, Web, odd};
use understudy::text::one_line;

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

/// The most authorization servers of a document that are tried.
const MOST_SERVERS: usize = 8;

/// The authorization server, and how it was found.
#[derive(Debug)]
pub(super) struct DiscoveredServer {
    pub(super) metadata: Metadata,
    /// The resource that the tokens are for.
    pub(super) resource: String,
    /// The scopes that the resource's metadata names.
    pub(super) scopes: Vec<String>,
    /// Whether it is an assumption that the server is its own authorization server, because it has no metadata.
    pub(super) is_assumed: bool,
}

/// Finds the authorization server that the server names.
pub(super) async fn discover(web: &Web, challenge: Option<&Challenge>) -> Result<DiscoveredServer, Error> {
    let own = web.server.url().to_string();
    if let Some(resource) = resource(web, challenge).await?
        && !resource.servers.is_empty()
    {
        let metadata = first_of(web, &resource.servers).await?;
        return Ok(DiscoveredServer { metadata, resource: resource.name, scopes: resource.scopes, is_assumed: false });
    }
    if let Some(metadata) = beside(web).await? {
        return Ok(DiscoveredServer { metadata, resource: own, scopes: Vec::new(), is_assumed: false });
    }
    let metadata = assumed(&web.server)?;
    Ok(DiscoveredServer { metadata, resource: own, scopes: Vec::new(), is_assumed: true })
}

/// The resource's metadata.
struct Resource {
    name: String,
    servers: Vec<String>,
    scopes: Vec<String>,
}

async fn resource(web: &Web, challenge: Option<&Challenge>) -> Result<Option<Resource>, Error> {
    if let Some(named) = challenge.and_then(|challenge| challenge.resource_metadata.as_deref()) {
        // A path without an origin is the server's own.
        let named = if named.starts_with('/') && !named.starts_with("//") {
            with_path(web.server.url(), named).into()
        } else {
            named.to_owned()
        };
        let url = web.server.allows("resource metadata", &named)?;
        let document = web.get("resource metadata", &url).await?;
        if let Some(read) = read_resource(&web.server, &url, &document) {
            // The server itself has named this document, so no other is tried.
            return read.map(Some);
        }
    }
    let path = web.server.url().path().trim_matches('/');
    let mut candidates = vec![RESOURCE.to_owned()];
    if !path.is_empty() {
        candidates.splice(0..0, [format!("{RESOURCE}/{path}"), format!("/{path}{RESOURCE}")]);
    }
    for candidate in candidates {
        let url = with_path(web.server.url(), &candidate);
        let document = web.get("resource metadata", &url).await?;
        match read_resource(&web.server, &url, &document) {
            Some(Ok(resource)) => return Ok(Some(resource)),
            // It may be the metadata of another path of the same origin.
            Some(Err(error)) => tracing::debug!("{error}"),
            None => {}
        }
    }
    Ok(None)
}

/// `None` if there is no such document.
fn read_resource(server: &Server, url: &Url, document: &Document) -> Option<Result<Resource, Error>> {
    let document = document.object().filter(|_| document.status.is_success())?;
    let list = |key: &str| -> Vec<String> {
        let list = document.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut servers = list("authorization_servers");
    servers.extend(document.get("authorization_server").and_then(Value::as_str).map(str::to_owned));
    let name = document.get("resource").and_then(Value::as_str);
    let wrong = |reason: String| Some(Err(Error::Resource { url: url.clone(), reason }));
    let Some(name) = name else {
        if servers.is_empty() {
            return wrong("names neither a resource nor an authorization server".to_owned());
        }
        return wrong("doesn't say which resource it is of".to_owned());
    };
    if !is_of(name, server.url()) {
        let shown = one_line(name, 200);
        return wrong(format!("is that of `{shown}`, and not of `{}`", server.url()));
    }
    Some(Ok(Resource { name: name.to_owned(), servers, scopes: list("scopes_supported") }))
}

/// Whether a resource identifier covers a URL: it is the same, or its path contains the URL's.
fn is_of(name: &str, url: &Url) -> bool {
    let Ok(name) = Url::parse(name) else { return false };
    if name.origin() != url.origin() || name.fragment().is_some() {
        return false;
    }
    // A slash at the end makes no difference: the SDKs' servers write it or leave it out.
    let path = name.path().strip_suffix('/').unwrap_or(name.path());
    url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The metadata of the first of these authorization servers that publishes it.
async fn first_of(web: &Web, issuers: &[String]) -> Result<Metadata, Error> {
    let mut reasons = Vec::new();
    for issuer in issuers.iter().take(MOST_SERVERS).map(|issuer| identifier(issuer.trim())) {
        match of_issuer(web, &issuer).await {
            Ok(metadata) => return Ok(metadata),
            Err(error) if issuers.len() == 1 => return Err(error),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(Error::NoAuthorizationServer(reasons.join("; ")))
}

/// The issuer identifier that a resource's metadata means. Some servers write the URL of the issuer's metadata, from which the issuer follows; any
/// other URL is an identifier.
fn identifier(named: &str) -> String {
    let Ok(url) = Url::parse(named) else { return named.to_owned() };
    let path = url.path();
    let path = match path.strip_prefix(OAUTH).or_else(|| path.strip_prefix(OPENID)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => match path.strip_suffix(OPENID) {
            Some(rest) => rest,
            None => return named.to_owned(),
        },
    };
    format!("{}{path}", url.origin().ascii_serialization())
}

/// The metadata of an issuer, from its own origin.
pub(super) async fn of_issuer(web: &Web, issuer: &str) -> Result<Metadata, Error> {
    let url = web.server.allows("authorization server", issuer)?;
    let mut trouble = None;
    for candidate in candidates(&url) {
        match metadata(web, &candidate, issuer).await {
            Ok(Some(metadata)) => return Ok(metadata),
            Ok(None) => {}
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    Err(trouble.unwrap_or_else(|| odd(&url, "has no metadata of an authorization server")))
}

/// The metadata of the server as its own authorization server.
async fn beside(web: &Web) -> Result<Option<Metadata>, Error> {
    let server = web.server.url();
    let origin = server.origin().ascii_serialization();
    let path = server.path().trim_matches('/');
    let mut wanted = vec![(with_path(server, OAUTH), origin.clone()), (with_path(server, OPENID), origin.clone())];
    if !path.is_empty() {
        // A server with a path may publish it for that path, or for the whole origin.
        let issuer = format!("{origin}/{path}");
        let with_path = [format!("{OAUTH}/{path}"), format!("{OPENID}/{path}"), format!("/{path}{OPENID}")];
        wanted.splice(0..0, with_path.map(|path| (self::with_path(server, &path), issuer.clone())));
    }
    let mut trouble = None;
    for (url, issuer) in wanted {
        match metadata(web, &url, &issuer).await {
            Ok(Some(metadata)) => return Ok(Some(metadata)),
            Ok(None) => {}
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    // Invalid metadata is an error: the assumption is made only if there is none.
    trouble.map_or(Ok(None), Err)
}

/// The metadata at a URL, if there is any. Its `issuer` must be the one that was asked for (RFC 8414 section 3.3): otherwise an attacker's document
/// could name another issuer.
async fn metadata(web: &Web, url: &Url, issuer: &str) -> Result<Option<Metadata>, Error> {
    let document = web.get("authorization server metadata", url).await?;
    let Some(object) = document.object().filter(|_| document.status.is_success()) else { return Ok(None) };
    read_metadata(&web.server, url, issuer, &object).map(Some)
}

fn read_metadata(server: &Server, url: &Url, issuer: &str, document: &Map<String, Value>) -> Result<Metadata, Error> {
    let found = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if !is_same_issuer(found, issuer) {
        let (found, expected) = (one_line(found, 200), issuer.to_owned());
        return Err(Error::Issuer { url: url.clone(), found, expected });
    }
    Metadata::of(server, found.to_owned(), document)
}

/// The URLs of an issuer's metadata, in the order in which they are tried (MCP 2025-11-25, authorization server metadata discovery).
fn candidates(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_matches('/');
    let paths = if path.is_empty() {
        vec![OAUTH.to_owned(), OPENID.to_owned()]
    } else {
        vec![format!("{OAUTH}/{path}"), format!("{OPENID}/{path}"), format!("/{path}{OPENID}")]
    };
    paths.iter().map(|path| with_path(issuer, path)).collect()
}

/// The default endpoints of MCP's revision 2025-03-26, for a server without metadata.
fn assumed(server: &Server) -> Result<Metadata, Error> {
    let at = |path: &str| Value::String(with_path(server.url(), path).into());
    let document = [
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("registration_endpoint", "/register"),
    ];
    let document = document.into_iter().map(|(key, path)| (key.to_owned(), at(path))).collect();
    Metadata::of(server, server.url().origin().ascii_serialization(), &document)
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(path);
    url
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oauth::zone::Zone;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_resource_is_the_servers_own_or_what_it_is_in() {
        for (name, expected) in [
            ("https://mcp.example.com/a/mcp", true),
            ("https://mcp.example.com/a", true),
            ("https://mcp.example.com/a/", true),
            ("https://mcp.example.com/a/mcp/", true),
            ("https://mcp.example.com/a/mcp//", false),
            ("https://mcp.example.com/a/m/", false),
            ("https://mcp.example.com/", true),
            ("https://mcp.example.com", true),
            ("https://mcp.example.com/a/mc", false),
            ("https://mcp.example.com/b", false),
            ("https://evil.example.com/a/mcp", false),
            ("http://mcp.example.com/a/mcp", false),
            ("https://mcp.example.com:8443/a/mcp", false),
            ("https://mcp.example.com/a/mcp#x", false),
            ("mcp", false),
        ] {
            assert_eq!(is_of(name, &url("https://mcp.example.com/a/mcp?x=y")), expected, "{name}");
        }
    }

    #[test]
    fn metadata_is_looked_for_where_it_may_be() {
        let of = |issuer: &str| candidates(&url(issuer)).iter().map(|url| url.path().to_owned()).collect::<Vec<_>>();
        assert_eq!(of("https://as.example"), [OAUTH, OPENID]);
        assert_eq!(
            of("https://as.example/tenant/"),
            [format!("{OAUTH}/tenant"), format!("{OPENID}/tenant"), format!("/tenant{OPENID}")]
        );
        for (named, issuer) in [
            ("https://as.example/.well-known/oauth-authorization-server/tenant", "https://as.example/tenant"),
            ("https://as.example/tenant/.well-known/openid-configuration", "https://as.example/tenant"),
            ("https://as.example/.well-known/openid-configuration", "https://as.example"),
            // These look like URLs of metadata and are identifiers: their documents must name them as the issuer.
            ("https://rs.example/.well-known/x", "https://rs.example/.well-known/x"),
            (
                "https://rs.example/.well-known/oauth-authorization-serverx",
                "https://rs.example/.well-known/oauth-authorization-serverx",
            ),
        ] {
            assert_eq!(identifier(named), issuer);
        }
    }

    #[test]
    fn metadata_of_another_issuer_is_refused() {
        let server = Server::new(url("https://mcp.example.com/mcp"), Zone::Public);
        let read = |issuer: Value, token_endpoint: &str| {
            let document = json!({ "issuer": issuer, "authorization_endpoint": "https://as.example/authorize", "token_endpoint": token_endpoint });
            let document = document.as_object().unwrap().clone();
            read_metadata(&server, &url("https://as.example/.well-known/x"), "https://as.example/tenant", &document)
        };
        let good = "https://tokens.example/token";
        assert_eq!(read(json!("https://as.example/tenant"), good).unwrap().token_endpoint.as_str(), good);
        for issuer in [
            json!("https://as.example/tenant/"),
            json!("https://as.example"),
            json!("https://AS.example/tenant"),
            json!(1),
            Value::Null,
        ] {
            assert!(matches!(read(issuer, good), Err(Error::Issuer { .. })));
        }
        for endpoint in ["http://tokens.example/token", "https://10.0.0.1/token", "https://a@b/token", "javascript:x"] {
            assert!(
                matches!(read(json!("https://as.example/tenant"), endpoint), Err(Error::Refused { .. })),
                "{endpoint}"
            );
        }
    }
}
