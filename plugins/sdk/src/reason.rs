//! Why an answer ended, in the words of any provider.
//!
//! Compatible servers and gateways mix the words: an answer in OpenAI's format may end by `end_turn` or `STOP`.

/// What a provider's word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The model has said what it had to say.
    EndTurn,
    /// A stop sequence.
    StopSequence,
    /// `maxTokens`, or the end of the context.
    MaxTokens,
    /// The model asks for tools.
    ToolUse,
    /// A filter, or the model's own refusal.
    Filter,
    /// The provider failed: what there is of the answer is none.
    Failed,
    /// Nothing, or a word that says nothing.
    Unknown,
    /// Another word.
    Other,
}

impl Reason {
    /// Reads a word, however it is spelt (`max_tokens`, `MAX_TOKENS`, `maxTokens`).
    #[must_use]
    pub fn of(word: &str) -> Self {
        let plain: String =
            word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).take(40).collect();
        match plain.as_str() {
            "stop" | "endturn" | "eos" | "eostoken" | "end" | "endoftext" | "finish" | "finished" | "complete"
            | "completed" | "completestop" | "done" | "success" | "stopped" | "finishreasonstop" => Self::EndTurn,
            "stopsequence" | "stopsequences" | "stopword" | "stopwords" | "stopstring" => Self::StopSequence,
            "length"
            | "maxtokens"
            | "maxtoken"
            | "maxoutputtokens"
            | "maxlength"
            | "modellength"
            | "tokenlimit"
            | "finishreasonmaxtokens"
            | "modelcontextwindowexceeded"
            | "contextlength"
            | "maxcompletiontokens" => Self::MaxTokens,
            "toolcalls" | "toolcall" | "tooluse" | "functioncall" | "functioncalls" | "tools" => Self::ToolUse,
            "contentfilter"
            | "contentfiltered"
            | "filter"
            | "filtered"
            | "safety"
            | "refusal"
            | "refused"
            | "sensitive"
            | "recitation"
            | "blocklist"
            | "prohibitedcontent"
            | "spii"
            | "language"
            | "imagesafety"
            | "imageprohibitedcontent"
            | "imagerecitation"
            | "moderation"
            | "guardrail"
            | "guardrailintervened"
            | "guardrails" => Self::Filter,
            "error"
            | "errored"
            | "abort"
            | "aborted"
            | "cancelled"
            | "canceled"
            | "cancel"
            | "failed"
            | "failure"
            | "networkerror"
            | "insufficientsystemresource"
            | "timeout"
            | "malformedfunctioncall" => Self::Failed,
            "" | "null" | "none" | "unknown" | "unspecified" | "finishreasonunspecified" => Self::Unknown,
            _ => Self::Other,
        }
    }
}

/// MCP's word, or the provider's own where none of MCP's is true. `calls`: whether the answer holds tool uses. Those are whole, or the
/// answer would be an error: so the answer is for them, unless the word says that it was cut.
#[must_use]
pub fn in_mcp(word: Option<&str>, calls: bool) -> Option<String> {
    let word = word.unwrap_or_default();
    let said = match Reason::of(word) {
        Reason::MaxTokens => "maxTokens",
        Reason::Filter | Reason::Failed => word,
        _ if calls => "toolUse",
        Reason::EndTurn => "endTurn",
        Reason::StopSequence => "stopSequence",
        Reason::ToolUse | Reason::Other => word,
        Reason::Unknown => return None,
    };
    Some(said.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_call_is_a_tool_use_whatever_the_word_unless_it_was_cut() {
        for word in ["", "stop", "tool_use", "eos", "STOP", "end_turn", "tool_call", "unknown", "completed", "banana"] {
            assert_eq!(in_mcp(Some(word), true).as_deref(), Some("toolUse"), "{word}");
        }
        assert_eq!(in_mcp(None, true).as_deref(), Some("toolUse"));
        for (word, expected) in [
            ("length", "maxTokens"),
            ("MAX_TOKENS", "maxTokens"),
            ("content_filter", "content_filter"),
            ("SAFETY", "SAFETY"),
        ] {
            assert_eq!(in_mcp(Some(word), true).as_deref(), Some(expected), "{word}");
        }
    }

    #[test]
    fn words_of_other_providers_are_mcps_where_they_mean_the_same() {
        for (word, expected) in [
            ("stop", Some("endTurn")),
            ("end_turn", Some("endTurn")),
            ("STOP", Some("endTurn")),
            ("eos", Some("endTurn")),
            ("completed", Some("endTurn")),
            ("stop_sequence", Some("stopSequence")),
            ("max_tokens", Some("maxTokens")),
            ("model_length", Some("maxTokens")),
            ("refusal", Some("refusal")),
            ("banana", Some("banana")),
            ("", None),
            ("unknown", None),
        ] {
            assert_eq!(in_mcp(Some(word), false).as_deref(), expected, "{word}");
        }
        for word in ["error", "abort", "insufficient_system_resource", "network_error"] {
            assert_eq!(Reason::of(word), Reason::Failed, "{word}");
        }
    }
}
