"""The matrix server on FastMCP 4, which is `mcp` 2.3 beneath: both eras, whichever the client opens with.

    python matrix_fastmcp4_server.py --transport stdio|http [--era legacy|modern]

The tools are those of matrix_servers.py. `ctx.sample` is gone, and FastMCP 4 has no resolvers for sampling; what is left, and
used here (matrix_rounds.py), is to return `InputRequiredResult`s in the modern era, and in the legacy era the session beneath
(`ctx.session.create_message`). `--era` is ignored, as in matrix_mcp2_server.py.
"""

import matrix_rounds as rounds
import matrix_servers as matrix
from fastmcp import Context, FastMCP

server = FastMCP("matrix-fastmcp4")
matrix.add_plain(server, Context)


@server.tool
async def ask(prompt: str, ctx: Context, maxTokens: int = matrix.MAX_TOKENS) -> rounds.Answer:
    """Ask one question."""
    return await rounds.ask_once(ctx, [matrix.user(prompt)], maxTokens)


@server.tool
async def ask_many(n: int, ctx: Context) -> rounds.Answer:
    """Ask n questions at once."""
    return await rounds.ask_many(ctx, n)


@server.tool
async def tool_loop(prompt: str, ctx: Context) -> rounds.Answer:
    """Ask a question that may be answered with a tool."""
    return await rounds.tool_loop(ctx, prompt)


@server.tool
async def describe_image(ctx: Context) -> rounds.Answer:
    """Ask what a picture shows."""
    return await rounds.ask_once(ctx, [matrix.picture()])


@server.tool
async def ask_and_elicit(prompt: str, ctx: Context) -> rounds.Answer:
    """Ask a question, and the user's name."""
    return await rounds.ask_and_elicit(ctx, prompt)


@server.tool
async def ask_by_session(prompt: str, ctx: Context) -> str:
    """Ask one question as every server did before 2026-07-28: by a request of the session's."""
    result = await ctx.session.create_message([matrix.user(prompt)], max_tokens=matrix.MAX_TOKENS)
    return matrix.text_of(result)


if __name__ == "__main__":
    # Without the banner, which would look for a newer FastMCP on the network.
    matrix.serve(
        matrix.command_line(__doc__).parse_args(),
        run_stdio=lambda: server.run(transport="stdio", show_banner=False),
        make_app=lambda: server.http_app(host_origin_protection=True),  # as `run` has it on loopback
    )
