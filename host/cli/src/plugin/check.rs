//! `understudy plugin check`: a plugin against the kit.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::args::{GlobalArgs, UsageError, setting};
use crate::output::{Outcome, out};
use crate::setup;
use understudy::check;
use understudy::check::report::ConformanceReport;
use understudy::config::GuardConfig;
use understudy::runtime::{Overrides, PluginOrGuard};
use understudy::scheduling::Scheduling;

/// Arguments of `plugin check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A component's path, a name from the config, or a built-in's name; a plugin or a guard
    #[arg(value_name = "FILE")]
    plugin: String,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
    /// The folder of the author's fixtures [default: `fixtures` beside the component, else `fixtures` in this folder]
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Write the results into the fixtures; read the difference before you commit it
    #[arg(long)]
    update: bool,
    /// The model to ask for [default: the plugin's own default]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// A setting of the plugin: the value is JSON, else a text; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, serde_json::Value)>,
}

pub(super) async fn run(global: &GlobalArgs, args: CheckArgs) -> Result<Outcome> {
    let config = setup::config(global)?;
    let shared = setup::shared_resources(Scheduling::default());
    let overrides = Overrides { model: args.model, settings: args.set, ..Overrides::default() };
    // A name can be a guard's; of a file, its exports tell.
    let guard = setup::guard(&config, &args.plugin)?;
    let plugin = match &guard {
        Some(guard) => guard.component.clone(),
        None => overrides.plugin(&config, &args.plugin, shared.environment())?,
    };
    if let Some(folder) = args.fixtures.as_deref().filter(|folder| !folder.is_dir()) {
        return Err(UsageError(format!("`--fixtures`: `{}` is not a folder", folder.display())).into());
    }
    let beside = plugin.file().and_then(fixtures_of);
    let fixtures = args.fixtures.or(beside);
    if args.update && fixtures.is_none() {
        return Err(UsageError(
            "`--update`: there is no folder of fixtures; name one with `--fixtures DIR`".to_owned(),
        )
        .into());
    }
    let guard = guard.unwrap_or_else(|| GuardConfig::of(plugin.clone()));
    let report = match shared.load_either(&plugin, &overrides.applied(guard)).await {
        Ok(PluginOrGuard::Plugin(loaded)) => check::full(&loaded, fixtures.as_deref(), args.update).await,
        Ok(PluginOrGuard::Guard(guard)) => check::full_guard(&guard, fixtures.as_deref(), args.update).await,
        Err(error) => match check::refused(&plugin.name, &error) {
            Some(report) => report,
            None => return Err(error.into()),
        },
    };
    tell(&report, args.json)
}

fn tell(report: &ConformanceReport, as_json: bool) -> Result<Outcome> {
    out(&if as_json { format!("{:#}", report.to_json()) } else { report.in_words() })?;
    Ok(if report.passed() { Outcome::Done } else { Outcome::Failed })
}

/// The fixtures that belong to a component.
fn fixtures_of(component: &Path) -> Option<PathBuf> {
    let beside = component.parent().map(|folder| folder.join("fixtures"));
    beside.into_iter().chain([PathBuf::from("fixtures")]).find(|folder| folder.is_dir())
}
