//! A refusal's status and body as a typed error.
//!
//! The body is `{"error": {"code", "message", "status", "details": […]}}`, a `google.rpc.Status` with the details of
//! `google/rpc/error_details.proto`; some ways it comes as a list of one.

use serde_json::Value;
use understudy_plugin::error::{kind_of_status, provider, unsupported};
use understudy_plugin::http;
use understudy_plugin::refusal::message;
use understudy_plugin::text::one_line;
use understudy_plugin::types::{Error, HttpResponse};

/// The error that an answer with a status other than 2xx stands for.
pub(crate) fn of_response(response: &HttpResponse, model: &str) -> Error {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let google = body.get(0).unwrap_or(&body).get("error").filter(|error| error.is_object());
    of_body(google.unwrap_or(&body), response, model)
}

/// The error that the `error` of a body stands for, or the whole body of a gateway.
pub(crate) fn of_body(error: &Value, response: &HttpResponse, model: &str) -> Error {
    let refusal = Refusal::read(error);
    let status = refusal.code.unwrap_or(response.status);
    let mut message = match (&refusal.message, http::beginning(&response.body)) {
        (Some(message), _) => one_line(message),
        (None, beginning) if beginning.is_empty() => format!("status {status}, and nothing else"),
        (None, beginning) => format!("status {status}: `{beginning}`"),
    };
    let kind = refusal.kind(status);
    if kind == UNSUPPORTED {
        return unsupported(message);
    }
    let remedy = match kind {
        "unauthorized" => Some("check the credential, which is usually in GOOGLE_API_KEY or GEMINI_API_KEY".to_owned()),
        "not-found" if refusal.status.is_some() => {
            Some(format!("`{model}` was asked for: choose another by the plugin's `model`"))
        }
        "not-found" => Some("check the plugin's `endpoint`".to_owned()),
        _ => None,
    };
    if let Some(remedy) = remedy {
        message = format!("{message} ({remedy})");
    }
    let waits = matches!(kind, "rate-limited" | "overloaded" | "unavailable");
    let retry_after_ms = http::retry_after_ms(response).or(refusal.retry_delay_ms).filter(|_| waits);
    provider(kind, status, message, retry_after_ms)
}

/// Stands for the contract's `unsupported` among the kinds.
const UNSUPPORTED: &str = "unsupported";

/// What can be read out of a body.
struct Refusal<'a> {
    message: Option<String>,
    /// The canonical code's name, `RESOURCE_EXHAUSTED` say.
    status: Option<&'a str>,
    code: Option<u16>,
    /// `ErrorInfo.reason`
    reason: Option<&'a str>,
    /// Whether the quota is none that a short wait refills.
    is_spent: bool,
    retry_delay_ms: Option<u64>,
}

impl<'a> Refusal<'a> {
    fn read(error: &'a Value) -> Self {
        let text = |value: &'a Value, key: &str| value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let details = || error.get("details").and_then(Value::as_array).into_iter().flatten();
        let mut violations = details().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
        Self {
            message: message(error),
            status: text(error, "status"),
            code: error
                .get("code")
                .and_then(Value::as_u64)
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| (400..=599).contains(code)),
            reason: details().find_map(|detail| text(detail, "reason")),
            is_spent: violations.any(|violation| {
                text(violation, "quotaId").is_some_and(|id| id.contains("PerDay"))
                    || text(violation, "quotaValue") == Some("0")
            }),
            retry_delay_ms: details().find_map(|detail| seconds_to_ms(text(detail, "retryDelay")?)),
        }
    }

    fn kind(&self, status: u16) -> &'static str {
        let says = |words: &[&str]| {
            self.message.as_ref().is_some_and(|message| words.iter().any(|words| message.contains(words)))
        };
        match self.reason {
            Some("API_KEY_INVALID") => return "unauthorized",
            // A model beyond the account's plan.
            Some("BILLING_DISABLED") => return "quota-exceeded",
            _ => {}
        }
        match self.status {
            Some("INVALID_ARGUMENT" | "OUT_OF_RANGE") => {
                if says(&["exceeds the maximum number of tokens", "input context is too long"]) {
                    "context-too-long"
                } else if says(&["API key not valid", "API key expired"]) {
                    "unauthorized"
                } else if says(&[
                    "Unsupported MIME type",
                    "is not enabled for",
                    "does not support",
                    "is not supported by",
                ]) {
                    UNSUPPORTED
                } else {
                    "invalid-request"
                }
            }
            Some("FAILED_PRECONDITION") if says(&["billing"]) => "quota-exceeded",
            Some("UNAUTHENTICATED") => "unauthorized",
            Some("PERMISSION_DENIED") if says(&["API key", "API Key", "unregistered callers"]) => "unauthorized",
            // A precondition is where the user lives: "User location is not supported for the API use."
            Some("FAILED_PRECONDITION" | "PERMISSION_DENIED") => "forbidden",
            Some("NOT_FOUND") => "not-found",
            Some("RESOURCE_EXHAUSTED")
                if self.is_spent || says(&["credits are depleted", "spending cap", "limit: 0,", "limit: 0\n"]) =>
            {
                "quota-exceeded"
            }
            Some("RESOURCE_EXHAUSTED") => "rate-limited",
            // "The model is overloaded. Please try again later."
            Some("UNAVAILABLE") => "overloaded",
            Some("DEADLINE_EXCEEDED" | "ABORTED" | "CANCELLED") => "unavailable",
            Some("UNIMPLEMENTED") => UNSUPPORTED,
            Some("INTERNAL" | "UNKNOWN" | "DATA_LOSS") => "internal",
            // A failure reported with a status of success.
            _ if (200..=299).contains(&status) => "internal",
            _ => kind_of_status(status),
        }
    }
}

/// A `google.protobuf.Duration` in JSON: `34s`, `34.074824224s`.
fn seconds_to_ms(duration: &str) -> Option<u64> {
    let seconds: f64 = duration.strip_suffix('s')?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is not negative")]
    (seconds.is_finite() && seconds >= 0.0).then_some((seconds * 1000.0).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::seconds_to_ms;

    #[test]
    fn delays_are_read_as_protobuf_writes_them() {
        let cases = [
            ("34s", Some(34_000)),
            ("0s", Some(0)),
            ("1.5s", Some(1500)),
            ("34.074824224s", Some(34_075)),
            ("-1s", None),
            ("1e400s", None),
            ("NaNs", None),
            ("s", None),
            ("34", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds_to_ms(text), expected, "{text}");
        }
    }
}
