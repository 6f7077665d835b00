//! Components compiled ahead of time: a file of machine code that the user names in the place of a component.
//!
//! Its code runs outside of the sandbox. So, as with the cache ([`super::disk_cache`]), only the user, or root, may be able to write the file
//! and its folder. It begins with [`MAGIC`], the digest of the rest, and the digest and the size of the component it was made of.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::component_cache::LoadedComponent;
use super::engine::Engine;
use crate::config;
use crate::error::LoadError;

/// The first bytes of such a file.
pub(super) const MAGIC: &[u8; 16] = b"understudy-aot-1";
pub(super) const DIGEST: usize = 32;
pub(super) const SIZE: usize = 8;
/// How many times the size of its component machine code may have.
const GROWTH: u64 = 8;

/// A file that was compiled ahead of time.
pub(super) struct Precompiled {
    /// The digest of the component that it was made of, in hexadecimal.
    pub(super) sha256: String,
    /// That component's size.
    pub(super) size: usize,
    /// The digest of the rest of the file, in hexadecimal.
    digest: String,
    artefact: Vec<u8>,
}

/// The file, if it is one that was compiled ahead of time.
pub(super) fn read(config: &config::PluginConfig) -> Result<Option<Precompiled>, LoadError> {
    if config.file().is_none() {
        return Ok(None);
    }
    let failed = |cause| LoadError::Read { path: config.component.clone(), cause };
    let mut file = File::open(&config.component).map_err(failed)?;
    let mut magic = Vec::new();
    (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(failed)?;
    if magic != MAGIC {
        return Ok(None);
    }
    let refused = |reason: String| LoadError::Foreign { path: config.component.clone(), reason };
    owned(&file.metadata().map_err(failed)?, &config.component).map_err(refused)?;
    let path = fs::canonicalize(&config.component).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    owned(&fs::metadata(folder).map_err(failed)?, &folder.display().to_string()).map_err(refused)?;
    let most = (config.limits.component as u64).saturating_mul(GROWTH);
    let mut rest = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut rest).map_err(failed)?;
    if rest.len() as u64 > most {
        return Err(LoadError::TooLarge { name: config.name.clone(), most: config.limits.component });
    }
    let parts = rest.split_at_checked(DIGEST).filter(|(seal, rest)| Sha256::digest(rest).as_slice() == *seal);
    let parts = parts.and_then(|(seal, rest)| Some((seal, rest.split_at_checked(DIGEST)?)));
    let parts = parts.and_then(|(seal, (digest, rest))| Some((seal, digest, rest.split_first_chunk::<SIZE>()?)));
    let Some((seal, digest, (size, artefact))) = parts else {
        return Err(refused("it is damaged: its digest doesn't fit".to_owned()));
    };
    if config.pins.is_some() {
        let whole = [MAGIC.as_slice(), &rest].concat();
        config.hold(Path::new(&config.component), &whole).map_err(failed)?;
    }
    let size = usize::try_from(u64::from_le_bytes(*size)).unwrap_or(usize::MAX);
    Ok(Some(Precompiled { sha256: hex::encode(digest), digest: hex::encode(seal), size, artefact: artefact.to_vec() }))
}

impl Precompiled {
    /// Loads it.
    pub(super) fn load(
        self,
        engine: &Engine,
        config: &config::PluginConfig,
    ) -> Result<Arc<LoadedComponent>, LoadError> {
        let reason = "it was compiled by another version of Understudy, with other settings, or for another machine";
        let foreign = || LoadError::Foreign { path: config.component.clone(), reason: reason.to_owned() };
        engine.precompiled(&self.artefact, &self.digest, &config.limits).ok_or_else(foreign)
    }
}

/// Whether only the user, or root, can have written it.
fn owned(metadata: &Metadata, shown: &str) -> Result<(), String> {
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(format!("`{shown}` belongs to another user, who could have put any program into it"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(format!(
            "others can write to `{shown}`, and could have put any program into it (`chmod go-w` mends that)"
        ));
    }
    Ok(())
}
