//! A bounded number of workers with a queue before them. Pure.

use std::collections::VecDeque;

/// Workers and their queue.
#[derive(Debug)]
pub(super) struct Station<T> {
    limit: usize,
    busy: usize,
    open: bool,
    waiting: VecDeque<T>,
}

impl<T> Station<T> {
    /// So many workers.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, busy: 0, open: true, waiting: VecDeque::new() }
    }

    /// Takes a job into the queue.
    pub(super) fn arrive(&mut self, job: T) {
        self.waiting.push_back(job);
    }

    /// A worker is done.
    pub(super) fn done(&mut self) {
        self.busy = self.busy.saturating_sub(1);
    }

    /// Whether workers start on jobs.
    pub(super) fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// The next job, if a worker is free for it.
    pub(super) fn start(&mut self) -> Option<T> {
        if !self.open || self.busy >= self.limit {
            return None;
        }
        let job = self.waiting.pop_front()?;
        self.busy += 1;
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_on_as_many_as_it_may_and_in_order() {
        let mut station = Station::new(2);
        (1..=4).for_each(|job| station.arrive(job));
        let started = |station: &mut Station<i32>| std::iter::from_fn(|| station.start()).collect::<Vec<_>>();
        assert_eq!(started(&mut station), [1, 2]);
        station.done();
        assert_eq!(started(&mut station), [3]);
        station.set_open(false);
        station.done();
        station.done();
        assert!(started(&mut station).is_empty());
        station.set_open(true);
        assert_eq!(started(&mut station), [4]);
    }
}
