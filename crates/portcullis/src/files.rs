//! What the files of a config are, as far as it tells a change, and what they were when they were read.
//!
//! A [`Reader`] stands between the config and its files and notes what each is *before* it reads it. So a file that
//! changes at any moment after, while the config is still being compiled or before anyone watches, differs from what
//! was noted.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use portcullis_yaml::{Loader, fixed_part};

/// What files are: which file, how long, changed when; of a folder, its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State(BTreeMap<PathBuf, Option<Seen>>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    File { device: u64, inode: u64, length: u64, changed: (i64, i64) },
    Folder(BTreeSet<std::ffi::OsString>),
}

impl State {
    /// What these files are.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (path.clone(), see(path))).collect())
    }

    /// What the same files are now.
    pub(crate) fn now(&self) -> Self {
        Self(self.0.keys().map(|path| (path.clone(), see(path))).collect())
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.keys()
    }

    /// These files, those that `before` knows as they were there: who asked for the load between may have been told
    /// of a change that `before` still has to notice.
    pub(crate) fn joined(&self, before: &Self) -> Self {
        let known = |path: &PathBuf, seen: &Option<Seen>| before.0.get(path).unwrap_or(seen).clone();
        Self(self.0.iter().map(|(path, seen)| (path.clone(), known(path, seen))).collect())
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

/// A loader that notes what files are before it reads them.
pub(crate) struct Reader<'a> {
    loader: &'a dyn Loader,
    seen: RefCell<BTreeMap<PathBuf, Option<Seen>>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(loader: &'a dyn Loader) -> Self {
        Self { loader, seen: RefCell::default() }
    }

    /// What these files were when they were read first; those that were not read, as they are.
    pub(crate) fn state(self, paths: &[PathBuf]) -> State {
        let mut seen = self.seen.into_inner();
        let state = |path: &PathBuf| (path.clone(), seen.remove(path).unwrap_or_else(|| see(path)));
        State(paths.iter().collect::<BTreeSet<_>>().into_iter().map(state).collect())
    }

    fn note(&self, path: PathBuf) {
        self.seen.borrow_mut().entry(path).or_insert_with_key(|path| see(path));
    }
}

impl Loader for Reader<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.note(path.to_owned());
        self.loader.read(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.loader.env(name)
    }

    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        self.note(fixed_part(base, pattern));
        self.loader.glob(base, pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_yaml::OsLoader;

    fn state(paths: &[&PathBuf]) -> State {
        State(paths.iter().map(|path| ((*path).clone(), see(path))).collect())
    }

    #[test]
    fn a_rename_into_place_and_a_new_file_are_changes_and_a_log_beside_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (file, later) = (dir.path().join("a.yaml"), dir.path().join("b.yaml"));
        fs::write(&file, "one").unwrap();
        let before = state(&[&file, &later]);
        fs::write(dir.path().join("access.log"), "line").unwrap();
        assert_eq!(before.now(), before);
        fs::write(dir.path().join("new"), "two").unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        let renamed = before.now();
        assert_ne!(renamed, before);
        fs::write(&later, "x").unwrap();
        assert_ne!(before.now(), renamed);
    }

    #[test]
    fn a_folder_changes_with_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let before = state(&[&dir.path().to_owned()]);
        fs::write(dir.path().join("a.yaml"), "x").unwrap();
        let after = before.now();
        assert_ne!(after, before);
        fs::write(dir.path().join("a.yaml"), "longer").unwrap();
        assert_eq!(before.now(), after);
    }

    #[test]
    fn a_file_counts_as_it_was_when_it_was_read_also_if_it_changed_before_anyone_asked() {
        let dir = tempfile::tempdir().unwrap();
        let (read, other) = (dir.path().join("read.yaml"), dir.path().join("other.yaml"));
        fs::write(&read, "x").unwrap();
        fs::write(&other, "x").unwrap();
        let reader = Reader::new(&OsLoader);
        reader.read(&read).unwrap();
        fs::write(&read, "changed").unwrap();
        fs::write(&other, "changed").unwrap();
        let state = reader.state(&[read.clone(), other.clone()]);
        let now = state.now();
        assert_ne!(state.0[&read], now.0[&read]);
        assert_eq!(state.0[&other], now.0[&other]);
    }

    #[test]
    fn a_file_that_comes_into_an_included_folder_after_it_was_listed_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let reader = Reader::new(&OsLoader);
        assert!(reader.glob(dir.path(), "*.yaml").unwrap().is_empty());
        fs::write(dir.path().join("a.yaml"), "x").unwrap();
        let state = reader.state(&[dir.path().to_owned()]);
        assert_ne!(state.now(), state);
    }

    #[test]
    fn what_was_known_before_a_load_stays_as_it_was_known() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        fs::write(&one, "x").unwrap();
        let before = state(&[&one]);
        fs::write(&one, "changed").unwrap();
        fs::write(&two, "x").unwrap();
        let joined = state(&[&one, &two]).joined(&before);
        assert_eq!((&joined.0[&one], &joined.0[&two]), (&before.0[&one], &state(&[&two]).0[&two]));
    }
}
