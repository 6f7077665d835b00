// A client on the TypeScript SDK 2.4: both eras. `--era auto` asks with `server/discover` and falls back to `initialize`.
//
//     matrix_ts2_client.mjs [--era legacy|modern|auto] [--sse] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)
//
// Options and lines are those of every matrix client: see peers.mjs.

import { capabilities, clientArguments, elicited, giveUp, obey, require, sampled } from "./peers.mjs";

const { Client, SSEClientTransport, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
const { StdioClientTransport } = require("@modelcontextprotocol/client/stdio");

const options = clientArguments(["legacy", "modern", "auto"]);
const { url, headers, command, args, sse, era } = options;

const mode = era === "modern" ? { pin: "2026-07-28" } : era;
const client = new Client(
  { name: "matrix-ts2-client", version: "1.0.0" },
  { capabilities: capabilities(options), versionNegotiation: { mode } },
);
if (options.elicitation) client.setRequestHandler("elicitation/create", elicited);
if (options.sampling !== undefined) client.setRequestHandler("sampling/createMessage", sampled(options));
client.onerror = (error) => process.stderr.write(`matrix_ts2_client: ${error.message}\n`);

const HttpTransport = sse ? SSEClientTransport : StreamableHTTPClientTransport;
const transport = url
  ? new HttpTransport(url, { requestInit: { headers } })
  : new StdioClientTransport({ command, args, env: process.env });
await client.connect(transport).catch(giveUp);

await obey(client, {
  connected: {
    protocolVersion: client.getNegotiatedProtocolVersion(),
    server: client.getServerVersion()?.name,
    era: client.getProtocolEra(),
  },
  disconnect: async () => {
    await transport.terminateSession?.();
    await client.close();
  },
});
