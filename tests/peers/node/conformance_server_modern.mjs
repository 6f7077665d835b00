// The conformance suite's server for requirement set 2026-07-28, on the TypeScript SDK 2.4; refuses the legacy era.
//
//     conformance_server_modern.mjs --transport stdio|http

import { declared, form, json_schema_2020_12_tool, registerConformance } from "./conformance_tools.mjs";
import * as tools from "./matrix_tools.mjs";
import { listen, require, serverArguments } from "./peers.mjs";

const {
  acceptedContent,
  CLIENT_CAPABILITIES_META_KEY,
  completable,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
  inputResponse,
  McpServer,
  ResourceTemplate,
} = require("@modelcontextprotocol/server");
const { serveStdio } = require("@modelcontextprotocol/server/stdio");
const { toNodeHandler } = require("@modelcontextprotocol/node");

const { transport } = serverArguments();

const codec = createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)) });
const mint = (tool, more) => codec.mint({ tool, nonce: crypto.randomUUID(), ...more });

const string = { type: "string" };
const askName = inputRequired.elicit(form("What is your name?", { name: string }));
const askToConfirm = inputRequired.elicit(form("Please confirm", { ok: { type: "boolean" } }));
const sample = (prompt, maxTokens) => inputRequired.createMessage(tools.askParams(prompt, maxTokens));

/** The three kinds of response under a key; `undefined` if it isn't there or of another kind. */
const responses = ({ mcpReq }) => ({
  accepted: (key) => acceptedContent(mcpReq.inputResponses, key),
  sampled: (key) => inputResponse(mcpReq.inputResponses, key).result,
  roots: (key) => inputResponse(mcpReq.inputResponses, key).roots,
  state: mcpReq.requestState(),
  any: mcpReq.inputResponses !== undefined,
});

/** Tools that need input: each returns what it asks for until it is entered with the responses. */
const handlers = {
  test_input_required_result_elicitation: ({ accepted }) => {
    const name = accepted("user_name")?.name;
    if (typeof name !== "string") return inputRequired({ inputRequests: { user_name: askName } });
    return tools.answer(`Hello, ${name}!`);
  },
  test_input_required_result_sampling: ({ sampled }) => {
    const result = sampled("capital_question");
    if (!result) {
      return inputRequired({ inputRequests: { capital_question: sample("What is the capital of France?", 100) } });
    }
    return tools.answer(`Sampling response: ${tools.textOf(result)}`);
  },
  test_input_required_result_list_roots: ({ roots }) => {
    const found = roots("client_roots");
    if (!found) return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
    return tools.answer(`Roots: ${found.map(({ uri }) => uri).join(", ")}`);
  },
  test_input_required_result_request_state: async ({ accepted, state }) => {
    if (!accepted("confirm") || !state) {
      return inputRequired({ inputRequests: { confirm: askToConfirm }, requestState: await mint("request_state") });
    }
    return tools.answer("state-ok: requestState verified and confirmation received");
  },
  test_input_required_result_tampered_state: async ({ accepted, state }) => {
    if (!accepted("confirm") || !state) {
      return inputRequired({ inputRequests: { confirm: askToConfirm }, requestState: await mint("tampered_state") });
    }
    return tools.answer("integrity-ok: requestState verified");
  },
  test_input_required_result_multiple_inputs: async ({ accepted, sampled, roots }) => {
    const [name, greeting, found] = [accepted("user_name")?.name, sampled("greeting"), roots("client_roots")];
    if (name === undefined || !greeting || !found) {
      return inputRequired({
        inputRequests: {
          user_name: askName,
          greeting: sample("Generate a greeting", 50),
          client_roots: inputRequired.listRoots(),
        },
        requestState: await mint("multiple_inputs"),
      });
    }
    return tools.answer(`${tools.textOf(greeting)} ${name}, of ${found.length} root(s)`);
  },
  test_input_required_result_multi_round: async ({ accepted, state }) => {
    const round = state?.round ?? 0;
    if (round === 2) return tools.answer(`${state.name} likes ${accepted("step2")?.color}`);
    const [key, elicitation] =
      round === 0
        ? ["step1", form("Step 1: What is your name?", { name: string })]
        : ["step2", form("Step 2: What is your favorite color?", { color: string })];
    return inputRequired({
      inputRequests: { [key]: inputRequired.elicit(elicitation) },
      requestState: await mint("multi_round", { round: round + 1, name: accepted("step1")?.name }),
    });
  },
  // Asks only for what this request's client says it can do.
  test_input_required_result_capabilities: ({ any }, { mcpReq }) => {
    const can = mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
    const inputRequests = {
      ...(can.elicitation && { user_name: askName }),
      ...(can.sampling && { greeting: sample("Generate a short greeting", 50) }),
      ...(can.roots && { client_roots: inputRequired.listRoots() }),
    };
    return any || Object.keys(inputRequests).length === 0 ? tools.answer("done") : inputRequired({ inputRequests });
  },
  test_missing_capability: ({ sampled }) =>
    sampled("llm_answer")
      ? tools.answer("sampling round-trip complete")
      : inputRequired({ inputRequests: { llm_answer: sample("Reply with the single word: pong", 16) } }),

  test_streaming_elicitation: () => tools.answer("a stream with a result and no requests"),
  test_logging_tool: async (_, { mcpReq }) => {
    await mcpReq.log("info", "sent only if the request set a log level");
    return tools.answer("logged");
  },
  test_trigger_tool_change: () => {
    modern.notify.toolsChanged();
    return tools.answer("told subscribers");
  },
  test_trigger_prompt_change: () => {
    modern.notify.promptsChanged();
    return tools.answer("told subscribers");
  },
};

function build() {
  const server = new McpServer(
    { name: "conformance-modern", version: "1.0.0" },
    { capabilities: declared, requestState: { verify: codec.verify } },
  );
  registerConformance(server, {
    ResourceTemplate,
    promptArguments: tools.schema,
    completable,
    call: ({ mcpReq }) => ({ progressToken: mcpReq._meta?.progressToken, notify: mcpReq.notify }),
  });
  for (const [name, handler] of Object.entries(handlers)) {
    server.registerTool(name, { description: name, inputSchema: tools.schema({}) }, async (_, ctx) =>
      handler(responses(ctx), ctx),
    );
  }
  server.registerTool(
    "json_schema_2020_12_tool",
    { description: "JSON Schema 2020-12", inputSchema: fromJsonSchema(json_schema_2020_12_tool) },
    async (args) => tools.answer(JSON.stringify(args)),
  );
  server.registerTool(
    "test_x_mcp_header",
    {
      description: "An argument that comes as a header too",
      inputSchema: fromJsonSchema({
        type: "object",
        properties: { region: { ...string, "x-mcp-header": "Region" }, level: { type: "integer" } },
      }),
    },
    async ({ region }) => tools.answer(`region=${region}`),
  );
  server.registerPrompt(
    "test_input_required_result_prompt",
    { description: "Needs input", argsSchema: tools.schema({}) },
    async (_, ctx) => {
      const context = responses(ctx).accepted("user_context")?.context;
      if (context !== undefined) return { messages: [tools.user(tools.text(`Use the following context: ${context}`))] };
      const elicitation = form("What context should the prompt use?", { context: string });
      return inputRequired({ inputRequests: { user_context: inputRequired.elicit(elicitation) } });
    },
  );
  return server;
}

const modern = createMcpHandler(build, { legacy: "reject" });

if (transport === "http") {
  await listen({ "/mcp": toNodeHandler(modern) });
} else {
  serveStdio(build, { legacy: "reject" });
}
