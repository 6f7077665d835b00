// A server on the TypeScript SDK 1.32: the legacy era, up to 2025-11-25, over stdio, or over Streamable HTTP with sessions,
// GET streams and resumption.
//
//     matrix_ts1_server.mjs --transport stdio|http [--stream post|get]
//
// `--stream get`: over HTTP its requests to the client come on the session's GET stream (see matrix_ts1_tools.mjs).

import { buildServer } from "./matrix_ts1_tools.mjs";
import { listen, require, serverArguments, sessions } from "./peers.mjs";

const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
const { StreamableHTTPServerTransport } = require("@modelcontextprotocol/sdk/server/streamableHttp.js");

const { transport, stream } = serverArguments({ stream: { type: "string", default: "post" } });
const build = () => buildServer({ stream });

if (transport === "http") {
  await listen({ "/mcp": sessions(StreamableHTTPServerTransport, build) });
} else {
  await build().connect(new StdioServerTransport());
}
