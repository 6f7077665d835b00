//! The headers of a stateless request, which repeat what is in it.
//! Revision 2026-07-28, basic/transports/streamable-http, "Request Metadata".

use bytes::Bytes;
use mcp::param_headers::encode;
use mcp::{Envelope, Head, Parts, RawObject, header, method};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::PROTOCOL_VERSION;
use super::tool_headers::Tools;

const METHOD: HeaderName = HeaderName::from_static(header::METHOD);
const NAME: HeaderName = HeaderName::from_static(header::NAME);

/// A message of this era.
#[derive(Debug)]
pub(super) struct StatelessRequest {
    version: HeaderValue,
    method: String,
    name: Option<String>,
    /// A call's arguments, as spelt.
    arguments: Option<String>,
    /// `_meta`
    pub(super) meta: RawObject,
}

impl StatelessRequest {
    /// Reads a message; `None` if it is of another era.
    pub(super) fn of(line: &Bytes, head: &Head) -> Option<Self> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow, default)]
            name: Option<&'a RawValue>,
            #[serde(borrow, default)]
            uri: Option<&'a RawValue>,
            #[serde(borrow, default)]
            arguments: Option<&'a RawValue>,
        }
        let envelope = Envelope::of(line)?;
        let version = HeaderValue::from_str(envelope.version.as_deref()?).ok()?;
        let params: Params = serde_json::from_str(Parts::of(line).ok()?.params?.get()).ok()?;
        let method = head.method()?.to_owned();
        let name = match method::name_parameter(&method) {
            Some("uri") => params.uri,
            Some(_) => params.name,
            None => None,
        };
        let arguments = params.arguments.filter(|_| method == method::TOOLS_CALL);
        Some(Self {
            version,
            name: name.and_then(|name| serde_json::from_str(name.get()).ok()),
            arguments: arguments.map(|arguments| arguments.get().to_owned()),
            meta: envelope.members(),
            method,
        })
    }

    /// Whether it asks which revisions the server speaks.
    pub(super) fn is_discovery(&self) -> bool {
        self.method == method::SERVER_DISCOVER
    }

    pub(super) fn is_list_of_tools(&self) -> bool {
        self.method == method::TOOLS_LIST
    }

    /// The tool that is called.
    pub(super) fn tool(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.method == method::TOOLS_CALL)
    }

    /// The headers; or why the message can't go out.
    pub(super) fn headers(&self, tools: &Tools) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(PROTOCOL_VERSION, self.version.clone());
        headers.extend(HeaderValue::from_str(&self.method).ok().map(|method| (METHOD, method)));
        headers.extend(
            self.name.as_deref().and_then(|name| HeaderValue::try_from(encode(name)).ok()).map(|name| (NAME, name)),
        );
        if let Some(tool) = self.tool() {
            tools.add_headers(tool, self.arguments.as_deref().unwrap_or("{}"), &mut headers)?;
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<StatelessRequest> {
        StatelessRequest::of(&Bytes::copy_from_slice(line.as_bytes()), &Head::of(line.as_bytes()))
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
