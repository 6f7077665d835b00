//! Compiles the built-in plugins, and packs them.

use std::path::PathBuf;

use miniz_oxide::deflate::compress_to_vec;
use sha2::{Digest, Sha256};
use understudy_componentize::{Guest, build, list};

/// What is bundled: the folders beside this one; and the environment variables that the providers' own tools take a
/// credential from, that of the plugin's description first.
const PLUGINS: [(&str, &[&str]); 6] = [
    ("echo", &[]),
    ("extractive", &[]),
    ("anthropic", &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]),
    ("openai", &["OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"]),
    ("gemini", &["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"]),
    ("ollama", &["OLLAMA_API_KEY"]),
];

/// The smallest that miniz makes.
const LEVEL: u8 = 10;

fn main() -> anyhow::Result<()> {
    let workspace = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let packages = PLUGINS.map(|(name, _)| format!("understudy-plugin-{name}"));
    let named = PLUGINS.iter().zip(&packages);
    let guests: Vec<Guest> =
        named.map(|((name, _), package)| Guest { package, folder: PathBuf::from("plugins").join(name) }).collect();
    let entries = PLUGINS.into_iter().zip(build(&workspace, &guests)?).map(|((name, secrets), component)| {
        let (size, sha256) = (component.len(), hex::encode(Sha256::digest(&component)));
        let facts = format!("size: {size}, sha256: {sha256:?}, secrets: &{secrets:?}, ");
        (name, facts, compress_to_vec(&component, LEVEL))
    });
    list("BuiltIn", "packed", entries)
}
