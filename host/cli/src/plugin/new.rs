//! `understudy plugin new`, `bindings` and `componentize`: what it takes to write a plugin.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::authoring::contract::{self, Bindings};
use crate::authoring::language::{Language, NewWorld};
use crate::authoring::template::{Beginning, TemplateError};
use crate::cli::args::UsageError;
use crate::cli::output::{Outcome, note};

/// Arguments of `plugin new`.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The plugin's name, and that of the folder that is made here
    #[arg(value_name = "NAME")]
    name: String,
    /// The language: rust, typescript, javascript, python, go or c
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// `provider` converts, and the host makes the HTTP requests; `handler` makes them itself
    #[arg(long, value_name = "WORLD", default_value = "provider")]
    world: NewWorld,
}

/// Arguments of `plugin bindings`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BindingsArgs {
    /// The language
    #[arg(value_name = "LANGUAGE")]
    language: Bindings,
    #[command(flatten)]
    contract: ContractArgs,
    /// The folder to write them into
    #[arg(long, value_name = "DIR", default_value = "bindings")]
    output: PathBuf,
}

/// Arguments of `plugin componentize`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ComponentizeArgs {
    /// The core module that a compiler made
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    #[command(flatten)]
    contract: ContractArgs,
    /// The component's file
    #[arg(long, value_name = "FILE", default_value = "plugin.wasm")]
    output: PathBuf,
}

/// Which contract.
#[derive(Debug, Args)]
struct ContractArgs {
    /// The folder that holds the contract
    #[arg(long, value_name = "DIR", default_value = "wit")]
    wit: PathBuf,
    /// The world
    #[arg(long, value_name = "WORLD", default_value = "provider-plugin")]
    world: String,
}

pub(super) fn new(args: NewArgs) -> Result<Outcome> {
    let beginning = Beginning { name: args.name, language: args.lang, world: args.world };
    let made = beginning.write(Path::new("")).map_err(|error| match error {
        TemplateError::Write(error) => anyhow::Error::from(error),
        error => UsageError(error.to_string()).into(),
    })?;
    let (name, component) = (&beginning.name, beginning.component());
    note(&format!("`{}` holds a plugin in {}; its README.md says more. Next:", made.display(), beginning.language));
    note(&format!("  cd {name} && {}", beginning.build_command()));
    note(&format!("  understudy plugin check {component}"));
    Ok(Outcome::Done)
}

pub(super) fn bindings(args: &BindingsArgs) -> Result<Outcome> {
    contract::bindings(args.language, &args.contract.wit, &args.contract.world, &args.output)?;
    Ok(Outcome::Done)
}

pub(super) fn componentize(args: &ComponentizeArgs) -> Result<Outcome> {
    contract::componentize(&args.module, &args.contract.wit, &args.contract.world, &args.output)?;
    Ok(Outcome::Done)
}
