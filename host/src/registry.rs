//! Components from OCI registries: fetched once, by a verb of their own, and from then on read from the user's store.
//!
//! Loading a plugin never reaches for the network. What a reference means is said by its digest, or by the lock file beside the config; what
//! the digest means is checked each time the store is read; and where the config names keys, so is the signature.
//!
//! | module | what it holds |
//! | --- | --- |
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
pub mod remote;
pub(crate) mod signature;
pub mod store;
mod wire;

use std::path::{Path, PathBuf};

use lock::Lock;
use signature::{Key, Signature};
use store::Store;

use crate::reference::{Digest, Reference};

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

/// A component of a registry as the config names it, and what the config requires of it.
pub(crate) struct ComponentRequest<'a, H> {
    /// The reference, `oci://…`.
    pub(crate) reference: &'a str,
    /// The lock file beside the config, if there is a config.
    pub(crate) lock: Option<&'a Path>,
    /// The public keys, one of which must have signed the component; none: no signature is required.
    pub(crate) trust: &'a [PathBuf],
    /// The largest component that is accepted, in bytes.
    pub(crate) most: usize,
    /// Checks the bytes that were read of the lock file and of each key against the digests that the user trusts.
    pub(crate) hold: H,
}

/// The component that the config means, from the user's store. Nothing is fetched.
///
/// # Errors
/// If it isn't pinned, isn't there, isn't what it should be, or isn't signed as the config wants it.
pub(crate) fn component<H>(request: &ComponentRequest<'_, H>) -> Result<Vec<u8>, RegistryError>
where
    H: Fn(&Path, &[u8]) -> std::io::Result<()>,
{
    let reference = Reference::parse(request.reference).map_err(RegistryError::Artifact)?;
    let digest = pinned(&reference, request.lock, &request.hold)?;
    let store = Store::of_user()?;
    let manifest = store.read(&digest, MANIFEST)?.ok_or_else(|| RegistryError::Missing(digest.clone()))?;
    if !request.trust.is_empty() {
        verify_held(&digest, &store.signatures(&digest)?, request.trust, &request.hold)?;
    }
    let most = request.most;
    let layer = layout::component(&manifest, most).map_err(RegistryError::Artifact)?;
    store.read(&layer.digest, most)?.ok_or(RegistryError::Missing(layer.digest))
}

/// The digest that a reference stands for: its own, or that of the lock file.
fn pinned(
    reference: &Reference,
    lock: Option<&Path>,
    hold: impl Fn(&Path, &[u8]) -> std::io::Result<()>,
) -> Result<Digest, RegistryError> {
    if let Some(digest) = reference.digest() {
        return Ok(digest);
    }
    let Some(path) = lock else {
        let lock = "there is no config, so no lock file beside it says which".to_owned();
        return Err(RegistryError::Unpinned { lock });
    };
    let unpinned = || RegistryError::Unpinned { lock: format!("the lock file `{}` doesn't say which", path.display()) };
    Lock::read_held(path, |bytes| hold(path, bytes))?.digest(reference).ok_or_else(unpinned)
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
