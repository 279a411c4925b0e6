//! One hash of all that a config is made of: the main file, what it includes, certificates, keys and `file:` values,
//! and environment variables.
//!
//! A [`Recorder`] stands between the config and its [`Loader`] and takes in whatever passes, so that nothing a config
//! reads can be forgotten here. Equal content gives an equal hash, on every machine and wherever the files stand:
//! names of files do not count. It is SHA-256, cut to 64 bits: a secret cannot be read out of it, though whoever knows
//! all else could try guesses of a weak one. So it stands where the config's text stands, behind the admin API.

use aws_lc_rs::digest::{Context, SHA256};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_yaml::Loader;

/// Bytes of the digest that are shown.
const SHOWN: usize = 8;

/// A loader that remembers what it gave out, as a digest.
pub(crate) struct Recorder<'a> {
    loader: &'a dyn Loader,
    seen: RefCell<Context>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(loader: &'a dyn Loader) -> Self {
        Self { loader, seen: RefCell::new(Context::new(&SHA256)) }
    }

    /// The hash of what was read so far, 16 hex digits.
    pub(crate) fn digest(&self) -> String {
        shown(self.seen.borrow().clone())
    }

    fn see(&self, kind: u8, parts: &[Option<&str>]) {
        see(&mut self.seen.borrow_mut(), kind, parts);
    }
}

/// A hash of texts by name alone, 16 hex digits: whether two lists of files say the same.
#[must_use]
pub fn fingerprint<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut seen = Context::new(&SHA256);
    texts.into_iter().for_each(|(name, text)| see(&mut seen, b't', &[Some(name), Some(text)]));
    shown(seen)
}

/// Takes in one thing. Kind and length go first, so that no two lists of things look alike.
fn see(seen: &mut Context, kind: u8, parts: &[Option<&str>]) {
    seen.update(&[kind]);
    for part in parts {
        // No text is as long as what stands for none.
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        seen.update(&length.to_le_bytes());
        seen.update(part.unwrap_or_default().as_bytes());
    }
}

fn shown(seen: Context) -> String {
    let digest = seen.finish();
    let mut text = String::with_capacity(2 * SHOWN);
    for byte in digest.as_ref().iter().take(SHOWN) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Loader for Recorder<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        let text = self.loader.read(path);
        self.see(b'f', &[text.as_deref().ok()]);
        text
    }

    fn env(&self, name: &str) -> Option<String> {
        let value = self.loader.env(name);
        self.see(b'v', &[Some(name), value.as_deref()]);
        value
    }

    /// What matches is read next, and counts then.
    fn glob(&self, base: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
        self.loader.glob(base, pattern)
    }
}
