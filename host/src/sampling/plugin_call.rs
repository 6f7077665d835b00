//! One plugin's part of an answer: its calls, the HTTP exchanges between them, retries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{ConfiguredPlugin, hop, redaction};
use crate::error::{Error, Limit};
use crate::ledger::{Attempt, Before, Charge, Record};
use crate::outbound::redact::Tail;
use crate::outbound::{EventStream, Http, ProviderResponse};
use crate::retry;
use crate::timeline;
use crate::wit::streaming::exports::understudy::plugin::streaming::StreamingStep;
use crate::wit::understudy::plugin::types as wit;

/// One plugin, asked for one request.
pub(super) struct PluginCall<'a> {
    link: &'a ConfiguredPlugin,
    http: &'a Http,
    /// The request's id, for the log.
    id: &'a str,
    /// When the plugin's time is up.
    until: Instant,
    progress: Option<&'a mpsc::Sender<String>>,
    /// The request's record, and what asking the provider may take, where the config has a ledger.
    record: Option<(&'a mut Record, Attempt)>,
    /// Whether what is reserved has not been asked for yet.
    is_reserved: bool,
    /// Whether the last exchange broke off, and may have cost something nevertheless.
    is_lost: bool,
    /// Whether the provider may have charged for what it was asked.
    pub(super) is_charged: bool,
    /// How often the provider was asked; not of handlers, which ask by themselves.
    pub(super) sent: u32,
}

impl<'a> PluginCall<'a> {
    pub(super) const fn new(
        link: &'a ConfiguredPlugin,
        http: &'a Http,
        id: &'a str,
        until: Instant,
        progress: Option<&'a mpsc::Sender<String>>,
        record: Option<(&'a mut Record, Attempt)>,
    ) -> Self {
        let (is_reserved, is_lost, is_charged) = (true, false, false);
        Self { link, http, id, until, progress, record, is_reserved, is_lost, is_charged, sent: 0 }
    }

    /// Lets the plugin answer: a handler by itself; a provider by `start`, then one exchange and what the plugin makes of it, as
    /// often as it wants.
    pub(super) async fn answer(
        &mut self,
        request: &Arc<wit::CreateMessageRequest>,
        options: &Arc<wit::Options>,
    ) -> Result<wit::Completion, Error> {
        let plugin = &self.link.plugin;
        if plugin.egress_policy().is_some() {
            return self.handled(request, options).await;
        }
        let began = Instant::now();
        let mut step = self.timed(plugin.start(request, options)).await?;
        hop!(self.id, began, "the plugin `{}` ran `start` for the model `{}`", plugin.name, options.model);
        for _ in 0..=plugin.limits().fetches {
            let fetch = match step {
                wit::Step::Done(completion) => return Ok(completion),
                wit::Step::Fetch(fetch) => fetch,
            };
            plugin.check(&fetch)?;
            if fetch.delay_ms > 0 {
                // A sleep of nothing is one of a millisecond: until the timer's next tick.
                timeline::wait("delay", tokio::time::sleep(Duration::from_millis(fetch.delay_ms.into()))).await;
            }
            step = self.fetch(fetch).await?;
        }
        let limit = Limit::Fetches(plugin.limits().fetches);
        Err(Error::Limit { plugin: plugin.name.clone(), call: "resume", limit })
    }

    /// Times a call of the plugin for the timeline; its waits for permits are included.
    async fn timed<T>(&self, call: impl Future<Output = T>) -> T {
        timeline::timed(|| format!("plugin `{}`", self.link.plugin.name), call).await
    }

    /// A handler's answer. What failed in passing is tried again from the beginning, by a fresh instance.
    async fn handled(
        &mut self,
        request: &Arc<wit::CreateMessageRequest>,
        options: &Arc<wit::Options>,
    ) -> Result<wit::Completion, Error> {
        let plugin = &self.link.plugin;
        let mut attempt = 0;
        loop {
            self.reserve().await?;
            let began = Instant::now();
            let was_charged = self.begin_exchange();
            let outcome = self.timed(plugin.create_message(request, options)).await;
            if outcome.as_ref().err().is_some_and(|error| !error.may_have_cost()) {
                self.cost_nothing(was_charged);
            }
            hop!(self.id, began, "the plugin `{}` ran `create-message` for the model `{}`", plugin.name, options.model);
            match outcome {
                Ok(completion) => return Ok(completion),
                Err(error) => attempt = self.pause(error, attempt).await?,
            }
        }
    }

    /// Reserves what one more exchange may cost, unless that is reserved already.
    async fn reserve(&mut self) -> Result<(), Error> {
        if let Some((record, attempt)) = &mut self.record
            && !self.is_reserved
        {
            let before = if self.is_lost { Before::Lost } else { Before::Answered };
            timeline::wait("ledger", record.reserve_after(before, attempt)).await?;
        }
        self.is_lost = false;
        Ok(())
    }

    /// The provider is asked: from now on it may have charged, also if the deadline ends this. Returns whether it may have before.
    const fn begin_exchange(&mut self) -> bool {
        self.is_reserved = false;
        if let Some((record, _)) = &mut self.record {
            record.charge(Charge::Unknown);
        }
        std::mem::replace(&mut self.is_charged, true)
    }

    /// The exchange cost nothing: its reservation is for the next one.
    const fn cost_nothing(&mut self, was_charged: bool) {
        (self.is_charged, self.is_reserved) = (was_charged, true);
    }

    /// Waits for the next attempt and numbers it; gives the error back where there is to be none.
    async fn pause(&mut self, error: Error, attempt: u32) -> Result<u32, Error> {
        let left = self.until.saturating_duration_since(Instant::now());
        let retries = self.link.plugin.limits().retries;
        let error = redaction::redact_error(error, &self.link.secrets());
        let Some(wait) = retry::wait(&error, attempt, retries, left, fastrand::f64()) else { return Err(error) };
        let attempt = attempt + 1;
        self.is_lost = !self.is_reserved;
        tracing::warn!(request = self.id, "{error}; trying again in {wait:.1?} ({attempt} of {retries})");
        timeline::wait("retry", tokio::time::sleep(wait)).await;
        Ok(attempt)
    }

    /// One exchange and what the plugin makes of it, again as often as that may help and the deadline allows. Each attempt sends
    /// the same request and passes the same state to a fresh instance: the events of a stream that broke are discarded.
    async fn fetch(&mut self, mut fetch: wit::Fetch) -> Result<wit::Step, Error> {
        let body = Bytes::from(std::mem::take(&mut fetch.request.body));
        let state = Bytes::from(std::mem::take(&mut fetch.state));
        let mut attempt = 0;
        loop {
            match self.attempt(&fetch, &state, body.clone()).await {
                Ok(step) => return Ok(step),
                Err(error) => attempt = self.pause(error, attempt).await?,
            }
        }
    }

    async fn attempt(&mut self, fetch: &wit::Fetch, state: &Bytes, body: Bytes) -> Result<wit::Step, Error> {
        self.reserve().await?;
        let (link, id, path, size) = (self.link, self.id, &fetch.request.path, body.len());
        let began = Instant::now();
        self.sent = self.sent.saturating_add(1);
        let was_charged = self.begin_exchange();
        let exchange = provider_timed(link.provider_client.exchange(self.http, fetch, body)).await;
        if exchange.as_ref().map_or_else(|error| !error.may_have_cost(), ProviderResponse::is_refusal) {
            self.cost_nothing(was_charged);
        }
        let response = match exchange? {
            ProviderResponse::Whole(response) => response,
            ProviderResponse::Stream(events) => {
                hop!(id, began, "the provider answers `{path}` with a stream ({size} bytes out)");
                return self.read_stream(state.clone(), events).await;
            }
        };
        let (status, answered) = (response.status, response.body.len());
        hop!(id, began, "the provider answered {status} to `{path}` ({size} bytes out, {answered} bytes in)");
        let began = Instant::now();
        let step = self.timed(link.plugin.resume(state, response)).await?;
        hop!(id, began, "the plugin `{}` ran `resume`", link.plugin.name);
        Ok(step)
    }

    /// Passes the events of a stream to the plugin as they arrive, and the text so far to the server.
    async fn read_stream(&self, mut state: Bytes, mut events: EventStream) -> Result<wit::Step, Error> {
        let plugin = &self.link.plugin;
        let began = Instant::now();
        let (mut calls, mut count) = (0, 0);
        let mut telling = self.progress.map(|sender| (sender, Tail::new(self.link.secrets())));
        loop {
            let arrived = provider_timed(events.next()).await?;
            calls += 1;
            count += arrived.len();
            let is_over = arrived.last().is_some_and(EventStream::is_end);
            let step = match self.timed(plugin.next(state, arrived)).await? {
                StreamingStep::More(_) if is_over => {
                    let message = "it wants more of a stream that has ended".to_owned();
                    let error = wit::Error::MalformedResponse(wit::Failure { message, extensions: String::new() });
                    return Err(Error::Guest { plugin: plugin.name.clone(), error });
                }
                StreamingStep::More(progress) => {
                    state = progress.state.into();
                    if let Some((sender, tail)) = &mut telling {
                        tell(sender, tail.push(progress.text)).await;
                    }
                    continue;
                }
                StreamingStep::Done(completion) => wit::Step::Done(completion),
                StreamingStep::Fetch(fetch) => wit::Step::Fetch(fetch),
            };
            if let Some((sender, tail)) = &mut telling {
                tell(sender, tail.rest()).await;
            }
            hop!(self.id, began, "the plugin `{}` ran `next` {calls} times for {count} events", plugin.name);
            return Ok(step);
        }
    }
}

/// Times an exchange with the provider for the timeline.
async fn provider_timed<T>(exchange: impl Future<Output = T>) -> T {
    timeline::timed(|| "provider".to_owned(), exchange).await
}

/// Sends more text to the server, if there is any.
async fn tell(sender: &mpsc::Sender<String>, text: String) {
    if !text.is_empty() {
        // A receiver that is gone doesn't matter: the result does.
        let _ = sender.send(text).await;
    }
}
