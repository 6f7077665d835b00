//! What the documents say is true: configs, keys, limits, commands, messages, links.
//! `UPDATE_DOCS=1` writes the tables anew that are made from the schema and from `--help`.
#![expect(clippy::panic, reason = "that is how a test reports")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use understudy::config::Config;
use understudy_plugin::testing::check_documented;
use understudy_tests::markdown::{self, blocks};
use understudy_tests::peers::workspace;
use understudy_tests::program::Place;

fn read(path: impl AsRef<Path>) -> String {
    let path = workspace().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The pages of the user guide.
fn guide() -> impl Iterator<Item = PathBuf> {
    let folder = workspace().join("docs/guide");
    markdown::files().into_iter().filter(move |file| file.starts_with(&folder))
}

fn schema() -> Value {
    serde_json::from_str(&read("docs/understudy.schema.json")).unwrap_or_else(|e| panic!("{e}"))
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&schema()).unwrap_or_else(|e| panic!("{e}"))
}

/// What `doctor` says of a config, and whether it took it.
fn taken(config: &str) -> Result<String, String> {
    let place = Place::new();
    let _ = place.file("understudy.json", config);
    let run = place.run(["doctor", "--config", "understudy.json"]);
    if run.code() == 2 { Err(run.stderr) } else { Ok(run.stdout) }
}

#[test]
fn the_configs_of_readme_and_guide_are_taken_and_fit_the_schema() {
    let pages = std::iter::once(read("README.md")).chain(guide().map(read));
    let configs: Vec<String> =
        pages.flat_map(|page| ["jsonc", "json"].map(|language| blocks(&page, language)).concat()).collect();
    assert!(configs.len() >= 10, "{}", configs.len());
    for config in configs {
        let said = taken(&config).unwrap_or_else(|error| panic!("{error}\n{config}"));
        assert!(said.contains("`understudy.json` is read"), "{said}");
        let uncommented = |line: &str| line.split(" // ").next().unwrap_or(line).trim_end().to_owned();
        let without_comments = config.lines().map(uncommented).collect::<Vec<_>>().join("\n");
        let value: Value =
            serde_json::from_str(&without_comments).unwrap_or_else(|e| panic!("{e}\n{without_comments}"));
        let fits = validator().validate(&value).map_err(|e| e.to_string());
        assert_eq!(fits, Ok(()), "{value}");
    }
}

/// The keys that the program says it knows, by asking it with one that it doesn't.
fn known(config: &Value) -> BTreeSet<String> {
    let error = taken(&config.to_string()).err().unwrap_or_default();
    let (_, list) = error.split_once("known here: ").unwrap_or_else(|| panic!("{error}"));
    list.trim().split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
}

#[test]
fn the_schema_knows_just_the_keys_that_the_program_knows() {
    let schema = schema();
    let defs = &schema["$defs"];
    assert_eq!(known(&json!({"sampling": {"zzzzzzzzz": 1}})), properties(&defs["sampling"]["oneOf"][1]));
    let plugin = |plugin: Value| json!({"plugins": {"p": plugin}});
    let echo = "builtin:echo";
    assert_eq!(known(&plugin(json!({"component": echo, "zzzzzzzzz": 1}))), properties(&defs["plugin"]));
    let credential = json!({"component": echo, "credential": {"bearer": true, "env": "X", "zzzzzzzzz": 1}});
    assert_eq!(known(&plugin(credential)), properties(&defs["credential"]));
    let allow = json!({"component": "x.wasm", "allow": [{"origin": "https://a.example", "zzzzzzzzz": 1}]});
    assert_eq!(known(&plugin(allow)), properties(&defs["allowed"]["oneOf"][1]));
    assert_eq!(known(&json!({"guards": {"secrets": {"zzzzzzzzz": 1}}})), properties(&defs["guard"]));
    let limits = json!({"component": echo, "limits": {"zzzzzzzzz": 1}});
    assert_eq!(known(&plugin(limits)), properties(&defs["pluginLimits"]));
    let compile = json!({"component": echo, "limits": {"compile": {"zzzzzzzzz": 1}}});
    assert_eq!(known(&plugin(compile)), properties(&defs["pluginLimits"]["properties"]["compile"]));
    assert_eq!(known(&json!({"serve": {"zzzzzzzzz": 1}})), properties(&schema["properties"]["serve"]));
    let token = json!({"serve": {"token": {"env": "X", "zzzzzzzzz": 1}}});
    assert_eq!(known(&token), properties(&defs["secret"]));
    assert_eq!(known(&json!({"requestStateKey": {"env": "X", "zzzzzzzzz": 1}})), properties(&defs["secret"]));
    let all: BTreeSet<String> =
        properties(&defs["pluginLimits"]).union(&properties(&schema["properties"]["limits"])).cloned().collect();
    assert_eq!(known(&json!({"limits": {"zzzzzzzzz": 1}})), all);
}

#[test]
fn each_default_of_the_schema_is_the_programs() {
    let parsed = |config: &Value| {
        let config = config.to_string();
        Config::parse(&config, Path::new("understudy.json")).unwrap_or_else(|e| panic!("{e}\n{config}"))
    };
    let schema = schema();
    let defaults = |properties: &Value| -> Vec<(String, Value)> {
        let all = properties["properties"].as_object().into_iter().flatten();
        all.filter_map(|(key, value)| Some((key.clone(), value.get("default")?.clone()))).collect()
    };
    let limits = |config: &Value| format!("{:?}", parsed(config).limits);
    for properties in [&schema["$defs"]["pluginLimits"], &schema["properties"]["limits"]] {
        for (key, value) in defaults(properties) {
            assert_eq!(limits(&json!({ "limits": { &key: value } })), limits(&json!({})), "{key}");
        }
    }
    for (key, value) in defaults(&schema["$defs"]["pluginLimits"]["properties"]["compile"]) {
        assert_eq!(limits(&json!({ "limits": { "compile": { &key: value } } })), limits(&json!({})), "compile.{key}");
    }
    let serve = |config: &Value| format!("{:?}", parsed(config).serve(|_| None));
    for (key, value) in defaults(&schema["properties"]["serve"]) {
        assert_eq!(serve(&json!({ "serve": { &key: value } })), serve(&json!({ "serve": {} })), "serve.{key}");
    }
    let rule = |config: &Value| format!("{:?}", parsed(config).sampling());
    let sampling = &schema["$defs"]["sampling"]["oneOf"][1];
    // A limit that the user has written down holds for `understudy sample`, too; the default doesn't.
    for (key, value) in defaults(sampling).into_iter().filter(|(key, _)| key != "maxTokens") {
        let with = rule(&json!({ "sampling": { "use": "echo", &key: value } }));
        assert_eq!(with, rule(&json!({ "sampling": { "use": "echo" } })), "sampling.{key}");
    }
}

#[test]
fn the_tables_of_keys_and_limits_are_the_schemas() {
    let schema = schema();
    let (top, defs) = (&schema["properties"], &schema["$defs"]);
    let model = &defs["plugin"]["properties"]["models"]["items"]["oneOf"];
    let config = [
        ("top", &schema),
        ("server", &defs["server"]),
        ("sampling", &defs["sampling"]["oneOf"][1]),
        ("plugin", &defs["plugin"]),
        ("model", &model[1]),
        ("threshold", &model[2]),
        ("credential", &defs["credential"]),
        ("allowed", &defs["allowed"]["oneOf"][1]),
        ("guard", &defs["guard"]),
        ("serve", &top["serve"]),
        ("ledger", &top["ledger"]["oneOf"][1]),
        ("budget", &defs["budget"]),
        ("approve", &defs["approve"]),
        ("price", &defs["rates"]),
    ];
    for (name, object) in config {
        check_documented(workspace().join("docs/guide/config.md"), &format!("config: {name}"), &table(object));
    }
    let limits = [
        ("plugin", &defs["pluginLimits"]),
        ("compile", &defs["pluginLimits"]["properties"]["compile"]),
        ("server", &top["limits"]),
    ];
    for (name, object) in limits {
        check_documented(workspace().join("docs/guide/limits.md"), &format!("limits: {name}"), &table(object));
    }
}

/// An object's properties as a table.
fn table(object: &Value) -> String {
    let mut table = "| key | type | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for (key, property) in object["properties"].as_object().into_iter().flatten() {
        let default = property.get("default").map_or_else(|| "–".to_owned(), |default| format!("`{default}`"));
        let meaning = property["description"].as_str().unwrap_or_else(|| panic!("`{key}` has no description"));
        let _ = writeln!(table, "| `{key}` | {} | {default} | {} |", kind(property), meaning.replace('|', "\\|"));
    }
    table
}

/// A property's type, in the guide's words (`docs/guide/config.md`, "Types").
fn kind(property: &Value) -> String {
    if let Some(reference) = property["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let kind = match name {
            "size" | "duration" | "count" | "secret" | "origin" => name,
            "share" => "number, 0 to 1",
            "money" => "amount",
            "number" => "whole number, 0 or more",
            "approvePolicy" => "how often",
            "budget" => "[budget](#budgets)",
            "sampling" => "rule",
            "names" => "name or list",
            "trust" => "list of texts",
            "allowed" => "origins or objects",
            "servers" | "credential" | "approve" => "object",
            other => panic!("no word for `{other}`"),
        };
        return kind.to_owned();
    }
    let each = |values: &Value, word: fn(&Value) -> String, between: &str| {
        let mut words: Vec<String> = values.as_array().into_iter().flatten().map(word).collect();
        words.dedup();
        words.join(between)
    };
    if property["enum"].is_array() {
        return each(&property["enum"], |value| format!("`{value}`"), ", ");
    }
    if let Some(value) = property.get("const") {
        return format!("`{value}`");
    }
    if property["oneOf"].is_array() {
        return each(&property["oneOf"], kind, " or ");
    }
    match property["type"].as_str() {
        Some("string") => "text".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("integer") => format!("whole number, {} or more", property["minimum"]),
        Some("array") => match kind(&property["items"]).as_str() {
            "text" => "list of texts".to_owned(),
            mixed if mixed.contains("object") && !mixed.starts_with("origin") => {
                "list of models or thresholds".to_owned()
            }
            items => format!("list of {items}"),
        },
        _ => "object".to_owned(),
    }
}

#[test]
fn the_page_of_commands_is_what_help_says() {
    let place = Place::new();
    let help = |verb: &[String]| place.run(verb.iter().map(String::as_str).chain(["--help"])).ok().stdout;
    let mut pages = String::new();
    let mut verbs: Vec<Vec<String>> = subcommands(&help(&[])).into_iter().map(|verb| vec![verb]).collect();
    verbs.reverse();
    while let Some(verb) = verbs.pop() {
        let text = help(&verb);
        let mut below = subcommands(&text);
        below.reverse();
        verbs.extend(below.into_iter().map(|name| [verb.as_slice(), &[name]].concat()));
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let _ = write!(pages, "\n## `{}`\n\n```text\n{}\n```\n", verb.join(" "), lines.join("\n").trim_end());
    }
    check_documented(workspace().join("docs/guide/commands.md"), "commands", &format!("{}\n", pages.trim_start()));
}

/// The verbs that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
    let rows = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    rows.filter_map(|row| row.split_whitespace().next()).filter(|verb| *verb != "help").map(str::to_owned).collect()
}

#[test]
fn a_config_that_the_program_refuses_does_not_fit_the_schema() {
    for config in [
        json!({"sampling": {"use": "echo", "mode": "sometimes"}}),
        json!({"sampling": []}),
        json!({"limits": {"memory": 5}}),
        json!({"limits": {"compile": "1 min"}}),
        json!({"plugins": {"p": {"component": "builtin:echo", "credential": {"bearer": true}}}}),
        json!({"plugins": {"p": {"component": "builtin:echo", "sha256": "abc"}}}),
        json!({"plugins": {"p": {"component": "x.wasm", "allow": "https://a.example"}}}),
        json!({"plugins": {"p": {"component": "x.wasm", "allow": [{"private": true}]}}}),
        json!({"guards": {"secrets": {"onFailure": "ask"}}}),
        json!({"guards": {"secrets": {"checks": []}}}),
        json!({"sampling": {"use": "echo", "guards": "secrets"}}),
        json!({"mcpServers": {"s": {"args": []}}}),
        json!({"mcpServers": {"s": {"command": "cat", "clients": "many"}}}),
        json!({"serve": {"listen": "8765"}}),
        json!({"serve": {"token": "secret"}}),
        json!({"serve": {"allowedOrigins": ["*"]}}),
        json!({"serve": {"allowedHosts": ["https://a.example"]}}),
        json!({"serve": {"sessions": 0}}),
    ] {
        assert!(taken(&config.to_string()).is_err(), "{config}");
        assert!(validator().validate(&config).is_err(), "{config}");
    }
}

/// The host's Rust sources as one text, with strings that go on over a line's end joined.
fn source() -> String {
    let files = markdown::files_of(&workspace().join("host"), "rs");
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default()).collect();
    let joined = text.split("\\\n").enumerate().map(|(n, part)| if n == 0 { part } else { part.trim_start() });
    joined.collect::<String>().replace("\\\"", "\"")
}

#[test]
fn every_message_of_the_troubleshooting_page_is_the_programs() {
    let (page, source) = (read("docs/guide/errors.md"), source());
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let mut count = 0;
    for (cell, _) in rows {
        let cell = format!("`{cell}");
        for (_, message) in markdown::spans(&cell).into_iter().filter(|(is_code, _)| *is_code) {
            for part in message.trim().split('…').map(str::trim).filter(|part| part.len() > 3) {
                assert!(source.contains(part), "no source of the host says `{part}` (docs/guide/errors.md)");
                count += 1;
            }
        }
    }
    assert!(count >= 30, "{count}");
}

#[test]
fn every_link_leads_to_a_file_and_an_anchor_that_exist() {
    let mut broken = Vec::new();
    for file in markdown::files() {
        let text = read(&file);
        for link in markdown::links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { file.clone() } else { file.with_file_name(path) };
            let is_there = target.exists() && (anchor.is_empty() || markdown::anchors(&read(&target)).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_link_of_the_book_leads_to_a_part_of_it() {
    let docs = workspace().join("docs").canonicalize().unwrap_or_default();
    let pages: BTreeSet<PathBuf> = pages_in_summary().filter_map(|page| page.canonicalize().ok()).collect();
    let mut outside = Vec::new();
    for page in &pages {
        let links = markdown::links(&read(page)).into_iter().filter(|link| !link.contains("://"));
        for link in links.filter(|link| !link.starts_with('#')) {
            let path = link.split_once('#').map_or(link.as_str(), |(path, _)| path);
            let target = page.with_file_name(path).canonicalize().unwrap_or_default();
            // mdBook copies what isn't Markdown, and only makes pages of what the summary lists.
            let is_page = target.extension().is_some_and(|ending| ending == "md");
            let is_part = if is_page { pages.contains(&target) } else { target.starts_with(&docs) && target.is_file() };
            if !is_part {
                outside.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(outside.is_empty(), "name these files by their path in the repository, without a link: {outside:#?}");
}

/// The pages of the book.
fn pages_in_summary() -> impl Iterator<Item = PathBuf> {
    let docs = workspace().join("docs");
    markdown::links(&read("docs/SUMMARY.md")).into_iter().map(move |link| docs.join(link))
}

/// The repository's Rust files, relative to it, with their texts.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let folders = ["host", "plugins", "tests", "examples"].map(|folder| workspace().join(folder));
    for path in folders.iter().flat_map(|folder| markdown::files_of(folder, "rs")) {
        let name = path.strip_prefix(workspace()).unwrap_or(&path).to_string_lossy().into_owned();
        found.push((name, std::fs::read_to_string(&path).unwrap_or_default()));
    }
    found
}

/// Whether a file is meant by a path that may lack its first folders.
fn is_meant(file: &str, path: &str) -> bool {
    file.strip_suffix(path).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// Whether a path is that of a Rust file.
fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|ending| ending == "rs")
}

#[test]
fn every_source_file_that_the_documents_for_developers_name_exists() {
    let sources = sources();
    let decisions = markdown::files().into_iter().filter(|file| file.starts_with(workspace().join("docs/decisions")));
    let pages = ["host/ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"].map(|page| workspace().join(page));
    let (mut gone, mut count) = (Vec::new(), 0);
    for page in pages.into_iter().chain(decisions) {
        let text = read(&page);
        let words = text.split(|c: char| c.is_whitespace() || "`,;:()|[]".contains(c));
        for path in words.filter(|word| word.len() > 3 && is_rust(word)) {
            count += 1;
            if !sources.iter().any(|(file, _)| is_meant(file, path)) {
                gone.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(gone.is_empty() && count > 150, "{count}, {gone:#?}");
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let (sources, mut gone, mut count) = (sources(), Vec::new(), 0);
    let security = read("SECURITY.md");
    let rows = security.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 3);
    for named in rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next()) {
        for part in named.split(';') {
            let Some((files, names)) = part.split_once("`: ") else { continue };
            let files: Vec<&str> = files.split('`').filter(|path| is_rust(path)).collect();
            for name in names.split('…').map(|name| name.trim_matches([',', ' '])).filter(|name| !name.is_empty()) {
                let kept = name.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'));
                let function: String = kept.map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
                let is_in = |path: &str| {
                    let below = format!("/{}/", path.trim_end_matches(".rs"));
                    let mut places = sources.iter().filter(|(file, _)| is_meant(file, path) || file.contains(&below));
                    places.any(|(_, text)| text.contains(&format!("fn {}", function.to_lowercase())))
                };
                count += 1;
                if !files.iter().any(|path| is_in(path)) {
                    gone.push(format!("{files:?}: {name}"));
                }
            }
        }
    }
    assert!(gone.is_empty() && count > 100, "{count}, {gone:#?}");
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let docs = workspace().join("docs");
    let listed: BTreeSet<PathBuf> = pages_in_summary().collect();
    let pages = markdown::files().into_iter().filter(|file| file.starts_with(&docs));
    let pages: BTreeSet<PathBuf> = pages.filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, pages);
}

#[test]
fn prose_has_at_most_100_columns_and_the_readme_200_lines() {
    let mut long = Vec::new();
    for file in markdown::files() {
        long.extend(markdown::too_long(&read(&file), 100).iter().map(|line| format!("{}:{line}", file.display())));
    }
    assert!(long.is_empty(), "{long:#?}");
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "the README has {lines} lines");
}
