//! The endpoints a request considered and the attempts it made, in lists that cannot grow without end.

use std::time::Duration;

use portcullis_types::{ClusterName, EndpointName, Reason};
use smallvec::SmallVec;

/// An endpoint the balancer looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// Which.
    pub endpoint: EndpointName,
    /// What became of it.
    pub verdict: Verdict,
}

/// What the balancer decided about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The request was sent to it.
    Chosen,
    /// It was not taken; a fixed word says why (`unhealthy`, `ejected`, `at_limit`, `tried`, `lower_priority`).
    PassedOver(&'static str),
}

impl Verdict {
    /// `chosen`, or why not.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::PassedOver(why) => why,
        }
    }
}

/// One try to get an answer from one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which endpoint.
    pub endpoint: EndpointName,
    /// Its cluster, where that is not the one the policy decided on (failover).
    pub cluster: Option<ClusterName>,
    /// When it began, from the request's arrival.
    pub started: Duration,
    /// How long connecting took; `None` on a reused connection or when it never connected.
    pub connect: Option<Duration>,
    /// From the attempt's start to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// The status the endpoint answered with, or why there was none.
    pub outcome: Result<u16, Reason>,
    /// Whether it went over a connection that was already open.
    pub reused: bool,
    /// Whether it was given up since another attempt beside it answered first. There is no outcome then.
    pub outrun: bool,
    /// Its span's id, which its endpoint was told as the parent; 0 where the request is not traced.
    pub span: u64,
    /// When it ended, from the request's arrival; noted of traced requests only.
    pub ended: Option<Duration>,
}

/// A list that keeps its first [`Listed::MAX`] entries and counts the rest. `INLINE` of them need no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T, const INLINE: usize> {
    kept: SmallVec<[T; INLINE]>,
    more: u32,
}

impl<T, const INLINE: usize> Listed<T, INLINE> {
    /// How many entries are kept.
    pub const MAX: usize = 8;

    /// Appends an entry, or counts it when the list is full.
    pub fn push(&mut self, entry: T) {
        if self.kept.len() < Self::MAX {
            self.kept.push(entry);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Counts entries that need not be built, as a balancer over thousands of endpoints does.
    pub fn count_more(&mut self, n: u32) {
        self.more = self.more.saturating_add(n);
    }

    /// Whether another entry would be kept.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.kept.len() < Self::MAX
    }

    /// The kept entries, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.kept.iter()
    }

    /// The entry at a place, to complete it, if it was kept.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.kept.get_mut(at)
    }

    /// How many entries were counted but not kept.
    #[must_use]
    pub const fn more(&self) -> u32 {
        self.more
    }

    /// All entries, kept or counted.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.kept.len()).unwrap_or(u32::MAX).saturating_add(self.more)
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.more == 0
    }
}

impl<T, const INLINE: usize> Default for Listed<T, INLINE> {
    fn default() -> Self {
        Self { kept: SmallVec::new(), more: 0 }
    }
}

impl<'a, T, const INLINE: usize> IntoIterator for &'a Listed<T, INLINE> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.kept.iter()
    }
}
