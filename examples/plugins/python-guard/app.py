"""A guard: it denies requests that hold one of the words in its settings, and withholds these words from answers.

What is raised as `Err` is the function's error (the contract's `error`); any other exception is a trap. Both deny.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import guard as g
from wit_world.imports import types as t

SCHEMA = {
    "type": "object",
    "properties": {"words": {"type": "array", "items": {"type": "string", "minLength": 1}}},
    "additionalProperties": False,
}


class Guard(exports.Guard):
    def describe(self) -> g.GuardDescription:
        """What this guard is. Constant."""
        return g.GuardDescription(
            name="example-plugin",
            version="0.1.0",
            summary="denies requests that hold certain words, and withholds these from answers",
            checks=["request", "answer"],
            settings_schema=json.dumps(SCHEMA),
            extensions="{}",
        )

    def request(self, request: t.CreateMessageRequest, circumstances: g.Circumstances, settings: str) -> g.RequestVerdict:
        """What may be asked."""
        words = words_of(settings)
        texts = [request.system_prompt or "", *request.stop_sequences]
        for message in request.messages:
            texts += texts_of(message.content)
        for tool in request.tools or []:
            texts += [tool.title or "", tool.description or "", tool.input_schema]
        if any(word in text for word in words for text in texts):
            # The reason goes to the server: it doesn't quote the word.
            reason = (
                "the request holds a word of `settings.words`; "
                f"the server `{circumstances.server}` may not send it to a model"
            )
            return g.RequestVerdict_Deny(g.Reason(reason, "{}"))
        return g.RequestVerdict_Allow()

    def answer(self, answer: t.CreateMessageResult, circumstances: g.Circumstances, settings: str) -> g.AnswerVerdict:
        """What may be told."""
        words = words_of(settings)
        changed = False
        for block in answer.content:
            if isinstance(block, t.ContentBlock_Text):
                text = block.value.text
                for word in words:
                    text = text.replace(word, "[withheld]")
                changed |= text != block.value.text
                block.value.text = text
            elif any(word in text for word in words for text in texts_of([block])):
                reason = "the answer holds a word of `settings.words` outside of its text"
                return g.AnswerVerdict_Deny(g.Reason(reason, "{}"))
        return g.AnswerVerdict_AllowChanged(answer) if changed else g.AnswerVerdict_Allow()


def texts_of(blocks: list[t.ContentBlock]) -> list[str]:
    """The texts of these blocks; JSON as it is written."""
    texts = []
    for block in blocks:
        if isinstance(block, t.ContentBlock_Text):
            texts.append(block.value.text)
        elif isinstance(block, t.ContentBlock_ToolUse):
            texts.append(block.value.input)
        elif isinstance(block, t.ContentBlock_ToolResult):
            texts.append(block.value.structured_content or "")
            for part in block.value.content:
                if isinstance(part, t.ToolResultBlock_Text):
                    texts.append(part.value.text)
                elif isinstance(part, t.ToolResultBlock_Resource):
                    contents = part.value.contents
                    texts.append(contents.value if isinstance(contents, t.ResourceContents_Text) else "")
        elif isinstance(block, t.ContentBlock_Other):
            texts.append(block.value.block)
    return texts


def words_of(settings: str) -> list[str]:
    words = json.loads(settings).get("words", [])
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        message = "`settings.words` must hold texts, none of them empty"
        raise Err(t.Error_InvalidRequest(t.Failure(message, "{}")))
    return words
