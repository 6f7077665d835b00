//! Tools for authors of plugins, besides their language's own compiler.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`language`] | the languages that have a template |
//! | [`template`] | a new plugin's folder |
//! | [`contract`] | bindings of the contract for C and Go, and converting the core modules of these and of Rust to components |

pub mod contract;
pub mod language;
pub mod template;
