//! The ledger as a whole: rows, budgets, the chain.

use std::io::Write;
use std::path::{Path, PathBuf};

use sqlx::Executor;

use super::budget::{self, Scopes};
use super::chain::Fault;
use super::counters::CounterKey;
use super::entry::{Attempt, Before, BudgetRefusal, Charge, Closing, Opening, Outcome};
use super::{Filter, Group, Ledger, LedgerError, MEMORY, OpenRow};
use crate::config::{Budget, Period};
use crate::money::NanoDollars;
use crate::price::{Price, Rates, Tokens};

fn opening(server: &str) -> Opening {
    Opening { opened: 1_000, until: i64::MAX / 2, server: server.to_owned(), ..Opening::default() }
}

/// $1 for a million tokens in, $2 out; 100 in and 50 out at most: $0.0002.
fn attempt(plugin: &str) -> Attempt {
    let rate = NanoDollars(1_000_000_000);
    let base = Rates { input: rate, cache_read: rate, cache_write: rate, output: NanoDollars(2_000_000_000) };
    Attempt {
        plugin: plugin.to_owned(),
        plugin_sha256: "aa".to_owned(),
        model: "m".to_owned(),
        price: Some(Price { base, above: None }),
        most_input: 100,
        most_output: 50,
    }
}

fn closing(charge: Charge) -> Closing {
    let (outcome, reason) = (Outcome::Answered, None);
    Closing { outcome, reason, answer: None, answer_sha256: None, tries: 1, approval: None, charge }
}

fn counted(input: u64, output: u64) -> Charge {
    Charge::Counted(Tokens { input, output, ..Tokens::default() })
}

fn budget(per: Period) -> Budget {
    Budget { key: "budgets[0]".to_owned(), server: None, plugin: None, per, money: None, tokens: None, requests: None }
}

async fn memory() -> Ledger {
    Ledger::open(Path::new(MEMORY)).await.unwrap()
}

/// Reserves for a plugin that is asked first, or after another one that cost nothing.
async fn reserve(
    ledger: &Ledger,
    opening: &Opening,
    row: &mut Option<OpenRow>,
    plugin: &str,
    budgets: &[Budget],
) -> Result<(), BudgetRefusal> {
    ledger.reserve(opening, row, Before::Over(Charge::Nothing), &attempt(plugin), budgets).await.unwrap()
}

/// A request from its reservation to its end; whether a budget let it through.
async fn ask(ledger: &Ledger, server: &str, budgets: &[Budget], charge: Charge) -> Result<(), String> {
    let (opening, mut row) = (opening(server), None);
    reserve(ledger, &opening, &mut row, "p", budgets).await.map_err(|refusal| refusal.reason)?;
    ledger.close(&opening, &mut row, &closing(charge)).await.unwrap();
    Ok(())
}

#[tokio::test]
async fn the_worst_case_is_reserved_and_settled_by_what_was_counted() {
    let ledger = memory().await;
    let (opening, mut row) = (opening("code"), None);
    reserve(&ledger, &opening, &mut row, "p", &[]).await.unwrap();
    let [open] = ledger.rows(&Filter::default()).await.unwrap().try_into().unwrap();
    assert_eq!((open.tokens, open.cost.as_str(), open.outcome.as_deref()), (150, "$0.0002", None));
    ledger.close(&opening, &mut row, &closing(counted(10, 5))).await.unwrap();
    let [closed] = ledger.rows(&Filter::default()).await.unwrap().try_into().unwrap();
    assert_eq!((closed.tokens, closed.cost.as_str(), closed.outcome.as_deref()), (15, "$0.00002", Some("answered")));
    let [sum] = ledger.spend(&Filter::default(), Group::Model).await.unwrap().try_into().unwrap();
    assert_eq!((sum.name.as_str(), sum.requests, sum.tokens), ("m", 1, 15));
}

#[tokio::test]
async fn what_nobody_counted_costs_the_worst_case_and_a_refusal_nothing() {
    let ledger = memory().await;
    ask(&ledger, "a", &[], Charge::Unknown).await.unwrap();
    ask(&ledger, "b", &[], Charge::Nothing).await.unwrap();
    ask(&ledger, "c", &[], counted(1 << 63, u64::MAX)).await.unwrap();
    let rows = ledger.rows(&Filter::default()).await.unwrap();
    let costs: Vec<_> = rows.iter().map(|row| (row.tokens, row.cost.as_str())).collect();
    // The largest number that there is.
    assert_eq!(costs, [(150, "$0.0002"), (0, "$0.00"), (9_000_000_000_000_000_000, "$9000000000.00")]);
}

#[tokio::test]
async fn a_budget_is_never_overspent_and_says_what_is_left() {
    let ledger = memory().await;
    let money = Budget { money: Some(NanoDollars(500_000)), ..budget(Period::Day) };
    ask(&ledger, "a", std::slice::from_ref(&money), Charge::Unknown).await.unwrap();
    ask(&ledger, "a", std::slice::from_ref(&money), Charge::Unknown).await.unwrap();
    let refused = ask(&ledger, "a", std::slice::from_ref(&money), Charge::Unknown).await.unwrap_err();
    assert!(
        refused.starts_with("the budget of $0.0005 a day (`budgets[0]`) has $0.0001 left, and this request may take $0.0002; it begins anew at 20"),
        "{refused}"
    );
    let requests = Budget { requests: Some(3), server: Some("b".to_owned()), ..budget(Period::Hour) };
    for _ in 0..3 {
        ask(&ledger, "b", std::slice::from_ref(&requests), Charge::Nothing).await.unwrap();
    }
    let refused = ask(&ledger, "b", std::slice::from_ref(&requests), Charge::Nothing).await.unwrap_err();
    assert!(refused.contains("of the server `b` of 3 requests an hour"), "{refused}");
    ask(&ledger, "c", std::slice::from_ref(&requests), Charge::Nothing).await.unwrap();
    let none = Budget { tokens: Some(0), ..budget(Period::Month) };
    assert!(ask(&ledger, "c", &[none], Charge::Nothing).await.unwrap_err().contains("0 tokens"));
}

#[tokio::test]
async fn a_budget_that_comes_later_knows_what_was_spent_before() {
    let ledger = memory().await;
    for _ in 0..3 {
        ask(&ledger, "a", &[], counted(10, 0)).await.unwrap();
    }
    let tokens = Budget { tokens: Some(200), ..budget(Period::Month) };
    ask(&ledger, "a", std::slice::from_ref(&tokens), counted(10, 0)).await.unwrap();
    // Another process's config hasn't this budget, and its requests count all the same.
    ask(&ledger, "a", &[], counted(10, 5)).await.unwrap();
    let refused = ask(&ledger, "a", &[tokens], counted(10, 0)).await.unwrap_err();
    assert!(refused.contains("has 145 tokens left"), "{refused}");
}

#[tokio::test]
async fn a_call_has_a_budget_of_its_own() {
    let ledger = memory().await;
    let call = Budget { requests: Some(1), ..budget(Period::Call) };
    let in_call = |call: &str| Opening { call: Some(call.to_owned()), ..opening("a") };
    for (name, fits) in [("1", true), ("1", false), ("2", true)] {
        let reserved = reserve(&ledger, &in_call(name), &mut None, "p", std::slice::from_ref(&call)).await;
        assert_eq!(reserved.is_ok(), fits, "{name}");
    }
    // Outside of any call it doesn't apply.
    for _ in 0..3 {
        ask(&ledger, "a", std::slice::from_ref(&call), Charge::Nothing).await.unwrap();
    }
}

#[tokio::test]
async fn the_next_plugin_is_another_attempt_of_one_request() {
    let ledger = memory().await;
    let (opening, mut row) = (opening("a"), None);
    let requests = [Budget { requests: Some(1), ..budget(Period::Day) }];
    reserve(&ledger, &opening, &mut row, "p", &requests).await.unwrap();
    reserve(&ledger, &opening, &mut row, "q", &requests).await.unwrap();
    ledger.close(&opening, &mut row, &closing(counted(7, 0))).await.unwrap();
    let [row] = ledger.rows(&Filter::default()).await.unwrap().try_into().unwrap();
    let attempts: Vec<_> = row.attempts.iter().map(|a| (a.plugin.as_str(), a.input)).collect();
    assert_eq!((row.tokens, attempts), (7, vec![("p", Some(0)), ("q", Some(7))]));
    assert_eq!(ledger.verify(None).await.unwrap().faults, []);
}

#[tokio::test]
async fn a_plugin_that_is_asked_in_the_place_of_another_is_in_its_own_budget() {
    let ledger = memory().await;
    let of_q = [Budget { requests: Some(2), plugin: Some("q".to_owned()), ..budget(Period::Day) }];
    for fits in [true, true, false] {
        let (opening, mut row) = (opening("a"), None);
        reserve(&ledger, &opening, &mut row, "p", &of_q).await.unwrap();
        assert_eq!(reserve(&ledger, &opening, &mut row, "q", &of_q).await.is_ok(), fits);
        ledger.close(&opening, &mut row, &closing(Charge::Nothing)).await.unwrap();
    }
    assert_eq!(ledger.verify(None).await.unwrap().faults, []);
}

#[tokio::test]
async fn each_exchange_of_a_plugin_is_reserved_and_all_are_settled_by_one_count() {
    for (before, charge, spent) in [
        // Both are counted together; the one that broke off counts as its worst case; nobody knows of either.
        (Before::Answered, counted(30, 20), 50),
        (Before::Lost, counted(30, 20), 150 + 50),
        (Before::Answered, Charge::Unknown, 2 * 150),
    ] {
        let (ledger, opening, mut row) = (memory().await, opening("a"), None);
        let tokens = [Budget { tokens: Some(300), ..budget(Period::Day) }];
        reserve(&ledger, &opening, &mut row, "p", &tokens).await.unwrap();
        ledger.reserve(&opening, &mut row, before, &attempt("p"), &tokens).await.unwrap().unwrap();
        let refused = ledger.reserve(&opening, &mut row, Before::Answered, &attempt("p"), &tokens).await.unwrap();
        assert!(refused.unwrap_err().reason.contains("has 0 tokens left"), "{before:?}");
        ledger.close(&opening, &mut row, &closing(charge)).await.unwrap();
        let [row] = ledger.rows(&Filter::default()).await.unwrap().try_into().unwrap();
        assert_eq!(row.tokens, spent, "{before:?}");
        // The counter says the same.
        let left = Budget { tokens: Some(u64::try_from(spent).unwrap() + 149), ..budget(Period::Day) };
        let refused = ask(&ledger, "a", &[left], Charge::Nothing).await.unwrap_err();
        assert!(refused.contains("has 149 tokens left"), "{refused}");
        assert_eq!(ledger.verify(None).await.unwrap().faults, []);
    }
}

#[tokio::test]
async fn a_changed_or_missing_row_is_found() {
    for (change, fault) in [
        (
            "UPDATE requests SET server = 'x' WHERE id = 2",
            Fault::Changed { seq: 3, kind: "open".to_owned(), request: 2 },
        ),
        ("UPDATE requests SET cost = 0 WHERE id = 2", Fault::Changed { seq: 4, kind: "close".to_owned(), request: 2 }),
        ("UPDATE attempts SET input = 0 WHERE id = 1", Fault::Changed { seq: 2, kind: "close".to_owned(), request: 1 }),
        ("DELETE FROM requests WHERE id = 1", Fault::MissingRow { request: 1 }),
        ("DELETE FROM chain WHERE seq = 2", Fault::MissingLink { seq: 2 }),
        (
            "DELETE FROM chain WHERE seq > 4; DELETE FROM requests WHERE id = 3",
            Fault::NoSuchHead { head: String::new() },
        ),
        ("DELETE FROM chain WHERE request = 3", Fault::Unchained { request: 3 }),
    ] {
        let ledger = memory().await;
        for _ in 0..3 {
            ask(&ledger, "a", &[], counted(10, 5)).await.unwrap();
        }
        let whole = ledger.verify(None).await.unwrap();
        assert_eq!((whole.links, whole.requests, whole.faults), (6, 3, vec![]));
        ledger.lock().await.execute(sqlx::raw_sql(change)).await.unwrap();
        let found = ledger.verify(Some(&whole.head)).await.unwrap().faults;
        let is_it = |found: &Fault| match (found, &fault) {
            (Fault::NoSuchHead { .. }, Fault::NoSuchHead { .. }) => true,
            (found, fault) => found == fault,
        };
        assert!(found.iter().any(is_it), "{change}: {found:?}");
    }
}

#[tokio::test]
async fn old_rows_can_be_pruned_and_the_chain_stays_whole() {
    let ledger = memory().await;
    for _ in 0..3 {
        ask(&ledger, "a", &[], counted(10, 5)).await.unwrap();
    }
    let mut open = None;
    reserve(&ledger, &opening("a"), &mut open, "p", &[]).await.unwrap();
    assert_eq!(ledger.prune(2_000).await.unwrap(), 3);
    assert_eq!(ledger.rows(&Filter::default()).await.unwrap().len(), 1);
    ledger.close(&opening("a"), &mut open, &closing(Charge::Nothing)).await.unwrap();
    assert_eq!(ledger.verify(None).await.unwrap().faults, []);
    assert_eq!(ledger.prune(2_000).await.unwrap(), 1);
    assert_eq!(ledger.prune(2_000).await.unwrap(), 0);
}

#[tokio::test]
async fn a_row_whose_process_is_gone_is_closed_at_its_worst_case() {
    let ledger = memory().await;
    let opening = Opening { until: 1, ..opening("a") };
    let mut row = None;
    reserve(&ledger, &opening, &mut row, "p", &[]).await.unwrap();
    ledger.tidy(0).await.unwrap();
    let [interrupted] = ledger.rows(&Filter::default()).await.unwrap().try_into().unwrap();
    assert_eq!((interrupted.outcome.as_deref(), interrupted.tokens), (Some("interrupted"), 150));
    // It was only slow.
    ledger.close(&opening, &mut row, &closing(counted(1, 1))).await.unwrap();
    assert_eq!(ledger.verify(None).await.unwrap().faults, []);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_says_why() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("own").join("ledger.db");
    assert!(matches!(Ledger::open_existing(&path).await, Err(LedgerError::Missing { .. })));
    drop(Ledger::open(&path).await.unwrap());
    Ledger::open_existing(&path).await.unwrap().lock().await.execute("PRAGMA user_version = 7").await.unwrap();
    let newer = Ledger::open(&path).await.unwrap_err().to_string();
    assert!(newer.contains("version 7") && newer.contains("newer Understudy"), "{newer}");
    let path = place.path().join("own").join("other.db");
    std::fs::write(&path, "This is no database, and has never been one; it is a text.".repeat(100)).unwrap();
    let corrupt = Ledger::open(&path).await.unwrap_err().to_string();
    assert!(corrupt.contains("move it away"), "{corrupt}");
}

#[tokio::test]
async fn what_is_given_up_before_anybody_was_asked_is_no_request_of_a_budget() {
    let ledger = memory().await;
    let day = [Budget { requests: Some(1), ..budget(Period::Day) }];
    let call = [Budget { requests: Some(1), ..budget(Period::Call) }];
    for budgets in [&day, &call] {
        for outcome in [Outcome::Declined, Outcome::Cancelled, Outcome::Answered] {
            let opening = Opening { call: Some("c".to_owned()), ..opening("a") };
            let mut row = None;
            reserve(&ledger, &opening, &mut row, "p", budgets).await.unwrap_or_else(|e| panic!("{outcome:?}: {e:?}"));
            let is_asked = outcome == Outcome::Answered;
            let charge = if is_asked { counted(1, 1) } else { Charge::Withdrawn };
            let closing = Closing { outcome, tries: is_asked.into(), ..closing(charge) };
            ledger.close(&opening, &mut row, &closing).await.unwrap();
        }
        // Counted anew from the rows, it is the same.
        ledger.apply_all().await.unwrap();
        sqlx::query("DELETE FROM counters").execute(&mut *ledger.lock().await).await.unwrap();
        ledger.journal.hold().unwrap().unwrap().begin_anew().unwrap();
        assert!(
            reserve(&ledger, &Opening { call: Some("c".to_owned()), ..opening("a") }, &mut None, "p", budgets)
                .await
                .is_err()
        );
        sqlx::query("DELETE FROM requests").execute(&mut *ledger.lock().await).await.unwrap();
        sqlx::query("DELETE FROM counters").execute(&mut *ledger.lock().await).await.unwrap();
        ledger.journal.hold().unwrap().unwrap().begin_anew().unwrap();
    }
}

/// A folder of the user's alone, and a ledger's file in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("own").join("ledger.db");
    (place, path)
}

fn journal(path: &Path) -> PathBuf {
    path.with_file_name("ledger.db-steps")
}

#[tokio::test]
async fn a_step_is_in_the_ledger_when_its_process_is_gone() {
    let (_place, path) = place();
    let ledger = Ledger::open(&path).await.unwrap();
    reserve(&ledger, &opening("a"), &mut None, "p", &[]).await.unwrap();
    drop(ledger);
    // The next one was killed while it wrote.
    let mut file = std::fs::File::options().append(true).open(journal(&path)).unwrap();
    file.write_all(br#"{"key":7,"at":1,"server":"cut"#).unwrap();
    let ledger = Ledger::open(&path).await.unwrap();
    reserve(&ledger, &opening("b"), &mut None, "p", &[]).await.unwrap();
    let rows = Ledger::open_existing(&path).await.unwrap().rows(&Filter::default()).await.unwrap();
    let servers: Vec<_> = rows.iter().map(|row| (row.server.as_str(), row.tokens)).collect();
    assert_eq!(servers, [("a", 150), ("b", 150)]);
    assert_eq!(ledger.verify(None).await.unwrap().faults, []);
}

#[tokio::test]
async fn a_journal_that_lost_its_end_with_the_machines_power_is_begun_anew() {
    let (_place, path) = place();
    let ledger = Ledger::open(&path).await.unwrap();
    for _ in 0..3 {
        ask(&ledger, "a", &[], counted(1, 1)).await.unwrap();
    }
    ledger.apply_all().await.unwrap();
    drop(ledger);
    for len in [200, 10, 0] {
        let file = std::fs::File::options().write(true).open(journal(&path)).unwrap();
        file.set_len(len).unwrap();
        let ledger = Ledger::open(&path).await.unwrap();
        ask(&ledger, "b", &[], counted(1, 1)).await.unwrap();
        assert_eq!(ledger.verify(None).await.unwrap().faults, []);
    }
    let ledger = Ledger::open(&path).await.unwrap();
    assert_eq!(ledger.rows(&Filter::default()).await.unwrap().len(), 6);
    std::fs::write(journal(&path), "This is no journal, and has never been one; it is a text.").unwrap();
    let foreign = ledger.reserve(&opening("a"), &mut None, Before::Answered, &attempt("p"), &[]).await.unwrap_err();
    assert!(
        foreign.to_string().contains("ledger.db-steps") && foreign.to_string().contains("move it away"),
        "{foreign}"
    );
}

#[tokio::test]
async fn a_content_that_is_removed_is_in_no_file() {
    let (_place, path) = place();
    let ledger = Ledger::open(&path).await.unwrap();
    let opening = Opening { content: Some("a secret plan".to_owned()), ..opening("a") };
    reserve(&ledger, &opening, &mut None, "p", &[]).await.unwrap();
    let is_in_journal = || String::from_utf8(std::fs::read(journal(&path)).unwrap()).unwrap().contains("secret");
    assert!(is_in_journal());
    ledger.tidy(2_000).await.unwrap();
    assert!(!is_in_journal());
    let (_, content) = ledger.row(1).await.unwrap().unwrap();
    assert!(content.is_none());
}

#[tokio::test]
async fn a_large_journal_is_begun_anew_and_the_budgets_hold() {
    let (_place, path) = place();
    let (one, other) = (Ledger::open(&path).await.unwrap(), Ledger::open(&path).await.unwrap());
    let content = Some("x".repeat(3 << 20));
    let day = [Budget { requests: Some(6), ..budget(Period::Day) }];
    for n in 0..3 {
        for ledger in [&one, &other] {
            let opening = Opening { content: content.clone(), ..opening("a") };
            reserve(ledger, &opening, &mut None, "p", &day).await.unwrap_or_else(|e| panic!("{n}: {e:?}"));
        }
        one.apply_all().await.unwrap();
        assert!(std::fs::metadata(journal(&path)).unwrap().len() < 100);
    }
    for ledger in [&one, &other] {
        let refused = reserve(ledger, &opening("a"), &mut None, "p", &day).await.unwrap_err();
        assert!(refused.reason.contains("has 0 requests left"), "{}", refused.reason);
    }
    assert_eq!(other.rows(&Filter::default()).await.unwrap().len(), 6);
    assert_eq!(other.verify(None).await.unwrap().faults, []);
}

#[tokio::test]
async fn a_counter_that_is_loaded_counts_no_line_twice() {
    let (_place, path) = place();
    let (one, other) = (Ledger::open(&path).await.unwrap(), Ledger::open(&path).await.unwrap());
    let both = [Period::Day, Period::Month].map(|per| Budget { requests: Some(4), ..budget(per) });
    let [day, month] = &both;
    ask(&one, "a", std::slice::from_ref(day), counted(1, 1)).await.unwrap();
    ask(&other, "a", &[], counted(1, 1)).await.unwrap();
    // The first one hasn't read the other's lines yet, and the database has them.
    let scopes = Scopes { server: "a".to_owned(), plugin: "p".to_owned(), call: None };
    one.load(&[(month, CounterKey::of(month, &scopes))], &scopes).await.unwrap();
    for fits in [true, true, false] {
        assert_eq!(ask(&one, "a", &both, counted(1, 1)).await.is_ok(), fits);
    }
}

/// Two processes reserve and close in any order. The counters of each are those of the database, which are those of the rows.
#[tokio::test]
async fn counters_in_memory_in_the_database_and_of_the_rows_are_the_same() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (_place, path) = place();
        let ledgers = [Ledger::open(&path).await.unwrap(), Ledger::open(&path).await.unwrap()];
        let budgets = [
            Budget { tokens: Some(1 << 40), ..budget(Period::Day) },
            Budget { tokens: Some(1 << 40), server: Some("a".to_owned()), ..budget(Period::Month) },
            Budget { requests: Some(1 << 40), plugin: Some("q".to_owned()), ..budget(Period::Day) },
            Budget { requests: Some(1 << 40), ..budget(Period::Call) },
        ];
        let mut open: Vec<(Opening, Option<OpenRow>)> = Vec::new();
        for _ in 0..60 {
            let ledger = &ledgers[random.usize(..2)];
            // A process may have budgets that another one hasn't.
            let budgets = &budgets[random.usize(..4)..];
            let plugin = ["p", "q"][random.usize(..2)];
            let charge = [Charge::Nothing, Charge::Unknown, counted(random.u64(..100), 5)][random.usize(..3)];
            match random.u8(..8) {
                0..3 => {
                    let server = ["a", "b"][random.usize(..2)];
                    let call = random.bool().then(|| random.u8(..3).to_string());
                    let (opening, mut row) = (Opening { call, ..opening(server) }, None);
                    reserve(ledger, &opening, &mut row, plugin, budgets).await.unwrap();
                    open.push((opening, row));
                }
                3 | 4 if !open.is_empty() => {
                    let at = random.usize(..open.len());
                    let (opening, row) = &mut open[at];
                    let before = [Before::Answered, Before::Lost, Before::Over(charge)][random.usize(..3)];
                    ledger.reserve(opening, row, before, &attempt(plugin), budgets).await.unwrap().unwrap();
                }
                5 | 6 if !open.is_empty() => {
                    let (opening, mut row) = open.swap_remove(random.usize(..open.len()));
                    ledger.close(&opening, &mut row, &closing(charge)).await.unwrap();
                }
                7 => ledger.apply_all().await.unwrap(),
                _ => {}
            }
        }
        let scopes = Scopes { server: "a".to_owned(), plugin: "q".to_owned(), call: Some("1".to_owned()) };
        let mut said = Vec::new();
        for ledger in &ledgers {
            // Nothing fits, so nothing is changed; and all counters are loaded and up to date.
            let none = budgets.clone().map(|budget| Budget { tokens: Some(0), ..budget });
            for budget in &none {
                let opening = Opening { call: scopes.call.clone(), ..opening("a") };
                let _ = reserve(ledger, &opening, &mut None, "q", std::slice::from_ref(budget)).await.unwrap_err();
            }
            let locked = ledger.journal.try_lock().unwrap().unwrap();
            let now = jiff::Timestamp::now().as_millisecond();
            let amount = |budget| locked.counters().get(&CounterKey::of(budget, &scopes), now).unwrap().amount;
            said.push(budgets.iter().map(amount).collect::<Vec<_>>());
        }
        let [one, other] = &ledgers;
        for is_from_rows in [false, true] {
            let mut connection = one.up_to_date().await.unwrap();
            if is_from_rows {
                sqlx::query("DELETE FROM counters").execute(&mut *connection).await.unwrap();
            }
            let mut amounts = Vec::new();
            for budget in &budgets {
                let window = budget::window(budget.per, &jiff::ZonedDateTime::now()).unwrap();
                amounts.push(budget::spent(&mut connection, budget, &scopes, window).await.unwrap());
            }
            said.push(amounts);
        }
        assert!(said.iter().all(|amounts| *amounts == said[0]), "{seed}: {said:?}");
        assert_eq!(other.verify(None).await.unwrap().faults, [], "{seed}");
    }
}
