//! An answer on its way in.

use bytes::Bytes;
use std::sync::Arc;

use portcullis_filter::seam::CacheFill;

use super::Shared;
use super::answer::Answer;
use super::flights::Lead;
use super::rules::{Retention, says_something};
use super::store::Incoming;

/// Collects an answer, for who waits for it and to be kept. Dropped before its end, it wakes who waits.
pub(super) struct Fill {
    shared: Arc<Shared>,
    id: Box<[u8]>,
    lead: Option<Lead>,
    keep: Option<(Arc<[u8]>, Retention)>,
    text: Vec<u8>,
    room: Incoming,
}

impl Fill {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: &[u8],
        lead: Option<Lead>,
        keep: Option<(Arc<[u8]>, Retention)>,
    ) -> Self {
        let room = shared.store.incoming();
        Self { shared, id: id.into(), lead, keep, text: Vec::new(), room }
    }
}

impl CacheFill for Fill {
    fn chunk(&mut self, chunk: &Bytes) -> bool {
        let fits = self.text.len() + chunk.len() <= self.shared.bounds.entry && self.room.grow(chunk.len());
        if fits {
            self.text.extend_from_slice(chunk);
        }
        fits
    }

    fn finish(self: Box<Self>) {
        let Self { shared, id, lead, keep, text, room } = *self;
        let Some(answer) = Answer::read(Bytes::from(text.into_boxed_slice()), &id).map(Arc::new) else { return };
        if let Some((key, retention)) = keep.filter(|_| says_something(answer.result())) {
            shared.store.put(key, answer.clone(), retention);
        }
        if let Some(lead) = lead {
            lead.land(answer);
        }
        drop(room);
    }
}
