//! A provider on loopback.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running `race-provider`. Dropping it ends it.
pub(crate) struct Provider {
    child: Child,
    url: String,
}

impl Provider {
    /// Starts it.
    pub(crate) fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the provider starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("its port");
        let said: Value = serde_json::from_str(&line).expect("its port in JSON");
        let url = format!("http://127.0.0.1:{}", said.get("port").expect("its port"));
        Self { child, url }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It is gone either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
