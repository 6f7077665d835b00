//! What a component is, by its exports and imports.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentInstance, ComponentItem};

const PACKAGE: &str = "understudy:plugin/";
const VERSION: &str = "@0.1.0";

/// What a component exports and imports.
#[derive(Debug, Clone)]
pub struct ComponentInfo {
    /// The world, or why it has none.
    pub world: Result<World, String>,
    /// The names of the imports that are more than types.
    pub imports: Vec<String>,
    /// The names of all exports.
    pub exports: Vec<String>,
}

/// The worlds of `wit/world.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// Exports `provider`.
    Provider {
        /// And `streaming`.
        streaming: bool,
    },
    /// Exports `handler`.
    Handler,
    /// Exports `guard`.
    Guard,
}

impl World {
    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider { streaming: false } => "provider",
            Self::Provider { streaming: true } => "provider, with streaming",
            Self::Handler => "handler",
            Self::Guard => "guard",
        }
    }
}

impl ComponentInfo {
    /// Whether it imports `wasi:http/outgoing-handler`.
    #[must_use]
    pub fn makes_requests(&self) -> bool {
        self.imports.iter().any(|import| import.starts_with("wasi:http/outgoing-handler@"))
    }

    /// The imports that a plugin of its world doesn't get: calling one traps.
    pub fn unserved(&self) -> impl Iterator<Item = &str> {
        let is_handler = self.world == Ok(World::Handler);
        self.imports.iter().map(String::as_str).filter(move |import| !is_served(import, is_handler))
    }

    pub(super) fn of(component: &Component) -> Self {
        let (engine, ty) = (component.engine(), component.component_type());
        let exports: Vec<String> = ty.exports(engine).map(|(name, _)| name.to_owned()).collect();
        let imports = ty
            .imports(engine)
            .filter(|(_, import)| match &import.ty {
                ComponentItem::ComponentInstance(instance) => is_more_than_types(engine, instance),
                ComponentItem::Type(_) => false,
                _ => true,
            })
            .map(|(name, _)| name.to_owned())
            .collect();
        Self { world: world(&exports), imports, exports }
    }
}

/// The packages of WASI 0.2 that every toolchain's standard library imports.
const INERT: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// What a handler gets besides; a provider plugin does no I/O.
const HTTP: [&str; 2] = ["wasi:http/outgoing-handler@0.2.", "wasi:http/types@0.2."];

/// Whether a plugin of either world gets an implementation of this import.
pub(super) fn is_served(import: &str, is_handler: bool) -> bool {
    is_inert(import) || is_handler && HTTP.iter().any(|http| import.starts_with(http))
}

fn is_inert(import: &str) -> bool {
    INERT.iter().any(|package| import.starts_with(package)) && import.contains("@0.2.")
}

fn is_more_than_types(engine: &Engine, instance: &ComponentInstance) -> bool {
    instance.exports(engine).any(|(_, export)| !matches!(export.ty, ComponentItem::Type(_)))
}

fn world(exports: &[String]) -> Result<World, String> {
    let has = |name: &str| exports.iter().any(|export| *export == format!("{PACKAGE}{name}{VERSION}"));
    match (has("provider"), has("handler"), has("guard")) {
        (true, false, false) => Ok(World::Provider { streaming: has("streaming") }),
        (false, true, false) => Ok(World::Handler),
        (false, false, true) => Ok(World::Guard),
        (true, true, false) => Err("it exports both `provider` and `handler`, and can only be one of them".to_owned()),
        (_, _, true) => {
            Err("it exports `guard` beside `provider` or `handler`, and can only be one of them".to_owned())
        }
        (false, false, false) => {
            let other = exports.iter().find(|export| export.starts_with(PACKAGE));
            Err(match other {
                Some(other) => format!("it exports `{other}`, and this host knows {PACKAGE}provider{VERSION}"),
                None if exports.is_empty() => "it exports nothing".to_owned(),
                None => {
                    let names = crate::text::list(exports.iter().take(5).map(String::as_str));
                    format!(
                        "it exports {names}, and neither `{PACKAGE}provider{VERSION}` nor `{PACKAGE}handler{VERSION}` nor \
                         `{PACKAGE}guard{VERSION}`"
                    )
                }
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(exports: &[&str]) -> Result<World, String> {
        world(&exports.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_world_is_known_by_its_exports_whatever_else_there_is() {
        let provider = "understudy:plugin/provider@0.1.0";
        let handler = "understudy:plugin/handler@0.1.0";
        assert_eq!(of(&["init", provider]), Ok(World::Provider { streaming: false }));
        assert_eq!(of(&[provider, "understudy:plugin/streaming@0.1.0"]), Ok(World::Provider { streaming: true }));
        assert_eq!(of(&["exports", handler]), Ok(World::Handler));
        assert!(of(&[provider, handler]).unwrap_err().contains("can only be one"));
        let guard = "understudy:plugin/guard@0.1.0";
        assert_eq!(of(&[guard, "exports"]), Ok(World::Guard));
        assert!(of(&[guard, provider]).unwrap_err().contains("can only be one"));
        assert!(of(&["understudy:plugin/provider@0.9.0"]).unwrap_err().contains("this host knows"));
        assert!(of(&["wasi:cli/run@0.2.0"]).unwrap_err().contains("it exports `wasi:cli/run@0.2.0`"));
    }
}
