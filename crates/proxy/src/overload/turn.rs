//! When the event loop turns.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A timer's waker that keeps when the event loop came to it.
#[derive(Default)]
struct Turn {
    at: OnceLock<Instant>,
    waiting: Mutex<Option<Waker>>,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.at.get_or_init(Instant::now);
        let waiting = self.waiting.lock().take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

/// Waits for `time`, and says when the event loop came to its end. That is how late the loop turns, whichever scheduler it has: some
/// run a task that a timer wakes at once, others behind all that are ready.
pub(super) async fn after(time: Duration) -> Instant {
    let turn = Arc::new(Turn::default());
    let waker = Waker::from(Arc::clone(&turn));
    let mut sleep = pin!(tokio::time::sleep(time));
    poll_fn(|context| {
        *turn.waiting.lock() = Some(context.waker().clone());
        sleep.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await;
    // It is not woken at all if the time was over at the first look.
    *turn.at.get_or_init(Instant::now)
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    const TIME: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn says_when_the_loop_came_and_not_when_its_own_turn_was() {
        let start = Instant::now();
        let mut look = pin!(after(TIME));
        assert!(poll_fn(|context| Poll::Ready(look.as_mut().poll(context).is_pending())).await);
        tokio::time::advance(TIME).await;
        // The loop came to the timer, and others are before the one who waits for it.
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(look.await - start, TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_is_kept_from_turning_is_late_by_that() {
        let start = Instant::now();
        let look = tokio::spawn(after(TIME));
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(look.await.unwrap() - start, Duration::from_millis(200));
    }
}
