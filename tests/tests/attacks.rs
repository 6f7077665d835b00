//! Attacks under a load of honest requests: whatever a plugin, a provider or a server does, each of its requests gets exactly one answer, no
//! honest one fails, and nothing is left behind.
//!
//! `make soak` runs the same with `ATTACKS=1000` and `REQUESTS=100000`.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faults::Fault;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use understudy::config::Config;
use understudy::sandbox::{Engine, EngineOptions, Plugin};
use understudy::wit::understudy::plugin::types as wit;
use understudy_mcp_types::CreateMessageRequestParams;
use understudy_tests::arena::{Arena, Holdings};
use understudy_tests::misbehaving::{SERVERS, check, misbehave};
use understudy_tests::session::sampling;
use understudy_tests::wild::Mischief;

#[path = "../guests/faulty/src/faults.rs"]
#[expect(unreachable_pub, dead_code, reason = "the guest has it so")]
mod faults;

/// Honest requests at once, and hostile ones.
const HONEST: usize = 4;
const HOSTILE: usize = 4;

/// What memory may have grown by when all is over: the allocator keeps some of what was used.
const SLACK: usize = 64 << 20;

/// One test at a time: what the process holds is everybody's.
static TURN: Mutex<()> = Mutex::const_new(());

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How often each attack is mounted.
fn attacks() -> usize {
    number("ATTACKS", 20)
}

/// Makes `count` hostile requests under honest load, and looks at what is left.
async fn mount(arena: &Arena, name: &str, attack: impl AsyncFn()) {
    let before = Holdings::now();
    let next = AtomicUsize::new(0);
    let attacker = async || {
        loop {
            if next.fetch_add(1, Ordering::Relaxed) >= attacks() {
                break;
            }
            attack().await;
        }
    };
    let attackers: [_; HOSTILE] = std::array::from_fn(|_| attacker());
    let honest = arena.under_load(HONEST, async { drop(futures_util::future::join_all(attackers).await) }).await;
    assert!(!honest.is_empty());
    let surplus = [&arena.honest, &arena.hostile, &arena.wild].map(|server| server.surplus());
    assert_eq!(surplus, [0, 0, 0], "{name}: answers that nobody asked for");
    let _ = before.back_to(SLACK, name).await;
}

/// An arena that has served already, as many at once as it ever will: connections are open, memory is in use.
async fn arena() -> Arena {
    let arena = Arena::new().await;
    let warm = async {
        for text in ["none", "trap", "loop", "eat memory: 40", "dump memory in resume"] {
            let _ = arena.hostile.ask(&sampling(arena.hostile.next_id(), text)).await;
        }
        misbehave("flood", &arena.hostile).await;
        // As many at once as there will be: what the allocator keeps of messages so large isn't a leak.
        join_all((0..HOSTILE).map(|_| misbehave("giant message", &arena.hostile))).await;
    };
    drop(arena.under_load(HONEST, warm).await);
    arena
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_plugins_cost_nobody_else_anything() {
    let _turn = TURN.lock().await;
    let arena = arena().await;
    for fault in Fault::ALL {
        mount(&arena, fault.word(), async || {
            let server = &arena.hostile;
            let request = sampling(server.next_id(), fault.word());
            check(&server.ask(&request).await, &request);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_providers_cost_nobody_else_anything() {
    let _turn = TURN.lock().await;
    let arena = arena().await;
    for mischief in Mischief::ALL {
        mount(&arena, mischief.word(), async || {
            let server = &arena.wild;
            let request = sampling(server.next_id(), mischief.word());
            let answer = server.ask(&request).await;
            check(&answer, &request);
            let echoes = matches!(mischief, Mischief::Echo | Mischief::Interim | Mischief::LongBody);
            assert!(echoes || answer["error"].is_object(), "{mischief:?}: {answer}");
            if *mischief == Mischief::Echo {
                let text = answer["result"]["content"]["text"].as_str().unwrap_or_default();
                assert_eq!(text.matches("[credential]").count(), 7, "{answer}");
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_what_is_dear_to_compile_costs_nobody_anything() {
    let _turn = TURN.lock().await;
    let arena = arena().await;
    Box::pin(mount(&arena, "a bomb is loaded", async || arena.load_bomb().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_servers_cost_nobody_else_anything() {
    let _turn = TURN.lock().await;
    let arena = arena().await;
    for how in SERVERS {
        mount(&arena, how, async || misbehave(how, &arena.hostile).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_requests_with_random_faults_is_answered_once() {
    let _turn = TURN.lock().await;
    let arena = Arc::new(arena().await);
    let total = number("REQUESTS", 5_000);
    let half = async |count: usize| {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..16 {
            let (arena, next) = (Arc::clone(&arena), Arc::clone(&next));
            workers.spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    one_at_random(&arena).await;
                }
            });
        }
        drop(workers.join_all().await);
    };
    let before = Holdings::now();
    half(total / 2).await;
    let middle = before.back_to(usize::MAX, "all that").await;
    half(total / 2).await;
    // The second half may add no more to that.
    let _ = Holdings { memory: middle.memory, ..before }.back_to(SLACK, "as much again").await;
    let surplus = [&arena.honest, &arena.hostile, &arena.wild].map(|server| server.surplus());
    assert_eq!(surplus, [0, 0, 0], "answers that nobody asked for");
}

/// One request of any kind; every twentieth is cancelled, before its answer comes or after.
async fn one_at_random(arena: &Arena) {
    let pick = |n: usize| fastrand::usize(..n);
    let (server, text) = match pick(10) {
        0..5 => (&arena.honest, "hello"),
        // Those that only end by their deadline would take hours in their thousands.
        5..8 => match Fault::ALL[pick(Fault::ALL.len())] {
            Fault::Block | Fault::DelayForEver => (&arena.hostile, "none"),
            fault => (&arena.hostile, fault.word()),
        },
        8 => match Mischief::ALL[pick(Mischief::ALL.len())] {
            Mischief::SlowHead | Mischief::StalledBody => (&arena.wild, "hangup"),
            mischief => (&arena.wild, mischief.word()),
        },
        _ => (&arena.hostile, "none"),
    };
    let request = sampling(server.next_id(), text);
    if pick(20) == 0 {
        let answer = server.begin(&request).await;
        server.cancel(&request["id"]).await;
        // What comes now is dropped with the receiver; nothing may come afterwards.
        drop(answer);
        return;
    }
    let answer = server.ask(&request).await;
    check(&answer, &request);
    assert!(!Arc::ptr_eq(server, &arena.honest) || answer["result"]["content"]["text"] == "fine", "{answer}");
}

/// A plugin on an engine with a pool of this size, whose guests have so much CPU time.
async fn on_a_pool_of(engine: &Arc<Engine>, cpu: &str, folder: &Path) -> Arc<Plugin> {
    let component = understudy_tests::guests::write("faulty", folder);
    let config = json!({ "plugins": { "p": { "component": component, "limits": { "cpu": cpu } } } });
    let config = Config::parse(&config.to_string(), Path::new("test")).unwrap();
    Arc::new(Plugin::load(Arc::clone(engine), &config.plugin("p", |_| None).unwrap()).await.unwrap())
}

/// So many guests of a plugin in an endless loop.
fn loops(plugin: &Arc<Plugin>, count: usize) -> JoinSet<Result<(), understudy::error::Error>> {
    let request = CreateMessageRequestParams::from_json(sampling(1, "loop")["params"].to_string().as_bytes()).unwrap();
    let request = Arc::new(wit::CreateMessageRequest::from(request));
    let options = Arc::new(wit::Options {
        model: String::new(),
        request_id: String::new(),
        server: String::new(),
        settings: "{}".to_owned(),
        extensions: "{}".to_owned(),
    });
    let call = |_| {
        let (plugin, request, options) = (Arc::clone(plugin), Arc::clone(&request), Arc::clone(&options));
        async move { plugin.start(&request, &options).await.map(|_| ()) }
    };
    (0..count).map(call).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn more_instances_than_the_pool_has_room_for_wait_for_their_turn() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::with_options(EngineOptions { pool: Some(2), ..EngineOptions::default() }).unwrap();
    let mut calls = Vec::new();
    // Each may have one place of the two.
    for _ in 0..4 {
        let plugin = on_a_pool_of(&engine, "20 ms", folder.path()).await;
        calls.push(loops(&plugin, 5));
    }
    for calls in calls {
        for outcome in calls.join_all().await {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("20ms of CPU time (`limits.cpu`)"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_plugin_whose_guests_all_run_for_ever_leaves_places_in_the_pool_to_others() {
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::with_options(EngineOptions { pool: Some(4), ..EngineOptions::default() }).unwrap();
    let hostile = on_a_pool_of(&engine, "1 h", folder.path()).await;
    let honest = on_a_pool_of(&engine, "1 h", folder.path()).await;
    let mut calls = loops(&hostile, 40);
    // So often that the others have all begun, or stand in line, long before it is done.
    for _ in 0..1000 {
        let description = tokio::time::timeout(understudy_tests::PATIENCE, honest.describe()).await.unwrap();
        assert_eq!(description.unwrap().name, "faulty");
    }
    assert!(calls.try_join_next().is_none());
    calls.shutdown().await;
}
