//! Responses of the server: plain JSON or a stream, resumed where it broke.

use std::time::Duration;

use bytes::Bytes;
use mcp::{Head, Kind, batch, cancelled_id, is_null, notification};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::time::{sleep, timeout};

use super::connection::{Connection, DRAIN};
use super::error::ClientError;
use super::event_stream::{EventStream, ResumePoint, ServerEvent, StreamError};
use super::exchange::content_type;
use super::pending::{PendingRequest, Recipient};
use super::session::ClientSession;
use super::standalone;
use understudy::text::one_line;

/// Max consecutive resume attempts without progress.
const MOST_RESUMED: u32 = 5;

/// How long an answer is waited for that may come on the session's own stream. The SDKs' clients wait for a minute.
const ELSEWHERE: Duration = Duration::from_mins(5);

impl Connection {
    /// Reads what is said in the course of a call, until it is answered. What the server only accepts here, it may answer on the session's own stream.
    pub(super) async fn answer(
        &self,
        response: Response,
        call: &mut PendingRequest,
        session: Option<&ClientSession>,
    ) -> Result<(), ClientError> {
        let kind = content_type(&response);
        match kind.as_str() {
            "text/event-stream" => match self.stream(response, call, session).await {
                Err(trouble @ ClientError::Ended { .. }) => self.elsewhere(trouble, call, session).await,
                other => other,
            },
            _ if response.status() == StatusCode::ACCEPTED => {
                let trouble =
                    self.exchange.odd("accepts the request as if it were a notification, and so will never answer it");
                self.elsewhere(trouble, call, session).await
            }
            "application/json" => {
                let line = self.exchange.body(response, self.limit).await?;
                self.receive(line, call.related_request_id(), call.is_batch).await?;
                if call.is_answered() {
                    Ok(())
                } else {
                    Err(self.exchange.odd("answers with something else than an answer to this request"))
                }
            }
            other => Err(self.not_json(response.status(), other)),
        }
    }

    /// Waits for an answer on the session's own stream, if there is one.
    async fn elsewhere(
        &self,
        trouble: ClientError,
        call: &mut PendingRequest,
        session: Option<&ClientSession>,
    ) -> Result<(), ClientError> {
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

    fn not_json(&self, status: StatusCode, kind: &str) -> ClientError {
        let kind =
            if kind.is_empty() { "nothing of a known kind".to_owned() } else { format!("`{}`", one_line(kind, 60)) };
        self.exchange.odd(format!(
            "answers with {kind} (HTTP {status}), not with JSON or a stream; is it the URL of an MCP endpoint?"
        ))
    }

    /// The events of an answer.
    pub(super) fn events(&self, response: Response, mark: ResumePoint) -> Result<EventStream, ClientError> {
        match content_type(&response).as_str() {
            "text/event-stream" => EventStream::of(response, self.limit, mark).map_err(|what| self.exchange.odd(what)),
            other => Err(self.not_json(response.status(), other)),
        }
    }

    /// Reads the streams of a call: the first one, and in a session whatever takes its place if it ends too early.
    async fn stream(
        &self,
        response: Response,
        call: &mut PendingRequest,
        session: Option<&ClientSession>,
    ) -> Result<(), ClientError> {
        let mut events = self.events(response, ResumePoint::default())?;
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

    /// Resumes a stream that ended too early.
    async fn resume(
        &self,
        session: &ClientSession,
        mark: &ResumePoint,
        failures: &mut u32,
        mut why: ClientError,
    ) -> Result<EventStream, ClientError> {
        while *failures < MOST_RESUMED {
            sleep(standalone::pause(mark, *failures)).await;
            match standalone::open(self, session, mark).await {
                Ok(events) => return Ok(events),
                Err(trouble) if standalone::passes(&trouble) => why = trouble,
                // The request may have done something already, so it isn't sent again.
                Err(ClientError::Forgotten { .. }) => return Err(self.exchange.broken("it has forgotten the session")),
                Err(trouble) => {
                    tracing::debug!("a stream can't be resumed: {trouble}");
                    return Err(why);
                }
            }
            *failures += 1;
        }
        Err(why)
    }

    /// Reads a stream until the call is answered.
    async fn follow(&self, events: &mut EventStream, call: &mut PendingRequest) -> Result<(), ClientError> {
        let mut stray = None;
        while !call.is_answered() {
            let said = tokio::select! {
                said = events.next() => said,
                () = call.answered() => break,
            };
            match said {
                Some(Ok(ServerEvent::Message(line))) => {
                    match self.receive(line, call.related_request_id(), call.is_batch).await {
                        // The answer is still to come.
                        Err(trouble @ ClientError::Stray { .. }) => {
                            self.passes_over(&trouble);
                            stray = Some(trouble);
                        }
                        other => other?,
                    }
                }
                Some(Ok(ServerEvent::Endpoint(_))) => {}
                Some(Err(cut)) => return Err(self.cut(cut)),
                None if events.is_alive => return Err(self.exchange.broken(&ended_after(stray))),
                None => return Err(self.exchange.ended()),
            }
        }
        let rest = async {
            while let Some(Ok(said)) = events.next().await {
                if let ServerEvent::Message(line) = said
                    && let Err(trouble) = self.receive(line, call.related_request_id(), call.is_batch).await
                {
                    self.passes_over(&trouble);
                }
            }
        };
        // It needn't end.
        let _ = timeout(DRAIN, rest).await;
        Ok(())
    }

    pub(super) fn cut(&self, cut: StreamError) -> ClientError {
        match cut {
            StreamError::Broken(reason) => self.exchange.broken(&reason),
            StreamError::TooLong => ClientError::TooLong { place: self.exchange.place(), limit: self.limit },
            StreamError::Odd(reason) => self.exchange.odd(format!("sends a stream that can't be read: {reason}")),
        }
    }

    /// Something that the server says. A client that hasn't sent a batch gets each message of one by itself: it may not know batches.
    pub(super) async fn receive(
        &self,
        line: Bytes,
        related_request_id: Option<Bytes>,
        is_batch: bool,
    ) -> Result<(), ClientError> {
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&line) {
            return Err(self.exchange.stray(&format!("not valid JSON ({error})"), &line));
        }
        let head = Head::of(&line);
        if head.kind() != Kind::Batch {
            return self.receive_one(line, &head, related_request_id).await;
        }
        let parts = batch::messages(&line, &head);
        if is_batch || parts.is_empty() {
            let for_client: Vec<Bytes> = parts.iter().filter_map(|(part, head)| self.notes(part, head)).collect();
            if !for_client.is_empty() {
                self.send_to_client(batch::join_line(&for_client), related_request_id).await;
            }
            return Ok(());
        }
        for (part, head) in parts {
            self.receive_one([&part[..], b"\n"].concat().into(), &head, related_request_id.clone()).await?;
        }
        Ok(())
    }

    /// One message.
    async fn receive_one(
        &self,
        line: Bytes,
        head: &Head,
        related_request_id: Option<Bytes>,
    ) -> Result<(), ClientError> {
        if head.kind() == Kind::Other && (related_request_id.is_some() || !head.answers()) {
            return Err(self.nameless(&line, related_request_id.is_some()));
        }
        if let Some(line) = self.notes(&line, head) {
            self.send_to_client(line, related_request_id).await;
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
            (Kind::Response, Some(id)) => match self.pending.answered(id, line) {
                Recipient::Client { answer, lists_tools } => {
                    if lists_tools {
                        self.tools.learn(&answer);
                    }
                    return Some(answer);
                }
                Recipient::Us => return None,
                Recipient::Nobody => {
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
    fn nameless(&self, line: &Bytes, is_in_call: bool) -> ClientError {
        #[derive(Deserialize)]
        struct Nameless {
            error: Box<RawValue>,
        }
        match serde_json::from_slice::<Nameless>(line) {
            Ok(Nameless { error }) if is_in_call && !is_null(&error) => ClientError::answered(StatusCode::OK, error),
            _ => self.exchange.stray("no JSON-RPC message", line),
        }
    }
}

/// How a stream ended, with what it had in the place of an answer.
fn ended_after(stray: Option<ClientError>) -> String {
    match stray {
        Some(ClientError::Stray { what, .. }) => format!("the stream ended, after {what}"),
        _ => "the stream ended".to_owned(),
    }
}
