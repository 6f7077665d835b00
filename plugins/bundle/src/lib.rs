//! Understudy's built-in plugins, compiled to WebAssembly from their sources beside this crate.

/// A plugin that comes with Understudy.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// Its name: `builtin:NAME` in the config.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
}

/// Every built-in plugin. Not a constant: there would be a copy of all of them wherever it is named.
pub static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/list.rs"));

/// The built-in plugin of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|plugin| plugin.name == name)
}
