//! Compiles guest crates of this workspace to components without a single import, from a build script.
//!
//! `wasm32-unknown-unknown` gives core modules that import nothing; `wit-component` makes components of them. The target
//! comes from rustup (`make setup`). Where rustup can't be had, Debian's `rustc-web` with `rust-web-src` builds the standard
//! library for it.
#![expect(clippy::print_stdout, reason = "that is how a build script speaks to cargo")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A guest crate.
#[derive(Debug)]
pub struct Guest<'a> {
    /// Its package.
    pub package: &'a str,
    /// Its folder in the workspace.
    pub folder: PathBuf,
}

/// Compiles the guests: their components.
///
/// # Errors
/// If one doesn't compile, or the compile target is missing.
pub fn build(workspace: &Path, guests: &[Guest]) -> Result<Vec<Vec<u8>>> {
    let watched = ["wit", "plugins/sdk/src", "plugins/sdk/Cargo.toml", "Cargo.toml", "Cargo.lock"];
    for path in watched {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for guest in guests {
        for path in ["src", "Cargo.toml"] {
            println!("cargo::rerun-if-changed={}", workspace.join(&guest.folder).join(path).display());
        }
    }
    let packages: Vec<&str> = guests.iter().map(|guest| guest.package).collect();
    let modules = compile(workspace, &packages, &target_dir(&out()?))?;
    let component = |guest: &Guest| {
        let module = modules.join(format!("{}.wasm", guest.package.replace('-', "_")));
        let bytes = fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
        ComponentEncoder::default().validate(true).module(&bytes)?.encode()
    };
    guests.iter().map(component).collect()
}

/// Writes `OUT_DIR/FILE`, an array of `ENTRY { name, …, BYTES }`: BYTES is the field that holds the last of each, and … are
/// other fields.
///
/// # Errors
/// If it can't be written.
pub fn list<'a>(
    file: &str,
    entry: &str,
    bytes: &str,
    of: impl IntoIterator<Item = (&'a str, String, Vec<u8>)>,
) -> Result<()> {
    let mut list = String::from("&[\n");
    for (name, others, content) in of {
        fs::write(out()?.join(name), content)?;
        let included = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))");
        writeln!(list, "    {entry} {{ name: {name:?}, {others}{bytes}: {included} }},")?;
    }
    list.push(']');
    fs::write(out()?.join(file), list)?;
    Ok(())
}

fn out() -> Result<PathBuf> {
    Ok(PathBuf::from(env::var("OUT_DIR")?))
}

/// Where guests are compiled: a folder of its own, because the outer cargo holds the lock of the usual one. It is the same for all build
/// scripts and however the host is compiled (for clippy, for the fuzzer), so that no guest is compiled twice.
fn target_dir(out: &Path) -> PathBuf {
    // TARGET/PROFILE/build/PACKAGE-HASH/out
    out.ancestors().nth(4).unwrap_or(out).join("guests")
}

/// Compiles the packages; the folder with the core modules.
fn compile(workspace: &Path, packages: &[&str], target_dir: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.current_dir(workspace).args(["build", "--profile", "guest", "--target", TARGET]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    // None of the flags that are meant for the host (coverage, sanitizers, clippy).
    cargo.env("CARGO_TARGET_DIR", target_dir);
    for (name, _) in env::vars() {
        let of_the_host = name.starts_with("CARGO_FEATURE_") || name.starts_with("CARGO_CFG_");
        let flags = ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"];
        if of_the_host || flags.contains(&name.as_str()) {
            cargo.env_remove(name);
        }
    }
    if !has_target(&env::var("RUSTC")?)? {
        ensure!(
            Path::new(DEBIAN_RUSTC).exists(),
            "the plugins need the compile target {TARGET}, and it is not installed; run `make setup`, or by hand `rustup target \
             add {TARGET}`; without rustup, Debian's packages rustc-web, rust-web-src and rust-web-llvm will do ({DEBIAN_RUSTC} is not there)"
        );
        cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
    }
    let status = cargo.status().context("starting cargo for the plugins")?;
    if !status.success() {
        bail!("the plugins don't compile; see cargo's messages above");
    }
    Ok(target_dir.join(TARGET).join("guest"))
}

/// Whether this compiler has the standard library for the target.
fn has_target(rustc: &str) -> Result<bool> {
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    Ok(output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists())
}
