"""A provider plugin: it turns a sampling request into the HTTP request of an OpenAI-compatible server, and the answer into a
result. It makes no request itself: the host does, with an endpoint and a key that never come here.

What is raised as `Err` is the function's error (the contract's `error`); any other exception is a trap.
"""

import json
import re
from typing import Optional

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import types as t

NO_EXTRAS = t.Extras(meta=None, annotations=None, extensions=None)
HEADERS = [t.Header("content-type", "application/json"), t.Header("accept", "application/json")]
BLOCKS = {
    t.ContentBlock_Audio: "audio",
    t.ContentBlock_ToolUse: "tool-use",
    t.ContentBlock_ToolResult: "tool-result",
}
KINDS = {
    401: "unauthorized",
    402: "quota-exceeded",
    403: "forbidden",
    404: "not-found",
    408: "unavailable",
    413: "context-too-long",
    429: "rate-limited",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
    529: "overloaded",
}


class Provider(exports.Provider):
    def describe(self) -> t.Description:
        """What this plugin is. Constant."""
        return t.Description(
            name="example-plugin",
            version="0.1.0",
            summary="OpenAI-compatible chat completions",
            accepts=["image"],
            models=[],
            default_model=None,
            endpoint=t.SuggestedEndpoint(url="https://api.openai.com/v1", env="OPENAI_BASE_URL"),
            credential=t.SuggestedCredential(scheme="bearer", name=None, env="OPENAI_API_KEY", optional=True),
            settings_schema=json.dumps({"type": "object", "additionalProperties": False}),
            extensions="{}",
        )

    def start(self, request: t.CreateMessageRequest, options: t.Options) -> t.Step:
        """From a sampling request to an HTTP request."""
        if request.tools:
            raise Err(t.Error_Unsupported(t.Failure("`tools`: this plugin doesn't carry them", "{}")))
        if not options.model:
            message = "no model is chosen; name one with `--model`, or `model` in the config"
            raise Err(t.Error_InvalidRequest(t.Failure(message, "{}")))
        messages = [
            {"role": "user" if message.role == t.Role.USER else "assistant", "content": parts(message.content, n)}
            for n, message in enumerate(request.messages)
        ]
        if request.system_prompt:
            messages.insert(0, {"role": "system", "content": request.system_prompt})
        body = {"model": options.model, "max_tokens": request.max_tokens, "messages": messages}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop_sequences:
            body["stop"] = request.stop_sequences
        http = t.HttpRequest(
            method=t.HttpMethod.POST,
            endpoint=None,
            path="/chat/completions",
            headers=HEADERS,
            body=json.dumps(body).encode(),
            extensions="{}",
        )
        # `state` comes back in `resume`, in another instance: a variable would be gone by then.
        state = options.model.encode()
        return t.Step_Fetch(t.Fetch(request=http, state=state, framing=t.Framing.WHOLE, delay_ms=0, extensions="{}"))

    def resume(self, state: bytes, response: t.HttpResponse) -> t.Step:
        """From the provider's answer to a result. It is called for any status and any body."""
        answer = parse(response.body)
        if not 200 <= response.status <= 299:
            raise Err(refusal(response, answer))
        if answer is None:
            raise Err(malformed("the answer is not JSON"))
        choice = first(get(answer, "choices"))
        said = get(get(choice, "message"), "content")
        if not isinstance(said, str):
            raise Err(malformed("the answer has no `choices[0].message.content`"))
        model = get(answer, "model")
        result = t.CreateMessageResult(
            content=[t.ContentBlock_Text(t.TextContent(said, NO_EXTRAS))],
            model=model if isinstance(model, str) else state.decode(),
            stop_reason=stop_reason(get(choice, "finish_reason")),
            meta=None,
        )
        return t.Step_Done(t.Completion(result=result, usage=usage(get(answer, "usage")), extensions="{}"))


def parts(blocks: list[t.ContentBlock], n: int) -> list[dict]:
    """A message's blocks in the provider's words. What it can't carry is refused by name, never dropped."""
    said = []
    for block in blocks:
        if isinstance(block, t.ContentBlock_Text):
            said.append({"type": "text", "text": block.value.text})
        elif isinstance(block, t.ContentBlock_Image):
            url = f"data:{block.value.mime_type};base64,{block.value.data}"
            said.append({"type": "image_url", "image_url": {"url": url}})
        else:
            what = f"a block of the type `{BLOCKS.get(type(block))}`"
            if isinstance(block, t.ContentBlock_Other):
                what = f"a block of the unknown type `{block.value.kind}`"
            raise Err(t.Error_Unsupported(t.Failure(f"`messages[{n}]`: {what} is not carried", "{}")))
    return said


def stop_reason(reason: object) -> Optional[str]:
    if not isinstance(reason, str):
        return None
    return {"stop": "endTurn", "length": "maxTokens"}.get(reason, reason)


def usage(said: object) -> Optional[t.Usage]:
    def count(key: str) -> Optional[int]:
        n = get(said, key)
        return n if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**53 else None

    if not isinstance(said, dict):
        return None
    return t.Usage(input_tokens=count("prompt_tokens"), output_tokens=count("completion_tokens"), details="{}")


def refusal(response: t.HttpResponse, answer: object) -> t.Error:
    """The provider said no. The kind decides whether the host tries again, or asks the next plugin of the chain."""
    status = response.status
    kind = KINDS.get(status, "invalid-request" if 400 <= status <= 499 else "internal")
    said = get(get(answer, "error"), "message")
    message = " ".join(said.split()) if isinstance(said, str) else ""
    after = next((header.value for header in response.headers if header.name == "retry-after"), "")
    return t.Error_Provider(
        t.ProviderError(
            kind=kind,
            status=status,
            message=message or f"the provider answered with the status {status}",
            retry_after_ms=int(after) * 1000 if after.isascii() and after.isdigit() and len(after) <= 6 else None,
            extensions="{}",
        )
    )


def malformed(message: str) -> t.Error:
    return t.Error_MalformedResponse(t.Failure(message, "{}"))


def parse(body: bytes) -> object:
    """The JSON's value; None if it is none, or deeper than any answer: Python's parser would use up the stack."""
    depth = 0
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body):
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > 100:
            return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None
