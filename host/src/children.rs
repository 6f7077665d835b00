//! Starting programs: the only place that makes a `Command`, so that no child inherits secrets.
//!
//! | child | its environment |
//! | --- | --- |
//! | an MCP server | ours, less the variables that Understudy's own secrets come from; its `env` block is added |
//! | a command that prints a credential, a credential helper, the browser | ours, less all that may be a secret of the config or of a built-in plugin |
//! | a helper of our own (the guard of a server; a compiler) | empty |
//!
//! A variable is withheld by its name, and by its value: a copy of a credential under another name is the same secret.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::process::Command;

use memchr::memmem;

/// What begins the names of our own variables.
const OURS: &str = "UNDERSTUDY_";
/// Those of them that hold no secret: an Understudy behind this one may want them.
const HARMLESS: [&str; 2] = ["UNDERSTUDY_CONFIG", "UNDERSTUDY_LOG"];

/// The shortest credential that is looked for in other variables' values, in bytes: what is shorter (`ollama`, `true`) is
/// found in many that have nothing to do with it.
const SHORTEST: usize = 16;

/// What programs can't do without. A config may use such a variable in a header or a URL, and they are still inherited.
const BASIC: [&str; 27] = [
    "APPDATA",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "DOCKER_CONFIG",
    "HOME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LOCALAPPDATA",
    "LOGNAME",
    "OLDPWD",
    "PATH",
    "PWD",
    "SHELL",
    "SYSTEMROOT",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "USERNAME",
    "USERPROFILE",
    "VIRTUAL_ENV",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];

/// The variables of our environment that a child doesn't inherit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Withheld {
    /// Those that hold a credential.
    credentials: BTreeSet<String>,
    /// Those that may stand in for a part of one.
    parts: BTreeSet<String>,
}

impl Withheld {
    /// Variables that hold credentials: they are withheld, and so is each other variable that has such a value in its own.
    #[must_use]
    pub fn credentials(names: impl IntoIterator<Item = String>) -> Self {
        Self { credentials: names.into_iter().collect(), parts: BTreeSet::new() }
    }

    /// The variables of all built-in plugins' credentials, in every spelling that the providers' own tools know.
    #[must_use]
    pub fn built_in() -> Self {
        let names = crate::builtins::BUILT_IN.iter().flat_map(|plugin| plugin.secrets);
        Self::credentials(names.map(|name| (*name).to_owned()))
    }

    /// The same, and variables that are a part of something secret, such as a header's value. Those that no program can do
    /// without (`HOME`, `PATH`) are passed over.
    #[must_use]
    pub fn with_parts(mut self, names: impl IntoIterator<Item = String>) -> Self {
        let is_basic = |name: &String| BASIC.contains(&name.as_str()) || name.starts_with("XDG_");
        self.parts.extend(names.into_iter().filter(|name| !is_basic(name)));
        self
    }

    /// What either of two withholds.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.credentials.extend(other.credentials);
        self.parts.extend(other.parts);
        self
    }

    /// The names among these variables that a child doesn't inherit.
    fn among<'a>(&self, variables: &'a [(OsString, OsString)]) -> Vec<&'a OsStr> {
        let is_credential = |name: &OsStr| name.to_str().is_some_and(|name| self.credentials.contains(name));
        let values = variables.iter().filter(|(name, _)| is_credential(name));
        let values = values.map(|(_, value)| value.as_encoded_bytes().trim_ascii());
        let values: Vec<&[u8]> = values.filter(|value| value.len() >= SHORTEST).collect();
        let is_withheld = |(name, value): &&(OsString, OsString)| {
            let text = name.to_string_lossy();
            let is_own = text.starts_with(OURS) && !HARMLESS.contains(&&*text);
            let is_copy = || values.iter().any(|secret| memmem::find(value.as_encoded_bytes(), secret).is_some());
            is_own || is_credential(name) || self.parts.contains(&*text) || (!BASIC.contains(&&*text) && is_copy())
        };
        variables.iter().filter(is_withheld).map(|(name, _)| name.as_os_str()).collect()
    }
}

/// A command for another's program: it inherits our environment, less what is withheld. What `env` adds to the command
/// afterwards comes on top.
#[must_use]
pub fn command(program: impl AsRef<OsStr>, withheld: &Withheld) -> Command {
    let program = program.as_ref();
    let mut command = Command::new(program);
    let variables: Vec<_> = std::env::vars_os().collect();
    let names = withheld.among(&variables);
    if !names.is_empty() {
        tracing::info!(
            "`{}` doesn't inherit the variables {names:?}, which are for Understudy's own use; a server that needs one itself gets it by its `env` in \
             Understudy's config, or by `env NAME=VALUE` in front of its command",
            program.display()
        );
    }
    for name in names {
        command.env_remove(name);
    }
    command
}

/// A command for a helper of our own, which needs nothing of our environment: it is empty, not even `PATH` is there, so
/// `program` is a path. What the helper needs is passed by arguments that hold no secret, or on its stdin.
#[must_use]
pub fn bare(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// The folder that lists a process's own descriptors.
#[cfg(unix)]
const DESCRIPTORS: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };

/// Has no child inherit a file descriptor beyond stdin, stdout and stderr. Ours are made so; those that we were started
/// with (a key's file, opened by a shell: `3<key`, `<(pass key)`) are not.
pub fn keep_descriptors() {
    #[cfg(unix)]
    for entry in std::fs::read_dir(DESCRIPTORS).into_iter().flatten().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number) = number.filter(|number: &i32| *number > 2) else { continue };
        close_on_exec(number);
    }
}

#[cfg(unix)]
fn close_on_exec(number: std::os::fd::RawFd) {
    use rustix::io::FdFlags;
    #[expect(unsafe_code, reason = "what we were started with has no owner yet that could be borrowed from")]
    // SAFETY: it lives for this call alone, closes nothing, and a number that is no descriptor is an error.
    let descriptor = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    // A descriptor that has been closed meanwhile isn't inherited.
    let _ = rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(withheld: &Withheld, variables: &[(&str, &str)]) -> Vec<String> {
        let variables: Vec<(OsString, OsString)> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        withheld.among(&variables).into_iter().map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_credential_is_withheld_and_so_is_each_copy_of_it_whatever_its_name() {
        let variables = [
            ("KEY", "sk-0123456789abcdef\n"),
            ("COPY", "sk-0123456789abcdef"),
            ("HEADERS", "authorization=Bearer sk-0123456789abcdef,x=y"),
            ("HALF", "sk-01234567"),
            ("SHORT", "ollama"),
            ("OTHER", "ollama"),
            ("PATH", "/home/sk-0123456789abcdef/bin"),
        ];
        let withheld = Withheld::credentials(["KEY", "SHORT"].map(str::to_owned));
        assert_eq!(among(&withheld, &variables), ["KEY", "COPY", "HEADERS", "SHORT"]);
    }

    #[test]
    fn a_part_is_withheld_by_its_name_alone_unless_no_program_can_do_without_it() {
        let variables = [("TENANT", "a-tenant-of-many-letters"), ("COPY", "a-tenant-of-many-letters"), ("HOME", "/h")];
        let withheld = Withheld::default().with_parts(["TENANT", "HOME", "XDG_RUNTIME_DIR"].map(str::to_owned));
        assert_eq!(among(&withheld, &variables), ["TENANT"]);
    }

    #[test]
    fn of_our_own_variables_only_those_without_a_secret_are_inherited() {
        let variables = [("UNDERSTUDY_LOG", "debug"), ("UNDERSTUDY_CONFIG", "/c"), ("UNDERSTUDY_TOKEN", "t")];
        assert_eq!(among(&Withheld::default(), &variables), ["UNDERSTUDY_TOKEN"]);
    }

    #[test]
    fn every_built_in_plugins_variables_are_known() {
        let variables = [("ANTHROPIC_API_KEY", "a"), ("OPENAI_API_KEY", "b"), ("GOOGLE_API_KEY", "c"), ("SHELL", "sh")];
        assert_eq!(among(&Withheld::built_in(), &variables), ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY"]);
    }
}
