//! Bindings of the contract for languages whose compilers know nothing of components, and components of what they compile to.

use std::io;
use std::path::Path;

use wasi_preview1_component_adapter_provider as adapter;
use wasmparser::{Parser, Payload};
use wit_bindgen_core::{Files, WorldGenerator, wit_parser};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, WorldId};

use crate::trust::file;

/// What the adapter for the older WASI stands for.
const PREVIEW1: &str = adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;

/// Why there are no bindings, or no component.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The contract can't be read.
    #[error("can't read the contract in `{folder}`: {reason}; `--wit DIR` names the folder that holds it")]
    Wit {
        /// The folder.
        folder: String,
        /// The cause.
        reason: String,
    },
    /// The contract can't be put into the language's words.
    #[error("can't make bindings of the contract in `{folder}`: {reason}")]
    Bindings {
        /// The folder.
        folder: String,
        /// The cause.
        reason: String,
    },
    /// A file can't be read or written.
    #[error("`{path}`: {cause}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        cause: io::Error,
    },
    /// The module isn't one that a component can be made of.
    #[error("no component can be made of `{path}`: {reason}")]
    Module {
        /// The file.
        path: String,
        /// The cause.
        reason: String,
    },
}

/// The languages that bindings are made for here. The others' own tools make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bindings {
    /// A header and a source for C, and an object that says which world it is.
    C,
    /// Packages for Go: the folder `bindings` of the module `understudy`.
    Go,
}

/// The Go module that a plugin is, and whose folder `bindings` holds what is generated: its names stand in there.
const GO_MODULE: &str = "understudy";

/// Writes the bindings of a world of the contract in `wit` into the folder `out`.
///
/// # Errors
/// If the contract can't be read, or the files can't be written.
pub fn bindings(language: Bindings, wit: &Path, world: &str, out: &Path) -> Result<(), ContractError> {
    let (mut resolve, id) = read(wit, world)?;
    let mut generator: Box<dyn WorldGenerator> = match language {
        Bindings::C => wit_bindgen_c::Opts::default().build(),
        Bindings::Go => {
            let (of_bindings, of_exports) = (Some(format!("{GO_MODULE}/bindings")), Some(GO_MODULE.to_owned()));
            let format = wit_bindgen_go::Format::False;
            wit_bindgen_go::Opts { format, pkg_name: of_bindings, export_pkg_name: of_exports, ..Default::default() }
                .build()
        }
    };
    let mut files = Files::default();
    let failed =
        |e: anyhow::Error| ContractError::Bindings { folder: wit.display().to_string(), reason: format!("{e:#}") };
    generator.generate(&mut resolve, id, &mut files).map_err(failed)?;
    files.iter().try_for_each(|(name, content)| match std::str::from_utf8(content) {
        Ok(text) if name.ends_with("wit_exports.go") => write(&out.join(name), with_whole_return_area(text).as_bytes()),
        _ => write(&out.join(name), content),
    })
}

/// Go's generator (0.61.1) asks for a return area as large as the largest result and aligned as the strictest one, which its own allocator
/// refuses where the one is no multiple of the other.
fn with_whole_return_area(exports: &str) -> String {
    let begin = "witRuntime.Allocate(&staticPinner, ";
    let rounded = exports.split_once(begin).and_then(|(before, rest)| {
        let (size, after) = rest.split_once(", 8)")?;
        Some(format!("{before}{begin}({size}+7)&^7, 8){after}"))
    });
    rounded.unwrap_or_else(|| exports.to_owned())
}

/// Makes a component of the core module in the file. Where the module doesn't say itself which world it is of, it is this one.
///
/// # Errors
/// If it can't be one.
pub fn componentize(module: &Path, wit: &Path, world: &str, out: &Path) -> Result<(), ContractError> {
    let path = || module.display().to_string();
    let failed = |reason: String| ContractError::Module { path: path(), reason };
    let mut bytes = std::fs::read(module).map_err(|cause| ContractError::File { path: path(), cause })?;
    let says = Module::of(&bytes).map_err(failed)?;
    if !says.says_its_world {
        let (resolve, id) = read(wit, world)?;
        wit_component::embed_component_metadata(&mut bytes, &resolve, id, StringEncoding::UTF8)
            .map_err(|e| failed(format!("{e:#}")))?;
    }
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    let encoded = encoder.module(&bytes).and_then(|encoder| {
        // The adapter's revision of WASI needn't go with one that a module names which doesn't want the adapter.
        if says.is_of_preview1 {
            encoder.adapter(PREVIEW1, adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?.encode()
        } else {
            encoder.encode()
        }
    });
    write(out, &encoded.map_err(|e| failed(format!("{e:#}")))?)
}

fn read(wit: &Path, world: &str) -> Result<(Resolve, WorldId), ContractError> {
    let failed = |e: anyhow::Error| ContractError::Wit { folder: wit.display().to_string(), reason: format!("{e:#}") };
    only_files(wit).map_err(|e| failed(e.into()))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).map_err(failed)?;
    let id = resolve.select_world(&[package], Some(world)).map_err(failed)?;
    Ok((resolve, id))
}

/// Reading a pipe in the contract's folder, or in that of what it depends on, could take for ever.
fn only_files(wit: &Path) -> io::Result<()> {
    for folder in [wit.to_path_buf(), wit.join("deps")].iter().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if std::fs::metadata(&path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
                return Err(io::Error::other(format!("`{}` is not a file", path.display())));
            }
        }
    }
    Ok(())
}

/// What a core module says of itself.
#[derive(Default)]
struct Module {
    /// It holds the world that it is of, as Rust's do.
    says_its_world: bool,
    /// It wants the WASI of before there were components.
    is_of_preview1: bool,
}

impl Module {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        if bytes.get(..8) != Some(b"\0asm\x01\0\0\0") {
            return Err("it is not a core module of WebAssembly".to_owned());
        }
        let mut module = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|e| e.to_string())? {
                Payload::CustomSection(section) => {
                    module.says_its_world |= section.name().starts_with("component-type");
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        module.is_of_preview1 |= import.map_err(|e| e.to_string())?.module == PREVIEW1;
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }
}

/// Writes a file, and the folders that it is in.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), ContractError> {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| file::write(path, content));
    written.map_err(|cause| ContractError::File { path: path.display().to_string(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_return_area_is_a_multiple_of_its_alignment() {
        let generated = "var exportReturnArea = uintptr(witRuntime.Allocate(&staticPinner, (33*4), 8))\nvar x = 1\n";
        let rounded =
            "var exportReturnArea = uintptr(witRuntime.Allocate(&staticPinner, ((33*4)+7)&^7, 8))\nvar x = 1\n";
        assert_eq!(with_whole_return_area(generated), rounded);
        assert_eq!(with_whole_return_area("package main"), "package main");
    }
}
