//! Which entries run Understudy already: by `wrap`, or because somebody wrote them so.

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory, Parser};

use super::entry::WrappedServer;
use crate::words::with_command_apart;
use crate::{Cli, Verb};
use understudy_proxy::server_runtime::ServerTarget;

/// The names of the program, and of the packages that bring it.
const NAMES: [&str; 2] = ["understudy", PACKAGE];
/// Its name in npm and `PyPI`.
pub(super) const PACKAGE: &str = "mcp-understudy";

/// An entry that runs Understudy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrappedEntry {
    /// Which of its words is Understudy: not the first where something else starts it.
    pub(super) at: usize,
    /// The server behind it; `None` if the options are of another version, or a script has them.
    pub(super) server: Option<WrappedServer>,
    /// The plugins that are named.
    pub(super) plugins: Vec<String>,
}

/// What a command runs, if that is `understudy proxy`.
pub(super) fn recognized(words: &[String]) -> Option<WrappedEntry> {
    if words.iter().any(|word| word.contains("understudy proxy ")) {
        // In a script on one line.
        return Some(WrappedEntry { at: 0, server: None, plugins: Vec::new() });
    }
    let at = words.iter().position(|word| is_understudy(word))?;
    let starts_others =
        |word: &String| matches!(stem(word).as_str(), "npx" | "uvx" | "uv" | "bunx" | "pnpm" | "pnpx" | "yarn" | "npm");
    if at > 0 && !words.first().is_some_and(starts_others) {
        return None;
    }
    let typed: Vec<OsString> = words.iter().skip(at).map(OsString::from).collect();
    let verb = typed.iter().skip(1).position(|word| word == "proxy")?;
    // What stands before can only be options.
    if verb > 0 && !typed.get(1).is_some_and(|word| word.to_string_lossy().starts_with('-')) {
        return None;
    }
    let typed = with_command_apart(&Cli::command(), typed);
    let inserted = typed.len() - (words.len() - at);
    let Ok(Verb::Proxy(args)) = Cli::try_parse_from(&typed).map(|cli| cli.verb) else {
        return Some(WrappedEntry { at, server: None, plugins: Vec::new() });
    };
    let server = match args.server().spec().ok()?.target {
        ServerTarget::Configured(name) => WrappedServer::Configured(name),
        ServerTarget::Url(url) => WrappedServer::Url(url),
        ServerTarget::Command { args, .. } => WrappedServer::Command(typed.len() - inserted - 1 - (args.len() + 1)),
    };
    Some(WrappedEntry { at, server: Some(server), plugins: args.plugins().to_vec() })
}

/// Whether a word is Understudy: its program, wherever that is, or a package of some version.
fn is_understudy(word: &str) -> bool {
    let package = word.split_once(['@', '=']).map_or(word, |(package, _)| package);
    NAMES.contains(&stem(package).as_str())
}

/// The name of a program, without its folder and without the ending that it has on Windows.
fn stem(word: &str) -> String {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word).to_ascii_lowercase();
    let path = Path::new(&name);
    let is_program = path.extension().is_some_and(|ending| ["exe", "cmd", "bat"].iter().any(|known| ending == *known));
    if is_program { path.file_stem().unwrap_or_default().to_string_lossy().into_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<(usize, Option<WrappedServer>)> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        recognized(&words).map(|entry| (entry.at, entry.server))
    }

    #[test]
    fn a_wrapped_entry_is_known_by_whoever_starts_it_and_however_it_is_written() {
        let command = |count| Some(WrappedServer::Command(count));
        for (line, at, server) in [
            ("understudy proxy --plugin echo -- npx -y x", 0, command(4)),
            ("/opt/bin/understudy proxy --plugin echo npx -y x", 0, command(3)),
            ("C:\\bin\\Understudy.EXE -v proxy --name n -- npx", 0, command(5)),
            ("npx -y mcp-understudy@0.1.0 proxy -- node s.js", 2, command(2)),
            ("uvx mcp-understudy==0.1.0 proxy --plugin a --plugin b -- uvx code-server -- x", 1, command(6)),
            (
                "understudy proxy --url https://a.example/mcp",
                0,
                Some(WrappedServer::Url("https://a.example/mcp".to_owned())),
            ),
            ("understudy proxy --server code", 0, Some(WrappedServer::Configured("code".to_owned()))),
            ("understudy proxy --of-tomorrow x -- cat", 0, None),
        ] {
            assert_eq!(of(line), Some((at, server)), "{line}");
        }
        let script = ["sh", "-c", "exec understudy proxy --plugin echo -- npx x"].map(str::to_owned);
        assert_eq!(recognized(&script).map(|entry| entry.server), Some(None));
        for line in [
            "npx -y x",
            "understudy serve",
            "node understudy proxy",
            "understudy",
            "cat understudy proxy -- x",
            "my-understudy proxy -- x",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
