//! The HTTP requests of one call of a handler plugin: counted, and the first violation of the egress policy recorded.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use super::egress_policy::{EgressPolicy, GuestRequest};
use crate::error::{Error, Limit};

/// Why a request has no response, as far as the guest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The egress policy doesn't allow it.
    Denied,
    /// The name resolves to no public address.
    NotPublic,
    /// The request's body is too large.
    RequestTooLarge,
    /// The answer is too large.
    ResponseTooLarge,
    /// The origin can't be reached.
    Unreachable,
    /// The guest's timeout has passed.
    TimedOut,
}

impl SendError {
    /// Whether the request violates the policy or a limit; else the network failed.
    fn is_violation(self) -> bool {
        !matches!(self, Self::Unreachable | Self::TimedOut)
    }
}

/// The timeouts that the guest asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeouts {
    /// Until the response begins.
    pub first_byte: Option<Duration>,
    /// Between two pieces of its body.
    pub between_bytes: Option<Duration>,
}

/// The HTTP requests of one call.
#[derive(Debug)]
pub struct HandlerHttp {
    egress_policy: Arc<EgressPolicy>,
    sent: AtomicU32,
    failure: Mutex<Option<(SendError, Error)>>,
}

impl HandlerHttp {
    /// None made yet.
    #[must_use]
    pub fn new(egress_policy: Arc<EgressPolicy>) -> Self {
        Self { egress_policy, sent: AtomicU32::new(0), failure: Mutex::default() }
    }

    /// The first violation of this call; it takes precedence over the guest's own error.
    #[must_use]
    pub fn policy_violation(&self) -> Option<Error> {
        self.failure().take_if(|(failed, _)| failed.is_violation()).map(|(_, error)| error)
    }

    /// Why the last request failed.
    #[must_use]
    pub fn last_failure(&self) -> Option<Error> {
        self.failure().take().map(|(_, error)| error)
    }

    fn failure(&self) -> MutexGuard<'_, Option<(SendError, Error)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a guest's request. Dropping the future closes the connection.
    ///
    /// # Errors
    /// What the guest may know; the full error is kept for [`Self::policy_violation`].
    pub async fn send<E>(
        &self,
        request: http::Request<UnsyncBoxBody<Bytes, E>>,
        timeouts: Timeouts,
    ) -> Result<http::Response<Vec<u8>>, SendError> {
        let outcome = self.exchange(request, timeouts).await;
        let mut failure = self.failure();
        let keeps = failure.as_ref().is_some_and(|(failed, _)| failed.is_violation());
        match outcome {
            Ok(response) => {
                if !keeps {
                    *failure = None;
                }
                Ok(response)
            }
            Err((failed, error)) => {
                if !keeps {
                    if failed.is_violation() {
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
        timeouts: Timeouts,
    ) -> Result<http::Response<Vec<u8>>, (SendError, Error)> {
        let limits = self.egress_policy.limits();
        let limit =
            |limit| Error::Limit { plugin: self.egress_policy.plugin().to_owned(), call: "create-message", limit };
        if self.sent.fetch_add(1, Ordering::Relaxed) >= limits.fetches {
            return Err((SendError::Denied, limit(Limit::Fetches(limits.fetches))));
        }
        let (parts, body) = request.into_parts();
        let (url, target) = self.egress_policy.check(&parts).map_err(|reason| self.egress_policy.refused(reason))?;
        let most = limits.request_body;
        let body = match read(body, most).await {
            Ok(body) => body,
            Err(true) => return Err((SendError::RequestTooLarge, limit(Limit::RequestBody(most)))),
            Err(false) => return Err(self.egress_policy.refused("it broke off its body".to_owned())),
        };
        let request = GuestRequest { url, method: parts.method, headers: parts.headers, body };
        self.egress_policy.exchange(target, request, timeouts).await
    }
}

/// Reads the body. The error says whether it is too large; otherwise the guest has broken it off.
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

    /// Requests that may go to this origin, whose name resolves to this machine.
    fn requests(origin: &str, any: bool) -> HandlerHttp {
        let egress_policy = EgressPolicy::resolving_by(origin, any, always(any, [127, 0, 0, 1].into()));
        HandlerHttp::new(Arc::new(egress_policy))
    }

    fn get(url: &str) -> http::Request<UnsyncBoxBody<Bytes, std::convert::Infallible>> {
        http::Request::get(url).body(http_body_util::Empty::new().boxed_unsync()).unwrap()
    }

    #[tokio::test]
    async fn a_name_that_stands_for_this_machine_is_not_connected_to_unless_that_is_meant() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://rebound.example:{}", listener.local_addr().unwrap().port());
        let refused = requests(&origin, false);
        let failed = refused.send(get(&format!("{origin}/a")), Timeouts::default()).await.unwrap_err();
        assert_eq!(failed, SendError::NotPublic);
        let error = refused.policy_violation().unwrap().to_string();
        assert!(error.contains("`rebound.example` stands for 127.0.0.1, which is no public address"), "{error}");
        assert!(error.contains(&format!("`{{\"origin\": \"{origin}\", \"private\": true}}`")), "{error}");

        let meant = requests(&origin, true);
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let n = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            String::from_utf8_lossy(&head[..n]).into_owned()
        };
        let (got, head) = tokio::join!(meant.send(get(&format!("{origin}/a")), Timeouts::default()), answer);
        assert_eq!(got.unwrap().into_body(), b"hi");
        assert!(head.contains("host: rebound.example:"), "{head}");
        assert!(meant.policy_violation().is_none());
    }
}
