//! A linked component of one of the worlds, and the config keys that go with that world.

use std::sync::Arc;

use wasmtime::component::InstancePre;

use super::World;
use super::exports::Exports;
use super::guard_world::GuardWorld;
use super::handler_world::HandlerWorld;
use super::state::StoreData;
use crate::config;
use crate::error::LoadError;
use crate::text::one_line;

/// A component, linked to its imports and ready to be instantiated, of one of the worlds.
pub(super) enum Linked {
    Provider(Arc<Exports>),
    Handler(HandlerWorld),
    Guard(GuardWorld),
}

impl Linked {
    pub(super) fn new(
        world: World,
        linked: InstancePre<StoreData>,
        config: &config::PluginConfig,
    ) -> Result<Self, LoadError> {
        let not_a_plugin = |e: wasmtime::Error| not_a_plugin(&config.name, one_line(&format!("{e:#}"), 500));
        match world {
            World::Provider { streaming } => {
                Ok(Self::Provider(Arc::new(Exports::find(linked, streaming).map_err(not_a_plugin)?)))
            }
            World::Handler => Ok(Self::Handler(HandlerWorld::new(linked, config, not_a_plugin)?)),
            World::Guard => Ok(Self::Guard(GuardWorld::new(linked).map_err(not_a_plugin)?)),
        }
    }
}

/// Refuses config keys that belong to plugins of another world.
pub(super) fn check_keys(config: &config::PluginConfig, world: World) -> Result<(), LoadError> {
    let wrong = |key, reason: &str| Err(LoadError::Key { name: config.name.clone(), key, reason: reason.to_owned() });
    let instead = "is for provider plugins, and this one is a handler: it makes its HTTP requests itself; name the origins that it may \
                   reach in `allow`";
    match world {
        World::Provider { .. } if config.allow.is_some() => wrong(
            "allow",
            "is for handler plugins, which make HTTP requests of their own, and this one is a provider: the host makes its \
             requests, to `endpoint`",
        ),
        World::Handler if config.endpoint.is_some() => wrong("endpoint", instead),
        World::Handler if !config.endpoints.is_empty() => wrong("endpoints", instead),
        World::Handler if config.credential.is_some() => {
            wrong("credential", "goes nowhere: this is a handler plugin, and `allow` names no origin")
        }
        // A guard's entry has no such key, and as a plugin it is refused.
        World::Provider { .. } | World::Handler | World::Guard => Ok(()),
    }
}

pub(super) fn not_a_plugin(name: &str, reason: String) -> LoadError {
    LoadError::World { name: name.to_owned(), reason }
}
