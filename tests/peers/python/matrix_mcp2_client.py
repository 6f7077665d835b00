"""A matrix client on `mcp` 2.3: both eras. `--era auto` asks with `server/discover` and falls back to `initialize`.

    python matrix_mcp2_client.py [--era legacy|modern|auto] [--pin] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)

Options and lines are those of matrix_clients.py. `--pin` is the SDK's `mode="2026-07-28"`.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import matrix_clients as matrix
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


@asynccontextmanager
async def connect(options: matrix.Options) -> AsyncIterator[matrix.Peer]:
    async with AsyncExitStack() as stack:
        if options.url:
            http = await stack.enter_async_context(create_mcp_http_client(headers=options.headers))
            server = streamable_http_client(options.url, http_client=http)
        else:
            server = StdioServerParameters(**options.stdio)
        client = await stack.enter_async_context(Client(server, mode=options.mode, **matrix.session_callbacks(options)))
        yield matrix.Peer(client, *matrix.connected_to(client, options))


if __name__ == "__main__":
    matrix.run(connect, __doc__, matrix.BOTH)
