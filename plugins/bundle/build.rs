//! Compiles the built-in plugins.

use std::path::PathBuf;

use understudy_componentize::{Guest, build};

/// What is bundled: the folders beside this one.
const PLUGINS: [&str; 6] = ["echo", "extractive", "anthropic", "openai", "gemini", "ollama"];

fn main() -> anyhow::Result<()> {
    let workspace = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let packages: Vec<String> = PLUGINS.iter().map(|name| format!("understudy-plugin-{name}")).collect();
    let guests: Vec<(&str, Guest)> = PLUGINS
        .iter()
        .zip(&packages)
        .map(|(name, package)| (*name, Guest { package, folder: PathBuf::from("plugins").join(name) }))
        .collect();
    build(&workspace, &guests, "BuiltIn")
}
