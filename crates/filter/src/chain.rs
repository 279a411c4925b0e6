//! A filter chain, compiled once a generation, and its state of one request.
//!
//! Invariants: request phases run first to last, response phases last to first; a request's state belongs to the one
//! chain it was made for; a filter's context lives from its first phase to `logging`.

use http::{HeaderMap, HeaderName};
use std::fmt;
use std::sync::Arc;

use portcullis_types::ProxyError;

use crate::cx::{BodyCx, Chunk, Completed, ErrorCx, RequestCx, ResponseCx, SelectCx};
use crate::erased::{Erased, Slot};
use crate::filter::{Filter, Verdict};
use crate::phase::{Phase, Phases};
use crate::response::Response;
use crate::seam::Upgrade;
use crate::secrets::Secrets;

#[cfg(test)]
mod tests;

/// A filter of a chain, with the name an operator knows it by.
#[derive(Clone)]
pub struct Link {
    name: Arc<str>,
    filter: Arc<dyn Erased>,
}

impl Link {
    /// Names a filter.
    pub fn new(name: &str, filter: impl Filter) -> Self {
        Self { name: Arc::from(name), filter: Arc::new(filter) }
    }

    /// The filter's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// Filters in order, with who takes part in which phase compiled.
#[derive(Clone, Default)]
pub struct Chain {
    links: Box<[Link]>,
    phases: Phases,
    by_phase: [Box<[u16]>; Phase::COUNT],
}

/// The contexts of a chain's filters for one request.
#[derive(Default)]
pub struct ChainState {
    slots: Vec<Slot>,
}

/// A filter's refusal or answer, and which filter it was.
#[derive(Debug)]
pub struct Stopped {
    /// The filter.
    pub filter: Arc<str>,
    /// What it put in the place of going on, or the failure it ended the request with.
    pub outcome: Result<Instead, ProxyError>,
}

/// What a filter puts in the place of going on.
#[derive(Debug)]
pub enum Instead {
    /// An answer.
    Respond(Box<Response>),
    /// An upgrade.
    Upgrade(Box<Upgrade>),
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.links.iter().map(|link| &link.name)).finish()
    }
}

impl Chain {
    /// How many filters a chain may have.
    pub const MAX: usize = 64;

    /// Compiles a chain. Past [`Chain::MAX`] filters the rest would not fit: `None`.
    #[must_use]
    pub fn new(links: Vec<Link>) -> Option<Self> {
        if links.len() > Self::MAX {
            return None;
        }
        let phases = links.iter().fold(Phases::NONE, |all, link| all.union(link.filter.phases()));
        let by_phase = Phase::ALL.map(|phase| {
            (0u16..).zip(&links).filter(|(_, link)| link.filter.phases().has(phase)).map(|(at, _)| at).collect()
        });
        Some(Self { links: links.into(), phases, by_phase })
    }

    /// Whether any filter takes part in a phase.
    #[must_use]
    pub fn has(&self, phase: Phase) -> bool {
        self.phases.has(phase)
    }

    /// Where the secrets stand that its filters read out of a request's target.
    pub fn secrets(&self) -> impl Iterator<Item = Arc<dyn Secrets>> {
        self.links.iter().filter_map(|link| link.filter.secrets())
    }

    /// Names of fields that its filters claim for themselves.
    pub fn claims(&self) -> impl Iterator<Item = HeaderName> {
        self.links.iter().flat_map(|link| link.filter.claims())
    }

    /// The filters' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| &*link.name)
    }

    /// The names of the filters that take part in a phase, in order.
    pub fn names_in(&self, phase: Phase) -> impl Iterator<Item = &str> {
        self.of(phase).map(|(_, link)| &*link.name)
    }

    /// Whether there is no filter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The filters of a phase, first to last, with their slots' places.
    fn of(&self, phase: Phase) -> impl DoubleEndedIterator<Item = (usize, &Link)> {
        let members = self.by_phase.get(phase as usize).map_or(&[][..], |list| list);
        members.iter().filter_map(|&at| Some((usize::from(at), self.links.get(usize::from(at))?)))
    }

    /// Runs `request_filter` to the first filter that answers or refuses. `seen` hears of each filter that went on.
    ///
    /// # Errors
    /// The filter that stopped the request, with its answer or refusal.
    pub async fn request_filter(
        &self,
        cx: &mut RequestCx<'_>,
        state: &mut ChainState,
        seen: &mut (dyn FnMut(&Arc<str>) + Send),
    ) -> Result<(), Stopped> {
        for (at, link) in self.of(Phase::RequestFilter) {
            let verdict = link.filter.request_filter(cx, state.slot(at, self)).await;
            went_on(link, verdict, seen)?;
        }
        Ok(())
    }

    /// Runs `request_peek_filter`, as [`Chain::request_filter`].
    ///
    /// # Errors
    /// The filter that stopped the request, with its answer or refusal.
    pub async fn request_peek_filter(
        &self,
        cx: &mut RequestCx<'_>,
        state: &mut ChainState,
        seen: &mut (dyn FnMut(&Arc<str>) + Send),
    ) -> Result<(), Stopped> {
        for (at, link) in self.of(Phase::RequestPeekFilter) {
            let verdict = link.filter.request_peek_filter(cx, state.slot(at, self)).await;
            went_on(link, verdict, seen)?;
        }
        Ok(())
    }

    /// The most bytes of a body that a filter of [`Phase::RequestPeekFilter`] wants to see; `None` without such a filter.
    #[must_use]
    pub fn peek_limit(&self) -> Option<usize> {
        self.of(Phase::RequestPeekFilter).map(|(_, link)| link.filter.peek_limit()).max()
    }

    /// Runs `admission_filter`, as [`Chain::request_filter`].
    ///
    /// # Errors
    /// The filter that refused.
    pub async fn admission_filter(
        &self,
        cx: &mut RequestCx<'_>,
        state: &mut ChainState,
        seen: &mut (dyn FnMut(&Arc<str>) + Send),
    ) -> Result<(), Stopped> {
        for (at, link) in self.of(Phase::AdmissionFilter) {
            let admitted = link.filter.admission_filter(cx, state.slot(at, self)).await;
            went_on(link, admitted.map(|()| Verdict::Continue), seen)?;
        }
        Ok(())
    }

    /// Runs `request_body_filter`.
    ///
    /// # Errors
    /// The first filter's refusal.
    pub async fn request_body_filter(
        &self,
        cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        end: bool,
        state: &mut ChainState,
    ) -> Result<(), ProxyError> {
        for (at, link) in self.of(Phase::RequestBodyFilter) {
            link.filter.request_body_filter(cx, chunk, end, state.slot(at, self)).await?;
        }
        Ok(())
    }

    /// Runs `upstream_peer` until a filter chooses.
    ///
    /// # Errors
    /// The first filter's refusal.
    pub fn upstream_peer(
        &self,
        cx: &mut SelectCx<'_>,
        state: &mut ChainState,
    ) -> Result<Option<(usize, Arc<str>)>, ProxyError> {
        for (at, link) in self.of(Phase::UpstreamPeer) {
            if let Some(choice) = link.filter.upstream_peer(cx, state.slot(at, self))? {
                return Ok(Some((choice, link.name.clone())));
            }
        }
        Ok(None)
    }

    /// Runs `upstream_request_filter`.
    ///
    /// # Errors
    /// The first filter's refusal.
    pub async fn upstream_request_filter(
        &self,
        cx: &mut RequestCx<'_>,
        state: &mut ChainState,
    ) -> Result<(), ProxyError> {
        for (at, link) in self.of(Phase::UpstreamRequestFilter) {
            link.filter.upstream_request_filter(cx, state.slot(at, self)).await?;
        }
        Ok(())
    }

    /// Runs `response_filter`, last filter first.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn response_filter(&self, cx: &mut ResponseCx<'_>, state: &mut ChainState) -> Result<(), ProxyError> {
        for (at, link) in self.of(Phase::ResponseFilter).rev() {
            link.filter.response_filter(cx, state.slot(at, self)).await?;
        }
        Ok(())
    }

    /// Runs `response_body_filter`, last filter first.
    ///
    /// # Errors
    /// The first refusal.
    pub fn response_body_filter(
        &self,
        cx: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        end: bool,
        state: &mut ChainState,
    ) -> Result<(), ProxyError> {
        let mut filters = self.of(Phase::ResponseBodyFilter).rev();
        filters.try_for_each(|(at, link)| link.filter.response_body_filter(cx, chunk, end, state.slot(at, self)))
    }

    /// Runs `response_trailer_filter`, last filter first.
    ///
    /// # Errors
    /// The first refusal.
    pub fn response_trailer_filter(
        &self,
        cx: &mut BodyCx<'_>,
        trailers: &mut HeaderMap,
        state: &mut ChainState,
    ) -> Result<(), ProxyError> {
        let mut filters = self.of(Phase::ResponseTrailerFilter).rev();
        filters.try_for_each(|(at, link)| link.filter.response_trailer_filter(cx, trailers, state.slot(at, self)))
    }

    /// Runs `fail_to_proxy`, last filter first, until one answers.
    pub fn fail_to_proxy(&self, cx: &mut ErrorCx<'_>, state: &mut ChainState) -> Option<Response> {
        let mut filters = self.of(Phase::FailToProxy).rev();
        filters.find_map(|(at, link)| link.filter.fail_to_proxy(cx, state.slot(at, self)))
    }

    /// Runs `logging` on every filter that takes part in it.
    pub fn logging(&self, completed: &Completed<'_>, state: &mut ChainState) {
        for (at, link) in self.of(Phase::Logging) {
            link.filter.logging(completed, state.slot(at, self));
        }
    }
}

/// Whether a filter let the request go on.
fn went_on(
    link: &Link,
    verdict: Result<Verdict, ProxyError>,
    seen: &mut (dyn FnMut(&Arc<str>) + Send),
) -> Result<(), Stopped> {
    let outcome = match verdict {
        Ok(Verdict::Continue) => {
            seen(&link.name);
            return Ok(());
        }
        Ok(Verdict::Respond(response)) => Ok(Instead::Respond(response)),
        Ok(Verdict::Upgrade(upgrade)) => Ok(Instead::Upgrade(upgrade)),
        Err(error) => Err(error),
    };
    Err(Stopped { filter: link.name.clone(), outcome })
}

impl ChainState {
    /// The slot of a filter; slots are made together at the first call.
    fn slot(&mut self, at: usize, chain: &Chain) -> &mut Slot {
        if self.slots.len() < chain.links.len() {
            self.slots.resize_with(chain.links.len(), || None);
        }
        match self.slots.get_mut(at) {
            Some(slot) => slot,
            None => unreachable!("a chain's places are below its length"),
        }
    }
}
