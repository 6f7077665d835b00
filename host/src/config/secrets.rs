//! The environment variables that hold secrets according to the config: child processes don't inherit them.

use std::collections::BTreeSet;

use crate::builtins::BuiltIn;
use serde_json::Value;

use super::model::BUILT_IN;
use super::sampling::Sampling;
use super::{Config, ServerConfig, expand};
use crate::children::Withheld;

impl Config {
    /// What no server inherits, unless its own `env` names it: the variables of Understudy's credentials (those of every plugin,
    /// of built-in plugins that are used, of `serve.token` and `requestStateKey`), and those that headers and URLs are
    /// made of. `env` looks up environment variables.
    #[must_use]
    pub fn withheld_from_servers(&self, env: impl Fn(&str) -> Option<String>) -> Withheld {
        let credentials = self.credential_variables(&env);
        Withheld::credentials(credentials.into_iter().chain(self.of_built_ins())).with_parts(self.parts())
    }

    /// What all other children don't inherit: the same, the variables of all built-in plugins, used or not, and those that
    /// servers and plugins are given by `${VAR}`.
    #[must_use]
    pub fn withheld(&self, env: impl Fn(&str) -> Option<String>) -> Withheld {
        let mut given = BTreeSet::new();
        for server in self.servers.values() {
            for key in ["env", "args"] {
                collect(server.get(key), &mut given, everywhere);
            }
        }
        for plugin in self.plugins.values().chain(self.guards.values()) {
            collect(plugin.get("settings"), &mut given, everywhere);
        }
        Withheld::built_in().and(self.withheld_from_servers(env)).with_parts(given)
    }

    /// The variables that credentials come from, the plugins' and our own.
    fn credential_variables(&self, env: &impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
        let own = self.plugins.values().filter_map(|plugin| plugin.get("credential"));
        let origins = self.plugins.values().filter_map(|plugin| plugin.get("allow")?.as_array()).flatten();
        let origins = origins.filter_map(|origin| origin.get("credential"));
        let token = self.serve.as_ref().and_then(|serve| serve.get("token"));
        let sources = own.chain(origins).chain(token).chain(&self.state_key);
        let variable = |source: &Value| {
            let name = source.get("env")?.clone();
            // One whose name can't be told isn't read either.
            Some(expand::value("env", name, env).ok()?.as_str()?.to_owned())
        };
        sources.filter_map(variable).collect()
    }

    /// The variables of the built-in plugins that this config uses.
    fn of_built_ins(&self) -> BTreeSet<String> {
        let configured = self.plugins.iter().filter_map(|(name, plugin)| match plugin.get("component") {
            Some(component) => component.as_str()?.strip_prefix(BUILT_IN),
            None => Some(name.as_str()),
        });
        let rules = self.servers.iter().filter_map(|(name, server)| {
            ServerConfig::parse(name, name, server.clone(), &mut Vec::new()).ok()?.sampling
        });
        let rules: Vec<Sampling> = rules.chain(self.sampling.clone()).collect();
        let named = rules.iter().flat_map(|rule| &rule.plugins).filter(|name| !self.plugins.contains_key(*name));
        let named = named.map(|name| name.strip_prefix(BUILT_IN).unwrap_or(name));
        let built_ins: BTreeSet<&str> = configured.chain(named).collect();
        let variables = |plugin: &BuiltIn| plugin.credentials.iter().map(|(name, _)| (*name).to_owned());
        built_ins.into_iter().filter_map(crate::builtins::find).flat_map(variables).collect()
    }

    /// The variables that stand for a part of a header or a URL.
    fn parts(&self) -> BTreeSet<String> {
        let mut parts = BTreeSet::new();
        for holder in self.servers.values().chain(self.plugins.values()) {
            collect(holder.get("headers"), &mut parts, everywhere);
            for key in ["url", "endpoint", "endpoints"] {
                collect(holder.get(key), &mut parts, may_be_secret_in_url);
            }
        }
        parts
    }
}

fn everywhere(_: &str, _: &str) -> bool {
    true
}

/// Whether what stands between these parts of a URL may be secret: user and password, path and query may be, and a scheme, a
/// host's name and a port are not.
fn may_be_secret_in_url(before: &str, behind: &str) -> bool {
    let begun = before.split_once("://").map_or(before, |(_, rest)| rest);
    let is_past_host = begun.contains(['/', '?', '#']);
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    is_past_host || authority.contains('@')
}

/// The variables in all strings inside a value, where they stand in such a place.
fn collect(value: Option<&Value>, found: &mut BTreeSet<String>, is_meant: fn(&str, &str) -> bool) {
    match value {
        Some(Value::String(text)) => {
            let all = expand::variables(text).into_iter();
            found
                .extend(all.filter(|(before, _, behind)| is_meant(before, behind)).map(|(_, name, _)| name.to_owned()));
        }
        Some(Value::Array(items)) => items.iter().for_each(|item| collect(Some(item), found, is_meant)),
        Some(Value::Object(map)) => map.values().for_each(|item| collect(Some(item), found, is_meant)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn withheld(config: &str) -> (Withheld, Withheld) {
        let config = Config::parse(config, Path::new("a test")).unwrap();
        let env = |name: &str| (name == "WHICH").then(|| "CHOSEN".to_owned());
        (config.withheld_from_servers(env), config.withheld(env))
    }

    fn of(credentials: &[&str], parts: &[&str]) -> Withheld {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Withheld::credentials(owned(credentials)).with_parts(owned(parts))
    }

    #[test]
    fn every_credential_is_withheld_from_all_children_wherever_the_config_names_it() {
        let (servers, others) = withheld(
            r#"{
              "plugins": {
                "a": {"component": "a.wasm", "credential": {"bearer": true, "env": "OF_PLUGIN"}},
                "b": {"component": "b.wasm", "allow": ["https://x", {"origin": "https://y", "credential": {"bearer": true, "env": "OF_ORIGIN"}}]},
                "c": {"component": "c.wasm", "credential": {"bearer": true, "env": "${WHICH}"}},
                "d": {"component": "d.wasm", "credential": {"bearer": true, "command": ["op", "${ITEM}"]}}
              },
              "serve": {"token": {"env": "OF_SERVE"}},
              "requestStateKey": {"env": "OF_STATE"}
            }"#,
        );
        let all = of(&["OF_PLUGIN", "OF_ORIGIN", "CHOSEN", "OF_SERVE", "OF_STATE"], &[]);
        assert_eq!(servers, all);
        assert_eq!(others, Withheld::built_in().and(all));
    }

    #[test]
    fn the_variables_of_built_in_plugins_in_use_are_withheld_from_servers() {
        let (servers, _) = withheld(
            r#"{"mcpServers": {"s": {"command": "s", "sampling": ["builtin:gemini", "o"]}},
                "plugins": {"o": {"component": "builtin:openai"}, "echo": {}}, "sampling": "anthropic"}"#,
        );
        let all = ["GEMINI_API_KEY", "GOOGLE_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"];
        assert_eq!(servers, of(&all, &[]));
        // A plugin of that name may be another one.
        let (servers, _) = withheld(r#"{"plugins": {"openai": {"component": "x.wasm"}}, "sampling": "openai"}"#);
        assert_eq!(servers, Withheld::default());
    }

    #[test]
    fn what_headers_and_urls_are_made_of_is_withheld_from_all_and_what_servers_are_given_from_other_children() {
        let (servers, others) = withheld(
            r#"{
              "mcpServers": {
                "local": {"command": "x", "args": ["--key=${ARG}"], "env": {"KEY": "${env:GIVEN}", "HOME": "${HOME}"}},
                "far": {"url": "https://${HOST}:${PORT}/s/${PATH_KEY}?key=${QUERY:-none}", "headers": {"x": "Bearer ${HEADER}"}},
                "further": {"url": "https://${NAME}:${PASSWORD}@x.example/"}
              },
              "plugins": {"p": {"component": "p.wasm", "endpoint": "${BASE}/v1", "endpoints": {"b": "https://x/?k=${NAMED}"},
                "headers": {"a": "${FIXED}"}, "settings": {"deep": ["${SETTING}"]}}}
            }"#,
        );
        let parts = ["PATH_KEY", "QUERY", "HEADER", "NAME", "PASSWORD", "NAMED", "FIXED"];
        assert_eq!(servers, of(&[], &parts));
        assert_eq!(others, Withheld::built_in().and(of(&[], &parts)).and(of(&[], &["ARG", "GIVEN", "SETTING"])));
    }
}
