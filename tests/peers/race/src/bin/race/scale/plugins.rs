//! A thousand plugins, all of them in the chain of one server, so that all are loaded.
//!
//! Twice: one component under a thousand names, and a thousand components. Compiling so many would take minutes, so these are one
//! component that was compiled ahead of time, in files that each name another digest of what they were made of: as far as Understudy can tell, no
//! two are the same. They take as much of the temporary folder as their machine code does, 1.6 GB.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Part, cells, count, opened, percentiles};
use crate::contestants::Who;
use crate::peer::Peer;
use crate::place::Place;
use crate::process::descriptors;
use crate::svg::{Axis, Line, Panel};
use crate::table::Unit;

const SIZES: [u32; 4] = [1, 10, 100, 1000];

const ONE: &str = "one component, all names";
const OWN: &str = "a component each";
const UNUSED: &str = "one component, one name used";

/// Where a file that was compiled ahead of time says what it was made of: behind what it begins with, and the digest of the rest.
const SEAL: std::ops::Range<usize> = 16..48;
const MADE_OF: std::ops::Range<usize> = 48..80;

/// What was seen of one config.
struct Seen {
    kind: &'static str,
    plugins: u32,
    /// From nothing to the answer to `initialize`, in seconds.
    start: f64,
    memory: f64,
    descriptors: Option<u32>,
    /// Of a sampling request, in seconds.
    p50: f64,
    p99: f64,
}

pub(super) fn run(place: &Place) -> Part {
    let components = components(place);
    let mut seen: Vec<Seen> = SIZES.iter().map(|plugins| measure(place, ONE, *plugins, &[])).collect();
    seen.extend(SIZES.iter().map(|plugins| measure(place, OWN, *plugins, &components)));
    seen.extend(SIZES.last().map(|plugins| measure(place, UNUSED, *plugins, &[])));
    for path in components {
        // The folder goes later, and whatever is still in it.
        let _ = std::fs::remove_file(path);
    }
    let heading = cells([
        "plugins configured",
        "of which kind",
        "start to `initialize`",
        "memory",
        "descriptors",
        "sampling, 1 at once: p50",
        "p99",
    ]);
    let rows = seen.iter().map(|seen| {
        let times = [seen.start, seen.p50, seen.p99].map(|time| Unit::Seconds.shown(time));
        let [start, p50, p99] = times;
        let memory = Unit::Bytes.shown(seen.memory);
        vec![count(seen.plugins), seen.kind.to_owned(), start, memory, opened(seen.descriptors), p50, p99]
    });
    Part {
        title: "Plugins configured",
        lines: std::iter::once(heading).chain(rows).collect(),
        note: "All are `anthropic`, compiled before, and but for the last row all are in the server's chain, so all are loaded; the first \
               answers. Memory is resident memory before the first request."
            .to_owned(),
        panels: [
            panel("Resident memory, plugins loaded", Unit::Bytes, &seen, |seen| seen.memory),
            panel("Start to initialize answered", Unit::Seconds, &seen, |seen| seen.start),
        ],
    }
}

fn panel(title: &'static str, unit: Unit, seen: &[Seen], value: fn(&Seen) -> f64) -> Panel {
    let line = |kind: &'static str| {
        let of_it = seen.iter().filter(|seen| seen.kind == kind);
        Line { name: kind, points: of_it.map(|seen| (f64::from(seen.plugins), value(seen))).collect() }
    };
    Panel {
        title,
        across: Axis { name: "plugins configured", unit: Unit::Count },
        unit,
        lines: vec![line(ONE), line(OWN)],
    }
}

/// As many plugins; without components, all are the built-in one.
fn measure(place: &Place, kind: &'static str, plugins: u32, components: &[PathBuf]) -> Seen {
    let name = |number: u32| format!("plugin{number}");
    let component = |number: u32| {
        let path = usize::try_from(number).ok().and_then(|number| components.get(number));
        path.map_or(json!("builtin:anthropic"), |path| json!(path))
    };
    let plugin = |number| (name(number), json!({ "component": component(number), "endpoint": place.url() }));
    let configured: Map<String, Value> = (0..plugins).map(plugin).collect();
    let used: Vec<String> = (0..if kind == UNUSED { 1 } else { plugins }).map(name).collect();
    let config = place.file("plugins.json", json!({ "plugins": configured, "sampling": used }).to_string());
    // Of a start that takes milliseconds, the median of some.
    let again = if plugins < 1000 { 4 } else { 0 };
    let mut starts: Vec<f64> =
        (0..again).map(|_| Peer::start(place, Who::Understudy, Some(&config)).1.as_secs_f64()).collect();
    let (mut peer, start) = Peer::start(place, Who::Understudy, Some(&config));
    starts.push(start.as_secs_f64());
    let (memory, descriptors) = (peer.memory(), descriptors(peer.id()));
    peer.ask(200, 1, &json!({ "text": 1000 }));
    let report = peer.ask(1000, 1, &json!({ "text": 1000 }));
    let (_, start) = percentiles(starts);
    Seen { kind, plugins, start, memory, descriptors, p50: report.p50 / 1e9, p99: report.p99 / 1e9 }
}

/// So many components that no two of them are the same.
fn components(place: &Place) -> Vec<PathBuf> {
    let made = place.file("ahead.cwasm", "");
    let words = ["plugin", "compile", "anthropic", "--output"].map(str::to_owned);
    let output = [made.to_string_lossy().into_owned()];
    let words: Vec<String> = std::iter::once(place.program("race-understudy")).chain(words).chain(output).collect();
    let compiled = place.run(&words).output().expect("Understudy starts");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let file = std::fs::read(&made).expect("what was compiled");
    let most = SIZES.iter().max().copied().unwrap_or_default();
    (0..most).map(|number| another(place, file.clone(), number)).collect()
}

/// The component under another digest.
fn another(place: &Place, mut file: Vec<u8>, number: u32) -> PathBuf {
    let made_of = Sha256::digest(number.to_le_bytes());
    file.get_mut(MADE_OF).expect("a digest of the component").copy_from_slice(&made_of);
    let rest = Sha256::digest(file.get(SEAL.end..).unwrap_or_default());
    file.get_mut(SEAL).expect("a digest of the rest").copy_from_slice(&rest);
    let path = place.file(&format!("ahead {number}.cwasm"), file);
    only_ours(&path);
    path
}

/// Machine code that others could have written isn't loaded.
fn only_ours(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
}
