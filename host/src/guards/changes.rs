//! What a guard may change: texts and JSON in their places, and what makes a request smaller. The shape of a conversation stays, so that what
//! was valid before is valid after.

use serde_json::value::RawValue;

use crate::wit::understudy::plugin::types as wit;

/// What is changed that may not be, and where.
type Held = Result<(), String>;

/// Compares a request with what a guard made of it.
///
/// # Errors
/// The first change that `wit/guard.wit` doesn't allow, with its place.
pub fn of_request(before: &wit::CreateMessageRequest, after: &wit::CreateMessageRequest) -> Held {
    let wit::CreateMessageRequest {
        messages,
        max_tokens,
        model_preferences,
        system_prompt,
        include_context,
        temperature,
        stop_sequences: _,
        metadata,
        tools,
        tool_choice,
        meta,
        extensions,
    } = after;
    if *max_tokens > before.max_tokens || *max_tokens == 0 {
        let before = before.max_tokens;
        return wrong(
            "max-tokens",
            &format!("was changed from {before} to {max_tokens}; it may only be lowered, to 1 at least"),
        );
    }
    if *include_context != before.include_context {
        return stays("include-context");
    }
    if system_prompt.is_some() && before.system_prompt.is_none() {
        return wrong("system-prompt", "was added; one that is there may be changed or taken away");
    }
    if temperature.is_some_and(|temperature| !temperature.is_finite() || temperature < 0.0) {
        return wrong("temperature", "is no number of at least 0 any more");
    }
    preferences(before.model_preferences.as_ref(), model_preferences.as_ref())?;
    object("metadata", before.metadata.as_deref(), metadata.as_deref())?;
    object("meta", before.meta.as_deref(), meta.as_deref())?;
    fields("extensions", Some(&before.extensions), Some(extensions))?;
    tool_list(before.tools.as_deref(), tools.as_deref())?;
    choice(before.tool_choice.as_ref(), tool_choice.as_ref())?;
    let is_required = tool_choice.as_ref().is_some_and(|choice| choice.mode.as_deref() == Some("required"));
    if is_required && tools.as_ref().is_none_or(Vec::is_empty) {
        return wrong("tool-choice.mode", "is `required`, and no tool is left; make it absent, `auto` or `none`");
    }
    same_number("messages", before.messages.len(), messages.len())?;
    for (n, (before, after)) in before.messages.iter().zip(messages).enumerate() {
        let place = format!("messages[{n}]");
        if before.role != after.role {
            return stays(&format!("{place}.role"));
        }
        object(&format!("{place}.meta"), before.meta.as_deref(), after.meta.as_deref())?;
        fields(&format!("{place}.extensions"), before.extensions.as_deref(), after.extensions.as_deref())?;
        blocks(&format!("{place}.content"), &before.content, &after.content)?;
    }
    Ok(())
}

/// Compares an answer with what a guard made of it.
///
/// # Errors
/// The first change that `wit/guard.wit` doesn't allow, with its place.
pub fn of_answer(before: &wit::CreateMessageResult, after: &wit::CreateMessageResult) -> Held {
    let wit::CreateMessageResult { content, model, stop_reason: _, meta } = after;
    if *model != before.model {
        return stays("model");
    }
    object("meta", before.meta.as_deref(), meta.as_deref())?;
    blocks("content", &before.content, content)
}

fn wrong(place: &str, what: &str) -> Held {
    Err(format!("`{place}` {what}"))
}

fn stays(place: &str) -> Held {
    wrong(place, "was changed, which a guard may not")
}

fn same_number(place: &str, before: usize, after: usize) -> Held {
    if before == after {
        return Ok(());
    }
    wrong(place, &format!("holds {after} of what were {before}; their number must stay"))
}

/// A JSON object that may be changed, added or taken away.
fn object(place: &str, before: Option<&str>, after: Option<&str>) -> Held {
    match after {
        Some(after) if before != Some(after) => json(place, after, true),
        _ => Ok(()),
    }
}

fn json(place: &str, text: &str, is_object: bool) -> Held {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) if !is_object || value.get().starts_with('{') => Ok(()),
        Ok(_) => wrong(place, "is no JSON object any more"),
        Err(e) => wrong(place, &format!("is not JSON any more: {e}")),
    }
}

fn preferences(before: Option<&wit::ModelPreferences>, after: Option<&wit::ModelPreferences>) -> Held {
    let Some(after) = after else { return Ok(()) };
    let figures = [
        ("cost-priority", after.cost_priority),
        ("speed-priority", after.speed_priority),
        ("intelligence-priority", after.intelligence_priority),
    ];
    for (field, figure) in figures {
        if figure.is_some_and(|figure| !(0.0..=1.0).contains(&figure)) {
            return wrong(&format!("model-preferences.{field}"), "is not between 0 and 1 any more");
        }
    }
    let known = before.and_then(|before| before.extensions.as_deref());
    fields("model-preferences.extensions", known, after.extensions.as_deref())?;
    for (n, hint) in after.hints.iter().enumerate() {
        let known = before.and_then(|before| before.hints.get(n)?.extensions.as_deref());
        fields(&format!("model-preferences.hints[{n}].extensions"), known, hint.extensions.as_deref())?;
    }
    Ok(())
}

/// Fewer tools, in the same order.
fn tool_list(before: Option<&[wit::Tool]>, after: Option<&[wit::Tool]>) -> Held {
    let (before, after) = match (before, after) {
        (None, None) => return Ok(()),
        (Some(before), Some(after)) => (before, after),
        (Some(_), None) => return wrong("tools", "was taken away; an empty list will do"),
        (None, Some(_)) => return wrong("tools", "was added to a request without tools"),
    };
    let mut rest = before.iter();
    for (n, tool) in after.iter().enumerate() {
        let place = format!("tools[{n}]");
        let Some(known) = rest.find(|known| known.name == tool.name) else {
            return wrong(&place, &format!("is `{}`, which the request has not, or not in this place", tool.name));
        };
        let schema =
            |field: &str, before: Option<&str>, after: Option<&str>| object(&format!("{place}.{field}"), before, after);
        schema("input-schema", Some(&known.input_schema), Some(&tool.input_schema))?;
        schema("output-schema", known.output_schema.as_deref(), tool.output_schema.as_deref())?;
        extras(&place, &known.extras, &tool.extras)?;
    }
    Ok(())
}

/// A choice that asks for no more than before.
fn choice(before: Option<&wit::ToolChoice>, after: Option<&wit::ToolChoice>) -> Held {
    let Some(after) = after else { return Ok(()) };
    let known = before.and_then(|before| before.mode.as_deref());
    match after.mode.as_deref() {
        None | Some("auto" | "none") => {}
        mode if mode == known => {}
        Some(_) => return wrong("tool-choice.mode", "was changed to more than absent, `auto` or `none`"),
    }
    let known = before.and_then(|before| before.extensions.as_deref());
    fields("tool-choice.extensions", known, after.extensions.as_deref())
}

fn blocks(place: &str, before: &[wit::ContentBlock], after: &[wit::ContentBlock]) -> Held {
    same_number(place, before.len(), after.len())?;
    let pairs = before.iter().zip(after).enumerate();
    pairs.into_iter().try_for_each(|(n, (before, after))| block(&format!("{place}[{n}]"), before, after))
}

fn block(place: &str, before: &wit::ContentBlock, after: &wit::ContentBlock) -> Held {
    use wit::ContentBlock as Block;
    match (before, after) {
        (Block::Text(before), Block::Text(after)) => extras(place, &before.extras, &after.extras),
        (Block::Image(before), Block::Image(after)) | (Block::Audio(before), Block::Audio(after)) => {
            media(place, before, after)
        }
        (Block::Other(before), Block::Other(after)) => other(place, before, after),
        (Block::ToolUse(before), Block::ToolUse(after)) => {
            if before.id != after.id || before.name != after.name {
                return wrong(place, "calls another tool, or has another id");
            }
            object(&format!("{place}.input"), Some(&before.input), Some(&after.input))?;
            extras(place, &before.extras, &after.extras)
        }
        (Block::ToolResult(before), Block::ToolResult(after)) => tool_result(place, before, after),
        (Block::Image(_) | Block::Audio(_) | Block::Other(_), Block::Text(after)) => {
            extras(place, &NO_EXTRAS, &after.extras)
        }
        _ => wrong(place, "is a block of another type; images, sounds and unknown blocks may become texts"),
    }
}

fn tool_result(place: &str, before: &wit::ToolResultContent, after: &wit::ToolResultContent) -> Held {
    if before.tool_use_id != after.tool_use_id {
        return stays(&format!("{place}.tool-use-id"));
    }
    match (&before.structured_content, &after.structured_content) {
        (None, Some(_)) => return wrong(&format!("{place}.structured-content"), "was added"),
        (Some(before), Some(after)) if before != after => {
            json(&format!("{place}.structured-content"), after, before.trim_start().starts_with('{'))?;
        }
        _ => {}
    }
    extras(place, &before.extras, &after.extras)?;
    same_number(&format!("{place}.content"), before.content.len(), after.content.len())?;
    for (n, (before, after)) in before.content.iter().zip(&after.content).enumerate() {
        result_block(&format!("{place}.content[{n}]"), before, after)?;
    }
    Ok(())
}

fn result_block(place: &str, before: &wit::ToolResultBlock, after: &wit::ToolResultBlock) -> Held {
    use wit::ToolResultBlock as Block;
    match (before, after) {
        (Block::Text(before), Block::Text(after)) => extras(place, &before.extras, &after.extras),
        (Block::Image(before), Block::Image(after)) | (Block::Audio(before), Block::Audio(after)) => {
            media(place, before, after)
        }
        (Block::ResourceLink(before), Block::ResourceLink(after)) => extras(place, &before.extras, &after.extras),
        (Block::Resource(before), Block::Resource(after)) => {
            match (&before.contents, &after.contents) {
                (_, wit::ResourceContents::Text(_)) => {}
                (wit::ResourceContents::Blob(before), wit::ResourceContents::Blob(after)) if before == after => {}
                (_, wit::ResourceContents::Blob(_)) => {
                    return wrong(&format!("{place}.contents"), "holds other bytes; it may become a text");
                }
            }
            let (known, meta) = (before.resource_meta.as_deref(), after.resource_meta.as_deref());
            object(&format!("{place}.resource-meta"), known, meta)?;
            extras(place, &before.extras, &after.extras)
        }
        (Block::Other(before), Block::Other(after)) => other(place, before, after),
        (_, Block::Text(after)) => extras(place, &NO_EXTRAS, &after.extras),
        _ => wrong(place, "is a block of another type; every block may become a text"),
    }
}

const NO_EXTRAS: wit::Extras = wit::Extras { meta: None, annotations: None, extensions: None };

fn extras(place: &str, before: &wit::Extras, after: &wit::Extras) -> Held {
    for (field, before, after) in
        [("meta", &before.meta, &after.meta), ("annotations", &before.annotations, &after.annotations)]
    {
        object(&format!("{place}.extras.{field}"), before.as_deref(), after.as_deref())?;
    }
    let (before, after) = (before.extensions.as_deref(), after.extensions.as_deref());
    fields(&format!("{place}.extras.extensions"), before, after)
}

/// Fields that the contract doesn't know: their values may change. A further one could stand in the place of one that it does know, such as `type`.
fn fields(place: &str, before: Option<&str>, after: Option<&str>) -> Held {
    if before == after {
        return Ok(());
    }
    object(place, before, after)?;
    let keys = |text: Option<&str>| -> serde_json::Map<String, serde_json::Value> {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let known = keys(before);
    match keys(after).keys().find(|key| !known.contains_key(*key)) {
        Some(key) => {
            wrong(place, &format!("has got a field `{}`; fields may only change", crate::text::one_line(key, 40)))
        }
        None => Ok(()),
    }
}

fn media(place: &str, before: &wit::MediaContent, after: &wit::MediaContent) -> Held {
    if before.data != after.data || before.mime_type != after.mime_type {
        return wrong(place, "holds another image or sound; it may become a text");
    }
    extras(place, &before.extras, &after.extras)
}

fn other(place: &str, before: &wit::OtherContent, after: &wit::OtherContent) -> Held {
    if before.kind != after.kind {
        return stays(&format!("{place}.kind"));
    }
    if before.block == after.block {
        return Ok(());
    }
    let changed = serde_json::from_str::<Typed>(&after.block);
    match changed {
        Ok(changed) if changed.kind == before.kind => Ok(()),
        Ok(_) => wrong(&format!("{place}.block"), "has another `type`"),
        Err(e) => wrong(&format!("{place}.block"), &format!("is no block any more: {e}")),
    }
}

/// The type of a block.
#[derive(serde::Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

#[cfg(test)]
mod tests;
