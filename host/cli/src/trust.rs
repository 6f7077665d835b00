//! `understudy trust`: what a folder's config would do, and that it may.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::args::{CONFIG_VARIABLE, GlobalArgs, UsageError};
use super::output::{Outcome, note, out};
use super::terminal::{can_ask, says_yes};
use understudy::config::{self, Config, Effects};
use understudy::text::quoted;
use understudy::trust::pins::Pins;
use understudy::trust::{self, TrustList, Trusted, file};

/// Arguments of `trust`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct TrustArgs {
    /// The config, or its folder [default: understudy.json in this folder]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Show what the config would do, without asking
    #[arg(long, conflicts_with_all = ["remove", "list"])]
    show: bool,
    /// Stop trusting the config
    #[arg(long, visible_alias = "forget", conflicts_with = "list")]
    remove: bool,
    /// List the trusted configs
    #[arg(long, conflicts_with = "file")]
    list: bool,
    /// Allow it without asking
    #[arg(short, long)]
    yes: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(global: &GlobalArgs, args: &TrustArgs) -> Result<Outcome> {
    let list = TrustList::of_user().context("there is no state folder to keep trust in: set HOME")?;
    if args.list {
        return all(&list, args.json);
    }
    // What was typed, and not what a variable says for every folder.
    let typed = global.config.clone().filter(|_| std::env::var_os(CONFIG_VARIABLE).is_none());
    let named = args.file.clone().or(typed).unwrap_or_else(|| PathBuf::from(config::FILE_NAME));
    let path = trust::place(&if named.is_dir() { named.join(config::FILE_NAME) } else { named });
    let shown = quoted(&path.to_string_lossy(), 4000);
    if args.remove {
        let was = list.forget(&path).map_err(anyhow::Error::msg)?;
        note(&format!("`{shown}` {}", if was { "is trusted no more" } else { "was not trusted" }));
        return Ok(Outcome::Done);
    }
    let bytes = file::read(&path, file::LARGEST).map_err(|reason| UsageError(format!("`{shown}`: {reason}")))?;
    let bytes = bytes.ok_or_else(|| UsageError(format!("there is no config `{shown}`")))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| UsageError(format!("`{shown}` is not text")))?;
    let config = Config::parse(text, &path)?;
    let files = config.covered();
    let absent: Vec<String> =
        files.iter().filter(|file| !file.exists()).map(|file| file.to_string_lossy().into_owned()).collect();
    let pins = Pins::of(files)
        .map_err(|(file, reason)| UsageError(format!("`{}`: {reason}", quoted(&file.to_string_lossy(), 4000))))?;
    let trusted = Trusted::now(&bytes, pins.into_files());
    let effects = Effects::of_text(text).unwrap_or_default();
    if args.json {
        let does: Vec<&str> = effects.in_full().collect();
        let facts = json!({
            "config": path, "sha256": trusted.sha256, "files": trusted.files, "does": does, "trusted": !args.show,
        });
        if args.show {
            out(&format!("{facts:#}"))?;
            return Ok(Outcome::Done);
        }
        list.record(&path, trusted).map_err(anyhow::Error::msg)?;
        out(&format!("{facts:#}"))?;
        return Ok(Outcome::Done);
    }
    describe(&path, &effects, &trusted, &absent)?;
    if args.show {
        return Ok(Outcome::Done);
    }
    if !args.yes && can_ask() && !says_yes("May it?")? {
        note("nothing is changed");
        return Ok(Outcome::Failed);
    }
    list.record(&path, trusted).map_err(anyhow::Error::msg)?;
    note(&format!("`{shown}` is trusted as it is now; once it or one of its files has changed, you are asked anew"));
    Ok(Outcome::Done)
}

/// Writes what a config would do, before anything is recorded.
fn describe(path: &Path, effects: &Effects, trusted: &Trusted, absent: &[String]) -> Result<()> {
    let path_shown = quoted(&path.to_string_lossy(), 4000);
    out(&format!("`{path_shown}`, used in its folder, would"))?;
    let mut words = effects.in_full().peekable();
    if words.peek().is_none() {
        out("  do nothing")?;
    }
    words.try_for_each(|words| out(&format!("  {words}")))?;
    for (file, sha256) in &trusted.files {
        out(&format!("together with `{}` (sha256 {sha256})", quoted(file, 4000)))?;
    }
    for file in absent.iter().filter(|file| Path::new(file).extension().is_none_or(|extension| extension != "lock")) {
        note(&format!("`{}` is not there: once it is, you are asked anew", quoted(file, 4000)));
    }
    if let Ok(target) = std::fs::read_link(path) {
        note(&format!("`{path_shown}` is a link to `{}`", quoted(&target.to_string_lossy(), 4000)));
    }
    let owner = std::fs::metadata(path).map(|found| found.uid());
    if let Ok(owner) = owner
        && owner != rustix::process::geteuid().as_raw()
    {
        note(&format!("`{path_shown}` belongs to another user (uid {owner})"));
    }
    Ok(())
}

/// Lists what is trusted, and whether it still is what it was.
fn all(list: &TrustList, as_json: bool) -> Result<Outcome> {
    let configs = list.all().map_err(anyhow::Error::msg)?;
    let row = |(path, trusted): (String, Trusted)| {
        let now = file::read(Path::new(&path), file::LARGEST);
        let same = |path: &str, sha256: &str| matches!(Pins::of([PathBuf::from(path)]), Ok(pins) if pins.files().values().eq([sha256]));
        let state = match now {
            Ok(None) => "gone",
            Ok(Some(bytes)) if trust::sha256(&bytes) != trusted.sha256 => "changed",
            Ok(Some(_)) if trusted.files.iter().all(|(path, sha256)| same(path, sha256)) => "trusted",
            Ok(Some(_)) => "changed",
            Err(_) => "unreadable",
        };
        let facts = json!({ "sha256": trusted.sha256, "files": trusted.files, "since": trusted.since, "state": state });
        (path, facts)
    };
    let rows: Map<String, Value> = configs.into_iter().map(row).collect();
    if as_json {
        out(&format!("{:#}", Value::Object(rows)))?;
        return Ok(Outcome::Done);
    }
    for (path, facts) in &rows {
        out(&format!("{:10} {}", facts["state"].as_str().unwrap_or_default(), quoted(path, 4000)))?;
    }
    if rows.is_empty() {
        note("no config is trusted but your own");
    }
    Ok(Outcome::Done)
}
