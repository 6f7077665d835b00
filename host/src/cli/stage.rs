//! Setting the stage: from what was typed and what the config says to a server and its sampler.

use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::{Global, SamplingArgs, ServerArgs, Usage, progress};
use crate::config::{self, Config, ConfigError, CredentialSource, Mode, Sampling, Transport};
use crate::error::LoadError;
use crate::plugin::Engine;
use crate::provider::{Http, credential};
use crate::relay::{Answering, StateKey, Terms};
use crate::sampling::{Sampler, Understudy};
use crate::transport::back::Place;
use crate::transport::child::Program;
use crate::transport::remote::Remote;

/// A server, and who answers its sampling requests.
pub(crate) struct Stage {
    /// The server's name in the config, or its command's or its host's.
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) answering: Answering,
    pub(crate) terms: Terms,
}

impl Stage {
    /// Says so if nobody answers the server's sampling requests, unless that was asked for.
    pub(crate) fn warn_if_unanswered(&self, typed: &SamplingArgs) {
        if self.answering.is_none() && typed.mode != Some(Mode::Off) {
            tracing::warn!(
                "no plugin is configured for `{}`, so everything passes through and its sampling requests are not answered; \
                 name one with `--plugin NAME`, or `sampling` in the config",
                self.name
            );
        }
    }
}

/// The config, its warnings said.
pub(crate) fn config(global: &Global) -> Result<Config> {
    let config = Config::find(global.config.as_deref())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// The environment, for the config's variables.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Sets the stage.
pub(crate) async fn set(global: &Global, server: &ServerArgs, sampling: &SamplingArgs) -> Result<Stage> {
    let config = config(global)?;
    let server = placed(&config, server)?;
    of_server(&config, server, sampling, terms(&config).await?, &mut None).await
}

/// What every relay of this config keeps to.
pub(crate) async fn terms(config: &Config) -> Result<Terms> {
    let mut terms = Terms::new(config.limits.line);
    if let Some(source) = config.state_key(env)? {
        let secret = secret(config::STATE_KEY, &source).await?;
        let key = StateKey::from_secret(secret.expose_secret());
        terms.state_key = Some(key.map_err(|weak| config::wrong(config::STATE_KEY, &weak.to_string()))?);
    }
    Ok(terms)
}

/// A secret of our own, which the config says the source of under `key`.
pub(crate) async fn secret(key: &str, source: &CredentialSource) -> Result<SecretString> {
    let wrong = |reason: &str| config::wrong(key, reason);
    let secret = credential::read(source).await.map_err(|reason| wrong(&format!("can't be had: {reason}")))?;
    let missing = || match source {
        CredentialSource::Env(name) => format!("is not there: set the environment variable `{name}`"),
        CredentialSource::File(path) => format!("is not there: the file `{}` is empty", path.display()),
        CredentialSource::Command(_) => "is not there: the command printed nothing".to_owned(),
    };
    Ok(secret.ok_or_else(|| wrong(&missing()))?.into())
}

/// A server's name, where it is, and the rule for its sampling requests.
pub(crate) type Server = (String, Place, Option<Sampling>);

/// The server of this name in the config.
pub(crate) fn configured_server(config: &Config, name: &str) -> Result<Server> {
    let server = config.server(name, env)?;
    let place = match server.transport {
        Transport::Stdio { command, args, env, cwd } => {
            Place::Program(Program { command, args, env, cwd, hidden: HashSet::new() })
        }
        Transport::Http { url, headers, is_old } => Place::Remote(remote(name, &url, &headers, is_old)?),
    };
    Ok((server.name, place, server.sampling))
}

/// Sets the stage for a server. The engine is made when the first plugin needs it.
pub(crate) async fn of_server(
    config: &Config,
    (name, mut place, rule): Server,
    sampling: &SamplingArgs,
    terms: Terms,
    engine: &mut Option<Arc<Engine>>,
) -> Result<Stage> {
    let answering = match rule_of(sampling, rule) {
        Some(rule) if rule.mode != Mode::Off => Some(answering(config, &name, rule, sampling, engine).await?),
        _ => None,
    };
    if let Place::Program(program) = &mut place {
        program.hidden = config.credential_variables();
        if let Some((_, sampler)) = &answering {
            program.hidden.extend(sampler.variables());
        }
    }
    Ok(Stage { name, place, answering, terms })
}

/// Which server was meant: its name, its place and the config's rule for it.
fn placed(config: &Config, server: &ServerArgs) -> Result<Server> {
    let ServerArgs { which, header } = server;
    let typed = |reason: String| Usage(format!("`--header`: {reason}"));
    let with_headers = |remote: Remote| -> Result<Place> {
        let remote = header.iter().try_fold(remote, |remote, (name, value)| remote.with_header(name, value));
        Ok(Place::Remote(remote.map_err(typed)?))
    };
    let without_headers = |program: Program| {
        let reason = "it goes with a server's URL, and this one is a command".to_owned();
        if header.is_empty() { Ok(Place::Program(program)) } else { Err(typed(reason)) }
    };
    if let Some(name) = &which.server {
        let (name, place, rule) = configured_server(config, name)?;
        let place = match place {
            Place::Program(program) => without_headers(program)?,
            Place::Remote(remote) => with_headers(remote)?,
        };
        return Ok((name, place, rule));
    }
    let rule = config.sampling().cloned();
    if let Some(url) = &which.url {
        let remote = Remote::new(url).map_err(|reason| Usage(format!("`--url` {reason}")))?;
        return Ok((remote.name().to_owned(), with_headers(remote)?, rule));
    }
    let Some((command, args)) = which.command.split_first() else {
        let ways = "name a server: `--server NAME`, `--url URL`, or `-- COMMAND ARGS…`";
        return Err(Usage(ways.to_owned()).into());
    };
    let stem = Path::new(command).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let program = Program { command: command.clone(), args: args.to_vec(), ..Program::default() };
    Ok((stem.unwrap_or_else(|| command.clone()), without_headers(program)?, rule))
}

/// A server at a URL, as the config has it.
pub(crate) fn remote(name: &str, url: &str, headers: &[(String, String)], is_old: bool) -> Result<Remote, ConfigError> {
    let wrong = |key: &str, reason: String| config::wrong(&format!("mcpServers.{name}.{key}"), &reason);
    let mut remote = Remote::new(url).map_err(|reason| wrong("url", reason))?;
    for (header, value) in headers {
        remote = remote.with_header(header, value).map_err(|reason| wrong("headers", reason))?;
    }
    Ok(if is_old { remote.old() } else { remote })
}

/// Reads `Name: value`.
pub(crate) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it needs the form `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// The command line's rule comes before the config's.
pub(crate) fn rule_of(args: &SamplingArgs, configured: Option<Sampling>) -> Option<Sampling> {
    let rule = if args.plugin.is_empty() { configured } else { Some(Sampling::by(args.plugin.clone())) };
    rule.map(|rule| Sampling { mode: args.mode.unwrap_or(rule.mode), ..rule })
}

/// The engine, which shows on a terminal what it compiles.
pub(crate) fn engine_for_plugins() -> Result<Arc<Engine>, LoadError> {
    let engine = Engine::new(Engine::cache_folder())?;
    if io::stderr().is_terminal() {
        engine.watch(Box::new(progress::compiling));
    }
    Ok(engine)
}

/// Loads the rule's plugins and makes a sampler of them.
pub(crate) async fn answering(
    config: &Config,
    server: &str,
    rule: Sampling,
    args: &SamplingArgs,
    engine: &mut Option<Arc<Engine>>,
) -> Result<(Sampling, Arc<Sampler>)> {
    let chain = chain(config, &rule, args, engine).await?;
    for link in &chain {
        for trouble in link.troubles() {
            tracing::warn!("the plugin `{}` can't answer as things are: {trouble}", link.plugin.name);
        }
    }
    let sampler = Sampler::new(server, &rule, chain, Arc::new(Http::default()), &config.limits);
    Ok((rule, Arc::new(sampler)))
}

/// Loads the rule's plugins.
pub(crate) async fn chain(
    config: &Config,
    rule: &Sampling,
    args: &SamplingArgs,
    engine: &mut Option<Arc<Engine>>,
) -> Result<Vec<Understudy>> {
    let overrides = args.endpoint.is_some() || args.model.is_some() || !args.set.is_empty();
    if overrides && rule.plugins.len() > 1 {
        let reason = "`--endpoint`, `--model` and `--set` go with one plugin; write several into the config";
        return Err(Usage(reason.to_owned()).into());
    }
    let engine = match engine {
        Some(engine) => engine,
        none => none.insert(engine_for_plugins()?),
    };
    let mut chain = Vec::new();
    for name in &rule.plugins {
        chain.push(Understudy::load(engine, &configured(config, name, args)?, env).await?);
    }
    Ok(chain)
}

/// What the config and the command line say of a plugin.
pub(crate) fn configured(config: &Config, name: &str, args: &SamplingArgs) -> Result<config::Plugin> {
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
    Ok(answering(&config, "sample", rule, args, &mut None).await?.1)
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
    use serde_json::json;

    use super::*;

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
        assert_eq!(rule_of(&typed, Some(configured)).unwrap().plugins, ["b"]);
        assert_eq!(rule_of(&SamplingArgs::default(), None), None);
    }
}
