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
    /// api.deepseek.com
    DeepSeek,
    /// api.x.ai
    Xai,
    /// openrouter.ai
    OpenRouter,
    /// generativelanguage.googleapis.com/v1beta/openai
    Gemini,
    /// vLLM, SGLang and llama.cpp, with the template of the model.
    Vllm,
    /// LM Studio.
    LmStudio,
}

impl Dialect {
    /// All of them, with a model of each.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::OpenAi, "gpt-6-luna"),
        (Self::Azure, "gpt-6-luna"),
        (Self::Mistral, "mistral-large-latest"),
        (Self::Groq, "openai/gpt-oss-120b"),
        (Self::DeepSeek, "deepseek-v4-pro"),
        (Self::Xai, "grok-4.3"),
        (Self::OpenRouter, "anthropic/claude-opus-5.5"),
        (Self::Gemini, "gemini-3.8-flash"),
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

    /// The host by which a client knows the server, where there is one.
    #[must_use]
    pub fn url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Azure => "https://example.openai.azure.com/openai/v1",
            Self::Mistral => "https://api.mistral.ai/v1",
            Self::Groq => "https://api.groq.com/openai/v1",
            Self::DeepSeek => "https://api.deepseek.com/v1",
            Self::Xai => "https://api.x.ai/v1",
            Self::OpenRouter => "https://openrouter.ai/api/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta/openai",
            Self::Vllm => "http://127.0.0.1:8000/v1",
            Self::LmStudio => "http://127.0.0.1:1234/v1",
        }
    }
}
