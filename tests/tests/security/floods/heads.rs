//! What the head of a request comes to, with the token and without.

use serde_json::json;
use understudy_tests::program::Place;
use understudy_tests::served::{Served, initialize};

use super::{ask, status};

fn serve(place: &Place) -> Served {
    let server = json!({ "command": "cat" });
    Served::start(
        place,
        &json!({
            "mcpServers": { "internal-payroll": server, "s": server },
            "serve": { "allowedOrigins": ["https://app.example.com"] },
        }),
    )
}

#[test]
fn without_the_token_nothing_can_be_learnt() {
    let place = Place::new();
    let served = serve(&place);
    let token = served.token().unwrap_or_default();
    let long = format!("/{}", "x".repeat(30_000));
    let tokens = [format!("/s/mcp?token={token}"), format!("/s/mcp?access_token={token}"), format!("/{token}/mcp")];
    let absolute = [format!("http://{}/s/mcp", served.address), "http://evil.example/s/mcp".to_owned()];
    let targets = [
        "/",
        "/s/mcp",
        "/x/mcp",
        "/%73/mcp",
        "/s/mcp/",
        "//s/mcp",
        "/s%2fmcp",
        "/../s/mcp",
        "/internal-payroll/mcp",
        "*",
        &long,
    ];
    let targets = targets.into_iter().chain(tokens.iter().chain(&absolute).map(String::as_str));
    let cookie = format!("cookie: token={token}\r\nx-api-key: {token}\r\nproxy-authorization: Bearer {token}\r\n");
    let headers = [
        "",
        "host: evil.example\r\n",
        "host: localhost\r\norigin: http://evil.example\r\n",
        "host: localhost\r\naccess-control-request-method: POST\r\n",
        "host: localhost\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
        "host: localhost\r\nexpect: 100-continue\r\n",
        "host: localhost\r\nmcp-session-id: 0\r\nmcp-protocol-version: 1900-01-01\r\n",
        "host: localhost\r\nauthorization: Bearer\r\n",
        "host: localhost\r\nauthorization: Bearer wrong\r\n",
        "host: localhost\r\nauthorization: Basic dG9rZW4=\r\n",
        &cookie,
    ];
    let mut asked = 0;
    for target in targets {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO"] {
            for version in ["1.1", "1.0"] {
                for headers in &headers {
                    let request = format!(
                        "{method} {target} HTTP/{version}\r\n{headers}connection: close\r\ncontent-length: 0\r\n\r\n"
                    );
                    let answer = ask(served.address, request.as_bytes());
                    let shown = request.get(..100).unwrap_or(&request);
                    assert_eq!(status(&answer), Some(401), "{shown}: {answer}");
                    assert!(
                        !answer.contains("payroll") && !answer.contains("/mcp") && !answer.contains(token),
                        "{shown}: {answer}"
                    );
                    assert!(!answer.contains("100 Continue") && !answer.contains("101 "), "{shown}: {answer}");
                    if headers.contains("host: evil") {
                        assert!(!answer.contains("nderstudy") && !answer.contains("serve"), "{shown}: {answer}");
                    }
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 2000, "{asked}");
    // What is no target for any other method, and other protocols.
    for request in ["CONNECT s:443 HTTP/1.1\r\nhost: s:443\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let answer = ask(served.address, format!("{request}GET / HTTP/1.1\r\nconnection: close\r\n\r\n").as_bytes());
        assert!(matches!(status(&answer), Some(400 | 401 | 505) | None), "{request}: {answer}");
    }
}

#[test]
fn the_token_counts_however_its_scheme_is_spelt() {
    let place = Place::new();
    let served = serve(&place);
    let token = served.token().unwrap_or_default();
    let send = |value: &str| {
        served.send("POST", "/s/mcp", &[("authorization", value)], &initialize("2025-11-25").to_string()).status
    };
    for right in ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} "] {
        assert_eq!(send(&right.replace("{}", token)), 200, "{right}");
    }
    for wrong in [
        "{}",
        "Bearer{}",
        "Bearer {}{}",
        "Bearer {} {}",
        "Bearer {},{}",
        "Bearer \"{}\"",
        "Bearer x {}",
        "Digest {}",
        "Bearer %7B{}",
    ] {
        assert_eq!(send(&wrong.replace("{}", token)), 401, "{wrong}");
    }
    assert_eq!(send(&format!("Bearer {}", token.to_lowercase())), 401);
    assert_eq!(send(&format!("Bearer {}\0", &token)), 400);
}

#[test]
fn who_has_the_token_is_told_what_is_there() {
    let place = Place::new();
    let served = serve(&place);
    let answer = served.send("POST", "/x", &[], "");
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("`/internal-payroll/mcp`"));
    for (host, origin, expected) in [
        ("evil.example", "", 421),
        ("localhost", "http://evil.example", 403),
        ("localhost", "null", 403),
        ("localhost", "https://app.example.com", 200),
    ] {
        let answer =
            served.send("POST", "/s/mcp", &[("host", host), ("origin", origin)], &initialize("2025-11-25").to_string());
        assert_eq!(answer.status, expected, "{host} {origin}");
    }
    for method in ["PUT", "TRACE", "FOO"] {
        assert_eq!(served.send(method, "/s/mcp", &[], "").status, 405, "{method}");
    }
}

#[test]
fn the_browser_of_an_allowed_page_learns_that_it_may_ask_and_nothing_else() {
    let place = Place::new();
    let served = serve(&place);
    let asks = |path: &str, origin: &str| {
        let wants = ("access-control-request-method", "POST");
        let answer = served.send("OPTIONS", path, &[("authorization", ""), ("origin", origin), wants], "");
        (answer.status, answer.header("access-control-allow-origin").to_owned(), answer.text())
    };
    let allowed = "https://app.example.com";
    for path in ["/s/mcp", "/internal-payroll/mcp", "/x", "/", "*"] {
        assert_eq!(asks(path, allowed), (204, allowed.to_owned(), String::new()), "{path}");
        for origin in ["https://evil.example", "null", "http://localhost", "https://app.example.com.evil.example"] {
            assert_eq!(asks(path, origin).0, 401, "{path} {origin}");
        }
    }
}

#[test]
fn headers_that_come_twice_are_refused() {
    let place = Place::new();
    let served = serve(&place);
    let token = served.token().unwrap_or_default();
    let body = initialize("2025-11-25").to_string();
    let head = format!("host: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n", body.len());
    let post = |more: &str| {
        let request = format!(
            "POST /s/mcp HTTP/1.1\r\n{head}accept: application/json\r\naccept: text/event-stream\r\n{more}connection: close\r\n\r\n{body}"
        );
        let mut stream = super::say(served.address, request.as_bytes());
        let mut answer = [0; 4096];
        let read = std::io::Read::read(&mut stream, &mut answer).unwrap_or_default();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    assert_eq!(status(&post("")), Some(200), "`accept` is a list");
    for more in [
        "authorization: Bearer x\r\n".to_owned(),
        format!("Authorization: Bearer {token}\r\n"),
        "host: localhost\r\n".to_owned(),
        "HOST: evil.example\r\n".to_owned(),
        format!("origin: http://{}\r\norigin: http://evil.example\r\n", served.address),
        format!("origin: http://evil.example\r\norigin: http://{}\r\n", served.address),
        "mcp-session-id: a\r\nmcp-session-id: b\r\n".to_owned(),
        "mcp-protocol-version: 2025-11-25\r\nmcp-protocol-version: 2026-07-28\r\n".to_owned(),
        "content-type: application/json\r\ncontent-type: text/plain\r\n".to_owned(),
        "mcp-method: a\r\nmcp-method: b\r\n".to_owned(),
        "mcp-name: a\r\nmcp-name: b\r\n".to_owned(),
        "last-event-id: 1-1\r\nlast-event-id: 1-2\r\n".to_owned(),
        "content-length: 5\r\n".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
    ] {
        let answer = post(&more);
        assert_eq!(status(&answer), Some(400), "{more}: {answer}");
    }
}

#[test]
fn health_is_told_to_those_who_ask_by_an_address() {
    let place = Place::new();
    let served = serve(&place);
    let own = served.address.to_string();
    for path in ["/healthz", "/readyz"] {
        let get = |target: &str, head: &str| {
            let request = format!("GET {target} HTTP/1.1\r\n{head}connection: close\r\n\r\n");
            status(&ask(served.address, request.as_bytes()))
        };
        for host in [own.as_str(), "localhost", "10.1.2.3:8765", "[2001:db8::1]"] {
            assert_eq!(get(path, &format!("host: {host}\r\n")), Some(200), "{path} {host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8765", "10.1.2.3.evil.example"] {
            let answer = ask(served.address, format!("GET {path} HTTP/1.0\r\nhost: {host}\r\n\r\n").as_bytes());
            assert_eq!(status(&answer), Some(421), "{path} {host}");
            assert!(!answer.contains("nderstudy") && !answer.contains("serve."), "{answer}");
            assert_eq!(get(&format!("http://{host}{path}"), "host: localhost\r\n"), Some(421), "{path} {host}");
        }
        assert_eq!(get(path, "host: localhost\r\nhost: localhost\r\n"), Some(400));
        assert_eq!(get(path, ""), Some(400));
        assert_eq!(served.send("HEAD", path, &[("authorization", "")], "").status, 200);
        assert_eq!(served.send("POST", path, &[("authorization", "")], "").status, 401);
    }
}

#[test]
fn a_head_has_a_size() {
    let place = Place::new();
    let served = serve(&place);
    let get = |head: &str| {
        status(&ask(served.address, format!("GET / HTTP/1.1\r\nhost: localhost\r\n{head}\r\n").as_bytes()))
    };
    assert_eq!(get(&"x: y\r\n".repeat(200)), Some(431));
    assert!(matches!(get(&format!("x: {}\r\n", "y".repeat(200_000))), Some(431) | None));
    assert_eq!(get(&format!("x: {}\r\nconnection: close\r\n", "y".repeat(16_000))), Some(401));
}
