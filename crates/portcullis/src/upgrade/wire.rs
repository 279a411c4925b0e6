//! The line between the two processes: a pair of sockets that has no name in any file system, of whose ends one is the new
//! process's standard input.
//!
//! It keeps messages apart (`SOCK_SEQPACKET`), each a small JSON text, with descriptors beside it (`SCM_RIGHTS`, at most
//! 253 a message by the kernel). What is large lies in a file in memory whose descriptor is sent. The end of the line means
//! that the other process is gone, however it went.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Descriptors that go with one message.
pub(super) const BATCH: usize = 200;
/// The longest message: names and addresses of a batch.
const MOST_BYTES: usize = 128 * 1024;
/// The most that a file in memory may hold.
const MOST_LARGE: u64 = 256 << 20;

/// One end of the line.
pub(super) struct Wire(OwnedFd);

/// What came.
pub(super) enum Came<T> {
    /// A message, and the descriptors with it.
    Message(T, Vec<OwnedFd>),
    /// The other process is gone.
    End,
    /// Nothing in time.
    Nothing,
}

impl Wire {
    /// A line, and the end that goes to the new process.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(ours), theirs))
    }

    /// The end that a new process was given.
    pub(super) const fn of(end: OwnedFd) -> Self {
        Self(end)
    }

    /// Another handle of the same end, for a thread of its own.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Ends who waits for a message on this side; the other side does not notice.
    pub(super) fn hear_no_more(&self) {
        // One that is gone hears nothing anyway.
        let _ = rustix::net::shutdown(&self.0, Shutdown::Read);
    }

    /// Sends a message. Waits while the other process has many unread.
    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() > MOST_BYTES {
            return Err(io::Error::other(format!("a message of {} bytes is too long", text.len())));
        }
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut room);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other(format!("{} descriptors are too many for a message", descriptors.len())));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a message to a process that may be gone; `false` when it is.
    pub(super) fn tell(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<bool> {
        match self.send(message, descriptors) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for a message, for ever without a bound.
    pub(super) fn receive<T: DeserializeOwned>(&self, within: Option<Duration>) -> io::Result<Came<T>> {
        // Zero would be for ever.
        let within = within.map(|within| within.max(Duration::from_millis(1)));
        sockopt::set_socket_timeout(&self.0, sockopt::Timeout::Recv, within)?;
        let mut bytes = vec![0; MOST_BYTES];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = RecvAncillaryBuffer::new(&mut room);
        let received = loop {
            let mut part = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut part, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Came::Nothing),
                Err(Errno::CONNRESET) => return Ok(Came::End),
                Err(error) => return Err(error.into()),
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::other("a message was cut off: more descriptors than this process may have?"));
        }
        if received.bytes == 0 {
            return Ok(Came::End);
        }
        let text = bytes.get(..received.bytes).unwrap_or_default();
        Ok(Came::Message(serde_json::from_slice(text)?, descriptors))
    }
}

/// A file in memory with these bytes.
pub(super) fn large(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("portcullis-upgrade", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// The bytes of a file that [`large`] made.
pub(super) fn read_large(descriptor: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(descriptor);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST_LARGE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The descriptors of some files, to be sent.
pub(super) fn borrowed(descriptors: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    descriptors.iter().map(|descriptor| descriptor.as_fd()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn came(wire: &Wire) -> (Value, Vec<OwnedFd>) {
        match wire.receive(Some(Duration::from_secs(5))).unwrap() {
            Came::Message(message, descriptors) => (message, descriptors),
            Came::End | Came::Nothing => panic!("no message"),
        }
    }

    #[test]
    fn messages_and_descriptors_arrive_as_they_were_sent() {
        let (ours, theirs) = Wire::pair().unwrap();
        let theirs = Wire::of(theirs);
        let bytes = vec![b'x'; 3 << 20];
        let files: Vec<OwnedFd> = (0..BATCH).map(|_| large(&bytes[..10]).unwrap().into()).collect();
        ours.send(&json!({ "many": true }), &borrowed(&files)).unwrap();
        ours.send(&json!({ "large": 1 }), &[large(&bytes).unwrap().as_fd()]).unwrap();
        ours.send(&json!("none"), &[]).unwrap();
        let (message, many) = came(&theirs);
        assert_eq!((message, many.len()), (json!({ "many": true }), BATCH));
        let (_, mut one) = came(&theirs);
        assert!(read_large(one.remove(0)).unwrap() == bytes);
        assert_eq!(came(&theirs).0, json!("none"));
        assert!(ours.send(&"x".repeat(MOST_BYTES), &[]).is_err());
    }

    #[test]
    fn silence_and_the_end_are_told_apart() {
        let (ours, theirs) = Wire::pair().unwrap();
        assert!(matches!(ours.receive::<Value>(Some(Duration::from_millis(5))).unwrap(), Came::Nothing));
        drop(theirs);
        assert!(matches!(ours.receive::<Value>(None).unwrap(), Came::End));
        assert!(ours.send(&json!(1), &[]).is_err());
    }
}
