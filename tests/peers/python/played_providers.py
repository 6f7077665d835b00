"""The providers that recording_provider.py plays: what each asks of a request, and its own form of answers and errors.

Each is a class of static methods, with the same names:

    name                           as it stands in the log
    check_headers(headers, key)    raises Refused
    validate(body)                 raises whatever it likes
    answer(body, model, number)    the answer, as an object of the provider's own Python package
    wants_stream(body, request)    whether the answer is wanted as a stream; raises Refused if it is in no way known here
    stream(answer, body)           the same answer as the pieces of a stream, as streamed.py makes them
    media_type                     of a stream
    dump                           how `model_dump_json` writes an answer, or a piece of one, as the provider would send it
    error(refused)                 the body of an error
"""

import json
import re
import time
from datetime import UTC, datetime

import ollama
import streamed
import validate_anthropic
import validate_gemini
import validate_ollama
import validate_openai
from anthropic.types import Message, TextBlock, ToolUseBlock, Usage
from google.genai import types as gemini
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage, ChatCompletionMessageFunctionToolCall
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_message_function_tool_call import Function


class Refused(Exception):
    """What the provider would answer with an error."""

    def __init__(self, status: int, kind: str, message: str):
        super().__init__(message)
        self.status, self.kind = status, kind


def text_of(content) -> str:
    """The text of a message's content, whichever way the provider lets it be written."""
    if isinstance(content, str):
        return content
    texts = []
    for block in content or []:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] == "tool_result":
            texts.append(text_of(block.get("content")))
    return "\n".join(texts)


def function_names(tools: list[dict]) -> list[str]:
    return [tool.get("function", {}).get("name", "") for tool in tools]


def last_text(body: dict, roles: tuple[str, ...]) -> str:
    said = [message for message in body["messages"] if message["role"] in roles]
    return text_of(said[-1].get("content")) if said else ""


def asked_call(text: str, offered: list[str]) -> tuple[str, dict] | None:
    """`call TOOL {…}`, if the request offers that tool."""
    match = re.fullmatch(r"call (\S+) (\{.*\})", text.strip(), re.DOTALL)
    return (match[1], json.loads(match[2])) if match and match[1] in offered else None


def asks_for_stream(body: dict, request) -> bool:
    """Whether `stream` in the body says so, as it does with all but Gemini."""
    return bool(body.get("stream"))


class Anthropic:
    name = "anthropic"
    media_type = "text/event-stream; charset=utf-8"
    dump = streamed.ANTHROPIC_DUMP

    @staticmethod
    def check_headers(headers, key: str) -> None:
        if headers.get("x-api-key") != key:
            raise Refused(401, "authentication_error", "invalid x-api-key")
        if "anthropic-version" not in headers:
            raise Refused(400, "invalid_request_error", "anthropic-version: header is required")

    validate = staticmethod(validate_anthropic.validate)

    @staticmethod
    def answer(body: dict, model: str, number: int) -> Message:
        text = last_text(body, ("user",))
        call = asked_call(text, [tool.get("name", "") for tool in body.get("tools", [])])
        if call:
            content = ToolUseBlock(type="tool_use", id=f"toolu_{number}", name=call[0], input=call[1])
        else:
            content = TextBlock(type="text", text=f"recorded: {text}")
        return Message(
            id=f"msg_{number}",
            type="message",
            role="assistant",
            model=model,
            content=[content],
            stop_reason="tool_use" if call else "end_turn",
            stop_sequence=None,
            usage=Usage(input_tokens=11, output_tokens=7),
        )

    wants_stream = staticmethod(asks_for_stream)

    @staticmethod
    def stream(answer: Message, body: dict):
        return streamed.anthropic(answer)

    @staticmethod
    def error(refused: Refused) -> dict:
        return {"type": "error", "error": {"type": refused.kind, "message": str(refused)}}


class OpenAI:
    name = "openai"
    media_type = "text/event-stream; charset=utf-8"
    dump = streamed.OPENAI_DUMP

    @staticmethod
    def check_headers(headers, key: str) -> None:
        if headers.get("authorization") != f"Bearer {key}":
            raise Refused(401, "invalid_api_key", "Incorrect API key provided.")

    validate = staticmethod(validate_openai.validate)

    @staticmethod
    def answer(body: dict, model: str, number: int) -> ChatCompletion:
        text = last_text(body, ("user", "tool"))
        call = asked_call(text, function_names(body.get("tools", [])))
        if call:
            function = Function(name=call[0], arguments=json.dumps(call[1]))
            calls = [ChatCompletionMessageFunctionToolCall(id=f"call_{number}", type="function", function=function)]
            message = ChatCompletionMessage(role="assistant", content=None, refusal=None, tool_calls=calls)
        else:
            message = ChatCompletionMessage(role="assistant", content=f"recorded: {text}", refusal=None)
        return ChatCompletion(
            id=f"chatcmpl-{number}",
            object="chat.completion",
            created=int(time.time()),
            model=model,
            choices=[Choice(index=0, message=message, finish_reason="tool_calls" if call else "stop")],
            usage=CompletionUsage(prompt_tokens=11, completion_tokens=7, total_tokens=18),
        )

    wants_stream = staticmethod(asks_for_stream)

    @staticmethod
    def stream(answer: ChatCompletion, body: dict):
        return streamed.chat_completions(answer, bool((body.get("stream_options") or {}).get("include_usage")))

    @staticmethod
    def error(refused: Refused) -> dict:
        code = refused.kind if refused.status == 401 else None
        return {"error": {"message": str(refused), "type": "invalid_request_error", "param": None, "code": code}}


class Gemini:
    name = "gemini"
    media_type = "text/event-stream"
    dump = streamed.GEMINI_DUMP

    @staticmethod
    def check_headers(headers, key: str) -> None:
        if headers.get("x-goog-api-key") != key:
            raise Refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")

    validate = staticmethod(validate_gemini.validate)

    @staticmethod
    def text_of(part: dict) -> str:
        """What a part says; of a function's response, the values in it."""
        said = part.get("functionResponse", {}).get("response", {}).values()
        return part.get("text") or "\n".join(value if isinstance(value, str) else json.dumps(value) for value in said)

    @staticmethod
    def answer(body: dict, model: str, number: int) -> gemini.GenerateContentResponse:
        said = [content["parts"] for content in body["contents"] if content["role"] == "user"]
        text = "\n".join(filter(None, map(Gemini.text_of, said[-1]))) if said else ""
        offered = [f["name"] for tool in body.get("tools", []) for f in tool.get("functionDeclarations", [])]
        call = asked_call(text, offered)
        if call:
            # As Gemini 3 does it; the signature must come back with the call.
            function_call = gemini.FunctionCall(id=f"function-{number}", name=call[0], args=call[1])
            part = gemini.Part(function_call=function_call, thought_signature=f"signature {number}".encode())
        else:
            part = gemini.Part(text=f"recorded: {text}")
        return gemini.GenerateContentResponse(
            response_id=f"response-{number}",
            model_version=model,
            candidates=[
                gemini.Candidate(
                    index=0,
                    content=gemini.Content(role="model", parts=[part]),
                    finish_reason=gemini.FinishReason.STOP,
                )
            ],
            usage_metadata=gemini.GenerateContentResponseUsageMetadata(
                prompt_token_count=11, candidates_token_count=7, total_token_count=18
            ),
        )

    @staticmethod
    def wants_stream(body: dict, request) -> bool:
        streams = request.url.path.endswith(":streamGenerateContent")
        if streams and request.query_params.get("alt") != "sse":
            raise Refused(422, "invalid_request_error", "the recording provider streams with `alt=sse` only")
        return streams

    @staticmethod
    def stream(answer: gemini.GenerateContentResponse, body: dict):
        return streamed.gemini(answer)

    @staticmethod
    def error(refused: Refused) -> dict:
        status = {401: "UNAUTHENTICATED", 500: "INTERNAL"}.get(refused.status, "INVALID_ARGUMENT")
        return {"error": {"code": refused.status, "message": str(refused), "status": status}}


class Ollama:
    name = "ollama"
    media_type = "application/x-ndjson"
    dump = streamed.OLLAMA_DUMP

    @staticmethod
    def check_headers(headers, key: str) -> None:
        if headers.get("authorization", f"Bearer {key}") != f"Bearer {key}":
            raise Refused(401, "unauthorized", "unauthorized")

    validate = staticmethod(validate_ollama.validate)

    @staticmethod
    def forced_names(body: dict) -> list[str]:
        """The tools of which one must be called: `format` is the schema of such a call, and none is offered."""
        schema = body.get("format")
        if body.get("tools") or not isinstance(schema, dict):
            return []
        calls = [call.get("properties", {}) for call in schema.get("anyOf", [schema])]
        return [call["name"]["const"] for call in calls if "const" in call.get("name", {}) and "arguments" in call]

    @staticmethod
    def answer(body: dict, model: str, number: int) -> ollama.ChatResponse:
        text = last_text(body, ("user", "tool"))
        call = asked_call(text, function_names(body.get("tools", [])))
        forced = asked_call(text, Ollama.forced_names(body))
        if forced:
            content = json.dumps({"name": forced[0], "arguments": forced[1]})
            message = ollama.Message(role="assistant", content=content)
        elif call:
            function = ollama.Message.ToolCall.Function(name=call[0], arguments=call[1])
            calls = [ollama.Message.ToolCall(function=function)]
            message = ollama.Message(role="assistant", content="", tool_calls=calls)
        else:
            message = ollama.Message(role="assistant", content=f"recorded: {text}")
        return ollama.ChatResponse(
            model=model,
            created_at=datetime.now(UTC).isoformat(),
            message=message,
            done=True,
            done_reason="stop",
            total_duration=3_000_000,
            load_duration=1_000_000,
            prompt_eval_count=11,
            prompt_eval_duration=1_000_000,
            eval_count=7,
            eval_duration=1_000_000,
        )

    wants_stream = staticmethod(asks_for_stream)

    @staticmethod
    def stream(answer: ollama.ChatResponse, body: dict):
        return streamed.ollama_lines(answer)

    @staticmethod
    def error(refused: Refused) -> dict:
        return {"error": str(refused)}
