// A server on the TypeScript SDK 2.4, which serves both eras from the same tools: a tool returns `inputRequired(…)` and is
// entered again with the responses. To a modern client that goes out as a result; to a legacy one the SDK sends each input
// request as a request of its own. Over HTTP one endpoint serves both, the legacy era with sessions.
//
//     matrix_ts2_server.mjs --transport stdio|http [--era legacy|modern]
//
// `--era` refuses the other era; without it, both are served.

import * as tools from "./matrix_tools.mjs";
import { listen, refuse, require, serverArguments, sessions } from "./peers.mjs";

const { createMcpHandler, createRequestStateCodec, inputRequired, inputResponse, isLegacyRequest, McpServer, ResourceTemplate } =
  require("@modelcontextprotocol/server");
const { serveStdio, StdioServerTransport } = require("@modelcontextprotocol/server/stdio");
const { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } = require("@modelcontextprotocol/node");

const { transport, era } = serverArguments();

const codec = createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)) });

/** The sampling result under `key`, once there is one. */
function result(ctx, key) {
  const view = inputResponse(ctx.mcpReq.inputResponses, key);
  return view.kind === "sampling" ? view.result : undefined;
}

const ask = (requests) => inputRequired({ inputRequests: requests });

const handlers = {
  ask: async ({ prompt, maxTokens }, ctx) => {
    const answered = result(ctx, "answer");
    return answered
      ? tools.answer(tools.textOf(answered))
      : ask({ answer: inputRequired.createMessage(tools.askParams(prompt, maxTokens)) });
  },

  ask_many: async ({ n }, ctx) => {
    const keys = Array.from({ length: n }, (_, index) => `question-${index}`);
    const results = keys.map((key) => result(ctx, key));
    if (results.every(Boolean)) return tools.answer(results.map(tools.textOf).join("|"));
    return ask(
      Object.fromEntries(
        keys.map((key, index) => [key, inputRequired.createMessage(tools.askParams(`question ${index}`))]),
      ),
    );
  },

  tool_loop: async ({ prompt }, ctx) => {
    // The history and the number of rounds are in the request's state, sealed by the SDK's codec.
    let { messages, rounds } = ctx.mcpReq.requestState() ?? { messages: [tools.user(tools.text(prompt))], rounds: 0 };
    const answered = result(ctx, "answer");
    if (answered) {
      messages = tools.continued(messages, answered);
      if (!messages || rounds === tools.MAX_ROUNDS) return tools.answer(tools.textOf(answered));
    }
    return inputRequired({
      inputRequests: { answer: inputRequired.createMessage(tools.loopParams(messages)) },
      requestState: await codec.mint({ messages, rounds: rounds + 1 }),
    });
  },

  describe_image: async (_, ctx) => {
    const answered = result(ctx, "answer");
    return answered
      ? tools.answer(tools.textOf(answered))
      : ask({ answer: inputRequired.createMessage(tools.imageParams) });
  },

  ask_and_elicit: async ({ prompt }, ctx) => {
    const answered = result(ctx, "answer");
    const name = inputResponse(ctx.mcpReq.inputResponses, "name");
    if (answered && name.kind === "elicit") return tools.named(name, answered);
    return ask({
      answer: inputRequired.createMessage(tools.askParams(prompt)),
      name: inputRequired.elicit(tools.nameParams),
    });
  },
};

function build() {
  const server = new McpServer({ name: "matrix-ts2", version: "1.0.0" }, { requestState: { verify: codec.verify } });
  for (const [tool, [description, shape]] of Object.entries(tools.sampling)) {
    server.registerTool(tool, { description, inputSchema: tools.schema(shape) }, handlers[tool]);
  }
  // As every server asked before 2026-07-28: by a request, which only a session has.
  const bySession = { description: "Ask one question by a request of the session's.", inputSchema: tools.schema(tools.sampling.ask[1]) };
  server.registerTool("ask_by_session", bySession, async ({ prompt }, ctx) =>
    tools.answer(tools.textOf(await ctx.mcpReq.requestSampling(tools.askParams(prompt)))),
  );
  tools.registerPlain(server, {
    ResourceTemplate,
    promptArguments: tools.schema,
    call: ({ mcpReq }) => ({ progressToken: mcpReq._meta?.progressToken, notify: mcpReq.notify }),
  });
  return server;
}

if (transport === "http") {
  const legacy = sessions(NodeStreamableHTTPServerTransport, build);
  const modern = toNodeHandler(createMcpHandler(build, { legacy: "reject" }));
  const either = async (req, res) => {
    const chunks = await Array.fromAsync(req);
    let body;
    try {
      body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks)) : undefined;
    } catch {
      return refuse(res, 400, -32700, "Parse error");
    }
    const serve = (await isLegacyRequest(await toWebRequest(req, body))) ? legacy : modern;
    return serve(req, res, body);
  };
  await listen({ "/mcp": { legacy, modern }[era] ?? either });
} else if (era === "legacy") {
  await build().connect(new StdioServerTransport());
} else {
  serveStdio(build, { legacy: era === "modern" ? "reject" : "serve" });
}
