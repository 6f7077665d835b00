//! Components that were made for an interface that is almost ours.
#![expect(clippy::panic, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use understudy_tests::program::{Place, run};
use wit_bindgen_core::wit_parser::{ManglingAndAbi, Resolve};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};

/// What of `wit/` each exported function has for itself: the file, what stands there, and another type in its place.
const CHANGES: [(&str, &str, &str, &str); 4] = [
    ("describe", "types.wit", "        version: string,\n", "        version: u32,\n"),
    ("start", "types.wit", "        server: string,\n", "        server: u32,\n"),
    ("resume", "types.wit", "record http-response {", "record http-response {\n        age: u32,\n"),
    ("next", "provider.wit", "record message {", "record message {\n        age: u32,\n"),
];

/// A component whose functions have the right names and do nothing but trap.
fn component(wit: &Path) -> Vec<u8> {
    let made = || -> anyhow::Result<Vec<u8>> {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(wit)?;
        let world = resolve.select_world(&[package], Some("streaming-provider-plugin"))?;
        let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        ComponentEncoder::default().validate(true).module(&module)?.encode()
    };
    made().unwrap_or_else(|e| panic!("{}: {e:#}", wit.display()))
}

/// What is said of a component whose interface is ours, but for one change.
fn said_of(change: Option<(&str, &str, &str)>) -> String {
    let place = Place::new();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    fs::create_dir(place.path().join("wit")).unwrap_or_else(|e| panic!("{e}"));
    for name in ["guard.wit", "handler.wit", "provider.wit", "types.wit", "world.wit"] {
        let text = read(&ours.join(name));
        let text = match change {
            Some((file, from, to)) if file == name => {
                assert_eq!(text.matches(from).count(), 1, "`{from}` in {file}");
                text.replace(from, to)
            }
            _ => text,
        };
        let _ = place.file(&format!("wit/{name}"), text);
    }
    let _ = place.file("almost.wasm", component(&place.path().join("wit")));
    run(place.understudy(["plugin", "inspect", "./almost.wasm"]), "").stderr
}

#[test]
fn a_function_of_another_type_is_refused_when_the_plugin_is_loaded() {
    // With the right types it is called, and traps.
    let said = said_of(None);
    assert!(said.contains("unreachable") && !said.contains("another type"), "{said}");
    for (function, file, from, to) in CHANGES {
        let said = said_of(Some((file, from, to)));
        assert!(said.contains(&format!("its `{function}` has another type")), "{said}");
    }
}
