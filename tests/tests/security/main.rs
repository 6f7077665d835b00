//! The attacks of a review, each with what should come of it. A folder of its own a kind; what is shared is in the crate.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod children;
mod clients;
mod compile;
mod floods;
mod keys;
mod login;
mod pulls;
mod refusals;
mod rules;
mod trust;
