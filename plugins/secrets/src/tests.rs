use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::corpus::{falses, trues};
use crate::{Secrets, find, kinds};

/// The kinds that are found, without where.
fn found(text: &str) -> Vec<&'static str> {
    find(text, None).into_iter().map(|finding| finding.kind).collect()
}

#[test]
fn the_guard_keeps_to_its_fixtures() {
    understudy_plugin::guard_testing::check_fixtures::<Secrets>("fixtures");
}

/// The cases of the corpus that are found, and how many there are.
fn recall() -> (usize, usize, Vec<String>) {
    let (mut hits, mut missed) = (0, Vec::new());
    let cases = trues(20);
    for case in &cases {
        let is_whole = find(&case.text, None).iter().any(|finding| {
            let found = &case.text[finding.range.clone()];
            // A key that has another issuer's prefix within it is as good under that one's name.
            found.contains(&case.secret) || case.secret.contains(found) && finding.kind == case.kind
        });
        if is_whole {
            hits += 1;
        } else {
            missed.push(format!("{}: {}", case.kind, case.text));
        }
    }
    (hits, cases.len(), missed)
}

/// The tree's own texts: sources, documents, fixtures.
fn own_texts() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders: Vec<PathBuf> =
        ["host", "plugins", "docs", "wit", "examples"].map(|folder| root.join(folder)).to_vec();
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir()
                && !["target", "node_modules", ".venv", "packed"].contains(&name.as_str())
            {
                folders.push(path);
            } else if ["rs", "md", "wit", "json", "txt", "toml", "py"]
                .iter()
                .any(|ending| name.ends_with(&format!(".{ending}")))
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                texts.push((path, text));
            }
        }
    }
    texts
}

/// What the documentation says of the corpus.
fn measured() -> String {
    let (hits, cases, missed) = recall();
    assert!(
        missed.len() * 200 <= cases,
        "{} of {cases} are missed:\n{}",
        missed.len(),
        missed[..missed.len().min(20)].join("\n")
    );
    let falses = falses();
    let wrong: Vec<&String> = falses.iter().filter(|text| !found(text).is_empty()).collect();
    assert!(wrong.len() * 500 <= falses.len(), "{} false alarms: {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    let mut table = String::new();
    // In hundredths of a percent.
    let rate = |part: usize, whole: usize| {
        let share = 10_000 * part / whole;
        format!("{}.{:02} %", share / 100, share % 100)
    };
    let _ = writeln!(table, "| corpus | cases | found | rate |");
    let _ = writeln!(table, "| --- | ---: | ---: | ---: |");
    let _ = writeln!(
        table,
        "| secrets of {} kinds, each in up to 9 surroundings | {cases} | {hits} | {} |",
        kinds().count(),
        rate(hits, cases)
    );
    let wrong = wrong.len();
    let _ = writeln!(
        table,
        "| texts without a secret: dummies, digests, random texts, public keys | {} | {wrong} | {} |",
        falses.len(),
        rate(wrong, falses.len())
    );
    table
}

/// A list in lines of a hundred columns.
fn wrapped(begin: &str, items: impl Iterator<Item = String>) -> String {
    let (mut text, mut column) = (begin.to_owned(), begin.len());
    let all = items.collect::<Vec<_>>().join(", ") + ".";
    for word in all.split(' ') {
        let is_full = column + 1 + word.len() > 100;
        text.push(if is_full { '\n' } else { ' ' });
        text.push_str(word);
        column = if is_full { word.len() } else { column + 1 + word.len() };
    }
    text
}

#[test]
fn the_guide_has_the_rates_that_are_measured() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/guards.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (begin, end) = ("<!-- measured -->\n", "<!-- end of what is measured -->");
    let (before, rest) = text.split_once(begin).unwrap();
    let (written, after) = rest.split_once(end).unwrap();
    let table = format!("\n{}\n{}\n\n", measured(), wrapped("The kinds:", kinds().map(|kind| format!("`{kind}`"))));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "UPDATE_DOCS=1 writes it anew");
    }
}

#[test]
fn this_repository_holds_no_secret_but_those_that_its_tests_are_about() {
    let known = ["host/src/outbound", "tests", "fixtures", "plugins/secrets", "docs/guide/guards.md"];
    let mut alarms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let texts = own_texts();
    assert!(texts.len() > 400, "{}", texts.len());
    for (path, text) in &texts {
        let shown = path.display().to_string();
        if known.iter().any(|known| shown.contains(known)) {
            continue;
        }
        for finding in find(text, None) {
            alarms.entry(shown.clone()).or_default().push(format!("{}: {}", finding.kind, &text[finding.range]));
        }
    }
    assert!(alarms.is_empty(), "{alarms:#?}");
}

#[test]
fn a_token_may_be_broken_over_two_lines() {
    let (first, second) = ("ghp_zQWBuTSOoRi4A9spHcVY5n", "cnsDkxkJ0mLq17");
    for mark in ["\n", "\r\n", "\\n", "\\\n", "\n   "] {
        let text = format!("a {first}{mark}{second} b");
        let found = find(&text, None);
        assert_eq!(found.len(), 1, "{mark:?}");
        assert_eq!(&text[found[0].range.clone()], format!("{first}{mark}{second}"));
    }
    assert!(found(&format!("{first} {second}")).is_empty());
}

#[test]
fn a_key_is_found_with_escaped_line_breaks_and_without_its_end() {
    let line = "MIIEpAIBAAKCAQEAq8Zr1LxW0aPmTnY2kQ7vB3dF9hJ4sG6uC5xE8wR0iO1zA2bN";
    let label = ["-----BEGIN RSA PRIVATE", "KEY-----"].join(" ");
    assert_eq!(found(&format!("{{\"private_key\": \"{label}\\n{line}\\n{line}\\n\"}}")), ["PEM private key"]);
    assert_eq!(found(&format!("{label}\n{line}\n{line}")), ["PEM private key"]);
}

#[test]
fn the_name_of_a_value_in_json_stands_before_it() {
    let value = "q8Zr1LxW0aPmTnY2kQ7vB3dF9hJ4sG6uC5xE8wR0";
    assert_eq!(find(value, Some("SecretAccessKey")).len(), 1);
    assert!(find(value, Some("digest")).is_empty());
    assert!(find(value, None).is_empty());
}

#[test]
fn time_grows_with_the_text_and_not_faster() {
    for part in [
        "-----BEGIN RSA PRIVATE KEY-----",
        "a://b:c@",
        "https://b:c@",
        "ghp_",
        "=",
        "accountkey=",
        "eyJ.",
        "\\n",
        "1:AA",
        "Q~",
        "AZDO",
        "PuTTY-User-Key-File-",
        "-us",
        "AGE-PLUGIN-",
    ] {
        let text = part.repeat(200_000 / part.len());
        let began = std::time::Instant::now();
        let _ = find(&text, None);
        assert!(began.elapsed().as_secs() < 10, "{part}: {:?}", began.elapsed());
    }
}
