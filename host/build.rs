//! Where the templates of `plugin new` are: in the repository, or in this package, into which `.ci/package` puts them for a registry.

use std::path::Path;
use std::{env, fs, io};

/// The templates in a package. Cargo leaves folders with a `Cargo.toml` out of it, so these files have the ending [`ENDING`] there.
const TEMPLATES: &str = "templates";
const ENDING: &str = ".template";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| env::var_os(name).ok_or_else(|| io::Error::other(format!("{name} is not set")));
    let (package, out) = (variable("CARGO_MANIFEST_DIR")?, variable("OUT_DIR")?);
    let packed = Path::new(&package).join(TEMPLATES);
    let templates = if packed.is_dir() {
        println!("cargo::rerun-if-changed={TEMPLATES}");
        let unpacked = Path::new(&out).join(TEMPLATES);
        unpack(&packed, &unpacked)?;
        unpacked
    } else {
        Path::new(&package).join("..")
    };
    println!("cargo::rustc-env=UNDERSTUDY_TEMPLATES={}", templates.display());
    Ok(())
}

fn unpack(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|_| io::Error::other("a template's name is not text"))?;
        let target = to.join(name.strip_suffix(ENDING).unwrap_or(&name));
        if entry.file_type()?.is_dir() {
            unpack(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
