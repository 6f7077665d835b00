//! What servers ask and what plugins answer.

use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::{Result, Unstructured};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use understudy_mcp_types::{CreateMessageRequestParams, CreateMessageResult as Shaped};
use understudy_plugin::Provider;
use understudy_plugin::testing::options;
use understudy_plugin::types::{
    ContentBlock, CreateMessageRequest, CreateMessageResult, Error, Extras, MediaContent, OtherContent, TextContent,
    ToolUseContent,
};
use understudy_plugin_anthropic::Anthropic;
use understudy_plugin_gemini::Gemini;
use understudy_plugin_ollama::Ollama;
use understudy_plugin_openai::OpenAi;

/// A server's parameters, to every plugin.
pub fn asked(params: &[u8]) {
    let Ok(params) = CreateMessageRequestParams::from_json(params) else { return };
    if params.validate().is_err() {
        return;
    }
    let request: CreateMessageRequest = params.into();
    for settings in ["{}", r#"{"stream":true}"#] {
        let settings: Value = serde_json::from_str(settings).unwrap_or_default();
        started::<Anthropic>(&request, "claude-sonnet-4-6", &settings);
        started::<OpenAi>(&request, "gpt-5.2", &settings);
        started::<Gemini>(&request, "gemini-3-pro-preview", &settings);
        started::<Ollama>(&request, "qwen3", &settings);
    }
    started::<OpenAi>(&request, "gpt-5.2", &serde_json::json!({ "api": "responses" }));
}

fn started<P: Provider>(request: &CreateMessageRequest, model: &str, settings: &Value) {
    let outcome = P::start(request.clone(), options(model, settings));
    let is_typed = matches!(outcome, Ok(_) | Err(Error::InvalidRequest(_) | Error::Unsupported(_)));
    assert!(is_typed, "{}: {outcome:?}", P::describe().name);
}

/// Writes the requests of all fixtures into the folder that the fuzzer starts from.
pub fn request_seeds() {
    let Some(folder) = std::env::args().skip(1).map(PathBuf::from).find(|path| path.is_dir()) else { return };
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    for plugin in ["anthropic", "gemini", "ollama", "openai"] {
        for file in fs::read_dir(plugins.join(plugin).join("fixtures")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            let fixture: Value = serde_json::from_str(&text).unwrap_or_default();
            let name = format!("{plugin}-{}", file.file_name().to_string_lossy());
            // A seed that can't be written is one seed less.
            let _ = fs::write(folder.join(name), fixture["request"].to_string());
        }
    }
}

/// A plugin's answer, to a server with tools and to one without.
pub fn answered(bytes: &[u8]) {
    let Ok(result) = result(&mut Unstructured::new(bytes)) else { return };
    for tools in [None, Some(["look".to_owned(), "a".to_owned()])] {
        let Ok(converted) = Shaped::try_from(result.clone()) else { return };
        let tools = tools.as_ref().map(<[String; 2]>::as_slice);
        let Ok(shaped) = converted.shape(tools) else { continue };
        let written = serde_json::to_value(&shaped).unwrap_or_default();
        assert_eq!(written["role"], "assistant");
        assert!(written["model"].is_string());
        let content = &written["content"];
        assert!(content.is_object() || tools.is_some() && content.is_array(), "{written}");
    }
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
    names.windows(2).all(|pair| pair[0] != pair[1]).then_some(members)
}
