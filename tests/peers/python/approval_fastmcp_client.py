"""A client whose user answers elicitations as the command line says, on FastMCP 3.4 or 4.2: whichever this Python has.

    python approval_fastmcp_client.py [--era legacy|modern] ANSWER… -- COMMAND ARGS…

For each ANSWER the tool `ask` of a matrix server is called once with the prompt `may I?`, all on one connection. It is one of

    accept     the handler returns an `ElicitResult` with an empty `content`
    bare       the handler returns None, by which FastMCP accepts without a `content`
    decline    the handler returns an `ElicitResult` that declines
    cancel     … that cancels
    raise      the handler raises an exception, of which FastMCP makes an error response
    none       there is no handler, so that the client declares no elicitation: for all calls, or for none

`--era modern` is for FastMCP 4 only, and fails if the connection is of another era. A line of JSON is printed for each call:

    {"era", "answer", "asked": [MESSAGE…], "text", "isError"}    or, if the call fails by a JSON-RPC error,
    {"era", "answer", "asked": [MESSAGE…], "error": {"code", "message"}}

`asked` has the messages that the user was shown in the course of the call.
"""

import argparse
import asyncio
import json
import os
from typing import Any

import loopback
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport

PROMPT = "may I?"

ANSWERS = ("accept", "bare", "decline", "cancel", "raise", "none")

# FastMCP 3 knows no modes: its era is the legacy one.
HAS_MODES = "mode" in Client.__init__.__code__.co_varnames


class User:
    """The user, who has one answer at a time, and what they were shown."""

    def __init__(self) -> None:
        self.answer = "cancel"
        self.asked: list[str] = []

    async def elicit(self, message, response_type, params, context):
        self.asked.append(message)
        if self.answer == "raise":
            raise RuntimeError("the window doesn't open")
        if self.answer == "bare":
            return None
        return ElicitResult(action=self.answer, content={} if self.answer == "accept" else None)


def era_of(client: Any) -> str:
    return "modern" if HAS_MODES and client.protocol_version >= "2026" else "legacy"


async def call(client: Any) -> dict[str, Any]:
    """The tool's text, or the error that the call failed by."""
    try:
        result = await client.call_tool("ask", {"prompt": PROMPT}, raise_on_error=False)
    except Exception as error:
        data = getattr(error, "error", None)  # the `ErrorData` of the SDKs' exceptions
        if data is None:
            raise
        return {"error": {"code": data.code, "message": data.message}}
    failed = getattr(result, "isError", None) or getattr(result, "is_error", None) or False
    return {"text": "".join(getattr(block, "text", None) or "" for block in result.content), "isError": failed}


async def run(options: argparse.Namespace, stdout: Any) -> None:
    user = User()
    made: dict[str, Any] = {} if options.answers == ["none"] else {"elicitation_handler": user.elicit}
    if HAS_MODES:
        made["mode"] = "legacy" if options.era == "legacy" else "auto"
    command, *args = options.command
    # FastMCP would hand the command next to nothing of the environment.
    transport = StdioTransport(command, args, env=dict(os.environ), keep_alive=False)
    async with Client(transport, **made) as client:
        if era_of(client) != options.era:
            raise ConnectionError(f"the connection is of the {era_of(client)} era")
        for user.answer in options.answers:
            user.asked = []
            told = await call(client)
            line = {"era": era_of(client), "answer": user.answer, "asked": user.asked} | told
            print(json.dumps(line), file=stdout, flush=True)


def main() -> None:
    stdout = loopback.claim_stdout()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="ANSWER… -- COMMAND ARGS…")
    options = parser.parse_args()
    if "--" not in options.rest:
        parser.error("a command after `--`, please")
    at = options.rest.index("--")
    options.answers, options.command = options.rest[:at], options.rest[at + 1 :]
    if not options.answers or not options.command or not set(options.answers) <= set(ANSWERS):
        parser.error(f"answers are {', '.join(ANSWERS)}; and a command is needed")
    if "none" in options.answers and options.answers != ["none"]:
        parser.error("`none` stands alone")
    if options.era == "modern" and not HAS_MODES:
        parser.error("FastMCP 3 doesn't speak the modern era")
    asyncio.run(run(options, stdout))


if __name__ == "__main__":
    main()
