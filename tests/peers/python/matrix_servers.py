"""What the Python servers of the matrix share: their command line, their plain tools, and the messages they sample with.

Every server offers the same tools with the same results, so that a test can set any of them behind any client:

    ask(prompt, maxTokens=100)   one sampling request; its text
    ask_many(n)                  n at once, `question 0` and on; their texts joined by `|`
    tool_loop(prompt)            sampling with the tool `add(a, b)`, at most five rounds; the last text
    describe_image()             a text and a PNG in one user message; the answer's text
    ask_and_elicit(prompt)       a sampling request and an elicitation at once; `NAME: TEXT`, or `declined: TEXT`
    ask_by_session(prompt)       as `ask`, by `create_message` of the session: only on SDKs that speak both eras
    echo(text), progress(steps)  no sampling

and the resource `test://hello`, the template `test://double/{word}` and the prompt `greet(name)`.

Nothing here knows one version of the `mcp` package: messages are written as JSON and read by whichever is installed.
"""

import argparse
from collections.abc import Callable
from typing import Any

import loopback
from mcp.types import SamplingMessage, Tool
from pydantic import BaseModel

MAX_ROUNDS = 5
MAX_TOKENS = 100

ONE_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


class Person(BaseModel):
    """What the elicitation asks for."""

    name: str


NAME_QUESTION = "your name?"


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


NUMBER = {"type": "integer"}
ADD = Tool.model_validate(
    {
        "name": "add",
        "description": add.__doc__,
        "inputSchema": {"type": "object", "properties": {"a": NUMBER, "b": NUMBER}, "required": ["a", "b"]},
    }
)


def message(role: str, content: Any) -> SamplingMessage:
    return SamplingMessage.model_validate({"role": role, "content": content})


def user(text: str) -> SamplingMessage:
    return message("user", {"type": "text", "text": text})


def picture() -> SamplingMessage:
    return message(
        "user",
        [
            {"type": "text", "text": "what is this?"},
            {"type": "image", "data": ONE_PIXEL, "mimeType": "image/png"},
        ],
    )


def blocks_of(result) -> list:
    return result.content if isinstance(result.content, list) else [result.content]


def text_of(result) -> str:
    """The text of an answer, whose content is one block or several."""
    return "".join(block.text for block in blocks_of(result) if block.type == "text")


def continued(history: list[SamplingMessage], result) -> list[SamplingMessage] | None:
    """The history with an answer and the results of the tools it uses; None if it uses none."""
    results = [
        {
            "type": "tool_result",
            "toolUseId": block.id,
            "content": [{"type": "text", "text": str(add(**block.input))}],
        }
        for block in blocks_of(result)
        if block.type == "tool_use"
    ]
    if not results:
        return None
    return [*history, SamplingMessage(role="assistant", content=result.content), message("user", results)]


def named(elicited: str | None, result_text: str) -> str:
    return f"{'declined' if elicited is None else elicited}: {result_text}"


def add_plain(server: Any, Context: type) -> None:
    """Register what needs no sampling, on a server of FastMCP's kind."""

    @server.tool()
    def echo(text: str) -> str:
        """Return the text."""
        return text

    @server.tool()
    async def progress(steps: int, ctx: Context) -> str:
        """Report progress."""
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps)
        return "done"

    @server.resource("test://hello", mime_type="text/plain")
    def hello() -> str:
        """Greet."""
        return "hello"

    @server.resource("test://double/{word}", mime_type="text/plain")
    def double(word: str) -> str:
        """Say a word twice."""
        return f"{word} {word}"

    @server.prompt()
    def greet(name: str) -> str:
        """Greet someone."""
        return f"Hello, {name}!"


def command_line(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--transport", choices=["stdio", "http"], default="stdio")
    parser.add_argument("--era", choices=["legacy", "modern"], help="ignored: a client gets each era that the SDK has")
    return parser


def serve(options: argparse.Namespace, run_stdio: Callable[[], None], make_app: Callable[[], Any]) -> None:
    """Serve over stdio, or over HTTP on a free loopback port until stdin closes."""
    if options.transport == "stdio":
        run_stdio()
    else:
        loopback.serve(make_app(), loopback.claim_stdout(), until_stdin_closes=True, path="/mcp")
