//! `understudy plugin`: looking at plugins, and making them.

mod check;
mod compile;
mod distribute;
mod new;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::{GlobalArgs, SamplingArgs, UsageError};
use super::output::{Outcome, out};
use super::setup;
use understudy::config::{self, Checked, Config, GuardConfig, OnFailure};
use understudy::guards::Guard;
use understudy::outbound::egress_policy::EgressPolicy;
use understudy::runtime::{BuildError, Overrides, PluginOrGuard, SharedResources};
use understudy::sampling::ConfiguredPlugin;
use understudy::sandbox::Plugin;
use understudy::scheduling::Scheduling;
use understudy::select::choose;
use understudy::text::{list, one_line};
use understudy::wit::understudy::plugin::types as wit;

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub(super) enum PluginVerb {
    /// List the config's plugins and guards and the built-in ones, and say whether each can serve
    List {
        /// Write the list as JSON
        #[arg(long)]
        json: bool,
    },
    /// Explain which plugin and model would answer a request
    Models(ModelsArgs),
    /// Show what a plugin is, and what it may do under this config
    Inspect {
        /// A name from the config, a built-in's name, a component's path, or `oci://…`
        plugin: String,
        /// Write the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a plugin or a guard: its world, canonical requests, canned answers, the author's fixtures, its limits
    Check(check::CheckArgs),
    /// Compile a plugin ahead of time, for this machine and this version of Understudy
    Compile(compile::CompileArgs),
    /// Fetch components from registries, and pin them in the lock file beside the config
    Pull(distribute::PullArgs),
    /// Push a plugin to a registry
    Push(distribute::PushArgs),
    /// Create the folder of a new plugin, which builds with one command
    New(new::NewArgs),
    /// Write bindings of the contract for C or Go
    Bindings(new::BindingsArgs),
    /// Convert a core module, as Rust, Go and C compilers make them, into a component
    Componentize(new::ComponentizeArgs),
}

pub(super) async fn run(global: &GlobalArgs, verb: PluginVerb) -> Result<Outcome> {
    match verb {
        PluginVerb::List { json } => all(global, json).await,
        PluginVerb::Models(args) => models(global, args).await,
        PluginVerb::Check(args) => check::run(global, args).await,
        PluginVerb::Compile(args) => compile::run(global, args),
        PluginVerb::Pull(args) => distribute::pull(global, args).await,
        PluginVerb::Push(args) => distribute::push(global, args).await,
        PluginVerb::New(args) => new::new(args),
        PluginVerb::Bindings(args) => new::bindings(&args),
        PluginVerb::Componentize(args) => new::componentize(&args),
        PluginVerb::Inspect { plugin, json } => inspect(global, &plugin, json).await,
    }
}

/// A request's preferences, and who would be asked.
#[derive(Debug, Args)]
pub(super) struct ModelsArgs {
    /// The server with this name in the config [default: the global rule]
    #[arg(long, value_name = "NAME", conflicts_with = "plugin")]
    server: Option<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// A hint of the request; can be repeated, in order
    #[arg(long, value_name = "HINT")]
    hint: Vec<String>,
    /// The request's `costPriority`, 0 to 1
    #[arg(long, value_name = "PRIORITY")]
    cost: Option<f64>,
    /// The request's `speedPriority`, 0 to 1
    #[arg(long, value_name = "PRIORITY")]
    speed: Option<f64>,
    /// The request's `intelligencePriority`, 0 to 1
    #[arg(long, value_name = "PRIORITY")]
    intelligence: Option<f64>,
}

async fn models(global: &GlobalArgs, args: ModelsArgs) -> Result<Outcome> {
    let config = setup::config(global)?;
    let (shared, overrides) = (setup::shared_resources(Scheduling::default()), args.sampling.overrides());
    let configured = match &args.server {
        Some(name) => config.server(name, setup::env)?.sampling,
        None => config.sampling().cloned(),
    };
    let rule = overrides.rule(configured).filter(|rule| !rule.plugins.is_empty());
    let rule = rule.ok_or_else(|| {
        UsageError("no plugin answers here: add `--plugin NAME`, or `sampling` to the config".to_owned())
    })?;
    let chain = shared.chain(&config, &rule, &overrides).await.map_err(setup::in_words)?;
    let preferences = wit::ModelPreferences {
        hints: args.hint.iter().map(|hint| wit::ModelHint { name: Some(hint.clone()), extensions: None }).collect(),
        cost_priority: args.cost,
        speed_priority: args.speed,
        intelligence_priority: args.intelligence,
        extensions: None,
    };
    let catalogues: Vec<_> = chain.iter().map(|link| &link.catalogue).collect();
    for (i, choice) in choose(&catalogues, Some(&preferences)).iter().enumerate() {
        let Some(link) = chain.get(choice.plugin) else { continue };
        let place = if i == 0 { "asked first" } else { "asked if that fails" };
        out(&format!("{}: `{}`, {place}: {}", link.plugin.name, choice.model, choice.why))?;
        if let Some(dearer) = &choice.dearer {
            out(&format!("    {dearer}"))?;
        }
        out(&format!("    of {}", list(link.catalogue.names())))?;
    }
    Ok(Outcome::Done)
}

async fn all(global: &GlobalArgs, as_json: bool) -> Result<Outcome> {
    let config = setup::config(global)?;
    let (shared, overrides) = (setup::shared_resources(Scheduling::default()), Overrides::default());
    shared.engine()?;
    let (mut rows, mut sound) = (Vec::new(), true);
    for name in setup::plugin_names(&config) {
        let loaded = match overrides.plugin(&config, &name, shared.environment()) {
            Ok(plugin) => shared.load(&plugin).await.map(|loaded| (plugin, loaded)).map_err(BuildError::from),
            Err(error) => Err(error.into()),
        };
        let row = match loaded {
            Ok((plugin, loaded)) => json!({
                "name": name, "component": plugin.component, "world": world(&loaded.plugin),
                "allow": loaded.plugin.egress_policy().map(EgressPolicy::names),
                "serves": loaded.troubles().is_empty(),
                "version": loaded.plugin.description.version, "summary": loaded.plugin.description.summary,
                "missing": loaded.troubles(),
            }),
            Err(error) => {
                sound = false;
                json!({ "name": name, "serves": false, "error": error.to_string() })
            }
        };
        rows.push(row);
    }
    for name in setup::guard_names(&config) {
        let row = match guard(&config, &shared, &name).await {
            Ok((component, guard)) => json!({
                "name": name, "component": component, "world": "guard", "serves": true,
                "version": guard.plugin.description.version, "summary": guard.plugin.description.summary, "missing": [],
            }),
            Err(error) => {
                sound = false;
                json!({ "name": name, "world": "guard", "serves": false, "error": error.to_string() })
            }
        };
        rows.push(row);
    }
    if as_json {
        out(&format!("{:#}", Value::Array(rows)))?;
    } else {
        for row in &rows {
            let text = |key: &str| one_line(row.get(key).and_then(Value::as_str).unwrap_or_default(), 200);
            let what = if row.get("error").is_some() {
                format!("can't serve: {}", text("error"))
            } else {
                let missing = row.get("missing").and_then(|missing| missing.get(0)).and_then(Value::as_str);
                let missing = missing.map(|missing| format!("; not yet: {}", one_line(missing, 300)));
                let missing = missing.unwrap_or_default();
                let allow = row.get("allow").and_then(Value::as_array);
                let allow = allow.map(|origins| match origins.iter().filter_map(Value::as_str).collect::<Vec<_>>() {
                    names if names.is_empty() => "; a handler that may reach nothing".to_owned(),
                    names => format!("; a handler that may reach {}", names.join(", ")),
                });
                let allow = if text("world") == "guard" { "; a guard".to_owned() } else { allow.unwrap_or_default() };
                format!("{}  ({} {}){allow}{missing}", text("summary"), text("component"), text("version"))
            };
            out(&format!("{:14} {what}", text("name")))?;
        }
    }
    Ok(if sound { Outcome::Done } else { Outcome::Failed })
}

/// A guard, and where its component is.
async fn guard(config: &Config, shared: &SharedResources, name: &str) -> Result<(String, Guard), BuildError> {
    let guard = config.guard(name, setup::env)?;
    let loaded = shared.load_guard(&guard).await?;
    Ok((guard.component.component, loaded))
}

async fn inspect(global: &GlobalArgs, name: &str, as_json: bool) -> Result<Outcome> {
    let config = setup::config(global)?;
    let shared = setup::shared_resources(Scheduling::default());
    let guard = setup::guard(&config, name)?;
    let plugin = match &guard {
        Some(guard) => guard.component.clone(),
        None => Overrides::default().plugin(&config, name, shared.environment())?,
    };
    let guard = guard.unwrap_or_else(|| GuardConfig::of(plugin.clone()));
    let facts = match shared.load_either(&plugin, &guard).await? {
        PluginOrGuard::Plugin(loaded) => facts(&plugin, &loaded),
        PluginOrGuard::Guard(loaded) => guard_facts(&plugin, &loaded),
    };
    if as_json {
        out(&format!("{facts:#}"))?;
    } else {
        for (key, value) in facts.as_object().into_iter().flatten() {
            let shown = match value {
                Value::String(text) => text.clone(),
                Value::Array(items) if items.is_empty() => "none".to_owned(),
                Value::Array(items) => {
                    items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(", ")
                }
                other => other.to_string(),
            };
            // What the plugin says of itself must not look like further facts.
            out(&format!("{key:12} {}", one_line(&shown, usize::MAX)))?;
        }
    }
    Ok(Outcome::Done)
}

/// What a handler may do on the network, in words.
fn reaches(guarded: &EgressPolicy) -> Vec<String> {
    let mut can = Vec::new();
    let names = guarded.names();
    if names.is_empty() {
        can.push("make no HTTP request: the config's `allow` names no origin".to_owned());
    } else {
        can.push(format!("send HTTP requests of its own to {}, and nowhere else", names.join(", ")));
    }
    for (origin, private, credential) in guarded.origins() {
        if private {
            can.push(format!("reach {origin} even at an address that isn't public"));
        }
        if let Some(credential) = credential {
            can.push(format!("never see the credential for {origin}: the host adds {}", credential.in_words()));
        }
    }
    can
}

fn world(plugin: &Plugin) -> &'static str {
    plugin.info.world.as_ref().map_or("none", |world| world.name())
}

fn guard_facts(config: &config::PluginConfig, guard: &Guard) -> Value {
    let (plugin, description) = (&guard.plugin, &guard.plugin.description);
    let limits = plugin.limits();
    let memory = bytesize::ByteSize::b(limits.memory as u64);
    let checks: Vec<&str> = Checked::ALL.into_iter().filter(|what| guard.checks(*what)).map(Checked::name).collect();
    json!({
        "name": plugin.name,
        "component": config.component,
        "size": plugin.size,
        "sha256": plugin.sha256,
        "world": world(plugin),
        "imports": plugin.info.imports,
        "exports": plugin.info.exports,
        "describes": format!("{} {}: {}", description.name, description.version, description.summary),
        "checks": checks,
        "onFailure": if guard.on_failure() == OnFailure::Allow { "allow" } else { "deny" },
        "settings": description.settings_schema,
        "can": [
            format!("read, deny and change each {} that it is given, within what `wit/guard.wit` allows", checks.join(" and ")),
            format!("use {memory} of memory and {:?} of CPU time a call", limits.cpu),
            "make no HTTP request, and see no file, environment or network".to_owned(),
        ],
        "pinned": config.sha256.is_some() || config.reference().is_some(),
        "trust": config.trust,
    })
}

fn facts(config: &config::PluginConfig, loaded: &ConfiguredPlugin) -> Value {
    let (plugin, description) = (&loaded.plugin, &loaded.plugin.description);
    let limits = plugin.limits();
    let mut can: Vec<String> = vec![
        "read each sampling request that it is given".to_owned(),
        format!(
            "use {} of memory and {:?} of CPU time a call",
            bytesize::ByteSize::b(limits.memory as u64),
            limits.cpu
        ),
    ];
    match (plugin.egress_policy(), loaded.provider_client.endpoint()) {
        (Some(guarded), _) => can.extend(reaches(guarded)),
        (None, Ok(endpoint)) => can.push(format!("have the host send HTTP requests to {endpoint}, and nowhere else")),
        (None, Err(_)) => can.push("make no HTTP request: the config gives it no endpoint".to_owned()),
    }
    if let Some(credential) = loaded.provider_client.credential() {
        can.push(format!("never see its credential: the host adds {}", credential.in_words()));
    }
    if !plugin.info.imports.is_empty() {
        let network = if plugin.egress_policy().is_some() { "no other network" } else { "no network" };
        can.push(format!("see the time and random numbers; no file, no environment, {network} (its WASI is inert)"));
    }
    let allowed = plugin.egress_policy().map(EgressPolicy::names);
    let suggestion = description.endpoint.as_ref().map(|endpoint| endpoint.url.clone());
    json!({
        "name": plugin.name,
        "component": config.component,
        "size": plugin.size,
        "sha256": plugin.sha256,
        "world": world(plugin),
        "imports": plugin.info.imports,
        "exports": plugin.info.exports,
        "describes": format!("{} {}: {}", description.name, description.version, description.summary),
        "accepts": description.accepts,
        "models": loaded.catalogue.names().collect::<Vec<_>>(),
        "model": choose(&[&loaded.catalogue], None).first().map(|choice| choice.model.clone()),
        "allow": allowed.unwrap_or_default(),
        "suggests": suggestion.unwrap_or_default(),
        "settings": description.settings_schema,
        "can": can,
        "pinned": config.sha256.is_some() || config.reference().is_some(),
        "trust": config.trust,
        "named": list(config.endpoints.iter().map(|(name, _)| name.as_str())),
    })
}
