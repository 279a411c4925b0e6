//! How a stream is told that it must end, and why.
//!
//! The gateway holds the one side for as long as the stream is open, whoever serves the stream the other. Nothing of it is a
//! task or a timer, so that an idle stream pays for two words and a lock.

use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use portcullis_types::ProxyError;

#[derive(Default)]
struct State {
    why: Option<ProxyError>,
    /// Nothing that the stream still wants to do is waited for.
    cut: bool,
    waker: Option<Waker>,
}

impl State {
    fn watch(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

/// Tells a stream that it must end.
#[derive(Clone, Default)]
pub struct EndStream(Arc<Mutex<State>>);

impl EndStream {
    /// Who tells, and who is told.
    #[must_use]
    pub fn new() -> (Self, Ending) {
        let end = Self::default();
        let ending = Ending(end.clone());
        (end, ending)
    }

    /// The stream must end, for this reason. The first word stays.
    pub fn tell(&self, why: ProxyError) {
        self.change(|state| {
            state.why.get_or_insert(why);
        });
    }

    /// The stream was told, and has had its time to end by itself.
    pub fn cut(&self) {
        self.change(|state| state.cut = state.why.is_some());
    }

    /// Why the stream must end, once it was told.
    #[must_use]
    pub fn why(&self) -> Option<ProxyError> {
        self.0.lock().why.clone()
    }

    /// Resolves when the stream is cut; for the task that serves it.
    pub fn poll_cut(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.cut {
            return Poll::Ready(());
        }
        state.watch(cx);
        Poll::Pending
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The end of a stream, for the task that serves it: one task may wait at a time.
pub struct Ending(EndStream);

impl Ending {
    /// Resolves when the stream must end: with the reason, again and again.
    pub async fn due(&mut self) -> ProxyError {
        poll_fn(|cx| self.poll_due(cx)).await
    }

    /// The same, polled.
    pub fn poll_due(&mut self, cx: &Context<'_>) -> Poll<ProxyError> {
        let mut state = self.0.0.lock();
        match &state.why {
            Some(why) => Poll::Ready(why.clone()),
            None => {
                state.watch(cx);
                Poll::Pending
            }
        }
    }

    /// Whether the stream must end.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.0.0.lock().why.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::Reason;

    #[tokio::test]
    async fn who_waits_is_told_and_the_first_word_stays() {
        let (end, mut ending) = EndStream::new();
        let waiting = tokio::spawn(async move { (ending.due().await, ending.due().await, ending.is_due()) });
        tokio::task::yield_now().await;
        end.tell(Reason::OverQuota.into());
        end.tell(Reason::Draining.into());
        let over_quota = ProxyError::new(Reason::OverQuota);
        assert_eq!(waiting.await.unwrap(), (over_quota.clone(), over_quota.clone(), true));
        assert_eq!(end.why(), Some(over_quota));
    }

    #[tokio::test]
    async fn a_stream_is_cut_only_after_it_was_told() {
        let (end, _ending) = EndStream::new();
        end.cut();
        let waits = end.clone();
        let mut cut = tokio::spawn(async move { poll_fn(|cx| waits.poll_cut(cx)).await });
        tokio::task::yield_now().await;
        end.tell(Reason::KeyUnknown.into());
        tokio::task::yield_now().await;
        assert!(!cut.is_finished());
        end.cut();
        (&mut cut).await.unwrap();
    }
}
