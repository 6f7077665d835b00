//! Machine code in memory: shared by all plugins with the same component, and freed with the last of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use wasmtime::component::Component;

/// A component whose machine code is in memory.
pub(super) struct LoadedComponent {
    /// Its key in the cache.
    pub(super) key: String,
    pub(super) component: Component,
}

/// The loaded components, weakly held.
#[derive(Default)]
pub(super) struct ComponentCache(Mutex<HashMap<String, Weak<LoadedComponent>>>);

impl ComponentCache {
    /// The component with this key, loaded unless it is already. The lock isn't held while it loads: a second caller loads it as well, and
    /// one of the two serves both.
    pub(super) fn get<E>(
        &self,
        key: String,
        load: impl FnOnce() -> Result<Component, E>,
    ) -> Result<Arc<LoadedComponent>, E> {
        if let Some(loaded) = self.lock().get(&key).and_then(Weak::upgrade) {
            return Ok(loaded);
        }
        let loaded = Arc::new(LoadedComponent { key: key.clone(), component: load()? });
        let mut all = self.lock();
        if let Some(other) = all.get(&key).and_then(Weak::upgrade) {
            return Ok(other);
        }
        all.retain(|_, loaded| loaded.strong_count() > 0);
        all.insert(key, Arc::downgrade(&loaded));
        Ok(loaded)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<LoadedComponent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;

    #[test]
    fn a_component_is_loaded_once_and_freed_with_its_last_user() {
        let (cache, engine) = (ComponentCache::default(), Engine::default());
        let empty = || Component::new(&engine, b"\0asm\x0d\0\x01\0");
        let never = || -> wasmtime::Result<Component> { panic!("it is loaded already") };
        let first = cache.get("a".to_owned(), empty).unwrap();
        let second = cache.get("a".to_owned(), never).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let other = cache.get("b".to_owned(), empty).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        drop((first, second));
        let again = cache.get("a".to_owned(), empty).unwrap();
        assert_eq!(Arc::strong_count(&again), 1);
        drop((again, other));
        let last = cache.get("c".to_owned(), empty).unwrap();
        assert_eq!(cache.lock().keys().collect::<Vec<_>>(), ["c"]);
        drop(last);
    }
}
