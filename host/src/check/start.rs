//! What a plugin's `start` returns for a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::report::Rule;
use super::requests::Canonical;
use super::{Conformance, describe, own};
use crate::wit::understudy::plugin::types as wit;

/// An exchange that a plugin wants, to be gone on with.
pub(super) struct StartedRequest {
    pub(super) name: &'static str,
    pub(super) state: Bytes,
    pub(super) framing: wit::Framing,
    pub(super) tools: Option<Vec<String>>,
}

impl Conformance<'_> {
    /// Asks twice; the exchange that the plugin wants, if it wants one.
    pub(super) async fn ask(&mut self, canonical: &Canonical) -> Option<StartedRequest> {
        let plugin = &self.link.plugin;
        let first = plugin.start(&canonical.request, &self.options).await;
        let again = plugin.start(&canonical.request, &self.options).await;
        let place = format!("request `{}`", canonical.name);
        if first.is_ok() && format!("{first:?}") != format!("{again:?}") {
            self.report.broken(Rule::Pure, format!("{place}: `start` made something else of it the second time"));
        }
        match first {
            Ok(wit::Step::Fetch(fetch)) => {
                self.carries(canonical, &fetch);
                self.fetch(&place, &fetch);
                let (state, framing) = (Bytes::from(fetch.state), fetch.framing);
                Some(StartedRequest { name: canonical.name, state, framing, tools: canonical.tools.clone() })
            }
            Ok(wit::Step::Done(completion)) => {
                self.result(&place, completion, canonical.tools.as_deref());
                None
            }
            Err(error) => {
                match own(error) {
                    Ok(error) => self.refuses(&place, canonical, &error),
                    Err(error) => self.report.broken(Rule::Start, format!("{place}: {error}")),
                }
                None
            }
        }
    }

    /// What is known once all requests have been asked.
    pub(super) fn requests_done(&mut self) {
        self.report.kept(Rule::Start, "every canonical request has an outcome");
        let accepts = self.link.plugin.description.accepts.iter().map(String::as_str);
        let accepts = crate::text::list(std::iter::once("text").chain(accepts));
        self.report.kept(Rule::Accepts, format!("takes {accepts}"));
        self.report.kept(Rule::Carries, "whatever a request holds is sent, or refused by name");
        self.report.kept(Rule::Fetch, "the host would make every HTTP request that it wants");
        self.report.kept(Rule::Pure, "the same input gave the same output, each time in a fresh instance");
    }

    fn refuses(&mut self, place: &str, canonical: &Canonical, error: &wit::Error) {
        self.message(place, error);
        let shown = in_words(error);
        if canonical.name == "text" {
            let settings = "if it needs settings, give them: `--set KEY=VALUE`";
            self.report.broken(Rule::Start, format!("the plainest request there is was refused ({settings}): {shown}"));
        } else if matches!(error, wit::Error::Unsupported(_))
            && !canonical.needs.is_empty()
            && self.accepts(canonical.needs)
        {
            let words = crate::text::list(canonical.needs.iter().copied());
            self.report.broken(
                Rule::Accepts,
                format!("{place}: `describe` says that it accepts {words}, and it refused: {shown}"),
            );
        }
    }

    fn carries(&mut self, canonical: &Canonical, fetch: &wit::Fetch) {
        let request = &fetch.request;
        let headers = request.headers.iter().map(|header| header.value.as_bytes());
        let places: Vec<&[u8]> = [request.body.as_slice(), fetch.state.as_slice(), request.path.as_bytes()]
            .into_iter()
            .chain(headers)
            .collect();
        let holds = |wanted: &[u8]| places.iter().any(|place| memchr::memmem::find(place, wanted).is_some());
        for (what, mark) in &canonical.marks {
            let as_bytes = STANDARD.decode(mark).ok().filter(|bytes| bytes.len() > 8);
            if !holds(mark.as_bytes()) && !as_bytes.is_some_and(|bytes| holds(&bytes)) {
                let name = canonical.name;
                self.report.broken(Rule::Carries, format!("request `{name}`: {what} is neither sent nor refused"));
            }
        }
    }

    pub(super) fn fetch(&mut self, place: &str, fetch: &wit::Fetch) {
        let link = self.link;
        let mut wrong = Vec::new();
        wrong.extend(link.plugin.check(fetch).err().map(|error| error.to_string()));
        wrong.extend(link.provider_client.validate_request(&fetch.request).err());
        let suggested = link.plugin.description.credential.as_ref().and_then(|credential| credential.name.as_deref());
        let key = fetch
            .request
            .headers
            .iter()
            .find(|header| suggested.is_some_and(|name| header.name.eq_ignore_ascii_case(name)));
        if let Some(key) = key {
            wrong.push(format!("the header `{}` carries the credential, which is the host's to add", key.name));
        }
        wrong.extend(describe::extensions("fetch", &fetch.extensions));
        wrong.extend(describe::extensions("http-request", &fetch.request.extensions));
        let deadline = link.plugin.limits().deadline.as_millis();
        if u128::from(fetch.delay_ms) >= deadline {
            wrong.push(format!("it wants to wait for {} ms, and all of a request has {deadline} ms", fetch.delay_ms));
        }
        for wrong in wrong {
            self.report.broken(Rule::Fetch, format!("{place}: {wrong}"));
        }
    }
}

/// A guest's error in words.
pub(super) fn in_words(error: &wit::Error) -> String {
    match error {
        wit::Error::InvalidRequest(failure) => format!("`invalid-request`: {}", failure.message),
        wit::Error::Unsupported(failure) => format!("`unsupported`: {}", failure.message),
        wit::Error::MalformedResponse(failure) => format!("`malformed-response`: {}", failure.message),
        wit::Error::Other(failure) => format!("`other`: {}", failure.message),
        wit::Error::Provider(provider) => format!("`provider`, `{}`: {}", provider.kind, provider.message),
    }
}
