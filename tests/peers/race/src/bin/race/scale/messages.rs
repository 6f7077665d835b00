//! Large messages that pass through: a tool's argument, and as large a result.

use serde_json::json;

use super::{Part, cells, percentiles};
use crate::contestants::Who;
use crate::peer::Peer;
use crate::place::Place;
use crate::process::peak;
use crate::svg::{Axis, Line, Panel};
use crate::table::Unit;

/// Bytes of the text, and how often it is sent.
const SIZES: [(u32, u32); 4] = [(1000, 200), (1_000_000, 20), (10_000_000, 5), (100_000_000, 3)];

const WHO: [Who; 3] = [Who::Understudy, Who::Native, Who::Nobody];

/// What was seen of one size.
struct Seen {
    who: Who,
    bytes: u32,
    /// There and back, in seconds: the median.
    took: f64,
    /// The most memory that was ever resident, where the system tells.
    peak: Option<f64>,
}

pub(super) fn run(place: &Place) -> Part {
    let all = SIZES.iter().flat_map(|size| WHO.map(|who| (who, *size)));
    let seen: Vec<Seen> = all.map(|(who, size)| measure(place, who, size)).collect();
    let heading = cells([
        "text",
        "Understudy: there and back",
        "peak memory",
        "native proxy: there and back",
        "peak memory",
        "nobody between",
    ]);
    let rows = SIZES.iter().map(|(bytes, _)| {
        let of = |who| seen.iter().find(|seen| seen.who == who && seen.bytes == *bytes);
        let took = |who| of(who).map_or_else(|| "–".to_owned(), |seen| Unit::Seconds.shown(seen.took));
        let peak =
            |who| of(who).and_then(|seen| seen.peak).map_or_else(|| "–".to_owned(), |peak| Unit::Bytes.shown(peak));
        let (own, native) = (Who::Understudy, Who::Native);
        vec![Unit::Bytes.shown(f64::from(*bytes)), took(own), peak(own), took(native), peak(native), took(Who::Nobody)]
    });
    Part {
        title: "Messages that pass through: a `tools/call` that gets its argument back",
        lines: std::iter::once(heading).chain(rows).collect(),
        note: "`limits.line` is raised to 1 GiB. Peak memory is the most that was ever resident in a process that had nothing else to do; \
               the time is mostly that of the server and the client, which read and write JSON."
            .to_owned(),
        panels: [
            panel("Peak memory, one message there and back", Unit::Bytes, &seen, |seen| seen.peak),
            panel("One message there and back", Unit::Seconds, &seen, |seen| Some(seen.took)),
        ],
    }
}

fn panel(title: &'static str, unit: Unit, seen: &[Seen], value: fn(&Seen) -> Option<f64>) -> Panel {
    let line = |who: Who| {
        let of_it = seen.iter().filter(|seen| seen.who == who);
        let points = of_it.filter_map(|seen| Some((f64::from(seen.bytes), value(seen)?)));
        let name = if who == Who::Nobody { "nobody between" } else { who.name() };
        Line { name, points: points.collect() }
    };
    // The server's own memory is nobody's business here.
    let who = WHO.into_iter().filter(|who| unit == Unit::Seconds || *who != Who::Nobody);
    Panel { title, across: Axis { name: "size of the text", unit: Unit::Bytes }, unit, lines: who.map(line).collect() }
}

fn measure(place: &Place, who: Who, (bytes, times): (u32, u32)) -> Seen {
    let config = json!({ "limits": { "line": "1 GiB" }, "sampling": "anthropic" });
    let config = place.file("messages.json", config.to_string());
    let (mut peer, _) = Peer::start(place, who, Some(&config));
    let text = "x".repeat(usize::try_from(bytes).unwrap_or_default());
    let took: Vec<f64> = (0..times).map(|_| peer.echo(&text).as_secs_f64()).collect();
    let (_, took) = percentiles(took);
    Seen { who, bytes, took, peak: peak(peer.id()) }
}
