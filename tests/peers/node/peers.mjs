// What the Node peers share: where packages come from, the servers' command line and HTTP listener, the clients' command
// line and their lines of JSON. Nothing here knows a particular SDK.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

/** Packages that `tests/peers/setup.sh` installed. */
export const require = createRequire(new URL("../.installed/node/", import.meta.url));

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const fail = (message) => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
};

function parsed(config, usage) {
  try {
    return parseArgs(config);
  } catch (error) {
    return fail(`${error.message}\nusage: ${usage}`);
  }
}

// --- servers ------------------------------------------------------------------------------------------------------------

/** `--transport stdio|http`, `--era`, and what a script adds. */
export function serverArguments(more = {}) {
  const options = { transport: { type: "string", default: "stdio" }, era: { type: "string" }, ...more };
  return parsed({ options }, `SERVER ${Object.keys(options).map((name) => `[--${name} …]`).join(" ")}`).values;
}

/** Serves `{ PATH: handler(req, res) }` on a free loopback port, prints it and the first path, and ends with stdin. */
export async function listen(handlers) {
  const { localhostHostValidation, localhostOriginValidation } = require("@modelcontextprotocol/node");
  const guards = [localhostHostValidation(), localhostOriginValidation()]; // against DNS rebinding; they answer 403
  const http = createServer((req, res) => {
    const handler = handlers[new URL(req.url, "http://localhost").pathname];
    if (!handler) return res.writeHead(404).end();
    if (!guards.every((allows) => allows(req, res))) return undefined;
    return Promise.resolve(handler(req, res)).catch((error) => {
      process.stderr.write(`${error.stack}\n`);
      if (!res.headersSent) res.writeHead(500);
      res.end();
    });
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  print({ port: http.address().port, path: Object.keys(handlers)[0] });
  process.stdin.on("end", () => process.exit(0)).resume();
}

/**
 * An endpoint with sessions over an SDK's Node transport: streams on POST and GET, and an event store, so that a client
 * may resume either with `Last-Event-ID`. `build()` makes the server of one session. `body` is the request's if it has
 * been read.
 */
export function sessions(Transport, build) {
  const open = new Map();
  return async (req, res, body) => {
    const id = req.headers["mcp-session-id"];
    let transport = open.get(id);
    if (!transport && id !== undefined) {
      refuse(res, 404, -32001, "Session not found");
      return;
    }
    if (!transport) {
      transport = new Transport({
        sessionIdGenerator: randomUUID,
        eventStore: new EventStore(),
        retryInterval: 300, // ms, in the `retry:` of each stream's first event
        onsessioninitialized: (session) => open.set(session, transport),
        onsessionclosed: (session) => open.delete(session),
      });
      await build().connect(transport);
    }
    await transport.handleRequest(req, res, body);
  };
}

/** Answers with a JSON-RPC error that belongs to no request. */
export function refuse(res, status, code, message) {
  const body = JSON.stringify({ jsonrpc: "2.0", error: { code, message }, id: null });
  res.writeHead(status, { "content-type": "application/json" }).end(body);
}

/** The events of one session, for resuming. Both SDKs' interface. Ids are in order of storing. */
class EventStore {
  #events = [];

  async storeEvent(streamId, message) {
    this.#events.push({ streamId, message });
    return `event-${this.#events.length}`;
  }

  async getStreamIdForEventId(eventId) {
    return this.#events[this.#position(eventId)]?.streamId;
  }

  async replayEventsAfter(eventId, { send }) {
    const position = this.#position(eventId);
    const { streamId } = this.#events[position];
    for (const [index, event] of this.#events.entries()) {
      const empty = Object.keys(event.message).length === 0; // the first event of a stream carries no message
      if (index > position && event.streamId === streamId && !empty) await send(`event-${index + 1}`, event.message);
    }
    return streamId;
  }

  #position(eventId) {
    return Number(eventId.slice("event-".length)) - 1;
  }
}

// --- clients ------------------------------------------------------------------------------------------------------------

/**
 * The clients' command line: `[--era …] [--sampling TEXT] [--tool-use] [--sampling-hang] [--no-elicitation] [--sse]
 * (--url URL [--header 'K: V']… | -- COMMAND ARGS…)`.
 */
export function clientArguments(eras) {
  const options = {
    era: { type: "string", default: "auto" },
    url: { type: "string" },
    header: { type: "string", multiple: true, default: [] },
    sampling: { type: "string" },
    "tool-use": { type: "boolean", default: false },
    "sampling-hang": { type: "boolean", default: false },
    "no-elicitation": { type: "boolean", default: false },
    sse: { type: "boolean", default: false },
  };
  const usage = "CLIENT [--era legacy|modern|auto] (--url URL [--header 'K: V']… | -- COMMAND ARGS…)";
  const { values, positionals } = parsed({ options, allowPositionals: true }, usage);
  if ((values.url === undefined) === (positionals.length === 0)) fail(`usage: ${usage}`);
  if (!eras.includes(values.era)) return giveUp(`this SDK does not speak \`--era ${values.era}\`, only ${eras.join(", ")}`);
  return {
    ...values,
    url: values.url && new URL(values.url),
    headers: Object.fromEntries(values.header.map((line) => line.match(/^([^:]+):\s*(.*)$/s).slice(1))),
    command: positionals[0],
    args: positionals.slice(1),
    elicitation: !values["no-elicitation"],
    toolUse: values["tool-use"],
    ...(values["sampling-hang"] && { sampling: null }),
  };
}

/** What the client declares. */
export function capabilities({ sampling, elicitation }) {
  return { ...(elicitation && { elicitation: {} }), ...(sampling !== undefined && { sampling: { tools: {} } }) };
}

export const elicited = async () => ({ action: "accept", content: { name: "Ada" } });

/**
 * `--sampling TEXT`: that text for every request; with `--tool-use`, first a call of each tool offered. With
 * `--sampling-hang`, no answer until the request is cancelled.
 */
export function sampled({ sampling, toolUse }) {
  return async ({ params }, context) => {
    if (sampling === null) await aborted(context.signal ?? context.mcpReq.signal);
    const blocks = [params.messages.at(-1)?.content ?? []].flat();
    const asks = toolUse && params.tools?.length > 0 && !blocks.some((block) => block.type === "tool_result");
    return {
      role: "assistant",
      model: "baseline",
      ...(asks
        ? {
            stopReason: "toolUse",
            content: params.tools.map(({ name }, index) => ({
              type: "tool_use",
              id: `use-${index}`,
              name,
              input: { a: 2, b: 40 },
            })),
          }
        : { stopReason: "endTurn", content: { type: "text", text: sampling } }),
    };
  };
}

const aborted = (signal) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("cancelled"))));

export function giveUp(error) {
  print({ failed: String(error?.message ?? error) });
  process.exit(1);
}

const texts = (blocks) => blocks.map((block) => block.text ?? "").join("");

const ops = {
  call: async (client, { tool, arguments: args }, signal) => {
    // `onprogress` makes the SDK send a progressToken. What it is told isn't printed: on one stream, a notification just
    // before the result comes too late for the SDK, which deals with results at once and with notifications later.
    const result = await client.callTool({ name: tool, arguments: args }, { signal, onprogress: () => {} });
    return { text: texts(result.content), isError: result.isError === true };
  },
  list: async (client) => ({ tools: (await client.listTools()).tools.map(({ name }) => name) }),
  read: async (client, { uri }) => ({ text: texts((await client.readResource({ uri })).contents) }),
  prompt: async (client, { name, arguments: args }) => ({
    text: texts((await client.getPrompt({ name, arguments: args })).messages.map(({ content }) => content)),
  }),
};

/**
 * Carries out the lines of stdin with a connected client, whose `callTool` takes `(params, options)`; at their end waits
 * for the calls in flight, then disconnects.
 */
export async function obey(client, { connected, disconnect }) {
  print({ connected });
  const calls = new Map();
  const running = new Set();
  const carryOut = async (line) => {
    const { op, id, ...rest } = line;
    const key = JSON.stringify(id);
    const echo = "id" in line ? { id } : {};
    if (op === "cancel") return calls.get(key)?.abort("the user cancelled");
    const abort = new AbortController();
    if (op === "call") calls.set(key, abort);
    try {
      const answer = await ops[op](client, rest, abort.signal);
      print({ ...echo, ...answer });
    } catch (error) {
      if (abort.signal.aborted) print({ ...echo, cancelled: true });
      else print({ ...echo, error: { code: error.code ?? null, message: error.message } });
    } finally {
      if (calls.get(key) === abort) calls.delete(key);
    }
  };
  for await (const line of createInterface({ input: process.stdin })) {
    if (!line.trim()) continue;
    const work = carryOut(JSON.parse(line)).finally(() => running.delete(work));
    running.add(work);
  }
  await Promise.all(running);
  await disconnect();
  process.exit(0);
}
