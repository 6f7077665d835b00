"""Holds what the `openai` plugin sends and reads against the `openai` package's own types.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install openai pydantic
    /tmp/venv/bin/python tests/peers/python/validate_openai.py [--self-test] [FIXTURE…]

Without arguments it checks every fixture of plugins/openai. Other scripts import `validate` and `ChatCompletion`.

Fixtures named `compat-…` show compatible servers: their bodies may hold keys that OpenAI's types don't know, and their
answers aren't OpenAI's. The unknown keys are said aloud; all else in the bodies is checked as for any fixture.
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
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

FIXTURES = Path(__file__).resolve().parents[3] / "plugins" / "openai" / "fixtures"
SEQUENCES = {"Iterable", "Sequence", "SequenceNotStr"}


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
            together = [Annotated[typing.Union[tuple(together)], Field(discriminator=tag)]]
            break
    return typing.Union[tuple(together + others)]


def strict_typed_dict(kind: Any) -> Any:
    # `__required_keys__` knows nothing of a `Required[…]` that stands in a postponed annotation, so look at the hints.
    fields = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        required = typing.get_origin(hint) is Required or (kind.__total__ and name in kind.__required_keys__)
        if typing.get_origin(hint) in (Required, NotRequired):
            (hint,) = typing.get_args(hint)
        fields[name] = Required[strict(hint)] if required else NotRequired[strict(hint)]
    anew = TypedDict(kind.__name__, fields, total=False)
    anew.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return anew


@functools.cache
def adapter() -> TypeAdapter[Any]:
    return TypeAdapter(strict(CompletionCreateParamsNonStreaming))


def problems(body: Any) -> list[tuple[str, str]]:
    """What is wrong with a request's body: (pydantic's word for it, where and what)."""
    try:
        adapter().validate_python(body, strict=True)
    except ValidationError as error:
        return [
            (found["type"], ".".join(map(str, found["loc"])) + ": " + found["msg"])
            for found in error.errors(include_url=False)
        ]
    return []


def validate(body: dict[str, Any]) -> None:
    """Raises ValueError if `body` isn't what the package's types say a Chat Completions request is."""
    if found := problems(body):
        raise ValueError("not an OpenAI request:\n" + "\n".join(f"  {text}" for _, text in found))


def parse(body: Any) -> None:
    """Raises ValidationError if `body` isn't what the package's types say an answer is."""
    ChatCompletion.model_validate(body, strict=True)


def self_test() -> None:
    """Proves that wrong bodies are found out."""
    good = json.loads((FIXTURES / "full.json").read_text())["exchanges"][0]["request"]["body"]
    validate(good)

    def change(path: list[Any], value: Any) -> dict[str, Any]:
        body = copy.deepcopy(good)
        place = body
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return body

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
    for what, body in wrong.items():
        if not problems(body):
            raise SystemExit(f"self-test: {what} is not found out")
    answer = json.loads((FIXTURES / "full.json").read_text())["exchanges"][0]["response"]["body"]
    parse(answer)
    for key in ["id", "choices", "object"]:
        try:
            parse({k: v for k, v in answer.items() if k != key})
        except ValidationError:
            continue
        raise SystemExit(f"self-test: an answer without `{key}` is not found out")
    print(f"self-test: {len(wrong)} wrong requests and 3 wrong answers found out")


def check(file: Path) -> list[str]:
    """What is wrong with a fixture."""
    fixture = json.loads(file.read_text())
    compatible = file.name.startswith("compat-")
    wrong = []
    for n, exchange in enumerate(fixture.get("exchanges", [])):
        for kind, text in problems(exchange["request"].get("body")):
            if compatible and kind == "extra_forbidden":
                print(f"{file.name}: skipped, as a compatible server's: {text}")
            else:
                wrong.append(f"{file.name}: exchanges[{n}].request.body: {text}")
        response = exchange["response"]
        if response and response["status"] == 200 and "result" in fixture and not compatible:
            try:
                parse(response["body"])
            except ValidationError as error:
                wrong.append(f"{file.name}: exchanges[{n}].response.body: {error}")
    return wrong


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
