//! `understudy wrap` and `unwrap`: Understudy in front of the servers in other clients' configs, with one command, and back.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `advice` | what is left for the user to do afterwards |
//! | `clients` | the clients: where their configs are, and how they write servers |
//! | `document` | a config as a tree with places in its text, and edits of the text |
//! | `json`, `toml`, `yaml` | from each format to that tree |
//! | `entry` | a server's entry: what it starts, and the edits that wrap and unwrap it |
//! | `recognize` | which entries run Understudy already |
//! | `servers` | a config's servers, and the text in which some are wrapped or unwrapped |
//! | `target` | a client's file: whether it may be edited, and replacing it |
//! | `record` | what was changed, and the backups |
//! | `plan` | what would be done to each file, and doing it |
//! | `shown` | differences and commands without keys |
//! | `status` | what is wrapped, and what a client does by itself |

mod advice;
mod clients;
mod document;
mod entry;
mod json;
mod plan;
mod recognize;
mod record;
mod servers;
mod shown;
mod status;
mod target;
#[cfg(test)]
mod tests;
mod toml;
mod yaml;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};

use super::args::{GlobalArgs, UsageError};
use super::output::{Outcome, note, out};
use super::setup;
use super::terminal::{answer, can_ask, says_yes};
use clients::{CLIENTS, FoundConfig, McpClient};
use plan::{FilePlan, Task};
use servers::{ProxyCommand, ServerOutcome};
use understudy::config::{Config, Origin};
use understudy::text::{list, quoted};

/// Which files and servers, and whether they are written.
#[derive(Debug, Args)]
struct ChoiceArgs {
    /// The clients [default: all whose configs are found, in your home and in this folder]
    #[arg(value_name = "CLIENT", value_parser = PossibleValuesParser::new(CLIENTS.iter().map(|client| client.id)), hide_possible_values = true)]
    clients: Vec<String>,
    /// The server with this name; can be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    server: Vec<String>,
    /// The client's config, where it isn't in its usual place; names one client
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show the difference, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write it without asking
    #[arg(short, long, conflicts_with = "dry_run")]
    yes: bool,
}

/// Arguments of `wrap`.
#[derive(Debug, Args)]
#[command(after_help = clients_in_words())]
pub(super) struct WrapArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// The plugin that answers [default: what the config's `sampling` says]; if repeated, tried in order
    #[arg(long, value_name = "PLUGIN")]
    plugin: Vec<String>,
    /// Let this program fetch and start Understudy, in the place of this program's path
    #[arg(long, value_name = "RUNNER")]
    via: Option<Runner>,
    /// List the clients, their servers, what is wrapped, and what a client does by itself
    #[arg(long, conflicts_with_all = ["dry_run", "yes", "plugin", "via"])]
    status: bool,
    /// Write the list as JSON
    #[arg(long, requires = "status")]
    json: bool,
}

/// Arguments of `unwrap`.
#[derive(Debug, Args)]
#[command(after_help = clients_in_words())]
pub(super) struct UnwrapArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
}

/// What fetches packages and starts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runner {
    /// From npm
    Npx,
    /// From `PyPI`
    Uvx,
}

/// The help's list of clients.
fn clients_in_words() -> String {
    let names: Vec<&str> = CLIENTS.iter().map(|client| client.id).collect();
    format!("Clients: {}", names.join(", "))
}

impl ChoiceArgs {
    /// The files of the chosen clients.
    fn files(&self) -> Result<Vec<(&'static McpClient, FoundConfig)>> {
        let is_chosen = |client: &&McpClient| self.clients.is_empty() || self.clients.iter().any(|id| id == client.id);
        let chosen: Vec<&'static McpClient> = CLIENTS.iter().filter(is_chosen).collect();
        if let Some(file) = &self.file {
            let ([client], [_]) = (chosen.as_slice(), self.clients.as_slice()) else {
                return Err(UsageError(
                    "`--file` needs one client, whose config it is: `understudy wrap CLIENT --file FILE`".to_owned(),
                )
                .into());
            };
            let path = std::path::absolute(file)?;
            return Ok(vec![(*client, FoundConfig { path, project: None })]);
        }
        Ok(chosen.into_iter().flat_map(|client| client.files().into_iter().map(move |file| (client, file))).collect())
    }

    /// Whether the user is to be asked which servers are meant.
    fn is_open(&self) -> bool {
        self.clients.is_empty() && self.server.is_empty() && !self.dry_run && !self.yes && can_ask()
    }
}

pub(super) async fn run(global: &GlobalArgs, args: WrapArgs) -> Result<Outcome> {
    let files = args.choice.files()?;
    if args.status {
        return status::show(&files, args.json);
    }
    if files.is_empty() {
        return Ok(none_found(&args.choice));
    }
    let config = setup::config(global)?;
    if config.origin == Origin::Folder {
        note(
            "clients start servers elsewhere, where this folder's config isn't used: `--config FILE` names one for them",
        );
    }
    let plugins = plugins(&config, &args)?;
    let proxy = ProxyCommand {
        program: match args.via {
            None => this_program(),
            Some(Runner::Npx) => "npx".to_owned(),
            Some(Runner::Uvx) => "uvx".to_owned(),
        },
        runner: match args.via {
            None => Vec::new(),
            Some(Runner::Npx) => vec!["-y".to_owned(), recognize::PACKAGE.to_owned()],
            Some(Runner::Uvx) => vec![recognize::PACKAGE.to_owned()],
        },
        config: config.path.as_deref().filter(|_| config.origin == Origin::Named).map(absolute),
        plugins: plugins.clone(),
    };
    let task = Task::Wrap(proxy);
    let Some((plans, has_failed)) = carried_out(&args.choice, &files, &task)? else { return Ok(Outcome::Failed) };
    if plans.is_empty() || args.choice.dry_run {
        return Ok(if has_failed { Outcome::Failed } else { Outcome::Done });
    }
    if args.via.is_none() && plans.iter().any(FilePlan::is_of_project) {
        note("a project's config names this program's path now: `--via npx` writes what works for others, too");
    }
    let has_own_program = args.via.is_none();
    let is_ready = !has_own_program || advice::prepare(global, &config, &plugins).await;
    let is_well = advice::after_wrapping(&config, plugins, &plans).await?;
    Ok(if has_failed || !is_ready || !is_well { Outcome::Failed } else { Outcome::Done })
}

/// `understudy unwrap`.
pub(super) fn undo(args: &UnwrapArgs) -> Result<Outcome> {
    let files = args.choice.files()?;
    if files.is_empty() {
        return Ok(none_found(&args.choice));
    }
    match carried_out(&args.choice, &files, &Task::Unwrap)? {
        Some((plans, has_failed)) => {
            if !args.choice.dry_run {
                advice::restart(&plans);
            }
            Ok(if has_failed { Outcome::Failed } else { Outcome::Done })
        }
        None => Ok(Outcome::Failed),
    }
}

/// Says that no config was found.
fn none_found(choice: &ChoiceArgs) -> Outcome {
    let which = if choice.clients.is_empty() {
        "no client's config is found in your home or in this folder".to_owned()
    } else {
        format!("{} has no config in your home or in this folder", list(choice.clients.iter().map(String::as_str)))
    };
    note(&format!("{which}: add a server in the client first, or name the config with `--file`"));
    Outcome::Failed
}

/// Plans, shows, asks and writes. The files that were changed, or would be, and whether something was left; `None` if the user said no.
fn carried_out(
    choice: &ChoiceArgs,
    files: &[(&'static McpClient, FoundConfig)],
    task: &Task,
) -> Result<Option<(Vec<FilePlan>, bool)>> {
    let named = |name: &str, _: &str| choice.server.is_empty() || choice.server.iter().any(|known| known == name);
    let mut plans = plan::plans(files, task, &named);
    if choice.is_open() && plans.iter().any(FilePlan::changes) {
        let Some(chosen) = chosen_on_terminal(&plans)? else {
            note("nothing is changed");
            return Ok(None);
        };
        plans = plan::plans(files, task, &|_, place| chosen.contains(place));
    }
    let unknown = choice.server.iter().filter(|name| !plans.iter().any(|plan| plan.has(name)));
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    let mut has_failed = !unknown.is_empty();
    for plan in &plans {
        plan.show(choice.dry_run || (!choice.yes && can_ask()))?;
        has_failed |= plan.is_left(&choice.server);
    }
    if !unknown.is_empty() {
        note(&format!("no config has the server {}", list(unknown)));
    }
    let (plans, others): (Vec<FilePlan>, Vec<FilePlan>) = plans.into_iter().partition(FilePlan::changes);
    if matches!(task, Task::Unwrap) && !choice.dry_run {
        for plan in others {
            plan.tidy().map_err(anyhow::Error::msg)?;
        }
    }
    if plans.is_empty() {
        note(&format!("nothing to change: no server is to be {}", task.done()));
        return Ok(Some((plans, has_failed)));
    }
    if choice.dry_run {
        return Ok(Some((plans, has_failed)));
    }
    if !choice.yes {
        if !can_ask() {
            note("nothing is written: `--yes` writes this, `--dry-run` shows the difference");
            return Ok(None);
        }
        if !says_yes("Write this?")? {
            note("nothing is changed");
            return Ok(None);
        }
    }
    let mut written = Vec::new();
    for plan in plans {
        match plan.write(task) {
            Ok(said) => {
                note(&said);
                written.push(plan);
            }
            Err(why) => {
                note(&format!("`{}` is not changed: {why}", plan.path()));
                has_failed = true;
            }
        }
    }
    Ok(Some((written, has_failed)))
}

/// Lets the user choose servers; `None` if none is meant.
fn chosen_on_terminal(plans: &[FilePlan]) -> Result<Option<BTreeSet<String>>> {
    let mut servers = Vec::new();
    for plan in plans {
        let changed = plan.servers().iter().filter(|server| server.outcome == ServerOutcome::Changed);
        for server in changed {
            servers.push(plan::key(&plan.path(), &server.place));
            out(&format!(
                "{:3}  {}, `{}`: {}",
                servers.len(),
                plan.client_name(),
                quoted(&server.name, 100),
                server.runs
            ))?;
        }
    }
    loop {
        let typed = answer("Which of these? [all, or numbers, or none]")?;
        match typed.to_lowercase().as_str() {
            "" | "all" => return Ok(Some(servers.into_iter().collect())),
            "none" | "n" | "no" | "q" => return Ok(None),
            typed => {
                let numbers = typed.split([',', ' ']).filter(|part| !part.is_empty());
                let chosen: Option<BTreeSet<String>> =
                    numbers.map(|part| servers.get(part.parse::<usize>().ok()?.checked_sub(1)?).cloned()).collect();
                if let Some(chosen) = chosen.filter(|chosen| !chosen.is_empty()) {
                    return Ok(Some(chosen));
                }
                note(&format!("type numbers from 1 to {}, as in `1, 2`", servers.len()));
            }
        }
    }
}

/// The plugins that are written into the entries; none where the config says who answers.
fn plugins(config: &Config, args: &WrapArgs) -> Result<Vec<String>> {
    let mut plugins = args.plugin.clone();
    // A folder's own config is used in that folder alone, and a client starts servers elsewhere.
    let is_anywhere = config.origin != Origin::Folder;
    let has_rule = is_anywhere && config.sampling().is_some_and(|rule| !rule.plugins.is_empty());
    if plugins.is_empty() && !has_rule {
        let known = setup::plugin_names(config);
        let known = list(known.iter().map(String::as_str));
        if args.choice.dry_run || args.choice.yes || !can_ask() {
            return Err(UsageError(format!(
                "no plugin is named: add `--plugin NAME` ({known}, or a component's path), or `sampling` to the config"
            ))
            .into());
        }
        plugins = vec![answer(&format!("Which plugin answers ({known})?"))?];
    }
    for plugin in &mut plugins {
        config.plugin(plugin, setup::env)?;
        if understudy::config::is_component(plugin) && Path::new(plugin.as_str()).is_file() {
            *plugin = absolute(Path::new(plugin.as_str()));
        }
    }
    Ok(plugins)
}

/// This program by a path that stays the same when it is replaced by a newer one: that of a link on the PATH, where one leads here.
fn this_program() -> String {
    let Ok(program) = std::env::current_exe() else { return "understudy".to_owned() };
    let real = program.canonicalize().unwrap_or_else(|_| program.clone());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let name = program.file_name().unwrap_or_default();
    let mut places = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    absolute(&places.find(|place| place.canonicalize().is_ok_and(|place| place == real)).unwrap_or(program))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).to_string_lossy().into_owned()
}
