//! The `understudy` program.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use understudy::cli::{self, Cli};

/// A message is many small allocations, made on one thread and freed on another: the C library's allocator takes longer for that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::start_log(&cli);
    cli::keep_memory_private();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::failed(&anyhow::Error::from(error).context("can't start")),
    };
    let outcome = runtime.block_on(cli::run(cli));
    // Threads that wait for input which may never come must not keep the process.
    runtime.shutdown_background();
    match outcome {
        Ok(end) => end.exit_code(),
        Err(error) => cli::failed(&error),
    }
}
