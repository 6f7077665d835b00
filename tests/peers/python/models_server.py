"""A FastMCP 3.4 server over stdio whose one tool runs every kind of loop that `ctx.sample` has, by every model that it is told.

    python models_server.py

    by_models(models)   for each name, given as a hint: `typed` (a `result_type`), `loop` (a tool), `both`, and `many` (several
                        messages of one role and an image); as JSON, an error's text where one fails
"""

import base64
import json

from fastmcp import Context, FastMCP
from mcp.types import ImageContent, SamplingMessage, TextContent
from pydantic import BaseModel, Field

mcp = FastMCP("models-server")

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class District(BaseModel):
    """A part of a city."""

    name: str
    people: int | None = None


class City(BaseModel):
    """What is known of a city, with what makes a schema hard: a reference, a default, a list, a number."""

    name: str
    area: float = Field(default=1.5, ge=0)
    districts: list[District] = []


def weather(city: str, days: int = 1) -> str:
    """The weather of a city."""
    return f"sunny in {city} for {days} days"


def now() -> str:
    """The time: a tool without arguments."""
    return "noon"


async def typed(ctx: Context, model: str) -> str:
    result = await ctx.sample("Capital of Norway?", result_type=City, model_preferences=model, max_tokens=200)
    return result.result.name


async def loop(ctx: Context, model: str) -> str:
    result = await ctx.sample(
        "Weather in Oslo?", system_prompt="Be brief.", tools=[weather, now], model_preferences=model, temperature=0.3
    )
    return result.text or ""


async def both(ctx: Context, model: str) -> str:
    result = await ctx.sample("Weather and city?", tools=[weather], result_type=City, model_preferences=model)
    return result.result.name


async def many(ctx: Context, model: str) -> str:
    image = ImageContent(type="image", data=base64.b64encode(PNG).decode(), mimeType="image/png")
    messages = [
        SamplingMessage(role="user", content=TextContent(type="text", text="First")),
        SamplingMessage(role="user", content=image),
        SamplingMessage(role="assistant", content=TextContent(type="text", text="I see.")),
        SamplingMessage(role="user", content=TextContent(type="text", text="Second")),
        SamplingMessage(role="assistant", content=TextContent(type="text", text="{")),
    ]
    # The one model that hears sees nothing.
    messages = [message for message in messages if "audio" not in model or message.content.type == "text"]
    result = await ctx.sample(messages, model_preferences=model, max_tokens=50)
    return result.text or ""


@mcp.tool
async def by_models(models: list[str], ctx: Context) -> str:
    """Run every loop by every model."""
    outcomes = {}
    for model in models:
        outcomes[model] = {}
        for run in (typed, loop, both, many):
            try:
                outcomes[model][run.__name__] = await run(ctx, model)
            except Exception as error:  # the test shows it
                outcomes[model][run.__name__] = f"{type(error).__name__}: {error}"
    return json.dumps(outcomes)


if __name__ == "__main__":
    mcp.run(show_banner=False)  # the banner would look for a newer FastMCP on the network
