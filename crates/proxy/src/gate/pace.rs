//! How long a client may take with what it has begun to send.
//!
//! The clocks here run only while the gateway waits for the client: a body that an upstream is slow to take, or that the
//! client holds back until it is told to go on, is not the client's to answer for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The pace of one request's body.
#[derive(Default)]
pub(super) struct BodyPace {
    /// Since when nothing has come although somebody asked.
    since: Option<Instant>,
    /// All the time that nothing came.
    waited: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// `Expect: 100-continue` was said, and neither a 100 nor a byte of the body has passed.
    held: bool,
}

impl BodyPace {
    pub(super) fn new(held: bool) -> Self {
        Self { held, ..Self::default() }
    }

    /// Whether the client waits to be told to go on.
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// The client was told to go on: from now on it is its turn.
    pub(super) const fn release(&mut self) {
        self.held = false;
    }

    /// Nobody asks any more: the gateway waits for the client to take something, not to send.
    pub(super) fn unasked(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// A part of the body came. Returns for how long the body has been waited for in all.
    pub(super) fn arrived(&mut self) -> Duration {
        self.held = false;
        self.unasked();
        self.waited
    }

    /// Nothing came. Ready once that has lasted for `patience`.
    pub(super) fn poll_pause(&mut self, cx: &mut Context<'_>, patience: Duration) -> Poll<()> {
        if self.held {
            return Poll::Pending;
        }
        let deadline = *self.since.get_or_insert_with(Instant::now) + patience;
        poll_deadline(&mut self.timer, cx, deadline)
    }
}

/// The pace of an HTTP/2 connection's header blocks, one of which may be open at a time.
#[derive(Default)]
pub(super) struct BlockPace {
    /// The number of the open block, and since when it is.
    open: Option<(u64, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl BlockPace {
    /// Takes note of the block that is open now.
    pub(super) fn note(&mut self, open: Option<u64>) {
        if self.open.map(|(block, _)| block) != open {
            self.open = open.map(|block| (block, Instant::now()));
        }
    }

    /// Nothing came. Ready when a block has been open for `patience`.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>, patience: Duration) -> Poll<()> {
        let Some((_, since)) = self.open else { return Poll::Pending };
        poll_deadline(&mut self.timer, cx, since + patience)
    }
}

/// Ready at the deadline. The timer is set where there is none, and otherwise only looked at when it fires: most
/// deadlines never come.
fn poll_deadline(timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    loop {
        ready!(timer.as_mut().poll(cx));
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const PATIENCE: Duration = Duration::from_secs(30);

    async fn pause(pace: &mut BodyPace) {
        poll_fn(|cx| pace.poll_pause(cx, PATIENCE)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_measured_from_when_somebody_asked() {
        let mut pace = BodyPace::new(false);
        let started = Instant::now();
        tokio::time::advance(PATIENCE * 2).await;
        assert!(tokio::time::timeout(PATIENCE / 2, pause(&mut pace)).await.is_err(), "nobody had asked before");
        assert_eq!(pace.arrived(), PATIENCE / 2);
        let again = Instant::now();
        pause(&mut pace).await;
        assert_eq!((again.elapsed(), pace.arrived()), (PATIENCE, PATIENCE + PATIENCE / 2));
        assert!(started.elapsed() > pace.arrived());
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_rests_while_the_client_is_to_read() {
        let mut pace = BodyPace::new(false);
        assert!(tokio::time::timeout(PATIENCE / 2, pause(&mut pace)).await.is_err());
        pace.unasked();
        tokio::time::advance(PATIENCE * 3).await;
        assert!(tokio::time::timeout(PATIENCE / 2, pause(&mut pace)).await.is_err(), "asked anew");
        assert_eq!(pace.arrived(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_held_back_has_no_clock_until_the_client_is_told_to_go_on() {
        let mut pace = BodyPace::new(true);
        assert!(tokio::time::timeout(PATIENCE * 10, pause(&mut pace)).await.is_err());
        pace.release();
        let told = Instant::now();
        pause(&mut pace).await;
        assert_eq!((told.elapsed(), pace.arrived()), (PATIENCE, PATIENCE));
        let mut pace = BodyPace::new(true);
        assert_eq!(pace.arrived(), Duration::ZERO);
        assert!(!pace.is_held(), "the client lost its patience");
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_is_measured_from_its_beginning_and_each_by_itself() {
        let mut pace = BlockPace::default();
        let mut open = async |block: Option<u64>, wait: Duration| {
            pace.note(block);
            tokio::time::timeout(wait, poll_fn(|cx| pace.poll_open(cx, PATIENCE))).await.is_ok()
        };
        assert!(!open(None, PATIENCE * 2).await);
        assert!(!open(Some(1), PATIENCE / 2).await);
        assert!(!open(Some(2), PATIENCE - Duration::from_secs(1)).await, "the first was whole in time");
        assert!(open(Some(2), Duration::from_secs(1)).await, "what drips is not whole");
        assert!(!open(None, PATIENCE * 2).await);
    }
}
