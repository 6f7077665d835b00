"""Answers of the four providers, made of their own Python packages' types, and what a plugin must make of each.

    python build_answers.py > answers.jsonl

Every line is one answer:

    {"plugin": "anthropic", "name": "text", "settings": {…}, "request": {…}, "status": 200, "headers": {…},
     "body": {…}, "expect": {"stopReason": "endTurn", "content": [{…}], "usage": {"input": 11, "output": 7}}}

`request` is MCP's `CreateMessageRequestParams`. A streamed answer has, in place of `body`, `events`: a list of
`{"event": NAME, "data": {…}}`, without `event` where the provider names none; data that isn't JSON is a string. All that can
come whole comes streamed too, as `NAME-streamed`. In `expect` the content is always a list, without any `_meta`; an empty
one is the plugin's, and the host makes of it one empty text. An answer that is an error has `{"error": KIND}`: the variant's
name in the contract, or the kind of a provider's refusal.

Where a package lists the values of a field (reasons to stop, codes of errors, types of blocks), each has its expectation
here: a newer package with one more makes this script fail until it is added.
"""

import enum
import json
import sys
import typing

import anthropic.types as a
import ollama
import openai.types.chat as chat
import openai.types.responses as r
import streamed
from anthropic.types.shared.error_object import ErrorObject as AnthropicErrorObject
from google.genai import types as g
from openai.types import CompletionUsage, ErrorObject
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.completion_usage import CompletionTokensDetails, PromptTokensDetails
from openai.types.responses.response import IncompleteDetails
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452fffefdfbefbf")
PNG_BASE64 = "iVBORw0KGgoAAAANSUhEUv/+/fvvvw=="
HARD = {"city": "Rome", "days": [1, 2.5], "how": {"units": "°C", "deep": [{"none": None}, "\"quoted\"\n{"]}}
SUNNY = "It’s sunny: “21 °C”, says\nthe report. 🌞"
JSON, SSE, LINES = "application/json", "text/event-stream; charset=utf-8", "application/x-ndjson"


def tool(name: str, *properties: str) -> dict:
    schema = {"type": "object", "properties": {key: {} for key in properties}}
    return {"name": name, "description": f"The tool {name}.", "inputSchema": schema}


REQUEST = {"messages": [{"role": "user", "content": {"type": "text", "text": "Hi"}}], "maxTokens": 100}
WITH_TOOLS = REQUEST | {"tools": [tool("get_weather", "city", "days", "how"), tool("add", "a", "b")]}


def every(values: typing.Iterable, table: dict) -> typing.Iterable[tuple]:
    """The table, which must have each of the values and no other."""
    values = {value.value if isinstance(value, enum.Enum) else value for value in values}
    if values != set(table):
        missing, unknown = sorted(values - set(table)), sorted(set(table) - values)
        sys.exit(f"the packages have changed: no expectation for {missing}, and none needed for {unknown}")
    return table.items()


def values(kind) -> list[str]:
    """The values of a Literal, of an optional one, or of the `type` of each type of a union."""
    if isinstance(kind, type) and hasattr(kind, "model_fields"):
        return values(kind.model_fields["type"].annotation)
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    return [value for inner in typing.get_args(kind) for value in values(inner)]


def text(said: str) -> dict:
    return {"type": "text", "text": said}


def tool_use(id: str, name: str, **input) -> dict:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def said(stop_reason: str | None, *content: dict, input: int = 11, output: int = 7) -> dict:
    return {"stopReason": stop_reason, "content": list(content), "usage": {"input": input, "output": output}}


def error(kind: str) -> dict:
    return {"error": kind}


class Provider:
    """Prints the answers of one plugin."""

    def __init__(self, plugin: str, dump: dict, stream, media_type: str = SSE, **settings):
        self.plugin, self.dump, self.stream, self.media_type, self.settings = plugin, dump, stream, media_type, settings

    def line(self, name: str, expect: dict, *, request: dict | None = None, streams: bool = False, **answer) -> None:
        blocks = expect.get("content", [])
        # Without tools a server can take one block only.
        one_block = len(blocks) == 1 and blocks[0]["type"] != "tool_use"
        settings = self.settings | ({"stream": True} if streams else {})
        request = request or (REQUEST if one_block else WITH_TOOLS)
        head = {"plugin": self.plugin, "name": name, "settings": settings, "request": request}
        headers = {"content-type": self.media_type if streams else JSON} | answer.pop("headers", {})
        line = head | {"status": 200, "headers": headers} | answer | {"expect": expect}
        print(json.dumps(line, ensure_ascii=False))

    def answer(self, name: str, answer, expect: dict, *, streams: bool = True, request: dict | None = None) -> None:
        self.line(name, expect, request=request, body=self.json(answer))
        if streams:
            self.events(f"{name}-streamed", self.stream(answer), expect, request=request)

    def events(self, name: str, events, expect: dict, *, request: dict | None = None) -> None:
        events = [({"event": kind} if kind else {}) | {"data": self.json(data)} for kind, data in events]
        self.line(name, expect, request=request, streams=True, events=events)

    def refusal(self, name: str, status: int, body, kind: str, **headers: str) -> None:
        self.line(f"error-{name}", error(kind), status=status, headers=headers, body=self.json(body))

    def json(self, value):
        return json.loads(value.model_dump_json(**self.dump)) if hasattr(value, "model_dump_json") else value


# ---------------------------------------------------------------- Anthropic


def anthropic() -> None:
    provider = Provider("anthropic", streamed.ANTHROPIC_DUMP, streamed.anthropic)

    def message(*content, stop="end_turn", usage=None, **fields):
        usage = usage or a.Usage(input_tokens=11, output_tokens=7)
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test"}
        return a.Message(**head, content=content, stop_reason=stop, usage=usage, **({"stop_sequence": None} | fields))

    def block(said):
        return a.TextBlock(type="text", text=said)

    def call(id, name, **input):
        return a.ToolUseBlock(type="tool_use", id=id, name=name, input=input)

    thinking = a.ThinkingBlock(type="thinking", thinking="Sun, or rain?", signature="EqQBCgIYAhIM")
    provider.answer("text", message(block(SUNNY)), said("endTurn", text(SUNNY)))
    provider.answer("nothing", message(), said("endTurn"))
    texts = message(block("One."), block("Two."), stop="max_tokens")
    provider.answer("texts", texts, said("maxTokens", text("One."), text("Two.")))
    answer = message(call("toolu_1", "get_weather", **HARD), stop="tool_use")
    provider.answer("call", answer, said("toolUse", tool_use("toolu_1", "get_weather", **HARD)))
    answer = message(block("Both:"), call("toolu_1", "add"), call("toolu_2", "add", a=1, b=-2), stop="tool_use")
    calls = [tool_use("toolu_1", "add"), tool_use("toolu_2", "add", a=1, b=-2)]
    provider.answer("text-and-calls", answer, said("toolUse", text("Both:"), *calls))
    answer = message(thinking, block("Sun."), thinking, call("toolu_1", "add", a=1), stop="tool_use")
    provider.answer("thinking", answer, said("toolUse", text("Sun."), tool_use("toolu_1", "add", a=1)))
    provider.answer("thinking-alone", message(thinking, stop="max_tokens"), said("maxTokens"))
    place = {"document_index": 0, "start_char_index": 0, "end_char_index": 4}
    citation = a.CitationCharLocation(type="char_location", cited_text="21 °C", **place)
    cited = a.TextBlock(type="text", text=SUNNY, citations=[citation])
    provider.answer("citations", message(cited), said("endTurn", text(SUNNY)))
    usage = a.Usage(
        input_tokens=11,
        cache_creation_input_tokens=100,
        cache_read_input_tokens=1000,
        cache_creation=a.CacheCreation(ephemeral_5m_input_tokens=60, ephemeral_1h_input_tokens=40),
        output_tokens=70,
        output_tokens_details=a.OutputTokensDetails(thinking_tokens=50),
        service_tier="standard",
    )
    provider.answer("cached", message(block("Yes."), usage=usage), said("endTurn", text("Yes."), input=1111, output=70))
    details = a.RefusalStopDetails(type="refusal", category="cyber", explanation="No.")
    provider.answer("refusal", message(stop="refusal", stop_details=details), error("content-filtered"))

    stops = {
        "end_turn": "endTurn",
        "max_tokens": "maxTokens",
        "stop_sequence": "stopSequence",
        "tool_use": "toolUse",
        "pause_turn": "pause_turn",
        "refusal": "refusal",
        "model_context_window_exceeded": "maxTokens",
    }
    for stop, expected in every(values(a.StopReason), stops):
        sequence = {"stop_sequence": "END"} if stop == "stop_sequence" else {}
        content = call("toolu_1", "add") if stop == "tool_use" else block("Well")
        blocks = tool_use("toolu_1", "add") if stop == "tool_use" else text("Well")
        provider.answer(f"stop-{stop}", message(content, stop=stop, **sequence), said(expected, blocks))

    def failed(code):
        return {"tool_use_id": "srvtoolu_1", "content": {"type": f"{code}_error", "error_code": "unavailable"}}

    results = ["web_search", "web_fetch", "code_execution", "bash_code_execution", "text_editor_code_execution", "tool_search"]
    others = {
        "text": {"text": "More."},
        "thinking": {"thinking": "Hm.", "signature": "Eq"},
        "redacted_thinking": {"data": "EmwK"},
        "tool_use": {"id": "toolu_9", "name": "add", "input": {"a": 1}},
        "server_tool_use": {"id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}},
        "container_upload": {"file_id": "file_1"},
    } | {f"{kind}_tool_result": failed(f"{kind}_tool_result") for kind in results}
    shown = {"text": [text("More.")], "tool_use": [tool_use("toolu_9", "add", a=1)]}
    for kind, fields in every(values(a.ContentBlock), others):
        answer = message({"type": kind, **fields}, block("So."))
        reason = "toolUse" if kind == "tool_use" else "endTurn"
        provider.answer(f"block-{kind}", answer, said(reason, *shown.get(kind, []), text("So.")))

    errors = {
        "invalid_request_error": (400, "invalid-request"),
        "authentication_error": (401, "unauthorized"),
        "billing_error": (402, "quota-exceeded"),
        "permission_error": (403, "forbidden"),
        "not_found_error": (404, "not-found"),
        "rate_limit_error": (429, "rate-limited"),
        "api_error": (500, "internal"),
        "timeout_error": (504, "unavailable"),
        "overloaded_error": (529, "overloaded"),
    }
    for kind, (status, expected) in every(values(AnthropicErrorObject), errors):
        refusal = a.ErrorResponse(type="error", error={"type": kind, "message": "No."}, request_id="req_1")
        provider.refusal(kind, status, refusal, expected)
        begun = list(streamed.anthropic(message(block("Well"))))[:3]
        provider.events(f"error-{kind}-streamed", [*begun, ("error", refusal)], error(expected))


# ---------------------------------------------------------------- OpenAI

OPENAI_ERRORS = [
    (400, "invalid_request_error", None, "invalid-request"),
    (400, "invalid_request_error", "context_length_exceeded", "context-too-long"),
    (400, "invalid_request_error", "content_policy_violation", "content-filtered"),
    (401, "invalid_request_error", "invalid_api_key", "unauthorized"),
    (403, "request_forbidden", "unsupported_country_region_territory", "forbidden"),
    (404, "invalid_request_error", "model_not_found", "not-found"),
    (429, "requests", "rate_limit_exceeded", "rate-limited"),
    (429, "insufficient_quota", "insufficient_quota", "quota-exceeded"),
    (500, "server_error", None, "internal"),
    (503, "server_error", None, "overloaded"),
]


def openai_refusals(provider: Provider) -> None:
    for status, kind, code, expected in OPENAI_ERRORS:
        refusal = ErrorObject(message="No.", type=kind, code=code, param=None)
        body = {"error": provider.json(refusal)}
        provider.refusal(f"{status}-{code or kind}", status, body, expected)


def openai_chat() -> None:
    provider = Provider("openai", streamed.OPENAI_DUMP, streamed.chat_completions)

    def completion(finish="stop", usage=None, **message):
        message = chat.ChatCompletionMessage(**{"role": "assistant", "content": None, "refusal": None} | message)
        usage = usage or CompletionUsage(prompt_tokens=11, completion_tokens=7, total_tokens=18)
        choices = [Choice(index=0, message=message, finish_reason=finish, logprobs=None)]
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1795000000, "model": "gpt-test"}
        return chat.ChatCompletion(**head, choices=choices, usage=usage)

    def function(id, name, arguments):
        arguments = {"name": name, "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}
        return chat.ChatCompletionMessageFunctionToolCall(id=id, type="function", function=arguments)

    provider.answer("text", completion(content=SUNNY), said("endTurn", text(SUNNY)))
    provider.answer("nothing", completion(content=""), said("endTurn"))
    provider.answer("content-null", completion(content=None), said("endTurn"))
    answer = completion("tool_calls", tool_calls=[function("call_a", "get_weather", HARD)])
    provider.answer("call", answer, said("toolUse", tool_use("call_a", "get_weather", **HARD)))
    answer = completion("tool_calls", tool_calls=[function("call_a", "add", "")])
    provider.answer("call-without-arguments", answer, said("toolUse", tool_use("call_a", "add")))
    answer = completion("tool_calls", tool_calls=[function("call_a", "add", '{"a": 1,')])
    provider.answer("call-not-json", answer, error("malformed-response"))
    both = [function("call_a", "add", {}), function("call_b", "add", {"a": 1, "b": -2})]
    blocks = [tool_use("call_a", "add"), tool_use("call_b", "add", a=1, b=-2)]
    answer = completion("tool_calls", content="Both:", tool_calls=both)
    provider.answer("text-and-calls", answer, said("toolUse", text("Both:"), *blocks))
    # As with a forced tool.
    provider.answer("calls-and-stop", completion("stop", tool_calls=both), said("toolUse", *blocks))
    provider.answer("calls-and-length", completion("length", tool_calls=both), said("maxTokens", *blocks))
    custom = {"id": "call_a", "type": "custom", "custom": {"name": "add", "input": "1+2"}}
    answer = completion("tool_calls", tool_calls=[chat.ChatCompletionMessageCustomToolCall(**custom)])
    provider.answer("call-of-a-custom-tool", answer, error("malformed-response"), streams=False)
    provider.answer("refusal", completion(refusal="I can’t."), said("refusal", text("I can’t.")))
    audio = chat.ChatCompletionAudio(id="audio_1", data="UklGRg==", expires_at=1795000000, transcript="Hi")
    provider.answer("audio", completion(audio=audio), error("malformed-response"), streams=False)
    provider.answer("filtered-wholly", completion("content_filter"), error("content-filtered"))
    usage = CompletionUsage(
        prompt_tokens=1111,
        completion_tokens=70,
        total_tokens=1181,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=1000, audio_tokens=0),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=50, audio_tokens=0),
    )
    provider.answer("cached", completion(content="Yes.", usage=usage), said("endTurn", text("Yes."), input=1111, output=70))

    finishes = {
        "stop": ({"content": "Well"}, said("endTurn", text("Well"))),
        "length": ({"content": "Well"}, said("maxTokens", text("Well"))),
        "content_filter": ({"content": "Well"}, said("content_filter", text("Well"))),
        "tool_calls": ({"tool_calls": both}, said("toolUse", *blocks)),
        # The way of 2023, without an id.
        "function_call": (
            {"function_call": {"name": "add", "arguments": '{"a": 1}'}},
            said("toolUse", tool_use("call_0", "add", a=1)),
        ),
    }
    every(values(ChunkChoice.model_fields["finish_reason"].annotation), finishes)
    for finish, (fields, expect) in every(values(Choice.model_fields["finish_reason"].annotation), finishes):
        provider.answer(f"finish-{finish}", completion(finish, **fields), expect)
    openai_refusals(provider)


def openai_responses() -> None:
    provider = Provider("openai", streamed.OPENAI_DUMP, streamed.responses, api="responses")
    figures = r.ResponseUsage(
        input_tokens=11,
        input_tokens_details=InputTokensDetails(cached_tokens=0, cache_write_tokens=0),
        output_tokens=7,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=0),
        total_tokens=18,
    )

    def response(*output, status="completed", reason=None, failure=None, usage=figures):
        return r.Response(
            id="resp_1",
            object="response",
            created_at=1795000000,
            model="gpt-test",
            status=status,
            error=failure,
            incomplete_details=reason and IncompleteDetails(reason=reason),
            output=output,
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
            usage=usage,
        )

    def message(*content, **fields):
        return r.ResponseOutputMessage(
            id="msg_1", type="message", role="assistant", status="completed", content=content, **fields
        )

    def part(said):
        return r.ResponseOutputText(type="output_text", text=said, annotations=[], logprobs=[])

    def call(id, name, arguments):
        return r.ResponseFunctionToolCall(
            id=f"fc_{id}", type="function_call", call_id=id, name=name, arguments=json.dumps(arguments), status="completed"
        )

    refusal = r.ResponseOutputRefusal(type="refusal", refusal="I can’t.")
    summary = [{"type": "summary_text", "text": "Sun,"}, {"type": "summary_text", "text": "or rain?"}]
    reasoning = r.ResponseReasoningItem(id="rs_1", type="reasoning", summary=summary, encrypted_content="gAAAAAB")
    plain = r.ResponseReasoningItem(id="rs_2", type="reasoning", summary=[])
    provider.answer("responses-text", response(message(part(SUNNY))), said("endTurn", text(SUNNY)))
    provider.answer("responses-nothing", response(), said("endTurn"))
    provider.answer("responses-text-empty", response(message(part(""))), said("endTurn"))
    answer = response(message(part("One."), part("Two.")), message(part("Three.")))
    provider.answer("responses-texts", answer, said("endTurn", text("One."), text("Two."), text("Three.")))
    provider.answer(
        "responses-call",
        response(call("call_a", "get_weather", HARD)),
        said("toolUse", tool_use("call_a", "get_weather", **HARD)),
    )
    calls = [call("call_a", "add", {}), call("call_b", "add", {"a": 1, "b": -2})]
    blocks = [text("Both:"), tool_use("call_a", "add"), tool_use("call_b", "add", a=1, b=-2)]
    answer = response(message(part("Both:"), phase="commentary"), *calls)
    provider.answer("responses-text-and-calls", answer, said("toolUse", *blocks))
    provider.answer("responses-reasoning", response(plain, reasoning, message(part("Sun."))), said("endTurn", text("Sun.")))
    answer = response(reasoning, calls[0], reasoning, calls[1])
    provider.answer("responses-reasoning-between", answer, said("toolUse", *blocks[1:]))
    answer = response(reasoning, status="incomplete", reason="max_output_tokens")
    provider.answer("responses-reasoning-alone", answer, said("maxTokens"))
    provider.answer("responses-refusal", response(message(refusal)), said("refusal", text("I can’t.")))
    search = r.ResponseFunctionWebSearch(
        id="ws_1", type="web_search_call", status="completed", action={"type": "search", "query": "weather"}
    )
    provider.answer("responses-search", response(search, message(part("Sun."))), error("malformed-response"))
    usage = figures.model_copy(
        update={
            "input_tokens": 1111,
            "input_tokens_details": InputTokensDetails(cached_tokens=1000, cache_write_tokens=100),
            "output_tokens": 70,
            "output_tokens_details": OutputTokensDetails(reasoning_tokens=50),
        }
    )
    answer = response(message(part("Yes.")), usage=usage)
    provider.answer("responses-cached", answer, said("endTurn", text("Yes."), input=1111, output=70))
    answer = response(status="incomplete", reason="content_filter")
    provider.answer("responses-filtered-wholly", answer, error("content-filtered"))

    statuses = {
        "completed": said("endTurn", text("Well")),
        "incomplete": said("incomplete", text("Well")),
        "failed": error("internal"),
        "cancelled": error("internal"),
        "in_progress": error("malformed-response"),
        "queued": error("malformed-response"),
    }
    for status, expect in every(values(r.ResponseStatus), statuses):
        ends = status in {"completed", "incomplete", "failed"}  # the others have no event
        provider.answer(f"responses-status-{status}", response(message(part("Well")), status=status), expect, streams=ends)
    reasons = {
        "max_output_tokens": "maxTokens",
        "max_messages": "max_messages",
        "content_filter": "content_filter",
        "steered": "steered",
    }
    for reason, expected in every(values(IncompleteDetails.model_fields["reason"].annotation), reasons):
        answer = response(message(part("Well")), status="incomplete", reason=reason)
        provider.answer(f"responses-incomplete-{reason}", answer, said(expected, text("Well")))
    codes = {
        "internal": "server_error vector_store_timeout failed_to_download_image image_file_not_found",
        "rate-limited": "rate_limit_exceeded",
        "forbidden": "data_residency_mismatch",
        "content-filtered": "invalid_prompt bio_policy misalignment_policy_violation image_content_policy_violation",
        "invalid-request": "invalid_image invalid_image_format invalid_base64_image invalid_image_url invalid_image_mode"
        " image_parse_error empty_image_file",
        "unsupported": "image_too_large image_too_small image_file_too_large unsupported_image_media_type",
    }
    codes = {code: kind for kind, codes in codes.items() for code in codes.split()}
    for code, kind in every(values(r.ResponseError.model_fields["code"].annotation), codes):
        answer = response(status="failed", failure=r.ResponseError(code=code, message="No."), usage=None)
        provider.answer(f"responses-failed-{code}", answer, error(kind))
        begun = list(streamed.responses(response(message(part("Well")))))[:5]
        stopped = r.ResponseErrorEvent(type="error", code=code, message="No.", param=None, sequence_number=5)
        provider.events(f"responses-error-{code}-streamed", [*begun, ("error", stopped)], error(kind))
    openai_refusals(provider)


# ---------------------------------------------------------------- Gemini


def gemini() -> None:
    provider = Provider("gemini", streamed.GEMINI_DUMP, streamed.gemini)
    counts = g.GenerateContentResponseUsageMetadata(prompt_token_count=11, candidates_token_count=7, total_token_count=18)
    Part = g.Part

    def answer(*parts, finish="STOP", usage=counts, content=True, **fields):
        content = g.Content(role="model", parts=list(parts)) if content else None
        candidate = g.Candidate(index=0, content=content, finish_reason=finish, **fields)
        head = {"model_version": "gemini-test", "response_id": "response-1"}
        return g.GenerateContentResponse(candidates=[candidate], usage_metadata=usage, **head)

    def call(name, signature=None, id=None, **args):
        return Part(function_call=g.FunctionCall(id=id, name=name, args=args), thought_signature=signature)

    thought = Part(text="Sun, or rain?", thought=True)
    provider.answer("text", answer(Part(text=SUNNY)), said("endTurn", text(SUNNY)))
    provider.answer("nothing", answer(), said("endTurn"))
    provider.answer("content-absent", answer(content=False), said("endTurn"))
    provider.answer("text-empty", answer(Part(text="")), said("endTurn"))
    one = call("get_weather", id="fc-1", signature=b"\xff\xfe signed", **HARD)
    provider.answer("call", answer(one), said("toolUse", tool_use("fc-1", "get_weather", **HARD)))
    two = [Part(text="Both:"), call("add", signature=b"signed"), call("add", a=1, b=-2)]
    blocks = [text("Both:"), tool_use("call_0", "add"), tool_use("call_1", "add", a=1, b=-2)]
    provider.answer("text-and-calls", answer(*two), said("toolUse", *blocks))
    provider.answer("thoughts", answer(thought, Part(text=SUNNY)), said("endTurn", text(SUNNY)))
    provider.answer("thoughts-alone", answer(thought, finish="MAX_TOKENS"), said("maxTokens"))
    signed = [thought, Part(text=SUNNY, thought_signature=b"signed")]
    provider.answer("text-signed", answer(*signed), said("endTurn", text(SUNNY)))
    late = [thought, Part(text="Sun"), Part(text="ny."), Part(text="", thought_signature=b"signed")]
    provider.events("text-signed-late-streamed", streamed.gemini(answer(*late)), said("endTurn", text("Sunny.")))
    drawn = [Part(text="Look:"), Part(inline_data=g.Blob(mime_type="image/png", data=PNG))]
    image = {"type": "image", "data": PNG_BASE64, "mimeType": "image/png"}
    provider.answer("image", answer(*drawn), said("endTurn", text("Look:"), image))
    spoken = Part(inline_data=g.Blob(mime_type="audio/L16;codec=pcm;rate=24000", data=b"\x00\x01\x02"))
    audio = {"type": "audio", "data": "AAEC", "mimeType": "audio/L16;codec=pcm;rate=24000"}
    provider.answer("audio", answer(spoken), said("endTurn", audio))
    ran = [
        Part(executable_code=g.ExecutableCode(code="print(3)", language="PYTHON")),
        Part(code_execution_result=g.CodeExecutionResult(outcome="OUTCOME_OK", output="3")),
    ]
    provider.answer("code", answer(*ran, Part(text="3.")), said("endTurn", text("3.")))
    usage = g.GenerateContentResponseUsageMetadata(
        prompt_token_count=1111,
        cached_content_token_count=1000,
        tool_use_prompt_token_count=5,
        candidates_token_count=20,
        thoughts_token_count=50,
        total_token_count=1186,
        prompt_tokens_details=[g.ModalityTokenCount(modality="TEXT", token_count=1111)],
    )
    provider.answer("cached", answer(Part(text="Yes."), usage=usage), said("endTurn", text("Yes."), input=1116, output=70))

    # With something said; and with nothing.
    filtered = (None, error("content-filtered"))
    odd = (None, error("malformed-response"))
    finishes = {
        "STOP": ("endTurn", said("endTurn")),
        "MAX_TOKENS": ("maxTokens", said("maxTokens")),
        "CONTINUATION": ("maxTokens", said("maxTokens")),
        "PUP_LIMITED_DISABLED": (None, error("forbidden")),
    }
    filters = "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT"
    finishes |= dict.fromkeys(f"{filters} IMAGE_RECITATION ESCALATION MODEL_ARMOR".split(), filtered)
    oddities = "FINISH_REASON_UNSPECIFIED OTHER MALFORMED_FUNCTION_CALL IMAGE_OTHER NO_IMAGE UNEXPECTED_TOOL_CALL"
    finishes |= dict.fromkeys(f"{oddities} TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE MALFORMED_RESPONSE".split(), odd)
    for finish, (stop_reason, of_nothing) in every(g.FinishReason, finishes):
        spoke = answer(Part(text="Well"), finish=finish)
        word = None if finish == "FINISH_REASON_UNSPECIFIED" else finish
        provider.answer(f"finish-{finish}", spoke, said(stop_reason or word, text("Well")))
        silent = answer(finish=finish, content=False, finish_message="Why.")
        provider.answer(f"finish-{finish}-with-nothing", silent, of_nothing)
    blocked = "BLOCKED_REASON_UNSPECIFIED SAFETY OTHER BLOCKLIST PROHIBITED_CONTENT IMAGE_SAFETY MODEL_ARMOR JAILBREAK"
    for reason, expect in every(g.BlockedReason, dict.fromkeys(blocked.split(), error("content-filtered"))):
        feedback = g.GenerateContentResponsePromptFeedback(block_reason=reason)
        refused = g.GenerateContentResponse(prompt_feedback=feedback, usage_metadata=counts, model_version="gemini-test")
        provider.answer(f"blocked-{reason}", refused, expect)

    # Google's JSON has the code's name beside it, and the package's type has not.
    for status, name, kind in [
        (400, "INVALID_ARGUMENT", "invalid-request"),
        (401, "UNAUTHENTICATED", "unauthorized"),
        (403, "PERMISSION_DENIED", "forbidden"),
        (404, "NOT_FOUND", "not-found"),
        (429, "RESOURCE_EXHAUSTED", "rate-limited"),
        (500, "INTERNAL", "internal"),
        (503, "UNAVAILABLE", "overloaded"),
        (504, "DEADLINE_EXCEEDED", "unavailable"),
    ]:
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2s"}] if status == 429 else None
        refusal = provider.json(g.GoogleRpcStatus(code=status, message="No.", details=details)) | {"status": name}
        provider.refusal(name, status, {"error": refusal}, kind)
        begun = list(streamed.gemini(answer(Part(text="Well"))))[:1]
        provider.events(f"error-{name}-streamed", [*begun, (None, {"error": refusal})], error(kind))


# ---------------------------------------------------------------- Ollama


def ollama_chat() -> None:
    provider = Provider("ollama", streamed.OLLAMA_DUMP, streamed.ollama_lines, media_type=LINES)

    def answer(content="", reason="stop", **message):
        message = ollama.Message(role="assistant", content=content, **message)
        times = {key: 1_000_000 for key in ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")}
        head = {"model": "llama-test", "created_at": "2026-11-21T12:00:00Z", "done": True, "done_reason": reason}
        return ollama.ChatResponse(**head, message=message, prompt_eval_count=11, eval_count=7, **times)

    def call(name, **arguments):
        return ollama.Message.ToolCall(function={"name": name, "arguments": arguments})

    provider.answer("text", answer(SUNNY), said("endTurn", text(SUNNY)))
    provider.answer("nothing", answer(), said("endTurn"))
    one = answer(tool_calls=[call("get_weather", **HARD)])
    provider.answer("call", one, said("toolUse", tool_use("call_0", "get_weather", **HARD)))
    blocks = [tool_use("call_0", "add"), tool_use("call_1", "add", a=1, b=-2)]
    both = {"tool_calls": [call("add"), call("add", a=1, b=-2)]}
    provider.answer("text-and-calls", answer("Both:", **both), said("toolUse", text("Both:"), *blocks))
    provider.answer("calls-and-length", answer(reason="length", **both), said("maxTokens", *blocks))
    provider.answer("thinking", answer(SUNNY, thinking="Sun, or rain?"), said("endTurn", text(SUNNY)))
    thoughtful = answer(thinking="Sun, or rain?", **both)
    provider.answer("thinking-and-calls", thoughtful, said("toolUse", *blocks))
    provider.answer("thinking-alone", answer(thinking="Sun,", reason="length"), said("maxTokens"))
    image = {"type": "image", "data": PNG_BASE64, "mimeType": "image/png"}
    drawn = answer("Look:", images=[ollama.Image(value=PNG)])
    provider.answer("image", drawn, said("endTurn", text("Look:"), image))
    # A tool that must be used is asked for as JSON, and comes as the text.
    forced = answer(json.dumps({"name": "get_weather", "arguments": HARD}, ensure_ascii=False))
    expect = said("toolUse", tool_use("call_0", "get_weather", **HARD))
    provider.answer("call-forced", forced, expect, request=WITH_TOOLS | {"toolChoice": {"mode": "required"}})
    # The package has a text for the reason; these are the server's words.
    for reason, expect in {
        "stop": said("endTurn", text("Well")),
        "length": said("maxTokens", text("Well")),
        "load": error("malformed-response"),
        "unload": error("malformed-response"),
        None: said(None, text("Well")),
    }.items():
        # A model that is loaded only says nothing.
        said_so = "" if reason in {"load", "unload"} else "Well"
        provider.answer(f"reason-{reason or 'absent'}", answer(said_so, reason=reason), expect)

    for status, message, kind in [
        (400, "invalid options", "invalid-request"),
        (400, '"llama-test" does not support tools', "unsupported"),
        (401, "unauthorized", "unauthorized"),
        (404, "model 'llama-test' not found", "not-found"),
        (429, "too many requests", "rate-limited"),
        (500, "llama runner process has terminated", "internal"),
        (503, "server busy, please try again. maximum pending requests exceeded", "overloaded"),
    ]:
        body = {"error": ollama.ResponseError(message, status).error}
        provider.refusal(f"{status}-{kind}", status, body, kind)
    begun = list(streamed.ollama_lines(answer("Well")))[:1]
    body = {"error": ollama.ResponseError("llama runner process has terminated").error}
    provider.events("error-internal-streamed", [*begun, (None, body)], error("internal"))


if __name__ == "__main__":
    anthropic()
    openai_chat()
    openai_responses()
    gemini()
    ollama_chat()
