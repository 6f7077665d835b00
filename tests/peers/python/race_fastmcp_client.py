"""A contestant of the race (tests/benches/race): FastMCP 3.4's client with its own sampling handler for Anthropic.

    python race_fastmcp_client.py -- COMMAND ARGS…

`ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY` say whom to ask. The lines are those of matrix_clients.py.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import matrix_clients as matrix
from fastmcp import Client
from fastmcp.client.sampling.handlers.anthropic import AnthropicSamplingHandler
from fastmcp.client.transports import StdioTransport


@asynccontextmanager
async def connect(options: matrix.Options) -> AsyncIterator[matrix.FastMCPPeer]:
    handler = AnthropicSamplingHandler(default_model="claude-sonnet-4-5")
    async with Client(StdioTransport(**options.stdio), sampling_handler=handler) as client:
        result = client.initialize_result
        yield matrix.FastMCPPeer(client, result.protocolVersion, result.serverInfo.name)


if __name__ == "__main__":
    matrix.run(connect, __doc__)
