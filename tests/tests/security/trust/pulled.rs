//! A trusted config's lock file: written by the user's own `plugin pull` it is trusted, written by anybody else it isn't.

use std::fs;

use serde_json::json;
use sha2::{Digest, Sha256};
use understudy_tests::program::Place;
use understudy_tests::provider::{Provider, respond};

use super::{left_aside, model, sample, stranger};

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// A component and its manifest, as a registry has them.
fn artifact(plugin: &str) -> (Vec<u8>, Vec<u8>) {
    let component = understudy_plugins::find(plugin).unwrap_or_else(|| panic!("no built-in `{plugin}`")).component();
    let config = json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2 });
    let layer = json!({ "mediaType": "application/wasm", "digest": digest(&component), "size": component.len() });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
    (component, manifest.to_string().into_bytes())
}

/// A registry in which the tag `1` means `echo` and the tag `2` means `extractive`.
fn registry() -> Provider {
    let all = [("1", artifact("echo")), ("2", artifact("extractive"))];
    Provider::start(move |request, stream, _| {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        for (tag, (component, manifest)) in &all {
            if path.ends_with(&format!("/manifests/{tag}"))
                || path.ends_with(&format!("/manifests/{}", digest(manifest)))
            {
                let kind = "content-type: application/vnd.oci.image.manifest.v1+json\r\n";
                return respond(stream, "200 OK", kind, manifest);
            }
            if path.ends_with(&format!("/blobs/{}", digest(component))) {
                return respond(stream, "200 OK", "content-type: application/wasm\r\n", component);
            }
        }
        let status = if path == "/v2/" { "200 OK" } else { "404 Not Found" };
        respond(stream, status, "content-type: application/json\r\n", b"{}");
    })
}

#[test]
fn what_the_user_pulls_is_trusted_with_the_config_and_another_lock_file_is_not() {
    let registry = registry();
    let reference = |tag: &str| format!("oci://{}/me/p:{tag}", registry.url.trim_start_matches("http://"));
    let place = Place::new();
    let config = json!({ "sampling": "p", "plugins": { "p": { "component": reference("1") } } });
    let _ = place.file("understudy.json", config.to_string());
    // A config that isn't trusted names nothing to be fetched.
    let run = stranger(&place, &["plugin", "pull"]);
    assert_eq!(run.code(), 2);
    assert!(left_aside(&run).contains("load `oci://"), "{}", run.stderr);
    assert!(registry.seen().is_empty());

    let _ = stranger(&place, &["trust"]).ok();
    let _ = stranger(&place, &["plugin", "pull"]).ok();
    assert_eq!(model(&sample(&place, &[]).ok()), "echo");
    // The lock file of somebody else, for another component that is in the user's store.
    let _ = stranger(&place, &["plugin", "pull", &reference("2")]).ok();
    assert_eq!(model(&sample(&place, &[]).ok()), "echo");
    let lock = place.path().join("understudy.lock");
    let text = fs::read_to_string(&lock).unwrap_or_else(|e| panic!("{e}"));
    let (one, two) = (digest(&artifact("echo").1), digest(&artifact("extractive").1));
    assert!(text.contains(&one) && text.contains(&two), "{text}");
    fs::write(&lock, text.replace(&one, &two)).unwrap_or_else(|e| panic!("{e}"));
    let run = sample(&place, &[]);
    assert!(left_aside(&run).contains("understudy.lock`, which belongs to it, has changed"), "{}", run.stderr);
    fs::remove_file(&lock).unwrap_or_else(|e| panic!("{e}"));
    let _ = left_aside(&sample(&place, &[]));
    fs::write(&lock, text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(model(&sample(&place, &[]).ok()), "echo");
}
