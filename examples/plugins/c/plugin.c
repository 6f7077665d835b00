// A provider plugin: it turns a sampling request into the HTTP request of an OpenAI-compatible server, and the answer into a result. It
// makes no request itself: the host does, with an endpoint and a key that never come here.
//
// `make` writes the contract's types into build/provider_plugin.h. What is returned is freed behind our back, so all of it must come from
// `malloc`; nothing else need be freed: an instance lives for one call.

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "provider_plugin.h"

typedef provider_plugin_string_t string_t;
typedef exports_understudy_plugin_provider_create_message_request_t request_t;
typedef exports_understudy_plugin_provider_description_t description_t;
typedef exports_understudy_plugin_provider_error_t error_t;
typedef exports_understudy_plugin_provider_http_response_t response_t;
typedef exports_understudy_plugin_provider_options_t options_t;
typedef exports_understudy_plugin_provider_step_t step_t;
typedef understudy_plugin_types_content_block_t block_t;
typedef understudy_plugin_types_sampling_message_t message_t;

static string_t literal(const char *text) {
  string_t copy;
  provider_plugin_string_dup(&copy, text);
  return copy;
}

static string_t string(text_t text) { return (string_t){(uint8_t *)text.data, text.len}; }

static void add(text_t *text, string_t string) { text_add(text, (const char *)string.ptr, string.len); }

static void quote(text_t *text, string_t string) { text_quote(text, (const char *)string.ptr, string.len); }

// Fills an error; false, which is what a function that failed returns.
static bool fail(error_t *error, uint8_t tag, string_t message) {
  *error = (error_t){.tag = tag};
  error->val.other = (understudy_plugin_types_failure_t){message, literal("{}")};
  return false;
}

static void *allocate(size_t size) {
  void *memory = calloc(1, size);
  if (memory == NULL) abort();
  return memory;
}

// What this plugin is. Constant.
void exports_understudy_plugin_provider_describe(description_t *description) {
  string_t *accepts = allocate(sizeof *accepts);
  accepts[0] = literal("image");
  *description = (description_t){
      .name = literal("example-plugin"),
      .version = literal("0.1.0"),
      .summary = literal("OpenAI-compatible chat completions"),
      .accepts = {accepts, 1},
      .endpoint = {true, {literal("https://api.openai.com/v1"), {true, literal("OPENAI_BASE_URL")}}},
      .credential = {true, {.scheme = literal("bearer"), .env = {true, literal("OPENAI_API_KEY")}, .optional = true}},
      .settings_schema = literal("{\"type\":\"object\",\"additionalProperties\":false}"),
      .extensions = literal("{}"),
  };
}

// A block of a type that isn't carried: refused by name, never dropped.
static bool refuse(error_t *error, size_t n, const block_t *block) {
  static const char *const KINDS[] = {"text", "image", "audio", "tool-use", "tool-result"};
  text_t message = {0};
  text_print(&message, "`messages[%zu]`: a block of the ", n);
  if (block->tag == UNDERSTUDY_PLUGIN_TYPES_CONTENT_BLOCK_OTHER) {
    text_put(&message, "unknown type `");
    add(&message, block->val.other.kind);
  } else {
    text_put(&message, "type `");
    text_put(&message, KINDS[block->tag]);
  }
  text_put(&message, "` is not carried");
  return fail(error, UNDERSTUDY_PLUGIN_TYPES_ERROR_UNSUPPORTED, string(message));
}

// A message in the provider's words.
static bool put_message(text_t *body, const message_t *message, size_t n, error_t *error) {
  bool is_user = message->role == UNDERSTUDY_PLUGIN_TYPES_ROLE_USER;
  text_put(body, is_user ? "{\"role\":\"user\",\"content\":[" : "{\"role\":\"assistant\",\"content\":[");
  for (size_t i = 0; i < message->content.len; i++) {
    const block_t *block = &message->content.ptr[i];
    if (i > 0) text_put(body, ",");
    if (block->tag == UNDERSTUDY_PLUGIN_TYPES_CONTENT_BLOCK_TEXT) {
      text_put(body, "{\"type\":\"text\",\"text\":");
      quote(body, block->val.text.text);
      text_put(body, "}");
    } else if (block->tag == UNDERSTUDY_PLUGIN_TYPES_CONTENT_BLOCK_IMAGE) {
      text_t url = {0};
      text_put(&url, "data:");
      add(&url, block->val.image.mime_type);
      text_put(&url, ";base64,");
      add(&url, block->val.image.data);
      text_put(body, "{\"type\":\"image_url\",\"image_url\":{\"url\":");
      quote(body, string(url));
      text_put(body, "}}");
    } else {
      return refuse(error, n, block);
    }
  }
  text_put(body, "]}");
  return true;
}

// From a sampling request to an HTTP request.
bool exports_understudy_plugin_provider_start(request_t *request, options_t *options, step_t *step, error_t *error) {
  if (request->tools.is_some && request->tools.val.len > 0) {
    return fail(error, UNDERSTUDY_PLUGIN_TYPES_ERROR_UNSUPPORTED, literal("`tools`: this plugin doesn't carry them"));
  }
  if (options->model.len == 0) {
    string_t message = literal("no model is chosen; name one with `--model`, or `model` in the config");
    return fail(error, UNDERSTUDY_PLUGIN_TYPES_ERROR_INVALID_REQUEST, message);
  }
  text_t body = {0};
  text_put(&body, "{\"model\":");
  quote(&body, options->model);
  text_print(&body, ",\"max_tokens\":%lu,\"messages\":[", (unsigned long)request->max_tokens);
  bool has_system = request->system_prompt.is_some && request->system_prompt.val.len > 0;
  if (has_system) {
    text_put(&body, "{\"role\":\"system\",\"content\":");
    quote(&body, request->system_prompt.val);
    text_put(&body, "}");
  }
  for (size_t n = 0; n < request->messages.len; n++) {
    if (n > 0 || has_system) text_put(&body, ",");
    if (!put_message(&body, &request->messages.ptr[n], n, error)) return false;
  }
  text_put(&body, "]");
  if (request->temperature.is_some) text_print(&body, ",\"temperature\":%.17g", request->temperature.val);
  for (size_t n = 0; n < request->stop_sequences.len; n++) {
    text_put(&body, n == 0 ? ",\"stop\":[" : ",");
    quote(&body, request->stop_sequences.ptr[n]);
  }
  text_put(&body, request->stop_sequences.len > 0 ? "]}" : "}");

  understudy_plugin_types_header_t *headers = allocate(2 * sizeof *headers);
  headers[0] = (understudy_plugin_types_header_t){literal("content-type"), literal("application/json")};
  headers[1] = (understudy_plugin_types_header_t){literal("accept"), literal("application/json")};
  *step = (step_t){.tag = UNDERSTUDY_PLUGIN_TYPES_STEP_FETCH};
  step->val.fetch = (understudy_plugin_types_fetch_t){
      .request =
          {
              .method = UNDERSTUDY_PLUGIN_TYPES_HTTP_METHOD_POST,
              .path = literal("/chat/completions"),
              .headers = {headers, 2},
              .body = {(uint8_t *)body.data, body.len},
              .extensions = literal("{}"),
          },
      // It comes back in `resume`, in another instance: a static would be as it was at the start.
      .state = {options->model.ptr, options->model.len},
      .framing = UNDERSTUDY_PLUGIN_TYPES_FRAMING_WHOLE,
      .extensions = literal("{}"),
  };
  return true;
}

static const char *kind_of(uint16_t status) {
  switch (status) {
    case 401: return "unauthorized";
    case 402: return "quota-exceeded";
    case 403: return "forbidden";
    case 404: return "not-found";
    case 413: return "context-too-long";
    case 429: return "rate-limited";
    case 408: case 502: case 503: case 504: return "unavailable";
    case 529: return "overloaded";
    default: return status >= 400 && status <= 499 ? "invalid-request" : "internal";
  }
}

// The header `retry-after`, in milliseconds, if it is a number of seconds.
static provider_plugin_option_u64_t retry_after(const response_t *response) {
  for (size_t n = 0; n < response->headers.len; n++) {
    string_t name = response->headers.ptr[n].name, value = response->headers.ptr[n].value;
    if (name.len != 11 || memcmp(name.ptr, "retry-after", 11) != 0 || value.len == 0 || value.len > 6) continue;
    uint64_t seconds = 0;
    size_t at = 0;
    for (; at < value.len && value.ptr[at] >= '0' && value.ptr[at] <= '9'; at++) seconds = seconds * 10 + (value.ptr[at] - '0');
    if (at == value.len) return (provider_plugin_option_u64_t){true, seconds * 1000};
  }
  return (provider_plugin_option_u64_t){0};
}

// The provider said no. The kind decides whether the host tries again, or asks the next plugin of the chain.
static bool refusal(error_t *error, const response_t *response, json_t *answer) {
  text_t message = {0};
  text_t *said = json_string(json_get(json_get(answer, "error"), "message"));
  bool is_between = false;
  for (size_t n = 0; said != NULL && n < said->len; n++) {
    bool is_space = (unsigned char)said->data[n] <= ' ';
    if (!is_space && is_between && message.len > 0) text_put(&message, " ");
    if (!is_space) text_add(&message, said->data + n, 1);
    is_between = is_space;
  }
  if (message.len == 0) text_print(&message, "the provider answered with the status %u", (unsigned)response->status);
  *error = (error_t){.tag = UNDERSTUDY_PLUGIN_TYPES_ERROR_PROVIDER};
  error->val.provider = (understudy_plugin_types_provider_error_t){
      .kind = literal(kind_of(response->status)),
      .status = {true, response->status},
      .message = string(message),
      .retry_after_ms = retry_after(response),
      .extensions = literal("{}"),
  };
  return false;
}

static provider_plugin_option_string_t stop_reason(const text_t *reason) {
  if (reason == NULL) return (provider_plugin_option_string_t){0};
  string_t word = string(*reason);
  if (reason->len == 4 && memcmp(reason->data, "stop", 4) == 0) word = literal("endTurn");
  if (reason->len == 6 && memcmp(reason->data, "length", 6) == 0) word = literal("maxTokens");
  return (provider_plugin_option_string_t){true, word};
}

static understudy_plugin_types_option_usage_t usage(json_t *said) {
  understudy_plugin_types_option_usage_t usage = {.is_some = said != NULL && said->kind == JSON_OBJECT};
  usage.val.details = literal("{}");
  usage.val.input_tokens.is_some = json_count(json_get(said, "prompt_tokens"), &usage.val.input_tokens.val);
  usage.val.output_tokens.is_some = json_count(json_get(said, "completion_tokens"), &usage.val.output_tokens.val);
  return usage;
}

// From the provider's answer to a result. It is called for any status and any body.
bool exports_understudy_plugin_provider_resume(provider_plugin_list_u8_t *state, response_t *response, step_t *step, error_t *error) {
  json_t *answer = json_parse((const char *)response->body.ptr, response->body.len);
  if (response->status < 200 || response->status > 299) return refusal(error, response, answer);
  if (answer == NULL) {
    return fail(error, UNDERSTUDY_PLUGIN_TYPES_ERROR_MALFORMED_RESPONSE, literal("the answer is not JSON"));
  }
  json_t *choice = json_first(json_get(answer, "choices"));
  text_t *said = json_string(json_get(json_get(choice, "message"), "content"));
  if (said == NULL) {
    string_t message = literal("the answer has no `choices[0].message.content`");
    return fail(error, UNDERSTUDY_PLUGIN_TYPES_ERROR_MALFORMED_RESPONSE, message);
  }
  block_t *block = allocate(sizeof *block);
  block->tag = UNDERSTUDY_PLUGIN_TYPES_CONTENT_BLOCK_TEXT;
  block->val.text.text = string(*said);
  text_t *model = json_string(json_get(answer, "model"));
  *step = (step_t){.tag = UNDERSTUDY_PLUGIN_TYPES_STEP_DONE};
  step->val.done = (understudy_plugin_types_completion_t){
      .result =
          {
              .content = {block, 1},
              .model = model != NULL ? string(*model) : (string_t){state->ptr, state->len},
              .stop_reason = stop_reason(json_string(json_get(choice, "finish_reason"))),
          },
      .usage = usage(json_get(answer, "usage")),
      .extensions = literal("{}"),
  };
  return true;
}
