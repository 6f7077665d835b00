//! The budgets' periods and counters.
//!
//! A counter holds what the requests of a scope (all, a server, a plugin, both) have spent and reserved in a period. The database makes it from the
//! rows when a budget first needs it. From then on it is changed with every row, whether the process of the row has that budget or not. A tool call
//! has no counter there: its rows are few, and are summed.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Unit, ZonedDateTime, ZonedDateTimeRound};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};

use super::counters::Counter;
use super::entry::BudgetRefusal;
use crate::config::{Budget, Period};
use crate::money::NanoDollars;

/// What is taken of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "(i64, i64, i64)", into = "(i64, i64, i64)")]
pub(super) struct Amount {
    pub(super) requests: i64,
    pub(super) tokens: i64,
    pub(super) cost: NanoDollars,
}

impl From<(i64, i64, i64)> for Amount {
    fn from((requests, tokens, cost): (i64, i64, i64)) -> Self {
        Self { requests, tokens, cost: NanoDollars(cost) }
    }
}

impl From<Amount> for (i64, i64, i64) {
    fn from(amount: Amount) -> Self {
        (amount.requests, amount.tokens, amount.cost.0)
    }
}

impl Amount {
    /// The sum.
    pub(super) const fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(more.requests),
            tokens: self.tokens.saturating_add(more.tokens),
            cost: NanoDollars(self.cost.0.saturating_add(more.cost.0)),
        }
    }

    /// What changes when `before` becomes this.
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            tokens: self.tokens.saturating_sub(before.tokens),
            cost: NanoDollars(self.cost.0.saturating_sub(before.cost.0)),
        }
    }
}

/// What an attempt takes. A request is one request for its server, however many plugins are asked, and one for each of these plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Taken {
    /// Of budgets that are for any plugin.
    pub(super) of_any: Amount,
    /// Of budgets that are for this plugin.
    pub(super) of_plugin: Amount,
}

impl Taken {
    fn of(&self, budget: &Budget) -> Amount {
        if budget.plugin.is_some() { self.of_plugin } else { self.of_any }
    }
}

/// The scopes that an attempt falls under.
#[derive(Debug, Clone)]
pub(super) struct Scopes {
    pub(super) server: String,
    pub(super) plugin: String,
    pub(super) call: Option<String>,
}

/// The name of the counter of a server, a plugin, both or all.
pub(super) fn scope(server: Option<&str>, plugin: Option<&str>) -> String {
    json!({ "server": server, "plugin": plugin }).to_string()
}

/// The period of a budget that a time is in, in milliseconds since 1970: from its beginning to before its end. For a call that is all time.
pub(super) fn window(period: Period, now: &ZonedDateTime) -> Result<(i64, i64), jiff::Error> {
    let (begins, ends) = match period {
        Period::Call => return Ok((0, i64::MAX)),
        Period::Hour => {
            let begins = now.round(ZonedDateTimeRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Trunc))?;
            let ends = begins.checked_add(1.hour())?;
            (begins, ends)
        }
        Period::Day => {
            let begins = now.start_of_day()?;
            let ends = begins.checked_add(1.day())?.start_of_day()?;
            (begins, ends)
        }
        Period::Month => {
            let begins = now.first_of_month()?.start_of_day()?;
            let ends = begins.checked_add(1.month())?.start_of_day()?;
            (begins, ends)
        }
    };
    Ok((begins.timestamp().as_millisecond(), ends.timestamp().as_millisecond()))
}

/// Whether a budget is for requests of this server and plugin, and of a call if it is one of calls.
pub(super) fn applies(budget: &Budget, scopes: &Scopes) -> bool {
    let is = |wanted: &Option<String>, own: &str| wanted.as_ref().is_none_or(|wanted| wanted == own);
    let has_call = budget.per != Period::Call || scopes.call.is_some();
    has_call && is(&budget.server, &scopes.server) && is(&budget.plugin, &scopes.plugin)
}

/// Whether the budget's counter has room for this much more; else why not.
pub(super) fn check(budget: &Budget, counter: &Counter, taken: &Taken) -> Result<(), BudgetRefusal> {
    let (more, spent) = (taken.of(budget), counter.amount);
    let anew = Timestamp::from_millisecond(counter.ends).ok().filter(|_| budget.per != Period::Call);
    let refuse = |of, limit: String, left: String, needed: String| {
        let whose = match (&budget.server, &budget.plugin) {
            (Some(server), Some(plugin)) => format!(" of the server `{server}` for the plugin `{plugin}`"),
            (Some(server), None) => format!(" of the server `{server}`"),
            (None, Some(plugin)) => format!(" for the plugin `{plugin}`"),
            (None, None) => String::new(),
        };
        let then = anew.map_or_else(
            || "it is that of one tool call".to_owned(),
            |anew| {
                format!(
                    "it begins anew at {}",
                    anew.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z")
                )
            },
        );
        let (key, each) = (&budget.key, budget.per.each());
        let reason = format!(
            "the budget{whose} of {limit} {each} (`{key}`) has {left} left, and this request may take {needed}; {then}"
        );
        let (budget, anew) = (key.clone(), anew.map(|anew| anew.to_string()));
        Err(BudgetRefusal { budget, reason, of, limit, left, needed, anew })
    };
    let counts = [
        ("requests", "request", budget.requests, spent.requests, more.requests),
        ("tokens", "token", budget.tokens, spent.tokens, more.tokens),
    ];
    for (of, one, limit, spent, more) in counts {
        let Some(limit) = limit else { continue };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let left = limit.saturating_sub(spent).max(0);
        if more > left {
            let words = |n: i64| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
            return refuse(of, words(limit), words(left), words(more));
        }
    }
    if let Some(limit) = budget.money {
        let left = limit.saturating_sub(spent.cost);
        if more.cost > left {
            return refuse("money", limit.to_string(), left.to_string(), more.cost.to_string());
        }
    }
    Ok(())
}

/// What a budget's requests have spent and reserved in its period.
pub(super) async fn spent(
    connection: &mut SqliteConnection,
    budget: &Budget,
    scopes: &Scopes,
    window: (i64, i64),
) -> sqlx::Result<Amount> {
    if budget.per == Period::Call {
        return sum(connection, budget, scopes.call.as_deref(), window).await;
    }
    let scope = scope(budget.server.as_deref(), budget.plugin.as_deref());
    let (begins, ends) = window;
    let read = "SELECT requests, tokens, cost FROM counters WHERE scope = ? AND begins = ? AND ends = ?";
    let read = sqlx::query_as(read).bind(&scope).bind(begins).bind(ends);
    if let Some((requests, tokens, cost)) = read.fetch_optional(&mut *connection).await? {
        return Ok(Amount { requests, tokens, cost: NanoDollars(cost) });
    }
    let all = sum(connection, budget, None, window).await?;
    let Amount { requests, tokens, cost } = all;
    let add =
        sqlx::query("INSERT INTO counters (scope, begins, ends, requests, tokens, cost) VALUES (?, ?, ?, ?, ?, ?)");
    add.bind(&scope).bind(begins).bind(ends).bind(requests).bind(tokens).bind(cost.0).execute(connection).await?;
    Ok(all)
}

/// The same from the rows: those of a call, if one is given.
async fn sum(
    connection: &mut SqliteConnection,
    budget: &Budget,
    call: Option<&str>,
    (begins, ends): (i64, i64),
) -> sqlx::Result<Amount> {
    // A sum that doesn't fit is an error of SQLite; as many as can be counted will do.
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT count(DISTINCT a.request), CAST(min(total(a.tokens), 9e18) AS INTEGER), CAST(min(total(a.cost), 9e18) AS INTEGER)
         FROM attempts a JOIN requests r ON r.id = a.request
         WHERE NOT (r.closed IS NOT NULL AND r.outcome IN ('declined', 'cancelled') AND r.tries = 0 AND a.tokens = 0) AND a.opened >= ",
    );
    query.push_bind(begins).push(" AND a.opened < ").push_bind(ends);
    for (column, value) in
        [("r.server", budget.server.as_deref()), ("a.plugin", budget.plugin.as_deref()), ("r.call", call)]
    {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value.to_owned());
        }
    }
    let (requests, tokens, cost) = query.build_query_as().fetch_one(connection).await?;
    Ok(Amount { requests, tokens, cost: NanoDollars(cost) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(at: &str) -> [i64; 3] {
        let now: ZonedDateTime = at.parse().unwrap();
        [Period::Hour, Period::Day, Period::Month].map(|period| {
            let (begins, ends) = window(period, &now).unwrap();
            let at = now.timestamp().as_millisecond();
            assert!(begins <= at && at < ends, "{period:?} {at}");
            (ends - begins) / 60_000
        })
    }

    #[test]
    fn a_period_begins_by_the_clock_of_the_zone() {
        let now: ZonedDateTime = "2026-02-28T23:30:00+05:45[Asia/Kathmandu]".parse().unwrap();
        let begins = |period| Timestamp::from_millisecond(window(period, &now).unwrap().0).unwrap().to_string();
        assert_eq!(begins(Period::Hour), "2026-02-28T17:15:00Z");
        assert_eq!(begins(Period::Day), "2026-02-27T18:15:00Z");
        assert_eq!(begins(Period::Month), "2026-01-31T18:15:00Z");
        assert_eq!(window(Period::Call, &now).unwrap(), (0, i64::MAX));
    }

    #[test]
    fn days_and_months_with_a_change_of_the_clock_are_whole() {
        assert_eq!(lengths("2026-03-29T01:59:59+01:00[Europe/Berlin]"), [60, 23 * 60, (31 * 24 - 1) * 60]);
        assert_eq!(lengths("2026-10-25T02:30:00+01:00[Europe/Berlin]"), [60, 25 * 60, (31 * 24 + 1) * 60]);
        assert_eq!(lengths("2028-02-29T12:00:00+00:00[UTC]"), [60, 24 * 60, 29 * 24 * 60]);
        // There the clock changes at midnight, on the first of the month.
        assert_eq!(lengths("2018-11-04T12:00:00-02:00[America/Sao_Paulo]")[1], 23 * 60);
    }
}
