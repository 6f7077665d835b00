//! Compiles the built-in plugins, and packs them.

use std::path::PathBuf;

use miniz_oxide::deflate::compress_to_vec;
use sha2::{Digest, Sha256};
use understudy_componentize::{Guest, build, list};

/// What is bundled: the folders beside this one.
const PLUGINS: [&str; 6] = ["echo", "extractive", "anthropic", "openai", "gemini", "ollama"];

/// The smallest that miniz makes.
const LEVEL: u8 = 10;

fn main() -> anyhow::Result<()> {
    let workspace = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let packages = PLUGINS.map(|name| format!("understudy-plugin-{name}"));
    let named = PLUGINS.iter().zip(&packages);
    let guests: Vec<Guest> =
        named.map(|(name, package)| Guest { package, folder: PathBuf::from("plugins").join(name) }).collect();
    let entries = PLUGINS.into_iter().zip(build(&workspace, &guests)?).map(|(name, component)| {
        let (size, sha256) = (component.len(), hex::encode(Sha256::digest(&component)));
        (name, format!("size: {size}, sha256: {sha256:?}, "), compress_to_vec(&component, LEVEL))
    });
    list("BuiltIn", "packed", entries)
}
