//! What a server may ask: how much, and how often at once.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use understudy_mcp_types::{Block, CreateMessageRequestParams, ResourceContents};

use crate::config::{Limits, Sampling};
use crate::error::Error;
use crate::held::Held;

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
    max_tokens: Option<u32>,
    rate: Option<Mutex<Rate>>,
    messages: usize,
    media: usize,
}

/// How often a server may ask: a bucket that holds a minute's worth and fills again as time goes by.
#[derive(Debug)]
struct Rate {
    per_minute: u32,
    left: f64,
    at: Instant,
}

impl Rate {
    fn new(per_minute: u32, now: Instant) -> Self {
        Self { per_minute, left: f64::from(per_minute), at: now }
    }

    /// Takes one; or says how long to wait for it.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let each = 60.0 / f64::from(self.per_minute);
        let filled = now.saturating_duration_since(self.at).as_secs_f64() / each;
        self.left = (self.left + filled).min(f64::from(self.per_minute));
        self.at = now;
        if self.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) * each));
        }
        self.left -= 1.0;
        Ok(())
    }
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
            max_tokens: rule.max_tokens,
            rate: rule.requests_per_minute.map(|n| Mutex::new(Rate::new(n, Instant::now()))),
            messages: usize::try_from(limits.messages).unwrap_or(usize::MAX),
            media: limits.media,
        }
    }

    /// Holds a request to what one may contain.
    ///
    /// # Errors
    /// The first thing of which there is too much.
    pub fn check(&self, request: &CreateMessageRequestParams) -> Result<(), Error> {
        let count = request.messages.len();
        if count > self.messages {
            return Err(Error::RequestTooLarge {
                what: format!("{count} messages"),
                key: "messages",
                most: self.messages,
            });
        }
        let blocks = request.messages.iter().flat_map(|message| &message.content);
        match blocks.map(largest_media).max() {
            Some(bytes) if bytes > self.media => Err(Error::RequestTooLarge {
                what: format!("{bytes} bytes of media in one block"),
                key: "media",
                most: self.media,
            }),
            _ => Ok(()),
        }
    }

    /// Lowers what the config caps.
    #[must_use]
    pub fn clamp(&self, mut request: CreateMessageRequestParams) -> CreateMessageRequestParams {
        if let Some(most) = self.max_tokens {
            request.max_tokens = request.max_tokens.min(most.into());
        }
        request
    }

    /// Waits for a place to run, in order of arrival, with a request of this size.
    ///
    /// # Errors
    /// If the server asks too often, too many are waiting already, or hold too much.
    pub async fn admit(&self, size: usize) -> Result<Place<'_>, Error> {
        if let Some(rate) = &self.rate {
            let mut rate = rate.lock().unwrap_or_else(PoisonError::into_inner);
            let most = rate.per_minute;
            rate.take(Instant::now()).map_err(|wait| Error::TooOften { most, wait })?;
        }
        let (bytes, sum) = Held::new(&self.bytes, size);
        if sum > self.most_bytes {
            return Err(Error::TooMuch { most: self.most_bytes });
        }
        let too_many = |_| Error::TooMany { running: self.concurrent, waiting: self.waiting };
        let place = self.places.try_acquire().map_err(too_many)?;
        let running = self.running.acquire().await;
        // The semaphore is never closed.
        let running = running.map_err(|_| Error::TooMany { running: self.concurrent, waiting: self.waiting })?;
        Ok(Place { _running: running, _waiting: place, _bytes: bytes })
    }
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

    #[test]
    fn a_minutes_worth_can_come_at_once_and_then_as_time_goes_by() {
        let start = Instant::now();
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut rate = Rate::new(30, start);
        assert!((0..30).all(|_| rate.take(start).is_ok()));
        assert_eq!(rate.take(start), Err(Duration::from_secs(2)));
        assert_eq!(rate.take(at(1.0)), Err(Duration::from_secs(1)));
        assert_eq!(rate.take(at(2.001)), Ok(()));
        assert!(rate.take(at(2.001)).is_err());
        // An hour's pause saves up no more than a minute's worth.
        assert_eq!((0..100).filter(|_| rate.take(at(3600.0)).is_ok()).count(), 30);
    }

    fn checked(limits: &Limits, messages: &str) -> Result<(), String> {
        let params = format!(r#"{{"messages":{messages},"maxTokens":1}}"#);
        let request = CreateMessageRequestParams::from_json(params.as_bytes()).unwrap();
        Policy::new(&Sampling::by(Vec::new()), limits).check(&request).map_err(|e| e.to_string())
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
