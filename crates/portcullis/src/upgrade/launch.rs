//! Which binary is started next, and how.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How this process was started, and so how the next one is.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(super) binary: PathBuf,
    pub(super) args: Vec<OsString>,
}

impl Launch {
    /// By the command line. A path in it is taken as it stands, so that a link leads where it leads at the time of an
    /// upgrade; a bare name that the shell looked up is the file that runs.
    pub(crate) fn of(line: &[OsString]) -> Self {
        let named = line.first().map(Path::new).filter(|name| name.components().count() > 1);
        let binary = named.and_then(|name| std::path::absolute(name).ok()).filter(|path| path.exists());
        let binary = binary.or_else(|| std::env::current_exe().ok()).unwrap_or_default();
        Self { binary, args: line.get(1..).unwrap_or_default().to_vec() }
    }
}

/// A binary that somebody names over the network must be one that only its owner or root can have put there.
pub(super) fn trusted(binary: &Path) -> Result<(), String> {
    let shown = binary.display();
    let facts = std::fs::metadata(binary).map_err(|error| format!("{shown}: {error}"))?;
    let own = rustix::process::geteuid().as_raw();
    if !facts.is_file() || facts.mode() & 0o111 == 0 {
        return Err(format!("{shown} is no program"));
    }
    if facts.mode() & 0o022 != 0 || (facts.uid() != 0 && facts.uid() != own) {
        return Err(format!(
            "{shown} can be written by others than root and the user of this process: it is not started"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_path_of_the_command_line_is_kept_and_a_bare_name_becomes_the_file_that_runs() {
        let own = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("current");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let launch = Launch::of(&[link.clone().into(), "run".into(), "-c".into()]);
        assert_eq!((launch.binary, launch.args), (link, vec!["run".into(), "-c".into()]));
        assert_eq!(Launch::of(&["portcullis".into()]).binary, own);
        assert_eq!(Launch::of(&["/no/such/file".into()]).binary, own);
    }

    #[test]
    fn a_program_that_others_may_write_is_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let check = |mode: u32, ok: bool| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(trusted(&path).is_ok(), ok, "{mode:o}");
        };
        assert!(trusted(&path).is_err_and(|error| error.contains("No such file")));
        std::fs::write(&path, "").unwrap();
        check(0o755, true);
        check(0o644, false);
        check(0o775, false);
        check(0o757, false);
        assert!(trusted(dir.path()).is_err());
    }
}
