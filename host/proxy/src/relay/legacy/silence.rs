//! A server that leaves `initialize` unanswered.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::relay::bridge::legacy_to_modern;
use crate::relay::closable_sender::ClosableSender;
use crate::relay::common::Prelude;
use crate::relay::discover;
use crate::relay::session::RelaySession;
use crate::transport::Incoming;

/// A server that says nothing to `initialize`: it is asked `server/discover` as well, once. Not soon, for it may just be slow to start, and old
/// servers end if something comes between their answer to `initialize` and `notifications/initialized`.
pub(super) struct SilenceWatch {
    pub(super) look: tokio::time::Interval,
    /// Whether the answer is still looked for.
    pub(super) looks: bool,
    pub(super) asked: bool,
}

impl SilenceWatch {
    pub(super) fn of(session: &RelaySession, prelude: &Prelude) -> Self {
        // Where a client of the modern era is in front, that has been seen to.
        let looks = session.sampler().is_some() && prelude.by_front.is_some();
        let mut look = tokio::time::interval(discover::PATIENCE / 4);
        look.reset();
        Self { look, looks, asked: false }
    }

    pub(super) async fn ask(&mut self, session: &RelaySession, to_back: &ClosableSender) {
        match session.unanswered_initialize() {
            None => self.looks = !session.has_begun(),
            Some((_, since)) if since.elapsed() < discover::PATIENCE => {}
            Some((initialize, _)) => {
                tracing::info!(
                    "the server has not answered `initialize` for {:?}: `server/discover` is asked as well",
                    discover::PATIENCE
                );
                (self.looks, self.asked) = (false, true);
                // A server that doesn't listen has ended, or is about to.
                let _ = to_back.send(discover::discover_request(&legacy_to_modern::meta_of(&initialize))).await;
            }
        }
    }

    /// The server speaks the modern era, or doesn't. If it has answered `initialize` meanwhile, that stands. `early` are its messages that were
    /// read and not relayed yet.
    pub(super) fn answered(
        &mut self,
        line: &Bytes,
        session: &RelaySession,
        to_back: &ClosableSender,
        (early, from_back): (&mut VecDeque<Incoming>, &mut mpsc::Receiver<Incoming>),
    ) {
        self.asked = false;
        if let Some(discovered) = discover::parse_discover(line)
            && let Some(initialize) = session.take_initialize()
        {
            legacy_to_modern::splice(&initialize, discovered, to_back, (early, from_back));
        }
    }
}
