use understudy_mcp_types::CreateMessageRequestParams;

use super::*;

const PARAMS: &str = r#"{
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "hi"}, {"type": "image", "data": "AAAA", "mimeType": "image/png"}, {"type": "odd", "a": 1}
        ]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "toolUseId": "1", "structuredContent": {"b": 2},
            "content": [{"type": "text", "text": "x"}, {"type": "resource_link", "uri": "file:///a", "name": "a"}]}]}
    ],
    "maxTokens": 100, "systemPrompt": "be brief", "includeContext": "none", "temperature": 0.5,
    "tools": [{"name": "t", "inputSchema": {"type": "object"}}, {"name": "u", "inputSchema": {"type": "object"}}],
    "toolChoice": {"mode": "required"}
}"#;

fn request() -> wit::CreateMessageRequest {
    let params = CreateMessageRequestParams::from_json(PARAMS.as_bytes()).unwrap();
    params.validate().unwrap();
    params.into()
}

/// What is said of a change.
fn said(change: impl Fn(&mut wit::CreateMessageRequest)) -> Held {
    let (before, mut after) = (request(), request());
    change(&mut after);
    of_request(&before, &after)
}

fn text(text: &str) -> wit::TextContent {
    wit::TextContent { text: text.to_owned(), extras: NO_EXTRAS }
}

type Change = fn(&mut wit::CreateMessageRequest);

#[test]
fn a_guard_changes_texts_and_json_in_their_places_and_makes_a_request_smaller() {
    let changes: [Change; 13] = [
        |_| {},
        |r| r.messages[0].content[0] = wit::ContentBlock::Text(text("redacted")),
        |r| r.messages[0].content[1] = wit::ContentBlock::Text(text("an image was here")),
        |r| r.messages[0].content[2] = wit::ContentBlock::Text(text("something was here")),
        |r| r.system_prompt = None,
        |r| r.max_tokens = 1,
        |r| r.tools.as_mut().unwrap().truncate(1),
        |r| drop(r.tools.as_mut().unwrap().remove(0)),
        |r| (r.tools, r.tool_choice) = (Some(Vec::new()), None),
        |r| r.tool_choice = None,
        |r| r.tool_choice.as_mut().unwrap().mode = Some("none".to_owned()),
        |r| r.metadata = Some(r#"{"a":1}"#.to_owned()),
        |r| r.stop_sequences.push("x".to_owned()),
    ];
    for change in changes {
        assert_eq!(said(change), Ok(()));
    }
    let tool_use = |input: &str| {
        said(|r| {
            let wit::ContentBlock::ToolUse(tool_use) = &mut r.messages[1].content[0] else { panic!() };
            tool_use.input = input.to_owned();
        })
    };
    assert_eq!(tool_use(r#"{"a":2}"#), Ok(()));
    assert_eq!(tool_use("[1]").unwrap_err(), "`messages[1].content[0].input` is no JSON object any more");
    assert!(tool_use("{").unwrap_err().contains("is not JSON any more"));
}

#[test]
fn what_a_guard_may_not_change_is_named() {
    let changes: [(Change, &str); 18] = [
        (|r| r.max_tokens = 101, "`max-tokens` was changed from 100 to 101"),
        (|r| r.max_tokens = 0, "`max-tokens`"),
        (|r| r.include_context = None, "`include-context` was changed"),
        (|r| r.messages.truncate(1), "`messages` holds 1 of what were 3"),
        (|r| r.messages.swap(0, 1), "`messages[0].role`"),
        (|r| drop(r.messages[0].content.pop()), "`messages[0].content` holds 2 of what were 3"),
        (|r| r.messages[0].content.swap(0, 1), "`messages[0].content[0]` is a block of another type"),
        (|r| r.tools = None, "`tools` was taken away"),
        (|r| r.tools.as_mut().unwrap().clear(), "`tool-choice.mode` is `required`, and no tool is left"),
        (|r| r.tools.as_mut().unwrap().swap(0, 1), "`tools[1]` is `t`"),
        (|r| r.tools.as_mut().unwrap()[0].name = "rm".to_owned(), "`tools[0]` is `rm`, which the request has not"),
        (|r| r.tool_choice.as_mut().unwrap().mode = Some("any".to_owned()), "`tool-choice.mode`"),
        (|r| r.temperature = Some(f64::NAN), "`temperature`"),
        (|r| r.meta = Some("1".to_owned()), "`meta` is no JSON object"),
        (|r| r.extensions = String::new(), "`extensions` is not JSON any more"),
        (|r| r.extensions = r#"{"maxTokens":9}"#.to_owned(), "`extensions` has got a field `maxTokens`"),
        (
            |r| {
                let wit::ContentBlock::Text(text) = &mut r.messages[0].content[0] else { panic!() };
                text.extras.extensions = Some(r#"{"type":"tool_use"}"#.to_owned());
            },
            "`messages[0].content[0].extras.extensions` has got a field `type`",
        ),
        (
            |r| {
                let wit::ContentBlock::Image(image) = &mut r.messages[0].content[1] else { panic!() };
                image.data = "BBBB".to_owned();
            },
            "`messages[0].content[1]` holds another image or sound",
        ),
    ];
    for (change, expected) in changes {
        let error = said(change).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn the_call_of_a_tool_stays_what_it_is() {
    let of = |change: fn(&mut wit::ToolUseContent)| {
        said(|r| {
            let wit::ContentBlock::ToolUse(tool_use) = &mut r.messages[1].content[0] else { panic!() };
            change(tool_use);
        })
    };
    assert!(of(|tool_use| tool_use.name = "u".to_owned()).unwrap_err().contains("calls another tool"));
    assert!(of(|tool_use| tool_use.id = "2".to_owned()).unwrap_err().contains("calls another tool"));
    assert!(
        said(|r| r.messages[1].content[0] = wit::ContentBlock::Text(text("x"))).unwrap_err().contains("another type")
    );
    let result = |change: fn(&mut wit::ToolResultContent)| {
        said(|r| {
            let wit::ContentBlock::ToolResult(result) = &mut r.messages[2].content[0] else { panic!() };
            change(result);
        })
    };
    assert_eq!(result(|result| result.structured_content = Some(r#"{"b":3}"#.to_owned())), Ok(()));
    assert_eq!(result(|result| result.content[1] = wit::ToolResultBlock::Text(text("a link was here"))), Ok(()));
    assert!(result(|result| result.structured_content = Some("[]".to_owned())).is_err());
    assert!(result(|result| result.tool_use_id = "2".to_owned()).unwrap_err().contains("tool-use-id"));
    assert!(result(|result| result.content.clear()).is_err());
}

#[test]
fn an_answer_keeps_its_model_and_its_calls() {
    let answer = || wit::CreateMessageResult {
        content: vec![wit::ContentBlock::Text(text("a"))],
        model: "m".to_owned(),
        stop_reason: Some("endTurn".to_owned()),
        meta: None,
    };
    let mut changed = answer();
    changed.content[0] = wit::ContentBlock::Text(text("b"));
    changed.stop_reason = Some("redacted".to_owned());
    assert_eq!(of_answer(&answer(), &changed), Ok(()));
    changed.model = "n".to_owned();
    assert!(of_answer(&answer(), &changed).unwrap_err().starts_with("`model`"));
    let mut more = answer();
    more.content.push(wit::ContentBlock::Text(text("b")));
    assert_eq!(of_answer(&answer(), &more).unwrap_err(), "`content` holds 2 of what were 1; their number must stay");
}
