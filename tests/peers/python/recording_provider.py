"""Plays Anthropic's and OpenAI's APIs on a free loopback port, writes down what it is sent and judges it.

    python recording_provider.py --log FILE [--key KEY] [--hold N] [--until-stdin-closes]

The first line on stdout is `{"port": N}`, once it answers; see loopback.py.

    POST /v1/messages            Anthropic: `x-api-key: KEY`, `anthropic-version`
    POST /v1/chat/completions    OpenAI: `authorization: Bearer KEY`

A good request is answered 200 with `recorded: <the last user text>`, in a message made by the provider's own Python
package; if that text is `call TOOL {…}` and names a tool of the request, with a call of that tool. A bad credential is
answered 401; a body that the package's own request types refuse, 422 with what is wrong; both in the provider's format.

Every request is one JSON line in FILE, written before it is answered: `provider`, `path`, `query`, `headers` (a list
of pairs, in order), `body` (JSON, or a string if it isn't), `status` and, if that isn't 200, `error`.

With `--hold N` no answer leaves before N requests are open at once: a client that sends fewer waits for ever.
"""

import argparse
import asyncio
import json
import re
import time
from pathlib import Path

import loopback
import validate_anthropic
import validate_openai
from anthropic.types import Message, TextBlock, ToolUseBlock, Usage
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage, ChatCompletionMessageFunctionToolCall
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_message_function_tool_call import Function
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Refused(Exception):
    """What the provider would answer with an error."""

    def __init__(self, status: int, kind: str, message: str):
        super().__init__(message)
        self.status, self.kind = status, kind


def text_of(content) -> str:
    """The text of a message's content, whichever way either provider lets it be written."""
    if isinstance(content, str):
        return content
    texts = []
    for block in content or []:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] == "tool_result":
            texts.append(text_of(block.get("content")))
    return "\n".join(texts)


def last_text(body: dict, roles: tuple[str, ...]) -> str:
    said = [message for message in body["messages"] if message["role"] in roles]
    return text_of(said[-1].get("content")) if said else ""


def asked_call(text: str, offered: list[str]) -> tuple[str, dict] | None:
    """`call TOOL {…}`, if the request offers that tool."""
    match = re.fullmatch(r"call (\S+) (\{.*\})", text.strip(), re.DOTALL)
    return (match[1], json.loads(match[2])) if match and match[1] in offered else None


class Anthropic:
    name = "anthropic"

    @staticmethod
    def check_headers(headers, key: str) -> None:
        if headers.get("x-api-key") != key:
            raise Refused(401, "authentication_error", "invalid x-api-key")
        if "anthropic-version" not in headers:
            raise Refused(400, "invalid_request_error", "anthropic-version: header is required")

    validate = staticmethod(validate_anthropic.validate)

    @staticmethod
    def answer(body: dict, number: int) -> Message:
        text = last_text(body, ("user",))
        call = asked_call(text, [tool.get("name", "") for tool in body.get("tools", [])])
        if call:
            content = ToolUseBlock(type="tool_use", id=f"toolu_{number}", name=call[0], input=call[1])
        else:
            content = TextBlock(type="text", text=f"recorded: {text}")
        return Message(
            id=f"msg_{number}",
            type="message",
            role="assistant",
            model=body["model"],
            content=[content],
            stop_reason="tool_use" if call else "end_turn",
            usage=Usage(input_tokens=11, output_tokens=7),
        )

    @staticmethod
    def error(refused: Refused) -> dict:
        return {"type": "error", "error": {"type": refused.kind, "message": str(refused)}}


class OpenAI:
    name = "openai"

    @staticmethod
    def check_headers(headers, key: str) -> None:
        if headers.get("authorization") != f"Bearer {key}":
            raise Refused(401, "invalid_api_key", "Incorrect API key provided.")

    validate = staticmethod(validate_openai.validate)

    @staticmethod
    def answer(body: dict, number: int) -> ChatCompletion:
        text = last_text(body, ("user", "tool"))
        call = asked_call(text, [tool.get("function", {}).get("name", "") for tool in body.get("tools", [])])
        if call:
            function = Function(name=call[0], arguments=json.dumps(call[1]))
            calls = [ChatCompletionMessageFunctionToolCall(id=f"call_{number}", type="function", function=function)]
            message = ChatCompletionMessage(role="assistant", content=None, tool_calls=calls)
        else:
            message = ChatCompletionMessage(role="assistant", content=f"recorded: {text}")
        return ChatCompletion(
            id=f"chatcmpl-{number}",
            object="chat.completion",
            created=int(time.time()),
            model=body["model"],
            choices=[Choice(index=0, message=message, finish_reason="tool_calls" if call else "stop")],
            usage=CompletionUsage(prompt_tokens=11, completion_tokens=7, total_tokens=18),
        )

    @staticmethod
    def error(refused: Refused) -> dict:
        code = refused.kind if refused.status == 401 else None
        return {"error": {"message": str(refused), "type": "invalid_request_error", "param": None, "code": code}}


def application(log: Path, key: str, hold: int) -> Starlette:
    count = 0
    all_here = asyncio.Event()
    log.touch()

    def judged(provider, headers, raw: bytes):
        """The body as JSON, having met everything that the provider asks."""
        provider.check_headers(headers, key)
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise Refused(400, "invalid_request_error", f"the body is not JSON: {error}") from None
        try:
            provider.validate(body)
        except Exception as error:  # whatever a validator raises, it is about this body
            raise Refused(422, "invalid_request_error", str(error)) from error
        if body.get("stream"):
            raise Refused(422, "invalid_request_error", "the recording provider does not stream")
        return body

    def endpoint(provider):
        async def record(request: Request) -> Response:
            nonlocal count
            count += 1
            number = count
            raw = await request.body()
            error = None
            try:
                body = judged(provider, request.headers, raw)
                status, reply = 200, provider.answer(body, number).model_dump_json()
            except Exception as problem:
                refused = problem if isinstance(problem, Refused) else Refused(500, "api_error", repr(problem))
                error, status, reply = str(refused), refused.status, json.dumps(provider.error(refused))
            entry = {
                "provider": provider.name,
                "path": request.url.path,
                "query": request.url.query,
                "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers.raw],
                "body": as_json(raw),
                "status": status,
            }
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry | ({"error": error} if error else {})) + "\n")
            if number >= hold:
                all_here.set()
            await all_here.wait()
            return Response(reply, status, media_type="application/json")

        return record

    return Starlette(
        routes=[
            Route("/v1/messages", endpoint(Anthropic), methods=["POST"]),
            Route("/v1/chat/completions", endpoint(OpenAI), methods=["POST"]),
        ]
    )


def as_json(raw: bytes):
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, required=True, help="the file that gets a JSON line for each request")
    parser.add_argument("--key", default="sk-understudy-test-0123456789", help="the credential it accepts")
    parser.add_argument("--hold", type=int, default=0, metavar="N", help="answer nobody before N have asked")
    loopback.add_arguments(parser)
    options = parser.parse_args()
    stdout = loopback.claim_stdout()
    loopback.serve(application(options.log, options.key, options.hold), stdout, options.until_stdin_closes)


if __name__ == "__main__":
    main()
