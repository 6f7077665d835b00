//! Whole configs: a real one of each client, and generated ones of each format.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::clients::{CLIENTS, McpClient, format_of};
use super::document::{ConfigDocument, ConfigFormat};
use super::entry::ServerEntry;
use super::servers::{EditedConfig, ProxyCommand, ServerOutcome, servers, unwrap, wrap};

fn client(id: &str) -> &'static McpClient {
    CLIENTS.iter().find(|client| client.id == id).unwrap_or_else(|| panic!("no client `{id}`"))
}

fn proxy() -> ProxyCommand {
    ProxyCommand {
        program: "/opt/bin/understudy".to_owned(),
        plugins: vec!["echo".to_owned()],
        ..ProxyCommand::default()
    }
}

fn all(_: &ServerEntry) -> bool {
    true
}

fn parsed(format: ConfigFormat, text: &str) -> ConfigDocument {
    ConfigDocument::parse(format, text.to_owned()).unwrap_or_else(|fault| panic!("{fault:?}\n{text}"))
}

/// The text with all servers wrapped, and what was left.
fn wrapped(client: &McpClient, document: &ConfigDocument) -> (String, Vec<String>) {
    let edited = wrap(document, client, &all, &proxy()).unwrap_or_else(|why| panic!("{}: {why}", client.id));
    let left = edited.servers.iter().filter_map(|server| match &server.outcome {
        ServerOutcome::Left(why) => Some(format!("{}: {why}", server.place)),
        _ => None,
    });
    let left = left.collect();
    (edited.text.unwrap_or_else(|| document.text.clone()), left)
}

// ---------------------------------------------------------------- a real config of each client

/// The configs of this client, in `fixtures`.
fn fixtures(client: &McpClient) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wrap/fixtures");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.split('.').next() == Some(client.id) && !name.contains(".wrapped.")
    });
    found.sort();
    found
}

#[test]
fn a_real_config_of_each_client_is_wrapped_as_recorded_and_unwrapped_to_the_byte() {
    for client in CLIENTS {
        let fixtures = fixtures(client);
        assert!(!fixtures.is_empty(), "`fixtures` has no config of `{}`", client.id);
        for path in fixtures {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let (document, format) = (parsed(format_of(&path), &text), format_of(&path));
            assert!(servers(&document, client).unwrap().len() > 1, "{name} has no servers");
            let (new, left) = wrapped(client, &document);
            let note = if left.is_empty() { String::new() } else { format!("{}\n", left.join("\n")) };
            let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
            for (golden, content) in
                [(format!("{stem}.wrapped.{ending}"), &new), (format!("{stem}.wrapped.left"), &note)]
            {
                let golden = path.with_file_name(golden);
                if content.is_empty() {
                    assert!(!golden.exists(), "{}: nothing is left", golden.display());
                    continue;
                }
                if std::env::var_os("UPDATE_FIXTURES").is_some() {
                    std::fs::write(&golden, content).unwrap();
                }
                let recorded = std::fs::read_to_string(&golden).unwrap_or_default();
                assert_eq!(&recorded, content, "{}: `UPDATE_FIXTURES=1` writes it anew", golden.display());
            }
            let again = wrap(&parsed(format, &new), client, &all, &proxy()).unwrap();
            assert_eq!(again.text, None, "{name}: wrapping twice changes something");
            let back = unwrap(&parsed(format, &new), client, &all, Some(&document)).unwrap();
            assert_eq!(back.text.as_deref(), Some(text.as_str()), "{name}");
        }
    }
}

#[test]
fn a_server_is_wrapped_alone_and_another_ones_edits_stay_when_it_is_unwrapped() {
    let (cursor, text) = (
        client("cursor"),
        "{ \"mcpServers\": { \"a\": {\"command\":\"x\"}, \"b\": {\"command\": \"y\", \"args\": [] } } }",
    );
    let document = parsed(ConfigFormat::Json, text);
    let only = |name: &'static str| move |entry: &ServerEntry| entry.name == name;
    let new = wrap(&document, cursor, &only("b"), &proxy()).unwrap().text.unwrap();
    assert!(
        new.starts_with("{ \"mcpServers\": { \"a\": {\"command\":\"x\"}, \"b\": {\"command\": \"/opt/bin/understudy\""),
        "{new}"
    );
    let edited = new.replace("\"x\"", "\"z\"");
    let back = unwrap(&parsed(ConfigFormat::Json, &edited), cursor, &all, Some(&document)).unwrap().text;
    assert_eq!(back, Some(text.replace("\"x\"", "\"z\"")));
    // Without what was there before, the arguments that there weren't are none.
    let both = wrap(&document, cursor, &all, &proxy()).unwrap().text.unwrap();
    let back = unwrap(&parsed(ConfigFormat::Json, &both), cursor, &all, None).unwrap().text;
    assert_eq!(back, Some(text.replace("{\"command\":\"x\"}", "{\"command\":\"x\", \"args\":[]}")));
}

#[test]
fn npx_and_uvx_start_understudy_where_that_is_wanted() {
    for (program, runner, begin) in [
        ("npx", vec!["-y".to_owned(), "mcp-understudy".to_owned()], r#"["-y", "mcp-understudy", "proxy", "#),
        ("uvx", vec!["mcp-understudy".to_owned()], r#"["mcp-understudy", "proxy", "#),
    ] {
        let text = r#"{"mcpServers": {"a": {"command": "npx", "args": ["x"]}, "b": {"url": "https://a.example/mcp", "type": "sse"}}}"#;
        let (cursor, document) = (client("cursor"), parsed(ConfigFormat::Json, text));
        let proxy = ProxyCommand { program: program.to_owned(), runner, ..proxy() };
        let new = wrap(&document, cursor, &all, &proxy).unwrap().text.unwrap();
        assert!(new.contains(&format!(r#""command": "{program}", "args": {begin}"#)), "{new}");
        let new = parsed(ConfigFormat::Json, &new);
        assert_eq!(wrap(&new, cursor, &all, &proxy).unwrap().text, None);
        assert_eq!(unwrap(&new, cursor, &all, Some(&document)).unwrap().text.as_deref(), Some(text));
    }
}

#[test]
fn an_entry_of_somebody_elses_hand_is_unwrapped_and_one_of_the_config_is_left() {
    let text = r#"{"mcpServers": {"a": {"command": "understudy", "args": ["proxy", "--plugin", "echo", "uvx", "code"]},
        "b": {"command": "understudy", "args": ["proxy", "--server", "b"]},
        "c": {"command": "understudy", "args": ["proxy", "--of-tomorrow", "x"]}}}"#;
    let edited = unwrap(&parsed(ConfigFormat::Json, text), client("cursor"), &all, None).unwrap();
    assert!(edited.text.unwrap().contains(r#""a": {"command": "uvx", "args": ["code"]}"#));
    let left = |at: usize| match &edited.servers[at].outcome {
        ServerOutcome::Left(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert!(
        left(1).contains("it runs the server `b` of Understudy's config")
            && left(2).contains("options that this one doesn't know")
    );
}

#[test]
fn what_is_of_an_unknown_shape_is_an_error_that_names_it() {
    let cases = [
        ("cursor", r#"{"mcpServers": []}"#, "`mcpServers` is no table of servers"),
        ("cursor", "[]", "it is no table of keys"),
        ("cursor", r#"{"mcpServers": {}, "mcpServers": {}}"#, "`mcpServers` is there twice"),
        ("cursor", r#"{"mcpServers": {"a": {}, "a": {}}}"#, "`mcpServers` has `a` twice"),
        ("claude-code", r#"{"projects": {"/p": {"mcpServers": 1}}}"#, "`projects./p.mcpServers` is no table"),
        ("goose", "extensions: &a\n  x: {cmd: y}\nother: *a\n", "`extensions` is referred to"),
        ("codex", "mcp_servers = 1", "`mcp_servers` is no table"),
    ];
    for (id, text, expected) in cases {
        let client = client(id);
        let format = if id == "goose" {
            ConfigFormat::Yaml
        } else if id == "codex" {
            ConfigFormat::Toml
        } else {
            ConfigFormat::Json
        };
        let error = wrap(&parsed(format, text), client, &all, &proxy()).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_server_of_an_unknown_shape_is_left_and_the_others_are_wrapped() {
    let cases = [
        (r#"{"command": 1}"#, "neither a text nor a list"),
        (r#"{"command": "npx -y x"}"#, "put them into `args`"),
        (r#"{"command": "x", "args": "y"}"#, "`args` is no list of texts"),
        (r#"{"command": "x", "args": [1]}"#, "`args` is no list of texts"),
        (r#"{"command": "x", "command": "y"}"#, "`command` is there twice"),
        (r#"{"command": "x", "url": "https://a.example"}"#, "a command and a URL"),
        (r#"{"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer x"}}"#, "`headers`"),
        (r#"{"url": "https://a.example/mcp?key=x"}"#, "may have a key in it"),
        (r#"{"url": "https://u:p@a.example/mcp"}"#, "may have a key in it"),
        (r#"{"url": "https://a.example/0123456789abcdef0123/sse"}"#, "may have a key in it"),
        (r#"{"url": "https://a.example/${KEY}"}"#, "has a variable"),
        (r#"{"url": "ws://a.example"}"#, "of `ws`"),
        (r#"{"url": "a.example"}"#, "can't be read"),
        ("7", "no table of keys"),
    ];
    for (entry, expected) in cases {
        let text = format!(r#"{{"mcpServers": {{"odd": {entry}, "fine": {{"command": "x"}}}}}}"#);
        let document = parsed(ConfigFormat::Json, &text);
        let (new, left) = wrapped(client("cursor"), &document);
        assert!(left.len() == 1 && left[0].contains(expected), "{entry}: {left:?}");
        assert!(new.contains(&format!(r#""odd": {entry}, "fine": {{"command": "/opt/bin/understudy""#)), "{new}");
    }
}

#[test]
fn a_fault_of_the_syntax_has_its_line_and_its_column() {
    for (format, text, line, column) in [
        (ConfigFormat::Json, "{\n  \"a\": 1,\n  b: 2\n}", 3, 3),
        (ConfigFormat::Toml, "a = 1\nb = = 2\n", 2, 5),
        (ConfigFormat::Yaml, "a: 1\nb: [1\nc: 2\n", 3, 2),
    ] {
        let fault = ConfigDocument::parse(format, text.to_owned()).unwrap_err();
        assert_eq!((fault.line, fault.column), (line, column), "{format:?}: {fault:?}");
    }
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(400), close.repeat(400));
    for (format, text) in [
        (ConfigFormat::Json, deep("[", "]")),
        (ConfigFormat::Yaml, deep("[", "]")),
        (ConfigFormat::Toml, format!("a = {}", deep("[", "]"))),
    ] {
        assert!(ConfigDocument::parse(format, text).is_err(), "{format:?}");
    }
    assert!(
        ConfigDocument::parse(ConfigFormat::Yaml, "a: 1\n---\nb: 2\n".to_owned())
            .unwrap_err()
            .reason
            .contains("several documents")
    );
}

#[test]
fn an_empty_config_has_no_servers() {
    for (id, format) in [("cursor", ConfigFormat::Json), ("codex", ConfigFormat::Toml), ("goose", ConfigFormat::Yaml)] {
        for text in ["", "\n \n", "# only a comment\n"]
            .iter()
            .filter(|text| format != ConfigFormat::Json || !text.contains('#'))
        {
            assert!(servers(&parsed(format, text), client(id)).unwrap().is_empty(), "{id}");
        }
    }
}

// ---------------------------------------------------------------- generated configs

/// How a generated server is written.
#[derive(Debug, Clone)]
struct GeneratedServer {
    name: String,
    command: String,
    args: Option<Vec<String>>,
    /// In the place of the command.
    is_url: bool,
    /// What is written between the parts, and in which order.
    style: Vec<u8>,
}

/// Takes one choice after the other.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn of(&mut self, most: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % most
    }

    fn space(&mut self) -> &'static str {
        ["", " ", "  ", "\t"][self.of(4)]
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z@/._-]{1,12}",
        1 => Just("--".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("it's \"so\" # über \\ , [x]: {y}".to_owned()),
        1 => Just("C:\\Users\\x y\\z.exe".to_owned()),
        1 => "\\PC{0,8}",
    ]
}

fn server() -> impl Strategy<Value = GeneratedServer> {
    let command = prop_oneof!["[a-z]{1,8}", "/[a-z/]{1,12}", Just("C:\\x\\y.exe".to_owned()), Just("it's".to_owned())];
    let command = command.prop_filter("a runner of packages", |command| !["npm", "uv"].contains(&command.as_str()));
    let args = prop::option::of(prop::collection::vec(word(), 0..4));
    ("[a-z]{1,6}", command, args, any::<u8>(), prop::collection::vec(any::<u8>(), 40)).prop_map(
        |(name, command, args, url, style)| GeneratedServer { name, command, args, is_url: url % 4 == 0, style },
    )
}

/// Servers with different names.
fn some_servers() -> impl Strategy<Value = Vec<GeneratedServer>> {
    prop::collection::vec(server(), 0..5).prop_map(|mut servers| {
        for (at, server) in servers.iter_mut().enumerate() {
            server.name = format!("{}{at}", server.name);
        }
        servers
    })
}

const URL: &str = "https://a.example/mcp";

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The servers as JSON with comments, in any spacing.
fn as_json(servers: &[GeneratedServer], newline: &str) -> String {
    let mut text = format!("{{ // mine{newline}  \"other\": [1, 2.50, null,],{newline}\t\"mcpServers\": {{");
    for (at, server) in servers.iter().enumerate() {
        let mut choice = Choices(server.style.iter());
        let is_long = choice.of(2) == 0;
        let gap = if is_long { format!("{newline}      ") } else { choice.space().to_owned() };
        let mut members = Vec::new();
        if choice.of(2) == 0 {
            members.push(format!("\"env\":{}{{ \"A\": \"sk-1\" }}", choice.space()));
        }
        if server.is_url {
            members.push(format!("\"url\"{}:{}\"{URL}\"", choice.space(), choice.space()));
            members.extend((choice.of(2) == 0).then(|| "\"type\" : \"sse\"".to_owned()));
        } else {
            members.push(format!("\"command\"{}:{}{}", choice.space(), choice.space(), json_string(&server.command)));
        }
        if let Some(args) = server.args.as_ref().filter(|_| !server.is_url) {
            let between = if choice.of(2) == 0 { format!("{newline}        ") } else { choice.space().to_owned() };
            let items: Vec<String> = args.iter().map(|arg| format!("{between}{}", json_string(arg))).collect();
            let comma = if choice.of(3) == 0 && !items.is_empty() { "," } else { "" };
            members.push(format!("\"args\":{}[{}{comma}{between}]", choice.space(), items.join(",")));
        }
        if choice.of(2) == 0 {
            members.push("\"timeout\": 1e3".to_owned());
        }
        let note = if is_long && choice.of(2) == 0 { " // a note" } else { "" };
        let separator = format!(",{note}{gap}");
        let end = if choice.of(3) == 0 { "," } else { "" };
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}{newline}    {}: {{{gap}{}{end}{gap}}}",
            json_string(&server.name),
            members.join(&separator)
        );
    }
    text + &format!("{newline}  }} /* end */{newline}}}{newline}")
}

/// A string of TOML, in quotes of some kind.
fn toml_string(text: &str, choice: &mut Choices) -> String {
    let can_be_literal = !text.contains(|c: char| c == '\'' || c.is_control());
    if can_be_literal && choice.of(2) == 0 {
        format!("'{text}'")
    } else {
        json_string(text).replace('\u{7f}', "\\u007F")
    }
}

/// The servers as TOML.
fn as_toml(servers: &[GeneratedServer], newline: &str) -> String {
    let mut text = format!("# mine{newline}model = 'x' # y{newline}dates = [ 1979-05-27, ]{newline}");
    for server in servers {
        let mut choice = Choices(server.style.iter());
        let choice = &mut choice;
        let is_inline = choice.of(4) == 0;
        let mut members = Vec::new();
        if server.is_url {
            members.push(format!("url{}={}\"{URL}\"", choice.space(), choice.space()));
        } else {
            let command = toml_string(&server.command, choice);
            members.push(format!("command{}={}{command}", choice.space(), choice.space()));
        }
        if let Some(args) = server.args.as_ref().filter(|_| !server.is_url) {
            let between = if choice.of(2) == 0 && !is_inline { format!("{newline}  ") } else { " ".to_owned() };
            let items: Vec<String> = args.iter().map(|arg| format!("{between}{}", toml_string(arg, choice))).collect();
            let comma = if choice.of(3) == 0 && !items.is_empty() { "," } else { "" };
            members.push(format!("args = [{}{comma}{between}]", items.join(",")));
        }
        members.push("enabled = true".to_owned());
        if is_inline {
            let (table, rest) = (format!("mcp_servers.{}", server.name), members.join(" , "));
            // At the top, where no table has begun.
            text = format!("{table} = {{ {rest} }} # inline{newline}{text}");
            continue;
        }
        let _ = write!(text, "{newline}[ mcp_servers.{} ]{newline}", server.name);
        for member in members {
            let note = if choice.of(3) == 0 { " # a note" } else { "" };
            let _ = write!(text, "{}{member}{note}{newline}", ["", "  ", "\t"][choice.of(3)]);
        }
        if choice.of(2) == 0 {
            let _ = write!(text, "[mcp_servers.{}.env]{newline}A = \"sk-1\"{newline}", server.name);
        }
    }
    if servers.len() % 2 == 1 { text.trim_end().to_owned() } else { text }
}

/// A string of YAML: plain where it can be, or in quotes of some kind.
fn yaml_string(text: &str, choice: &mut Choices) -> String {
    let is_printed = !text.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'));
    match choice.of(3) {
        0 if super::yaml::is_plain(text) => text.to_owned(),
        1 if is_printed => format!("'{}'", text.replace('\'', "''")),
        _ => super::yaml::escaped(&json_string(text)),
    }
}

/// The servers as YAML.
fn as_yaml(servers: &[GeneratedServer], newline: &str) -> String {
    let mut text = format!("# mine{newline}other: {{a: [1, x]}}{newline}extensions:{newline}");
    for server in servers {
        let mut choice = Choices(server.style.iter());
        let choice = &mut choice;
        let mut members = vec![("type", vec!["stdio".to_owned()])];
        if server.is_url {
            members.push(("uri", vec![URL.to_owned()]));
        } else {
            members.push(("cmd", vec![yaml_string(&server.command, choice)]));
        }
        let is_flow = choice.of(4) == 0;
        if let Some(args) = server.args.as_ref().filter(|_| !server.is_url) {
            let items: Vec<String> = args.iter().map(|arg| yaml_string(arg, choice)).collect();
            if is_flow || args.is_empty() || choice.of(2) == 0 {
                members
                    .push(("args", vec![format!("[{}{}]", choice.space().trim_end_matches('\t'), items.join(" , "))]));
            } else {
                let dashed = ["- ", "-   "][choice.of(2)];
                let items = items.iter().map(|item| format!("{dashed}{item}"));
                members.push(("args", std::iter::once(String::new()).chain(items).collect()));
            }
        }
        members.push(("envs", vec!["{ A: \"sk-1\" }".to_owned()]));
        if is_flow {
            let members: Vec<String> =
                members.iter().map(|(key, lines)| format!("{key}: {}", lines.concat())).collect();
            let _ = write!(text, "  {}: {{ {} }}   # flow{newline}", server.name, members.join(", "));
            continue;
        }
        let _ = write!(text, "  {}:{newline}", server.name);
        let indent = ["    ", "   ", "        "][choice.of(3)];
        for (key, lines) in members {
            let note = if choice.of(3) == 0 { "   # a note" } else { "" };
            let (first, rest) = lines.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
            let gap = if first.is_empty() { "" } else { " " };
            let _ = write!(text, "{indent}{key}:{gap}{first}{note}{newline}");
            let deeper = ["", "  "][choice.of(2)];
            for line in rest {
                let _ = write!(text, "{indent}{deeper}{line}{newline}");
            }
        }
    }
    if servers.is_empty() { text + "  {}" } else { text }
}

/// Wraps those servers that are chosen, and compares.
fn check(
    client: &McpClient,
    format: ConfigFormat,
    text: &str,
    generated: &[GeneratedServer],
    mask: u8,
) -> TestCaseResult {
    let document = match ConfigDocument::parse(format, text.to_owned()) {
        Ok(document) => document,
        Err(fault) => return Err(TestCaseError::fail(format!("{fault:?}\n{text}"))),
    };
    let found = servers(&document, client).map_err(TestCaseError::fail)?;
    prop_assert_eq!(found.len(), generated.len(), "{}", text);
    for server in generated {
        let entry = found.iter().find(|entry| entry.name == server.name);
        let words = entry.map(ServerEntry::words).unwrap_or_default();
        let expected = [vec![server.command.clone()], server.args.clone().unwrap_or_default()].concat();
        prop_assert_eq!(words, if server.is_url { Vec::new() } else { expected }, "{}", text);
    }
    let is_chosen = |entry: &ServerEntry| {
        let at = generated.iter().position(|server| server.name == entry.name).unwrap_or_default();
        mask >> at & 1 == 1
    };
    let edited = wrap(&document, client, &is_chosen, &proxy()).map_err(TestCaseError::fail)?;
    let left = edited.servers.iter().find(|server| server.outcome != ServerOutcome::Changed);
    prop_assert!(left.is_none(), "{:?}\n{}", left, text);
    let Some(new_text) = edited.text else { return Ok(()) };
    let new = match ConfigDocument::parse(format, new_text.clone()) {
        Ok(new) => new,
        Err(fault) => return Err(TestCaseError::fail(format!("{fault:?}\n{new_text}"))),
    };
    for (old, entry) in found.iter().zip(servers(&new, client).map_err(TestCaseError::fail)?) {
        prop_assert_eq!(&old.name, &entry.name);
        if !is_chosen(old) {
            prop_assert_eq!(old.node.plain(), entry.node.plain());
            continue;
        }
        let words = entry.words();
        let tail: &[String] = &old.words();
        prop_assert!(words.starts_with(&["/opt/bin/understudy".to_owned()]) && words.ends_with(tail), "{:?}", words);
    }
    let again = wrap(&new, client, &is_chosen, &proxy()).map_err(TestCaseError::fail)?;
    prop_assert_eq!(again.text, None, "wrapping twice");
    let back = unwrap(&new, client, &all, Some(&document)).map_err(TestCaseError::fail)?;
    prop_assert_eq!(back.text.as_deref(), Some(text), "unwrapped, it is another one; wrapped it was\n{}", new_text);
    // Without knowing what was there before, it still runs the same.
    let blind = unwrap(&new, client, &all, None).map_err(TestCaseError::fail)?;
    let blind = ConfigDocument::parse(format, blind.text.unwrap_or_default())
        .map_err(|fault| TestCaseError::fail(format!("{fault:?}")))?;
    for (old, entry) in found.iter().zip(servers(&blind, client).map_err(TestCaseError::fail)?) {
        prop_assert_eq!((old.words(), old.url()), (entry.words(), entry.url()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_json_only_what_is_chosen_changes_and_unwrapping_brings_each_byte_back(generated in some_servers(), mask: u8, crlf: bool) {
        let text = as_json(&generated, if crlf { "\r\n" } else { "\n" });
        check(client("cursor"), ConfigFormat::Json, &text, &generated, mask)?;
    }

    #[test]
    fn in_toml_only_what_is_chosen_changes_and_unwrapping_brings_each_byte_back(generated in some_servers(), mask: u8, crlf: bool) {
        let text = as_toml(&generated, if crlf { "\r\n" } else { "\n" });
        check(client("codex"), ConfigFormat::Toml, &text, &generated, mask)?;
    }

    #[test]
    fn in_yaml_only_what_is_chosen_changes_and_unwrapping_brings_each_byte_back(generated in some_servers(), mask: u8, crlf: bool) {
        let text = as_yaml(&generated, if crlf { "\r\n" } else { "\n" });
        check(client("goose"), ConfigFormat::Yaml, &text, &generated, mask)?;
    }

    #[test]
    fn no_damage_to_a_real_config_makes_it_panic_or_write_what_cannot_be_read(
        which: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[ \\n{}\\[\\]:,\"'#&*!|>-]{0,3}"), 1..4),
    ) {
        let all_fixtures: Vec<(&McpClient, PathBuf)> =
            CLIENTS.iter().flat_map(|client| fixtures(client).into_iter().map(move |path| (client, path))).collect();
        let (client, path) = which.get(&all_fixtures);
        let mut text: Vec<char> = std::fs::read_to_string(path).unwrap().chars().collect();
        for (at, gone, new) in damage {
            let at = at.index(text.len());
            let end = (at + gone).min(text.len());
            text.splice(at..end, new.chars());
        }
        let (format, text) = (format_of(path), text.into_iter().collect::<String>());
        if let Ok(document) = ConfigDocument::parse(format, text)
            && let Ok(edited) = wrap(&document, client, &all, &proxy())
            && let Some(new) = edited.text
        {
            let new = ConfigDocument::parse(format, new);
            prop_assert!(new.is_ok(), "{:?}", new);
            let back = new.map(|new| unwrap(&new, client, &all, Some(&document)));
            if let Ok(Ok(EditedConfig { text: Some(back), servers })) = back {
                let is_whole = servers.iter().all(|server| !matches!(server.outcome, ServerOutcome::Left(_)));
                let is_same = ConfigDocument::parse(format, back).is_ok_and(|back| back.root.plain() == document.root.plain());
                prop_assert!(is_same || !is_whole);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ \\n\\t{}\\[\\]:,\"'#&*!|>a-c=.\\\\-]{0,60}") {
        for (id, format) in [("cursor", ConfigFormat::Json), ("codex", ConfigFormat::Toml), ("goose", ConfigFormat::Yaml), ("opencode", ConfigFormat::Json)] {
            let _ = ConfigDocument::parse(format, text.clone()).map(|document| wrap(&document, client(id), &all, &proxy()));
        }
    }
}
