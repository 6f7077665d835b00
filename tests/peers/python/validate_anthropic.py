"""Holds the fixtures of plugins/anthropic against the types of Anthropic's own Python package.

Every body that the plugin sends must be a `MessageCreateParamsNonStreaming`, or a `MessageCreateParamsStreaming` if it asks
for a stream, with no key too many; every answer that it takes must be a `Message`, and every event of a stream a
`RawMessageStreamEvent`, but for the few that are odd on purpose. Of a whole stream the package's own accumulation must say
what the plugin says. Another script can import `validate(body)`.

    python validate_anthropic.py [--self-test] [--print-answers] [FOLDER]

Needs `anthropic<1`, as fastmcp.txt has it: the types of 1.0 and later are those of another version of the API.
"""

import argparse
import collections.abc
import json
import sys
import typing
from pathlib import Path

import typing_extensions

INSTALL = "install it: pip install -r tests/peers/python/fastmcp.txt"

try:
    import anthropic
    import pydantic
    from anthropic.lib.streaming._messages import accumulate_event
    from anthropic.types import (
        ErrorResponse,
        Message,
        RawMessageStreamEvent,
        RedactedThinkingBlock,
        TextBlock,
        ThinkingBlock,
        ToolUseBlock,
        Usage,
    )
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
except ImportError as missing:
    sys.exit(f"{missing}; {INSTALL}")
if int(anthropic.__version__.split(".")[0]) > 0:
    sys.exit(f"anthropic {anthropic.__version__} has not the types of API version 2023-06-01; {INSTALL}")

FIXTURES = Path(__file__).resolve().parents[3] / "plugins" / "anthropic" / "fixtures"

# Answers that the plugin takes although the package's types don't.
ODD = {
    "answer-with-a-byte-order-mark",
    "answer-with-an-unknown-block",
    "answer-with-odd-usage",
    "stop-absent",
    "stop-stop-beside-a-tool-use",
    "stop-tool-calls-beside-a-tool-use",
    "stop-unknown",
    "stream-not-asked-for",
    "tool-input-encoded-twice",
    "tool-input-fenced",
    "tool-input-null",
}

# Streams with an event that the package's types don't know.
ODD_STREAMS = {
    "stream-block-without-type",
    "stream-data-not-json",
    "stream-data-without-type",
    "stream-delta-unknown",
    "stream-done-for-message-stop",
    "stream-done-too-early",
    "stream-error-of-a-gateway",
    "stream-error-of-another-format",
    "stream-event-unknown",
    "stream-keep-alives",
    "stream-tool-input-empty-first",
    "stream-tool-input-with-a-raw-newline",
    "stream-without-usage",
}


def closed(kind: typing.Any, made: dict[typing.Any, typing.Any]) -> typing.Any:
    """The same type, made strict all the way down.

    By itself pydantic would ignore unknown keys of a TypedDict and never look into an `Iterable`.
    """
    if typing_extensions.is_typeddict(kind):
        if kind not in made:
            hints = typing_extensions.get_type_hints(kind, include_extras=True)
            required = typing_extensions.Required
            fields = {
                key: required[closed(hint, made)]
                # The package's annotations are texts, so `__required_keys__` knows nothing of theirs; it does know which
                # keys are inherited from a type of optional ones.
                if (kind.__total__ and key in kind.__required_keys__)
                or typing_extensions.get_origin(hint) is required
                else closed(hint, made)
                for key, hint in hints.items()
            }
            made[kind] = typing_extensions.TypedDict(kind.__name__, fields, total=False)
            made[kind].__pydantic_config__ = pydantic.ConfigDict(extra="forbid", strict=True)
        return made[kind]
    origin, arguments = typing_extensions.get_origin(kind), typing_extensions.get_args(kind)
    if origin in (typing_extensions.Required, typing_extensions.NotRequired, typing.Annotated):
        return closed(arguments[0], made)
    if origin is typing.Union:
        # A file or a path is read by the package before it sends anything; on the wire there is the text.
        on_the_wire = [a for a in arguments if not is_local(a)]
        return typing.Union[tuple(closed(a, made) for a in on_the_wire)]
    if origin in (list, collections.abc.Iterable, collections.abc.Sequence) or is_sequence(origin):
        return list[closed(arguments[0], made)]
    if origin is dict:
        return dict[closed(arguments[0], made), closed(arguments[1], made)]
    return kind


def is_local(kind: typing.Any) -> bool:
    return "PathLike" in str(kind) or "IO[bytes]" in str(kind)


def is_sequence(origin: typing.Any) -> bool:
    return getattr(origin, "__name__", "") == "SequenceNotStr"


REQUEST = pydantic.TypeAdapter(closed(MessageCreateParamsNonStreaming, {}))
STREAMING_REQUEST = pydantic.TypeAdapter(closed(MessageCreateParamsStreaming, {}))
EVENT = pydantic.TypeAdapter(RawMessageStreamEvent)


def validate(body: dict) -> None:
    """Raises `pydantic.ValidationError` if this isn't a body of `POST /v1/messages`."""
    # The pinned package is older than this way to think, which takes no field either.
    if body.get("thinking") == {"type": "between_tools"}:
        body = body | {"thinking": {"type": "disabled"}}
    (STREAMING_REQUEST if body.get("stream") else REQUEST).validate_python(body)


def checked(event: dict) -> typing.Any:
    """The event as the package reads it, or none if it tells nothing of the message.

    Raises `ValueError` if it is none of Anthropic's.
    """
    data = event["data"]
    kind = data.get("type") if isinstance(data, dict) else None
    if kind != event["event"]:
        raise ValueError(f"an event called `{event['event']}`, and in its data `{kind}`")
    if kind == "error":
        ErrorResponse.model_validate(data, strict=True)
    # The package passes over `ping`s, and has no type for them.
    return None if kind in ("error", "ping") else EVENT.validate_python(data, strict=True)


def said(content: list[dict] | dict) -> list:
    """The texts and the tools' inputs; all numbers as floats, which is how a fixture holds big ones."""
    blocks = content if isinstance(content, list) else [content]
    kept = [block.get("text", block.get("input")) for block in blocks if block["type"] in ("text", "tool_use")]
    return json.loads(json.dumps(kept), parse_int=float)


def check_stream(fixture: dict, events: list[dict], *, is_last: bool = True) -> None:
    """Raises `ValueError` if the stream is none of Anthropic's, or if the plugin reads it otherwise than the package."""
    of_the_message = [event for event in map(checked, events) if event]
    # An attempt that fails is followed by another.
    if "result" not in fixture or not is_last:
        return
    message = None
    for event in of_the_message:
        message = accumulate_event(event=event, current_snapshot=message)
    is_cut_here = fixture["result"].get("stopReason") == "stopSequence" and message.stop_reason != "stop_sequence"
    if not is_cut_here and said(message.to_dict()["content"]) != said(fixture["result"]["content"]):
        raise ValueError(f"the package reads {message.content}")
    # Of several attempts the fixture has the sum.
    is_alone = len(fixture.get("exchanges", [])) < 2
    if is_alone and fixture["usage"]["output"] != message.usage.output_tokens:
        raise ValueError(f"the package counts {message.usage}")


def answers() -> list[Message]:
    """Answers made by the package, to take fixtures from."""
    usage = Usage(input_tokens=2095, cache_creation_input_tokens=2051, cache_read_input_tokens=1024, output_tokens=503)
    blocks = [
        ThinkingBlock(type="thinking", thinking="Let me see.", signature="c2ln"),
        RedactedThinkingBlock(type="redacted_thinking", data="ZGF0YQ=="),
        TextBlock(type="text", text="I'll look."),
        ToolUseBlock(type="tool_use", id="toolu_01A", name="look", input={"at": "Rome"}),
    ]
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "usage": usage}
    return [
        Message(**message, content=blocks, stop_reason="tool_use", stop_sequence=None),
        Message(**message, content=blocks[2:3], stop_reason="end_turn", stop_sequence=None),
        Message(**message, content=[], stop_reason="stop_sequence", stop_sequence="END"),
    ]


def self_test() -> None:
    """What is right passes, and each wrong change of it is refused."""

    def right() -> dict:
        block = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "b"}]}
        return {
            "model": "claude-sonnet-4-6",
            "max_tokens": 1,
            "temperature": 1,
            "messages": [{"role": "user", "content": [block]}],
            "stop_sequences": ["END"],
            "tools": [{"name": "look", "input_schema": {"type": "object", "$defs": {}}}],
        }

    def wrong(change: typing.Callable[[dict], object]) -> None:
        body = right()
        change(body)
        try:
            validate(body)
        except pydantic.ValidationError:
            return
        sys.exit(f"taken, and shouldn't be: {json.dumps(body)}")

    def block(body: dict) -> dict:
        return body["messages"][0]["content"][0]

    validate(right())
    wrong(lambda body: body.update(maxTokens=1))
    wrong(lambda body: body.pop("max_tokens"))
    wrong(lambda body: body.update(max_tokens="1"))
    validate({**right(), "stream": True})
    wrong(lambda body: body.update(stream="yes"))
    wrong(lambda body: body.update(stream=True, max_tokens="1"))
    wrong(lambda body: body.update(stream=True, stream_options={"include_usage": True}))
    wrong(lambda body: body.update(stop_sequences="END"))
    wrong(lambda body: body.update(tool_choice={"type": "required"}))
    wrong(lambda body: body.update(thinking={"type": "enabled"}))
    wrong(lambda body: body["messages"][0].update(role="tool"))
    wrong(lambda body: body["messages"][0].update(_meta={}))
    wrong(lambda body: body["tools"][0].update(inputSchema={}))
    wrong(lambda body: block(body).update(toolUseId="a"))
    wrong(lambda body: block(body)["content"][0].update(annotations={}))
    wrong(lambda body: block(body)["content"].append({"type": "audio", "data": "AA=="}))

    def with_image(**source: str) -> dict:
        body = right()
        block(body)["content"].append({"type": "image", "source": {"type": "base64", "data": "AA==", **source}})
        return body

    validate(with_image(media_type="image/png"))
    wrong(lambda body: body.update(with_image(media_type="image/svg+xml")))
    wrong(lambda body: body.update(with_image(media_type="image/png", mimeType="image/png")))
    self_test_of_streams()


def self_test_of_streams() -> None:
    """The same for a stream."""

    def right() -> tuple[dict, list[dict]]:
        fixture = json.loads((FIXTURES / "stream-full.json").read_text())
        return fixture, fixture["exchanges"][0]["response"]["events"]

    def wrong(change: typing.Callable[[dict, list[dict]], object]) -> None:
        fixture, events = right()
        change(fixture, events)
        try:
            check_stream(fixture, events)
        except ValueError:
            return
        sys.exit(f"taken, and shouldn't be: {json.dumps(events)}")

    fixture, events = right()
    check_stream(fixture, events)
    kinds = [event["event"] for event in events]
    start, stop = kinds.index("content_block_start"), kinds.index("content_block_stop")
    text = next(n for n, event in enumerate(events) if event["data"].get("delta", {}).get("type") == "text_delta")
    wrong(lambda fixture, events: events[start].update(event="content_block_begin"))
    wrong(lambda fixture, events: events[start]["data"].pop("index"))
    wrong(lambda fixture, events: events[stop]["data"].update(index="0"))
    wrong(lambda fixture, events: events[text]["data"]["delta"].pop("text"))
    wrong(lambda fixture, events: events[text]["data"]["delta"].update(text="Both!"))
    wrong(lambda fixture, events: fixture["result"]["content"].pop())
    wrong(lambda fixture, events: fixture["usage"].update(output=1))


def check(folder: Path) -> list[str]:
    """What is wrong with the fixtures."""
    problems, bodies, messages, streams = [], 0, 0, 0
    files = sorted(folder.glob("*.json"))
    for file in files:
        fixture = json.loads(file.read_text())
        for exchange in fixture.get("exchanges", []):
            bodies += 1
            try:
                validate(exchange["request"]["body"])
            except pydantic.ValidationError as error:
                problems.append(f"{file.name}: the request is none of Anthropic's: {error}")
            if "events" in exchange["response"]:
                streams += 1
                try:
                    check_stream(fixture, exchange["response"]["events"], is_last=exchange is fixture["exchanges"][-1])
                    if file.stem in ODD_STREAMS:
                        problems.append(f"{file.name}: the stream is called odd and is one of Anthropic's")
                except ValueError as error:
                    if file.stem not in ODD_STREAMS:
                        problems.append(f"{file.name}: the stream is none of Anthropic's: {error}")
                continue
            if "result" not in fixture or exchange["response"]["status"] != 200:
                continue
            messages += 1
            try:
                Message.model_validate(exchange["response"]["body"], strict=True)
                if file.stem in ODD:
                    problems.append(f"{file.name}: the answer is called odd and is one of Anthropic's")
            except pydantic.ValidationError as error:
                if file.stem not in ODD:
                    problems.append(f"{file.name}: the answer is none of Anthropic's: {error}")
    if not messages or not streams:
        problems.append(f"no fixture with an answer, or none with a stream, in {folder}")
    print(f"{len(files)} fixtures: {bodies} requests, {messages} answers and {streams} streams checked", file=sys.stderr)
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FIXTURES, metavar="FOLDER")
    parser.add_argument("--self-test", action="store_true", help="first show that what is wrong is refused")
    parser.add_argument("--print-answers", action="store_true", help="print answers made by the package, and end")
    arguments = parser.parse_args()
    if arguments.print_answers:
        for answer in answers():
            print(answer.model_dump_json(exclude_unset=True))
        return
    if arguments.self_test:
        self_test()
    if problems := check(arguments.folder):
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
