// A handler plugin: it asks an OpenAI-compatible server with `fetch`. The key is the host's to add.

export const handler = {
  describe() {
    return {
      name: "javascript-handler",
      version: "0.1.0",
      summary: "Asks an OpenAI-compatible server, in JavaScript with fetch",
      accepts: [],
      models: [],
      settingsSchema: JSON.stringify({
        type: "object",
        properties: { url: { type: "string", description: "Where chat completions are. Its origin must stand in `allow`." } },
        required: ["url"],
      }),
      extensions: "{}",
    };
  },

  async createMessage(request, options) {
    const { url } = JSON.parse(options.settings);
    if (!url) throw failed("invalid-request", { message: "set `url` in the plugin's settings", extensions: "{}" });
    const messages = request.messages.map(({ role, content }) => ({ role, content: content.map(text).join("\n") }));
    if (request.systemPrompt) messages.unshift({ role: "system", content: request.systemPrompt });
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: options.model, max_tokens: request.maxTokens, messages }),
    });
    const said = await response.text();
    if (!response.ok) throw refused(response, said);
    const { model, choices, usage } = JSON.parse(said);
    const extras = {};
    return {
      result: {
        content: [{ tag: "text", val: { text: choices[0].message.content, extras } }],
        model: model ?? options.model,
        stopReason: choices[0].finish_reason === "length" ? "maxTokens" : "endTurn",
      },
      usage: usage && { inputTokens: BigInt(usage.prompt_tokens), outputTokens: BigInt(usage.completion_tokens), details: "{}" },
      extensions: "{}",
    };
  },
};

function text(block) {
  if (block.tag !== "text") throw failed("unsupported", { message: `a block of type ${block.tag}`, extensions: "{}" });
  return block.val.text;
}

// The kind decides whether the host tries again, or asks the next plugin of the chain.
function refused(response, message) {
  const kinds = { 401: "unauthorized", 404: "not-found", 429: "rate-limited", 503: "overloaded" };
  const kind = kinds[response.status] ?? (response.status < 500 ? "invalid-request" : "unavailable");
  const after = Number(response.headers.get("retry-after"));
  const retryAfterMs = after > 0 ? BigInt(Math.ceil(after * 1000)) : undefined;
  return failed("provider", { kind, status: response.status, message, retryAfterMs, extensions: "{}" });
}

// What a function throws with a `payload` is its error.
function failed(tag, val) {
  return Object.assign(new Error(val.message), { payload: { tag, val } });
}
