//! What Claude's models take and refuse, as of November 2026.

/// A model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model<'a> {
    line: &'a str,
    version: (u32, u32),
}

/// Every name that stands for a model: `anthropic/claude-opus-4.8`, `us.anthropic.claude-opus-5-5-v1:0`, dated ones.
pub(super) fn own_name(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.rsplit_once("anthropic.").map_or(name, |(_, name)| name);
    let name = name.split([':', '@']).next().unwrap_or(name).replace('.', "-");
    let name = name.strip_suffix("-v1").unwrap_or(&name);
    name.split_once("-20").map_or(name, |(name, _)| name).to_owned()
}

impl<'a> Model<'a> {
    /// None for a model that isn't known: of it nothing is refused that depends on the model.
    pub(super) fn of(own_name: &'a str) -> Option<Self> {
        let (line, version) = own_name.strip_prefix("claude-")?.split_once('-')?;
        let mut numbers = version.split('-').map(str::parse::<u32>);
        let version = (numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(0));
        Some(Self { line, version })
    }

    fn is_one_of(&self, lines: &[&str]) -> bool {
        lines.contains(&self.line)
    }

    /// Fable and Mythos, and from 5.5 on Opus and Sonnet: platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5,
    /// …/sonnet-5-5/migration-guide; can1357/oh-my-pi#12939 (2026-09-23).
    pub(super) fn takes_forced_tools(&self) -> bool {
        let is_newer = self.is_one_of(&["opus", "sonnet"]) && self.version >= (5, 5);
        !is_newer && !self.is_one_of(&["fable", "mythos"])
    }

    /// Refused from 4.6 on: platform.claude.com/docs/en/about-claude/models/migration-guide ("Prefill removal").
    pub(super) fn takes_prefill(&self) -> bool {
        self.version < (4, 6)
    }

    /// Refused from Opus 4.7 on: the same, "Sampling parameters".
    pub(super) fn takes_sampling(&self) -> bool {
        self.version < (4, 7)
    }

    /// 4.5 and 4.6 take one of the two: docs.claude.com, "Migrating to Claude 4.5".
    pub(super) fn takes_temperature_with_top_p(&self) -> bool {
        self.version < (4, 5)
    }

    /// platform.claude.com/docs/en/about-claude/models/overview (2026-11).
    pub(super) fn most_tokens(&self) -> u64 {
        if self.version >= (4, 6) { 128_000 } else { 64_000 }
    }

    /// Whether it thinks where the request says nothing of thinking: docs.apiyi.com/en/live/2026-11/claude-thinking-guide-refresh,
    /// platform.claude.com/docs/build-with-claude/thinking.
    pub(super) fn thinks_by_default(&self) -> bool {
        self.version >= (5, 0)
    }

    /// What is wrong with this `thinking.type`: platform.claude.com/docs/build-with-claude/thinking-troubleshooting (the table of
    /// what each model rejects), 2026-11.
    pub(super) fn refuses_thinking(&self, kind: &str, effort: &str) -> bool {
        let high = matches!(effort, "xhigh" | "max");
        let is_sonnet_5_5 = self.line == "sonnet" && self.version >= (5, 5);
        match kind {
            "enabled" => self.version >= (4, 7),
            "adaptive" => self.version < (4, 6),
            "between_tools" => !is_sonnet_5_5,
            "disabled" => {
                self.is_one_of(&["fable", "mythos"])
                    || is_sonnet_5_5
                    || (self.line == "opus" && self.version >= (5, 5))
                    || (self.version >= (5, 0) && high)
            }
            _ => true,
        }
    }

    /// platform.claude.com/docs/build-with-claude/effort: Opus from 4.5 on, all from 4.6 on.
    pub(super) fn takes_effort(&self) -> bool {
        self.version >= (4, 6) || (self.line == "opus" && self.version >= (4, 5))
    }

    /// Whether thinking that comes back is checked against what stood before it:
    /// platform.claude.com/docs/en/build-with-claude/preserved-thinking/prefix-checks (`supportedModels`). It is taken to be enforced, as for
    /// accounts since 2026-08-31.
    pub(super) fn checks_prefixes(&self) -> bool {
        if self.is_one_of(&["fable", "mythos"]) { self.version >= (5, 1) } else { self.version >= (5, 5) }
    }
}
