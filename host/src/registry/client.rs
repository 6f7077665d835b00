//! The client of one registry: manifests, blobs and signatures.

use std::time::SystemTime;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use url::Url;

use super::age::CREATED;
use super::docker;
use super::http::{HttpError, HttpRequest, RegistryHttp, bounded};
use super::layout::{Artifact, CONFIG_TYPE, INDEX_TYPE, LAYER_TYPE, Layer, MANIFEST_TYPE};
use super::signature::Signature;
use super::{MANIFEST, RegistryError};
use crate::children::Withheld;
use crate::reference::{Digest, Reference};
use crate::text::one_line;

/// cosign's media types.
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIMPLE_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// Signatures that are looked at, and the bytes of one, and of the manifest that it is in.
const MOST_SIGNATURES: usize = 32;
const SIGNATURE: usize = 128 << 10;
/// A blob on its way.
const BINARY: &str = "application/octet-stream";

/// One registry, with the user's login there.
pub struct RegistryClient {
    http: RegistryHttp,
    registry: String,
}

impl RegistryClient {
    /// The registry of a reference, with the login of Docker's config; a credential helper inherits nothing that is withheld. The login may also be
    /// sent to these `realms`, if the registry says that tokens come from there.
    pub async fn of(reference: &Reference, realms: &[Url], withheld: &Withheld) -> Result<Self, RegistryError> {
        let registry = reference.registry().to_owned();
        let failed = |reason: String| RegistryError::Remote { registry: registry.clone(), reason };
        let login = docker::login(&registry, withheld).await.map_err(failed)?;
        let http = RegistryHttp::new(reference.host(), login, realms.to_vec()).map_err(failed)?;
        Ok(Self { http, registry })
    }

    /// The manifest that a reference means, and its digest.
    pub(crate) async fn manifest(&self, reference: &Reference) -> Result<(Digest, Vec<u8>), RegistryError> {
        let (path, scope) = (reference.manifest_path(), reference.scope("pull"));
        let get = async {
            let (url, accept) = (self.http.url(&path)?, [MANIFEST_TYPE, INDEX_TYPE]);
            let ask = HttpRequest { method: Method::GET, url, scope: &scope, accept: &accept, body: None };
            let response = self.http.send(&ask).await?;
            let said = response.headers().get("docker-content-digest").and_then(|said| said.to_str().ok());
            let said = said.and_then(Digest::parse);
            Ok((said, bounded(response, MANIFEST).await?))
        };
        let (said, bytes) = get.await.map_err(|error| match error {
            HttpError::Said(why) => self.said(&format!("the manifest can't be had: {why}")),
            error => self.failed(error, reference),
        })?;
        let digest = Digest::of(&bytes);
        match reference.digest().or(said) {
            Some(wanted) if wanted != digest => Err(self.said(&format!("it sent {digest}, and not {wanted}"))),
            _ => Ok((digest, bytes)),
        }
    }

    /// A blob of the reference's repository, of at most `most` bytes.
    pub(crate) async fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        most: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        let path = format!("/v2/{}/blobs/{digest}", reference.repository());
        let got = self.http.get(&path, &reference.scope("pull"), &[], most).await;
        let bytes = got.map_err(|error| self.failed(error, reference))?;
        let found = Digest::of(&bytes);
        if found == *digest {
            Ok(bytes)
        } else {
            Err(self.said(&format!("it sent another blob: {found}, and not {digest}")))
        }
    }

    /// cosign's signatures of a manifest, of both kinds. One that can't be parsed is ignored: anyone with push access could have added it.
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
        let referrers = self.referrers(reference).await?;
        let entries = referrers.get("manifests").and_then(Value::as_array).into_iter().flatten();
        let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        let is_bundle = |entry: &&Value| text(entry, "artifactType").is_none_or(|kind| kind.starts_with(BUNDLE));
        let digests = entries.filter(is_bundle).filter_map(|entry| Digest::parse(&text(entry, "digest")?));
        let mut found = Vec::new();
        for digest in digests.take(MOST_SIGNATURES) {
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

    /// What refers to a manifest: an index. Registries that don't know the question keep it under a tag.
    async fn referrers(&self, reference: &Reference) -> Result<Value, RegistryError> {
        let Some(digest) = reference.digest() else { return Ok(Value::Null) };
        let tag = reference.tagged(&format!("sha256-{}", digest.hex())).manifest_path();
        for path in [format!("/v2/{}/referrers/{digest}", reference.repository()), tag] {
            match self.http.get(&path, &reference.scope("pull"), &[INDEX_TYPE], MANIFEST).await {
                Ok(bytes) => return Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
                Err(HttpError::NotFound) => {}
                Err(error) => return Err(self.failed(error, reference)),
            }
        }
        Ok(Value::Null)
    }

    async fn manifest_if_any(&self, reference: &Reference) -> Result<Option<Value>, RegistryError> {
        let path = reference.manifest_path();
        match self.http.get(&path, &reference.scope("pull"), &[MANIFEST_TYPE], SIGNATURE).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(HttpError::NotFound) => Ok(None),
            Err(error) => Err(self.failed(error, reference)),
        }
    }

    /// Puts a component under a reference; the digest of its manifest.
    pub async fn push(&self, reference: &Reference, artifact: Artifact) -> Result<Digest, RegistryError> {
        let now = SystemTime::now();
        let config = artifact.config(now).to_string();
        let mut annotations = artifact.annotations;
        annotations.entry(CREATED.to_owned()).or_insert_with(|| humantime::format_rfc3339_seconds(now).to_string());
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
            "annotations": annotations,
        })
        .to_string();
        let digest = Digest::of(manifest.as_bytes());
        let put = async {
            self.put_blob(reference, &layer.digest, artifact.component.into()).await?;
            self.put_blob(reference, &Digest::of(config.as_bytes()), config.into()).await?;
            let (url, scope) = (self.http.url(&reference.manifest_path())?, reference.scope("pull,push"));
            let body = Some((MANIFEST_TYPE, Bytes::from(manifest)));
            self.http.send(&HttpRequest { method: Method::PUT, url, scope: &scope, accept: &[], body }).await
        };
        put.await.map_err(|error| self.failed(error, reference))?;
        Ok(digest)
    }

    /// Puts a blob into the reference's repository, unless it is there.
    async fn put_blob(&self, reference: &Reference, digest: &Digest, blob: Bytes) -> Result<(), HttpError> {
        let (scope, repository) = (reference.scope("pull,push"), reference.repository());
        let ask = |method, url, body| HttpRequest { method, url, scope: &scope, accept: &[], body };
        let there = self.http.url(&format!("/v2/{repository}/blobs/{digest}"))?;
        match self.http.send(&ask(Method::HEAD, there, None)).await {
            Ok(_) => return Ok(()),
            // Some answer the question with a redirect.
            Err(HttpError::NotFound | HttpError::Said(_)) => {}
            Err(error) => return Err(error),
        }
        let uploads = self.http.url(&format!("/v2/{repository}/blobs/uploads/"))?;
        let begun = self.http.send(&ask(Method::POST, uploads.clone(), Some((BINARY, Bytes::new())))).await?;
        let place = begun.headers().get(LOCATION).and_then(|place| uploads.join(place.to_str().ok()?).ok());
        let mut place = place.ok_or_else(|| HttpError::Said("it doesn't say where the upload goes".to_owned()))?;
        bounded(begun, SIGNATURE).await?;
        place.query_pairs_mut().append_pair("digest", &digest.to_string());
        self.http.send(&ask(Method::PUT, place, Some((BINARY, blob)))).await?;
        Ok(())
    }

    fn said(&self, reason: &str) -> RegistryError {
        RegistryError::Remote { registry: self.registry.clone(), reason: one_line(reason, 500) }
    }

    fn failed(&self, error: HttpError, reference: &Reference) -> RegistryError {
        match error {
            HttpError::NotFound => self.said(&format!("it has no `{reference}`")),
            HttpError::Login => {
                self.said(&format!("it wants a login that may do that; `docker login {}` keeps one", self.registry))
            }
            HttpError::Said(why) => self.said(&why),
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
