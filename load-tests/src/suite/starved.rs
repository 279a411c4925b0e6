//! Whether the gateway itself was kept from a core: then it was late, and no fault of its own is shown by that. The tool may have
//! been in time meanwhile, so its own lateness does not tell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use portcullis_engine::process::{Turn, used};

/// A look.
const LOOK: Duration = Duration::from_secs(1);

/// How much longer than it ran it may wait for a core between two looks.
const MOST: Duration = Duration::from_millis(500);

/// The ids of the gateways that a scene has started.
#[derive(Debug, Clone, Default)]
pub(super) struct Started(Arc<Mutex<Vec<u32>>>);

impl Started {
    pub(super) fn add(&self, id: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    fn ids(&self) -> Vec<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at them until it is stopped.
pub(super) struct Watch {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Duration>,
}

impl Watch {
    pub(super) fn start(started: Started) -> Self {
        let (stop, stopped) = mpsc::channel();
        Self { stop, thread: std::thread::spawn(move || look(&started, &stopped)) }
    }

    /// An excuse, if one of them was kept out.
    pub(super) fn stop(self) -> Option<String> {
        drop(self.stop);
        let longest = self.thread.join().unwrap_or_default();
        (longest > MOST).then(|| format!("the gateway waited for a core, in a second {longest:.0?} longer than it ran"))
    }
}

fn look(started: &Started, stopped: &mpsc::Receiver<()>) -> Duration {
    let (mut before, mut longest) = (HashMap::<u32, Turn>::new(), Duration::ZERO);
    while stopped.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
        for id in started.ids() {
            // It may have ended.
            let Ok(now) = used(id) else { continue };
            if let Some(then) = before.insert(id, now) {
                longest = longest.max(kept_out(then, now));
            }
        }
    }
    longest
}

/// How much longer it waited than it ran. Its threads wait for each other too, but only while one of them runs.
fn kept_out(before: Turn, now: Turn) -> Duration {
    let ran = now.ran.saturating_sub(before.ran);
    Duration::from_nanos(now.waited.saturating_sub(before.waited).saturating_sub(ran))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_busy_is_not_kept_out() {
        let ms = 1_000_000;
        let turn = |ran: u64, waited: u64| Turn { ran: ran * ms, waited: waited * ms };
        assert_eq!(kept_out(turn(100, 50), turn(1000, 700)), Duration::ZERO);
        assert_eq!(kept_out(turn(100, 50), turn(150, 950)), Duration::from_millis(850));
    }

    #[test]
    fn nothing_that_was_started_is_no_excuse() {
        let started = Started::default();
        started.add(std::process::id());
        assert_eq!(Watch::start(started).stop(), None);
    }
}
