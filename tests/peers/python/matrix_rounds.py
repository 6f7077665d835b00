"""Questions to the client from a tool on `mcp` 2.x, in whichever way the connection's era has.

Modern: the tool returns an `InputRequiredResult` and is entered again with the responses; what it must remember meanwhile is
in the request's state, which the SDK seals. Legacy: the questions are requests, in flight at once.
"""

import asyncio
import json
from typing import Any

import matrix_servers as matrix
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    SamplingMessage,
)

MODERN = "2026-07-28"

Answer = str | InputRequiredResult


def question(messages: list[SamplingMessage], max_tokens: int = matrix.MAX_TOKENS, **more) -> CreateMessageRequest:
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=messages, max_tokens=max_tokens, **more))


def name_question() -> ElicitRequest:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return ElicitRequest(params=ElicitRequestFormParams(message=matrix.NAME_QUESTION, requested_schema=schema))


def is_modern(ctx: Any) -> bool:
    return ctx.session.protocol_version >= MODERN


async def answers(ctx: Any, asked: dict[str, Any], state: str | None = None) -> dict[str, Any] | InputRequiredResult:
    """The client's results by key, or what the tool has to return to get them."""
    if is_modern(ctx):
        given = ctx.input_responses or {}
        if asked.keys() <= given.keys():
            if ctx.request_state != state:
                raise ValueError(f"the request's state came back as {ctx.request_state!r}, not {state!r}")
            return given
        return InputRequiredResult(input_requests=asked, request_state=state)
    return dict(zip(asked, await asyncio.gather(*(_send(ctx, request) for request in asked.values()))))


async def _send(ctx: Any, request: CreateMessageRequest | ElicitRequest):
    if isinstance(request, ElicitRequest):
        return await ctx.session.elicit_form(
            request.params.message, request.params.requested_schema, related_request_id=ctx.request_id
        )
    params = request.params
    return await ctx.session.create_message(
        params.messages, max_tokens=params.max_tokens, tools=params.tools, related_request_id=ctx.request_id
    )


async def ask_once(ctx: Any, messages: list[SamplingMessage], max_tokens: int = matrix.MAX_TOKENS) -> Answer:
    got = await answers(ctx, {"answer": question(messages, max_tokens)})
    return got if isinstance(got, InputRequiredResult) else matrix.text_of(got["answer"])


async def ask_many(ctx: Any, n: int) -> Answer:
    keys = [f"question-{i}" for i in range(n)]
    got = await answers(ctx, {key: question([matrix.user(f"question {i}")]) for i, key in enumerate(keys)})
    return got if isinstance(got, InputRequiredResult) else "|".join(matrix.text_of(got[key]) for key in keys)


async def ask_and_elicit(ctx: Any, prompt: str) -> Answer:
    asked = {"answer": question([matrix.user(prompt)]), "name": name_question()}
    got = await answers(ctx, asked, state=prompt)
    if isinstance(got, InputRequiredResult):
        return got
    name = got["name"].content["name"] if got["name"].action == "accept" else None
    return matrix.named(name, matrix.text_of(got["answer"]))


async def tool_loop(ctx: Any, prompt: str) -> Answer:
    history, asked = _remembered(ctx.request_state) if is_modern(ctx) else (None, 0)
    history = history or [matrix.user(prompt)]
    while True:
        got = await answers(ctx, {f"round-{asked}": question(history, tools=[matrix.ADD])}, _state(history, asked))
        if isinstance(got, InputRequiredResult):
            return got
        result = got[f"round-{asked}"]
        asked += 1
        longer = matrix.continued(history, result)
        if longer is None or asked == matrix.MAX_ROUNDS:
            return matrix.text_of(result)
        history = longer


def _state(history: list[SamplingMessage], asked: int) -> str:
    messages = [message.model_dump(mode="json", by_alias=True, exclude_none=True) for message in history]
    return json.dumps({"history": messages, "asked": asked})


def _remembered(state: str | None) -> tuple[list[SamplingMessage] | None, int]:
    if state is None:
        return None, 0
    remembered = json.loads(state)
    return [SamplingMessage.model_validate(message) for message in remembered["history"]], remembered["asked"]
