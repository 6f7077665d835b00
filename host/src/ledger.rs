//! The ledger: what was asked, by whom, and what it cost; and the budgets that are kept with it.
//!
//! One row for each sampling request, and one for each time that a provider was asked for it. Before a provider is asked, the worst case is
//! reserved against every budget that the request falls under; afterwards it is settled by what the provider counted. All processes of a user
//! share one journal and one `SQLite` database. Each step is one line of the journal, which a process appends while nobody else can: budgets are
//! never overspent, and a process that ends at any moment leaves a row that counts as its worst case. The database gets the lines a second later,
//! or when it is read.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `record` | one request on its way through the ledger |
//! | `entry` | what is written of a request |
//! | `worst_case` | the most tokens that a request can hold |
//! | `reserve` | the steps of a request: reserve, close |
//! | `step` | what a step changes |
//! | `journal` | the file to which all processes append their steps |
//! | `counters` | what this process's budgets have spent, in memory |
//! | `budget` | the budgets' periods, and what they have left |
//! | `store` | the database: its schema, opening it, transactions |
//! | `apply` | writing the journal's steps into the database |
//! | `chain` | the hashes that make a changed row evident |
//! | `waiting` | waiting for the user's decision on a request |
//! | `approvals` | requests that wait for the user, and what the user said to remember |
//! | `query` | reading rows and sums; pruning |
//! | `absent` | the substitute for the file without the feature `ledger` |

#[cfg(not(feature = "ledger"))]
mod absent;
#[cfg(feature = "ledger")]
mod apply;
#[cfg(feature = "ledger")]
mod approvals;
#[cfg(feature = "ledger")]
mod budget;
#[cfg(feature = "ledger")]
mod chain;
#[cfg(feature = "ledger")]
mod counters;
mod entry;
#[cfg(feature = "ledger")]
mod journal;
#[cfg(feature = "ledger")]
mod query;
mod record;
#[cfg(feature = "ledger")]
mod reserve;
#[cfg(feature = "ledger")]
mod step;
#[cfg(feature = "ledger")]
mod store;
mod waiting;
mod worst_case;

#[cfg(not(feature = "ledger"))]
pub use absent::{Ledger, LedgerError};
#[cfg(feature = "ledger")]
pub use approvals::{Remembered, WaitingApproval};
#[cfg(feature = "ledger")]
pub use chain::{Fault, Verified};
pub(crate) use entry::Before;
pub use entry::{Attempt, BudgetRefusal, Charge, Opening, Outcome};
#[cfg(feature = "ledger")]
pub use query::{AttemptRow, Content, Filter, Group, RequestRow, Sum};
#[cfg(feature = "ledger")]
pub use store::{Ledger, LedgerError, MEMORY};

#[cfg(not(feature = "ledger"))]
use absent::OpenRow;
pub(crate) use record::{Record, SharedLedger, Spending};
pub use record::{path_in, written};
#[cfg(feature = "ledger")]
use reserve::OpenRow;
pub(crate) use worst_case::input_tokens;

#[cfg(test)]
#[cfg(feature = "ledger")]
mod tests;
