//! Log lines. A session has one level for all of its log, and this era one a request: the server is told the most verbose one that a call which is
//! going on wants, and of several clients each gets what its own request named.

use mcp::{Parts, RawObject, is_null, method};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ModernToLegacy, Open};
use crate::transport::Message;

/// A level of log lines (RFC 5424), the most verbose first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(usize);

const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl Level {
    /// The level of this name, as JSON.
    pub(super) fn of(name: &RawValue) -> Option<Self> {
        let name: String = serde_json::from_str(name.get()).ok()?;
        LEVELS.iter().position(|level| *level == name).map(Self)
    }

    /// The level of a log line.
    fn of_line(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            level: &'a RawValue,
        }
        let line: Line = serde_json::from_str(Parts::of(line).ok()?.params?.get()).ok()?;
        Self::of(line.level)
    }
}

impl ModernToLegacy {
    /// A log line: for a call that wants lines of its level.
    pub(super) async fn logged(&mut self, message: &Message) -> Open {
        let level = Level::of_line(&message.line);
        let own = message
            .related_request_id
            .as_ref()
            .and_then(|related_request_id| self.calls.get(related_request_id.as_ref()));
        let is_wanted = match own.filter(|_| self.clients.are_several()) {
            Some(own) => own.log.is_some_and(|wanted| level.is_none_or(|level| level >= wanted)),
            None => self.calls.values().any(|going| going.log.is_some()),
        };
        if !is_wanted {
            return Some(());
        }
        self.send_to_client(message.line.clone(), self.related_request_id(message)).await
    }

    /// A call begins that wants lines of this level; a request that names no level gets none of the log.
    pub(super) async fn log_at(&mut self, level: Level) -> Open {
        let has_log = self
            .server
            .object("capabilities")
            .is_some_and(|has| has.get("logging").is_some_and(|logging| !is_null(logging)));
        let most = self.calls.values().filter_map(|going| going.log).fold(level, Level::min);
        if !has_log || self.level == Some(most) {
            return Some(());
        }
        self.level = Some(most);
        let mut params = RawObject::default();
        params.put("level", &LEVELS.get(most.0));
        self.ask(method::LOGGING_SET_LEVEL, &params).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_as_the_specification_has_them() {
        let level = |name: &str| {
            Level::of_line(format!(r#"{{"params":{{"data":{{"level":"x"}},"level":{name}}}}}"#).as_bytes())
        };
        assert!(level(r#""debug""#) < level(r#""info""#) && level(r#""error""#) < level(r#""\u0065mergency""#));
        assert_eq!((level("7"), level(r#""loud""#), Level::of_line(b"{}")), (None, None, None));
    }
}
