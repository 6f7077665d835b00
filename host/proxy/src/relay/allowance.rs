//! How much a server may still ask in the course of each call of the client's (`sampling.requestsPerCall`, `sampling.toolRounds`), answered by the client or a plugin.
//!
//! A request counts for the call in whose course it is asked, where the transport tells; else for the oldest call that goes on and has some left. So
//! all calls together never get more than each of them could. Outside of any call a server has one call's worth at once, and one an hour.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mcp::method;

use understudy::admission::rate::TokenBucket;
use understudy::config::Sampling;

/// The requests of a client's in whose course a server may ask. (Outside of these it asks on its own account.)
const CALLS: [&str; 4] = [method::TOOLS_CALL, method::PROMPTS_GET, method::RESOURCES_READ, method::COMPLETION_COMPLETE];

/// So many calls that go on are known; what is asked in the course of others is outside of any call.
const MOST_CALLS: usize = 4096;

/// In this time a server may ask one call's worth outside of any.
const HOUR: Duration = Duration::from_hours(1);

/// What a server may ask in the course of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallLimits {
    requests: u32,
    rounds: u32,
}

impl CallLimits {
    /// What the rule allows.
    pub(super) fn of(rule: &Sampling) -> Self {
        Self { requests: rule.requests_per_call, rounds: rule.tool_rounds }
    }

    fn outside(self, breach: Breach) -> String {
        let (most, what, key) = self.in_words(breach);
        format!(
            "this server has asked for {most} {what} outside of any call of a tool, and may ask for as many an hour (`sampling.{key}`)"
        )
    }

    fn within(self, breach: Breach) -> String {
        let (most, what, key) = self.in_words(breach);
        format!(
            "this server has asked for {most} {what} in the course of one call, and gets no more (`sampling.{key}`)"
        )
    }

    fn in_words(self, breach: Breach) -> (u32, &'static str, &'static str) {
        match breach {
            Breach::Requests => (self.requests, "completions", "requestsPerCall"),
            Breach::Rounds => (self.rounds, "completions with tools", "toolRounds"),
        }
    }
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breach {
    Requests,
    Rounds,
}

/// The name of a call, from a random number.
pub(super) fn call_id(number: u64) -> String {
    format!("{number:016x}")
}

/// What has been asked in the course of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Spent {
    /// All of it.
    #[serde(default)]
    requests: u32,
    /// Those that carry tools.
    #[serde(default)]
    rounds: u32,
    /// Whether it has been said that there is no more.
    #[serde(default)]
    told: bool,
    /// The call's own name, over all its rounds; 0 where it has none.
    #[serde(default)]
    call: u64,
}

impl Spent {
    /// That of a call that begins now.
    pub(super) fn of_new_call() -> Self {
        Self { call: fastrand::u64(1..), ..Self::default() }
    }

    /// The call's own name.
    pub(super) fn call_id(&self) -> String {
        call_id(self.call)
    }

    fn breach(&self, most: CallLimits, tools: bool) -> Option<Breach> {
        match () {
            () if self.requests >= most.requests => Some(Breach::Requests),
            () if tools && self.rounds >= most.rounds => Some(Breach::Rounds),
            () => None,
        }
    }

    /// One more; or why not, which is logged once for a call of this server.
    pub(super) fn charge(&mut self, server: &str, most: CallLimits, tools: bool) -> Result<(), String> {
        let Some(breach) = self.breach(most, tools) else {
            self.requests += 1;
            self.rounds += u32::from(tools);
            return Ok(());
        };
        let reason = most.within(breach);
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(server, "{reason}: it is refused (said once for a call)");
        }
        Err(reason)
    }
}

/// The allowance of one session.
#[derive(Debug)]
pub(super) struct Allowance {
    server: String,
    most: CallLimits,
    state: Mutex<AllowanceState>,
}

#[derive(Debug)]
struct AllowanceState {
    /// By the client's ids, the oldest first.
    calls: VecDeque<(Vec<u8>, Spent)>,
    requests: TokenBucket,
    rounds: TokenBucket,
    /// Whether it has been said that there is no more outside of calls.
    told: bool,
}

impl Allowance {
    pub(super) fn new(server: &str, rule: &Sampling) -> Self {
        let (most, now) = (CallLimits::of(rule), Instant::now());
        let bucket = |most| TokenBucket::new(most, HOUR, now);
        let state = AllowanceState {
            calls: VecDeque::new(),
            requests: bucket(most.requests),
            rounds: bucket(most.rounds),
            told: false,
        };
        Self { server: server.to_owned(), most, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, AllowanceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request of the client's begins.
    pub(super) fn begins(&self, method: Option<&str>, id: &[u8]) {
        if !method.is_some_and(|method| CALLS.contains(&method)) {
            return;
        }
        let mut state = self.lock();
        // An id that is in use gives nothing anew.
        if state.calls.len() < MOST_CALLS && !state.calls.iter().any(|(call, _)| call == id) {
            state.calls.push_back((id.to_vec(), Spent::default()));
        }
    }

    /// A request of the client's has ended.
    pub(super) fn ends(&self, id: &[u8]) {
        self.lock().calls.retain(|(call, _)| call != id);
    }

    /// One more request of the server's; `related_request_id` is the call in whose course it is asked, where that is known.
    ///
    /// # Errors
    /// What the server is to be told.
    pub(super) fn charge(&self, related_request_id: Option<&[u8]>, tools: bool) -> Result<(), String> {
        let mut state = self.lock();
        let most = self.most;
        let its = related_request_id
            .and_then(|related_request_id| state.calls.iter().position(|(call, _)| call == related_request_id));
        let with_some_left = || state.calls.iter().position(|(_, spent)| spent.breach(most, tools).is_none());
        let at = match related_request_id {
            Some(_) => its,
            None => with_some_left().or(if state.calls.is_empty() { None } else { Some(0) }),
        };
        match at.and_then(|at| state.calls.get_mut(at)) {
            Some((_, spent)) => spent.charge(&self.server, most, tools),
            None => state.outside(&self.server, most, tools),
        }
    }
}

impl AllowanceState {
    fn outside(&mut self, server: &str, most: CallLimits, tools: bool) -> Result<(), String> {
        let now = Instant::now();
        let takes = |rate: &mut TokenBucket| rate.take(now, Duration::ZERO).is_ok();
        let breach = if tools && !takes(&mut self.rounds) {
            Breach::Rounds
        } else if takes(&mut self.requests) {
            self.told = false;
            return Ok(());
        } else {
            Breach::Requests
        };
        let reason = most.outside(breach);
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(server, "{reason}: it is refused (said once)");
        }
        Err(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(requests_per_call: u32, tool_rounds: u32) -> Allowance {
        Allowance::new("s", &Sampling { requests_per_call, tool_rounds, ..Sampling::by(Vec::new()) })
    }

    fn granted(allowance: &Allowance, related_request_id: Option<&[u8]>, tools: bool) -> usize {
        (0..50).filter(|_| allowance.charge(related_request_id, tools).is_ok()).count()
    }

    #[test]
    fn each_call_has_its_own_and_all_together_never_more() {
        let allowance = allowance(5, 3);
        for id in [b"1", b"2", b"3", b"1"] {
            allowance.begins(Some("tools/call"), id);
        }
        assert_eq!(granted(&allowance, Some(b"2"), false), 5);
        // Nobody knows whose these are: what the two others have.
        assert_eq!(granted(&allowance, None, true), 6);
        assert_eq!(granted(&allowance, None, false), 4);
        let error = allowance.charge(None, false).unwrap_err();
        assert!(
            error.contains("5 completions in the course of one call") && error.contains("`sampling.requestsPerCall`"),
            "{error}"
        );
        // A call that isn't known any more, or never was one, gives nothing of the others'.
        allowance.begins(Some("tools/list"), b"7");
        allowance.ends(b"1");
        assert_eq!(granted(&allowance, Some(b"1"), false), 5);
        assert_eq!(granted(&allowance, Some(b"7"), false), 0);
        assert!(allowance.charge(Some(b"7"), false).unwrap_err().contains("outside of any call"));
        allowance.begins(Some("tools/call"), b"4");
        assert_eq!(granted(&allowance, None, false), 5);
    }

    #[test]
    fn rounds_of_tools_are_counted_by_themselves() {
        let allowance = allowance(5, 0);
        allowance.begins(Some("prompts/get"), b"1");
        let error = allowance.charge(Some(b"1"), true).unwrap_err();
        assert!(error.contains("0 completions with tools") && error.contains("`sampling.toolRounds`"), "{error}");
        assert_eq!(granted(&allowance, Some(b"1"), false), 5);
        allowance.ends(b"1");
        assert!(allowance.charge(None, true).unwrap_err().contains("`sampling.toolRounds`"));
        assert_eq!(granted(&allowance, None, false), 5);
    }
}
