//! The user's login at a registry, and the hosts that it may be sent to.

use url::Url;

/// A name and a password.
#[derive(Clone)]
pub(super) struct RegistryLogin {
    pub(super) user: String,
    pub(super) password: String,
}

/// Registries whose tokens come from a host of another name, and that host.
const KNOWN: [(&str, &str); 3] = [
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.digitalocean.com", "api.digitalocean.com"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// Whether a login at a registry may be sent to this place, which the registry says gives tokens for it: it is the registry itself, a
/// host that is known to belong to it, or one that the user named. A login that goes over TLS stays there.
pub(super) fn may_have(registry: &Url, place: &Url, named: &[Url]) -> bool {
    if registry.scheme() == "https" && place.scheme() != "https" {
        return false;
    }
    let is_known = || {
        let known = |(of, host): &(&str, &str)| Some(*of) == registry.host_str() && Some(*host) == place.host_str();
        place.port().is_none() && registry.port().is_none() && place.scheme() == "https" && KNOWN.iter().any(known)
    };
    let is_named = || named.iter().any(|named| named.origin() == place.origin());
    place.origin() == registry.origin() || is_known() || is_named()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_to_its_registry_and_to_what_belongs_to_it() {
        let url = |text: &str| Url::parse(text).unwrap();
        let named = [url("https://auth.example.com"), url("http://auth.example.com")];
        let may = |registry: &str, place: &str| may_have(&url(registry), &url(place), &named);
        for (registry, place) in [
            ("https://ghcr.io", "https://ghcr.io/token"),
            ("https://registry-1.docker.io", "https://auth.docker.io/token"),
            ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
            ("https://registry.example.com", "https://auth.example.com/token"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/token"),
        ] {
            assert!(may(registry, place), "{registry} {place}");
        }
        for (registry, place) in [
            ("https://ghcr.io", "http://ghcr.io/token"),
            ("https://ghcr.io", "https://ghcr.io:444/token"),
            ("https://ghcr.io", "https://ghcr.io.evil.com/token"),
            ("https://ghcr.io", "https://evil.com/ghcr.io"),
            ("https://ghcr.io", "https://auth.docker.io/token"),
            ("https://registry-1.docker.io", "http://auth.docker.io/token"),
            ("https://registry-1.docker.io", "https://auth.docker.io:8443/token"),
            ("https://registry.gitlab.com", "https://evil.gitlab.com/jwt/auth"),
            ("https://registry.example.com", "http://auth.example.com/token"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
        ] {
            assert!(!may(registry, place), "{registry} {place}");
        }
    }
}
