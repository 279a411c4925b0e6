//! How far it is: one line that is written over on a terminal, a line now and then in CI.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis_engine::drive::Watch;

use crate::Failure;

/// How often the line of a terminal is written over, and how often CI gets one.
const TERMINAL: Duration = Duration::from_millis(200);
const CI: Duration = Duration::from_secs(10);

/// Tells of a load until it is dropped.
#[derive(Debug)]
pub struct Progress {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Tells of a load that takes so long.
    ///
    /// # Errors
    ///
    /// When there is no thread.
    pub fn start(name: &str, length: Duration, watch: &Arc<Watch>) -> Result<Self, Failure> {
        let stop = Arc::<AtomicBool>::default();
        let (stopped, watch, name) = (Arc::clone(&stop), Arc::clone(watch), name.to_owned());
        let terminal = std::io::stderr().is_terminal();
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let start = Instant::now();
            while !stopped.load(Ordering::SeqCst) {
                std::thread::park_timeout(if terminal { TERMINAL } else { CI });
                if !stopped.load(Ordering::SeqCst) {
                    let counts = [&watch.done, &watch.failed].map(|count| count.load(Ordering::Relaxed));
                    say(terminal, &line(&name, start.elapsed(), length, counts));
                }
            }
            if terminal {
                say(terminal, "");
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say.
            drop(thread.join());
        }
    }
}

fn line(name: &str, elapsed: Duration, length: Duration, [done, failed]: [u64; 2]) -> String {
    let left = length.saturating_sub(elapsed);
    let share = (elapsed.as_secs_f64() / length.as_secs_f64().max(1e-9)).min(1.0) * 100.0;
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    format!("{name}: {share:3.0} %, {done} done{failed}, {} to go", shown(left))
}

/// A time as one would say it: whole seconds, minutes from two on.
#[must_use]
pub fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil();
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", (seconds / 60.0).ceil()) }
}

fn say(terminal: bool, text: &str) {
    let mut out = std::io::stderr().lock();
    // Nobody has to listen.
    drop(if terminal { write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()) } else { writeln!(out, "{text}") });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_far_it_is_and_how_long_it_takes() {
        let second = Duration::from_secs(1);
        assert_eq!(line("run", second * 3, second * 10, [1200, 0]), "run:  30 %, 1200 done, 7 s to go");
        assert_eq!(line("run", second * 700, second * 600, [1, 2]), "run: 100 %, 1 done, 2 failed, 0 s to go");
        assert_eq!(shown(second * 150), "3 min");
    }
}
