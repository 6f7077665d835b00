//! The ledger: what was asked, by whom, and what it cost; and the budgets that are kept with it.
//!
//! One row for each sampling request, and one for each time that a provider was asked for it. Before a provider is asked, the worst case is
//! reserved against every budget that the request falls under; afterwards it is settled by what the provider counted. All processes of a user
//! share one `SQLite` file, and each step is one transaction: budgets are never overspent, and a process that ends at any moment leaves a row
//! that counts as its worst case.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `record` | one request on its way through the ledger |
//! | `entry` | what is written of a request |
//! | `worst_case` | the most tokens that a request can hold |
//! | `store` | the file: its schema, opening it, transactions |
//! | `reserve` | the steps of a request: reserve, settle, close |
//! | `budget` | the budgets' periods and counters |
//! | `chain` | the hashes that make a changed row evident |
//! | `waiting` | waiting for the user's decision on a request |
//! | `approvals` | requests that wait for the user, and what the user said to remember |
//! | `query` | reading rows and sums; pruning |
//! | `absent` | the substitute for the file without the feature `ledger` |

#[cfg(not(feature = "ledger"))]
mod absent;
#[cfg(feature = "ledger")]
mod approvals;
#[cfg(feature = "ledger")]
mod budget;
#[cfg(feature = "ledger")]
mod chain;
mod entry;
#[cfg(feature = "ledger")]
mod query;
mod record;
#[cfg(feature = "ledger")]
mod reserve;
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
