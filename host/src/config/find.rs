//! The choice of the config: the file that the user names, else `understudy.json` of the current folder if the user trusts its content, else the
//! user's own.
//!
//! A file that may not be used is skipped, and one line of the log says so.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::effects::Effects;
use super::{Config, ConfigError, FILE_NAME, ServerConfig, expand, is_component, lock_file, model};
use crate::reference::SCHEME;
use crate::text::quoted;
use crate::trust::pins::Pins;
use crate::trust::{self, TrustList, Trusted, file};

/// How a config was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// There is none.
    #[default]
    Nowhere,
    /// The user named it.
    Named,
    /// It is the current folder's, and the user trusts it.
    Folder,
    /// It is the user's own, in the config folder.
    User,
}

/// A file that was found and isn't used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where it is.
    pub path: PathBuf,
    /// Why it isn't used.
    reason: String,
    /// What it would do, if it can be told.
    effects: Option<Effects>,
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string_lossy();
        write!(f, "`{}` is left aside, because {}", quoted(&path, 1000), self.reason)?;
        let Some(effects) = &self.effects else { return Ok(()) };
        // A path that a shell would take for more isn't one to be copied.
        let is_plain = path.chars().all(|c| c.is_alphanumeric() || "/._-+@:,=".contains(c));
        let argument = if is_plain { format!(" {path}") } else { String::new() };
        let there = if is_plain { "" } else { " in that folder" };
        write!(
            f,
            ": it would {}; `understudy trust{argument}`{there} shows all of it and allows it",
            effects.in_short()
        )
    }
}

impl Config {
    /// The config of this run: the given file, else `understudy.json` of the current folder if the user trusts it, else the one in the user's
    /// config folder, else none.
    ///
    /// # Errors
    /// If it is there, may be used, and can't be.
    pub fn find(given: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(path) = given {
            let text = fs::read_to_string(path);
            let text = text.map_err(|cause| ConfigError::Read { path: path.to_path_buf(), cause })?;
            return Ok(Self { origin: Origin::Named, ..Self::parse(&text, path)? });
        }
        let mut aside = Vec::new();
        for (origin, path) in places() {
            match Self::found(origin, &path)? {
                FoundConfig::Nothing => {}
                FoundConfig::Aside(found) => aside.push(found),
                FoundConfig::Config(config) => return Ok(Self { origin, aside, ..*config }),
            }
        }
        Ok(Self { aside, ..Self::default() })
    }

    /// Where a config is looked for when none is given.
    #[must_use]
    pub fn places() -> Vec<PathBuf> {
        places().into_iter().map(|(_, path)| path).collect()
    }

    /// Reads the file at this path, and decides whether it may be used.
    fn found(origin: Origin, path: &Path) -> Result<FoundConfig, ConfigError> {
        let aside = |reason: String| FoundConfig::Aside(Aside { path: path.to_path_buf(), reason, effects: None });
        let unread = |reason: String| {
            let cause = std::io::Error::other(reason);
            ConfigError::Read { path: path.to_path_buf(), cause }
        };
        let bytes = match file::read(path, file::LARGEST) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(FoundConfig::Nothing),
            Err(reason) if origin == Origin::User => return Err(unread(reason)),
            Err(reason) => return Ok(aside(reason)),
        };
        let text = String::from_utf8(bytes);
        let reason = match (origin, owned(path)) {
            (Origin::User, Ok(())) => {
                let text = text.map_err(|_| unread("it is not text".to_owned()))?;
                return Ok(FoundConfig::Config(Box::new(Self::parse(&text, path)?)));
            }
            (Origin::User, Err(reason)) => reason,
            _ => "it is not trusted".to_owned(),
        };
        let Ok(text) = text else { return Ok(aside("it is not text".to_owned())) };
        let reason = match trusted(path) {
            Ok(Some(trusted)) if trusted.sha256 == trust::sha256(text.as_bytes()) => {
                // The user trusts exactly this text, so its faults are errors.
                let config = Self::parse(&text, path)?;
                match config.held_to(&trusted) {
                    Ok(config) => return Ok(FoundConfig::Config(Box::new(config))),
                    Err(reason) => reason,
                }
            }
            Ok(Some(_)) => "it has changed since it was trusted".to_owned(),
            Ok(None) => reason,
            Err(unusable) => format!("{reason} ({unusable})"),
        };
        let effects = Effects::of_text(&text);
        let reason = if effects.is_none() { format!("{reason}, and is not valid JSON") } else { reason };
        Ok(FoundConfig::Aside(Aside { path: path.to_path_buf(), reason, effects }))
    }

    /// The config, with its files pinned to the digests of when it was trusted; or the first file that differs.
    fn held_to(self, trusted: &Trusted) -> Result<Self, String> {
        let was = Pins::new(trusted.files.clone());
        let shown = |path: &str| quoted(path, 1000);
        let now = Pins::of(self.covered()).map_err(|(path, reason)| {
            format!("`{}`, which belongs to it, can't be used: {reason}", shown(&path.to_string_lossy()))
        })?;
        match was.difference(&now) {
            Some(path) => Err(format!("`{}`, which belongs to it, has changed since it was trusted", shown(path))),
            None => Ok(Self { pins: Some(Arc::new(was)), ..self }),
        }
    }

    /// The local files that decide, with the config, what runs: the lock file, components, and the keys that sign components.
    #[must_use]
    pub fn covered(&self) -> BTreeSet<PathBuf> {
        let mut files: BTreeSet<PathBuf> = self.path.as_deref().map(lock_file).into_iter().collect();
        let env = |name: &str| std::env::var(name).ok();
        // What can't be expanded can't be loaded, either.
        let expanded = |text: &str| expand::text(text, env);
        let texts = |list: Option<&Value>| super::section::strings(list.unwrap_or(&Value::Null)).unwrap_or_default();
        let mut paths: Vec<String> = self.trust.iter().map(|key| key.to_string_lossy().into_owned()).collect();
        for plugin in self.plugins.values().chain(self.guards.values()) {
            let component = plugin.get("component").and_then(Value::as_str).and_then(expanded);
            paths.extend(component.filter(|path| !path.starts_with(SCHEME) && !path.starts_with(model::BUILT_IN)));
            paths.extend(texts(plugin.get(model::TRUST)).iter().filter_map(|key| expanded(key)));
        }
        paths.extend(self.plugins_of_rules().filter(|name| is_component(name) && !name.starts_with(SCHEME)));
        files.extend(paths.iter().map(|path| PathBuf::from(self.beside(path))));
        files
    }

    /// The names that the config's own rules have of plugins.
    fn plugins_of_rules(&self) -> impl Iterator<Item = String> {
        let env = |name: &str| std::env::var(name).ok();
        let rule = |(name, value): (&String, &Value)| {
            ServerConfig::parse(name, name, value.clone(), &mut Vec::new()).ok()?.sampling
        };
        let rules = self.servers.iter().filter_map(rule).chain(self.sampling.clone());
        rules.flat_map(|rule| rule.plugins).filter_map(move |name| expand::text(&name, env))
    }

    /// Whether a component's path stands in the config, and not on the command line.
    pub(super) fn names(&self, path: &str) -> bool {
        self.plugins_of_rules().any(|name| name == path || self.beside(&name) == path)
    }

    /// Keeps the trust in a config whose lock file was written by the user's own `plugin pull`.
    ///
    /// # Errors
    /// If that can't be kept.
    pub fn trust_lock(&self, lock: &Path, bytes: &[u8]) -> Result<(), String> {
        let (Some(pins), Some(path), Some(list)) = (&self.pins, &self.path, TrustList::of_user()) else {
            return Ok(());
        };
        let place = trust::place(path);
        let Some(mut trusted) = list.get(&place)? else { return Ok(()) };
        // Meanwhile the user may have trusted something else.
        if trusted.files != *pins.files() {
            return Ok(());
        }
        trusted.files.insert(lock.to_string_lossy().into_owned(), trust::sha256(bytes));
        list.record(&place, trusted)
    }

    /// Holds what was read of one of its files to what the user trusts.
    pub fn hold(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.pins.as_ref().map_or(Ok(()), |pins| pins.hold(path, bytes))
    }
}

/// The result of looking for a config at a path.
enum FoundConfig {
    Nothing,
    Aside(Aside),
    Config(Box<Config>),
}

/// The current folder, unless it is the user's config folder, and that one.
fn places() -> Vec<(Origin, PathBuf)> {
    let here = std::env::current_dir().ok().map(|folder| trust::place(&folder.join(FILE_NAME)));
    let user = dirs::config_dir().filter(|folder| folder.is_absolute());
    let user = user.map(|folder| folder.join("understudy").join(FILE_NAME));
    let here = here.filter(|here| user.as_deref().is_none_or(|user| trust::place(user) != *here));
    let here = here.map(|path| (Origin::Folder, path));
    here.into_iter().chain(user.map(|path| (Origin::User, path))).collect()
}

fn trusted(path: &Path) -> Result<Option<Trusted>, String> {
    TrustList::of_user().map_or(Ok(None), |list| list.get(&trust::place(path)))
}

/// Whether only the user, or root, can write the file: the file itself, its folder, and the folder of a link to it.
fn owned(path: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("it can't be read: {e}");
    let real = path.canonicalize().map_err(failed)?;
    for place in [path.parent(), Some(&real), real.parent()].into_iter().flatten() {
        let found = fs::metadata(place).map_err(failed)?;
        let (owner, mode) = (found.uid(), found.mode());
        let shown = quoted(&place.to_string_lossy(), 1000);
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(format!("`{shown}` belongs to another user"));
        }
        // In a sticky folder other users can't replace the file. A group with the id of its user has no other members.
        let sticky = found.is_dir() && mode & 0o1000 != 0;
        let by_group = mode & 0o020 != 0 && found.gid() != owner;
        if !sticky && (mode & 0o002 != 0 || by_group) {
            return Err(format!("others can write to `{shown}` (`chmod go-w` mends that)"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_a_file_that_nobody_else_can_write_is_the_users_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config").join(FILE_NAME);
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "{}").unwrap();
        let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(path.parent().unwrap(), 0o755);
        for (bits, own) in [(0o600, true), (0o644, true), (0o666, false), (0o602, false)] {
            mode(&path, bits);
            assert_eq!(owned(&path).is_ok(), own, "{bits:o}");
        }
        mode(&path, 0o644);
        for (bits, own) in [(0o777, false), (0o1777, true), (0o755, true)] {
            mode(path.parent().unwrap(), bits);
            assert_eq!(owned(&path).is_ok(), own, "{bits:o}");
        }
        let link = folder.path().join(FILE_NAME);
        symlink(&path, &link).unwrap();
        assert_eq!(owned(&link), Ok(()));
        mode(&path, 0o666);
        assert!(owned(&link).unwrap_err().contains("others can write to"));
    }

    #[test]
    fn the_files_that_decide_what_runs_are_covered() {
        let text = r#"{
            "trust": ["a.pub"],
            "sampling": ["./rule.wasm", "mine", "echo"],
            "mcpServers": { "s": { "command": "x", "sampling": "other.wasm" } },
            "plugins": {
                "mine": { "component": "x.wasm" }, "far": { "component": "oci://ghcr.io/a/b:1", "trust": ["b.pub"] },
                "odd": { "component": "${NOT_SET_ANYWHERE_AT_ALL}" }, "echo": {}
            }
        }"#;
        let config = Config::parse(text, Path::new("/p/understudy.json")).unwrap();
        let covered: Vec<String> = config.covered().iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let names = ["/p/./rule.wasm", "/p/a.pub", "/p/b.pub", "/p/other.wasm", "/p/understudy.lock", "/p/x.wasm"];
        let sorted: BTreeSet<PathBuf> = names.iter().map(PathBuf::from).collect();
        assert_eq!(covered, sorted.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>());
        assert!(config.names("/p/./rule.wasm") && config.names("/p/other.wasm") && !config.names("/p/typed.wasm"));
    }

    #[test]
    fn a_line_offers_no_path_that_a_shell_would_take_for_more() {
        let aside = |path: &str| {
            let effects = Some(Effects::of(&Value::Null));
            Aside { path: PathBuf::from(path), reason: "it is not trusted".to_owned(), effects }.to_string()
        };
        assert!(aside("/a/b.json").ends_with("; `understudy trust /a/b.json` shows all of it and allows it"));
        let odd = aside("/a;rm -rf x\n/b.json");
        assert!(odd.ends_with("; `understudy trust` in that folder shows all of it and allows it"), "{odd}");
        assert!(odd.starts_with("`/a;rm -rf x\\n/b.json` is left aside"), "{odd}");
    }
}
