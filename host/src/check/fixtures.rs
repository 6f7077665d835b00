//! Conversations with a plugin that its author wrote down, one JSON file each; the format is that of the guest crate's module `testing`
//! (`docs/authors`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult};

use super::options;
use crate::error::Error;
use crate::sampling::ConfiguredPlugin;
use crate::wit::streaming::exports::understudy::plugin::streaming as stream;
use crate::wit::understudy::plugin::types as wit;

understudy_mcp_types::fixture_conversions!(crate::wit::understudy::plugin::types);

/// A guest's error as fixtures have it.
pub(super) fn guest_error_json(error: &wit::Error) -> Value {
    error_json(error)
}

/// What came of a folder of fixtures.
#[derive(Debug, Default)]
pub struct Ran {
    /// How many there are.
    pub count: usize,
    /// How many were written anew.
    pub updated: usize,
    /// Those that came out otherwise: the file, and where the first difference is.
    pub wrong: Vec<String>,
}

/// The most that a fixture may have: 64 MiB.
const LARGEST: u64 = 64 << 20;

/// What is expected, and left out where the outcome is written.
const EXPECTED: [&str; 4] = ["result", "usage", "error", "progress"];
const KEYS: [&str; 7] = ["request", "options", "exchanges", "result", "usage", "error", "progress"];

/// Runs every `*.json` in the folder through the plugin; with `update`, writes what comes of them into them.
///
/// # Errors
/// If the folder can't be read, or holds none.
pub async fn run_all(plugin: &ConfiguredPlugin, folder: &Path, update: bool) -> Result<Ran, String> {
    run_folder(folder, update, &KEYS, async |fixture| run(plugin, fixture).await).await
}

/// Runs every `*.json` in the folder, whose keys are these.
pub(super) async fn run_folder(
    folder: &Path,
    update: bool,
    keys: &[&str],
    run: impl AsyncFn(&Value) -> Result<Value, String>,
) -> Result<Ran, String> {
    let mut ran = Ran::default();
    for file in files(folder)? {
        ran.count += 1;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let outcome = match read(&file, keys) {
            Ok(fixture) => run(&fixture).await.map(|outcome| (fixture, outcome)),
            Err(reason) => Err(reason),
        };
        match outcome {
            Ok((fixture, outcome)) if fixture == outcome => {}
            Ok((_, outcome)) if update => {
                crate::trust::file::write(&file, format!("{outcome:#}\n").as_bytes())
                    .map_err(|e| format!("can't write `{}`: {e}", file.display()))?;
                ran.updated += 1;
            }
            Ok((fixture, outcome)) => {
                let difference = difference("", &fixture, &outcome).unwrap_or_default();
                ran.wrong.push(format!("`{name}`: {difference}"));
            }
            Err(reason) => ran.wrong.push(format!("`{name}`: {reason}")),
        }
    }
    Ok(ran)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        std::fs::read_dir(folder).map_err(|e| format!("can't read the folder `{}`: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("there is no `*.json` in `{}`", folder.display()));
    }
    Ok(files)
}

fn read(file: &Path, known: &[&str]) -> Result<Value, String> {
    let text = crate::trust::file::read(file, LARGEST)?.ok_or_else(|| "it is not there".to_owned())?;
    let fixture: Map<String, Value> =
        serde_json::from_slice(&text).map_err(|e| format!("it is not a JSON object: {e}"))?;
    if let Some(key) = fixture.keys().find(|key| !known.contains(&key.as_str())) {
        let hint = crate::text::did_you_mean(key, known.iter().copied());
        return Err(format!("it has the key `{key}`{hint}"));
    }
    Ok(Value::Object(fixture))
}

/// The fixture with its expectations replaced by what really happened.
async fn run(plugin: &ConfiguredPlugin, fixture: &Value) -> Result<Value, String> {
    let mut outcome = fixture.as_object().cloned().unwrap_or_default();
    for key in EXPECTED {
        outcome.remove(key);
    }
    let mut played = Played { plugin, outcome, made: Vec::new() };
    let exchanges = fixture.get("exchanges").and_then(Value::as_array);
    played.play(fixture, exchanges.map_or(&[][..], Vec::as_slice)).await?;
    if !played.made.is_empty() || fixture.get("exchanges").is_some() {
        played.outcome.insert("exchanges".to_owned(), Value::Array(played.made));
    }
    Ok(Value::Object(played.outcome))
}

/// A conversation, and what has come of it so far.
struct Played<'a> {
    plugin: &'a ConfiguredPlugin,
    outcome: Map<String, Value>,
    made: Vec<Value>,
}

impl Played<'_> {
    async fn play(&mut self, fixture: &Value, planned: &[Value]) -> Result<(), String> {
        let (request, options) = asked(fixture)?;
        let mut step = self.plugin.plugin.start(&request, &options).await;
        loop {
            let fetch = match step {
                Ok(wit::Step::Fetch(fetch)) => fetch,
                Ok(wit::Step::Done(completion)) => return self.done(completion),
                Err(error) => return self.failed(error),
            };
            let answer = planned.get(self.made.len()).and_then(|exchange| exchange.get("response"));
            self.made.push(json!({ "request": fetch_json(&fetch), "response": answer }));
            let Some(answer) = answer else { return Ok(()) };
            let state = Bytes::from(fetch.state);
            step = match answer.get("events").and_then(Value::as_array) {
                Some(events) if fetch.framing != wit::Framing::Whole => {
                    match self.stream(state, answer, events).await? {
                        Some(step) => step,
                        None => return Ok(()),
                    }
                }
                _ => self.plugin.plugin.resume(&state, answer_of(answer)).await,
            };
        }
    }

    /// Hands a stream over, message by message; none if it goes on. What comes of it must not depend on where it is cut.
    async fn stream(
        &mut self,
        state: Bytes,
        answer: &Value,
        events: &[Value],
    ) -> Result<Option<Result<wit::Step, Error>>, String> {
        let events = events_of(answer, events);
        let (all_at_once, _) = self.hand_over(state.clone(), events.clone(), usize::MAX).await;
        let (one_by_one, progress) = self.hand_over(state, events, 1).await;
        if format!("{all_at_once:?}") != format!("{one_by_one:?}") {
            return Err("what comes of its stream depends on where it is cut".to_owned());
        }
        if !progress.is_empty() {
            self.outcome.insert("progress".to_owned(), progress.into());
        }
        Ok(one_by_one)
    }

    /// Hands a stream over, so many events at a time: what came of it, and the text that it showed.
    async fn hand_over(
        &self,
        mut state: Bytes,
        events: Vec<stream::Event>,
        at_once: usize,
    ) -> (Option<Result<wit::Step, Error>>, String) {
        let mut progress = String::new();
        for events in events.chunks(at_once) {
            let came = match self.plugin.plugin.next(state.clone(), events.to_vec()).await {
                Ok(stream::StreamingStep::More(more)) => {
                    progress.push_str(&more.text);
                    state = more.state.into();
                    continue;
                }
                Ok(stream::StreamingStep::Done(completion)) => Ok(wit::Step::Done(completion)),
                Ok(stream::StreamingStep::Fetch(fetch)) => Ok(wit::Step::Fetch(fetch)),
                Err(error) => Err(error),
            };
            return (Some(came), progress);
        }
        (None, progress)
    }

    fn done(&mut self, completion: wit::Completion) -> Result<(), String> {
        let result = CreateMessageResult::try_from(completion.result).map_err(|e| e.to_string())?;
        self.outcome.insert("result".to_owned(), result.to_value());
        if let Some(usage) = &completion.usage {
            self.outcome.insert("usage".to_owned(), usage_json(usage)?);
        }
        Ok(())
    }

    fn failed(&mut self, error: Error) -> Result<(), String> {
        let error = super::own(error).map_err(|error| error.to_string())?;
        self.outcome.insert("error".to_owned(), error_json(&error));
        Ok(())
    }
}

/// The request and the options of a fixture.
fn asked(fixture: &Value) -> Result<(Arc<wit::CreateMessageRequest>, Arc<wit::Options>), String> {
    let request = fixture.get("request").ok_or("it has no `request`")?;
    let wrong = |e: &dyn std::fmt::Display| format!("its `request` is no sampling request: {e}");
    let params = CreateMessageRequestParams::from_json(request.to_string().as_bytes()).map_err(|e| wrong(&e))?;
    params.validate().map_err(|e| wrong(&e))?;
    let of_options = |key: &str| fixture.get("options").and_then(|options| options.get(key));
    let model = of_options("model").and_then(Value::as_str).unwrap_or_default();
    let settings = of_options("settings").map_or_else(|| "{}".to_owned(), Value::to_string);
    Ok((Arc::new(params.into()), Arc::new(options(model, settings))))
}

/// A stream, from its head to its end.
fn events_of(answer: &Value, events: &[Value]) -> Vec<stream::Event> {
    let head = stream::ResponseHead { status: answer_of(answer).status, headers: headers_of(answer) };
    let messages = events.iter().map(|event| {
        let data = match event.get("data") {
            Some(Value::String(text)) => text.clone(),
            json => json.map(Value::to_string).unwrap_or_default(),
        };
        let name = event.get("event").and_then(Value::as_str).map(str::to_owned);
        stream::Event::Message(stream::Message { name, data })
    });
    let closed = (answer.get("ends") != Some(&Value::Bool(false))).then_some(stream::Event::Closed);
    std::iter::once(stream::Event::Opened(head)).chain(messages).chain(closed).collect()
}

/// Where two values first differ, and how.
fn difference(place: &str, expected: &Value, got: &Value) -> Option<String> {
    let none = Value::Null;
    let inside = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (expected, got) {
        _ if expected == got => None,
        (Value::Object(left), Value::Object(right)) => {
            let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
            let at = |map: &Map<String, Value>, key: &str| map.get(key).cloned();
            keys.into_iter().find_map(|key| match (at(left, key), at(right, key)) {
                (Some(left), Some(right)) => difference(&inside(key), &left, &right),
                (Some(left), None) => Some(format!("`{}` is missing; expected {}", inside(key), shown(&left))),
                (None, right) => {
                    Some(format!("`{}` is not expected; got {}", inside(key), shown(&right.unwrap_or_default())))
                }
            })
        }
        (Value::Array(left), Value::Array(right)) => (0..left.len().max(right.len())).find_map(|n| {
            let (left, right) = (left.get(n).unwrap_or(&none), right.get(n).unwrap_or(&none));
            difference(&format!("{place}[{n}]"), left, right)
        }),
        _ => Some(format!("`{place}`: expected {}, got {}", shown(expected), shown(got))),
    }
}

fn shown(value: &Value) -> String {
    crate::text::one_line(&value.to_string(), 160)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_by_its_place() {
        let expected = json!({ "error": { "kind": "a" }, "exchanges": [{ "request": { "path": "/x" } }] });
        let mut got = expected.clone();
        assert_eq!(difference("", &expected, &got), None);
        got["exchanges"][0]["request"]["path"] = json!("/y");
        let said = difference("", &expected, &got).unwrap_or_default();
        assert_eq!(said, r#"`exchanges[0].request.path`: expected "/x", got "/y""#);
        got = json!({ "result": 1, "exchanges": expected["exchanges"] });
        let said = difference("", &expected, &got).unwrap_or_default();
        assert_eq!(said, r#"`error` is missing; expected {"kind":"a"}"#);
    }
}
