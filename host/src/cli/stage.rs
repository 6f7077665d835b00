//! Setting the stage: from what was typed and what the config says to a server and its sampler.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::reload::{self, Reloader, Served};
use super::server::{self, Server};
use super::{Global, SamplingArgs, ServerArgs, Usage, progress, trust};
use crate::config::{self, Config, CredentialSource, Mode, Sampling};
use crate::error::LoadError;
use crate::outbound::{Http, credential};
use crate::relay::{Clients, RelayOptions, SamplingHandler, StateKey};
use crate::sampling::{ConfiguredPlugin, Sampler};
use crate::sandbox::Engine;
use crate::transport::back::Place;
use crate::transport::endpoint::Whose;

/// What the plugins of all servers share.
#[derive(Default)]
pub(crate) struct Common {
    /// Made when the first plugin needs it.
    engine: Option<Arc<Engine>>,
    /// With its connections to providers: servers that ask the same one needn't each have a connection and a handshake.
    http: Arc<Http>,
}

/// A server, and who answers its sampling requests.
pub(crate) struct Stage {
    /// The server's name in the config, or its command's or its host's.
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Who answers its sampling requests, and where the rule for that is found.
    pub(crate) served: Served,
    pub(crate) terms: RelayOptions,
    /// Whose it is in `serve`.
    pub(crate) clients: config::ClientSharing,
    /// How long it may take to end (`limits.shutdown`).
    pub(crate) patience: Duration,
}

impl Stage {
    /// Who answers, for a session that begins now.
    pub(crate) fn answering(&self) -> SamplingHandler {
        let sampler = &self.served.sampler;
        let rule = sampler.rule();
        (rule.mode != Mode::Off).then(|| (rule, Arc::clone(sampler)))
    }

    /// How many clients a side of `serve` stands for.
    pub(crate) fn clients_of(&self, whose: Whose) -> Clients {
        let told = matches!(&self.place, Place::Remote(remote) if !remote.is_old());
        match whose {
            Whose::Everybodys if self.clients != config::ClientSharing::One => Clients::Several { told },
            _ => Clients::One,
        }
    }

    /// Says so if nobody answers the server's sampling requests, unless that was asked for.
    pub(crate) fn warn_if_unanswered(&self, typed: &SamplingArgs) {
        if self.answering().is_none() && typed.mode != Some(Mode::Off) {
            tracing::warn!(
                "no plugin is configured for `{}`, so everything passes through and its sampling requests are not answered; \
                 name one with `--plugin NAME`, or `sampling` in the config",
                self.name
            );
        }
    }
}

/// The config; which one it is, what was left aside and its warnings are said.
pub(crate) fn config(global: &Global) -> Result<Config> {
    let config = Config::find(global.config.as_deref())?;
    trust::announce(&config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for broken in &config.broken {
        tracing::warn!("{broken}; this server can't be used");
    }
    Ok(config)
}

/// The environment, for the config's variables.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Sets the stage.
pub(crate) async fn set(global: &Global, server: &ServerArgs, sampling: &SamplingArgs) -> Result<Stage> {
    Ok(set_for_long(global, server, sampling).await?.0)
}

/// Sets the stage, and takes up what changes while it is there.
pub(crate) async fn set_for_long(
    global: &Global,
    server: &ServerArgs,
    sampling: &SamplingArgs,
) -> Result<(Stage, Reloader)> {
    let config = config(global)?;
    let server = server::named(&config, server)?;
    let seen = reload::look(&config, sampling, std::iter::once(&server.key));
    let mut common = Common::default();
    let stage = of_server(&config, server, sampling, terms(&config).await?, &mut common).await?;
    let reloader = Reloader::new(global, sampling, seen, vec![stage.served.clone()], common);
    Ok((stage, reloader))
}

/// What every relay of this config keeps to.
pub(crate) async fn terms(config: &Config) -> Result<RelayOptions> {
    let mut terms = RelayOptions::new(config.limits.line);
    if let Some(source) = config.state_key(env)? {
        let secret = secret(config, config::STATE_KEY, &source).await?;
        let key = StateKey::from_secret(secret.expose_secret());
        terms.state_key = Some(key.map_err(|weak| config::wrong(config::STATE_KEY, &weak.to_string()))?);
    }
    Ok(terms)
}

/// A secret of our own, which the config says the source of under `key`.
pub(crate) async fn secret(config: &Config, key: &str, source: &CredentialSource) -> Result<SecretString> {
    let withheld = config.withheld(env);
    let wrong = |reason: &str| config::wrong(key, reason);
    let secret =
        credential::read(source, &withheld).await.map_err(|reason| wrong(&format!("can't be had: {reason}")))?;
    let missing = || match source {
        CredentialSource::Env(name) => format!("is not there: set the environment variable `{name}`"),
        CredentialSource::File(path) => format!("is not there: the file `{}` is empty", path.display()),
        CredentialSource::Command(_) => "is not there: the command printed nothing".to_owned(),
    };
    Ok(secret.ok_or_else(|| wrong(&missing()))?.into())
}

/// Sets the stage for a server.
pub(crate) async fn of_server(
    config: &Config,
    Server { name, key, place, rule, clients, .. }: Server,
    sampling: &SamplingArgs,
    terms: RelayOptions,
    common: &mut Common,
) -> Result<Stage> {
    let rule = rule_of(sampling, rule).unwrap_or_else(reload::nobody);
    let sampler = Arc::new(loaded(config, &name, &rule, sampling, common).await?);
    let patience = config.limits.shutdown;
    Ok(Stage { name, place, served: Served { key, sampler }, terms, clients, patience })
}

/// The command line's rule comes before the config's. `--plugin` says who answers; what the config lets a server ask holds all the same.
pub(crate) fn rule_of(args: &SamplingArgs, configured: Option<Sampling>) -> Option<Sampling> {
    let rule = if args.plugin.is_empty() {
        configured?
    } else {
        let plugins = args.plugin.clone();
        let named = Sampling::by(plugins.clone());
        configured.map_or(named, |rule| Sampling { plugins, mode: Mode::Fallback, ..rule })
    };
    Some(Sampling {
        mode: args.mode.unwrap_or(rule.mode),
        max_tokens: args.max_tokens.or(rule.max_tokens),
        requests_per_call: args.requests_per_call.unwrap_or(rule.requests_per_call),
        tool_rounds: args.tool_rounds.unwrap_or(rule.tool_rounds),
        era: args.era.unwrap_or(rule.era),
        ..rule
    })
}

/// The engine, which shows on a terminal what it compiles.
pub(crate) fn engine_for_plugins() -> Result<Arc<Engine>, LoadError> {
    let engine = Engine::new(Engine::cache_folder())?;
    if let Some(program) = this_program() {
        engine.compile_in_children(program);
    }
    if io::stderr().is_terminal() {
        engine.observe_compiling(Box::new(progress::compiling));
    }
    Ok(engine)
}

/// The program that runs, to be started again. On Linux it is that also when its file has been replaced meanwhile.
fn this_program() -> Option<PathBuf> {
    if cfg!(target_os = "linux") { Some(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe().ok() }
}

/// Loads the rule's plugins and makes a sampler of them.
async fn loaded(
    config: &Config,
    server: &str,
    rule: &Sampling,
    args: &SamplingArgs,
    common: &mut Common,
) -> Result<Sampler> {
    let chain = chain(config, rule, args, common).await?;
    for link in &chain {
        for trouble in link.troubles() {
            tracing::warn!("the plugin `{}` can't answer as things are: {trouble}", link.plugin.name);
        }
        if let Some(remark) = link.remark() {
            tracing::warn!("the plugin `{}`: {remark}", link.plugin.name);
        }
    }
    Ok(sampler(config, server, rule, chain, common))
}

/// The sampler that these plugins make.
pub(crate) fn sampler(
    config: &Config,
    server: &str,
    rule: &Sampling,
    chain: Vec<ConfiguredPlugin>,
    common: &Common,
) -> Sampler {
    Sampler::new(server, rule, chain, Arc::clone(&common.http), config)
}

/// Loads the rule's plugins, if it lets them answer.
pub(crate) async fn chain(
    config: &Config,
    rule: &Sampling,
    args: &SamplingArgs,
    common: &mut Common,
) -> Result<Vec<ConfiguredPlugin>> {
    let overrides = args.endpoint.is_some() || args.model.is_some() || !args.set.is_empty();
    if overrides && rule.plugins.len() > 1 {
        let reason = "`--endpoint`, `--model` and `--set` go with one plugin; write several into the config";
        return Err(Usage(reason.to_owned()).into());
    }
    if rule.mode == Mode::Off {
        return Ok(Vec::new());
    }
    let engine = match &mut common.engine {
        Some(engine) => engine,
        none => none.insert(engine_for_plugins()?),
    };
    let mut chain = Vec::new();
    for name in &rule.plugins {
        chain.push(ConfiguredPlugin::load(engine, &configured(config, name, args)?, env).await?);
    }
    Ok(chain)
}

/// What the config and the command line say of a plugin.
pub(crate) fn configured(config: &Config, name: &str, args: &SamplingArgs) -> Result<config::PluginConfig> {
    let mut plugin = config.plugin(name, env)?;
    plugin.endpoint = args.endpoint.clone().or(plugin.endpoint);
    plugin.model = args.model.clone().or(plugin.model);
    for (key, value) in &args.set {
        put(&mut plugin.settings, key, value.clone());
    }
    Ok(plugin)
}

/// A rule and its sampler for verbs without a server.
pub(crate) async fn alone(global: &Global, args: &SamplingArgs) -> Result<Arc<Sampler>> {
    let config = config(global)?;
    let rule = rule_of(args, config.sampling().cloned()).filter(|rule| !rule.plugins.is_empty());
    let rule = rule.ok_or_else(|| {
        let known = crate::text::list(config.plugin_names().chain(understudy_plugins::BUILT_IN.iter().map(|p| p.name)));
        Usage(format!(
            "no plugin is named: add `--plugin NAME` ({known}, or a component's path), or `sampling` to the config"
        ))
    })?;
    // The request is the user's own, not a server's: only a limit that somebody wrote down holds.
    let rule = Sampling { max_tokens: rule.max_tokens.or(Some(u32::MAX)), ..rule };
    Ok(Arc::new(loaded(&config, "sample", &rule, args, &mut Common::default()).await?))
}

/// Reads `key=value`.
pub(crate) fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("it needs the form key=value")?;
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()))))
}

/// Puts a value where a dotted key says.
fn put(settings: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            settings.insert(key.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = settings.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// Text from a file, or from stdin for `-` or none.
pub(crate) fn read_input(file: Option<&PathBuf>) -> Result<String> {
    match file.filter(|path| path.as_os_str() != "-") {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("can't read `{}`", path.display())),
        None => std::io::read_to_string(std::io::stdin()).context("can't read stdin"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::config::EraChoice;

    #[test]
    fn settings_are_json_or_text_and_dots_reach_inside() {
        let mut settings = Map::new();
        for text in ["a=1", "b=two", "c.d=[true]", "c.e=x=y"] {
            let (key, value) = setting(text).unwrap();
            put(&mut settings, &key, value);
        }
        assert_eq!(Value::Object(settings), json!({"a": 1, "b": "two", "c": {"d": [true], "e": "x=y"}}));
        assert!(setting("novalue").is_err());
    }

    #[test]
    fn the_command_line_comes_before_the_config() {
        let configured = Sampling { max_tokens: Some(7), ..Sampling::by(vec!["a".to_owned()]) };
        let typed = SamplingArgs { mode: Some(Mode::Always), ..SamplingArgs::default() };
        let rule = rule_of(&typed, Some(configured.clone())).unwrap();
        assert_eq!((rule.mode, rule.max_tokens, rule.plugins), (Mode::Always, Some(7), vec!["a".to_owned()]));
        let typed = SamplingArgs { plugin: vec!["b".to_owned()], ..SamplingArgs::default() };
        let rule = rule_of(&typed, Some(configured)).unwrap();
        assert_eq!((rule.plugins.as_slice(), rule.max_tokens), (["b".to_owned()].as_slice(), Some(7)));
        let typed = SamplingArgs { max_tokens: Some(9), requests_per_call: Some(1), tool_rounds: Some(0), ..typed };
        let typed = SamplingArgs { era: Some(EraChoice::Client), ..typed };
        let rule = rule_of(&typed, None).unwrap();
        assert_eq!((rule.max_tokens, rule.requests_per_call, rule.tool_rounds), (Some(9), 1, 0));
        assert_eq!(rule.era, EraChoice::Client);
        assert_eq!(rule_of(&SamplingArgs::default(), None), None);
    }

    #[tokio::test]
    async fn all_servers_share_their_connections_to_providers() {
        let config = Config::parse("{}", Path::new("a test")).unwrap();
        let (rule, args, mut common) =
            (Sampling::by(vec!["echo".to_owned()]), SamplingArgs::default(), Common::default());
        let one = loaded(&config, "one", &rule, &args, &mut common).await.unwrap();
        let two = loaded(&config, "two", &rule, &args, &mut common).await.unwrap();
        assert_eq!(Arc::strong_count(&common.http), 3);
        drop((one, two));
    }
}
