//! The Unix socket: made where nobody else can put another in its place, and removed when it is still the one that was
//! made.
//!
//! Whoever makes or removes a socket holds a lock on its folder meanwhile, so that of two processes that start at once
//! one finds the other's socket alive.

use portcullis_snapshot::settings::SocketMode;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket's file, as it was made.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Where it is until it takes the place of another process's socket.
    waits: Option<PathBuf>,
}

impl SocketFile {
    /// Makes a socket. One that a dead process left is replaced; any other file, and the socket of a living one, is not.
    /// Must be called inside a Tokio runtime.
    pub(crate) fn bind(path: &Path, mode: SocketMode) -> io::Result<(Self, UnixListener)> {
        Self::make(path, None, mode)
    }

    /// Makes a socket under another name in the folder, where a process accepts at `path` whose place this one takes with
    /// [`SocketFile::take_place`]. Must be called inside a Tokio runtime.
    pub(crate) fn beside(path: &Path, mode: SocketMode) -> io::Result<(Self, UnixListener)> {
        // No longer than it must be: the length of a socket's path has a bound.
        let name = format!(".{}", std::process::id());
        Self::make(path, Some(path.with_file_name(name)), mode)
    }

    fn make(path: &Path, waits: Option<PathBuf>, mode: SocketMode) -> io::Result<(Self, UnixListener)> {
        let at = waits.as_deref().unwrap_or(path);
        let locked = lock(folder(path))?;
        clear(at)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(at)?)?;
        // Nobody can connect before it listens, so the permissions are there in time.
        fs::set_permissions(at, Permissions::from_mode(mode.0))?;
        let made = fs::symlink_metadata(at)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        drop(locked);
        let listener = UnixListener::from_std(StdListener::from(socket))?;
        Ok((Self { path: path.to_owned(), device: made.dev(), inode: made.ino(), waits }, listener))
    }

    /// Puts it in the place of the other process's socket, if it waits: from one connection to the next.
    pub(crate) fn take_place(&mut self) -> io::Result<()> {
        let Some(waits) = &self.waits else { return Ok(()) };
        let locked = lock(folder(&self.path))?;
        fs::rename(waits, &self.path)?;
        drop(locked);
        self.waits = None;
        Ok(())
    }

    /// Gives it other permissions.
    pub(crate) fn set_mode(&self, mode: SocketMode) -> io::Result<()> {
        if self.is_ours()? { fs::set_permissions(self.place(), Permissions::from_mode(mode.0)) } else { Ok(()) }
    }

    /// Where it is now.
    fn place(&self) -> &Path {
        self.waits.as_deref().unwrap_or(&self.path)
    }

    fn is_ours(&self) -> io::Result<bool> {
        let found = fs::symlink_metadata(self.place())?;
        Ok((found.dev(), found.ino()) == (self.device, self.inode))
    }

    fn remove(&self) -> io::Result<()> {
        let locked = File::open(folder(&self.path))?;
        locked.lock()?;
        if self.is_ours()? { fs::remove_file(self.place()) } else { Ok(()) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        match self.remove() {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                log::warn!("admin: the socket {} cannot be removed: {error}", self.path.display());
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// The folder that a socket is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Holds a folder in which a socket may be made: not one where everybody may put files.
fn lock(folder: &Path) -> io::Result<File> {
    let locked = File::open(folder).map_err(|error| {
        io::Error::new(error.kind(), format!("the folder {} cannot be opened: {error}", folder.display()))
    })?;
    let found = locked.metadata()?;
    if !found.is_dir() {
        return Err(io::Error::other(format!("{} is no folder", folder.display())));
    }
    if found.mode() & 0o002 != 0 {
        let why = "everybody may write there, and could put another socket in the place of this one";
        return Err(io::Error::other(format!("the folder {} will not do: {why}", folder.display())));
    }
    locked.lock()?;
    Ok(locked)
}

/// Takes away what a dead process left.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file of that name, which is no socket"));
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A process whose queue is full is alive; it is not waited for.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(()) => Err(io::Error::new(ErrorKind::AddrInUse, "another process accepts there")),
        Err(error) => Err(io::Error::new(ErrorKind::AddrInUse, format!("another process may accept there: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        (dir, path)
    }

    fn bind(path: &Path) -> Result<(SocketFile, UnixListener), String> {
        SocketFile::bind(path, SocketMode(0o640)).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn it_has_its_mode_and_goes_when_it_is_dropped() {
        let (_dir, path) = place();
        let made = bind(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o640);
        made.0.set_mode(SocketMode(0o600)).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(made);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_living_socket_is_refused_and_a_dead_one_replaced() {
        let (_dir, path) = place();
        let living = bind(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err(), "another process accepts there");
        // What a killed process leaves: the file, and nobody behind it.
        std::mem::forget(living.0);
        drop(living.1);
        assert!(path.exists());
        let made = bind(&path).unwrap();
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(made);
    }

    #[tokio::test]
    async fn another_file_of_that_name_stays() {
        let (_dir, path) = place();
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).unwrap_err(), "there is a file of that name, which is no socket");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn another_socket_in_its_place_is_not_removed() {
        let (_dir, path) = place();
        let first = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = bind(&path).unwrap();
        drop(first);
        assert!(path.exists(), "it is the second's");
        drop(second);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn one_that_waits_takes_the_place_of_a_living_one_and_that_one_leaves_it() {
        let (dir, path) = place();
        let files = || fs::read_dir(dir.path()).unwrap().count();
        let old = bind(&path).unwrap();
        drop(SocketFile::beside(&path, SocketMode(0o600)).unwrap());
        assert_eq!(files(), 1, "one that never took the place leaves nothing");
        let (mut file, listener) = SocketFile::beside(&path, SocketMode(0o600)).unwrap();
        file.take_place().unwrap();
        drop(old);
        let _client = tokio::net::UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
        assert_eq!((files(), fs::symlink_metadata(&path).unwrap().mode() & 0o777), (1, 0o600));
        drop(file);
        assert_eq!(files(), 0);
    }

    #[tokio::test]
    async fn a_folder_that_everybody_may_write_to_is_refused() {
        let (dir, path) = place();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
        assert!(bind(&path).unwrap_err().contains("everybody may write there"));
        assert!(bind(&dir.path().join("no/such/x.sock")).unwrap_err().contains("cannot be opened"));
    }
}
