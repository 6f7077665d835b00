//! A server, its honest authorization server at another origin, and what the server says once it is hostile.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use understudy_tests::http::{Answer, PATIENCE, send};
use understudy_tests::program::{Place, Run, run};
use understudy_tests::provider::{Provider, Request, respond};
use url::{Url, form_urlencoded};

pub(super) const REFRESH_TOKEN: &str = "RT-of-the-honest-AS";
pub(super) const SECRET: &str = "CLIENT-SECRET-at-the-honest-AS";

/// What the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trick {
    /// It is honest.
    None,
    /// It refuses every token, and is honest otherwise.
    Refuses,
    /// It hides its metadata.
    Hides,
    /// It names a URL as its authorization server that looks like metadata, where the document claims the honest issuer.
    Spoofs,
    /// It names itself as its authorization server, and has all that belongs to one.
    Becomes,
    /// It names itself before the honest one.
    NamesTwo,
    /// Its own metadata claims the honest issuer.
    Claims,
    /// Its metadata is none.
    Garbage,
    /// Its challenge names metadata at another port of the same host.
    PointsElsewhere,
    /// It wants more scopes, and names itself.
    WantsMore,
}

/// The state of the world.
#[derive(Debug)]
pub(super) struct World {
    pub(super) trick: Mutex<Trick>,
    /// What the authorization server's metadata says beside, or in the place of, what is usual.
    pub(super) document: Mutex<Value>,
    /// Where the authorization server's token endpoint sends those who ask.
    pub(super) redirect: Mutex<Option<(&'static str, String)>>,
    /// What the next refresh waits for.
    pub(super) held: Mutex<Option<Receiver<()>>>,
    /// The number of the login's latest tokens.
    pub(super) latest: AtomicUsize,
    /// Whether the token endpoint takes a client's secret in the form alone.
    pub(super) form_only: Mutex<bool>,
    /// How long tokens are good for, as spelt.
    pub(super) lifetime: Mutex<Value>,
    urls: Mutex<(String, String)>,
}

impl World {
    pub(super) fn set(&self, trick: Trick) {
        *lock(&self.trick) = trick;
    }

    fn trick(&self) -> Trick {
        *lock(&self.trick)
    }

    fn server(&self) -> String {
        lock(&self.urls).0.clone()
    }

    fn issuer(&self) -> String {
        lock(&self.urls).1.clone()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Stage {
    pub(super) place: Place,
    pub(super) world: Arc<World>,
    pub(super) server: Provider,
    pub(super) issuer: Provider,
}

impl Stage {
    pub(super) fn new() -> Self {
        let world = Arc::new(World {
            trick: Mutex::new(Trick::None),
            document: Mutex::new(json!({})),
            redirect: Mutex::new(None),
            held: Mutex::new(None),
            latest: AtomicUsize::new(0),
            form_only: Mutex::new(false),
            lifetime: Mutex::new(json!(3600)),
            urls: Mutex::default(),
        });
        let (of_server, of_issuer) = (Arc::clone(&world), Arc::clone(&world));
        let server = Provider::start(move |request, stream, _| serve(&of_server, request, stream));
        let issuer = Provider::start(move |request, stream, _| issue(&of_issuer, request, stream));
        *lock(&world.urls) = (server.url.clone(), issuer.url.clone());
        Self { place: Place::new(), world, server, issuer }
    }

    pub(super) fn url(&self) -> String {
        format!("{}/mcp", self.server.url)
    }

    /// Begins `understudy auth`.
    pub(super) fn begin(&self, args: &[&str]) -> Begun {
        let url = self.url();
        let usual = ["auth", "--url", &url, "--no-browser", "--timeout", "60s"];
        let mut command = self.place.understudy(usual.iter().chain(args));
        command.env("CS", SECRET).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{e}"));
        let stderr = child.stderr.take().unwrap_or_else(|| panic!("no stderr"));
        Begun { child, stderr: BufReader::new(stderr), said: String::new() }
    }

    /// `understudy auth` that ends by itself.
    pub(super) fn auth(&self, args: &[&str]) -> Run {
        let url = self.url();
        let usual = ["auth", "--url", &url, "--no-browser", "--timeout", "1ms"];
        let mut command = self.place.understudy(usual.iter().chain(args));
        command.env("CS", SECRET);
        run(command, "")
    }

    /// Logs in as a user who says yes.
    pub(super) fn log_in(&self, with_secret: bool) {
        let args: &[&str] = if with_secret { &["--client-id", "pre", "--client-secret", "CS"] } else { &[] };
        let mut begun = self.begin(args);
        let page = begun.page();
        assert_eq!(get(&come_back(&page)).status, 200);
        begun.ok();
    }

    pub(super) fn tools(&self) -> Run {
        self.place.run(["tools", "--url", &self.url()])
    }

    /// The file of the login.
    pub(super) fn file(&self) -> PathBuf {
        let folder = self.place.path().join("understudy/logins");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.next().unwrap_or_else(|| panic!("no login is kept"))
    }

    pub(super) fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap_or_default()).unwrap_or_default()
    }

    /// Changes what is kept.
    pub(super) fn keep(&self, change: impl FnOnce(&mut Value)) {
        let mut kept = self.kept();
        change(&mut kept);
        let file = self.file();
        std::fs::write(&file, kept.to_string()).unwrap_or_else(|e| panic!("{e}"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap_or_else(|e| panic!("{e}"));
    }

    /// The forms that the authorization server's token endpoint was given.
    pub(super) fn asked_for_tokens(&self) -> Vec<Vec<(String, String)>> {
        let asked = self.issuer.seen().into_iter().filter(|request| request.line.starts_with("POST /token "));
        asked.map(|request| form(&request.body)).collect()
    }

    /// Nothing that belongs to the login has reached the server, but for access tokens at its endpoint.
    pub(super) fn nothing_has_leaked(&self) {
        for request in self.server.seen() {
            let headers = format!("{:?}", request.headers);
            let all = format!("{} {headers} {}", request.line, String::from_utf8_lossy(&request.body));
            for secret in [REFRESH_TOKEN, SECRET, "refresh_token=", "Basic ", "code_verifier"] {
                assert!(!all.contains(secret), "`{secret}` went to the server: {all}");
            }
            let is_endpoint = request.line.starts_with("POST /mcp ") || request.line.starts_with("GET /mcp ");
            assert!(is_endpoint || !request.headers.contains_key("authorization"), "a token went elsewhere: {all}");
        }
    }
}

pub(super) struct Begun {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(super) said: String,
}

impl Begun {
    /// The page that the user is to open.
    pub(super) fn page(&mut self) -> Url {
        loop {
            let start = self.said.len();
            let read = self.stderr.read_line(&mut self.said).unwrap_or_else(|e| panic!("{e}"));
            assert!(read > 0, "no page: {}", self.said);
            let line = self.said[start..].trim();
            if line.starts_with("http") {
                return Url::parse(line).unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }

    /// What was said, at its end, and how it ended.
    pub(super) fn end(mut self) -> (String, bool) {
        self.stderr.read_to_string(&mut self.said).unwrap_or_else(|e| panic!("{e}"));
        let status = self.child.wait().unwrap_or_else(|e| panic!("{e}"));
        (self.said, status.success())
    }

    pub(super) fn ok(self) {
        let (said, is_good) = self.end();
        assert!(is_good, "{said}");
    }
}

/// Where the browser goes once the user has said yes at this page.
pub(super) fn come_back(page: &Url) -> Url {
    let answer = get(page);
    assert_eq!(answer.status, 302, "{page}");
    Url::parse(answer.header("location")).unwrap_or_else(|e| panic!("{e}"))
}

/// What a browser does with a link.
pub(super) fn get(url: &Url) -> Answer {
    let address = url.socket_addrs(|| None).unwrap_or_else(|e| panic!("{e}"))[0];
    send(address, "GET", &format!("{}?{}", url.path(), url.query().unwrap_or_default()), &[], b"")
}

pub(super) fn form(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

pub(super) fn json(stream: &mut TcpStream, status: &str, headers: &str, body: &Value) {
    respond(stream, status, &format!("content-type: application/json\r\n{headers}"), body.to_string().as_bytes());
}

fn metadata(of: &str, issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{of}/authorize"),
        "token_endpoint": format!("{of}/token"),
        "registration_endpoint": format!("{of}/register"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
    })
}

fn path(request: &Request) -> &str {
    request.line.split(' ').nth(1).unwrap_or_default()
}

/// The server.
fn serve(world: &World, request: &Request, stream: &mut TcpStream) {
    let (trick, own, issuer) = (world.trick(), world.server(), world.issuer());
    let resource = |servers: Value| json!({ "resource": format!("{own}/mcp"), "authorization_servers": servers });
    let path = path(request).split('?').next().unwrap_or_default();
    let not_found = |stream: &mut TcpStream| json(stream, "404 Not Found", "", &json!({}));
    if request.line.starts_with("GET ") {
        let is_resource = path.starts_with("/.well-known/oauth-protected-resource");
        let is_server = path == "/.well-known/oauth-authorization-server";
        let document = match trick {
            Trick::None | Trick::Refuses if is_resource => resource(json!([issuer])),
            Trick::Spoofs if is_resource => resource(json!([format!("{own}/.well-known/x")])),
            Trick::Spoofs if path.contains("/.well-known/x") => metadata(&own, &issuer),
            Trick::Becomes | Trick::WantsMore if is_resource => resource(json!([own])),
            Trick::NamesTwo if is_resource => resource(json!([own, issuer])),
            Trick::Becomes | Trick::NamesTwo | Trick::WantsMore if is_server => metadata(&own, &own),
            Trick::Claims if is_server => metadata(&own, &issuer),
            Trick::Garbage => return respond(stream, "200 OK", "content-type: application/json\r\n", b"<html>{}"),
            Trick::PointsElsewhere if path == "/elsewhere" => resource(json!([own])),
            _ => return not_found(stream),
        };
        return json(stream, "200 OK", "", &document);
    }
    match path {
        "/mcp" => {}
        "/register" => return json(stream, "201 Created", "", &json!({ "client_id": "evil" })),
        "/token" => {
            let tokens = json!({ "access_token": "AT-evil", "token_type": "bearer", "refresh_token": "RT-evil" });
            return json(stream, "200 OK", "", &tokens);
        }
        _ => return not_found(stream),
    }
    let token = request.headers.get("authorization").map(String::as_str).unwrap_or_default();
    let latest = format!("Bearer AT{}", world.latest.load(Ordering::SeqCst));
    if trick == Trick::WantsMore {
        let challenge = r#"www-authenticate: Bearer error="insufficient_scope", scope="more""#;
        return json(stream, "403 Forbidden", &format!("{challenge}\r\n"), &json!({}));
    }
    if trick != Trick::None || token != latest {
        let challenge = match trick {
            Trick::None | Trick::Refuses => {
                format!(r#"Bearer resource_metadata="{own}/.well-known/oauth-protected-resource/mcp""#)
            }
            Trick::PointsElsewhere => format!(r#"Bearer resource_metadata="{issuer}/elsewhere""#),
            _ => "Bearer".to_owned(),
        };
        return json(stream, "401 Unauthorized", &format!("www-authenticate: {challenge}\r\n"), &json!({}));
    }
    let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => {
            json!({ "protocolVersion": message["params"]["protocolVersion"], "capabilities": { "tools": {} },
                    "serverInfo": { "name": "s", "version": "1" } })
        }
        "tools/list" => json!({ "tools": [] }),
        _ if message.get("id").is_none() => return respond(stream, "202 Accepted", "", b""),
        _ => {
            let error = json!({ "code": -32601, "message": "no" });
            return json(stream, "200 OK", "", &json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }));
        }
    };
    json(stream, "200 OK", "", &json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }));
}

/// The authorization server. A refresh token is good for one renewal, and the access tokens before it are no longer.
fn issue(world: &World, request: &Request, stream: &mut TcpStream) {
    let own = world.issuer();
    let path = path(request);
    if path.starts_with("/.well-known/") {
        let mut document = metadata(&own, &own);
        if let (Some(document), Some(beside)) = (document.as_object_mut(), lock(&world.document).as_object()) {
            document.extend(beside.clone());
        }
        return json(stream, "200 OK", "", &document);
    }
    if let Some(query) = path.strip_prefix("/authorize?") {
        let query: std::collections::HashMap<_, _> = form(query.as_bytes()).into_iter().collect();
        let location = format!("location: {}?code=C&state={}\r\n", query["redirect_uri"], query["state"]);
        return respond(stream, "302 Found", &location, b"");
    }
    match path {
        "/register" => json(stream, "201 Created", "", &json!({ "client_id": "cid" })),
        "/token" => {
            if let Some((status, to)) = lock(&world.redirect).clone() {
                return respond(stream, status, &format!("location: {to}\r\n"), b"");
            }
            let form = form(&request.body);
            if *lock(&world.form_only) && !form.contains(&("client_secret".to_owned(), SECRET.to_owned())) {
                return json(stream, "401 Unauthorized", "", &json!({ "error": "invalid_client" }));
            }
            let refresh = form.iter().find(|(name, _)| name == "refresh_token").map(|(_, token)| token.as_str());
            let held = refresh.and_then(|_| lock(&world.held).take());
            if let Some(held) = held {
                let _ = held.recv_timeout(PATIENCE);
            }
            let latest = world.latest.load(Ordering::SeqCst);
            if refresh.is_some_and(|token| token != format!("{REFRESH_TOKEN}-{latest}")) {
                return json(stream, "400 Bad Request", "", &json!({ "error": "invalid_grant" }));
            }
            let latest = latest + 1;
            world.latest.store(latest, Ordering::SeqCst);
            let tokens = json!({
                "access_token": format!("AT{latest}"), "token_type": "Bearer", "expires_in": *lock(&world.lifetime),
                "refresh_token": format!("{REFRESH_TOKEN}-{latest}"),
            });
            json(stream, "200 OK", "", &tokens);
        }
        _ => json(stream, "404 Not Found", "", &json!({})),
    }
}
