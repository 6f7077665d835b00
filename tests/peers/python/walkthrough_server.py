"""The server of the sampling walkthroughs, with the `FastMCP` class of the `mcp` package itself (1.x), over stdio.

    python walkthrough_server.py

One tool, `summarize(text_to_summarize)`: it has no model of its own, so it asks the client for the summary with
`ctx.session.create_message` and returns the text.
"""

from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, TextContent

mcp = FastMCP(name="walkthrough-server")


@mcp.tool()
async def summarize(text_to_summarize: str, ctx: Context) -> str:
    """Summarize a text with the client's language model."""
    question = f"Please summarize the following text:\n\n{text_to_summarize}"
    result = await ctx.session.create_message(
        messages=[SamplingMessage(role="user", content=TextContent(type="text", text=question))],
        max_tokens=4000,
        system_prompt="You are a helpful research assistant.",
    )
    if result.content.type != "text":
        raise ValueError(f"a summary is text, not {result.content.type}")
    return result.content.text


if __name__ == "__main__":
    mcp.run(transport="stdio")
