//! The program itself, and one run of it.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::PATIENCE;
use crate::peers::workspace;

/// A binary of the workspace, built if need be: `make test` builds all of them first, and says so by `UNDERSTUDY_BUILT`.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let folder = folder();
    BUILT.get_or_init(|| {
        if std::env::var_os("UNDERSTUDY_BUILT").is_some() {
            return;
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(workspace()).args(["build", "--quiet", "--workspace", "--bins"]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        // What the outer cargo tells this test of itself. Some build scripts look at it, and would compile their crates anew.
        for (name, _) in std::env::vars() {
            let names = ["CARGO", "OUT_DIR"];
            if names.contains(&name.as_str()) || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(name);
            }
        }
        let built = cargo.status().unwrap_or_else(|e| panic!("cargo doesn't start: {e}"));
        assert!(built.success(), "the program doesn't build");
    });
    folder.join(name)
}

/// Where this workspace's programs are.
fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|e| panic!("where is this test? {e}"));
    test.ancestors().nth(2).unwrap_or(&test).to_path_buf()
}

/// A folder for one test, with nothing of the user's in sight: no config, no key. Compiled plugins are shared among tests.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap_or_else(|e| panic!("no temporary folder: {e}")) }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; its path.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// The program, to be run here. A file `understudy.json` is the user's own: it is named in the environment.
    #[must_use]
    pub fn understudy<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.stranger(args);
        let config = self.path().join("understudy.json");
        if config.is_file() {
            command.env("UNDERSTUDY_CONFIG", config);
        }
        command
    }

    /// The program, to be run here by somebody who has just come by: nothing that is here was named or trusted.
    #[must_use]
    pub fn stranger<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary("understudy"));
        command.current_dir(self.path()).args(args);
        command.env("XDG_CONFIG_HOME", self.path()).env("XDG_CACHE_HOME", cache());
        command.env("XDG_DATA_HOME", self.path()).env("XDG_STATE_HOME", self.path()).env("DOCKER_CONFIG", self.path());
        for variable in [
            "ANTHROPIC_API_KEY",
            "OPENAI_API_KEY",
            "ANTHROPIC_BASE_URL",
            "OPENAI_BASE_URL",
            "UNDERSTUDY_LOG",
            "UNDERSTUDY_CONFIG",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
        ] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the program to its end, with nothing on stdin.
    #[must_use]
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        run(self.understudy(args), "")
    }
}

/// What tests keep for one another, and for the next time.
#[must_use]
pub fn cache() -> PathBuf {
    folder().join("test-cache")
}

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

impl Run {
    /// Its exit code; a signal as shells show it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    /// The run, if it succeeded.
    #[must_use]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "it failed ({}): {}{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// The same command, run by a shell: `"$0" "$@"` in the script.
#[must_use]
pub fn by_shell(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Runs a command to its end.
#[must_use]
pub fn run(command: Command, input: &str) -> Run {
    run_within(PATIENCE, command, input)
}

/// The same, for what may take longer.
#[must_use]
pub fn run_within(patience: Duration, mut command: Command, input: &str) -> Run {
    let shown = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let (stdin, input) = (child.stdin.take(), input.to_owned());
    let (done, ended) = mpsc::channel();
    let id = child.id();
    thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // It may not want to read it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let _ = done.send(child.wait_with_output());
    });
    let Ok(output) = ended.recv_timeout(patience) else {
        kill(id);
        panic!("{shown}: no end within {patience:?}");
    };
    let output = output.unwrap_or_else(|e| panic!("{shown}: {e}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run { stdout: text(output.stdout), stderr: text(output.stderr), status: output.status }
}

/// Kills a process.
pub fn kill(id: u32) {
    signal(id, rustix::process::Signal::KILL);
}

/// Sends a signal to a process.
pub fn signal(id: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        // It may be gone already.
        let _ = rustix::process::kill_process(pid, signal);
    }
}
