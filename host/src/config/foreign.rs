//! The files of other clients: their blocks of servers and the keys of each, as ours.
//!
//! | client | block | what it calls otherwise |
//! | --- | --- | --- |
//! | Claude Desktop and Code, Cursor, Copilot CLI, LM Studio, … | `mcpServers` | |
//! | Gemini CLI, Qwen Code | `mcpServers` | `httpUrl`; `mcp.allowed`, `mcp.excluded` |
//! | Windsurf | `mcpServers` | `serverUrl`, `disabled` |
//! | Cline, Roo Code | `mcpServers` | `disabled` |
//! | VS Code | `servers`, in its settings `mcp.servers` | |
//! | Zed | `context_servers` | `command` as an object, `enabled` |
//! | opencode, Crush | `mcp` | `command` as an array, `environment`, `enabled`, `{env:VAR}` |

use serde_json::{Map, Value};

/// The blocks that hold nothing but servers: ours, and those of other clients.
const BLOCKS: [&str; 3] = ["mcpServers", "servers", OF_ZED];
pub(super) const OF_ZED: &str = "context_servers";
pub(super) const OF_OPENCODE: &str = "mcp";

/// A server of a config, with its keys as ours.
#[derive(Debug, Clone)]
pub(crate) struct ServerEntry {
    pub(crate) name: String,
    /// Where it stands, such as `mcpServers.code`.
    pub(crate) key: String,
    pub(crate) value: Value,
}

/// All servers of a config. Of those of one name the first counts.
pub(crate) fn servers(root: &Value) -> Vec<ServerEntry> {
    let block = |key: &str| root.get(key).and_then(Value::as_object);
    let mut found = Vec::new();
    let mut add = |place: &str, name: &str, value: Value| {
        if !found.iter().any(|entry: &ServerEntry| entry.name == name) {
            found.push(ServerEntry { name: name.to_owned(), key: format!("{place}.{name}"), value: server(value) });
        }
    };
    for key in BLOCKS {
        block(key).into_iter().flatten().for_each(|(name, value)| add(key, name, value.clone()));
    }
    let Some(mcp) = block(OF_OPENCODE) else { return found };
    if let Some(servers) = mcp.get("servers").and_then(Value::as_object) {
        servers.iter().for_each(|(name, value)| add("mcp.servers", name, value.clone()));
    } else {
        let objects = mcp.iter().filter(|(_, value)| value.is_object());
        objects.for_each(|(name, value)| add(OF_OPENCODE, name, with_our_variables(value.clone())));
    }
    let names = |key: &str| {
        let list = mcp.get(key).and_then(Value::as_array)?;
        Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>())
    };
    let (allowed, excluded) = (names("allowed"), names("excluded").unwrap_or_default());
    let is_off = |name: &str| excluded.contains(&name) || allowed.as_ref().is_some_and(|all| !all.contains(&name));
    for entry in found.iter_mut().filter(|entry| is_off(&entry.name)) {
        if let Some(server) = entry.value.as_object_mut() {
            server.insert("disabled".to_owned(), Value::Bool(true));
        }
    }
    found
}

/// Whether this is another client's file for all that it does: then it has keys of its own at the top that resemble ours.
pub(super) fn is_another_clients(root: &Map<String, Value>) -> bool {
    [OF_ZED, OF_OPENCODE].iter().any(|key| root.get(*key).is_some_and(Value::is_object))
}

/// A server with its keys as ours.
fn server(value: Value) -> Value {
    let Value::Object(mut map) = value else { return value };
    for (other, ours) in [("httpUrl", "url"), ("serverUrl", "url"), ("environment", "env")] {
        let Some(value) = map.remove(other).filter(|value| !value.is_null()) else { continue };
        // Gemini CLI takes `httpUrl` before `url`.
        if other == "httpUrl" || !map.contains_key(ours) {
            map.insert(ours.to_owned(), value);
        }
    }
    for key in ["command", "url"] {
        if map.get(key).is_some_and(|value| value == "") {
            map.remove(key);
        }
    }
    match map.remove("command") {
        Some(Value::Array(words)) if !words.is_empty() => {
            let mut words = words.into_iter();
            map.extend(words.next().map(|program| ("command".to_owned(), program)));
            let more = map.remove("args");
            let more = more.iter().filter_map(Value::as_array).flatten().cloned();
            map.insert("args".to_owned(), words.chain(more).collect());
        }
        Some(Value::Object(inner)) if inner.contains_key("path") => {
            for (key, ours) in [("path", "command"), ("args", "args"), ("env", "env")] {
                map.extend(inner.get(key).map(|value| (ours.to_owned(), value.clone())));
            }
        }
        Some(other) => _ = map.insert("command".to_owned(), other),
        None => {}
    }
    if map.remove("enabled").is_some_and(|value| value == false) {
        map.insert("disabled".to_owned(), Value::Bool(true));
    }
    Value::Object(map)
}

/// opencode's variables, `{env:VAR}`, as ours.
fn with_our_variables(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${env:", "{env:").replace("{env:", "${env:")),
        Value::Array(items) => items.into_iter().map(with_our_variables).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, with_our_variables(value))).collect(),
        other => other,
    }
}

/// The kind of a file that isn't JSON, if it can be told.
pub(super) fn other_format(path: &std::path::Path, text: &str) -> Option<&'static str> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => return Some("TOML"),
        Some("yaml" | "yml") => return Some("YAML"),
        _ => {}
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if first.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_word)
        || first.split_once('=').is_some_and(|(key, _)| is_word(key.trim()))
    {
        return Some("TOML");
    }
    let is_yaml = first == "---" || first.split_once(':').is_some_and(|(key, _)| is_word(key));
    is_yaml.then_some("YAML")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn of(root: &Value) -> Value {
        servers(root).into_iter().map(|ServerEntry { name, key, value }| json!([name, key, value])).collect()
    }

    #[test]
    fn what_other_clients_call_otherwise_is_ours() {
        for (theirs, ours) in [
            (json!({"httpUrl": "https://a", "url": "https://b"}), json!({"url": "https://a"})),
            (json!({"serverUrl": "https://a"}), json!({"url": "https://a"})),
            (json!({"url": "https://a", "command": ""}), json!({"url": "https://a"})),
            (json!({"command": ["npx", "-y", "x"]}), json!({"command": "npx", "args": ["-y", "x"]})),
            (json!({"command": ["npx"], "args": ["x"]}), json!({"command": "npx", "args": ["x"]})),
            (
                json!({"command": {"path": "npx", "args": ["x"], "env": {"A": "b"}}, "settings": {}}),
                json!({"command": "npx", "args": ["x"], "env": {"A": "b"}, "settings": {}}),
            ),
            (json!({"command": "x", "environment": {"A": "b"}}), json!({"command": "x", "env": {"A": "b"}})),
            (json!({"command": "x", "enabled": false}), json!({"command": "x", "disabled": true})),
            (json!({"command": "x", "enabled": true}), json!({"command": "x"})),
            (json!({"command": []}), json!({"command": []})),
            (json!("x"), json!("x")),
        ] {
            assert_eq!(server(theirs.clone()), ours, "{theirs}");
        }
    }

    #[test]
    fn every_clients_block_is_found_and_the_first_of_a_name_counts() {
        let server = json!({"command": "x"});
        let root =
            json!({"mcpServers": {"a": server}, "servers": {"a": {}, "b": server}, "context_servers": {"c": server}});
        assert_eq!(
            of(&root),
            json!([["a", "mcpServers.a", server], ["b", "servers.b", server], ["c", "context_servers.c", server]])
        );
        let opencode = json!({"mcp": {"a": {"type": "local", "command": ["x", "{env:A}", "${env:B}"]}, "timeout": 5}});
        let ours = json!({"type": "local", "command": "x", "args": ["${env:A}", "${env:B}"]});
        assert_eq!(of(&opencode), json!([["a", "mcp.a", ours]]));
        assert_eq!(
            of(&json!({"mcp": {"servers": {"a": server}, "inputs": []}})),
            json!([["a", "mcp.servers.a", server]])
        );
        let off = json!({"command": "x", "disabled": true});
        let gemini =
            json!({"mcpServers": {"a": server, "b": server}, "mcp": {"allowed": ["a", "b"], "excluded": ["b"]}});
        assert_eq!(of(&gemini), json!([["a", "mcpServers.a", server], ["b", "mcpServers.b", off]]));
    }

    #[test]
    fn a_file_that_is_no_json_is_known_by_its_name_or_its_first_line() {
        let of = |name: &str, text: &str| other_format(Path::new(name), text);
        assert_eq!(of("config.toml", ""), Some("TOML"));
        assert_eq!(of("config.yaml", "{"), Some("YAML"));
        for text in ["# x\n[mcp_servers.a]\ncommand = \"x\"", "model = \"x\"\n"] {
            assert_eq!(of("config", text), Some("TOML"), "{text}");
        }
        for text in ["---\na: b", "mcpServers:\n  - name: x", "extensions: {}"] {
            assert_eq!(of("config", text), Some("YAML"), "{text}");
        }
        for text in ["", "{ mcpServers: {} }", "{\"a\": }", "[]"] {
            assert_eq!(of("config.json", text), None, "{text}");
        }
    }
}
