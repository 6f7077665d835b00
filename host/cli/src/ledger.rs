//! `understudy ledger`: what was asked, by whom, and what it cost. `understudy spend`: the sums.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::args::{GlobalArgs, UsageError};
use super::output::{Outcome, note, out};
use super::setup;
use understudy::ledger::{Filter, Group, Ledger, RequestRow, Sum, path_in};
use understudy::runtime::state_folder;
use understudy::text::one_line;

/// Arguments of `ledger`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct LedgerArgs {
    #[command(subcommand)]
    verb: Option<LedgerVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum LedgerVerb {
    /// Show one request: who asked, which providers were asked, and its content where that was kept
    Show {
        /// Its number, as `understudy ledger` lists it
        #[arg(value_name = "ID")]
        id: i64,
        /// Write it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Look for rows that were changed or removed, and print the chain's head
    Verify {
        /// A head that was printed before: it must still be in the chain
        #[arg(long, value_name = "SHA256")]
        head: Option<String>,
    },
    /// Remove old rows
    Prune {
        /// Those that came before this: a date (`2026-11-01`), a time, or how long ago (`90d`)
        #[arg(long, value_name = "WHEN")]
        before: String,
        /// Only the contents of requests and answers; rows and digests stay
        #[arg(long)]
        contents: bool,
    },
}

/// Which rows.
#[derive(Debug, Args)]
struct Selection {
    /// Only requests of this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Only what came since then: a date (`2026-11-01`), a time, or how long ago (`24h`)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only what came before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

/// How it is written.
#[derive(Debug, Args)]
struct Format {
    /// Write JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Write CSV
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    selection: Selection,
    /// Only requests that ended so: answered, refused, declined, failed, cancelled or interrupted
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// The newest so many; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    newest: u32,
    #[command(flatten)]
    format: Format,
}

/// Arguments of `spend`.
#[derive(Debug, Args)]
pub(super) struct SpendArgs {
    /// What the sums are made for
    #[arg(long, value_enum, default_value_t = By::Server)]
    by: By,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Server,
    Model,
    Plugin,
    Day,
}

pub(super) async fn run(global: &GlobalArgs, args: LedgerArgs) -> Result<Outcome> {
    let ledger = open(global).await?;
    match args.verb {
        None => list(&ledger, args.list).await,
        Some(LedgerVerb::Show { id, json }) => show(&ledger, id, json).await,
        Some(LedgerVerb::Verify { head }) => verify(&ledger, head.as_deref()).await,
        Some(LedgerVerb::Prune { before, contents }) => {
            let before = time(&before)?;
            if contents {
                note(&format!("{} contents removed", ledger.forget_contents(before).await?));
            } else {
                note(&format!("{} rows removed", ledger.prune(before).await?));
            }
            Ok(Outcome::Done)
        }
    }
}

pub(super) async fn spend(global: &GlobalArgs, args: SpendArgs) -> Result<Outcome> {
    let ledger = open(global).await?;
    let group = match args.by {
        By::Server => Group::Server,
        By::Model => Group::Model,
        By::Plugin => Group::Plugin,
        By::Day => Group::Day,
    };
    let sums = ledger.spend(&filter(&args.selection)?, group).await?;
    if args.format.json {
        out(&serde_json::to_string_pretty(&sums)?)?;
        return Ok(Outcome::Done);
    }
    let heads = ["name", "requests", "tokens", "cost", "unpriced"];
    let row = |sum: &Sum| {
        let Sum { name, requests, tokens, cost, unpriced, .. } = sum;
        [name.clone(), requests.to_string(), tokens.to_string(), cost.clone(), unpriced.to_string()]
    };
    let rows: Vec<_> = sums.iter().map(row).collect();
    if args.format.csv {
        return csv(&heads, &rows);
    }
    for [name, requests, tokens, cost, unpriced] in &rows {
        let missing = if unpriced == "0" { String::new() } else { format!(", {unpriced} of them without a price") };
        out(&format!("{}  {cost}  {tokens} tokens, {requests} requests{missing}", one_line(name, 200)))?;
    }
    Ok(Outcome::Done)
}

/// The ledger that the config names, or the user's.
pub(super) async fn open(global: &GlobalArgs) -> Result<Ledger> {
    let named = setup::config(global)?.ledger.and_then(|ledger| ledger.path);
    let path: Option<PathBuf> = named.or_else(|| Some(path_in(&state_folder()?)));
    let path = path.context("there is no state folder for the ledger: set HOME")?;
    Ok(Ledger::open_existing(&path).await?)
}

fn filter(selection: &Selection) -> Result<Filter> {
    let time_of = |text: &Option<String>| text.as_deref().map(time).transpose();
    Ok(Filter {
        server: selection.server.clone(),
        since: time_of(&selection.since)?,
        before: time_of(&selection.until)?,
        ..Filter::default()
    })
}

/// A date, a time, or how long ago; in milliseconds since 1970.
fn time(text: &str) -> Result<i64> {
    if let Ok(ago) = humantime::parse_duration(text) {
        let then = SystemTime::now().checked_sub(ago).and_then(|then| Timestamp::try_from(then).ok());
        return Ok(then.map_or(0, Timestamp::as_millisecond));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let date = text.parse::<Date>().ok().and_then(|date| date.to_zoned_datetime(TimeZone::system()).ok());
    let Some(date) = date else {
        bail!(UsageError(format!(
            "`{text}` is no time: write a date (`2026-11-01`), a time (`2026-11-01T12:00:00Z`), or how long ago (`24h`)"
        )));
    };
    Ok(date.timestamp().as_millisecond())
}

async fn list(ledger: &Ledger, args: ListArgs) -> Result<Outcome> {
    let newest = Some(args.newest).filter(|newest| *newest > 0);
    let rows = ledger.rows(&Filter { outcome: args.outcome, newest, ..filter(&args.selection)? }).await?;
    if args.format.json {
        out(&serde_json::to_string_pretty(&rows)?)?;
        return Ok(Outcome::Done);
    }
    if args.format.csv {
        let heads = [
            "id", "opened", "server", "tool", "client", "plugin", "model", "tokens", "cost", "outcome", "reason",
            "approval",
        ];
        let row = |row: &RequestRow| {
            let (plugin, model) = asked(row);
            [
                row.id.to_string(),
                row.opened.clone(),
                row.server.clone(),
                row.tool.clone().unwrap_or_default(),
                row.client.clone().unwrap_or_default(),
                plugin,
                model,
                row.tokens.to_string(),
                row.cost.clone(),
                row.outcome.clone().unwrap_or_default(),
                row.reason.clone().unwrap_or_default(),
                row.approval.clone().unwrap_or_default(),
            ]
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        return csv(&heads, &rows);
    }
    for row in &rows {
        let (plugin, model) = asked(row);
        let tool = row.tool.as_ref().map(|tool| format!(" in `{}`", one_line(tool, 60))).unwrap_or_default();
        let outcome = row.outcome.as_deref().unwrap_or("open");
        let by = if plugin.is_empty() { String::new() } else { format!("  {plugin} {model}") };
        let reason = row.reason.as_ref().map(|reason| format!(": {}", one_line(reason, 200))).unwrap_or_default();
        let approval = row.approval.as_ref().map(|approval| format!(" ({approval})")).unwrap_or_default();
        let server = one_line(&row.server, 60);
        let (id, opened, cost, tokens) = (row.id, &row.opened, &row.cost, row.tokens);
        out(&format!("{id}  {opened}  {server}{tool}{by}  {tokens} tokens  {cost}  {outcome}{approval}{reason}"))?;
    }
    Ok(Outcome::Done)
}

/// The plugin and the model that were asked last.
fn asked(row: &RequestRow) -> (String, String) {
    row.attempts.last().map(|attempt| (attempt.plugin.clone(), attempt.model.clone())).unwrap_or_default()
}

async fn show(ledger: &Ledger, id: i64, json: bool) -> Result<Outcome> {
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(flatten)]
        row: &'a RequestRow,
        content: Option<&'a understudy::ledger::Content>,
    }
    let Some((row, content)) = ledger.row(id).await? else {
        bail!("the ledger `{}` has no request {id}", ledger.path().display());
    };
    let shown = serde_json::to_value(Shown { row: &row, content: content.as_ref() })?;
    if json {
        out(&format!("{shown:#}"))?;
        return Ok(Outcome::Done);
    }
    for (key, value) in shown.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => out(&format!("{key:16}  {text}"))?,
            other => out(&format!("{key:16}  {other}"))?,
        }
    }
    Ok(Outcome::Done)
}

async fn verify(ledger: &Ledger, head: Option<&str>) -> Result<Outcome> {
    let verified = ledger.verify(head).await?;
    for fault in &verified.faults {
        note(&fault.to_string());
    }
    let (links, requests) = (verified.links, verified.requests);
    out(&format!("{requests} requests, {links} links, head {}", verified.head))?;
    Ok(if verified.faults.is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// RFC 4180. A text that a spreadsheet would take for a formula is quoted by an apostrophe.
fn csv<const N: usize>(heads: &[&str; N], rows: &[[String; N]]) -> Result<Outcome> {
    let field = |text: &str| {
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let text = if is_formula { format!("'{text}") } else { text.to_owned() };
        let quoted = text.contains([',', '"', '\n', '\r']);
        if quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    out(&heads.join(","))?;
    for row in rows {
        out(&row.iter().map(|text| field(text)).collect::<Vec<_>>().join(","))?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_a_time_or_how_long_ago() {
        assert_eq!(time("1970-01-01T00:00:01Z").unwrap(), 1000);
        assert!(time("2026-11-01").is_ok());
        let now = Timestamp::now().as_millisecond();
        assert!((now - time("24h").unwrap() - 86_400_000).abs() < 60_000);
        assert!(time("1000y").unwrap() < 0);
        assert!(time("yesterday").unwrap_err().to_string().contains("how long ago"));
    }
}
