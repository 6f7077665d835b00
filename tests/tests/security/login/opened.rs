//! What is opened in the user's browser: web pages alone.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::mpsc::channel;

use serde_json::json;
use understudy_tests::http::PATIENCE;
use understudy_tests::program::{Run, run};

use super::stage::{Stage, lock};

/// A desktop that writes down what it is to open, into a pipe if one is there.
fn with_desktop(stage: &Stage, args: &[&str]) -> std::process::Command {
    let folder = stage.place.path().join("bin");
    let _ = std::fs::create_dir(&folder);
    let opened = stage.place.path().join("opened");
    for name in ["xdg-open", "open"] {
        let script = format!("#!/bin/sh\nprintf '%s:%s\\n' \"$#\" \"$1\" >> '{}'\n", opened.display());
        let path = folder.join(name);
        std::fs::write(&path, script).unwrap_or_else(|e| panic!("{e}"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap_or_else(|e| panic!("{e}"));
    }
    let url = stage.url();
    let mut command = stage.place.understudy(["auth", "--url", &url, "--timeout", "1ms"].iter().chain(args));
    command.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default()));
    command.stdin(Stdio::null());
    command
}

fn auth(stage: &Stage, endpoint: &str, args: &[&str]) -> Run {
    *lock(&stage.world.document) = json!({ "authorization_endpoint": endpoint });
    run(with_desktop(stage, args), "")
}

#[test]
fn what_is_no_web_page_is_neither_opened_nor_printed() {
    let stage = Stage::new();
    for endpoint in [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "vscode://evil.ext/run?x=1",
        "VsCode://evil.ext/run",
        "ms-msdt:/id PCWDiagnostic",
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "java\nscript:alert(1)",
        "smb://evil.example/share",
        "x-man-page://a",
        "https://user:pw@evil.example/a",
        "https://user@evil.example/a",
        "-foo://x",
        "--help",
        "$(touch x)",
        "data:text/html,<script>1</script>",
        "http://127.0.0.1:1/a\u{1b}]0;pwn\u{7}b",
        "tel:123",
        "steam://rungameid/1",
        "http://169.254.169.254/x",
        "http://evil.example/",
        "http://localhost.evil.com/",
        "http://127.0.0.1.evil.com/",
        "http://10.0.0.1/",
        " https://evil.example/",
        "\thttps://evil.example/",
        "\nhttps://evil.example/",
        "https:\\\\evil.example\\",
        "https://evil.example\\@127.0.0.1/",
        "https:evil.example",
        "https:///evil.example",
        "view-source:https://evil.example/",
        "intent://evil#Intent;scheme=http;end",
    ] {
        for args in [&[][..], &["--no-browser"]] {
            let run = auth(&stage, endpoint, args);
            assert!(!run.status.success(), "{endpoint:?}");
            assert!(!run.stderr.contains("Log in here"), "{endpoint:?}: {}", run.stderr);
            assert!(run.stderr.contains("the authorization endpoint `"), "{endpoint:?}: {}", run.stderr);
            assert!(!run.stderr.contains(['\u{1b}', '\u{7}']), "{endpoint:?}: {}", run.stderr);
            assert!(!stage.place.path().join("opened").exists(), "{endpoint:?} was opened");
        }
    }
}

#[test]
fn a_web_page_is_opened_as_one_word() {
    for (endpoint, opened) in [
        ("https://as.example/authorize?a=b", "1:https://as.example/authorize?a=b&response_type=code&"),
        ("HTTPS://AS.example/$(x)`y`;'z'", "1:https://as.example/$(x)%60y%60;'z'?response_type=code&"),
        ("http://127.0.0.1:22/", "1:http://127.0.0.1:22/?response_type=code&"),
        ("http://0x7f.1/", "1:http://127.0.0.1/?response_type=code&"),
        ("http://[::1]/", "1:http://[::1]/?response_type=code&"),
        ("http://localhost/", "1:http://localhost/?response_type=code&"),
    ] {
        let stage = Stage::new();
        let pipe = stage.place.path().join("opened");
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        );
        made.unwrap_or_else(|e| panic!("{e}"));
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(std::fs::read_to_string(pipe)));
        let run = auth(&stage, endpoint, &[]);
        assert!(run.stderr.contains("Log in here"), "{endpoint}: {}", run.stderr);
        let said = receiver
            .recv_timeout(PATIENCE)
            .map_or_else(|e| panic!("nothing was opened: {e}"), Result::unwrap_or_default);
        assert!(said.starts_with(opened), "{endpoint}: {said}");
    }
}
