"""Holds what the `openai` plugin sends and reads against the `openai` package's own types.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install openai pydantic
    /tmp/venv/bin/python tests/peers/python/validate_openai.py [--self-test] [FIXTURE…]

Without arguments it checks every fixture of plugins/openai: requests to `…/responses` as the Responses API's, all others
as Chat Completions'. Of a streamed answer every event is checked, and of Chat Completions' the package's own accumulation
must say what the plugin says. Other scripts import `validate`, `validate_responses` and `ChatCompletion`.

Fixtures with `compat-` in their names show compatible servers: their bodies may hold keys that OpenAI's types don't know,
and their answers aren't OpenAI's. The unknown keys are said aloud; all else in the bodies is checked as for any fixture.
Those in `ODD_STREAMS` are streamed answers with an event that is wrong on purpose.
"""

from __future__ import annotations

import copy
import functools
import json
import sys
import types
import typing
from pathlib import Path
from typing import Annotated, Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import ConfigDict, Discriminator, Tag, TypeAdapter, ValidationError
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

FIXTURES = Path(__file__).resolve().parents[3] / "plugins" / "openai" / "fixtures"
SEQUENCES = {"Iterable", "Sequence", "SequenceNotStr"}

# Streamed answers with an event that OpenAI's types don't know.
ODD_STREAMS = {
    "responses-stream-completed-without-response",
    "responses-stream-data-not-json",
    "responses-stream-event-unknown",
    "stream-data-a-list",
    "stream-data-not-json",
}

# Requests whose bodies are a compatible server's own: Mistral takes images and documents in a tool's answer, and audio as a text.
OTHER_BODIES = {"compat-mistral-media", "compat-mistral-tool-loop"}


@functools.cache
def strict(kind: Any) -> Any:
    """The same type, with TypedDicts that forbid unknown keys.

    Pydantic ignores unknown keys of a TypedDict unless the class says otherwise, and checks an `Iterable` lazily, that
    is never: so every TypedDict is built anew with `extra="forbid"`, and every sequence becomes a list.
    """
    if is_typeddict(kind):
        return strict_typed_dict(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is None or origin is typing.Literal:
        return kind
    if origin in (typing.Union, types.UnionType):
        return strict_union(arguments)
    if getattr(origin, "__name__", "") in SEQUENCES or origin is list:
        return list[strict(arguments[0])]
    if origin is dict:
        return dict[strict(arguments[0]), strict(arguments[1])]
    if getattr(origin, "__name__", "") == "Annotated":
        return strict(arguments[0])
    raise TypeError(f"{kind}: a kind of type that this script doesn't know; teach it")


def strict_union(members: tuple[Any, ...]) -> Any:
    # Told apart by `role` or `type` where all have it: otherwise a wrong message is a page of errors, one for each role.
    dicts = [member for member in members if is_typeddict(member)]
    others = [strict(member) for member in members if not is_typeddict(member)]
    together = [strict(member) for member in dicts]
    for tag in ["role", "type"]:
        if len(dicts) > 1 and all(tag in get_type_hints(member) for member in dicts):
            together = [told_apart(dicts, tag)]
            break
    return typing.Union[tuple(together + others)]


def told_apart(dicts: list[Any], tag: str) -> Any:
    """A union of TypedDicts by the value of a key. Several may share a value, as the Responses API's messages do."""
    by_value: dict[Any, list[Any]] = {}
    for member in dicts:
        for value in values_of(get_type_hints(member)[tag]):
            by_value.setdefault(value, []).append(strict(member))
    choices = [Annotated[typing.Union[tuple(kinds)], Tag(repr(value))] for value, kinds in by_value.items()]
    found = Discriminator(lambda body: repr(body.get(tag)) if isinstance(body, dict) else None)
    return Annotated[typing.Union[tuple(choices)], found]


def values_of(hint: Any) -> list[Any]:
    """The values that a `Literal` allows, or an optional one."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    if hint is type(None):
        return [None]
    return [value for argument in typing.get_args(hint) for value in values_of(argument)]


def strict_typed_dict(kind: Any) -> Any:
    # `__required_keys__` knows nothing of a `Required[…]` that stands in a postponed annotation, so look at the hints.
    fields = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        required = typing.get_origin(hint) is Required or (kind.__total__ and name in kind.__required_keys__)
        if typing.get_origin(hint) in (Required, NotRequired):
            (hint,) = typing.get_args(hint)
        fields[name] = Required[strict(hint)] if required else NotRequired[strict(hint)]
    # By its whole name: pydantic takes types of one name for one type, and the package has three `Message`s.
    anew = TypedDict(f"{kind.__module__}.{kind.__name__}".replace(".", "_"), fields, total=False)
    anew.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return anew


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(strict(kind))


def problems(body: Any, kind: Any = CompletionCreateParamsNonStreaming) -> list[tuple[str, str]]:
    """What is wrong with a request's body: (pydantic's word for it, where and what)."""
    try:
        adapter(kind).validate_python(body, strict=True)
    except ValidationError as error:
        return [
            (found["type"], ".".join(map(str, found["loc"])) + ": " + found["msg"])
            for found in error.errors(include_url=False)
        ]
    return []


def request_kind(body: Any, responses: bool) -> Any:
    """The type of a request's body."""
    streaming = isinstance(body, dict) and body.get("stream")
    if responses:
        return ResponseCreateParamsStreaming if streaming else ResponseCreateParamsNonStreaming
    return CompletionCreateParamsStreaming if streaming else CompletionCreateParamsNonStreaming


def validate(body: dict[str, Any]) -> None:
    """Raises ValueError if `body` isn't what the package's types say a Chat Completions request is."""
    if found := problems(body, request_kind(body, responses=False)):
        raise ValueError("not an OpenAI request:\n" + "\n".join(f"  {text}" for _, text in found))


def validate_responses(body: dict[str, Any]) -> None:
    """Raises ValueError if `body` isn't what the package's types say a Responses request is."""
    if found := problems(body, request_kind(body, responses=True)):
        raise ValueError("not an OpenAI Responses request:\n" + "\n".join(f"  {text}" for _, text in found))


def parse(body: Any, kind: Any = ChatCompletion) -> None:
    """Raises ValidationError if `body` isn't what the package's types say an answer is."""
    kind.model_validate(body, strict=True)


@functools.cache
def event_kinds() -> dict[str, Any]:
    """The Responses API's events, by their `type`."""
    union, *_ = typing.get_args(ResponseStreamEvent)
    return {value: kind for kind in typing.get_args(union) for value in values_of(kind.model_fields["type"].annotation)}


def check_events(events: list[dict[str, Any]]) -> None:
    """Raises ValueError if one of them is none of the Responses API's."""
    for event in events:
        kind = event["data"].get("type") if isinstance(event["data"], dict) else None
        if kind != event["event"] or kind not in event_kinds():
            raise ValueError(f"an event called `{event['event']}`, and in its data `{kind}`")
        parse(event["data"], event_kinds()[kind])


def check_chunks(events: list[dict[str, Any]], fixture: dict[str, Any]) -> None:
    """Raises ValueError if one is none of Chat Completions', or if the plugin reads them otherwise than the package."""
    state = ChatCompletionStreamState()
    for event in events:
        # The end is no JSON, and an error is no chunk: the package raises it.
        if event["data"] == "[DONE]" or (isinstance(event["data"], dict) and event["data"].get("error")):
            continue
        parse(event["data"], ChatCompletionChunk)
        state.handle_chunk(ChatCompletionChunk.model_validate(event["data"]))
    result = fixture.get("result")
    if result is None:
        return
    completion = state.current_completion_snapshot
    message = completion.choices[0].message
    functions = [call.function for call in message.tool_calls or []] or [f for f in [message.function_call] if f]
    content = result["content"] if isinstance(result["content"], list) else [result["content"]]
    texts = "".join(block["text"] for block in content if block["type"] == "text")
    expected = (message.content or "") + (message.refusal or "")
    if result.get("stopReason") != "stopSequence" and texts != expected:
        raise ValueError(f"the package reads the text `{expected}`")
    inputs = [block["input"] for block in content if block["type"] == "tool_use"]
    if inputs != [json.loads(function.arguments) for function in functions]:
        raise ValueError(f"the package reads the calls {functions}")
    usage = fixture.get("usage", {}).get("output")
    if usage != (completion.usage and completion.usage.completion_tokens):
        raise ValueError(f"the package counts {completion.usage}")


def self_test() -> None:
    """Proves that wrong bodies are found out."""
    self_test_of_chat()
    self_test_of_responses()
    self_test_of_streams()


def changed(body: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    body = copy.deepcopy(body)
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return body


def without(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k != key}


def exchange_of(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    exchange = json.loads((FIXTURES / name).read_text())["exchanges"][0]
    return exchange["request"]["body"], exchange["response"]["body"]


def find_out(wrong: dict[str, Any], kind: Any, answer: Any, keys: list[str], kind_of_answer: Any) -> None:
    for what, body in wrong.items():
        if not problems(body, kind):
            raise SystemExit(f"self-test: {what} is not found out")
    parse(answer, kind_of_answer)
    for key in keys:
        try:
            parse(without(answer, key), kind_of_answer)
        except ValidationError:
            continue
        raise SystemExit(f"self-test: an answer without `{key}` is not found out")
    print(f"self-test: {len(wrong)} wrong requests and {len(keys)} wrong answers found out")


def self_test_of_chat() -> None:
    good, answer = exchange_of("full.json")
    validate(good)
    change = functools.partial(changed, good)
    roles = [message["role"] for message in good["messages"]]
    user, assistant, tool = roles.index("user"), roles.index("assistant"), roles.index("tool")
    wrong = {
        "an unknown key": change(["max_token"], 1),
        "an unknown key in a message": change(["messages", user, "nmae"], "x"),
        "an unknown key in a part": change(["messages", user, "content", 0, "txt"], "x"),
        "an unknown key deep in a part": change(["messages", user, "content", 1, "image_url", "uri"], "x"),
        "an unknown key in a tool": change(["tools", 0, "function", "schema"], {}),
        "an unknown key in a tool call": change(["messages", assistant, "tool_calls", 0, "index"], 0),
        "a text for a number": change(["temperature"], "0.7"),
        "a float for an integer": change(["max_completion_tokens"], 1.5),
        "an unknown role": change(["messages", user, "role"], "robot"),
        "an image in a tool message": change(["messages", tool, "content"], good["messages"][user]["content"]),
        "an unknown audio format": change(["messages", user, "content", 5, "input_audio", "format"], "ogg"),
        "an unknown tool choice": change(["tool_choice"], "any"),
        "an unknown effort": change(["reasoning_effort"], "some"),
        "arguments as an object": change(["messages", assistant, "tool_calls", 0, "function", "arguments"], {}),
        "streaming": change(["stream"], True),
        "no model": {key: value for key, value in good.items() if key != "model"},
        "no messages": {key: value for key, value in good.items() if key != "messages"},
        "a tool message without its id": change(
            ["messages", tool], {k: v for k, v in good["messages"][tool].items() if k != "tool_call_id"}
        ),
    }
    find_out(wrong, CompletionCreateParamsNonStreaming, answer, ["id", "choices", "object"], ChatCompletion)


def self_test_of_responses() -> None:
    good, answer = exchange_of("responses-full.json")
    validate_responses(good)
    change = functools.partial(changed, good)
    kinds = [item["type"] for item in good["input"]]
    user, reasoning, call = kinds.index("message"), kinds.index("reasoning"), kinds.index("function_call")
    assistant = next(n for n, item in enumerate(good["input"]) if item.get("role") == "assistant")
    output = next(n for n, item in enumerate(good["input"]) if isinstance(item.get("output"), list))
    wrong = {
        "an unknown key": change(["max_tokens"], 1),
        "an unknown key in a message": change(["input", user, "nmae"], "x"),
        "an unknown key in a part": change(["input", user, "content", 0, "txt"], "x"),
        "an unknown part": change(["input", user, "content", 0, "type"], "text"),
        "an image without its detail": change(["input", user, "content", 1], without(good["input"][user]["content"][1], "detail")),
        "an unknown item": change(["input", user, "type"], "massage"),
        "an unknown role": change(["input", user, "role"], "robot"),
        "an unknown phase": change(["input", assistant, "phase"], "prologue"),
        "an unknown key in a call": change(["input", call, "input"], {}),
        "a call without its id": change(["input", call], without(good["input"][call], "call_id")),
        "arguments as an object": change(["input", call, "arguments"], {}),
        "audio in a tool's output": change(["input", output, "output", 0], {"type": "input_audio"}),
        "an output that is an object": change(["input", output, "output"], {}),
        "reasoning without a summary": change(["input", reasoning], without(good["input"][reasoning], "summary")),
        "reasoning that is no text": change(["input", reasoning, "encrypted_content"], 1),
        "a tool in Chat Completions' form": change(["tools", 0], {"type": "function", "function": {"name": "x"}}),
        "a tool that doesn't say `strict`": change(["tools", 0], without(good["tools"][0], "strict")),
        "an unknown tool choice": change(["tool_choice"], "any"),
        "an unknown effort": change(["reasoning", "effort"], "some"),
        "an unknown thing to include": change(["include", 0], "reasoning"),
        "a float for an integer": change(["max_output_tokens"], 1.5),
        "streaming": change(["stream"], True),
    }
    find_out(wrong, ResponseCreateParamsNonStreaming, answer, ["id", "output", "object"], Response)


def self_test_of_streams() -> None:
    fixture = json.loads((FIXTURES / "stream-full.json").read_text())
    body, events = fixture["exchanges"][0]["request"]["body"], fixture["exchanges"][0]["response"]["events"]
    validate(body)
    check_chunks(events, fixture)
    text = next(n for n, event in enumerate(events) if event["data"]["choices"][0]["delta"].get("content"))
    wrong_events = {
        "a chunk without its id": changed(events, [text, "data"], without(events[text]["data"], "id")),
        "a chunk of another object": changed(events, [text, "data", "object"], "chat.completion"),
        "a number for a text": changed(events, [text, "data", "choices", 0, "delta", "content"], 1),
        "another text": changed(events, [text, "data", "choices", 0, "delta", "content"], "Well: "),
        "other arguments": [event for event in events if "Rome" not in json.dumps(event)],
    }
    for what, wrong in wrong_events.items():
        found_out(what, lambda: check_chunks(wrong, fixture))
    wrong_bodies = {
        "a text for `stream`": changed(body, ["stream"], "yes"),
        "an unknown option": changed(body, ["stream_options", "usage"], True),
        "an unknown key": changed(body, ["max_token"], 1),
    }
    for what, wrong in wrong_bodies.items():
        found_out(what, lambda: validate(wrong))

    fixture = json.loads((FIXTURES / "responses-stream-full.json").read_text())
    body, events = fixture["exchanges"][0]["request"]["body"], fixture["exchanges"][0]["response"]["events"]
    validate_responses(body)
    check_events(events)
    with_options = {**body, "stream_options": {"include_usage": True}}
    found_out("Chat Completions' options", lambda: validate_responses(with_options))
    kinds = [event["event"] for event in events]
    delta, item = kinds.index("response.output_text.delta"), kinds.index("response.output_item.done")
    wrong_events = {
        "an event of another name": changed(events, [delta, "event"], "response.text.delta"),
        "an event of an unknown type": [{"event": "response.text.delta", "data": {"type": "response.text.delta"}}],
        "an event without its delta": changed(events, [delta, "data"], without(events[delta]["data"], "delta")),
        "an item of no type": changed(events, [item, "data", "item"], {}),
        "an end without its answer": changed(events, [-1, "data"], without(events[-1]["data"], "response")),
    }
    for what, wrong in wrong_events.items():
        found_out(what, lambda: check_events(wrong))
    print("self-test: wrong streams found out")


def found_out(what: str, check: typing.Callable[[], None]) -> None:
    try:
        check()
    except ValueError:
        return
    raise SystemExit(f"self-test: {what} is not found out")


def check(file: Path) -> list[str]:
    """What is wrong with a fixture."""
    fixture = json.loads(file.read_text())
    compatible = "compat-" in file.name
    wrong = []
    for n, exchange in enumerate(fixture.get("exchanges", [])):
        responses = exchange["request"]["path"].split("?")[0].endswith("/responses")
        body = exchange["request"].get("body")
        for kind, text in problems(body, request_kind(body, responses)):
            if compatible and (kind == "extra_forbidden" or file.stem in OTHER_BODIES):
                print(f"{file.name}: skipped, as a compatible server's: {text}")
            else:
                wrong.append(f"{file.name}: exchanges[{n}].request.body: {text}")
        response = exchange["response"]
        if response and "events" in response:
            if not compatible:
                found = wrong_in_stream(file, fixture, response["events"], responses)
                wrong.extend(f"{file.name}: exchanges[{n}].response.{text}" for text in found)
            continue
        if response and response["status"] == 200 and is_answer(fixture, response["body"]) and not compatible:
            try:
                parse(response["body"], Response if responses else ChatCompletion)
            except ValidationError as error:
                wrong.append(f"{file.name}: exchanges[{n}].response.body: {error}")
    return wrong


def wrong_in_stream(file: Path, fixture: dict[str, Any], events: list[dict[str, Any]], responses: bool) -> list[str]:
    try:
        check_events(events) if responses else check_chunks(events, fixture)
    except ValueError as error:
        return [] if file.stem in ODD_STREAMS else [f"events: {error}"]
    return ["events: they are called odd, and are OpenAI's"] if file.stem in ODD_STREAMS else []


def is_answer(fixture: dict[str, Any], body: Any) -> bool:
    """Whether the body is meant to be what the types say. An answer that failed is: the Responses API has a form for it."""
    return "result" in fixture or (isinstance(body, dict) and body.get("status") in ["failed", "cancelled"])


def main(arguments: list[str]) -> int:
    if "--self-test" in arguments:
        self_test()
        arguments = [argument for argument in arguments if argument != "--self-test"]
        if not arguments:
            return 0
    files = [Path(argument) for argument in arguments] or sorted(FIXTURES.glob("*.json"))
    if not files:
        print(f"no fixtures in {FIXTURES}", file=sys.stderr)
        return 1
    wrong = [text for file in files for text in check(file)]
    for text in wrong:
        print(text, file=sys.stderr)
    print(f"{len(files)} fixtures against openai {openai.__version__}: {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
