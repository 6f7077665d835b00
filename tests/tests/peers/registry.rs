//! Components in a real registry: pushed, pulled, pinned, signed; and what isn't as it should be is refused.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use understudy_tests::guests;
use understudy_tests::http::send;
use understudy_tests::program::{Place, Run, run};
use understudy_tests::registry::{PASSWORD, Registry, Signer, USER, wkg};
use understudy_tests::session::sampling;
use url::Url;

const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
const NOTHING: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Pushes what is a plugin; the digest of its manifest.
fn push(place: &Place, plugin: &str, reference: &str) -> String {
    let pushed = place.run(["plugin", "push", plugin, reference]).ok().stdout;
    pushed.trim().rsplit_once('@').unwrap().1.to_owned()
}

fn pull<'a>(place: &Place, more: impl IntoIterator<Item = &'a str>) -> Run {
    place.run(["plugin", "pull"].into_iter().chain(more))
}

/// Which plugin answers, by the model that it says it is.
fn who(place: &Place, plugin: &str) -> String {
    let sample = place.understudy(["sample", "--plugin", plugin]);
    let answer = run(sample, &sampling(1, "Hello there.")["params"].to_string()).ok().stdout;
    serde_json::from_str::<Value>(&answer).unwrap()["model"].as_str().unwrap().to_owned()
}

fn refusal(run: &Run, words: &str) {
    assert!(run.code() != 0 && run.stderr.contains(words), "not `{words}`: {}{}", run.stdout, run.stderr);
}

/// A config whose plugin `p` is of a registry.
fn configure(place: &Place, component: &str, more: &Value) -> PathBuf {
    let mut config = json!({ "plugins": { "p": { "component": component } }, "sampling": "p" });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    place.file("understudy.json", config.to_string())
}

fn none() -> Value {
    json!({})
}

#[test]
fn a_tag_means_what_the_lock_file_says_until_it_is_asked_anew_and_no_registry_is_needed() {
    let (registry, place) = (Registry::open(), Place::new());
    let reference = registry.reference("me/answers:1");
    let _ = configure(&place, &reference, &none());
    let unpinned = place.run(["plugin", "inspect", "p"]);
    refusal(&unpinned, "the tag may mean another component tomorrow");
    refusal(&unpinned, "understudy.lock` doesn't say which; `understudy plugin pull` pins it");
    let first = push(&place, "echo", &reference);
    let pulled = pull(&place, []).ok();
    assert_eq!(pulled.stdout.trim(), registry.reference(&format!("me/answers@{first}")));
    assert_eq!(who(&place, "p"), "echo");
    // The tag is moved; what was pinned stays.
    let second = push(&place, "extractive", &reference);
    let _ = pull(&place, []).ok();
    assert_eq!(who(&place, "p"), "echo");
    let _ = pull(&place, ["--update"]).ok();
    assert_eq!(who(&place, "p"), "extractive");
    let lock: Value = serde_json::from_slice(&fs::read(place.path().join("understudy.lock")).unwrap()).unwrap();
    assert_eq!(lock, json!({ "version": 1, "components": { reference.clone(): second } }));
    let facts: Value = serde_json::from_str(&place.run(["plugin", "inspect", "p", "--json"]).ok().stdout).unwrap();
    assert_eq!((&facts["component"], &facts["pinned"]), (&json!(reference), &json!(true)));
    drop(registry);
    assert_eq!(who(&place, "p"), "extractive");
    // By its digest the other one is still here, and needs no lock file.
    let by_digest = reference.replace(":1", &format!("@{first}"));
    fs::remove_file(place.path().join("understudy.json")).unwrap();
    assert_eq!(who(&place, &by_digest), "echo");
    refusal(&place.run(["sample", "--plugin", &reference]), "there is no config, so no lock file");
    refusal(&pull(&place, [by_digest.as_str()]), "Connection refused");
    refusal(&pull(&place, []), "the config names no component of a registry");
}

#[test]
fn wkg_reads_what_is_pushed_and_what_it_pushes_is_read() {
    let (registry, place) = (Registry::open(), Place::new());
    let component = guests::write("planted", place.path());
    let bytes = fs::read(&component).unwrap();
    let file = component.to_string_lossy();
    let ours = registry.reference("ours/planted:1");
    let annotated = ["plugin", "push", &file, &ours, "--author", "Ann", "--annotation", "a.b=c"];
    let _ = place.run(annotated).ok();
    let mut theirs = wkg(place.path(), &registry);
    theirs.args(["pull", ours.trim_start_matches("oci://"), "--output", "by-wkg.wasm"]);
    let _ = run(theirs, "").ok();
    assert_eq!(fs::read(place.path().join("by-wkg.wasm")).unwrap(), bytes);

    let theirs = registry.reference("theirs/planted:1");
    let mut push = wkg(place.path(), &registry);
    push.args(["push", theirs.trim_start_matches("oci://"), &file]);
    let pushed = run(push, "").ok().stdout;
    let _ = pull(&place, [theirs.as_str(), "--output", "by-us.wasm"]).ok();
    assert_eq!(fs::read(place.path().join("by-us.wasm")).unwrap(), bytes);

    // Both say the same of the component.
    let described = |digest: &str| -> Value {
        let manifest: Value = serde_json::from_slice(&registry.blob(digest)).unwrap();
        let config = registry.blob(manifest["config"]["digest"].as_str().unwrap());
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        let sorted = |names: &mut Value| names.as_array_mut().unwrap().sort_by_key(Value::to_string);
        sorted(&mut config["component"]["exports"]);
        config["component"]["imports"] = Value::Null;
        json!([
            manifest["mediaType"],
            manifest["config"]["mediaType"],
            manifest["layers"][0]["mediaType"],
            config["os"],
            config["architecture"],
            config["layerDigests"],
            config["component"]
        ])
    };
    let by_wkg = pushed.lines().find_map(|line| line.strip_prefix("digest: ")).unwrap();
    let by_us = pull(&place, [ours.as_str()]).ok().stdout;
    assert_eq!(described(by_us.trim().rsplit_once('@').unwrap().1), described(by_wkg));
}

#[test]
fn what_is_not_what_its_digest_says_is_refused_wherever_it_was_changed() {
    let (registry, place) = (Registry::open(), Place::new());
    let reference = registry.reference("me/answers:1");
    let digest = push(&place, "echo", &reference);
    let manifest: Value = serde_json::from_slice(&registry.blob(&digest)).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let damage = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let last = bytes.last_mut().unwrap();
        *last ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let pinned = |digest: &str| registry.reference(&format!("me/answers@{digest}"));
    refusal(&pull(&place, [pinned(NOTHING).as_str()]), "it has no `oci://");
    // A blob, in the registry.
    damage(&registry.file_of(&layer));
    refusal(&pull(&place, [reference.as_str()]), "sent another blob");
    refusal(&place.run(["plugin", "inspect", &pinned(&digest)]), "is not in this machine's store");
    damage(&registry.file_of(&layer));
    // A manifest, in the registry.
    damage(&registry.file_of(&digest));
    let changed = pull(&place, [pinned(&digest).as_str()]);
    assert!(changed.code() != 0, "{}", changed.stdout);
    refusal(&place.run(["plugin", "inspect", &pinned(&digest)]), "is not in this machine's store");
    damage(&registry.file_of(&digest));
    // A blob, in the store.
    let _ = pull(&place, [reference.as_str()]).ok();
    let stored = place.path().join("understudy/components/blobs/sha256").join(layer.trim_start_matches("sha256:"));
    damage(&stored);
    refusal(&place.run(["plugin", "inspect", &pinned(&digest)]), "is damaged: its content isn't what its name says");
    let _ = pull(&place, [reference.as_str()]).ok();
    assert_eq!(who(&place, &pinned(&digest)), "echo");
    // What is no component at all: here what signatures are kept in.
    let signer = Signer::new();
    signer.bundle(&registry, "me/answers", &digest, SIGNED);
    sign_simply(&registry, "me/answers", &digest, &digest, &signer);
    let tag = registry.reference(&format!("me/answers:{}", digest.replace(':', "-")));
    refusal(&pull(&place, [tag.as_str()]), "it is an index of several artifacts");
    refusal(&pull(&place, [format!("{tag}.sig").as_str()]), "it is no wasm component");
    // A signature that is none keeps nobody from what isn't to be signed.
    put_signature(&registry, "me/answers", &digest, b"\xff", "no signature");
    let _ = pull(&place, [reference.as_str()]).ok();
    // What is too large for the config.
    let _ = place.file("understudy.json", r#"{ "limits": { "component": "1 KiB" } }"#);
    refusal(&pull(&place, [reference.as_str()]), "more than `limits.component` allows (1024)");
}

/// Puts cosign's older kind of signature beside a manifest: a document, and its signature in an annotation. The document may name another.
fn sign_simply(registry: &Registry, name: &str, manifest: &str, named: &str, signer: &Signer) {
    let critical = json!({ "identity": { "docker-reference": name }, "image": { "docker-manifest-digest": named },
                           "type": "cosign container image signature" });
    let payload = json!({ "critical": critical, "optional": null }).to_string();
    put_signature(registry, name, manifest, payload.as_bytes(), &signer.sign(payload.as_bytes()));
}

/// The same with any document and signature.
fn put_signature(registry: &Registry, name: &str, manifest: &str, payload: &[u8], signature: &str) {
    let mut layer = upload(registry, name, payload);
    layer["mediaType"] = json!("application/vnd.dev.cosign.simplesigning.v1+json");
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
    let mut config = upload(registry, name, b"{}");
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let signed = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] }).to_string();
    let path = format!("/v2/{name}/manifests/{}.sig", manifest.replace(':', "-"));
    let put = send(registry.host.parse().unwrap(), "PUT", &path, &[("content-type", kind)], signed.as_bytes());
    assert_eq!(put.status, 201);
}

/// Puts a blob into a repository; its descriptor, but for the type.
fn upload(registry: &Registry, name: &str, blob: &[u8]) -> Value {
    let host = registry.host.parse().unwrap();
    let begun = send(host, "POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"");
    assert_eq!(begun.status, 202);
    let place = Url::parse(begun.header("location")).unwrap();
    let path = format!("{}?{}&digest={}", place.path(), place.query().unwrap_or_default(), digest_of(blob));
    let put = send(host, "PUT", &path, &[("content-type", "application/octet-stream")], blob);
    assert_eq!(put.status, 201);
    json!({ "digest": digest_of(blob), "size": blob.len() })
}

#[test]
fn only_what_a_trusted_key_has_signed_is_fetched_and_loaded() {
    let (registry, place) = (Registry::open(), Place::new());
    let (ann, eve) = (Signer::new(), Signer::new());
    let (anns, eves) = (ann.public_key(), eve.public_key());
    let [anns, eves] = [&anns, &eves].map(|path| path.to_string_lossy());
    let reference = registry.reference("me/answers:1");
    let digest = push(&place, "echo", &reference);
    let _ = configure(&place, &reference, &json!({ "trust": [anns] }));
    refusal(&pull(&place, []), "it isn't signed");
    assert!(!place.path().join("understudy.lock").exists(), "what is refused isn't pinned");
    eve.bundle(&registry, "me/answers", &digest, SIGNED);
    refusal(&pull(&place, []), "its signature doesn't verify with");
    sign_simply(&registry, "me/answers", &digest, NOTHING, &ann);
    refusal(&pull(&place, []), "its signature is of sha256:000");
    ann.bundle(&registry, "me/answers", &digest, "https://spdx.dev/Document");
    refusal(&pull(&place, []), "what is signed is an attestation (`https://spdx.dev/Document`)");
    refusal(&place.run(["plugin", "inspect", "p"]), "doesn't say which");
    ann.bundle(&registry, "me/answers", &digest, SIGNED);
    assert!(pull(&place, []).ok().stderr.contains("signed by a key that is trusted"));
    assert_eq!(who(&place, "p"), "echo");

    // cosign's older kind, of another component.
    let older = registry.reference("me/older:1");
    let digest = push(&place, "extractive", &older);
    sign_simply(&registry, "me/older", &digest, &digest, &ann);
    let _ = configure(&place, &older, &json!({ "trust": [anns] }));
    let _ = pull(&place, []).ok();
    assert_eq!(who(&place, "p"), "extractive");

    // What has been fetched is held to the keys whenever it is loaded; the registry isn't asked.
    drop(registry);
    let _ = configure(&place, &older, &json!({ "trust": [eves] }));
    refusal(&place.run(["plugin", "inspect", "p"]), "its signature doesn't verify with");
    let _ = configure(&place, &older, &json!({ "trust": [eves, anns] }));
    assert_eq!(who(&place, "p"), "extractive");
    // One plugin's keys come in the place of the others'.
    let plugin = |trust: Value| json!({ "trust": [eves], "plugins": { "p": { "component": older, "trust": trust } } });
    let _ = configure(&place, &older, &plugin(json!([anns])));
    assert_eq!(who(&place, "p"), "extractive");
    let _ = configure(&place, &older, &plugin(json!([])));
    assert_eq!(who(&place, "p"), "extractive");
    let _ = configure(&place, &older, &json!({ "trust": ["missing.pub"] }));
    refusal(&place.run(["plugin", "inspect", "p"]), "missing.pub` can't be read");
    let _ =
        configure(&place, "builtin:echo", &json!({ "plugins": { "p": { "component": "builtin:echo", "trust": [] } } }));
    refusal(&place.run(["plugin", "inspect", "p"]), "pin this one with `sha256`");
}

#[test]
fn a_login_is_dockers_and_never_shown() {
    let (registry, place) = (Registry::locked(), Place::new());
    let reference = registry.reference("me/answers:1");
    let push = || place.run(["plugin", "push", "echo", &reference]);
    refusal(&push(), &format!("`docker login {}` keeps one", registry.host));
    refusal(&pull(&place, [reference.as_str()]), "wants a login");
    let docker = |config: Value| place.file("config.json", config.to_string());
    let login = |password: &str| BASE64_STANDARD.encode(format!("{USER}:{password}"));
    let _ = docker(json!({ "auths": { registry.host.clone(): { "auth": login("wrong") } } }));
    refusal(&push(), "wants a login");
    let _ = docker(json!({ "auths": { registry.host.clone(): { "auth": login(PASSWORD) } } }));
    let pushed = push().ok();
    // By a credential helper.
    let helper = place.file(
        "docker-credential-test",
        format!("#!/bin/sh\ncat >asked\necho '{}'\n", json!({ "Username": USER, "Secret": PASSWORD })),
    );
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let _ = docker(json!({ "credHelpers": { registry.host.clone(): "test" } }));
    let with_helper = || {
        let mut pull = place.understudy(["-v", "plugin", "pull", &reference]);
        let path = std::env::var("PATH").unwrap();
        pull.env("PATH", format!("{}:{path}", place.path().display())).env("UNDERSTUDY_LOG", "trace");
        run(pull, "")
    };
    let pulled = with_helper().ok();
    assert_eq!(fs::read_to_string(place.path().join("asked")).unwrap(), registry.host);
    for said in [&pushed.stdout, &pushed.stderr, &pulled.stdout, &pulled.stderr] {
        assert!(!said.contains(PASSWORD) && !said.contains(&login(PASSWORD)), "{said}");
    }
    // One that fails, and says more than it should.
    let _ = place.file("docker-credential-test", format!("#!/bin/sh\ncat >/dev/null\necho '{PASSWORD}'\nexit 1\n"));
    let failed = with_helper();
    refusal(&failed, "Docker's credential helper `docker-credential-test` failed");
    assert!(!failed.stderr.contains(PASSWORD), "{}", failed.stderr);
    let _ = docker(json!({ "auths": { registry.host.clone(): { "identitytoken": "secret" } } }));
    refusal(&push(), "an identity token for it, which can't be used here");
    let _ = place.file("config.json", "{");
    refusal(&push(), "where Docker keeps logins, can't be read");
}

#[test]
fn what_is_no_plugin_or_no_reference_is_not_pushed() {
    let (registry, place) = (Registry::open(), Place::new());
    let reference = registry.reference("me/answers:1");
    let push = |file: &str, reference: &str| place.run(["plugin", "push", file, reference]);
    let _ = place.file("empty.wasm", wat::parse_str("(component)").unwrap());
    refusal(&push("./empty.wasm", &reference), "is no sampling plugin");
    let _ = place.run(["plugin", "compile", "echo"]).ok();
    refusal(&push("./echo.cwasm", &reference), "push the component itself");
    refusal(&push("echo", "me/answers:1"), "doesn't begin with `oci://`");
    refusal(&push("echo", &registry.reference("answers")), "has neither tag nor digest");
    refusal(&push("echo", &registry.reference(&format!("answers@{NOTHING}"))), "write a tag");
    refusal(&pull(&place, [reference.as_str()]), "it has no `oci://");
}
