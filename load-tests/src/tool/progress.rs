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

/// The same of what takes hours and says each step besides.
const CI_STEPS: Duration = Duration::from_secs(60);

/// Tells how far something is until it is dropped.
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
        let (watch, name) = (Arc::clone(watch), name.to_owned());
        Self::telling(CI, move |elapsed| {
            let counts = [&watch.done, &watch.failed].map(|count| count.load(Ordering::Relaxed));
            line(&name, elapsed, length, counts)
        })
    }

    /// Tells of a step that takes so long at most, of those that `steps` knows.
    ///
    /// # Errors
    ///
    /// When there is no thread.
    pub fn step(name: &str, limit: Duration, steps: &Steps) -> Result<Self, Failure> {
        let (name, steps) = (name.to_owned(), steps.clone());
        Self::telling(CI_STEPS, move |elapsed| {
            let left = shown(steps.left(Some((elapsed, limit))));
            format!("{name}: {} of at most {}, about {left} to go in all", shown(elapsed), shown(limit))
        })
    }

    /// With the time since the start it says the line.
    fn telling(ci: Duration, line: impl Fn(Duration) -> String + Send + 'static) -> Result<Self, Failure> {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let terminal = std::io::stderr().is_terminal();
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let start = Instant::now();
            while !stopped.load(Ordering::SeqCst) {
                std::thread::park_timeout(if terminal { TERMINAL } else { ci });
                if !stopped.load(Ordering::SeqCst) {
                    say(terminal, &line(start.elapsed()));
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

/// Steps that have a bound of time each and take a part of it that shows as they are done.
#[derive(Debug, Clone)]
pub struct Steps {
    /// Those to come, by their bounds.
    to_come: Duration,
    /// What those that are over took, and their bounds, with what is expected at first: it weighs as much as one step.
    took: (Duration, Duration),
}

impl Steps {
    /// The part of its bound that a step is expected to take before one is over.
    const PART: u32 = 3;

    /// Of steps with these bounds.
    #[must_use]
    pub fn new(bounds: &[Duration]) -> Self {
        let to_come: Duration = bounds.iter().sum();
        let one = to_come / u32::try_from(bounds.len()).unwrap_or(u32::MAX).max(1);
        Self { to_come, took: (one / Self::PART, one) }
    }

    /// One begins.
    pub fn begin(&mut self, bound: Duration) {
        self.to_come = self.to_come.saturating_sub(bound);
    }

    /// It is over.
    pub fn end(&mut self, bound: Duration, took: Duration) {
        self.took = (self.took.0 + took, self.took.1 + bound);
    }

    /// How long the others take, and what is left of one that has begun: once that has taken longer than others, the same part of what
    /// its bound leaves it.
    #[must_use]
    pub fn left(&self, begun: Option<(Duration, Duration)>) -> Duration {
        let part = self.took.0.as_secs_f64() / self.took.1.as_secs_f64().max(1e-9);
        let now = begun.map(|(elapsed, bound)| match bound.mul_f64(part).checked_sub(elapsed) {
            Some(left) => left,
            None => bound.saturating_sub(elapsed).mul_f64(part),
        });
        self.to_come.mul_f64(part) + now.unwrap_or_default()
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

    #[test]
    fn what_is_to_come_takes_the_part_of_its_bound_that_others_took() {
        let second = Duration::from_secs(1);
        let near =
            |found: Duration, expected: u32| assert!(found.abs_diff(second * expected) < second / 10, "{found:?}");
        let mut steps = Steps::new(&[second * 60, second * 120]);
        near(steps.left(None), 60);
        steps.begin(second * 60);
        near(steps.left(Some((second * 5, second * 60))), 40 + 15);
        // It takes longer than others do.
        near(steps.left(Some((second * 45, second * 60))), 40 + 5);
        near(steps.left(Some((second * 70, second * 60))), 40);
        // Twice what was expected: half weighs what was thought before.
        steps.end(second * 60, second * 50);
        near(steps.left(None), 64);
        steps.begin(second * 120);
        assert_eq!(steps.left(None), Duration::ZERO);
    }
}
