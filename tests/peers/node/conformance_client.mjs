// The client for the suite's client mode, on the TypeScript SDK 2.4: does what the scenario named in
// MCP_CONFORMANCE_SCENARIO asks, in the era of MCP_CONFORMANCE_PROTOCOL_VERSION. The suite appends the URL of its server:
//
//     conformance client --scenario NAME --command "node conformance_client.mjs"
//
// With a command in front of the URL, it talks over stdio to `COMMAND ARGS… URL` instead:
//
//     conformance client --scenario NAME --command "node conformance_client.mjs understudy proxy …"
//
// All scenarios but `auth/*` and `sep-2640-*` (authorization and skills).

import { require } from "./peers.mjs";

const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");
const { StdioClientTransport } = require("@modelcontextprotocol/client/stdio");

const { MCP_CONFORMANCE_SCENARIO: name, MCP_CONFORMANCE_PROTOCOL_VERSION: version, MCP_CONFORMANCE_CONTEXT: context } =
  process.env;
const [url, ...reversed] = process.argv.slice(2).reverse();
const [command, ...args] = reversed.reverse();

async function listAndCall(client, given = {}) {
  const { tools } = await client.listTools();
  for (const { name: tool } of tools) await client.callTool({ name: tool, arguments: given });
}

const scenarios = {
  initialize: (client) => client.listTools(),
  tools_call: (client) => listAndCall(client, { a: 2, b: 3 }),
  "elicitation-sep1034-client-defaults": (client) => listAndCall(client),
  "sse-retry": (client) => listAndCall(client),
  "request-metadata": (client) => client.listTools(),
  "json-schema-ref-no-deref": (client) => client.listTools(),
  "http-invalid-tool-headers": (client) => listAndCall(client, { region: "us-west1" }),
  "http-custom-headers": async (client) => {
    await client.listTools();
    for (const call of JSON.parse(context).toolCalls) {
      await client.callTool({ name: call.name, arguments: call.arguments });
    }
  },
  "http-standard-headers": async (client) => {
    await listAndCall(client);
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const prompt of (await client.listPrompts()).prompts) await client.getPrompt({ name: prompt.name });
  },
  "json-schema-2020-12-preservation": async (client) => {
    const { tools } = await client.listTools();
    const schema = tools.find((tool) => tool.name === "json_schema_2020_12_tool").inputSchema;
    await client.callTool({ name: "json_schema_echo", arguments: { schema } });
  },
  "sep-2322-client-request-state": async (client) => {
    for (const tool of ["test_mrtr_echo_state", "test_mrtr_no_state", "test_mrtr_unrelated"]) {
      await client.callTool({ name: tool, arguments: {} });
    }
    // This SDK refuses a result without `resultType`; what counts is that it doesn't ask again.
    await client.callTool({ name: "test_mrtr_no_result_type", arguments: {} }).catch(() => {});
  },
};

if (!scenarios[name]) throw new Error(`no such scenario here: ${name}`);

const client = new Client(
  { name: "conformance-client", version: "1.0.0" },
  {
    capabilities: { elicitation: { form: { applyDefaults: true } }, sampling: {}, roots: { listChanged: true } },
    versionNegotiation: { mode: version >= "2026" ? "auto" : "legacy" },
  },
);
client.setRequestHandler("elicitation/create", async ({ params }) => ({
  action: "accept",
  content: "confirmed" in params.requestedSchema.properties ? { confirmed: true } : {}, // else the SDK fills in defaults
}));

await client.connect(
  command
    ? new StdioClientTransport({ command, args: [...args, url], env: process.env })
    : new StreamableHTTPClientTransport(new URL(url)),
);
await scenarios[name](client);
await client.close();
