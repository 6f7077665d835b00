"""The clients of the sampling pages of mcp-use's and FastMCP's documentation, each without the callback that it shows.

    python docs_clients.py mcp-use|fastmcp --url URL [--header 'K: V'] [--with-callback]
                                           [--tool TOOL --arguments JSON]

Each calls the tool of its page on docs_server.py, or TOOL, and prints `{"text", "isError"}`.
With `--with-callback` it answers the server's requests as its page does, with a canned text for the model that the page leaves
to the reader: `positive` for mcp-use's, and for FastMCP's the handler's own `Response based on conversation: …`.
"""

import argparse
import asyncio
import json
import os

os.environ["MCP_USE_ANONYMIZED_TELEMETRY"] = "false"  # before mcp-use is imported: it would phone home

import loopback  # noqa: E402
from fastmcp import Client  # noqa: E402
from fastmcp.client.sampling import RequestContext, SamplingMessage, SamplingParams  # noqa: E402
from fastmcp.client.transports import StreamableHttpTransport  # noqa: E402
from mcp.client.session import ClientSession  # noqa: E402
from mcp.types import CreateMessageRequestParams, CreateMessageResult, ErrorData, TextContent  # noqa: E402
from mcp_use.client import MCPClient  # noqa: E402


class YourLLM:
    async def complete(self, text: str) -> str:
        return "positive"


your_llm = YourLLM()


# --- mcp-use, "Sampling" ------------------------------------------------------------------------------------------------


async def sampling_callback(
    context: ClientSession, params: CreateMessageRequestParams
) -> CreateMessageResult | ErrorData:
    response = await your_llm.complete(params.messages[-1].content.text)
    return CreateMessageResult(
        content=TextContent(text=response, type="text"), model="your-model-name", role="assistant"
    )


async def mcp_use(url: str, headers: dict[str, str], with_callback: bool, tool: str, arguments: dict):
    config = {"mcpServers": {"server": {"url": url, "headers": headers}}}
    client = MCPClient(config=config, sampling_callback=sampling_callback if with_callback else None)
    try:
        session = await client.create_session("server")
        result = await session.call_tool(tool, arguments)
        return result.content, result.isError
    finally:
        await client.close_all_sessions()


# --- FastMCP, "LLM Sampling" --------------------------------------------------------------------------------------------


async def basic_sampling_handler(
    messages: list[SamplingMessage], params: SamplingParams, context: RequestContext
) -> str:
    conversation = []
    for message in messages:
        content = message.content.text if hasattr(message.content, "text") else str(message.content)
        conversation.append(f"{message.role}: {content}")
    return f"Response based on conversation: {' | '.join(conversation)}"


async def fastmcp(url: str, headers: dict[str, str], with_callback: bool, tool: str, arguments: dict):
    transport = StreamableHttpTransport(url, headers=headers)
    async with Client(transport, sampling_handler=basic_sampling_handler if with_callback else None) as client:
        result = await client.call_tool(tool, arguments, raise_on_error=False)
        return result.content, result.is_error


# ------------------------------------------------------------------------------------------------------------------------

EXAMPLES = {
    "mcp-use": (mcp_use, "analyze_sentiment", {"text": "Hello"}),
    "fastmcp": (fastmcp, "generate_summary", {"content": "All the world's a stage."}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=EXAMPLES)
    parser.add_argument("--url", required=True)
    parser.add_argument("--header", action="append", default=[], metavar="'K: V'")
    parser.add_argument("--with-callback", action="store_true")
    parser.add_argument("--tool")
    parser.add_argument("--arguments", type=json.loads, default={}, metavar="JSON")
    options = parser.parse_args()
    headers = {name: value.strip() for name, _, value in (header.partition(":") for header in options.header)}

    stdout = loopback.claim_stdout()  # mcp-use logs to stdout
    run, tool, arguments = EXAMPLES[options.example]
    if options.tool:
        tool, arguments = options.tool, options.arguments
    content, failed = asyncio.run(run(options.url, headers, options.with_callback, tool, arguments))
    text = "".join(block.text for block in content if block.type == "text")
    print(json.dumps({"text": text, "isError": bool(failed)}), file=stdout, flush=True)


if __name__ == "__main__":
    main()
