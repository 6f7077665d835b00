//! A config file.

use std::path::Path;

use understudy::config::Effects;
use understudy::config::{Config, ConfigError};

use crate::{files, repository, seed};

/// Reads a config; then all that it names, with some variables set and others not.
pub fn read(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Some(effects) = Effects::of_text(text) {
        for line in effects.in_full().chain([effects.in_short().as_str()]) {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
    let config = match Config::parse(text, Path::new("folder/understudy.json")) {
        Ok(config) => config,
        Err(error) => return refused(&error),
    };
    let variable = |name: &str| name.len().is_multiple_of(2).then(|| format!("a {name}"));
    for name in config.server_names() {
        let _ = config.server(name, variable).map_err(|error| refused(&error));
    }
    for name in config.plugin_names().chain(["echo", "openai", "./x.wasm", "nothing"]) {
        let _ = config.plugin(name, variable).map_err(|error| refused(&error));
    }
    let _ = (config.withheld_from_servers(variable), config.withheld(variable));
}

fn refused(error: &ConfigError) {
    let text = error.to_string();
    assert!(!text.is_empty());
    if let ConfigError::Value { key, reason, .. } = error {
        assert!(!key.is_empty() && !reason.is_empty(), "{text}");
    }
}

/// Seeds: the configs of the README and the user guide, the examples, and one with every key.
pub fn seeds() {
    for (name, text) in files("examples/configs") {
        seed(&name, text.as_bytes());
    }
    let readme = std::fs::read_to_string(repository("README.md")).unwrap_or_default();
    for (page, text) in files("docs/guide").into_iter().chain([("readme".to_owned(), readme)]) {
        for language in ["```jsonc\n", "```json\n"] {
            for (n, block) in text.split(language).skip(1).filter_map(|rest| rest.split("\n```").next()).enumerate() {
                seed(&format!("{page}-{}-{n}", language.trim_matches(['`', '\n'])), block.as_bytes());
            }
        }
    }
    seed("every-key", EVERY_KEY.as_bytes());
}

const EVERY_KEY: &str = r#"{
  "mcpServers": {
    "a": { "command": "${CMD:-cat}", "args": ["${env:ARG}"], "env": { "A": "${B}", "N": 1 }, "cwd": ".", "onSampling": ["gpt", "echo"] },
    "b": { "url": "https://x.example/mcp", "headers": { "x-a": "b" }, "samplingCallback": "echo" }
  },
  "sampling": {
    "use": ["gpt", "mine"], "mode": "always", "maxTokens": 10, "requestsPerCall": 5, "toolRounds": 0, "declareTools": false, "requestsPerMinute": 3,
    "tools": ["a"], "context": "thisServer"
  },
  "plugins": {
    "gpt": {
      "component": "builtin:openai", "model": "gpt-5.2", "hints": "verbatim", "endpoint": "https://api.example/v1?api-version=1",
      "endpoints": { "other": "http://127.0.0.1:1" }, "credential": { "header": "x-api-key", "env": "KEY" }, "headers": { "x-y": "z" },
      "models": ["small", { "name": "large", "families": ["x"], "cost": 1, "speed": 0.5, "intelligence": 0.9 }, { "when": "intelligence > 0.8", "use": "large" }],
      "allowedModels": ["small", "large"], "aliases": { "gpt-4": "large" }, "settings": { "numCtx": 8192, "a": { "b": [null] } },
      "imports": "none", "limits": { "memory": "1.5 MiB", "cpu": "1 s 500 ms", "deadline": "2 min", "fetches": 8, "retries": 0 }
    },
    "mine": {
      "component": "./mine.wasm", "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
      "allow": ["https://api.example", { "origin": "http://10.0.0.1:80", "private": true, "credential": { "query": "key", "command": ["pass", "x"] } }]
    }
  },
  "limits": {
    "state": "1 MiB", "requestBody": "32 MiB", "responseBody": "32 MiB", "component": "64 MiB", "samplingRequest": "24 MiB", "messages": 2,
    "media": "16 MiB", "samplingTotal": "256 MiB", "concurrent": 256, "waiting": 4096, "line": "256 MiB", // all of them
  },
}"#;
