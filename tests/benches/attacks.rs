//! What honest requests notice of attacks: their times with each attack going on, beside those without, taken in turns.
//!
//! `make bench-attacks`. Four honest requests at a time, as fast as they are answered, and one attack after the other. The machine is
//! noisy: read the ratios, and compare with the line that says how far two quiet rounds are apart.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark prints, and a failure ends it")]

use std::time::{Duration, Instant};

use faults::Fault;
use mimalloc::MiMalloc;
use understudy_tests::arena::{Arena, Server};
use understudy_tests::misbehaving::{SERVERS, misbehave};
use understudy_tests::session::sampling;
use understudy_tests::wild::Mischief;

#[path = "../guests/faulty/src/faults.rs"]
#[expect(unreachable_pub, dead_code, reason = "the guest has it so")]
mod faults;

/// The program's own: what threads wait for one another in is part of what is measured.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long each round takes, and how many there are of each kind.
const ROUND: Duration = Duration::from_millis(400);
const ROUNDS: usize = 6;
const HONEST: usize = 4;

/// Who attacks, and by what.
#[derive(Clone, Copy)]
enum Attack {
    /// The text of a request to the plugin, or through it to the provider, that misbehaves.
    Request(&'static str),
    Server(&'static str),
    /// A component that is dear to compile takes the place of another.
    Load,
}

/// The honest requests' times, and how often the attack was made meanwhile.
async fn round(arena: &Arena, server: &Server, attack: Option<Attack>) -> (Vec<Duration>, usize) {
    let began = Instant::now();
    let mut attacks = 0;
    let mischief = async {
        let Some(attack) = attack else { return tokio::time::sleep(ROUND).await };
        while began.elapsed() < ROUND {
            match attack {
                Attack::Request(text) => drop(server.ask(&sampling(server.next_id(), text)).await),
                Attack::Server(how) => misbehave(how, server).await,
                Attack::Load => arena.load_bomb().await,
            }
            attacks += 1;
        }
    };
    let times = arena.under_load(HONEST, mischief).await;
    (times, attacks)
}

fn at(times: &[Duration], share: usize) -> f64 {
    times.get(times.len() * share / 100).copied().unwrap_or_default().as_secs_f64() * 1e3
}

async fn compare(arena: &Arena, name: &str, server: &Server, attack: Option<Attack>) {
    // `cargo bench --bench attacks -- memory` runs those with this in their names.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if attack.is_some() && !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
        return;
    }
    let (mut quiet, mut loud, mut attacks) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        quiet.extend(round(arena, server, None).await.0);
        let (times, made) = round(arena, server, attack).await;
        loud.extend(times);
        attacks += made;
    }
    quiet.sort_unstable();
    loud.sort_unstable();
    let ratio = |share| at(&loud, share) / at(&quiet, share);
    println!(
        "  {name:41} p50 {:7.2} ms {:5.2} ×   p99 {:7.2} ms {:5.2} ×   ({} and {} requests, {attacks} attacks)",
        at(&loud, 50),
        ratio(50),
        at(&loud, 99),
        ratio(99),
        loud.len(),
        quiet.len()
    );
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let arena = Arena::new().await;
        println!("honest requests under attack: times, and multiples of those without, {HONEST} at once");
        compare(&arena, "no attack (how far noise goes)", &arena.hostile, None).await;
        for attack in Fault::ALL.iter().map(|fault| fault.word()) {
            compare(&arena, &format!("plugin: {attack}"), &arena.hostile, Some(Attack::Request(attack))).await;
        }
        compare(&arena, "plugin: a bomb is loaded", &arena.hostile, Some(Attack::Load)).await;
        for attack in Mischief::ALL.iter().map(|mischief| mischief.word()) {
            compare(&arena, &format!("provider: {attack}"), &arena.wild, Some(Attack::Request(attack))).await;
        }
        for how in SERVERS {
            compare(&arena, &format!("server: {how}"), &arena.hostile, Some(Attack::Server(how))).await;
        }
    });
}
