"""A matrix client on FastMCP 3.4, which is `mcp` 1.30 beneath: the legacy era, over stdio and Streamable HTTP.

    python matrix_fastmcp_client.py [--era legacy|auto] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)

Options and lines are those of matrix_clients.py.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import matrix_clients as matrix
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport


class Peer(matrix.FastMCPPeer):
    async def call(self, tool, arguments, on_progress):
        async with matrix.cancelled_on_the_wire(self.client.session):
            return await super().call(tool, arguments, on_progress)


@asynccontextmanager
async def connect(options: matrix.Options) -> AsyncIterator[Peer]:
    if options.url:
        transport = StreamableHttpTransport(options.url, headers=options.headers)
    else:
        transport = StdioTransport(**options.stdio, keep_alive=False)
    async with Client(transport, **matrix.fastmcp_handlers(options)) as client:
        matrix.note_ids(client.session)
        result = client.initialize_result
        yield Peer(client, result.protocolVersion, result.serverInfo.name)


if __name__ == "__main__":
    matrix.run(connect, __doc__)
