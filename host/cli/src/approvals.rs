//! `understudy approvals`: sampling requests that wait for the user, and what the user said to remember.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::args::GlobalArgs;
use super::ledger::open;
use super::output::{Outcome, note, out};
use understudy::ledger::{Ledger, Remembered, WaitingApproval};
use understudy::text::quoted;

/// The process that waits looks for a decision four times a second.
const TAKEN: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);

/// Arguments of `approvals`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ApprovalsArgs {
    #[command(subcommand)]
    verb: Option<ApprovalsVerb>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ApprovalsVerb {
    /// Show what waits, with its prompt or answer
    Show {
        /// Its id, as `understudy approvals` lists it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Allow what waits
    Allow {
        /// Its id, as `understudy approvals` lists it
        #[arg(value_name = "ID")]
        id: String,
        /// Allow later requests of this server in the course of the same tool, too; only with `"approve": "remember"`
        #[arg(long)]
        remember: bool,
    },
    /// Refuse what waits
    Refuse {
        /// Its id, as `understudy approvals` lists it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Take back what is remembered of a server: from now on the user is asked again
    Forget {
        /// The server
        #[arg(value_name = "SERVER")]
        server: String,
        /// Only what is remembered of this tool; empty for what is remembered of no tool
        #[arg(long, value_name = "TOOL")]
        tool: Option<String>,
    },
}

pub(super) async fn run(global: &GlobalArgs, args: ApprovalsArgs) -> Result<Outcome> {
    let ledger = open(global).await?;
    match args.verb {
        None => list(&ledger, args.json).await,
        Some(ApprovalsVerb::Show { id }) => {
            let waiting = waiting(&ledger).await?;
            let Some(found) = waiting.iter().find(|waiting| waiting.id == id) else { bail!("{}", unknown(&id)) };
            out(&found.message)?;
            Ok(Outcome::Done)
        }
        Some(ApprovalsVerb::Allow { id, remember }) => {
            if remember && waiting(&ledger).await?.iter().any(|waiting| waiting.id == id && !waiting.can_remember) {
                bail!(
                    "the decision on `{id}` can't be remembered: that needs `\"approve\": \"remember\"` in the config, and is not for answers or guards"
                );
            }
            decide(&ledger, &id, true, remember).await
        }
        Some(ApprovalsVerb::Refuse { id }) => decide(&ledger, &id, false, false).await,
        Some(ApprovalsVerb::Forget { server, tool }) => {
            let forgotten = ledger.forget(&server, tool.as_deref()).await?;
            if forgotten == 0 {
                let tool = tool.map(|tool| format!(" in the course of its tool `{}`", quoted(&tool, 100)));
                let of = format!("`{}`{}", quoted(&server, 100), tool.unwrap_or_default());
                bail!("nothing is remembered of {of}; `understudy approvals` lists what is");
            }
            note(&format!("{forgotten} taken back"));
            Ok(Outcome::Done)
        }
    }
}

async fn waiting(ledger: &Ledger) -> Result<Vec<WaitingApproval>> {
    Ok(ledger.waiting(Timestamp::now().as_millisecond()).await?)
}

async fn decide(ledger: &Ledger, id: &str, allow: bool, remember: bool) -> Result<Outcome> {
    if !ledger.decide(id, allow, remember, Timestamp::now().as_millisecond()).await? {
        bail!("{}", unknown(id));
    }
    let until = Instant::now() + TAKEN;
    while !ledger.has_taken(id).await? {
        if Instant::now() > until {
            let what = if allow { "allowed" } else { "refused" };
            bail!(
                "`{}` is {what}, but nobody has taken that up within {TAKEN:?}: the process that waited has ended, or hangs",
                quoted(id, 40)
            );
        }
        tokio::time::sleep(LOOK).await;
    }
    note(if allow { "allowed" } else { "refused" });
    Ok(Outcome::Done)
}

fn unknown(id: &str) -> String {
    let id = quoted(id, 40);
    format!(
        "nothing waits under `{id}`: it was decided, or nobody waits for it any more; `understudy approvals` lists what does"
    )
}

async fn list(ledger: &Ledger, json: bool) -> Result<Outcome> {
    let (waiting, remembered) = (waiting(ledger).await?, ledger.remembered().await?);
    if json {
        out(&format!("{:#}", json!({ "waiting": waiting, "remembered": remembered })))?;
        return Ok(Outcome::Done);
    }
    for WaitingApproval { id, until, server, tool, what, model, most_cost, .. } in &waiting {
        let tool = tool.as_ref().map(|tool| format!(" in `{}`", quoted(tool, 60))).unwrap_or_default();
        let cost = most_cost.as_ref().map(|cost| format!(", {cost} at most")).unwrap_or_default();
        out(&format!("{id}  {what} of `{}`{tool}  {}{cost}  until {until}", quoted(server, 60), quoted(model, 60)))?;
    }
    for Remembered { server, is_in_call, tool, since } in &remembered {
        let whence = match tool {
            Some(tool) => format!("in `{}`", quoted(tool, 60)),
            None if *is_in_call => "in calls that can't be told apart".to_owned(),
            None => "outside of tool calls".to_owned(),
        };
        out(&format!("remembered  `{}` {whence}  since {since}", quoted(server, 60)))?;
    }
    if waiting.is_empty() && remembered.is_empty() {
        note("nothing waits, and nothing is remembered");
    }
    Ok(Outcome::Done)
}
