//! Agents in the terminal that `understudy wrap` has found: with a scripted model, their servers' sampling requests are answered; unwrapped, they
//! aren't, and their configs are as they were.
#![expect(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use understudy_tests::peers::{installed, node, server_everything};
use understudy_tests::program::{Place, run, run_within};
use understudy_tests::scripted_model::{NO_TOOL, RETURNED, calling};

/// How long an agent may take to start, ask twice and end.
const PATIENCE: Duration = Duration::from_mins(2);

/// One agent: its name for `wrap`, its config, and how it is asked.
struct Agent {
    client: &'static str,
    config: &'static str,
    text: String,
    program: String,
    args: &'static [&'static str],
}

/// The agents, with server-everything as their server and the model at this URL.
fn agents(url: &str) -> Vec<Agent> {
    let server = server_everything();
    let words: Vec<String> = server.iter().map(|word| json!(word).to_string()).collect();
    let (command, args, all) = (&words[0], words[1..].join(", "), words.join(", "));
    let program = |name: &str| installed(&format!("clients/bin/{name}"));
    vec![
        Agent {
            client: "claude-code",
            config: ".claude.json",
            text: format!(
                "{{ \"hasCompletedOnboarding\": true,\n  \"mcpServers\": {{\n    \"everything\": {{ \"type\": \"stdio\", \"command\": {command}, \"args\": [{args}], \"env\": {{}} }}\n  }}\n}}\n"
            ),
            program: program("claude"),
            args: &[
                "-p",
                "go",
                "--model",
                "claude-sonnet-4-6",
                "--allowedTools",
                "mcp__everything__trigger-sampling-request",
            ],
        },
        Agent {
            client: "codex",
            config: ".codex/config.toml",
            text: format!(
                "model = 'm'   # scripted\nmodel_provider = \"mock\"\n\n[model_providers.mock]\nname = \"mock\"\nbase_url = \"{url}/v1\"\nwire_api = \"responses\"\n\n[mcp_servers.everything]\ncommand = {command}   # node\nargs = [\n  {args},\n]\n"
            ),
            program: program("codex"),
            args: &["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "go"],
        },
        Agent {
            client: "gemini-cli",
            config: ".gemini/settings.json",
            text: format!(
                "{{\n  \"security\": {{ \"auth\": {{ \"selectedType\": \"gemini-api-key\" }} }},\n  \"mcpServers\": {{ \"everything\": {{ \"command\": {command}, \"args\": [{args}], \"trust\": true }} }}\n}}\n"
            ),
            program: program("gemini"),
            args: &["-p", "go", "--yolo", "-m", "gemini-2.5-flash"],
        },
        Agent {
            client: "opencode",
            config: ".config/opencode/opencode.json",
            text: format!(
                "{{\n  \"model\": \"mock/m\", \"small_model\": \"mock/m\", \"autoupdate\": false, \"permission\": \"allow\",\n  \"provider\": {{ \"mock\": {{ \"npm\": \"@ai-sdk/openai-compatible\", \"name\": \"mock\", \"options\": {{ \"baseURL\": \"{url}/v1\", \"apiKey\": \"x\" }},\n    \"models\": {{ \"m\": {{ \"name\": \"m\", \"tool_call\": true }} }} }} }},\n  \"mcp\": {{ \"everything\": {{ \"type\": \"local\", \"command\": [{all}], \"enabled\": true }}, }}, // mine\n}}\n"
            ),
            program: program("opencode"),
            args: &["run", "go"],
        },
    ]
}

/// What an agent says, in this home.
fn said(agent: &Agent, home: &Path, url: &str) -> String {
    let work = home.join("work");
    fs::create_dir_all(&work).unwrap();
    let node = Path::new(&node()).canonicalize().unwrap();
    let path = std::env::join_paths([node.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut command = Command::new(&agent.program);
    command.args(agent.args).current_dir(work).env_clear().env("HOME", home).env("PATH", path).env("TERM", "dumb");
    command.env("ANTHROPIC_BASE_URL", url).env("ANTHROPIC_API_KEY", "x").env("GEMINI_API_KEY", "x");
    command.env("GOOGLE_GEMINI_BASE_URL", url).env("GEMINI_CLI_TRUST_WORKSPACE", "true");
    for quiet in ["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY"] {
        command.env(quiet, "1");
    }
    let ran = run_within(PATIENCE, command, "");
    format!("{}\n{}", ran.stdout, ran.stderr)
}

/// `understudy ARGS…` in this home, of which it uses the folders that a program started by an agent uses, too.
fn understudy(place: &Place, args: &[&str]) {
    let mut command = place.stranger(args);
    command.env("HOME", place.path());
    for folder in ["CONFIG", "STATE", "DATA", "CACHE"] {
        command.env_remove(format!("XDG_{folder}_HOME"));
    }
    let _ = run(command, "").ok();
}

fn check(client: &str) {
    let model = calling("trigger-sampling-request", &json!({ "prompt": "a word from the tool", "maxTokens": 64 }));
    let agents = agents(&model.url);
    let agent = agents.iter().find(|agent| agent.client == client).unwrap_or_else(|| panic!("no `{client}`"));
    let place = Place::new();
    let config = place.path().join(agent.config);
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, &agent.text).unwrap();
    let without = said(agent, place.path(), &model.url);
    assert!(without.contains(NO_TOOL), "{client}: {without}");
    // Agents write into their configs what they have seen.
    let before = fs::read_to_string(&config).unwrap();
    understudy(&place, &["wrap", client, "--plugin", "echo", "--yes"]);
    let wrapped = fs::read_to_string(&config).unwrap();
    let with = said(agent, place.path(), &model.url);
    assert!(with.contains(RETURNED) && with.contains("LLM sampling result"), "{client}: {with}");
    assert!(with.contains("a word from the tool"), "{client}: {with}");
    let is_as_written = fs::read_to_string(&config).unwrap() == wrapped;
    understudy(&place, &["unwrap", client, "--yes"]);
    let after = fs::read_to_string(&config).unwrap();
    assert!(after == before || !is_as_written && !after.contains("understudy"), "{client}:\n{before}\n{after}");
    let without = said(agent, place.path(), &model.url);
    assert!(without.contains(NO_TOOL), "{client}: {without}");
}

#[test]
fn claude_codes_server_is_answered_once_it_is_wrapped() {
    check("claude-code");
}

#[test]
fn codexs_server_is_answered_once_it_is_wrapped() {
    check("codex");
}

#[test]
fn gemini_clis_server_is_answered_once_it_is_wrapped() {
    check("gemini-cli");
}

#[test]
fn opencodes_server_is_answered_once_it_is_wrapped() {
    check("opencode");
}
