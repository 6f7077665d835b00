//! What a server may ask: how much, how often, and how much at once. The same holds for what plugins answer and for what a client answers.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `rate` | how often |
//! | `outline` | what the rules look at in a request that a client answers |

pub(crate) mod outline;
pub(crate) mod rate;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};
use understudy_mcp_types::{Block, CreateMessageRequestParams, ResourceContents};

use crate::config::{Limits, Sampling};
use crate::error::Error;
use crate::held::Held;
use crate::text::one_line;
use outline::Outline;
use rate::{Rate, Turn};

/// One server's policy.
#[derive(Debug)]
pub struct Policy {
    /// Those that run.
    running: Semaphore,
    /// Those that run or wait.
    places: Semaphore,
    /// The bytes of the requests that run or wait.
    bytes: AtomicUsize,
    most_bytes: usize,
    concurrent: usize,
    waiting: usize,
    max_tokens: u32,
    /// Whether it has been said that a request's `maxTokens` was lowered.
    told: AtomicBool,
    rate: Option<Mutex<Rate>>,
    largest: usize,
    messages: usize,
    media: usize,
}

/// What `requestsPerMinute` is about.
const MINUTE: Duration = Duration::from_mins(1);

/// What is to be changed in a request that a client answers.
#[derive(Debug, Clone, Copy)]
pub struct Lowered<'a> {
    /// `maxTokens` as the request has it, if it has any.
    pub old: Option<&'a RawValue>,
    /// What it becomes.
    pub new: u32,
}

/// The right to run; given back when dropped.
#[derive(Debug)]
pub struct Place<'a> {
    _running: SemaphorePermit<'a>,
    _waiting: SemaphorePermit<'a>,
    _bytes: Held<'a>,
}

impl Policy {
    /// The policy that the config gives a server.
    #[must_use]
    pub fn new(rule: &Sampling, limits: &Limits) -> Self {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS / 4);
        let (concurrent, waiting) = (size(limits.concurrent), size(limits.waiting));
        Self {
            running: Semaphore::new(concurrent),
            places: Semaphore::new(concurrent + waiting),
            bytes: AtomicUsize::new(0),
            most_bytes: limits.sampling_total.max(limits.sampling_request),
            concurrent,
            waiting,
            max_tokens: rule.most_tokens(),
            told: AtomicBool::new(false),
            rate: rule.requests_per_minute.map(|n| Mutex::new(Rate::new(n, MINUTE, Instant::now()))),
            largest: limits.sampling_request,
            messages: usize::try_from(limits.messages).unwrap_or(usize::MAX),
            media: limits.media,
        }
    }

    /// Holds a request to its size.
    ///
    /// # Errors
    /// If it is larger.
    pub fn measure(&self, size: usize) -> Result<(), Error> {
        let what = || format!("{size} bytes");
        if size > self.largest { Err(too_large(what(), "samplingRequest", self.largest)) } else { Ok(()) }
    }

    /// Holds a request to what one may contain.
    ///
    /// # Errors
    /// The first thing of which there is too much.
    pub fn check(&self, request: &CreateMessageRequestParams) -> Result<(), Error> {
        self.count(request.messages.len())?;
        let blocks = request.messages.iter().flat_map(|message| &message.content);
        self.weigh(blocks.map(largest_media).max().unwrap_or_default())
    }

    /// Lowers what the config caps.
    #[must_use]
    pub fn clamp(&self, server: &str, mut request: CreateMessageRequestParams) -> CreateMessageRequestParams {
        if request.max_tokens > self.max_tokens.into() {
            self.tell(server, &request.max_tokens.to_string());
            request.max_tokens = self.max_tokens.into();
        }
        request
    }

    /// Holds a request to all of these that a client is to answer: it is read no further than they need. What is to be changed in it.
    ///
    /// # Errors
    /// The first thing that isn't as it should be.
    pub fn review<'a>(&self, server: &str, params: &'a [u8]) -> Result<Option<Lowered<'a>>, Error> {
        let invalid = |reason: String| Error::InvalidRequest { reason: one_line(&reason, 500) };
        self.measure(params.len())?;
        let outline = Outline::of(params).map_err(invalid)?;
        self.count(outline.messages().map_err(invalid)?)?;
        // No part is larger than the whole.
        if params.len() > self.media {
            self.weigh(outline.largest_media())?;
        }
        let new = self.max_tokens;
        Ok(match outline.max_tokens().map_err(invalid)? {
            Some((_, number)) if number <= f64::from(new) => None,
            Some((old, _)) => {
                self.tell(server, old.get());
                Some(Lowered { old: Some(old), new })
            }
            None => Some(Lowered { old: None, new }),
        })
    }

    fn count(&self, messages: usize) -> Result<(), Error> {
        let what = || format!("{messages} messages");
        if messages > self.messages { Err(too_large(what(), "messages", self.messages)) } else { Ok(()) }
    }

    fn weigh(&self, media: usize) -> Result<(), Error> {
        let what = || format!("{media} bytes of media in one block");
        if media > self.media { Err(too_large(what(), "media", self.media)) } else { Ok(()) }
    }

    /// Says once that a request wanted more tokens than it gets.
    fn tell(&self, server: &str, wanted: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let (wanted, most) = (one_line(wanted, 40), self.max_tokens);
            tracing::warn!(
                "`{server}` asks for {wanted} tokens in one answer, and gets {most} at most: `sampling.maxTokens` sets that (said once)"
            );
        }
    }

    /// Whether it is the turn of one more request now, by `requestsPerMinute`.
    pub fn is_turn(&self) -> bool {
        let take = |rate: &Mutex<Rate>| {
            rate.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), Duration::ZERO)
        };
        self.rate.as_ref().is_none_or(|rate| take(rate).is_ok())
    }

    /// Waits for the turn of one more request of this size, until then at most.
    ///
    /// # Errors
    /// If that were too long, too many are waiting already, or hold too much.
    pub async fn turn(&self, size: usize, until: Instant) -> Result<(), Error> {
        let _waiting = self.wait(size)?;
        self.rated(until).await
    }

    /// Waits for a place to run, in order of arrival, with a request of this size; and before that for its turn, unless it has had that already.
    ///
    /// # Errors
    /// If its turn would come too late, too many are waiting already, or hold too much.
    pub async fn admit(&self, size: usize, has_had_turn: bool, until: Instant) -> Result<Place<'_>, Error> {
        let (waiting, bytes) = self.wait(size)?;
        if !has_had_turn {
            self.rated(until).await?;
        }
        // The semaphore is never closed.
        let running = self.running.acquire().await.map_err(|_| self.too_many())?;
        Ok(Place { _running: running, _waiting: waiting, _bytes: bytes })
    }

    /// So many requests and so many bytes may run or wait.
    pub fn room(&self) -> (usize, usize) {
        (self.concurrent + self.waiting, self.most_bytes)
    }

    /// What a server is told that has too many requests.
    pub fn too_many(&self) -> Error {
        Error::TooMany { running: self.concurrent, waiting: self.waiting }
    }

    fn wait(&self, size: usize) -> Result<(SemaphorePermit<'_>, Held<'_>), Error> {
        let (bytes, sum) = Held::new(&self.bytes, size);
        if sum > self.most_bytes {
            return Err(Error::TooMuch { most: self.most_bytes });
        }
        Ok((self.places.try_acquire().map_err(|_| self.too_many())?, bytes))
    }

    async fn rated(&self, until: Instant) -> Result<(), Error> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let patience = until.saturating_duration_since(Instant::now());
        let most = rate.lock().unwrap_or_else(PoisonError::into_inner).most();
        Turn::wait(rate, patience).await.map_err(|wait| Error::TooOften { most, wait })
    }
}

fn too_large(what: String, key: &'static str, most: usize) -> Error {
    Error::RequestTooLarge { what, key, most }
}

/// The bytes of base64 in a block, or in the largest block inside it.
fn largest_media(block: &Block) -> usize {
    match block {
        Block::Image(media) | Block::Audio(media) => media.data.len(),
        Block::Resource(resource) => match &resource.contents {
            ResourceContents::Blob(data) => data.len(),
            ResourceContents::Text(_) => 0,
        },
        Block::ToolResult(result) => result.content.iter().map(largest_media).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(limits: &Limits, messages: &str) -> Result<(), String> {
        let params = format!(r#"{{"messages":{messages},"maxTokens":1}}"#);
        let request = CreateMessageRequestParams::from_json(params.as_bytes()).unwrap();
        let policy = Policy::new(&Sampling::by(Vec::new()), limits);
        let result = policy.check(&request).map_err(|e| e.to_string());
        // What a client answers is held to the same.
        assert_eq!(policy.review("s", params.as_bytes()).map(|_| ()).map_err(|e| e.to_string()), result);
        result
    }

    #[test]
    fn more_tokens_than_the_rule_allows_are_lowered_and_so_is_no_number_at_all() {
        let policy = |max_tokens| Policy::new(&Sampling { max_tokens, ..Sampling::by(Vec::new()) }, &Limits::default());
        let lowered = |policy: &Policy, tokens: &str| {
            let params = format!(r#"{{"messages":[]{tokens}}}"#);
            let lowered = policy.review("s", params.as_bytes()).unwrap();
            lowered.map(|lowered| (lowered.old.map(|old| old.get().to_owned()), lowered.new))
        };
        assert_eq!(lowered(&policy(None), r#","maxTokens":4096"#), None);
        assert_eq!(lowered(&policy(None), r#","maxTokens":4097"#), Some((Some("4097".to_owned()), 4096)));
        assert_eq!(lowered(&policy(Some(3)), r#","maxTokens":1e6"#), Some((Some("1e6".to_owned()), 3)));
        assert_eq!(lowered(&policy(Some(3)), ""), Some((None, 3)));
    }

    #[test]
    fn a_request_holds_so_many_messages_and_so_much_media() {
        let limits = Limits { messages: 2, media: 8, ..Limits::default() };
        let text = r#"{"role":"user","content":{"type":"text","text":"a long text is no media"}}"#;
        assert_eq!(checked(&limits, &format!("[{text},{text}]")), Ok(()));
        let error = checked(&limits, &format!("[{text},{text},{text}]")).unwrap_err();
        assert_eq!(error, "the sampling request holds 3 messages, more than `limits.messages` allows (2)");
        let image = |data: &str| format!(r#"{{"type":"image","data":"{data}","mimeType":"image/png"}}"#);
        let user = |block: &str| format!(r#"[{{"role":"user","content":{block}}}]"#);
        assert_eq!(checked(&limits, &user(&image("AAAAAAAA"))), Ok(()));
        let inside = format!(r#"{{"type":"tool_result","toolUseId":"a","content":[{}]}}"#, image("AAAAAAAAAAAA"));
        let blob = r#"{"type":"tool_result","toolUseId":"a","content":[{"type":"resource","resource":{"uri":"a:b","blob":"AAAAAAAAAAAA"}}]}"#;
        for block in [image("AAAAAAAAAAAA"), inside, blob.to_owned()] {
            let error = checked(&limits, &user(&block)).unwrap_err();
            assert!(error.contains("12 bytes of media in one block, more than `limits.media` allows (8)"), "{error}");
        }
    }
}
