//! Thousands of sampling requests in flight, all asked at once.
//!
//! Each number has a proxy, a server and a provider of its own, so that no measure finds what another has left behind. The
//! largest waits half a minute for its provider; the others are measured meanwhile, when it has nothing to do.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Part, cells, count, opened};
use crate::contestants::Who;
use crate::peer::Peer;
use crate::place::{Place, open_files};
use crate::process::{descriptors, memory};
use crate::svg::{Axis, Line, Panel};
use crate::table::Unit;

/// How many, and how many seconds the provider takes: long enough that all have been asked when the first is answered.
const SIZES: [(u32, u64); 4] = [(100, 1), (1000, 1), (2500, 2), (5000, 3)];
const LARGEST: (u32, u64) = (10_000, 30);

const WHO: [Who; 2] = [Who::Understudy, Who::Native];

/// The open files of a proxy that aren't connections to its provider, and some more.
const OTHERS: u32 = 100;

/// How often open files are counted while requests are asked.
const LOOK: Duration = Duration::from_millis(20);

/// What was seen of one proxy.
struct Seen {
    who: Who,
    requests: u32,
    /// In bytes, while all requests waited for the provider: of the process, and what it had before for each of them.
    memory: f64,
    for_each: f64,
    descriptors: Option<u32>,
    /// In seconds: what one answer in a hundred took more than this beyond what the provider did.
    beyond: f64,
}

pub(super) fn run(place: &Place) -> Part {
    let seen = thread::scope(|scope| {
        let largest = WHO.map(|who| {
            let (asked, all_are_asked) = mpsc::channel();
            let measure = scope.spawn(move || measure(place, who, LARGEST, Some(asked)));
            // Ends too if it isn't measured.
            let _ = all_are_asked.recv();
            measure
        });
        let mut seen: Vec<Seen> = SIZES
            .iter()
            .flat_map(|size| WHO.map(|who| (who, *size)))
            .filter_map(|(who, size)| measure(place, who, size, None))
            .collect();
        seen.extend(largest.into_iter().filter_map(|measure| measure.join().expect("a measure")));
        seen
    });
    let heading = cells([
        "in flight",
        "Understudy: memory",
        "for each",
        "descriptors",
        "p99 beyond the provider's time",
        "native proxy: memory",
        "for each",
        "descriptors",
        "p99 beyond",
    ]);
    let rows = SIZES.iter().chain([&LARGEST]).map(|(requests, _)| row(*requests, &seen));
    Part {
        title: "Requests in flight: 1 KB each, all asked at once",
        lines: std::iter::once(heading).chain(rows).collect(),
        note: format!(
            "{} are measured with a provider that takes {} s, the others with one that takes 1 to 3 s. Memory is resident memory, seen \
             while all of them waited; the time beyond the provider's is that of a burst, the server's own time to ask included.",
            count(LARGEST.0),
            LARGEST.1
        ),
        panels: [
            panel("Resident memory, all requests waiting", Unit::Bytes, &seen, |seen| seen.memory),
            panel("p99 of an answer beyond the provider's time", Unit::Seconds, &seen, |seen| seen.beyond),
        ],
    }
}

fn row(requests: u32, seen: &[Seen]) -> Vec<String> {
    let measures = WHO.iter().flat_map(|who| {
        let Some(seen) = seen.iter().find(|seen| seen.who == *who && seen.requests == requests) else {
            let reason = format!("not measured: needs {} open files, may have {}", requests + OTHERS, open_files());
            return [reason.as_str(), "–", "–", "–"].map(str::to_owned);
        };
        let is_all = seen.descriptors.is_none_or(|descriptors| descriptors >= requests);
        let descriptors = opened(seen.descriptors);
        [
            Unit::Bytes.shown(seen.memory),
            Unit::Bytes.shown(seen.for_each),
            if is_all { descriptors } else { format!("{descriptors}: not all were asked in time") },
            Unit::Seconds.shown(seen.beyond),
        ]
    });
    std::iter::once(count(requests)).chain(measures).collect()
}

fn panel(title: &'static str, unit: Unit, seen: &[Seen], value: fn(&Seen) -> f64) -> Panel {
    let line = |who: Who| {
        let of_it = seen.iter().filter(|seen| seen.who == who);
        Line { name: who.name(), points: of_it.map(|seen| (f64::from(seen.requests), value(seen))).collect() }
    };
    let across = Axis { name: "requests in flight", unit: Unit::Count };
    Panel { title, across, unit, lines: WHO.map(line).to_vec() }
}

/// Has so many requests in flight. `asked` is told when all of them are. None if they can't be: too few files may be open.
fn measure(place: &Place, who: Who, (requests, seconds): (u32, u64), asked: Option<mpsc::Sender<()>>) -> Option<Seen> {
    if open_files() < u64::from(requests + OTHERS) {
        return None;
    }
    let provider = place.another_provider();
    let limits = json!({ "concurrent": 20_000, "waiting": 20_000, "samplingTotal": "1 GiB" });
    let plugin = json!({ "component": "builtin:anthropic", "endpoint": provider.url() });
    let config = json!({ "limits": limits, "sampling": "anthropic", "plugins": { "anthropic": plugin } });
    let config = place.file(&format!("in flight {requests}.json"), config.to_string());
    let (mut peer, _) = Peer::start(place, who, Some(&config));
    // Its code and its plugin's are in memory then.
    peer.ask(200, 32, &json!({ "text": 1000 }));
    let (id, before) = (peer.id(), peer.memory());
    let latency = Duration::from_secs(seconds);
    let work = json!({ "text": 1000, "latency": latency.as_millis() });
    thread::scope(|scope| {
        let began = Instant::now();
        let asking = scope.spawn(|| peer.ask(requests, requests, &work));
        let mut untold = asked;
        // Nothing has been answered by then.
        while began.elapsed() < latency * 95 / 100 {
            thread::sleep(LOOK);
            if let Some(asked) = &untold
                && descriptors(id).is_some_and(|descriptors| descriptors >= requests)
            {
                // Whoever is told may have given up.
                let _ = asked.send(());
                untold = None;
            }
        }
        let (memory, descriptors) = (memory(id), descriptors(id));
        let report = asking.join().expect("all are answered");
        let for_each = (memory - before) / f64::from(requests);
        Some(Seen { who, requests, memory, for_each, descriptors, beyond: report.p99 / 1e9 - latency.as_secs_f64() })
    })
}
