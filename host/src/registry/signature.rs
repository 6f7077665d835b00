//! cosign's signatures of a manifest, checked with public keys alone: no certificate, and no transparency log.
//!
//! There are two kinds. Until version 2, cosign signed a small JSON document that names the manifest's digest, and kept it under a tag of its own
//! (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>). Since version 3 it signs an in-toto statement in a DSSE envelope,
//! in a Sigstore bundle that refers to the manifest (`BUNDLE_SPEC.md` in the same place).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::RegistryError;
use crate::reference::Digest;

const STATEMENT: &str = "application/vnd.in-toto+json";
/// What a statement says that is a signature, and no attestation of something else.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// A signature, as it was found beside a manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Signature {
    /// A document, and the signature of its bytes in Base64.
    Simple { payload: String, signature: String },
    /// A Sigstore bundle.
    Bundle(Value),
}

/// A public key that is trusted.
pub(crate) struct PublicKey {
    path: PathBuf,
    algorithm: &'static dyn VerificationAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Reads one as `cosign generate-key-pair` writes it: PEM.
    pub(crate) fn read(path: &Path, hold: impl Fn(&Path, &[u8]) -> std::io::Result<()>) -> Result<Self, RegistryError> {
        let wrong = |reason: String| RegistryError::Key { path: path.display().to_string(), reason };
        let pem = std::fs::read(path).and_then(|pem| hold(path, &pem).map(|()| pem));
        let pem = pem.map_err(|e| wrong(format!("can't be read: {e}")))?;
        let form = "a public key in PEM, such as `cosign.pub`, is wanted";
        let der =
            SubjectPublicKeyInfoDer::from_pem_slice(&pem).map_err(|_| wrong(format!("is no public key: {form}")))?;
        let key =
            SubjectPublicKeyInfoRef::try_from(der.as_ref()).map_err(|e| wrong(format!("is damaged ({e}): {form}")))?;
        let algorithm = algorithm(&key).ok_or_else(|| {
            wrong(
                "is of a kind that can't be used here: ECDSA on P-256 (what cosign makes), Ed25519 and RSA can"
                    .to_owned(),
            )
        })?;
        let bytes = key.subject_public_key.raw_bytes().to_vec();
        Ok(Self { path: path.to_path_buf(), algorithm, bytes })
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm, &self.bytes).verify(message, signature).is_ok()
    }
}

fn algorithm(key: &SubjectPublicKeyInfoRef) -> Option<&'static dyn VerificationAlgorithm> {
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const EDWARDS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    match key.algorithm.oid {
        EC if key.algorithm.parameters_oid() == Ok(P256) => Some(&ECDSA_P256_SHA256_ASN1),
        EDWARDS => Some(&ED25519),
        RSA => Some(&RSA_PKCS1_2048_8192_SHA256),
        _ => None,
    }
}

/// Whether one of the signatures is of one of the keys, and of this manifest; else why not, in words.
pub(crate) fn check(manifest: &Digest, signatures: &[Signature], keys: &[PublicKey]) -> Result<(), String> {
    if signatures.is_empty() {
        return Err(
            "it isn't signed (`cosign sign --key …` does that, and `understudy plugin pull` fetches the signature)"
                .to_owned(),
        );
    }
    let mut why = Vec::new();
    for signature in signatures {
        match signature.check(manifest, keys) {
            Ok(()) => return Ok(()),
            Err(reason) if why.contains(&reason) => {}
            Err(reason) => why.push(reason),
        }
    }
    Err(why.join("; "))
}

impl Signature {
    /// More than all signatures of a manifest have in bytes.
    pub(super) const MOST: usize = 32 << 20;

    fn check(&self, manifest: &Digest, keys: &[PublicKey]) -> Result<(), String> {
        let of = match self {
            Self::Simple { payload, signature } => simple(payload, signature, keys)?,
            Self::Bundle(bundle) => bundled(bundle, keys)?,
        };
        if of.contains(&manifest.to_string()) {
            return Ok(());
        }
        Err(format!("its signature is of {}, and this is {manifest}", of.join(" and ")))
    }
}

/// What a document of cosign's says is signed, if one of the keys has signed it.
fn simple(payload: &str, signature: &str, keys: &[PublicKey]) -> Result<Vec<String>, String> {
    by_one_of(keys, payload.as_bytes(), &decoded(signature)?)?;
    let payload: Value = serde_json::from_str(payload).map_err(|e| unreadable(&e.to_string()))?;
    let digest = payload.pointer("/critical/image/docker-manifest-digest").and_then(Value::as_str);
    Ok(vec![digest.ok_or_else(|| unreadable("it names no manifest"))?.to_owned()])
}

/// What the statement in a bundle says is signed, if one of the keys has signed it.
fn bundled(bundle: &Value, keys: &[PublicKey]) -> Result<Vec<String>, String> {
    let text = |pointer: &str| bundle.pointer(pointer).and_then(Value::as_str);
    let kind = text("/dsseEnvelope/payloadType").ok_or_else(|| unreadable("the bundle has no DSSE envelope"))?;
    let payload = decoded(text("/dsseEnvelope/payload").unwrap_or_default())?;
    let signature = decoded(text("/dsseEnvelope/signatures/0/sig").unwrap_or_default())?;
    // Type and content are signed together: <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>
    let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    by_one_of(keys, &signed, &signature)?;
    if kind != STATEMENT {
        return Err(unreadable(&format!("it is of the type `{kind}`")));
    }
    let statement: Value = serde_json::from_slice(&payload).map_err(|e| unreadable(&e.to_string()))?;
    let says = statement.get("predicateType").and_then(Value::as_str).unwrap_or_default();
    if says != SIGNED {
        return Err(format!("what is signed is an attestation (`{says}`), and no signature of the component"));
    }
    let subjects = statement.get("subject").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let digest = |subject: &Value| Some(format!("sha256:{}", subject.pointer("/digest/sha256")?.as_str()?));
    Ok(subjects.iter().filter_map(digest).collect())
}

fn by_one_of(keys: &[PublicKey], message: &[u8], signature: &[u8]) -> Result<(), String> {
    if keys.iter().any(|key| key.has_signed(message, signature)) {
        return Ok(());
    }
    let keys: Vec<String> = keys.iter().map(|key| key.path.display().to_string()).collect();
    Err(format!("its signature doesn't verify with {}", crate::text::list(keys.iter().map(String::as_str))))
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|e| unreadable(&e.to_string()))
}

fn unreadable(why: &str) -> String {
    format!("its signature can't be read: {why}")
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    /// Made by cosign itself; from the tests of sigstore-rs, `signature_layers.rs`.
    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENptdY/l3nB0yqkXLBWkZWQwo6+cu\n\
        OSWS1X9vPavpiQOoTTGC0xX57OojUadxF1cdQmrsiReWg2Wn4FneJfa8xw==\n\
        -----END PUBLIC KEY-----\n";
    const DIGEST: &str = "sha256:f3cfc9d0dbf931d3db4685ec659b7ac68e2a578219da4aae65427886e649b06b";
    const SIGNATURE: &str =
        "MEUCIQD6q/COgzOyW0YH1Dk+CCYSt4uAhm3FDHUwvPI55zwnlwIgE0ZK58ZOWpZw8YVmBapJhBqCfdPekIknimuO0xH8Jh8=";

    fn key_of(pem: &str) -> Result<PublicKey, RegistryError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        PublicKey::read(file.path(), |_, _| Ok(()))
    }

    fn payload(digest: &str) -> String {
        let critical = format!(
            r#""identity":{{"docker-reference":"registry-testing.svc.lan/busybox"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature""#
        );
        format!(r#"{{"critical":{{{critical}}},"optional":null}}"#)
    }

    fn digest(text: &str) -> Digest {
        Digest::parse(text).unwrap()
    }

    #[test]
    fn what_cosign_has_signed_verifies_and_nothing_else() {
        let signed = |payload: String| Signature::Simple { payload, signature: SIGNATURE.to_owned() };
        let keys = [key_of(KEY).unwrap()];
        let other = format!("sha256:{}", "0".repeat(64));
        check(&digest(DIGEST), &[signed(payload(DIGEST))], &keys).unwrap();
        let refused =
            |manifest: &str, signatures: &[Signature]| check(&digest(manifest), signatures, &keys).unwrap_err();
        assert!(refused(&other, &[signed(payload(DIGEST))]).contains("its signature is of sha256:f3cf"));
        assert!(refused(&other, &[signed(payload(&other))]).contains("doesn't verify with"));
        assert!(refused(DIGEST, &[]).contains("isn't signed"));
        let garbled = Signature::Simple { payload: payload(DIGEST), signature: "%".to_owned() };
        assert!(refused(DIGEST, std::slice::from_ref(&garbled)).contains("can't be read"));
        check(&digest(DIGEST), &[garbled, signed(payload(DIGEST))], &keys).unwrap();
    }

    #[test]
    fn a_bundle_is_a_signature_only_if_its_statement_says_so() {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
        let bytes = pair.public_key().as_ref().to_vec();
        let keys = [PublicKey { path: "cosign.pub".into(), algorithm: &ECDSA_P256_SHA256_ASN1, bytes }];
        let bundle = |kind: &str, says: &str| {
            let subject = json!([{ "digest": { "sha256": digest(DIGEST).hex() } }]);
            let payload = json!({ "subject": subject, "predicateType": says }).to_string();
            let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
            let signature = pair.sign(&random, signed.as_bytes()).unwrap();
            let signature = BASE64_STANDARD.encode(signature.as_ref());
            let payload = BASE64_STANDARD.encode(payload);
            Signature::Bundle(
                json!({ "dsseEnvelope": { "payloadType": kind, "payload": payload, "signatures": [{ "sig": signature }] } }),
            )
        };
        let tried = |signature: Signature| check(&digest(DIGEST), &[signature], &keys);
        tried(bundle(STATEMENT, SIGNED)).unwrap();
        assert!(
            tried(bundle(STATEMENT, "https://spdx.dev/Document"))
                .unwrap_err()
                .contains("an attestation (`https://spdx.dev")
        );
        assert!(tried(bundle("text/plain", SIGNED)).unwrap_err().contains("of the type `text/plain`"));
        let Signature::Bundle(mut other) = bundle("text/plain", SIGNED) else { unreachable!() };
        *other.pointer_mut("/dsseEnvelope/payloadType").unwrap() = json!(STATEMENT);
        assert!(
            tried(Signature::Bundle(other)).unwrap_err().contains("doesn't verify with `cosign.pub`"),
            "the type is signed, too"
        );
        assert!(tried(Signature::Bundle(json!({}))).unwrap_err().contains("no DSSE envelope"));
    }

    #[test]
    fn a_key_that_cant_be_used_says_why() {
        let refused = |pem: &str| key_of(pem).err().unwrap().to_string();
        assert!(refused("cosign").contains("is no public key"));
        assert!(refused(&KEY.replace("MFkwEwYH", "AFkwEwYH")).contains("is damaged"));
        // The same key, said to be on another curve.
        assert!(refused(&KEY.replace("DAQcDQgAE", "DAQYDQgAE")).contains("of a kind that can't be used"));
    }
}
