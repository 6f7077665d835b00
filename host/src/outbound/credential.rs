//! A credential: where its value comes from, and how it is applied.

use std::fs;
use std::process::Stdio;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use url::Url;

use super::redact::Secret;
use crate::children::{self, Withheld};
use crate::config::{self, CredentialSource};
use crate::environment::Environment;
use crate::search_path::search_path;
use crate::text::one_line;
use crate::wit::understudy::plugin::types as wit;

/// How long a command may take to print a credential: it may ask its user.
const PATIENCE: Duration = Duration::from_mins(1);

/// The number of values that are remembered: responses to requests with an older value may arrive after a new one is used.
const MOST_USED: usize = 3;

/// A credential: where its value comes from, and how it is applied.
#[derive(Debug, Clone)]
pub struct Credential {
    plugin: String,
    scheme: Scheme,
    /// Where the value comes from.
    pub source: CredentialSource,
    /// Other variables of the provider that may hold it, each with its scheme.
    known: &'static [(&'static str, Option<&'static str>)],
    /// Whether the provider works without it.
    optional: bool,
    /// The endpoint that needs it, if it is a built-in's suggestion.
    made_for: Option<Url>,
    /// The variables that its command doesn't inherit.
    withheld: Arc<Withheld>,
    /// Where its variable is looked up.
    environment: Environment,
    /// What a command printed, until the provider refuses it.
    printed: Arc<Mutex<Option<Arc<Secret>>>>,
    /// The values of the last requests, the latest first.
    used: Arc<std::sync::Mutex<Vec<Arc<Secret>>>>,
}

#[derive(Debug, Clone)]
enum Scheme {
    Bearer,
    Header(HeaderName),
    Query(String),
}

/// Why a variable that the user has set may not be there, and what to do about it.
pub const CLEAN_ENVIRONMENT: &str = "most clients start servers without your shell's variables: put it into `env` of this server's entry in the \
                                     client's config, or into a file that `credential.file` names";

const NOT_SAID: &str = "doesn't say how it is applied: add `\"bearer\": true`, `\"header\": NAME` or `\"query\": NAME`";

impl Scheme {
    fn of(word: &str, name: Option<String>) -> Result<Self, String> {
        Ok(match (word, name) {
            ("bearer", _) => Self::Bearer,
            ("header", Some(name)) => Self::Header(
                HeaderName::try_from(&name).map_err(|_| format!("names the header `{name}`, which can't be one"))?,
            ),
            ("query", Some(name)) => Self::Query(name),
            _ => return Err(format!("has the scheme `{word}`, which this version doesn't know")),
        })
    }
}

impl Credential {
    /// The config's credential; for a built-in plugin, the one it suggests where the config is silent, from the first variable of its provider's
    /// that is set (`env`).
    pub(super) fn new(
        config: &config::PluginConfig,
        description: &wit::Description,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let suggested = config.built_in().and(description.credential.as_ref());
        let known = config.built_in().and_then(crate::builtins::find).map_or(&[][..], |plugin| plugin.credentials);
        let is_set = |name: &str| env(name).is_some_and(|value| !value.trim().is_empty());
        let (source, optional) = match (&config.credential, suggested) {
            (Some(credential), _) => (credential.source.clone(), false),
            (None, Some(suggested)) => match &suggested.env {
                Some(own) => {
                    let set = known.iter().map(|(name, _)| *name).find(|name| is_set(name));
                    (CredentialSource::Env(set.unwrap_or(own).to_owned()), suggested.optional)
                }
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let of_variable = known.iter().find_map(|(name, scheme)| {
            let is_source = matches!(&source, CredentialSource::Env(variable) if variable == name);
            scheme.filter(|_| is_source)
        });
        let (word, name) = match (&config.credential, of_variable, suggested) {
            (Some(config::CredentialConfig { scheme: Some(scheme), name, .. }), ..) => (scheme.clone(), name.clone()),
            (_, Some(scheme), _) => (scheme.to_owned(), None),
            (_, None, Some(suggested)) => (suggested.scheme.clone(), suggested.name.clone()),
            (_, None, None) => return Err(NOT_SAID.to_owned()),
        };
        let scheme = Scheme::of(&word, name)?;
        let made_for = match (&config.credential, &description.endpoint) {
            (None, Some(endpoint)) => Url::parse(&endpoint.url).ok(),
            _ => None,
        };
        Ok(Some(Self {
            plugin: config.name.clone(),
            scheme,
            source,
            known,
            optional,
            made_for,
            withheld: Arc::clone(&config.withheld),
            environment: config.environment.clone(),
            printed: Arc::default(),
            used: Arc::default(),
        }))
    }

    /// The credential of one of a handler's origins.
    pub(super) fn of_origin(plugin: &config::PluginConfig, own: &config::CredentialConfig) -> Result<Self, String> {
        let word = own.scheme.as_ref().ok_or(NOT_SAID)?;
        let scheme = Scheme::of(word, own.name.clone())?;
        let (withheld, environment) = (Arc::clone(&plugin.withheld), plugin.environment.clone());
        let (plugin, source) = (plugin.name.clone(), own.source.clone());
        Ok(Self {
            plugin,
            scheme,
            source,
            known: &[],
            optional: false,
            made_for: None,
            withheld,
            environment,
            printed: Arc::default(),
            used: Arc::default(),
        })
    }

    /// The header that carries it.
    pub(super) fn header(&self) -> Option<HeaderName> {
        match &self.scheme {
            Scheme::Header(own) => Some(own.clone()),
            Scheme::Bearer => Some(AUTHORIZATION),
            Scheme::Query(_) => None,
        }
    }

    /// The query key that carries it.
    pub(super) fn query_key(&self) -> Option<&str> {
        match &self.scheme {
            Scheme::Query(own) => Some(own),
            Scheme::Header(_) | Scheme::Bearer => None,
        }
    }

    pub(super) fn made_for(&self) -> Option<&Url> {
        self.made_for.as_ref()
    }

    /// The environment variables that hold the value, or may: a server's process must not inherit them.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variable().into_iter().chain(self.known.iter().map(|(name, _)| *name))
    }

    /// The environment variable that holds the value, if one does.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match &self.source {
            CredentialSource::Env(variable) => Some(variable),
            CredentialSource::File(_) | CredentialSource::Command(_) | CredentialSource::Value(_) => None,
        }
    }

    /// The value. `None` if there is none and the provider works without, or it isn't `needed`.
    ///
    /// # Errors
    /// What is missing, and how to give it.
    pub async fn value(&self, needed: bool) -> Result<Option<Arc<Secret>>, String> {
        let CredentialSource::Command(command) = &self.source else {
            let found = self.found()?;
            return match found {
                Some(text) => Ok(Some(self.secret(text))),
                None if self.optional || !needed => Ok(None),
                None => Err(self.missing()),
            };
        };
        // Other requests wait for the command while it runs.
        let mut printed = self.printed.lock().await;
        if let Some(secret) = printed.as_ref() {
            return Ok(Some(Arc::clone(secret)));
        }
        let secret = self.secret(print(command, &self.withheld).await?);
        *printed = Some(Arc::clone(&secret));
        Ok(Some(secret))
    }

    /// The value as a secret: the last one, if it is equal.
    fn secret(&self, text: String) -> Arc<Secret> {
        let text = SecretString::from(text);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = used.first().filter(|secret| secret.expose() == text.expose_secret()) {
            return Arc::clone(secret);
        }
        let secret = Arc::new(Secret::new(text));
        used.insert(0, Arc::clone(&secret));
        used.truncate(MOST_USED);
        secret
    }

    /// The values that a plugin's answer may contain: those of the last requests.
    pub(crate) fn used(&self) -> Vec<Arc<Secret>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the variable or the file holds one.
    pub fn is_there(&self) -> bool {
        matches!(self.found(), Ok(Some(_)))
    }

    /// What is missing, as far as it is known without running a command.
    pub(super) fn trouble(&self, needed: bool) -> Option<String> {
        match (&self.source, self.found()) {
            (CredentialSource::Command(_), _) | (_, Ok(Some(_))) => None,
            (_, Ok(None)) => (needed && !self.optional).then(|| self.missing()),
            (_, Err(reason)) => Some(reason),
        }
    }

    /// Discards a value that the provider refused. Whether another attempt may get another value: that of a command that is run again.
    pub(super) async fn refused(&self, used: Option<&Arc<Secret>>) -> bool {
        let (CredentialSource::Command(_), Some(used)) = (&self.source, used) else { return false };
        let mut printed = self.printed.lock().await;
        if printed.as_ref().is_some_and(|secret| Arc::ptr_eq(secret, used)) {
            *printed = None;
        }
        true
    }

    /// The value in the variable or the file.
    fn found(&self) -> Result<Option<String>, String> {
        found(&self.source, &self.environment)
    }

    fn missing(&self) -> String {
        match &self.source {
            CredentialSource::Env(variable) => format!("no credential: {}", self.remedy(variable)),
            CredentialSource::File(path) => format!("the credential's file `{}` is empty", path.display()),
            CredentialSource::Command(command) => format!("{} printed no credential", shown(command)),
            CredentialSource::Value(_) => "the credential is empty".to_owned(),
        }
    }

    /// The remedy where a variable is missing.
    pub(super) fn remedy(&self, variable: &str) -> String {
        let key = format!("plugins.{}.credential", self.plugin);
        format!("set the environment variable `{variable}`, or write `{key}` into the config ({CLEAN_ENVIRONMENT})")
    }

    pub(super) fn apply(&self, secret: &Secret, url: &mut Url, headers: &mut HeaderMap) -> Result<(), String> {
        let value = secret.expose();
        let header = |text: &str| {
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| "the credential holds characters that no header can (a line break?)".to_owned())?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        match &self.scheme {
            Scheme::Bearer => headers.insert(AUTHORIZATION, header(&format!("Bearer {value}"))?),
            Scheme::Header(name) => headers.insert(name.clone(), header(value)?),
            Scheme::Query(name) => {
                url.query_pairs_mut().append_pair(name, value);
                None
            }
        };
        Ok(())
    }

    /// Its scheme and its source, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let how = match &self.scheme {
            Scheme::Bearer => "`authorization: Bearer …`".to_owned(),
            Scheme::Header(name) => format!("the header `{name}`"),
            Scheme::Query(name) => format!("the query key `{name}`"),
        };
        let source = match &self.source {
            CredentialSource::Env(variable) => format!("the environment variable `{variable}`"),
            CredentialSource::File(path) => format!("the file `{}`", path.display()),
            CredentialSource::Command(command) => format!("what {} prints", shown(command)),
            CredentialSource::Value(_) => "the program that embeds Understudy".to_owned(),
        };
        format!("{how}, from {source}")
    }
}

/// The value of a source; `None` if it is empty or missing. A command inherits no variable that is withheld.
///
/// # Errors
/// If it can't be read.
pub async fn read(source: &CredentialSource, withheld: &Withheld, env: &Environment) -> Result<Option<String>, String> {
    match source {
        CredentialSource::Command(command) => print(command, withheld).await.map(Some),
        source => found(source, env),
    }
}

/// What a variable or a file holds, or the embedding program gave.
fn found(source: &CredentialSource, env: &Environment) -> Result<Option<String>, String> {
    let found = match source {
        CredentialSource::Env(variable) => env.var(variable),
        CredentialSource::File(path) => {
            let text = fs::read_to_string(path);
            Some(text.map_err(|e| format!("can't read the credential's file `{}`: {e}", path.display()))?)
        }
        CredentialSource::Command(_) => None,
        CredentialSource::Value(value) => Some(value.expose().to_owned()),
    };
    Ok(found.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// A command's program. Its arguments may say more than others should read.
fn shown(command: &[String]) -> String {
    format!("the command `{}`", command.first().map_or("", String::as_str))
}

/// Runs a command, and returns its output.
async fn print(command: &[String], withheld: &Withheld) -> Result<String, String> {
    let shown = shown(command);
    let Some((program, args)) = command.split_first() else {
        return Err("the credential's command is empty".to_owned());
    };
    let mut process = tokio::process::Command::from(children::command(program, withheld));
    process.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(path) = search_path() {
        process.env("PATH", path);
    }
    let output = match tokio::time::timeout(PATIENCE, process.output()).await {
        Ok(output) => output.map_err(|e| format!("{shown}, which prints the credential, can't be run: {e}"))?,
        Err(_) => return Err(format!("{shown}, which prints the credential, took longer than {PATIENCE:?}")),
    };
    if !output.status.success() {
        let said = one_line(&String::from_utf8_lossy(&output.stderr), 200);
        return Err(format!("{shown}, which prints the credential, failed ({}): {said}", output.status));
    }
    let printed =
        String::from_utf8(output.stdout).map_err(|_| format!("{shown} printed a credential that is no text"))?;
    let printed = printed.trim();
    if printed.is_empty() { Err(format!("{shown} printed no credential")) } else { Ok(printed.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_file_that_changes_is_another_credential_and_one_that_does_not_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let config = config::CredentialConfig {
            source: CredentialSource::File(path.clone()),
            scheme: Some("bearer".to_owned()),
            name: None,
        };
        let plugin = Config::default().plugin("echo", |_| None).unwrap();
        let credential = Credential::of_origin(&plugin, &config).unwrap();
        let mut seen = Vec::new();
        for text in ["first\n", "first\n", "second\n"] {
            fs::write(&path, text).unwrap();
            seen.push(credential.value(true).await.unwrap().unwrap());
        }
        assert_eq!(seen.iter().map(|secret| secret.expose()).collect::<Vec<_>>(), ["first", "first", "second"]);
        assert!(Arc::ptr_eq(&seen[0], &seen[1]));
    }
}
