//! `wrap` and `unwrap`: every client's file where it is, what is left and why, and a wrapped server that gets its answer.
#![expect(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use understudy::Environment;
use understudy::config::Config;
use understudy_proxy::server_runtime::{ConfiguredServer, ServerSpec, ServerTarget};
use understudy_tests::peers::workspace;
use understudy_tests::program::{Place, Run, binary, run};
use understudy_tests::session::Session;
use understudy_tests::terminal;

/// A recorded config of each client, and where the client looks for it: in the home, or in the config folder, which is here the same.
const PLACES: [(&str, &str); 20] = [
    ("amp.json", ".config/amp/settings.json"),
    ("claude-code.json", ".claude.json"),
    ("claude-desktop.json", "Claude/claude_desktop_config.json"),
    ("cline.json", "Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
    ("codex.toml", ".codex/config.toml"),
    ("continue.block.json", ".continue/mcpServers/block.json"),
    ("continue.yaml", ".continue/config.yaml"),
    ("copilot-cli.json", ".copilot/mcp-config.json"),
    ("cursor.json", ".cursor/mcp.json"),
    ("gemini-cli.json", ".gemini/settings.json"),
    ("goose.yaml", "goose/config.yaml"),
    ("junie.json", ".junie/mcp/mcp.json"),
    ("kiro.json", ".kiro/settings/mcp.json"),
    ("lm-studio.json", ".lmstudio/mcp.json"),
    ("opencode.jsonc", "opencode/opencode.jsonc"),
    ("qwen-code.json", ".qwen/settings.json"),
    ("roo-code.json", "Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
    ("vscode.json", "Code/User/mcp.json"),
    ("windsurf.json", ".codeium/windsurf/mcp_config.json"),
    ("zed.json", "zed/settings.json"),
];

fn fixture(name: &str) -> String {
    let path = workspace().join("host/cli/src/wrap/fixtures").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn put(place: &Place, path: &str, content: &str) -> PathBuf {
    let path = place.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

/// The program for the user whose home this is, in a folder without a project's files.
fn command(place: &Place, args: &[&str]) -> Command {
    let mut command = place.understudy(args);
    let work = place.path().join("work");
    fs::create_dir_all(&work).unwrap();
    command.current_dir(work).env("HOME", place.path());
    for variable in ["CLAUDE_CONFIG_DIR", "CODEX_HOME", "COPILOT_HOME"] {
        command.env_remove(variable);
    }
    command
}

fn wrap(place: &Place, args: &[&str]) -> Run {
    run(command(place, &[&["wrap"], args].concat()), "")
}

fn unwrap(place: &Place, args: &[&str]) -> Run {
    run(command(place, &[&["unwrap"], args].concat()), "")
}

/// A home with one server of Cursor's, which runs this command.
fn with_cursor(server: &str) -> (Place, PathBuf, String) {
    let place = Place::new();
    let text = format!("{{\n  \"mcpServers\": {{\n    \"code\": {server}\n  }}\n}}\n");
    let path = put(&place, ".cursor/mcp.json", &text);
    (place, path, text)
}

#[test]
fn the_configs_of_all_clients_are_wrapped_where_they_are_and_restored_to_the_byte() {
    let place = Place::new();
    for (name, path) in PLACES {
        let path = put(&place, path, &fixture(name));
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let ran = wrap(&place, &["--plugin", "echo", "--yes"]);
    // Some have servers with keys in headers.
    assert_eq!(ran.code(), 1, "{}{}", ran.stdout, ran.stderr);
    let program = binary("understudy").canonicalize().unwrap();
    for (name, path) in PLACES {
        let (stem, ending) = name.rsplit_once('.').unwrap();
        let expected =
            fixture(&format!("{stem}.wrapped.{ending}")).replace("/opt/bin/understudy", &program.to_string_lossy());
        let path = place.path().join(path);
        assert_eq!(fs::read_to_string(&path).unwrap(), expected, "{name}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640, "{name}");
    }
    for key in ["ghp_x", "sk-1", "your_api_key", "Bearer x", "YOUR_HF_TOKEN"] {
        assert!(!ran.stdout.contains(key) && !ran.stderr.contains(key), "{key}");
    }
    let again = wrap(&place, &["--plugin", "echo", "--yes"]);
    assert!(again.stderr.contains("nothing to change: no server is to be wrapped"), "{}", again.stderr);
    let back = unwrap(&place, &["--yes"]).ok();
    assert!(back.stderr.contains("start Amp, Claude Code, Claude Desktop"), "{}", back.stderr);
    for (name, path) in PLACES {
        assert_eq!(fs::read_to_string(place.path().join(path)).unwrap(), fixture(name), "{name}");
    }
    let kept: Vec<_> = fs::read_dir(place.path().join("understudy/wrapped"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(kept, ["files.json"], "no copy stays");
}

#[test]
fn a_projects_configs_are_wrapped_in_their_folder() {
    let place = Place::new();
    for path in [".mcp.json", ".vscode/mcp.json", ".continue/mcpServers/a.yaml"] {
        let text = match path {
            ".mcp.json" => "{\"mcpServers\": {\"one\": {\"command\": \"x\"}}}",
            ".vscode/mcp.json" => "{\"servers\": {\"two\": {\"command\": \"x\"}}}",
            _ => "mcpServers:\n  - name: three\n    command: x\n",
        };
        let _ = put(&place, &format!("work/{path}"), text);
    }
    let ran = wrap(&place, &["--plugin", "echo", "--yes"]).ok();
    for name in ["one", "two", "three"] {
        assert!(ran.stdout.contains(&format!("  change   `{name}`: x")), "{}", ran.stdout);
    }
    assert!(fs::read_to_string(place.path().join("work/.mcp.json")).unwrap().contains("\"--name\", \"one\""));
}

#[test]
fn a_dry_run_shows_the_difference_and_writes_nothing_and_so_does_a_run_that_nobody_confirms() {
    let (place, path, text) =
        with_cursor("{ \"command\": \"npx\", \"args\": [\"-y\", \"x\"], \"env\": { \"KEY\": \"sk-1\" } }");
    let ran = wrap(&place, &["--plugin", "echo", "--dry-run"]).ok();
    assert!(
        ran.stdout.contains("\n+    \"code\": { \"command\": \"") && ran.stdout.contains("\"env\": { \"KEY\": \"…\" }"),
        "{}",
        ran.stdout
    );
    let ran = wrap(&place, &["--plugin", "echo"]);
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stderr.contains("nothing is written: `--yes` writes this") && ran.stdout.contains("change   `code`"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(!place.path().join("understudy/wrapped/files.json").exists());
    let ran = wrap(&place, &["--yes"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.stderr.contains("no plugin is named: add `--plugin NAME`"), "{}", ran.stderr);
    assert_eq!(wrap(&place, &["--plugin", "nobody", "--yes"]).code(), 2);
    assert_eq!(wrap(&place, &["emacs", "--plugin", "echo"]).code(), 2);
}

#[test]
fn only_the_servers_and_clients_that_are_named_are_wrapped() {
    let servers = "{\"mcpServers\": {\"a\": {\"command\": \"x\"}, \"b\": {\"command\": \"y\"}}}";
    let place = Place::new();
    let (cursor, kiro) = (put(&place, ".cursor/mcp.json", servers), put(&place, ".kiro/settings/mcp.json", servers));
    let _ = wrap(&place, &["cursor", "--server", "b", "--plugin", "echo", "--yes"]).ok();
    assert_eq!(fs::read_to_string(&kiro).unwrap(), servers);
    let text = fs::read_to_string(&cursor).unwrap();
    assert!(text.starts_with("{\"mcpServers\": {\"a\": {\"command\": \"x\"}, \"b\": {\"command\": \"/"), "{text}");
    let ran = wrap(&place, &["cursor", "--server", "c", "--plugin", "echo", "--yes"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr.contains("no config has the server `c`"), "{}", ran.stderr);
    let ran = wrap(&place, &["zed", "--plugin", "echo"]);
    assert!(ran.code() == 1 && ran.stderr.contains("`zed` has no config"), "{}", ran.stderr);
    // A config elsewhere.
    let other = put(&place, "elsewhere.json", servers);
    let _ = wrap(&place, &["cursor", "--file", "../elsewhere.json", "--plugin", "echo", "--via", "npx", "--yes"]).ok();
    assert!(
        fs::read_to_string(&other)
            .unwrap()
            .contains("\"command\": \"npx\", \"args\": [\"-y\", \"mcp-understudy\", \"proxy\"")
    );
    let _ = unwrap(&place, &["cursor", "--file", "../elsewhere.json", "--yes"]).ok();
    assert_eq!(fs::read_to_string(&other).unwrap(), servers);
    assert_eq!(wrap(&place, &["--file", "x.json", "--plugin", "echo"]).code(), 2);
}

#[test]
fn a_terminal_is_asked_which_servers_which_plugin_and_whether() {
    let servers = "{\"mcpServers\": {\"a\": {\"command\": \"x\"}, \"b\": {\"command\": \"y\"}}}\n";
    let place = Place::new();
    let path = put(&place, ".cursor/mcp.json", servers);
    let answers = [
        ("Which plugin answers", "echo\n"),
        ("Which of these?", "7\n"),
        ("type numbers", "2\n"),
        ("Write this?", "n\n"),
    ];
    let shown = terminal::conversing(command(&place, &["wrap"]), "", &answers);
    assert!(shown.contains("nothing is changed") && shown.contains("+++ "), "{shown}");
    assert_eq!(fs::read_to_string(&path).unwrap(), servers);
    let answers = [("Which plugin answers", "echo\n"), ("Which of these?", "2\n"), ("Write this?", "y\n")];
    let shown = terminal::conversing(command(&place, &["wrap"]), "", &answers);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"a\": {\"command\": \"x\"}, \"b\": {\"command\": \"/"), "{shown}\n{text}");
    let shown = terminal::conversing(command(&place, &["unwrap", "cursor"]), "", &[("Write this?", "yes\n")]);
    assert_eq!(fs::read_to_string(&path).unwrap(), servers, "{shown}");
}

#[test]
fn what_cannot_be_edited_is_named_with_its_remedy_and_the_others_are_done() {
    let fine = "{\"mcpServers\": {\"fine\": {\"command\": \"x\"}}}";
    let place = Place::new();
    let at = |path: &str, content: &str| put(&place, path, content);
    let good = at(".cursor/mcp.json", fine);
    let broken = at(".kiro/settings/mcp.json", "{\n  \"mcpServers\": {,}\n}");
    let odd = at(".gemini/settings.json", "{\"mcpServers\": [1]}");
    let twice = at(".qwen/settings.json", "{\"mcpServers\": {}, \"mcpServers\": {}}");
    let locked = at(".lmstudio/mcp.json", fine);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o444)).unwrap();
    let large = at(".junie/mcp/mcp.json", fine);
    fs::File::options().append(true).open(&large).unwrap().set_len(9 << 20).unwrap();
    let toml = at(".codex/config.toml", "[mcp_servers.a]\ncommand = = 1\n");
    let yaml = at("goose/config.yaml", "extensions:\n\t- x\n");
    fs::create_dir_all(place.path().join("zed")).unwrap();
    symlink("gone.json", place.path().join("zed/settings.json")).unwrap();
    let outside = at("elsewhere/mcp.json", fine);
    fs::create_dir_all(place.path().join("work/.roo")).unwrap();
    symlink("../../elsewhere/mcp.json", place.path().join("work/.roo/mcp.json")).unwrap();
    let before: Vec<Vec<u8>> =
        [&broken, &odd, &twice, &locked, &large, &toml, &yaml, &outside].map(|path| fs::read(path).unwrap()).to_vec();
    let ran = wrap(&place, &["--plugin", "echo", "--yes"]);
    assert_eq!(ran.code(), 1, "{}", ran.stderr);
    for trouble in [
        "line 2, column 18: ",
        "`mcpServers` is no table of servers",
        "`mcpServers` is there twice: remove one of them",
        "it is read-only: `chmod u+w ",
        "it has more than 8388608 bytes",
        "line 2, column 11: ",
        "line 2, column 2: ",
        "it is a link to `gone.json`, which can't be read",
        "it is a link that leads out of this folder, to `",
    ] {
        assert!(ran.stdout.contains(&format!("  TROUBLE  {trouble}")), "{trouble}: {}", ran.stdout);
    }
    assert!(fs::read_to_string(&good).unwrap().contains("proxy"));
    let after: Vec<Vec<u8>> =
        [&broken, &odd, &twice, &locked, &large, &toml, &yaml, &outside].map(|path| fs::read(path).unwrap()).to_vec();
    assert!(before == after, "what is in trouble is as it was");
    let status = wrap(&place, &["--status"]);
    assert!(status.code() == 1 && status.stdout.contains("  wrapped  `fine`"), "{}", status.stdout);
}

#[test]
fn edits_that_were_made_since_stay_when_it_is_unwrapped() {
    let (place, path, text) = with_cursor("{ \"command\": \"npx\", \"args\": [\"-y\", \"x\"] }");
    let _ = wrap(&place, &["--plugin", "echo", "--yes"]).ok();
    let edited = fs::read_to_string(&path).unwrap().replace("\n  }\n}", ",\n    \"new\": {\"command\": \"z\"}\n  }\n}");
    fs::write(&path, &edited).unwrap();
    // The second server is wrapped on top, and what comes back has all three edits.
    let _ = wrap(&place, &["--plugin", "echo", "--yes"]).ok();
    assert_eq!(fs::read_to_string(&path).unwrap().matches("\"proxy\"").count(), 2);
    let _ = unwrap(&place, &["--server", "code", "--yes"]).ok();
    assert_eq!(fs::read_to_string(&path).unwrap().matches("\"proxy\"").count(), 1);
    let _ = unwrap(&place, &["--yes"]).ok();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        text.replace("\n  }\n}", ",\n    \"new\": {\"command\": \"z\"}\n  }\n}")
    );
}

#[test]
fn status_says_what_is_wrapped_and_what_a_client_does_by_itself() {
    let place = Place::new();
    let _ = put(&place, "Code/User/profiles/5552b383/mcp.json", &fixture("vscode.json"));
    let _ = wrap(&place, &["vscode", "--server", "python", "--plugin", "echo", "--yes"]).ok();
    let ran = wrap(&place, &["--status", "--json"]).ok();
    let all: Value = serde_json::from_str(&ran.stdout).unwrap();
    let code = &all[0];
    assert_eq!((&code["client"], &code["samples"], &code["project"]), (&json!("vscode"), &json!(true), &json!(false)));
    let of =
        |name: &str| code["servers"].as_array().unwrap().iter().find(|server| server["name"] == name).unwrap().clone();
    assert_eq!((&of("python")["wrapped"], &of("python")["plugins"]), (&json!(true), &json!(["echo"])));
    assert_eq!(
        (&of("github")["wrapped"], &of("github")["runs"]),
        (&json!(false), &json!("https://api.githubcopilot.com/mcp/"))
    );
    let ran = wrap(&place, &["--status"]).ok();
    assert!(
        ran.stdout.contains("it answers sampling requests by itself")
            && ran.stdout.contains("  plain    `perplexity`: npx -y server-perplexity-ask"),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_user_is_told_where_the_key_goes_and_what_may_be_spent() {
    let place = Place::new();
    let servers = json!({ "mcpServers": {
        "without": { "command": "x" }, "with": { "command": "x", "env": { "ANTHROPIC_API_KEY": "sk-ant-1" } },
        "remote": { "url": "https://mcp.example.com/mcp" },
    } });
    let path = put(&place, ".cursor/mcp.json", &servers.to_string());
    let config = json!({ "sampling": { "use": "anthropic", "maxTokens": 700 }, "budgets": [{ "server": "with", "money": "$1", "per": "day" }] });
    let _ = place.file("understudy.json", config.to_string());
    let ran = wrap(&place, &["--yes"]).ok();
    assert!(
        ran.stderr.contains("`anthropic` takes its key from `ANTHROPIC_API_KEY`")
            && ran.stderr.contains("into `env` of `remote`, `without`"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("in `env` of `with` is the plugin's from now on"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`understudy auth --url https://mcp.example.com/mcp`"), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("`with`: 700 tokens an answer") && ran.stdout.contains("$1.00 a day"),
        "{}",
        ran.stdout
    );
    let text = fs::read_to_string(path).unwrap();
    let config = place.path().join("understudy.json");
    assert!(
        !text.contains("--plugin") && text.contains(&format!("\"--config\",\"{}\"", config.display()))
            || text.contains(&format!("\"--config\", \"{}\"", config.display())),
        "{text}"
    );
}

/// The client's side of a session with a server of this config: the text that its tool `summarize` returns.
fn summarized(place: &Place, config: &Path) -> Value {
    let config: Value = serde_json::from_str(&fs::read_to_string(config).unwrap()).unwrap();
    let entry = &config["mcpServers"]["code"];
    let args = entry["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut server = Command::new(entry["command"].as_str().unwrap());
    server.args(args).current_dir(place.path()).env("HOME", place.path());
    for variable in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"] {
        server.env(variable, place.path());
    }
    server.env("XDG_CACHE_HOME", understudy_tests::program::cache()).env_remove("UNDERSTUDY_CONFIG");
    let mut session = Session::run(server, &[]);
    let params =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } });
    session.say(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }));
    assert_eq!(session.hear()["id"], 0);
    session.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    let call = json!({ "name": "summarize", "arguments": { "text_to_summarize": "a long story" } });
    session.say(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }));
    let answer = loop {
        let message = session.hear();
        if message["method"].is_null() {
            break message;
        }
        // The client can't sample, and says so.
        let error = json!({ "code": -32601, "message": "Method not found" });
        session.say(&json!({ "jsonrpc": "2.0", "id": message["id"], "error": error }));
    };
    session.end_input();
    answer["result"].clone()
}

#[test]
fn a_wrapped_server_gets_its_answer_and_an_unwrapped_one_does_not() {
    let server = json!({ "command": binary("summarize-server") });
    let (place, path, text) = with_cursor(&server.to_string());
    assert_eq!(summarized(&place, &path)["isError"], true);
    let _ = place.file("understudy.json", "{\"ledger\": true}");
    let _ = wrap(&place, &["--plugin", "echo", "--yes"]).ok();
    let result = summarized(&place, &path);
    assert!(result["content"][0]["text"].as_str().unwrap().contains("a long story"), "{result}");
    // It is known by the name that it has in the client.
    let rows: Value = serde_json::from_str(&run(command(&place, &["ledger", "--json"]), "").ok().stdout).unwrap();
    assert!(rows.to_string().contains("\"server\":\"code\""), "{rows}");
    let _ = unwrap(&place, &["--yes"]).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert_eq!(summarized(&place, &path)["isError"], true);
}

#[test]
fn a_plugin_that_cannot_be_loaded_is_named_when_servers_are_wrapped_with_it() {
    let (place, path, _) = with_cursor("{ \"command\": \"x\" }");
    let component = put(&place, "broken.wasm", "no component");
    let ran = wrap(&place, &["--plugin", &component.to_string_lossy(), "--yes"]);
    assert_eq!(ran.code(), 1);
    assert!(ran.stderr.contains("broken.wasm` can't be loaded, and won't answer: "), "{}", ran.stderr);
    assert!(fs::read_to_string(&path).unwrap().contains("broken.wasm"));
}

#[test]
fn a_server_that_is_named_on_the_command_line_is_remembered_by_that_name() {
    let text = r#"{"ledger": true, "sampling": {"use": "echo", "approve": "remember"}}"#;
    let config = Config::parse(text, Path::new("understudy.json")).unwrap();
    let resolved = |name: Option<&str>| {
        let target = ServerTarget::Command { program: "/bin/cat".to_owned(), args: Vec::new() };
        let spec = ServerSpec { target, name: name.map(str::to_owned), headers: Vec::new() };
        let server = ConfiguredServer::resolve(&config, &spec, &Environment::process()).unwrap();
        (server.name, server.rule.unwrap().approve.remembers())
    };
    assert_eq!(resolved(Some("code")), ("code".to_owned(), true));
    assert_eq!(resolved(None), ("cat".to_owned(), false));
    let place = Place::new();
    for named in [&["--name", "", "--", "cat"][..], &["--name", "a", "--server", "b"]] {
        assert_eq!(place.run([&["proxy", "--plugin", "echo"], named].concat()).code(), 2, "{named:?}");
    }
}
