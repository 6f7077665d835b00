"""Holds what the `ollama` plugin sends and reads against the `ollama` package's own types.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install ollama 'pydantic>=2.12'
    /tmp/venv/bin/python tests/peers/python/validate_ollama.py [--self-test] [FIXTURE…]

Without arguments it checks every fixture of plugins/ollama. Other scripts import `validate` and `parse`.

By themselves the package's types let unknown keys pass and take any mapping for a message: so each message, tool and set of
options is checked on its own, with unknown keys forbidden. The few fields that the server's own types have
(`api/types.go` of github.com/ollama/ollama) and the package's haven't yet stand in `SERVER`.
"""

from __future__ import annotations

import base64
import copy
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ollama import ChatResponse
from ollama._types import ChatRequest, Message, Options, Tool
from pydantic import BaseModel, ValidationError

FIXTURES = Path(__file__).resolve().parents[3] / "plugins" / "ollama" / "fixtures"

# What the server knows and the package doesn't, by where it stands.
SERVER = {
    "request": {"truncate": bool, "shift": bool},
    "message": {"tool_call_id": str},
    "tool call": {"id": str},
}
# Answers that the plugin takes although the package's types don't.
ODD = {
    "answer-image",
    "answer-lines",
    "answer-tool-call-arguments-a-null-text",
    "answer-tool-call-arguments-a-text",
    "answer-tool-call-arguments-null",
    "answer-tool-calls-without-reason",
    "answer-usage-odd",
    "answer-with-a-byte-order-mark",
}
# Streams with a line that is no answer, beside those with an error in the middle.
BAD_STREAMS = {"stream-malformed", "stream-content-number", "stream-no-message"}
ROLES = {"system", "user", "assistant", "tool"}


def read(kind: type[BaseModel], value: Any, place: str, extra: str = "forbid") -> None:
    try:
        kind.model_validate(value, strict=True, extra=extra)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise ValueError("\n".join(".".join([place, *map(str, e["loc"])]) + ": " + e["msg"] for e in found)) from error


def without_server(value: Any, what: str, place: str) -> dict[str, Any]:
    """The object without the fields that only the server knows, whose types are checked here."""
    if not isinstance(value, dict):
        raise ValueError(f"{place} is not an object")
    for key, kind in SERVER[what].items():
        if key in value and not isinstance(value[key], kind):
            raise ValueError(f"{place}.{key} is not a {kind.__name__}")
    return {key: item for key, item in value.items() if key not in SERVER[what]}


def message(value: Any, place: str) -> None:
    plain = without_server(value, "message", place)
    if plain.get("role") not in ROLES:
        raise ValueError(f"{place}.role is none of {', '.join(sorted(ROLES))}")
    if not isinstance(plain.get("content"), str):
        raise ValueError(f"{place}.content is not a text, which the server wants")
    for image in plain.get("images", []):
        # The package reads files and encodes bytes; what it sends is base64.
        base64.b64decode(image, validate=True)
    if "images" in plain:
        plain["images"] = [{"value": image} for image in plain["images"]]
    if "tool_calls" in plain:
        calls = [without_server(call, "tool call", f"{place}.tool_calls") for call in plain["tool_calls"]]
        plain["tool_calls"] = calls
    read(Message, plain, place)


def tool(value: Any, place: str) -> None:
    """A tool's `parameters` are JSON Schema, of which the package's type names a part only."""
    read(Tool, value, place, extra="ignore")
    read(Tool, {**value, "function": {k: v for k, v in value["function"].items() if k != "parameters"}}, place)


def validate(body: dict[str, Any]) -> None:
    """Raises ValueError if `body` isn't what the types say a request to `/api/chat` is."""
    plain = without_server(body, "request", "body")
    if not isinstance(plain.get("messages"), list) or not plain["messages"]:
        raise ValueError("`messages` must be a list, and not an empty one")
    for n, item in enumerate(plain["messages"]):
        message(item, f"messages[{n}]")
    for n, item in enumerate(plain.get("tools", [])):
        tool(item, f"tools[{n}]")
    read(Options, plain.get("options", {}), "options")
    if not isinstance(plain.get("stream"), bool):
        raise ValueError("`stream` must be true or false: without it the server streams")
    read(ChatRequest, {key: value for key, value in plain.items() if key not in ("messages", "tools", "options")}, "body")


def parse(body: Any) -> ChatResponse:
    """The answer, as the package reads it. Raises ValueError if it isn't one."""
    return ChatResponse.model_validate(body)


def parse_line(line: Any) -> ChatResponse:
    """A line of a stream, as the package reads it. The package has images in messages as its own type only (see `message`)."""
    if isinstance(line.get("message"), dict) and "images" in line["message"]:
        images = [{"value": image} for image in line["message"]["images"]]
        line = {**line, "message": {**line["message"], "images": images}}
    return parse(line)


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

    roles = [item["role"] for item in good["messages"]]
    user, assistant, result = roles.index("user"), roles.index("assistant"), roles.index("tool")
    call = ["messages", assistant, "tool_calls", 0]
    wrong = {
        "an unknown key": change(["max_tokens"], 1),
        "an unknown key in a message": change(["messages", user, "image"], "x"),
        "an unknown key in a tool call": change([*call, "type"], "function"),
        "an unknown key in a function call": change([*call, "function", "args"], {}),
        "an unknown key in a tool": change(["tools", 0, "inputSchema"], {}),
        "an unknown key in a function": change(["tools", 0, "function", "schema"], {}),
        "an unknown option": change(["options", "max_tokens"], 1),
        "a text for a number": change(["options", "temperature"], "0.7"),
        "a float for an integer": change(["options", "num_predict"], 1.5),
        "a text for a list": change(["options", "stop"], "END"),
        "an unknown role": change(["messages", user, "role"], "robot"),
        "no role": change(["messages", user], {"content": "x"}),
        "no content": change(["messages", user, "content"], None),
        "content as parts": change(["messages", user, "content"], [{"type": "text", "text": "x"}]),
        "an image that is not base64": change(["messages", user, "images", 0], "data:image/png;base64,AA=="),
        "an image as an object": change(["messages", user, "images", 0], {"value": "AA=="}),
        "arguments as a text": change([*call, "function", "arguments"], "{}"),
        "a tool call's id as a number": change([*call, "id"], 1),
        "a tool's name as a list": change(["messages", result, "tool_name"], []),
        "a schema that is no object's": change(["tools", 0, "function", "parameters", "type"], "array"),
        "a number for `think`": change(["think"], 1),
        "a list for `format`": change(["format"], []),
        "a list for `keep_alive`": change(["keep_alive"], []),
        "a text for `truncate`": change(["truncate"], "no"),
        "a text for `stream`": change(["stream"], "no"),
        "no `stream`": {key: value for key, value in good.items() if key != "stream"},
        "an empty model": change(["model"], ""),
        "no model": {key: value for key, value in good.items() if key != "model"},
        "no messages": {key: value for key, value in good.items() if key != "messages"},
    }
    for what, body in wrong.items():
        try:
            validate(body)
        except (ValueError, TypeError):
            continue
        raise SystemExit(f"self-test: {what} is not found out")
    answer = json.loads((FIXTURES / "full.json").read_text())["exchanges"][0]["response"]["body"]
    parse(answer)
    wrong_answers = [
        {key: value for key, value in answer.items() if key != "message"},
        {**answer, "message": "x"},
        {**answer, "message": {**answer["message"], "tool_calls": [{"function": {"name": "x", "arguments": "{}"}}]}},
    ]
    for body in wrong_answers:
        try:
            parse(body)
        except ValueError:
            continue
        raise SystemExit(f"self-test: not found out: {json.dumps(body)[:200]}")
    print(f"self-test: {len(wrong)} wrong requests and {len(wrong_answers)} wrong answers found out")


def check(file: Path) -> list[str]:
    """What is wrong with a fixture."""
    fixture = json.loads(file.read_text())
    wrong = []
    for n, exchange in enumerate(fixture.get("exchanges", [])):
        try:
            body = exchange["request"].get("body")
            validate(body)
            if body["stream"] != (exchange["request"].get("framing") == "lines"):
                raise ValueError("`stream` doesn't say what the framing says")
        except ValueError as error:
            wrong.append(f"{file.name}: exchanges[{n}].request.body: {error}")
        response = exchange["response"]
        for m, event in enumerate(response.get("events", []) if response and file.stem not in BAD_STREAMS else []):
            if "error" in event["data"]:
                continue
            try:
                parse_line(event["data"])
            except ValueError as error:
                wrong.append(f"{file.name}: exchanges[{n}].response.events[{m}]: {error}")
        if response and "body" in response and response["status"] == 200 and "result" in fixture and file.stem not in ODD:
            try:
                parse(response["body"])
            except ValueError as error:
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
    print(f"{len(files)} fixtures against ollama {version('ollama')}: {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
