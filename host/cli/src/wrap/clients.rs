//! The clients: where each keeps its servers on each system, how it writes them, and whether it answers sampling requests by itself.
//!
//! Facts are from each client's documentation or source, which `source` names; `docs/guide/wrap.md` has this table.

use std::path::{Path, PathBuf};

use super::document::ConfigFormat;
use super::entry::{EntryShape, USUAL};

/// A program that starts MCP servers.
#[derive(Debug)]
pub(super) struct McpClient {
    /// What it is called on the command line.
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) places: &'static [ConfigPlace],
    /// The ways to the servers in a file; `*` stands for any key.
    pub(super) blocks: &'static [&'static [&'static str]],
    /// Whether such a block may be a list, whose entries have a `name`.
    pub(super) has_lists: bool,
    pub(super) shape: EntryShape,
    /// Whether it answers sampling requests by itself.
    pub(super) samples: bool,
    /// Whether it writes its file by itself while it runs, so that it should be closed.
    pub(super) writes: bool,
    pub(super) source: &'static str,
}

/// Where a config is.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConfigPlace {
    root: PlaceRoot,
    /// Below it, with slashes; a `*` stands for anything in a name.
    path: &'static str,
}

/// What a place is below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaceRoot {
    /// The user's home.
    Home,
    /// `$XDG_CONFIG_HOME` or `~/.config` on Linux, `~/Library/Application Support` on macOS, `%APPDATA%` on Windows.
    Config,
    /// `$XDG_CONFIG_HOME` or `~/.config` on Linux and macOS, `%APPDATA%` on Windows.
    Dotted,
    /// `%APPDATA%` on Windows; nowhere else.
    Roaming,
    /// `%LOCALAPPDATA%` on Windows; nowhere else.
    Local,
    /// What this variable names.
    Variable(&'static str),
    /// The folder that the command was started in.
    Project,
}

const fn home(path: &'static str) -> ConfigPlace {
    ConfigPlace { root: PlaceRoot::Home, path }
}

const fn config(path: &'static str) -> ConfigPlace {
    ConfigPlace { root: PlaceRoot::Config, path }
}

const fn project(path: &'static str) -> ConfigPlace {
    ConfigPlace { root: PlaceRoot::Project, path }
}

const fn at(root: PlaceRoot, path: &'static str) -> ConfigPlace {
    ConfigPlace { root, path }
}

const SERVERS: &[&[&str]] = &[&["mcpServers"]];

/// All of them.
pub(super) const CLIENTS: &[McpClient] = &[
    McpClient {
        id: "claude-desktop",
        name: "Claude Desktop",
        places: &[
            config("Claude/claude_desktop_config.json"),
            at(PlaceRoot::Local, "Packages/Claude_*/LocalCache/Roaming/Claude/claude_desktop_config.json"),
            at(PlaceRoot::Local, "Claude-Data/claude_*/claude_desktop_config.json"),
        ],
        blocks: SERVERS,
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: true,
        source: "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
    },
    McpClient {
        id: "claude-code",
        name: "Claude Code",
        places: &[
            at(PlaceRoot::Variable("CLAUDE_CONFIG_DIR"), ".claude.json"),
            home(".claude.json"),
            project(".mcp.json"),
        ],
        blocks: &[&["mcpServers"], &["projects", "*", "mcpServers"]],
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: true,
        source: "https://code.claude.com/docs/en/mcp",
    },
    McpClient {
        id: "cursor",
        name: "Cursor",
        places: &[home(".cursor/mcp.json"), project(".cursor/mcp.json")],
        blocks: SERVERS,
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: false,
        source: "https://cursor.com/docs/mcp",
    },
    McpClient {
        id: "vscode",
        name: "VS Code",
        places: &[
            config("Code/User/mcp.json"),
            config("Code/User/profiles/*/mcp.json"),
            config("Code - Insiders/User/mcp.json"),
            config("VSCodium/User/mcp.json"),
            project(".vscode/mcp.json"),
        ],
        blocks: &[&["servers"]],
        has_lists: false,
        shape: USUAL,
        samples: true,
        writes: false,
        source: "https://code.visualstudio.com/docs/copilot/reference/mcp-configuration",
    },
    McpClient {
        id: "windsurf",
        name: "Windsurf",
        places: &[home(".codeium/windsurf/mcp_config.json")],
        blocks: SERVERS,
        has_lists: false,
        shape: EntryShape { urls: &["serverUrl", "url"], ..USUAL },
        samples: false,
        writes: false,
        source: "https://docs.windsurf.com/windsurf/cascade/mcp",
    },
    McpClient {
        id: "zed",
        name: "Zed",
        places: &[
            at(PlaceRoot::Dotted, "zed/settings.json"),
            at(PlaceRoot::Roaming, "Zed/settings.json"),
            project(".zed/settings.json"),
        ],
        blocks: &[&["context_servers"]],
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: false,
        source: "https://zed.dev/docs/ai/mcp",
    },
    McpClient {
        id: "cline",
        name: "Cline",
        places: &[
            config("Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
            config("Code - Insiders/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
            config("Cursor/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
            home(".cline/data/settings/cline_mcp_settings.json"),
        ],
        blocks: SERVERS,
        has_lists: false,
        shape: EntryShape { remote: "streamableHttp", ..USUAL },
        samples: false,
        writes: false,
        source: "https://docs.cline.bot/mcp/configuring-mcp-servers",
    },
    McpClient {
        id: "roo-code",
        name: "Roo Code",
        places: &[
            config("Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
            config("Code - Insiders/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
            config("Cursor/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
            project(".roo/mcp.json"),
        ],
        blocks: SERVERS,
        has_lists: false,
        shape: EntryShape { remote: "streamable-http", ..USUAL },
        samples: false,
        writes: false,
        source: "https://docs.roocode.com/features/mcp/using-mcp-in-roo",
    },
    McpClient {
        id: "continue",
        name: "Continue",
        places: &[
            home(".continue/config.yaml"),
            home(".continue/mcpServers/*.yaml"),
            home(".continue/mcpServers/*.json"),
            project(".continue/mcpServers/*.yaml"),
            project(".continue/mcpServers/*.json"),
        ],
        blocks: SERVERS,
        has_lists: true,
        shape: EntryShape { remote: "streamable-http", ..USUAL },
        samples: false,
        writes: false,
        source: "https://docs.continue.dev/customize/deep-dives/mcp",
    },
    McpClient {
        id: "gemini-cli",
        name: "Gemini CLI",
        places: &[home(".gemini/settings.json"), project(".gemini/settings.json")],
        blocks: SERVERS,
        has_lists: false,
        shape: EntryShape { urls: &["httpUrl", "url"], ..USUAL },
        samples: false,
        writes: false,
        source: "https://github.com/google-gemini/gemini-cli/blob/main/docs/tools/mcp-server.md",
    },
    McpClient {
        id: "codex",
        name: "Codex",
        places: &[
            at(PlaceRoot::Variable("CODEX_HOME"), "config.toml"),
            home(".codex/config.toml"),
            project(".codex/config.toml"),
        ],
        blocks: &[&["mcp_servers"]],
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: false,
        source: "https://developers.openai.com/codex/mcp",
    },
    McpClient {
        id: "opencode",
        name: "opencode",
        places: &[
            at(PlaceRoot::Dotted, "opencode/opencode.json"),
            at(PlaceRoot::Dotted, "opencode/opencode.jsonc"),
            home(".config/opencode/opencode.json"),
            home(".config/opencode/opencode.jsonc"),
            project("opencode.json"),
            project("opencode.jsonc"),
            project(".opencode/opencode.json"),
            project(".opencode/opencode.jsonc"),
        ],
        blocks: &[&["mcp"], &["mcp", "servers"]],
        has_lists: false,
        shape: EntryShape { local: "local", remote: "remote", is_list: true, ..USUAL },
        samples: false,
        writes: false,
        source: "https://opencode.ai/docs/mcp-servers",
    },
    McpClient {
        id: "goose",
        name: "goose",
        places: &[at(PlaceRoot::Dotted, "goose/config.yaml"), at(PlaceRoot::Roaming, "Block/goose/config/config.yaml")],
        blocks: &[&["extensions"]],
        has_lists: false,
        shape: EntryShape { command: "cmd", urls: &["uri"], remote: "streamable_http", ..USUAL },
        samples: true,
        writes: true,
        source: "https://block.github.io/goose/docs/guides/config-files",
    },
    McpClient {
        id: "junie",
        name: "Junie",
        places: &[home(".junie/mcp/mcp.json"), project(".junie/mcp/mcp.json")],
        blocks: SERVERS,
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: false,
        source: "https://www.jetbrains.com/help/junie/model-context-protocol-mcp.html",
    },
    McpClient {
        id: "lm-studio",
        name: "LM Studio",
        places: &[home(".lmstudio/mcp.json"), home(".cache/lm-studio/mcp.json")],
        blocks: SERVERS,
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: false,
        source: "https://lmstudio.ai/docs/app/mcp",
    },
    McpClient {
        id: "amp",
        name: "Amp",
        places: &[
            home(".config/amp/settings.json"),
            home(".config/amp/settings.jsonc"),
            project(".amp/settings.json"),
            project(".amp/settings.jsonc"),
        ],
        blocks: &[&["amp.mcpServers"]],
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: false,
        source: "https://ampcode.com/manual",
    },
    McpClient {
        id: "kiro",
        name: "Kiro",
        places: &[home(".kiro/settings/mcp.json"), project(".kiro/settings/mcp.json")],
        blocks: SERVERS,
        has_lists: false,
        shape: USUAL,
        samples: false,
        writes: false,
        source: "https://kiro.dev/docs/mcp/configuration",
    },
    McpClient {
        id: "copilot-cli",
        name: "Copilot CLI",
        places: &[
            at(PlaceRoot::Variable("COPILOT_HOME"), "mcp-config.json"),
            home(".copilot/mcp-config.json"),
            project(".github/mcp.json"),
        ],
        blocks: SERVERS,
        has_lists: false,
        shape: EntryShape { local: "local", ..USUAL },
        samples: true,
        writes: false,
        source: "https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/add-mcp-servers",
    },
    McpClient {
        id: "qwen-code",
        name: "Qwen Code",
        places: &[home(".qwen/settings.json"), project(".qwen/settings.json"), project(".qwen/settings.local.json")],
        blocks: SERVERS,
        has_lists: false,
        shape: EntryShape { urls: &["httpUrl", "url"], ..USUAL },
        samples: false,
        writes: false,
        source: "https://qwenlm.github.io/qwen-code-docs/en/users/features/mcp/",
    },
];

/// The most files of one pattern.
const MOST: usize = 200;

/// A file that a client may have, and the project that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundConfig {
    pub(super) path: PathBuf,
    pub(super) project: Option<PathBuf>,
}

impl McpClient {
    /// The files that are there, each once.
    pub(super) fn files(&self) -> Vec<FoundConfig> {
        let mut found: Vec<FoundConfig> = Vec::new();
        for place in self.places {
            for path in place.paths() {
                if std::fs::symlink_metadata(&path).is_ok() && !found.iter().any(|known| known.path == path) {
                    let project = if place.root == PlaceRoot::Project { std::env::current_dir().ok() } else { None };
                    found.push(FoundConfig { path, project });
                }
            }
        }
        found
    }
}

impl ConfigPlace {
    /// The paths that may be there on this system.
    fn paths(&self) -> Vec<PathBuf> {
        let Some(root) = self.root.folder() else { return Vec::new() };
        let mut paths = vec![root];
        for part in self.path.split('/') {
            paths = paths.into_iter().flat_map(|path| below(&path, part)).collect();
        }
        paths
    }
}

impl PlaceRoot {
    fn folder(self) -> Option<PathBuf> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        match self {
            Self::Home => dirs::home_dir(),
            Self::Config => dirs::config_dir(),
            Self::Dotted if cfg!(windows) => None,
            Self::Dotted => variable("XDG_CONFIG_HOME").or_else(|| Some(dirs::home_dir()?.join(".config"))),
            Self::Roaming if cfg!(windows) => dirs::config_dir(),
            Self::Local if cfg!(windows) => dirs::data_local_dir(),
            Self::Roaming | Self::Local => None,
            Self::Variable(name) => variable(name),
            Self::Project => std::env::current_dir().ok(),
        }
    }
}

/// The path of a part of this name, or those that fit its pattern.
fn below(folder: &Path, part: &str) -> Vec<PathBuf> {
    let Some((begin, end)) = part.split_once('*') else { return vec![folder.join(part)] };
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(MOST).filter_map(Result::ok);
    let named = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_str()
            .is_some_and(|name| name.len() >= begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end))
    });
    let mut paths: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// How a file is written, by its name.
pub(super) fn format_of(path: &Path) -> ConfigFormat {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => ConfigFormat::Toml,
        Some("yaml" | "yml") => ConfigFormat::Yaml,
        _ => ConfigFormat::Json,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use understudy_plugin::testing::check_documented;

    use super::*;

    /// Where it is, as the guide has it.
    fn in_words(place: &ConfigPlace) -> String {
        let root = match place.root {
            PlaceRoot::Home => "~/".to_owned(),
            PlaceRoot::Config => "CONFIG/".to_owned(),
            PlaceRoot::Dotted => "~/.config/".to_owned(),
            PlaceRoot::Roaming => "%APPDATA%/".to_owned(),
            PlaceRoot::Local => "%LOCALAPPDATA%/".to_owned(),
            PlaceRoot::Variable(name) => format!("${name}/"),
            PlaceRoot::Project => String::new(),
        };
        format!("`{root}{}`", place.path)
    }

    #[test]
    fn the_guides_table_of_clients_is_this_one() {
        let mut table =
            "| name | client | its own | a project's | servers |\n| --- | --- | --- | --- | --- |\n".to_owned();
        for client in CLIENTS {
            let places = |of_project: bool| -> String {
                let places = client.places.iter().filter(|place| (place.root == PlaceRoot::Project) == of_project);
                let mut places: Vec<String> = places.map(in_words).collect();
                let all = places.clone();
                // `~/.config` is one place by two ways.
                let mut at = 0..;
                places.retain(|place| at.next().is_some_and(|at| !all.iter().take(at).any(|earlier| earlier == place)));
                places.join(", ")
            };
            let blocks: Vec<String> = client.blocks.iter().map(|block| format!("`{}`", block.join("."))).collect();
            let McpClient { id, name, source, .. } = client;
            let (own, project, blocks) = (places(false), places(true), blocks.join(", "));
            let _ = writeln!(table, "| `{id}` | [{name}]({source}) | {own} | {project} | {blocks} |");
        }
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/wrap.md");
        check_documented(guide, "clients", &table);
    }

    #[test]
    fn each_client_has_a_name_of_its_own_a_source_and_a_place() {
        let mut ids: Vec<&str> = CLIENTS.iter().map(|client| client.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CLIENTS.len());
        for client in CLIENTS {
            assert!(client.source.starts_with("https://") && !client.places.is_empty(), "{}", client.id);
            assert!(client.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", client.id);
        }
    }

    #[test]
    fn a_pattern_names_the_files_that_fit_it_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yaml", "a.json", ".yaml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let named = below(folder.path(), "*.yaml");
        assert_eq!(named, [".yaml", "a.yaml", "b.yaml"].map(|name| folder.path().join(name)));
        assert_eq!(below(folder.path(), "x.json"), [folder.path().join("x.json")]);
        assert!(below(&folder.path().join("none"), "*.yaml").is_empty());
    }
}
