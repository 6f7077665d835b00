//! References to components in registries, in a build without the feature `registry`: none can be used.

/// What a reference begins with.
pub(crate) const SCHEME: &str = "oci://";

/// A component in a registry. There is none.
pub(crate) enum Reference {}

impl Reference {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Err(format!("`{text}` is in a registry, and this build of Understudy has none (feature `registry`)"))
    }

    pub(crate) fn name(&self) -> &str {
        match *self {}
    }
}
