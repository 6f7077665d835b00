"""A contestant of the race (tests/benches/race): mcp-use 1.7 with a sampling callback on Anthropic's own package.

    python race_mcpuse_client.py -- COMMAND ARGS…

`ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY` say whom to ask. The lines are those of matrix_clients.py.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

os.environ["MCP_USE_ANONYMIZED_TELEMETRY"] = "false"  # before it is imported: it would phone home

import matrix_clients as matrix  # noqa: E402
from anthropic import AsyncAnthropic, omit  # noqa: E402
from mcp import types  # noqa: E402
from mcp_use.client import MCPClient  # noqa: E402


class Peer(matrix.Peer):
    async def call(self, tool, arguments, on_progress):
        return await self.client.call_tool(tool, arguments)


def block(content: types.TextContent | types.ImageContent) -> dict[str, Any]:
    if content.type == "text":
        return {"type": "text", "text": content.text}
    source = {"type": "base64", "media_type": content.mimeType, "data": content.data}
    return {"type": "image", "source": source}


def sampler():
    anthropic = AsyncAnthropic()

    async def sample(_, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        answer = await anthropic.messages.create(
            model="claude-sonnet-4-5",
            max_tokens=params.maxTokens,
            messages=[{"role": m.role, "content": [block(c) for c in m.content_as_list]} for m in params.messages],
            system=omit if params.systemPrompt is None else params.systemPrompt,
            temperature=omit if params.temperature is None else params.temperature,
        )
        text = "".join(block.text for block in answer.content if block.type == "text")
        content = types.TextContent(type="text", text=text)
        return types.CreateMessageResult(role="assistant", content=content, model=answer.model, stopReason="endTurn")

    return sample


@asynccontextmanager
async def connect(options: matrix.Options) -> AsyncIterator[Peer]:
    client = MCPClient({"mcpServers": {"server": options.stdio}}, sampling_callback=sampler())
    try:
        session = await client.create_session("server")
        yield Peer(session, types.LATEST_PROTOCOL_VERSION, "server")
    finally:
        await client.close_all_sessions()


if __name__ == "__main__":
    matrix.run(connect, __doc__)
