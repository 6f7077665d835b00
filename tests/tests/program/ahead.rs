//! Components compiled ahead of time, and what is shown while one is compiled.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use understudy_tests::guests;
use understudy_tests::program::{Place, run};
use understudy_tests::session::sampling;
use understudy_tests::terminal;
use wasm_encoder::{
    CodeSection, Component, Function, FunctionSection, Instruction, Module, ModuleSection, TypeSection,
};

/// What stands before the machine code: a magic number, the digest of the rest, the component's digest and its size.
const DIGEST_AT: usize = 16;
const REST_AT: usize = DIGEST_AT + 32;
const CODE_AT: usize = REST_AT + 32 + 8;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// The file with this from the rest on, and a digest that fits.
fn with_rest(file: &[u8], rest: &[u8]) -> Vec<u8> {
    [&file[..DIGEST_AT], &Sha256::digest(rest), rest].concat()
}

#[test]
fn a_plugin_compiled_ahead_of_time_is_the_same_plugin() {
    let place = Place::new();
    let run_here = |args: &[&str]| run(place.understudy(args), &sampling(1, "hello")["params"].to_string());
    let compiled = run_here(&["plugin", "compile", "echo"]).ok();
    assert!(compiled.stderr.contains("`echo.cwasm` holds the component"), "{}", compiled.stderr);
    let answer: Value =
        serde_json::from_str(&run_here(&["sample", "--plugin", "./echo.cwasm"]).ok().stdout).unwrap_or_default();
    assert_eq!(answer["content"]["text"], "hello");
    // It is known by the component that it was made of.
    let facts = |plugin: &str| -> Value {
        serde_json::from_str(&run_here(&["plugin", "inspect", plugin, "--json"]).ok().stdout).unwrap_or_default()
    };
    let (built_in, ahead) = (facts("echo"), facts("./echo.cwasm"));
    assert_eq!((&built_in["sha256"], &built_in["size"]), (&ahead["sha256"], &ahead["size"]));
    assert!(run_here(&["plugin", "check", "./echo.cwasm"]).ok().stdout.contains("keeps every rule"));

    let guest = guests::write("planted", place.path());
    let _ = run_here(&["plugin", "compile", &guest.to_string_lossy(), "--output", "mine.bin"]).ok();
    let pinned =
        |sha256: &str| json!({ "plugins": { "mine": { "component": "mine.bin", "sha256": sha256 } } }).to_string();
    let _ = place.file("understudy.json", pinned(&format!("{:064}", 0)));
    let refused = run_here(&["plugin", "check", "mine"]);
    assert!(refused.stderr.contains("and the config pins 000"), "{}", refused.stderr);
    let found = facts("./mine.bin")["sha256"].as_str().unwrap_or_default().to_owned();
    let _ = place.file("understudy.json", pinned(&found));
    let _ = run_here(&["plugin", "check", "mine"]).ok();

    let over = run_here(&["plugin", "compile", "./mine.bin", "-o", "./mine.bin"]);
    assert_eq!((over.code(), over.stderr.contains("would be written over")), (2, true), "{}", over.stderr);
    let none = run_here(&["plugin", "compile", &place.file("no.wasm", "hello").to_string_lossy()]);
    assert_eq!((none.code(), none.stderr.contains("not a WebAssembly component")), (1, true), "{}", none.stderr);
    assert!(!place.path().join("no.cwasm").exists());
}

#[test]
fn what_others_can_have_written_is_damaged_or_is_for_another_host_is_not_loaded() {
    let place = Place::new();
    let _ = place.run(["plugin", "compile", "echo", "--output", "good.cwasm"]).ok();
    let good = fs::read(place.path().join("good.cwasm")).unwrap_or_default();
    let mut damaged = good.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    // An ELF file like wasmtime's, of another version.
    let mut code = good[CODE_AT..].to_vec();
    let wasmtime =
        memchr::memmem::find(&code, b".wasmtime.engine").unwrap_or_else(|| panic!("no header of wasmtime's"));
    code[wasmtime + 1] = b'W';
    let foreign = with_rest(&good, &[&good[REST_AT..CODE_AT], &code].concat());
    let garbage = with_rest(&good, &[&good[REST_AT..CODE_AT], b"no machine code"].concat());
    let short = with_rest(&good, b"short");
    let cases = [
        ("damaged", damaged, "it is damaged: its digest doesn't fit"),
        ("cut", good[..CODE_AT - 1].to_vec(), "it is damaged"),
        ("short", short, "it is damaged"),
        (
            "foreign",
            foreign,
            "it was compiled by another version of Understudy, with other settings, or for another machine",
        ),
        ("garbage", garbage, "it was compiled by another version"),
    ];
    for (name, bytes, said) in cases {
        let file = place.file(&format!("{name}.cwasm"), bytes);
        set_mode(&file, 0o600);
        let run = place.run(["plugin", "check", &file.to_string_lossy()]);
        assert_eq!((run.code(), run.stderr.contains(said)), (1, true), "{name}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stderr.contains("make it here") && run.stderr.contains("`understudy plugin compile`"),
            "{}",
            run.stderr
        );
    }
    let file = place.file("open.cwasm", &good);
    set_mode(&file, 0o666);
    let run = place.run(["plugin", "inspect", "./open.cwasm"]);
    assert!(run.code() == 1 && run.stderr.contains("others can write to `./open.cwasm`"), "{}", run.stderr);
    set_mode(&file, 0o644);
    let _ = place.run(["plugin", "inspect", "./open.cwasm"]).ok();
    let folder = place.path().join("shared");
    fs::create_dir(&folder).unwrap_or_else(|e| panic!("{e}"));
    let file = place.file("shared/x.cwasm", &good);
    set_mode(&file, 0o644);
    set_mode(&folder, 0o777);
    let run = place.run(["plugin", "inspect", "shared/x.cwasm"]);
    assert!(
        run.code() == 1 && run.stderr.contains("others can write to `") && run.stderr.contains("/shared`"),
        "{}",
        run.stderr
    );
}

/// A component that takes the compiler a second or more, and is no plugin.
fn large() -> Vec<u8> {
    let mut module = Module::new();
    let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([wasm_encoder::ValType::I64], [wasm_encoder::ValType::I64]);
    for n in 0..4_000_i64 {
        functions.function(0);
        let mut function = Function::new([]);
        function.instruction(&Instruction::LocalGet(0));
        for m in 0..60 {
            function.instruction(&Instruction::I64Const(n * 1000 + m)).instruction(&Instruction::I64Mul);
            function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::I64Xor);
        }
        function.instruction(&Instruction::End);
        code.function(&function);
    }
    module.section(&types).section(&functions).section(&code);
    let mut component = Component::new();
    component.section(&ModuleSection(&module));
    component.finish()
}

#[test]
fn a_terminal_shows_what_is_being_compiled_and_a_log_does_not() {
    let place = Place::new();
    let file = place.file("large.wasm", large());
    let command = || {
        let mut command = place.understudy(["plugin", "inspect", &file.to_string_lossy()]);
        // It is to be compiled each time.
        command.env("XDG_CACHE_HOME", place.path().join(format!("cache-{}", fastrand::u64(..))));
        command
    };
    let shown = terminal::run(command());
    assert!(shown.contains("compiling `large` (") && shown.contains(" MiB), once for this version … "), "{shown}");
    let (line, after) = shown.rsplit_once('…').unwrap_or_default();
    assert!(line.starts_with('\r') && after.contains("\r\u{1b}[K"), "{shown:?}");
    assert!(shown.contains("`large` is no sampling plugin"), "{shown}");
    let logged = run(command(), "");
    assert!(
        !logged.stderr.contains("compiling") && logged.stderr.contains("is no sampling plugin"),
        "{}",
        logged.stderr
    );
}
