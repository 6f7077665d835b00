//! A program outside of this workspace that embeds the library without any of its features, as somebody else would write it.
#![expect(clippy::panic, reason = "a test may panic")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, run, run_within};

/// How long its first build may take: the sandbox is compiled for it, with fewer features than the workspace has.
const PATIENCE: Duration = Duration::from_mins(40);

/// The most packages that it is made of, its own included.
const MOST_PACKAGES: usize = 226;

const MAIN: &str = r#"
use std::path::PathBuf;

use understudy::{CreateMessageRequestParams, Sampler};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let component = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: embedder COMPONENT")?;
    let sampler = Sampler::builder().component(component).build().await?;
    let answer = sampler.create_message(&CreateMessageRequestParams::user("Is anybody there?", 100)).await?;
    println!("{}", answer.text());
    Ok(())
}
"#;

#[test]
fn a_program_outside_of_the_workspace_answers_a_request() {
    let place = Place::new();
    let manifest = format!(
        "[package]\nname = \"embedder\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         mcp-understudy = {{ path = \"{}\", default-features = false }}\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n\n{}",
        library().display(),
        profile()
    );
    let _ = place.file("Cargo.toml", manifest);
    let lock = workspace().join("Cargo.lock");
    let _ = place.file("Cargo.lock", std::fs::read(&lock).unwrap_or_else(|e| panic!("{}: {e}", lock.display())));
    std::fs::create_dir(place.path().join("src")).unwrap_or_else(|e| panic!("{e}"));
    let _ = place.file("src/main.rs", MAIN);
    let echo = understudy_plugins::find("echo").unwrap_or_else(|| panic!("there is no `echo`"));
    let component = place.file("a-plugin.wasm", echo.component());

    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(place.path()).args(args);
        // Packages that have the same features here as in the workspace aren't compiled again.
        cargo.env("CARGO_TARGET_DIR", target());
        cargo
    };
    let mut built = cargo(&["run", "--offline", "--quiet", "--"]);
    built.arg(component);
    let answer = run_within(PATIENCE, built, "").ok();
    assert!(answer.stdout.contains("Is anybody there?"), "{answer:?}");

    let tree = run(cargo(&["tree", "--offline", "--edges", "normal", "--prefix", "none", "--no-dedupe"]), "").ok();
    let packages: std::collections::BTreeSet<&str> = tree.stdout.lines().collect();
    assert!(packages.len() <= MOST_PACKAGES, "{} packages", packages.len());
}

/// Where the workspace is compiled.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|e| panic!("where is this test? {e}"));
    test.ancestors().nth(3).unwrap_or(&test).to_path_buf()
}

/// The workspace's profile for development.
fn profile() -> String {
    let path = workspace().join("Cargo.toml");
    let manifest = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (_, profile) = manifest.split_once("[profile.dev]").unwrap_or_else(|| panic!("no profile `dev`"));
    let (profile, _) = profile.split_once("[profile.release]").unwrap_or_else(|| panic!("no profile `release`"));
    format!("[profile.dev]{profile}")
}

/// The folder of the package `mcp-understudy`.
fn library() -> PathBuf {
    let host = workspace().join("host");
    let inner = host.join("understudy");
    if inner.join("Cargo.toml").is_file() { inner } else { host }
}
