//! Where the browser comes back to: only the answer to the login that is waited for ends the waiting.

use std::io::Write;
use std::net::TcpStream;

use understudy_tests::http::send;
use url::Url;

use super::stage::{Stage, come_back, get};

fn address(url: &Url) -> std::net::SocketAddr {
    url.socket_addrs(|| None).unwrap_or_else(|e| panic!("{e}"))[0]
}

#[test]
fn what_is_not_the_answer_changes_nothing() {
    let stage = Stage::new();
    let mut begun = stage.begin(&[]);
    let back = come_back(&begun.page());
    let (at, query) = (address(&back), back.query().unwrap_or_default().to_owned());
    let state = query.split_once("state=").map(|(_, state)| state.to_owned()).unwrap_or_default();
    let own = format!("127.0.0.1:{}", at.port());
    let host = |host: &str| vec![("host".to_owned(), host.to_owned())];
    let right = format!("/callback?{query}");
    for (method, path, headers, status) in [
        ("GET", "/callback?code=evil&state=guess".to_owned(), host(&own), 400),
        ("GET", "/callback?code=evil".to_owned(), host(&own), 400),
        ("GET", "/callback?x".to_owned(), host(&own), 400),
        ("GET", "/callback".to_owned(), host(&own), 400),
        ("GET", "/callback?error=access_denied".to_owned(), host(&own), 400),
        ("GET", "/callback?error=access_denied&state=guess".to_owned(), host(&own), 400),
        ("GET", format!("/callback?code=a&state={}", &state[..state.len() - 1]), host(&own), 400),
        ("GET", format!("/callback?code=a&state={state}x"), host(&own), 400),
        ("GET", format!("/callback?code=a&state={state}&state={state}"), host(&own), 400),
        ("GET", format!("/callback?code=a&code=b&state={state}"), host(&own), 400),
        ("GET", format!("/callback?state={state}"), host(&own), 400),
        ("GET", right.clone(), host("evil.example"), 421),
        ("GET", right.clone(), host(&format!("127.0.0.1.evil.example:{}", at.port())), 421),
        ("GET", right.clone(), host(&format!("evil@127.0.0.1:{}", at.port())), 421),
        ("GET", format!("http://evil.example{right}"), host(&own), 421),
        ("GET", format!("/callback/?{query}"), host(&own), 404),
        ("GET", format!("//callback?{query}"), host(&own), 404),
        ("GET", format!("/Callback?{query}"), host(&own), 404),
        ("GET", format!("/favicon.ico?{query}"), host(&own), 404),
        ("POST", right.clone(), host(&own), 405),
        ("HEAD", right.clone(), host(&own), 405),
        ("OPTIONS", right.clone(), host(&own), 405),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(send(at, method, &path, &headers, b"").status, status, "{method} {path} {headers:?}");
    }
    let page = get(&back);
    assert_eq!((page.status, page.header("referrer-policy")), (200, "no-referrer"));
    begun.ok();
    let _ = stage.tools().ok();
}

#[test]
fn silent_and_slow_connections_keep_nobody_out() {
    let stage = Stage::new();
    let mut begun = stage.begin(&[]);
    let back = come_back(&begun.page());
    let at = address(&back);
    let connect = || TcpStream::connect(at).unwrap_or_else(|e| panic!("{e}"));
    // More than are open at once, and some that have begun to speak.
    let mut connections: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    for connection in connections.iter_mut().step_by(2) {
        let _ = connection.write_all(b"GET /callback?code=");
    }
    assert_eq!(get(&back).status, 200);
    begun.ok();
    drop(connections);
    let _ = stage.tools().ok();
}

#[test]
fn a_user_who_says_no_is_told_so_and_a_wrong_issuer_ends_the_login() {
    for (answer, said) in [
        ("error=access_denied&error_description=a%1b%5bb", "says no: access_denied (a [b)"),
        ("code=C&iss=http://evil.example", "names the issuer `http://evil.example`"),
    ] {
        let stage = Stage::new();
        let mut begun = stage.begin(&[]);
        let mut back = come_back(&begun.page());
        let state = back.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned());
        back.set_query(Some(&format!("{answer}&state={}", state.unwrap_or_default())));
        assert_eq!(get(&back).status, 200);
        let (all, is_good) = begun.end();
        assert!(!is_good && all.contains(said), "{all}");
        assert!(stage.asked_for_tokens().is_empty());
    }
}
