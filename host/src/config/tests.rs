//! The config's rules, one test each.

use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("understudy.json")).map_err(|e| e.to_string())
}

fn no_env(_: &str) -> Option<String> {
    None
}

#[test]
fn the_file_of_another_client_works_as_it_is() {
    let config = parse(
        r#"{ "mcpServers": { "files": { "command": "npx", "args": ["-y", "server"], "env": {"DEBUG": "1", "N": 3}, "autoApprove": ["x"] } },
             "globalShortcut": "Ctrl+Space" }"#,
    )
    .unwrap();
    let server = config.server("files", no_env).unwrap();
    assert!(matches!(server.transport, Transport::Stdio { command, args, .. } if command == "npx" && args.len() == 2));
    assert_eq!(server.sampling, None);
    assert_eq!(
        config.warnings,
        [
            "ignored, as none of Understudy's keys: `globalShortcut`",
            "ignored, as none of Understudy's keys: `mcpServers.files.autoApprove`"
        ]
    );
}

#[test]
fn comments_and_trailing_commas_are_allowed_and_other_licence_is_not() {
    assert!(parse("// a\n{ /* b */ \"mcpServers\": {}, }").is_ok());
    let error = parse("{ mcpServers: {} }").unwrap_err();
    assert!(error.starts_with("`understudy.json` is not valid JSON"), "{error}");
    assert!(parse("[]").unwrap_err().contains("the top level must be an object"));
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest_one_named() {
    assert_eq!(
        parse(r#"{"plugins": {"a": {"component": "builtin:echo", "endpont": "x"}}}"#).unwrap_err(),
        "understudy.json: `plugins.a.endpont` is not a key of the config (did you mean `endpoint`?); known here: `component`, `limits`, `trust`, `settings`, `imports`, `sha256`, `allow`, `model`, `allowedModels`, `aliases`, `hints`, `models`, `prices`, `endpoint`, `endpoints`, `credential`, `headers`"
    );
    assert_eq!(
        parse(r#"{"mcpServer": {}}"#).unwrap_err(),
        "understudy.json: `mcpServer` is not a key of the config (did you mean `mcpServers`?)"
    );
    assert!(
        parse(r#"{"sampling": {"use": "echo", "maxTokns": 3}}"#).unwrap_err().contains("did you mean `maxTokens`?")
    );
}

#[test]
fn what_is_wrong_with_a_server_is_an_error_for_who_wants_it() {
    let config = parse(r#"{"mcpServers": {"a": {"command": "x", "samplng": "echo"}, "b": {"command": "y"}}}"#).unwrap();
    let said = "`mcpServers.a.samplng` is not a key of the config (did you mean `sampling`?)";
    assert_eq!(config.broken, [said]);
    assert_eq!(config.server("a", no_env).unwrap_err().to_string(), said);
    assert!(config.server("b", no_env).is_ok());
}

#[test]
fn the_servers_own_rule_comes_before_the_global_one() {
    let config = parse(
        r#"{ "mcpServers": { "a": {"command": "x", "sampling": ["echo", "extractive"]}, "b": {"url": "https://x"} },
             "sampling": {"use": "extractive", "mode": "always", "maxTokens": 9} }"#,
    )
    .unwrap();
    assert_eq!(config.server("a", no_env).unwrap().sampling.unwrap().plugins, ["echo", "extractive"]);
    let global = config.server("b", no_env).unwrap().sampling.unwrap();
    assert_eq!(
        (global.mode, global.max_tokens, global.plugins),
        (Mode::Always, Some(9), vec!["extractive".to_owned()])
    );
}

#[test]
fn context_is_the_servers_own_or_none() {
    let of = |rule: &str| {
        parse(&format!(r#"{{"sampling": {{"use": "echo"{rule}}}}}"#)).map(|c| c.sampling().unwrap().context)
    };
    assert_eq!(of("").unwrap(), Attached::None);
    assert_eq!(of(r#", "context": "none""#).unwrap(), Attached::None);
    assert_eq!(of(r#", "context": "thisServer""#).unwrap(), Attached::ThisServer);
    assert!(of(r#", "context": "allServers""#).unwrap_err().contains("no server is shown another's"));
    assert!(of(r#", "context": "all""#).unwrap_err().contains("must be `none` or `thisServer`"));
}

#[test]
fn mcp_uses_names_work_in_its_order() {
    let of = |text: &str| parse(text).unwrap().server("a", no_env).unwrap().sampling.unwrap().plugins.remove(0);
    let all = |server: &str, global: &str| {
        of(&format!(
            r#"{{"mcpServers": {{"a": {{"command": "x"{server}}}}}, "plugins": {{"p1": {{"component": "builtin:echo"}}, "p2": {{"component": "builtin:echo"}}}}{global}}}"#
        ))
    };
    assert_eq!(all(r#", "samplingCallback": "p2", "onSampling": "p1""#, ""), "p1");
    assert_eq!(all(r#", "samplingCallback": "p2""#, r#", "onSampling": "p1""#), "p2");
    assert_eq!(all("", r#", "samplingCallback": "p2", "onSampling": "p1""#), "p1");
    assert_eq!(all("", r#", "samplingCallback": "p2""#), "p2");
    let warnings = parse(r#"{"samplingCallback": "echo"}"#).unwrap().warnings;
    assert_eq!(warnings, ["`samplingCallback` is mcp-use's old name; write `sampling` or `onSampling`"]);
}

#[test]
fn a_rule_can_only_name_plugins_that_there_are() {
    let error = parse(r#"{"sampling": "antropic"}"#).unwrap_err();
    assert!(error.contains("no plugin is called `antropic` (did you mean `anthropic`?)"), "{error}");
    assert!(parse(r#"{"sampling": {"mode": "always"}}"#).unwrap_err().contains("`sampling.use` is missing"));
    assert!(parse(r#"{"sampling": {"mode": "off"}}"#).is_ok());
}

#[test]
fn limits_have_units_and_a_plugins_own_come_first() {
    let config = parse(
        r#"{"limits": {"memory": "64 MiB", "cpu": "500 ms"}, "plugins": {"a": {"component": "builtin:echo", "limits": {"cpu": "2 s"}}}}"#,
    )
    .unwrap();
    let plugin = config.plugin("a", no_env).unwrap();
    assert_eq!((plugin.limits.memory, plugin.limits.cpu.as_secs()), (64 << 20, 2));
    assert_eq!(
        parse(r#"{"limits": {"memory": 64}}"#).unwrap_err(),
        "understudy.json: `limits.memory` must be a size with its unit, such as `\"256 MiB\"`, and is the number `64`"
    );
    assert!(parse(r#"{"limits": {"cpu": "soon"}}"#).unwrap_err().contains("must be a duration with its unit"));
}

#[test]
fn credentials_have_one_scheme_and_one_source() {
    let credential = |text: &str| {
        parse(&format!(r#"{{"plugins": {{"a": {{"component": "builtin:echo", "credential": {text}}}}}}}"#))
            .map(|config| config.plugin("a", no_env).unwrap().credential.unwrap())
    };
    let header = credential(r#"{"header": "x-api-key", "env": "KEY"}"#).unwrap();
    assert_eq!((header.scheme.as_deref(), header.name.as_deref()), (Some("header"), Some("x-api-key")));
    assert_eq!(credential(r#"{"bearer": true, "file": "/k"}"#).unwrap().scheme.as_deref(), Some("bearer"));
    assert_eq!(credential(r#"{"env": "KEY"}"#).unwrap().scheme, None);
    assert!(credential(r#"{"header": "h"}"#).unwrap_err().contains("name the environment variable"));
    assert!(credential(r#"{"header": "h", "query": "q", "env": "K"}"#).unwrap_err().contains("a credential has one"));
    let printed = credential(r#"{"bearer": true, "command": ["op", "read", "x"]}"#).unwrap();
    assert_eq!(printed.source, CredentialSource::Command(["op", "read", "x"].map(str::to_owned).to_vec()));
    assert!(credential(r#"{"bearer": true, "command": []}"#).unwrap_err().contains("write the program"));
    assert!(credential(r#"{"bearer": true, "env": "K", "file": "f"}"#).unwrap_err().contains("has one source"));
    // Whatever stands in the wrong place is not repeated: it may be the secret itself.
    let error = credential(r#"{"header": "h", "env": 12, "file": "x"}"#).unwrap_err();
    assert!(error.contains("must be a string"), "{error}");
}

#[test]
fn a_variable_that_one_server_misses_is_no_trouble_for_the_others() {
    let config = parse(
        r#"{"mcpServers": {"a": {"command": "${MISSING}"}, "b": {"command": "${env:TOOL}", "args": ["${X:-y}"]}}}"#,
    )
    .unwrap();
    let env = |name: &str| (name == "TOOL").then(|| "tool".to_owned());
    assert!(config.server("a", env).unwrap_err().to_string().contains("`MISSING`, which is not set"));
    let Transport::Stdio { command, args, .. } = config.server("b", env).unwrap().transport else { panic!() };
    assert_eq!((command.as_str(), args), ("tool", vec!["y".to_owned()]));
}

#[test]
fn a_plugin_is_found_by_name_or_path() {
    let config = parse(r#"{"plugins": {"mine": {"component": "./p.wasm"}}}"#).unwrap();
    assert_eq!(config.plugin("mine", no_env).unwrap().component, "./p.wasm");
    assert_eq!(config.plugin("echo", no_env).unwrap().built_in(), Some("echo"));
    assert_eq!(config.plugin("builtin:echo", no_env).unwrap().name, "echo");
    assert_eq!(config.plugin("../there/other.wasm", no_env).unwrap().name, "other");
    let error = config.plugin("minne", no_env).unwrap_err().to_string();
    assert!(error.starts_with("no plugin is called `minne` (did you mean `mine`?)"), "{error}");
    assert!(config.server("x", no_env).unwrap_err().to_string().contains("it has none"));
}
