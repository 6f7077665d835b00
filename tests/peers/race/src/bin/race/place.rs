//! What all contestants find: programs, a provider, an environment with nothing of the user's in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::contestants::Who;
use crate::provider::Provider;
use crate::table::{Row, Unit};

/// What selects the parts of which a request consists.
pub(crate) const PARTS: &str = "parts";

pub(crate) struct Place {
    folder: TempDir,
    provider: Provider,
}

impl Place {
    /// Starts the provider. `make raced` has built all that is raced.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        raise_open_files();
        let provider = Provider::start(&programs().join("race-provider"));
        Self { folder, provider }
    }

    /// Another provider, for those that the open files of one wouldn't be enough for.
    #[expect(clippy::unused_self, reason = "one of the place's programs as others")]
    pub(crate) fn another_provider(&self) -> Provider {
        Provider::start(&programs().join("race-provider"))
    }

    /// A file that contestants can be given.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file is written");
        path
    }

    /// A config with a ledger and budgets. It states the price, which is known only of Anthropic's own endpoint.
    pub(crate) fn with_ledger(&self) -> PathBuf {
        let prices = serde_json::json!({ "*": { "input": "$1", "output": "$5" } });
        let budgets =
            serde_json::json!([{ "per": "day", "money": "$1000000" }, { "per": "month", "requests": 1_000_000_000 }]);
        let ledger = serde_json::json!({ "path": "ledger/ledger.db" });
        let config = serde_json::json!({
            "plugins": { "anthropic": { "prices": prices } }, "sampling": "anthropic", "ledger": ledger, "budgets": budgets
        });
        self.file("with_ledger.json", config.to_string())
    }

    /// The command of a contestant. What it has to say beside the protocol goes to a file, the second.
    pub(crate) fn command(&self, who: Who, config: Option<&Path>) -> (Command, PathBuf) {
        let words = who.command(self, config);
        let of = config.and_then(Path::file_stem).unwrap_or_default().to_string_lossy();
        let log = self.folder.path().join(format!("{} {of}.log", who.name()));
        let stderr = std::fs::File::create(&log).expect("a log");
        let mut command = self.run(&words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        (command, log)
    }

    /// A program with its arguments, in the environment that all of them get.
    pub(crate) fn run(&self, words: &[String]) -> Command {
        let (program, args) = words.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name);
        }
        for name in ["UNDERSTUDY_LOG", "UNDERSTUDY_CONFIG"] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", self.folder.path()).env("XDG_CACHE_HOME", self.folder.path());
        command.env("ANTHROPIC_BASE_URL", self.url()).env("ANTHROPIC_API_KEY", "a key of the race, and no other");
        command.env("FASTMCP_LOG_LEVEL", "ERROR").env("FASTMCP_CHECK_FOR_UPDATES", "off");
        command
    }

    /// A binary of the workspace.
    #[expect(clippy::unused_self, reason = "one of the place's programs as others")]
    pub(crate) fn program(&self, name: &str) -> String {
        present(&programs().join(name))
    }

    /// A script of `tests/peers`.
    #[expect(clippy::unused_self, reason = "one of the place's programs as others")]
    pub(crate) fn peer(&self, name: &str) -> String {
        peers().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn python(&self) -> String {
        self.installed("fastmcp/bin/python")
    }

    pub(crate) fn node(&self) -> String {
        self.installed("node/node_modules/.bin/node")
    }

    pub(crate) fn componentize_py(&self) -> String {
        self.installed("compilers/bin/componentize-py")
    }

    /// The folder of an example plugin.
    #[expect(clippy::unused_self, reason = "one of the place's folders as others")]
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        peers().join("../../examples/plugins").join(name)
    }

    /// Where the provider is.
    pub(crate) fn url(&self) -> &str {
        self.provider.url()
    }

    #[expect(clippy::unused_self, reason = "one of the place's programs as others")]
    fn installed(&self, name: &str) -> String {
        present(&peers().join(".installed").join(name))
    }

    /// Times the parts; it prints what they take.
    pub(crate) fn time_parts(&self) {
        let done = self.run(&[self.program("race-understudy"), PARTS.to_owned()]).status().expect("it starts");
        assert!(done.success(), "the parts: {done}");
    }

    /// What a release weighs.
    pub(crate) fn size(&self) -> Row {
        let mut row = Row::new("release binary, stripped", Unit::Bytes);
        for (who, name) in [(Who::Native, "race-native"), (Who::Understudy, "race-understudy")] {
            let file = std::fs::metadata(self.program(name)).expect("a binary");
            #[expect(clippy::cast_precision_loss, reason = "it is far from 2^53")]
            row.note(who, file.len() as f64);
        }
        row
    }
}

/// How many files a program may open, once `Place::new` has raised that.
pub(crate) fn open_files() -> u64 {
    use rustix::process::{Resource, getrlimit};
    // None is no limit.
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// A file for whoever ran the bench, beside what cargo builds.
pub(crate) fn kept(name: &str) -> PathBuf {
    let folder = programs().parent().expect("the folder of what is built").join("bench");
    std::fs::create_dir_all(&folder).expect("a folder for it");
    folder.join(name)
}

/// The machine, as a heading names it.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let system = format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim());
    format!("{cores} cores{}{model}, {system}", if model.is_empty() { "" } else { " of " })
}

/// A program that must be there.
fn present(path: &Path) -> String {
    assert!(path.exists(), "`{}` is missing: `make raced` builds and installs all that is raced", path.display());
    path.to_string_lossy().into_owned()
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn programs() -> PathBuf {
    let race = std::env::current_exe().expect("this program's path");
    race.parent().expect("the folder of the workspace's programs").to_path_buf()
}

/// Thousands of requests in flight are as many connections, for the provider and for whoever makes them.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where that can't be done, the contestants say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
