// What the official conformance suite asks of a server in either era: names, texts and shapes are its scenarios'.

import { setTimeout as pause } from "node:timers/promises";

import { PNG, answer, schema, text, user } from "./matrix_tools.mjs";
import { require } from "./peers.mjs";

const z = require("zod");

const WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
const image = { type: "image", data: PNG, mimeType: "image/png" };
const embedded = (uri, mimeType, string) => ({ type: "resource", resource: { uri, mimeType, text: string } });

const tools = {
  test_simple_text: [text("This is a simple text response for testing.")],
  test_image_content: [image],
  test_audio_content: [{ type: "audio", data: WAV, mimeType: "audio/wav" }],
  test_embedded_resource: [
    embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."),
  ],
  test_multiple_content_types: [
    text("Multiple content types test:"),
    image,
    embedded("test://mixed-content-resource", "application/json", JSON.stringify({ test: "data", value: 123 })),
  ],
};

const resources = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PNG },
  "test://watched-resource": { mimeType: "text/plain", text: "Watched resource content" },
};

const prompts = {
  test_simple_prompt: [[], () => [user(text("This is a simple prompt for testing."))]],
  test_prompt_with_arguments: [
    ["arg1", "arg2"],
    ({ arg1, arg2 }) => [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  ],
  test_prompt_with_embedded_resource: [
    ["resourceUri"],
    ({ resourceUri }) => [
      user(embedded(resourceUri, "text/plain", "Embedded resource content for testing.")),
      user(text("Please process the embedded resource above.")),
    ],
  ],
  test_prompt_with_image: [[], () => [user(image), user(text("Please analyze the image above."))]],
};

/** The capabilities to declare: what is registered here needs them. */
export const declared = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
};

/**
 * Registers all of it. Of the SDK: its `ResourceTemplate`, how it takes a prompt's arguments, its `completable`, and
 * `call(ctx)`, the `{ progressToken, notify }` of a tool's call.
 */
export function registerConformance(server, { ResourceTemplate, promptArguments, completable, call }) {
  for (const [name, content] of Object.entries(tools)) {
    server.registerTool(name, { description: name, inputSchema: schema({}) }, async () => ({ content }));
  }
  server.registerTool("test_error_handling", { description: "Fails", inputSchema: schema({}) }, async () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
  server.registerTool(
    "test_tool_with_progress",
    { description: "Reports progress", inputSchema: schema({}) },
    async (_, ctx) => {
      const { progressToken, notify } = call(ctx);
      for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
        await notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
        await pause(50); // the scenario asks for it
      }
      return answer(String(progressToken ?? "no progress token"));
    },
  );

  for (const [uri, contents] of Object.entries(resources)) {
    const { mimeType } = contents;
    server.registerResource(uri, uri, { description: uri, mimeType }, async () => ({ contents: [{ uri, ...contents }] }));
  }
  server.registerResource(
    "template",
    new ResourceTemplate("test://template/{id}/data", { list: undefined }),
    { description: "Resources by id", mimeType: "application/json" },
    async ({ href: uri }, { id }) => {
      const data = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
      return { contents: [{ uri, mimeType: "application/json", text: data }] };
    },
  );

  for (const [name, [names, messages]] of Object.entries(prompts)) {
    const shape = Object.fromEntries(
      names.map((argument) => [argument, completable(z.string().describe(argument), () => [])]),
    );
    server.registerPrompt(name, { description: name, argsSchema: promptArguments(shape) }, async (args) => ({
      messages: messages(args),
    }));
  }
}

/** A tool whose input schema uses what only JSON Schema 2020-12 has; to be listed as it stands here. */
export const json_schema_2020_12_tool = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: {
    address: {
      $anchor: "addressDef",
      type: "object",
      properties: { street: { type: "string" }, city: { type: "string" } },
    },
  },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
};

/** The fields of an elicitation: an object's properties, all of them required unless said otherwise. */
export const form = (message, properties, required = Object.keys(properties)) => ({
  message,
  requestedSchema: { type: "object", properties, required },
});
