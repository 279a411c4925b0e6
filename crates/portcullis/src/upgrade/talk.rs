//! The old process's talk with the new one until that serves, and what may come of it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use portcullis_types::quantity::format_duration;

use super::Old;
use super::wire::{Came, Wire};

/// Why the new process does not follow.
pub(super) enum Why {
    /// It is gone, or this process stopped to listen.
    End,
    /// It was not heard in time.
    Late(Duration),
    /// It said something else than is said at that point.
    Confused,
    Said(String),
}

impl From<std::io::Error> for Why {
    fn from(error: std::io::Error) -> Self {
        Self::Said(error.to_string())
    }
}

impl Why {
    pub(super) fn sentence(self, ended: Option<std::process::ExitStatus>, over: bool) -> String {
        match self {
            Self::End if over => "this process was told to end".to_owned(),
            Self::End => ended
                .map_or("the new process is gone".to_owned(), |status| format!("the new process ended with {status}")),
            Self::Late(within) => {
                format!("the new process did not get ready within {}, and was killed", format_duration(within))
            }
            Self::Confused => "the new process does not speak as a gateway does".to_owned(),
            Self::Said(said) => said,
        }
    }
}

/// The talk with the new process.
pub(super) struct Talk {
    pub(super) wire: Wire,
    pub(super) deadline: Instant,
    pub(super) within: Duration,
    /// Whether the store was handed over.
    pub(super) store: bool,
    /// Whether the service manager was told.
    pub(super) told: bool,
}

impl Talk {
    pub(super) fn hear<T: DeserializeOwned>(&self) -> Result<T, Why> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.wire.receive(Some(left)) {
            Ok(Came::Message(message, _)) => Ok(message),
            Ok(Came::End) => Err(Why::End),
            Ok(Came::Nothing) => Err(Why::Late(self.within)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Why::Confused),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn say(&self, message: &Old) -> Result<(), Why> {
        self.give(message, &[])
    }

    /// Says something with descriptors.
    pub(super) fn give(&self, message: &Old, descriptors: &[BorrowedFd<'_>]) -> Result<(), Why> {
        if self.wire.tell(message, descriptors)? { Ok(()) } else { Err(Why::End) }
    }
}
