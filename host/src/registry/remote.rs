//! A registry: what is asked of it, and what it says.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use serde_json::{Value, json};
use url::Url;

use super::docker;
use super::layout::{Artifact, CONFIG_TYPE, INDEX_TYPE, LAYER_TYPE, Layer, MANIFEST_TYPE};
use super::reference::{Digest, Reference};
use super::signature::Signature;
use super::{MANIFEST, RegistryError};
use crate::children::Withheld;
use crate::provider::client::{causes, choose_crypto, is_here};
use crate::text::one_line;

/// How long a connection, and a silence, may take.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_mins(1);

/// cosign's media types.
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIMPLE_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Signatures that are looked at, and the bytes of one.
const MOST_SIGNATURES: usize = 32;
const SIGNATURE: usize = 128 << 10;

/// One registry, with the user's login there.
pub(crate) struct Remote {
    client: oci_client::Client,
    auth: RegistryAuth,
    registry: String,
}

impl Remote {
    /// The registry of a reference; the login comes from Docker's config. A credential helper inherits nothing that is withheld.
    pub(crate) async fn of(reference: &Reference, withheld: &Withheld) -> Result<Self, RegistryError> {
        let registry = reference.registry().to_owned();
        let failed = |reason: String| RegistryError::Remote { registry: registry.clone(), reason };
        // What Docker does: on this machine there are no certificates.
        let protocol = if is_loopback(&registry) { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            user_agent: concat!("understudy/", env!("CARGO_PKG_VERSION")),
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            platform_resolver: None,
            ..ClientConfig::default()
        };
        choose_crypto();
        let client = oci_client::Client::try_from(config).map_err(|e| failed(e.to_string()))?;
        let auth = docker::login(&registry, withheld).await.map_err(failed)?;
        client.store_auth_if_needed(reference.inner().resolve_registry(), &auth).await;
        Ok(Self { client, auth, registry })
    }

    /// The manifest that a reference means, and its digest.
    pub(crate) async fn manifest(&self, reference: &Reference) -> Result<(Digest, Vec<u8>), RegistryError> {
        let kinds = [MANIFEST_TYPE, INDEX_TYPE];
        let pulled = self.client.pull_manifest_raw(reference.inner(), &self.auth, &kinds).await;
        let (bytes, _) = pulled.map_err(|e| self.failed(&e, reference))?;
        let digest = Digest::of(&bytes);
        if bytes.len() > MANIFEST {
            return Err(self.said("it has a manifest that is far too large"));
        }
        match reference.digest() {
            Some(wanted) if wanted != digest => Err(self.said(&format!("it sent {digest}, and not {wanted}"))),
            _ => Ok((digest, bytes.to_vec())),
        }
    }

    /// A blob of the reference's repository, of at most so many bytes.
    pub(crate) async fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        most: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        let wanted = digest.to_string();
        let stream = self.client.pull_blob_stream(reference.inner(), wanted.as_str()).await;
        let mut stream = stream.map_err(|e| self.failed(&e, reference))?;
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await {
            bytes.extend_from_slice(&part.map_err(|e| self.said(&format!("it broke off, or sent another blob: {e}")))?);
            if bytes.len() > most {
                return Err(self.said(&format!("it sent more than {most} bytes")));
            }
        }
        let found = Digest::of(&bytes);
        if found == *digest { Ok(bytes) } else { Err(self.said(&format!("it sent {found}, and not {digest}"))) }
    }

    /// cosign's signatures of a manifest, of both kinds. What can't be read is none: anybody who may push could have put it there.
    pub(crate) async fn signatures(
        &self,
        reference: &Reference,
        manifest: &Digest,
    ) -> Result<Vec<Signature>, RegistryError> {
        let mut found = self.simple_signatures(&reference.tagged(&format!("sha256-{}.sig", manifest.hex()))).await?;
        found.append(&mut self.bundles(&reference.at(manifest)).await?);
        Ok(found)
    }

    async fn simple_signatures(&self, reference: &Reference) -> Result<Vec<Signature>, RegistryError> {
        let Some(manifest) = self.manifest_if_any(reference).await? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (layer, digest) in layers(&manifest, SIMPLE) {
            let signature = layer.get("annotations").and_then(|all| all.get(SIMPLE_SIGNATURE)).and_then(Value::as_str);
            let Some(signature) = signature else { continue };
            let payload = String::from_utf8(self.blob(reference, &digest, SIGNATURE).await?).ok();
            found.extend(payload.map(|payload| Signature::Simple { payload, signature: signature.to_owned() }));
        }
        Ok(found)
    }

    async fn bundles(&self, reference: &Reference) -> Result<Vec<Signature>, RegistryError> {
        let referrers = self.client.pull_referrers(reference.inner(), None).await;
        let referrers = match referrers {
            Ok(referrers) => referrers.manifests,
            Err(e) if is_not_found(&e) => Vec::new(),
            Err(e) => return Err(self.failed(&e, reference)),
        };
        let is_bundle = |kind: &Option<String>| kind.as_ref().is_none_or(|kind| kind.starts_with(BUNDLE));
        let digests = referrers.iter().filter(|entry| is_bundle(&entry.artifact_type));
        let mut found = Vec::new();
        for digest in digests.filter_map(|entry| Digest::parse(&entry.digest)).take(MOST_SIGNATURES) {
            let reference = reference.at(&digest);
            let Some(manifest) = self.manifest_if_any(&reference).await? else { continue };
            // A bundle is all that is in its artifact.
            if let Some((_, digest)) = layers(&manifest, BUNDLE).next() {
                let bundle = serde_json::from_slice(&self.blob(&reference, &digest, SIGNATURE).await?).ok();
                found.extend(bundle.map(Signature::Bundle));
            }
        }
        Ok(found)
    }

    async fn manifest_if_any(&self, reference: &Reference) -> Result<Option<Value>, RegistryError> {
        let pulled = self.client.pull_manifest_raw(reference.inner(), &self.auth, &[MANIFEST_TYPE]).await;
        match pulled {
            Ok((bytes, _)) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(e) if is_not_found(&e) => Ok(None),
            Err(e) => Err(self.failed(&e, reference)),
        }
    }

    /// Puts a component under a reference; the digest of its manifest.
    pub(crate) async fn push(&self, reference: &Reference, artifact: Artifact) -> Result<Digest, RegistryError> {
        let config = artifact.config(SystemTime::now()).to_string();
        let layer = Layer { digest: Digest::of(&artifact.component), size: artifact.component.len() as u64 };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": { "mediaType": CONFIG_TYPE, "digest": Digest::of(config.as_bytes()).to_string(), "size": config.len() },
            "layers": [{
                "mediaType": LAYER_TYPE,
                "digest": layer.digest.to_string(),
                "size": layer.size,
                "annotations": { "org.opencontainers.image.title": artifact.title },
            }],
            "annotations": artifact.annotations,
        })
        .to_string();
        let digest = Digest::of(manifest.as_bytes());
        let push = async {
            let layer = layer.digest.to_string();
            self.client.push_blob(reference.inner(), artifact.component, &layer).await?;
            let of_config = Digest::of(config.as_bytes()).to_string();
            self.client.push_blob(reference.inner(), config, &of_config).await?;
            let kind = http::HeaderValue::from_static(MANIFEST_TYPE);
            self.client.push_manifest_raw(reference.inner(), manifest, kind).await
        };
        push.await.map_err(|e| self.failed(&e, reference))?;
        Ok(digest)
    }

    fn said(&self, reason: &str) -> RegistryError {
        RegistryError::Remote { registry: self.registry.clone(), reason: one_line(reason, 500) }
    }

    fn failed(&self, error: &OciDistributionError, reference: &Reference) -> RegistryError {
        let login = format!("it wants a login that may do that; `docker login {}` keeps one", self.registry);
        match error {
            e if is_not_found(e) => self.said(&format!("it has no `{reference}`")),
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::ServerError { code: 401 | 403, .. } => self.said(&login),
            OciDistributionError::AuthenticationFailure(why) => self.said(&format!("{login} ({why})")),
            OciDistributionError::RegistryError { envelope, .. }
                if envelope
                    .errors
                    .iter()
                    .any(|e| matches!(e.code, OciErrorCode::Denied | OciErrorCode::Unauthorized)) =>
            {
                self.said(&login)
            }
            OciDistributionError::RequestError(e) => self.said(&causes(e)),
            other => self.said(&other.to_string()),
        }
    }
}

/// The layers of a type that begins so, with their digests; not more than are looked at.
fn layers<'a>(manifest: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a Value, Digest)> {
    let text = |layer: &'a Value, key: &str| layer.get(key).and_then(Value::as_str);
    let all = manifest.get("layers").and_then(Value::as_array).into_iter().flatten();
    all.filter(move |layer| text(layer, "mediaType").is_some_and(|found| found.starts_with(kind)))
        .filter_map(move |layer| Some((layer, Digest::parse(text(layer, "digest")?)?)))
        .take(MOST_SIGNATURES)
}

fn is_not_found(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) | OciDistributionError::ServerError { code: 404, .. } => {
            true
        }
        OciDistributionError::RegistryError { envelope, .. } => {
            let unknown = |code: &OciErrorCode| {
                matches!(
                    code,
                    OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound
                        | OciErrorCode::BlobUnknown
                )
            };
            envelope.errors.iter().any(|error| unknown(&error.code))
        }
        _ => false,
    }
}

/// Whether a registry is on this machine.
fn is_loopback(registry: &str) -> bool {
    Url::parse(&format!("http://{registry}/")).is_ok_and(|url| is_here(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.8.0.1", "[::1]:5000"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["ghcr.io", "localhost.example.com", "10.0.0.1:5000", "127.example.com", "0.0.0.0:1"] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
