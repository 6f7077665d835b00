//! Which server it is.

/// A server of Chat Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// api.openai.com
    OpenAi,
    /// Azure's deployments.
    Azure,
    /// api.mistral.ai
    Mistral,
    /// api.groq.com
    Groq,
    /// api.cerebras.ai
    Cerebras,
    /// api.deepseek.com
    DeepSeek,
    /// api.x.ai
    Xai,
    /// openrouter.ai
    OpenRouter,
    /// generativelanguage.googleapis.com/v1beta/openai
    Gemini,
    /// Amazon Bedrock's compatible endpoint.
    Bedrock,
    /// vLLM, SGLang and llama.cpp, with the template of the model.
    Vllm,
    /// LM Studio.
    LmStudio,
}

impl Dialect {
    /// All of them, with a model of each.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::OpenAi, "gpt-6-luna"),
        (Self::Azure, "gpt-6-luna"),
        (Self::Mistral, "mistral-large-latest"),
        (Self::Groq, "openai/gpt-oss-120b"),
        (Self::Cerebras, "gpt-oss-120b"),
        (Self::DeepSeek, "deepseek-v4-pro"),
        (Self::Xai, "grok-4.3"),
        (Self::OpenRouter, "anthropic/claude-opus-5.5"),
        (Self::Gemini, "gemini-3.8-flash"),
        (Self::Bedrock, "openai.gpt-oss-120b-1:0"),
        (Self::Vllm, "mistralai/Devstral-Small-2-24B-Instruct-2512"),
        (Self::Vllm, "Qwen/Qwen3-32B"),
        (Self::LmStudio, "qwen2.5-7b-instruct"),
    ];

    /// The server that a fixture is about, which names a model and no server.
    #[must_use]
    pub fn of_model(model: &str) -> Self {
        let is = |names: &[&str]| names.iter().any(|name| model.starts_with(name));
        match model {
            _ if is(&["mistral-", "magistral-", "codestral", "devstral", "ministral", "pixtral"]) => Self::Mistral,
            "openai/gpt-oss-120b" | "openai/gpt-oss-20b" => Self::Groq,
            _ if is(&["deepseek-"]) => Self::DeepSeek,
            _ if is(&["grok-"]) => Self::Xai,
            _ if is(&["gemini-"]) => Self::Gemini,
            _ if is(&["openai/", "anthropic/", "google/", "mistralai/mistral-", "x-ai/"]) => Self::OpenRouter,
            _ if is(&["gpt-", "o1", "o3", "o4"]) && !model.contains("oss") => Self::OpenAi,
            _ => Self::Vllm,
        }
    }

    /// The plugin's name for it, which `--set dialect=` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Azure => "azure",
            Self::Mistral => "mistral",
            Self::Groq => "groq",
            Self::Cerebras => "cerebras",
            Self::DeepSeek => "deepseek",
            Self::Xai => "xai",
            Self::OpenRouter => "openrouter",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::Vllm => "vllm",
            Self::LmStudio => "lmstudio",
        }
    }

    /// The server that the plugin calls so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let of = |(dialect, _): &(Self, &str)| *dialect;
        Self::ALL.iter().map(of).find(|dialect| dialect.name() == name)
    }
}
