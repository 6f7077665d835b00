//! `understudy wrap --status`: the clients, their servers, what is wrapped, and what a client does by itself.

use anyhow::Result;
use serde_json::{Value, json};

use super::clients::{FoundConfig, McpClient};
use super::recognize::recognized;
use super::{plan, servers, shown};
use crate::output::{Outcome, note, out};
use understudy::text::quoted;

pub(super) fn show(files: &[(&'static McpClient, FoundConfig)], as_json: bool) -> Result<Outcome> {
    let rows: Vec<Value> = files.iter().map(|(client, found)| row(client, found)).collect();
    let has_trouble = rows.iter().any(|row| row.get("error").is_some());
    if as_json {
        out(&format!("{:#}", Value::from(rows)))?;
    } else if rows.is_empty() {
        note("no client's config is found in your home or in this folder");
    } else {
        rows.iter().try_for_each(in_words)?;
    }
    Ok(if has_trouble { Outcome::Failed } else { Outcome::Done })
}

fn row(client: &McpClient, found: &FoundConfig) -> Value {
    let mut row = json!({
        "client": client.id, "name": client.name, "file": found.path, "project": found.project.is_some(),
        "samples": client.samples, "documentation": client.source,
    });
    let facts = match plan::read(client, found) {
        Err(why) => json!({ "error": why }),
        Ok((_, document)) => {
            let entries = servers::servers(&document, client).unwrap_or_default();
            let servers: Vec<Value> = entries
                .iter()
                .map(|entry| {
                    let wrapped = recognized(&entry.words());
                    let mut server = json!({
                        "name": entry.name, "at": entry.place, "runs": shown::target(entry), "wrapped": wrapped.is_some(),
                        "disabled": entry.is_off(),
                    });
                    if let (Some(wrapped), Some(server)) = (wrapped, server.as_object_mut()) {
                        server.insert("plugins".to_owned(), wrapped.plugins.into());
                    }
                    if let (Err(why), Some(server)) = (&entry.target, server.as_object_mut()) {
                        server.insert("left".to_owned(), why.as_str().into());
                    }
                    server
                })
                .collect();
            json!({ "servers": servers })
        }
    };
    if let (Some(row), Value::Object(facts)) = (row.as_object_mut(), facts) {
        row.extend(facts);
    }
    row
}

fn in_words(row: &Value) -> Result<()> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is = |value: &Value, key: &str| value.get(key) == Some(&Value::Bool(true));
    out(&format!("{}: `{}`", text(row, "name"), quoted(&text(row, "file"), 4000)))?;
    if is(row, "samples") {
        out(
            "  note     it answers sampling requests by itself; Understudy passes them on to it, unless `mode` is `always`",
        )?;
    }
    if let Some(error) = row.get("error").and_then(Value::as_str) {
        return out(&format!("  TROUBLE  {error}"));
    }
    let servers = row.get("servers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for server in servers {
        let name = quoted(&text(server, "name"), 200);
        let off = if is(server, "disabled") { ", turned off" } else { "" };
        let state = if is(server, "wrapped") { "wrapped" } else { "plain" };
        match server.get("left").and_then(Value::as_str) {
            Some(why) => out(&format!("  left     `{name}`: {why}"))?,
            None => out(&format!("  {state:8} `{name}`{off}: {}", text(server, "runs")))?,
        }
    }
    if servers.is_empty() {
        out("  note     it has no server")?;
    }
    Ok(())
}
