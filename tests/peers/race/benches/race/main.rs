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
//! `cargo bench --workspace --bench race -- NAME…` runs only the works and measures whose names hold one of the words.
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

use std::time::Instant;

use contestants::Who;
use place::Place;
use table::Table;

fn main() {
    let place = Place::new();
    let began = Instant::now();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |title: &str| wanted.is_empty() || wanted.iter().any(|word| title.contains(word.as_str()));
    let mut table = Table::default();

    if is_wanted(place::PARTS) {
        place.time_parts();
    }
    let mut field = work::Field::enter(&place);
    table.add(work::idle_memory(&mut field));
    for work in work::WORKS.iter().filter(|work| is_wanted(work.title)) {
        table.add(field.run(work));
    }
    if is_wanted(work::PASS_THROUGH) {
        table.add_all(field.pass_through());
    }
    drop(field);
    if is_wanted(work::START) {
        table.add(work::start(&place));
    }
    if is_wanted(growth::TITLE) {
        table.add_all(growth::run(&place));
    }
    table.add(place.size());
    let grown = is_wanted(scale::TITLE).then(|| scale::run(&place));

    println!("{}, {} s for all of it\n", place::machine(), began.elapsed().as_secs());
    println!("{table}");
    println!("{}", goals::shown(&table));
    println!("{}", Who::notes());
    if let Some(grown) = grown {
        println!("\n{grown}");
    }
}
