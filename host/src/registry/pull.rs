//! Fetching a component from its registry into the store.

use std::path::PathBuf;

use url::Url;

use super::client::RegistryClient;
use super::store::ComponentStore;
use super::{MANIFEST, RegistryError, age, layout, verify};
use crate::children::Withheld;
use crate::reference::{Digest, Reference};

/// What is to be fetched.
#[derive(Debug)]
pub struct Pull<'a> {
    /// Its reference.
    pub reference: &'a Reference,
    /// Public keys, one of which must have signed it; none: it needn't be signed.
    pub trust: &'a [PathBuf],
    /// The most bytes that it may have.
    pub most: usize,
    /// Origins that may have the login for the registry, beside the registry itself.
    pub realms: &'a [Url],
    /// The digest that the lock file pins, if the component may not be older than that one.
    pub pinned: Option<Digest>,
    /// The variables that a credential helper doesn't inherit.
    pub withheld: &'a Withheld,
}

/// A component that was fetched.
#[derive(Debug)]
pub struct Pulled {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The component.
    pub component: Vec<u8>,
    /// Whether its age couldn't be compared with the pinned component's, which is in neither the store nor the registry any more.
    pub is_uncompared: bool,
}

impl Pull<'_> {
    /// Fetches the component into the store, unless it is there, with its signatures if it must be signed. Nothing is kept that isn't what it
    /// should be.
    ///
    /// # Errors
    /// [`RegistryError::Remote`], [`RegistryError::Artifact`], [`RegistryError::Older`], and those of checking signatures and of the store.
    pub async fn run(self, store: &ComponentStore) -> Result<Pulled, RegistryError> {
        let Self { reference, trust, most, realms, pinned, withheld } = self;
        let remote = RegistryClient::of(reference, realms, withheld).await?;
        let (digest, manifest) = remote.manifest(reference).await?;
        let layer = layout::component(&manifest, most).map_err(RegistryError::Artifact)?;
        let signatures = if trust.is_empty() { None } else { Some(remote.signatures(reference, &digest).await?) };
        verify(&digest, signatures.as_deref().unwrap_or_default(), trust)?;
        let is_uncompared = match pinned.filter(|pinned| *pinned != digest) {
            Some(pinned) => !is_newer(&manifest, &pinned, reference, !trust.is_empty(), (&remote, store)).await?,
            None => false,
        };
        let component = if let Ok(Some(component)) = store.read(&layer.digest, most) {
            component
        } else {
            let size = usize::try_from(layer.size).unwrap_or(most).min(most);
            remote.blob(reference, &layer.digest, size).await?
        };
        store.keep(&component)?;
        if let Some(signatures) = signatures {
            store.keep_signatures(&digest, &signatures)?;
        }
        // Last: where the manifest is, all is.
        store.keep(&manifest)?;
        Ok(Pulled { digest, component, is_uncompared })
    }
}

/// Whether the manifest is known to be at least as new as the pinned one. One that is known to be older is an error.
async fn is_newer(
    manifest: &[u8],
    pinned: &Digest,
    reference: &Reference,
    is_signed: bool,
    (remote, store): (&RegistryClient, &ComponentStore),
) -> Result<bool, RegistryError> {
    let before = match store.read(pinned, MANIFEST) {
        Ok(Some(before)) => Ok(before),
        Ok(None) | Err(_) => remote.manifest(&reference.at(pinned)).await.map(|(_, before)| before),
    };
    match before {
        Ok(before) => age::is_older(manifest, &before).map_or(Ok(true), |words| Err(RegistryError::Older(words))),
        // A registry that gives an old component in the place of a new one wouldn't give what tells that it is old.
        Err(cause) if is_signed => Err(RegistryError::Older(format!(
            "what the lock file pins ({pinned}) isn't here any more to be compared with ({cause})"
        ))),
        Err(_) => Ok(false),
    }
}
