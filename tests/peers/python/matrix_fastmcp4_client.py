"""A matrix client on FastMCP 4, which is `mcp` 2.3 beneath: both eras, as matrix_mcp2_client.py has them.

    python matrix_fastmcp4_client.py [--era legacy|modern|auto] [--pin] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)

Options and lines are those of matrix_clients.py. The client kept its `sampling_handler`; it is the server that lost `ctx.sample`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import matrix_clients as matrix
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport


@asynccontextmanager
async def connect(options: matrix.Options) -> AsyncIterator[matrix.FastMCPPeer]:
    if options.url:
        transport = StreamableHttpTransport(options.url, headers=options.headers)
    else:
        transport = StdioTransport(**options.stdio, keep_alive=False)
    async with Client(transport, mode=options.mode, **matrix.fastmcp_handlers(options)) as client:
        yield matrix.FastMCPPeer(client, *matrix.connected_to(client, options))


if __name__ == "__main__":
    matrix.run(connect, __doc__, matrix.BOTH)
