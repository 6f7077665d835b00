//! The requests that a handler makes while it answers one sampling request: counted, and the first breach kept.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use super::guarded::{Guarded, Outgoing};
use crate::error::{Error, Limit};

/// Why a request has no answer, as far as the guest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It isn't allowed.
    Denied,
    /// The name stands for an address that isn't public.
    Prohibited,
    /// The request's body is too large.
    RequestTooLarge,
    /// The answer is too large.
    ResponseTooLarge,
    /// The origin can't be reached.
    Unreachable,
    /// The guest didn't want to wait longer.
    TimedOut,
}

impl Failed {
    /// Whether the guest did what it may not; else it had bad luck.
    fn is_breach(self) -> bool {
        !matches!(self, Self::Unreachable | Self::TimedOut)
    }
}

/// How long a guest wants to wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    /// Until the answer begins.
    pub first: Option<Duration>,
    /// For each further piece of it.
    pub between: Option<Duration>,
}

/// The requests that a handler makes while it answers one sampling request.
#[derive(Debug)]
pub struct Visit {
    guarded: Arc<Guarded>,
    sent: AtomicU32,
    failure: Mutex<Option<(Failed, Error)>>,
}

impl Visit {
    /// None made yet.
    #[must_use]
    pub fn new(guarded: Arc<Guarded>) -> Self {
        Self { guarded, sent: AtomicU32::new(0), failure: Mutex::default() }
    }

    /// What the guest did that it may not, first of all; it counts more than what the guest makes of it.
    #[must_use]
    pub fn breach(&self) -> Option<Error> {
        self.failure().take_if(|(failed, _)| failed.is_breach()).map(|(_, error)| error)
    }

    /// Why its last request failed.
    #[must_use]
    pub fn failure_of_the_last(&self) -> Option<Error> {
        self.failure().take().map(|(_, error)| error)
    }

    fn failure(&self) -> MutexGuard<'_, Option<(Failed, Error)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a guest's request. Dropping the future ends the connection.
    ///
    /// # Errors
    /// What the guest may know of it; the rest is kept for [`Self::breach`].
    pub async fn send<E>(
        &self,
        request: http::Request<UnsyncBoxBody<Bytes, E>>,
        patience: Patience,
    ) -> Result<http::Response<Vec<u8>>, Failed> {
        let outcome = self.exchange(request, patience).await;
        let mut failure = self.failure();
        let keeps = failure.as_ref().is_some_and(|(failed, _)| failed.is_breach());
        match outcome {
            Ok(response) => {
                if !keeps {
                    *failure = None;
                }
                Ok(response)
            }
            Err((failed, error)) => {
                if !keeps {
                    if failed.is_breach() {
                        tracing::warn!("{error}");
                    }
                    *failure = Some((failed, error));
                }
                Err(failed)
            }
        }
    }

    async fn exchange<E>(
        &self,
        request: http::Request<UnsyncBoxBody<Bytes, E>>,
        patience: Patience,
    ) -> Result<http::Response<Vec<u8>>, (Failed, Error)> {
        let limits = self.guarded.limits();
        let limit = |limit| Error::Limit { plugin: self.guarded.plugin().to_owned(), call: "create-message", limit };
        if self.sent.fetch_add(1, Ordering::Relaxed) >= limits.fetches {
            return Err((Failed::Denied, limit(Limit::Fetches(limits.fetches))));
        }
        let (parts, body) = request.into_parts();
        let (url, place) = self.guarded.place(&parts).map_err(|reason| self.guarded.refused(reason))?;
        let most = limits.request_body;
        let body = match read(body, most).await {
            Ok(body) => body,
            Err(true) => return Err((Failed::RequestTooLarge, limit(Limit::RequestBody(most)))),
            Err(false) => return Err(self.guarded.refused("it broke off its body".to_owned())),
        };
        let outgoing = Outgoing { url, method: parts.method, headers: parts.headers, body };
        self.guarded.exchange(place, outgoing, patience).await
    }
}

/// The body; or whether it is larger than it may be, else the guest broke it off.
async fn read<E>(mut body: UnsyncBoxBody<Bytes, E>, most: usize) -> Result<Bytes, bool> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| false)?.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(true);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::http::resolver::tests::always;

    /// A visit that may go to this origin, whose name stands for this machine.
    fn visit(origin: &str, any: bool) -> Visit {
        let guarded = Guarded::resolving_by(origin, any, always(any, [127, 0, 0, 1].into()));
        Visit::new(Arc::new(guarded))
    }

    fn get(url: &str) -> http::Request<UnsyncBoxBody<Bytes, std::convert::Infallible>> {
        http::Request::get(url).body(http_body_util::Empty::new().boxed_unsync()).unwrap()
    }

    #[tokio::test]
    async fn a_name_that_stands_for_this_machine_is_not_connected_to_unless_that_is_meant() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://rebound.example:{}", listener.local_addr().unwrap().port());
        let refused = visit(&origin, false);
        let failed = refused.send(get(&format!("{origin}/a")), Patience::default()).await.unwrap_err();
        assert_eq!(failed, Failed::Prohibited);
        let error = refused.breach().unwrap().to_string();
        assert!(error.contains("`rebound.example` stands for 127.0.0.1, which is no public address"), "{error}");
        assert!(error.contains(&format!("`{{\"origin\": \"{origin}\", \"private\": true}}`")), "{error}");

        let meant = visit(&origin, true);
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let n = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            String::from_utf8_lossy(&head[..n]).into_owned()
        };
        let (got, head) = tokio::join!(meant.send(get(&format!("{origin}/a")), Patience::default()), answer);
        assert_eq!(got.unwrap().into_body(), b"hi");
        assert!(head.contains("host: rebound.example:"), "{head}");
        assert!(meant.breach().is_none());
    }
}
