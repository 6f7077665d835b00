//! Bindings of the contract for languages whose compilers don't support components, and the conversion of their core modules to components.

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

/// An error in making bindings or a component.
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
    /// Bindings of the contract can't be generated for the language.
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
    /// The module can't be converted to a component.
    #[error("no component can be made of `{path}`: {reason}")]
    Module {
        /// The file.
        path: String,
        /// The cause.
        reason: String,
    },
}

/// The languages that bindings are made for here. Other languages have tools of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bindings {
    /// A header and a source file for C, and an object file that names the world.
    C,
    /// Packages for Go: the folder `bindings` of the module `understudy`.
    Go,
}

/// The module name of a plugin in Go. The generated code in the module's folder `bindings` contains it.
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

/// Rounds up the size of the return area in generated Go code. The generator (0.61.1) writes the size of the largest result and the alignment of the
/// strictest one; its own allocator refuses a size that is no multiple of the alignment.
fn with_whole_return_area(exports: &str) -> String {
    let begin = "witRuntime.Allocate(&staticPinner, ";
    let rounded = exports.split_once(begin).and_then(|(before, rest)| {
        let (size, after) = rest.split_once(", 8)")?;
        Some(format!("{before}{begin}({size}+7)&^7, 8){after}"))
    });
    rounded.unwrap_or_else(|| exports.to_owned())
}

/// Converts the core module in the file to a component. `world` is its world, unless the module itself names one.
///
/// # Errors
/// If it can't be converted.
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
        // A module that doesn't need the adapter may name another revision of WASI than the adapter's.
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

/// Refuses folders that contain anything but files and folders, dependencies included: reading a pipe could block for ever.
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

/// The properties of a core module.
#[derive(Default)]
struct Module {
    /// Whether it contains its world, as Rust's modules do.
    says_its_world: bool,
    /// Whether it imports WASI preview 1.
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

/// Writes a file, and creates its folders.
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
