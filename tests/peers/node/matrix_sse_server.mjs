// A server of the HTTP+SSE transport of revision 2024-11-05, by SDK 1.32: a client opens `GET /mcp`, the first event of
// which names the address to POST its messages to; all answers and requests come as events of that one stream.
//
//     matrix_sse_server.mjs [--transport http]

import { buildServer } from "./matrix_ts1_tools.mjs";
import { listen, require, serverArguments } from "./peers.mjs";

const { SSEServerTransport } = require("@modelcontextprotocol/sdk/server/sse.js");

serverArguments();
const open = new Map();

await listen({
  "/mcp": async (req, res) => {
    if (req.method !== "GET") return res.writeHead(405, { allow: "GET" }).end();
    const transport = new SSEServerTransport("/messages", res);
    open.set(transport.sessionId, transport);
    transport.onclose = () => open.delete(transport.sessionId);
    return buildServer({ name: "matrix-sse" }).connect(transport);
  },
  "/messages": async (req, res) => {
    const transport = open.get(new URL(req.url, "http://localhost").searchParams.get("sessionId"));
    if (!transport) return res.writeHead(404).end("Session not found");
    return transport.handlePostMessage(req, res);
  },
});
