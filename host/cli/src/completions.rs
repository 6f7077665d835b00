//! `understudy completions`: for a shell.

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

use super::output::{Outcome, out};

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, cli: &mut Command) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, cli, "understudy", &mut script);
    out(String::from_utf8(script)?.trim_end())?;
    Ok(Outcome::Done)
}
