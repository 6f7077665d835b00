"""A matrix client on mcp-use 1.7, `MCPClient`, which is `mcp` 1.30 beneath: the legacy era, over stdio and HTTP.

    python matrix_mcpuse_client.py [--era legacy|auto] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)

Options and lines are those of matrix_clients.py, but its `call_tool` takes no progress callback, so no call carries a
`progressToken`. It can't declare `sampling.tools`.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

os.environ["MCP_USE_ANONYMIZED_TELEMETRY"] = "false"  # before it is imported: it would phone home

import matrix_clients as matrix  # noqa: E402
from mcp_use.client import MCPClient  # noqa: E402


class Peer(matrix.Peer):
    async def call(self, tool, arguments, on_progress):
        async with matrix.cancelled_on_the_wire(self.client.connector.client_session._client_session):
            return await self.client.call_tool(tool, arguments)

    async def tools(self):
        return await self.client.list_tools()


@asynccontextmanager
async def connect(options: matrix.Options) -> AsyncIterator[Peer]:
    server = {"url": options.url, "headers": options.headers} if options.url else options.stdio
    callbacks = matrix.session_callbacks(options)
    callbacks.pop("sampling_capabilities", None)

    initialized = None

    async def keep_initialized(context, call_next):
        nonlocal initialized
        result = await call_next(context)
        if context.method == "initialize":
            initialized = result
        return result

    client = MCPClient({"mcpServers": {"server": server}}, middleware=[keep_initialized], **callbacks)
    try:
        session = await client.create_session("server")
        matrix.note_ids(session.connector.client_session._client_session)
        yield Peer(session, initialized.protocolVersion, initialized.serverInfo.name)
    finally:
        await client.close_all_sessions()


if __name__ == "__main__":
    matrix.run(connect, __doc__)
