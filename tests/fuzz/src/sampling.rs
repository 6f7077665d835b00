//! What servers ask and what plugins answer.
#![expect(clippy::indexing_slicing, reason = "an absent member of a JSON value is `null`")]

use arbitrary::{Result, Unstructured};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult as Shaped};
use understudy_plugin::Provider;
use understudy_plugin::testing::options;
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, CreateMessageResult, Error, Extras, MediaContent, OtherContent, TextContent,
    ToolUseContent,
};
use understudy_plugin_anthropic::Anthropic;
use understudy_plugin_echo::Echo;
use understudy_plugin_extractive::Extractive;
use understudy_plugin_gemini::Gemini;
use understudy_plugin_ollama::Ollama;
use understudy_plugin_openai::OpenAi;

use crate::{fixtures, seed};

const PLUGINS: [&str; 6] = ["anthropic", "echo", "extractive", "gemini", "ollama", "openai"];

/// A server's parameters, to every plugin.
pub fn asked(params: &[u8]) {
    let Some(request) = valid(params) else { return };
    for settings in ["{}", r#"{"stream":true}"#] {
        started::<Anthropic>(&request, "claude-sonnet-4-6", settings);
        started::<OpenAi>(&request, "gpt-5.2", settings);
        started::<Gemini>(&request, "gemini-3-pro-preview", settings);
        started::<Ollama>(&request, "qwen3", settings);
    }
    started::<OpenAi>(&request, "gpt-5.2", r#"{"api":"responses"}"#);
    started::<Echo>(&request, "", "{}");
    started::<Extractive>(&request, "", "{}");
}

/// A user's settings, an object, and a server's parameters: each a line.
pub fn started_with<P: Provider>(input: &[u8]) {
    let Some(at) = memchr::memchr(b'\n', input) else { return };
    let (settings, params) = input.split_at(at);
    let Ok(settings) = serde_json::from_slice::<Map<String, Value>>(settings) else { return };
    let Some(request) = valid(params) else { return };
    for model in ["", "a-model"] {
        started::<P>(&request, model, &Value::Object(settings.clone()).to_string());
    }
}

fn valid(params: &[u8]) -> Option<CreateMessageRequest> {
    let params = CreateMessageRequestParams::from_json(params).ok()?;
    params.validate().ok()?;
    Some(params.into())
}

fn started<P: Provider>(request: &CreateMessageRequest, model: &str, settings: &str) {
    let settings: Value = serde_json::from_str(settings).unwrap_or_default();
    let outcome = P::start(request.clone(), options(model, &settings));
    let is_typed = matches!(outcome, Ok(_) | Err(Error::InvalidRequest(_) | Error::Unsupported(_)));
    assert!(is_typed, "{}: {outcome:?}", P::describe().name);
}

/// Seeds: the requests of all fixtures.
pub fn request_seeds() {
    for plugin in PLUGINS {
        for (name, fixture) in fixtures(plugin) {
            seed(&format!("{plugin}-{name}"), fixture["request"].to_string().as_bytes());
        }
    }
}

/// Seeds: the requests of all fixtures, with the settings of the plugin's own.
pub fn start_seeds(of: &str) {
    for plugin in PLUGINS {
        for (name, fixture) in fixtures(plugin) {
            let settings = fixture["options"].get("settings").filter(|_| plugin == of);
            let settings = settings.map_or_else(|| "{}".to_owned(), Value::to_string);
            seed(&format!("{plugin}-{name}"), format!("{settings}\n{}", fixture["request"]).as_bytes());
        }
    }
}

/// A plugin's answer, to a server with tools and to one without.
pub fn answered(bytes: &[u8]) {
    let Ok(result) = result(&mut Unstructured::new(bytes)) else { return };
    let Ok(converted) = Shaped::try_from(result) else { return };
    for tools in [None, Some(["look".to_owned(), "a".to_owned()])] {
        let tools = tools.as_ref().map(<[String; 2]>::as_slice);
        if let Ok(shaped) = converted.clone().shape(tools) {
            check(&shaped, tools.is_some());
        }
    }
}

/// A result is what the specification says.
pub(crate) fn check(result: &Shaped, has_tools: bool) {
    let written = serde_json::to_value(result).unwrap_or_default();
    assert_eq!(written["role"], "assistant");
    assert!(written["model"].is_string());
    let content = &written["content"];
    assert!(content.is_object() || has_tools && content.is_array(), "{written}");
}

fn result(u: &mut Unstructured) -> Result<CreateMessageResult> {
    let mut content = Vec::new();
    for _ in 0..u.int_in_range(0..=5)? {
        content.push(block(u)?);
    }
    Ok(CreateMessageResult { content, model: u.arbitrary()?, stop_reason: u.arbitrary()?, meta: json(u)? })
}

fn block(u: &mut Unstructured) -> Result<ContentBlock> {
    let media =
        |u: &mut Unstructured| Ok(MediaContent { data: u.arbitrary()?, mime_type: u.arbitrary()?, extras: extras(u)? });
    Ok(match u.int_in_range(0..=4)? {
        0 => ContentBlock::Text(TextContent { text: u.arbitrary()?, extras: extras(u)? }),
        1 => ContentBlock::Image(media(u)?),
        2 => ContentBlock::Audio(media(u)?),
        3 => ContentBlock::ToolUse(ToolUseContent {
            id: u.arbitrary()?,
            name: if u.arbitrary()? { "look".to_owned() } else { u.arbitrary()? },
            input: json(u)?.unwrap_or_default(),
            extras: extras(u)?,
        }),
        _ => ContentBlock::Other(OtherContent { kind: u.arbitrary()?, block: json(u)?.unwrap_or_default() }),
    })
}

fn extras(u: &mut Unstructured) -> Result<Extras> {
    Ok(Extras { meta: json(u)?, annotations: json(u)?, extensions: json(u)? })
}

/// JSON, or what a plugin may take for it.
fn json(u: &mut Unstructured) -> Result<Option<String>> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Some(u.arbitrary()?),
        1 => Some("{}".to_owned()),
        2 => Some(r#" {"a": [1.0, {"b": null}]} "#.to_owned()),
        3 => Some("[]".to_owned()),
        4 => Some(String::new()),
        _ => None,
    })
}

/// The members of an object in which no key comes twice, as they are spelt.
#[must_use]
pub fn unique(json: &[u8]) -> Option<Vec<(String, Box<RawValue>)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let members = deserializer.deserialize_map(Members).ok()?;
    deserializer.end().ok()?;
    let mut names: Vec<&String> = members.iter().map(|(name, _)| name).collect();
    names.sort();
    names.is_sorted_by(|one, next| one < next).then_some(members)
}
