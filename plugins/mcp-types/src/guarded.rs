//! A guard's requests and circumstances in the JSON of fixtures, for guards' own tests and for the host's `plugin check`. The format is
//! described in the crate `understudy-plugin`, module `guard_testing`.

use serde_json::{Map, Value};

/// A JSON text of the contract as a value; a text that isn't JSON as it stands.
#[doc(hidden)]
#[must_use]
pub fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Adds a member, if there is a value for it.
#[doc(hidden)]
pub fn put(into: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        into.insert(key.to_owned(), value);
    }
}

/// Adds the members of an object that the contract has as text.
#[doc(hidden)]
pub fn put_all(into: &mut Map<String, Value>, object: Option<&String>) {
    if let Some(Value::Object(members)) = object.map(|text| value_of(text)) {
        into.extend(members);
    }
}

/// A verdict's members in a fixture.
#[doc(hidden)]
#[must_use]
pub fn verdict(word: &str, reason: Option<&str>, changed: Option<Value>) -> Map<String, Value> {
    let mut members = Map::from_iter([("verdict".to_owned(), Value::from(word))]);
    put(&mut members, "reason", reason.map(Value::from));
    put(&mut members, "changed", changed);
    members
}

/// A text of a fixture's `circumstances`.
#[doc(hidden)]
#[must_use]
pub fn circumstance(fixture: &Value, key: &str) -> Option<String> {
    fixture.get("circumstances")?.get(key)?.as_str().map(str::to_owned)
}

/// Defines the functions that turn the contract's records, generated in the given modules (`types`, then those of `guard`), into a guard's
/// fixture: `request_json`, `request_verdict_json`, `answer_verdict_json`, `circumstances_of` and `settings_of`. It needs [`wit_conversions`](crate::wit_conversions) beside
/// it.
#[macro_export]
macro_rules! guard_conversions {
    ($($types:ident)::+, $($guard:ident)::+) => {
        /// MCP's `CreateMessageRequestParams` of a request.
        fn request_json(request: &$($types)::+::CreateMessageRequest) -> ::serde_json::Value {
            use $($types)::+ as w;
            use $crate::__private::{put, put_all, value_of};
            use ::serde_json::{Map, Value, json};

            fn extras(into: &mut Map<String, Value>, extras: &w::Extras) {
                put_all(into, extras.extensions.as_ref());
                put(into, "annotations", extras.annotations.as_deref().map(value_of));
                put(into, "_meta", extras.meta.as_deref().map(value_of));
            }

            fn of(kind: &str, members: Value, with: &w::Extras) -> Value {
                let mut block = Map::from_iter([("type".to_owned(), Value::from(kind))]);
                if let Value::Object(members) = members {
                    block.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
                }
                extras(&mut block, with);
                Value::Object(block)
            }

            fn media(kind: &str, media: &w::MediaContent) -> Value {
                of(kind, json!({ "data": media.data, "mimeType": media.mime_type }), &media.extras)
            }

            fn result_block(block: &w::ToolResultBlock) -> Value {
                match block {
                    w::ToolResultBlock::Text(text) => of("text", json!({ "text": text.text }), &text.extras),
                    w::ToolResultBlock::Image(image) => media("image", image),
                    w::ToolResultBlock::Audio(audio) => media("audio", audio),
                    w::ToolResultBlock::ResourceLink(link) => {
                        let members = json!({
                            "uri": link.uri, "name": link.name, "title": link.title, "description": link.description,
                            "mimeType": link.mime_type, "size": link.size
                        });
                        of("resource_link", members, &link.extras)
                    }
                    w::ToolResultBlock::Resource(resource) => {
                        let mut inner = Map::from_iter([("uri".to_owned(), Value::from(resource.uri.as_str()))]);
                        put(&mut inner, "mimeType", resource.mime_type.as_deref().map(Value::from));
                        match &resource.contents {
                            w::ResourceContents::Text(text) => put(&mut inner, "text", Some(text.as_str().into())),
                            w::ResourceContents::Blob(blob) => put(&mut inner, "blob", Some(blob.as_str().into())),
                        }
                        put(&mut inner, "_meta", resource.resource_meta.as_deref().map(value_of));
                        of("resource", json!({ "resource": inner }), &resource.extras)
                    }
                    w::ToolResultBlock::Other(other) => value_of(&other.block),
                }
            }

            fn block(block: &w::ContentBlock) -> Value {
                match block {
                    w::ContentBlock::Text(text) => of("text", json!({ "text": text.text }), &text.extras),
                    w::ContentBlock::Image(image) => media("image", image),
                    w::ContentBlock::Audio(audio) => media("audio", audio),
                    w::ContentBlock::ToolUse(call) => {
                        let members = json!({ "id": call.id, "name": call.name, "input": value_of(&call.input) });
                        of("tool_use", members, &call.extras)
                    }
                    w::ContentBlock::ToolResult(result) => {
                        let content: Vec<Value> = result.content.iter().map(result_block).collect();
                        let members = json!({
                            "toolUseId": result.tool_use_id, "content": content,
                            "structuredContent": result.structured_content.as_deref().map(value_of),
                            "isError": result.is_error.then_some(true)
                        });
                        of("tool_result", members, &result.extras)
                    }
                    w::ContentBlock::Other(other) => value_of(&other.block),
                }
            }

            fn message(message: &w::SamplingMessage) -> Value {
                let role = match message.role {
                    w::Role::User => "user",
                    w::Role::Assistant => "assistant",
                };
                let mut members = Map::from_iter([("role".to_owned(), Value::from(role))]);
                let blocks: Vec<Value> = message.content.iter().map(block).collect();
                put(&mut members, "content", Some(if let [one] = blocks.as_slice() { one.clone() } else { blocks.into() }));
                put_all(&mut members, message.extensions.as_ref());
                put(&mut members, "_meta", message.meta.as_deref().map(value_of));
                Value::Object(members)
            }

            fn tool(tool: &w::Tool) -> Value {
                let mut members = Map::from_iter([("name".to_owned(), Value::from(tool.name.as_str()))]);
                put(&mut members, "title", tool.title.as_deref().map(Value::from));
                put(&mut members, "description", tool.description.as_deref().map(Value::from));
                put(&mut members, "inputSchema", Some(value_of(&tool.input_schema)));
                put(&mut members, "outputSchema", tool.output_schema.as_deref().map(value_of));
                extras(&mut members, &tool.extras);
                Value::Object(members)
            }

            fn preferences(preferences: &w::ModelPreferences) -> Value {
                let mut members = Map::new();
                let hint = |hint: &w::ModelHint| {
                    let mut members = Map::new();
                    put(&mut members, "name", hint.name.as_deref().map(Value::from));
                    put_all(&mut members, hint.extensions.as_ref());
                    Value::Object(members)
                };
                let hints: Vec<Value> = preferences.hints.iter().map(hint).collect();
                put(&mut members, "hints", (!hints.is_empty()).then(|| hints.into()));
                put(&mut members, "costPriority", preferences.cost_priority.map(Value::from));
                put(&mut members, "speedPriority", preferences.speed_priority.map(Value::from));
                put(&mut members, "intelligencePriority", preferences.intelligence_priority.map(Value::from));
                put_all(&mut members, preferences.extensions.as_ref());
                Value::Object(members)
            }

            let mut params = Map::new();
            let messages: Vec<Value> = request.messages.iter().map(message).collect();
            put(&mut params, "messages", Some(messages.into()));
            put(&mut params, "modelPreferences", request.model_preferences.as_ref().map(preferences));
            put(&mut params, "systemPrompt", request.system_prompt.as_deref().map(Value::from));
            put(&mut params, "includeContext", request.include_context.as_deref().map(Value::from));
            put(&mut params, "temperature", request.temperature.map(Value::from));
            put(&mut params, "maxTokens", Some(request.max_tokens.into()));
            let stops = (!request.stop_sequences.is_empty()).then(|| request.stop_sequences.clone().into());
            put(&mut params, "stopSequences", stops);
            put(&mut params, "metadata", request.metadata.as_deref().map(value_of));
            let tools = request.tools.as_ref().map(|tools| tools.iter().map(tool).collect::<Vec<Value>>().into());
            put(&mut params, "tools", tools);
            let choice = request.tool_choice.as_ref().map(|choice| {
                let mut members = Map::new();
                put(&mut members, "mode", choice.mode.as_deref().map(Value::from));
                put_all(&mut members, choice.extensions.as_ref());
                Value::Object(members)
            });
            put(&mut params, "toolChoice", choice);
            put(&mut params, "_meta", request.meta.as_deref().map(value_of));
            put_all(&mut params, Some(&request.extensions));
            Value::Object(params)
        }

        /// What a fixture says of a verdict on a request.
        fn request_verdict_json(
            verdict: &$($guard)::+::RequestVerdict,
        ) -> ::serde_json::Map<String, ::serde_json::Value> {
            use $($guard)::+::RequestVerdict as Verdict;
            let (word, reason, changed) = match verdict {
                Verdict::Allow => ("allow", None, None),
                Verdict::AllowChanged(changed) => ("changed", None, Some(changed)),
                Verdict::Ask(question) => ("ask", Some(&question.reason), question.changed.as_ref()),
                Verdict::Deny(reason) => ("deny", Some(reason), None),
            };
            $crate::__private::verdict(word, reason.map(|reason| reason.message.as_str()), changed.map(request_json))
        }

        /// What a fixture says of a verdict on an answer.
        fn answer_verdict_json(
            verdict: &$($guard)::+::AnswerVerdict,
        ) -> Result<::serde_json::Map<String, ::serde_json::Value>, $crate::BadJson> {
            use $($guard)::+::AnswerVerdict as Verdict;
            let (word, reason, changed) = match verdict {
                Verdict::Allow => ("allow", None, None),
                Verdict::AllowChanged(changed) => ("changed", None, Some(changed)),
                Verdict::Ask(question) => ("ask", Some(&question.reason), question.changed.as_ref()),
                Verdict::Deny(reason) => ("deny", Some(reason), None),
            };
            let result = |changed: &$($types)::+::CreateMessageResult| $crate::CreateMessageResult::try_from(changed.clone());
            let changed = changed.map(result).transpose()?.map(|changed| changed.to_value());
            Ok($crate::__private::verdict(word, reason.map(|reason| reason.message.as_str()), changed))
        }

        /// The circumstances of a fixture.
        fn circumstances_of(fixture: &::serde_json::Value) -> $($guard)::+::Circumstances {
            let of = |key: &str| $crate::__private::circumstance(fixture, key);
            $($guard)::+::Circumstances {
                server: of("server").unwrap_or_else(|| "server".to_owned()),
                client: of("client"),
                tool: of("tool"),
                request_id: of("requestId").unwrap_or_else(|| "request-1".to_owned()),
                model: of("model"),
                plugin: of("plugin"),
                extensions: "{}".to_owned(),
            }
        }

        /// The settings of a fixture.
        fn settings_of(fixture: &::serde_json::Value) -> String {
            fixture.get("settings").map_or_else(|| "{}".to_owned(), ::serde_json::Value::to_string)
        }
    };
}
