// A provider plugin: it turns a sampling request into the HTTP request of an OpenAI-compatible server, and the answer
// into a result. It makes no request itself: the host does, with an endpoint and a key that never come here.
//
// What a function throws with a `payload` is its error (the contract's `error`); whatever else it throws is a trap.

import type { ContentBlock, Failure, Fetch, HttpResponse, Provider, ProviderError, Usage } from "./contract.js";

export const provider: Provider = {
  /** What this plugin is. Constant. */
  describe() {
    return {
      name: "example-plugin",
      version: "0.1.0",
      summary: "OpenAI-compatible chat completions",
      accepts: ["image"],
      models: [],
      endpoint: { url: "https://api.openai.com/v1", env: "OPENAI_BASE_URL" },
      credential: { scheme: "bearer", env: "OPENAI_API_KEY", optional: true },
      settingsSchema: JSON.stringify({ type: "object", additionalProperties: false }),
      extensions: "{}",
    };
  },

  /** From a sampling request to an HTTP request. */
  start(request, options) {
    if (request.tools?.length) throw failure("unsupported", "`tools`: this plugin doesn't carry them");
    if (!options.model) {
      throw failure("invalid-request", "no model is chosen; name one with `--model`, or `model` in the config");
    }
    const messages: { role: string; content: unknown }[] = request.messages.map((message, n) => ({
      role: message.role,
      content: parts(message.content, n),
    }));
    if (request.systemPrompt) messages.unshift({ role: "system", content: request.systemPrompt });
    const body: Record<string, unknown> = { model: options.model, max_tokens: request.maxTokens >>> 0, messages };
    if (request.temperature != null) body.temperature = request.temperature;
    if (request.stopSequences.length) body.stop = request.stopSequences;
    const headers = [
      { name: "content-type", value: "application/json" },
      { name: "accept", value: "application/json" },
    ];
    const fetch: Fetch = {
      request: { method: "post", path: "/chat/completions", headers, body: encode(JSON.stringify(body)), extensions: "{}" },
      // It comes back in `resume`, in another instance: a variable would be gone by then.
      state: encode(options.model),
      framing: "whole",
      delayMs: 0,
      extensions: "{}",
    };
    return { tag: "fetch", val: fetch };
  },

  /** From the provider's answer to a result. It is called for any status and any body. */
  resume(state, response) {
    const text = decode(response.body);
    if (response.status < 200 || response.status > 299) throw refusal(response, text);
    const answer = parse(text);
    if (answer === undefined) throw failure("malformed-response", "the answer is not JSON");
    const choice = get(get(answer, "choices"), 0);
    const said = get(get(choice, "message"), "content");
    if (typeof said !== "string") {
      throw failure("malformed-response", "the answer has no `choices[0].message.content`");
    }
    const model = get(answer, "model");
    const result = {
      content: [{ tag: "text" as const, val: { text: said, extras: {} } }],
      model: typeof model === "string" ? model : decode(state),
      stopReason: stopReason(get(choice, "finish_reason")),
    };
    return { tag: "done", val: { result, usage: usage(get(answer, "usage")), extensions: "{}" } };
  },
};

/** A message's blocks in the provider's words. What it can't carry is refused by name, never dropped. */
function parts(blocks: ContentBlock[], n: number): unknown[] {
  return blocks.map((block) => {
    switch (block.tag) {
      case "text":
        return { type: "text", text: block.val.text };
      case "image":
        return { type: "image_url", image_url: { url: `data:${block.val.mimeType};base64,${block.val.data}` } };
      case "other":
        throw failure("unsupported", `\`messages[${n}]\`: a block of the unknown type \`${block.val.kind}\` is not carried`);
      default:
        throw failure("unsupported", `\`messages[${n}]\`: a block of the type \`${block.tag}\` is not carried`);
    }
  });
}

function stopReason(reason: unknown): string | undefined {
  if (typeof reason !== "string") return undefined;
  return ({ stop: "endTurn", length: "maxTokens" } as Record<string, string>)[reason] ?? reason;
}

function usage(said: unknown): Usage | undefined {
  const count = (n: unknown) => (typeof n === "number" && Number.isSafeInteger(n) && n >= 0 ? n : undefined);
  if (typeof said !== "object" || said === null) return undefined;
  return { inputTokens: count(get(said, "prompt_tokens")), outputTokens: count(get(said, "completion_tokens")), details: "{}" };
}

const KINDS: Record<number, string> = {
  401: "unauthorized",
  402: "quota-exceeded",
  403: "forbidden",
  404: "not-found",
  408: "unavailable",
  413: "context-too-long",
  429: "rate-limited",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
  529: "overloaded",
};

/** The provider said no. The kind decides whether the host tries again, or asks the next plugin of the chain. */
function refusal(response: HttpResponse, text: string): Error {
  const status = response.status;
  const kind = KINDS[status] ?? (status >= 400 && status < 500 ? "invalid-request" : "internal");
  const said = get(get(parse(text), "error"), "message");
  const line = typeof said === "string" ? said.split(/\s+/).join(" ").trim() : "";
  const after = response.headers.find(({ name }) => name === "retry-after")?.value ?? "";
  const retryAfterMs = /^\d{1,6}$/.test(after) ? Number(after) * 1000 : undefined;
  const message = line || `the provider answered with the status ${status}`;
  return failed("provider", { kind, status, message, retryAfterMs, extensions: "{}" });
}

function failure(tag: "unsupported" | "invalid-request" | "malformed-response", message: string): Error {
  return failed(tag, { message, extensions: "{}" });
}

function failed(tag: string, val: Failure | ProviderError): Error {
  return Object.assign(new Error(val.message), { payload: { tag, val } });
}

/** The JSON's value; undefined if it is none, or deeper than any answer: QuickJS's parser would use up the stack. */
function parse(text: string): unknown {
  let depth = 0;
  for (const c of text.replace(/"(?:[^"\\]|\\.)*"/gs, "")) {
    if ("[{".includes(c)) depth += 1;
    if ("]}".includes(c)) depth -= 1;
    if (depth > 100) return undefined;
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function get(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string | number, unknown>)[key] : undefined;
}

// QuickJS has no TextEncoder and no TextDecoder.
declare function escape(text: string): string;
declare function unescape(text: string): string;

function encode(text: string): Uint8Array {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (byte) => byte.charCodeAt(0));
}

function decode(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  try {
    return decodeURIComponent(escape(text));
  } catch {
    return text; // Not UTF-8: no JSON either.
  }
}
