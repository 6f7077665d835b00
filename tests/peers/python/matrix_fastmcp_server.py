"""The matrix server on FastMCP 3.4, which is `mcp` 1.30 beneath: the legacy era only.

    python matrix_fastmcp_server.py --transport stdio|http

The tools are those of matrix_servers.py, asked for with `ctx.sample`, `ctx.sample_step` and `ctx.elicit`. Over HTTP, FastMCP
sends these requests on the stream of the call that they belong to.
"""

import asyncio

import matrix_servers as matrix
from fastmcp import Context, FastMCP

server = FastMCP("matrix-fastmcp")
matrix.add_plain(server, Context)


async def answer(ctx: Context, messages, max_tokens: int = matrix.MAX_TOKENS) -> str:
    return (await ctx.sample(messages, max_tokens=max_tokens)).text or ""


@server.tool
async def ask(prompt: str, ctx: Context, maxTokens: int = matrix.MAX_TOKENS) -> str:
    """Ask one question."""
    return await answer(ctx, prompt, maxTokens)


@server.tool
async def ask_many(n: int, ctx: Context) -> str:
    """Ask n questions at once."""
    return "|".join(await asyncio.gather(*(answer(ctx, f"question {i}") for i in range(n))))


@server.tool
async def tool_loop(prompt: str, ctx: Context) -> str:
    """Ask a question that may be answered with a tool."""
    messages = prompt
    for _ in range(matrix.MAX_ROUNDS):
        step = await ctx.sample_step(messages, max_tokens=matrix.MAX_TOKENS, tools=[matrix.add])
        if not step.is_tool_use:
            break
        messages = step.history
    return step.text or ""


@server.tool
async def describe_image(ctx: Context) -> str:
    """Ask what a picture shows."""
    return await answer(ctx, [matrix.picture()])


@server.tool
async def ask_and_elicit(prompt: str, ctx: Context) -> str:
    """Ask a question, and the user's name."""
    text, person = await asyncio.gather(
        answer(ctx, prompt), ctx.elicit(matrix.NAME_QUESTION, response_type=matrix.Person)
    )
    return matrix.named(person.data.name if person.action == "accept" else None, text)


if __name__ == "__main__":
    # Without the banner, which would look for a newer FastMCP on the network.
    matrix.serve(
        matrix.command_line(__doc__).parse_args(),
        run_stdio=lambda: server.run(transport="stdio", show_banner=False),
        make_app=lambda: server.http_app(host_origin_protection=True),  # as `run` has it on loopback
    )
