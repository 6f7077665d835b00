//! What authors of plugins need besides their language's own compiler.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`language`] | the languages that a plugin can be begun in |
//! | [`template`] | a new plugin's folder |
//! | [`contract`] | bindings of the contract for C and Go, and components of the core modules that these and Rust compile to |

pub mod contract;
pub mod language;
pub mod template;
