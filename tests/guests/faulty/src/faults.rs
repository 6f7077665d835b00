//! Every way in which the plugin misbehaves. The tests read this file, too, and match on it: a fault without a test does not
//! compile.

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// A way to misbehave.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What the plugin is asked by: the first message's text, up to `: `. What comes behind that is the argument.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// The fault that a text asks for, and its argument.
            #[must_use]
            pub fn of(text: &str) -> (Self, &str) {
                let (word, argument) = text.split_once(": ").unwrap_or((text, ""));
                (Self::ALL.iter().copied().find(|fault| fault.word() == word).unwrap_or(Self::None), argument)
            }
        }
    };
}

faults! {
    /// None: it asks the provider, and tells what that said.
    None = "none",
    /// Panics in `start`.
    Trap = "trap",
    /// Panics in `resume`.
    TrapInResume = "trap in resume",
    /// Ends the process, if there were one.
    Exit = "exit",
    /// Never returns from `start`.
    Loop = "loop",
    /// Never returns from `resume`.
    LoopInResume = "loop in resume",
    /// Waits for an hour, inside a call of the host's.
    Block = "block",
    /// Recurses without end.
    Recurse = "recurse",
    /// Takes so many MiB of memory; without an argument, all there is.
    EatMemory = "eat memory",
    /// Fills memory without end, 16 MiB by each instruction.
    FillMemory = "fill memory",
    /// Copies memory without end, 16 MiB by each instruction.
    CopyMemory = "copy memory",
    /// Has the host make random bytes without end, so many KiB by each call; without an argument, as many as it may.
    RandomBytes = "random bytes",
    /// Answers with a text of so many MiB.
    HugeAnswer = "huge answer",
    /// Answers with a text that ends far behind its memory.
    StringBeyondMemory = "string beyond memory",
    /// Answers with a text that is no UTF-8.
    InvalidUtf8 = "invalid utf-8",
    /// Hands over 100,000 headers that are all the same megabyte.
    AliasedLists = "aliased lists",
    /// Hands over more state than it may.
    GiantState = "giant state",
    /// Sends a body of so many MiB; without an argument, one more than it may.
    GiantBody = "giant body",
    /// Sends one request after the other.
    FetchForEver = "fetch for ever",
    /// Has the host wait for weeks before a request.
    DelayForEver = "delay for ever",
    /// Wants a stream, and can't read one.
    Stream = "stream",
    /// Asks for the path that the argument is.
    Path = "path",
    /// Names the endpoint that the argument is.
    Endpoint = "endpoint",
    /// Sets the header `name=value` of the argument.
    Header = "header",
    /// Writes 5,000 lines to stderr.
    LogFlood = "log flood",
    /// Reads the clock and draws random numbers.
    ClockAndRandom = "clock and random",
    /// Tells a random number.
    Random = "random",
    /// Reads the environment.
    Environment = "environment",
    /// Reads the arguments.
    Arguments = "arguments",
    /// Looks for folders to open.
    Files = "files",
    /// Opens a socket and connects it.
    Socket = "socket",
    /// Asks for the address of a name.
    Resolve = "resolve",
    /// Calls `wasi:http`.
    Http = "http",
    /// Calls an import that no host has.
    UnknownImport = "unknown import",
    /// Uses a handle that nobody gave it.
    ForgedHandle = "forged handle",
    /// Counts its calls in a variable.
    Static = "static",
    /// Tells what it is given.
    Options = "options",
    /// Sends all of its memory to the provider, before the exchange.
    DumpMemory = "dump memory",
    /// Sends all of its memory to the provider, after an exchange.
    DumpMemoryInResume = "dump memory in resume",
    /// Answers with control characters.
    ControlCharacters = "control characters",
    /// Names a model with control characters.
    ControlCharactersInModel = "control characters in model",
    /// Claims that a model answered which it doesn't have.
    UnknownModel = "unknown model",
    /// Calls a tool that was not offered.
    UnofferedTool = "unoffered tool",
    /// Answers with `_meta` that is not JSON.
    BadMeta = "bad meta",
    /// Answers with `_meta` that is no object.
    ArrayMeta = "array meta",
    /// Answers with two texts.
    TwoTexts = "two texts",
    /// Fails with an error that holds control characters.
    Error = "error",
    /// Says that it can't carry what it is asked.
    Unsupported = "unsupported",
}
