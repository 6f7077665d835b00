//! Compiles the built-in plugins, and packs them.

use std::path::PathBuf;

use miniz_oxide::deflate::compress_to_vec;
use sha2::{Digest, Sha256};
use understudy_componentize::{Guest, build, list};

/// What is bundled: the folders beside this one.
const PLUGINS: [BuiltIn; 6] = [
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
];

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

/// The smallest that miniz makes.
const LEVEL: u8 = 10;

fn main() -> anyhow::Result<()> {
    let workspace = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let packages = PLUGINS.map(|plugin| format!("understudy-plugin-{}", plugin.name));
    let named = PLUGINS.iter().zip(&packages);
    let guests: Vec<Guest> =
        named.map(|(plugin, package)| Guest { package, folder: PathBuf::from("plugins").join(plugin.name) }).collect();
    let entries = PLUGINS.into_iter().zip(build(&workspace, &guests)?).map(|(plugin, component)| {
        let BuiltIn { name, secrets, credentials } = plugin;
        let (size, sha256) = (component.len(), hex::encode(Sha256::digest(&component)));
        let facts = format!("size: {size}, sha256: {sha256:?}, secrets: &{secrets:?}, credentials: &{credentials:?}, ");
        (name, facts, compress_to_vec(&component, LEVEL))
    });
    list("BuiltIn", "packed", entries)
}
