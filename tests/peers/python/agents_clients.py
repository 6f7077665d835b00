"""One tool call by the MCP client of an agent framework, in the mode that the framework chooses: no LLM, no key.

    python agents_clients.py openai-agents|pydantic-ai|strands TOOL ARGUMENTS (--url URL | -- COMMAND ARGS…)

ARGUMENTS are JSON. What the tool says is printed as JSON: `{"text": …, "isError": …}`.
"""

import argparse
import asyncio
import json
import os
import sys
from typing import Any


def text_of(content: list[Any]) -> str:
    return "".join(block["text"] if isinstance(block, dict) else block.text for block in content)


async def openai_agents(tool: str, arguments: dict, url: str | None, command: list[str]) -> dict:
    from agents.mcp import MCPServerStdio, MCPServerStreamableHttp

    if url:
        server = MCPServerStreamableHttp({"url": url}, client_session_timeout_seconds=60)
    else:
        params = {"command": command[0], "args": command[1:], "env": dict(os.environ)}
        server = MCPServerStdio(params, client_session_timeout_seconds=60)
    async with server:
        result = await server.call_tool(tool, arguments)
    return {"text": text_of(result.content), "isError": bool(result.is_error)}


async def pydantic_ai(tool: str, arguments: dict, url: str | None, command: list[str]) -> dict:
    from fastmcp.client.transports import StdioTransport
    from pydantic_ai.mcp import MCPToolset

    server = url or StdioTransport(command[0], command[1:], env=dict(os.environ), keep_alive=False)
    async with MCPToolset(server, tool_error_behavior="error") as toolset:
        result = await toolset.direct_call_tool(tool, arguments)
    return {"text": result if isinstance(result, str) else json.dumps(result), "isError": False}


async def strands(tool: str, arguments: dict, url: str | None, command: list[str]) -> dict:
    from mcp import StdioServerParameters, stdio_client
    from strands.tools.mcp import MCPClient

    def connect() -> Any:
        return stdio_client(StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ)))

    with MCPClient(url=url) if url else MCPClient(connect) as client:
        result = client.call_tool_sync("call", tool, arguments)
    return {"text": text_of(result["content"]), "isError": result["status"] != "success"}


FRAMEWORKS = {"openai-agents": openai_agents, "pydantic-ai": pydantic_ai, "strands": strands}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("tool")
    parser.add_argument("arguments", type=json.loads)
    parser.add_argument("--url")
    own, command = sys.argv[1:], []
    if "--" in own:
        at = own.index("--")
        own, command = own[:at], own[at + 1 :]
    options = parser.parse_args(own)
    call = FRAMEWORKS[options.framework]
    print(json.dumps(asyncio.run(call(options.tool, options.arguments, options.url, command))))


if __name__ == "__main__":
    main()
