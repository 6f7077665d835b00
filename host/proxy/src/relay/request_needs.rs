//! What a sampling request needs of who answers it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::capabilities::SamplingParts;

/// Why a server may not ask now.
pub(super) fn only_while(tools: &[String]) -> String {
    let tools = understudy::text::list(tools.iter().map(String::as_str));
    format!("this server may ask only while one of its tools {tools} is being called (`sampling.tools`)")
}

/// The parts of sampling that a request uses.
pub(super) fn needs(params: &[u8]) -> SamplingParts {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Needs<'a> {
        #[serde(borrow, default)]
        tools: Option<&'a RawValue>,
        #[serde(borrow, default)]
        tool_choice: Option<&'a RawValue>,
        #[serde(borrow, default)]
        include_context: Option<&'a RawValue>,
    }
    let Ok(needs) = serde_json::from_slice::<Needs>(params) else { return SamplingParts::default() };
    SamplingParts {
        tools: needs.tools.is_some() || needs.tool_choice.is_some(),
        context: needs.include_context.is_some_and(|include| include.get() != "\"none\""),
    }
}

/// Whether results of tools are among its messages.
pub(super) fn has_results(params: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Params {
        messages: Vec<Message>,
    }
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        content: serde_json::Value,
    }
    let is_result = |block: &serde_json::Value| block.get("type").is_some_and(|kind| kind == "tool_result");
    // Nearly all have neither the words nor anything that could be an escape in them.
    let may_have = memchr::memmem::find(params, b"tool_result").or_else(|| memchr::memmem::find(params, b"\\u00"));
    may_have.is_some_and(|_| {
        let messages = serde_json::from_slice::<Params>(params).map(|params| params.messages).unwrap_or_default();
        messages.iter().any(|message| match &message.content {
            serde_json::Value::Array(blocks) => blocks.iter().any(is_result),
            block => is_result(block),
        })
    })
}
