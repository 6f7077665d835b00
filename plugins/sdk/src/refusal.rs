//! What the body of a refusal says: that of the provider, a gateway, or a proxy before it.

use serde_json::Value;

/// Where a message stands, the likeliest first.
const KEYS: [&str; 14] = [
    "message",
    "msg",
    "error",
    "errors",
    "detail",
    "Message",
    "error_msg",
    "error_message",
    "errorMessage",
    "error_description",
    "faultstring",
    "fault",
    "reason",
    "title",
];

/// The message of a body in any of the common forms: `{"error": {"message"}}`, `{"message"}`, `{"error": "…"}`,
/// `{"errors": [{"message"}]}`, `{"code", "msg"}`, FastAPI's `{"detail": [{"loc", "msg"}]}`, one within the other, or a list of one.
#[must_use]
pub fn message(body: &Value) -> Option<String> {
    match body {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Array(items) => {
            let said: Vec<String> = items.iter().filter_map(message).collect();
            (!said.is_empty()).then(|| said.join("; "))
        }
        Value::Object(fields) => {
            let said = KEYS.iter().find_map(|key| message(fields.get(*key)?))?;
            Some(match fields.get("loc").and_then(place) {
                Some(place) => format!("{place}: {said}"),
                None => said,
            })
        }
        _ => None,
    }
}

/// FastAPI's place: `body.messages.0`.
fn place(steps: &Value) -> Option<String> {
    let steps = steps.as_array()?.iter();
    let steps = steps.map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned));
    Some(steps.collect::<Vec<_>>().join("."))
}

/// Whether this is the report of an error where an answer was due: it has a message and none of the members that an answer has.
#[must_use]
pub fn is_error(body: &Value, of_an_answer: &[&str]) -> bool {
    let Some(fields) = body.as_object() else { return false };
    let is_there =
        |key: &&str| fields.get(*key).is_some_and(|value| !value.is_null() && *value != Value::Array(Vec::new()));
    !of_an_answer.iter().any(is_there)
        && ["message", "msg", "error", "errors", "detail", "error_msg", "error_message"].iter().any(is_there)
        && message(body).is_some()
}

/// Whether a limit of tokens a minute is less than the request alone needs: to ask again later doesn't help, as it does where the limit
/// is used up (Groq: "Request too large for model … on tokens per minute (TPM): Limit 6000, Requested 9000").
#[must_use]
pub fn is_over_the_whole_limit(message: &str) -> bool {
    let after = |word: &str| {
        let rest = message.get(message.find(word)? + word.len()..)?;
        let digits: String = rest
            .trim_start_matches([':', ' ', '=', '~'])
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == ',' || *c == '_')
            .filter(char::is_ascii_digit)
            .collect();
        digits.parse::<u64>().ok()
    };
    let limit = after("Limit").or_else(|| after("limit of"));
    match (limit, after("Requested").or_else(|| after("requested"))) {
        (Some(limit), Some(requested)) => requested > limit,
        _ => message.contains("Request too large") || message.contains("request too large"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_message_is_found_in_every_common_body() {
        for body in [
            json!({"error": {"message": "no", "type": "x"}}),
            json!({"message": "no", "code": 7}),
            json!({"error": "no"}),
            json!("no"),
            json!([{"error": {"message": "no"}}]),
            json!({"errors": [{"code": 5, "message": "no"}], "success": false, "messages": []}),
            json!({"code": 5, "msg": "no"}),
            json!({"error": [{"message": "no"}]}),
            json!({"detail": "no"}),
            json!({"Message": "no"}),
            json!({"error": {"message": null, "detail": {"msg": "no"}}}),
            json!({"fault": {"faultstring": "no", "detail": {"errorcode": "x"}}}),
            json!({"type": "about:blank", "title": "no", "status": 400}),
        ] {
            assert_eq!(message(&body).as_deref(), Some("no"), "{body}");
        }
        let mistral = json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "messages", 0, "x"], "msg": "not a field"}]}});
        assert_eq!(message(&mistral).as_deref(), Some("body.messages.0.x: not a field"));
        assert_eq!(message(&json!({"error": {"code": 5}})), None);
    }

    #[test]
    fn an_error_in_the_place_of_an_answer_is_known() {
        for error in
            [json!({"message": "no", "code": 1}), json!({"detail": "no", "choices": []}), json!({"error": "no"})]
        {
            assert!(is_error(&error, &["choices", "usage"]), "{error}");
        }
        for other in
            [json!({"choices": [{}], "message": "hi"}), json!({"usage": {}, "detail": "x"}), json!({}), json!("no")]
        {
            assert!(!is_error(&other, &["choices", "usage"]), "{other}");
        }
    }

    #[test]
    fn a_limit_that_is_too_small_is_not_one_that_is_used_up() {
        let groq =
            "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce";
        let openai =
            "Request too large for gpt-6-luna on tokens per min (TPM): Limit: 30,000, Requested: 100,000. The input";
        assert!(is_over_the_whole_limit(groq));
        assert!(is_over_the_whole_limit(openai));
        for used_up in [
            "Rate limit reached for gpt-6-luna on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s",
            "Rate limit reached",
        ] {
            assert!(!is_over_the_whole_limit(used_up), "{used_up}");
        }
    }
}
