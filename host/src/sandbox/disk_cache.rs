//! Compiled components on disk, by the component's digest and the engine's settings.
//!
//! A compiled component is machine code: loading a file that another user wrote would run that user's program. So the folder and its files
//! belong to the user alone, and each file begins with the digest of the rest, which is checked before the load. A fault of the cache costs
//! time and no request: the component is compiled again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::private;

const DIGEST: usize = 32;

/// The cache; without a folder it keeps nothing.
pub(super) struct DiskCache {
    folder: Option<PathBuf>,
}

impl DiskCache {
    pub(super) fn new(folder: Option<PathBuf>, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish());
        Self { folder: folder.map(|folder| folder.join(engine)) }
    }

    pub(super) fn load(&self, engine: &Engine, sha256: &str) -> Option<Component> {
        let path = self.path(sha256)?;
        if !path.exists() {
            return None;
        }
        let artefact = read_own(&path).map_err(|why| tracing::warn!("`{}` is not used: {why}", path.display())).ok()?;
        Self::deserialize(engine, artefact.get(DIGEST..)?)
    }

    /// Loads machine code that this process has compiled, or that [`DiskCache::keep`] or `precompile` has written: file and folder belong to the
    /// user alone, and the digest matches.
    pub(super) fn deserialize(engine: &Engine, artefact: &[u8]) -> Option<Component> {
        #[expect(unsafe_code, reason = "wasmtime can't check machine code")]
        // SAFETY: the callers see to what the comment says.
        let component = unsafe { Component::deserialize(engine, artefact) };
        component.map_err(|e| tracing::debug!("not on this engine: {e:#}")).ok()
    }

    pub(super) fn keep(&self, artefact: &[u8], sha256: &str) {
        let Some(path) = self.path(sha256) else { return };
        if let Err(why) = private::write(&path, &[&Sha256::digest(artefact), artefact]) {
            tracing::warn!("the compiled component can't be kept at `{}`: {why}", path.display());
        }
    }

    fn path(&self, sha256: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{sha256}.cwasm")))
    }
}

/// The file's bytes, if only the user can have written them and the digest matches.
fn read_own(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = private::read(path)?.ok_or("it is gone")?;
    match bytes.split_at_checked(DIGEST) {
        Some((digest, artefact)) if Sha256::digest(artefact).as_slice() == digest => Ok(bytes),
        _ => Err("its digest doesn't fit".to_owned()),
    }
}
