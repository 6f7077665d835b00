//! The counters of this process: what its budgets' requests have spent and reserved.

use std::collections::HashMap;

use super::budget::{Amount, Scopes};
use super::step::Step;
use crate::config::{Budget, Period};

/// As many counters of tool calls are kept. One that is needed again is loaded again.
const CALLS: usize = 256;

/// What a counter is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CounterKey {
    pub(super) server: Option<String>,
    pub(super) plugin: Option<String>,
    pub(super) call: Option<String>,
    pub(super) per: Period,
}

impl CounterKey {
    /// That of a budget, for an attempt with these scopes.
    pub(super) fn of(budget: &Budget, scopes: &Scopes) -> Self {
        let call = scopes.call.clone().filter(|_| budget.per == Period::Call);
        Self { server: budget.server.clone(), plugin: budget.plugin.clone(), call, per: budget.per }
    }

    /// Whether it counts what is for this server, plugin and call.
    fn includes(&self, server: &str, plugin: &str, call: Option<&str>) -> bool {
        let is = |wanted: &Option<String>, own: Option<&str>| wanted.is_none() || wanted.as_deref() == own;
        is(&self.server, Some(server)) && is(&self.plugin, Some(plugin)) && is(&self.call, call)
    }
}

/// What was spent and reserved in a period.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counter {
    /// When the period begins and ends, in milliseconds since 1970.
    pub(super) begins: i64,
    pub(super) ends: i64,
    pub(super) amount: Amount,
}

#[derive(Debug, Default)]
pub(super) struct Counters(HashMap<CounterKey, (Counter, u64)>);

impl Counters {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The counter of the period with this time, in milliseconds since 1970; `None` if it isn't loaded.
    pub(super) fn get(&self, key: &CounterKey, at: i64) -> Option<&Counter> {
        self.0.get(key).map(|(counter, _)| counter).filter(|counter| counter.begins <= at && at < counter.ends)
    }

    /// Takes up a counter that knows of the journal's lines up to an offset.
    pub(super) fn load(&mut self, key: CounterKey, counter: Counter, offset: u64) {
        if key.call.is_some() && self.0.len() >= CALLS {
            self.0.retain(|key, _| key.call.is_none());
        }
        self.0.insert(key, (counter, offset));
    }

    /// Counts a step whose line ends at an offset, wherever it isn't counted yet.
    pub(super) fn count(&mut self, step: &Step, end: u64) {
        for (key, (counter, up_to)) in &mut self.0 {
            if *up_to >= end {
                continue;
            }
            *up_to = end;
            for count in step.counts() {
                let is_in_period = counter.begins <= count.at && count.at < counter.ends;
                if is_in_period && key.includes(&step.server, count.plugin, step.call.as_deref()) {
                    let taken = if key.plugin.is_some() { count.taken.of_plugin } else { count.taken.of_any };
                    counter.amount = counter.amount.plus(taken);
                }
            }
        }
    }
}
