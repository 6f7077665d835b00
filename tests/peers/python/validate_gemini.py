"""Holds what the `gemini` plugin sends and reads against the `google-genai` package's own types.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install google-genai
    /tmp/venv/bin/python tests/peers/python/validate_gemini.py [--self-test] [FIXTURE…]

Without arguments it checks every fixture of plugins/gemini. Other scripts import `validate` and `parse`.

A body is split up as the package's converter would have put it together, each piece must be what its type says and come out
of the type again as it went in, and the converter itself must accept the whole: it refuses what only Vertex AI knows.
"""

from __future__ import annotations

import base64
import copy
import json
import sys
import warnings
from pathlib import Path
from typing import Any

from google import genai
from google.genai import models, types
from pydantic import BaseModel, ValidationError

FIXTURES = Path(__file__).resolve().parents[3] / "plugins" / "gemini" / "fixtures"

# Answers that the plugin takes although the package's types don't.
ODD = {
    "answer-finish-unknown",
    "answer-usage-odd",
    "answer-with-a-byte-order-mark",
    "call-args-a-text",
    "finish-empty-beside-a-call",
    "finish-unexpected-beside-a-call",
    "stream-not-asked-for",
}
# Streams with a chunk that is no answer, beside those with an error in the middle.
BAD_STREAMS = {"stream-keep-alives", "stream-malformed", "stream-part-not-an-object", "stream-part-unknown"}

# The body's fields beside `contents` and `generationConfig` that the converter takes out of `GenerateContentConfig`.
BESIDE = [
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "labels",
    "cachedContent",
    "serviceTier",
    "continuationToken",
    "store",
]

CLIENT = genai.Client(api_key="none", vertexai=False)._api_client


def read(kind: type[BaseModel], value: Any, strict: bool = True) -> BaseModel:
    """The value as this type: no unknown key at any depth, no key in snake case, no value of another type."""
    with warnings.catch_warnings():
        # Of an unknown word of an enumeration the package only warns.
        warnings.simplefilter("error")
        try:
            read = kind.model_validate_json(json.dumps(value), strict=strict, by_alias=True, by_name=False)
        except ValidationError as error:
            found = error.errors(include_url=False)
            raise ValueError("\n".join(".".join(map(str, e["loc"])) + ": " + e["msg"] for e in found)) from error
        except UserWarning as warning:
            raise ValueError(str(warning)) from warning
    if not strict:
        return read
    again = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
    if plain(again) != plain(value):
        raise ValueError(f"{json.dumps(value)} comes out of {kind.__name__} as {json.dumps(again)}")
    return read


def plain(value: Any, key: str = "") -> Any:
    """The same with base64 in one alphabet."""
    if isinstance(value, dict):
        return {k: plain(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if key in {"data", "thoughtSignature", "continuationToken"} and isinstance(value, str):
        return base64.urlsafe_b64decode(value.replace("+", "-").replace("/", "_"))
    return value


def validate(body: dict[str, Any]) -> None:
    """Raises ValueError if `body` isn't what the package's types say a generateContent request is."""
    if not isinstance(body, dict):
        raise ValueError("a body is an object")
    unknown = set(body) - {"contents", "generationConfig", *BESIDE}
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    if not isinstance(body.get("contents"), list) or not body["contents"]:
        raise ValueError("`contents` must be a list, and not an empty one")
    contents = [read(types.Content, content) for content in body["contents"]]
    for content in contents:
        if content.role not in ("user", "model"):
            raise ValueError(f"`{content.role}` is neither `user` nor `model`")
        if not content.parts:
            raise ValueError("a content without parts")
    for field, kind in [("systemInstruction", types.Content), ("toolConfig", types.ToolConfig)]:
        if field in body:
            read(kind, body[field])
    for field, kind in [("tools", types.Tool), ("safetySettings", types.SafetySetting)]:
        for item in body.get(field, []):
            read(kind, item)
    config = body.get("generationConfig", {})
    misplaced = set(config) & {*BESIDE, "httpOptions", "automaticFunctionCalling"}
    if misplaced:
        raise ValueError(f"not for `generationConfig`: {', '.join(sorted(misplaced))}")
    config = read(types.GenerateContentConfig, {**config, **{key: body[key] for key in BESIDE if key in body}})
    parameters = types._GenerateContentParameters(model="m", contents=contents, config=config)
    models._GenerateContentParameters_to_mldev(CLIENT, parameters, None, parameters)


def parse(body: Any) -> types.GenerateContentResponse:
    """The answer, as the package reads it. Raises ValueError if it isn't one, or holds what the package doesn't know."""
    read(types.GenerateContentResponse, body, strict=False)
    answer = models._GenerateContentResponse_from_mldev(copy.deepcopy(body), None, None)
    return types.GenerateContentResponse._from_response(response=answer, kwargs={})


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

    call, response = ["contents", 1, "parts", 2, "functionCall"], ["contents", 2, "parts", 1, "functionResponse"]
    wrong = {
        "an unknown key": change(["maxTokens"], 1),
        "an unknown key in the configuration": change(["generationConfig", "maxTokens"], 1),
        "an unknown key in a content": change(["contents", 0, "name"], "x"),
        "an unknown key in a part": change(["contents", 0, "parts", 0, "txt"], "x"),
        "an unknown key in data": change(["contents", 0, "parts", 1, "inlineData", "type"], "x"),
        "an unknown key in a function call": change([*call, "arguments"], {}),
        "an unknown key in a function's response": change([*response, "isError"], True),
        "an unknown key in a response's part": change([*response, "parts", 0, "text"], "x"),
        "an unknown key in a tool": change(["tools", 0, "functionDeclarations", 0, "inputSchema"], {}),
        "an unknown key in the thinking": change(["generationConfig", "thinkingConfig", "level"], "LOW"),
        "a key in snake case": change(["contents", 0, "parts", 1], {"inline_data": {"mimeType": "a/b", "data": "AA=="}}),
        "a text for a number": change(["generationConfig", "temperature"], "0.7"),
        "a float for an integer": change(["generationConfig", "maxOutputTokens"], 1.5),
        "an unknown role": change(["contents", 0, "role"], "assistant"),
        "no role": change(["contents", 0], {"parts": [{"text": "x"}]}),
        "a content without parts": change(["contents", 0, "parts"], []),
        "no contents": {key: value for key, value in good.items() if key != "contents"},
        "empty contents": change(["contents"], []),
        "an unknown mode": change(["toolConfig", "functionCallingConfig", "mode"], "SOME"),
        "a mode in lower case": change(["toolConfig", "functionCallingConfig", "mode"], "auto"),
        "an unknown thinking level": change(["generationConfig", "thinkingConfig", "thinkingLevel"], "LITTLE"),
        "arguments as a text": change([*call, "args"], "{}"),
        "a response as a text": change([*response, "response"], "x"),
        "data that is not base64": change(["contents", 0, "parts", 1, "inlineData", "data"], "é"),
        "tools in the configuration": change(["generationConfig", "tools"], []),
        "what only Vertex AI knows": change(["generationConfig", "audioTimestamp"], True),
        "a threshold that doesn't exist": change(["safetySettings", 0, "threshold"], "BLOCK_SOME"),
    }
    for what, body in wrong.items():
        try:
            validate(body)
        except ValueError:
            continue
        raise SystemExit(f"self-test: {what} is not found out")
    answer = json.loads((FIXTURES / "full.json").read_text())["exchanges"][0]["response"]["body"]
    parse(answer)
    wrong_answers = [
        {**answer, "candidates": {}},
        {**answer, "choices": []},
        {**answer, "candidates": [{**answer["candidates"][0], "finishReason": "BORED"}]},
    ]
    for body in wrong_answers:
        try:
            parse(body)
        except ValueError:
            continue
        raise SystemExit(f"self-test: not found out: {json.dumps(body)[:200]}")
    print(f"self-test: {len(wrong)} wrong requests and {len(wrong_answers)} wrong answers found out")


def streams(exchange: dict[str, Any]) -> bool:
    """Whether the answer is asked for as a stream. Raises ValueError if path, header and framing don't agree on that."""
    request = exchange["request"]
    wanted = {
        "the path": request["path"].endswith(":streamGenerateContent?alt=sse"),
        "the header `accept`": request["headers"].get("accept") == "text/event-stream",
        "the framing": request.get("framing") == "server-sent-events",
    }
    if len(set(wanted.values())) != 1:
        raise ValueError(f"only {' and '.join(key for key in wanted if wanted[key])} asks for a stream")
    return wanted["the framing"]


def check(file: Path) -> list[str]:
    """What is wrong with a fixture."""
    fixture = json.loads(file.read_text())
    wrong = []
    for n, exchange in enumerate(fixture.get("exchanges", [])):
        try:
            validate(exchange["request"].get("body"))
            if not streams(exchange) and "events" in (exchange["response"] or {}):
                raise ValueError("the answer is a stream that wasn't asked for")
        except ValueError as error:
            wrong.append(f"{file.name}: exchanges[{n}].request.body: {error}")
        response = exchange["response"]
        for m, event in enumerate(response.get("events", []) if response and file.stem not in BAD_STREAMS else []):
            if "error" in event["data"]:
                continue
            try:
                parse(event["data"])
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
    print(f"{len(files)} fixtures against google-genai {genai.__version__}: {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
