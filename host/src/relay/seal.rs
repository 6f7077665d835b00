//! A `requestState` of ours: what must be remembered until the client retries, in the client's keeping.
//!
//! It is encrypted and authenticated (ChaCha20-Poly1305), bound to what is asked, and good for ten minutes. So nobody else can read it,
//! change it, or use it for another request.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::members::Members;

/// How a state of ours begins; a server's own never does.
const MARK: &str = "understudy-1.";

/// How long a client may take to retry, in seconds.
const LIFETIME: u64 = 600;

/// What is remembered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The server's own `requestState`, as spelt.
    pub(super) state: Option<Box<RawValue>>,
    /// The answers that are there already, by the server's keys.
    pub(super) answers: Members,
    /// How often the request has been made.
    pub(super) rounds: u32,
    /// When it expires, in seconds since 1970.
    until: u64,
}

impl Remembered {
    pub(super) fn new(state: Option<Box<RawValue>>, answers: Members, rounds: u32) -> Self {
        Self { state, answers, rounds, until: now().saturating_add(LIFETIME) }
    }
}

/// Why a state can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsealing {
    /// Somebody changed it, or it is from another request or another key.
    #[error("the `requestState` doesn't belong to this request, or was changed; make the request again without it")]
    Foreign,
    /// It is too old.
    #[error("the `requestState` has expired (after 10 minutes); make the request again without it")]
    Expired,
}

/// Seals and unseals.
pub(super) struct Seal(LessSafeKey);

impl Seal {
    /// With this key; without one, with a new one that only this process has.
    pub(super) fn new(key: Option<[u8; 32]>) -> Option<Self> {
        let mut fresh = [0; 32];
        SystemRandom::new().fill(&mut fresh).ok()?;
        let key = key.unwrap_or(fresh);
        Some(Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).ok()?)))
    }

    /// Seals what is remembered for a request (`binding`).
    pub(super) fn seal(&self, remembered: &Remembered, binding: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = serde_json::to_vec(remembered).ok()?;
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(binding), &mut sealed).ok()?;
        Some(format!("{MARK}{}", URL_SAFE_NO_PAD.encode([&nonce, sealed.as_slice()].concat())))
    }

    /// What a state holds; `None` if it isn't one of ours.
    pub(super) fn unseal(&self, state: &str, binding: &[u8]) -> Option<Result<Remembered, Unsealing>> {
        let sealed = state.strip_prefix(MARK)?;
        let remembered = self.open(sealed, binding).ok_or(Unsealing::Foreign);
        Some(remembered.and_then(
            |remembered| {
                if remembered.until < now() { Err(Unsealing::Expired) } else { Ok(remembered) }
            },
        ))
    }

    fn open(&self, sealed: &str, binding: &[u8]) -> Option<Remembered> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        serde_json::from_slice(self.0.open_in_place(nonce, Aad::from(binding), sealed).ok()?).ok()
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a state is bound to: the method, and all parameters that a retry must repeat, whatever their order and spelling.
pub(super) fn binding(method: &str, params: &Members) -> Vec<u8> {
    let repeated = params.iter().filter(|(key, _)| !matches!(*key, "_meta" | "inputResponses" | "requestState"));
    let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or(Value::Null);
    let mut all: Value = repeated.map(|(key, raw)| (key.to_owned(), value(raw))).collect::<Map<_, _>>().into();
    all.sort_all_objects();
    format!("{method} {all}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = r#""server's \u00e4""#;
    const ANSWERS: &str = r#"{"a":{"role":"assistant","n":1.0}}"#;

    fn params(text: &str) -> Members {
        serde_json::from_str(text).unwrap()
    }

    fn remembered() -> Remembered {
        Remembered::new(Some(RawValue::from_string(STATE.to_owned()).unwrap()), params(ANSWERS), 3)
    }

    #[test]
    fn what_was_sealed_is_there_for_whoever_repeats_the_request() {
        let seal = Seal::new(Some([7; 32])).unwrap();
        let asked = params(r#"{"name":"t","arguments":{"a":1,"b":[2]},"_meta":{"x":1}}"#);
        let again = params(r#"{"requestState":"…","arguments":{"b":[2], "a":1},"inputResponses":{},"name":"t"}"#);
        let state = seal.seal(&remembered(), &binding("tools/call", &asked)).unwrap();
        let replica = Seal::new(Some([7; 32])).unwrap();
        let found = replica.unseal(&state, &binding("tools/call", &again)).unwrap().unwrap();
        assert_eq!((found.state.as_deref().map(RawValue::get), found.rounds), (Some(STATE), 3));
        assert_eq!(found.answers.raw().get(), ANSWERS);
    }

    #[test]
    fn whoever_changes_anything_gets_nothing() {
        let seal = Seal::new(None).unwrap();
        let bound = binding("tools/call", &params(r#"{"name":"t"}"#));
        let state = seal.seal(&remembered(), &bound).unwrap();
        let other = binding("tools/call", &params(r#"{"name":"u"}"#));
        assert_eq!(seal.unseal(&state, &other).unwrap().unwrap_err(), Unsealing::Foreign);
        assert_eq!(Seal::new(None).unwrap().unseal(&state, &bound).unwrap().unwrap_err(), Unsealing::Foreign);
        let mut changed = state.clone();
        changed.replace_range(30..31, if &state[30..31] == "A" { "B" } else { "A" });
        assert_eq!(seal.unseal(&changed, &bound).unwrap().unwrap_err(), Unsealing::Foreign);
        assert_eq!(seal.unseal("understudy-1.", &bound).unwrap().unwrap_err(), Unsealing::Foreign);
        assert!(seal.unseal("the server's own", &bound).is_none());
        let old = Remembered { until: now() - 1, ..remembered() };
        let state = seal.seal(&old, &bound).unwrap();
        assert_eq!(seal.unseal(&state, &bound).unwrap().unwrap_err(), Unsealing::Expired);
    }
}
