//! `understudy doctor`: what is configured, what is missing, in words; and the entry that a client's config wants.

mod entry;
mod spending;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use clap::Args;

use super::args::{GlobalArgs, SamplingArgs};
use super::output::{Outcome, note, out};
use super::setup;
use entry::Entry;
use understudy::check;
use understudy::config::{Config, CredentialSource, Mode, OnFailure, Sampling, Transport};
use understudy::outbound::credential::{CLEAN_ENVIRONMENT, Credential};
use understudy::outbound::redact::{SHORTEST_CUT, SHORTEST_SECRET};
use understudy::runtime::{BuildError, Overrides};
use understudy::scheduling::Scheduling;
use understudy::text::one_line;
use understudy_proxy::server_runtime;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Also run the commands that print credentials
    #[arg(long)]
    commands: bool,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// A server's command and its arguments, as for `proxy`, from the first word that isn't an option
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn fine(text: &str) -> Result<()> {
    out(&format!("  ok       {}", one_line(text, usize::MAX)))
}

fn notable(text: &str) -> Result<()> {
    out(&format!("  note     {}", one_line(text, usize::MAX)))
}

/// What there is to mend so far.
#[derive(Default)]
struct Report {
    troubles: usize,
}

impl Report {
    fn trouble(&mut self, text: &str) -> Result<()> {
        self.troubles += 1;
        out(&format!("  TROUBLE  {}", one_line(text, usize::MAX)))
    }
}

pub(super) async fn run(global: &GlobalArgs, args: DoctorArgs) -> Result<Outcome> {
    let mut report = Report::default();
    let config = Config::find(global.config.as_deref())?;
    config.aside.iter().for_each(|aside| note(&aside.to_string()));
    note(&setup::used_config(&config));
    out("config")?;
    if let Some(path) = &config.path {
        fine(&format!("`{}` is read", path.display()))?;
    } else if !config.aside.is_empty() {
        notable("none is used: what was found is left aside; the command line will do")?;
    } else {
        let places: Vec<String> = Config::places().iter().map(|place| format!("`{}`", place.display())).collect();
        notable(&format!("there is none (looked for {}); the command line will do", places.join(" and ")))?;
    }
    for warning in &config.warnings {
        notable(warning)?;
    }
    let mut servers = servers(&config, &mut report)?;
    servers.extend(typed(&config, &args, &mut report)?);
    let mut used: BTreeSet<String> = servers.iter().flat_map(|server| server.plugins.clone()).collect();
    used.extend(config.sampling().iter().flat_map(|rule| rule.plugins.clone()));
    used.extend(args.sampling.plugin.iter().cloned());
    let variables = plugins(&config, &used, &args, &mut report).await?;
    guards(&config, &args, &mut report).await?;
    if !variables.is_empty() {
        notable(&format!("{} in this environment, and {CLEAN_ENVIRONMENT}", are_set(&variables)))?;
    }
    let rule = |name: &str| config.server(name, setup::env).ok().and_then(|server| server.sampling);
    let rules: Vec<(String, Sampling)> =
        config.server_names().filter_map(|name| Some((name.to_owned(), rule(name)?))).collect();
    spending::show(&config, &rules, &mut report).await?;
    entry::show(&servers, &variables)?;
    if report.troubles > 0 {
        out(&format!("{} to mend", report.troubles))?;
        return Ok(if config.broken.is_empty() { Outcome::Failed } else { Outcome::WrongConfig });
    }
    out("all is well")?;
    Ok(Outcome::Done)
}

/// Says what these servers may spend. Whether all is well.
pub(super) async fn spending(config: &Config, rules: &[(String, Sampling)]) -> Result<bool> {
    let mut report = Report::default();
    spending::show(config, rules, &mut report).await?;
    Ok(report.troubles == 0)
}

/// Which variables hold the credentials.
fn are_set(variables: &BTreeMap<String, String>) -> String {
    let names: BTreeSet<&str> = variables.values().map(String::as_str).collect();
    let are = if names.len() == 1 { "is" } else { "are" };
    format!("{} {are} set", understudy::text::list(names))
}

/// The servers and who answers each; the entries that clients want for them.
fn servers(config: &Config, report: &mut Report) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    out("servers")?;
    for name in config.server_names() {
        let server = match config.server(name, setup::env) {
            Ok(server) => server,
            Err(error) => {
                report.trouble(&error.to_string())?;
                continue;
            }
        };
        let reached = match &server.transport {
            Transport::Stdio { command, cwd, .. } => {
                if !is_there(command, cwd.as_deref()) {
                    report.trouble(&format!(
                        "`{name}`: there is no program `{command}` (a command has its arguments in `args`)"
                    ))?;
                }
                format!("`{name}` runs `{command}`")
            }
            Transport::Http { url, headers, is_old } => match server_runtime::remote(name, url, headers, *is_old) {
                Ok(remote) => format!("`{name}` is at {}", remote.place()),
                Err(error) => {
                    report.trouble(&error.to_string())?;
                    continue;
                }
            },
        };
        if server.is_off {
            notable(&format!("{reached}; it is turned off (`disabled`), and `serve` leaves it out"))?;
            continue;
        }
        entries.push(Entry::by_name(config, name, server.sampling.as_ref()));
        match &server.sampling {
            None => notable(&format!("{reached}; no plugin answers for it (`sampling` is not configured)"))?,
            Some(sampling) => fine(&format!("{reached}; {}", who_answers(sampling)))?,
        }
    }
    if config.server_names().next().is_none() {
        notable("none is configured; `understudy proxy -- COMMAND` needs none")?;
    }
    Ok(entries)
}

/// The server that was typed; the entry that clients want for it.
fn typed(config: &Config, args: &DoctorArgs, report: &mut Report) -> Result<Option<Entry>> {
    let Some(command) = args.command.first() else { return Ok(None) };
    if !is_there(command, None) {
        report.trouble(&format!("there is no program `{command}`"))?;
    }
    let rule = args.sampling.overrides().rule(config.sampling().cloned());
    match &rule {
        None => notable(&format!("`{command}`, as typed; no plugin answers for it: name one with `--plugin NAME`"))?,
        Some(rule) => fine(&format!("`{command}`, as typed; {}", who_answers(rule)))?,
    }
    Ok(Some(Entry::by_command(config, args, rule.as_ref())))
}

/// Whether a command is a file, or on the PATH.
fn is_there(command: &str, cwd: Option<&Path>) -> bool {
    if command.contains('/') {
        return cwd.unwrap_or(Path::new("")).join(command).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(command).is_file())
}

fn who_answers(sampling: &Sampling) -> String {
    let chain = understudy::text::list(sampling.plugins.iter().map(String::as_str));
    let guards = understudy::text::list(sampling.guards.iter().map(String::as_str));
    let guarded = if sampling.guards.is_empty() { String::new() } else { format!(", guarded by {guards}") };
    match sampling.mode {
        Mode::Off => "sampling passes through (`mode` is `off`)".to_owned(),
        Mode::Always => format!("{chain} answers, whatever the client can{guarded}"),
        Mode::Fallback => format!("the client answers if it can, else {chain}{guarded}"),
    }
}

/// The guards that are configured, or that a rule names.
async fn guards(config: &Config, args: &DoctorArgs, report: &mut Report) -> Result<()> {
    let rules = config.server_names().filter_map(|name| config.server(name, setup::env).ok()?.sampling);
    let rules: Vec<Sampling> = rules.chain(config.sampling().cloned()).collect();
    let used: BTreeSet<&str> = rules.iter().flat_map(|rule| &rule.guards).map(String::as_str).collect();
    let names: BTreeSet<&str> = used.iter().copied().chain(config.guard_names()).collect();
    if names.is_empty() {
        return Ok(());
    }
    out("guards")?;
    let shared = setup::shared_resources(Scheduling::default());
    for name in names {
        let loaded = match config.guard(name, setup::env) {
            Ok(guard) => shared.load_guard(&guard).await.map_err(BuildError::from),
            Err(error) => Err(error.into()),
        };
        let guard = match loaded {
            Ok(guard) => guard,
            Err(error) => {
                report.trouble(&format!("`{name}`: {error}"))?;
                continue;
            }
        };
        for (rule, how) in check::quick_guard(&guard).await.breaches() {
            let how = how.join("; ");
            report.trouble(&format!("`{name}` breaks the rule `{}`: {how}; {}", rule.name(), rule.remedy()))?;
        }
        let summary = format!("`{name}`: {}", guard.plugin.description.summary);
        match (used.contains(name), guard.on_failure()) {
            (true, OnFailure::Deny) => fine(&summary)?,
            (true, OnFailure::Allow) => {
                notable(&format!("{summary}; where it fails, requests go on unguarded (`onFailure` is `allow`)"))?;
            }
            (false, _) => notable(&format!("{summary}; no rule names it in `sampling.guards`"))?,
        }
    }
    if rules.iter().any(|rule| !rule.guards.is_empty() && rule.mode == Mode::Fallback) && args.sampling.mode.is_none() {
        notable(
            "a client that can sample answers itself, and no guard looks at that (`\"mode\": \"always\"` has all guarded)",
        )?;
    }
    Ok(())
}

/// The plugins; the variables that hold their credentials.
async fn plugins(
    config: &Config,
    used: &BTreeSet<String>,
    args: &DoctorArgs,
    report: &mut Report,
) -> Result<BTreeMap<String, String>> {
    out("plugins")?;
    let (mut variables, commands) = (BTreeMap::new(), args.commands);
    let shared = setup::shared_resources(Scheduling::default());
    if let Err(error) = shared.engine() {
        report.trouble(&error.to_string())?;
        return Ok(variables);
    }
    let as_typed = |name: &str| {
        if args.sampling.plugin.iter().any(|typed| typed == name) {
            args.sampling.overrides()
        } else {
            Overrides::default()
        }
    };
    let names: BTreeSet<String> = setup::plugin_names(config).into_iter().chain(used.iter().cloned()).collect();
    for name in names {
        let loaded = match as_typed(&name).plugin(config, &name, shared.environment()) {
            Ok(plugin) => shared.load(&plugin).await.map_err(BuildError::from),
            Err(error) => Err(error.into()),
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                report.trouble(&format!("`{name}`: {error}"))?;
                continue;
            }
        };
        let summary = format!("`{name}`: {}", loaded.plugin.description.summary);
        if used.contains(&name) {
            for trouble in loaded.troubles() {
                report.trouble(&format!("`{name}`: {trouble}"))?;
            }
            if let Some(remark) = loaded.remark() {
                notable(&format!("`{name}`: {remark}"))?;
            }
        }
        let credential = loaded.provider_client.credential().filter(|credential| credential.is_there());
        let variable = credential.and_then(Credential::variable);
        variables.extend(variable.map(|variable| (name.clone(), variable.to_owned())));
        for (rule, how) in check::quick(&loaded).await.breaches() {
            let how = how.join("; ");
            report.trouble(&format!("`{name}` breaks the rule `{}`: {how}; {}", rule.name(), rule.remedy()))?;
        }
        let is_used = used.contains(&name);
        if let Some(guarded) = loaded.plugin.egress_policy() {
            let origins = guarded.names();
            let reach = if origins.is_empty() { "nothing".to_owned() } else { origins.join(", ") };
            let summary = format!("{summary}; it makes its own HTTP requests, and may reach {reach}");
            fine(&summary)?;
            for (origin, _, credential) in guarded.origins() {
                let Some(credential) = credential else { continue };
                let to = format!("to {origin}");
                goes(&name, &format!("`{name}`"), &to, credential, is_used, commands).await?;
            }
            continue;
        }
        let Some(credential) = loaded.provider_client.credential() else {
            fine(&summary)?;
            continue;
        };
        let to = loaded.provider_client.endpoint().map_or_else(str::to_owned, |endpoint| format!("to {endpoint}"));
        goes(&name, &summary, &to, credential, is_used, commands).await?;
    }
    Ok(variables)
}

/// Where a credential goes, and whether it is there. A command that prints it is run only if that was asked for: it may ask its user for
/// something, and a look at a config shouldn't do what the config says.
async fn goes(
    name: &str,
    summary: &str,
    to: &str,
    credential: &Credential,
    is_used: bool,
    commands: bool,
) -> Result<()> {
    let is_command = matches!(credential.source, CredentialSource::Command(_));
    if is_command && !commands {
        let words = credential.in_words();
        return fine(&format!("{summary}; its credential goes {to} as {words} (not run: `--commands` runs it)"));
    }
    match credential.value(true).await {
        Ok(Some(secret)) => {
            fine(&format!("{summary}; its credential goes {to} as {}", credential.in_words()))?;
            if !secret.is_secret() {
                notable(&format!(
                    "`{name}`: its credential is shorter than {SHORTEST_SECRET} bytes, so it is taken for a dummy and cut out of nothing"
                ))?;
            } else if !secret.is_cut() {
                notable(&format!(
                    "`{name}`: its credential is shorter than {SHORTEST_CUT} bytes, so it is kept out of logs but not cut out of answers"
                ))?;
            }
            Ok(())
        }
        Ok(None) => fine(&format!("{summary}; it works without a credential")),
        Err(failed) if is_used && is_command => notable(&format!("`{name}`: {failed}")),
        // It is among the troubles.
        Err(_) if is_used => Ok(()),
        Err(missing) => {
            let in_short = missing.replace(&format!(" ({CLEAN_ENVIRONMENT})"), "");
            notable(&format!("`{name}` is not used; {in_short}"))
        }
    }
}
