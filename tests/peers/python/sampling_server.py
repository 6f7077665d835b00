"""A FastMCP 3.4 server over stdio whose tools ask for completions in every way that `ctx.sample` offers.

    python sampling_server.py

Every tool returns the text it was given by the client, so that a test sees what came back:

    summarize(text)            one string
    multi_turn(query, data)    a list of messages, the assistant's among them
    styled(topic)              system_prompt, temperature, max_tokens
    preferred(topic, hints?)   model_preferences: a string or a list of strings
    many(n)                    n completions at once; their texts, a line each, in the order asked
    with_tools(question)       a tool loop over `add` and `lookup`, run by FastMCP
    structured(text)           result_type: a `Verdict`, given back as JSON
    raw(params_json)           these very CreateMessageRequestParams, valid or not; `{"result": …}` or
                               `{"error": {code, message, data?}}` as JSON, just as the client answered

`with_tools` and `structured` fail, as FastMCP says they should, unless the client declares `sampling.tools`.
"""

import asyncio
import json
from typing import Any

from fastmcp import Context, FastMCP
from mcp.server.session import ServerSession
from mcp.shared.exceptions import McpError
from mcp.shared.message import ServerMessageMetadata
from mcp.types import Request, Result, SamplingMessage, TextContent
from pydantic import BaseModel

mcp = FastMCP("sampling-server", instructions="Ask this server about plays.")


@mcp.tool
async def summarize(text: str, ctx: Context) -> str:
    """Summarize a text."""
    result = await ctx.sample(f"Summarize this:\n\n{text}")
    return result.text or ""


@mcp.tool
async def multi_turn(query: str, data: str, ctx: Context) -> str:
    """Answer a question about data that an earlier turn has shown."""
    result = await ctx.sample(
        [
            SamplingMessage(role="user", content=TextContent(type="text", text=f"Here is the data: {data}")),
            SamplingMessage(role="assistant", content=TextContent(type="text", text="I have read it. Go on.")),
            SamplingMessage(role="user", content=TextContent(type="text", text=query)),
        ]
    )
    return result.text or ""


@mcp.tool
async def styled(topic: str, ctx: Context) -> str:
    """Write about a topic in a given manner."""
    result = await ctx.sample(
        f"Write one line about {topic}.",
        system_prompt="You are a theatre critic. Be kind.",
        temperature=0.7,
        max_tokens=300,
    )
    return result.text or ""


@mcp.tool
async def preferred(topic: str, ctx: Context, hints: str | list[str] = "claude-sonnet-4-5") -> str:
    """Write about a topic, by a model of one's choice."""
    result = await ctx.sample(f"Write one line about {topic}.", model_preferences=hints)
    return result.text or ""


@mcp.tool
async def many(n: int, ctx: Context) -> str:
    """Ask for n completions at once."""
    results = await asyncio.gather(*(ctx.sample(f"part {i} of {n}") for i in range(1, n + 1)))
    return "\n".join(result.text or "" for result in results)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def lookup(name: str) -> str:
    """Look up who plays a part."""
    return {"Hamlet": "Sarah", "Ophelia": "Ines"}.get(name, "nobody")


@mcp.tool
async def with_tools(question: str, ctx: Context) -> str:
    """Answer a question with the help of tools."""
    result = await ctx.sample(question, tools=[add, lookup])
    return result.text or ""


class Verdict(BaseModel):
    """What a critic makes of a text."""

    mood: str
    stars: int


@mcp.tool
async def structured(text: str, ctx: Context) -> str:
    """Judge a text."""
    result = await ctx.sample(text, result_type=Verdict)
    return result.result.model_dump_json()


@mcp.tool
async def raw(params_json: str, ctx: Context) -> str:
    """Send these sampling parameters as they are."""
    session: ServerSession = ctx.session
    # A request type of our own: the SDK's would tidy the parameters (100.0 to 100) and refuse the bad ones.
    request = Request[dict[str, Any], str](method="sampling/createMessage", params=json.loads(params_json))
    try:
        result = await session.send_request(
            request,  # type: ignore[arg-type]
            Result,
            metadata=ServerMessageMetadata(related_request_id=ctx.request_id),
        )
    except McpError as error:
        return json.dumps({"error": error.error.model_dump(exclude_none=True)})
    return json.dumps({"result": result.model_dump(by_alias=True, exclude_unset=True)})


if __name__ == "__main__":
    mcp.run(show_banner=False)  # the banner would look for a newer FastMCP on the network
