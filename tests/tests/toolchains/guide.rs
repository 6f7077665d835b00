//! The guide for authors: every command in it is run, in its order, in one folder; and what it lists is what there is.
#![expect(clippy::panic, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};
use understudy_tests::author::shell;
use understudy_tests::guests;
use understudy_tests::markdown::{self, blocks};
use understudy_tests::peers::workspace;
use understudy_tests::program::Place;
use understudy_tests::provider::Provider;
use understudy_tests::registry::Registry;

fn folder() -> PathBuf {
    workspace().join("docs/authors")
}

fn read(chapter: &str) -> String {
    std::fs::read_to_string(folder().join(chapter)).unwrap_or_else(|e| panic!("{chapter}: {e}"))
}

/// The chapters in the book's order.
fn chapters() -> Vec<String> {
    let links = markdown::links(&read("../SUMMARY.md"));
    links.iter().filter_map(|link| link.strip_prefix("authors/")).map(str::to_owned).collect()
}

#[test]
fn every_command_in_the_guide_does_what_it_says() {
    let place = Place::new();
    let choice =
        json!({ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "Shakespeare." } });
    let answer = json!({ "model": "m", "choices": [choice] }).to_string();
    let provider = Provider::answering("200 OK", "content-type: application/json\r\n", answer);
    let mut script = String::from("set -euo pipefail\n");
    let mut count = 0;
    for chapter in chapters() {
        for block in blocks(&read(&chapter), "sh") {
            count += 1;
            script.extend(["echo '--- ", &chapter, "' >&2\n", &block, "\n"]);
        }
    }
    assert!(count >= 9, "{count}");
    let registry = Registry::open();
    let variables = [("ENDPOINT", provider.url.as_str()), ("MODEL", "m"), ("REGISTRY", &registry.host)];
    let run = shell(&place, &script, &variables).ok();
    assert_eq!(run.stdout.matches("Shakespeare.").count(), 2, "{}{}", run.stdout, run.stderr);
    // `check` was right each time but once.
    assert!(run.stdout.matches("`my-provider` keeps every rule").count() >= 5, "{}", run.stdout);
    assert_eq!(run.stdout.matches("breaks 1 rule").count(), 1, "{}", run.stdout);
    let seen = provider.seen();
    let keys: Vec<Option<&String>> = seen.iter().map(|request| request.headers.get("authorization")).collect();
    assert_eq!(keys, [None, Some(&"Bearer sk-123456789012345678".to_owned())]);
}

#[test]
fn the_guide_names_every_rule_and_every_chapter_and_its_fixture_is_one() {
    let place = Place::new();
    let guest = guests::write("planted", place.path());
    let report = place.run(["plugin", "check", &guest.to_string_lossy(), "--json"]).ok();
    let report: Value = serde_json::from_str(&report.stdout).unwrap_or_default();
    let rules = report["rules"].as_array().into_iter().flatten().filter_map(|rule| rule["rule"].as_str());
    let testing = read("testing.md");
    let rows = testing.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let (rules, rows): (Vec<&str>, Vec<&str>) = (rules.collect(), rows.map(|(name, _)| name).collect());
    assert_eq!(rules, rows);

    let listed: BTreeSet<String> = chapters().into_iter().collect();
    let there = std::fs::read_dir(folder()).into_iter().flatten().flatten();
    let there: BTreeSet<String> = there.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(listed, there);

    // The example of a fixture is read as one: it comes out otherwise, and nothing in it is unknown.
    let fixtures = place.path().join("fixtures");
    std::fs::create_dir(&fixtures).unwrap_or_else(|e| panic!("{e}"));
    let _ = place.file("fixtures/example.json", &blocks(&testing, "json")[0]);
    let run = place.run(["plugin", "check", "echo", "--fixtures", &fixtures.to_string_lossy()]);
    assert!(run.stdout.contains("`example.json`: `exchanges[0]`: expected"), "{}", run.stdout);
}
