//! Where environment variables are looked up.

use std::fmt;
use std::sync::Arc;

/// A source of environment variables.
///
/// The library reads the process's own variables, and those by which the system's tools choose a proxy and certificates (`HTTPS_PROXY`,
/// `SSL_CERT_FILE`), only through [`Environment::process`]. The default has no variables.
#[derive(Clone)]
pub struct Environment {
    /// `None` for the process's own.
    lookup: Option<Lookup>,
}

type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl Environment {
    /// The variables of this process. A variable whose value isn't Unicode counts as missing.
    #[must_use]
    pub fn process() -> Self {
        Self { lookup: None }
    }

    /// Variables that a function looks up by name.
    #[must_use]
    pub fn from_fn(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { lookup: Some(Arc::new(lookup)) }
    }

    /// The value of a variable.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<String> {
        match &self.lookup {
            Some(lookup) => lookup(name),
            None => std::env::var(name).ok(),
        }
    }

    /// Whether these are the variables of this process.
    #[must_use]
    pub fn is_process(&self) -> bool {
        self.lookup.is_none()
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::from_fn(|_| None)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("is_process", &self.is_process()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_processs_own_environment_has_the_processs_variables() {
        assert_eq!(Environment::process().var("PATH"), std::env::var("PATH").ok());
        assert_eq!(Environment::default().var("PATH"), None);
        let one = Environment::from_fn(|name| (name == "A").then(|| "b".to_owned()));
        assert_eq!((one.var("A").as_deref(), one.var("PATH")), (Some("b"), None));
    }
}
