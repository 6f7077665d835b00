//! Compiles the guests that the tests run.

use std::path::PathBuf;

use understudy_componentize::{Guest, build};

fn main() -> anyhow::Result<()> {
    let workspace = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let guest = |package, folder| Guest { package, folder: PathBuf::from("tests/guests").join(folder) };
    let guests = [
        ("faulty", guest("guest-faulty", "faulty")),
        ("streaming", guest("guest-streaming", "streaming")),
        ("handler", guest("guest-handler", "handler")),
        ("planted", guest("guest-planted", "planted")),
    ];
    build(&workspace, &guests, "Guest")
}
