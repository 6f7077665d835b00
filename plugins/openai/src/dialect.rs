//! What servers that speak Chat Completions take and refuse: one row each.
//!
//! A server that refuses a member refuses the whole request for it, so what it refuses isn't sent. What is known of a server counts
//! for its own models behind another address, too: a gateway hands the request on, and vLLM wants of Mistral's models what Mistral wants.

use understudy_plugin::ids::Rule;
use understudy_plugin::models::is_like;
use understudy_plugin::names;

use crate::settings::MaxTokensField;
use crate::tools::NAMES;

/// One kind of server.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing that a server takes or wants")]
pub(crate) struct Dialect {
    /// As in `--set dialect=`.
    pub(crate) name: &'static str,
    /// For people.
    #[cfg_attr(not(test), expect(dead_code, reason = "for people"))]
    title: &'static str,
    /// How the name of its host ends. A port alone is that of a server on this machine.
    hosts: &'static [&'static str],
    /// Its own models, by patterns of plain names.
    models: &'static [&'static str],
    /// It takes `stream_options`, and tells the tokens used in a stream only if it is asked.
    pub(crate) stream_options: bool,
    /// What it makes of a conversation that ends with the assistant.
    pub(crate) prefill: Prefill,
    pub(crate) ids: Rule,
    /// The names of tools.
    pub(crate) names: names::Rule,
    /// A user may speak right after a tool's answer.
    pub(crate) user_after_tool: bool,
    /// A tool's answer may hold images.
    pub(crate) images_in_tool_results: bool,
    /// Audio and documents are as Mistral has them.
    has_plain_media: bool,
    /// Tools that were used must be offered, too.
    pub(crate) needs_tools: bool,
    pub(crate) max_tokens: MaxTokensField,
    /// The most stop sequences.
    pub(crate) most_stops: usize,
    /// The name of `seed`.
    pub(crate) seed: Seed,
    /// The highest temperature.
    pub(crate) hottest: f64,
    /// Keys of a request's `metadata` that it takes by itself.
    pub(crate) metadata: &'static [&'static str],
    /// What it takes back of a model's reasoning.
    pub(crate) reasoning: &'static [Field],
    /// It refuses a call of a tool without any reasoning, even an empty one.
    pub(crate) needs_reasoning: bool,
    /// It takes back what it added to a tool call (`extra_content`, `provider_specific_fields`).
    pub(crate) extras: bool,
    /// Since when it is so known, and from where. The table in the docs says it.
    #[cfg_attr(not(test), expect(dead_code, reason = "for people"))]
    as_of: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "for people"))]
    source: &'static str,
}

/// What a server makes of a conversation that ends with the assistant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefill {
    /// It takes it as it is.
    Plain,
    /// It goes on from there if the request says `continue_final_message`.
    Continue,
    /// It refuses it: the user asks to go on.
    User,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seed {
    Seed,
    RandomSeed,
}

/// A member that holds reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    ReasoningContent,
    Reasoning,
    ReasoningDetails,
    ThinkingBlocks,
}

const ALL_REASONING: &[Field] =
    &[Field::ReasoningContent, Field::Reasoning, Field::ReasoningDetails, Field::ThinkingBlocks];

/// Any server that isn't known: what most take.
const COMPATIBLE: Dialect = Dialect {
    name: "compatible",
    title: "any other server",
    hosts: &[],
    models: &[],
    stream_options: true,
    prefill: Prefill::Plain,
    ids: Rule::WORD,
    names: NAMES,
    user_after_tool: true,
    images_in_tool_results: false,
    has_plain_media: false,
    needs_tools: false,
    max_tokens: MaxTokensField::Auto,
    most_stops: 4,
    seed: Seed::Seed,
    hottest: 2.0,
    metadata: &["user", "safety_identifier", "prompt_cache_key"],
    reasoning: ALL_REASONING,
    needs_reasoning: false,
    extras: false,
    as_of: "2026-11-29",
    source: "https://developers.openai.com/api/reference/resources/chat",
};

/// All of them. The first whose host or else whose model fits is the one.
pub(crate) const TABLE: &[Dialect] = &[
    Dialect {
        name: "openai",
        title: "OpenAI",
        hosts: &["api.openai.com"],
        models: &["gpt-3.5-*", "gpt-4+-*", "gpt-4o-*", "gpt-audio-*", "o1+-*"],
        reasoning: &[],
        ..COMPATIBLE
    },
    Dialect {
        name: "azure",
        title: "Azure OpenAI, AI Foundry",
        hosts: &["openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"],
        models: &["gpt-35-*"],
        reasoning: &[],
        source: "https://learn.microsoft.com/azure/ai-foundry/openai/reference",
        ..COMPATIBLE
    },
    Dialect {
        name: "mistral",
        title: "Mistral",
        hosts: &["mistral.ai"],
        models: &[
            "mistral-*",
            "ministral-*",
            "magistral-*",
            "devstral-*",
            "codestral-*",
            "pixtral-*",
            "voxtral-*",
            "mixtral-*",
            "open-mistral-*",
            "open-mixtral-*",
        ],
        stream_options: false,
        // With `prefix: true` it would go on by itself; not every gateway before it knows that.
        prefill: Prefill::User,
        ids: Rule::NINE,
        user_after_tool: false,
        images_in_tool_results: true,
        has_plain_media: true,
        max_tokens: MaxTokensField::MaxTokens,
        seed: Seed::RandomSeed,
        hottest: 1.5,
        metadata: &["prompt_cache_key"],
        reasoning: &[],
        source: "https://docs.mistral.ai/api (and the package `mistralai` 3.7.0)",
        ..COMPATIBLE
    },
    Dialect {
        name: "groq",
        title: "Groq",
        hosts: &["api.groq.com"],
        metadata: &["user"],
        reasoning: &[],
        source: "https://console.groq.com/docs/openai (and the package `groq` 1.7.0)",
        ..COMPATIBLE
    },
    Dialect {
        name: "deepseek",
        title: "DeepSeek",
        hosts: &["api.deepseek.com"],
        models: &["deepseek-*"],
        max_tokens: MaxTokensField::MaxTokens,
        most_stops: 16,
        metadata: &["user"],
        reasoning: &[Field::ReasoningContent],
        needs_reasoning: true,
        source: "https://api-docs.deepseek.com/api/create-chat-completion",
        ..COMPATIBLE
    },
    Dialect {
        name: "moonshot",
        title: "Moonshot (Kimi)",
        hosts: &["api.moonshot.ai", "api.moonshot.cn"],
        models: &["kimi-*", "moonshot-*"],
        hottest: 1.0,
        metadata: &["user"],
        reasoning: &[Field::ReasoningContent],
        needs_reasoning: true,
        source: "https://platform.moonshot.ai/docs/api/chat",
        ..COMPATIBLE
    },
    Dialect {
        name: "xai",
        title: "xAI",
        hosts: &["api.x.ai"],
        models: &["grok-*"],
        metadata: &["user"],
        reasoning: &[Field::ReasoningContent],
        source: "https://docs.x.ai/docs/api-reference",
        ..COMPATIBLE
    },
    Dialect {
        name: "openrouter",
        title: "OpenRouter",
        hosts: &["openrouter.ai"],
        metadata: &["user"],
        reasoning: &[Field::Reasoning, Field::ReasoningDetails],
        source: "https://openrouter.ai/docs/api/reference/parameters",
        ..COMPATIBLE
    },
    Dialect {
        name: "gemini",
        title: "Gemini's compatible endpoint",
        hosts: &["generativelanguage.googleapis.com", "aiplatform.googleapis.com"],
        models: &["gemini-*", "gemma-*"],
        names: names::Rule { begins: |c| c.is_ascii_alphabetic() || c == '_', ..NAMES },
        most_stops: 5,
        metadata: &[],
        reasoning: &[],
        extras: true,
        source: "https://ai.google.dev/gemini-api/docs/openai",
        ..COMPATIBLE
    },
    Dialect {
        name: "anthropic",
        title: "Anthropic's compatible endpoint",
        hosts: &["api.anthropic.com"],
        models: &["claude-*"],
        needs_tools: true,
        hottest: 1.0,
        metadata: &["user"],
        reasoning: &[],
        extras: true,
        source: "https://platform.claude.com/docs/en/api/openai-sdk",
        ..COMPATIBLE
    },
    Dialect {
        name: "bedrock",
        title: "Amazon Bedrock's compatible endpoint",
        hosts: &["amazonaws.com", "api.aws"],
        stream_options: false,
        needs_tools: true,
        hottest: 1.0,
        metadata: &[],
        reasoning: &[],
        source: "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html",
        ..COMPATIBLE
    },
    Dialect {
        name: "databricks",
        title: "Databricks",
        hosts: &["databricks.com", "azuredatabricks.net"],
        stream_options: false,
        metadata: &[],
        reasoning: &[],
        source: "https://github.com/anomalyco/opencode/issues/4698",
        ..COMPATIBLE
    },
    Dialect {
        name: "together",
        title: "Together",
        hosts: &["api.together.xyz", "api.together.ai"],
        metadata: &[],
        reasoning: &[],
        source: "https://docs.together.ai/reference/chat-completions-1",
        ..COMPATIBLE
    },
    Dialect {
        name: "fireworks",
        title: "Fireworks",
        hosts: &["api.fireworks.ai"],
        metadata: &["user"],
        reasoning: &[Field::ReasoningContent],
        source: "https://docs.fireworks.ai/api-reference/post-chatcompletions",
        ..COMPATIBLE
    },
    Dialect {
        name: "cerebras",
        title: "Cerebras",
        hosts: &["api.cerebras.ai"],
        max_tokens: MaxTokensField::MaxCompletionTokens,
        hottest: 1.5,
        metadata: &["user"],
        reasoning: &[Field::Reasoning],
        source: "https://inference-docs.cerebras.ai/api-reference/chat-completions",
        ..COMPATIBLE
    },
    Dialect {
        name: "litellm",
        title: "LiteLLM",
        hosts: &[":4000"],
        metadata: &["user"],
        needs_tools: true,
        extras: true,
        source: "https://docs.litellm.ai/docs/completion/input",
        ..COMPATIBLE
    },
    Dialect {
        name: "vllm",
        title: "vLLM",
        prefill: Prefill::Continue,
        most_stops: usize::MAX,
        metadata: &[],
        reasoning: &[Field::ReasoningContent, Field::Reasoning],
        source: "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        ..COMPATIBLE
    },
    Dialect {
        name: "sglang",
        title: "SGLang",
        hosts: &[":30000"],
        prefill: Prefill::Continue,
        most_stops: usize::MAX,
        metadata: &[],
        reasoning: &[Field::ReasoningContent],
        source: "https://docs.sglang.ai/basic_usage/openai_api_completions.html",
        ..COMPATIBLE
    },
    Dialect {
        name: "llama.cpp",
        title: "llama.cpp",
        max_tokens: MaxTokensField::MaxTokens,
        most_stops: usize::MAX,
        metadata: &[],
        reasoning: &[Field::ReasoningContent],
        source: "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        ..COMPATIBLE
    },
    Dialect {
        name: "lmstudio",
        title: "LM Studio",
        hosts: &[":1234"],
        max_tokens: MaxTokensField::MaxTokens,
        metadata: &[],
        reasoning: &[Field::ReasoningContent, Field::Reasoning],
        source: "https://lmstudio.ai/docs/developer/openai-compat",
        ..COMPATIBLE
    },
    COMPATIBLE,
];

impl Dialect {
    /// By its name in the settings.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|dialect| dialect.name == name)
    }

    /// By the endpoint's origin.
    fn at(origin: &str) -> Option<&'static Self> {
        TABLE.iter().find(|dialect| dialect.is_at(origin))
    }

    /// By the model; else what most servers take.
    fn of_model(model: &str) -> &'static Self {
        let is_own = |dialect: &&Self| dialect.models.iter().any(|pattern| is_like(model, pattern));
        TABLE.iter().find(is_own).unwrap_or(&COMPATIBLE)
    }

    /// Whether an origin (`https://api.mistral.ai`) is one of its.
    fn is_at(&self, origin: &str) -> bool {
        let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
            _ => (authority, ""),
        };
        let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]" | "host.docker.internal");
        self.hosts.iter().any(|known| match known.strip_prefix(':') {
            Some(known) => is_here && port == known,
            None => host.strip_suffix(known).is_some_and(|before| before.is_empty() || before.ends_with('.')),
        })
    }
}

/// The dialect of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spoken {
    pub(crate) dialect: &'static Dialect,
    /// By the settings or the endpoint, and not by the model alone.
    is_sure: bool,
    /// Whether the model is Mistral's: its templates want the same behind any server.
    is_mistrals: bool,
}

impl Spoken {
    /// By the setting; else by the endpoint's origin, if that is known; else by the model; else what most servers take.
    pub(crate) fn of(setting: Option<&'static Dialect>, origin: Option<&str>, model: &str) -> Self {
        let own = Dialect::of_model(model);
        let is_mistrals = own.name == "mistral";
        match setting.or_else(|| origin.and_then(Dialect::at)) {
            Some(dialect) => Self { dialect, is_sure: true, is_mistrals },
            None => Self { dialect: own, is_sure: false, is_mistrals },
        }
    }

    /// The ids of tool calls that are taken.
    pub(crate) fn ids(&self) -> &'static Rule {
        if self.is_mistrals { &Rule::NINE } else { &self.dialect.ids }
    }

    /// Whether a user may speak right after a tool's answer.
    pub(crate) fn user_after_tool(&self) -> bool {
        self.dialect.user_after_tool && !self.is_mistrals
    }

    /// Whether it is said that the model shall not think. DeepSeek's think unless told otherwise, which counts towards `maxTokens`; while they do,
    /// no tool can be forced, and a tool call of a model that didn't think is refused.
    pub(crate) fn stops_thinking(&self) -> bool {
        self.is_sure && self.dialect.name == "deepseek"
    }

    /// Whose reasoning goes back there: that of the same dialect. A server that nobody knows takes back what it gave.
    pub(crate) fn origin(&self) -> &'static str {
        if self.is_sure { self.dialect.name } else { "" }
    }

    /// Whether the server takes this member back.
    pub(crate) fn takes(&self, field: Field) -> bool {
        !self.is_sure || self.dialect.reasoning.contains(&field)
    }

    /// Whether audio and documents are as Mistral has them: its models elsewhere take them as anyone's.
    pub(crate) fn has_plain_media(&self) -> bool {
        self.is_sure && self.dialect.has_plain_media
    }

    /// Whether an answer can hold what a model's template should have taken out of it.
    pub(crate) fn may_leak_thinking(&self) -> bool {
        !matches!(self.dialect.name, "openai" | "azure" | "anthropic" | "gemini" | "bedrock" | "mistral" | "xai")
    }
}

#[cfg(test)]
mod tests;
