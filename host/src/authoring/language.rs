//! The languages that have a template.

use std::fmt;
use std::str::FromStr;

use crate::text::{did_you_mean, list};

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust, with the guest crate `understudy-plugin`.
    Rust,
    /// TypeScript, by `QuickJS`.
    TypeScript,
    /// JavaScript, by `QuickJS`; a handler by `SpiderMonkey`, which has `fetch`.
    JavaScript,
    /// Python, by `CPython`.
    Python,
    /// Go.
    Go,
    /// C.
    C,
}

/// The world of a new plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NewWorld {
    /// Conversion alone: the host makes the HTTP requests.
    #[default]
    Provider,
    /// The whole answer, with HTTP requests of its own.
    Handler,
    /// Judging requests and answers.
    Guard,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Rust, Self::TypeScript, Self::JavaScript, Self::Python, Self::Go, Self::C];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::TypeScript => "typescript",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Go => "go",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = match text.to_lowercase().as_str() {
            "rs" => "rust".to_owned(),
            "ts" => "typescript".to_owned(),
            "js" => "javascript".to_owned(),
            "py" => "python".to_owned(),
            "golang" => "go".to_owned(),
            other => other.to_owned(),
        };
        let names = || Self::ALL.iter().map(|language| language.name());
        Self::ALL.into_iter().find(|language| language.name() == wanted).ok_or_else(|| {
            let hint = did_you_mean(&wanted, names());
            format!("there is no template for `{text}`{hint}; there are {}", list(names()))
        })
    }
}

impl FromStr for NewWorld {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "provider" => Ok(Self::Provider),
            "handler" => Ok(Self::Handler),
            "guard" => Ok(Self::Guard),
            _ => {
                let hint = did_you_mean(text, ["provider", "handler", "guard"]);
                Err(format!("must be `provider`, `handler` or `guard`{hint}"))
            }
        }
    }
}
