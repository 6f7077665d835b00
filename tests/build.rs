//! Compiles the guests that the tests run.

use std::path::PathBuf;

use understudy_componentize::{Guest, build, list};

fn main() -> anyhow::Result<()> {
    let workspace = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let names = ["faulty", "streaming", "handler", "planted", "guard"];
    let packages = names.map(|name| format!("guest-{name}"));
    let named = names.iter().zip(&packages);
    let guests: Vec<Guest> =
        named.map(|(name, package)| Guest { package, folder: PathBuf::from("tests/guests").join(name) }).collect();
    let components = names.into_iter().zip(build(&workspace, &guests)?);
    list("list.rs", "Guest", "component", components.map(|(name, component)| (name, String::new(), component)))
}
