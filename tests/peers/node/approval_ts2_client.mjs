// A client whose user answers elicitations as the command line says, on the TypeScript SDK 2.4: both eras.
//
//     approval_ts2_client.mjs [--era legacy|modern] ANSWER… -- COMMAND ARGS…
//
// Answers and lines are those of approval_user.mjs.

import { approvalArguments, ask, NONE } from "./approval_user.mjs";
import { require } from "./peers.mjs";

const { Client } = require("@modelcontextprotocol/client");
const { StdioClientTransport } = require("@modelcontextprotocol/client/stdio");

const { answers, command, args, era } = approvalArguments(["legacy", "modern"]);

const declares = !answers.includes(NONE);
const client = new Client(
  { name: "approval-ts2-client", version: "1.0.0" },
  {
    capabilities: declares ? { elicitation: {} } : {},
    versionNegotiation: { mode: era === "modern" ? { pin: "2026-07-28" } : era },
  },
);
await client.connect(new StdioClientTransport({ command, args, env: process.env }));
await ask(client, {
  answers,
  era: client.getProtocolEra(),
  onElicitation: (handler) => declares && client.setRequestHandler("elicitation/create", handler),
});
await client.close();
