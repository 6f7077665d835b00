// A client on the TypeScript SDK 1.32: the legacy era, up to 2025-11-25, over stdio and Streamable HTTP, and with `--sse`
// over the HTTP+SSE transport of 2024-11-05.
//
//     matrix_ts1_client.mjs [--era legacy|auto] [--sse] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)
//
// Options and lines are those of every matrix client: see peers.mjs.

import { capabilities, clientArguments, elicited, giveUp, obey, require, sampled } from "./peers.mjs";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { SSEClientTransport } = require("@modelcontextprotocol/sdk/client/sse.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { StreamableHTTPClientTransport } = require("@modelcontextprotocol/sdk/client/streamableHttp.js");
const { CreateMessageRequestSchema, ElicitRequestSchema } = require("@modelcontextprotocol/sdk/types.js");

const options = clientArguments(["legacy", "auto"]);
const { url, headers, command, args, sse } = options;

const client = new Client({ name: "matrix-ts1-client", version: "1.0.0" }, { capabilities: capabilities(options) });
if (options.elicitation) client.setRequestHandler(ElicitRequestSchema, elicited);
if (options.sampling !== undefined) client.setRequestHandler(CreateMessageRequestSchema, sampled(options));
client.onerror = (error) => process.stderr.write(`matrix_ts1_client: ${error.message}\n`);

const HttpTransport = sse ? SSEClientTransport : StreamableHTTPClientTransport;
const transport = url
  ? new HttpTransport(url, { requestInit: { headers } })
  : new StdioClientTransport({ command, args, env: process.env });
let protocolVersion;
const setProtocolVersion = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (version) => {
  protocolVersion = version;
  setProtocolVersion?.(version);
};
await client.connect(transport).catch(giveUp);

const callTool = client.callTool.bind(client);
client.callTool = (params, requestOptions) => callTool(params, undefined, requestOptions);

await obey(client, {
  connected: { protocolVersion, server: client.getServerVersion()?.name, era: "legacy" },
  disconnect: async () => {
    await transport.terminateSession?.();
    await client.close();
  },
});
