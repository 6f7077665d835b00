// The conformance suite's server for requirement set 2025-11-25, on the TypeScript SDK 1.32, with sessions.
//
//     conformance_server_legacy.mjs --transport stdio|http
//
// `json_schema_2020_12_tool` is left out: this SDK takes schemas as zod objects only, which lose what the scenario looks for.

import { setTimeout as pause } from "node:timers/promises";

import { declared, form, registerConformance } from "./conformance_tools.mjs";
import * as tools from "./matrix_tools.mjs";
import { listen, require, serverArguments, sessions } from "./peers.mjs";

const { completable } = require("@modelcontextprotocol/sdk/server/completable.js");
const { McpServer, ResourceTemplate } = require("@modelcontextprotocol/sdk/server/mcp.js");
const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
const { StreamableHTTPServerTransport } = require("@modelcontextprotocol/sdk/server/streamableHttp.js");
const { SubscribeRequestSchema, UnsubscribeRequestSchema } = require("@modelcontextprotocol/sdk/types.js");
const z = require("zod");

const { transport } = serverArguments();

const titled = (...names) => names.map((title, index) => ({ const: `value${index + 1}`, title }));
const options = ["option1", "option2", "option3"];

const defaults = form(
  "Please review and update the form fields with defaults",
  {
    name: { type: "string", description: "User name", default: "John Doe" },
    age: { type: "integer", description: "User age", default: 30 },
    score: { type: "number", description: "User score", default: 95.5 },
    status: { type: "string", description: "User status", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", description: "Verification status", default: true },
  },
  [],
);

const enums = form(
  "Please select options from the enum fields",
  {
    untitledSingle: { type: "string", enum: options },
    titledSingle: { type: "string", oneOf: titled("First Option", "Second Option", "Third Option") },
    legacyEnum: {
      type: "string",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti: { type: "array", minItems: 1, maxItems: 3, items: { type: "string", enum: options } },
    titledMulti: {
      type: "array",
      minItems: 1,
      maxItems: 3,
      items: { anyOf: titled("First Choice", "Second Choice", "Third Choice") },
    },
  },
  [],
);

function build() {
  const server = new McpServer(
    { name: "conformance-legacy", version: "1.0.0" },
    { capabilities: { ...declared, logging: {} } },
  );
  registerConformance(server, {
    ResourceTemplate,
    promptArguments: (shape) => shape,
    completable,
    call: ({ _meta, sendNotification }) => ({ progressToken: _meta?.progressToken, notify: sendNotification }),
  });

  const tool = (name, shape, handler) =>
    server.registerTool(name, { description: name, inputSchema: tools.schema(shape) }, handler);
  const related = ({ requestId, signal }) => ({ relatedRequestId: requestId, signal });

  tool("test_sampling", { prompt: z.string() }, async ({ prompt }, extra) => {
    const result = await server.server.createMessage(tools.askParams(prompt), related(extra));
    return tools.answer(`LLM response: ${tools.textOf(result)}`);
  });

  const elicit = async (what, params, extra) => {
    const { action, content = {} } = await server.server.elicitInput(params, related(extra));
    return tools.answer(`${what}: action=${action}, content=${JSON.stringify(content)}`);
  };
  tool("test_elicitation", { message: z.string() }, ({ message }, extra) =>
    elicit("User response", form(message, { response: { type: "string", description: "User's response" } }), extra),
  );
  tool("test_elicitation_sep1034_defaults", {}, (_, extra) => elicit("Elicitation completed", defaults, extra));
  tool("test_elicitation_sep1330_enums", {}, (_, extra) => elicit("Elicitation completed", enums, extra));

  tool("test_tool_with_logging", {}, async (_, { sendNotification }) => {
    for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
      await sendNotification({ method: "notifications/message", params: { level: "info", data } });
      await pause(50); // the scenario asks for it
    }
    return tools.answer("Tool with logging executed successfully");
  });

  // Closes the stream of its own call; the client must resume it to get the result.
  tool("test_reconnection", {}, async (_, { closeSSEStream }) => {
    closeSSEStream?.();
    await pause(100); // so that the result isn't ready before the stream has gone
    return tools.answer("Reconnection test completed successfully");
  });

  server.server.setRequestHandler(SubscribeRequestSchema, async () => ({}));
  server.server.setRequestHandler(UnsubscribeRequestSchema, async () => ({}));
  return server;
}

if (transport === "http") {
  await listen({ "/mcp": sessions(StreamableHTTPServerTransport, build) });
} else {
  await build().connect(new StdioServerTransport());
}
