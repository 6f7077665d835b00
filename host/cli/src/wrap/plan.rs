//! What would be done to each file, and doing it.

use anyhow::Result;

use super::clients::{FoundConfig, McpClient};
use super::document::ConfigDocument;
use super::recognize::recognized;
use super::record::WrapRecord;
use super::servers::{self, EditedConfig, EditedServer, ProxyCommand, ServerOutcome};
use super::shown;
use super::target::ConfigTarget;
use crate::output::out;
use understudy::text::quoted;
use understudy::trust::sha256;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Task {
    Wrap(ProxyCommand),
    Unwrap,
}

impl Task {
    /// In words.
    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::Wrap(_) => "wrapped",
            Self::Unwrap => "unwrapped",
        }
    }
}

/// What would be done to a file.
#[derive(Debug)]
pub(super) struct FilePlan {
    client: &'static McpClient,
    found: FoundConfig,
    outcome: Result<PlannedEdit, String>,
}

/// A file that can be read, and what comes of it.
#[derive(Debug)]
struct PlannedEdit {
    target: ConfigTarget,
    document: ConfigDocument,
    edited: EditedConfig,
    /// The variables that each of `edited.servers` sets, and its URL.
    facts: Vec<(Vec<String>, Option<String>)>,
}

/// A server that is changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChangedServer<'a> {
    pub(super) name: &'a str,
    place: &'a str,
    variables: &'a [String],
    /// Where it is, if it isn't a command.
    pub(super) url: Option<&'a str>,
}

impl ChangedServer<'_> {
    /// Whether its entry sets one of these variables.
    pub(super) fn sets(&self, variables: &[String]) -> bool {
        self.variables.iter().any(|own| variables.contains(own))
    }
}

/// What tells a server in a file from all others.
pub(super) fn key(path: &str, place: &str) -> String {
    format!("{path}\n{place}")
}

/// Plans for all files. `is_chosen` gets a server's name and its key.
pub(super) fn plans(
    files: &[(&'static McpClient, FoundConfig)],
    task: &Task,
    is_chosen: &dyn Fn(&str, &str) -> bool,
) -> Vec<FilePlan> {
    let plan = |(client, found): &(&'static McpClient, FoundConfig)| FilePlan {
        client,
        found: found.clone(),
        outcome: planned(client, found, task, is_chosen),
    };
    files.iter().map(plan).collect()
}

fn planned(
    client: &McpClient,
    found: &FoundConfig,
    task: &Task,
    is_chosen: &dyn Fn(&str, &str) -> bool,
) -> Result<PlannedEdit, String> {
    let target = ConfigTarget::read(found)?;
    let document = target.document()?;
    let path = found.path.to_string_lossy();
    let chosen = |entry: &super::entry::ServerEntry| is_chosen(&entry.name, &key(&path, &entry.place));
    let edited = match task {
        Task::Wrap(proxy) => servers::wrap(&document, client, &chosen, proxy)?,
        Task::Unwrap => {
            let before = WrapRecord::of_user().ok().and_then(|record| before(&record, &target));
            servers::unwrap(&document, client, &chosen, before.as_ref())?
        }
    };
    if edited.text.is_some() {
        target.check()?;
    }
    let entries = servers::servers(&document, client)?;
    let fact = |entry: &super::entry::ServerEntry| {
        (entry.variables().map(str::to_owned).collect(), entry.url().map(str::to_owned))
    };
    let facts = entries.iter().filter(|entry| chosen(entry)).map(fact).collect();
    Ok(PlannedEdit { target, document, edited, facts })
}

/// The config as it was before `wrap`, where that is known.
fn before(record: &WrapRecord, target: &ConfigTarget) -> Option<ConfigDocument> {
    let bytes = record.backup(record.get(&target.file)?)?;
    let text = String::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    ConfigDocument::parse(super::clients::format_of(&target.path), text).ok()
}

impl FilePlan {
    pub(super) fn path(&self) -> String {
        self.found.path.to_string_lossy().into_owned()
    }

    pub(super) fn client_name(&self) -> &'static str {
        self.client.name
    }

    /// Whether the client writes its file by itself.
    pub(super) fn is_written_by_client(&self) -> bool {
        self.client.writes
    }

    pub(super) fn servers(&self) -> &[EditedServer] {
        self.outcome.as_ref().map_or(&[], |edit| edit.edited.servers.as_slice())
    }

    /// Whether something would be written.
    pub(super) fn changes(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|edit| edit.edited.text.is_some())
    }

    pub(super) fn has(&self, server: &str) -> bool {
        self.servers().iter().any(|known| known.name == server)
    }

    /// Whether something of it was left that was meant.
    pub(super) fn is_left(&self, named: &[String]) -> bool {
        match &self.outcome {
            Err(_) => true,
            Ok(edit) => edit.edited.servers.iter().any(|server| {
                matches!(server.outcome, ServerOutcome::Left(_)) && (named.is_empty() || named.contains(&server.name))
            }),
        }
    }

    /// The changed servers.
    pub(super) fn changed(&self) -> impl Iterator<Item = ChangedServer<'_>> {
        let edits = self.outcome.iter().flat_map(|edit| edit.edited.servers.iter().zip(&edit.facts));
        let changed = edits.filter(|(server, _)| server.outcome == ServerOutcome::Changed);
        changed.map(|(server, (variables, url))| ChangedServer {
            name: &server.name,
            place: &server.place,
            variables,
            url: url.as_deref(),
        })
    }

    /// Writes what would be done, with the difference if that is wanted.
    pub(super) fn show(&self, with_difference: bool) -> Result<()> {
        let edit = match &self.outcome {
            Err(why) => {
                return out(&format!("{}: `{}`\n  TROUBLE  {why}", self.client.name, quoted(&self.path(), 4000)));
            }
            Ok(edit) if edit.edited.servers.is_empty() => return Ok(()),
            Ok(edit) => edit,
        };
        out(&format!("{}: `{}`", self.client.name, quoted(&self.path(), 4000)))?;
        if edit.target.file != edit.target.path {
            let file = edit.target.file.to_string_lossy();
            out(&format!("  note     it leads to `{}`, which is what is written", quoted(&file, 4000)))?;
        }
        for server in &edit.edited.servers {
            let name = quoted(&server.name, 200);
            match &server.outcome {
                ServerOutcome::Changed => out(&format!("  change   `{name}`: {}", server.runs))?,
                ServerOutcome::Same if server.runs.is_empty() => out(&format!("  same     `{name}`"))?,
                ServerOutcome::Same => out(&format!("  same     `{name}`: {}", server.runs))?,
                ServerOutcome::Left(why) => out(&format!("  left     `{name}`: {why}"))?,
            }
        }
        let Some(text) = edit.edited.text.as_ref().filter(|_| with_difference) else { return Ok(()) };
        let new = ConfigDocument::parse(edit.document.format, text.clone());
        let Ok(new) = new else { return Ok(()) };
        out(shown::difference(&self.path(), &edit.document, &new).trim_end())
    }

    /// Writes the file, after its backup; what to say of it.
    pub(super) fn write(&self, task: &Task) -> Result<String, String> {
        let edit = self.outcome.as_ref().map_err(Clone::clone)?;
        let text = edit.edited.text.as_ref().ok_or("there is nothing to change")?;
        let shown = quoted(&self.path(), 4000);
        let mut record = WrapRecord::of_user()?;
        let changed = self.changed().map(|server| server.place.to_owned());
        match task {
            Task::Wrap(_) => {
                let base = self.base(&record, edit);
                let after = edit.target.bytes_of(text);
                let known = record.get(&edit.target.file).map(|known| known.entries.clone()).unwrap_or_default();
                let mut entries: Vec<String> = known.into_iter().chain(changed).collect();
                entries.sort();
                entries.dedup();
                let entries = still_wrapped(self.client, edit, text, entries);
                let is_new = record.get(&edit.target.file).is_none();
                let backup = record.keep(&edit.target.file, self.client.id, &base, &after, entries)?;
                if let Err(why) = edit.target.replace(&after) {
                    if is_new {
                        record.forget(&edit.target.file)?;
                    }
                    return Err(why);
                }
                Ok(format!("`{shown}` is written; as it was, it is kept in `{}`", backup.display()))
            }
            Task::Unwrap => {
                let changed: Vec<String> = changed.collect();
                let known = record.get(&edit.target.file).cloned();
                let whole = known.as_ref().filter(|known| {
                    known.after == sha256(&edit.target.bytes)
                        && known.entries.iter().all(|entry| changed.contains(entry))
                });
                // To the byte, unless more than that is to be unwrapped.
                let restored = whole.filter(|known| changed.iter().all(|place| known.entries.contains(place)));
                let restored = restored.and_then(|known| record.backup(known));
                let after = restored.unwrap_or_else(|| edit.target.bytes_of(text));
                edit.target.replace(&after)?;
                if let Some(known) = known {
                    let entries = still_wrapped(self.client, edit, text, known.entries.clone());
                    match record.backup(&known) {
                        Some(base) if !entries.is_empty() => {
                            record.keep(&edit.target.file, self.client.id, &base, &after, entries)?;
                        }
                        _ => record.forget(&edit.target.file)?,
                    }
                }
                Ok(format!("`{shown}` is written"))
            }
        }
    }

    /// Forgets the copy of a file in which nothing is wrapped any more, though `unwrap` hasn't done that.
    pub(super) fn tidy(&self) -> Result<(), String> {
        let Ok(edit) = &self.outcome else { return Ok(()) };
        let mut record = WrapRecord::of_user()?;
        let Some(known) = record.get(&edit.target.file) else { return Ok(()) };
        let wrapped = still_wrapped(self.client, edit, &edit.document.text, known.entries.clone());
        if wrapped.is_empty() { record.forget(&edit.target.file) } else { Ok(()) }
    }

    /// Whether its file is a project's.
    pub(super) fn is_of_project(&self) -> bool {
        self.found.project.is_some()
    }

    /// The text that `unwrap` is to bring back: the file as it is now, without what was wrapped before.
    fn base(&self, record: &WrapRecord, edit: &PlannedEdit) -> Vec<u8> {
        let now = || edit.target.bytes.clone();
        let Some(known) = record.get(&edit.target.file) else { return now() };
        if known.after == sha256(&edit.target.bytes)
            && let Some(base) = record.backup(known)
        {
            return base;
        }
        let was_wrapped = |entry: &super::entry::ServerEntry| known.entries.contains(&entry.place);
        let before = before(record, &edit.target);
        let unwrapped = servers::unwrap(&edit.document, self.client, &was_wrapped, before.as_ref());
        unwrapped.ok().and_then(|edited| edited.text).map_or_else(now, |text| edit.target.bytes_of(&text))
    }
}

/// Those of the entries that run Understudy in this text.
fn still_wrapped(client: &McpClient, edit: &PlannedEdit, text: &str, entries: Vec<String>) -> Vec<String> {
    let Ok(document) = ConfigDocument::parse(edit.document.format, text.to_owned()) else { return entries };
    let Ok(servers) = servers::servers(&document, client) else { return entries };
    let wrapped = servers.iter().filter(|entry| recognized(&entry.words()).is_some());
    let wrapped: Vec<&str> = wrapped.map(|entry| entry.place.as_str()).collect();
    entries.into_iter().filter(|entry| wrapped.contains(&entry.as_str())).collect()
}

/// Reads a client's file, for its status.
pub(super) fn read(client: &McpClient, found: &FoundConfig) -> Result<(ConfigTarget, ConfigDocument), String> {
    let target = ConfigTarget::read(found)?;
    let document = target.document()?;
    servers::servers(&document, client)?;
    Ok((target, document))
}
