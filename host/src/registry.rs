//! Components from OCI registries: fetched once, by a verb of their own, and from then on read from the user's store.
//!
//! Loading a plugin never uses the network. A reference is resolved by its digest, or by the lock file beside the config; the digest is checked
//! each time the store is read; and where the config names keys, so is the signature.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `layout` | the wasm OCI artifact: a manifest with a config and one layer |
//! | `lock` | the lock file: the digest that each tag had when it was fetched |
//! | `pull` | fetching a component into the store |
//! | `store` | the store of fetched components |
//! | `signature` | cosign's signatures, checked with a public key |
//! | `age` | which of two manifests is older |
//! | `client` | the client of one registry |
//! | `http` | HTTP to it: redirects, tokens, bounds |
//! | `docker` | the user's login, as Docker's config has it |
//! | `login` | the hosts that it may be sent to |

pub(crate) mod age;
pub mod client;
mod docker;
mod http;
pub mod layout;
pub mod lock;
mod login;
pub mod pull;
pub(crate) mod signature;
pub mod store;

use std::path::{Path, PathBuf};

use lock::Lock;
use signature::{PublicKey, Signature};
use store::ComponentStore;

use crate::reference::{Digest, Reference};

/// More than any manifest.
pub(crate) const MANIFEST: usize = 4 << 20;

/// Why a component of a registry can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Its tag isn't pinned to a digest.
    #[error(
        "the tag may mean another component tomorrow, and {lock}; `understudy plugin pull` pins it there, or write `@sha256:…` behind it"
    )]
    Unpinned {
        /// What the lock file lacks.
        lock: String,
    },
    /// It isn't in the store.
    #[error("{0} is not in this machine's store; `understudy plugin pull` fetches it")]
    Missing(Digest),
    /// The lock file can't be used.
    #[error("the lock file `{path}` {reason}")]
    Lock {
        /// The file.
        path: String,
        /// The fault.
        reason: String,
    },
    /// The store can't be used.
    #[error("the store of components: {0}")]
    Store(String),
    /// Its manifest or reference is invalid.
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
    /// The registry refused to give or take it.
    #[error("{registry}: {reason}")]
    Remote {
        /// The registry.
        registry: String,
        /// Its answer, in words.
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
    let store = ComponentStore::of_user()?;
    let manifest = store.read(&digest, MANIFEST)?.ok_or_else(|| RegistryError::Missing(digest.clone()))?;
    if !request.trust.is_empty() {
        verify_held(&digest, &store.signatures(&digest)?, request.trust, &request.hold)?;
    }
    let most = request.most;
    let layer = layout::component(&manifest, most).map_err(RegistryError::Artifact)?;
    store.read(&layer.digest, most)?.ok_or(RegistryError::Missing(layer.digest))
}

/// The digest of a reference: its own, or the one in the lock file.
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

/// Checks a manifest's signatures against the trusted keys; without keys, none is required.
pub(crate) fn verify(manifest: &Digest, signatures: &[Signature], trust: &[PathBuf]) -> Result<(), RegistryError> {
    verify_held(manifest, signatures, trust, |_, _| Ok(()))
}

/// The same, if `hold` accepts the bytes of the keys' files.
pub(crate) fn verify_held(
    manifest: &Digest,
    signatures: &[Signature],
    trust: &[PathBuf],
    hold: impl Fn(&Path, &[u8]) -> std::io::Result<()>,
) -> Result<(), RegistryError> {
    if trust.is_empty() {
        return Ok(());
    }
    let keys = trust.iter().map(|path| PublicKey::read(path, &hold)).collect::<Result<Vec<_>, _>>()?;
    signature::check(manifest, signatures, &keys).map_err(RegistryError::Signature)
}
