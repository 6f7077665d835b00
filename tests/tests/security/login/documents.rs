//! Metadata documents and challenges: what is wrong in them ends the login before anything is sent, and whatever they say, requests go only where
//! a server may send them.

use proptest::prelude::*;
use serde_json::{Value, json};
use understudy_proxy::oauth::{Challenge, Server, Zone};
use url::{Host, Url};

use super::stage::{Stage, lock};

fn refused(document: impl Fn(&str) -> Value) -> String {
    let stage = Stage::new();
    *lock(&stage.world.document) = document(&stage.issuer.url);
    let run = stage.auth(&["--client-id", "pre", "--client-secret", "CS"]);
    assert!(!run.status.success() && !run.stderr.contains("Log in here"), "{}", run.stderr);
    assert!(!stage.issuer.seen().iter().any(|request| request.line.starts_with("POST")), "something was sent");
    stage.nothing_has_leaked();
    run.stderr
}

#[test]
fn an_issuer_that_is_not_quite_the_one_that_was_asked_for_is_another() {
    let spellings: [fn(&str) -> Value; 8] = [
        |issuer| json!(format!("{issuer}/tenant")),
        |issuer| json!(format!("{issuer}//")),
        |issuer| json!(format!("{issuer}?x")),
        |issuer| json!(issuer.replace("http:", "HTTP:")),
        |issuer| json!(issuer.replace("127.0.0.1", "localhost")),
        |issuer| json!(format!("{issuer}1")),
        |issuer| json!([issuer]),
        |_| Value::Null,
    ];
    for spelt in spellings {
        let said = refused(|issuer| json!({ "issuer": spelt(issuer) }));
        assert!(said.contains("was asked for"), "{said}");
    }
    // The slash of an origin's empty path is no difference.
    let stage = Stage::new();
    *lock(&stage.world.document) = json!({ "issuer": format!("{}/", stage.issuer.url) });
    stage.log_in(false);
    let _ = stage.tools().ok();
}

#[test]
fn endpoints_where_no_server_may_send_anybody_end_the_login() {
    for endpoint in [
        "http://as.example/token",
        "http://10.0.0.1/token",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/token",
        "https://[fd00:ec2::254]/token",
        "https://0.0.0.0/token",
        "https://user:pw@as.example/token",
        "ftp://127.0.0.1/token",
        "file:///etc/passwd",
        "//127.0.0.1/token",
        "https:\\\\as.example/token",
        " https://as.example/token",
        "https://as.example/\ttoken",
        "",
    ] {
        for key in ["token_endpoint", "authorization_endpoint"] {
            let said = refused(|_| json!({ key: endpoint }));
            assert!(
                said.contains("is not used") && said.contains(&key.replace('_', " ")),
                "{key} `{endpoint}`: {said}"
            );
        }
        if !endpoint.is_empty() {
            let said = refused(|_| json!({ "registration_endpoint": endpoint }));
            assert!(said.contains("registration endpoint"), "`{endpoint}`: {said}");
        }
    }
}

/// Texts that are nearly URLs.
fn url_like() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec![
        "https://",
        "http://",
        "HTTPS://",
        "https:",
        "https:/",
        "https:///",
        "https:\\\\",
        "ftp://",
        "javascript:",
        "file://",
        "//",
        " https://",
        "",
        "\thttp://",
        "data:",
    ]);
    let user = prop::sample::select(vec!["", "", "", "a@", "a:b@", "@", ":@"]);
    let host = prop_oneof![
        prop::sample::select(vec![
            "mcp.example.com",
            "as.example",
            "localhost",
            "localhost.",
            "a.localhost",
            "localhost.evil.com",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "127.0.0.1.evil.com",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
            "[fd12::1]",
            "10.0.0.1",
            "10.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "0",
            "0.0.0.0",
            "[::]",
            "ｌocalhost",
            "１27.0.0.1",
            "%31%32%37.0.0.1",
            "",
        ])
        .prop_map(str::to_owned),
        any::<[u8; 4]>().prop_map(|[a, b, c, d]| format!("{a}.{b}.{c}.{d}")),
        any::<[u16; 8]>().prop_map(|s| format!("[{}]", s.map(|s| format!("{s:x}")).join(":"))),
        "[a-z.]{0,12}",
    ];
    let port = prop::sample::select(vec!["", "", ":80", ":443", ":8000", ":0", ":99999"]);
    let rest = prop_oneof![
        Just("/token".to_owned()),
        "\\PC{0,8}",
        ".{0,8}",
        Just("/a#b".to_owned()),
        Just("/a?b=@".to_owned())
    ];
    (scheme, user, host, port, rest)
        .prop_map(|(scheme, user, host, port, rest)| format!("{scheme}{user}{host}{port}{rest}"))
}

fn servers() -> [(Server, &'static str, Zone); 3] {
    let of =
        |url: &'static str, zone| (Server::new(Url::parse(url).unwrap_or_else(|e| panic!("{e}")), zone), url, zone);
    [
        of("https://mcp.example.com/mcp", Zone::Public),
        of("http://10.0.0.1:8000/mcp", Zone::Private),
        of("http://127.0.0.1:8000/mcp", Zone::Loopback),
    ]
}

proptest! {
    #[test]
    fn whatever_is_named_requests_go_where_the_server_may_send_them(text in url_like()) {
        for (server, own, zone) in servers() {
            let Ok(url) = server.allows("token endpoint", &text) else { continue };
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            prop_assert!(url.as_str().is_ascii() && !url.as_str().contains(|c: char| c.is_control() || c.is_whitespace()));
            let is_own = Url::parse(own).is_ok_and(|own| own.origin() == url.origin());
            let address = match url.host() {
                Some(Host::Ipv4(address)) => Some(std::net::IpAddr::from(address)),
                Some(Host::Ipv6(address)) => Some(address.into()),
                _ => None,
            };
            let is_loopback = address.map_or_else(
                || url.host_str().is_some_and(|host| host.trim_end_matches('.').ends_with("localhost")),
                |address| address.to_canonical().is_loopback(),
            );
            prop_assert!(is_own || address.is_none_or(|address| zone.may_name(address)), "{}", url);
            prop_assert!(!is_loopback || zone == Zone::Loopback, "{}", url);
            prop_assert!(url.scheme() == "https" || is_loopback || (is_own && zone == Zone::Private), "{}", url);
        }
    }

    #[test]
    fn a_challenge_is_read_as_it_was_written(metadata in "[ -~]{0,40}", scopes in prop::collection::vec("[a-z:/.]{1,8}", 0..4), other in "[a-zA-Z]{1,8}") {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let value = format!(
            "{other}x realm=\"{}\", Bearer resource_metadata=\"{}\", scope=\"{}\", error=\"invalid_token\"",
            quoted("a, Bearer resource_metadata=\"https://evil\""), quoted(&metadata), scopes.join(" "),
        );
        let challenge = Challenge::parse(&value);
        let challenge = challenge.ok_or_else(|| TestCaseError::fail("no challenge"))?;
        prop_assert_eq!(challenge.resource_metadata, Some(metadata));
        let mut expected: Vec<String> = Vec::new();
        for scope in scopes {
            if !expected.contains(&scope) {
                expected.push(scope);
            }
        }
        prop_assert_eq!(challenge.scopes, expected);
    }

    #[test]
    fn any_challenge_at_all_is_read_to_its_end(value in "(Bearer|[ ,=\"\\\\a-z]|\\PC){0,60}") {
        let _ = Challenge::parse(&value);
    }
}
