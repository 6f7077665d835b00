//! Compiles the built-in plugins and guards, and packs them.

use std::path::{Path, PathBuf};

use miniz_oxide::deflate::compress_to_vec;
use sha2::{Digest, Sha256};
use understudy_componentize::{Guest, build, list};

/// What is bundled: the folders beside this one.
const BUNDLED: [BuiltIn; 7] = [
    BuiltIn::without_credential("echo"),
    BuiltIn::without_credential("extractive"),
    BuiltIn {
        name: "anthropic",
        secrets: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"],
        // code.claude.com/docs/en/authentication, "Authentication precedence"; the token is the one for gateways.
        credentials: &[("ANTHROPIC_AUTH_TOKEN", Some("bearer")), ("ANTHROPIC_API_KEY", None)],
    },
    BuiltIn {
        name: "openai",
        secrets: &["OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"],
        credentials: &[("OPENAI_API_KEY", None)],
    },
    BuiltIn {
        name: "gemini",
        secrets: &["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"],
        // ai.google.dev/gemini-api/docs/api-key: "if both are set, GOOGLE_API_KEY takes precedence".
        credentials: &[("GOOGLE_API_KEY", None), ("GEMINI_API_KEY", None)],
    },
    BuiltIn { name: "ollama", secrets: &["OLLAMA_API_KEY"], credentials: &[("OLLAMA_API_KEY", None)] },
    BuiltIn::without_credential("secrets"),
];

/// Those among them that are guards.
const GUARDS: [&str; 1] = ["secrets"];

struct BuiltIn {
    name: &'static str,
    /// The environment variables that the provider's own tools know for secrets, that of the plugin's description first.
    secrets: &'static [&'static str],
    /// Those that the credential is taken from, the first choice first, each with its scheme where that isn't the description's.
    credentials: &'static [(&'static str, Option<&'static str>)],
}

impl BuiltIn {
    const fn without_credential(name: &'static str) -> Self {
        Self { name, secrets: &[], credentials: &[] }
    }
}

/// The components that a package from a registry brings; none in the repository.
fn packed(folder: &Path) -> anyhow::Result<Option<Vec<Vec<u8>>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    println!("cargo::rerun-if-changed={}", folder.display());
    let read = |plugin: &BuiltIn| std::fs::read(folder.join(format!("{}.wasm", plugin.name)));
    Ok(Some(BUNDLED.iter().map(read).collect::<Result<_, _>>()?))
}

/// The components of the plugins whose folders lie beside this one.
fn compiled(here: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let workspace = here.join("../..").canonicalize()?;
    let packages = BUNDLED.map(|plugin| format!("understudy-plugin-{}", plugin.name));
    let named = BUNDLED.iter().zip(&packages);
    let guests: Vec<Guest> =
        named.map(|(plugin, package)| Guest { package, folder: PathBuf::from("plugins").join(plugin.name) }).collect();
    build(&workspace, &guests)
}

/// The smallest that miniz makes.
const LEVEL: u8 = 10;

fn main() -> anyhow::Result<()> {
    let here = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let components = match packed(&here.join("packed"))? {
        Some(components) => components,
        None => compiled(&here)?,
    };
    let entries = BUNDLED.into_iter().zip(components).map(|(plugin, component)| {
        let BuiltIn { name, secrets, credentials } = plugin;
        let (size, sha256) = (component.len(), hex::encode(Sha256::digest(&component)));
        let facts = format!("size: {size}, sha256: {sha256:?}, secrets: &{secrets:?}, credentials: &{credentials:?}, ");
        (name, facts, compress_to_vec(&component, LEVEL))
    });
    let (guards, plugins): (Vec<_>, Vec<_>) = entries.partition(|(name, ..)| GUARDS.contains(name));
    list("list.rs", "BuiltIn", "packed", plugins)?;
    list("guards.rs", "BuiltIn", "packed", guards)
}
