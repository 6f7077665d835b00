//! `oci://REGISTRY/NAME:TAG@sha256:…`, and digests.

use std::fmt;

use sha2::Digest as _;

/// What a reference begins with.
pub const SCHEME: &str = "oci://";

/// A component in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(oci_spec::distribution::Reference);

impl Reference {
    /// Reads one; the registry is always named, and a tag or a digest.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "a component in a registry is written `oci://REGISTRY/NAME:TAG`, or with `@sha256:…` at its end";
        let wrong = |why: &str| format!("`{text}` {why}; {form}");
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("doesn't begin with `oci://`"))?;
        let Some((registry, name)) = rest.split_once('/') else { return Err(wrong("names no component")) };
        // Docker would take such a name for one of Docker Hub's.
        if registry != "localhost" && !registry.contains(['.', ':']) {
            return Err(wrong("names no registry"));
        }
        if !name.contains([':', '@']) {
            return Err(wrong("has neither tag nor digest"));
        }
        let parsed =
            oci_spec::distribution::Reference::try_from(rest).map_err(|e| wrong(&format!("can't be read ({e})")))?;
        if parsed.digest().is_some_and(|digest| Digest::parse(digest).is_none()) {
            return Err(wrong("has a digest that isn't a SHA-256"));
        }
        Ok(Self(parsed))
    }

    /// The digest of the manifest, if it says one.
    pub fn digest(&self) -> Option<Digest> {
        self.0.digest().and_then(Digest::parse)
    }

    /// Its tag, if it is pinned by no digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.0.tag().filter(|_| self.0.digest().is_none())
    }

    /// The last part of its name.
    #[must_use]
    pub fn name(&self) -> &str {
        let repository = self.0.repository();
        repository.rsplit_once('/').map_or(repository, |(_, name)| name)
    }

    /// The registry's host, and its port if it says one.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The same repository's manifest with this digest.
    #[must_use]
    pub fn at(&self, digest: &Digest) -> Self {
        Self(self.0.clone_with_digest(digest.to_string()))
    }

    /// The same repository's manifest with this tag.
    pub(crate) fn tagged(&self, tag: &str) -> Self {
        let (registry, repository) = (self.0.registry().to_owned(), self.0.repository().to_owned());
        Self(oci_spec::distribution::Reference::with_tag(registry, repository, tag.to_owned()))
    }

    /// The host that speaks for the registry.
    pub(super) fn host(&self) -> &str {
        match self.registry() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            registry => registry,
        }
    }

    /// The repository's name.
    pub(super) fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The path of its manifest.
    pub(super) fn manifest_path(&self) -> String {
        let name = self.0.digest().or_else(|| self.0.tag()).unwrap_or("latest");
        format!("/v2/{}/manifests/{name}", self.repository())
    }

    /// The scope of a token for it; `actions` are `pull` or `pull,push`.
    pub(super) fn scope(&self, actions: &str) -> String {
        format!("repository:{}:{actions}", self.repository())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.0)
    }
}

/// A SHA-256 digest, shown as `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// Reads `sha256:…`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let is_digest = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_digest.then(|| Self(hex.to_owned()))
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }

    /// Its hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_registry_and_which_component_is_meant() {
        let hex = "5".repeat(64);
        let tagged = Reference::parse("oci://ghcr.io/me/plugins/terse:1.2").unwrap();
        assert_eq!((tagged.registry(), tagged.name(), tagged.tag()), ("ghcr.io", "terse", Some("1.2")));
        assert_eq!(tagged.to_string(), "oci://ghcr.io/me/plugins/terse:1.2");
        let pinned = Reference::parse(&format!("oci://localhost:5000/terse:1.2@sha256:{hex}")).unwrap();
        assert_eq!((pinned.digest().unwrap().hex(), pinned.tag()), (hex.as_str(), None));
        assert_eq!(tagged.at(&Digest::of(b"")).digest(), Some(Digest::of(b"")));
        for (wrong, why) in [
            ("ghcr.io/me/terse:1", "doesn't begin with"),
            ("oci://terse:1", "names no component"),
            ("oci://me/terse:1", "names no registry"),
            ("oci://ghcr.io/me/terse", "neither tag nor digest"),
            ("oci://ghcr.io/me/terse:", "can't be read"),
            ("oci://ghcr.io/me/Terse:1", "can't be read"),
            ("oci://ghcr.io/me/terse@sha512:00", "can't be read"),
        ] {
            let error = Reference::parse(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
