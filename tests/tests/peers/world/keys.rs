//! Where a provider's key comes from, and what is said where there is none.

use std::process::Command;

use serde_json::json;
use understudy_tests::program::{Place, Run, run};
use understudy_tests::provider::{Provider, Request, respond};

const ASKED: &str = r#"{"messages":[{"role":"user","content":{"type":"text","text":"x"}}],"maxTokens":5}"#;

/// Every variable by which a provider's tools know a key or an address.
const KNOWN: [&str; 13] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_API_KEY",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "OLLAMA_API_KEY",
    "OLLAMA_HOST",
];

fn without_keys(mut command: Command) -> Command {
    for variable in KNOWN {
        command.env_remove(variable);
    }
    command
}

/// A provider that refuses everybody.
fn provider() -> Provider {
    Provider::start(|_, stream, _| respond(stream, "401 Unauthorized", "content-type: application/json\r\n", b"{}"))
}

fn sample(place: &Place, args: &[&str], env: &[(&str, &str)]) -> Run {
    let mut command = without_keys(place.understudy(["sample"].iter().chain(args)));
    command.envs(env.iter().copied());
    run(command, ASKED)
}

/// The headers that say who asks.
fn credentials(request: &Request) -> Vec<(String, String)> {
    let of = |name: &str| Some((name.to_owned(), request.headers.get(name)?.clone()));
    ["authorization", "x-api-key", "x-goog-api-key"].into_iter().filter_map(of).collect()
}

#[test]
fn the_key_comes_from_each_variable_that_the_provider_documents() {
    let place = Place::new();
    let anthropic = "ANTHROPIC_BASE_URL";
    let gemini = "GOOGLE_GEMINI_BASE_URL";
    for (plugin, base, keys, header, value) in [
        ("anthropic", anthropic, &[("ANTHROPIC_API_KEY", "k1")][..], "x-api-key", "k1"),
        ("anthropic", anthropic, &[("ANTHROPIC_AUTH_TOKEN", "t1")], "authorization", "Bearer t1"),
        (
            "anthropic",
            anthropic,
            &[("ANTHROPIC_API_KEY", "k1"), ("ANTHROPIC_AUTH_TOKEN", "t1")],
            "authorization",
            "Bearer t1",
        ),
        ("anthropic", anthropic, &[("ANTHROPIC_API_KEY", "k1"), ("ANTHROPIC_AUTH_TOKEN", " ")], "x-api-key", "k1"),
        ("gemini", gemini, &[("GEMINI_API_KEY", "k1")], "x-goog-api-key", "k1"),
        ("gemini", gemini, &[("GOOGLE_API_KEY", "k2")], "x-goog-api-key", "k2"),
        ("gemini", gemini, &[("GEMINI_API_KEY", "k1"), ("GOOGLE_API_KEY", "k2")], "x-goog-api-key", "k2"),
        ("gemini", gemini, &[("GEMINI_API_KEY", "k1"), ("GOOGLE_API_KEY", "")], "x-goog-api-key", "k1"),
        ("openai", "OPENAI_BASE_URL", &[("OPENAI_API_KEY", "k1")], "authorization", "Bearer k1"),
        ("ollama", "OLLAMA_HOST", &[("OLLAMA_API_KEY", "k1")], "authorization", "Bearer k1"),
    ] {
        let provider = provider();
        let mut env = vec![(base, provider.url.as_str())];
        env.extend(keys);
        let run = sample(&place, &["--plugin", plugin, "--model", "m"], &env);
        let seen = provider.seen();
        let expected = [(header.to_owned(), value.to_owned())];
        assert_eq!(seen.first().map(credentials).as_deref(), Some(&expected[..]), "{keys:?}: {}", run.stderr);
        assert!(!run.stderr.contains("carry no credential"), "{}", run.stderr);
    }
}

#[test]
fn a_variable_that_the_config_names_has_its_own_scheme() {
    let (place, provider) = (Place::new(), provider());
    let credential = json!({ "env": "ANTHROPIC_AUTH_TOKEN" });
    let config = json!({ "plugins": { "anthropic": { "endpoint": provider.url, "credential": credential } } });
    let _ = place.file("understudy.json", config.to_string());
    let _ = sample(&place, &["--plugin", "anthropic"], &[("ANTHROPIC_AUTH_TOKEN", "t1")]);
    let expected = [("authorization".to_owned(), "Bearer t1".to_owned())];
    assert_eq!(provider.seen().first().map(credentials).as_deref(), Some(&expected[..]));
}

#[test]
fn no_server_inherits_any_of_the_variables() {
    let place = Place::new();
    for (plugin, variables) in
        [("anthropic", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"]), ("gemini", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])]
    {
        for named in [true, false] {
            let rule = if named { json!({}) } else { json!({ "sampling": plugin }) };
            let _ = place.file("understudy.json", rule.to_string());
            let plugin: &[&str] = if named { &["--plugin", plugin] } else { &[] };
            let words = ["-v", "proxy"].iter().chain(plugin).chain(&["sh", "-c", "env"]);
            let mut command = without_keys(place.understudy(words));
            command.envs(variables.map(|name| (name, "a-key")));
            let run = run(command, "");
            for name in variables {
                assert!(!run.stdout.contains(name), "{name}: {}", run.stdout);
                assert!(run.stderr.contains(name), "{}", run.stderr);
            }
            let said = "which are for Understudy's own use; a server that needs one itself gets it by its `env`";
            assert!(run.stderr.contains(said), "{}", run.stderr);
        }
    }
}

#[test]
fn an_address_without_a_key_is_said_at_the_start() {
    let (place, provider) = (Place::new(), provider());
    for (plugin, base, key) in [
        ("anthropic", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
        ("openai", "OPENAI_BASE_URL", "OPENAI_API_KEY"),
        ("gemini", "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"),
    ] {
        let mut command = without_keys(place.understudy(["proxy", "--plugin", plugin, "true"]));
        command.env(base, &provider.url);
        let run = run(command, "");
        let said = format!("`{base}` sends its requests to `{}/`, and they carry no credential", provider.url);
        assert!(run.stderr.contains(&said), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("set the environment variable `{key}`")), "{}", run.stderr);
    }
    // This one's provider usually wants none.
    let mut command = without_keys(place.understudy(["proxy", "--plugin", "ollama", "--model", "m", "true"]));
    command.env("OLLAMA_HOST", &provider.url);
    assert_eq!(run(command, "").stderr, "");
}

#[test]
fn a_key_that_is_not_there_is_said_with_what_clients_do() {
    let place = Place::new();
    let remedy = "(most clients start servers without your shell's variables: put it into `env` of this server's entry in the client's config";
    let asked = sample(&place, &["--plugin", "openai"], &[]);
    assert!(asked.stderr.contains("set the environment variable `OPENAI_API_KEY`"), "{}", asked.stderr);
    assert!(asked.stderr.contains(remedy) && asked.stderr.contains("`credential.file`"), "{}", asked.stderr);
    let started = run(without_keys(place.understudy(["proxy", "--plugin", "openai", "true"])), "");
    assert!(
        started.stderr.contains("can't answer as things are") && started.stderr.contains(remedy),
        "{}",
        started.stderr
    );
    let doctor = run(without_keys(place.understudy(["doctor", "--plugin", "openai"])), "");
    assert!(doctor.stdout.contains("TROUBLE") && doctor.stdout.contains(remedy), "{}", doctor.stdout);
    // Where it is there, it may not be for a client.
    let mut command = without_keys(place.understudy(["doctor", "--plugin", "openai"]));
    command.env("OPENAI_API_KEY", "sk-0123456789abcdef");
    let doctor = run(command, "").ok();
    let said =
        "`OPENAI_API_KEY` is set in this environment, and most clients start servers without your shell's variables";
    assert!(doctor.stdout.contains(said), "{}", doctor.stdout);
}

#[test]
fn a_dummy_key_leaves_messages_readable() {
    let place = Place::new();
    let provider = Provider::start(|_, stream, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz";
        let _ = std::io::Write::write_all(stream, head.as_bytes());
    });
    let args = ["--plugin", "openai", "--model", "m", "--endpoint", &provider.url];
    for key in ["x", "e", "none"] {
        let run = sample(&place, &args, &[("OPENAI_API_KEY", key)]);
        assert!(run.stderr.contains("the answer broke off"), "{}", run.stderr);
        assert!(!run.stderr.contains("[credential]"), "{key}: {}", run.stderr);
    }
}

#[test]
fn every_provider_names_the_setting_that_does_not_fit() {
    let place = Place::new();
    let env: Vec<(&str, &str)> = KNOWN.iter().filter(|name| name.ends_with("KEY")).map(|name| (*name, "k")).collect();
    for plugin in ["anthropic", "openai", "gemini", "ollama"] {
        let run = sample(&place, &["--plugin", plugin, "--model", "m", "--set", "stream=always"], &env);
        let said = "`settings.stream` doesn't fit: invalid type: string \"always\", expected a boolean";
        assert!(run.stderr.contains(said) && !run.stderr.contains("line 1"), "{plugin}: {}", run.stderr);
    }
    let run = sample(&place, &["--plugin", "extractive", "--set", "sentences=few"], &[]);
    assert!(run.stderr.contains("`settings.sentences` doesn't fit: invalid type: string \"few\""), "{}", run.stderr);
}

#[test]
fn the_program_knows_the_variables_that_it_takes_keys_from_as_secrets() {
    for plugin in understudy_plugins::BUILT_IN {
        for (name, _) in plugin.credentials {
            assert!(plugin.secrets.contains(name), "{}: `{name}`", plugin.name);
            assert!(KNOWN.contains(name), "`{name}` is missing in this test");
        }
    }
}
