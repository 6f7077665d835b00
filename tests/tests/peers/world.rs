//! What clients, servers and their users do in the field: how they end, where keys come from, whose config files are given, what is typed.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

mod ends;
mod files;
mod keys;
mod typed;
