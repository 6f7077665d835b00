//! Taking up what has changed while we run: the config, and the components that it names. Whole, or not at all.
//!
//! Everything is loaded anew beside what answers, and held against the kit's quick part; only then do the samplers change over, one after
//! the other without a pause. Requests in flight finish with what they began with.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::stage::{self, Common};
use super::{Global, SamplingArgs, trust};
use crate::check;
use crate::check::report::ConformanceReport;
use crate::config::{Aside, Config, ConfigError, Mode, Origin, Sampling};
use crate::sampling::Sampler;
use crate::trust::TrustList;

/// A change is taken up when nothing has happened for this long: who writes a file seldom does it at once. But not later than that.
const QUIET: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(2);

/// Who answers for one server, and where the rule for that is found.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    pub(crate) key: Key,
    pub(crate) sampler: Arc<Sampler>,
}

/// A server's name in the config, if it is there.
pub(crate) type Key = Option<String>;

/// What has been loaded was found so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
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
pub(crate) struct Reloader {
    global: Global,
    typed: SamplingArgs,
    served: Vec<Served>,
    common: Common,
    /// The files as they were when they were last looked at.
    seen: Seen,
    /// Whether they have been loaded so.
    loaded: bool,
}

impl Reloader {
    /// What was typed, and what has been loaded since the files were seen so.
    pub(crate) fn new(global: &Global, typed: &SamplingArgs, seen: Seen, served: Vec<Served>, common: Common) -> Self {
        Self { global: global.clone(), typed: typed.clone(), served, common, seen, loaded: true }
    }

    /// Takes up changes as they come, and at once when told to. Never ends.
    pub(crate) async fn run(mut self, mut told: mpsc::Receiver<()>) {
        let (sender, mut changed) = mpsc::channel(1);
        let mut watch = Watch::new(sender);
        watch.follow(&self.seen);
        // There may have been changes while everything was loaded.
        self.keep_up(false, &mut changed).await;
        loop {
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
            Ok(config) => look(config, &self.typed, self.served.iter().map(|served| &served.key)),
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
                trust::announce_news(&config, known.config.as_deref(), &known.aside);
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
            tracing::error!("a change is not taken up, and what was loaded before goes on: {error:#}");
        }
    }

    /// The config as it is now. One that was loaded is not given up for another because it has changed and isn't trusted, or is gone: a folder
    /// would choose by that.
    fn config(&self) -> Result<Config> {
        let config = Config::find(self.global.config.as_deref())?;
        if let Some(loaded) = self.seen.config.as_ref().filter(|loaded| config.path.as_ref() != Some(*loaded)) {
            if let Some(aside) = config.aside.iter().find(|aside| aside.path == *loaded) {
                bail!("{aside}");
            }
            if !loaded.exists() {
                bail!("the config `{}` is gone", loaded.display());
            }
        }
        Ok(config)
    }

    /// Loads everything by this config, and then changes over.
    async fn change_over(&mut self, config: &Config) -> Result<()> {
        let mut fresh = Vec::new();
        for Served { key, sampler } in &self.served {
            let rule = rule(config, &self.typed, key)?.unwrap_or_else(nobody);
            let chain = stage::chain(config, &rule, &self.typed, &mut self.common).await?;
            for link in &chain {
                admit(&check::quick(link).await)?;
            }
            fresh.push((sampler, stage::sampler(config, sampler.server(), &rule, chain, &self.common)));
        }
        for (sampler, fresh) in fresh {
            let (before, after) = (sampler.plugins(), fresh.plugins());
            sampler.replace_with(&fresh);
            for (name, sha256) in after.iter().filter(|plugin| !before.contains(plugin)) {
                tracing::warn!(
                    server = sampler.server(),
                    sha256,
                    "the plugin `{name}` has changed, and answers from now on"
                );
            }
        }
        tracing::info!("the change is taken up");
        Ok(())
    }
}

impl Seen {
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

/// The files of these servers: the config's, those of the components that are used, and those that decide which config is used.
pub(crate) fn look<'a>(config: &Config, typed: &SamplingArgs, keys: impl Iterator<Item = &'a Key>) -> Seen {
    let mut files: BTreeSet<PathBuf> = config.path.clone().into_iter().collect();
    for key in keys {
        // What is wrong with a server or a plugin is found when it is loaded.
        let plugins = rule(config, typed, key).ok().flatten().map(|rule| rule.plugins).unwrap_or_default();
        let of = |name: &String| Some(stage::configured(config, name, typed).ok()?.watched()?.to_path_buf());
        files.extend(plugins.iter().filter_map(of));
    }
    let mut trust: BTreeSet<PathBuf> = config.aside.iter().map(|aside| aside.path.clone()).collect();
    if config.origin == Origin::Folder || !trust.is_empty() {
        trust.extend(TrustList::of_user().and_then(|list| list.watched().map(Path::to_path_buf)));
        files.extend(config.covered().into_iter().filter(|_| config.origin == Origin::Folder));
    }
    let marks = |files: BTreeSet<PathBuf>| files.into_iter().map(|path| (path.clone(), mark(&path))).collect();
    Seen { config: config.path.clone(), files: marks(files), trust: marks(trust), aside: config.aside.clone() }
}

/// The rule for a server's sampling requests.
fn rule(config: &Config, typed: &SamplingArgs, key: &Key) -> Result<Option<Sampling>, ConfigError> {
    let configured = match key {
        Some(name) => config.server(name, stage::env)?.sampling,
        None => config.sampling().cloned(),
    };
    Ok(stage::rule_of(typed, configured))
}

/// The rule where nobody answers.
pub(crate) fn nobody() -> Sampling {
    Sampling { mode: Mode::Off, ..Sampling::by(Vec::new()) }
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

/// `SIGHUP`s, by which a user says that something has changed.
pub(crate) fn hang_ups() -> std::io::Result<mpsc::Receiver<()>> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            // One that waits to be heard is enough.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}

/// A plugin that breaks a rule doesn't serve.
fn admit(report: &ConformanceReport) -> Result<()> {
    let Some((rule, how)) = report.breaches().next() else { return Ok(()) };
    bail!(
        "the plugin `{}` is not admitted, for it breaks the rule `{}`: {}",
        report.plugin,
        rule.name(),
        how.join("; ")
    )
}

/// Waits until nothing more happens.
async fn settle(changed: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + LATEST;
    while Instant::now() < latest && timeout_at(Instant::now() + QUIET, changed.recv()).await.is_ok() {}
}

/// The folders that files are watched in: a file that is replaced, or a link that is turned, is another one.
struct Watch {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    names: Names,
}

/// The names of the files that are watched.
type Names = Arc<Mutex<HashSet<OsString>>>;

impl Watch {
    fn new(changed: mpsc::Sender<()>) -> Self {
        let names = Names::default();
        let watched = Arc::clone(&names);
        let tell = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| matters(&event, &watched)) {
                // One that waits to be heard is enough.
                let _ = changed.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell);
        let failed =
            |e: &notify::Error| tracing::warn!("changes are taken up on SIGHUP only, for files can't be watched: {e}");
        Self { watcher: watcher.inspect_err(failed).ok(), folders: BTreeSet::new(), names }
    }

    /// Watches these files from now on, and no others.
    fn follow(&mut self, files: &Seen) {
        let Some(watcher) = &mut self.watcher else { return };
        let real = |path: &Path| path.canonicalize().ok();
        let all: Vec<PathBuf> = files.all().flat_map(|(path, _)| [Some(path.clone()), real(path)]).flatten().collect();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) =
            all.iter().filter_map(|path| path.file_name()).map(ToOwned::to_owned).collect();
        let wanted: BTreeSet<PathBuf> = all.iter().filter_map(|path| folder(path)).collect();
        for gone in self.folders.difference(&wanted) {
            // It may be there no more.
            let _ = watcher.unwatch(gone);
        }
        for new in wanted.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!("`{}` can't be watched for changes: {error}", new.display());
            }
        }
        self.folders = wanted;
    }
}

/// Whether a file that is watched may be another one now. What is written into others in its folder (a log, say) is of no interest; what
/// is renamed there may be a link on its way.
fn matters(event: &Event, watched: &Names) -> bool {
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => {
            let watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
            event.paths.iter().filter_map(|path| path.file_name()).any(|name| watched.contains(name))
        }
        _ => true,
    }
}

/// The folder of a file.
fn folder(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() })
}
