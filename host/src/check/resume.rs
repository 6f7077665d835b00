//! What a plugin's `resume` and `next` return for a response, whole or as a stream.

use super::canned_responses::{self, Canned, ComesTo};
use super::report::Rule;
use super::start::{StartedRequest, in_words};
use super::{Conformance, own};
use crate::error::Error;
use crate::wit::streaming::exports::understudy::plugin::streaming as stream;
use crate::wit::understudy::plugin::types as wit;

/// How long a canned provider says to wait.
const RETRY_AFTER_MS: u64 = 7_000;

impl Conformance<'_> {
    /// Goes on with exchanges that the plugin wanted.
    pub(super) async fn answer(&mut self, asked: &[StartedRequest]) {
        let Some(first) = asked.first() else {
            let why = "it wants no exchange";
            for rule in [Rule::Resume, Rule::Refusals, Rule::Malformed] {
                self.report.skipped(rule, why);
            }
            return;
        };
        let mut says_when = false;
        for canned in canned_responses::all() {
            says_when |= self.resume(first, &canned).await;
        }
        self.report.kept(Rule::Resume, "every canned answer has an outcome");
        if says_when {
            self.report.kept(Rule::Refusals, "401, 429, 500 and 503 are errors of the kind that they mean");
        } else {
            self.report.noted(
                Rule::Refusals,
                "`retry-after` isn't read: put it into `retry-after-ms`, and the host waits as long",
            );
        }
        self.report.kept(Rule::Malformed, "what isn't the provider's format is an error");
        self.report.kept(Rule::Pure, "the same input gave the same output, each time in a fresh instance");
        self.report.kept(Rule::Messages, "every error says what is wrong, on one line");
        self.report.kept(Rule::Results, "no answer was made that a server couldn't get");
        if !self.link.plugin.streams() {
            return;
        }
        match asked.iter().find(|asked| asked.framing != wit::Framing::Whole) {
            Some(streamed) => {
                self.streams(streamed).await;
                self.report
                    .kept(Rule::Stream, format!("asked for by the request `{}`; nonsense has an end", streamed.name));
            }
            None => {
                self.report.skipped(Rule::Stream, "no canonical request makes it ask for a stream: let fixtures do");
            }
        }
    }

    /// Whether the plugin says when to come back.
    async fn resume(&mut self, asked: &StartedRequest, canned: &Canned) -> bool {
        let plugin = &self.link.plugin;
        let is_whole = asked.framing == wit::Framing::Whole || canned.response.status >= 300;
        if !is_whole {
            return false;
        }
        let first = plugin.resume(&asked.state, canned.response.clone()).await;
        let again = plugin.resume(&asked.state, canned.response.clone()).await;
        let place = format!("answer `{}`", canned.name);
        match (&first, &again) {
            (Ok(_), _) if format!("{first:?}") != format!("{again:?}") => {
                self.report.broken(Rule::Pure, format!("{place}: `resume` made something else of it the second time"));
            }
            (Err(one), Err(other)) if one.to_string() != other.to_string() && own_kind(one) => {
                self.report.broken(Rule::Pure, format!("{place}: `resume` failed otherwise the second time"));
            }
            _ => {}
        }
        let error = match first {
            Ok(wit::Step::Fetch(fetch)) => {
                self.fetch(&place, &fetch);
                return false;
            }
            Ok(wit::Step::Done(completion)) => {
                let rule = if canned.comes_to == ComesTo::Malformed { Rule::Malformed } else { Rule::Refusals };
                self.report.broken(rule, format!("{place}: it was taken for an answer of the model's"));
                self.result(&place, completion, asked.tools.as_deref());
                return false;
            }
            Err(error) => error,
        };
        match own(error) {
            Ok(error) => {
                self.message(&place, &error);
                self.fits(&place, canned, &error);
                matches!(error, wit::Error::Provider(provider) if provider.retry_after_ms == Some(RETRY_AFTER_MS))
            }
            Err(error) => {
                self.report.broken(Rule::Resume, format!("{place}: {error}"));
                false
            }
        }
    }

    fn fits(&mut self, place: &str, canned: &Canned, error: &wit::Error) {
        let shown = in_words(error);
        match (canned.comes_to, error) {
            (ComesTo::Refusal(kinds), wit::Error::Provider(provider)) if kinds.contains(&provider.kind.as_str()) => {}
            (ComesTo::Refusal(kinds), _) => {
                let kinds = crate::text::list(kinds.iter().copied());
                self.report.broken(
                    Rule::Refusals,
                    format!("{place}: it must be `provider`, of the kind {kinds}, and is {shown}"),
                );
            }
            (ComesTo::Malformed, wit::Error::MalformedResponse(_) | wit::Error::Provider(_))
            | (ComesTo::AnyError, _) => {}
            (ComesTo::Malformed, _) => {
                self.report
                    .broken(Rule::Malformed, format!("{place}: it must be `malformed-response`, and is {shown}"));
            }
        }
        if let wit::Error::Provider(provider) = error
            && provider.status.is_some_and(|status| status != canned.response.status)
        {
            self.report.broken(Rule::Refusals, format!("{place}: the error says the status {:?}", provider.status));
        }
    }

    async fn streams(&mut self, asked: &StartedRequest) {
        let opened = || stream::Event::Opened(stream::ResponseHead { status: 200, headers: Vec::new() });
        let message = |data: &str| stream::Event::Message(stream::Message { name: None, data: data.to_owned() });
        let deep = "[".repeat(20_000);
        for (name, events) in [
            ("nothing", vec![opened(), stream::Event::Closed]),
            ("no JSON", vec![opened(), message("not json"), stream::Event::Closed]),
            ("an empty object", vec![opened(), message("{}"), stream::Event::Closed]),
            ("wrong types", vec![opened(), message(r#"{"choices":17,"type":17,"delta":[]}"#), stream::Event::Closed]),
            ("lists 20,000 deep", vec![opened(), message(&deep), stream::Event::Closed]),
            ("only an end mark", vec![opened(), message("[DONE]"), stream::Event::Closed]),
        ] {
            let place = format!("stream `{name}`");
            match self.link.plugin.next(asked.state.clone(), events).await {
                Ok(stream::StreamingStep::More(_)) => {
                    self.report.broken(Rule::Stream, format!("{place}: it wants more of a stream that has ended"));
                }
                Ok(stream::StreamingStep::Done(completion)) => {
                    self.report.broken(Rule::Stream, format!("{place}: it was taken for an answer of the model's"));
                    self.result(&place, completion, asked.tools.as_deref());
                }
                Ok(stream::StreamingStep::Fetch(fetch)) => self.fetch(&place, &fetch),
                Err(error) => match own(error) {
                    Ok(error) => self.message(&place, &error),
                    Err(error) => self.report.broken(Rule::Stream, format!("{place}: {error}")),
                },
            }
        }
    }
}

/// Whether it is the guest's own: what the host says of a trap may differ.
fn own_kind(error: &Error) -> bool {
    matches!(error, Error::Guest { .. })
}
