//! The folders that files are watched in: a file that is replaced, or a link that is turned, is another one.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::FileSnapshot;

/// The folders that files are watched in: a file that is replaced, or a link that is turned, is another one.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    names: Names,
}

/// The names of the files that are watched.
type Names = Arc<Mutex<HashSet<OsString>>>;

impl Watch {
    pub(super) fn new(changed: mpsc::Sender<()>) -> Self {
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
    pub(super) fn follow(&mut self, files: &FileSnapshot) {
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
