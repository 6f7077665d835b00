//! The configuration of guards: components that look at requests and answers.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::model::BUILT_IN;
use super::section::Section;
use super::{Config, ConfigError, Limits, PluginConfig, Sampling, expand};
use crate::builtins;
use crate::text::{did_you_mean, list};

/// The configuration of one guard.
#[derive(Debug, Clone)]
pub struct GuardConfig {
    /// Its component, settings and limits.
    pub component: PluginConfig,
    /// What becomes of a request that it fails at.
    pub on_failure: OnFailure,
    /// What it looks at. `None`: what it says itself.
    pub checks: Option<Vec<Checked>>,
}

/// What becomes of a request that a guard fails at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// It is denied.
    #[default]
    Deny,
    /// It goes on as it is.
    Allow,
}

/// What a guard looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// The request.
    Request,
    /// The answer.
    Answer,
}

impl Checked {
    /// Both, in this order.
    pub const ALL: [Self; 2] = [Self::Request, Self::Answer];

    /// Its name in the config and in a guard's description.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
        }
    }
}

impl GuardConfig {
    fn parse(name: &str, value: Value, limits: &Limits, trust: &[PathBuf]) -> Result<Self, ConfigError> {
        let mut section = Section::of(&format!("guards.{name}"), value)?;
        let component = PluginConfig::component(name, &mut section, limits, trust, ("guard", builtins::GUARDS))?;
        let on_failure = match section.string("onFailure")?.as_deref() {
            None | Some("deny") => OnFailure::Deny,
            Some("allow") => OnFailure::Allow,
            Some(_) => return Err(section.wrong("onFailure", "must be `deny` (the default) or `allow`")),
        };
        let checks = match section.strings("checks")? {
            None => None,
            Some(words) => {
                let known = |word: &String| Checked::ALL.into_iter().find(|checked| checked.name() == word);
                let checks: Option<Vec<Checked>> = words.iter().map(known).collect();
                let checks = checks.filter(|checks| !checks.is_empty());
                Some(checks.ok_or_else(|| section.wrong("checks", "must hold `request`, `answer` or both"))?)
            }
        };
        section.finish()?;
        Ok(Self { component, on_failure, checks })
    }

    /// A guard of a component that the config says nothing of.
    #[must_use]
    pub fn of(component: PluginConfig) -> Self {
        Self { component, on_failure: OnFailure::default(), checks: None }
    }

    /// A built-in guard that the config says nothing of.
    fn built_in(name: &str, limits: &Limits) -> Self {
        Self::of(PluginConfig::new(name, format!("{BUILT_IN}{name}"), limits.clone()))
    }
}

impl Config {
    /// The guard of a name: one of the config's, or a built-in one.
    ///
    /// # Errors
    /// If there is none, or a variable is not set.
    pub fn guard(&self, name: &str, env: impl Fn(&str) -> Option<String>) -> Result<GuardConfig, ConfigError> {
        let mut guard = match self.guards.get(name) {
            Some(value) => {
                let value = expand::value(&format!("guards.{name}"), value.clone(), &env)?;
                GuardConfig::parse(name, value, &self.limits, &self.trust)?
            }
            None if builtins::find_guard(name).is_some() => GuardConfig::built_in(name, &self.limits),
            None => return Err(self.unknown_guard(name)),
        };
        guard.component = self.placed(guard.component);
        guard.component.withheld = Arc::new(self.withheld(env));
        Ok(guard)
    }

    /// The names of the config's guards.
    pub fn guard_names(&self) -> impl Iterator<Item = &str> {
        self.guards.keys().map(String::as_str)
    }

    fn unknown_guard(&self, name: &str) -> ConfigError {
        let names = || self.guard_names().chain(builtins::GUARDS.iter().map(|guard| guard.name));
        ConfigError::UnknownGuard { name: name.to_owned(), hint: did_you_mean(name, names()), known: list(names()) }
    }

    /// Checks every guard as it stands, with its variables unexpanded.
    pub(super) fn check_guards(&self) -> Result<(), ConfigError> {
        self.guards.iter().try_for_each(|(name, value)| {
            GuardConfig::parse(name, value.clone(), &self.limits, &self.trust).map(|_| ())
        })
    }

    /// Whether every guard that a rule names is there; `key` is the rule's.
    pub(super) fn check_guard_names(&self, key: &str, sampling: Option<&Sampling>) -> Result<(), ConfigError> {
        sampling.iter().flat_map(|sampling| &sampling.guards).try_for_each(|name| {
            if self.guards.contains_key(name) || builtins::find_guard(name).is_some() {
                return Ok(());
            }
            let reason = format!("is wrong: {}", self.unknown_guard(name));
            Err(ConfigError::Value { file: String::new(), key: format!("{key}.guards"), reason })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/p/understudy.json")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_guard_is_a_component_and_what_becomes_of_its_failure() {
        let config = parse(
            r#"{"guards": {
                "mine": { "component": "./mine.wasm", "settings": {"a": 1}, "onFailure": "allow", "checks": ["answer"],
                          "limits": {"cpu": "2 s"}, "sha256": "AA00000000000000000000000000000000000000000000000000000000000000" },
                "secrets": { "settings": {"action": "redact"} }
            }, "sampling": { "use": "echo", "guards": ["secrets", "mine"] }}"#,
        )
        .unwrap();
        let mine = config.guard("mine", |_| None).unwrap();
        assert_eq!((mine.on_failure, mine.checks), (OnFailure::Allow, Some(vec![Checked::Answer])));
        assert_eq!(mine.component.component, "/p/./mine.wasm");
        assert!(mine.component.sha256.unwrap().starts_with("aa"));
        let secrets = config.guard("secrets", |_| None).unwrap();
        assert_eq!((secrets.component.component.as_str(), secrets.on_failure), ("builtin:secrets", OnFailure::Deny));
        assert_eq!(config.sampling().unwrap().guards, ["secrets", "mine"]);
    }

    #[test]
    fn what_is_wrong_with_a_guard_is_said_with_its_key() {
        for (guards, sampling, said) in [
            (r#"{"a": {}}"#, "", "`guards.a.component` is missing"),
            (r#"{"a": {"component": "builtin:echo"}}"#, "", "`guards.a.component` names no built-in guard"),
            (r#"{"secrets": {"onFailure": "maybe"}}"#, "", "`guards.secrets.onFailure` must be `deny`"),
            (r#"{"secrets": {"checks": []}}"#, "", "`guards.secrets.checks` must hold `request`, `answer` or both"),
            (r#"{"secrets": {"endpoint": "http://x"}}"#, "", "`guards.secrets.endpoint` is not a key"),
            ("{}", r#""secret""#, "`sampling.guards` is wrong: there is no guard `secret` (did you mean `secrets`?)"),
            ("{}", "1", "`sampling.guards` must be an array of strings"),
        ] {
            let sampling = if sampling.is_empty() { String::new() } else { format!(", \"guards\": [{sampling}]") };
            let text = format!(r#"{{"guards": {guards}, "sampling": {{"use": "echo"{sampling}}}}}"#);
            let error = parse(&text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
