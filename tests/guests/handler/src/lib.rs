//! A plugin that makes its own HTTP requests, as it is told: the first message's text is JSON, `{"requests": […], "then": …}`. Its
//! answer is JSON again, what came of each request.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "this plugin is for tests")]

use serde_json::{Map, Value, json};
use understudy_plugin::blocks::NO_EXTRAS;
use understudy_plugin::types::{
    Completion, ContentBlock, CreateMessageRequest, CreateMessageResult, Description, Error, Options, TextContent,
};
use understudy_plugin::{Handler, error, export_handler};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

/// The plugin.
#[derive(Debug)]
pub struct OnItsOwn;

export_handler!(OnItsOwn);

impl Handler for OnItsOwn {
    fn describe() -> Description {
        Description {
            name: "handler".to_owned(),
            version: "0.0.0".to_owned(),
            summary: "makes its own HTTP requests".to_owned(),
            accepts: Vec::new(),
            models: Vec::new(),
            default_model: None,
            endpoint: None,
            credential: None,
            settings_schema: "{}".to_owned(),
            extensions: String::new(),
        }
    }

    fn create_message(request: CreateMessageRequest, options: Options) -> Result<Completion, Error> {
        let Some(ContentBlock::Text(told)) = request.messages[0].content.first() else { panic!("no text") };
        let told: Value = serde_json::from_str(&told.text).unwrap_or_else(|e| panic!("{e}"));
        let mut came = Vec::new();
        for request in told["requests"].as_array().into_iter().flatten() {
            for _ in 0..request["times"].as_u64().unwrap_or(1) {
                came.push(send(request).unwrap_or_else(|error| json!({ "error": error })));
            }
        }
        match told["then"].as_str() {
            Some("trap") => panic!("as told"),
            Some("loop") => loop {
                std::hint::black_box(0);
            },
            Some("error") => return Err(error::other("it failed, and that is all it says")),
            Some("answered") => {
                let status =
                    came[0]["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
                if status != 200 {
                    return Err(error::provider(error::kind_of_status(status), status, "not now", Some(1)));
                }
            }
            _ => {}
        }
        Ok(Completion {
            result: CreateMessageResult {
                content: vec![ContentBlock::Text(TextContent {
                    text: Value::from(came).to_string(),
                    extras: NO_EXTRAS,
                })],
                model: options.model,
                stop_reason: None,
                meta: None,
            },
            usage: None,
            extensions: String::new(),
        })
    }
}

/// Makes one request; what came of it.
fn send(told: &Value) -> Result<Value, String> {
    let text = |key: &str| told[key].as_str();
    let headers = Fields::new();
    for (name, value) in told["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default().as_bytes().to_vec();
        headers.append(name, &value).map_err(|e| format!("header `{name}`: {e:?}"))?;
    }
    let request = OutgoingRequest::new(headers);
    let method = match text("method") {
        None | Some("GET") => Method::Get,
        Some("POST") => Method::Post,
        Some(other) => Method::Other(other.to_owned()),
    };
    let scheme = if text("scheme") == Some("https") { Scheme::Https } else { Scheme::Http };
    request.set_method(&method).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_authority(text("authority")).map_err(|()| "authority")?;
    request.set_path_with_query(Some(text("path").unwrap_or("/"))).map_err(|()| "path")?;
    let body = request.body().map_err(|()| "body")?;
    let response = outgoing_handler::handle(request, None).map_err(|e| format!("{e:?}"))?;
    write(body, told)?;
    response.subscribe().block();
    let response = response.get().ok_or("not ready")?.map_err(|()| "asked twice")?.map_err(|e| format!("{e:?}"))?;
    let seen = |(name, value): (String, Vec<u8>)| (name, Value::from(String::from_utf8_lossy(&value).into_owned()));
    let headers: Map<String, Value> = response.headers().entries().into_iter().map(seen).collect();
    let status = response.status();
    let body = read(&response.consume().map_err(|()| "no body")?)?;
    Ok(json!({ "status": status, "headers": headers, "body": body }))
}

/// Writes the body; the host may not want to hear it to its end.
fn write(body: OutgoingBody, told: &Value) -> Result<(), String> {
    let stream = body.write().map_err(|()| "no stream")?;
    let mut left = told["size"].as_u64().unwrap_or(0);
    if let Some(text) = told["body"].as_str() {
        stream.blocking_write_and_flush(text.as_bytes()).map_err(|e| format!("{e:?}"))?;
    }
    while left > 0 {
        let piece = left.min(4096);
        match stream.blocking_write_and_flush(&[b'x'; 4096][..usize::try_from(piece).unwrap_or(0)]) {
            Ok(()) => left -= piece,
            Err(StreamError::Closed) => break,
            Err(error) => return Err(format!("{error:?}")),
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|e| format!("{e:?}"))
}

fn read(body: &IncomingBody) -> Result<String, String> {
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}
