//! The templates' files. A test sees to it that none is missing.

use super::File;

/// Files of a folder, relative to the workspace; in a package from a registry, to its `templates` (`build.rs`).
macro_rules! files {
    ($folder:literal as $place:literal: $($file:literal),* $(,)?) => {
        &[$((concat!($place, $file), include_str!(concat!(env!("UNDERSTUDY_TEMPLATES"), "/", $folder, "/", $file)))),*]
    };
}

pub(super) const RUST: &[File] =
    files!("examples/plugins/rust" as "": "Cargo.toml", "Makefile", "README.md", "rust-toolchain.toml", "src/lib.rs");

pub(super) const TYPESCRIPT: &[File] = files!(
    "examples/plugins/typescript" as "": "Makefile", "README.md", "contract.d.ts", "package-lock.json", "package.json", "plugin.ts",
    "tsconfig.json"
);

pub(super) const JAVASCRIPT: &[File] = files!("examples/plugins/javascript" as "": "Makefile", "README.md", "package-lock.json", "package.json", "plugin.js");

pub(super) const PYTHON: &[File] =
    files!("examples/plugins/python" as "": "Makefile", "README.md", "app.py", "requirements.txt");

pub(super) const GO: &[File] = files!("examples/plugins/go" as "": "Makefile", "README.md", "export_understudy_plugin_provider/plugin.go", "go.mod", "main.go");

pub(super) const C: &[File] =
    files!("examples/plugins/c" as "": "Makefile", "README.md", "json.c", "json.h", "plugin.c", "requirements.txt");

pub(super) const JAVASCRIPT_HANDLER: &[File] =
    files!("examples/plugins/javascript-handler" as "": "README.md", "package-lock.json", "package.json", "plugin.js");

pub(super) const RUST_HANDLER: &[File] = files!(
    "examples/plugins/rust-handler" as "": "Cargo.toml", "Makefile", "README.md", "rust-toolchain.toml", "src/http.rs", "src/lib.rs"
);

pub(super) const RUST_GUARD: &[File] = files!("examples/plugins/rust-guard" as "": "Cargo.toml", "Makefile", "README.md", "rust-toolchain.toml", "src/lib.rs");

pub(super) const PYTHON_GUARD: &[File] =
    files!("examples/plugins/python-guard" as "": "Makefile", "README.md", "app.py", "requirements.txt");

pub(super) const GUARD_FIXTURES: &[File] = files!(
    "examples/plugins/guard-fixtures" as "fixtures/": "allow.json", "deny.json", "deny-system-prompt.json", "deny-tool-result.json",
    "redact-answer.json", "wrong-setting.json"
);

pub(super) const WIT: &[File] =
    files!("wit" as "wit/": "guard.wit", "handler.wit", "provider.wit", "types.wit", "world.wit");

pub(super) const FIXTURES: &[File] = files!(
    "examples/plugins/fixtures" as "fixtures/": "answer-not-json.json", "answer-without-text.json", "audio.json", "error-rate-limited.json",
    "error-html.json", "everything.json", "max-tokens.json", "no-model.json", "text.json", "tools.json", "unknown-block.json"
);

/// The guest crate and what its tests need, as a workspace of their own.
pub(super) const SDK: &[File] = &[("sdk/Cargo.toml", include_str!("sdk.toml"))];

pub(super) const SDK_PLUGIN: &[File] = files!(
    "plugins/sdk" as "sdk/understudy-plugin/": "Cargo.toml", "src/allocator.rs", "src/arguments.rs", "src/bindings.rs", "src/blocks.rs", "src/error.rs", "src/forced.rs", "src/guard_testing.rs", "src/guard_texts.rs", "src/halves.rs", "src/http.rs", "src/ids.rs", "src/json.rs", "src/lib.rs", "src/media.rs", "src/models.rs", "src/names.rs", "src/prefill.rs", "src/reason.rs", "src/refusal.rs", "src/schema.rs", "src/schema/draft.rs", "src/schema/properties.rs", "src/schema/references.rs", "src/schema/shapes.rs", "src/schema/tests.rs", "src/schema/top.rs", "src/schema/tree.rs", "src/settings.rs", "src/state.rs", "src/stops.rs", "src/stream.rs", "src/testing.rs", "src/text.rs", "src/turns.rs", "src/verdict.rs"
);

pub(super) const SDK_MCP_TYPES: &[File] = files!(
    "plugins/mcp-types" as "sdk/understudy-mcp-types/": "Cargo.toml", "src/content.rs", "src/fixture.rs", "src/guarded.rs", "src/lib.rs", "src/object.rs",
    "src/request.rs", "src/result.rs", "src/surrogates.rs", "src/validate.rs", "src/wit.rs"
);
