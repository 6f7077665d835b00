//! The entry that a client's config wants for a server, with absolute paths: a program that wasn't started from a shell has another `PATH`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::DoctorArgs;
use crate::output::out;
use understudy::config::{Config, Mode, Origin, Sampling};

/// A server as a client is to start it.
pub(super) struct Entry {
    name: String,
    /// The arguments of `understudy`.
    args: Vec<String>,
    /// The plugins that answer.
    pub(super) plugins: Vec<String>,
}

impl Entry {
    /// A server of the config.
    pub(super) fn by_name(config: &Config, name: &str, rule: Option<&Sampling>) -> Self {
        let file = config.path.as_deref().map(|path| ["--config".to_owned(), absolute(path)]);
        let args = ["proxy".to_owned()].into_iter().chain(file.into_iter().flatten());
        let args = args.chain(["--server".to_owned(), name.to_owned()]).collect();
        Self { name: name.to_owned(), args, plugins: plugins(rule) }
    }

    /// A server by its command.
    pub(super) fn by_command(config: &Config, args: &DoctorArgs, rule: Option<&Sampling>) -> Self {
        let mut words = vec!["proxy".to_owned()];
        if let Some(path) = config.path.as_deref().filter(|_| config.origin == Origin::Named) {
            words.extend(["--config".to_owned(), absolute(path)]);
        }
        let typed = &args.sampling;
        let mut option = |name: &str, value: Option<String>| {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        };
        for plugin in &typed.plugin {
            let is_file = understudy::config::is_component(plugin) && Path::new(plugin).is_file();
            option("--plugin", Some(if is_file { absolute(Path::new(plugin)) } else { plugin.clone() }));
        }
        option("--endpoint", typed.endpoint.clone());
        option("--model", typed.model.clone());
        for (key, value) in &typed.set {
            option("--set", Some(format!("{key}={value}")));
        }
        let mode = typed.mode.map(|mode| match mode {
            Mode::Fallback => "fallback",
            Mode::Always => "always",
            Mode::Off => "off",
        });
        option("--mode", mode.map(str::to_owned));
        option("--max-tokens", typed.max_tokens.map(|number| number.to_string()));
        option("--requests-per-call", typed.requests_per_call.map(|number| number.to_string()));
        option("--tool-rounds", typed.tool_rounds.map(|number| number.to_string()));
        let (program, rest) = args.command.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let name = Path::new(program)
            .file_stem()
            .map_or_else(|| program.to_owned(), |stem| stem.to_string_lossy().into_owned());
        // Some clients take a `--` for their own.
        words.extend(program.starts_with('-').then(|| "--".to_owned()));
        words.push(found(program));
        words.extend(rest.iter().cloned());
        Self { name, args: words, plugins: plugins(rule) }
    }
}

/// Shows the entries; `variables` are those that plugins' credentials come from.
pub(super) fn show(entries: &[Entry], variables: &BTreeMap<String, String>) -> Result<()> {
    let program =
        std::env::current_exe().map_or_else(|_| "understudy".to_owned(), |path| path.to_string_lossy().into_owned());
    out("for a client's config")?;
    if entries.is_empty() {
        return out(&format!("  the program is `{program}`"));
    }
    let mut all = Map::new();
    for Entry { name, args, plugins } in entries {
        let used = plugins.iter().filter_map(|plugin| variables.get(plugin));
        let env: Map<String, Value> = used.map(|variable| (variable.clone(), Value::from("…"))).collect();
        let mut entry = json!({ "command": program, "args": args });
        if let (false, Some(entry)) = (env.is_empty(), entry.as_object_mut()) {
            entry.insert("env".to_owned(), env.into());
        }
        all.insert(name.clone(), entry);
    }
    let text = format!("{:#}", json!({ "mcpServers": all }));
    text.lines().try_for_each(|line| out(&format!("  {line}")))
}

fn plugins(rule: Option<&Sampling>) -> Vec<String> {
    rule.map(|rule| rule.plugins.clone()).unwrap_or_default()
}

/// A program by its path, if it can be found.
fn found(program: &str) -> String {
    if program.contains(std::path::MAIN_SEPARATOR) {
        return absolute(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    there.map_or_else(|| program.to_owned(), |file| absolute(&file))
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).to_string_lossy().into_owned()
}
