//! Machine code in memory: once, however many plugins and servers have it, and no longer than the last of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use wasmtime::component::Component;

/// A component that is loaded.
pub(super) struct Loaded {
    /// What it is, so that another with the same key is the same.
    pub(super) key: String,
    pub(super) component: Component,
}

/// All that are loaded.
#[derive(Default)]
pub(super) struct Library(Mutex<HashMap<String, Weak<Loaded>>>);

impl Library {
    /// The component with this key, loaded unless it is already. Nobody waits meanwhile: who comes at the same time loads it, too, and then one
    /// of the two serves both.
    pub(super) fn get<E>(&self, key: String, load: impl FnOnce() -> Result<Component, E>) -> Result<Arc<Loaded>, E> {
        if let Some(loaded) = self.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(loaded);
        }
        let loaded = Arc::new(Loaded { key: key.clone(), component: load()? });
        let mut all = self.lock();
        if let Some(other) = all.get(&key).and_then(Weak::upgrade) {
            return Ok(other);
        }
        all.retain(|_, loaded| loaded.strong_count() > 0);
        all.insert(key, Arc::downgrade(&loaded));
        Ok(loaded)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Loaded>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;

    #[test]
    fn a_component_is_loaded_once_and_goes_with_the_last_who_has_it() {
        let (library, engine) = (Library::default(), Engine::default());
        let empty = || Component::new(&engine, b"\0asm\x0d\0\x01\0");
        let never = || -> wasmtime::Result<Component> { panic!("it is loaded already") };
        let first = library.get("a".to_owned(), empty).unwrap();
        let second = library.get("a".to_owned(), never).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let other = library.get("b".to_owned(), empty).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        drop((first, second));
        let again = library.get("a".to_owned(), empty).unwrap();
        assert_eq!(Arc::strong_count(&again), 1);
        drop((again, other));
        let last = library.get("c".to_owned(), empty).unwrap();
        assert_eq!(library.lock().keys().collect::<Vec<_>>(), ["c"]);
        drop(last);
    }
}
