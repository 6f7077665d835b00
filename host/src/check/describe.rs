//! Whether a plugin's description is consistent.

use std::collections::HashSet;

use serde_json::Value;
use url::Url;

use crate::wit::understudy::plugin::types as wit;

/// The faults of a description; none if it is consistent.
pub(super) fn odd(description: &wit::Description, is_guard: bool) -> Vec<String> {
    let mut odd = Vec::new();
    for (field, text, required) in [
        ("name", description.name.as_str(), true),
        ("version", description.version.as_str(), true),
        ("summary", description.summary.as_str(), true),
        ("default-model", description.default_model.as_deref().unwrap_or("none"), true),
    ] {
        odd.extend(line(field, text, required));
    }
    for word in description.accepts.iter().filter(|_| is_guard) {
        if !matches!(word.as_str(), "request" | "answer") {
            odd.push(format!("`checks` holds the word `{word}`; the host knows `request` and `answer`"));
        }
    }
    if is_guard && description.accepts.is_empty() {
        odd.push("`checks` is empty: name `request`, `answer` or both".to_owned());
    }
    for word in description.accepts.iter().filter(|_| !is_guard) {
        if !matches!(word.as_str(), "image" | "audio" | "tools") {
            odd.push(format!("`accepts` holds the word `{word}`; the host knows `image`, `audio` and `tools`"));
        }
    }
    odd.extend(models(&description.models));
    if let Some(endpoint) = &description.endpoint {
        odd.extend(suggested_endpoint(endpoint));
    }
    if let Some(credential) = &description.credential {
        odd.extend(suggested_credential(credential));
    }
    match serde_json::from_str::<Value>(&description.settings_schema) {
        Ok(schema) if schema.is_object() => {}
        Ok(_) => odd.push("`settings-schema` is not a JSON object".to_owned()),
        Err(e) => odd.push(format!("`settings-schema` is not JSON ({e}); `{{}}` when anything goes")),
    }
    odd.extend(extensions("description", &description.extensions));
    odd
}

/// The fault of a record's `extensions`.
pub(super) fn extensions(record: &str, text: &str) -> Option<String> {
    let is_object = || serde_json::from_str::<serde_json::Map<String, Value>>(text).is_ok();
    (!text.trim().is_empty() && !is_object())
        .then(|| format!("`{record}.extensions` is not a JSON object (an empty text will do)"))
}

fn line(field: &str, text: &str, required: bool) -> Option<String> {
    if required && text.trim().is_empty() {
        return Some(format!("`{field}` is empty"));
    }
    if text.chars().any(char::is_control) {
        return Some(format!("`{field}` holds control characters"));
    }
    (text.len() > 1000).then(|| format!("`{field}` holds {} bytes: that is more than people read", text.len()))
}

fn models(models: &[wit::Model]) -> Vec<String> {
    let mut odd = Vec::new();
    let mut names = HashSet::new();
    for (n, model) in models.iter().enumerate() {
        odd.extend(line(&format!("models[{n}].name"), &model.name, true));
        if !names.insert(&model.name) {
            odd.push(format!("`models[{n}].name`: `{}` is there twice", model.name));
        }
        let figures = [("cost", model.cost), ("speed", model.speed), ("intelligence", model.intelligence)];
        for (field, figure) in figures {
            if !(0.0..=1.0).contains(&figure) {
                odd.push(format!("`models[{n}].{field}` is {figure}: it must be between 0 and 1"));
            }
        }
        odd.extend(extensions(&format!("models[{n}]"), &model.extensions));
    }
    odd
}

fn suggested_endpoint(endpoint: &wit::SuggestedEndpoint) -> Option<String> {
    let url = match Url::parse(&endpoint.url) {
        Ok(url) => url,
        Err(e) => return Some(format!("`endpoint.url` is not a URL: {e}")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Some(format!("`endpoint.url` must begin with `https://` or `http://`, and is `{url}`"));
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    has_user.then(|| "`endpoint.url` holds a user name or a password: a plugin has no credential".to_owned())
}

fn suggested_credential(credential: &wit::SuggestedCredential) -> Option<String> {
    match (credential.scheme.as_str(), &credential.name) {
        ("bearer", None) | ("header" | "query", Some(_)) => None,
        ("bearer", Some(_)) => Some("`credential.name` is for `header` and `query`; `bearer` has none".to_owned()),
        ("header" | "query", None) => {
            Some("`credential.name` is missing: which header, or which query key?".to_owned())
        }
        (scheme, _) => {
            Some(format!("`credential.scheme` is `{scheme}`; the host knows `bearer`, `header` and `query`"))
        }
    }
}
