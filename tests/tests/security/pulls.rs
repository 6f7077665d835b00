//! What a hostile registry can do.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use understudy_tests::program::{Place, Run};
use understudy_tests::provider::{Provider, Request, begin, respond};
use understudy_tests::registry::{PASSWORD, Signer, USER};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BLOB: &[u8] = b"\0asm\x0d\0\x01\0";
const MEBIBYTE: usize = 1 << 20;

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn manifest(size: usize, annotations: &Value) -> String {
    let config = json!({ "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest_of(b"{}"), "size": 2 });
    let layer = json!({ "mediaType": "application/wasm", "digest": digest_of(BLOB), "size": size });
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer], "annotations": annotations })
        .to_string()
}

/// What is asked: `manifest`, `signature`, `referrers`, `blob`, or the path.
fn asked(request: &Request) -> String {
    let path = request.line.split(' ').nth(1).unwrap_or_default();
    let kinds = [(".sig", "signature"), ("/manifests/", "manifest"), ("/referrers/", "referrers"), ("/blobs/", "blob")];
    let kind = kinds.iter().find(|(part, _)| path.contains(part));
    kind.map_or(path, |(_, kind)| kind).to_owned()
}

/// What a good registry answers.
fn well(request: &Request, stream: &mut TcpStream) {
    match asked(request).as_str() {
        "manifest" => {
            respond(
                stream,
                "200 OK",
                &format!("content-type: {MANIFEST}\r\n"),
                manifest(BLOB.len(), &json!({})).as_bytes(),
            );
        }
        "blob" => respond(stream, "200 OK", "", BLOB),
        _ => respond(stream, "404 Not Found", "", b"{}"),
    }
}

/// A registry that answers this otherwise.
fn registry(what: &'static str, otherwise: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Provider {
    Provider::start(
        move |request, stream, _| {
            if asked(request) == what { otherwise(request, stream) } else { well(request, stream) }
        },
    )
}

fn host(provider: &Provider) -> &str {
    provider.url.trim_start_matches("http://")
}

fn pull(place: &Place, registry: &Provider, more: &[&str]) -> Run {
    let reference = format!("oci://{}/a/b:1", host(registry));
    place.run(["plugin", "pull", &reference].iter().chain(more))
}

fn refusal(run: &Run, words: &str) {
    assert!(run.code() != 0 && run.stderr.contains(words), "not `{words}`: {}{}", run.stdout, run.stderr);
}

fn login(place: &Place, registry: &Provider) {
    let auth = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let _ = place.file("config.json", json!({ "auths": { host(registry): { "auth": auth } } }).to_string());
}

/// Pours 600 MiB out, or what is wanted of them; how many bytes that were.
fn pour(stream: &mut TcpStream, poured: &AtomicUsize) {
    begin(stream, MANIFEST);
    let piece = [b"100000\r\n".as_slice(), &[b' '; MEBIBYTE], b"\r\n"].concat();
    for _ in 0..600 {
        if stream.write_all(&piece).is_err() {
            return;
        }
        poured.fetch_add(MEBIBYTE, Ordering::SeqCst);
    }
}

#[test]
fn whatever_comes_without_end_is_left_soon() {
    let place = Place::new();
    let key = Signer::new();
    let key = key.public_key();
    for what in ["manifest", "signature", "referrers", "blob", "/token"] {
        let poured = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&poured);
        let registry = Provider::start(move |request, stream, _| {
            let is_shown = request.headers.contains_key("authorization");
            if asked(request).starts_with(what) {
                pour(stream, &counted);
            } else if what == "/token" && !is_shown {
                let realm = format!("www-authenticate: Bearer realm=\"http://{}/token\"\r\n", request.headers["host"]);
                respond(stream, "401 Unauthorized", &realm, b"{}");
            } else {
                well(request, stream);
            }
        });
        let run = pull(&place, &registry, &["--key", &key.to_string_lossy()]);
        if what == "blob" {
            // It isn't signed, so nobody asks for it.
            refusal(&run, "it isn't signed");
            refusal(&pull(&place, &registry, &[]), "it sent more than 8 bytes");
        } else {
            refusal(&run, "it sent more than");
        }
        // What is sent beyond what is read waits in the sockets.
        let poured = poured.load(Ordering::SeqCst) / MEBIBYTE;
        assert!(poured < 40, "{what}: {poured} MiB");
    }
}

#[test]
fn signatures_are_asked_for_only_where_somebody_trusts_one() {
    let place = Place::new();
    let registry = registry("referrers", |_, stream| pour(stream, &AtomicUsize::new(0)));
    let _ = pull(&place, &registry, &[]).ok();
    let all: Vec<String> = registry.seen().iter().map(asked).collect();
    assert_eq!(all, ["manifest", "blob"]);
}

#[test]
fn what_is_not_as_its_manifest_says_is_refused() {
    let place = Place::new();
    let lies = registry("manifest", |_, stream| respond(stream, "200 OK", "", manifest(1, &json!({})).as_bytes()));
    refusal(&pull(&place, &lies, &[]), "it sent more than 1 bytes");
    let other = registry("blob", |_, stream| respond(stream, "200 OK", "", b"12345678"));
    refusal(&pull(&place, &other, &[]), "it sent another blob");
}

/// A registry whose tokens come from this place, and which asks for one.
fn with_tokens(realm: impl Fn(&Request) -> String + Send + Sync + 'static) -> Provider {
    Provider::start(move |request, stream, _| {
        let shown = request.headers.get("authorization").map(String::as_str);
        if asked(request).starts_with("/token") {
            respond(stream, "200 OK", "", br#"{"token":"t0ken"}"#);
        } else if shown == Some("Bearer t0ken") {
            well(request, stream);
        } else {
            let wants = format!("www-authenticate: Bearer realm=\"{}\",service=\"s\"\r\n", realm(request));
            respond(stream, "401 Unauthorized", &wants, b"{}");
        }
    })
}

#[test]
fn a_login_goes_to_its_registry_and_to_whom_the_user_names_alone() {
    let place = Place::new();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")));
    // Its own tokens.
    let own = with_tokens(|request| format!("http://{}/token", request.headers["host"]));
    login(&place, &own);
    let _ = pull(&place, &own, &[]).ok();
    let to_token: Vec<Request> = own.seen().into_iter().filter(|seen| asked(seen).starts_with("/token")).collect();
    assert!(to_token[0].line.contains("service=s") && to_token[0].line.contains("scope=repository%3Aa%2Fb%3Apull"));
    assert!(to_token.iter().all(|seen| seen.headers["authorization"] == basic));

    // Somebody else's, in each way to write where that is.
    let other = Provider::answering("200 OK", "", br#"{"token":"t0ken"}"#.to_vec());
    let port = other.url.rsplit(':').next().unwrap_or_default().to_owned();
    for realm in [
        other.url.clone(),
        format!("{}/t", other.url),
        format!("http://localhost:{port}/t"),
        format!("//127.0.0.1:{port}/t"),
        format!("http://user:pw@127.0.0.1:{port}/t"),
        "https://token.example.com/t".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let named = realm.clone();
        let evil = with_tokens(move |_| named.clone());
        login(&place, &evil);
        let run = pull(&place, &evil, &[]);
        refusal(&run, "it wants its login sent to ");
        refusal(&run, "--realm ");
        assert!(!run.stderr.contains(PASSWORD), "{}", run.stderr);
        let _ = std::fs::remove_file(place.path().join("config.json"));
        // Without a login nobody is asked there either, but for the internet's own.
        if realm.contains(&port) {
            refusal(&pull(&place, &evil, &[]), "it sends us to ");
        }
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());

    // The user says that it belongs to it.
    let realm = format!("{}/t", other.url);
    let named = with_tokens(move |_| realm.clone());
    login(&place, &named);
    let _ = pull(&place, &named, &["--realm", &other.url]).ok();
    assert_eq!(other.seen().remove(0).headers["authorization"], basic);
}

#[test]
fn a_registry_sends_nobody_to_this_machine_or_to_its_network() {
    let place = Place::new();
    let other = Provider::answering("200 OK", "", BLOB.to_vec());
    let port = other.url.rsplit(':').next().unwrap_or_default().to_owned();
    for to in [
        format!("{}/internal", other.url),
        format!("http://localhost:{port}/internal"),
        format!("http://[::ffff:127.0.0.1]:{port}/internal"),
        format!("https://127.0.0.1:{port}/internal"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        for what in ["blob", "manifest"] {
            let to = to.clone();
            let registry = registry(what, move |_, stream| {
                respond(stream, "307 Temporary Redirect", &format!("location: {to}\r\n"), b"");
            });
            login(&place, &registry);
            refusal(&pull(&place, &registry, &[]), "it sends us to ");
        }
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());

    // To another path of its own it may, but not for ever.
    let moved = registry("blob", |request, stream| {
        if request.line.contains("/moved") {
            respond(stream, "200 OK", "", BLOB);
        } else {
            respond(stream, "302 Found", "location: /v2/a/b/blobs/moved\r\n", b"");
        }
    });
    let _ = pull(&place, &moved, &[]).ok();
    let place = Place::new();
    let round = registry("blob", |_, stream| respond(stream, "302 Found", "location: /v2/a/b/blobs/x\r\n", b""));
    refusal(&pull(&place, &round, &[]), "it sends us on more than 5 times");
}

#[test]
fn an_upload_goes_to_its_registry() {
    let place = Place::new();
    let other = Provider::answering("201 Created", "", "");
    let to = format!("{}/upload", other.url);
    let registry = Provider::start(move |request, stream, _| {
        if request.line.starts_with("POST") {
            respond(stream, "202 Accepted", &format!("location: {to}\r\n"), b"");
        } else {
            respond(stream, "404 Not Found", "", b"{}");
        }
    });
    login(&place, &registry);
    let reference = format!("oci://{}/a/b:1", host(&registry));
    refusal(&place.run(["plugin", "push", "echo", &reference]), "it sends us to ");
    assert!(other.seen().is_empty(), "{:?}", other.seen());
}

#[test]
fn a_credential_helper_is_a_program_and_no_path() {
    let (place, registry) = (Place::new(), registry("x", |_, _| {}));
    for name in ["../../../tmp/evil", "a b", "a/b"] {
        let _ = place.file("config.json", json!({ "credHelpers": { host(&registry): name } }).to_string());
        refusal(&pull(&place, &registry, &[]), "which is no program's name");
    }
}

#[test]
fn a_tag_that_goes_back_is_not_followed_unless_that_is_said() {
    let place = Place::new();
    let now = Arc::new(Mutex::new(String::new()));
    let answer = Arc::clone(&now);
    let registry = registry("manifest", move |_, stream| {
        let manifest = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        respond(stream, "200 OK", "", manifest.as_bytes());
    });
    let reference = format!("oci://{}/a/b:1", host(&registry));
    let config = json!({ "plugins": { "p": { "component": reference } } });
    let _ = place.file("understudy.json", config.to_string());
    let is = |key: &str, value: &str| {
        let manifest = manifest(BLOB.len(), &json!({ format!("org.opencontainers.image.{key}"): value }));
        *now.lock().unwrap_or_else(PoisonError::into_inner) = manifest;
    };
    let update = |more: &[&str]| {
        let config = place.path().join("understudy.json");
        let config = config.to_string_lossy().into_owned();
        place.run(["plugin", "pull", "--update", "--config", &config].iter().chain(more))
    };
    for (key, old, new) in [("version", "1.9.0", "1.10.0"), ("created", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")]
    {
        is(key, new);
        let _ = update(&[]).ok();
        is(key, old);
        let back = update(&[]);
        refusal(&back, old);
        refusal(&back, "say `--allow-older` if that is meant");
        let pinned = std::fs::read_to_string(place.path().join("understudy.lock")).unwrap_or_default();
        let _ = update(&["--allow-older"]).ok();
        assert_ne!(std::fs::read_to_string(place.path().join("understudy.lock")).unwrap_or_default(), pinned);
        is(key, new);
        let _ = update(&[]).ok();
    }
}
