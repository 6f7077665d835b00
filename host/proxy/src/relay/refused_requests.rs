//! Writing down the sampling requests that the relay refuses by itself: by the allowance of a call, by `tools`, by what was declared.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use understudy::sampling::{Circumstances, Sampler, SamplingParams, SamplingRequest};

/// So many wait to be written at a time; of a flood no more are.
const MOST: usize = 256;

/// Those of one server.
#[derive(Debug)]
pub(super) struct RefusedRequests {
    places: Arc<Semaphore>,
}

impl Default for RefusedRequests {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)) }
    }
}

impl RefusedRequests {
    /// Writes one down, if the config has a ledger.
    pub(super) fn write(&self, sampler: &Arc<Sampler>, params: Bytes, circumstances: Circumstances, reason: &str) {
        if !sampler.keeps_ledger() {
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!("too many requests are refused at once: not all of them are in the ledger");
            return;
        };
        let (sampler, reason) = (Arc::clone(sampler), reason.to_owned());
        tokio::spawn(async move {
            let _place = place;
            let params = SamplingParams::Json(&params);
            let refused = SamplingRequest { params, circumstances, ..SamplingRequest::default() };
            sampler.record_refusal(refused, &reason).await;
        });
    }
}
