//! Understudy's built-in plugins, compiled to WebAssembly from their sources beside this crate.

/// A plugin that comes with Understudy.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its name: `builtin:NAME` in the config.
    pub name: &'static str,
    /// The size of its component, in bytes.
    pub size: usize,
    /// The SHA-256 of its component, in hexadecimal.
    pub sha256: &'static str,
    /// The environment variables by which the provider's own tools know its secrets, that of its description first.
    pub secrets: &'static [&'static str],
    /// Those that its credential is taken from: the first that is set, with its scheme where that isn't the description's.
    pub credentials: &'static [(&'static str, Option<&'static str>)],
    /// The component, deflated: a third of it.
    packed: &'static [u8],
}

impl BuiltIn {
    /// The component. Unpacking it takes milliseconds: to tell what it is, size and digest are enough.
    ///
    /// # Panics
    /// If what the build has packed can't be unpacked.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the tests unpack all of them")]
    pub fn component(&self) -> Vec<u8> {
        miniz_oxide::inflate::decompress_to_vec(self.packed).expect("a built-in plugin is whole")
    }
}

/// The prices of the built-in plugins' models, with their date and sources, as JSON: by the plugin's name, then the model's, in US dollars for a
/// million tokens. `*` stands for any model.
pub const PRICES: &str = include_str!("../prices.json");

/// Every built-in plugin. Not a constant: there would be a copy of all of them wherever it is named.
#[expect(clippy::unreadable_literal, reason = "the sizes, which the build writes")]
pub static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/list.rs"));

/// The built-in plugin of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|plugin| plugin.name == name)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    #[test]
    fn each_is_what_it_was_before_it_was_packed() {
        for plugin in super::BUILT_IN {
            let component = plugin.component();
            let found = (component.len(), hex::encode(Sha256::digest(&component)));
            assert_eq!(found, (plugin.size, plugin.sha256.to_owned()), "{}", plugin.name);
        }
    }
}
