// Package export_understudy_plugin_provider is a provider plugin: it turns a sampling request into the HTTP request of an
// OpenAI-compatible server, and the answer into a result. It makes no request itself: the host does, with an endpoint and a key that
// never come here.
package export_understudy_plugin_provider

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	t "understudy/bindings/understudy_plugin_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

type outcome = Result[t.Step, t.Error]

// Describe says what this plugin is. Constant.
func Describe() t.Description {
	return t.Description{
		Name:         "example-plugin",
		Version:      "0.1.0",
		Summary:      "OpenAI-compatible chat completions",
		Accepts:      []string{"image"},
		DefaultModel: None[string](),
		Endpoint: Some(t.SuggestedEndpoint{
			Url: "https://api.openai.com/v1",
			Env: Some("OPENAI_BASE_URL"),
		}),
		Credential: Some(t.SuggestedCredential{
			Scheme:   "bearer",
			Name:     None[string](),
			Env:      Some("OPENAI_API_KEY"),
			Optional: true,
		}),
		SettingsSchema: `{"type":"object","additionalProperties":false}`,
		Extensions:     "{}",
	}
}

type body struct {
	Model       string    `json:"model"`
	MaxTokens   uint32    `json:"max_tokens"`
	Messages    []message `json:"messages"`
	Temperature *float64  `json:"temperature,omitempty"`
	Stop        []string  `json:"stop,omitempty"`
}

type message struct {
	Role    string `json:"role"`
	Content any    `json:"content"`
}

type part struct {
	Type     string    `json:"type"`
	Text     *string   `json:"text,omitempty"`
	ImageURL *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL string `json:"url"`
}

// Start goes from a sampling request to an HTTP request.
func Start(request t.CreateMessageRequest, options t.Options) outcome {
	if request.Tools.IsSome() && len(request.Tools.Some()) > 0 {
		return failed(t.MakeErrorUnsupported, "`tools`: this plugin doesn't carry them")
	}
	if options.Model == "" {
		return failed(t.MakeErrorInvalidRequest, "no model is chosen; name one with `--model`, or `model` in the config")
	}
	asked := body{Model: options.Model, MaxTokens: request.MaxTokens, Stop: request.StopSequences}
	if prompt := request.SystemPrompt.SomeOr(""); prompt != "" {
		asked.Messages = append(asked.Messages, message{"system", prompt})
	}
	for n, said := range request.Messages {
		role := "user"
		if said.Role == t.RoleAssistant {
			role = "assistant"
		}
		parts, refused := carry(said.Content)
		if refused != "" {
			return failed(t.MakeErrorUnsupported, fmt.Sprintf("`messages[%d]`: %s is not carried", n, refused))
		}
		asked.Messages = append(asked.Messages, message{role, parts})
	}
	if request.Temperature.IsSome() {
		temperature := request.Temperature.Some()
		asked.Temperature = &temperature
	}
	text, err := json.Marshal(asked)
	if err != nil {
		return failed(t.MakeErrorOther, "the request can't be written as JSON: "+err.Error())
	}
	return Ok[t.Step, t.Error](t.MakeStepFetch(t.Fetch{
		Request: t.HttpRequest{
			Method:     t.HttpMethodPost,
			Endpoint:   None[string](),
			Path:       "/chat/completions",
			Headers:    []t.Header{{Name: "content-type", Value: "application/json"}, {Name: "accept", Value: "application/json"}},
			Body:       text,
			Extensions: "{}",
		},
		// It comes back in Resume, in another instance: a variable would be gone by then.
		State:      []byte(options.Model),
		Framing:    t.FramingWhole,
		Extensions: "{}",
	}))
}

// The blocks of a message in the provider's words; or what can't be carried: that is refused by name, never dropped.
func carry(blocks []t.ContentBlock) ([]part, string) {
	parts := []part{}
	for _, block := range blocks {
		switch block.Tag() {
		case t.ContentBlockText:
			text := block.Text().Text
			parts = append(parts, part{Type: "text", Text: &text})
		case t.ContentBlockImage:
			image := block.Image()
			url := "data:" + image.MimeType + ";base64," + image.Data
			parts = append(parts, part{Type: "image_url", ImageURL: &imageURL{url}})
		case t.ContentBlockOther:
			return nil, "a block of the unknown type `" + block.Other().Kind + "`"
		default:
			kinds := map[uint8]string{
				t.ContentBlockAudio:      "audio",
				t.ContentBlockToolUse:    "tool-use",
				t.ContentBlockToolResult: "tool-result",
			}
			return nil, "a block of the type `" + kinds[block.Tag()] + "`"
		}
	}
	return parts, ""
}

// Resume goes from the provider's answer to a result. It is called for any status and any body.
func Resume(state []byte, response t.HttpResponse) outcome {
	answer, isJSON := parse(response.Body)
	if response.Status < 200 || response.Status > 299 {
		return refusal(response, answer)
	}
	if !isJSON {
		return failed(t.MakeErrorMalformedResponse, "the answer is not JSON")
	}
	var choice any
	if choices, isList := get(answer, "choices").([]any); isList && len(choices) > 0 {
		choice = choices[0]
	}
	said, isText := get(get(choice, "message"), "content").(string)
	if !isText {
		return failed(t.MakeErrorMalformedResponse, "the answer has no `choices[0].message.content`")
	}
	model, isText := get(answer, "model").(string)
	if !isText {
		model = string(state)
	}
	return Ok[t.Step, t.Error](t.MakeStepDone(t.Completion{
		Result: t.CreateMessageResult{
			Content:    []t.ContentBlock{t.MakeContentBlockText(t.TextContent{Text: said})},
			Model:      model,
			StopReason: stopReason(get(choice, "finish_reason")),
			Meta:       None[string](),
		},
		Usage:      usage(get(answer, "usage")),
		Extensions: "{}",
	}))
}

func stopReason(reason any) Option[string] {
	word, isText := reason.(string)
	switch {
	case !isText:
		return None[string]()
	case word == "stop":
		return Some("endTurn")
	case word == "length":
		return Some("maxTokens")
	default:
		return Some(word)
	}
}

func usage(said any) Option[t.Usage] {
	if _, isObject := said.(map[string]any); !isObject {
		return None[t.Usage]()
	}
	count := func(key string) Option[uint64] {
		number, isNumber := get(said, key).(float64)
		if !isNumber || number < 0 || number >= 1<<53 || number != float64(uint64(number)) {
			return None[uint64]()
		}
		return Some(uint64(number))
	}
	return Some(t.Usage{InputTokens: count("prompt_tokens"), OutputTokens: count("completion_tokens"), Details: "{}"})
}

var kinds = map[uint16]string{
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
}

// The provider said no. The kind decides whether the host tries again, or asks the next plugin of the chain.
func refusal(response t.HttpResponse, answer any) outcome {
	kind, isKnown := kinds[response.Status]
	switch {
	case isKnown:
	case response.Status >= 400 && response.Status <= 499:
		kind = "invalid-request"
	default:
		kind = "internal"
	}
	said, _ := get(get(answer, "error"), "message").(string)
	said = strings.Join(strings.Fields(said), " ")
	if said == "" {
		said = fmt.Sprintf("the provider answered with the status %d", response.Status)
	}
	retryAfter := None[uint64]()
	for _, header := range response.Headers {
		if seconds, err := strconv.ParseUint(header.Value, 10, 20); err == nil && header.Name == "retry-after" {
			retryAfter = Some(seconds * 1000)
		}
	}
	return Err[t.Step, t.Error](t.MakeErrorProvider(t.ProviderError{
		Kind:         kind,
		Status:       Some(response.Status),
		Message:      said,
		RetryAfterMs: retryAfter,
		Extensions:   "{}",
	}))
}

func failed(make func(t.Failure) t.Error, message string) outcome {
	return Err[t.Step, t.Error](make(t.Failure{Message: message, Extensions: "{}"}))
}

// The JSON's value; not if it is none, or deeper than any answer: Go's parser would use up the stack.
func parse(body []byte) (value any, isJSON bool) {
	depth, inText := 0, false
	for n := 0; n < len(body); n++ {
		switch c := body[n]; {
		case inText && c == '\\':
			n++
		case c == '"':
			inText = !inText
		case !inText && (c == '[' || c == '{'):
			depth++
		case !inText && (c == ']' || c == '}'):
			depth--
		}
		if depth > 100 {
			return nil, false
		}
	}
	err := json.Unmarshal(body, &value)
	return value, err == nil
}

// A member of what may be an object.
func get(value any, key string) any {
	object, _ := value.(map[string]any)
	return object[key]
}
