//! Answers: what the server says in the course of a call, and what it says at all.

use std::time::Duration;

use bytes::Bytes;
use mcp::{Head, Kind, batch, cancelled_id, is_null, notification};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::calls::{Call, Destined};
use super::events::{Cut, Events, Mark, Said};
use super::link::Link;
use super::listen;
use super::session::Session;
use super::trouble::Trouble;
use super::wire::content_type;
use crate::text::one_line;

/// How often in a row a stream is gone on with in vain.
const MOST_RESUMED: u32 = 5;

/// How long an answer is waited for that may come on the session's own stream. The SDKs' clients wait for a minute.
const ELSEWHERE: Duration = Duration::from_mins(5);

/// How long the end of a stream is waited for once its answer is there: then its connection can be used again.
pub(super) const DRAIN: Duration = Duration::from_millis(500);

impl Link {
    /// Reads what is said in the course of a call, until it is answered. What the server only accepts here, it may answer on the session's own stream.
    pub(super) async fn answer(
        &self,
        response: Response,
        call: &mut Call,
        session: Option<&Session>,
    ) -> Result<(), Trouble> {
        let kind = content_type(&response);
        match kind.as_str() {
            "text/event-stream" => match self.stream(response, call, session).await {
                Err(trouble @ Trouble::Ended { .. }) => self.elsewhere(trouble, call, session).await,
                other => other,
            },
            _ if response.status() == StatusCode::ACCEPTED => {
                let trouble =
                    self.wire.odd("accepts the request as if it were a notification, and so will never answer it");
                self.elsewhere(trouble, call, session).await
            }
            "application/json" => {
                let line = self.wire.body(response, self.limit).await?;
                self.hear(line, call.related_request_id(), call.is_batch).await?;
                if call.is_answered() {
                    Ok(())
                } else {
                    Err(self.wire.odd("answers with something else than an answer to this request"))
                }
            }
            other => Err(self.not_json(response.status(), other)),
        }
    }

    /// Waits for an answer on the session's own stream, if there is one.
    async fn elsewhere(&self, trouble: Trouble, call: &mut Call, session: Option<&Session>) -> Result<(), Trouble> {
        let mut listening = self.listening.subscribe();
        let number = session.map(|session| session.number);
        if number.is_none() || *listening.borrow_and_update() != number {
            return Err(trouble);
        }
        tracing::debug!("{trouble}: its answer is waited for on the session's own stream");
        let gone = async {
            // It ends with the conversation.
            let _ = listening.wait_for(|now| *now != number).await;
        };
        tokio::select! {
            biased;
            () = call.answered() => Ok(()),
            () = gone => Err(trouble),
            () = sleep(ELSEWHERE) => Err(trouble),
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
            "text/event-stream" => Events::of(response, self.limit, mark).map_err(|what| self.wire.odd(what)),
            other => Err(self.not_json(response.status(), other)),
        }
    }

    /// Reads the streams of a call: the first one, and in a session whatever takes its place if it ends too early.
    async fn stream(&self, response: Response, call: &mut Call, session: Option<&Session>) -> Result<(), Trouble> {
        let mut events = self.events(response, Mark::default())?;
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
        let mut stray = None;
        while !call.is_answered() {
            let said = tokio::select! {
                said = events.next() => said,
                () = call.answered() => break,
            };
            match said {
                Some(Ok(Said::Message(line))) => {
                    match self.hear(line, call.related_request_id(), call.is_batch).await {
                        // The answer is still to come.
                        Err(trouble @ Trouble::Stray { .. }) => {
                            self.passes_over(&trouble);
                            stray = Some(trouble);
                        }
                        other => other?,
                    }
                }
                Some(Ok(Said::Endpoint(_))) => {}
                Some(Err(cut)) => return Err(self.cut(cut)),
                None if events.is_alive => return Err(self.wire.broken(&ended_after(stray))),
                None => return Err(self.wire.ended()),
            }
        }
        let rest = async {
            while let Some(Ok(said)) = events.next().await {
                if let Said::Message(line) = said
                    && let Err(trouble) = self.hear(line, call.related_request_id(), call.is_batch).await
                {
                    self.passes_over(&trouble);
                }
            }
        };
        // It needn't end.
        let _ = timeout(DRAIN, rest).await;
        Ok(())
    }

    pub(super) fn cut(&self, cut: Cut) -> Trouble {
        match cut {
            Cut::Broken(reason) => self.wire.broken(&reason),
            Cut::TooLong => Trouble::TooLong { place: self.wire.place(), limit: self.limit },
            Cut::Odd(reason) => self.wire.odd(format!("sends a stream that can't be read: {reason}")),
        }
    }

    /// Something that the server says. A client that hasn't sent a batch gets each message of one by itself: it may not know batches.
    pub(super) async fn hear(
        &self,
        line: Bytes,
        related_request_id: Option<Bytes>,
        is_batch: bool,
    ) -> Result<(), Trouble> {
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&line) {
            return Err(self.wire.stray(&format!("not valid JSON ({error})"), &line));
        }
        let head = Head::of(&line);
        if head.kind() != Kind::Batch {
            return self.hear_one(line, &head, related_request_id).await;
        }
        let parts = batch::messages(&line, &head);
        if is_batch || parts.is_empty() {
            let for_client: Vec<Bytes> = parts.iter().filter_map(|(part, head)| self.notes(part, head)).collect();
            if !for_client.is_empty() {
                self.tell(batch::join_line(&for_client), related_request_id).await;
            }
            return Ok(());
        }
        for (part, head) in parts {
            self.hear_one([&part[..], b"\n"].concat().into(), &head, related_request_id.clone()).await?;
        }
        Ok(())
    }

    /// One message.
    async fn hear_one(&self, line: Bytes, head: &Head, related_request_id: Option<Bytes>) -> Result<(), Trouble> {
        if head.kind() == Kind::Other && (related_request_id.is_some() || !head.answers()) {
            return Err(self.nameless(&line, related_request_id.is_some()));
        }
        if let Some(line) = self.notes(&line, head) {
            self.tell(line, related_request_id).await;
        }
        Ok(())
    }

    /// Takes note of a message; it, if it is for the client.
    fn notes(&self, line: &Bytes, head: &Head) -> Option<Bytes> {
        match (head.kind(), head.id()) {
            (Kind::Request, Some(id)) => self.sessions.asked(id),
            (Kind::Notification, _) if head.is_notification(notification::CANCELLED) => {
                // It wants no answer any more.
                let _ = cancelled_id(line).map(|id| self.sessions.is_answerable(&id));
            }
            (Kind::Response, Some(id)) => match self.calls.answered(id, line) {
                Destined::Client(line) => return Some(line),
                Destined::Us => return None,
                Destined::Nobody => {
                    let id = one_line(&String::from_utf8_lossy(id), 60);
                    tracing::warn!(
                        "the server answers a request with the id {id}, which nobody waits for; that is dropped"
                    );
                    return None;
                }
            },
            _ => {}
        }
        Some(line.clone())
    }

    /// What has neither a method nor an id: in the course of a call an error is its answer.
    fn nameless(&self, line: &Bytes, is_in_call: bool) -> Trouble {
        #[derive(Deserialize)]
        struct Nameless {
            error: Box<RawValue>,
        }
        match serde_json::from_slice::<Nameless>(line) {
            Ok(Nameless { error }) if is_in_call && !is_null(&error) => Trouble::answered(StatusCode::OK, error),
            _ => self.wire.stray("no JSON-RPC message", line),
        }
    }
}

/// How a stream ended, with what it had in the place of an answer.
fn ended_after(stray: Option<Trouble>) -> String {
    match stray {
        Some(Trouble::Stray { what, .. }) => format!("the stream ended, after {what}"),
        _ => "the stream ended".to_owned(),
    }
}
