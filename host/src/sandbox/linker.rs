//! What a component's imports are linked to: the inert WASI, `wasi:http` for a handler, and a trap for any other import.

use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Component, InstancePre, Linker, LinkerInstance, ResourceType};
use wasmtime::{Engine, Result};

use super::state::StoreData;
use super::world::{ComponentInfo, World, is_served};

pub(super) fn link(component: &Component, info: &ComponentInfo) -> Result<InstancePre<StoreData>> {
    let engine = component.engine();
    let mut linker = Linker::<StoreData>::new(engine);
    if !info.imports.is_empty() {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        let is_handler = info.world == Ok(World::Handler);
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

/// Defines the import as a trap that names it.
fn trap(
    engine: &Engine,
    linker: &mut LinkerInstance<'_, StoreData>,
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
    linker: &mut LinkerInstance<'_, StoreData>,
    instance: &ComponentInstance,
    name: &str,
) -> Result<()> {
    for (export, item) in instance.exports(engine) {
        trap(engine, linker, export, &item.ty, &format!("{name}#{export}"))?;
    }
    Ok(())
}
