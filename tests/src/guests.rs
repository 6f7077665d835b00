//! The misbehaving guests, compiled by `build.rs`.

use std::path::PathBuf;

/// A guest.
#[derive(Debug)]
pub struct Guest {
    /// Its name.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
}

/// All of them.
pub const GUESTS: &[Guest] = include!(concat!(env!("OUT_DIR"), "/list.rs"));

/// Writes a guest's component into a folder; its path.
#[must_use]
pub fn write(name: &str, folder: &std::path::Path) -> PathBuf {
    let guest = GUESTS.iter().find(|guest| guest.name == name).unwrap_or_else(|| panic!("no guest `{name}`"));
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, guest.component).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}
