//! What is typed: a server's command without `--`, and the URL of an old server.

use understudy_tests::program::{Place, binary, run};
use understudy_tests::scripted::{Kind, Scripted};

const LINE: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n";

#[test]
fn a_servers_command_needs_no_dashes_in_front() {
    let place = Place::new();
    for words in [
        &["proxy", "--plugin", "echo", "cat", "-u"][..],
        &["proxy", "--plugin", "echo", "--", "cat", "-u"],
        &["-v", "proxy", "--plugin=echo", "--max-tokens", "5", "sh", "-c", "exec cat -u"],
    ] {
        let run = run(place.understudy(words), LINE).ok();
        assert_eq!(run.stdout, LINE, "{words:?}: {}", run.stderr);
    }
    // What follows is the server's, also what we would know, and a `--`.
    let all = place.run(["proxy", "--plugin", "echo", "echo", "-v", "--plugin", "--help", "--", "x"]).ok();
    assert_eq!(all.stdout, "-v --plugin --help -- x\n");
    let server = binary("summarize-server").to_string_lossy().into_owned();
    assert!(place.run(["tools", "--json", &server]).ok().stdout.contains("\"summarize\""));
    let called = place.run(["call", "summarize", "text_to_summarize=12", "--plugin", "echo", &server]).ok();
    assert!(called.stdout.contains("\n12\n"), "{}", called.stdout);
    let called = place
        .run(["call", "--plugin", "echo", "summarize", "{\"text_to_summarize\":\"13\"}", "env", "A=b", &server])
        .ok();
    assert!(called.stdout.contains("\n13\n"), "{}", called.stdout);
}

#[test]
fn what_is_misspelt_in_front_of_the_command_is_still_named() {
    let place = Place::new();
    for (words, said) in [
        (&["proxy", "--plugn", "echo", "cat"][..], "'--plugin'"),
        (&["proxy", "--server", "x", "cat"], "cannot be used with"),
        (&["proxy", "--url", "http://127.0.0.1:9/mcp", "cat"], "cannot be used with"),
        (&["proxy"], "required"),
    ] {
        let run = place.run(words);
        assert!(run.code() == 2 && run.stderr.contains(said), "{words:?}: {}", run.stderr);
    }
}

#[test]
fn an_old_server_is_found_without_a_warning() {
    let place = Place::new();
    let server = Scripted::new(Kind::LegacySse);
    let url = server.entry["url"].as_str().unwrap_or_default();
    let answering = std::thread::scope(|scope| {
        let tools = scope.spawn(|| place.run(["tools", "--url", url]));
        let heard = server.hear("tools/list");
        server
            .result(&heard, &serde_json::json!({ "tools": [{ "name": "old", "inputSchema": { "type": "object" } }] }));
        tools.join().unwrap_or_else(|_| panic!("the program doesn't run")).ok()
    });
    assert!(answering.stdout.contains("old"), "{}", answering.stdout);
    assert_eq!(answering.stderr, "");
    // One that is none at all is still said to be none.
    let none = understudy_tests::provider::Provider::start(|_, stream, _| {
        understudy_tests::provider::respond(stream, "404 Not Found", "", b"nothing here");
    });
    let run = place.run(["tools", "--url", &none.url]);
    assert!(run.stderr.contains("is it the URL of an MCP endpoint, path included?"), "{}", run.stderr);
}
