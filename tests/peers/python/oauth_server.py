"""A server of FastMCP 3.4 that lets nobody in without OAuth, and its authorization server, which says yes at once.

    python oauth_server.py [--until-stdin-closes]

Clients register themselves. The tool `ask` samples. `/expire` makes every access token invalid, `/revoke` every refresh token too.
"""

import argparse

import loopback
from fastmcp import Context, FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from starlette.responses import PlainTextResponse

parser = argparse.ArgumentParser()
loopback.add_arguments(parser)
arguments = parser.parse_args()
stdout = loopback.claim_stdout()
listener = loopback.listen()
provider = InMemoryOAuthProvider(
    base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
    client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["ask"], default_scopes=["ask"]),
    required_scopes=["ask"],
)
server = FastMCP("oauth", auth=provider)


@server.tool
async def ask(prompt: str, ctx: Context) -> str:
    """Ask a question."""
    return (await ctx.sample(prompt, max_tokens=100)).text or ""


@server.custom_route("/expire", methods=["POST"])
async def expire(request) -> PlainTextResponse:
    provider.access_tokens.clear()
    return PlainTextResponse("expired")


@server.custom_route("/revoke", methods=["POST"])
async def revoke(request) -> PlainTextResponse:
    provider.access_tokens.clear()
    provider.refresh_tokens.clear()
    return PlainTextResponse("revoked")


loopback.serve(server.http_app(), stdout, arguments.until_stdin_closes, listener)
