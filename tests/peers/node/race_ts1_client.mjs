// A contestant of the race (tests/benches/race): a client on the TypeScript SDK 1.32 that asks Anthropic's API with `fetch`.
//
//     race_ts1_client.mjs -- COMMAND ARGS…
//
// `ANTHROPIC_BASE_URL` and `ANTHROPIC_API_KEY` say whom to ask. The lines are those of peers.mjs.

import { clientArguments, giveUp, obey, require } from "./peers.mjs";

const { Client } = require("@modelcontextprotocol/sdk/client/index.js");
const { StdioClientTransport } = require("@modelcontextprotocol/sdk/client/stdio.js");
const { CreateMessageRequestSchema } = require("@modelcontextprotocol/sdk/types.js");

const { command, args } = clientArguments(["auto"]);
const url = new URL("/v1/messages", process.env.ANTHROPIC_BASE_URL);
const headers = {
  "content-type": "application/json",
  "anthropic-version": "2023-06-01",
  "x-api-key": process.env.ANTHROPIC_API_KEY,
};

const block = (content) =>
  content.type === "image"
    ? { type: "image", source: { type: "base64", media_type: content.mimeType, data: content.data } }
    : { type: "text", text: content.text };

async function sample({ params }) {
  const body = JSON.stringify({
    model: "claude-sonnet-4-5",
    max_tokens: params.maxTokens,
    messages: params.messages.map(({ role, content }) => ({ role, content: [content].flat().map(block) })),
    system: params.systemPrompt,
    temperature: params.temperature,
  });
  const response = await fetch(url, { method: "POST", headers, body });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error?.message);
  const text = answer.content.map((block) => block.text ?? "").join("");
  return { role: "assistant", model: answer.model, stopReason: "endTurn", content: { type: "text", text } };
}

const client = new Client({ name: "race-ts1-client", version: "1.0.0" }, { capabilities: { sampling: {} } });
client.setRequestHandler(CreateMessageRequestSchema, sample);
client.onerror = (error) => process.stderr.write(`race_ts1_client: ${error.message}\n`);
await client.connect(new StdioClientTransport({ command, args, env: process.env })).catch(giveUp);

const callTool = client.callTool.bind(client);
client.callTool = (params, options) => callTool(params, undefined, options);
await obey(client, {
  connected: { protocolVersion: null, server: client.getServerVersion()?.name, era: "legacy" },
  disconnect: () => client.close(),
});
