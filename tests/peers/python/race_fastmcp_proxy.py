"""A contestant of the race (tests/benches/race): FastMCP 3.4 as a proxy over stdio, with its own sampling handler for Anthropic.

    python race_fastmcp_proxy.py COMMAND ARGS…

`ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY` say whom to ask. One session with the server is kept for all calls: by default
the proxy would make one for each.
"""

import asyncio
import os
import sys

from fastmcp import Client
from fastmcp.client.sampling.handlers.anthropic import AnthropicSamplingHandler
from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy


async def main(command: str, *args: str) -> None:
    handler = AnthropicSamplingHandler(default_model="claude-sonnet-4-5")
    transport = StdioTransport(command, list(args), env=dict(os.environ))
    async with Client(transport, sampling_handler=handler) as client:
        await create_proxy(client, name="proxy").run_stdio_async(show_banner=False)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
