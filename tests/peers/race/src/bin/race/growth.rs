//! What a request costs in memory while its provider thinks, when thousands are in flight.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::contestants::Who;
use crate::peer::Peer;
use crate::place::Place;
use crate::process::memory;
use crate::table::{Row, Unit};

pub(crate) const TITLE: &str = "memory for each of 5,000 requests in flight";
pub(crate) const IN_PYTHON: &str = "the same with a plugin in Python";

const REQUESTS: u32 = 5000;
const LATENCY: Duration = Duration::from_secs(20);

/// What the plugin in Python is configured by.
pub(crate) struct InPython(PathBuf);

/// Makes the plugin in Python, and has it compiled.
pub(crate) fn prepare(place: &Place) -> InPython {
    let (component, endpoint) = (python_plugin(place), format!("{}/v1", place.url()));
    let config =
        config(place, "in-python.json", &json!({ "component": component, "endpoint": endpoint, "model": "m" }));
    drop(Peer::start(place, Who::Understudy, Some(&config)));
    InPython(config)
}

/// All have as many requests in flight, at the same time.
pub(crate) fn run(place: &Place, InPython(in_python): &InPython) -> [Row; 2] {
    let built_in = config(place, "built-in.json", &json!({ "component": "builtin:anthropic" }));
    let contestants = [(Who::Native, &built_in), (Who::Understudy, &built_in), (Who::Understudy, in_python)];
    let [native, rust, python] = thread::scope(|scope| {
        let measures = contestants.map(|(who, config)| scope.spawn(move || measure(place, who, config)));
        measures.map(|measure| measure.join().expect("a measure"))
    });
    [(TITLE, rust), (IN_PYTHON, python)].map(|(title, own)| {
        let mut row = Row::new(title, Unit::Bytes);
        row.note(Who::Native, native);
        row.note(Who::Understudy, own);
        row
    })
}

/// A config that lets so many requests wait.
fn config(place: &Place, name: &str, plugin: &Value) -> PathBuf {
    let limits = json!({ "concurrent": 10_000, "waiting": 10_000, "samplingTotal": "1 GiB" });
    let config = json!({ "limits": limits, "sampling": "plugin", "plugins": { "plugin": plugin } });
    place.file(name, config.to_string())
}

fn measure(place: &Place, who: Who, config: &Path) -> f64 {
    let (mut peer, _) = Peer::start(place, who, Some(config));
    // Its code and its plugin's are in memory then.
    peer.ask(200, 32, &json!({ "text": 1000 }));
    let (id, before) = (peer.id(), peer.memory());
    let work = json!({ "text": 1000, "latency": LATENCY.as_millis() });
    let asking = thread::scope(|scope| {
        let began = Instant::now();
        let asking = scope.spawn(|| drop(peer.ask(REQUESTS, REQUESTS, &work)));
        // All have been asked by then, and none has been answered.
        thread::sleep((LATENCY * 95 / 100).saturating_sub(began.elapsed()));
        let asking_all = memory(id);
        asking.join().expect("all are answered");
        asking_all
    });
    (asking - before) / f64::from(REQUESTS)
}

/// The example in Python, as its Makefile builds it.
fn python_plugin(place: &Place) -> PathBuf {
    let made = place.file("python.wasm", "");
    let mut componentize = Command::new(place.componentize_py());
    componentize.current_dir(place.example("python"));
    componentize.args(["-d", "../../../wit", "-w", "provider-plugin", "componentize", "app", "-o"]).arg(&made);
    let done = componentize.output().expect("componentize-py starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    made
}
