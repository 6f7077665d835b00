//! A POST of JSON by `wasi:http`. Only origins that the user's config allows are reached; the host adds the key, follows no redirect, and
//! ends a request when its time is up.

use serde_json::Value;
use understudy_plugin::error;
use understudy_plugin::types::Error;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn post(url: &str, body: &Value) -> Result<Answer, Error> {
    let (scheme, rest) = match url.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        _ => return Err(error::invalid_request("`settings.url` must begin with `https://` or `http://`")),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let headers = Fields::new();
    for (name, value) in [("content-type", "application/json"), ("accept", "application/json")] {
        headers.append(name, value.as_bytes()).map_err(|e| failed("a header", &e))?;
    }
    let request = OutgoingRequest::new(headers);
    request.set_method(&Method::Post).map_err(|()| failed("the method", &"refused"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| failed("the scheme", &"refused"))?;
    request.set_authority(Some(authority)).map_err(|()| failed("the host of `settings.url`", &"refused"))?;
    request.set_path_with_query(Some(path)).map_err(|()| failed("the path of `settings.url`", &"refused"))?;
    let outgoing = request.body().map_err(|()| failed("the body", &"refused"))?;
    let response = outgoing_handler::handle(request, None).map_err(|e| failed("the request", &e))?;
    write(outgoing, body.to_string().as_bytes())?;
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => read(&response),
        other => Err(failed("the request", &other)),
    }
}

fn write(outgoing: OutgoingBody, body: &[u8]) -> Result<(), Error> {
    let stream = outgoing.write().map_err(|()| failed("the body", &"it has no stream"))?;
    // So much at once is what `wasi:io` takes.
    for piece in body.chunks(4096) {
        stream.blocking_write_and_flush(piece).map_err(|e| failed("the body", &e))?;
    }
    drop(stream);
    OutgoingBody::finish(outgoing, None).map_err(|e| failed("the body", &e))
}

fn read(response: &IncomingResponse) -> Result<Answer, Error> {
    let status = response.status();
    let after = response.headers().get("retry-after").into_iter().next();
    let seconds = after.and_then(|value| String::from_utf8_lossy(&value).trim().parse::<u64>().ok());
    let incoming = response.consume().map_err(|()| failed("the answer", &"it has no body"))?;
    let stream = incoming.stream().map_err(|()| failed("the answer", &"it has no stream"))?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(piece) => body.extend(piece),
            Err(StreamError::Closed) => break,
            Err(e) => return Err(failed("the answer", &e)),
        }
    }
    Ok(Answer { status, retry_after_ms: seconds.and_then(|seconds| seconds.checked_mul(1000)), body })
}

fn failed(what: &str, why: &impl std::fmt::Debug) -> Error {
    error::other(format!("{what} failed: {why:?}"))
}
