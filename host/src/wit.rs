//! Generated code, and nothing else.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

wasmtime::component::bindgen!({
    path: "wit",
    world: "provider-plugin",
    exports: { default: async },
    require_store_data_send: true,
});

/// What the world `streaming-provider-plugin` has besides: a world of its own, so that both share the records.
pub mod streaming {
    wasmtime::component::bindgen!({
        inline: "package understudy:host; world streaming { export understudy:plugin/streaming@0.1.0; }",
        path: "wit",
        world: "understudy:host/streaming",
        with: { "understudy:plugin/types": super::understudy::plugin::types },
        exports: { default: async },
        require_store_data_send: true,
    });
}

/// The world `guard-plugin`: a world of its own, so that all share the records.
pub mod guard {
    wasmtime::component::bindgen!({
        inline: "package understudy:host; world guard { export understudy:plugin/guard@0.1.0; }",
        path: "wit",
        world: "understudy:host/guard",
        with: { "understudy:plugin/types": super::understudy::plugin::types },
        exports: { default: async },
        require_store_data_send: true,
    });
}

/// The world `handler-plugin`: a world of its own, so that all share the records.
pub mod handler {
    wasmtime::component::bindgen!({
        inline: "package understudy:host; world handler { export understudy:plugin/handler@0.1.0; }",
        path: "wit",
        world: "understudy:host/handler",
        with: { "understudy:plugin/types": super::understudy::plugin::types },
        exports: { default: async },
        require_store_data_send: true,
    });
}
