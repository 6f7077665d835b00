//! What the era without sessions (2026-07-28) wants beside a message: headers that say what is in it.
//! Revision 2026-07-28, basic/transports/streamable-http, "Request Metadata".

use std::collections::HashMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::params::{Tools, encoded};
use crate::jsonrpc::{Head, Parts};

pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Where a message of this era says its version.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// A message of this era.
#[derive(Debug)]
pub(super) struct Modern {
    version: HeaderValue,
    method: String,
    name: Option<String>,
    /// A call's arguments, as spelt.
    arguments: Option<String>,
    /// `_meta`, as spelt.
    pub(super) meta: String,
}

impl Modern {
    /// Reads a message; `None` if it is of another era.
    pub(super) fn of(line: &[u8], head: &Head) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow, rename = "_meta")]
            meta: &'a RawValue,
            #[serde(borrow, default)]
            name: Option<&'a RawValue>,
            #[serde(borrow, default)]
            uri: Option<&'a RawValue>,
            #[serde(borrow, default)]
            arguments: Option<&'a RawValue>,
        }
        let params: Params = serde_json::from_str(Parts::of(line).ok()?.params?.get()).ok()?;
        let meta: HashMap<String, &RawValue> = serde_json::from_str(params.meta.get()).ok()?;
        let version: String = serde_json::from_str(meta.get(VERSION_KEY)?.get()).ok()?;
        let method = head.method()?.to_owned();
        let name = match method.as_str() {
            "tools/call" | "prompts/get" => params.name,
            "resources/read" => params.uri,
            _ => None,
        };
        let arguments = params.arguments.filter(|_| method == "tools/call");
        Some(Self {
            version: HeaderValue::from_str(&version).ok()?,
            name: name.and_then(|name| serde_json::from_str(name.get()).ok()),
            arguments: arguments.map(|arguments| arguments.get().to_owned()),
            meta: params.meta.get().to_owned(),
            method,
        })
    }

    /// Whether it asks which revisions the server speaks.
    pub(super) fn is_discovery(&self) -> bool {
        self.method == "server/discover"
    }

    pub(super) fn is_list_of_tools(&self) -> bool {
        self.method == "tools/list"
    }

    /// The tool that is called.
    pub(super) fn tool(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.method == "tools/call")
    }

    /// The headers; or why the message can't go out.
    pub(super) fn headers(&self, tools: &Tools) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(PROTOCOL_VERSION, self.version.clone());
        headers.extend(HeaderValue::from_str(&self.method).ok().map(|method| (METHOD, method)));
        headers.extend(self.name.as_deref().and_then(encoded).map(|name| (NAME, name)));
        if let Some(tool) = self.tool() {
            tools.mirror(tool, self.arguments.as_deref().unwrap_or("{}"), &mut headers)?;
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Modern> {
        Modern::of(line.as_bytes(), &Head::of(line.as_bytes()))
    }

    #[test]
    fn a_message_tells_its_era_and_its_headers_however_it_is_spelt() {
        let line = r#"{"id":1,"method":"resources\/read","params":{"uri":"file:\/\/\/é","name":5,"_meta":{"x":[],"io.modelcontextprotocol\/protocolVersion":"2026-07-28"}}}"#;
        let headers = read(line).unwrap().headers(&Tools::default()).unwrap();
        assert_eq!(headers[PROTOCOL_VERSION], "2026-07-28");
        assert_eq!(headers[METHOD], "resources/read");
        assert_eq!(headers[NAME], "=?base64?ZmlsZTovLy/DqQ==?=");
        for line in [
            r#"{"id":1,"method":"tools/list","params":{"_meta":{"progressToken":1}}}"#,
            r#"{"id":1,"method":"tools/list"}"#,
            r#"{"id":1,"method":"tools/list","params":[]}"#,
        ] {
            assert!(read(line).is_none(), "{line}");
        }
    }
}
