//! The library in other programs: the examples that embed it, and what a lean build is made of.
#![expect(clippy::panic, reason = "that is how a test reports")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, binary, run};

/// The most packages of a build without any feature: the sandbox, an HTTP client with TLS, and the library's own.
const MOST_PACKAGES: usize = 225;

const TEXT: &str = "Ships carry goods. Ships carry people. A lighthouse shows ships the coast.";

#[test]
fn a_client_on_the_rust_sdk_answers_its_servers_sampling_requests() {
    let mut client = Command::new(binary("embedding-rmcp"));
    client.arg(binary("summarize-server")).arg(TEXT);
    let run = run(client, "").ok();
    assert!(run.stdout.contains("hips carry"), "{run:?}");
}

#[test]
fn a_program_on_axum_has_mcp_servers_beside_its_own_pages() {
    let place = Place::new();
    let server = json!({ "command": binary("summarize-server"), "sampling": "extractive" });
    let config = place.file("servers.json", json!({ "mcpServers": { "summarize": server } }).to_string());
    let mut program = Command::new(binary("embedding-axum"));
    program.arg(config).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = Running(program.spawn().unwrap_or_else(|e| panic!("{e}")));
    let mut url = String::new();
    let stdout = program.0.stdout.take().unwrap_or_else(|| panic!("no stdout"));
    BufReader::new(stdout).read_line(&mut url).unwrap_or_else(|e| panic!("{e}"));
    let url = url.trim();
    assert!(page(url).ends_with("a page of its own"), "{}", page(url));
    let address = format!("{url}/summarize/mcp");
    let text = format!("text_to_summarize={TEXT}");
    let called = place.run(["call", "--url", &address, "summarize", &text]).ok();
    assert!(called.stdout.contains("hips carry"), "{called:?}");
    // It ends with its input, and its servers with it.
    drop(program.0.stdin.take());
    let status = program.0.wait().unwrap_or_else(|e| panic!("{e}"));
    assert!(status.success(), "{status}");
}

/// A program, which doesn't outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a plain GET of `/` is answered.
fn page(url: &str) -> String {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap_or_else(|e| panic!("{e}"));
    write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap_or_else(|e| panic!("{e}"));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap_or_else(|e| panic!("{e}"));
    answer
}

/// The packages that the library is built of with these features.
fn packages(features: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args(["tree", "--offline", "--locked", "--package", "mcp-understudy"]);
    cargo.args(["--edges", "normal", "--prefix", "none", "--no-default-features", "--features", features]);
    let tree = run(cargo, "").ok();
    tree.stdout.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn a_lean_build_of_the_library_has_nothing_of_the_program_in_it() {
    let lean = packages("");
    let has = |name: &str| lean.iter().any(|package| package.split(' ').next() == Some(name));
    for absent in [
        "clap",
        "notify",
        "oci-spec",
        "docker_credential",
        "mimalloc",
        "rmcp",
        "tracing-subscriber",
        "understudy-plugins",
    ] {
        assert!(!has(absent), "`{absent}` is in a build without features");
    }
    assert!(!lean.iter().any(|package| package.starts_with("wit-bindgen-")), "{lean:#?}");
    assert!(has("wasmtime") && has("reqwest"), "{lean:#?}");
    assert!(lean.len() <= MOST_PACKAGES, "{} packages", lean.len());
    assert!(packages("full").len() > lean.len());
}
