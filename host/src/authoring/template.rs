//! Creating a new plugin's folder. The templates are the examples in `examples/plugins`, which build where they are. The files of this repository
//! that they refer to are copied into the new folder.

mod parts;

use std::path::{Path, PathBuf};

use super::contract::{ContractError, write};
use super::language::{Language, NewWorld};

/// A new plugin.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// Its name, and that of its folder.
    pub name: String,
    /// The language that it is written in.
    pub language: Language,
    /// Its world.
    pub world: NewWorld,
}

/// Why a folder can't be created.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The path exists already.
    #[error("`{folder}` exists already; choose another name, or remove it first")]
    Exists {
        /// The folder.
        folder: String,
    },
    /// The name isn't valid in every language.
    #[error("`{name}` can't be a plugin's name: {reason}; an example of one is `my-provider`")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no such template.
    #[error(
        "there is no template for a handler in {language}, only in `rust` and `javascript`; a provider can be begun in every language (leave `--world` out), and \
         the contract of handlers is in `wit/handler.wit`"
    )]
    NoHandler {
        /// The language.
        language: Language,
    },
    /// There is no such template of a guard.
    #[error(
        "there is no template for a guard in {language}, only in `rust` and `python`; the contract of guards is in `wit/guard.wit`, which \
         every language with component tooling can export"
    )]
    NoGuard {
        /// The language.
        language: Language,
    },
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] ContractError),
}

/// A file of a template: its path and its content.
type File = (&'static str, &'static str);

/// Texts to replace: the examples' names, and their references to files outside of their folders.
const EXAMPLE: &str = "example-plugin";
const EXAMPLE_IN_SNAKE_CASE: &str = "example_plugin";
const MOVED: [(&str, &str); 5] = [
    ("../../../plugins/sdk", "sdk/understudy-plugin"),
    ("../../../wit", "wit"),
    ("../fixtures", "fixtures"),
    ("../guard-fixtures", "fixtures"),
    // The handler's example has a name of its own.
    ("javascript-handler", EXAMPLE),
];

const IGNORED: &str = "/target/\n/build/\n/bindings/\n*.wasm\n.venv/\nnode_modules/\n__pycache__/\n";

/// Names that compilers or their libraries use.
const TAKEN: [&str; 12] = [
    "alloc",
    "build",
    "core",
    "fixtures",
    "main",
    "sdk",
    "serde",
    "serde-json",
    "std",
    "test",
    "understudy-plugin",
    "wit",
];

impl Beginning {
    /// Creates the folder in `into`, and returns its path.
    ///
    /// # Errors
    /// If the name isn't valid, there is no such template, or the path exists already.
    pub fn write(&self, into: &Path) -> Result<PathBuf, TemplateError> {
        self.check()?;
        let folder = into.join(&self.name);
        if folder.symlink_metadata().is_ok() {
            return Err(TemplateError::Exists { folder: folder.display().to_string() });
        }
        for (path, content) in self.files()? {
            write(&folder.join(path), self.fill(content).as_bytes())?;
        }
        // Files of the contract and of the guest crate are copied unchanged.
        for (path, content) in self.as_they_are() {
            write(&folder.join(path), content.as_bytes())?;
        }
        Ok(folder)
    }

    /// The command that builds it, in its folder.
    #[must_use]
    pub fn build_command(&self) -> &'static str {
        match (self.world, self.language) {
            (NewWorld::Handler, Language::JavaScript) => "npm ci && npm run build",
            _ => "make",
        }
    }

    /// The component that this command makes.
    #[must_use]
    pub fn component(&self) -> String {
        match (self.world, self.language) {
            (NewWorld::Handler, Language::JavaScript) => "plugin.wasm".to_owned(),
            _ => format!("{}.wasm", self.name),
        }
    }

    fn check(&self) -> Result<(), TemplateError> {
        let wrong = |reason| Err(TemplateError::Name { name: self.name.clone(), reason });
        let name = self.name.as_str();
        let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return wrong("it must begin with a letter from `a` to `z`");
        }
        if !name.chars().all(is_fine) {
            return wrong("it may hold the letters from `a` to `z`, digits, and `-`");
        }
        if name.ends_with('-') || name.contains("--") {
            return wrong("a `-` must stand between two other characters");
        }
        if name.len() > 64 {
            return wrong("it is longer than 64 characters");
        }
        if TAKEN.contains(&name) || syn_keyword(name) {
            return wrong("a compiler or a library has the name already");
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<File>, TemplateError> {
        let files = match (self.world, self.language) {
            (NewWorld::Provider, Language::Rust) => parts::RUST,
            (NewWorld::Provider, Language::TypeScript) => parts::TYPESCRIPT,
            (NewWorld::Provider, Language::JavaScript) => parts::JAVASCRIPT,
            (NewWorld::Provider, Language::Python) => parts::PYTHON,
            (NewWorld::Provider, Language::Go) => parts::GO,
            (NewWorld::Provider, Language::C) => parts::C,
            (NewWorld::Handler, Language::JavaScript) => parts::JAVASCRIPT_HANDLER,
            (NewWorld::Handler, Language::Rust) => parts::RUST_HANDLER,
            (NewWorld::Guard, Language::Rust) => parts::RUST_GUARD,
            (NewWorld::Guard, Language::Python) => parts::PYTHON_GUARD,
            (NewWorld::Guard, language) => return Err(TemplateError::NoGuard { language }),
            (NewWorld::Handler, language) => return Err(TemplateError::NoHandler { language }),
        };
        Ok(files.iter().copied().chain([(".gitignore", IGNORED)]).collect())
    }

    fn as_they_are(&self) -> impl Iterator<Item = File> {
        let fixtures = match self.world {
            NewWorld::Provider => parts::FIXTURES,
            NewWorld::Guard => parts::GUARD_FIXTURES,
            NewWorld::Handler => &[],
        };
        let sdk = if self.language == Language::Rust {
            [parts::SDK, parts::SDK_PLUGIN, parts::SDK_MCP_TYPES]
        } else {
            [&[][..]; 3]
        };
        [parts::WIT, fixtures].into_iter().chain(sdk).flatten().copied()
    }

    fn fill(&self, content: &str) -> String {
        let moved = MOVED.iter().fold(content.to_owned(), |text, (from, to)| text.replace(from, to));
        moved.replace(EXAMPLE, &self.name).replace(EXAMPLE_IN_SNAKE_CASE, &self.name.replace('-', "_"))
    }
}

/// Whether the word is a keyword of Rust. The other templates use the name in strings only.
fn syn_keyword(name: &str) -> bool {
    const WORDS: [&str; 44] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
        "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
        "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super",
        "trait", "true", "type", "use", "where",
    ];
    WORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(name: &str) -> Beginning {
        Beginning { name: name.to_owned(), language: Language::Rust, world: NewWorld::Provider }
    }

    #[test]
    fn a_name_is_one_that_every_language_takes() {
        for name in ["a", "my-provider", "gpt4all", "x-1"] {
            assert!(beginning(name).check().is_ok(), "{name}");
        }
        for name in ["", "-a", "a-", "a--b", "A", "ä", "1a", "a_b", "a/b", "..", "test", "fn", &"a".repeat(65)] {
            assert!(beginning(name).check().is_err(), "{name}");
        }
    }

    #[test]
    fn no_template_refers_to_what_is_not_in_the_new_folder() {
        for language in Language::ALL {
            for world in [NewWorld::Provider, NewWorld::Handler, NewWorld::Guard] {
                let beginning = Beginning { name: "my-own".to_owned(), language, world };
                for (path, content) in beginning.files().unwrap_or_default() {
                    let filled = beginning.fill(content);
                    assert!(!filled.contains("../"), "{language} {path}: {filled}");
                    assert!(
                        !filled.contains("example-plugin") && !filled.contains("example_plugin"),
                        "{language} {path}"
                    );
                }
            }
        }
    }
}
