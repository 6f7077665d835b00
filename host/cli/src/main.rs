//! The `understudy` program.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A message is many small allocations, made on one thread and freed on another: the C library's allocator takes longer for that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    understudy_cli::program()
}
