//! A real OCI registry on loopback, and who signs what is in it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use crate::peers::{installed, node, node_script};

/// The only user of a registry that wants one, and the password.
pub const USER: &str = "ann";
/// The password.
pub const PASSWORD: &str = "open sesame";
/// The password's bcrypt hash.
const HASH: &str = "$2b$04$qekFwgbtwnrab11./cYOju2iLRFCbTQU28iVMMfnyRkt5uzrtsl4O";

/// Debian's `docker-registry`, until it is dropped.
#[derive(Debug)]
pub struct Registry {
    /// Host and port.
    pub host: String,
    folder: TempDir,
    child: Child,
}

impl Registry {
    /// One that lets everybody in.
    #[must_use]
    pub fn open() -> Self {
        Self::start("")
    }

    /// One that wants a login.
    #[must_use]
    pub fn locked() -> Self {
        Self::start("auth: {htpasswd: {realm: test, path: htpasswd}}\n")
    }

    fn start(more: &str) -> Self {
        let folder = TempDir::new().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
        };
        write("htpasswd", &format!("{USER}:{HASH}\n"));
        write(
            "config.yml",
            &format!(
                "version: 0.1\nlog: {{level: info, formatter: json}}\nstorage: {{filesystem: {{rootdirectory: data}}}}\n\
                 http: {{addr: \"127.0.0.1:0\"}}\n{more}"
            ),
        );
        let mut command = Command::new(installed("registry/usr/bin/docker-registry"));
        command.args(["serve", "config.yml"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("docker-registry: {e}"));
        let log = child.stderr.take().map_or_else(|| panic!("it has no stderr"), BufReader::new);
        let mut lines = log.lines();
        let mut said = String::new();
        let host = lines.by_ref().map_while(Result::ok).find_map(|line| {
            said.push_str(&line);
            let line: Value = serde_json::from_str(&line).ok()?;
            Some(line.get("msg")?.as_str()?.strip_prefix("listening on ")?.to_owned())
        });
        let host = host.unwrap_or_else(|| panic!("it doesn't listen: {said}"));
        // Who doesn't read what it says would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { host, folder, child }
    }

    /// The reference of a component there.
    #[must_use]
    pub fn reference(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.host)
    }

    /// The file in which it keeps a blob or a manifest.
    #[must_use]
    pub fn file_of(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(hex.get(..2).unwrap_or_default()).join(hex).join("data")
    }

    /// What it keeps under a digest.
    #[must_use]
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        let path = self.file_of(digest);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        crate::program::kill(self.child.id());
        // It is gone either way.
        let _ = self.child.wait();
    }
}

/// Who signs: a key pair as `cosign generate-key-pair` makes one, but for the password.
#[derive(Debug)]
pub struct Signer {
    folder: TempDir,
    pair: EcdsaKeyPair,
}

/// What stands before the point in a public key on P-256 (RFC 5480).
const PUBLIC_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

impl Signer {
    /// One with a key of its own.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_ASN1_SIGNING);
        let private = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap_or_else(|e| panic!("no key: {e}"));
        let pair = EcdsaKeyPair::from_pkcs8(kind, private.as_ref(), &random).unwrap_or_else(|e| panic!("no key: {e}"));
        let public = [PUBLIC_KEY.as_slice(), pair.public_key().as_ref()].concat();
        for (name, label, der) in [("key.pem", "PRIVATE", private.as_ref()), ("key.pub", "PUBLIC", &public)] {
            let text = BASE64_STANDARD.encode(der);
            let pem = format!("-----BEGIN {label} KEY-----\n{text}\n-----END {label} KEY-----\n");
            std::fs::write(folder.path().join(name), pem).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        Self { folder, pair }
    }

    /// The file of its public key.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.folder.path().join("key.pub")
    }

    /// A signature of these bytes, in Base64.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), bytes).unwrap_or_else(|e| panic!("not signed: {e}"));
        BASE64_STANDARD.encode(signature.as_ref())
    }

    /// Puts a bundle beside a manifest, whose statement says this; by Sigstore's libraries.
    pub fn bundle(&self, registry: &Registry, name: &str, digest: &str, predicate: &str) {
        let mut command = Command::new(node());
        command.arg(node_script("sign_bundle.mjs")).arg(format!("{}/{name}", registry.host)).arg(digest);
        command.arg(self.folder.path().join("key.pem")).arg(predicate);
        let _ = crate::program::run(command, "").ok();
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// The reference client for components in registries, to be run here.
#[must_use]
pub fn wkg(folder: &Path, registry: &Registry) -> Command {
    let mut command = Command::new(installed("wkg/bin/wkg"));
    command.current_dir(folder).arg("oci").env("WKG_OCI_INSECURE", &registry.host);
    command
}
