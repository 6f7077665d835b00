"""A server of 2026-07-28 on stdio without any SDK, which tells what it was sent.

    python stateless_server.py

`tools/call` of `seen` returns `{"id", "token"}` of the request; `progress` tells of two steps first; `pair` answers only once
another `pair` has been called, the second one first; `hang` never answers; `cancelled` returns the ids that were cancelled;
`code` fails with the code of its arguments; `end` ends the subscriptions; `die` ends the server. `tools/list` has a tool with an
argument that stands in a header. `subscriptions/listen` is acknowledged and told of one change.
"""

import json
import sys

cancelled: list = []
subscriptions: list = []
pairs: list = []


def say(message: dict) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
    sys.stdout.flush()


def finish(request_id, value) -> None:
    say({"id": request_id, "result": {"resultType": "complete", "content": [{"type": "text", "text": json.dumps(value)}]}})


def call(request_id, params: dict) -> None:
    token = params["_meta"].get("progressToken")
    match params["name"]:
        case "progress":
            for step in (1, 2):
                say({"method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
        case "pair":
            pairs.append((request_id, token))
            if len(pairs) == 2:
                for first, mark in reversed(pairs):
                    say({"method": "notifications/progress", "params": {"progressToken": mark, "progress": 1}})
                    finish(first, "paired")
                pairs.clear()
            return
        case "hang":
            return
        case "cancelled":
            finish(request_id, cancelled)
            return
        case "code":
            say({"id": request_id, "error": {"code": params["arguments"]["code"], "message": "as asked"}})
            return
        case "end":
            for subscription in subscriptions:
                say({"method": "notifications/cancelled", "params": {"requestId": subscription}})
        case "die":
            sys.exit(0)
    finish(request_id, {"id": request_id, "token": token})


TOOL = {"name": "seen", "inputSchema": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}}

for line in sys.stdin:
    message = json.loads(line)
    match message.get("method"):
        case "tools/call":
            call(message["id"], message["params"])
        case "tools/list":
            say({"id": message["id"], "result": {"resultType": "complete", "tools": [TOOL]}})
        case "subscriptions/listen":
            subscriptions.append(message["id"])
            meta = {"io.modelcontextprotocol/subscriptionId": message["id"]}
            say({"method": "notifications/subscriptions/acknowledged", "params": {"_meta": meta, "notifications": {}}})
            say({"method": "notifications/tools/list_changed", "params": {"_meta": meta}})
        case "notifications/cancelled":
            cancelled.append(message["params"]["requestId"])
        case _ if "id" in message:
            say({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})
