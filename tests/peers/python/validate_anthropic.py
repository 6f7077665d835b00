"""Holds the fixtures of plugins/anthropic against the types of Anthropic's own Python package.

Every body that the plugin sends must be a `MessageCreateParamsNonStreaming`, with no key too many; every answer that it takes
must be a `Message`, but for the few that are odd on purpose. Another script can import `validate(body)`.

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
    from anthropic.types import Message, RedactedThinkingBlock, TextBlock, ThinkingBlock, ToolUseBlock, Usage
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
except ImportError as missing:
    sys.exit(f"{missing}; {INSTALL}")
if int(anthropic.__version__.split(".")[0]) > 0:
    sys.exit(f"anthropic {anthropic.__version__} has not the types of API version 2023-06-01; {INSTALL}")

FIXTURES = Path(__file__).resolve().parents[3] / "plugins" / "anthropic" / "fixtures"

# Answers that the plugin takes although the package's types don't.
ODD = {"answer-with-an-unknown-block", "answer-with-odd-usage", "stop-absent", "stop-unknown"}


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
                # The package's annotations are texts, so `__required_keys__` knows nothing of theirs.
                if kind.__total__ or typing_extensions.get_origin(hint) is required
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


def validate(body: dict) -> None:
    """Raises `pydantic.ValidationError` if this isn't a body of `POST /v1/messages`."""
    REQUEST.validate_python(body)


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
    wrong(lambda body: body.update(stream=True))
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


def check(folder: Path) -> list[str]:
    """What is wrong with the fixtures."""
    problems, bodies, messages = [], 0, 0
    files = sorted(folder.glob("*.json"))
    for file in files:
        fixture = json.loads(file.read_text())
        for exchange in fixture.get("exchanges", []):
            bodies += 1
            try:
                validate(exchange["request"]["body"])
            except pydantic.ValidationError as error:
                problems.append(f"{file.name}: the request is none of Anthropic's: {error}")
            if "result" not in fixture:
                continue
            messages += 1
            try:
                Message.model_validate(exchange["response"]["body"], strict=True)
                if file.stem in ODD:
                    problems.append(f"{file.name}: the answer is called odd and is one of Anthropic's")
            except pydantic.ValidationError as error:
                if file.stem not in ODD:
                    problems.append(f"{file.name}: the answer is none of Anthropic's: {error}")
    if not messages:
        problems.append(f"no fixture with an answer in {folder}")
    print(f"{len(files)} fixtures: {bodies} requests and {messages} answers checked", file=sys.stderr)
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
