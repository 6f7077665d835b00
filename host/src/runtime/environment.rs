//! Where environment variables are looked up.

use std::fmt;
use std::sync::Arc;

/// A source of environment variables. The default has none.
///
/// The library reads the process's own variables only through [`Environment::process`].
#[derive(Clone)]
pub struct Environment(Arc<dyn Fn(&str) -> Option<String> + Send + Sync>);

impl Environment {
    /// The variables of this process. A variable whose value isn't Unicode counts as missing.
    #[must_use]
    pub fn process() -> Self {
        Self::from_fn(|name| std::env::var(name).ok())
    }

    /// Variables that a function looks up by name.
    #[must_use]
    pub fn from_fn(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// The value of a variable.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::from_fn(|_| None)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
