//! `understudy plugin new`, `bindings` and `componentize`: what it takes to write a plugin.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::args::UsageError;
use crate::output::{Outcome, note};
use understudy::authoring::contract::{self, Bindings};
use understudy::authoring::language::{Language, NewWorld};
use understudy::authoring::template::{Beginning, TemplateError};

/// Arguments of `plugin new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The plugin's name, which is also the name of the new folder
    #[arg(value_name = "NAME")]
    name: String,
    /// The language: rust, typescript, javascript, python, go or c
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// `provider` (the host makes the HTTP requests), `handler` (the plugin makes them) or `guard` (judges requests and answers)
    #[arg(long, value_name = "WORLD", default_value = "provider")]
    world: NewWorld,
}

/// Arguments of `plugin bindings`.
#[derive(Debug, Args)]
pub(crate) struct BindingsArgs {
    /// The language
    #[arg(value_name = "LANGUAGE")]
    language: BindingsLanguage,
    #[command(flatten)]
    contract: ContractArgs,
    /// The folder to write them into
    #[arg(long, value_name = "DIR", default_value = "bindings")]
    output: PathBuf,
}

/// Arguments of `plugin componentize`.
#[derive(Debug, Args)]
pub(crate) struct ComponentizeArgs {
    /// The core module
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    #[command(flatten)]
    contract: ContractArgs,
    /// The component's file to write
    #[arg(long, value_name = "FILE", default_value = "plugin.wasm")]
    output: PathBuf,
}

/// The languages that bindings are made for here.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum BindingsLanguage {
    /// A header and a source for C, and an object that says which world it is.
    C,
    /// Packages for Go: the folder `bindings` of the module `understudy`.
    Go,
}

impl From<BindingsLanguage> for Bindings {
    fn from(language: BindingsLanguage) -> Self {
        match language {
            BindingsLanguage::C => Self::C,
            BindingsLanguage::Go => Self::Go,
        }
    }
}

/// Which contract.
#[derive(Debug, Args)]
struct ContractArgs {
    /// The folder of the contract
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
    contract::bindings(args.language.into(), &args.contract.wit, &args.contract.world, &args.output)?;
    Ok(Outcome::Done)
}

pub(super) fn componentize(args: &ComponentizeArgs) -> Result<Outcome> {
    contract::componentize(&args.module, &args.contract.wit, &args.contract.world, &args.output)?;
    Ok(Outcome::Done)
}
