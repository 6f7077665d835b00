//! What a modern server requires: requests of the server's to the client, and the call made again with the answers.

use bytes::Bytes;
use mcp::method::{self, SAMPLING_CREATE_MESSAGE};
use mcp::{Parts, RawObject, code, request_line};

use super::{LegacyToModern, Open};
use crate::relay::multi_round::{InputRequest, InputRequired, MOST_ROUNDS};
use understudy::text::one_line;

impl LegacyToModern {
    /// What the server requires becomes requests of the server's.
    pub(super) async fn required(&mut self, front: &[u8], required: InputRequired) -> Open {
        let Some(rounds) = self.calls.get(front).map(|going| going.call.rounds) else { return Some(()) };
        // Requests for completions are counted by the relay, whose rule says how many there may be.
        let samples = required.requests.iter().any(|(_, input)| input.method == SAMPLING_CREATE_MESSAGE);
        if !samples && rounds >= MOST_ROUNDS {
            let reason = format!("the server asked {MOST_ROUNDS} times in one call, and no more are answered");
            return self.fail(front, code::INTERNAL_ERROR, &reason).await;
        }
        let known = |method: &str| method == SAMPLING_CREATE_MESSAGE || method::OTHER_INPUTS.contains(&method);
        if let Some((key, input)) = required.requests.iter().find(|(_, input)| !known(&input.method)) {
            let reason = format!(
                "the server asks for `{}` (as `{}`), which no client can answer",
                one_line(&input.method, 100),
                one_line(key, 100)
            );
            return self.fail(front, code::INTERNAL_ERROR, &reason).await;
        }
        let missing = required.requests.len();
        if let Some(going) = self.calls.get_mut(front) {
            going.call.rounds += u32::from(!samples);
            going.missing = missing;
            going.state = required.state;
            going.responses = RawObject::default();
        }
        if missing == 0 {
            return self.again(front).await;
        }
        let related_request_id = Bytes::copy_from_slice(front);
        for (key, InputRequest { method, params }) in required.requests {
            let id = self.new_id();
            let params = params.as_deref().and_then(RawObject::of).unwrap_or_default();
            let line = request_line(&id, &method, &params);
            self.asked.insert(id, (front.to_vec(), key));
            self.send_to_client(line, Some(related_request_id.clone())).await?;
        }
        Some(())
    }

    /// The client, or the relay in its place, has answered what the server required.
    pub(super) async fn answered(&mut self, line: &Bytes, id: &[u8]) -> Open {
        let Some((front, key)) = self.asked.remove(id) else { return Some(()) };
        let parts = Parts::of(line);
        let result = match &parts {
            Ok(Parts { result: Some(result), error: None, .. }) => (*result).to_owned(),
            Ok(Parts { error: Some(error), .. }) => {
                let (code, said) = (error.code, one_line(&error.message, 1000));
                let reason = format!("the server asked for input in the course of this call, and got none: {said}");
                return self
                    .fail(&front, if code == code::USER_REJECTED { code } else { code::INTERNAL_ERROR }, &reason)
                    .await;
            }
            _ => {
                return self.fail(&front, code::INTERNAL_ERROR, "the client's answer to the server is not valid").await;
            }
        };
        let Some(going) = self.calls.get_mut(&front) else { return Some(()) };
        going.responses.set(&key, result);
        going.missing = going.missing.saturating_sub(1);
        if going.missing == 0 { self.again(&front).await } else { Some(()) }
    }

    /// Makes the call again, with what was required.
    pub(super) async fn again(&mut self, front: &[u8]) -> Open {
        let id = self.new_id();
        let Some(going) = self.calls.get_mut(front) else { return Some(()) };
        let responses = std::mem::take(&mut going.responses);
        let line = going.call.again(&id, &responses, going.state.take().as_deref());
        going.back = Some(id.clone());
        self.by_back.insert(id, front.to_vec());
        self.send_to_server(line).await
    }
}
