//! The two worlds: how a plugin of either is called, and what the config may say of it.

use wasmtime::component::InstancePre;

use super::World;
use super::bindings::ProviderPluginPre;
use super::bindings::streaming::StreamingPre;
use super::handler::Handler;
use super::state::State;
use crate::config;
use crate::error::LoadError;
use crate::text::one_line;

/// How a plugin of either world is called.
pub(super) enum Kind {
    Provider {
        pre: ProviderPluginPre<State>,
        /// If it can stream.
        streaming: Option<StreamingPre<State>>,
    },
    Handler(Handler),
}

impl Kind {
    pub(super) fn new(world: World, linked: InstancePre<State>, config: &config::Plugin) -> Result<Self, LoadError> {
        let not_ours = |e: wasmtime::Error| not_ours(&config.name, one_line(&format!("{e:#}"), 500));
        match world {
            World::Provider { streaming } => {
                let streaming = streaming.then(|| StreamingPre::new(linked.clone())).transpose().map_err(not_ours)?;
                Ok(Self::Provider { pre: ProviderPluginPre::new(linked).map_err(not_ours)?, streaming })
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
