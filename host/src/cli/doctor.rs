//! `understudy doctor`: what is configured, what is missing, in words.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;

use super::{End, Global, SamplingArgs, out, stage};
use crate::config::{Config, Mode, Sampling, Transport};
use crate::plugin::Engine;
use crate::provider::credential::SHORTEST_CUT;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {}

/// The report so far.
#[derive(Default)]
struct Report {
    troubles: usize,
}

impl Report {
    fn fine(&self, text: &str) -> Result<()> {
        out(&format!("  ok       {text}"))
    }

    fn notable(&self, text: &str) -> Result<()> {
        out(&format!("  note     {text}"))
    }

    fn trouble(&mut self, text: &str) -> Result<()> {
        self.troubles += 1;
        out(&format!("  TROUBLE  {text}"))
    }
}

pub(super) async fn run(global: &Global, _: DoctorArgs) -> Result<End> {
    let mut report = Report::default();
    let config = Config::find(global.config.as_deref())?;
    out("config")?;
    match &config.path {
        Some(path) => report.fine(&format!("`{}` is read", path.display()))?,
        None => {
            let places: Vec<String> = Config::places().iter().map(|place| format!("`{}`", place.display())).collect();
            report.notable(&format!("there is none (looked for {}); the command line will do", places.join(" and ")))?;
        }
    }
    for warning in &config.warnings {
        report.notable(warning)?;
    }
    let used = servers(&config, &mut report)?;
    plugins(&config, &used, &mut report).await?;
    if report.troubles > 0 {
        out(&format!("{} to mend", report.troubles))?;
        return Ok(End::Failed);
    }
    out("all is well")?;
    Ok(End::Done)
}

/// The servers and who answers each; the names of the plugins that are used.
fn servers(config: &Config, report: &mut Report) -> Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    out("servers")?;
    for name in config.server_names() {
        let server = match config.server(name, stage::env) {
            Ok(server) => server,
            Err(error) => {
                report.trouble(&error.to_string())?;
                continue;
            }
        };
        let reached = match &server.transport {
            Transport::Stdio { command, .. } => format!("`{name}` runs `{command}`"),
            Transport::Http { url, .. } => {
                report.trouble(&format!("`{name}` is at {url}: this version reaches servers by `command` only"))?;
                continue;
            }
        };
        used.extend(server.sampling.iter().flat_map(|sampling| sampling.plugins.clone()));
        match &server.sampling {
            None => report.notable(&format!("{reached}; no plugin answers for it (`sampling` is not configured)"))?,
            Some(sampling) => report.fine(&format!("{reached}; {}", who_answers(sampling)))?,
        }
    }
    if config.server_names().next().is_none() {
        report.notable("none is configured; `understudy proxy -- COMMAND` needs none")?;
    }
    used.extend(config.sampling().iter().flat_map(|sampling| sampling.plugins.clone()));
    Ok(used)
}

fn who_answers(sampling: &Sampling) -> String {
    let chain = crate::text::list(sampling.plugins.iter().map(String::as_str));
    match sampling.mode {
        Mode::Off => "sampling passes through (`mode` is `off`)".to_owned(),
        Mode::Always => format!("{chain} answers, whatever the client can"),
        Mode::Fallback => format!("the client answers if it can, else {chain}"),
    }
}

async fn plugins(config: &Config, used: &BTreeSet<String>, report: &mut Report) -> Result<()> {
    out("plugins")?;
    let engine = match Engine::new(Engine::cache_folder()) {
        Ok(engine) => engine,
        Err(error) => return report.trouble(&error.to_string()),
    };
    let names: BTreeSet<String> = super::plugin::names(config).into_iter().chain(used.iter().cloned()).collect();
    for name in names {
        let loaded = match stage::configured(config, &name, &SamplingArgs::default()) {
            Ok(plugin) => stage::load(&engine, &plugin).await,
            Err(error) => Err(error),
        };
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                report.trouble(&format!("`{name}`: {error:#}"))?;
                continue;
            }
        };
        let summary = format!("`{name}`: {}", loaded.plugin.description.summary);
        let Some(credential) = loaded.destination.credential() else {
            report.fine(&summary)?;
            continue;
        };
        let goes = loaded.destination.endpoint().map_or_else(str::to_owned, |endpoint| format!("to {endpoint}"));
        match credential.value(true) {
            Ok(Some(secret)) => {
                report.fine(&format!("{summary}; its credential goes {goes} as {}", credential.in_words()))?;
                if !secret.is_cut() {
                    report.notable(&format!(
                        "`{name}`: its credential is shorter than {SHORTEST_CUT} bytes, so it is kept out of logs but not cut out of answers"
                    ))?;
                }
            }
            Ok(None) => report.fine(&format!("{summary}; it works without a credential"))?,
            Err(missing) if used.contains(&name) => report.trouble(&format!("`{name}`: {missing}"))?,
            Err(missing) => report.notable(&format!("`{name}` is not used; {missing}"))?,
        }
    }
    Ok(())
}
