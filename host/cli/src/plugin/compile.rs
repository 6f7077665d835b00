//! `understudy plugin compile`: a plugin, compiled ahead of time.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::args::{GlobalArgs, UsageError};
use crate::output::{Outcome, note};
use crate::setup;
use understudy::runtime::Overrides;
use understudy::scheduling::Scheduling;

/// Arguments of `plugin compile`.
#[derive(Debug, Args)]
pub(crate) struct CompileArgs {
    /// A component's path, a name from the config, or a built-in's name
    #[arg(value_name = "FILE")]
    plugin: String,
    /// The file to write [default: the component's name with the ending `.cwasm`]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(global: &GlobalArgs, args: CompileArgs) -> Result<Outcome> {
    let config = setup::config(global)?;
    let shared = setup::shared_resources(Scheduling::default());
    let plugin = Overrides::default().plugin(&config, &args.plugin, shared.environment())?;
    let beside = match plugin.file() {
        Some(path) => path.with_extension("cwasm"),
        None => PathBuf::from(format!("{}.cwasm", plugin.name)),
    };
    let out = args.output.unwrap_or(beside);
    if out == Path::new(&plugin.component) {
        return Err(UsageError(format!(
            "`{}` would be written over; name another file with `--output`",
            out.display()
        ))
        .into());
    }
    let sha256 = understudy::sandbox::precompile(&shared.engine()?, &plugin, &out)?;
    note(&format!(
        "`{}` holds the component {sha256}, compiled for this machine and this version of Understudy; name it in the place of the component",
        out.display()
    ));
    Ok(Outcome::Done)
}
