// What every matrix server serves, whichever its SDK: the same names, messages and results.

import { require } from "./peers.mjs";

const z = require("zod");

/** One red pixel. */
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

export const user = (content) => ({ role: "user", content });
export const text = (string) => ({ type: "text", text: string });
export const answer = (string) => ({ content: [text(string)] });

/** The text of a `CreateMessageResult`, whose content is one block or several. */
export const textOf = ({ content }) =>
  [content].flat().flatMap((block) => (block.type === "text" ? [block.text] : [])).join("");

export const askParams = (prompt, maxTokens = 100) => ({ messages: [user(text(prompt))], maxTokens });

export const imageParams = {
  messages: [user([text("what is this?"), { type: "image", data: PNG, mimeType: "image/png" }])],
  maxTokens: 100,
};

export const nameParams = {
  message: "your name?",
  requestedSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
};

export const named = ({ action, content }, result) =>
  answer(`${action === "accept" ? content.name : "declined"}: ${textOf(result)}`);

const addTool = {
  name: "add",
  description: "Adds two integers",
  inputSchema: {
    type: "object",
    properties: { a: { type: "integer" }, b: { type: "integer" } },
    required: ["a", "b"],
  },
};

export const MAX_ROUNDS = 5;

export const loopParams = (messages) => ({ messages, maxTokens: 100, tools: [addTool] });

/** The history with the answer and the results of the tools it calls; `undefined` if it calls none. */
export function continued(messages, { role, content }) {
  const uses = [content].flat().filter((block) => block.type === "tool_use");
  if (uses.length === 0) return undefined;
  const results = uses.map(({ id, input }) => ({
    type: "tool_result",
    toolUseId: id,
    content: [text(String(input.a + input.b))],
  }));
  return [...messages, { role, content }, user(results)];
}

/** The descriptions and arguments of the tools that sample. */
export const sampling = {
  ask: ["Asks one question", { prompt: z.string(), maxTokens: z.int().default(100) }],
  ask_many: ["Asks n questions at once", { n: z.int() }],
  tool_loop: ["Asks a question that may be answered with a tool", { prompt: z.string() }],
  describe_image: ["Asks what a picture shows", {}],
  ask_and_elicit: ["Asks a question, and the user's name", { prompt: z.string() }],
};

/**
 * Registers what needs no sampling. Of the SDK: its `ResourceTemplate`, how it takes a prompt's arguments, and
 * `call(ctx)`, the `{ progressToken, notify }` of a tool's call.
 */
export function registerPlain(server, { ResourceTemplate, promptArguments, call }) {
  server.registerTool(
    "echo",
    { description: "Returns the text", inputSchema: z.object({ text: z.string() }) },
    async ({ text: string }) => answer(string),
  );
  server.registerTool(
    "progress",
    { description: "Reports progress", inputSchema: z.object({ steps: z.int() }) },
    async ({ steps }, ctx) => {
      const { progressToken, notify } = call(ctx);
      for (let progress = 1; progressToken !== undefined && progress <= steps; progress++) {
        await notify({ method: "notifications/progress", params: { progressToken, progress, total: steps } });
      }
      return answer("done");
    },
  );
  const contents = (uri, string) => ({ contents: [{ uri: uri.href, mimeType: "text/plain", text: string }] });
  server.registerResource("hello", "test://hello", { mimeType: "text/plain" }, async (uri) => contents(uri, "hello"));
  server.registerResource(
    "double",
    new ResourceTemplate("test://double/{word}", { list: undefined }),
    { mimeType: "text/plain" },
    async (uri, { word }) => contents(uri, `${word} ${word}`),
  );
  server.registerPrompt(
    "greet",
    { description: "A greeting", argsSchema: promptArguments({ name: z.string() }) },
    async ({ name }) => ({ messages: [user(text(`Hello, ${name}!`))] }),
  );
}

export const schema = (shape) => z.object(shape);
