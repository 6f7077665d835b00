//! Taking up changes while the program runs: of the config, and of the components that it names. Whole, or not at all.
//!
//! Everything is loaded anew beside what answers, and held against the kit's quick part; only then do the samplers change over, one after
//! the other without a pause. Requests in flight finish with what they began with.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `watch` | the folders that are watched for changes (feature `watch`) |

#[cfg(feature = "watch")]
mod watch;

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::check;
use crate::check::report::ConformanceReport;
use crate::config::{Aside, Config, ConfigError, Origin, Sampling};
use crate::environment::Environment;
use crate::runtime::{BuildError, Overrides, SharedResources, unanswered};
use crate::sampling::Sampler;
use crate::trust::TrustList;

/// A change is taken up when nothing has happened for this long: a file is seldom written at once. But not later than [`LATEST`].
const QUIET: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(2);

/// Why a change is not taken up.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The config, or a plugin that it names, can't be used.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The config that is loaded may not be used any more: it has changed, and isn't trusted as it is now.
    #[error("{0}")]
    Aside(Aside),
    /// The config that is loaded is gone.
    #[error("the config `{}` is gone", .0.display())]
    Gone(PathBuf),
    /// No [`SamplerBuilder`](crate::SamplerBuilder) made the sampler, so nothing says what to load.
    #[error("this sampler was not made by a builder, so it can't be loaded again")]
    NotBuilt,
    /// A plugin breaks a rule of the kit.
    #[error("the plugin `{plugin}` is not admitted, for it breaks the rule `{rule}`: {how}")]
    NotAdmitted {
        /// The plugin.
        plugin: String,
        /// The rule.
        rule: &'static str,
        /// What it did.
        how: String,
    },
}

impl From<ConfigError> for ReloadError {
    fn from(error: ConfigError) -> Self {
        Self::Build(error.into())
    }
}

/// A server's sampler, and where the rule for it is found.
#[derive(Debug, Clone)]
pub struct ServedSampler {
    /// Where the rule for the server is found.
    pub key: ServerKey,
    /// Its sampler.
    pub sampler: Arc<Sampler>,
}

/// Which rule of the config is a server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerKey {
    /// That of the server with this name.
    Configured(String),
    /// The global one: the user named the server, and the config doesn't have it.
    Named,
    /// The global one, for a server without a name: no decision about it is remembered.
    Unnamed,
}

impl ServerKey {
    /// The rule, with its variables looked up in `env`.
    ///
    /// # Errors
    /// [`ConfigError`] if the config has no such server, or a variable is missing.
    pub fn rule(&self, config: &Config, env: &Environment) -> Result<Option<Sampling>, ConfigError> {
        match self {
            Self::Configured(name) => Ok(config.server(name, |name| env.var(name))?.sampling),
            Self::Named => Ok(config.sampling().cloned()),
            Self::Unnamed => Ok(config.sampling_of_unnamed()),
        }
    }
}

/// Told of each config that is found again, before it is loaded: the config, the path of the one before, and the files that were left aside then.
pub type OnConfig = Box<dyn Fn(&Config, Option<&Path>, &[Aside]) + Send + Sync>;

/// The files that a config was loaded from, as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSnapshot {
    /// The config.
    config: Option<PathBuf>,
    /// The files that it was loaded from.
    files: Marks,
    /// The files that decide which config is used: those that were left aside, and the list of those that are trusted.
    trust: Marks,
    /// What was said of those that were left aside.
    aside: Vec<Aside>,
}

/// Files that are watched, and which file each was: another one, or the same with another content, has another mark.
type Marks = Vec<(PathBuf, Option<Mark>)>;

/// Device and inode, size, and when content and inode were changed.
type Mark = (u64, u64, u64, (i64, i64), (i64, i64));

/// Takes up what has changed.
pub struct Reloader {
    /// The config that the user names; without one, it is found anew each time.
    config_path: Option<PathBuf>,
    overrides: Overrides,
    served: Vec<ServedSampler>,
    shared: SharedResources,
    on_config: OnConfig,
    /// The files as they were when they were last looked at.
    seen: FileSnapshot,
    /// Whether they have been loaded so.
    loaded: bool,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("served", &self.served).field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Reloader {
    /// For samplers that were loaded from the config at `config_path` (or [`Config::find`] without one) since its files were `seen`.
    #[must_use]
    pub fn new(
        config_path: Option<PathBuf>,
        overrides: Overrides,
        seen: FileSnapshot,
        served: Vec<ServedSampler>,
        shared: SharedResources,
    ) -> Self {
        Self { config_path, overrides, served, shared, on_config: Box::new(|_, _, _| {}), seen, loaded: true }
    }

    /// Has `on_config` told of each config that is found again.
    #[must_use]
    pub fn on_config(self, on_config: OnConfig) -> Self {
        Self { on_config, ..self }
    }

    /// Takes up changes as they come (with the feature `watch`), and at once for each message of `told`. Never ends; what can't be taken up is
    /// logged as an error.
    pub async fn run(mut self, mut told: mpsc::Receiver<()>) {
        let (sender, mut changed) = mpsc::channel(1);
        #[cfg(not(feature = "watch"))]
        let _unwatched = sender;
        #[cfg(feature = "watch")]
        let mut watch = watch::Watch::new(sender);
        #[cfg(feature = "watch")]
        watch.follow(&self.seen);
        // There may have been changes while everything was loaded.
        self.keep_up(false, &mut changed).await;
        loop {
            #[cfg(feature = "watch")]
            watch.follow(&self.seen);
            let by_hand = tokio::select! {
                Some(()) = changed.recv() => {
                    settle(&mut changed).await;
                    false
                }
                Some(()) = told.recv() => true,
                else => return std::future::pending().await,
            };
            self.keep_up(by_hand, &mut changed).await;
        }
    }

    /// Takes up what has changed, and what changes meanwhile. Loading may take a minute (a component that is dear to compile): where one of the
    /// files is another one before that is done, it is left, and begun again with that.
    async fn keep_up(&mut self, mut by_hand: bool, changed: &mut mpsc::Receiver<()>) {
        loop {
            let watched = self.seen.files.iter().chain(&self.seen.trust);
            let begun: Marks = watched.map(|(path, _)| (path.clone(), mark(path))).collect();
            let mut heard = false;
            let outdated = async {
                while changed.recv().await.is_some() {
                    settle(changed).await;
                    heard = true;
                    if begun.iter().any(|(path, earlier)| mark(path) != *earlier) {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            };
            let is_outdated = tokio::select! {
                () = self.reload(by_hand) => false,
                () = outdated => true,
            };
            if !heard {
                return;
            }
            // What was begun is to be taken up even if the files look as they did then.
            by_hand = is_outdated;
        }
    }

    /// Takes up what has changed, if anything has.
    async fn reload(&mut self, by_hand: bool) {
        // As the files were before they are read: what changes meanwhile is noticed afterwards.
        let before = self.seen.now();
        let config = self.config();
        let mut seen = match &config {
            Ok(config) => self.snapshot(config),
            // It can't be read now, or isn't to be used; what it named before is still of interest.
            Err(_) => before.clone(),
        };
        seen.mark_as(&before);
        if seen == self.seen && !by_hand {
            return;
        }
        let known = std::mem::replace(&mut self.seen, seen);
        let outcome = match config {
            Ok(config) => {
                (self.on_config)(&config, known.config.as_deref(), &known.aside);
                // What is left aside may change as it likes.
                if self.loaded && self.seen.loads_the_same_as(&known) && !by_hand {
                    return;
                }
                self.change_over(&config).await
            }
            Err(error) => Err(error),
        };
        self.loaded = outcome.is_ok();
        if let Err(error) = outcome {
            tracing::error!("a change is not taken up, and the configuration before it stays in use: {error}");
        }
    }

    /// The config as it is now. One that was loaded is not given up for another because it has changed and isn't trusted, or is gone: a folder
    /// would choose by that.
    fn config(&self) -> Result<Config, ReloadError> {
        let config = Config::find(self.config_path.as_deref())?;
        if let Some(loaded) = self.seen.config.as_ref().filter(|loaded| config.path.as_ref() != Some(*loaded)) {
            if let Some(aside) = config.aside.iter().find(|aside| aside.path == *loaded) {
                return Err(ReloadError::Aside(aside.clone()));
            }
            if !loaded.exists() {
                return Err(ReloadError::Gone(loaded.clone()));
            }
        }
        Ok(config)
    }

    fn snapshot(&self, config: &Config) -> FileSnapshot {
        let keys = self.served.iter().map(|served| &served.key);
        FileSnapshot::of(config, &self.overrides, keys, self.shared.environment())
    }

    /// Loads everything by this config, and then changes over.
    async fn change_over(&mut self, config: &Config) -> Result<(), ReloadError> {
        let (overrides, shared) = (&self.overrides, &self.shared);
        shared.compile_in_background();
        let mut fresh = Vec::new();
        for ServedSampler { key, sampler } in &self.served {
            let rule = rule(config, overrides, key, shared.environment())?.unwrap_or_else(unanswered);
            let chain = shared.chain(config, &rule, overrides).await?;
            for link in &chain {
                admit(&check::quick(link).await)?;
            }
            let guards = shared.guards(config, &rule).await?;
            for guard in &guards {
                admit(&check::quick_guard(guard).await)?;
            }
            fresh.push((sampler, shared.sampler(config, sampler.server(), &rule, chain, guards)));
        }
        for (sampler, fresh) in fresh {
            let (before, after) = (sampler.plugins(), fresh.plugins());
            let (guarded, guards) = (sampler.guards(), fresh.guards());
            sampler.replace_with(&fresh);
            for (name, sha256) in after.iter().filter(|plugin| !before.contains(plugin)) {
                tracing::warn!(
                    server = sampler.server(),
                    sha256,
                    "the plugin `{name}` has changed, and answers from now on"
                );
            }
            for (name, sha256) in guards.iter().filter(|guard| !guarded.contains(guard)) {
                tracing::warn!(
                    server = sampler.server(),
                    sha256,
                    "the guard `{name}` has changed, and judges from now on"
                );
            }
        }
        tracing::info!("the change is taken up");
        Ok(())
    }
}

impl FileSnapshot {
    /// The files of these servers: the config's, those of the components that are used, and those that decide which config is used.
    pub fn of<'a>(
        config: &Config,
        overrides: &Overrides,
        keys: impl Iterator<Item = &'a ServerKey>,
        env: &Environment,
    ) -> Self {
        let mut files: BTreeSet<PathBuf> = config.path.clone().into_iter().collect();
        for key in keys {
            // What is wrong with a server or a plugin is found when it is loaded.
            let Some(rule) = rule(config, overrides, key, env).ok().flatten() else { continue };
            let of = |name: &String| Some(overrides.plugin(config, name, env).ok()?.watched()?.to_path_buf());
            files.extend(rule.plugins.iter().filter_map(of));
            let of = |name: &String| {
                let guard = config.guard(name, |name| env.var(name)).ok()?;
                Some(guard.component.watched()?.to_path_buf())
            };
            files.extend(rule.guards.iter().filter_map(of));
        }
        let mut trust: BTreeSet<PathBuf> = config.aside.iter().map(|aside| aside.path.clone()).collect();
        if config.origin == Origin::Folder || !trust.is_empty() {
            trust.extend(TrustList::of_user().and_then(|list| list.watched().map(Path::to_path_buf)));
            files.extend(config.covered().into_iter().filter(|_| config.origin == Origin::Folder));
        }
        let marks = |files: BTreeSet<PathBuf>| files.into_iter().map(|path| (path.clone(), mark(&path))).collect();
        Self { config: config.path.clone(), files: marks(files), trust: marks(trust), aside: config.aside.clone() }
    }

    /// The same files as they are now.
    fn now(&self) -> Self {
        let now = |marks: &Marks| marks.iter().map(|(path, _)| (path.clone(), mark(path))).collect();
        Self { files: now(&self.files), trust: now(&self.trust), ..self.clone() }
    }

    /// Takes for each file that was known before the mark that it had then.
    fn mark_as(&mut self, before: &Self) {
        for (path, mark) in self.files.iter_mut().chain(&mut self.trust) {
            if let Some((_, earlier)) = before.all().find(|(known, _)| known == path) {
                *mark = *earlier;
            }
        }
    }

    fn loads_the_same_as(&self, other: &Self) -> bool {
        self.config == other.config && self.files == other.files
    }

    /// All files that are watched.
    fn all(&self) -> impl Iterator<Item = &(PathBuf, Option<Mark>)> {
        self.files.iter().chain(&self.trust)
    }
}

/// The rule for a server's sampling requests.
fn rule(
    config: &Config,
    overrides: &Overrides,
    key: &ServerKey,
    env: &Environment,
) -> Result<Option<Sampling>, ConfigError> {
    Ok(overrides.rule(key.rule(config, env)?))
}

/// Which file it is; none if there is none.
fn mark(path: &Path) -> Option<Mark> {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        (found.mtime(), found.mtime_nsec()),
        (found.ctime(), found.ctime_nsec()),
    ))
}

/// A plugin that breaks a rule doesn't serve.
pub(crate) fn admit(report: &ConformanceReport) -> Result<(), ReloadError> {
    let Some((rule, how)) = report.breaches().next() else { return Ok(()) };
    Err(ReloadError::NotAdmitted { plugin: report.plugin.clone(), rule: rule.name(), how: how.join("; ") })
}

/// Waits until nothing more happens.
async fn settle(changed: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + LATEST;
    while Instant::now() < latest && timeout_at(Instant::now() + QUIET, changed.recv()).await.is_ok() {}
}
