//! `understudy plugin check`: a plugin against the kit.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::check;
use crate::check::report::ConformanceReport;
use crate::cli::{End, Global, SamplingArgs, Usage, out, stage};
use crate::sampling::ConfiguredPlugin;

/// Arguments of `plugin check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// A component's path, a name from the config, or a built-in's name
    #[arg(value_name = "FILE")]
    plugin: String,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
    /// The folder of the author's own fixtures; by default `fixtures` beside the component, else `fixtures` here
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Write into the fixtures what comes of them: look at the difference before you commit it
    #[arg(long)]
    update: bool,
    /// The model to ask for; by default what the plugin suggests
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// A setting of the plugin's (`key=value`; the value is JSON, or else a text)
    #[arg(long, value_name = "KEY=VALUE", value_parser = stage::setting)]
    set: Vec<(String, serde_json::Value)>,
}

pub(super) async fn run(global: &Global, args: CheckArgs) -> Result<End> {
    let config = stage::config(global)?;
    let sampling = SamplingArgs { model: args.model, set: args.set, ..SamplingArgs::default() };
    let plugin = stage::configured(&config, &args.plugin, &sampling)?;
    if let Some(folder) = args.fixtures.as_deref().filter(|folder| !folder.is_dir()) {
        return Err(Usage(format!("`--fixtures`: `{}` is not a folder", folder.display())).into());
    }
    let beside = plugin.file().and_then(fixtures_of);
    let fixtures = args.fixtures.or(beside);
    if args.update && fixtures.is_none() {
        return Err(
            Usage("`--update`: there is no folder of fixtures; name one with `--fixtures DIR`".to_owned()).into()
        );
    }
    let report = match ConfiguredPlugin::load(&stage::engine_for_plugins()?, &plugin, stage::env).await {
        Ok(loaded) => check::full(&loaded, fixtures.as_deref(), args.update).await,
        Err(error) => match check::refused(&plugin.name, &error) {
            Some(report) => report,
            None => return Err(error.into()),
        },
    };
    tell(&report, args.json)
}

fn tell(report: &ConformanceReport, as_json: bool) -> Result<End> {
    out(&if as_json { format!("{:#}", report.to_json()) } else { report.in_words() })?;
    Ok(if report.passed() { End::Done } else { End::Failed })
}

/// The fixtures that belong to a component.
fn fixtures_of(component: &Path) -> Option<PathBuf> {
    let beside = component.parent().map(|folder| folder.join("fixtures"));
    beside.into_iter().chain([PathBuf::from("fixtures")]).find(|folder| folder.is_dir())
}
