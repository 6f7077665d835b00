//! The real peers that `make setup` installs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

/// The workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// An installed file of a peer's.
#[must_use]
pub fn installed(path: &str) -> String {
    let path = workspace().join("tests/peers/.installed").join(path);
    assert!(path.exists(), "`{}` is missing: run `make setup`", path.display());
    path.to_string_lossy().into_owned()
}

/// A script of `tests/peers/python`.
#[must_use]
pub fn script(name: &str) -> String {
    workspace().join("tests/peers/python").join(name).to_string_lossy().into_owned()
}

/// A script of `tests/peers/node`.
#[must_use]
pub fn node_script(name: &str) -> String {
    workspace().join("tests/peers/node").join(name).to_string_lossy().into_owned()
}

/// The command of server-everything on stdio.
#[must_use]
pub fn server_everything() -> Vec<String> {
    vec![node(), installed("node/node_modules/.bin/mcp-server-everything"), "stdio".to_owned()]
}

/// Node 24.
#[must_use]
pub fn node() -> String {
    installed("node/node_modules/.bin/node")
}

/// The Python that has `fastmcp`.
#[must_use]
pub fn python() -> String {
    installed("fastmcp/bin/python")
}

/// A peer that listens on a port of its own choice until it is dropped.
#[derive(Debug)]
pub struct Listening {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    child: std::process::Child,
}

impl Listening {
    /// Starts a command whose first line on stdout is `{"port": N}`.
    #[must_use]
    pub fn start(command: &str, args: &[&str]) -> Self {
        let mut process = std::process::Command::new(command);
        process.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = process.spawn().unwrap_or_else(|e| panic!("{command}: {e}"));
        let mut line = String::new();
        let stdout = child.stdout.take().map(BufReader::new);
        let read = stdout.map(|mut stdout| stdout.read_line(&mut line));
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let port = said.get("port").and_then(Value::as_u64);
        let port = port.unwrap_or_else(|| panic!("{process:?} said `{line}` instead of its port ({read:?})"));
        Self { url: format!("http://127.0.0.1:{port}"), child }
    }

    /// The provider that judges what it is sent, by the official packages' types; it writes down what it gets in `log`.
    #[must_use]
    pub fn recorder(log: &Path) -> Self {
        let log = log.to_string_lossy();
        Self::start(&python(), &[&script("recording_provider.py"), "--log", &log, "--until-stdin-closes"])
    }

    /// The proxy of `litellm` with mock answers.
    #[must_use]
    pub fn litellm() -> Self {
        Self::start(&installed("litellm/bin/python"), &[&script("run_litellm.py"), "--until-stdin-closes"])
    }

    /// The proxy of `litellm` in front of a recorder, which must outlive it.
    #[must_use]
    pub fn litellm_before(recorder: &Self) -> Self {
        let script = script("run_litellm.py");
        let args = [script.as_str(), "--upstream", &recorder.url, "--until-stdin-closes"];
        Self::start(&installed("litellm/bin/python"), &args)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        crate::program::kill(self.child.id());
        // It is gone either way.
        let _ = self.child.wait();
    }
}
