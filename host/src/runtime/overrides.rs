//! What a caller says in the place of the config.

use serde_json::{Map, Value};

use crate::config::{self, Config, ConfigError, EraChoice, Mode, Sampling};
use crate::environment::Environment;

/// Values that take precedence over the config's. The default overrides nothing.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The plugins that answer, first choice first, in the place of the rule's: names in the config, names of built-in plugins, or paths of
    /// components. Empty: the rule's own.
    pub plugins: Vec<String>,
    /// The endpoint of the plugin's provider.
    pub endpoint: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Settings of the plugin; a dot in a key reaches into an object.
    pub settings: Vec<(String, Value)>,
    /// Who answers first.
    pub mode: Option<Mode>,
    /// The most tokens of one answer.
    pub max_tokens: Option<u32>,
    /// The most sampling requests in the course of one tool call.
    pub requests_per_call: Option<u32>,
    /// The most of these that carry tools.
    pub tool_rounds: Option<u32>,
    /// The era in which a server is spoken to that speaks both.
    pub era: Option<EraChoice>,
}

impl Overrides {
    /// The rule that holds: the configured one, with these values instead. Naming plugins also sets the mode to [`Mode::Fallback`]; what the
    /// configured rule lets a server ask holds all the same. `None` if neither names a plugin.
    #[must_use]
    pub fn rule(&self, configured: Option<Sampling>) -> Option<Sampling> {
        let rule = if self.plugins.is_empty() {
            configured?
        } else {
            let plugins = self.plugins.clone();
            let named = Sampling::by(plugins.clone());
            configured.map_or(named, |rule| Sampling { plugins, mode: Mode::Fallback, ..rule })
        };
        Some(Sampling {
            mode: self.mode.unwrap_or(rule.mode),
            max_tokens: self.max_tokens.or(rule.max_tokens),
            requests_per_call: self.requests_per_call.unwrap_or(rule.requests_per_call),
            tool_rounds: self.tool_rounds.unwrap_or(rule.tool_rounds),
            era: self.era.unwrap_or(rule.era),
            ..rule
        })
    }

    /// What the config says of the plugin that a name means, with these values instead.
    ///
    /// # Errors
    /// [`ConfigError`] if the name means no plugin, or a variable that the plugin's entry needs is missing.
    pub fn plugin(&self, config: &Config, name: &str, env: &Environment) -> Result<config::PluginConfig, ConfigError> {
        Ok(self.apply(config.plugin(name, |name| env.var(name))?, env))
    }

    /// A guard with these settings.
    #[must_use]
    pub fn applied(&self, mut guard: config::GuardConfig) -> config::GuardConfig {
        for (key, value) in &self.settings {
            put(&mut guard.component.settings, key, value.clone());
        }
        guard
    }

    /// A plugin with these values.
    pub(crate) fn apply(&self, mut plugin: config::PluginConfig, env: &Environment) -> config::PluginConfig {
        plugin.environment = env.clone();
        plugin.endpoint = self.endpoint.clone().or(plugin.endpoint);
        plugin.model = self.model.clone().or(plugin.model);
        for (key, value) in &self.settings {
            put(&mut plugin.settings, key, value.clone());
        }
        plugin
    }

    /// Whether a value is set that goes with a single plugin.
    pub(crate) fn are_of_one_plugin(&self) -> bool {
        self.endpoint.is_some() || self.model.is_some() || !self.settings.is_empty()
    }
}

/// Sets the value at a dotted key.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dots_in_a_settings_key_reach_into_objects() {
        let mut settings = Map::new();
        for (key, value) in [("a", json!(1)), ("b", json!("two")), ("c.d", json!([true])), ("c.e", json!("x=y"))] {
            put(&mut settings, key, value);
        }
        assert_eq!(Value::Object(settings), json!({"a": 1, "b": "two", "c": {"d": [true], "e": "x=y"}}));
    }

    #[test]
    fn overrides_take_precedence_over_the_config() {
        let configured = Sampling { max_tokens: Some(7), ..Sampling::by(vec!["a".to_owned()]) };
        let overrides = Overrides { mode: Some(Mode::Always), ..Overrides::default() };
        let rule = overrides.rule(Some(configured.clone())).unwrap();
        assert_eq!((rule.mode, rule.max_tokens, rule.plugins), (Mode::Always, Some(7), vec!["a".to_owned()]));
        let overrides = Overrides { plugins: vec!["b".to_owned()], ..Overrides::default() };
        let rule = overrides.rule(Some(configured)).unwrap();
        assert_eq!((rule.plugins.as_slice(), rule.max_tokens), (["b".to_owned()].as_slice(), Some(7)));
        let overrides =
            Overrides { max_tokens: Some(9), requests_per_call: Some(1), tool_rounds: Some(0), ..overrides };
        let overrides = Overrides { era: Some(EraChoice::Client), ..overrides };
        let rule = overrides.rule(None).unwrap();
        assert_eq!((rule.max_tokens, rule.requests_per_call, rule.tool_rounds), (Some(9), 1, 0));
        assert_eq!(rule.era, EraChoice::Client);
        assert_eq!(Overrides::default().rule(None), None);
    }
}
