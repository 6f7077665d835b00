//! What there is to do, and doing it in turns.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::contestants::{Pace, Who};
use crate::peer::Peer;
use crate::place::Place;
use crate::table::{Row, Unit};

/// Questions to be answered.
pub(crate) struct Work {
    pub(crate) title: &'static str,
    /// Bytes of the text and of the image.
    text: u32,
    image: u32,
    /// The provider's, in ms.
    latency: u32,
    concurrency: u32,
    rounds: u32,
    /// How many questions in a round, by pace.
    n: [u32; 3],
}

pub(crate) const ALONE: &str = "sampling round trip, 1 at once, 1 KB: p50";
pub(crate) const MANY: &str = "sampling, 32 at once, 1 KB: a second";
pub(crate) const LARGE: &str = "sampling round trip, 1 at once, 100 KB: p50";
pub(crate) const PASS_THROUGH: &str = "`tools/call` passed through, 1 KB: p50";
pub(crate) const ADDED: &str = "what that adds to a call without anybody between";
pub(crate) const START: &str = "start to `initialize` answered";
pub(crate) const IDLE: &str = "resident memory, idle";

const KB: Work = Work { title: "", text: 1000, image: 0, latency: 0, concurrency: 1, rounds: 10, n: [1, 1, 1] };

pub(crate) const WORKS: [Work; 8] = [
    Work { title: ALONE, n: [1500, 300, 60], ..KB },
    Work { title: MANY, concurrency: 32, n: [6000, 1200, 100], ..KB },
    Work { title: "sampling, 256 at once, 1 KB: a second", concurrency: 256, rounds: 7, n: [6000, 1200, 256], ..KB },
    Work { title: LARGE, text: 100_000, n: [300, 80, 25], ..KB },
    Work { title: "sampling round trip, 1 at once, 5 MB image: p50", image: 5_000_000, rounds: 7, n: [6, 3, 2], ..KB },
    Work { title: "the provider takes 200 ms, 1 at once: p50", latency: 200, rounds: 3, n: [2, 2, 2], ..KB },
    Work {
        title: "the provider takes 200 ms, 32 at once: a second",
        latency: 200,
        concurrency: 32,
        rounds: 3,
        n: [64, 64, 2],
        ..KB
    },
    Work {
        title: "the provider takes 200 ms, 256 at once: a second",
        latency: 200,
        concurrency: 256,
        rounds: 3,
        n: [512, 512, 2],
        ..KB
    },
];

impl Work {
    /// Whether it is mostly waiting.
    pub(crate) fn waits(&self) -> bool {
        self.latency > 0
    }

    fn n(&self, who: Who) -> u32 {
        of_pace(who, self.n)
    }
}

fn of_pace<T: Copy>(who: Who, [fast, middling, slow]: [T; 3]) -> T {
    match who.pace() {
        Pace::Fast => fast,
        Pace::Middling => middling,
        Pace::Slow => slow,
    }
}

/// The first start compiles the plugin. What is measured finds it compiled, as all starts but one do.
pub(crate) fn compile(place: &Place) {
    drop(Peer::start(place, Who::Understudy, None));
}

/// A contestant, started with the config that makes it what it is.
fn start_of(place: &Place, who: Who) -> (Peer, Duration) {
    let config = (who == Who::Ledger).then(|| place.with_ledger());
    Peer::start(place, who, config.as_deref())
}

/// All contestants, running. Who has nothing to do waits.
pub(crate) struct Field<'a> {
    place: &'a Place,
    peers: Vec<Peer>,
}

impl<'a> Field<'a> {
    pub(crate) fn enter(place: &'a Place) -> Self {
        compile(place);
        Self { place, peers: Who::ALL.into_iter().map(|who| start_of(place, who).0).collect() }
    }

    /// Does a work, in rounds that take turns, each begun by another.
    pub(crate) fn run(&mut self, work: &Work) -> Row {
        let is_alone = work.concurrency == 1;
        let mut row = Row::new(work.title, if is_alone { Unit::Seconds } else { Unit::PerSecond });
        let arguments = json!({ "text": work.text, "image": work.image, "latency": work.latency });
        for round in 0..=work.rounds {
            for peer in &mut self.peers {
                // The first round warms up, and isn't counted.
                let n = if round == 0 { work.n(peer.who).div_ceil(4) } else { work.n(peer.who) };
                let report = peer.ask(n, work.concurrency, &arguments);
                if round > 0 {
                    let rate = f64::from(report.n) / report.took * 1e9;
                    row.note(peer.who, if is_alone { report.p50 / 1e9 } else { rate });
                }
            }
            self.peers.rotate_left(1);
        }
        row
    }

    /// Calls that are nobody's business but the server's.
    pub(crate) fn pass_through(&mut self) -> [Row; 2] {
        let text = "x".repeat(1000);
        let mut row = Row::new(PASS_THROUGH, Unit::Seconds);
        let mut nobody = Peer::start(self.place, Who::Nobody, None).0;
        for round in 0..=10 {
            let proxies = self.peers.iter_mut().filter(|peer| peer.who.is_proxy());
            for peer in proxies.chain([&mut nobody]) {
                let mut times: Vec<Duration> =
                    (0..of_pace(peer.who, [2000, 500, 60])).map(|_| peer.echo(&text)).collect();
                times.sort_unstable();
                if round > 0 {
                    row.note(peer.who, times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64());
                }
            }
            self.peers.rotate_left(1);
        }
        let mut added = Row::new(ADDED, Unit::Seconds);
        let without = row.median(Who::Nobody).unwrap_or_default();
        for who in Who::ALL {
            if let Some(median) = row.median(who) {
                added.note(who, median - without);
            }
        }
        [row, added]
    }
}

/// Memory of those who have done nothing yet.
pub(crate) fn idle_memory(field: &mut Field) -> Row {
    // Some put off what isn't urgent.
    thread::sleep(Duration::from_secs(2));
    let mut row = Row::new(IDLE, Unit::Bytes);
    for peer in &field.peers {
        row.note(peer.who, peer.memory());
    }
    row
}

/// From nothing to the answer to `initialize`, its server's start included. Whatever is compiled on the first start has been.
pub(crate) fn start(place: &Place) -> Row {
    let mut row = Row::new(START, Unit::Seconds);
    for round in 0..30 {
        for who in Who::ALL.into_iter().filter(|who| round < of_pace(*who, [30, 6, 3])) {
            row.note(who, start_of(place, who).1.as_secs_f64());
        }
    }
    row
}
