// The contract in TypeScript's words: what of `wit/types.wit` a provider plugin deals with. What each field means stands there.
// A `json` is a text that holds JSON. An `option` that is absent is undefined or null.

export type Option<T> = T | null | undefined;
export type Json = string;

export interface CreateMessageRequest {
  messages: SamplingMessage[];
  /** A u32: over 2³¹ it arrives negative, so write `maxTokens >>> 0`. */
  maxTokens: number;
  systemPrompt?: Option<string>;
  includeContext?: Option<string>;
  temperature?: Option<number>;
  stopSequences: string[];
  metadata?: Option<Json>;
  tools?: Option<Tool[]>;
  toolChoice?: Option<{ mode?: Option<string>; extensions?: Option<Json> }>;
  meta?: Option<Json>;
  extensions: Json;
}

export interface SamplingMessage {
  role: "user" | "assistant";
  content: ContentBlock[];
  meta?: Option<Json>;
  extensions?: Option<Json>;
}

export interface Extras {
  meta?: Option<Json>;
  annotations?: Option<Json>;
  extensions?: Option<Json>;
}

export interface TextContent {
  text: string;
  extras: Extras;
}

export interface MediaContent {
  data: string;
  mimeType: string;
  extras: Extras;
}

export interface ToolUseContent {
  id: string;
  name: string;
  input: Json;
  extras: Extras;
}

export interface ToolResultContent {
  toolUseId: string;
  content: { tag: "text" | "image" | "audio" | "resource-link" | "resource" | "other"; val: unknown }[];
  structuredContent?: Option<Json>;
  isError: boolean;
  extras: Extras;
}

export type ContentBlock =
  | { tag: "text"; val: TextContent }
  | { tag: "image"; val: MediaContent }
  | { tag: "audio"; val: MediaContent }
  | { tag: "tool-use"; val: ToolUseContent }
  | { tag: "tool-result"; val: ToolResultContent }
  | { tag: "other"; val: { kind: string; block: Json } };

export interface Tool {
  name: string;
  title?: Option<string>;
  description?: Option<string>;
  inputSchema: Json;
  outputSchema?: Option<Json>;
  extras: Extras;
}

export interface Options {
  model: string;
  requestId: string;
  server: string;
  settings: Json;
  extensions: Json;
}

export interface Header {
  name: string;
  value: string;
}

export interface Fetch {
  request: {
    method: "get" | "post" | "put" | "patch" | "delete";
    endpoint?: Option<string>;
    path: string;
    headers: Header[];
    body: Uint8Array;
    extensions: Json;
  };
  state: Uint8Array;
  framing: "whole" | "server-sent-events" | "lines";
  delayMs: number;
  extensions: Json;
}

export interface HttpResponse {
  status: number;
  headers: Header[];
  body: Uint8Array;
  extensions: Json;
}

export interface Usage {
  inputTokens?: Option<number>;
  outputTokens?: Option<number>;
  details: Json;
}

export interface Completion {
  result: { content: ContentBlock[]; model: string; stopReason?: Option<string>; meta?: Option<Json> };
  usage?: Option<Usage>;
  extensions: Json;
}

export type Step = { tag: "done"; val: Completion } | { tag: "fetch"; val: Fetch };

export interface Failure {
  message: string;
  extensions: Json;
}

export interface ProviderError {
  kind: string;
  status?: Option<number>;
  message: string;
  retryAfterMs?: Option<number>;
  extensions: Json;
}

export interface Description {
  name: string;
  version: string;
  summary: string;
  accepts: string[];
  models: {
    name: string;
    families: string[];
    cost: number;
    speed: number;
    intelligence: number;
    contextTokens?: Option<number>;
    maxOutputTokens?: Option<number>;
    extensions: Json;
  }[];
  defaultModel?: Option<string>;
  endpoint?: Option<{ url: string; env?: Option<string> }>;
  credential?: Option<{ scheme: string; name?: Option<string>; env?: Option<string>; optional: boolean }>;
  settingsSchema: Json;
  extensions: Json;
}

export interface Provider {
  describe(): Description;
  start(request: CreateMessageRequest, options: Options): Step;
  resume(state: Uint8Array, response: HttpResponse): Step;
}
