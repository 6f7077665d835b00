//! Fixtures: one conversation with a plugin as JSON, for plugins' own tests and for the host's `plugin check`. The format is described
//! in the crate `understudy-plugin`, module `testing`.

use serde_json::Value;

/// A body as a fixture has it: a text as it stands, any other JSON written, null for none.
#[doc(hidden)]
#[must_use]
pub fn bytes_of_body(body: &Value) -> Vec<u8> {
    match body {
        Value::String(text) => text.clone().into_bytes(),
        Value::Null => Vec::new(),
        json => json.to_string().into_bytes(),
    }
}

/// The body in a fixture's words: JSON, or a text if it is none.
#[doc(hidden)]
#[must_use]
pub fn body_of_bytes(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// What a fixture's response says of an HTTP status.
#[doc(hidden)]
#[must_use]
pub fn status_of(answer: &Value) -> u16 {
    answer.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(200)
}

/// Defines the functions that turn the contract's records, generated in the given module, into a fixture's JSON and back:
/// `fetch_json`, `headers_of`, `answer_of`, `error_json` and `usage_json`.
#[macro_export]
macro_rules! fixture_conversions {
    ($($types:tt)+) => {
        /// An exchange's request.
        fn fetch_json(fetch: &$($types)+::Fetch) -> ::serde_json::Value {
            use $($types)+ as w;
            let method = match fetch.request.method {
                w::HttpMethod::Get => "GET",
                w::HttpMethod::Post => "POST",
                w::HttpMethod::Put => "PUT",
                w::HttpMethod::Patch => "PATCH",
                w::HttpMethod::Delete => "DELETE",
            };
            let mut request = ::serde_json::Map::new();
            let mut put = |key: &str, value: ::serde_json::Value| request.insert(key.to_owned(), value);
            put("method", method.into());
            put("path", fetch.request.path.clone().into());
            let headers = fetch.request.headers.iter();
            let headers = headers.map(|header| (header.name.clone(), header.value.clone().into()));
            put("headers", ::serde_json::Value::Object(headers.collect()));
            if let Some(endpoint) = &fetch.request.endpoint {
                put("endpoint", endpoint.clone().into());
            }
            match fetch.framing {
                w::Framing::Whole => None,
                w::Framing::ServerSentEvents => put("framing", "server-sent-events".into()),
                w::Framing::Lines => put("framing", "lines".into()),
            };
            if !fetch.request.body.is_empty() {
                put("body", $crate::__private::body_of_bytes(&fetch.request.body));
            }
            ::serde_json::Value::Object(request)
        }

        /// The headers of a response.
        fn headers_of(answer: &::serde_json::Value) -> Vec<$($types)+::Header> {
            let headers = answer.get("headers").and_then(::serde_json::Value::as_object).into_iter().flatten();
            let header = |(name, value): (&String, &::serde_json::Value)| $($types)+::Header {
                name: name.clone(),
                value: value.as_str().unwrap_or_default().to_owned(),
            };
            headers.map(header).collect()
        }

        /// A response.
        fn answer_of(answer: &::serde_json::Value) -> $($types)+::HttpResponse {
            $($types)+::HttpResponse {
                status: $crate::__private::status_of(answer),
                headers: headers_of(answer),
                body: answer.get("body").map($crate::__private::bytes_of_body).unwrap_or_default(),
                extensions: "{}".to_owned(),
            }
        }

        /// An error.
        fn error_json(error: &$($types)+::Error) -> ::serde_json::Value {
            use $($types)+ as w;
            let plain = |kind: &str, failure: &w::Failure| ::serde_json::json!({ "kind": kind, "message": failure.message });
            match error {
                w::Error::InvalidRequest(failure) => plain("invalid-request", failure),
                w::Error::Unsupported(failure) => plain("unsupported", failure),
                w::Error::MalformedResponse(failure) => plain("malformed-response", failure),
                w::Error::Other(failure) => plain("other", failure),
                w::Error::Provider(provider) => {
                    let mut value =
                        ::serde_json::json!({ "provider": true, "kind": provider.kind, "message": provider.message });
                    if let (Some(fields), Some(status)) = (value.as_object_mut(), provider.status) {
                        fields.insert("status".to_owned(), status.into());
                    }
                    if let (Some(fields), Some(ms)) = (value.as_object_mut(), provider.retry_after_ms) {
                        fields.insert("retryAfterMs".to_owned(), ms.into());
                    }
                    value
                }
            }
        }

        /// What an answer cost, if it says.
        fn usage_json(usage: &$($types)+::Usage) -> Result<::serde_json::Value, String> {
            let details = match usage.details.trim() {
                "" => Ok(::serde_json::json!({})),
                text => ::serde_json::from_str(text).map_err(|e| format!("`usage.details` is not JSON: {e}")),
            };
            Ok(::serde_json::json!({ "input": usage.input_tokens, "output": usage.output_tokens, "details": details? }))
        }
    };
}
