//! What the fuzz targets share.
//!
//! A target is a line in `fuzz_targets`; what it does is here. Each writes seeds of its own, made of what is in the repository anyway
//! (fixtures, examples, sessions written down below), so that none can grow old in a folder.
//!
//! | module | whose bytes | targets |
//! | --- | --- | --- |
//! | `answers` | a provider's answers, to the plugins natively | `resume_…` |
//! | `sampling` | a server's parameters; a plugin's results | `sampling_…`, `start_…`, `json_rpc` |
//! | `config` | a config file | `config` |
//! | `guards` | what a guard makes of requests and answers | `guard_verdicts` |
//! | `relay` | what client and server say | `relay` |
//! | `stream` | a provider's stream, as the host reads it | `stream` |
//! | `wit` | what a component returns, as the canonical ABI has it | `wit_…` |
#![expect(clippy::panic, clippy::missing_panics_doc, reason = "a panic is what a target reports by")]

pub mod answers;
#[cfg(feature = "host")]
pub mod config;
#[cfg(feature = "host")]
pub mod guards;
#[cfg(feature = "host")]
pub mod relay;
pub mod sampling;
#[cfg(feature = "host")]
pub mod stream;
#[cfg(feature = "host")]
pub mod wit;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Writes a seed into the folder that the fuzzer starts from: the first argument that is one.
pub fn seed(name: &str, bytes: &[u8]) {
    if let Some(folder) = std::env::args().skip(1).map(PathBuf::from).find(|path| path.is_dir()) {
        // A seed that can't be written is one seed less.
        let _ = fs::write(folder.join(name), bytes);
    }
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The files of a folder of the repository: names and texts.
pub(crate) fn files(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(repository(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let file = |path: PathBuf| Some((path.file_name()?.to_string_lossy().into_owned(), fs::read_to_string(path).ok()?));
    let mut files: Vec<(String, String)> = entries.flatten().filter_map(|entry| file(entry.path())).collect();
    files.sort();
    files
}

/// A plugin's fixtures, under their names.
pub(crate) fn fixtures(plugin: &str) -> Vec<(String, Value)> {
    let parsed = |(name, text): (String, String)| Some((name, serde_json::from_str(&text).ok()?));
    files(&format!("plugins/{plugin}/fixtures")).into_iter().filter_map(parsed).collect()
}

/// A runtime for the host: one thread, so that an input leads to the same each time.
#[cfg(feature = "host")]
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap_or_else(|e| panic!("{e}"))
}

/// What a server is told is something, on one line, and does nothing to a terminal.
#[cfg(feature = "host")]
pub(crate) fn check_words(text: &str) {
    assert!(!text.trim().is_empty() && !text.chars().any(char::is_control), "{text:?}");
}
