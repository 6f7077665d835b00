//! Answers: what the server says in the course of a call, and what it says at all.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::calls::{Call, Destined, parts};
use super::events::{Cut, Events, Mark, Said};
use super::link::Link;
use super::listen;
use super::session::Session;
use super::trouble::Trouble;
use super::wire::content_type;
use crate::jsonrpc::{Head, Kind, cancelled};
use crate::text::one_line;

/// How often in a row a stream is gone on with in vain.
const MOST_RESUMED: u32 = 5;

/// How long the end of a stream is waited for once its answer is there: then its connection can be used again.
pub(super) const DRAIN: Duration = Duration::from_millis(500);

impl Link {
    /// Reads what is said in the course of a call, until it is answered.
    pub(super) async fn answer(
        &self,
        response: Response,
        call: &mut Call,
        session: Option<&Session>,
    ) -> Result<(), Trouble> {
        let kind = content_type(&response);
        match kind.as_str() {
            "text/event-stream" => self.stream(response, call, session).await,
            _ if response.status() == StatusCode::ACCEPTED => {
                Err(self.wire.odd("accepts the request as if it were a notification, and so will never answer it"))
            }
            "application/json" => {
                let line = self.wire.body(response, self.limit).await?;
                self.hear(line, call.about()).await?;
                if call.is_answered() {
                    Ok(())
                } else {
                    Err(self.wire.odd("answers with something else than an answer to this request"))
                }
            }
            other => Err(self.not_json(response.status(), other)),
        }
    }

    fn not_json(&self, status: StatusCode, kind: &str) -> Trouble {
        let kind =
            if kind.is_empty() { "nothing of a known kind".to_owned() } else { format!("`{}`", one_line(kind, 60)) };
        self.wire.odd(format!(
            "answers with {kind} (HTTP {status}), not with JSON or a stream; is it the URL of an MCP endpoint?"
        ))
    }

    /// The events of an answer.
    pub(super) fn events(&self, response: Response, mark: Mark) -> Result<Events, Trouble> {
        match content_type(&response).as_str() {
            "text/event-stream" => Ok(Events::of(response, self.limit, mark)),
            other => Err(self.not_json(response.status(), other)),
        }
    }

    /// Reads the streams of a call: the first one, and in a session whatever takes its place if it ends too early.
    async fn stream(&self, response: Response, call: &mut Call, session: Option<&Session>) -> Result<(), Trouble> {
        let mut events = Events::of(response, self.limit, Mark::default());
        let mut failures = 0;
        loop {
            let trouble = match self.follow(&mut events, call).await {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            };
            let Some(session) = session.filter(|_| trouble.is_of_connection() && events.mark.id.is_some()) else {
                return Err(trouble);
            };
            failures = if events.is_alive { 0 } else { failures + 1 };
            tokio::select! {
                () = call.answered() => return Ok(()),
                resumed = self.resume(session, &events.mark, &mut failures, trouble) => events = resumed?,
            }
        }
    }

    /// Goes on with a stream that ended too early.
    async fn resume(
        &self,
        session: &Session,
        mark: &Mark,
        failures: &mut u32,
        mut why: Trouble,
    ) -> Result<Events, Trouble> {
        while *failures < MOST_RESUMED {
            sleep(listen::pause(mark, *failures)).await;
            match listen::open(self, session, mark).await {
                Ok(events) => return Ok(events),
                Err(trouble) if listen::passes(&trouble) => why = trouble,
                // The request may have done something already, so it isn't sent again.
                Err(Trouble::Forgotten { .. }) => return Err(self.wire.broken("it has forgotten the session")),
                Err(trouble) => {
                    tracing::debug!("a stream can't be gone on with: {trouble}");
                    return Err(why);
                }
            }
            *failures += 1;
        }
        Err(why)
    }

    /// Reads a stream until the call is answered.
    async fn follow(&self, events: &mut Events, call: &mut Call) -> Result<(), Trouble> {
        while !call.is_answered() {
            let said = tokio::select! {
                said = events.next() => said,
                () = call.answered() => break,
            };
            match said {
                Some(Ok(Said::Message(line))) => self.hear(line, call.about()).await?,
                Some(Ok(Said::Endpoint(_))) => {}
                Some(Err(cut)) => return Err(self.cut(cut)),
                None => return Err(self.wire.broken("the stream ended")),
            }
        }
        let rest = async {
            while let Some(Ok(said)) = events.next().await {
                if let Said::Message(line) = said {
                    self.hear(line, call.about()).await?;
                }
            }
            Ok::<_, Trouble>(())
        };
        if let Ok(Err(trouble)) = timeout(DRAIN, rest).await {
            tracing::warn!("{trouble}");
        }
        Ok(())
    }

    pub(super) fn cut(&self, cut: Cut) -> Trouble {
        match cut {
            Cut::Broken(reason) => self.wire.broken(&reason),
            Cut::TooLong => Trouble::TooLong { place: self.wire.place(), limit: self.limit },
            Cut::Odd(reason) => self.wire.odd(format!("sends a stream that can't be read: {reason}")),
        }
    }

    /// Something that the server says.
    pub(super) async fn hear(&self, line: Bytes, about: Option<Bytes>) -> Result<(), Trouble> {
        if serde_json::from_slice::<IgnoredAny>(&line).is_err() {
            return Err(self.wire.odd("says something that is not valid JSON"));
        }
        let head = Head::of(&line);
        let is_for_client = match head.kind() {
            Kind::Batch => {
                let parts = parts(&line);
                parts.iter().fold(parts.is_empty(), |for_client, (part, head)| self.notes(part, head) || for_client)
            }
            Kind::Other if about.is_some() => return self.nameless(&line),
            _ => self.notes(&line, &head),
        };
        if is_for_client {
            self.tell(line, about).await;
        }
        Ok(())
    }

    /// Takes note of a message; whether it is for the client.
    fn notes(&self, line: &Bytes, head: &Head) -> bool {
        match (head.kind(), head.id()) {
            (Kind::Request, Some(id)) => self.sessions.asked(id),
            (Kind::Notification, _) if head.is_notification("notifications/cancelled") => {
                // It wants no answer any more.
                let _ = cancelled(line).map(|id| self.sessions.is_answerable(&id));
            }
            (Kind::Response, Some(id)) => match self.calls.answered(id, line) {
                Destined::ForClient => {}
                Destined::ForUs => return false,
                Destined::ForNobody => {
                    let id = one_line(&String::from_utf8_lossy(id), 60);
                    tracing::warn!(
                        "the server answers a request with the id {id}, which nobody waits for; that is dropped"
                    );
                    return false;
                }
            },
            _ => {}
        }
        true
    }

    /// An error without an id, in the course of a call, is its answer.
    fn nameless(&self, line: &Bytes) -> Result<(), Trouble> {
        #[derive(Deserialize)]
        struct Nameless {
            error: Box<RawValue>,
        }
        match serde_json::from_slice::<Nameless>(line) {
            Ok(Nameless { error }) => Err(Trouble::Answered { status: StatusCode::OK, error }),
            Err(_) => Err(self.wire.odd("says something that is no JSON-RPC message")),
        }
    }
}
