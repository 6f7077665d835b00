//! The config files of other clients, taken as they are, and the entry that a client's config wants.

use serde_json::{Value, json};
use understudy_tests::program::{Place, run};
use understudy_tests::served::Served;

/// Files as their clients have them, with a server `a` that is `cat`, and what else there is.
const FILES: [(&str, &str, &str); 11] = [
    (
        "Claude Desktop",
        "claude_desktop_config.json",
        r#"{"globalShortcut": "Ctrl+Space", "mcpServers": {"a": {"command": "cat", "args": [], "env": {"A": "1"}}}}"#,
    ),
    (
        "Claude Code",
        ".mcp.json",
        r#"{"mcpServers": {"a": {"type": "stdio", "command": "cat"}, "b": {"type": "http", "url": "https://example.com/mcp", "headers": {"x": "y"}}}}"#,
    ),
    (
        "Gemini CLI",
        "settings.json",
        r#"{"theme": "x", "mcpServers": {"a": {"command": "cat", "trust": true, "timeout": 5}, "b": {"httpUrl": "https://example.com/mcp"}}}"#,
    ),
    (
        "Windsurf",
        "mcp_config.json",
        r#"{"mcpServers": {"a": {"command": "cat", "disabled": false, "disabledTools": []}, "b": {"serverUrl": "https://example.com/mcp"}}}"#,
    ),
    (
        "Cline",
        "cline_mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "cat", "autoApprove": [], "type": "stdio"}, "b": {"type": "streamableHttp", "url": "https://example.com/mcp"}}}"#,
    ),
    (
        "Roo Code",
        "mcp_settings.json",
        r#"{"mcpServers": {"a": {"command": "cat", "alwaysAllow": []}, "b": {"type": "streamable-http", "url": "https://example.com/mcp"}}}"#,
    ),
    (
        "Copilot CLI",
        "mcp-config.json",
        r#"{"mcpServers": {"a": {"type": "local", "command": "cat", "tools": ["*"]}, "b": {"type": "sse", "url": "https://example.com/sse", "tools": ["*"]}}}"#,
    ),
    (
        "VS Code",
        "mcp.json",
        "{\n  // comments\n  \"servers\": {\"a\": {\"type\": \"stdio\", \"command\": \"cat\"}, \"b\": {\"url\": \"https://example.com/mcp\"},},\n  \"inputs\": [],\n}",
    ),
    (
        "VS Code's settings",
        "settings.json",
        r#"{"editor.fontSize": 12, "mcp": {"servers": {"a": {"command": "cat"}, "b": {"url": "https://example.com/mcp"}}}}"#,
    ),
    (
        "Zed",
        "settings.json",
        "{\n  // Zed\n  \"server\": {}, \"context_servers\": {\"a\": {\"source\": \"custom\", \"command\": {\"path\": \"cat\", \"args\": []}, \"settings\": {}}, \"b\": {\"url\": \"https://example.com/mcp\"},},\n}",
    ),
    (
        "opencode",
        "opencode.jsonc",
        r#"{"$schema": "https://opencode.ai/config.json", "plugin": ["x"], "server": {"port": 1}, "mcp": {"a": {"type": "local", "command": ["cat", "-"], "environment": {"A": "{env:HOME}"}, "enabled": true}, "b": {"type": "remote", "url": "https://example.com/mcp"}}}"#,
    ),
];

const LINE: &str = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n";

#[test]
fn the_files_of_other_clients_are_taken_as_they_are() {
    for (client, name, text) in FILES {
        let place = Place::new();
        let file = place.file(name, text).to_string_lossy().into_owned();
        let doctor = place.run(["doctor", "--config", &file]).ok();
        assert!(doctor.stdout.contains("`a` runs `cat`"), "{client}: {}", doctor.stdout);
        let has_b = text.contains("\"b\"");
        assert_eq!(doctor.stdout.contains("`b` is at `https://example.com/"), has_b, "{client}: {}", doctor.stdout);
        let proxy = run(place.understudy(["proxy", "--config", &file, "--server", "a"]), LINE).ok();
        assert_eq!(proxy.stdout, LINE, "{client}: {}", proxy.stderr);
    }
}

#[test]
fn a_server_that_its_user_has_turned_off_is_not_served() {
    let off = [
        json!({ "mcpServers": { "on": { "command": "cat" }, "off": { "command": "cat", "disabled": true } } }),
        json!({ "mcpServers": { "on": { "command": "cat" }, "off": { "command": "cat", "enabled": false } } }),
        json!({ "mcp": { "on": { "command": ["cat"] }, "off": { "command": ["cat"], "enabled": false } } }),
        json!({ "context_servers": { "on": { "command": "cat" }, "off": { "command": "cat", "enabled": false } } }),
        json!({ "mcpServers": { "on": { "command": "cat" }, "off": { "command": "cat" } }, "mcp": { "excluded": ["off"] } }),
    ];
    for config in off {
        let place = Place::new();
        let served = Served::start(&place, &config);
        let names: Vec<&String> =
            served.said["endpoints"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
        assert_eq!(names, ["on"], "{config}");
        let doctor = place.run(["doctor"]).ok();
        let said = "note     `off` runs `cat`; it is turned off (`disabled`), and `serve` leaves it out";
        assert!(doctor.stdout.contains(said), "{config}: {}", doctor.stdout);
        // Who names it wants it.
        let named = run(place.understudy(["proxy", "--server", "off"]), LINE).ok();
        assert_eq!(named.stdout, LINE);
        assert!(named.stderr.contains("`off` is turned off in the config"), "{}", named.stderr);
    }
    let place = Place::new();
    let _ = place.file("understudy.json", r#"{"mcpServers": {"off": {"command": "cat", "disabled": true}}}"#);
    let none = place.run(["serve", "--listen", "127.0.0.1:0"]);
    assert!(none.code() == 2 && none.stderr.contains("all of them are turned off"), "{}", none.stderr);
}

#[test]
fn a_bad_server_is_trouble_for_who_wants_it_and_for_nobody_else() {
    for bad in [
        json!({ "args": [] }),
        json!({ "command": "cat", "url": "https://example.com" }),
        json!({ "command": 3 }),
        json!({ "command": "cat", "samplng": "echo" }),
        json!({ "command": "cat", "sampling": "ehco" }),
        json!({ "command": "cat", "clients": "many" }),
        json!("cat"),
    ] {
        let place = Place::new();
        let config = json!({ "mcpServers": { "good": { "command": "cat" }, "bad": bad }, "sampling": "echo" });
        let _ = place.file("understudy.json", config.to_string());
        let good = run(place.understudy(["proxy", "--server", "good"]), LINE).ok();
        assert_eq!(good.stdout, LINE);
        assert!(
            good.stderr.contains("`mcpServers.bad") && good.stderr.contains("this server can't be used"),
            "{bad}: {}",
            good.stderr
        );
        let wanted = place.run(["proxy", "--server", "bad"]);
        assert!(wanted.code() == 2 && wanted.stderr.contains("`mcpServers.bad"), "{bad}: {}", wanted.stderr);
        let doctor = place.run(["doctor"]);
        assert!(doctor.code() == 2 && doctor.stdout.contains("TROUBLE  `mcpServers.bad"), "{bad}: {}", doctor.stdout);
        assert!(doctor.stdout.contains("ok       `good` runs `cat`"), "{bad}: {}", doctor.stdout);
        let served = Served::start(&place, &config);
        let names: Vec<&String> =
            served.said["endpoints"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
        assert_eq!(names, ["good"], "{bad}");
    }
}

#[test]
fn a_server_whose_variable_is_not_set_keeps_no_other_from_being_served() {
    let place = Place::new();
    let config = json!({ "mcpServers": { "good": { "command": "cat" }, "bad": { "command": "cat", "args": ["${input:key}"] } } });
    let served = Served::start(&place, &config);
    assert_eq!(served.said["endpoints"].as_object().map(serde_json::Map::len), Some(1), "{}", served.said);
    let named = place.run(["serve", "--listen", "127.0.0.1:0", "--server", "bad"]);
    assert!(named.code() == 2 && named.stderr.contains("`${input:key}`"), "{}", named.stderr);
}

#[test]
fn a_file_of_another_format_is_told_what_to_write() {
    for (name, text, format) in [
        ("config.toml", "[mcp_servers.a]\ncommand = \"cat\"\n", "TOML"),
        ("config.yaml", "extensions:\n  a:\n    cmd: cat\n", "YAML"),
        ("config", "mcpServers:\n  - name: a\n", "YAML"),
    ] {
        let place = Place::new();
        let file = place.file(name, text).to_string_lossy().into_owned();
        let run = place.run(["proxy", "--config", &file, "--server", "a"]);
        let said = format!(
            "is {format}, and a config here is JSON: write its servers into a file as `{{\"mcpServers\": {{\"NAME\": {{\"command\": "
        );
        assert!(run.code() == 2 && run.stderr.contains(&said), "{}", run.stderr);
    }
}

/// The JSON that doctor shows for a client's config.
fn shown(stdout: &str) -> Value {
    let (_, rest) = stdout.split_once("for a client's config\n").unwrap_or_default();
    let lines: Vec<&str> = rest.lines().take_while(|line| line.starts_with("  ")).collect();
    serde_json::from_str(&lines.join("\n")).unwrap_or_default()
}

#[test]
fn doctor_shows_an_entry_that_works_in_an_empty_environment() {
    let place = Place::new();
    let _ = place.file(
        "understudy.json",
        json!({ "mcpServers": { "a": { "command": "/bin/cat" } }, "sampling": "echo" }).to_string(),
    );
    for args in [
        &["doctor"][..],
        &["doctor", "--plugin", "echo", "--max-tokens", "7", "--", "cat", "-"],
        &["doctor", "--plugin", "echo", "cat"],
    ] {
        let doctor = place.run(args).ok();
        let entries = shown(&doctor.stdout)["mcpServers"].clone();
        let names: Vec<&String> = entries.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        assert!(!names.is_empty(), "{}", doctor.stdout);
        for name in names {
            let entry = &entries[name];
            let program = entry["command"].as_str().unwrap_or_default();
            assert!(program.starts_with('/'), "{entry}");
            let mut command = std::process::Command::new(program);
            command
                .args(entry["args"].as_array().into_iter().flatten().filter_map(Value::as_str))
                .env_clear()
                .current_dir("/");
            let run = run(command, LINE).ok();
            assert_eq!(run.stdout, LINE, "{entry}: {}", run.stderr);
        }
    }
    let mut command = place.understudy(["doctor", "--plugin", "openai", "--model", "m", "--set", "stream=true", "cat"]);
    command.env("OPENAI_API_KEY", "sk-0123456789abcdef");
    let doctor = run(command, "").ok();
    assert!(!doctor.stdout.contains("sk-0123"), "{}", doctor.stdout);
    let entry = &shown(&doctor.stdout)["mcpServers"]["cat"];
    assert_eq!(entry["env"], json!({ "OPENAI_API_KEY": "…" }), "{}", doctor.stdout);
    let args: Vec<&str> = entry["args"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(
        args[..8],
        [
            "proxy",
            "--config",
            &place.path().join("understudy.json").to_string_lossy(),
            "--plugin",
            "openai",
            "--model",
            "m",
            "--set"
        ]
    );
    let missing = place.run(["doctor", "--plugin", "ehco", "no-such-server-here"]);
    assert!(missing.stdout.contains("TROUBLE  there is no program `no-such-server-here`"), "{}", missing.stdout);
    assert!(missing.stdout.contains("did you mean `echo`?"), "{}", missing.stdout);
}
