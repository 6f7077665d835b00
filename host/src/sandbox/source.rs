//! A component, from where the config says it is: a built-in one, one of a registry (fetched before), a file, or one compiled ahead of time.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::builtins::BuiltIn;
use sha2::{Digest, Sha256};

use super::compiler::{CancelFlag, CompileJob};
use super::component_cache::LoadedComponent;
use super::engine::Engine;
use super::precompiled;
use crate::config;
use crate::error::LoadError;
#[cfg(feature = "registry")]
use crate::registry::{self, ComponentRequest};

/// A component whose machine code is in memory.
pub(super) struct Source {
    pub(super) loaded: Arc<LoadedComponent>,
    /// Its digest, in hexadecimal.
    pub(super) sha256: String,
    /// Its size in bytes.
    pub(super) size: usize,
}

/// Reads a component, compares it with the digest that the config pins, and compiles it or takes it from a cache. That may take seconds: not
/// for a runtime's worker thread.
pub(super) fn load(engine: &Engine, config: &config::PluginConfig, cancel: &CancelFlag) -> Result<Source, LoadError> {
    let name = &config.name;
    let pinned = |sha256: &str| match &config.sha256 {
        Some(wanted) if wanted != sha256 => {
            Err(LoadError::Digest { name: name.clone(), found: sha256.to_owned(), wanted: wanted.clone() })
        }
        _ => Ok(()),
    };
    if let Some(path) = config.file() {
        is_file(path).map_err(|cause| LoadError::Read { path: config.component.clone(), cause })?;
    }
    if let Some(file) = precompiled::read(config)? {
        pinned(&file.sha256)?;
        let (sha256, size) = (file.sha256.clone(), file.size);
        return Ok(Source { loaded: file.load(engine, config)?, sha256, size });
    }
    let component = match config.built_in() {
        Some(built_in) => ComponentBytes::BuiltIn(find(config, built_in)?),
        None => ComponentBytes::Read(read_component(config)?),
    };
    let size = component.size();
    if size > config.limits.component {
        return Err(LoadError::TooLarge { name: name.clone(), most: config.limits.component });
    }
    let sha256 = component.sha256();
    pinned(&sha256)?;
    let compile = || {
        let is_built_in = matches!(component, ComponentBytes::BuiltIn(_));
        let bytes = component.bytes();
        engine.compile(&CompileJob { name, bytes: &bytes, is_built_in, limits: &config.limits.compile, cancel })
    };
    let loaded = engine.component(name, &sha256, &config.limits, compile)?;
    Ok(Source { loaded, sha256, size })
}

/// A component whose bytes are at hand, those of a built-in one still packed: if it is in a cache, they aren't needed.
enum ComponentBytes {
    BuiltIn(&'static BuiltIn),
    Read(Vec<u8>),
}

impl ComponentBytes {
    fn size(&self) -> usize {
        match self {
            Self::BuiltIn(plugin) => plugin.size,
            Self::Read(bytes) => bytes.len(),
        }
    }

    fn sha256(&self) -> String {
        match self {
            Self::BuiltIn(plugin) => plugin.sha256.to_owned(),
            Self::Read(bytes) => hex::encode(Sha256::digest(bytes)),
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::BuiltIn(plugin) => plugin.component(),
            Self::Read(bytes) => bytes,
        }
    }
}

fn find(config: &config::PluginConfig, built_in: &str) -> Result<&'static BuiltIn, LoadError> {
    let found = crate::builtins::find(built_in).or_else(|| crate::builtins::find_guard(built_in));
    found.ok_or_else(|| LoadError::World {
        name: config.name.clone(),
        reason: format!("there is no built-in plugin `{built_in}`"),
    })
}

/// Refuses what is no file: opening a pipe could block for ever.
fn is_file(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_file() { Ok(()) } else { Err(io::Error::other("it is not a file")) }
}

/// The bytes of the component that the config names; of a file, at most one more than `limits.component`.
///
/// # Errors
/// If it isn't where the config says.
pub fn read_component(config: &config::PluginConfig) -> Result<Vec<u8>, LoadError> {
    if let Some(bytes) = &config.bytes {
        return Ok(bytes.to_vec());
    }
    if let Some(built_in) = config.built_in() {
        return find(config, built_in).map(BuiltIn::component);
    }
    #[cfg(feature = "registry")]
    if let Some(reference) = config.reference() {
        let refused = |cause| LoadError::Registry { component: reference.to_owned(), cause };
        let request = ComponentRequest {
            reference,
            lock: config.lock.as_deref(),
            trust: &config.trust,
            most: config.limits.component,
            hold: |path: &Path, bytes: &[u8]| config.hold(path, bytes),
        };
        return registry::component(&request).map_err(refused);
    }
    let failed = |cause| LoadError::Read { path: config.component.clone(), cause };
    is_file(Path::new(&config.component)).map_err(failed)?;
    // One byte more than allowed is enough to tell.
    let most = u64::try_from(config.limits.component).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&config.component).map_err(failed)?;
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    config.hold(Path::new(&config.component), &bytes).map_err(failed)?;
    Ok(bytes)
}
