//! A component's bytes.

use std::io::Read;

use crate::config;
use crate::error::LoadError;

/// The component's bytes.
pub(super) fn read(config: &config::Plugin) -> Result<Vec<u8>, LoadError> {
    if let Some(built_in) = config.built_in() {
        let found = understudy_plugins::find(built_in).map(|plugin| plugin.component.to_vec());
        return found.ok_or_else(|| LoadError::World {
            name: config.name.clone(),
            reason: format!("there is no built-in plugin `{built_in}`"),
        });
    }
    let failed = |cause| LoadError::Read { path: config.component.clone(), cause };
    if !std::fs::metadata(&config.component).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("it is not a file")));
    }
    // One byte more than allowed is enough to tell.
    let most = u64::try_from(config.limits.component).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&config.component).map_err(failed)?;
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A digest in words.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
