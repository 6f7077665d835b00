//! Generated code, and nothing else.
#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "provider-plugin",
    pub_export_macro: true,
    export_macro_name: "export_provider_plugin",
    additional_derives: [PartialEq],
});

/// What the world `streaming-provider-plugin` has besides: a world of its own, so that both share the records.
pub mod streaming {
    wit_bindgen::generate!({
        inline: "package understudy:sdk; world streaming { export understudy:plugin/streaming@0.1.0; }",
        path: "../../wit",
        world: "understudy:sdk/streaming",
        pub_export_macro: true,
        export_macro_name: "export_streaming",
        with: { "understudy:plugin/types@0.1.0": crate::bindings::understudy::plugin::types },
        additional_derives: [PartialEq],
    });
}

/// The world `guard-plugin`: a world of its own, so that all share the records.
pub mod guard {
    wit_bindgen::generate!({
        inline: "package understudy:sdk; world guard { export understudy:plugin/guard@0.1.0; }",
        path: "../../wit",
        world: "understudy:sdk/guard",
        pub_export_macro: true,
        export_macro_name: "export_guard_world",
        with: { "understudy:plugin/types@0.1.0": crate::bindings::understudy::plugin::types },
        additional_derives: [PartialEq],
    });
}

/// The world `handler-plugin`: a world of its own, so that all share the records.
pub mod handler {
    wit_bindgen::generate!({
        inline: "package understudy:sdk; world handler { export understudy:plugin/handler@0.1.0; }",
        path: "../../wit",
        world: "understudy:sdk/handler",
        pub_export_macro: true,
        export_macro_name: "export_handler_world",
        with: { "understudy:plugin/types@0.1.0": crate::bindings::understudy::plugin::types },
        additional_derives: [PartialEq],
    });
}
