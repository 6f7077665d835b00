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
