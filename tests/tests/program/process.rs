//! The proxy as a process: exit codes, signals, ends of input, and no child left behind.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Instant;

use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};
use understudy_tests::PATIENCE;
use understudy_tests::program::{Place, binary, kill, run, signal};
use understudy_tests::provider::{Provider, wait_for_hangup};
use understudy_tests::session::{Session, sampling};

#[test]
fn the_proxy_ends_as_its_server_does() {
    let place = Place::new();
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("echo last words; echo oops >&2; exit 3", 3)] {
        let (status, lines, stderr) = Session::start(&place, &["--plugin", "echo"], &["sh", "-c", script]).end();
        assert_eq!(status.code(), Some(code), "{script}: {stderr}");
        if code == 3 {
            assert_eq!(lines, [b"last words\n"]);
            assert!(stderr.contains("oops\n"), "{stderr}");
        }
    }
    for which in [Signal::KILL, Signal::TERM, Signal::SEGV] {
        let script = format!("kill -{} $$", which.as_raw());
        let (status, ..) = Session::start(&place, &["--plugin", "echo"], &["sh", "-c", &script]).end();
        let by = status.signal().unwrap_or_else(|| status.code().unwrap_or_default() - 128);
        // What a fault's signal does to a healthy process is `abort`.
        assert!(by == which.as_raw() || by == Signal::ABORT.as_raw(), "{which:?}: {status}");
    }
}

#[test]
fn signals_reach_the_server() {
    let place = Place::new();
    // It never ends by itself, and has no child that could outlive it with our stderr.
    let script = "exec 3<> <(:); trap 'echo got term; exit 5' TERM; trap 'echo got usr1' USR1; echo ready; while read x; do :; done; while :; do read -t 0.05 -u 3 x; done";
    let mut session = Session::start(&place, &["--plugin", "echo"], &["bash", "-c", script]);
    assert_eq!(session.line(), b"ready\n");
    signal(session.id(), Signal::USR1);
    session.end_input();
    assert_eq!(session.line(), b"got usr1\n");
    signal(session.id(), Signal::TERM);
    assert_eq!(session.line(), b"got term\n");
    let (status, ..) = session.end();
    assert_eq!(status.code(), Some(5));
}

#[test]
fn no_child_is_left_behind_however_the_proxy_ends() {
    let place = Place::new();
    for how in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP] {
        // A server that heeds neither signals nor the end of its input.
        let script = "trap '' TERM INT HUP; echo $$; while :; do sleep 1000; done";
        let mut session = Session::start(&place, &["--plugin", "echo"], &["bash", "-c", script]);
        let pid: i32 = String::from_utf8_lossy(&session.line()).trim().parse().unwrap_or_default();
        let pid = Pid::from_raw(pid);
        session.end_input();
        signal(session.id(), how);
        if how != Signal::KILL {
            // As without the proxy, it is the client's to lose patience.
            kill(session.id());
        }
        wait_for_end(pid);
    }
}

#[test]
fn what_the_server_started_is_not_left_behind_either() {
    let place = Place::new();
    // As `npx` does, the server runs in a child of the command; this one heeds nothing, not even the end of its input.
    let script = "bash -c \"trap '' TERM INT HUP; echo \\$\\$; while :; do sleep 1000; done\"; true";
    let mut session = Session::start(&place, &["--plugin", "echo"], &["bash", "-c", script]);
    let line = session.line();
    let pid: i32 = String::from_utf8_lossy(&line).trim().parse().unwrap_or_else(|e| panic!("{e}: {line:?}"));
    kill(session.id());
    wait_for_end(Pid::from_raw(pid));
}

fn wait_for_end(pid: Option<Pid>) {
    let began = Instant::now();
    while pid.is_some_and(|pid| test_kill_process(pid).is_ok() && !is_zombie(pid)) {
        assert!(began.elapsed() < PATIENCE, "the server lives on");
        std::thread::yield_now();
    }
}

fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_request_takes_it_along() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let request = sampling(1, "slow").to_string();
    let script = format!("echo '{request}'; read go; exit 9");
    let args = ["--plugin", "openai", "--model", "m", "--endpoint", &provider.url];
    let mut session = Session::start(&place, &args, &["sh", "-c", &script]);
    provider.gate().wait_for(1);
    session.say(&json!({"method": "go"}));
    let (status, ..) = session.end();
    assert_eq!(status.code(), Some(9));
    provider.gate().wait_for_silence();
}

#[test]
fn a_client_that_leaves_while_the_provider_thinks_frees_everything() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| wait_for_hangup(stream));
    let args = ["--plugin", "openai", "--model", "m", "--endpoint", &provider.url];
    let mut session = Session::start(&place, &args, &["cat"]);
    session.say(&sampling(1, "slow"));
    provider.gate().wait_for(1);
    let (status, rest, _) = session.end();
    // `cat` gives back what it was told: that nobody is there any more.
    let told: Vec<Value> = rest.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert!(status.success() && rest.len() == 1, "{status} {rest:?}");
    assert_eq!((&told[0]["id"], &told[0]["error"]["code"]), (&json!(1), &json!(-32603)));
    provider.gate().wait_for_silence();
}

#[test]
fn the_end_of_what_the_server_says_reaches_the_client_at_once() {
    let place = Place::new();
    let mut session = Session::start(&place, &["--plugin", "echo"], &["bash", "-c", "echo '{}'; exec >&-; read go"]);
    assert_eq!(session.line(), b"{}\n");
    // The server lives on, and waits to be told to end.
    session.wait_for_end_of_output();
    let (status, ..) = session.end();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let place = Place::new();
    let run = place.run(["proxy", "--plugin", "echo", "--", "no-such-server-here"]);
    assert_eq!(run.code(), 1);
    assert!(run.stderr.contains("can't start the server `no-such-server-here`"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn the_server_inherits_the_environment_but_no_credential_of_ours() {
    let place = Place::new();
    let key = [("OPENAI_API_KEY", "sk-0123456789abcdef"), ("OTHER", "kept")];
    let (_, lines, _) =
        Session::start_with(&place, &["--plugin", "openai"], &["sh", "-c", "echo \"[$OPENAI_API_KEY] $OTHER\""], &key)
            .end();
    assert_eq!(lines[0], b"[] kept\n");
    let config = place.file(
        "understudy.json",
        r#"{"mcpServers": {"s": {"command": "sh", "args": ["-c", "echo \"[$OPENAI_API_KEY]\""], "env": {"OPENAI_API_KEY": "${OPENAI_API_KEY}"}, "sampling": "openai"}}}"#,
    );
    let mut command = place.understudy(["proxy", "--server", "s", "--config", &config.to_string_lossy()]);
    command.envs(key);
    assert_eq!(run(command, "").stdout, "[sk-0123456789abcdef]\n");
    // Nor what is no plugin's.
    let own = json!({ "requestStateKey": { "env": "STATE_KEY" }, "sampling": "echo" });
    let config = place.file("own.json", own.to_string());
    let mut command = place.understudy(["proxy", "--config", &config.to_string_lossy(), "--"]);
    command.args(["sh", "-c", "echo \"[$STATE_KEY]\""]).env("STATE_KEY", "0123456789abcdef0123456789abcdef");
    assert_eq!(run(command, "").stdout, "[]\n");
}

#[test]
fn the_servers_limit_on_core_files_is_its_own() {
    let place = Place::new();
    let (_, lines, _) = Session::start(&place, &["--plugin", "echo"], &["sh", "-c", "ulimit -c; exit 0"]).end();
    let direct = run(
        {
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -c"]);
            shell
        },
        "",
    );
    assert_eq!(String::from_utf8_lossy(&lines[0]), direct.stdout);
}

/// Whether a process that may write core files, and is killed as one that should, is said to have written one.
fn dumps_core(place: &Place, program: &str, args: &[&str]) -> bool {
    let mut shell = Command::new("sh");
    shell.current_dir(place.path()).args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\"", program]).args(args);
    let mut session = Session::run(shell, &[("XDG_CACHE_HOME", &place.path().to_string_lossy())]);
    // Once it answers, it is up.
    session.say(&json!({"id": 1, "method": "ping"}));
    let _ = session.line();
    signal(session.id(), Signal::ABORT);
    let (status, ..) = session.end();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
    status.core_dumped()
}

#[cfg(target_os = "linux")]
#[test]
fn no_core_file_of_ours_is_ever_written() {
    let place = Place::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -Hc"]);
    let allowed = run(shell, "").stdout.trim() != "0";
    // Any other program writes one, wherever core files are written at all.
    assert_eq!(dumps_core(&place, "cat", &[]), allowed);
    let understudy = binary("understudy");
    assert!(!dumps_core(&place, &understudy.to_string_lossy(), &["proxy", "--plugin", "echo", "--", "cat"]));
    let folder = std::fs::read_dir(place.path()).into_iter().flatten().flatten();
    let cores = folder.filter(|entry| entry.file_name().to_string_lossy().starts_with("core"));
    // The one is `cat`'s.
    assert!(cores.count() <= 1);
}
