//! Sessions that are begun, each with a server of its own, and never used.

use serde_json::{Value, json};
use understudy_tests::program::Place;
use understudy_tests::served::{Served, initialize};

use super::wait_for;

/// A server that answers `initialize`, and then says everything back; it notes its end.
const SERVER: &str =
    r#"read -r line; echo '{"id":0,"result":{"protocolVersion":"2025-11-25"}}'; cat; echo ended >> ended"#;

fn serve(place: &Place, serve: &Value) -> Served {
    let server = json!({ "command": "sh", "args": ["-c", SERVER], "cwd": place.path() });
    Served::start(place, &json!({ "mcpServers": { "s": server }, "serve": serve }))
}

/// Begins a session: its status and its id.
fn begin(served: &Served) -> (u16, String) {
    let answer = served.send("POST", "/s/mcp", &[], &initialize("2025-11-25").to_string());
    (answer.status, answer.header("mcp-session-id").to_owned())
}

#[test]
fn a_session_whose_client_says_nothing_after_initialize_ends_with_its_server() {
    let place = Place::new();
    let served = serve(&place, &json!({ "sessions": 4, "handshake": "1 s" }));
    let (_, id) = begin(&served);
    let session = served.session_at("/s/mcp", &id, "2025-11-25");
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let (_, id) = begin(&served);
    let listening = served.session_at("/s/mcp", &id, "2025-11-25");
    let mut heard = listening.listen(None);
    let silent: Vec<(u16, String)> = (0..2).map(|_| begin(&served)).collect();
    assert!(silent.iter().all(|(status, id)| *status == 200 && !id.is_empty()), "{silent:?}");
    assert_eq!(begin(&served).0, 503);
    wait_for("the silent sessions don't end", || begin(&served).0 == 200);
    let ended = || std::fs::read_to_string(place.path().join("ended")).unwrap_or_default().lines().count();
    wait_for("their servers don't end", || ended() >= 2);
    for (_, id) in &silent {
        let gone = served.session_at("/s/mcp", id, "2025-11-25");
        assert_eq!(gone.post(&json!({ "jsonrpc": "2.0", "method": "notifications/late" })).status, 404);
    }
    // Whoever said one word, or listens, is still there.
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/n" }));
    listening.say(&json!({ "jsonrpc": "2.0", "method": "notifications/n" }));
    assert_eq!(heard.hear().message()["method"], "notifications/n");
}

#[test]
fn sessions_are_fewer_than_a_machine_can_hold() {
    let place = Place::new();
    let served = serve(&place, &json!({}));
    let all: Vec<u16> = (0..101).map(|_| begin(&served).0).collect();
    assert!(all[..100].iter().all(|status| *status == 200) && all[100] == 503, "{all:?}");
}
