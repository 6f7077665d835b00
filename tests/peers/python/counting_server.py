"""A server on stdio without any SDK, which counts: the answers to its sampling requests, and those that come once too often.

    python counting_server.py

`tools/call` of `ask` with `{"n": N}` makes N sampling requests at once, tells of each answer by `notifications/progress`, and
returns the answers' texts joined by `|`. `report` returns `{"asked", "answered", "surplus"}`.
"""

import json
import sys

calls: dict[int, dict] = {}
waiting: dict[str, tuple[int, int]] = {}
counts = {"asked": 0, "answered": 0, "surplus": 0}


def say(message: dict) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
    sys.stdout.flush()


def finish(request_id: int, text: str) -> None:
    say({"id": request_id, "result": {"content": [{"type": "text", "text": text}]}})


def call(request_id: int, params: dict) -> None:
    if params["name"] == "report":
        finish(request_id, json.dumps(counts))
        return
    n = params["arguments"]["n"]
    calls[request_id] = {"token": params["_meta"]["progressToken"], "texts": [None] * n, "left": n}
    for i in range(n):
        counts["asked"] += 1
        waiting[f"{request_id}/{i}"] = (request_id, i)
        content = {"type": "text", "text": f"question {i} of {request_id}"}
        params = {"messages": [{"role": "user", "content": content}], "maxTokens": 50}
        say({"id": f"{request_id}/{i}", "method": "sampling/createMessage", "params": params})


def answered(message: dict) -> None:
    if message["id"] not in waiting:
        counts["surplus"] += 1
        return
    counts["answered"] += 1
    request_id, i = waiting.pop(message["id"])
    state = calls[request_id]
    state["texts"][i] = message["result"]["content"]["text"]
    state["left"] -= 1
    done = len(state["texts"]) - state["left"]
    say({"method": "notifications/progress", "params": {"progressToken": state["token"], "progress": done}})
    if state["left"] == 0:
        del calls[request_id]
        finish(request_id, "|".join(state["texts"]))


for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        version = message["params"]["protocolVersion"]
        info = {"name": "counting", "version": "1"}
        say({"id": message["id"], "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}})
    elif message.get("method") == "tools/call":
        call(message["id"], message["params"])
    elif "method" not in message:
        answered(message)
