//! The wasm OCI artifact, as `wkg` and others have it: a manifest with a config, and the component as its only layer.
//! <https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/>

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::reference::Digest;

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of several manifests: accepted only for an error that names it.
pub(super) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
pub(super) const LAYER_TYPE: &str = "application/wasm";

/// A component, as its manifest has it.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// The layer of a manifest that holds the component, of at most `most` bytes (`limits.component`).
pub(crate) fn component(manifest: &[u8], most: usize) -> Result<Layer, String> {
    let manifest: Value =
        serde_json::from_slice(manifest).map_err(|e| format!("its manifest is not valid JSON: {e}"))?;
    let of = |holder: &Value, key: &str| holder.get(key).and_then(Value::as_str).map(str::to_owned);
    if manifest.get("manifests").is_some() {
        return Err("it is an index of several artifacts, and not one component".to_owned());
    }
    let config = manifest.get("config").and_then(|config| of(config, "mediaType")).unwrap_or_default();
    if config != CONFIG_TYPE {
        return Err(format!("it is no wasm component: its config is of the type `{config}`, not `{CONFIG_TYPE}`"));
    }
    let layers = manifest.get("layers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let [layer] = layers else { return Err(format!("it has {} layers, and a component is one", layers.len())) };
    let media_type = of(layer, "mediaType").unwrap_or_default();
    if media_type != LAYER_TYPE {
        return Err(format!("its layer is of the type `{media_type}`, not `{LAYER_TYPE}`"));
    }
    let digest = of(layer, "digest").and_then(|digest| Digest::parse(&digest));
    let size = layer.get("size").and_then(Value::as_u64);
    match (digest, size) {
        (Some(_), Some(size)) if size > most as u64 => {
            Err(format!("it has {size} bytes, more than `limits.component` allows ({most})"))
        }
        (Some(digest), Some(size)) => Ok(Layer { digest, size }),
        _ => Err("its layer has no SHA-256 digest, or no size".to_owned()),
    }
}

/// What is pushed: a component, and what is said of it.
pub struct Artifact {
    /// The component.
    pub component: Vec<u8>,
    /// What it exports.
    pub exports: Vec<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// Its author's name.
    pub author: Option<String>,
    /// The name that other tools give the file.
    pub title: String,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// The config, made at this time.
    pub(super) fn config(&self, now: SystemTime) -> Value {
        json!({
            "created": humantime::format_rfc3339_seconds(now).to_string(),
            "author": self.author,
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [Digest::of(&self.component).to_string()],
            "component": { "exports": self.exports, "imports": self.imports, "target": null },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(manifest: &Value) -> Result<Layer, String> {
        component(manifest.to_string().as_bytes(), 9)
    }

    #[test]
    fn only_a_component_is_one() {
        let digest = Digest::of(b"component").to_string();
        let layer = json!({ "mediaType": LAYER_TYPE, "digest": digest, "size": 9 });
        let fine = json!({ "config": { "mediaType": CONFIG_TYPE }, "layers": [layer] });
        let found = of(&fine).unwrap();
        assert_eq!((found.digest.to_string(), found.size), (digest, 9));
        let with = |pointer: &str, value: Value| {
            let mut manifest = fine.clone();
            *manifest.pointer_mut(pointer).unwrap() = value;
            of(&manifest).unwrap_err()
        };
        assert!(
            with("/config/mediaType", json!("application/vnd.oci.image.config.v1+json")).contains("no wasm component")
        );
        assert!(with("/layers", json!([layer, layer])).contains("it has 2 layers"));
        assert!(with("/layers/0/mediaType", json!("text/plain")).contains("of the type `text/plain`"));
        assert!(with("/layers/0/digest", json!("sha256:../../etc")).contains("no SHA-256 digest"));
        assert!(with("/layers/0/size", json!(-1)).contains("no size"));
        assert!(with("/layers/0/size", json!(10)).contains("more than `limits.component` allows (9)"));
        assert!(of(&json!({ "manifests": [] })).unwrap_err().contains("an index of several"));
        assert!(component(b"{", 9).unwrap_err().contains("not valid JSON"));
    }
}
