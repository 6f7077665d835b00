//! What a component's imports are linked to: nothing if it has none, the inert WASI, `wasi:http` for a handler, and a trap for
//! any other.

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, InstancePre, Linker, LinkerInstance, ResourceType};
use wasmtime::{Engine, Result};

use super::state::State;
use super::world::{Shape, World};

/// The packages of WASI 0.2 that every toolchain's standard library imports.
const INERT: [&str; 6] = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// What a handler gets besides; a provider plugin does no I/O.
const HTTP: [&str; 2] = ["wasi:http/outgoing-handler@0.2.", "wasi:http/types@0.2."];

pub(super) fn link(component: &Component, shape: &Shape) -> Result<InstancePre<State>> {
    let engine = component.engine();
    let mut linker = Linker::<State>::new(engine);
    if !shape.imports.is_empty() {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let is_handler = shape.world == Ok(World::Handler);
        if is_handler {
            wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        }
        // `Linker::define_unknown_imports_as_traps` would do, if it knew that 0.2.0 is served by 0.2.12.
        for (name, import) in component.component_type().imports(engine) {
            if !is_served(name, is_handler) {
                trap(engine, &mut linker.root(), name, &import.ty, name)?;
            }
        }
    }
    linker.instantiate_pre(component)
}

/// Whether a plugin of either world gets what it imports under this name.
pub(super) fn is_served(import: &str, is_handler: bool) -> bool {
    is_inert(import) || is_handler && HTTP.iter().any(|http| import.starts_with(http))
}

fn is_inert(import: &str) -> bool {
    INERT.iter().any(|package| import.starts_with(package)) && import.contains("@0.2.")
}

/// Puts a trap that names the import in its place.
fn trap(
    engine: &Engine,
    linker: &mut LinkerInstance<'_, State>,
    name: &str,
    item: &ComponentItem,
    shown: &str,
) -> Result<()> {
    match item {
        ComponentItem::ComponentFunc(_) => {
            let shown = shown.to_owned();
            linker.func_new(name, move |_, _, _, _| {
                Err(wasmtime::Error::msg(format!(
                    "it called the import `{shown}`, which a plugin of its world doesn't get"
                )))
            })
        }
        ComponentItem::Resource(_) => linker.resource(name, ResourceType::host::<()>(), |_, _| Ok(())),
        ComponentItem::ComponentInstance(instance) => traps(engine, &mut linker.instance(name)?, instance, name),
        // Types need nothing; whatever else there is fails to link, and says so.
        _ => Ok(()),
    }
}

fn traps(
    engine: &Engine,
    linker: &mut LinkerInstance<'_, State>,
    instance: &ComponentInstance,
    name: &str,
) -> Result<()> {
    for (export, item) in instance.exports(engine) {
        trap(engine, linker, export, &item.ty, &format!("{name}#{export}"))?;
    }
    Ok(())
}
