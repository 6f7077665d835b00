//! The attacks of a review, each with what should come of it. A folder of its own a kind; what is shared is in the crate.
#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_collect,
    clippy::large_stack_arrays,
    clippy::type_complexity,
    clippy::unchecked_time_subtraction,
    reason = "a test may panic, and reads better so"
)]

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
mod unit42;
