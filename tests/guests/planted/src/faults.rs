//! Every fault that can be planted. The tests read this file, too, and match on it: a fault without a test does not compile.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// A fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What is written into the component's place for it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

faults! {
    /// None: it keeps every rule.
    None = "none",
    /// Its name is empty, a model costs 7, and its schema is no object.
    OddDescription = "odd description",
    /// Panics in `describe`.
    TrapInDescribe = "trap in describe",
    /// Never ends in `describe`.
    LoopInDescribe = "loop in describe",
    /// Draws its version by lot.
    ChangingDescription = "changing description",
    /// Panics when a conversation holds an image.
    TrapInStart = "trap in start",
    /// Never ends when a conversation holds a system prompt.
    LoopInStart = "loop in start",
    /// Says that it takes images, and refuses them.
    FalseAccepts = "false accepts",
    /// Leaves the system prompt out.
    DropsSystemPrompt = "drops system prompt",
    /// Leaves blocks out that it doesn't know.
    DropsUnknownBlocks = "drops unknown blocks",
    /// Sets the header `authorization`.
    SendsCredential = "sends credential",
    /// Names a host in its path.
    NamesHost = "names host",
    /// Puts a random number into the body.
    RandomInStart = "random in start",
    /// Puts a random number into its answers' errors.
    RandomInResume = "random in resume",
    /// Panics on what is no JSON.
    TrapInResume = "trap in resume",
    /// Doesn't look at the status.
    IgnoresStatus = "ignores status",
    /// Says `malformed-response` of a refusal.
    RefusalIsMalformed = "refusal is malformed",
    /// Takes an answer without a text for an empty text.
    TakesAnything = "takes anything",
    /// Always wants more of a stream.
    EndlessStream = "endless stream",
    /// Makes of a stream what depends on how many events it gets at once.
    CountsEvents = "counts events",
    /// Says nothing in its errors.
    EmptyMessage = "empty message",
    /// Says much in its errors, on several lines.
    LongMessage = "long message",
    /// Answers at once, with the name of no model.
    EmptyModel = "empty model",
    /// Answers at once, with a call of a tool that nobody offered.
    UnofferedTool = "unoffered tool",
    /// Takes 220 MiB in `start`.
    EatsMemory = "eats memory",
}
