//! What is left for the user to do: start clients again, put keys where they are found, log in; and what the servers may spend.

use std::collections::BTreeSet;

use anyhow::Result;

use super::plan::{ChangedServer, FilePlan};
use crate::args::GlobalArgs;
use crate::output::note;
use crate::{doctor, setup};
use understudy::config::{Config, CredentialSource, Sampling};
use understudy::runtime::Overrides;
use understudy::text::list;

/// The plugins that answer the servers.
fn used(config: &Config, plugins: &[String]) -> Vec<String> {
    if plugins.is_empty() {
        return config.sampling().map(|rule| rule.plugins.clone()).unwrap_or_default();
    }
    plugins.to_vec()
}

/// Loads the plugins once, so that they are compiled when a client starts the servers: it waits for them only for seconds. Whether all can be loaded.
pub(super) async fn prepare(global: &GlobalArgs, config: &Config, plugins: &[String]) -> bool {
    let shared = setup::shared_resources(global.scheduling());
    let mut is_ready = true;
    for name in used(config, plugins) {
        let loaded = match config.plugin(&name, setup::env) {
            Ok(plugin) => shared.load(&plugin).await.map(|_| ()).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = loaded {
            note(&format!("the plugin `{name}` can't be loaded, and won't answer: {why}"));
            is_ready = false;
        }
    }
    is_ready
}

/// Says what is left for the user to do, and what the servers may spend. Whether that is well.
pub(super) async fn after_wrapping(config: &Config, plugins: Vec<String>, plans: &[FilePlan]) -> Result<bool> {
    restart(plans);
    for plugin in &used(config, &plugins) {
        let variables = key_variables(config, plugin);
        let Some(first) = variables.first() else { continue };
        let changed = plans.iter().flat_map(FilePlan::changed);
        let (with, without): (Vec<_>, Vec<_>) = changed.partition(|server| server.sets(&variables));
        let names = |servers: &[ChangedServer]| list(servers.iter().map(|server| server.name).collect::<BTreeSet<_>>());
        if !without.is_empty() {
            note(&format!(
                "`{plugin}` takes its key from `{first}`, and most clients start servers without your shell's variables: \
                 put it into `env` of {}, or let `plugins.{plugin}.credential` of Understudy's config name a file",
                names(&without)
            ));
        }
        if !with.is_empty() {
            note(&format!(
                "the key of `{plugin}` in `env` of {} is the plugin's from now on, and the server itself doesn't get it",
                names(&with)
            ));
        }
    }
    let changed: Vec<ChangedServer> = plans.iter().flat_map(FilePlan::changed).collect();
    let urls: BTreeSet<&str> = changed.iter().filter_map(|server| server.url).collect();
    for url in urls {
        note(&format!("if {url} wants a login: `understudy auth --url {url}`"));
    }
    let rule = Overrides { plugins, ..Overrides::default() }.rule(config.sampling().cloned());
    let names: BTreeSet<&str> = changed.iter().map(|server| server.name).collect();
    let rules: Vec<(String, Sampling)> =
        rule.iter().flat_map(|rule| names.iter().map(|name| ((*name).to_owned(), rule.clone()))).collect();
    doctor::spending(config, &rules).await
}

/// Says which clients are to be started again.
pub(super) fn restart(plans: &[FilePlan]) {
    if plans.is_empty() {
        return;
    }
    let names = |plans: &mut dyn Iterator<Item = &FilePlan>| -> Vec<&str> {
        plans.map(FilePlan::client_name).collect::<BTreeSet<_>>().into_iter().collect()
    };
    note(&format!("start {} again, so that the change takes effect", names(&mut plans.iter()).join(", ")));
    let writers = names(&mut plans.iter().filter(|plan| plan.is_written_by_client()));
    if !writers.is_empty() {
        let writers = writers.join(", ");
        note(&format!(
            "{writers} may write a config as it was before: if the change is gone, close it and do this again"
        ));
    }
}

/// The variables that a plugin's key may come from; none where it comes from elsewhere, or there is none.
fn key_variables(config: &Config, plugin: &str) -> Vec<String> {
    let Ok(plugin) = config.plugin(plugin, setup::env) else { return Vec::new() };
    match plugin.credential.as_ref().map(|credential| &credential.source) {
        Some(CredentialSource::Env(variable)) => vec![variable.clone()],
        Some(_) => Vec::new(),
        None => {
            let built_in = plugin.built_in().and_then(understudy_plugins::find);
            let taken = built_in.into_iter().flat_map(|built_in| built_in.credentials).map(|(name, _)| *name);
            let known = built_in.into_iter().filter(|built_in| !built_in.credentials.is_empty());
            known.filter_map(|built_in| built_in.secrets.first().copied()).chain(taken).map(str::to_owned).collect()
        }
    }
}
