//! Why a plugin can't be loaded.

use std::time::Duration;

#[cfg(feature = "registry")]
use crate::registry::RegistryError;

/// A limit that the compiler ran into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileLimit {
    /// Time by the clock.
    #[error("{0:?} (`limits.compile.time`)")]
    Time(Duration),
    /// CPU time.
    #[error("{0:?} of CPU time (`limits.compile.cpu`)")]
    Cpu(Duration),
    /// Memory, its own limit's or the machine's.
    #[error("{0} bytes of memory (`limits.compile.memory`), or than the machine has")]
    Memory(usize),
}

/// Why a plugin can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file can't be read.
    #[error("can't read the component `{path}`: {cause}")]
    Read {
        /// The file.
        path: String,
        /// The cause.
        cause: std::io::Error,
    },
    /// The file is larger than a component may be.
    #[error("`{name}` holds more bytes than `limits.component` allows ({most})")]
    TooLarge {
        /// The plugin.
        name: String,
        /// The limit.
        most: usize,
    },
    /// It isn't the component that the config pins.
    #[error("`{name}` has the SHA-256 digest {found}, and the config pins {wanted} (`sha256`)")]
    Digest {
        /// The plugin.
        name: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// It can't be had from the store of what registries gave.
    #[cfg(feature = "registry")]
    #[error("`{component}`: {cause}")]
    Registry {
        /// The reference.
        component: String,
        /// Why.
        cause: RegistryError,
    },
    /// A file that was compiled ahead of time, and not for this host.
    #[error(
        "`{path}` is not loaded: {reason}; make it here, from the component itself, with `understudy plugin compile`"
    )]
    Foreign {
        /// The file.
        path: String,
        /// Why it isn't trusted, or can't be used.
        reason: String,
    },
    /// A file can't be written.
    #[error("can't write `{path}`: {cause}")]
    Write {
        /// The file.
        path: String,
        /// The cause.
        cause: std::io::Error,
    },
    /// It isn't a WebAssembly component at all.
    #[error("`{name}` is not a WebAssembly component: {reason}")]
    NotAComponent {
        /// The plugin.
        name: String,
        /// What it is instead.
        reason: String,
    },
    /// It is more than the compiler is asked to take, whatever `limits.compile` says.
    #[error("`{name}` is too complex to be compiled, which `limits.compile` would end: {reason}")]
    TooComplex {
        /// The plugin.
        name: String,
        /// What there is too much of.
        reason: String,
    },
    /// Compiling it took more than it may.
    #[error(
        "`{name}` is not loaded: compiling it took more than {limit}; raise that only for a component that you trust"
    )]
    CompileLimit {
        /// The plugin.
        name: String,
        /// The limit, with the key that sets it.
        limit: CompileLimit,
    },
    /// The compiler itself failed.
    #[error("`{name}` can't be compiled: {reason}")]
    Compiler {
        /// The plugin.
        name: String,
        /// What became of the compiler.
        reason: String,
    },
    /// It is a component of another world.
    #[error("`{name}` is no sampling plugin: {reason}")]
    World {
        /// The plugin.
        name: String,
        /// What it exports instead.
        reason: String,
    },
    /// It is a guard, and stands where a plugin answers.
    #[error("`{name}` is a guard, which answers no request: write it into `guards` and name it in `sampling.guards`")]
    IsAGuard {
        /// Its name.
        name: String,
    },
    /// It stands where a guard should, and is none.
    #[error("`{name}` is no guard but a plugin (`{world}`): write it into `plugins` and name it in `sampling`")]
    NotAGuard {
        /// Its name.
        name: String,
        /// Its world.
        world: &'static str,
    },
    /// The config says of it what doesn't go with its world.
    #[error("`plugins.{name}.{key}` {reason}")]
    Key {
        /// The plugin.
        name: String,
        /// The key.
        key: &'static str,
        /// Why, and what to write instead.
        reason: String,
    },
    /// What the config says of its origins can't be used.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// It imports what the config forbids.
    #[error("`{name}` imports {imports}, and the config says `\"imports\": \"none\"`")]
    Imports {
        /// The plugin.
        name: String,
        /// The names of the imports.
        imports: String,
    },
    /// It can't say what it is.
    #[error("`{name}` can't be used: {reason}")]
    Describe {
        /// The plugin.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// The host can't run any plugin.
    #[error("WebAssembly can't be run here: {reason}")]
    Engine {
        /// The cause.
        reason: String,
    },
}
