//! Whose code is built in: each package's licence and source are ones that `deny.toml` allows. `cargo deny check` says the same, and more,
//! where it is installed.
#![expect(clippy::panic, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use understudy_tests::peers::workspace;
use understudy_tests::program::run;

/// The quoted words of a list of `deny.toml`.
fn listed(deny: &str, key: &str) -> BTreeSet<String> {
    let begin = format!("\n{key} = [");
    let (_, list) = deny.split_once(&begin).unwrap_or_else(|| panic!("`deny.toml` has no `{key}`"));
    let list = list.split_once(']').map_or(list, |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a licence's expression can be kept with these licences. `A/B` is the older way to write `A OR B`.
fn is_kept(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    // Without nesting but in brackets, `AND` is between whole alternatives here.
    expression.split(" AND ").all(|part| part.split(" OR ").any(|licence| allowed.contains(licence.trim())))
}

#[test]
fn every_package_has_a_licence_and_a_source_that_are_allowed() {
    let deny = std::fs::read_to_string(workspace().join("deny.toml")).unwrap_or_else(|e| panic!("deny.toml: {e}"));
    let (licences, registries) = (listed(&deny, "allow"), listed(&deny, "allow-registry"));
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace()).args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    let found: Value = serde_json::from_str(&run(cargo, "").ok().stdout).unwrap_or_default();
    let packages = found["packages"].as_array().unwrap_or_else(|| panic!("no packages"));
    assert!(packages.len() > 300, "only {} packages", packages.len());
    let mut wrong = Vec::new();
    for package in packages {
        let name = format!("{} {}", package["name"], package["version"]);
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_kept(licence, &licences) {
            wrong.push(format!("{name} has the licence `{licence}`"));
        }
        // A package of this workspace has none.
        let source = package["source"].as_str();
        let registry = source.and_then(|source| source.strip_prefix("registry+")).unwrap_or_default();
        if source.is_some() && !registries.contains(registry) {
            wrong.push(format!("{name} comes from {}", source.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_licence_is_kept_if_one_of_its_alternatives_is() {
    let allowed = ["MIT", "Apache-2.0"].map(str::to_owned).into();
    for kept in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND Apache-2.0"] {
        assert!(is_kept(kept, &allowed), "{kept}");
    }
    for other in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 WITH LLVM-exception", "(MIT OR Apache-2.0) AND NCSA"] {
        assert!(!is_kept(other, &allowed), "{other}");
    }
}
