//! Components compiled ahead of time: one file that holds machine code, and which component it was.
//!
//! Loading one runs whatever is in it outside of the sandbox. So, as with the cache (`artefacts`), the file and its folder must be such that
//! nobody but the user, or root, can have written them; and it begins with the digest of the rest.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compiler::{Abandon, Job};
use super::engine::Engine;
use super::loaded::Loaded;
use super::source;
use crate::atomic_file;
use crate::config;
use crate::error::LoadError;

/// What such a file begins with.
const MAGIC: &[u8; 16] = b"understudy-aot-1";
const DIGEST: usize = 32;
const SIZE: usize = 8;
/// How many times as large as its component machine code may be.
const GROWTH: u64 = 8;

/// A file that was compiled ahead of time.
pub(super) struct Ahead {
    /// The digest of the component that it was made of, in hexadecimal.
    pub(super) sha256: String,
    /// That component's size.
    pub(super) size: usize,
    /// The digest of the file's rest, in hexadecimal.
    seal: String,
    artefact: Vec<u8>,
}

/// Compiles a component into a file; the component's digest.
///
/// # Errors
/// If it is none, or the file can't be written.
pub fn compile(engine: &Arc<Engine>, config: &config::Plugin, out: &Path) -> Result<String, LoadError> {
    let bytes = source::read(config)?;
    let digest = Sha256::digest(&bytes);
    let (is_built_in, limits) = (config.built_in().is_some(), &config.limits.compile);
    let abandon = &Abandon::default();
    let artefact = engine.compile(&Job { name: &config.name, bytes: &bytes, is_built_in, limits, abandon })?;
    let mut rest = Vec::with_capacity(DIGEST + SIZE + artefact.len());
    rest.extend_from_slice(&digest);
    rest.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    rest.extend_from_slice(&artefact);
    let failed = |cause| LoadError::Write { path: out.display().to_string(), cause };
    atomic_file::replace(out, 0o600, &[MAGIC, &Sha256::digest(&rest), &rest]).map_err(failed)?;
    Ok(hex::encode(digest))
}

/// The file, if it is one that was compiled ahead of time.
pub(super) fn read(config: &config::Plugin) -> Result<Option<Ahead>, LoadError> {
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
    Ok(Some(Ahead { sha256: hex::encode(digest), seal: hex::encode(seal), size, artefact: artefact.to_vec() }))
}

impl Ahead {
    /// Loads it.
    pub(super) fn load(self, engine: &Engine, config: &config::Plugin) -> Result<Arc<Loaded>, LoadError> {
        let reason = "it was compiled by another version of Understudy, with other settings, or for another machine";
        let foreign = || LoadError::Foreign { path: config.component.clone(), reason: reason.to_owned() };
        engine.compiled_ahead(&self.artefact, &self.seal, &config.limits).ok_or_else(foreign)
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
