//! The text of a change is written to the main file, in one step, and only over what the operator has seen.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use portcullis_config::fingerprint;

/// The fingerprint of a file's text; `None` where it cannot be read.
pub(super) fn fingerprint_of(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| fingerprint([("", text.as_str())]))
}

/// Puts a text in the place of a file's, if that has this fingerprint. What came of it is a sentence.
pub(super) fn write(path: &Path, text: &str, seen: &str) -> String {
    if fingerprint_of(path).as_deref() != Some(seen) {
        return format!("{} was NOT written: it is not what it was when the change was looked at", path.display());
    }
    match replace(path, text) {
        Ok(()) => format!("{} was written", path.display()),
        Err(error) => format!("{} was NOT written: {error}", path.display()),
    }
}

/// A link stays one: what it leads to is replaced.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let real = fs::canonicalize(path)?;
    let mode = fs::metadata(&real)?.mode() & 0o777;
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = real.with_file_name(format!(".{name}.unfinished"));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &real)
    };
    write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_it_was_seen_through_its_link_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.yaml"), dir.path().join("link.yaml"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let seen = fingerprint_of(&link).unwrap();
        assert!(write(&link, "new", &seen).ends_with("was written"));
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(write(&link, "newer", &seen).contains("NOT written"), "somebody changed it since");
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside");
    }
}
