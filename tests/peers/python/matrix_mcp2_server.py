"""The matrix server on `mcp` 2.3: both eras, whichever the client opens with.

    python matrix_mcp2_server.py --transport stdio|http [--era legacy|modern]

The tools are those of matrix_servers.py. `ask` and `describe_image` ask by resolvers (`Sample`), which the SDK turns into an
`input_required` result or, in the legacy era, into a request. The others return their `InputRequiredResult`s themselves
(matrix_rounds.py): resolvers can't ask n questions, and in the legacy era ask one after the other. `--era` is ignored: the SDK has no way to refuse one. Over HTTP the header
`MCP-Protocol-Version` decides, on stdio the first request, once.
"""

from typing import Annotated

import matrix_rounds as rounds
import matrix_servers as matrix
from mcp.server.mcpserver import Context, MCPServer, Resolve, Sample
from mcp.types import CreateMessageResult

server = MCPServer("matrix-mcp2", log_level="WARNING")
matrix.add_plain(server, Context)


def asked(prompt: str, maxTokens: int) -> Sample:
    return Sample([matrix.user(prompt)], max_tokens=maxTokens)


def asked_about_picture() -> Sample:
    return Sample([matrix.picture()], max_tokens=matrix.MAX_TOKENS)


@server.tool()
async def ask(
    prompt: str, result: Annotated[CreateMessageResult, Resolve(asked)], maxTokens: int = matrix.MAX_TOKENS
) -> str:
    """Ask one question."""
    return matrix.text_of(result)


@server.tool()
async def ask_many(n: int, ctx: Context) -> rounds.Answer:
    """Ask n questions at once."""
    return await rounds.ask_many(ctx, n)


@server.tool()
async def tool_loop(prompt: str, ctx: Context) -> rounds.Answer:
    """Ask a question that may be answered with a tool."""
    return await rounds.tool_loop(ctx, prompt)


@server.tool()
async def describe_image(result: Annotated[CreateMessageResult, Resolve(asked_about_picture)]) -> str:
    """Ask what a picture shows."""
    return matrix.text_of(result)


@server.tool()
async def ask_and_elicit(prompt: str, ctx: Context) -> rounds.Answer:
    """Ask a question, and the user's name."""
    return await rounds.ask_and_elicit(ctx, prompt)


@server.tool()
async def ask_by_session(prompt: str, ctx: Context) -> str:
    """Ask one question as every server did before 2026-07-28: by a request of the session's."""
    result = await ctx.session.create_message([matrix.user(prompt)], max_tokens=matrix.MAX_TOKENS)
    return matrix.text_of(result)


if __name__ == "__main__":
    matrix.serve(
        matrix.command_line(__doc__).parse_args(),
        run_stdio=lambda: server.run("stdio"),
        make_app=server.streamable_http_app,
    )
