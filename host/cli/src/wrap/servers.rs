//! The servers of a client's config, and the text in which some of them are wrapped or unwrapped. Pure: texts in, texts out.

use serde_json::Value;

use super::clients::McpClient;
use super::document::{ConfigDocument, ConfigNode, NodeValue, TextEdit};
use super::entry::{ServerEntry, WrappedServer};
use super::recognize::{WrappedEntry, recognized};

/// What is put in front of a server.
#[derive(Debug, Clone, Default)]
pub(super) struct ProxyCommand {
    /// Understudy, or what starts it.
    pub(super) program: String,
    /// The arguments before `proxy`, where something else starts it.
    pub(super) runner: Vec<String>,
    /// The config that was named.
    pub(super) config: Option<String>,
    pub(super) plugins: Vec<String>,
}

impl ProxyCommand {
    /// The arguments before a server's command, or all of them for a URL.
    fn front(&self, name: &str, url: Option<&str>) -> Vec<String> {
        let mut words = self.runner.clone();
        words.push("proxy".to_owned());
        let mut option = |option: &str, value: &str| {
            // A value that begins with a dash would be an option.
            if value.starts_with('-') {
                words.push(format!("{option}={value}"));
            } else {
                words.extend([option.to_owned(), value.to_owned()]);
            }
        };
        self.config.iter().for_each(|config| option("--config", config));
        self.plugins.iter().for_each(|plugin| option("--plugin", plugin));
        if !name.is_empty() {
            option("--name", name);
        }
        match url {
            Some(url) => option("--url", url),
            None => words.push("--".to_owned()),
        }
        words
    }
}

/// What became of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerOutcome {
    Changed,
    /// It is already as it should be.
    Same,
    /// It can't be changed, and why.
    Left(String),
}

/// A server, where it stands, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EditedServer {
    pub(super) name: String,
    pub(super) place: String,
    /// Its command or its URL, to be shown.
    pub(super) runs: String,
    pub(super) outcome: ServerOutcome,
}

/// The text that comes of it, if anything does.
#[derive(Debug, Clone, Default)]
pub(super) struct EditedConfig {
    pub(super) text: Option<String>,
    pub(super) servers: Vec<EditedServer>,
}

/// The servers of a config, in their order.
pub(super) fn servers<'a>(document: &'a ConfigDocument, client: &McpClient) -> Result<Vec<ServerEntry<'a>>, String> {
    if document.root.members().is_none() {
        return Err("it is no table of keys, as this client's config is".to_owned());
    }
    let mut found = Vec::new();
    for block in client.blocks {
        for (place, node) in blocks(&document.root, block, "")? {
            in_block(node, &place, client, &mut found)?;
        }
    }
    Ok(found)
}

/// The blocks at a path.
fn blocks<'a>(node: &'a ConfigNode, path: &[&str], place: &str) -> Result<Vec<(String, &'a ConfigNode)>, String> {
    let Some((key, rest)) = path.split_first() else { return Ok(vec![(place.to_owned(), node)]) };
    let below = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    if *key == "*" {
        let members = node.members().unwrap_or_default().iter().filter(|member| member.node.members().is_some());
        let found = members.map(|member| blocks(&member.node, rest, &below(&member.key)));
        return found.collect::<Result<Vec<_>, _>>().map(|found| found.concat());
    }
    match node.get(key).map_err(|why| if place.is_empty() { why } else { format!("in `{place}`: {why}") })? {
        None => Ok(Vec::new()),
        Some(member) => blocks(&member.node, rest, &below(key)),
    }
}

fn in_block<'a>(
    node: &'a ConfigNode,
    place: &str,
    client: &McpClient,
    found: &mut Vec<ServerEntry<'a>>,
) -> Result<(), String> {
    let add = |found: &mut Vec<ServerEntry<'a>>, name: String, place: String, node: &'a ConfigNode| {
        let entry = ServerEntry::new(name, place, node, &client.shape);
        // What is neither a command nor a URL is something of the client's own.
        if !matches!(entry.target, Ok(super::entry::EntryTarget::Other)) {
            found.push(entry);
        }
    };
    match &node.value {
        NodeValue::Null => Ok(()),
        _ if node.is_shared => Err(format!("`{place}` is referred to, or refers to something: edit it by hand")),
        NodeValue::Table(members) => {
            for (at, member) in members.iter().enumerate() {
                if members.iter().take(at).any(|other| other.key == member.key) {
                    return Err(format!("`{place}` has `{}` twice: remove one of them", member.key));
                }
                // opencode's second form has its servers one level below.
                if client.blocks.len() > 1
                    && !client.has_lists
                    && client.shape.is_list
                    && member.node.members().is_none()
                {
                    continue;
                }
                add(found, member.key.clone(), format!("{place}.{}", member.key), &member.node);
            }
            Ok(())
        }
        NodeValue::List(items) if client.has_lists => {
            for (at, item) in items.iter().enumerate() {
                let name = item.get("name").ok().flatten().and_then(|member| member.node.text());
                add(found, name.unwrap_or_default().to_owned(), format!("{place}[{at}]"), item);
            }
            Ok(())
        }
        _ => Err(format!("`{place}` is no table of servers, as this client's config has it")),
    }
}

/// Wraps the chosen servers.
pub(super) fn wrap(
    document: &ConfigDocument,
    client: &McpClient,
    chosen: &dyn Fn(&ServerEntry) -> bool,
    proxy: &ProxyCommand,
) -> Result<EditedConfig, String> {
    let mut expected = Vec::new();
    let edited = edit(document, client, chosen, |entry| {
        if recognized(&entry.words()).is_some() {
            return Ok(None);
        }
        if let [command] = entry.words().as_slice()
            && holds_arguments(command)
        {
            return Err("its command holds its arguments: put them into `args`".to_owned());
        }
        let front = proxy.front(&entry.name, entry.url());
        let edits = entry.wrapped(document, &client.shape, &proxy.program, &front)?;
        let words = [vec![proxy.program.clone()], front, entry.words()].concat();
        expected.push((entry.place.clone(), words, None));
        Ok(Some(edits))
    })?;
    checked(document, client, edited, &expected)
}

/// Whether a command is a program's name and its arguments, and no path with spaces in it.
fn holds_arguments(command: &str) -> bool {
    let Some((first, rest)) = command.trim().split_once(char::is_whitespace) else { return false };
    let is_name = !first.contains(['/', '\\']);
    (is_name || rest.contains(" -") || rest.trim_start().starts_with('-')) && !std::path::Path::new(command).is_file()
}

/// Unwraps the chosen servers. `before` is the config as it was before `wrap`, if that is known.
pub(super) fn unwrap(
    document: &ConfigDocument,
    client: &McpClient,
    chosen: &dyn Fn(&ServerEntry) -> bool,
    before: Option<&ConfigDocument>,
) -> Result<EditedConfig, String> {
    let earlier = before.map(|before| servers(before, client)).transpose().ok().flatten().unwrap_or_default();
    let mut expected = Vec::new();
    let edited = edit(document, client, chosen, |entry| {
        let words = entry.words();
        let Some(WrappedEntry { at, server, .. }) = recognized(&words) else { return Ok(None) };
        let server = match server {
            Some(WrappedServer::Configured(name)) => {
                let name = understudy::text::quoted(&name, 200);
                return Err(format!(
                    "it runs the server `{name}` of Understudy's config: write that server's own command in its place"
                ));
            }
            // What starts Understudy is taken away as well.
            Some(WrappedServer::Command(count)) => WrappedServer::Command(at + count),
            Some(server) => server,
            None => {
                return Err(
                    "it runs Understudy with options that this one doesn't know, or in a script: edit it by hand"
                        .to_owned(),
                );
            }
        };
        let old = before.zip(earlier.iter().find(|old| old.place == entry.place && recognized(&old.words()).is_none()));
        let edits = entry.unwrapped(document, &client.shape, &server, old)?;
        let (words, url) = match &server {
            WrappedServer::Command(count) => (words.get(count + 1..).unwrap_or_default().to_vec(), None),
            WrappedServer::Url(url) => (Vec::new(), Some(url.clone())),
            WrappedServer::Configured(_) => (Vec::new(), None),
        };
        expected.push((entry.place.clone(), words, url));
        Ok(Some(edits))
    })?;
    checked(document, client, edited, &expected)
}

/// Edits the chosen servers, each of them or not at all.
fn edit(
    document: &ConfigDocument,
    client: &McpClient,
    chosen: &dyn Fn(&ServerEntry) -> bool,
    mut of: impl FnMut(&ServerEntry) -> Result<Option<Vec<TextEdit>>, String>,
) -> Result<EditedConfig, String> {
    let (mut edited, mut edits) = (EditedConfig::default(), Vec::new());
    for entry in servers(document, client)?.iter().filter(|entry| chosen(entry)) {
        let outcome = match of(entry) {
            Ok(Some(more)) => {
                edits.extend(more);
                ServerOutcome::Changed
            }
            Ok(None) => ServerOutcome::Same,
            Err(why) => ServerOutcome::Left(why),
        };
        edited.servers.push(EditedServer {
            name: entry.name.clone(),
            place: entry.place.clone(),
            runs: super::shown::target(entry),
            outcome,
        });
    }
    edited.text = (!edits.is_empty()).then(|| document.with(edits));
    Ok(edited)
}

/// Where an entry stands, and what it must run afterwards: a command or a URL.
type ExpectedEntry = (String, Vec<String>, Option<String>);

/// Reads the new text, and compares: the changed entries run what they should, and nothing else is another.
fn checked(
    document: &ConfigDocument,
    client: &McpClient,
    edited: EditedConfig,
    expected: &[ExpectedEntry],
) -> Result<EditedConfig, String> {
    let Some(text) = &edited.text else { return Ok(edited) };
    let wrong = |what: &str| {
        Err(format!("the edit would have changed {what}, so nothing is written: edit it by hand, and report this"))
    };
    let Ok(new) = ConfigDocument::parse(document.format, text.clone()) else { return wrong("its syntax") };
    let (old_servers, new_servers) = (servers(document, client)?, servers(&new, client)?);
    if old_servers.len() != new_servers.len() {
        return wrong("which servers there are");
    }
    let (mut old_rest, mut new_rest) = (Vec::new(), Vec::new());
    for (old, new) in old_servers.iter().zip(&new_servers) {
        let Some((_, words, url)) = expected.iter().find(|(place, ..)| *place == old.place) else {
            old_rest.push(old.node.plain());
            new_rest.push(new.node.plain());
            continue;
        };
        // The URL of a server that is at one stands among the words of a wrapped one.
        if new.words() != *words || new.url() != url.as_deref() || new.place != old.place {
            return wrong(&format!("`{}` otherwise than it should", old.place));
        }
        old_rest.push(rest(old.node, client));
        new_rest.push(rest(new.node, client));
    }
    let without = |document: &ConfigDocument| {
        let mut root = document.root.plain();
        client.blocks.iter().for_each(|block| remove(&mut root, block));
        root
    };
    if old_rest != new_rest || without(document) != without(&new) {
        return wrong("something else");
    }
    Ok(edited)
}

/// The parts of an entry that stay.
fn rest(node: &ConfigNode, client: &McpClient) -> Value {
    let mut rest = node.plain();
    if let Value::Object(members) = &mut rest {
        let keys = [client.shape.command, "args", "type", "transport"];
        members.retain(|key, _| !keys.contains(&key.as_str()) && !client.shape.urls.contains(&key.as_str()));
    }
    rest
}

/// Removes the blocks at a path.
fn remove(value: &mut Value, path: &[&str]) {
    let (Some((key, rest)), Some(members)) = (path.split_first(), value.as_object_mut()) else { return };
    match (*key, rest) {
        ("*", rest) => members.values_mut().for_each(|value| remove(value, rest)),
        (key, []) => _ = members.remove(key),
        (key, rest) => members.get_mut(key).into_iter().for_each(|value| remove(value, rest)),
    }
}
