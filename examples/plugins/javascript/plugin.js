// A provider plugin: it turns a sampling request into the HTTP request of an OpenAI-compatible server, and the answer
// into a result. It makes no request itself: the host does, with an endpoint and a key that never come here.
//
// What a function throws with a `payload` is its error (the contract's `error`); whatever else it throws is a trap.

const SUMMARY = "OpenAI-compatible chat completions";

export const provider = {
  /** What this plugin is. Constant. */
  describe() {
    return {
      name: "example-plugin",
      version: "0.1.0",
      summary: SUMMARY,
      accepts: ["image"],
      models: [],
      defaultModel: undefined,
      endpoint: { url: "https://api.openai.com/v1", env: "OPENAI_BASE_URL" },
      credential: { scheme: "bearer", name: undefined, env: "OPENAI_API_KEY", optional: true },
      settingsSchema: JSON.stringify({ type: "object", additionalProperties: false }),
      extensions: "{}",
    };
  },

  /** From a sampling request to an HTTP request. */
  start(request, options) {
    if (request.tools?.length) throw failure("unsupported", "`tools`: this plugin doesn't carry them");
    if (!options.model) throw failure("invalid-request", "no model is chosen; name one with `--model`, or `model` in the config");
    const messages = request.messages.map((message, n) => ({ role: message.role, content: parts(message.content, n) }));
    if (request.systemPrompt) messages.unshift({ role: "system", content: request.systemPrompt });
    const body = { model: options.model, max_tokens: request.maxTokens >>> 0, messages };
    if (request.temperature != null) body.temperature = request.temperature;
    if (request.stopSequences.length) body.stop = request.stopSequences;
    const headers = [
      { name: "content-type", value: "application/json" },
      { name: "accept", value: "application/json" },
    ];
    const http = { method: "post", endpoint: undefined, path: "/chat/completions", headers, body: encode(JSON.stringify(body)), extensions: "{}" };
    // `state` comes back in `resume`, in another instance: a variable would be gone by then.
    return { tag: "fetch", val: { request: http, state: encode(options.model), framing: "whole", delayMs: 0, extensions: "{}" } };
  },

  /** From the provider's answer to a result. It is called for any status and any body. */
  resume(state, response) {
    const text = decode(response.body);
    if (response.status < 200 || response.status > 299) throw refusal(response, text);
    const answer = parse(text);
    if (answer === undefined) throw failure("malformed-response", "the answer is not JSON");
    const choice = answer?.choices?.[0];
    const said = choice?.message?.content;
    if (typeof said !== "string") throw failure("malformed-response", "the answer has no `choices[0].message.content`");
    const model = typeof answer.model === "string" ? answer.model : decode(state);
    const result = { content: [{ tag: "text", val: { text: said, extras: {} } }], model, stopReason: stopReason(choice.finish_reason), meta: undefined };
    return { tag: "done", val: { result, usage: usage(answer.usage), extensions: "{}" } };
  },
};

/** A message's blocks in the provider's words. What it can't carry is refused by name, never dropped. */
function parts(blocks, n) {
  return blocks.map(({ tag, val }) => {
    if (tag === "text") return { type: "text", text: val.text };
    if (tag === "image") return { type: "image_url", image_url: { url: `data:${val.mimeType};base64,${val.data}` } };
    const what = tag === "other" ? `a block of the unknown type \`${val.kind}\`` : `a block of the type \`${tag}\``;
    throw failure("unsupported", `\`messages[${n}]\`: ${what} is not carried`);
  });
}

function stopReason(reason) {
  if (typeof reason !== "string") return undefined;
  return { stop: "endTurn", length: "maxTokens" }[reason] ?? reason;
}

function usage(usage) {
  const count = (n) => (Number.isSafeInteger(n) && n >= 0 ? n : undefined);
  if (typeof usage !== "object" || usage === null) return undefined;
  return { inputTokens: count(usage.prompt_tokens), outputTokens: count(usage.completion_tokens), details: "{}" };
}

/** The provider said no. The kind decides whether the host tries again, or asks the next plugin of the chain. */
function refusal(response, text) {
  const kinds = { 401: "unauthorized", 402: "quota-exceeded", 403: "forbidden", 404: "not-found", 408: "unavailable", 413: "context-too-long", 429: "rate-limited", 502: "unavailable", 503: "unavailable", 504: "unavailable", 529: "overloaded" };
  const status = response.status;
  const kind = kinds[status] ?? (status >= 400 && status < 500 ? "invalid-request" : "internal");
  const said = parse(text)?.error?.message;
  const message = typeof said === "string" && said.trim() ? said.split(/\s+/).join(" ").trim() : `the provider answered with the status ${status}`;
  const after = response.headers.find(({ name }) => name === "retry-after")?.value;
  const retryAfterMs = /^\d{1,6}$/.test(after ?? "") ? Number(after) * 1000 : undefined;
  return failed("provider", { kind, status, message, retryAfterMs, extensions: "{}" });
}

function failure(tag, message) {
  return failed(tag, { message, extensions: "{}" });
}

function failed(tag, val) {
  return Object.assign(new Error(val.message), { payload: { tag, val } });
}

/** The JSON's value; undefined if it is none, or deeper than any answer: QuickJS's parser would use up the stack. */
function parse(text) {
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

// QuickJS has no TextEncoder and no TextDecoder.
function encode(text) {
  const bytes = unescape(encodeURIComponent(text));
  return Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
}

function decode(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  try {
    return decodeURIComponent(escape(text));
  } catch {
    return text; // Not UTF-8: no JSON either.
  }
}
