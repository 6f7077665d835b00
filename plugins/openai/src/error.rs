//! A refusal's status and body as a typed error.
//!
//! OpenAI's body is `{"error": {"message", "type", "code", "param"}}` (developers.openai.com/api/docs/guides/error-codes).
//! Others send the same without the wrapping (Mistral), a bare text (`{"error": "…"}`), FastAPI's `{"detail": …}`, a
//! list of one (Gemini's compatible endpoint), or another of the common forms (`understudy_plugin::refusal`). OpenRouter's `code` is an HTTP status, and stands in an answer with status
//! 200 if the model failed on the way (openrouter.ai/docs/api/reference/errors-and-debugging).

use serde_json::Value;
use understudy_plugin::error::{kind_of_status, provider, unsupported};
use understudy_plugin::refusal::is_over_the_whole_limit;
use understudy_plugin::text::one_line;
use understudy_plugin::types::{Error, HttpResponse};
use understudy_plugin::{http, refusal};

/// The error that an answer with a status other than 2xx stands for.
pub(crate) fn of_response(response: &HttpResponse) -> Error {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    of_body(&body, response)
}

/// The error that a body, or the part of it that reports an error, stands for.
pub(crate) fn of_body(body: &Value, response: &HttpResponse) -> Error {
    let read = Refusal::read(body);
    let status = read.status.unwrap_or(response.status);
    let message = read.message.map_or_else(
        || match http::beginning(&response.body) {
            beginning if beginning.is_empty() => format!("status {status}, and nothing else"),
            beginning => format!("status {status}: `{beginning}`"),
        },
        |message| one_line(&message),
    );
    let kind = read.kind.unwrap_or_else(|| kind_of_words(status, &message));
    // More tokens than a minute allows are too many at any time.
    let kind = if kind == "rate-limited" && is_over_the_whole_limit(&message) { "context-too-long" } else { kind };
    if kind == UNSUPPORTED {
        return unsupported(message);
    }
    let waits = matches!(kind, "rate-limited" | "overloaded" | "unavailable");
    let retry_after_ms = http::retry_after_ms(response).or_else(|| reset_ms(response)).filter(|_| waits);
    provider(kind, status, message, retry_after_ms)
}

/// What can be read out of a body.
#[derive(Default)]
struct Refusal {
    message: Option<String>,
    kind: Option<&'static str>,
    status: Option<u16>,
}

/// Stands for the contract's `unsupported` among the kinds.
const UNSUPPORTED: &str = "unsupported";

impl Refusal {
    fn read(body: &Value) -> Self {
        let first = |value: &'_ Value| value.get(0).cloned().unwrap_or_else(|| value.clone());
        let body = first(body);
        let inner = ["error", "errors"].iter().find_map(|key| body.get(*key).filter(|error| !error.is_null()));
        let error = &inner.map_or_else(|| body.clone(), first);
        let text = |key: &str| error.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        // A bare word in `error` ("Bad Request") says less than the message beside it.
        let of_error = Some(error).filter(|error| !error.is_string()).and_then(refusal::message);
        let message = of_error.or_else(|| refusal::message(&body));
        let code = error.get("code");
        let flagged = error.pointer("/metadata/reasons").is_some();
        Self {
            // OpenRouter hands over what the model's own provider said.
            message: message.map(|message| match error.pointer("/metadata/raw").and_then(Value::as_str) {
                Some(raw) if !raw.is_empty() => format!("{message}: {raw}"),
                _ => message,
            }),
            kind: code
                .and_then(Value::as_str)
                .and_then(kind_of_code)
                .or_else(|| text("type").and_then(kind_of_code))
                .or(flagged.then_some("content-filtered")),
            status: code
                .and_then(Value::as_u64)
                .and_then(|n| u16::try_from(n).ok())
                .filter(|n| (400..=599).contains(n)),
        }
    }
}

/// The kind by the provider's own word, `code` or `type`.
fn kind_of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => "quota-exceeded",
        "rate_limit_exceeded" | "rate_limit_error" | "rate_limit_reached" | "too_many_requests_error" => "rate-limited",
        // `exceed_context_size_error` is llama.cpp's.
        "context_length_exceeded" | "exceed_context_size_error" => "context-too-long",
        // Those with no counterpart in Chat Completions stand in `types/responses/response_error.py`; the prompt was flagged.
        "content_filter"
        | "content_policy_violation"
        | "moderation_blocked"
        | "invalid_prompt"
        | "bio_policy"
        | "misalignment_policy_violation"
        | "image_content_policy_violation" => "content-filtered",
        "invalid_image"
        | "invalid_image_format"
        | "invalid_image_mode"
        | "invalid_image_url"
        | "invalid_base64_image"
        | "image_parse_error"
        | "empty_image_file" => "invalid-request",
        "model_not_found" | "DeploymentNotFound" => "not-found",
        "invalid_api_key" | "authentication_error" => "unauthorized",
        "unsupported_country_region_territory" | "data_residency_mismatch" => "forbidden",
        "server_overloaded" | "overloaded_error" | "engine_overloaded" | "slow_down" => "overloaded",
        // The API takes no `max_output_tokens` under 16, and no reasoning of another account's or provider's.
        "unsupported_parameter"
        | "unsupported_value"
        | "integer_below_min_value"
        | "invalid_encrypted_content"
        | "unsupported_image_media_type"
        | "image_too_large"
        | "image_too_small"
        | "image_file_too_large" => UNSUPPORTED,
        _ => return None,
    })
}

/// The kind where only the status and the message tell.
fn kind_of_words(status: u16, message: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if matches!(status, 400 | 413 | 422) {
        // vLLM and LiteLLM; llama.cpp; LM Studio; SGLang; Anthropic's and Bedrock's models; Gemini's; xAI's; Groq and Cerebras.
        if says(&[
            "maximum context length",
            "maximum model length",
            "exceeds the available context size",
            "context length exceeded",
            "greater than the context length",
            "longer than the model's context length",
            "prompt is too long",
            "Input is too long",
            "exceeds the maximum number of tokens",
            "maximum prompt length",
            "reduce the length of the messages",
        ]) {
            return "context-too-long";
        }
        // Tools with a model that can't do without reasoning; images or audio with a model that has no sense for them.
        if says(&["use /v1/responses", "only supported by certain models", "is not a multimodal model"]) {
            return UNSUPPORTED;
        }
    }
    match status {
        // OpenAI: "The engine is currently overloaded, please try again later".
        503 => "overloaded",
        _ if says(&["You exceeded your current quota"]) => "quota-exceeded",
        // Groq's, in a stream that it breaks off.
        200..=299 if says(&["over capacity", "overloaded"]) => "overloaded",
        // A failure reported with a status of success.
        200..=299 => "internal",
        _ => kind_of_status(status),
    }
}

/// How long to wait by OpenAI's own headers, in milliseconds (developers.openai.com/api/docs/guides/rate-limits).
fn reset_ms(response: &HttpResponse) -> Option<u64> {
    ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"]
        .iter()
        .find_map(|name| duration_ms(http::header_value(response, name)?.trim()))
}

/// A duration as Go writes it: `1s`, `6m0s`, `120ms`, `1h2m3.5s`.
fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let factor = match unit {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1000.0,
            "ms" => 1.0,
            "us" | "µs" => 0.001,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
    (!text.is_empty()).then_some(f64::ceil(total) as u64)
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let cases = [
            ("1s", Some(1000)),
            ("6m0s", Some(360_000)),
            ("120ms", Some(120)),
            ("1h2m3.5s", Some(3_723_500)),
            ("8.64s", Some(8640)),
            ("", None),
            ("soon", None),
            ("5", None),
            ("1.2.3s", None),
            ("1day", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }
}
