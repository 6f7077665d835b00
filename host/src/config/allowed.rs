//! The origins that a handler plugin may send its own HTTP requests to.

use serde_json::Value;

use super::section::{Section, kind, wrong};
use super::{ConfigError, CredentialConfig};

/// An origin that a handler plugin may send HTTP requests to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Scheme, host and port.
    pub origin: String,
    /// Whether its name may stand for an address that isn't public.
    pub private: bool,
    /// The credential that goes there.
    pub credential: Option<CredentialConfig>,
}

impl Allowed {
    /// A handler's own credential belongs to the one origin that it may reach.
    pub(super) fn take_credential(
        allow: &mut [Self],
        own: &mut Option<CredentialConfig>,
        section: &Section,
    ) -> Result<(), ConfigError> {
        let Some(credential) = own.take() else { return Ok(()) };
        match allow {
            [only] if only.credential.is_none() => only.credential = Some(credential),
            [_] => return Err(section.wrong("credential", "stands beside the one in `allow`: an origin has one")),
            [] => return Err(section.wrong("credential", "goes nowhere: `allow` names no origin")),
            _ => {
                let reason = "can't tell which origin of `allow` it belongs to; write it into that origin: `{\"origin\": …, \"credential\": …}`";
                return Err(section.wrong("credential", reason));
            }
        }
        Ok(())
    }

    pub(super) fn all(section: &mut Section) -> Result<Option<Vec<Self>>, ConfigError> {
        let path = section.key("allow");
        match section.take("allow") {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let parse = |(i, item)| Self::parse(&format!("{path}[{i}]"), item);
                items.into_iter().enumerate().map(parse).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(wrong(
                &path,
                &format!("must be an array of origins such as `\"https://api.example.com\"`, and is {}", kind(&other)),
            )),
        }
    }

    fn parse(path: &str, value: Value) -> Result<Self, ConfigError> {
        if let Value::String(origin) = value {
            return Ok(Self { origin, private: false, credential: None });
        }
        let mut section = Section::of(path, value)?;
        let Some(origin) = section.string("origin")? else {
            return Err(section.wrong("origin", "is missing: write scheme and host, such as `https://api.example.com`"));
        };
        let allowed = Self {
            origin,
            private: section.boolean("private")?.unwrap_or(false),
            credential: section.section("credential")?.map(CredentialConfig::parse).transpose()?,
        };
        section.finish()?;
        Ok(allowed)
    }
}
