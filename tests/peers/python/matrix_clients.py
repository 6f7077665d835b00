"""What the Python clients of the matrix share: their command line, and the lines of JSON that they obey.

    python matrix_NAME_client.py [--era legacy|modern|auto] [--pin] [--sampling TEXT [--tool-use]] [--no-elicitation]
                                 (--url URL [--header 'K: V']… | -- COMMAND ARGS…)

`--era modern` fails if `server/discover` does; with `--pin` the client does not ask but begins with what it has to say, and
then knows no server's name.

A client does not declare sampling, except with `--sampling TEXT`, the answer to every request; with `--tool-use` each tool
offered is called first. It declares elicitation and answers `{"name": "Ada"}`, except with `--no-elicitation`.

The first line that it writes is `{"connected": {"protocolVersion", "server", "era"}}`, or `{"failed": …}` with exit code 1.
Then it reads and writes a JSON object a line; calls run at once:

    {"op": "call", "id", "tool", "arguments"}      {"id", "text", "isError"}, {"id", "error": {"code", "message"}} or
                                                   {"id", "cancelled": true}
    {"op": "cancel", "id"}                         cancels that call
    {"op": "list"}                                 {"tools": [NAME…]}
    {"op": "read", "uri"}                          {"text"}
    {"op": "prompt", "name", "arguments"}          {"text"}

At the end of its input it waits for what is running, closes the connection and exits.
"""

import argparse
import asyncio
import contextvars
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import loopback
from mcp import types

LEGACY = ("legacy", "auto")
BOTH = ("legacy", "modern", "auto")

MODERN = "2026-07-28"

NAME = {"name": "Ada"}


@dataclass
class Options:
    """The command line, read."""

    era: str
    url: str | None
    headers: dict[str, str]
    command: list[str]
    sampling: str | None
    tool_use: bool
    elicitation: bool
    pin: bool

    @property
    def stdio(self) -> dict[str, Any]:
        """The server to start. The SDKs would hand it next to nothing of the environment."""
        command, *args = self.command
        return {"command": command, "args": args, "env": dict(os.environ)}

    @property
    def mode(self) -> str:
        """The era as the clients of `mcp` 2.x name it: `legacy`, `auto` or the revision to speak without asking."""
        return MODERN if self.pin else "legacy" if self.era == "legacy" else "auto"

    async def sample(self, params: types.CreateMessageRequestParams) -> Any:
        """The answer to a sampling request."""
        answer: dict[str, Any] = {"role": "assistant", "model": "baseline"}
        used = any(block.type == "tool_result" for block in _blocks(params.messages[-1].content))
        if not self.tool_use or not params.tools or used:
            answer |= {"stopReason": "endTurn", "content": {"type": "text", "text": self.sampling}}
            return types.CreateMessageResult.model_validate(answer)
        uses = [
            {"type": "tool_use", "id": f"use-{index}", "name": tool.name, "input": {"a": 2, "b": 40}}
            for index, tool in enumerate(params.tools)
        ]
        return types.CreateMessageResultWithTools.model_validate(answer | {"stopReason": "toolUse", "content": uses})


def connected_to(client: Any, options: Options) -> tuple[str, str | None, str]:
    """Revision, server and era of a 2.x client, which must be modern if that was asked for."""
    version, server = client.protocol_version, client.server_info
    if options.era == "modern" and version < MODERN:
        raise ConnectionError(f"the server speaks {version}, of the legacy era")
    return version, server.name if server else None, "modern" if version >= MODERN else "legacy"


def sampling_with_tools() -> types.SamplingCapability:
    return types.SamplingCapability(tools=types.SamplingToolsCapability())


def session_callbacks(options: Options) -> dict[str, Any]:
    """What the `mcp` package's own clients are made with, in both of its versions."""
    callbacks: dict[str, Any] = {}
    if options.sampling is not None:

        async def sample(_, params):
            return await options.sample(params)

        callbacks |= {"sampling_callback": sample, "sampling_capabilities": sampling_with_tools()}
    if options.elicitation:

        async def elicit(_, params):
            return types.ElicitResult(action="accept", content=NAME)

        callbacks["elicitation_callback"] = elicit
    return callbacks


def fastmcp_handlers(options: Options) -> dict[str, Any]:
    """What FastMCP's clients are made with, in both of its versions."""
    handlers: dict[str, Any] = {}
    if options.sampling is not None:

        async def sample(messages, params, context):
            return await options.sample(params)

        handlers |= {"sampling_handler": sample, "sampling_capabilities": sampling_with_tools()}
    if options.elicitation:

        async def elicit(message, response_type, params, context):
            return NAME

        handlers["elicitation_handler"] = elicit
    return handlers


class Peer:
    """A connected client of some SDK. Results are the SDK's own; scripts override what theirs does otherwise."""

    def __init__(self, client: Any, protocol_version: str, server: str | None, era: str = "legacy"):
        self.client = client
        self.connected = {"protocolVersion": protocol_version, "server": server, "era": era}

    async def call(self, tool: str, arguments: dict[str, Any], on_progress: Callable) -> Any:
        return await self.client.call_tool(tool, arguments, progress_callback=on_progress)

    async def tools(self) -> list[Any]:
        return (await self.client.list_tools()).tools

    async def read(self, uri: str) -> list[Any]:
        return (await self.client.read_resource(uri)).contents

    async def prompt(self, name: str, arguments: dict[str, str] | None) -> list[Any]:
        return (await self.client.get_prompt(name, arguments)).messages


class FastMCPPeer(Peer):
    """FastMCP's client, of either version."""

    async def call(self, tool, arguments, on_progress):
        return await self.client.call_tool(tool, arguments, progress_handler=on_progress, raise_on_error=False)

    async def tools(self):
        return await self.client.list_tools()

    async def read(self, uri):
        return await self.client.read_resource(uri)


Connect = Callable[[Options], AbstractAsyncContextManager[Peer]]


# --- cancelling with `mcp` 1.x ------------------------------------------------------------------------------------------
#
# It sends nothing when a call's task is cancelled, and does not tell ids. Whoever wants the server to know sends the
# notification, with the id that the session's counter had when the call began.

_sent: contextvars.ContextVar[list[int]] = contextvars.ContextVar("_sent")


def note_ids(session: Any) -> None:
    """Note the ids of the tool calls that this 1.x session sends."""
    send_request = session.send_request

    async def noting(request, *args, **kwargs):
        if request.root.method == "tools/call":
            _sent.get().append(session._request_id)
        return await send_request(request, *args, **kwargs)

    session.send_request = noting


@asynccontextmanager
async def cancelled_on_the_wire(session: Any) -> AsyncIterator[None]:
    """If the calls made within are cancelled, tell the server."""
    ids: list[int] = []
    _sent.set(ids)
    try:
        yield
    except asyncio.CancelledError:
        for request_id in ids:
            params = types.CancelledNotificationParams(requestId=request_id, reason="the user cancelled")
            await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        raise


# --- the lines ----------------------------------------------------------------------------------------------------------


_lines = loopback.claim_stdout()  # mcp-use logs to stdout


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line), file=_lines, flush=True)


def _blocks(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _texts(items: list[Any]) -> str:
    return "".join(getattr(item, "text", None) or "" for item in items)


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _error(error: BaseException) -> dict[str, Any]:
    error = _first_cause(error)
    told = getattr(error, "error", None)  # the `ErrorData` of the SDKs' exceptions
    code, message = getattr(told, "code", None), getattr(told, "message", None)
    return {"code": code, "message": message or str(error) or type(error).__name__}


async def _on_progress(*_: Any) -> None:
    """Makes the SDKs send a progressToken. It prints nothing: the last notification may come after the result."""


async def _call(peer: Peer, line: dict[str, Any]) -> dict[str, Any]:
    result = await peer.call(line["tool"], line.get("arguments") or {}, _on_progress)
    failed = getattr(result, "isError", None) or getattr(result, "is_error", None) or False
    return {"text": _texts(result.content), "isError": failed}


async def _list(peer: Peer, line: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [tool.name for tool in await peer.tools()]}


async def _read(peer: Peer, line: dict[str, Any]) -> dict[str, Any]:
    return {"text": _texts(await peer.read(line["uri"]))}


async def _prompt(peer: Peer, line: dict[str, Any]) -> dict[str, Any]:
    messages = await peer.prompt(line["name"], line.get("arguments"))
    return {"text": _texts([message.content for message in messages])}


_OPS = {"call": _call, "list": _list, "read": _read, "prompt": _prompt}


async def _carry_out(peer: Peer, line: dict[str, Any]) -> None:
    echo = {"id": line["id"]} if "id" in line else {}
    try:
        _print(echo | await _OPS[line["op"]](peer, line))
    except asyncio.CancelledError:
        if not asyncio.current_task().cancelling() or "id" not in line:
            raise
        _print(echo | {"cancelled": True})
    except Exception as error:
        _print(echo | {"error": _error(error)})


async def _obey(peer: Peer) -> None:
    running: set[asyncio.Task] = set()
    calls: dict[str, asyncio.Task] = {}
    async for text in anyio.wrap_file(sys.stdin):
        if not text.strip():
            continue
        line = json.loads(text)
        key = json.dumps(line.get("id"))
        if line["op"] == "cancel":
            if key in calls:
                calls[key].cancel()
            continue
        task = asyncio.create_task(_carry_out(peer, line))
        running.add(task)
        task.add_done_callback(running.discard)
        if line["op"] == "call":
            calls[key] = task
    if running:
        await asyncio.wait(set(running))


async def _main(options: Options, connect: Connect) -> None:
    connection = connect(options)
    try:
        peer = await connection.__aenter__()
    except Exception as error:
        _print({"failed": _error(error)["message"]})
        sys.exit(1)
    _print({"connected": peer.connected})
    try:
        await _obey(peer)
    finally:
        await connection.__aexit__(None, None, None)


def options_of(description: str | None, eras: tuple[str, ...]) -> Options:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--era", choices=BOTH, default="auto")
    parser.add_argument("--pin", action="store_true", help="with --era modern: without `server/discover`")
    parser.add_argument("--url")
    parser.add_argument("--header", action="append", default=[], metavar="'K: V'")
    parser.add_argument("--sampling", metavar="TEXT", help="declare sampling and answer every request with this")
    parser.add_argument("--tool-use", action="store_true", help="with --sampling: call each tool offered first")
    parser.add_argument("--no-elicitation", action="store_true")
    parser.add_argument("command", nargs="*")
    read = parser.parse_args()
    if (read.url is None) == (not read.command):
        parser.error("either --url or a command, please")
    if read.pin and read.era != "modern":
        parser.error("--pin goes with --era modern")
    if read.era not in eras:
        _print({"failed": f"this SDK does not speak `--era {read.era}`, only {', '.join(eras)}"})
        sys.exit(1)
    return Options(
        era=read.era,
        url=read.url,
        headers={name: value.strip() for name, _, value in (header.partition(":") for header in read.header)},
        command=read.command,
        sampling=read.sampling,
        tool_use=read.tool_use,
        elicitation=not read.no_elicitation,
        pin=read.pin,
    )


def run(connect: Connect, description: str | None, eras: tuple[str, ...] = LEGACY) -> None:
    """Connect as the command line says, and obey."""
    asyncio.run(_main(options_of(description, eras), connect))
