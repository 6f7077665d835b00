//! Compiles the built-in plugins to components without a single import.
//!
//! `wasm32-unknown-unknown` gives core modules that import nothing; `wit-component` makes components of them. The target
//! comes from rustup (`make setup`). Where rustup can't be had, Debian's `rustc-web` with `rust-web-src` builds the standard
//! library for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use wit_component::ComponentEncoder;

/// What is bundled: the folders beside this one.
const PLUGINS: [&str; 4] = ["echo", "extractive", "anthropic", "openai"];
const TARGET: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

fn main() -> Result<()> {
    let workspace = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for path in ["wit", "plugins/sdk/src", "plugins/sdk/Cargo.toml", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for plugin in PLUGINS {
        for path in ["src", "Cargo.toml"] {
            println!("cargo::rerun-if-changed={}", workspace.join("plugins").join(plugin).join(path).display());
        }
    }

    let modules = compile(&workspace, &out.join("guests"))?;
    let mut list = String::from("&[\n");
    for plugin in PLUGINS {
        let module = modules.join(format!("understudy_plugin_{plugin}.wasm"));
        let bytes = fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
        let component = ComponentEncoder::default().validate(true).module(&bytes)?.encode()?;
        let file = out.join(format!("{plugin}.wasm"));
        fs::write(&file, component)?;
        list.push_str(&format!("    BuiltIn {{ name: {plugin:?}, component: include_bytes!({file:?}) }},\n"));
    }
    list.push(']');
    fs::write(out.join("list.rs"), list)?;
    Ok(())
}

/// Compiles the plugins; the folder with the core modules.
fn compile(workspace: &Path, target_dir: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.current_dir(workspace).args(["build", "--profile", "guest", "--target", TARGET]);
    for plugin in PLUGINS {
        cargo.args(["--package", &format!("understudy-plugin-{plugin}")]);
    }
    // A folder of its own, because the outer cargo holds the lock of the usual one; and none of the flags that are meant for
    // the host (coverage, sanitizers, clippy).
    cargo.env("CARGO_TARGET_DIR", target_dir);
    for (name, _) in env::vars() {
        let of_the_host = name.starts_with("CARGO_FEATURE_") || name.starts_with("CARGO_CFG_");
        let flags = matches!(name.as_str(), "CARGO_ENCODED_RUSTFLAGS" | "RUSTFLAGS" | "RUSTC_WORKSPACE_WRAPPER" | "CLIPPY_ARGS");
        if of_the_host || flags {
            cargo.env_remove(name);
        }
    }
    if !has_target(&env::var("RUSTC")?)? {
        ensure!(
            Path::new(DEBIAN_RUSTC).exists(),
            "the built-in plugins need the compile target {TARGET}, and it is not installed; run `make setup`, or by hand \
             `rustup target add {TARGET}`; without rustup, Debian's packages rustc-web, rust-web-src and rust-web-llvm will do ({DEBIAN_RUSTC} is not there)"
        );
        cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
    }
    let status = cargo.status().context("starting cargo for the built-in plugins")?;
    if !status.success() {
        bail!("the built-in plugins don't compile; see cargo's messages above");
    }
    Ok(target_dir.join(TARGET).join("guest"))
}

/// Whether this compiler has the standard library for the target.
fn has_target(rustc: &str) -> Result<bool> {
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    Ok(output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists())
}
