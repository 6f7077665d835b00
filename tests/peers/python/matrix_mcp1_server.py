"""The matrix server on `mcp` 1.30, with the `FastMCP` class of that package: the legacy era only.

    python matrix_mcp1_server.py --transport stdio|http [--stream post|get]

The tools are those of matrix_servers.py, asked for with `ctx.session.create_message` and `ctx.elicit`. `--stream get`: over
HTTP the sampling requests come on the session's GET stream, as they do for whoever calls `create_message` without its
`related_request_id`, which most examples do; elicitation stays on the stream of its call.
"""

import asyncio

import matrix_servers as matrix
from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage

parser = matrix.command_line(__doc__)
parser.add_argument("--stream", choices=["post", "get"], default="post")
options = parser.parse_args()

server = FastMCP("matrix-mcp1", log_level="WARNING")
matrix.add_plain(server, Context)


async def answer(ctx: Context, messages: list[SamplingMessage], max_tokens: int = matrix.MAX_TOKENS, **more):
    if options.stream == "post":
        more["related_request_id"] = ctx.request_id
    return await ctx.session.create_message(messages, max_tokens=max_tokens, **more)


@server.tool()
async def ask(prompt: str, ctx: Context, maxTokens: int = matrix.MAX_TOKENS) -> str:
    """Ask one question."""
    return matrix.text_of(await answer(ctx, [matrix.user(prompt)], maxTokens))


@server.tool()
async def ask_many(n: int, ctx: Context) -> str:
    """Ask n questions at once."""
    answers = await asyncio.gather(*(answer(ctx, [matrix.user(f"question {i}")]) for i in range(n)))
    return "|".join(map(matrix.text_of, answers))


@server.tool()
async def tool_loop(prompt: str, ctx: Context) -> str:
    """Ask a question that may be answered with a tool."""
    history = [matrix.user(prompt)]
    for _ in range(matrix.MAX_ROUNDS):
        result = await answer(ctx, history, tools=[matrix.ADD])
        history = matrix.continued(history, result)
        if history is None:
            break
    return matrix.text_of(result)


@server.tool()
async def describe_image(ctx: Context) -> str:
    """Ask what a picture shows."""
    return matrix.text_of(await answer(ctx, [matrix.picture()]))


@server.tool()
async def ask_and_elicit(prompt: str, ctx: Context) -> str:
    """Ask a question, and the user's name."""
    result, person = await asyncio.gather(
        answer(ctx, [matrix.user(prompt)]), ctx.elicit(matrix.NAME_QUESTION, schema=matrix.Person)
    )
    return matrix.named(person.data.name if person.action == "accept" else None, matrix.text_of(result))


if __name__ == "__main__":
    matrix.serve(options, run_stdio=lambda: server.run("stdio"), make_app=server.streamable_http_app)
