//! Approvals: asking the user before a request is answered, or before its answer is given.
//!
//! The rule (`sampling.approve`) says when. The user is asked where they are: through an [`Approver`] that the caller brings (the client's
//! elicitation, the terminal), and through the ledger, which `understudy approvals` and any other program of the user reads. The first answer
//! counts. Nobody's answer is a refusal.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `question` | what the user is shown |
//!
//! ```
//! use std::sync::Arc;
//! use understudy::approval::{ApprovalReply, ApprovalRequest, ApprovalSession, Approver, Ask};
//! use understudy::sampling::SamplingRequest;
//!
//! #[derive(Debug)]
//! struct Dialogue;
//!
//! #[async_trait::async_trait]
//! impl Ask for Dialogue {
//!     async fn ask(&self, request: &ApprovalRequest) -> ApprovalReply {
//!         assert!(request.message().contains("> [user] Hello"));
//!         ApprovalReply::Refused
//!     }
//!
//!     fn allowed_here(&self) -> &'static str {
//!         "allowed in a dialogue"
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if cfg!(not(feature = "builtins")) { return Ok(()); }
//! let config = r#"{"sampling": {"use": "echo", "approve": "ask"}}"#.to_owned();
//! let sampler = understudy::Sampler::builder().config(understudy::ConfigSource::Text(config)).build().await?;
//! let approver = Approver::new(Arc::new(Dialogue), ApprovalSession::shared());
//! let params = br#"{"messages": [{"role": "user", "content": {"type": "text", "text": "Hello"}}], "maxTokens": 9}"#;
//! let request = SamplingRequest { approver: Some(approver), ..SamplingRequest::new(params) };
//! let error = sampler.create_message_json(request).await.unwrap_err();
//! assert_eq!(error.to_string(), "not approved: the user has refused it");
//! # Ok(())
//! # }
//! ```
//!
//! Whether the user is asked, and what follows from the answer, is in [`crate::sampling`].

mod question;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Semaphore;

pub use question::{ApprovalRequest, Approved, Excerpt};
pub(crate) use question::{answer, prompt};

/// So many requests of a connection wait for the user at a time.
pub(crate) const MOST_WAITING: usize = 16;

/// A way to ask the user.
#[async_trait]
pub trait Ask: Send + Sync + std::fmt::Debug {
    /// Asks, and waits for the answer. Dropping the future takes the question back.
    async fn ask(&self, request: &ApprovalRequest) -> ApprovalReply;

    /// What the ledger says of a request that was allowed in this way, such as `allowed in the terminal`.
    fn allowed_here(&self) -> &'static str;
}

/// What the user answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalReply {
    /// Yes.
    Allowed {
        /// And the same needn't be asked again; only where [`ApprovalRequest::can_remember`].
        remember: bool,
    },
    /// No.
    Refused,
    /// The question was closed without an answer, or with one that means nothing; the reason, in words.
    Unanswered(String),
    /// The user can't be asked in this way; the reason, in words.
    Unavailable(String),
}

/// Who can be asked about a request, and what they have allowed before.
#[derive(Debug, Clone)]
pub struct Approver {
    ask: Arc<dyn Ask>,
    session: Arc<ApprovalSession>,
}

impl Approver {
    /// This way to ask, in the course of this session.
    #[must_use]
    pub fn new(ask: Arc<dyn Ask>, session: Arc<ApprovalSession>) -> Self {
        Self { ask, session }
    }

    pub(crate) fn way(&self) -> &dyn Ask {
        &*self.ask
    }

    pub(crate) fn session(&self) -> &ApprovalSession {
        &self.session
    }
}

/// What lasts as long as one user's connection: what they have allowed in its course, and that they are asked one thing at a time.
#[derive(Debug)]
pub struct ApprovalSession {
    allowed: Arc<Mutex<BTreeSet<Subject>>>,
    turn: tokio::sync::Mutex<()>,
    places: Semaphore,
}

impl Default for ApprovalSession {
    fn default() -> Self {
        Self { allowed: Arc::default(), turn: tokio::sync::Mutex::default(), places: Semaphore::new(MOST_WAITING) }
    }
}

impl ApprovalSession {
    /// A new one.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// The same decisions, and a turn of its own: for a call whose question stands open until its client comes back, which may be never.
    #[must_use]
    pub fn for_one_call(&self) -> Arc<Self> {
        Arc::new(Self { allowed: Arc::clone(&self.allowed), ..Self::default() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Subject>> {
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_allowed(&self, subject: &Subject) -> bool {
        self.lock().contains(subject)
    }

    pub(crate) fn allow(&self, subject: &Subject) {
        self.lock().insert(subject.clone());
    }

    /// The places of those that wait.
    pub(crate) fn places(&self) -> &Semaphore {
        &self.places
    }

    /// Waits until no other question is open.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }
}

/// What a decision is about that holds for more than one request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The server.
    pub server: String,
    /// Whether it asks in the course of a call of the client's; else in the background.
    pub is_in_call: bool,
    /// The tool that is called; `None` in the background, and where several calls can't be told apart.
    pub tool: Option<String>,
}
