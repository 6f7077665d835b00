//! The two worlds: how a plugin of either is called, and what the config may say of it.

use std::sync::Arc;

use wasmtime::component::InstancePre;

use super::World;
use super::exports::Exports;
use super::handler::Handler;
use super::state::State;
use crate::config;
use crate::error::LoadError;
use crate::text::one_line;

/// How a plugin of either world is called.
pub(super) enum Kind {
    Provider(Arc<Exports>),
    Handler(Handler),
}

impl Kind {
    pub(super) fn new(world: World, linked: InstancePre<State>, config: &config::Plugin) -> Result<Self, LoadError> {
        let not_ours = |e: wasmtime::Error| not_ours(&config.name, one_line(&format!("{e:#}"), 500));
        match world {
            World::Provider { streaming } => {
                Ok(Self::Provider(Arc::new(Exports::find(linked, streaming).map_err(not_ours)?)))
            }
            World::Handler => Ok(Self::Handler(Handler::new(linked, config, not_ours)?)),
        }
    }
}

/// Refuses what the config says of a plugin of the other world.
pub(super) fn check_keys(config: &config::Plugin, world: World) -> Result<(), LoadError> {
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
        World::Provider { .. } | World::Handler => Ok(()),
    }
}

pub(super) fn not_ours(name: &str, reason: String) -> LoadError {
    LoadError::World { name: name.to_owned(), reason }
}
