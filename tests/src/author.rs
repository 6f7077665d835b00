//! An author at work: a new plugin in each language, built as its README says, with the tools that `make setup` installs.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::peers::installed;
use crate::program::{Place, Run, binary, cache, run_within};

/// How long a compiler may take that has to compile its own library first, or a component of an interpreter.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// The compile target of Rust's plugins.
const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// Begins a plugin and builds it; its component.
#[must_use]
pub fn written(place: &Place, name: &str, language: &str, world: &str) -> PathBuf {
    let _ = place.run(["plugin", "new", name, "--lang", language, "--world", world]).ok();
    let folder = place.path().join(name);
    prepare(&folder, language);
    let mut make = Command::new("make");
    make.current_dir(&folder);
    in_the_workshop(&mut make);
    let _ = run_within(PATIENCE, make, "").ok();
    let component = folder.join(format!("{name}.wasm"));
    assert!(component.is_file(), "`make` made no {}", component.display());
    component
}

/// Runs a script as an author would type it, with the program and the tools at hand.
#[must_use]
pub fn shell(place: &Place, script: &str, variables: &[(&str, &str)]) -> Run {
    let program = binary("understudy");
    let mut bash = Command::new("bash");
    bash.current_dir(place.path()).args(["-c", script]);
    // With nothing of the user's in sight, as every run of the program.
    for (name, value) in place.understudy([""; 0]).get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    in_the_workshop(&mut bash);
    let paths = program.parent().map(Path::to_path_buf).into_iter();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(paths.chain(std::env::split_paths(&others)));
    bash.env("PATH", path.unwrap_or_else(|e| panic!("{e}"))).envs(variables.iter().copied());
    run_within(PATIENCE, bash, "")
}

/// What would come over the network otherwise.
fn prepare(folder: &Path, language: &str) {
    let done = match language {
        "javascript" | "typescript" => symlink(installed("typescript/node_modules"), folder.join("node_modules")),
        // The versions that are here already.
        "rust" => std::fs::copy(crate::peers::workspace().join("Cargo.lock"), folder.join("Cargo.lock")).map(|_| ()),
        _ => Ok(()),
    };
    done.unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
}

/// The tools of all languages, and nothing but this machine to fetch anything from.
fn in_the_workshop(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name == "CARGO" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let kept = |name: &str| cache().join("authors").join(name);
    command.env("UNDERSTUDY", binary("understudy")).env("XDG_CACHE_HOME", cache());
    command.env("VENV", installed("compilers")).env("ZIG_GLOBAL_CACHE_DIR", kept("zig"));
    command.env("GO", installed("compilers/bin/go")).env("GOCACHE", kept("go")).env("GOMODCACHE", kept("go-modules"));
    command
        .env("GOPROXY", format!("file://{}", installed("compilers/goproxy")))
        .env("GOSUMDB", "off")
        .env("GOFLAGS", "-modcacherw");
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", kept("rust"));
    if !has_rust_target() {
        // Debian's compiler, which `make setup` installs where rustup can't add the target.
        command
            .env("RUSTC", "/usr/bin/rustc")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
    }
}

fn has_rust_target() -> bool {
    let found = Command::new("rustc").args(["--print", "target-libdir", "--target", RUST_TARGET]).output();
    let folder = found.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    !folder.is_empty() && Path::new(&folder).is_dir()
}
