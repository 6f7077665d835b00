// The matrix tools on SDK 1.32: a tool sends the client requests while its call runs.

import * as tools from "./matrix_tools.mjs";
import { require } from "./peers.mjs";

const { McpServer, ResourceTemplate } = require("@modelcontextprotocol/sdk/server/mcp.js");

/**
 * One session's server. Over HTTP, requests come on the stream of the call that they belong to, or, with `stream: "get"`,
 * on the session's GET stream, as they do for servers that call `server.createMessage(params)` and no more.
 */
export function buildServer({ name = "matrix-ts1", stream = "post" } = {}) {
  const server = new McpServer({ name, version: "1.0.0" });
  const options = ({ requestId, signal }) => (stream === "get" ? { signal } : { relatedRequestId: requestId, signal });
  const sample = (params, extra) => server.server.createMessage(params, options(extra));
  const elicit = (params, extra) => server.server.elicitInput(params, options(extra));

  const handlers = {
    ask: async ({ prompt, maxTokens }, extra) =>
      tools.answer(tools.textOf(await sample(tools.askParams(prompt, maxTokens), extra))),

    ask_many: async ({ n }, extra) => {
      const questions = Array.from({ length: n }, (_, index) => sample(tools.askParams(`question ${index}`), extra));
      return tools.answer((await Promise.all(questions)).map(tools.textOf).join("|"));
    },

    tool_loop: async ({ prompt }, extra) => {
      let messages = [tools.user(tools.text(prompt))];
      let result;
      for (let round = 0; messages && round < tools.MAX_ROUNDS; round++) {
        result = await sample(tools.loopParams(messages), extra);
        messages = tools.continued(messages, result);
      }
      return tools.answer(tools.textOf(result));
    },

    describe_image: async (_, extra) => tools.answer(tools.textOf(await sample(tools.imageParams, extra))),

    ask_and_elicit: async ({ prompt }, extra) => {
      const [result, name] = await Promise.all([
        sample(tools.askParams(prompt), extra),
        elicit(tools.nameParams, extra),
      ]);
      return tools.named(name, result);
    },
  };
  for (const [tool, [description, shape]] of Object.entries(tools.sampling)) {
    server.registerTool(tool, { description, inputSchema: tools.schema(shape) }, handlers[tool]);
  }
  tools.registerPlain(server, {
    ResourceTemplate,
    promptArguments: (shape) => shape,
    call: ({ _meta, sendNotification }) => ({ progressToken: _meta?.progressToken, notify: sendNotification }),
  });
  return server;
}
