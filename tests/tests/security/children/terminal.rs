//! What a server writes to stderr, and what else is shown, on a terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use understudy::text::{for_terminal, one_line};
use understudy_tests::PATIENCE;
use understudy_tests::http::send;
use understudy_tests::program::{Place, kill, run};
use understudy_tests::terminal;
use url::Url;

/// A title (OSC 0), a cleared screen (CSI 2 J), the clipboard (OSC 52), C1 controls as a character and as a byte, hidden text; cut in the
/// middle of a sequence and of a character, and without an end of the line.
const HOSTILE: &str = r"printf '\033]0;OWN' >&2; printf 'ED\007\033[2J\033]52;c;ZXZpbA==\007\302' >&2; \
    printf '\2332J \2332J \342\200\213\363\240\201\201 line\r over\n' >&2; printf 'no end \377' >&2";

/// Nothing of what a terminal obeys, but for what is Understudy's own: colours, and the line of a progress.
fn assert_harmless(shown: &str, what: &str) {
    for sequence in ["\u{1b}]", "\u{1b}[2J", "\u{7}", "\u{9b}", "\u{200b}", "\u{e0041}"] {
        assert!(!shown.contains(sequence), "{what}: {sequence:?} in {shown:?}");
    }
    for rest in shown.split('\u{1b}').skip(1) {
        // So the line goes that shows what is being compiled.
        let is_progress = rest.starts_with("[K");
        let style = rest.split_once('m').and_then(|(style, _)| style.strip_prefix('['));
        let is_style = style.is_some_and(|style| style.chars().all(|c| c.is_ascii_digit() || c == ';'));
        assert!(is_progress || is_style, "{what}: an escape sequence in {shown:?}");
    }
}

/// The same, and all of it is there to be read.
fn assert_shown(shown: &str, what: &str) {
    assert_harmless(shown, what);
    for text in [
        r"\u{1b}]0;OWNED\u{7}\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}",
        r"\u{9b}2J ",
        r"2J \u{200b}\u{e0041} line",
        " over",
        "no end \u{fffd}",
    ] {
        assert!(shown.contains(text), "{what}: no {text:?} in {shown:?}");
    }
}

#[test]
fn what_a_server_writes_to_stderr_is_text_on_a_terminal() {
    let place = Place::new();
    let server = ["--", "sh", "-c", HOSTILE];
    for verb in [
        vec!["proxy", "--plugin", "echo"],
        vec!["call", "x", "--plugin", "echo"],
        vec!["tools"],
        vec!["-vv", "proxy", "--plugin", "echo"],
    ] {
        let shown = terminal::run(place.understudy(verb.iter().chain(&server)));
        assert_shown(&shown, &verb.join(" "));
    }
}

#[test]
fn what_the_servers_behind_serve_write_is_text_on_a_terminal() {
    let place = Place::new();
    let config = json!({ "mcpServers": { "s": { "command": "sh", "args": ["-c", HOSTILE] } } });
    let config = place.file("hostile.json", config.to_string());
    let mut command =
        place.understudy(["serve", "--no-token", "--listen", "127.0.0.1:0", "--config", &config.to_string_lossy()]);
    let (master, slave) = terminal::open();
    let mut serve = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(slave).spawn().unwrap();
    drop(command);
    let said = first_line(&mut serve);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
    let url = Url::parse(said["endpoints"]["s"].as_str().unwrap_or_default()).unwrap();
    let address = url.socket_addrs(|| None).unwrap().remove(0);
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18", "capabilities": {} } });
    // The server ends without an answer.
    let path = url.path().to_owned();
    thread::spawn(move || send(address, "POST", &path, &[], initialize.to_string().as_bytes()));
    let shown = thread::spawn(move || until(master, "no end \u{fffd}"));
    let began = Instant::now();
    while !shown.is_finished() && began.elapsed() < PATIENCE {
        thread::yield_now();
    }
    kill(serve.id());
    let _ = serve.wait();
    assert_shown(&shown.join().unwrap(), "serve");
}

#[test]
fn a_log_that_is_no_terminal_has_what_the_server_wrote_byte_for_byte() {
    let place = Place::new();
    let run = run(place.understudy(["proxy", "--plugin", "echo", "--", "sh", "-c", HOSTILE]), "");
    assert!(run.stderr.contains("\u{1b}]0;OWNED\u{7}\u{1b}[2J"), "{:?}", run.stderr);
}

#[test]
fn a_terminal_that_takes_nothing_holds_up_neither_the_server_nor_the_proxy() {
    let place = Place::new();
    let flood = "head -c 20000000 /dev/zero | tr '\\0' x >&2; echo '{}'; cat >/dev/null";
    let mut command = place.understudy(["proxy", "--plugin", "echo", "--", "sh", "-c", flood]);
    // Nobody reads what is shown.
    let (_master, slave) = terminal::open();
    let mut proxy = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(slave).spawn().unwrap();
    assert_eq!(first_line(&mut proxy), "{}\n");
    drop(proxy.stdin.take());
    let id = proxy.id();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(proxy.wait()));
    let status = end.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        kill(id);
        panic!("the proxy doesn't end")
    });
    assert!(status.unwrap().success());
}

#[test]
fn results_and_errors_are_text_on_a_terminal() {
    let place = Place::new();
    let text = "a\u{1b}]0;t\u{7}\u{9b}2J\u{200b}\u{e0041}b";
    let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
    let request = place.file("request.json", json!({ "messages": [message], "maxTokens": 9 }).to_string());
    let request = request.to_string_lossy();
    for args in [
        vec!["sample", &request, "--plugin", "echo"],
        vec!["sample", "--plugin", text],
        vec!["proxy", "--server", text],
    ] {
        let shown = terminal::run(place.understudy(&args));
        assert_harmless(&shown, &args.join(" "));
        assert!(shown.contains(r"\u{9b}2J") || shown.contains(r"\u{200b}"), "{shown:?}");
    }
}

/// What is shown on a terminal, until this is.
fn until(mut master: File, end: &str) -> String {
    let (mut shown, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(n) = master.read(&mut piece) {
        shown.extend_from_slice(&piece[..n]);
        if n == 0 || memchr::memmem::find(&shown, end.as_bytes()).is_some() {
            break;
        }
    }
    String::from_utf8_lossy(&shown).into_owned()
}

/// The first line on a program's stdout.
fn first_line(child: &mut Child) -> String {
    let stdout = child.stdout.take().unwrap_or_else(|| panic!("no stdout"));
    let (heard, line) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        // What could be read is what there is.
        let _ = BufReader::new(stdout).read_line(&mut line);
        heard.send(line)
    });
    line.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        kill(child.id());
        panic!("not a line on stdout")
    })
}

#[test]
fn no_text_whatever_it_is_has_a_terminal_do_anything_or_hides_another() {
    let (config, rng) = (Config { failure_persistence: None, ..Config::default() }, RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(rng));
    let anything = "[\\x00-\\x{10ffff}]{0,40}";
    let likely =
        "[ a1é\\r\\n\\x1b\\[\\]0;m\u{9b}\u{200b}-\u{200f}\u{202e}\u{20e3}\u{fe0f}\u{fe01}\u{1f469}\u{e0041}]{0,40}";
    let is_obeyed =
        |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202e}' | '\u{e0041}');
    let is_hidden = |c: char| matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    let outcome = runner.run(&prop_oneof![anything, likely], |text| {
        let shown = for_terminal(&text);
        prop_assert!(!shown.chars().any(|c| is_obeyed(c) && !matches!(c, '\n' | '\t')), "{shown:?}");
        // What is shown is fit to be shown.
        prop_assert_eq!(&for_terminal(&shown), &shown);
        // Of two hidden characters side by side, as they are in an emoji only, there can be no hidden text.
        let chars: Vec<char> = shown.chars().collect();
        let is_text = |pair: &[char]| pair.iter().all(|c| is_hidden(*c)) && pair != ['\u{fe0f}', '\u{200d}'];
        prop_assert!(!chars.windows(2).any(is_text), "{shown:?}");
        prop_assert!(!one_line(&text, 1000).chars().any(is_obeyed));
        Ok(())
    });
    outcome.unwrap();
}
