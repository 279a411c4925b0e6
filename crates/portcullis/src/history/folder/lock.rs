//! The lock of a folder, and in its file the last number that was given out.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "lock";
/// Digits of a number in the file: those of any, so that the file never grows and a full disk has room for the next.
const DIGITS: usize = 20;
/// How often another is asked whether it has written.
const EVERY: Duration = Duration::from_millis(2);

/// Held while this process gives out a number or writes; let go of when it is dropped, or when the process ends.
#[derive(Debug)]
pub(in crate::history) struct Lock(File);

impl Lock {
    /// Takes the lock of a folder, which is made where it is not there.
    pub(super) fn take(folder: &Path, patience: Duration) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let options = &mut OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(folder.join(NAME))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if started.elapsed() < patience => thread::sleep(EVERY),
                Err(TryLockError::WouldBlock) => {
                    let message = "another process holds its lock and does not let go";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
                }
            }
        }
    }

    /// The last number that was given out; 0 where none is known.
    pub(super) fn last(&self) -> u64 {
        let mut digits = [0; DIGITS];
        let read = self.0.read_exact_at(&mut digits, 0).ok().and_then(|()| str::from_utf8(&digits).ok());
        read.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// Notes that a number is given out, for whoever holds the lock next.
    pub(in crate::history) fn give(&self, number: u64) -> io::Result<()> {
        self.0.write_all_at(format!("{number:0width$}", width = DIGITS).as_bytes(), 0)
    }
}
