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

fn component(name: &str) -> &'static [u8] {
    let guest = GUESTS.iter().find(|guest| guest.name == name);
    guest.unwrap_or_else(|| panic!("no guest `{name}`")).component
}

/// Writes a guest's component into a folder; its path.
#[must_use]
pub fn write(name: &str, folder: &std::path::Path) -> PathBuf {
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, component(name)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// The guest `planted` with this in its place for a fault: the word of one, or `version …`.
#[must_use]
pub fn planted(word: &str) -> Vec<u8> {
    with_word("planted", word)
}

/// The guest `guard` of this version.
#[must_use]
pub fn guard(version: &str) -> Vec<u8> {
    with_word("guard", version)
}

fn with_word(name: &str, word: &str) -> Vec<u8> {
    let mut bytes = component(name).to_vec();
    let finds: Vec<usize> = memchr::memmem::find_iter(&bytes, b"planted=none    ").collect();
    let [place] = finds[..] else { panic!("the guest has one place for its fault") };
    let padded = format!("{word:39}");
    let from = place + "planted=".len();
    bytes.splice(from..from + padded.len(), padded.into_bytes());
    bytes
}
