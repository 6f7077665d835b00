//! The errors of a config.

use std::path::PathBuf;

/// An error in a config file, or in a command-line option that replaces one of its keys.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the config `{path}`: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// The file isn't JSON.
    #[error("`{path}` is not valid JSON (comments and trailing commas are fine): {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What, and in which line and column.
        reason: String,
    },
    /// The file is of another format.
    #[error(
        "`{path}` is {format}, and a config here is JSON: write its servers into a file as \
         `{{\"mcpServers\": {{\"NAME\": {{\"command\": \"PROGRAM\", \"args\": [\"ARGUMENT\"], \"env\": {{\"NAME\": \"VALUE\"}}}}}}}}` (or \"url\" in the place of \"command\"), \
         and name that with `--config`"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: &'static str,
    },
    /// A value is wrong.
    #[error("{file}`{key}` {reason}")]
    Value {
        /// The file and a colon, or nothing.
        file: String,
        /// The path of the key, such as `plugins.claude.model`.
        key: String,
        /// The fault, and the remedy.
        reason: String,
    },
    /// No server of this name.
    #[error("the config has no server `{name}`{hint}; it has {known}")]
    UnknownServer {
        /// The name.
        name: String,
        /// The nearest one, in words, or nothing.
        hint: String,
        /// All of them.
        known: String,
    },
    /// No plugin of this name.
    #[error("no plugin is called `{name}`{hint}: there are {known}, and any path to a `.wasm` component will do")]
    UnknownPlugin {
        /// The name.
        name: String,
        /// The nearest one, in words, or nothing.
        hint: String,
        /// All of them.
        known: String,
    },
    /// No guard of this name.
    #[error("there is no guard `{name}`{hint}: there are {known}; write it into `guards`")]
    UnknownGuard {
        /// The name.
        name: String,
        /// The nearest one, in words, or nothing.
        hint: String,
        /// All of them.
        known: String,
    },
}
