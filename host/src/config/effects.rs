//! What a config would do, told from its text alone: nothing is run, opened, expanded or fetched.
//!
//! The text is untrusted. So whatever is shown of it is escaped for a terminal, and it needn't be valid: a value of the wrong type has no
//! effect, because the config would be refused.

use std::collections::BTreeSet;

use serde_json::Value;

use super::foreign::{ServerEntry, servers};
use crate::reference::SCHEME;
use crate::text::{one_line, quoted};

/// The most characters of a name that one line shows, and of a effect where all are shown.
const SHORT: usize = 60;
const LONG: usize = 4000;
/// The most names of a kind in one line.
const NAMES: usize = 3;

/// The kinds of effects, the most serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EffectKind {
    Run,
    Replace,
    Endpoint,
    Reach,
    Header,
    Load,
    Variable,
    File,
    Key,
    Serve,
    Answer,
    Guard,
    Limit,
}

/// One thing that a config would do: its object, and the whole of it in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    kind: EffectKind,
    name: String,
    words: String,
}

/// All that a config would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects(BTreeSet<Effect>);

impl Effects {
    /// What this config would do.
    #[must_use]
    pub fn of(config: &Value) -> Self {
        let mut effects = Self::default();
        effects.variables(config);
        effects.secret("requestStateKey", config.get("requestStateKey"));
        if let Some(serve) = config.get("serve") {
            effects.secret("serve.token", serve.get("token"));
            effects.add(
                EffectKind::Serve,
                "serve",
                "decide where `serve` listens and whom it lets in (`serve`)".to_owned(),
            );
        }
        for ServerEntry { name, value, .. } in servers(config) {
            effects.variables(&value);
            effects.server(&name, &value);
        }
        entries(config.get("plugins")).for_each(|(name, plugin)| effects.plugin(name, plugin));
        entries(config.get("guards")).for_each(|(name, guard)| effects.guard(name, guard));
        effects.rule("sampling requests", config);
        effects.keys(config);
        if config.get("limits").is_some() {
            effects.add(EffectKind::Limit, "limits", "set limits (`limits`)".to_owned());
        }
        effects
    }

    /// What a config of this text would do, if it is JSON.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        Some(Self::of(&super::json(text).ok()?))
    }

    /// One line, with the first few of each kind.
    #[must_use]
    pub fn in_short(&self) -> String {
        let kinds: BTreeSet<EffectKind> = self.0.iter().map(|effect| effect.kind).collect();
        let parts: Vec<String> = kinds.into_iter().map(|kind| self.of_kind(kind)).collect();
        if parts.is_empty() { "do nothing".to_owned() } else { parts.join(", ") }
    }

    /// Each in words, the most serious first.
    pub fn in_full(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|effect| effect.words.as_str())
    }

    fn of_kind(&self, kind: EffectKind) -> String {
        let effects = self.0.iter().filter(|effect| effect.kind == kind);
        let number = effects.clone().count();
        let names: BTreeSet<&str> = effects.map(|effect| effect.name.as_str()).collect();
        let mut shown = names.iter().take(NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if names.len() > NAMES {
            shown = format!("{shown} and {} more", names.len() - NAMES);
        }
        let s = if number == 1 { "" } else { "s" };
        match kind {
            EffectKind::Run => format!("run {number} command{s} ({shown})"),
            EffectKind::Replace => format!("replace the built-in {shown}"),
            EffectKind::Endpoint => format!("set the endpoint of {shown}"),
            EffectKind::Reach => format!("reach {shown}"),
            EffectKind::Header => format!("set headers or variables for {shown}"),
            EffectKind::Load => format!("load {shown}"),
            EffectKind::Variable => format!("read {number} environment variable{s} ({shown})"),
            EffectKind::File => format!("read {shown}"),
            EffectKind::Key => format!("trust keys ({shown})"),
            EffectKind::Serve => "decide where `serve` listens".to_owned(),
            EffectKind::Answer => "decide who answers sampling requests".to_owned(),
            EffectKind::Guard => format!("configure {number} guard{s} ({shown})"),
            EffectKind::Limit => "set limits".to_owned(),
        }
    }

    fn add(&mut self, kind: EffectKind, name: &str, words: String) {
        self.0.insert(Effect { kind, name: quoted(name, SHORT), words });
    }

    fn server(&mut self, name: &str, server: &Value) {
        let shown = quoted(name, SHORT);
        if let Some(command) = text(server, "command") {
            let words = std::iter::once(command).chain(texts(server.get("args")));
            self.run(command, words, &format!("as the server `{shown}`"));
        }
        if let Some(url) = text(server, "url") {
            self.add(EffectKind::Reach, url, format!("reach `{}` as the server `{shown}`", quoted(url, LONG)));
        }
        if server.get("headers").is_some() {
            self.add(EffectKind::Header, name, format!("set {} for the server `{shown}`", members(server, "headers")));
        }
        if server.get("env").is_some() {
            self.add(EffectKind::Header, name, format!("set {} for the server `{shown}`", members(server, "env")));
        }
        self.rule(&format!("the server `{shown}`"), server);
    }

    fn plugin(&mut self, name: &str, plugin: &Value) {
        let shown = quoted(name, SHORT);
        if crate::builtins::find(name).is_some() {
            self.add(EffectKind::Replace, name, format!("stand in the place of the built-in plugin `{shown}`"));
        }
        if let Some(component) = text(plugin, "component").filter(|component| !component.starts_with("builtin:")) {
            self.load(component, &shown);
        }
        if let Some(endpoint) = text(plugin, "endpoint") {
            let words = format!("send the requests of the plugin `{shown}` to `{}`", quoted(endpoint, LONG));
            self.add(EffectKind::Endpoint, name, words);
        }
        if plugin.get("endpoints").is_some() {
            self.add(
                EffectKind::Endpoint,
                name,
                format!("set {} of the plugin `{shown}`", members(plugin, "endpoints")),
            );
        }
        if plugin.get("headers").is_some() {
            self.add(EffectKind::Header, name, format!("set {} for the plugin `{shown}`", members(plugin, "headers")));
        }
        self.secret(&format!("plugins.{name}.credential"), plugin.get("credential"));
        for allowed in plugin.get("allow").and_then(Value::as_array).into_iter().flatten() {
            let origin = allowed.as_str().or_else(|| text(allowed, "origin")).unwrap_or_default();
            self.add(EffectKind::Reach, origin, format!("let the plugin `{shown}` reach `{}`", quoted(origin, LONG)));
            self.secret(&format!("plugins.{name}.allow"), allowed.get("credential"));
        }
        self.keys(plugin);
        if let Some(all) = plugin.as_object() {
            let keys = all.keys().map(|key| quoted(key, SHORT)).collect::<Vec<_>>().join(", ");
            self.add(EffectKind::Answer, name, format!("configure the plugin `{shown}` ({keys})"));
        }
    }

    fn guard(&mut self, name: &str, guard: &Value) {
        let shown = quoted(name, SHORT);
        if crate::builtins::find_guard(name).is_some() && guard.get("component").is_some() {
            self.add(EffectKind::Replace, name, format!("stand in the place of the built-in guard `{shown}`"));
        }
        if let Some(component) = text(guard, "component").filter(|component| !component.starts_with("builtin:")) {
            self.load_as(component, "guard", &shown);
        }
        self.keys(guard);
        self.add(
            EffectKind::Guard,
            name,
            format!("configure the guard `{shown}` ({})", quoted(&guard.to_string(), LONG)),
        );
    }

    /// Where a secret comes from.
    fn secret(&mut self, key: &str, source: Option<&Value>) {
        let Some(source) = source else { return };
        let purpose = format!("for `{}`", quoted(key, SHORT));
        let mut words = texts(source.get("command")).peekable();
        if let Some(program) = words.peek().copied() {
            self.run(program, words, &purpose);
        }
        if let Some(variable) = text(source, "env") {
            let words = format!("read the environment variable `{}` {purpose}", quoted(variable, LONG));
            self.add(EffectKind::Variable, variable, words);
        }
        if let Some(file) = text(source, "file") {
            self.add(EffectKind::File, file, format!("read the file `{}` {purpose}", quoted(file, LONG)));
        }
    }

    /// The sampling rule, under the names of mcp-use as well.
    fn rule(&mut self, whom: &str, holder: &Value) {
        for key in ["sampling", "onSampling", "samplingCallback"] {
            let Some(rule) = holder.get(key) else { continue };
            let used = rule.get("use").unwrap_or(rule);
            for name in used.as_str().into_iter().chain(texts(Some(used))) {
                if super::is_component(name) {
                    self.load(name, &quoted(name, SHORT));
                }
            }
            let words = format!("decide who answers {whom}: `{key}` is {}", quoted(&rule.to_string(), LONG));
            self.add(EffectKind::Answer, key, words);
        }
    }

    fn run<'a>(&mut self, program: &str, words: impl Iterator<Item = &'a str>, purpose: &str) {
        let words: Vec<String> = words.map(word).collect();
        let command = one_line(&words.join(" ").replace('`', "'"), LONG);
        self.add(EffectKind::Run, program, format!("run `{command}` {purpose}"));
    }

    fn load(&mut self, component: &str, plugin: &str) {
        self.load_as(component, "plugin", plugin);
    }

    fn load_as(&mut self, component: &str, what: &str, name: &str) {
        let from = if component.starts_with(SCHEME) { "the registry's component" } else { "the component" };
        let words = format!("load {from} `{}` as the {what} `{name}`", quoted(component, LONG));
        self.add(EffectKind::Load, component, words);
    }

    fn keys(&mut self, holder: &Value) {
        for key in texts(holder.get("trust")) {
            self.add(EffectKind::Key, key, format!("load components that the key `{}` has signed", quoted(key, LONG)));
        }
    }

    /// The variables that stand in strings anywhere.
    fn variables(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                for rest in text.split("${").skip(1) {
                    let Some((name, _)) = rest.split_once('}') else { continue };
                    let name = name.split_once(":-").map_or(name, |(name, _)| name);
                    let name = name.strip_prefix("env:").unwrap_or(name);
                    let words = format!("read the environment variable `{}` for a value", quoted(name, LONG));
                    self.add(EffectKind::Variable, name, words);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.variables(item)),
            Value::Object(map) => map.values().for_each(|value| self.variables(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// The named members of a block.
fn entries(block: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    block.and_then(Value::as_object).into_iter().flatten()
}

fn text<'a>(holder: &'a Value, key: &str) -> Option<&'a str> {
    holder.get(key)?.as_str()
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A member and its value.
fn members(holder: &Value, key: &str) -> String {
    let all = holder.get(key).map(Value::to_string).unwrap_or_default();
    format!("`{key}` ({})", quoted(&all, LONG))
}

/// A word of a command, in quotation marks where a shell would want some.
fn word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("{word:?}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn short(config: &Value) -> String {
        Effects::of(config).in_short()
    }

    #[test]
    fn one_line_says_what_a_config_would_do() {
        let key = json!({ "header": "x-api-key", "env": "ANTHROPIC_API_KEY" });
        let config = json!({
            "requestStateKey": { "command": ["sh", "-c", "id > pwned"] },
            "mcpServers": { "s": { "command": "uvx", "args": ["code-server"] } },
            "plugins": {
                "anthropic": { "endpoint": "http://x/${GITHUB_TOKEN:-}", "credential": key },
                "mine": { "component": "./x.wasm" },
            },
        });
        assert_eq!(
            short(&config),
            "run 2 commands (`sh`, `uvx`), replace the built-in `anthropic`, set the endpoint of `anthropic`, load `./x.wasm`, \
             read 2 environment variables (`ANTHROPIC_API_KEY`, `GITHUB_TOKEN`), decide who answers sampling requests"
        );
        let full: Vec<String> = Effects::of(&config).in_full().map(str::to_owned).collect();
        assert!(full.contains(&"run `sh -c \"id > pwned\"` for `requestStateKey`".to_owned()), "{full:?}");
        assert!(full.contains(&"run `uvx code-server` as the server `s`".to_owned()), "{full:?}");
        assert_eq!(short(&json!({})), "do nothing");
        assert_eq!(short(&json!([1])), "do nothing");
    }

    #[test]
    fn every_key_that_does_something_is_a_deed() {
        for (config, effect) in [
            (json!({"serve": {"token": {"command": ["a"]}}}), "run 1 command (`a`), decide where `serve` listens"),
            (json!({"servers": {"s": {"url": "http://x"}}}), "reach `http://x`"),
            (json!({"mcpServers": {"s": {"httpUrl": "http://x"}}}), "reach `http://x`"),
            (json!({"context_servers": {"s": {"command": {"path": "a"}}}}), "run 1 command (`a`)"),
            (
                json!({"mcp": {"s": {"command": ["a", "{env:B}"]}}}),
                "run 1 command (`a`), read 1 environment variable (`B`)",
            ),
            (json!({"mcp": {"servers": {"s": {"command": "a"}}}}), "run 1 command (`a`)"),
            (json!({"mcpServers": {"s": {"headers": {"a": "b"}}}}), "set headers or variables for `s`"),
            (json!({"mcpServers": {"s": {"sampling": "./x.wasm"}}}), "load `./x.wasm`, decide who answers"),
            (json!({"sampling": {"use": ["y.wasm"]}}), "load `y.wasm`, decide who answers"),
            (json!({"onSampling": "oci://a/b:1"}), "load `oci://a/b:1`, decide who answers"),
            (json!({"plugins": {"p": {"endpoints": {"a": "b"}}}}), "set the endpoint of `p`"),
            (json!({"plugins": {"p": {"headers": {"a": "b"}}}}), "set headers or variables for `p`"),
            (json!({"plugins": {"p": {"allow": ["https://x"]}}}), "reach `https://x`"),
            (
                json!({"plugins": {"p": {"allow": [{"origin": "https://x", "credential": {"file": "k"}}]}}}),
                "reach `https://x`, read `k`",
            ),
            (json!({"plugins": {"p": {"settings": {"a": ["${A}"]}}}}), "read 1 environment variable (`A`)"),
            (json!({"guards": {"g": {"component": "./g.wasm"}}}), "load `./g.wasm`, configure 1 guard (`g`)"),
            (json!({"guards": {"secrets": {"onFailure": "allow"}}}), "configure 1 guard (`secrets`)"),
            (
                json!({"guards": {"secrets": {"component": "builtin:secrets"}}}),
                "replace the built-in `secrets`, configure",
            ),
            (json!({"trust": ["cosign.pub"]}), "trust keys (`cosign.pub`)"),
            (json!({"limits": {"cpu": "1 h"}}), "set limits"),
        ] {
            assert!(short(&config).starts_with(effect), "{config}: {}", short(&config));
        }
    }

    #[test]
    fn what_is_shown_is_fit_for_a_terminal_and_short() {
        let odd = "a\x1b]0;x\x07`; harmless\n\u{202e}\u{200b}b";
        let config = json!({
            "mcpServers": { odd: { "command": odd, "args": [odd], "url": odd } },
            "plugins": { odd: { "component": format!("{odd}{}", "x".repeat(100_000)), "endpoint": odd } },
        });
        let effects = Effects::of(&config);
        let all = effects.in_full().chain([effects.in_short().as_str()]).map(str::to_owned).collect::<Vec<_>>();
        for line in &all {
            assert!(!line.chars().any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}')), "{line:?}");
            assert!(line.chars().count() < 3 * LONG, "{}", line.len());
        }
        assert!(effects.in_short().len() < 2000, "{}", effects.in_short());
        let many: serde_json::Map<String, Value> =
            (0..100).map(|n| (n.to_string(), json!({"endpoint": "x"}))).collect();
        assert!(short(&json!({ "plugins": many })).contains("set the endpoint of `0`, `1`, `10` and 97 more"));
    }
}
