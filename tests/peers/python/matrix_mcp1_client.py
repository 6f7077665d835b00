"""A matrix client on `mcp` 1.30, `ClientSession`: the legacy era, over stdio and Streamable HTTP.

    python matrix_mcp1_client.py [--era legacy|auto] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)

Options and lines are those of matrix_clients.py.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import matrix_clients as matrix
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


class Peer(matrix.Peer):
    async def call(self, tool, arguments, on_progress):
        async with matrix.cancelled_on_the_wire(self.client):
            return await super().call(tool, arguments, on_progress)


@asynccontextmanager
async def connect(options: matrix.Options) -> AsyncIterator[Peer]:
    async with AsyncExitStack() as stack:
        if options.url:
            http = await stack.enter_async_context(create_mcp_http_client(headers=options.headers))
            transport = streamable_http_client(options.url, http_client=http)
        else:
            transport = stdio_client(StdioServerParameters(**options.stdio))
        read, write, *_ = await stack.enter_async_context(transport)
        session = await stack.enter_async_context(ClientSession(read, write, **matrix.session_callbacks(options)))
        matrix.note_ids(session)
        result = await session.initialize()
        yield Peer(session, result.protocolVersion, result.serverInfo.name)


if __name__ == "__main__":
    matrix.run(connect, __doc__)
