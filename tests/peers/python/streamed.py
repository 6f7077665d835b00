"""An answer as the stream that would have brought it, in events that the provider's own Python package has types for.

Each function takes a whole answer and yields pairs: the event's name, where the provider names them, and its data, an object
of the package's or a text. A text comes in several pieces, and so do a tool's arguments where the provider cuts them.

Each of `*_DUMP` says how `model_dump_json` writes such data as the provider would send it.
"""

import json

import anthropic.types as a
import ollama
import openai.types.responses as r
from anthropic.types.raw_message_delta_event import Delta
from google.genai import types as g
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat import chat_completion_chunk as c

ANTHROPIC_DUMP = OPENAI_DUMP = {"by_alias": True, "exclude_unset": True}
GEMINI_DUMP = {"by_alias": True, "exclude_none": True}
OLLAMA_DUMP = {"exclude_none": True}


def cut(text: str, pieces: int = 3) -> list[str]:
    """A text in so many pieces, or in fewer if it is shorter."""
    size = max(1, -(-len(text) // pieces))
    return [text[n : n + size] for n in range(0, len(text), size)]


def anthropic(message: a.Message):
    def named(event):
        return event.type, event

    begun = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    usage = message.usage.model_copy(update={"output_tokens": 1, "output_tokens_details": None})
    start = message.model_copy(update=begun | {"usage": usage})
    yield named(a.RawMessageStartEvent(type="message_start", message=start))
    for index, block in enumerate(message.content):
        # By type: what the block is when it begins, and what it gets more of.
        match block:
            case a.TextBlock():
                first = block.model_copy(update={"text": "", "citations": [] if block.citations else None})
                more = [a.TextDelta(type="text_delta", text=piece) for piece in cut(block.text)]
                more += [a.CitationsDelta(type="citations_delta", citation=one) for one in block.citations or []]
            case a.ThinkingBlock():
                first = block.model_copy(update={"thinking": "", "signature": ""})
                more = [a.ThinkingDelta(type="thinking_delta", thinking=piece) for piece in cut(block.thinking)]
                more.append(a.SignatureDelta(type="signature_delta", signature=block.signature))
            case a.ToolUseBlock() | a.ServerToolUseBlock():
                first = block.model_copy(update={"input": {}})
                pieces = ["", *(cut(json.dumps(block.input)) if block.input else [])]
                more = [a.InputJSONDelta(type="input_json_delta", partial_json=piece) for piece in pieces]
            case _:
                first, more = block, []
        yield named(a.RawContentBlockStartEvent(type="content_block_start", index=index, content_block=first))
        for delta in more:
            yield named(a.RawContentBlockDeltaEvent(type="content_block_delta", index=index, delta=delta))
        yield named(a.RawContentBlockStopEvent(type="content_block_stop", index=index))
    figures = message.usage.model_dump(include=set(a.MessageDeltaUsage.model_fields), exclude_unset=True)
    delta = Delta(stop_reason=message.stop_reason, stop_sequence=message.stop_sequence, stop_details=message.stop_details)
    yield named(a.RawMessageDeltaEvent(type="message_delta", delta=delta, usage=a.MessageDeltaUsage(**figures)))
    yield named(a.RawMessageStopEvent(type="message_stop"))


def chat_completions(completion: ChatCompletion, include_usage: bool = True):
    def chunk(choices, **fields):
        head = {key: getattr(completion, key) for key in ("id", "created", "model")}
        fields = ({"usage": None} if include_usage else {}) | fields
        return None, ChatCompletionChunk(object="chat.completion.chunk", choices=choices, **head, **fields)

    def piece(finish_reason=None, **delta):
        return chunk([c.Choice(index=0, delta=c.ChoiceDelta(**delta), finish_reason=finish_reason)])

    choice = completion.choices[0]
    message = choice.message
    yield piece(role="assistant", content=None if message.tool_calls else "", refusal=None)
    for text in cut(message.content or ""):
        yield piece(content=text)
    for text in cut(message.refusal or ""):
        yield piece(refusal=text)
    for index, call in enumerate(message.tool_calls or []):
        function = c.ChoiceDeltaToolCallFunction(name=call.function.name, arguments="")
        yield piece(tool_calls=[c.ChoiceDeltaToolCall(index=index, id=call.id, type="function", function=function)])
        for text in cut(call.function.arguments):
            function = c.ChoiceDeltaToolCallFunction(arguments=text)
            yield piece(tool_calls=[c.ChoiceDeltaToolCall(index=index, function=function)])
    if message.function_call:
        yield piece(function_call=c.ChoiceDeltaFunctionCall(name=message.function_call.name, arguments=""))
        for text in cut(message.function_call.arguments):
            yield piece(function_call=c.ChoiceDeltaFunctionCall(arguments=text))
    yield piece(choice.finish_reason)
    if include_usage:
        yield chunk([], usage=completion.usage)
    yield None, "[DONE]"


def responses(response: r.Response):
    numbers = iter(range(100_000))

    def event(kind, **fields):
        name = kind.model_fields["type"].annotation.__args__[0]
        return name, kind(type=name, sequence_number=next(numbers), **fields)

    nothing_yet = {"status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    begun = response.model_copy(update=nothing_yet)
    yield event(r.ResponseCreatedEvent, response=begun)
    yield event(r.ResponseInProgressEvent, response=begun)
    for n, item in enumerate(response.output):
        place = {"item_id": item.id, "output_index": n}
        empty = {
            "message": {"content": [], "status": "in_progress"},
            "reasoning": {"summary": [], "encrypted_content": None},
            "function_call": {"arguments": "", "status": "in_progress"},
        }.get(item.type, {})
        yield event(r.ResponseOutputItemAddedEvent, output_index=n, item=item.model_copy(update=empty))
        if item.type == "message":
            for index, part in enumerate(item.content):
                yield from parts(event, place | {"content_index": index}, part)
        elif item.type == "reasoning":
            for index, summary in enumerate(item.summary):
                at = place | {"summary_index": index}
                text = {"type": "summary_text"}
                yield event(r.ResponseReasoningSummaryPartAddedEvent, **at, part=text | {"text": ""})
                for piece in cut(summary.text):
                    yield event(r.ResponseReasoningSummaryTextDeltaEvent, **at, delta=piece)
                yield event(r.ResponseReasoningSummaryTextDoneEvent, **at, text=summary.text)
                yield event(r.ResponseReasoningSummaryPartDoneEvent, **at, part=text | {"text": summary.text})
        elif item.type == "function_call":
            for piece in cut(item.arguments):
                yield event(r.ResponseFunctionCallArgumentsDeltaEvent, **place, delta=piece)
            yield event(r.ResponseFunctionCallArgumentsDoneEvent, **place, arguments=item.arguments)
        yield event(r.ResponseOutputItemDoneEvent, output_index=n, item=item)
    ends = {
        "completed": r.ResponseCompletedEvent,
        "incomplete": r.ResponseIncompleteEvent,
        "failed": r.ResponseFailedEvent,
    }
    yield event(ends[response.status], response=response)


def parts(event, at: dict, part):
    """A part of a message of the Responses API's."""
    if part.type == "output_text":
        yield event(r.ResponseContentPartAddedEvent, **at, part=part.model_copy(update={"text": ""}))
        for piece in cut(part.text):
            yield event(r.ResponseTextDeltaEvent, **at, delta=piece, logprobs=[])
        yield event(r.ResponseTextDoneEvent, **at, text=part.text, logprobs=[])
    else:
        yield event(r.ResponseContentPartAddedEvent, **at, part=part.model_copy(update={"refusal": ""}))
        for piece in cut(part.refusal):
            yield event(r.ResponseRefusalDeltaEvent, **at, delta=piece)
        yield event(r.ResponseRefusalDoneEvent, **at, refusal=part.refusal)
    yield event(r.ResponseContentPartDoneEvent, **at, part=part)


def gemini(answer: g.GenerateContentResponse):
    """Chunks of one part each. Only text is cut, and none that is signed: its pieces would be two parts."""
    candidate = answer.candidates[0] if answer.candidates else None
    content = candidate and candidate.content
    pieces = []
    for part in (content and content.parts) or []:
        texts = cut(part.text) if part.text and not part.thought_signature else []
        pieces += [part.model_copy(update={"text": text}) for text in texts] or [part]
    for piece in pieces[:-1]:
        chunk = g.Candidate(index=0, content=g.Content(role="model", parts=[piece]))
        ended = {"candidates": [chunk], "usage_metadata": without_answer(answer.usage_metadata)}
        yield None, answer.model_copy(update=ended)
    if pieces:
        last = candidate.model_copy(update={"content": g.Content(role="model", parts=pieces[-1:])})
        answer = answer.model_copy(update={"candidates": [last]})
    yield None, answer


def without_answer(usage: g.GenerateContentResponseUsageMetadata | None):
    """The figures before the answer's own are known."""
    return usage and usage.model_copy(update={"candidates_token_count": None, "total_token_count": usage.prompt_token_count})


def ollama_lines(answer: ollama.ChatResponse):
    """Thinking and content in pieces, calls whole; the last line says nothing, and has the figures."""

    def line(**message):
        message = ollama.Message(**{"role": "assistant", "content": ""} | message)
        return None, ollama.ChatResponse(model=answer.model, created_at=answer.created_at, message=message, done=False)

    said = answer.message
    for piece in cut(said.thinking or ""):
        yield line(thinking=piece)
    for piece in cut(said.content or ""):
        yield line(content=piece)
    for image in said.images or []:
        yield line(images=[image])
    for call in said.tool_calls or []:
        yield line(tool_calls=[call])
    yield None, answer.model_copy(update={"message": ollama.Message(role="assistant", content="")})
