//! Understudy in the race: `race-understudy …` is `understudy …`, and `race-understudy parts` times the parts of which a request consists.
//!
//! One program for both: linking all that the sandbox needs takes minutes, and what the parts add is code that the others never run.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints, and a failure ends it"
)]

mod parts;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// As Understudy has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((verb, args)) if verb == "parts" => parts::main(args),
        _ => understudy_cli::program(),
    }
}
