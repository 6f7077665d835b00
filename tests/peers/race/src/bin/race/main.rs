//! What Understudy costs from end to end: the same work done by other programs, in turns in one run, every answer checked.
//!
//! `make bench`. A server asks (`race-server`), a provider on loopback answers (`race-provider`), and between them is who is measured: a
//! native proxy, which is Understudy's own code without wasm and so the limit; Understudy; and what one would use or write instead. The
//! machine is noisy and suffers for all of them alike: read the ratios, not the times.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `contestants` | who takes part, and how each is started |
//! | `place` | the programs, the provider and the environment that all of them get |
//! | `peer` | one of them at work: started, asked, looked at |
//! | `work` | what there is to do, and doing it in turns |
//! | `growth` | memory while thousands of requests wait |
//! | `scale` | cost as it grows: requests in flight, plugins, servers, messages |
//! | `provider`, `process` | a provider; what the system says of a process |
//! | `svg` | curves, drawn |
//! | `table` | medians and ratios, printed |
//! | `goals` | what is to be reached, and whether it is |
//!
//! `make bench ONLY=NAME` runs only the works and measures whose names hold the word. `make bench-growth` is what else there is: cost as it grows.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark prints, and a failure ends it"
)]

mod contestants;
mod goals;
mod growth;
mod peer;
mod place;
mod process;
mod provider;
mod scale;
mod svg;
mod table;
mod work;

use std::thread;
use std::time::Instant;

use contestants::Who;
use place::Place;
use table::Table;

fn main() {
    let place = Place::new();
    let began = Instant::now();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let tables = if wanted == [scale::NAME] { grow(&place) } else { race(&place, &wanted) };
    println!("{}, {} s for all of it\n\n{tables}", place::machine(), began.elapsed().as_secs());
}

/// How the cost grows.
fn grow(place: &Place) -> String {
    work::compile(place);
    scale::run(place)
}

/// The race, or those of its works and measures whose names hold one of the words.
fn race(place: &Place, wanted: &[String]) -> String {
    let is_wanted = |title: &str| wanted.is_empty() || wanted.iter().any(|word| title.contains(word.as_str()));
    let mut table = Table::default();
    if is_wanted(place::PARTS) {
        place.time_parts();
    }
    let mut field = work::Field::enter(place);
    table.add(work::idle_memory(&mut field));
    let works = work::WORKS.iter().filter(|work| is_wanted(work.title));
    let (waiting, busy): (Vec<_>, Vec<_>) = works.partition(|work| work.waits());
    for work in busy {
        table.add(field.run(work));
    }
    // Who waits for a provider leaves time to make what is needed later.
    let in_python = thread::scope(|scope| {
        let in_python = scope.spawn(|| is_wanted(growth::TITLE).then(|| growth::prepare(place)));
        for work in waiting {
            table.add(field.run(work));
        }
        in_python.join().expect("a plugin in Python")
    });
    if is_wanted(work::PASS_THROUGH) {
        table.add_all(field.pass_through());
    }
    drop(field);
    if is_wanted(work::START) {
        table.add(work::start(place));
    }
    if let Some(in_python) = in_python {
        table.add_all(growth::run(place, &in_python));
    }
    table.add(place.size());
    format!("{table}\n{}\n{}", goals::shown(&table), Who::notes())
}
