// A client whose user answers elicitations as the command line says, on the TypeScript SDK 1.32: the legacy era.
//
//     approval_ts1_client.mjs ANSWER… -- COMMAND ARGS…
//
// Answers and lines are those of approval_user.mjs.

import { approvalArguments, ask, NONE } from "./approval_user.mjs";
import { require } from "./peers.mjs";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { ElicitRequestSchema } = require("@modelcontextprotocol/sdk/types.js");

const { answers, command, args } = approvalArguments(["legacy"]);

const declares = !answers.includes(NONE);
const client = new Client(
  { name: "approval-ts1-client", version: "1.0.0" },
  { capabilities: declares ? { elicitation: {} } : {} },
);
await client.connect(new StdioClientTransport({ command, args, env: process.env }));
await ask(client, {
  answers,
  era: "legacy",
  onElicitation: (handler) => declares && client.setRequestHandler(ElicitRequestSchema, handler),
});
await client.close();
