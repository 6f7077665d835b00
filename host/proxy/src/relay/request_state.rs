//! A `requestState` of ours: what must be remembered until the client retries, in the client's keeping.
//!
//! It is encrypted and authenticated (ChaCha20-Poly1305), bound to the server and to what is asked, and good for ten minutes. So nobody else
//! can read it, change it, or use it for another request. A process with the same key can take it up: another process, or this one after a
//! new start.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp::RawObject;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::allowance::Spent;

/// How a state of ours begins; a server's own never does.
const MARK: &str = "understudy-1.";

/// How long a client may take to retry, in seconds.
const LIFETIME: u64 = 600;

/// What is remembered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RequestState {
    /// The server's own `requestState`, as spelt.
    pub(super) state: Option<Box<RawValue>>,
    /// The answers that are there already, by the server's keys.
    pub(super) answers: RawObject,
    /// How often the request has been made.
    pub(super) rounds: u32,
    /// What has been asked in its course.
    #[serde(default)]
    pub(super) spent: Spent,
    /// The name of the call that waits in this process for its retry, if one does.
    #[serde(default)]
    pub(super) parked: Option<String>,
    /// When it expires, in seconds since 1970.
    until: u64,
}

impl RequestState {
    pub(super) fn new(state: Option<Box<RawValue>>, answers: RawObject, rounds: u32) -> Self {
        Self { state, answers, rounds, spent: Spent::default(), parked: None, until: now().saturating_add(LIFETIME) }
    }
}

/// Why a state can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnsealError {
    /// Somebody changed it, or it is from another request or another key.
    #[error("the `requestState` doesn't belong to this request, or was changed; make the request again without it")]
    Foreign,
    /// It is too old.
    #[error("the `requestState` has expired (after 10 minutes); make the request again without it")]
    Expired,
}

/// A key for what is sealed, shared by all that are to unseal it.
#[derive(Debug, Clone)]
pub struct StateKey(Arc<SecretBox<[u8; 32]>>);

/// A secret that is too short to make a key of.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("holds {0} bytes, and a key needs at least {LEAST}: `openssl rand -base64 32` makes a good one")]
pub struct WeakKeyError(usize);

/// The least that a secret must hold to be a key, in bytes.
const LEAST: usize = 32;

impl StateKey {
    /// The key that a secret text stands for.
    ///
    /// # Errors
    /// If the text is shorter than 32 bytes.
    pub fn from_secret(secret: &str) -> Result<Self, WeakKeyError> {
        if secret.len() < LEAST {
            return Err(WeakKeyError(secret.len()));
        }
        let digest = Sha256::new().chain_update(b"understudy requestState 1\0").chain_update(secret).finalize();
        Ok(Self(Arc::new(SecretBox::new(Box::new(digest.into())))))
    }
}

/// Seals and unseals, for one server.
pub(super) struct StateSealer {
    key: LessSafeKey,
    server: String,
}

impl StateSealer {
    /// With this key; without one, with a new one that nobody else has.
    pub(super) fn new(key: Option<&StateKey>, server: &str) -> Option<Self> {
        let mut fresh = [0; 32];
        SystemRandom::new().fill(&mut fresh).ok()?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.map_or(&fresh, |StateKey(key)| key.expose_secret()));
        Some(Self { key: LessSafeKey::new(key.ok()?), server: server.to_owned() })
    }

    /// What is authenticated beside what is sealed.
    fn bound(&self, binding: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([self.server.as_bytes(), b"\0", binding].concat())
    }

    /// Seals what is remembered for a request (`binding`).
    pub(super) fn seal(&self, remembered: &RequestState, binding: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = serde_json::to_vec(remembered).ok()?;
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.bound(binding), &mut sealed)
            .ok()?;
        Some(format!("{MARK}{}", URL_SAFE_NO_PAD.encode([&nonce, sealed.as_slice()].concat())))
    }

    /// What a state holds; `None` if it isn't one of ours.
    pub(super) fn unseal(&self, state: &str, binding: &[u8]) -> Option<Result<RequestState, UnsealError>> {
        let sealed = state.strip_prefix(MARK)?;
        let remembered = self.open(sealed, binding).ok_or(UnsealError::Foreign);
        Some(remembered.and_then(
            |remembered| {
                if remembered.until < now() { Err(UnsealError::Expired) } else { Ok(remembered) }
            },
        ))
    }

    fn open(&self, sealed: &str, binding: &[u8]) -> Option<RequestState> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        serde_json::from_slice(self.key.open_in_place(nonce, self.bound(binding), sealed).ok()?).ok()
    }
}

impl std::fmt::Debug for StateSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What a state is bound to: the method, and all parameters that a retry must repeat, whatever their order and spelling.
pub(super) fn binding(method: &str, params: &RawObject) -> Vec<u8> {
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
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const ANSWERS: &str = r#"{"a":{"role":"assistant","n":1.0}}"#;

    fn params(text: &str) -> RawObject {
        serde_json::from_str(text).unwrap()
    }

    fn remembered() -> RequestState {
        RequestState::new(Some(RawValue::from_string(STATE.to_owned()).unwrap()), params(ANSWERS), 3)
    }

    #[test]
    fn what_was_sealed_is_there_for_whoever_repeats_the_request() {
        let key = StateKey::from_secret(SECRET).unwrap();
        let seal = StateSealer::new(Some(&key), "s").unwrap();
        let asked = params(r#"{"name":"t","arguments":{"a":1,"b":[2]},"_meta":{"x":1}}"#);
        let again = params(r#"{"requestState":"…","arguments":{"b":[2], "a":1},"inputResponses":{},"name":"t"}"#);
        let state = seal.seal(&remembered(), &binding("tools/call", &asked)).unwrap();
        let replica = StateSealer::new(Some(&StateKey::from_secret(SECRET).unwrap()), "s").unwrap();
        let found = replica.unseal(&state, &binding("tools/call", &again)).unwrap().unwrap();
        assert_eq!((found.state.as_deref().map(RawValue::get), found.rounds), (Some(STATE), 3));
        assert_eq!(found.answers.raw().get(), ANSWERS);
    }

    #[test]
    fn a_short_secret_is_no_key() {
        assert_eq!(StateKey::from_secret(&SECRET[1..]).unwrap_err(), WeakKeyError(31));
        assert!(!format!("{:?}", StateKey::from_secret(SECRET)).contains("0123"), "the key is shown");
    }

    #[test]
    fn whoever_changes_anything_gets_nothing() {
        let key = StateKey::from_secret(SECRET).unwrap();
        let seal = StateSealer::new(Some(&key), "s").unwrap();
        let bound = binding("tools/call", &params(r#"{"name":"t"}"#));
        let state = seal.seal(&remembered(), &bound).unwrap();
        let other = binding("tools/call", &params(r#"{"name":"u"}"#));
        assert_eq!(seal.unseal(&state, &other).unwrap().unwrap_err(), UnsealError::Foreign);
        for foreign in [StateSealer::new(None, "s"), StateSealer::new(Some(&key), "another server")] {
            assert_eq!(foreign.unwrap().unseal(&state, &bound).unwrap().unwrap_err(), UnsealError::Foreign);
        }
        let mut changed = state.clone();
        changed.replace_range(30..31, if &state[30..31] == "A" { "B" } else { "A" });
        assert_eq!(seal.unseal(&changed, &bound).unwrap().unwrap_err(), UnsealError::Foreign);
        assert_eq!(seal.unseal("understudy-1.", &bound).unwrap().unwrap_err(), UnsealError::Foreign);
        assert!(seal.unseal("the server's own", &bound).is_none());
        let old = RequestState { until: now() - 1, ..remembered() };
        let state = seal.seal(&old, &bound).unwrap();
        assert_eq!(seal.unseal(&state, &bound).unwrap().unwrap_err(), UnsealError::Expired);
    }
}
