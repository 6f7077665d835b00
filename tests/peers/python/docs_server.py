"""The servers of the sampling pages of FastMCP's and mcp-use's documentation, in one, on FastMCP 3.4.

    python docs_server.py --transport stdio|http

`analyze_sentiment` is mcp-use's, the others are FastMCP's. Two of them are written for FastMCP 2 there; here
`creative_writing` is without `include_context`, which FastMCP 3 no longer takes, and the messages of `multi_turn_analysis`
hold text blocks instead of strings, which the `mcp` package never took. docs_clients.py has the pages' clients.
"""

import matrix_servers as matrix
from fastmcp import Context, FastMCP
from matrix_servers import message, user

mcp = FastMCP(name="MyServer")


@mcp.tool
async def analyze_sentiment(text: str, ctx: Context) -> str:
    """Analyze the sentiment of text using the client's LLM."""
    prompt = f"""Analyze the sentiment of the following text as positive, negative, or neutral.
    Just output a single word - 'positive', 'negative', or 'neutral'.

    Text to analyze: {text}"""
    response = await ctx.sample(prompt)
    return response.text.strip()


@mcp.tool
async def generate_summary(content: str, ctx: Context) -> str:
    """Generate a summary of the provided content."""
    prompt = f"Please provide a concise summary of the following content:\n\n{content}"
    response = await ctx.sample(prompt)
    return response.text


@mcp.tool
async def generate_code_example(concept: str, ctx: Context) -> str:
    """Generate a Python code example for a given concept."""
    response = await ctx.sample(
        messages=f"Write a simple Python code example demonstrating '{concept}'.",
        system_prompt=(
            "You are an expert Python programmer. Provide concise, working code examples without explanations."
        ),
        temperature=0.7,
        max_tokens=300,
    )
    code_example = response.text
    return f"```python\n{code_example}\n```"


@mcp.tool
async def creative_writing(topic: str, ctx: Context) -> str:
    """Generate creative content using a specific model."""
    response = await ctx.sample(
        messages=f"Write a creative short story about {topic}",
        model_preferences="claude-3-sonnet",
        temperature=0.9,
        max_tokens=1000,
    )
    return response.text


@mcp.tool
async def technical_analysis(data: str, ctx: Context) -> str:
    """Perform technical analysis with a reasoning-focused model."""
    response = await ctx.sample(
        messages=f"Analyze this technical data and provide insights: {data}",
        model_preferences=["claude-3-opus", "gpt-4"],
        temperature=0.2,
        max_tokens=800,
    )
    return response.text


@mcp.tool
async def multi_turn_analysis(user_query: str, context_data: str, ctx: Context) -> str:
    """Perform analysis using multi-turn conversation structure."""
    seen = {"type": "text", "text": "I can see your data. What would you like me to analyze?"}
    response = await ctx.sample(
        messages=[user(f"I have this data: {context_data}"), message("assistant", seen), user(user_query)],
        system_prompt="You are a data analyst. Provide detailed insights based on the conversation context.",
        temperature=0.3,
    )
    return response.text


if __name__ == "__main__":
    matrix.serve(
        matrix.command_line(__doc__).parse_args(),
        run_stdio=lambda: mcp.run(transport="stdio", show_banner=False),
        make_app=lambda: mcp.http_app(host_origin_protection=True),  # as `run` has it on loopback
    )
