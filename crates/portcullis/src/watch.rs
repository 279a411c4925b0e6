//! Watches the config's files, and reloads when one of them changed.
//!
//! Folders are watched, not files, so that a rename into place, a symbolic link that is turned and a file that is
//! missing so far are seen. An event only asks a question; whether anything changed is told by comparing what the
//! files are with what they were, so that a log in the same folder causes no reload and no change is lost.

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

use portcullis_admin::Change;

use crate::reload::{Reloader, Trigger};

/// How long events may gather: an editor writes in several steps.
const GATHER: Duration = Duration::from_millis(200);

/// Reloads on changes for as long as it is polled; also on one of the main file that fell between the moment it was
/// read, when it was as `read` says, and the beginning of the watch.
pub(crate) async fn follow(reloader: Arc<Reloader>, read: State) {
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
    let mut lists = reloader.watched.subscribe();
    let mut paths = lists.borrow_and_update().clone();
    folders.follow(&paths);
    let mut seen = read;
    seen.add(&paths);
    let mut changed_already = State::of(&paths) != seen;
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
        if lists.has_changed().unwrap_or(false) {
            paths.clone_from(&lists.borrow_and_update());
            folders.follow(&paths);
            seen.add(&paths);
        }
        let now = State::of(&paths);
        if now != seen {
            seen = now;
            // What came of it is in the log; a reread is never stale.
            drop(reloader.change(Trigger::Watch, Change::Reread).await);
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
    fn follow(&mut self, paths: &[PathBuf]) {
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
fn folders(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
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
    folders.retain(|folder| folder.is_dir());
    folders
}

/// What files are, as far as it tells a change: which file, how long, changed when; of a folder, its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State(Vec<(PathBuf, Option<Seen>)>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    File { device: u64, inode: u64, length: u64, changed: (i64, i64) },
    Folder(BTreeSet<std::ffi::OsString>),
}

impl State {
    pub(crate) fn of(paths: &[PathBuf]) -> Self {
        Self(paths.iter().map(|path| (path.clone(), see(path))).collect())
    }

    /// Takes up paths that were not in the list before as they are, so that only a later change of them counts.
    fn add(&mut self, paths: &[PathBuf]) {
        let before = std::mem::take(&mut self.0);
        let known = |path: &PathBuf| before.iter().find(|(each, _)| each == path).map(|(_, seen)| seen.clone());
        self.0 = paths.iter().map(|path| (path.clone(), known(path).unwrap_or_else(|| see(path)))).collect();
    }
}

fn see(path: &Path) -> Option<Seen> {
    let facts = fs::metadata(path).ok()?;
    if facts.is_dir() {
        let names = fs::read_dir(path).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
        return Some(Seen::Folder(names.collect()));
    }
    let changed = (facts.ctime(), facts.ctime_nsec());
    Some(Seen::File { device: facts.dev(), inode: facts.ino(), length: facts.len(), changed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rename_into_place_and_a_new_file_are_changes_and_a_log_beside_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (file, later) = (dir.path().join("a.yaml"), dir.path().join("b.yaml"));
        fs::write(&file, "one").unwrap();
        let paths = [file.clone(), later.clone()];
        let before = State::of(&paths);
        fs::write(dir.path().join("access.log"), "line").unwrap();
        assert_eq!(State::of(&paths), before);
        fs::write(dir.path().join("new"), "two").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        let renamed = State::of(&paths);
        assert_ne!(renamed, before);
        fs::write(&later, "x").unwrap();
        assert_ne!(State::of(&paths), renamed);
    }

    #[test]
    fn a_folder_changes_with_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().to_owned()];
        let before = State::of(&paths);
        fs::write(dir.path().join("a.yaml"), "x").unwrap();
        let after = State::of(&paths);
        assert_ne!(after, before);
        fs::write(dir.path().join("a.yaml"), "longer").unwrap();
        assert_eq!(State::of(&paths), after);
    }

    #[test]
    fn the_folder_behind_a_symbolic_link_is_watched_too() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("a.yaml"), "x").unwrap();
        let link = dir.path().join("a.yaml");
        std::os::unix::fs::symlink(real.join("a.yaml"), &link).unwrap();
        let watched = folders(&[link]);
        assert!(watched.contains(dir.path()), "{watched:?}");
        assert!(watched.contains(&fs::canonicalize(&real).unwrap()), "{watched:?}");
    }

    #[test]
    fn a_path_that_joins_the_list_counts_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        fs::write(&one, "x").unwrap();
        let mut state = State::of(std::slice::from_ref(&one));
        fs::write(&one, "changed").unwrap();
        fs::write(&two, "x").unwrap();
        state.add(&[one.clone(), two.clone()]);
        let now = State::of(&[one, two]);
        assert_ne!(state.0[0], now.0[0]);
        assert_eq!(state.0[1], now.0[1]);
    }
}
