//! Which of two manifests is the older one, by what they say of themselves.
//!
//! A signature proves who made a component, not that it is the latest: moving a tag back brings back faults that have been mended.

use std::time::SystemTime;

use semver::Version;
use serde_json::Value;

/// When it was made (RFC 3339).
pub(super) const CREATED: &str = "org.opencontainers.image.created";
/// Its author's number.
const VERSION: &str = "org.opencontainers.image.version";

/// In words, if a manifest says that it is older than the one before.
pub(crate) fn is_older(now: &[u8], before: &[u8]) -> Option<String> {
    let [now, before] = [now, before].map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap_or_default());
    let said = |key: &str| Some([said(&now, key)?, said(&before, key)?]);
    let made = said(CREATED).and_then(|[now, before]| Some(((time(&now)?, now), (time(&before)?, before))));
    let words = |now: &str, before: &str| format!("it is of {now}, and the one that the lock file pins of {before}");
    if let Some(((at, now), (was, before))) = made {
        return (at < was).then(|| words(&now, &before));
    }
    let [now, before] = said(VERSION)?;
    let number = |text: &str| Version::parse(text.trim_start_matches('v')).ok();
    (number(&now)? < number(&before)?).then(|| words(&format!("version {now}"), &format!("version {before}")))
}

fn said(manifest: &Value, key: &str) -> Option<String> {
    let text = manifest.get("annotations")?.get(key)?.as_str()?;
    Some(crate::text::one_line(text, 60))
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_made_before_or_has_a_lower_number_is_older() {
        let of = |created: Option<&str>, version: Option<&str>| {
            json!({ "annotations": { CREATED: created, VERSION: version } }).to_string().into_bytes()
        };
        let older = |now: &[u8], before: &[u8]| is_older(now, before).is_some();
        let (first, second) = (Some("2026-01-01T00:00:00Z"), Some("2026-01-02T00:00:00Z"));
        assert!(older(&of(first, None), &of(second, None)));
        assert!(!older(&of(second, None), &of(first, None)) && !older(&of(first, None), &of(first, None)));
        assert!(older(&of(None, Some("1.9.0")), &of(None, Some("v1.10.0"))));
        assert!(older(&of(None, Some("2.0.0-rc.1")), &of(None, Some("2.0.0"))));
        // A mended 1.x may come after 2.0.
        assert!(!older(&of(second, Some("1.9.1")), &of(first, Some("2.0.0"))));
        for (now, before) in [(of(None, None), of(second, None)), (of(Some("x"), Some("y")), of(second, Some("1.0.0")))]
        {
            assert!(!older(&now, &before));
        }
        assert!(!older(b"{", b"[]"));
    }
}
