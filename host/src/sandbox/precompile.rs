//! Compiling a component ahead of time, into a file that [`super::precompiled`] loads.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::compiler::{CancelFlag, CompileJob};
use super::engine::Engine;
use super::precompiled::{DIGEST, MAGIC, SIZE};
use super::source::read_component;
use crate::atomic_file;
use crate::config;
use crate::error::LoadError;

/// Compiles a component into a file of machine code; the component's digest, in hexadecimal.
///
/// # Errors
/// As [`read_component`]; if it is no component or exceeds `limits.compile`; [`LoadError::Write`] if the file can't be written.
pub fn precompile(engine: &Arc<Engine>, config: &config::PluginConfig, out: &Path) -> Result<String, LoadError> {
    let bytes = read_component(config)?;
    let digest = Sha256::digest(&bytes);
    let (is_built_in, limits) = (config.built_in().is_some(), &config.limits.compile);
    let cancel = &CancelFlag::default();
    let artefact = engine.compile(&CompileJob { name: &config.name, bytes: &bytes, is_built_in, limits, cancel })?;
    let mut rest = Vec::with_capacity(DIGEST + SIZE + artefact.len());
    rest.extend_from_slice(&digest);
    rest.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    rest.extend_from_slice(&artefact);
    let failed = |cause| LoadError::Write { path: out.display().to_string(), cause };
    atomic_file::replace(out, 0o600, &[MAGIC, &Sha256::digest(&rest), &rest]).map_err(failed)?;
    Ok(hex::encode(digest))
}
