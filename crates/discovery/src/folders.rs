//! The folders of endpoints' files, watched: an event only asks a question, which whoever reads a file answers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::watch;

/// See the module's text.
#[derive(Default)]
pub(crate) struct Folders {
    inner: Mutex<Inner>,
    events: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    files: Vec<Arc<Path>>,
    watched: BTreeSet<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// Whether it was said already that nothing can be watched.
    said: bool,
}

impl Folders {
    /// Watches the folders of these files, and no others.
    pub(crate) fn files(&self, files: Vec<Arc<Path>>) {
        self.inner.lock().files = files;
        self.again();
    }

    /// Looks again where the files are: a symbolic link may have been turned.
    pub(crate) fn again(&self) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if inner.watcher.is_none() && !inner.files.is_empty() {
            inner.watcher = self.watcher(&mut inner.said);
        }
        let Some(watcher) = &mut inner.watcher else { return };
        let wanted = folders(&inner.files);
        for gone in inner.watched.difference(&wanted) {
            // A folder that was deleted is not watched any more anyway.
            drop(watcher.unwatch(gone));
        }
        let mut watched: BTreeSet<PathBuf> = inner.watched.intersection(&wanted).cloned().collect();
        for new in wanted.difference(&inner.watched) {
            match watcher.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => drop(watched.insert(new.clone())),
                Err(error) => log::debug!("{} is not watched: {error}", new.display()),
            }
        }
        inner.watched = watched;
    }

    /// Changes when something happened in one of the folders.
    pub(crate) fn events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    fn watcher(&self, said: &mut bool) -> Option<RecommendedWatcher> {
        let events = self.events.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                events.send_modify(|count| *count += 1);
            }
        });
        match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                if !std::mem::replace(said, true) {
                    log::warn!("files of endpoints are not watched, only looked at now and then: {error}");
                }
                None
            }
        }
    }
}

/// The folders in which a change of these files shows: their own, and those of the files behind symbolic links.
fn folders(files: &[Arc<Path>]) -> BTreeSet<PathBuf> {
    let real = files.iter().filter_map(|file| fs::canonicalize(file).ok());
    let all = files.iter().map(|file| file.to_path_buf()).chain(real);
    let folder = |path: PathBuf| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new(".")).to_owned()
    };
    all.map(folder).filter(|folder| folder.is_dir()).collect()
}
