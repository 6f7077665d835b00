//! What servers may spend under the present config, in words.

use anyhow::Result;

use super::{Report, fine, notable};
use understudy::config::{ApprovePolicy, ApproveRule, Budget, Config, Mode, Sampling};
use understudy::ledger::{Ledger, path_in};
use understudy::runtime::state_folder;

/// Says what each server may spend, and whether it is recorded.
pub(super) async fn show(config: &Config, rules: &[(String, Sampling)], report: &mut Report) -> Result<()> {
    super::out("spending")?;
    for (server, rule) in rules.iter().filter(|(_, rule)| rule.mode != Mode::Off) {
        let (tokens, requests) = (rule.most_tokens(), rule.requests_per_call);
        let budgets: Vec<String> =
            config.budgets.iter().filter(|budget| is_for(budget, server)).map(in_words).collect();
        let rate = rule.requests_per_minute.map(|n| format!(", {n} requests a minute")).unwrap_or_default();
        let approval = approval(&rule.approve);
        let each =
            format!("`{server}`: {tokens} tokens an answer, {requests} requests in one tool call{rate}{approval}");
        match budgets.as_slice() {
            [] => notable(&format!("{each}; no budget bounds it over calls (`budgets`)"))?,
            budgets => fine(&format!("{each}; {}", budgets.join("; ")))?,
        }
    }
    let Some(ledger) = &config.ledger else {
        return notable("nothing is recorded: `\"ledger\": true` writes down who asked, and what it cost");
    };
    let path = ledger.path.clone().or_else(|| Some(path_in(&state_folder()?)));
    let Some(path) = path else {
        return report.trouble("there is no state folder for the ledger: set HOME, or `ledger.path`");
    };
    if !path.exists() {
        return fine(&format!("the ledger will be `{}`", path.display()));
    }
    match Ledger::open(&path).await {
        Ok(_) => fine(&format!("the ledger is `{}`", path.display())),
        Err(error) => report.trouble(&error.to_string()),
    }
}

/// `, asked about once a tool, refused in the background`
fn approval(rule: &ApproveRule) -> String {
    let word = |policy| match policy {
        ApprovePolicy::Never => "not asked about",
        ApprovePolicy::Ask => "asked about",
        ApprovePolicy::Once => "asked about once a tool",
        ApprovePolicy::Remember => "asked about until you say otherwise",
        ApprovePolicy::Refuse => "refused",
    };
    if *rule == ApproveRule::default() {
        return String::new();
    }
    let above = rule.above.map(|above| format!(" above {above}")).unwrap_or_default();
    let answers = if rule.answers { ", answers shown" } else { "" };
    let (requests, background) = (word(rule.requests), word(rule.background));
    if rule.requests == rule.background {
        return format!(", each {requests}{above}{answers}");
    }
    format!(", each {requests}{above}, {background} outside of tool calls{answers}")
}

fn is_for(budget: &Budget, server: &str) -> bool {
    budget.server.as_ref().is_none_or(|own| own == server)
}

/// `$5.00 a day for all servers together`
fn in_words(budget: &Budget) -> String {
    let Budget { money, tokens, requests, server, plugin, per, .. } = budget;
    let parts = [
        money.map(|money| money.to_string()),
        tokens.map(|tokens| format!("{tokens} tokens")),
        requests.map(|requests| format!("{requests} requests")),
    ];
    let limits: Vec<String> = parts.into_iter().flatten().collect();
    let whose = if server.is_some() { "" } else { " for all servers together" };
    let by = plugin.as_ref().map(|plugin| format!(" by `{plugin}`")).unwrap_or_default();
    format!("{} {}{by}{whose}", limits.join(" and "), per.each())
}
