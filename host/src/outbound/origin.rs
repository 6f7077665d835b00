//! Origins as the user writes them: scheme, host and perhaps a port.

use url::{Host, Url};

/// An origin as the user writes it: scheme, host and perhaps a port.
pub fn parse(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text.trim()).map_err(|e| format!("is not an origin such as `https://api.example.com`: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must begin with `https://` or `http://`, and begins with `{}:`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password; write a `credential` instead".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let origin = url.origin().ascii_serialization();
        return Err(format!("holds more than scheme, host and port; write `{origin}`"));
    }
    if url.host_str().is_none_or(|host| host.contains('*')) {
        return Err("must name one host; there are no wildcards".to_owned());
    }
    Ok(url)
}

/// The origin of a URL.
#[must_use]
pub fn of_url(text: &str) -> Option<String> {
    Url::parse(text).ok().map(|url| url.origin().ascii_serialization())
}

/// Whether the name itself says which address is meant: then it is allowed by name, whatever that address is.
pub(super) fn says_its_address(origin: &Url) -> bool {
    match origin.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        let of = |text: &str| parse(text).map(|url| url.origin().ascii_serialization());
        assert_eq!(of("https://api.example.com").unwrap(), "https://api.example.com");
        assert_eq!(of("HTTPS://API.example.com:443/").unwrap(), "https://api.example.com");
        assert_eq!(of("http://[::1]:8080").unwrap(), "http://[::1]:8080");
        for (text, reason) in [
            ("api.example.com", "is not an origin"),
            ("ftp://x.com", "must begin with"),
            ("https://user@x.com", "write a `credential` instead"),
            ("https://x.com/v1", "write `https://x.com`"),
            ("https://x.com?a=1", "more than scheme, host and port"),
            ("https://x.com/#a", "more than scheme, host and port"),
            ("https://*.x.com", "no wildcards"),
        ] {
            assert!(parse(text).unwrap_err().contains(reason), "{text}");
        }
    }

    #[test]
    fn a_literal_address_and_localhost_are_allowed_by_name() {
        for (text, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]", true),
            ("http://localhost", true),
            ("http://a.localhost", true),
            ("http://localhost.", false),
            ("http://localhost.example.com", false),
            ("http://ip6-localhost", false),
        ] {
            assert_eq!(says_its_address(&parse(text).unwrap()), expected, "{text}");
        }
    }
}
