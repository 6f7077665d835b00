//! Who takes part.

use std::path::Path;

use crate::place::Place;

/// A contestant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Native,
    Understudy,
    /// The same with a ledger and budgets.
    Ledger,
    Rmcp,
    TypeScript,
    FastMcp,
    FastMcpProxy,
    McpUse,
    /// Nobody in between: the server itself.
    Nobody,
}

/// How much of a work a contestant does, so that each takes about as long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    Fast,
    Middling,
    Slow,
}

impl Who {
    /// All who answer sampling requests.
    pub(crate) const ALL: [Self; 8] = [
        Self::Native,
        Self::Understudy,
        Self::Ledger,
        Self::Rmcp,
        Self::TypeScript,
        Self::FastMcp,
        Self::FastMcpProxy,
        Self::McpUse,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native proxy",
            Self::Understudy => "Understudy",
            Self::Ledger => "with a ledger",
            Self::Rmcp => "rmcp client",
            Self::TypeScript => "TypeScript client",
            Self::FastMcp => "FastMCP client",
            Self::FastMcpProxy => "FastMCP proxy",
            Self::McpUse => "mcp-use client",
            Self::Nobody => "nobody",
        }
    }

    pub(crate) fn notes() -> &'static str {
        "native proxy: Understudy's relay and HTTP code with the plugin compiled in, no wasm; the limit. Understudy: all of it, in one \
         program with the bench of its parts. With a ledger: the same, each request in the ledger and in two budgets. rmcp client: a handler with \
         reqwest. TypeScript client: SDK 1.32, `fetch`, Node 24. FastMCP 3.4 with its own handler for Anthropic, as a client and as a \
         proxy; mcp-use 1.7 with a callback on Anthropic's package: these answer one request at a time."
    }

    pub(crate) fn pace(self) -> Pace {
        match self {
            Self::Native | Self::Understudy | Self::Ledger | Self::Rmcp | Self::Nobody => Pace::Fast,
            Self::TypeScript => Pace::Middling,
            Self::FastMcp | Self::FastMcpProxy | Self::McpUse => Pace::Slow,
        }
    }

    /// Whether it stands between a client and a server; else it is the client.
    pub(crate) fn is_proxy(self) -> bool {
        matches!(self, Self::Native | Self::Understudy | Self::Ledger | Self::FastMcpProxy | Self::Nobody)
    }

    /// The program with its arguments, the server's included.
    pub(crate) fn command(self, place: &Place, config: Option<&Path>) -> Vec<String> {
        let server = place.program("race-server");
        let config = config.map(|path| path.to_string_lossy().into_owned());
        let config = || config.iter().flat_map(|path| ["--config".to_owned(), path.clone()]);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let python = |script: &str, dashes: &[&str]| [vec![place.python(), place.peer(script)], words(dashes)].concat();
        let mut command = match self {
            Self::Native => {
                std::iter::once(place.program("race-native")).chain(config()).chain(words(&["--"])).collect()
            }
            Self::Understudy | Self::Ledger => {
                // A config names the plugin itself.
                let plugin: &[&str] = if config().next().is_some() { &[] } else { &["--plugin", "anthropic"] };
                // The race's server asks as often as it can.
                let proxy = [&["proxy", "--requests-per-call", "4294967295"], plugin, &["--"]]
                    .concat()
                    .into_iter()
                    .map(str::to_owned);
                std::iter::once(place.program("race-understudy")).chain(config()).chain(proxy).collect()
            }
            Self::Rmcp => vec![place.program("race-rmcp-client"), "--".to_owned()],
            Self::TypeScript => vec![place.node(), place.peer("node/race_ts1_client.mjs"), "--".to_owned()],
            Self::FastMcp => python("python/race_fastmcp_client.py", &["--"]),
            Self::FastMcpProxy => python("python/race_fastmcp_proxy.py", &[]),
            Self::McpUse => python("python/race_mcpuse_client.py", &["--"]),
            Self::Nobody => Vec::new(),
        };
        command.push(server);
        command
    }
}
