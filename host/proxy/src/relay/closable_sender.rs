//! The way to one side of the relay.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::transport::Message;

/// The way to one side, until it is closed.
#[derive(Debug, Clone)]
pub(super) struct ClosableSender(Arc<Mutex<Option<mpsc::Sender<Message>>>>);

impl ClosableSender {
    pub(super) fn new(sender: mpsc::Sender<Message>) -> Self {
        Self(Arc::new(Mutex::new(Some(sender))))
    }

    /// Whether the message is on its way.
    pub(super) async fn send(&self, message: impl Into<Message>) -> bool {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match sender {
            Some(sender) => sender.send(message.into()).await.is_ok(),
            None => false,
        }
    }

    /// Where it leads from now on.
    pub(super) fn redirect(&self, sender: mpsc::Sender<Message>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }

    /// Where it leads.
    pub(super) fn sender(&self) -> Option<mpsc::Sender<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends that side's input, though others may hold this too.
    pub(super) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
