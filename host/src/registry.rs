//! Components from OCI registries: fetched once, by a verb of their own, and from then on read from the user's store.
//!
//! Loading a plugin never reaches for the network. What a reference means is said by its digest, or by the lock file beside the config; what
//! the digest means is checked each time the store is read; and where the config names keys, so is the signature.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `reference` | `oci://REGISTRY/NAME:TAG`, and digests |
//! | `layout` | the wasm OCI artifact: a manifest with a config and one layer |
//! | `lock` | what a tag meant when it was fetched |
//! | `store` | what was fetched, by its content |
//! | `signature` | cosign's signatures, checked with a public key |
//! | `age` | which of two manifests is older |
//! | `remote` | the registry: what is asked of it |
//! | `wire` | HTTP to it: where it may send us, and how much is read |
//! | `docker` | the user's login, as Docker's config has it |
//! | `login` | who may have it |

pub(crate) mod age;
mod docker;
pub mod layout;
pub mod lock;
mod login;
pub mod pull;
pub mod reference;
pub mod remote;
pub(crate) mod signature;
pub mod store;
mod wire;

use std::path::{Path, PathBuf};

use lock::Lock;
use reference::{Digest, Reference};
use signature::{Key, Signature};
use store::Store;

use crate::config;

/// More than any manifest.
pub(crate) const MANIFEST: usize = 4 << 20;

/// What can be wrong with a component from a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It isn't known which one is meant.
    #[error(
        "the tag may mean another component tomorrow, and {lock}; `understudy plugin pull` pins it there, or write `@sha256:…` behind it"
    )]
    Unpinned {
        /// What the lock file doesn't say.
        lock: String,
    },
    /// It hasn't been fetched.
    #[error("{0} is not in this machine's store; `understudy plugin pull` fetches it")]
    Missing(Digest),
    /// The lock file can't be used.
    #[error("the lock file `{path}` {reason}")]
    Lock {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store can't be used.
    #[error("the store of components: {0}")]
    Store(String),
    /// It isn't what it should be.
    #[error("{0}")]
    Artifact(String),
    /// It isn't signed by a key that is trusted.
    #[error("{0}; `trust` in the config, or `--key`, names the keys that may sign it")]
    Signature(String),
    /// It is older than what the lock file pins.
    #[error("{0}; a tag that goes back brings old faults back, so say `--allow-older` if that is meant")]
    Older(String),
    /// A key can't be used.
    #[error("the key `{path}` {reason}")]
    Key {
        /// Its file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The registry doesn't give it, or doesn't take it.
    #[error("{registry}: {reason}")]
    Remote {
        /// The registry.
        registry: String,
        /// What it said.
        reason: String,
    },
}

/// The component that the config means, from the user's store. Nothing is fetched.
///
/// # Errors
/// If it isn't pinned, isn't there, isn't what it should be, or isn't signed as the config wants it.
pub(crate) fn component(config: &config::Plugin, reference: &str) -> Result<Vec<u8>, RegistryError> {
    let reference = Reference::parse(reference).map_err(RegistryError::Artifact)?;
    let digest = pinned(&reference, config)?;
    let store = Store::of_user()?;
    let manifest = store.read(&digest, MANIFEST)?.ok_or_else(|| RegistryError::Missing(digest.clone()))?;
    if !config.trust.is_empty() {
        let hold = |path: &Path, bytes: &[u8]| config.hold(path, bytes);
        verify_held(&digest, &store.signatures(&digest)?, &config.trust, hold)?;
    }
    let most = config.limits.component;
    let layer = layout::component(&manifest, most).map_err(RegistryError::Artifact)?;
    store.read(&layer.digest, most)?.ok_or(RegistryError::Missing(layer.digest))
}

/// The digest that a reference stands for: its own, or that of the lock file.
fn pinned(reference: &Reference, config: &config::Plugin) -> Result<Digest, RegistryError> {
    if let Some(digest) = reference.digest() {
        return Ok(digest);
    }
    let Some(path) = config.lock.as_deref() else {
        let lock = "there is no config, so no lock file beside it says which".to_owned();
        return Err(RegistryError::Unpinned { lock });
    };
    let unpinned = || RegistryError::Unpinned { lock: format!("the lock file `{}` doesn't say which", path.display()) };
    Lock::read_held(path, |bytes| config.hold(path, bytes))?.digest(reference).ok_or_else(unpinned)
}

/// Holds a manifest's signatures to the keys that are trusted; without any, all is well.
pub(crate) fn verify(manifest: &Digest, signatures: &[Signature], trust: &[PathBuf]) -> Result<(), RegistryError> {
    verify_held(manifest, signatures, trust, |_, _| Ok(()))
}

/// The same, if the keys' files are what they should be.
pub(crate) fn verify_held(
    manifest: &Digest,
    signatures: &[Signature],
    trust: &[PathBuf],
    hold: impl Fn(&Path, &[u8]) -> std::io::Result<()>,
) -> Result<(), RegistryError> {
    if trust.is_empty() {
        return Ok(());
    }
    let keys = trust.iter().map(|path| Key::read(path, &hold)).collect::<Result<Vec<_>, _>>()?;
    signature::check(manifest, signatures, &keys).map_err(RegistryError::Signature)
}
