//! Watches the config's files, and those of consumers, and reads again what changed.
//!
//! Folders are watched, not files, so that a rename into place, a symbolic link that is turned and a file that is
//! missing so far are seen. An event only asks a question; whether anything changed is told by comparing what the
//! files are with what they were, so that a log in the same folder causes no reload and no change is lost.

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

use portcullis_admin::Change;

use crate::consumers::Consumers;
use crate::files::State;
use crate::reload::{Reloader, Trigger};

/// How long events may gather: an editor writes in several steps.
const GATHER: Duration = Duration::from_millis(200);

/// Reloads the config on changes for as long as it is polled; also on one that fell between the moment a file was read
/// and the beginning of its watch.
pub(crate) async fn follow(reloader: Arc<Reloader>) {
    let lists = reloader.watched.subscribe();
    let reload = || {
        let reloader = reloader.clone();
        // What came of it is in the log; a reread is never stale.
        async move { drop(reloader.change(Trigger::Watch, Change::Reread, None).await) }
    };
    follow_files(lists, reload).await;
}

/// Reads the consumers again on changes of their file, for as long as it is polled.
pub(crate) async fn follow_consumers(consumers: Arc<Consumers>) {
    let lists = consumers.watched.subscribe();
    let reread = || {
        let consumers = consumers.clone();
        let reading = tokio::task::spawn_blocking(move || consumers.reread());
        async move {
            // A broken task is a fault of ours; the consumers of before go on.
            if let Err(error) = reading.await {
                log::error!("consumers: the load broke off: {error}");
            }
        }
    };
    follow_files(lists, reread).await;
}

async fn follow_files<F: Future<Output = ()>>(mut lists: watch::Receiver<State>, changed: impl Fn() -> F) {
    let (sender, mut events) = mpsc::channel(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A full channel holds the very same question already.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = sender.try_send(());
        }
    });
    let mut folders = match watcher {
        Ok(watcher) => Folders { watcher, watched: BTreeSet::new() },
        Err(error) => {
            return log::warn!("files are not watched: {error}; reload by SIGHUP or the admin API");
        }
    };
    let mut seen = lists.borrow_and_update().clone();
    folders.follow(seen.paths());
    let mut changed_already = seen.now() != seen;
    loop {
        tokio::select! {
            biased;
            () = std::future::ready(()), if changed_already => changed_already = false,
            event = events.recv() => if event.is_none() { return },
            changed = lists.changed() => if changed.is_err() { return },
        }
        tokio::time::sleep(GATHER).await;
        // Taken after the wait, so that what happens from here on asks again.
        let _ = events.try_recv();
        // Whoever asked: a load may have named other files.
        seen = lists.borrow_and_update().joined(&seen);
        folders.follow(seen.paths());
        let now = seen.now();
        if now != seen {
            seen = now;
            changed().await;
        }
    }
}

/// The folders that are watched now.
struct Folders {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    /// Watches the folders of these paths, and no others.
    fn follow<'a>(&mut self, paths: impl Iterator<Item = &'a PathBuf>) {
        let wanted = folders(paths);
        for gone in self.watched.difference(&wanted) {
            // A folder that was deleted is not watched any more anyway.
            drop(self.watcher.unwatch(gone));
        }
        for new in wanted.difference(&self.watched) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                log::warn!("{} is not watched: {error}", new.display());
            }
        }
        self.watched = wanted;
    }
}

/// The folders in which a change of these paths shows: their parents, those of the files behind symbolic links, and
/// the paths themselves where they are folders.
fn folders<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for path in paths {
        let real = fs::canonicalize(path).ok();
        for path in std::iter::once(path).chain(&real) {
            if path.is_dir() {
                folders.insert(path.clone());
            }
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            folders.insert(parent.unwrap_or(Path::new(".")).to_owned());
        }
    }
    // By its own name each: to stop watching one name of a folder would stop the others.
    folders.iter().filter(|folder| folder.is_dir()).filter_map(|folder| fs::canonicalize(folder).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_behind_a_symbolic_link_is_watched_too() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("a.yaml"), "x").unwrap();
        let link = dir.path().join("a.yaml");
        std::os::unix::fs::symlink(real.join("a.yaml"), &link).unwrap();
        let watched = folders([link].iter());
        assert!(watched.contains(&fs::canonicalize(dir.path()).unwrap()), "{watched:?}");
        assert!(watched.contains(&fs::canonicalize(&real).unwrap()), "{watched:?}");
    }

    /// Watched by two names, the folder was watched by none once the file was gone and one of the names with it.
    #[test]
    fn a_file_that_comes_again_is_seen_by_whatever_name_its_folder_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let file = link.join("a.yaml");
        fs::write(&file, "x").unwrap();
        let (sender, events) = std::sync::mpsc::channel();
        let watcher = notify::recommended_watcher(move |event| drop(sender.send(event))).unwrap();
        let mut folders = Folders { watcher, watched: BTreeSet::new() };
        folders.follow([file.clone()].iter());
        fs::remove_file(&file).unwrap();
        folders.follow([file.clone()].iter());
        fs::write(&file, "y").unwrap();
        let created =
            |event: notify::Event| event.kind.is_create() && event.paths.iter().any(|path| path.ends_with("a.yaml"));
        let within = Duration::from_secs(30);
        while !created(events.recv_timeout(within).expect("an event of the new file").unwrap()) {}
    }
}
