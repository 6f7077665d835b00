//! Bridges between the eras. Each looks like a peer of the relay's own era on its inner side.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `legacy_to_modern` | behind the relay: a stateful client, and a server of 2026-07-28 |
//! | `modern_to_legacy` | in front of the relay: a client of 2026-07-28, and a stateful server |

pub(super) mod legacy_to_modern;
pub(super) mod modern_to_legacy;

/// Whether the other side can still be told something.
type Open = Option<()>;
