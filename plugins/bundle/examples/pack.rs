//! Writes the components of the built-in plugins and guards into a folder: what a package for a registry brings along.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: pack FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    for plugin in understudy_plugins::BUILT_IN.iter().chain(understudy_plugins::GUARDS) {
        std::fs::write(folder.join(plugin.name).with_extension("wasm"), plugin.component())?;
    }
    Ok(())
}
