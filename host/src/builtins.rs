//! The plugins that come with Understudy: none without the feature `builtins`.

#[cfg(feature = "builtins")]
pub use understudy_plugins::{BUILT_IN, BuiltIn, PRICES, find};

#[cfg(not(feature = "builtins"))]
pub use absent::{BUILT_IN, BuiltIn, PRICES, find};

#[cfg(not(feature = "builtins"))]
mod absent {
    /// A plugin that comes with Understudy.
    #[derive(Debug, Clone, Copy)]
    pub struct BuiltIn {
        /// Its name: `builtin:NAME` in the config.
        pub name: &'static str,
        /// The size of its component, in bytes.
        pub size: usize,
        /// The SHA-256 of its component, in hexadecimal.
        pub sha256: &'static str,
        /// The environment variables by which the provider's own tools know its secrets.
        pub secrets: &'static [&'static str],
        /// Those that its credential is taken from.
        pub credentials: &'static [(&'static str, Option<&'static str>)],
    }

    impl BuiltIn {
        /// The component.
        #[must_use]
        pub fn component(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    /// The prices of their models.
    pub const PRICES: &str = "{}";

    /// Every built-in plugin.
    pub static BUILT_IN: &[BuiltIn] = &[];

    /// The built-in plugin of this name.
    #[must_use]
    pub fn find(_: &str) -> Option<&'static BuiltIn> {
        None
    }
}
