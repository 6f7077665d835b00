//! The real peers that `make setup` installs.

use std::path::{Path, PathBuf};

/// The workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}

/// An installed file of a peer's.
#[must_use]
pub fn installed(path: &str) -> String {
    let path = workspace().join("tests/peers/.installed").join(path);
    assert!(path.exists(), "`{}` is missing: run `make setup`", path.display());
    path.to_string_lossy().into_owned()
}

/// A script of `tests/peers/python`.
#[must_use]
pub fn script(name: &str) -> String {
    workspace().join("tests/peers/python").join(name).to_string_lossy().into_owned()
}

/// The command of server-everything on stdio.
#[must_use]
pub fn server_everything() -> Vec<String> {
    vec![node(), installed("node/node_modules/.bin/mcp-server-everything"), "stdio".to_owned()]
}

/// Node 24.
#[must_use]
pub fn node() -> String {
    installed("node/node_modules/.bin/node")
}

/// The Python with FastMCP.
#[must_use]
pub fn python() -> String {
    installed("fastmcp/bin/python")
}
