//! The texts that a config is made of, main file and includes, kept so that it can be read again as it was.
//!
//! Only texts are kept: certificates, `file:` values and variables are read anew whenever a config is. Names of includes
//! are relative to the folder of the main file where they stand in it, so that a config that was moved is still the same.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_config::fingerprint;
use portcullis_yaml::{Loader, MemoryLoader, OsLoader, SourceMap};
use serde_json::{Value, json};

/// What the main file is called in a fingerprint: another name does not make another config.
const MAIN: &str = "";

/// The texts of a config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sources {
    pub(crate) main: Arc<str>,
    /// By name, in the order in which they were read.
    pub(crate) includes: Arc<[(String, Arc<str>)]>,
}

impl Sources {
    /// The texts that were read for the config in `main`.
    pub(crate) fn of(map: &SourceMap, main: &Path) -> Self {
        let folder = folder(main);
        let mut sources = map.iter();
        let text = sources.next().map_or_else(|| Arc::from(""), |source| Arc::from(source.text()));
        let named = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let includes = sources.map(|source| (named(source.path()), Arc::from(source.text()))).collect();
        Self { main: text, includes }
    }

    /// All texts by name; that of the main file first, without a name.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let includes = self.includes.iter().map(|(name, text)| (name.as_str(), &**text));
        std::iter::once((MAIN, &*self.main)).chain(includes)
    }

    /// Equal for equal texts under equal names, 16 hex digits.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(self.texts())
    }

    /// The name and the fingerprint of each include.
    pub(crate) fn included(&self) -> Vec<(String, String)> {
        self.includes.iter().map(|(name, text)| (name.clone(), fingerprint([(MAIN, &**text)]))).collect()
    }

    /// Reads these texts where a config reads its files, and everything else from the process's own.
    pub(crate) fn loader(&self, main: &Path) -> Stored {
        let folder = folder(main);
        let texts = MemoryLoader::new().file(main, &*self.main);
        let put = |texts: MemoryLoader, (name, text): &(String, Arc<str>)| texts.file(folder.join(name), &**text);
        Stored(self.includes.iter().fold(texts, put))
    }

    pub(crate) fn to_json(&self) -> Value {
        let include = |(name, text): &(String, Arc<str>)| json!({ "name": name, "text": &**text });
        json!({ "main": &*self.main, "includes": self.includes.iter().map(include).collect::<Vec<_>>() })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        let include = |value: &Value| Some((text(value, "name")?, Arc::from(text(value, "text")?)));
        let includes: Option<Vec<_>> = value.get("includes")?.as_array()?.iter().map(include).collect();
        Some(Self { main: text(value, "main")?.into(), includes: includes?.into() })
    }
}

/// The folder that a file's includes are relative to.
fn folder(main: &Path) -> &Path {
    main.parent().unwrap_or_else(|| Path::new(""))
}

/// Texts that were kept, in front of the files of this process.
pub(crate) struct Stored(MemoryLoader);

impl Loader for Stored {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.read(path).or_else(|_| OsLoader.read(path))
    }

    fn env(&self, name: &str) -> Option<String> {
        OsLoader.env(name)
    }

    /// The files that were included then, whatever is there now.
    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        self.0.glob(base, pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(main: &Path, loader: &dyn Loader) -> Sources {
        Sources::of(&portcullis_yaml::load(main, loader).sources, main)
    }

    #[test]
    fn a_config_is_read_again_as_it_was_also_from_another_folder() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("hosts")).unwrap();
        let main = dir.path().join("gateway.yaml");
        std::fs::write(&main, "version: 1\ninclude: 'hosts/*.yaml'\n").unwrap();
        std::fs::write(dir.path().join("hosts/a.yaml"), "hosts: []\n").unwrap();
        let before = read(&main, &OsLoader);
        assert_eq!(before.included()[0].0, "hosts/a.yaml");
        std::fs::write(dir.path().join("hosts/a.yaml"), "hosts: [1]\n").unwrap();
        std::fs::write(dir.path().join("hosts/b.yaml"), "hosts: []\n").unwrap();
        assert_ne!(read(&main, &OsLoader).fingerprint(), before.fingerprint());
        assert_eq!(read(&main, &before.loader(&main)), before, "what is there now does not count");
        let elsewhere = Path::new("/somewhere/else.yaml");
        assert_eq!(read(elsewhere, &before.loader(elsewhere)), before);
        assert_eq!(Sources::from_json(&before.to_json()), Some(before));
    }
}
