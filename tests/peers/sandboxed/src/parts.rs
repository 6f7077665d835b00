//! What the sandbox costs: each part beside what it is compared with, interleaved in one run, as ratios of medians.
//!
//! `race-understudy parts`. The machine is noisy and the other contestants suffer the same noise: read the ratios, not the times.
//!
//! `make bench-check` counts the instructions of the same parts instead, which no other program on the machine can change, and compares them
//! with those recorded in `counts.json`; `make bench-record` records them anew.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `work` | the parts |
//! | `warm` | an instance that is used again and again, as Understudy's never are |
//! | `counts` | counting instructions |
mod counts;
mod warm;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use work::{Part, Parts};

const ROUNDS: usize = 40;

/// Times them, or counts their instructions.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["check"] => counts::check(),
        ["record"] => counts::record(),
        ["run", name, times, cache] => work::run(name, times.parse().expect("how many times"), cache.as_ref()),
        _ => time(&Parts::new(None)),
    }
}

fn time(parts: &Parts) -> ExitCode {
    println!("medians of {ROUNDS} rounds that take turns, and as multiples of the others in their group");
    for (title, group) in parts.groups() {
        race(&title, group);
    }
    ExitCode::SUCCESS
}

/// The median time of each part, in rounds that take turns.
fn race(title: &str, mut parts: Vec<Part>) {
    let mut times: Vec<Vec<Duration>> = parts.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (part, times) in parts.iter_mut().zip(&mut times) {
            let began = Instant::now();
            (0..part.each).for_each(|_| (part.run)());
            times.push(began.elapsed() / part.each);
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    println!("\n{title}");
    for (part, median) in parts.iter().zip(&medians) {
        let ratios: Vec<String> = medians.iter().map(|other| format!("{:6.2} ×", median / other)).collect();
        println!("  {:44} {median:10.1} µs   {}", part.name, ratios.join(" "));
    }
}
