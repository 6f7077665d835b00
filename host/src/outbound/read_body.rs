//! Reading a response whole, within its limit and throttled.

use std::time::Duration;

use super::throttle::ReadThrottle;
use crate::http::within;

/// Why a body can't be read.
#[derive(Debug)]
pub(super) enum ReadBodyError {
    /// It is larger than it may be.
    TooLarge,
    /// The connection broke.
    Broken(reqwest::Error),
    /// The timeout between two pieces has passed.
    TimedOut,
}

/// The body, if it has no more bytes than `most` and no pause in it is longer than `between`. `begun`: what of it has been read
/// already.
pub(super) async fn read_body(
    mut response: reqwest::Response,
    begun: Vec<u8>,
    most: usize,
    between: Option<Duration>,
) -> Result<Vec<u8>, ReadBodyError> {
    let announced = response.content_length().map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > most {
        return Err(ReadBodyError::TooLarge);
    }
    if begun.len() > most {
        return Err(ReadBodyError::TooLarge);
    }
    let (mut body, mut throttle) = (begun, ReadThrottle::default());
    body.reserve(announced.saturating_sub(body.len()));
    while let Some(chunk) =
        within(between, response.chunk()).await.ok_or(ReadBodyError::TimedOut)?.map_err(ReadBodyError::Broken)?
    {
        if body.len() + chunk.len() > most {
            return Err(ReadBodyError::TooLarge);
        }
        body.extend_from_slice(&chunk);
        throttle.pass(chunk.len()).await;
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;

    use bytes::Bytes;
    use futures_util::stream;

    use super::*;

    /// A response of this many pieces of a mebibyte, all available at once.
    fn answer(pieces: usize) -> reqwest::Response {
        let piece = Bytes::from(vec![b' '; 1 << 20]);
        let pieces = stream::iter((0..pieces).map(move |_| Ok::<_, Infallible>(piece.clone())));
        http::Response::new(reqwest::Body::wrap_stream(pieces)).into()
    }

    #[tokio::test]
    async fn what_pours_in_is_taken_in_at_its_pace_and_is_no_larger_than_it_may_be() {
        assert_eq!(read_body(answer(1), Vec::new(), 1 << 20, None).await.unwrap().len(), 1 << 20);
        assert!(matches!(read_body(answer(2), Vec::new(), 1 << 20, None).await, Err(ReadBodyError::TooLarge)));
        // All of it is available: without a throttle it would be read at once.
        let mut flood = pin!(read_body(answer(1000), Vec::new(), 100 << 20, None));
        assert!(futures_util::poll!(&mut flood).is_pending());
    }
}
